"""The two lowerings of the convolution trio on NumPy: linear maps x -> X, w -> W, y -> Y that make
it matrix products.

    T(x, w, y) = sum over tiles and points of <W^T X, Y>        X: (k, n), W: (k, o), Y: (o, n)

`Windows` lays the windows of x side by side (im2col); its lift, the adjoint, adds them back
(col2im). It works for any shape and any dtype. `CookToom` is F(m, r) of Toom, Cook and Winograd,
with every map a product with a small constant matrix: 2 to 6 times fewer multiplications, right to
about 1e-5 of the largest result, so float32 only.

Memory order: the batch is innermost, (h, w, c, n). Positions and channels then move in long
contiguous runs, the batch fills the vector registers, and x.reshape(n, -1) still copies nothing.
"""

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=256)
def lowerings(size, kernel, stride, padding):
    """The plain lowering of this geometry, and the fast one where it saves enough multiplications,
    or None."""
    plain = Windows(size, kernel, stride, padding)
    taps = [-(-kernel[k] // stride[k]) for k in (0, 1)]
    if min(taps) < 2 or max(taps) > len(_POINTS):
        return plain, None
    fast = CookToom(size, kernel, stride, padding)
    return plain, fast if fast.work < 0.6 * plain.work else None


# ------------------------------------------------------------------------------ the plain lowering

class Windows:
    """Every window of x is a matrix, and each output position a tile of one point.

    X[i, j, (v, u, c), n] = x[i*s+u-p, j*s+v-p, c, n] = R[i, j*s+v, (u, c), n]

    W = w        Y = y

    Only R, the rows, is copied. In it a window is one contiguous piece, so X is a view that
    overlaps itself.
    """

    def __init__(self, size, kernel, stride, padding):
        self.geometry = "windows", size, kernel, stride, padding
        self.size, self.kernel, self.stride, self.padding = size, kernel, stride, padding
        self.out = tuple((size[a] + 2 * padding[a] - kernel[a]) // stride[a] + 1 for a in (0, 1))
        self.work = self.out[0] * self.out[1] * kernel[0] * kernel[1]
        self.overlaps = [[_overlap(k - padding[a], stride[a], self.out[a], size[a])
                          for k in range(kernel[a])]
                         for a in (0, 1)]

    def lower(self, role, array):
        (i, j), (kh, kw) = self.out, self.kernel
        c, n = array.shape[2:]
        if role == "w":
            return array.swapaxes(0, 1).reshape(1, 1, 1, 1, kw * kh * c, n)
        if role == "y":
            return array.reshape(i, 1, j, 1, c, n)
        (_, w), (_, padding) = self.size, self.padding
        new = np.zeros_like if any(self.padding) else np.empty_like
        R = new(array, shape=(i, w + 2 * padding, kh, c, n), order="C")
        for u, (out, row) in enumerate(self.overlaps[0]):
            R[out, padding:padding + w, u] = array[row]
        next_row, next_column, *_, next_one = R.strides
        return np.lib.stride_tricks.as_strided(
            R, (i, 1, j, 1, kw * kh * c, n),
            (next_row, 0, next_column * self.stride[1], 0, n * next_one, next_one), subok=True)

    def lift(self, role, array):
        (i, j), (kh, kw) = self.out, self.kernel
        k, n = array.shape[-2:]
        if role == "w":
            return array.reshape(kw, kh, k // (kh * kw), n).swapaxes(0, 1).copy()
        if role == "y":
            return array.reshape(i, j, k, n).transpose(3, 0, 1, 2)
        X = array.reshape(i, j, kw, kh, k // (kh * kw), n)
        x = np.zeros_like(X, shape=(*self.size, *X.shape[4:]), order="C")
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


# ------------------------------------------------------------------------------- the fast lowering

class CookToom:
    """F(m, r) along both axes: the maps are small constant matrices, applied to the rows and then
    to the columns.

    X[t, q, t', q', (e, e', c), n] = sum over h, w of
                                     B[e, (t, q), h] * B'[e', (t', q'), w] * x[h, w, c, n]

    for tile t, point q and phase e of the rows (primed: of the columns). W is made so with G, and Y
    with A.
    """

    def __init__(self, size, kernel, stride, padding):
        self.geometry = "cook-toom", size, kernel, stride, padding
        self.axes = [_axis(*geometry) for geometry in zip(size, kernel, stride, padding,
                                                          strict=True)]
        self.out = tuple(axis["y"].size for axis in self.axes)
        self.work = np.prod([axis["x"].tiles * axis["x"].points * axis["x"].phases
                             for axis in self.axes])

    def lower(self, role, array):
        """(h, w, c, n) -> (tiles, points, tiles, points, phases * c, n); w has one tile."""
        rows, cols = (axis[role] for axis in self.axes)
        h, w, c, n = array.shape
        array = array.reshape(h, w, c * n)
        half = rows.new(array, shape=(rows.tiles * rows.points, rows.phases, w, c * n), order="C")
        for e, out, into, matrix in rows.lower:
            np.matmul(matrix, array[into].swapaxes(0, 1), out=half[out, e].swapaxes(0, 1))
        full = cols.new(array, order="C", shape=(
            len(half), cols.tiles * cols.points, rows.phases, cols.phases, c * n))
        for e, out, into, matrix in cols.lower:
            np.matmul(matrix, half[:, :, into], out=full[:, out, :, e].swapaxes(1, 2))
        return full.reshape(rows.tiles, rows.points, cols.tiles, cols.points,
                            rows.phases * cols.phases * c, n)

    def lift(self, role, array):
        """The adjoint of lower."""
        rows, cols = (axis[role] for axis in self.axes)
        k, n = array.shape[-2:]
        c = k // (rows.phases * cols.phases)
        full = array.reshape(rows.tiles * rows.points, cols.tiles * cols.points, rows.phases,
                             cols.phases, c * n)
        half = cols.new(array, shape=(len(full), rows.phases, cols.size, full.shape[-1]), order="C")
        for e, into, out, matrix in cols.lift:
            np.matmul(matrix, full[:, into, :, e].swapaxes(1, 2), out=half[:, :, out])
        array = rows.new(array, shape=(rows.size, cols.size, full.shape[-1]), order="C")
        for e, into, out, matrix in rows.lift:
            np.matmul(matrix, half[into, e].swapaxes(0, 1), out=array[out].swapaxes(0, 1))
        array = array.reshape(rows.size, cols.size, c, n)
        return array if role == "w" else array.transpose(3, 0, 1, 2)


@lru_cache(maxsize=256)
def _axis(size, kernel, stride, padding):
    """The three maps along one axis:

    sum over t, q of B[e,(t,q),h] * G[e,q,u] * A[(t,q),i] = [h = i*s+u-p]

    A stride s splits into s phases: the taps u = k*s+e of phase e meet only every s-th place of x,
    and are there a convolution of stride 1 with r taps. The outputs split into tiles of m, each of
    m+r-1 points.
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


# Where the polynomials are evaluated, beside infinity. Small numbers and their inverses keep the
# rounding error small.
_POINTS = (0, 1, -1, 0.5, -2, 2, -0.5)


def _cook_toom(m, r):
    """The matrices of F(m, r): sum over q of b[q,i+k] * g[q,k] * a[q,i] = 1, and 0 for any other
    place of b.

    A product of two polynomials is known from its values at m+r-1 points: with V[q,h] = point_q^h,
    w*y = V^-1 ((g w) . (a y)). So <x, w*y> = sum over q of (b x)_q (g w)_q (a y)_q where b is the
    transpose of V^-1.
    """
    def values(length):
        return np.vstack([np.vander(_POINTS[:m + r - 2], length, increasing=True),
                          np.eye(length)[-1:]])

    return np.linalg.inv(values(m + r - 1)).T, values(r), values(m)


class _Map:
    """One of the matrices, (phases, tiles, points, size), as the blocks in which it is not zero."""

    def __init__(self, matrix, chunk, stride):
        self.phases, self.tiles, self.points, self.size = matrix.shape
        matrix = matrix.reshape(self.phases, self.tiles * self.points, self.size)
        self.lower = [(e, rows, cols, matrix[e, rows, cols].astype(np.float32))
                      for e, rows, cols in _blocks(matrix, self.points, 1, stride)]
        self.lift = [(e, cols, rows, matrix[e, cols, rows].T.astype(np.float32))
                     for e, rows, cols in _blocks(matrix.swapaxes(1, 2), chunk, stride, 1)]
        # Points that lie in the padding, and places that no window covers, are written by no block.
        all_written = matrix.any(2).all() and matrix.any((0, 1)).all()
        self.new = np.empty_like if all_written else np.zeros_like


def _blocks(matrices, chunk, row_step, col_step):
    """Yield (e, rows, columns): the rows of matrix e that are not zero, `chunk` at a time, and
    their columns."""
    for e, matrix in enumerate(matrices):
        used = np.flatnonzero(matrix.any(1))
        for k in range(0, len(used), chunk):
            rows = slice(int(used[k]), int(used[k:k + chunk][-1]) + 1, row_step)
            cols = np.flatnonzero(matrix[rows].any(0))
            yield e, rows, slice(int(cols[0]), int(cols[-1]) + 1, col_step)
