"""The differentiable convolution trio: one trilinear form, whose one rule holds to every order."""

import numpy as np
import pytest
from helpers import values
from hypothesis import given, settings
from hypothesis import strategies as st

import ldf_np as ldf
from ldf_np.autodiff.engine import Tensor, grad, operation
from ldf_np.kernels import conv as kernel
from ldf_np.kernels import lowering
from ldf_np.nn.module import Parameter


def trilinear(x, w, y, stride, padding):
    """T(x, w, y), term by term as the formula has it."""
    (sh, sw), (ph, pw) = stride, padding
    total = 0.0
    for i, j, u, v in np.ndindex(*y.shape[1:3], *w.shape[:2]):
        h, k = i * sh + u - ph, j * sw + v - pw
        if 0 <= h < x.shape[1] and 0 <= k < x.shape[2]:
            total += np.einsum("nc,co,no->", x[:, h, k], w[u, v], y[:, i, j])
    return total


# (h, w), (kh, kw), stride, padding; in the ragged ones the last windows leave rows or columns of x
# unread.
GEOMETRIES = {
    "plain": ((4, 5), (3, 3), 1, 0),
    "padded": ((4, 4), (3, 3), 1, 1),
    "halving": ((4, 6), (4, 4), 2, 1),
    "pointwise": ((3, 2), (1, 1), 1, 0),
    "whole": ((3, 4), (3, 4), 1, 0),
    "ragged": ((6, 5), (3, 2), 2, 0),
    "gaps": ((7, 6), (2, 1), 3, 0),
    "uneven": ((5, 4), (2, 3), (1, 2), (0, 2)),
    "wide padding": ((2, 2), (2, 2), 2, 3),
}


def case(name, n=2, c=2, o=3):
    (h, w), (kh, kw), stride, padding = GEOMETRIES[name]
    x, weight = values(n, h, w, c), values(kh, kw, c, o, seed=1)
    y = ldf.conv2d(Tensor(x), Tensor(weight), stride, padding)
    return x, weight, values(*y.shape, seed=2), stride, padding


def pair(value):
    return (value, value) if isinstance(value, int) else value


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_three_faces_of_one_form(name):
    """<conv2d(x, w), y> = <x, conv_transpose2d(y, w)> = <w, conv2d_weight(x, y)> = T(x, w, y)."""
    x, w, y, stride, padding = case(name)
    total = trilinear(x, w, y, pair(stride), pair(padding))
    np.testing.assert_allclose(np.vdot(ldf.conv2d(Tensor(x), Tensor(w), stride, padding).data, y),
                               total)
    back = ldf.conv_transpose2d(Tensor(y), Tensor(w), stride, padding, output_size=x.shape[1:3])
    assert back.shape == x.shape
    np.testing.assert_allclose(np.vdot(back.data, x), total)
    weight = ldf.conv2d_weight(Tensor(x), Tensor(y), w.shape[:2], stride, padding)
    np.testing.assert_allclose(np.vdot(weight.data, w), total)


@settings(max_examples=30)
@given(size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
       kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
       stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
       padding=st.tuples(st.integers(0, 2), st.integers(0, 2)))
def test_the_gradients_are_the_other_faces(size, kernel, stride, padding):
    if any(k > s + 2 * p for s, k, p in zip(size, kernel, padding, strict=True)):
        return
    x, w = Tensor(values(2, *size, 2)), Tensor(values(*kernel, 2, 3, seed=1))
    y = ldf.conv2d(x, w, stride, padding)
    v = values(*y.shape, seed=2)
    total = trilinear(x.data, w.data, v, stride, padding)
    gx, gw = grad(y, [x, w], v)
    np.testing.assert_allclose(np.vdot(gx.data, x.data), total, atol=1e-10)
    np.testing.assert_allclose(np.vdot(gw.data, w.data), total, atol=1e-10)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_every_rule_to_the_third_order(name):
    x, w, y, stride, padding = case(name, n=1, c=1, o=2)
    size, kernel_size = x.shape[1:3], w.shape[:2]
    ldf.check_grads(lambda x, w: ldf.conv2d(x, w, stride, padding), [x, w], order=3)
    ldf.check_grads(lambda y, w: ldf.conv_transpose2d(y, w, stride, padding, size), [y, w], order=3)
    ldf.check_grads(lambda x, y: ldf.conv2d_weight(x, y, kernel_size, stride, padding), [x, y],
                    order=3)


def test_through_nonlinear_layers_to_the_third_order():
    w1, w2 = values(3, 3, 1, 2) / 2, values(4, 4, 1, 2, seed=1) / 2
    ldf.check_grads(lambda x, w1, w2: ldf.tanh(
        ldf.conv_transpose2d(ldf.tanh(ldf.conv2d(x, w1, 2, 1)), w2, 2, 1)),
                    [values(1, 4, 4, 1, seed=2), w1, w2], order=3)


def test_the_smallest_output_size_is_the_default():
    y, w = Tensor(values(1, 3, 3, 2)), Tensor(values(3, 3, 4, 2))
    assert ldf.conv_transpose2d(y, w, stride=2).shape == (1, 7, 7, 4)
    assert ldf.conv_transpose2d(y, w, stride=2, output_size=(8, 7)).shape == (1, 8, 7, 4)
    for impossible in ((6, 7), (9, 7)):
        with pytest.raises(ValueError,
                           match=r"conv_transpose2d\(float64\[1, 3, 3, 2\], .*output_size"):
            ldf.conv_transpose2d(y, w, stride=2, output_size=impossible)


@pytest.mark.parametrize("x, w, message", [
    ((2, 4, 4), (3, 3, 2, 1), "expected 4 axes"),
    ((2, 4, 4, 3), (3, 3, 2, 1), "3 channels, but w is for 2"),
    ((2, 2, 4, 2), (3, 3, 2, 1), "conv2d"),
])
def test_shapes_that_do_not_fit(x, w, message):
    with pytest.raises(ValueError, match=message):
        ldf.conv2d(Tensor(values(*x)), Tensor(values(*w)))


def test_the_gradients_dtype_is_the_inputs():
    x = Tensor(values(9, 8, 8, 8, dtype=np.float32))
    w = Tensor(values(3, 3, 8, 8, dtype=np.float32))
    y = ldf.conv2d(x, w, padding=1)
    gx, gw = grad(ldf.square(y).sum(), [x, w], create_graph=True)
    second = grad(gx.sum() + gw.sum(), [x, w])
    assert {t.dtype for t in (y, gx, gw, *second)} == {np.dtype(np.float32)}


def test_single_precision_is_close_to_double():
    """The fast float32 products (batch 8 and more, thick enough) through two orders of
    differentiation."""
    def second(dtype):
        x = Tensor(values(16, 8, 8, 8, dtype=dtype))
        w = Tensor(values(4, 4, 8, 8, seed=1, dtype=dtype) / 8)
        y = ldf.leaky_relu(ldf.conv2d(x, w, stride=2, padding=1))
        gx = grad(ldf.square(y).sum(), x, create_graph=True)
        return [y, gx, *grad(ldf.square(gx).sum(), [x, w])]

    for single, double in zip(second(np.float32), second(np.float64), strict=True):
        assert np.abs(single.data - double.data).max() < 1e-3 * np.abs(double.data).max()


@pytest.mark.parametrize("kind", [Tensor, Parameter])
def test_what_changes_in_place_is_read_anew(kind):
    """What a kernel keeps of an array between two calls must not outlive a training step, whoever
    takes it."""
    x, w = kind(values(8, 8, 8, 8, dtype=np.float32)), kind(values(3, 3, 8, 8, dtype=np.float32))
    first = ldf.conv2d(x, w)
    grad(first.sum(), [x, w])
    w.data *= 2
    np.testing.assert_allclose(ldf.conv2d(x, w).data, 2 * first.data, rtol=1e-5, atol=1e-4)
    x.data = x.data * 2
    np.testing.assert_allclose(ldf.conv2d(x, w).data, 4 * first.data, rtol=1e-5, atol=1e-4)


def test_a_lowering_is_kept_where_nothing_changes(monkeypatch):
    """The result of an operation is lowered once for all the faces that read it."""
    lowered = []
    lower = lowering.Windows.lower
    monkeypatch.setattr(lowering.Windows, "lower",
                        lambda *args: lowered.append(args[1]) or lower(*args))
    x, w = Tensor(values(2, 5, 5, 2)) * 1.0, Tensor(values(3, 3, 2, 2))
    grad(ldf.conv2d(x, w).sum(), [x, w])
    assert lowered.count("x") == 1


# ---------------------------------------------------------------- planted rules that must be found

@operation
def planted(x, w):
    return kernel.conv2d(x, w)


@operation
def planted_weight(x, y):
    return kernel.conv2d_weight(x, y, (2, 2))


def back(y, w):
    return ldf.conv_transpose2d(y, w)


planted.defvjp(lambda g, y, x, w: back(g, w), lambda g, y, x, w: planted_weight(x, g))
X, W = values(1, 3, 3, 1), values(2, 2, 1, 2, seed=1)


def test_the_planted_trio_is_right_when_nothing_is_wrong():
    planted_weight.defvjp(lambda g, w, x, y: back(y, g), lambda g, w, x, y: ldf.conv2d(x, g))
    ldf.check_grads(planted, [X, W], order=3)


def test_a_cotangent_left_out_of_the_hole():
    """Negative control: the weight's rule puts the old weight in the hole. Only the second order
    asks for that rule."""
    planted_weight.defvjp(lambda g, w, x, y: back(y, w), lambda g, w, x, y: ldf.conv2d(x, g))
    ldf.check_grads(planted, [X, W], order=1)
    with pytest.raises(AssertionError, match="argument 0, order 2"):
        ldf.check_grads(planted, [X, W], order=2)


def test_a_flipped_kernel():
    """Negative control: convolution for cross-correlation in the adjoint fails at order one."""
    flipped = operation(lambda x, w: kernel.conv2d(x, w))
    flipped.defvjp(lambda g, y, x, w: back(g, w[::-1, ::-1]),
                   lambda g, y, x, w: ldf.conv2d_weight(x, g, (2, 2)))
    with pytest.raises(AssertionError, match="argument 0, order 1"):
        ldf.check_grads(flipped, [X, W], order=1)
