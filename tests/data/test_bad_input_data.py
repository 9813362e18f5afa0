"""Bad input to readers and makers of data: each call gets an error that says the argument, what
came and what was expected."""

from pathlib import Path

import numpy as np
import pytest
from bad_input import f, nan, refused, refuses_true, u8

from ldf_np.data import (
    cut_clips,
    gaussians,
    load_cifar10,
    load_games,
    load_pacman,
    motion,
    moving_shapes,
    read_clips,
    to_float,
    to_uint8,
)

# name: (call, error, a part of its message)
CASES = {
    "to_float": (lambda: to_float(f(2)),
                 ValueError, "to_float: clips has dtype float32, expected uint8"),
    "to_float none": (lambda: to_float(None),
                      TypeError, "to_float: clips: expected an array of real numbers"),
    "to_uint8": (lambda: to_uint8(u8(2)),
                 ValueError, "to_uint8: x has dtype uint8, expected floats"),
    "to_uint8 nan": (lambda: to_uint8(nan), ValueError, "to_uint8: x of shape"),
    "to_uint8 list": (lambda: to_uint8([1.]),
                      TypeError, "to_uint8: x: expected an array of real numbers"),
    "motion d": (lambda: motion(u8(4, 8)), ValueError, "motion: clips: expected uint8"),
    "motion d none": (lambda: motion(None),
                      TypeError, "motion: clips: expected an array of real numbers"),
    "motion f": (lambda: motion(f(4, 5, 8, 8, 3)), ValueError, "motion: clips: expected uint8"),
    "motion nchw d": (lambda: motion(u8(4, 5, 3, 8, 8)),
                      ValueError, "motion: clips: expected channels in the last axis,"),
    "cut": (lambda: cut_clips(u8(6, 40, 40, 3), 2, np.random.default_rng(0)),
            ValueError, "frames: only 0 of 2 clips in which something moves"),
    "cut dims": (lambda: cut_clips(u8(6, 40, 40), 2, None), ValueError, "frames: expected shape"),
    "cut float": (lambda: cut_clips(f(6, 40, 40, 3), 2, np.random.default_rng(0)),
                  ValueError, "frames: float32, expected uint8"),
    "cut count": (lambda: cut_clips(u8(6, 40, 40, 3), -1, np.random.default_rng(0)),
                  ValueError, "count: expected at least 0"),
    "cut count f": (lambda: cut_clips(u8(6, 40, 40, 3), 1.5, np.random.default_rng(0)),
                    TypeError, "count: expected a whole number"),
    "cut none": (lambda: cut_clips(None, 2, None),
                 TypeError, "frames: expected an array of real numbers"),
    "cut rng": (lambda: cut_clips(u8(6, 40, 40, 3), 2, None),
                TypeError, "rng: expected a numpy.random.Generator"),
    "cut nchw": (lambda: cut_clips(u8(6, 3, 40, 40), 2, None),
                 ValueError, "frames: expected channels in the last axis,"),
    "read none": (lambda: read_clips(None),
                  TypeError, "expected a path, got None"),
    "read int": (lambda: read_clips(3),
                 TypeError, "expected a path, got 3"),
    "read missing": (lambda: read_clips("missing"),
                     FileNotFoundError, "missing: there is no such folder"),
    "read nul": (lambda: read_clips("a\0b"),
                 FileNotFoundError, "a\u0000b: there is no such folder"),
    "cifar nul": (
        lambda: load_cifar10("a\0b"),
        FileNotFoundError,
        "a\u0000b: there is no such file or folder, expected cifar-10-python.tar"),
    "cifar none": (lambda: load_cifar10(None),
                   TypeError, "expected a path, got None"),
    "cifar missing": (
        lambda: load_cifar10("missing"),
        FileNotFoundError, "missing: there is no such file or folder, expected cifar-10-pyth"),
    "pacman": (lambda: load_pacman(0),
               ValueError, "load_pacman: clips is 0, expected a whole number of at least 1"),
    "pacman f": (lambda: load_pacman(1.5),
                 ValueError, "load_pacman: clips is 1.5, expected a whole number of at least 1"),
    "pacman huge": (lambda: load_pacman(10**15), ValueError, "load_pacman: clips and test_clips"),
    "games huge": (lambda: load_games(10**15), ValueError, "load_games: train and test"),
    "pacman cache": (lambda: load_pacman(1, cache=3),
                     TypeError, "expected a path, got 3"),
    "games cache": (lambda: load_games(1, 1, cache=3),
                    TypeError, "expected a path, got 3"),
    "pacman size": (lambda: load_pacman(1, size=4), ValueError,
                    "load_pacman: size is 4, expected a whole number from 8 to 160"),
    "pacman size large": (lambda: load_pacman(1, size=161), ValueError, "size is 161, expected"),
    "pacman size f": (lambda: load_pacman(1, size=32.0), ValueError, "size is 32.0, expected"),
    "pacman frames": (lambda: load_pacman(1, frames=1), ValueError,
                      "load_pacman: frames is 1, expected a whole number from 2 to 150"),
    "pacman places": (lambda: load_pacman(1, places=1), TypeError, "places: expected a bool"),
    "pacman huge size": (lambda: load_pacman(10**11, size=160), ValueError,
                         "load_pacman: clips and test_clips"),
    "cut size": (lambda: cut_clips(u8(6, 40, 40, 3), 1, np.random.default_rng(0), size=64),
                 ValueError, "expected at least 5 frames of at least 64x64x3"),
    "cut size 0": (lambda: cut_clips(u8(6, 40, 40, 3), 1, np.random.default_rng(0), size=0),
                   ValueError, "size: expected at least 1"),
    "pacman huge int": (lambda: load_pacman(2**70),
                        ValueError, "load_pacman: clips and test_clips"),
    "pacman seed str": (
        lambda: load_pacman(1, seed="a"),
        ValueError, "load_pacman: seed is 'a', expected a whole number of at least 0"),
    "read none prog": (
        lambda: read_clips("clips", clips="a"),
        ValueError, "read_clips: clips is 'a', expected a whole number of at least 1"),
    "make_shapes": (lambda: moving_shapes.make_shapes(0),
                    ValueError, "count, frames: expected at least 1 of each"),
    "make f": (lambda: moving_shapes.make_shapes(1.5), TypeError, "count: expected a whole number"),
    "make huge": (lambda: moving_shapes.make_shapes(10**12), ValueError, "count, frames, size"),
    "make size": (lambda: moving_shapes.make_shapes(1, size=5),
                  ValueError, "size: expected at least 23, so that a shape can move"),
    "make seed": (lambda: moving_shapes.make_shapes(1, seed=-1),
                  ValueError, "seed: expected at least 0"),
    "render": (lambda: moving_shapes.render([9], [[0, 0]]), ValueError, "shape: expected 0 to 3"),
    "render pos": (lambda: moving_shapes.render([0], [[99, 0]]),
                   ValueError, "position: expected 0 to 11"),
    "render float": (lambda: moving_shapes.render([0.5], [[0, 0]]),
                     ValueError, "shape: expected whole numbers"),
    "render posf": (lambda: moving_shapes.render([0], [[0.5, 0]]),
                    ValueError, "position: expected whole numbers"),
    "read_shapes": (lambda: moving_shapes.read_shapes(f(4, 5, 32, 32, 3)),
                    ValueError, "clips: expected uint8"),
    "read_shapes none": (lambda: moving_shapes.read_shapes(None),
                         TypeError, "clips: expected an array of real numbers"),
    "read_shapes nchw": (lambda: moving_shapes.read_shapes(u8(4, 5, 3, 32, 32)),
                         ValueError, "clips: expected channels in the last axis,"),
    "read batch0": (lambda: moving_shapes.read_shapes(u8(1, 5, 32, 32, 3), batch=0),
                    ValueError, "batch: expected at least 1"),
    "allowed": (lambda: moving_shapes.allowed_steps(u8(4, 5)),
                ValueError, "positions: expected rows and columns"),
    "allowed none": (lambda: moving_shapes.allowed_steps(None),
                     TypeError, "positions: expected an array of real numbers"),
    "render bc": (lambda: moving_shapes.render([0, 1, 2], [[0, 0], [1, 1]]),
                  ValueError, "shape, position: expected shapes that broadcast"),
    "mg": (lambda: gaussians.make_gaussians(-1), ValueError, "count: expected at least 1"),
    "mh": (lambda: gaussians.modes_hit(f(4, 3)),
           ValueError, "samples: expected points of the plane"),
    "mh none": (lambda: gaussians.modes_hit(None),
                TypeError, "samples: expected an array of real numbers"),
    "mh e": (lambda: gaussians.modes_hit(f(0, 2)),
             ValueError, "samples: expected at least 1 of them and no empty axis"),
    "mh nan": (lambda: gaussians.modes_hit(nan), ValueError, "samples: expected finite numbers"),
    "render huge": (lambda: moving_shapes.render([0], [[0, 0]], size=10**6),
                    ValueError, "shape, size"),
    "render small": (lambda: moving_shapes.render([0], [[0, 0]], size=3),
                     ValueError, "size: expected at least 21"),
    "allowed 2 axes": (lambda: moving_shapes.allowed_steps(np.zeros((4, 2), int)),
                       ValueError, "positions: expected rows and columns"),
    "allowed nan": (lambda: moving_shapes.allowed_steps(f(1, 3, 2) * np.nan),
                    ValueError, "positions: expected rows and columns"),
    "mg seed": (lambda: gaussians.make_gaussians(3, seed=None),
                TypeError, "seed: expected a whole number"),
    "mh least": (lambda: gaussians.modes_hit(f(3, 2), least="a"),
                 TypeError, "least: expected a whole number"),
    "mh radius": (lambda: gaussians.modes_hit(f(3, 2), radius=float("nan")),
                  ValueError, "radius: expected a finite number"),
    "pacman cache True": (lambda: load_pacman(cache=True),
                          TypeError, "cache: expected a path, got True"),
}
# Where an integer is meant, True is none: Python would take it as 1.
INTEGERS = {
    "make_shapes": lambda yes: moving_shapes.make_shapes(yes),
    "make_shapes frames": lambda yes: moving_shapes.make_shapes(1, frames=yes),
    "make_gaussians": lambda yes: gaussians.make_gaussians(yes),
    "cut_clips": lambda yes: cut_clips(u8(6, 40, 40, 3), yes, np.random.default_rng(0)),
    "load_pacman": lambda yes: load_pacman(yes),
    "load_pacman seed": lambda yes: load_pacman(1, 1, seed=yes),
    "load_games": lambda yes: load_games(yes),
    "read_clips": lambda yes: read_clips("clips", clips=yes),
}


@pytest.fixture(autouse=True)
def recorded(tmp_path, monkeypatch):
    """The folder "clips" holds two recorded clips."""
    monkeypatch.chdir(tmp_path)
    Path("clips").mkdir()
    for name in ("0", "1"):
        np.savez(f"clips/{name}.npz", f(32, 32, 15))


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_named(name):
    assert refused(*CASES[name]) is True


@pytest.mark.parametrize("name", INTEGERS)
def test_true_is_no_integer(name):
    assert refuses_true(INTEGERS[name]) is True
