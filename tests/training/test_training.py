"""The training loop: batches that visit every row, budgets that are kept, and ends that lose
nothing."""

import json
import math
import time

import numpy as np
import pytest

import ldf_np as ldf
from ldf_np import nn
from ldf_np.autodiff.engine import Tensor
from ldf_np.models import baselines, nets
from ldf_np.models.base import Model
from ldf_np.training.batches import Batches, apply_batched, as_batch
from ldf_np.training.checkpoint import Checkpoints
from ldf_np.training.loop import History, train


def rows(n, width=1):
    return np.arange(n * width, dtype=np.float32).reshape(n, width)


# ----------------------------------------------------------------------------------------- batches

def check_epochs(batches, n, size, epochs=3):
    """Every row at most once in each epoch; all of them where the size divides their number.
    Returns the orders."""
    orders = []
    for _ in range(epochs):
        order = np.concatenate([batches.indices() for _ in range(n // size)])
        assert len(set(order)) == n // size * size and set(order) <= set(range(n))
        orders.append(tuple(order))
    return orders


@pytest.mark.parametrize("n, size", [(12, 4), (12, 12), (13, 5), (2, 2)])
def test_every_row_once_an_epoch(n, size):
    orders = check_epochs(Batches(rows(n), size, ldf.Generator(0)), n, size)
    assert n < 10 or len(set(orders)) == 3          # in a new order each time


def test_drawing_with_replacement_is_found():
    """Negative control of the check above."""
    batches = Batches(rows(12), 4, ldf.Generator(0))
    batches.indices = lambda: batches.rng.integers(0, 12, 4)
    with pytest.raises(AssertionError):
        check_epochs(batches, 12, 4)


def test_no_row_is_left_out_for_long():
    batches = Batches(rows(10), 4, ldf.Generator(0))
    seen = np.bincount(np.concatenate([batches.indices() for _ in range(400)]), minlength=10)
    assert seen.sum() == 1600 and 130 < seen.min() and seen.max() < 190


def test_a_batch_is_what_its_indices_say():
    data = rows(9, 2)
    a, b = (Batches(data, 3, ldf.Generator(1)) for _ in range(2))
    for _ in range(5):
        # the same seed, the same batches
        np.testing.assert_array_equal(next(a), data[b.indices()])
    images = np.arange(8 * 4, dtype=np.uint8).reshape(8, 2, 2, 1) * 8
    batch = next(Batches(images, 8, ldf.Generator(0)))
    assert batch.dtype == np.float32 and batch.shape == images.shape
    np.testing.assert_allclose(np.sort(batch, axis=None), np.sort(images, axis=None) / 127.5 - 1,
                               atol=1e-6)


def test_uint8_is_taken_as_images():
    np.testing.assert_allclose(as_batch(np.array([[0, 255, 51]], np.uint8)), [[-1, 1, -0.6]],
                               atol=1e-6)
    assert as_batch(np.array([[0.5]])).dtype == np.float32 and as_batch(np.array([[
        0.5]])).item() == 0.5


@pytest.mark.parametrize("data, size, message", [
    (rows(3), 4, "batch_size: expected 2 to 3, got 4"),
    (rows(3), 1, "batch_size: expected 2 to 3"),
    (rows(3).astype(np.float64), 2, "data: expected float32, or uint8 images, got float64"),
    (rows(3).astype(np.int64), 2, "data: expected float32, or uint8 images, got int64"),
])
def test_what_batches_refuse(data, size, message):
    with pytest.raises(ValueError, match=message):
        Batches(data, size, ldf.Generator(0))


def test_apply_batched():
    calls = []

    def double(x):
        calls.append(x.shape)
        y = x * 2
        assert y.node is None           # nothing is recorded
        return y

    got = apply_batched(double, rows(10, 3), size=4)
    np.testing.assert_array_equal(got, rows(10, 3) * 2)
    assert sorted(calls) == [(2, 3), (4, 3), (4, 3)] and isinstance(got, np.ndarray)
    with pytest.raises(ValueError, match="x: expected at least 1"):
        apply_batched(double, rows(0, 3))


# ----------------------------------------------------------------------------------------- budgets

def counter(seconds=0.0, losses=None):
    """A step that takes its time and remembers the shares it was given."""
    shares = []

    def step(share):
        time.sleep(seconds)
        shares.append(share)
        return {"loss": 1.0 / len(shares)} if losses is None else losses(len(shares))

    return step, shares


def test_a_budget_in_steps():
    step, shares = counter()
    history = train(step, steps=4)
    assert shares == [0.0, 0.25, 0.5, 0.75] and history.steps == 4 and not history.interrupted
    assert history.losses == {"loss": [1.0, 1 / 2, 1 / 3, 1 / 4]}
    assert len(history.seconds) == 4 and history.seconds == sorted(history.seconds)


def test_a_budget_in_minutes():
    step, shares = counter(0.01)
    history = train(step, minutes=0.15 / 60)
    assert 0.15 <= history.seconds[-1] < 1.0
    assert history.steps <= 15 and shares[0] == 0 and shares == sorted(shares) and shares[-1] <= 1


def test_the_first_budget_to_run_out_counts():
    assert train(counter()[0], steps=3, minutes=10).steps == 3
    step, shares = counter(0.02)
    assert train(step, steps=10 ** 6, minutes=0.05 / 60).steps < 10
    assert shares[-1] > 0.1             # the share is that of the budget which will end it


def test_the_time_of_the_callback_is_not_counted():
    step, _ = counter(0.005)
    start = time.perf_counter()
    history = train(step, minutes=0.05 / 60, callback=lambda history: time.sleep(0.03))
    assert time.perf_counter() - start > history.steps * 0.03
    assert history.steps >= 4 and history.seconds[
        -1] < time.perf_counter() - start - history.steps * 0.03 + 0.01


def test_the_callback_sees_each_step():
    seen = []
    train(counter()[0], steps=3, callback=lambda history: seen.append(
        (history.steps, history.losses["loss"][-1])))
    assert seen == [(1, 1.0), (2, 1 / 2), (3, 1 / 3)]


@pytest.mark.parametrize("budget, message", [
    ({}, "steps, minutes: expected at least one"),
    ({"steps": 0}, "steps: expected at least 1, got 0"),
    ({"minutes": -1}, "minutes: expected a positive number, got -1"),
    ({"minutes": math.nan}, "minutes: expected a positive number")])
def test_a_missing_or_wrong_budget(budget, message):
    with pytest.raises(ValueError, match=message):
        train(counter()[0], **budget)


# -------------------------------------------------------------------------------------------- ends

@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_training(bad):
    step, shares = counter(losses=lambda t: {"D": 1.0, "GE": bad if t == 3 else 0.5})
    with pytest.raises(FloatingPointError, match=f"ALI: step 3: GE is {bad}"):
        train(step, steps=10, label="ALI")
    assert len(shares) == 3


def test_ctrl_c_keeps_what_was_learned():
    def losses(t):
        if t == 4:
            raise KeyboardInterrupt
        return {"loss": float(t)}

    history = train(counter(losses=losses)[0], steps=10)
    assert history.interrupted and history.steps == 3 and history.losses["loss"] == [1.0, 2.0, 3.0]


def test_ctrl_c_in_the_callback():
    def callback(history):
        if history.steps == 2:
            raise KeyboardInterrupt

    history = train(counter()[0], steps=10, callback=callback)
    assert history.interrupted and history.steps == 2


def test_a_step_that_cannot_be_taken_ends_the_training():
    history = train(lambda share: {"loss": share} if share < 0.5 else None, steps=4)
    assert history.interrupted and history.losses["loss"] == [0.0, 0.25] and history.steps == 2


def test_other_errors_come_through():
    with pytest.raises(ZeroDivisionError):
        train(lambda share: 1 / 0, steps=3)


def test_the_bar_shows_losses(capfd):
    train(counter()[0], steps=3, progress=True, label="codes")
    shown = capfd.readouterr().err
    assert "codes: 100%" in shown and "loss=0.333" in shown
    train(counter()[0], steps=3)
    assert capfd.readouterr().err == ""


def test_a_new_history_is_empty():
    history = History()
    assert history.steps == 0 and history.losses == {} and history.seconds == []
    assert not history.interrupted


def test_a_history_says_what_it_is():
    history = History()
    assert repr(history) == "History(0 steps in 0.0 s; )"
    history.append({"D": 1.0, "G": 2.0}, 0.25)
    assert repr(history) == "History(1 steps in 0.2 s; D, G)"
    history.interrupted = True
    assert "0.2 s, interrupted; D" in repr(history)


def test_a_loss_that_is_not_of_each_step(tmp_path):
    steps = iter(range(100))

    def lazy(progress):
        k = next(steps)
        return {"D": float(k)} | ({"r1": 2.0 * k} if k % 4 == 3 else {})

    history = train(lazy, steps=22, checkpoints=Checkpoints(tmp_path))
    assert history.losses["D"] == list(range(22))
    assert [k for k, value in enumerate(history.losses["r1"]) if value == 2 * k] == [
        3, 7, 11, 15, 19] and len(history.losses["r1"]) == 22
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [record["losses"] for record in records] == [{"D": 4.5, "r1": 10.0},
                                                        {"D": 14.5, "r1": 30.0}]


def test_a_model_of_one_s_own_may_train_on_several_arrays():
    class Beside(Model):
        def __init__(self):
            self.net, self.rng = nn.Linear(3, 1, rng=ldf.Generator(0)), ldf.Generator(1)

        def _batches(self, batch_size, x, y):
            return {"batches": Batches(np.concatenate([x, y], 1), batch_size, self.rng)}

        def _step(self, x, progress):
            return {"loss": self.net(Tensor(x)).mean()}

    x, y = np.ones((8, 2), np.float32), np.ones((8, 1), np.float32)
    assert Beside().fit(x, y, steps=2, batch_size=4).steps == 2
    with pytest.raises(ValueError, match="fit: expected the data, and the rest by name"):
        Beside().fit(x, y, 2)
    with pytest.raises(ValueError, match="fit: expected y beside the data, got none"):
        Beside().fit(x, steps=2)


@pytest.mark.parametrize("wrong, more", [
    ({}, {"batch_size": 8}), ({"steps": 0}, {}), ({"steps": 2, "batch_size": 99}, {}),
    ({"steps": 2, "size": 5}, {})])
def test_a_fit_that_is_refused_changes_nothing(wrong, more):
    x = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)

    def trained(first):
        model = nets.mlp_gan(4, latent_size=3, hidden=8)
        if first:
            training = wrong | more
            size = training.pop("size", 4)
            with pytest.raises(ValueError):
                model.fit(np.ones((40, size), np.float32), **training)
        return model.fit(x, steps=3, batch_size=8).losses["D"]

    assert trained(True) == trained(False)


def test_what_a_refused_fit_would_have_learned_is_not_there():
    refiner = nets.map_denoiser((4, 4, 6), 8, 8)
    with pytest.raises(ValueError, match="float32, or uint8 images, got float64"):
        refiner.fit(np.ones((40, 4, 4, 6)), steps=3)
    with pytest.raises(ValueError, match="steps, minutes"):
        refiner.fit(np.ones((40, 4, 4, 6), np.float32))
    joint = baselines.joint_gan(2, 8, 1, 4, 8, whitened=True)
    with pytest.raises(ValueError, match="steps, minutes"):
        joint.fit(np.random.default_rng(0).random((40, 2, 8, 8, 1), np.float32))
    assert not refiner.ready and not joint.ready


def test_training_in_evaluation_mode_is_told():
    model, x = nets.mlp_gan(4, latent_size=3, hidden=8), np.ones((40, 4), np.float32)
    with pytest.warns(RuntimeWarning, match="GAN.fit: the model is in evaluation mode"):
        model.eval().fit(x, steps=1)
    model.train().fit(x, steps=1)       # control: warnings are errors here
