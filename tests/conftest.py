"""What all tests share: they run on the CPU unless they say otherwise, in a folder of their own;
hypothesis tries the same examples each time."""

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


@pytest.fixture(scope="session", autouse=True)
def own_folder(tmp_path_factory):
    """Paths that tests give as relative lie in a folder of this run, which starts empty."""
    os.chdir(tmp_path_factory.mktemp("folder"))
