"""Section 3.2 of the paper as an exact test: how many joint samples does a model made of blocks
save, and when none?

    python demos/gaussian_blocks.py --quick         pictures, tables and results.json in
    out/gaussian_blocks python demos/gaussian_blocks.py --k 8 --d 50 --theta 0.35 --rho 0.5 0.95
    --unshared

This program draws and prints. The model, its estimators and their predicted errors are in
ldf_np/gaussian*.py, the networks in ldf_np/linear_ldf.py.
"""

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import replace

# before NumPy loads: threads only slow down small matrices
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from ldf_np.experiments.plots import save_figure
from ldf_np.experiments.report import print_claims, save_results
from ldf_np.experiments.statistics import verdict
from ldf_np.gaussian import estimators
from ldf_np.gaussian import experiments as experiments
from ldf_np.gaussian import model as gaussian
from ldf_np.gaussian import networks as linear_ldf
from ldf_np.gaussian.curves import ESTIMATORS
from ldf_np.gaussian.model import METRIC_NAMES, METRICS, BlockModel
from ldf_np.gaussian.theory import crossover_strength

STYLE = {   # estimator: (colour, marker, what it is)
    "J0": ("#7f7f7f", "s", "joint: sample covariance"),
    "LW": ("#bcbd22", "D", "joint: Ledoit-Wolf shrinkage"),
    "J1": ("#d62728", "o", "joint: PCA, optimal shrinkage"),
    "H0": ("#9467bd", "v", "blocks, held independent"),
    "H-full": ("#1f77b4", "^", "blocks + free code covariance"),
    "H-par": ("#2ca02c", "P", "blocks + one parameter rho"),
    "LDF": ("black", "*", "trained networks"),
    "joint GAN": ("#ff7f0e", "X", "trained, at its best moment"),
}


# ------------------------------------------------------------------ what was asked for


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--k", type=int, default=5, help="blocks (default 5)")
    add("--d", type=int, default=60, help="numbers in a block (default 60)")
    add("--r", type=int, default=1, help="latent directions of a block (default 1)")
    add("--theta", type=float, default=1.0, help="variance of a latent direction (default 1)")
    add("--sigma", type=float, default=1.0, help="standard deviation of the noise (default 1)")
    add("--rho", type=float, nargs="+", default=[0.0, 0.5, 0.9],
        help="correlation of neighbouring blocks, R_ij = rho^|i-j| (default 0 0.5 0.9)")
    add("--R", metavar="FILE",
        help="a k x k correlation matrix of your own (.npy, .csv or text) instead of --rho")
    add("--unshared", action="store_true",
        help="every block has a W of its own (the networks are left out)")
    add("--n-joint", type=int, nargs="+", default=[30, 100, 256, 1000],
        help="joint samples (default 30 100 256 1000)")
    add("--frames", type=int, default=4000,
        help="marginal frames, of each block with --unshared (default 4000)")
    add("--repeats", type=int, help="repeats of every error curve (default 30, with --quick 5)")
    add("--no-train", action="store_true", help="leave out the networks")
    add("--quick", action="store_true",
        help="fewer repeats and steps: about 10 s instead of about a minute")
    add("--seed", type=int, default=0)
    add("--out", default="out/gaussian_blocks",
        help="folder for pictures and numbers (default out/gaussian_blocks)")
    return parser.parse_args(arguments)


def read_models(options):
    """{setting: model}, one for each dependence; ValueError names a bad parameter."""
    for name, values, least in (("n-joint", options.n_joint, 2), ("frames", [options.frames], 2),
                                ("repeats", [options.repeats or 2], 2),
                                ("seed", [options.seed], 0)):
        if min(values) < least:
            raise ValueError(f"{name}: expected at least {least}, got {min(values)}")
    common = {name: getattr(options, name) for name in ("k", "d", "r", "theta", "sigma", "seed")}
    common["shared"] = not options.unshared
    if options.R:
        return {"R as given": BlockModel(R=read_matrix(options.R), **common)}
    return {f"rho = {rho:g}": BlockModel(rho=rho, **common) for rho in dict.fromkeys(options.rho)}


def read_matrix(path):
    if path.endswith(".npy"):
        return np.load(path, allow_pickle=False)
    return np.loadtxt(path, delimiter="," if path.endswith(".csv") else None, ndmin=2)


# ------------------------------------------------------------------ tables


def print_errors(curves, fit):
    for name, part in curves.items():
        points = [p for p in part["points"] if p["metric"] == "frobenius"]
        ns = sorted({p["n_joint"] for p in points})
        print(
            f"\n{METRIC_NAMES['frobenius']}, {name}: measured mean +- half its 95% interval "
            "(predicted)")
        print(" " * 8 + "".join(f"{f'n_joint = {n}':>26}" for n in ns))
        for estimator in ESTIMATORS:
            row = {p["n_joint"]: p for p in points if p["estimator"] == estimator}
            cells = [
                f"{row[n]['mean']:.4g} +-{row[n]['half_width']:6.2g} ({row[n]['predicted']:6.4g})"
                for n in ns]
            print(f"{estimator:8}" + "".join(f"{cell:>26}" for cell in cells))
    print(
        f"\nOf {fit['points']} measured means (all four errors) {fit['inside']} have their "
        "prediction inside the 95% "
          f"interval; the worst lies {fit['worst_beyond_interval']:.1%} beyond it")


def print_transition(found):
    print(
        f"\nThe weakest theta that can be seen ({found['setting']}), and false alarms of the "
        "Tracy-Widom test at "
          f"{found['level']:.0%}")
    for view, v in found["views"].items():
        print(
            f"  {view:26} theta > {v['threshold_theta']:.3f}   {v['false_alarms']:.3f} in "
            f"{v['null_draws']} draws")


def print_cases(rows):
    print(
        "\nWhen to expect what: squared Frobenius error, measured (predicted), and the theta joint "
        "and block see")
    names = "".join(f"{e:>15}" for e in experiments.COMPARED)
    print(f"{'case':54}{'theta':>6}{'joint':>7}{'block':>7}{names}  best")
    for row in rows:
        cells = [f"{row[e]['mean']:.3f} ({row[e]['predicted']:.2f})" for e in experiments.COMPARED]
        print(
            f"{'  ' * row['indent'] + row['case']:54}{row['theta']:6.2f}{row['joint_threshold']:7.2f}"
              f"{row['block_threshold']:7.2f}" + "".join(f"{cell:>15}" for cell in cells)
              + f"  {row['best']}")


def print_trained(setting, rows):
    print(
        f"\nTrained by gradients, {setting}: squared Frobenius error of the covariance read off "
        "the weights")
    print(
        f"{'n_joint':>8}{'LDF':>9}{'H-full, same data (predicted)':>32}{'ratio':>7}{'joint GAN, best moment':>25}"
          f"{'at the end':>12}{'J1, same data (predicted)':>28}")
    for row in rows:
        error = {name: row[name]["frobenius"] for name in row
                 if name.startswith(("LDF", "H-full", "J1"))}
        error |= {name: row[name]["frobenius"] for name in ("joint GAN", "joint GAN at the end")}
        cells = ((f"{error['LDF']:.3f}", 9),
                 (f"{error['H-full']:.3f} ({error['H-full predicted']:.3f})", 32),
                 (f"{error['LDF'] / error['H-full']:.2f}", 7),
                 (f"{error['joint GAN']:.2f} (step {row['joint GAN best step']})", 25),
                 (f"{error['joint GAN at the end']:.2f}", 12),
                 (f"{error['J1']:.2f} ({error['J1 predicted']:.2f})", 28))
        print(f"{row['n_joint']:8}" + "".join(text.rjust(width) for text, width in cells))


# ------------------------------------------------------------------ for the report


PAPER = (
    "assuming that the dependencies between the factors can be described by a few parameters, one "
    "would only need a "
         "handful of samples from the joint to learn them (Section 3.2)")
FIGURES = [
    ("errors.png", "Error against the number of joint samples: markers measured, lines predicted.",
     "Error curves of all estimators"),
    ("transition.png", "From which signal on it is seen: measured and predicted.",
     "Detection, direction, crossover and ROC"),
    ("where_it_fails.png", "Where the sentence holds and where it fails.",
     "Errors of four estimators in eight cases"),
    ("covariances.png", "The true covariance and five learned ones.", "Six covariance matrices")]


def gap(a, b):
    """[a - b, low, high] of two independent measured means, each with half of its 95% interval."""
    middle, half = a["mean"] - b["mean"], float(np.hypot(a["half_width"], b["half_width"]))
    return [middle, middle - half, middle + half]


def claims(points, setting, rows):
    """Where the paper's sentence holds (few joint samples, one parameter of dependence) and where
    it should not."""
    n = min(p["n_joint"] for p in points)
    few = {p["estimator"]: p for p in points if p["n_joint"] == n and p["metric"] == "frobenius"}
    tested = [(
        f"With {n} joint samples ({setting}) blocks with one parameter of dependence beat joint PCA",
               "H-par minus J1", gap(few["H-par"], few["J1"]))]
    for case, estimator, claim in (
            ("dependence outside the one-parameter family", "H-par",
             "They beat it also where the dependence lies outside the one-parameter family"),
            ("spread signal, own W, no extra marginals", "H-full",
             "Blocks beat it also without marginal frames beyond those of the joint samples")):
        tested += [(claim, f"{estimator} minus J1", gap(row[estimator], row["J1"])) for row in rows
                   if row["case"] == case]
    return [{"claim": claim, "paper": PAPER, "quantity":
             f"squared Frobenius error of the covariance, {quantity}", "interval": interval,
             "verdict": verdict(interval, "below")} for claim, quantity, interval in tested]


def report_tables(curves, rows):
    """Measured errors, [mean, low, high], by joint samples and by case."""
    def cell(q):
        return [q["mean"], q["mean"] - q["half_width"], q["mean"] + q["half_width"]]

    found = {}
    for name, part in curves.items():
        points = {(p["estimator"], p["n_joint"]):
                  p for p in part["points"] if p["metric"] == "frobenius"}
        ns = sorted({n for _, n in points})
        found[f"Squared Frobenius error, {name}"] = {
            "columns": [f"{n} joint samples" for n in ns],
            "rows": {e: [cell(points[e, n]) for n in ns] for e in ESTIMATORS}}
    found["When to expect what"] = {"columns": list(experiments.COMPARED),
                                    "rows": {row["case"]:
                                             [cell(row[e]) for e in experiments.COMPARED]
                                             for row in rows}}
    return found


# ------------------------------------------------------------------ pictures


def canvas(rows, columns, width, height, top=0.6, bottom=0.5, left=0.65, right=0.15,
           between=(0.5, 0.6), **options):
    """A grid of axes, all in inches (Matplotlib's own layout engines take longer than the
    drawing)."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    across = columns * width + (columns - 1) * between[0] + left + right
    down = rows * height + (rows - 1) * between[1] + top + bottom
    place = {"left": left / across, "right": 1 - right / across, "bottom": bottom / down, "top":
             1 - top / down, "wspace": between[0] / width, "hspace": between[1] / height}
    return pyplot.subplots(rows, columns, figsize=(across, down), squeeze=False, gridspec_kw=place,
                           **options)


def draw_errors(path, curves, trained, options):
    """Every error of every estimator against the number of joint samples."""
    figure, axes = canvas(len(METRICS), len(curves), 4.0, 2.7, top=0.85, bottom=1.2,
                          between=(0.12, 0.12), sharex=True, sharey="row")
    ns, labels = sorted(set(options.n_joint)), {}
    for column, (name, part) in enumerate(curves.items()):
        for row, metric in enumerate(METRICS):
            ax = axes[row][column]
            for estimator in ESTIMATORS:
                draw_one_error(ax, part, estimator, metric)
            for estimator in ("LDF", "joint GAN"):
                at = [(q["n_joint"], q[estimator][metric]) for q in trained.get(name, [])]
                if at:
                    colour, mark, meaning = STYLE[estimator]
                    ax.plot(*np.array(at).T, mark, color=colour, markersize=12,
                            markeredgecolor="white", zorder=5, label=f"{estimator}, {meaning}")
            ax.set(xscale="log", yscale="log")
            ax.set_xticks(ns, [str(n) for n in ns])
            ax.minorticks_off()
            ax.grid(alpha=0.25)
            if metric.startswith("kl"):
                where = "up to n_J = p + 1" if metric == "kl_forward" else "below n_J = p"
                ax.text(0.03, 0.95, f"J0 is infinite {where}", transform=ax.transAxes, va="top",
                        fontsize=7, color=STYLE["J0"][0])
            if column == 0:
                ax.set_ylabel(METRIC_NAMES[metric])
            handles, names = ax.get_legend_handles_labels()
            labels |= dict(zip(names, handles, strict=True))
        axes[0][column].set_title(name)
        axes[-1][column].set_xlabel("joint samples n_J")
    figure.legend(labels.values(), labels, loc="lower center", ncols=3 if len(curves) > 1 else 1,
                  frameon=False)
    each = " of each block" if options.unshared else ""
    figure.suptitle(
        f"Learning a covariance of {options.k} blocks of {options.d} from n_J joint samples and "
                    f"{options.frames} marginal frames{each}\nmarkers: mean of {options.repeats} "
                    "repeats, shaded: "
                    "95% confidence, lines: predicted (no fit)", fontsize=11)
    save_figure(path, figure, dpi=100)


def draw_one_error(ax, part, estimator, metric):
    colour, mark, meaning = STYLE[estimator]
    curve = [(q["n_joint"], q[metric]) for q in part["curve"] if q["estimator"] == estimator
             and np.isfinite(q[metric])]
    if curve:
        ax.plot(*np.array(curve).T, color=colour, linewidth=1.2)
    points = [(q["n_joint"], q["mean"], q["half_width"]) for q in part["points"]
              if q["metric"] == metric and q["estimator"] == estimator and np.isfinite(q["mean"])]
    if points:
        x, y, half = np.array(points).T
        ax.fill_between(x, np.maximum(y - half, y / 50), y + half, color=colour, alpha=0.2,
                        linewidth=0)
        ax.plot(x, y, mark, color=colour, markersize=5, label=f"{estimator}, {meaning}")


def draw_transition(path, found, options):
    """Detection, direction, the crossover and the ROC."""
    figure, axes = canvas(2, 2, 5.2, 3.7, top=0.8, between=(0.8, 0.9))
    power, cosine, plane, roc = axes.ravel()
    theta, fine = found["theta"], found["theta_predicted"]
    for (view, v), colour in zip(found["views"].items(), ("#d62728", "#1f77b4", "#ff7f0e"),
                                 strict=False):
        power.plot(theta, v["power"], "o", markersize=3, color=colour, label=view)
        power.plot(fine, v["power_predicted"], color=colour, linewidth=1)
        mean, half = np.array(v["cosine2"]), np.array(v["cosine2_half_width"])
        cosine.fill_between(theta, mean - half, mean + half, color=colour, alpha=0.25, linewidth=0)
        cosine.plot(theta, mean, "o", markersize=3, color=colour, label=view)
        cosine.plot(fine, v["cosine2_predicted"], color=colour, linewidth=1)
        for ax in (power, cosine):
            ax.axvline(v["threshold_theta"], color=colour, linestyle=":", linewidth=1)
        r = v["roc"]
        roc.step(r["false"], r["power"], color=colour, alpha=0.5, where="mid")
        roc.plot(r["false"], r["power_predicted"], color=colour,
                 label=f"{view}, theta = {r['theta']:.2f}")
    power.axhline(found["level"], color="black", linewidth=0.6)
    power.set(xlabel="theta (signal variance of a block)",
              ylabel="share of data sets where it is seen", ylim=(-0.03, 1.03),
              title=f"Is there a signal?  Tracy-Widom test at {found['level']:.0%}")
    cosine.set(xlabel="theta (signal variance of a block)",
               ylabel="cos^2 (estimated, true direction)", ylim=(-0.03, 1.03),
               title="How well is its direction found?")
    roc.plot([0, 1], [0, 1], color="black", linewidth=0.6)
    roc.set(xlabel="false alarms", ylabel="detections", title="ROC at 1.5 times each threshold")
    for ax in (power, cosine, roc):
        ax.legend(fontsize=8, loc="lower right")
    draw_crossover(plane, found["crossover"], options.k)
    figure.suptitle(
        f"The phase transition, {found['setting']}: dots and steps measured, {found['repeats']} "
        "data sets; "
                    "lines predicted, dotted: thresholds", fontsize=11)
    save_figure(path, figure, dpi=100)


def draw_crossover(ax, dots, k):
    share = [q["frames"] / q["n_joint"] for q in dots]
    ratio = np.geomspace(min(0.2, *share) / 1.3, max(300, *share) * 1.3, 200)
    edge = np.clip(crossover_strength(k, ratio, 1), 1, k)
    ax.fill_between(ratio, edge, k, color="#d62728", alpha=0.15, linewidth=0)
    ax.fill_between(ratio, 1, edge, color="#1f77b4", alpha=0.15, linewidth=0)
    ax.plot(ratio, edge, color="black", linewidth=1)
    ax.plot(share, [q["mu_1"] for q in dots], "k.", markersize=6)
    for name in {q["setting"]: None for q in dots}:
        first = min((q for q in dots if q["setting"] == name),
                    key=lambda q: q["frames"] / q["n_joint"])
        ax.annotate(name, (first["frames"] / first["n_joint"], first["mu_1"]),
                    textcoords="offset points", xytext=(0, 5), fontsize=8)
    ax.text(0.03, 0.93, "joint sees the signal first", transform=ax.transAxes, va="top",
            fontsize=9, color="#8c1717")
    ax.text(0.97, 0.12, "blocks see it first", transform=ax.transAxes, ha="right", fontsize=9,
            color="#114a75")
    ax.set(xscale="log", xlabel="marginal frames per joint sample, N_M / n_J",
           ylabel="mu_1, largest eigenvalue of R", ylim=(1 - 0.05 * (k - 1), k),
           title="Crossover: mu_1 = sqrt(k N_M / n_J); dots: this run")


def draw_cases(path, rows, cross):
    """The spread signal against the marginal frames, and all cases as bars."""
    figure, ((left, right),) = canvas(1, 2, 5.6, 4.6, top=0.8, bottom=1.1, between=(2.6, 0))
    left.axhline(cross["J1"], color=STYLE["J1"][0], label=f"J1, {cross['n_joint']} joint samples")
    for (name, line), style in zip(cross["lines"].items(), ("-", "--"), strict=True):
        for estimator in ("H-full", "H-par"):
            colour, mark, _ = STYLE[estimator]
            q = line[estimator]
            left.plot(q["frames"], q["predicted"], style, color=colour,
                      label=f"{estimator}, {name}")
            x, y, half = np.array([(m["frames"], m["mean"], m["half_width"])
                                   for m in q["measured"]]).T
            left.errorbar(x, y, half, fmt=mark, color=colour, markersize=5, linewidth=0.8,
                          markerfacecolor="white" if style == "--" else colour)
        left.axvline(line["threshold"], color="black", linestyle=":", linewidth=1)
        left.text(line["threshold"] * 0.95, 0.1, f"threshold, {name}", rotation=90, fontsize=8,
                  ha="right", va="bottom")
    m = cross["model"]
    left.set(xscale="log", xlabel="marginal frames in all", ylabel="squared Frobenius error",
             ylim=(0, None),
             title=f"A signal spread over {m['k']} blocks (theta = {m['theta']}, rho = {m['rho']})")
    left.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False)

    at = np.arange(len(rows))[::-1]
    for j, estimator in enumerate(experiments.COMPARED):
        colour, _, meaning = STYLE[estimator]
        y, cells = at + 0.2 * (1.5 - j), [row[estimator] for row in rows]
        right.barh(y, [c["mean"] for c in cells], 0.2, color=colour, alpha=0.75,
                   label=f"{estimator}, {meaning}", xerr=[c["half_width"] for c in cells],
                   error_kw={"linewidth": 0.8})
        right.plot([c["predicted"] for c in cells], y, "k|", markersize=7)
    right.set_yticks(at, ["\n".join(row["case"].split(", ")) for row in rows], fontsize=7)
    right.set(xscale="log", xlabel="squared Frobenius error (bars: measured, ticks: predicted)",
              title="When to expect what")
    right.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.3, -0.12), ncols=2,
                 frameon=False)
    figure.suptitle("Where the sentence of Section 3.2 holds, and where it fails", fontsize=11)
    save_figure(path, figure, dpi=100)


def draw_covariances(path, models, options, rng):
    """The true covariance and five learned ones, side by side."""
    name, model = experiments.strongest(models)
    n_joint = sorted(options.n_joint)[:2][-1]
    fitted = estimators.all_estimates(model, n_joint, options.frames, rng)
    truth, k, d = model.covariance(), model.k, model.d
    order = np.concatenate([i * d + np.argsort(model.W[i, :, 0]) for i in range(k)])
    limit = 0.6 * np.abs(truth.dense() - model.sigma**2 * np.eye(model.p)).max()
    figure, axes = canvas(2, 3, 3.5, 3.5, top=1.2, bottom=0.3, left=0.3, right=1.3,
                          between=(0.3, 0.7))
    panels = {"truth": truth} | {e: fitted[e] for e in ("J0", *experiments.COMPARED)}
    for ax, (label, covariance) in zip(axes.ravel(), panels.items(), strict=True):
        matrix = covariance.dense()[np.ix_(order, order)] - model.sigma**2 * np.eye(model.p)
        image = ax.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        if label != "truth":
            error = gaussian.errors(covariance, truth, ("frobenius",))["frobenius"]
            label = f"{label}: {STYLE[label][2].removeprefix('joint: ')}\nsquared error {error:.3g}"
        ax.set_title(label, fontsize=10)
        middle = np.arange(k) * d + d / 2 - 0.5
        ax.set_xticks(middle, [f"block {i + 1}" if k <= 6 else str(i + 1) for i in range(k)],
                      fontsize=7)
        ax.set_yticks(middle, [str(i + 1) for i in range(k)], fontsize=7)
        for edge in np.arange(1, k) * d - 0.5:
            ax.axhline(edge, color="black", linewidth=0.3)
            ax.axvline(edge, color="black", linewidth=0.3)
    bar = figure.add_axes((0.915, 0.25, 0.015, 0.5))
    figure.colorbar(image, cax=bar, label="covariance, less the noise sigma^2 I")
    figure.suptitle(
        f"Covariances learned from {n_joint} joint samples (J0, J1), or from these and "
        f"{options.frames} "
                    f"frames (H0, H-full, H-par), {name}\nrows and columns sorted in each block by "
                    "the true direction",
                    fontsize=11)
    save_figure(path, figure, dpi=100)


# ------------------------------------------------------------------ all of it


def timed(function, *inputs):
    """(result, seconds)."""
    begin = time.perf_counter()
    return function(*inputs), round(time.perf_counter() - begin, 2)


def work(jobs, beside):
    """({name: result}, {name: seconds}) of {name: (function, *inputs)}; those in ``beside`` in a
    second process."""
    start = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(1, mp_context=start) if beside else nullcontext() as pool:
        later = {name: pool.submit(timed, *jobs[name]) for name in beside}
        done = {name: timed(*job) for name, job in jobs.items() if name not in later}
        done |= {name: future.result() for name, future in later.items()}
    return {name: result for name, (result, _) in done.items()}, {
        name: taken for name, (_, taken) in done.items()}


def jsonable(value):
    """JSON knows no infinity: it becomes the text "inf"."""
    if isinstance(value, dict):
        return {key: jsonable(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def main(arguments=None):
    options = parse(arguments)
    try:
        models = read_models(options)
    except (ValueError, OSError) as error:
        print(f"gaussian_blocks.py: {error}", file=sys.stderr)
        return 2
    effort = experiments.QUICK if options.quick else experiments.FULL
    effort = replace(effort, repeats=options.repeats or effort.repeats)
    options.repeats, ns = effort.repeats, sorted(set(options.n_joint))
    start, seed = time.perf_counter(), options.seed
    # one for each job, so that none depends on another
    *streams, last = np.random.default_rng(seed).spawn(6)
    setting, model = experiments.strongest(models)
    some = ns[-2:][:1] if options.quick else ns
    jobs = {
        "curves": (experiments.error_curves, models, ns, options.frames, effort, streams[0]),
        "transition": (experiments.transition, models, ns, options.frames, effort, streams[1]),
        "cases": (experiments.cases, effort, streams[2], seed),
        "crossing": (experiments.crossing, effort, streams[3], seed),
        "networks": (linear_ldf.compare, model, some, options.frames, effort.steps, streams[4],
                     seed),
    }
    if options.no_train or not model.shared:
        del jobs["networks"]
    print(
        f"{options.k} blocks of {options.d}, r = {options.r}, theta = {options.theta:g}, sigma = "
        f"{options.sigma:g}, "
          f"{options.frames} marginal frames, {options.repeats} repeats, seed {seed}", flush=True)
    found, seconds = work(jobs, ("networks", "cases", "crossing") if "networks" in jobs else ())
    fit = experiments.agreement(found["curves"])
    trained = {setting: found.get("networks", [])}
    print_errors(found["curves"], fit)
    print_transition(found["transition"])
    print_cases(found["cases"])
    if trained[setting]:
        print_trained(setting, trained[setting])

    begin = time.perf_counter()
    work({"errors": (draw_errors, os.path.join(options.out, "errors.png"), found["curves"],
                     trained, options),
          "transition": (draw_transition, os.path.join(options.out, "transition.png"),
                         found["transition"], options),
          "cases": (draw_cases, os.path.join(options.out, "where_it_fails.png"), found["cases"],
                    found["crossing"]),
          "covariances": (draw_covariances, os.path.join(options.out, "covariances.png"), models,
                          options, last)},
         beside=("errors",))
    seconds["pictures"] = round(time.perf_counter() - begin, 2)
    seconds["total"] = round(time.perf_counter() - start, 2)
    tested = claims(found["curves"][setting]["points"], setting, found["cases"])
    save_results(options, title="Gaussian blocks: Section 3.2 in closed form and measured",
                 claims=tested, tables=report_tables(found["curves"], found["cases"]),
                 figures=FIGURES, seconds=seconds["total"],
                 **jsonable({"seed": seed, "parts": seconds, "errors": found["curves"],
                             "agreement": fit,
                             "transition": found["transition"], "cases": found["cases"],
                             "crossing": found["crossing"],
                             "trained": trained}))
    print()
    print_claims(tested)
    print(f"\n{seconds['total']:.1f} s; pictures and results.json in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
