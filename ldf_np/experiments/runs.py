"""Finished runs of an experiment, kept in a folder so that an experiment that was ended goes on."""

import json
import os
import time
import warnings
from contextlib import contextmanager, suppress
from functools import partial

import numpy as np
from filelock import FileLock, Timeout

from ..runtime.checks import expect, instance, real
from ..runtime.distributed import world
from ..runtime.files import checksum, replacing
from ..runtime.progress import progress_bar
from ..training.checkpoint import Checkpoints
from .report import save_json

FOLDERS = "pieces", "checkpoints"       # of an experiment: its finished runs, and those that go on
PAUSE = 0.5         # seconds between two looks at what other processes are making


class CachedRuns:
    """Finished runs of an experiment (one model with one seed, say), kept in a folder so that an
    experiment that was ended continues.

    Parameters
    ----------
    folder : path, in which NAME.json and, for arrays, NAME.npz are kept
    settings : dict
        All that a run depends on beside its name. A run that was made with other settings is moved
        into a folder beside, with a warning, and made anew.
    total : int, optional
        The number of runs: a progress bar counts them.
    checkpoints : Checkpoints, optional
        Each run has a part of it, from which its trainings go on until the run is kept; with
        ``anew`` they do not.

    Notes
    -----
    Where an experiment is started several times with one folder, its processes share the runs
    out: each is made by one of them, and all get all. The lock that says so (.NAME.lock) ends with
    the process that holds it, so what a process leaves unfinished another goes on with.

    ``seconds``: how long the making of all runs took, in this process and in others.
    """

    def __init__(self, folder, settings, total=None, checkpoints=None, anew=False):
        self.folder, self.seconds = os.fspath(folder), 0.0
        self.settings = json.loads(json.dumps(settings))
        self._checkpoints, self._anew = checkpoints, anew
        self._bar = progress_bar(total, "finished", "run",
                                 show=total is not None and world().rank == 0)
        os.makedirs(self.folder, exist_ok=True)

    def __call__(self, name, make):
        """The run of this name, from the folder or else from ``make(its Checkpoints, or None)``: a
        dict of numbers, texts, lists, dicts and, at its first level, NumPy arrays.

        Of several ranks all make it, and all get what rank 0 has made. A KeyboardInterrupt inside
        ``make`` keeps nothing of it; a run that says ``interrupted`` is returned but not kept.
        """
        return self.each({name: make})[name]

    def each(self, makes):
        """{name: run} of {name: make}, each as of a call: one after another, but for those that
        another process is making, which come last. A run that says ``interrupted`` ends it."""
        found = {}
        while True:
            for name in [name for name in makes if name not in found]:
                with self._begun_nowhere_else(name) as free:
                    if free:
                        found[name] = self._made(name, makes[name])
                        if found[name].get("interrupted"):
                            return found
            if len(found) == len(makes):
                return {name: found[name] for name in makes}
            time.sleep(PAUSE)

    def by_seed(self, names, seeds, make):
        """{name: [a run for each seed]} of ``make(name, seed, checkpoints)``, seed after seed; of
        one that was interrupted, as far as it came."""
        made = self.each({f"{name} seed {seed}": partial(make, name, seed)
                          for seed in seeds for name in names})
        return {name: [made[piece] for seed in seeds if (piece := f"{name} seed {seed}") in made]
                for name in names}

    @contextmanager
    def _begun_nowhere_else(self, name):
        """A context in which this process (of several ranks, the first) holds the run's lock: True
        for all ranks, or False where another holds it."""
        lock = FileLock(self._path(f".{name}", "lock"))

        def taken():
            try:
                lock.acquire(timeout=0)
            except Timeout:
                return False
            except NotImplementedError:     # a file system without locks: nothing is shared out
                pass
            return True

        try:
            yield world().from_first(taken)
        finally:
            lock.release()

    def _made(self, name, make):
        self._bar.set_postfix_str(name)
        checkpoints = self._checkpoints and self._checkpoints.inside(name)
        found = world().from_first(lambda: self._find(name))
        if found is None:
            if self._anew and checkpoints is not None:
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
        numbers = {key: self._plain(name, key, value) for key, value in made.items()
                   if key not in arrays}
        wrong = [key for key, array in arrays.items() if array.dtype.kind == "O" or key == "file"]
        expect(not wrong, f"run {name}", "arrays of numbers, none of them called file",
               ", ".join(wrong))
        with suppress(FileNotFoundError):       # a damaged one, whose numbers are not these arrays'
            os.unlink(self._path(name, "json"))
        if arrays:
            with replacing(self._path(name, "npz")) as temporary:
                np.savez_compressed(temporary, **arrays)
        save_json(self._path(name, "json"),         # last: with it the run is there
                  {"settings": self.settings, "seconds": seconds, "arrays": sorted(arrays),
                   "numbers": numbers})
        return self._find(name)

    @staticmethod
    def _plain(name, key, value):
        """As JSON gives it back, NumPy's numbers as Python's."""
        try:
            return json.loads(json.dumps(value, default=lambda x: np.generic.item(x)))
        except (TypeError, ValueError) as error:
            raise TypeError(f"run {name}: {key}: expected numbers, texts, lists and dicts, and "
                            f"arrays only beside it, got {value!r:.80} ({error})") from error

    def _path(self, name, suffix):
        return os.path.join(self.folder, f"{name}.{suffix}")

    def _find(self, name):
        path = self._path(name, "json")
        if not os.path.exists(path):
            return None
        try:
            with open(path, encoding="utf-8") as file:
                found = json.load(file)
            others = instance(dict)("settings", found["settings"]) != self.settings
            if found["arrays"] and not others:
                with open(self._path(name, "npz"), "rb") as file:
                    arrays = np.load(file, allow_pickle=False)
                    found["numbers"] |= {k: arrays[k] for k in found["arrays"]}
            real(0)("seconds", found["seconds"]), instance(dict)("numbers", found["numbers"])
        except Exception as error:      # whatever readers of zip files and of JSON say to damage
            warnings.warn(f"{path}: this run cannot be used and is made anew: {error}",
                          stacklevel=3)
            return None
        if others:
            self._set_aside(name, found["settings"])
            return None
        return found

    def _set_aside(self, name, settings):
        """Move a run of other settings, which may have taken hours, and what else has its name."""
        aside = os.path.join(self.folder, "of other settings " + checksum(
            json.dumps(settings, sort_keys=True).encode())[:8])
        os.makedirs(aside, exist_ok=True)
        ours = [file for file in os.listdir(self.folder) if os.path.splitext(file)[0] == name]
        for file in sorted(ours, key=lambda file: file.endswith(".json")):      # last, as kept
            os.replace(os.path.join(self.folder, file), os.path.join(aside, file))
        differ = [f"{key} = {settings.get(key, 'none')!r:.40}" for key in settings | self.settings
                  if settings.get(key) != self.settings.get(key)]
        warnings.warn(f"{self._path(name, 'json')}: a run with {', '.join(differ)} is kept in "
                      f"{aside}; this one is made anew", stacklevel=4)

    def close(self):
        """End the progress bar."""
        self._bar.close()


def cached_runs(options, settings, total, data=None):
    """The CachedRuns of an experiment with the options of ``add_checkpoints``: also its trainings
    go on where they were ended.

    ``data``: something with ``train`` and ``test``, arrays or texts. Where --data names files,
    which may have been changed since, their checksum is a setting, too.
    """
    if data is not None and options.data not in (None, "ale"):
        settings = settings | {"checksum of the data": [
            checksum(part.encode() if isinstance(part, str) else np.ascontiguousarray(part))
            for part in (data.train, data.test)]}
    folder, checkpoints = (os.path.join(options.out, name) for name in FOLDERS)
    return CachedRuns(folder, settings, total,
                      Checkpoints(checkpoints, on_nan=options.on_nan, settings=settings),
                      options.resume is False)


def without_arrays(found):
    """A dict without the NumPy arrays in it, at any depth: what JSON can hold."""
    return {k: without_arrays(v) if isinstance(v, dict) else v for k, v in found.items()
            if not isinstance(v, np.ndarray)}


def scores_of(runs, key):
    """{model: the values of a score over seeds} of {model: {seed: its run}}."""
    return {name: [run["scores"][key] for run in some.values()] for name, some in runs.items()}


def by_level(histories, name="model"):
    """{level: History} of what a model's ``fit`` returns: of a model of one level, {name:
    History}."""
    return histories if isinstance(histories, dict) else {name: histories}


def finished(histories):
    """The History, or {level: History}, of a training that came to its end.

    Raises KeyboardInterrupt where Ctrl-C ended it, for the models of an experiment are compared at
    equal budgets. (Its checkpoint stays.)
    """
    if any(history.interrupted for history in by_level(histories).values()):
        raise KeyboardInterrupt
    return histories


def count_parameters(*modules):
    """The number of parameters of all ``modules`` together."""
    return sum(p.size for module in modules for p in module.parameters())
