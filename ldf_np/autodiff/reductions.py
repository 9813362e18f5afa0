"""Variances, and what is made of sums of exponentials, over axes: each with its rule above it.

``axis`` is an int, a tuple, or None for all, as in NumPy. Of float16 all is computed in float32 and
rounded at the end.
"""

import math

import numpy as np

from ..kernels.elementwise import in_float32, is_half
from ..runtime.checks import expect, real
from .elementwise import exp, sqrt, xp_of
from .engine import astype, operation, sum_dtype, wide
from .shapes import _axes, _kept, mean, reshape, shape_of, sum

__all__ = ["log_softmax", "logsumexp", "softmax", "std", "var"]


def _degrees(x, axis, ddof):
    """How many elements each variance is of, less ``ddof``."""
    count = math.prod(x.shape[k] for k in _axes(axis, x.ndim))
    expect(real(0)("ddof", ddof) < count, "x", f"more than ddof = {ddof} elements over the axes", x)
    return count - ddof


@operation(vjp=lambda g, y, x, axis=None, ddof=0, keepdims=False: reshape(g, _kept(x.shape, axis))
           * (x - mean(x, axis, keepdims=True)) * (2 / _degrees(x, axis, ddof)))
def var(x, axis=None, ddof=0, keepdims=False):
    """The variance, sum (x - mean)^2 / (n - ddof).

    ``ddof``: 0 as in NumPy; 1 gives the unbiased one, PyTorch's default. Raises ValueError for no
    more than ``ddof`` elements.
    """
    _degrees(x, axis, ddof)
    axes = _axes(axis, x.ndim)
    return x.var(axes, sum_dtype(x, axes), ddof=ddof, keepdims=keepdims).astype(x.dtype)


def std(x, axis=None, ddof=0, keepdims=False):
    """The standard deviation, the root of ``var``; no derivative where all elements are equal."""
    shape_of("std", x)
    y = sqrt(var(wide(x), axis=axis, ddof=ddof, keepdims=keepdims))
    return astype(y, dtype=x.dtype) if is_half(x) else y


@operation(vjp=lambda g, y, x, axis=None, keepdims=False: reshape(g, _kept(x.shape, axis))
           * exp(x - reshape(y, _kept(x.shape, axis))))
def logsumexp(x, axis=None, keepdims=False):
    """log sum e^x; the largest x is taken off first, so that nothing overflows."""
    return _logsumexp(x, _axes(axis, x.ndim), keepdims)


@in_float32
def _logsumexp(x, axes, keepdims):
    largest = x.max(axes, keepdims=True)
    largest = xp_of(x).where(abs(largest) < math.inf, largest, 0)
    with np.errstate(divide="ignore"):          # all are -inf: log 0
        y = xp_of(x).log(xp_of(x).exp(x - largest).sum(axes, keepdims=True)) + largest
    return y if keepdims else y.squeeze(axes)


@operation(vjp=lambda g, y, x, axis=-1: y * (g - sum(g * y, axis, keepdims=True)))
def softmax(x, axis=-1):
    """e^x / sum e^x over ``axis``, by default the last."""
    return _softmax(x, _axes(axis, x.ndim))


@in_float32
def _softmax(x, axes):
    y = xp_of(x).exp(x - x.max(axes, keepdims=True))
    return y / y.sum(axes, keepdims=True)


@operation(vjp=lambda g, y, x, axis=-1: g - exp(y) * sum(g, axis, keepdims=True))
def log_softmax(x, axis=-1):
    """x - logsumexp(x): the logarithm of ``softmax``, which keeps small probabilities."""
    return _log_softmax(x, _axes(axis, x.ndim))


@in_float32
def _log_softmax(x, axes):
    shifted = x - x.max(axes, keepdims=True)
    return shifted - xp_of(x).log(xp_of(x).exp(shifted).sum(axes, keepdims=True))
