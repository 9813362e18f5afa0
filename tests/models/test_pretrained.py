"""Models that come with the package: their cards, what they make, how such files are written."""

from functools import partial

import numpy as np
import pytest

import ldf_np as ldf
from ldf_np.models import baselines, nets, pretrained


@pytest.mark.parametrize("name", pretrained.NAMES)
def test_a_model_of_the_package_makes_clips(name):
    card = pretrained.card(name)
    assert {"data", "command", "budget", "machine", "seed", "scores", "licence"} <= card.keys()
    model = ldf.load_pretrained(name)
    clips = model.sample(64, ldf.Generator(0))
    assert clips.shape == (64, 5, 32, 32, 3) and np.abs(clips).max() <= 1
    # not noise: neighbouring pixels are alike, and frames more so (those of the joint GAN shimmer)
    assert np.abs(np.diff(clips, axis=2)).mean() < 0.5 * clips.std()
    most = {"pacman-ldf": 0.1, "pacman-joint": 0.12}[name]
    assert 0 < np.abs(np.diff(clips, axis=1)).mean() < most * clips.std()
    np.testing.assert_array_equal(ldf.load_pretrained(name).sample(2, ldf.Generator(3)),
                                  model.sample(2, ldf.Generator(3)))


def test_the_files_of_all_models_stay_small():
    assert sum(path.stat().st_size for path in pretrained.FOLDER.iterdir()
               if path.is_file()) < 10e6


@pytest.mark.parametrize("make, about", [
    (lambda: nets.clip_ldf(np.zeros((8, 5, 32, 32, 3), np.uint8), colour_metric=None, seed=5), {}),
    (lambda: nets.clip_ldf(np.zeros((8, 5, 32, 32, 3), np.uint8), colour_metric=None, seed=5,
                           passes=1, refiner=partial(nets.map_denoiser, width=8)),
     {"passes": 1, "refiner": ["local", {"width": 8}]}),
    (lambda: baselines.joint_gan(hidden=24, seed=5), {"hidden": 24})],
    ids=["LDF", "refined", "joint"])
def test_written_and_read_a_model_makes_the_same(make, about, tmp_path):
    clips = np.random.default_rng(0).integers(0, 256, (16, 5, 32, 32, 3), dtype=np.uint8)
    model, untrained = make(), make()
    model.fit(clips, steps=6, batch_size=8)
    pretrained.save_pretrained(model, tmp_path / "pacman-ldf", seed=5, **about)
    assert pretrained.card("pacman-ldf", tmp_path) == {
        "model": type(model).__name__, "seed": 5} | about
    again = ldf.load_pretrained("pacman-ldf", tmp_path)
    made = model.sample(3, ldf.Generator(1))
    np.testing.assert_allclose(again.sample(3, ldf.Generator(1)), made, atol=0.05)
    gan = getattr(again, "top", again)          # whose last weights are not in the file
    np.testing.assert_array_equal(gan.generator.flat(),
                                  gan.ema.average.data[:gan.generator.flat().size])
    if "refiner" in about:
        np.testing.assert_array_equal(again.refiner.network.flat(), again.refiner.ema.average.data)
        assert again.refiner.ready
    # negative control: before its training it made others
    untrained.fit(clips, steps=1, batch_size=8)
    assert np.abs(untrained.sample(3, ldf.Generator(1)) - made).max() > 0.05


def test_what_is_refused():
    with pytest.raises(ValueError, match='name: expected "pacman-ldf" or "pacman-joint", got'):
        ldf.load_pretrained("pacman")
    with pytest.raises(TypeError, match="model: expected a Module, got int"):
        pretrained.save_pretrained(3, "x")
