"""A driver that runs the CUDA kernels on the CPU: it compiles the unchanged .cu files with g++ and
cuda_on_cpu.h.

    with cuda.emulated(Emulator()):     # NumPy arrays now stand for arrays on the device
        kernels.conv.conv2d(x, w)       # runs the launcher and the kernel's code

Arguments are copied to memory that ends at a protected page, so an access out of bounds is caught
where it happens. Libraries are kept in build/emulator and compiled once for each set of macros.
"""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from ldf_np.kernels import cuda
from ldf_np.runtime.random import Generator

HEADER = Path(__file__).with_name("cuda_on_cpu.h")
COMPILER = shutil.which("g++")
KERNEL = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\((\w+)\) )?(\w+)\s*\(')
FOLDER = Path(__file__).parents[2] / "build" / "emulator"
ORDERS = {"forwards": 0, "backwards": 1, "shuffled": 2}


class EmulationError(AssertionError):
    """A kernel did what a card would punish or, worse, would not."""


def kernel_names(text):
    """The names of the kernels in a .cu file's text."""
    return [name for _, name in KERNEL.findall(text)]


def most_threads(text):
    """{kernel: how many threads a block may have, by its __launch_bounds__ (a number or a
    constant's name) or any card's}."""
    constants = dict(re.findall(r"\b(\w+) = (\d+)[,;]", text))
    return {name: int(constants.get(bound, bound or 1024)) for bound, name in KERNEL.findall(text)}


class Emulator:
    """Runs kernels in one order of their threads: "forwards", "backwards" or "shuffled".

    ``launched`` counts launches by kernel; ``edit`` (file, old, new) plants a mistake in a source
    before it is compiled. ``races``: whether every access is looked at for two threads that meet
    without a barrier, which is several times slower.
    """

    def __init__(self, order="forwards", edit=None, races=False):
        self.order, self.edit, self.races = ORDERS[order], edit, races
        self.launched, self.libraries, self.most = {}, {}, {}

    def launch(self, file, name, grid, block, arguments, shared_bytes, macros):
        library = self._library(file, macros)
        self.launched[name] = self.launched.get(name, 0) + 1
        limits = (2 ** 31 - 1, 65535, 65535), (1024, 1024, 64)
        grid, block = (tuple(d) + (1,) * (3 - len(d)) for d in (grid, block))
        for what, size, limit in (("grid", grid, limits[0]), ("block", block, limits[1])):
            if not all(1 <= s <= m for s, m in zip(size, limit)):
                raise EmulationError(f"{name}: {what} {size}, expected 1 to {limit}")
        if file not in self.most:
            self.most[file] = most_threads(cuda.source(file))
        most = self.most[file][name]
        if np.prod(block) > most or shared_bytes > 227 * 1024:
            raise EmulationError(
                f"{name}: {np.prod(block)} threads and {shared_bytes} bytes of shared memory a "
                f"block, expected at most {most} and {227 * 1024}")
        fenced, held, packed = {}, [], []
        for a in arguments:
            if isinstance(a, np.ndarray):
                packed.append(ctypes.c_void_p(self._fenced(library, a, fenced)))
            elif a is None:
                packed.append(ctypes.c_void_p(None))
            else:
                held.append(np.array(a))
                packed.append(np.ctypeslib.as_ctypes(held[-1]))
        pointers = (ctypes.c_void_p * len(packed))(*(ctypes.addressof(p) for p in packed))
        failed = getattr(library, f"launch_{name}")(
            len(packed), pointers, (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block),
            ctypes.c_size_t(shared_bytes), self.order)
        beside = ""
        for array, (start, address, room) in fenced.values():
            end = address + array.nbytes
            for where, first, size in (("before", start, address - start),
                                       ("behind", end, start + room - end)):
                if ctypes.string_at(first, size).strip(b"\xff"):
                    beside = f"wrote {where} an argument of {array.shape}"
            if not failed and array.flags.writeable:
                ctypes.memmove(array.ctypes.data, address, array.nbytes)
            library.emulator_unmap(ctypes.c_void_p(start), ctypes.c_size_t(room))
        if failed:
            places = "; ".join(f"argument of {a.shape} at {s:#x} to {s + a.nbytes:#x}"
                               for a, (_, s, _) in fenced.values())
            raise EmulationError(
                f"{file}: {name}: {library.emulator_message().decode()} ({places})")
        if beside:
            raise EmulationError(f"{file}: {name}: {beside}")

    @staticmethod
    def new_graph():
        """What stands for a CUDA graph."""
        return Replay()

    @staticmethod
    def _fenced(library, array, fenced):
        """The address of a copy of the array that ends at a protected page (to 16 bytes, for it is
        aligned as the array is)."""
        key = array.ctypes.data, array.nbytes
        if key not in fenced:
            lead = array.ctypes.data % 16
            taken = -(-max(array.nbytes + lead, 1) // 16) * 16
            room = -(-taken // 4096) * 4096
            start = library.emulator_map(ctypes.c_size_t(room))
            if not start:
                raise MemoryError(f"no memory for an argument of {array.nbytes} bytes")
            address = start + room - taken + lead
            ctypes.memset(start, 0xff, room)
            ctypes.memmove(address, array.ctypes.data, array.nbytes)
            fenced[key] = array, (start, address, room)
        return fenced[key][1][1]

    def _library(self, file, macros):
        key = file, tuple(sorted(macros.items()))
        if key not in self.libraries:
            text = cuda.source(file)
            if self.edit is not None and self.edit[0] == file:
                if self.edit[1] not in text:
                    raise ValueError(f"{self.edit[1]!r} is not in {file}")
                text = text.replace(*self.edit[1:])
            self.libraries[key] = _load(text, cuda.options(macros), self.races)
        return self.libraries[key]


class Replay:
    """What stands for a CUDA graph on the emulator.

    The recording does the work, and each later replay does it again into the recorded results. (A
    card records without doing the work; its first replay does what the recording does here.)
    """

    def __init__(self):
        self.replays = 0

    def here(self):
        return nullcontext()

    def capture(self, work):
        self.work, self.results = work, work()
        return self.results

    def replay(self):
        self.replays += 1
        if self.replays == 1:
            return
        # A replay does not change the host's counters.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Generator, "push", lambda *_: None)
            patch.setattr(Generator, "follow", lambda *_: None)
            for name, tensor in self.work().items():
                self.results[name].data[...] = tensor.data


def _load(text, options, races):
    """The kernels of a source as a library, from the folder or compiled into it."""
    wrappers = "\n".join(
        f'extern "C" int launch_{name}(int given, void** arguments, const unsigned* grid, '
        "const unsigned* block, size_t shared_bytes, int order) { return emulator::launch("
        f"{name}, given, arguments, grid, block, shared_bytes, order); }}"
        for name in kernel_names(text))
    options = [o.replace("--std", "-std") for o in options] + [
        "-O2", "-c", "-fPIC", "-x", "c++", "-U_FORTIFY_SOURCE", "-fno-stack-protector", "-w",
        "-fsanitize=bounds", "-fsanitize-undefined-trap-on-error"]
    if races:
        options += ["-DEMULATOR_RACES", "-fsanitize=thread", "-fno-threadsafe-statics",
                    "--param=tsan-instrument-func-entry-exit=0"]
    digest = hashlib.sha256("\0".join([HEADER.read_text(), text, wrappers,
                                       *options]).encode()).hexdigest()[:24]
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{digest}.so"
    if not path.exists():
        temporary = FOLDER / f"{digest}-{os.getpid()}"
        whole = f'#include "{HEADER}"\n{text}\n{wrappers}\n'
        # Linked separately, because with -fsanitize=thread g++ would link its own answers to the
        # calls that this makes. -Bsymbolic: glibc has an advance() of its own.
        for command in ([COMPILER, *options, "-o", f"{temporary}.o", "-"],
                        [COMPILER, "-shared", "-Wl,-Bsymbolic", "-o", f"{temporary}.so",
                         f"{temporary}.o"]):
            result = subprocess.run(command, input=whole, text=True, capture_output=True)
            if result.returncode:
                raise EmulationError(f"g++ does not compile it:\n{result.stderr[-3000:]}")
        os.unlink(f"{temporary}.o")
        os.replace(f"{temporary}.so", path)
    library = ctypes.CDLL(str(path))
    library.emulator_map.restype = ctypes.c_void_p
    library.emulator_message.restype = ctypes.c_char_p
    return library
