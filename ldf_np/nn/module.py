"""Modules: ordered, named parameters and buffers, and what can be done with all of them at once.

A module's parameters and buffers are its attributes, in the order in which they were set, and come
before those of the modules in it.
``flat()`` lays all parameters of a network in one array of which each parameter is a named view, so
that an optimiser, a moving average or a gradient reduction is one operation on one array.
"""

import json
import os
import threading
import warnings
from collections import deque
from contextlib import contextmanager
from itertools import accumulate

import numpy as np

from ..autodiff.engine import Tensor, expect_arrays, gradients_or_none, no_grad, why_cut
from ..runtime.architecture import Described, described
from ..runtime.checks import checked, expect, instance, path_like, several
from ..runtime.device import array_module, to_numpy, xp
from ..runtime.files import load_tensors, save_tensors
from ..runtime.random import Generator
from ..runtime.recording import plain
from ..runtime.relations import depends_on_all, in_order, names_differ, one_dtype, state_fits

# _watch.look: what is told of each output and gradient on this thread, or None
_watch = threading.local()


class Parameter(Tensor):
    """A Tensor that training changes, in place: by an optimiser, or by ``p.data -= rate *
    g.data``."""

    __slots__ = ()

    def _in_place(self, other):
        """``p -= g`` would give p's name to a new Tensor, and leave the parameter as it is."""
        raise TypeError("a Parameter is no number to be replaced: it is changed in place by p.data "
                        "-= rate * g.data, or by an optimiser")

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = _in_place


class Buffer:
    """An array that belongs to a module's state but is not trained (running statistics)."""

    def __init__(self, data):
        array_module(data)      # TypeError where it is none
        self.data = data


class Module(Described):
    """Something with parameters that maps Tensors to a Tensor. Subclasses define ``forward``.

    It is one thread's at a time: evaluation, samples and training change its state for a while.
    """

    training = True
    # whole numbers that its file keeps beside the state_dict, and what they are where it has none
    saved_counts = unknown_counts = ()

    def __setattr__(self, name, value):
        if isinstance(vars(self).get(name), Parameter):     # which an array would take away
            instance(Tensor, type(None))(f"{type(self).__name__}: {name}", value)
        super().__setattr__(name, value)

    def forward(self, *inputs):
        raise TypeError(f"{type(self).__name__} defines no forward")

    def __call__(self, *inputs):
        y = self.forward(*inputs)
        seen(self, y)
        return y

    def children(self):
        """(name, module) for every module held as an attribute, or in a list, tuple or dict
        (nested ones, too)."""
        return _held(self, Module)

    def named_modules(self, prefix="", memo=None):
        """(name, module) for this module and all below it, outermost first; one that is held twice
        comes once (``memo``: those that have come)."""
        memo = set() if memo is None else memo
        if self not in memo:
            memo.add(self)
            yield prefix, self
            for name, child in self.children():
                yield from child.named_modules(f"{prefix}.{name}" if prefix else name, memo)

    def _named(self, kind):
        memo = set()
        for prefix, module in self.named_modules():
            for name, value in _held(module, kind):
                if id(value) not in memo:
                    memo.add(id(value))
                    yield f"{prefix}.{name}" if prefix else name, value

    def named_parameters(self):
        """(name, Parameter), in order; one that is held twice comes once."""
        return self._named(Parameter)

    def named_buffers(self):
        """(name, Buffer), in order."""
        return self._named(Buffer)

    def parameters(self):
        """The Parameters, in order."""
        return [p for _, p in self.named_parameters()]

    def gradients(self, loss):
        """The gradient of a loss (a Tensor of one element) for each of ``parameters()``, in order.

        Raises ValueError naming the parameters on which it does not depend.
        """
        named = list(self.named_parameters())
        found = gradients_or_none(loss, [p for _, p in named])
        unused = [name for (name, _), g in zip(named, found) if g is None]
        depends_on_all(type(self).__name__, unused, unused and why_cut(loss))
        return found

    def flat(self):
        """All parameters as one flat array (size,), of which each parameter's data is a view.

        The first call lays them out, and so does the one after a parameter's ``data`` was set to
        another array. Changing the array changes the parameters. Raises ValueError for a module
        without parameters.
        """
        parameters = self.parameters()
        expect_arrays(parameters)
        expect(parameters, type(self).__name__, "parameters to lay out", "none")
        arrays = [plain(p.data) for p in parameters]
        one_dtype(type(self).__name__, self.named_parameters())
        ends = [0, *accumulate(p.size for p in parameters)]
        base, first = arrays[0].base, _address(arrays[0])
        if _is_flat(base, type(arrays[0])) and all(
                a.base is base and a.dtype == base.dtype and a.flags.c_contiguous
                and _address(a) == first + end * a.itemsize for a, end in zip(arrays, ends)):
            start = (first - _address(base)) // base.itemsize
            return base[start:start + ends[-1]]
        flat = array_module(arrays[0]).concatenate([a.reshape(-1) for a in arrays])
        for p, end in zip(parameters, ends):
            p.data = flat[end:end + p.size].reshape(p.shape)
        return flat

    def train(self, mode=True):
        """Put this module and all below it in training (or evaluation) mode; returns self."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self):
        """Put this module and all below it in evaluation mode; returns self."""
        return self.train(False)

    def parts_of_state(self):
        """{name: Parameter or Buffer}, the parameters first."""
        named = [*self.named_parameters(), *self.named_buffers()]
        names_differ(type(self).__name__, named)
        return dict(named)

    def state_dict(self):
        """{name: NumPy array}, copies of all parameters and buffers, in order."""
        return {name: np.array(to_numpy(held.data)) for name, held in self.parts_of_state().items()}

    @checked(state_fits)
    def load_state_dict(self, state):
        """Take over the arrays of a state_dict. Everything is checked first: on an error nothing
        has changed.

        Raises KeyError for missing or unexpected names, ValueError for wrong shapes and dtypes.
        """
        for name, own in self.parts_of_state().items():
            array = np.asarray(state[name])
            own.data[...] = array_module(own.data).asarray(array, dtype=own.data.dtype)
        for _, module in self.named_modules():
            module.after_loading()

    def after_loading(self):
        """What a module does once its arrays were loaded: here nothing."""

    @checked(path=path_like)
    def save(self, path):
        """Write the state_dict as a safetensors file (to a temporary name, then renamed), and with
        it what ``ldf.load`` makes the module of: the arguments that it and its parts were made
        with, the settings that were assigned since, and where its Generators stand. Warns where the
        weights are written, but no such module can be made of them (a parameter that two layers
        hold, a function among the arguments): then ``load`` reads them into one."""
        objects, settings, why = described(self)
        if why:
            warnings.warn(f"{os.fspath(path)} has the weights, but not how the model is made: "
                          f"{why}", RuntimeWarning, stacklevel=3)
        made = {"objects": objects, "settings": settings,
                "generators": {name: rng.state for name, rng in self.named_generators()},
                "counts": self.all_counts(),
                "evaluating": [name for name, m in self.named_modules() if not m.training]}
        save_tensors(path, self.state_dict(), {"architecture": json.dumps(made)})

    def all_counts(self):
        """{name: saved_counts} of this module and all below it."""
        return {name: [*m.saved_counts] for name, m in self.named_modules() if m.saved_counts}

    def restore_counts(self, counts):
        """Take over ``all_counts``; None where they are not known."""
        for name, module in self.named_modules():
            if module.saved_counts:
                module.saved_counts = (counts or {}).get(name, module.unknown_counts)

    def named_generators(self):
        """(name, Generator) of all that the module and those below it draw from, each once."""
        return self._named(Generator)

    @checked(path=path_like)
    def load(self, path):
        """Read the weights that ``save`` wrote; returns self (``ldf.load`` makes the module, too).
        Raises ValueError naming the file and what is wrong."""
        state, metadata = load_tensors(path)
        try:
            self.load_state_dict(state)
            self.restore_counts(_counts_in(metadata))
        except (KeyError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)}: not the weights of this {type(self).__name__}: "
                             f"{error}") from error
        return self

    def __repr__(self):
        """A tree: each module with the shapes of its own parameters, its settings, and the number
        of parameters in it and below."""
        return "\n".join(_tree(self, "", set()))

    @checked(input_shapes=several(instance(tuple), 0))
    def summary(self, *input_shapes):
        """A table of layers: kind, shape of the output, and parameters, which add up to the total.

        ``input_shapes``: the shape of each input without the batch, to have the outputs' shapes
        shown, those of a layer that is called several times side by side. A parameter that is held
        twice counts where it comes first.
        """
        outputs = {}
        if input_shapes:
            with no_grad(), evaluation(self), watching(
                    lambda m, y: outputs.setdefault(m, {}).setdefault(str(y.shape[1:]))):
                self(*(Tensor(xp().zeros((1, *shape), np.float32)) for shape in input_shapes))
        rows, memo = [("layer", "kind", "output", "parameters")], set()
        for name, module in self.named_modules():
            own = _size(p for _, p in _held(module, Parameter) if not _seen_before(p, memo))
            if own or not any(module.children()):
                shapes = ", ".join(outputs.get(module, ()))
                rows.append((name or "itself", type(module).__name__, shapes, f"{own:,}"))
        rows.append(("total", "", "", f"{_size(self.parameters()):,}"))
        name, kind, shape, count = (max(map(len, column)) for column in zip(*rows))
        return "\n".join(f"{a:<{name}}  {b:<{kind}}  {c:<{shape}}  {d:>{count}}"
                         for a, b, c, d in rows)


def _counts_in(metadata):
    """The counts in the metadata of a file; None where another program, or an older version, wrote
    it."""
    try:
        return json.loads(metadata["architecture"])["counts"]
    except (KeyError, TypeError, ValueError):
        return None


def _tree(module, name, memo):
    """The lines of a module's repr; what was seen before (``memo``) is not shown again."""
    title = f"{name}: {type(module).__name__}" if name else type(module).__name__
    if _seen_before(module, memo):
        yield f"{title}, as above"
        return
    parts = [f"{n} {tuple(p.data.shape)}" for n, p in _held(module, (Parameter, Buffer))]
    parts += [f"{n}={v!r}" for n, v in vars(module).items() if n != "training" and n[0] != "_"
              and (isinstance(v, (bool, int, float, str)) or type(v) is tuple and v
                   and all(isinstance(part, (int, float)) for part in v))]
    count = _size(module.parameters())
    title += f"({', '.join(parts)})" if parts else ""
    yield title + (f": {count:,} parameters" if count else "")
    for child, below in module.children():
        yield from (f"  {line}" for line in _tree(below, child, memo))


def _seen_before(thing, memo):
    """Whether its id is in the set ``memo``, where it is from now on."""
    before = id(thing) in memo
    memo.add(id(thing))
    return before


def _held(module, kind):
    """[(name, thing)] for everything of a kind in a module's attributes, in order: in lists, tuples
    and dicts, however nested, but not in the modules below."""
    found = []
    _look(vars(module).items(), kind, "", found)
    return found


def _look(named, kind, prefix, found):
    for name, value in named:
        if isinstance(value, kind):
            found.append((f"{prefix}{name}", value))
        elif isinstance(value, (list, tuple, deque, dict)):
            inside = value.items() if isinstance(value, dict) else enumerate(value)
            _look(inside, kind, f"{prefix}{name}.", found)
        elif isinstance(value, (set, frozenset)):
            in_order(f"{prefix}{name}", value, kind)


def _is_flat(base, kind):
    """Whether it is an array in which all parameters of a network can lie (the bytes that pickle
    gives are none)."""
    return (isinstance(base, kind) and base.ndim == 1 and base.flags.c_contiguous
            and getattr(base.flags, "writeable", True))     # CuPy's always are


def _size(parameters):
    return sum(p.size for p in parameters)


def _address(array):
    return array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr


@contextmanager
def evaluation(*modules):
    """A context in which the modules are in evaluation mode; each is put back as it was."""
    before = [(m, m.training) for module in modules for _, m in module.named_modules()]
    for m, _ in before:
        m.training = False
    try:
        yield
    finally:
        for m, mode in before:
            m.training = mode


@contextmanager
def restored(arrays):
    """A context after which the arrays have the numbers again that they had before it."""
    kept = [array.copy() for array in arrays]
    try:
        yield
    finally:
        for array, own in zip(arrays, kept):
            array[...] = own


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
