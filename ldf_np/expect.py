"""What the public functions ask of their arguments: each check is a sentence with the name, what came and what was expected."""

import math

import numpy as np

from .kernels.size import check_size, is_whole

__all__ = ["channels_last", "check_size", "choice", "finite", "function", "is_whole", "number", "numbers", "one_of_type",
           "positive", "whole"]


def whole(name, value, least=1, most=math.inf):
    """``value`` as an int; TypeError where it is no whole number, ValueError where it is outside [least, most]."""
    if not is_whole(value):
        raise TypeError(f"{name}: expected a whole number, got {value!r:.80}")
    if not least <= value <= most:
        wanted = f"{least} to {most}" if most < math.inf else f"at least {least}"
        raise ValueError(f"{name}: expected {wanted}, got {value!r:.80}")
    return int(value)


def is_number(value):
    """Whether it is a real number, Python's or NumPy's: True and False are none, and neither are arrays."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def number(name, value, low=-math.inf, high=math.inf):
    """``value``; TypeError where it is no number, ValueError where it is not finite or outside [low, high]."""
    if not is_number(value):
        raise TypeError(f"{name}: expected a number, got {value!r:.80}")
    if not (low <= value <= high and abs(value) < math.inf):
        least = f" of at least {low:g}" if low > -math.inf else ""
        wanted = f"a number in [{low:g}, {high:g}]" if high < math.inf else f"a finite number{least}"
        raise ValueError(f"{name}: expected {wanted}, got {value!r:.80}")
    return value


def positive(name, value):
    """``value``; TypeError where it is no number, ValueError where it is not above 0 and finite."""
    if is_number(value) and not 0 < value < math.inf:
        raise ValueError(f"{name}: expected a positive number, got {value!r:.80}")
    return number(name, value)


def choice(name, value, *texts):
    """``value``; ValueError unless it is one of the texts."""
    if not isinstance(value, str) or value not in texts:
        raise ValueError(f"{name}: expected one of {', '.join(texts)}, got {value!r:.80}")
    return value


def function(name, value):
    """``value``; TypeError unless it can be called."""
    if not callable(value):
        raise TypeError(f"{name}: expected a function, got {type(value).__name__}")
    return value


def one_of_type(name, value, kind):
    """``value``; TypeError unless it is a ``kind``."""
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected a {kind.__name__}, got {type(value).__name__}")
    return value


def numbers(name, x, axes=None, least=0):
    """``x``; TypeError unless it is an array of real numbers (and no Tensor), ValueError unless it has ``axes`` ("n, h, w, c",
    say) and at least ``least`` rows."""
    kind = getattr(getattr(x, "dtype", None), "kind", None)
    if kind not in ("f", "i", "u", "b") or not hasattr(x, "shape") or hasattr(x, "detach"):
        came = f"dtype {x.dtype}" if hasattr(x, "dtype") and not hasattr(x, "detach") else type(x).__name__
        raise TypeError(f"{name}: expected an array of real numbers, got {came}")
    if axes is not None and len(x.shape) != axes.count(",") + 1:
        raise ValueError(f"{name}: expected shape ({axes}), got {x.shape}")
    if least and (not x.shape or len(x) < least or 0 in x.shape):
        raise ValueError(f"{name}: expected at least {least} of them and no empty axis, got shape {x.shape}")
    return x


def finite(name, x):
    """``x``; ValueError where an array of floats holds NaN or infinity."""
    # NaN is the least and the largest of everything; and neither makes a second array.
    if x.dtype.kind == "f" and x.size and not (math.isfinite(x.min()) and math.isfinite(x.max())):
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity in an array of shape {x.shape}")
    return x


def channels_last(name, x, axes, least=1):
    """``x``, images (..., h, w, c); ValueError where its axes look like (..., c, h, w) or, of clips, like (n, h, w, c, t)."""
    shape = numbers(name, x, axes, least).shape
    first = shape[-3] in (1, 3) and min(shape[-2:]) > 4
    before_time = len(shape) == 5 and shape[-2] in (1, 3) and shape[-1] > 3 and min(shape[1:3]) > 4
    if first or before_time:
        order = "(..., c, h, w)" if first else "(n, h, w, c, t)"
        raise ValueError(f"{name}: expected channels in the last axis, ({axes}), but shape {shape} looks like {order}")
    return x
