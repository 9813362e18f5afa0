"""Adversarially learned inference (Dumoulin et al. 2017) with shortcut reconstructions: one level
of LDF.

An encoder E and a decoder G are trained against one discriminator D that sees pairs: (x, E(x)) is
called real and (G(z), z), z ~ N(0, I), fake. At the equilibrium both joint distributions are one,
so E inverts G. The shortcut (LDF paper, Section 3.1) adds a reconstruction that skips z: it enters
G at h, E's last hidden layer.

    x --E.body--> h --E.head--> z            z --G.head--> h --G.body--> x

What z is distributed as may be learned, too: z = F(u), u ~ N(0, I), by a mapping network F (Karras
et al. 2019), as in adversarial latent autoencoders (Pidhorskyi et al. 2020). Then E need not fill a
normal distribution, and G makes nothing of what lies between its codes.
"""

from contextlib import contextmanager

from ..autodiff import ops
from ..autodiff.engine import Tensor, immutable
from ..kernels.conv import batch_innermost
from ..nn.layers import Sequential, exchanged, statistics_of
from ..nn.losses import ali_loss, check_metric, reconstruction_loss
from ..nn.module import Buffer, Module
from ..nn.penalty import Judged
from ..runtime.checks import having
from ..runtime.distributed import World, rows, within
from ..runtime.rules import checked
from ..runtime.threads import side_by_side
from .base import Coder
from .game import Game


class Encoder(Module):
    """x -> h -> z. ``head`` gives z itself or, for a stochastic encoder, its mean and log-variance
    side by side."""

    @checked()
    def __init__(self, body, head, stochastic=False):
        self.body, self.head, self.stochastic = body, head, stochastic

    def forward(self, x):
        return self.head(self.body(x))

    def infer(self, h, rng=None):
        """z from h: a reparameterised draw mean + exp(log-variance / 2) * noise where the encoder
        is stochastic and ``rng`` is given, else the mean."""
        if not self.stochastic:
            return self.head(h)
        mean, log_variance = ops.split(self.head(h), 2, axis=-1)
        return mean if rng is None else draw(mean, log_variance, rng)


@checked()
def draw(mean, log_variance, rng):
    """A reparameterised draw from N(mean, diag exp(log_variance)), each a Tensor (n, ...)."""
    noise = rows(rng.standard_normal, mean.shape, mean.dtype)
    return mean + ops.exp(log_variance * 0.5) * noise


class Decoder(Module):
    """z -> h -> x. ``body`` is also entered directly, at h, by the shortcut."""

    @checked()
    def __init__(self, head, body):
        self.head, self.body = head, body

    def forward(self, z):
        return self.body(self.head(z))


class Discriminator(Module):
    """The logit of a pair (x, z): joint(concatenate(x_net(x), z_net(z))) -> (n, 1).

    No batch normalisation here: the penalty needs one gradient a sample.
    """

    @checked()
    def __init__(self, x_net, z_net, joint):
        self.x_net, self.z_net, self.joint = x_net, z_net, joint

    def forward(self, x, z):
        return self.joint(ops.concatenate([self.x_net(x), self.z_net(z)], axis=-1))


class ALI(Coder, Game):
    """Encoder, decoder and joint discriminator, and their training.

    Its codes are "h", the encoder's last hidden layer (the default), and "z", its mean.

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
    mapping : Module, optional
        F: u ~ N(0, I), (n, latent_size) -> z, as many numbers. By default z is u itself.
    own_statistics : bool
        Whether what enters G at h has running batch statistics of its own there. It varies
        otherwise than what comes from z: means of both fit neither, and the error through h is
        twice as large (docs/recipe.md).
    settings : of the game, see ``Game``
    """

    @checked(encoder=having("an Encoder", "body", "head", "infer"),
             decoder=having("a Decoder", "body", "head"))
    def __init__(self, encoder, decoder, discriminator, latent_size, *, shortcut_weight=100.0,
                 latent_weight=5.0, colour_metric=None, mapping=None, own_statistics=False,
                 **settings):
        self.encoder, self.decoder, self.mapping = encoder, decoder, mapping
        makers = Sequential(encoder, decoder, *[] if mapping is None else [mapping])
        super().__init__(makers, discriminator, latent_size, **settings)
        self.shortcut_weight, self.latent_weight = shortcut_weight, latent_weight
        self.colour_metric = check_metric(colour_metric)
        own = own_statistics and shortcut_weight and isinstance(decoder.body, Module)
        self.of_h = [Buffer(buffer.data.copy())
                     for _, buffer in (decoder.body.named_buffers() if own else ())]

    def _step(self, x, progress):
        """One pass of E, G and D: x -> h -> z^ and u -> z -> x~, D's logits of both pairs, and x
        again from h and from z^."""
        x = immutable(batch_innermost(x))
        u = Tensor(rows(self.rng.standard_normal, (len(x), self.latent_size), x.dtype))
        ordered = self._ordered
        (h, z_hat), (z, made) = side_by_side(lambda: self._encoded(x), lambda: self._made(u),
                                             ordered)
        judged, rebuilt = side_by_side(
            lambda: Judged(self.discriminator, self.penalty, (x.data, z_hat.data),
                           (made.data, z.data)),
            lambda: self._reconstruction_losses(x, h, z_hat), ordered)
        return self._play(lambda: self._discriminator_losses([judged], [judged], progress),
                          lambda: self._generator_losses(judged, made, z, z_hat, rebuilt),
                          progress, ordered)

    def _encoded(self, x):
        h = self.encoder.body(x)
        return h, self.encoder.infer(h, self.rng)

    def _made(self, u):
        z = u if self.mapping is None else self.mapping(u)
        return z, self.decoder(z)

    def _entered_at(self, code):
        """A context in which G's body has the batch statistics of what enters there as a code."""
        return exchanged(self.decoder.body, self.of_h if code == "h" else [])

    def _reconstruction_losses(self, x, h, z_hat):
        """{name: (loss, its weight)} of those that count."""
        losses = {}
        if self.shortcut_weight:
            with self._entered_at("h"):
                rebuilt = self.decoder.body(h)
            losses["rec_h"] = (reconstruction_loss(x, rebuilt, self.colour_metric),
                               self.shortcut_weight)
        if self.latent_weight:
            rebuilt = self.decoder(z_hat)
            losses["rec_z"] = (reconstruction_loss(x, rebuilt, self.colour_metric),
                               self.latent_weight)
        return losses

    def _generator_losses(self, judged, made, z, z_hat, rebuilt):
        game = ali_loss(judged.through(True, None, z_hat),
                        judged.through(False, made, None if self.mapping is None else z),
                        self.loss)
        total = sum((loss * weight for loss, weight in rebuilt.values()), game)
        losses = {name: loss for name, (loss, _) in rebuilt.items()}
        return total, {"GE": game} | losses

    def _generate(self, u, rng):
        """By the batch statistics of G(z): the running ones are those of G(E(x)) and of what is
        made of h, too."""
        maker = self.decoder if self.mapping is None else Sequential(self.mapping, self.decoder)
        with within(World()), statistics_of(self._draws(4), maker):
            return self._apply(maker, u)

    @contextmanager
    def common_statistics(self):
        """A context in which h, too, is decoded by the batch statistics of what comes from z."""
        own, self.of_h = self.of_h, []
        try:
            yield
        finally:
            self.of_h = own

    def decode(self, codes, code=None):
        """x from codes: a NumPy array (n, ...)."""
        with self._entered_at(code or self.code):       # around all batches, of which two threads
            return super().decode(codes, code)          # decode one each

    def _codes(self):
        return {"h": (self.encoder.body, self.decoder.body),
                "z": (lambda x: self.encoder.infer(self.encoder.body(x)), self.decoder)}
