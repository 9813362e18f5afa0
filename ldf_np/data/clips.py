"""What a data set of clips is, and how one is cut out of recorded frames: by chance, but only where
something moves."""

import math
from dataclasses import dataclass

import numpy as np

from ..kernels.size import check_size, is_whole
from ..runtime.checks import channels_last_array, checked, integer, real_array
from ..runtime.progress import progress_bar
from ..runtime.random import numpy_generator

FRAMES = 5  # adjacent frames of a clip
SIZE = 32  # rows and columns of a clip
SHAPE = (FRAMES, SIZE, SIZE, 3)
# of an Atari screen's 210: the maze of Ms. Pac-Man, without the lives and the score below it
ROWS = 171
MIN_MOTION = 100.0  # a clip is kept when its motion is larger than this
TRIES = 200  # places looked at per clip wanted before a recording is called motionless


@dataclass(frozen=True)
class Clips:
    """Clips to train on and held-out ones: no episode has clips in both.

    The clips are in an order drawn by chance, so the first n of them are a fair sample.

    train: uint8 (n, t, h, w, 3), where nothing else is said (n, 5, 32, 32, 3), channels RGB, values
    0 to 255; test: the same, held out.
    train_episode, test_episode: int32 (n,), the episode (for read_clips: of single clips, the file)
    of each clip. seed: the seed that all chance came from. settings: the recipe, in plain numbers
    and strings.
    train_place, test_place: int32 (n, 3), where in its episode each clip was cut: its first frame,
    row and column. None where that was not asked for, or is not known.
    """

    train: np.ndarray
    test: np.ndarray
    train_episode: np.ndarray
    test_episode: np.ndarray
    seed: int
    settings: dict
    train_place: np.ndarray | None = None
    test_place: np.ndarray | None = None


def at_least(least, most=math.inf):
    """A rule: a whole number from ``least`` to ``most``; ValueError for whatever else comes."""
    def rule(name, value):
        if not is_whole(value) or not least <= value <= most:
            wanted = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
            raise ValueError(f"{name} is {value!r}, expected a whole number {wanted}")
        return value

    return rule


def clip_shape(settings):
    """The shape (t, h, w, c) of clips with the ``frames`` and the ``size`` in these settings."""
    size = int(settings.get("size", SIZE))
    return int(settings.get("frames", FRAMES)), size, size, SHAPE[3]


def fit_memory(shape, *names):
    """A relation: as many uint8 arrays of ``shape`` as the arguments of these names say together
    (None: not known yet) fit into the memory. ``shape`` None: that of clips with the arguments
    ``frames`` and ``size``."""
    def relation(name, **given):
        total = sum(int(given[count] or 0) for count in names)
        check_size(f"{name}: {' and '.join(names)}", (total, *(shape or clip_shape(given))), 1)

    return relation


@checked(clips=real_array())
def to_float(clips):
    """uint8 of any shape, 0 to 255 -> float32 of that shape, -1 to 1. Works on NumPy and CuPy
    arrays.

    Four times the memory: convert a batch, not a data set. ValueError for another dtype.
    """
    if clips.dtype != np.uint8:
        raise ValueError(f"to_float: clips has dtype {clips.dtype}, expected uint8")
    return clips.astype(np.float32) / np.float32(127.5) - np.float32(1)


@checked(x=real_array())
def to_uint8(x):
    """Floats of any shape, -1 to 1 -> uint8 of that shape, 0 to 255: rounded, what lies outside is
    clipped.

    The inverse of to_float. ValueError for another dtype and for NaN.
    """
    if x.dtype.kind != "f":
        raise ValueError(f"to_uint8: x has dtype {x.dtype}, expected floats")
    if (x != x).any():
        raise ValueError(f"to_uint8: x of shape {x.shape} holds NaN, expected numbers from -1 to 1")
    # float16 cannot tell 256 levels apart
    x = x.astype(np.promote_types(x.dtype, np.float32), copy=False)
    return ((x + 1) * 127.5).clip(0, 255).round().astype(np.uint8)


@checked(clips=real_array())
def motion(clips):
    """Sum of squared differences of adjacent frames, in units where pixels go from -1 to 1.

    clips: uint8 (..., t, h, w, c) -> float64 (...).
    """
    if clips.dtype != np.uint8 or clips.ndim < 4:
        raise ValueError("motion: clips: expected uint8 (..., t, h, w, c), got "
                         f"{clips.dtype} of shape {clips.shape}")
    if clips.ndim == 5:
        channels_last_array("n, t, h, w, c")("motion: clips", clips)
    step = np.diff(clips.astype(np.int32), axis=-4)
    return (step**2).sum(axis=(-4, -3, -2, -1)) / 127.5**2


def min_motion(length):
    """The motion that a clip of so many frames has to be larger than."""
    return MIN_MOTION * (length - 1) / (FRAMES - 1)


@checked(frames=channels_last_array("f, h, w, c"), count=integer(0), length=integer(2),
         size=integer(), rng=numpy_generator)
def cut_clips(frames, count, rng, name="frames", length=FRAMES, size=SIZE):
    """Cut `count` clips of `length` frames out of one recording, at random times and places, each
    with motion above 100 (of five frames; of longer clips as much for each pair of frames).

    frames: uint8 (f, h, w, 3), f >= length, h and w >= size. rng: numpy.random.Generator. -> uint8
    (count, length, size, size, 3). ValueError, naming `name`, when frames has another shape or too
    little moves in it.
    """
    return cut_places(frames, count, rng, name, length, size)[0]


def cut_places(frames, count, rng, name, length, size):
    """``cut_clips``, and where in the recording each begins: int32 (count, 3), frame, row and
    column."""
    f, h, w, c = frames.shape
    if frames.dtype != np.uint8:
        raise ValueError(f"{name}: {frames.dtype}, expected uint8")
    if f < length or h < size or w < size or c != 3:
        raise ValueError(f"{name}: shape {frames.shape}, expected at least {length} frames of at "
                         f"least {size}x{size}x3")
    shape, least = (int(length), int(size), int(size), 3), min_motion(length)
    check_size("count", (int(count), *shape), 1)
    # moved[t, i, j]: how much the pixel (i, j) changes from frame t to t+1. Whole numbers, so the
    # sums are exact.
    moved = np.empty((f - 1, h, w), np.int32)
    for t in range(f - 1):
        step = np.subtract(frames[t + 1], frames[t], dtype=np.int32)
        moved[t] = np.einsum("ijc,ijc->ij", step, step)
    windows = np.lib.stride_tricks.sliding_window_view(moved, (length - 1, size, size))
    clips, places = np.empty((count, *shape), np.uint8), np.empty((count, 3), np.int32)
    kept = 0
    for _ in range(max(1, math.ceil(count * TRIES / 256))):
        t, i, j = (rng.integers(0, high, size=256) for high in windows.shape[:3])
        moving = windows[t, i, j].sum(axis=(1, 2, 3), dtype=np.int64) > least * 127.5**2
        for t0, i0, j0 in zip(t[moving], i[moving], j[moving], strict=True):
            if kept == count:
                return clips, places
            clips[kept] = frames[t0 : t0 + length, i0 : i0 + size, j0 : j0 + size]
            places[kept] = t0, i0, j0
            kept += 1
    if kept == count:
        return clips, places
    raise ValueError(f"{name}: only {kept} of {count} clips in which something moves (sum of "
                     f"squared frame differences over {least:g}) were found in {f} frames")


def evenly(count, parts):
    """Split `count` as evenly as whole numbers go: evenly(10, 4) == [3, 3, 2, 2]."""
    return [count // parts + (k < count % parts) for k in range(parts)]


def cut_data_set(record, names, held_out, settings, seed, progress, what):
    """Cut settings["clips"] clips for training and settings["test_clips"] to hold out, evenly from
    the episodes.

    record(k, rng) -> the frames of episode k, uint8 (f, h, w, 3). names: of all episodes, for
    messages; the last `held_out` of them are held out. progress, what: see open_progress. Returns
    Clips.
    """
    report, close = open_progress(progress, settings["clips"] + settings["test_clips"], what)
    shuffle = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
    shape, parts, done = clip_shape(settings), [], 0
    try:
        for count, episodes in (
            (settings["clips"], range(len(names) - held_out)),
            (settings["test_clips"], range(len(names) - held_out, len(names))),
        ):
            clips, episode = np.empty((count, *shape), np.uint8), np.empty(count, np.int32)
            place = np.empty((count, 3), np.int32)
            # Each clip's number is drawn first: to shuffle a large data set afterwards would take a
            # second copy.
            numbers = shuffle.permutation(count)
            for k, n in zip(episodes, evenly(count, len(episodes)), strict=True):
                # Chance of its own for each episode: what is cut from it does not depend on those
                # before it.
                rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, k))))
                here, numbers = numbers[:n], numbers[n:]
                if n:
                    clips[here], place[here] = cut_places(record(k, rng), n, rng, names[k],
                                                          *shape[:2])
                    episode[here] = k
                done += n
                report(done)
            parts.append((clips, episode, place))
    finally:
        close()
    (train, train_episode, train_place), (test, test_episode, test_place) = parts
    return Clips(train, test, train_episode, test_episode, seed, settings, train_place, test_place)


def open_progress(progress, total, what, unit="clip"):
    """Two functions, report(done) and close(), for progress = False, True (a bar called `what`) or
    f(done, total)."""
    if callable(progress):
        return (lambda done: progress(done, total)), (lambda: None)
    bar = progress_bar(total, what, unit, show=progress)
    return (lambda done: bar.update(done - bar.n)), bar.close
