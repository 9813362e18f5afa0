"""Data sets that take a while to make are kept in the user's cache folder, and are never half-read
from it."""

import hashlib
import json
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np

from ..runtime.checks import path_like
from ..runtime.files import replacing

FORMAT = 1
CALLER = 5      # of load_pacman and load_games, for warnings: those are checked, and call cached()


def cache_folder():
    """The folder that data sets are kept in: $LDF_CACHE, or ldf_np in the user's cache folder. None
    where the system knows no home for this user (a service, a container)."""
    if os.environ.get("LDF_CACHE"):
        return Path(os.environ["LDF_CACHE"])
    from platformdirs import user_cache_path

    try:
        path = user_cache_path("ldf_np", appauthor=False)
    except (RuntimeError, KeyError):
        return None
    return path if path.is_absolute() and "~" not in path.parts else None


def in_folder(name, cache):
    """A rule: the folder of a cache, or False for none."""
    return cache is False or path_like(name, cache)


def cached(cache, file, names, facts, check, most, make):
    """The arrays of these names, {name: array}: read from ``file`` in the folder ``cache`` (None:
    cache_folder()) as load_arrays does, or else made by ``make()`` and kept there. ``cache`` False:
    made, and not kept."""
    folder = cache_folder() if cache is None else cache
    path = os.path.join(folder, file) if folder else None
    arrays = load_arrays(path, names, facts, check, most) if path else None
    if arrays is None:
        made = make()
        arrays = {name: made[name] for name in names}
        if path:
            save_arrays(path, arrays, facts)
    return arrays


def check_rows(arrays, shape, labels):
    """ValueError unless train and test have rows of this shape, and ``labels`` ("episode", say) one
    for each."""
    for name in ("train", "test"):
        wanted = (len(arrays[f"{name}_{labels}"]), *shape)
        if arrays[name].shape != wanted:
            raise ValueError(f"{name} has shape {arrays[name].shape}, expected {wanted}")


def digest(arrays, about):
    """BLAKE2 over the text `about` and over the names, dtypes, shapes and bytes of `arrays`."""
    hashed = hashlib.blake2b(about.encode(), digest_size=32)
    for name, array in arrays.items():
        hashed.update(f"{name} {array.dtype.str} {array.shape}".encode())
        hashed.update(np.ascontiguousarray(array))
    return hashed.hexdigest()


def save_arrays(path, arrays, facts):
    """Write {name: array}, and the plain facts that they were made with, to one .npz, whole or not
    at all.

    A folder that cannot be written to is a warning, not an error.
    """
    about = json.dumps({"format": FORMAT, **facts})
    everything = {"about": np.array(about), "checksum": np.array(digest(arrays, about)), **arrays}
    try:
        # as np.savez_compressed, but with zlib's level 3 in place of 6, which takes less time
        with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED,
                                                           compresslevel=3) as to:
            for name, array in everything.items():
                with to.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
    except OSError as error:
        warnings.warn(
            f"the data set could not be kept in {path} and is made anew next time: {error}",
            stacklevel=CALLER)


def load_arrays(path, names, facts, check, most):
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
                      stacklevel=CALLER)
        return None
    return arrays
