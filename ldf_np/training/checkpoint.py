"""Checkpoints: all that a training's next step depends on, in two files, from which it goes on bit
for bit.

    FOLDER/step-000000120.safetensors   the arrays: weights, running statistics, optimisers,
                                        averages, data order, losses
    FOLDER/step-000000120.json          the rest, a description of the model, and the checksum of
                                        the file above
    FOLDER/metrics.jsonl                the losses, to look at while it runs (log.py)

The JSON is written last: with it the checkpoint exists. The two newest are kept, and where one is
damaged the other serves. What has a state of its own says so: a property ``state``, a dict of
arrays and of what JSON holds, which can be assigned.
"""

import json
import math
import os
import re
import warnings
from collections import deque
from pathlib import Path

import numpy as np

from ..nn.module import Module
from ..nn.optim import Optimizer
from ..runtime.distributed import world
from ..runtime.files import checksum, load_tensors, replacing, save_tensors
from ..runtime.relations import (
    all_kept,
    has_state,
    names_of_its_own,
    not_all_damaged,
    nothing_above,
    of_format,
    same_data,
    same_run,
    unaltered,
)
from ..runtime.rules import checked
from .batches import Batches
from .log import NAME, Records
from .loop import History

FORMAT = 2          # 1: of version 0.1, whose models had other names for their optimisers
OLD_OPTIMIZERS = {"_maker": "generator_optimizer", "_autoencoder": "generator_optimizer",
                  "_critic": "discriminator_optimizer", "_adam": "optimizer"}
KEPT = 2            # checkpoints in a folder
BELOW = "level {} below it"     # among the settings of what stands on others: their fingerprints
HALVINGS = 5        # of the learning rates, before a training that backs off gives up
# a checkpoint, and what is left of one that was being written
_OURS = re.compile(r"(\.)?step-[0-9]{9}\.(json|safetensors)(?(1)-.*)")
_FILE = re.compile(r"step-([0-9]{9})\.json")


class Checkpoints:
    """Where and how often trainings keep their state.

    Parameters
    ----------
    folder : path
        Of one training, whose checkpoints it then continues. A model of several levels has a folder
        in it for each.
    every : float
        Seconds of training between two checkpoints. There is one at its start and one at its end
        besides.
    each : int, optional
        Besides, there is one after each so many steps.
    on_nan : "stop" raises an error; "back-off" goes back to the last checkpoint and halves the
        learning rates, at most HALVINGS times. (What it then learns depends on when checkpoints
        were written, so on the clock.)
    settings : dict, optional
        Of plain values: what else the training depends on. A checkpoint with other settings is
        refused.
    also : dict, optional
        {name: thing with a ``state``} that belong to the training beside what it names itself: a
        callback, say.
    """

    @checked()
    def __init__(self, folder, *, every=60.0, each=None, on_nan="stop", settings=None, also=None):
        self.folder, self.every, self.each, self.on_nan = os.fspath(folder), every, each, on_nan
        self.settings, self.also = _plain(settings or {}), dict(also or {})
        for name, thing in self.also.items():
            has_state(f"Checkpoints: also: {name}", thing, _parts({name: thing})[0])
        self.under = []         # the names of trainings that stand on this one as it is

    def inside(self, name, after=(), each=None, **settings):
        """The Checkpoints of a part, in a folder of its own and with more ``settings``; it holds
        only on top of the models ``after`` as they are now."""
        below = {BELOW.format(k): _fingerprint(model) for k, model in enumerate(after)}
        return Checkpoints(os.path.join(self.folder, name), every=self.every,
                           each=each or self.each, on_nan=self.on_nan,
                           settings=self.settings | below | settings, also=self.also)

    def standing_on(self, k):
        """The names of the parts that hold only on top of model number k of those below them."""
        def found():
            return sorted(path.parent.name for path in Path(self.folder).glob("*/step-*.json")
                          if BELOW.format(k) in _settings_in(path))

        return list(dict.fromkeys(world().from_first(found)))

    def begin(self, history, **state):
        """A CheckpointWriter of a training: it has gone on from the newest whole checkpoint, or
        else written the first.

        Raises ValueError where a checkpoint is of something else or none is whole, OSError where
        none can be written.
        """
        state = {"history": history} | state
        names_of_its_own("Checkpoints: also", self.also, state)
        writer = CheckpointWriter(self, state | self.also, history)
        try:
            if not writer.restore():
                writer.write(first=True)
            writer.start_log()
        except OSError as error:
            raise OSError(f"{self.folder}: checkpoints cannot be written there: "
                          f"{error.strerror or error}") from error
        return writer

    def once(self, make, **state):
        """``make()``, which changes the things in ``state``; or, where it has been made before,
        those as they were then."""
        writer = CheckpointWriter(self, state, History())
        if not writer.restore():
            make()
            writer.write(first=True)

    def discard(self):
        """Remove all checkpoints, those of the parts too, and the folders that are empty then. The
        logs of losses stay."""
        world().barrier()
        gone = set()
        walk = os.walk(self.folder, topdown=False) if world().rank == 0 else ()
        for folder, below, names in walk:
            ours = [os.path.join(folder, name) for name in names if _OURS.fullmatch(name)]
            for path in ours:
                os.unlink(path)
            emptied = ours or not gone.isdisjoint(os.path.join(folder, name) for name in below)
            if emptied and not os.listdir(folder):
                os.rmdir(folder)
                gone.add(folder)


class CheckpointWriter:
    """Writes the state of one training and brings it back; ``Checkpoints.begin`` makes it."""

    def __init__(self, checkpoints, state, history):
        self._of, self._history, self.log = checkpoints, history, None
        self._parts, self._models = _parts(state)
        self._settings = checkpoints.settings | {
            name: f"{part.size} of {len(part.data)} samples"
            for name, part in self._batches()}
        self._again = False
        self._written = self._seconds = None        # the step and the time of the last checkpoint

    def _batches(self):
        return [(n, part) for n, part in self._parts.items() if isinstance(part, Batches)]

    @property
    def _step(self):
        return self._history.steps

    def may_go_on(self):
        """ValueError where the training has steps to take and others stand on it as it is; but for
        steps that are taken again, because their checkpoint is damaged."""
        if not self._again:
            nothing_above(self._of.folder, self._step, self._of.under)

    def after_step(self):
        """Log the losses, and write a checkpoint where one is due."""
        if self.log is not None:
            self.log.after_step()
        each = self._of.each or math.inf
        if self._history.spent - self._seconds >= self._of.every or self._step % each == 0:
            self.write()

    def start_log(self):
        """Begin the log of the losses, or continue it."""
        if world().rank == 0:
            self.log = Records(os.path.join(self._of.folder, NAME), self._history)

    def write(self, first=False):
        """Write a checkpoint. Where that fails, the one before stays and a warning says so; at the
        ``first`` it is an error."""
        if self._written == self._step:
            return
        try:
            if world().rank == 0:
                self._write()
            self._written = self._step
        except OSError as error:
            if first:
                raise
            warnings.warn(f"{self._of.folder}: the checkpoint of step {self._step} cannot be "
                          f"written: {error.strerror or error}; the training goes on, and that of "
                          f"step {self._written} stays", RuntimeWarning, stacklevel=2)
        self._seconds = self._history.spent

    def _write(self):
        arrays, plain = self._state()
        path = self._path(self._step)
        found = {"format": FORMAT, "step": self._step, "settings": self._settings,
                 "data": {name: part.sample() for name, part in self._batches()},
                 "model": self._description(arrays), "plain": plain,
                 "tensors": save_tensors(f"{path}.safetensors", arrays)}
        with replacing(f"{path}.json") as temporary, open(temporary, "w", encoding="utf-8") as file:
            json.dump(found | {"checksum": _signature(found)}, file)
        stay = {f"{os.path.basename(self._path(step))}.{end}"
                for step in [s for s in self._steps() if s <= self._step][:KEPT]
                for end in ("json", "safetensors")}
        for name in os.listdir(self._of.folder):
            if _OURS.fullmatch(name) and name not in stay:      # older, damaged, or half-written
                os.unlink(os.path.join(self._of.folder, name))

    def restore(self):
        """Take over the newest whole checkpoint; False where there is none at all."""
        newest = world().from_first(self._newest)
        if newest is None:
            return False
        step, plain, arrays, self._again = newest
        for name, part in self._parts.items():
            own = f"{name}/"
            part.state = plain.get(name, {}) | {key.removeprefix(own): array
                                                for key, array in arrays.items()
                                                if key.startswith(own)}
        self._written, self._seconds = step, self._history.spent
        return True

    def _newest(self):
        """The newest whole checkpoint: (step, plain, arrays, whether a newer one is damaged), or
        None where there is none at all."""
        damaged = []
        for step in self._steps():
            try:
                found, arrays = self._read(step)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                damaged.append((step, error))
                continue
            self._check(step, found, arrays)
            if damaged:
                newest, error = damaged[0]
                warnings.warn(f"{self._of.folder}: the training goes on from step {step}, and "
                              f"{newest - step} steps are lost, for the checkpoint of step "
                              f"{newest} cannot be used: {error}", RuntimeWarning, stacklevel=6)
            return step, found["plain"], arrays, bool(damaged)
        not_all_damaged(self._of.folder, damaged)
        return None

    def back_off(self, wrong):
        """Go back to the last checkpoint with half the learning rates; False where it must not, or
        that did not help."""
        optimizers = [part for part in self._parts.values() if isinstance(part, Optimizer)]
        scales = [float(optimizer.scale[0]) / 2 for optimizer in optimizers]
        if self._of.on_nan == "stop" or not scales or min(scales) < 2.0 ** -HALVINGS:
            return False
        self.restore()
        for optimizer, scale in zip(optimizers, scales):
            optimizer.scale[...] = scale
        self.start_log()
        warnings.warn(f"{wrong}; the training goes back to step {self._step}, with the learning "
                      f"rates times {scales[0]:g}", RuntimeWarning, stacklevel=3)
        return True

    def _path(self, step):
        return os.path.join(self._of.folder, f"step-{step:09d}")

    def _steps(self):
        """Of the checkpoints in the folder, newest first."""
        names = os.listdir(self._of.folder) if os.path.isdir(self._of.folder) else []
        return sorted((int(match[1]) for match in map(_FILE.fullmatch, names) if match),
                      reverse=True)

    def _state(self):
        arrays, plain = {}, {}
        for name, part in self._parts.items():
            for key, value in part.state.items():
                if isinstance(value, np.ndarray):
                    arrays[f"{name}/{key}"] = value
                else:
                    plain.setdefault(name, {})[key] = value
        return arrays, {name: _plain(some, f"the state of {name}") for name, some in plain.items()}

    def _description(self, arrays):
        """{name: class, or dtype and shape} of all modules and of the arrays in them and their
        optimisers."""
        classes = {f"{root}.{name}".rstrip("."): type(module).__name__
                   for root, model in self._models.items()
                   for name, module in model.named_modules()}
        return classes | {name: f"{array.dtype} {list(array.shape)}"
                          for name, array in arrays.items()
                          if name.startswith(tuple(self._models))}

    def _read(self, step):
        with open(f"{self._path(step)}.json", encoding="utf-8") as file:
            found = json.load(file)
        unaltered(file.name, found.pop("checksum"), _signature(found))
        if found["format"] not in (1, FORMAT):
            return found, {}
        arrays = load_tensors(f"{self._path(step)}.safetensors", found["tensors"])[0]
        return (found, arrays) if found["format"] == FORMAT else _from_format_1(found, arrays)

    def _check(self, step, found, arrays):
        """Raise ValueError where a whole checkpoint is of another format, training or model."""
        where = f"{self._path(step)}.json"
        of_format(where, found["format"], FORMAT)
        same_run(where, "training", found["settings"], self._settings)
        own, plain = self._state()
        same_run(where, "model", found["model"], self._description(own))
        names = [{*some, *(key.partition("/")[0] for key in tensors)}
                 for some, tensors in ((found["plain"], arrays), (plain, own))]
        all_kept(where, *names)
        for name, part in self._batches():
            new = part.sample()
            old = found.get("data", {}).get(name) or new        # version 0.1 kept no sample
            same_data(f"{where}: {name}", old, new)


def _plain(settings, what="settings"):
    """The settings as JSON gives them back, NumPy's numbers and arrays as Python's."""
    found = {}
    for key, value in settings.items():
        try:
            found[str(key)] = json.loads(json.dumps(value, default=lambda v: v.tolist()))
        except (AttributeError, TypeError, ValueError) as error:
            raise TypeError(f"Checkpoints: {what}: {key}: expected plain values (numbers, texts, "
                            f"lists, dicts), got {value!r:.80}") from error
    return found


def _from_format_1(found, arrays):
    """A checkpoint of version 0.1 with the names that optimisers have now."""
    def renamed(items):
        return {".".join(f"{OLD_OPTIMIZERS.get(part, part)}{slash}{rest}" for part, slash, rest in (
            part.partition("/") for part in name.split("."))): value
                for name, value in items.items()}

    return found | {"format": FORMAT, "model": renamed(found["model"]),
                    "plain": renamed(found["plain"])}, renamed(arrays)


class _Weights:
    """A Module's parameters and buffers as a ``state``."""

    def __init__(self, module):
        self._module = module

    @property
    def state(self):
        return self._module.state_dict()

    @state.setter
    def state(self, state):
        self._module.load_state_dict(state)


def _parts(state):
    """{name: everything with a ``state`` in these things}, each once, and {name: the modules among
    the things}."""
    found, models, seen = {}, {}, set()

    def visit(name, thing, in_module=False):
        if id(thing) in seen:
            return
        seen.add(id(thing))
        if isinstance(thing, Module) and not in_module:
            models[name], found[name] = thing, _Weights(thing)
        if hasattr(type(thing), "state"):
            found[name if name not in found else f"{name}.own"] = thing
        below = dict(enumerate(thing)) if isinstance(thing, (list, tuple, deque)) else (
            thing if isinstance(thing, dict) else
            vars(thing) if isinstance(thing, (Module, Optimizer, Batches)) else {})
        for key, value in below.items():
            visit(f"{name}.{key}", value, in_module or isinstance(thing, Module))

    for name, thing in state.items():
        visit(name, thing)
    return found, models


def _settings_in(path):
    """The settings in a checkpoint; none where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _fingerprint(model):
    """A checksum of a model's weights."""
    return checksum(b"".join(array.tobytes() for array in model.state_dict().values()))


def _signature(found):
    return checksum(json.dumps(found, sort_keys=True).encode())
