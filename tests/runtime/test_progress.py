"""Progress: a bar on a terminal, plain lines with time between them elsewhere, nothing where there
is no stream."""

import io
import os
import re
import subprocess
import sys

import pytest
from tqdm import tqdm

from ldf_np.runtime import progress
from ldf_np.runtime.progress import ProgressLines, progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands: the test moves its hand, clock[0]."""
    hand = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: hand[0])
    return hand


def lines(clock, seconds, total=10, unit="clip", initial=0):
    """What is written of ``total - initial`` updates that take ``seconds`` each."""
    stream = io.StringIO()
    bar = ProgressLines(stream, total, "cutting", unit, initial)
    for k in range(total - initial):
        clock[0] += seconds
        bar.set_postfix({"step": k}, refresh=False)
        bar.update()
    assert bar.n == total
    bar.close()
    bar.close()         # once more: nothing is written
    return stream.getvalue().splitlines()


def test_lines_are_plain_and_some_seconds_apart(clock):
    assert lines(clock, 2.5) == [
        "cutting: 2 of 10 clips, 00:05 (left: 00:20), step=1",
        "cutting: 4 of 10 clips, 00:10 (left: 00:15), step=3",
        "cutting: 6 of 10 clips, 00:15 (left: 00:10), step=5",
        "cutting: 8 of 10 clips, 00:20 (left: 00:05), step=7",
        "cutting: 10 of 10 clips, 00:25 (left: 00:00), step=9"]
    assert len(lines(clock, 0.01, total=400)) == 1      # 4 seconds: only the last line
    assert len(lines(clock, 60)) == 10


def test_what_was_done_before_does_not_count_as_speed(clock):
    assert lines(clock, 5.0, initial=8)[0] == "cutting: 9 of 10 clips, 00:05 (left: 00:05), step=0"


def test_a_part_of_the_work(clock):
    stream = io.StringIO()
    bar = ProgressLines(stream, 1.0, "level 0")
    bar.close()
    bar = ProgressLines(stream, 1.0, "level 0")
    clock[0] += 9
    bar.update(0.25)
    assert stream.getvalue().splitlines() == ["level 0: 0%, 00:00 (left: ?)",
                                              "level 0: 25%, 00:09 (left: 00:27)"]


def test_a_terminal_gets_a_bar_and_anything_else_lines(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal())
    for options in ({"unit": "clip"}, {}):
        bar = progress_bar(1.0, "level 0", **options)
        assert isinstance(bar, tqdm)
        bar.set_postfix({"step": 3})
        bar.update(0.5)
        bar.close()
    assert "\r" in sys.stderr.getvalue() and "step=3" in sys.stderr.getvalue()

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bar = progress_bar(3, "runs", "run")
    bar.set_postfix_str("LDF seed 0")
    bar.update()
    bar.close()
    bar.write("said")
    assert re.fullmatch(r"runs: 1 of 3 runs, 00:00 \(left: 00:00\), LDF seed 0\n",
                        sys.stderr.getvalue())
    assert capsys.readouterr().out == "said\n"


def use(bar):
    bar.set_postfix({"a": 1})
    bar.update()
    bar.close()
    return bar.n


def test_nothing_is_shown_where_nothing_is_to_be(monkeypatch, capsys):
    assert use(progress_bar(1.0, "level 0", show=False)) == 1
    assert use(progress_bar(None, "runs", "run", show=False)) == 1
    for stream in (Terminal(), None):
        monkeypatch.setattr(sys, "stderr", stream)
        assert use(progress_bar(1.0, "level 0", show=stream is None)) == 1
        assert stream is None or stream.getvalue() == ""
    monkeypatch.undo()
    assert capsys.readouterr() == ("", "")


def test_a_stream_that_is_closed_does_not_end_the_work(monkeypatch, clock):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    assert use(progress_bar(1.0, "level 0")) == 1

    class Broken(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Broken())
    assert use(progress_bar(1.0, "level 0")) == 1


PROGRAM = """
import numpy as np
from ldf_np.experiments.runs import CachedRuns
runs = CachedRuns({!r}, {{}}, total=2)
for name in "ab":
    runs(name, lambda _: {{"x": 1}})
runs.close()
"""


def test_a_log_has_no_control_characters(tmp_path):
    """Of a program whose stderr is a pipe."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM.format(str(tmp_path))],
                           capture_output=True, timeout=60, env=os.environ)
    assert ended.returncode == 0
    assert ended.stderr.decode() == "finished: 2 of 2 runs, 00:00 (left: 00:00), b" + os.linesep
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)", ended.stderr)
