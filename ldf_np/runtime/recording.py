"""What a function does with NumPy's arrays, recorded once and then done again in the same memory.

The arrays that the function starts from are ``Recorded``: NumPy tells this kind of each of its
functions that is called with one, and what comes of it is ``Recorded`` in turn. So the list of
those calls is the computation, without the Python that led to it. What is no function of arrays
(draws, schedules, an optimiser's update) is marked ``again``, and called again.

Where Python looks at a number, or an array is made in a way that NumPy tells nothing of, the
recording is ``broken``, and the function goes on as it would without one. What NumPy cannot tell
(``numpy.asarray`` makes a plain array of a recorded one) is for the caller to find: what is played
must come to the same.
"""

import operator
import weakref
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps

import numpy as np

from .playing import Branch, Place, address, memories, player

LITTLE = 35_000     # bytes that a call makes, on average
_now = ContextVar("recording", default=None)
# Functions of arrays that ask for no number in them
_SHAPES = (np.may_share_memory, np.shares_memory, np.shape, np.ndim, np.size, np.result_type,
           np.can_cast, np.ones_like)
_WITH_OUT = (np.concatenate, np.stack, np.einsum)       # those that write where they are told


def recording():
    """The Recording that is being made on this thread, or None."""
    return _now.get()


def again(function):
    """A function that is more than NumPy's functions of its arguments: it draws, say, or changes
    what it belongs to. Where it is recorded it is called again. It returns None, an array, or a
    float, which is an array (1,) there."""
    @wraps(function)
    def call(*arguments, **settings):
        now = _now.get()
        return function(*arguments, **settings) if now is None else now.again(
            function, arguments, settings)

    return call


class Progress(float):
    """A number that changes from one playing to the next: its attribute ``now``."""

    __slots__ = ("now",)


class Recorded(np.ndarray):
    """An array whose uses are recorded. Without a recording its results are plain arrays."""

    def __array_finalize__(self, source):
        if self.base is None:
            _break("a method that made an array by itself")

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **settings):
        function, inputs = getattr(ufunc, method), plain(inputs)
        if out is None:
            return _made(function, inputs, settings, function(*inputs, **settings), True)
        settings["out"] = plain(out)
        function(*inputs, **settings)
        if not all(isinstance(array, Recorded) for array in out):
            _break(f"{ufunc.__name__} into an array that is not recorded")
        _note(function, inputs, settings)
        return out[0]

    def __array_function__(self, function, types, inputs, settings):
        out, inputs, settings = settings.get("out"), plain(inputs), plain(settings)
        if function in (np.empty_like, np.zeros_like):
            result = _made(None, (), {}, function(*inputs, **settings, subok=False))
            if function is np.zeros_like:
                _note(np.ndarray.fill, (plain(result), 0))
            return result
        result = function(*inputs, **settings)
        if function in _SHAPES:
            return result
        if out is not None:
            _note(function, inputs, settings)
            return out
        return _made(function, inputs, settings, result, function in _WITH_OUT)

    def __getitem__(self, index):
        if any(isinstance(a, Recorded) and a.dtype == np.bool_ for a in _arrays(index)):
            _break("Python looked at how many numbers there are")
        index = plain(index)
        return _made(operator.getitem, (plain(self), index), {}, plain(self)[index])

    def __setitem__(self, index, value):
        target, value = plain(self)[plain(index)], plain(value)
        if isinstance(target, np.ndarray) and _root(target) is _root(self):
            np.copyto(target, value, "unsafe")
            if _where(target) != _where(value):         # a[...] += assigns a to itself
                _note(np.copyto, (target, value, "unsafe"))
        else:
            plain(self)[plain(index)] = value
            _note(operator.setitem, (plain(self), plain(index), value))

    def __iter__(self):
        return (self[k] for k in range(len(self)))

    def astype(self, dtype, copy=True):
        if not copy and self.dtype == dtype:
            return self
        return _copied(self, plain(self).astype(dtype))

    def copy(self, order="C"):
        return _copied(self, plain(self).copy(order))

    def reshape(self, *shape):
        result = plain(self).reshape(*shape)
        if _root(result) is not _root(self):        # then it lies in self's order
            _copied(self, result.reshape(self.shape))
        return result.view(Recorded)


def _look(name):
    """The method of this name, after which nothing more is recorded: Python has seen a number."""
    def method(self, *arguments):
        _break(f"Python looked at a number ({name})")
        return getattr(plain(self), name)(*arguments)

    return method


for _name in ("__bool__", "__float__", "__int__", "__index__", "__complex__", "item", "tolist"):
    setattr(Recorded, _name, _look(_name))


def plain(value):
    """``value`` with plain arrays in place of recorded ones."""
    if isinstance(value, Recorded):
        return value.view(np.ndarray)
    if type(value) in (tuple, list):
        return type(value)(map(plain, value))
    return {k: plain(v) for k, v in value.items()} if type(value) is dict else value


def _arrays(value):
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (tuple, list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _arrays(part)


def _where(array):
    return isinstance(array, np.ndarray) and (
        array.__array_interface__["data"], array.shape, array.strides, array.dtype)


def _break(why):
    if (now := _now.get()) is not None:
        now.stop(why)


def _note(function, inputs, settings=None):
    if (now := _now.get()) is not None:
        now.note(function, inputs, settings or {})


def _made(function, inputs, settings, result, takes_out=False):
    """What ``function`` has made of ``inputs``, recorded: a view of one, or an array of its own."""
    now = _now.get()
    if now is None:
        return result
    if result is None:          # it has changed one of them
        return now.note(function, inputs, settings)
    if not isinstance(result, (np.ndarray, np.generic)):
        now.stop(f"{function.__name__} returned {type(result).__name__}")
        return result
    result = np.asarray(result)
    if not any(_root(result) is _root(array) for array in _arrays((inputs, settings))):
        now.own(result)
        if takes_out:
            now.note(function, inputs, settings | {"out": result})
        elif function is not None:
            now.note(_copy_of, (result, function, inputs, settings), {})
    return result.view(Recorded)


def _copied(source, result):
    """``result``, a new array with the numbers of ``source``, recorded."""
    if (now := _now.get()) is not None:
        now.own(result)
        now.note(np.copyto, (result, plain(source), "unsafe"), {})
    return result.view(Recorded)


def _copy_of(out, function, arguments, settings):
    """``out`` becomes what the function returns."""
    arguments = [a.now if type(a) is Progress else a for a in arguments]
    np.copyto(out, function(*arguments, **settings))


class Recording:
    """What is done on this thread ``with recording.of(holders):``.

    ``broken``: "" or why not all of it is known.
    """

    def __init__(self):
        self.broken, self._calls, self._held = "", [], []
        self._sizes, self._owners = [], {}      # bytes; {id: (weak reference to an array, number)}

    @contextmanager
    def of(self, holders):
        """A context that records. ``holders``: what has the arrays that it starts from as its
        ``data``; those arrays stay where they are."""
        self._held = [(holder, holder.data, holder.data.view(Recorded)) for holder in holders]
        token = _now.set(self)
        self._hold(2)
        try:
            yield
        finally:
            self._hold(1)
            _now.reset(token)
            self._owners, self._held = {}, []

    def _hold(self, which):
        for held in self._held:
            held[0].data = held[which]

    def stop(self, why):
        self.broken, self._calls = self.broken or why, []

    def note(self, function, inputs, settings):
        if not self.broken:
            self._calls.append((function, self.place(inputs), self.place(settings)))

    def own(self, array):
        """From here on ``array`` has memory of its own."""
        root = _root(array)
        self._owners[id(root)] = weakref.ref(root), len(self._sizes)
        self._sizes.append(root.nbytes)

    def place(self, value):
        """``value`` with the places of arrays that were made here in place of them."""
        if isinstance(value, np.ndarray):
            root = _root(value)
            owner, number = self._owners.get(id(root), (lambda: None, 0))
            if owner() is not root:
                return plain(value)
            offset = address(value) - address(root)
            return Place(number, offset, value.shape, value.dtype, value.strides)
        if type(value) in (tuple, list):
            return type(value)(map(self.place, value))
        return {k: self.place(v) for k, v in value.items()} if type(value) is dict else value

    def again(self, function, arguments, settings):
        """Call it now, as if nothing were recorded, and when this is played."""
        arguments, settings = plain(arguments), plain(settings)
        token = _now.set(None)
        self._hold(1)
        try:
            result = function(*arguments, **settings)
        finally:
            self._hold(2)
            _now.reset(token)
        if result is None:
            return self.note(function, arguments, settings)
        result = np.array([result]) if isinstance(result, float) else result
        self.own(result)
        self.note(_copy_of, (result, function, arguments, settings), {})
        return result.view(Recorded)

    def both(self, side_by_side, first, second):
        """(first(), second()), which are played by ``side_by_side``; but in turn where the second
        reads what the first has made on the way (something that was kept to be made once)."""
        if type(self._calls) is Branch:         # both threads are in use
            return first(), second()
        calls, branches, results, made = self._calls, [], [], []
        for function in (first, second):
            self._calls, start = Branch(), len(self._sizes)
            results.append(function())
            branches.append(self._calls)
            made.append(range(start, len(self._sizes)))
        self._calls = calls
        if any(number in made[0] for number in memories(branches[1])):
            calls += branches[0] + branches[1]
        elif not self.broken:
            calls.append((side_by_side, tuple(branches), {}))
        return tuple(results)

    def player(self, results):
        """(play, results): a function that does it all again, and the arrays in ``results`` (a dict
        of ``place``s) as they will lie. Calls of little work are made in turn: what two threads
        hand to and fro takes longer."""
        calls = [[part for branch in call[1] for part in branch] if _is_fork(call) else [call]
                 for call in self._calls]
        count = sum(map(len, calls))
        calls = sum(calls, []) if sum(self._sizes) < LITTLE * count else self._calls
        return player(calls, results, self._sizes)


def _is_fork(call):
    """Whether it is one of ``side_by_side``, of Branches."""
    return any(type(part) is Branch for part in call[1])


def _root(array):
    """What has the memory that an array lies in."""
    while getattr(array, "base", None) is not None:     # (an array, or what as_strided puts there)
        array = array.base
    return array
