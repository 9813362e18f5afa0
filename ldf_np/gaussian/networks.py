"""LDF and its joint baseline with linear networks, whose model covariance can be read off the
weights: from the formulas of `curves.py` to the real training code.

A Gaussian family needs no more than linear generators and quadratic discriminators (Feizi et al.
2017, "Understanding GANs: the LQG setting"): D(x) = sum_j a_j (w_j' x)^2 + b sees second moments
and nothing else, so where it is indifferent those of model and data agree.  The shortcut of a
linear ALI is a linear autoencoder, whose optimum is the span of the top principal components (Baldi
and Hornik 1989); the adversarial part gives z its scale.

Everything is in units of the noise: data come divided by sigma, which is known, as for the
estimators of `estimators.py`.
"""

import numpy as np

from .. import nn
from ..autodiff import ops
from ..models.ali import ALI, Decoder, Discriminator, Encoder
from ..models.factors import Frames
from ..models.gan import GAN
from ..models.ldf import LDF, Level
from ..models.whitening import Whitening
from ..runtime.checks import checked, integer
from ..runtime.distributed import rows
from ..runtime.random import Generator
from .curves import predict
from .estimators import hierarchical_estimates, joint_estimates, learn_blocks
from .model import Covariance, block_diagonal, errors


class Square(nn.Module):
    """x^2, elementwise."""

    def forward(self, x):
        return ops.square(x)


class Identity(nn.Module):
    """x itself: a discriminator's path that leaves all the work to its joint part."""

    def forward(self, x):
        return x


def _linear(n_in, n_out, std, rng):
    return nn.Linear(n_in, n_out, bias=False, init=nn.normal(std), rng=rng)


def quadratic_discriminator(size, features, std, rng):
    """sum_j a_j (w_j' x)^2 + b: (n, size) -> logits (n, 1)."""
    return nn.Sequential(_linear(size, features, std, rng), Square(),
                         nn.Linear(features, 1, init=nn.normal(0.1), rng=rng))


class LinearDecoder(Decoder):
    """z -> h -> G h, plus, in training, noise that encodes to nothing: (1 - P) eps, P the
    projection on G's columns.

    Given its code, a frame of the model is exactly that: x = G h + (1 - P) eps.  No gradient flows
    through the noise.
    """

    def __init__(self, head, body, rng):
        super().__init__(head, body)
        self.rng = rng

    def forward(self, z):
        x = super().forward(z)
        if not self.training:
            return x
        noise = rows(self.rng.standard_normal, x.shape, x.dtype)
        Q = np.linalg.qr(self.body.weight.data.T)[0]
        return x + (noise - (noise @ Q) @ Q.T)


class LinearGenerator(nn.Module):
    """z -> z A, plus noise of standard deviation `sigma` in training."""

    def __init__(self, latent_size, size, sigma, std, rng):
        self.linear = _linear(latent_size, size, std, rng)
        self.sigma, self.rng = np.float32(sigma), rng.spawn(1)[0]

    def forward(self, z):
        x = self.linear(z)
        if not (self.training and self.sigma):
            return x
        return x + self.sigma * rows(self.rng.standard_normal, x.shape, x.dtype)


@checked(d=integer(), r=integer())
def linear_ali(d, r, seed=0):
    """The bottom level: frames (n, d) <-> h (r numbers) <-> z ~ N(0, I_r), against a quadratic
    discriminator of (x, z)."""
    rng = Generator(seed)
    encoder = Encoder(_linear(d, r, d**-0.5, rng), _linear(r, r, 1.0, rng))
    decoder = LinearDecoder(_linear(r, r, 1.0, rng), _linear(r, d, d**-0.5, rng), rng.spawn(1)[0])
    joint = quadratic_discriminator(d + r, 8 + 8 * r, d**-0.5, rng)
    # The reconstruction is a mean over d numbers: its weight 3 d makes it three times a sum.
    return ALI(encoder, decoder, Discriminator(Identity(), Identity(), joint), r,
               shortcut_weight=3.0 * d, latent_weight=0.0, gamma=0.1, lr=2e-2,
               discriminator_lr=3e-3, final_lr=0.05, seed=seed + 1)


def linear_ldf(ali, k, r, seed=0):
    """LDF: k frames by one linear ALI, and over their whitened codes (k r numbers) a linear GAN."""
    rng, size = Generator(seed), k * r
    generator = LinearGenerator(size, size, 0.0, size**-0.5, rng)
    top = GAN(generator, quadratic_discriminator(size, 2 * size, 0.4, rng), size, gamma=0.1,
              lr=5e-3, discriminator_lr=3e-2, ema=0.98, seed=seed + 1)
    return LDF([Level(ali, Frames(k), code="h")], top, Whitening((k, r), size, strength=1.0))


def linear_joint_gan(p, q, seed=0):
    """The baseline: one linear GAN on whole objects (n, p) with q latent numbers and unit noise.

    With fewer samples than dimensions its discriminator can tell the samples from anything and
    drives the generator to infinity. Hence a strong, unweighted penalty and a slow generator.
    """
    rng = Generator(seed)
    generator = LinearGenerator(q, p, 1.0, 0.03, rng)
    return GAN(generator, quadratic_discriminator(p, 16, p**-0.5, rng), q, penalty="unweighted",
               gamma=30.0, lr=5e-4, discriminator_lr=5e-3, ema=0.98, seed=seed + 1)


def fit_top(model, x, steps, batch_size=256):
    """Train the top of an LDF whose frames are already learned, on objects (n, k, d): what
    `LDF.fit` does last."""
    codes = model.codes(x)
    white = model.whitening.fit(codes).apply(codes)
    return model.top.fit(white, steps=steps, batch_size=min(batch_size, len(x)))


def _averaged(gan):
    with gan.ema.applied():
        return gan.generator.linear.weight.data.astype(float)


def ldf_covariance(model):
    """The covariance of what a linear LDF generates: G C G' + (1 - P), C that of the codes, all
    from the weights. It is that of what the top makes and the bottom decodes; ``LDF.sample`` then
    calibrates each component, which a covariance that was learned well does not need."""
    k, r = model.whitening.code_shape
    unwhiten = (model.whitening.basis.data * model.whitening.scale.data).astype(float)  # (k r, k r)
    A = unwhiten @ _averaged(model.top).T  # codes = A z
    G = model.models[0].decoder.body.weight.data.T.astype(float)  # (d, r)
    Q, R = np.linalg.qr(G)
    R = np.kron(np.eye(k), R) @ A
    return Covariance(block_diagonal(np.broadcast_to(Q, (k,) + Q.shape)), R @ R.T, 1.0)


def gan_covariance(gan):
    """The covariance of what a linear GAN generates: A A' + 1."""
    Q, R = np.linalg.qr(_averaged(gan).T)
    return Covariance(Q, R @ R.T + np.eye(len(R)), 1.0)


def compare(model, n_joints, n_frames, steps, rng, seed=0):
    """Train LDF and the joint GAN on one data set and measure both beside their formulas: one dict
    for each n_joint.

    `steps`: {"frames", "top", "joint"}.  "joint GAN" is its best moment, looked up every 20 steps,
    truth at hand: no stopping rule could do better.  The frames are learned once; a smaller n_joint
    is the head of a larger one.
    """
    if not model.shared:
        raise ValueError(
            "shared: expected True, for the levels of LDF share one network over the blocks")
    truth, unit = model.covariance(), model.sigma
    frames, objects = model.frames(n_frames, rng), model.joint_samples(max(n_joints), rng)
    blocks = learn_blocks(frames, model.r, unit)

    def measured(c):
        return errors(Covariance(c.basis, c.core * unit**2, c.tail * unit**2), truth)

    ali = linear_ali(model.d, model.r, seed)
    bottom = ali.fit((frames[0] / unit).astype(np.float32), steps=steps["frames"],
                     batch_size=min(256, n_frames))
    rows = []
    for n in n_joints:
        x = (objects[:n] / unit).astype(np.float32)
        ldf = linear_ldf(ali, model.k, model.r, seed)
        top = fit_top(ldf, x, steps["top"])
        gan, path = linear_joint_gan(model.p, model.k * model.r, seed), {}

        def watch(history, gan=gan, path=path):
            if history.steps % 20 == 0:
                path[history.steps] = measured(gan_covariance(gan))

        joint = gan.fit(x.reshape(n, -1), steps=steps["joint"], batch_size=min(128, n),
                        callback=watch)
        best = min(path, key=lambda step: path[step]["frobenius"])
        analytic = {**joint_estimates(objects[:n], unit),
                    **hierarchical_estimates(objects[:n], blocks, unit)}
        predicted = predict(model, n, n_frames)
        rows.append({
            "n_joint": n, "steps": steps, "LDF": measured(ldf_covariance(ldf)),
            "joint GAN": path[best], "joint GAN best step": best,
            "joint GAN at the end": path[max(path)],
            **{name: errors(analytic[name], truth) for name in ("H-full", "J1")},
            **{f"{name} predicted": predicted[name] for name in ("H-full", "J1")},
            "seconds": {"frames": bottom.seconds[-1], "top": top.seconds[-1],
                        "joint": joint.seconds[-1]},
        })
    return rows
