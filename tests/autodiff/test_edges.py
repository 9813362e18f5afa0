"""Where operations have edges: masks that must select, special exponents, scalars and empty arrays,
half precision, NumPy's numbers, arrays that change in place. Faults that users of other libraries
reported; the right values are worked out by hand."""

import subprocess
import sys

import numpy as np
import pytest

import ldf_np as ldf
from ldf_np.autodiff import conv, norm, ops
from ldf_np.autodiff.engine import Tensor, grad, operation
from ldf_np.autodiff.gradcheck import check_grads
from ldf_np.models import classifier, vae
from ldf_np.nn import layers, losses
from ldf_np.nn.penalty import penalized_logits

F4, HALF, INF, NAN = np.float32, np.float16, np.inf, np.nan


def gradients(f, x, order=1):
    """The elements of the derivative of f, element by element, at x."""
    x = Tensor(np.asarray(x))
    y = f(x)
    for _ in range(order):
        y = grad(y.sum() if y.shape else y, x, create_graph=True, allow_unused=True)
    return y.data.tolist()


# -------------------------------------------------------------------------------- masks that select

# name: f with an infinite derivative inside, where the mask closes, x, the derivative of f
SELECTED = {
    "relu": (lambda x: ops.sqrt(ops.relu(x)), [-1.0, 4.0], [0, 0.25]),
    "leaky_relu 0": (lambda x: ops.sqrt(ops.leaky_relu(x, slope=0.0)), [-1.0, 4.0], [0, 0.25]),
    "clip": (lambda x: ops.sqrt(ops.clip(x, 0, None)), [-1.0, 4.0], [0, 0.25]),
    "clip above": (lambda x: ops.sqrt(1 - ops.clip(x, None, 1)), [2.0, 0.75], [0, -1]),
    "maximum": (lambda x: ops.sqrt(ops.maximum(x, 0.0)), [-1.0, 4.0], [0, 0.25]),
    "minimum": (lambda x: ops.sqrt(1 - ops.minimum(x, 1.0)), [2.0, 0.75], [0, -1]),
    "where": (lambda x: ops.sqrt(ops.where(x.data > 0, x, 0.0)), [-1.0, 4.0], [0, 0.25]),
    "max": (lambda x: ops.sqrt(ops.max(x * np.array([0.0, 1.0]))), [3.0, 4.0], [0, 0.25]),
    "min": (lambda x: ops.sqrt(ops.min(x + np.array([9.0, 0.0]))), [3.0, 4.0], [0, 0.25]),
    "maxout": (lambda x: ops.sqrt(ops.maxout(x, 2)), [-1.0, 4.0], [0, 0.25]),
    "abs": (lambda x: ops.abs(x), [-2.0, 3.0], [-1, 1]),
}


@pytest.mark.parametrize("name", SELECTED)
def test_what_a_mask_closes_is_zero(name):
    f, x, expected = SELECTED[name]
    assert gradients(f, x) == expected      # and without a warning, which would be an error


def test_infinite_values():
    x = Tensor(np.array([-INF, INF, NAN]))
    np.testing.assert_array_equal(ops.leaky_relu(x, slope=0.0).data, [0, INF, NAN])
    np.testing.assert_array_equal(ops.relu(x).data, [0, INF, NAN])
    np.testing.assert_array_equal(ops.leaky_relu(x, slope=0.5).data, [-INF, INF, NAN])
    one = Tensor(np.eye(3))
    ones, zeros = np.ones(3), np.zeros(3)
    np.testing.assert_array_equal(ops.scale_shift(x, ones, zeros, 0.0).data, [0, INF, NAN])
    y = ops.linear(Tensor(np.full((1, 3), -1.0)), one, Tensor(np.array([-INF, INF, NAN])), 0.0)
    np.testing.assert_array_equal(y.data, [[0, INF, NAN]])
    # negative control: nothing is selected
    with np.errstate(all="ignore"):
        assert np.isnan((x * (x.data > 0)).data[0])


# -------------------------------------------------------------------------------- special exponents

@pytest.mark.parametrize("wrap", [float, int, np.float64, np.int64, np.float32, np.array,
                                  lambda k: np.full(2, float(k)), lambda k: Tensor(float(k))])
@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_derivatives_of_powers_at_zero(k, wrap):
    """d^n/dx^n x^k = k! / (k - n)! x^(k - n): at 0 it is n! where n = k, else 0; at 2 by hand."""
    at_2 = {0: [1, 0, 0, 0], 1: [2, 1, 0, 0], 2: [4, 4, 2, 0], 3: [8, 12, 12, 6]}[k]
    for order, there in enumerate(at_2):
        here = 0 if order != k else {0: 1, 1: 1, 2: 2, 3: 6}[k]
        assert gradients(lambda x: x ** wrap(k), [0.0, 2.0], order) == [here, there]


def test_an_array_of_exponents():
    exponents = np.array([0.0, 1.0, 2.0])
    assert gradients(lambda x: x ** exponents, np.zeros(3)) == [0, 1, 0]
    assert gradients(lambda x: x ** Tensor(exponents), np.zeros(3)) == [0, 1, 0]
    check_grads(lambda a, b: a ** b, [[0.7, 1.3, 2.0], exponents], order=3)


@pytest.mark.parametrize("wrap", [float, np.array, lambda a: Tensor(np.array(a))])
def test_zero_to_a_differentiable_power(wrap):
    """0^b is 0 whatever b > 0, so all derivatives in b are, and at b = 0 they are taken from that
    side; those of 2^b are powers of log 2."""
    for order in range(3):
        for b in (0.0, 0.5, 2.0):
            assert gradients(lambda b: wrap(0.0) ** b, [b], order) == [order == b == 0]
            np.testing.assert_allclose(gradients(lambda b: wrap(2.0) ** b, [b], order),
                                       [np.log(2) ** order * 2 ** b])
    a, b = Tensor(np.array([0.0, 0.0, 2.0])), Tensor(np.array([2.0, 3.0, 2.0]))
    slope = grad((a ** b).sum(), b, create_graph=True)
    assert grad(slope.sum(), a).data.tolist()[:2] == [0, 0]     # a + 2 a log a


# ------------------------------------------------------------------------- scalars and empty arrays

ONE = ("abs clip cos exp expm1 leaky_relu log log1p negative relu sigmoid sin softplus sqrt square "
       "tanh").split()
TWO = "add divide maximum minimum multiply power subtract".split()
ELEMENTWISE = dict.fromkeys(ONE, 1) | dict.fromkeys(TWO, 2)
# what NumPy has for every one of them, at 0.5
AT_A_HALF = {"abs": 0.5, "exp": 1.6487212707, "leaky_relu": 0.5, "log": -0.6931471806,
             "expm1": 0.6487212707, "log1p": 0.4054651081, "sin": 0.4794255386, "cos": 0.8775825619,
             "negative": -0.5, "relu": 0.5, "sigmoid": 0.6224593312, "softplus": 0.9740769842,
             "sqrt": 0.7071067812, "square": 0.25, "tanh": 0.4621171573, "clip": 0.5, "add": 1.0,
             "divide": 1.0, "maximum": 0.5, "minimum": 0.5, "multiply": 0.25,
             "power": 0.7071067812, "subtract": 0.0}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_scalars_and_empty_arrays(name, dtype):
    function = getattr(ops, name)
    for shape in [(), (1,), (0,), (0, 3), (3, 0), (0, 0)]:
        args = [Tensor(np.full(shape, 0.5, dtype)) for _ in range(ELEMENTWISE[name])]
        y = function(*args)
        assert y.shape == shape and y.dtype == dtype
        np.testing.assert_allclose(y.data, np.full(shape, AT_A_HALF[name]), rtol=2e-3, atol=1e-7)
        first = grad(y.sum(), args, create_graph=True)
        second = grad(sum((ops.square(g)).sum() for g in first), args, allow_unused=True)
        assert [(g.shape, g.dtype) for g in [*first, *second]] == [(shape, dtype)] * 2 * len(args)


SHAPES = {
    "sum": (lambda x: ops.sum(x), (0, 3), ()), "sum along": (lambda x: ops.sum(x, 0), (0, 3), (3,)),
    "mean along": (lambda x: ops.mean(x, 1), (0, 3), (0,)),
    "max along": (lambda x: ops.max(x, 1), (0, 3), (0,)),
    "sum of a scalar": (lambda x: ops.sum(x), (), ()), "max of a scalar": (ops.max, (), ()),
    "transpose": (ops.transpose, (0, 3), (3, 0)), "scalar transposed": (ops.transpose, (), ()),
    "swapaxes": (lambda x: ops.swapaxes(x, 0, 1), (0, 3), (3, 0)),
    "reshape": (lambda x: ops.reshape(x, (3, 0)), (0, 3), (3, 0)),
    "scalar reshaped": (lambda x: ops.reshape(x, (1, 1)), (), (1, 1)),
    "concatenate": (lambda x: ops.concatenate([x, x]), (0, 3), (0, 3)),
    "stack": (lambda x: ops.stack([x, x]), (0,), (2, 0)),
    "scalars stacked": (lambda x: ops.stack([x, x]), (), (2,)),
    "split": (lambda x: ops.split(x, 1)[0], (0, 3), (0, 3)),
    "pad": (lambda x: ops.pad(x, [(1, 0), (0, 0)]), (0, 3), (1, 3)),
    "getitem": (lambda x: x[1:], (1, 3), (0, 3)), "scalar indexed": (lambda x: x[...], (), ()),
    "maxout": (lambda x: ops.maxout(x, 3), (0, 3), (0, 1)),
    "matmul": (lambda x: ops.matmul(x, np.ones((3, 2), F4)), (0, 3), (0, 2)),
    "inner matmul": (lambda x: ops.matmul(x, np.ones((0, 2), F4)), (3, 0), (3, 2)),
    "linear": (lambda x: ops.linear(x, np.ones((3, 2), F4), np.ones(2, F4)), (0, 3), (0, 2)),
    "scale_shift": (lambda x: ops.scale_shift(x, np.ones(3, F4), np.ones(3, F4)), (0, 3), (0, 3)),
    "broadcast_to": (lambda x: ops.broadcast_to(x, shape=(2, 0)), (0,), (2, 0)),
    "sum_to": (lambda x: ops.sum_to(x, shape=(3,)), (0, 3), (3,)),
    "where": (lambda x: ops.where(x.data > 0, x, x), (0, 3), (0, 3)),
    "normalize": (lambda x: norm.normalize(x)[0], (0, 3), (0, 3)),
    "conv2d": (lambda x: conv.conv2d(x, Tensor(np.ones((1, 1, 2, 4), F4))), (0, 3, 3, 2),
               (0, 3, 3, 4)),
    "astype": (lambda x: ops.astype(x, dtype=F4), (), ()),
    "var along": (lambda x: ops.var(x, 1), (0, 3), (0,)),
    "softmax": (ops.softmax, (0, 3), (0, 3)), "log_softmax": (ops.log_softmax, (0, 3), (0, 3)),
    "logsumexp along": (lambda x: ops.logsumexp(x, 1), (0, 3), (0,)),
    "var of a scalar": (ops.var, (), ()), "softmax of a scalar": (lambda x: ops.softmax(x, None),
                                                                  (), ()),
    "einsum": (lambda x: ops.einsum("ij,kj->ik", x, x), (0, 3), (0, 0)),
    "einsum over nothing": (lambda x: ops.einsum("ji,jk->ik", x, x), (0, 3), (3, 3)),
    "diagonal of nothing": (lambda x: ops.einsum("ii->i", x), (0, 0), (0,)),
    "scalars multiplied": (lambda x: ops.einsum(",", x, x), (), ()),
    "avg_pool2d": (lambda x: ops.avg_pool2d(x, 2), (0, 4, 4, 3), (0, 2, 2, 3)),
    "max_pool2d": (lambda x: ops.max_pool2d(x, 2, padding=1), (0, 4, 4, 3), (0, 3, 3, 3)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_arrays_without_elements_or_axes(name):
    function, shape, expected = SHAPES[name]
    x = Tensor(np.ones(shape, F4))
    y = function(x)
    assert y.shape == expected
    g = grad(y.sum(), x)
    assert g.shape == shape and g.dtype == F4


# ----------------------------------------------------------------------------------- half precision

def half(*shape, value=1.0):
    return Tensor(np.full(shape, value, HALF))


# name: a function of float16 whose plain sum would pass 65,504 or stand still at 2,048; its value
SUMS = {
    "mean": (lambda: ops.mean(half(70_000)), 1), "mean along": (
        lambda: ops.mean(half(70_000, 2), 0), [1, 1]),
    "sum": (lambda: ops.sum(half(5_000, 3), 0), [5_000] * 3),
    "sum_to": (lambda: ops.sum_to(half(5_000, 1, 1), shape=(1, 1, 1)), [[[5_000]]]),
    "channels": (lambda: ops.sum_to(half(5_000, 2), shape=(2,)), [5_000] * 2),
    "softplus_mean": (lambda: losses.softplus_mean(half(70_000, value=0)), 0.6931),
    "its gradient's": (lambda: second_of_softplus(), 0.5),
    "least squares": (lambda: losses.generator_loss(half(4, value=301), "least-squares"), 45_000),
    "mean |x|^2": (lambda: losses.reconstruction_loss(
        half(9, 2, value=100), half(9, 2, value=-100)), 40_000),
    "cross-entropy": (lambda: classifier.softmax_cross_entropy(
        half(200_000, 2, value=0), np.zeros(200_000, int)), 0.6931),
    "Kullback-Leibler": (lambda: vae.normal_kl(half(1, 90_000), half(1, 90_000, value=0)),
                         [45_000]),
    "likelihood": (lambda: vae.normal_nll(half(value=2), 1.0, 90_000), 172_704),
    "LayerNorm": (lambda: layers.LayerNorm(2)(Tensor(np.array([[-300, 300]], HALF))), [[-1, 1]]),
    "BatchNorm": (lambda: layers.BatchNorm(1)(
        Tensor(np.array([[-300], [300]] * 40_000, HALF)))[:2], [[-1], [1]]),
    "var": (lambda: ops.var(Tensor(np.array([-200, 200], HALF))), 40_000),
    "logsumexp": (lambda: ops.logsumexp(half(70_000, value=0)), 11.156),
    "softmax": (lambda: ops.softmax(half(4_096, value=9))[:1], [1 / 4096]),
    "avg_pool2d": (lambda: ops.avg_pool2d(half(1, 300, 300, 1), 300), [[[[1]]]]),
    "einsum": (lambda: ops.einsum("i->", half(5_000)), 5_000),
    "in a broadcast": (lambda: grad((half(5_000, 1) * (x := half(1))).sum(), x), [5_000]),
}


def second_of_softplus():
    """d/dg of g * d mean softplus(l) / dl summed over l: mean sigmoid(0) = 1/2."""
    l, g = half(70_000, value=0), half()
    first = grad(losses.softplus_mean(l), l, g, create_graph=True)
    return grad(first, g, half(70_000))


@pytest.mark.parametrize("name", SUMS)
def test_float16_is_added_in_float32(name):
    function, expected = SUMS[name]
    np.testing.assert_allclose(function().data.astype(np.float64), expected, rtol=2e-3)


# ----------------------------------------------------------------- exponentials and windows far out

LONG_SUMS = {
    "mean": (lambda x: ldf.mean(x, axis=0), lambda x: x.mean(0)),
    "mean of leading axes": (lambda x: ldf.mean(ldf.reshape(x, (10, -1, 2)), axis=(0, 1)),
                             lambda x: x.mean(0)),
    "mean of an axis within": (lambda x: ldf.mean(ldf.reshape(x, (2, -1, 2)), axis=1),
                               lambda x: x.reshape(2, -1, 2).mean(1)),
    "sum": (lambda x: ldf.sum(x, axis=0, keepdims=True), lambda x: x.sum(0, keepdims=True)),
    "var": (lambda x: ldf.var(x, axis=0), lambda x: x.var(0)),
    "the gradient of (1, c)": (lambda x: _gradient(x, (1, 2)), lambda x: x.sum(0, keepdims=True)),
    "the gradient of (c,)": (lambda x: _gradient(x, (2,)), lambda x: x.sum(0)),
}


def _gradient(x, shape):
    b = Tensor(np.zeros(shape, np.float32))
    return ldf.grad((x * (b + 1)).sum(), b)


@pytest.mark.parametrize("name", LONG_SUMS)
def test_sums_of_many_rows_keep_their_digits(name):
    ours, exact = LONG_SUMS[name]
    x = (1 + np.random.default_rng(0).random((10 ** 6, 2))).astype(np.float32)
    found = ours(Tensor(x)).data
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact(x.astype(np.float64)), rtol=5e-7)
    assert abs(x.sum(axis=0)[0] / x[:, 0].astype(np.float64).sum() - 1) > 5e-7      # as NumPy does


def test_exponentials_far_out():
    x = Tensor(np.array([[1000.0, 0.0, -1000.0], [-INF, 0.0, 0.0]]))
    np.testing.assert_allclose(ops.logsumexp(x, -1).data, [1000, np.log(2)])
    np.testing.assert_allclose(ops.softmax(x).data, [[1, 0, 0], [0, 0.5, 0.5]])
    np.testing.assert_array_equal(ops.log_softmax(x).data[0], [0, -1000, -2000])
    g = grad(ops.logsumexp(x, -1).sum(), x, create_graph=True)
    np.testing.assert_allclose(g.data, [[1, 0, 0], [0, 0.5, 0.5]])
    assert np.isfinite(grad((g * g).sum(), x).data).all()
    assert ops.logsumexp(Tensor(np.full(3, -INF))).data == -INF       # log 0
    assert ops.logsumexp(Tensor(np.array([0, INF]))).data == INF


def test_windows_at_the_border():
    """By hand: zeros count in a mean, and are never the largest of negative numbers."""
    x = Tensor(-np.ones((1, 2, 2, 1)))
    assert (ops.avg_pool2d(x, 2, padding=1).data == -0.25).all()
    assert (ops.max_pool2d(x, 2, padding=1).data == -1).all()
    # a tie shares; windows that overlap add up
    assert grad(ops.max_pool2d(x, 2).sum(), x).data.ravel().tolist() == [0.25] * 4
    row = Tensor(np.array([1.0, 3, 2, 0]).reshape(1, 1, 4, 1))
    assert grad(ops.max_pool2d(row, (1, 2), 1).sum(), row).data.ravel().tolist() == [0, 2, 1, 0]


def test_a_pool_of_what_changes_in_place_is_not_kept():
    w = Tensor(np.arange(16.0).reshape(1, 4, 4, 1))
    windows = ops.avg_pool2d(w, 2)
    w.data *= 2
    np.testing.assert_array_equal(ops.avg_pool2d(w, 2).data, 2 * windows.data)


# -------------------------------------------------------- NumPy's numbers, byte orders, who changes

def test_numbers_of_numpy_do_not_promote():
    x, two = Tensor(np.ones((4, 3), F4)), np.float64(2)
    batch = layers.BatchNorm(3, eps=np.float64(1e-5), momentum=np.float64(0.1))
    results = [x * two, two * x, x / two, x - two, two - x, x ** two, ops.maximum(x, two),
               ops.clip(x, np.float64(0), two), ops.where(x.data > 0, x, two),
               ops.leaky_relu(x, slope=np.float64(0.1)), layers.LayerNorm(3, eps=two)(x), batch(x),
               batch.eval()(x), layers.LeakyReLU(np.float64(0.1))(x), ops.linear(
                   x, np.ones((3, 2), F4), np.ones(2, F4), np.float64(0.1))]
    assert [y.dtype for y in results] == [F4] * len(results)
    assert (x * np.ones(3)).dtype == np.float64     # negative control: an array of float64 does


def test_a_gradient_has_the_byte_order_of_its_input():
    x = Tensor(np.ones(3, ">f4"))
    g = grad((x * x).sum() + x.sum(), x)
    assert g.dtype == np.dtype(">f4") and g.data.tolist() == [3, 3, 3]


VIEWED = {
    "transposed": (lambda w: ops.transpose(w, (0, 1, 3, 2)), (1, 1, 2, 2)),
    "reshaped": (lambda w: ops.reshape(w, (1, 1, 2, 2)), (4,)),
    "sliced": (lambda w: w[:1], (2, 1, 2, 2)),
    "broadcast": (lambda w: ops.broadcast_to(w, shape=(1, 1, 2, 2)), (2, 2)),
    "a view of a view": (lambda w: ops.swapaxes(ops.reshape(w, (2, 2, 1, 1)), 0, 2)[:1, :1], (4,)),
}


@pytest.mark.parametrize("kind", VIEWED)
def test_a_view_of_a_leaf_changes_with_it(kind):
    """What a convolution keeps of a filter holds only as long as the filter does not change."""
    view, shape = VIEWED[kind]
    w, x = Tensor(np.arange(1.0, 1 + np.prod(shape)).reshape(shape)), Tensor(np.ones((1, 1, 1, 2)))
    v = view(w)
    first, by_hand = conv.conv2d(x, v).data.copy(), v.data[0, 0].sum(axis=0)
    np.testing.assert_array_equal(first[0, 0, 0], by_hand)
    w.data *= 2
    assert np.shares_memory(v.data, w.data)
    np.testing.assert_array_equal(conv.conv2d(x, v).data, 2 * first)


# ---------------------------------------------------------------------------- arguments and answers

def test_every_argument_has_a_rule_or_a_sentence():
    x, h = Tensor(np.array([-1.0, 0.5, 3.0])), Tensor(2.0)
    assert grad(ops.clip(x, 0, h).sum(), h).data == 1
    assert grad(ops.clip(x, high=h, low=0).sum(), h).data == 1
    assert grad(ops.clip(x, low=Tensor(0.0)).sum(), x).data.tolist() == [0, 1, 1]
    assert ops.clip(x, None, None).data.tolist() == ops.clip(x).data.tolist() == [-1, 0.5, 3]
    assert grad(ops.power(x, b=h).sum(), x).data.tolist() == [-2, 1, 6]
    w = Tensor(np.ones((3, 2)))
    assert grad(ops.linear(x=ops.reshape(x, (1, 3)), weight=w).sum(), w).data.tolist() == [
        [-1, -1], [0.5, 0.5], [3, 3]]
    for call, match in [(lambda: ops.leaky_relu(x, slope=h), "slope: expected no Tensor"),
                        (lambda: ops.max(x, axis=h), "max: axis: expected no Tensor"),
                        (lambda: ops.where(x, x, x), "condition: expected a boolean array"),
                        (lambda: ops.exp(y=x), "exp")]:
        with pytest.raises(TypeError, match=match):
            call()
    with pytest.raises((TypeError, ValueError), match="sign of 1 or -1"):
        losses.softplus_mean(x, h)


def test_comparisons_iteration_and_membership():
    x = Tensor(np.array([0.0, 1.0, 2.0]))
    for found, expected in [(x == 1, [0, 1, 0]), (x != 1, [1, 0, 1]), (x < 1, [1, 0, 0]),
                            (x <= 1, [1, 1, 0]), (x > x, [0, 0, 0]), (1.0 >= x, [1, 1, 0])]:
        assert isinstance(found, np.ndarray) and found.dtype == bool
        assert found.tolist() == [bool(v) for v in expected]
    assert 1.0 in x and 7.0 not in x
    assert [float(v.data) for v in x] == [0, 1, 2]
    assert len({x, x, Tensor(np.zeros(3))}) == 2 and {x: 1}[x] == 1
    with pytest.raises(TypeError):
        list(Tensor(3.0))
    with pytest.raises(ValueError, match="ambiguous"):
        bool(x)
    assert not Tensor(0.0) and Tensor(3.0)


def test_a_mask_is_not_lost():
    with pytest.raises(TypeError, match="mask"):
        Tensor(np.ma.masked_array([1.0, 2.0], [False, True]))


def test_a_discriminator_that_ignores_an_input():
    a, b = np.ones((3, 2), F4), np.full((3, 4), 5, F4)
    _, _, penalty = penalized_logits(lambda x, z: ops.sum(x, 1, keepdims=True) * 3.0, [a, b],
                                     [a, b], "unweighted")
    assert penalty.data == 36       # twice the mean of |(3, 3)|^2
    with pytest.raises(ValueError, match="logits: expected something that depends on at least"):
        penalized_logits(lambda x, z: Tensor(np.ones((len(x), 1), F4)), [a, b], [a, b],
                         "unweighted")


def test_a_wrong_rule_is_found_without_asserts():
    """python -O drops asserts."""
    code = ("import numpy as np; from ldf_np.autodiff.engine import operation\n"
            "from ldf_np.autodiff.gradcheck import check_grads\n"
            "f = operation(lambda x: x ** 2, vjp=lambda g, y, x: g * x)\n"
            "check_grads(f, [np.ones(2)])")
    found = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True)
    assert found.returncode and "AssertionError: check_grads: argument 0, order 1" in found.stderr


def test_the_public_names_are_these_operations():
    assert ldf.clip is ops.clip and ldf.leaky_relu is ops.leaky_relu


def test_rules_that_are_given_afterwards_take_arguments_by_name():
    product = operation(lambda a, b: a * b)
    product.defvjp(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
    a, b = Tensor(np.array([1.0, 2.0])), Tensor(np.array([3.0, 5.0]))
    assert grad(product(a, b=b).sum(), b).data.tolist() == [1, 2]
    assert grad(product(b=b, a=a).sum(), a).data.tolist() == [3, 5]
