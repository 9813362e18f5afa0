"""The tables of bad input that lie beside the tests of each room: none is missing, and a planted
fault is noticed."""

import numpy as np
import pytest
from bad_input import MEMORY, f, refused, refuses_true, u8
from helpers import CHECKOUT

import ldf_np as ldf
from ldf_np.experiments import clip_scores
from ldf_np.models.factors import Patches


def test_every_room_has_a_table():
    rooms = {path.parent.name for path in CHECKOUT.glob("ldf_np/*/__init__.py")} - {"kernels"}
    tables = {path.stem for path in CHECKOUT.glob("tests/*/test_bad_input_*.py")}
    assert len(rooms) > 5 and tables == {f"test_bad_input_{room}" for room in rooms}


@pytest.mark.parametrize("planted", [
    lambda: ldf.Tensor(f(2)),                               # a wrong shape is let through
    lambda: f(2)[5],                                        # an error from the depths
    lambda: (np.zeros(2 * MEMORY, np.uint8), ldf.reshape(f(5), (2, 3))),    # memory is taken first
])
def test_a_planted_fault_is_noticed(planted):
    assert refused(lambda: ldf.reshape(f(5), (2, 3)), ValueError, "reshape(") is True
    assert refused(planted, ValueError, "reshape(") is not True


@pytest.mark.parametrize("planted", [
    lambda true: true + 1,                                  # taken as 1
    lambda true: np.empty(-true),                           # an error that does not name it
    lambda true: ldf.maxout(f(2, 2), 0 if true is True else true),      # only NumPy's is refused
])
def test_a_planted_true_is_noticed(planted):
    assert refuses_true(lambda true: ldf.maxout(f(2, 2), true)) is True
    assert refuses_true(planted) is not True


def test_what_is_right_passes_the_checks():
    assert ldf.split(f(4), np.int64(2))[1].shape == (2,)
    assert ldf.conv2d(f(1, 2, 2, 3), f(1, 1, 3, 2), bias=f(2)).shape == (1, 2, 2, 2)
    assert clip_scores.as_channels(u8(2, 5, 8, 8, 3)).shape == (2, 8, 8, 15)
    assert Patches(2, 2).split(u8(2, 8, 8, 1)).shape == (2, 4, 4, 4, 1)
