"""demos/paper/trial.py: settings from words, one small trial of either kind, what is refused."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / "demos" / "paper" / "trial.py"
spec = importlib.util.spec_from_file_location("trial", PATH)
trial = importlib.util.module_from_spec(spec)
spec.loader.exec_module(trial)


@pytest.fixture
def small(monkeypatch):
    clips = np.random.default_rng(0).integers(0, 256, (80, 5, 32, 32, 3), dtype=np.uint8)
    monkeypatch.setattr(trial, "load_pacman", lambda *_, **__: SimpleNamespace(train=clips))
    monkeypatch.setattr(trial, "CLIPS", 40)


def test_settings_from_words():
    known = {"some": dict}
    made = trial.cli.network("some gamma=50 betas=0.0,0.99 loss=relativistic lr=1e-3", known)
    assert trial.cli.network(None, known) is None
    assert made(shape=3) == {"gamma": 50, "betas": (0.0, 0.99), "loss": "relativistic", "lr": 1e-3,
                             "shape": 3}


@pytest.mark.parametrize("words, penalty", [
    (["--bottom", "places", "latent_size=4", "--top", "local", "width=4", "hidden=8", "--refiner",
      "local", "width=4", "--refiner-steps", "2", "--passes", "1"], 150.0),
    (["--bottom", "small", "--top", "mlp", "components=6", "gamma=7"], 7)])
def test_a_trial_of_the_hierarchy(small, tmp_path, capsys, words, penalty):
    options = trial.parse([*words, "--bottom-steps", "2", "--steps", "3", "--device", "cpu",
                           "--clips", "2000", "--out", str(tmp_path)])
    trial.run(options)
    trial.run(options)          # the bottom is read this time
    first, again = map(json.loads, (tmp_path / "trials.jsonl").read_text().splitlines())
    assert first == again and first["steps"] == 3 and "MSE z" in first["scores"]
    assert len(list(tmp_path.glob("bottom_*.safetensors"))) == 1
    assert f"| `--bottom {words[1]}" in capsys.readouterr().out
    model, _ = trial.hierarchy(options, 0, trial.load_pacman().train)
    assert model.top.gamma == penalty
    assert model.refiner is None if words[1] == "small" else model.refiner.ready and model.passes
    refined = "--refiner local width=4 --refiner-steps 2 --passes 1"
    assert (refined in first["trial"]) == (words[1] != "small")


def test_a_trial_of_the_joint_gan(small, tmp_path):
    trial.run(trial.parse(["--joint", "hidden=8", "gamma=5", "--steps", "2", "--clips", "2000",
                           "--device", "cpu", "--out", str(tmp_path)]))
    found, = map(json.loads, (tmp_path / "trials.jsonl").read_text().splitlines())
    assert found["trial"] == "--joint hidden=8 gamma=5" and "MSE h" not in found["scores"]


@pytest.mark.parametrize("words, message", [
    (["--top", "wide"], "--top: expected one of local, mlp, local-ali, mlp-ali first, got wide"),
    (["--refiner", "local", "width=0"], "--refiner: map_denoiser: width: expected"),
    (["--bottom", "gamma=3"], "--bottom: expected one of places, small first, got gamma=3"),
    (["--top", "local", "gamma"], "--top: expected settings NAME=VALUE, got gamma"),
    (["--top", "local", "wdth=3"], "--top: Game.__init__() got an unexpected keyword argument"),
    (["--bottom", "places", "latent_size=x"], "--bottom: place_ali: latent_size: expected"),
    (["--joint", "gamma=3=4"], "--joint: expected settings NAME=VALUE, got gamma=3=4"),
    (["--joint", "gamma=-1"], "--joint: JointGAN: gamma: expected"),
    (["--steps", "0"], "--steps: expected an integer of at least 1, got 0")])
def test_what_is_refused(capsys, words, message):
    with pytest.raises(SystemExit):
        trial.parse(words)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("words", [
    ["--top", "local", "components=160"], ["--top", "mlp", "components=abc"],
    ["--top", "mlp", "components="], ["--top", "mlp", "components=0"],
    ["--top", "mlp", "components=160", "--refiner", "local"]])
def test_components_are_looked_at_before_anything_is_trained(words, capsys):
    with pytest.raises(SystemExit):
        trial.parse(words)
    assert "--top: components: expected a whole number of at least 1" in capsys.readouterr().err
    assert trial.parse(["--top", "components=160", "mlp"]).top == "mlp components=160"  # control


def test_the_joint_gan_takes_none_of_ldf_s_options(capsys):
    with pytest.raises(SystemExit):
        trial.parse(["--joint", "gamma=3", "--bottom", "small", "--refiner", "local"])
    assert ("--joint: expected none of the options that it leaves unused, got --bottom --refiner"
            in capsys.readouterr().err)
