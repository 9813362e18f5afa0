"""The convolution trio on NumPy: three faces of one trilinear form, each one product of lowered arrays.

    T(x, w, y) = sum over n,i,j,u,v,c,o of x[n, i*s+u-p, j*s+v-p, c] * w[u,v,c,o] * y[n,i,j,o]

    conv2d = dT/dy        conv_transpose2d = dT/dx        conv2d_weight = dT/dw

A lowering is three linear maps, x -> X, w -> W and y -> Y, that turn T into a sum of matrix products:

    T(x, w, y) = sum over tiles and points of <X^T W, Y>        X: (k, n), W: (k, o), Y: (o, n)

so that each face is one product, followed by the adjoint ("lift") of the map of its own argument:

    conv2d: Y = W^T X        conv_transpose2d: X = W Y        conv2d_weight: W = sum over tiles of X Y^T

Two lowerings are enough. `_Windows` copies every window of x (im2col); its lift adds them back (col2im). It does any
shape, any dtype and CuPy. `_CookToom` is F(m, r) of Toom, Cook and Winograd with every map a product with a small
constant matrix; it needs 2 to 4 times fewer multiplications, and is right to about 1e-5 of the largest result, so it
serves float32 only.

Memory order: the batch is innermost, (h, w, c, n), whatever the public shape (n, h, w, c) says. Positions and channels
then move in long contiguous runs, the batch fills the vector registers, and x.reshape(n, -1) still copies nothing.
Arrays in any other order are welcome and cost one copy. Results are transposed views; NumPy's elementwise operations
keep their order, so a chain of layers stays in it.
"""

from functools import lru_cache

import numpy as np

from .cuda import array_module

# ------------------------------------------------------------------------------------------------- the three faces


def conv2d(x, w, stride=1, padding=0, cache=(None, None)):
    """dT/dy, cross-correlation: (n, h, w, c) * (kh, kw, c, o) -> (n, i, j, o).

    Every face takes `cache`: beside each of its two arrays a dict, or None. What the array was lowered to is kept in
    its dict and found there by the next face that reads the same array. Whoever passes a dict promises that the array
    does not change as long as the dict is used.
    """
    _check_rank(x, "x", "n, h, w, c")
    _check_rank(w, "w", "kh, kw, c, o")
    if x.shape[3] != w.shape[2]:
        raise ValueError(f"x has {x.shape[3]} channels, but w is for {w.shape[2]}: x {x.shape}, w {w.shape}")
    plan = _plan(x, w, x.shape[0], x.shape[1:3], w.shape, stride, padding)
    X = _lowered(plan, "x", x, cache[0])
    W = _lowered(plan, "w", w, cache[1])
    return plan.lift("y", W.swapaxes(-1, -2) @ X)


def conv_transpose2d(y, w, stride=1, padding=0, output_size=None, cache=(None, None)):
    """dT/dx, the adjoint of conv2d in x: (n, i, j, o) * (kh, kw, c, o) -> (n, h, w, c).

    `output_size` (h, w) says which of the sizes that conv2d maps to (i, j) is meant; by default the smallest.
    """
    _check_rank(y, "y", "n, i, j, o")
    _check_rank(w, "w", "kh, kw, c, o")
    if y.shape[3] != w.shape[3]:
        raise ValueError(f"y has {y.shape[3]} channels, but w is for {w.shape[3]}: y {y.shape}, w {w.shape}")
    s, p = _pair(stride, "stride", 1), _pair(padding, "padding", 0)
    least = tuple((y.shape[1 + a] - 1) * s[a] + w.shape[a] - 2 * p[a] for a in (0, 1))
    size = least if output_size is None else _pair(output_size, "output_size", 1)
    if not all(max(least[a], 1) <= size[a] < least[a] + s[a] for a in (0, 1)):
        most = tuple(least[a] + s[a] - 1 for a in (0, 1))
        raise ValueError(f"output_size {size} is impossible, expected {least} to {most} and at least 1: "
                         f"y {y.shape}, w {w.shape}, stride {stride}, padding {padding}")
    plan = _plan(y, w, y.shape[0], size, w.shape, s, p)
    Y = _lowered(plan, "y", y, cache[0])
    W = _lowered(plan, "w", w, cache[1])
    return plan.lift("x", W @ Y)


def conv2d_weight(x, y, kernel_size, stride=1, padding=0, cache=(None, None)):
    """dT/dw, the adjoint of conv2d in w: (n, h, w, c) * (n, i, j, o) -> (kh, kw, c, o)."""
    _check_rank(x, "x", "n, h, w, c")
    _check_rank(y, "y", "n, i, j, o")
    kernel = _pair(kernel_size, "kernel_size", 1)
    plan = _plan(x, y, x.shape[0], x.shape[1:3], (*kernel, x.shape[3], y.shape[3]), stride, padding)
    if y.shape[:3] != (x.shape[0], *plan.out):
        raise ValueError(f"y has shape {y.shape}, expected {(x.shape[0], *plan.out)} and its channels: "
                         f"x {x.shape}, kernel_size {kernel}, stride {stride}, padding {padding}")
    X = _lowered(plan, "x", x, cache[0])
    Y = _lowered(plan, "y", y, cache[1])
    W = 0
    for tile in range(len(X)):                      # one row of tiles at a time, for their products are large
        product = X[tile] @ Y[tile].swapaxes(-1, -2)                        # (points, tiles, points, k, o)
        W = W + (product.sum(1) if product.shape[1] > 1 else product[:, 0])
    return plan.lift("w", W)


def _check_rank(array, name, axes):
    if array.ndim != 4:
        raise ValueError(f"{name} has shape {array.shape}, expected 4 axes ({axes})")


def _pair(value, name, least):
    """An int or a pair of ints as a pair."""
    try:
        first, second = (value, value) if hasattr(value, "__index__") else value
        pair = first.__index__(), second.__index__()
    except (TypeError, ValueError, AttributeError):
        raise ValueError(f"{name} is {value!r}, expected an int or a pair of ints") from None
    if min(pair) < least:
        raise ValueError(f"{name} is {value!r}, expected at least {least}")
    return pair


def _plan(a, b, n, size, kernel_shape, stride, padding):
    """The lowering for these shapes."""
    kernel, (c, o) = kernel_shape[:2], kernel_shape[2:]
    stride, padding = _pair(stride, "stride", 1), _pair(padding, "padding", 0)
    if min(kernel) < 1 or any(kernel[k] > size[k] + 2 * padding[k] for k in (0, 1)):
        raise ValueError(f"w has rows and columns {kernel}, expected at least 1 and no more than the padded x has: "
                         f"x has {size}, padding is {padding}")
    plain = _Windows(size, kernel, stride, padding)
    if array_module(a) is np and a.dtype == b.dtype == np.float32 and n >= 8:
        fast = _CookToom(size, kernel, stride, padding)
        if fast.work < 0.6 * plain.work:
            return fast
    return plain


def _lowered(plan, role, array, kept):
    key = plan.geometry, role
    if kept is not None and key in kept:
        return kept[key]
    if role != "w":
        array = array_module(array).ascontiguousarray(array.transpose(1, 2, 3, 0))      # the batch goes innermost
    lowered = plan.lower(role, array)
    if kept is not None:
        kept[key] = lowered
    return lowered


# ------------------------------------------------------------------------------------------ the plain lowering


class _Windows:
    """Every window of x as a column: each output position is a tile of one point.

    X[i, j, (u, v, c), n] = x[i*s+u-p, j*s+v-p, c, n]        W = w        Y = y
    """

    def __init__(self, size, kernel, stride, padding):
        self.geometry = "windows", size, kernel, stride, padding
        self.size, self.kernel = size, kernel
        self.out = tuple((size[a] + 2 * padding[a] - kernel[a]) // stride[a] + 1 for a in (0, 1))
        self.work = self.out[0] * self.out[1] * kernel[0] * kernel[1]
        # overlaps[axis][u]: the outputs i for which i*s+u-p lies inside x, and those places in x
        self.overlaps = [[_overlap(u - padding[a], stride[a], self.out[a], size[a]) for u in range(kernel[a])]
                         for a in (0, 1)]

    def pairs(self):
        """Yield (u, v), the outputs that this tap reaches, and what it reads."""
        for u, (i, h) in enumerate(self.overlaps[0]):
            for v, (j, w) in enumerate(self.overlaps[1]):
                yield (i, j, u, v), (h, w)

    def lower(self, role, array):
        xp, (i, j), (kh, kw) = array_module(array), self.out, self.kernel
        c, n = array.shape[2:]
        if role == "w":
            return array.reshape(1, 1, 1, kh * kw * c, n)
        if role == "y":
            return array.reshape(i, 1, j, 1, c, n)
        X = xp.zeros((i, j, kh, kw, c, n), array.dtype)
        for window, place in self.pairs():
            X[window] = array[place]
        return X.reshape(i, 1, j, 1, kh * kw * c, n)

    def lift(self, role, array):
        xp, (i, j), (kh, kw) = array_module(array), self.out, self.kernel
        if role == "w":
            return array.reshape(kh, kw, -1, array.shape[-1])
        if role == "y":
            return array.reshape(i, j, *array.shape[-2:]).transpose(3, 0, 1, 2)
        X = array.reshape(i, j, kh, kw, -1, array.shape[-1])
        x = xp.zeros((*self.size, *X.shape[-2:]), X.dtype)
        for window, place in self.pairs():
            x[place] += X[window]
        return x.transpose(3, 0, 1, 2)


def _overlap(shift, stride, outputs, size):
    """The slice of outputs i with 0 <= i*stride + shift < size, and the slice of those values."""
    first = max(0, -(shift // stride))
    last = min(outputs, (size - 1 - shift) // stride + 1)
    if first >= last:
        return slice(0, 0), slice(0, 0)
    return slice(first, last), slice(first * stride + shift, (last - 1) * stride + shift + 1, stride)


# ------------------------------------------------------------------------------------------- the fast lowering


class _CookToom:
    """F(m, r) along both axes: the maps are small constant matrices, applied to rows and then to columns.

    X[t, q, t', q', (e, e', c), n] = sum over h, w of B[e,t,q,h] * B'[e',t',q',w] * x[h,w,c,n], and so for W and Y.
    """

    def __init__(self, size, kernel, stride, padding):
        self.geometry = "cook-toom", size, kernel, stride, padding
        self.axes = [_axis(*g) for g in zip(size, kernel, stride, padding)]
        self.out = tuple(axis.outputs for axis in self.axes)
        self.work = self.axes[0].work * self.axes[1].work

    def lower(self, role, array):
        """(h, w, c, n) -> (tiles, points, tiles, points, phases * c, n), or without the tiles of w."""
        rows, cols = (axis.maps[role] for axis in self.axes)
        h, w, c, n = array.shape
        array = array.reshape(h, w, c * n)
        half = np.empty((rows.points, rows.phases, w, c * n), array.dtype)
        for e, out, into, matrix in rows.lower:
            np.matmul(matrix, array[into].swapaxes(0, 1), out=half[out, e].swapaxes(0, 1))
        full = np.empty((rows.points, cols.points, rows.phases, cols.phases, c * n), array.dtype)
        for e, out, into, matrix in cols.lower:
            np.matmul(matrix, half[:, :, into], out=full[:, out, :, e].swapaxes(1, 2))
        return full.reshape(*rows.split, *cols.split, -1, n)

    def lift(self, role, array):
        """The adjoint of lower."""
        rows, cols = (axis.maps[role] for axis in self.axes)
        n = array.shape[-1]
        full = array.reshape(rows.points, cols.points, rows.phases, cols.phases, -1)
        half = np.empty((rows.points, rows.phases, cols.size, full.shape[-1]), array.dtype)
        for e, out, into, matrix in cols.lift:
            np.matmul(matrix, full[:, into, :, e].swapaxes(1, 2), out=half[:, :, out])
        array = np.empty((rows.size, cols.size, full.shape[-1]), array.dtype)
        for e, out, into, matrix in rows.lift:
            np.matmul(matrix, half[into, e].swapaxes(0, 1), out=array[out].swapaxes(0, 1))
        array = array.reshape(rows.size, cols.size, -1, n)
        return array if role == "w" else array.transpose(3, 0, 1, 2)
