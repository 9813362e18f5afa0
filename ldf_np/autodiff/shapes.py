"""Operations that move elements or sum over axes. The adjoint of a move is the move back; that of a
sum is a broadcast."""

import builtins
import math

import numpy as np

from ..kernels.size import check_size, is_whole
from ..runtime.checks import expect, integer, several
from ..runtime.device import concatenate as join
from .elementwise import negative, select, xp_of
from .engine import broadcast_to, operation, wide_sum

__all__ = ["concatenate", "getitem", "max", "maxout", "mean", "min", "pad", "reshape", "split",
           "stack", "sum", "swapaxes", "transpose"]


def shape_of(name, x):
    """The shape of a Tensor or an array. Raises TypeError for anything else."""
    try:
        return x.shape
    except AttributeError:
        raise TypeError(
            f"{name}: expected a Tensor or an array, got {type(x).__name__}") from None


_whole, _size, _length = integer(-math.inf), integer(), integer(-1)
_parts = several(shape_of, what="Tensor or array")


def _axis(axis, ndim, name="axis"):
    """One of ``ndim`` axes, counted from the first."""
    if is_whole(axis) and -ndim <= axis < ndim:
        return axis % ndim
    return integer(-ndim, ndim - 1)(name, axis)     # raises


def _axes(axis, ndim):
    """``axis`` (None for all, an int or a tuple) as a tuple of non-negative ints."""
    if axis is None:
        return tuple(range(ndim))
    return tuple([_axis(a, ndim) for a in (axis if isinstance(axis, (tuple, list)) else (axis,))])


# Reductions.


def _kept(shape, axis):
    """``shape`` with length one along ``axis``, as keepdims=True leaves it."""
    axes = _axes(axis, len(shape))
    return tuple(1 if k in axes else n for k, n in enumerate(shape))


@operation(vjp=lambda g, y, x, axis=None, keepdims=False:
           broadcast_to(reshape(g, _kept(x.shape, axis)), shape=x.shape))
def sum(x, axis=None, keepdims=False):
    """The sum over ``axis`` (an int, a tuple or None for all)."""
    return wide_sum(x, _axes(axis, x.ndim), keepdims).astype(x.dtype, copy=False)


def _max_vjp(g, y, x, axis=None, keepdims=False):
    kept = _kept(x.shape, axis)
    largest = x.data == y.data.reshape(kept)
    part = largest / largest.sum(axis=_axes(axis, x.ndim), keepdims=True)
    return select(reshape(g, kept) * part.astype(x.dtype), mask=largest)


@operation(vjp=_max_vjp)
def max(x, axis=None, keepdims=False):
    """The largest element over ``axis``; ties share the cotangent equally."""
    return x.max(axis=_axes(axis, x.ndim), keepdims=keepdims)


def min(x, axis=None, keepdims=False):
    """The smallest element over ``axis``; ties share the cotangent equally."""
    return -max(negative(x), axis=axis, keepdims=keepdims)


def mean(x, axis=None, keepdims=False):
    """The mean over ``axis`` (an int, a tuple or None for all)."""
    axes = _axes(axis, len(shape_of("mean", x)))
    count = math.prod(x.shape[a] for a in axes)
    expect(count > 0, "mean: x", "at least one element over the axes", x)
    return _mean(x, axis=axes, keepdims=keepdims, count=count)


@operation(vjp=lambda g, y, x, axis, keepdims, count:
           broadcast_to(reshape(g * (1 / count), _kept(x.shape, axis)), shape=x.shape))
def _mean(x, axis, keepdims, count):
    return (wide_sum(x, axis, keepdims) * (1 / count)).astype(x.dtype, copy=False)


def maxout(x, pieces=2):
    """The largest of each group of ``pieces`` neighbouring channels (Goodfellow et al. 2013).

    (..., pieces * c) -> (..., c). Raises ValueError where the channels do not divide.
    """
    shape, pieces = shape_of("maxout", x), _size("maxout: pieces", pieces)
    expect(shape and shape[-1] % pieces == 0, "maxout: x",
           f"channels in groups of {pieces}", x)
    return max(reshape(x, (*shape[:-1], shape[-1] // pieces, pieces)), axis=-1)


# Moves.

def reshape(x, shape):
    """The same elements in another shape (one length may be -1)."""
    lengths = shape if isinstance(shape, (tuple, list)) else (shape,)
    return _reshape(x, shape=tuple([_length("reshape: shape", n) for n in lengths]))


@operation(vjp=lambda g, y, x, shape: _reshape(g, shape=x.shape))
def _reshape(x, shape):
    return x.reshape(shape)


def _transpose_vjp(g, y, x, axes=None):
    if axes is not None:        # the order back
        axes = tuple(map(_axes(axes, x.ndim).index, range(x.ndim)))
    return transpose(g, axes=axes)


@operation(vjp=_transpose_vjp)
def transpose(x, axes=None):
    """The axes in another order (reversed where ``axes`` is None)."""
    return x.transpose(None if axes is None else _axes(axes, x.ndim))


def swapaxes(x, first, second):
    """``x`` with two axes exchanged."""
    return _swapaxes(x, axes=(first, second))


@operation(vjp=lambda g, y, x, axes: _swapaxes(g, axes=axes))
def _swapaxes(x, axes):
    return x.swapaxes(*_axes(axes, x.ndim))


@operation(vjp=lambda g, y, x, index: _put(g, index=index, shape=x.shape))
def getitem(x, index):
    """x[index] for slices, integers, masks and integer arrays. Adjoint: put the values back into
    zeros."""
    return x[index]


@operation(vjp=lambda g, y, values, index, shape: getitem(g, index=index))
def _put(values, index, shape):
    """Zeros of ``shape`` with ``values`` added at ``index``: the adjoint of ``getitem``."""
    xp = xp_of(values)
    out = xp.zeros_like(values, shape=shape)
    if _repeats(index):
        xp.add.at(out, index, values)
    else:
        out[index] = values
    return out


def _repeats(index):
    """Whether an index may name an element twice: only integer arrays can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(hasattr(p, "__len__") and getattr(getattr(p, "dtype", None), "kind", "i") in "iu"
               for p in parts)


def _along(axis, ndim, start, stop):
    """The index of [start, stop) along one axis and everything along the others."""
    index = [slice(None)] * ndim
    index[axis] = slice(start, stop)
    return tuple(index)


def _concatenate_vjp(k, g, y, *parts, axis):
    start = builtins.sum(p.shape[axis] for p in parts[:k])
    return getitem(g, index=_along(axis, y.ndim, start, start + parts[k].shape[axis]))


@operation(vjp_all=_concatenate_vjp)
def _concatenate(*parts, axis):
    return join(parts, axis)


def concatenate(parts, axis=0):
    """Join along an existing axis. Adjoint: split."""
    expect(isinstance(parts, (list, tuple)) and parts and is_whole(axis), "concatenate",
           "a list of Tensors or arrays, at least one, and a whole number as axis", (parts, axis))
    return _concatenate(*parts, axis=axis)


def stack(parts, axis=0):
    """Join along a new axis."""
    shapes = [p.shape for p in _parts("stack: parts", parts)]
    place = _axis(axis, len(shapes[0]) + 1, "stack: axis")
    return _concatenate(*(_reshape(p, shape=(*shape[:place], 1, *shape[place:]))
                          for p, shape in zip(parts, shapes)), axis=place)


def split(x, sections, axis=0):
    """Cut along an axis into ``sections`` equal parts, or at the indices in a list (as
    numpy.split)."""
    shape = shape_of("split", x)
    length = shape[_axis(axis, len(shape), "split: axis")]
    sections = sections.tolist() if isinstance(sections, np.ndarray) else sections
    if is_whole(sections):
        expect(sections > 0 and length % sections == 0, f"split: axis {axis} of length {length}",
               "sections of equal lengths", sections)
        sections = [length // sections * k for k in range(1, sections)]
    else:
        for cut in sections if hasattr(sections, "__len__") else [sections]:
            _whole("split: sections", cut)
    cuts = [0, *sections, length]
    return [getitem(x, index=_along(axis, len(shape), a, b)) for a, b in zip(cuts, cuts[1:])]


@operation(vjp=lambda g, y, x, pad_width: getitem(g, index=tuple(
    slice(before, before + n) for (before, _), n in zip(pad_width, x.shape))))
def pad(x, pad_width):
    """Add zeros around x: ``pad_width`` has a (before, after) pair for each axis. Adjoint: crop."""
    expect(np.shape(pad_width) == (x.ndim, 2)
           and all(is_whole(n) and n >= 0 for pair in pad_width for n in pair), "pad_width",
           f"whole numbers of at least 0, a (before, after) pair for each of {x.ndim} axes",
           pad_width)
    check_size("pad_width", [int(a) + n + int(b) for (a, b), n in zip(pad_width, x.shape)],
               x.itemsize)
    return xp_of(x).pad(x, pad_width)
