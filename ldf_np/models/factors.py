"""How an object falls into local factors, and how they make it again: a class with ``count``,
``split`` and ``merge``."""

from ..runtime.checks import channels_last, numbers, whole


class Frames:
    """A video as its frames: (n, t, ...) <-> (n, t, ...). The factors of a clip are its ``t``
    frames."""

    def __init__(self, count):
        self.count = whole("count", count)

    def split(self, x):
        """(n, t, ...) -> (n, t, ...), checked."""
        if numbers("x", x).ndim < 3 or x.shape[1] != self.count:
            raise ValueError(f"x: expected clips (n, {self.count}, ...), got shape {x.shape}")
        return x

    def merge(self, factors):
        """The inverse of ``split``."""
        return factors


class Patches:
    """An image as a grid of patches: (n, h, w, c) <-> (n, rows * columns, h / rows, w / columns,
    c), row by row."""

    def __init__(self, rows, columns):
        self.rows, self.columns, self.count = whole(
            "rows", rows), whole("columns", columns), rows * columns

    def split(self, x):
        """(n, h, w, c) -> (n, rows * columns, h / rows, w / columns, c)."""
        if numbers("x", x).ndim != 4 or x.shape[1] % self.rows or x.shape[2] % self.columns:
            raise ValueError(
                f"x: expected images (n, h, w, c) that divide into {self.rows} x {self.columns} "
                "patches, "
                             f"got shape {x.shape}")
        n, h, w, c = channels_last("x", x, "n, h, w, c").shape
        grid = x.reshape(n, self.rows, h // self.rows, self.columns, w // self.columns, c)
        return grid.transpose(0, 1, 3, 2, 4, 5).reshape(n, self.count, h // self.rows,
                                                        w // self.columns, c)

    def merge(self, factors):
        """The inverse of ``split``."""
        if numbers("factors", factors, "n, k, h, w, c").shape[1] != self.count:
            raise ValueError(
                f"factors: expected {self.count} patches (n, {self.count}, h, w, c), got shape "
                f"{factors.shape}")
        n, _, h, w, c = factors.shape
        grid = factors.reshape(n, self.rows, self.columns, h, w, c).transpose(0, 1, 3, 2, 4, 5)
        return grid.reshape(n, self.rows * h, self.columns * w, c)


class Groups:
    """Codes of the level below in groups of ``size`` neighbours: (n, k, ...) <-> (n, k / size, size
    * code)."""

    def __init__(self, size, below, code_shape):
        if whole("below", below) % whole("size", size):
            raise ValueError(f"size: {below} factors do not divide into groups of {size}")
        self.size, self.count, self.code_shape = size, below // size, tuple(code_shape)

    def split(self, x):
        """(n, k, ...) -> (n, k / size, size * code)."""
        if numbers("x", x).shape[1:2] != (self.count * self.size,
                                          ) or x.shape[2:] != self.code_shape:
            raise ValueError(
                f"x: expected codes (n, {self.count * self.size}, {self.code_shape}), got shape "
                f"{x.shape}")
        return x.reshape(len(x), self.count, -1)

    def merge(self, factors):
        """The inverse of ``split``."""
        return factors.reshape(len(factors), self.count * self.size, *self.code_shape)
