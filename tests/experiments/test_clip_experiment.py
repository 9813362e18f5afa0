"""Models of clips compared: verdicts follow the scores, tables hold every seed, copies are seen."""

import json

import numpy as np
import pytest
from helpers import load_program, verdicts

from ldf_np.experiments import clip_experiment as experiment

KEYS = ("KID frames", "KID clips", "KID differences", "motion W1", "background drift")
ANCHORS = {"real": dict.fromkeys(KEYS, 0.0), "independent": dict.fromkeys(KEYS, 10.0)}


def run(score, seed):
    """A run whose scores are all ``score`` and a little more with each seed."""
    return {"scores": dict.fromkeys(KEYS, score + 0.01 * seed), "over samples": [score, 0.0, 9.0],
            "variance_kept": 1 - score / 10, "parameters": 7, "training": {
                "level 0": {"steps": 100 + seed}, "top": {"steps": 50}}}


def runs(own, joint, seeds=(0, 1, 2)):
    return {"LDF": {s: run(own, s) for s in seeds}, "joint GAN": {s: run(joint, s) for s in seeds}}


def test_verdicts_follow_the_scores():
    """Negative control: with the models exchanged, what held fails."""
    held = experiment.claims(runs(0.5, 5.0), ANCHORS, {"minutes": 2})
    assert verdicts(held) == ["held"] * 2 and held[0]["interval"][0] == -4.5 and len(held) == 5
    assert held[0]["claim"].startswith("After 2 minutes of training LDF's clips are nearer")
    failed = experiment.claims(runs(5.0, 0.5), ANCHORS, {"steps": 60})
    assert verdicts(failed) == ["failed"] * 2
    assert failed[0]["claim"].startswith("After 60 steps")
    assert len(experiment.claims({"LDF": {0: run(1.0, 0)}}, ANCHORS, {"minutes": 2})) == 2
    assert experiment.claims({"joint GAN": {0: run(1.0, 0)}}, ANCHORS, {"minutes": 2}) == []


def test_what_was_interrupted_counts_in_no_claim():
    whole, found = runs(0.5, 5.0), runs(0.5, 5.0, seeds=(0, 1, 2, 3))
    found["joint GAN"][3] |= {"interrupted": True, "scores": dict.fromkeys(KEYS, 1e6)}
    found["LDF"][3]["interrupted"] = True
    assert experiment.claims(found, ANCHORS, {"steps": 9}) == experiment.claims(
        whole, ANCHORS, {"steps": 9})


def test_only_seeds_of_both_models_are_paired():
    found = runs(0.5, 5.0)
    del found["joint GAN"][0]
    found["LDF"][0]["scores"]["KID clips"] = 1000.0
    assert experiment.claims(found, ANCHORS, {"minutes": 2})[0]["interval"] == [-4.5] * 3
    beside, placed, samples, training = experiment.tables(found, ANCHORS).values()
    assert samples["columns"] == ["seed 0", "seed 1", "seed 2"]
    assert samples["rows"]["joint GAN"][0] is None and samples["rows"]["LDF"][0] == [0.5, 0.0, 9.0]
    assert training["rows"]["LDF"] == [7, "level 0 100/101/102, top 50/50/50"]
    assert beside["rows"]["real clips, independent"] == [10.0] * 5
    assert placed["columns"] == ["KID clips", "KID differences", "motion W1", "background drift"]
    assert placed["rows"]["joint GAN"][0][0] == pytest.approx(0.5, abs=0.01)


def test_a_kept_run_may_be_older_than_a_score():
    """The score is then left out, of anchors, too; negative control: where all have it, it is
    there."""
    found = runs(0.5, 5.0, seeds=(0,))
    newer = {kind: scores | {"KID figures": 3.0} for kind, scores in ANCHORS.items()}
    for some in found.values():
        for kept in some.values():
            assert experiment.tables(found, newer)["Scores beside held-out clips"][
                "columns"] == [*KEYS]
            kept["scores"]["KID figures"] = 2.0
    beside = experiment.tables(found, newer)["Scores beside held-out clips"]
    assert beside["columns"] == [*KEYS, "KID figures"]
    assert beside["rows"]["real clips, real"] == [0.0] * 5 + [3.0]


def test_the_models_of_the_package_draw_a_page(tmp_path, monkeypatch):
    """`pacman.py --pretrained`, also where one card is older than a score."""
    pacman = load_program("demos/pacman.py")
    older = experiment.card("pacman-joint")
    del older["scores"]["KID figures"]
    monkeypatch.setattr(experiment, "card", lambda name, card=experiment.card: (
        older if name == "pacman-joint" else card(name)))
    pacman.run(pacman.parse(["--pretrained", "--seeds", "0", "--out", str(tmp_path)]))
    assert {"samples.gif", "samples.png", "index.html"} <= {p.name for p in tmp_path.iterdir()}
    (table,) = json.loads((tmp_path / "results.json").read_text())["tables"].values()
    assert table["columns"] == list(older["scores"]) and set(table["rows"]) == {"LDF", "joint GAN"}


@pytest.mark.parametrize("budget, unit, last", [({"minutes": 2}, "seconds", 105.0),
                                                ({"steps": 16}, "steps", 14.0)])
def test_weights_are_picked_at_seven_times(budget, unit, last):
    clips = np.random.default_rng(0).integers(0, 255, (8, 5, 16, 16, 3), dtype=np.uint8)
    best = experiment.best_weights(None, clips, 0, budget)
    assert best.unit == unit and len(best.times) == 7 and best.times[-1] == last


def test_all_scores_see_copies_of_training_clips():
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 200, (96, 1, 1, 1, 3))
    clips = (colours + rng.integers(0, 56, (96, 5, 16, 16, 3))).astype(np.uint8)
    scores = experiment.AllClipScores(clips[:32], clips[32:])
    copies = scores(clips[32:64])
    assert copies["memorisation"] == 0 and len(copies) == 15
    assert 0.5 < scores(clips[:32][::-1])["memorisation"]
    middle, low, high = scores.over_samples(clips[32:64])
    assert low < middle < high and middle == pytest.approx(copies["KID clips"])


def test_the_longer_the_training_the_more_clips():
    assert [experiment.whole_clips(m) for m in (0.01, 1, 60)] == [640, 2500, 5000]
