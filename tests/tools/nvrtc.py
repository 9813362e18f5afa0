"""Compiles CUDA source to machine code with NVIDIA's NVRTC, which needs no card: for errors,
registers and spills.

NVRTC is a package of the test extra (nvidia-cuda-nvrtc); it is called through ctypes.
"""

import ctypes
import importlib.util
import re
from functools import lru_cache
from pathlib import Path

# A line of ptxas's report on each function, and one on each kernel's registers and spills.
FUNCTION = re.compile(
    r"Function properties for (\w+)\n\D*(\d+) bytes stack frame, (\d+) bytes spill stores, "
    r"(\d+) bytes spill loads\n.*?Used (\d+) registers")


@lru_cache(maxsize=1)
def library():
    """NVRTC as a ctypes library, or None where it is not installed."""
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(f) for f in spec.submodule_search_locations] if spec else []
    found = [p for folder in folders for p in folder.rglob("libnvrtc.so.*")]
    if not found:
        return None
    builtins, = [p for p in found[0].parent.glob("libnvrtc-builtins.so.*")]
    ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)     # first: NVRTC looks for it by name
    return ctypes.CDLL(str(found[0]))


def compile_source(text, options):
    """{kernel: (registers, bytes spilled)} of CUDA source. Raises AssertionError with NVRTC's
    message where it fails."""
    nvrtc, program = library(), ctypes.c_void_p()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None,
                                    None) == 0
    try:
        given = [o.encode() for o in (*options, "--ptxas-options=-v")]
        failed = nvrtc.nvrtcCompileProgram(program, len(given),
                                           (ctypes.c_char_p * len(given))(*given))
        size = ctypes.c_size_t()
        nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetProgramLog(program, log)
        report = log.value.decode()
        assert not failed, f"NVRTC does not compile it:\n{report[:4000]}"
        return {name: (int(registers), int(stores) + int(loads))
                for name, _, stores, loads, registers in FUNCTION.findall(report)}
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
