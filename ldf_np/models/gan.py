"""The generative adversarial network, twice: over codes, as LDF's top level, and over whole
objects, as its rival."""

from ..autodiff import ops
from ..autodiff.engine import Tensor, grad
from ..nn.layers import Sequential, generators
from ..nn.losses import check_loss, discriminator_loss, generator_loss
from ..nn.module import Module, evaluation
from ..nn.optim import EMA, Adam, falling
from ..nn.penalty import annealed, check_penalty, penalized_logits
from ..runtime.checks import channels_last, number, numbers, one_of_type, whole
from ..runtime.device import concatenate
from ..runtime.distributed import rows, world
from ..runtime.random import Generator
from ..runtime.threads import side_by_side
from ..training.batches import Batches, apply_batched
from ..training.loop import train
from ..training.step import CompiledStep


class GAN(Module):
    """A generator z -> x and a discriminator x -> logit (n, 1), and their training.

    Parameters
    ----------
    generator, discriminator : Module
    latent_size : int
        The length of z ~ N(0, I).
    loss : the adversarial objective (see ``losses.KINDS``).
    penalty, gamma, final_gamma : the regularizer's kind (see ``penalty.KINDS``), its initial
        strength, and to what share
        of that it is annealed.
    lr, discriminator_lr, betas : Adam's settings.
    final_lr : float
        To what share of themselves the rates fall, linearly, in the second half of a training.
    ema : float
        The decay of the moving average of the generator's weights, with which samples are drawn.
    seed : int
        Of the training noise (not of the weights: layers take a Generator of their own).
    """

    def __init__(self, generator, discriminator, latent_size, *, loss="non-saturating",
                 penalty="roth", gamma=0.5, final_gamma=0.01, lr=3e-4, discriminator_lr=2e-4,
                 betas=(0.5, 0.99), ema=0.998, final_lr=1.0, seed=0):
        check_loss(loss)
        check_penalty(penalty, gamma)
        whole("latent_size", latent_size)
        for name, value in (("final_gamma", final_gamma), ("final_lr", final_lr)):
            number(name, value, 0)
        for name, value in (("generator", generator), ("discriminator", discriminator)):
            one_of_type(name, value, Module)
        self.generator, self.discriminator, self.latent_size = generator, discriminator, latent_size
        self.loss, self.penalty, self.gamma, self.final_gamma, self.final_lr = loss, penalty, gamma, final_gamma, final_lr
        self.rng = Generator(seed)
        self.generator_optimizer = Adam(generator, lr, betas)
        self.discriminator_optimizer = Adam(discriminator, discriminator_lr, betas)
        self.ema = EMA(generator, ema)

    def step(self, x, share=0.0):
        """One step of D and G on the batch x (n, ...), simultaneously (see ``ALI.step``); ``share``
        of the training done anneals gamma and the rates. Returns {name: loss}."""
        return self.compiled_step().eager_step(x, share)

    def compiled_step(self):
        """A ``graph.Step``, which takes such steps and on a CUDA device records them as a graph."""
        return CompiledStep(self._step, [self.rng,
                                         *generators(self.generator, *self._discriminators())],
                                         self)

    def _discriminators(self):
        """The discriminators."""
        return [self.discriminator]

    def _step(self, x, share, *more):
        fake = self.generator(Tensor(rows(self.rng.standard_normal, (len(x), self.latent_size))))
        (d_losses, d_grads), (g_losses, g_grads) = side_by_side(
            lambda: self._discriminator_gradients(x, fake.data, share, *more),
            lambda: self._generator_gradients(fake),
            ordered=bool(generators(*self._discriminators())))
        rate = falling(share, self.final_lr)
        self.discriminator_optimizer.step(d_grads, rate)
        self.generator_optimizer.step(g_grads, rate)
        self.ema.update()
        return d_losses | g_losses

    def _discriminator_gradients(self, x, fake, share):
        loss, total = self._discriminator_loss(self.discriminator, x, fake, share)
        return {"D": loss}, grad(total, self.discriminator.parameters())

    def _discriminator_loss(self, critic, real, fake, share):
        """A discriminator's loss on arrays of one shape, and the same with its penalty."""
        real_logits, fake_logits, penalty = penalized_logits(
            critic, (real,), (fake,), self.penalty, self.rng)
        loss = discriminator_loss(real_logits, fake_logits, self.loss)
        return loss, loss + penalty * (0.5 * annealed(self.gamma, share, self.final_gamma,
                                                      real.dtype))

    def _generator_gradients(self, fake):
        loss = generator_loss(self.discriminator(fake), self.loss)
        return {"G": loss}, grad(loss, self.generator.parameters())

    def fit(self, x, *, steps=None, minutes=None, batch_size=64, progress=False, callback=None,
            checkpoints=None):
        """Train on x (N, ...), float32 or uint8 images; the budget is in steps or minutes (see
        ``training.train``). Returns a History."""
        batches = Batches(self._to_network(x), batch_size, self.rng)
        step = self.compiled_step()
        return train(lambda share: step(next(batches), share), steps=steps, minutes=minutes,
                     progress=progress, label=type(self).__name__, callback=callback,
                     checkpoints=checkpoints, state={"model": self, "batches": batches})

    def sample(self, n, rng=None):
        """n samples, by the averaged generator in evaluation mode: a NumPy array (n, ...)."""
        rng = one_of_type("rng", self.rng if rng is None else rng, Generator)
        with self.ema.applied(), evaluation(self.generator):
            return self._from_network(apply_batched(self.generator,
                                                    rng.standard_normal(
                                                        (whole("n", n), self.latent_size))))

    def _to_network(self, x):
        return x

    def _from_network(self, y):
        return y


class JointGAN(GAN):
    """The paper's baseline (Section 5.2): a clip's frames stacked as the channels of one image, (n,
    t, h, w, c) as (n, h, w, t * c), with no hierarchy. Its generator and discriminator work on such
    images.

    Parameters
    ----------
    generator, discriminator, latent_size, settings : see GAN
    frames : int
        The frames of a clip, t.
    frame_discriminator : Module, optional
        A second discriminator, of single frames (n, h, w, c), trained like the first and of the
        same weight in the generator's loss. It sees one frame of each generated clip, each position
        in turn, beside as many real ones, which need not come from whole clips: with it the rival
        learns from all that LDF learns from.
    """

    def __init__(self, generator, discriminator, latent_size, frames=5, *,
                 frame_discriminator=None, **settings):
        whole("frames", frames)
        super().__init__(generator, discriminator, latent_size, **settings)
        self.frames, self.frame_discriminator = frames, frame_discriminator
        if frame_discriminator is not None:
            one_of_type("frame_discriminator", frame_discriminator, Module)
            self.discriminator_optimizer = Adam(Sequential(*self._discriminators()),
                                                self.discriminator_optimizer.lr,
                                                self.discriminator_optimizer.betas)

    def fit(self, x, frames=None, *, steps=None, minutes=None, batch_size=64, progress=False,
            callback=None, checkpoints=None):
        """Train on clips x (N, t, h, w, c), and a frame discriminator on ``frames`` (M, h, w, c),
        by default those of ``x``; float32 or uint8. The budget is in steps or minutes (see
        ``training.train``). Returns a History."""
        if self.frame_discriminator is None:
            if frames is not None:
                raise ValueError(
                    "frames: expected None, for this model has no frame_discriminator to train on "
                    "them")
            return super().fit(x, steps=steps, minutes=minutes, batch_size=batch_size,
                               progress=progress, callback=callback, checkpoints=checkpoints)
        clips = Batches(self._to_network(x), batch_size, self.rng)
        frames = x.reshape(-1, *x.shape[2:]) if frames is None else frames
        if numbers("frames", frames).shape[1:] != x.shape[2:]:
            raise ValueError(
                f"frames: expected single frames (m, {', '.join(map(str, x.shape[2:]))}), got "
                f"{frames.shape}")
        singles = Batches(frames, batch_size, self.rng)
        # which takes one array: the real frames are further channels of the clips
        step = self.compiled_step()
        return train(lambda share: step(concatenate([next(clips), next(singles)], axis=-1), share),
                     steps=steps, minutes=minutes, progress=progress, label=type(self).__name__,
                     callback=callback, checkpoints=checkpoints,
                     state={"model": self, "clips": clips, "frames": singles})

    def _step(self, x, share):
        if self.frame_discriminator is None:
            return super()._step(x, share)
        end = x.shape[-1] * self.frames // (self.frames + 1)
        return super()._step(x[..., :end], share, x[..., end:])

    def _discriminator_gradients(self, x, fake, share, frames=None):
        if frames is None:
            return super()._discriminator_gradients(x, fake, share)
        loss, total = self._discriminator_loss(self.discriminator, x, fake, share)
        frame_loss, frame_total = self._discriminator_loss(self.frame_discriminator, frames,
                                                           self._singles(Tensor(fake)).data, share)
        return {"D": loss, "D frames": frame_loss}, grad(total + frame_total,
                                                         self.discriminator_optimizer.network.parameters())

    def _generator_gradients(self, fake):
        if self.frame_discriminator is None:
            return super()._generator_gradients(fake)
        losses = {"G": generator_loss(self.discriminator(fake), self.loss),
                  "G frames": generator_loss(self.frame_discriminator(self._singles(fake)),
                                             self.loss)}
        return losses, grad(losses["G"] + losses["G frames"], self.generator.parameters())

    def _singles(self, images):
        """One frame of each image of the Tensor (n, h, w, t * c): frame k of the images k, k + t, k
        + 2t, ...: (n, h, w, c)."""
        c, before = images.shape[-1] // self.frames, world().rank * len(images)
        return ops.concatenate([images[(k - before) % self.frames::self.frames, :, :,
                                       k * c:(k + 1) * c]
                                for k in range(self.frames)])

    def _discriminators(self):
        return [self.discriminator] + ([] if self.frame_discriminator is None
                                       else [self.frame_discriminator])

    def _to_network(self, x):
        if numbers("x", x).ndim != 5 or x.shape[1] != self.frames:
            raise ValueError(f"x: expected clips (n, {self.frames}, h, w, c), got shape {x.shape}")
        n, t, h, w, c = channels_last("x", x, "n, t, h, w, c").shape
        return x.transpose(0, 2, 3, 1, 4).reshape(n, h, w, t * c)

    def _from_network(self, y):
        n, h, w, channels = y.shape
        if channels % self.frames:
            raise ValueError(
                f"frames: {self.frames} do not divide the {channels} channels that the generator "
                "makes")
        return y.reshape(n, h, w, self.frames, channels // self.frames).transpose(0, 3, 1, 2, 4)
