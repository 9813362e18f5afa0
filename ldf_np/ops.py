"""Every differentiable operation but convolution and normalisation, each with its rule beside it.

A rule ``(g, y, *inputs)`` maps the cotangent g of the result y to the cotangent of one argument. Rules are
written with these same operations, so they can be differentiated again. The engine sums over broadcast axes
and casts. Where an operation has a kink (relu, abs, maximum ...) its derivative there is fixed by a mask,
which is a constant: the second derivative is zero, as it is almost everywhere.
"""

import builtins
import math

import numpy as np

from .backend import array_module
from .backend import concatenate as join
from .engine import Tensor, add, astype, broadcast_to, operation, sum_to
from .expect import number
from .kernels import elementwise
from .kernels import matmul as product
from .kernels import norm as kernel_norm
from .kernels.cuda import on_device
from .kernels.size import check_size, is_whole
from .parallel import world

__all__ = ["abs", "add", "astype", "broadcast_to", "clip", "concatenate", "divide", "exp", "getitem", "leaky_relu",
           "linear", "log", "matmul", "max", "maximum", "maxout", "mean", "min", "minimum", "multiply", "negative", "pad",
           "power", "relu", "reshape", "scale_shift", "sigmoid", "softplus",
           "softplus_mean", "split", "sqrt", "square", "stack", "subtract", "sum",
           "sum_to", "swapaxes", "tanh", "transpose", "where"]


def _module(*arguments):
    """The module of the first argument that is an array; NumPy where all are Python scalars."""
    return array_module(next((a for a in arguments if hasattr(a, "dtype")), np.float32(0)))


def _shape(function, x):
    """The shape of a Tensor or an array."""
    try:
        return x.shape
    except AttributeError:
        raise TypeError(f"{function}: expected a Tensor or an array, got {type(x).__name__}") from None


def _data(x):
    return x.data if isinstance(x, Tensor) else x


# Arithmetic, with broadcasting (add is the engine's own).

@operation
def subtract(a, b):
    """a - b."""
    return a - b


@operation
def negative(a):
    """-a."""
    return -a


@operation
def multiply(a, b):
    """a * b, element by element."""
    return a * b


@operation
def divide(a, b):
    """a / b, element by element."""
    return a / b


@operation
def power(a, b):
    """a ** b, element by element. For a differentiable exponent b the base must be positive."""
    return a ** b


def _one_less(b):
    """b - 1, but 1 for a constant exponent 0, where a^(b-1) is multiplied by 0 and must not be infinite at a = 0."""
    return 1 if isinstance(b, (int, float)) and b == 0 else b - 1


def _log(a):
    """log(a), a Python scalar's as a Python scalar, for it must not promote."""
    return math.log(a) if isinstance(a, (int, float)) else log(a)


subtract.defvjp(lambda g, y, a, b: g, lambda g, y, a, b: -g)
negative.defvjp(lambda g, y, a: -g)
multiply.defvjp(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
divide.defvjp(lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b)
power.defvjp(lambda g, y, a, b: g * b * power(a, _one_less(b)), lambda g, y, a, b: g * y * _log(a))


# Elementwise functions.

@operation
def square(x):
    """x * x."""
    return x * x


@operation
def sqrt(x):
    """The square root; its derivative at 0 is infinite."""
    return _module(x).sqrt(x)


@operation
def exp(x):
    """e to the x."""
    return _module(x).exp(x)


@operation
def log(x):
    """The natural logarithm."""
    return _module(x).log(x)


@operation
def tanh(x):
    """The hyperbolic tangent."""
    return _module(x).tanh(x)


@operation
def sigmoid(x):
    """1 / (1 + e^-x), exact to rounding at both ends."""
    return elementwise.sigmoid(_module(x).asarray(x))


@operation
def softplus(x):
    """log(1 + e^x) = max(x, 0) + log1p(e^-|x|), which neither overflows nor loses the small end."""
    xp = _module(x)
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


@operation
def abs(x):
    """|x|; derivative 0 at 0."""
    return _module(x).abs(x)


@operation
def relu(x):
    """max(x, 0); derivative 0 at 0."""
    return _module(x).maximum(x, 0)


def check_slope(slope):
    """TypeError or ValueError unless the slope of a leaky ReLU is a number in [0, 1]."""
    number("slope", slope, 0, 1)


@operation
def leaky_relu(x, slope=0.01):
    """x where x > 0, slope * x elsewhere (0 <= slope <= 1)."""
    check_slope(slope)
    y = x * slope
    return _module(x).maximum(x, y, out=y)


@operation
def clip(x, low, high):
    """x held within [low, high]; derivative 0 outside, 1 inside and on the bounds."""
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and not low <= high:
        raise ValueError(f"low, high: expected low <= high, got {low} and {high}")
    return _module(x).clip(x, low, high)


@operation
def maximum(a, b):
    """The larger of a and b; at a tie each gets half of the cotangent."""
    return _module(a, b).maximum(a, b)


@operation
def minimum(a, b):
    """The smaller of a and b; at a tie each gets half of the cotangent."""
    return _module(a, b).minimum(a, b)


@operation
def where(condition, a, b):
    """a where the boolean array ``condition`` holds, b elsewhere."""
    if getattr(getattr(condition, "dtype", None), "kind", None) != "b":
        raise TypeError("condition: expected a boolean array")
    return _module(condition, a, b).where(condition, a, b)


def activated(y, slope):
    """The Tensor y of an operation that has leaky ReLU done already, in its own pass: here only its rule is added.

    That rule asks for the sign of what came before it, and y has the same.
    """
    if slope == 1:
        return y
    check_slope(slope)
    return _activated(y, slope=slope)


@operation
def _activated(y, slope):
    return y


@operation
def _leaky_relu_vjp(g, of, slope):
    return elementwise.leaky_relu_vjp(g, of.data, slope) if on_device(g, of.data) else g * _slopes(of, slope)


@operation
def _tanh_vjp(g, y):
    return elementwise.tanh_vjp(g, y)


@operation
def _sigmoid_vjp(g, y):
    return elementwise.sigmoid_vjp(g, y)


def _slopes(x, slope):
    """1 where x > 0 and slope elsewhere, in x's dtype. Made once: a discriminator's penalty reads it again."""
    kept = {} if x.cache is None else x.cache
    if ("slopes", slope) not in kept:
        y = (x.data > 0).astype(x.dtype)
        y *= 1 - slope
        y += slope
        kept["slopes", slope] = y
    return kept["slopes", slope]


def _wins(a, b):
    """1 where a > b, 1/2 at a tie, 0 elsewhere, as a constant in the dtype of their sum."""
    a, b = _data(a), _data(b)
    dtype = _module(a, b).result_type(a, b)
    return (a > b).astype(dtype) / 2 + (a >= b).astype(dtype) / 2


square.defvjp(lambda g, y, x: g * (2 * x))
sqrt.defvjp(lambda g, y, x: g / (2 * y))
exp.defvjp(lambda g, y, x: g * y)
log.defvjp(lambda g, y, x: g / x)
tanh.defvjp(lambda g, y, x: _tanh_vjp(g, y))
_tanh_vjp.defvjp(lambda h, _, g, y: _tanh_vjp(h, y), lambda h, _, g, y: h * g * y * -2)
sigmoid.defvjp(lambda g, y, x: _sigmoid_vjp(g, y))
_sigmoid_vjp.defvjp(lambda h, _, g, y: _sigmoid_vjp(h, y), lambda h, _, g, y: h * g * (1 - 2 * y))
softplus.defvjp(lambda g, y, x: g * sigmoid(x))
abs.defvjp(lambda g, y, x: g * _module(x.data).sign(x.data))
relu.defvjp(lambda g, y, x: g * (x.data > 0))
leaky_relu.defvjp(lambda g, y, x, slope=0.01: _leaky_relu_vjp(g, of=x, slope=slope))
_activated.defvjp(lambda g, y, x, slope: _leaky_relu_vjp(g, of=x, slope=slope))
_leaky_relu_vjp.defvjp(lambda h, y, g, of, slope: _leaky_relu_vjp(h, of=of, slope=slope))
clip.defvjp(lambda g, y, x, low, high: g * ((x.data >= low) & (x.data <= high)))
maximum.defvjp(lambda g, y, a, b: g * _wins(a, b), lambda g, y, a, b: g * _wins(b, a))
minimum.defvjp(lambda g, y, a, b: g * _wins(b, a), lambda g, y, a, b: g * _wins(a, b))
where.defvjp(None, lambda g, y, c, a, b: g * _data(c), lambda g, y, c, a, b: g * ~_data(c))


# Reductions. The adjoint of a sum is a broadcast.

def _axes(axis, ndim):
    """``axis`` (None, an int or a tuple) as a sorted tuple of non-negative ints."""
    axes = range(ndim) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    for a in axes:
        if not is_whole(a):
            raise TypeError(f"axis: expected a whole number, several of them or None, got {axis!r:.80}")
        if not -ndim <= a < ndim:
            raise ValueError(f"axis {a} is out of range for an array with {ndim} axes")
    return tuple(sorted(a % ndim for a in axes))


def _kept(shape, axis):
    """``shape`` with length one along ``axis``, as keepdims=True leaves it."""
    axes = _axes(axis, len(shape))
    return tuple(1 if k in axes else n for k, n in enumerate(shape))


@operation
def sum(x, axis=None, keepdims=False):
    """The sum over ``axis`` (an int, a tuple or None for all)."""
    return x.sum(axis=_axes(axis, x.ndim), keepdims=keepdims)


@operation
def max(x, axis=None, keepdims=False):
    """The largest element over ``axis``; ties share the cotangent equally."""
    return x.max(axis=_axes(axis, x.ndim), keepdims=keepdims)


def _max_rule(g, y, x, axis=None, keepdims=False):
    kept = _kept(x.shape, axis)
    largest = x.data == y.data.reshape(kept)
    share = largest / largest.sum(axis=_axes(axis, x.ndim), keepdims=True)
    return reshape(g, kept) * share.astype(x.dtype)


sum.defvjp(lambda g, y, x, axis=None, keepdims=False: broadcast_to(reshape(g, _kept(x.shape, axis)), shape=x.shape))
max.defvjp(_max_rule)


def mean(x, axis=None, keepdims=False):
    """The mean over ``axis`` (an int, a tuple or None for all)."""
    count = 1
    for a in _axes(axis, len(_shape("mean", x))):
        count *= x.shape[a]
    if count == 0:
        raise ValueError(f"mean of an empty selection: shape {x.shape}, axis {axis}")
    return sum(x, axis=axis, keepdims=keepdims) * (1 / count)


def min(x, axis=None, keepdims=False):
    """The smallest element over ``axis``; ties share the cotangent equally."""
    return -max(negative(x), axis=axis, keepdims=keepdims)


def maxout(x, pieces=2):
    """Maxout (Goodfellow et al. 2013): the largest of each group of ``pieces`` neighbouring channels.

    (..., pieces * c) -> (..., c). Raises ValueError where the channels do not divide.
    """
    channels = (_shape("maxout", x) or (1,))[-1]
    if not is_whole(pieces):
        raise TypeError(f"maxout: pieces: expected a whole number, got {pieces!r}")
    if not x.shape or pieces < 1 or channels % pieces:
        raise ValueError(f"maxout: {channels} channels do not divide into groups of {pieces}")
    return max(reshape(x, (*x.shape[:-1], channels // pieces, pieces)), axis=-1)


# Shapes. Each adjoint undoes the move.

def reshape(x, shape):
    """The same elements in another shape (one length may be -1)."""
    return _reshape(x, shape=tuple(shape) if isinstance(shape, (tuple, list)) else (shape,))


@operation
def _reshape(x, shape):
    if not all(map(is_whole, shape)):
        raise TypeError(f"shape: expected whole numbers, got {shape!r:.80}")
    if shape and builtins.min(shape) < -1:
        raise ValueError(f"shape: expected lengths of at least 0, or one of -1, got {shape}")
    return x.reshape(shape)


@operation
def transpose(x, axes=None):
    """The axes in another order (reversed where ``axes`` is None)."""
    if axes is not None and not all(map(is_whole, axes if isinstance(axes, (tuple, list)) else (axes,))):
        raise TypeError(f"axes: expected whole numbers, got {axes!r:.80}")
    return x.transpose(axes)


def _transpose_rule(g, y, x, axes=None):
    return transpose(g, axes=None if axes is None else tuple(sorted(range(x.ndim), key=lambda k: axes[k] % x.ndim)))


_reshape.defvjp(lambda g, y, x, shape: _reshape(g, shape=x.shape))
transpose.defvjp(_transpose_rule)


def swapaxes(x, first, second):
    """Two axes exchanged."""
    axes = list(range(len(_shape("swapaxes", x))))
    if not all(is_whole(axis) and -len(axes) <= axis < len(axes) for axis in (first, second)):
        raise ValueError(f"swapaxes: axes {first} and {second}: expected two of the axes of shape {x.shape}")
    axes[first], axes[second] = axes[second], axes[first]
    return transpose(x, axes=tuple(axes))


@operation
def getitem(x, index):
    """x[index], with slices, integers, masks and integer arrays. Adjoint: the values put back into zeros."""
    return x[index]


@operation
def _put(values, index, shape):
    """Zeros of ``shape`` with ``values`` added at ``index``: the adjoint of ``getitem``."""
    xp = _module(values)
    out = xp.zeros(shape, values.dtype)
    if _repeats(index):
        xp.add.at(out, index, values)
    else:
        out[index] = values
    return out


def _repeats(index):
    """Whether an index may name one element twice: only integer arrays can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(hasattr(p, "__len__") and getattr(getattr(p, "dtype", None), "kind", "i") in "iu" for p in parts)


getitem.defvjp(lambda g, y, x, index: _put(g, index=index, shape=x.shape))
_put.defvjp(lambda g, y, values, index, shape: getitem(g, index=index))


@operation
def _concatenate(*parts, axis):
    if not parts:
        raise ValueError("parts: expected at least one array, got none")
    return join(parts, axis)


def _concatenate_rule(k, g, y, *parts, axis):
    start = builtins.sum(p.shape[axis] for p in parts[:k])
    return getitem(g, index=_along(axis, y.ndim, start, start + parts[k].shape[axis]))


def _along(axis, ndim, start, stop):
    """An index that takes [start, stop) along one axis and everything along the others."""
    index = [slice(None)] * ndim
    index[axis] = slice(start, stop)
    return tuple(index)


_concatenate.defvjp_all(_concatenate_rule)


def concatenate(parts, axis=0):
    """Join along an existing axis. Adjoint: split."""
    if not isinstance(parts, (list, tuple)) or not is_whole(axis):
        raise TypeError("concatenate: expected a list of Tensors or arrays and a whole number as axis, "
                        f"got {type(parts).__name__} and {axis!r}")
    return _concatenate(*parts, axis=axis)


def stack(parts, axis=0):
    """Join along a new axis."""
    if not isinstance(parts, (list, tuple)):
        raise TypeError(f"stack: parts: expected a list of Tensors or arrays, got {type(parts).__name__}")
    if not parts:
        raise ValueError("stack: parts: expected at least one Tensor or array, got none")
    ndim = len(_shape("stack", parts[0])) + 1
    if not is_whole(axis) or not -ndim <= axis < ndim:
        raise ValueError(f"stack: axis: expected a whole number from {-ndim} to {ndim - 1}, got {axis!r}")
    place = axis % ndim
    for p in parts:
        if _shape("stack", p) != parts[0].shape:
            raise ValueError(f"stack: parts: expected one shape, got {parts[0].shape} and {p.shape}")
    return concatenate([reshape(p, (*p.shape[:place], 1, *p.shape[place:])) for p in parts], axis=place)


def split(x, sections, axis=0):
    """Cut along an axis into ``sections`` equal parts, or at the indices in a list (as numpy.split)."""
    ndim = len(_shape("split", x))
    if not is_whole(axis) or not -ndim <= axis < ndim:
        raise ValueError(f"split: axis: expected a whole number from {-ndim} to {ndim - 1}, got {axis!r}")
    length = x.shape[axis]
    if is_whole(sections):
        if sections < 1 or length % sections:
            raise ValueError(f"split: axis {axis} of length {length} does not divide into {sections} equal parts")
        sections = [length // sections * k for k in range(1, sections)]
    elif not isinstance(sections, (list, tuple, np.ndarray)) or not all(map(is_whole, sections)):
        raise TypeError(f"split: sections: expected a whole number or a list of them, got {sections!r:.80}")
    cuts = [0, *sections, length]
    return [getitem(x, index=_along(axis, len(x.shape), a, b)) for a, b in zip(cuts, cuts[1:])]


@operation
def pad(x, pad_width):
    """Zeros around: ``pad_width`` is a (before, after) pair for each axis. Adjoint: crop."""
    if np.shape(pad_width) != (x.ndim, 2):
        raise ValueError(f"pad_width: expected a (before, after) pair for each of {x.ndim} axes, got {pad_width}")
    if any(not is_whole(n) or n < 0 for pair in pad_width for n in pair):
        raise ValueError(f"pad_width: expected whole numbers of at least 0, got {pad_width}")
    check_size("pad_width", [int(a) + n + int(b) for (a, b), n in zip(pad_width, x.shape)], x.itemsize)
    return _module(x).pad(x, pad_width)


pad.defvjp(lambda g, y, x, pad_width: getitem(g, index=tuple(
    slice(before, before + n) for (before, _), n in zip(pad_width, x.shape))))


# Products. T(a, b, g) = sum_ijk a_ij b_jk g_ik is linear in each: put the cotangent in the hole.

@operation
def _matmul(a, b, *bias, slope=1.0):
    return product.matmul(a, b, bias[0] if bias else None, slope)


_matmul.defvjp(lambda g, y, a, b, *_, **__: _matmul(g, swapaxes(b, -1, -2)),
               lambda g, y, a, b, *_, **__: _matmul(swapaxes(a, -1, -2), g), lambda g, *_, **__: g)


def linear(x, weight, bias=None, slope=1.0):
    """x @ weight + bias, and where that is negative times ``slope`` (leaky ReLU; 1 for none), in one pass.

    (..., n_in) with weight (n_in, n_out) and bias (n_out,) -> (..., n_out), of at least two axes.
    """
    if len(_shape("linear", x)) < 2 or bias is not None and _shape("linear", bias) != _shape("linear", weight)[-1:]:
        raise ValueError(f"linear: expected x (..., n_in) of at least two axes and a bias (n_out,), got x {x.shape}, weight "
                         f"{weight.shape}" + ("" if bias is None else f" and bias {bias.shape}"))
    y = _matmul(x, weight, slope=slope) if bias is None else _matmul(x, weight, bias, slope=slope)
    return activated(y, slope)


def scale_shift(x, scale, shift, slope=1.0):
    """x * scale + shift, channel by channel, and where that is negative times ``slope``, in one pass: (..., c) with two
    of (c,) -> (..., c)."""
    return activated(_scale_shift(x, scale, shift, slope=slope), slope)


@operation
def _scale_shift(x, scale, shift, slope):
    if not scale.shape == shift.shape == x.shape[-1:]:
        raise ValueError(f"expected one scale and shift a channel, got x {x.shape}, scale {scale.shape}, shift {shift.shape}")
    return kernel_norm.scale_shift(x, scale, shift, slope)


_scale_shift.defvjp(lambda g, y, x, scale, shift, slope: g * scale, lambda g, y, x, scale, shift, slope: g * x,
                    lambda g, *_, **__: g)


@operation
def softplus_mean(logits, sign=1.0):
    """mean softplus(sign * logits), sign +1 or -1: the terms of the losses, in one pass."""
    if sign not in (1, -1) or not logits.size:
        raise ValueError(f"expected at least one logit and a sign of 1 or -1, got shape {logits.shape} and {sign!r}")
    return elementwise.softplus_mean(logits, sign)


@operation
def _softplus_mean_vjp(g, logits, sign):
    return elementwise.softplus_mean_vjp(g, logits, sign)


def _softplus_mean_slope(h, _, g, logits, sign):
    sigma = sigmoid(logits * sign)
    return h * g * sigma * (1 - sigma) * (1 / logits.size)


softplus_mean.defvjp(lambda g, y, logits, sign=1.0: _softplus_mean_vjp(g, logits, sign=sign))
_softplus_mean_vjp.defvjp(lambda h, _, g, logits, sign: sum(h * sigmoid(logits * sign)) * (sign / logits.size),
                          _softplus_mean_slope)


def matmul(a, b):
    """The matrix product (..., i, j) @ (..., j, k) -> (..., i, k); leading axes broadcast, vectors as in NumPy."""
    for name, x in (("a", a), ("b", b)):
        if not getattr(x, "shape", ()):
            raise ValueError(f"matmul: {name}: expected a matrix or a vector, got a scalar")
    left, right = len(a.shape) == 1, len(b.shape) == 1
    y = _matmul(reshape(a, (1, -1)) if left else a, reshape(b, (-1, 1)) if right else b)
    if left or right:
        shape = y.shape[:-2] + (() if left else y.shape[-2:-1]) + (() if right else y.shape[-1:])
        y = reshape(y, shape)
    return y


def _method_reshape(self, *shape):
    return reshape(self, shape[0] if len(shape) == 1 else shape)


def _method_transpose(self, *axes):
    axes = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
    return transpose(self, axes=tuple(axes) if axes else None)


# The operators and methods of Tensor are these functions. They are set here because the engine, one floor
# below, cannot know them.
for _name, _function in {
        "__add__": add, "__radd__": lambda a, b: add(b, a),
        "__sub__": subtract, "__rsub__": lambda a, b: subtract(b, a),
        "__mul__": multiply, "__rmul__": lambda a, b: multiply(b, a), "__truediv__": divide,
        "__rtruediv__": lambda a, b: divide(b, a), "__pow__": power, "__rpow__": lambda a, b: power(b, a),
        "__neg__": negative, "__abs__": abs, "__matmul__": matmul, "__rmatmul__": lambda a, b: matmul(b, a),
        "__getitem__": lambda x, index: getitem(x, index=index), "sum": sum, "mean": mean, "max": max, "min": min,
        "reshape": _method_reshape, "transpose": _method_transpose,
        "__lt__": lambda a, b: a.data < _data(b), "__le__": lambda a, b: a.data <= _data(b),
        "__gt__": lambda a, b: a.data > _data(b), "__ge__": lambda a, b: a.data >= _data(b)}.items():
    setattr(Tensor, _name, _function)
Tensor.T = property(lambda self: transpose(self))


def mean_over_ranks(x):
    """The mean of ``x`` over the ranks of a training (``parallel.World``), each of which has its own."""
    return x if world().size == 1 else _mean_over_ranks(x)


@operation
def _mean_over_ranks(x):
    return world().sum(x) / world().size


# Each rank's x is in the result of every rank, and their losses are added: the adjoint of a sum over ranks is such a sum.
_mean_over_ranks.defvjp(lambda g, y, x: mean_over_ranks(g))
