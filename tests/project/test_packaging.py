"""The shape of the package: imports only go down, `import ldf_np` is light, a wheel works outside
the checkout."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy
import pytest

from ldf_np.models import pretrained

CHECKOUT = Path(__file__).resolve().parents[2]

# The rooms, lowest first: a module imports from its own room and from those before it. The last
# two stand side by side, but for three modules by which Section 3.2 draws, reckons and reports.
ROOMS = ["kernels", "runtime", "data", "autodiff", "nn", "training", "models", "experiments",
         "gaussian"]
FOR_GAUSSIAN = {f"ldf_np.experiments.{name}" for name in ("statistics", "plots", "report")}


# ----------------------------------------------------------------------------------------- imports


def read_sources():
    """Map the name of every library module ("ldf_np.nn.layers", "ldf_np.kernels.conv") to its
    source."""
    sources = {}
    for folder, prefix in ((CHECKOUT / "ldf_np", ["ldf_np"]),
                           (CHECKOUT / "kernels", ["ldf_np", "kernels"])):
        for path in sorted(folder.rglob("*.py")):
            parts = prefix + list(path.relative_to(folder).with_suffix("").parts)
            sources[".".join(parts)] = path.read_text(encoding="utf-8")
    return sources


def imported_modules(name, source, known):
    """Yield the absolute name of each module that the module `name` imports, at its top or inside a
    function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            # one dot is the package that `name` lies in, each further dot its parent
            if node.level:
                package = name.split(".")[: -node.level]
                base = ".".join(package + ([node.module] if node.module else []))
            # `from . import ops` imports the module ops, not a name of the package
            inner = [f"{base}.{alias.name}" for alias in node.names]
            found = [one if one in known or f"{one}.__init__" in known else base for one in inner]
        else:
            continue
        yield from (f"{one}.__init__" if f"{one}.__init__" in known else one for one in found)


def in_a_circle(graph):
    """The modules of a graph {module: those it imports} that lie on a circle or between two."""
    left = {one: graph[one] & graph.keys() for one in graph}
    # What imports none of those left, or what none of them imports, lies on no circle.
    while free := {one for one in left if not left[one] & left.keys()
                   or not any(one in targets for targets in left.values())}:
        left = {one: targets - free for one, targets in left.items() if one not in free}
    return sorted(left)


def import_faults(sources):
    """Every broken rule of the imports, one sentence each."""
    faults, graph = [], {}
    for name, source in sources.items():
        if name == "ldf_np.__init__":       # gathers the public names from everywhere
            continue
        here = name.split(".")[1]
        if here not in ROOMS:
            faults.append(f"{name} lies in no room: add {here!r} to ROOMS in {Path(__file__).name}")
            continue
        graph[name] = set(imported_modules(name, source, sources))
        for target in graph[name]:
            package, _, rest = target.partition(".")
            there = rest.partition(".")[0]
            if package in ("cupy", "cupyx", "cupy_backends") and name != "ldf_np.kernels.cuda":
                faults.append(f"{name} imports {target}: only kernels/cuda.py may")
            if package != "ldf_np":
                continue
            if there in ("", "__init__"):
                faults.append(f"{name} imports from ldf_np itself, which is above everything")
            elif there not in ROOMS or ROOMS.index(there) > ROOMS.index(here):
                faults.append(f"{name} imports {target}: upward")
            elif (here, there) == ("gaussian", "experiments") and target not in FOR_GAUSSIAN:
                faults.append(f"{name} imports {target}: gaussian and experiments stand side by "
                              f"side, but for {', '.join(sorted(FOR_GAUSSIAN))}")
    if circle := in_a_circle(graph):
        faults.append(f"these import each other in a circle: {', '.join(circle)}")
    return faults


def test_imports_only_go_down():
    sources = read_sources()
    assert {"ldf_np.__init__", "ldf_np.kernels.conv", "ldf_np.nn.layers"} <= set(sources)
    assert import_faults(sources) == []


@pytest.mark.parametrize("name, line, complaint", [
    ("ldf_np.autodiff.engine", "from ..nn.layers import Linear", "upward"),
    ("ldf_np.autodiff.engine", "from .. import nn", "upward"),
    ("ldf_np.autodiff.engine", "def late():\n    import ldf_np.nn.layers", "upward"),
    ("ldf_np.data.clips", "from ..autodiff.engine import Tensor", "upward"),
    ("ldf_np.autodiff.engine", "from ldf_np import Tensor", "above everything"),
    ("ldf_np.nn.layers", "from .. import Tensor", "above everything"),
    ("ldf_np.autodiff.engine", "import cupy as cp", "only kernels/cuda.py"),
    ("ldf_np.kernels.conv", "from ..runtime.device import xp", "upward"),
    ("ldf_np.experiments.plots", "from ..gaussian import theory", "upward"),
    ("ldf_np.gaussian.theory", "from ..experiments.metrics import kid", "side by side"),
    ("ldf_np.autodiff.engine", "from .ops import add", "circle: ldf_np.autodiff.engine, "),
    ("ldf_np.autodiff.engine", "def late():\n    from . import ops", "circle"),
    ("ldf_np.nn.module", "from . import Linear", "circle"),
    ("ldf_np.nn.module", "from .module import Module", "circle: ldf_np.nn.module"),
    ("ldf_np.attic.box", "import numpy", "no room"),
    ("ldf_np.engine", "import numpy", "no room"),
])
def test_a_planted_import_is_found(name, line, complaint):
    """Negative control: a small sound library, with one wrong line planted in it."""
    library = {
        "ldf_np.__init__": "from .nn import Linear\nfrom . import gaussian",
        "ldf_np.kernels.__init__": "from . import conv",
        "ldf_np.kernels.conv": "import numpy as np",
        "ldf_np.kernels.cuda": "import cupy",
        "ldf_np.runtime.device": "from ldf_np.kernels import cuda",
        "ldf_np.data.clips": "from ..runtime import device",
        "ldf_np.autodiff.engine": "from ..kernels import conv\nfrom ..runtime.device import xp",
        "ldf_np.autodiff.ops": "from .engine import Tensor",
        "ldf_np.nn.__init__": "from . import layers\nfrom .layers import Linear",
        "ldf_np.nn.module": "import numpy",
        "ldf_np.nn.layers": "from . import module\nfrom ..autodiff import ops",
        "ldf_np.experiments.plots": "from .. import nn",
        "ldf_np.experiments.report": "from . import plots",
        "ldf_np.gaussian.theory": "import scipy\nfrom ..experiments.plots import save",
    }
    assert import_faults(library) == []
    library[name] = library.get(name, "") + "\n" + line
    faults = import_faults(library)
    assert any(complaint in fault for fault in faults), faults


def misplaced(folder):
    """What lies in the folder of the library beside rooms and ``__init__.py``."""
    return sorted(path.name for path in folder.iterdir()
                  if not path.is_dir() and path.name != "__init__.py")


def test_every_file_lies_in_a_room(tmp_path):
    assert misplaced(CHECKOUT / "ldf_np") == []
    (tmp_path / "nn").mkdir()
    for name in ("__init__.py", "layers.py"):
        (tmp_path / name).touch()
    assert misplaced(tmp_path) == ["layers.py"]         # negative control


# ------------------------------------------------------------------------------------ in a process


def run_python(code, *options, **settings):
    """Run `code` in a fresh interpreter and return what it printed, read as JSON."""
    result = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True,
                            timeout=120, **settings)
    assert result.returncode == 0, f"{code}\nfailed with\n{result.stderr}"
    return json.loads(result.stdout)


def test_import_is_light():
    heavy = {"cupy", "matplotlib", "scipy", "PIL", "ale_py"}
    code = "import sys, json{}; print(json.dumps(sorted(sys.modules)))"
    assert heavy & set(run_python(code.format(", ldf_np"))) == set()
    # Negative control: the same look does see such imports.
    assert heavy & set(run_python(code.format(", ldf_np.experiments.plots, scipy"))) >= {
        "PIL", "scipy"}


def copy_sources(folder):
    """Put ldf_np/ and kernels/ side by side into a folder, as they lie in a clone."""
    for name in ("ldf_np", "kernels"):
        shutil.copytree(CHECKOUT / name, folder / name,
                        ignore=shutil.ignore_patterns("__pycache__", "kernels"))


# The flag -S leaves out what is installed, and with it the finder of an editable installation.
@pytest.mark.parametrize("installed", [[], [str(Path(numpy.__file__).parents[1])]],
                         ids=["alone", "beside NumPy and the others"])
def test_a_clone_that_was_not_installed_says_what_to_do(tmp_path, installed):
    copy_sources(tmp_path)
    path = os.pathsep.join([str(tmp_path), *installed])
    code = ("import json\ntry: import ldf_np\n"
            "except ImportError as error: print(json.dumps(str(error)))")
    said = run_python(code, "-S", cwd=tmp_path, env=os.environ | {"PYTHONPATH": path})
    assert "`pip install -e .`" in said and "\n" not in said
    # Negative control: once kernels/ is where the installation puts it, nothing is said.
    if installed:
        shutil.move(tmp_path / "kernels", tmp_path / "ldf_np")
        code = "import json, ldf_np; print(json.dumps(ldf_np.__version__))"
        assert run_python(code, "-S", cwd=tmp_path, env=os.environ | {"PYTHONPATH": path})


def test_tests_run_on_this_checkout():
    """An environment that was copied with its checkout would quietly go on testing the old one."""
    import ldf_np
    import ldf_np.kernels

    assert Path(ldf_np.__file__).resolve() == CHECKOUT / "ldf_np" / "__init__.py"
    assert Path(ldf_np.kernels.__file__).resolve() == CHECKOUT / "kernels" / "__init__.py"


# ------------------------------------------------------------------------------------------- wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built, without the network, from a copy of the tree: nothing is left behind in the
    checkout."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("setup.py", "pyproject.toml", "LICENSE"):
        shutil.copy(CHECKOUT / name, tree)
    copy_sources(tree)
    out = tmp_path_factory.mktemp("wheel")
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    result = subprocess.run([sys.executable, "-c", build, str(out)], cwd=tree, timeout=120,
                            capture_output=True, text=True)
    assert result.returncode == 0, f"building the wheel failed:\n{result.stdout}\n{result.stderr}"
    (path,) = out.glob("*.whl")
    return path


def test_wheel_holds_every_source(wheel):
    kernels = [*CHECKOUT.glob("kernels/*.py"), *CHECKOUT.glob("kernels/*.cu")]
    wanted = {path.relative_to(CHECKOUT).as_posix() for path in CHECKOUT.glob("ldf_np/**/*.py")}
    wanted |= {f"ldf_np/kernels/{path.name}" for path in kernels}
    wanted |= {"ldf_np/experiments/page.html"}
    wanted |= {f"ldf_np/models/pretrained/{name}.{kind}" for name in pretrained.NAMES
               for kind in ("json", "safetensors")}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == wanted


def test_wheel_works_outside_the_checkout(wheel, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    rooms = [f"ldf_np.{room}" for room in ROOMS]
    code = (f"import sys, json, {', '.join(rooms)}\n"
            "print(json.dumps({n: m.__file__ for n, m in sys.modules.items()"
            " if n.split('.')[0] == 'ldf_np'}))")
    files = run_python(code, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)})
    assert {"ldf_np", *rooms} <= set(files)
    assert [name for name, file in files.items()
            if not Path(file).resolve().is_relative_to(site.resolve())] == []


# ---------------------------------------------------------------------------------- what it advises


def foreign_advice(folder):
    """Lines that advise installing this package by its name from the index, where nobody of this
    project has registered it."""
    names = []
    for place, folders, files in os.walk(folder):
        folders[:] = set(folders) - {".venv", ".git", "out", "build"}       # not even looked into
        names += [Path(place, name) for name in files
                  if name.endswith((".py", ".md")) or name == "Makefile"]
    return [f"{path.name}: {line.strip()}" for path in names
            for line in path.read_text(encoding="utf-8").splitlines()
            if re.search(r"pip install (-\S+ )*[\"'`]?ldf[_-]np", line)]


def test_nobody_is_sent_to_the_index(tmp_path):
    assert foreign_advice(CHECKOUT) == []
    words = "pip install"
    (tmp_path / "page.md").write_text(f'{words} "ldf_np[cuda12]"\n{words} -e ".[cuda12]"\n')
    assert len(foreign_advice(tmp_path)) == 1           # negative control
