"""Batch normalisation with scale, shift and leaky ReLU as one operation, beside the operations that
it is made of."""

import numpy as np
import pytest
from helpers import values

import ldf_np as ldf
from ldf_np.autodiff import norm, ops
from ldf_np.autodiff.engine import Tensor, grad
from ldf_np.kernels import norm as kernel

EPS = 1e-2
SHAPES = [(6, 3), (3, 2, 2, 4), (5, 2, 1)]


def arguments(shape, dtype=np.float64):
    return [values(*shape, dtype=dtype) * 2 + 1, values(shape[-1], seed=1, dtype=dtype) + 2,
            values(shape[-1], seed=2, dtype=dtype)]


def composed(x, scale, shift, eps, slope):
    y, mean, var = norm.normalize(x, eps)
    return ops.scale_shift(y, scale, shift, slope), mean, var


def gradients(function, slope, shape, order, dtype=np.float64):
    """The result, its statistics, and the gradients of it to this order, those of the cotangents
    included, each along a direction of its own."""
    inputs = [Tensor(a) for a in arguments(shape, dtype)]
    y, *statistics = function(*inputs, EPS, slope)
    found, made = [y.data, *statistics], [y]
    for k in range(order):
        inputs += [Tensor(values(*a.shape, seed=10 * k + j, dtype=dtype))
                   for j, a in enumerate(made)]
        total = sum((a * g).sum() for a, g in zip(made, inputs[-len(made):]))
        made = [g for g in grad(total, inputs, create_graph=True, allow_unused=True)
                if g is not None]
        found += [g.data for g in made]
    return found


@pytest.mark.parametrize("slope", [1.0, 0.1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_what_it_is_made_of(shape, slope):
    one, other = (gradients(f, slope, shape, 2) for f in (norm.batch_norm, composed))
    assert len(one) == len(other)
    for a, b in zip(one, other):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max())


@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
def test_gradients_to_the_third_order(shape):
    ldf.check_grads(lambda *inputs: norm.batch_norm(*inputs, EPS)[0], arguments(shape), order=3)
    ldf.check_grads(lambda *inputs: norm.batch_norm(*inputs, EPS, 0.1)[0], arguments(shape),
                    order=2)


def test_both_rules_ask_once_for_the_sums(monkeypatch):
    """Of one cotangent; that of another is another."""
    asked = []
    monkeypatch.setattr(kernel, "product_sum", lambda g, y, right=kernel.product_sum: (
        asked.append(g), right(g, y))[1])
    x, scale, shift = map(Tensor, arguments((6, 3)))
    y, _, _ = norm.batch_norm(x, scale, shift, EPS)
    cotangents = [Tensor(values(6, 3, seed=k)) for k in (3, 4)]
    found = [grad((y * g).sum(), [x, scale]) for g in cotangents]
    assert len(asked) == 2
    for g, (_, of_scale) in zip(cotangents, found):
        normal, _, _ = norm.normalize(x, EPS)
        np.testing.assert_allclose(of_scale.data, (g.data * normal.data).sum(0), rtol=1e-12)


def test_one_cotangent_of_two_normalisations():
    """What is kept of one is not taken for the other's."""
    _, scale, shift = map(Tensor, arguments((6, 3)))
    inputs = [Tensor(values(6, 3, seed=k)) for k in (5, 6)]
    g = Tensor(values(6, 3, seed=7)) * 1.0      # an operation made it: something is kept of it
    for x in inputs:
        of_scale = grad(norm.batch_norm(x, scale, shift, EPS)[0], scale, g)
        expected = (g.data * norm.normalize(x, EPS)[0].data).sum(0)
        np.testing.assert_allclose(of_scale.data, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_float16_is_summed_in_float32(dtype):
    """Where the sum of products is beyond float16's numbers."""
    x = Tensor(np.tile(np.float16([[-1], [1]]), (3000, 1)))
    ones, zeros = Tensor(np.ones(1, dtype)), Tensor(np.zeros(1, dtype))
    y, _, _ = norm.batch_norm(x, ones, zeros)
    assert y.dtype == dtype
    g = Tensor(x.data.astype(dtype) * dtype(30))
    of_x = grad(y, x, g)
    assert of_x.dtype == np.float16 and np.abs(of_x.data).max() < 0.1
    if dtype == np.float32:
        np.testing.assert_allclose(grad(y, ones, g).data, 180_000, rtol=1e-2)


@pytest.mark.parametrize("scale, shift", [(2, 3), (3, 1), ((1, 3), 3)], ids=str)
def test_refuses_what_is_no_number_a_channel(scale, shift):
    with pytest.raises(ValueError, match="one scale and shift a channel"):
        norm.batch_norm(Tensor(values(6, 3)), np.ones(scale), np.ones(shift))


def test_no_rows():
    x = Tensor(np.zeros((0, 3), np.float32))
    y, _, _ = norm.batch_norm(x, *map(Tensor, arguments((6, 3), np.float32)[1:]))
    assert y.shape == grad(y, x, Tensor(np.zeros((0, 3), np.float32))).shape == (0, 3)


@pytest.mark.parametrize("name", ["product_sum", "normalize_vjp"])
def test_a_kernel_off_by_a_hundredth(monkeypatch, name):
    """Negative control."""
    right = getattr(kernel, name)
    monkeypatch.setattr(kernel, name, lambda *inputs: right(*inputs) * 1.01)
    with pytest.raises(AssertionError):
        ldf.check_grads(lambda *inputs: norm.batch_norm(*inputs, EPS)[0], arguments((6, 3)))
