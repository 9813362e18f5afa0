"""The denoiser: what it learns is known where data are normal, what it makes of noise where they
are a few points; and LDF with one as its refiner."""

import numpy as np
import pytest
from helpers import ctrl_c, weights

import ldf_np as ldf
from ldf_np.autodiff.engine import Tensor
from ldf_np.autodiff.gradcheck import check_grads
from ldf_np.models import nets
from ldf_np.models.base import Model
from ldf_np.models.denoiser import Denoiser
from ldf_np.runtime.random import Generator
from ldf_np.training.best_weights import BestWeights
from ldf_np.training.checkpoint import Checkpoints
from ldf_np.training.loop import History

SHAPE = 2, 2, 2


def small(shape=SHAPE, **settings):
    return nets.map_denoiser(shape, width=12, hidden=16, **settings)


def denoised(model, y, s):
    """D(y; s) by the averaged weights."""
    with model.ema.applied():
        return y - s * model._slope(Tensor(y), s).data


def normal(n, seed=0):
    """Maps whose channels are alike at all places and places hardly differ: their covariance."""
    mixing = np.random.default_rng(9).standard_normal((8, 8)) * 0.2 + np.eye(8) * 0.1 + 0.25
    mixing /= np.sqrt((mixing ** 2).sum() / 8)                      # a mean square of one
    x = np.random.default_rng(seed).standard_normal((n, 8)) @ mixing
    return x.reshape(n, *SHAPE).astype(np.float32), mixing.T @ mixing


def test_of_normal_data_it_learns_the_mean_that_is_known():
    """x ~ N(0, C) and y = x + s n: the mean of x given y is C (C + s^2 I)^-1 y."""
    x, c = normal(4000)
    model = small()
    clean, _ = normal(500, seed=1)
    y = {s: clean + s * np.random.default_rng(2).standard_normal(clean.shape).astype(np.float32)
         for s in (0.3, 1.0, 3.0)}

    def errors():
        known = {s: (y[s].reshape(-1, 8) @ np.linalg.solve(c + s * s * np.eye(8), c)).reshape(
            y[s].shape) for s in y}
        return [np.mean((denoised(model, y[s], s) - known[s]) ** 2) / np.mean(known[s] ** 2)
                for s in y]

    before = errors()
    model.fit(x, steps=600, batch_size=64)
    assert all(now < 0.15 * was for now, was in zip(errors(), before)), (errors(), before)


def test_what_it_refines_comes_to_lie_where_data_are():
    """Of data that are four maps, what lies off them is brought back, the nearer the less noise;
    untrained it brings nothing."""
    rng = np.random.default_rng(0)
    points = np.sign(rng.standard_normal((4, 8))).reshape(4, *SHAPE).astype(np.float32)
    of = rng.integers(4, size=2000)
    off = points[of[:400]] + rng.uniform(-0.5, 0.5, (400, *SHAPE)).astype(np.float32)

    def distance(x):
        """To the nearest point; and how many are still nearest to their own."""
        each = np.abs(x[:, None] - points).mean(axis=(2, 3, 4))
        return each.min(axis=1).mean(), (each.argmin(axis=1) == of[:400]).mean()

    model = small(noise=0.5, steps=6, lr=4e-3)
    untrained = distance(model.refine(off, Generator(1)))[0]
    model.fit(points[of], steps=800, batch_size=64)
    now, own = distance(model.refine(off, Generator(1)))
    assert now < 0.08 and own > 0.99 and distance(off)[0] > 0.2 and untrained > 0.2, (now, own)
    model.noise = 30.0                      # which leaves nothing of what it was
    assert distance(model.refine(off, Generator(1)))[1] < 0.6


def test_refining_is_drawn_by_the_generator_given_and_else_by_its_own():
    x = normal(30)[0]
    model = small()
    one, other = (model.refine(x, Generator(seed)) for seed in (1, 2))
    np.testing.assert_array_equal(model.refine(x, Generator(1)), one)
    assert one.shape == x.shape and one.dtype == np.float32 and np.abs(one - other).max() > 0.01
    assert np.abs(model.refine(x) - model.refine(x)).max() > 0.01


@pytest.mark.parametrize("shape", [(4, 4, 3), (3, 5, 2), (1, 1, 6)])
def test_maps_of_any_size(shape):
    """Half the size in between where both sides divide by two; kernels of one place where there is
    but one."""
    model = small(shape)
    assert model.network.down.weight.shape[:2] == {
        (4, 4, 3): (4, 4), (3, 5, 2): (3, 3), (1, 1, 6): (1, 1)}[shape]
    x = np.random.default_rng(0).standard_normal((9, *shape)).astype(np.float32)
    model.fit(x, steps=3, batch_size=4)
    assert model.refine(x).shape == x.shape and model.ready


def test_the_gradients_of_its_loss():
    """Of order two, over the maps and the level of noise."""
    network = small((2, 2, 1)).network
    rng = np.random.default_rng(0)
    for p in network.parameters():
        p.data = rng.standard_normal(p.shape) * 0.3
    x, level = rng.standard_normal((2, 2, 2, 1)), rng.standard_normal((2, 1))
    check_grads(network, [x, level], order=2)
    features = network.embed                # negative control: the level counts
    network.embed = lambda waves: features(waves * 0.0)
    assert np.abs(network(Tensor(x), Tensor(level)).data
                  - network(Tensor(x), Tensor(level + 1)).data).max() == 0


# ------------------------------------------------------------------------------------ in an LDF


def hierarchy(refiner="local", passes=0, seed=0):
    x = np.random.default_rng(0).integers(0, 256, (40, 2, 32, 32, 3), dtype=np.uint8)
    made = refiner and (lambda shape, seed: nets.map_denoiser(shape, 8, 8, seed=seed))
    return nets.clip_ldf(x, frames=2, seed=seed, passes=passes, refiner=made, latent_size=8,
                         top=lambda shape, seed: nets.local_gan(shape, 8, 8, 8, seed=seed)), x


@pytest.mark.parametrize("schedule", ["bottom-first", "together"])
def test_a_refiner_is_trained_after_the_top_and_changes_no_other_part(schedule):
    model, x = hierarchy()
    plain, _ = hierarchy(None)
    budget = {"schedule": schedule, "batch_size": 8}
    found = model.fit(x, steps=16, bottom_share=0.5, refiner_share=0.25, **budget)
    plain.fit(x, steps=12 if schedule == "bottom-first" else 16, bottom_share=2 / 3, **budget)
    if schedule == "bottom-first":
        assert {name: h.steps for name, h in found.items()} == {"level 0": 8, "top": 4,
                                                                "refiner": 4}
    assert model.refiner.ready
    for one, other in ((model.models[0], plain.models[0]), (model.top.generator,
                                                            plain.top.generator)):
        assert weights(one).tobytes() == weights(other).tobytes()


@pytest.mark.parametrize("passes", [0, 1, 3])
def test_samples_are_refined_before_each_pass(passes, monkeypatch, tmp_path):
    model, x = hierarchy(passes=passes)
    model.fit(x, steps=8, batch_size=8)
    refine, asked = model.refiner.refine, []
    monkeypatch.setattr(model.refiner, "refine",
                        lambda x, rng: asked.append(len(x)) or refine(x, rng))
    made = model.sample(3, ldf.Generator(1))
    assert sorted(asked) == [3] * max(1, passes) + [256] * max(1, passes)
    model.save(tmp_path / "m.safetensors")
    loaded = ldf.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.sample(3, ldf.Generator(1)), made)
    model.refiner.trained.data[...] = 0     # negative control: until it has learned it is left out
    assert np.abs(model.sample(3, ldf.Generator(1)) - made).max() > 1e-4
    assert len(asked) == 2 * max(1, passes)


@pytest.mark.parametrize("step, ended_in", [(10, "top"), (14, "refiner")])
def test_a_training_that_was_ended_goes_on_to_the_same_bits(step, ended_in, tmp_path):
    def fitted(folder):
        model, x = hierarchy()
        return model, model.fit(x, steps=16, batch_size=8, checkpoints=Checkpoints(folder, every=0))

    whole, _ = fitted(tmp_path / "whole")
    with ctrl_c(step):
        ended, found = fitted(tmp_path / "ended")
    assert [name for name, h in found.items() if h.interrupted] == [ended_in] == [*found][-1:]
    # of a training that was ended before its turn the refiner gets nothing, and samples do without
    assert ended.refiner.ready == (ended_in == "refiner") and len(ended.sample(2)) == 2
    again, _ = fitted(tmp_path / "ended")
    assert weights(again).tobytes() == weights(whole).tobytes() != weights(ended).tobytes()


def test_the_best_weights_are_those_of_the_last_training():
    """An earlier training's score does not bring back weights from before a later one."""
    model = nets.mlp_gan(4, 2, 4)
    scores = iter([1.0, 3.0, 2.0])
    seen = BestWeights(model, lambda model: next(scores), [1, 2], "steps")
    for before, steps in ((0, 1), (1, 1)):
        history = History()
        history.before = {"seconds": 0.0, "steps": before}
        history.seconds = [0.0] * steps
        model.generator[0].weight.data[...] = before
        seen(history)
    assert (seen.best, [score for _, score in seen.curve]) == (3.0, [1.0, 3.0])
    state, again = seen.state, BestWeights(model, lambda model: next(scores), [], "steps")
    again.state = state
    model.generator[0].weight.data[...] = 5
    again.finish(history)
    assert again.best == 2.0 and (model.generator[0].weight.data == 5).all()


def test_shares_of_the_minutes(monkeypatch):
    """The top has its part of the minutes, and the refiner what is left."""
    model, x = hierarchy()
    fit, asked = Model.fit, {}

    def watched(self, data, minutes, steps, **more):
        asked[type(self).__name__] = minutes
        return fit(self, data, steps=2, **more)

    monkeypatch.setattr(Model, "fit", watched)
    model.fit(x, minutes=8, bottom_share=0.5, refiner_share=0.125, batch_size=8)
    assert asked["ALI"] == 4 and asked["GAN"] == 3 and 7 < asked["Denoiser"] <= 8


def test_it_refines_no_sequences():
    with pytest.raises(ValueError, match="LDF: refiner: expected one of whitened codes"):
        nets.clip_ldf(hierarchy()[1], frames=2, refiner=lambda shape, seed: small((1, 1, 3)))
    assert isinstance(small(), Denoiser)
