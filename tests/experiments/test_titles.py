"""Pictures with titles: what stands where."""

import numpy as np
import pytest
from PIL import Image, ImageSequence

from ldf_np.experiments import plots
from ldf_np.training import log
from ldf_np.training.loop import History

CLIPS = np.random.default_rng(0).integers(0, 200, (4, 3, 8, 8, 3), dtype=np.uint8)


def test_each_group_under_its_title(tmp_path):
    plots.save_clips(tmp_path / "a.png", {"one": CLIPS, "two": CLIPS[:2]}, scale=2)
    picture = np.asarray(Image.open(tmp_path / "a.png"))
    sheets = [plots.clip_sheet(some, scale=2) for some in (CLIPS, CLIPS[:2])]
    at = 0
    for sheet in sheets:
        height, width, _ = sheet.shape
        np.testing.assert_array_equal(picture[32:32 + height, at:at + width], sheet)
        assert picture[:32, at:at + width].min() < 100          # a title is written
        at += width + 16
    assert picture.shape[1] == at
    # negative control: without titles there is no strip above
    plots.save_clips(tmp_path / "b.png", CLIPS, scale=2)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.png")), sheets[0])


def test_animations_of_groups_play_together(tmp_path):
    plots.save_animation(tmp_path / "a.gif", {"one": CLIPS, "two": CLIPS[:2]}, 2, scale=2)
    with Image.open(tmp_path / "a.gif") as film:
        frames = [np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(film)]
    assert len(frames) == 3 and len({f.shape for f in frames}) == 1
    assert all(not np.array_equal(a, b) for a, b in zip(frames, frames[1:]))


@pytest.mark.parametrize("shape, dtype", [
    ((5, 8, 8), np.float32), ((5, 8, 8, 1), np.float64), ((5, 8, 8, 3), np.float32),
    ((5, 8, 8), np.uint8), ((5, 8, 8, 3), np.uint8), ((5, 8, 8, 1), np.int64)])
@pytest.mark.parametrize("values", [(-1, 1), (0, 1), (0, 16)])
def test_any_images(shape, dtype, values, tmp_path):
    low, high = (0, 255) if dtype == np.uint8 else values
    images = np.linspace(low, high, np.prod(shape)).reshape(shape).astype(dtype)
    plots.save_images(tmp_path / "a.png", images, columns=3, scale=2, values=values)
    picture = np.asarray(Image.open(tmp_path / "a.png"))
    assert picture.shape == (2 * (2 * 9 + 1), 2 * (3 * 9 + 1), 3)
    first, last = picture[2:18:2, 2:18:2], picture[20:36:2, 20:36:2]
    grey = images.reshape(5, 8, 8, -1)
    for shown, k in ((first, 0), (last, 4)):
        wanted = (grey[k].astype(float) - low) * 255 / (high - low)
        assert np.abs(shown.astype(float) - wanted).max() <= 0.5
    assert (picture[20:36, 38:54] == 255).all()        # there is no sixth


def test_losses_are_said_once(monkeypatch):
    monkeypatch.setattr(log, "_said", set())
    said = []
    for losses in ({"D": 1.0, "rec_h": 2.0}, {"level 0 D": 1.0}, {"G": 1.0, "square": 2.0}):
        log.say_once(losses, said.append)
    assert said == ["losses: D: discriminator (near 1.39 it cannot tell real from made), rec_h: "
                    "squared error through h", "losses: G: generator"]


def test_scores_of_one_seed_are_bars_and_of_several_dots(monkeypatch):
    found = []
    monkeypatch.setattr(plots, "save_figure", lambda path, figure: found.append(figure))
    for seeds in (1, 3):
        plots.save_intervals("a.png", {"precision": {"LDF": [0.1, 0.9, 0.9][:seeds]}})
    (one,), (several,) = (figure.axes for figure in found)
    assert len(one.patches) == 1 and not one.lines
    bar, dots, _ = several.lines
    assert tuple(bar.get_xdata()) == (0, 1) and len(dots.get_xdata()) == 3


def test_a_mark_looks_the_same_in_every_panel(monkeypatch):
    found = []
    monkeypatch.setattr(plots, "save_figure", lambda path, figure: found.append(figure))
    values = {"LDF": [0.1, 0.2]}
    plots.save_intervals("a.png", {"KID": values, "W1": values, "MSE": values}, {
        "KID": {"real": 0.1, "shuffled": 0.3}, "W1": {"shuffled": 0.4}, "MSE": {"later": 0.2}})
    looks = {}
    for axes in found[0].axes:
        for line, name in zip(*axes.get_legend_handles_labels(), strict=True):
            looks.setdefault(name, set()).add((line.get_color(), line.get_linestyle()))
    assert {*looks} == {"real", "shuffled", "later"}
    assert [len(some) for some in looks.values()] == [1, 1, 1]
    assert len(set.union(*looks.values())) == 3                     # and no two alike
    assert [text.get_text() for text in found[0].legends[0].get_texts()] == [*looks]


def test_a_dollar_in_a_name_is_a_dollar(tmp_path):
    """Matplotlib would read what stands between two as mathematics, and fail."""
    name = "cost $x_$ and $5"
    plots.save_lines(tmp_path / "a.png", {name: [[(1, 2.0), (3, 4.0)]]}, name, name)
    plots.save_intervals(tmp_path / "b.png", {name: {name: [1.0, 2.0]}})
    history = History()
    history.losses, history.seconds = {name: [1.0, 0.01, 0.001]}, [0.0, 1.0, 2.0]
    plots.save_curves(tmp_path / "c.png", {name: history})
    assert all((tmp_path / f"{k}.png").stat().st_size > 3000 for k in "abc")
    figure, (axes,) = plots.subplots()
    axes.loglog([1e-3, 1e3], [1e-3, 1e3])
    plots.save_figure(tmp_path / "d.png", figure)
    assert any(label.get_parse_math() and "10^" in label.get_text()     # but for their numbers
               for label in axes.get_xticklabels())


def test_points_are_pairs(tmp_path):
    with pytest.raises(ValueError, match=r"curves: a: expected points \(x, y\), got an array of"):
        plots.save_lines(tmp_path / "a.png", {"a": [[(1, 2, 3), (4, 5, 6)]]}, "x", "y")
    plots.save_lines(tmp_path / "a.png", {"a": [[]]}, "x", "y")


def test_losses_are_said_in_words():
    assert plots.in_words("level 0 D") == ("level 0 discriminator (near 1.39 it cannot tell real "
                                           "from made)")
    assert plots.in_words("rec_z") == "squared error through z"
    assert plots.in_words("square") == "square"
