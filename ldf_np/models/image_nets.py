"""Models of 32 x 32 images, of one size each (Fig. 3 of the paper): LDF over the quadrants, and its
baselines on whole images.

Every function takes training images (N, 32, 32, 3), uint8, and a seed, and makes a model whose
number of parameters is within 10% of that of ``image_ali``, the one whose size is fixed.
"""

from .. import nn
from ..autodiff import ops
from ..nn.losses import colour_metric
from ..runtime.checks import integer
from ..runtime.relations import square_images
from ..runtime.rules import IMAGES, checked
from .baselines import joint_gan, matched
from .factors import Patches
from .gan import GAN
from .nets import PLACES, SMALL_GAN, local_gan, place_ali, split_ldf

GRID, SIDE = Patches(2, 2), 16      # an image's quadrants, and how many rows and columns they have
# A weaker penalty than ``joint_gan`` has for clips, and one that stays (docs/recipe.md).
BASELINE = SMALL_GAN | {"gamma": 60.0, "final_gamma": 1.0}


def image_ali(images, seed=0):
    """One level: ALI on whole images, to be sampled from its prior, and so with reconstructions
    that weigh less (docs/recipe.md)."""
    return place_ali(seed=seed, colour_metric=_metric(images), shortcut_weight=60.0,
                     latent_weight=15.0, mapping_hidden=None)


def image_ldf(images, seed=0):
    """LDF: ALI shared by the four quadrants, and a local GAN over the one map of their whitened
    codes, as wide as the size allows."""
    bottom = place_ali(SIDE, seed=seed, colour_metric=_metric(images))
    left = size_of(image_ali(images, seed)) - size_of(bottom)

    def top(shape, seed):
        return matched(lambda width: local_gan(shape, width=width, seed=seed), left)

    return split_ldf(bottom, GRID, (GRID.count, SIDE // 4, SIDE // 4, PLACES[2]), seed=seed,
                     top=top)


def image_gan(images, seed=0):
    """The baseline: a discriminator that sees all pixels."""
    def make(hidden):
        joint = joint_gan(frames=1, hidden=hidden, seed=seed)
        return GAN(joint.generator, joint.discriminator, joint.latent_size, seed=seed + 1,
                   **BASELINE)

    return matched(make, size_of(image_ali(images, seed)))


def patch_gan(images, seed=0):
    """``image_gan`` with a ``PatchCritic``: the same generator, and a wide dense layer for what
    convolutions a patch saves."""
    baseline = image_gan(images, seed)

    def make(hidden):
        return PatchCritic(joint_gan(frames=1, size=SIDE, hidden=hidden, seed=seed).discriminator)

    return GAN(baseline.generator, matched(make, size_of(baseline.discriminator)),
               baseline.latent_size, seed=seed + 1, **BASELINE)


class PatchCritic(nn.Module):
    """A discriminator (n, h, w, c) -> (n, 1) that sees only patches: the mean of the logits of
    ``critic``, which takes patches (n, size, size, c), at places ``stride`` pixels apart; by
    default these are the quadrants that LDF's bottom sees."""

    @checked(stride=integer())
    def __init__(self, critic, size=SIDE, stride=SIDE):
        self.critic, self.size, self.stride = critic, size, stride

    @checked(square_images)
    def forward(self, x):
        starts = range(0, x.shape[1] - self.size + 1, self.stride)
        patches = ops.concatenate([x[:, i:i + self.size, j:j + self.size]
                                   for i in starts for j in starts])
        return self.critic(patches).reshape(len(starts) ** 2, len(x)).mean(axis=0).reshape(-1, 1)


@checked(images=IMAGES)
def _metric(images):
    """The colour metric of the first training images."""
    return colour_metric(images[:200])


def size_of(model):
    """The number of a model's parameters."""
    return sum(p.size for p in model.parameters())
