"""CIFAR-10, read from its archive or its folder without trusting a pickle."""

import bz2
import gzip
import lzma
import tarfile
import warnings
from pathlib import Path

import numpy as np

from ..runtime.checks import checked, path_like
from .images import CLASSES, SIZE, Images
from .pickles import PickledArray, read_pickle, shown

BATCHES = (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")
PYTHON = (*BATCHES, "batches.meta")
BINARY = (*(f"{name}.bin" for name in BATCHES), "batches.meta.txt")
FOLDERS = {"cifar-10-batches-py": PYTHON, "cifar-10-batches-bin": BINARY}
LARGEST = 64 * 2**20  # bytes of one file; the real ones have 31 million
# bytes of an archive once it is decompressed; the real ones have 186 million
LARGEST_ARCHIVE = 2**30
OPENERS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}  # by the first two bytes
VALUES = 3 * SIZE * SIZE
EXPECTED = ("expected cifar-10-python.tar.gz or cifar-10-binary.tar.gz, or the folder that is "
            "packed in one of them")


@checked(path=path_like)
def load_cifar10(path):
    """CIFAR-10 (Krizhevsky 2009), the python or the binary version: 50,000 images and 10,000 held
    out, or as many as the files have, with a warning where one has fewer than another.

    path: the archive as it was downloaded (a .tar is as good as a .tar.gz), the unpacked folder
        cifar-10-batches-py or cifar-10-batches-bin, or a folder that holds one of these. The python
        version is taken where both are there.

    Nothing is unpacked to the disk: only members of the known names are read, and links and files
    above 64 MB are refused. From a pickle come numbers, texts, lists and arrays of bytes; one that
    asks for any other object is refused. Returns Images, in the order of the files, the same from
    both versions. FileNotFoundError when there is no such path; ValueError, naming the file, what
    came and what was expected, for everything else that is wrong.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder, {EXPECTED}")
    files = read_folder(path) if path.is_dir() else read_tar(path)
    names = next((names for names in FOLDERS.values() if any(name in files for name in names)),
                 None)
    if names is None:
        raise ValueError(f"{path}: holds no file of CIFAR-10, {EXPECTED}")
    missing = [name for name in names if name not in files]
    if missing:
        raise ValueError(
            f"{path}: {', '.join(missing)} is missing, expected all of {', '.join(names)}")
    read_batch, read_names = ((python_batch, python_names) if names is PYTHON
                              else (binary_batch, binary_names))
    batches = [read_batch(f"{path}: {name}", files[name]) for name in names[:-1]]
    counts = [len(labels) for _, labels in batches]
    if len(set(counts)) > 1:
        warnings.warn(f"{path}: expected as many images in each of {', '.join(names[:-1])}, got "
                      f"{', '.join(map(str, counts))}", stacklevel=3)
    rows, labels = (np.concatenate(parts) for parts in zip(*batches[:-1], strict=True))
    classes = read_names(f"{path}: {names[-1]}", files[names[-1]])
    return Images(as_images(rows), labels, as_images(batches[-1][0]), batches[-1][1], classes,
                  {"name": "cifar-10"})


def as_images(rows):
    """uint8 (n, 3072), each row the planes of red, green and blue -> (n, 32, 32, 3)."""
    # n c h w -> n h w c
    return np.ascontiguousarray(rows.reshape(-1, 3, SIZE, SIZE).transpose(0, 2, 3, 1))


def check_size(where, size):
    if size > LARGEST:
        raise ValueError(
            f"{where}: {size:,} bytes, expected at most {LARGEST:,}: no file of CIFAR-10 is larger")


def read_folder(folder):
    """{name: bytes} of the files of CIFAR-10 in a folder, or in one of the two folders that an
    archive makes."""
    for place, names in [(folder, PYTHON + BINARY),
                         *((folder / inner, names) for inner, names in FOLDERS.items())]:
        found = [place / name for name in names if (place / name).is_file()]
        if found:
            for path in found:
                check_size(path, path.stat().st_size)
            return {path.name: path.read_bytes() for path in found}
    return {}


def read_tar(path):
    """{name: bytes} of the files of CIFAR-10 in a tar archive, which may be compressed."""
    # A name is known or not; so one that is absolute or holds '..' is never looked at.
    known = {f"{start}{name}": name for folder, names in FOLDERS.items() for name in names
             for start in ("", f"{folder}/")}
    files = {}
    with Limited(path) as stream:
        try:
            archive = tarfile.open(fileobj=stream, mode="r:")
        except Exception as error:
            raise ValueError(f"{path}: not a tar archive ({type(error).__name__}: {error!s:.300}), "
                             f"{EXPECTED}") from error
        for member in members(archive, path):
            where = f"{path}: {member.name}"
            check_size(where, member.size)  # of any member: to pass over it takes decompressing it
            name = known.get(member.name.removeprefix("./"))
            if name is None:
                continue
            if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                raise ValueError(
                    f"{where}: a link, a folder or another special member, expected a regular file")
            if name in files:
                raise ValueError(f"{where}: comes twice, expected one {name}")
            files[name] = content(archive, member, where)
    return files


class Limited:
    """A tar archive, decompressed on the way, that gives out no more than the limits: a few bytes
    may stand for many."""

    def __init__(self, path):
        with open(path, "rb") as file:
            opener = OPENERS.get(file.read(2), open)
        self.stream = opener(path, "rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()

    def read(self, size):
        if size > LARGEST:
            raise ValueError(f"a header of {size:,} bytes, expected at most {LARGEST:,}")
        self._check(self.tell() + size)
        return self.stream.read(size)

    def seek(self, place):
        self._check(place)
        return self.stream.seek(place)

    def tell(self):
        return self.stream.tell()

    def _check(self, end):
        if end > LARGEST_ARCHIVE + LARGEST:
            raise ValueError(f"it would unpack to more than {LARGEST_ARCHIVE:,} bytes")


def members(archive, path):
    """The members of an open archive, one after another; ValueError where it is damaged."""
    try:
        yield from archive
        while archive.fileobj.read(2**20):  # to the end of the file, where the checksum is
            pass
    except Exception as error:  # tarfile, gzip, zlib, bz2 and lzma each have their own
        raise ValueError(f"{path}: the archive is damaged ({error!s:.300}), {EXPECTED}") from error


def content(archive, member, where):
    try:
        data = archive.extractfile(member).read()
    except Exception as error:
        raise ValueError(f"{where}: the archive is damaged here ({error!s:.300}), expected "
                         f"{member.size:,} bytes") from error
    if len(data) != member.size:
        raise ValueError(
            f"{where}: the archive ends after {len(data):,} bytes of it, expected {member.size:,}")
    return data


def check_labels(where, labels, count):
    """int64 (count,) of a list or array of labels, which have to be integers from 0 to 9."""
    if len(labels) != count:
        raise ValueError(f"{where}: {len(labels)} labels for {count} images, expected one for each")
    for k, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < CLASSES:
            raise ValueError(f"{where}: label {k} is {shown(label)}, expected an integer from 0 to "
                             f"{CLASSES - 1}")
    return np.array(labels, np.int64)


def binary_batch(where, data):
    """(rows uint8 (n, 3072), labels int64 (n,)) of records of 3073 bytes, the label first."""
    if not data or len(data) % (1 + VALUES):
        raise ValueError(f"{where}: {len(data):,} bytes, expected records of {1 + VALUES} "
                         "(30,730,000 bytes in all)")
    records = np.frombuffer(data, np.uint8).reshape(-1, 1 + VALUES)
    return records[:, 1:], check_labels(where, records[:, 0].tolist(), len(records))


def binary_names(where, data):
    """The names of the classes, one a line."""
    return check_names(where, data.split(maxsplit=CLASSES))


def check_names(where, names):
    good = isinstance(names, list) and all(
        isinstance(name, bytes) and name and name.isascii() for name in names)
    if not good or not len(set(names)) == len(names) == CLASSES:
        raise ValueError(f"{where}: the names of the classes are {shown(names)}, expected "
                         f"{CLASSES} different words")
    return tuple(name.decode("ascii") for name in names)


def unpickle(where, data):
    """The dict in a pickle."""
    try:
        found = read_pickle(data)
    except Exception as error:  # a damaged pickle raises almost anything
        raise ValueError(f"{where}: cannot be read ({error!s:.300}), expected a pickle as in "
                         "cifar-10-python.tar.gz") from error
    if not isinstance(found, dict):
        raise ValueError(f"{where}: a {type(found).__name__}, expected a dict")
    return found


def entry(where, found, key, kind):
    if not isinstance(found.get(key), kind):
        came = f"a {type(found[key]).__name__}" if key in found else "missing"
        wanted = "a list" if kind is list else "an array"
        raise ValueError(f"{where}: {key.decode()} is {came}, expected {wanted}")
    return found[key]


def python_batch(where, data):
    """(rows uint8 (n, 3072), labels int64 (n,)) of a pickle."""
    found = unpickle(where, data)
    rows = pickled_rows(f"{where}: data", entry(where, found, b"data", PickledArray))
    return rows, check_labels(where, entry(where, found, b"labels", list), len(rows))


def pickled_rows(where, array):
    """uint8 (n, 3072) of the state (version, shape, dtype, column-major, bytes) of a pickled
    array."""
    expected = f"expected an array of uint8, (n, {VALUES})"
    try:
        _, shape, dtype, columns_first, raw = array.state
        if dtype.name not in ("u1", b"u1"):
            raise ValueError(f"its type is {shown(dtype.name)}")
        rows = np.frombuffer(raw, np.uint8).reshape(shape, order="F" if columns_first else "C")
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{where}: cannot be read ({error!s:.300}), {expected}") from error
    if rows.ndim != 2 or rows.shape[1] != VALUES or not len(rows):
        raise ValueError(f"{where}: shape {rows.shape}, {expected}")
    return rows


def python_names(where, data):
    """The names of the classes of a pickle."""
    return check_names(where, entry(where, unpickle(where, data), b"label_names", list))
