"""What all experiments share: options, pieces that are kept and go on, intervals over seeds, verdicts, results.json."""

import argparse
import json
import math
import os
import shlex
import signal
import sys
import time
import warnings
import zipfile

import numpy as np
from tqdm import tqdm

from .backend import to_numpy
from .checkpoint import Checkpoints
from .expect import finite, number, numbers
from .files import replacing
from .parallel import start, world
from .report import cell, environment, save_json, text_table

FOLDERS = "pieces", "checkpoints"       # in an experiment's own

# ------------------------------------------------------------------------------------------------------- options


def positive(text):
    """An argparse type: a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return value


def whole(least):
    """An argparse type: an integer of at least ``least``."""
    def of(text):
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            wanted = "a non-negative integer" if least == 0 else f"an integer of at least {least}"
            raise argparse.ArgumentTypeError(f"expected {wanted}, got {text}")
        return value

    return of


def parser(doc, *, out, minutes, of="training time of each model", seeds=(0, 1, 2), steps=None):
    """An ArgumentParser with what every experiment takes: --minutes, --seeds, --device and --out; and, where ``steps`` says
    what they are, --steps in place of --minutes."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    budgets = made.add_mutually_exclusive_group()
    budgets.add_argument("--minutes", type=positive, default=minutes, help=f"{of} (default {minutes:g})")
    if steps is not None:
        budgets.add_argument("--steps", type=whole(2), metavar="N", help=steps)
    made.add_argument("--seeds", type=whole(0), nargs="+", default=list(seeds), metavar="SEED",
                      help=f"the experiment is run once with each (default {' '.join(map(str, seeds))})")
    made.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    made.add_argument("--out", default=out, help=f"folder for what it writes (default {out})")
    return made


def budget(options):
    """{"minutes": number} or {"steps": number}, by the options of ``parser``."""
    return {"minutes": options.minutes} if options.steps is None else {"steps": options.steps}


def add_checkpoints(parser):
    """Give an ArgumentParser what trainings that survive take: --resume, --no-resume and --on-nan."""
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction,
                        help="go on with trainings that were ended (so it is anyway, but with --resume it is an error where "
                             "none was begun), or begin them anew (--no-resume)")
    parser.add_argument("--on-nan", choices=("stop", "back-off"), default="stop",
                        help="where a loss or gradient is not finite: end with what it was (default), or go back to the last "
                             "checkpoint with half the learning rates")


def settings(options, *less):
    """{name: value} of all options on which what an experiment finds depends, and not of those in ``less``."""
    return {k: v for k, v in vars(options).items() if k not in ("out", "seeds", "resume", "on_nan", *less)}


def main(run, options, ranks=False):
    """``run(options)``, with one sentence in place of a traceback for whatever a user can cause; SIGTERM is taken as Ctrl-C.

    ``ranks``: whether it may be started by mpirun, as several processes; then an error on any of them ends all.
    """
    name = os.path.basename(sys.argv[0])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if len(set(getattr(options, "seeds", []))) < len(getattr(options, "seeds", [])):
        sys.exit(f"{name}: --seeds: expected different seeds, got {' '.join(map(str, options.seeds))}")
    if getattr(options, "resume", None) and not any(os.path.isdir(os.path.join(options.out, some)) for some in FOLDERS):
        sys.exit(f"{name}: --resume: nothing was begun in {options.out}")
    end = sys.exit
    try:
        if start().size > 1:
            end = world().abort
            if not ranks:
                raise ValueError("this experiment runs in one process: start it without mpirun")
        run(options)
    except KeyboardInterrupt:
        end(f"{name}: interrupted; what there is so far is kept in {options.out}, and the same command goes on from there")
    except (ValueError, OSError, ImportError, RuntimeError, FloatingPointError, MemoryError) as error:
        end(f"{name}: {error}")


# -------------------------------------------------------------------------------------------------------- pieces


class Pieces:
    """Finished pieces of an experiment (one model with one seed, say), kept in a folder so that a run that was ended continues.

    Parameters
    ----------
    folder : path, in which NAME.json and, for arrays, NAME.npz are kept
    settings : dict
        All that a piece depends on beside its name. A piece that was made with other settings is made anew.
    total : int, optional
        The number of pieces: a progress bar counts them.
    checkpoints : Checkpoints, optional
        In it each piece has a part, from which its trainings go on until it is kept; with ``anew`` they do not.

    ``seconds``: how long the making of all pieces took, in this run and in those before it.
    """

    def __init__(self, folder, settings, total=None, checkpoints=None, anew=False):
        self.folder, self.settings, self.seconds = os.fspath(folder), json.loads(json.dumps(settings)), 0.0
        self._checkpoints, self._anew = checkpoints, anew
        self._bar = tqdm(total=total, desc="pieces", unit="piece", disable=total is None or world().rank > 0, position=0)
        os.makedirs(self.folder, exist_ok=True)

    def __call__(self, name, make):
        """The piece of this name, from the folder or else from ``make(its Checkpoints, or None)``: a dict of numbers, texts,
        lists, dicts and, at its first level, NumPy arrays. Of several ranks all make it, and all get what rank 0 has made. A
        KeyboardInterrupt inside ``make`` keeps nothing of it; a piece that says ``interrupted`` is returned but not kept."""
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
                with open(self._path(name, "npz"), "rb") as stream, np.load(stream, allow_pickle=False) as file:
                    found["numbers"] |= {k: file[k] for k in found["arrays"]}
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            warnings.warn(f"{path}: this piece cannot be used and is made anew: {error}", stacklevel=3)
            return None
        return found

    def close(self):
        """End the progress bar."""
        self._bar.close()


def pieces(options, settings, total):
    """The Pieces of an experiment with the options of ``add_checkpoints``, whose trainings survive."""
    pieces, checkpoints = (os.path.join(options.out, folder) for folder in FOLDERS)
    return Pieces(pieces, settings, total, Checkpoints(checkpoints, on_nan=options.on_nan, settings=settings),
                  options.resume is False)


def finished(histories):
    """The History, or {level: History}, of a training that came to its end; KeyboardInterrupt where Ctrl-C ended it, for the
    models of an experiment are compared at equal budgets. (Its checkpoint stays.)"""
    if any(h.interrupted for h in (histories.values() if isinstance(histories, dict) else [histories])):
        raise KeyboardInterrupt
    return histories


class Tracker:
    """A callback that scores a model while it trains and keeps its best weights. Its own time does not count as training.

    Where the budget is in steps it should look by steps, too: then nothing that it picks depends on the clock.

    Parameters
    ----------
    model : Module with ``sample``; LDF is passed over until its whitening is there
    score : callable, model -> number, the lower the better, or a tuple of it and others, which the curve holds too. For a
        fair pick it must not look at the test set.
    times : sequence of float, how far the training is when to look, in ``unit``, "seconds" or "steps"
    """

    def __init__(self, model, score, times, unit="seconds"):
        self.model, self.score, self.times, self.unit = model, score, sorted(times), unit
        self.curve, self.best, self._weights = [], math.inf, None

    def __call__(self, history):
        elapsed = history.passed(self.unit)
        if self.times and elapsed >= self.times[0] and getattr(self.model, "ready", True):
            self.times = [t for t in self.times if t > elapsed]
            self._look(elapsed)

    def _look(self, elapsed):
        value, *others = np.atleast_1d(self.score(self.model)).tolist()
        self.curve.append([elapsed, value, *others])
        if value < self.best:
            self.best = value
            self._weights = {name: np.array(to_numpy(a)) for name, a in self.model.state_dict().items()}

    @property
    def state(self):
        """Where it stands, for a checkpoint of the training; assign it to go back to that point."""
        weights = {f"best {name}": array for name, array in (self._weights or {}).items()}
        return {"times": self.times, "curve": self.curve, "least": self.best} | weights

    @state.setter
    def state(self, state):
        self.times, self.curve, self.best = list(state["times"]), list(state["curve"]), state["least"]
        self._weights = {name[len("best "):]: a for name, a in state.items() if name.startswith("best ")} or None

    def finish(self, history):
        """Look once more, at the end, and give the model the best weights seen. Returns the curve, [[time, score], ...]."""
        self._look(history.passed(self.unit))
        if self._weights is not None:           # None where every score was NaN
            self.model.load_state_dict(self._weights)
        return self.curve


# ------------------------------------------------------------------------------------------ intervals and verdicts


def over_seeds(values, level=0.95):
    """[mean, low, high]: Student's interval of the mean over seeds; for one seed the bounds are None.

    Values that are all the same give an interval of no width, and so a verdict: what the seed does not change (the memory of a
    step) or a share at its end (all chains, in every run). That the seed has an effect at all is for other tests. Raises
    ValueError for NaN and infinity: a model without a score is left out before, and said to be.
    """
    from scipy.stats import t

    values = finite("values", numbers("values", np.asarray(values))).astype(np.float64)
    if not 0 < number("level", level) < 1:
        raise ValueError(f"level: expected a number in (0, 1), got {level}")
    if values.ndim != 1 or not len(values):
        raise ValueError(f"values: expected at least one number, one for each seed, got shape {values.shape}")
    middle = float(values.mean())
    if len(values) == 1:
        return [middle, None, None]
    half = float(t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return [middle, middle - half, middle + half]


def verdict(interval, expected, than=0.0):
    """"held" where the whole [value, low, high] lies ``expected`` ("below" or "above") ``than``, "failed" where all of it
    lies on the other side, else "undecided"; with one seed, and so without an interval, "undecided". Raises ValueError for
    NaN, of which nothing is held."""
    if not isinstance(expected, str) or expected not in ("below", "above"):
        raise ValueError(f'expected: "below" or "above", got {expected!r}')
    if not isinstance(interval, (list, tuple)) or len(interval) != 3:
        raise ValueError(f"interval: expected [value, low, high], got {interval!r:.80}")
    _, low, high = interval
    number("than", than)
    if low is None:
        return "undecided"
    if not number("interval", low) <= number("interval", high):
        raise ValueError(f"interval: expected low <= high, got {interval!r:.80}")
    if low <= than <= high:
        return "undecided"
    return "held" if (high < than) == (expected == "below") else "failed"


def print_claims(claims):
    """Print each claim with its number and verdict."""
    for entry in claims:
        print(f"{entry['verdict'].upper()}: {entry['claim']}\n    {entry['quantity']}: {cell(entry['interval'])}")


def command():
    """The command line of this program, as one would type it."""
    program = sys.argv[0]
    folder = os.path.basename(os.path.dirname(os.path.abspath(program)))
    return shlex.join(["python", f"{folder}/{os.path.basename(program)}", *sys.argv[1:]])


def save_results(options, *, title, claims, tables, figures, seconds, **more):
    """Write results.json into ``options.out``: what the report shows, and the machine, versions and settings it came from.

    claims : dicts with ``claim`` (what was tested), ``paper`` (its sentence, with the section), ``quantity`` (what value is),
        ``interval`` ([value, low, high]) and ``verdict``
    tables : {title: {"columns": names, "rows": {name: cells}}}; a cell is a number, [value, low, high] or a text
    figures : [(file in the folder, caption, alternative text), ...]
    seconds : float, the time that all of it took
    """
    line = command()
    full = []
    for entry in claims:
        value, low, high = entry["interval"]
        full.append({"claim": entry["claim"], "paper": entry["paper"], "quantity": entry["quantity"], "value": value,
                     "low": low, "high": high, "verdict": entry["verdict"], "command": line, "seconds": seconds})
    save_json(os.path.join(options.out, "results.json"),
              {"title": title, "command": line, "options": vars(options), "seconds": seconds, "claims": full, "tables": tables,
               "figures": [dict(zip(("file", "caption", "alt"), figure, strict=True)) for figure in figures],
               **more} | environment())


def conclude(options, *, claims, tables, **settings):
    """``save_results``, and print the tables, the claims, and where it all is."""
    save_results(options, claims=claims, tables=tables, **settings)
    for title, table in tables.items():
        print(f"{text_table(table, title)}\n")
    print_claims(claims)
    print(f"\nresults.json and what goes with it are in {options.out}")
