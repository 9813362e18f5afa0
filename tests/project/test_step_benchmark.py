"""The benchmark of training steps: only equal steps are timed; a short run of it; and the steps of
PyTorch and JAX, where they are installed, against ours."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
from helpers import CHECKOUT, load_program

from ldf_np import nn

PROGRAM = CHECKOUT / "benchmarks" / "step.py"
step = load_program("benchmarks/step.py")
INSTALLED = [library for library, (package, _) in step.OTHERS.items()
             if importlib.util.find_spec(package) is not None]


class Answering:
    """A Worker whose first step came out so."""

    def __init__(self, library, found):
        self.library, self.found = library, found

    def ask(self, request):
        return self.found


def test_what_differs_is_found():
    expected = {"loss of D": [np.array(2.0)], "gradients of D": [np.ones(4), np.full(4, 1e-3)]}
    found = {"loss of D": [np.array(2.0001)], "gradients of D": [np.ones(4), np.full(4, 1.5e-3)]}
    assert step.differences(expected, expected, step.EXACT) == {}
    assert step.differences(expected, found, step.EXACT) == {
        "loss of D": pytest.approx(5e-5), "gradients of D": pytest.approx(0.5)}
    assert [*step.differences(expected, found, step.ROUNDED)] == ["gradients of D"]
    assert [*step.differences(expected, {"loss of D": [np.array(np.nan)],
                                         "gradients of D": expected["gradients of D"]},
                              step.ROUNDED)] == ["loss of D"]
    with pytest.raises(ValueError, match="got \\['loss of D'\\]"):
        step.differences(expected, {"loss of D": expected["loss of D"]}, step.EXACT)


def test_only_what_agrees_is_timed(capsys):
    found = {"loss of D": [np.array(2.0)]}
    workers = [Answering("ldf_np", found), Answering("PyTorch", found),
               Answering("JAX", {"loss of D": [np.array(2.1)]})]
    assert step.agreeing(workers, "mlp", 8, "float64", step.EXACT) == workers[:2]
    assert capsys.readouterr().err == ("JAX, mlp, batch 8, float64: loss of D: off by 5.0e-02 of "
                                       "the norm: not timed\n")


def test_the_ratio_is_ours_over_theirs():
    row = step.row("mlp", 1, 64, {"ldf_np": 10.0, "PyTorch": 20.0})
    assert row["ratios"] == {"PyTorch": 0.5}
    assert step.line(row, ["ldf_np", "PyTorch", "JAX"]).split() == [
        "mlp", "1", "64", "10.0", "20.0", "0.50", "differs"]


def first_step(library, name, monkeypatch, **changed):
    """What came of it in float64, for a model with some changed settings."""
    make, shape = step.MODELS[name]

    def another():
        model = make()
        vars(model).update(changed)
        return model

    monkeypatch.setitem(step.MODELS, name, (another, shape))
    _, found = step.prepared(library, name, 4, "float64", 1)
    return {what: [array.copy() for array in arrays] for what, arrays in found.items()}


@pytest.mark.parametrize("library", step.OTHERS)
@pytest.mark.parametrize("name", step.MODELS)
def test_their_step_is_ours(library, name, monkeypatch):
    if library not in INSTALLED:
        pytest.skip(f"needs {library}")
    monkeypatch.syspath_prepend(PROGRAM.parent)
    ours, theirs = (first_step(each, name, monkeypatch) for each in ("ldf_np", library))
    assert step.differences(ours, theirs, step.EXACT) == {}
    # negative control: the penalty is in the gradients alone
    weaker = first_step("ldf_np", name, monkeypatch, gamma=10.0)
    assert [*step.differences(weaker, theirs, step.EXACT)][:1] == ["gradients of D"]


@pytest.mark.parametrize("library", step.OTHERS)
def test_every_layer_has_its_rule(library):
    """Also where that library is not installed: a new kind of layer ends the comparison of every
    model that has one."""
    kinds = set()
    for make, _ in step.MODELS.values():
        model = make()
        parts = ([model.encoder, model.decoder, model.discriminator] if hasattr(model, "encoder")
                 else [nn.Sequential(model.generator, model.discriminator)])
        kinds |= {type(module).__name__ for part in parts
                  for _, module in part.named_modules() if module is not part}
    assert {"Linear", "Conv2d", "WithEnergies"} <= kinds
    source = (PROGRAM.parent / f"{step.OTHERS[library][1]}.py").read_text(encoding="utf-8")
    assert {kind for kind in kinds if f'"{kind}"' not in source} == set()
    assert '"Dropout"' not in source        # negative control


def run(*options):
    return subprocess.run([sys.executable, PROGRAM, *options], capture_output=True, text=True,
                          timeout=300)


def test_the_program_in_short():
    ended = run("--steps", "1", "--models", "mlp", "--batches", "4", "--json", "steps.json")
    assert ended.returncode == 0, ended.stderr
    for library in step.OTHERS:
        assert (f"{library} is not installed" in ended.stdout) == (library not in INSTALLED)
    with open("steps.json") as file:
        row, = json.load(file)["rows"]
    assert (row["model"], row["threads"], row["batch"]) == ("mlp", 1, 4)
    assert [*row["ms"]] == ["ldf_np", *INSTALLED] and [*row["ratios"]] == INSTALLED
    assert min(row["ms"].values()) > 0 and step.line(row, [*row["ms"]]) in ended.stdout


@pytest.mark.parametrize("options, message", [
    (("--steps", "0"), "--steps: expected a positive number, got 0"),
    (("--batches", "64", "1"), "--batches: expected numbers from 2 on, got [64, 1]"),
    (("--models", "top"), "invalid choice: 'top'")])
def test_wrong_options(options, message):
    ended = run(*options)
    assert ended.returncode == 2 and message in ended.stderr
