"""Gradient penalties: closed forms where the logit's gradient is known, a whole discriminator loss
by differences."""

import numpy as np
import pytest
from helpers import doubled, of_parameters, values

import ldf_np as ldf
from ldf_np import nn
from ldf_np.autodiff.engine import Tensor, grad
from ldf_np.models.ali import Discriminator
from ldf_np.nn import penalty as penalty_module
from ldf_np.nn.losses import KINDS as LOSSES
from ldf_np.nn.losses import ali_loss, discriminator_loss
from ldf_np.nn.penalty import (
    KINDS,
    Judged,
    annealed,
    penalized_logits,
    roth_penalty,
    row_squares,
    squared_gradient_norms,
    weighted_norms,
)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


A, C = values(3), values(2, seed=1)
REAL = values(6, 3, seed=2), values(6, 2, seed=3)
FAKE = values(6, 3, seed=4), values(6, 2, seed=5)


def test_the_weighted_norms_of_three_inputs_to_the_third_order():
    signs = np.array([1.0, -1.0, -1.0, 1.0])
    arguments = [values(4), *(values(4, k, seed=k) for k in (1, 2, 3))]
    expected = sigmoid(signs * arguments[0]) ** 2 * sum((g ** 2).sum(1) for g in arguments[1:])
    np.testing.assert_allclose(weighted_norms(*map(Tensor, arguments), signs=signs).data, expected)
    ldf.check_grads(lambda *tensors: weighted_norms(*tensors, signs=signs), arguments, order=3)


def test_the_sums_of_squares_to_the_third_order():
    a = values(4, 2, 3)
    np.testing.assert_allclose(row_squares(Tensor(a)).data, (a ** 2).sum((1, 2)))
    ldf.check_grads(row_squares, [a], order=3)


def linear(x, z):
    """The logit a.x + c.z, whose gradient is (a, c) everywhere."""
    return ldf.reshape(x @ A + z @ C, (-1, 1))


def quadratic(x, z):
    """The logit |x|^2 / 2 + c.z, whose gradient is (x, c)."""
    return ldf.reshape(ldf.square(x).sum(axis=1) * 0.5 + z @ C, (-1, 1))


# ------------------------------------------------------------------------------------ closed forms

def roth_of_linear(real, fake, weight_real=lambda l: sigmoid(-l), weight_fake=sigmoid):
    """gamma/2 times this is Roth's regularizer: the squared norm is a constant."""
    l_r, l_f = (x @ A + z @ C for x, z in (real, fake))
    return (np.mean(weight_real(l_r) ** 2) + np.mean(weight_fake(l_f) ** 2)) * (A @ A + C @ C)


def test_roth_of_a_linear_logit():
    *logits, penalty = penalized_logits(linear, REAL, FAKE, "roth")
    np.testing.assert_allclose(penalty.item(), roth_of_linear(REAL, FAKE))
    for got, (x, z) in zip(logits, (REAL, FAKE), strict=True):
        np.testing.assert_allclose(got.data, (x @ A + z @ C)[:, None])
    # Negative controls: the weights exchanged, or left out, are other numbers.
    assert not np.isclose(penalty.item(), roth_of_linear(REAL, FAKE, sigmoid,
                                                         lambda l: sigmoid(-l)), rtol=1e-3)
    assert not np.isclose(penalty.item(), roth_of_linear(REAL, FAKE, np.ones_like, np.ones_like),
                          rtol=1e-3)


def test_the_weights_of_the_mean():
    """roth_penalty is a mean over its whole batch; of two batches of n the regularizer takes two
    means over n."""
    inputs = [Tensor(np.concatenate(pair)) for pair in zip(REAL, FAKE, strict=True)]
    penalty = roth_penalty(linear(*inputs), inputs, np.arange(12) < 6)
    np.testing.assert_allclose(2 * penalty.item(), roth_of_linear(REAL, FAKE))


@pytest.mark.parametrize("real", [True, False])
def test_one_flag_for_a_whole_batch(real):
    inputs = [Tensor(x) for x in REAL]
    logits = linear(*inputs)
    weight = sigmoid(-logits.data if real else logits.data)
    want = np.mean(weight ** 2) * (A @ A + C @ C)
    np.testing.assert_allclose(roth_penalty(logits, inputs, real).item(), want)
    np.testing.assert_allclose(roth_penalty(ldf.reshape(logits, -1), inputs, real).item(), want)


def test_the_norm_sums_over_all_axes_but_the_batch():
    x = Tensor(values(2, 3, 4, 2))
    logits = ldf.square(x).sum(axis=(1, 2, 3)) * 0.5
    np.testing.assert_allclose(squared_gradient_norms(logits, x).data,
                               (x.data ** 2).sum(axis=(1, 2, 3)))


def test_the_other_kinds_on_a_quadratic_logit():
    (x_r, _), (x_f, _) = REAL, FAKE
    r1, r2 = (np.mean((x ** 2).sum(1) + C @ C) for x in (x_r, x_f))
    rng = ldf.Generator(3)
    np.testing.assert_allclose(penalized_logits(quadratic, REAL, FAKE, "unweighted")[2].item(),
                               r1 + r2)
    np.testing.assert_allclose(penalized_logits(quadratic, REAL, FAKE, "r1")[2].item(), r1)
    t = ldf.Generator(3).random(6).reshape(-1, 1)
    between = x_f + t * (x_r - x_f)
    want = np.mean((np.sqrt((between ** 2).sum(1) + C @ C) - 1) ** 2)
    np.testing.assert_allclose(penalized_logits(quadratic, REAL, FAKE, "wgan-gp", rng)[2].item(),
                               want, rtol=1e-6)
    assert penalized_logits(quadratic, REAL, FAKE, "none")[2] == 0.0


def test_a_gradient_of_norm_one_costs_nothing_in_wgan_gp():
    unit = np.concatenate([A, C]) / np.sqrt(A @ A + C @ C)
    penalty = penalized_logits(lambda x, z: x @ unit[:3] + z @ unit[3:], REAL, FAKE, "wgan-gp",
                               ldf.Generator(0))[2]
    np.testing.assert_allclose(penalty.item(), 0, atol=1e-12)


# ---------------------------------------------------------------------------- differentiated twice

def test_the_weights_of_roth_are_differentiated_too():
    """For the logit a.x: d/da of mean[sigma(l)^2] |a|^2 = mean[2 sigma^2 (1 - sigma) x] |a|^2 +
    mean[sigma^2] 2a."""
    a, x = Tensor(A), Tensor(REAL[0])
    s = sigmoid(REAL[0] @ A)
    g = grad(roth_penalty(x @ a, x, False), a).data
    through_norm = np.mean(s ** 2) * 2 * A
    through_weights = np.mean((2 * s ** 2 * (1 - s))[:, None] * REAL[0], axis=0) * (A @ A)
    np.testing.assert_allclose(g, through_norm + through_weights)
    # negative control: constant weights would be seen
    assert np.abs(through_weights).max() > 0.01


def small_discriminator():
    rng = ldf.Generator(0)
    return doubled(Discriminator(
        nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1, rng=rng), nn.LeakyReLU(0.1),
                      nn.Conv2d(4, 6, 3, 1, rng=rng), nn.Maxout(2),
                     nn.Flatten(), nn.Linear(6, 5, rng=rng), nn.LeakyReLU(0.1)),
        nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Sigmoid()),
        nn.Sequential(nn.Linear(9, 6, rng=rng), nn.LayerNorm(6), nn.LeakyReLU(0.1),
                      nn.Linear(6, 1, rng=rng))))


def ali_discriminator_loss(discriminator, kind, gamma=0.5):
    """L_D with its penalty, as ALI.step forms it, on made-up pairs."""
    real, fake = ((values(4, 8, 6, 2, seed=s), values(4, 3, seed=s + 1)) for s in (0, 2))
    logits_r, logits_f, penalty = penalized_logits(discriminator, real, fake, kind,
                                                   ldf.Generator(1))
    return discriminator_loss(logits_r, logits_f) + penalty * (0.5 * gamma)


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_discriminator_loss_by_differences(kind):
    """Every parameter of an ALI discriminator, double backpropagation included."""
    network = small_discriminator()
    loss = of_parameters(network, lambda: ali_discriminator_loss(network, kind))
    ldf.check_grads(loss, network.parameters(), order=1)
    if kind == "roth":
        ldf.check_grads(loss, network.parameters(), order=2, rtol=1e-4)


def test_a_penalty_without_double_backpropagation_is_found(monkeypatch):
    """Negative control: the same check when the gradient's norm is taken for a constant."""
    network = small_discriminator()
    gradients = penalty_module._gradients
    monkeypatch.setattr(penalty_module, "_gradients",
                        lambda *args: [g.detach() for g in gradients(*args)])
    loss = of_parameters(network, lambda: ali_discriminator_loss(network, "roth"))
    with pytest.raises(AssertionError, match="argument 0, order 1"):
        ldf.check_grads(loss, network.parameters(), order=1)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_generators_gradient_needs_no_pass_of_its_own(loss, kind, apart):
    """Through what is judged already, the loss and its gradient are those of another pass."""
    network = small_discriminator()
    x, made = values(4, 8, 6, 2, seed=0), Tensor(values(4, 8, 6, 2, seed=2))
    z, z_hat = values(4, 3, seed=3), Tensor(values(4, 3, seed=1))
    game = ali_loss(network(Tensor(x), z_hat), network(made, Tensor(z)), loss)
    on_real = on_made = Judged(network, kind, (x, z_hat.data), (made.data, z))
    if apart:
        on_real = Judged(network, kind, (x, z_hat.data))
        on_made = Judged(network, kind, fake=(made.data, z))
    same = ali_loss(on_real.through(True, None, z_hat), on_made.through(False, made, None), loss)
    assert same.item() == pytest.approx(game.item(), rel=1e-12)
    for ours, theirs in zip(grad(same, [z_hat, made]), grad(game, [z_hat, made])):
        np.testing.assert_allclose(ours.data, theirs.data, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("kind", ["none", "r1"])
def test_a_generators_gradient_is_no_penalty(kind):
    """Whichever side comes first, what is not penalized is not."""
    network, x, made = small_discriminator(), values(4, 8, 6, 2, seed=0), Tensor(
        values(4, 8, 6, 2, seed=2))
    judged = Judged(network, kind, fake=(made.data, values(4, 3, seed=3)))
    judged.through(False, made, None)
    assert judged.penalty() == 0.0
    # negative control: a real batch under r1 is
    assert kind == "none" or Judged(network, kind, (x, values(4, 3))).penalty().item() > 0


def test_a_wrong_gradient_would_be_found():
    """Negative control: through the other input the gradient is another."""
    network = small_discriminator()
    x, z = values(4, 8, 6, 2, seed=0), Tensor(values(4, 3, seed=1))
    judged = Judged(network, "none", (x, z.data))
    wrong = grad(discriminator_loss(judged.through(True, None, z * 2.0), z.sum() * 0.0), [z])[0]
    right = grad(discriminator_loss(network(Tensor(x), z), z.sum() * 0.0), [z])[0]
    assert not np.allclose(wrong.data, right.data, rtol=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_of_zero_gives_no_nan(kind):
    """sqrt(0) has an infinite derivative: no penalty may take that root."""
    w = Tensor(np.zeros((3, 1)))
    *_, penalty = penalized_logits(lambda x: x @ w, REAL[:1], FAKE[:1], kind, ldf.Generator(0))
    if kind != "none":
        g = grad(penalty, w)
        assert np.isfinite(penalty.data).all() and np.isfinite(g.data).all()


def test_no_gradient_reaches_what_made_the_pairs():
    """The pairs are given as arrays, so nothing of encoder and decoder can be in the penalty's
    graph."""
    made = Tensor(REAL[0]) * 2.0
    w = Tensor(A)
    *_, penalty = penalized_logits(lambda x: x @ w, (made.data,), FAKE[:1], "roth")
    with pytest.raises(ValueError, match="does not depend"):
        grad(penalty, made)


# ------------------------------------------------------------------------------- annealing, errors

def test_annealing():
    assert annealed(0.5, 0.0) == 0.5
    np.testing.assert_allclose([annealed(0.5, 0.5), annealed(0.5, 1.0)], [0.05, 0.005])
    np.testing.assert_allclose(annealed(2.0, 0.5, final=0.25), 1.0)
    assert annealed(0.5, 7.0) == annealed(0.5, 1.0) and isinstance(annealed(0.5, 0.3), float)
    for progress in (0.0, 0.25, 1.0, 7.0):          # on the device the progress is an array
        array = annealed(0.5, np.array([progress]), final=0.04)
        assert array.shape == () and array.dtype == np.float32
        np.testing.assert_allclose(array, annealed(0.5, progress, final=0.04), rtol=1e-6)


def test_what_is_refused():
    with pytest.raises(ValueError, match="kind: expected one of roth, .*, got 'r3'"):
        penalized_logits(linear, REAL, FAKE, "r3")
    with pytest.raises(TypeError, match="rng, which draws points .*: expected a Generator"):
        penalized_logits(linear, REAL, FAKE, "wgan-gp")
    with pytest.raises(ValueError,
                       match=r"inputs: expected .* a batch as in logits \(6,\), got \[\(3,\)\]"):
        weights = Tensor(A)
        squared_gradient_norms(Tensor(REAL[0]) @ weights, weights)
    with pytest.raises(ValueError, match="real, fake: expected one shape"):
        penalized_logits(linear, REAL, [x[:4] for x in FAKE], "unweighted")
    with pytest.raises(ValueError, match="real: expected"):
        inputs = [Tensor(x) for x in REAL]
        roth_penalty(linear(*inputs), inputs, np.array([True]))
