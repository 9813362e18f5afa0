"""A training step as it is taken: recorded once and replayed, on a CUDA device as a graph (and on
the CPU by ``player.py``), and looked into where it fails.

These nets are so small that starting several hundred kernels takes longer than running them; a CUDA
graph starts them all at once. What changes from step to step has to lie on the device, at a fixed
place: the batch, the progress of the training (which anneals the penalty and the rates), Adam's
count of steps, and the counters of the noise.
"""

import math
import warnings

import numpy as np

from ..kernels import cuda
from ..nn.layers import generators
from ..nn.module import watching
from ..nn.optim import EMA, Optimizer
from ..runtime.device import array_module, asarray, on_device, to_numpy, xp
from ..runtime.distributed import alone, world
from ..runtime.rules import checked, model_input, part_of_one, scalars
from ..runtime.threads import in_turn
from .batches import as_batch
from .player import Player, go_back, playable, snapshot

WARM_UP = 3         # steps before the recording: kernels are compiled, tables made and memory found
RECORDINGS = 20     # on the CPU: of a step whose settings change more often none is made


class CompiledStep:
    """A training step: call it with a batch and the progress of the training; it returns {name:
    loss}.

    Parameters
    ----------
    step : callable
        ``step(x, progress)`` takes the step and returns {name: Tensor with one element}.
        ``progress`` is a float, or an array (1,) on the device.
    generators : sequence of Generator
        Those that ``step`` draws from, beside those that ``model`` holds.
    model : Module, optional
        Whose step it is: it gives the layers their names where one has to be blamed.

    Raises
    ------
    FloatingPointError
        Naming the loss or gradient that is not finite, and the first layer that is to blame. Noise
        and, on the CPU, running statistics are as they were before the step.
    """

    def __init__(self, step, generators, model=None):
        self._step, self._given, self._model = step, list(generators), model
        self._generators, self._buffers = self._all_generators(), self._all_buffers()
        self._taken, self._graph, self._failed = 0, None, False
        self._player, self._recordings = None, 0 if playable(model, step) else math.inf

    @checked(x=model_input, progress=part_of_one)
    def eager_step(self, x, progress=0.0):
        """The step as it is: no graph, and no search for what is not finite. uint8 images become
        -1 to 1."""
        return self._eager(as_batch(x) if x.dtype == np.uint8 else x, progress)

    def _all_generators(self):
        held = [] if self._model is None else generators(self._model)
        return list(dict.fromkeys(self._given + held))

    def _all_buffers(self):
        """Running statistics and the like, where they are cheap to keep: on the CPU, and without
        averages of weights, which move last."""
        if self._model is None or on_device():
            return []
        averages = [m.average for _, m in self._model.named_modules() if isinstance(m, EMA)]
        return [b for _, b in self._model.named_buffers() if all(b is not a for a in averages)]

    def _eager(self, x, progress):
        return _values(self._step(x, _on_device(progress)))

    def __call__(self, x, progress=0.0):
        before = snapshot(self._statistics(), self._generators)
        try:
            losses = self._compiled(x, progress)
            wrong = not_finite(losses)
        except FloatingPointError as error:
            wrong = str(error)
        if not wrong:
            return losses
        go_back(before, self._statistics(), self._generators)       # the same noise again
        with alone():           # a rank that has found something does not wait for the others
            first = first_not_finite(self._model, self._step, x, _on_device(progress))
        go_back(before, self._statistics(), self._generators)
        raise FloatingPointError(f"{wrong}; not finite first: {first}")

    def _statistics(self):
        return [buffer.data for buffer in self._buffers]

    def _compiled(self, x, progress):
        if not on_device():
            return self._played(x, progress)
        if self._failed or world().size > 1:
            return self._eager(x, progress)
        if self._graph is None:
            self._graph = cuda.new_graph()
            self._x, self._progress = x.copy(), _on_device(progress)
        if x.shape != self._x.shape:            # a smaller batch, say
            return self._eager(x, progress)
        with self._graph.here():
            self._x[...] = x
            self._progress.fill(progress)
            if self._taken < WARM_UP:
                self._taken += 1
                return _values(self._step(self._x, self._progress))
            if self._taken == WARM_UP and not self._capture():
                return self._eager(x, progress)
            for generator in self._generators:
                generator.push()
            self._graph.replay()
            for generator, draws in zip(self._generators, self._draws):
                generator.follow(draws)
            return _values(self._losses)

    def _capture(self):
        """Record the step; False, with a warning, where it does something that cannot be
        recorded."""
        states = [generator.state for generator in self._generators]
        try:
            for generator in self._generators:
                generator.push()
                generator.drawn = []
            self._losses = self._graph.capture(lambda: self._step(self._x, self._progress))
            self._draws = [generator.drawn for generator in self._generators]
            self._taken += 1
        except Exception as error:      # whatever CUDA, CuPy or a user's model has against it
            self._failed = True
            warnings.warn("the training step cannot be recorded as a CUDA graph and runs without "
                          f"one, which is slower ({type(error).__name__}: {error})",
                          RuntimeWarning, stacklevel=4)
        finally:
            for generator, state in zip(self._generators, states):
                generator.drawn = None
                generator.rewind(state)
        return not self._failed

    def _played(self, x, progress):
        """On the CPU: recorded, and then played where batch and settings are the same."""
        if self._recordings > RECORDINGS or (
                self._player and not (self._player.works and self._player.fits(x))):
            return self._eager(x, progress)
        if self._taken < WARM_UP:
            self._taken += 1
            with in_turn():     # a second thread would keep the memory for what it does only now
                return self._eager(x, progress)
        if self._player is None or self._player.outdated():
            self._recordings, self._generators = self._recordings + 1, self._all_generators()
            self._buffers = self._all_buffers()
            self._player = Player(self._step, self._model, self._generators, x)
        return _values(self._player(x, progress))


def _on_device(progress):
    """The progress of the training as an array (1,), float64, where there is a device."""
    return xp().full(1, progress, np.float64) if on_device() else progress


def _values(losses):
    """{name: float}, by one copy from the device; the mean over the ranks."""
    scalars("step", losses)
    values = to_numpy(xp().stack([asarray(loss.data).reshape(()) for loss in losses.values()]))
    return dict(zip(losses, (world().sum(values, "losses") / world().size).tolist()))


def not_finite(losses):
    """Which of the losses {name: float} are not finite, in words; "" where all are."""
    return ", ".join(f"{name} is {value}" for name, value in losses.items()
                     if not math.isfinite(value))


# Where a training went wrong. The step that failed is taken again, watched layer by layer, so
# nothing of this costs anything until it is needed.

class _Found(Exception):
    """The search is over."""


def first_not_finite(model, step, x, progress):
    """The first layer whose output, gradient or parameters are not finite, in words: "output of
    decoder.body.layers.3 (BatchNorm)", say.

    Parameters
    ----------
    model : Module or None
        It gives the layers their names; without it only their classes are known.
    step : callable
        ``step(x, progress)`` takes the step, with its generators where they were before it. No
        parameter is changed.
    x : array, the batch

    Notes
    -----
    A gradient that is not finite makes those of all layers before it so: the layer named is the
    last one of its network, where it began. On a CUDA device the update has run by the time the
    loss is known, so that often "parameters" is all there is left to say.
    """
    if not _finite(x):
        return "the batch itself"
    modules = {} if model is None else {id(m): name for name, m in model.named_modules()}
    parameters = {} if model is None else {id(p): name for name, p in model.named_parameters()}
    for name, p in () if model is None else model.named_parameters():
        if not _finite(p.data):
            return f"parameters {name}"

    def look(source, result):
        if isinstance(source, Optimizer):
            bad = [p for p, g in zip(source.network.parameters(), result) if not _finite(g.data)]
            if bad:
                raise _Found(f"gradient of {parameters.get(id(bad[-1]), 'a parameter')}")
        elif not _finite(result.data):
            raise _Found(
                f"output of {modules.get(id(source), 'a layer')} ({type(source).__name__})")
        return isinstance(source, Optimizer)

    try:
        with in_turn(), watching(look), np.errstate(all="ignore"):
            step(x, progress)
    except _Found as found:
        return str(found)
    return "no layer: it is the loss itself, or does not happen again"


def _finite(array):
    return bool(array_module(array).isfinite(array).all())
