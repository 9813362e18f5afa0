"""The one file that knows CuPy: which module an array belongs to, whether a CUDA device can be
used, and how the kernels are compiled and launched.

A kernel is named by its file and its function and compiled once for its macros (REAL=float, TF32=1,
...). A *driver* launches it: CuPy where there is a card. The tests use another driver, which runs
the same .cu files on the CPU; then NumPy arrays stand for arrays on the device.
"""

import os
import shutil
import socket
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
_emulator = None        # a driver that runs kernels on NumPy arrays, while emulated() lasts
OLDEST = 80         # compute capability: cp.async of tile.cu
_TILED = ("conv.cu", "matmul.cu")       # the files built on tile.cu


def array_module(array):
    """The module (numpy or cupy) whose functions work on ``array``.

    Imports nothing: where there is a CuPy array, CuPy is loaded already.
    Raises TypeError for anything that is not an array of either kind.
    """
    if isinstance(array, (np.ndarray, np.generic)):
        return np
    if type(array).__module__.partition(".")[0] == "cupy":
        return sys.modules["cupy"]
    raise TypeError(f"expected a NumPy or CuPy array, got {type(array).__name__}")


def on_device(*arrays):
    """Whether these arrays lie on the device, where the kernels in the .cu files work on them.

    Raises TypeError for a mixture of NumPy and CuPy arrays with axes, and on the device for any
    array that is neither float32 nor float64.
    """
    modules = {array_module(a) for a in arrays if getattr(a, "ndim", 0)}
    if len(modules) > 1:
        raise TypeError(f"expected arrays on one device, got {_described(arrays)}: ldf.use() says "
                        "where new ones are made, and ldf.asarray(array) brings one there")
    if not modules or np in modules and _emulator is None:
        return False
    if any(a.dtype not in (np.float32, np.float64) for a in arrays):
        raise TypeError(f"the CUDA kernels are for float32 and float64, got {_described(arrays)}")
    return True


def _described(arrays):
    return ", ".join(f"{array_module(a).__name__} {a.dtype}{list(a.shape)}" for a in arrays)


def emulating():
    """Whether NumPy arrays stand for arrays on the device now."""
    return _emulator is not None


def load_cupy():
    """CuPy, checked to have a usable device.

    Raises RuntimeError with one sentence that says what is missing and what to do about it.
    """
    try:
        import cupy
    except ImportError as error:
        raise RuntimeError(
            f"the CUDA backend needs CuPy ({error}): in the checkout, pip install -e "
            '".[cuda12]" or ".[cuda13]", to match your driver') from error
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
        if count:
            runtime.setDevice(local_rank() % count)
            # what is computed shows whether CuPy, the driver and the compiler fit each other
            (cupy.zeros(1) + 1).get()
            capability = cupy.cuda.Device().compute_capability
    except Exception as error:  # CuPy raises errors of many types here
        raise RuntimeError(_what_is_wrong(runtime, error)) from error
    if count == 0:
        raise RuntimeError("CuPy found no CUDA device: check that nvidia-smi lists one, or use the "
                           "CPU")
    if int(capability) < OLDEST:
        raise RuntimeError(
            f"the CUDA kernels are for cards of compute capability {OLDEST / 10} and above "
            f"(Ampere, 2020), this one has {int(capability) / 10}: use the CPU")
    return cupy


def card_present():
    """Whether the system seems to have an NVIDIA card: its device file, or its tool."""
    return os.path.exists("/dev/nvidia0") or shutil.which("nvidia-smi") is not None


def local_rank():
    """The number of this process among those that mpirun has started on this machine."""
    return int(os.environ.get("OMPI_COMM_WORLD_LOCAL_RANK", 0))


def _what_is_wrong(runtime, error):
    """One sentence on why CuPy's first call failed."""
    built = getattr(runtime, "runtimeGetVersion", lambda: 0)() // 1000
    try:
        driver = runtime.driverGetVersion() // 1000
    except Exception:
        driver = 0
    if driver == 0:
        return (f"CuPy found no NVIDIA driver ({error}): install one and check that nvidia-smi "
                "lists a device, or use the CPU")
    if driver < built:
        return (f"the NVIDIA driver knows CUDA {driver}, but this CuPy is for CUDA {built} "
                f"({error}): update the driver, or take the other CuPy, in the checkout, by "
                f'pip install -e ".[cuda{driver}]"')
    return (f"CuPy found no usable CUDA device ({error}): check that nvidia-smi lists one, and "
            f'that its compiler is there, in the checkout by pip install -e ".[cuda{built}]"; or '
            "use the CPU")


def from_dlpack(data):
    """A NumPy or CuPy array over the memory of another library's array, without a copy."""
    kind, _ = data.__dlpack_device__()
    if kind == 1:           # DLPack's number for the CPU
        return np.from_dlpack(data)
    if kind == 2:           # CUDA
        return load_cupy().from_dlpack(data)
    raise TypeError("data: expected an array on the CPU or a CUDA device, got "
                    f"{type(data).__name__} on DLPack device {kind}")


# ------------------------------------------------------------------------------ compile and launch

def source(file):
    """The CUDA source of one of the .cu files beside this one, after that of the file it is built
    on."""
    parts = ("tile.cu", file) if file in _TILED else (file,)
    return "".join(f'#line 1 "{part}"\n{(FOLDER / part).read_text(encoding="utf-8")}'
                   for part in parts)


def options(macros):
    """The compiler's options for a kernel's macros: {"REAL": "float"} as ("--std=c++17",
    "-DREAL=float")."""
    return ("--std=c++17", *(f"-D{name}={value}" for name, value in sorted(macros.items())))


def launch(file, name, grid, block, arguments, shared_bytes=0, **macros):
    """Run kernel ``name`` of ``file``, compiled for ``macros``, on a grid of blocks of ``block``
    threads.

    ``arguments``: contiguous arrays, None for a null pointer, and NumPy scalars (a Python int would
    arrive as a long long where the kernel reads an int, so it is refused).
    """
    for k, a in enumerate(arguments):
        if a is None or isinstance(a, np.generic):
            continue
        if not hasattr(a, "dtype"):
            raise TypeError(f"{name}: argument {k}: expected an array or a NumPy scalar, got "
                            f"{type(a).__name__}")
        if not a.flags.c_contiguous:
            raise ValueError(f"{name}: argument {k}: expected a contiguous array, got strides "
                             f"{a.strides}")
    if _emulator is not None:
        _emulator.launch(file, name, grid, block, arguments, shared_bytes, macros)
        return
    function = _function(file, name, tuple(sorted(macros.items())), shared_bytes)
    function(grid, block, tuple(np.uintp(0) if a is None else a for a in arguments),
             shared_mem=shared_bytes)


@cache
def _module(file, macros):
    import cupy

    return cupy.RawModule(code=source(file), options=options(dict(macros)))


@cache
def _function(file, name, macros, shared_bytes):
    function = _module(file, macros).get_function(name)
    if shared_bytes > 48 * 1024:        # more than that has to be requested
        function.max_dynamic_shared_size_bytes = shared_bytes
    return function


def real(array):
    """The C type of an array's elements."""
    return {"float32": "float", "float64": "double"}[array.dtype.name]


def empty(shape, like):
    """An array of ``shape`` for a kernel to fill, where ``like`` is and of its dtype."""
    out = array_module(like).empty(shape, like.dtype)
    if _emulator is not None:
        out.fill(np.nan)        # shows what a kernel does not write, or reads too early
    return out


def blocks(count, threads):
    """The number of blocks of ``threads`` for ``count`` threads."""
    return -(-count // threads)


@contextmanager
def emulated(driver):
    """A context in which ``driver.launch`` runs the kernels, and NumPy arrays stand for those on
    the device."""
    global _emulator
    _emulator, before = driver, _emulator
    try:
        yield driver
    finally:
        _emulator = before


def same_dtype(*arrays):
    """The arrays, contiguous and in their common dtype (None stays None)."""
    dtype = np.result_type(*(a.dtype for a in arrays if a is not None))
    return [None if a is None else array_module(a).ascontiguousarray(a, dtype).reshape(a.shape)
            for a in arrays]


def over_elements(file, name, like, inputs, *parameters):
    """Launch a kernel with a thread for each element of its result, an array like ``like``. Its
    arguments are the inputs, the result, the number of elements and the ``parameters``."""
    out = empty(like.shape, like)
    if out.size >= 2 ** 31:
        raise ValueError(f"{name}: {out.size} elements are too many for the CUDA kernels, which "
                         "count them in 32 bits")
    if out.size:
        launch(file, name, (blocks(out.size, 256),), (256,),
               (*inputs, out, np.int32(out.size), *parameters), REAL=real(like))
    return out


# ------------------------------------------------------------------------------------------ graphs

class Graph:
    """A CUDA graph: work on the device, recorded once and replayed, with a stream and a memory pool
    of its own.

    The pool holds what the work allocates, where a replay finds it again. It lives as long as the
    graph.
    """

    def __init__(self):
        import cupy

        self._cupy, self._graph = cupy, None
        self.stream, self.pool = cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool()

    @contextmanager
    def here(self):
        """A context whose work goes to this stream and takes memory from this pool."""
        self._cupy.cuda.get_current_stream().synchronize()
        with self._cupy.cuda.using_allocator(self.pool.malloc), self.stream:
            yield
        self.stream.synchronize()

    def capture(self, work):
        """Record ``work()`` without running it, and return what it returns."""
        self.stream.begin_capture()
        try:
            result = work()
        except BaseException:
            try:
                self.stream.end_capture()
            except self._cupy.cuda.runtime.CUDARuntimeError:
                pass            # the capture is invalid already, and the first error says why
            raise
        self._graph = self.stream.end_capture()
        return result

    def replay(self, stream=None):
        """Run the recorded work on its own stream, or another."""
        self._graph.launch(stream or self.stream)


def new_graph():
    """A Graph, or the emulating driver's stand-in for one."""
    return _emulator.new_graph() if _emulator is not None else Graph()


# --------------------------------------------------------------------------------- several devices

def nccl_device():
    """What tells this process's device from those of all others: (machine, address on its bus).
    None where CuPy has no NCCL."""
    import cupy

    if not cupy.cuda.nccl.available:
        return None
    return socket.gethostname(), cupy.cuda.Device().pci_bus_id


def nccl_communicator(size, rank, host, port):
    """CuPy's communicator over NCCL of ``size`` processes, of which this is number ``rank``. They
    find one another at ``host``:``port``, where rank 0 listens until all are there."""
    from cupyx.distributed import init_process_group

    communicator = init_process_group(size, rank, host=host, port=port)
    communicator.stop()         # all are there: rank 0 need not listen any more
    return communicator


def nccl_sum(communicator, array):
    """The sum over all processes of an array on the device."""
    import cupy

    array = cupy.ascontiguousarray(array)
    out = cupy.empty_like(array)
    communicator.all_reduce(array, out)
    return out
