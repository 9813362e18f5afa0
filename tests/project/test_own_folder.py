"""Tests stand alone: what lies in the temporary folder, in the home folder or in out/ changes
nothing, and a test that uses a file there is noticed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import CHECKOUT
from PIL import Image
from watch_files import Watch

SYSTEM, HOME = Watch(own=[])._private       # before the fixtures put folders of the run there
FILE_TESTS = ["bad_input_data", "bad_files", "data", "images_data"]


@pytest.mark.parametrize("use, event", [
    (lambda: os.listdir(SYSTEM), f"os.listdir {SYSTEM}"),
    (lambda: open(f"{SYSTEM}/no such file"), f"open {SYSTEM}/no such file"),
    (lambda: np.load(f"{HOME}/no such file.npz"), f"open {HOME}/no such file.npz"),
    (lambda: Path(HOME, "no such folder", "a").mkdir(), f"os.mkdir {HOME}/no such folder/a"),
    (lambda: (CHECKOUT / "out" / "no such file").read_text(), f"open {CHECKOUT}/out/no such file"),
    (lambda: os.remove(CHECKOUT / "no such file"), f"os.remove {CHECKOUT}/no such file"),
    (lambda: os.rename("no such file", f"{HOME}/a"), f"os.rename {HOME}/a"),
    (lambda: open("/no such folder/a", "w"), "open /no such folder/a"),
])
def test_a_file_outside_is_noticed(watch, use, event):      # negative control
    try:
        use()
    except FileNotFoundError:
        pass
    assert watch.take() == [event]


def test_what_a_test_may_use_is_let_through(watch, tmp_path):
    Path("a").write_text("a")
    os.rename("a", tmp_path / "b")
    (CHECKOUT / "setup.py").read_text()
    os.listdir(os.path.dirname(np.__file__))
    open(os.devnull, "w").close()
    assert watch.take() == []


@pytest.fixture
def rubbish(tmp_path):
    """A folder as other programs may leave it."""
    folder = tmp_path / "rubbish"
    for name in ("0", "17", "Train", "unreadable"):
        (folder / name).mkdir(parents=True)
        (folder / name / "0.png").write_bytes(b"no picture")
    np.savez(folder / "0.npz", arr_0=np.zeros(3))
    (folder / "data_batch_1").write_bytes(b"no batch")
    Image.new("RGB", (160, 210)).save(folder / "0.png")
    (folder / "unreadable").chmod(0)
    yield folder
    (folder / "unreadable").chmod(0o700)


def run_among(rubbish, *arguments):
    """Python started in a folder of rubbish, which is its temporary and its home folder too."""
    return subprocess.run([sys.executable, *arguments], cwd=rubbish, capture_output=True,
                          text=True, timeout=300,
                          env=os.environ | dict.fromkeys(("TMPDIR", "HOME", "LDF_CACHE"),
                                                         str(rubbish)))


def test_the_tests_of_files_pass_among_rubbish(rubbish):
    ended = run_among(rubbish, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c",
                      CHECKOUT / "pyproject.toml",
                      *(CHECKOUT / "tests" / "data" / f"test_{name}.py" for name in FILE_TESTS))
    assert ended.returncode == 0, ended.stdout


def test_a_reader_of_the_temporary_folder_would_see_the_rubbish(rubbish):   # negative control
    ended = run_among(rubbish, "-c", "import ldf_np.data, tempfile\n"
                      "ldf_np.data.read_clips(tempfile.gettempdir())")
    assert "holds both .npz files and folders" in ended.stderr
