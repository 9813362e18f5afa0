"""Gradient penalties on discriminators, by real double backpropagation.

Roth et al. 2017 derive, from noise added to both distributions, the regularizer (their equation 21)

    gamma/2 * mean[(1 - sigma(l_r))^2 |grad l_r|^2 + sigma(l_f)^2 |grad l_f|^2]

with the gradient of the *logit* with respect to all of the discriminator's inputs, at detached pairs. The norm
is squared (no root, whose derivative at 0 is NaN) and sums over all axes but the batch. The weights sigma(l) are
differentiated too. It is meaningless where the discriminator couples the samples of a batch.
"""

import numpy as np

from .backend import array_module
from .engine import Tensor, grad, unchanging
from .ops import mean, reshape, sigmoid, sqrt, square
from .ops import sum as sum_

KINDS = ("roth", "unweighted", "r1", "wgan-gp", "none")


def check_penalty(kind, gamma=0.0):
    """Raise ValueError unless ``kind`` is one of KINDS and ``gamma`` not negative."""
    if kind not in KINDS:
        raise ValueError(f"penalty: expected one of {', '.join(KINDS)}, got {kind!r}")
    if not gamma >= 0:
        raise ValueError(f"gamma: expected a non-negative number, got {gamma!r}")


def squared_gradient_norms(logits, inputs):
    """sum over inputs and all non-batch axes of (d logit_n / d input_n)^2: (n,), differentiable."""
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for k, x in enumerate(inputs):
        if x.shape[0] != logits.shape[0]:
            raise ValueError(f"inputs[{k}]: expected a batch of {logits.shape[0]} as in logits, got shape {x.shape}")
    grads = grad(sum_(logits), inputs, create_graph=True)
    norms = [sum_(square(reshape(g, (g.shape[0], -1))), axis=1) for g in grads]
    return norms[0] if len(norms) == 1 else sum(norms[1:], norms[0])


def roth_penalty(logits, inputs, real):
    """The batch mean of weight^2 |grad logit|^2 (Roth et al. 2017), differentiable.

    Parameters
    ----------
    logits : Tensor (n,) or (n, 1)
        Computed from ``inputs``, sample by sample.
    inputs : Tensor or sequence of Tensors (n, ...)
        All inputs of the discriminator, leaves of their own (detached from what made them).
    real : bool or boolean array (n,)
        Which samples are real: their weight is 1 - sigma(logit), that of the others sigma(logit).
    """
    flat = reshape(logits, -1)
    xp = array_module(flat.data)
    real = xp.asarray(real)
    if real.shape not in ((), flat.shape):
        raise ValueError(f"real: expected one boolean, or one a sample {flat.shape}, got shape {real.shape}")
    # 1 - sigma(l) = sigma(-l)
    sign = xp.where(real, xp.asarray(-1, flat.dtype), xp.asarray(1, flat.dtype))
    return mean(square(sigmoid(flat * sign)) * squared_gradient_norms(logits, inputs))


def penalized_logits(discriminator, real, fake, kind="roth", rng=None):
    """One pass of a discriminator over both batches, and its penalty.

    Parameters
    ----------
    discriminator : callable
        Tensors (n, ...) to logits (n, 1), sample by sample (both batches go through it as one).
    real, fake : sequences of arrays (n, ...), one an input
    kind : "roth", "unweighted" (every weight 1: what ALI's and Roth's released code ran; also R1 + R2), "r1"
        (Mescheder et al. 2018: real samples only), "wgan-gp" (Gulrajani et al. 2017: (|grad l| - 1)^2 between
        real and fake, with ``rng`` drawing the points), or "none".

    Returns
    -------
    logits of real (n, 1), logits of fake (n, 1), penalty (to be multiplied by gamma/2; a Tensor, or 0.0).
    """
    check_penalty(kind)
    n = len(real[0])
    if any(len(array) != n for array in (*real, *fake)):
        raise ValueError("real, fake: expected arrays of one batch size, "
                         f"got shapes {[a.shape for a in real]} and {[a.shape for a in fake]}")
    xp = array_module(real[0])
    inputs = [unchanging(xp.concatenate([r, f])) for r, f in zip(real, fake, strict=True)]
    logits = discriminator(*inputs)
    is_real = xp.arange(2 * n) < n
    if kind == "roth":
        penalty = 2.0 * roth_penalty(logits, inputs, is_real)        # two means over n, not one over 2n
    elif kind == "unweighted":
        penalty = 2.0 * mean(squared_gradient_norms(logits, inputs))
    elif kind == "r1":
        penalty = mean(squared_gradient_norms(logits, inputs)[:n])
    elif kind == "wgan-gp":
        penalty = _wgan_penalty(discriminator, real, fake, rng)
    else:
        penalty = 0.0
    return logits[:n], logits[n:], penalty


def _wgan_penalty(discriminator, real, fake, rng):
    if rng is None:
        raise ValueError("penalty: wgan-gp draws points between real and fake: give rng, a Generator")
    t = rng.random(len(real[0]))
    between = [Tensor(f + t.reshape(-1, *[1] * (r.ndim - 1)) * (r - f)) for r, f in zip(real, fake, strict=True)]
    norms = squared_gradient_norms(discriminator(*between), between)
    return mean(square(sqrt(norms + 1e-12) - 1.0))      # the root stays away from 0


def annealed(gamma, progress, final=0.01):
    """gamma_t = gamma_0 * final^(t/T): the strength at ``progress`` = t/T in [0, 1] (Roth et al. 2017)."""
    return float(gamma * final ** float(np.clip(progress, 0, 1)))
