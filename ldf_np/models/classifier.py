"""A small image classifier, trained by this library: its probabilities and features are what scores
of images are made of."""

import numpy as np

from .. import nn
from ..autodiff import ops
from ..autodiff.engine import Tensor, grad
from ..nn.layers import generators
from ..nn.module import Module, evaluation
from ..nn.optim import Adam
from ..runtime.checks import channels_last, numbers, one_of_type, whole
from ..runtime.device import asarray, concatenate
from ..runtime.random import Generator
from ..training.batches import Batches, apply_batched
from ..training.loop import train
from ..training.step import CompiledStep

SLOPE = 0.1
FEATURES = 128


def log_softmax(logits):
    """log p_k = l_k - log sum_j e^l_j over the last axis, (n, classes) -> (n, classes).

    The largest logit is taken off first, so no exponential overflows. It is taken off as a
    constant: the result does not depend on it, and so neither does any derivative.
    """
    shifted = one_of_type("logits", logits, Tensor) - logits.data.max(axis=-1, keepdims=True)
    return shifted - ops.log(ops.sum(ops.exp(shifted), axis=-1, keepdims=True))


def cross_entropy(logits, targets):
    """mean over the batch of -sum_k t_k log p_k: logits a Tensor (n, classes), targets an array (n,
    classes) of rows that sum to 1. A Tensor without axes."""
    if not one_of_type("logits", logits, Tensor).size or np.shape(targets) != logits.shape:
        raise ValueError(
            f"targets: expected one row for each of at least one row of logits {logits.shape}, "
                         f"got shape {np.shape(targets)}")
    return ops.sum(log_softmax(logits) * targets) * (-1 / len(targets))


def softmax_cross_entropy(logits, labels):
    """-mean_i log p_i[y_i], p = softmax(l): logits a Tensor (n, classes), labels y integers (n,). A
    Tensor without axes."""
    if len(one_of_type("logits", logits, Tensor).shape) != 2:
        raise ValueError(f"logits: expected (n, classes), got shape {logits.shape}")
    n, classes = logits.shape
    return cross_entropy(logits, asarray(one_hot(check_labels(labels, n, classes), classes),
                                         dtype=logits.dtype))


def one_hot(labels, classes):
    """float32 (n, classes): 1 in the column of each label, 0 elsewhere."""
    return np.eye(whole("classes", classes),
                  dtype=np.float32)[check_labels(labels, np.size(labels), classes)]


def check_labels(labels, n, classes):
    """The labels as a NumPy array; ValueError unless they are n integers from 0 to classes - 1."""
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.shape != (n,):
        raise ValueError(
            f"labels: expected {n} integers, one for each image, got {labels.dtype} of shape "
            f"{labels.shape}")
    if n and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"labels: expected integers from 0 to {classes - 1}, got {labels.min()} to "
            f"{labels.max()}")
    return labels


def _checked(images):
    """Images (n, h, w, c), or vectors or whatever else a network takes; checked."""
    return channels_last("images", images,
                         "n, h, w, c") if np.ndim(
                             images) == 4 else numbers("images", images, least=1)


class Classifier(Module):
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

    def __init__(self, network, classes, lr=1e-3, betas=(0.9, 0.999), seed=0):
        whole("classes", classes, 2)
        self.network, self.classes = network, classes
        self.rng = Generator(seed)
        self.optimizer = Adam(network, lr, betas)

    def forward(self, x):
        return self.network(x)

    def fit(self, images, labels, *, steps=None, minutes=None, batch_size=64, progress=False,
            callback=None, checkpoints=None):
        """Train on images (N, h, w, c) with integer labels (N,); the budget is in steps or minutes
        (see ``training.train``). Returns a History."""
        _checked(images)
        targets = one_hot(check_labels(labels, len(images), self.classes), self.classes)
        batches, shape = Batches(images, batch_size, self.rng), images.shape[1:]

        def advance(rows, share):
            x, t = rows[:, :-self.classes], rows[:, -self.classes:]
            loss = cross_entropy(self.network(Tensor(x.reshape(-1, *shape))), t)
            self.optimizer.step(grad(loss, self.network.parameters()))
            return {"loss": loss}

        # which takes one array: each row an image and its target
        step = CompiledStep(advance, generators(self.network), self)

        def next_step(share):
            here = batches.indices()
            x = batches.take(here)
            return step(concatenate([x.reshape(len(x), -1), asarray(targets[here])], axis=1), share)

        return train(next_step, steps=steps, minutes=minutes, progress=progress,
                     label=type(self).__name__, callback=callback, checkpoints=checkpoints,
                     state={"model": self, "batches": batches})

    def predict(self, images):
        """Probabilities, NumPy float32 (n, classes), in evaluation mode."""
        _checked(images)
        with evaluation(self.network):
            return apply_batched(lambda x: ops.exp(log_softmax(self.network(x))), images)

    def features(self, images):
        """The input of the last layer, NumPy float32 (n, d), in evaluation mode."""
        _checked(images)
        with evaluation(self.network):
            return apply_batched(self.network[:-1], images)

    def accuracy(self, images, labels):
        """The share of images whose most probable class is their label."""
        labels = check_labels(labels, len(_checked(images)), self.classes)
        return float((self.predict(images).argmax(axis=1) == labels).mean())


def small_classifier(classes, size=32, channels=3, width=32, seed=0, **settings):
    """A Classifier of images (n, size, size, channels), ``size`` a multiple of 8: three 4x4
    convolutions of stride two with batch normalisation, of ``width``, 2 and 4 times as many maps,
    then 128 features. ``settings``: of Classifier."""
    for name, value in (("classes", classes), ("channels", channels), ("width", width)):
        whole(name, value)
    if whole("size", size) % 8:
        raise ValueError(f"size: expected a multiple of 8, got {size}")
    rng, network = Generator(seed), []
    for c_in, c_out in ((channels, width), (width, 2 * width), (2 * width, 4 * width)):
        network += [nn.Conv2d(c_in, c_out, 4, 2, 1, bias=False, init=nn.he(SLOPE), rng=rng),
                    nn.BatchNorm(c_out), nn.LeakyReLU(SLOPE)]
    network += [nn.Flatten(), nn.Linear((size // 8) ** 2 * 4 * width, FEATURES, init=nn.he(SLOPE),
                                        rng=rng), nn.LeakyReLU(SLOPE),
                nn.Linear(FEATURES, classes, init=nn.glorot(), rng=rng)]
    return Classifier(nn.Sequential(*network), classes, seed=seed, **settings)
