"""Intervals, over seeds and over samples, and the verdicts that follow from them."""

import math

import numpy as np

from ..runtime.checks import finite, function, number, numbers, whole
from ..runtime.random import Generator


def over_seeds(values, level=0.95):
    """[mean, low, high]: Student's interval of the mean over seeds; for one seed the bounds are
    None.

    Values that are all the same give an interval of no width, and so a verdict: what the seed does
    not change (the memory of a step) or a share at its end (all chains, in every run). That the
    seed has an effect at all is for other tests. Raises ValueError for NaN and infinity: a model
    without a score is left out before, and said to be.
    """
    from scipy.stats import t

    values = finite("values", numbers("values", np.asarray(values))).astype(np.float64)
    if not 0 < number("level", level) < 1:
        raise ValueError(f"level: expected a number in (0, 1), got {level}")
    if values.ndim != 1 or not len(values):
        raise ValueError(
            f"values: expected at least one number, one for each seed, got shape {values.shape}")
    middle = float(values.mean())
    if len(values) == 1:
        return [middle, None, None]
    half = float(t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1)
                 / math.sqrt(len(values)))
    return [middle, middle - half, middle + half]


def verdict(interval, expected, than=0.0):
    """"held" where the whole [value, low, high] lies ``expected`` ("below" or "above") ``than``,
    "failed" where all of it lies on the other side, else "undecided"; with one seed, and so without
    an interval, "undecided". Raises ValueError for NaN, of which nothing is held."""
    if not isinstance(expected, str) or expected not in ("below", "above"):
        raise ValueError(f'expected: "below" or "above", got {expected!r}')
    if not isinstance(interval, (list, tuple)) or len(interval) != 3:
        raise ValueError(f"interval: expected [value, low, high], got {interval!r:.80}")
    _, low, high = interval
    number("than", than)
    if low is None:
        return "undecided"
    if not number("interval", low) <= number("interval", high):
        raise ValueError(f"interval: expected low <= high, got {interval!r:.80}")
    if low <= than <= high:
        return "undecided"
    return "held" if (high < than) == (expected == "below") else "failed"


def interval(score, *samples, repeats=100, level=0.95, seed=0):
    """(value, low, high): score(*samples) and its interval at ``level``, by random halves.

    Scores that compare samples with each other are spoiled by the repeated rows of an ordinary
    bootstrap. A random half drawn without repetition deviates from the whole as the whole does from
    the truth (its variance is twice that of the whole, less the half that they share), so those
    deviations are taken around the value, after their mean, the half's larger bias, is taken off.
    """
    function("score", score)
    if whole("repeats", repeats) < 2 or not 0 < number("level", level) < 1:
        raise ValueError(
            f"repeats, level: expected at least 2 and a number in (0, 1), got {repeats} and {level}")
    for sample in samples:
        if np.ndim(sample) < 1 or len(sample) < 2:
            raise ValueError(
                f"samples: expected at least 2 rows of each, got shape {np.shape(sample)}")
    value, rng = number("the score", float(score(*samples))), Generator(seed)
    halves = np.array([score(*(s[rng.permutation(len(s))[:len(s) // 2]] for s in samples))
                       for _ in range(repeats)])
    low, high = np.quantile(halves - halves.mean(), [(1 - level) / 2, (1 + level) / 2])
    return value, value + float(low), value + float(high)
