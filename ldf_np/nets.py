"""The architectures: the small networks that learn on a CPU, their joint rival, and ALI's own for CIFAR-10."""

import math

import numpy as np

from . import layers as L
from .ali import ALI, Decoder, Discriminator, Encoder, check_code
from .backend import asarray, xp
from .expect import channels_last, function, whole
from .gan import GAN, JointGAN
from .hierarchy import LDF, Frames, Level, SharedAndLocal
from .losses import colour_metric
from .random import Generator
from .vae import VAE, Autoencoder

CODE = (4, 4, 32)       # h of the small networks: 512 numbers a frame
SLOPE = 0.1


def _check_sizes(size, **others):
    """TypeError or ValueError unless all are whole numbers of at least 1, ``size`` a multiple of 8."""
    for name, value in others.items():
        whole(name, value)
    if whole("size", size) % 8:
        raise ValueError(f"size: expected a multiple of 8, got {size}")


def _down(widths, rng, normalized, inits=None):
    """4x4 convolutions of stride two, each halving the image."""
    layers = []
    for c_in, c_out, init in zip(widths, widths[1:], inits or [L.he(SLOPE)] * len(widths)):
        layers.append(L.Conv2d(c_in, c_out, 4, 2, 1, bias=not normalized, init=init, rng=rng))
        if normalized:
            layers.append(L.BatchNorm(c_out))
        layers.append(L.LeakyReLU(SLOPE))
    return layers


def _up(widths, rng, init=None, last=None):
    """4x4 transposed convolutions of stride two, each doubling the image, the last to colours in [-1, 1]."""
    layers = []
    for c_in, c_out in zip(widths[:-1], widths[1:-1]):
        layers += [L.ConvTranspose2d(c_in, c_out, 4, 2, 1, bias=False, init=init or L.he(SLOPE), rng=rng),
                   L.BatchNorm(c_out), L.LeakyReLU(SLOPE)]
    return [*layers, L.ConvTranspose2d(widths[-2], widths[-1], 4, 2, 1, init=last or L.glorot(), rng=rng), L.Tanh()]


def _smooth(frames=1, share=1.0):
    """He initialisation with 4x4 filters of one smooth bump, and the same for each of ``frames``, times ``share``."""
    def init(rng, shape, fan_in, fan_out):
        kh, kw, channels, others = shape
        bump = np.outer([1, 3, 3, 1], [1, 3, 3, 1])[..., None, None] / 5        # mean square 1
        mixture = L.he(SLOPE)(rng, (1, 1, channels // frames, others), fan_in, fan_out)
        return xp().tile(xp().asarray(bump * share, np.float32) * mixture, (1, 1, frames, 1))       # of channels t * c

    return init


def small_ali(size=32, channels=3, latent_size=64, stochastic=False, seed=0, **settings):
    """ALI for small images (n, size, size, channels) in [-1, 1], ``size`` a multiple of 8; 1.2 million parameters.

    The reconstruction weights are what makes it learn fast: on Ms. Pac-Man, 600 steps with 1000 and 100 brought the
    held-out error of the shortcut to 0.015 and that of z to 0.04, where 800 with 100 and 5 left 0.07 and 0.40.
    """
    _check_sizes(size, channels=channels, latent_size=latent_size)
    rng, side = Generator(seed), size // 8
    flat, maps = side * side * CODE[2], CODE[2]
    encoder = Encoder(
        L.Sequential(*_down([channels, 24, 48, 96], rng, True),
                     L.Conv2d(96, maps, 3, 1, 1, bias=False, init=L.glorot(), rng=rng),
                     L.BatchNorm(maps, affine=False)),
        L.Sequential(L.LeakyReLU(SLOPE), L.Flatten(),
                     *([L.Linear(flat, 2 * latent_size, init=L.normal(0.01), rng=rng)] if stochastic else
                       [L.Linear(flat, latent_size, bias=False, init=L.glorot(), rng=rng),
                        L.BatchNorm(latent_size, affine=False)])),
        stochastic)
    decoder = Decoder(
        L.Sequential(L.Linear(latent_size, 512, bias=False, init=L.he(SLOPE), rng=rng), L.BatchNorm(512),
                     L.LeakyReLU(SLOPE), L.Linear(512, flat, bias=False, init=L.glorot(), rng=rng),
                     L.Reshape(side, side, maps),
                     L.BatchNorm(maps, affine=False)),
        L.Sequential(L.Conv2d(maps, 96, 3, 1, 1, bias=False, init=L.he(SLOPE), rng=rng), L.BatchNorm(96),
                     L.LeakyReLU(SLOPE), *_up([96, 48, 24, channels], rng)))
    discriminator = Discriminator(
        L.Sequential(*_down([channels, 24, 48, 96], rng, False), L.Flatten(),
                     L.Linear(side * side * 96, 256, init=L.he(SLOPE), rng=rng), L.LeakyReLU(SLOPE)),
        L.Sequential(L.Linear(latent_size, 256, init=L.he(SLOPE), rng=rng), L.LeakyReLU(SLOPE)),
        L.Sequential(L.Linear(512, 256, init=L.he(SLOPE), rng=rng), L.LeakyReLU(SLOPE),
                     L.Linear(256, 1, init=L.glorot(), rng=rng)))
    settings = {"shortcut_weight": 1000.0, "latent_weight": 100.0, "lr": 2e-3, "discriminator_lr": 4e-4,
                "final_lr": 0.1} | settings
    return ALI(encoder, decoder, discriminator, latent_size, seed=seed + 1, **settings)


def mlp_ali(size=2, latent_size=2, hidden=64, seed=0, **settings):
    """ALI on a few numbers (n, size) between about -5 and 5 whose modes lie far apart, such as its authors' Gaussians.

    A decoder is continuous, so between modes it has to jump. Every network therefore begins with steep tanh units
    that turn on all over its input, not only at 0, where the kinks of an ordinary layer lie at first.
    """
    rng = Generator(seed)

    def steps(n_in, n_out, steepness, spread):
        first = L.Linear(n_in, n_out, init=L.normal(steepness), rng=rng)
        first.bias.data[...] = rng.standard_normal(n_out) * np.float32(steepness * spread)
        return [first, L.Tanh()]

    def linear(n_in, n_out):
        return [L.Linear(n_in, n_out, init=L.he(SLOPE), rng=rng), L.LeakyReLU(SLOPE)]

    encoder = Encoder(L.Sequential(*steps(size, hidden, 4.0, 4.0), *linear(hidden, hidden)),
                      L.Sequential(L.Linear(hidden, latent_size, init=L.glorot(), rng=rng),
                                   L.BatchNorm(latent_size, affine=False)))
    decoder = Decoder(L.Sequential(*steps(latent_size, hidden, 8.0, 2.0)),
                      L.Sequential(*linear(hidden, hidden), L.Linear(hidden, size, init=L.glorot(), rng=rng)))
    wide = 2 * hidden
    discriminator = Discriminator(
        L.Sequential(*steps(size, wide, 4.0, 4.0)), L.Sequential(*steps(latent_size, wide, 8.0, 2.0)),
        L.Sequential(*linear(2 * wide, wide), L.Linear(wide, 1, init=L.glorot(), rng=rng)))
    settings = {"shortcut_weight": 0.0, "latent_weight": 1.0, "gamma": 1.0, "lr": 8e-3, "discriminator_lr": 8e-3,
                "final_lr": 0.0} | settings
    return ALI(encoder, decoder, discriminator, latent_size, seed=seed + 1, **settings)


def mlp_gan(size, latent_size=128, hidden=512, seed=0, **settings):
    """A GAN on vectors (n, size): the top level over whitened codes."""
    rng = Generator(seed)
    settings = {"lr": 1e-3, "discriminator_lr": 1e-3, "penalty": "unweighted", "gamma": 20.0, "final_gamma": 0.1,
                "final_lr": 0.1} | settings

    def linear(n_in, n_out):
        return [L.Linear(n_in, n_out, bias=False, init=L.he(SLOPE), rng=rng), L.BatchNorm(n_out), L.LeakyReLU(SLOPE)]

    generator = L.Sequential(*linear(latent_size, hidden), *linear(hidden, hidden),
                             L.Linear(hidden, size, init=L.glorot(), rng=rng))
    discriminator = L.Sequential(L.Linear(size, hidden, init=L.he(SLOPE), rng=rng), L.LeakyReLU(SLOPE),
                                 L.Linear(hidden, hidden, init=L.he(SLOPE), rng=rng), L.LeakyReLU(SLOPE),
                                 L.Linear(hidden, 1, init=L.glorot(), rng=rng))
    return GAN(generator, discriminator, latent_size, seed=seed + 1, **settings)


def joint_gan(frames=5, size=32, channels=3, latent_size=128, hidden=512, seed=0, **settings):
    """The joint baseline on clips (n, frames, size, size, channels): convolutions as wide as those of LDF's frames, and
    dense layers of ``hidden`` units that bring its parameter count within 10% of LDF's.

    From random filters it collapsed on Ms. Pac-Man, whatever the rates: its clips differ from real ones in every pixel,
    the discriminator needs nothing else to win, and follows no gradient to less noise. So both networks begin with
    smooth filters, the same for all frames (smooth and still clips), and the penalty is strong and not weighted.
    """
    _check_sizes(size, frames=frames, channels=channels, latent_size=latent_size, hidden=hidden)
    rng, side = Generator(seed), size // 8
    settings = {"lr": 1e-3, "discriminator_lr": 1e-3, "penalty": "unweighted", "gamma": 400.0,
                "final_gamma": 0.1, "final_lr": 0.1} | settings
    image, widths = frames * channels, (24, 48, 96)
    flat = side * side * widths[-1]
    generator = L.Sequential(
        L.Linear(latent_size, hidden, bias=False, init=L.he(SLOPE), rng=rng), L.BatchNorm(hidden), L.LeakyReLU(SLOPE),
        L.Linear(hidden, flat, bias=False, init=L.he(SLOPE), rng=rng), L.Reshape(side, side, widths[-1]),
        L.BatchNorm(widths[-1]), L.LeakyReLU(SLOPE),
        L.Conv2d(widths[-1], widths[-1], 3, 1, 1, bias=False, init=L.he(SLOPE), rng=rng), L.BatchNorm(widths[-1]),
        L.LeakyReLU(SLOPE), *_up([*reversed(widths), image], rng, _smooth(), _smooth(frames)))
    discriminator = L.Sequential(
        *_down([image, *widths], rng, False, [_smooth(frames, frames ** -0.5), _smooth(), _smooth()]), L.Flatten(),
        L.Linear(flat, hidden, init=L.he(SLOPE), rng=rng), L.LeakyReLU(SLOPE),
        L.Linear(hidden, 1, init=L.glorot(), rng=rng))
    return JointGAN(generator, discriminator, latent_size, frames, seed=seed + 1, **settings)


def clip_ldf(images, frames=5, shared=96, local=64, code="h", seed=0, top=mlp_gan, **bottom):
    """LDF on clips (n, frames, 32, 32, 3): small ALI networks shared by all frames, and a GAN over their whitened codes.

    ``images``: training clips (N, ...), for the metric of their colours and for how many components the whitening can learn
    (``shared`` and ``local``, each at most N / 4). ``top`` makes the GAN from (components, seed=); ``bottom``: settings of
    ``small_ali``.
    """
    whole("frames", frames), whole("shared", shared), whole("local", local)
    size, channels = bottom.get("size", 32), bottom.get("channels", 3)
    if channels_last("images", images, "n, t, h, w, c", 8).shape[1:] != (frames, size, size, channels):
        raise ValueError(f"images: expected clips (n, {frames}, {size}, {size}, {channels}), got shape {images.shape}")
    check_code(code)
    bottom = {"colour_metric": colour_metric(images[:200])} | bottom
    return frames_ldf(small_ali(seed=seed, **bottom), images, shared, local, code, seed, top)


def frames_ldf(model, clips, shared=96, local=64, code="h", seed=0, top=mlp_gan):
    """LDF on clips (N, t, h, w, c) over any ``model`` of their frames, with the whitening and the top of ``clip_ldf``."""
    frames, shape = clips.shape[1], model.encode(clips[:1, 0], code).shape[1:]
    shared, local = min(shared, len(clips) // 4, math.prod(shape)), min(local, len(clips) // 4)
    whitening = SharedAndLocal((frames, *shape), shared, local)
    return LDF([Level(model, Frames(frames), code)], top(shared + local, seed=seed + 10), whitening, seed=seed + 20)


def matched(make, parameters, low=16, high=2048):
    """The model ``make(width)``, with the width in [low, high] for which it has most nearly ``parameters`` parameters.

    For comparisons at equal size. Raises ValueError where none comes within 10%.
    """
    function("make", make), whole("parameters", parameters), whole("low", low), whole("high", high, low)

    def count(width):
        return sum(p.size for p in make(width).parameters())

    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < parameters else (low, middle)
    width = min((low, high), key=lambda w: abs(count(w) - parameters))
    found = count(width)
    if abs(found / parameters - 1) > 0.1:
        raise ValueError(f"parameters: expected a number that these networks come within 10% of, got {parameters:,}; "
                         f"the nearest is {found:,}, with a width of {width}")
    return make(width)


def cifar_ali(images=None, seed=0, **settings):
    """ALI's own networks for CIFAR-10 (Dumoulin et al. 2017, Table 3), on images (n, 32, 32, 3) in [0, 1].

    Valid convolutions; encoder to a mean and a log-variance of 64; maxout and dropout in D. ``images``, where
    given, set the output bias to their log-odds.
    """
    rng, init = Generator(seed), L.normal(0.01)
    noise = Generator(seed + 2)

    def conv(kind, c_in, c_out, kernel, stride):
        return [kind(c_in, c_out, kernel, stride, bias=False, init=init, rng=rng), L.BatchNorm(c_out),
                L.LeakyReLU(SLOPE)]

    def maxout(c_in, c_out, kernel, stride, p):
        return [L.Dropout(p, rng=noise), L.Conv2d(c_in, 2 * c_out, kernel, stride, init=init, rng=rng), L.Maxout(2)]

    def hidden(n_in, n_out):
        return [L.Dropout(0.5, rng=noise), L.Linear(n_in, 2 * n_out, init=init, rng=rng), L.Maxout(2)]

    encoder = Encoder(
        L.Sequential(*conv(L.Conv2d, 3, 32, 5, 1), *conv(L.Conv2d, 32, 64, 4, 2), *conv(L.Conv2d, 64, 128, 4, 1),
                     *conv(L.Conv2d, 128, 256, 4, 2), *conv(L.Conv2d, 256, 512, 4, 1), *conv(L.Conv2d, 512, 512, 1, 1)),
        L.Sequential(L.Conv2d(512, 128, 1, init=init, rng=rng), L.Flatten()), stochastic=True)
    colours = L.ConvTranspose2d(32, 3, 1, init=init, rng=rng)
    if images is not None:
        colours.bias.data[...] = asarray(L.log_odds(images))
    up = [*conv(L.ConvTranspose2d, 256, 128, 4, 2), *conv(L.ConvTranspose2d, 128, 64, 4, 1),
          *conv(L.ConvTranspose2d, 64, 32, 4, 2), *conv(L.ConvTranspose2d, 32, 32, 5, 1),
          *conv(L.ConvTranspose2d, 32, 32, 1, 1), colours, L.Sigmoid()]
    decoder = Decoder(L.Sequential(L.Reshape(1, 1, 64), *conv(L.ConvTranspose2d, 64, 256, 4, 1)), L.Sequential(*up))
    discriminator = Discriminator(
        L.Sequential(*maxout(3, 32, 5, 1, 0.2), *maxout(32, 64, 4, 2, 0.5), *maxout(64, 128, 4, 1, 0.5),
                     *maxout(128, 256, 4, 2, 0.5), *maxout(256, 512, 4, 1, 0.5), L.Flatten()),
        L.Sequential(L.Linear(64, 2 * 512, init=init, rng=rng), L.Maxout(2), *hidden(512, 512)),
        L.Sequential(*hidden(1024, 1024), *hidden(1024, 1024), L.Dropout(0.5, rng=noise),
                     L.Linear(1024, 1, init=init, rng=rng)))
    settings = {"shortcut_weight": 0.0, "latent_weight": 0.0, "lr": 1e-4, "discriminator_lr": 1e-4,
                "betas": (0.5, 0.999)} | settings
    return ALI(encoder, decoder, discriminator, 64, seed=seed + 1, **settings)


# ----------------------------------------------------- rivals of LDF where whole clips are few (demos/limited_data.py)

def _dense(n_in, n_out, rng):
    """A linear layer, normalised over the batch, and its leaky ReLU."""
    return [L.Linear(n_in, n_out, bias=False, init=L.he(SLOPE), rng=rng), L.BatchNorm(n_out), L.LeakyReLU(SLOPE)]


def framed_joint_gan(frames=5, size=32, channels=3, hidden=512, seed=0, **settings):
    """``joint_gan`` with a second discriminator, on single frames, of the size of LDF's."""
    _check_sizes(size, frames=frames, channels=channels)
    rng, flat = Generator(whole("seed", seed, 0) + 2), (size // 8) ** 2 * 96
    critic = L.Sequential(*_down([channels, 24, 48, 96], rng, False), L.Flatten(),
                          L.Linear(flat, 256, init=L.he(SLOPE), rng=rng), L.LeakyReLU(SLOPE),
                          L.Linear(256, 1, init=L.glorot(), rng=rng))
    return joint_gan(frames, size, channels, hidden=hidden, seed=seed, frame_discriminator=critic, **settings)


def joint_ali(frames=5, size=32, channels=3, latent_size=128, hidden=512, seed=0, **settings):
    """ALI on clips as images (n, size, size, frames * channels): ``small_ali`` with dense layers of ``hidden`` units.

    After 150 steps on 256 clips of Ms. Pac-Man its samples' KID of whole clips (x 1000) was 11 with the reconstruction weights
    1000 and 100, 36 with 100 and 5, 93 with 10 and 1, and 74 without (``hidden`` 380, one seed each).
    """
    _check_sizes(size, frames=frames, channels=channels, hidden=hidden)
    base = small_ali(size, frames * channels, latent_size, seed=seed)
    rng, side = Generator(seed + 2), size // 8
    flat = side * side * CODE[2]
    decoder = Decoder(
        L.Sequential(*_dense(latent_size, hidden, rng), L.Linear(hidden, flat, bias=False, init=L.glorot(), rng=rng),
                     L.Reshape(side, side, CODE[2]), L.BatchNorm(CODE[2], affine=False)),
        base.decoder.body)
    discriminator = Discriminator(
        L.Sequential(*_down([frames * channels, 24, 48, 96], rng, False), L.Flatten(),
                     L.Linear(side * side * 96, hidden, init=L.he(SLOPE), rng=rng), L.LeakyReLU(SLOPE)),
        L.Sequential(L.Linear(latent_size, hidden, init=L.he(SLOPE), rng=rng), L.LeakyReLU(SLOPE)),
        L.Sequential(L.Linear(2 * hidden, hidden, init=L.he(SLOPE), rng=rng), L.LeakyReLU(SLOPE),
                     L.Linear(hidden, 1, init=L.glorot(), rng=rng)))
    settings = {"shortcut_weight": 1000.0, "latent_weight": 100.0, "lr": 2e-3, "discriminator_lr": 4e-4,
                "final_lr": 0.1} | settings
    return ALI(base.encoder, decoder, discriminator, latent_size, seed=seed + 1, **settings)


def frame_autoencoder(seed=0, **settings):
    """The encoder and decoder of ``small_ali`` up to h, as an autoencoder."""
    base = small_ali(seed=seed)
    return Autoencoder(base.encoder.body, base.decoder.body, seed=seed + 1, **settings)


def frame_vae(seed=0, **settings):
    """The encoder and decoder of a stochastic ``small_ali`` as a VAE."""
    base = small_ali(stochastic=True, seed=seed)
    return VAE(base.encoder, base.decoder, base.latent_size, seed=seed + 1, **settings)


def mlp_vae(size, latent_size=128, hidden=512, seed=0, **settings):
    """A VAE on vectors (n, size), its decoder the generator of ``mlp_gan``: the top level over whitened codes."""
    whole("latent_size", latent_size)
    rng = Generator(seed)
    encoder = Encoder(L.Sequential(*_dense(size, hidden, rng), *_dense(hidden, hidden, rng)),
                      L.Linear(hidden, 2 * latent_size, init=L.normal(0.01), rng=rng), stochastic=True)
    decoder = L.Sequential(*_dense(latent_size, hidden, rng), *_dense(hidden, hidden, rng),
                           L.Linear(hidden, size, init=L.glorot(), rng=rng))
    return VAE(encoder, decoder, latent_size, seed=seed + 1, **settings)
