"""Whitening of codes: what lies between a level and the GAN above it, fitted to the codes, with an
inverse."""

import math

import numpy as np

from ..nn.module import Buffer, Module
from ..runtime.checks import check_size, finite, number, numbers, whole


def _checked_shape(code_shape):
    if not isinstance(code_shape, (list, tuple)):
        raise TypeError(f"code_shape: expected a tuple of whole numbers, got {code_shape!r:.80}")
    return tuple(whole("code_shape", n) for n in code_shape)


def _codes(codes, shape, least=1):
    """Codes (n, *shape), at least ``least``, checked."""
    if numbers("codes", codes, least=least).shape[1:] != shape:
        raise ValueError(
            f"codes: expected (n, {', '.join(map(str, shape))}), got shape {codes.shape}")
    return codes


class Whitening(Module):
    """Principal components of the codes, brought closer to one scale: codes (n, *code_shape) <->
    (n, components).

    A GAN over raw codes loses to its discriminator, for most of their directions hold almost
    nothing. A component of standard deviation s is divided by s^strength: 1 whitens fully, so that
    the last component counts as much as the first; at 1/2 (the default) its share falls with the
    root of s, and mazes come out sharper. The result has a mean square of one.
    """

    def __init__(self, code_shape, components, strength=0.5):
        self.code_shape = _checked_shape(code_shape)
        size = math.prod(self.code_shape)
        whole("components", components, 1, size)
        number("strength", strength, 0, 1)
        check_size("code_shape, components", (size, components))
        self.components, self.strength = components, strength
        self.mean = Buffer(np.zeros(size, np.float32))
        self.basis = Buffer(np.zeros((size, components), np.float32))
        self.scale = Buffer(np.ones(components, np.float32))
        # the share of the variance that is kept
        self.explained = Buffer(np.zeros(1, np.float32))

    def fit(self, codes):
        """Learn from codes (n, *code_shape)."""
        # here, for SciPy takes longer to load than all of this library
        from scipy.linalg import eigh

        codes = finite("codes", _codes(codes, self.code_shape, 2)).reshape(len(codes), -1)
        mean = codes.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = codes - mean
        covariance = (centred.T @ centred) / len(codes)
        size = len(mean)
        if not np.trace(covariance) > 0:
            raise ValueError(f"codes: expected to vary, but all {len(codes)} are the same")
        values, vectors = eigh(covariance, subset_by_index=[size - self.components, size - 1])
        values, vectors = np.maximum(values[::-1], 1e-8), vectors[:, ::-1]
        # an eigenvector's sign is free: keep the old one
        flipped = (vectors * self.basis.data).sum(axis=0) < 0
        scale = values ** (self.strength / 2)
        self.mean.data[...] = mean
        self.basis.data[...] = np.where(flipped, -vectors, vectors)
        self.scale.data[...] = scale * np.sqrt(np.mean(values / scale ** 2))
        self.explained.data[...] = values.sum() / np.trace(covariance)
        return self

    @property
    def fitted(self):
        """Whether ``fit`` has been called."""
        return bool(self.explained.data[0] > 0)

    def apply(self, codes):
        """(n, *code_shape) -> (n, components)."""
        codes = _codes(codes, self.code_shape)
        return (codes.reshape(len(codes), -1) - self.mean.data) @ self.basis.data / self.scale.data

    def invert(self, white):
        """(n, components) -> (n, *code_shape)."""
        if numbers("white", white, "n, components").shape[1] != self.components:
            raise ValueError(f"white: expected (n, {self.components}), got shape {white.shape}")
        codes = (white * self.scale.data) @ self.basis.data.T + self.mean.data
        return codes.reshape(-1, *self.code_shape)


class SharedAndLocal(Module):
    """Whitens the codes of an object in two parts: what its factors share, and how each departs
    from that.

        mean_t h_t  ->  ``shared`` components        h_t - mean_t h_t, all t together  ->  ``local``
        components

    What moves in a clip is a small part of its codes' variance, so the leading components of the
    plain codes hold the maze and little else; with a part of its own it is kept. Codes (n, count,
    ...) <-> (n, shared + local).
    """

    def __init__(self, code_shape, shared, local, strength=0.5):
        self.code_shape = _checked_shape(code_shape)
        if len(self.code_shape) < 2:
            raise ValueError(f"code_shape: expected (count, ...), got {self.code_shape}")
        self.shared = Whitening(self.code_shape[1:], shared, strength)
        self.local = Whitening(self.code_shape, local, strength)
        self.components = shared + local

    def fit(self, codes):
        """Learn from codes (n, count, ...)."""
        mean = _codes(codes, self.code_shape, 2).mean(axis=1, keepdims=True)
        self.shared.fit(mean[:, 0])
        self.local.fit(codes - mean)
        return self

    @property
    def fitted(self):
        """Whether ``fit`` has been called."""
        return self.shared.fitted and self.local.fitted

    def apply(self, codes):
        """(n, count, ...) -> (n, components)."""
        mean = _codes(codes, self.code_shape).mean(axis=1, keepdims=True)
        return np.concatenate([self.shared.apply(mean[:, 0]), self.local.apply(codes - mean)],
                              axis=1)

    def invert(self, white):
        """(n, components) -> (n, count, ...)."""
        if numbers("white", white, "n, components").shape[1] != self.components:
            raise ValueError(f"white: expected (n, {self.components}), got shape {white.shape}")
        shared, local = np.split(white, [self.shared.components], axis=1)
        return self.shared.invert(shared)[:, None] + self.local.invert(local)
