"""demos/paper/gibbs.py: scores of chains whose memory is known, noise that is only where it should
be, and a whole small run."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import load_program, verdicts

import ldf_np as ldf
from ldf_np.models import nets

gibbs = load_program("demos/paper/gibbs.py")


def pictures(seed, n, frames=None):
    """Images (n, 32, 32, 3) float32, or clips (n, frames, ...) uint8: noise around a colour that
    each has for itself."""
    rng = np.random.default_rng(seed)
    bytes_ = rng.integers(
        0, 200, (n, 1, 1, 1, 3)) + rng.integers(0, 56, (n, frames or 1, 32, 32, 3))
    return bytes_.astype(np.uint8) if frames else (bytes_[:, 0] / 127.5 - 1).astype(np.float32)


@pytest.fixture(scope="module")
def score():
    return gibbs.Scorer(pictures(0, 40), pictures(1, 40))


def chain(score, move, copies=2):
    return gibbs.run_chain(move, pictures(0, 40), 3, score, copies=copies)


def test_a_chain_that_stays(score):
    found, film = chain(score, lambda x: x, copies=1)
    assert found["retention"] == [1.0] * 4 and found["moved"] == [0.0] * 4
    assert found["explained"] == pytest.approx([1] * 4)
    assert found["spread"] == pytest.approx([1.0] * 4) and min(found["halves"]) > 0.8
    assert film.shape == (gibbs.SHOWN, 4, 32, 32,
                          3) and film.dtype == np.uint8 and (film[:, 0] == film[:, 3]).all()


def test_a_chain_that_forgets_at_once(score):
    """Negative control of every score: states that know nothing of their start."""
    seeds = iter(range(2, 100))
    found, _ = chain(score, lambda x: pictures(next(seeds), len(x)))
    assert found["retention"][0] == 1.0 and max(found["retention"][1:]) < 0.15
    assert found["explained"][0] == pytest.approx(1)
    assert np.abs(found["explained"][1:]).max() < gibbs.LIMIT
    assert abs(found["halves"][-1] - 0.5) < 0.2 and found[
        "moved"][-1] == pytest.approx(1.0, abs=0.3)
    assert abs(found["KID"][-1]) < 20


def test_a_chain_that_falls_onto_one_point(score):
    """It is deterministic, and yet forgets."""
    found, _ = chain(score, lambda x: np.zeros_like(x), copies=1)
    assert found["retention"][-1] == pytest.approx(1
                                                   / 40) and found["explained"][
                                                       -1] == 0.0 and found["spread"][-1] < 1e-6
    assert found["KID"][-1] > 10 * abs(found["KID"][0])


def test_a_chain_that_forgets_half_of_its_start(score):
    """By the definition: states s + e, e as large as s, of which the start explains a half (in the
    features, about)."""
    starts, rng = pictures(0, 40), np.random.default_rng(5)
    features = gibbs.metrics.features(starts).astype(np.float64)
    noisy = [features + rng.permuted(features - features.mean(0), axis=0) for _ in range(2)]
    replaced = gibbs.metrics.features
    try:
        gibbs.metrics.features = lambda states: np.concatenate(noisy)
        assert score(None)["explained"] == pytest.approx(0.5, abs=0.1)
    finally:
        gibbs.metrics.features = replaced


def test_what_draws_and_what_does_not():
    x = pictures(0, 4)
    for stochastic in (False, True):
        model = nets.place_ali(stochastic=stochastic, seed=1)
        drawn = [gibbs.infer(model, x, ldf.Generator(seed)) for seed in (0, 0, 1)]
        assert np.array_equal(
            drawn[0], drawn[1]) and np.array_equal(drawn[0], drawn[2]) == (not stochastic)
        np.testing.assert_allclose(gibbs.infer(model, x), model.encode(x, "z"), atol=1e-6)
        plain = gibbs.mover(model)(x)
        np.testing.assert_allclose(plain, model.reconstruct(x, "z"), atol=1e-6)
        noisy = gibbs.mover(model, noise=0.25, noise_rng=ldf.Generator(2))(x)
        assert (noisy - plain).std() == pytest.approx(0.25, rel=0.05)
        assert gibbs.mover(model, noise=9.0, noise_rng=ldf.Generator(2), low=-1.0,
                           high=1.0)(x).max() == 1.0


@pytest.mark.parametrize("stochastic", [False, True])
@pytest.mark.parametrize("make, shape", [(nets.mlp_ali_top, (12,)),
                                         (nets.local_ali_top, (2, 2, 3))])
def test_the_top_levels_learn(make, shape, stochastic):
    """Two hundred steps on correlated normal vectors, or maps: through z they come back better than
    their mean would."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((512, 4)) @ rng.standard_normal((4, 12)) / 2).astype(np.float32)
    x, model = x.reshape(-1, *shape), make(shape, latent_size=8, hidden=32, stochastic=stochastic)
    model.fit(x, steps=200)
    assert np.mean((model.decode(gibbs.infer(model, x), "z") - x) ** 2) < 0.5 * x.var()


def fake_chains(level):
    kinds = ("frames: h", *(f"{a}: {b}" for a in gibbs.LEVELS
                            for b in ("z", "mean of E", "drawn E, noisy G")))
    return [{kind: dict.fromkeys(gibbs.SCORES,
                                 [1.0, level + s / 100 if "noisy" in kind else 0.9 + s / 100])
             for kind in kinds} for s in range(3)]


def test_verdicts_follow_the_numbers():
    """Stochastic chains that forget, and, as the control, such that keep as much: then determinism
    is not what keeps it."""
    mixes = gibbs.claims(fake_chains(0.01), 100)
    assert verdicts(mixes) == ["held"] * 2 and len(mixes) == 16
    assert verdicts(gibbs.claims(fake_chains(0.99), 100)) == ["held", "failed"]
    assert verdicts(gibbs.claims(fake_chains(0.91), 100)) == ["held", "equal"]


def test_some_models_alone(tmp_path, monkeypatch, capsys):
    """Chains between frames and z alone: the claims are those of all models, and nothing is said of
    models that were not trained."""
    data = SimpleNamespace(train=pictures(0, 64, 2), test=pictures(1, 32, 2))
    monkeypatch.setattr(gibbs, "load_pacman", lambda *_, **__: data)
    gibbs.run(gibbs.parse(["--minutes", "0.002", "--seeds", "0", "--starts", "12", "--steps", "2",
                           "--models", "bottom", "bottom-stochastic", "--out", str(tmp_path)]))
    results = json.loads((tmp_path / "results.json").read_text())
    assert [*results["tables"]["models"]["rows"]] == ["bottom", "bottom-stochastic"]
    assert {kind.split(":")[0] for kind in results["tables"]["chains"]["rows"]} == {"frames"}
    every = {c["claim"] for c in gibbs.claims(fake_chains(0.01), 100)}
    own = {c["claim"] for c in results["claims"]} | {
        *results["tables"][gibbs.report.DESCRIBED]["rows"]}
    assert own == {claim for claim in every if "clips" not in claim and "maps" not in claim}
    with pytest.raises(SystemExit):
        gibbs.parse(["--models", "top"])
    assert "--models: expected bottom, on which the others stand" in capsys.readouterr().err


def test_a_top_on_the_bottom_of_the_package(tmp_path, monkeypatch):
    """No bottom is trained; the codes of the package's are what the top learns from, of clips that
    it has not seen: those of seed 0 it has."""
    data, seeds = SimpleNamespace(train=pictures(0, 64, 2), test=pictures(1, 32, 2)), []
    monkeypatch.setattr(gibbs, "load_pacman", lambda *_, seed, **__: (seeds.append(seed), data)[1])
    monkeypatch.setattr(gibbs, "bottom", lambda *_: pytest.fail("a bottom is trained"))
    seen, top = [], gibbs.top
    monkeypatch.setattr(gibbs, "top", lambda data, options, bottoms, *more: (
        seen.append(bottoms[0]), top(data, options, bottoms, *more))[1])
    gibbs.run(gibbs.parse(["--minutes", "0.002", "--seeds", "0", "--starts", "12", "--steps", "2",
                           "--models", "local-top", "--pretrained", "--out", str(tmp_path)]))
    results = json.loads((tmp_path / "results.json").read_text())
    assert {kind.split(":")[0] for kind in results["tables"]["chains"]["rows"]} == {"maps"}
    packaged = ldf.load_pretrained("pacman-ldf").levels[0].model.state_dict()
    assert seeds == [1] and len(seen) == 1
    assert seen[0].keys() == {f"weights {key}" for key in packaged}
    for key, array in packaged.items():
        np.testing.assert_array_equal(seen[0][f"weights {key}"], array)


def test_a_run(tmp_path, monkeypatch, capsys):
    data = SimpleNamespace(train=pictures(0, 64, 2), test=pictures(1, 32, 2))
    monkeypatch.setattr(gibbs, "load_pacman", lambda *_, **__: data)
    options = ["--minutes", "0.005", "--seeds", "0", "--device", "cpu", "--starts", "12",
               "--steps", "3"]
    options += ["--out", str(tmp_path)]
    gibbs.run(gibbs.parse(options))
    results = json.loads((tmp_path / "results.json").read_text())
    assert {p.name for p in tmp_path.iterdir()} == {"pieces", "checkpoints", "index.html",
                                                    "results.json",
                                                    "chains.png", "curves.png",
                                                    "chains.gif"}
    rows = results["tables"]["chains"]["rows"]
    assert len(rows) == 22 and all(np.isfinite([cell[0] for cell in row]).all()
                                   for row in rows.values())
    counts = [row[0] for row in results["tables"]["models"]["rows"].values()]
    for alike in (counts[:3], counts[3:5], counts[5:]):
        assert max(alike) < 1.1 * min(alike)
    assert len(results["claims"]) == 2 and "frames: independent" in capsys.readouterr().out

    for name in ("bottom", "top"):          # the same again trains nothing
        monkeypatch.setattr(gibbs, name, lambda *_: pytest.fail("a finished run is made again"))
    # its pictures are there
    monkeypatch.setattr(gibbs, "pictures", lambda *_: [])
    gibbs.run(gibbs.parse(options))
    with pytest.raises(ValueError,
                       match="--starts: expected at most 24 .of 32 held-out clips., got 30"):
        gibbs.run(gibbs.parse([*options, "--starts", "30"]))
