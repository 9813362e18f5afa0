"""The rivals of LDF's levels: terms of the ELBO in closed form, an autoencoder, a Gaussian top, a
critic of single frames."""

import math

import numpy as np
import pytest
from helpers import values, weights

import ldf_np as ldf
from ldf_np import nn
from ldf_np.autodiff.engine import Tensor
from ldf_np.models import baselines, nets
from ldf_np.models.ali import Encoder
from ldf_np.models.vae import VAE, Autoencoder, GaussianTop, normal_kl, normal_nll


def linear_vae(size=3, latent=1, seed=0, **settings):
    """q(z|x) normal with a mean linear in x, and x^ linear in z: probabilistic PCA."""
    rng = ldf.Generator(seed)
    encoder = Encoder(lambda x: x, nn.Linear(size, 2 * latent, init=nn.normal(0.1), rng=rng),
                      stochastic=True)
    return VAE(encoder, nn.Linear(latent, size, init=nn.normal(0.3), rng=rng), latent,
               seed=seed + 1, **{"lr": 1e-2} | settings)


def line(n=4000, seed=0):
    """x = a s + noise, s ~ N(0, 1): the direction a, the noise's variance 0.04, and x (n, 3)."""
    rng, a = np.random.default_rng(seed), np.array([1.0, -2.0, 0.5])
    return a, 0.04, (rng.standard_normal((n, 1)) * a + 0.2
                     * rng.standard_normal((n, 3))).astype(np.float32)


# ------------------------------------------------------------------------------- terms of the ELBO

def test_the_divergence_of_two_gaussians():
    mean, variance = values(2, 3, seed=1), np.exp(values(2, 3, seed=2))
    got = normal_kl(Tensor(mean), Tensor(np.log(variance))).data
    np.testing.assert_array_equal(normal_kl(Tensor(np.zeros((4, 3))),
                                            Tensor(np.zeros((4, 3)))).data, np.zeros(4))
    np.testing.assert_allclose(normal_kl(Tensor([[3.0]]), Tensor([[0.0]])).data, [4.5])
    np.testing.assert_allclose(normal_kl(Tensor([[0.0]]), Tensor([[math.log(4)]])).data,
                               [1.5 - math.log(2)])
    # E_q[log q - log p], by quadrature over each coordinate
    z, w = np.polynomial.hermite_e.hermegauss(20)
    at = mean[..., None] + np.sqrt(variance)[..., None] * z
    ratio = -0.5 * z ** 2 - 0.5 * np.log(variance)[..., None] + 0.5 * at ** 2
    np.testing.assert_allclose(got, (ratio * w).sum(-1).sum(-1) / math.sqrt(2 * math.pi),
                               rtol=1e-10)


def test_the_log_density():
    x, centre = values(7, seed=1), values(7, seed=2)
    error = Tensor(np.mean((x - centre) ** 2))
    for variance in (0.3, 2.0):
        density = np.exp(-(x - centre) ** 2 / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        expected = -np.log(density).sum()
        np.testing.assert_allclose(normal_nll(error, variance, 7).data, expected)
    best = float(normal_nll(error, None, 7).data)
    np.testing.assert_allclose(best, normal_nll(error, float(error.data), 7).data)
    assert all(best < float(normal_nll(error, float(error.data) * k, 7).data) for k in (0.9, 1.1))


def test_gradients_of_both_terms():
    def nll(variance):
        return lambda x, y: normal_nll(ldf.mean(ldf.square(x - y)), variance, 4)

    ldf.check_grads(normal_kl, [values(3, 2), values(3, 2, seed=1)], order=2)
    for variance in (None, 0.7):
        ldf.check_grads(nll(variance), [values(2, 4), values(2, 4, seed=1)], order=2, rtol=1e-4)

    # negative control: e^v taken for a constant, as by a detach in the wrong place
    def wrong(mean, log_variance):
        return (ldf.square(mean) + ldf.exp(log_variance.detach()) - log_variance).sum() * 0.5

    with pytest.raises(AssertionError, match="argument 1, order 1"):
        ldf.check_grads(wrong, [values(3, 2), values(3, 2, seed=1)], order=2)


# ---------------------------------------------------------------------------------------- learning

def check_line(model):
    """The least -ELBO of a linear VAE is -log N(x; 0, a a^T + s^2 I), at q(z|x) = p(z|x) (Tipping
    and Bishop 1999)."""
    a, noise, x = line(seed=1)
    covariance = np.outer(a, a) + noise * np.eye(3)
    entropy = 0.5 * (3 * math.log(2 * math.pi * math.e) + np.linalg.slogdet(covariance)[1])
    losses = model._losses(Tensor(x))[1]
    assert abs(float(losses["nll"].data + losses["kl"].data) - entropy) < 0.1, (
        losses["nll"].data, losses["kl"].data, entropy)
    np.testing.assert_allclose(np.cov(model.sample(20_000, ldf.Generator(3)).T), covariance,
                               atol=0.35)
    np.testing.assert_allclose(float(model.error.data[0]), noise, rtol=0.25)


def test_a_linear_vae_is_probabilistic_pca():
    model = linear_vae(noisy=True, lr=3e-2)
    with pytest.raises(AssertionError):                 # negative control: untrained, it is not
        check_line(model)
    history = model.fit(line()[2], steps=800, batch_size=64)
    check_line(model)
    assert set(history.losses) == {"nll", "kl"} and history.steps == 800


def test_the_weight_of_the_divergence():
    """With a heavy weight the code says nothing, with none it costs nothing to say much."""
    found = {}
    for weight in (0.0, 100.0):
        model = linear_vae(kl_weight=weight)
        found[weight] = model.fit(line()[2], steps=300, batch_size=64).losses["kl"][-1]
    assert found[100.0] < 0.01 and found[0.0] > 1


def test_a_fixed_variance():
    model = linear_vae(variance=0.25, noisy=True)
    with nn.evaluation(model):
        still = model._apply(model.decoder, ldf.Generator(3).standard_normal((20_000, 1)))
    np.testing.assert_allclose(np.var(model.sample(20_000, ldf.Generator(3)) - still), 0.25,
                               rtol=0.03)


def test_the_autoencoder_learns_and_keeps_to_its_code():
    rng = ldf.Generator(0)
    model = Autoencoder(nn.Linear(3, 1, rng=rng), nn.Linear(1, 3, rng=rng), lr=1e-2)
    _, noise, x = line()
    history = model.fit(x, steps=600, batch_size=64)
    assert set(history.losses) == {"rec_h"}
    # The first principal component leaves two directions of pure noise of three.
    assert np.mean((model.reconstruct(x) - x) ** 2) == pytest.approx(noise * 2 / 3, rel=0.1)
    codes = model.encode(x[:5], "h")
    assert codes.shape == (5, 1)
    np.testing.assert_array_equal(model.decode(codes, "h"), model.reconstruct(x[:5]))
    with pytest.raises(ValueError,
                       match='code: expected "h", the only code of this Autoencoder, got \'z\''):
        model.encode(x, "z")


def test_on_images_in_a_hierarchy(tmp_path):
    """LDF takes them for its levels as they are."""
    clips = np.random.default_rng(0).integers(0, 256, (70, 2, 32, 32, 3), dtype=np.uint8)
    for bottom, top in ((baselines.frame_vae(), baselines.mlp_vae(5, 4, 8, noisy=True)),
                        (baselines.frame_autoencoder(), GaussianTop(5))):
        shape = bottom.encode(clips[:2, 0]).shape[1:]
        model = ldf.LDF([ldf.Level(bottom, ldf.Frames(2), bottom.code)], top,
                        ldf.Whitening((2, *shape), 5))
        histories = model.fit(clips, steps=5, batch_size=16, bottom_share=0.6)
        assert histories["top"].steps == 2 and histories["level 0"].steps == 3
        sample = model.sample(4, ldf.Generator(1))
        assert sample.shape == (4, 2, 32, 32,
                                3) and np.isfinite(sample).all() and np.abs(sample).max() <= 1
        model.save(tmp_path / "model.safetensors")
        model.top.sample(1)
        np.testing.assert_array_equal(
            model.load(tmp_path / "model.safetensors").sample(4, ldf.Generator(1)), sample)


def test_the_same_seed_gives_the_same_bits():
    a, b, other = linear_vae(), linear_vae(), linear_vae(seed=4)
    assert a.fit(line()[2], steps=10).losses == b.fit(line()[2],
                                                      steps=10).losses != other.fit(
                                                          line()[2], steps=10).losses
    np.testing.assert_array_equal(weights(a), weights(b))


def test_what_a_vae_refuses():
    plain = Encoder(lambda x: x, nn.Linear(3, 2, rng=ldf.Generator(0)))
    with pytest.raises(ValueError, match="encoder: expected a stochastic one"):
        VAE(plain, nn.Linear(1, 3, rng=ldf.Generator(0)), 1)
    with pytest.raises(ValueError, match="variance: expected a positive number, got 0"):
        linear_vae(variance=0.0)
    with pytest.raises(ValueError,
                       match="kl_weight: expected a finite number of at least 0, got -1"):
        linear_vae(kl_weight=-1.0)


# -------------------------------------------------------------------------------- the Gaussian top

def check_gaussian(model, mean, covariance):
    drawn = model.sample(100_000, ldf.Generator(5))
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.03)


def test_the_gaussian_has_the_mean_and_the_covariance():
    x = (values(500, 3) @ values(3, 3, seed=1) * 0.6 + [1.0, -2.0, 0.0]).astype(np.float32)
    model, own, wrong = GaussianTop(3), np.cov(x.T, bias=True), GaussianTop(3)
    check_gaussian(model, np.zeros(3), np.eye(3))       # before it has learned
    history = model.fit(x, batch_size=64, minutes=1)
    assert history.steps == 8 and set(history.losses) == {"square"}
    np.testing.assert_allclose(model.root.data.T @ model.root.data, own, atol=1e-5)
    check_gaussian(model, x.mean(axis=0), own)
    wrong.fit(x, minutes=1)
    wrong.root.data[...] = np.diag(np.sqrt(np.diag(own)))
    with pytest.raises(AssertionError):                 # negative control: without the correlations
        check_gaussian(wrong, x.mean(axis=0), own)
    assert model.fit(x, steps=2, batch_size=50).steps == 2
    # what it has seen
    np.testing.assert_allclose(model.mean.data, x[:100].mean(axis=0), atol=1e-5)
    with pytest.raises(ValueError,
                       match=r"x: expected vectors \(n, 3\), got shape \(500, 2\)"):
        model.fit(x[:, :2], steps=1)


# ----------------------------------------------------------- a joint GAN's critic of single frames

def framed(seed=0, **settings):
    return baselines.framed_joint_gan(frames=3, size=8, channels=2, latent_size=4, hidden=16,
                                      seed=seed, **settings)


CLIPS = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8, 2), dtype=np.uint8)


def test_the_frame_critic_trains_on_frames():
    model, before = framed(), framed().state_dict()
    history = model.fit(CLIPS, CLIPS[:, 0], steps=3, batch_size=8)
    assert set(history.losses) == {"D", "D frames", "G", "G frames"} and history.steps == 3
    after = model.state_dict()
    moved = {name.split(".")[0] for name in before if not np.array_equal(before[name], after[name])}
    assert moved >= {"generator", "discriminator", "frame_discriminator"}
    assert model.sample(5).shape == (5, 3, 8, 8, 2)
    assert framed().fit(CLIPS, steps=2, batch_size=8).steps == 2        # the clips' own frames


def test_it_sees_one_frame_of_each_clip():
    images = values(7, 4, 4, 6, dtype=np.float32)
    got = framed()._singles(Tensor(images)).data
    clips = images.reshape(7, 4, 4, 3, 2)
    order = [0, 3, 6, 1, 4, 2, 5]
    np.testing.assert_array_equal(got, np.stack([clips[k, :, :, k % 3] for k in order]))
    ldf.check_grads(lambda x: framed()._singles(x), [values(5, 2, 2, 6)], order=1)


def test_the_frames_it_is_given_teach_it():
    """After training on black frames it calls black real; on white ones it does not."""
    black = np.zeros((50, 8, 8, 2), np.uint8)

    def preference(frames):
        model = framed(gamma=1.0)
        model.fit(CLIPS, frames, steps=15, batch_size=8)
        with ldf.no_grad():
            dark, bright = (
                float(
                    model.frame_discriminator(
                        Tensor(np.full((1, 8, 8, 2), v, np.float32))).data[0, 0])
                            for v in (-1, 1))
        return dark - bright

    assert preference(black) > 0 > preference(255 - black)


def test_what_the_frame_critic_refuses():
    with pytest.raises(ValueError,
                       match=r"frames: expected single frames \(8, 8, 2\), got shape \(40, 3, "):
        framed().fit(CLIPS, CLIPS, steps=1, batch_size=8)
    with pytest.raises(ValueError,
                       match="frames: expected None, for this model has no frame_discriminator"):
        baselines.joint_gan(frames=3, size=8, channels=2).fit(CLIPS, CLIPS[:, 0], steps=1)


def test_the_rivals_are_of_one_size():
    """Parameter counts within a tenth of LDF's, by the width of the dense layers."""
    size = sum(p.size for p in nets.clip_ldf(np.zeros((40, 5, 32, 32, 3), np.uint8)).parameters())
    for make in (baselines.framed_joint_gan, baselines.joint_ali):
        model = baselines.matched(lambda hidden, make=make: make(hidden=hidden), size, 128, 1024)
        assert sum(p.size for p in model.parameters()) == pytest.approx(size, rel=0.1)
