"""Scores of generated clips beside real ones, by frames, by whole clips and by motion.

The frames of one clip are not independent, so a set of frames takes one from each clip
(``one_frame``). A score means little by itself: ``anchors`` makes the sets between which it is
read, and ``relative`` places it there.
"""

from functools import partial

import numpy as np

from ..models.factors import Frames
from ..runtime.checks import (
    between,
    channels_last_array,
    checked,
    expect,
    function,
    integer,
    real,
    real_array,
)
from ..runtime.device import to_numpy
from ..runtime.random import Generator
from .metrics import CLIPS, IMAGES, _floats, expect_range, features, kid


@checked(clips=channels_last_array(CLIPS))
def one_frame(clips, seed=0):
    """One frame of each clip, (n, t, h, w, c) -> (n, h, w, c): which one is drawn from ``seed``."""
    chosen = Generator(seed).integers(0, clips.shape[1], len(clips))
    return clips[np.arange(len(clips)), chosen]


@checked(clips=channels_last_array(CLIPS))
def as_channels(clips):
    """A clip's frames as the channels of one image: (n, t, h, w, c) -> (n, h, w, t * c)."""
    return Frames(clips.shape[1]).to_maps(clips)


def _at_least_two_frames(name, clips):
    if channels_last_array(CLIPS)(name, clips).shape[1] < 2:
        raise ValueError(
            f"{name}: expected at least two frames (n, t, h, w, c), got shape {clips.shape}")


@checked(clips=_at_least_two_frames)
def differences(clips):
    """The differences of neighbouring frames as the channels of one image, float32: (n, t, h, w, c)
    -> (n, h, w, (t-1) * c)."""
    return as_channels(_steps(clips))


def _steps(clips):
    """The differences of neighbouring frames, (n, t, h, w, c) -> float32 (n, t-1, h, w, c)."""
    expect_range("clips", clips)
    return np.diff(_floats(clips), axis=1)


@checked(clips=_at_least_two_frames)
def motion(clips):
    """The sum of squared frame differences of each clip, on values in [-1, 1]: (n,).

    Of floats or uint8, with differences rounded to float32, as generated clips are. The exact sum
    of uint8 clips, by which the data sets choose them, is ``data.motion``; the two differ by about
    1e-7 of their value.
    """
    return np.square(_steps(clips)).sum(axis=(1, 2, 3, 4), dtype=np.float64)


def motion_distance(real, generated):
    """Wasserstein-1 distance between the two distributions of ``motion``, in its units."""
    return _wasserstein(motion(real), motion(generated))


def _wasserstein(x, y):
    # here, for it takes longer to load than all of this library
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(x, y))


@checked(clips=channels_last_array(CLIPS), share=between(0, 1, "]"))
def background_drift(clips, share=0.5):
    """How much stands still badly: the root mean square, over clips, of the temporal deviation of
    the ``share`` of pixels that vary least within each clip. 0 for real clips, whose background is
    exactly constant; values in [-1, 1]."""
    expect_range("clips", clips)
    variance = _floats(clips).var(axis=1).mean(axis=-1).reshape(len(clips), -1)
    still = np.sort(variance, axis=1)[:, :max(1, int(share * variance.shape[1]))]
    return float(np.sqrt(still.mean()))


@checked(clips=channels_last_array(CLIPS), count=integer())
def background_colours(clips, count=2):
    """The commonest colours of uint8 clips (n, t, h, w, c), (count, c): of Ms. Pac-Man's, those of
    its floor and its walls."""
    colours, times = np.unique(clips[:100].reshape(-1, clips.shape[-1]), axis=0, return_counts=True)
    return colours[np.argsort(times)[::-1][:count]]


def _colours(name, background):
    """Colours (count, c), an array or a list."""
    real_array("count, c", 1)(name, np.asarray(background))


@checked(frames=channels_last_array(IMAGES), background=_colours, size=integer())
def figure_squares(frames, background, size=12, far=60):
    """Where a figure is: of each of the uint8 frames (n, h, w, c) the square of ``size`` pixels
    (or of a smaller frame's width) that has the most of other colours than ``background`` (count,
    c), farther than ``far`` from all of them: (n, size, size, c)."""
    size = min(size, *frames.shape[1:3])
    apart = [np.linalg.norm(frames - np.float32(colour), axis=-1) for colour in background]
    windows = partial(np.lib.stride_tricks.sliding_window_view, window_shape=(size, size),
                      axis=(1, 2))
    others = windows(np.min(apart, axis=0) > far).sum(axis=(3, 4))
    y, x = np.divmod(others.reshape(len(frames), -1).argmax(axis=1), others.shape[2])
    return np.moveaxis(windows(frames)[np.arange(len(frames)), y, x], 1, -1)


VIEWS = {"frames": one_frame, "clips": as_channels, "differences": differences}


class ClipScores:
    """Scores of clips (n, t, h, w, c) beside held-out ``real`` ones: called with clips, {name:
    number}.

    "KID frames" (single frames, one of each clip), "KID clips" (all frames as channels) and "KID
    differences" (of neighbouring frames), each x 1000; "motion W1" (Wasserstein-1 of ``motion``)
    and "background drift". The lower the better. ``features``: from images to (n, d). The features
    of the real clips are made once. ``views``: {name: function from clips to images}, each of which
    has its KID.
    """

    @checked(real=channels_last_array(CLIPS, 2), features=function)
    def __init__(self, real, features=features, views=VIEWS):
        expect_range("real", real)
        self.features, self.views, self._motion = features, views, motion(real)
        self.real = {name: features(view(real)) for name, view in views.items()}
        self.shape = real.shape[1:]

    @checked(clips=real_array())
    def __call__(self, clips):
        expect(clips.shape[1:] == self.shape, "clips", f"clips like the real ones, (n, "
               f"{', '.join(map(str, self.shape))})", clips)
        expect_range("clips", clips)
        found = {f"KID {name}": 1000 * kid(self.features(view(clips)), self.real[name])
                 for name, view in self.views.items()}
        return found | {"motion W1": _wasserstein(self._motion, motion(clips)),
                        "background drift": background_drift(clips)}


def _uint8_clips(name, real, train, **_):
    if real.dtype != np.uint8 or real.ndim != 5 or len(real) < 4:
        raise ValueError(f"{name}: real: expected at least 4 clips (n, t, h, w, c) of uint8, got "
                         f"{real.dtype} of shape {real.shape}")
    channels_last_array(CLIPS)(f"{name}: real", real)
    if train.shape[1:] != real.shape[1:] or train.dtype != np.uint8:
        raise ValueError(f"{name}: train: expected clips of uint8 like those of real, (n, "
                         f"{', '.join(map(str, real.shape[1:]))}), got {train.dtype} of shape "
                         f"{train.shape}")


@checked(_uint8_clips, real=real_array(), train=real_array(CLIPS))
def anchors(real, train, seed=0):
    """The sets between which a score of clips is read, {name: clips}, made of ``real`` held-out
    clips (n, t, h, w, c), uint8, and of the training clips:

    "real" (other real clips: half of those given), "independent" (each frame from another clip),
    "shuffled" (the clip's own frames in another order), "frozen" (its first frame repeated),
    "noised" (pixel noise of deviation 8 of 255), "memorised" (training clips).
    """
    rng, n, t = Generator(seed), len(real) // 2, real.shape[1]
    base = real[n:2 * n]
    orders = np.stack([_another_order(rng, t) for _ in range(n)])
    noise = 8 * to_numpy(rng.standard_normal(base.shape))
    return {
        "real": base,
        "independent": np.stack([base[rng.permutation(n), k] for k in range(t)], axis=1),
        "shuffled": base[np.arange(n)[:, None], orders],
        "frozen": np.repeat(base[:, :1], t, axis=1),
        "noised": np.clip(np.rint(base + noise), 0, 255).astype(np.uint8),
        "memorised": train[rng.permutation(len(train))[:n]],
    }


def _another_order(rng, t):
    """A random order of t frames that is neither theirs nor its reverse."""
    while True:
        order = rng.permutation(t)
        if t < 3 or not (np.all(np.diff(order) == 1) or np.all(np.diff(order) == -1)):
            return order


@checked(score=real(), real=real(), independent=real())
def relative(score, real, independent):
    """(M - M_real) / (M_independent - M_real): 0 as good as other real clips, 1 as bad as
    independent frames."""
    if independent == real:
        raise ValueError(f"independent: expected a score other than that of real clips, {real}: "
                         "the metric sees no difference")
    return (score - real) / (independent - real)
