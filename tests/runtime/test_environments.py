"""Places that are not like a developer's own: file systems without permissions or syncing of
folders, users without a home, programs without a stderr, Python without docstrings, matplotlib with
LaTeX."""

import errno
import os
import stat
import subprocess
import sys

import numpy as np
import pytest
from helpers import CHECKOUT

from ldf_np.data import cache
from ldf_np.experiments.plots import save_lines
from ldf_np.models.nets import mlp_gan
from ldf_np.runtime.files import replacing, save_tensors
from ldf_np.training.checkpoint import Checkpoints

X = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)


def failing(number, on_folders=True):
    """os.fsync that fails so, on folders or on all."""
    def fsync(descriptor):
        if not on_folders or stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))

    return fsync


def refuses(*_):
    raise PermissionError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("name, stand_in", [
    ("fsync", failing(errno.EINVAL)), ("fsync", failing(errno.EINVAL, False)),
    ("fsync", failing(errno.ENOTSUP)), ("chmod", refuses)])
def test_file_systems_that_know_less(name, stand_in, tmp_path, monkeypatch):
    """What they do not know is left out: files, weights and checkpoints are written all the
    same."""
    monkeypatch.setattr(os, name, stand_in)
    with replacing(tmp_path / "a") as temporary, open(temporary, "w") as file:
        file.write("whole")
    assert (tmp_path / "a").read_text() == "whole"
    model = mlp_gan(3, 2, 4)
    model.fit(X, steps=3, batch_size=8, checkpoints=Checkpoints(tmp_path / "run"))
    model.save(tmp_path / "weights")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "run", "weights"]


def test_a_full_disk_is_still_an_error(tmp_path, monkeypatch):
    """Negative control: only what a file system does not know is left out."""
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC, False))
    with pytest.raises(OSError, match="No space left"):
        save_tensors(tmp_path / "a", {"x": X})
    assert list(tmp_path.iterdir()) == []


def test_without_a_home_nothing_is_kept(monkeypatch):
    for name in ("LDF_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _: {}["no such user"])
    assert cache.cache_folder() is None
    made = cache.cached(None, "a.npz", ["x"], {}, lambda arrays: None, 10**6, lambda: {"x": X})
    assert made["x"] is X


def test_without_a_stderr_a_training_goes_on(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    history = mlp_gan(3, 2, 4).fit(X, steps=3, batch_size=8, progress=True)
    assert history.steps == 3


@pytest.mark.parametrize("tool", ["soak", "mutation", "fuzz_readers"])
def test_tools_without_docstrings(tool):
    ended = subprocess.run([sys.executable, "-OO", CHECKOUT / "tests" / "tools" / f"{tool}.py",
                            "--help"], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0 and "usage" in ended.stdout, ended.stderr


def test_a_figure_needs_no_latex(tmp_path, monkeypatch):
    import matplotlib

    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(matplotlib.rcParams, "text.usetex", True)
    save_lines(tmp_path / "a.png", {"one_model": [[[0, 1], [1, 2]]]}, "x_axis", "50%")
    assert (tmp_path / "a.png").stat().st_size > 1000
