"""Pooling: the mean or the largest of each window of an image.

Cutting the windows out is one linear operation; its adjoint adds them back where they were. What
is made of a window is then a mean or a maximum like any other.
"""

import math

import numpy as np

from ..kernels.conv import pair
from ..runtime.checks import expect
from .elementwise import xp_of
from .engine import operation
from .shapes import max, mean, shape_of

__all__ = ["avg_pool2d", "max_pool2d"]


def avg_pool2d(x, kernel_size, stride=None, padding=0):
    """The mean of each window: (n, h, w, c) -> (n, i, j, c). Zeros around the image count, too.

    ``kernel_size``, ``stride`` (by default the kernel's size) and ``padding`` are ints or (rows,
    columns), as in PyTorch. Raises ValueError where they do not fit the image.
    """
    return mean(_windows(x, **_fitting(x, kernel_size, stride, padding), fill=0.0), axis=(3, 4))


def max_pool2d(x, kernel_size, stride=None, padding=0):
    """The largest of each window: (n, h, w, c) -> (n, i, j, c); ties share the cotangent equally.
    Arguments as of ``avg_pool2d``; the padding is never the largest."""
    found = _fitting(x, kernel_size, stride, padding)
    return max(_windows(x, **found, fill=-math.inf), axis=(3, 4))


def geometry(kernel_size, stride, padding, where=""):
    """The arguments as pairs: {"kernel", "stride", "padding"}; ``where`` begins the sentence on one
    that is wrong."""
    kernel = pair(kernel_size, f"{where}kernel_size", 1)
    stride = kernel if stride is None else pair(stride, f"{where}stride", 1)
    padding = pair(padding, f"{where}padding", 0)
    expect(all(2 * p <= k for p, k in zip(padding, kernel)), f"{where}padding",
           f"at most half of the kernel's size {kernel}", padding)
    return {"kernel": kernel, "stride": stride, "padding": padding}


def _fitting(x, *arguments):
    """The geometry, which fits the images x."""
    shape, found = shape_of("x", x), geometry(*arguments)
    expect(len(shape) == 4, "x", "images (n, h, w, c)", x)
    kernel, padding = found["kernel"], found["padding"]
    expect(all(n + 2 * p >= k for n, p, k in zip(shape[1:3], padding, kernel)), "kernel_size",
           f"a window that fits into {tuple(shape[1:3])} with padding {padding}", kernel)
    return found


def _padded(padding):
    return (0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)


@operation(vjp=lambda g, y, x, kernel, stride, padding, fill: _put_back(
    g, shape=x.shape, kernel=kernel, stride=stride, padding=padding))
def _windows(x, kernel, stride, padding, fill):
    """y[n,i,j,u,v,c] = x[n, i*s+u-p, j*s+v-p, c], and ``fill`` outside the image."""
    xp = xp_of(x)
    x = xp.pad(x, _padded(padding), constant_values=fill) if any(padding) else x
    (n, h, w, c), (b, row, column, channel) = x.shape, x.strides
    i, j = ((size - k) // s + 1 for size, k, s in zip((h, w), kernel, stride))
    return xp.lib.stride_tricks.as_strided(
        x, (n, i, j, *kernel, c),
        (b, row * stride[0], column * stride[1], row, column, channel))


@operation(vjp=lambda h, y, g, shape, **geometry: _windows(h, **geometry, fill=0.0))
def _put_back(g, shape, kernel, stride, padding):
    """The adjoint: every pixel gets the sum of what its windows have at its place."""
    i, j = g.shape[1:3]
    (top, left), sizes = padding, [n + 2 * p for n, p in zip(shape[1:3], padding)]
    out = xp_of(g).zeros((shape[0], *sizes, shape[3]), np.result_type(g.dtype, np.float32))
    for u in range(kernel[0]):
        for v in range(kernel[1]):
            out[:, u:u + stride[0] * i:stride[0], v:v + stride[1] * j:stride[1]][:, :i, :j] += (
                g[:, :, :, u, v])
    return out[:, top:top + shape[1], left:left + shape[2]].astype(g.dtype)
