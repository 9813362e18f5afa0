"""A GAN over sequences of codes of any length: the paper's local connectivity (Section 3) in time.

    P(code_t | z, noise) = P(code_t | z, noise_{t-p} ... noise_{t+p})

One draw z holds for the whole sequence, the noise is local, and the weights are the same for every
t. So what is learned from windows of a few steps makes sequences of any length, step by step:
every window of them has the same distribution.
"""

import numpy as np

from ..nn.layers import Sequential
from ..nn.module import Module
from ..runtime.device import concatenate, to_numpy
from ..runtime.distributed import rows
from ..runtime.random import Generator
from ..runtime.relations import is_ready, sequences_fit, windows_fit
from ..runtime.rules import checked
from ..training.batches import Batches, as_batch
from .factors import Frames, Patches
from .gan import GAN
from .whitening import ChannelWhitening

BLOCK = 8               # steps that are sampled at a time
LAYOUTS = {"channels": Frames, "rows": lambda k: Patches(k, 1)}
WHITENED_FROM = 2000    # sequences of which the windows' whitening is learned


class SequenceGenerator(Module):
    """z and the noise of t + 2p positions -> the codes of t steps:
    (n, latent_size + (t + 2p) * noise_size) -> (n, t, *step_shape).

    Parameters
    ----------
    shared : Module, z (n, latent_size) -> a map (n, i, j, c), the same for all steps
    window : Conv2d of a kernel (2p + 1, 1) over noise (n, t + 2p, places, channels)
    local : Module, what the window makes (n * t, i', j', c') -> maps (n * t, i, j, c)
    step : Module, the sum of both maps -> a step's code (n * t, *step_shape)
    latent_size, noise_shape : the length of z, and the shape (i', j', channels) of a position's
        noise
    """

    def __init__(self, shared, window, local, step, latent_size, noise_shape):
        self.shared, self.window, self.local, self.step = shared, window, local, step
        self.latent_size, self.noise_shape = latent_size, tuple(noise_shape)
        self.noise_size = int(np.prod(noise_shape))
        self.p = window.weight.shape[0] // 2

    def size(self, steps):
        """How many numbers make so many steps."""
        return self.latent_size + (steps + 2 * self.p) * self.noise_size

    def forward(self, z):
        n, (i, j, channels) = z.shape[0], self.noise_shape
        shared = self.shared(z[:, :self.latent_size])                           # (n, i, j, c)
        noise = z[:, self.latent_size:].reshape(n, -1, i * j, channels)     # (n, t + 2p, ...)
        near = self.window(noise)                                           # (n, t, places, c')
        t = near.shape[1]
        local = self.local(near.reshape(n * t, i, j, -1))                   # (n * t, i, j, c)
        both = local.reshape(n, t, *shared.shape[1:]) + shared.reshape(n, 1, *shared.shape[1:])
        made = self.step(both.reshape(n * t, *shared.shape[1:]))
        return made.reshape(n, t, *made.shape[1:])


class SequenceGAN(GAN):
    """A GAN over sequences of codes (n, t, ...): trained on windows of them, sampled at any length.

    Parameters
    ----------
    generator : SequenceGenerator
    discriminators : sequence of Module, one for each of ``windows``
        Each judges k consecutive codes as one map, whitened by a fixed matrix
        (``ChannelWhitening``).
    windows : sequence of int
        The lengths k, in steps. Wider windows than the first see slower changes.
    step_shape : (h, w, c), or (c,) for codes without places
    layout : how the codes of a window lie
        "channels", as those of frames: a map (h, w, k * c). Whitened, what the steps share and how
        they change come to one scale. Or "rows", as those of a text: one below the other, a map
        (k * h, w, c).
    settings : see GAN
    """

    @checked(windows_fit)
    def __init__(self, generator, discriminators, windows, step_shape, layout="channels",
                 **settings):
        self.windows, self.step_shape = tuple(windows), tuple(step_shape)
        self.whitenings = [ChannelWhitening(LAYOUTS[layout](k), (k, *step_shape)) for k in windows]
        super().__init__(generator, Sequential(*discriminators), generator.size(max(windows)),
                         **settings)

    def adapt(self, x):
        """Learn the windows' whitening from sequences x (N, t, ...)."""
        some = to_numpy(as_batch(x[:WHITENED_FROM, :max(self.windows)]))
        for k, whitening in zip(self.windows, self.whitenings):
            whitening.fit_once_for_all(some[:, :k])

    def _batches(self, batch_size, x):
        batches = {"batches": Windows(x, max(self.windows), batch_size, self.rng)}
        self.expect_its_kind(x)
        if not self.ready:
            self.adapt(x)
        return batches

    @checked(sequences_fit)
    def expect_its_kind(self, x):
        """ValueError where x is not sequences of codes (n, t, *step_shape) as long as a window."""

    @property
    def ready(self):
        """Whether the whitening of its windows has been learned."""
        return self.whitenings[0].fitted

    @checked(sequences_fit, is_ready)
    def step(self, x, progress=0.0):
        """One step on the sequences x (n, t, *step_shape), once ``fit`` or ``adapt`` has learned
        how windows are whitened. Returns {name: loss}."""
        return super().step(x, progress)

    def _discriminators(self):
        first, *more = self.discriminator.layers
        return {"": first} | {f" {k}": d for k, d in zip(self.windows[1:], more)}

    def _real(self, x):
        return self._made(x)

    def _made(self, x):
        """What each discriminator sees of sequences x, an array or a Tensor (n, t, *step_shape)."""
        return [self._window(x, k, whitening)
                for k, whitening in zip(self.windows, self.whitenings)]

    def _window(self, x, k, whitening):
        """The first k codes as one whitened map."""
        codes = x[:, :k].reshape(-1, k, *(1, 1, *self.step_shape)[-3:])         # (n, k, h, w, c)
        maps = whitening.split.laid(codes)
        return whitening.forward(maps.reshape(-1, maps.shape[-1])).reshape(maps.shape)

    @checked()
    def sample(self, n, rng=None, steps=None):
        """n sequences of so many ``steps`` (by default as many as it was trained on), drawn with
        ``rng`` (by default the model's own): a NumPy array (n, steps, *step_shape).

        With one seed, shorter sequences are the beginnings of longer ones.
        """
        steps = max(self.windows) if steps is None else steps
        return np.concatenate([*self.stream(n, steps, rng)], axis=1)

    @checked()
    def stream(self, n, steps, rng=None):
        """The sequences of ``sample``, BLOCK steps at a time: an iterator of arrays (n, BLOCK,
        *step_shape), the last of which may be shorter. The memory does not depend on ``steps``."""
        rng = self.rng if rng is None else rng
        z, key = rng.standard_normal((n, self.generator.latent_size)), int(rng.integers(0, 2 ** 63))
        return (self._generate(concatenate([z, self._noise(key, n, start)], axis=-1), rng)
                [:, :steps - start] for start in range(0, steps, BLOCK))

    def windows_of(self, x):
        """What a refiner works on: the windows of the first width of sequences (n, t, *step_shape),
        one after the other, whitened: (m, *shape)."""
        k = self.windows[0]
        whole = x[:, :x.shape[1] // k * k]
        return self.whitenings[0].apply(whole.reshape(-1, k, *x.shape[2:]))

    def before_refined(self, steps, rounds):
        """Of how many steps ``refined``, so many times, leaves ``steps`` at least."""
        k = self.windows[0]
        for _ in range(rounds):
            steps = max(k, steps + (k - 1) // 2)
        return steps

    def refined(self, blocks, refiner, noise):
        """Sequences in blocks (n, t, *step_shape), refined by a ``Denoiser`` of windows of the
        first width, k: an iterator of such blocks.

        Each step comes from the middle of the window around it, the first ones from the first
        window; the last (k - 1) // 2 have none and fall away. All windows of a sequence get the
        same ``noise`` (n, *shape): what is made of steps that stay alike is alike, too, where
        other noise would make them flicker.
        """
        k, whitening = self.windows[0], self.whitenings[0]
        held, begun = None, False
        for block in blocks:
            held = block if held is None else np.concatenate([held, block], axis=1)
            count = held.shape[1] - k + 1
            if count > 0:
                windows = np.stack([held[:, i:i + k] for i in range(count)])
                white = whitening.apply(windows.reshape(-1, *windows.shape[2:]))
                clean = refiner.without_noise(white + np.tile(noise, (count, *[1] * white[0].ndim)))
                made = whitening.invert(clean).reshape(windows.shape)
                middles = np.moveaxis(made[:, :, k // 2], 0, 1)
                yield middles if begun else np.concatenate([made[0, :, :k // 2], middles], axis=1)
                held, begun = held[:, count:], True

    def _noise(self, key, n, start):
        """The noise of the block of steps that begins at ``start``: (n, (BLOCK + 2p) * size). It is
        a function of the position: each block of positions has a Generator of its own."""
        g = self.generator
        count = BLOCK + 2 * g.p
        blocks = [Generator(np.random.SeedSequence((key, b))).standard_normal(
            (n, BLOCK * g.noise_size)) for b in range(start // BLOCK, -(-(start + count) // BLOCK))]
        return concatenate(blocks, axis=-1)[:, :count * g.noise_size]


def first_steps(blocks, steps):
    """The first so many steps of sequences in blocks (n, t, ...): an iterator of blocks."""
    for block in blocks:
        yield block[:, :steps]
        steps -= block.shape[1]
        if steps <= 0:
            return


class Windows(Batches):
    """Batches of windows of ``width`` steps of sequences (N, t, ...): every sequence once in each
    epoch, its window anywhere in it."""

    def __init__(self, data, width, size, rng):
        super().__init__(data, size, rng)
        self.width = width

    def take(self, indices):
        starts = rows(lambda shape: self.rng.integers(
            0, self.data.shape[1] - self.width + 1, shape), indices.shape)
        return as_batch(self.data[indices[:, None], starts[:, None] + np.arange(self.width)])
