"""Scores on cases whose answer is known: normal distributions in closed form, the same set twice,
sets that are shifted, and naive loops; and what each must notice."""

import numpy as np
import pytest
from helpers import values
from scipy.linalg import sqrtm

import ldf_np as ldf
from ldf_np.experiments import clip_scores, metrics, statistics
from ldf_np.experiments.clip_experiment import AllClipScores


def normal(n, d=4, mean=0.0, scale=1.0, seed=0):
    return mean + scale * np.random.default_rng(seed).standard_normal((n, d))


def clips(n=12, t=5, size=8, seed=0):
    """Clips of a still random background on which one bright pixel walks."""
    rng = np.random.default_rng(seed)
    made = np.repeat(rng.integers(0, 120, (n, 1, size, size, 3)), t, axis=1).astype(np.uint8)
    for k in range(t):
        made[np.arange(n), k, rng.integers(0, size, n), k] = 255
    return made


# --------------------------------------------------------------------------------------- distances

def naive_kid(x, y):
    def k(a, b):
        return (a @ b / len(a) + 1) ** 3

    xx = [k(x[i], x[j]) for i in range(len(x)) for j in range(len(x)) if i != j]
    yy = [k(y[i], y[j]) for i in range(len(y)) for j in range(len(y)) if i != j]
    return np.mean(xx) + np.mean(yy) - 2 * np.mean([k(a, b) for a in x for b in y])


def test_kid_is_its_formula_and_unbiased():
    x, y = normal(7), normal(9, mean=1, seed=1)
    np.testing.assert_allclose(metrics.kid(x, y), naive_kid(x, y))
    same = [metrics.kid(normal(20, seed=2 * k), normal(20, seed=2 * k + 1)) for k in range(300)]
    # mean 0 at any size
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(300)
    assert metrics.kid(normal(200), normal(200, mean=1, seed=1)) > 5 * np.std(same)


def test_frechet_of_normal_distributions():
    """Against the formula with a matrix root, and between N(0, 1) and N(m, s^2), where it is d (m^2
    + (s - 1)^2)."""
    x, y = normal(40), normal(50, mean=1, scale=2, seed=1)
    cx, cy = np.cov(x.T), np.cov(y.T)
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(cx + cy - 2 * sqrtm(cx @ cy).real)
    np.testing.assert_allclose(metrics.frechet(x, y), expected)
    x, y = normal(4000), normal(4000, mean=1, scale=2, seed=1)
    np.testing.assert_allclose(metrics.frechet(x, y), 4 * (1 + 1), rtol=0.05)
    np.testing.assert_allclose(metrics.frechet(x, x), 0, atol=1e-10)


def test_frechets_bias_is_taken_off():
    pairs = [(normal(60, seed=2 * k), normal(60, seed=2 * k + 1)) for k in range(20)]
    biased, without = (np.mean([f(x, y) for x, y in pairs])
                       for f in (metrics.frechet, metrics.frechet_unbiased))
    assert biased > 0.05 and abs(without) < 0.3 * biased


def test_inception_score():
    one_hot, uniform = np.eye(10)[np.arange(100) % 10], np.full((100, 10), 0.1)
    assert metrics.inception_score(lambda x: one_hot, np.zeros(100),
                                   splits=5) == pytest.approx((10, 0))
    assert metrics.inception_score(lambda x: uniform, np.zeros(100)) == pytest.approx((1, 0))
    sure = np.eye(10)[np.zeros(100, int)]
    # all of one class
    assert metrics.inception_score(lambda x: sure, np.zeros(100))[0] == pytest.approx(1)
    with pytest.raises(ValueError, match="classifier: expected probabilities"):
        metrics.inception_score(lambda x: uniform * 2, np.zeros(100))
    with pytest.raises(ValueError, match="splits: expected 1 to 100 .*got 101"):
        metrics.inception_score(lambda x: uniform, np.zeros(100), splits=101)


def test_two_sample_tests():
    x, same, apart = normal(300), normal(300, seed=1), normal(300, mean=3, seed=2)
    assert abs(metrics.classifier_two_sample(x, same) - 0.5) < 0.08
    assert metrics.classifier_two_sample(x, apart) > 0.97
    # sizes do not matter
    assert metrics.classifier_two_sample(x, apart[:40]) > 0.95
    assert np.abs(np.array(metrics.nearest_neighbour_two_sample(x, same)) - 0.5).max() < 0.08
    assert min(metrics.nearest_neighbour_two_sample(x, apart)) > 0.97
    # every neighbour is the copy
    assert max(metrics.nearest_neighbour_two_sample(x, x + 1e-9)) == 0


def test_precision_and_recall():
    x = normal(300, 2)
    assert min(metrics.precision_recall(x, normal(300, 2, seed=1))) > 0.85
    assert metrics.precision_recall(x, normal(300, 2, mean=20, seed=1)) == (0, 0)
    # good samples, few kinds
    precision, recall = metrics.precision_recall(x, normal(300, 2, scale=0.1, seed=1))
    assert precision > 0.95 and recall < 0.3
    precision, recall = metrics.precision_recall(x, normal(300, 2, scale=10, seed=1))
    assert precision < 0.4 and recall > 0.9


def test_memorisation():
    train, held_out = normal(300), normal(100, seed=1)
    assert metrics.memorisation(train[:50], train, held_out) == 0
    assert 0.8 < metrics.memorisation(normal(100, seed=2), train, held_out) < 1.25
    with pytest.raises(ValueError, match="held_out: expected samples that are not in train"):
        metrics.memorisation(held_out, train, train[:10])


@pytest.mark.parametrize("score", [metrics.kid, metrics.frechet, metrics.frechet_unbiased,
                                   metrics.classifier_two_sample,
                                   metrics.nearest_neighbour_two_sample, metrics.precision_recall])
def test_what_is_no_sample(score):
    good = normal(20)
    for bad, message in ((normal(20)[0], "expected features .n, d."),
                         (normal(20, 3), "features of one length, got"),
                         (np.full((20, 4), np.nan), "finite features"), (normal(1), "of at least")):
        with pytest.raises(ValueError, match=message):
            score(good, bad)


# ------------------------------------------------------------------------------------------- clips

def test_motion():
    still = np.full((3, 5, 4, 4, 3), 128, np.uint8)
    np.testing.assert_array_equal(clip_scores.motion(still), 0)
    moving = still.astype(np.float32) / 127.5 - 1
    moving[:, 2, 0, 0, 0] += 0.5                    # there and back: twice 0.5^2
    np.testing.assert_allclose(clip_scores.motion(moving), 0.5, rtol=1e-6)
    shifted = moving.copy()
    shifted[:, 2, 0, 0, 0] += 0.5
    np.testing.assert_allclose(clip_scores.motion_distance(moving, shifted), 2 - 0.5, rtol=1e-6)
    assert clip_scores.motion_distance(moving, moving) == 0


def test_background_drift():
    assert clip_scores.background_drift(clips()) == 0
    noise = values(6, 5, 8, 8, 3, dtype=np.float32) * 0.1
    np.testing.assert_allclose(clip_scores.background_drift(noise, share=1.0),
                               0.1 * np.sqrt(4 / 5), rtol=0.05)
    with pytest.raises(ValueError, match="share: expected a number in .0, 1., got 0"):
        clip_scores.background_drift(noise, 0)


def test_ways_to_take_a_clip_apart():
    x = clips(4)
    frames = clip_scores.one_frame(x)
    assert frames.shape == (4, 8, 8, 3) and all((frame == clip).all((1, 2, 3)).any() for frame,
                                                clip in zip(frames, x))
    np.testing.assert_array_equal(clip_scores.as_channels(x)[..., 3:6], x[:, 1])
    np.testing.assert_allclose(clip_scores.differences(x)[..., :3],
                               (x[:, 1].astype(float) - x[:, 0]) / 127.5, atol=1e-6)


def test_features():
    a = metrics.features(clips(6)[:, 0])
    assert a.shape[0] == 6 and np.isfinite(a).all()
    np.testing.assert_array_equal(a, metrics.features(clips(6)[:, 0]))
    assert not np.allclose(a, metrics.features(clips(6)[:, 0], seed=1))
    brighter = np.minimum(clips(60)[:, 0].astype(int) + 60, 255).astype(np.uint8)
    same, other = clips(60, seed=1)[:, 0], clips(60)[:, 0]
    near, far = (metrics.kid(metrics.features(other), metrics.features(b))
                 for b in (same, brighter))
    assert far > 10 * abs(near)


# --------------------------------------------------------------------------- intervals and anchors

def test_an_interval_covers_the_truth():
    """Of 100 intervals at 90% for a mean, about 90 hold the true one."""
    covered = 0
    for k in range(100):
        value, low, high = statistics.interval(lambda x: x.mean(), normal(60, 1, seed=k),
                                               level=0.9, seed=k)
        assert low <= value <= high
        covered += low <= 0 <= high
    assert 80 <= covered <= 97


def test_the_interval_of_a_distance():
    value, low, high = statistics.interval(metrics.kid, normal(60), normal(60, mean=1, seed=1),
                                           repeats=40)
    assert 0 < low < value < high
    with pytest.raises(ValueError, match="repeats, level"):
        statistics.interval(metrics.kid, normal(9), normal(9), repeats=1)


@pytest.mark.parametrize("n", [3, 6])
def test_the_interval_of_few_rows_covers_the_truth(n):
    """Of three rows a normal law's would hold it 74% of the time."""
    covered = [low <= 0 <= high for _, low, high in (statistics.interval(
        lambda x: x.mean(), normal(n, 1, seed=k), seed=k) for k in range(300))]
    assert 0.9 < np.mean(covered) <= 1


def test_neighbours_as_near_are_a_guess():
    """Two samples of one law on a few numbers cannot be told apart; copies can, as before."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 3, (2, 60, 1)).astype(np.float64)
    assert metrics.nearest_neighbour_two_sample(x, y) == (0.5, 0.5)
    x = normal(60)
    assert max(metrics.nearest_neighbour_two_sample(x, x + 1e-9)) == 0


@pytest.mark.parametrize("score", [clip_scores.motion, clip_scores.background_drift,
                                   clip_scores.differences])
def test_floats_of_another_range_are_refused(score):
    some = clips(4)
    with pytest.raises(ValueError, match="clips: expected uint8, or floats from -1 to 1"):
        score(some.astype(np.float32))
    score(some)
    score(ldf.data.to_float(some))


def test_anchors():
    real, train = clips(24), clips(30, seed=5)
    sets = clip_scores.anchors(real, train)
    assert list(sets) == ["real", "independent", "shuffled", "frozen", "noised", "memorised"]
    assert all(s.shape == (12, 5, 8, 8, 3) and s.dtype == np.uint8 for s in sets.values())
    assert clip_scores.motion(sets["frozen"]).max() == 0 and clip_scores.background_drift(sets[
        "shuffled"]) == 0
    assert clip_scores.background_drift(sets["independent"]) > clip_scores.background_drift(sets[
        "noised"]) > 0
    for clip, base in zip(sets["shuffled"], sets["real"]):
        assert sorted(
            f.tobytes() for f in clip) == sorted(f.tobytes() for f in base) and (clip != base).any()
    flat = [s.reshape(len(s), -1) / 255 for s in (sets["memorised"], train, real)]
    assert metrics.memorisation(*flat) == 0
    with pytest.raises(ValueError,
                       match="real: expected at least 4 clips .* of uint8, got uint8 of shape"):
        clip_scores.anchors(real[:3], train)


def test_relative():
    assert [clip_scores.relative(m, 2.0, 4.0) for m in (2.0, 4.0, 5.0)] == [0, 1, 1.5]
    with pytest.raises(ValueError, match="the metric sees no difference"):
        clip_scores.relative(1.0, 2.0, 2.0)


# ---------------------------------------------------------------------------- whole sets of scores


def test_principal_features_find_the_directions_of_most_variance():
    rng = np.random.default_rng(0)
    images = (rng.standard_normal((40, 6, 6, 1))
              * np.linspace(1, 3, 6)[:, None, None]).astype(np.float32)
    found = metrics.PrincipalFeatures(images, 5)
    coordinates = found(images)
    assert coordinates.shape == (40, 5)
    np.testing.assert_allclose(coordinates.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose((coordinates ** 2).mean(), 1, rtol=1e-4)
    # oracle: the covariance's eigenvalues
    flat = images.reshape(40, -1) - images.reshape(40, -1).mean(0)
    values = np.sort(np.linalg.eigvalsh(flat.T @ flat / 40))[::-1][:5]
    np.testing.assert_allclose((coordinates ** 2).mean(0), values / values.mean(), rtol=1e-3)


@pytest.mark.parametrize("images, components, message", [
    (np.zeros((5, 4, 4, 1), np.float32), 5, "components: expected 1 to 4"),
    (values(5, 4, 4, 1), 0, "components: expected 1 to 4"),
    (np.zeros((5, 4, 4, 1), np.float32), 2, "images: expected to vary in at least 2 directions")])
def test_principal_features_of_too_little(images, components, message):
    with pytest.raises(ValueError, match=message):
        metrics.PrincipalFeatures(images, components)


def test_principal_features_of_another_shape():
    with pytest.raises(ValueError, match="images: expected shape .n, 4, 4, 1., got .5, 5, 5, 1."):
        metrics.PrincipalFeatures(values(9, 4, 4, 1), 2)(values(5, 5, 5, 1))


def test_scores_of_clips_see_what_they_are_for():
    x = clips(64, size=16)
    rng = np.random.default_rng(1)
    scores = clip_scores.ClipScores(x[:32])
    same, frozen = scores(x[32:]), scores(np.repeat(x[32:, :1], 5, axis=1))
    permuted = scores(np.stack([x[32:][rng.permutation(32), t] for t in range(5)], axis=1))
    assert set(same) == {"KID frames", "KID clips", "KID differences", "motion W1",
                         "background drift"}
    assert frozen["motion W1"] > same["motion W1"] and frozen["KID differences"] > same[
        "KID differences"]
    assert permuted["background drift"] > 0.05 > same["background drift"]
    assert permuted["KID clips"] > same["KID clips"]


def test_figure_squares():
    """Around what is of another colour than floor and walls; without such, any square."""
    clips = np.zeros((3, 1, 20, 24, 3), np.uint8)
    clips[:, :, :, 12:] = 255
    clips[1, 0, 5:9, 14:18] = 0, 200, 0
    clips[1, 0, 0, 0] = 0, 200, 0           # less of it
    clips[2, 0, 16:, 2:6] = 200, 0, 0
    background = clip_scores.background_colours(clips)
    assert sorted(background.tolist()) == [[0, 0, 0], [255, 255, 255]]
    squares = clip_scores.figure_squares(clips[:, 0], background, size=6)
    assert squares.shape == (3, 6, 6, 3)
    green, red = (squares == (0, 200, 0)).all(-1), (squares == (200, 0, 0)).all(-1)
    assert green.sum((1, 2)).tolist() == [0, 16, 0] and red.sum((1, 2)).tolist() == [0, 0, 16]
    np.testing.assert_array_equal(squares, clip_scores.figure_squares(
        clips[:, 0], np.asarray(background).tolist(), size=6))
    assert clip_scores.figure_squares(clips[:, 0], background, size=30).shape == (3, 20, 20, 3)
    clips[:, :, :, :12] = 20                # a floor that is not quite of its colour
    clips[2, 0, 16:, 2:6] = 200, 0, 0
    assert (clip_scores.figure_squares(clips[2:, 0], background, size=6) == (200, 0, 0)).all(
        -1).sum() == 16


def test_kid_of_figures_tells_them_from_stains():
    """Figures of one of two colours beside others, and, as the control, beside such as have both
    colours mixed."""
    def clips_with(seed, stains):
        rng, colours = np.random.default_rng(seed), np.array([(0, 200, 0), (200, 0, 0)])
        made = np.zeros((200, 2, 24, 24, 3), np.uint8)
        made[:, :, 20:] = 255
        for clip, (y, x) in zip(made, rng.integers(0, 14, (200, 2))):
            clip[:, y:y + 6, x:x + 6] = colours[rng.integers(0, 2, (6, 6) if stains else (1, 1))]
        return made

    scores = AllClipScores(clips_with(0, False), clips_with(1, False))
    alike, stained = (scores(clips_with(2, stains))["KID figures"] for stains in (False, True))
    assert stained > 5 * abs(alike)


def test_what_cannot_be_told_apart_is_a_guess():
    same = np.zeros((10, 3))
    assert metrics.classifier_two_sample(same, same) == pytest.approx(0.5)
    apart = np.r_[same - 1, same + 1]
    assert metrics.classifier_two_sample(apart[:10], apart[10:]) == 1.0         # control


def test_clips_of_another_kind_are_not_scored():
    clips = np.random.default_rng(0).integers(0, 256, (16, 3, 16, 16, 3), dtype=np.uint8)
    scores = clip_scores.ClipScores(clips[:8])
    for wrong in (clips[8:, :2], clips[8:, ..., :1], clips[8:].repeat(2, 2).repeat(2, 3)):
        with pytest.raises(ValueError, match=r"clips: expected clips like the real ones, \(n, 3"):
            scores(wrong)
    with pytest.raises(ValueError, match="clips: expected uint8, or floats from -1 to 1"):
        scores(clips[8:].astype(np.float32))
    assert np.isfinite([*scores(clips[8:] / np.float32(127.5) - 1).values()]).all()     # control
