"""Bad input to a training's budget, batches, checkpoints and log: each call gets an error that says
the argument, what came and what was expected."""

import pytest
from bad_input import f, refused, refuses_true

from ldf_np.models import nets
from ldf_np.training.log import read_records

mali = nets.mlp_ali(2, 2, 8)

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
    "records int": (lambda: read_records(1),
                    TypeError, "expected str, bytes or os.PathLike object, not int"),
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
