"""Sums of many numbers on NumPy: float16 is computed in float32 and rounded, long sums of float32
are added in float64. The right values are worked out by hand. And arrays without elements."""

import numpy as np
import pytest

from ldf_np.kernels import conv, elementwise, norm, penalty

HALF, MANY = np.float16, 70_000         # the largest float16 is 65,504; beyond 2,048 it counts by 2


def is_half(result, expected, rtol=1e-3):
    assert result.dtype == HALF
    np.testing.assert_allclose(result.astype(np.float64), expected, rtol=rtol)


# ---------------------------------------------------------------------------------------- long sums

@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray,
                                    lambda x: x[::-1], lambda x: x[:, ::-1]])
@pytest.mark.parametrize("rows", [2_000_000, 65_536, 65_537, 1_000, 513])
def test_a_long_column_of_one_number(rows, layout):
    x = layout(np.full((rows, 2), 0.1, np.float32))
    np.testing.assert_allclose(norm.channel_sum(x), rows * float(np.float32(0.1)), rtol=5e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 0, 1), (1, 2, 0)])
def test_long_sums_on_both_sides_of_the_channels(dtype, order):
    """Integers: every sum is exact. Where both axes are longer than 512, in memory before and after
    the channels, and longer by something that is not a multiple."""
    sizes = 700, 1030, 3
    x = np.arange(np.prod(sizes)).reshape(sizes) % 7 - 3
    there = np.ascontiguousarray(x.astype(dtype).transpose(order)).transpose(np.argsort(order))
    result = norm.channel_sum(there)
    assert result.dtype == dtype and (result == x.sum((0, 1))).all()


@pytest.mark.parametrize("rows", [1, 24, 511, 512])
def test_short_sums_are_products_with_ones_to_the_bit(rows):
    x = np.random.default_rng(0).standard_normal((rows, 5)).astype(np.float32)
    ones = np.ones(rows, np.float32)
    assert (norm.channel_sum(x) == ones @ x).all()
    assert (norm.channel_sum(np.asfortranarray(x)) == np.ascontiguousarray(x.T) @ ones).all()


def test_the_mean_and_variance_of_a_long_column():
    x = np.where(np.arange(2_000_000) % 2, np.float32(1.1), np.float32(0.9))[:, None]
    y, mean, var = norm.normalize(x, 0.0)
    np.testing.assert_allclose([mean[0], var[0]], [1.0, 0.01], rtol=2e-5)
    np.testing.assert_allclose(np.abs(y), 1, rtol=2e-5)


# ----------------------------------------------------------------------------------- half precision

@pytest.mark.parametrize("byte_order", "=<>")
def test_sums_of_channels(byte_order):
    x = np.ones((5_000, 3), HALF).astype(byte_order + "f2")
    is_half(norm.channel_sum(x), 5_000, rtol=0)
    is_half(norm.channel_sum(np.asfortranarray(x)), 5_000, rtol=0)
    is_half(norm.channel_sum(np.where(np.arange(MANY * 2) % 2, HALF(-1), HALF(1))[:, None]), 0)


def test_normalisation_of_many_rows_and_of_large_numbers():
    """Half of the rows are 300 and half of them 100: mean 200, variance 10^4; of 500 and -500 the
    variance, 250,000, is no float16."""
    x = np.where(np.arange(MANY) % 2, HALF(300), HALF(100))[:, None]
    y, mean, var = norm.normalize(x, 1e-5)
    is_half(y, np.where(np.arange(MANY) % 2, 1, -1)[:, None])
    assert mean.dtype == var.dtype == np.float32
    np.testing.assert_allclose([mean[0], var[0]], [200, 1e4], rtol=1e-6)
    y, _, var = norm.normalize(np.where(x > 200, HALF(500), HALF(-500)), 1e-5)
    np.testing.assert_allclose(var, 250_000, rtol=1e-6)
    is_half(np.abs(y), 1)


def test_the_derivatives_of_normalisation():
    """y is 1 and -1 by turns and g is 3 where y is 1, else 1: <g> = 2, <g y> = 1, so that g - <g> -
    y <g y> = 0 everywhere. With g = 3 in every other row of y = 1, else 1, <g> = 1.5, <g y> = 0.5:
    1, -1 in those rows and 0 in the others."""
    k = np.arange(MANY)
    y, r = np.where(k % 2, HALF(-1), HALF(1))[:, None], np.ones(1, HALF)
    is_half(norm.normalize_vjp(2 + y, y, r), np.zeros((MANY, 1)))
    g = np.where(k % 4, HALF(1), HALF(3))[:, None]
    is_half(norm.normalize_vjp(g, y, r), np.array([1, 0, -1, 0])[k % 4][:, None], rtol=2e-3)
    # h = g: -[2 (g - <g>) <g y> + y (<g g> - <g>^2 - 3 <g y>^2)], <g g> = 3
    expected = -((g.astype(float) - 1.5) + y * (3 - 2.25 - 0.75))
    is_half(norm.normalize_vjp_x(g, g, y, r), expected, rtol=2e-3)


def test_the_softplus_loss():
    logits = np.zeros((MANY, 1), HALF)
    is_half(elementwise.softplus_mean(logits, 1), np.log(2))
    is_half(elementwise.softplus_mean_vjp(HALF(4096)[()].reshape(()), logits, -1.0),
            -4096 / 2 / MANY)
    # softplus(-8) = log(1 + e^-8), whose 1 + e^-8 float16 does not know
    is_half(elementwise.softplus_mean(logits + HALF(8), -1), np.log1p(np.exp(-8)))


def test_the_penaltys_sums():
    """A row of 131,072 ones: its sum of squares is no float16, but a quarter of it is."""
    g = np.ones((2, 4, 2 ** 15), HALF)
    logits, signs = np.zeros(2, HALF), np.array([1, -1], HALF)
    is_half(penalty.row_dots(g, g, logits, signs), [2 ** 15, 2 ** 15], rtol=0)
    is_half(penalty.row_dots(g[:, 0, :5_000], g[:, 1, :5_000]), [5_000, 5_000], rtol=0)
    before = np.array([2, 4], HALF)
    is_half(penalty.row_dots(g[..., :512], g[..., :512], None, None, before), [2050, 2052], rtol=0)


def test_the_gradient_of_a_kernel_over_many_places():
    """5,000 places of 1 times 1; and 65,536 places of 4 times 1/4 by turns 1 and -1."""
    x = np.ones((1, 50, 100, 1), HALF)
    is_half(conv.conv2d_weight(x, x, 1), np.full((1, 1, 1, 1), 5_000), rtol=0)
    x = np.where(np.arange(2 ** 18) % 512 < 256, HALF(1), HALF(-1)).reshape(1, 512, 512, 1)
    is_half(conv.conv2d_weight(x, np.ones_like(x), 1), np.zeros((1, 1, 1, 1)))


def test_half_beside_another_dtype():
    x, w = np.ones((2, 4, 4, 3), HALF), np.full((3, 3, 3, 2), 0.1)
    result = conv.conv2d(x, w)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, 2.7, rtol=1e-14)
    assert penalty.row_dots(x, x.astype(np.float32)).dtype == np.float32


# -------------------------------------------------------------------------- arrays without elements

@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 4, 0), (2, 0, 5)])
def test_no_rows_or_no_channels(shape):
    x = np.zeros(shape, np.float32)
    channels = np.zeros(shape[-1:], np.float32)
    assert norm.channel_sum(x).dtype == np.float32
    np.testing.assert_array_equal(norm.channel_sum(x), channels)
    y, mean, var = norm.normalize(x, 1e-5)
    assert y.shape == shape
    np.testing.assert_array_equal([mean, var], [channels, channels])
    assert norm.normalize_vjp(x, y, channels).shape == shape
    assert norm.normalize_vjp_x(x, x, y, channels).shape == shape


@pytest.mark.parametrize("n, size, c, o", [
    (8, (0, 6), 8, 3), (8, (6, 0), 8, 3), (8, (0, 0), 8, 3), (9, (6, 6), 8, 0), (8, (6, 6), 0, 3),
    (0, (6, 6), 8, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_convolutions_of_nothing(n, size, c, o, dtype):
    """Both lowerings; where there are outputs, they see only padding."""
    x, w = np.ones((n, *size, c), dtype), np.ones((3, 3, c, o), dtype)
    y = conv.conv2d(x, w, 1, 2)
    assert y.shape == (n, size[0] + 2, size[1] + 2, o) and not y.any()
    assert conv.conv_transpose2d(y + 1, w, 1, 2, size).shape == x.shape
    kernel = conv.conv2d_weight(x, y + 1, 3, 1, 2)
    assert kernel.shape == w.shape and not kernel.any()


def test_control_what_is_added_in_float16_is_noticed():
    ones = np.ones(3_000, HALF)
    assert norm.channel_sum(ones[:, None]) == 3_000
    with pytest.raises(AssertionError):         # one after the other ends at 2,048
        is_half(np.add.accumulate(ones, dtype=HALF)[-1], 3_000)
    with pytest.raises(AssertionError):
        is_half(np.float32(1), 1)
