"""Does a long training stay as small and as fast as it began? 20,000 steps of ALI and of the GAN,
tiny ones.

    python tests/tools/soak.py                                  two minutes on one core (make soak)
    python tests/tools/soak.py --steps 5000 --json out/soak.json

After a warm-up, resident memory may grow by at most BYTES_A_STEP a step and SLACK, and the median
time of the last tenth of the steps may be at most SLOWER times that of the first. The exit status
is 1 where it is more. The suite has a short form that counts what is alive and measures no time,
tests/project/test_soak.py.
"""

import argparse
import json
import platform
import sys
from pathlib import Path

import numpy as np
import psutil
from helpers import tiny_ali

import ldf_np as ldf
from ldf_np.models import nets

WINDOWS = 20            # of which the first is the warm-up
# a History keeps 40 bytes for each loss and time; one forgotten Tensor is more than this
BYTES_A_STEP = 500
SLACK = 4 << 20         # what the allocator may take at any time
SLOWER = 1.5            # other programs on the machine make times uneven


def models(seed):
    """{name: (a tiny model, its data)}"""
    x = np.random.default_rng(seed).standard_normal((256, 4)).astype(np.float32)
    return {"ALI": (tiny_ali(seed=seed, stochastic=True, lr=1e-4, discriminator_lr=1e-4), x),
            "GAN": (nets.mlp_gan(4, latent_size=2, hidden=8, seed=seed, lr=1e-4,
                                 discriminator_lr=1e-4), x)}


def soak(model, x, steps, measure, progress=False):
    """Train for ``steps`` and call ``measure()`` at the end of each of WINDOWS windows: its values,
    and the median seconds a step of each window."""
    ends = {steps * (k + 1) // WINDOWS for k in range(WINDOWS)}
    values = []

    def at_a_step(history):
        if history.steps in ends:
            values.append(measure())

    history = model.fit(x, steps=steps, batch_size=16, progress=progress, callback=at_a_step)
    if history.interrupted:
        raise KeyboardInterrupt
    times = np.diff(history.seconds, prepend=0.0)
    return values, [float(np.median(part)) for part in np.array_split(times, WINDOWS)]


def judged(memory, seconds, steps):
    """What a soak measured, and the sentences that say what is wrong: none where all is well."""
    growth, allowed = memory[-1] - memory[0], BYTES_A_STEP * steps + SLACK
    tenth = max(1, (WINDOWS - 1) // 10)
    ratio = float(np.median(seconds[-tenth:]) / np.median(seconds[1:1 + tenth]))
    faults = []
    if growth > allowed:
        faults.append(f"memory grew by {growth / 2**20:.1f} MiB in {steps} steps, at most "
                      f"{allowed / 2**20:.1f} was expected")
    if ratio > SLOWER:
        faults.append(f"the last steps took {ratio:.2f} times as long as the first, at most "
                      f"{SLOWER} was expected")
    return {"steps": steps, "memory_bytes": memory, "growth_bytes": growth,
            "growth_allowed_bytes": allowed, "seconds_a_step": seconds, "last_by_first": ratio,
            "last_by_first_allowed": SLOWER}, faults


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=20_000,
                        help=f"of each model, at least {WINDOWS}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE",
                        help="where what was measured is written")
    options = parser.parse_args()
    if options.steps < WINDOWS:
        parser.error(f"--steps: expected at least {WINDOWS}, got {options.steps}")
    ldf.use("cpu")
    ldf.set_num_threads(1)
    result = {"seed": options.seed, "machine": platform.processor() or platform.machine(),
              "cores": psutil.cpu_count(), "python": platform.python_version(),
              "numpy": np.__version__}
    wrong = False
    for name, (model, x) in models(options.seed).items():
        values, seconds = soak(model, x, options.steps, lambda: psutil.Process().memory_info().rss,
                               sys.stderr.isatty())
        result[name], faults = judged(values, seconds, options.steps)
        print(f"{name}: {options.steps} steps, {np.median(seconds) * 1e3:.2f} ms each; memory "
              f"{values[0] / 2**20:.1f} MiB after the first {1 / WINDOWS:.0%}, "
              f"{values[-1] / 2**20:.1f} at the end; time a step, last tenth by first: "
              f"{result[name]['last_by_first']:.2f}", *faults, sep="\n  ", flush=True)
        wrong |= bool(faults)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
