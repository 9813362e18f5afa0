"""The shape of the package: imports only go down, `import ldf_np` is light, a wheel works outside
the checkout."""

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

# The floors of the house, lowest first. A module may import modules of its own floor and of those
# below.
FLOORS = [
    {"kernels", "files", "expect", "gaussian", "gaussian_theory", "gaussian_curves",
     "gaussian_experiments"},
    {"backend"},
    {"parallel"},
    {"random", "engine", "threads"},
    {"ops", "conv", "norm"},
    {"layers", "optim", "losses", "penalty", "check", "guard", "graph"},
    {"ali", "gan", "vae", "classifier"},
    {"hierarchy", "apart", "nets", "patch_nets"},
    {"linear_ldf"},
]
# These import whatever they need, and ali and the floors above it may import them; that no cycle is
# left keeps "never upward" true for them as well.
BESIDE = {"training", "checkpoint", "records", "metrics", "plots", "report", "experiment", "data"}
LOWEST_TO_IMPORT_BESIDE = next(k for k, rooms in enumerate(FLOORS) if "ali" in rooms)
# Closed rooms: what else of ldf_np they may import.
THEORY = {"gaussian", "gaussian_theory", "gaussian_curves", "gaussian_experiments"}
ONLY = {"kernels": {"kernels"}, "files": set(), "threads": {"backend", "expect", "parallel"},
        **dict.fromkeys(THEORY, THEORY)}


# ----------------------------------------------------------------------------------------- imports


def read_sources():
    """Map the name of every library module ("ldf_np.engine", "ldf_np.kernels.conv") to its
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
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            # one dot is the package that `name` lies in, each further dot its parent
            if node.level:
                package = name.split(".")[: -node.level]
                base = ".".join(package + ([node.module] if node.module else []))
            # `from . import ops` imports the module ops, not a name of the package
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in known or f"{inner}.__init__" in known else base


def room(module):
    """ "ldf_np.kernels.conv" -> "kernels"; the package itself -> ""."""
    parts = [part for part in module.split(".") if part != "__init__"]
    return parts[1] if len(parts) > 1 else ""


def floor(name):
    return next((k for k, rooms in enumerate(FLOORS) if name in rooms), None)


def import_faults(sources):
    """Every broken rule of the import graph, one sentence each; [] when the house stands."""
    faults, graph = [], {}
    for name, source in sources.items():
        here = room(name)
        if here == "":  # ldf_np/__init__.py gathers the public names from everywhere
            continue
        if floor(here) is None and here not in BESIDE:
            faults.append(f"{name} has no floor: add {here!r} to FLOORS in tests/test_packaging.py")
            continue
        for target in imported_modules(name, source, sources):
            if target.split(".")[0] in ("cupy", "cupyx",
                                        "cupy_backends") and name != "ldf_np.kernels.cuda":
                faults.append(f"{name} imports {target}: only kernels/cuda.py may")
            if target.split(".")[0] != "ldf_np":
                continue
            there = room(target)
            if there == "":
                faults.append(f"{name} imports from ldf_np itself, which is above everything")
                continue
            if there != here:
                graph.setdefault(here, set()).add(there)
            if here in ONLY and there not in ONLY[here]:
                faults.append(f"{name} imports {target}: {here} stands on its own")
            elif there in BESIDE and here not in BESIDE and floor(here) < LOWEST_TO_IMPORT_BESIDE:
                faults.append(f"{name} imports {target}: upward")
            elif here not in BESIDE and there not in BESIDE and (
                floor(there) is None or floor(there) > floor(here)):
                faults.append(f"{name} imports {target}: upward")
    # Take away rooms that import none of those left, or that none of them imports: only circles
    # cannot be taken away.
    rooms = set(graph) | {there for targets in graph.values() for there in targets}
    while free := {
        one for one in rooms if not graph.get(one, set()) & rooms
        or not any(one in graph.get(r, set()) for r in rooms)
    }:
        rooms -= free
    if rooms:
        faults.append(f"these import each other in a circle: {', '.join(sorted(rooms))}")
    return faults


def test_imports_only_go_down():
    sources = read_sources()
    assert "ldf_np.__init__" in sources and "ldf_np.kernels.conv" in sources
    assert import_faults(sources) == []


@pytest.mark.parametrize(
    "name, line, complaint",
    [
        ("ldf_np.engine", "from .ops import add", "upward"),
        ("ldf_np.engine", "from . import ops", "upward"),
        ("ldf_np.engine", "def late():\n    import ldf_np.ops", "upward"),
        ("ldf_np.engine", "from .training import fit", "upward"),
        ("ldf_np.engine", "from ldf_np import Tensor", "above everything"),
        ("ldf_np.engine", "import cupy as cp", "only kernels/cuda.py"),
        ("ldf_np.kernels.conv", "from ..backend import xp", "stands on its own"),
        ("ldf_np.kernels.conv", "from ldf_np.engine import Tensor", "stands on its own"),
        ("ldf_np.gaussian", "from .engine import Tensor", "stands on its own"),
        ("ldf_np.training", "from .ali import ALI", "circle"),
        ("ldf_np.ops", "from .conv import conv2d", "circle"),
        ("ldf_np.attic", "import numpy", "no floor"),
    ],
)
def test_a_planted_fault_is_found(name, line, complaint):
    """Negative control: a small sound house, with one wrong line planted in it."""
    house = {
        "ldf_np.__init__": "from .ali import ALI",
        "ldf_np.kernels.__init__": "from . import conv",
        "ldf_np.kernels.conv": "import numpy as np",
        "ldf_np.kernels.cuda": "import cupy",
        "ldf_np.gaussian": "import scipy",
        "ldf_np.backend": "from ldf_np.kernels import cuda",
        "ldf_np.engine": "from . import backend",
        "ldf_np.ops": "from .engine import Tensor",
        "ldf_np.conv": "from . import ops\nfrom .kernels import conv",
        "ldf_np.training": "from .engine import Tensor",
        "ldf_np.ali": "from .training import fit",
        "ldf_np.data.__init__": "from .files import read",
        "ldf_np.data.files": "from . import __init__",
    }
    assert import_faults(house) == []
    house[name] = house.get(name, "") + "\n" + line
    faults = import_faults(house)
    assert any(complaint in fault for fault in faults), faults


# ------------------------------------------------------------------------------------ in a process


def run_python(code, **options):
    """Run `code` in a fresh interpreter and return what it printed, read as JSON."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                            timeout=120, **options)
    assert result.returncode == 0, f"{code}\nfailed with\n{result.stderr}"
    return json.loads(result.stdout)


def test_import_is_light():
    heavy = {"cupy", "matplotlib", "ale_py"}
    code = "import sys, json{}; print(json.dumps(sorted(sys.modules)))"
    assert heavy & set(run_python(code.format(", ldf_np"))) == set()
    # Negative control: the same look does see such an import.
    assert heavy & set(run_python(code.format(", ldf_np, matplotlib"))) == {"matplotlib"}


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
    for name in ("ldf_np", "kernels"):
        shutil.copytree(CHECKOUT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    out = tmp_path_factory.mktemp("wheel")
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    result = subprocess.run(
        [sys.executable, "-c", build, str(out)], cwd=tree, capture_output=True, text=True,
        timeout=120
    )
    assert result.returncode == 0, f"building the wheel failed:\n{result.stdout}\n{result.stderr}"
    (path,) = out.glob("*.whl")
    return path


def test_wheel_holds_every_source(wheel):
    wanted = {
        path.relative_to(CHECKOUT).as_posix()
        for pattern in ("ldf_np/*.py", "ldf_np/data/*.py")
        for path in CHECKOUT.glob(pattern)
    }
    kernels = [*CHECKOUT.glob("kernels/*.py"), *CHECKOUT.glob("kernels/*.cu")]
    wanted |= {f"ldf_np/kernels/{path.name}" for path in kernels}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == wanted


def test_wheel_works_outside_the_checkout(wheel, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    code = (
        "import sys, json, ldf_np, ldf_np.kernels, ldf_np.data\n"
        "print(json.dumps({n: m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == "
        "'ldf_np'}))"
    )
    files = run_python(code, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)})
    assert {"ldf_np", "ldf_np.kernels", "ldf_np.data"} <= set(files)
    assert [name for name, file in files.items()
            if not Path(file).resolve().is_relative_to(site.resolve())] == []
