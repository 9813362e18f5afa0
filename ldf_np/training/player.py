"""A training step on the CPU, recorded once and played from then on.

Python takes a quarter of the step of a small network, and while it holds its lock the second thread
waits. So what a step does with arrays is written down (``runtime/recording.py``) and done again,
to the bit, in memory that is used again.
"""

from collections import deque
from types import FunctionType

import numpy as np

from ..autodiff.engine import Tensor
from ..nn.module import Buffer, Module, Parameter
from ..nn.optim import Optimizer, Stateful
from ..runtime.device import release_freed_memory
from ..runtime.distributed import world
from ..runtime.random import Generator
from ..runtime.recording import Progress, Recorded, Recording
from ..runtime.threads import in_turn, num_threads


def playable(model, step):
    """Whether this is the step of a model of this library, made of its networks."""
    return model is not None and getattr(step, "__self__", None) is model and (
        step.__func__ is type(model)._step) and of_this_library(model)


def of_this_library(network):
    """Whether a network's modules, and the functions that they hold, are this library's: they do
    the same each time, and to each row of a batch, where somebody else's code may count, choose, or
    look at the whole."""
    called = [thing for _, module in network.named_modules()
              for thing in (module, *vars(module).values()) if callable(thing)]
    return all((thing if isinstance(thing, FunctionType) else type(thing)).__module__.startswith(
        f"{__package__.partition('.')[0]}.") for thing in called)


def _everywhere(flag):
    """Whether the flag is set on all ranks: they play together, or none does."""
    return not world().any(not flag)


def _containers(value):
    """A list or dict, and those in it, that hold modules, parameters, buffers or generators: where
    what a step is made of may change."""
    inside = value.values() if isinstance(value, dict) else value
    if isinstance(value, (list, dict, deque)) and any(isinstance(part, PARTS) for part in inside):
        yield value
    for part in inside:
        if isinstance(part, (list, tuple, dict, deque)):
            yield from _containers(part)


PARTS = Module, Parameter, Buffer, Generator


def _changed(now, before):
    """Whether a list or dict holds other things than ``before``, {index or key: thing}."""
    try:
        return len(now) != len(before) or any(now[k] is not part for k, part in before.items())
    except KeyError:
        return True


class Player:
    """The ``step`` of a ``model`` on batches like ``x``. Call it with a batch and the progress of
    the training; it returns {name: Tensor}, its losses.

    The first call records. The second takes the step both ways: where the weights or losses differ
    in a bit, or Python has looked at a number on the way, ``works`` is False.
    """

    def __init__(self, step, model, generators, x):
        self._step, self._generators, self._x, self._world = step, generators, x.copy(), world()
        modules = [module for _, module in model.named_modules()]
        parts = [part for module in modules for part in vars(module).values()
                 if isinstance(part, Stateful)]
        for part in parts:
            if isinstance(part, Optimizer):
                part.network.flat()         # from here on the weights stay where they are
        self._settings = [(some, dict(some if isinstance(some, dict) else enumerate(some)))
                          for module in modules
                          for some in (vars(module), *_containers((*vars(module).values(),)))]
        self._holders = [held for _, held in (*model.named_parameters(), *model.named_buffers())]
        self._arrays, self._threads = [h.data for h in self._holders], num_threads()
        self._kept = self._arrays + [getattr(part, name) for part in parts for name in part.kept]
        self._recording = self._play = None
        self.works = True

    def fits(self, x):
        """Whether it is for such batches."""
        return x.shape == self._x.shape and x.dtype == self._x.dtype

    def outdated(self):
        """Whether a setting has changed since, or where weights lie."""
        return (self._threads, self._world) != (num_threads(), world()) or any(
            holder.data is not array for holder, array in zip(self._holders, self._arrays)) or any(
            _changed(now, before) for now, before in self._settings)

    def __call__(self, x, progress):
        if self._recording is None:
            return self._record(x, progress)
        return self._played(x, progress) if self._play else self._both_ways(x, progress)

    def _record(self, x, progress):
        np.copyto(self._x, x)
        recording, self._progress = Recording(), Progress(progress)
        with recording.of(self._holders):
            losses = self._step(self._x.view(Recorded), self._progress)
            self._places = {name: recording.place(loss.data) for name, loss in losses.items()}
        self._recording, self.works = recording, _everywhere(not recording.broken)
        return losses

    def _both_ways(self, x, progress):
        before = snapshot(self._kept, self._generators)
        with in_turn():
            expected = {name: loss.detach() for name, loss in self._step(x, progress).items()}
        after = snapshot(self._kept, self._generators)
        go_back(before, self._kept, self._generators)
        del before
        release_freed_memory()          # not the memory of both ways at once
        self._play, self._losses = self._recording.player(self._places)
        try:
            found = self._played(x, progress)
            pairs = [*zip(self._kept, after[0]),
                     *((found[name].data, expected[name].data) for name in expected)]
            works = after[1] == [generator.state for generator in self._generators] and all(
                one.tobytes() == other.tobytes() for one, other in pairs)
        except FloatingPointError:
            works = False
        self.works = _everywhere(works)
        go_back(after, self._kept, self._generators)
        return expected

    def _played(self, x, progress):
        np.copyto(self._x, x)
        self._progress.now = float(progress)
        with np.errstate(divide="ignore", invalid="ignore"):
            self._play()
        return {name: Tensor(loss) for name, loss in self._losses.items()}


def snapshot(arrays, generators):
    """What a step changes, copied: the arrays, and where the generators stand."""
    return [array.copy() for array in arrays], [generator.state for generator in generators]


def go_back(state, arrays, generators):
    """The arrays and generators are as they were at a ``snapshot`` of them."""
    for array, value in zip(arrays, state[0]):
        array[...] = value
    for generator, value in zip(generators, state[1]):
        generator.state = value
