"""Rivals of LDF's levels that play no game: an autoencoder or a VAE for ALI, a Gaussian or a VAE
for the top GAN."""

import math

import numpy as np

from ..autodiff import norm, ops
from ..autodiff.engine import Tensor, grad
from ..nn.layers import Sequential, generators
from ..nn.losses import check_metric, reconstruction_loss
from ..nn.module import Buffer, Module, Parameter, evaluation
from ..nn.optim import Adam, falling
from ..runtime.checks import check_size, finite, number, numbers, one_of_type, positive, whole
from ..runtime.device import asarray, to_numpy
from ..runtime.distributed import rows
from ..runtime.random import Generator
from ..training.batches import Batches, apply_batched
from ..training.loop import train
from ..training.step import CompiledStep


def normal_kl(mean, log_variance):
    """KL(N(mean, diag exp(log_variance)) | N(0, I)) of each row: (n, d) and (n, d) -> (n,).

    1/2 sum_k (mean_k^2 + exp(log_variance_k) - log_variance_k - 1) (Kingma and Welling 2014,
    Appendix B).
    """
    if one_of_type("mean", mean, Tensor).shape != one_of_type(
        "log_variance", log_variance, Tensor).shape:
        raise ValueError(
            f"mean, log_variance: expected one shape, got {mean.shape} and {log_variance.shape}")
    return (ops.square(mean) + ops.exp(log_variance) - log_variance - 1.0).sum(axis=-1) * 0.5


def normal_nll(error, variance, size):
    """-log N(x; x^, variance I) for x of ``size`` numbers with a mean squared error of ``error``: a
    Tensor or a number.

    size/2 (log(2 pi variance) + error / variance). ``variance`` None: the one that makes it least,
    which is ``error`` itself.
    """
    if not isinstance(error, Tensor):
        number("error", error, 0)
    whole("size", size)
    if variance is None:
        return (ops.log(error) + (math.log(2 * math.pi) + 1.0)) * (0.5 * size)
    positive("variance", variance)
    return (error * (1.0 / variance) + math.log(2 * math.pi * variance)) * (0.5 * size)


class _Model(Module):
    """What an autoencoder and a VAE share: training by one loss, a code, and the way there and
    back.

    ``code`` names the only code that a subclass has.
    """

    def _start(self, lr, betas, final_lr, colour_metric, seed):
        self.final_lr, self.rng = number("final_lr", final_lr, 0), Generator(seed)
        self.colour_metric = check_metric(colour_metric)
        for name in ("encoder", "decoder"):
            one_of_type(name, getattr(self, name), Module)
        self.optimizer = Adam(Sequential(self.encoder, self.decoder), lr, betas)

    def step(self, x, share=0.0):
        """One step on the batch x (n, ...); ``share`` of the training done anneals the rate.
        Returns {name: loss}."""
        return self.compiled_step().eager_step(x, share)

    def compiled_step(self):
        """A ``graph.Step``, which takes such steps and on a CUDA device records them as a graph."""
        return CompiledStep(self._step, [self.rng, *generators(self.encoder, self.decoder)], self)

    def _step(self, x, share):
        total, losses = self._losses(Tensor(x))
        self.optimizer.step(grad(total, self.optimizer.network.parameters()),
                            falling(share, self.final_lr))
        return losses

    def fit(self, x, *, steps=None, minutes=None, batch_size=64, progress=False, callback=None,
            checkpoints=None):
        """Train on x (N, ...), float32 or uint8 images; the budget is in steps or minutes (see
        ``training.train``). Returns a History."""
        batches = Batches(x, batch_size, self.rng)
        step = self.compiled_step()
        return train(lambda share: step(next(batches), share), steps=steps, minutes=minutes,
                     progress=progress, label=type(self).__name__, callback=callback,
                     checkpoints=checkpoints, state={"model": self, "batches": batches})

    def encode(self, x, code=None):
        """The codes of x (n, ...), float32 or uint8 images: a NumPy array (n, ...)."""
        self._check(code)
        return self._apply(self._code, x)

    def decode(self, codes, code=None):
        """x from codes: a NumPy array (n, ...)."""
        self._check(code)
        return self._apply(self.decoder, codes)

    def reconstruct(self, x, code=None):
        """x encoded and decoded again."""
        return self.decode(self.encode(x, code), code)

    def _check(self, code):
        if code is not None and not (isinstance(code, str) and code == self.code):
            raise ValueError(
                f'code: expected "{self.code}", the only code of this {type(self).__name__}, got '
                f'{code!r}')

    def _apply(self, function, x):
        with evaluation(self.encoder, self.decoder):
            return apply_batched(function, x)


class Autoencoder(_Model):
    """x -> h -> x, trained by the reconstruction loss alone: ALI's shortcut without its
    discriminator. Its code is "h".

    Parameters
    ----------
    encoder, decoder : Module
        x to h and h to x: the bodies of an ALI's encoder and decoder.
    colour_metric : array (c, c), optional
        For images: the error is that of their colours times it (``losses.colour_metric``).
    lr, betas, final_lr : Adam's settings; the rate falls linearly to the share ``final_lr`` in the
        second half.
    seed : int
        Of the order of the batches.
    """

    code = "h"

    def __init__(self, encoder, decoder, *, colour_metric=None, lr=2e-3, betas=(0.9, 0.99),
                 final_lr=0.1, seed=0):
        self.encoder, self.decoder = encoder, decoder
        self._start(lr, betas, final_lr, colour_metric, seed)

    def _code(self, x):
        return self.encoder(x)

    def _losses(self, x):
        error = reconstruction_loss(x, self.decoder(self.encoder(x)), self.colour_metric)
        return error, {"rec_h": error}


class VAE(_Model):
    """A variational autoencoder (Kingma and Welling 2014) with a Gaussian decoder. Its code is "z",
    and h is not one.

    It is trained to make -ELBO least, the mean over x of

        KL(q(z|x) | N(0, I)) - E_q log N(x; G(z), variance I),   q(z|x) = N(mean(x), diag
        exp(log_variance(x))),

    with one draw of z from q a step. As an upper level it can learn the codes z of a lower one, for
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
    lr, betas, final_lr : Adam's settings; the rate falls linearly to the share ``final_lr`` in the
        second half.
    seed : int
        Of the training noise (not of the weights: layers take a Generator of their own).
    """

    code = "z"

    def __init__(self, encoder, decoder, latent_size, *, variance=None, kl_weight=1.0,
                 colour_metric=None, noisy=False, lr=1e-3, betas=(0.9, 0.99), final_lr=0.1, seed=0):
        whole("latent_size", latent_size)
        if not getattr(encoder, "stochastic", False):
            raise ValueError(
                "encoder: expected a stochastic one, which gives a mean and a log-variance")
        if variance is not None:
            positive("variance", variance)
        number("kl_weight", kl_weight, 0)
        self.encoder, self.decoder, self.latent_size = encoder, decoder, latent_size
        self.variance, self.kl_weight, self.noisy = variance, kl_weight, noisy
        # a moving average of the batches' mean squared error
        self.error = Buffer(asarray(np.ones(1, np.float32)))
        self._start(lr, betas, final_lr, colour_metric, seed)

    def _code(self, x):
        return self.encoder.infer(self.encoder.body(x))

    def _losses(self, x):
        mean, log_variance = ops.split(self.encoder(x), 2, axis=-1)
        z = mean + ops.exp(log_variance * 0.5) * rows(self.rng.standard_normal, mean.shape,
                                                      mean.dtype)
        error = norm.mean_over_ranks(reconstruction_loss(x, self.decoder(z), self.colour_metric))
        self.error.data += 0.05 * (error.data - self.error.data)
        losses = {"nll": normal_nll(error, self.variance, x.size // len(x.data)), "kl":
                  normal_kl(mean, log_variance).mean()}
        return losses["nll"] + losses["kl"] * self.kl_weight, losses

    def sample(self, n, rng=None):
        """n samples, z ~ N(0, I) decoded: a NumPy array (n, ...)."""
        rng = one_of_type("rng", self.rng if rng is None else rng, Generator)
        made = self._apply(self.decoder, rng.standard_normal((whole("n", n), self.latent_size)))
        if self.noisy:
            variance = float(self.error.data[0]) if self.variance is None else self.variance
            made = made + np.float32(math.sqrt(variance)) * to_numpy(rng.standard_normal(
                made.shape))
        return made


class GaussianTop(Module):
    """A Gaussian with full covariance over vectors (n, size), in place of the GAN at LDF's top.

    Its parameters are the ``mean`` (size,) and a ``root`` R (size, size) of the covariance, R^T R;
    before ``fit`` those of N(0, I). They lie on the host, as LDF's whitened codes do. ``seed``: of
    samples that are drawn without a Generator.
    """

    def __init__(self, size, seed=0):
        check_size("size", (whole("size", size), size))
        self.mean, self.root = Parameter(
            np.zeros(size, np.float32)), Parameter(np.eye(size, dtype=np.float32))
        self.rng = Generator(seed)

    def fit(self, x, *, steps=None, minutes=None, batch_size=64, progress=False, callback=None,
            checkpoints=None):
        """The mean and the covariance of x (N, size), the greatest likelihood: one pass over its
        rows, ``batch_size`` a step.

        It ends after that pass; where ``steps`` or ``minutes`` end it sooner, it has seen only the
        rows before. Returns a History, with the mean square of each batch as its "square".
        ``checkpoints``, which other tops take, has no use here: the pass is made again.
        """
        whole("batch_size", batch_size)
        if finite("x", numbers("x", x, "n, size")).shape[1] != len(self.mean.data) or len(x) < 2:
            raise ValueError(
                f"x: expected vectors (n, {len(self.mean.data)}), at least 2 of them, got shape "
                f"{x.shape}")
        seen, total, products = 0, 0.0, 0.0

        def step(share):
            nonlocal seen, total, products
            rows = np.asarray(x[seen:seen + batch_size], np.float64)
            seen, total, products = seen + len(rows), total + rows.sum(
                axis=0), products + rows.T @ rows
            return {"square": float(np.square(rows).mean())}

        passes = -(-len(x) // batch_size)
        history = train(step, steps=passes if steps is None else min(steps, passes),
                        minutes=minutes, progress=progress, label="GaussianTop", callback=callback)
        if seen:
            mean = total / seen
            values, vectors = np.linalg.eigh(products / seen - np.outer(mean, mean))
            self.mean.data[...] = mean
            self.root.data[...] = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
        return history

    def sample(self, n, rng=None):
        """n samples: a NumPy array (n, size)."""
        rng = one_of_type("rng", self.rng if rng is None else rng, Generator)
        return to_numpy(rng.standard_normal((whole("n", n),
                                             len(self.mean.data)))) @ self.root.data + self.mean.data
