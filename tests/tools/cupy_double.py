"""A double of CuPy, for machines without a card: arrays that wrap NumPy's and refuse them, with the
functions and parameters of the real one (cupy_names.txt).

    with cupy_double.double():          # ldf.use("cuda") has worked
        model.fit(x)                    # its step is recorded and replayed

What CUDA refuses while a graph is recorded raises here, and what is recorded is done when the graph
is launched: until then its results are NaN. Kernels run on the emulator; of products of tiles,
which are slow there, the naive loops of the .cu files run on NumPy, unless ``emulated``.
"""

import sys
import types
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from emulator import Emulator

import ldf_np as ldf
from ldf_np.kernels import conv, cuda, tile
from ldf_np.runtime import device, threads

LINES = [line.split() for line in Path(__file__).with_name("cupy_names.txt").read_text()
         .splitlines() if not line.startswith("#")]
PARAMETERS = {name: parameters for name, *parameters in LINES}
CONSTANTS = PARAMETERS.pop("=")
UNSUPPORTED = "Unsupported type {}"
# What the host has to wait for, and what calls cuBLAS
READ = {"argwhere", "bincount", "compress", "extract", "flatnonzero", "histogram", "nonzero",
        "unique"}
CUBLAS = {"dot", "einsum", "inner", "matmul", "tensordot", "vdot"}
JOINED = {"append", "block", "column_stack", "concatenate", "dstack", "hstack", "stack", "vstack"}


class CUDARuntimeError(RuntimeError):
    """What CuPy raises where CUDA refuses."""


# ----------------------------------------------------------------------------------------- streams

class Stream:
    """A stream; ``recorded``: what a graph under way consists of, None where there is none."""

    current = []        # the innermost last

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.recorded, self.spoilt = None, ""

    def __enter__(self):
        Stream.current.append(self)
        return self

    def __exit__(self, *error):
        Stream.current.pop()

    def synchronize(self):
        refuse_in_graph("synchronize")

    def begin_capture(self, mode=None):
        self.recorded, self.spoilt = [], ""

    def end_capture(self):
        graph, self.recorded = Graph(self.recorded), None
        if self.spoilt:
            raise CUDARuntimeError(f"cudaErrorStreamCaptureInvalidated ({self.spoilt})")
        return graph


class Graph:
    """What was recorded."""

    def __init__(self, work):
        self.work = work

    def launch(self, stream=None):
        refuse_in_graph("launch of a graph")
        with np.errstate(all="ignore"):
            for do in self.work:
                do()


NULL = Stream(null=True)


def stream():
    return Stream.current[-1] if Stream.current else NULL


def do(work):
    """Do it, or record it."""
    if stream().recorded is not None:
        stream().recorded.append(work)
    else:
        with np.errstate(all="ignore"):
            work()


def refuse_in_graph(what):
    """CUDARuntimeError while a graph is recorded, which is then spoilt."""
    if stream().recorded is not None:
        stream().spoilt = what
        raise CUDARuntimeError(f"cudaErrorStreamCaptureUnsupported: {what}")


# ------------------------------------------------------------------------------------------ arrays

class ndarray:
    """An array on the device: ``held`` is NumPy's."""

    __module__ = "cupy"
    __slots__ = ("held", "base", "__weakref__")
    __array_priority__ = 100
    __hash__ = None

    def __init__(self, held, base=None):
        self.held, self.base = held, base

    shape = property(lambda self: self.held.shape)
    dtype = property(lambda self: self.held.dtype)
    ndim = property(lambda self: self.held.ndim)
    size = property(lambda self: self.held.size)
    strides = property(lambda self: self.held.strides)
    nbytes = property(lambda self: self.held.nbytes)
    itemsize = property(lambda self: self.held.itemsize)
    T = property(lambda self: self.transpose())
    data = property(lambda self: types.SimpleNamespace(ptr=self.held.ctypes.data))

    @property
    def flags(self):
        flags = self.held.flags
        return types.SimpleNamespace(c_contiguous=flags.c_contiguous, owndata=self.base is None,
                                     f_contiguous=flags.f_contiguous)

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` "
                        "to construct a NumPy array explicitly.")

    def get(self, stream=None, order="C", out=None, blocking=True):
        refuse_in_graph("a copy to the host")
        return self.held.copy(order)

    def __reduce__(self):
        return array, (self.get(),)

    def __len__(self):
        return len(self.held)

    def __iter__(self):
        return (self[k] for k in range(len(self)))

    def __repr__(self):
        return repr(self.get())

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, **_):
        return self

    def __getitem__(self, index):
        index = _index(index)
        return _made(lambda: self.held[index], [self])

    def __setitem__(self, index, value):
        index = _index(index)
        if isinstance(value, ndarray):
            value = value.held
        elif any(isinstance(part, (list, np.ndarray)) for part in index):
            if not np.isscalar(value):
                refuse_in_graph("a copy from the host")
        elif np.ndim(value):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        do(lambda: self.held.__setitem__(index, value))

    def fill(self, value):
        self[...] = value

    def __array_ufunc__(self, ufunc, method, *inputs, **settings):
        if method != "__call__" or ufunc.__name__ not in PARAMETERS:
            return NotImplemented
        if "out" in settings:
            settings["out"], = settings["out"]
        return function(ufunc.__name__)(*inputs, **settings)

    def __array_function__(self, numpys, kinds, inputs, settings):
        if numpys.__module__ != "numpy" or numpys.__name__ not in PARAMETERS:
            return NotImplemented
        return function(numpys.__name__)(*inputs, **settings)

    def __getattr__(self, name):
        if f".{name}" not in PARAMETERS:
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        return partial(_called, f".{name}", getattr(np.ndarray, name), self)


def _operator(name, ufunc, swapped=False):
    def method(self, *others):
        if any(getattr(type(other), "__array_ufunc__", 0) is None for other in others):
            return NotImplemented
        return function(ufunc)(*others, self) if swapped else function(ufunc)(self, *others)

    setattr(ndarray, f"__{name}__", method)


for _name, _ufunc in {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide",
                      "floordiv": "floor_divide", "mod": "remainder", "pow": "power",
                      "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
                      "matmul": "matmul"}.items():
    _operator(_name, _ufunc)
    _operator(f"r{_name}", _ufunc, swapped=True)
    setattr(ndarray, f"__i{_name}__",
            lambda self, other, ufunc=_ufunc: function(ufunc)(self, other, out=self))
for _name, _ufunc in {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
                      "eq": "equal", "ne": "not_equal", "neg": "negative", "invert": "invert",
                      "abs": "absolute"}.items():
    _operator(_name, _ufunc)
for _name in ("__bool__", "__float__", "__int__", "__index__", "__complex__", "item", "tolist"):
    setattr(ndarray, _name, lambda self, name=_name: getattr(self.get(), name)())


def _index(index):
    """An index for NumPy, which gives a view where CuPy does: of no axes, too."""
    index = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, (list, np.ndarray)) for part in index):
        refuse_in_graph("an index from the host")
    index = tuple(part.held if isinstance(part, ndarray) else part for part in index)
    if any(getattr(part, "dtype", None) is np.dtype(bool) for part in index):
        refuse_in_graph("the number of elements that a mask holds")
    return index if any(part is Ellipsis for part in index) else (*index, ...)


# --------------------------------------------------------------------------------------- functions

def _plain(value):
    """An operand for NumPy. TypeError for an array of NumPy's, whatever its shape."""
    if isinstance(value, ndarray):
        return value.held
    if isinstance(value, np.ndarray):
        raise TypeError(UNSUPPORTED.format(type(value)))
    return type(value)(map(_plain, value)) if type(value) in (tuple, list) else value


def _arrays(values):
    for value in values:
        if isinstance(value, ndarray):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _arrays(value)


def _made(work, sources):
    """What ``work()`` returns, on the device: a view of one of the sources, or an array of its own,
    or several."""
    with np.errstate(all="ignore"):
        result = work()
    if isinstance(result, (tuple, list)):
        return type(result)(_made(lambda k=k: work()[k], sources) for k in range(len(result)))
    if not isinstance(result, (np.ndarray, np.generic, bool)):
        return result           # a shape, a dtype
    result = np.asarray(result)
    for source in sources:
        if result is source.held:
            return source
        if np.may_share_memory(result, source.held):
            return ndarray(result, source if source.base is None else source.base)
    if stream().recorded is not None:
        if result.dtype.kind == "f":
            result = np.full_like(result, np.nan)
        do(lambda: np.copyto(result, work()))
    return ndarray(result)


def _called(name, numpys, *inputs, **settings):
    """CuPy's function or method of this name (".sum"), made of NumPy's."""
    known = PARAMETERS[name]
    wrong = settings.keys() - known if "**kwargs" not in known else ()
    if wrong or len(inputs) > len(known) + name.startswith(".") and "*" not in "".join(known):
        raise TypeError(f"cupy: {name}: unexpected arguments {sorted(wrong) or len(inputs)}")
    sources = list(_arrays([*inputs, *settings.values()]))
    bare = name.lstrip(".")
    if bare in READ or bare == "where" and len(inputs) + len(settings) == 1:
        refuse_in_graph(f"{bare} reads on the host")
    if bare in CUBLAS or bare in JOINED and len(sources) > 1:
        refuse_in_graph(bare)
    settings = {name: value for name, value in settings.items() if value is not None}
    if isinstance(numpys, np.ufunc):
        for value in inputs:
            if isinstance(value, (tuple, list)):
                raise TypeError(UNSUPPORTED.format(type(value)))
    out = settings.get("out")
    inputs, settings = _plain(inputs), {key: _plain(value) for key, value in settings.items()}
    if out is not None:
        do(lambda: numpys(*inputs, **settings))
        return out
    return _made(lambda: numpys(*inputs, **settings), sources)


@cache
def function(name):
    """What stands for cupy.<name>."""
    if name in OWN:
        return OWN[name]
    if name in CONSTANTS:
        return getattr(np, name)
    if name not in PARAMETERS:
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    return partial(_called, name, getattr(np, name))


def _filled(numpys):
    """An array of which nothing is known."""
    def empty(*inputs, **settings):
        made = _called(numpys.__name__, numpys, *inputs, **settings)
        if made.dtype.kind == "f":
            made.held.fill(np.nan)
        return made

    return empty


def array(a, dtype=None, copy=True, order="K", **settings):
    """A copy on the device."""
    if isinstance(a, ndarray):
        return a.astype(a.dtype if dtype is None else dtype, copy=bool(copy))
    if isinstance(a, (tuple, list)) and any(_arrays(a)):
        return function("stack")(a)
    refuse_in_graph("a copy from the host")
    made = np.array(a, dtype, order="C")
    if made.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {made.dtype}")
    return ndarray(made.astype(made.dtype.newbyteorder("="), copy=False))


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    return array(a, dtype, copy=False)


def ascontiguousarray(a, dtype=None):
    if not isinstance(a, ndarray):
        raise TypeError(f"Argument 'a' has incorrect type (expected cupy, got {type(a)})")
    a = asarray(a, dtype)
    return a if a.flags.c_contiguous else a.copy()


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def may_share_memory(a, b, max_work=None):
    if not (isinstance(a, ndarray) and isinstance(b, ndarray)):
        raise TypeError("may_share_memory: an argument has incorrect type, expected cupy.ndarray")
    return np.may_share_memory(a.held, b.held)


def from_dlpack(device, copy=None):
    made = device.__dlpack__()
    return ndarray(made.held, made)


class _Add:
    def __call__(self, *inputs, **settings):
        return _called("add", np.add, *inputs, **settings)

    @staticmethod
    def at(a, index, values):
        index, values = _index(index), _plain(values)
        do(lambda: np.add.at(a.held, index, values))


# ----------------------------------------------------------------------------------------- kernels

class RawModule:
    """The kernels of a .cu file, compiled for its macros."""

    emulator, emulated = Emulator(), False

    def __init__(self, *, code, options):
        self.file, = (path.name for path in cuda.FOLDER.glob("*.cu")
                      if cuda.source(path.name) == code)
        self.macros = dict(option[2:].split("=") for option in options if option[:2] == "-D")

    def get_function(self, name):
        return Kernel(self, name)


class Kernel:
    """A kernel, which is launched as CuPy launches it."""

    def __init__(self, module, name):
        self.module, self.name, self.max_dynamic_shared_size_bytes = module, name, 48 * 1024

    def __call__(self, grid, block, args, *, shared_mem=0):
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise CUDARuntimeError(f"{self.name}: {shared_mem} bytes of shared memory")
        packed = [None if isinstance(a, np.uintp) else a if isinstance(a, np.generic)
                  else _plain(a) for a in args]
        loop, module = LOOPS.get(self.name), self.module
        if loop is None or module.emulated:
            do(lambda: module.emulator.launch(module.file, self.name, grid, block, packed,
                                              shared_mem, module.macros))
        else:
            macros = {"A_ALONG_K": "1", "B_ALONG_K": "1"} | module.macros
            do(lambda: loop(*packed, **({"grid": grid, "macros": macros}
                                        if self.name == "matmul" else {})))


def _image(data, positions, taps, height, width):
    """The elements in which positions and taps meet, 0 in the padding: (positions, taps)."""
    place, row, column = (positions[:, None, k] + taps[:, k] for k in range(3))
    inside = (0 <= row) & (row < height) & (0 <= column) & (column < width)
    return np.where(inside, data.reshape(-1)[np.where(inside, place, 0)], data.dtype.type(0))


def _put(out, splits, places, product, bias=None, slope=1):
    """A product at its places in the result; of several parts the first is all of it."""
    parts = out.reshape(splits, -1)
    parts[1:] = 0
    parts[0][places] = tile.activate(product, bias, slope)


def _beside(places, count, step=1):
    """The places of ``count`` neighbours: (places, count)."""
    return places[:, None] + np.arange(count) * step


def _conv2d(x, w, bias, out, positions, taps, classes, height, width, o, count, splits, slope):
    weights = w.reshape(-1)[_beside(taps[:, 3], o)]
    _put(out, splits, _beside(positions[:, 3], o),
         _image(x, positions, taps, height, width) @ weights, bias, slope)


def _conv_transpose2d(y, w, bias, out, positions, taps, classes, height, width, c, o, count, splits,
                      slope):
    for first, length, tap, some in classes:
        own, met = positions[first:first + length], taps[tap:tap + some]
        weights = w.reshape(-1)[_beside(met[:, 3], c, o)]
        _put(out, splits, _beside(own[:, 3], c), _image(y, own, met, height, width) @ weights, bias,
             slope)


def _conv2d_weight(x, y, out, positions, taps, classes, height, width, o, count, splits):
    _put(out, splits, _beside(taps[:, 3], o), _image(x, positions, taps, height, width).T
         @ y.reshape(-1)[_beside(positions[:, 3], o)])


def _matmul(a, b, bias, out, m, n, k, a_pitch, b_pitch, a_stride, b_stride, count, splits, slope, *,
            grid, macros):
    def matrices(data, rows, pitch, stride, along_k):
        places = _beside(np.arange(rows) * pitch, k) if along_k else _beside(
            np.arange(rows), k, pitch)
        return data.reshape(-1)[np.arange(grid[2] // splits)[:, None, None] * stride + places]

    product = matrices(a, m, a_pitch, a_stride, macros["A_ALONG_K"] == "1") @ matrices(
        b, n, b_pitch, b_stride, macros["B_ALONG_K"] == "1").swapaxes(1, 2)
    _put(out, splits, np.arange(count).reshape(-1, n), product.reshape(-1, n), bias, slope)


def _sum_splits(parts, bias, out, size, channels, splits, slope):
    out[...] = tile.activate(parts.reshape(splits, -1, channels).sum(0), bias, slope).reshape(
        out.shape)


LOOPS = {"conv2d": _conv2d, "conv_transpose2d": _conv_transpose2d,
         "conv2d_weight": _conv2d_weight, "matmul": _matmul, "sum_splits": _sum_splits}

# ------------------------------------------------------------------------------------------ module

OWN = {
    "ndarray": ndarray, "array": array, "asarray": asarray, "asanyarray": asarray,
    "ascontiguousarray": ascontiguousarray, "asnumpy": asnumpy, "from_dlpack": from_dlpack,
    "may_share_memory": may_share_memory, "add": _Add(), "RawModule": RawModule,
    "empty": _filled(np.empty), "empty_like": _filled(np.empty_like),
    "lib": types.SimpleNamespace(stride_tricks=types.SimpleNamespace(
        as_strided=lambda x, shape=None, strides=None: _made(
            lambda: np.lib.stride_tricks.as_strided(x.held, shape, strides), [x]))),
    "cuda": types.SimpleNamespace(
        Stream=Stream, get_current_stream=stream, using_allocator=contextmanager(
            lambda allocator: (yield)),
        MemoryPool=lambda: types.SimpleNamespace(malloc=None),
        Device=lambda: types.SimpleNamespace(compute_capability="90", pci_bus_id="0000:00:00.0"),
        nccl=types.SimpleNamespace(available=False),
        runtime=types.SimpleNamespace(
            getDeviceCount=lambda: 1, setDevice=lambda number: None,
            CUDARuntimeError=CUDARuntimeError, driverGetVersion=lambda: 12080,
            runtimeGetVersion=lambda: 12080)),
}
cupy = types.ModuleType("cupy")
cupy.__getattr__ = function


@contextmanager
def double(emulated=False):
    """A context in which this is CuPy, and in use. ``emulated``: products of tiles, too."""
    before, count = device._module, threads.num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cupy", cupy)
        patch.setattr(RawModule, "emulated", emulated)
        ldf.set_num_threads(1)      # the emulator's shared memory is one for the process
        try:
            ldf.use("cuda")
            yield cupy
        finally:
            device._module = before
            ldf.set_num_threads(count)
            for kept in (conv._tables, cuda._module, cuda._function):
                kept.cache_clear()
