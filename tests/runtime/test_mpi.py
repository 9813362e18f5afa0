"""Several processes train as one does, to rounding; one that dies ends all; another number of them
goes on.

The bound: all weights, running statistics and losses, numbers about 1, within 1e-5 of one another
after a few float32 steps; 5e-7 was measured. (The networks have no bias just before a batch
normalisation: its gradient is nothing but rounding, which Adam makes as large as any other.)
"""

import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import ranks
from helpers import tiny_ali, values

from ldf_np import Generator
from ldf_np.models.ldf_async import _Made
from ldf_np.runtime import distributed as parallel

PROGRAM = Path(__file__).parents[1] / "tools" / "ranks.py"
BOUND = 1e-5
MPIRUN = shutil.which("mpirun", path=os.pathsep.join([str(Path(sys.executable).parent),
                                                      os.environ.get("PATH", "")]))
pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(importlib.util.find_spec("mpi4py") is None,
                       reason='needs mpi4py: pip install -e ".[mpi]"'),
    pytest.mark.skipif(MPIRUN is None, reason='needs mpirun: pip install -e ".[mpi]" brings it'),
]
# A container's only user is often root, and its machine may have fewer cores than ranks.
SETTINGS = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "PRTE_MCA_rmaps_default_mapping_policy":
            ":oversubscribe", "OMPI_MCA_mpi_yield_when_idle": "1"}
TRAININGS = ["ali", "places", "gan", "joint", "vae", "denoiser", "bottom_first", "together"]


def mpirun(count, folder, *names, **environment):
    """tests/tools/ranks.py in ``count`` processes."""
    return subprocess.run([MPIRUN, "-n", str(count), sys.executable, PROGRAM, folder, *names],
                          env=os.environ | SETTINGS | environment, capture_output=True, text=True,
                          timeout=60)


def read(folder, what):
    with np.load(folder / f"{what}.npz") as file:
        return dict(file)


def distance(one, other):
    """The largest difference between two results."""
    one, other = ({k: a for k, a in found.items() if k != "difference" and not k.startswith("log ")}
                  for found in (one, other))
    assert set(one) == set(other)
    return max(float(np.abs(one[k] - other[k]).max()) for k in one)


@pytest.fixture(scope="module")
def by_two(tmp_path_factory):
    """The folder in which two ranks have done everything that comes to its end."""
    folder = tmp_path_factory.mktemp("ranks")
    ended = mpirun(2, folder, *TRAININGS, "normalized", "asynchronous", "played")
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.mark.parametrize("what", TRAININGS)
def test_two_ranks_train_as_one_process_does(by_two, tmp_path, what):
    found = read(by_two, what)
    assert found["difference"] == 0
    assert distance(found, ranks.compute(what, tmp_path)) < BOUND


def test_steps_of_several_ranks_are_played(by_two):
    """After three that are taken and one that is recorded, to the bit; or by none of them."""
    found = read(by_two, "played")
    assert found["plays"].tolist() == [8, 0] and found["apart"] == 0 and found["of"] > 20
    assert found["difference"] == 0


def test_normalisation_over_ranks_to_the_second_derivative(by_two, tmp_path):
    assert distance(read(by_two, "normalized"), ranks.compute("normalized", tmp_path)) < 1e-12


def test_sums_on_devices_go_through_cupys_communicator(tmp_path):
    """With a stand-in for CuPy, where each rank has a device to itself."""
    ended = mpirun(2, tmp_path, "on_devices")
    assert ended.returncode == 0, ended.stderr
    found, expected = read(tmp_path, "on_devices"), values(4, 3) + values(4, 3, seed=1)
    np.testing.assert_array_equal(found["sums"], [expected] * 3)
    np.testing.assert_array_equal(found["through host"], expected)
    # one communicator for each set of ranks, each at an address of its own
    assert found["difference"] == 0 and len(set(found["ports"])) == 2


def test_asynchronous_levels_exchange_only_codes(by_two):
    found = read(by_two, "asynchronous")
    assert found["difference"] == 0
    model, x = tiny_ali(
        6, hidden=5, stochastic=True, final_lr=0.1), values(41, 4, 6, dtype=np.float32)
    model.fit(x.reshape(-1, 6), steps=12, batch_size=16)
    for name, array in model.state_dict().items():
        # the bottom as if there were no top
        np.testing.assert_array_equal(found[f"models.0.{name}"], array)
    order, codes = Generator(0), model.encode(x.reshape(-1, 6)).reshape(41, -1)
    newest = [order.permutation(41)[:32] for _ in range(3)][-1]
    np.testing.assert_allclose(found["whitening.mean"], codes[newest].mean(axis=0), rtol=0,
                               atol=1e-6)
    assert len(found["1 D"]) == 18
    calls, size = found["log codes"]
    # float32 codes (32, 4, 5), and what says so
    assert calls == 3 and 0 <= size - 3 * 32 * 4 * 5 * 4 < 1000
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
    assert "rank 1 of 2, on " in ended.stderr
    assert "ValueError: this rank has had enough; all ranks end" in ended.stderr


@pytest.mark.parametrize("before, after", [(2, 1), (1, 2)])
def test_what_a_killed_rank_leaves_goes_on_with_another_number(tmp_path, before, after):
    ended = mpirun(before, tmp_path, "dies")
    assert ended.returncode != 0
    # mpirun's words
    assert f"process rank {before - 1} with PID" in ended.stderr
    assert "signal 9 (Killed)" in ended.stderr
    begun = max(int(p.stem[5:]) for p in (tmp_path / "run" / "level 0").glob("step-*.json"))
    assert begun in (6, 7)
    whole = ranks.hierarchy("bottom-first", steps=40)
    ended = mpirun(after, tmp_path, "resumed")
    assert ended.returncode == 0, ended.stderr
    found = read(tmp_path, "resumed")
    assert found["difference"] == 0
    assert distance(found, whole) < 10 * BOUND      # after 40 steps, not 6


def checkpoints(folder, side):
    """The steps of which a side has checkpoints, oldest first."""
    return sorted(int(p.stem[5:]) for p in (folder / "run" / side).glob("step-*.json"))


@pytest.fixture(scope="module")
def gone_on(by_two, tmp_path_factory):
    """A folder of trainings by asynchronous levels, which went on after a rank of the top had been
    killed or one was told to end: {name: the result}; {name: {side: steps of checkpoints before
    that}}; what was said."""
    folder = tmp_path_factory.mktemp("asynchronous")
    for count in (2, 3):
        ended = mpirun(count, folder / f"killed by {count}", "asynchronous_dies")
        assert ended.returncode != 0 and f"process rank {count - 1} with PID" in ended.stderr
    for name, killed in {"same": 2, "top": 2, "level 0": 2, "forgetful": 2, "3 to 2": 3,
                         "2 to 3": 2, "other way": 2}.items():
        shutil.copytree(folder / f"killed by {killed}", folder / name)
    before = {path.name: {side: checkpoints(path, side) for side in ("level 0", "top")}
              for path in folder.iterdir()}
    for side in ("level 0", "top"):         # is damaged
        (folder / side / "run" / side
         / f"step-{before[side][side][-1]:09d}.safetensors").write_bytes(b"nothing")
    stops = [f"{what}@{name}" for name in ("stop 0", "stop 1", "stop all")
             for what in ("asynchronous_stopped", "asynchronous_resumed")]
    resumed = [f"asynchronous_resumed@{name}" for name in ("same", "top", "level 0", "3 to 2")]
    ended = [mpirun(2, folder, *resumed, *stops, "forgetful", "asynchronous_resumed@forgetful"),
             mpirun(3, folder, "asynchronous_resumed@2 to 3", "asynchronous_by_two@other way",
                    "asynchronous_resumed@same")]
    said = "".join(e.stderr for e in ended)
    assert [e.returncode for e in ended] == [0, 0], said
    return folder, before, said


def test_asynchronous_levels_go_on_bit_for_bit(by_two, gone_on):
    """From their newest checkpoints, or from the one before where that is damaged on one side."""
    folder, before, said = gone_on
    # which has made what the top asks for
    assert before["same"]["top"] == [0, 6] and before["same"]["level 0"][-1] >= 8
    for name in ("same", "top", "level 0"):
        found = read(folder / name, "asynchronous_resumed")
        assert found["difference"] == distance(found, read(by_two, "asynchronous")) == 0
        logs = [(folder / name / "run" / side / "metrics.jsonl").read_text().splitlines()
                for side in ("level 0", "top")]
        assert [[json.loads(line)["step"] for line in log] for log in logs] == [[10], [10]]
    for side in ("level 0", "top"):
        older, newest = before[side][side]
        assert (f"run/{side}: the training goes on from step {older}, and {newest - older} steps "
                "are lost") in said


@pytest.mark.parametrize("name, what", [
    ("2 to 3", "asynchronous_resumed"), ("other way", "asynchronous_by_two"),
    ("3 to 2", "asynchronous_resumed")])
def test_asynchronous_levels_go_on_with_another_number_of_ranks(by_two, gone_on, name, what):
    found = read(gone_on[0] / name, what)
    assert found["difference"] == 0 and distance(found, read(by_two, "asynchronous")) < BOUND


def test_what_a_checkpoint_of_asynchronous_levels_lacks_is_noticed(by_two, gone_on):
    """Negative control."""
    assert distance(read(gone_on[0] / "forgetful", "asynchronous_resumed"),
                    read(by_two, "asynchronous")) > 100 * BOUND


@pytest.mark.parametrize("who, bottom, top", [("0", 5, 6), ("1", 8, 5), ("all", 5, 5)])
def test_asynchronous_levels_end_calmly_and_go_on(by_two, gone_on, who, bottom, top):
    """The rank that gets SIGTERM ends after its step, with a checkpoint of it, and the other with
    its round."""
    folder, _, said = gone_on
    found = read(folder / f"stop {who}", "asynchronous_resumed")
    assert distance(found, read(by_two, "asynchronous")) == 0
    assert (
        f"interrupted: level 0 after step {bottom} of 12, in round {bottom // 4 + 1} of 3 and top "
        f"after step {top} of 18, in round {top // 6 + 1} of 3; the same call goes on from the "
        f"checkpoints in {folder}/stop {who}/run") in said


@pytest.fixture(scope="module")
def by_three(tmp_path_factory):
    """The folder in which three ranks, and four, have trained three sides, which also went on after
    one had been killed or told to end; and what was said."""
    folder = tmp_path_factory.mktemp("three sides")
    stops = [f"{what}@stop {who}" for who in range(3)
             for what in ("three_sides_stopped", "three_sides_resumed")]
    ended = [mpirun(3, folder / "killed", "three_sides_die"),
             mpirun(3, folder, "three_sides", "three_sides_resumed@killed", *stops),
             mpirun(4, folder, "three_sides@four")]
    said = "".join(e.stderr for e in ended)
    assert ended[0].returncode != 0 and [e.returncode for e in ended[1:]] == [0, 0], said
    return folder, said


def test_three_sides_train_as_bottom_first_where_nothing_is_above(by_three):
    """Each level is what its own steps on its own codes make of it: the bottom that of ``fit``."""
    folder, _ = by_three
    found = read(folder, "three_sides")
    model, x = tiny_ali(6, hidden=5, stochastic=True), values(41, 4, 6, dtype=np.float32)
    model.fit(x.reshape(-1, 6), steps=12, batch_size=16)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(found[f"models.0.{name}"], array)
    assert [len(found[f"{k} {loss}"]) for k, loss in enumerate(("D", "D", "D"))] == [12, 15, 18]
    assert found["difference"] == 0
    # with two ranks for the frames, to rounding
    assert distance(found, read(folder / "four", "three_sides")) < BOUND


@pytest.mark.parametrize("name", ["killed", "stop 0", "stop 1", "stop 2"])
def test_three_sides_go_on_bit_for_bit(by_three, name):
    folder, said = by_three
    assert distance(read(folder / name, "three_sides_resumed"), read(folder, "three_sides")) == 0
    if name != "killed":
        k = int(name[-1])
        assert f"{('level 0', 'level 1', 'top')[k]} after step 6 of {(12, 15, 18)[k]}" in said


@pytest.mark.kill
def test_asynchronous_levels_are_killed_at_random_moments(by_two, tmp_path):
    """An eighth as often as LDF_KILLS says, which is for tests/training/test_kill.py."""
    wanted, kills, runs = int(os.environ.get("LDF_KILLS", 25)) // 8, 0, 0
    for moment in itertools.count():
        what = "asynchronous_killed" if kills < wanted else "asynchronous_resumed"
        if mpirun(2, tmp_path / f"{runs}", what, MOMENT=str(moment)).returncode:
            kills += 1
        else:
            assert distance(read(tmp_path / f"{runs}", what), read(by_two, "asynchronous")) == 0
            runs += 1
            if kills >= wanted:
                break


def test_the_top_may_go_back_as_many_rounds_as_it_has_checkpoints():
    made = _Made()
    for number in range(1, 6):
        made.add(np.full(2, number))
    assert [made.find(number)[0] for number in (3, 4, 5)] == [3, 4, 5] and made.find(6) is None
    with pytest.raises(ValueError,
                       match="checkpoints: expected the side above to go on from round 3 or later, "
                             "got 2: .*begin anew"):
        made.find(2)


def test_a_batch_has_to_divide_among_the_ranks():
    other = parallel.World()
    other.size = 3
    said = "batch_size: expected a multiple of 3, the number of ranks, got 16"
    with parallel.within(other), pytest.raises(ValueError, match=said):
        parallel.shard(16)
