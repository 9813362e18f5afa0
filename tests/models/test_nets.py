"""The architectures: codes that keep their places, the local top, and the arms beside them; and one
step of each game against the same step with a pass of its own for either side."""

import numpy as np
import pytest
from helpers import doubled, values, weights

import ldf_np as ldf
from ldf_np.autodiff.engine import Tensor, grad
from ldf_np.models import baselines, nets
from ldf_np.nn.layers import Sequential
from ldf_np.nn.losses import ali_loss, generator_loss, reconstruction_loss


def parameters(model):
    return sum(p.size for p in model.parameters())


@pytest.mark.parametrize("size", [8, 16, 32])
@pytest.mark.parametrize("stochastic", [False, True])
def test_codes_keep_their_places(size, stochastic):
    model = nets.place_ali(size, 2, latent_size=5, stochastic=stochastic)
    x = np.random.default_rng(0).integers(0, 256, (6, size, size, 2), dtype=np.uint8)
    model.fit(x, steps=2, batch_size=6)
    h = model.encode(x, "h")
    assert h.shape == (6, size // 4, size // 4, 8) and model.encode(x, "z").shape == (6, 5)
    assert model.decode(h, "h").shape == x.shape == model.sample(6).shape
    # what changes in a corner changes the code there and not in the other
    other = x.copy()
    other[:, :2, :2] = 255 - other[:, :2, :2]
    moved = np.abs(model.encode(other, "h") - h).max(axis=(0, 3)) > 1e-6
    assert moved[0, 0] and (size < 32 or not moved[-1, -1])


def test_both_bottoms_have_as_many_numbers_in_their_codes():
    assert np.prod(nets.PLACES) == np.prod(nets.CODE) == 512


@pytest.mark.parametrize("shape", [(8, 8, 40), (4, 4, 6), (7, 5, 3), (2, 6, 4), (1, 1, 9)])
def test_the_local_top_on_maps_of_any_size(shape):
    model = nets.local_gan(shape, latent_size=4, width=6, hidden=8)
    x = np.random.default_rng(0).standard_normal((12, *shape)).astype(np.float32)
    history = model.fit(x, steps=3, batch_size=6)
    assert history.steps == 3 and np.isfinite(history.losses["D"]).all()
    assert model.sample(5).shape == (5, *shape)
    kinds = {type(layer).__name__ for layer in model.generator.layers}
    assert ("ConvTranspose2d" in kinds) == (shape[0] % 2 == shape[1] % 2 == 0)
    if shape[:2] == (1, 1):         # dense: as many weights as a layer of 1 x 1 has
        assert all(layer.weight.shape[:2] == (1, 1) for layer in model.generator.layers
                   if type(layer).__name__ == "Conv2d")


@pytest.mark.parametrize("shape, kernel", [((8, 8, 4), 9), ((7, 5, 3), 9), ((1, 1, 9), 1)])
def test_the_local_generators_depth(shape, kernel):
    """Two more convolutions, each with its normalisation; the discriminator is the same."""
    shallow, deep = (nets.local_gan(shape, width=6, hidden=8, depth=depth) for depth in (1, 3))
    more = parameters(deep.generator) - parameters(shallow.generator)
    assert more == 2 * (kernel * 6 * 6 + 2 * 6)
    assert parameters(deep.discriminator) == parameters(shallow.discriminator)
    assert deep.sample(2).shape == (2, *shape)


def test_the_local_discriminator_sees_how_much_of_a_channel_there_is():
    judge = nets.local_gan((4, 6, 3), width=4, hidden=8).discriminator
    x = np.random.default_rng(0).standard_normal((5, 4, 6, 3)).astype(np.float32)
    x[2, ..., 1] = 0                # of one channel there is nothing
    seen = judge.layers[0](Tensor(x)).data[:, -3:]
    np.testing.assert_allclose(seen, np.log(np.square(x).mean((1, 2)) + nets.LEAST_ENERGY),
                               rtol=1e-4, atol=1e-5)
    assert seen[2, 1] == seen.min()
    # and it tells nothing of where it is
    np.testing.assert_allclose(judge.layers[0](Tensor(np.roll(x, 1, 1))).data[:, -3:], seen,
                               rtol=1e-4, atol=1e-5)


def test_a_local_top_needs_fewer_weights_than_a_dense_one():
    shape = (8, 8, 40)
    assert parameters(nets.local_gan(shape)) < 0.5 * parameters(nets.mlp_gan(shape))


@pytest.mark.parametrize("settings, white", [
    ({}, (8, 8, 40)), ({"top": "mlp"}, (8, 8, 40)), ({"bottom": "small"}, (4, 4, 160)),
    ({"code": "z"}, (1, 1, 640)), ({"top": "mlp", "components": 12}, (12,)),
    ({"top": lambda shape, seed: nets.local_gan(shape, width=4, seed=seed)}, (8, 8, 40))])
def test_the_arms_of_the_hierarchy(settings, white):
    clips = np.random.default_rng(0).integers(0, 256, (70, 5, 32, 32, 3), dtype=np.uint8)
    model = nets.clip_ldf(clips, **settings)
    histories = model.fit(clips, steps=2, bottom_share=0.5, batch_size=8)
    assert [h.steps for h in histories.values()] == [1, 1]
    assert model.whitening.shape == white and model.encode(clips[:2]).shape == (2, *white)
    assert model.sample(2).shape == (2, 5, 32, 32, 3)
    rebuilt = model.decode(model.encode(clips[:2]))
    if "components" not in settings:        # the whitening cuts nothing off
        np.testing.assert_allclose(rebuilt, model.reconstruct(clips[:2]), atol=2e-3)
    else:                                   # negative control: twelve components do
        assert np.abs(rebuilt - model.reconstruct(clips[:2])).max() > 0.02


# ------------------------------------------------------------- one step against the plain formulas

def caught(model, x):
    """The generator's gradients of one step, which is not taken."""
    found = []
    model.generator_optimizer.ready = lambda grads, lr_scale: lambda: found.extend(grads)
    model.discriminator_optimizer.ready = lambda grads, lr_scale: lambda: None
    model._step(x, 0.0)
    return found


def compare(ours, loss, network):
    for (name, p), a in zip(network.named_parameters(), ours, strict=True):
        b, = grad(loss, [p], allow_unused=True)
        np.testing.assert_allclose(a.data, b.data, rtol=1e-8, atol=1e-12, err_msg=name)


GAMES = [(loss, penalty) for loss in ("non-saturating", "saturating", "least-squares", "bgan",
                                      "relativistic")
         for penalty in ("roth", "unweighted", "r1", "wgan-gp", "none")]


@pytest.mark.parametrize("loss, penalty", GAMES)
def test_a_gans_step(loss, penalty):
    model = doubled(nets.local_gan((4, 4, 3), 5, 4, 6, loss=loss, penalty=penalty))
    x = values(6, 4, 4, 3)
    z = Tensor(ldf.Generator(1).standard_normal((6, 5)))
    d, made = model.discriminator, model.generator(z)
    compare(caught(model, x), generator_loss(d(made), loss, d(Tensor(x)).detach()), model.generator)


@pytest.mark.parametrize("mapping_hidden", [4, None])
@pytest.mark.parametrize("loss, penalty", GAMES)
def test_alis_step(loss, penalty, mapping_hidden):
    model = doubled(nets.place_ali(8, 2, 3, mapping_hidden=mapping_hidden, loss=loss,
                                   penalty=penalty))
    x = np.tanh(values(6, 8, 8, 2))
    z = u = Tensor(ldf.Generator(1).standard_normal((6, 3), np.float64))
    makers = Sequential(model.encoder, model.decoder)
    if mapping_hidden:
        z, makers = model.mapping(u), Sequential(*makers, model.mapping)
    made = model.decoder(z)
    h = model.encoder.body(Tensor(x))
    z_hat = model.encoder.head(h)
    d = model.discriminator
    wanted = (ali_loss(d(Tensor(x), z_hat), d(made, z), loss)
              + reconstruction_loss(x, model.decoder.body(h)) * model.shortcut_weight
              + reconstruction_loss(x, model.decoder(z_hat)) * model.latent_weight)
    compare(caught(model, x), wanted, makers)


def test_the_joint_gan_on_whitened_channels():
    clips = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8, 2), dtype=np.uint8)
    model = baselines.joint_gan(3, 8, 2, latent_size=4, hidden=8, whitened=True)
    model.fit(clips, steps=2, batch_size=8)
    made = model.sample(5)
    assert made.shape == (5, 3, 8, 8, 2) and np.abs(made).max() <= 1
    x = values(4, 8, 8, 6, dtype=np.float32)
    white, = model._real(x)
    np.testing.assert_allclose(model._in_pixels(white), x, atol=1e-4)
    plain, = baselines.joint_gan(3, 8, 2, latent_size=4, hidden=8)._real(x)
    assert plain is x or np.array_equal(plain, x)           # negative control
    assert np.abs(white - x).max() > 0.1


def test_the_step_with_a_discriminator_of_single_frames():
    model = baselines.framed_joint_gan(2, 8, 2, latent_size=3, hidden=6, whitened=True)
    model.whitening.fit(values(20, 2, 8, 8, 2, dtype=np.float32))
    doubled(model)
    x = np.tanh(values(6, 8, 8, 6))         # two frames, and a single one as further channels
    z = Tensor(ldf.Generator(1).standard_normal((6, 3)))
    made = model.generator(z)
    wanted = (generator_loss(model.discriminator(made))
              + generator_loss(model.frame_discriminator(model._singles(model._in_pixels(made)))))
    ours = caught(model, x)
    compare(ours, wanted, model.generator)
    with pytest.raises(AssertionError):     # negative control: without the single frames
        compare(ours, generator_loss(model.discriminator(made)), model.generator)


@pytest.mark.parametrize("make", [nets.mlp_gan, nets.mlp_ali_top, nets.local_gan,
                                  nets.local_ali_top, nets.map_denoiser])
def test_a_shape_may_be_a_list(make):
    x = values(8, 5, 5, 4, dtype=np.float32)
    of_list, of_tuple = make([5, 5, 4]), make((5, 5, 4))
    for model in (of_list, of_tuple):
        model.fit(x, steps=2, batch_size=8)
    assert weights(of_list).tobytes() == weights(of_tuple).tobytes()
