"""Section 3.2 of the paper as an exact test: how many joint samples does a model made of blocks
save, and when none?

    python demos/gaussian_blocks.py --quick     pictures, tables, results.json: out/gaussian_blocks
    python demos/gaussian_blocks.py --k 8 --d 50 --theta 0.35 --rho 0.5 0.95 --unshared

The model, its estimators, their predicted errors, the networks, tables and pictures are in
ldf_np/gaussian.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np

from ldf_np.experiments import cli
from ldf_np.experiments.report import conclude
from ldf_np.gaussian import BlockModel, all_estimates, experiments, networks, pictures, tables


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--k", type=int, default=5, help="blocks (default 5)")
    add("--d", type=int, default=60, help="numbers in a block (default 60)")
    add("--r", type=int, default=1, help="latent directions of a block (default 1)")
    add("--theta", type=float, default=1.0, help="variance of a latent direction (default 1)")
    add("--sigma", type=float, default=1.0, help="standard deviation of the noise (default 1)")
    blocks = parser.add_mutually_exclusive_group().add_argument
    blocks("--rho", type=float, nargs="+", default=[0.0, 0.5, 0.9],
           help="correlation of neighbouring blocks, R_ij = rho^|i-j| (default 0 0.5 0.9)")
    blocks("--R", metavar="FILE",
           help="a k x k correlation matrix of your own (.npy, .csv or text) instead of --rho")
    add("--unshared", action="store_true", help="a W for every block (without the networks)")
    add("--n-joint", type=int, nargs="+", default=[30, 100, 256, 1000],
        help="joint samples (default 30 100 256 1000)")
    add("--frames", type=int, default=4000,
        help="marginal frames, of each block with --unshared (default 4000)")
    add("--repeats", type=int, help="repeats of every error curve (default 30, with --quick 5)")
    add("--no-train", action="store_true", help="leave out the networks")
    add("--quick", action="store_true", help="fewer repeats and steps: 10 s instead of a minute")
    add("--seed", type=int, default=0)
    add("--out", default="out/gaussian_blocks",
        help="folder for pictures and numbers (default out/gaussian_blocks)")
    return parser.parse_args(arguments)


def read_models(options):
    """{setting: model}, one for each dependence; ValueError names a bad parameter."""
    repeats = 2 if options.repeats is None else options.repeats
    for name, value, least in (("n-joint", min(options.n_joint), 2), ("frames", options.frames, 2),
                               ("repeats", repeats, 2), ("seed", options.seed, 0)):
        if value < least:
            raise ValueError(f"{name}: expected at least {least}, got {value}")
    common = {name: getattr(options, name) for name in ("k", "d", "r", "theta", "sigma", "seed")}
    common["shared"] = not options.unshared
    if options.R is None:
        return {f"rho = {rho:.15g}": BlockModel(rho=rho, **common) for rho in options.rho}
    try:
        if options.R.endswith(".npy"):
            R = np.load(options.R, allow_pickle=False)
        else:
            R = np.loadtxt(options.R, delimiter="," if options.R.endswith(".csv") else None,
                           ndmin=2)
    except Exception as error:      # whatever readers say to a file that is none
        raise ValueError(f"--R: {options.R}: expected a matrix as .npy, .csv or text: "
                         f"{error}") from error
    return {"R as given": BlockModel(R=R, **common)}


def timed(function, *inputs):
    """(result, seconds)."""
    begin = time.perf_counter()
    return function(*inputs), round(time.perf_counter() - begin, 2)


def work(jobs, beside):
    """({name: result}, {name: seconds}) of {name: (function, *inputs)}; those in ``beside`` in a
    second process."""
    start = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(1, start, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        try:
            later = {name: pool.submit(timed, *jobs[name]) for name in beside}
            done = {name: timed(*job) for name, job in jobs.items() if name not in later}
            done |= {name: future.result() for name, future in later.items()}
        except BaseException:       # Ctrl-C, say: it does not wait for what the other is at
            for child in multiprocessing.active_children():
                child.kill()
            raise
    return ({name: result for name, (result, _) in done.items()},
            {name: seconds for name, (_, seconds) in done.items()})


def run(options):
    start, models = time.perf_counter(), read_models(options)
    effort = experiments.QUICK if options.quick else experiments.FULL
    options.repeats = effort.repeats if options.repeats is None else options.repeats
    effort = replace(effort, repeats=options.repeats)
    setting, model = experiments.strongest(models)
    ns, frames, seed = sorted(set(options.n_joint)), options.frames, options.seed
    *streams, last = np.random.default_rng(seed).spawn(6)  # one for each job
    print(f"{model.k} blocks of {model.d}, r = {model.r}, theta = {model.theta:g}, sigma = "
          f"{model.sigma:g}, {frames} marginal frames, {options.repeats} repeats, seed {seed}",
          flush=True)

    jobs = {"curves": (experiments.error_curves, models, ns, frames, effort, streams[0]),
            "transition": (experiments.transition, models, ns, frames, effort, streams[1]),
            "cases": (experiments.cases, effort, streams[2], seed),
            "crossing": (experiments.crossing, effort, streams[3], seed)}
    if model.shared and not options.no_train:
        jobs["networks"] = (networks.compare, model, ns[-2:][:1] if options.quick else ns, frames,
                            effort.steps, streams[4], seed)
    found, seconds = work(jobs, ("networks", "cases", "crossing") if "networks" in jobs else ())
    curves, cases, trained = found["curves"], found["cases"], found.get("networks", [])
    fit = experiments.agreement(curves)
    tables.print_agreement(fit)
    tables.print_transition(found["transition"])

    begin, n = time.perf_counter(), sorted(options.n_joint)[:2][-1]
    jobs = {"errors": (pictures.draw_errors, curves, {setting: trained}, model, frames,
                       options.repeats),
            "transition": (pictures.draw_transition, found["transition"], model.k),
            "where_it_fails": (pictures.draw_cases, cases, found["crossing"]),
            "covariances": (pictures.draw_covariances, setting, model,
                            all_estimates(model, n, frames, last), n, frames)}
    work({name: (draw, os.path.join(options.out, f"{name}.png"), *inputs)
          for name, (draw, *inputs) in jobs.items()}, beside=("errors",))
    seconds["pictures"] = round(time.perf_counter() - begin, 2)
    seconds["total"] = round(time.perf_counter() - start, 2)
    conclude(options, title="Gaussian blocks: Section 3.2 in closed form and measured",
             claims=tables.claims(curves[setting]["points"], setting, cases),
             tables=tables.report_tables(curves, cases, {setting: trained}),
             figures=pictures.FIGURES, seconds=seconds["total"],
             seed=seed, parts=seconds, errors=curves, agreement=fit,
             transition=found["transition"], cases=cases, crossing=found["crossing"],
             trained={setting: trained})


if __name__ == "__main__":
    cli.main(run, parse())
