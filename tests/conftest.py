"""What all tests share: they run on the CPU unless they say otherwise; hypothesis tries the same
examples each time."""

import os

# before NumPy loads: the tests' matrices are small
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import pytest

import ldf_np as ldf

hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, max_examples=50,
                                     database=None)
hypothesis.settings.load_profile("tests")


@pytest.fixture(autouse=True)
def on_the_cpu():
    ldf.use("cpu")
