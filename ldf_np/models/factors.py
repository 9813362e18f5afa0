"""How an object falls into local factors, how they make it again, and how their codes lie side by
side.

A split has ``count``, how many factors an object has, and two pairs of inverses: ``split`` and
``merge`` of objects, ``to_maps`` and ``from_maps`` of the factors' codes.
"""

from ..runtime import relations
from ..runtime.architecture import Described
from ..runtime.checks import real_array, shaped
from ..runtime.rules import IMAGES, checked, counted, placed_codes

PLACES = real_array("n, h, w, c", 1)


@checked(relations.CODES, relations.channels_of_factors, codes=placed_codes, maps=PLACES)
class Split(Described):
    """What the splits share: by default the codes of an object's factors are the channels of one
    map, place by place."""

    def to_maps(self, codes):
        """Codes (n, count, h, w, c) -> maps (n, h, w, count * c); codes without places,
        (n, count, c), lie at a single one."""
        return self.laid(with_places(codes))

    def laid(self, placed):
        """``to_maps`` of codes that have places, an array or a Tensor (n, count, h, w, c)."""
        n, _, h, w, _ = placed.shape
        return placed.transpose((0, 2, 3, 1, 4)).reshape(n, h, w, -1)

    def from_maps(self, maps):
        """The inverse of ``to_maps``: (n, h, w, count * c) -> (n, count, h, w, c)."""
        return maps.reshape(*maps.shape[:3], self.count, -1).transpose(0, 3, 1, 2, 4)


def with_places(codes):
    """Codes (n, count, c) as (n, count, 1, 1, c); those that have places as they are."""
    return codes.reshape(*codes.shape[:2], 1, 1, -1) if codes.ndim == 3 else codes


@checked(shaped("x", "n", "count", "...", what="clips"))
class Frames(Split):
    """A video as its frames: (n, t, ...) <-> (n, t, ...). A clip's factors are its t frames;
    ``count`` None: any number of them."""

    def __init__(self, count=None):
        self.count = count

    def split(self, x):
        """(n, t, ...) -> (n, t, ...), checked."""
        return x

    def merge(self, factors):
        """The inverse of ``split``."""
        return factors


@checked(relations.PATCHES, relations.CODES, relations.in_patches, relations.maps_in_patches,
         x=IMAGES, codes=placed_codes, maps=PLACES)
class Patches(Split):
    """An image as a grid of patches, row by row:
    (n, h, w, c) <-> (n, rows * columns, h / rows, w / columns, c)."""

    def __init__(self, rows, columns):
        self.rows, self.columns, self.count = rows, columns, rows * columns

    def split(self, x):
        """(n, h, w, c) -> (n, rows * columns, h / rows, w / columns, c)."""
        return self.from_maps(x)

    def from_maps(self, maps):
        """The inverse of ``to_maps``."""
        n, h, w, c = maps.shape
        h, w = h // self.rows, w // self.columns
        grid = maps.reshape(n, self.rows, h, self.columns, w, c)
        return grid.transpose(0, 1, 3, 2, 4, 5).reshape(n, self.count, h, w, c)

    def merge(self, factors):
        """The inverse of ``split``."""
        return self.laid(factors)

    def to_maps(self, codes):
        """Codes (n, rows * columns, h, w, c) -> one map (n, rows * h, columns * w, c), each where
        its patch is."""
        return self.merge(with_places(codes))

    def laid(self, placed):
        """``to_maps`` of an array or a Tensor (n, rows * columns, h, w, c)."""
        n, _, h, w, c = placed.shape
        grid = placed.reshape(n, self.rows, self.columns, h, w, c).transpose((0, 1, 3, 2, 4, 5))
        return grid.reshape(n, self.rows * h, self.columns * w, c)


@checked(shaped("x", "n", "below", "*code_shape", what="codes"), relations.in_groups)
class Groups(Split):
    """Codes of the level below in groups of ``size`` neighbours:
    (n, k, ...) <-> (n, k / size, size * code)."""

    def __init__(self, size, below, code_shape):
        self.below, self.count, self.code_shape = below, below // size, tuple(code_shape)

    def split(self, x):
        """(n, k, ...) -> (n, k / size, size * code)."""
        return x.reshape(len(x), self.count, -1)

    def merge(self, factors):
        """The inverse of ``split``."""
        return factors.reshape(len(factors), self.below, *self.code_shape)


@checked(relations.SEQUENCES, relations.SEGMENTS, relations.in_segments)
class Segments(Described):
    """A sequence of any length, a text say, as its consecutive segments of ``size`` steps:
    (n, t * size, ...) <-> (n, t, size, ...)."""

    count = None        # any number

    def __init__(self, size):
        self.size = size

    def split(self, x):
        """(n, t * size, ...) -> (n, t, size, ...)."""
        return x.reshape(len(x), -1, self.size, *x.shape[2:])

    def merge(self, factors):
        """The inverse of ``split``."""
        return factors.reshape(len(factors), -1, *factors.shape[3:])


@checked(relations.FACTORS, relations.CODES)
class Nested(Split):
    """Factors of factors: each of those that ``outer`` makes of an object is cut by ``inner``, the
    frames of a clip into patches, say: (n, ...) <-> (n, outer.count * inner.count, ...).

    The codes of ``inner`` factors lie in maps as ``inner`` has them, and these as ``outer`` does.
    """

    @checked(outer=counted, inner=counted)
    def __init__(self, outer, inner):
        self.outer, self.inner, self.count = outer, inner, outer.count * inner.count

    def split(self, x):
        """(n, ...) -> (n, outer.count * inner.count, ...)."""
        return _ungrouped(self.inner.split, self.outer.split(x))

    def merge(self, factors):
        """The inverse of ``split``."""
        return self.outer.merge(_grouped(self.inner.merge, factors, self.outer.count))

    def to_maps(self, codes):
        """Codes (n, count, h, w, c) or (n, count, c) -> maps."""
        return self.outer.to_maps(_grouped(self.inner.to_maps, codes, self.outer.count))

    def from_maps(self, maps):
        """The inverse of ``to_maps``."""
        return _ungrouped(self.inner.from_maps, self.outer.from_maps(maps))


@checked(relations.CODES_BELOW, relations.MAPS)
class Assembled(Split):
    """The split of the level above a ``nested`` one: the codes of all inner factors of an outer one
    are one map, which is a factor again, (n, outer.count * inner.count, h, w, c) <->
    (n, outer.count, rows, columns, channels)."""

    def __init__(self, nested):
        self.nested, self.count, self.below = nested, nested.outer.count, nested.count

    def split(self, x):
        """Codes (n, below, h, w, c) or (n, below, c) -> (n, outer.count, rows, columns,
        channels)."""
        return _grouped(self.nested.inner.to_maps, x, self.count)

    def merge(self, factors):
        """The inverse of ``split``: (n, below, h, w, c)."""
        return _ungrouped(self.nested.inner.from_maps, factors)

    def to_maps(self, codes):
        """As the outer split."""
        return self.nested.outer.to_maps(codes)

    def from_maps(self, maps):
        """The inverse of ``to_maps``."""
        return self.nested.outer.from_maps(maps)


def _grouped(function, factors, count):
    """``function`` of (n * count, k, ...), the factors (n, count * k, ...) in groups: (n, count,
    ...)."""
    made = function(factors.reshape(len(factors) * count, -1, *factors.shape[2:]))
    return made.reshape(-1, count, *made.shape[1:])


def _ungrouped(function, groups):
    """``function`` of (n * count, ...), the groups (n, count, ...) one after the other, whose (n *
    count, k, ...) are returned as (n, count * k, ...)."""
    made = function(groups.reshape(-1, *groups.shape[2:]))
    return made.reshape(len(groups), -1, *made.shape[2:])
