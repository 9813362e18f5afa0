"""demos/paper/memory.py on short clips: what grows with their length and what does not, and bad
options."""

import json
import re

import numpy as np
import pytest
from helpers import load_program

import ldf_np as ldf
from ldf_np.experiments import report

memory = load_program("demos/paper/memory.py")


@pytest.fixture
def one_thread():
    """With two, how far their work overlaps, and so the peak, varies from step to step."""
    ldf.set_num_threads(1)
    yield
    ldf.set_num_threads(2)


def test_what_grows_and_what_does_not(tmp_path, capsys, one_thread):
    memory.run(memory.parse(["--frames", "2", "40", "80", "--batch", "4", "--steps", "1",
                             "--seeds", "0", "1",
                             "--device", "cpu", "--out", str(tmp_path)]))
    results = json.loads((tmp_path / "results.json").read_text())
    assert (tmp_path / "memory.png").stat().st_size > 5000 and results["frames"] == [2, 40, 80]
    steps, kept = (results["tables"][f"Slope of {what}"]["rows"]
                   for what in ("a step's memory", "what is kept"))
    last = {name: cells[-1][0] for name, cells in steps.items()}
    assert last["joint GAN"] > 0.3 and abs(last["LDF bottom"]) < 0.1
    assert last["LDF top"] < last["joint GAN"] and kept["LDF top"][-1][0] > 0.3       # its basis
    (vastly,), more = results["claims"], results["tables"][report.DESCRIBED]["rows"].values()
    with_local, flat = (found for _, (found, *_) in more)
    assert vastly["verdict"] == "failed" and 0 < with_local <= vastly["value"] < 10
    assert abs(flat) < 0.1
    assert "How LDF's bottom grows with the clip" in capsys.readouterr().out


def test_a_card_is_measured_by_its_pool():
    # as CuPy's: what is freed stays in it until all free blocks are given back
    class Pool:
        used, held = 0, 0

        def get_default_memory_pool(self):
            return self

        def used_bytes(self):
            return self.used

        def total_bytes(self):
            return self.held

        def free_all_blocks(self):
            self.held = self.used

    pool = Pool()
    with memory.CardMemory(pool) as measured:
        pool.used, pool.held = 100, 900         # left by the first step
        assert measured.kept() == 100
        pool.held = 700                         # the second step took 600 more and freed them
        assert measured.peak() - 100 == 600
    assert pool.held == 100


def test_memory_that_grows_is_noticed():
    """Negative control of the measurement: 8 MB more in a step, and 8 MB more kept."""
    def make(extra_step, extra_kept):
        def model(frames, batch, seed):
            kept = np.zeros(extra_kept)
            return kept, lambda: np.ones(1000 + extra_step).sum()
        return model

    small, step, kept = (memory.measure(make(*sizes), 5, 2, 1, 0)
                         for sizes in ((0, 0), (10 ** 6, 0), (0, 10 ** 6)))
    assert step["step_mb"] - small["step_mb"] == pytest.approx(8, abs=0.5)
    assert kept["model_mb"] - small["model_mb"] == pytest.approx(8, abs=0.5)
    np.testing.assert_allclose(memory.slopes([5, 10, 20], [3, 6, 6]), [1, 0])


@pytest.mark.parametrize("options, message", [
    (["--frames", "5"], "--frames: expected at least two growing numbers from 2, got .5."),
    (["--frames", "1", "5"], "--frames: expected an integer of at least 2, got 1"),
    (["--frames", "9", "5"], "--frames: expected at least two growing"),
    (["--batch", "1"], "--batch: expected an integer of at least 2, got 1"),
    (["--steps", "0"], "--steps: expected an integer of at least 1, got 0"),
    (["--minutes", "0"], "--minutes: expected a positive number, got 0")])
def test_bad_options(options, message, capsys):
    with pytest.raises(SystemExit):
        memory.parse(options)
    assert re.search(message, capsys.readouterr().err)
