"""Bad input to a training's budget, batches, checkpoints and log: each call gets an error that says
the argument, what came and what was expected."""

import numpy as np
import pytest
from bad_input import f, refused, refuses_true

from ldf_np.autodiff.engine import Tensor
from ldf_np.models import nets
from ldf_np.models.factors import Frames
from ldf_np.runtime.random import Generator
from ldf_np.training.batches import Batches
from ldf_np.training.best_weights import BestWeights
from ldf_np.training.checkpoint import Checkpoints
from ldf_np.training.log import read_records
from ldf_np.training.loop import train
from ldf_np.training.step import CompiledStep

mali = nets.mlp_ali(2, 2, 8)
digits = nets.place_ali(8, channels=1)
clips = nets.split_ldf(nets.place_ali(8), Frames(5), (5, 2, 2, nets.PLACES[2]))

# name: (call, error, a part of its message)
CASES = {
    "ali fit bs0": (lambda: mali.fit(f(8, 2), steps=1, batch_size=0),
                    ValueError, "batch_size: expected 2 to 8"),
    "ali fit bs f": (lambda: mali.fit(f(8, 2), steps=1, batch_size=2.5),
                     TypeError, "batch_size: expected a whole number"),
    "ali fit bs str": (lambda: mali.fit(f(8, 2), steps=1, batch_size="a"),
                       TypeError, "batch_size: expected a whole number"),
    "ali steps0": (lambda: mali.fit(f(8, 2), steps=0, batch_size=4),
                   ValueError, "steps: expected at least 1, got 0"),
    "ali steps-": (lambda: mali.fit(f(8, 2), steps=-1, batch_size=4),
                   ValueError, "steps: expected at least 1, got -1"),
    "ali steps 1.5": (lambda: mali.fit(f(8, 2), steps=1.5, batch_size=4),
                      TypeError, "steps: expected a whole number, got 1.5"),
    "ali checkpoints": (lambda: mali.fit(f(8, 2), steps=1, batch_size=4, checkpoints="out"),
                        TypeError, "checkpoints: expected a checkpoint.Checkpoints, got 'out'"),
    "ali nobudget": (
        lambda: mali.fit(f(8, 2), batch_size=4),
        ValueError, "steps, minutes: expected at least one of them as the budget of the"),
    "ali minutes nan": (lambda: mali.fit(f(8, 2), minutes=float("nan"), batch_size=4),
                        ValueError, "minutes: expected a positive number"),
    "ali minutes str": (lambda: mali.fit(f(8, 2), minutes="1", batch_size=4),
                        TypeError, "minutes: expected a number"),
    "ali cb": (lambda: mali.fit(f(8, 2), steps=1, batch_size=4, callback=3),
               TypeError, "callback: expected a function"),
    "a step of Tensors": (lambda: train(lambda t: {"D": Tensor(1.0)}, steps=1), TypeError,
                          "step: expected to return {name: number}, got Tensor for 'D': float("),
    "a step of one Tensor": (lambda: train(lambda t: Tensor(1.0), steps=1), TypeError,
                             "step: expected to return {name: number}, got Tensor for"),
    "a compiled step of numbers": (lambda: CompiledStep(lambda x, t: {"D": 1.0}, [])(f(2, 2)),
                                   TypeError, "step: the loss 'D': expected a Tensor, got float"),
    "a compiled step of rows": (lambda: CompiledStep(lambda x, t: {"D": Tensor(x)}, [])(f(2, 2)),
                                ValueError, "step: the loss 'D': expected a Tensor of one element"),
    "digits from 0 to 16": (lambda: digits.fit(16 * f(8, 8, 8, 1), steps=1, batch_size=4),
                            ValueError, "ALI: x: expected values from -1 to 1, as its last layer, "
                            "a Tanh, makes them, got 16 to 16: scale the data"),
    "clips from 0 to 255": (lambda: clips.fit(255 * f(8, 5, 8, 8, 3), steps=1, batch_size=4),
                            ValueError, "ALI: x: expected values from -1 to 1"),
    "clips, together": (lambda: clips.fit(255 * f(8, 5, 8, 8, 3), steps=1, batch_size=4,
                                          schedule="together"),
                        ValueError, "ALI: x: expected values from -1 to 1"),
    "batches rng": (lambda: Batches(f(8, 2), 4, np.random.default_rng(0)), TypeError,
                    "Batches: rng: expected a Generator, got numpy.random.Generator"),
    "records int": (lambda: read_records(1),
                    TypeError, "expected str, bytes or os.PathLike object, not int"),
    "step of integers": (lambda: mali.step(np.ones((8, 2), np.int64)), ValueError,
                         "x: expected floats, or uint8 images, got int64"),
    "masked": (lambda: mali.fit(np.ma.masked_array(f(8, 2)), steps=1), TypeError,
               "data: expected an array without a mask, got a masked array"),
    "fit 100": (lambda: mali.fit(f(8, 2), 100), ValueError,
                "fit: expected the data, and the rest by name (steps=100, say), got 2 arguments"),
    "best unit": (lambda: BestWeights(mali, len, [1], unit="minutes"), ValueError,
                  'unit: expected "seconds" or "steps", got \'minutes\''),
    "best score": (lambda: BestWeights(mali, 3, [1]), TypeError, "score: expected a function"),
    "best times": (lambda: BestWeights(mali, len, 5), TypeError, "times: expected a list"),
    "best nan": (lambda: BestWeights(mali, len, [1, float("nan")]), ValueError, "times[1]"),
    "train 3": (lambda: train(3, steps=2), TypeError, "step: expected a function"),
    "batches 1": (lambda: Batches(f(1, 2), 2, Generator(0)), ValueError,
                  "data: expected at least 2 samples, got 1"),
    "also without state": (lambda: Checkpoints("c", also={"z": 5}), TypeError,
                           "Checkpoints: also: z: expected something with a state"),
    "also model": (lambda: mali.fit(f(8, 2), steps=1, batch_size=4, checkpoints=Checkpoints(
        "c", also={"model": BestWeights(mali, len, [1])})), ValueError,
        "Checkpoints: also: expected names without a slash, none of history, model, batches, got"),
    "also slash": (lambda: mali.fit(f(8, 2), steps=1, batch_size=4, checkpoints=Checkpoints(
        "c", also={"a/b": BestWeights(mali, len, [1])})), ValueError, "names without a slash"),
    "order": (lambda: setattr(Batches(f(8, 2), 4, Generator(0)), "state",
                              {"order": np.arange(3), "at": 0, "taken": 0}), ValueError,
              "Batches: state: order: expected the numbers of 8 rows, got shape (3,)"),
}
# Where an integer is meant, True is none: Python would take it as 1.
INTEGERS = {
    "batch_size": lambda yes: mali.fit(f(8, 2), steps=1, batch_size=yes),
    "steps": lambda yes: mali.fit(f(8, 2), steps=yes, batch_size=4),
    "minutes": lambda yes: mali.fit(f(8, 2), minutes=yes, batch_size=4),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_named(name):
    assert refused(*CASES[name]) is True


@pytest.mark.parametrize("name", INTEGERS)
def test_true_is_no_integer(name):
    assert refuses_true(INTEGERS[name]) is True
