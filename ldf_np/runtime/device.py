"""Where arrays live: NumPy on the CPU or CuPy on a CUDA device, and how they move between the two.

Every function of the library works in the module of the arrays it is given; this file decides only
where *new* arrays (parameters, noise, batches) are made.
"""

import ctypes
import sys
from functools import cache

import numpy as np

from ..kernels.cuda import array_module, card_present, emulating, from_dlpack, load_cupy
from ..kernels.tile import get_float32_matmul_precision, set_float32_matmul_precision
from .checks import checked, one_of

__all__ = ["array_module", "asarray", "concatenate", "device", "from_dlpack",
           "get_float32_matmul_precision", "on_device", "set_float32_matmul_precision", "to_numpy",
           "use", "xp"]

_module = None      # numpy or cupy; None until "auto" is resolved by the first array made


@checked(device=one_of("cpu", "cuda", "auto"))
def use(device="auto"):
    """Choose where new arrays are made: "cpu", "cuda" or "auto" (CUDA where CuPy finds a device,
    else the CPU).

    Returns the name of the device now in use, "cpu" or "cuda". Where "auto" cannot use the card of
    this machine, one line on stderr says why.
    Raises ValueError for another name, RuntimeError when "cuda" is asked for and cannot be had.
    """
    global _module
    if device != "cpu":
        try:
            _module = load_cupy()
            return "cuda"
        except RuntimeError as error:
            if device == "cuda":
                raise
            if card_present():
                _say_once(f"ldf_np runs on NumPy: {error}")
    _module = np
    _keep_freed_memory()
    return "cpu"


@cache
def _say_once(sentence):
    print(sentence, file=sys.stderr)


def _keep_freed_memory():
    """Have glibc keep freed memory for the next array, where it is glibc.

    By default it hands large arrays back to the system at once, and taking them again costs a page
    fault for every 4 kB. No effect elsewhere; set once for the process.
    """
    # M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD of malloc.h
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    mallopt = _glibc("mallopt")
    mallopt(trim_threshold, 2 ** 31 - 1)
    mallopt(top_pad, 2 ** 27)       # more than a heap of another thread than the first has
    # older ones take at most 32 MiB
    mallopt(mmap_threshold, 2 ** 30) or mallopt(mmap_threshold, 2 ** 25)


def release_freed_memory():
    """Give the memory that is kept for the next array back to the system after all, where it is
    glibc: the next arrays are others."""
    _glibc("malloc_trim")(0)


def _glibc(name):
    """A function of glibc's malloc; elsewhere (macOS, Windows, musl) one that does nothing."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, TypeError, AttributeError):
        return lambda *_: True


def xp():
    """The module in which new arrays are made (numpy or cupy)."""
    if _module is None:
        use("auto")
    return _module


def on_device():
    """Whether new arrays are made on a CUDA device (or NumPy arrays stand for such, in a test)."""
    return xp() is not np or emulating()


def device():
    """The name of the device on which new arrays are made: "cpu" or "cuda"."""
    return "cpu" if xp() is np else "cuda"


def asarray(array, dtype=None):
    """``array`` on the current device; no copy where it is there already in that dtype."""
    module = xp()
    if module is np and type(array).__module__.startswith("cupy"):
        array = array.get()
    return module.asarray(array, dtype=dtype)


def to_numpy(array):
    """A NumPy array with the values of ``array`` (a NumPy or CuPy array; no copy for NumPy)."""
    module = array_module(array)
    return np.asarray(array) if module is np else module.asnumpy(array)


def concatenate(parts, axis=0):
    """Arrays joined along an axis. On a device one after another: CuPy's own function reads a list
    of addresses from the host, which a captured CUDA graph may not."""
    module = array_module(parts[0])
    if module is np:
        return np.concatenate(parts, axis=axis)
    shape, end = list(parts[0].shape), 0
    shape[axis] = sum(part.shape[axis] for part in parts)
    out = module.empty(shape, module.result_type(*parts))
    for part in parts:
        start, end = end, end + part.shape[axis]
        module.moveaxis(out, axis, 0)[start:end] = module.moveaxis(part, axis, 0)
    return out
