"""Element-wise chains between the products, each in one pass, and the softplus losses."""

from functools import wraps

import numpy as np

from . import cuda
from .channels import per_channel
from .cuda import array_module, on_device
from .tile import activate


def is_half(array):
    """Whether this is an array of float16 (of either byte order), which is for storage: what is
    computed of it is computed in float32 and rounded."""
    return array.dtype.char == "e"


def in_float32(function):
    """Make ``function`` of arrays compute in float32 where it is given float16. Its result has the
    arguments' common dtype."""
    @wraps(function)
    def computed(*arguments):
        arrays = [a for a in arguments if hasattr(a, "dtype")]
        if not any(map(is_half, arrays)):
            return function(*arguments)
        wide = (a.astype(np.float32) if hasattr(a, "dtype") and is_half(a) else a
                for a in arguments)
        return function(*wide).astype(np.result_type(*(a.dtype for a in arrays)))

    return computed


def sigmoid(x):
    """1 / (1 + e^-x), exact to rounding at both ends: only e^-|x| is ever formed."""
    xp = array_module(x)
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1 / (1 + e), e / (1 + e))


def leaky_relu_vjp(g, y, slope):
    """g where y > 0, slope * g elsewhere, for arrays on the device. (On NumPy autodiff keeps the
    slopes.)"""
    g, y = cuda.same_dtype(g, y)
    return cuda.over_elements("elementwise.cu", "leaky_relu_vjp", g, (g, y), g.dtype.type(slope))


def tanh_vjp(g, y):
    """g (1 - y^2)."""
    if on_device(g, y):
        g, y = cuda.same_dtype(g, y)
        return cuda.over_elements("elementwise.cu", "tanh_vjp", g, (g, y))
    return g * (1 - y * y)


def sigmoid_vjp(g, y):
    """g y (1 - y)."""
    if on_device(g, y):
        g, y = cuda.same_dtype(g, y)
        return cuda.over_elements("elementwise.cu", "sigmoid_vjp", g, (g, y))
    return g * y * (1 - y)


@in_float32
def softplus_mean(logits, sign):
    """mean softplus(sign * logits), as an array of no axes; softplus(x) = log(1 + e^x) = max(x, 0)
    + log1p(e^-|x|)."""
    if on_device(logits):
        logits, = cuda.same_dtype(logits)
        out = cuda.empty((), logits)
        cuda.launch("elementwise.cu", "softplus_mean", (1,), (256,),
                    (logits, out, np.int32(logits.size), logits.dtype.type(sign)),
                    256 * logits.dtype.itemsize, REAL=cuda.real(logits))
        return out
    x = logits * logits.dtype.type(sign)
    terms = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return (terms.sum(keepdims=True) / x.size).reshape(())


@in_float32
def softplus_mean_vjp(g, logits, sign):
    """The cotangent of the logits: g sign sigma(sign * logits) / n."""
    if on_device(logits):
        g, logits = cuda.same_dtype(g, logits)
        return cuda.over_elements("elementwise.cu", "softplus_mean_vjp", logits, (g, logits),
                                  logits.dtype.type(sign))
    x = logits * logits.dtype.type(sign)
    return g * (sigmoid(x) * x.dtype.type(sign / x.size))


def scaled(x, scale):
    """x (..., c) times scale (c,)."""
    return x * scale if on_device(x, scale) else per_channel(np.multiply, x, scale)


def scale_shift(x, scale, shift, slope=1.0):
    """x * scale + shift, and where that is negative times ``slope`` (leaky ReLU; 1 for none)."""
    if not scale.shape == shift.shape == x.shape[-1:]:
        raise ValueError("expected one scale and shift a channel")
    if not on_device(x, scale, shift):
        return activate(per_channel(np.multiply, x, scale), shift, slope)
    x, scale, shift = cuda.same_dtype(x, scale, shift)
    return cuda.over_elements("elementwise.cu", "scale_shift", x, (x, scale, shift),
                              np.int32(x.shape[-1]), x.dtype.type(slope))
