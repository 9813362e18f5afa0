"""One full training step of our models beside the same step in PyTorch and in JAX (jit), where they
are installed: both networks' gradients with the penalty by double backpropagation, both Adam
updates, and a GAN's moving average of weights.

    python benchmarks/step.py [--steps 20] [--json FILE]        # batch 64, one thread
    python benchmarks/step.py --batches 16 64 256 --threads 1 2

    bottom   nets.place_ali: ALI of frames (32, 32, 3)
    local    nets.local_gan: the top level over whitened maps (8, 8, 40)
    mlp      nets.mlp_gan: the same of dense networks
    joint    baselines.joint_gan: the GAN over whole clips as images (32, 32, 15)

Each library has a process of its own, for each number of threads, on as many cores. They take turns
within one run, one step at a time (and one before it that is not timed, for the caches), and the
ratios of their medians count: ldf_np over the other, below 1 where ldf_np is faster. PyTorch and
JAX have the memory allocator's settings that ldf_np makes for itself.

Before anything is timed, every library takes one step from the same weights with the same data and
noise, in float64. The losses, the gradients and the new weights agree, or that library is not
timed. The same is checked of the step that is timed, in float32, where only the losses can agree as
well: rounding takes a few values to the other side of a leaky ReLU's kink, and each changes the
gradients a little.
"""

import argparse
import importlib
import importlib.util
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from importlib import metadata

import numpy as np

import ldf_np as ldf
from ldf_np.models import baselines, nets
from ldf_np.runtime.threads import blas

MODELS = {"bottom": (nets.place_ali, (32, 32, 3)),
          "local": (lambda: nets.local_gan(nets.CLIP_MAP), nets.CLIP_MAP),
          "mlp": (lambda: nets.mlp_gan(nets.CLIP_MAP, hidden=256), nets.CLIP_MAP),
          "joint": (baselines.joint_gan, (32, 32, 15))}
# The name of each library: its package, and the file that has its step.
OTHERS = {"PyTorch": ("torch", "pytorch"), "JAX": ("jax", "jax_steps")}
# How far a norm may be off: first in float64 on a small batch, then as it is timed.
EXACT = dict.fromkeys(("loss", "gradients", "weights", "average"), 1e-8)
ROUNDED = dict.fromkeys(EXACT, 1e-2) | {"loss": 1e-4}
SMALL, WARM_UP = 8, 2


# ------------------------------------------------------------------------- in a library's process

def example(name, batch, dtype="float32"):
    """A model that has not been trained, a batch for it and the noise of its first step: the same
    in every process."""
    make, shape = MODELS[name]
    rng, model = np.random.default_rng(0), make()
    x = rng.standard_normal((batch, *shape)).clip(-1, 1).astype(dtype)
    for _, held in [*model.named_parameters(), *model.named_buffers()]:
        held.data = held.data.astype(dtype)
    for adam in (model.discriminator_optimizer, model.generator_optimizer):
        adam.m, adam.v = adam.m.astype(dtype), adam.v.astype(dtype)
    before = model.rng.state
    drawn = x.dtype if name == "bottom" else np.float32     # as the model draws it
    z = model.rng.standard_normal((batch, model.latent_size), drawn).astype(dtype)
    model.rng.state = before
    return model, x, z


def ours(model, x, threads):
    """(step, state) as those of the others, but the model draws its noise itself."""
    ldf.set_num_threads(threads)
    compiled = model.compiled_step()
    return lambda z: compiled(x), lambda: state(model)


def state(model):
    """{what: arrays} after the first step: each parameter's gradient, from Adam's first moments,
    and one array of all weights."""
    found = {}
    for side, adam in (("D", model.discriminator_optimizer), ("G", model.generator_optimizer)):
        ends = np.cumsum([p.size for p in adam.network.parameters()])
        found |= {f"gradients of {side}": np.split(adam.m / (1 - adam.betas[0]), ends[:-1]),
                  f"weights of {side}": [adam.network.flat()]}
    if hasattr(model, "ema"):
        found["average"] = [model.ema.average.data]
    return found


def prepared(library, name, batch, dtype, threads):
    """(step, {what: arrays} of the first one)."""
    model, x, z = example(name, batch, dtype)
    prepare = ours if library == "ldf_np" else importlib.import_module(OTHERS[library][1]).prepare
    step, state_of = prepare(model, x, threads)
    losses = {f"loss of {which}": [np.array(loss)] for which, loss in step(z).items()}
    rng = np.random.default_rng(1)
    return (lambda: step(rng.standard_normal(z.shape, z.dtype)), losses | state_of())


def serve(pipe, library, threads):
    """Answer requests: (name, batch, dtype) with what came of the first step, "step" with the
    milliseconds of one."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    ldf.use("cpu")
    for request in iter(pipe.recv, None):
        if request != "step":
            step, found = prepared(library, *request, threads)
            pipe.send(found)
            continue
        step()
        start = time.perf_counter()
        step()
        pipe.send((time.perf_counter() - start) * 1e3)


# --------------------------------------------------------------------------- in the one that asks

class Worker:
    """A library in a process of its own."""

    def __init__(self, library, threads):
        one = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ.update(  # read once, when the libraries load
            OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads),
            JAX_PLATFORMS="cpu", XLA_FLAGS=one if threads == 1 else "")
        spawn = multiprocessing.get_context("spawn")
        self.library, (self.pipe, other) = library, spawn.Pipe()
        self.process = spawn.Process(target=serve, args=(other, library, threads), daemon=True)
        self.process.start()
        other.close()

    def ask(self, request):
        self.pipe.send(request)
        try:
            return self.pipe.recv()
        except EOFError:
            sys.exit(f"step.py: the process of {self.library} ended (its words are above)")

    def end(self):
        self.pipe.send(None)
        self.process.join()


def differences(expected, found, bounds):
    """{what: the norm of the difference over that of what is expected} where it is beyond its
    bound; of several arrays the worst."""
    if expected.keys() != found.keys():
        raise ValueError(f"expected {sorted(expected)}, got {sorted(found)}")
    worst = {what: max(np.linalg.norm(a - b) / np.linalg.norm(a)
                       for a, b in zip(arrays, found[what], strict=True))
             for what, arrays in expected.items()}
    return {what: float(error) for what, error in worst.items()
            if not error <= bounds[what.split()[0]]}


def agreeing(workers, name, batch, dtype, bounds):
    """The workers whose step is that of the first; of the others it says what differs."""
    found, agree = {worker: worker.ask((name, batch, dtype)) for worker in workers}, []
    for worker, its in found.items():
        wrong = differences(found[workers[0]], its, bounds)
        for what, error in wrong.items():
            print(f"{worker.library}, {name}, batch {batch}, {dtype}: {what}: off by {error:.1e} "
                  "of the norm: not timed", file=sys.stderr)
        if not wrong:
            agree.append(worker)
    return agree


def measure(workers, name, batch, steps):
    """{library: the median milliseconds of a step} of those that compute the same."""
    times = {worker: [] for worker in agreeing(workers, name, batch, "float32", ROUNDED)}
    for k in range(WARM_UP + steps):
        for worker, record in times.items():
            taken = worker.ask("step")
            if k >= WARM_UP:
                record.append(taken)
    return {worker.library: statistics.median(record) for worker, record in times.items()}


def row(name, threads, batch, medians):
    """A row of the table, and of the JSON file."""
    return {"model": name, "threads": threads, "batch": batch, "ms": medians,
            "ratios": {library: medians["ldf_np"] / taken for library, taken in medians.items()
                       if library != "ldf_np"}}


def line(row, libraries):
    """A row as it is printed."""
    text = f"{row['model']:8} {row['threads']:7} {row['batch']:5} {row['ms']['ldf_np']:9.1f}"
    for library in libraries[1:]:
        text += (f" {row['ms'][library]:9.1f} {row['ratios'][library]:6.2f}"
                 if library in row["ms"] else f" {'differs':>16}")
    return text


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=[*MODELS], metavar="MODEL",
                        help=f"some of {', '.join(MODELS)} (default: all)")
    parser.add_argument("--batches", nargs="+", type=int, default=[64], metavar="N")
    parser.add_argument("--threads", nargs="+", type=int, choices=(1, 2), default=[1])
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each (default 20)")
    parser.add_argument("--json", metavar="FILE", help="also write the result to this file")
    options = parser.parse_args()
    if options.steps < 1:
        parser.error(f"--steps: expected a positive number, got {options.steps}")
    if min(options.batches) < 2:
        parser.error(f"--batches: expected numbers from 2 on, got {options.batches}")
    return options


def main():
    options = parse()
    packages = {"NumPy": "numpy"}
    for library, (package, _) in OTHERS.items():
        if importlib.util.find_spec(package) is None:
            print(f"{library} is not installed")
        else:
            packages[library] = package
    versions = {library: metadata.version(package) for library, package in packages.items()}
    libraries = ["ldf_np", *(library for library in OTHERS if library in versions)]
    print(", ".join(f"{library} {version}" for library, version in versions.items())
          + f"; {blas()}; medians in ms, and ldf_np over each")
    print(f"{'model':8} threads batch {'ldf_np':>9}"
          + "".join(f" {library:>9} {'ratio':>6}" for library in libraries[1:]))
    rows = []
    for threads in options.threads:
        workers = [Worker(library, threads) for library in libraries]
        for name in options.models:
            same = agreeing(workers, name, SMALL, "float64", EXACT)
            for batch in options.batches:
                rows.append(row(name, threads, batch, measure(same, name, batch, options.steps)))
                print(line(rows[-1], libraries), flush=True)
        for worker in workers:
            worker.end()
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"versions": versions, "machine": platform.machine(), "blas": blas(),
                       "steps": options.steps, "rows": rows}, file, indent=1)
    if any(len(row["ms"]) < len(libraries) for row in rows):
        sys.exit("step.py: not all libraries were timed (the reasons are above)")


if __name__ == "__main__":
    main()
