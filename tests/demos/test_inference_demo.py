"""demos/paper/inference.py: scores of reconstructions that are known, what a swap keeps, and a
whole small run."""

import json

import numpy as np
import pytest
from helpers import load_program
from test_limited_data import squares

import ldf_np as ldf
from ldf_np.data import Clips
from ldf_np.models import nets

inference = load_program("demos/paper/inference.py")


def test_likeness_of_what_is_known():
    clips = squares(40, 0)
    same = inference.likeness(clips, clips)
    assert same == {"MSE": 0.0, "own is nearest": 1.0, "moving: own is nearest": 1.0,
                    "motion kept": 1.0}
    # Negative control: clips of others, and frozen ones.
    other = inference.likeness(np.roll(clips, 1, axis=0), clips)
    assert other["own is nearest"] == 0 and other["MSE"] > 0
    frozen = np.repeat(clips[:, :1], 5, axis=1)
    assert inference.likeness(frozen, clips)["motion kept"] == 0


def test_a_swap_has_the_mean_of_one_and_the_changes_of_the_other():
    x, y = np.random.default_rng(0).standard_normal((2, 3, 5, 4, 4, 2))
    made = inference.swapped(x, y)
    np.testing.assert_allclose(made.mean(axis=1), x.mean(axis=1))
    np.testing.assert_allclose(np.diff(made, axis=1), np.diff(y, axis=1))
    np.testing.assert_allclose(inference.swapped(x, x), x)


def test_a_probe_finds_what_is_linear_and_nothing_else():
    rng = np.random.default_rng(0)
    x, wanted = rng.standard_normal((300, 8)), rng.standard_normal((8, 3))
    found = inference.probe(x[:200], x[200:], x[:200] @ wanted, x[200:] @ wanted)
    assert min(found.values()) > 0.99 and list(found) == list(inference.TARGETS)
    nothing = inference.probe(x[:200], x[200:], *np.split(rng.standard_normal((300, 3)), [200]))
    assert max(nothing.values()) < 0.1


@pytest.fixture
def small(monkeypatch):
    """Made-up clips, and a small untrained model in place of the one that comes with the
    package."""
    rng = np.random.default_rng(0)
    data = Clips(squares(80, 0), squares(70, 1), np.zeros(80, np.int32), np.zeros(70, np.int32), 0,
                 {}, rng.integers(0, 99, (80, 3)), rng.integers(0, 99, (70, 3)))

    def pretrained(name):
        model = nets.clip_ldf(data.train, bottom="small", latent_size=8)
        model.whitening.fit(model.codes(data.train))
        return model

    monkeypatch.setattr(inference, "load_pacman", lambda *_, **__: data)
    monkeypatch.setattr(inference.ldf, "load_pretrained", pretrained)
    monkeypatch.setattr(inference, "PROBED", 60)


def test_a_run(small, tmp_path, capsys, monkeypatch):
    options = ["--steps", "2", "--seeds", "0", "1", "--held-out", "64", "--device", "cpu", "--out",
               str(tmp_path)]
    inference.run(inference.parse(options))
    results = json.loads((tmp_path / "results.json").read_text())
    tables = results["tables"]
    assert list(tables["Reconstructions of held-out clips"]["rows"]) == list(inference.WAYS)
    assert len(results["claims"]) == 3
    assert all(np.isfinite(cell[0]) for table in tables.values() for row in table["rows"].values()
               for cell in row if isinstance(cell, list))
    for figure in results["figures"]:
        assert (tmp_path / figure["file"]).stat().st_size > 2000
    assert "walks.png" in capsys.readouterr().out
    # what is trained is kept, and the saved model infers
    monkeypatch.setattr(inference, "train", lambda *_: pytest.fail("a finished run is made again"))
    inference.run(inference.parse(options))
    with monkeypatch.context() as other:        # but not with another model of the package below
        other.setattr(inference.pretrained, "card", lambda name: {"seed": 7})
        with pytest.raises(pytest.fail.Exception, match="made again"), \
                pytest.warns(UserWarning, match="of other settings"):
            inference.run(inference.parse(options))
    model = inference.ldf.load_pretrained("")
    model.top = nets.local_ali_top(model.whitening.shape, seed=10)
    model.load(tmp_path / "model_seed0.safetensors")
    assert model.infer(squares(3, 2)).shape == (3, 128) and isinstance(model, ldf.LDF)
    with pytest.raises(ValueError, match="--held-out: expected at most 70, .* got 71"):
        inference.run(inference.parse([*options, "--held-out", "71"]))


@pytest.mark.parametrize("options, message", [
    (["--held-out", "10"], "--held-out: expected an integer of at least 64, got 10"),
    (["--top", "local"], "--top: invalid choice"),
    (["--minutes", "0"], "--minutes: expected a positive number, got 0"),
    (["--minutes", "1", "--steps", "5"], "not allowed with argument")])
def test_bad_options(options, message, capsys):
    with pytest.raises(SystemExit):
        inference.parse(options)
    assert message in capsys.readouterr().err


def test_quick_is_one_seed_and_a_minute():
    options = inference.parse(["--quick"])
    assert (options.seeds, options.minutes, options.steps) == ([0], 1.0, None)
    assert inference.parse(["--quick", "--steps", "5"]).minutes is None
