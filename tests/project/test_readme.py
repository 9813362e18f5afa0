"""The README tells the truth: its blocks do what they say, its counts and files are those of the
tree, and it is short enough to be read."""

import contextlib
import io
import re
from pathlib import Path

import pytest
from code_lines import code_lines

CHECKOUT = Path(__file__).parents[2]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
PAGES = [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").glob("**/*.md")]


def printed(source):
    """What a program prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(source, {})
    return out.getvalue()


def blocks():
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def untrue_counts(readme):
    """The rows of the table of rooms whose count of code lines is not the room's."""
    rows = re.findall(r"^\| `([^`]+)/` \| ([\d,]+) \|", readme, re.MULTILINE)
    assert {name for name, _ in rows} >= {
        "kernels", "demos", *(f"ldf_np/{p.name}" for p in (CHECKOUT / "ldf_np").iterdir()
                              if (p / "__init__.py").exists() and not p.is_symlink())}
    faults = []
    for name, count in rows:
        lines = sum(map(code_lines, (CHECKOUT / name).rglob("*.py")))
        if lines != int(count.replace(",", "")):
            faults.append(f"{name}: {lines:,} code lines, the README says {count}")
    return faults


def broken_links(page):
    """The files that a page refers to and that are not there."""
    text = page.read_text(encoding="utf-8")
    links = [page.parent / path for path in re.findall(r"\]\(([\w./-]+)\)", text)]
    programs = [CHECKOUT / path for path in re.findall(r"^python (\S+\.py)", text, re.MULTILINE)]
    return [str(path) for path in links + programs if not path.exists()]


def wrapped_into_lists(text):
    """The lines that begin a list by chance: with a number that continues none, or a plus."""
    faults, number = [], 0
    for line in re.sub(r"(```|\$\$).*?\1", "", text, flags=re.DOTALL).splitlines():
        if marker := re.match(r" *(\+|\d+[.)]) ", line):
            found = int(marker[1][:-1] or 0)
            if found not in (1, number + 1):
                faults.append(line)
            number = found
    return faults


def test_it_is_short():
    assert len(README.splitlines()) <= 120


def test_the_engine_block_prints_what_it_says():
    source, answer = re.search(r"```python\n(import numpy.*?)```\n\n```\n(.*?)```", README,
                               re.DOTALL).groups()
    assert printed(source) == answer


def test_the_quickstart_block_runs(monkeypatch, tmp_path):
    """With fewer clips and steps."""
    first = blocks()[0]
    for long, short in (("clips=5000", "clips=64, test_clips=8"), ("minutes=4, progress=True",
                                                                   "steps=4, batch_size=8")):
        assert long in first
        first = first.replace(long, short)
    monkeypatch.chdir(tmp_path)
    printed(first)
    assert (tmp_path / "pacman.safetensors").exists()


def test_counts_are_true():
    assert untrue_counts(README) == []


def test_control_a_wrong_count_is_noticed():
    altered = re.sub(r"(\| `ldf_np/nn/` \| )[\d,]+", r"\g<1>1", README)
    assert len(untrue_counts(altered)) == len(untrue_counts(README)) + 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_refers_to_is_there(page):
    assert broken_links(page) == []


def test_control_a_broken_link_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("[there](page.md) and [not there](other.md)\npython demos/nowhere.py\n"
                    "python demos/nowhere.py\n")
    assert len(broken_links(page)) == 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_line_becomes_a_list(page):
    assert wrapped_into_lists(page.read_text(encoding="utf-8")) == []


def test_control_a_line_that_becomes_a_list_is_noticed():
    assert wrapped_into_lists("1. One\n2. Two\n\n1. One\n") == []
    for line in ("  316. W1 of motion", "+ 13,872 steps", "0. Nothing"):
        assert wrapped_into_lists(f"The median is 279 and\n{line}\n") == [line]


def test_targets_exist():
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_room_and_file_is_in_the_architecture():
    text = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for path in (CHECKOUT / "ldf_np").rglob("*.py"):
        room = path.parent.name
        if path.name != "__init__.py" and room not in ("data", "kernels"):
            assert f"`{path.stem}`" in text, f"{room}/{path.name} is not in docs/architecture.md"
