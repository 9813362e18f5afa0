"""ALI's toy: 25 Gaussians on a grid in the plane, and how many of them a set of samples hits."""

import numpy as np

from ..runtime.checks import check_size, checked, finite_array, integer, real

MEANS = np.stack(np.meshgrid(*[np.arange(-4, 5, 2)] * 2, indexing="ij"), axis=-1).reshape(
    25, 2).astype(np.float32)
SIGMA = 0.05


@checked(count=integer(), seed=integer(0))
def make_gaussians(count=100_000, seed=0):
    """Points of the mixture, each of the 25 equally likely: float32 (count, 2)."""
    check_size("count", (int(count), 2))
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
    noise = rng.standard_normal((count, 2), dtype=np.float32)
    return MEANS[rng.integers(0, len(MEANS), count)] + np.float32(SIGMA) * noise


@checked(samples=finite_array("n, 2", 1), least=integer(0), radius=real(0))
def modes_hit(samples, least=20, radius=3 * SIGMA):
    """How many of the 25 have at least ``least`` of the samples (n, 2) within ``radius`` of their
    mean, and the fraction of all samples that lie so near to one of them.

    Of 10,000 samples of the mixture itself each gets about 400; of 10,000 spread evenly over
    [-4, 4]^2, about 11, at its edges fewer.
    """
    if samples.shape[1] != 2:
        raise ValueError(f"samples: expected points of the plane (n, 2), got shape {samples.shape}")
    distance = np.linalg.norm(samples[:, None] - MEANS, axis=-1)           # (n, 25)
    near = distance.min(axis=1) <= radius
    counts = np.bincount(distance.argmin(axis=1)[near], minlength=len(MEANS))
    return int((counts >= least).sum()), float(near.mean())
