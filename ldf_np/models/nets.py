"""The architectures: the small networks that learn on a CPU, and ALI's own for CIFAR-10."""

import math

import numpy as np

from .. import nn
from ..nn.losses import colour_metric
from ..runtime.checks import channels_last_array, checked, integer, one_of
from ..runtime.device import asarray
from ..runtime.random import Generator
from .ali import ALI, Decoder, Discriminator, Encoder
from .factors import Frames
from .gan import GAN
from .ldf import LDF, Level
from .whitening import SharedAndLocal

CODE = (4, 4, 32)       # h of the small networks: 512 numbers a frame
SLOPE = 0.1


def multiple_of_8(name, size):
    """A rule: a size that three strides of two divide."""
    if integer()(name, size) % 8:
        raise ValueError(f"{name}: expected a multiple of 8, got {size}")


SIZES = {"size": multiple_of_8, **dict.fromkeys((
    "channels", "latent_size", "frames", "hidden", "shared", "local", "classes", "width"),
    integer())}


# Parts that several networks have. Each is a list of layers.

def dense(n_in, n_out, rng, normalized=False):
    """A linear layer, perhaps normalised over the batch, and its leaky ReLU."""
    linear = nn.Linear(n_in, n_out, bias=not normalized, init=nn.he(SLOPE), rng=rng)
    return [linear, *[nn.BatchNorm(n_out)] * normalized, nn.LeakyReLU(SLOPE)]


def output(n_in, n_out, rng, bias=True):
    """A linear layer without an activation: logits, say."""
    return [nn.Linear(n_in, n_out, bias=bias, init=nn.glorot(), rng=rng)]


def conv3(c_in, c_out, rng):
    """A 3x3 convolution of stride one, normalised, and its leaky ReLU."""
    return [nn.Conv2d(c_in, c_out, 3, 1, 1, bias=False, init=nn.he(SLOPE), rng=rng),
            nn.BatchNorm(c_out), nn.LeakyReLU(SLOPE)]


def down(widths, rng, normalized, inits=None):
    """4x4 convolutions of stride two, each halving the image."""
    layers = []
    for c_in, c_out, init in zip(widths, widths[1:], inits or [nn.he(SLOPE)] * len(widths)):
        layers += [nn.Conv2d(c_in, c_out, 4, 2, 1, bias=not normalized, init=init, rng=rng),
                   *[nn.BatchNorm(c_out)] * normalized, nn.LeakyReLU(SLOPE)]
    return layers


def up(widths, rng, init=None, last=None):
    """4x4 transposed convolutions of stride two, each doubling the image, the last to colours in
    [-1, 1]."""
    *inner, c_last, colours = widths
    layers = []
    for c_in, c_out in zip(inner, [*inner[1:], c_last]):
        layers += [nn.ConvTranspose2d(c_in, c_out, 4, 2, 1, bias=False, init=init or nn.he(SLOPE),
                                      rng=rng),
                   nn.BatchNorm(c_out), nn.LeakyReLU(SLOPE)]
    to_colours = nn.ConvTranspose2d(c_last, colours, 4, 2, 1, init=last or nn.glorot(), rng=rng)
    return [*layers, to_colours, nn.Tanh()]


@checked(SIZES)
def small_ali(size=32, channels=3, latent_size=64, stochastic=False, seed=0, **settings):
    """ALI for small images (n, size, size, channels) in [-1, 1], ``size`` a multiple of 8; 1.2
    million parameters.

    The reconstruction weights are large because they are what makes it learn fast
    (docs/recipe.md).
    """
    rng, side, maps = Generator(seed), size // 8, CODE[2]
    flat, widths = side * side * maps, [channels, 24, 48, 96]
    encoder = Encoder(
        nn.Sequential(*down(widths, rng, True),
                      nn.Conv2d(96, maps, 3, 1, 1, bias=False, init=nn.glorot(), rng=rng),
                      nn.BatchNorm(maps, affine=False)),
        nn.Sequential(nn.LeakyReLU(SLOPE), nn.Flatten(), *(
            [nn.Linear(flat, 2 * latent_size, init=nn.normal(0.01), rng=rng)] if stochastic else
            [*output(flat, latent_size, rng, bias=False),
             nn.BatchNorm(latent_size, affine=False)])), stochastic)
    decoder = Decoder(
        nn.Sequential(*dense(latent_size, 512, rng, True), *output(512, flat, rng, bias=False),
                      nn.Reshape(side, side, maps), nn.BatchNorm(maps, affine=False)),
        nn.Sequential(*conv3(maps, 96, rng), *up([96, 48, 24, channels], rng)))
    discriminator = Discriminator(
        nn.Sequential(*down(widths, rng, False), nn.Flatten(), *dense(side * side * 96, 256, rng)),
        nn.Sequential(*dense(latent_size, 256, rng)),
        nn.Sequential(*dense(512, 256, rng), *output(256, 1, rng)))
    return ALI(encoder, decoder, discriminator, latent_size, seed=seed + 1,
               **SMALL_ALI | settings)


SMALL_ALI = {"shortcut_weight": 1000.0, "latent_weight": 100.0, "lr": 2e-3,
             "discriminator_lr": 4e-4, "final_lr": 0.1}


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


def mlp_gan(size, latent_size=128, hidden=512, seed=0, **settings):
    """A GAN on vectors (n, size): the top level over whitened codes."""
    rng = Generator(seed)
    generator = nn.Sequential(*dense(latent_size, hidden, rng, True),
                              *dense(hidden, hidden, rng, True), *output(hidden, size, rng))
    discriminator = nn.Sequential(*dense(size, hidden, rng), *dense(hidden, hidden, rng),
                                  *output(hidden, 1, rng))
    settings = {"lr": 1e-3, "discriminator_lr": 1e-3, "penalty": "unweighted", "gamma": 20.0,
                "final_gamma": 0.1, "final_lr": 0.1} | settings
    return GAN(generator, discriminator, latent_size, seed=seed + 1, **settings)


@checked(SIZES, images=channels_last_array("n, t, h, w, c", 8), code=one_of("h", "z"))
def clip_ldf(images, frames=5, shared=96, local=64, code="h", seed=0, top=mlp_gan, **bottom):
    """LDF on clips (n, frames, 32, 32, 3): small ALI networks shared by all frames, and a GAN over
    their whitened codes.

    ``images``: training clips (N, ...), for the metric of their colours and for how many components
    the whitening can learn (``shared`` and ``local``, each at most N / 4). ``top`` makes the GAN
    from (components, seed=); ``bottom``: settings of ``small_ali``.
    """
    size, channels = bottom.get("size", 32), bottom.get("channels", 3)
    if images.shape[1:] != (frames, size, size, channels):
        raise ValueError(f"images: expected clips (n, {frames}, {size}, {size}, {channels}), got "
                         f"shape {images.shape}")
    bottom = {"colour_metric": colour_metric(images[:200])} | bottom
    return frames_ldf(small_ali(seed=seed, **bottom), images, shared, local, code, seed, top)


def frames_ldf(model, clips, shared=96, local=64, code="h", seed=0, top=mlp_gan):
    """LDF on clips (N, t, h, w, c) over any ``model`` of their frames, with the whitening and the
    top of ``clip_ldf``."""
    frames, shape = clips.shape[1], model.encode(clips[:1, 0], code).shape[1:]
    shared, local = min(shared, len(clips) // 4, math.prod(shape)), min(local, len(clips) // 4)
    whitening = SharedAndLocal((frames, *shape), shared, local)
    return LDF([Level(model, Frames(frames), code)], top(shared + local, seed=seed + 10), whitening,
               seed=seed + 20)


def cifar_ali(images=None, seed=0, **settings):
    """ALI's own networks for CIFAR-10 (Dumoulin et al. 2017, Table 3), on images (n, 32, 32, 3) in
    [0, 1].

    Valid convolutions; encoder to a mean and a log-variance of 64; maxout and dropout in D.
    ``images``, where given, set the output bias to their log-odds.
    """
    rng, init = Generator(seed), nn.normal(0.01)
    noise = Generator(seed + 2)

    def conv(kind, c_in, c_out, kernel, stride):
        return [kind(c_in, c_out, kernel, stride, bias=False, init=init, rng=rng),
                nn.BatchNorm(c_out), nn.LeakyReLU(SLOPE)]

    def maxout(c_in, c_out, kernel, stride, p):
        return [nn.Dropout(p, rng=noise),
                nn.Conv2d(c_in, 2 * c_out, kernel, stride, init=init, rng=rng), nn.Maxout(2)]

    def hidden(n_in, n_out):
        return [nn.Dropout(0.5, rng=noise), nn.Linear(n_in, 2 * n_out, init=init, rng=rng),
                nn.Maxout(2)]

    encoder = Encoder(
        nn.Sequential(*conv(nn.Conv2d, 3, 32, 5, 1), *conv(nn.Conv2d, 32, 64, 4, 2),
                      *conv(nn.Conv2d, 64, 128, 4, 1), *conv(nn.Conv2d, 128, 256, 4, 2),
                      *conv(nn.Conv2d, 256, 512, 4, 1), *conv(nn.Conv2d, 512, 512, 1, 1)),
        nn.Sequential(nn.Conv2d(512, 128, 1, init=init, rng=rng), nn.Flatten()), stochastic=True)
    colours = nn.ConvTranspose2d(32, 3, 1, init=init, rng=rng)
    if images is not None:
        colours.bias.data[...] = asarray(nn.log_odds(images))
    body = nn.Sequential(
        *conv(nn.ConvTranspose2d, 256, 128, 4, 2), *conv(nn.ConvTranspose2d, 128, 64, 4, 1),
        *conv(nn.ConvTranspose2d, 64, 32, 4, 2), *conv(nn.ConvTranspose2d, 32, 32, 5, 1),
        *conv(nn.ConvTranspose2d, 32, 32, 1, 1), colours, nn.Sigmoid())
    head = nn.Sequential(nn.Reshape(1, 1, 64), *conv(nn.ConvTranspose2d, 64, 256, 4, 1))
    discriminator = Discriminator(
        nn.Sequential(*maxout(3, 32, 5, 1, 0.2), *maxout(32, 64, 4, 2, 0.5),
                      *maxout(64, 128, 4, 1, 0.5), *maxout(128, 256, 4, 2, 0.5),
                      *maxout(256, 512, 4, 1, 0.5), nn.Flatten()),
        nn.Sequential(nn.Linear(64, 2 * 512, init=init, rng=rng), nn.Maxout(2), *hidden(512, 512)),
        nn.Sequential(*hidden(1024, 1024), *hidden(1024, 1024), nn.Dropout(0.5, rng=noise),
                      nn.Linear(1024, 1, init=init, rng=rng)))
    settings = {"shortcut_weight": 0.0, "latent_weight": 0.0, "lr": 1e-4, "discriminator_lr": 1e-4,
                "betas": (0.5, 0.999)} | settings
    return ALI(encoder, Decoder(head, body), discriminator, 64, seed=seed + 1, **settings)
