"""Every kernel compiles to machine code for two generations of cards, spills no register and keeps
to a budget of them."""

import nvrtc
import pytest
from emulator import kernel_names

from ldf_np.kernels import cuda

pytestmark = [pytest.mark.nvrtc, pytest.mark.skipif(
    nvrtc.library() is None,
    reason="NVRTC is not installed (nvidia-cuda-nvrtc, for Linux on x86-64 and ARM)")]

FLOAT, DOUBLE = {"REAL": "float"}, {"REAL": "double"}
TILES = [{**FLOAT, "TF32": 0, "VECTOR_A": 4, "VECTOR_B": 4},
         {**FLOAT, "TF32": 0, "VECTOR_A": 1, "VECTOR_B": 1},
         {**FLOAT, "TF32": 1, "VECTOR_A": 4, "VECTOR_B": 4},
         {**FLOAT, "TF32": 1, "VECTOR_A": 1, "VECTOR_B": 4},
         {**DOUBLE, "TF32": 0, "VECTOR_A": 2, "VECTOR_B": 2}]
VARIANTS = {
    "conv.cu": TILES,
    "matmul.cu": [{**TILES[k % len(TILES)], "A_ALONG_K": a, "B_ALONG_K": b}
                  for k, (a, b) in enumerate([(1, 0), (0, 0), (1, 1), (0, 1), (1, 0)])],
    **{file: [FLOAT, DOUBLE] for file in ("norm.cu", "penalty.cu", "elementwise.cu", "optim.cu",
                                          "random.cu")}}
# Registers a thread: four blocks of tiles to a multiprocessor of 65,536 (three in float64), eight
# of the others.
BUDGETS = {"float": {"conv.cu": 128, "matmul.cu": 128},
           "double": {"conv.cu": 168, "matmul.cu": 168}}
OTHERS = 48


def test_no_file_is_left_out():
    folder = cuda.FOLDER
    assert set(VARIANTS) | {"tile.cu"} == {path.name for path in folder.glob("*.cu")}


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
@pytest.mark.parametrize("file, macros",
                         [(f, m) for f, variants in VARIANTS.items() for m in variants],
                         ids=lambda v: v if isinstance(v, str) else "-".join(map(str, v.values())))
def test_it_compiles(file, macros, arch):
    text = cuda.source(file)
    found = nvrtc.compile_source(text, (*cuda.options(macros), f"-arch={arch}"))
    assert set(found) == set(kernel_names(text))
    budget = BUDGETS[macros["REAL"]].get(file, OTHERS)
    for name, (registers, spilled) in found.items():
        assert spilled == 0, f"{name} spills {spilled} bytes"
        assert registers <= budget, f"{name} uses {registers} registers, more than {budget}"


def test_errors_and_spills_are_noticed():
    """Negative controls."""
    with pytest.raises(AssertionError, match="undefined_thing"):
        nvrtc.compile_source(cuda.source("penalty.cu") + "void f() { undefined_thing(); }",
                             cuda.options(FLOAT))
    squeezed = cuda.source("conv.cu").replace("__launch_bounds__(THREADS) conv2d(",
                                              "__launch_bounds__(THREADS, 12) conv2d(")
    _, spilled = nvrtc.compile_source(squeezed, (*cuda.options(TILES[0]), "-arch=sm_90"))["conv2d"]
    assert spilled > 0
