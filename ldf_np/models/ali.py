"""Adversarially learned inference (Dumoulin et al. 2017) with shortcut reconstructions: one level
of LDF.

An encoder E and a decoder G are trained against one discriminator D that sees pairs: (x, E(x)) is
called real and (G(z), z), z ~ N(0, I), fake. At the equilibrium both joint distributions are one,
so E inverts G. The shortcut (LDF paper, Section 3.1) adds a reconstruction that skips z: it enters
G at h, E's last hidden layer.

    x --E.body--> h --E.head--> z            z --G.head--> h --G.body--> x
"""

from ..autodiff import ops
from ..autodiff.engine import Tensor, grad, immutable
from ..nn.layers import Sequential, generators
from ..nn.losses import ali_loss, check_loss, check_metric, discriminator_loss, reconstruction_loss
from ..nn.module import Module, evaluation
from ..nn.optim import Adam, falling
from ..nn.penalty import annealed, check_penalty, penalized_logits
from ..runtime.checks import function, number, one_of_type, whole
from ..runtime.distributed import rows
from ..runtime.random import Generator
from ..runtime.threads import side_by_side
from ..training.batches import Batches, apply_batched
from ..training.loop import train
from ..training.step import CompiledStep


class Encoder(Module):
    """x -> h -> z. ``head`` gives z itself or, for a stochastic encoder, its mean and log-variance
    side by side."""

    def __init__(self, body, head, stochastic=False):
        self.body, self.head = function("body", body), function("head", head)
        self.stochastic = stochastic

    def forward(self, x):
        return self.head(self.body(x))

    def infer(self, h, rng=None):
        """z from h: a reparameterised draw mean + exp(log-variance / 2) * noise where the encoder
        is stochastic and ``rng`` is given, else the mean."""
        out = self.head(h)
        if not self.stochastic:
            return out
        mean, log_variance = ops.split(out, 2, axis=-1)
        if rng is None:
            return mean
        return mean + ops.exp(log_variance * 0.5) * rows(rng.standard_normal, mean.shape,
                                                         mean.dtype)


class Decoder(Module):
    """z -> h -> x. ``body`` is also entered directly, at h, by the shortcut."""

    def __init__(self, head, body):
        self.head, self.body = function("head", head), function("body", body)

    def forward(self, z):
        return self.body(self.head(z))


class Discriminator(Module):
    """The logit of a pair (x, z): joint(concatenate(x_net(x), z_net(z))) -> (n, 1). No batch
    normalisation here: the penalty needs one gradient a sample."""

    def __init__(self, x_net, z_net, joint):
        for name, net in (("x_net", x_net), ("z_net", z_net), ("joint", joint)):
            function(name, net)
        self.x_net, self.z_net, self.joint = x_net, z_net, joint

    def forward(self, x, z):
        return self.joint(ops.concatenate([self.x_net(x), self.z_net(z)], axis=-1))


class ALI(Module):
    """Encoder, decoder and joint discriminator, and their training.

    Parameters
    ----------
    encoder, decoder, discriminator : Encoder, Decoder, Discriminator
    latent_size : int
        The length of z.
    shortcut_weight, latent_weight : float
        w_h and w_z: the weights of mean |x - G.body(h)|^2 and of mean |x - G(E(x))|^2.
    colour_metric : array (c, c), optional
        For images: the reconstructions' error is that of their colours times it
        (``losses.colour_metric``).
    penalty, gamma : the regularizer's kind (see ``penalty.KINDS``) and its initial strength,
        annealed to 1% of it.
    loss : the adversarial objective (see ``losses.KINDS``).
    lr, discriminator_lr, betas : Adam's settings.
    final_lr : float
        To what share of themselves the rates fall, linearly, in the second half of a training.
    seed : int
        Of the training noise (not of the weights: layers take a Generator of their own).
    """

    def __init__(self, encoder, decoder, discriminator, latent_size, *, shortcut_weight=100.0,
                 latent_weight=5.0, colour_metric=None, penalty="roth", gamma=0.5,
                 loss="non-saturating", lr=3e-4, discriminator_lr=2e-4, betas=(0.5, 0.99),
                 final_lr=1.0, seed=0):
        check_loss(loss)
        check_penalty(penalty, gamma)
        for name, value in (("encoder", encoder), ("decoder", decoder),
                            ("discriminator", discriminator)):
            one_of_type(name, value, Module)
        for name, value in (("shortcut_weight", shortcut_weight), ("latent_weight", latent_weight),
                            ("final_lr", final_lr)):
            number(name, value, 0)
        whole("latent_size", latent_size)
        self.encoder, self.decoder, self.discriminator = encoder, decoder, discriminator
        self.latent_size = latent_size
        self.shortcut_weight, self.latent_weight = shortcut_weight, latent_weight
        self.penalty, self.gamma, self.loss, self.final_lr = penalty, gamma, loss, final_lr
        self.rng = Generator(seed)
        self.colour_metric = check_metric(colour_metric)
        self.generator_optimizer = Adam(Sequential(encoder, decoder), lr, betas)
        self.discriminator_optimizer = Adam(discriminator, discriminator_lr, betas)

    def step(self, x, share=0.0):
        """One step of D, E and G on the batch x (n, ...); ``share`` of the training done anneals
        gamma and the rates.

        The game is played simultaneously: both sides' gradients are taken at the same point, from
        one forward pass of E and G, and only then applied. So they can be computed side by side.
        Returns {name: loss}.
        """
        return self.compiled_step().eager_step(x, share)

    def compiled_step(self):
        """A ``graph.Step``, which takes such steps and on a CUDA device records them as a graph."""
        return CompiledStep(self._step, [self.rng,
                                         *generators(self.encoder, self.decoder,
                                                     self.discriminator)], self)

    def _step(self, x, share):
        x = immutable(x)
        z = Tensor(rows(self.rng.standard_normal, (len(x), self.latent_size), x.dtype))
        h = self.encoder.body(x)
        z_hat = self.encoder.infer(h, self.rng)
        x_tilde = self.decoder(z)
        (d_losses, d_grads), (losses, grads) = side_by_side(
            lambda: self._discriminator_gradients(x.data, z_hat.data, x_tilde.data, z.data, share),
            lambda: self._generator_gradients(x, h, z_hat, x_tilde, z),
            ordered=bool(generators(self.discriminator)))
        rate = falling(share, self.final_lr)
        self.discriminator_optimizer.step(d_grads, rate)
        self.generator_optimizer.step(grads, rate)
        return d_losses | losses

    def _discriminator_gradients(self, x, z_hat, x_tilde, z, share):
        real, fake, penalty = penalized_logits(self.discriminator, (x, z_hat), (x_tilde, z),
                                               self.penalty, self.rng)
        loss = discriminator_loss(real, fake, self.loss)
        total = loss + penalty * (0.5 * annealed(self.gamma, share, dtype=x.dtype))
        return {"D": loss}, grad(total, self.discriminator.parameters())

    def _generator_gradients(self, x, h, z_hat, x_tilde, z):
        losses = {"GE": ali_loss(self.discriminator(x, z_hat), self.discriminator(x_tilde, z),
                                 self.loss)}
        total = losses["GE"]
        if self.shortcut_weight:
            losses["rec_h"] = reconstruction_loss(x, self.decoder.body(h), self.colour_metric)
            total = total + losses["rec_h"] * self.shortcut_weight
        if self.latent_weight:
            losses["rec_z"] = reconstruction_loss(x, self.decoder(z_hat), self.colour_metric)
            total = total + losses["rec_z"] * self.latent_weight
        return losses, grad(total, self.generator_optimizer.network.parameters())

    def fit(self, x, *, steps=None, minutes=None, batch_size=64, progress=False, callback=None,
            checkpoints=None):
        """Train on x (N, ...), float32 or uint8 images; the budget is in steps or minutes (see
        ``training.train``). Returns a History."""
        batches = Batches(x, batch_size, self.rng)
        step = self.compiled_step()
        return train(lambda share: step(next(batches), share), steps=steps, minutes=minutes,
                     progress=progress, label="ALI", callback=callback, checkpoints=checkpoints,
                     state={"model": self, "batches": batches})

    def sample(self, n, rng=None):
        """n samples G(z), z ~ N(0, I): a NumPy array (n, ...)."""
        rng = one_of_type("rng", self.rng if rng is None else rng, Generator)
        return self._apply(self.decoder, rng.standard_normal((whole("n", n), self.latent_size)))

    def encode(self, x, code="h"):
        """The codes of x (n, ...), float32 or uint8 images: h (the encoder's last hidden layer) or
        z (its mean)."""
        check_code(code)
        return self._apply(self.encoder.body if code == "h"
                           else lambda b: self.encoder.infer(self.encoder.body(b)), x)

    def decode(self, codes, code="h"):
        """x from codes h or z: a NumPy array (n, ...)."""
        check_code(code)
        return self._apply(self.decoder.body if code == "h" else self.decoder, codes)

    def reconstruct(self, x, code="h"):
        """x encoded and decoded again: through the shortcut "h", or through "z"."""
        return self.decode(self.encode(x, code), code)

    def _apply(self, function, x):
        with evaluation(self.encoder, self.decoder):
            return apply_batched(function, x)


def check_code(code):
    """Raise ValueError unless ``code`` names one of the two codes, "h" or "z"."""
    if not isinstance(code, str) or code not in ("h", "z"):
        raise ValueError(f'code: expected "h" or "z", got {code!r}')
