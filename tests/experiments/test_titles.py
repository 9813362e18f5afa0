"""Pictures with titles: what stands where."""

import numpy as np
from PIL import Image, ImageSequence

from ldf_np.experiments import plots

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


def test_losses_are_said_in_words():
    assert plots.in_words("level 0 D") == "level 0 discriminator (1.39: it cannot tell)"
    assert plots.in_words("rec_z") == "squared error through z"
    assert plots.in_words("square") == "square"
