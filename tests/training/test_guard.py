"""The guard on NaN and infinity: it names the step, the network and the layer, and backing off goes
on from a checkpoint."""

import math

import numpy as np
import pytest
from helpers import tiny_ali, weights

import ldf_np as ldf
from ldf_np import nn
from ldf_np.autodiff.engine import Tensor
from ldf_np.models import baselines, nets
from ldf_np.nn.module import watching
from ldf_np.nn.optim import EMA, Adam
from ldf_np.runtime import threads
from ldf_np.training.checkpoint import HALVINGS, Checkpoints
from ldf_np.training.step import first_not_finite

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")


def data(n=64, size=4):
    return np.random.default_rng(0).standard_normal((n, size)).astype(np.float32)


class Faulty(nn.Module):
    """Passes x on, but in call number ``at`` (from 1) and those after it makes an output, or a
    gradient, NaN."""

    def __init__(self, at, gradient=False):
        self.calls, self.at, self.gradient = 0, at, gradient

    def forward(self, x):
        self.calls += 1
        if self.calls < self.at:
            return x
        if self.gradient:
            # the root's slope at 0 is not finite
            return x + ldf.sqrt(ldf.square(x * 0.0)).sum() * 0.0
        return x * math.nan


def plant(model, where, fault):
    """Put the fault into a Sequential of the model, given by its name, before its last layer."""
    modules = dict(model.named_modules())
    modules[where].layers.insert(len(modules[where].layers) - 1, fault)
    return model


@pytest.mark.parametrize("where", ["encoder.body", "encoder.head", "decoder.head", "decoder.body",
                                   "discriminator.x_net",
                                   "discriminator.joint"])
def test_the_layer_whose_output_is_nan_is_named(where):
    model = plant(tiny_ali(), where, Faulty(at=4))
    before = [p.copy() for p in (model.discriminator_optimizer.m, model.generator_optimizer.m)]
    with pytest.raises(FloatingPointError,
                       match=rf"ALI: step \d+: .*not finite first: output of {where}.layers.\d "
                             r"\(Faulty\); "
                                                 "a lower learning rate"):
        model.fit(data(), steps=20, batch_size=8)
    for network in (model.encoder, model.decoder, model.discriminator):
        assert np.isfinite(network.flat()).all()           # no update was made of it
    # negative control: there were updates before
    assert not np.array_equal(before[0], model.discriminator_optimizer.m)


def test_the_step_is_named():
    model = plant(nets.mlp_gan(4, latent_size=3, hidden=8), "generator", Faulty(at=6))
    with pytest.raises(FloatingPointError,
                       match=r"^GAN: step 5: .*: output of generator.layers.6 \(Faulty\)"):
        model.fit(data(), steps=20, batch_size=8)


def test_the_layer_where_a_bad_gradient_begins_is_named():
    model = plant(nets.mlp_gan(4, latent_size=3, hidden=8), "generator",
                  Faulty(at=4, gradient=True))
    # the fault is layer 6
    with pytest.raises(FloatingPointError,
                       match="step 3: a gradient is not finite; not finite first: gradient of "
                                                 "generator.layers.4.bias"):
        model.fit(data(), steps=20, batch_size=8)


def test_parameters_and_batches_are_looked_at():
    model = tiny_ali()
    x = data(8)
    x[3, 1] = np.inf
    with pytest.raises(FloatingPointError, match="not finite first: the batch itself"):
        model.compiled_step()(x)
    model = tiny_ali()
    model.decoder.body[1].weight.data[0, 0] = np.nan
    with pytest.raises(FloatingPointError,
                       match="not finite first: parameters decoder.body.layers.1.weight"):
        model.compiled_step()(data(8))


def test_a_healthy_step_has_no_culprit():
    """Negative control: what is finite is not blamed, and looking changes no weight."""
    model, before_count = tiny_ali(), threads._count
    before = {n: p.data.copy() for n, p in model.named_parameters()}
    assert first_not_finite(model, model._step, data(8),
                            0.0) == "no layer: it is the loss itself, or does not happen again"
    assert all(np.array_equal(p.data, before[n]) for n, p in model.named_parameters())
    assert threads._count == before_count and getattr(nn.module._watch, "look", None) is None


def test_an_optimiser_refuses_a_bad_gradient_and_changes_nothing():
    network = nn.Linear(3, 2, rng=ldf.Generator(0))
    adam = Adam(network)
    before, state = network.flat().copy(), adam.state
    for bad in (np.nan, np.inf, -np.inf):
        grads = [Tensor(np.zeros(p.shape, np.float32)) for p in network.parameters()]
        grads[0].data[1, 1] = bad
        with pytest.raises(FloatingPointError, match="a gradient is not finite"):
            adam.step(grads)
    np.testing.assert_array_equal(network.flat(), before)
    assert all(np.array_equal(state[k], v) for k, v in adam.state.items())
    with watching(lambda source, result: True):             # a watcher may take the step's place
        adam.step([Tensor(np.ones(p.shape, np.float32)) for p in network.parameters()])
    np.testing.assert_array_equal(network.flat(), before)
    adam.step([Tensor(np.ones(p.shape, np.float32)) for p in network.parameters()])
    assert not np.array_equal(network.flat(), before)       # negative control


# ------------------------------------------------------------------------------------- backing off

class Once(Faulty):
    """NaN in one call only: what a lower rate has cured."""

    def forward(self, x):
        self.calls += 1
        return x * math.nan if self.calls == self.at else x


def test_backing_off_halves_the_rates_and_goes_on(tmp_path):
    model = plant(tiny_ali(), "decoder.body", Once(at=40))
    with pytest.warns(RuntimeWarning,
                      match=r"ALI: step 14: .*; the training goes back to step \d+, with the "
                                            "learning rates times 0.5"):
        history = model.fit(data(), steps=30, batch_size=8,
                            checkpoints=Checkpoints(tmp_path, every=0, on_nan="back-off"))
    assert history.steps == 30 and np.isfinite(weights(model)).all()
    assert model.discriminator_optimizer.scale == model.generator_optimizer.scale == 0.5
    plain = tiny_ali()
    plain.fit(data(), steps=30, batch_size=8)
    # negative control: the rates were lower indeed
    assert not np.array_equal(weights(model), weights(plain))


def test_backing_off_gives_up_in_the_end(tmp_path):
    model = plant(tiny_ali(), "decoder.body", Faulty(at=40))
    with pytest.warns(
        RuntimeWarning) as told, pytest.raises(FloatingPointError,
                                               match=r"output of decoder.body.* \(Faulty\)"):
        model.fit(data(), steps=30, batch_size=8,
                  checkpoints=Checkpoints(tmp_path, every=1e6, on_nan="back-off"))
    assert sum("goes back to step 0" in str(w.message) for w in told) == HALVINGS
    assert model.discriminator_optimizer.scale == 2.0 ** -HALVINGS


def test_a_training_that_stops_leaves_its_last_checkpoint(tmp_path):
    model = plant(tiny_ali(), "decoder.body", Faulty(at=40))
    with pytest.raises(FloatingPointError):
        model.fit(data(), steps=30, batch_size=8, checkpoints=Checkpoints(tmp_path, every=0))
    cured = plant(tiny_ali(seed=3), "decoder.body", Faulty(at=10 ** 9))
    history = cured.fit(data(), steps=30, batch_size=8, checkpoints=Checkpoints(tmp_path, every=0))
    assert history.steps == 30 and np.isfinite(weights(cured)).all()
    whole = plant(tiny_ali(), "decoder.body", Faulty(at=10 ** 9))
    whole.fit(data(), steps=30, batch_size=8)
    np.testing.assert_array_equal(weights(cured), weights(whole))


@pytest.mark.parametrize("make", [lambda: nets.mlp_ali_top(4, 2, 8),
                                  lambda: baselines.mlp_vae(4, 2, 8, noisy=True)])
@pytest.mark.parametrize("steps", [1, 12])          # taken by Python, and played
def test_a_step_that_fails_leaves_running_statistics_and_noise(make, steps):
    model = make()
    model.fit(data(), steps=steps, batch_size=8)
    step, x = model.compiled_step(), data(8)
    for _ in range(steps):
        step(x)

    def kept():
        averages = [m.average for _, m in model.named_modules() if isinstance(m, EMA)]
        return {name: b.data.tobytes() for name, b in model.named_buffers()
                if all(b is not a for a in averages)} | {"noise": model.rng.state}

    before = kept()
    with pytest.raises(FloatingPointError):
        step(x * np.float32(2.5e37))
    assert kept() == before
    step(x)
    assert kept() != before         # control
    assert np.isfinite(model.encode(x)).all()
