"""How training scales over processes: measured with 1 and 2 here, and from what was measured a
model for up to 1024.

    python benchmarks/scaling.py [--ranks 1 2] [--steps 15] [--out out/scaling]

Measured: a step of the bottom (ALI, 32 x 32 frames) and of the top (a GAN over codes) at one global
batch, and of both with such a batch on each rank, every rank on one thread; for each step what the
ranks give each other, in calls, bytes and seconds; and the bytes of codes where the levels are
trained asynchronously. All numbers of ranks take their steps in turns, in one run, for what a
machine manages drifts over minutes: while fewer take theirs the others sleep.

The model: a step on one process takes a part that is there for any batch and a part that grows with
it; a line is laid through the batch, half and a quarter of it. The ranks divide the second part
(or, with a batch of that size on each, neither), and to that come the exchanges. A ring's Allreduce
of b bytes takes 2 (R-1)/R b / bandwidth + 2 (R-1) latency, a tree's 2 ceil(log2 R) (latency + b /
bandwidth): the gradients go through the ring, everything small through one or the other. It leaves
out that ranks wait for the slowest, and that the links between some are slower than between others.
"""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

import ldf_np as ldf
from ldf_np.experiments import cli, plots
from ldf_np.experiments.report import save_json
from ldf_np.models import nets
from ldf_np.models.ldf_async import fit_async
from ldf_np.runtime import distributed as parallel

RANKS = [2 ** k for k in range(11)]
WARM_UP = 2
BOTTOM, TOP, EACH, TOP_EACH = "bottom", "top", "bottom, a batch each", "top, a batch each"
# of the batch, on one process: the line through them says what a batch of none would take
PARTS = (1, 2, 4)
# asynchronous levels: the codes of so many clips after so many steps of the bottom
EVERY, CLIPS = 250, 1024


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=cli.integer_from(1), nargs="+", default=[1, 2],
                        help="to measure (default 1 2)")
    parser.add_argument("--steps", type=cli.integer_from(1), default=15,
                        help="timed steps of each (default 15)")
    parser.add_argument("--batch", type=cli.integer_from(2), default=64,
                        help="of all ranks together (default 64)")
    parser.add_argument("--latency", type=cli.positive_float, default=5e-6,
                        help="seconds, for the model (default 5e-6)")
    parser.add_argument("--bandwidth", type=cli.positive_float, default=10e9,
                        help="bytes a second (default 10e9)")
    parser.add_argument("--out", default="out/scaling",
                        help="folder for results.json and scaling.png (default out/scaling)")
    # what mpirun starts
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if 1 not in options.ranks:
        parser.error(f"--ranks: expected 1 among them, to compare with, got {options.ranks}")
    return options


# ----------------------------------------------------------------------------------------- measure

def measure(options):
    """What one of the most ranks does; the first prints what was measured as JSON."""
    ranks = parallel.start()
    ldf.use("cpu")
    ldf.set_num_threads(1)
    rng, batch = np.random.default_rng(0), options.batch
    frames = rng.uniform(-1, 1, (batch, 32, 32, 3)).astype(np.float32)
    codes = rng.standard_normal((batch, 160)).astype(np.float32)
    jobs = []           # (of so many ranks, what, the World, its steps, their seconds)
    for count in options.ranks:
        group = ranks.split(ranks.rank < count)
        with parallel.within(group):
            bottom, top = nets.small_ali(), nets.mlp_gan(160)
            own = parallel.shard(batch) if ranks.rank < count else slice(0)
        for name, model, data in ((BOTTOM, bottom, frames[own]), (TOP, top, codes[own]),
                                  (EACH, bottom, frames), (TOP_EACH, top, codes)):
            jobs.append((count, name, group, partial(model.step, data), []))
        if count == 1:
            jobs += [(1, part, group, partial(bottom.step, frames[:batch // part]), [])
                     for part in PARTS[1:]]
    found = in_turns(jobs, ranks, options.steps)
    if ranks.size > 1:
        found[ranks.size]["codes"] = bytes_of_codes()
        found[ranks.size]["allreduce"] = {size: allreduce(ranks, size)
                                          for size in (64, 2 ** 16, 2 ** 22)}
    if ranks.rank == 0:
        print(json.dumps(found))


def in_turns(jobs, ranks, steps):
    """{ranks: {what: the median and the least seconds of a step, and what it gives the others}}."""
    exchanged = [{} for _ in jobs]
    for k in range(WARM_UP + steps):
        for (count, _, group, step, times), sums in zip(jobs, exchanged):
            sleep_until_all_are_here(ranks)
            if ranks.rank < count:
                with parallel.within(group):
                    # untimed: it finds its numbers in no cache, and another core perhaps asleep
                    step()
                    group.log.clear()
                    group.barrier()
                    start = time.perf_counter()
                    step()
                if k >= WARM_UP:
                    times.append(time.perf_counter() - start)
                    for what, entry in group.log.items():
                        before = sums.get(what, (0, 0, 0))
                        sums[what] = [a + b / steps for a, b in zip(before, entry)]
    found = {}
    for (count, name, _, _, times), sums in zip(jobs, exchanged):
        if times:
            found.setdefault(count, {})[name] = {"seconds": statistics.median(times),
                                                 "least": min(times), "exchanged": sums}
    return found


def sleep_until_all_are_here(ranks):
    """A barrier at which nobody uses a core, as MPI's own does."""
    if ranks.size > 1:
        from mpi4py import MPI

        request = MPI.COMM_WORLD.Ibarrier()
        while not request.Test():
            time.sleep(0.0005)


def allreduce(ranks, size):
    """The median seconds of an Allreduce of ``size`` bytes."""
    numbers, times = np.ones(size // 4, np.float32), []
    for _ in range(20):
        start = time.perf_counter()
        ranks.sum(numbers)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def bytes_of_codes():
    """Bytes a clip that the bottom's rank gives the top's."""
    clips = np.random.default_rng(0).integers(0, 256, (256, 5, 32, 32, 3), dtype=np.uint8)
    ranks = parallel.world()
    ranks.log.clear()
    fit_async(nets.clip_ldf(clips), clips, steps=2, top_steps=2, rounds=1, codes=256,
              top_ranks=ranks.size // 2)
    return ranks.from_first(lambda: ranks.log["codes"][1]) / 256


def measured(options):
    """{ranks: {what: ...}}: what ``measure`` printed, in processes of its own."""
    place = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    mpirun = shutil.which("mpirun", path=place)
    if mpirun is None:
        sys.exit('scaling.py: mpirun was not found: pip install -e ".[mpi]", in the checkout, '
                 "brings it")
    # in a container, often
    settings = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    ended = subprocess.run(
        [mpirun, "-n", str(max(options.ranks)), sys.executable, __file__, "--measure", "--steps",
         str(options.steps), "--batch", str(options.batch), "--ranks", *map(str, options.ranks)],
        env=os.environ | settings, stdout=subprocess.PIPE, text=True)
    if ended.returncode:
        sys.exit(f"scaling.py: {max(options.ranks)} ranks ended with {ended.returncode} (their "
                 "words are above)")
    return {int(count): each for count, each in json.loads(ended.stdout).items()}


# ------------------------------------------------------------------------------------------- model

def ring(size, ranks, latency, bandwidth):
    """Seconds of an Allreduce of ``size`` bytes around a ring."""
    return 2 * (ranks - 1) / ranks * size / bandwidth + 2 * (ranks - 1) * latency


def tree(size, ranks, latency, bandwidth):
    """The same up and down a binary tree."""
    return 2 * math.ceil(math.log2(ranks)) * (latency + size / bandwidth)


def exchanges(exchanged, small, ranks, latency, bandwidth):
    """Seconds that a step's exchanges take: gradients around the ring, everything else by
    ``small``."""
    total = 0.0
    for what, (calls, size, _) in exchanged.items():
        one = ring if what == "gradients" else small
        total += calls * one(size / calls, ranks, latency, bandwidth)
    return total


def line(alone, batch):
    """(seconds of any step, seconds more for each sample) of the bottom on one process, from whole
    and smaller batches."""
    seconds = [alone[BOTTOM if part == 1 else str(part)]["seconds"] for part in PARTS]
    slope, start = np.polyfit([batch // part for part in PARTS], seconds, 1)
    return float(start), float(slope)


def modelled(start, slope, exchanged, options):
    """{title: [[ranks, efficiency], ...]} of a step that takes ``start + slope * samples`` seconds
    on one."""
    curves = {}
    for title, each in ((f"batch {options.batch} in all", False),
                        (f"batch {options.batch} a rank", True)):
        for small in (ring, tree):
            points = []
            for ranks in RANKS:
                taken = 0.0 if ranks == 1 else exchanges(exchanged, small, ranks,
                                                         options.latency, options.bandwidth)
                parts = 1 if each else ranks        # of the batch: a rank takes one
                alone = start + slope * options.batch
                points.append([ranks, alone / (start + slope * options.batch / parts + taken)
                               / parts])
            curves[f"{title}, small sums by {small.__name__}"] = points
    return curves


def draw(path, curves, real, assumptions):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.subplots()
    for k, (title, points) in enumerate(curves.items()):
        axes.plot(*zip(*points), "o-" if k < 2 else "s--", color=f"C{k % 2}", linewidth=1,
                  markersize=3, label=title)
    for mark, (name, points) in zip("*d", real.items()):
        axes.plot(*zip(*points), f"k{mark}", markersize=8, label=f"measured here: {name}")
    axes.set(xscale="log", xlabel="ranks", ylabel="efficiency", ylim=(0, 1.05), xticks=RANKS,
             xticklabels=RANKS)
    axes.set_title(assumptions, fontsize=8)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    plots.save_figure(path, figure)


# ------------------------------------------------------------------------------------------ report

def main():
    options = parse()
    if options.measure:
        return measure(options)
    before = os.getloadavg()[0]
    found = measured(options)
    most = max(options.ranks)
    real, best = ({count: {name: found[1][name][which] / each[name][which]
                           * (count if name in (EACH, TOP_EACH) else 1)
                           for name in (BOTTOM, TOP, EACH, TOP_EACH)}
                   for count, each in found.items()}
                  for which in ("seconds", "least"))
    print(f"load of the machine before it began: {before:.1f} on {os.cpu_count()} cores; batch "
          f"{options.batch} in all")
    for count, each in found.items():
        for name in real[count]:
            print(f"{count} ranks, {name:20}: {1e3 * each[name]['seconds']:8.1f} ms a step, "
                  f"speed-up {real[count][name]:.2f}; fastest step "
                  f"{1e3 * each[name]['least']:.1f} ms, {best[count][name]:.2f}")
    result = {"measured": found, "speed_up": real, "speed_up_of_the_fastest": best, "load": before,
              "options": vars(options)}
    if most > 1:
        result |= report(found, most, real, options)
    save_json(os.path.join(options.out, "results.json"), result)
    print(f"results.json is in {options.out}")


def report(found, most, real, options):
    """Print what is exchanged, and draw the model; returns both."""
    for name in (BOTTOM, TOP):
        for what, (calls, size, seconds) in found[most][name]["exchanged"].items():
            print(f"  {name} step, {what:10} {calls:5.0f} calls {size:12,.0f} bytes "
                  f"{1e3 * seconds:8.2f} ms, with waiting")
    together = sum(size for name in (BOTTOM, TOP)
                   for _, size, _ in found[most][name]["exchanged"].values())
    asynchronous = found[most]["codes"] * CLIPS / EVERY
    print(f"a step of both levels, data-parallel: {together:,.0f} bytes from each rank; "
          f"asynchronous levels, codes of {CLIPS} clips every {EVERY} steps: "
          f"{asynchronous:,.0f} bytes, {together / asynchronous:,.0f} times fewer")
    for size, seconds in found[most]["allreduce"].items():
        print(f"Allreduce of {int(size):,} bytes here: {1e6 * seconds:,.0f} microseconds")
    start, slope = line(found[1], options.batch)
    curves = modelled(start, slope, found[most][BOTTOM]["exchanged"], options)
    assumptions = (f"Bottom step of {1e3 * start:.0f} ms + {1e3 * slope:.2f} ms a sample; latency "
                   f"{1e6 * options.latency:g} us, bandwidth {options.bandwidth / 1e9:g} GB/s;\n"
                   "ring: 2 (R-1)/R b/bandwidth + 2 (R-1) latency; "
                   "no waiting for slower ranks, all links alike")
    print(f"Model: {assumptions}".replace("\n", " "))
    for title, points in curves.items():
        print(f"  {title:45} " + " ".join(f"{ranks}: {value:.2f}"
                                          for ranks, value in points if ranks >= 8))
    draw(os.path.join(options.out, "scaling.png"), curves,
         {name: [(count, each[name] / count) for count, each in real.items()]
          for name in (BOTTOM, EACH)}, assumptions)
    return {"bytes": {"together": together, "asynchronous": asynchronous}, "model": curves,
            "assumptions": assumptions}


if __name__ == "__main__":
    main()
