"""One explicit, counter-based noise source: NumPy's Philox4x64-10, so that one seed gives one run.

The stream is a pure function of (seed, counter), so its state is a few integers: small enough for a
checkpoint, and the same on every machine. Draws are made by NumPy and moved to the current device.
"""

import numpy as np

from .backend import asarray


class Generator:
    """A stream of random numbers.

    Parameters
    ----------
    seed : int or numpy.random.SeedSequence
        Non-negative. Equal seeds give equal streams.
    """

    def __init__(self, seed=0):
        if isinstance(seed, (bool, float)) or (not isinstance(seed, np.random.SeedSequence) and seed < 0):
            raise ValueError(f"seed: expected a non-negative integer, got {seed!r}")
        self._sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(int(seed))
        self._generator = np.random.Generator(np.random.Philox(self._sequence))

    def spawn(self, count):
        """``count`` independent generators, each with a stream of its own (as NumPy's ``spawn``)."""
        return [Generator(sequence) for sequence in self._sequence.spawn(count)]

    def standard_normal(self, size=None, dtype=np.float32):
        """Draws from N(0, 1)."""
        return asarray(self._generator.standard_normal(size, dtype=dtype))

    def random(self, size=None, dtype=np.float32):
        """Uniform draws from [0, 1)."""
        return asarray(self._generator.random(size, dtype=dtype))

    def integers(self, low, high, size=None):
        """Uniform integers from [low, high), as a NumPy array: they index data on the host."""
        return self._generator.integers(low, high, size)

    def permutation(self, n):
        """The integers 0 ... n-1 in random order, as a NumPy array."""
        return self._generator.permutation(n)

    @property
    def state(self):
        """The whole state as a dict of plain integers and lists; assign it to go back to that point."""
        state = self._generator.bit_generator.state
        return {"counter": [int(i) for i in state["state"]["counter"]],
                "key": [int(i) for i in state["state"]["key"]],
                "buffer": [int(i) for i in state["buffer"]],
                "buffer_pos": int(state["buffer_pos"]),
                "has_uint32": int(state["has_uint32"]), "uinteger": int(state["uinteger"])}

    @state.setter
    def state(self, state):
        self._generator.bit_generator.state = {
            "bit_generator": "Philox",
            "state": {"counter": np.array(state["counter"], np.uint64), "key": np.array(state["key"], np.uint64)},
            "buffer": np.array(state["buffer"], np.uint64),
            "buffer_pos": state["buffer_pos"], "has_uint32": state["has_uint32"], "uinteger": state["uinteger"]}
