"""Sees which files a test opens, lists, makes or removes outside the folders that it may use.

A test may read the checkout (but not its out/) and what Python imports from, and may write only
into the folders of the test run. It must not read what another program or an earlier run left in
the system's temporary folder or in the home folder. Processes that a test starts are not seen;
their environment names folders of the test run (conftest.py).
"""

import os
import sys
import tempfile
from pathlib import Path

from helpers import CHECKOUT

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
LISTS = {"os.listdir", "os.scandir"}
CHANGES = {"os.mkdir": 1, "os.rmdir": 1, "os.remove": 1, "os.rename": 2, "os.link": 2,
           "os.symlink": 2}     # how many of the arguments are paths


def _real(paths):
    return tuple(os.path.realpath(path) for path in paths if path)


def _within(path, folders):
    return any(path == folder or path.startswith(folder + os.sep) for folder in folders)


class Watch:
    """Collects what is used outside the folders ``own`` of the test run while ``on`` is True."""

    def __init__(self, own):
        self.on, self._seen = False, set()
        self._own = _real(own)
        self._readable = _real([CHECKOUT, sys.prefix, sys.base_prefix, *sys.path])
        self._private = _real([tempfile.gettempdir(), Path.home()])
        self._out = _real([CHECKOUT / "out"])
        sys.addaudithook(self._hook)        # for the life of the process: Python cannot remove it

    def take(self):
        """What was used outside since the last call, as a sorted list of "event path"."""
        seen, self._seen = sorted(self._seen), set()
        return seen

    def _hook(self, event, args):
        if not self.on or not (event == "open" or event in LISTS or event in CHANGES):
            return
        changes = event in CHANGES or event == "open" and (args[2] or 0) & WRITES
        for path in args[:CHANGES.get(event, 1)]:
            if isinstance(path, (str, bytes, os.PathLike)):     # not a number of an open file
                path = os.path.realpath(os.fsdecode(path))
                if not self._allowed(path, changes):
                    self._seen.add(f"{event} {path}")

    def _allowed(self, path, changes):
        if _within(path, self._own) or path == os.devnull:
            return True
        if changes:
            return "__pycache__" in path
        if _within(path, self._out):
            return False
        return _within(path, self._readable) or not _within(path, self._private)
