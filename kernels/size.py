"""What a size may be: a whole number, and of an array that fits into the machine's memory."""

import math
import os
from functools import cache

import numpy as np


def is_whole(value):
    """Whether it is an integer of Python or NumPy. Booleans and arrays are not."""
    return (type(value) is int
            or isinstance(value, (int, np.integer)) and not isinstance(value, bool))


@cache
def memory():
    """Bytes of memory of this machine; a terabyte where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 2 ** 40


def check_size(name, shape, itemsize=4):
    """ValueError where an array of this shape (Python ints, of any size) would be larger than the
    memory."""
    size = math.prod(shape) * itemsize
    if size > memory():
        raise ValueError(f"{name}: an array of shape {'x'.join(map(str, shape))} would take "
                         f"{size:,} bytes, expected at most the {memory():,} of this machine's "
                         "memory")
