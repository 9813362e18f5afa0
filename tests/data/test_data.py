"""Data sets: clips of the real game, the cache that keeps them, and the readers for files, good and
bad."""

import functools
import json
import math
import os
import shutil
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldf_np.data import (
    Clips,
    cache,
    cut_clips,
    load_pacman,
    motion,
    pacman,
    read_clips,
    recorded,
    to_float,
    to_uint8,
)
from ldf_np.data import clips as clips_module


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads or writes the cache of the person who runs it."""
    monkeypatch.setenv("LDF_CACHE", str(tmp_path / "cache"))


@functools.cache
def recording(f=8, h=171, w=160):
    """Frames whose pixels say where they lie: channels (32 t, row, column). Every clip of it
    moves."""
    t, i, j = np.meshgrid(np.arange(f) * 32, np.arange(h), np.arange(w), indexing="ij")
    return np.stack([t, i, j], axis=-1).astype(np.uint8)


def place(clip):
    """Where a clip of recording() was cut, (t, i, j); fails unless all its pixels lie where they
    should."""
    t, i, j = int(clip[0, 0, 0, 0]) // 32, int(clip[0, 0, 0, 1]), int(clip[0, 0, 0, 2])
    np.testing.assert_array_equal(clip, recording()[t : t + 5, i : i + 32, j : j + 32])
    return t, i, j


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name))
               for name in pacman.ARRAYS) and a.settings == b.settings


# ---------------------------------------------------------------------------------- pixels, motion


def test_to_float_and_back():
    every = np.arange(256, dtype=np.uint8)
    x = to_float(every)
    assert x.dtype == np.float32 and x[0] == -1 and x[255] == 1
    np.testing.assert_allclose(x, np.arange(256) * 2 / 255 - 1, atol=1e-7)
    for dtype in (np.float16, np.float32, np.float64):
        np.testing.assert_array_equal(to_uint8(x.astype(dtype)), every)
    np.testing.assert_array_equal(to_uint8(np.array([-9.0, -1.001, 1.001, 9.0, np.inf])),
                                  [0, 0, 255, 255, 255])


@pytest.mark.parametrize(
    "convert, value, complaint",
    [
        (to_float, np.zeros(3), "dtype float64, expected uint8"),
        (to_uint8, np.zeros(3, int), "dtype int64, expected floats"),
        (to_uint8, np.array([0, np.nan]), "NaN"),
    ],
)
def test_conversions_refuse(convert, value, complaint):
    with pytest.raises(ValueError, match=complaint):
        convert(value)


def test_motion_is_the_sum_it_says():
    clips = np.random.default_rng(0).integers(0, 256, (2, 5, 3, 2, 3), dtype=np.uint8)
    for clip, value in zip(clips, motion(clips), strict=True):
        x = [[float(v) / 127.5 - 1 for v in frame.ravel()] for frame in clip]
        naive = sum((b - a) ** 2 for one, two in zip(x[:-1], x[1:], strict=True) for a,
                    b in zip(one, two, strict=True))
        assert math.isclose(value, naive, rel_tol=1e-12)


def moving_pixels(n):
    """A recording with one place for a clip, in which n numbers go once from 0 to 255: its motion
    is 4 n."""
    frames = np.zeros((5, 32, 32, 3), np.uint8)
    frames[2:, 0, :n, 1] = 255
    return frames


def test_a_clip_is_kept_when_its_motion_exceeds_100():
    rng = np.random.default_rng(0)
    assert motion(moving_pixels(25)) == 100 and motion(moving_pixels(26)) == 104
    np.testing.assert_array_equal(cut_clips(moving_pixels(26), 2, rng), [moving_pixels(26)] * 2)
    # Negative control: at the threshold, and frozen altogether, nothing is kept.
    for n in (25, 0):
        with pytest.raises(ValueError, match="planted: only 0 of 1 clips in which something moves"):
            cut_clips(moving_pixels(n), 1, rng, name="planted")


def test_clips_are_cut_whole_and_everywhere():
    places = np.array([place(clip) for clip in cut_clips(recording(), 600,
                                                         np.random.default_rng(0))])
    assert places.min(axis=0).tolist() == [0, 0, 0]
    assert set(places[:, 0]) == {0, 1, 2, 3}
    assert (places.max(axis=0)[1:] > [130, 120]).all() and (places.max(axis=0)[1:]
                                                            <= [139, 128]).all()


def test_clips_of_another_size_and_their_places():
    clips, places = clips_module.cut_places(recording(), 50, np.random.default_rng(0), "frames", 3,
                                            64)
    assert clips.shape == (50, 3, 64, 64, 3) and places.shape == (50, 3)
    for clip, (t, i, j) in zip(clips, places):
        np.testing.assert_array_equal(clip, recording()[t:t + 3, i:i + 64, j:j + 64])
    np.testing.assert_array_equal(
        cut_clips(recording(), 50, np.random.default_rng(0), length=3, size=64), clips)


@pytest.mark.parametrize("shape", [(4, 32, 32, 3), (5, 31, 32, 3), (5, 32, 31, 3), (5, 32, 32, 4)])
def test_cut_clips_names_a_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"frames: shape .* expected at least 5 frames"):
        cut_clips(np.zeros(shape, np.uint8), 1, np.random.default_rng(0))


def test_longer_clips_move_as_much_for_each_pair_of_frames():
    rng = np.random.default_rng(0)
    still = np.repeat(moving_pixels(26)[-1:], 4, axis=0)
    halted = np.concatenate([moving_pixels(26), still])        # nine frames, half of them at rest
    with pytest.raises(ValueError, match="over 200"):
        cut_clips(halted, 1, rng, length=9)
    longer = np.concatenate([moving_pixels(26), moving_pixels(26)[-2::-1]])
    np.testing.assert_array_equal(cut_clips(longer, 1, rng, length=9), [longer])
    with pytest.raises(ValueError, match="expected at least 6 frames"):
        cut_clips(moving_pixels(26), 1, rng, length=6)


# ----------------------------------------------------------------------------------- the real game


@pytest.fixture(scope="module")
def real():
    pytest.importorskip("ale_py", reason="ale-py, which carries the game, is not installed")
    with pytest.MonkeyPatch.context() as patch:
        # the first 13 seconds of a game, for all tests of this file
        patch.setattr(pacman, "MOST_FRAMES", 200)
        yield load_pacman(30, 9, seed=5, cache=False)


def test_real_clips(real):
    assert real.train.shape == (30, 5, 32, 32, 3) and real.test.shape == (9, 5, 32, 32, 3)
    assert real.train.dtype == real.test.dtype == np.uint8
    assert real.seed == 5 and real.settings["sticky_actions"] == 0 and real.settings[
        "steps_per_frame"] == 4
    # The colours of the maze, floor and walls, as the console's palette has them.
    pixels = real.train.reshape(-1, 3)
    floor, walls = ((pixels == colour).all(axis=1).mean()
                    for colour in ([0, 28, 136], [228, 111, 111]))
    assert 0.4 < floor < 0.9 and 0.05 < walls < 0.5 and 0.9 < floor + walls < 1


def test_real_clips_of_any_length(real, tmp_path, monkeypatch):
    monkeypatch.setattr(pacman, "MOST_FRAMES", 200)
    longer = load_pacman(6, 3, seed=5, frames=12)
    assert longer.train.shape == (6, 12, 32, 32, 3) and longer.settings["frames"] == 12
    assert (motion(longer.train) > 275).all()
    kept, = (tmp_path / "cache").iterdir()
    assert kept.name == "ms_pacman_6_3_seed5_frames12.npz"
    assert same(longer, load_pacman(6, 3, seed=5, frames=12))


def test_real_clips_all_move_and_frozen_ones_would_be_seen(real):
    assert (motion(real.train) > 100).all() and (motion(real.test) > 100).all()
    frozen = np.repeat(real.train[:, :1], 5, axis=1)  # negative control
    assert not (motion(frozen) > 100).any()


def test_held_out_games_are_others(real, monkeypatch):
    assert set(real.train_episode) == {0} and set(real.test_episode) == {1}
    monkeypatch.setattr(pacman, "CLIPS_PER_EPISODE", 4)
    monkeypatch.setattr(pacman, "MOST_FRAMES", 60)
    data = load_pacman(10, seed=1, cache=False)
    assert len(data.train) == 10 and len(data.test) == 1  # a tenth, by default
    assert sorted(data.train_episode) == [0] * 4 + [1] * 3 + [2] * 3 and set(data.test_episode) == {
        3}
    assert data.train_episode.tolist() != sorted(data.train_episode)  # shuffled


def test_one_seed_one_data_set(real):
    told = []
    again = load_pacman(30, 9, seed=5, cache=False,
                        progress=lambda done, total: told.append((done, total)))
    assert same(real, again)
    assert told == [(30, 39), (39, 39)]
    other = load_pacman(30, 0, seed=6, cache=False)
    assert not np.array_equal(real.train, other.train) and other.test.shape == (0, 5, 32, 32, 3)


def test_places_are_kept_beside_clips_that_were_there_before(real, tmp_path, monkeypatch):
    """A file of version 0.1 stays as it is; the same games say where its clips were cut."""
    assert real.train_place is None and load_pacman(30, 9, seed=5).test_place is None
    file = the_file(tmp_path / "cache")
    before = file.read_bytes()
    data = load_pacman(30, 9, seed=5, places=True)
    assert same(data, real) and file.read_bytes() == before
    assert data.train_place.shape == (30, 3) and data.test_place.shape == (9, 3)
    # one game: clips that overlap show the same still walls where they do
    (t, i, j), clip = data.test_place[0], data.test[0]
    frames = pacman.play(pacman.open_game(), np.random.Generator(np.random.Philox(
        np.random.SeedSequence((5, 1)))))
    np.testing.assert_array_equal(frames[t:t + 5, i:i + 32, j:j + 32], clip)
    monkeypatch.setitem(sys.modules, "ale_py", None)
    again = load_pacman(30, 9, seed=5, places=True)
    np.testing.assert_array_equal(again.train_place, data.train_place)
    # Negative control: places of other clips are not taken for these.
    flip(next(p for p in (tmp_path / "cache").iterdir() if "places" in p.name), 200)
    with pytest.warns(UserWarning, match="cannot be used"), pytest.raises(ImportError):
        load_pacman(30, 9, seed=5, places=True)


def test_clips_of_64_pixels(real, tmp_path):
    data = load_pacman(4, 2, seed=5, size=64)
    assert data.train.shape == (4, 5, 64, 64, 3) and data.settings["size"] == 64
    assert the_file(tmp_path / "cache").name == "ms_pacman_4_2_seed5_size64.npz"
    assert same(load_pacman(4, 2, seed=5, size=64), data)


def test_a_cached_data_set_needs_no_game(real, tmp_path, monkeypatch):
    first = load_pacman(30, 9, seed=5)
    assert same(first, real) and len(list((tmp_path / "cache").iterdir())) == 1
    monkeypatch.setitem(sys.modules, "ale_py", None)
    assert same(load_pacman(30, 9, seed=5), real)


def test_without_ale_py_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[demos\]"'):
        load_pacman(10)


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ({"clips": 0}, "clips is 0, expected a whole number of at least 1"),
        ({"clips": 2.5}, "clips is 2.5"),
        ({"clips": "many"}, "clips is 'many'"),
        ({"test_clips": -1}, "test_clips is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": None}, "seed is None"),
        ({"frames": 1}, "frames is 1, expected a whole number from 2 to 150"),
        ({"frames": 151}, "frames is 151, expected a whole number from 2 to 150"),
    ],
)
def test_load_pacman_names_a_wrong_argument(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        load_pacman(**arguments)


# ------------------------------------------------------------------------------------------- cache


@pytest.fixture
def made(monkeypatch):
    """load_pacman with noise in place of the game; the list holds the seeds it was made with."""
    made = []

    def make(settings, seed, progress):
        made.append(seed)
        rng = np.random.default_rng(seed)
        train, test = (
            rng.integers(0, 256, (settings[name], 5, 32, 32, 3), dtype=np.uint8)
            for name in ("clips", "test_clips")
        )
        return Clips(train, test, *(np.arange(len(x), dtype=np.int32) for x in (train, test)),
                     seed, settings)

    monkeypatch.setattr(pacman, "make_pacman", make)
    return made


def the_file(folder):
    (path,) = Path(folder).iterdir()
    return path


def test_cache_hit_is_bit_identical(made, tmp_path):
    first, second = load_pacman(3), load_pacman(3)
    assert made == [0] and same(first, second) and second.seed == 0
    assert all(getattr(first, name).dtype == getattr(second, name).dtype for name in pacman.ARRAYS)
    assert the_file(tmp_path / "cache").suffix == ".npz"
    load_pacman(3, seed=1)
    load_pacman(4)
    assert made == [0, 1, 0] and len(list((tmp_path / "cache").iterdir())) == 3
    load_pacman(3, cache=tmp_path / "elsewhere")
    load_pacman(3, cache=False)
    assert made == [0, 1, 0, 0, 0] and the_file(tmp_path / "elsewhere")


def rewrite(path, **changes):
    with np.load(path) as file:
        members = {name: file[name] for name in file.files}
    np.savez(path, **(members | changes))


def about(path, **changes):
    with np.load(path) as file:
        return np.array(json.dumps(json.loads(str(file["about"])) | changes))


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


DAMAGE = {
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "without its end": lambda path: os.truncate(path, path.stat().st_size - 1),
    "emptied": lambda path: os.truncate(path, 0),
    "flipped bit": lambda path: flip(path, path.stat().st_size // 2),
    "garbage": lambda path: path.write_bytes(b"not a zip at all" * 100),
    "a pickle": lambda path: path.write_bytes(b"\x80\x04N."),
    "an object array": lambda path: rewrite(path, train=np.array([{}, []], dtype=object)),
    "changed clips": lambda path: rewrite(path, train=np.zeros((3, 5, 32, 32, 3), np.uint8)),
    "changed episodes": lambda path: rewrite(path, test_episode=np.array([7], np.int32)),
    "another format": lambda path: rewrite(path, about=about(path, format=0)),
    "other settings": lambda path: rewrite(path, about=about(path, settings={"clips": 3})),
    "another seed": lambda path: rewrite(path, about=about(path, seed=1)),
    "no text": lambda path: rewrite(path, about=np.array("{")),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_broken_cache_is_made_anew(kind, made, tmp_path):
    first = load_pacman(3)
    DAMAGE[kind](the_file(tmp_path / "cache"))
    with pytest.warns(UserWarning, match="cannot be used and is made anew"):
        second = load_pacman(3)
    assert same(first, second) and made == [0, 0]
    assert same(first, load_pacman(3)) and made == [0, 0]  # the new file is whole


def test_the_file_of_another_seed_under_this_name(made, tmp_path):
    load_pacman(3, seed=1)
    path = the_file(tmp_path / "cache")
    shutil.copy(path, path.with_name(path.name.replace("seed1", "seed0")))
    with pytest.warns(UserWarning, match="'seed': 1.* expected .*'seed': 0"):
        load_pacman(3, seed=0)
    assert made == [1, 0]


def test_no_flipped_bit_gets_through(made, tmp_path):
    first = load_pacman(1)
    path = the_file(tmp_path / "cache")
    whole = path.read_bytes()
    made.clear()
    for at in range(0, len(whole), len(whole) // 150):
        flip(path, at)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # some bytes of a zip, such as a file's date, mean nothing here
            assert same(load_pacman(1), first), at
        path.write_bytes(whole)
    refused = len(made)
    assert refused > 140
    assert same(load_pacman(1), first) and len(made) == refused


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_a_stopped_write_leaves_the_old_file(stop, made, tmp_path, monkeypatch):
    first = load_pacman(3)
    path = the_file(tmp_path / "cache")
    before = path.read_bytes()
    write, calls = np.lib.format.write_array, []

    def break_off(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise stop
        write(*args, **kwargs)

    monkeypatch.setattr(np.lib.format, "write_array", break_off)
    with pytest.raises(stop):
        cache.save_arrays(path, {name: getattr(first, name) for name in pacman.ARRAYS}, {})
    assert len(calls) == 3 and the_file(tmp_path / "cache") == path and path.read_bytes() == before


def test_a_full_disk_is_a_warning(made, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "open", full)
    with pytest.warns(UserWarning, match="could not be kept in .*No space left"):
        data = load_pacman(3)
    assert data.train.shape == (3, 5, 32, 32, 3) and list((tmp_path / "cache").iterdir()) == []


def test_an_unwritable_cache_is_a_warning(made, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="could not be kept in"):
        data = load_pacman(3, cache=tmp_path / "file" / "folder")
    assert data.train.shape == (3, 5, 32, 32, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="on other systems platformdirs says where")
def test_cache_folder(monkeypatch, tmp_path):
    assert cache.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("LDF_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_folder() == tmp_path / "xdg" / "ldf_np"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.cache_folder() == tmp_path / "home" / ".cache" / "ldf_np"


# --------------------------------------------------------------------------- episodes of PNG files


def save_episode(folder, frames=6, first=8):
    """Screens named 8.png, 9.png, 10.png, ...: in another order by their letters than by their
    numbers."""
    folder.mkdir(parents=True)
    for t, screen in enumerate(recording(frames, 210)):
        Image.fromarray(screen).save(folder / f"{first + t}.png", compress_level=1)


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("episodes")
    for name in ("2", "10", "1"):
        save_episode(folder / name)
    (folder / ".Clips").mkdir()  # hidden, and so left alone
    return folder


def test_read_episodes(episodes):
    told = []
    data = read_clips(episodes, clips=40, seed=3, progress=lambda *numbers: told.append(numbers))
    assert data.train.shape == (40, 5, 32, 32, 3) and data.test.shape == (4, 5, 32, 32, 3)
    assert data.settings["episodes"] == ["1", "2", "10"]
    assert set(data.train_episode) == {0, 1} and set(data.test_episode) == {2}
    places = np.array([place(clip) for clip in (*data.train, *data.test)])
    # frames in order, the maze alone
    assert set(places[:, 0]) == {0, 1} and places[:, 1].max() <= 171 - 32
    assert told == [(20, 44), (40, 44), (44, 44)]
    assert same(data, read_clips(episodes, clips=40, seed=3))
    assert not np.array_equal(data.train, read_clips(episodes, clips=40, seed=4).train)


@pytest.mark.parametrize("train, test", [("Train", "Test"), ("train", "test"), ("TRAIN", "test")])
def test_read_episodes_of_train_and_test(tmp_path, train, test):
    save_episode(tmp_path / train / "1")
    save_episode(tmp_path / test / "1")
    data = read_clips(tmp_path, clips=4, test_clips=3)
    assert len(data.train) == 4 and len(data.test) == 3
    assert set(data.train_episode) == {0} and set(data.test_episode) == {1}


def test_a_test_folder_without_episodes_is_refused(tmp_path):
    """Nothing of Train/ is held out in its place."""
    for name in "12":
        save_episode(tmp_path / "Train" / name)
    (tmp_path / "Test").mkdir()
    (tmp_path / "Test" / "0.png").write_bytes(b"")
    with pytest.raises(ValueError, match="Test: no folders in it"):
        read_clips(tmp_path, clips=4)
    assert len(read_clips(tmp_path, clips=4, test_clips=0).train) == 4


def test_two_folders_to_train_on_are_refused(tmp_path):
    save_episode(tmp_path / "Train" / "1")
    save_episode(tmp_path / "train" / "1")
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system does not tell them apart")
    with pytest.raises(ValueError, match="expected one folder of this name"):
        read_clips(tmp_path, clips=4)


def test_what_a_system_leaves_behind_is_passed_over(episodes, tmp_path):
    shutil.copytree(episodes, tmp_path / "e")
    for name in ("__MACOSX", "lost+found", ".Trash-0", "@eaDir", "System Volume Information"):
        (tmp_path / "e" / name).mkdir()
        (tmp_path / "e" / "1" / name).mkdir()
    (tmp_path / "e" / "1" / "._8.png").write_bytes(b"of another system")
    assert same(read_clips(episodes, clips=8), read_clips(tmp_path / "e", clips=8))


def test_the_order_of_names():
    """By numbers; what is equal as a number by its text, so that no system's own order is left.
    Digits of other scripts are letters."""
    names = ["10.png", "9.png", "001.png", "1.png", "01.png", "a\u00b2.png", "a\u0663.png", "b.png"]
    wanted = ["001.png", "01.png", "1.png", "9.png", "10.png", *names[5:]]
    for k in range(len(names)):         # whatever order the system gives
        turned = map(Path, names[k:] + names[:k])
        assert [path.name for path in recorded.in_order(turned)] == wanted


def test_palette_and_transparency_are_read(tmp_path, episodes):
    for k, mode in enumerate(("RGBA", "P")):
        save_episode(tmp_path / str(k))
        for path in (tmp_path / str(k)).iterdir():
            Image.open(path).convert(mode).save(path)
    data = read_clips(tmp_path, clips=2, test_clips=1)
    place(data.train[0])


BAD_SCREENS = {
    "size": (lambda path: Image.new("RGB", (160, 209)).save(path),
             "209 rows, 160 columns, mode RGB; expected"),
    "turned": (lambda path: Image.new("RGB", (210, 160)).save(path), "160 rows, 210 columns"),
    "grey": (lambda path: Image.new("L", (160, 210)).save(path), "mode L; expected .*colour"),
    "16 bit": (lambda path: Image.new("I;16", (160, 210)).save(path),
               "mode I;16; expected .*colour"),
    "truncated": (lambda path: os.truncate(path, path.stat().st_size // 2),
                  "cannot be read .*expected a PNG"),
    "flipped bit": (lambda path: flip(path, path.stat().st_size // 2),
                    "cannot be read .*expected a PNG"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read .*expected a PNG"),
    "garbage": (lambda path: path.write_bytes(b"no picture" * 50),
                "cannot be read .*expected a PNG"),
    "JPEG": (lambda path: Image.new("RGB", (160, 210)).save(path, format="JPEG"),
             "cannot be read .*expected a PNG"),
}


@pytest.mark.parametrize("kind", BAD_SCREENS)
def test_a_bad_screen_is_named(kind, episodes, tmp_path):
    shutil.copytree(episodes, tmp_path / "e")
    make, complaint = BAD_SCREENS[kind]
    path = tmp_path / "e" / "1" / "9.png"
    make(path)
    with pytest.raises(ValueError, match=f"^{path}: .*{complaint}"):
        read_clips(tmp_path / "e", clips=4)


def test_bad_episodes_are_named(tmp_path):
    save_episode(tmp_path / "1", frames=4)
    with pytest.raises(ValueError, match=f"{tmp_path}: 1 episode, expected at least 2"):
        read_clips(tmp_path, clips=4)
    save_episode(tmp_path / "2")
    with pytest.raises(ValueError, match=f"{tmp_path / '1'}: 4 PNG frames, expected at least 5"):
        read_clips(tmp_path, clips=4)
    for k in range(12):
        Image.new("RGB", (160, 210)).save(tmp_path / "1" / f"{k}.png")
    with pytest.raises(ValueError,
                       match=f"{tmp_path / '1'}: only 0 of 4 clips in which something moves"):
        read_clips(tmp_path, clips=4)
    shutil.rmtree(tmp_path / "1")
    (tmp_path / "1").mkdir()
    with pytest.raises(ValueError, match=f"{tmp_path / '1'}: 0 PNG frames"):
        read_clips(tmp_path, clips=4)


# -------------------------------------------------------------------------------------- .npz clips


@pytest.fixture(scope="module")
def npz_folder(tmp_path_factory):
    """Clips 0 to 11: twelve of recording(), stacked in channels as the original collection has
    them."""
    folder = tmp_path_factory.mktemp("npz")
    for n in range(12):
        clip = recording()[0:5, n : n + 32, 40:72]
        stacked = np.concatenate([to_float(frame) for frame in clip], axis=-1)
        np.savez_compressed(folder / f"{n}.npz", stacked)
    return folder


def test_read_npz(npz_folder):
    data = read_clips(npz_folder)
    assert data.train.shape == (10, 5, 32, 32, 3) and data.test.shape == (2, 5, 32, 32, 3)
    for clips, files in ((data.train, data.train_episode), (data.test, data.test_episode)):
        assert [place(clip) for clip in clips] == [(0, n, 40) for n in files]
    assert sorted(data.train_episode) == list(range(10)) and sorted(data.test_episode) == [10, 11]
    some = read_clips(npz_folder, clips=4, test_clips=1, seed=1)
    assert len(some.train) == 4 and len(some.test) == 1 and set(some.test_episode) <= {10, 11}
    assert same(some, read_clips(npz_folder, clips=4, test_clips=1, seed=1))


GOOD = np.zeros((32, 32, 15), np.float32)
BAD_CLIPS = {
    "shape": (lambda path: np.savez(path, GOOD[..., :12]), r"float32 of shape \(32, 32, 12\)"),
    "dtype": (lambda path: np.savez(path, GOOD.astype(np.uint8)), "uint8 of shape"),
    "complex": (lambda path: np.savez(path, GOOD.astype(complex)), "complex128 of shape"),
    "over 1": (lambda path: np.savez(path, GOOD + 1.5), "goes from 1.5 to 1.5"),
    "0 to 255": (lambda path: np.savez(path, GOOD - 255), "goes from -255 to -255"),
    "NaN": (lambda path: np.savez(path, GOOD * np.nan), "NaN"),
    "infinity": (lambda path: np.savez(path, GOOD + np.inf), "infinity"),
    "objects": (lambda path: np.savez(path, np.array([{}, 1], dtype=object)),
                "Object arrays cannot be loaded"),
    "another name": (lambda path: np.savez(path, clip=GOOD), r"it holds \['clip'\]"),
    "no array": (lambda path: np.savez(path), "it holds nothing"),
    "not zipped": (
        lambda path: (np.save(path.with_suffix(".npy"), GOOD),
                      path.with_suffix(".npy").rename(path)),
        "a single array",
    ),
    "truncated": (lambda path: os.truncate(path, path.stat().st_size // 2), "cannot be read"),
    "flipped bit": (lambda path: flip(path, path.stat().st_size // 2), "cannot be read"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read"),
    "garbage": (lambda path: path.write_bytes(b"no zip" * 50), "cannot be read"),
    "a pickle": (lambda path: path.write_bytes(b"\x80\x04N."), "cannot be read"),
}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("kind", BAD_CLIPS)
def test_a_bad_clip_is_named(kind, npz_folder, tmp_path):
    shutil.copytree(npz_folder, tmp_path / "n")
    make, complaint = BAD_CLIPS[kind]
    path = tmp_path / "n" / "3.npz"
    make(path)
    with pytest.raises(ValueError,
                       match=f"^{path}: .*{complaint}.* expected an .npz file with arr_0, floats "
                             "of shape"):
        read_clips(tmp_path / "n")


# -------------------------------------------------------------------------------------- the folder


def test_bad_folders_are_named(npz_folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path / 'none'}: there is no such folder"):
        read_clips(tmp_path / "none")
    with pytest.raises(ValueError, match=f"{npz_folder / '0.npz'}: a file, expected a folder"):
        read_clips(npz_folder / "0.npz")
    with pytest.raises(ValueError,
                       match=f"{tmp_path}: neither .npz files nor folders in it, expected"):
        read_clips(tmp_path)
    shutil.copy(npz_folder / "0.npz", tmp_path)
    with pytest.raises(ValueError, match=f"{tmp_path}: 1 .npz file, expected at least 2"):
        read_clips(tmp_path)
    (tmp_path / "1").mkdir()
    with pytest.raises(ValueError, match=f"{tmp_path}: holds both .npz files and folders"):
        read_clips(tmp_path)


@pytest.mark.parametrize("arguments, complaint", [
    ({"clips": 0}, "clips is 0, expected a whole number of at least 1"),
    ({"clips": "a"}, "clips is 'a'"), ({"test_clips": 2.5}, "test_clips is 2.5"),
    ({"seed": None}, "seed is None"), ({"clips": 10**15}, "clips and test_clips: an array"),
])
def test_arguments_are_checked_before_a_folder_is_looked_at(arguments, complaint, npz_folder):
    for folder in (npz_folder, npz_folder / "none"):
        with pytest.raises(ValueError, match=f"^read_clips: {complaint}"):
            read_clips(folder, **arguments)
