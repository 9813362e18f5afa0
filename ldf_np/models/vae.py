"""Baselines of LDF's levels that play no game: an autoencoder or a VAE for ALI, a Gaussian or a VAE
for the top GAN."""

import math

import numpy as np

from ..autodiff import norm, ops
from ..autodiff.engine import Tensor, wide
from ..nn.layers import Sequential
from ..nn.losses import check_metric, reconstruction_loss
from ..nn.module import Buffer, Parameter
from ..nn.optim import Adam, falling
from ..runtime.checks import finite_array, real, same_shape, shaped
from ..runtime.device import asarray, to_numpy
from ..runtime.random import Generator
from ..runtime.rules import checked, covariance_size, stochastic, tensor_or
from ..training.loop import train
from .ali import draw
from .base import Coder, LatentModel


@checked(same_shape("mean", "log_variance"))
def normal_kl(mean, log_variance):
    """KL(N(mean, diag exp(log_variance)) | N(0, I)) of each row: (n, d) and (n, d) -> (n,).

    1/2 sum_k (mean_k^2 + exp(log_variance_k) - log_variance_k - 1) (Kingma and Welling 2014,
    Appendix B).
    """
    mean, log_variance = wide(mean), wide(log_variance)
    return (ops.square(mean) + ops.exp(log_variance) - log_variance - 1.0).sum(axis=-1) * 0.5


@checked(error=tensor_or(real(0)))
def normal_nll(error, variance, size):
    """-log N(x; x^, variance I) for x of ``size`` numbers with a mean squared error of ``error``: a
    Tensor or a number.

    size/2 (log(2 pi variance) + error / variance). ``variance`` None: the one that makes it least,
    which is ``error`` itself.
    """
    error = wide(error) if isinstance(error, Tensor) else error
    if variance is None:
        return (ops.log(error) + (math.log(2 * math.pi) + 1.0)) * (0.5 * size)
    return (error * (1.0 / variance) + math.log(2 * math.pi * variance)) * (0.5 * size)


class Autoencoder(Coder):
    """x -> h -> x, trained by the reconstruction loss alone: ALI's shortcut without its
    discriminator. Its code is "h".

    Parameters
    ----------
    encoder, decoder : Module
        x to h and h to x: the bodies of an ALI's encoder and decoder.
    colour_metric : array (c, c), optional
        For images: the error is that of their colours times it (``losses.colour_metric``).
    lr, betas, final_lr : Adam's settings; the rate falls linearly to the part ``final_lr`` of
        itself in the second half.
    seed : int
        Of the order of the batches.
    """

    @checked()
    def __init__(self, encoder, decoder, *, colour_metric=None, lr=2e-3, betas=(0.9, 0.99),
                 final_lr=0.1, seed=0):
        self.encoder, self.decoder = encoder, decoder
        self.final_lr, self.rng = final_lr, Generator(seed)
        self.colour_metric = check_metric(colour_metric)
        self.optimizer = Adam(Sequential(encoder, decoder), lr, betas)

    def _codes(self):
        return {"h": (self.encoder, self.decoder)}

    def _step(self, x, progress):
        total, losses = self._losses(Tensor(x))
        self.optimizer.step(self.optimizer.network.gradients(total),
                            falling(progress, self.final_lr))
        return losses

    def _losses(self, x):
        """What is made least, and {name: loss}."""
        error = reconstruction_loss(x, self.decoder(self.encoder(x)), self.colour_metric)
        return error, {"rec_h": error}


class VAE(Autoencoder, LatentModel):
    """A variational autoencoder (Kingma and Welling 2014) with a Gaussian decoder. Its code is "z",
    and h is not one.

    It is trained to make -ELBO least, the mean over x of

        KL(q(z|x) | N(0, I)) - E_q log N(x; G(z), variance I)
        with q(z|x) = N(mean(x), diag exp(log_variance(x)))

    and one draw of z from q a step. As an upper level it can learn the codes z of a lower one, for
    it is a model of vectors.

    Parameters
    ----------
    encoder, decoder : ali.Encoder with ``stochastic=True``, and Module (n, latent_size) -> (n, ...)
    latent_size : int
        The length of z.
    variance : float, optional
        Of the decoder. By default that under which the batch is likeliest, its mean squared error,
        so that no weight between the two terms has to be found (Rybkin, Daniilidis and Levine
        2021).
    kl_weight : float
        Of the first term; 1 gives the ELBO.
    colour_metric : array (c, c), optional
        For images: the error is that of their colours times it, as in ALI: a Gaussian with that
        fixed metric (the constant that it adds to the log-density is left out).
    noisy : bool
        Whether samples are draws from N(G(z), variance I) rather than its mean, as a level above
        another needs: the codes below have that spread. The variance is then a moving average of
        the batches' errors.
    lr, betas, final_lr : Adam's settings; the rate falls linearly to the part ``final_lr`` of
        itself in the second half.
    seed : int
        Of the training noise (not of the weights: layers take a Generator of their own).
    """

    @checked(encoder=stochastic)
    def __init__(self, encoder, decoder, latent_size, *, variance=None, kl_weight=1.0,
                 colour_metric=None, noisy=False, lr=1e-3, betas=(0.9, 0.99), final_lr=0.1, seed=0):
        self.latent_size, self.variance, self.kl_weight = latent_size, variance, kl_weight
        self.noisy = noisy
        self.error = Buffer(asarray(np.ones(1, np.float32)))    # a moving average of the errors
        super().__init__(encoder, decoder, colour_metric=colour_metric, lr=lr, betas=betas,
                         final_lr=final_lr, seed=seed)

    def _codes(self):
        return {"z": (lambda x: self.encoder.infer(self.encoder.body(x)), self.decoder)}

    def _losses(self, x):
        mean, log_variance = ops.split(self.encoder(x), 2, axis=-1)
        x_hat = self.decoder(draw(mean, log_variance, self.rng))
        error = norm.mean_over_ranks(reconstruction_loss(x, x_hat, self.colour_metric))
        self.error.data += 0.05 * (error.data - self.error.data)
        losses = {"nll": normal_nll(error, self.variance, x.size // len(x.data)),
                  "kl": normal_kl(mean, log_variance).mean()}
        return losses["nll"] + losses["kl"] * self.kl_weight, losses

    def _generate(self, z, rng):
        made = self._apply(self.decoder, z)
        if self.noisy:
            variance = float(self.error.data[0]) if self.variance is None else self.variance
            made += np.float32(math.sqrt(variance)) * to_numpy(rng.standard_normal(made.shape))
        return made


@checked(shaped("x", "n", "size", what="vectors"), x=finite_array(least=2), size=covariance_size)
class GaussianTop(LatentModel):
    """A Gaussian with full covariance over vectors (n, size), in place of the GAN at LDF's top.

    Its parameters are the ``mean`` (size,) and a ``root`` R (size, size) of the covariance, R^T R;
    before ``fit`` those of N(0, I). They lie on the host, as LDF's whitened codes do. ``seed``: of
    samples that are drawn without a Generator.
    """

    def __init__(self, size, seed=0):
        self.size = self.latent_size = size
        self.mean = Parameter(np.zeros(size, np.float32))
        self.root = Parameter(np.eye(size, dtype=np.float32))
        self.rng = Generator(seed)

    def fit(self, x, *, steps=None, minutes=None, batch_size=32, progress=False, callback=None,
            checkpoints=None):
        """The mean and the covariance of x (N, size), the greatest likelihood: one pass over its
        rows, ``batch_size`` a step.

        It ends after that pass; where ``steps`` or ``minutes`` end it sooner, it has seen only the
        rows before. Returns a History, with the mean square of each batch as its "square".
        ``checkpoints``, which other tops take, has no use here: the pass is made again.
        """
        seen, total, products = 0, 0.0, 0.0

        def step(progress):
            nonlocal seen, total, products
            batch = np.asarray(x[seen:seen + batch_size], np.float64)
            seen, total = seen + len(batch), total + batch.sum(axis=0)
            products = products + batch.T @ batch
            return {"square": float(np.square(batch).mean())}

        passes = -(-len(x) // batch_size)
        history = train(step, steps=passes if steps is None else min(steps, passes),
                        minutes=minutes, progress=progress, label="GaussianTop", callback=callback)
        if seen:
            mean = total / seen
            values, vectors = np.linalg.eigh(products / seen - np.outer(mean, mean))
            self.mean.data[...] = mean
            self.root.data[...] = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
        return history

    def _generate(self, z, rng):
        return to_numpy(z) @ self.root.data + self.mean.data
