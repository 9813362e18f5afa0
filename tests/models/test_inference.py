"""Inference all the way up: tops with an encoder, the topmost z of clips, what comes back of it,
and walks in it."""

import numpy as np
import pytest
from helpers import tiny_ali

import ldf_np as ldf
from ldf_np.models import nets
from ldf_np.models.factors import Frames
from ldf_np.models.ldf import LDF, Level, great_circle
from ldf_np.models.whitening import ChannelWhitening


def clips(n=40, seed=0):
    """(n, 4, 6): short videos of vectors, whose frames depend on each other."""
    rng = np.random.default_rng(seed)
    return np.tanh(rng.standard_normal((n, 1, 6)) + 0.3
                   * rng.standard_normal((n, 4, 6))).astype(np.float32)


def hierarchy(top, seed=0):
    white = ChannelWhitening(Frames(4), (4, 5))
    return LDF([Level(tiny_ali(6, hidden=5, seed=seed), Frames(4))], top(white.shape), white)


def inferring(seed=0, **settings):
    return hierarchy(lambda shape: nets.mlp_ali_top(shape, latent_size=6, hidden=24, seed=seed,
                                                    **settings))


@pytest.fixture(scope="module")
def trained():
    model = inferring()
    model.fit(clips(), steps=20, bottom_share=0.5, batch_size=16)
    return model


# ------------------------------------------------------------------------------------------- tops

@pytest.mark.parametrize("shape", [(8, 8, 10), (4, 4, 6), (7, 5, 3), (2, 6, 4), (1, 1, 9)])
@pytest.mark.parametrize("stochastic", [False, True])
def test_the_local_top_infers_on_maps_of_any_size(shape, stochastic):
    model = nets.local_ali_top(shape, latent_size=4, width=6, hidden=8, stochastic=stochastic)
    x = np.random.default_rng(0).standard_normal((12, *shape)).astype(np.float32)
    history = model.fit(x, steps=3, batch_size=6)
    assert history.steps == 3 and np.isfinite(history.losses["GE"]).all()
    assert model.encode(x, "z").shape == (12, 4) and model.sample(5).shape == (5, *shape)
    # both ways are of one kind: from h, too, G makes such maps
    assert model.decode(model.encode(x, "h"), "h").shape == x.shape


def test_the_local_top_makes_maps_as_the_gan_does():
    """The same generator: the same layers with the same weights."""
    ali, gan = (make((8, 8, 6), latent_size=4, width=6, hidden=8, seed=3)
                for make in (nets.local_ali_top, nets.local_gan))
    own = [p.data for part in (ali.decoder.head, ali.decoder.body) for p in part.parameters()]
    assert len(own) == len(gan.generator.parameters()) and all(
        np.array_equal(a, p.data) for a, p in zip(own, gan.generator.parameters()))


@pytest.mark.parametrize("size, shape", [(7, (7,)), ((2, 3, 4), (2, 3, 4))])
@pytest.mark.parametrize("stochastic", [False, True])
def test_the_dense_top_infers_on_vectors_and_arrays(size, shape, stochastic):
    model = nets.mlp_ali_top(size, latent_size=3, hidden=8, stochastic=stochastic)
    x = np.random.default_rng(0).standard_normal((12, *shape)).astype(np.float32)
    model.fit(x, steps=2, batch_size=6)
    assert model.encode(x, "z").shape == (12, 3) and model.reconstruct(x, "z").shape == x.shape


@pytest.mark.parametrize("top, white", [("local-ali", (8, 8, 10)), ("mlp-ali", (8, 8, 10)),
                                        (nets.local_ali_top, (8, 8, 10))])
def test_clips_of_images(top, white):
    x = np.random.default_rng(0).integers(0, 256, (12, 2, 32, 32, 3), dtype=np.uint8)
    model = nets.clip_ldf(x, frames=2, top=top)
    model.whitening.fit(model.codes(x))
    assert model.infer(x[:3]).shape == (3, 128)
    assert model.reconstruct(x[:3], "top").shape == model.sample(3).shape == (3, 2, 32, 32, 3)
    assert model.interpolate(x[:2], x[2:4], 3).shape == (2, 3, 2, 32, 32, 3)


# ------------------------------------------------------------------------------------------ levels

def test_codes_come_back_from_the_topmost_z():
    """After 300 steps on maps of four directions most are nearest to their own."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((256, 4)) @ rng.standard_normal((4, 40)) / 2).astype(np.float32)
    top = nets.mlp_ali_top((2, 2, 10), latent_size=6, hidden=32, latent_weight=100.0)
    top.fit(x.reshape(-1, 2, 2, 10), steps=300, batch_size=32)
    back = top.reconstruct(x.reshape(-1, 2, 2, 10), "z").reshape(256, -1)
    assert np.mean((back - x) ** 2) < 0.3 * x.var()

    def own_nearest(back):
        return (((back[:, None] - x) ** 2).sum(axis=2).argmin(axis=1) == np.arange(256)).mean()

    assert own_nearest(back) > 0.3
    # Negative control: from the z of others come others.
    assert own_nearest(np.roll(back, 1, axis=0)) < 0.05


def test_the_default_and_the_numbers_of_levels(trained):
    x = clips(5)
    np.testing.assert_array_equal(trained.reconstruct(x), trained.reconstruct(x, 0))
    np.testing.assert_array_equal(trained.reconstruct(x),
                                  trained.levels[0].decode(trained.levels[0].encode(x)))
    z = trained.infer(x)
    np.testing.assert_array_equal(trained.reconstruct(x, "top"),
                                  trained.decode(trained.top.decode(z, "z")))


@pytest.mark.parametrize("call, kind, message", [
    (lambda m: m.reconstruct(clips(2), 1), ValueError, "level .*: expected 0 to 0, got 1"),
    (lambda m: m.reconstruct(clips(2), "z"), TypeError, "expected a whole number, got 'z'"),
    (lambda m: m.infer(clips(2)[:, :3]), ValueError, "expected clips"),
    (lambda m: m.interpolate(clips(2), clips(3), 4), ValueError, "a, b: expected one shape"),
    (lambda m: m.interpolate(clips(2), clips(2), 1), ValueError, "steps: expected at least 2"),
    (lambda m: m.interpolate("a", "b", 2), TypeError, "a: expected an array of real numbers"),
    (lambda m: m.interpolate(clips(2)[0], clips(2)[1], 2), ValueError, "expected clips")])
def test_what_is_refused(trained, call, kind, message):
    with pytest.raises(kind, match=message):
        call(trained)


@pytest.mark.parametrize("call", [
    lambda m: m.infer(clips(2)), lambda m: m.reconstruct(clips(2), "top"),
    lambda m: m.interpolate(clips(2), clips(2), 3)])
def test_a_top_without_inference_says_what_to_use(call):
    model = hierarchy(lambda shape: nets.mlp_gan(shape, latent_size=3, hidden=8))
    with pytest.raises(ValueError, match="LDF.*: top: expected one with an encoder.*local_ali_top "
                                         "or mlp_ali_top.*got a GAN, which has none"):
        call(model)


# ------------------------------------------------------------------------------------------- walks

def test_a_walk_begins_and_ends_at_the_reconstructions(trained):
    a, b = clips(4), clips(4, seed=1)
    walk = trained.interpolate(a, b, 5)
    assert walk.shape == (4, 5, 4, 6)
    np.testing.assert_allclose(walk[:, 0], trained.reconstruct(a, "top"), atol=1e-5)
    np.testing.assert_allclose(walk[:, -1], trained.reconstruct(b, "top"), atol=1e-5)


def test_a_great_circle_turns_evenly_and_keeps_to_the_sphere():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 20, 128))
    path = great_circle(a, b, 9)
    np.testing.assert_allclose(path[:, 0], a)
    np.testing.assert_allclose(path[:, -1], b)
    lengths = np.linalg.norm(path, axis=-1)
    np.testing.assert_allclose(lengths, np.linspace(lengths[:, 0], lengths[:, -1], 9, axis=1))
    unit = path / lengths[..., None]
    turns = np.arccos((unit[:, 1:] * unit[:, :-1]).sum(-1))
    np.testing.assert_allclose(turns, turns.mean(1, keepdims=True).repeat(8, 1))
    # Negative control: half way the straight line is far inside, where no draw of N(0, I) lies.
    straight = np.linalg.norm((a + b) / 2, axis=-1)
    drawn = np.linalg.norm(rng.standard_normal((1000, 128)), axis=-1)
    assert straight.max() < drawn.min() < lengths.min() + 2


@pytest.mark.parametrize("b", [np.ones((1, 4)), 3 * np.ones((1, 4)), -np.ones((1, 4)),
                               np.zeros((1, 4))])
def test_where_there_is_no_one_circle_the_walk_is_straight(b):
    a = np.ones((1, 4))
    np.testing.assert_allclose(great_circle(a, b, 5)[0],
                               a + np.linspace(0, 1, 5)[:, None] * (b - a), atol=1e-9)


def test_three_levels_infer_too():
    x = np.random.default_rng(0).integers(0, 256, (12, 2, 16, 16, 3), dtype=np.uint8)
    model = nets.patch_ldf(x, patch=8, top=lambda shape, seed: nets.local_ali_top(
        shape, latent_size=4, width=4, hidden=8, seed=seed), latent_size=4)
    model.fit(x, steps=4, batch_size=8)
    assert model.infer(x[:3]).shape == (3, 4)
    assert model.reconstruct(x[:3], "top").shape == (3, 2, 16, 16, 3)
    assert ldf.LDF.infer is LDF.infer
