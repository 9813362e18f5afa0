"""A small image classifier, trained by this library: its probabilities and features are what scores
of images are made of."""

import numpy as np

from .. import nn
from ..autodiff import ops
from ..autodiff.engine import Tensor, wide
from ..nn.optim import Adam
from ..runtime.checks import check_labels, checked, expect, images_or_vectors, integer
from ..runtime.device import asarray, concatenate
from ..runtime.random import Generator
from ..training.batches import Batches, sampled
from .base import RULES, Model
from .nets import SIZES, dense, down, output

FEATURES = 128


@checked(RULES)
def log_softmax(logits):
    """log p_k = l_k - log sum_j e^l_j over the last axis, (n, classes) -> (n, classes).

    The largest logit is taken off first, so no exponential overflows. It is taken off as a
    constant: the result does not depend on it, and so neither does any derivative.
    """
    logits = wide(logits)
    shifted = logits - logits.data.max(axis=-1, keepdims=True)
    return shifted - ops.log(ops.sum(ops.exp(shifted), axis=-1, keepdims=True))


def cross_entropy(logits, targets):
    """mean over the batch of -sum_k t_k log p_k: logits a Tensor (n, classes), targets an array
    (n, classes) of rows that sum to 1. A Tensor without axes."""
    rows = np.shape(logits)
    expect(0 not in rows and np.shape(targets) == rows, "targets",
           f"one row for each of at least one row of logits {rows}", f"shape {np.shape(targets)}")
    return ops.sum(log_softmax(logits) * targets) * (-1 / len(targets))


def softmax_cross_entropy(logits, labels):
    """-mean_i log p_i[y_i], p = softmax(l): logits a Tensor (n, classes), labels y integers (n,). A
    Tensor without axes."""
    expect(len(logits.shape) == 2, "logits", "(n, classes)", logits)
    targets = one_hot(check_labels(labels, *logits.shape), logits.shape[1])
    return cross_entropy(logits, asarray(targets, dtype=logits.dtype))


@checked(SIZES)
def one_hot(labels, classes):
    """float32 (n, classes): 1 in the column of each label, 0 elsewhere."""
    return np.eye(classes, dtype=np.float32)[check_labels(labels, np.size(labels), classes)]


class _LabelledBatches(Batches):
    """Batches whose rows are an image, flat, and its target."""

    def __init__(self, images, targets, size, rng):
        super().__init__(images, size, rng)
        self.targets = targets

    def sample(self):
        images = super().sample()
        return images | {"rows": images["rows"] + sampled(self.targets)}

    def take(self, indices):
        x = super().take(indices)
        return concatenate([x.reshape(len(x), -1), asarray(self.targets[indices])], axis=1)


class Classifier(Model):
    """A network from images (n, h, w, c) to logits (n, classes), and its training by Adam on the
    cross-entropy.

    Parameters
    ----------
    network : Sequential
        What comes before its last layer makes the features.
    classes : int
    lr, betas : Adam's settings.
    seed : int
        Of the order of the data (not of the weights: layers take a Generator of their own).

    Images are uint8, or float32 in [-1, 1].
    """

    @checked(classes=integer(2))
    def __init__(self, network, classes, lr=1e-3, betas=(0.9, 0.999), seed=0):
        self.network, self.classes = network, classes
        self.rng = Generator(seed)
        self.optimizer = Adam(network, lr, betas)

    def forward(self, x):
        return self.network(x)

    @checked(images=images_or_vectors)
    def fit(self, images, labels, **training):
        """Train on images (N, h, w, c) with integer labels (N,); ``training``: see Model.fit."""
        return super().fit(images, labels, **training)

    def _batches(self, batch_size, images, labels):
        targets = one_hot(check_labels(labels, len(images), self.classes), self.classes)
        self._shape = images.shape[1:]
        return {"batches": _LabelledBatches(images, targets, batch_size, self.rng)}

    def _step(self, rows, progress):
        images, targets = rows[:, :-self.classes], rows[:, -self.classes:]
        logits = self.network(Tensor(images.reshape(-1, *self._shape)))
        loss = cross_entropy(logits, targets)
        self.optimizer.step(self.network.gradients(loss))
        return {"loss": loss}

    @checked(images=images_or_vectors)
    def predict(self, images):
        """Probabilities, NumPy float32 (n, classes), in evaluation mode."""
        return self._apply(lambda x: ops.exp(log_softmax(self.network(x))), images)

    @checked(images=images_or_vectors)
    def features(self, images):
        """The input of the last layer, NumPy float32 (n, d), in evaluation mode."""
        return self._apply(self.network[:-1], images)

    def accuracy(self, images, labels):
        """The part of the images whose most probable class is their label, in [0, 1]."""
        found = self.predict(images).argmax(axis=1)
        return float((found == check_labels(labels, len(found), self.classes)).mean())


@checked(SIZES)
def small_classifier(classes, size=32, channels=3, width=32, seed=0, **settings):
    """A Classifier of images (n, size, size, channels), ``size`` a multiple of 8: three 4x4
    convolutions of stride two with batch normalisation, of ``width``, 2 and 4 times as many maps,
    then 128 features. ``settings``: of Classifier."""
    rng = Generator(seed)
    network = nn.Sequential(
        *down([channels, width, 2 * width, 4 * width], rng, True), nn.Flatten(),
        *dense((size // 8) ** 2 * 4 * width, FEATURES, rng), *output(FEATURES, classes, rng))
    return Classifier(network, classes, seed=seed, **settings)
