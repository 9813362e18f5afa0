"""The networks that LDF is compared with, small like its own: joint models of whole clips, and
other bottoms and tops."""

import numpy as np

from .. import nn
from ..runtime.checks import function, whole
from ..runtime.device import xp
from ..runtime.random import Generator
from .ali import ALI, Decoder, Discriminator, Encoder
from .gan import JointGAN
from .nets import CODE, SLOPE, _check_sizes, _down, _up, small_ali
from .vae import VAE, Autoencoder


def _smooth(frames=1, share=1.0):
    """He initialisation with 4x4 filters of one smooth bump, and the same for each of ``frames``,
    times ``share``."""
    def init(rng, shape, fan_in, fan_out):
        kh, kw, channels, others = shape
        bump = np.outer([1, 3, 3, 1], [1, 3, 3, 1])[..., None, None] / 5        # mean square 1
        mixture = nn.he(SLOPE)(rng, (1, 1, channels // frames, others), fan_in, fan_out)
        # of channels t * c
        return xp().tile(xp().asarray(bump * share, np.float32) * mixture, (1, 1, frames, 1))

    return init


def joint_gan(frames=5, size=32, channels=3, latent_size=128, hidden=512, seed=0, **settings):
    """The joint baseline on clips (n, frames, size, size, channels): convolutions as wide as those
    of LDF's frames, and dense layers of ``hidden`` units that bring its parameter count within 10%
    of LDF's.

    From random filters it collapsed on Ms. Pac-Man, whatever the rates: its clips differ from real
    ones in every pixel, the discriminator needs nothing else to win, and follows no gradient to
    less noise. So both networks begin with smooth filters, the same for all frames (smooth and
    still clips), and the penalty is strong and not weighted.
    """
    _check_sizes(size, frames=frames, channels=channels, latent_size=latent_size, hidden=hidden)
    rng, side = Generator(seed), size // 8
    settings = {"lr": 1e-3, "discriminator_lr": 1e-3, "penalty": "unweighted", "gamma": 400.0,
                "final_gamma": 0.1, "final_lr": 0.1} | settings
    image, widths = frames * channels, (24, 48, 96)
    flat = side * side * widths[-1]
    generator = nn.Sequential(
        nn.Linear(latent_size, hidden, bias=False, init=nn.he(SLOPE), rng=rng),
        nn.BatchNorm(hidden), nn.LeakyReLU(SLOPE),
        nn.Linear(hidden, flat, bias=False, init=nn.he(SLOPE), rng=rng),
        nn.Reshape(side, side, widths[-1]), nn.BatchNorm(widths[-1]), nn.LeakyReLU(SLOPE),
        nn.Conv2d(widths[-1], widths[-1], 3, 1, 1, bias=False, init=nn.he(SLOPE), rng=rng),
        nn.BatchNorm(widths[-1]), nn.LeakyReLU(SLOPE),
        *_up([*reversed(widths), image], rng, _smooth(), _smooth(frames)))
    discriminator = nn.Sequential(
        *_down([image, *widths], rng, False,
               [_smooth(frames, frames ** -0.5), _smooth(), _smooth()]), nn.Flatten(),
        nn.Linear(flat, hidden, init=nn.he(SLOPE), rng=rng), nn.LeakyReLU(SLOPE),
        nn.Linear(hidden, 1, init=nn.glorot(), rng=rng))
    return JointGAN(generator, discriminator, latent_size, frames, seed=seed + 1, **settings)


def matched(make, parameters, low=16, high=2048):
    """The model ``make(width)``, with the width in [low, high] for which it has most nearly
    ``parameters`` parameters.

    For comparisons at equal size. Raises ValueError where none comes within 10%.
    """
    function("make", make), whole(
        "parameters", parameters), whole("low", low), whole("high", high, low)

    def count(width):
        return sum(p.size for p in make(width).parameters())

    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < parameters else (low, middle)
    width = min((low, high), key=lambda w: abs(count(w) - parameters))
    found = count(width)
    if abs(found / parameters - 1) > 0.1:
        raise ValueError(
            "parameters: expected a number that these networks come within 10% of, got "
            f"{parameters:,}; "
                         f"the nearest is {found:,}, with a width of {width}")
    return make(width)


def _dense(n_in, n_out, rng):
    """A linear layer, normalised over the batch, and its leaky ReLU."""
    return [nn.Linear(n_in, n_out, bias=False, init=nn.he(SLOPE), rng=rng), nn.BatchNorm(n_out),
            nn.LeakyReLU(SLOPE)]


def framed_joint_gan(frames=5, size=32, channels=3, hidden=512, seed=0, **settings):
    """``joint_gan`` with a second discriminator, on single frames, of the size of LDF's."""
    _check_sizes(size, frames=frames, channels=channels)
    rng, flat = Generator(whole("seed", seed, 0) + 2), (size // 8) ** 2 * 96
    critic = nn.Sequential(*_down([channels, 24, 48, 96], rng, False), nn.Flatten(),
                          nn.Linear(flat, 256, init=nn.he(SLOPE), rng=rng), nn.LeakyReLU(SLOPE),
                          nn.Linear(256, 1, init=nn.glorot(), rng=rng))
    return joint_gan(frames, size, channels, hidden=hidden, seed=seed, frame_discriminator=critic,
                     **settings)


def joint_ali(frames=5, size=32, channels=3, latent_size=128, hidden=512, seed=0, **settings):
    """ALI on clips as images (n, size, size, frames * channels): ``small_ali`` with dense layers of
    ``hidden`` units.

    After 150 steps on 256 clips of Ms. Pac-Man its samples' KID of whole clips (x 1000) was 11 with
    the reconstruction weights 1000 and 100, 36 with 100 and 5, 93 with 10 and 1, and 74 without
    (``hidden`` 380, one seed each).
    """
    _check_sizes(size, frames=frames, channels=channels, hidden=hidden)
    base = small_ali(size, frames * channels, latent_size, seed=seed)
    rng, side = Generator(seed + 2), size // 8
    flat = side * side * CODE[2]
    decoder = Decoder(
        nn.Sequential(*_dense(latent_size, hidden, rng),
                      nn.Linear(hidden, flat, bias=False, init=nn.glorot(), rng=rng),
                     nn.Reshape(side, side, CODE[2]), nn.BatchNorm(CODE[2], affine=False)),
        base.decoder.body)
    discriminator = Discriminator(
        nn.Sequential(*_down([frames * channels, 24, 48, 96], rng, False), nn.Flatten(),
                     nn.Linear(side * side * 96, hidden, init=nn.he(SLOPE), rng=rng),
                     nn.LeakyReLU(SLOPE)),
        nn.Sequential(nn.Linear(latent_size, hidden, init=nn.he(SLOPE), rng=rng),
                      nn.LeakyReLU(SLOPE)),
        nn.Sequential(nn.Linear(2 * hidden, hidden, init=nn.he(SLOPE), rng=rng),
                      nn.LeakyReLU(SLOPE),
                     nn.Linear(hidden, 1, init=nn.glorot(), rng=rng)))
    settings = {"shortcut_weight": 1000.0, "latent_weight": 100.0, "lr": 2e-3, "discriminator_lr":
                4e-4, "final_lr": 0.1} | settings
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
    """A VAE on vectors (n, size), its decoder the generator of ``mlp_gan``: the top level over
    whitened codes."""
    whole("latent_size", latent_size)
    rng = Generator(seed)
    encoder = Encoder(nn.Sequential(*_dense(size, hidden, rng), *_dense(hidden, hidden, rng)),
                      nn.Linear(hidden, 2 * latent_size, init=nn.normal(0.01), rng=rng),
                      stochastic=True)
    decoder = nn.Sequential(*_dense(latent_size, hidden, rng), *_dense(hidden, hidden, rng),
                           nn.Linear(hidden, size, init=nn.glorot(), rng=rng))
    return VAE(encoder, decoder, latent_size, seed=seed + 1, **settings)
