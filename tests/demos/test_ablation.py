"""demos/paper/ablation.py: one difference a variant, paired differences, divergence as a result,
and a whole small run."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import load_program

import ldf_np as ldf
from ldf_np.models import nets

ablation = load_program("demos/paper/ablation.py")


@pytest.fixture(scope="module")
def data():
    """Clips of noise around a colour of their own, of two frames only, so that the codes' basis is
    small."""
    def clips(rng, n):
        return (rng.integers(0, 200, (n, 1, 1, 1, 3))
                + rng.integers(0, 56, (n, 2, 32, 32, 3))).astype(np.uint8)

    rng = np.random.default_rng(0)
    return SimpleNamespace(train=clips(rng, 64), test=clips(rng, 48))


@pytest.fixture
def small(monkeypatch, data):
    monkeypatch.setattr(ablation, "load_pacman", lambda *_, **__: data)
    monkeypatch.setattr(ablation, "SAMPLES", 16)


def test_what_the_variants_change(data):
    def setting(variant):
        model = nets.clip_ldf(data.train, 2, **ablation.VARIANTS[variant][0])
        bottom, top = model.models[0], model.top
        return (model.levels[0].code, bottom.penalty, bottom.gamma, top.penalty, top.gamma,
                bottom.shortcut_weight)

    assert setting("default") == ("h", "unweighted", 50.0, "unweighted", 150.0, 1000.0)
    assert setting("roth") == ("h", "roth", 200.0, "roth", 600.0, 1000.0)
    assert setting("r1") == ("h", "r1", 100.0, "r1", 300.0, 1000.0)
    assert setting("no penalty") == ("h", "none", 0.0, "none", 0.0, 1000.0)
    assert setting("shortcut 100")[-1] == 100.0 and setting("code z")[0] == "z"


def test_equally_strong_penalties_where_the_discriminator_is_undecided():
    """A logit x @ w that is 0 on average: the three kinds add the same to the loss."""
    rng = np.random.default_rng(0)
    w = ldf.Tensor(1e-4 * rng.standard_normal((4, 1)))
    real, fake = rng.standard_normal((2, 32, 4))
    found = {kind: float(ablation.penalties(kind, share)["gamma"] *
                         ldf.penalty.penalized_logits(lambda x: x @ w, (real,), (fake,),
                                                      kind)[2].data)
             for kind, share in (("roth", 4.0), ("unweighted", 1.0), ("r1", 2.0))}
    assert found["unweighted"] == pytest.approx(found["roth"], rel=1e-3)
    assert found["r1"] == pytest.approx(found["roth"], rel=1e-3)


def fake_pieces(*numbers):
    return [{"scores": None if x is None else dict.fromkeys(ablation.SCORES, x), "parameters": 7}
            for x in numbers]


def test_paired_differences_leave_out_what_diverged():
    made = {"default": fake_pieces(1.0, 2.0, 30.0), "no penalty": fake_pieces(3.0, 4.5, None),
            "roth": fake_pieces(*[None] * 3)}
    assert ablation.differences(made["default"], made["no penalty"], "KID clips") == [-2.0, -2.5]
    shown = ablation.tables(made, {})
    assert shown["scores"]["rows"]["no penalty"][:3] == ["2 of 3", 7,
                                                         pytest.approx(
                                                             ablation.over_seeds([3.0, 4.5]))]
    assert shown["difference to the default"]["rows"]["roth"] == [None] * len(ablation.SCORES)
    first, second = ablation.claims(made)
    assert "no penalty diverged with 1 of 3" in first["quantity"] and first["interval"][0] == -2.25
    assert second["interval"] == [None] * 3 and "verdict" not in second
    assert "roth diverged with 3 of 3" in second["quantity"]


def test_verdicts_follow_the_numbers():
    """Negative control: the same numbers with the arms exchanged fail."""
    low, high = fake_pieces(1.0, 1.1, 1.2), fake_pieces(3.0, 3.0, 3.1)
    assert ablation.claims({"default": low, "together": high})[0]["verdict"] == "held"
    assert ablation.claims({"default": high, "together": low})[0]["verdict"] == "failed"


def test_the_end_of_the_discriminators_losses():
    def history(**losses):
        return SimpleNamespace(losses=losses)

    first = {"level 0": history(D=[9.0] * 18 + [1.0, 3.0]), "top": history(D=[5.0, 4.0])}
    assert [ablation.discriminator_loss(first, level) for level in ("bottom", "top")] == [2.0, 4.0]
    both = {"together": history(**{"level 0 D": [1.0], "top D": [2.0]})}
    assert ablation.discriminator_loss(both, "top") == 2.0


def test_a_run(small, tmp_path, capsys, monkeypatch):
    """Three variants. A fault is planted in one, and must show as diverged there and nowhere
    else."""
    def with_fault(*args, make=nets.clip_ldf, **settings):
        model = make(*args, **settings)
        if settings.get("penalty") == "none":
            next(iter(model.models[0].decoder.parameters())).data[...] = np.nan
        return model

    monkeypatch.setattr(nets, "clip_ldf", with_fault)
    variants = ["default", "no penalty", "together"]
    options = ["--minutes", "0.01", "--seeds", "0", "1", "--device", "cpu", "--out", str(tmp_path),
               "--variants", *variants]
    ablation.run(ablation.parse(options))
    results = json.loads((tmp_path / "results.json").read_text())
    assert {p.name for p in tmp_path.iterdir()} == {"pieces", "checkpoints", "index.html",
                                                    "results.json",
                                                    "scores.png", "samples.png"}
    rows = results["tables"]["scores"]["rows"]
    assert [rows[name][0] for name in variants] == ["2 of 2", "0 of 2", "2 of 2"]
    assert all("step 1: " in run["diverged"] for run in results["pieces"]["no penalty"])
    assert rows["default"][1] == rows["together"][1]
    assert all(np.isfinite(rows[name][2:]).all() for name in ("default", "together"))
    assert results["claims"][0]["verdict"] == "undecided"
    assert "diverged with 2 of 2" in capsys.readouterr().out

    made = []
    monkeypatch.setattr(ablation, "train", lambda *a: made.append(a))
    # the same again trains nothing
    ablation.run(ablation.parse([*options, "--variants", "default"]))
    assert not made
