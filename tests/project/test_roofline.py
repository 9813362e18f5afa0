"""The roofline of a step's operations: what is counted, and a short run of it."""

import json
import subprocess
import sys

import numpy as np
import pytest
from helpers import CHECKOUT, load_program


@pytest.fixture
def roofline(monkeypatch):
    monkeypatch.syspath_prepend(CHECKOUT / "benchmarks")
    return load_program("benchmarks/roofline.py")


def test_all_faces_of_a_form_take_as_much_arithmetic(roofline):
    x, w, y = np.ones((1, 4, 4, 2)), np.ones((3, 3, 2, 5)), np.ones((1, 2, 2, 5))
    assert roofline.flop("_conv2d", [x, w], y) == 2 * 4 * 9 * 2 * 5
    assert roofline.flop("_conv_transpose2d", [y, w], x) == 2 * 4 * 9 * 2 * 5
    assert roofline.flop("_conv2d_weight", [x, y], w) == 2 * 4 * 9 * 2 * 5
    a, b, g = np.ones((2, 3)), np.ones((3, 5)), np.ones((2, 5))
    assert roofline.flop("_matmul", [a, b], g) == 2 * 2 * 3 * 5
    assert roofline.flop("_times_transposed", [g, b], a) == 2 * 2 * 3 * 5
    assert roofline.flop("_transposed_times", [a, g], b) == 2 * 2 * 3 * 5
    assert roofline.flop("add", [a, a], a) == 6         # not a product


def test_what_is_recorded(roofline):
    record, x = roofline.Record(), np.ones((4, 3), np.float32)
    record.watch("add", np.add)(x, x)
    record.watch("reshape", np.reshape)(x, (3, 4))      # a view: nothing moves
    (name, (calls, _, work, moved)), = record.rows.items()
    assert (name, calls, work, moved) == ("add 4x3 4x3", 1, 12, 3 * x.nbytes)


def test_a_short_run(tmp_path):
    ended = subprocess.run(
        [sys.executable, CHECKOUT / "benchmarks" / "roofline.py", "--model", "mlp", "--batch", "4",
         "--steps", "1", "--out", tmp_path], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    found = json.loads((tmp_path / "roofline.json").read_text())
    named = " ".join(row["operation"] for row in found["rows"])
    assert all(some in named for some in ("matmul", "adam", "normalize ", "leaky_relu_vjp"))
    assert (tmp_path / "roofline.png").stat().st_size > 1000


@pytest.mark.parametrize("wrong", [["--batch", "1"], ["--steps", "0"]])
def test_what_is_refused(wrong):
    ended = subprocess.run([sys.executable, CHECKOUT / "benchmarks" / "roofline.py", *wrong],
                           capture_output=True, text=True)
    assert ended.returncode == 2 and wrong[0] in ended.stderr
