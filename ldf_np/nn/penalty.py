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
from ..autodiff.engine import Tensor, grad, immutable, operation, why_cut
from ..autodiff.shapes import mean, reshape
from ..autodiff.shapes import sum as sum_
from ..kernels import penalty as kernel
from ..runtime.checks import function, number_or_array, one_of, real
from ..runtime.device import array_module, concatenate
from ..runtime.distributed import joined, rows
from ..runtime.recording import again
from ..runtime.relations import differentiable, one_logit_each, paired, sides
from ..runtime.rules import PENALTIES as KINDS
from ..runtime.rules import checked, draws_points

# T(s, a, b) = sum_nm s_n a_nm b_nm is linear in each: put the cotangent in the hole.

@operation(vjp=(lambda g, y, a, b: scale_rows(b, g), lambda g, y, a, b: scale_rows(a, g)))
def row_dots(a, b):
    """The sum of a * b over all axes but the first: two of (n, ...) -> (n,)."""
    return kernel.row_dots(a, b)


@operation(vjp=lambda g, y, a: scale_rows(a, g * 2))
def row_squares(a):
    """``row_dots(a, a)``."""
    return kernel.row_dots(a, a)


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


def _gradients(logits, inputs, create_graph=True):
    """[d logit_n / d input_n for each of the inputs], differentiable with ``create_graph``."""
    inputs = [inputs] if isinstance(inputs, Tensor) else inputs
    total = sum_(logits)
    gradients = grad(total, inputs, create_graph=create_graph, allow_unused=True)
    differentiable(logits, gradients, lambda: why_cut(total))
    return gradients


@checked()
def squared_gradient_norms(logits, inputs):
    """sum over inputs and all non-batch axes of (d logit_n / d input_n)^2: (n,), differentiable."""
    return _squared_norms(_gradients(logits, inputs))


def _squared_norms(gradients):
    norms = [row_squares(g) for g in gradients]
    return sum(norms[1:], norms[0])


@checked(sides)
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
    # 1 - sigma(l) = sigma(-l)
    signs = xp.broadcast_to(1 - 2 * xp.asarray(real).astype(flat.dtype), flat.shape)
    return mean(weighted_norms(flat, *_gradients(logits, inputs), signs=signs))


class Judged:
    """One pass of a ``discriminator`` over a real or a generated batch, or over both, one below the
    other, and, where the penalty needs them, the gradients of the logits with respect to the
    inputs.

    Parameters
    ----------
    discriminator : callable
        Tensors (n, ...) to logits (n, 1), sample by sample.
    kind : the penalty's kind
    real, fake : sequence of arrays (n, ...), one an input; or None for one of the two
    """

    def __init__(self, discriminator, kind, real=None, fake=None):
        self.discriminator, self.kind = discriminator, kind
        batches = {True: real, False: fake}
        self.inputs = {side: batch for side, batch in batches.items() if batch is not None}
        n = len(next(iter(self.inputs.values()))[0])
        self._rows = {side: slice(k * n, (k + 1) * n) for k, side in enumerate(self.inputs)}
        self._leaves = [immutable(concatenate(some) if some[1:] else some[0])
                        for some in zip(*self.inputs.values())]
        with joined(len(self.inputs)):
            self._logits = discriminator(*self._leaves)
        one_logit_each(self._logits, n, len(self.inputs))
        penalized = kind in ("roth", "unweighted") or (kind == "r1" and True in self.inputs)
        self._gradients = _gradients(self._logits, self._leaves) if penalized else None
        self._constants = self._gradients       # those of ``through``

    def logits(self, real):
        """Those of the real batch, or of the generated one: a Tensor (n, 1)."""
        return self._logits if len(self.inputs) == 1 else self._logits[self._rows[real]]

    def penalty(self):
        """The penalty of these batches: the sum of their means, a Tensor or 0.0."""
        if self._gradients is None:
            return 0.0
        if self.kind == "roth":
            flat = reshape(self._logits, -1)        # weights: 1 - sigma(l) = sigma(-l) where real
            signs = array_module(flat.data).ones_like(flat.data)
            signs[self._rows.get(True, slice(0))] = -1
            norms = weighted_norms(flat, *self._gradients, signs=signs)
        else:
            norms = _squared_norms(self._gradients)
        if self.kind == "r1":
            return mean(norms[self._rows[True]])
        return mean(norms) * len(self.inputs)

    def through(self, real, *inputs):
        """The logits of one batch as a function of the Tensors that made its inputs, to first
        order: l + grad l . (x - x.data). None stands for an input that is data.

        So a generator needs no pass of its own through the discriminator: the gradient of
        softplus(-l(x)), say, is -sigma(-l) grad l, and grad l is known from the penalty.
        """
        if self._constants is None:
            self._constants = _gradients(self._logits, self._leaves, create_graph=False)
        rows = self._rows[real]
        change = sum(row_dots(x, g.data[rows]) for x, g in zip(inputs, self._constants)
                     if x is not None)
        logits = self._logits.data[rows]
        return reshape(change - change.data, logits.shape) + logits


def penalty_between(on_real, on_fake, rng=None):
    """The penalty on a discriminator that has ``Judged`` both batches, perhaps in one pass, to be
    multiplied by gamma/2: a Tensor, or 0.0."""
    if on_real.kind == "wgan-gp":
        return _wgan_penalty(on_real.discriminator, on_real.inputs[True], on_fake.inputs[False],
                             rng)
    if on_real is on_fake:
        return on_real.penalty()
    return on_real.penalty() + on_fake.penalty()


@checked(paired, discriminator=function, kind=one_of(*KINDS), rng=draws_points)
def penalized_logits(discriminator, real, fake, kind="roth", rng=None):
    """A discriminator's logits of both batches, and its penalty.

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
    tuple
        The logits of real (n, 1), those of fake (n, 1), and the penalty (to be multiplied by
        gamma/2; a Tensor, or 0.0).
    """
    judged = Judged(discriminator, kind, real, fake)
    return judged.logits(True), judged.logits(False), penalty_between(judged, judged, rng)


def _wgan_penalty(discriminator, real, fake, rng):
    draws_points("rng", rng)
    t = rows(rng.random, (len(real[0]),))
    between = [Tensor(f + t.reshape(-1, *[1] * (r.ndim - 1)) * (r - f))
               for r, f in zip(real, fake)]
    norms = squared_gradient_norms(discriminator(*between), between)
    return mean(square(sqrt(norms + 1e-12) - 1.0))      # the root stays away from 0


@checked(progress=number_or_array, final=real(0))
def annealed(gamma, progress, final=0.01, dtype=np.float32):
    """gamma_t = gamma_0 * final^(t/T): the strength at ``progress`` = t/T in [0, 1] (Roth et al.
    2017); a float, or an array of no axes and of ``dtype`` where ``progress`` is an array (1,) on
    the device."""
    strength = _annealed(gamma, progress, final)
    return strength if isinstance(strength, float) else strength.astype(dtype).reshape(())


@again
def _annealed(gamma, progress, final):
    if getattr(progress, "shape", ()):
        return gamma * final ** array_module(progress).clip(progress, 0, 1)
    return float(gamma * final ** min(max(float(progress), 0.0), 1.0))
