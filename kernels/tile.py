"""The launcher of a product made of tiles (tile.cu): its macros, its grid, and into how many parts
it is cut along k."""

import numpy as np

from . import cuda
from .channels import per_channel

THREADS, TILE, STAGES = 128, 64, 3      # as in tile.cu
MOST = 65535        # blocks along the third axis of a grid
ENOUGH = 264        # blocks that fill a large card twice (132 multiprocessors on an H100)
_precision = "highest"


def set_float32_matmul_precision(precision):
    """How CUDA multiplies float32 matrices, in convolutions too: "highest" (float32) or "high"
    (TF32 on tensor cores: 10 bits of mantissa, sums in float32), as in PyTorch. Raises ValueError
    for another."""
    global _precision
    if precision not in ("highest", "high"):
        raise ValueError(f'precision: expected "highest" or "high", got {precision!r}')
    _precision = precision


def get_float32_matmul_precision():
    """"highest" or "high"."""
    return _precision


def activate(result, bias, slope):
    """The NumPy twin of `activated` in tile.cu: leaky ReLU of result + bias, in place."""
    if bias is not None:
        per_channel(np.add, result, bias, result)
    if slope != 1:      # 0 times infinity is no number
        low = result * np.asarray(slope, result.dtype) if slope else 0
        np.maximum(result, low, out=result)
    return result


def launch(file, name, a, b, shape, sizes, arguments, bias=None, slope=1.0, **macros):
    """Launch a product of tiles and return its result, an array of ``shape``.

    a, b : (array, neighbours, along_k)
        How many elements lie side by side, which decides how many are read at once, and whether
        along k.
    sizes : (classes or batch, rows, depth)
        Of the grid. The columns are the last axis of ``shape``.
    arguments : callable (out, bias, slope, count, splits) -> the kernel's arguments
        For the finished result of ``count`` elements, or for its parts along k, (splits, *shape).
    """
    (left, _, a_along_k), (_, _, b_along_k) = a, b
    out = cuda.empty(shape, left)
    if out.size == 0:
        return out
    classes, rows, depth = sizes
    tf32 = _precision == "high" and left.dtype == np.float32
    slab = 32 if tf32 else 16
    macros |= {"REAL": cuda.real(left), "TF32": int(tf32),
               "VECTOR_A": _vector(*a[:2]), "VECTOR_B": _vector(*b[:2])}
    elements = sum(TILE * (slab + 4) if along_k else slab * (TILE + 8)
                   for along_k in (a_along_k, b_along_k))
    grid = cuda.blocks(rows, TILE), cuda.blocks(shape[-1], TILE)
    splits = max(1, min(ENOUGH // (grid[0] * grid[1] * classes), depth // (4 * slab)))
    slope = left.dtype.type(slope)
    bytes_ = STAGES * elements * left.dtype.itemsize
    if splits == 1:
        cuda.launch(file, name, (*grid, classes), (THREADS,),
                    arguments(out, bias, slope, out.size, 1), bytes_, **macros)
        return out
    parts = cuda.empty((splits, *shape), left)
    linear = left.dtype.type(1)         # bias and slope come after the sum
    cuda.launch(file, name, (*grid, classes * splits), (THREADS,),
                arguments(parts, None, linear, out.size, splits), bytes_, **macros)
    cuda.launch(file, "sum_splits", (cuda.blocks(out.size, 256),), (256,),
                (parts, bias, out, *map(np.int32, (out.size, shape[-1], splits)), slope), **macros)
    return out


def _vector(array, neighbours):
    """How many elements may be read at once: as many as fit 16 bytes where rows and array are
    aligned to that, else 1."""
    address = array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr
    most = 16 // array.dtype.itemsize
    return most if neighbours % most == 0 and address % 16 == 0 else 1
