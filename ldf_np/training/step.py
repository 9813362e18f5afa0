"""A training step, on a CUDA device as one CUDA graph: recorded once, then replayed with new data.

These nets are so small that starting several hundred kernels takes longer than running them; a graph starts them all at
once. What changes from step to step has to lie on the device, at a fixed place: the batch, the share of the training that
is done (which anneals the penalty and the rates), Adam's count of steps, and the counters of the noise.
"""

import math
import warnings

import numpy as np

from ..kernels import cuda
from ..runtime.checks import finite, number, numbers
from ..runtime.device import asarray, on_device, to_numpy, xp
from ..runtime.distributed import alone, world
from .guard import first_not_finite

WARM_UP = 3         # steps before the recording: kernels are compiled, tables made and memory found


class Step:
    """A training step: call it with a batch and the share of the training done; it returns {name: loss}.

    Parameters
    ----------
    advance : callable
        ``advance(x, share)`` takes the step and returns {name: Tensor with one element}. ``share`` is a float, or an
        array (1,) on the device.
    generators : sequence of Generator
        Those that ``advance`` draws from.
    model : Module, optional
        Whose step it is: it gives the layers their names where one has to be blamed.

    Raises FloatingPointError naming the loss or gradient that is not finite, and the first layer that is to blame.
    """

    def __init__(self, advance, generators, model=None):
        self._advance, self._generators, self._model = advance, list(generators), model
        self._taken, self._graph, self._failed = 0, None, False

    def once(self, x, share=0.0):
        """The step without a graph."""
        finite("x", numbers("x", x, least=1))
        if not hasattr(share, "shape"):
            number("share", share, 0, 1)
        return self._plain(x, share)

    def _plain(self, x, share):
        return _values(self._advance(x, _on_device(share)))

    def __call__(self, x, share=0.0):
        before = [generator.state for generator in self._generators]
        try:
            losses = self._step(x, share)
            wrong = ", ".join(f"{name} is {value}" for name, value in losses.items() if not math.isfinite(value))
        except FloatingPointError as error:
            wrong = str(error)
        if not wrong:
            return losses
        for generator, state in zip(self._generators, before):
            generator.state = state         # the same noise again
        with alone():           # a rank that has found something does not wait for the others
            first = first_not_finite(self._model, self._advance, x, _on_device(share))
        raise FloatingPointError(f"{wrong}; not finite first: {first}")

    def _step(self, x, share):
        if not on_device() or self._failed or world().size > 1:
            return self._plain(x, share)
        if self._graph is None:
            self._graph = cuda.new_graph()
            self._x, self._share = x.copy(), _on_device(share)
        if x.shape != self._x.shape:            # a smaller batch, say
            return self._plain(x, share)
        with self._graph.here():
            self._x[...] = x
            self._share.fill(share)
            if self._taken < WARM_UP:
                self._taken += 1
                return _values(self._advance(self._x, self._share))
            if self._taken == WARM_UP and not self._capture():
                return self._plain(x, share)
            for generator in self._generators:
                generator.push()
            self._graph.replay()
            for generator, draws in zip(self._generators, self._draws):
                generator.follow(draws)
            return _values(self._losses)

    def _capture(self):
        """Record the step; False, with a warning, where it does something that cannot be recorded."""
        states = [generator.state for generator in self._generators]
        try:
            for generator in self._generators:
                generator.push()
                generator.drawn = []
            self._losses = self._graph.capture(lambda: self._advance(self._x, self._share))
            self._draws = [generator.drawn for generator in self._generators]
            self._taken += 1
        except Exception as error:      # whatever CUDA, CuPy or a user's model has against it
            self._failed = True
            warnings.warn("the training step cannot be recorded as a CUDA graph and runs without one, which is slower "
                          f"({type(error).__name__}: {error})", RuntimeWarning, stacklevel=4)
        finally:
            for generator, state in zip(self._generators, states):
                generator.drawn = None
                generator.rewind(state)
        return not self._failed


def _on_device(share):
    """The share of the training as an array (1,), float64, where there is a device."""
    return xp().full(1, share, np.float64) if on_device() else share


def _values(losses):
    """{name: float}, by one copy from the device; the mean over the ranks."""
    values = to_numpy(xp().stack([asarray(loss.data).reshape(()) for loss in losses.values()]))
    return dict(zip(losses, (world().sum(values, "losses") / world().size).tolist()))
