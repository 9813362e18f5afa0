"""Files that are never half-written: everything goes to a temporary name first, onto the disk, and
is then renamed."""

import errno
import hashlib
import os
import tempfile
from contextlib import contextmanager

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save


@contextmanager
def replacing(path):
    """A temporary path beside ``path``; on success it takes the place of ``path``, on an error it
    is removed.

    What was written is on the disk before it is renamed, and so is the new name afterwards:
    whatever stops the program or the machine, ``path`` is the whole old file or the whole new one.
    (A program that is killed leaves the temporary file, whose name begins with a dot and the
    beginning of the name of ``path``.)
    """
    path = os.path.realpath(path)       # where it is a link, what that leads to
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path}: a folder, expected the path of a file to be written")
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name[:60]}-",
                                         suffix=os.path.splitext(path)[1][:20])
    os.close(handle)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o666 & ~mask
        with _where_there_is_one():
            os.chmod(temporary, mode)               # mkstemp makes private files
        with open(temporary, "r+b") as file, _where_there_is_one():
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    if os.name != "nt":         # Windows opens no folders
        with _where_there_is_one():
            _sync_folder(folder)


def _sync_folder(folder):
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def _where_there_is_one():
    """A context for what some file systems do not know (network and FUSE mounts: no permissions, no
    syncing of folders): there it is left out."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EPERM,
                               errno.EACCES):
            raise


def checksum(data):
    """The BLAKE2 checksum of bytes, 32 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def save_tensors(path, tensors, metadata=None):
    """Write {name: NumPy array} and {name: text} as one safetensors file. Returns the checksum of
    its bytes.

    The arrays may lie in memory in any order (transposed, reversed, broadcast) and in either byte
    order: what is written is their elements, row by row.
    """
    data = save({name: _plain(array) for name, array in tensors.items()}, metadata)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(data)
    return checksum(data)


def _plain(array):
    """The array's elements as safetensors takes them: row by row, in the machine's byte order."""
    array = np.asarray(array)
    return np.array(array, array.dtype.newbyteorder("="), order="C", copy=None)


def load_tensors(path, expected=None):
    """Read a safetensors file: {name: NumPy array} and its metadata {name: text}.

    Raises FileNotFoundError, or ValueError naming the file where it is not a whole safetensors file
    or, with ``expected`` given, has another checksum.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        what = "a folder" if os.path.isdir(path) else "no such file"
        raise FileNotFoundError(f"{path}: {what} (expected weights in safetensors format)")
    if expected is not None:
        with open(path, "rb") as file:
            if checksum(file.read()) != expected:
                raise ValueError(
                    f"{path}: its bytes are not those that were written: it is damaged or was "
                    "altered")
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    # TypeError: a number format that NumPy lacks, such as bfloat16
    except (SafetensorError, TypeError) as error:
        raise ValueError(
            f"{path}: expected a safetensors file, but it cannot be read: {error}") from error
