"""What `make docs` does beside MkDocs: README, CHANGELOG and CONTRIBUTING become pages of the site,
formulas become MathML, which browsers draw by themselves, a picture opens large, and the first page
of the API has all public names, whatever they are."""

import html
import inspect
import re
from pathlib import Path
from types import ModuleType

from latex2mathml.converter import convert
from mkdocs.structure.files import File

CHECKOUT = Path(__file__).parents[1]
PAGES = {"index.md": "README.md", "CHANGELOG.md": "CHANGELOG.md",
         "CONTRIBUTING.md": "CONTRIBUTING.md"}
NAMES = "<!-- the public names of ldf_np -->"
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files, config):
    """The pages that lie beside docs/, with their links into it."""
    for target, source in PAGES.items():
        text = (CHECKOUT / source).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, target, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    return markdown.replace(NAMES, public_names())


def public_names():
    """Markdown that documents each public name of ldf_np, by the module that it comes from."""
    import ldf_np

    modules = {}
    for name, value in vars(ldf_np).items():
        if not name.startswith("_") and not isinstance(value, ModuleType):
            modules.setdefault(inspect.getmodule(value), []).append(name)
    parts = []
    for module, names in modules.items():
        path = module.__name__.removeprefix("ldf_np.")
        # The sources of ldf_np.kernels lie in kernels/, where they are found by that name.
        where = path if path.startswith("kernels") else "ldf_np"
        parts += [f"## {path}", inspect.getdoc(module).split("\n\n")[0]]
        parts += [f"::: {where}.{name}" for name in names]
    return "\n\n".join(parts)


def on_page_content(content, page, config, files):
    content = FORMULA.sub(_formula, content)
    return re.sub(r'<img [^>]*src="([^"]+)"[^>]*>', r'<a href="\1">\g<0></a>', content)


def _formula(found):
    tag, bracket, tex = found.groups()
    drawn = convert(html.unescape(tex), display="block" if bracket == "[" else "inline")
    return f'<{tag} class="formula">{drawn}</{tag}>'
