"""The architectures: the small networks that learn on a CPU, their joint rival, and ALI's own for
CIFAR-10."""

import math

import numpy as np

from .. import nn
from ..nn.losses import colour_metric
from ..runtime.checks import channels_last, whole
from ..runtime.device import asarray
from ..runtime.random import Generator
from .ali import ALI, Decoder, Discriminator, Encoder, check_code
from .factors import Frames
from .gan import GAN
from .ldf import LDF, Level
from .whitening import SharedAndLocal

CODE = (4, 4, 32)       # h of the small networks: 512 numbers a frame
SLOPE = 0.1


def _check_sizes(size, **others):
    """TypeError or ValueError unless all are whole numbers of at least 1, ``size`` a multiple of
    8."""
    for name, value in others.items():
        whole(name, value)
    if whole("size", size) % 8:
        raise ValueError(f"size: expected a multiple of 8, got {size}")


def _down(widths, rng, normalized, inits=None):
    """4x4 convolutions of stride two, each halving the image."""
    layers = []
    for c_in, c_out, init in zip(widths, widths[1:], inits or [nn.he(SLOPE)] * len(widths)):
        layers.append(nn.Conv2d(c_in, c_out, 4, 2, 1, bias=not normalized, init=init, rng=rng))
        if normalized:
            layers.append(nn.BatchNorm(c_out))
        layers.append(nn.LeakyReLU(SLOPE))
    return layers


def _up(widths, rng, init=None, last=None):
    """4x4 transposed convolutions of stride two, each doubling the image, the last to colours in
    [-1, 1]."""
    layers = []
    for c_in, c_out in zip(widths[:-1], widths[1:-1]):
        layers += [nn.ConvTranspose2d(c_in, c_out, 4, 2, 1, bias=False, init=init or nn.he(SLOPE),
                                      rng=rng),
                   nn.BatchNorm(c_out), nn.LeakyReLU(SLOPE)]
    return [*layers, nn.ConvTranspose2d(widths[-2], widths[-1], 4, 2, 1, init=last or nn.glorot(),
                                        rng=rng), nn.Tanh()]


def small_ali(size=32, channels=3, latent_size=64, stochastic=False, seed=0, **settings):
    """ALI for small images (n, size, size, channels) in [-1, 1], ``size`` a multiple of 8; 1.2
    million parameters.

    The reconstruction weights are what makes it learn fast: on Ms. Pac-Man, 600 steps with 1000 and
    100 brought the held-out error of the shortcut to 0.015 and that of z to 0.04, where 800 with
    100 and 5 left 0.07 and 0.40.
    """
    _check_sizes(size, channels=channels, latent_size=latent_size)
    rng, side = Generator(seed), size // 8
    flat, maps = side * side * CODE[2], CODE[2]
    encoder = Encoder(
        nn.Sequential(*_down([channels, 24, 48, 96], rng, True),
                     nn.Conv2d(96, maps, 3, 1, 1, bias=False, init=nn.glorot(), rng=rng),
                     nn.BatchNorm(maps, affine=False)),
        nn.Sequential(nn.LeakyReLU(SLOPE), nn.Flatten(),
                     *([nn.Linear(flat, 2 * latent_size, init=nn.normal(0.01), rng=rng)]
                       if stochastic else
                       [nn.Linear(flat, latent_size, bias=False, init=nn.glorot(), rng=rng),
                        nn.BatchNorm(latent_size, affine=False)])),
        stochastic)
    decoder = Decoder(
        nn.Sequential(nn.Linear(latent_size, 512, bias=False, init=nn.he(SLOPE), rng=rng),
                      nn.BatchNorm(512),
                     nn.LeakyReLU(SLOPE), nn.Linear(512, flat, bias=False, init=nn.glorot(),
                                                    rng=rng),
                     nn.Reshape(side, side, maps),
                     nn.BatchNorm(maps, affine=False)),
        nn.Sequential(nn.Conv2d(maps, 96, 3, 1, 1, bias=False, init=nn.he(SLOPE), rng=rng),
                      nn.BatchNorm(96),
                     nn.LeakyReLU(SLOPE), *_up([96, 48, 24, channels], rng)))
    discriminator = Discriminator(
        nn.Sequential(*_down([channels, 24, 48, 96], rng, False), nn.Flatten(),
                     nn.Linear(side * side * 96, 256, init=nn.he(SLOPE), rng=rng),
                     nn.LeakyReLU(SLOPE)),
        nn.Sequential(nn.Linear(latent_size, 256, init=nn.he(SLOPE), rng=rng), nn.LeakyReLU(SLOPE)),
        nn.Sequential(nn.Linear(512, 256, init=nn.he(SLOPE), rng=rng), nn.LeakyReLU(SLOPE),
                     nn.Linear(256, 1, init=nn.glorot(), rng=rng)))
    settings = {"shortcut_weight": 1000.0, "latent_weight": 100.0, "lr": 2e-3, "discriminator_lr":
                4e-4, "final_lr": 0.1} | settings
    return ALI(encoder, decoder, discriminator, latent_size, seed=seed + 1, **settings)


def mlp_ali(size=2, latent_size=2, hidden=64, seed=0, **settings):
    """ALI on a few numbers (n, size) between about -5 and 5 whose modes lie far apart, such as its
    authors' Gaussians.

    A decoder is continuous, so between modes it has to jump. Every network therefore begins with
    steep tanh units that turn on all over its input, not only at 0, where the kinks of an ordinary
    layer lie at first.
    """
    rng = Generator(seed)

    def steps(n_in, n_out, steepness, spread):
        first = nn.Linear(n_in, n_out, init=nn.normal(steepness), rng=rng)
        first.bias.data[...] = rng.standard_normal(n_out) * np.float32(steepness * spread)
        return [first, nn.Tanh()]

    def linear(n_in, n_out):
        return [nn.Linear(n_in, n_out, init=nn.he(SLOPE), rng=rng), nn.LeakyReLU(SLOPE)]

    encoder = Encoder(nn.Sequential(*steps(size, hidden, 4.0, 4.0), *linear(hidden, hidden)),
                      nn.Sequential(nn.Linear(hidden, latent_size, init=nn.glorot(), rng=rng),
                                   nn.BatchNorm(latent_size, affine=False)))
    decoder = Decoder(nn.Sequential(*steps(latent_size, hidden, 8.0, 2.0)),
                      nn.Sequential(*linear(hidden, hidden),
                                    nn.Linear(hidden, size, init=nn.glorot(), rng=rng)))
    wide = 2 * hidden
    discriminator = Discriminator(
        nn.Sequential(*steps(size, wide, 4.0, 4.0)),
        nn.Sequential(*steps(latent_size, wide, 8.0, 2.0)),
        nn.Sequential(*linear(2 * wide, wide), nn.Linear(wide, 1, init=nn.glorot(), rng=rng)))
    settings = {"shortcut_weight": 0.0, "latent_weight": 1.0, "gamma": 1.0, "lr": 8e-3,
                "discriminator_lr": 8e-3,
                "final_lr": 0.0} | settings
    return ALI(encoder, decoder, discriminator, latent_size, seed=seed + 1, **settings)


def mlp_gan(size, latent_size=128, hidden=512, seed=0, **settings):
    """A GAN on vectors (n, size): the top level over whitened codes."""
    rng = Generator(seed)
    settings = {"lr": 1e-3, "discriminator_lr": 1e-3, "penalty": "unweighted", "gamma": 20.0,
                "final_gamma": 0.1,
                "final_lr": 0.1} | settings

    def linear(n_in, n_out):
        return [nn.Linear(n_in, n_out, bias=False, init=nn.he(SLOPE), rng=rng),
                nn.BatchNorm(n_out), nn.LeakyReLU(SLOPE)]

    generator = nn.Sequential(*linear(latent_size, hidden), *linear(hidden, hidden),
                             nn.Linear(hidden, size, init=nn.glorot(), rng=rng))
    discriminator = nn.Sequential(nn.Linear(size, hidden, init=nn.he(SLOPE), rng=rng),
                                  nn.LeakyReLU(SLOPE),
                                 nn.Linear(hidden, hidden, init=nn.he(SLOPE), rng=rng),
                                 nn.LeakyReLU(SLOPE),
                                 nn.Linear(hidden, 1, init=nn.glorot(), rng=rng))
    return GAN(generator, discriminator, latent_size, seed=seed + 1, **settings)


def clip_ldf(images, frames=5, shared=96, local=64, code="h", seed=0, top=mlp_gan, **bottom):
    """LDF on clips (n, frames, 32, 32, 3): small ALI networks shared by all frames, and a GAN over
    their whitened codes.

    ``images``: training clips (N, ...), for the metric of their colours and for how many components
    the whitening can learn (``shared`` and ``local``, each at most N / 4). ``top`` makes the GAN
    from (components, seed=); ``bottom``: settings of ``small_ali``.
    """
    whole("frames", frames), whole("shared", shared), whole("local", local)
    size, channels = bottom.get("size", 32), bottom.get("channels", 3)
    if channels_last(
        "images", images, "n, t, h, w, c", 8).shape[1:] != (frames, size, size, channels):
        raise ValueError(
            f"images: expected clips (n, {frames}, {size}, {size}, {channels}), got shape "
            f"{images.shape}")
    check_code(code)
    bottom = {"colour_metric": colour_metric(images[:200])} | bottom
    return frames_ldf(small_ali(seed=seed, **bottom), images, shared, local, code, seed, top)


def frames_ldf(model, clips, shared=96, local=64, code="h", seed=0, top=mlp_gan):
    """LDF on clips (N, t, h, w, c) over any ``model`` of their frames, with the whitening and the
    top of ``clip_ldf``."""
    frames, shape = clips.shape[1], model.encode(clips[:1, 0], code).shape[1:]
    shared, local = min(shared, len(clips) // 4, math.prod(shape)), min(local, len(clips) // 4)
    whitening = SharedAndLocal((frames, *shape), shared, local)
    return LDF([Level(model, Frames(frames), code)], top(shared + local, seed=seed + 10),
               whitening, seed=seed + 20)


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
        return [nn.Dropout(p, rng=noise), nn.Conv2d(c_in, 2 * c_out, kernel, stride, init=init,
                                                    rng=rng), nn.Maxout(2)]

    def hidden(n_in, n_out):
        return [nn.Dropout(0.5, rng=noise), nn.Linear(n_in, 2 * n_out, init=init, rng=rng),
                nn.Maxout(2)]

    encoder = Encoder(
        nn.Sequential(*conv(nn.Conv2d, 3, 32, 5, 1), *conv(nn.Conv2d, 32, 64, 4, 2),
                      *conv(nn.Conv2d, 64, 128, 4, 1),
                     *conv(nn.Conv2d, 128, 256, 4, 2), *conv(nn.Conv2d, 256, 512, 4, 1),
                     *conv(nn.Conv2d, 512, 512, 1, 1)),
        nn.Sequential(nn.Conv2d(512, 128, 1, init=init, rng=rng), nn.Flatten()), stochastic=True)
    colours = nn.ConvTranspose2d(32, 3, 1, init=init, rng=rng)
    if images is not None:
        colours.bias.data[...] = asarray(nn.log_odds(images))
    up = [*conv(nn.ConvTranspose2d, 256, 128, 4, 2), *conv(nn.ConvTranspose2d, 128, 64, 4, 1),
          *conv(nn.ConvTranspose2d, 64, 32, 4, 2), *conv(nn.ConvTranspose2d, 32, 32, 5, 1),
          *conv(nn.ConvTranspose2d, 32, 32, 1, 1), colours, nn.Sigmoid()]
    decoder = Decoder(nn.Sequential(nn.Reshape(1, 1, 64),
                                    *conv(nn.ConvTranspose2d, 64, 256, 4, 1)), nn.Sequential(*up))
    discriminator = Discriminator(
        nn.Sequential(*maxout(3, 32, 5, 1, 0.2), *maxout(32, 64, 4, 2, 0.5),
                      *maxout(64, 128, 4, 1, 0.5),
                     *maxout(128, 256, 4, 2, 0.5), *maxout(256, 512, 4, 1, 0.5), nn.Flatten()),
        nn.Sequential(nn.Linear(64, 2 * 512, init=init, rng=rng), nn.Maxout(2), *hidden(512, 512)),
        nn.Sequential(*hidden(1024, 1024), *hidden(1024, 1024), nn.Dropout(0.5, rng=noise),
                     nn.Linear(1024, 1, init=init, rng=rng)))
    settings = {"shortcut_weight": 0.0, "latent_weight": 0.0, "lr": 1e-4, "discriminator_lr": 1e-4,
                "betas": (0.5, 0.999)} | settings
    return ALI(encoder, decoder, discriminator, 64, seed=seed + 1, **settings)


# --------------------------------- rivals of LDF where whole clips are few (demos/limited_data.py)


