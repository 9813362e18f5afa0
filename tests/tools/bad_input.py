"""What the tables of bad input share: tests/*/test_bad_input_*.py, one a room.

A row is ``name: (call, error, a part of its message)``. The call has to raise the error before it
takes much memory. A second table is ``name: call``, where ``call(True)`` has to be refused, for
True is no integer. Paths in the rows are relative: each test runs in an empty folder (conftest.py).
"""

import numpy as np
from helpers import attempt

MEMORY = 64 * 2**20     # bytes that a refusal may take


def f(*shape):
    return np.ones(shape, np.float32)


def u8(*shape):
    return np.zeros(shape, np.uint8)


nan = f(8, 2)
nan[0, 0] = np.nan


def refused(call, kind, message):
    """Whether a call is refused as it has to be; where not, what happened, as a text."""
    error, came, taken = attempt(call)
    return isinstance(error, kind) and message in str(error) and taken < MEMORY or came


def refuses_true(call):
    """Whether ``call(True)`` is refused with True named, Python's and NumPy's; where not, what
    happened, as a text."""
    for true in (True, np.True_):
        error, came, _ = attempt(lambda: call(true))
        if not (isinstance(error, (TypeError, ValueError)) and "expected" in str(error)
                and "True" in str(error)):
            return came
    return True
