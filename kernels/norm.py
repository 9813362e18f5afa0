"""Normalisation over all axes but the last, its vector-Jacobian product and the derivative of that,
and channel sums.

    mean_c = sum_m x_mc / M,   var_c = sum_m (x_mc - mean_c)^2 / M,   y_mc = (x_mc - mean_c) r_c,
    r = (var + eps)^(-1/2)

where m runs over every axis but the last. Below ``<a>`` is the mean of a over m. Of float16 all
is computed in float32, and what has the shape of x is rounded at the end.

A batch may lie on several processes. Whoever has a part of it passes ``over_ranks``, which turns an
array of means of its own rows into that of all rows.
"""

import math
from functools import cache

import numpy as np

from . import cuda
from .channels import in_memory, per_channel
from .cuda import array_module, on_device
from .elementwise import in_float32, is_half

LANES, CHANNELS = 8, 32     # of a block in norm.cu
CHUNKS = 64                 # into how many parts the rows are cut at most
LONGEST = 512               # on NumPy: how many numbers BLAS adds in the array's own precision


def channel_sum(x):
    """(..., c) -> (c,): the sum over all axes but the last.

    On NumPy the dense axes before and after the channels in memory are one axis each: (a, c, b).
    Both sums are matrix-vector products with ones, because BLAS streams those faster than NumPy
    reduces over leading axes.
    """
    if not x.size:
        return array_module(x).zeros(x.shape[-1:], x.dtype)
    if on_device(x):
        parts, _ = _over_rows("column_sums", [x], 1)
        return _joined(parts, x.shape[-1], 1)
    if x.dtype.char == "e":
        return channel_sum(x.astype(np.float32)).astype(np.float16)
    order, at = in_memory(x)
    before, after = order[:at], order[at + 1:]
    inner = math.prod(x.shape[k] for k in after)
    sums = x.transpose(order).reshape(-1, inner)                        # (a * c, b)
    sums = _sums(sums, 1) if after else sums
    return _sums(sums.reshape(-1, x.shape[-1]), 0) if before else sums.reshape(-1)


def _sums(x, axis):
    """The sums of a matrix along an axis of any length: BLAS adds LONGEST numbers at a time, and
    those sums are added in float64. In float32 the sum of more would lose digits."""
    length = x.shape[axis]
    ones = _ones(min(length, LONGEST), x.dtype)
    if length <= LONGEST:
        return x @ ones if axis else ones @ x
    rest = length % LONGEST
    chunks = x[:, :length - rest] if axis else x[:length - rest]
    chunks = chunks.reshape(*x.shape[:axis], -1, LONGEST, *x.shape[axis + 1:])
    parts = chunks @ ones if axis else ones @ chunks
    sums = np.add.reduce(parts, axis, np.promote_types(x.dtype, np.float64))
    if rest:
        sums += x[:, -rest:] @ ones[:rest] if axis else ones[:rest] @ x[-rest:]
    return sums.astype(parts.dtype)


@cache
def _ones(length, dtype):
    return np.ones(length, dtype)


def _rows(x):
    """How many numbers a channel has, 1 where there are none: the mean of no rows is 0."""
    return x.size // x.shape[-1] if x.size else 1


def normalize(x, eps, over_ranks=None):
    """(..., c) -> y (..., c), mean (c,), var (c,); of a float16 x the latter two are float32."""
    if on_device(x) and x.size:
        return _launch_normalize(x, eps, over_ranks)
    if is_half(x):
        y, mean, var = normalize(x.astype(np.float32), eps, over_ranks)
        return y.astype(np.float16), mean, var
    count = _rows(x)
    mean = channel_sum(x) / count
    y = per_channel(np.subtract, x, mean)
    var = channel_sum(y * y) / count
    if over_ranks:
        own, (mean, var) = mean, _joined_moments(mean, var, over_ranks)
        y += own - mean
    return per_channel(np.multiply, y, (var + eps) ** -0.5, y), mean, var


def _joined_moments(mean, var, over_ranks):
    """The mean and variance of all rows from those of each part: var = <var + mean^2> - <mean>^2,
    in float64, because the difference cancels."""
    first, second = mean.astype(np.float64), var.astype(np.float64)
    first, second = over_ranks(array_module(mean).stack([first, second + first * first]))
    return first.astype(mean.dtype), (second - first * first).clip(0).astype(var.dtype)


@in_float32
def normalize_vjp(g, y, r, over_ranks=None, product=None):
    """The cotangent of x: ``r (g - <g> - y <g y>)``. Linear and self-adjoint in g.

    ``product``: ``product_sum(g, y)`` where that is known.
    """
    if on_device(g, y, r) and y.size:
        return _launch_vjp("normalize_vjp", [g, y], r, over_ranks)
    product = product_sum(g, y) if product is None else product
    mean_g, mean_gy = _means(over_ranks, _rows(y), channel_sum(g), product)
    out = per_channel(np.multiply, y, -mean_gy)
    out += g
    per_channel(np.subtract, out, mean_g, out)
    return per_channel(np.multiply, out, r, out)


@in_float32
def normalize_vjp_x(h, g, y, r, over_ranks=None):
    """The cotangent of x in ``<h, normalize_vjp(g, y(x), r(x))>``:

        -r^2 [(h - <h>) <g y> + (g - <g>) <h y> + y (<h g> - <h> <g> - 3 <h y> <g y>)]
    """
    if on_device(h, g, y, r) and y.size:
        return _launch_vjp("normalize_vjp_x", [h, g, y], r, over_ranks)
    mean_g, mean_h, mean_gy, mean_hy, mean_hg = _means(
        over_ranks, _rows(y), *map(channel_sum, (g, h, g * y, h * y, h * g)))
    return -r * r * ((h - mean_h) * mean_gy + (g - mean_g) * mean_hy
                     + y * (mean_hg - mean_h * mean_g - 3 * mean_hy * mean_gy))


def product_sum(g, y):
    """(c,): the sums of g y over all axes but the last; of float16 in float32."""
    g, y = (a.astype(np.float32) if is_half(a) else a for a in (g, y))
    return channel_sum(g * y)


def _means(over_ranks, count, *sums):
    """The means (c,) of ``count`` numbers a channel from their sums (c,); of several ranks in one
    exchange for all."""
    means = np.stack(sums) / count
    return over_ranks(means) if over_ranks else means


def _over_rows(name, arrays, sums):
    """The parts (chunks, sums, channels) that a kernel makes of arrays (rows, channels), and the
    arrays."""
    arrays = cuda.same_dtype(*arrays)
    first = next(a for a in arrays if a is not None)
    channels = first.shape[-1]
    rows = first.size // channels
    grid = min(CHUNKS, cuda.blocks(rows, 4 * LANES)) or 1, cuda.blocks(channels, CHANNELS)
    parts = cuda.empty((grid[0], sums, channels), first)
    cuda.launch("norm.cu", name, grid, (CHANNELS, LANES),
                (*arrays, parts, np.int32(rows), np.int32(channels)),
                sums * LANES * CHANNELS * first.dtype.itemsize, REAL=cuda.real(first))
    return parts, *arrays


def _joined(parts, size, count):
    out = cuda.empty((size,), parts)
    cuda.launch("norm.cu", "join_sums", (cuda.blocks(size, 256),), (256,),
                (parts, out, *map(np.int32, (len(parts), size, count))), REAL=cuda.real(parts))
    return out


def _launch_normalize(x, eps, over_ranks):
    parts, x = _over_rows("moments", [x], 3)
    channels = x.shape[-1]
    mean, var = cuda.empty((channels,), x), cuda.empty((channels,), x)
    cuda.launch("norm.cu", "join_moments", (cuda.blocks(channels, 256),), (256,),
                (parts, mean, var, np.int32(len(parts)), np.int32(channels)), REAL=cuda.real(x))
    if over_ranks:
        mean, var = _joined_moments(mean, var, over_ranks)
    y = cuda.over_elements("norm.cu", "normalize", x, (x, mean, var), np.int32(channels),
                           x.dtype.type(eps))
    return y, mean, var


def _launch_vjp(name, arrays, r, over_ranks):
    """normalize_vjp of [g, y], or normalize_vjp_x of [h, g, y]."""
    *h, g, y = arrays
    parts, g, y, h = _over_rows("products", [g, y, h[0] if h else None], 5)
    channels = g.shape[-1]
    means = _joined(parts, 5 * channels, g.size // channels)
    if over_ranks:
        means = over_ranks(means)
    r, = cuda.same_dtype(r)
    inputs = (g, y) if h is None else (h, g, y)
    return cuda.over_elements("norm.cu", name, g, (*inputs, r, means), np.int32(channels))
