"""Modules: ordered, named parameters and buffers, and what may be done with all of them at once."""

import os
import threading
from contextlib import contextmanager

import numpy as np

from ..autodiff.engine import Tensor, no_grad
from ..runtime.checks import one_of_type
from ..runtime.device import array_module, to_numpy, xp
from ..runtime.files import load_tensors, save_tensors

# _watch.look: what is told of each output and gradient on this thread, or None
_watch = threading.local()


class Parameter(Tensor):
    """A Tensor that training changes, in place."""

    __slots__ = ()


class Buffer:
    """An array that belongs to a module's state but is not trained (running statistics)."""

    __slots__ = ("data",)

    def __init__(self, data):
        self.data = data


class Module:
    """Something with parameters that maps Tensors to a Tensor. Subclasses define ``forward``."""

    training = True

    def forward(self, *inputs):
        raise TypeError(f"{type(self).__name__} defines no forward")

    def __call__(self, *inputs):
        y = self.forward(*inputs)
        seen(self, y)
        return y

    def children(self):
        """(name, module) for every module held as an attribute or in a list or tuple of modules."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, (list, tuple)):
                yield from ((f"{name}.{k}", v) for k,
                            v in enumerate(value) if isinstance(v, Module))

    def named_modules(self):
        """(name, module) for this module and all below it, outermost first; one that is held twice
        comes once."""
        seen, stack = set(), [("", self)]
        while stack:
            prefix, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield prefix, module
            below = [(f"{prefix}.{name}" if prefix else name, child) for name,
                     child in module.children()]
            stack.extend(reversed(below))

    def _named(self, kind):
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, kind):
                    yield f"{prefix}.{name}" if prefix else name, value

    def named_parameters(self):
        """(name, Parameter), in order."""
        return self._named(Parameter)

    def named_buffers(self):
        """(name, Buffer), in order."""
        return self._named(Buffer)

    def parameters(self):
        """The Parameters, in order."""
        return [p for _, p in self.named_parameters()]

    def flat(self):
        """All parameters as one flat array (size,), of which each parameter's data is a view.

        The first call lays them out; changing the array changes the parameters.
        """
        parameters = self.parameters()
        if not parameters:
            raise ValueError(f"{type(self).__name__} has no parameters to lay out")
        base = parameters[0].data.base
        start = _offset(parameters[0].data, base)
        end = start
        for p in parameters:
            if base is None or base.ndim != 1 or p.data.base is not base or _offset(
                p.data, base) != end:
                break
            end += p.size
        else:
            return base[start:end]
        flat = array_module(
            parameters[0].data).concatenate([p.data.reshape(-1) for p in parameters])
        end = 0
        for p in parameters:
            p.data, end = flat[end:end + p.size].reshape(p.shape), end + p.size
        return flat

    def train(self, mode=True):
        """Put this module and all below it in training (or evaluation) mode; returns self."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self):
        """Put this module and all below it in evaluation mode; returns self."""
        return self.train(False)

    def state_dict(self):
        """{name: NumPy array}, copies of all parameters and buffers, in order."""
        state = {name: p.data for name, p in self.named_parameters()}
        state.update((name, b.data) for name, b in self.named_buffers())
        return {name: np.array(to_numpy(data)) for name, data in state.items()}

    def load_state_dict(self, state):
        """Take over the arrays of a state_dict. Everything is checked first: on an error nothing
        has changed.

        Raises KeyError for missing or unexpected names, ValueError for wrong shapes.
        """
        targets = dict(self.named_parameters()) | dict(self.named_buffers())
        one_of_type("state", state, dict)
        missing, unexpected = sorted(
            targets.keys() - state.keys()), sorted(state.keys() - targets.keys())
        if missing or unexpected:
            raise KeyError(
                f"state: missing {missing or 'nothing'}, unexpected {unexpected or 'nothing'}")
        arrays = {}
        for name, target in targets.items():
            if np.asarray(state[name]).dtype.kind not in "fiub":
                raise ValueError(
                    f"state: {name}: expected real numbers, got dtype "
                    f"{np.asarray(state[name]).dtype}")
            if np.shape(state[name]) != target.data.shape:
                raise ValueError(
                    f"state: {name}: expected shape {target.data.shape}, got "
                    f"{np.shape(state[name])}")
            arrays[name] = array_module(target.data).asarray(state[name], dtype=target.data.dtype)
        for name, target in targets.items():
            target.data[...] = arrays[name]

    def save(self, path):
        """Write the state_dict as a safetensors file (to a temporary name, then renamed)."""
        save_tensors(path, self.state_dict(), {"model": type(self).__name__})

    def load(self, path):
        """Read the weights that ``save`` wrote; returns self. Raises ValueError naming the file and
        what is wrong."""
        state, _ = load_tensors(path)
        try:
            self.load_state_dict(state)
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"{os.fspath(path)}: not the weights of this {type(self).__name__}: {error}") from error
        return self

    def summary(self, *input_shapes):
        """A table of layers, output shapes and parameter counts.

        ``input_shapes``: the shape of each input without the batch, to have the shapes shown.
        """
        for k, shape in enumerate(input_shapes):
            one_of_type(f"input_shapes[{k}]", shape, tuple)
        names = {id(module): name for name, module in self.named_modules()}
        rows = [(name or type(self).__name__, m, "") for name,
                m in self.named_modules() if not any(m.children())]
        if input_shapes:
            calls = []
            with watching(lambda m, y: calls.append((m, y.shape))), no_grad(), evaluation(self):
                self(*(Tensor(xp().zeros((1, *shape), np.float32)) for shape in input_shapes))
            rows = [(names[id(m)] or type(self).__name__, m, str(shape[1:])) for m, shape in calls
                    if id(m) in names and not any(m.children())]
        lines = [f"{'layer':<20}{'kind':<18}{'output':<20}{'parameters':>12}"]
        for name, module, shape in rows:
            size = sum(p.size for p in module.parameters())
            lines.append(f"{name:<20}{type(module).__name__:<18}{shape:<20}{size:>12,}")
        lines.append(f"{'total':<58}{sum(p.size for p in self.parameters()):>12,}")
        return "\n".join(lines)


def _offset(array, base):
    """How many elements into ``base`` an array begins."""
    return 0 if base is None else (_address(array) - _address(base)) // array.itemsize


def _address(array):
    return array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr


@contextmanager
def evaluation(*modules):
    """A context in which the modules are in evaluation mode; each is put back as it was."""
    before = [(m, m.training) for module in modules for _, m in module.named_modules()]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for module, mode in before:
            module.training = mode


def seen(source, result):
    """Tell whoever watches what a module made, or the gradients that an optimiser is given. True
    where the watcher wants nothing done with them."""
    look = getattr(_watch, "look", None)
    return look is not None and look(source, result)


@contextmanager
def watching(look):
    """A context in which ``look(source, result)`` is told of everything that is ``seen`` on this
    thread."""
    _watch.look = look
    try:
        yield
    finally:
        _watch.look = None
