"""demos/paper/long_video.py at a tiny size: windows and seams, what is kept, and verdicts."""

import json

import numpy as np
import pytest
from helpers import load_program, weights

import ldf_np as ldf
from ldf_np.data import Clips

program = load_program("demos/paper/long_video.py")


def made_up(count, test_clips=None, frames=5, **_):
    """Clips of a square that moves by a pixel a frame, in place of the game's."""
    def some(n, seed):
        rng = np.random.default_rng(seed)
        clips = np.zeros((n, frames, 32, 32, 3), np.uint8) + rng.integers(
            0, 90, (n, 1, 1, 1, 3), dtype=np.uint8)
        for clip, (row, column) in zip(clips, rng.integers(0, 20, (n, 2))):
            for k, frame in enumerate(clip):
                left = (column + k) % 24
                frame[row:row + 8, left:left + 8] = 250
        return clips

    return Clips(some(min(count, 300), 0), some(test_clips or 40, 1), None, None, 0, {})


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(program, "load_pacman", made_up)


def test_the_program(small, tmp_path, capsys):
    options = ["--steps", "2", "--clips", "128", "--films", "16", "--frames", "20",
               "--device", "cpu", "--out", str(tmp_path)]
    program.run(program.parse(options))
    results = json.loads((tmp_path / "results.json").read_text())
    assert [c["verdict"] for c in results["claims"]] == ["one seed"] * 3
    described = results["tables"][program.report.DESCRIBED]["rows"]
    assert None not in described["The same over films, of the first seed"][1]
    assert list(results["tables"]["windows"]["rows"]) == [*program.ARMS, "refined", "stitched",
                                                           "the game"]
    assert abs(results["claims"][2]["value"]) < 0.1     # the memory is flat already
    for figure in results["figures"]:
        assert (tmp_path / figure["file"]).stat().st_size > 3000 and figure["alt"]
    assert "Open" in capsys.readouterr().out
    saved = (tmp_path / "local_p4_seed0.safetensors").stat().st_mtime_ns
    program.run(program.parse(options))         # again: nothing is trained
    assert (tmp_path / "local_p4_seed0.safetensors").stat().st_mtime_ns == saved
    plain, refined = (ldf.load(tmp_path / f"{name}_seed0.safetensors")
                      for name in ("local_p4", "refined"))
    assert weights(plain.top).tobytes() == weights(refined.top).tobytes()
    assert refined.refiner.ready and plain.refiner is None


@pytest.mark.parametrize("frames", [15, 20, 40, 99, 100])
def test_no_window_lies_within_a_stitched_clip(frames):
    for first in program.starts(frames).values():
        assert 0 <= first <= frames - 5 and first % 5


def test_scores_see_a_seam_and_a_drift():
    real = made_up(10, 60, frames=20).test
    score = program.FilmScores(real[:40, :5], real[:40])
    stitched = np.concatenate([np.roll(real[:, :5], k, axis=0) for k in range(4)], axis=1)
    own, seams = score(real), score(stitched)
    assert seams["KID differences, middle"] > own["KID differences, middle"] + 5
    assert own["drift"][-1] == 0 < seams["drift"][-1]
    value, low, high = score.rise(real)
    assert low <= value <= high


def test_the_slope_of_memory():
    def cost(*memory):
        return {str(t): {"memory": m} for t, m in zip((5, 20, 200), memory)}

    assert program.slope(cost(1, 7, 7)) == 0
    assert program.slope(cost(1, 7, 70)) == pytest.approx(1)       # control: it grows


@pytest.mark.parametrize("words, message", [
    (["--frames", "14"], "--frames: expected an integer of at least 15, got 14"),
    (["--clip-frames", "16"], "--clip-frames: expected an integer of at least 17, got 16"),
    (["--films", "0"], "--films: expected an integer of at least 16"),
    (["--minutes", "0"], "--minutes: expected a positive number")])
def test_bad_options(capsys, words, message):
    with pytest.raises(SystemExit):
        program.parse(words)
    assert message in capsys.readouterr().err
