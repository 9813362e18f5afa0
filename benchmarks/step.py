"""One full bottom step (encoder, decoder, discriminator, Roth penalty by double backpropagation,
both Adam updates) of the small networks at batch 64 on one thread, against the same step in PyTorch
where it is installed.

    python benchmarks/step.py [--steps 20] [--json FILE]

The two take turns within one run and the ratio of their medians is printed: these figures mean
something only together. PyTorch runs in its default memory layout (NCHW), eagerly, as a user would
write it.
"""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import importlib.util
import json
import statistics
import time

import numpy as np

import ldf_np as ldf
from ldf_np.models import nets

BATCH = 64


def ldf_step(x):
    """A function that takes one step of this library."""
    ldf.set_num_threads(1)
    model = nets.small_ali()
    return lambda: model.step(x)


def torch_step(x):
    """A function that takes the same step in PyTorch."""
    import torch
    from pytorch import bottom_step

    torch.set_num_threads(1)
    step, images = bottom_step(BATCH), torch.tensor(x.transpose(0, 3, 1, 2).copy())
    return lambda: [loss.item() for loss in step(images)]


def alternate(functions, steps, warm_up=3):
    """The median time of each function in ms, the functions taking turns."""
    times = [[] for _ in functions]
    for k in range(warm_up + steps):
        for function, record in zip(functions, times):
            start = time.perf_counter()
            function()
            if k >= warm_up:
                record.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(record) for record in times]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each (default 20)")
    parser.add_argument("--json", metavar="FILE", help="also write the result to this file")
    options = parser.parse_args()
    if options.steps < 1:
        parser.error(f"--steps: expected a positive number, got {options.steps}")

    x = np.random.default_rng(0).uniform(-1, 1, (BATCH, 32, 32, 3)).astype(np.float32)
    with_torch = importlib.util.find_spec("torch") is not None
    medians = alternate([ldf_step(x), torch_step(x)] if with_torch else [ldf_step(x)],
                        options.steps)
    result = {"ratio": None, "ldf_ms": medians[0], "torch_ms": None, "threads": 1}
    print(f"ldf_np   {medians[0]:8.1f} ms")
    if with_torch:
        result |= {"ratio": medians[0] / medians[1], "torch_ms": medians[1]}
        print(f"PyTorch  {medians[1]:8.1f} ms\nratio    {result['ratio']:8.2f}")
    else:
        print("PyTorch is not installed: nothing to compare with")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file)


if __name__ == "__main__":
    main()
