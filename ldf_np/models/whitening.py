"""Whitening of codes: what lies between a level and the GAN above it, fitted to the codes, with an
inverse."""

import math

import numpy as np

from ..nn.module import Buffer, Module
from ..runtime.checks import check_size, checked, expect, finite_array, integer, several, shaped
from .base import RULES

CODES, WHITE = shaped("codes", "n", "*code_shape"), shaped("white", "n", "components")


class Whitening(Module):
    """Principal components of the codes, brought closer to one scale:
    codes (n, *code_shape) <-> (n, components).

    A GAN over raw codes loses to its discriminator, for most of their directions hold almost
    nothing. A component of standard deviation s is divided by s^strength: 1 whitens fully, so that
    the last component counts as much as the first; at 1/2 (the default) its part falls with the
    root of s. The result has a mean square of one.
    """

    @checked(RULES, code_shape=several(integer(), what="whole number"))
    def __init__(self, code_shape, components, strength=0.5):
        self.code_shape, size = tuple(code_shape), math.prod(code_shape)
        self.components, self.strength = integer(1, size)("components", components), strength
        check_size("code_shape, components", (size, components))
        self.mean = Buffer(np.zeros(size, np.float32))
        self.basis = Buffer(np.zeros((size, components), np.float32))
        self.scale = Buffer(np.ones(components, np.float32))
        self.explained = Buffer(np.zeros(1, np.float32))    # the part of the variance that is kept

    @checked(CODES, codes=finite_array(least=2))
    def fit(self, codes):
        """Learn from codes (n, *code_shape)."""
        from scipy.linalg import eigh  # SciPy takes longer to load than all of this library

        codes = codes.reshape(len(codes), -1)
        mean = codes.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = codes - mean
        covariance = (centred.T @ centred) / len(codes)
        size = len(mean)
        expect(np.trace(covariance) > 0, "codes", "codes that vary", f"{len(codes)} equal ones")
        values, vectors = eigh(covariance, subset_by_index=[size - self.components, size - 1])
        values, vectors = np.maximum(values[::-1], 1e-8), vectors[:, ::-1]
        flipped = (vectors * self.basis.data).sum(axis=0) < 0   # a sign is free: keep the old one
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

    @checked(CODES)
    def apply(self, codes):
        """(n, *code_shape) -> (n, components)."""
        return (codes.reshape(len(codes), -1) - self.mean.data) @ self.basis.data / self.scale.data

    @checked(WHITE)
    def invert(self, white):
        """(n, components) -> (n, *code_shape)."""
        codes = (white * self.scale.data) @ self.basis.data.T + self.mean.data
        return codes.reshape(-1, *self.code_shape)


class SharedAndLocal(Module):
    """Whitens the codes of an object in two parts, what its factors share and how each departs from
    that: codes (n, count, ...) <-> (n, shared + local).

        mean_t h_t                            ->  ``shared`` components
        h_t - mean_t h_t, all t together      ->  ``local`` components

    What moves in a clip is a small part of its codes' variance, so the leading components of the
    plain codes hold the maze and little else; with a part of its own it is kept.
    """

    @checked(code_shape=several(integer(), 2, "whole numbers (count, ...)"))
    def __init__(self, code_shape, shared, local, strength=0.5):
        self.code_shape = tuple(code_shape)
        self.shared = Whitening(self.code_shape[1:], shared, strength)
        self.local = Whitening(self.code_shape, local, strength)
        self.components = shared + local

    @checked(CODES)
    def fit(self, codes):
        """Learn from codes (n, count, ...)."""
        mean = codes.mean(axis=1, keepdims=True)
        self.shared.fit(mean[:, 0])
        self.local.fit(codes - mean)
        return self

    @property
    def fitted(self):
        """Whether ``fit`` has been called."""
        return self.shared.fitted and self.local.fitted

    @checked(CODES)
    def apply(self, codes):
        """(n, count, ...) -> (n, components)."""
        mean = codes.mean(axis=1, keepdims=True)
        shared, local = self.shared.apply(mean[:, 0]), self.local.apply(codes - mean)
        return np.concatenate([shared, local], axis=1)

    @checked(WHITE)
    def invert(self, white):
        """(n, components) -> (n, count, ...)."""
        shared, local = np.split(white, [self.shared.components], axis=1)
        return self.shared.invert(shared)[:, None] + self.local.invert(local)
