"""Text as sequences of characters: English that comes with Python, or a folder of .txt files."""

import os
import re
import string
from dataclasses import dataclass

import numpy as np

from ..runtime.checks import (
    between,
    check_size,
    checked,
    expect,
    instance,
    integer,
    path_like,
    real_array,
)

LETTERS = string.ascii_lowercase
PROSE = frozenset(LETTERS + string.digits + " .,;:'\"()-?!")
CHARACTERS = frozenset(map(chr, range(32, 127))) - set(string.ascii_uppercase)
TYPOGRAPHY = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"',
                            "\u2013": "-", "\u2014": "-", "\u2026": "...", "\ufeff": " "})
SHORTEST = 1000         # characters of a text to train on, and of a held-out one


@dataclass(frozen=True)
class Texts:
    """A text to train on and a held-out one, of other documents.

    train, test: str, of characters of ``alphabet``. alphabet: str, sorted, the characters that
    occur in either. source: where they come from.
    """

    train: str
    test: str
    alphabet: str
    source: str


@checked(folder=path_like, held_out=between(0, 1), seed=integer(0))
def load_text(folder=None, held_out=0.2, seed=0):
    """Texts: the prose in Python's own help pages (``pydoc_data.topics``), or every .txt file in
    and below ``folder``.

    Letters become small, white space one space, and typographic quotes and dashes plain ones; what
    is left has to be printable ASCII. Whole documents are held out, in an order drawn by the seed,
    until they have ``held_out`` of the characters; one that is half of the text or more, or all
    that is left to train on, is cut in two.

    Raises ValueError, naming the file, for one that is empty, that is not UTF-8, or that holds
    other characters, and for less than 1000 characters on either side; OSError for a folder that
    cannot be read.
    """
    if folder is None:
        documents, source = _help_pages(), "pydoc_data.topics"
    else:
        documents, source = _files(folder), os.fspath(folder)
    total, test, train = sum(map(len, documents)), [], []
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(documents))
    for k in order:
        wanted, text = int(held_out * total) - sum(map(len, test)), documents[k]
        last_to_train = k == order[-1] and not train
        if 0 < wanted < len(text) and (len(text) >= total / 2 or last_to_train):
            cut = text.rfind(" ", 0, -wanted) + 1
            test.append(text[cut:])
            train.append(text[:cut].rstrip())
        else:
            (test if wanted > 0 else train).append(text)
    train, test = (" ".join(filter(None, part)) for part in (train, test))
    for name, text in (("train on", train), ("hold out", test)):
        expect(len(text) >= SHORTEST, source, f"a text of at least {SHORTEST} characters to {name}",
               f"{len(text)} (in {len(documents)} documents)")
    return Texts(train, test, "".join(sorted(set(train + test))), source)


def plain(text):
    """A text with small letters, single spaces, and plain quotes and dashes."""
    return " ".join(text.translate(TYPOGRAPHY).lower().split())


def _help_pages():
    """The paragraphs of prose of each topic of Python's help, without those that hold code."""
    from pydoc_data.topics import topics

    found = []
    for name in sorted(topics):
        paragraphs = (plain(re.sub(r"[*`]", "", p)) for p in re.split(r"\n\s*\n", topics[name]))
        found.append(" ".join(p for p in paragraphs if len(p) > 60 and PROSE.issuperset(p)))
    return list(filter(None, found))


def _files(folder):
    paths = []
    for where, _, names in os.walk(folder, onerror=_fail):
        paths += [os.path.join(where, name) for name in names if name.lower().endswith(".txt")]
    # each once, whatever leads to it
    paths = [*{os.path.realpath(path): path for path in sorted(paths, reverse=True)
               if os.path.isfile(path)}.values()]
    expect(paths, f"{os.fspath(folder)}", "a folder with .txt files", "none in it")
    return [_read(path) for path in sorted(paths)]


def _fail(error):
    raise error


def _read(path):
    with open(path, "rb") as file:
        raw = file.read()
    try:
        text = plain(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8, and byte {error.start} is {raw[error.start]:#x} "
                         f"({error.reason})") from None
    expect(text, path, "text", "an empty file" if not raw else "only white space")
    if not CHARACTERS.issuperset(text):
        others = [c for c in dict.fromkeys(text) if c not in CHARACTERS]
        line = next(k for k, line in enumerate(raw.decode("utf-8").split("\n"), 1)
                    if others[0] in plain(line))
        raise ValueError(f"{path}: expected characters of printable ASCII, got {others[0]!r} in "
                         f"line {line}" + (f" and {len(others) - 1} others" * (len(others) > 1)))
    return text


def _alphabet(name, alphabet):
    instance(str)(name, alphabet)
    expect(alphabet and len(set(alphabet)) == len(alphabet), name, "different characters, at least "
           "one", repr(alphabet))


@checked(text=instance(str), alphabet=_alphabet, length=integer(), every=integer())
def one_hot(text, alphabet, length=None, every=1):
    """Text as one-hot characters, float32: (len(text), len(alphabet)), or its windows of ``length``
    characters, one ``every`` so many: (n, length, len(alphabet)).

    Raises ValueError for a character that is not in the alphabet and for a text shorter than a
    window.
    """
    others = set(text) - set(alphabet)
    expect(text and not others, "text", f"characters of {alphabet!r}, at least one",
           f"{min(others)!r} at {text.index(min(others))}" if others else "none")
    places = {c: k for k, c in enumerate(alphabet)}
    codes = np.array([places[c] for c in text])
    if length is not None:
        expect(len(text) >= length, "text", f"at least {length} characters, a window",
               f"{len(text)}")
        codes = np.lib.stride_tricks.sliding_window_view(codes, length)[::every]
    check_size("text, length", (*codes.shape, len(alphabet)))
    return np.eye(len(alphabet), dtype=np.float32)[codes]


@checked(x=real_array("n, length, characters", 1), alphabet=_alphabet)
def to_strings(x, alphabet):
    """The likeliest characters of x (n, length, len(alphabet)), one-hot or probabilities: a list of
    n texts."""
    expect(x.shape[2] == len(alphabet), "x", f"(n, length, {len(alphabet)})", x)
    return ["".join(alphabet[k] for k in row) for row in x.argmax(axis=-1)]
