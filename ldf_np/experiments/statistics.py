"""Intervals, over seeds and over samples, and the verdicts that follow from them."""

import math

import numpy as np

from ..runtime.checks import (
    between,
    checked,
    finite_array,
    function,
    integer,
    positive,
    real,
    real_array,
    several,
)
from ..runtime.random import Generator

ONE_SEED = "one seed"       # in place of a verdict
SHARE, POSITIVE = (0.0, 1.0), (0.0, math.inf)
# What a score can be, by a part of its name; any number where none is here.
LIMITS = {
    "KID": (-math.inf, math.inf),
    **dict.fromkeys(("precision", "recall", "1-NN", "two-sample", "accuracy", "retention",
                     "halves", "recognisable", "one shape", "allowed", "legal", "shape from",
                     "nearest", "JSD", "known words"),
                    SHARE),
    **dict.fromkeys(("R2", "explained", "variance", "log motion"), (-math.inf, 1.0)),
    **dict.fromkeys(("MSE", "motion", "drift", "memorisation", "moved", "spread", "error"),
                    POSITIVE),
    "Inception Score": (1.0, math.inf)}


def limits(score):
    """(least, greatest) of what a score of this name can be: (0, 1) of a share."""
    return next((found for part, found in LIMITS.items() if part in score), (-math.inf, math.inf))


def half_width(values, level=0.95):
    """Half of Student's interval of the mean of two or more values, an array."""
    from scipy.stats import t

    _, high = t.interval(level, len(values) - 1)
    return float(high * values.std(ddof=1) / math.sqrt(len(values)))


def _one_a_seed(name, values):
    if finite_array()(name, np.asarray(values)).ndim != 1 or not len(values):
        raise ValueError(f"{name}: expected at least one number, one for each seed, got shape "
                         f"{np.shape(values)}")


def _two(name, within):
    if not isinstance(within, (list, tuple)) or len(within) != 2:
        raise TypeError(f"{name}: expected (least, greatest), got {within!r:.80}")


@checked(values=_one_a_seed, level=between(0, 1), within=_two)
def over_seeds(values, level=0.95, within=(-math.inf, math.inf)):
    """[mean, low, high]: Student's interval of the mean over seeds; for one seed the bounds are
    None.

    ``within``: what the values can be, (0, 1) for shares. The interval is cut there (or at values
    beyond): as often as before it holds the mean, which lies there itself.

    Values that are all the same give an interval of no width, and so a verdict: what the seed does
    not change (the memory of a step) or a rate at its end (all chains, in every run). Whether the
    seed has an effect at all is for other tests. Raises ValueError for NaN and infinity: a model
    without a score is left out before, and said to be.
    """
    values = np.asarray(values, np.float64)
    least, greatest = within
    with np.errstate(over="ignore", invalid="ignore"):
        middle = real()("over_seeds: the mean", float(values.mean()))
        if len(values) == 1:
            return [middle, None, None]
        half = real()("over_seeds: the interval", half_width(values, level))
    return [middle, max(middle - half, min(least, *values)),
            min(middle + half, max(greatest, *values))]


def _interval(name, value):
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        raise ValueError(f"{name}: expected [value, low, high], got {value!r:.80}")
    middle, low, high = value
    if middle is not None:
        real()(name, middle)
    if low is not None and not real()(name, low) <= real()(name, high):
        raise ValueError(f"{name}: expected low <= high, got {value!r:.80}")


def _side(name, value):
    if not isinstance(value, str) or value not in ("below", "above"):
        raise ValueError(f'{name}: "below" or "above", got {value!r}')


@checked(interval=_interval, expected=_side, than=real(), margin=positive)
def verdict(interval, expected, than=0.0, margin=None):
    """What [value, low, high] says of a quantity that was ``expected`` ("below" or "above")
    ``than``:

    "equal" where all of it lies less than ``margin`` from ``than``, the difference that would make
    none in practice (equivalence by two one-sided tests, Schuirmann 1987); else "held" where all of
    it lies on the expected side, "failed" where all of it lies on the other, else "undecided".
    With one seed there is no interval, and "one seed" in place of a verdict. Raises ValueError for
    NaN.
    """
    middle, low, high = interval
    if low is None:
        return "undecided" if middle is None else ONE_SEED
    if margin is not None and than - margin < low and high < than + margin:
        return "equal"
    if low <= than <= high:
        return "undecided"
    return "held" if (high < than) == (expected == "below") else "failed"


@checked(score=function, samples=several(real_array(), 0), repeats=integer(-math.inf), level=real())
def interval(score, *samples, repeats=100, level=0.95, seed=0):
    """(value, low, high): score(*samples) and its interval at ``level``, by random halves.

    Scores that compare samples with each other are spoiled by the repeated rows of an ordinary
    bootstrap. A random half drawn without repetition deviates from the whole as the whole does from
    the truth (its variance is twice that of the whole, less the half that they share), so those
    deviations are taken around the value, after their mean, the half's larger bias, is taken off.
    """
    if repeats < 2 or not 0 < level < 1:
        raise ValueError("repeats, level: expected at least 2 and a number in (0, 1), got "
                         f"{repeats} and {level}")
    for sample in samples:
        if np.ndim(sample) < 1 or len(sample) < 2:
            raise ValueError("samples: expected at least 2 rows of each, got shape "
                             f"{np.shape(sample)}")
    value, rng = real()("the score", float(score(*samples))), Generator(seed)
    halves = np.array([real()("the score of a half", float(score(
        *(s[rng.permutation(len(s))[:len(s) // 2]] for s in samples)))) for _ in range(repeats)])
    # of draws, not of a whole distribution: then the interval is wide enough; and as wide as
    # Student's, for the spread of few rows is itself known badly
    low, high = np.quantile(halves - halves.mean(), [(1 - level) / 2, (1 + level) / 2],
                            method="weibull")
    wider = _as_student(min(map(len, samples)), level)
    return value, value + wider * float(low), value + wider * float(high)


def _as_student(n, level):
    """How much wider Student's interval of the mean of n values is than the normal one."""
    from scipy.special import ndtri, stdtrit

    return float(stdtrit(n - 1, (1 + level) / 2) / ndtri((1 + level) / 2))
