"""The convolution trio on NumPy: three faces of one trilinear form, each one product of lowered arrays.

    T(x, w, y) = sum over n,i,j,u,v,c,o of x[n, i*s+u-p, j*s+v-p, c] * w[u,v,c,o] * y[n,i,j,o]

    conv2d = dT/dy        conv_transpose2d = dT/dx        conv2d_weight = dT/dw

A lowering is three linear maps, x -> X, w -> W and y -> Y, that turn T into a sum of matrix products:

    T(x, w, y) = sum over tiles and points of <W^T X, Y>        X: (k, n), W: (k, o), Y: (o, n)

so that each face is one product, followed by the adjoint ("lift") of the map of its own argument:

    conv2d: Y = W^T X        conv_transpose2d: X = W Y        conv2d_weight: W = sum over tiles of X Y^T

Two lowerings are enough. `_Windows` lays the windows of x side by side (im2col); its lift adds them back (col2im). It
does any shape, any dtype and CuPy. `_CookToom` is F(m, r) of Toom, Cook and Winograd, with every map a product with a
small constant matrix: 2 to 6 times fewer multiplications, right to about 1e-5 of the largest result, so float32 only.

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
    plan = _plan(x, w, x.shape[1:3], w.shape, stride, padding)
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
    plan = _plan(y, w, size, w.shape, s, p)
    Y = _lowered(plan, "y", y, cache[0])
    W = _lowered(plan, "w", w, cache[1])
    return plan.lift("x", W @ Y)


def conv2d_weight(x, y, kernel_size, stride=1, padding=0, cache=(None, None)):
    """dT/dw, the adjoint of conv2d in w: (n, h, w, c) * (n, i, j, o) -> (kh, kw, c, o)."""
    _check_rank(x, "x", "n, h, w, c")
    _check_rank(y, "y", "n, i, j, o")
    kernel = _pair(kernel_size, "kernel_size", 1)
    plan = _plan(x, y, x.shape[1:3], (*kernel, x.shape[3], y.shape[3]), stride, padding)
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


def _plan(a, b, size, weight_shape, stride, padding):
    """The lowering for arrays a and b; size is that of x, and weight_shape (kh, kw, c, o)."""
    kernel = weight_shape[:2]
    stride, padding = _pair(stride, "stride", 1), _pair(padding, "padding", 0)
    if min(kernel) < 1 or any(kernel[k] > size[k] + 2 * padding[k] for k in (0, 1)):
        raise ValueError(f"the kernel has size {kernel}, expected at least 1 and at most that of the padded x: "
                         f"x has size {size}, padding is {padding}")
    plain, fast = _lowerings(size, kernel, stride, padding)
    # Few channels make thin matrices and a small batch short runs: there, fewer multiplications gain nothing.
    thick = weight_shape[2] * stride[0] * stride[1] >= 8 and len(a) >= 8
    return fast if fast and thick and a.dtype == b.dtype == np.float32 and array_module(a) is np else plain


@lru_cache(maxsize=256)
def _lowerings(size, kernel, stride, padding):
    """The plain lowering of this geometry, and the fast one where it saves enough multiplications, or None."""
    plain = _Windows(size, kernel, stride, padding)
    taps = [-(-kernel[k] // stride[k]) for k in (0, 1)]
    if min(taps) < 2 or max(taps) > len(_POINTS):
        return plain, None
    fast = _CookToom(size, kernel, stride, padding)
    return plain, fast if fast.work < 0.6 * plain.work else None


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
    """Every window of x is a matrix, and each output position a tile of one point.

    X[i, j, (v, u, c), n] = x[i*s+u-p, j*s+v-p, c, n] = R[i, j*s+v, (u, c), n]        W = w        Y = y

    Only R, the rows, is copied, for in it a window is one contiguous piece: X is a view that overlaps itself.
    """

    def __init__(self, size, kernel, stride, padding):
        self.geometry = "windows", size, kernel, stride, padding
        self.size, self.kernel, self.stride, self.padding = size, kernel, stride, padding
        self.out = tuple((size[a] + 2 * padding[a] - kernel[a]) // stride[a] + 1 for a in (0, 1))
        self.work = self.out[0] * self.out[1] * kernel[0] * kernel[1]
        self.overlaps = [[_overlap(k - padding[a], stride[a], self.out[a], size[a]) for k in range(kernel[a])]
                         for a in (0, 1)]

    def lower(self, role, array):
        xp, (i, j), (kh, kw) = array_module(array), self.out, self.kernel
        c, n = array.shape[2:]
        if role == "w":
            return array.swapaxes(0, 1).reshape(1, 1, 1, 1, kw * kh * c, n)
        if role == "y":
            return array.reshape(i, 1, j, 1, c, n)
        (_, w), (_, padding) = self.size, self.padding
        R = (xp.zeros if any(self.padding) else xp.empty)((i, w + 2 * padding, kh, c, n), array.dtype)
        for u, (out, row) in enumerate(self.overlaps[0]):
            R[out, padding:padding + w, u] = array[row]
        next_row, next_column, *_, next_one = R.strides
        return xp.lib.stride_tricks.as_strided(
            R, (i, 1, j, 1, kw * kh * c, n), (next_row, 0, next_column * self.stride[1], 0, n * next_one, next_one))

    def lift(self, role, array):
        xp, (i, j), (kh, kw) = array_module(array), self.out, self.kernel
        k, n = array.shape[-2:]
        if role == "w":
            return xp.ascontiguousarray(array.reshape(kw, kh, k // (kh * kw), n).swapaxes(0, 1))
        if role == "y":
            return array.reshape(i, j, k, n).transpose(3, 0, 1, 2)
        X = array.reshape(i, j, kw, kh, k // (kh * kw), n)
        x = xp.zeros((*self.size, *X.shape[4:]), X.dtype)
        for u, (out, row) in enumerate(self.overlaps[0]):
            for v, (across, column) in enumerate(self.overlaps[1]):
                x[row, column] += X[out, across, v, u]
        return x.transpose(3, 0, 1, 2)


def _overlap(shift, stride, outputs, size):
    """The slice of outputs i with 0 <= i*stride + shift < size, and the slice of those places."""
    first, last = max(0, -(shift // stride)), min(outputs - 1, (size - 1 - shift) // stride)
    if first > last:
        return slice(0), slice(0)
    return slice(first, last + 1), slice(first * stride + shift, last * stride + shift + 1, stride)


# ------------------------------------------------------------------------------------------- the fast lowering


class _CookToom:
    """F(m, r) along both axes: the maps are small constant matrices, applied to the rows and then to the columns.

    X[t, q, t', q', (e, e', c), n] = sum over h, w of B[e, (t, q), h] * B'[e', (t', q'), w] * x[h, w, c, n]

    for tile t, point q and phase e of the rows (primed: of the columns). W is made so with G, and Y with A.
    """

    def __init__(self, size, kernel, stride, padding):
        self.geometry = "cook-toom", size, kernel, stride, padding
        self.axes = [_axis(*geometry) for geometry in zip(size, kernel, stride, padding, strict=True)]
        self.out = tuple(axis["y"].size for axis in self.axes)
        self.work = np.prod([axis["x"].tiles * axis["x"].points * axis["x"].phases for axis in self.axes])

    def lower(self, role, array):
        """(h, w, c, n) -> (tiles, points, tiles, points, phases * c, n); w has one tile."""
        rows, cols = (axis[role] for axis in self.axes)
        h, w, c, n = array.shape
        array = array.reshape(h, w, c * n)
        half = rows.new((rows.tiles * rows.points, rows.phases, w, c * n), array.dtype)
        for e, out, into, matrix in rows.lower:
            np.matmul(matrix, array[into].swapaxes(0, 1), out=half[out, e].swapaxes(0, 1))
        full = cols.new((len(half), cols.tiles * cols.points, rows.phases, cols.phases, c * n), array.dtype)
        for e, out, into, matrix in cols.lower:
            np.matmul(matrix, half[:, :, into], out=full[:, out, :, e].swapaxes(1, 2))
        return full.reshape(rows.tiles, rows.points, cols.tiles, cols.points, -1, n)

    def lift(self, role, array):
        """The adjoint of lower."""
        rows, cols = (axis[role] for axis in self.axes)
        n = array.shape[-1]
        full = array.reshape(rows.tiles * rows.points, cols.tiles * cols.points, rows.phases, cols.phases, -1)
        half = cols.new((len(full), rows.phases, cols.size, full.shape[-1]), array.dtype)
        for e, into, out, matrix in cols.lift:
            np.matmul(matrix, full[:, into, :, e].swapaxes(1, 2), out=half[:, :, out])
        array = rows.new((rows.size, cols.size, full.shape[-1]), array.dtype)
        for e, into, out, matrix in rows.lift:
            np.matmul(matrix, half[into, e].swapaxes(0, 1), out=array[out].swapaxes(0, 1))
        array = array.reshape(rows.size, cols.size, -1, n)
        return array if role == "w" else array.transpose(3, 0, 1, 2)


@lru_cache(maxsize=256)
def _axis(size, kernel, stride, padding):
    """The three maps along one axis: sum over t, q of B[e,(t,q),h] * G[e,q,u] * A[(t,q),i] = [h = i*s+u-p].

    A stride s falls apart into s phases: the taps u = k*s+e of phase e meet only every s-th place of x, and are
    there a convolution of stride 1 with r taps. The outputs fall apart into tiles of m, each of m+r-1 points.
    """
    outputs, r = (size + 2 * padding - kernel) // stride + 1, -(-kernel // stride)
    m = min(range(1, len(_POINTS) + 3 - r), key=lambda m: -(-outputs // m) * (m + r - 1))
    tiles, points = -(-outputs // m), m + r - 1
    b, g, a = _cook_toom(m, r)
    B, G = np.zeros((stride, tiles, points, size)), np.zeros((stride, 1, points, kernel))
    A = np.zeros((1, tiles, points, outputs))
    for e in range(stride):
        for k in range(e, kernel, stride):
            G[e, 0, :, k] = g[:, k // stride]
        for t in range(tiles):
            for k in range(points):
                h = (t * m + k) * stride + e - padding
                if 0 <= h < size:
                    B[e, t, :, h] = b[:, k]
    for i in range(outputs):
        A[0, i // m, :, i] = a[:, i % m]
    return {"x": _Map(B, m, stride), "w": _Map(G, r, stride), "y": _Map(A, m, 1)}


# Where the polynomials are evaluated, beside infinity: small numbers and their inverses keep the rounding small.
_POINTS = (0, 1, -1, 0.5, -2, 2, -0.5)


def _cook_toom(m, r):
    """The matrices of F(m, r): sum over q of b[q,i+k] * g[q,k] * a[q,i] = 1, and 0 for any other place of b.

    The product of two polynomials is known from its values at m+r-1 points: with V[q,h] = point_q^h,
    w*y = V^-1 ((g w) . (a y)). So <x, w*y> = sum over q of (b x)_q (g w)_q (a y)_q with b the transpose of V^-1.
    """
    def values(length):
        return np.vstack([np.vander(_POINTS[:m + r - 2], length, increasing=True), np.eye(length)[-1:]])

    return np.linalg.inv(values(m + r - 1)).T, values(r), values(m)


class _Map:
    """One of the matrices, (phases, tiles, points, size), as the blocks in which it is not zero."""

    def __init__(self, matrix, chunk, stride):
        self.phases, self.tiles, self.points, self.size = matrix.shape
        matrix = matrix.reshape(self.phases, -1, self.size)
        self.lower = [(e, rows, cols, matrix[e, rows, cols].astype(np.float32))
                      for e, rows, cols in _blocks(matrix, self.points, 1, stride)]
        self.lift = [(e, cols, rows, matrix[e, cols, rows].T.astype(np.float32))
                     for e, rows, cols in _blocks(matrix.swapaxes(1, 2), chunk, stride, 1)]
        # Points that lie in the padding, and places that no window covers, are written by no block.
        self.new = np.empty if matrix.any(2).all() and matrix.any((0, 1)).all() else np.zeros


def _blocks(matrices, chunk, row_step, col_step):
    """Yield (e, rows, columns): the rows of matrix e that are not zero, `chunk` at a time, and their columns."""
    for e, matrix in enumerate(matrices):
        used = np.flatnonzero(matrix.any(1))
        for k in range(0, len(used), chunk):
            rows = slice(int(used[k]), int(used[k:k + chunk][-1]) + 1, row_step)
            cols = np.flatnonzero(matrix[rows].any(0))
            yield e, rows, slice(int(cols[0]), int(cols[-1]) + 1, col_step)
