"""The layer that looks up rows of a table. Its adjoint adds cotangents to the rows they came
from."""

import numpy as np

from ..autodiff import ops
from ..autodiff.engine import Tensor
from ..runtime.device import array_module
from ..runtime.rules import checked, row_numbers
from .init import normal
from .layers import drawn
from .module import Module

STANDARD = normal(1.0)


class Embedding(Module):
    """Rows of a table by their numbers: integers (...) -> (..., embedding_dim), weight
    (num_embeddings, embedding_dim), drawn from N(0, 1) as in PyTorch.

    The numbers are an array of integers, or a Tensor of whole numbers, as ``fit`` hands a batch
    over. Raises TypeError for others, and ValueError for numbers beyond the table (on a CUDA device
    nobody looks, for the host would have to wait).
    """

    @checked()
    def __init__(self, num_embeddings, embedding_dim, init=STANDARD, *, rng):
        self.weight = drawn(self, init, rng, (num_embeddings, embedding_dim), num_embeddings,
                            embedding_dim)

    def forward(self, indices):
        return ops.getitem(self.weight, index=self._rows(indices))

    def _rows(self, indices):
        xp = array_module(self.weight.data)
        given = indices.data if isinstance(indices, Tensor) else xp.asarray(indices)
        with np.errstate(invalid="ignore"):         # NaN is no row, which is said below
            rows = given.astype(np.int64) if given.dtype.kind == "f" else given
        if isinstance(given, np.ndarray):
            row_numbers("Embedding: indices", given, rows, len(self.weight))
        return rows
