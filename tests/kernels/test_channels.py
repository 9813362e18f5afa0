"""Arithmetic with one number a channel, wherever the channels lie in memory."""

from itertools import permutations

import numpy as np
import pytest
from helpers import values

from ldf_np.kernels import channels
from ldf_np.kernels.channels import per_channel

SHAPES = [(32, 8, 8, 24), (8, 16, 16, 64), (3, 7, 11, 97), (700, 96), (60_000, 3), (12_288, 8),
          (2, 5), (0, 3), (5,), (31, 13, 13, 11)]


def laid_out(shape, order, dtype=np.float32, seed=0):
    """An array of this shape whose axes lie in memory in this order."""
    made = values(*(shape[k] for k in order), seed=seed, dtype=dtype)
    return made.transpose(np.argsort(order))


CASES = [(shape, order) for shape in SHAPES
         for order in list(permutations(range(len(shape))))[::5 if len(shape) == 4 else 1]]


def check(ufunc, x, scale, out=None):
    """It has the bits of the ufunc itself and lies as x does."""
    before, expected = x.copy(), ufunc(x, scale)
    made = per_channel(ufunc, x, scale, out)
    assert made.dtype == expected.dtype if out is None else made is out
    np.testing.assert_array_equal(made, expected)
    size = made.itemsize // x.itemsize
    assert made.strides == tuple(size * stride for stride in x.strides) or made.size < 2
    if out is not x:
        np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("shape, order", CASES, ids=str)
def test_the_same_bits_as_numpy(shape, order):
    x, scale = laid_out(shape, order), values(shape[-1], seed=1, dtype=np.float32)
    for ufunc in (np.add, np.subtract, np.multiply, np.divide):
        check(ufunc, x, scale)
        check(ufunc, x, scale, np.empty_like(x))
        check(ufunc, x.copy("K"), scale.astype(np.float64))
    expected = x * scale
    np.testing.assert_array_equal(per_channel(np.multiply, x, scale, x), expected)      # in place


def test_arrays_that_lie_otherwise_than_expected():
    x = laid_out((32, 8, 8, 24), (1, 2, 3, 0))
    scale = values(24, seed=1, dtype=np.float32)
    for part in (x[:, ::2], x[:, :, 1:], x[::-1], np.broadcast_to(x[:1], x.shape)):
        np.testing.assert_array_equal(per_channel(np.multiply, part, scale), part * scale)
    out = np.empty(x.shape, np.float32)         # lies otherwise than x
    assert per_channel(np.multiply, x, scale, out) is out
    np.testing.assert_array_equal(out, x * scale)


def test_long_rows_are_made_where_they_pay(monkeypatch):
    """How many numbers NumPy is given in a row."""
    def row(x):
        rows = []

        def multiply(x, values, out):
            rows.append(x.shape[-1] if x.ndim == 2 else 0)
            return np.multiply(x, values, out=out)

        per_channel(multiply, x, values(x.shape[-1], dtype=np.float32))
        return rows.pop()

    innermost = (1, 2, 3, 0)
    assert row(laid_out((32, 32, 32, 24), innermost)) == 8 * 24 * 32
    assert row(laid_out((256, 8, 8, 64), innermost)) == 64 * 256
    assert row(laid_out((32, 8, 8, 8), innermost)) == 0         # no eight long rows in it
    assert row(laid_out((8_192, 4, 4, 3), innermost)) == 0      # long as they are


def test_a_number_of_another_channel(monkeypatch):
    """Negative control."""
    x, scale = laid_out((32, 32, 32, 24), (1, 2, 3, 0)), values(24, seed=1, dtype=np.float32)
    right = np.copyto
    monkeypatch.setattr(channels.np, "copyto", lambda out, a: right(out, a[::-1]))
    with pytest.raises(AssertionError):
        check(np.multiply, x, scale)
