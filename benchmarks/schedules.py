"""Time to a given score on two cores, of levels that are trained one after another, together, and
asynchronously, on processes of their own.

    python benchmarks/schedules.py                      three levels, 300 steps of each
    python benchmarks/schedules.py --levels 2 --steps 600 --out out/schedules

Clips of Ms. Pac-Man of 32 x 32 pixels: with three levels patches of 16 x 16, frames and clips
(`nets.patch_ldf`), with two frames and clips (`nets.clip_ldf`). Each schedule takes as many steps
of every level. The first two run in one process with two threads, the third under mpirun, a process
for each level and the top. While it trains, each side notes its weights and the time; afterwards
the models of these moments are scored (KID of 256 whole clips to training clips, x 1000), so that
scoring takes no time of any. The given score is the worst of the three at their best.
"""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import ldf_np as ldf
from ldf_np.data import load_pacman, to_uint8
from ldf_np.experiments import cli, metrics, plots
from ldf_np.experiments.clip_experiment import clip_features
from ldf_np.experiments.report import environment, save_json
from ldf_np.models import nets
from ldf_np.models.ldf_async import fit_async
from ldf_np.runtime import distributed as parallel

SCHEDULES = "one after another", "together", "asynchronous"
SCORED, ROUNDS, BATCH = 256, 10, 32


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", type=int, choices=(2, 3), default=3,
                        help="the top counted with them (default 3)")
    parser.add_argument("--steps", type=cli.integer_from(ROUNDS), default=300,
                        help=f"of each level, a multiple of {ROUNDS} (default 300)")
    parser.add_argument("--clips", type=cli.integer_from(SCORED), default=1000,
                        help="to train on (default 1000)")
    parser.add_argument("--seed", type=cli.integer_from(0), default=0)
    parser.add_argument("--out", default="out/schedules",
                        help="folder for results.json and schedules.png (default out/schedules)")
    # what this program starts
    parser.add_argument("--train", choices=SCHEDULES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.steps % ROUNDS:
        parser.error(f"--steps: expected a multiple of {ROUNDS}, got {options.steps}")
    return options


def new_model(options, clips):
    make = nets.patch_ldf if options.levels == 3 else nets.clip_ldf
    return make(clips, seed=options.seed)


def train(options):
    """One schedule, from a start that all ranks wait for: its curve as JSON on the last line."""
    ranks = parallel.start()
    ldf.use("cpu")
    ldf.set_num_threads(2 if ranks.size == 1 else 1)
    clips = parallel.first_before_others(lambda: load_pacman(options.clips)).train
    model, notes = new_model(options, clips), []
    parts = {f"models.{k}": part for k, part in enumerate(model.models)} | {
        "whitening": model.whitening, "top": model.top}
    ranks.barrier()
    begin, every = time.perf_counter(), max(1, options.steps // ROUNDS)

    def note(history):
        if history.steps % every == 0:
            notes.append((time.perf_counter() - begin, {
                name: part.state_dict() for name, part in parts.items()
                if ranks.size == 1 or name in own}))

    if options.train == "asynchronous":
        own = [f"models.{ranks.rank}"] if ranks.rank < len(model.models) else ["whitening", "top"]
        fit_async(model, clips, steps=options.steps, top_steps=options.steps, rounds=ROUNDS,
                  codes=len(clips), batch_size=BATCH, callback=note)
    elif options.train == "together":
        model.fit(clips, schedule="together", steps=options.steps, batch_size=BATCH, callback=note)
    else:
        below = len(model.models)
        model.fit(clips, steps=options.steps * (below + 1), bottom_share=below / (below + 1),
                  batch_size=BATCH, callback=note)
    taken = time.perf_counter() - begin
    everything = [entry for root in range(ranks.size)
                  for entry in ranks.from_rank(root, lambda: notes)]
    if ranks.rank == 0:
        print(json.dumps({"seconds": taken, "curve": curve(model, parts, everything, clips)}))


def curve(model, parts, notes, clips):
    """[[seconds, score], ...] of the model at the times of the notes (seconds, {part: state}): with
    each part as it was noted last."""
    wanted, found = clip_features(clips[:SCORED]), []
    for seconds, states in sorted(notes, key=lambda entry: entry[0]):
        for name, state in states.items():
            parts[name].load_state_dict(state)
        if "top" in states and model.ready:
            made = to_uint8(model.sample(SCORED, ldf.Generator(5)))
            found.append([seconds, 1000 * metrics.kid(clip_features(made), wanted)])
    return found


def command(schedule, arguments, levels):
    """What trains by this schedule."""
    own = [sys.executable, os.path.abspath(__file__), *arguments, "--train", schedule]
    if schedule != "asynchronous":
        return own
    mpirun = shutil.which("mpirun", path=os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if mpirun is None:
        raise ValueError('mpirun was not found: in the checkout, pip install -e ".[mpi]" brings it')
    return [mpirun, "-n", str(levels), *own]


def measured(schedule, arguments, levels):
    """{"seconds", "curve"} of one schedule."""
    ended = subprocess.run(command(schedule, arguments, levels), stdout=subprocess.PIPE, text=True,
                           env=os.environ | {
                               "OMPI_ALLOW_RUN_AS_ROOT": "1",
                               "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
                               "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
                               "OMPI_MCA_mpi_yield_when_idle": "1"}, check=False)
    if ended.returncode:
        raise RuntimeError(f"{schedule}: ended with {ended.returncode}; what it said is above")
    return json.loads(ended.stdout.splitlines()[-1])


def reached(curve, score):
    """The seconds after which the score is no more than this, or None."""
    return next((seconds for seconds, value in curve if value <= score), None)


def run(options):
    if options.train:
        return train(options)
    arguments = [f"--{name}={getattr(options, name)}" for name in ("levels", "steps", "clips",
                                                                    "seed")]
    load_pacman(options.clips, progress=True)
    found = {schedule: measured(schedule, arguments, options.levels) for schedule in SCHEDULES}
    given = max(min(score for _, score in one["curve"]) for one in found.values())
    for one in found.values():
        one["seconds to the given score"] = reached(one["curve"], given)
    os.makedirs(options.out, exist_ok=True)
    save_json(os.path.join(options.out, "results.json"),
              {"options": vars(options), "given score": given, "schedules": found} | environment())
    plots.save_lines(os.path.join(options.out, "schedules.png"),
                     {name: [one["curve"]] for name, one in found.items()}, "seconds",
                     "KID of whole clips to training clips (x 1000)")
    print(f"{'schedule':20}{'seconds in all':>16}{'to a KID of ' + f'{given:.3g}':>20}"
          f"{'KID at the end':>16}")
    for name, one in found.items():
        print(f"{name:20}{one['seconds']:16.1f}{one['seconds to the given score']:20.1f}"
              f"{np.array(one['curve'])[-1, 1]:16.3g}")
    print(f"results.json and schedules.png are in {options.out}")


if __name__ == "__main__":
    cli.main(run, parse(), ranks=True)
