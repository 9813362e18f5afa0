"""The two demos to read first, as a person runs them: their pictures and their printed answers."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from helpers import CHECKOUT
from PIL import Image


def run(name, *options, cache=""):
    program = subprocess.run([sys.executable, str(CHECKOUT / "demos" / name), *options],
                             env=os.environ | {"LDF_CACHE": str(cache)}, capture_output=True,
                             text=True, timeout=240)
    assert program.returncode == 0, program.stderr
    return program.stdout


def test_quickstart(tmp_path):
    pytest.importorskip("ale_py", reason="the demo's clips come from the game")
    out = tmp_path / "out"
    said = run("quickstart.py", "0.02", "--clips", "128", "--out", str(out), cache=tmp_path)
    assert f"Open {out}/samples.png" in said
    assert {p.name for p in out.iterdir()} == {"samples.png", "reconstructions.png"}
    for name, rows in (("samples.png", 16), ("reconstructions.png", 13)):      # 13 held out
        with Image.open(out / name) as image:
            assert image.height == 3 * (rows * 33 + 1) + 32        # under a title
            assert len(np.unique(np.asarray(image))) > 100


def test_double_backprop():
    said = run("double_backprop.py")
    assert said.count("[ 36. 288. 972.]") == 2 and "[ 3. 12. 27.]" in said
    by_hand, library = map(float, re.search(r"by hand: (\S+) +ldf.roth_penalty: (\S+)",
                                            said).groups())
    assert by_hand == pytest.approx(library, rel=1e-12) and by_hand > 0.1
    assert float(re.search(r"at most (\S+)", said)[1]) < 1e-12


PRIVATE = re.compile(r"import .*\b_\w|\._\w")


def test_they_are_short_and_import_only_public_names():
    for name, most in (("quickstart.py", 45), ("double_backprop.py", 35), ("pacman.py", 149)):
        text = (CHECKOUT / "demos" / name).read_text(encoding="utf-8")
        assert len(text.splitlines()) <= most, name
        assert not PRIVATE.search(text), name
    for text in ("from ldf_np.nn import _size", "model._step(x, 0)"):       # controls
        assert PRIVATE.search(text)


def test_digits(tmp_path):
    out = tmp_path / "out"
    said = run("digits.py", "--minutes", "0.02", "--seeds", "0", "1", "--out", str(out),
               cache=tmp_path)
    assert f"Open in {out}:" in said and "digits.png" in said and "seed 1" in said
    assert {p.name for p in out.iterdir()} == {"digits.png", "index.html", "results.json"}
    with Image.open(out / "digits.png") as image:
        assert image.height > 4 * (10 * 9 + 1) + 32 and image.width > image.height
    found = json.loads((out / "results.json").read_text())
    steps, error, kid = found["tables"]["Digits"]["rows"]["seed 0"]
    assert steps >= 1 and error > 0 and kid > 0 and found["seconds"] > 0
