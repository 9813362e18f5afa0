"""Arithmetic with one number a channel, on NumPy."""

import math

import numpy as np

LONG = 6144         # so many numbers in a row make what it takes to begin one small
MANY = 8            # rows for which it pays to write one out


def in_memory(x):
    """The axes of x as they lie in memory, the outermost first, and where among them its last one,
    the channels', is."""
    order = sorted(range(x.ndim), key=lambda k: -x.strides[k])
    return order, order.index(x.ndim - 1)


def per_channel(ufunc, x, values, out=None):
    """``ufunc`` of x (..., c) and values (c,), into ``out`` or an array that lies as x does.

    NumPy begins anew for each channel: in a batch of 32 that lies innermost in memory, after 32
    numbers, and most of the time goes into that. So the values are written out for as many of the
    numbers of x as make a long row. The result is the same to the bit.
    """
    if x.size < MANY * LONG:
        return ufunc(x, values, out=out)
    order, at = in_memory(x)
    dense = x.transpose(order)
    before, behind = math.prod(dense.shape[:at]), math.prod(dense.shape[at + 1:])
    least = -(-LONG // (values.size * behind))
    repeats = next((k for k in range(least, min(4 * least, before // MANY) + 1) if before % k == 0),
                   0)
    if not repeats or not dense.flags.c_contiguous or behind >= LONG or (
            out is not None and out.strides != x.strides):
        return ufunc(x, values, out=out)
    out = np.empty_like(x, np.result_type(x, values)) if out is None else out
    long = np.empty_like(values, shape=(repeats, values.size, behind))
    np.copyto(long, values[:, None])
    ufunc(dense.reshape(-1, long.size), long.reshape(-1),
          out=out.transpose(order).reshape(-1, long.size))
    return out
