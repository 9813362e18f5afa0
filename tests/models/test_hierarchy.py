"""LDF: splits and their inverses, two schedules, and the wall between levels through which no
gradient passes."""

from contextlib import nullcontext

import numpy as np
import pytest
from helpers import ctrl_c, tiny_ali, weights
from hypothesis import given
from hypothesis import strategies as st

import ldf_np as ldf
from ldf_np.autodiff.engine import Tensor, grad
from ldf_np.models import nets
from ldf_np.models.factors import Assembled, Frames, Groups, Nested, Patches
from ldf_np.models.ldf import LDF, Level
from ldf_np.models.whitening import ChannelWhitening, Whitening
from ldf_np.training import budget
from ldf_np.training import loop as training
from ldf_np.training.checkpoint import Checkpoints

SIZES = st.integers(1, 3)


def clips(n=40, seed=0):
    """(n, 4, 6): short videos of vectors, whose frames depend on each other."""
    rng = np.random.default_rng(seed)
    return np.tanh(rng.standard_normal((n, 1, 6)) + 0.3
                   * rng.standard_normal((n, 4, 6))).astype(np.float32)


def top(size, seed=0):
    return nets.mlp_gan(size, latent_size=3, hidden=8, seed=seed)


def two_levels(seed=0, code="h"):
    bottom = Level(tiny_ali(6, hidden=5, seed=seed), Frames(4), code)
    return LDF([bottom], top(7, seed + 10), Whitening((4, 5 if code == "h" else 2), 7), seed=seed)


def three_levels(seed=0):
    """Frames of 6 numbers, pairs of their codes, and the top."""
    levels = [Level(tiny_ali(6, hidden=5, seed=seed), Frames(4)),
              Level(tiny_ali(10, hidden=6, seed=seed + 5), Groups(2, below=4, code_shape=(5,)))]
    return LDF(levels, top(8, seed + 10), Whitening((2, 6), 8), seed=seed)


BUDGETS = {"bottom-first": {"steps": 20, "bottom_share": 0.6}, "together": {"steps": 8}}


def fit(model, schedule, x=None, **more):
    return model.fit(clips() if x is None else x, schedule=schedule, batch_size=16,
                     **BUDGETS[schedule], **more)


# --------------------------------------------------------------------------------------- splitting

def check_inverse(split, x, count, part):
    factors = split.split(x)
    assert factors.shape == (len(x), count, *part) and split.count == count
    np.testing.assert_array_equal(split.merge(factors), x)


@given(n=SIZES, t=SIZES, rest=st.lists(SIZES, min_size=1, max_size=3))
def test_frames(n, t, rest):
    x = np.random.default_rng(0).standard_normal((n, t, *rest))
    check_inverse(Frames(t), x, t, tuple(rest))


@given(n=SIZES, rows=SIZES, columns=SIZES, h=SIZES, w=SIZES, c=SIZES)
def test_patches(n, rows, columns, h, w, c):
    x = np.random.default_rng(0).standard_normal((n, rows * h, columns * w, c))
    check_inverse(Patches(rows, columns), x, rows * columns, (h, w, c))
    # row by row
    np.testing.assert_array_equal(Patches(rows, columns).split(x)[:, columns - 1], x[:, :h, -w:])


@given(n=SIZES, groups=SIZES, size=SIZES, code=st.lists(SIZES, min_size=1, max_size=3))
def test_groups(n, groups, size, code):
    x = np.random.default_rng(0).standard_normal((n, groups * size, *code))
    check_inverse(Groups(size, groups * size, code), x, groups, (size * int(np.prod(code)),))


@given(n=SIZES, t=SIZES, rows=SIZES, columns=SIZES, h=SIZES, w=SIZES)
def test_patches_of_frames(n, t, rows, columns, h, w):
    x = np.random.default_rng(0).standard_normal((n, t, rows * h, columns * w, 2))
    nested = Nested(Frames(t), Patches(rows, columns))
    check_inverse(nested, x, t * rows * columns, (h, w, 2))
    # the last patch of the first row of the last frame
    at = (t - 1) * rows * columns + columns - 1
    np.testing.assert_array_equal(nested.split(x)[:, at], x[:, -1, :h, -w:])
    # and above them each frame again, of the codes of its patches, where they were
    check_inverse(Assembled(nested), nested.split(x), t, (rows * h, columns * w, 2))
    np.testing.assert_array_equal(Assembled(nested).split(nested.split(x)), x)


def test_factors_of_factors_of_factors():
    """Halves of the quadrants of frames, and the frames from their quadrants."""
    x = np.random.default_rng(0).standard_normal((3, 2, 8, 8, 1))
    nested = Nested(Frames(2), Nested(Patches(2, 2), Patches(2, 1)))
    check_inverse(nested, x, 16, (2, 4, 1))
    np.testing.assert_array_equal(Assembled(nested).split(nested.split(x)), x)


def test_a_merge_that_mixes_patches_is_found():
    """Negative control: a reshape alone has the right shape and the wrong order."""
    wrong = Patches(2, 2)
    wrong.merge = lambda factors: factors.reshape(len(factors), 4, 4, 1)
    with pytest.raises(AssertionError):
        check_inverse(wrong, np.arange(32.0).reshape(2, 4, 4, 1), 4, (2, 2, 1))


@pytest.mark.parametrize("split, x, message", [
    (Frames(4), (2, 3, 8), r"clips \(n, 4, ...\), got shape \(2, 3, 8\)"),
    (Frames(4), (2, 4), "expected clips"), (Patches(2, 3), (2, 4, 4, 1),
                                            r"divide into 2 x 3 patches, got shape \(2, 4, 4, 1\)"),
    (Patches(2, 2), (4, 4, 1), r"expected shape \(n, h, w, c\)"),
    (Groups(2, 4, (5,)), (3, 4, 6), r"expected codes .* got shape \(3, 4, 6\)"),
    (Nested(Frames(2), Patches(3, 1)), (1, 2, 4, 4, 1), "divide into 3 x 1 patches"),
    (Nested(Frames(2), Patches(2, 2)), (1, 3, 4, 4, 1), r"clips \(n, 2, ...\), got shape"),
    (Assembled(Nested(Frames(2), Patches(2, 2))), (1, 4, 2, 2, 1),
     r"expected codes \(n, 8, ...\), got shape \(1, 4, 2, 2, 1\)")])
def test_what_a_split_refuses(split, x, message):
    with pytest.raises(ValueError, match=message):
        split.split(np.zeros(x))


def test_a_level_maps_whole_objects_to_codes_and_back():
    level, x = Level(tiny_ali(6, hidden=5), Frames(4)), clips(3)
    assert level.factors(x).shape == (12, 6)
    codes = level.encode(x)
    assert codes.shape == (3, 4, 5) and level.decode(codes).shape == x.shape
    # one model for all factors
    np.testing.assert_allclose(codes[1, 2], level.model.encode(x[1, 2:3])[0], rtol=1e-5, atol=1e-6)


# --------------------------------------------------------------------------------------- whitening

@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_whitening(strength):
    codes = np.random.default_rng(0).standard_normal((500, 6)) @ np.diag([5, 3, 2, 1, 0.1, 0.1]) + 4
    codes = codes.astype(np.float32)
    whitening = Whitening((6,), 4, strength).fit(codes)
    white = whitening.apply(codes)
    np.testing.assert_allclose(white.mean(0), 0, atol=1e-5)
    variances = np.sort(np.linalg.eigvalsh(np.cov(codes.T)))[::-1]
    left = variances[:4] ** (1 - strength)              # strength 1: all alike; 0: as they were
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.diag(left / left.mean()), atol=1e-4)
    np.testing.assert_allclose(whitening.explained.data, variances[:4].sum() / variances.sum(),
                               rtol=1e-5)
    if strength > 0:
        np.testing.assert_allclose(whitening.variances, left / left.mean(), rtol=1e-3)
    assert np.mean((whitening.invert(white) - codes) ** 2) < 0.01
    full = Whitening((6,), 6).fit(codes)
    np.testing.assert_allclose(full.invert(full.apply(codes)), codes, atol=1e-4)
    for wrong in (0, 7):
        with pytest.raises(ValueError, match="components: expected 1 to 6"):
            Whitening((6,), wrong)
    with pytest.raises(ValueError, match=r"strength: expected a number in \[0, 1\], got 2"):
        Whitening((6,), 4, 2)


class Fading(ldf.nn.Module):
    """Codes are the data, but what is decoded comes out smaller."""

    def encode(self, x, code):
        return x

    def decode(self, codes, code):
        return codes * np.float32(0.9)


class Twice(Fading):
    """The last number of each code is the first once more."""

    def encode(self, x, code):
        return np.concatenate([x[..., :-1], x[..., :1]], axis=-1)


def sampled(strength, factor, kind=Fading):
    """The samples' codes, (5000, 20), of an LDF whose top makes its numbers ``factor`` times as
    large as codes are, its whitening, and the samples."""
    codes = np.random.default_rng(1).standard_normal((200, 4, 5)).astype(np.float32)
    codes -= codes.mean(axis=0)         # so that what fades does not move
    whitening = Whitening((4, 5), 20, strength).fit(kind().encode(codes, "h"))
    model = LDF([Level(kind(), Frames(4))], top(20), whitening)
    last = model.top.generator.layers[-1]
    last.weight.data[...] *= factor / model.top.sample(5000, ldf.Generator(1)).std(0)
    last.bias.data[...] = 0
    model.top.ema = ldf.EMA(model.top.generator)
    made = model.sample(5000, ldf.Generator(2))
    return model.encode(made), whitening, made


def test_samples_are_made_of_what_codes_can_be():
    """Codes in which two numbers are always one: so they are in samples, whatever the top makes."""
    made = sampled(0.5, 0.9, Twice)[2]
    np.testing.assert_allclose(made[..., -1], made[..., 0], atol=1e-3)
    assert made.std(axis=0).min() > 0.2
    # negative control: as the top makes them they are not
    made = sampled(0.0, 0.9, Twice)[2]
    assert np.abs(made[..., -1] - made[..., 0]).mean() > 0.1


def test_samples_vary_as_codes_do():
    white, whitening, _ = sampled(0.5, 0.9)
    ratios = white.var(0) / whitening.variances         # without: 0.81^2
    assert 0.85 < ratios.mean() < 1.25 and ratios.min() > 0.6
    np.testing.assert_allclose(sampled(0.5, 1.1)[0], sampled(0.5, 1.3)[0], atol=1e-4)
    # what hardly varies is made no more than twice as large, so that no noise is
    assert sampled(0.5, 0.1)[0].std() < 0.2
    # of strength 0 the whitening does not know the variances: samples are as they come
    np.testing.assert_allclose(sampled(0.0, 0.9)[0].std(0).mean(), 0.9 * 0.9, rtol=0.1)


class Whole(Fading):
    """Codes are the data; z moves them half of the way to whole numbers."""

    def _codes(self):
        return {"h": None, "z": None}

    def encode(self, x, code):
        return x + (np.rint(x) - x) / 2 if code == "z" else x

    def decode(self, codes, code):
        return codes


def test_samples_pass_through_z(monkeypatch):
    """Of a top that makes codes, whole numbers, and adds noise: each pass halves it."""
    codes = np.random.default_rng(1).integers(-2, 3, (2000, 4, 5)).astype(np.float32)

    def distance(passes):
        whitening = Whitening((4, 5), 20, 0.5).fit(codes)
        model = LDF([Level(Whole(), Frames(4))], top(20), whitening, passes=passes)
        noise = np.random.default_rng(2).uniform(-0.4, 0.4, codes.shape).astype(np.float32)
        monkeypatch.setattr(model.top, "sample", lambda n, rng: model.encode((codes + noise)[:n]))
        made = model.sample(500)
        return np.abs(made - np.rint(made)).mean()

    no, one, two = (distance(passes) for passes in (0, 1, 2))
    assert no > 0.15 and one < 0.6 * no and two < 0.7 * one


def test_a_sample_is_decoded_by_statistics_of_its_own_only_at_last(monkeypatch):
    x = np.random.default_rng(0).integers(0, 256, (20, 2, 8, 8, 3), dtype=np.uint8)
    model = nets.clip_ldf(x, frames=2, size=8, latent_size=4, passes=1)
    model.fit(x, steps=9, batch_size=8)
    bottom, made = model.models[0], model.sample(5, ldf.Generator(0))
    of_h, rng, way = bottom.of_h, ldf.Generator(0), []
    white = model._as_codes(model.top.sample(5, rng), rng)
    np.testing.assert_array_equal(model.decode(white), made)
    with bottom.common_statistics():                    # negative controls: never, and all the way
        assert np.abs(model.decode(white) - made).max() > 1e-3
    with monkeypatch.context() as patch:
        patch.setattr(type(bottom), "common_statistics", lambda self: nullcontext())
        assert np.abs(model.sample(5, ldf.Generator(0)) - made).max() > 1e-3
    with pytest.raises(KeyError), bottom.common_statistics():
        way.append(bottom.of_h)
        raise KeyError
    assert way == [[]] and bottom.of_h is of_h


SPLITS = {"frames": (Frames(4), (4, 2, 3, 5), (2, 3, 20)),
          "patches": (Patches(2, 3), (6, 2, 3, 5), (4, 9, 5)),
          "groups": (Groups(2, 8, (5,)), (4, 10), (1, 1, 40)),
          "patches like channels": (Patches(3, 6), (18, 1, 1, 8), (3, 6, 8)),
          "patches of frames": (Nested(Frames(2), Patches(2, 3)), (12, 2, 3, 5), (4, 9, 10)),
          "patches of frames, assembled": (Assembled(Nested(Frames(4), Patches(2, 2))),
                                           (4, 2, 3, 5), (2, 3, 20)),
          "patches of frames of z": (Nested(Frames(2), Patches(2, 3)), (12, 5), (2, 3, 10)),
          "frames of z": (Frames(4), (4, 5), (1, 1, 20)),
          "patches of z": (Patches(2, 3), (6, 5), (2, 3, 5))}


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_channels_are_whitened_by_one_matrix_and_nothing_is_cut(name, strength):
    split, code_shape, shape = SPLITS[name]
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((code_shape[-1], code_shape[-1]))
    codes = (rng.standard_normal((600, *code_shape)) @ mixing + 3).astype(np.float32)
    whitening = ChannelWhitening(split, code_shape, strength).fit(codes)
    white = whitening.apply(codes)
    assert white.shape == (600, *shape) and whitening.shape == shape
    np.testing.assert_allclose(whitening.invert(white), codes, atol=2e-4)
    np.testing.assert_allclose(whitening.explained.data, 1, rtol=1e-5)
    covariance = np.cov(white.reshape(-1, shape[-1]).T, bias=True)
    values = np.linalg.eigvalsh(np.cov(split.to_maps(codes).reshape(-1, shape[-1]).T))[::-1]
    left = values ** (1 - strength)             # strength 1: all alike
    np.testing.assert_allclose(covariance, np.diag(left / left.mean()), atol=1e-3)
    # what stands at another place is the same pattern there
    maps = np.roll(split.to_maps(codes), 1, axis=(1, 2))
    moved = split.from_maps(maps).reshape(codes.shape)
    np.testing.assert_allclose(whitening.apply(moved), np.roll(white, 1, axis=(1, 2)), atol=1e-4)


def test_a_basis_of_all_places_is_not_one_of_channels():
    """Negative control: principal components of whole codes know where a thing stands."""
    split, code_shape, shape = SPLITS["frames"]
    codes = np.random.default_rng(0).standard_normal((600, *code_shape)).astype(np.float32)
    codes *= np.arange(1, 4, dtype=np.float32)[:, None]         # the columns of different scale
    whitening = Whitening(code_shape, 120).fit(codes)
    moved = split.from_maps(np.roll(split.to_maps(codes), 1, axis=2)).reshape(codes.shape)
    white = whitening.apply(codes)
    assert np.abs(whitening.apply(moved) - white).max() > 1


@pytest.mark.parametrize("name", SPLITS)
def test_maps_and_codes_are_each_others_inverse(name):
    split, code_shape, shape = SPLITS[name]
    codes = np.arange(3 * np.prod(code_shape)).reshape(3, *code_shape)
    maps = split.to_maps(codes)
    assert maps.shape == (3, *shape) and len(np.unique(maps)) == codes.size
    np.testing.assert_array_equal(split.from_maps(maps).reshape(codes.shape), codes)
    if name == "patches":       # each where its patch is
        np.testing.assert_array_equal(maps[:, 2:, 6:], codes[:, 5])
    elif name == "frames":
        np.testing.assert_array_equal(maps[:, 1, 2, 5:10], codes[:, 1, 1, 2])


def test_a_refit_keeps_the_signs():
    codes = np.random.default_rng(
        0).standard_normal((500, 6)).astype(np.float32) * np.arange(1, 7, dtype=np.float32)
    whitening = Whitening((6,), 4).fit(codes)
    whitening.basis.data[:, 1] *= -1                    # as another run of the solver might have it
    before = whitening.basis.data.copy()
    np.testing.assert_allclose(whitening.fit(codes).basis.data, before, atol=1e-5)


def test_whitening_of_codes_that_hardly_vary():
    codes = np.ones((10, 3), np.float32)
    codes[:, 0] += np.arange(10)
    white = Whitening((3,), 2).fit(codes).apply(codes)
    assert np.isfinite(white).all()


# --------------------------------------------------------------------------------------- schedules

@pytest.mark.parametrize("schedule", BUDGETS)
@pytest.mark.parametrize("make", [two_levels, three_levels, lambda: two_levels(code="z")],
                         ids=["two", "three", "z"])
def test_both_schedules(make, schedule):
    model, x = make(), clips()
    histories = fit(model, schedule)
    if schedule == "bottom-first":
        names = [f"level {k}" for k in range(len(model.levels))]
        assert list(histories) == [*names, "top"]
        assert [histories[n].steps for n in names] == [12
                                                       // len(names)] * len(names) and histories[
                                                           "top"].steps == 8
    else:
        assert histories["together"].steps == 8
        assert {"level 0 D", "level 0 rec_h", "top D", "top G"} <= set(histories["together"].losses)
    assert model.sample(3).shape == model.reconstruct(x[:3]).shape == (3, 4, 6)
    white = model.encode(x[:3])
    assert white.shape == (3, *model.whitening.shape) and model.decode(white).shape == (3, 4, 6)
    assert np.isfinite(model.sample(3)).all()


@pytest.mark.parametrize("schedule", BUDGETS)
def test_tiny_clips_of_images(schedule):
    x = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 8, 3), dtype=np.uint8)
    model = LDF([Level(nets.small_ali(size=8, latent_size=4), Frames(3))], top((1, 1, 96)),
                ChannelWhitening(Frames(3), (3, 1, 1, 32)))
    model.fit(x, schedule=schedule, steps=4, batch_size=8)
    assert model.sample(2).shape == model.reconstruct(x[:2]).shape == (2, 3, 8, 8, 3)
    assert model.sample(2).dtype == np.float32


def test_patches_of_images():
    x = np.random.default_rng(0).integers(0, 256, (10, 16, 16, 3), dtype=np.uint8)
    model = LDF([Level(nets.small_ali(size=8, latent_size=4), Patches(2, 2))], top(5),
                Whitening((4, 1, 1, 32), 5))
    model.fit(x, steps=4, batch_size=8)
    assert model.sample(2).shape == (2, 16, 16, 3)


def small_patches(seed=0):
    """Patches of frames, frames, clips: three levels on images."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (20, 2, 16, 16, 3), dtype=np.uint8)
    return nets.patch_ldf(x, patch=8, seed=seed, latent_size=4, top=lambda shape, seed: (
        nets.local_gan(shape, latent_size=4, width=4, hidden=8, seed=seed))), x


def test_samples_pass_through_z_of_each_level(tmp_path, monkeypatch):
    """Of three: at both levels each sample, once a pass; and a model keeps its passes in its
    file."""
    x = small_patches()[1]
    model = nets.patch_ldf(x, patch=8, latent_size=4, passes=2)
    model.fit(x, steps=4, batch_size=8)
    encode, passed = model.models[0].encode, []
    monkeypatch.setattr(model.models[0], "encode",
                        lambda x, code: passed.append(code) or encode(x, code))
    made = model.sample(3, ldf.Generator(0))
    # of the samples and of those they are calibrated by, which are encoded once more
    assert passed.count("z") == 2 * 2 and passed.count("h") == 2 * 2 + 1
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(ldf.load(tmp_path / "m.safetensors").sample(3, ldf.Generator(0)),
                                  made)
    model.passes = 0                        # negative control
    assert np.abs(model.sample(3, ldf.Generator(0)) - made).max() > 1e-3
    assert passed.count("z") == 2 * 2


@pytest.mark.parametrize("schedule", BUDGETS)
def test_three_levels_of_images(schedule, tmp_path):
    model, x = small_patches()
    model.fit(x, schedule=schedule, steps=4, batch_size=8, bottom_share=0.5)
    assert [level.split.count for level in model.levels] == [8, 2]
    assert model.codes(x[:3], model.levels[:1]).shape == (3, 8, 2, 2, 8)
    assert model.codes(x[:3]).shape == (3, 2, 2, 2, 8) and model.encode(x[:3]).shape == (
        3, 2, 2, 16)
    for made in (model.sample(3), model.reconstruct(x[:3]), model.reconstruct(x[:3], 0),
                 model.reconstruct(x[:3], 1)):
        assert made.shape == (3, 2, 16, 16, 3) and np.abs(made).max() <= 1
    np.testing.assert_array_equal(model.reconstruct(x[:3], 1), model.reconstruct(x[:3]))
    assert np.abs(model.reconstruct(x[:3], 0) - model.reconstruct(x[:3])).max() > 1e-3
    model.save(tmp_path / "three.safetensors")
    again, _ = small_patches(1)
    again.load(tmp_path / "three.safetensors")
    np.testing.assert_array_equal(again.sample(2, ldf.Generator(3)),
                                  model.sample(2, ldf.Generator(3)))


@pytest.mark.parametrize("step, ended_in", [(1, "level 0"), (4, "level 1"), (7, "top")])
def test_three_levels_go_on_bit_for_bit(tmp_path, step, ended_in):
    """From checkpoints, whichever level Ctrl-C came to."""
    def fitted(folder):
        model, x = small_patches()
        return model, model.fit(x, steps=8, batch_size=8, bottom_share=0.75,
                                checkpoints=Checkpoints(folder, every=0.0))

    whole, _ = fitted(tmp_path / "whole")
    with ctrl_c(step):
        _, histories = fitted(tmp_path / "ended")
    names = [*histories]        # those after it had two seconds each
    assert [n for n, h in histories.items() if h.interrupted] == names[names.index(ended_in):]
    again, histories = fitted(tmp_path / "ended")
    assert [h.steps for h in histories.values()] == [3, 3, 2]
    for name, value in whole.state_dict().items():
        np.testing.assert_array_equal(value, again.state_dict()[name], err_msg=name)


@pytest.mark.parametrize("schedule", BUDGETS)
def test_more_factors_than_whole_objects(schedule):
    """The limited-data setting: the bottom learns from local factors that belong to no whole object
    (Section 3.2)."""
    model, seen = two_levels(), []
    step = model.models[0]._step
    model.models[0]._step = lambda batch, share: seen.append(batch.copy()) or step(batch, share)
    fit(model, schedule, factors=np.full((30, 6), 0.25, np.float32) + np.float32(1e-3)
        * clips(30)[:, 0])
    assert seen and all(np.abs(batch - 0.25).max() < 0.01 for batch in seen)


@pytest.mark.parametrize("wrong, message", [
    ({"schedule": "top-first"}, 'schedule: expected "bottom-first" or "together"'),
    ({"bottom_share": 1.0}, "bottom_share: expected a number"),
    ({}, "at least one of them as the budget"),
    ({"steps": 4, "x": clips()[:, :3]}, "expected clips")])
def test_what_fit_refuses(wrong, message):
    with pytest.raises(ValueError, match=message):
        two_levels().fit(wrong.pop("x", clips()), batch_size=8, **wrong)


def test_parts_that_do_not_fit_are_refused_before_any_training():
    bottom = Level(tiny_ali(6, hidden=5), Frames(4))
    before = weights(bottom.model)
    with pytest.raises(ValueError,
                       match=r"LDF.fit: x of shape \(40, 4, 6\): Whitening.apply: codes: expected "
                             r"\(n, 4, 6\), got shape \(2, 4, 5\)"):
        LDF([bottom], top(7), Whitening((4, 6), 7)).fit(clips(), steps=4)
    with pytest.raises(ValueError,
                       match=r"top: expected a GAN on whitened codes \(7,\), got one on \(9,\)"):
        LDF([bottom], top(9), Whitening((4, 5), 7)).fit(clips(), steps=4)
    np.testing.assert_array_equal(weights(bottom.model), before)
    with pytest.raises(ValueError, match='code: expected "h" or "z"'):
        Level(tiny_ali(), Frames(4), "y")
    with pytest.raises(ValueError, match="below: expected a multiple of 2, got 5"):
        Groups(2, 5, (3,))


# --------------------------------------------------------------------- no gradient crosses a level

def depends(loss, parameters):
    try:
        grad(loss, parameters)
        return True
    except ValueError:
        return False


def test_the_loss_of_the_top_does_not_depend_on_the_bottom():
    model = two_levels()
    fit(model, "bottom-first")
    bottom, x = model.models[0], clips(8)
    codes = model.encode(x)
    assert type(codes) is np.ndarray
    discriminator = model.top.discriminator
    loss = ldf.softplus(-discriminator(Tensor(codes))).mean()
    assert depends(loss, discriminator.parameters()) and not depends(
        loss, bottom.encoder.body.parameters())
    # Negative control: through codes that keep their history, the same loss would reach the bottom.
    kept = bottom.encoder.body(Tensor(model.levels[0].factors(x))).reshape(8, -1)
    white = (kept
             - model.whitening.mean.data) @ model.whitening.basis.data / model.whitening.scale.data
    assert depends(ldf.softplus(-discriminator(white)).mean(), bottom.encoder.body.parameters())


def test_no_loss_of_three_levels_depends_on_the_level_below():
    """The real logits of each discriminator, from the codes that the level below hands up, reach
    the own encoder and no other; of patches of frames, and with their history kept as the
    control."""
    model, x = small_patches()
    model.whitening.fit(model.codes(x))
    (patches, frames), top = model.models, model.top
    codes = model.levels[0].encode(x[:4])
    maps, white = model.levels[1].factors(codes), model.encode(x[:4])
    assert type(codes) is type(maps) is type(white) is np.ndarray

    def loss(maps):
        maps = maps if isinstance(maps, Tensor) else Tensor(maps)
        return ldf.softplus(-frames.discriminator(maps, frames.encoder(maps))).mean()

    judged = ldf.softplus(-top.discriminator(Tensor(white))).mean()
    own = {"frames": (loss(maps), frames), "top": (judged, top)}
    below = {"frames": [patches], "top": [patches, frames]}
    for name, (value, part) in own.items():
        assert depends(value, part.discriminator.parameters())
        for other in below[name]:
            assert not depends(value, other.encoder.body.parameters()), name
    # Negative control: codes as the encoder's graph makes them, 4 patches a frame.
    kept = patches.encoder.body(Tensor(patches_of(model, x[:4])))
    n = len(kept.data) // 4
    grid = kept.reshape(n, 2, 2, 2, 2, 8).transpose((0, 1, 3, 2, 4, 5)).reshape(n, 4, 4, 8)
    assert depends(loss(grid), patches.encoder.body.parameters())


def patches_of(model, x):
    return model.levels[0].factors(x).astype(np.float32) / 127.5 - 1


def watch(model, moved):
    """Note for each step, taken by which part, the parts whose weights or statistics moved."""
    parts = {f"level {k}": m for k, m in enumerate(model.models)} | {"top": model.top}
    for name, part in parts.items():
        def step(batch, share, own=part._step, name=name):
            assert type(batch) is np.ndarray            # nothing with a history is handed up
            before = {n: weights(p) for n, p in parts.items()}
            losses = own(batch, share)
            moved.append((name, {n for n, p in parts.items()
                                 if not np.array_equal(weights(p), before[n])}))
            return losses
        part._step = step


@pytest.mark.parametrize("schedule", BUDGETS)
@pytest.mark.parametrize("images", [False, True])
def test_a_step_of_one_level_moves_no_other(schedule, images):
    (model, x), moved = small_patches() if images else (three_levels(), clips()), []
    watch(model, moved)
    fit(model, schedule, x)
    assert {name for name, _ in moved} == {"level 0", "level 1", "top"}
    assert all(parts == {name} for name, parts in moved)


def test_a_step_that_reaches_into_another_level_is_found():
    """Negative control of the watch."""
    model, moved = three_levels(), []
    step, bottom = model.top._step, model.models[0]

    def reaching_down(batch, share):
        bottom.parameters()[0].data[...] += 1e-6
        return step(batch, share)

    model.top._step = reaching_down
    watch(model, moved)
    fit(model, "bottom-first")
    assert ("top", {"top", "level 0"}) in moved


def test_codes_are_computed_once_when_the_bottom_is_frozen():
    model, rows = three_levels(), {}
    for k, ali in enumerate(model.models):
        ali.encode = lambda x, code, own=ali.encode, k=k: rows.setdefault(
            k, []).append(len(x)) or own(x, code)
    fit(model, "bottom-first")
    # the check of two objects, then all 40: four frames, two pairs
    assert rows == {0: [8, 160], 1: [4, 80]}


def test_the_bottom_is_frozen_while_the_top_learns():
    model, seen = two_levels(), []

    def callback(history):
        seen.append((set(history.losses) == {"D", "G"}, weights(model.models[0])))

    fit(model, "bottom-first", callback=callback)
    at_top = [w for is_top, w in seen if is_top]
    assert len(at_top) == 8 and all(np.array_equal(w, at_top[0]) for w in at_top)
    assert not np.array_equal(seen[0][1], at_top[0])


# ----------------------------------------------------------------------- the same again, and files

@pytest.mark.parametrize("schedule", BUDGETS)
def test_the_same_seed_gives_the_same_bits(schedule):
    a, b, other = three_levels(0), three_levels(0), three_levels(1)
    for model in (a, b, other):
        fit(model, schedule)
    np.testing.assert_array_equal(weights(a), weights(b))
    np.testing.assert_array_equal(a.sample(3), b.sample(3))
    assert not np.array_equal(weights(a), weights(other))


def test_saved_and_loaded_it_does_the_same(tmp_path):
    model, other = three_levels(0), three_levels(3)
    fit(model, "bottom-first")
    model.save(tmp_path / "ldf.safetensors")
    other.load(tmp_path / "ldf.safetensors")
    for use in (lambda m: m.sample(4, ldf.Generator(1)), lambda m: m.encode(clips(4)),
                lambda m: m.reconstruct(clips(4))):
        np.testing.assert_array_equal(use(model), use(other))
    with pytest.raises(ValueError, match="ldf.safetensors: not the weights of this LDF"):
        two_levels().load(tmp_path / "ldf.safetensors")


def test_ctrl_c_still_leaves_a_model_that_samples(monkeypatch):
    monkeypatch.setattr("ldf_np.training.budget.AFTER_INTERRUPT", {"steps": 2, "minutes": None})
    model = three_levels()

    def callback(history):
        if history.steps == 3:
            raise KeyboardInterrupt

    histories = fit(model, "bottom-first", callback=callback)
    assert histories["level 0"].interrupted and histories["level 0"].steps == 3
    assert histories["level 1"].steps == histories["top"].steps == 2
    assert np.isfinite(model.sample(3)).all()


def test_ctrl_c_while_codes_are_computed_is_told(monkeypatch):
    """No training was ended, and yet the top is one of two seconds: no experiment may count it."""
    monkeypatch.setattr("ldf_np.training.budget.AFTER_INTERRUPT", {"steps": 2, "minutes": None})
    model, encode, asked = three_levels(), ldf.Level.encode, []

    def interrupted(self, x, code=None):
        if self is model.levels[-1] and len(x) > 2 and not asked:     # two are looked at beforehand
            asked.append(len(x))
            raise KeyboardInterrupt
        return encode(self, x, code)

    whole = fit(three_levels(), "bottom-first")
    assert not any(history.interrupted for history in whole.values())       # negative control
    monkeypatch.setattr(ldf.Level, "encode", interrupted)
    histories = fit(model, "bottom-first")
    assert {name: history.interrupted for name, history in histories.items()} == {
        "level 0": False, "level 1": False, "top": True}
    assert histories["level 0"].steps == whole["level 0"].steps and histories["top"].steps == 2


def test_a_callback_is_told_of_the_time_before():
    """Each level's History says how long the levels below took, and the hierarchy is ready once it
    can be sampled."""
    model, seen = two_levels(), []
    histories = fit(model, "bottom-first", callback=lambda history: seen.append(
        (id(history), history.before["seconds"], history.seconds[-1], model.ready,
         history.passed("steps"))))
    bottom, top_level = ([s for s in seen if s[0] == name]
                         for name in dict.fromkeys(s[0] for s in seen))
    assert {s[1] for s in bottom} == {0.0} and not any(s[3] for s in bottom)
    assert all(s[1] >= bottom[-1][2] for s in top_level) and all(s[3] for s in top_level)
    assert [s[4] for s in seen] == list(range(1, len(seen) + 1))
    assert histories["top"].passed("steps") == len(seen)
    assert histories["top"].passed("seconds") == top_level[-1][1] + top_level[-1][2]


def test_a_callback_does_not_eat_the_budget(monkeypatch):
    class Clock:
        now = 0.0

        def perf_counter(self):
            self.now += 0.01
            return self.now

    clock = Clock()
    for module in (budget, training):
        monkeypatch.setattr(module, "time", clock)

    def slow(history):
        clock.now += 100

    histories = two_levels().fit(clips(), minutes=0.05, bottom_share=0.5, batch_size=16,
                                 callback=slow)
    for history in histories.values():
        assert history.seconds[-1] == pytest.approx(1.5, abs=0.2) and history.steps > 20


@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e4])
@pytest.mark.parametrize("make", [lambda: Whitening((2, 3), 6),
                                  lambda: ChannelWhitening(Frames(2), (2, 3))])
def test_whitening_knows_no_scale(make, scale):
    codes = np.random.default_rng(0).standard_normal((500, 2, 3)) * [1, 0.3, 0.1] * scale
    whitening = make().fit(codes.astype(np.float32))
    white = whitening.apply(codes.astype(np.float32))
    np.testing.assert_allclose([(white ** 2).mean(), whitening.explained.data[0]], 1, rtol=1e-3)
    np.testing.assert_allclose(whitening.invert(white), codes, atol=1e-5 * scale)


# ------------------------------------------------------------------------------------ few objects

def test_few_objects_beside_many_factors():
    """Levels above the bottom have fewer factors than a batch."""
    model, frames = three_levels(), clips(40).reshape(-1, 6)
    found = model.fit(clips(3), factors=frames, steps=12, batch_size=32)
    assert [history.steps for history in found.values()] == [3, 3, 6]
    assert np.isfinite(model.sample(2)).all()


@pytest.mark.parametrize("steps", [3, 5, 7, 9, 11])
def test_a_budget_in_steps_is_kept(steps):
    found = two_levels().fit(clips(), steps=steps, batch_size=16)
    assert sum(history.steps for history in found.values()) == steps


@pytest.mark.parametrize("strength", [1e-3, 0.01, 0.3, 1.0])
def test_the_variances_of_whitened_codes_at_any_strength(strength):
    codes = np.random.default_rng(0).standard_normal((400, 4, 5)) * [9, 3, 1, 0.3, 0.1]
    whitening = ChannelWhitening(Frames(4), (4, 5), strength).fit(codes.astype(np.float32))
    found, true = whitening.variances, np.sort(codes.reshape(400, -1).var(axis=0))[::-1]
    assert np.isfinite(found).all() and found.mean() == pytest.approx(1)
    if strength > 0.1:      # below, float32 tells them no longer
        left = true ** (1 - strength)       # of what is whitened
        np.testing.assert_allclose(found, left / left.mean(), rtol=0.3)
