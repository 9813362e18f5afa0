"""A denoiser of whitened codes, by which what the top makes becomes more like codes: all factors of
an object together, where a pass through z moves each on its own.

It is shown codes with noise, y = x + s n, n ~ N(0, I), and learns D(y; s), the mean of all x that y
may come from. D(y; s) - y points from y to where codes are likelier, and so whoever follows

    dy / ds = (y - D(y; s)) / s

from the level s down to 0 ends where codes are (Karras et al. 2022, eq. 1 and 3). ``refine`` adds
noise to what it is given and takes it away again (SDEdit, Meng et al. 2022): what is larger than
the noise stays, and what is smaller is made anew.
"""

from functools import reduce
from itertools import pairwise

import numpy as np

from ..autodiff import ops
from ..autodiff.engine import Tensor
from ..nn.module import Buffer, Module
from ..nn.optim import EMA, Adam, falling
from ..runtime.checks import between, positive, several, shaped
from ..runtime.device import to_numpy, xp
from ..runtime.distributed import rows
from ..runtime.random import Generator
from ..runtime.rules import MODULE, checked
from .base import Model

MEAN, STD = -0.4, 1.2           # of log s in training
LEAST_NOISE, RHO = 0.02, 3      # the last level above 0, and how close to one another the least lie
FREQUENCIES = 0.4, 0.8, 1.6, 3.2, 6.4, 12.8     # of the waves that tell a network log s

OF_ITS_SHAPE = shaped("x", "n", "*shape")


class ResidualBlock(Module):
    """x + second(first(x) + level(features)), both after ``activation``: maps (n, h, w, c) and what
    is known of the noise, (n, m) -> (n, h, w, c)."""

    @checked(first=MODULE, second=MODULE, level=MODULE, activation=MODULE)
    def __init__(self, first, second, level, activation):
        self.first, self.second, self.level, self.activation = first, second, level, activation

    def forward(self, x, features):
        shift = self.level(features)
        inner = self.first(self.activation(x)) + shift.reshape(len(x.data), 1, 1, -1)
        return x + self.second(self.activation(inner))


class UNet(Module):
    """A network of maps at two sizes (Ronneberger et al. 2015) that is told the level of noise in
    them: maps (n, h, w, c) and log s (n, 1) -> (n, h, w, c).

    ``embed`` makes features of waves of log s. ``before``, ``middle`` and ``after`` are lists of
    ResidualBlock, the middle ones between ``down`` and ``up``.
    """

    @checked(**dict.fromkeys(("embed", "enter", "down", "up", "leave"), MODULE),
             **dict.fromkeys(("before", "middle", "after"), several(MODULE, 0)))
    def __init__(self, embed, enter, before, down, middle, up, after, leave):
        self.embed, self.enter, self.down, self.up, self.leave = embed, enter, down, up, leave
        self.before, self.middle, self.after = list(before), list(middle), list(after)

    def forward(self, x, log_noise):
        features = self.embed(ops.concatenate(
            [wave(log_noise * f) for wave in (ops.sin, ops.cos) for f in FREQUENCIES], axis=-1))

        def through(blocks, x):
            return reduce(lambda x, block: block(x, features), blocks, x)

        x = through(self.before, self.enter(x))
        x = x + self.up(through(self.middle, self.down(x)))
        return self.leave(through(self.after, x))


class Denoiser(Model):
    """A network that takes noise from maps whose mean square is about one, and its training.

    D(y; s) = y / r^2 + s / r F(y / r, log s), r^2 = s^2 + 1: what F has to make, (x - y / r^2) r /
    s, then has a mean square of one at every s (Karras et al. 2022, Table 1). In training log s is
    drawn from N(-0.4, 1.2^2).

    Parameters
    ----------
    network : Module
        F: maps (n, *shape) and log s (n, 1) -> (n, *shape).
    shape : (h, w, c)
        Of what it refines: of an LDF the ``shape`` of its whitening.
    noise : float
        The level s of what ``refine`` adds.
    steps : int
        Of Heun's method, by which ``refine`` takes it away: each asks F twice, the last once.
    lr, betas, final_lr : Adam's settings; the rate falls linearly to the part ``final_lr`` of
        itself in the second half.
    ema : float
        The decay of the moving average of the weights, with which it refines.
    seed : int
        Of the noise and of the order of the batches.
    """

    @checked(network=MODULE, noise=positive, ema=between(0, 1, "["))
    def __init__(self, network, shape, *, noise=0.65, steps=3, lr=1e-3, betas=(0.9, 0.99),
                 final_lr=0.1, ema=0.999, seed=0):
        self.network, self.shape = network, tuple(shape)
        self.noise, self.steps, self.final_lr = float(noise), steps, final_lr
        self.rng, self.trained = Generator(seed), Buffer(np.zeros(1, np.float32))
        self.optimizer, self.ema = Adam(network, lr, betas), EMA(network, ema)

    @property
    def ready(self):
        """Whether its training has begun: before that it would only blur."""
        return bool(self.trained.data[0])

    def _batches(self, batch_size, x):
        batches = super()._batches(batch_size, x)
        self.adapt(x)
        return batches

    @checked(OF_ITS_SHAPE)
    def adapt(self, x):
        """From here on it is trained, on data like x. ValueError where x is not of its shape."""
        self.trained.data[...] = 1

    def _step(self, x, progress):
        x, one = Tensor(x), (len(x), *[1] * len(self.shape))
        log_noise = MEAN + STD * Tensor(rows(self.rng.standard_normal, (len(x.data), 1)))
        s = ops.exp(log_noise).reshape(*one)
        r = ops.sqrt(ops.square(s) + 1.0)
        y = x + s * Tensor(rows(self.rng.standard_normal, x.shape))
        wanted = (x - y / ops.square(r)) * r / s
        loss = ops.square(self.network(y / r, log_noise) - wanted).mean()
        self.optimizer.step(self.network.gradients(loss), falling(progress, self.final_lr))
        self.ema.update()
        return {"denoising": loss}

    @checked(OF_ITS_SHAPE)
    def refine(self, x, rng=None):
        """x (n, *shape) with noise added, drawn with ``rng`` (by default its own), and taken away
        again: a NumPy array (n, *shape)."""
        return self.without_noise(x + self.draw(len(x), rng))

    def draw(self, n, rng=None):
        """The noise that ``refine`` adds to n maps: a NumPy array (n, *shape)."""
        rng = self.rng if rng is None else rng
        return self.noise * to_numpy(rng.standard_normal((n, *self.shape)))

    @checked(OF_ITS_SHAPE)
    def without_noise(self, x):
        """x (n, *shape) without the noise of the level ``noise`` that it holds: a NumPy array."""
        with self.ema.applied():
            return self._apply(self._heun, x)

    def _heun(self, y):
        """From ``noise`` down to 0 by Heun's method (Karras et al. 2022, Algorithm 1): y, a
        Tensor."""
        first, last = self.noise ** (1 / RHO), min(LEAST_NOISE, self.noise) ** (1 / RHO)
        levels = [*np.linspace(first, last, self.steps) ** RHO, 0.0]
        for s, after in pairwise(map(float, levels)):
            slope = self._slope(y, s)
            end = y + slope * (after - s)
            if after:
                end = y + (slope + self._slope(end, after)) * (0.5 * (after - s))
            y = end
        return y

    def _slope(self, y, s):
        """dy / ds = (y - D(y; s)) / s."""
        r = (s * s + 1) ** 0.5
        log_noise = Tensor(xp().full((len(y.data), 1), np.log(s), np.float32))
        return y * (s / r ** 2) - self.network(y * (1 / r), log_noise) * (1 / r)
