"""Does the suite notice a mistake? Plants one at a time in the rules and the kernels and runs the
tests that should fail.

    python tests/tools/mutation.py                            every mutant: hours
    python tests/tools/mutation.py --only ldf_np/autodiff/conv.py kernels/conv.cu
    python tests/tools/mutation.py --sample 200 --seed 1 --json out/mutation.json
    python tests/tools/mutation.py --again out/mutation.json  those that survived there

What is planted: a sign flipped, operands swapped or a transposition left out, the cotangent
dropped, an index, padding or range off by one, a factor altered (tests/tools/mutants.py). Each
mutant runs in a temporary copy of the tree, never in the checkout. A failing test, a crash and a
hang all count as noticed. A hang is measured in processor time, so that a busy machine makes none;
only a process that waits, using no time, is ended by the clock.

Why no library: cosmic-ray (8.7) and mutmut (3.8) know Python only, while a third of the mutants are
in .cu files; their operators know neither a cotangent nor a transposition; mutmut alters the bodies
of functions, and most rules are lambdas in decorators. What is left of them is a loop.
"""

import argparse
import json
import math
import multiprocessing
import os
import queue
import random
import resource
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from explained import EXPLAINED
from mutants import CUDA, FILES, mutants_of
from tqdm import tqdm

os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker"    # a killed test leaves tqdm's lock
# Each run of the tests is a child of a process that has imported what takes longest, and nothing of
# ldf_np.
FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(["pytest", "numpy", "scipy.linalg", "hypothesis.strategies", "tqdm",
                              "PIL.Image", "safetensors.numpy", "mutants"])
STARTED = 100           # below this an exit status is not pytest's
WAITING = 20            # a run is ended after this many times the processor time that it is allowed
ROOT = Path(__file__).resolve().parents[2]
COPIED = ("ldf_np", "kernels", "demos", "tests", "benchmarks", "pyproject.toml")

# Of test_cuda_kernels, which takes a minute, the tests that run a file's kernels.
KERNELS = {file: [f"kernels/test_cuda_kernels::test_{test}" for test in tests]
           for file, tests in {
    "conv": ["the_convolution_trio", "the_convolution_trio_of_any_shape", "tensor_cores",
             "views_that_are_not_aligned", "an_empty_batch"],
    "tile": ["matmul_in_each_precision", "matmul", "the_convolution_trio", "tensor_cores",
             "views_that_are_not_aligned"],
    "matmul": ["matmul_in_each_precision", "matmul", "more_products_than_a_grid_has_blocks"],
    "norm": ["normalisation", "normalisation_of_a_batch_in_parts"],
    "elementwise": ["elementwise_chains", "normalisation"],
    "penalty": ["the_penaltys_sums"],
    "optim": ["adam_and_the_moving_average"],
    "random": ["the_stream_of_numbers", "skipping_draws", "the_stream_after_draws_of_the_host",
               "the_stream_where_its_counter_overflows"],
}.items()}

# Which tests concern a file, the fastest that decide most first.
OPERATIONS = ["autodiff/test_ops", "autodiff/test_edges", "autodiff/test_engine",
              "nn/test_layers", "nn/test_penalty", "nn/test_losses",
              "runtime/test_backends::test_every_operation"]
TESTS = {
    "ldf_np/autodiff/engine.py": ["autodiff/test_ops", "autodiff/test_engine", "nn/test_layers",
                                  "runtime/test_threads"],
    "ldf_np/autodiff/elementwise.py": OPERATIONS,
    "ldf_np/autodiff/shapes.py": OPERATIONS,
    "ldf_np/autodiff/reductions.py": OPERATIONS,
    "ldf_np/autodiff/pooling.py": OPERATIONS,
    "ldf_np/autodiff/contraction.py": OPERATIONS,
    "ldf_np/autodiff/products.py": [*OPERATIONS, "autodiff/test_norm"],
    "ldf_np/autodiff/conv.py": ["autodiff/test_conv", "nn/test_layers"],
    "ldf_np/autodiff/norm.py": [
        "autodiff/test_norm", "nn/test_layers",
        "autodiff/test_ops::test_the_mean_over_ranks_to_the_third_order",
        "runtime/test_mpi::test_normalisation_over_ranks_to_the_second_derivative"],
    "ldf_np/nn/penalty.py": ["nn/test_penalty", "models/test_ali"],
    "ldf_np/nn/losses.py": ["nn/test_losses", "autodiff/test_ops", "autodiff/test_edges"],
    "kernels/channels.py": ["kernels/test_channels"],
    "kernels/conv.py": ["autodiff/test_conv", "kernels/test_conv_kernels", *KERNELS["conv"],
                        "kernels/test_precision"],
    "kernels/lowering.py": ["autodiff/test_conv", "kernels/test_conv_kernels"],
    "kernels/elementwise.py": ["autodiff/test_ops", "nn/test_losses", *KERNELS["elementwise"],
                               "kernels/test_precision"],
    "kernels/matmul.py": ["autodiff/test_ops", "nn/test_layers", *KERNELS["matmul"]],
    "kernels/norm.py": ["autodiff/test_norm", "nn/test_layers", *KERNELS["norm"],
                        "kernels/test_precision"],
    "kernels/optim.py": ["nn/test_optim", *KERNELS["optim"]],
    "kernels/penalty.py": ["nn/test_penalty", *KERNELS["penalty"], "kernels/test_precision"],
    "kernels/random.py": ["runtime/test_random", *KERNELS["random"]],
    "kernels/tile.py": ["autodiff/test_ops", "nn/test_layers", *KERNELS["tile"]],
    **{file: KERNELS[Path(file).stem] for file in CUDA},
}


class Copy:
    """A copy of the tree in a temporary folder, in which one mutant at a time is tried."""

    def __init__(self, folder):
        self.folder = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.folder / name, symlinks=True)
            else:
                shutil.copy(source, self.folder / name)
        # An editable install maps ldf_np.kernels to the checkout; a folder inside the package comes
        # before that. A checkout may have one, too.
        link = self.folder / "ldf_np" / "kernels"
        link.unlink(missing_ok=True)
        link.symlink_to(self.folder / "kernels")

    def passes(self, file, limit):
        """Whether the tests that concern a file pass within ``limit`` seconds of the processor."""
        arguments = ["tests/{}.py{}{}".format(*name.partition("::")) for name in TESTS[file]]
        process = FRESH.Process(target=_run_tests, args=(self.folder, arguments, math.ceil(limit)))
        process.start()
        process.join(WAITING * limit)
        process.kill()          # where it hangs
        process.join()
        if 0 <= process.exitcode < STARTED:
            raise RuntimeError(
                f"the tests did not start in {self.folder} (exit status {process.exitcode})")
        return process.exitcode == STARTED

    def notices(self, mutant, limit):
        """Whether the tests fail with the mutant in place; the file is as it was afterwards."""
        path = self.folder / mutant.file
        text = path.read_text(encoding="utf-8")
        path.write_text(mutant.applied(text), encoding="utf-8")
        try:
            return not self.passes(mutant.file, limit)
        finally:
            path.write_text(text, encoding="utf-8")


def _run_tests(folder, arguments, limit):
    """In a process of its own: leave it with STARTED + pytest's exit status."""
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = str(folder)          # for the programs that tests start
    sys.dont_write_bytecode = True
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    os._exit(STARTED + pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m",
                                    "not cuda and not nvrtc",
                                    "-W", "ignore::pytest.PytestAssertRewriteWarning", *arguments]))


def limits(copy, files):
    """Seconds of processor time for the tests of each file: several times what they take unaltered,
    the second time, when the kernels are compiled. Raises SystemExit where they fail."""
    found = {}
    for file in tqdm(files, desc="unaltered", unit="file", disable=None):
        passes = copy.passes(file, 600)
        start = time.perf_counter()
        if not (passes and copy.passes(file, 600)):
            raise SystemExit(f"{file}: its tests fail, or take ten minutes, without any mutant: "
                             f"{', '.join(TESTS[file])}")
        found[file] = 20 + 4 * (time.perf_counter() - start)
    return found


def check(mutants, jobs):
    """Try the mutants; yields (mutant, noticed) in the order of the list."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        copies = queue.SimpleQueue()
        for k in range(jobs):
            copies.put(Copy(Path(folder) / str(k)))
        first = copies.get()
        allowed = limits(first, sorted({m.file for m in mutants}))
        copies.put(first)

        def one(mutant):
            copy = copies.get()
            try:
                return copy.notices(mutant, allowed[mutant.file])
            finally:
                copies.put(copy)

        bar = tqdm(total=len(mutants), desc="mutants", unit="", disable=None)
        for mutant, noticed in zip(mutants, pool.map(one, mutants), strict=True):
            bar.update()
            yield mutant, noticed
        bar.close()


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=FILES, default=FILES, metavar="FILE",
                        help="of the files listed here: " + ", ".join(FILES))
    parser.add_argument("--again", type=Path, metavar="FILE",
                        help="only the survivors that an earlier run wrote with --json")
    parser.add_argument("--sample", type=int, metavar="N",
                        help="a random sample of the mutants instead of all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--jobs", type=int, default=1,
                        help="how many are tried at once, each in its own copy of the tree")
    parser.add_argument("--json", type=Path, metavar="FILE",
                        help="where the score and the survivors are written")
    options = parser.parse_args()
    texts = {file: (ROOT / file).read_text(encoding="utf-8") for file in options.only}
    mutants = [m for file in options.only for m in mutants_of(file, texts[file])]
    places = {m: m.place(texts[m.file]) for m in mutants}
    if options.again:
        survived = {(s["file"], s["function"], s["after"])
                    for s in json.loads(options.again.read_text(encoding="utf-8"))["survivors"]}
        mutants = [m for m in mutants if places[m] in survived]
    explained = [m for m in mutants if places[m] in EXPLAINED]
    mutants = [m for m in mutants if places[m] not in EXPLAINED]
    if options.sample is not None and options.sample < len(mutants):
        mutants = sorted(random.Random(options.seed).sample(mutants, options.sample),
                         key=mutants.index)
    survivors = []
    for mutant, noticed in check(mutants, options.jobs):
        if not noticed:
            survivors.append({"file": mutant.file, "line": mutant.line, "what": mutant.what,
                              "function": mutant.function,
                              "before": mutant.statement(texts[mutant.file]),
                              "after": places[mutant][-1]})
            tqdm.write("{file}:{line}: {function}: {what}\n    {before}\n    {after}".format(
                **survivors[-1]))
    noticed = len(mutants) - len(survivors)
    print(f"{noticed} of {len(mutants)} mutants noticed ({noticed / max(1, len(mutants)):.1%}), "
          f"{len(survivors)} survived; "
          f"{len(explained)} more are explained in tests/tools/explained.py")
    if options.json:
        score = {"mutants": len(mutants), "noticed": noticed, "explained": len(explained),
                 "survivors": survivors}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(score, indent=1) + "\n", encoding="utf-8")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
