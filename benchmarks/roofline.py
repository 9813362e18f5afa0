"""How far each operation of a training step is from what the machine can do: its arithmetic and the
bytes it must move against the speeds of a large product and of a sum of large arrays, measured
first. One thread, float32.

    python benchmarks/roofline.py [--model bottom] [--batch 64] [--steps 10] [--out FOLDER]

An operation's roof is the time that its arithmetic takes at the product's speed, or that its
arguments and its result take at the sum's, whichever is longer. Of a convolution the arithmetic is
that of its definition: where a lowering needs less (kernels/lowering.py) the share can exceed 100%.
What lies in a cache from the operation before moves faster than the sum's arrays, so elementwise
operations can exceed it, too. roofline.png shows the shares, widths in proportion to the time.
"""

import argparse
import math
import os
import statistics
import sys
import time
import types
from collections import defaultdict

import numpy as np
from step import MODELS, example

import ldf_np as ldf
from ldf_np.experiments import plots
from ldf_np.experiments.report import save_json
from ldf_np.kernels import norm, optim
from ldf_np.runtime.threads import one_blas_thread

SIZE, LONG = 1024, 1 << 24      # of the product's matrices, and of the sum's arrays


def median_seconds(function, times):
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def peaks():
    """FLOP a second of a large product, and bytes a second of a sum of large arrays."""
    a, b, total = (np.ones(LONG, np.float32) for _ in range(3))
    square = np.ones((SIZE, SIZE), np.float32)
    product = median_seconds(lambda: np.matmul(square, square), 20)
    return 2 * SIZE ** 3 / product, 3 * a.nbytes / median_seconds(
        lambda: np.add(a, b, out=total), 10)


def flop(name, arrays, result):
    """Multiplications and additions of an operation."""
    if name == "_conv2d_weight":
        return 2 * arrays[1].size * math.prod(result.shape[:3])
    if name.startswith("_conv"):
        y = result if name == "_conv2d" else arrays[0]
        return 2 * y.size * math.prod(arrays[1].shape[:3])
    if name in ("_matmul", "_times_transposed"):
        return 2 * result.size * arrays[0].shape[-1]
    if name == "_transposed_times":
        return 2 * result.size * arrays[0].shape[-2]
    return max(array.size for array in (*arrays, result) if array is not None)


class Record:
    """{operation and shapes: [calls, seconds, FLOP, bytes]} of one step."""

    def __init__(self):
        self.rows = defaultdict(lambda: [0, 0.0, 0.0, 0.0])

    def watch(self, name, function, passes=1):
        """``function``, whose calls are recorded. ``passes``: how often its arrays are read or
        written."""
        def watched(*arguments, **settings):
            start = time.perf_counter()
            result = function(*arguments, **settings)
            taken = time.perf_counter() - start
            arrays = [a for a in arguments if isinstance(a, np.ndarray) and a.size > 1]
            made = result[0] if isinstance(result, tuple) else result
            if made is None or not any(np.may_share_memory(made, a) for a in arrays):   # no view
                shapes = " ".join("x".join(map(str, a.shape)) for a in arrays[:2])
                row = self.rows[f"{name.strip('_')} {shapes}"]
                moved = passes * sum(a.nbytes for a in (*arrays, made) if a is not None)
                for k, more in enumerate((1, taken, flop(name, arrays, made), moved)):
                    row[k] += more
            return result

        watched.__name__ = function.__name__
        return watched


def watch_operations(record):
    """Every operation of autodiff, normalisation and Adam are recorded from now on."""
    seen = set()
    for module in [m for name, m in sys.modules.items() if name.startswith("ldf_np")]:
        for made in list(vars(module).values()):
            if isinstance(made, types.FunctionType) and hasattr(made, "defvjp") and (
                    made not in seen):
                seen.add(made)
                # the array function that engine.operation has wrapped
                cell = made.__closure__[made.__code__.co_freevars.index("forward")]
                name = cell.cell_contents.__name__
                if name != "_normalize":        # which gives on what the kernel has made
                    cell.cell_contents = record.watch(name, cell.cell_contents)
    norm.normalize = record.watch("normalize", norm.normalize)
    # three arrays are read and written, and the gradient, which comes in pieces, is read
    optim.adam = record.watch("adam", optim.adam, 7 / 3)


def measure(model, x, steps):
    """({operation: the medians of Record}, the median seconds of a whole step that is not
    watched)."""
    step = model.compiled_step().eager_step     # one that is played passes by what is watched
    for _ in range(3):
        step(x)
    whole = median_seconds(lambda: step(x), steps)
    record, all_rows = Record(), []
    watch_operations(record)
    for _ in range(steps):
        record.rows.clear()
        step(x)
        all_rows.append({name: list(row) for name, row in record.rows.items()})
    return {name: np.median([rows[name] for rows in all_rows], axis=0).tolist()
            for name in all_rows[0]}, whole


def draw(path, rows, title):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 8), layout="constrained")
    axes = figure.subplots()
    top = 0.0
    for name, milliseconds, share, bound in rows:
        axes.barh(top, 100 * share, milliseconds, align="edge", edgecolor="white", linewidth=0.5,
                  color="C0" if bound == "FLOP" else "C1")
        if milliseconds > 0.012 * sum(row[1] for row in rows):
            axes.text(100 * share + 1, top + milliseconds / 2, name, va="center", fontsize=7)
        top += milliseconds
    axes.axvline(100, color="grey", linewidth=1)
    for colour, label in (("C0", "bound by arithmetic"), ("C1", "bound by memory")):
        axes.bar(0, 0, color=colour, label=label)
    longest = max(share for _, milliseconds, share, _ in rows if milliseconds > 0.01 * top)
    axes.set(xlabel="share of the machine's peak, %", ylim=(top, 0), xlim=(0, 150 * longest),
             ylabel="milliseconds of a step, those first that lose most", title=title)
    axes.legend(frameon=False, loc="upper right")
    plots.save_figure(path, figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default="bottom")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10, help="steps of which the median counts")
    parser.add_argument("--out", metavar="FOLDER", help="for roofline.png and roofline.json")
    options = parser.parse_args()
    if options.batch < 2 or options.steps < 1:
        parser.error("--batch, --steps: expected at least 2 and 1, got "
                     f"{options.batch} and {options.steps}")
    ldf.use("cpu")
    ldf.set_num_threads(1)
    with one_blas_thread():
        speed, bandwidth = peaks()
        model, x, _ = example(options.model, options.batch)
        found, whole = measure(model, x, options.steps)
    rows = []
    for name, (calls, seconds, work, moved) in found.items():
        arithmetic, memory = work / speed, moved / bandwidth
        rows.append((f"{calls:.0f} {name}", 1e3 * seconds, max(arithmetic, memory) / seconds,
                     "FLOP" if arithmetic > memory else "bytes"))
    rows.sort(key=lambda row: row[1] * (row[2] - 1))        # what is lost most first
    print(f"{speed / 1e9:.0f} GFLOP/s, {bandwidth / 1e9:.1f} GB/s; step of {options.model}, batch "
          f"{options.batch}: {1e3 * whole:.1f} ms, of which operations "
          f"{sum(row[1] for row in rows):.1f}\n{'ms':>8} {'of peak':>8}  bound   calls, operation")
    for name, milliseconds, share, bound in rows[:25]:
        print(f"{milliseconds:8.2f} {100 * share:7.0f}%  {bound:6}  {name}")
    if options.out:
        os.makedirs(options.out, exist_ok=True)
        draw(os.path.join(options.out, "roofline.png"), rows,
             f"{options.model}, batch {options.batch}, one thread: {1e3 * whole:.0f} ms a step")
        save_json(os.path.join(options.out, "roofline.json"), {
            "flop_per_second": speed, "bytes_per_second": bandwidth, "step_ms": 1e3 * whole,
            "rows": [dict(zip(("operation", "ms", "share", "bound"), row)) for row in rows]})


if __name__ == "__main__":
    main()
