"""The two devices on which the CUDA side is tested: a card, and the emulator that runs the same
kernels on the CPU."""

from contextlib import contextmanager

import numpy as np
import pytest
from emulator import COMPILER, Emulator

import ldf_np as ldf
from ldf_np.kernels import cuda

NO_COMPILER = ("g++ was not found, and the emulator compiles the CUDA kernels with it (Debian and "
               "Ubuntu: apt install g++)")
EMULATED = [pytest.mark.emulator, pytest.mark.skipif(COMPILER is None, reason=NO_COMPILER)]
DEVICES = [pytest.param("emulator", marks=EMULATED), pytest.param("cuda", marks=pytest.mark.cuda)]


class Device:
    """Where the kernels run: ``with device.active():`` the library works there."""

    def __init__(self, name):
        self.name, self.emulator = name, Emulator() if name == "emulator" else None
        if name == "cuda":
            try:
                cuda.load_cupy()
            except RuntimeError as error:
                pytest.skip(str(error))

    @contextmanager
    def active(self):
        if self.name == "emulator":
            ldf.set_num_threads(1)          # the emulator's shared memory is one for the process
            try:
                with cuda.emulated(self.emulator):
                    yield
            finally:
                ldf.set_num_threads(2)
        else:
            ldf.use("cuda")
            try:
                yield
            finally:
                ldf.use("cpu")

    def run(self, function, *arguments):
        """``function`` of the arguments, arrays moved to the device, its result (or tuple of them)
        moved back."""
        with self.active():
            moved = [ldf.asarray(a) if isinstance(a, np.ndarray) else a for a in arguments]
            result = function(*moved)
            return tuple(map(_back, result)) if isinstance(result, (tuple, list)) else _back(result)


def _back(result):
    result = result.data if isinstance(result, ldf.Tensor) else result
    return np.array(ldf.to_numpy(result))


def close(actual, expected, bound):
    """Whether two arrays differ by at most ``bound`` of the largest expected element."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, (actual.shape, expected.shape)
    assert np.isfinite(actual).all(), "NaN or infinity: something was read before it was written"
    if expected.size:
        error = np.abs(actual - expected).max() / max(np.abs(expected).max(), 1e-30)
        assert error <= bound, error
