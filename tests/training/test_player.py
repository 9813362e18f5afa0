"""Steps that are played from a recording: the same bits as steps that are taken, for every kind of
model, and whatever happens in between."""

import math
from functools import partial

import numpy as np
import pytest
from helpers import weights

import ldf_np as ldf
from ldf_np import nn
from ldf_np.models import baselines, nets
from ldf_np.models.ali import ALI, Discriminator
from ldf_np.models.classifier import small_classifier
from ldf_np.models.gan import GAN
from ldf_np.models.sequence_nets import sequence_gan
from ldf_np.runtime.threads import set_num_threads
from ldf_np.training import step as step_module
from ldf_np.training.checkpoint import Checkpoints
from ldf_np.training.player import Player, playable

STEPS = 20


def gan(**settings):
    return nets.mlp_gan(12, latent_size=4, hidden=16, **settings)


def with_dropout():
    rng = ldf.Generator(3)
    return GAN(gan().generator, nn.Sequential(
        nn.Linear(12, 16, rng=rng), nn.LeakyReLU(0.2), nn.Dropout(0.3, rng=rng),
        nn.Linear(16, 1, rng=rng)), 4)


def classifier():
    model = small_classifier(3, 8, width=4)
    model._batches(2, np.zeros((2, 8, 8, 3), np.float32), [0, 1])       # says the images' shape
    return model


MODELS = {
    "dense": (gan, (12,)), "float64": (gan, (12,)), "dropout": (with_dropout, (12,)),
    **{penalty: (lambda penalty=penalty, loss=loss: gan(penalty=penalty, loss=loss), (12,))
       for penalty, loss in (("roth", "relativistic"), ("r1", "least-squares"), ("none", "bgan"),
                             ("wgan-gp", "saturating"))},
    "local": (lambda: nets.local_gan((4, 4, 6), 8, 12, 16), (4, 4, 6)),
    "small": (lambda: nets.small_ali(size=8, latent_size=4, stochastic=True), (8, 8, 3)),
    "places": (lambda: nets.place_ali(8), (8, 8, 3)),
    "denoiser": (lambda: nets.map_denoiser((4, 4, 6), 8, 8), (4, 4, 6)),
    "inference": (lambda: nets.mlp_ali_top((2, 2, 3), 4, 16), (2, 2, 3)),
    "joint": (lambda: baselines.framed_joint_gan(frames=2, size=8, hidden=16), (8, 8, 9)),
    "vae": (lambda: baselines.mlp_vae(12, 4, 16), (12,)),
    "sequence": (lambda: sequence_gan((2, 2, 3), (3,), 2, 8, 4, 8, 16), (3, 2, 2, 3)),
    "classifier": (classifier, (8 * 8 * 3 + 3,))}


def made(name):
    model, shape = MODELS[name]
    model = model()
    model.adapt(next(batches(shape, n=20)))
    if name == "float64":
        for _, held in [*model.named_parameters(), *model.named_buffers()]:
            held.data = held.data.astype(np.float64)
        for adam in (model.discriminator_optimizer, model.generator_optimizer):
            adam.m, adam.v = adam.m.astype(np.float64), adam.v.astype(np.float64)
    return model, shape, np.float64 if name == "float64" else np.float32


def batches(shape, dtype=np.float32, n=4):
    rng = np.random.default_rng(0)
    while True:
        yield rng.standard_normal((n, *shape)).clip(-1, 1).astype(dtype)


def alike(one, other):
    """Whether two models are the same in every bit, with what their next step depends on."""
    return (weights(one).tobytes() == weights(other).tobytes() and one.rng.state == other.rng.state
            and all(part.state[name].tobytes() == vars(other)[key].state[name].tobytes()
                    for key, part in vars(one).items() if hasattr(part, "kept")
                    for name in part.kept))


def compare(name, between=lambda k, model: None, steps=STEPS, n=4):
    """Takes the steps of one model and plays those of its twin; returns the compiled step."""
    (model, shape, dtype), (twin, *_) = made(name), made(name)
    step, x = model.compiled_step(), batches(shape, dtype, n)
    for k in range(steps):
        for each in (model, twin):
            between(k, each)
        batch = next(x)
        assert step(batch, k / steps) == twin.compiled_step().eager_step(batch, k / steps)
        assert alike(model, twin), k
    return step


@pytest.mark.parametrize("name, threads", [*((name, 2) for name in MODELS), ("dense", 1),
                                           ("local", 1), ("inference", 1)])
def test_steps_have_the_same_bits(name, threads):
    set_num_threads(threads)
    try:
        step = compare(name)
    finally:
        set_num_threads(2)
    assert step._player.works and step._recordings == 1


def test_a_difference_is_found():
    """Negative control of the comparison, and of the player's own."""
    models = []

    def change(k, model):
        models.append(model)
        if k == 10 and model is models[0]:
            model.generator_optimizer.m[0] += np.float32(1e-6)

    with pytest.raises(AssertionError, match="10"):
        compare("dense", change)


def test_what_differs_is_not_played(monkeypatch):
    # a part of the input leaves the recording unseen
    monkeypatch.setattr(nn.Linear, "forward", lambda layer, x, slope=1.0: ldf.nn.layers.ops.linear(
        x + ldf.Tensor(np.asarray(x.data) * 0.1), layer.weight, layer.bias, slope))
    step = compare("dense")
    assert not step._player.works and step._recordings == 1


def test_settings_that_change_are_seen():
    def change(k, model):
        if k == 8:
            model.gamma = 0.0
        elif k == 12:
            model.generator_optimizer.lr = 0.1          # read at each step
        elif k == 14:
            model.load_state_dict({n: v * 0.5 for n, v in model.state_dict().items()})
        elif k == 16:
            model.generator[0].weight.data = model.generator[0].weight.data + 1

    assert compare("dense", change)._recordings == 3


def test_a_step_that_changes_all_the_time_is_taken_as_it_is(monkeypatch):
    monkeypatch.setattr(step_module, "RECORDINGS", 3)
    step = compare("dense", lambda k, model: setattr(model, "gamma", 1.0 + k))
    assert step._recordings == 4


def test_other_batches_and_other_uses_in_between():
    model, twin = gan(), gan()
    step, x, few = model.compiled_step(), batches((12,)), batches((12,), n=3)
    for k in range(STEPS):
        batch = next(few if k % 5 == 4 else x)
        assert step(batch) == twin.compiled_step().eager_step(batch)
        assert np.array_equal(model.sample(2), twin.sample(2)) and alike(model, twin)
        if k == 10:
            set_num_threads(1)
    set_num_threads(2)
    assert step._player.works and step._recordings == 2


class Counting(nn.Module):
    """Somebody's own module, which does something else every third time."""

    def __init__(self):
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * 2 if self.calls % 3 == 0 else x


def test_modules_of_others_are_not_played():
    def own():
        model = gan()
        return GAN(nn.Sequential(model.generator, Counting()), model.discriminator, 4)

    class Own(GAN):
        def _step(self, x, progress):
            return super()._step(x, progress)

    model = own()
    assert not playable(gan(), gan()._step)             # that of another model
    known = gan()
    assert playable(known, known._step) and not playable(model, model._step)
    model = Own(known.generator, known.discriminator, 4)
    assert not playable(model, model._step) and not playable(None, model._step)
    model, twin, x = own(), own(), batches((12,))
    step = model.compiled_step()
    for _ in range(STEPS):
        batch = next(x)
        assert step(batch) == twin.compiled_step().eager_step(batch)
    assert step._player is None and alike(model, twin)


@pytest.mark.parametrize("what, name", [(np.nan, "batch"), (1e30, "generator")])
def test_what_is_not_finite_is_named_as_it_is_where_steps_are_taken(what, name):
    said = []
    for compiled in (True, False):
        model = gan()
        step, x = model.compiled_step(), batches((12,))
        if not compiled:
            step._recordings = math.inf
        for _ in range(8):
            step(next(x))
        assert bool(step._player) is compiled
        if name == "batch":
            batch = np.full((4, 12), what, np.float32)
        else:
            batch = next(x)
            model.generator.flat()[:] = what
        with pytest.raises(FloatingPointError) as found, np.errstate(all="ignore"):
            step(batch)
        said.append((str(found.value), weights(model).tobytes(), model.rng.state))
    assert said[0] == said[1]


def test_training_goes_on_from_a_checkpoint_of_played_steps(tmp_path):
    data, whole, half = next(batches((12,), n=64)), gan(), gan()

    def stop(history, *_):
        if history.steps == 13:
            raise InterruptedError

    budget = {"steps": 24, "batch_size": 8}
    whole.fit(data, **budget)
    with pytest.raises(InterruptedError):
        half.fit(data, **budget, callback=stop, checkpoints=Checkpoints(tmp_path, each=6))
    again = gan()
    again.fit(data, **budget, checkpoints=Checkpoints(tmp_path, each=6))
    assert alike(whole, again) and not alike(whole, half)


def test_a_player_needs_a_second_look_before_it_plays():
    model = gan()
    player = Player(model._step, model, [model.rng], next(batches((12,))))
    assert player.works and player._play is None
    for _ in range(2):
        player(next(batches((12,))), 0.0)
    assert player.works and player._play
    assert player.fits(np.zeros((4, 12), np.float32)) and not player.fits(np.zeros((3, 12)))


@pytest.mark.parametrize("change", [
    lambda m: m.generator.layers.__setitem__(2, nn.Tanh()),
    lambda m: m.discriminator.layers.__setitem__(1, nn.LeakyReLU(0.5)),
    lambda m: setattr(m, "rng", ldf.Generator(5)),
    lambda m: m.generator.layers.append(nn.Tanh())])
def test_a_layer_or_a_generator_in_another_s_place_is_seen(change):
    def between(k, model):
        if k == 10:
            change(model)

    step = compare("dense", between)
    assert step._recordings == 2 and step._player.works
    assert compare("dense", lambda k, model: None)._recordings == 1        # control


def test_what_a_step_is_not_made_of_may_change():
    model, x = gan(), next(batches((12,)))
    model.curve, model.names = [], {k: k for k in range(1000)}
    step = model.compiled_step()
    for k in range(12):
        step(x, 0.0)
        model.curve.append(k)
    assert step._recordings == 1
    model.extra = [nn.Linear(2, 2, rng=ldf.Generator(0))]       # control
    step(x, 0.0)
    assert step._recordings == 2


def test_functions_of_others_are_not_played():
    """A part of a network may be any function; the library's do the same each time."""
    calls = []

    def counting(x):
        calls.append(0)
        return ldf.tanh(x * (1.0 if len(calls) < 12 else 0.1))

    def own(x_net):
        rng = ldf.Generator(0)
        model = nets.mlp_ali(4, 2, 8)
        judge = Discriminator(x_net, nn.Linear(2, 4, rng=rng), nn.Linear(8, 1, rng=rng))
        return ALI(model.encoder, model.decoder, judge, 2)

    assert playable(own(ldf.tanh), own(ldf.tanh)._step) is False      # of another model
    for x_net, plays in ((ldf.tanh, True), (counting, False), (partial(ldf.tanh), False)):
        model = own(x_net)
        assert playable(model, model._step) is plays
    calls.clear()
    own(counting).fit(np.ones((16, 4), np.float32), steps=STEPS, batch_size=8)
    assert len(calls) == STEPS
