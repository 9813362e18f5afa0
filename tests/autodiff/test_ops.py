"""Every operation: its values against NumPy, its rule against central differences to the third
order."""

import re
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

import ldf_np as ldf
from ldf_np.autodiff import norm, ops, products
from ldf_np.autodiff.engine import Tensor, grad, operation
from ldf_np.nn import losses
from ldf_np.runtime.distributed import World, within


def values(*shape, seed=0):
    """Numbers that differ by at least 0.07 and keep away from 0 and from +-1, where rules have
    kinks."""
    size = int(np.prod(shape))
    grid = (np.arange(size) - (size - 1) / 2) * 0.14 + 0.035
    return np.random.default_rng(seed).permutation(grid).reshape(shape)


def positive(*shape, seed=0):
    return np.abs(values(*shape, seed=seed)) + 0.5


def windows(x, size, stride, padding, fill):
    """The windows of images by plain slices: (n, i, j, u, v, c). Numbers, or pairs of rows and
    columns."""
    (u, v), (s, t), (p, q) = (np.broadcast_to(pair, 2) for pair in (size, stride, padding))
    x = np.pad(x, ((0, 0), (p, p), (q, q), (0, 0)), constant_values=fill)
    rows, columns = range(0, x.shape[1] - u + 1, s), range(0, x.shape[2] - v + 1, t)
    return np.stack([np.stack([x[:, i:i + u, j:j + v] for j in columns], 1) for i in rows], 1)


def normalized(x, axis):
    return np.exp(x) / np.exp(x).sum(axis, keepdims=True)


MASK = np.array([[True, False, True], [False, True, True]])
ROWS = np.array([2, 0, 2, -1])
COLUMNS = np.array([1, 1, 0, 1])

# One line a case: operation, what is checked, NumPy's own way to say it, arguments.
CASES = [
    ("abs", ops.abs, np.abs, [values(2, 3)]),
    ("abs", abs, np.abs, [values(2, 3)]),
    ("add", ops.add, np.add, [values(2, 3), values(3)]),
    ("add", lambda a, b: a + b + 1, lambda a, b: a + b + 1, [values(2, 1), values(1, 3)]),
    ("add", lambda a: 2.0 + a, lambda a: 2 + a, [values(3)]),
    ("astype", lambda x: ops.astype(x, dtype=np.float64), np.copy, [values(2, 3)]),
    ("avg_pool2d", lambda x: ops.avg_pool2d(x, 2), lambda x: windows(x, 2, 2, 0, 0).mean((3, 4)),
     [values(2, 5, 4, 3)]),
    ("avg_pool2d", lambda x: ops.avg_pool2d(x, 3, 1, 1),
     lambda x: windows(x, 3, 1, 1, 0).mean((3, 4)), [values(1, 4, 5, 2)]),
    ("avg_pool2d", lambda x: ops.avg_pool2d(x, (3, 2), (1, 3), (1, 0)),
     lambda x: windows(x, (3, 2), (1, 3), (1, 0), 0).mean((3, 4)), [values(2, 4, 5, 2)]),
    ("broadcast_to", lambda x: ops.broadcast_to(x, shape=(4, 2, 3)),
     lambda x: np.broadcast_to(x, (4, 2, 3)), [values(2, 1)]),
    ("clip", lambda x: ops.clip(x, -0.2, 0.3), lambda x: np.clip(x, -0.2, 0.3), [values(2, 3)]),
    ("clip", lambda x: ops.clip(x, low=0.0, high=1.0), lambda x: np.clip(x, 0, 1), [values(2, 3)]),
    ("clip", ops.clip, np.clip,
     [values(2, 3), np.array([-0.25, -0.1, -0.05]), np.array([[0.2], [0.3]])]),
    ("concatenate", lambda a, b: ops.concatenate([a, b], axis=-1),
     lambda a, b: np.concatenate([a, b], -1), [values(2, 3), values(2, 1)]),
    ("concatenate", lambda a, b: ops.concatenate([a, b, a]), lambda a, b: np.concatenate([a, b, a]),
     [values(2, 2), values(1, 2)]),
    ("cos", ops.cos, np.cos, [values(2, 3)]),
    ("divide", ops.divide, np.divide, [values(2, 3), positive(3)]),
    ("divide", lambda a: 2 / a, lambda a: 2 / a, [positive(3)]),
    *[("einsum", lambda *xs, text=text: ops.einsum(text, *xs),
       lambda *xs, text=text: np.einsum(text, *xs),
       [values(*shape, seed=k) for k, shape in enumerate(shapes)])
      for text, *shapes in [
          ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ba", (2, 3)),
          ("ii", (3, 3)), ("ii->i", (3, 3)), ("iji->j", (3, 2, 3)), ("iii->i", (2, 2, 2)),
          ("i,i", (3,), (3,)), ("i,j->ji", (2,), (3,)), ("ij->", (2, 3)), ("ij,j->", (2, 3), (3,)),
          ("bik,bkj->bij", (2, 3, 2), (2, 2, 3)), ("ij,jk,kl->il", (2, 3), (3, 2), (2, 2)),
          ("...ij,...jk->...ik", (2, 2, 3), (3, 2)), ("i...,i...", (2, 3), (2, 3)),
          ("i...->...", (2, 3)), ("...", (2, 3)), ("...i, i -> ...", (1, 2, 3), (3,)),
          ("a...,b...->ab...", (2, 1, 3), (2, 2, 3)), ("ab,ab,c->", (2, 2), (2, 2), (3,)),
          (",i->i", (), (3,))]],
    ("exp", ops.exp, np.exp, [values(2, 3)]),
    ("expm1", ops.expm1, np.expm1, [values(2, 3)]),
    ("getitem", lambda x: x[1], lambda x: x[1], [values(3, 4)]),
    ("getitem", lambda x: x[-1, ::-2], lambda x: x[-1, ::-2], [values(3, 4)]),
    ("getitem", lambda x: x[..., None, 1:3], lambda x: x[..., None, 1:3], [values(3, 4)]),
    ("getitem", lambda x: x[:0], lambda x: x[:0], [values(3, 4)]),
    ("getitem", lambda x: x[MASK], lambda x: x[MASK], [values(2, 3)]),
    ("getitem", lambda x: x[ROWS], lambda x: x[ROWS], [values(3, 4)]),
    ("getitem", lambda x: x[[0, 0, 1]], lambda x: x[[0, 0, 1]], [values(3, 4)]),
    ("getitem", lambda x: x[ROWS, COLUMNS], lambda x: x[ROWS, COLUMNS], [values(3, 2)]),
    ("getitem", lambda x: x[1:, ROWS], lambda x: x[1:, ROWS], [values(2, 3)]),
    ("leaky_relu", lambda x: ops.leaky_relu(x, slope=0.2), lambda x: np.where(x > 0, x, 0.2 * x),
     [values(2, 3)]),
    ("leaky_relu", lambda x: ops.leaky_relu(x, slope=0.0), lambda x: np.maximum(x, 0),
     [values(2, 3)]),
    ("leaky_relu", ops.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x), [values(2, 3)]),
    ("log", ops.log, np.log, [positive(2, 3)]),
    ("log1p", ops.log1p, np.log1p, [positive(2, 3)]),
    ("log_softmax", ops.log_softmax, lambda x: np.log(normalized(x, -1)), [values(2, 3)]),
    ("log_softmax", lambda x: ops.log_softmax(x, axis=(0, 2)),
     lambda x: np.log(normalized(x, (0, 2))), [values(2, 3, 2)]),
    ("logsumexp", ops.logsumexp, lambda x: np.log(np.exp(x).sum()), [values(2, 3)]),
    ("logsumexp", lambda x: ops.logsumexp(x, axis=(0, -1), keepdims=True),
     lambda x: np.log(np.exp(x).sum((0, -1), keepdims=True)), [values(2, 3, 2)]),
    ("logsumexp", lambda x: ops.logsumexp(x, -2), lambda x: np.log(np.exp(x).sum(-2)),
     [values(2, 3)]),
    ("matmul", ops.matmul, np.matmul, [values(2, 3), values(3, 4)]),
    ("matmul", lambda a, b: a @ b, np.matmul, [values(5, 2, 3), values(5, 3, 2)]),
    ("matmul", ops.matmul, np.matmul, [values(2, 1, 2, 3), values(4, 3, 2)]),
    ("matmul", ops.matmul, np.matmul, [values(3), values(3)]),
    ("matmul", ops.matmul, np.matmul, [values(3), values(2, 3, 4)]),
    ("matmul", ops.matmul, np.matmul, [values(2, 4, 3), values(3)]),
    ("matmul", products._times_transposed, lambda g, b: g @ b.swapaxes(-1, -2),
     [values(2, 1, 2, 3), values(4, 5, 3)]),
    ("matmul", products._transposed_times, lambda a, g: a.swapaxes(-1, -2) @ g,
     [values(2, 1, 3, 2), values(4, 3, 5)]),
    ("max", ops.max, np.max, [values(2, 3)]),
    ("max", lambda x: x.max(axis=(0, 2)), lambda x: x.max(axis=(0, 2)), [values(2, 3, 2)]),
    ("max", lambda x: ops.max(x, axis=-1, keepdims=True), lambda x: x.max(-1, keepdims=True),
     [values(2, 3)]),
    ("max_pool2d", lambda x: ops.max_pool2d(x, 2), lambda x: windows(x, 2, 2, 0, 0).max((3, 4)),
     [values(2, 5, 4, 3)]),
    ("max_pool2d", lambda x: ops.max_pool2d(x, (3, 3), stride=2, padding=1),
     lambda x: windows(x, 3, 2, 1, -9).max((3, 4)), [values(1, 5, 5, 2)]),
    ("maximum", ops.maximum, np.maximum, [values(2, 3), values(3, seed=1) + 0.02]),
    ("maximum", lambda x: ops.maximum(x, 0), lambda x: np.maximum(x, 0), [values(2, 3)]),
    ("maxout", ops.maxout, lambda x: np.maximum(x[..., ::2], x[..., 1::2]), [values(3, 4)]),
    ("maxout", lambda x: ops.maxout(x, 3), lambda x: x.reshape(2, 2, 3).max(-1), [values(2, 6)]),
    ("mean", ops.mean, np.mean, [values(2, 3)]),
    ("mean", lambda x: x.mean(axis=(0, -1), keepdims=True),
     lambda x: x.mean((0, -1), keepdims=True), [values(2, 3, 2)]),
    ("min", ops.min, np.min, [values(2, 3)]),
    ("min", lambda x: x.min(axis=1), lambda x: x.min(1), [values(2, 3)]),
    ("minimum", ops.minimum, np.minimum, [values(2, 3), values(2, 1, seed=1) + 0.02]),
    ("multiply", ops.multiply, np.multiply, [values(2, 3), values(2, 1)]),
    ("multiply", lambda a: 3 * a * a, lambda a: 3 * a * a, [values(3)]),
    ("negative", lambda x: -x, np.negative, [values(3)]),
    ("negative", ops.negative, np.negative, [values(3)]),
    ("pad", lambda x: ops.pad(x, ((1, 2), (0, 1))), lambda x: np.pad(x, ((1, 2), (0, 1))),
     [values(2, 3)]),
    ("power", ops.power, np.power, [positive(2, 3), values(3)]),
    ("power", lambda x: x ** 3, lambda x: x ** 3, [values(2, 3)]),
    ("power", lambda x: x ** -0.5, lambda x: x ** -0.5, [positive(2, 3)]),
    ("power", lambda x: 2.5 ** x, lambda x: 2.5 ** x, [values(2, 3)]),
    ("relu", ops.relu, lambda x: np.maximum(x, 0), [values(2, 3)]),
    ("reshape", lambda x: ops.reshape(x, (3, -1)), lambda x: x.reshape(3, -1), [values(2, 3)]),
    ("reshape", lambda x: x.reshape(-1), np.ravel, [values(2, 3)]),
    ("reshape", lambda x: x.reshape(1, 3, 2), lambda x: x.reshape(1, 3, 2), [values(2, 3)]),
    ("sigmoid", ops.sigmoid, lambda x: 1 / (1 + np.exp(-x)), [values(2, 3)]),
    ("sin", ops.sin, np.sin, [values(2, 3)]),
    ("softmax", ops.softmax, lambda x: normalized(x, -1), [values(2, 3)]),
    ("softmax", lambda x: ops.softmax(x, axis=0), lambda x: normalized(x, 0), [values(2, 3)]),
    ("softmax", lambda x: ops.softmax(x, None), lambda x: normalized(x, None), [values(2, 3)]),
    ("softplus", ops.softplus, lambda x: np.log(1 + np.exp(x)), [values(2, 3)]),
    ("split", lambda x: ops.concatenate(ops.split(x, 2, axis=1)[::-1]),
     lambda x: np.concatenate(np.split(x, 2, 1)[::-1]), [values(2, 4)]),
    ("split", lambda x: ops.split(x, [1, 3])[1], lambda x: np.split(x, [1, 3])[1], [values(4, 2)]),
    ("sqrt", ops.sqrt, np.sqrt, [positive(2, 3)]),
    ("square", ops.square, np.square, [values(2, 3)]),
    ("stack", lambda a, b: ops.stack([a, b]), lambda a, b: np.stack([a, b]),
     [values(2, 3), values(2, 3, seed=1)]),
    ("stack", lambda a, b: ops.stack([a, b], axis=-1), lambda a, b: np.stack([a, b], -1),
     [values(2, 3), values(2, 3, seed=1)]),
    ("stack", lambda a: ops.stack([a], axis=-1), lambda a: a[..., None], [values(2, 3)]),
    ("stack", lambda a: ops.stack([a, a], axis=1), lambda a: np.stack([a, a], 1), [values(2, 3)]),
    ("std", ops.std, np.std, [values(2, 3)]),
    ("std", lambda x: x.std(axis=-1, ddof=1, keepdims=True),
     lambda x: x.std(-1, ddof=1, keepdims=True), [values(2, 3)]),
    ("subtract", ops.subtract, np.subtract, [values(2, 3), values(3)]),
    ("subtract", lambda x: 1 - x, lambda x: 1 - x, [values(3)]),
    ("sum", ops.sum, np.sum, [values(2, 3)]),
    ("sum", lambda x: x.sum(axis=1), lambda x: x.sum(1), [values(2, 3, 2)]),
    ("sum", lambda x: ops.sum(x, axis=(0, -1), keepdims=True),
     lambda x: x.sum((0, -1), keepdims=True), [values(2, 3, 2)]),
    ("sum_to", lambda x: ops.sum_to(x, shape=(3, 1)), lambda x: x.sum((0, 2)).reshape(3, 1),
     [values(2, 3, 2)]),
    ("sum_to", lambda x: ops.sum_to(x, shape=(2,)), lambda x: x.sum((0, 1)), [values(2, 3, 2)]),
    ("swapaxes", lambda x: ops.swapaxes(x, 0, -1), lambda x: np.swapaxes(x, 0, -1),
     [values(2, 3, 2)]),
    ("linear", ops.linear, lambda x, w, b: x @ w + b,
     [values(4, 3), values(3, 2, seed=1), values(2, seed=2)]),
    ("linear", lambda x, w, b: ops.linear(x, w, b, 0.1),
     lambda x, w, b: np.where(x @ w + b > 0, 1, 0.1) * (x @ w + b),
     [values(4, 3), values(3, 2, seed=1), values(2, seed=2)]),
    ("linear", ops.linear, lambda x, w: x @ w, [values(4, 3), values(3, 2, seed=1)]),
    ("scale_shift", ops.scale_shift, lambda x, a, b: x * a + b,
     [values(2, 4, 3), values(3, seed=1), values(3, seed=2)]),
    ("scale_shift", lambda x, a, b: ops.scale_shift(x, a, b, 0.1),
     lambda x, a, b: np.where(x * a + b > 0, 1, 0.1) * (x * a + b),
     [values(2, 4, 3), values(3, seed=1), values(3, seed=2)]),
    ("softplus_mean", losses.softplus_mean, lambda x: np.mean(np.log1p(np.exp(x))), [values(5, 1)]),
    ("softplus_mean", lambda x: losses.softplus_mean(x, -1.0),
     lambda x: np.mean(np.log1p(np.exp(-x))), [values(5, 1)]),
    ("tanh", ops.tanh, np.tanh, [values(2, 3)]),
    ("transpose", ops.transpose, np.transpose, [values(2, 3)]),
    ("transpose", lambda x: x.transpose(2, 0, 1), lambda x: x.transpose(2, 0, 1),
     [values(2, 3, 2)]),
    ("transpose", lambda x: x.transpose((-1, 0, 1)), lambda x: x.transpose(2, 0, 1),
     [values(2, 3, 2)]),
    ("transpose", lambda x: x.T, np.transpose, [values(2, 3)]),
    ("var", ops.var, np.var, [values(2, 3)]),
    ("var", lambda x: x.var(axis=(0, -1)), lambda x: x.var((0, -1)), [values(2, 3, 2)]),
    ("var", lambda x: ops.var(x, 1, ddof=1, keepdims=True),
     lambda x: x.var(1, ddof=1, keepdims=True), [values(2, 3)]),
    ("where", lambda a, b: ops.where(MASK, a, b), lambda a, b: np.where(MASK, a, b),
     [values(2, 3), values(3)]),
    ("where", lambda a: ops.where(MASK, 2.0, a), lambda a: np.where(MASK, 2.0, a), [values(2, 1)]),
]
IDS = [f"{name}-{k}" for k, (name, *_) in enumerate(CASES)]


@pytest.mark.parametrize("name, function, expected, args", CASES, ids=IDS)
def test_values(name, function, expected, args):
    got = function(*(Tensor(a) for a in args)).data
    want = expected(*args)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name, function, expected, args", CASES, ids=IDS)
def test_gradients_to_the_third_order(name, function, expected, args):
    # The factor makes a function that is linear in x differentiable more than once.
    ldf.check_grads(lambda *xs: function(*(ops.sigmoid(x) * x if name in LINEAR else x
                                           for x in xs)), args, order=3)


LINEAR = {"add", "astype", "avg_pool2d", "broadcast_to", "concatenate", "getitem", "mean",
          "negative", "pad", "reshape", "split", "stack", "subtract", "sum", "sum_to", "swapaxes",
          "transpose", "where"}


def test_every_operation_has_its_case():
    # softplus_mean is an operation of nn
    assert {name for name, *_ in CASES} == {*ops.__all__, "softplus_mean"}


def test_the_public_operations_are_these():
    for name in ops.__all__:
        if hasattr(ldf, name):
            assert getattr(ldf, name) is getattr(ops, name)


class Unequal(World):
    """Two ranks, of which the other has twice as much of everything."""

    size = 2

    def sum(self, array, what="other"):
        return 3 * array


def test_the_mean_over_ranks_to_the_third_order():
    x = Tensor(values(3))
    assert norm.mean_over_ranks(x) is x
    with within(Unequal()):
        np.testing.assert_allclose(norm.mean_over_ranks(x).data, 1.5 * x.data, rtol=1e-15)
        ldf.check_grads(lambda x: norm.mean_over_ranks(ops.sigmoid(x) * x), [values(2, 3)], order=3)


# ---------------------------------------------------------------- planted rules that must be found

@operation
def product(x, w):
    return x * w


@operation
def cube(x):
    return x ** 3


def test_a_weight_gradient_that_ignores_its_cotangent():
    """Negative control: the rule's value is right, but its dependence on g is lost. Only order two
    can see that."""
    product.defvjp(lambda g, y, x, w: g * w, lambda g, y, x, w: x * g.detach())
    args = [values(3), values(3, seed=1)]
    ldf.check_grads(product, args, order=1)
    with pytest.raises(AssertionError, match="the cotangent of order 1, order 2"):
        ldf.check_grads(product, args, order=2)


def test_a_weight_gradient_with_the_wrong_sign():
    """Negative control: the message names the argument and the order."""
    product.defvjp(lambda g, y, x, w: g * w, lambda g, y, x, w: -x * g)
    with pytest.raises(AssertionError,
                       match="argument 1, order 1: the rule gives .*, central differences"):
        ldf.check_grads(product, [values(3), values(3, seed=1)])


def test_a_slip_that_only_the_third_order_sees():
    """Negative control: x^3 whose second derivative is a constant to the third."""
    cube.defvjp(lambda g, y, x: g * product(x, x) * 3)
    product.defvjp(lambda g, y, a, b: g * b.detach(), lambda g, y, a, b: g * a.detach())
    ldf.check_grads(cube, [values(3)], order=2)
    with pytest.raises(AssertionError, match="order 3"):
        ldf.check_grads(cube, [values(3)], order=3)


def test_check_grads_refuses_empty_checks():
    with pytest.raises(ValueError, match="order: expected at least 1, got 0"):
        ldf.check_grads(ops.exp, [values(3)], order=0)
    with pytest.raises(TypeError, match="expected a list of at least one"):
        ldf.check_grads(lambda: Tensor(1.0), [])


# ---------------------------------------------------------------------------- ends, kinks and ties

@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softplus_and_sigmoid_far_out(dtype):
    x = Tensor(np.array([-1e4, -80, -30, 0, 30, 80, 1e4], dtype))
    with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
        warnings.simplefilter("error")
        for function in (ops.softplus, ops.sigmoid, ops.tanh):
            y = function(x)
            g = grad(y.sum(), x, create_graph=True)
            gg = grad(g.sum(), x)
            assert all(np.isfinite(t.data).all() and t.dtype == dtype for t in (y, g, gg))
    np.testing.assert_allclose(ops.softplus(x).data, np.logaddexp(0, x.data.astype(np.float64)),
                               rtol=1e-6)
    # the small end is kept
    np.testing.assert_allclose(ops.softplus(x).data[1:3], np.exp(x.data[1:3]), rtol=1e-5)
    np.testing.assert_allclose(ops.sigmoid(x).data[1:3], np.exp(x.data[1:3]), rtol=1e-5)
    np.testing.assert_array_equal(ops.sigmoid(x).data[[0, 3, 6]], [0, 0.5, 1])


@pytest.mark.parametrize("function", [ops.maximum, ops.minimum])
def test_at_a_tie_each_gets_half(function):
    a, b = Tensor(np.array([1.0, 2.0, 3.0])), Tensor(np.array([1.0, 3.0, 2.0]))
    ga, gb = grad(function(a, b).sum(), [a, b])
    larger = [0.5, 0, 1] if function is ops.maximum else [0.5, 1, 0]
    np.testing.assert_array_equal(ga.data, larger)
    np.testing.assert_array_equal(ga.data + gb.data, 1)
    beside_two = [0, 0.5, 1] if function is ops.maximum else [1, 0.5, 0]
    np.testing.assert_array_equal(grad(function(a, 2.0).sum(), a).data, beside_two)


@pytest.mark.parametrize("function", [ops.max, ops.min])
def test_ties_share_equally(function):
    x = Tensor(np.array([[1.0, 1.0, 1.0], [4.0, 2.0, 4.0]]))
    np.testing.assert_allclose(grad(function(x, axis=1).sum(), x).data[0], 1 / 3)
    row = grad(function(x, axis=1).sum(), x).data[1]
    np.testing.assert_array_equal(row, [0.5, 0, 0.5] if function is ops.max else [0, 1, 0])


def test_derivatives_at_the_kinks():
    x = Tensor(np.array([-1.0, 0.0, 1.0]))
    for function, slopes in ((ops.relu, [0, 0, 1]), (ops.abs, [-1, 0, 1]),
                             (ops.leaky_relu, [0.01, 0.01, 1]),
                             (lambda t: ops.leaky_relu(t, slope=0.0), [0, 0, 1]),
                             (lambda t: ops.clip(t, -1, 0.5), [1, 1, 0]),
                             (lambda t: ops.clip(t, -2, 0), [1, 1, 0])):
        g = grad(function(x).sum(), x, create_graph=True)
        np.testing.assert_allclose(g.data, slopes)
        np.testing.assert_array_equal(grad(g.sum(), x, allow_unused=True).data, 0)


@pytest.mark.parametrize("name", ["fmax", "fmin", "vecdot", "matvec", "vecmat", "floor", "ceil",
                                  "trunc", "copysign", "hypot", "logaddexp"])
def test_functions_of_numpy_that_would_lose_the_gradient_are_refused(name):
    """Some have a version for booleans, and are no comparisons."""
    function = getattr(np, name, None)
    if function is None:
        pytest.skip(f"this NumPy has no {name}")
    x = Tensor(np.ones((3, 3)))
    with pytest.raises(TypeError, match=f"numpy.{name}: .* whose gradient would be lost"):
        function(*[x] * function.nin)


def test_integers_beside_a_tensor_are_floats_as_wide_as_it():
    """Beyond 2^24 float32 holds no unit."""
    stamps = np.array([1764567889, 3])
    for dtype, wanted in ((np.float64, 1.0), (np.float32, 0.0)):
        x = Tensor(np.array([1764567890, 4], dtype))
        found = x - stamps
        assert found.dtype == dtype and (found.data[1] == 1) and abs(found.data[0]) <= 64
        if dtype == np.float64:
            assert found.data[0] == wanted
            assert ldf.concatenate([x, stamps]).data[2] == 1764567889
    assert ldf.exp(stamps[1:]).dtype == np.float32      # alone, as in a Tensor


@pytest.mark.parametrize("name, hint", [("exp", "ldf_np.exp(tensor)"), ("clip", "ldf_np.clip"),
                                        ("squeeze", "tensor.reshape(shape)"), ("dot", "tensor @"),
                                        ("argmax", "tensor.numpy()")])
def test_names_that_other_libraries_have_are_pointed_to(name, hint):
    with pytest.raises(AttributeError, match=re.escape(f"no attribute {name!r}: ") + ".*"
                       + re.escape(hint)):
        getattr(Tensor(np.ones(2)), name)


def test_comparisons_are_masks():
    a, b = Tensor(np.array([1.0, 2.0])), Tensor(np.array([2.0, 2.0]))
    for got, want in ((a < b, [1, 0]), (a <= b, [1, 1]), (a > b, [0, 0]), (a >= 2.0, [0, 1])):
        assert got.dtype == bool
        np.testing.assert_array_equal(got, want)


# ---------------------------------------------------------------------------------------- indexing

@given(shape=array_shapes(min_dims=1, max_dims=3, max_side=4), data=st.data())
def test_the_adjoint_of_any_basic_index_puts_the_values_back(shape, data):
    def part(n):
        integers = st.integers(-n, n - 1)
        ends, steps = st.none() | integers, st.sampled_from([None, 1, 2, -1, -2])
        return st.one_of(integers, st.builds(slice, ends, ends, steps))

    index = tuple(data.draw(part(n)) for n in shape[:data.draw(st.integers(0, len(shape)))])
    index = data.draw(st.sampled_from([index, (*index, Ellipsis), (None, *index)]))
    check_put_back(ops.getitem, np.arange(np.prod(shape), dtype=float).reshape(shape), index)


@given(rows=st.lists(st.integers(-3, 2), max_size=6), columns=st.integers(-2, 1))
def test_repeated_integers_add_up(rows, columns):
    x = np.arange(6.0).reshape(3, 2)
    rows = np.array(rows, dtype=int)
    check_put_back(ops.getitem, x, rows)
    check_put_back(ops.getitem, x, (rows, columns))
    check_put_back(ops.getitem, x, (slice(None, None, -1), rows % 2))


def check_put_back(getitem, x, index):
    """The gradient of sum(v * x[index]): every element of x gets all of v that was read from it."""
    tensor = Tensor(x)
    y = getitem(tensor, index=index)
    v = np.arange(1.0, y.size + 1).reshape(y.shape)
    came_from = np.arange(x.size).reshape(x.shape)[index]
    expected = np.bincount(came_from.ravel(), v.ravel(), minlength=x.size).reshape(x.shape)
    np.testing.assert_array_equal(grad(y, tensor, v).data, expected)


@operation
def forgetful(x, index):
    return x[index]


@operation
def put_last(values, index, shape):
    out = np.zeros(shape)
    out[index] = values         # of values for one place, the last one wins
    return out


forgetful.defvjp(lambda g, y, x, index: put_last(g, index=index, shape=x.shape))


def test_an_adjoint_that_forgets_repeats_is_found():
    """Negative control of the check above."""
    x = np.arange(6.0).reshape(3, 2)
    check_put_back(forgetful, x, np.array([2, 0, 1]))
    with pytest.raises(AssertionError):
        check_put_back(forgetful, x, np.array([2, 0, 2]))


# ------------------------------------------------------------------------------------------ errors

@pytest.mark.parametrize("wrong, error, message", [
    (lambda x: ops.maxout(x, 2), ValueError, "expected channels in groups of 2, got shape"),
    (lambda x: ops.split(x, 2, axis=1), ValueError, "axis 1 of length 3: expected sections"),
    (lambda x: ops.mean(x[:0]), ValueError, "mean: x: expected at least one element"),
    (lambda x: ops.mean(x, axis=5), ValueError, "axis: expected -2 to 1, got 5"),
    (lambda x: ops.matmul(x, 2.0), TypeError, r"matmul\(.*, 2.0\): expected Tensors or arrays"),
    (lambda x: ops.pad(x, ((1, 1),)), ValueError, "pair for each of 2 axes"),
    (lambda x: ops.where(x, x, 0.0), TypeError, "expected a boolean array"),
    (lambda x: ops.concatenate([]), ValueError, "at least one"),
    (lambda x: ops.broadcast_to(x, shape=(3, 2)), ValueError, "broadcast_to"),
    (lambda x: ops.clip(x, "low", 1), (TypeError, ValueError), "clip"),
])
def test_wrong_arguments(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong(Tensor(values(2, 3)))


def test_operations_on_plain_arrays_and_scalars():
    """Any argument may be a plain array or number; the result is a Tensor without a history."""
    for y in (ops.exp(values(3)), ops.add(values(3), 1.0), ops.exp(1.0),
              ops.matmul(values(2, 3), values(3, 2)), ops.sum(values(3))):
        assert isinstance(y, Tensor) and y.node is None


def test_std_of_float16_is_computed_in_float32():
    for scale in (1, 300, 6e-5):
        x = (np.array([1, -1, 1, -1]) * scale).astype(np.float16)
        y = ldf.std(Tensor(x))
        assert y.dtype == np.float16 and y.data == x.astype(np.float32).std().astype(np.float16)


def test_einsum_of_no_elements_and_of_lengths_that_differ_in_one_operand():
    x, y = np.ones((1, 3)), np.ones((0, 3))
    np.testing.assert_array_equal(ldf.einsum("ij,ij->ij", Tensor(x), Tensor(y)).data,
                                  np.einsum("ij,ij->ij", x, y))
    for wrong in ((1, 3), (3, 1)):
        with pytest.raises(ValueError, match="einsum: operand 0: expected length"):
            ldf.einsum("ii->i", Tensor(np.ones(wrong)))


def test_split_takes_an_array_as_numpy_does():
    x = values(4, 6)
    for sections in (np.array(3), np.array([1, 4])):
        for part, wanted in zip(ldf.split(Tensor(x), sections, 1), np.split(x, sections, 1),
                                strict=True):
            np.testing.assert_array_equal(part.data, wanted)
