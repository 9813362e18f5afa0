"""The losses of a training as it runs: a file of JSON lines that other programs may read
meanwhile."""

import json
import math
import os
import warnings
from types import SimpleNamespace

import numpy as np

from ..runtime.files import replacing

EVERY = 10      # steps in a record
NAME = "metrics.jsonl"
LOSSES = {"D": "discriminator (near 1.39 it cannot tell real from made)", "G": "generator",
          "GE": "generator and encoder", "rec_h": "squared error through h",
          "rec_z": "squared error through z"}
_said = set()


def in_words(loss):
    """What a loss is called in a picture: "level 0 D" is "level 0 discriminator ..."."""
    *where, name = loss.split()
    return " ".join([*where, LOSSES.get(name, name)])


def say_once(losses, write):
    """``write`` what the names of these losses mean, of those of which this program has not."""
    names = {name.split()[-1] for name in losses}
    new = [name for name in LOSSES if name in names - _said]
    _said.update(new)
    if new:
        write("losses: " + ", ".join(f"{name}: {LOSSES[name]}" for name in new))


class Records:
    """A log of a History, a line for each EVERY steps: {"step": n, "seconds": s, "losses": {name:
    mean over those steps}}.

    What the history holds is written at once, whatever the file held, so that a training that goes
    on has each record once.
    """

    def __init__(self, path, history):
        self._path, self._history, self._ended = path, history, False
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.writelines(map(self._line, range(EVERY, history.steps + 1, EVERY)))

    def after_step(self):
        """Write a record where one is due; it can be read at once."""
        if self._ended or self._history.steps % EVERY:
            return
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(self._line(self._history.steps))
        except OSError as error:
            self._ended = True          # a record after half a record could not be read
            warnings.warn(f"{self._path}: the log of the losses ends here: "
                          f"{error.strerror or error}", RuntimeWarning, stacklevel=3)

    def _line(self, step):
        parts = {name: [x for x in values[step - EVERY:step] if not math.isnan(x)]
                 for name, values in self._history.losses.items()}
        losses = {name: float(np.mean(values)) for name, values in parts.items() if values}
        return json.dumps({"step": step, "seconds": round(self._history.seconds[step - 1], 3),
                           "losses": losses}) + "\n"


def read_records(path):
    """The records of a log: ``losses`` {name: numbers}, ``seconds`` and ``step``, lists of one
    length, and the last step as ``steps``. A last line that is still being written is left out.
    Raises ValueError naming a line that is no record."""
    with open(os.fspath(path), encoding="utf-8", errors="replace") as file:
        *lines, _ = file.read().split("\n")
    found = SimpleNamespace(losses={}, seconds=[], step=[], steps=0)
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            found.steps = int(record["step"])
            found.step.append(found.steps)
            found.seconds.append(float(record["seconds"]))
            for name, value in record["losses"].items():
                found.losses.setdefault(name, []).append(float(value))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{os.fspath(path)}: line {number}: expected a record of losses, got "
                             f"{line[:60]!r}") from error
    return found
