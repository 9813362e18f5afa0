"""The architectures: the small networks that learn on a CPU, and ALI's own for CIFAR-10."""

import math
from functools import partial

import numpy as np

from .. import nn
from ..autodiff import ops
from ..nn.losses import colour_metric
from ..runtime.checks import integer, multiple, one_of, optional
from ..runtime.device import asarray
from ..runtime.random import Generator
from ..runtime.relations import clips_fit, patches_divide
from ..runtime.rules import CLIPS, checked, function_or, map_shape, one_or_several
from .ali import ALI, Decoder, Discriminator, Encoder
from .denoiser import FREQUENCIES, Denoiser, ResidualBlock, UNet
from .factors import Assembled, Frames, Nested, Patches
from .gan import GAN
from .ldf import LDF, Level
from .whitening import ChannelWhitening, Whitening

CODE = (4, 4, 32)       # h of ``small_ali``: 512 numbers a frame
PLACES = (8, 8, 8)      # h of ``place_ali``: as many, and twice the places either way
CLIP_MAP = (8, 8, 40)   # whitened codes of a clip of five frames
SLOPE = 0.1
SMALL = nn.normal(0.003)    # so that residual blocks begin as nearly nothing
LEAST_ENERGY = 0.05     # of a channel's mean square; that of whitened codes is about 1

SMALL_ALI = {"shortcut_weight": 1000.0, "latent_weight": 100.0, "lr": 2e-3,
             "discriminator_lr": 4e-4, "final_lr": 0.1}
PLACE_ALI = {"latent_weight": 250.0, "penalty": "unweighted", "gamma": 50.0, "final_gamma": 0.3,
             "own_statistics": True}
SMALL_GAN = {"lr": 1e-3, "discriminator_lr": 1e-3, "penalty": "unweighted", "final_gamma": 0.1,
             "final_lr": 0.1}
LOCAL_GAN = SMALL_GAN | {"lr": 2e-3, "discriminator_lr": 2e-3, "gamma": 150.0, "betas": (0.0, 0.99)}
MAP_ALI = {"shortcut_weight": 200.0, "latent_weight": 50.0}      # of codes, whose variance is one
ALI_TOP = {"shortcut_weight": 0.0, "latent_weight": 10.0}


# Parts that several networks have. Each is a list of layers.

def dense(n_in, n_out, rng, normalized=False):
    """A linear layer, perhaps normalised over the batch, and its leaky ReLU."""
    linear = nn.Linear(n_in, n_out, bias=not normalized, init=nn.he(SLOPE), rng=rng)
    return [linear, *[nn.BatchNorm(n_out)] * normalized, nn.LeakyReLU(SLOPE)]


def output(n_in, n_out, rng, bias=True):
    """A linear layer without an activation: logits, say."""
    return [nn.Linear(n_in, n_out, bias=bias, init=nn.glorot(), rng=rng)]


def mlp(n_in, hidden, n_out, rng, normalized=False):
    """A network of two hidden layers."""
    return nn.Sequential(*dense(n_in, hidden, rng, normalized),
                         *dense(hidden, hidden, rng, normalized), *output(hidden, n_out, rng))


def conv(kind, c_in, c_out, *geometry, rng, init=None, normalized=True):
    """A convolution of this ``kind`` and (kernel, stride, padding), perhaps normalised over the
    batch, and its leaky ReLU."""
    layer = kind(c_in, c_out, *geometry, bias=not normalized, init=init or nn.he(SLOPE), rng=rng)
    return [layer, *[nn.BatchNorm(c_out)] * normalized, nn.LeakyReLU(SLOPE)]


def down(widths, rng, normalized, inits=(None, None, None)):
    """4x4 convolutions of stride two, each halving the image."""
    return [layer for c_in, c_out, init in zip(widths, widths[1:], inits) for layer in conv(
        nn.Conv2d, c_in, c_out, 4, 2, 1, rng=rng, init=init, normalized=normalized)]


def up(widths, rng, init=None, last=None):
    """4x4 transposed convolutions of stride two, each doubling the image, the last to colours in
    [-1, 1]."""
    inner = [layer for c_in, c_out in zip(widths, widths[1:-1]) for layer in conv(
        nn.ConvTranspose2d, c_in, c_out, 4, 2, 1, rng=rng, init=init)]
    to_colours = nn.ConvTranspose2d(*widths[-2:], 4, 2, 1, init=last or nn.glorot(), rng=rng)
    return [*inner, to_colours, nn.Tanh()]


def ali_head(latent_size, hidden, shape, rng):
    """The decoder of small images up to h: z -> (n, *shape)."""
    return nn.Sequential(
        *dense(latent_size, hidden, rng, True),
        *output(hidden, math.prod(shape), rng, bias=False),
        nn.Reshape(*shape), nn.BatchNorm(shape[-1], affine=False))


def encoder_head(shape, latent_size, rng, stochastic):
    """From h (n, *shape) to z, or to the mean and log-variance of a stochastic encoder."""
    flat = math.prod(shape)
    return nn.Sequential(nn.LeakyReLU(SLOPE), nn.Flatten(), *(
        [nn.Linear(flat, 2 * latent_size, init=nn.normal(0.01), rng=rng)] if stochastic else
        [*output(flat, latent_size, rng, bias=False), nn.BatchNorm(latent_size, affine=False)]))


def mapping_network(latent_size, hidden, rng):
    """From N(0, I) to z, each number of which has mean 0 and variance 1, as an encoder's have."""
    return nn.Sequential(*dense(latent_size, hidden, rng, True), *dense(hidden, hidden, rng, True),
                         *output(hidden, latent_size, rng, bias=False),
                         nn.BatchNorm(latent_size, affine=False))


def to_map(n_in, hidden, shape, rng):
    """From a vector to a map (h, w, c), by a dense layer of ``hidden`` units."""
    return [*dense(n_in, hidden, rng, True),
            nn.Linear(hidden, math.prod(shape), bias=False, init=nn.he(SLOPE), rng=rng),
            nn.Reshape(*shape), nn.BatchNorm(shape[-1]), nn.LeakyReLU(SLOPE)]


def code_map(width, maps, rng):
    """From the last layer of an encoder to h: ``maps`` channels, normalised and not scaled."""
    return [nn.Conv2d(width, maps, 3, 1, 1, bias=False, init=nn.glorot(), rng=rng),
            nn.BatchNorm(maps, affine=False)]


def ali_discriminator(widths, side, latent_size, hidden, rng):
    """The discriminator of small images and their z."""
    return pair_discriminator(trunk(widths, side, hidden, rng), latent_size, hidden, rng)


def pair_discriminator(x_layers, latent_size, hidden, rng):
    """The discriminator of x and z, of which ``x_layers`` and a dense layer make ``hidden`` numbers
    each."""
    return Discriminator(
        nn.Sequential(*x_layers), nn.Sequential(*dense(latent_size, hidden, rng)),
        nn.Sequential(*dense(2 * hidden, hidden, rng), *output(hidden, 1, rng)))


def trunk(widths, side, hidden, rng, inits=(None, None, None)):
    """What discriminators of small images make of them: (n, hidden)."""
    return [*down(widths, rng, False, inits), nn.Flatten(),
            *dense(side * side * widths[-1], hidden, rng)]


@checked(size=multiple(8))      # three strides of two divide 8
def small_ali(size=32, channels=3, latent_size=64, stochastic=False, seed=0, **settings):
    """ALI for small images (n, size, size, channels) in [-1, 1], ``size`` a multiple of 8; 1.2
    million parameters.

    The reconstruction weights are large because they are what makes it learn fast
    (docs/recipe.md).
    """
    rng, side, maps = Generator(seed), size // 8, CODE[2]
    shape, widths = (side, side, maps), [channels, 24, 48, 96]
    encoder = Encoder(nn.Sequential(*down(widths, rng, True), *code_map(96, maps, rng)),
                      encoder_head(shape, latent_size, rng, stochastic), stochastic)
    decoder = Decoder(
        ali_head(latent_size, 512, shape, rng),
        nn.Sequential(*conv(nn.Conv2d, maps, 96, 3, 1, 1, rng=rng),
                      *up([*reversed(widths)], rng)))
    discriminator = ali_discriminator(widths, side, latent_size, 256, rng)
    return ALI(encoder, decoder, discriminator, latent_size, seed=seed + 1, **SMALL_ALI | settings)


@checked(size=multiple(8), mapping_hidden=optional(integer()))
def place_ali(size=32, channels=3, latent_size=128, stochastic=False, seed=0, mapping_hidden=256,
              **settings):
    """ALI for small images whose codes h keep their places: (n, size / 4, size / 4, 8), as many
    numbers as those of ``small_ali`` at twice the resolution.

    The last convolution, at full size, takes away a checked texture that transposed convolutions
    leave on even walls. The penalty is strong and not weighted: with Roth's the discriminator wins,
    and G(z) is noise (docs/recipe.md).

    z is distributed as a mapping network of two layers of ``mapping_hidden`` units makes it of
    N(0, I), or with None as N(0, I) itself, of which G makes no frames.
    """
    rng, side, maps = Generator(seed), size // 4, PLACES[2]
    shape = (side, side, maps)
    encoder = Encoder(nn.Sequential(*down([channels, 32, 64], rng, True), *code_map(64, maps, rng)),
                      encoder_head(shape, latent_size, rng, stochastic), stochastic)
    decoder = Decoder(
        ali_head(latent_size, 512, shape, rng),
        nn.Sequential(*conv(nn.Conv2d, maps, 64, 3, 1, 1, rng=rng),
                      *conv(nn.ConvTranspose2d, 64, 32, 4, 2, 1, rng=rng),
                      *conv(nn.ConvTranspose2d, 32, 24, 4, 2, 1, rng=rng),
                      nn.Conv2d(24, channels, 3, 1, 1, init=nn.glorot(), rng=rng), nn.Tanh()))
    discriminator = ali_discriminator([channels, 24, 48, 96], size // 8, latent_size, 256, rng)
    mapping = mapping_hidden and mapping_network(latent_size, mapping_hidden, Generator(seed + 2))
    return ALI(encoder, decoder, discriminator, latent_size, mapping=mapping, seed=seed + 1,
               **SMALL_ALI | PLACE_ALI | settings)


def mlp_ali(size=2, latent_size=2, hidden=64, seed=0, **settings):
    """ALI on a few numbers (n, size) between about -5 and 5 whose modes lie far apart, such as its
    authors' Gaussians.

    A decoder is continuous, so between modes it has to jump. Every network therefore begins with
    steep tanh units that turn on all over its input, not only at 0, where the kinks of an ordinary
    layer lie at first.
    """
    rng, wide = Generator(seed), 2 * hidden

    def steps(n_in, n_out, steepness, spread):
        first = nn.Linear(n_in, n_out, init=nn.normal(steepness), rng=rng)
        first.bias.data[...] = rng.standard_normal(n_out) * np.float32(steepness * spread)
        return [first, nn.Tanh()]

    encoder = Encoder(
        nn.Sequential(*steps(size, hidden, 4.0, 4.0), *dense(hidden, hidden, rng)),
        nn.Sequential(*output(hidden, latent_size, rng), nn.BatchNorm(latent_size, affine=False)))
    decoder = Decoder(
        nn.Sequential(*steps(latent_size, hidden, 8.0, 2.0)),
        nn.Sequential(*dense(hidden, hidden, rng), *output(hidden, size, rng)))
    discriminator = Discriminator(
        nn.Sequential(*steps(size, wide, 4.0, 4.0)),
        nn.Sequential(*steps(latent_size, wide, 8.0, 2.0)),
        nn.Sequential(*dense(2 * wide, wide, rng), *output(wide, 1, rng)))
    settings = {"shortcut_weight": 0.0, "latent_weight": 1.0, "gamma": 1.0, "lr": 8e-3,
                "discriminator_lr": 8e-3, "final_lr": 0.0} | settings
    return ALI(encoder, decoder, discriminator, latent_size, seed=seed + 1, **settings)


def lengths_of(size):
    """The shape of vectors, by their length, or of arrays, by a tuple or list."""
    return tuple(size) if isinstance(size, (tuple, list)) else (size,)


@checked(size=one_or_several)
def mlp_gan(size, latent_size=128, hidden=512, seed=0, **settings):
    """A GAN of dense networks on vectors (n, size), or on arrays (n, *size): the paper's top level
    over whitened codes."""
    rng, shape = Generator(seed), lengths_of(size)
    generator = mlp(latent_size, hidden, math.prod(shape), rng, normalized=True)
    discriminator = mlp(math.prod(shape), hidden, 1, rng)
    if len(shape) > 1:
        generator = nn.Sequential(generator, nn.Reshape(*shape))
        discriminator = nn.Sequential(nn.Flatten(), discriminator)
    return GAN(generator, discriminator, latent_size, seed=seed + 1,
               **SMALL_GAN | {"gamma": 20.0} | settings)


def coarse(shape):
    """Of maps (h, w, c): where their generators begin, half the size if both sides divide by two,
    and the (kernel, stride, padding) of a convolution of neighbouring places."""
    h, w, _ = shape
    near = [3 if side > 1 else 1 for side in (h, w)]
    return ((h // 2, w // 2) if h % 2 == w % 2 == 0 else (h, w)), (
        tuple(near), 1, tuple(k // 2 for k in near))


class WithEnergies(nn.Module):
    """What ``network`` makes of maps (n, h, w, c), (n, m), and beside it the log of each channel's
    mean square over the places: (n, m + c).

    A discriminator of places, whose gradients are penalised, hardly sees that there is nothing of
    a channel at any place: that a clip stands still, say (docs/recipe.md).
    """

    def __init__(self, network):
        self.network = network

    def forward(self, x):
        energies = ops.log(ops.mean(ops.square(x), axis=(1, 2)) + LEAST_ENERGY)
        return ops.concatenate([self.network(x), energies], axis=-1)


def map_discriminator(shape, width, hidden, rng):
    """The discriminator of whitened maps (h, w, c)."""
    h, w, c = shape
    (i, j), near = coarse(shape)
    places = nn.Sequential(
        *conv(nn.Conv2d, c, width, 1, rng=rng, normalized=False),
        *conv(nn.Conv2d, width, 2 * width, *((4, 2, 1) if (i, j) != (h, w) else near), rng=rng,
              normalized=False), nn.Flatten())
    return nn.Sequential(WithEnergies(places), *dense(i * j * 2 * width + c, hidden, rng),
                         *output(hidden, 1, rng))


@checked()
def local_gan(shape, latent_size=128, width=48, hidden=256, seed=0, depth=1, **settings):
    """A GAN of small convolutions on maps (n, *shape), shape (h, w, c): the locally connected top
    level over whitened codes (paper, Section 3).

    What is learned of one place holds at all: a wall is the same pattern wherever it stands. The
    generator begins with maps of half the size where they divide by two, and ends with ``depth``
    convolutions of neighbouring places at full size; on maps of one place both networks are dense.
    """
    rng, (h, w, c) = Generator(seed), shape
    start, near = coarse(shape)
    halved = start != (h, w)
    wide = 2 * width if halved else width
    generator = nn.Sequential(
        *to_map(latent_size, hidden, (*start, wide), rng),
        *conv(nn.Conv2d, wide, wide, *near, rng=rng),
        *(conv(nn.ConvTranspose2d, wide, width, 4, 2, 1, rng=rng) if halved else []),
        *[layer for _ in range(depth) for layer in conv(nn.Conv2d, width, width, *near, rng=rng)],
        nn.Conv2d(width, c, 1, init=nn.glorot(), rng=rng))
    discriminator = map_discriminator(shape, width, hidden, rng)
    return GAN(generator, discriminator, latent_size, seed=seed + 1,
               **LOCAL_GAN | settings)


@checked(size=one_or_several)
def mlp_ali_top(size, latent_size=128, hidden=512, stochastic=False, seed=0, **settings):
    """ALI of dense networks on vectors (n, size), or on arrays (n, *size): the top level over
    whitened codes, as wide as ``mlp_gan``, with inference of the topmost z."""
    rng, shape = Generator(seed), lengths_of(size)
    flat = math.prod(shape)
    layered = [nn.Reshape(*shape)] * (len(shape) > 1)
    z = ([nn.Linear(hidden, 2 * latent_size, init=nn.normal(0.01), rng=rng)] if stochastic else
         [*output(hidden, latent_size, rng, bias=False), nn.BatchNorm(latent_size, affine=False)])
    encoder = Encoder(nn.Sequential(nn.Flatten(), *dense(flat, hidden, rng, True)),
                      nn.Sequential(*dense(hidden, hidden, rng, True), *z), stochastic)
    decoder = Decoder(
        nn.Sequential(*dense(latent_size, hidden, rng, True)),
        nn.Sequential(*dense(hidden, hidden, rng, True), *output(hidden, flat, rng), *layered))
    judge = [nn.Flatten(), *dense(flat, hidden, rng)]
    discriminator = pair_discriminator(judge, latent_size, hidden, rng)
    return ALI(encoder, decoder, discriminator, latent_size, seed=seed + 1,
               **SMALL_GAN | ALI_TOP | {"gamma": 20.0} | settings)


@checked()
def local_ali_top(shape, latent_size=128, width=48, hidden=256, stochastic=False, seed=0, depth=1,
                  **settings):
    """ALI of small convolutions on maps (n, *shape), shape (h, w, c): ``local_gan`` with an encoder
    that mirrors its generator, and so with inference of the topmost z."""
    gan, rng = local_gan(shape, latent_size, width, hidden, seed, depth), Generator(seed + 2)
    at = [type(layer) for layer in gan.generator].index(nn.Reshape)
    start = gan.generator[at].shape                     # the map that the generator begins with
    near = (3, 1, 1) if shape[0] * shape[1] > 1 else (1, 1, 0)      # kernel, stride, padding
    down = (4, 2, 1) if start[0] < shape[0] else near
    encoder = Encoder(
        nn.Sequential(*conv(nn.Conv2d, shape[2], width, 1, rng=rng),
                      *conv(nn.Conv2d, width, start[2], *down, rng=rng),
                      nn.Conv2d(start[2], start[2], *near, bias=False, init=nn.glorot(), rng=rng),
                      nn.BatchNorm(start[2])),
        encoder_head(start, latent_size, rng, stochastic), stochastic)
    decoder = Decoder(gan.generator[:at + 2], gan.generator[at + 2:])
    discriminator = pair_discriminator(gan.discriminator[:-1], latent_size, hidden, rng)
    return ALI(encoder, decoder, discriminator, latent_size, seed=seed + 1,
               **LOCAL_GAN | ALI_TOP | settings)


@checked()
def map_denoiser(shape, width=48, hidden=96, seed=0, **settings):
    """A Denoiser of maps (n, *shape), shape (h, w, c), such as whitened codes: residual blocks of
    small convolutions, one at full size before and after three at half the size, where both sides
    divide by two. ``hidden``: the features of the noise's level."""
    rng, (h, w, c), (start, near) = Generator(seed), shape, coarse(shape)
    halved = start != (h, w)
    wide = 2 * width if halved else width

    def same(c_in, c_out, init):
        return nn.Conv2d(c_in, c_out, *near, init=init, rng=rng)

    def blocks(count, width):
        return [ResidualBlock(same(width, width, nn.he(SLOPE)), same(width, width, SMALL),
                              nn.Linear(hidden, width, init=nn.normal(0.02), rng=rng),
                              nn.LeakyReLU(SLOPE)) for _ in range(count)]

    def resized(kind, c_in, c_out):
        return kind(c_in, c_out, *((4, 2, 1) if halved else near), init=nn.glorot(), rng=rng)

    network = UNet(
        nn.Sequential(*dense(2 * len(FREQUENCIES), hidden, rng), *dense(hidden, hidden, rng)),
        same(c, width, nn.glorot()), blocks(1, width), resized(nn.Conv2d, width, wide),
        blocks(3, wide), resized(nn.ConvTranspose2d, wide, width), blocks(1, width),
        nn.Sequential(nn.LeakyReLU(SLOPE), same(width, c, SMALL)))
    return Denoiser(network, shape, seed=seed + 1, **settings)


@checked(shape=map_shape, maps=integer())
def map_ali(shape, latent_size=128, maps=PLACES[2], seed=0, **settings):
    """ALI on maps of codes (n, *shape), shape (h, w, c), h and w multiples of 4: a level between
    the bottom and the top.

    Its h keep their places, too: (n, h', w', maps), both sides halved once, and again while the
    longer is above 8 and both are even. Codes have no bounds, so unlike colours they are made
    without tanh.
    """
    rng, (h, w, c) = Generator(seed), shape
    halvings = 1
    while max(h, w) >> halvings > PLACES[0] and (h >> halvings) % 2 == (w >> halvings) % 2 == 0:
        halvings += 1
    code, widths = (h >> halvings, w >> halvings, maps), [c, *[64] * halvings]
    encoder = Encoder(nn.Sequential(*down(widths, rng, True, [None] * halvings),
                                    *code_map(64, maps, rng)),
                      encoder_head(code, latent_size, rng, False))
    decoder = Decoder(ali_head(latent_size, 512, code, rng), nn.Sequential(
        *conv(nn.Conv2d, maps, 64, 3, 1, 1, rng=rng),
        *(layer for _ in range(halvings) for layer in conv(nn.ConvTranspose2d, 64, 64, 4, 2, 1,
                                                           rng=rng)),
        nn.Conv2d(64, c, 3, 1, 1, init=nn.glorot(), rng=rng)))
    judge = [*down([c, 48, 96], rng, False), nn.Flatten(), *dense(h // 4 * (w // 4) * 96, 256, rng)]
    discriminator = pair_discriminator(judge, latent_size, 256, rng)
    return ALI(encoder, decoder, discriminator, latent_size, seed=seed + 1,
               **SMALL_ALI | PLACE_ALI | MAP_ALI | settings)


BOTTOMS = {"places": place_ali, "small": small_ali}
TOPS = {"local": local_gan, "mlp": mlp_gan, "local-ali": local_ali_top, "mlp-ali": mlp_ali_top}
REFINERS = {"local": map_denoiser}
TOP = function_or(*TOPS)        # a rule: a top by its name, or a function that makes one
REFINER = optional(function_or(*REFINERS))


@checked(clips_fit, images=CLIPS, components=integer(), bottom=one_of(*BOTTOMS), top=TOP,
         refiner=REFINER)
def clip_ldf(images, frames=5, code="h", seed=0, bottom="places", top="local", components=None,
             passes=0, refiner=None, **settings):
    """LDF on clips (n, frames, size, size, channels): small ALI networks shared by all frames, and
    a GAN over the map of their whitened codes.

    ``images``: training clips (N, ...), for the metric of their colours. What is not 5 frames of
    32 x 32 pixels in 3 channels is told: ``frames``, and ``size`` (a multiple of 8) and
    ``channels`` among the ``settings``. ``bottom``: "places" (``place_ali``) or "small"
    (``small_ali``), and its ``settings``. ``top``: "local" (``local_gan``), "mlp" (``mlp_gan``, the
    paper's), or a function that makes the GAN from (shape of a whitened code or its length, seed=).
    ``components``: None whitens by channel and cuts nothing off; a number keeps so many principal
    components of all codes of a clip (at most N / 4). ``passes``: of samples through z, see
    ``LDF``; one is better from about four minutes of training on, and worse before. ``refiner``: of
    what the top makes, see ``LDF``: None, "local" (``map_denoiser``), or a function that makes one
    from (shape, seed=).
    """
    settings = {"colour_metric": colour_metric(images[:200])} | settings
    return frames_ldf(BOTTOMS[bottom](seed=seed, **settings), images, code, seed, top, components,
                      passes, refiner)


def frames_ldf(model, clips, code="h", seed=0, top="local", components=None, passes=0,
               refiner=None):
    """LDF on clips (N, t, h, w, c) over any ``model`` of their frames, with the whitening, the top
    and the refiner of ``clip_ldf``."""
    shape = clips.shape[1], *model.encode(clips[:1, 0], code).shape[1:]
    few = components and max(1, min(components, len(clips) // 4, math.prod(shape)))
    return split_ldf(model, Frames(clips.shape[1]), shape, code, seed, top, few, passes,
                     refiner)


@checked(top=TOP, refiner=REFINER)
def split_ldf(model, split, code_shape, code="h", seed=0, top="local", components=None, passes=0,
              refiner=None):
    """LDF over a ``model`` of the factors that ``split`` makes, whose codes are ``code_shape``,
    (count, ...); the rest as in ``clip_ldf``."""
    whitening = (ChannelWhitening(split, code_shape) if components is None else
                 Whitening(code_shape, components))
    gan = TOPS.get(top, top)(components or whitening.shape, seed=seed + 10)
    return LDF([Level(model, split, code)], gan, whitening, seed=seed + 20, passes=passes,
               refiner=new_refiner(refiner, whitening, seed))


def new_refiner(refiner, whitening, seed):
    """The refiner of an LDF by its name, or by the function that makes it; None for None."""
    return refiner and REFINERS.get(refiner, refiner)(whitening.shape, seed=seed + 30)


@checked(patches_divide, images=CLIPS, patch=multiple(8), top=TOP, refiner=REFINER)
def patch_ldf(images, patch=16, seed=0, top="local", passes=0, refiner=None, **settings):
    """Three levels on clips (n, t, h, w, c), as in Section 3.1, where an image is cut into patches
    of 16 x 16: ALI for all patches (``place_ali`` with ``settings``), ALI for all frames over the
    map of their patches' codes (``map_ali``), and a top over the whitened map of a clip's frames.

    ``images``: training clips, for their shape and the metric of their colours. ``patch``: the rows
    and columns of a patch, a multiple of 8 that divides those of a frame. ``top``, ``passes``,
    ``refiner``: see ``clip_ldf``.
    """
    _, frames, *sides, channels = images.shape
    grid = [side // patch for side in sides]
    nested = Nested(Frames(frames), Patches(*grid))
    settings = {"latent_size": 64, "colour_metric": colour_metric(images[:200])} | settings
    bottom = place_ali(patch, channels, seed=seed, **settings)
    shape = *(patch // 4 * side for side in grid), PLACES[2]
    middle = map_ali(shape, seed=seed + 5)
    code = middle.encode(np.zeros((1, *shape), np.float32)).shape[1:]
    whitening = ChannelWhitening(nested.outer, (frames, *code))
    return LDF([Level(bottom, nested), Level(middle, Assembled(nested))],
               TOPS.get(top, top)(whitening.shape, seed=seed + 10), whitening, seed=seed + 20,
               passes=passes, refiner=new_refiner(refiner, whitening, seed))


def cifar_ali(images=None, seed=0, **settings):
    """ALI's own networks for CIFAR-10 (Dumoulin et al. 2017, Table 3), on images (n, 32, 32, 3) in
    [0, 1].

    Valid convolutions; encoder to a mean and a log-variance of 64; maxout and dropout in D.
    ``images``, where given, set the output bias to their log-odds.
    """
    rng, noise, init = Generator(seed), Generator(seed + 2), nn.normal(0.01)
    conv_down = partial(conv, nn.Conv2d, rng=rng, init=init)
    conv_up = partial(conv, nn.ConvTranspose2d, rng=rng, init=init)

    def maxout(p, kind, n_in, n_out, *geometry):
        return [nn.Dropout(p, rng=noise), kind(n_in, 2 * n_out, *geometry, init=init, rng=rng),
                nn.Maxout(2)]

    encoder = Encoder(
        nn.Sequential(*conv_down(3, 32, 5, 1), *conv_down(32, 64, 4, 2), *conv_down(64, 128, 4, 1),
                      *conv_down(128, 256, 4, 2), *conv_down(256, 512, 4, 1),
                      *conv_down(512, 512, 1, 1)),
        nn.Sequential(nn.Conv2d(512, 128, 1, init=init, rng=rng), nn.Flatten()), stochastic=True)
    colours = nn.ConvTranspose2d(32, 3, 1, init=init, rng=rng)
    if images is not None:
        colours.bias.data[...] = asarray(nn.log_odds(images))
    body = nn.Sequential(
        *conv_up(256, 128, 4, 2), *conv_up(128, 64, 4, 1), *conv_up(64, 32, 4, 2),
        *conv_up(32, 32, 5, 1), *conv_up(32, 32, 1, 1), colours, nn.Sigmoid())
    head = nn.Sequential(nn.Reshape(1, 1, 64), *conv_up(64, 256, 4, 1))
    discriminator = Discriminator(
        nn.Sequential(*maxout(0.2, nn.Conv2d, 3, 32, 5, 1), *maxout(0.5, nn.Conv2d, 32, 64, 4, 2),
                      *maxout(0.5, nn.Conv2d, 64, 128, 4, 1),
                      *maxout(0.5, nn.Conv2d, 128, 256, 4, 2),
                      *maxout(0.5, nn.Conv2d, 256, 512, 4, 1), nn.Flatten()),
        nn.Sequential(nn.Linear(64, 2 * 512, init=init, rng=rng), nn.Maxout(2),
                      *maxout(0.5, nn.Linear, 512, 512)),
        nn.Sequential(*maxout(0.5, nn.Linear, 1024, 1024), *maxout(0.5, nn.Linear, 1024, 1024),
                      nn.Dropout(0.5, rng=noise), nn.Linear(1024, 1, init=init, rng=rng)))
    settings = {"shortcut_weight": 0.0, "latent_weight": 0.0, "lr": 1e-4, "discriminator_lr": 1e-4,
                "betas": (0.5, 0.999)} | settings
    return ALI(encoder, Decoder(head, body), discriminator, 64, seed=seed + 1, **settings)
