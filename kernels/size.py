"""What a size may be: a whole number, and of an array that fits into the machine's memory, which is
refused before it is tried."""

import math
import os
from functools import cache

import numpy as np


def is_whole(value):
    """Whether it is a whole number, Python's or NumPy's: True and False are none, and neither are
    arrays."""
    return type(value) is int or isinstance(
        value, (int, np.integer)) and not isinstance(value, bool)


@cache
def memory():
    """Bytes of memory of this machine; a terabyte where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 2 ** 40


def check_size(name, shape, itemsize=4):
    """ValueError where an array of this shape (Python ints, of any size) would be larger than the
    memory."""
    size = math.prod(shape) * itemsize
    if size > memory():
        raise ValueError(
            f"{name}: an array of shape {'x'.join(map(str, shape))} would take {size:,} bytes, "
            "expected at most "
                         f"the {memory():,} of this machine's memory")
