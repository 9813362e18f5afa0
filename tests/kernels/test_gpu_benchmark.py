"""benchmarks/gpu.py as far as it goes without a card: its checks and its steps, on the emulator."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from devices import EMULATED, Device
from helpers import load_program

from ldf_np.models import nets

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.fixture
def gpu():
    return load_program("benchmarks/gpu.py")


def emulated(test):
    for mark in EMULATED:
        test = mark(test)
    return test


@emulated
def test_faces_are_checked_in_both_precisions(gpu, capsys):
    with Device("emulator").active():
        records = gpu.faces(1, gpu.Clock(), layers={"small": (2, [(8, 3, 8, 4, 2, 1)])})
    assert len(records) == 6 and len(capsys.readouterr().out.splitlines()) == 6
    errors = {record["name"]: record["error"] for record in records}
    assert all(e < 1e-5 for name, e in errors.items() if name.endswith("highest"))
    # TF32 was used
    assert all(1e-5 < e < 5e-3 for name, e in errors.items() if name.endswith("high"))


def test_a_wrong_result_is_not_timed(gpu):
    with pytest.raises(SystemExit,
                       match="conv2d: wrong by 2.0e-01 of the largest element, more than 1e-04: "
                             "nothing is timed"):
        gpu.check("conv2d", np.array([1.0, 0.8]), np.array([1.0, 1.0]), 1e-4)
    assert gpu.check("conv2d", np.ones(2), np.ones(2), 1e-4) == 0


@emulated
def test_the_penalty_and_a_step(gpu):
    with Device("emulator").active():
        record, = gpu.penalty_sums(1, gpu.Clock(), 4, 300)
        step = gpu.our_step(nets.mlp_gan(6, hidden=8), np.ones((8, 6), np.float32))
        took = gpu.medians({"ours": step}, 2, gpu.Clock(), warm_up=4)
    assert record["error"] < 1e-5 and record["share of copy bandwidth"] > 0 and took["ours"] > 0


def test_without_a_card_it_says_why():
    hide = "import sys; sys.modules['cupy'] = None; sys.argv = ['gpu.py']; import runpy; "
    result = subprocess.run([sys.executable, "-c",
                             hide + f"runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"],
                            capture_output=True, text=True)
    assert result.returncode == 1 and "gpu.py: the CUDA backend needs CuPy" in result.stderr
