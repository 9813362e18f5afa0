"""The lessons tell the truth: each page runs as one program and prints what it shows, and the
pictures on it are those that it makes."""

import re
import sys

import lessons
import numpy as np
import nvrtc
import pytest
from emulator import COMPILER
from helpers import CHECKOUT
from PIL import Image

import ldf_np as ldf

FOLDER = CHECKOUT / "docs" / "lessons"
PAGES = sorted(FOLDER.glob("*.md"))
NEEDS = {"4": "sklearn", "6": "ale_py"}
MOST_LINES = 120        # of a page without the solutions


@pytest.fixture(autouse=True)
def undo(monkeypatch):
    """Lesson 7 works on one thread and with the tools of the tests."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    ldf.set_num_threads(2)


def pictures(text):
    return re.findall(r"!\[[^\]]+\]\(([\w-]+\.png)\)", text)


def altered(one, other):
    """The part of the pixels that differ clearly, 1.0 where the sizes do."""
    one, other = (np.asarray(Image.open(path).convert("RGB"), int) for path in (one, other))
    if one.shape != other.shape:
        return 1.0
    return float(np.mean(np.abs(one - other).max(axis=-1) > 64))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_it_prints_what_it_shows(page, tmp_path):
    number, text = page.name[0], page.read_text(encoding="utf-8")
    if number in NEEDS:
        pytest.importorskip(NEEDS[number], reason="the page says so")
    if number == "7" and (COMPILER is None or nvrtc.library() is None):
        pytest.skip("needs g++ and NVRTC, as the page says")
    lessons.Page(page).check()
    made = {path.name for path in tmp_path.glob("*.png")}
    assert made == set(pictures(text))
    for name in made:
        assert altered(tmp_path / name, FOLDER / name) < 0.1, f"{name} is not what the page makes"


def test_there_are_eight_of_one_form():
    assert [page.name[:2] for page in PAGES] == [f"{n}-" for n in range(1, 9)]
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {page.name[0]}. ")
        assert re.findall(r"^\*\*(\d)\.\*\*", text.split("\n## Exercises\n")[1], re.M) == ["1", "2"]
        solutions = re.findall(r"<details markdown=\"1\"><summary>Solution</summary>\n\n.*?\n\n"
                               r"</details>\n", text, re.S)
        assert len(solutions) == 2 and all("```python" in some for some in solutions), page.name
        alone = re.sub(r"<details.*?</details>", "", text, flags=re.S)
        assert len(alone.splitlines()) <= MOST_LINES, page.name
        for code in re.findall(r"```python\n(.*?)```", text, re.S):
            assert max(map(len, code.splitlines())) <= 100, page.name


SOUND = "```python\nprint(6 * 7)\n```\n```text\n42\n```\n"


@pytest.mark.parametrize("old, new", [
    ("42", "43"), ("42\n", ""), ("```text\n42\n```\n", ""), ("6 * 7", "6 * 8"), ("6 * 7", "oops"),
    ("```text", "```python\nprint(1)\n```\n```text"),
])
def test_control_a_wrong_page_is_noticed(old, new, tmp_path):
    (tmp_path / "sound.md").write_text(SOUND)
    lessons.Page(tmp_path / "sound.md").check()
    (tmp_path / "wrong.md").write_text(SOUND.replace(old, new))
    with pytest.raises((AssertionError, NameError)):
        lessons.Page(tmp_path / "wrong.md").check()


def test_control_another_picture_is_noticed(tmp_path):
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.png")
    for size, value in ((4, 255), (5, 0)):
        Image.fromarray(np.full((size, size, 3), value, np.uint8)).save(tmp_path / "b.png")
        assert altered(tmp_path / "a.png", tmp_path / "b.png") == 1.0
    assert altered(tmp_path / "a.png", tmp_path / "a.png") == 0.0
