"""Clips from files: screens recorded as episodes of PNG frames, and clips that are already cut, one
.npz each."""

import io
import math
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..runtime.checks import checked, path_like
from .clips import (
    FRAMES,
    MIN_MOTION,
    ROWS,
    SHAPE,
    SIZE,
    Clips,
    at_least,
    cut_data_set,
    fit_memory,
    open_progress,
    to_uint8,
)

SCREEN = (210, 160)  # rows, columns of an Atari 2600 screen
LARGEST_PNG = 2**22  # bytes of a screen's file; its pixels have 134,400
LARGEST = 2**20  # bytes of arr_0.npy; the widest floats make 245,760
OF_THE_SYSTEM = {       # folders that systems and programs leave beside data
    "__macosx", "lost+found", "@eadir", "$recycle.bin", "system volume information", "__pycache__"}
LAYOUTS = (
    "expected one folder of PNG frames for each episode (EPISODE/0.png, EPISODE/1.png, ...; such "
    "folders may also lie in Train/ and Test/), or clips as .npz files (0.npz, 1.npz, ...)"
)


@checked(fit_memory(SHAPE, "clips", "test_clips"), folder=path_like, clips=at_least(1),
         test_clips=at_least(0), seed=at_least(0))
def read_clips(folder, clips=None, test_clips=None, seed=0, progress=False):
    """Read a folder in one of the two layouts of the paper's original collection. Which one is seen
    from the files.

    Episodes of PNG frames: FOLDER/EPISODE/N.png, screens of 210 x 160, in the order of their
        numbers, each taken as the next frame of the one before. Clips are cut as load_pacman does
        (rows 0 to 170, motion above 100), the same number from each episode: `clips` to train on
        (default 20,000) and `test_clips` to hold out (default: a tenth). The held-out ones come
        from the last tenth of the episodes. Where FOLDER holds Train/ and Test/ (train/ and test/),
        the episodes lie in those, and Test/ is what is held out.
    Clips: FOLDER/N.npz with one array `arr_0`, floats (32, 32, 15) from -1 to 1; channels 3t to
        3t+2 are frame t. The last tenth of the files is held out. `clips` and `test_clips` are the
        most to read, drawn by chance (default: all). They become uint8: 256 levels, which is what
        the screens had.

    progress: True for a progress bar, or a function called as progress(clips_done, clips_in_all).
    Returns Clips, uint8 (n, 5, 32, 32, 3). FileNotFoundError when there is no such folder;
    ValueError, naming the file, what came and what was expected, for everything else that is wrong.
    The arguments are checked before the folder is looked at.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: there is no such folder")
    if not folder.is_dir():
        raise ValueError(f"{folder}: a file, expected a folder")
    files = files_in(folder, ".npz")
    episodes = folders_in(folder)
    if files and episodes:
        raise ValueError(f"{folder}: holds both .npz files and folders, {LAYOUTS}")
    if files:
        return read_npz_folder(folder, files, clips, test_clips, seed, progress)
    if episodes:
        return read_png_folder(folder, episodes, clips, test_clips, seed, progress)
    raise ValueError(f"{folder}: neither .npz files nor folders in it, {LAYOUTS}")


def by_number(path):
    """Sort key that puts 9.png before 10.png, and 001.png before 01.png before 1.png on every
    system. Digits are 0 to 9: those of other scripts are letters."""
    parts = re.split(r"([0-9]+)", path.name)        # text, number, text, number, ..., text
    return [int(part) if k % 2 else part for k, part in enumerate(parts)], path.name


def in_order(paths):
    """The paths that are data and not the system's own, 9.png before 10.png."""
    return sorted((path for path in paths if not path.name.startswith(".")
                   and path.name.lower() not in OF_THE_SYSTEM), key=by_number)


def files_in(folder, suffix):
    return in_order(path for path in folder.iterdir()
                    if path.suffix.lower() == suffix and path.is_file())


def folders_in(folder):
    return in_order(path for path in folder.iterdir() if path.is_dir())


def hold_out(items, what):
    """Split off the last tenth of a list, at least one."""
    if len(items) < 2:
        raise ValueError(f"{what}, expected at least 2: the last tenth is held out for evaluation")
    held = math.ceil(len(items) / 10)
    return items[:-held], items[-held:]


# --------------------------------------------------------------------------------- episodes of PNG


def read_png_folder(folder, episodes, clips, test_clips, seed, progress):
    clips = 20000 if clips is None else clips
    test_clips = math.ceil(clips / 10) if test_clips is None else test_clips
    train, test = episodes, []
    sides = {side: [path for path in episodes if path.name.lower() == side]
             for side in ("train", "test")}
    for paths in sides.values():
        if len(paths) > 1:
            raise ValueError(f"{folder}: {' and '.join(path.name for path in paths)}, expected one "
                             "folder of this name")
    if sides["train"]:
        train, test = (sum(map(folders_in, paths), []) for paths in sides.values())
        for side, found in (("train", train), ("test", test)):
            if sides[side] and not found and (side == "train" or test_clips):
                raise ValueError(f"{sides[side][0]}: no folders in it, {LAYOUTS}")
    if test_clips and not test:
        train, test = hold_out(train, f"{folder}: {len(train)} episode")
    paths = train + test
    settings = {"layout": "png", "clips": clips, "test_clips": test_clips,
                "episodes": [path.name for path in paths], "rows": ROWS, "min_motion": MIN_MOTION}
    return cut_data_set(lambda k, rng: read_episode(paths[k])[:, :ROWS], list(map(str, paths)),
                        len(test), settings, seed, progress, "cutting clips")


def read_episode(folder):
    """The frames of one episode, uint8 (f, 210, 160, 3), in the order of their numbers."""
    paths = files_in(folder, ".png")
    if len(paths) < FRAMES:
        raise ValueError(f"{folder}: {len(paths)} PNG frames, expected at least {FRAMES}")
    frames = np.empty((len(paths), *SCREEN, 3), np.uint8)
    for frame, path in zip(frames, paths, strict=True):
        frame[:] = read_png(path)
    return frames


def check_png(data):
    """ValueError where a PNG is far larger than that of a screen, or announces a picture that would
    take memory to open."""
    if len(data) > LARGEST_PNG:
        raise ValueError(f"it has more than {LARGEST_PNG:,} bytes")
    columns, rows = (int.from_bytes(data[k : k + 4], "big") for k in (16, 20))
    if rows * columns > 100 * SCREEN[0] * SCREEN[1]:
        raise ValueError(f"it announces {rows} rows and {columns} columns")


CHANNELS = {2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by PNG's type of colour
# x, y, steps
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
         (0, 1, 1, 2))


def check_pixels(data):
    """ValueError unless the pixels of a screen's PNG, which Pillow has verified, unpack to as many
    bytes as its header announces. Pillow leaves the rows that are missing black."""
    parts, at, kind = [], 8, b""
    while kind != b"IEND":
        kind, end = data[at + 4 : at + 8], at + 8 + int.from_bytes(data[at : at + 4], "big")
        if (kind == b"IHDR") != (at == 8):
            raise ValueError("its header is not its first chunk alone")
        if kind == b"IDAT":
            parts.append(data[at + 8 : end])
        at = end + 4
    depth, colour, interlaced = data[24], data[25], data[28]
    expected = 0
    for x, y, dx, dy in ADAM7 if interlaced else ((0, 0, 1, 1),):
        rows, columns = -((y - SCREEN[0]) // dy), -((x - SCREEN[1]) // dx)  # rounded up
        # each row has a byte for its filter
        expected += rows * (1 + (columns * depth * CHANNELS[colour] + 7) // 8)
    stream = zlib.decompressobj()
    found = len(stream.decompress(b"".join(parts), expected + 1))
    if found != expected or not stream.eof:
        raise ValueError(
            f"its pixels unpack to {found:,} bytes{'' if stream.eof else ' or more'}, not to "
            f"{expected:,}")


def read_png(path):
    """One screen, uint8 (210, 160, 3). ValueError, naming the file, when it is none."""
    from PIL import Image

    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_PNG + 1)
        check_png(data)
        # In memory, where Pillow cannot ask for more bytes than there are.
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.verify()      # every chunk is there, with its checksum
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.size == SCREEN[::-1] and image.mode in ("RGB", "RGBA", "P"):
                check_pixels(data)
                return np.asarray(image.convert("RGB"))
            (columns, rows), mode = image.size, image.mode
    except Exception as error:  # Pillow raises almost anything for a damaged file
        raise ValueError(f"{path}: cannot be read ({error!s:.300}), expected a PNG of "
                         f"{SCREEN[0]} rows") from error
    raise ValueError(f"{path}: {rows} rows, {columns} columns, mode {mode}; expected a screen of "
                     f"{SCREEN[0]} rows and {SCREEN[1]} columns in colour (mode RGB, RGBA or P)")


# ----------------------------------------------------------------------------------- clips as .npz


def read_npz_folder(folder, files, clips, test_clips, seed, progress):
    train, test = hold_out(files, f"{folder}: {len(files)} .npz file")
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
    a_file = rng.permutation(len(train))[:clips].astype(np.int32)
    b_file = len(train) + rng.permutation(len(test))[:test_clips].astype(np.int32)
    report, close = open_progress(progress, len(a_file) + len(b_file), "reading clips")
    try:
        clips = np.empty((len(a_file) + len(b_file), *SHAPE), np.uint8)
        for k, number in enumerate([*a_file, *b_file]):
            clips[k] = read_npz(files[number])
            report(k + 1)
    finally:
        close()
    a, b = np.split(clips, [len(a_file)])
    return Clips(a, b, a_file, b_file, seed, {"layout": "npz", "files": len(files)})


def read_npz(path):
    """One clip, uint8 (5, 32, 32, 3), of a file with `arr_0`: floats (32, 32, 15) from -1 to 1.
    ValueError if not."""
    expected = ("expected an .npz file with arr_0, floats of shape "
                f"{(SIZE, SIZE, 3 * FRAMES)} from -1 to 1")
    try:
        x = read_array(path, "arr_0")
    except Exception as error:  # a damaged zip raises almost anything
        raise ValueError(f"{path}: cannot be read ({error!s:.300}), {expected}") from error
    if x.dtype.kind != "f" or x.shape != (SIZE, SIZE, 3 * FRAMES):
        raise ValueError(f"{path}: arr_0 is {x.dtype} of shape {x.shape}, {expected}")
    if not np.isfinite(x).all():
        raise ValueError(f"{path}: arr_0 holds NaN or infinity, {expected}")
    if np.abs(x).max() > 1 + 1e-6:
        raise ValueError(f"{path}: arr_0 goes from {x.min():g} to {x.max():g}, {expected}")
    x = x.reshape(SIZE, SIZE, FRAMES, 3)  # h w t c
    return to_uint8(x.transpose(2, 0, 1, 3))  # t h w c


def read_array(path, name):
    """The array of this name in an .npz file. Nothing is unpickled, and nothing larger than LARGEST
    is decompressed."""
    with open(path, "rb") as stream:
        if stream.read(6) == np.lib.format.MAGIC_PREFIX:
            raise ValueError("a single array without a name")
    with zipfile.ZipFile(path) as file:
        found = [member.filename.removesuffix(".npy") for member in file.infolist()]
        if found.count(name) != 1:
            raise ValueError(f"it holds {found[:10] or 'nothing'}")
        member = file.infolist()[found.index(name)]
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(
                f"{name} is compressed by method {member.compress_type}, not by deflate")
        if member.file_size > LARGEST:  # and zipfile gives no more than that
            raise ValueError(
                f"{name} has {member.file_size:,} bytes, over the limit of {LARGEST:,}")
        data = io.BytesIO(file.read(member))
    version = np.lib.format.read_magic(data)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0,
                   (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read_header is None:
        raise ValueError(f"{name} is in version {version} of the .npy format")
    shape, columns_first, dtype = read_header(data)
    if dtype.hasobject:
        raise ValueError(
            "Object arrays cannot be loaded: they hold a pickle, which could run any code")
    raw = data.read()
    if min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError(f"{name} is {dtype} of shape {shape}, but holds {len(raw):,} bytes")
    if not raw:
        return np.empty(shape, dtype)
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if columns_first else "C")
