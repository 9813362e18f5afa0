"""The documentation's site: it has every page and every public name, its links hold, and reading it
loads nothing from the network."""

import os
import re
import subprocess
import sys
from types import ModuleType

import pytest
from helpers import CHECKOUT

import ldf_np

CONFIG = (CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8")
LOADS = re.compile(
    r"""<(?:script|img|iframe|source|video|link)\b[^>]*\b(?:src|href)=["']?\s*(?:https?:)?//[^>]*>"""
    r"""|@import\s*(?:url\()?["']?(?:https?:)?//[^;]*|url\(["']?\s*(?:https?:)?//[^)]*""")
BESIDE = {"index.md", "CHANGELOG.md", "CONTRIBUTING.md"}        # made of files outside docs/


def navigation(config):
    """The pages that the navigation lists."""
    return re.findall(r"[\w./-]+\.md", config.split("\nnav:\n")[1])


def loads(page):
    """What a page loads from the network when it is opened."""
    return LOADS.findall(page)


def build(folder, site):
    """What `make docs` runs, into the folder ``site``. (With --quiet it would not be strict.)"""
    return subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir",
                           str(site)], cwd=folder, capture_output=True, text=True, timeout=300,
                          env=os.environ | {"NO_MKDOCS_2_WARNING": "1"})


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for name in ("mkdocs", "material", "mkdocstrings", "latex2mathml"):
        pytest.importorskip(name, reason="the extra docs is not installed: pip install -e .[docs]")
    folder = tmp_path_factory.mktemp("site")
    built = build(CHECKOUT, folder)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_the_navigation_lists_every_page():
    docs = CHECKOUT / "docs"
    pages = {page.relative_to(docs).as_posix() for page in docs.glob("**/*.md")}
    listed = navigation(CONFIG)
    assert sorted(listed) == sorted(pages | BESIDE)
    shortened = CONFIG.replace("      - training.md\n", "")         # negative control
    assert set(listed) - set(navigation(shortened)) == {"training.md"}


def undocumented(pages):
    """The modules of the rooms that no API page shows; ops and old_names only collect names."""
    modules = {f"ldf_np.{path.parent.name}.{path.stem}"
               for path in (CHECKOUT / "ldf_np").glob("*/*.py") if path.stem != "__init__"}
    return modules - set(re.findall(r"^::: (\S+)", pages, re.M)) - {
        "ldf_np.autodiff.ops", "ldf_np.runtime.old_names"}


def test_every_module_is_in_the_api():
    pages = "".join(page.read_text(encoding="utf-8") for page in CHECKOUT.glob("docs/api/*.md"))
    assert undocumented(pages) == set()
    shortened = pages.replace("::: ldf_np.models.load\n", "")        # negative control
    assert undocumented(shortened) == {"ldf_np.models.load"}


@pytest.mark.docs
def test_the_api_has_every_public_name(site):
    page = (site / "api" / "ldf_np.html").read_text(encoding="utf-8")
    names = {name for name, value in vars(ldf_np).items()
             if not name.startswith("_") and not isinstance(value, ModuleType)}
    documented = set(re.findall(r'<h3 id="[\w.]+\.(\w+)" class="doc', page))
    assert names and documented == names
    assert "The gradient of" in page and "allow_unused" in page


@pytest.mark.docs
def test_every_page_is_there_and_loads_nothing_from_elsewhere(site):
    pages = {page: page.read_text(encoding="utf-8") for page in site.glob("**/*.html")}
    assert {page.relative_to(site).with_suffix(".md").as_posix() for page in pages} == {
        *navigation(CONFIG), "404.md"}
    for page, text in pages.items():
        assert loads(text) == [], page
        assert "\\(" not in re.sub(r"<(pre|code|script)\b.*?</\1>", "", text, flags=re.S), page
    for style in site.glob("**/*.css"):
        assert loads(style.read_text(encoding="utf-8")) == [], style
    assert "<math" in pages[site / "lessons" / "3-a-penalty-by-double-backpropagation.html"]


@pytest.mark.parametrize("tag", [
    '<script src="https://cdn.example/a.js">', "<link href=//fonts.example/css>",
    "<style>@import url(https://fonts.example);</style>", '<img alt="" src="http://a.example/b.png">',
])
def test_control_what_loads_is_noticed(tag):
    page = '<img src="a.png"><script src="../a.js"></script><a href="https://arxiv.org">paper</a>'
    assert loads(page) == [] and loads(page + tag)


@pytest.mark.docs
@pytest.mark.parametrize("link, broken", [("other.md", False), ("nowhere.md", True),
                                          ("other.md#nowhere", True), ("/other.md", True)])
def test_control_a_broken_link_ends_the_build(link, broken, site, tmp_path):
    """By the same rules, on a site of two pages."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"[there]({link})")
    (tmp_path / "docs" / "other.md").write_text("# Other")
    rules = re.search(r"^validation:\n(  .*\n)+", CONFIG, re.M)[0]
    (tmp_path / "mkdocs.yml").write_text(f"site_name: two pages\n{rules}")
    assert (build(tmp_path, tmp_path / "built").returncode != 0) == broken
