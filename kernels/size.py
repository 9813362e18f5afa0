"""The largest array that is worth asking for: what would not fit into the machine's memory is refused before it is tried."""

import math
import os
from functools import cache


@cache
def memory():
    """Bytes of memory of this machine; a terabyte where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 2 ** 40


def check_size(name, shape, itemsize=4):
    """ValueError where an array of this shape (Python ints, of any size) would be larger than the memory."""
    size = math.prod(shape) * itemsize
    if size > memory():
        raise ValueError(f"{name}: an array of shape {'x'.join(map(str, shape))} would take {size:,} bytes, expected at most "
                         f"the {memory():,} of this machine's memory")
