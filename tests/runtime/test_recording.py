"""Recordings: what is played comes to the same bits with other numbers, in memory that is used
again; and what cannot be known of a function is noticed."""

import operator
import threading

import numpy as np
import pytest
from helpers import values

from ldf_np.runtime.playing import Place, lay_out, lives, memories
from ldf_np.runtime.random import Generator
from ldf_np.runtime.recording import Progress, Recorded, Recording, again, plain, recording
from ldf_np.runtime.threads import in_turn, set_num_threads, side_by_side


class Holder:
    def __init__(self, data):
        self.data = data


def recorded(function, x):
    """(recording, play): play(x) is what function(x) makes of another x, by calls alone."""
    held, made = Holder(x.copy()), Recording()
    with made.of([held]):
        result = function(held.data)
        place = {"result": made.place(result)}
    if made.broken:
        return made, None
    run, results = made.player(place)

    def play(x):
        held.data[...] = x
        run()
        return results["result"].copy()

    return made, play


def check(function, *shape):
    """Played with other numbers it is the function, twice over."""
    made, play = recorded(function, values(*shape))
    assert not made.broken
    for seed in (1, 2):
        x = values(*shape, seed=seed)
        np.testing.assert_array_equal(play(x), function(x), strict=True)


def in_place(x):
    y = np.zeros_like(x, shape=(6, 4))
    y[1:3] = x[:2]
    y[2:5] += x[1:]
    y[::2, 0] *= 3
    y[np.array([0, 0, 1])] = x[0]
    np.add.at(y, np.array([1, 1]), x[:2])
    y[5] -= y[1]
    return y


def windows(x):
    rows = np.empty_like(x, shape=(3, 8))
    rows[:, :4], rows[:, 4:] = x[:3], x[1:]
    wide = np.lib.stride_tricks.as_strided(rows, (3, 5, 4), (32, 4, 4), subok=True)
    return wide @ x.T


FUNCTIONS = {
    "arithmetic": lambda x: (2 * x + 1) / (x * x + 1) - x ** 2 + abs(-x),
    "products": lambda x: (x.T @ x)[:2] @ x.T,
    "reductions": lambda x: x.sum(0) + x.mean(1, keepdims=True) + np.mean(x) + x.max() + x.var(0),
    "views": lambda x: x.reshape(2, 2, 4).swapaxes(0, 1)[:, ::-1].transpose(2, 0, 1).copy(),
    "copies": lambda x: x.T.reshape(-1)[3:].astype(np.float64).astype(np.float32, copy=False),
    "elements": lambda x: x[1, 2] * x[np.array([2, 0])] + sum(row[0] for row in x),
    "nothing": lambda x: x[:0].sum(0) + x[2:2].reshape(0, 2, 2).sum((0, 1, 2)) + x[0],
    "functions": lambda x: np.concatenate([np.where(x > 0, x, 0), np.stack([x[0], x[1]])]),
    "einsum": lambda x: np.einsum("ij,ij->i", x, x), "in place": in_place, "windows": windows,
    "constants": lambda x: x * np.ones_like(x) + np.arange(4, dtype=x.dtype)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_played_is_the_function(name):
    check(FUNCTIONS[name], 4, 4)


def test_numbers_that_went_unseen_are_not_the_function():
    """Negative control of the check: numpy.asarray makes a plain array, of which NumPy tells
    nothing."""
    with pytest.raises(AssertionError):
        check(lambda x: np.asarray(x) * 2 + 0 * x, 4, 4)


@pytest.mark.parametrize("why, function", {
    "__bool__": lambda x: x if (x.sum() > 0) else -x, "__float__": lambda x: x * float(x[0, 0]),
    "item": lambda x: x * x.max().item(), "tolist": lambda x: x + np.array(x.tolist()),
    "by itself": lambda x: x.take([1, 0], 0), "returned bool": lambda x: x * np.allclose(x, 0),
    "how many": lambda x: x * x[x > 0].sum(), "returned list": lambda x: np.split(x, 2)[0],
    "into an array": lambda x: np.add(x, 1, out=np.empty((4, 4), x.dtype))}.items())
def test_what_cannot_be_known_breaks_the_recording_and_nothing_else(why, function):
    x = values(4, 4)
    made, _ = recorded(function, x)
    assert why in made.broken
    np.testing.assert_array_equal(plain(function(x.view(Recorded))), function(x))


def test_memory_is_used_again():
    def chain(x):
        for _ in range(20):
            x = np.tanh(x) * 2
        return x

    check(chain, 64, 64)
    made, _ = recorded(chain, values(64, 64))
    _, length = lay_out(lives(made._calls, ()), made._sizes)
    assert len(made._sizes) == 40 and length == 2 * 64 ** 2 * 8


def test_what_is_marked_is_called_again():
    rng, seen = Generator(0), []

    @again
    def schedule(progress):
        return 2.0 * progress

    @again
    def keep(x):
        assert recording() is None and type(x) is np.ndarray
        seen.append(x.copy())

    def function(x):
        y = x * schedule(progress) + rng.standard_normal((4, 4))
        keep(y)
        return y

    progress = Progress(0.25)
    made, play = recorded(function, values(4, 4))
    noise, fresh = Generator(0), values(4, 4, seed=1)
    noise.standard_normal((4, 4))
    progress.now = 0.75
    result = play(fresh)
    np.testing.assert_array_equal(result, fresh * np.array([1.5]) + noise.standard_normal((4, 4)))
    assert rng.state == noise.state and len(seen) == 2 and np.array_equal(seen[1], result)


@pytest.fixture
def two_threads():
    set_num_threads(2)
    yield
    set_num_threads(2)


@pytest.mark.usefixtures("two_threads")
def test_two_branches_share_no_memory():
    def function(x):
        before = x * 2
        one, two = side_by_side(lambda: np.exp(np.tanh(before + 1) * 2) + 1,
                                lambda: np.exp(np.tanh(before - 1) * 3) - 1)
        return one * two + before

    check(function, 96, 96)
    made, _ = recorded(function, values(96, 96))
    fork = next(call for call in made._calls if call[0] is side_by_side)
    before = made._calls[0][2]["out"].memory
    offsets, length = lay_out(lives(made._calls, ()), made._sizes)
    one, two = ({offsets[number] for number in memories(branch) if number != before}
                for branch in fork[1])
    assert not one & two and len(one) >= 2 <= len(two)
    assert length < sum(made._sizes) - 2 * 96 ** 2 * 8


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("n, threads", [(8, 1), (96, 2)])
def test_little_work_is_played_on_one_thread(n, threads):
    seen = set()

    @again
    def look():
        seen.add(threading.get_ident())

    def function(x):
        look()
        return operator.add(*side_by_side(lambda: (look(), np.exp(x) * 2)[1], lambda: (
            look(), np.tanh(x) + 1)[1]))

    _, play = recorded(function, values(n, n))
    seen.clear()
    play(values(n, n))
    assert len(seen) == threads


@pytest.mark.usefixtures("two_threads")
def test_what_the_second_reads_of_the_first_is_played_in_turn():
    def function(x):
        kept = []
        return operator.add(*side_by_side(lambda: kept.append(x * 3) or kept[0] + 1,
                                          lambda: kept[0] * 2))

    x = values(4, 4, seed=1)
    made, play = recorded(function, values(4, 4))
    with in_turn():         # on two threads the second may look before the first has made it
        expected = function(x)
    np.testing.assert_array_equal(play(x), expected, strict=True)
    assert all(call[0] is not side_by_side for call in made._calls)


def test_an_error_leaves_no_recording_behind():
    held = Holder(values(3))
    with pytest.raises(KeyError), Recording().of([held]):
        held.data / {}[1]
    assert recording() is None and type(held.data) is np.ndarray
    assert set(memories(({"a": [Place(7, 0, (), "f", ())]}, 3))) == {7}
