"""The benchmark of several processes: its model against what can be said by hand, and a short run
of all of it."""

import json
import os
import subprocess
import sys
from argparse import Namespace

import pytest
from helpers import CHECKOUT, load_program
from test_mpi import SETTINGS
from test_mpi import pytestmark as needs_mpi

scaling = load_program("benchmarks/scaling.py")
LINKS = {"latency": 1e-3, "bandwidth": 1e6}


def test_an_allreduce_by_hand():
    assert scaling.ring(4000, 2, **LINKS) == pytest.approx(2 * 0.5 * 4e-3 + 2e-3)
    assert scaling.ring(4000, 1024, **LINKS) == pytest.approx(2 * 4e-3 * 1023 / 1024 + 2 * 1023e-3)
    assert scaling.tree(4000, 1024, **LINKS) == pytest.approx(20 * 5e-3)
    found = {"gradients": (2, 8000, 1.0), "statistics": (10, 400, 1.0)}
    assert scaling.exchanges(found, scaling.tree, 1024, **LINKS) == pytest.approx(
        2 * scaling.ring(4000, 1024, **LINKS) + 10 * scaling.tree(40, 1024, **LINKS))


def test_the_line_through_the_parts_of_a_batch():
    alone = {scaling.BOTTOM: {"seconds": 0.74}, "2": {"seconds": 0.42}, "4": {"seconds": 0.26}}
    assert scaling.line(alone, 64) == pytest.approx((0.1, 0.01))


def test_a_model_without_exchanges_keeps_the_part_that_no_rank_takes_over():
    curves = scaling.modelled(0.1, 0.01, {}, Namespace(batch=64, **LINKS))
    for small in ("ring", "tree"):
        each, whole = (dict(curves[f"batch 64 {how}, small sums by {small}"])
                       for how in ("a rank", "in all"))
        assert list(each.values()) == pytest.approx([1.0] * len(each))
        assert whole[1] == pytest.approx(1)
        assert whole[8] == pytest.approx(0.74 / (8 * (0.1 + 0.01 * 8)))
    # negative control
    slow = scaling.modelled(0.1, 0.01, {"gradients": (1, 1e6, 1.0)}, Namespace(batch=64, **LINKS))
    assert all(dict(points)[2] < 0.95 for points in slow.values())


@pytest.mark.mpi
@needs_mpi[1]
@needs_mpi[2]
def test_the_program_in_short(tmp_path):
    ended = subprocess.run([sys.executable, CHECKOUT / "benchmarks" / "scaling.py", "--steps", "1",
                            "--batch", "8", "--out", tmp_path], env=os.environ | SETTINGS,
                            capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    found = json.loads((tmp_path / "results.json").read_text())
    assert set(found["measured"]) == {"1", "2"}
    assert (tmp_path / "scaling.png").stat().st_size > 10_000
    assert found["measured"]["1"]["bottom"]["exchanged"] == {}
    calls, size, seconds = found["measured"]["2"]["bottom"]["exchanged"]["gradients"]
    # float32, of both optimisers
    assert calls == 2 and size == 4 * 1_206_476 and seconds > 0
    assert "2 ranks, bottom, a batch each:" in ended.stdout
    assert "asynchronous levels" in ended.stdout
