"""Files that are never half-written: everything goes to a temporary name first and is then renamed."""

import os
import tempfile
from contextlib import contextmanager

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file


@contextmanager
def replacing(path):
    """A temporary path beside ``path``; on success it takes the place of ``path``, on an error it is removed."""
    path = os.fspath(path)
    folder = os.path.dirname(path) or "."
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".", suffix=os.path.splitext(path)[1])
    os.close(handle)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)      # mkstemp makes private files
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def save_tensors(path, tensors, metadata=None):
    """Write {name: NumPy array} and {name: text} as one safetensors file."""
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata)


def load_tensors(path):
    """Read a safetensors file: {name: NumPy array} and its metadata {name: text}.

    Raises FileNotFoundError, or ValueError naming the file where it is not a whole safetensors file.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file (expected weights in safetensors format)")
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except (SafetensorError, TypeError) as error:       # TypeError: a number format that NumPy lacks, such as bfloat16
        raise ValueError(f"{path}: expected a safetensors file, but it cannot be read: {error}") from error
