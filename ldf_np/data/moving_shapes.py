"""Clips of a shape that moves a little in each frame (Fig. 2 of the paper), rendered from known
factors and read back.

A frame is one of four white shapes in a box of 21 x 21 pixels on black, and is fixed by two
factors: ``shape`` and ``position``, the row and column of the box's top left corner. The factors
are independent: all boxes have one size, and all shapes one colour, for with a colour of its own
each shape would be told by the picture's mean.

The rule of motion: the shape stays what it is, and in each frame its position changes by one of
``STEPS``, one or two pixels along at least one axis and up to two along the other. It never stands
still and never leaves the picture: each step is drawn uniformly from those that stay inside, and
the first position uniformly from all.
"""

from dataclasses import dataclass

import numpy as np

from ..runtime.checks import channels_last_array, check_size, checked, integer, real_array

BOX = 21
STEPS = np.array([(r, c) for r in range(-2, 3) for c in range(-2, 3) if (r, c) != (0, 0)])

_row, _column = np.indices((BOX, BOX)) - BOX // 2
_square_radius = _row ** 2 + _column ** 2
_PIXELS = {
    "square": np.ones((BOX, BOX), bool),
    "triangle": 2 * abs(_column) <= _row + BOX // 2,
    "cross": np.minimum(abs(_row), abs(_column)) <= 3,
    "ring": (_square_radius <= 110) & (_square_radius >= 30),
}
SHAPES = tuple(_PIXELS)
_MASKS = np.stack(list(_PIXELS.values()))
AREAS = _MASKS.sum(axis=(1, 2))        # pixels of each shape

# Two different renderings differ in at least 42 pixels (a square and its neighbour): they lie
# sqrt(42) apart. A frame that is less than half of that from a rendering is nearer to it than to
# any other: neither its shape nor its position is in doubt.
TOLERANCE = 10.5


@dataclass
class ShapeClips:
    """Clips and the factors that they were rendered from.

    clips : uint8 (n, t, size, size, 3)
    shape : int (n,), which of SHAPES
    positions : int (n, t, 2), row and column
    """

    clips: np.ndarray
    shape: np.ndarray
    positions: np.ndarray


def _can_move(name, count, frames, size, **_):
    """A relation: at least one clip and frame, which fit into memory and hold the longest step."""
    check_size(f"{name}: count, frames, size", [*map(int, (count, frames, size, size)), 3], 1)
    if count < 1 or frames < 1:
        raise ValueError(
            f"{name}: count, frames: expected at least 1 of each, got {count} and {frames}")
    if size < BOX + 2:
        raise ValueError(
            f"{name}: size: expected at least {BOX + 2}, so that a shape can move, got {size}")


@checked(_can_move, count=integer(0), frames=integer(0), size=integer(0), seed=integer(0))
def make_shapes(count, frames=5, size=32, seed=0):
    """``count`` clips by the rule of motion above: ShapeClips. Equal seeds give equal clips.

    Raises ValueError for fewer than one clip or frame, and for a size too small for the longest
    step to stay inside.
    """
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
    places = size - BOX + 1
    shape = rng.integers(0, len(SHAPES), count)
    positions = np.empty((count, frames, 2), np.int64)
    positions[:, 0] = rng.integers(0, places, (count, 2))
    for t in range(1, frames):
        after = positions[:, t - 1, None] + STEPS           # (n, steps, 2)
        inside = ((after >= 0) & (after < places)).all(axis=-1)
        chosen = np.where(inside, rng.random(inside.shape), -1).argmax(axis=1)
        positions[:, t] = after[np.arange(count), chosen]
    return ShapeClips(render(shape[:, None], positions, size), shape, positions)


def _inside(name, shape, position, size):
    """A relation: shapes that there are, at positions inside the picture, in arrays that
    broadcast."""
    shape, position = np.asarray(shape), np.asarray(position)
    for what, value in (("shape", shape), ("position", position)):
        if value.dtype.kind not in "iu":
            raise ValueError(f"{name}: {what}: expected whole numbers, got {value.dtype}")
    if position.shape[-1:] != (2,):
        raise ValueError(f"{name}: position: expected rows and columns (..., 2), got shape "
                         f"{position.shape}")
    for what, value, most in (
            ("shape", shape, len(SHAPES) - 1), ("position", position, size - BOX)):
        if value.size and not (0 <= value.min() and value.max() <= most):
            raise ValueError(
                f"{name}: {what}: expected 0 to {most}, got {value.min()} to {value.max()}")
    try:
        count = np.broadcast(shape, position[..., 0]).size
    except ValueError:
        raise ValueError(f"{name}: shape, position: expected shapes that broadcast, got "
                         f"{shape.shape} and {position.shape[:-1]}") from None
    check_size(f"{name}: shape, size", (count, int(size), int(size), 3), 1)


@checked(_inside, size=integer(BOX))
def render(shape, position, size=32):
    """The pictures of these factors: shape (...) and position (..., 2), which broadcast -> uint8
    (..., size, size, 3).

    Raises ValueError for an unknown shape and for a position at which the box is not inside the
    picture.
    """
    position = np.asarray(position).astype(np.int64)
    shape, row, column = np.broadcast_arrays(shape, position[..., 0], position[..., 1])
    pictures = np.zeros((shape.size, size, size, 3), np.uint8)
    rows = row.reshape(-1, 1, 1) + np.arange(BOX)[:, None]
    columns = column.reshape(-1, 1, 1) + np.arange(BOX)
    masks = _MASKS[shape.reshape(-1), :, :, None]
    pictures[np.arange(shape.size)[:, None, None], rows, columns] = 255 * masks
    return pictures.reshape(*shape.shape, size, size, 3)


@checked(clips=channels_last_array("n, t, size, size, c"), batch=integer())
def read_shapes(clips, batch=1024):
    """The factors of uint8 clips (n, t, size, size, 3), generated ones say: (shape (n, t),
    positions (n, t, 2), error (n, t)).

    Each frame is read as its nearest rendering r(s, p) over all shapes s and positions p, by |x -
    r|^2 = |x|^2 - 2 x.r + |r|^2: one matrix product. ``error`` is |x - r|^2 with white 1, black 0,
    and the mean over colours: what one pixel of wrong brightness costs is 1. Below TOLERANCE no
    other rendering can be as near.
    """
    if clips.dtype != np.uint8 or clips.shape[2] != clips.shape[3] or clips.shape[4] != 3:
        raise ValueError("clips: expected uint8 (n, t, size, size, 3), got "
                         f"{clips.dtype} of shape {clips.shape}")
    n, t, size = clips.shape[:3]
    if size < BOX:
        raise ValueError(f"clips: expected pictures of at least {BOX} x {BOX}, got {size} x {size}")
    places = size - BOX + 1
    shapes, rows, columns = (a.reshape(-1) for a in np.indices((len(SHAPES), places, places)))
    positions = np.stack([rows, columns], axis=-1)
    # (k, size^2)
    pictures = render(shapes, positions, size)[..., 0].reshape(len(shapes), -1)
    pictures = pictures.astype(np.float32) / 255
    half_norms = np.square(pictures).sum(axis=1) / 2
    frames = clips.reshape(n * t, -1, 3)
    found, error = np.empty(n * t, np.int64), np.empty(n * t)
    for k in range(0, n * t, batch):
        x = frames[k:k + batch].astype(np.float32) / 255
        nearest = (x.mean(axis=-1) @ pictures.T - half_norms).argmax(axis=1)
        found[k:k + batch] = nearest
        error[k:k + batch] = np.square(x - pictures[nearest][:, :, None]).sum(axis=(1, 2)) / 3
    return shapes[found].reshape(n, t), positions[found].reshape(n, t, 2), error.reshape(n, t)


@checked(positions=real_array())
def allowed_steps(positions):
    """Which steps of positions (n, t, 2) obey the rule of motion: bool (n, t - 1)."""
    if positions.ndim != 3 or positions.shape[-1] != 2 or positions.dtype.kind not in "iu":
        raise ValueError("positions: expected rows and columns, whole numbers (n, t, 2), got "
                         f"{positions.dtype} of shape {positions.shape}")
    # of unsigned ones it would wrap around
    step = abs(np.diff(positions.astype(np.int64), axis=1)).max(axis=-1)
    return (step >= 1) & (step <= 2)
