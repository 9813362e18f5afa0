"""Matrix products, and the forward pass of a linear layer in one operation.

T(a, b, g) = sum_ijk a_ij b_jk g_ik is linear in each argument, so the rule is: put the cotangent in
the hole. Each of its three faces gives an array in the order in which it is needed.
"""

from ..kernels import elementwise as kernel
from ..kernels import matmul as product
from .elementwise import activated
from .engine import operation
from .shapes import reshape

__all__ = ["linear", "matmul", "scale_shift"]


@operation(vjp=(lambda g, y, a, b, *_, **__: _times_transposed(g, b),
                lambda g, y, a, b, *_, **__: _transposed_times(a, g),
                lambda g, *_, **__: g))
def _matmul(a, b, *bias, slope=1.0):
    """dT/dg"""
    if a.ndim < 2 or b.ndim < 2 or bias and bias[0].shape != b.shape[-1:]:
        raise ValueError("expected (..., i, j), (..., j, k) and, if any, a bias (k,)")
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"expected (..., i, j) and (..., j, k), got j = {a.shape[-1]} and j = "
                         f"{b.shape[-2]}")
    return product.matmul(a, b, bias[0] if bias else None, slope)


@operation(vjp=(lambda h, a, g, b: _matmul(h, b), lambda h, a, g, b: _transposed_times(h, g)))
def _times_transposed(g, b):
    """dT/da"""
    return product.matmul(g, b.swapaxes(-1, -2))


@operation(vjp=(lambda h, b, a, g: _times_transposed(g, h), lambda h, b, a, g: _matmul(a, h)))
def _transposed_times(a, g):
    """dT/db"""
    return product.matmul(a.swapaxes(-1, -2), g)


def matmul(a, b):
    """The matrix product (..., i, j) @ (..., j, k) -> (..., i, k). Leading axes broadcast; vectors
    work as in NumPy."""
    left, right = len(getattr(a, "shape", ())) == 1, len(getattr(b, "shape", ())) == 1
    y = _matmul(reshape(a, (1, -1)) if left else a, reshape(b, (-1, 1)) if right else b)
    if left or right:
        shape = y.shape[:-2] + (() if left else y.shape[-2:-1]) + (() if right else y.shape[-1:])
        y = reshape(y, shape)
    return y


def linear(x, weight, bias=None, slope=1.0):
    """x @ weight + bias and then a leaky ReLU of ``slope`` (1 for none), in one pass.

    x (..., n_in) of at least two axes, weight (n_in, n_out), bias (n_out,) -> (..., n_out).
    """
    arrays = (x, weight) if bias is None else (x, weight, bias)
    return activated(_matmul(*arrays, slope=slope), slope)


def scale_shift(x, scale, shift, slope=1.0):
    """x * scale + shift and then a leaky ReLU of ``slope`` (1 for none), in one pass.

    x (..., c), scale (c,), shift (c,) -> (..., c).
    """
    return activated(_scale_shift(x, scale, shift, slope=slope), slope)


@operation(vjp=(lambda h, _, g, scale: scaled(h, scale), lambda h, _, g, scale: h * g))
def scaled(g, scale):
    """g (..., c) times scale (c,)."""
    return kernel.scaled(g, scale)


@operation(vjp=(lambda g, y, x, scale, shift, slope: scaled(g, scale),
                lambda g, y, x, scale, shift, slope: g * x, lambda g, *_, **__: g))
def _scale_shift(x, scale, shift, slope):
    return kernel.scale_shift(x, scale, shift, slope)
