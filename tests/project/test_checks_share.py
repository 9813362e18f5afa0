"""Checks of arguments stay outside the mathematics: they are a small part of the code lines."""

import ast

from check_lines import check_lines, checks_of, share
from helpers import CHECKOUT

ROOMS = [CHECKOUT / "ldf_np" / room for room in ("models", "nn", "training")]
MOST = 0.05         # counted as strictly as check_lines.py does

FILE = '''
from ..runtime.relations import expect, integer
from ..runtime.rules import checked

LONG = integer(3)
KEPT = 4


@checked(n=LONG)
def repeated(x, n):
    if n > len(x):
        raise ValueError(f"n: {n}")
    expect(n < KEPT, "n",
           "less", n)
    return x * n * KEPT


def length(integer):
    return integer(1)
'''


def test_checks_are_a_small_part():
    assert 0.03 < share(ROOMS) < MOST


def test_what_is_counted():
    tree = ast.parse(FILE)
    nodes, = checks_of([tree])
    assert sorted((node.lineno, node.end_lineno) for node in nodes) == [
        (5, 5), (9, 9), (11, 12), (13, 14)]


def test_a_check_more_is_noticed(tmp_path):            # negative control
    (tmp_path / "a.py").write_text(FILE)
    before = share([tmp_path])
    (tmp_path / "b.py").write_text(FILE.replace("    return x", "    expect(x, 'x', 1, 0)\n"
                                                "    return x"))
    assert share([tmp_path]) > before == 6 / 13
    assert check_lines([tmp_path])[tmp_path / "b.py"] >= {15}
