"""The convolution trio: three faces of one trilinear form, each one product of lowered arrays.

    T(x, w, y) = sum over n,i,j,u,v,c,o of x[n, i*s+u-p, j*s+v-p, c] * w[u,v,c,o] * y[n,i,j,o]

    conv2d = dT/dy        conv_transpose2d = dT/dx        conv2d_weight = dT/dw

On NumPy a lowering (lowering.py) turns T into ``<W^T X, Y>``, so that each face is one product,
followed by the adjoint ("lift") of the map of its own argument:

    conv2d            Y = W^T X
    conv_transpose2d  X = W Y
    conv2d_weight     W = sum over tiles of X Y^T

Arrays may lie in memory in any order; batch innermost, (h, w, c, n), costs no copy. Results are
transposed views in that order. NumPy's elementwise operations keep it, and so does a chain of
layers.

On CUDA nothing is lowered: conv.cu reads x, w and y where they lie, (n, h, w, c), through the
tables made here.
"""

from functools import cache

import numpy as np

from . import tile
from .cuda import array_module, on_device, same_dtype
from .elementwise import is_half
from .lowering import lowerings
from .size import check_size, is_whole

# --------------------------------------------------------------------------------- the three faces

def conv2d(x, w, stride=1, padding=0, bias=None, slope=1.0, cache=(None, None)):
    """dT/dy, cross-correlation: (n, h, w, c) * (kh, kw, c, o) -> (n, i, j, o).

    `bias` (o,) is added to the result and a leaky ReLU of `slope` (1 for none) applied.

    Every face takes `cache`: a dict or None for each of its two arrays. What the array was lowered
    to is kept in its dict, for the next face that reads the same array. The caller promises that
    the array does not change as long as the dict is used.
    """
    _check_rank(x, "x", "n, h, w, c")
    _check_rank(w, "w", "kh, kw, c, o")
    if x.shape[3] != w.shape[2]:
        raise ValueError(f"x has {x.shape[3]} channels, but w is for {w.shape[2]}: x {x.shape}, "
                         f"w {w.shape} (the channels of x are its last axis)")
    _check_bias(bias, w.shape[3])
    geometry = _geometry(x.shape[1:3], w.shape, stride, padding, len(x))
    if on_device(x, w):
        return _launch_conv2d(x, w, bias, slope, *geometry)
    if _turns(*geometry):
        return conv_transpose2d(x, _turned(w), padding=_rest(*geometry), bias=bias, slope=slope,
                                cache=cache)
    plan = _plan(x, w, *geometry)
    X = _lowered(plan, "x", x, cache[0])
    W = _lowered(plan, "w", w, cache[1])
    return _rounded(tile.activate(plan.lift("y", W.swapaxes(-1, -2) @ X), bias, slope), x, w)


def conv_transpose2d(y, w, stride=1, padding=0, output_size=None, bias=None, slope=1.0,
                     cache=(None, None)):
    """dT/dx, the adjoint of conv2d in x: (n, i, j, o) * (kh, kw, c, o) -> (n, h, w, c).

    `bias` (c,) and `slope` work as there. Several sizes (h, w) are mapped to (i, j) by conv2d:
    `output_size` says which is meant, by default the smallest.
    """
    _check_rank(y, "y", "n, i, j, o")
    _check_rank(w, "w", "kh, kw, c, o")
    if y.shape[3] != w.shape[3]:
        raise ValueError(f"y has {y.shape[3]} channels, but w is for {w.shape[3]}: y {y.shape}, "
                         f"w {w.shape} (the channels of y are its last axis)")
    _check_bias(bias, w.shape[2])
    s, p = pair(stride, "stride", 1), pair(padding, "padding", 0)
    least = tuple((y.shape[1 + a] - 1) * s[a] + w.shape[a] - 2 * p[a] for a in (0, 1))
    # An image without pixels is a size only where it is asked for: as the gradient of one is.
    size = least if output_size is None else pair(output_size, "output_size", 0)
    at_least = 1 if output_size is None else 0
    if not all(max(least[a], at_least) <= size[a] < least[a] + s[a] for a in (0, 1)):
        most = tuple(least[a] + s[a] - 1 for a in (0, 1))
        raise ValueError(f"output_size {size} is impossible, expected {least} to {most} and at "
                         f"least {at_least}: y {y.shape}, w {w.shape}, stride {stride}, padding "
                         f"{padding}")
    geometry = _geometry(size, w.shape, s, p, len(y))
    if on_device(y, w):
        return _launch_conv_transpose2d(y, w, bias, slope, *geometry)
    if _turns(*geometry):
        return conv2d(y, _turned(w), 1, _rest(*geometry), bias, slope, cache)
    plan = _plan(y, w, *geometry)
    Y = _lowered(plan, "y", y, cache[0])
    W = _lowered(plan, "w", w, cache[1])
    return _rounded(tile.activate(plan.lift("x", W @ Y), bias, slope), y, w)


def conv2d_weight(x, y, kernel_size, stride=1, padding=0, cache=(None, None)):
    """dT/dw, the adjoint of conv2d in w: (n, h, w, c) * (n, i, j, o) -> (kh, kw, c, o)."""
    _check_rank(x, "x", "n, h, w, c")
    _check_rank(y, "y", "n, i, j, o")
    kernel = pair(kernel_size, "kernel_size", 1)
    geometry = _geometry(x.shape[1:3], (*kernel, x.shape[3], y.shape[3]), stride, padding, len(x))
    out = _outputs(*geometry)
    if y.shape[:3] != (x.shape[0], *out):
        raise ValueError(f"y has shape {y.shape}, expected {(x.shape[0], *out)} and its channels: "
                         f"x {x.shape}, kernel_size {kernel}, stride {stride}, padding {padding}")
    if on_device(x, y):
        return _launch_conv2d_weight(x, y, *geometry)
    if _turns(*geometry):
        return _turned(conv2d_weight(y, x, kernel, 1, _rest(*geometry), cache[::-1])).copy()
    plan = _plan(x, y, *geometry)
    X = _lowered(plan, "x", x, cache[0])
    Y = _lowered(plan, "y", y, cache[1])
    W = 0
    for row in range(len(X)):       # one row of tiles at a time, for their products are large
        product = X[row] @ Y[row].swapaxes(-1, -2)      # (points, tiles, points, k, o)
        W = W + (product.sum(1) if product.shape[1] > 1 else product[:, 0])
    return _rounded(plan.lift("w", W), x, y)


def _check_rank(array, name, axes):
    if array.ndim != 4:
        raise ValueError(f"{name} has shape {array.shape}, expected 4 axes ({axes})")


def _check_bias(bias, channels):
    if bias is not None and np.shape(bias) != (channels,):
        raise ValueError(f"bias has shape {np.shape(bias)}, expected {(channels,)}, one number a "
                         "channel of the result")


def pair(value, name, least):
    """An int or a pair of ints as a pair. Raises ValueError for anything else, or below ``least``.
    """
    pair = (value, value) if is_whole(value) else value
    if not (isinstance(pair, (tuple, list)) and len(pair) == 2
            and is_whole(pair[0]) and is_whole(pair[1])):
        raise ValueError(f"{name} is {value!r:.80}, expected an int or a pair of ints")
    if min(pair) < least:
        raise ValueError(f"{name} is {value!r:.80}, expected at least {least}")
    return int(pair[0]), int(pair[1])


def _geometry(size, weight_shape, stride, padding, n=1):
    """The geometry of a convolution, checked: size of x, shape of w (kh, kw, c, o), stride and
    padding."""
    stride, padding = pair(stride, "stride", 1), pair(padding, "padding", 0)
    kernel = tuple(weight_shape[:2])
    if min(kernel) < 1 or any(kernel[k] > size[k] + 2 * padding[k] for k in (0, 1)):
        raise ValueError(f"the kernel has size {kernel}, expected at least 1 and at most that of "
                         f"the padded x: x has size {size}, padding is {padding}")
    _check_sizes(n, size, weight_shape, stride, padding)
    return tuple(size), tuple(weight_shape), stride, padding


def _check_sizes(n, size, weight_shape, stride, padding):
    """ValueError where an array of this geometry is larger than any memory."""
    (kh, kw, c, o), (rows, columns) = weight_shape, (size[a] + 2 * padding[a] for a in (0, 1))
    # Below 2^28 elements, a gigabyte, nothing is looked up.
    if rows * columns * max(n, 1) * max(c * kh, o) > 2 ** 28:
        out = _outputs(size, weight_shape, stride, padding)
        for name, shape in (("x", (n, *size, c)), ("the padded x", (n, rows, columns, c)),
                            ("y", (n, *out, o)), ("the lowered x", (out[0], columns, kh, c, n))):
            check_size(name, shape)
    if kh * kw > 2 ** 20:
        check_size("w", weight_shape)


def _outputs(size, weight_shape, stride, padding):
    """The size (i, j) of y."""
    return tuple((size[a] + 2 * padding[a] - weight_shape[a]) // stride[a] + 1 for a in (0, 1))


# ------------------------------------------------------------------------------------------- NumPy

def _plan(a, b, size, weight_shape, stride, padding):
    """The lowering for arrays a and b."""
    plain, fast = lowerings(size, weight_shape[:2], stride, padding)
    # With few channels the matrices are thin, with a small batch the runs are short: there fewer
    # multiplications gain nothing.
    thick = weight_shape[2] * stride[0] * stride[1] >= 8 and len(a) >= 8
    return fast if fast and thick and a.dtype == b.dtype == np.float32 else plain


# T is that of a convolution from y to x, too, where the stride is 1:
#     T(x, w, y, p) = T(y, w', x, k-1-p),   w'[u,v,o,c] = w[k-1-u,k-1-v,c,o]

def _turns(size, weight_shape, stride, padding):
    """Whether it is better read so: where y has few channels, say colours, its windows are the
    smaller ones."""
    kh, kw, c, o = weight_shape
    return (stride == (1, 1) and (kh, kw) != (1, 1) and 0 < o < min(c, 8) and min(size) > 0
            and padding[0] < kh and padding[1] < kw)


def _turned(w):
    return w[::-1, ::-1].swapaxes(2, 3)


def _rest(size, weight_shape, stride, padding):
    return weight_shape[0] - 1 - padding[0], weight_shape[1] - 1 - padding[1]


def _lowered(plan, role, array, kept):
    key = plan.geometry, role
    if kept is not None and key in kept:
        return kept[key]
    if role != "w":
        array = batch_innermost(array).transpose(1, 2, 3, 0)
    lowered = plan.lower(role, array.astype(np.float32) if is_half(array) else array)
    if kept is not None:
        kept[key] = lowered
    return lowered


def batch_innermost(array):
    """Images (n, h, w, c) as they are lowered, (h, w, c, n) in memory; others as they are.

    Eight images at a time: their pixels often lie whole pages apart, in one set of the cache, which
    holds no more.
    """
    inner = array.transpose(1, 2, 3, 0) if array.ndim == 4 else array
    if inner is array or on_device(array) or inner.flags.c_contiguous:
        return array
    out = np.empty_like(inner, order="C")
    for k in range(0, len(array), 8):
        out[..., k:k + 8] = inner[..., k:k + 8]
    return out.transpose(3, 0, 1, 2)


def _rounded(result, a, b):
    """The result of arrays a and b; of float16, which is lowered in float32, in float16 again."""
    return result.astype(np.float16) if is_half(a) and is_half(b) else result


# -------------------------------------------------------------------------------------------- CUDA

def _launch_conv2d(x, w, bias, slope, size, weight_shape, stride, padding):
    n, (i, j), o = len(x), _outputs(size, weight_shape, stride, padding), weight_shape[3]
    tables = _tables("conv2d", array_module(x), n, size, weight_shape, stride, padding)
    x, w, bias = same_dtype(x, w, bias)
    return tile.launch(
        "conv.cu", "conv2d", (x, x.shape[3], True), (w, o, False), (n, i, j, o), tables.sizes,
        lambda out, bias, slope, count, splits: (
            x, w, bias, out, *tables.arrays, *map(np.int32, (*size, o, count, splits)), slope),
        bias, slope)


def _launch_conv_transpose2d(y, w, bias, slope, size, weight_shape, stride, padding):
    n, (_, _, c, o) = len(y), weight_shape
    tables = _tables("conv_transpose2d", array_module(y), n, size, weight_shape, stride, padding)
    y, w, bias = same_dtype(y, w, bias)
    return tile.launch(
        "conv.cu", "conv_transpose2d", (y, o, True), (w, o, True), (n, *size, c), tables.sizes,
        lambda out, bias, slope, count, splits: (
            y, w, bias, out, *tables.arrays,
            *map(np.int32, (*y.shape[1:3], c, o, count, splits)), slope),
        bias, slope)


def _launch_conv2d_weight(x, y, size, weight_shape, stride, padding):
    o = weight_shape[3]
    tables = _tables("conv2d", array_module(x), len(x), size, weight_shape, stride, padding)
    classes, positions, taps = tables.sizes
    x, y, _ = same_dtype(x, y, None)
    return tile.launch(
        "conv.cu", "conv2d_weight", (x, x.shape[3], False), (y, o, False), weight_shape,
        (classes, taps, positions),
        lambda out, bias, slope, count, splits: (
            x, y, out, *tables.arrays, *map(np.int32, (*size, o, count, splits))))


class _Tables:
    """positions, taps and classes (k, 4) of conv.cu on the device. sizes: the number of classes,
    and of positions and of taps in the class with the most."""

    def __init__(self, module, positions, taps, classes):
        self.sizes = len(classes), *(max((c[k] for c in classes), default=0) for k in (1, 3))
        self.arrays = tuple(module.asarray(_fitting(table)) for table in (positions, taps, classes))


def _fitting(table):
    table = np.concatenate(table) if table and isinstance(table[0], np.ndarray) else np.array(table)
    if table.size and np.abs(table).max() >= 2 ** 31:
        raise ValueError("the arrays are too large for the CUDA kernels, which count elements in "
                         "32 bits: use a smaller batch")
    return np.ascontiguousarray(table, np.int32)


@cache        # without a limit, because a captured CUDA graph reads them later
def _tables(face, module, n, size, weight_shape, stride, padding):
    """The tables of a face for a batch of n; conv2d's serve conv2d_weight too."""
    (kh, kw, c, o), (s, t), (p, q) = weight_shape, stride, padding
    i, j = _outputs(size, weight_shape, stride, padding)
    if face == "conv2d":
        h, w = size
        positions = _positions(n, np.arange(i) * s - p, np.arange(j) * t - q, h, w, c)
        positions[:, 3] = np.arange(n * i * j) * o
        taps = _taps(np.arange(kh), np.arange(kw), np.arange(c), w, c)
        taps[:, 3] = np.arange(kh * kw * c) * o
        return _Tables(module, [positions], [taps], [(0, len(positions), 0, len(taps))])
    positions, taps, classes, firsts = [], [], [], [0, 0]
    for a in range(s):          # the rows h of a class have (h + p) % s == a
        for b in range(t):
            rows, cols = np.arange((a - p) % s, size[0], s), np.arange((b - q) % t, size[1], t)
            if not len(rows) or not len(cols):
                continue
            us, vs = np.arange(a, kh, s), np.arange(b, kw, t)
            part = _positions(n, (rows + p) // s, (cols + q) // t, i, j, o)
            part[:, 3] = _places(np.arange(n) * size[0] * size[1], rows * size[1], cols) * c
            tap = _taps(-(us // s), -(vs // t), np.arange(o), j, o)
            tap[:, 3] = _places(us * kw * c * o, vs * c * o, np.arange(o))
            classes.append((firsts[0], len(part), firsts[1], len(tap)))
            firsts = [firsts[0] + len(part), firsts[1] + len(tap)]
            positions.append(part)
            taps.append(tap)
    return _Tables(module, positions, taps, classes)


def _places(*axes):
    """All sums of one number of each axis, the last axis fastest: (product of the lengths,)."""
    total = np.zeros(1, np.int64)
    for axis in axes:
        total = (total[:, None] + axis).reshape(-1)
    return total


def _positions(n, rows, cols, height, width, channels):
    """{place, row, column, -} of every image, row and column, as int64 (n * rows * cols, 4)."""
    images = np.arange(n)
    place = _places(images * height * width, rows * width, cols) * channels
    return np.stack([place, _places(images * 0, rows, cols * 0),
                     _places(images * 0, rows * 0, cols), place * 0], axis=1)


def _taps(rows, cols, inner, width, channels):
    """{place, row, column, -} of every tap and channel, as int64 (rows * cols * inner, 4)."""
    place = _places(rows * width * channels, cols * channels, inner)
    zero = inner * 0
    return np.stack([place, _places(rows, cols * 0, zero), _places(rows * 0, cols, zero),
                     place * 0], axis=1)
