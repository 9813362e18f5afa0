"""The adversarial objectives, on logits l = log(D / (1 - D)): mean losses of the discriminator and
the generator.

"Real" is the batch labelled 1: data for a GAN, (x, E(x)) for ALI. "Fake" is labelled 0: G(z),
(G(z), z). (The objective printed in the LDF paper, Section 2.2, has a sign slip and swaps its P and
Q; this is the one of Dumoulin et al. 2017 and its authors' code.)
"""

import numpy as np

from ..autodiff.conv import conv2d
from ..autodiff.elementwise import sigmoid, square
from ..autodiff.engine import Tensor, operation, wide
from ..autodiff.shapes import mean
from ..kernels import elementwise
from ..runtime import checks
from ..runtime.device import asarray
from ..runtime.relations import real_where_needed, reconstruction_fits, signed
from ..runtime.rules import LOSSES as KINDS  # noqa: F401 (a public name)
from ..runtime.rules import TENSOR, checked, pixels


@operation(vjp=(
    lambda h, _, g, l, sign: mean(h * sigmoid(l * sign)) * sign,
    lambda h, _, g, l, sign: h * g * (s := sigmoid(wide(l) * sign)) * (1 - s) * (1 / l.size)))
def _softplus_mean_vjp(g, logits, sign):
    return elementwise.softplus_mean_vjp(g, logits, sign)


@operation(vjp=lambda g, y, logits, sign=1.0: _softplus_mean_vjp(g, logits, sign=sign))
@checks.checked(signed)         # without the table: these logits are arrays
def softplus_mean(logits, sign=1.0):
    """mean softplus(sign * logits), sign +1 or -1: the terms of the losses, in one pass."""
    return elementwise.softplus_mean(logits, sign)


def _mean_square(x):
    return mean(square(wide(x)))


@checked(real_where_needed)
def discriminator_loss(real, fake, kind="non-saturating"):
    """The discriminator's loss from the logits of both batches.

    mean[softplus(-l_r) + softplus(l_f)] (Goodfellow et al. 2014), for the saturating,
    non-saturating and boundary-seeking generators alike; mean[(l_r - 1)^2 + l_f^2] / 2 for
    "least-squares" (Mao et al. 2017); mean softplus(-(l_r - l_f)), over pairs, for "relativistic"
    (Jolicoeur-Martineau 2019; Huang et al. 2024, equation 2).
    """
    if kind == "relativistic":
        return softplus_mean(real - fake, sign=-1.0)
    if kind == "least-squares":
        return (_mean_square(real - 1.0) + _mean_square(fake)) * 0.5
    return softplus_mean(real, sign=-1.0) + softplus_mean(fake)


@checked(real_where_needed)
def generator_loss(fake, kind="non-saturating", real=None):
    """The generator's loss from the logits of its samples, and of ``real`` ones where they count.

    "non-saturating": mean softplus(-l_f). "saturating": -mean softplus(l_f), the minimax game
    itself. "least-squares": mean (l_f - 1)^2 / 2. "bgan": mean l_f^2 / 2, boundary seeking (Hjelm
    et al. 2018). "relativistic": mean softplus(-(l_f - l_r)), over pairs.
    """
    if kind == "relativistic":
        return softplus_mean(fake - real, sign=-1.0)
    if kind == "saturating":
        return -softplus_mean(fake)
    if kind == "least-squares":
        return _mean_square(fake - 1.0) * 0.5
    if kind == "bgan":
        return _mean_square(fake) * 0.5
    return softplus_mean(fake, sign=-1.0)


@checked(real=TENSOR)
def ali_loss(real, fake, kind="non-saturating"):
    """The loss of encoder and decoder together, which want the labels exchanged: L_GE =
    mean[softplus(l_r) + softplus(-l_f)] (Dumoulin et al. 2017, labels as in its authors' code), or
    its variant of another kind; "relativistic": mean softplus(l_r - l_f)."""
    if kind == "relativistic":
        return generator_loss(fake, kind, real)
    of_real = _mean_square(real) * 0.5 if kind == "least-squares" else generator_loss(-real, kind)
    return generator_loss(fake, kind) + of_real


@checked(reconstruction_fits)
def reconstruction_loss(x, reconstruction, metric=None):
    """mean |x - x^|^2 over batch and pixels; with a ``metric`` (c, c), of the difference's colours
    times it (images only)."""
    x = x if isinstance(x, Tensor) else Tensor(x)
    difference = x - reconstruction
    if metric is not None:
        difference = conv2d(difference, Tensor(metric.reshape(1, 1, *metric.shape)))
    return _mean_square(difference)


@checked()
def check_metric(colour_metric):
    """None, or float32 (c, c); ValueError for another shape, NaN or infinity."""
    return None if colour_metric is None else asarray(colour_metric, np.float32)


@checked(images=pixels)
def colour_metric(images, strength=0.2):
    """A metric for ``reconstruction_loss``, float32 (c, c), under which rare colours count more.

    Where an image has few colours nearly all of their variance lies along one axis, and an error
    across it (a ghost of the wrong colour) hardly shows in the squared error. With C = U diag(v)
    U^T the covariance of the colours, W = U diag(v^(-strength/2)) U^T divides by a part of each
    axis's standard deviation; 0 changes nothing, 1 whitens. W is scaled so that the images'
    variance stays what it was.

    ``images``: (n, ..., c), float32 or uint8. Raises ValueError for fewer than two pixels or a
    strength outside [0, 1].
    """
    colours = np.asarray(images).reshape(-1, images.shape[-1]).astype(np.float64)
    covariance = np.atleast_2d(np.cov(colours.T))
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 1e-6 * values.max() + 1e-12)
    metric = (vectors * values ** (-strength / 2)) @ vectors.T
    variance = np.trace(metric @ covariance @ metric.T)
    return (metric * np.sqrt(values.sum() / variance.clip(1e-12))).astype(np.float32)
