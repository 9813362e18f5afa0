"""The one file that knows CuPy: which module an array belongs to, and whether a CUDA device can be used."""

import sys

import numpy as np


def array_module(array):
    """The module (numpy or cupy) whose functions work on ``array``.

    Imports nothing: whoever made a CuPy array has loaded CuPy already.
    Raises TypeError for anything that is not an array of either kind.
    """
    if isinstance(array, (np.ndarray, np.generic)):
        return np
    if type(array).__module__.partition(".")[0] == "cupy":
        return sys.modules["cupy"]
    raise TypeError(f"expected a NumPy or CuPy array, got {type(array).__name__}")


def load_cupy():
    """CuPy, checked to have a usable device.

    Raises RuntimeError with one sentence that says what is missing and what to do about it.
    """
    try:
        import cupy
    except ImportError as error:
        raise RuntimeError(f"the CUDA backend needs CuPy ({error}): "
                           'pip install "ldf_np[cuda12]" or "ldf_np[cuda13]", to match your driver') from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(f"CuPy found no usable CUDA device ({error}): "
                           "check that nvidia-smi lists one, or use the CPU") from error
    if count == 0:
        raise RuntimeError("CuPy found no CUDA device: check that nvidia-smi lists one, or use the CPU")
    return cupy
