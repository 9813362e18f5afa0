"""Random input: hypothesis over the public operations, with NumPy as the oracle, and a short run of
fuzz_readers.py."""

import random
import re

import fuzz_readers
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import ldf_np as ldf
from ldf_np.data.recorded import read_npz

pytestmark = pytest.mark.fuzz
TRIES = settings(max_examples=150)

# ---------------------------------------------------------------------------------- the operations

numbers = st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, -3.5, 1e-4, 1e4, np.nan, np.inf, -np.inf])
dtypes = st.sampled_from([np.float16, np.float32, np.float64])
lengths = st.integers(-2, 5)
one_axis = st.integers(-4, 4)
axes = st.one_of(st.none(), one_axis, st.lists(one_axis, min_size=1, max_size=2).map(tuple))


def arrays(least=0, most=3, side=4):
    return hnp.arrays(dtypes, hnp.array_shapes(min_dims=least, max_dims=most, min_side=0,
                                               max_side=side), elements=numbers
                      ) if least else hnp.arrays(dtypes, st.one_of(st.just(()), hnp.array_shapes(
                          min_dims=1, max_dims=most, min_side=0, max_side=side)), elements=numbers)


def verdict(ours, oracle, inputs, index_errors=False):
    """What is wrong, as a text, or None: ours(*Tensors) has to be what oracle(*arrays) is, with a
    gradient of each input's shape; or to be refused, with a message of ours, by a ValueError or
    TypeError."""
    with np.errstate(all="ignore"):
        try:
            expected = oracle(*inputs)
        except (ValueError, TypeError, IndexError, MemoryError, OverflowError, ZeroDivisionError):
            expected = None
        tensors = [ldf.Tensor(a) for a in inputs]
        try:
            found = ours(*tensors)
        except (ValueError, TypeError, IndexError) as error:
            if isinstance(
                error, IndexError) and not isinstance(error, ValueError) and not index_errors:
                return f"IndexError: {error}"
            return None if re.match(r"\w+(\(|: |\[)|axis ",
                                    str(error)) else f"a message not of ours: {error}"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        if expected is None:
            return f"let through what NumPy refuses: {found!r}"
        found, expected = (list(x) if isinstance(x, (list, tuple)) else [x]
                           for x in (found, expected))
        if [y.shape for y in found] != [np.shape(y) for y in expected]:
            return f"shapes {[y.shape for y in found]}, expected {[np.shape(y) for y in expected]}"
        for y, right in zip(found, expected):
            if not np.allclose(y.data, right, rtol=1e-2, atol=1e-2, equal_nan=True):
                return f"{y.data} instead of {right}"
            for x, g in zip(tensors, ldf.grad(y, tensors, np.ones_like(y.data), allow_unused=True)):
                if g.shape != x.shape or g.dtype != x.dtype:
                    return f"a gradient {g.dtype}{g.shape} of an input {x.dtype}{x.shape}"
    return None


UNARY = {
    "square": np.square, "sqrt": np.sqrt, "exp": np.exp, "log": np.log, "tanh": np.tanh, "abs":
    np.abs, "relu": lambda x: np.maximum(x, 0), "leaky_relu": lambda x:
    np.maximum(x, x * x.dtype.type(0.01)), "sigmoid": lambda x:
    np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x))), "softplus": lambda x:
    np.logaddexp(x, x.dtype.type(0)),
}
BINARY = {"maximum": np.maximum, "minimum": np.minimum, "matmul": np.matmul}
OPERATORS = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide}


@pytest.mark.parametrize("name", UNARY)
@TRIES
@given(x=arrays())
def test_functions(name, x):
    assume(name not in ("sigmoid", "softplus") or np.isfinite(x).all() and (abs(x) < 50).all())
    assert verdict(getattr(ldf, name), UNARY[name], [x]) is None


@pytest.mark.parametrize("name", [*BINARY, *OPERATORS])
@TRIES
@given(a=arrays(), b=arrays())
def test_pairs(name, a, b):
    ours = getattr(ldf, name, None) or getattr(ldf.ops, name)
    assert verdict(ours, {**BINARY, **OPERATORS}[name], [a, b]) is None


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min"])
@TRIES
@given(x=arrays(), axis=axes, keepdims=st.booleans())
def test_reductions(name, x, axis, keepdims):
    def oracle(x):
        if name == "mean":
            assume(x.size)
        return getattr(np, name)(x.astype(np.float64), axis=axis, keepdims=keepdims).astype(x.dtype)

    assume(np.isfinite(x).all() and (abs(x) < 100).all())
    assert verdict(lambda x: getattr(ldf, name)(x, axis=axis, keepdims=keepdims), oracle,
                   [x]) is None


@TRIES
@given(x=arrays(), shape=st.lists(lengths, max_size=4).map(tuple))
def test_reshape(x, shape):
    assert verdict(lambda x: ldf.reshape(x, shape), lambda x: x.reshape(shape), [x]) is None


@TRIES
@given(x=arrays(), order=st.one_of(st.none(), st.lists(st.integers(-3, 3), max_size=3).map(tuple)))
def test_transpose(x, order):
    assert verdict(lambda x: ldf.transpose(x, axes=order), lambda x: x.transpose(order),
                   [x]) is None


@pytest.mark.parametrize("name", ["concatenate", "stack"])
@TRIES
@given(parts=st.lists(arrays(most=2, side=3), max_size=3), axis=one_axis)
def test_joining(name, parts, axis):
    assert verdict(lambda *p: getattr(ldf, name)(p, axis=axis),
                   lambda *p: getattr(np, name)(p, axis=axis), parts) is None


@TRIES
@given(x=arrays(), sections=st.one_of(st.integers(-1, 5),
                                      st.lists(st.integers(-3, 6), max_size=3)), axis=one_axis)
def test_split(x, sections, axis):
    assert verdict(lambda x: ldf.split(x, sections, axis), lambda x: np.split(x, sections, axis),
                   [x]) is None


@TRIES
@given(data=st.data(), x=arrays())
def test_getitem(data, x):
    place = st.one_of(st.integers(-5, 5), st.slices(4), st.none(), st.just(Ellipsis),
                      st.lists(st.integers(-4, 4), max_size=3),
                      hnp.arrays(bool, hnp.array_shapes(max_dims=2, min_side=0, max_side=4)))
    index = data.draw(st.one_of(place, st.lists(place, max_size=3).map(tuple)))
    assert verdict(lambda x: x[index], lambda x: x[index], [x], index_errors=True) is None


@TRIES
@given(x=arrays(), widths=st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 3)), max_size=3))
def test_pad(x, widths):
    def oracle(x):
        if len(widths) != x.ndim:
            raise ValueError
        return np.pad(x, widths)

    assert verdict(lambda x: ldf.pad(x, widths), oracle, [x]) is None


@TRIES
@given(x=arrays(), pieces=st.integers(-1, 4))
def test_maxout(x, pieces):
    def oracle(x):
        if pieces < 1 or x.shape[-1] % pieces:
            raise ValueError
        return x.reshape(*x.shape[:-1], x.shape[-1] // pieces, pieces).max(-1)

    assert verdict(lambda x: ldf.maxout(x, pieces), oracle, [x]) is None


# ---------------------------------------------------------------------------- the convolution trio


def windows(x, kernel, stride, padding):
    """(n, i, j, kh, kw, c), all windows of x; ValueError where there are none."""
    if min(stride) < 1 or min(padding) < 0 or min(kernel) < 1:
        raise ValueError
    x = np.pad(x, ((0, 0), *[(p, p) for p in padding], (0, 0)))
    seen = np.lib.stride_tricks.sliding_window_view(
        x, kernel, axis=(1, 2))[:, ::stride[0], ::stride[1]]
    return seen.transpose(0, 1, 2, 4, 5, 3)


def conv_oracle(stride, padding):
    def oracle(x, w):
        if x.shape[3] != w.shape[2]:
            raise ValueError
        return np.einsum("nijuvc,uvco->nijo", windows(x, w.shape[:2], stride, padding), w)
    return oracle


plain = st.sampled_from([0.0, 1.0, -2.0, 0.5])
pairs = st.tuples(st.integers(0, 3), st.integers(1, 3))


def images(side=6, dims=4):
    return hnp.arrays(st.sampled_from([np.float32, np.float64]),
                      hnp.array_shapes(min_dims=dims - (side % 2), max_dims=4, min_side=0,
                                       max_side=side), elements=plain)


@TRIES
@given(x=images(), w=images(4), stride=pairs,
       padding=st.tuples(st.integers(-1, 2), st.integers(0, 2)))
def test_conv2d(x, w, stride, padding):
    assert verdict(lambda x, w: ldf.conv2d(x, w, stride, padding), conv_oracle(stride, padding),
                   [x, w]) is None


@TRIES
@given(data=st.data(), sizes=st.tuples(*[st.integers(1, 4)] * 8), stride=st.integers(1, 3),
       padding=st.integers(0, 1))
def test_the_trio_that_fits(data, sizes, stride, padding):
    """Shapes that mostly fit: the three faces are adjoint to each other."""
    n, h, w, c, o, kh, kw, _ = sizes
    x, k = (np.random.default_rng(0).standard_normal(s)
            for s in ((n, h + 2, w + 2, c), (kh, kw, c, o)))
    try:
        y = conv_oracle((stride,) * 2, (padding,) * 2)(x, k)
    except ValueError:
        return
    g = np.random.default_rng(1).standard_normal(y.shape)
    back = ldf.conv_transpose2d(g, k, stride, padding, x.shape[1:3]).data
    weight = ldf.conv2d_weight(x, g, (kh, kw), stride, padding).data
    assert back.shape == x.shape and weight.shape == k.shape
    np.testing.assert_allclose(np.vdot(back, x), np.vdot(y, g), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(np.vdot(weight, k), np.vdot(y, g), rtol=1e-8, atol=1e-8)


@TRIES
@given(y=images(4), w=images(4), stride=st.integers(-1, 3), padding=st.integers(-1, 2),
       size=st.one_of(st.none(), st.tuples(st.integers(-1, 9), st.integers(-1, 9))))
def test_conv_transpose2d(y, w, stride, padding, size):
    def oracle(y, w):
        if y.shape[3] != w.shape[3] or stride < 1 or padding < 0:
            raise ValueError
        least = [(y.shape[1 + a] - 1) * stride + w.shape[a] - 2 * padding for a in (0, 1)]
        full = size or tuple(least)
        x = np.zeros((len(y), *full, w.shape[2]))
        if conv_oracle((stride,) * 2, (padding,) * 2)(x, w).shape != y.shape:
            raise ValueError
        for k in np.ndindex(x.shape):
            one = np.zeros((1, *x.shape[1:]))
            one[(0, *k[1:])] = 1
            x[k] = np.vdot(conv_oracle((stride,) * 2, (padding,) * 2)(one, w), y[k[0]])
        return x

    assert verdict(lambda y, w: ldf.conv_transpose2d(y, w, stride, padding, size), oracle,
                   [y, w]) is None


# ---------------------------------------------------------------------------------- planted faults

PLANTED = {
    "a wrong shape": lambda x: ldf.reshape(x, (-1,)),
    "an error from the depths": lambda x: {}[x.shape],
    "a message that is not ours": lambda x: np.empty(0).max(),
    "a wrong number": lambda x: ldf.square(x) + 1.0,
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_fault_is_noticed(what):
    x = np.ones((2, 3), np.float32)
    assert verdict(ldf.square, np.square, [x]) is None
    assert verdict(PLANTED[what], np.square, [x]) is not None
    assert verdict(lambda x: x, lambda x: np.reshape(x, 5), [x]) is not None


# ------------------------------------------------------------------------------------- the readers


@pytest.mark.parametrize("name", fuzz_readers.READERS)
def test_the_readers(name, tmp_path):
    """The short form; the long one is python tests/tools/fuzz_readers.py --seconds 600."""
    tried, findings = fuzz_readers.run(name, 5, tmp_path)
    print(f"{name}: {tried} inputs")
    assert tried > 20 and findings == {}


def careless(path):
    """A reader that lets shapes through and knows no damaged files."""
    with np.load(path) as file:
        return (file["arr_0"] * 127).astype(np.uint8)


@pytest.mark.filterwarnings("ignore")
def test_a_careless_reader_is_noticed(tmp_path):
    _, _, good, files, take_apart, put_together = fuzz_readers.READERS["npz"]
    corpus, path, found = files(), tmp_path / "0.npz", {"read_npz": set(), "careless": set()}

    def one(data):
        path.write_bytes(data)
        for read in (read_npz, careless):
            found[read.__name__].add(fuzz_readers.judge(read, good, path))

    def mutate(data, rng):
        return fuzz_readers.mutated(data, rng, corpus, take_apart, put_together)

    # its mutator works in its own loop alone
    kept, fuzz_readers.atheris = fuzz_readers.atheris, None
    try:
        assert fuzz_readers.blind(one, corpus, mutate, inputs=60) == 60
    finally:
        fuzz_readers.atheris = kept
    assert found["read_npz"] == {None}
    assert len(found["careless"]) > 2 and "returned what it does not promise" in found["careless"]


def test_mutation_keeps_checksums():
    """Most of what is mutated inside a container can still be opened."""
    for name, (_, _, _, files, take_apart, put_together) in fuzz_readers.READERS.items():
        for data in files():
            again = put_together(take_apart(data), random.Random(0))
            assert take_apart(again) == take_apart(data), name
