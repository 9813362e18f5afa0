"""Memory and time of one training step against the number of frames (the paper's "vastly reduced
memory"): four models.

    python demos/paper/memory.py                          clips of 5 to 1280 frames
    python demos/paper/memory.py --frames 5 20 80 --batch 16

    joint       one GAN over all frames as channels
    LDF bottom  ALI on single frames: as many frames in a batch as the joint model has clips,
                whatever their length
    LDF top     the dense GAN over 160 principal components of a clip's codes, the whitening of a
                batch of codes (n, t, 8, 8, 8) included
    local top   the GAN over the map of all whitened codes, with the whitening: nothing is cut off,
                so its first and last layers grow with the clip

Memory is the peak of what a step allocates beyond the model itself, and the model with its
optimisers beside it. A slope is that of log(memory) against log(frames) between two lengths: 0 does
not grow, 1 grows in proportion. Time is the median of ``--steps`` steps. The paper's claim is about
the bottom; the top must grow somewhere, and the table shows where.
"""

import os
import statistics
import time
import tracemalloc
from functools import partial

import numpy as np

import ldf_np as ldf
from ldf_np.experiments import cli, plots
from ldf_np.experiments.report import claim, conclude, described
from ldf_np.experiments.runs import CachedRuns
from ldf_np.experiments.statistics import POSITIVE, over_seeds
from ldf_np.models import baselines, nets
from ldf_np.runtime import device

COMPONENTS = 160
VASTLY = 10         # times less memory than the joint model: what counts as "vastly reduced"
FLAT, GROWING = 0.1, 0.5        # slopes: up to which memory does not grow, and from which it does


def joint(frames, batch, seed):
    """(model, a function that takes one step)."""
    model = baselines.joint_gan(frames=frames, seed=seed)
    x = ldf.Generator(seed).random((batch, 32, 32, 3 * frames)) * 2 - 1
    return model, lambda: model.step(x)


def bottom(frames, batch, seed):
    """ALI on a batch of single frames. ``frames`` is how long the clips are that they come from:
    nothing depends on it."""
    model = nets.place_ali(seed=seed)
    x = ldf.Generator(seed).random((batch, 32, 32, 3)) * 2 - 1
    return model, lambda: model.step(x)


def top(make, whiten, frames, batch, seed):
    """A GAN over whitened codes, from the codes on."""
    codes = np.random.default_rng(seed).standard_normal((batch, frames, *nets.PLACES), np.float32)
    whitening = whiten(frames, codes.shape[1:])
    whitening.basis.data[...] = 1 / np.sqrt(whitening.components)       # any will do
    gan = make(whitening.shape, seed=seed)
    return (gan, whitening), lambda: gan.step(ldf.asarray(whitening.apply(codes)))


dense_top = partial(top, nets.mlp_gan, lambda frames, shape: ldf.Whitening(shape, COMPONENTS))
local_top = partial(top, nets.local_gan, lambda frames, shape: ldf.ChannelWhitening(
    ldf.Frames(frames), shape))
MODELS = {"joint GAN": joint, "LDF bottom": bottom, "LDF top": dense_top,
          "local top": local_top}


class HostMemory:
    """What Python and NumPy allocate, in bytes."""

    def __enter__(self):
        tracemalloc.start()
        return self

    def __exit__(self, *_):
        tracemalloc.stop()

    def kept(self):
        """In use now; from here on ``peak`` counts."""
        tracemalloc.reset_peak()
        return tracemalloc.get_traced_memory()[0]

    def peak(self):
        return tracemalloc.get_traced_memory()[1]


class CardMemory:
    """What CuPy's memory pool holds, in bytes. It gives nothing back by itself, so what it holds
    after a step is its peak."""

    def __init__(self, module):
        self._pool = module.get_default_memory_pool()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._pool.free_all_blocks()

    def kept(self):
        """In use now; from here on ``peak`` counts."""
        self._pool.free_all_blocks()
        return self._pool.used_bytes()

    def peak(self):
        return self._pool.total_bytes()


def measure(make, frames, batch, steps, seed):
    """Megabytes of the model with its optimisers and of a step beside it, and seconds of a step."""
    with HostMemory() if ldf.device() == "cpu" else CardMemory(device.xp()) as memory:
        model, step = make(frames, batch, seed)
        step()                                      # what is kept from step to step is there now
        kept = memory.kept()
        step()
        peak = memory.peak()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        step()                                      # ends with its losses on the host
        times.append(time.perf_counter() - start)
    del model
    return {"frames": frames, "model_mb": kept / 1e6, "step_mb": (peak - kept) / 1e6,
            "seconds": statistics.median(times)}


def slopes(lengths, amounts):
    """Of log(amount) against log(frames), between neighbours."""
    return [float(s) for s in np.diff(np.log(amounts)) / np.diff(np.log(lengths))]


def picture(path, lengths, runs):
    """Memory and time against the number of frames, on logarithmic axes; means over seeds."""
    labels = {"step_mb": "a step, beyond\nthe model (MB)",
              "model_mb": "model, optimisers,\nbatch (MB)", "seconds": "a step (s)"}
    figure, panels = plots.subplots(1, 3, (9.5, 3.8))
    for axes, (key, label) in zip(panels, labels.items(), strict=True):
        for k, (name, rows) in enumerate(runs.items()):
            axes.loglog(lengths, [np.mean([run[key] for run in rows[t]]) for t in lengths],
                        **plots.style(k), label=name)
        axes.set(xlabel="frames in a clip", title=label)
        axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4,
                  frameon=False)
    plots.save_figure(path, figure)


def parse(arguments=None):
    parser = cli.parser(__doc__, out="out/memory", minutes=30,
                        of="begin no longer clips after this time")
    parser.add_argument("--frames", type=cli.integer_from(2), nargs="+",
                        default=[5, 20, 80, 320, 1280], help="lengths of the clips")
    parser.add_argument("--batch", type=cli.integer_from(2), default=8,
                        help="clips (bottom: frames) in a step (default 8)")
    parser.add_argument("--steps", type=cli.integer_from(1), default=3,
                        help="timed steps of each (default 3)")
    options = parser.parse_args(arguments)
    if len(options.frames) < 2 or sorted(set(options.frames)) != options.frames:
        parser.error(
            f"--frames: expected at least two growing numbers from 2, got {options.frames}")
    return options


def tables(lengths, runs):
    """A step's memory, what is kept and a step's time, by length; and the slopes of both
    memories."""
    def table(columns, cells, within=(-np.inf, np.inf)):
        return {"columns": columns, "rows": {
            name: [over_seeds(values, within=within) for values in cells(rows)]
            for name, rows in runs.items()}}

    found = {}
    for key, title in (("step_mb", "A step's memory (MB)"), ("model_mb", "What is kept (MB)"),
                       ("seconds", "A step (s)")):
        found[title] = table([f"{t} frames" for t in lengths],
                             lambda rows: ([run[key] for run in rows[t]] for t in lengths),
                             POSITIVE)
    for key, title in (("step_mb", "Slope of a step's memory"),
                       ("model_mb", "Slope of what is kept")):
        found[title] = table([f"{a} to {b} frames" for a, b in zip(lengths, lengths[1:])],
                             lambda rows: zip(*grown(lengths, rows, key)))
    return found


def grown(lengths, rows, key):
    """The slopes of each seed."""
    return [slopes(lengths, [run[key] for run in runs])
            for runs in zip(*(rows[t] for t in lengths))]


def claims(lengths, runs):
    paper = ("Vastly reduced memory consumption which allows training generative models on large "
             "objects, such as videos, where this is known to be a prohibitive limitation. "
             "(Section 1)")
    first, last = lengths[0], lengths[-1]
    used = {name: [run["step_mb"] for run in rows[last]] for name, rows in runs.items()}
    dense, local = (over_seeds([j / max(pair) for j, *pair in zip(
        used["joint GAN"], used["LDF bottom"], used[top])]) for top in ("LDF top", "local top"))
    ends = {t: runs["LDF bottom"][t] for t in (first, last)}
    overall = over_seeds([slope for slope, in grown([first, last], ends, "step_mb")])
    rises = [float(np.mean(s)) for s in zip(*grown(lengths, runs["LDF top"], "step_mb"))]
    where = next((f"between {a} and {b} frames"
                  for a, b, s in zip(lengths, lengths[1:], rises) if s > GROWING),
                 "at no length tried")
    return [claim(f"At {last} frames a step of LDF's larger level takes under 1/{VASTLY} of the "
                  "joint GAN's memory", paper,
                  "memory of a step, joint GAN over LDF's larger level (the dense top)", dense,
                  "above", VASTLY, 1),
            described(f"The same at {last} frames with the local top, which cuts nothing off the "
                      "codes", "memory of a step, joint GAN over LDF's larger level", local),
            described(f"How LDF's bottom grows with the clip (its top grows {where})",
                      f"slope of log(memory of a step) over log(frames), {first} to {last} frames; "
                      f"flat below {FLAT}", overall)]


def run(options):
    ldf.use(options.device)
    cached = CachedRuns(os.path.join(options.out, "pieces"),
                        {"batch": options.batch, "steps": options.steps, "device": ldf.device()},
                        len(options.frames) * len(MODELS) * len(options.seeds))
    start, lengths, runs = time.perf_counter(), [], {name: {} for name in MODELS}
    for frames in options.frames:
        if time.perf_counter() - start > options.minutes * 60:
            print(f"{options.minutes:g} minutes are over: clips of {frames} frames and more are "
                  "left out")
            break
        lengths.append(frames)
        for name, make in MODELS.items():
            runs[name][frames] = [
                cached(f"{name} {frames} frames seed {seed}",
                       lambda _: measure(make, frames, options.batch, options.steps, seed))
                for seed in options.seeds]
    cached.close()
    if len(lengths) < 2:
        raise ValueError(
            f"--minutes: expected time for at least two lengths, got {options.minutes:g}")
    picture(os.path.join(options.out, "memory.png"), lengths, runs)
    conclude(options, title="Memory and time of a step against the number of frames",
             claims=claims(lengths, runs), tables=tables(lengths, runs), figures=[(
                 "memory.png", "Memory and time of a training step; both axes logarithmic. LDF's "
                 "bottom should stay level while the joint GAN rises.",
                 "Three plots against the number of frames: the joint GAN, LDF's bottom and LDF's "
                 "top")],
             seconds=cached.seconds, frames=lengths, device=ldf.device(),
             trains=False)


if __name__ == "__main__":
    cli.main(run, parse())
