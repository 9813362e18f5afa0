"""Labelled images: CIFAR-10 in all its forms, archives that are damaged or mean harm, and ten games
as ten classes."""

import functools
import io
import os
import pickle
import shutil
import sys
import tarfile

import numpy as np
import pytest

from ldf_np.data import cache, cifar, load_cifar10, load_games
from ldf_np.data import games as source

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COUNT = 4  # images of a batch, in place of 10,000
OPEN_GAME = source.open_game  # it is replaced below


@functools.cache
def batch(k):
    """(images (n, 32, 32, 3), labels) of the k-th of six batches."""
    rng = np.random.default_rng(k)
    return rng.integers(0, 256, (COUNT, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, COUNT)


def rows_of(x):
    """By naive loops, so as the format's description says: 1024 values of red row by row, then
    green, then blue."""
    return np.array([[image[i, j, c] for c in range(3) for i in range(32) for j in range(32)]
                     for image in x], np.uint8)


def array_2008(array, columns_first=False):
    """The opcodes with which NumPy 1 on Python 2 pickled an array: its bytes as a Python 2 str."""
    def text(data):
        return b"T" + len(data).to_bytes(4, "little") + data  # BINSTRING

    def number(n):
        return b"J" + n.to_bytes(4, "little", signed=True)

    dtype = (b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + b"\x87R(" + number(3)
             + text(b"|")
             + b"NNN" + number(-1) + number(-1) + number(0) + b"tb")
    raw = array.tobytes(order="F" if columns_first else "C")
    return (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85"
            + text(b"b") + b"\x87R("
            + number(1) + number(array.shape[0]) + number(array.shape[1]) + b"\x86" + dtype
            + (b"\x88" if columns_first else b"\x89") + text(raw) + b"tb")


def pickled_2008(rows, labels, columns_first=False):
    """A batch as Python 2 wrote it, {'data': ..., 'labels': ...}, by hand."""
    numbers = b"".join(b"K" + bytes([label]) for label in labels)
    return b"\x80\x02}(U\x04data" + array_2008(rows,
                                               columns_first) + b"U\x06labels](" + numbers + b"eu."


def pickled(found):
    return pickle.dumps(found, protocol=2)


def python_files():
    files = {}
    for k, name in enumerate(cifar.BATCHES):
        x, labels = batch(k)
        files[name] = pickled_2008(rows_of(x), labels.tolist(), columns_first=k == 2)
        if k % 2:  # and some as Python 3 writes them
            files[name] = pickled({b"data": rows_of(x), b"labels": labels.tolist(), b"batch_label":
                                   b"x", b"filenames": [b"y"]})
    meta = {b"label_names": [name.encode() for name in NAMES], b"num_cases_per_batch": COUNT,
            b"num_vis": 3072}
    return files | {"batches.meta": pickled(meta)}


def binary_files():
    files = {}
    for k, name in enumerate(cifar.BATCHES):
        x, labels = batch(k)
        files[f"{name}.bin"] = np.concatenate([labels[:, None].astype(np.uint8), rows_of(x)],
                                              axis=1).tobytes()
    return files | {"batches.meta.txt": ("\n".join(NAMES) + "\n\n").encode()}


KINDS = {"py": python_files, "bin": binary_files}


def write_folder(folder, files):
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def write_tar(path, files, *more, folder="cifar-10-batches-py/"):
    """An archive of the files, after them the TarInfos (without content) of ``more``."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(folder + name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for member in more:
            archive.addfile(member)
    return path


def check_whole(data):
    for split, batches in (("train", range(5)), ("test", [5])):
        x, labels = getattr(data, split), getattr(data, f"{split}_labels")
        np.testing.assert_array_equal(x, np.concatenate([batch(k)[0] for k in batches]))
        np.testing.assert_array_equal(labels, np.concatenate([batch(k)[1] for k in batches]))
        assert x.dtype == np.uint8 and x.flags.c_contiguous and labels.dtype == np.int64
    assert data.classes == NAMES and data.settings == {"name": "cifar-10"}


# ---------------------------------------------------------------------------------------- CIFAR-10


@pytest.mark.parametrize("kind", KINDS)
def test_every_form_gives_the_same(kind, tmp_path):
    files, inner = KINDS[kind](), f"cifar-10-batches-{kind}"
    folder = write_folder(tmp_path / inner, files)
    check_whole(load_cifar10(folder))
    check_whole(load_cifar10(tmp_path))  # the folder that holds it
    check_whole(load_cifar10(str(write_tar(tmp_path / "a.tar.gz", files, folder=f"{inner}/"))))
    check_whole(load_cifar10(write_tar(tmp_path / "a.tar", files, folder=f"./{inner}/")))
    check_whole(load_cifar10(write_tar(tmp_path / "b.tar", files, folder="")))
    renamed = folder.rename(tmp_path / "renamed")
    check_whole(load_cifar10(renamed))


def test_a_planted_order_of_pixels_is_noticed(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "x", binary_files())
    # negative control
    monkeypatch.setattr(cifar, "as_images", lambda rows: rows.reshape(-1, 32, 32, 3))
    with pytest.raises(AssertionError):
        check_whole(load_cifar10(folder))


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_python_3(protocol, order, tmp_path):
    files = python_files()
    for k, name in enumerate(cifar.BATCHES):
        x, labels = batch(k)
        found = {b"data": np.asarray(rows_of(x), order=order), b"labels": labels.tolist(),
                 b"filenames": [b"a.png", b"a.png"]}
        files[name] = pickle.dumps(found, protocol=protocol)
    check_whole(load_cifar10(write_folder(tmp_path / "a", files)))


class Evil:
    """What a pickle runs when it is read without care."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("packed", [False, True])
def test_an_evil_pickle_is_refused_and_not_run(packed, tmp_path):
    mark = tmp_path / "mark"
    evil = pickled({b"data": Evil(os.system, f"touch {mark}"), b"labels": []})
    pickle.loads(evil)
    assert mark.exists()  # negative control: it would have run
    mark.unlink()
    files = python_files() | {"data_batch_3": evil}
    path = write_tar(
        tmp_path / "a.tar.gz", files) if packed else write_folder(tmp_path / "a", files)
    with pytest.raises(ValueError,
                       match=r"data_batch_3: cannot be read \(it asks for \w+\.system, refused"):
        load_cifar10(path)
    assert not mark.exists()


REFUSED = {
    "eval": Evil(eval, "1"),
    "getattr": Evil(getattr, "", "join"),
    "another of NumPy": Evil(np.save, "x", 1),
    "a codec": Evil(__import__("_codecs").encode, "abc", "zlib"),
    "decode": Evil(__import__("_codecs").decode, b"abc", "latin1"),
    "attribute of a builtin": Evil(bytes.fromhex, "00"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_other_calls_are_refused(what, tmp_path):
    folder = write_folder(tmp_path / "a", python_files() | {"batches.meta": pickled(REFUSED[what])})
    complaint = (r"batches.meta: cannot be read \((it asks for .*refused|bytes in the encoding "
                 "'zlib', expected 'latin1')")
    with pytest.raises(ValueError, match=complaint):
        load_cifar10(folder)


def member(name, kind=tarfile.REGTYPE, target="", size=0):
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, target, size
    return made


@pytest.mark.parametrize("start", ["/cifar-10-batches-py/", "../cifar-10-batches-py/",
                                   "cifar-10-batches-py/../", "other/"])
def test_members_of_other_places_are_not_read(start, tmp_path):
    with pytest.raises(ValueError,
                       match=r"a.tar: holds no file of CIFAR-10, expected cifar-10-python.tar.gz"):
        load_cifar10(write_tar(tmp_path / "a.tar", python_files(), folder=start))
    with tarfile.open(tmp_path / "b.tar", "w") as archive:  # beside whole files they change nothing
        for place, files in ((start, {"data_batch_1": b"evil"}), ("", python_files())):
            for name, data in files.items():
                archive.addfile(member(place + name, size=len(data)), io.BytesIO(data))
    check_whole(load_cifar10(tmp_path / "b.tar"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar", "b.tar"]  # nothing was unpacked


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE,
                                  tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_not_followed(kind, tmp_path):
    files = python_files()
    target = write_folder(tmp_path / "outside", {"x": files.pop("data_batch_2")}) / "x"
    path = write_tar(tmp_path / "a.tar", files,
                     member("cifar-10-batches-py/data_batch_2", kind, str(target)))
    with pytest.raises(ValueError,
                       match="data_batch_2: a link, a folder or another special member, expected a "
                             "regular file"):
        load_cifar10(path)


def test_too_large_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "LARGEST", 20_000)
    for k, path in enumerate([write_tar(tmp_path / "a.tar.gz",
                                        binary_files() | {"junk": bytes(20_001)}),
                              write_folder(tmp_path / "b",
                                           binary_files() | {"data_batch_1.bin": bytes(20_001)})]):
        with pytest.raises(ValueError,
                           match=r"(junk|data_batch_1.bin): 20,001 bytes, expected at most 20,000"):
            load_cifar10(path)
        monkeypatch.setattr(cifar, "LARGEST", 20_001 if k else 20_000)
    bomb = member("cifar-10-batches-py/data_batch_1", size=2**40)  # says so in its header alone
    with tarfile.open(tmp_path / "c.tar", "w") as archive:
        archive.fileobj.write(bomb.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(ValueError, match="data_batch_1: 1,099,511,627,776 bytes, expected at most"):
        load_cifar10(tmp_path / "c.tar")


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.85])
def test_a_truncated_archive(suffix, share, tmp_path):
    path = write_tar(tmp_path / f"a.{suffix}", python_files())
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(ValueError,
                       match=rf"a.{suffix}(: cifar-10-batches-py/\w+)?: .*(damaged|ends "
                             r"after|missing|not a tar)"):
        load_cifar10(path)


def test_flipped_bits_are_never_another_error(tmp_path):
    path = write_tar(tmp_path / "a.tar.gz", python_files())
    whole = path.read_bytes()
    refused = 0
    for at in range(0, len(whole), len(whole) // 25):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1:])
        try:
            check_whole(load_cifar10(path))
        except ValueError:
            refused += 1
    assert refused >= 24  # a few bytes, such as the date, mean nothing


@pytest.mark.parametrize("data", [b"", b"no archive" * 100, b"\x1f\x8b",
                                  b"PK\x03\x04" + bytes(600)])
def test_no_archive(data, tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(data)
    with pytest.raises(ValueError,
                       match=r"a.tar.gz: not a tar archive \(\w+: .*\), expected "
                             r"cifar-10-python.tar.gz"):
        load_cifar10(tmp_path / "a.tar.gz")


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError,
                       match="none: there is no such file or folder, expected "
                             "cifar-10-python.tar.gz"):
        load_cifar10(tmp_path / "none")
    with pytest.raises(ValueError, match="holds no file of CIFAR-10"):
        load_cifar10(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_batch(kind, tmp_path):
    files = KINDS[kind]()
    name = next(name for name in files if name.startswith("data_batch_4"))
    del files[name]
    for path in (write_folder(tmp_path / "a", files),
                 write_tar(tmp_path / "a.tar", files, folder="")):
        with pytest.raises(ValueError, match=f"{name} is missing, expected all of .*test_batch"):
            load_cifar10(path)


def test_a_file_that_comes_twice(tmp_path):
    path = write_tar(tmp_path / "a.tar", python_files(), member("data_batch_1"))
    with pytest.raises(ValueError, match="data_batch_1: comes twice"):
        load_cifar10(path)


ROWS = np.zeros((2, 3072), np.uint8)
BAD_PICKLES = {
    "shape": ({b"data": ROWS[:, 1:], b"labels": [0, 1]},
              r"data: shape \(2, 3071\), expected an array of uint8, \(n, 3072\)"),
    "axes": ({b"data": ROWS.reshape(2, 32, 32, 3), b"labels": [0, 1]},
             r"data: shape \(2, 32, 32, 3\)"),
    "dtype": ({b"data": ROWS.astype(np.int16), b"labels": [0, 1]},
              "its type is 'i2'.*expected an array of uint8"),
    "objects": ({b"data": ROWS.astype(object), b"labels": [0, 1]}, "its type is 'O8'"),
    "empty": (pickled_2008(ROWS[:0], []), r"shape \(0, 3072\)"),
    "no array": ({b"data": [1], b"labels": [0]}, "data is a list, expected an array"),
    "no data": ({b"labels": [0, 1]}, "data is missing"),
    "no labels": ({b"data": ROWS}, "labels is missing, expected a list"),
    "too few": ({b"data": ROWS, b"labels": [0]}, "1 labels for 2 images, expected one for each"),
    "too high": ({b"data": ROWS, b"labels": [0, 10]},
                 "label 1 is 10, expected an integer from 0 to 9"),
    "negative": ({b"data": ROWS, b"labels": [-1, 0]}, "label 0 is -1"),
    "fraction": ({b"data": ROWS, b"labels": [0.0, 1]}, "label 0 is 0.0"),
    "truth": ({b"data": ROWS, b"labels": [True, 1]}, "label 0 is True"),
    "a list": ([1, 2], "a list, expected a dict"),
}


@pytest.mark.parametrize("what", BAD_PICKLES)
def test_a_wrong_batch(what, tmp_path):
    found, complaint = BAD_PICKLES[what]
    data = found if isinstance(found, bytes) else pickled(found)
    folder = write_folder(tmp_path / "a", python_files() | {"data_batch_5": data})
    with pytest.raises(ValueError, match=f"data_batch_5.*{complaint}"):
        load_cifar10(folder)


@pytest.mark.parametrize("data", [b"", b"garbage", pickled({b"data": ROWS})[:50],
                                  b"\x80\x02Papsnix\n.", b"\x80\x02\x82\x01."])
def test_a_damaged_pickle(data, tmp_path):
    folder = write_folder(tmp_path / "a", python_files() | {"test_batch": data})
    with pytest.raises(ValueError,
                       match=r"(?s)test_batch: cannot be read \(.*expected a pickle as in "
                             r"cifar-10-python.tar.gz"):
        load_cifar10(folder)


def test_a_batch_that_is_cut_between_two_images_is_told(tmp_path):
    files = binary_files()
    folder = write_folder(tmp_path / "a", files | {
        "data_batch_3.bin": files["data_batch_3.bin"][:3073]})
    with pytest.warns(UserWarning, match="expected as many images in each of data_batch_1.bin"):
        data = load_cifar10(folder)
    write_folder(tmp_path / "b", files)
    assert len(data.train) < len(load_cifar10(tmp_path / "b").train)        # control: no warning



@pytest.mark.parametrize("raw, complaint", [
    (b"", "0 bytes, expected records of 3073"),
    (bytes(3074), "3,074 bytes, expected records of 3073"),
    (b"\x0a" + bytes(3072), "label 0 is 10, expected an integer from 0 to 9"),
])
def test_a_wrong_binary_batch(raw, complaint, tmp_path):
    folder = write_folder(tmp_path / "a", binary_files() | {"data_batch_2.bin": raw})
    with pytest.raises(ValueError, match=f"data_batch_2.bin: {complaint}"):
        load_cifar10(folder)


@pytest.mark.parametrize("names", [NAMES[:9], (*NAMES[:9], "cat"), (*NAMES[:9], "é")])
@pytest.mark.parametrize("kind", KINDS)
def test_wrong_names(kind, names, tmp_path):
    words = [name.encode() for name in names]
    meta = {"batches.meta": pickled({b"label_names": words}), "batches.meta.txt": b"\n".join(words)}
    files = KINDS[kind]()
    folder = write_folder(tmp_path / "a", files
                          | {name: meta[name] for name in meta if name in files})
    with pytest.raises(ValueError,
                       match="batches.meta.*the names of the classes are .*expected 10 different "
                             "words"):
        load_cifar10(folder)


# --------------------------------------------------------------------------------------- ten games


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads or writes the cache of the person who runs it."""
    monkeypatch.setenv("LDF_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def games():
    pytest.importorskip("ale_py", reason="ale-py, which carries the games, is not installed")
    # for all tests of this file: each game opened once, and a short wait
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "open_game", functools.cache(OPEN_GAME))
        patch.setattr(source, "START", (10, 30))
        yield load_games(40, 20, seed=3, cache=False)


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name))
               for name in source.ARRAYS) and a.settings == b.settings


def test_the_games_are_balanced_classes(games):
    assert games.train.shape == (40, 32, 32, 3) and games.test.shape == (20, 32, 32, 3)
    assert games.train.dtype == np.uint8 and games.train_labels.dtype == np.int64
    assert np.bincount(games.train_labels).tolist() == [4] * 10 and np.bincount(
        games.test_labels).tolist() == [2] * 10
    assert games.classes == source.GAMES and len(set(games.classes)) == 10
    assert games.train_labels.tolist() != sorted(games.train_labels)  # shuffled
    # The sea and the ice of one, the maze of another: a class is known by its colours.
    mean = np.array([games.train[games.train_labels == k].mean(axis=(0, 1, 2)) for k in range(10)])
    assert mean[source.GAMES.index("frostbite")].argmax() == 2 and mean[source.GAMES.index(
        "up_n_down")].argmax() == 1
    nearest = np.linalg.norm(games.test.mean(axis=(1, 2))[:, None] - mean, axis=-1).argmin(axis=1)
    assert (nearest == games.test_labels).mean() > 0.6


def test_no_image_is_of_one_colour_and_none_comes_twice(games):
    every = np.concatenate([games.train, games.test])
    assert (every.std(axis=(1, 2)).max(axis=1) >= source.MIN_DEVIATION).all()
    assert len({image.tobytes() for image in every}) == 60


def test_one_seed_one_data_set(games):
    told = []
    again = load_games(40, 20, seed=3, cache=False, progress=lambda *numbers: told.append(numbers))
    assert same(games, again)
    assert told == [(n, 60) for n in [*range(4, 44, 4), *range(42, 62, 2)]]
    other = load_games(10, 20, seed=3, cache=False)
    # the held-out images do not depend on the others
    np.testing.assert_array_equal(other.test, games.test)
    assert not np.array_equal(load_games(10, 0, seed=4, cache=False).train, other.train)


def test_held_out_images_come_from_other_walks(games, monkeypatch):
    walks = []

    def record(game, count, rng):
        walks.append(tuple(rng.bit_generator.state["state"]["key"]))
        return np.zeros((count, 32, 32, 3), np.uint8)

    monkeypatch.setattr(source, "record", record)
    monkeypatch.setattr(source, "IMAGES_PER_RECORDING", 2)
    data = load_games(33, 20, cache=False)
    assert sorted(np.bincount(data.train_labels)) == [3] * 7 + [4] * 3
    assert len(walks) == len(set(walks)) == 20 + 10  # a stream of its own each


def test_a_recording_does_not_depend_on_those_before_it(games):
    one, two = (OPEN_GAME("qbert") for _ in range(2))
    source.record(one, 3, source.stream(1, 0, 0, 0))
    np.testing.assert_array_equal(*(source.record(game, 3, source.stream(2, 0, 0, 0))
                                    for game in (one, two)))


def test_a_window_is_averaged():
    # one place alone
    screen = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    image = source.cut_image(screen, np.random.default_rng(0))
    for i, j, c in [(0, 0, 0), (31, 31, 2), (7, 19, 1)]:
        total = sum(int(screen[4 * i + u, 4 * j + v, c]) for u in range(4) for v in range(4))
        assert image[i, j, c] == (total + 8) // 16


class Blank:
    """A game whose screen shows nothing."""

    def getMinimalActionSet(self):
        return [0]

    def reset_game(self):
        pass

    def act(self, action):
        pass

    def game_over(self):
        return False

    def getScreenRGB(self):
        return np.full((210, 160, 3), 7, np.uint8)


def test_an_empty_screen_gives_no_images():
    with pytest.raises(ValueError, match="only 0 of 2 images of more than one colour"):
        source.record(Blank(), 2, np.random.default_rng(0))


@pytest.fixture
def made(monkeypatch):
    """load_games with noise in place of the games; the list holds the seeds it was made with."""
    made = []

    def make(settings, progress):
        made.append(settings["seed"])
        x = np.random.default_rng(settings["seed"]).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
        return {"train": x, "train_labels": np.arange(3), "test": x[:1], "test_labels":
                np.arange(1)}

    monkeypatch.setattr(source, "make_games", make)
    return made


def test_the_cache(made, tmp_path):
    first, second = load_games(3, 1), load_games(3, 1)
    assert made == [0] and same(first, second) and second.classes == source.GAMES
    load_games(3, 1, seed=1)
    load_games(3, 1, cache=False)
    load_games(3, 1, cache=tmp_path / "elsewhere")
    load_games(3, 1, cache=tmp_path / "elsewhere")
    assert made == [0, 1, 0, 0]
    path = tmp_path / "cache" / "games_3_1_seed0.npz"
    os.truncate(path, path.stat().st_size // 2)
    with pytest.warns(UserWarning, match="cannot be used and is made anew") as warned:
        assert same(load_games(3, 1), first)
    assert warned[0].filename == __file__
    shutil.copy(tmp_path / "cache" / "games_3_1_seed1.npz", path)
    with pytest.warns(UserWarning, match="'seed': 1.* expected .*'seed': 0"):
        load_games(3, 1)


def test_a_cached_set_of_another_shape_is_made_anew(made, tmp_path):
    first = load_games(3, 1)
    arrays = {name: getattr(first, name) for name in source.ARRAYS} | {"train_labels": np.arange(2)}
    cache.save_arrays(tmp_path / "cache" / "games_3_1_seed0.npz", arrays,
                      {"settings": first.settings})
    with pytest.warns(UserWarning,
                      match=r"train has shape \(3, 32, 32, 3\), expected \(2, 32, 32, 3\)"):
        assert same(load_games(3, 1), first)


def test_without_ale_py_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    monkeypatch.setattr(source, "open_game", OPEN_GAME)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[demos\]"'):
        load_games(10)


@pytest.mark.parametrize("arguments, complaint", [
    ({"train": 0}, "train is 0, expected a whole number of at least 1"),
    ({"train": 2.5}, "train is 2.5"),
    ({"test": -1}, "test is -1"),
    ({"seed": None}, "seed is None"),
])
def test_load_games_names_a_wrong_argument(arguments, complaint):
    with pytest.raises(ValueError, match=f"load_games: {complaint}"):
        load_games(**arguments)
