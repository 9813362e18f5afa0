"""The game that ALI and GANs are trained by: a discriminator against the networks that make what it
judges."""

from functools import reduce
from operator import add

from ..nn.losses import discriminator_loss
from ..nn.optim import Adam, falling
from ..nn.penalty import annealed, penalty_between
from ..runtime.random import Generator
from ..runtime.recording import recording
from ..runtime.rules import checked
from ..runtime.threads import side_by_side
from .base import LatentModel


class Game(LatentModel):
    """Two sides that are trained against one another, by two Adams.

    The game is simultaneous: both sides' gradients are taken at one point, from one pass of each
    network, and only then applied. So they can be computed side by side. A subclass's ``_step``
    makes that pass and ends with ``_play``.

    Parameters
    ----------
    generator : Module
        All networks of the side against the discriminator.
    discriminator : Module
    latent_size : int
        The length of z ~ N(0, I).
    loss : the adversarial objective (see ``losses.KINDS``).
    penalty, gamma, final_gamma : the regularizer's kind (see ``penalty.KINDS``), its initial
        strength, and to what part of that it is annealed.
    lr, discriminator_lr, betas : Adam's settings.
    final_lr : float
        The rates fall linearly, in the second half of a training, to this part of themselves.
    seed : int
        Of the training noise (not of the weights: layers take a Generator of their own).
    """

    @checked()
    def __init__(self, generator, discriminator, latent_size, *, loss="non-saturating",
                 penalty="roth", gamma=0.5, final_gamma=0.01, lr=3e-4, discriminator_lr=2e-4,
                 betas=(0.5, 0.99), final_lr=1.0, seed=0):
        self.discriminator, self.latent_size = discriminator, latent_size
        self.loss, self.penalty = loss, penalty
        self.gamma, self.final_gamma, self.final_lr = gamma, final_gamma, final_lr
        self.rng = Generator(seed)
        self.generator_optimizer = Adam(generator, lr, betas)
        self.discriminator_optimizer = Adam(discriminator, discriminator_lr, betas)

    def _discriminators(self):
        """{name: discriminator}, each of which judges a part of the data."""
        return {"": self.discriminator}

    def _play(self, of_discriminator, of_generator, progress, ordered, after=lambda: None):
        """Take one step of each side. Each is a function that returns (the loss that this side
        minimises, {name: loss} for the log); ``ordered``: whether noise that both draw has to come
        in order; ``after``: what follows the generator's step. Where Python takes the steps, its
        lock lets no two be side by side."""
        def side(optimizer, of_side):
            total, losses = of_side()
            return losses, optimizer.network.gradients(total)

        optimizers = self.discriminator_optimizer, self.generator_optimizer
        (d_losses, d_grads), (g_losses, g_grads) = side_by_side(
            lambda: side(optimizers[0], of_discriminator),
            lambda: side(optimizers[1], of_generator), ordered)
        lr_scale = falling(progress, self.final_lr)
        d_step, g_step = (optimizer.ready(grads, lr_scale)
                          for optimizer, grads in zip(optimizers, (d_grads, g_grads)))
        side_by_side(d_step, lambda: (g_step(), after()), ordered=not recording())
        return d_losses | g_losses

    def _discriminator_losses(self, on_real, on_made, progress):
        """From what each discriminator has ``Judged``: the penalized losses' sum, and {name:
        loss}."""
        losses, penalized = {}, []
        for name, real, made in zip(self._discriminators(), on_real, on_made):
            loss = losses[f"D{name}"] = discriminator_loss(real.logits(True), made.logits(False),
                                                           self.loss)
            gamma = annealed(self.gamma, progress, self.final_gamma, loss.dtype)
            penalized.append(loss + penalty_between(real, made, self.rng) * (0.5 * gamma))
        return reduce(add, penalized), losses
