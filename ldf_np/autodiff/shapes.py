"""Operations that move elements or sum over axes. The adjoint of a move is the move back; that of a
sum is a broadcast."""

import builtins
import math

import numpy as np

from ..kernels.size import check_size, is_whole
from ..runtime.device import concatenate as join
from .elementwise import negative, xp_of
from .engine import broadcast_to, operation

__all__ = ["concatenate", "getitem", "max", "maxout", "mean", "min", "pad", "reshape", "split",
           "stack", "sum", "swapaxes", "transpose"]


def shape_of(name, x):
    """The shape of a Tensor or an array. Raises TypeError for anything else."""
    try:
        return x.shape
    except AttributeError:
        raise TypeError(
            f"{name}: expected a Tensor or an array, got {type(x).__name__}") from None


def _check_axis(name, axis, ndim):
    """ValueError unless ``axis`` is one of an array of ``ndim`` axes."""
    if not is_whole(axis) or not -ndim <= axis < ndim:
        raise ValueError(
            f"{name}: axis: expected a whole number from {-ndim} to {ndim - 1}, got {axis!r}")


# Reductions.

def _axes(axis, ndim):
    """``axis`` (None, an int or a tuple) as a sorted tuple of non-negative ints."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    for a in axes:
        if not is_whole(a):
            raise TypeError(
                f"axis: expected a whole number, several of them or None, got {axis!r:.80}")
        if not -ndim <= a < ndim:
            raise ValueError(f"axis {a} is out of range for an array with {ndim} axes")
    return tuple(sorted(a % ndim for a in axes))


def _kept(shape, axis):
    """``shape`` with length one along ``axis``, as keepdims=True leaves it."""
    axes = _axes(axis, len(shape))
    return tuple(1 if k in axes else n for k, n in enumerate(shape))


@operation(vjp=lambda g, y, x, axis=None, keepdims=False:
           broadcast_to(reshape(g, _kept(x.shape, axis)), shape=x.shape))
def sum(x, axis=None, keepdims=False):
    """The sum over ``axis`` (an int, a tuple or None for all)."""
    return x.sum(axis=_axes(axis, x.ndim), keepdims=keepdims)


def _max_vjp(g, y, x, axis=None, keepdims=False):
    kept = _kept(x.shape, axis)
    largest = x.data == y.data.reshape(kept)
    part = largest / largest.sum(axis=_axes(axis, x.ndim), keepdims=True)
    return reshape(g, kept) * part.astype(x.dtype)


@operation(vjp=_max_vjp)
def max(x, axis=None, keepdims=False):
    """The largest element over ``axis``; ties share the cotangent equally."""
    return x.max(axis=_axes(axis, x.ndim), keepdims=keepdims)


def min(x, axis=None, keepdims=False):
    """The smallest element over ``axis``; ties share the cotangent equally."""
    return -max(negative(x), axis=axis, keepdims=keepdims)


def mean(x, axis=None, keepdims=False):
    """The mean over ``axis`` (an int, a tuple or None for all)."""
    shape = shape_of("mean", x)
    count = math.prod(shape[a] for a in _axes(axis, len(shape)))
    if count == 0:
        raise ValueError(f"mean of an empty selection: shape {shape}, axis {axis}")
    return sum(x, axis=axis, keepdims=keepdims) * (1 / count)


def maxout(x, pieces=2):
    """The largest of each group of ``pieces`` neighbouring channels (Goodfellow et al. 2013).

    (..., pieces * c) -> (..., c). Raises ValueError where the channels do not divide.
    """
    channels = (shape_of("maxout", x) or (1,))[-1]
    if not is_whole(pieces):
        raise TypeError(f"maxout: pieces: expected a whole number, got {pieces!r:.80}")
    if not x.shape or pieces < 1 or channels % pieces:
        raise ValueError(f"maxout: {channels} channels do not divide into groups of {pieces}")
    return max(reshape(x, (*x.shape[:-1], channels // pieces, pieces)), axis=-1)


# Moves.

def reshape(x, shape):
    """The same elements in another shape (one length may be -1)."""
    return _reshape(x, shape=tuple(shape) if isinstance(shape, (tuple, list)) else (shape,))


@operation(vjp=lambda g, y, x, shape: _reshape(g, shape=x.shape))
def _reshape(x, shape):
    if not all(map(is_whole, shape)):
        raise TypeError(f"shape: expected whole numbers, got {shape!r:.80}")
    if shape and builtins.min(shape) < -1:
        raise ValueError(f"shape: expected lengths of at least 0, or one of -1, got {shape}")
    return x.reshape(shape)


def _transpose_vjp(g, y, x, axes=None):
    back = None if axes is None else tuple(sorted(range(x.ndim), key=lambda k: axes[k] % x.ndim))
    return transpose(g, axes=back)


@operation(vjp=_transpose_vjp)
def transpose(x, axes=None):
    """The axes in another order (reversed where ``axes`` is None)."""
    several = axes if isinstance(axes, (tuple, list)) else (axes,)
    if axes is not None and not all(map(is_whole, several)):
        raise TypeError(f"axes: expected whole numbers, got {axes!r:.80}")
    return x.transpose(axes)


def swapaxes(x, first, second):
    """``x`` with two axes exchanged."""
    axes = list(range(len(shape_of("swapaxes", x))))
    if not all(is_whole(axis) and -len(axes) <= axis < len(axes) for axis in (first, second)):
        raise ValueError(
            f"swapaxes: axes {first} and {second}: expected two of the axes of shape {x.shape}")
    axes[first], axes[second] = axes[second], axes[first]
    return transpose(x, axes=tuple(axes))


@operation(vjp=lambda g, y, x, index: _put(g, index=index, shape=x.shape))
def getitem(x, index):
    """x[index] for slices, integers, masks and integer arrays. Adjoint: put the values back into
    zeros."""
    return x[index]


@operation(vjp=lambda g, y, values, index, shape: getitem(g, index=index))
def _put(values, index, shape):
    """Zeros of ``shape`` with ``values`` added at ``index``: the adjoint of ``getitem``."""
    xp = xp_of(values)
    out = xp.zeros(shape, values.dtype)
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
    if not parts:
        raise ValueError("parts: expected at least one array, got none")
    return join(parts, axis)


def concatenate(parts, axis=0):
    """Join along an existing axis. Adjoint: split."""
    if not isinstance(parts, (list, tuple)) or not is_whole(axis):
        raise TypeError("concatenate: expected a list of Tensors or arrays and a whole number as "
                        f"axis, got {type(parts).__name__} and {axis!r}")
    return _concatenate(*parts, axis=axis)


def stack(parts, axis=0):
    """Join along a new axis."""
    if not isinstance(parts, (list, tuple)):
        raise TypeError(
            f"stack: parts: expected a list of Tensors or arrays, got {type(parts).__name__}")
    if not parts:
        raise ValueError("stack: parts: expected at least one Tensor or array, got none")
    shape, *others = (shape_of("stack", p) for p in parts)
    if any(other != shape for other in others):
        raise ValueError(f"stack: parts: expected one shape, got {[shape, *others]}")
    _check_axis("stack", axis, len(shape) + 1)
    place = axis % (len(shape) + 1)
    longer = *shape[:place], 1, *shape[place:]
    return _concatenate(*(_reshape(p, shape=longer) for p in parts), axis=place)


def split(x, sections, axis=0):
    """Cut along an axis into ``sections`` equal parts, or at the indices in a list (as
    numpy.split)."""
    _check_axis("split", axis, len(shape_of("split", x)))
    length = x.shape[axis]
    if is_whole(sections):
        if sections < 1 or length % sections:
            raise ValueError(f"split: axis {axis} of length {length} does not divide into "
                             f"{sections} equal parts")
        sections = [length // sections * k for k in range(1, sections)]
    elif not isinstance(sections, (list, tuple, np.ndarray)) or not all(map(is_whole, sections)):
        raise TypeError(
            f"split: sections: expected a whole number or a list of them, got {sections!r:.80}")
    cuts = [0, *sections, length]
    return [getitem(x, index=_along(axis, len(x.shape), a, b)) for a, b in zip(cuts, cuts[1:])]


@operation(vjp=lambda g, y, x, pad_width: getitem(g, index=tuple(
    slice(before, before + n) for (before, _), n in zip(pad_width, x.shape))))
def pad(x, pad_width):
    """Add zeros around x: ``pad_width`` has a (before, after) pair for each axis. Adjoint: crop."""
    if np.shape(pad_width) != (x.ndim, 2):
        raise ValueError(f"pad_width: expected a (before, after) pair for each of {x.ndim} axes, "
                         f"got {pad_width}")
    if any(not is_whole(n) or n < 0 for pair in pad_width for n in pair):
        raise ValueError(f"pad_width: expected whole numbers of at least 0, got {pad_width}")
    check_size("pad_width", [int(a) + n + int(b) for (a, b), n in zip(pad_width, x.shape)],
               x.itemsize)
    return xp_of(x).pad(x, pad_width)
