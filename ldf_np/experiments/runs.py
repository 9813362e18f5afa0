"""Finished runs of an experiment, kept in a folder so that one that was ended goes on."""

import json
import os
import time
import warnings
import zipfile

import numpy as np
from tqdm import tqdm

from ..runtime.distributed import world
from ..runtime.files import replacing
from ..training.checkpoint import Checkpoints
from .report import save_json

FOLDERS = "pieces", "checkpoints"       # in an experiment's own


class CachedRuns:
    """Finished pieces of an experiment (one model with one seed, say), kept in a folder so that a
    run that was ended continues.

    Parameters
    ----------
    folder : path, in which NAME.json and, for arrays, NAME.npz are kept
    settings : dict
        All that a piece depends on beside its name. A piece that was made with other settings is
        made anew.
    total : int, optional
        The number of pieces: a progress bar counts them.
    checkpoints : Checkpoints, optional
        In it each piece has a part, from which its trainings go on until it is kept; with ``anew``
        they do not.

    ``seconds``: how long the making of all pieces took, in this run and in those before it.
    """

    def __init__(self, folder, settings, total=None, checkpoints=None, anew=False):
        self.folder, self.settings, self.seconds = os.fspath(folder), json.loads(json.dumps(
            settings)), 0.0
        self._checkpoints, self._anew = checkpoints, anew
        self._bar = tqdm(total=total, desc="pieces", unit="piece",
                         disable=total is None or world().rank > 0, position=0)
        os.makedirs(self.folder, exist_ok=True)

    def __call__(self, name, make):
        """The piece of this name, from the folder or else from ``make(its Checkpoints, or None)``:
        a dict of numbers, texts, lists, dicts and, at its first level, NumPy arrays. Of several
        ranks all make it, and all get what rank 0 has made. A KeyboardInterrupt inside ``make``
        keeps nothing of it; a piece that says ``interrupted`` is returned but not kept."""
        self._bar.set_postfix_str(name)
        checkpoints = self._checkpoints and self._checkpoints.inside(name)
        found = world().from_first(lambda: self._find(name))
        if found is None:
            if self._anew:
                checkpoints.discard()
            begin = time.perf_counter()
            made = make(checkpoints)
            if made.get("interrupted"):
                return made
            found = world().from_first(lambda: self._keep(name, made, time.perf_counter() - begin))
        if checkpoints is not None:
            checkpoints.discard()
        self.seconds += found["seconds"]
        self._bar.update()
        return found["numbers"]

    def _keep(self, name, made, seconds):
        arrays = {k: v for k, v in made.items() if isinstance(v, np.ndarray)}
        if arrays:
            with replacing(self._path(name, "npz")) as temporary:
                np.savez_compressed(temporary, **arrays)
        save_json(self._path(name, "json"),         # last: with it the piece is there
                  {"settings": self.settings, "seconds": seconds, "arrays": sorted(arrays),
                   "numbers": {k: v for k, v in made.items() if not isinstance(v, np.ndarray)}})
        return self._find(name)

    def _path(self, name, suffix):
        return os.path.join(self.folder, f"{name}.{suffix}")

    def _find(self, name):
        path = self._path(name, "json")
        if not os.path.exists(path):
            return None
        try:
            with open(path, encoding="utf-8") as file:
                found = json.load(file)
            if found["settings"] != self.settings:
                return None
            if found["arrays"]:
                with open(
                    self._path(name, "npz"), "rb") as stream, np.load(
                        stream, allow_pickle=False) as file:
                    found["numbers"] |= {k: file[k] for k in found["arrays"]}
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            warnings.warn(f"{path}: this piece cannot be used and is made anew: {error}",
                          stacklevel=3)
            return None
        return found

    def close(self):
        """End the progress bar."""
        self._bar.close()


def pieces(options, settings, total):
    """The CachedRuns of an experiment with the options of ``add_checkpoints``, whose trainings
    survive."""
    pieces, checkpoints = (os.path.join(options.out, folder) for folder in FOLDERS)
    return CachedRuns(pieces, settings, total,
                      Checkpoints(checkpoints, on_nan=options.on_nan, settings=settings),
                  options.resume is False)


def finished(histories):
    """The History, or {level: History}, of a training that came to its end; KeyboardInterrupt where
    Ctrl-C ended it, for the models of an experiment are compared at equal budgets. (Its checkpoint
    stays.)"""
    if any(h.interrupted for h in (histories.values() if isinstance(histories, dict)
                                   else [histories])):
        raise KeyboardInterrupt
    return histories
