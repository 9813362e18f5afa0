"""Memory and time of one training step against the number of frames (the paper's "vastly reduced memory"): three models.

    python demos/memory.py                          clips of 5 to 1280 frames
    python demos/memory.py --frames 5 20 80 --batch 16

    joint       one GAN over all frames as channels
    LDF bottom  ALI on single frames: as many frames in a batch as the joint model has clips, whatever their length
    LDF top     the GAN over whitened codes, the whitening of a batch of codes (n, t, 512) included

Memory is the peak of what a step allocates beyond the model itself, and the model with its optimisers beside it. A slope is
that of log(memory) against log(frames) between two lengths: 0 does not grow, 1 grows in proportion. Time is the median of
``--steps`` steps. The paper's claim is about the bottom; the top must grow somewhere, and the table shows where.
"""

import argparse
import os
import statistics
import sys
import time
import tracemalloc

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")      # before NumPy loads: the library runs two threads of its own

import numpy as np

import ldf_np as ldf
from ldf_np import nets
from ldf_np.files import replacing
from ldf_np.report import environment, save_json

CODE = int(np.prod(nets.CODE))
SHARED, LOCAL = 96, 64


def joint(frames, batch, seed):
    """(model, a function that takes one step)."""
    model = nets.joint_gan(frames=frames, seed=seed)
    x = ldf.Generator(seed).random((batch, 32, 32, 3 * frames)) * 2 - 1
    return model, lambda: model.step(x)


def bottom(frames, batch, seed):
    """ALI on a batch of single frames. ``frames`` is how long the clips are that they come from: nothing depends on it."""
    model = nets.small_ali(seed=seed)
    x = ldf.Generator(seed).random((batch, 32, 32, 3)) * 2 - 1
    return model, lambda: model.step(x)


def top(frames, batch, seed):
    """The GAN over whitened codes, from the codes on."""
    rng = np.random.default_rng(seed)
    whitening = ldf.SharedAndLocal((frames, *nets.CODE), SHARED, LOCAL)
    for part, components in ((whitening.shared, SHARED), (whitening.local, LOCAL)):
        part.basis.data[...] = rng.standard_normal(part.basis.data.shape, np.float32) / np.sqrt(components)
    gan = nets.mlp_gan(SHARED + LOCAL, seed=seed)
    codes = rng.standard_normal((batch, frames, *nets.CODE), np.float32)

    def step():
        gan.step(ldf.asarray(whitening.apply(codes)))

    return (gan, whitening), step


MODELS = {"joint GAN": joint, "LDF bottom": bottom, "LDF top": top}


def measure(make, frames, batch, steps, seed):
    """Megabytes of the model with its optimisers and of a step beside it, and seconds of a step."""
    tracemalloc.start()
    try:
        model, step = make(frames, batch, seed)
        step()                                      # what is kept from step to step is there now
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    del model
    return {"model_mb": kept / 1e6, "step_mb": (peak - kept) / 1e6, "seconds": statistics.median(times)}


def slopes(lengths, amounts):
    """Of log(amount) against log(frames), between neighbours."""
    return [float(s) for s in np.diff(np.log(amounts)) / np.diff(np.log(lengths))]


def picture(path, lengths, table):
    """Memory and time against the number of frames, on logarithmic axes."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6))
    for axis, key, label in zip(axes, ("step_mb", "model_mb", "seconds"),
                                ("a step, beyond the model (MB)", "model, optimisers, batch (MB)", "a step (s)"), strict=True):
        for name, rows in table.items():
            axis.loglog(lengths, [row[key] for row in rows], "o-", label=name)
        axis.set(xlabel="frames in a clip", title=label)
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[5, 20, 80, 320, 1280], help="lengths of the clips")
    parser.add_argument("--batch", type=int, default=8, help="clips (bottom: frames) in a step (default 8)")
    parser.add_argument("--steps", type=int, default=3, help="timed steps of each (default 3)")
    parser.add_argument("--minutes", type=float, default=30, help="begin no longer clips after this time (default 30)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out/memory", help="folder for what it writes (default out/memory)")
    options = parser.parse_args(arguments)
    if len(options.frames) < 2 or sorted(set(options.frames)) != options.frames or options.frames[0] < 2:
        parser.error(f"--frames: expected at least two growing numbers from 2, got {options.frames}")
    for name, least in (("batch", 2), ("steps", 1)):
        if getattr(options, name) < least:
            parser.error(f"--{name}: expected at least {least}, got {getattr(options, name)}")
    if not options.minutes > 0:
        parser.error(f"--minutes: expected a positive number, got {options.minutes}")
    return options


def run(options):
    ldf.use("cpu")          # tracemalloc sees the CPU's memory
    os.makedirs(options.out, exist_ok=True)
    start, table, lengths = time.perf_counter(), {name: [] for name in MODELS}, []
    print(f"{'frames':>7}  {'model':<11}{'kept MB':>10}{'step MB':>10}{'seconds':>10}")
    for frames in options.frames:
        if time.perf_counter() - start > options.minutes * 60:
            print(f"{options.minutes:g} minutes are over: clips of {frames} frames and more are left out")
            break
        lengths.append(frames)
        for name, make in MODELS.items():
            row = measure(make, frames, options.batch, options.steps, options.seed)
            table[name].append(row)
            print(f"{frames:>7}  {name:<11}{row['model_mb']:>10.1f}{row['step_mb']:>10.1f}{row['seconds']:>10.3f}", flush=True)
    if len(lengths) < 2:
        sys.exit("memory.py: --minutes: expected time for at least two lengths")
    grown = {name: {key: slopes(lengths, [row[key] for row in rows]) for key in ("step_mb", "model_mb")}
             for name, rows in table.items()}
    for name, rates in grown.items():
        print(f"{name}: slope of a step's memory {', '.join(f'{s:.2f}' for s in rates['step_mb'])}; "
              f"of what is kept {', '.join(f'{s:.2f}' for s in rates['model_mb'])}")
    picture(os.path.join(options.out, "memory.png"), lengths, table)
    save_json(os.path.join(options.out, "results.json"),
              {"options": vars(options), "frames": lengths, "table": table, "slopes": grown,
               "seconds": time.perf_counter() - start} | environment())
    print(f"memory.png and results.json are in {options.out}")


if __name__ == "__main__":
    try:
        run(parse())
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing is written")
    except MemoryError as error:
        sys.exit(f"memory.py: {error}; a smaller --batch or shorter --frames may fit")
