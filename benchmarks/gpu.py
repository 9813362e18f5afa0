"""This library on a CUDA device beside PyTorch: every convolution, the penalty's sums, whole steps,
the demo, memory.

    python benchmarks/gpu.py                # all parts; writes benchmarks/results/gpu-<card>.json
    python benchmarks/gpu.py --parts faces steps --repeats 50

Needs CuPy; what PyTorch is needed for is left out where it is missing. Every kernel is checked
against NumPy in float64 on fresh random data before it is timed, and the program stops where it is
wrong. Candidates take turns within one run, kernels twenty calls at a time as one CUDA graph, and
the ratios of their medians are what counts.

    faces   each face at the shapes of ALI's CIFAR-10 nets (batch 100) and of the small networks
            (batch 64), TF32 against TF32 and float32 against float32, with PyTorch's cuDNN in
            channels_last
    penalty the per-sample weighted squared norm against a copy of the same array
    steps   a whole bottom and top step: ours as one CUDA graph, PyTorch's eager, compiled with
            reduce-overhead, and as a CUDA graph made by hand; and the memory of the device
    demo    steps a second of demos/pacman.py --device cuda
"""

import argparse
import datetime
import importlib.util
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import ldf_np as ldf
from ldf_np.experiments.report import environment, save_json
from ldf_np.kernels import conv, cuda, penalty
from ldf_np.models import nets

# size, channels in, channels out, kernel, stride, padding
LAYERS = {
    "ali": (100, [(32, 3, 32, 5, 1, 0), (28, 32, 64, 4, 2, 0), (13, 64, 128, 4, 1, 0),
                  (10, 128, 256, 4, 2, 0), (4, 256, 512, 4, 1, 0)]),
    "recipe": (64, [(32, 3, 24, 4, 2, 1), (16, 24, 48, 4, 2, 1), (8, 48, 96, 4, 2, 1),
                    (4, 96, 32, 3, 1, 1)]),
}
BOUNDS = {"highest": 1e-4, "high": 5e-3}        # of the largest result
RESULTS = Path(__file__).parent / "results"


class Events:
    """Times work on the device by its own events."""

    calls = 20

    def ready(self, function, torch=None):
        """A function that makes so many ``calls``, ours or PyTorch's, as one CUDA graph: one call
        would be timed with what Python takes to launch it."""
        function()              # compiles, and makes what is kept
        if torch:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                for _ in range(self.calls):
                    function()
            return graph.replay
        import cupy

        graph = cuda.new_graph()
        with graph.here():
            graph.capture(lambda: [function() for _ in range(self.calls)])
        return lambda: graph.replay(cupy.cuda.get_current_stream())

    def time(self, function):
        """Milliseconds of what is ``ready``."""
        import cupy

        first, last = cupy.cuda.Event(), cupy.cuda.Event()
        stream = cupy.cuda.get_current_stream()
        stream.synchronize()
        first.record(stream)
        function()
        last.record(stream)
        last.synchronize()
        return cupy.cuda.get_elapsed_time(first, last)


class Clock:
    """Times work that is done when the call returns."""

    calls = 1

    def ready(self, function, torch=None):
        """The function."""
        return function

    def time(self, function):
        """Milliseconds of one call."""
        start = time.perf_counter()
        function()
        return (time.perf_counter() - start) * 1e3


def medians(candidates, repeats, timer, warm_up=3):
    """{name: median milliseconds of one call}, the candidates, which are ready, taking turns."""
    times = {name: [] for name in candidates}
    for k in range(warm_up + repeats):
        for name, function in candidates.items():
            taken = timer.time(function)
            if k >= warm_up:
                times[name].append(taken)
    return {name: statistics.median(record) / timer.calls for name, record in times.items()}


def check(name, actual, exact, bound):
    """Stop where ``actual`` is off by more than ``bound`` of the largest exact element."""
    actual, exact = ldf.to_numpy(actual).astype(np.float64), ldf.to_numpy(exact)
    error = float(np.abs(actual - exact).max() / np.abs(exact).max())
    if not error <= bound:
        raise SystemExit(f"{name}: wrong by {error:.1e} of the largest element, more than "
                         f"{bound:.0e}: nothing is timed")
    return error


def faces(repeats, timer, torch=None, batches=None, layers=None):
    """One record for each network, layer, precision and face."""
    rng, records = np.random.default_rng(), []
    for network, (batch, shapes) in (layers or LAYERS).items():
        batch = batches or batch
        for size, c, o, kernel, stride, padding in shapes:
            x, w = (rng.standard_normal(s).astype(np.float32)
                    for s in ((batch, size, size, c), (kernel, kernel, c, o)))
            out = (size + 2 * padding - kernel) // stride + 1
            y = rng.standard_normal((batch, out, out, o)).astype(np.float32)
            x, w, y = map(ldf.asarray, (x, w, y))
            ours = {"conv2d": lambda x, w, y: conv.conv2d(x, w, stride, padding),
                    "conv_transpose2d": lambda x, w, y: conv.conv_transpose2d(
                        y, w, stride, padding, (size, size)),
                    "conv2d_weight": lambda x, w, y: conv.conv2d_weight(
                        x, y, kernel, stride, padding)}
            theirs = torch_faces(torch, x, w, y, stride, padding) if torch else {}
            flop = 2 * batch * out * out * kernel * kernel * c * o
            for precision, bound in BOUNDS.items():
                ldf.set_float32_matmul_precision(precision)
                if torch:
                    torch.backends.cudnn.allow_tf32 = precision == "high"
                for face, function in ours.items():
                    name = f"{network} {size}x{size}x{c} {kernel}/{stride} {o} {face} {precision}"
                    double = (ldf.to_numpy(a).astype(np.float64) for a in (x, w, y))
                    error = check(name, function(x, w, y), function(*double), bound)
                    candidates = {"ours": timer.ready(lambda: function(x, w, y))}
                    if theirs:
                        candidates["PyTorch"] = timer.ready(theirs[face], torch)
                    took = medians(candidates, repeats, timer)
                    rate = took["PyTorch"] / took["ours"] if theirs else None
                    record = {"name": name, "error": error, "gflops": flop / took["ours"] / 1e6,
                              "rate over cuDNN's": rate, "ms": took}
                    records.append(record)
                    print_record(record)
    ldf.set_float32_matmul_precision("highest")
    return records


def torch_faces(torch, x, w, y, stride, padding):
    """The same three faces by cuDNN, in channels_last."""
    tx, tw, ty = (torch.from_dlpack(a).permute(order).contiguous(memory_format=torch.channels_last)
                  for a, order in ((x, (0, 3, 1, 2)), (w, (3, 2, 0, 1)), (y, (0, 3, 1, 2))))

    def backward(*wanted):
        return torch.ops.aten.convolution_backward(
            ty, tx, tw, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1,
            [*wanted, False])

    torch.backends.cudnn.benchmark = True
    return {"conv2d": lambda: torch.nn.functional.conv2d(tx, tw, None, stride, padding),
            "conv_transpose2d": lambda: backward(True, False),
            "conv2d_weight": lambda: backward(False, True)}


def penalty_sums(repeats, timer, rows=1024, columns=15360):
    """The weighted squared norm against the bandwidth of a copy, which moves twice the bytes."""
    rng = np.random.default_rng()
    g = ldf.asarray(rng.standard_normal((rows, columns)).astype(np.float32))
    logits, signs = (ldf.asarray(rng.choice([-1.0, 1.0], rows).astype(np.float32))
                     for _ in range(2))
    double = [ldf.to_numpy(a).astype(np.float64) for a in (g, logits, signs)]
    error = check("penalty", penalty.row_dots(g, g, logits, signs),
                  penalty.row_dots(double[0], *double), 1e-5)
    target = g.copy()

    def copy():
        target[...] = g

    took = medians({"ours": timer.ready(lambda: penalty.row_dots(g, g, logits, signs)),
                    "copy": timer.ready(copy)}, repeats, timer)
    bandwidth = {"ours": g.nbytes / took["ours"] / 1e6, "copy": 2 * g.nbytes / took["copy"] / 1e6}
    record = {"name": f"penalty {rows}x{columns}", "error": error, "GB/s": bandwidth,
              "share of copy bandwidth": bandwidth["ours"] / bandwidth["copy"], "ms": took}
    print_record(record)
    return [record]


def our_step(model, batch):
    """A function that takes one step of the model, as one CUDA graph after the warm-up."""
    step, x = model.compiled_step(), ldf.asarray(batch)
    return lambda: step(x, 0.1)


def torch_steps(torch, make, batch):
    """{name: function} of one PyTorch step in each of its three ways."""
    from pytorch import images

    x = images(batch, "cuda")
    eager, compiled = make().take, torch.compile(make().take, mode="reduce-overhead")
    by_hand, graph = make(capturable=True).take, torch.cuda.CUDAGraph()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            by_hand(x)
    torch.cuda.current_stream().wait_stream(side)
    with torch.cuda.graph(graph):
        losses = by_hand(x)

    def replay():
        graph.replay()
        return [loss.item() for loss in losses.values()]

    return {"PyTorch eager": lambda: [loss.item() for loss in eager(x).values()],
            "PyTorch compiled": lambda: [loss.item() for loss in compiled(x).values()],
            "PyTorch CUDA graph": replay}


def steps(repeats, torch=None, batch=64):
    """Whole steps, with the losses read after each, by the host's clock."""
    rng, records = np.random.default_rng(0), []
    images = rng.uniform(-1, 1, (batch, 32, 32, 3)).astype(np.float32)
    codes = rng.standard_normal((batch, 160)).astype(np.float32)
    for precision in BOUNDS:
        ldf.set_float32_matmul_precision(precision)
        for name, make, x in (("bottom", nets.small_ali, images),
                              ("top", lambda: nets.mlp_gan(160), codes)):
            ours, held = with_memory(lambda: our_step(make(), x))
            candidates = {"ours": ours}
            if torch:
                from pytorch import Step

                torch.set_float32_matmul_precision(precision)
                torch.backends.cudnn.allow_tf32 = precision == "high"
                torch.cuda.reset_peak_memory_stats()
                candidates |= torch_steps(torch, lambda **s: Step(make(), "cuda", **s), x)
            took = medians(candidates, repeats, Clock(), warm_up=6)
            record = {"name": f"{name} step, batch {batch}, {precision}", "ms": took,
                      "memory MB": held | ({"PyTorch, its three together":
                                            torch.cuda.max_memory_allocated() / 1e6}
                                           if torch else {}),
                      "ratios": {n: took[n] / took["ours"] for n in took if n != "ours"}}
            records.append(record)
            print_record(record)
    ldf.set_float32_matmul_precision("highest")
    return records


def with_memory(make):
    """(a step of ours, the megabytes of the device that it takes once it is recorded)."""
    if ldf.device() != "cuda":
        return make(), {}
    import cupy

    cupy.get_default_memory_pool().free_all_blocks()
    before = cupy.cuda.runtime.memGetInfo()[0]
    step = make()
    for _ in range(6):
        step()
    return step, {"ours": (before - cupy.cuda.runtime.memGetInfo()[0]) / 1e6}


def demo(minutes):
    """Steps a second of the demo at both levels."""
    program = Path(__file__).parents[1] / "demos" / "pacman.py"
    for part in (0.1, 1):           # the first fills the cache of compiled kernels
        with tempfile.TemporaryDirectory() as out:
            subprocess.run([sys.executable, program, "--device", ldf.device(), "--model", "ldf",
                            "--minutes", str(part * minutes), "--seeds", "0", "--out", out],
                           check=True)
            results = json.loads((Path(out) / "results.json").read_text())
    rates = {name: part["steps"] / part["seconds"]
             for name, part in results["models"]["LDF"]["0"]["training"].items()}
    record = {"name": f"demos/pacman.py, {minutes} minutes", "steps a second": rates}
    print_record(record)
    return [record]


def print_record(record):
    rest = "  ".join(f"{k} {_short(v)}" for k, v in record.items() if k != "name" and v is not None)
    print(f"{record['name']}: {rest}", flush=True)


def _short(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} {_short(v)}" for k, v in value.items()) + "}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def card():
    """The device and the versions of what talks to it."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(0)
    return {"name": properties["name"].decode(), "cupy": cupy.__version__,
            "driver": cupy.cuda.runtime.driverGetVersion(),
            "runtime": cupy.cuda.runtime.runtimeGetVersion()}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=("faces", "penalty", "steps", "demo"),
                        default=["faces", "penalty", "steps", "demo"])
    parser.add_argument("--repeats", type=int, default=30,
                        help="timed turns of each candidate (default 30)")
    parser.add_argument("--demo-minutes", type=float, default=1.0,
                        help="training time of the demo (default 1)")
    parser.add_argument("--json", metavar="FILE",
                        help="where to write the results (default benchmarks/results/)")
    options = parser.parse_args()
    if options.repeats < 1:
        parser.error(f"--repeats: expected a positive number, got {options.repeats}")
    try:
        cuda.load_cupy()
    except RuntimeError as error:
        sys.exit(f"gpu.py: {error}")
    ldf.use("cuda")
    torch = None
    if importlib.util.find_spec("torch") is not None:
        import torch
        if not torch.cuda.is_available():
            print("this PyTorch cannot use the device: it is left out")
            torch = None
    results = {"card": card() | ({"torch": torch.__version__} if torch else {}),
               "date": datetime.date.today().isoformat(), "repeats": options.repeats}
    results |= environment()
    parts = {"faces": lambda: faces(options.repeats, Events(), torch),
             "penalty": lambda: penalty_sums(options.repeats, Events()),
             "steps": lambda: steps(options.repeats, torch),
             "demo": lambda: demo(options.demo_minutes)}
    name = re.sub(r"[^a-z0-9]+", "-", results["card"]["name"].lower())
    path = options.json or RESULTS / f"gpu-{name}.json"
    for part in options.parts:
        results[part] = parts[part]()
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        save_json(path, results)            # after each part, so that nothing is lost
    print(f"written to {path}")


if __name__ == "__main__":
    main()
