"""Batches of data, and a function applied to data batch by batch."""

import numpy as np

from ..autodiff.engine import Tensor, no_grad
from ..data.clips import to_float
from ..runtime.checks import checked, expect, instance
from ..runtime.device import asarray, to_numpy
from ..runtime.distributed import shard
from ..runtime.relations import batch_fits
from ..runtime.rules import GENERATOR, model_input, samples
from ..runtime.threads import one_blas_thread, side_by_side


class Batches:
    """Endless shuffled batches of the rows of an array: every row once in each epoch, in a new
    order each time. (Where ``size`` does not divide their number, the few that are left over wait
    for the next epoch.)

    Parameters
    ----------
    data : array (N, ...)
        float32, or uint8 images, which become float32 in [-1, 1] a batch at a time.
    size : int
        Rows in a batch, at least 2 and at most N. Where several ranks train, each has a shard.
    rng : Generator
    """

    @checked(batch_fits, data=samples, rng=GENERATOR)
    def __init__(self, data, size, rng):
        self.data, self.size, self.rng = data, size, rng
        self._own = shard(size)
        self.order, self.at, self.taken = rng.permutation(len(data)), 0, 0   # taken: batches so far

    def __next__(self):
        return self.take(self.indices())

    def indices(self):
        """The row numbers of the next batch, those of this rank."""
        return self.all_indices()[self._own]

    def all_indices(self):
        """The row numbers of the next batch, those of all ranks."""
        if self.at + self.size > len(self.order):
            self.order, self.at = self.rng.permutation(len(self.data)), 0
        self.at += self.size
        self.taken += 1
        return self.order[self.at - self.size:self.at]

    def take(self, indices):
        """These rows as float32 on the current device."""
        return as_batch(self.data[indices])

    def sample(self):
        """What tells these data from others: their dtype and shape, and 64 rows, each as one
        number (its product with a row of fixed numbers)."""
        return {"data": f"{self.data.dtype} {list(self.data.shape)}",
                "rows": sampled(self.data)}

    @property
    def state(self):
        """Where it stands; assign it to go back to that point. (``rng`` has a state of its own.)"""
        return {"order": self.order, "at": self.at, "taken": self.taken}

    @state.setter
    def state(self, state):
        expect(np.shape(state["order"]) == self.order.shape, "Batches: state: order",
               f"the numbers of {len(self.order)} rows", state["order"])
        self.order, self.at, self.taken = state["order"], state["at"], state["taken"]


def sampled(data):
    """64 rows of data, evenly spaced, each as one number: a list."""
    at = np.linspace(0, len(data) - 1, 64).astype(int)
    rows = to_numpy(data[at]).reshape(64, -1).astype(np.float64)
    golden = np.arange(1, rows.shape[1] + 1) * 0.6180339887498949 % 1 - 0.5
    return (rows @ golden).tolist()


def as_batch(rows):
    """Rows of data as float32 on the current device; uint8 images go from [0, 255] to [-1, 1]."""
    return asarray(to_float(rows) if rows.dtype == np.uint8 else rows, dtype=np.float32)


result = instance(Tensor)      # a rule


@checked(x=model_input)
@one_blas_thread()
def apply_batched(function, x, size=256):
    """``function`` (a Tensor to a Tensor), recording nothing, over the rows of x, ``size`` at a
    time: a NumPy array."""
    def over(starts):
        with no_grad():
            made = (function(Tensor(as_batch(x[k:k + size]))) for k in starts)
            return [to_numpy(result("the result of a network", y).data) for y in made]

    starts = range(0, len(x), size)
    half = len(starts) // 2
    first, second = side_by_side(lambda: over(starts[:half]), lambda: over(starts[half:]))
    return np.concatenate(first + second)
