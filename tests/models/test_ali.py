"""One level: ALI learns to encode, to decode and to sample, to the same bits each time, and covers
the 25 Gaussians."""

import time

import numpy as np
import pytest
from helpers import tiny_ali as tiny
from helpers import values, weights

import ldf_np as ldf
from ldf_np import nn
from ldf_np.autodiff.engine import Tensor
from ldf_np.data.gaussians import make_gaussians, modes_hit
from ldf_np.models import nets
from ldf_np.models.ali import Encoder


def data(n=200, seed=0):
    """Points of a plane in four dimensions."""
    return np.tanh(values(n, 2, seed=seed) @ values(2, 4, seed=9)).astype(np.float32)


# ---------------------------------------------------------------------------------------- learning

@pytest.mark.parametrize("stochastic", [False, True])
def test_it_learns_to_reconstruct(stochastic):
    model, x = tiny(stochastic=stochastic, lr=3e-3, latent_weight=50.0), data()

    def errors():
        return [float(np.mean((model.reconstruct(x, code) - x) ** 2)) for code in ("h", "z")]

    history = model.fit(x, steps=1, batch_size=32)
    before = errors()
    history = model.fit(x, steps=300, batch_size=32)
    assert all(after < 0.5 * b for after, b in zip(errors(), before, strict=True)), (
        before, errors())
    assert history.steps == 300 and set(history.losses) == {"D", "GE", "rec_h", "rec_z"}
    assert np.mean(history.losses["rec_h"][-20:]) < np.mean(history.losses["rec_h"][:20])


def test_small_images():
    model = nets.small_ali(size=8, latent_size=4)
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    history = model.fit(x, steps=30, batch_size=16)
    assert np.mean(history.losses["rec_h"][-5:]) < 0.8 * np.mean(history.losses["rec_h"][:5])
    assert model.encode(x[:3]).shape == (3, 1, 1, 32) and model.encode(x[:3], "z").shape == (3, 4)
    sample = model.sample(5)
    assert sample.shape == (5, 8, 8, 3) and sample.dtype == np.float32 and np.abs(sample).max() <= 1


def test_alis_own_networks_have_their_shapes():
    model = nets.cifar_ali(images=np.full((2, 32, 32, 3), 0.25), seed=0)
    x = Tensor(np.zeros((2, 32, 32, 3), np.float32))
    with ldf.no_grad(), nn.evaluation(model):
        h = model.encoder.body(x)
        z = model.encoder.infer(h)
        assert h.shape == (2, 1, 1, 512) and z.shape == (2, 64)
        assert model.decoder(z).shape == x.shape
        assert model.discriminator(x, z).shape == (2, 1)
    np.testing.assert_allclose(model.decoder.body[-2].bias.data, np.log(1 / 3), rtol=1e-5)


# ---------------------------------------------------------------------------------------- one step

def test_a_step_changes_every_network_and_says_its_losses():
    model, x = tiny(), data()
    before = model.state_dict()
    losses = model.step(x[:16])
    assert set(losses) == {"D", "GE", "rec_h",
                           "rec_z"} and all(type(v) is float for v in losses.values())
    after = model.state_dict()
    # A bias before a batch normalisation does nothing, so nothing but noise may move it.
    still = {name for name in before if np.array_equal(before[name], after[name])}
    assert still <= {"encoder.body.layers.0.bias", "decoder.head.layers.0.bias"}


@pytest.mark.parametrize("settings, names", [
    ({"shortcut_weight": 0.0}, {"D", "GE", "rec_z"}),
    ({"latent_weight": 0.0}, {"D", "GE", "rec_h"}),
    ({"shortcut_weight": 0.0, "latent_weight": 0.0}, {"D", "GE"})])
def test_reconstructions_can_be_left_out(settings, names):
    assert set(tiny(**settings).step(data()[:16])) == names


@pytest.mark.parametrize("penalty", ["roth", "unweighted", "r1", "wgan-gp", "none"])
@pytest.mark.parametrize("loss", ["non-saturating", "saturating", "least-squares", "bgan"])
def test_every_objective_with_every_penalty(penalty, loss):
    model = tiny(penalty=penalty, loss=loss)
    assert all(np.isfinite(v) for t in range(3) for v in model.step(data()[:16], t / 3).values())


def test_the_penalty_is_annealed():
    """The same step early and late: only the strength of the penalty differs, and with it D's
    weights."""
    x = data()[:16]

    def after(share, **settings):
        model = tiny(gamma=100.0, **settings)
        model.step(x, share)
        return model.discriminator.state_dict()["joint.layers.0.weight"]

    assert not np.array_equal(after(0.0), after(1.0))
    np.testing.assert_array_equal(after(0.0, penalty="none"), after(1.0, penalty="none"))


# -------------------------------------------------------------------------------- stochastic codes

def test_a_stochastic_encoder():
    model, x = tiny(stochastic=True), Tensor(data(5))
    with nn.evaluation(model):
        h = model.encoder.body(x)
        out = model.encoder.head(h)
        mean, log_variance = out.data[:, :2], out.data[:, 2:]
        np.testing.assert_array_equal(model.encoder.infer(h).data, mean)
        draw = model.encoder.infer(h, ldf.Generator(3)).data
        noise = ldf.Generator(3).standard_normal((5, 2))
        np.testing.assert_allclose(draw, mean + np.exp(log_variance / 2) * noise, rtol=1e-6)
        np.testing.assert_array_equal(model.encode(x.data, "z"), mean)
        assert model.encoder(x).shape == (5, 4)


def test_gradients_of_the_reparameterised_draw():
    encoder = Encoder(lambda x: x, lambda h: h, stochastic=True)
    ldf.check_grads(lambda h: encoder.infer(h, ldf.Generator(0)), [values(3, 4)], order=2,
                    rtol=1e-4)


# -------------------------------------------------------------------------- encode, decode, sample

def test_shapes_and_modes():
    model, x = tiny(), data(10)
    for code, width in (("h", 6), ("z", 2)):
        codes = model.encode(x, code)
        assert codes.shape == (10, width) and isinstance(codes, np.ndarray)
        assert model.decode(codes, code).shape == model.reconstruct(x, code).shape == (10, 4)
        np.testing.assert_array_equal(model.decode(codes, code), model.reconstruct(x, code))
        # in evaluation mode each sample is on its own
        np.testing.assert_allclose(model.encode(x[:1], code), codes[:1], rtol=1e-5, atol=1e-6)
    assert model.sample(7).shape == (7, 4)
    assert all(m.training for _, m in model.named_modules())        # left as it was
    assert weights(model).tolist() == weights(tiny()).tolist()      # looking changes nothing


def test_samples_have_the_batch_statistics_of_samples():
    """The running ones are those of reconstructions, too."""
    model = nets.small_ali(8, 2, latent_size=4)
    model.fit(np.random.default_rng(0).integers(0, 256, (64, 8, 8, 2), dtype=np.uint8), steps=9)
    z = ldf.Generator(1).standard_normal((2000, 4))
    before, made = model.state_dict(), model.sample(2000, ldf.Generator(1))
    np.testing.assert_equal(model.state_dict(), before)         # sampling leaves nothing behind
    plain = model.decode(z, "z")
    as_trained = model.decoder(Tensor(z)).data                  # by this batch's own
    own, running = (float(np.abs(x - as_trained).mean()) for x in (made, plain))
    assert own < 0.4 * running, (own, running)


def test_what_enters_at_h_has_batch_statistics_of_its_own():
    """What comes from z varies otherwise: running statistics of both fit neither."""
    x = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 2), dtype=np.uint8)

    def trained(own, **settings):
        model = nets.place_ali(8, 2, latent_size=4, own_statistics=own, **settings)
        model.fit(x, steps=40)
        return model

    def off(model):     # of a whole batch, between running statistics and its own
        h = model.encode(x)
        model.train()
        return float(np.abs(model.decode(h) - model.decoder.body(Tensor(h)).data).mean())

    apart, together = trained(True), trained(False)
    np.testing.assert_equal({name: array for name, array in apart.state_dict().items()
                             if "running" not in name and "of_h" not in name},
                            {name: array for name, array in together.state_dict().items()
                             if "running" not in name})             # the weights are the same
    assert len(apart.of_h) == len(list(apart.decoder.body.named_buffers())) and not together.of_h
    assert off(apart) < 0.5 * off(together), (off(apart), off(together))
    assert not trained(True, shortcut_weight=0.0).of_h              # for nothing enters at h


def test_statistics_of_what_enters_at_h_are_saved(tmp_path):
    model = nets.place_ali(8, 2, latent_size=4)
    x = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 2), dtype=np.uint8)
    model.fit(x, steps=3)
    model.save(tmp_path / "ali.safetensors")
    again = ldf.load(tmp_path / "ali.safetensors").reconstruct(x)
    np.testing.assert_array_equal(again, model.reconstruct(x))
    h = np.repeat(model.encode(x), 20, axis=0)          # several batches, for two threads
    np.testing.assert_allclose(model.decode(h)[::20], model.reconstruct(x), atol=1e-5)
    model.of_h = []
    assert np.abs(model.decode(h)[::20] - again).max() > 1e-3       # negative control


def test_a_mapping_network_learns_what_codes_are_like():
    """z of a circle's points have nothing in the middle, where N(0, I) has most: with a mapping G
    is not asked to make circles of it."""
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 1024)
    x = 0.8 * np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    def off(mapping):
        model = tiny(2, 24, mapping=mapping, shortcut_weight=0.0, latent_weight=100.0, lr=3e-3,
                     discriminator_lr=3e-3, penalty="unweighted", gamma=0.1)
        model.fit(x, steps=1500, batch_size=64)
        made = model.sample(1000, ldf.Generator(1))
        return float(np.abs(np.linalg.norm(made, axis=1) - 0.8).mean())

    with_it, without = off(nets.mapping_network(2, 32, ldf.Generator(5))), off(None)
    assert with_it < 0.5 * without, (with_it, without)


def test_samples_of_a_mapping_network():
    model = nets.place_ali(8, 2, latent_size=4, mapping_hidden=8)
    model.fit(np.random.default_rng(0).integers(0, 256, (64, 8, 8, 2), dtype=np.uint8), steps=3)
    u = ldf.Generator(1).standard_normal((2000, 4))
    made = model.sample(2000, ldf.Generator(1))
    as_trained = model.decoder(model.mapping(Tensor(u))).data       # by this batch's statistics
    assert np.abs(made - as_trained).mean() < 0.1 * np.abs(made - model.decoder(Tensor(u)).data
                                                           ).mean()
    before = nets.place_ali(8, 2, latent_size=4, mapping_hidden=None)       # all else is the same
    start = nets.place_ali(8, 2, latent_size=4).state_dict()
    np.testing.assert_equal({name: start[name] for name in before.state_dict()},
                            before.state_dict())
    assert {name.split(".")[0] for name in start if name not in before.state_dict()} == {"mapping"}


def test_images_of_another_scale_are_not_encoded():
    """Of 0 to 255 the codes would be garbage; noise about images is none."""
    model = nets.place_ali(8, seed=0)
    x = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    for call in (model.encode, model.reconstruct):
        with pytest.raises(ValueError, match="ALI: x: expected values from -1 to 1, "):
            call(x.astype(np.float32))
    assert model.encode(x).shape == model.encode(x / np.float32(127.5) + 1).shape
    tiny(4).encode(100 * np.ones((3, 4), np.float32))       # of codes, which have no bounds


def test_what_is_refused():
    model = tiny()
    for call in (model.encode, model.decode, model.reconstruct):
        with pytest.raises(ValueError, match='code: expected "h" or "z", got \'y\''):
            call(data(3), "y")
    with pytest.raises(ValueError, match="n: expected at least 1"):
        model.sample(0)
    with pytest.raises(ValueError, match="batch_size: expected 2 to 10"):
        model.fit(data(10), steps=1)
    with pytest.raises(ValueError, match="at least one of them as the budget"):
        model.fit(data(100))
    with pytest.raises(ValueError, match="loss: expected one of"):
        tiny(loss="hinge").step(data(8))
    with pytest.raises(ValueError, match="penalty: expected one of"):
        tiny(penalty="r3").step(data(8))


# ------------------------------------------------------------------------------------- determinism

@pytest.mark.parametrize("stochastic", [False, True])
def test_the_same_seed_gives_the_same_bits(stochastic):
    a, b, other = (tiny(stochastic=stochastic, seed=seed) for seed in (0, 0, 1))
    histories = [m.fit(data(), steps=20, batch_size=16) for m in (a, b, other)]
    assert histories[0].losses == histories[1].losses
    np.testing.assert_array_equal(weights(a), weights(b))
    np.testing.assert_array_equal(a.sample(5), b.sample(5))
    # negative control: seeds do matter
    assert not np.array_equal(weights(a), weights(other))


def test_saved_and_loaded_it_samples_the_same(tmp_path):
    model, other = tiny(seed=0), tiny(seed=5)
    model.fit(data(), steps=5, batch_size=16)
    model.save(tmp_path / "ali.safetensors")
    other.load(tmp_path / "ali.safetensors")
    for draw in (lambda m: m.sample(9, ldf.Generator(3)), lambda m: m.encode(data(4)),
                 lambda m: m.reconstruct(data(4), "z")):
        np.testing.assert_array_equal(draw(model), draw(other))


def test_training_goes_on_after_ctrl_c():
    model = tiny()

    def callback(history):
        if history.steps == 3:
            raise KeyboardInterrupt

    assert model.fit(data(), steps=10, batch_size=16, callback=callback).interrupted
    learned = weights(model)
    model.fit(data(), steps=2, batch_size=16)
    assert not np.array_equal(learned, weights(model))


# -------------------------------------------------------------------------------- the 25 Gaussians

def test_the_count_of_modes():
    """The mixture itself hits all; noise spread evenly over its square, or half of the mixture,
    does not."""
    points = make_gaussians(10_000, seed=1)
    assert points.dtype == np.float32 and points.shape == (10_000, 2)
    hit, near = modes_hit(points)
    # within three standard deviations, in the plane
    assert hit == 25 and abs(near - (1 - np.exp(-4.5))) < 0.01
    assert modes_hit(np.random.default_rng(0).uniform(-4.5, 4.5, (10_000, 2)))[0] < 3
    assert modes_hit(points[points[:, 0] > -1])[0] == 15
    np.testing.assert_array_equal(make_gaussians(50, 3), make_gaussians(50, 3))


def test_ali_covers_the_25_gaussians():
    """ALI's authors report 13.4 +- 5.8 modes. A mode is hit by at least 20 of 10,000 samples within
    3 sigma of it."""
    model, test = nets.mlp_ali(seed=0), make_gaussians(10_000, seed=1000)
    # negative control: before the training
    assert modes_hit(model.sample(10_000, ldf.Generator(0)))[0] < 5
    start = time.perf_counter()
    model.fit(make_gaussians(100_000), steps=1200, batch_size=128)
    hit, near = modes_hit(model.sample(10_000, ldf.Generator(0)))
    error = np.mean((model.reconstruct(test, "z") - test) ** 2)
    print(
        f"{hit} of 25 modes hit, {near:.0%} of the samples near one, reconstruction error "
        f"{error:.4f}, "
          f"{time.perf_counter() - start:.0f} s")
    assert hit >= 20 and near > 0.3 and error < 0.03
