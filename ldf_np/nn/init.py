"""Initialisers: (rng, shape, fan_in, fan_out) -> array. The fans count connections per output and
per input."""

import math

import numpy as np

from ..runtime.checks import finite, number, numbers


def normal(std=0.01):
    """N(0, std^2), as in ALI's authors' code."""
    number("std", std, 0)
    return lambda rng, shape, fan_in, fan_out: rng.standard_normal(shape) * np.float32(std)


def he(slope=0.0):
    """N(0, 2 / ((1 + slope^2) fan_in)), which keeps the variance through (leaky) ReLU (He et al.
    2015)."""
    number("slope", slope)
    return lambda rng, shape, fan_in, fan_out: rng.standard_normal(shape) * np.float32(
        math.sqrt(2 / ((1 + slope ** 2) * fan_in)))


def glorot():
    """N(0, 2 / (fan_in + fan_out)), a compromise between both directions (Glorot and Bengio
    2010)."""
    return lambda rng, shape, fan_in, fan_out: rng.standard_normal(shape) * np.float32(
        math.sqrt(2 / (fan_in + fan_out)))


def log_odds(images, eps=1e-3):
    """The bias at which a sigmoid output starts at the data's mean: log(p / (1 - p)) per channel
    (ALI's authors).

    ``images``: (n, ..., c) in [0, 1].
    """
    if finite("images", numbers("images", images,
                                least=1)).dtype.kind != "f" or images.min() < 0 or images.max() > 1:
        raise ValueError(
            f"images: expected floats from 0 to 1, got {images.dtype} from {images.min()} to "
            f"{images.max()}")
    if not 0 < number("eps", eps) < 0.5:
        raise ValueError(f"eps: expected a number in (0, 0.5), got {eps}")
    p = np.clip(np.asarray(images).mean(axis=tuple(range(np.ndim(images) - 1))), eps, 1 - eps)
    return np.log(p / (1 - p)).astype(np.float32)
