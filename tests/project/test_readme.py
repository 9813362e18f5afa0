"""The README tells the truth: its block prints what it says, its line counts and its files are
those of the tree."""

import contextlib
import io
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


def printed(source):
    """What a program prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(source, {})
    return out.getvalue()


def untrue_counts(readme):
    """The rows of the map whose line count is not the file's."""
    rows = re.findall(r"^\| `([^`]+)` \| ([\d,]+) \|", readme, re.MULTILINE)
    assert len(rows) > 15
    faults = []
    for name, count in rows:
        lines = len((CHECKOUT / name).read_text(encoding="utf-8").splitlines())
        if lines != int(count.replace(",", "")):
            faults.append(f"{name}: {lines} lines, the README says {count}")
    return faults


def test_the_block_prints_what_it_says():
    source, answer = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.DOTALL).groups()
    assert printed(source) == answer


def test_the_hierarchy_block_runs():
    printed(re.findall(r"```python\n(.*?)```", README, re.DOTALL)[1])


def test_line_counts_are_true():
    assert untrue_counts(README) == []


def test_every_library_file_is_on_the_map():
    for folder in ("ldf_np", "kernels", "demos", "benchmarks"):
        for path in (CHECKOUT / folder).rglob("*.py"):
            name = path.relative_to(CHECKOUT).as_posix()
            assert path.name == "__init__.py" or f"`{name}`" in README, f"{name} is not on the README's map"


def test_named_files_and_targets_exist():
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for path in re.findall(
        r"\]\(([\w./-]+)\)", README) + re.findall(r"^python (\S+)", README, re.MULTILINE):
        assert (CHECKOUT / path).exists(), path


@pytest.mark.parametrize("count", ["1", "9,999"])
def test_control_a_wrong_count_is_noticed(count):
    altered = re.sub(r"(\| `ldf_np/engine.py` \| )[\d,]+", rf"\g<1>{count}", README)
    assert len(untrue_counts(altered)) == len(untrue_counts(README)) + 1
