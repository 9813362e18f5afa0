"""Initialisers: functions (rng, shape, fan_in, fan_out) -> array. The fans count the connections
per output and per input."""

import math

import numpy as np

from ..runtime.checks import between, real
from ..runtime.rules import checked, fractions


class _Gaussian:
    """N(0, std(fan_in, fan_out)^2), and how it is written."""

    def __init__(self, std, text):
        self._std, self._text = std, text

    def __call__(self, rng, shape, fan_in, fan_out):
        return rng.standard_normal(shape) * np.float32(self._std(fan_in, fan_out))

    def __repr__(self):
        return self._text


@checked()
def normal(std=0.01):
    """N(0, std^2), as in ALI's authors' code."""
    return _Gaussian(lambda fan_in, fan_out: std, f"normal({std:g})")


@checked(slope=real())
def he(slope=0.0):
    """N(0, 2 / ((1 + slope^2) fan_in)): keeps the variance through a (leaky) ReLU (He et al.
    2015)."""
    return _Gaussian(lambda fan_in, fan_out: math.sqrt(2 / ((1 + slope ** 2) * fan_in)),
                     f"he({slope:g})")


def glorot():
    """N(0, 2 / (fan_in + fan_out)), a compromise between both directions (Glorot and Bengio
    2010)."""
    return _Gaussian(lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out)), "glorot()")


@checked(images=fractions, eps=between(0, 0.5))
def log_odds(images, eps=1e-3):
    """The bias at which a sigmoid output starts at the data's mean: log(p / (1 - p)) per channel,
    float32 (c,) (ALI's authors).

    ``images``: (n, ..., c) in [0, 1]. Their means are kept in [eps, 1 - eps].
    """
    p = np.asarray(images).mean(axis=tuple(range(images.ndim - 1))).clip(eps, 1 - eps)
    return np.log(p / (1 - p)).astype(np.float32)
