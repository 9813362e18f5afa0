"""What TensorBoard finds in a folder: every loss of every step, once."""

import struct
import sys

import numpy as np
import pytest
from helpers import tiny_ali, values

import ldf_np as ldf
from ldf_np.training.loop import train
from ldf_np.training.tensorboard import TensorBoard


def events(folder):
    """{name: [(step, value, wall time)]} of the records in a folder: a length, a checksum, the
    event and its checksum each."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    path, = folder.iterdir()
    data, at, found = path.read_bytes(), 0, {}
    while at < len(data):
        length, = struct.unpack_from("<Q", data, at)
        event = event_pb2.Event.FromString(data[at + 12:at + 12 + length])
        for value in event.summary.value:
            found.setdefault(value.tag, []).append(
                (event.step, value.simple_value, event.wall_time))
        at += length + 16
    return found


def test_every_loss_of_every_step(tmp_path):
    pytest.importorskip("tensorboardX")
    board = TensorBoard(tmp_path / "runs")
    history = tiny_ali().fit(values(20, 4, dtype=np.float32), steps=5, batch_size=8, callback=board)
    board(history)                              # nothing is left to write
    del board
    found = events(tmp_path / "runs")
    assert found.keys() == history.losses.keys() >= {"D", "GE"}
    for name, points in found.items():
        assert [step for step, *_ in points] == [1, 2, 3, 4, 5]
        np.testing.assert_allclose([value for _, value, _ in points], history.losses[name], 1e-6)
    times = [when for *_, when in found["D"]]
    assert times == sorted(times)


def test_a_training_that_is_over_and_one_that_follows(tmp_path):
    pytest.importorskip("tensorboardX")
    first = train(lambda t: {"D": 1.0}, steps=3)
    then = train(lambda t: {"D": 2.0}, steps=2)
    then.before = {"seconds": first.spent, "steps": first.steps}
    board = TensorBoard(tmp_path)
    for history in (first, then, first):
        board(history)
    del board
    assert [point[:2] for point in events(tmp_path)["D"]] == [
        (1, 1), (2, 1), (3, 1), (4, 2), (5, 2)]


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    with pytest.raises(TypeError, match="history: expected a History, got dict"):
        pytest.importorskip("tensorboardX")
        TensorBoard(tmp_path)({"D": [1.0]})
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r'needs tensorboardX .* pip install -e "\.\[tensorboard'):
        TensorBoard(tmp_path)
    assert ldf.training.tensorboard.TensorBoard is TensorBoard


def test_control_a_loss_that_is_left_out_is_noticed(tmp_path):
    pytest.importorskip("tensorboardX")
    whole, shorter = (train(lambda t: {"D": 1.0}, steps=steps) for steps in (5, 4))
    board = TensorBoard(tmp_path)
    board(shorter)
    del board
    assert len(events(tmp_path)["D"]) == 4 != len(whole.losses["D"])
