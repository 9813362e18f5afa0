"""Element-wise operations, each with its rule above it.

A rule ``(g, y, *inputs)`` maps the cotangent g of the result y to the cotangent of one argument.
Rules are written with these same operations, so they can be differentiated again. The engine sums
over broadcast axes and casts. Where an operation has a kink (relu, abs, maximum ...) a mask fixes
the derivative there. The mask is a constant: the second derivative is zero, as it is almost
everywhere.
"""

from functools import partial

import numpy as np

from ..kernels import elementwise as kernel
from ..kernels.cuda import on_device
from ..runtime.checks import real
from ..runtime.device import array_module
from .engine import Tensor, operation

__all__ = ["abs", "clip", "cos", "divide", "exp", "expm1", "leaky_relu", "log", "log1p", "maximum",
           "minimum", "multiply", "negative", "power", "relu", "sigmoid", "sin", "softplus",
           "sqrt", "square", "subtract", "tanh", "where"]


def xp_of(*arguments):
    """The module of the first argument that is an array; NumPy where all are Python scalars."""
    return array_module(next((a for a in arguments if hasattr(a, "dtype")), np.float32(0)))


def _data(x):
    return x.data if isinstance(x, Tensor) else x


# Arithmetic, with broadcasting (add is the engine's own).

@operation(vjp=(lambda g, y, a, b: g, lambda g, y, a, b: -g))
def subtract(a, b):
    """a - b."""
    return a - b


@operation(vjp=lambda g, y, a: -g)
def negative(a):
    """-a."""
    return -a


@operation(vjp=(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a))
def multiply(a, b):
    """a * b, element by element."""
    return a * b


@operation(vjp=(lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b))
def divide(a, b):
    """a / b, element by element."""
    return a / b


def _one_less(a, b):
    """b - 1, but 0 where b is 0: a^(b-1) is then multiplied by 0, and must not be infinite there,
    whatever holds the exponent (a number, an array, a Tensor). A Tensor is differentiated: it keeps
    its b - 1 but where a is 0."""
    less = _data(b) != 0
    return b - (less | (_data(a) != 0) if isinstance(b, Tensor) else less)


def _log(a):
    """log(a), but 0 where a is 0, for 0^b is 0 whatever b > 0. Of a Python scalar it is a Python
    scalar, which does not promote."""
    if isinstance(a, (int, float)):
        return float(np.log(a or 1))
    return log(where(_data(a) != 0, a, 1))


@operation(vjp=(lambda g, y, a, b: g * b * power(a, _one_less(a, b)),
                lambda g, y, a, b: g * y * _log(a)))
def power(a, b):
    """a ** b, element by element. For a differentiable exponent b no base may be negative; where
    one is 0, the derivative in b is 0."""
    return a ** b


# Smooth functions.

@operation(vjp=lambda g, y, x: g * (2 * x))
def square(x):
    """x * x."""
    return x * x


@operation(vjp=lambda g, y, x: g / (2 * y))
def sqrt(x):
    """The square root; its derivative at 0 is infinite."""
    return xp_of(x).sqrt(x)


@operation(vjp=lambda g, y, x: g * y)
def exp(x):
    """e to the x."""
    return xp_of(x).exp(x)


@operation(vjp=lambda g, y, x: g / x)
def log(x):
    """The natural logarithm."""
    return xp_of(x).log(x)


@operation(vjp=lambda g, y, x: g * (y + 1))
def expm1(x):
    """e^x - 1, exact to rounding near 0."""
    return xp_of(x).expm1(x)


@operation(vjp=lambda g, y, x: g / (1 + x))
def log1p(x):
    """log(1 + x), exact to rounding near 0."""
    return xp_of(x).log1p(x)


@operation(vjp=lambda g, y, x: g * cos(x))
def sin(x):
    """The sine of x in radians."""
    return xp_of(x).sin(x)


@operation(vjp=lambda g, y, x: -g * sin(x))
def cos(x):
    """The cosine of x in radians."""
    return xp_of(x).cos(x)


@operation(vjp=lambda g, y, x: _tanh_vjp(g, y))
def tanh(x):
    """The hyperbolic tangent."""
    return xp_of(x).tanh(x)


@operation(vjp=(lambda h, _, g, y: _tanh_vjp(h, y), lambda h, _, g, y: h * g * y * -2))
def _tanh_vjp(g, y):
    return kernel.tanh_vjp(g, y)


@operation(vjp=lambda g, y, x: _sigmoid_vjp(g, y))
def sigmoid(x):
    """1 / (1 + e^-x), exact to rounding at both ends."""
    return kernel.sigmoid(xp_of(x).asanyarray(x))


@operation(vjp=(lambda h, _, g, y: _sigmoid_vjp(h, y), lambda h, _, g, y: h * g * (1 - 2 * y)))
def _sigmoid_vjp(g, y):
    return kernel.sigmoid_vjp(g, y)


@operation(vjp=lambda g, y, x: g * sigmoid(x))
def softplus(x):
    """log(1 + e^x) = max(x, 0) + log1p(e^-|x|), which neither overflows nor loses small values."""
    xp = xp_of(x)
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


# Functions with a kink.

# Where such a function is flat, its cotangent is selected, not multiplied by 0: an infinite one, of
# sqrt at 0 say, would give NaN.

@operation(vjp=lambda h, y, g, mask: select(h, mask=mask))
def select(g, mask):
    """g where the boolean array ``mask`` holds, 0 elsewhere."""
    return xp_of(g).where(_beside(mask, g), g, 0)


def _beside(mask, *arrays):
    """A boolean array, on the device where one of the ``arrays`` lies there."""
    devices = {array_module(a) for a in arrays if hasattr(a, "dtype")} - {np}
    return devices.pop().asarray(mask) if devices else mask


@operation(vjp=lambda g, y, x: select(g * xp_of(x.data).sign(x.data), mask=x.data != 0))
def abs(x):
    """|x|; derivative 0 at 0."""
    return xp_of(x).abs(x)


@operation(vjp=lambda g, y, x: select(g, mask=x.data > 0))
def relu(x):
    """max(x, 0); derivative 0 at 0."""
    return xp_of(x).maximum(x, 0)


check_slope = partial(real(0, 1), "slope")      # of a leaky ReLU


@operation(vjp=lambda g, y, x, slope=0.01: _leaky_relu_vjp(g, of=x, slope=slope))
def leaky_relu(x, slope=0.01):
    """x where x > 0, slope * x elsewhere (0 <= slope <= 1)."""
    check_slope(slope)
    y = x * slope if slope else 0       # 0 times infinity is no number
    return xp_of(x).maximum(x, y, out=y if getattr(y, "ndim", 0) else None)


@operation(vjp=lambda h, y, g, of, slope: _leaky_relu_vjp(h, of=of, slope=slope))
def _leaky_relu_vjp(g, of, slope):
    if on_device(g, of.data):
        return kernel.leaky_relu_vjp(g, of.data, slope)
    return g * _slopes(of, slope) if slope else np.where(of.data > 0, g, 0)


def _slopes(x, slope):
    """1 where x > 0 and slope elsewhere, in x's dtype. It is kept on x: a discriminator's penalty
    reads it again."""
    kept = {} if x.cache is None else x.cache
    if ("slopes", slope) not in kept:
        y = (x.data > 0).astype(x.dtype)
        y *= 1 - slope
        y += slope
        kept["slopes", slope] = y
    return kept["slopes", slope]


def activated(y, slope):
    """The Tensor y of an operation that has applied the leaky ReLU in its own pass: this adds the
    rule.

    The rule needs the sign of what came before the leaky ReLU, which is the sign of y.
    """
    return y if slope == 1 else _activated(y, slope=slope)


@operation(vjp=lambda g, y, x, slope: _leaky_relu_vjp(g, of=x, slope=slope))
def _activated(y, slope):
    check_slope(slope)
    return y


def _beyond(x, low, high):
    """Where x is below low, and where it is above high; nowhere where a bound is None."""
    return (False if low is None else _data(x) < _data(low),
            False if high is None else _data(x) > _data(high))


@operation(vjp=(
    lambda g, y, x, low, high: select(g, mask=~np.logical_or(*_beyond(x, low, high))),
    lambda g, y, x, low, high: select(g, mask=_beyond(x, low, high)[0]),
    lambda g, y, x, low, high: select(g, mask=_beyond(x, low, high)[1])))
def clip(x, low=None, high=None):
    """x limited to [low, high], each None for no bound; derivative 0 outside, 1 inside and on the
    bounds, and for a bound that is a Tensor 1 where it is reached from outside."""
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and not low <= high:
        raise ValueError(f"low, high: expected low <= high, got {low} and {high}")
    if low is None and high is None:
        low = -np.inf       # NumPy 2.0 and CuPy want one of them
    return xp_of(x).clip(x, low, high)


def _won(g, a, b):
    """g where a > b, half of it at a tie, 0 elsewhere."""
    a, b = _data(a), _data(b)
    return select(g * xp_of(a, b).where(a == b, 0.5, 1.0).astype(g.dtype), mask=a >= b)


@operation(vjp=(lambda g, y, a, b: _won(g, a, b), lambda g, y, a, b: _won(g, b, a)))
def maximum(a, b):
    """The larger of a and b; at a tie each gets half of the cotangent."""
    return xp_of(a, b).maximum(a, b)


@operation(vjp=(lambda g, y, a, b: _won(g, b, a), lambda g, y, a, b: _won(g, a, b)))
def minimum(a, b):
    """The smaller of a and b; at a tie each gets half of the cotangent."""
    return xp_of(a, b).minimum(a, b)


@operation(vjp=(None, lambda g, y, c, a, b: select(g, mask=_data(c)),
                lambda g, y, c, a, b: select(g, mask=~_data(c))))
def where(condition, a, b):
    """a where the boolean array ``condition`` holds, b elsewhere."""
    if getattr(condition, "dtype", None) != np.bool_:
        raise TypeError("condition: expected a boolean array")
    condition = _beside(condition, a, b)
    return xp_of(condition, a, b).where(condition, a, b)
