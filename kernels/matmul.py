"""Matrix products, and the linear layer: product, bias and leaky ReLU in one pass."""

import numpy as np

from . import tile
from .cuda import array_module, empty, on_device

FEW = 64        # rows


def matmul(a, b, bias=None, slope=1.0):
    """(..., m, k) @ (..., k, n) -> (..., m, n), the batches broadcast; one axis as in NumPy.

    `bias` (n,) is added to the result, and where that is negative it is multiplied by `slope`
    (leaky ReLU; 1 for none).
    """
    if not on_device(a, b):
        return tile.activate(_product(a, b), bias, slope)
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"expected arrays with axes, got shapes {a.shape} and {b.shape}")
    left, right = a.reshape(1, -1) if a.ndim == 1 else a, b.reshape(-1, 1) if b.ndim == 1 else b
    if left.shape[-1] != right.shape[-2]:
        raise ValueError(f"a has {left.shape[-1]} columns, but b has {right.shape[-2]} rows: "
                         f"a {a.shape}, b {b.shape}")
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    out = _launch(_flat(left, batch), _flat(right, batch), batch, bias, slope)
    if a.ndim == 1:
        out = out.reshape(*out.shape[:-2], out.shape[-1])
    return out.reshape(out.shape[:-1]) if b.ndim == 1 else out


def _product(a, b):
    """a @ b. Of few rows and a matrix that lies transposed in memory BLAS makes the transpose in up
    to half the time."""
    if a.ndim == b.ndim == 2 and len(a) <= FEW and b.strides[0] < b.strides[1]:
        return (b.T @ a.T).T.copy()
    return a @ b


def _flat(array, batch):
    """The batch as one axis, or as none where one matrix serves all."""
    if array.size == array.shape[-2] * array.shape[-1]:
        return array.reshape(array.shape[-2:])
    wide = array_module(array).broadcast_to(array, (*batch, *array.shape[-2:]))
    return wide.reshape(-1, *array.shape[-2:])


def _launch(a, b, batch, bias, slope):
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    count = int(np.prod(batch))
    if a.ndim == 3 and b.ndim == 2:             # one matrix for all: the batch is but more rows
        a, m, count = a.reshape(-1, k), count * m, 1
    dtype = np.result_type(a.dtype, b.dtype)
    (a, a_plain), (b, b_plain) = _laid_out(a, dtype), _laid_out(b, dtype)
    if max(a.size, b.size, count * m * n) >= 2 ** 31:
        raise ValueError(
            "the matrices are too large for the CUDA kernels, which count elements in 32 bits")
    if count > tile.MOST:
        out = empty((count, m, n), a)
        for part in (slice(start, start + tile.MOST) for start in range(0, count, tile.MOST)):
            some = [x[part] if x.ndim == 3 else x for x in (a, b)]
            out[part] = _launch(*some, (len(out[part]),), bias, slope)
        return out.reshape(*batch, m, n)
    pitches = (k if a_plain else m), (n if b_plain else k)
    strides = (m * k if a.ndim == 3 else 0), (k * n if b.ndim == 3 else 0)
    bias = None if bias is None else array_module(a).ascontiguousarray(bias, dtype)
    out = tile.launch(
        "matmul.cu", "matmul", (a, pitches[0], a_plain), (b, pitches[1], not b_plain),
        (count, m, n), (count, m, k),
        lambda out, bias, slope, size, splits: (
            a, b, bias, out, *map(np.int32, (m, n, k, *pitches, *strides, size, splits)), slope),
        bias, slope, A_ALONG_K=int(a_plain), B_ALONG_K=int(not b_plain))
    return out.reshape(*batch, -1, n)


def _laid_out(array, dtype):
    """(the array contiguous, True), or (its transpose, False) where that is what lies in memory."""
    if not array.flags.c_contiguous and array.swapaxes(-1, -2).flags.c_contiguous:
        return array_module(array).ascontiguousarray(array.swapaxes(-1, -2), dtype), False
    return array_module(array).ascontiguousarray(array, dtype), True
