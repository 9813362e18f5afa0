"""Every CUDA kernel against its NumPy twin, through its launcher, on the emulator: three orders of
the threads, all classes of shapes, and planted mistakes that must be caught."""

from functools import partialmethod

import numpy as np
import pytest
from devices import EMULATED, Device, close
from emulator import EmulationError, Emulator, kernel_names
from helpers import in_parts, values
from hypothesis import given, settings
from hypothesis import strategies as st

import ldf_np as ldf
from ldf_np.kernels import conv, cuda, elementwise, matmul, norm, optim, penalty, random, tile

pytestmark = EMULATED

BOUND = {np.float64: 1e-12, np.float32: 2e-5}
BOTH = pytest.mark.parametrize("dtype", [np.float64, np.float32])
ORDERS = pytest.mark.parametrize("order", ["forwards", "backwards", "shuffled"])


@pytest.fixture(autouse=True)
def one_thread():
    ldf.set_num_threads(1)
    yield
    ldf.set_num_threads(2)


def emulated(function, *arguments, order="forwards", edit=None):
    with cuda.emulated(Emulator(order, edit, races=True)) as driver:
        result = function(*arguments)
    assert driver.launched
    return result


def compare(function, *arguments, bound, order="forwards"):
    """The same on NumPy in float64 and on the emulator."""
    exact = [a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in arguments]
    expected, actual = function(*exact), emulated(function, *arguments, order=order)
    for one, other in zip(*(r if isinstance(r, tuple) else (r,) for r in (actual, expected)),
                          strict=True):
        close(one, other, bound)


# ------------------------------------------------------------------------------------ convolutions

# n, (h, w), c, o, kernel, stride, padding: what each is there for.
SHAPES = {
    "one tile": (2, (5, 4), 2, 3, 3, 1, 1),
    "vectors of four": (2, (6, 6), 4, 8, 4, 2, 1),
    "three colours": (3, (8, 8), 3, 8, 4, 2, 1),
    "more than a tile": (3, (7, 6), 5, 70, 3, 1, 1),
    "more channels than a tile": (1, (3, 3), 70, 3, 3, 1, 1),
    "cut along k": (2, (3, 3), 40, 3, 3, 1, 1),
    "cut along positions": (9, (8, 8), 4, 4, 4, 2, 1),
    "cut, one block and a little": (9, (8, 8), 6, 19, 3, 1, 1),        # w has 1026 elements
    "ragged": (2, (7, 5), 3, 2, 3, 2, 0),
    "gaps between windows": (2, (7, 6), 2, 3, (2, 1), 3, 0),
    "uneven": (2, (5, 4), 2, 3, (2, 3), (1, 2), (0, 2)),
    "wide padding": (1, (2, 2), 3, 2, 2, 2, 3),
    "pointwise": (2, (3, 2), 4, 5, 1, 1, 0),
    "whole image": (2, (3, 4), 4, 4, (3, 4), 1, 0),
}


def arrays(n, size, c, o, kernel, stride, padding, dtype):
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    x, w = values(n, *size, c, dtype=dtype), values(*kernel, c, o, seed=1, dtype=dtype)
    y = values(*conv.conv2d(x, w, stride, padding).shape, seed=2, dtype=dtype)
    return x, w, y


def check_trio(n, size, c, o, kernel, stride, padding, dtype, order="forwards", bound=None):
    x, w, y = arrays(n, size, c, o, kernel, stride, padding, dtype)
    bound = bound or BOUND[dtype]
    for bias, slope, other in ((None, 1.0, None),
                               (values(o, seed=3, dtype=dtype), 0.1,
                                values(c, seed=4, dtype=dtype))):
        compare(lambda x, w, b: conv.conv2d(x, w, stride, padding, b, slope), x, w, bias,
                order=order, bound=bound)
        compare(lambda y, w, b: conv.conv_transpose2d(y, w, stride, padding, size, b, slope), y, w,
                other, order=order, bound=bound)
    compare(lambda x, y: conv.conv2d_weight(x, y, w.shape[:2], stride, padding), x, y, order=order,
            bound=bound)


@BOTH
@pytest.mark.parametrize("name", SHAPES)
def test_the_convolution_trio(name, dtype):
    check_trio(*SHAPES[name], dtype)


@ORDERS
def test_the_convolution_trio_in_any_order_of_threads(order):
    for name in ("more than a tile", "cut along k", "cut along positions"):
        check_trio(*SHAPES[name], np.float32, order)


@given(st.data())
@settings(max_examples=25)
def test_the_convolution_trio_of_any_shape(data):
    pick = lambda low, high: data.draw(st.integers(low, high))         # noqa: E731
    kernel, stride, padding = ((pick(1, 4), pick(1, 4)), (pick(1, 3), pick(1, 3)),
                               (pick(0, 3), pick(0, 3)))
    size = tuple(pick(max(1, k - 2 * p), 7) for k, p in zip(kernel, padding))
    check_trio(pick(1, 3), size, pick(1, 6), pick(1, 6), kernel, stride, padding, np.float64)


@pytest.fixture
def tensor_cores():
    ldf.set_float32_matmul_precision("high")
    yield
    ldf.set_float32_matmul_precision("highest")


# An element keeps 11 bits of TF32, so a product is off by at most 2^-10 of itself: that of the
# sum's largest possible value, which for these sums of normals is below 2e-3 of the largest result.
TF32_BOUND = 2e-3


@ORDERS
def test_tensor_cores(tensor_cores, order):
    for name in ("vectors of four", "three colours", "more than a tile", "cut along positions",
                 "uneven"):
        check_trio(*SHAPES[name], np.float32, order, bound=TF32_BOUND)
    compare(matmul.matmul, values(70, 100, dtype=np.float32),
            values(100, 66, seed=1, dtype=np.float32), bound=TF32_BOUND)
    coarse = emulated(matmul.matmul, values(8, 8, dtype=np.float32),
                      values(8, 8, seed=1, dtype=np.float32))
    exact = values(8, 8, dtype=np.float32) @ values(8, 8, seed=1, dtype=np.float32)
    # they were used
    assert 1e-6 < np.abs(coarse - exact).max() / np.abs(exact).max() < TF32_BOUND


def test_float64_has_no_tensor_cores(tensor_cores):
    check_trio(*SHAPES["one tile"], np.float64)


def test_views_that_are_not_aligned():
    """A parameter is a view into a flat array and may begin anywhere."""
    flat = values(1 + 4 * 4 * 4 * 8, dtype=np.float32)
    w, x = flat[1:].reshape(4, 4, 4, 8), values(2, 6, 6, 4, seed=1, dtype=np.float32)
    compare(lambda x, w: conv.conv2d(x, w, 2, 1), x, w, bound=2e-5)
    compare(lambda x, w: conv.conv2d(x.transpose(0, 2, 1, 3), w, 2, 1), x, w, bound=2e-5)
    compare(lambda y, w: conv.conv_transpose2d(y, w, 2, 1), values(2, 3, 3, 8, dtype=np.float32),
            w, bound=2e-5)


def test_an_empty_batch():
    with cuda.emulated(Emulator()):
        assert conv.conv2d(np.zeros((0, 4, 4, 2)), np.zeros((3, 3, 2, 5))).shape == (0, 2, 2, 5)
        assert matmul.matmul(np.zeros((0, 3)), np.zeros((3, 2))).shape == (0, 2)
        np.testing.assert_array_equal(matmul.matmul(np.zeros((2, 0)), np.zeros((0, 3))),
                                      np.zeros((2, 3)))
        y, w = np.zeros((2, 3, 3, 5)), np.zeros((3, 3, 2, 5))
        assert conv.conv_transpose2d(y[:, :1, :1], w[:2, :2], 1, 1, (0, 0)).shape == (2, 0, 0, 2)
        assert conv.conv_transpose2d(y[:0], w).shape == (0, 5, 5, 2)
        assert conv.conv_transpose2d(y, w[:, :, :0]).shape == (2, 5, 5, 0)


# --------------------------------------------------------------------------------- matrix products

def test_matmul_in_each_precision(tensor_cores):
    """More than a tile, in float64 and in TF32 and, below, in float32: the first to see a mistake
    in a tile."""
    a, b = values(70, 40), values(40, 66, seed=1)
    compare(matmul.matmul, a, b, bound=BOUND[np.float64])
    a, b = a.astype(np.float32), b.astype(np.float32)
    compare(matmul.matmul, a, b, bound=TF32_BOUND)
    ldf.set_float32_matmul_precision("highest")
    compare(matmul.matmul, a, b, bound=BOUND[np.float32])


@BOTH
@ORDERS
@pytest.mark.parametrize("left, right", [
    ((5, 7), (7, 3)), ((70, 20), (20, 66)), ((4, 600), (600, 8)), ((2, 3, 8, 4), (3, 4, 12)),
    ((3, 4, 5), (5, 6)), ((4,), (4, 8)), ((6, 4), (4,)), ((5, 64), (64, 128)), ((4,), (3, 4, 5)),
    ((2, 4, 2), (2, 2, 3)), ((8, 8), (2, 8, 8)), ((1, 1), (1, 1))])
def test_matmul(left, right, dtype, order):
    a, b = values(*left, dtype=dtype), values(*right, seed=1, dtype=dtype)
    compare(matmul.matmul, a, b, order=order, bound=BOUND[dtype])
    if a.ndim > 1 and b.ndim > 1:
        across = [np.ascontiguousarray(m.swapaxes(-1, -2)).swapaxes(-1, -2) for m in (a, b)]
        compare(matmul.matmul, across[0], across[1], order=order, bound=BOUND[dtype])
        compare(matmul.matmul, a, across[1], order=order, bound=BOUND[dtype])
        bias = values(b.shape[-1], seed=2, dtype=dtype)
        compare(lambda a, b, c: matmul.matmul(a, b, c, 0.2), across[0], b, bias, order=order,
                bound=BOUND[dtype])


@pytest.mark.parametrize("left, right", [((7, 4, 5), (7, 5, 6)), ((7, 4, 5), (5, 6)),
                                         ((4, 5), (7, 5, 6)), ((2, 4, 4, 5), (4, 5, 6))])
def test_more_products_than_a_grid_has_blocks(left, right, monkeypatch):
    monkeypatch.setattr(tile, "MOST", 3)
    a, b, bias = values(*left), values(*right, seed=1), values(6, seed=2)
    compare(lambda a, b, c: matmul.matmul(a, b, c, 0.2), a, b, bias, bound=BOUND[np.float64])
    with cuda.emulated(Emulator()) as driver:
        matmul.matmul(a, b)
    parts = -(-np.prod(np.broadcast_shapes(left[:-2], right[:-2])) // 3) if len(right) > 2 else 1
    assert driver.launched["matmul"] == parts


# -------------------------------------------------------------------------------------- the others

@BOTH
@ORDERS
@pytest.mark.parametrize("shape", [
    (2, 3), (64, 40), (3, 5, 4, 33), (4, 2, 2, 32),
    (2049, 1), (3, 257)])           # a chunk without rows; two blocks of channels
def test_normalisation(shape, dtype, order):
    x, g, h = (values(*shape, seed=k, dtype=dtype) + 3 for k in range(3))
    bound = 100 * BOUND[dtype]          # its sums cancel
    compare(lambda x: norm.normalize(x, 1e-5), x, order=order, bound=bound)
    y, _, var = norm.normalize(x.astype(np.float64), 1e-5)
    y, r = y.astype(dtype), ((var + 1e-5) ** -0.5).astype(dtype)
    compare(norm.normalize_vjp, g, y, r, order=order, bound=bound)
    compare(norm.normalize_vjp_x, h, g, y, r, order=order, bound=bound)
    compare(norm.channel_sum, x, order=order, bound=bound)
    compare(lambda *a: elementwise.scale_shift(*a, 0.1), x, values(shape[-1], dtype=dtype),
            values(shape[-1], seed=1, dtype=dtype), order=order, bound=bound)


@pytest.mark.parametrize("emulates", [False, True])
@BOTH
def test_normalisation_of_a_batch_in_parts(dtype, emulates):
    """On NumPy and on the emulator, beside the whole batch on NumPy."""
    run = emulated if emulates else lambda function, *arguments: function(*arguments)
    x, g, h = (values(12, 3, 5, seed=k, dtype=dtype) + 3 for k in range(3))
    bound = 100 * BOUND[dtype]
    y, mean, var = norm.normalize(x.astype(np.float64), 1e-5)
    r = ((var + 1e-5) ** -0.5).astype(dtype)
    parts = in_parts(lambda x, over: run(norm.normalize, x, 1e-5, over), 3, x)
    close(np.concatenate([part[0] for part in parts]), y, bound)
    for part in parts:
        close(part[1], mean, bound)
        close(part[2], var, bound)
    y = y.astype(dtype)
    first = in_parts(lambda g, y, over: run(norm.normalize_vjp, g, y, r, over), 3, g, y)
    second = in_parts(lambda h, g, y, over: run(norm.normalize_vjp_x, h, g, y, r, over), 3, h, g, y)
    exact = [a.astype(np.float64) for a in (h, g, y, r)]
    close(np.concatenate(first), norm.normalize_vjp(*exact[1:]), bound)
    close(np.concatenate(second), norm.normalize_vjp_x(*exact), bound)
    # negative control: a part that keeps its own means
    alone = norm.normalize(x[:4], 1e-5)
    assert np.abs(alone[0] - y[:4]).max() > 0.1


@BOTH
@ORDERS
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (4, 300), (5, 4, 4, 3), (2, 700)])
def test_the_penaltys_sums(shape, dtype, order):
    a, b, bound = values(*shape, dtype=dtype), values(*shape, seed=1, dtype=dtype), BOUND[dtype]
    logits, before = values(len(a), seed=2, dtype=dtype), values(len(a), seed=3, dtype=dtype)
    signs = np.where(np.arange(len(a)) % 2, 1, -1).astype(dtype)
    compare(penalty.row_dots, a, b, order=order, bound=bound)
    compare(penalty.row_dots, a, a, logits, signs, before, order=order, bound=bound)
    # sigma at both ends
    compare(penalty.row_dots, a, a, 1000 * logits, signs, order=order, bound=bound)
    compare(penalty.scale_rows, a, logits, order=order, bound=bound)


@BOTH
@ORDERS
@pytest.mark.parametrize("shape", [(1,), (64, 1), (5, 7), (600,)])
def test_elementwise_chains(shape, dtype, order):
    g, bound = values(*shape, dtype=dtype), BOUND[dtype]
    y = np.tanh(values(*shape, seed=1, dtype=dtype))
    y.reshape(-1)[2::4] = 0             # where a mask decides
    close(emulated(elementwise.leaky_relu_vjp, g, y, 0.1, order=order),
          g.astype(np.float64) * np.where(y > 0, 1, 0.1), bound)
    compare(elementwise.tanh_vjp, g, y, order=order, bound=bound)
    compare(elementwise.sigmoid_vjp, g, y, order=order, bound=bound)
    logits = 30 * values(*shape, seed=2, dtype=dtype)           # both ends of softplus
    for sign in (1.0, -1.0):
        compare(lambda x: elementwise.softplus_mean(x, sign), logits, order=order, bound=bound)
        compare(lambda g, x: elementwise.softplus_mean_vjp(g, x, sign),
                g.reshape(-1)[:1].reshape(()), logits, order=order, bound=bound)


@BOTH
@ORDERS
def test_adam_and_the_moving_average(dtype, order):
    def steps(p, m, v, average):
        taken, averaged = np.zeros(1, np.int32), np.zeros(1, np.int32)
        for k in range(3):
            g, share = values(*p.shape, seed=10 + k).astype(p.dtype), np.full(1, 1 - 0.2 * k)
            optim.adam(p, [g], m, v, taken, share, 0.01, (0.5, 0.99), 1e-8)
            optim.moving_average([(average, p)], averaged, 0.9)
        assert taken[0] == averaged[0] == 3
        return p, m, v, average

    def start(dtype):
        size = 1025         # one more than four blocks
        return [values(size, dtype=dtype), np.zeros(size, dtype), np.zeros(size, dtype),
                values(size, seed=1, dtype=dtype)]

    expected, actual = steps(*start(np.float64)), emulated(steps, *start(dtype), order=order)
    for one, other in zip(actual, expected, strict=True):
        close(one, other, BOUND[dtype])


@ORDERS
def test_the_stream_of_numbers(order):
    """On the device as on the CPU, uniforms bit for bit, whatever was drawn before, and the host's
    counter keeps up."""
    def draw(rng):
        drawn = [rng.random(3), rng.random(5, np.float64), rng.standard_normal((2, 2)),
                 rng.random(2), rng.permutation(5), rng.standard_normal(3, np.float64),
                 rng.random((2, 257)), rng.standard_normal(), rng.random(0), rng.random(1),
                 rng.standard_normal(600),
                 *(rng.random(count) for count in (1, 1, 2, 2, 4, 1, 3, 2, 1))]
        return drawn, rng.state

    expected, state = draw(ldf.Generator(3))
    actual, other = emulated(draw, ldf.Generator(3), order=order)
    for k, (one, want) in enumerate(zip(actual, expected, strict=True)):
        assert one.dtype == want.dtype
        if k in (2, 5, 7, 10):
            close(one, want, 1e-6 if want.dtype == np.float32 else 1e-14)
        else:
            np.testing.assert_array_equal(one, want)
    assert {k: v for k, v in state.items() if k not in ("buffer", "uinteger")} == {
        k: v for k, v in other.items() if k not in ("buffer", "uinteger")}
    numpy = np.random.Generator(np.random.Philox(np.random.SeedSequence(3)))
    # NumPy's own stream
    np.testing.assert_array_equal(actual[0], numpy.random(3, np.float32))


@pytest.mark.parametrize("before", range(10))
def test_the_stream_after_draws_of_the_host(before):
    """Wherever in its buffer NumPy stands, with a kept half or without."""
    def draw(rng):
        for _ in range(before):
            rng.integers(0, 2 ** 31)
        return rng.random(3), rng.random(3, np.float64), rng.random(2)

    for one, other in zip(emulated(draw, ldf.Generator(3)), draw(ldf.Generator(3)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_stream_where_its_counter_overflows():
    """The counter has 256 bits on the host; the device counts 64, and carries once."""
    def draw(rng):
        rng.state = rng.state | {"counter": [2 ** 64 - 2, 0, 0, 0]}
        return rng.random(12, np.float64)

    np.testing.assert_array_equal(emulated(draw, ldf.Generator(3)), draw(ldf.Generator(3)))


FULL = 2 ** 64 - 1


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from([np.float32, np.float64])),
                max_size=6),
       st.sampled_from([[0, 0, 0, 0], [FULL - 3, 0, 0, 0], [7, 1, 2, 3],
                        [FULL - 3, FULL, FULL, 5]]))
def test_skipping_draws(draws, counter):
    made, skipped = (np.random.Generator(np.random.Philox(counter=np.array(counter, np.uint64),
                                                          key=5)) for _ in range(2))
    for count, dtype in draws:
        made.random(count, dtype)
        random.skip(skipped, count, np.dtype(dtype))
    np.testing.assert_array_equal(made.random(9, np.float32), skipped.random(9, np.float32))
    np.testing.assert_array_equal(made.random(9), skipped.random(9))


# -------------------------------------------------------------------------------- planted mistakes

def dots(order="forwards", edit=None):
    a = values(3, 300)
    out = emulated(penalty.row_dots, a, a, order=order, edit=edit)
    close(out, np.square(a).sum(1), 1e-12)


def product(order="forwards", edit=None, shape=(66, 50, 66)):
    m, k, n = shape
    a, b = values(m, k, dtype=np.float32), values(k, n, seed=1, dtype=np.float32)
    close(emulated(matmul.matmul, a, b, order=order, edit=edit), a.astype(np.float64) @ b, 2e-5)


def test_without_a_mistake_there_is_none():
    dots()
    product()


@pytest.mark.parametrize("check, file, barrier", [
    (dots, "penalty.cu", "        __syncthreads();\n        if (threadIdx.x < half)"),
    (product, "matmul.cu", "        __syncthreads();        // this step's")])
@pytest.mark.parametrize("races", [False, True])
def test_a_missing_barrier(check, file, barrier, races, monkeypatch):
    """Some order of the threads shows it in the result; where every access is looked at, each
    does."""
    edit = file, barrier, barrier.replace("__syncthreads();", "")
    if not races:
        monkeypatch.setattr(Emulator, "__init__", partialmethod(Emulator.__init__, races=False))
    caught = []
    for order in ("forwards", "backwards", "shuffled"):
        try:
            check(order, edit)
        except AssertionError as error:
            caught.append(str(error))
    assert caught
    if races:
        assert len(caught) == 3 and all("a race: " in error for error in caught)


@pytest.mark.parametrize("right, wrong", [
    ("sums[threadIdx.x] += sums[threadIdx.x + half];",
     "sums[threadIdx.y] += sums[threadIdx.x + half];"),
    ("if (threadIdx.x == 0)", "if (threadIdx.y == 0)")])
def test_a_race_between_equals(right, wrong):
    """One after the other, as here, the threads even get the right sum."""
    with pytest.raises(EmulationError, match="a race: "):
        emulated(elementwise.softplus_mean, values(600), 1.0, edit=("elementwise.cu", right, wrong))


@pytest.mark.parametrize("check, file, right, wrong", [
    (dots, "penalty.cu", "m < columns; m +=", "m < columns - 1; m +="),
    (product, "matmul.cu", "row >= rows || k >= end", "row >= rows || k >= end - 1"),
    (product, "matmul.cu", "wait_for_copies<STAGES - 2>();", "wait_for_copies<STAGES - 1>();")])
def test_an_off_by_one(check, file, right, wrong):
    with pytest.raises(AssertionError):
        check(edit=(file, right, wrong))


def test_an_edit_must_find_its_place():
    """The control of these controls."""
    with pytest.raises(ValueError, match="'no such line' is not in penalty.cu"):
        dots(edit=("penalty.cu", "no such line", ""))


def test_an_uninitialised_read():
    with pytest.raises(AssertionError, match="NaN or infinity"):
        dots(edit=("penalty.cu", "sums[threadIdx.x] = sum;",
                   "if (threadIdx.x < 200) sums[threadIdx.x] = sum;"))


def test_a_result_that_is_not_written():
    with pytest.raises(AssertionError, match="NaN or infinity"):
        emulate = emulated(penalty.scale_rows, values(5, 5), values(5),
                           edit=("penalty.cu", "if (i < size)\n        out[i] = x",
                                 "if (i < size - 1)\n        out[i] = x"))
        close(emulate, emulate, 1)


@pytest.mark.parametrize("right, wrong", [
    ("if (i < size)\n        out[i] = x", "if (i <= size)\n        out[i] = x"),
    ("x[i] * s[i / columns]", "x[i] * s[i / columns + 1]"),
    ("x[i] * s[i / columns]", "x[i - 1] * s[i / columns]")])
def test_out_of_bounds(right, wrong):
    """Each argument ends at a fence where it fills its 16-byte pieces; before and behind it lie
    numbers that are none."""
    with pytest.raises(AssertionError, match="out of bounds|NaN or infinity"):
        close(emulated(penalty.scale_rows, values(4, 4), values(4),
                       edit=("penalty.cu", right, wrong)), values(4, 4), 1e9)


@pytest.mark.parametrize("place", ["i + 1", "i - 1"])
def test_a_write_beside_an_argument(place):
    """Where it does not fill its 16-byte pieces, nothing stops it at once."""
    with pytest.raises(EmulationError, match="wrote (behind|before) an argument of"):
        emulated(penalty.scale_rows, values(3, 5), values(3),
                 edit=("penalty.cu", "out[i] = x", f"out[{place}] = x"))


def test_outside_of_a_threads_own_array():
    with pytest.raises(EmulationError, match="an index out of the bounds of a thread's own array"):
        loop = "for (int i = 0; i < 8; i++)\n                part_a"
        product(edit=("matmul.cu", loop, loop.replace("8", "9")))


@pytest.mark.parametrize("place", ["(int)threadIdx.x - 1", "threadIdx.x + 1"])
def test_outside_of_shared_memory(place):
    with pytest.raises(EmulationError, match="out of bounds|wrote behind"):
        dots(edit=("penalty.cu", "sums[threadIdx.x] = sum;", f"sums[{place}] = sum;"))


def test_more_threads_than_the_kernel_is_compiled_for():
    a, out = np.ones((2, 3)), np.zeros(2)
    message = "row_dots: 288 threads .* expected at most 256 and"
    with cuda.emulated(Emulator()), pytest.raises(EmulationError, match=message):
        cuda.launch("penalty.cu", "row_dots", (2,), (288,),
                    (a, a, None, None, None, out, np.int32(3)), 2304, REAL="double")


def test_a_barrier_that_not_all_reach():
    with pytest.raises(EmulationError, match="threads meet at different barriers"):
        dots(edit=("penalty.cu", "sums[threadIdx.x] = sum;",
                   "sums[threadIdx.x] = sum;\n    if (threadIdx.x == 0)\n        __syncthreads();"))


def test_other_types_of_numbers_are_refused():
    message = r"for float32 and float64, got numpy float16\[2, 2\]"
    with cuda.emulated(Emulator()), pytest.raises(TypeError, match=message):
        matmul.matmul(np.ones((2, 2), np.float16), np.ones((2, 2), np.float16))


def test_arguments_are_packed_as_the_kernel_takes_them():
    a, out = np.ones((2, 3)), np.zeros(2)

    def launch(*arguments):
        cuda.launch("penalty.cu", "row_dots", (2,), (256,), arguments, 2048, REAL="double")

    with cuda.emulated(Emulator()):
        launch(a, a, None, None, None, out, np.int32(3))
        np.testing.assert_array_equal(out, [3, 3])
        with pytest.raises(TypeError,
                           match="row_dots: argument 6: expected an array or a NumPy scalar, got "
                                 "int"):
            launch(a, a, None, None, None, out, 3)
        with pytest.raises(ValueError, match="row_dots: argument 0: expected a contiguous array"):
            launch(np.ones((3, 2)).T, a, None, None, None, out, np.int32(3))
        with pytest.raises(EmulationError, match="takes 7 arguments, got 6"):
            launch(a, a, None, None, None, out)


def test_every_kernel_is_run_by_a_test_of_this_file():
    """The names of the kernels that the tests above launch, in one place, so that a new one is not
    forgotten."""
    device = Device("emulator")

    def all_of_them():
        x, y = values(2, 3, 3, 40), values(2, 3)
        w = values(3, 3, 40, 3)
        z = conv.conv2d(x, w, 1, 1)
        conv.conv_transpose2d(z, w, 1, 1)
        conv.conv2d_weight(x, z, 3, 1, 1)
        matmul.matmul(y, y.T)
        normal, _, var = norm.normalize(y, 1e-5)
        norm.normalize_vjp_x(y, norm.normalize_vjp(y, normal, var), normal, var)
        elementwise.scale_shift(y, norm.channel_sum(y), var)
        penalty.scale_rows(y, penalty.row_dots(y, y))
        elementwise.leaky_relu_vjp(elementwise.tanh_vjp(y, y), elementwise.sigmoid_vjp(y, y), 0.1)
        elementwise.softplus_mean_vjp(elementwise.softplus_mean(y, 1.0), y, 1.0)
        p, steps = np.ones(3), np.zeros(1, np.int32)
        optim.adam(p, [p.copy()], p.copy(), p.copy(), steps, np.ones(1), 0.1, (0.5, 0.9), 1e-8)
        optim.moving_average([(p.copy(), p)], steps, 0.9)
        rng = ldf.Generator(0)
        return rng.random(3) + rng.standard_normal(3)

    device.run(all_of_them)
    everything = {name for path in cuda.FOLDER.glob("*.cu")
                  for name in kernel_names(path.read_text())}
    assert set(device.emulator.launched) == everything
