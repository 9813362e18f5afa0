"""Whitening of codes: what lies between a level and the GAN above it, fitted to the codes, with an
inverse."""

import math

import numpy as np

from ..autodiff.engine import Tensor
from ..kernels.matmul import matmul
from ..nn.module import Buffer, Module
from ..runtime.checks import expect, finite_array
from ..runtime.device import to_numpy, xp
from ..runtime.distributed import world
from ..runtime.relations import RAW, WHITE, components_fit
from ..runtime.rules import checked, counted_shape, counted_split

FLAT = 1e-8         # of the mean variance: a component that varies less counts as if it did so much


@checked(RAW, WHITE, components_fit)
class Whitening(Module):
    """Principal components of the codes, brought closer to one scale:
    codes (n, *code_shape) <-> (n, components).

    A GAN over raw codes loses to its discriminator, for most of their directions hold almost
    nothing. A component of standard deviation s is divided by s^strength: 1 whitens fully, so that
    the last component counts as much as the first; at 1/2 (the default) its part falls with the
    root of s. The result has a mean square of one.
    """

    def __init__(self, code_shape, components, strength=0.5):
        self._begin(code_shape, (int(components),), math.prod(code_shape), strength)

    def _begin(self, code_shape, shape, size, strength):
        """Of vectors of ``size`` numbers, as many components as the last axis of ``shape``."""
        self.code_shape, self.shape, self.strength = tuple(code_shape), shape, strength
        self.components = shape[-1]
        self.mean = Buffer(xp().zeros(size, np.float32))
        self.basis = Buffer(xp().zeros((size, self.components), np.float32))
        self.scale = Buffer(xp().ones(self.components, np.float32))
        self.explained = Buffer(xp().zeros(1, np.float32))  # the part of the variance that is kept

    def _vectors(self, codes):
        """What is whitened of codes (n, *code_shape): vectors (m, size)."""
        return codes.reshape(len(codes), -1)

    def _codes(self, vectors, n):
        """The inverse of ``_vectors``: codes (n, *code_shape)."""
        return vectors.reshape(n, *_lengths(self.code_shape))

    @checked(RAW, codes=finite_array(least=2))
    def fit(self, codes):
        """Learn from codes (n, *code_shape)."""
        from scipy.linalg import eigh  # SciPy takes longer to load than all of this library

        vectors = self._vectors(codes)
        mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = vectors - mean
        # of float64, for LAPACK's float32 eigenvectors are orthonormal to some 1e-6 alone
        covariance = (centred.T @ centred).astype(np.float64) / len(vectors)
        size = len(mean)
        expect(np.trace(covariance) > 0, "codes", "codes that vary", f"{len(codes)} equal ones")
        values, basis = eigh(covariance, subset_by_index=[size - self.components, size - 1])
        least = FLAT * np.trace(covariance) / size
        values, basis = np.maximum(values[::-1], least), basis[:, ::-1]
        # a sign is free: keep the old one
        flipped = (basis * to_numpy(self.basis.data)).sum(axis=0) < 0
        scale = values ** (self.strength / 2)
        scale *= np.sqrt(np.mean(values / scale ** 2))
        found = {"mean": mean, "basis": np.where(flipped, -basis, basis), "scale": scale,
                 "explained": [values.sum() / np.trace(covariance)]}
        self.load_state_dict({name: np.float32(value) for name, value in found.items()})
        return self

    @property
    def fitted(self):
        """Whether ``fit`` has been called."""
        return bool(self.explained.data[0] > 0)

    @property
    def variances(self):
        """Of the components of the codes that it has learned from, by their scale: their mean is
        one. Raises ValueError for strength 0, whose scale does not tell them."""
        expect(self.strength > 0, "variances", "a strength above 0", self.strength)
        scale = to_numpy(self.scale.data).astype(np.float64)
        powers = (scale / scale.max()) ** (2 / self.strength - 2)
        return np.float32(powers / powers.mean())

    @property
    def few(self):
        """Of how many codes it can be learned: they have four vectors for each component."""
        return max(64, 4 * self.components // math.prod(n or 1 for n in self.shape[:-1]))

    def fit_once_for_all(self, codes):
        """``fit`` on the first of several ranks, for all: an eigenvector's last bits depend on the
        machine."""
        def fitted():
            return self.fit(codes).state_dict()

        self.load_state_dict(world().from_first(fitted))

    def forward(self, vectors):
        """Vectors (m, size), an array or a Tensor -> components (m, components)."""
        mean, basis, scale = self._beside(vectors)
        return _times(vectors - mean, basis) / scale

    def inverse(self, components):
        """Components (m, components), an array or a Tensor -> vectors (m, size)."""
        mean, basis, scale = self._beside(components)
        return _times(components * scale, basis.T) + mean

    def _beside(self, array):
        """mean, basis and scale where ``array`` lies: codes are NumPy's, also beside a device."""
        held = self.mean.data, self.basis.data, self.scale.data
        return [to_numpy(a) for a in held] if type(array) is np.ndarray else held

    def apply(self, codes):
        """(n, *code_shape) -> (n, *shape)."""
        return self.forward(self._vectors(codes)).reshape(len(codes), *_lengths(self.shape))

    def invert(self, white):
        """(n, *shape) -> (n, *code_shape)."""
        return self._codes(self.inverse(white.reshape(-1, self.components)), len(white))


def _times(a, b):
    """a @ b; on a device by a kernel of ours, for CuPy's own may not be recorded."""
    return a @ b if isinstance(a, (np.ndarray, Tensor)) else matmul(a, b)


def _lengths(shape):
    """A shape of which one length may be any, None, for ``reshape``."""
    return (-1 if n is None else n for n in shape)


class ChannelWhitening(Whitening):
    """The codes of an object's factors as one map, its channels whitened by the same matrix at all
    places: codes (n, count, ...) <-> maps (n, h, w, c), its ``shape``.

    ``split.to_maps`` says how the codes lie: those of frames are channels of one another, so that
    the components of a place are what its frames share and how they change; those of patches lie
    side by side. There are as many components as channels, so nothing is cut off and the inverse
    is exact, and what is the same pattern at another place stays one. Codes without places, z say,
    are maps of one place.
    """

    @checked(split=counted_split, code_shape=counted_shape)
    def __init__(self, split, code_shape, strength=0.5):
        self.split = split
        maps = split.to_maps(np.empty((1, *code_shape), bool))
        self._begin(code_shape, maps.shape[1:], maps.shape[-1], strength)

    def _vectors(self, codes):
        return self.split.to_maps(codes).reshape(-1, self.components)

    def _codes(self, vectors, n):
        maps = vectors.reshape(n, *self.shape)
        return self.split.from_maps(maps).reshape(n, *self.code_shape)


@checked()
class SequenceWhitening(Whitening):
    """The channels of the codes of sequences of any length, whitened by the same matrix at all
    steps and places: codes (n, t, ..., c) <-> (n, t, ..., c).

    By default (strength 0) they are turned and brought to a mean square of one together, which is
    as much as a ``SequenceGAN`` needs: its discriminators whiten windows of steps themselves.
    """

    def __init__(self, step_shape, strength=0.0):
        shape = None, *step_shape           # of any length
        self._begin(shape, shape, step_shape[-1], strength)

    def _vectors(self, codes):
        return codes.reshape(-1, self.components)
