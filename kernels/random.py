"""Uniform and normal draws from NumPy's Philox4x64-10, on the device by the same counter.

There a stream's state is an array of five 64-bit integers (random.cu). The kernels advance it, so
that a captured CUDA graph draws new numbers each time. ``to_device`` and ``skip`` do the same
arithmetic on NumPy's state.
"""

import numpy as np

from . import cuda


def box_muller(u):
    """N(0, 1) from pairs of uniforms u, v (Box and Muller 1958): sqrt(-2 log(1 - u)) times cos and
    sin of 2 pi v; (2n,) -> (2n,)."""
    radius, turn = np.sqrt(-2 * np.log1p(-u[0::2])), u[1::2] * np.asarray(2 * np.pi, u.dtype)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1).reshape(-1)


def launch_draws(kernel, state, size, like):
    """``size`` draws of "uniform" or "normal" by the stream whose ``state`` is on the device. They
    advance the state."""
    out = cuda.empty((size,), like)
    draws = size + size % 2 if kernel == "normal" else size
    if size:
        real = cuda.real(like)
        count = draws // 2 if kernel == "normal" else size
        cuda.launch("random.cu", kernel, (cuda.blocks(count, 256),), (256,),
                    (state, out, np.int32(size)), REAL=real)
        cuda.launch("random.cu", "advance", (1,), (1,), (state, np.int32(draws)), REAL=real)
    return out


def to_device(state, module):
    """The device's state for that of a numpy.random.Philox: key, key, counter, next word, and the
    kept half of a word plus 2^32 (0 for none).

    The words of NumPy's buffer are words 0 to 3 after a counter one lower. Raises ValueError for a
    counter beyond 64 bits.
    """
    low, *high = (int(c) for c in state["state"]["counter"])
    if any(high):
        raise ValueError("the stream is further on than 2^66 numbers, which the device does not "
                         "count")
    place = int(state["buffer_pos"])
    before, place = (low, 0) if place >= 4 else (low - 1, place)
    kept = 2 ** 32 + int(state["uinteger"]) if state["has_uint32"] else 0
    return module.asarray(np.array([*map(int, state["state"]["key"]), before, place, kept],
                                   np.uint64))


def skip(generator, draws, dtype):
    """Advance a numpy.random.Generator on Philox as ``draws`` uniforms would, without making
    them."""
    bits = generator.bit_generator
    if dtype == np.float64:
        _skip_words(bits, draws)
    elif draws:
        fresh = draws - int(bits.state["has_uint32"])
        if draws > fresh:
            generator.random(1, np.float32)
        _skip_words(bits, fresh // 2)
        if fresh % 2:
            generator.random(1, np.float32)


def _skip_words(bits, words):
    state = bits.state
    rest = 4 - int(state["buffer_pos"])
    if words > rest:
        blocks, words = divmod(words - rest - 1, 4)
        counter = sum(int(c) << 64 * k for k, c in enumerate(state["state"]["counter"])) + blocks
        state["state"]["counter"] = np.array([counter >> 64 * k & 2 ** 64 - 1 for k in range(4)],
                                             np.uint64)
        state["buffer_pos"] = 4
        bits.state = state
        words += 1
    bits.random_raw(words, output=False)
