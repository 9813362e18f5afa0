"""Gradient penalties on discriminators, by real double backpropagation.

Roth et al. 2017 derive, from noise added to both distributions, the regularizer (their equation 21)

    gamma/2 * mean[(1 - sigma(l_r))^2 |grad l_r|^2 + sigma(l_f)^2 |grad l_f|^2]

with the gradient of the *logit* with respect to all of the discriminator's inputs, at detached
pairs. The norm is squared (no root, whose derivative at 0 is NaN) and sums over all axes but the
batch. The weights sigma(l) are differentiated too. It is meaningless where the discriminator
couples the samples of a batch.
"""

import numpy as np

from ..autodiff.elementwise import sigmoid, sqrt, square
from ..autodiff.engine import Tensor, grad, immutable, operation
from ..autodiff.shapes import mean, reshape
from ..autodiff.shapes import sum as sum_
from ..kernels import penalty as kernel
from ..runtime import checks
from ..runtime.checks import checked, expect, instance, number_or_array, one_of, several
from ..runtime.device import array_module, concatenate
from ..runtime.distributed import joined, rows
from ..runtime.random import Generator

KINDS = ("roth", "unweighted", "r1", "wgan-gp", "none")
ARRAYS = several(checks.real_array(least=1), what="array (n, ...)")


# T(s, a, b) = sum_nm s_n a_nm b_nm is linear in each: put the cotangent in the hole.

@operation(vjp=(lambda g, y, a, b: scale_rows(b, g), lambda g, y, a, b: scale_rows(a, g)))
def row_dots(a, b):
    """The sum of a * b over all axes but the first: two of (n, ...) -> (n,)."""
    return kernel.row_dots(a, b)


@operation(vjp=(lambda g, y, x, s: scale_rows(g, s), lambda g, y, x, s: row_dots(g, x)))
def scale_rows(x, s):
    """(n, ...) times s (n,)."""
    return kernel.scale_rows(x, s)


def _weighted_norms_vjp(k, c, norms, logits, *grads, signs):
    sigma = sigmoid(logits * signs)
    if k == 0:
        return c * norms * (1 - sigma) * (2 * signs)
    return scale_rows(grads[k - 1], c * square(sigma) * 2)


@operation(vjp_all=_weighted_norms_vjp)
def weighted_norms(logits, *grads, signs):
    """sigma(sign * logit)^2 times the sum of the squares of all grads over all axes but the first:
    (n,)."""
    norms = None
    for g in grads:
        norms = kernel.row_dots(g, g, logits, signs, norms)
    return norms


def _gradients(logits, inputs):
    """[d logit_n / d input_n for each of the inputs], differentiable."""
    inputs = [inputs] if isinstance(inputs, Tensor) else inputs
    total = sum_(instance(Tensor)("logits", logits))
    gradients = grad(total, inputs, create_graph=True, allow_unused=True)
    batches = [g.shape[:1] for g in gradients]
    expect(logits.shape and {*batches} == {logits.shape[:1]}, "inputs",
           f"at least one, each with a batch as in logits {logits.shape}", batches)
    expect(any(g.node or g.data.any() for g in gradients), "logits",
           "something that depends on at least one of the inputs", "logits that do not")
    return gradients


def squared_gradient_norms(logits, inputs):
    """sum over inputs and all non-batch axes of (d logit_n / d input_n)^2: (n,), differentiable."""
    norms = [row_dots(g, g) for g in _gradients(logits, inputs)]
    return sum(norms[1:], norms[0])


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
    expect(real.dtype.kind == "b" and real.shape in ((), flat.shape), "real",
           f"one boolean, or one a sample {flat.shape}", f"{real.dtype} of shape {real.shape}")
    # 1 - sigma(l) = sigma(-l)
    signs = xp.broadcast_to(1 - 2 * real.astype(flat.dtype), flat.shape)
    return mean(weighted_norms(flat, *_gradients(logits, inputs), signs=signs))


@checked(checks.same_shape("real", "fake"), discriminator=checks.function, real=ARRAYS, fake=ARRAYS,
         kind=one_of(*KINDS))
def penalized_logits(discriminator, real, fake, kind="roth", rng=None):
    """One pass of a discriminator over both batches, and its penalty.

    Parameters
    ----------
    discriminator : callable
        Tensors (n, ...) to logits (n, 1), sample by sample (both batches go through it as one).
    real, fake : sequences of arrays (n, ...), one an input
    kind : {"roth", "unweighted", "r1", "wgan-gp", "none"}
        "unweighted": every weight is 1, which is what ALI's and Roth's released code ran (also R1 +
        R2). "r1": real samples only (Mescheder et al. 2018). "wgan-gp": (|grad l| - 1)^2 between
        real and fake (Gulrajani et al. 2017), with ``rng`` drawing the points.

    Returns
    -------
    logits of real (n, 1), logits of fake (n, 1), penalty (to be multiplied by gamma/2; a Tensor, or
    0.0).
    """
    n = len(real[0])
    expect({len(r) for r in real} == {n}, "real, fake", "one batch size", [r.shape for r in real])
    inputs = [immutable(concatenate([r, f])) for r, f in zip(real, fake)]
    with joined(2):
        logits = discriminator(*inputs)
    if kind == "roth":
        is_real = array_module(real[0]).arange(2 * n) < n
        # two means over n, not one over 2n
        penalty = 2.0 * roth_penalty(logits, inputs, is_real)
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
    instance(Generator)("rng, which draws points between real and fake for wgan-gp", rng)
    t = rows(rng.random, (len(real[0]),))
    between = [Tensor(f + t.reshape(-1, *[1] * (r.ndim - 1)) * (r - f))
               for r, f in zip(real, fake)]
    norms = squared_gradient_norms(discriminator(*between), between)
    return mean(square(sqrt(norms + 1e-12) - 1.0))      # the root stays away from 0


@checked(gamma=checks.real(0), progress=number_or_array, final=checks.real(0))
def annealed(gamma, progress, final=0.01, dtype=np.float32):
    """gamma_t = gamma_0 * final^(t/T): the strength at ``progress`` = t/T in [0, 1] (Roth et al.
    2017); a float, or an array of no axes and of ``dtype`` where ``progress`` is an array (1,) on
    the device."""
    if getattr(progress, "shape", ()):
        strength = gamma * final ** array_module(progress).clip(progress, 0, 1)
        return strength.astype(dtype).reshape(())
    return float(gamma * final ** float(np.clip(progress, 0, 1)))
