"""demos/memory.py on short clips: what grows with their length and what does not, and bad options."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

import ldf_np as ldf

PROGRAM = Path(__file__).parents[1] / "demos" / "memory.py"
spec = importlib.util.spec_from_file_location("memory", PROGRAM)
memory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(memory)


@pytest.fixture
def one_thread():
    """With two, how far their work overlaps, and so the peak, varies from step to step."""
    ldf.set_num_threads(1)
    yield
    ldf.set_num_threads(2)


def test_what_grows_and_what_does_not(tmp_path, capsys, one_thread):
    memory.run(memory.parse(["--frames", "2", "40", "80", "--batch", "4", "--steps", "1", "--out", str(tmp_path)]))
    results = json.loads((tmp_path / "results.json").read_text())
    assert (tmp_path / "memory.png").stat().st_size > 5000 and results["frames"] == [2, 40, 80]
    slopes = {name: rows["step_mb"][-1] for name, rows in results["slopes"].items()}
    assert slopes["joint GAN"] > 0.3 and abs(slopes["LDF bottom"]) < 0.1
    assert slopes["LDF top"] < slopes["joint GAN"] and results["slopes"]["LDF top"]["model_mb"][-1] > 0.3      # its basis
    assert "LDF bottom: slope of a step's memory" in capsys.readouterr().out


def test_memory_that_grows_is_noticed():
    """Negative control of the measurement: 8 MB more in a step, and 8 MB more kept."""
    def make(extra_step, extra_kept):
        def model(frames, batch, seed):
            kept = np.zeros(extra_kept)
            return kept, lambda: np.ones(1000 + extra_step).sum()
        return model

    small, step, kept = (memory.measure(make(*sizes), 5, 2, 1, 0) for sizes in ((0, 0), (10 ** 6, 0), (0, 10 ** 6)))
    assert step["step_mb"] - small["step_mb"] == pytest.approx(8, abs=0.5)
    assert kept["model_mb"] - small["model_mb"] == pytest.approx(8, abs=0.5)
    np.testing.assert_allclose(memory.slopes([5, 10, 20], [3, 6, 6]), [1, 0])


@pytest.mark.parametrize("options, message", [
    (["--frames", "5"], "--frames: expected at least two growing numbers from 2, got .5."),
    (["--frames", "9", "5"], "--frames: expected at least two growing"),
    (["--batch", "1"], "--batch: expected at least 2, got 1"), (["--steps", "0"], "--steps: expected at least 1, got 0"),
    (["--minutes", "0"], "--minutes: expected a positive number, got 0")])
def test_bad_options(options, message, capsys):
    with pytest.raises(SystemExit):
        memory.parse(options)
    assert re.search(message, capsys.readouterr().err)
