"""demos/pacman.py as a person runs it: what it writes, how it takes Ctrl-C, what it says to bad
options."""

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DEMO = Path(__file__).parents[2] / "demos" / "pacman.py"
SHOWN = {"reconstructions.png", "samples.png", "samples.gif", "curves.png",
         "scores.png"}
WRITTEN = SHOWN | {"index.html", "results.json", "pieces", "checkpoints", "ldf_seed0.safetensors",
                   "ldf_seed0_losses.png", "samples_ldf.npz"}

pytest.importorskip("ale_py", reason="the demo's clips come from the game")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The process environment with a cache of its own, shared by the tests of this file."""
    return os.environ | {"LDF_CACHE": str(tmp_path_factory.mktemp("cache"))}


# What a background job inherits ignores SIGINT, a person's terminal does not: the program is
# started heeding it.
HEEDING = ("import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
           "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')")
# a checkpoint after every step, not every minute
OFTEN = ("from ldf_np.training.checkpoint import Checkpoints; "
         "Checkpoints.__init__.__wrapped__.__kwdefaults__['every'] = 0; ")


def start(environment, *options, first=""):
    return subprocess.Popen([sys.executable, "-c", first + HEEDING, str(DEMO), "--clips", "1024",
                             *options], env=environment,
                            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(condition, seconds=120):
    """Until the condition is met, or the time is over."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


def test_both_models_write_everything_and_are_made_once(environment, tmp_path):
    options = ("--minutes", "0.05", "--train-clips", "256", "--seeds", "0", "1", "--out",
               str(tmp_path))
    program = start(environment, *options)
    out, err = program.communicate(timeout=240)
    assert program.returncode == 0, err
    assert "256 clips to train on" in out
    assert {p.name for p in tmp_path.iterdir()} == WRITTEN | {"samples_joint.npz"} | {
        f"{name}_seed{seed}{end}" for name in ("ldf", "joint") for seed in (0, 1)
        for end in (".safetensors", "_losses.png")}
    for name, file in (("LDF", "ldf"), ("joint GAN", "joint")):
        with np.load(tmp_path / f"samples_{file}.npz", allow_pickle=False) as saved:
            (key, clips), = saved.items()
        assert key == "clips" and clips.shape == (1000, 5, 32, 32, 3) and clips.dtype == np.uint8
        assert clips.std(axis=0).max() > 0
        for seed in (0, 1):         # those of the first seed
            with np.load(tmp_path / "pieces" / f"{name} seed {seed}.npz") as run:
                assert np.array_equal(clips, run["clips"]) == (seed == 0)
    opened = out[out.index(f"Open in {tmp_path}:"):]
    assert all(name in opened for name in ("index.html", "samples.gif", "samples.png"))
    assert "playing: LDF, joint GAN, real." in opened
    assert "losses: D: discriminator (near 1.39 it cannot tell real from made), " in err
    assert "finished: 5 of 5 runs" in err and "%|" not in err        # lines, and no bars, in a pipe
    results = json.loads((tmp_path / "results.json").read_text())
    beside, placed, samples, training, _ = results["tables"].values()
    anchors = {f"real clips, {kind}" for kind in ("real", "independent", "shuffled", "frozen",
                                                  "noised", "memorised")}
    assert set(beside["rows"]) == {"LDF", "joint GAN"} | anchors
    for table in (placed, samples, training):
        assert set(table["rows"]) == {"LDF", "joint GAN"}
    value, low, high = beside["rows"]["LDF"][0]
    assert beside["columns"][0] == "KID frames" and "KID frames" in out
    assert low <= value <= high and value > 0
    assert beside["rows"]["real clips, frozen"][beside["columns"].index("motion median")] == 0
    assert results["options"]["seeds"] == [0, 1] and results["versions"]["numpy"] == np.__version__
    for name, levels in (("LDF", {"level 0", "top"}), ("joint GAN", {"joint GAN"})):
        for piece in results["models"][name].values():
            assert set(piece["training"]) == levels
            assert 0 < sum(part["seconds"] for part in piece["training"].values()) < 30
    size = {name: results["models"][name]["0"]["parameters"] for name in ("LDF", "joint GAN")}
    assert abs(size["joint GAN"] / size["LDF"] - 1) < 0.1
    assert len(results["claims"]) == 2 and "LDF keeps the background constant" in out
    for name in SHOWN:
        with Image.open(tmp_path / name) as image:
            assert min(image.size) > 90
            assert name != "samples.gif" or image.n_frames == 5

    logs = [p for p in (tmp_path / "checkpoints").rglob("*") if p.is_file()]
    # of checkpoints nothing is left
    assert len(logs) == 6 and {p.name for p in logs} == {"metrics.jsonl"}

    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "pieces").glob("[!.]*")}
    program = start(environment, *options)          # the same command finds everything
    again, err = program.communicate(timeout=120)
    assert program.returncode == 0, err
    assert again == out and {p: p.stat().st_mtime_ns for p in before} == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_ctrl_c_writes_what_there_is_and_the_same_command_goes_on(environment, tmp_path):
    options = ("--minutes", "30", "--model", "ldf", "--seeds", "0", "1", "--out", str(tmp_path))
    program = start(environment, *options)
    log = tmp_path / "checkpoints" / "LDF seed 0" / "level 0" / "metrics.jsonl"
    wait_for(lambda: log.exists() and log.read_text())      # into the training of the bottom level
    program.send_signal(signal.SIGINT)
    try:
        out, err = program.communicate(timeout=120)
    finally:
        program.kill()                              # nothing is left running, whatever happened
    assert program.returncode == 0, err
    assert {p.name for p in tmp_path.iterdir()} == WRITTEN
    results = json.loads((tmp_path / "results.json").read_text())
    steps = results["models"]["LDF"]["0"]["training"]["level 0"]["steps"]
    assert results["interrupted"] and steps > 0
    # to be made whole next time
    assert {p.name for p in (tmp_path / "pieces").glob("[!.]*")} == {"anchors.json"}
    assert "goes on from the checkpoint" in out
    kept = sorted(log.parent.glob("*.json"))
    assert kept[-1].name == f"step-{steps:09d}.json"
    assert {p.name for p in log.parent.parent.iterdir()} == {"level 0"}

    program = start(environment, "--resume", *options)
    wait_for(lambda: [json.loads(line)["step"] for line in log.read_text().splitlines()][-1]
             > steps)
    program.kill()                                          # SIGKILL
    program.communicate()
    recorded = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert recorded == list(range(10, recorded[-1] + 1, 10))        # each once


@pytest.mark.kill
def test_killed_with_a_budget_in_steps_it_ends_with_the_same_weights(environment, tmp_path):
    whole, killed = (tmp_path / name / "ldf_seed0.safetensors" for name in ("whole", "killed"))
    rng, kills = random.Random(0), max(2, int(os.environ.get("LDF_KILLS", 25)) // 8)

    def run(out, condition, first=""):
        """Until the condition is met and a moment longer."""
        program = start(environment, "--steps", "20", "--train-clips", "64", "--model", "ldf",
                        "--seeds", "0", "--out", str(out), first=first)
        wait_for(lambda: condition() or program.poll() is not None)
        time.sleep(rng.uniform(0, 0.2))
        program.kill()
        return program.communicate()[1]

    def steps():
        """Those of which checkpoints are, over both levels."""
        names = [[p.stem[5:] for p in folder.glob("step-*.json")]
                 for folder in killed.parent.glob("checkpoints/*/[lt]*")]
        return sum(max(map(int, some), default=0) for some in names)

    err = run(whole.parent, whole.exists)
    assert whole.exists(), err
    for k in range(kills):
        goal = rng.uniform(20 * k / kills, 20 * (k + 1) / kills)
        run(killed.parent, lambda: steps() >= goal, OFTEN)
        assert steps() >= goal
    err = run(killed.parent, killed.exists, OFTEN)
    assert killed.exists(), err
    assert killed.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("options, complaint", [
    (["--minutes", "0"], "--minutes: expected a positive number, got 0"),
    (["--clips", "10"], "--clips: expected an integer of at least 1024, got 10"),
    (["--bottom-share", "1"], "--bottom-share: expected a number between 0 and 1, got 1"),
    (["--bottom-share", "0"], "--bottom-share: expected a number between 0 and 1, got 0"),
    (["--batch-size", "1"], "--batch-size: expected an integer of at least 2, got 1"),
    (["--train-clips", "5"], "--train-clips: expected an integer of at least 64, got 5"),
    (["--train-clips", "5000"],
     "--train-clips: expected 64 to 1024 (the number of clips), got 5000"),
    (["--pretrained", "--steps", "9"], "--pretrained: expected none of the options that it leaves "
                                       "unused, got --steps --clips"),
    (["--top", "wide"], "--top: expected one of local, mlp, local-ali, mlp-ali first, got wide"),
    (["--top", "local", "seed=3"], "--top: seed: expected to be left to --seeds, got seed=3"),
    (["--top", "local", "width=0"], "--top: local_gan: width: expected"),
    (["--top", ""], "--top: expected one of local, mlp, local-ali, mlp-ali first, got"),
    (["--refiner", "mlp"], "--refiner: expected one of local first, got mlp"),
    (["--refiner", "local", "noise=0"], "--refiner: Denoiser: noise: expected"),
    (["--refiner-share", "1"], "--refiner-share: expected a number between 0 and 1, got 1"),
    (["--top", "local", "depth=0"], "--top: local_gan: depth: expected"),
    (["--seeds", "-1"], "--seeds: expected a non-negative integer, got -1"),
    (["--data", "no/such/folder"], "no/such/folder"),
    (["--resume"], "--resume: nothing was begun in"), (["--on-nan", "hope"], "invalid choice"),
    (["--steps", "1"], "--steps: expected an integer of at least 2, got 1"),
    (["--steps", "9", "--minutes", "1"], "not allowed with argument"),
    pytest.param(["--device", "cuda"], "CuPy", marks=pytest.mark.skipif(
        importlib.util.find_spec("cupy") is not None, reason="CuPy is installed"))])
def test_bad_options_get_one_sentence(environment, tmp_path, options, complaint):
    program = start(environment, "--out", str(tmp_path / "out"), *options)
    out, err = program.communicate(timeout=60)
    assert program.returncode != 0 and complaint in err and "Traceback" not in err, err

