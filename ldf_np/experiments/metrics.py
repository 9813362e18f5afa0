"""Scores of generated samples, on NumPy arrays: each with its formula, its source and what it
cannot see.

Distances between two sets of samples take features, (n, d) arrays: ``features`` makes them by
convolutions with fixed random filters, never by a network that a scored model was trained with.
"""

import math

import numpy as np

from .. import nn
from ..autodiff.shapes import concatenate
from ..data.clips import to_float
from ..runtime.checks import (
    channels_last_array,
    check_size,
    checked,
    expect,
    finite_array,
    function,
    integer,
    positive,
    real_array,
)
from ..runtime.random import Generator
from ..training.batches import apply_batched

IMAGES, CLIPS = "n, h, w, c", "n, t, h, w, c"

# ---------------------------------------------------------------------------------------- features


@checked(images=channels_last_array(IMAGES), width=integer(4))
def features(images, seed=0, width=64):
    """Features (n, d) of images (n, h, w, c), float32 or uint8: means and deviations of random
    convolutions' maps.

    Four layers of 4x4 filters, drawn once from ``seed``; after each, every map's mean and standard
    deviation over the image. Random filters see edges, colours and textures, and no model can have
    been trained to please them.
    """
    if min(images.shape[1:3]) < 2:
        raise ValueError(f"images: expected at least 2 x 2 pixels, got shape {images.shape}")
    rng, maps = Generator(seed), images.shape[-1]
    convs = []
    for out in (width // 4, width // 2, width, width):
        convs.append(nn.Conv2d(maps, out, 4, 2, 1, bias=False, init=nn.he(0.1), rng=rng))
        maps = out
    depth = min(len(convs), int(np.log2(min(images.shape[1:3]))))

    def of(x):
        parts = []
        for conv in convs[:depth]:
            x = conv(x, 0.1)
            mean = x.mean(axis=(1, 2), keepdims=True)
            variance = ((x - mean) ** 2).mean(axis=(1, 2))
            parts += [mean.reshape(len(x), -1), (variance + 1e-8) ** 0.5]
        return concatenate(parts, axis=1)

    return apply_batched(of, images)


class PrincipalFeatures:
    """Features by principal components of real training images: the ``components`` directions in
    which they vary most.

    Fitted to (n, h, w, c), float32 or uint8; called with images of that shape it gives (n,
    components) coordinates, all on one scale (the first directions count most) on which the
    training images' mean square is 1.
    """

    @checked(images=real_array(least=2), components=integer(-math.inf))
    def __init__(self, images, components=64):
        check_size("images: their products", (len(images), len(images)))
        flat = _floats(images).reshape(len(images), -1)
        most = min(len(flat) - 1, flat.shape[1])
        if not 1 <= components <= most:
            raise ValueError(f"components: expected 1 to {most} (fewer than images, at most the "
                             f"numbers in one), got {components}")
        self.mean, self.shape = flat.mean(axis=0), images.shape[1:]
        centred = flat - self.mean
        # With n images of many more pixels: the right singular vectors of X from the small X X^T =
        # U S^2 U^T, V = X^T U / S.
        values, vectors = np.linalg.eigh(centred @ centred.T)
        values, vectors = values[::-1][:components], vectors[:, ::-1][:, :components]
        if not values[-1] > 1e-6 * values[0]:
            raise ValueError(f"images: expected to vary in at least {components} directions")
        scale = np.sqrt(values.sum() / (components * len(flat)))
        self.basis = centred.T @ (vectors / np.sqrt(values)) / scale

    @checked(images=real_array(least=1))
    def __call__(self, images):
        if images.shape[1:] != self.shape:
            raise ValueError(f"images: expected shape (n, {', '.join(map(str, self.shape))}), got "
                             f"{images.shape}")
        return (_floats(images).reshape(len(images), -1) - self.mean) @ self.basis


def _floats(images):
    """Images or clips as float32, uint8 ones in [-1, 1]."""
    if images.dtype == np.uint8:
        return to_float(images)
    expect(finite_array()("images", images).dtype.kind == "f", "images", "uint8, or floats",
           str(images.dtype))
    return np.asarray(images, np.float32)


def expect_range(name, images):
    """ValueError for floats that go beyond [-1, 1]: beside uint8 ones, say, of 0 to 255."""
    if images.dtype != np.uint8 and np.abs(images).max(initial=0) > 1.01:
        raise ValueError(f"{name}: expected uint8, or floats from -1 to 1, got up to "
                         f"{np.abs(images).max():g}")


# ------------------------------------------------------------------- distances between two samples


LARGEST = 1e150     # a feature


def _samples(*names, least=2, largest=LARGEST):
    """A relation: the arguments of these names are features (n, d), finite, of one length, of at
    least ``least`` samples each: a number, or a function of the arguments."""
    def relation(where, **arguments):
        arrays = [arguments[name] for name in names]
        fewest = least(**arguments) if callable(least) else least
        for name, x in zip(names, arrays):
            name = f"{where}: {name}"
            if np.ndim(x) != 2 or len(real_array()(name, x)) < fewest or not x.shape[1]:
                raise ValueError(f"{name}: expected features (n, d) of at least {fewest} samples, "
                                 f"got shape {np.shape(x)}")
            if not np.isfinite(x).all():
                raise ValueError(f"{name}: expected finite features, got NaN or infinity")
            most = float(np.abs(x).max(initial=0))
            expect(most < largest, name, "features whose squares are finite", f"up to {most:.3g}")
        together, lengths = f"{where}: {', '.join(names)}", [x.shape[1] for x in arrays]
        if len(set(lengths)) > 1:
            raise ValueError(f"{together}: expected features of one length, got "
                             f"{' and '.join(map(str, lengths))}")
        for x, y in zip(arrays, arrays[1:]):
            check_size(together, (len(x), len(y)), 8)       # of what they are compared by

    return relation


def _float64(*arrays):
    return [np.asarray(x, np.float64) for x in arrays]


@checked(_samples("x", "y", largest=math.inf))
def kid(x, y):
    """Kernel Inception Distance (Binkowski et al. 2018): the unbiased estimate of MMD^2 with k(a,
    b) = (a.b / d + 1)^3.

        sum_{i != j} k(x_i, x_j) / (n (n - 1)) + sum_{i != j} k(y_i, y_j) / (m (m - 1))
        - 2 sum_{i, j} k(x_i, y_j) / (n m)

    Its mean is 0 for two samples of one distribution, at any size; single values may be negative.
    """
    x, y = _float64(x, y)
    n, m, d = len(x), len(y), x.shape[1]

    def kernel(a, b):
        return (a @ b.T / d + 1) ** 3

    with np.errstate(over="ignore", invalid="ignore"):
        xx, yy = kernel(x, x), kernel(y, y)
        found = float((xx.sum() - np.trace(xx)) / (n * (n - 1))
                      + (yy.sum() - np.trace(yy)) / (m * (m - 1)) - 2 * kernel(x, y).mean())
    expect(math.isfinite(found), "kid: x, y", "features whose sixth powers are finite",
           f"up to {max(np.abs(x).max(), np.abs(y).max()):.3g}")
    return found


@checked(_samples("x", "y"))
def frechet(x, y):
    """Frechet distance of two normal distributions fitted to the samples (Dowson and Landau 1982;
    Heusel et al. 2017):

        |mean_x - mean_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2))

    It is biased upwards by about a constant over the sample size: see ``frechet_unbiased``.
    """
    x, y = _float64(x, y)
    gap = x.mean(0) - y.mean(0)
    x, y = (x - x.mean(0)) / np.sqrt(len(x) - 1), (y - y.mean(0)) / np.sqrt(len(y) - 1)
    # For C = X^T X, tr (C_x C_y)^(1/2) is the sum of the singular values of X Y^T: those of R_x
    # R_y^T, with X = Q R.
    root = np.linalg.qr(x, mode="r") @ np.linalg.qr(y, mode="r").T
    return float(gap @ gap + np.square(x).sum() + np.square(y).sum()
                 - 2 * np.linalg.svd(root, compute_uv=False).sum())


@checked(_samples("x", "y", least=4), halvings=integer())
def frechet_unbiased(x, y, halvings=4, seed=0):
    """``frechet`` extrapolated to infinite samples (as Chong and Forsyth 2020 do, here from two
    sizes).

    Its bias is a/n to first order, so F(n) = F + a/n and F(n/2) = F + 2a/n give F = 2 F(n) -
    F(n/2); F(n/2) is the mean over both halves of ``halvings`` random cuts of each sample.
    """
    x, y = _float64(x, y)
    rng, halves = Generator(seed), []
    for _ in range(halvings):
        a, b = x[rng.permutation(len(x))], y[rng.permutation(len(y))]
        for k in range(2):
            halves.append(frechet(a[k * (len(a) // 2):][:len(a) // 2],
                                  b[k * (len(b) // 2):][:len(b) // 2]))
    return 2 * frechet(x, y) - float(np.mean(halves))


@checked(classifier=function, images=real_array(least=1), splits=integer(-math.inf))
def inception_score(classifier, images, splits=10):
    """Inception Score (Salimans et al. 2016): exp(mean_x KL(p(y|x) | p(y))), p(y) the mean of
    p(y|x) over the split.

    ``classifier``: a callable, images (n, ...) to probabilities (n, classes). Returns (mean,
    standard deviation) over ``splits`` equal parts. It lies between 1 and the number of classes, is
    biased by the parts' size, and sees no real images.
    """
    p = np.asarray(classifier(images), np.float64)
    sums_to_one = p.ndim == 2 and not (p < 0).any() and np.allclose(p.sum(1), 1, atol=1e-3)
    if not sums_to_one or len(p) != len(images):
        raise ValueError("classifier: expected probabilities (n, classes) that sum to 1, got an "
                         f"array of shape {p.shape}")
    if not 1 <= splits <= len(p):
        raise ValueError(f"splits: expected 1 to {len(p)} (the number of images), got {splits}")
    scores = []
    for part in np.array_split(p, splits):
        marginal = part.mean(0)
        ratio = np.log(np.maximum(part, 1e-300)) - np.log(np.maximum(marginal, 1e-300))
        scores.append(np.exp((part * ratio).sum(1).mean()))
    return float(np.mean(scores)), float(np.std(scores))


@checked(_samples("x", "y", least=lambda folds, **_: folds), folds=integer(2), ridge=positive)
def classifier_two_sample(x, y, folds=5, ridge=1e-2, seed=0):
    """Classifier two-sample test (Lopez-Paz and Oquab 2017): the accuracy, on held-out folds, of a
    linear classifier told to tell x from y. 0.5: it cannot; 1: it always can. The classifier is
    least squares on standardised features with a ridge."""
    data = np.concatenate(_float64(x, y))
    data = (data - data.mean(0)) / (data.std(0) + 1e-12)
    data = np.concatenate([data, np.ones((len(data), 1))], axis=1)
    labels = np.concatenate([np.ones(len(x)), -np.ones(len(y))])
    # both count the same
    weights = np.concatenate([np.full(len(x), 0.5 / len(x)), np.full(len(y), 0.5 / len(y))])
    rng = Generator(seed)
    fold = np.concatenate([rng.permutation(len(x)) % folds, rng.permutation(len(y)) % folds])
    right = np.zeros(len(data))
    for k in range(folds):
        train = fold != k
        a, w = data[train], weights[train, None]
        solution = np.linalg.solve(a.T @ (w * a) + ridge * np.eye(a.shape[1]),
                                   a.T @ (w[:, 0] * labels[train]))
        right[~train] = (1 + np.sign((data[~train] @ solution) * labels[~train])) / 2   # 0: a guess
    return min(1.0, float((right * weights).sum()))


@checked(_samples("x", "y"))
def nearest_neighbour_two_sample(x, y):
    """Leave-one-out nearest-neighbour accuracy (Xu et al. 2018): (accuracy on x, accuracy on y) of
    calling each sample what its nearest neighbour among all others is. Both 0.5: cannot be told
    apart; x near 0: y holds copies of x; both near 1: they lie apart. Where the nearest of either
    are as near it is a guess, and counts half."""
    x, y = _float64(x, y)
    xx, yy, xy = _distances(x, x), _distances(y, y), _distances(x, y)
    np.fill_diagonal(xx, np.inf)
    np.fill_diagonal(yy, np.inf)

    def right(own, other):
        return float(((own < other) + 0.5 * (own == other)).mean())

    return right(xx.min(1), xy.min(1)), right(yy.min(1), xy.min(0))


@checked(_samples("real", "generated", least=lambda k, **_: k + 1), k=integer())
def precision_recall(real, generated, k=3):
    """Improved precision and recall (Kynkaanniemi et al. 2019): the share of generated samples that
    lie within some real sample's distance to its k-th nearest real neighbour, and the same with the
    roles exchanged."""
    real, generated = _float64(real, generated)
    across = _distances(real, generated)

    def radius(x):
        # the nearest of all is the sample itself
        return np.partition(_distances(x, x), k, axis=1)[:, k]

    return (float((across <= radius(real)[:, None]).any(0).mean()),
            float((across <= radius(generated)[None, :]).any(1).mean()))


@checked(_samples("generated", "train", "held_out", least=1))
def memorisation(generated, train, held_out):
    """The median distance from a generated sample to its nearest in the training set, over that
    from a held-out real sample: about 1 where nothing is copied, 0 where everything is. Features or
    flattened samples, (n, d) each."""
    generated, train, held_out = _float64(generated, train, held_out)
    apart = float(np.median(_distances(held_out, train).min(1)))
    if apart == 0:
        raise ValueError(
            "held_out: expected samples that are not in train, but half of them or more are")
    return float(np.median(_distances(generated, train).min(1))) / apart


def _distances(x, y):
    """|x_i - y_j|: (n, m)."""
    from scipy.spatial.distance import cdist  # takes longer to load than all of this library

    return cdist(x, y)
