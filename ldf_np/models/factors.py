"""How an object falls into local factors, and how they make it again.

A split has ``count``, how many factors an object has, and ``split`` and ``merge``, each other's
inverse.
"""

from ..runtime.checks import channels_last_array, checked, expect, integer, multiple, shaped
from .base import RULES


class Frames:
    """A video as its frames: (n, t, ...) <-> (n, t, ...). A clip's factors are its t frames."""

    @checked(RULES)
    def __init__(self, count):
        self.count = count

    @checked(shaped("x", "n", "count", "...", what="clips"))
    def split(self, x):
        """(n, t, ...) -> (n, t, ...), checked."""
        return x

    def merge(self, factors):
        """The inverse of ``split``."""
        return factors


class Patches:
    """An image as a grid of patches, row by row:
    (n, h, w, c) <-> (n, rows * columns, h / rows, w / columns, c)."""

    @checked(rows=integer(), columns=integer())
    def __init__(self, rows, columns):
        self.rows, self.columns, self.count = rows, columns, rows * columns

    @checked(x=channels_last_array("n, h, w, c"))
    def split(self, x):
        """(n, h, w, c) -> (n, rows * columns, h / rows, w / columns, c)."""
        n, h, w, c = x.shape
        expect(h % self.rows == 0 == w % self.columns, "x",
               f"images that divide into {self.rows} x {self.columns} patches", x)
        h, w = h // self.rows, w // self.columns
        grid = x.reshape(n, self.rows, h, self.columns, w, c)
        return grid.transpose(0, 1, 3, 2, 4, 5).reshape(n, self.count, h, w, c)

    @checked(shaped("factors", "n", "count", "h", "w", "c", what="patches"))
    def merge(self, factors):
        """The inverse of ``split``."""
        n, _, h, w, c = factors.shape
        grid = factors.reshape(n, self.rows, self.columns, h, w, c).transpose(0, 1, 3, 2, 4, 5)
        return grid.reshape(n, self.rows * h, self.columns * w, c)


class Groups:
    """Codes of the level below in groups of ``size`` neighbours:
    (n, k, ...) <-> (n, k / size, size * code)."""

    @checked(RULES)
    def __init__(self, size, below, code_shape):
        multiple(size)("below", below)
        self.below, self.count, self.code_shape = below, below // size, tuple(code_shape)

    @checked(shaped("x", "n", "below", "*code_shape", what="codes"))
    def split(self, x):
        """(n, k, ...) -> (n, k / size, size * code)."""
        return x.reshape(len(x), self.count, -1)

    def merge(self, factors):
        """The inverse of ``split``."""
        return factors.reshape(len(factors), self.below, *self.code_shape)
