"""benchmarks/schedules.py: curves of models of noted moments, and what is
refused."""

import shutil
import sys

import numpy as np
import pytest
from helpers import load_program

from ldf_np.models import nets

schedules = load_program("benchmarks/schedules.py")


def clips(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 5, 32, 32, 3), dtype=np.uint8)


def test_a_curve_is_of_the_parts_as_they_were_noted_last():
    """Two sides note in turn; only the top's moments can be sampled, and only once it is ready."""
    model, x = nets.clip_ldf(clips(8)), clips(schedules.SCORED)
    parts = {"models.0": model.models[0], "whitening": model.whitening, "top": model.top}
    unready = {name: part.state_dict() for name, part in parts.items()}
    model.whitening.fit(model.codes(x[:100]))
    ready = {name: part.state_dict() for name, part in parts.items()}
    first = {"models.0": unready["models.0"]}
    above = {name: ready[name] for name in ("whitening", "top")}
    found = schedules.curve(model, parts, [(3.0, above), (1.0, unready), (2.0, first)], x)
    assert [seconds for seconds, _ in found] == [3.0] and np.isfinite(found[0][1])


def test_when_a_score_is_reached():
    curve = [[1.0, 9.0], [2.0, 4.0], [3.0, 5.0], [4.0, 1.0]]
    assert [schedules.reached(curve, score) for score in (9, 5, 1, 0.5)] == [1.0, 2.0, 4.0, None]


def test_what_trains_by_a_schedule(monkeypatch):
    alone = schedules.command("together", ["--steps=20"], 3)
    assert alone[0] == sys.executable and alone[2:] == ["--steps=20", "--train", "together"]
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "mpirun")
    assert schedules.command("asynchronous", [], 3)[:3] == ["mpirun", "-n", "3"]
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ValueError, match="mpirun was not found"):
        schedules.command("asynchronous", [], 3)


@pytest.mark.parametrize("options, message", [
    (["--steps", "25"], "--steps: expected a multiple of 10, got 25"),
    (["--steps", "0"], "--steps: expected an integer of at least 10, got 0"),
    (["--levels", "4"], "--levels: invalid choice"),
    (["--clips", "10"], "--clips: expected an integer of at least 256, got 10")])
def test_bad_options(options, message, capsys):
    with pytest.raises(SystemExit):
        schedules.parse(options)
    assert message in capsys.readouterr().err
