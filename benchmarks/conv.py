"""The convolution trio of kernels/conv.py, layer by layer on one thread, beside PyTorch where it is
installed.

    python benchmarks/conv.py       # the CPU recipe's layers, then those of ALI's CIFAR-10 nets
    python benchmarks/conv.py --layers recipe --batch 128 --json conv.json

Without PyTorch only our own times are printed. Every layer is timed in rounds: in each round each
candidate runs once, so that whatever else the machine does hits all of them alike; the medians are
compared. The clock is this thread's CPU time, which stands still while another job has the core.
Our inputs have the batch innermost, as a chain of our layers leaves them; PyTorch's are in
--format.

forward, dx and dw are single faces. The row "layer" is all three, as one training step asks for
them: ours share what the arrays were lowered to (the `cache` argument), and PyTorch's backward
computes dx and dw in one call.
"""

import argparse
import json
import os
import platform
import sys
import time

# Before NumPy is imported: its BLAS reads these once.
os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

from ldf_np.kernels import conv

try:
    import torch
except ImportError:
    torch = None

# size, channels in, channels out, kernel, stride, padding
LAYERS = {
    "recipe": [(32, 3, 24, 4, 2, 1), (16, 24, 48, 4, 2, 1), (8, 48, 96, 4, 2, 1),
               (4, 96, 32, 3, 1, 1), (4, 32, 96, 3, 1, 1)],
    "ali": [(32, 3, 32, 5, 1, 0), (28, 32, 64, 4, 2, 0), (13, 64, 128, 4, 1, 0),
            (10, 128, 256, 4, 2, 0), (4, 256, 512, 4, 1, 0), (1, 512, 512, 1, 1, 0)],
}
BATCH = {"recipe": 64, "ali": 100}
FACES = ("forward", "dx", "dw", "layer")


def our_faces(x, w, y, stride, padding):
    """{face: a function that computes it once}."""
    kernel, size = w.shape[:2], x.shape[1:3]

    def layer():
        of_x, of_w, of_y = {}, {}, {}
        conv.conv2d(x, w, stride, padding, cache=(of_x, of_w))
        conv.conv_transpose2d(y, w, stride, padding, size, cache=(of_y, of_w))
        conv.conv2d_weight(x, y, kernel, stride, padding, cache=(of_x, of_y))

    return {"forward": lambda: conv.conv2d(x, w, stride, padding),
            "dx": lambda: conv.conv_transpose2d(y, w, stride, padding, size),
            "dw": lambda: conv.conv2d_weight(x, y, kernel, stride, padding),
            "layer": layer}


def torch_faces(x, w, y, stride, padding, channels_last):
    """The same four of PyTorch, after a check that both mean the same."""
    memory = torch.channels_last if channels_last else torch.contiguous_format
    tx, tw, ty = (torch.from_numpy(np.ascontiguousarray(a)).contiguous(memory_format=memory)
                  for a in (x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1),
                            y.transpose(0, 3, 1, 2)))

    def forward():
        return torch.nn.functional.conv2d(tx, tw, None, stride, padding)

    def backward(*wanted):
        return torch.ops.aten.convolution_backward(
            ty, tx, tw, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1,
            [*wanted, False])

    dx, dw, _ = backward(True, True)
    images, kernels = (0, 2, 3, 1), (2, 3, 1, 0)
    for theirs, order, ours in (
            (forward(), images, conv.conv2d(x, w, stride, padding)),
            (dx, images, conv.conv_transpose2d(y, w, stride, padding, x.shape[1:3])),
            (dw, kernels, conv.conv2d_weight(x, y, w.shape[:2], stride, padding))):
        theirs = theirs.permute(order).numpy()
        if np.abs(theirs - ours).max() > 1e-4 * np.abs(theirs).max():
            raise SystemExit(f"the results differ at x {x.shape}, w {w.shape}, stride {stride}, "
                             f"padding {padding}")
    return {"forward": forward, "dx": lambda: backward(True, False),
            "dw": lambda: backward(False, True),
            "layer": lambda: (forward(), backward(True, True))}


def medians(candidates, rounds):
    """The median time of each candidate in ms, all of them run once a round."""
    times = {name: [] for name in candidates}
    for k in range(rounds + 2):                     # the first two rounds warm up
        for name, run in candidates.items():
            start = time.thread_time()
            run()
            if k >= 2:
                times[name].append(time.thread_time() - start)
    return {name: 1e3 * float(np.median(of_one)) for name, of_one in times.items()}


def measure(layer, batch, rounds, channels_last):
    """One row for each face of this layer."""
    size, c, o, kernel, stride, padding = layer
    out = (size + 2 * padding - kernel) // stride + 1
    rng = np.random.default_rng(0)
    x = rng.standard_normal((size, size, c, batch), dtype=np.float32).transpose(3, 0, 1, 2)
    y = rng.standard_normal((out, out, o, batch), dtype=np.float32).transpose(3, 0, 1, 2)
    w = rng.standard_normal((kernel, kernel, c, o), dtype=np.float32)
    candidates = {("ours", face): run for face, run in our_faces(x, w, y, stride, padding).items()}
    if torch:
        theirs = torch_faces(x, w, y, stride, padding, channels_last)
        candidates.update({("torch", face): run for face, run in theirs.items()})
    times = medians(candidates, rounds)
    name = f"{size}x{size}x{c} {kernel}x{kernel}/{stride} {o}"
    return [{"layer": name, "batch": batch, "face": face, "ours_ms": times["ours", face],
             "torch_ms": times.get(("torch", face))} for face in FACES]


def show(row):
    line = f"{row['layer']:24} {row['face']:8} {row['ours_ms']:9.2f}"
    if row["torch_ms"]:
        line += f" {row['torch_ms']:9.2f} {row['ours_ms'] / row['torch_ms']:7.2f}"
    print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", choices=[*LAYERS, "all"], default="all")
    parser.add_argument("--batch", type=int, help="default: 64 for the recipe, 100 for ALI")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--format", choices=["nchw", "nhwc"], default="nchw",
                        help="PyTorch's memory format")
    parser.add_argument("--json", metavar="FILE", help="write the rows here too")
    options = parser.parse_args()
    if options.rounds < 1 or (options.batch is not None and options.batch < 1):
        parser.error("--rounds and --batch must be at least 1")
    if torch:
        torch.set_num_threads(1)
        torch.set_grad_enabled(False)

    theirs = f"PyTorch {torch.__version__} ({options.format})" if torch else "no PyTorch"
    print(f"NumPy {np.__version__}, {theirs}, one thread, medians in ms")
    print(f"{'layer':24} {'face':8} {'ours':>9}"
          + (f" {'PyTorch':>9} {'ratio':>7}" if torch else ""))
    rows = []
    for net in LAYERS if options.layers == "all" else [options.layers]:
        batch = options.batch or BATCH[net]
        measured = [row for layer in LAYERS[net]
                    for row in measure(layer, batch, options.rounds, options.format == "nhwc")]
        for face in FACES:
            ours, theirs = (sum(row[key] or 0 for row in measured if row["face"] == face)
                            for key in ("ours_ms", "torch_ms"))
            measured.append({"layer": f"{net}: sum", "batch": batch, "face": face,
                             "ours_ms": ours, "torch_ms": theirs or None})
        for row in measured:
            show(row)
        rows += measured
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"python": sys.version.split()[0], "numpy": np.__version__,
                       "torch": torch.__version__ if torch else None,
                       "torch_format": options.format if torch else None,
                       "machine": platform.machine(), "rounds": options.rounds, "rows": rows},
                      file, indent=1)


if __name__ == "__main__":
    main()
