"""The NumPy convolution trio against plain loops, against each other, and on both lowerings."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldf_np.kernels import conv, lowering

# (h, c, o, kernel, stride, padding): the layers of the CPU recipe, at which training must be fast.
RECIPE = [(32, 3, 24, 4, 2, 1), (16, 24, 48, 4, 2, 1), (8, 48, 96, 4, 2, 1), (4, 96, 32, 3, 1, 1),
          (4, 32, 96, 3, 1, 1)]
# Largest error over largest result. float32 carries 6e-8; the points of F(m, r), up to 8 of them,
# cost the rest.
FLOAT32_BOUND, FAST_BOUND, FLOAT64_BOUND = 2e-6, 3e-5, 1e-12


def loop_faces(x, w, y, stride, padding):
    """dT/dy, dT/dx and dT/dw by the definition of T, in float64; no index is ever left out by a
    formula."""
    x, w, y = (a.astype(np.float64) for a in (x, w, y))
    gx, gw, gy = np.zeros_like(x), np.zeros_like(w), np.zeros_like(y)
    for i in range(y.shape[1]):
        for j in range(y.shape[2]):
            for u in range(w.shape[0]):
                for v in range(w.shape[1]):
                    h, k = i * stride[0] + u - padding[0], j * stride[1] + v - padding[1]
                    if 0 <= h < x.shape[1] and 0 <= k < x.shape[2]:
                        gy[:, i, j] += x[:, h, k] @ w[u, v]
                        gx[:, h, k] += y[:, i, j] @ w[u, v].T
                        gw[u, v] += x[:, h, k].T @ y[:, i, j]
    return gy, gx, gw


def make(seed, n, size, c, o, kernel, stride, padding, dtype):
    rng = np.random.default_rng(seed)
    out = [(size[a] + 2 * padding[a] - kernel[a]) // stride[a] + 1 for a in (0, 1)]
    shapes = (n, *size, c), (*kernel, c, o), (n, *out, o)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def faces(x, w, y, stride, padding, module=conv, cache=None):
    cache = cache or {"x": None, "w": None, "y": None}
    return (module.conv2d(x, w, stride, padding, cache=(cache["x"], cache["w"])),
            module.conv_transpose2d(y, w, stride, padding, x.shape[1:3],
                                    cache=(cache["y"], cache["w"])),
            module.conv2d_weight(x, y, w.shape[:2], stride, padding,
                                 cache=(cache["x"], cache["y"])))


def error(result, expected):
    return np.abs(result - expected).max() / max(np.abs(expected).max(), 1e-3)


def check_faces(x, w, y, stride, padding, bound, module=conv):
    results = faces(x, w, y, stride, padding, module)
    rights = loop_faces(x, w, y, stride, padding)
    for name, result, like, right in zip("yxw", results, (y, x, w), rights, strict=True):
        assert result.shape == like.shape and result.dtype == np.result_type(x, w, y), name
        found = error(result, right)
        assert found < bound, f"dT/d{name}: error {found:.1e}, allowed {bound:.0e}"


def is_fast(x, w, stride, padding):
    return isinstance(conv._plan(x, w, *conv._geometry(x.shape[1:3], w.shape, stride, padding)),
                      lowering.CookToom)


def pairs(least, most):
    return st.tuples(st.integers(least, most), st.integers(least, most))


@st.composite
def geometries(draw, longest_size, longest_kernel, most_stride=3):
    """(size, kernel, stride, padding), rectangular and ragged ones and padding >= kernel among
    them."""
    size, padding = draw(pairs(1, longest_size)), draw(pairs(0, 4))
    kernel = tuple(draw(st.integers(1, min(longest_kernel, size[a] + 2 * padding[a])))
                   for a in (0, 1))
    return size, kernel, draw(pairs(1, most_stride)), padding


# ------------------------------------------------------------------------------- against the loops


@settings(max_examples=250, deadline=None)
@given(geometries(9, 5), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3),
       st.integers(0, 99))
def test_any_geometry_in_float64(geometry, n, c, o, seed):
    size, kernel, stride, padding = geometry
    arrays = make(seed, n, size, c, o, kernel, stride, padding, np.float64)
    check_faces(*arrays, stride, padding, FLOAT64_BOUND)


@settings(max_examples=250, deadline=None)
@given(geometries(17, 7, 2), st.integers(8, 10), st.integers(2, 9), st.integers(1, 3),
       st.integers(0, 99))
def test_any_geometry_in_float32(geometry, n, c, o, seed):
    size, kernel, stride, padding = geometry
    x, w, y = make(seed, n, size, c, o, kernel, stride, padding, np.float32)
    check_faces(x, w, y, stride, padding, FAST_BOUND if is_fast(x, w, stride, padding)
                else FLOAT32_BOUND)


@pytest.mark.parametrize("size, kernel, stride, padding, c", [
    ((17, 9), (5, 3), (1, 1), (0, 1), 8),       # rectangular, two sizes of tile
    ((13, 15), (4, 4), (2, 2), (0, 1), 2),      # ragged: no window covers the last row
    ((12, 12), (5, 5), (2, 2), (1, 1), 3),      # phases with different numbers of taps
    ((9, 8), (3, 3), (1, 1), (3, 4), 9),        # padding >= kernel: outputs that see no input
    ((2, 3), (2, 2), (1, 1), (8, 8), 8),        # whole tiles of nothing but padding
    ((16, 12), (7, 7), (3, 3), (2, 3), 1),      # three phases
    ((14, 14), (7, 7), (1, 1), (0, 0), 8),      # as many taps as there are points
    ((10, 20), (3, 4), (1, 2), (1, 1), 4),      # a different algorithm on each axis
])
def test_fast_lowering(size, kernel, stride, padding, c):
    x, w, y = make(0, 8, size, c, 9, kernel, stride, padding, np.float32)
    assert is_fast(x, w, stride, padding)
    check_faces(x, w, y, stride, padding, FAST_BOUND)


@pytest.mark.parametrize("stride, turns", [((1, 1), True), ((2, 1), False)])
def test_few_outputs_are_lowered_on_their_side(stride, turns):
    """The form read from y to x, with lowerings kept and without; a stride keeps its direction."""
    x, w, y = make(0, 8, (7, 9), 9, 3, (3, 2), stride, (1, 0), np.float32)
    assert conv._turns(*conv._geometry(x.shape[1:3], w.shape, stride, (1, 0))) == turns
    check_faces(x, w, y, stride, (1, 0), FAST_BOUND)
    kept = {"x": {}, "w": {}, "y": {}}
    for _ in range(2):
        for face, again in zip(faces(x, w, y, stride, (1, 0)),
                               faces(x, w, y, stride, (1, 0), cache=kept)):
            np.testing.assert_array_equal(face, again)
    assert all(len(lowered) == 1 for lowered in kept.values())


@pytest.mark.parametrize("kernel, stride", [((3, 2), (1, 1)), ((4, 6), (2, 3))])
@pytest.mark.parametrize("kind", [lowering.Windows, lowering.CookToom])
def test_the_work_of_a_lowering_is_the_size_of_the_lowered_x(kind, kernel, stride):
    plan = kind((12, 17), kernel, stride, (1, 0))
    assert plan.work == plan.lower("x", np.zeros((12, 17, 1, 1), np.float32)).size


@pytest.mark.parametrize("kernel", [(9, 2), (2, 9)])
def test_a_kernel_of_more_taps_than_points_on_one_axis(kernel):
    x, w, y = make(0, 8, (12, 12), 8, 5, kernel, (1, 1), (0, 0), np.float32)
    assert not is_fast(x, w, (1, 1), (0, 0))
    check_faces(x, w, y, (1, 1), (0, 0), FLOAT32_BOUND)


@pytest.mark.parametrize("dtype, bound", [(np.float32, FAST_BOUND), (np.float64, FLOAT64_BOUND)])
@pytest.mark.parametrize("h, c, o, kernel, stride, padding", RECIPE)
def test_layers_of_the_recipe(h, c, o, kernel, stride, padding, dtype, bound):
    square = (h, h), c, o, (kernel, kernel), (stride, stride), (padding, padding)
    x, w, y = make(1, 16, *square, dtype)
    assert is_fast(x, w, stride, padding) == (dtype == np.float32)
    check_faces(x, w, y, (stride, stride), (padding, padding), bound)


def test_mixed_dtypes_meet_in_the_wider():
    x, w, y = make(2, 8, (8, 8), 8, 2, (3, 3), (1, 1), (1, 1), np.float32)
    check_faces(x, w.astype(np.float64), y.astype(np.float64), (1, 1), (1, 1), FLOAT64_BOUND)


def test_empty_batch():
    x, w, y = make(3, 0, (5, 6), 2, 3, (2, 3), (1, 2), (1, 0), np.float32)
    y_of_x, x_of_y, gradient = faces(x, w, y, (1, 2), (1, 0))
    assert y_of_x.shape == y.shape and x_of_y.shape == x.shape
    assert gradient.shape == w.shape and not gradient.any()


# ------------------------------------------------------------------------------ against each other


@settings(max_examples=100, deadline=None)
@given(geometries(40, 6), st.sampled_from([np.float32, np.float64]), st.integers(0, 99))
def test_faces_are_adjoint(geometry, dtype, seed):
    """<conv(x, w), y> = <x, convT(y, w)> = <w, weight(x, y)>"""
    size, kernel, stride, padding = geometry
    x, w, y = make(seed, 8, size, 8, 4, kernel, stride, padding, dtype)
    of_y, of_x, of_w = faces(x, w, y, stride, padding)
    sums = [np.vdot(a.astype(np.float64), b) for a, b in ((of_y, y), (of_x, x), (of_w, w))]
    scale = np.linalg.norm(of_y) * np.linalg.norm(y) + 1e-3
    assert np.ptp(sums) < scale * (3e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("size, kernel, stride, padding",
                         [(16, 4, 2, 1), (28, 5, 1, 0), (13, 3, 1, 1), (9, 5, 2, 3)])
def test_matrices_of_the_fast_lowering(size, kernel, stride, padding):
    """sum over t, q of B[e,(t,q),h] * G[e,q,u] * A[(t,q),i] = [h = i*s+u-p], rebuilt from the
    blocks."""
    axis, dense = lowering._axis(size, kernel, stride, padding), {}
    for role, part in axis.items():
        dense[role] = np.zeros((part.phases, part.tiles * part.points, part.size))
        for e, points, places, matrix in part.lower:
            dense[role][e, points, places] = matrix
        lifted = np.zeros_like(dense[role])
        for e, points, places, matrix in part.lift:
            lifted[e, points, places] = matrix.T
        assert (lifted == dense[role]).all(), "lift is not the adjoint of lower"
    G = np.tile(dense["w"], (1, axis["x"].tiles, 1))
    form = np.einsum("eqh,equ,qi->hui", dense["x"], G, dense["y"][0])
    h, u, i = np.ogrid[:size, :kernel, :axis["y"].size]
    np.testing.assert_allclose(form, h == i * stride + u - padding, atol=2e-5)


# ------------------------------------------------------------------------- memory, caches, threads


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_strides(dtype):
    x, w, y = make(4, 8, (8, 10), 4, 6, (4, 3), (2, 1), (1, 1), dtype)
    expected = faces(x, w, y, (2, 1), (1, 1))
    for change in (np.asfortranarray,
                   lambda a: a[::-1, :, ::-1].copy()[::-1, :, ::-1],
                   lambda a: np.repeat(a, 2, axis=3)[..., ::2],
                   lambda a: np.broadcast_to(a[..., None], (*a.shape, 2))[..., 0]):
        for result, wanted in zip(faces(change(x), change(w), change(y), (2, 1), (1, 1)), expected,
                                  strict=True):
            assert error(result, wanted) < 1e-6
    constant = np.broadcast_to(dtype(2), x.shape)
    assert error(conv.conv2d(constant, w, (2, 1), 1),
                 conv.conv2d(constant.copy(), w, (2, 1), 1)) < 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_have_the_batch_innermost(dtype):
    x, w, y = make(5, 8, (8, 8), 4, 6, (4, 4), (2, 2), (1, 1), dtype)
    of_y, of_x, of_w = faces(x, w, y, (2, 2), (1, 1))
    assert of_y.transpose(1, 2, 3, 0).flags.c_contiguous
    assert of_x.transpose(1, 2, 3, 0).flags.c_contiguous
    assert of_w.flags.c_contiguous
    assert np.shares_memory(of_y.reshape(8, -1), of_y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_caches(dtype):
    x, w, y = make(6, 8, (8, 8), 4, 6, (4, 4), (2, 2), (1, 1), dtype)
    caches = {"x": {}, "w": {}, "y": {}}
    expected = faces(x, w, y, (2, 2), (1, 1))
    for _ in range(2):
        for result, wanted in zip(faces(x, w, y, (2, 2), (1, 1), cache=caches), expected,
                                  strict=True):
            assert (result == wanted).all()
    assert [len(kept) for kept in caches.values()] == [1, 1, 1]
    # The same arrays in another geometry, and x in the role of y, find nothing of use there.
    other = conv.conv2d(x, w, 1, 2, cache=(caches["x"], caches["w"]))
    assert (other == conv.conv2d(x, w, 1, 2)).all()
    back = conv.conv_transpose2d(x, w.swapaxes(2, 3), 2, 1, cache=(caches["x"], None))
    assert (back == conv.conv_transpose2d(x, w.swapaxes(2, 3), 2, 1)).all()


def test_threads():
    jobs = [make(seed, 8, (12, 12), 8, seed + 1, (4, 4), (2, 2), (1, 1), np.float32)
            for seed in range(4)] * 5
    expected = [faces(*job, (2, 2), (1, 1)) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        for results, wanted in zip(pool.map(lambda job: faces(*job, (2, 2), (1, 1)), jobs),
                                   expected, strict=True):
            assert all((a == b).all() for a, b in zip(results, wanted, strict=True))


# ------------------------------------------------------------------------------------------ errors


X, W, Y = np.zeros((2, 5, 6, 3)), np.zeros((3, 3, 3, 4)), np.zeros((2, 3, 4, 4))


@pytest.mark.parametrize("call, words", [
    (lambda: conv.conv2d(X[0], W), ["x", "(5, 6, 3)", "4 axes"]),
    (lambda: conv.conv2d(X, W[0]), ["w", "(3, 3, 4)", "4 axes"]),
    (lambda: conv.conv2d(X, W[:, :, :2]), ["x", "3 channels", "2", "(2, 5, 6, 3)", "(3, 3, 2, 4)"]),
    (lambda: conv.conv2d(X[:, :2], W), ["kernel", "(3, 3)", "(2, 6)", "(0, 0)"]),
    (lambda: conv.conv2d(X, W[:0]), ["kernel", "(0, 3)"]),
    (lambda: conv.conv2d(X, W, stride=0), ["stride", "0", "at least 1"]),
    (lambda: conv.conv2d(X, W, stride=(1, 2, 3)), ["stride", "(1, 2, 3)", "pair"]),
    (lambda: conv.conv2d(X, W, stride=1.5), ["stride", "1.5", "pair"]),
    (lambda: conv.conv2d(X, W, padding=(0, -1)), ["padding", "-1", "at least 0"]),
    (lambda: conv.conv_transpose2d(Y[0], W), ["y", "(3, 4, 4)", "4 axes"]),
    (lambda: conv.conv_transpose2d(Y[..., :2], W), ["y", "2 channels", "4", "(3, 3, 3, 4)"]),
    (lambda: conv.conv_transpose2d(Y, W, 2, 1, (5, 9)),
     ["output_size", "(5, 9)", "(5, 7)", "(6, 8)"]),
    (lambda: conv.conv_transpose2d(Y, W, 2, 1, (4, 7)), ["output_size", "(4, 7)", "(5, 7)"]),
    (lambda: conv.conv_transpose2d(Y, W, 1, 4), ["output_size", "(-3, -2)", "at least 1"]),
    (lambda: conv.conv_transpose2d(Y, W, -2), ["stride", "-2", "at least 1"]),
    (lambda: conv.conv2d_weight(X, Y[:, :2], 3), ["y", "(2, 2, 4, 4)", "(2, 3, 4)"]),
    (lambda: conv.conv2d_weight(X, Y[:1], 3), ["y", "(1, 3, 4, 4)", "(2, 3, 4)"]),
    (lambda: conv.conv2d_weight(X, Y, 7), ["kernel", "(7, 7)", "(5, 6)"]),
    (lambda: conv.conv2d_weight(X, Y, 0), ["kernel_size", "0", "at least 1"]),
])
def test_errors_name_the_argument_and_both_shapes(call, words):
    with pytest.raises(ValueError) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


# -------------------------------------------------------------------------------- negative control


class Planted:
    """The trio with one slip; everything else is right."""

    conv2d = staticmethod(conv.conv2d)
    conv_transpose2d = staticmethod(conv.conv_transpose2d)
    conv2d_weight = staticmethod(conv.conv2d_weight)


class Flipped(Planted):
    """A true convolution instead of a cross-correlation."""

    @staticmethod
    def conv2d(x, w, *args, **kwargs):
        return conv.conv2d(x, w[::-1, ::-1], *args, **kwargs)


class DroppedRow(Planted):
    """The last row of the input receives no gradient."""

    @staticmethod
    def conv_transpose2d(*args, **kwargs):
        x = conv.conv_transpose2d(*args, **kwargs)
        x[:, -1] = 0
        return x


class Transposed(Planted):
    """Rows and columns of the weight's gradient change places."""

    @staticmethod
    def conv2d_weight(*args, **kwargs):
        return conv.conv2d_weight(*args, **kwargs).swapaxes(0, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("module", [Flipped, DroppedRow, Transposed])
def test_negative_control(module, dtype):
    x, w, y = make(7, 8, (8, 8), 8, 3, (3, 3), (1, 1), (1, 1), dtype)
    check_faces(x, w, y, (1, 1), (1, 1), FAST_BOUND, Planted)
    with pytest.raises(AssertionError, match="error"):
        check_faces(x, w, y, (1, 1), (1, 1), FAST_BOUND, module)
