"""One explicit, counter-based noise source: NumPy's Philox4x64-10, so that one seed gives one run.

The stream is a pure function of (seed, counter), so its state is a few integers: small enough for a
checkpoint, and the same on every machine. On the CPU NumPy draws; on a CUDA device kernels of our
own draw the same numbers from a counter that lies there, uniforms bit for bit and normals to
rounding.
"""

import math

import numpy as np

from ..kernels import random as kernel
from .checks import check_size, checked, full_name, integer
from .device import asarray, on_device, xp
from .recording import again

# what the state of a numpy.random.Philox consists of: arrays and their lengths, and numbers
_WORDS = {"counter": 4, "key": 2, "buffer": 4}
_NUMBERS = ("buffer_pos", "has_uint32", "uinteger")
DTYPES, LENGTH = (np.dtype(np.float32), np.dtype(np.float64)), integer(0)   # of what is drawn


class Generator:
    """A stream of random numbers.

    Parameters
    ----------
    seed : int or numpy.random.SeedSequence
        Non-negative. Equal seeds give equal streams.
    """

    def __init__(self, seed=0):
        if not isinstance(seed, np.random.SeedSequence):
            seed = np.random.SeedSequence(integer(0)("seed", seed))
        self._sequence, self._generator = seed, np.random.Generator(np.random.Philox(seed))
        # the device's state, and the host's state that it agrees with
        self._device, self._pushed = None, None
        self.drawn = None       # while a step is captured: the (count, dtype) of each draw in it

    @checked(count=integer(0, 2 ** 20))
    def spawn(self, count):
        """``count`` independent generators, each with a stream of its own (as NumPy's
        ``spawn``)."""
        return [Generator(sequence) for sequence in self._sequence.spawn(count)]

    @again
    def standard_normal(self, size=None, dtype=np.float32):
        """Draws from N(0, 1), made of uniforms in pairs (Box and Muller 1958)."""
        shape = _shape(size, dtype)
        if on_device():
            return self._draw("normal", shape, dtype)
        count = math.prod(shape)
        drawn = kernel.box_muller(self._generator.random(count + count % 2, dtype))
        return asarray(drawn[:count].reshape(shape))

    @again
    def random(self, size=None, dtype=np.float32):
        """Uniform draws from [0, 1)."""
        shape = _shape(size, dtype)
        if on_device():
            return self._draw("uniform", shape, dtype)
        return asarray(self._generator.random(shape, dtype))

    @checked(low=integer(-2 ** 63))
    def integers(self, low, high, size=None):
        """Uniform integers from [low, high), as a NumPy array: they index data on the host."""
        integer(low + 1)("high", high)
        _shape(size)
        return self._generator.integers(low, high, size)

    @checked(n=integer(0, 2 ** 62))
    def permutation(self, n):
        """The integers 0 ... n-1 in random order, as a NumPy array."""
        return self._generator.permutation(n)

    def _draw(self, kind, shape, dtype):
        count, dtype = math.prod(shape), np.dtype(dtype)
        self.push()
        out = kernel.launch_draws(kind, self._device, count, xp().empty(0, dtype))
        draws = count + count % 2 if kind == "normal" else count
        self.follow([(draws, dtype)])
        if self.drawn is not None:
            self.drawn.append((draws, dtype))
        return out.reshape(shape)

    def push(self):
        """Bring the device's counter up to the host's, where the host has drawn by itself since (a
        permutation, say)."""
        state = self.state
        if self._pushed != state:
            fresh = kernel.to_device(self._generator.bit_generator.state, xp())
            if self._device is None:
                self._device = fresh
            else:
                self._device[...] = fresh           # in place: a captured step reads this array
            self._pushed = state

    def follow(self, draws):
        """Move the host's counter over ``draws``, [(count, dtype), ...], which the device has
        made."""
        for count, dtype in draws:
            kernel.skip(self._generator, count, dtype)
        self._pushed = self.state

    def rewind(self, state):
        """Go back to a state of which the device's counter knows nothing else: draws that were
        recorded, not made."""
        self.state = state
        if self._device is not None:
            self._pushed = state

    @property
    def state(self):
        """Where the stream is, as a dict of plain integers and lists; assign it to go back to that
        point. (How many generators were spawned is not in it.)"""
        state = self._generator.bit_generator.state
        words = state["state"] | {"buffer": state["buffer"]}
        return {name: words[name].tolist() for name in _WORDS} | {
            name: int(state[name]) for name in _NUMBERS}

    @state.setter
    def state(self, state):
        try:
            words = {name: np.array(state[name], np.uint64).reshape(length)
                     for name, length in _WORDS.items()}
            self._generator.bit_generator.state = {
                "bit_generator": "Philox", "state": words, "buffer": words["buffer"],
                **{name: state[name] for name in _NUMBERS}}
        except (KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
            raise ValueError(f"state: expected what Generator.state gave, got {state!r:.80} "
                             f"({error})") from error


def generator(name, value):
    """A rule: a Generator of this library."""
    if not isinstance(value, Generator):
        raise TypeError(f"{name}: expected a Generator, got {full_name(type(value))}: "
                        "ldf_np.Generator(seed) makes one, whose stream all devices draw")
    return value


def numpy_generator(name, value):
    """A rule: a generator of NumPy, for what is computed on the host alone."""
    if not isinstance(value, np.random.Generator):
        came = "ldf_np.Generator" if isinstance(value, Generator) else full_name(type(value))
        raise TypeError(f"{name}: expected a numpy.random.Generator, got {came}: "
                        "numpy.random.default_rng(seed) makes one")
    return value


def _shape(size, dtype=np.float32):
    """A size (None, an int or a tuple) as a shape; TypeError for a dtype in which nothing is
    drawn."""
    if dtype not in DTYPES:
        raise TypeError(f"dtype: expected float32 or float64, got {dtype!r:.80}")
    shape = () if size is None else tuple(size) if isinstance(size, (tuple, list)) else (size,)
    for length in shape:
        LENGTH("size", length)
    if math.prod(shape) > 2 ** 28:          # below a gigabyte nothing needs to be looked up
        check_size("size", shape)
    return shape
