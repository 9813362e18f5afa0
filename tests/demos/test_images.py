"""demos/paper/images.py and the models it compares: their sizes, what a discriminator of patches
sees, a tiny run, its verdicts."""

import json

import numpy as np
import pytest
from helpers import ctrl_c, load_program, verdicts

import ldf_np as ldf
from ldf_np.data import Images
from ldf_np.models import image_nets as patch_nets

images = load_program("demos/paper/images.py")


def two_classes(n, seed):
    """uint8 (n, 32, 32, 3): class 0 is reddish, class 1 greenish, each over all of the image; and
    the labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    x = rng.integers(0, 60, (n, 32, 32, 3))
    x[np.arange(n), ..., labels] += 150
    return x.astype(np.uint8), labels


@pytest.fixture(scope="module")
def data():
    (train, train_labels), (test, test_labels) = two_classes(1024, 0), two_classes(200, 1)
    return Images(train, train_labels, test, test_labels, ("red", "green"), {})


class Judge:
    """Knows both classes, and sees the mean colours of the four quadrants."""

    def features(self, x):
        return patch_nets.GRID.split(x / 127.5 - 1).mean(axis=(2, 3)).reshape(len(x), -1)

    def predict(self, x):
        red, green = (x[..., k].mean(axis=(1, 2)) for k in range(2))
        p = 1 / (1 + np.exp((red - green) / 4))
        return np.stack([1 - p, p], axis=1)


def test_equal_sizes(data):
    sizes = {name: images.count_parameters(make(data.train, 0))
             for name, make in images.MODELS.items()}
    assert len(sizes) == 5 and min(sizes.values()) > 0.9 * max(sizes.values())


def test_the_discriminator_of_patches_is_a_mean_over_them_and_sees_no_seams():
    rng = ldf.Generator(0)
    x = rng.standard_normal((3, 32, 32, 3))
    whole = ldf.Tensor(x)
    seen = []

    def critic(patches):
        seen.append(patches.shape)
        return (patches ** 2).sum(axis=(1, 2, 3)).reshape(-1, 1)

    logits = patch_nets.PatchCritic(critic)(whole)
    assert seen == [(12, 16, 16, 3)] and logits.shape == (3, 1)
    np.testing.assert_allclose(logits.data[:, 0], (x ** 2).sum(axis=(1, 2, 3)) / 4, rtol=1e-5)

    # quadrants that change places change nothing for it, but they do for a critic of the whole
    # image: the negative control
    mixed = x.reshape(3, 2, 16, 32, 3)[:, ::-1].reshape(x.shape).copy()
    for make, differ in ((patch_nets.patch_gan, False), (patch_nets.image_gan, True)):
        critic = make(np.zeros((200, 32, 32, 3), np.uint8)
                      + np.arange(3, dtype=np.uint8)).discriminator
        a, b = critic(whole).data, critic(ldf.Tensor(mixed)).data
        assert a.shape == (3, 1) and np.allclose(a, b, atol=1e-4) != differ


def test_shuffled_quadrants_keep_their_places_and_lose_their_neighbours(data):
    mixed = images.shuffled(data.test)
    parts, old = patch_nets.GRID.split(mixed), patch_nets.GRID.split(data.test)
    for k in range(4):
        np.testing.assert_array_equal(np.sort(parts[:, k].reshape(200, -1).sum(1)),
                                      np.sort(old[:, k].reshape(200, -1).sum(1)))
    judge = Judge()
    half = data.test[:100]
    real, broken = (images.scores(x[100:], half, judge) for x in (data.test, mixed))
    assert abs(real["KID"]) < 100 < 400 < broken["KID"]
    assert real["Inception Score"] > 1.9 > broken["Inception Score"]        # of two classes


def test_mean_over_time():
    assert images.mean_over_time([[0, 3], [10, 3]], 10) == pytest.approx(3)
    assert images.mean_over_time([[0, 1], [10, 3]], 10) == pytest.approx(2)
    # nothing to sample for half of the time
    assert images.mean_over_time([[5, 3], [12, 3]], 10) == pytest.approx(2)
    assert images.mean_over_time([[0, 1], [5, 3]], 10) == pytest.approx(2.5)


def piece(score, kid, shuffled):
    return {"scores": {"Inception Score": score, "Inception Score over time": score, "KID": kid},
            "shuffled": {"KID": shuffled}}


def test_claims_hold_and_fail():
    """Negative control: with the roles exchanged, what held fails."""
    good = {s: piece(3 + s / 10, 10 + s, 50) for s in range(3)}
    bad = {s: piece(2, 90 - s, 40) for s in range(3)}
    for ldf_pieces, joint, expected in ((good, bad, "held"), (bad, good, "failed")):
        pieces = {name: joint for name in images.MODELS} | {name: ldf_pieces for name in images.FIT}
        assert verdicts(images.claims(pieces, range(3))) == [expected] * 2
    assert verdicts(images.claims({name: good for name in images.MODELS}, [0])) == ["one seed"] * 2
    same = images.claims({name: good for name in images.MODELS}, range(3))
    assert verdicts(same)[0] == "equal" and len(same) == 8


def test_a_whole_run_and_its_continuation(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(images, "load_games", lambda *args, **named: data)
    monkeypatch.setattr(images, "LOOK", 32)
    monkeypatch.setattr(images, "LOOKS", 1)
    options = ["--minutes", "0.001", "--seeds", "0", "--classifier-minutes", "0.01", "--out",
               str(tmp_path)]
    with pytest.raises(KeyboardInterrupt), ctrl_c(1):       # in the training of the classifier
        images.run(images.parse(options))
    (begun,) = (tmp_path / "checkpoints").glob("*/step-*1.json")
    images.run(images.parse(options))
    assert begun.parent.name == "classifier"
    assert not list((tmp_path / "checkpoints").rglob("step-*"))
    results = json.loads((tmp_path / "results.json").read_text())
    assert len(results["claims"]) == 2 and all(c["verdict"] == "one seed"
                                               for c in results["claims"])
    assert results["classifier_accuracy"] > 0.9
    rows = results["tables"]["Scores beside held-out images"]["rows"]
    assert set(images.MODELS) < set(rows) and abs(rows["real images, others"][1]) < rows["ALI"][1][
        0]
    for figure in results["figures"]:
        assert (tmp_path / figure["file"]).stat().st_size > 5000
    first = capsys.readouterr().out
    assert "LDF, bottom first" in first and "patch GAN" in first

    def never(*args):
        raise AssertionError("a finished run is made again")

    monkeypatch.setattr(images, "train", never)
    monkeypatch.setattr(images, "pictures", lambda *args: [])
    images.run(images.parse(options))
    again = json.loads((tmp_path / "results.json").read_text())
    assert again["claims"][0]["value"] == results["claims"][0]["value"]


@pytest.mark.parametrize("options, message", [
    (["--images", "100"], "--images: expected an integer of at least 1024, got 100"),
    (["--classifier-minutes", "0"], "--classifier-minutes: expected a positive number, got 0")])
def test_bad_options(options, message, capsys):
    with pytest.raises(SystemExit):
        images.parse(options)
    assert message in capsys.readouterr().err
