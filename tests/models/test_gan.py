"""GANs: one learns a Gaussian, samples come from the averaged weights, and the joint rival of LDF
is of its size."""

import copy
import pickle
from unittest.mock import patch

import numpy as np
import pytest
from helpers import weights

import ldf_np as ldf
from ldf_np import nn
from ldf_np.autodiff.engine import Tensor
from ldf_np.models import baselines, nets
from ldf_np.models.base import Model
from ldf_np.models.gan import GAN
from ldf_np.runtime import distributed
from ldf_np.runtime.threads import cores, set_num_threads

MEAN, COVARIANCE = np.array([1.0, -2.0]), np.array([[1.0, 0.6], [0.6, 0.5]])


def plane(n=4000, seed=0):
    return np.random.default_rng(seed).multivariate_normal(MEAN, COVARIANCE, n).astype(np.float32)


def small(seed=0, **settings):
    return nets.mlp_gan(2, latent_size=4, hidden=24, seed=seed,
                        **{"lr": 2e-3, "discriminator_lr": 2e-3, "final_lr": 1.0} | settings)


def check_moments(sample, tolerance=0.25):
    np.testing.assert_allclose(sample.mean(axis=0), MEAN, atol=tolerance)
    np.testing.assert_allclose(np.cov(sample.T), COVARIANCE, atol=tolerance)


def test_it_learns_a_mean_and_a_covariance():
    model = small()
    # negative control: untrained, it does not have them
    with pytest.raises(AssertionError):
        check_moments(model.sample(4000, ldf.Generator(1)))
    history = model.fit(plane(), steps=800, batch_size=64)
    check_moments(model.sample(4000, ldf.Generator(1)))
    assert set(history.losses) == {"D", "G"} and history.steps == 800
    assert abs(np.mean(history.losses["D"][-50:]) - np.log(4)) < 0.15       # near the equilibrium


@pytest.mark.parametrize("loss", ["non-saturating", "saturating", "least-squares", "bgan"])
@pytest.mark.parametrize("penalty", ["roth", "wgan-gp", "none"])
def test_every_objective(loss, penalty):
    model = small(loss=loss, penalty=penalty)
    assert all(np.isfinite(v) for _ in range(3) for v in model.step(plane(16)).values())


def test_samples_come_from_the_averaged_weights():
    model = small(ema=0.9)
    model.fit(plane(), steps=10, batch_size=32)
    sample = model.sample(6, ldf.Generator(2))
    z = Tensor(ldf.Generator(2).standard_normal((6, 4)))
    with nn.evaluation(model.generator), ldf.no_grad():
        live = model.generator(z).data
        with model.ema.applied():
            averaged = model.generator(z).data
    np.testing.assert_array_equal(sample, averaged)
    assert not np.allclose(sample, live)


class Deaf:
    """One of two ranks, of which the other does not listen."""

    rank, size = 0, 2

    def __getattr__(self, name):
        raise AssertionError(f"it waits for {name}")


def test_the_averaged_weights_get_batch_statistics_of_their_own():
    model = small()

    def averaged():
        return model.ema.average.data[model.generator.flat().size:].copy()

    with patch.object(GAN, "finish", Model.finish):
        model.fit(plane(), steps=5, batch_size=32)
    before = averaged()
    with distributed.within(Deaf()):        # a rank that samples by itself waits for nobody
        model.sample(3)
    found = averaged()
    assert not np.allclose(before, found)
    model.ema.average.data[model.generator.flat().size:] = 7.0
    model.finish()                          # once for the steps taken
    assert (averaged() == 7).all()
    model.ema.update()
    model.finish()
    assert not (averaged() == 7).any()


def test_sampling_changes_nothing():
    model = small()
    model.fit(plane(), steps=3, batch_size=32)
    before = weights(model)
    model.sample(5)
    np.testing.assert_array_equal(weights(model), before)
    assert model.generator.training


def test_the_same_seed_gives_the_same_bits():
    a, b, other = small(0), small(0), small(1)
    assert a.fit(plane(), steps=10).losses == b.fit(
        plane(), steps=10).losses != other.fit(plane(), steps=10).losses
    np.testing.assert_array_equal(weights(a), weights(b))
    np.testing.assert_array_equal(a.sample(5), b.sample(5))


def test_saved_and_loaded_it_samples_the_same(tmp_path):
    """The averaged weights, with which samples are drawn, are saved with the others."""
    model, other = small(0), small(7)
    model.fit(plane(), steps=5)
    model.save(tmp_path / "gan.safetensors")
    other.load(tmp_path / "gan.safetensors")
    np.testing.assert_array_equal(model.sample(9, ldf.Generator(3)),
                                  other.sample(9, ldf.Generator(3)))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_stands_on_its_own(copied):
    model = small()
    model.fit(plane(), steps=5)
    twin = copied(model)
    want = model.sample(5, ldf.Generator(3))
    np.testing.assert_array_equal(twin.sample(5, ldf.Generator(3)), want)
    twin.fit(plane(), steps=5)
    np.testing.assert_array_equal(model.sample(5, ldf.Generator(3)), want)
    model.fit(plane(), steps=5)
    # the optimisers were copied too
    np.testing.assert_array_equal(weights(model), weights(twin))


# ------------------------------------------------------------------------------ the joint baseline

def tiny_joint(seed=0, **settings):
    return baselines.joint_gan(frames=3, size=8, channels=2, latent_size=4, hidden=16, seed=seed,
                               **settings)


def test_a_clip_becomes_an_image_and_back():
    model = tiny_joint()
    clips = np.random.default_rng(0).standard_normal((4, 3, 8, 8, 2)).astype(np.float32)
    image = model._as_images(clips)
    assert image.shape == (4, 8, 8, 6)
    # the second frame's channels
    np.testing.assert_array_equal(image[..., 2:4], clips[:, 1])
    np.testing.assert_array_equal(model._as_clips(image), clips)


def test_the_joint_gan_trains_and_samples_clips():
    model = tiny_joint()
    clips = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8, 2), dtype=np.uint8)
    history = model.fit(clips, steps=3, batch_size=8)
    assert history.steps == 3
    sample = model.sample(5)
    assert sample.shape == (5, 3, 8, 8, 2) and np.abs(sample).max() <= 1
    for wrong in (clips[:, :2], clips[:, 0]):
        with pytest.raises(ValueError, match=r"x: expected clips \(n, 3, h, w, c\), got shape"):
            model.fit(wrong, steps=1)


def parameters(*models):
    return sum(p.size for model in models for p in model.parameters())


def test_the_joint_gan_is_of_ldfs_size():
    """The comparison of Section 5.2 is between equals: parameter counts within a tenth."""
    ours, rival = parameters(nets.small_ali(),
                             nets.mlp_gan(96 + 64)), parameters(baselines.joint_gan())
    assert 0.9 < rival / ours < 1.1
    # negative control
    assert not 0.9 < parameters(baselines.joint_gan(hidden=256)) / ours < 1.1




def test_in_the_middle_of_a_training_the_saved_one_samples_and_goes_on_as_it_does(tmp_path):
    model, x = small(), plane(64)
    for _ in range(5):
        model.step(x)
    model.save(tmp_path / "gan.safetensors")
    loaded, given = ldf.load(tmp_path / "gan.safetensors"), small(seed=7)
    given.load_state_dict(model.state_dict())
    made = model.sample(8, ldf.Generator(1))
    for other in (loaded, given):
        np.testing.assert_array_equal(other.sample(8, ldf.Generator(1)), made)
    # the average moves as the saved one's does: by 4/14 after five steps
    assert loaded.ema.steps[0] == model.ema.steps[0] == 5
    for one in (model, loaded):
        one.step(x)
    for (_, average), (_, other) in zip(model.ema._pairs(), loaded.ema._pairs(), strict=True):
        np.testing.assert_allclose(average, other, atol=0.1)


class Noise(nn.Module):
    """A layer of somebody else's that draws."""

    def __init__(self, *, rng):
        self.rng = rng

    def forward(self, x):
        return x + self.rng.standard_normal(x.shape) * np.float32(0.1)


def test_layers_that_draw_make_no_two_trainings():
    def trained(noise):
        rng = ldf.Generator(3)
        base = nets.mlp_ali(4, 4, 32)
        if noise:
            base.encoder.body.layers.insert(1, noise(rng=rng))
            base.decoder.head.layers.insert(1, noise(rng=rng))
        assert base._ordered is bool(noise)
        base.fit(np.random.default_rng(0).standard_normal((64, 4)).astype(np.float32), steps=12)
        return weights(base).tobytes()

    assert len({trained(Noise) for _ in range(4)}) == 1
    assert trained(None) != trained(Noise)      # control


def test_a_discriminator_with_a_state_sees_batches_in_one_order():
    """On one thread or two: its running statistics are those of real, made, real, made ..."""
    def trained(threads):
        rng = ldf.Generator(0)
        judge = nn.Sequential(nn.Conv2d(1, 8, 4, 2, 1, rng=rng), nn.BatchNorm(8), nn.LeakyReLU(0.2),
                              nn.Flatten(), nn.Linear(512, 1, rng=rng))
        maker = nn.Sequential(nn.Linear(4, 256, rng=rng), nn.Reshape(16, 16, 1))
        set_num_threads(threads)
        try:
            model = GAN(maker, judge, 4, penalty="none")
            for _ in range(6):
                model.step(images)
        finally:
            set_num_threads(min(2, cores()))
        return weights(model)

    images = np.random.default_rng(0).standard_normal((16, 16, 16, 1)).astype(np.float32)
    one = trained(1)
    for _ in range(3):
        np.testing.assert_array_equal(trained(2), one)


@pytest.mark.parametrize("normalised", [True, False])
def test_dense_layers_judge_as_convolutions_of_one_place_do(normalised):
    """Also where a layer sees more than one row: real and made are never one batch to it."""
    def losses(dense):
        rng = ldf.Generator(0)
        first = nn.Linear(4, 8, rng=rng)
        conv = nn.Conv2d(4, 8, 1, rng=rng)
        conv.weight.data[...] = first.weight.data.reshape(conv.weight.shape)
        norm = [nn.BatchNorm(8)] if normalised else []
        judge = nn.Sequential(*([first] if dense else [nn.Reshape(1, 1, 4), conv]), *norm,
                              nn.Flatten(), nn.Linear(8, 1, rng=ldf.Generator(1)))
        return GAN(nn.Linear(3, 4, rng=ldf.Generator(2)), judge, 3, penalty="none").step(x)

    x = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32) + 3
    assert losses(True) == pytest.approx(losses(False), rel=1e-5)


def test_what_others_wrote_sees_one_batch_at_a_time():
    sizes = []

    class Own(nn.Linear):
        def forward(self, x):
            sizes.append(len(x))
            return super().forward(x)

    rng = ldf.Generator(0)
    for kind, seen in ((Own, [8, 8]), (nn.Linear, [])):
        sizes.clear()
        GAN(nn.Linear(3, 4, rng=rng), kind(4, 1, rng=rng), 3, penalty="none").step(
            np.ones((8, 4), np.float32))
        assert sizes == seen
