"""Models of 32 x 32 images, of one size each (Fig. 3 of the paper): LDF over the quadrants, and its
rivals on whole images.

Every function takes training images (N, 32, 32, 3), uint8, and a seed, and makes a model whose
number of parameters is within 10% of that of ``image_ali``, the one whose size is fixed.
"""

from .. import nn
from ..autodiff import ops
from ..autodiff.engine import Tensor
from ..nn.losses import colour_metric
from ..runtime.checks import channels_last, function, one_of_type, whole
from .baselines import joint_gan, matched
from .factors import Patches
from .gan import GAN
from .ldf import LDF, Level
from .nets import CODE, mlp_gan, small_ali
from .whitening import Whitening

GRID, SIDE = Patches(2, 2), 16      # an image's quadrants, and how many rows and columns they have
# of the 512 numbers in the codes of an image: they hold 99% of the variance
COMPONENTS = 256
# A weaker penalty than ``joint_gan`` has for clips, and one that stays: after 500 steps on games,
# KID of samples to training images (x 1000, random filters) was 3 with 60 throughout, 7 with 20
# throughout and 15 with 20 falling to 2.
RIVAL = {"lr": 1e-3, "discriminator_lr": 1e-3, "penalty": "unweighted", "gamma": 60.0,
         "final_gamma": 1.0, "final_lr": 0.1}


def image_ali(images, seed=0):
    """One level: ALI on whole images, to be sampled from its prior.

    With the weights of the reconstructions that ``small_ali`` has, 1000 and 100: after 150 steps on
    games, KID of samples to training images (x 1000, random filters) was 6, but 10 with 100 and 5,
    and 16 with 10 and 1.
    """
    return small_ali(seed=seed, colour_metric=_metric(images))


def image_ldf(images, seed=0):
    """LDF: ALI shared by the four quadrants, and a GAN over their whitened codes, as wide as the
    size allows."""
    bottom = small_ali(SIDE, seed=seed, colour_metric=_metric(images))
    top = matched(lambda hidden: mlp_gan(COMPONENTS, hidden=hidden, seed=seed + 10),
                  size_of(image_ali(images, seed)) - size_of(bottom))
    whitening = Whitening((GRID.count, SIDE // 8, SIDE // 8, CODE[2]), COMPONENTS)
    return LDF([Level(bottom, GRID)], top, whitening, seed=seed + 20)


def image_gan(images, seed=0):
    """The baseline: a discriminator that sees all pixels."""
    def make(hidden):
        networks = joint_gan(frames=1, hidden=hidden, seed=seed)
        return GAN(networks.generator, networks.discriminator, networks.latent_size, seed=seed + 1,
                   **RIVAL)

    return matched(make, size_of(image_ali(images, seed)))


def patch_gan(images, seed=0):
    """``image_gan`` with a ``PatchCritic``: the same generator, and a wide dense layer for what
    convolutions a patch saves."""
    rival = image_gan(images, seed)
    critic = matched(lambda hidden: PatchCritic(joint_gan(frames=1, size=SIDE, hidden=hidden,
                                                          seed=seed).discriminator),
                     size_of(rival.discriminator))
    return GAN(rival.generator, critic, rival.latent_size, seed=seed + 1, **RIVAL)


class PatchCritic(nn.Module):
    """A discriminator (n, h, w, c) -> (n, 1) that sees only patches: the mean of the logits of
    ``critic``, which takes patches (n, size, size, c), at places ``stride`` pixels apart; by
    default these are the quadrants that LDF's bottom sees."""

    def __init__(self, critic, size=SIDE, stride=SIDE):
        self.critic = function("critic", critic)
        self.size, self.stride = whole("size", size), whole("stride", stride)

    def forward(self, x):
        if one_of_type("x", x, Tensor).ndim != 4 or not self.size <= x.shape[1] == x.shape[2]:
            raise ValueError(
                f"x: expected square images (n, h, w, c) of at least {self.size} rows, got shape "
                f"{x.shape}")
        starts = range(0, x.shape[1] - self.size + 1, self.stride)
        patches = ops.concatenate([x[:, i:i + self.size, j:j + self.size] for i in starts
                                   for j in starts])
        return self.critic(patches).reshape(len(starts) ** 2, len(x)).mean(axis=0).reshape(-1, 1)


def _metric(images):
    """The colour metric of the first training images; checked."""
    return colour_metric(channels_last("images", images, "n, h, w, c")[:200])


def size_of(model):
    """The number of a model's parameters."""
    return sum(p.size for p in model.parameters())
