"""demos/pacman.py as a person runs it: what it writes, how it takes Ctrl-C, what it says to bad options."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DEMO = Path(__file__).parents[1] / "demos" / "pacman.py"
WRITTEN = {"real.png", "reconstructions.png", "samples.png", "samples.gif", "curves.png", "results.json",
           "ldf.safetensors", "samples_ldf.npz"}

pytest.importorskip("ale_py", reason="the demo's clips come from the game")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The process environment with a cache of its own, shared by the tests of this file."""
    return os.environ | {"LDF_CACHE": str(tmp_path_factory.mktemp("cache"))}


# What a background job inherits ignores SIGINT, a person's terminal does not: the program is started heeding it.
HEEDING = ("import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
           "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')")


def start(environment, *options):
    return subprocess.Popen([sys.executable, "-c", HEEDING, str(DEMO), "--clips", "1024", *options], env=environment,
                            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_both_models_write_everything(environment, tmp_path):
    program = start(environment, "--minutes", "0.1", "--train-clips", "256", "--out", str(tmp_path))
    out, err = program.communicate(timeout=240)
    assert program.returncode == 0, err
    assert "256 clips to train on" in out
    assert {p.name for p in tmp_path.iterdir()} == WRITTEN | {"joint.safetensors", "samples_joint.npz"}
    for name in ("ldf", "joint"):
        with np.load(tmp_path / f"samples_{name}.npz", allow_pickle=False) as file:
            clips = file["clips"]
        assert clips.shape == (1000, 5, 32, 32, 3) and clips.dtype == np.uint8
        assert clips.std(axis=0).max() > 0
    results = json.loads((tmp_path / "results.json").read_text())
    anchors = {f"real clips, {kind}" for kind in ("others", "frames independent", "frozen")}
    assert set(results["scores"]) == {"ldf", "joint"} | anchors
    (value, low, high), frozen = results["scores"]["ldf"]["frames KID"], results["scores"]["real clips, frozen"]
    assert low <= value <= high and value > 0 and frozen["motion median"] == 0 and "frames KID" in out
    assert results["options"]["seed"] == 0 and results["versions"]["numpy"] == np.__version__
    assert set(results["ldf"]["training"]) == {"LDF bottom", "LDF top"}
    spent = sum(part["seconds"] for part in results["ldf"]["training"].values())
    assert 0 < spent < 60 and results["joint"]["training"]["joint GAN"]["steps"] > 0
    assert abs(results["joint"]["parameters"] / results["ldf"]["parameters"] - 1) < 0.1
    for name in ("real.png", "reconstructions.png", "samples.png", "curves.png"):
        with Image.open(tmp_path / name) as image:
            assert min(image.size) > 100
    with Image.open(tmp_path / "samples.gif") as image:
        assert image.n_frames == 5


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_ctrl_c_writes_what_there_is(environment, tmp_path):
    program = start(environment, "--minutes", "30", "--model", "ldf", "--out", str(tmp_path))
    deadline = time.monotonic() + 120
    while not (tmp_path / "real.png").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(3)                                   # into the training of the bottom level
    program.send_signal(signal.SIGINT)
    try:
        out, err = program.communicate(timeout=120)
    finally:
        program.kill()                              # nothing is left running, whatever happened
    assert program.returncode == 0, err
    assert {p.name for p in tmp_path.iterdir()} == WRITTEN
    assert json.loads((tmp_path / "results.json").read_text())["ldf"]["training"]["LDF bottom"]["interrupted"]


@pytest.mark.parametrize("options, complaint", [
    (["--minutes", "0"], "--minutes: expected a positive number, got 0"),
    (["--clips", "10"], "--clips: expected at least 1024, got 10"),
    (["--train-clips", "5"], "--train-clips: expected 64 to"),
    (["--seed", "-1"], "--seed: expected a non-negative integer, got -1"),
    (["--data", "no/such/folder"], "no/such/folder"),
    pytest.param(["--device", "cuda"], "CuPy", marks=pytest.mark.skipif(
        importlib.util.find_spec("cupy") is not None, reason="CuPy is installed"))])
def test_bad_options_get_one_sentence(environment, tmp_path, options, complaint):
    program = start(environment, "--out", str(tmp_path / "out"), *options)
    out, err = program.communicate(timeout=60)
    assert program.returncode != 0 and complaint in err and "Traceback" not in err, err

