"""Several processes train as one does, to rounding; one that dies ends all; another number of them goes on.

The bound: all weights, running statistics and losses, numbers about 1, within 1e-5 of one another after a few float32 steps;
5e-7 was measured. (The networks have no bias just before a batch normalisation: its gradient is nothing but rounding, which
Adam makes as large as any other.)
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import ranks
from helpers import tiny_ali, values

from ldf_np import Generator, parallel

PROGRAM = Path(__file__).with_name("ranks.py")
BOUND = 1e-5
MPIRUN = shutil.which("mpirun", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(importlib.util.find_spec("mpi4py") is None, reason='needs mpi4py: pip install "ldf_np[mpi]"'),
    pytest.mark.skipif(MPIRUN is None, reason='needs mpirun: pip install "ldf_np[mpi]" brings it'),
]
# A container's only user is often root, and its machine may have fewer cores than ranks.
SETTINGS = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "PRTE_MCA_rmaps_default_mapping_policy":
            ":oversubscribe", "OMPI_MCA_mpi_yield_when_idle": "1"}
TRAININGS = ["ali", "gan", "joint", "vae", "bottom_first", "together"]


def mpirun(count, folder, *names):
    """tests/ranks.py in ``count`` processes."""
    return subprocess.run([MPIRUN, "-n", str(count), sys.executable, PROGRAM, folder, *names], env=os.environ | SETTINGS,
                          capture_output=True, text=True, timeout=60)


def read(folder, what):
    with np.load(folder / f"{what}.npz") as file:
        return dict(file)


def distance(one, other):
    """The largest difference between two results."""
    assert set(one) == set(other)
    return max(float(np.abs(one[k] - other[k]).max()) for k in one if k != "apart")


@pytest.fixture(scope="module")
def by_two(tmp_path_factory):
    """The folder in which two ranks have done everything that comes to its end."""
    folder = tmp_path_factory.mktemp("ranks")
    ended = mpirun(2, folder, *TRAININGS, "normalized", "apart")
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.mark.parametrize("what", TRAININGS)
def test_two_ranks_train_as_one_process_does(by_two, tmp_path, what):
    found = read(by_two, what)
    assert found["apart"] == 0
    assert distance(found, ranks.compute(what, tmp_path)) < BOUND


def test_normalisation_over_ranks_to_the_second_derivative(by_two, tmp_path):
    assert distance(read(by_two, "normalized"), ranks.compute("normalized", tmp_path)) < 1e-12


def test_levels_apart_exchange_only_codes(by_two):
    found = read(by_two, "apart")
    assert found["apart"] == 0
    model, x = tiny_ali(6, hidden=5, stochastic=True, final_lr=0.1), values(41, 4, 6, dtype=np.float32)
    model.fit(x.reshape(-1, 6), steps=12, batch_size=16)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(found[f"models.0.{name}"], array)         # the bottom as if there were no top
    order, codes = Generator(0), model.encode(x.reshape(-1, 6)).reshape(41, -1)
    newest = [order.permutation(41)[:32] for _ in range(3)][-1]
    np.testing.assert_allclose(found["whitening.mean"], codes[newest].mean(axis=0), rtol=0, atol=1e-6)
    assert len(found["1 D"]) == 18
    calls, size = found["log codes"]
    assert calls == 3 and 0 <= size - 3 * 32 * 4 * 5 * 4 < 1000         # float32 codes (32, 4, 5), and what says so
    assert not {"log gradients", "log statistics", "log losses"} & set(found)


def test_statistics_that_are_not_shared_are_noticed(tmp_path):
    """Negative control."""
    ended = mpirun(2, tmp_path, "unsynchronised", "ali", "gan")
    assert ended.returncode == 0, ended.stderr
    for what in ("ali", "gan"):
        assert distance(read(tmp_path, what), ranks.compute(what, tmp_path)) > 1000 * BOUND


def test_an_error_on_one_rank_ends_all_with_its_name(tmp_path):
    ended = mpirun(2, tmp_path, "raises")
    assert ended.returncode != 0
    assert "rank 1 of 2, on " in ended.stderr and "ValueError: this rank has had enough; all ranks end" in ended.stderr


@pytest.mark.parametrize("before, after", [(2, 1), (1, 2)])
def test_what_a_killed_rank_leaves_goes_on_with_another_number(tmp_path, before, after):
    ended = mpirun(before, tmp_path, "dies")
    assert ended.returncode != 0
    assert f"process rank {before - 1} with PID" in ended.stderr and "signal 9 (Killed)" in ended.stderr    # mpirun's words
    begun = max(int(p.stem[5:]) for p in (tmp_path / "run" / "level 0").glob("step-*.json"))
    assert begun in (6, 7)
    whole = ranks.hierarchy("bottom-first", steps=40)
    ended = mpirun(after, tmp_path, "resumed")
    assert ended.returncode == 0, ended.stderr
    found = read(tmp_path, "resumed")
    assert found["apart"] == 0
    found.pop("apart")
    assert distance(found, whole) < 10 * BOUND      # after 40 steps, not 6


def test_a_batch_has_to_divide_among_the_ranks():
    other = parallel.World()
    other.size = 3
    before = parallel.enter(other)
    try:
        with pytest.raises(ValueError, match="batch_size: expected a multiple of 3, the number of ranks, got 16"):
            parallel.share(16)
    finally:
        parallel.enter(before)
