"""The networks that LDF is compared with, small like its own: joint models of whole clips, and
other bottoms and tops."""

import numpy as np

from .. import nn
from ..runtime.checks import instance, integer, multiple
from ..runtime.device import xp
from ..runtime.random import Generator
from ..runtime.relations import low_below_high, within_a_tenth
from ..runtime.rules import checked
from . import nets
from .ali import ALI, Decoder, Encoder
from .factors import Frames
from .gan import JointGAN
from .vae import VAE, Autoencoder
from .whitening import ChannelWhitening


def _smooth(frames=1, scale=1.0):
    """He initialisation with 4x4 filters of one smooth bump, and the same for each of ``frames``,
    times ``scale``."""
    def init(rng, shape, fan_in, fan_out):
        kh, kw, channels, others = shape        # channels t * c
        bump = np.outer([1, 3, 3, 1], [1, 3, 3, 1])[..., None, None] / 5        # mean square 1
        mixture = nn.he(nets.SLOPE)(rng, (1, 1, channels // frames, others), fan_in, fan_out)
        return xp().tile(xp().asarray(bump * scale, np.float32) * mixture, (1, 1, frames, 1))

    return init


@checked(size=multiple(8), whitened=instance(bool))
def joint_gan(frames=5, size=32, channels=3, latent_size=128, hidden=512, whitened=False, seed=0,
              **settings):
    """The joint baseline on clips (n, frames, size, size, channels): convolutions as wide as those
    of LDF's frames, and dense layers of ``hidden`` units; ``matched`` finds the number with which
    it is as large as a given LDF.

    From random filters it collapses: its clips differ from real ones in every pixel, the
    discriminator needs nothing else to win, and follows no gradient to less noise. So both networks
    begin with smooth filters, the same for all frames (smooth and still clips), and the penalty is
    strong and not weighted. ``whitened``: both work on whitened channels, of which the first are
    what the frames share and the others how they change. Then it moves, and its frames are worse
    (docs/recipe.md).
    """
    rng, side = Generator(seed), size // 8
    image, widths = frames * channels, (24, 48, 96)
    maps = widths[-1]
    alike = 1 if whitened else frames       # how many frames begin with the same filters
    generator = nn.Sequential(
        *nets.to_map(latent_size, hidden, (side, side, maps), rng),
        *nets.conv(nn.Conv2d, maps, maps, 3, 1, 1, rng=rng),
        *nets.up([*reversed(widths), image], rng, _smooth(), _smooth(alike))[
            :-1 if whitened else None])         # white channels have no bounds for tanh
    inits = _smooth(alike, alike ** -0.5), _smooth(), _smooth()
    discriminator = nn.Sequential(*nets.trunk([image, *widths], side, hidden, rng, inits),
                                  *nets.output(hidden, 1, rng))
    shape = frames, size, size, channels
    settings = nets.SMALL_GAN | {"gamma": 400.0} | settings
    return JointGAN(generator, discriminator, latent_size, frames, seed=seed + 1,
                    whitening=ChannelWhitening(Frames(frames), shape) if whitened else None,
                    **settings)


@checked(low_below_high)
def matched(make, parameters, low=16, high=2048):
    """The model ``make(width)``, with the width in [low, high] for which it has most nearly
    ``parameters`` parameters.

    For comparisons at equal size. Raises ValueError where none comes within 10%.
    """
    def count(width):
        return sum(p.size for p in make(width).parameters())

    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < parameters else (low, middle)
    width = min((low, high), key=lambda w: abs(count(w) - parameters))
    found = count(width)
    within_a_tenth(found, parameters, width)
    return make(width)


@checked(size=multiple(8), seed=integer(0))
def framed_joint_gan(frames=5, size=32, channels=3, hidden=512, seed=0, **settings):
    """``joint_gan`` with a second discriminator, on single frames, with LDF's convolutions."""
    rng = Generator(seed + 2)
    discriminator = nn.Sequential(*nets.trunk([channels, 24, 48, 96], size // 8, 256, rng),
                                  *nets.output(256, 1, rng))
    return joint_gan(frames, size, channels, hidden=hidden, seed=seed,
                     frame_discriminator=discriminator, **settings)


@checked(size=multiple(8))
def joint_ali(frames=5, size=32, channels=3, latent_size=128, hidden=512, seed=0, **settings):
    """ALI on clips as images (n, size, size, frames * channels): ``small_ali`` with dense layers of
    ``hidden`` units, and its weights of the reconstructions (docs/recipe.md)."""
    base = nets.small_ali(size, frames * channels, latent_size, seed=seed)
    rng, side, widths = Generator(seed + 2), size // 8, [frames * channels, 24, 48, 96]
    head = nets.ali_head(latent_size, hidden, (side, side, nets.CODE[2]), rng)
    discriminator = nets.ali_discriminator(widths, side, latent_size, hidden, rng)
    return ALI(base.encoder, Decoder(head, base.decoder.body), discriminator, latent_size,
               seed=seed + 1, **nets.SMALL_ALI | settings)


def frame_autoencoder(seed=0, **settings):
    """The encoder and decoder of ``place_ali`` up to h, as an autoencoder."""
    base = nets.place_ali(seed=seed)
    return Autoencoder(base.encoder.body, base.decoder.body, seed=seed + 1, **settings)


def frame_vae(seed=0, **settings):
    """The encoder and decoder of a stochastic ``place_ali`` as a VAE."""
    base = nets.place_ali(stochastic=True, seed=seed)
    return VAE(base.encoder, base.decoder, base.latent_size, seed=seed + 1, **settings)


@checked()
def mlp_vae(size, latent_size=128, hidden=512, seed=0, **settings):
    """A VAE on vectors (n, size), its decoder the generator of ``mlp_gan``: the top level over
    whitened codes."""
    rng = Generator(seed)
    encoder = Encoder(
        nn.Sequential(*nets.dense(size, hidden, rng, True), *nets.dense(hidden, hidden, rng, True)),
        nn.Linear(hidden, 2 * latent_size, init=nn.normal(0.01), rng=rng), stochastic=True)
    decoder = nets.mlp(latent_size, hidden, size, rng, normalized=True)
    return VAE(encoder, decoder, latent_size, seed=seed + 1, **settings)
