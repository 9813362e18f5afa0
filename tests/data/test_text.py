"""Text: the English that Python carries, folders of files and what is wrong with them, one-hots."""

import os

import numpy as np
import pytest

from ldf_np.data import load_text, one_hot, to_strings

LINE = "Don\u2019t  panic \u2014 the Answer\tis\n42. " * 60


def write(folder, **files):
    for name, content in files.items():
        path = folder / f"{name}.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def test_the_prose_of_pythons_help():
    text = load_text()
    assert len(text.train) > 50_000 and len(text.test) > 10_000
    assert set(text.train + text.test) == set(text.alphabet) and text.alphabet == "".join(
        sorted(text.alphabet))
    assert " the " in text.train and "  " not in text.train and not set("A*_") & set(text.alphabet)
    again, other = load_text(), load_text(seed=1)
    assert again == text and other.test != text.test


def test_a_folder_of_files(tmp_path):
    write(tmp_path, a=LINE, b="Second " * 400, c="third, " * 400)
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", d="fourth " * 400)
    (tmp_path / "notes.md").write_text("no text")
    text = load_text(tmp_path, held_out=0.3)
    whole = text.train + " " + text.test
    for part in ("don't panic - the answer is 42.", "second second", "third, third", "fourth"):
        assert part in whole
    assert "no text" not in whole and text.source == str(tmp_path)
    assert 0.15 < len(text.test) / len(whole) < 0.6


@pytest.mark.parametrize("more", [{}, {"b": "short"}])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_file_that_is_most_of_the_text_is_cut_in_two(tmp_path, more, seed):
    text = load_text(write(tmp_path, a=LINE * 2, **more), held_out=0.4, seed=seed)
    assert abs(len(text.test) / len(text.train + text.test) - 0.4) < 0.02
    assert text.train.startswith("don't panic - the answer is 42. don't")


@pytest.mark.parametrize("files, held_out", [
    ([LINE * 2], 0.6), ([LINE, LINE], 0.2), ([LINE, LINE], 0.6), ([LINE, LINE], 0.9),
    ([LINE, LINE * 2, LINE], 0.9), ([LINE * 3, LINE * 2], 0.7)])
@pytest.mark.parametrize("seed", [0, 1])
def test_any_part_is_held_out(tmp_path, files, held_out, seed):
    """Where whole documents cannot make it, one is cut."""
    text = load_text(write(tmp_path, **dict(zip("abc", (file * 12 for file in files)))),
                     held_out=held_out, seed=seed)
    assert abs(len(text.test) / len(text.train + text.test) - held_out) < 0.3 * held_out
    assert "  " not in text.train + text.test and text.train == text.train.strip()


@pytest.mark.parametrize("files, message", [
    ({}, "expected a folder with .txt files, got none in it"),
    ({"a": LINE, "b": ""}, "b.txt: expected text, got an empty file"),
    ({"a": LINE, "b": " \n\t"}, "b.txt: expected text, got only white space"),
    ({"a": LINE, "b": b"caf\xe9 " * 90}, "b.txt: expected UTF-8, and byte 3 is 0xe9"),
    ({"a": LINE, "b": "one\ntwo caf\u00e9\n" * 90},
     "b.txt: expected characters of printable ASCII, got 'é' in line 2"),
    ({"a": LINE, "b": "one \u03c0 \u03c1 " * 90}, "got 'π' in line 1 and 1 others"),
    ({"a": "nul \x00" * 400}, "a.txt: expected characters of printable ASCII, got '\\x00'"),
    ({"a": "short"}, "expected a text of at least 1000 characters to train on, got "),
    ({"a": LINE}, "expected a text of at least 1000 characters to hold out")])
def test_bad_files(tmp_path, files, message):
    with pytest.raises(ValueError) as caught:
        load_text(write(tmp_path, **files))
    assert message in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_text(tmp_path / "none")


def test_one_hots_and_back():
    x = one_hot("abcab", "cab")
    np.testing.assert_array_equal(x.argmax(-1), [1, 2, 0, 1, 2])
    assert x.dtype == np.float32 and x.sum() == 5
    windows = one_hot("abcab", "cab", 3, 2)
    assert windows.shape == (2, 3, 3) and to_strings(windows, "cab") == ["abc", "cab"]
    assert to_strings(windows, "xyz") == ["yzx", "xyz"]         # control: of another alphabet


@pytest.mark.parametrize("call, message", [
    (lambda: one_hot("abxd", "abd"),
     "text: expected characters of 'abd', at least one, got 'x' at 2"),
    (lambda: one_hot("", "ab"), "text: expected characters of 'ab', at least one, got none"),
    (lambda: one_hot(b"ab", "ab"), "text: expected a str, got bytes"),
    (lambda: one_hot("ab", "aba"), "alphabet: expected different characters, at least one, got"),
    (lambda: one_hot("ab", ""), "alphabet: expected different characters"),
    (lambda: one_hot("ab", "ab", 3), "text: expected at least 3 characters, a window, got 2"),
    (lambda: one_hot("ab" * 300000, "ab", 300000), "text, length: an array of shape 300001x3000"),
    (lambda: one_hot("ab", "ab", 0), "length: expected at least 1, got 0"),
    (lambda: one_hot("ab", "ab", 1, 0), "every: expected at least 1, got 0"),
    (lambda: to_strings(np.ones((2, 3)), "ab"), "x: expected shape (n, length, characters), got"),
    (lambda: to_strings(np.ones((2, 3, 4)), "ab"), "x: expected (n, length, 2), got shape"),
    (lambda: load_text(held_out=0), "held_out: expected a number in (0, 1), got 0"),
    (lambda: load_text(held_out=1.0), "held_out: expected a number in (0, 1), got 1.0"),
    (lambda: load_text(seed=-1), "seed: expected at least 0, got -1")])
def test_bad_input(call, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert message in str(caught.value)


def test_a_text_that_two_names_lead_to_is_read_once(tmp_path):
    for name in "acde":
        (tmp_path / f"{name}.txt").write_text(f"{name}{name} text " * 300)
    (tmp_path / "b.txt").symlink_to(tmp_path / "a.txt")
    os.mkfifo(tmp_path / "pipe.txt")            # which nobody writes into
    found = load_text(tmp_path, held_out=0.5)
    words = [set(some.split()) - {"text"} for some in (found.train, found.test)]
    assert not words[0] & words[1] and words[0] | words[1] == {"aa", "cc", "dd", "ee"}


def test_lines_are_counted_as_editors_count_them(tmp_path):
    (tmp_path / "a.txt").write_text("one\x0btwo\u2028three\nfour \u00e9")
    with pytest.raises(ValueError, match="in line 2"):
        load_text(tmp_path)
