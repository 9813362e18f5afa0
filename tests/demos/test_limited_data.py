"""demos/paper/limited_data.py at a tiny size: arms see what they may, what is finished is kept,
verdicts follow the scores."""

import json
import re

import numpy as np
import pytest
from helpers import load_program, verdicts

import ldf_np as ldf
from ldf_np.data import Clips

limited = load_program("demos/paper/limited_data.py")


def squares(n, seed):
    """Clips of a bright square that moves by a pixel a frame over a plain background."""
    rng = np.random.default_rng(seed)
    clips = np.zeros(
        (n, 5, 32, 32, 3), np.uint8) + rng.integers(0, 90, (n, 1, 1, 1, 3), dtype=np.uint8)
    for clip, (row, column) in zip(clips, rng.integers(0, 20, (n, 2))):
        for k, frame in enumerate(clip):
            frame[row + k:row + k + 8, column:column + 8] = 250
    return clips


@pytest.fixture
def small(monkeypatch):
    """300 made-up clips in place of the game's, and as little time as there is."""
    data = Clips(squares(300, 0), squares(16, 1), np.zeros(300, np.int32), np.zeros(16, np.int32),
                 0, {})
    monkeypatch.setattr(limited, "load_pacman", lambda clips, **_: data)
    monkeypatch.setattr(limited, "LEAST", 1e-4)
    return data


def test_every_arm_and_its_results(small, tmp_path, capsys):
    limited.run(limited.parse(["--minutes", "0.0005", "--clips", "300", "--joint-clips", "64",
                               "--seeds", "0",
                               "--out", str(tmp_path)]))
    results = json.loads((tmp_path / "results.json").read_text())
    # one seed
    assert [c["verdict"] for c in results["claims"]] == ["one seed"] * len(limited.CLAIMS)
    arms = results["arms"]["0"]["64"]
    assert list(arms) == limited.ARMS
    size = arms[limited.LDF]["parameters"]
    for arm in ("joint GAN", "joint GAN + frame critic", "joint ALI", limited.OWN):
        assert arms[arm]["parameters"] == pytest.approx(size, rel=0.1)
    assert arms["autoencoder + Gaussian"]["parameters"] < arms["two-level VAE"]["parameters"] < size
    assert arms["latent GAN"]["parameters"] < size
    assert len({json.dumps(arms[arm]["scores"]) for arm in limited.ARMS}) == len(limited.ARMS)
    for figure in results["figures"]:
        assert (tmp_path
                / figure["file"]).stat().st_size > 3000 and figure["caption"] and figure["alt"]
    assert ("\nWith few whole clips LDF is more successful than the joint baseline"
            in capsys.readouterr().out)


SCORES = "KID clips", "KID frames", "KID differences", "memorisation"


def stand_ins(monkeypatch, train_bottom, score):
    """In place of all trainings and scores: ``score(arm, task)`` is an arm's."""
    def train(arm, seed, n, task_of, scores, checkpoints):
        task = task_of(seed, n)
        piece = {"scores": dict.fromkeys(SCORES, float(score(arm, task))),
                 "parameters": 1, "sampling": 1,
                 "steps": {"joint": 1}}
        names = [arm, limited.INDEPENDENT] if arm == limited.LDF else [arm]
        return dict.fromkeys(names, piece) | {f"{name} clips": task.clips[:2] for name in names}

    anchors = [dict.fromkeys(SCORES, value) for value in (0.0, 1.0)]
    monkeypatch.setattr(limited, "train", train)
    monkeypatch.setattr(limited, "train_bottom", train_bottom)
    monkeypatch.setattr(limited.clip_scores, "anchors",
                        lambda *_: dict(zip(("real", "independent"), anchors)))
    monkeypatch.setattr(limited, "Scores", lambda real: lambda some, features: some)


def test_what_is_finished_is_kept(small, tmp_path, monkeypatch):
    """A run that was ended goes on where it was; with all clips both LDFs are one model."""
    calls, ends = [], [("joint ALI", 64, 1)]

    def score(arm, task):
        calls.append((arm, len(task.clips), task.seed))
        if calls[-1] in ends:
            ends.clear()
            raise KeyboardInterrupt
        return len(calls)

    stand_ins(monkeypatch, lambda *_: {"steps": 0}, score)
    options = limited.parse(["--clips", "300", "--joint-clips", "64", "300", "--seeds", "0", "1",
                             "--out", str(tmp_path)])
    with pytest.raises(KeyboardInterrupt):
        limited.run(options)
    arms = len(limited.TRAINED)
    before = 2 * arms - 1 + 3       # the first seed's, and three of the second
    assert len(calls) == before
    limited.run(options)
    assert calls[before] == calls[before - 1] == ("joint ALI", 64, 1)
    assert len(calls) - 1 == len(set(calls)) == 2 * (2 * arms - 1)
    found = json.loads((tmp_path / "results.json").read_text())["arms"]["0"]
    assert found["300"][limited.OWN] == found["300"][limited.LDF] and found["64"][
        limited.OWN] != found["64"][limited.LDF]


def test_some_arms_alone(small, tmp_path, monkeypatch):
    """Only what --arms names is trained, and the bottoms that it stands on; runs of other arms are
    used again."""
    trained = []

    def train_bottom(kind, *_):
        trained.append(kind)
        return {"steps": 0}

    def score(arm, task):
        trained.append(arm)
        return len(trained)

    stand_ins(monkeypatch, train_bottom, score)

    def arms(*names):
        limited.run(limited.parse(["--clips", "300", "--joint-clips", "64", "--seeds", "0", "1",
                                   "--out", str(tmp_path), "--arms", *names]))
        results = json.loads((tmp_path / "results.json").read_text())
        return list(results["arms"]["0"]["64"]), [c["claim"] for c in results["claims"]]

    assert arms("LDF", "joint GAN") == (["joint GAN", "LDF", "independent top"],
                                        [limited.CLAIMS["joint GAN"][0]])
    assert trained == ["ALI", "ALI", "joint GAN", "LDF", "joint GAN", "LDF"]
    trained.clear()
    assert arms("latent GAN", "LDF") == (["LDF", "latent GAN", "independent top"], [])
    assert trained == [*["shorter autoencoder"] * 2, *["latent GAN"] * 2]


def test_arms_see_what_they_may(small, tmp_path, monkeypatch):
    """All frames reach the arms marked so, and the others only their clips."""
    seen = {}
    for name, owner in (("ALI", ldf.ALI), ("GAN", ldf.GAN), ("JointGAN", ldf.JointGAN)):
        def fit(self, x, *more, kind=name, **_):
            seen[kind] = [len(x), *(len(m) for m in more)]
            raise KeyboardInterrupt
        monkeypatch.setattr(owner, "fit", fit)
    frames = small.train.reshape(-1, 32, 32, 3)
    task = limited.Task(0, small.train[:64], frames, 1.0,
                        limited.count_parameters(limited.nets.clip_ldf(small.train[:64])), {})
    for arm, kind, rows in ((limited.joint_gan, "JointGAN", [64]),
                            (limited.framed_joint_gan, "JointGAN", [64, 1500]),
                            (limited.joint_ali, "ALI", [64]), (limited.own_bottom, "ALI", [320])):
        with pytest.raises(KeyboardInterrupt):
            arm(task)
        assert seen.pop(kind) == rows
    with pytest.raises(KeyboardInterrupt):
        limited.train_bottom("ALI", 0, frames, 1.0, tmp_path / "bottom", None)
    assert seen == {"ALI": [1500]}


def made_up(values):
    """Scores of three seeds: {seed: {N: {arm: ...}}}, KID of whole clips by ``values``."""
    return {seed: {256: {arm: {"scores": {"KID clips": values(arm, seed)}}
                         for arm in limited.ARMS}} for seed in range(3)}


def test_verdicts_follow_the_scores():
    better = limited.claims(made_up(lambda arm, seed: (1.0 if arm == "LDF" else 5.0) + seed), 256)
    assert verdicts(better) == [
        "held"] * 3 and better[0]["interval"] == [-4.0, -4.0, -4.0]
    worse = limited.claims(made_up(lambda arm, seed: (5.0 if arm == "LDF" else 1.0) + seed), 256)
    # negative control: LDF loses
    assert set(verdicts(worse)) == {"failed"}
    noise = limited.claims(made_up(lambda arm, seed: (-1) ** seed
                                   * (2.0 if arm == "LDF" else 1.0)), 256)
    assert set(verdicts(noise)) == {"undecided"}
    assert len(noise) == len(limited.ARMS) - 1 and set(limited.CLAIMS) < set(limited.ARMS)


def test_copies_are_seen_as_memorised(small):
    scores = limited.Scores(small.test)
    train = limited.clip_features(small.train)
    assert scores(small.train[:40], train)[
        "memorisation"] < 0.01 < 0.5 < scores(squares(40, 5), train)["memorisation"]


@pytest.mark.parametrize("options, message", [
    (["--joint-clips", "63"], "argument --joint-clips: expected an integer of at least 64, got 63"),
    (["--joint-clips", "256", "64"], "--joint-clips: expected growing numbers from 64 to 20000"),
    (["--joint-clips", "600", "--clips", "500"],
     "--joint-clips: expected growing numbers from 64 to 500"),
    (["--arms", "joint GAN"], "--arms: expected LDF, .* got joint GAN"),
    (["--minutes", "0"], "--minutes: expected a positive number, got 0")])
def test_bad_options(options, message, capsys):
    with pytest.raises(SystemExit):
        limited.parse(options)
    assert re.search(message, capsys.readouterr().err)


def test_numbers_of_clips():
    assert limited.parse([]).joint_clips == [64, 256, 1024, 20000]
    assert limited.parse(["--clips", "1000"]).joint_clips == [64, 256, 1000]
