"""The generative adversarial network, twice: over codes, as LDF's top level, and over whole
objects, as its baseline."""

from functools import reduce
from operator import add

from ..autodiff import ops
from ..autodiff.engine import Tensor
from ..nn.layers import Sequential
from ..nn.losses import generator_loss
from ..nn.optim import EMA, Adam
from ..nn.penalty import Judged
from ..runtime.checks import channels_last_array, multiple, real_array, shaped
from ..runtime.device import to_numpy
from ..runtime.distributed import World, rows, within, world
from ..runtime.relations import frames_fit, is_ready, made_alike
from ..runtime.rules import checked
from ..runtime.threads import side_by_side
from ..training.batches import Batches, as_batch
from ..training.player import of_this_library
from .factors import Frames
from .game import Game


class GAN(Game):
    """A generator z -> x and a discriminator x -> logit (n, 1), and their training.

    Samples are drawn by the averaged generator in evaluation mode.

    Parameters
    ----------
    generator, discriminator : Module
    latent_size : int
        The length of z ~ N(0, I).
    ema : float
        The decay of the moving average of the generator's weights, with which samples are drawn.
    settings : of the game, see ``Game``
    """

    def __init__(self, generator, discriminator, latent_size, *, ema=0.998, **settings):
        self.generator = generator
        super().__init__(generator, discriminator, latent_size, **settings)
        self.ema = EMA(generator, ema)

    def _batches(self, batch_size, x):
        batches = super()._batches(batch_size, x)
        self.expect_its_kind(x)
        return batches

    @checked(made_alike)
    def expect_its_kind(self, x):
        """ValueError where x is not data like those that the generator makes."""

    def _real(self, x):
        """What each discriminator judges of the data x: arrays."""
        return [x]

    def _made(self, fake):
        """What each discriminator judges of generated data: Tensors."""
        return [fake]

    def _step(self, x, progress):
        z = Tensor(rows(self.rng.standard_normal, (len(x), self.latent_size)))
        ordered = self._ordered
        made, on_real, on_made = self._judged(x, z, ordered)
        return self._play(lambda: self._discriminator_losses(on_real, on_made, progress),
                          lambda: self._generator_losses(made, on_made, on_real),
                          progress, ordered, self.ema.update)

    def _judged(self, x, z, ordered):
        """What is made of z, and what the discriminators make of the data x and of that.

        The weights of dense layers are larger than their batches, so both batches go through them
        together. Convolutions judge the data while the generator is at work. What may see more of a
        batch than each row alone has one at a time, and what has a state, one after the other.
        """
        networks, judge = self._discriminators().values(), self.discriminator_optimizer.network
        stateful = any(judge.named_buffers())

        def on_real(*made):
            return [Judged(network, self.penalty, (real,), *fake)
                    for network, real, *fake in zip(networks, self._real(x), *made)]

        def generated():
            return self._made(self.generator(z))

        def on_made():
            made = generated()
            return made, [Judged(network, self.penalty, fake=(fake.data,))
                          for network, fake in zip(networks, made)]

        if (all(p.ndim < 3 for p in judge.parameters()) and not stateful
                and of_this_library(judge)):
            made = generated()
            judged = on_real([(fake.data,) for fake in made])
            return made, judged, judged
        judged, (made, judged_made) = side_by_side(on_real, on_made, ordered or stateful)
        return made, judged, judged_made

    def _generator_losses(self, made, on_made, on_real):
        losses = {f"G{name}": generator_loss(fake.through(False, some), self.loss,
                                             real.logits(True).detach())
                  for name, some, fake, real in zip(self._discriminators(), made, on_made, on_real)}
        return reduce(add, losses.values()), losses

    def finish(self):
        """The averaged generator gets batch statistics of its own, the same for all ranks."""
        with within(World()):           # one rank, which waits for no other
            self.ema.update_statistics(self._draws(16))

    def _generate(self, z, rng):
        self.finish()       # where steps were taken outside fit, or fit goes on
        with self.ema.applied():
            return self._apply(self.generator, z)


WHITENED_FROM = 1000        # clips


class JointGAN(GAN):
    """The paper's baseline (Section 5.2): a clip's frames stacked as the channels of one image,
    (n, t, h, w, c) as (n, h, w, t * c), with no hierarchy. Its generator and discriminator work on
    such images.

    Parameters
    ----------
    generator, discriminator, latent_size, settings : see GAN
    frames : int
        The frames of a clip, t.
    whitening : ChannelWhitening of clips, optional
        Both networks work on clips whose channels are whitened, as LDF's top does on codes: in
        pixels what moves is a small part of the variance, and the discriminator hardly sees it.
        Learned from the first clips that it is trained on.
    frame_discriminator : Module, optional
        A second discriminator, of single frames (n, h, w, c), trained like the first and of the
        same weight in the generator's loss. It sees one frame of each generated clip, each position
        in turn, beside as many real ones, which need not come from whole clips: with it the
        baseline learns from all that LDF learns from.
    """

    @checked()
    def __init__(self, generator, discriminator, latent_size, frames=5, *, whitening=None,
                 frame_discriminator=None, **settings):
        super().__init__(generator, discriminator, latent_size, **settings)
        self.frames, self.frame_discriminator = frames, frame_discriminator
        self.whitening = whitening
        if frame_discriminator is not None:
            first = self.discriminator_optimizer
            self.discriminator_optimizer = Adam(Sequential(discriminator, frame_discriminator),
                                                first.lr, first.betas)

    @checked(frames_fit, shaped("x", "n", "frames", "h", "w", "c", what="clips"),
             x=channels_last_array(), frames=real_array())
    def fit(self, x, frames=None, **training):
        """Train on clips x (N, t, h, w, c), and a frame discriminator on ``frames`` (M, h, w, c),
        by default those of ``x``; float32 or uint8. ``training``: see ``GAN.fit``."""
        return super().fit(x, frames, **training)

    def _batches(self, batch_size, x, frames):
        batches = {"batches": Batches(self._as_images(x), batch_size, self.rng)}
        self.expect_its_kind(x)
        if self.frame_discriminator is not None:
            singles = x.reshape(-1, *x.shape[2:]) if frames is None else frames
            batches["frames"] = Batches(singles, batch_size, self.rng)
            self.expect_range(singles, "frames")
        if self.whitening is not None and not self.whitening.fitted:
            self.whitening.fit_once_for_all(to_numpy(as_batch(x[:WHITENED_FROM])))
        return batches

    @property
    def ready(self):
        """Whether the whitening, where there is one, has been learned."""
        return self.whitening is None or self.whitening.fitted

    @checked(is_ready)
    def step(self, x, progress=0.0):
        """One step on the images x (n, h, w, t * c); with a frame discriminator single frames are
        further channels. Returns {name: loss}. Raises ValueError as ``sample`` does."""
        return super().step(x, progress)

    @checked(is_ready)
    def sample(self, n, rng=None):
        """n clips, a NumPy array (n, t, h, w, c). Raises ValueError where there is a whitening and
        ``fit`` was not called."""
        return super().sample(n, rng)

    def _discriminators(self):
        more = {} if self.frame_discriminator is None else {" frames": self.frame_discriminator}
        return super()._discriminators() | more

    def _real(self, x):
        # single frames, where there are any, are further channels of the clips
        end = x.shape[-1] // (self.frames + (self.frame_discriminator is not None)) * self.frames
        clips, singles = x[..., :end], x[..., end:]
        if self.whitening is not None:
            clips = self.whitening.forward(clips.reshape(-1, end)).reshape(clips.shape)
        return [clips] if self.frame_discriminator is None else [clips, singles]

    def _made(self, fake):
        if self.frame_discriminator is None:
            return [fake]
        return [fake, self._singles(self._in_pixels(fake))]

    def _in_pixels(self, images):
        """What the generator makes, an array or a Tensor (n, h, w, t * c), not whitened."""
        if self.whitening is None:
            return images
        return self.whitening.inverse(images.reshape(-1, images.shape[-1])).reshape(images.shape)

    def _singles(self, images):
        """One frame of each image of the Tensor (n, h, w, t * c): frame k of the images k, k + t,
        k + 2t, ...: (n, h, w, c)."""
        t, c, before = self.frames, images.shape[-1] // self.frames, world().rank * len(images)
        return ops.concatenate([images[(k - before) % t::t, :, :, k * c:(k + 1) * c]
                                for k in range(t)])

    def _as_images(self, x):
        """Clips (n, t, h, w, c) -> (n, h, w, t * c)."""
        return Frames(self.frames).to_maps(x)

    def _as_clips(self, images):
        """The inverse of ``_as_images``."""
        multiple(self.frames)("frames: channels that the generator makes", images.shape[-1])
        return Frames(self.frames).from_maps(images)

    def _generate(self, z, rng):
        return self._as_clips(self._in_pixels(super()._generate(z, rng)).clip(-1, 1))
