"""A small image classifier, trained by this library: its probabilities and features are what scores
of images are made of."""

import numpy as np

from .. import nn
from ..autodiff import ops
from ..autodiff.engine import Tensor, wide
from ..autodiff.ops import log_softmax
from ..nn.optim import Adam
from ..runtime.checks import integer, multiple
from ..runtime.device import asarray, concatenate
from ..runtime.random import Generator
from ..runtime.relations import labelled, targets_fit
from ..runtime.rules import checked
from ..training.batches import Batches, sampled
from .base import Model
from .nets import dense, down, output

FEATURES = 128


@checked(targets_fit)
def cross_entropy(logits, targets):
    """mean over the batch of -sum_k t_k log p_k: logits a Tensor (n, classes), targets an array
    (n, classes) of rows that sum to 1. A Tensor without axes."""
    return ops.sum(log_softmax(wide(logits)) * targets) * (-1 / len(targets))


@checked(labelled("logits"))
def softmax_cross_entropy(logits, labels):
    """-mean_i log p_i[y_i], p = softmax(l): logits a Tensor (n, classes), labels y integers (n,). A
    Tensor without axes."""
    return cross_entropy(logits, asarray(one_hot(labels, logits.shape[1]), dtype=logits.dtype))


@checked(labelled("labels"))
def one_hot(labels, classes):
    """float32 (n, classes): 1 in the column of each label, 0 elsewhere."""
    return np.eye(classes, dtype=np.float32)[np.asarray(labels)]


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


@checked(labelled("images"), classes=integer(2))
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

    Notes
    -----
    Images are uint8, or float32 in [-1, 1].
    """

    def __init__(self, network, classes, lr=1e-3, betas=(0.9, 0.999), seed=0):
        self.network, self.classes = network, classes
        self.rng = Generator(seed)
        self.optimizer = Adam(network, lr, betas)

    def forward(self, x):
        return self.network(x)

    def fit(self, images, labels, **training):
        """Train on images (N, h, w, c) with integer labels (N,); ``training``: see Model.fit."""
        return super().fit(images, labels, **training)

    def step(self, images, labels, progress=0.0):
        """One step on images (n, h, w, c) with integer labels (n,). Returns {name: loss}."""
        batch = self._labelled(images, labels, len(images), Generator(0))
        return super().step(batch.take(np.arange(len(images))), progress)

    def _labelled(self, images, labels, batch_size, rng):
        self._shape = images.shape[1:]
        return _LabelledBatches(images, one_hot(labels, self.classes), batch_size, rng)

    def _batches(self, batch_size, images, labels):
        return {"batches": self._labelled(images, labels, batch_size, self.rng)}

    def _step(self, rows, progress):
        images, targets = rows[:, :-self.classes], rows[:, -self.classes:]
        logits = self.network(Tensor(images.reshape(-1, *self._shape)))
        loss = cross_entropy(logits, targets)
        self.optimizer.step(self.network.gradients(loss))
        return {"loss": loss}

    def predict(self, images):
        """Probabilities, NumPy float32 (n, classes), in evaluation mode."""
        return self._apply(lambda x: ops.softmax(self.network(x)), images)

    def features(self, images):
        """The input of the last layer, NumPy float32 (n, d), in evaluation mode."""
        return self._apply(self.network[:-1], images)

    def accuracy(self, images, labels):
        """The part of the images whose most probable class is their label, in [0, 1]."""
        return float((self.predict(images).argmax(axis=1) == np.asarray(labels)).mean())


@checked(size=multiple(8))
def small_classifier(classes, size=32, channels=3, width=32, seed=0, **settings):
    """A Classifier of images (n, size, size, channels), ``size`` a multiple of 8: three 4x4
    convolutions of stride two with batch normalisation, of ``width``, 2 and 4 times as many maps,
    then 128 features. ``settings``: of Classifier."""
    rng = Generator(seed)
    network = nn.Sequential(
        *down([channels, width, 2 * width, 4 * width], rng, True), nn.Flatten(),
        *dense((size // 8) ** 2 * 4 * width, FEATURES, rng), *output(FEATURES, classes, rng))
    return Classifier(network, classes, seed=seed, **settings)
