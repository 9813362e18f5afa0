"""Data sets that take a while to make are kept in the user's cache folder, and are never half-read
from it."""

import hashlib
import json
import math
import os
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np

from ..runtime.files import replacing
from .clips import SHAPE, Clips

FORMAT = 1
ARRAYS = ("train", "test", "train_episode", "test_episode")


def cache_folder():
    """The folder that data sets are kept in: $LDF_CACHE, or ldf_np in the place the system has for
    such things."""
    if os.environ.get("LDF_CACHE"):
        return Path(os.environ["LDF_CACHE"])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData"
                    / "Local") / "ldf_np" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ldf_np"


def digest(arrays, about):
    """BLAKE2 over the text `about` and over the names, dtypes, shapes and bytes of `arrays`."""
    hashed = hashlib.blake2b(about.encode(), digest_size=32)
    for name, array in arrays.items():
        hashed.update(f"{name} {array.dtype.str} {array.shape}".encode())
        hashed.update(np.ascontiguousarray(array))
    return hashed.hexdigest()


def save_cached(path, data):
    """Write Clips as save_arrays does."""
    arrays = {name: getattr(data, name) for name in ARRAYS}
    save_arrays(path, arrays, {"seed": data.seed, "settings": data.settings}, stacklevel=4)


def load_cached(path, seed, settings):
    """Read what save_cached wrote -> Clips, or None as load_arrays."""
    most = (settings["clips"] + settings["test_clips"]) * (math.prod(SHAPE) + 4)
    arrays = load_arrays(path, ARRAYS, {"seed": seed, "settings": settings}, check_clips, most,
                         stacklevel=4)
    return None if arrays is None else Clips(**arrays, seed=seed, settings=settings)


def check_clips(arrays):
    for name in ("train", "test"):
        n = len(arrays[f"{name}_episode"])
        if arrays[name].shape != (n, *SHAPE):
            raise ValueError(f"{name} has shape {arrays[name].shape}, expected {(n, *SHAPE)}")


def save_arrays(path, arrays, facts, stacklevel=3):
    """Write {name: array}, and the plain facts that they were made with, to one .npz, whole or not
    at all.

    A folder that cannot be written to is a warning, not an error.
    """
    about = json.dumps({"format": FORMAT, **facts})
    everything = {"about": np.array(about), "checksum": np.array(digest(arrays, about)), **arrays}
    try:
        # As np.savez_compressed, but with zlib's level 3 in place of 6: half the time, 8 MB in
        # place of 5.
        with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED,
                                                           compresslevel=3) as to:
            for name, array in everything.items():
                with to.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
    except OSError as error:
        warnings.warn(
            f"the data set could not be kept in {path} and is made anew next time: {error}",
            stacklevel=stacklevel)


def load_arrays(path, names, facts, check, most, stacklevel=3):
    """Read the arrays of these names that save_arrays wrote, {name: array}, or None where there is
    no such file.

    A file whose arrays have more than ``most`` bytes, and a megabyte for what stands beside them,
    is not decompressed. A damaged file, one that was made with other facts, and one whose arrays
    check(arrays) finds wrong (a ValueError), is a warning and None.
    """
    if not os.path.exists(path):
        return None
    try:
        # Opened here, since np.load leaves a damaged zip open.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            # zipfile gives no more than it says
            size = sum(member.file_size for member in file.zip.infolist())
            if size > most + 2**20:
                raise ValueError(
                    f"it would unpack to {size:,} bytes, expected at most {most + 2**20:,}")
            about, checksum = str(file["about"]), str(file["checksum"])
            found, wanted = json.loads(about), {"format": FORMAT, **facts}
            if found != wanted:
                raise ValueError(f"it was made with {found}, expected {wanted}")
            arrays = {name: file[name] for name in names}
        if digest(arrays, about) != checksum:
            raise ValueError("its checksum is wrong")
        check(arrays)
    # a damaged zip raises almost anything; each of them means: make it anew
    except Exception as error:
        warnings.warn(f"the data set kept in {path} cannot be used and is made anew: {error}",
                      stacklevel=stacklevel)
        return None
    return arrays
