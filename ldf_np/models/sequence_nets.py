"""The networks of sequences of any length: the top of clips and of text, and the bottom of text."""

import math

import numpy as np

from .. import nn
from ..runtime.checks import integer
from ..runtime.device import asarray
from ..runtime.random import Generator
from ..runtime.rules import checked, code_of_step
from .ali import ALI, Decoder, Encoder
from .factors import Frames
from .gan import GAN
from .ldf import LDF, Level
from .nets import (
    LOCAL_GAN,
    REFINER,
    SLOPE,
    ali_head,
    coarse,
    conv,
    dense,
    encoder_head,
    map_discriminator,
    new_refiner,
    output,
    pair_discriminator,
    to_map,
)
from .sequence import SequenceGAN, SequenceGenerator
from .whitening import SequenceWhitening


def bell(p):
    """A start for the kernels (2p + 1, 1) of a window over noise: each is one random column times
    a bell over time, so that neighbouring steps begin alike."""
    def init(rng, shape, fan_in, fan_out):
        taps = np.hanning(2 * p + 3)[1:-1].astype(np.float32)
        taps /= np.linalg.norm(taps)
        column = rng.standard_normal((1, *shape[1:])) * np.float32(math.sqrt(1 / shape[2]))
        return column * asarray(taps.reshape(-1, 1, 1, 1))

    return init


@checked(shape=code_of_step, p=integer(0))
def sequence_gan(shape, windows=(5,), p=4, latent_size=128, noise=8, width=32, hidden=256,
                 layout="channels", seed=0, **settings):
    """A GAN on sequences of whitened codes (n, t, *shape), of any length: the locally connected top
    level (paper, Section 3), in time and, where codes are maps (h, w, c), in space.

    The code of step t is made of noise at t - p ... t + p, ``noise`` channels at each place of a
    map of half the size, and of one global draw of ``latent_size`` numbers. A discriminator sees
    each of ``windows``, so many consecutive codes.
    """
    rng, (h, w, c) = Generator(seed), (1, 1, *shape)[-3:]
    start, near = coarse((h, w, c))
    halved = start != (h, w)

    def doubled(n_in, n_out):
        kind, *geometry = (nn.ConvTranspose2d, 4, 2, 1) if halved else (nn.Conv2d, *near)
        return kind(n_in, n_out, *geometry, bias=False, init=nn.he(SLOPE), rng=rng)

    shared = nn.Sequential(
        *to_map(latent_size, hidden, (*start, 2 * width), rng),
        *conv(nn.Conv2d, 2 * width, 2 * width, *near, rng=rng), doubled(2 * width, width))
    window = nn.Conv2d(noise, width, (2 * p + 1, 1), bias=False, init=bell(p), rng=rng)
    local = nn.Sequential(nn.LeakyReLU(SLOPE), doubled(width, width))
    to_code = [nn.Conv2d(width, c, 1, init=nn.glorot(), rng=rng)]
    step = nn.Sequential(
        nn.BatchNorm(width), nn.LeakyReLU(SLOPE), *conv(nn.Conv2d, width, width, *near, rng=rng),
        *conv(nn.Conv2d, width, width, *near, rng=rng), *to_code,
        *([nn.Reshape(c)] if len(shape) == 1 else []))
    discriminators = [map_discriminator(((h, w, k * c) if layout == "channels" else (k * h, w, c)),
                                        48, hidden, rng) for k in windows]
    generator = SequenceGenerator(shared, window, local, step, latent_size, (*start, noise))
    return SequenceGAN(generator, discriminators, windows, shape, layout, seed=seed + 1,
                       **LOCAL_GAN | settings)


@checked(shape=code_of_step, refiner=REFINER)
def sequence_ldf(model, shape, split=None, code="h", seed=0, passes=0, refiner=None, **settings):
    """LDF over sequences of any length: a ``model`` of their steps, whose codes have this
    ``shape``, and a ``sequence_gan`` with these ``settings``. ``split``: Frames() by default;
    ``passes``, ``refiner``: see ``clip_ldf``."""
    top = sequence_gan(shape, seed=seed + 10, **settings)
    return LDF([Level(model, split or Frames(), code)], top, SequenceWhitening(shape),
               seed=seed + 20, passes=passes,
               refiner=new_refiner(refiner, top.whitenings[0], seed))


# Text. A text of n characters is a map (length, 1, characters), so that convolutions of one side go
# along it.

ALONG = (3, 1), 1, (1, 0)           # kernel, stride, padding: neighbouring characters
HALVE = (4, 1), (2, 1), (1, 0)      # half as many
TEXT_ALI = {"shortcut_weight": 1000.0, "latent_weight": 100.0, "lr": 2e-3, "discriminator_lr": 1e-3,
            "final_lr": 0.1, "penalty": "unweighted", "gamma": 2.0, "final_gamma": 0.3}


def text_trunk(length, characters, width, hidden, rng):
    """What discriminators of texts (n, length, characters) make of them: (n, hidden)."""
    return [nn.Reshape(length, 1, characters),
            *conv(nn.Conv2d, characters, width, 1, rng=rng, normalized=False),
            *conv(nn.Conv2d, width, width, *ALONG, rng=rng, normalized=False),
            *conv(nn.Conv2d, width, 2 * width, *HALVE, rng=rng, normalized=False),
            nn.Flatten(), *dense(length * width, hidden, rng)]


def to_characters(width, length, characters, rng):
    """From a map (length, 1, width) to the probabilities of characters (length, characters)."""
    return [*conv(nn.Conv2d, width, width, *ALONG, rng=rng),
            nn.Conv2d(width, characters, 1, init=nn.glorot(), rng=rng), nn.Softmax(),
            nn.Reshape(length, characters)]


@checked()
def text_ali(characters, length=8, latent_size=64, width=96, hidden=256, seed=0, **settings):
    """ALI for windows of ``length`` one-hot characters (n, length, characters). The decoder gives
    probabilities, and the discriminator sees those and the one-hots of data, as in the language
    model of WGAN-GP (Gulrajani et al. 2017). The code h keeps its places: (n, length / 2, 1, 16).
    """
    rng, maps = Generator(seed), 16
    shape = length // 2, 1, maps
    encoder = Encoder(
        nn.Sequential(
            nn.Reshape(length, 1, characters), *conv(nn.Conv2d, characters, width, 1, rng=rng),
            *conv(nn.Conv2d, width, width, *HALVE, rng=rng),
            nn.Conv2d(width, maps, *ALONG, bias=False, init=nn.glorot(), rng=rng),
            nn.BatchNorm(maps, affine=False)),
        encoder_head(shape, latent_size, rng, False))
    decoder = Decoder(
        ali_head(latent_size, hidden, shape, rng),
        nn.Sequential(
            *conv(nn.Conv2d, maps, width, *ALONG, rng=rng),
            *conv(nn.ConvTranspose2d, width, width, *HALVE, rng=rng),
            *to_characters(width, length, characters, rng)))
    judge = text_trunk(length, characters, width, hidden, rng)
    discriminator = pair_discriminator(judge, latent_size, hidden, rng)
    return ALI(encoder, decoder, discriminator, latent_size, seed=seed + 1, **TEXT_ALI | settings)


@checked()
def joint_text_gan(characters, length=32, latent_size=128, width=64, hidden=256, seed=0,
                   **settings):
    """The joint baseline of text: one GAN over all ``length`` characters, (n, length, characters),
    of probabilities and one-hots."""
    rng = Generator(seed)
    generator = nn.Sequential(
        *to_map(latent_size, hidden, (length // 4, 1, 2 * width), rng),
        *conv(nn.ConvTranspose2d, 2 * width, width, *HALVE, rng=rng),
        *conv(nn.ConvTranspose2d, width, width, *HALVE, rng=rng),
        *to_characters(width, length, characters, rng))
    discriminator = nn.Sequential(*text_trunk(length, characters, width, hidden, rng),
                                  *output(hidden, 1, rng))
    return GAN(generator, discriminator, latent_size, seed=seed + 1,
               **LOCAL_GAN | {"gamma": 5.0} | settings)
