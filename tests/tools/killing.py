"""Trains a tiny LDF in child processes that it kills with SIGKILL at random moments, each next one
going on from what is there.

    python tests/tools/killing.py FOLDER KILLS [LEFT_OUT]

Prints as JSON: how many ``kills`` there were, how many of them hit a checkpoint ``in_write``, how
many children ``resumed``, how many trainings ``finished``, and how many of those were ``equal``, to
the last bit and record, to one that was not killed. Every write is slow, so that kills land in it.
LEFT_OUT names a part of the state that checkpoints then lack, to see whether that is noticed.
"""

import json
import mmap
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import scipy.linalg  # noqa: F401 (once, before children are made)
from helpers import tiny_ali

import ldf_np as ldf
from ldf_np.models import nets
from ldf_np.models.factors import Frames
from ldf_np.models.ldf import LDF, Level
from ldf_np.models.whitening import Whitening
from ldf_np.runtime import files
from ldf_np.training import checkpoint
from ldf_np.training.checkpoint import Checkpoints

WRITING, RESUMED = 0, 1
# shared with the children: whether one writes now, and whether it has gone on from a step
marks = mmap.mmap(-1, 2)


def instrument(left_out):
    """Make writes slow and visible, and checkpoints lack a part."""
    replace, write = os.replace, checkpoint.CheckpointWriter._write
    restore, parts = checkpoint.CheckpointWriter.restore, checkpoint._parts

    def slow(function):
        def later(*args):
            time.sleep(0.001)
            function(*args)
            time.sleep(0.001)
        return later

    def marked(writer):
        marks[WRITING] = 1
        write(writer)
        marks[WRITING] = 0

    def seen(writer):
        found = restore(writer)
        marks[RESUMED] |= writer._step > 0
        return found

    # What is killed is the process, not the machine: the disk itself need not be waited for.
    files.os.fsync, files.os.replace = slow(lambda handle: None), slow(replace)
    checkpoint.CheckpointWriter._write, checkpoint.CheckpointWriter.restore = marked, seen
    checkpoint._parts = lambda state: ({k: v for k, v in parts(state)[0].items() if k != left_out},
                                       parts(state)[1])


def training(folder, every):
    """Train in a folder, and write all that has to be equal into it."""
    ldf.use("cpu")
    clips = np.random.default_rng(0).standard_normal((40, 4, 6)).astype(np.float32)
    bottom = tiny_ali(6, hidden=5, stochastic=True, final_lr=0.1)
    model = LDF([Level(bottom, Frames(4))], nets.mlp_gan(7, latent_size=3, hidden=8, seed=10),
                Whitening((4, 5), 7))
    histories = model.fit(clips, steps=50, bottom_share=0.5, batch_size=16,
                          checkpoints=Checkpoints(folder, every=every))
    found = model.state_dict() | {f"{name} {k}": v for name, history in histories.items()
                                  for k, v in history.losses.items()}
    for k, adam in enumerate((bottom.discriminator_optimizer, bottom.generator_optimizer,
                              model.top.discriminator_optimizer, model.top.generator_optimizer)):
        found |= {f"Adam {k} {name}": array for name, array in adam.state.items()}
    logs = [[{k: v for k, v in json.loads(line).items() if k != "seconds"}
             for line in path.read_text().splitlines()]
            for path in sorted(folder.glob("*/metrics.jsonl"))]
    with files.replacing(folder / "final.npz") as temporary:
        np.savez(temporary, logs=json.dumps(logs), **found)


def child(folder, every, limit=None):
    """A training in a process of its own, killed after ``limit`` seconds; whether it came to its
    end."""
    pid = os.fork()
    if pid == 0:
        try:
            training(folder, every)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    if limit is not None:
        time.sleep(limit)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return False
    if os.WEXITSTATUS(status):
        sys.exit("a training failed")
    return True


def same(a, b):
    with np.load(a / "final.npz") as one, np.load(b / "final.npz") as other:
        return (set(one.files) == set(other.files)
                and all(np.array_equal(one[k], other[k]) for k in one.files))


def main(folder, kills, left_out=None):
    folder, rng = Path(folder), random.Random(0)
    seen = dict.fromkeys(("kills", "in_write", "resumed", "finished", "equal"), 0)
    instrument(left_out)
    start = time.perf_counter()
    child(folder / "whole", 0)
    whole = time.perf_counter() - start
    while True:
        run = folder / f"run {seen['finished']}"
        marks[WRITING] = marks[RESUMED] = 0
        enough = seen["kills"] >= int(kills) and seen["in_write"] >= 3 and seen["resumed"] >= 3
        done = child(run, rng.choice([0, 0, 0.02, 0.1]),
                     None if enough else rng.uniform(0, whole / 2))
        seen["kills"] += not done
        seen["in_write"] += not done and marks[WRITING]
        seen["resumed"] += marks[RESUMED]
        if done:
            seen["finished"] += 1
            seen["equal"] += same(run, folder / "whole")
            if enough:
                break
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
