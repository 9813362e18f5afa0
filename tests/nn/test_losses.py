"""The adversarial losses: closed forms, their values at the equilibrium, and how the kinds
relate."""

import math

import numpy as np
import pytest
from helpers import values

import ldf_np as ldf
from ldf_np.autodiff.engine import Tensor, grad
from ldf_np.nn import losses
from ldf_np.nn.losses import (
    KINDS,
    ali_loss,
    check_metric,
    colour_metric,
    discriminator_loss,
    generator_loss,
    reconstruction_loss,
)

REAL, FAKE = values(5, 1), values(5, 1, seed=1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# With D = sigmoid(logit), as the papers write them.
DISCRIMINATOR = dict.fromkeys(["non-saturating", "saturating", "bgan"],
                              lambda r, f: -np.mean(np.log(sigmoid(r)) + np.log(1 - sigmoid(f))))
DISCRIMINATOR["least-squares"] = lambda r, f: np.mean((r - 1) ** 2 + f ** 2) / 2
DISCRIMINATOR["relativistic"] = lambda r, f: -np.mean(np.log(sigmoid(r - f)))
GENERATOR = {
    "non-saturating": lambda f, r: -np.mean(np.log(sigmoid(f))),
    "saturating": lambda f, r: np.mean(np.log(1 - sigmoid(f))),
    "least-squares": lambda f, r: np.mean((f - 1) ** 2) / 2,
    "bgan": lambda f, r: np.mean((np.log(sigmoid(f)) - np.log(1 - sigmoid(f))) ** 2) / 2,
    "relativistic": lambda f, r: -np.mean(np.log(sigmoid(f - r))),
}
ALI = {
    "non-saturating": lambda r, f: -np.mean(np.log(1 - sigmoid(r)) + np.log(sigmoid(f))),
    "saturating": lambda r, f: np.mean(np.log(sigmoid(r)) + np.log(1 - sigmoid(f))),
    "least-squares": lambda r, f: np.mean(r ** 2 + (f - 1) ** 2) / 2,
    "bgan": lambda r, f: np.mean(r ** 2 + f ** 2) / 2,
    "relativistic": lambda r, f: -np.mean(np.log(sigmoid(f - r))),
}


def check_kind(kind, discriminator, generator, ali):
    real, fake = Tensor(REAL), Tensor(FAKE)
    np.testing.assert_allclose(discriminator(real, fake, kind).data,
                               DISCRIMINATOR[kind](REAL, FAKE))
    np.testing.assert_allclose(generator(fake, kind, real).data,
                               GENERATOR[kind](FAKE, REAL))
    np.testing.assert_allclose(ali(real, fake, kind).data, ALI[kind](REAL, FAKE))


@pytest.mark.parametrize("kind", KINDS)
def test_closed_forms(kind):
    check_kind(kind, discriminator_loss, generator_loss, ali_loss)


@pytest.mark.parametrize("kind", KINDS)
def test_the_sign_slip_of_the_paper_is_found(kind):
    """Negative control: real and fake exchanged."""
    with pytest.raises(AssertionError):
        check_kind(kind, lambda r, f, k: discriminator_loss(f, r, k), generator_loss, ali_loss)


def test_the_cotangent_of_a_mean_is_one_number():
    """The rule of the losses' own rule sums over all logits at once, whatever their shape."""
    logits = Tensor(REAL)
    y = losses.softplus_mean(logits)
    cotangent = Tensor(np.ones(()))
    first = grad(y, logits, cotangent, create_graph=True)
    rule = first.node.operation.vjp(0, first, first, *first.node.inputs, **first.node.params)
    assert rule.shape == ()


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    ldf.check_grads(lambda r, f: discriminator_loss(r, f, kind), [REAL, FAKE], order=3)
    ldf.check_grads(lambda f: generator_loss(f, kind, Tensor(REAL)), [FAKE], order=3)
    ldf.check_grads(lambda r, f: ali_loss(r, f, kind), [REAL, FAKE], order=3)


def test_the_equilibrium():
    """Where D cannot tell, every logit is 0 and both losses of ALI are log 4."""
    zero = Tensor(np.zeros((3, 1)))
    for kind, g in (("non-saturating", math.log(2)), ("saturating", -math.log(2)), ("bgan", 0)):
        np.testing.assert_allclose(discriminator_loss(zero, zero, kind).item(), math.log(4))
        np.testing.assert_allclose(generator_loss(zero, kind).item(), g, atol=1e-15)
    np.testing.assert_allclose(ali_loss(zero, zero).item(), math.log(4))
    half = Tensor(np.full((3, 1), 0.5))         # the equilibrium of least squares
    np.testing.assert_allclose(discriminator_loss(half, half, "least-squares").item(), 0.25)
    for kind, logits in (("non-saturating", zero), ("least-squares", half)):
        g = grad(discriminator_loss(logits, logits, kind), logits)
        # what one batch asks for the other forbids
        np.testing.assert_allclose(g.data, 0, atol=1e-15)


def test_saturating_and_non_saturating_gradients():
    """They point the same way; their ratio is D / (1 - D), and D plus 1 - D make one."""
    fake = Tensor(FAKE)
    saturating, other = (grad(generator_loss(fake, kind), fake).data
                         for kind in ("saturating", "non-saturating"))
    np.testing.assert_allclose(saturating, other * np.exp(FAKE))
    np.testing.assert_allclose(saturating + other, -1 / len(FAKE))
    # a sample that D is sure of: only one of them still learns
    far = Tensor(np.full((1, 1), -50.0))
    assert abs(grad(generator_loss(far, "saturating"), far).item()) < 1e-20
    np.testing.assert_allclose(grad(generator_loss(far, "non-saturating"), far).item(), -1)


def test_the_saturating_game_has_sum_zero():
    real, fake = Tensor(REAL), Tensor(FAKE)
    ge, d = (loss(real, fake, "saturating").item() for loss in (ali_loss, discriminator_loss))
    np.testing.assert_allclose(ge, -d)


def test_far_logits_are_finite():
    far = Tensor(np.array([[-1e4], [1e4]], np.float32))
    for kind in KINDS:
        for loss in (discriminator_loss(far, far, kind), generator_loss(far, kind, far),
                     ali_loss(far, far, kind)):
            assert np.isfinite(
                loss.item()) and loss.dtype == np.float32 and np.isfinite(
                    grad(loss, far).data).all()


def test_reconstruction():
    x, y = values(3, 2, 2, 1), values(3, 2, 2, 1, seed=1)
    for first in (x, Tensor(x)):
        np.testing.assert_allclose(reconstruction_loss(first, Tensor(y)).item(),
                                   np.mean((x - y) ** 2))
    ldf.check_grads(reconstruction_loss, [x, y], order=2)


def few_colours():
    """Images of two colours with a few pixels of a third."""
    rng = np.random.default_rng(0)
    colours = np.array([[0.8, -0.1, -0.1], [-1.0, -0.8, 0.1], [0.6, 0.2, -0.7]])
    return colours[rng.choice(
        3, (4, 8, 8), p=[0.5, 0.48, 0.02])] + 0.01 * rng.standard_normal((4, 8, 8, 3))


def test_the_colour_metric():
    images = few_colours()
    pixels = images.reshape(-1, 3)
    np.testing.assert_allclose(colour_metric(images, 0), np.eye(3), atol=1e-5)
    variances = []
    for strength in (0.0, 0.2, 1.0):
        metric = colour_metric(images, strength).astype(float)
        seen = np.cov((pixels @ metric).T)
        # the variance is kept
        np.testing.assert_allclose(np.trace(seen), np.trace(np.cov(pixels.T)), rtol=1e-5)
        variances.append(np.linalg.eigvalsh(seen))
    assert np.all(np.diff([v[0] / v[-1] for v in variances]) > 0)
    # 1: whitened
    np.testing.assert_allclose(variances[-1], variances[-1].mean(), rtol=1e-4)
    as_bytes = colour_metric(np.round((images + 1.5) * 80).astype(np.uint8))
    # whatever the scale
    np.testing.assert_allclose(as_bytes, colour_metric(images), atol=0.05)
    # one colour
    assert np.isfinite(colour_metric(np.ones((2, 2, 2, 3)))).all()


def test_the_colour_metric_in_the_reconstruction():
    x, y, metric = values(
        3, 2, 2, 3), values(3, 2, 2, 3, seed=1), colour_metric(few_colours(), 0.5).astype(float)
    np.testing.assert_allclose(reconstruction_loss(x, Tensor(y), metric).item(),
                               np.mean(((x - y) @ metric) ** 2))
    ldf.check_grads(lambda x, y: reconstruction_loss(x, y, metric), [x, y], order=2)
    with pytest.raises(ValueError, match="strength: expected a number in .0, 1., got 2"):
        colour_metric(few_colours(), 2)
    with pytest.raises(ValueError, match="images: expected at least two pixels"):
        colour_metric(np.ones((1, 1, 1, 3)))


def test_what_is_taken_as_a_metric_and_as_images():
    np.testing.assert_array_equal(check_metric(np.eye(3)), np.eye(3, dtype=np.float32))
    assert check_metric(np.eye(3)).dtype == np.float32 and check_metric(None) is None
    images = few_colours()
    # pixels, clips
    for same in (images.reshape(-1, 3), images.reshape(2, -1, *images.shape[1:])):
        np.testing.assert_allclose(colour_metric(same), colour_metric(images), atol=1e-5)
    with pytest.raises(ValueError, match="images: expected channels in the last axis"):
        colour_metric(np.moveaxis(np.ones((2, 8, 8, 3)), -1, 1))


@pytest.mark.parametrize("function", [
    lambda k: discriminator_loss(Tensor(REAL), Tensor(FAKE), k),
    lambda k: generator_loss(Tensor(FAKE), k), lambda k: ali_loss(Tensor(REAL), Tensor(FAKE), k)])
def test_an_unknown_kind(function):
    with pytest.raises(ValueError, match="kind: expected one of non-saturating, .*, got 'hinge'"):
        function("hinge")
