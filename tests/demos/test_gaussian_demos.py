"""demos/gaussian_blocks.py and demos/gaussians25.py: what they write and print, and bad options."""

import json
import os
import subprocess
import sys
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import CHECKOUT, load_program

from ldf_np.experiments import cli
from ldf_np.gaussian import experiments, pictures
from ldf_np.gaussian.curves import ESTIMATORS


@pytest.fixture
def blocks():
    return load_program("demos/gaussian_blocks.py")


@pytest.fixture
def few(blocks, monkeypatch):
    """Little of everything, and all of it in this process: a fork would not like pytest's
    threads."""
    class Pool:
        def submit(self, function, *inputs):
            future = Future()
            future.set_result(function(*inputs))
            return future

    monkeypatch.setattr(blocks, "ProcessPoolExecutor", lambda *_, **__: nullcontext(Pool()))
    effort = replace(experiments.QUICK, steps={"frames": 20, "top": 20, "joint": 20},
                     transition_repeats=4, null_draws=50, draws=10, curve_points=2, case_repeats=2,
                     crossing_points=3, crossing_repeats=2)
    monkeypatch.setattr(experiments, "QUICK", effort)
    monkeypatch.setattr(experiments, "CASES", experiments.CASES[:2])
    monkeypatch.setattr(experiments, "SPREAD", {"k": 3, "d": 10, "theta": 0.5, "rho": 0.9})


SETTINGS = "--quick --k 2 --d 6 --n-joint 20 40 --frames 100 --repeats 3".split()


def test_blocks_writes_what_it_says(blocks, few, tmp_path, capsys):
    out = tmp_path / "pictures"
    blocks.run(blocks.parse([*SETTINGS, "--rho", "0.5", "--out", str(out)]))
    figures = {file for file, _, _ in pictures.FIGURES}
    assert len(figures) == 4
    assert {p.name for p in out.iterdir()} == figures | {"index.html", "results.json"}
    results = json.loads((out / "results.json").read_text())
    assert results["seed"] == 0 and results["options"]["k"] == 2 and results["parts"]["total"] > 0
    points = results["errors"]["rho = 0.5"]["points"]
    assert {q["estimator"] for q in points} == set(ESTIMATORS)
    assert results["trained"]["rho = 0.5"][0]["LDF"]["frobenius"] > 0
    printed = capsys.readouterr().out
    assert "H-full" in printed and "joint GAN" in printed


def test_blocks_with_a_matrix_and_own_networks(blocks, few, tmp_path, capsys):
    """Without the shared W that LDF needs nothing is trained."""
    matrix = tmp_path / "R.csv"
    matrix.write_text("1,0.3\n0.3,1\n")
    out = tmp_path / "out"
    blocks.run(blocks.parse([*SETTINGS, "--R", str(matrix), "--unshared", "--out", str(out)]))
    results = json.loads((out / "results.json").read_text())
    assert results["trained"] == {"R as given": []}
    assert results["transition"]["setting"] == "R as given"
    assert "joint GAN" not in capsys.readouterr().out


@pytest.mark.parametrize("arguments, name", [
    (["--rho", "1"], "rho"),
    (["--r", "99"], "r: expected at most"),
    (["--n-joint", "1"], "n-joint"),
    (["--theta", "-1"], "theta"),
    (["--R", "missing.npy"], "missing.npy"),
    (["--R", "empty.npy"], "--R: empty.npy: expected a matrix"),
    (["--R", "bytes.csv"], "--R: bytes.csv: expected a matrix"),
    (["--R", ""], "--R: : expected a matrix"),
    (["--theta", "1e300"], "theta / sigma^2: expected"),
    (["--sigma", "1e-200"], "sigma: expected"),
    (["--k", "1000000", "--d", "1"], "k: an array of shape 1000000x1000000"),
    (["--repeats", "1"], "repeats"),
    (["--repeats", "0"], "repeats: expected at least 2, got 0"),
    (["--seed", "-1"], "seed"),
])
def test_blocks_names_bad_options_in_one_line(blocks, tmp_path, arguments, name):
    Path("empty.npy").touch()
    Path("bytes.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(SystemExit) as ended:
        cli.main(blocks.run, blocks.parse([*arguments, "--out", str(tmp_path / "out")]))
    assert "\n" not in str(ended.value) and name in str(ended.value)
    assert not (tmp_path / "out").exists()


def test_dependences_that_differ_little_are_two(blocks):
    given = blocks.parse(["--rho", "0.1234567", "0.1234568", "0"])
    assert list(blocks.read_models(given)) == ["rho = 0.1234567", "rho = 0.1234568", "rho = 0"]
    with pytest.raises(SystemExit):         # not both
        blocks.parse(["--rho", "0.5", "--R", "file"])


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_blocks_end_at_once():
    """Ctrl-C does not wait for what the second process has to do."""
    code = ("import multiprocessing, os, signal, sys, time; sys.path.insert(0, 'tests/tools')\n"
            "from helpers import load_program\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "def both(): time.sleep(1); os.kill(os.getpid(), signal.SIGINT); time.sleep(60)\n"
            "try:\n    load_program('demos/gaussian_blocks.py').work("
            "{'here': (both,), 'there': (time.sleep, 60), 'later': (time.sleep, 60)}, "
            "['there', 'later'])\n"
            "except KeyboardInterrupt:\n    print(multiprocessing.active_children())\n")
    ended = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True,
                           text=True, timeout=50)
    assert ended.stdout == "[]\n" and not ended.stderr


def test_25_gaussians_writes_a_folder_and_counts_modes(tmp_path, capsys):
    program, out = load_program("demos/gaussians25.py"), tmp_path / "new"
    options = program.parse(["--seeds", "0", "1", "--steps", "2", "--out", str(out)])
    program.run(options)
    printed = capsys.readouterr().out
    assert "modes hit, of 25" in printed and f"Open in {out}:" in printed
    assert (out / "modes.png").stat().st_size > 5000
    assert {p.name for p in out.iterdir()} == {"checkpoints", "index.html", "modes.png",
                                               "pieces", "results.json"}
    rows = json.loads((out / "results.json").read_text())["tables"]["25 Gaussians"]["rows"]
    assert list(rows) == ["seed 0", "seed 1", "mean", "ALI's authors"]
    hits, low, high = rows["mean"][0]
    assert 0 <= low <= hits <= high <= 25
    program.run(options)            # what is finished is not done again
    assert "ALI:" not in capsys.readouterr().err


@pytest.mark.parametrize("given", [["--latent-weight", "-1"], ["--steps", "0"], ["--penalty", "x"],
                                   ["--device", "tpu"]])
def test_25_gaussians_refuses_bad_options(given, capsys):
    with pytest.raises(SystemExit):
        load_program("demos/gaussians25.py").parse(given)
    assert f"argument {given[0]}: " in capsys.readouterr().err
