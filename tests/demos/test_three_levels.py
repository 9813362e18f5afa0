"""demos/paper/three_levels.py: models of one size, the memory of a step where it is known, and a
whole small run."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import load_program, verdicts

from ldf_np.experiments.runs import count_parameters
from ldf_np.models import nets
from ldf_np.runtime.threads import in_turn

three_levels = load_program("demos/paper/three_levels.py")


def clips(n, size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 5, size, size, 3), dtype=np.uint8)


def test_the_models_have_as_many_parameters():
    x = clips(8, three_levels.SIZE)
    sizes = {name: count_parameters(make(x, 0)) for name, make in three_levels.MODELS.items()}
    assert max(sizes.values()) < 1.1 * min(sizes.values()), sizes


def test_only_what_sees_all_of_a_frame_grows_with_it():
    steps = {size: three_levels.steps_of(size) for size in (16, 32)}
    with in_turn():         # of two threads the highest sum depends on how they meet
        memory = {size: {name: three_levels.measure(make, 5, 4, 1, 0)["step_mb"]
                         for name, make in some.items() if "frames" in name or "patches" in name}
                  for size, some in steps.items()}
    ratio = {name: memory[32][name] / memory[16][name] for name in memory[16]}
    assert ratio["three levels: patches"] == pytest.approx(1, abs=0.15)
    assert ratio["two levels: frames"] > 1.8            # Negative control.


def test_verdicts_follow_the_numbers():
    def runs(score):
        scores = "KID clips", "KID frames", "motion W1", "MSE from level 0", "MSE from level 1"
        return [{"scores": dict.fromkeys(scores, score + s / 9)} for s in range(3)]

    steps = {name: {"step_mb": mb} for name, mb in (
        ("three levels: patches", [4, 4]), ("three levels: top", [2, 5]),
        ("two levels: frames", [4, 16]), ("joint GAN", [9, 36]))}
    found = {"three levels": runs(1), "two levels": runs(5), "joint GAN": runs(9)}
    assert verdicts(three_levels.claims(found, [steps] * 3, (32, 64))) == ["held"] * 3
    one = {name: some[:1] for name, some in found.items()}
    assert verdicts(three_levels.claims(one, [steps], (32, 64))) == ["one seed"] * 3
    found["three levels"], found["joint GAN"] = found["joint GAN"], found["three levels"]
    steps["three levels: patches"]["step_mb"] = [4, 40]
    assert verdicts(three_levels.claims(found, [steps] * 3, (32, 64))) == ["failed"] * 3


def test_a_run(tmp_path, monkeypatch, capsys):
    data = SimpleNamespace(train=clips(24, 32), test=clips(30, 32, 1))
    monkeypatch.setattr(three_levels, "load_pacman", lambda *_, **__: data)
    monkeypatch.setattr(three_levels, "SAMPLES", 15)
    monkeypatch.setattr(three_levels, "SIZES", (16, 32, 64))
    local = {"width": 4, "hidden": 8}
    monkeypatch.setattr(three_levels, "MODELS", {
        "three levels": lambda x, seed: nets.patch_ldf(
            x, seed=seed, top=lambda shape, seed: nets.local_gan(shape, seed=seed, **local)),
        "two levels": lambda x, seed: nets.clip_ldf(
            x, seed=seed, top=lambda shape, seed: nets.local_gan(shape, seed=seed, **local)),
        "joint GAN": lambda x, seed: three_levels.baselines.joint_gan(hidden=8, seed=seed)})
    monkeypatch.setattr(three_levels, "BATCH", 2)
    fit = nets.LDF.fit
    monkeypatch.setattr(nets.LDF, "fit", lambda self, x, **how: fit(self, x, batch_size=8, **how))
    monkeypatch.setattr(three_levels.baselines.JointGAN, "fit", lambda self, x, fit=(
        three_levels.baselines.JointGAN.fit), **how: fit(self, x, batch_size=8, **how))
    three_levels.run(three_levels.parse(["--steps", "4", "--quick", "--device", "cpu", "--out",
                                         str(tmp_path)]))
    results = json.loads((tmp_path / "results.json").read_text())
    tables = results["tables"]
    assert tables["Training"]["rows"]["three levels"][1] == "level 0 1, level 1 1, top 2"
    scores = tables["Scores beside held-out clips"]
    assert scores["columns"][-1] == "MSE from level 1" and len(scores["rows"]) == 4
    assert tables["A step's memory (MB)"]["columns"] == ["16 pixels", "32 pixels"]
    assert len(results["claims"]) == 3
    for figure in results["figures"]:
        assert (tmp_path / figure["file"]).stat().st_size > 2000
    assert "The bottom of three levels, whatever the frame" in capsys.readouterr().out


@pytest.mark.parametrize("options, message", [
    (["--clips", "10"], "--clips: expected an integer of at least 640, got 10"),
    (["--steps", "1"], "--steps: expected an integer of at least 2, got 1"),
    (["--minutes", "-1"], "--minutes: expected a positive number, got -1")])
def test_bad_options(options, message, capsys):
    with pytest.raises(SystemExit):
        three_levels.parse(options)
    assert message in capsys.readouterr().err
