"""What all tests share: they run on the CPU unless they say otherwise, in a folder of their own;
hypothesis tries the same examples each time."""

import os
import site
import tempfile
from pathlib import Path

BUILD = Path(__file__).parents[1] / "build"
# What takes long to make again is kept from run to run; what pip put into the home folder is found.
os.environ["MPLCONFIGDIR"] = str(BUILD / "matplotlib")
os.environ["CUPY_CACHE_DIR"] = str(BUILD / "cupy")
os.environ["PYTHONUSERBASE"] = site.getuserbase()

import hypothesis
import pytest
import threadpoolctl
from watch_files import Watch

import ldf_np as ldf

ldf.use("cpu")        # what the files of tests make when they are read, too

hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, max_examples=50,
                                     database=None)
hypothesis.settings.load_profile("tests")
threadpoolctl.threadpool_limits(limits=1, user_api="blas")       # the matrices are small
hypothesis.configuration.set_hypothesis_home_dir(BUILD / "hypothesis")


@pytest.fixture(autouse=True)
def on_the_cpu():
    ldf.use("cpu")


@pytest.fixture(scope="session", autouse=True)
def watch(tmp_path_factory):
    """The temporary folder, the home folder and the cache of data, of this process and of those
    that it starts, are empty folders of the test run. Returns the Watch of the files that are
    used."""
    watch = Watch(own=[tmp_path_factory.getbasetemp(), BUILD])
    folders = {name: tmp_path_factory.mktemp(name) for name in ("TMPDIR", "HOME", "LDF_CACHE")}
    with pytest.MonkeyPatch.context() as patch:
        for name, folder in folders.items():
            patch.setenv(name, str(folder))
        patch.delenv("XDG_CACHE_HOME", raising=False)
        patch.setattr(tempfile, "tempdir", str(folders["TMPDIR"]))
        patch.chdir(tmp_path_factory.mktemp("between_tests"))
        watch.on = True
        yield watch
        watch.on = False


@pytest.fixture(autouse=True)
def own_folder(watch, tmp_path, monkeypatch):
    """A test starts in an empty folder, and uses no file outside the folders it may use."""
    monkeypatch.chdir(tmp_path)
    yield
    seen = watch.take()
    assert not seen, "files outside the folders of the test run: " + ", ".join(seen)
