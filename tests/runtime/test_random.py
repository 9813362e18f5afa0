"""Noise: one seed, one stream; a state that a text file can hold; independent children; and where
arrays are made."""

import json

import numpy as np
import pytest

import ldf_np as ldf
from ldf_np.runtime import device as backend
from ldf_np.runtime.random import Generator


def draw(rng):
    """Some of everything, in an odd order and number, so that the buffer is in use."""
    return np.concatenate([rng.random(3), rng.standard_normal((1, 5)).ravel(),
                           rng.integers(0, 9, 3), rng.permutation(4), rng.random(1),
                           rng.standard_normal(2, np.float64)])


def test_one_seed_one_stream():
    np.testing.assert_array_equal(draw(Generator(3)), draw(Generator(3)))
    assert not np.array_equal(draw(Generator(3)), draw(Generator(4)))           # negative control
    numpy = np.random.Generator(np.random.Philox(np.random.SeedSequence(3)))
    # NumPy's own Philox
    np.testing.assert_array_equal(Generator(3).random(5), numpy.random(5, dtype=np.float32))


@pytest.mark.parametrize("before", [0, 1, 2, 3, 5])
def test_the_state_goes_through_a_text_file(before):
    rng = Generator(1)
    rng.random(before)
    rng.integers(0, 2 ** 31, before)
    state = json.loads(json.dumps(rng.state))
    want = draw(rng)
    other = Generator(99)
    other.state = state
    np.testing.assert_array_equal(draw(other), want)
    rng.state = state
    np.testing.assert_array_equal(draw(rng), want)


def test_children_have_streams_of_their_own():
    a, b = Generator(1).spawn(2)
    again, _ = Generator(1).spawn(2)
    draws = [r.standard_normal(1000) for r in (a, b, Generator(1))]
    np.testing.assert_array_equal(again.standard_normal(1000), draws[0])
    for k in range(3):
        assert abs(np.corrcoef(draws[k], draws[k - 1])[0, 1]) < 0.15


def test_what_is_drawn():
    rng = Generator(0)
    normal, uniform = rng.standard_normal(40_000), rng.random(40_000)
    assert normal.dtype == uniform.dtype == np.float32
    assert abs(normal.mean()) < 0.02 and abs(normal.std() - 1) < 0.02
    assert uniform.min() >= 0 and uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.01
    assert set(rng.integers(2, 5, 100)) == {2, 3,
                                            4} and sorted(rng.permutation(7)) == list(range(7))
    assert rng.standard_normal((2, 3), np.float64).dtype == np.float64


@pytest.mark.parametrize("seed", [-1, 1.5, True, np.float64(2)])
def test_what_is_no_seed(seed):
    with pytest.raises((TypeError, ValueError), match="seed: expected (at least 0|a whole number)"):
        Generator(seed)


def test_the_device():
    assert ldf.use("cpu") == "cpu" == ldf.device()
    assert backend.xp() is np and backend.asarray([1, 2]).tolist() == [1, 2]
    with pytest.raises(ValueError, match="device: expected one of cpu, cuda, auto, got 'tpu'"):
        ldf.use("tpu")
    assert ldf.device() == "cpu"                    # a wrong name changes nothing
    with pytest.raises(TypeError, match="expected a NumPy or CuPy array, got list"):
        backend.array_module([1.0])
