"""ruff finds nothing in the tree: lines of at most 100 characters, no unused names, sorted
imports (pyproject.toml says which rules)."""

import importlib.util
import subprocess
import sys

import pytest
from helpers import CHECKOUT

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ruff") is None,
                                reason="needs ruff: pip install ruff")
SOURCES = ["setup.py", "ldf_np", "kernels", "demos", "benchmarks", "tests", "docs"]


def complaints(*paths):
    """What ruff says by the rules of the checkout, a line for each fault."""
    ended = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", "--quiet",
                            "--config", CHECKOUT / "pyproject.toml",
                            "--output-format", "concise", *paths],
                           cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert ended.returncode in (0, 1), ended.stderr
    return ended.stdout.splitlines()


def test_the_tree_is_clean():
    assert complaints(*(CHECKOUT / name for name in SOURCES)) == []


@pytest.mark.parametrize("source, rule", [
    ("x = '" + 95 * "a" + "'\n", "E501"), ("import os\n", "F401"), ("x = [1 ,2]\ny = z\n", "F821"),
    ("import re\nimport ast\n\nprint(ast, re)\n", "I001"),
])
def test_a_planted_fault_is_found(tmp_path, source, rule):       # negative control
    (tmp_path / "sound.py").write_text("x = '" + 94 * "a" + "'\n")
    assert complaints(tmp_path) == []
    (tmp_path / "planted.py").write_text(source)
    found, = complaints(tmp_path)
    assert "planted.py" in found and rule in found
