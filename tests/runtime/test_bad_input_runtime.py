"""Bad input to the device, the noise and the threads: each call gets an error that says the
argument, what came and what was expected."""

import numpy as np
import pytest
from bad_input import refused, refuses_true

import ldf_np as ldf

rng = ldf.Generator(0)

# name: (call, error, a part of its message)
CASES = {
    "Gen -": (lambda: ldf.Generator(-1), ValueError, "seed: expected at least 0"),
    "Gen f": (lambda: ldf.Generator(1.5), TypeError, "seed: expected a whole number"),
    "Gen str": (lambda: ldf.Generator("a"), TypeError, "seed: expected a whole number"),
    "Gen none": (lambda: ldf.Generator(None), TypeError, "seed: expected a whole number"),
    "Gen np": (lambda: ldf.Generator(np.float64(1.)), TypeError, "seed: expected a whole number"),
    "normal size": (lambda: rng.standard_normal(-1),
                    ValueError, "size: expected at least 0"),
    "normal f": (lambda: rng.standard_normal(1.5),
                 TypeError, "size: expected a whole number"),
    "normal dtype": (lambda: rng.standard_normal(2, np.int32),
                     TypeError, "dtype: expected float32 or float64"),
    "normal f16": (lambda: rng.standard_normal(2, np.float16),
                   TypeError, "dtype: expected float32 or float64"),
    "random -": (lambda: rng.random((2, -1)), ValueError, "size: expected at least 0"),
    "normal (2,-2)": (lambda: rng.standard_normal((-2, -2)),
                      ValueError, "size: expected at least 0"),
    "random huge": (lambda: rng.random(10**13),
                    ValueError, "size: an array of shape 10000000000000"),
    "integers": (lambda: rng.integers(3, 1), ValueError, "high: expected at least 4"),
    "integers f": (lambda: rng.integers(0, 2.5), TypeError, "high: expected a whole number"),
    "integers size": (lambda: rng.integers(0, 2, -1),
                      ValueError, "size: expected at least 0"),
    "integers huge": (lambda: rng.integers(0, 2, 10**13),
                      ValueError, "size: an array of shape 10000000000000"),
    "perm -": (lambda: rng.permutation(-1), ValueError, "n: expected 0 to 4611686018427387904"),
    "perm f": (lambda: rng.permutation(1.5), TypeError, "n: expected a whole number"),
    "spawn": (lambda: rng.spawn(-1), ValueError, "count: expected 0 to 1048576"),
    "spawn f": (lambda: rng.spawn(1.5), TypeError, "count: expected a whole number"),
    "state": (lambda: setattr(rng, "state", {}),
              ValueError, "state: expected what Generator.state gave"),
    "state none": (lambda: setattr(rng, "state", None),
                   ValueError, "state: expected what Generator.state gave"),
    "state bad": (lambda: setattr(rng, "state", rng.state | {"counter": [1]}),
                  ValueError, "state: expected what Generator.state gave"),
    "state neg": (lambda: setattr(rng, "state", rng.state | {"counter": [-1, 0, 0, 0]}),
                  ValueError, "state: expected what Generator.state gave"),
    "normal str": (lambda: rng.standard_normal("ab"),
                   TypeError, "size: expected a whole number"),
    "permutation huge": (lambda: rng.permutation(2**70),
                         ValueError, "n: expected 0 to 4611686018427387904"),
    "use": (lambda: ldf.use("tpu"), ValueError, "device: expected one of cpu, cuda, auto"),
    "prec": (lambda: ldf.set_float32_matmul_precision("x"),
             ValueError, "precision: expected \"highest\" or \"high\""),
    "threads": (lambda: ldf.set_num_threads(0), ValueError, "count: expected 1"),
    "asarray": (lambda: ldf.asarray("a", dtype=np.float32),
                ValueError, "could not convert string to float: 'a'"),
    "to_numpy": (lambda: ldf.to_numpy([1]), TypeError, "expected a NumPy or CuPy array"),
    "spawn huge": (lambda: rng.spawn(2**40), ValueError, "count: expected 0 to 1048576"),
    "normal dtype s": (lambda: rng.random(2, "banana"),
                       TypeError, "dtype: expected float32 or float64"),
}
# Where an integer is meant, True is none: Python would take it as 1.
INTEGERS = {
    "Generator": lambda yes: ldf.Generator(yes),
    "random": lambda yes: rng.random(yes),
    "random shape": lambda yes: rng.standard_normal((2, yes)),
    "integers": lambda yes: rng.integers(0, yes),
    "permutation": lambda yes: rng.permutation(yes),
    "spawn": lambda yes: rng.spawn(yes),
    "set_num_threads": lambda yes: ldf.set_num_threads(yes),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_named(name):
    assert refused(*CASES[name]) is True


@pytest.mark.parametrize("name", INTEGERS)
def test_true_is_no_integer(name):
    assert refuses_true(INTEGERS[name]) is True
