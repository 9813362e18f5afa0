"""A training is killed at random moments, some inside the writing of a checkpoint, and ends as if
it had never been.

LDF_KILLS says how often (default 25; 200 in the long form).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "tools" / "killing.py"
pytestmark = [pytest.mark.kill, pytest.mark.skipif(not hasattr(os, "fork"),
                                                   reason="the children are forked")]


def killing(folder, kills, *left_out):
    """What tests/tools/killing.py reports."""
    ended = subprocess.run([sys.executable, PROGRAM, folder, str(kills), *left_out],
                           capture_output=True, text=True, timeout=60 + 10 * kills)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_killed_at_random_moments_it_ends_the_same(tmp_path):
    kills = int(os.environ.get("LDF_KILLS", 25))
    seen = killing(tmp_path, kills)
    print(seen)
    assert seen["kills"] >= kills and seen["in_write"] >= 3 and seen["resumed"] >= 3
    assert seen["equal"] == seen["finished"] >= 1


@pytest.mark.parametrize("left_out", ["model.rng", "batches"])
def test_a_checkpoint_that_lacks_something_is_noticed(tmp_path, left_out):
    """Negative control: without a part of the state, the comparison fails."""
    seen = killing(tmp_path, 1, left_out)
    assert seen["resumed"] >= 3 and seen["equal"] < seen["finished"]
