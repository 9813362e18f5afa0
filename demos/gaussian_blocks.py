"""Section 3.2 of the paper as an exact test: how many joint samples do blocks save?  Draws and prints; the mathematics is in ldf_np.gaussian*.

python demos/gaussian_blocks.py --quick          pictures, tables and results.json in out/gaussian_blocks
python demos/gaussian_blocks.py --k 8 --d 50 --theta 0.35 --rho 0.95 --unshared
"""

import os

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # these matrices are small: BLAS's threads only get in each other's way

import argparse
import json
import platform
import sys
import time

import numpy as np
import scipy
from scipy.stats import t as student

import ldf_np
from ldf_np import gaussian, gaussian_curves, gaussian_theory, linear_ldf
from ldf_np.files import replacing
from ldf_np.gaussian import METRIC_NAMES, METRICS, BlockModel
from ldf_np.gaussian_curves import ESTIMATORS

MEANING = {
    "J0": "joint: sample covariance",
    "LW": "joint: Ledoit-Wolf shrinkage",
    "J1": "joint: PCA, optimal shrinkage",
    "H0": "blocks, held independent",
    "H-full": "blocks + free code covariance",
    "H-par": "blocks + one parameter rho",
}
COLOUR = {"J0": "#7f7f7f", "LW": "#bcbd22", "J1": "#d62728", "H0": "#9467bd", "H-full": "#1f77b4", "H-par": "#2ca02c"}
MARK = {"J0": "s", "LW": "D", "J1": "o", "H0": "v", "H-full": "^", "H-par": "P"}
SPIKED = ("J1", "H0", "H-full", "H-par")  # the estimators worth comparing


def arguments(argv=None):
    p = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    p.add_argument("--k", type=int, default=5, help="blocks")
    p.add_argument("--d", type=int, default=60, help="numbers in a block")
    p.add_argument("--r", type=int, default=1, help="latent directions of a block")
    p.add_argument("--theta", type=float, default=1.0, help="variance of a latent direction")
    p.add_argument("--sigma", type=float, default=1.0, help="standard deviation of the noise")
    p.add_argument(
        "--rho",
        type=float,
        nargs="+",
        default=[0.0, 0.5, 0.9],
        help="correlation of neighbouring blocks, R_ij = rho^|i-j|",
    )
    p.add_argument(
        "--R", metavar="FILE", help="a k x k correlation matrix of your own (.npy, or text) instead of --rho"
    )
    p.add_argument("--unshared", action="store_true", help="every block has its own W")
    p.add_argument("--n-joint", type=int, nargs="+", default=[30, 100, 256, 1000], help="numbers of joint samples")
    p.add_argument("--frames", type=int, default=4000, help="marginal frames (for each block, with --unshared)")
    p.add_argument("--repeats", type=int, help="repeats of every measurement (default 30, or 8 with --quick)")
    p.add_argument("--no-train", action="store_true", help="leave out the networks")
    p.add_argument("--quick", action="store_true", help="fewer repeats and steps: about 10 s instead of a minute")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", default="out/gaussian_blocks", help="folder for the pictures and results.json")
    a = p.parse_args(argv)
    a.repeats = a.repeats if a.repeats is not None else (8 if a.quick else 30)
    return a


def read_matrix(path):
    return (
        np.load(path, allow_pickle=False)
        if path.endswith(".npy")
        else np.loadtxt(path, delimiter="," if path.endswith(".csv") else None)
    )


def models(a):
    """{name of the setting: model}, one for each dependence asked for; raises ValueError for a bad parameter."""
    for name, values, least in (
        ("n-joint", a.n_joint, 2),
        ("frames", [a.frames], 2),
        ("repeats", [a.repeats], 2),
        ("seed", [a.seed], 0),
    ):
        if min(values) < least:
            raise ValueError(f"{name} must be at least {least}, got {min(values)}")
    common = dict(k=a.k, d=a.d, r=a.r, theta=a.theta, sigma=a.sigma, shared=not a.unshared, seed=a.seed)
    if a.R:
        return {"R from file": BlockModel(R=read_matrix(a.R), **common)}
    return {f"rho = {rho:g}": BlockModel(rho=rho, **common) for rho in dict.fromkeys(a.rho)}


def interval(values):
    """Mean and half-width of its 95% confidence interval (Student's t over repeats); both inf where an error is infinite."""
    values = np.asarray(values)
    if not np.all(np.isfinite(values)):
        return float("inf"), float("inf")
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(half)


# ------------------------------------------------------------------ 1. error against the number of joint samples


def error_curves(a, settings, rng):
    grid = sorted(set(np.geomspace(min(a.n_joint), max(a.n_joint), 5 if a.quick else 14).astype(int)) | set(a.n_joint))
    found = {}
    for name, model in settings.items():
        measured = gaussian.measure(model, sorted(a.n_joint), a.frames, a.repeats, rng)
        curve = {int(n): gaussian_curves.predict(model, int(n), a.frames, draws=40 if a.quick else 150) for n in grid}
        found[name] = {
            "points": [
                dict(
                    n_joint=n,
                    estimator=e,
                    metric=m,
                    mean=interval(v)[0],
                    half_width=interval(v)[1],
                    median=float(np.median(v)),
                    predicted=curve[n][e][m],
                )
                for n, table in measured.items()
                for e, row in table.items()
                for m, v in row.items()
            ],
            "closed_form": [
                dict(n_joint=n, estimator=e, frobenius=v)
                for n in sorted(a.n_joint)
                for e, v in {
                    "J1": gaussian_curves.pca_limit(model, n),
                    **gaussian_curves.block_limit(model, n, a.frames),
                }.items()
            ],
            "curve": [
                dict(n_joint=n, estimator=e, metric=m, predicted=v)
                for n, table in curve.items()
                for e, row in table.items()
                for m, v in row.items()
            ],
        }
    return found


def print_errors(found, metric="frobenius"):
    for name, part in found.items():
        points = [q for q in part["points"] if q["metric"] == metric]
        print(f"\n{METRIC_NAMES[metric]}, {name}: measured mean +- 95% half-width (predicted)")
        ns = sorted({q["n_joint"] for q in points})
        print(" " * 8 + "".join(f"{'n_joint = ' + str(n):>26}" for n in ns))
        for e in ESTIMATORS:
            cells = {q["n_joint"]: q for q in points if q["estimator"] == e}
            print(
                f"{e:8}"
                + "".join(
                    f"{cells[n]['mean']:10.4g} +-{cells[n]['half_width']:6.2g} ({cells[n]['predicted']:6.4g})".rjust(26)
                    for n in ns
                )
            )


def agreement(found):
    """How often a predicted mean lies in the measured one's 95% interval, and the largest distance in per cent."""
    points = [
        dict(q, setting=name)
        for name, part in found.items()
        for q in part["points"]
        if np.isfinite(q["mean"]) and np.isfinite(q["predicted"])
    ]
    inside = sum(abs(q["mean"] - q["predicted"]) <= q["half_width"] for q in points)
    beyond = lambda q: max(abs(q["mean"] - q["predicted"]) - q["half_width"], 0) / q["predicted"]
    worst = max(points, key=beyond)
    return {
        "points": len(points),
        "inside": inside,
        "worst_beyond_interval": beyond(worst),
        "worst": {
            key: worst[key] for key in ("setting", "n_joint", "estimator", "metric", "mean", "half_width", "predicted")
        },
    }


def draw_errors(path, found, trained, a):
    figure, axes = canvas(
        len(METRICS), len(found), 4.0, 2.7, top=0.85, bottom=1.2, between=(0.12, 0.12), sharex=True, sharey="row"
    )
    handles = ([], [])
    for column, (name, part) in enumerate(found.items()):
        for row, metric in enumerate(METRICS):
            ax = axes[row][column]
            for e in ESTIMATORS:
                curve = [
                    (q["n_joint"], q["predicted"])
                    for q in part["curve"]
                    if q["metric"] == metric and q["estimator"] == e
                ]
                points = [
                    (q["n_joint"], q["mean"], q["half_width"])
                    for q in part["points"]
                    if q["metric"] == metric and q["estimator"] == e and np.isfinite(q["mean"])
                ]
                x, y = np.array(curve).T
                ax.plot(x[np.isfinite(y)], y[np.isfinite(y)], color=COLOUR[e], linewidth=1.2)
                if points:
                    x, y, half = np.array(points).T
                    ax.fill_between(x, np.maximum(y - half, y / 50), y + half, color=COLOUR[e], alpha=0.2, linewidth=0)
                    ax.plot(x, y, MARK[e], color=COLOUR[e], markersize=5, label=f"{e}  {MEANING[e]}")
            for e, mark, colour, label in (
                ("LDF", "*", "black", "LDF, trained networks"),
                ("joint GAN", "X", "#ff7f0e", "joint GAN, trained, at its best moment"),
            ):
                points = [(q["n_joint"], q[e][metric]) for q in trained if q["setting"] == name]
                if points:
                    ax.plot(
                        *np.array(points).T,
                        mark,
                        color=colour,
                        markersize=12,
                        markeredgecolor="white",
                        label=label,
                        zorder=5,
                    )
            ax.set(xscale="log", yscale="log")
            ax.set_xticks(sorted(a.n_joint), [str(n) for n in sorted(a.n_joint)])
            ax.minorticks_off()
            ax.grid(alpha=0.25)
            if row == 0:
                ax.set_title(name)
                handles = max(handles, ax.get_legend_handles_labels(), key=lambda h: len(h[1]))
            if column == 0:
                ax.set_ylabel(METRIC_NAMES[metric])
            if metric.startswith("kl"):
                ax.text(
                    0.03,
                    0.95,
                    "J0 is infinite up to n_J = p + 1" if metric == "kl_forward" else "J0 is infinite below n_J = p",
                    transform=ax.transAxes,
                    va="top",
                    fontsize=7,
                    color=COLOUR["J0"],
                )
            if row == len(METRICS) - 1:
                ax.set_xlabel("joint samples n_J")
    figure.legend(*handles, loc="lower center", ncols=3 if len(found) > 1 else 1, frameon=False)
    figure.suptitle(
        f"Learning a covariance of {a.k} blocks of {a.d} from n_J joint samples and {a.frames} marginal frames\n"
        f"markers: mean of {a.repeats} repeats, shaded: 95% confidence, lines: predicted (no fit)",
        fontsize=11,
    )
    save(figure, path)


# ------------------------------------------------------------------ 2. the phase transition


def transition(a, settings, rng, level=0.05):
    """Detection of the top spike against theta: jointly with n_J samples, in a block with the frames, in a block without extra."""
    name, model = max(settings.items(), key=lambda s: s[1].mu[0])
    n_joint = sorted(a.n_joint)[-2] if len(a.n_joint) > 1 else a.n_joint[0]
    repeats = 24 if a.quick else 160
    mu, unit = model.mu, model.sigma**2
    views = {
        f"joint, {n_joint} samples": (np.repeat(mu, model.r), n_joint, model.p),
        f"one block, {a.frames} frames": (np.ones(model.r), a.frames, model.d),
        f"one block, {n_joint} frames": (np.ones(model.r), n_joint, model.d),
    }
    thresholds = {view: float(unit * np.sqrt(p / n) / shape[0]) for view, (shape, n, p) in views.items()}
    grid = np.linspace(0, 1.6 * max(thresholds.values()), 25)[1:]
    found = {
        "setting": name,
        "n_joint": n_joint,
        "level": level,
        "theta": grid.tolist(),
        "repeats": repeats,
        "views": {},
    }
    for view, (shape, n, p) in views.items():
        chosen = 1.5 * thresholds[view]  # the theta of the ROC
        runs = [
            gaussian.top_eigenvalues(np.outer(np.append(grid, chosen) / unit, shape), n, p, rng) for _ in range(repeats)
        ]
        value, cosine2 = (np.array(part) for part in zip(*runs))
        value, cosine2, detected = value[:, :-1], cosine2[:, :-1], value[:, -1]
        critical = gaussian_theory.critical_eigenvalue(n, p, level)
        strength = grid / unit * shape[0]
        null = gaussian.white_top_eigenvalues(n, p, 500 if a.quick else 3000, rng)
        false = np.linspace(0.01, 0.99, 15 if a.quick else 50)
        cut = np.quantile(null, 1 - false)
        crossing = np.array([gaussian_theory.critical_eigenvalue(n, p, q) for q in false])
        top = chosen / unit * shape[0]
        spread = gaussian_theory.spike_spread(top, p / n, n)
        found["views"][view] = {
            "n": n,
            "p": p,
            "threshold_theta": thresholds[view],
            "critical_eigenvalue": critical,
            "false_alarms": float(np.mean(null > critical)),
            "null_draws": len(null),
            "power": np.mean(value > critical, axis=0).tolist(),
            "power_predicted": gaussian_theory.detection_power(strength, n, p, level).tolist(),
            "cosine2": cosine2.mean(axis=0).tolist(),
            "cosine2_half_width": [interval(c)[1] for c in cosine2.T],
            "cosine2_predicted": gaussian_theory.spike_cosine2(strength, p / n).tolist(),
            "roc": {
                "theta": chosen,
                "false": false.tolist(),
                "power": [float(np.mean(detected > c)) for c in cut],
                "power_predicted": scipy.stats.norm.sf(
                    crossing, gaussian_theory.spike_eigenvalue(top, p / n), spread
                ).tolist(),
            },
        }
    found["crossover"] = [
        dict(
            setting=s,
            mu_1=float(m.mu[0]),
            n_joint=int(n),
            frames=a.frames,
            crossover=float(gaussian_theory.crossover_strength(m.k, a.frames, n)),
            first="blocks" if m.mu[0] < gaussian_theory.crossover_strength(m.k, a.frames, n) else "joint",
        )
        for s, m in settings.items()
        for n in sorted(a.n_joint)
    ]
    return found


def print_transition(found):
    print(
        f"\nThe weakest theta that can be seen ({found['setting']}; Baik-Ben Arous-Peche), and the false alarms of the Tracy-Widom test at {found['level']:.0%}"
    )
    for view, v in found["views"].items():
        print(
            f"  {view:26} theta > {v['threshold_theta']:.3f}   false alarms {v['false_alarms']:.3f} in {v['null_draws']} draws of pure noise"
        )


def draw_transition(path, found, settings, a):
    figure, axes = canvas(2, 2, 5.2, 3.7, top=0.8, between=(0.8, 0.9))
    (power, cosine), (map_, roc) = axes
    theta = np.array(found["theta"])
    for (view, v), colour in zip(found["views"].items(), ("#d62728", "#1f77b4", "#ff7f0e")):
        power.plot(theta, v["power"], "o", markersize=3, color=colour, label=view)
        power.plot(theta, v["power_predicted"], color=colour, linewidth=1)
        c, h = np.array(v["cosine2"]), np.array(v["cosine2_half_width"])
        cosine.fill_between(theta, c - h, c + h, color=colour, alpha=0.25, linewidth=0)
        cosine.plot(theta, c, "o", markersize=3, color=colour)
        cosine.plot(theta, v["cosine2_predicted"], color=colour, linewidth=1, label=view)
        for ax in (power, cosine):
            ax.axvline(v["threshold_theta"], color=colour, linestyle=":", linewidth=1)
        r = v["roc"]
        roc.step(r["false"], r["power"], color=colour, alpha=0.5, where="mid")
        roc.plot(
            r["false"], r["power_predicted"], color=colour, linewidth=1.2, label=f"{view}, theta = {r['theta']:.2f}"
        )
    power.axhline(found["level"], color="black", linewidth=0.6)
    power.set(
        xlabel="theta (signal variance of a block)",
        ylabel="share of data sets where it is seen",
        ylim=(-0.03, 1.03),
        title=f"Is there a signal?  Tracy-Widom test at {found['level']:.0%}",
    )
    cosine.set(
        xlabel="theta (signal variance of a block)",
        ylabel="cos^2 (estimated, true direction)",
        ylim=(-0.03, 1.03),
        title="How well is its direction found?",
    )
    roc.plot([0, 1], [0, 1], color="black", linewidth=0.6)
    roc.set(xlabel="false alarms", ylabel="detections", title="ROC at 1.5 times each threshold")
    for ax, place in ((power, "lower right"), (cosine, "lower right"), (roc, "lower right")):
        ax.legend(fontsize=8, loc=place)
    ratio = np.geomspace(0.2, 300, 200)
    k = a.k
    edge = gaussian_theory.crossover_strength(k, ratio, 1)
    map_.fill_between(ratio, np.minimum(edge, k), k, color="#d62728", alpha=0.15, linewidth=0)
    map_.fill_between(ratio, 1, np.clip(edge, 1, k), color="#1f77b4", alpha=0.15, linewidth=0)
    map_.plot(ratio, edge, color="black", linewidth=1)
    map_.text(
        0.03, 0.93, "joint sees the signal first", transform=map_.transAxes, va="top", fontsize=9, color="#8c1717"
    )
    map_.text(0.97, 0.07, "blocks see it first", transform=map_.transAxes, ha="right", fontsize=9, color="#114a75")
    for q in found["crossover"]:
        map_.plot(q["frames"] / q["n_joint"], q["mu_1"], "k.", markersize=6)
    for s, m in settings.items():
        map_.annotate(s, (a.frames / max(a.n_joint), m.mu[0]), textcoords="offset points", xytext=(0, 5), fontsize=8)
    map_.set(
        xscale="log",
        xlabel="marginal frames per joint sample, N_M / n_J",
        ylabel="mu_1, largest eigenvalue of R",
        ylim=(0.8, k),
        title="Crossover: mu_1 = sqrt(k N_M / n_J); dots: this run",
    )
    figure.suptitle(
        f"The phase transition, {found['setting']}: dots measured ({found['repeats']} repeats), lines predicted, dotted: thresholds",
        fontsize=11,
    )
    save(figure, path)


# ------------------------------------------------------------------ 3. where the paper's sentence fails

SPREAD = dict(k=8, d=50, theta=0.35)
CASES = [  # (what, model, n_joint, frames, reused, what to expect)
    ("spread signal, own W, no extra marginals", dict(SPREAD, rho=0.95, shared=False), 200, 200, False),
    ("  the same, frames cut from the joint samples", dict(SPREAD, rho=0.95, shared=False), 200, 200, True),
    ("  own W, 20 times the marginals", dict(SPREAD, rho=0.95, shared=False), 200, 4000, False),
    ("  shared W, as many fresh frames as the samples hold", dict(SPREAD, rho=0.95), 200, 1600, False),
    ("  shared W, frames cut from the joint samples", dict(SPREAD, rho=0.95), 200, 1600, True),
    ("strong dependence, shared W, many marginals", dict(k=5, d=60, theta=1.0, rho=0.9), 100, 4000, False),
    ("no dependence, shared W, many marginals", dict(k=5, d=60, theta=1.0, rho=0.0), 100, 4000, False),
    (
        "dependence outside the one-parameter family",
        dict(k=4, d=60, theta=1.0, R=[[1, 0, 0, 0.8], [0, 1, 0.8, 0], [0, 0.8, 1, 0], [0.8, 0, 0, 1]]),
        1000,
        4000,
        False,
    ),
]


def failures(a, rng):
    rows = []
    for what, settings, n_joint, frames, reused in CASES:
        model = BlockModel(seed=a.seed, **settings)
        measured = gaussian.measure(
            model, [n_joint], frames, 4 if a.quick else 20, rng, reused=reused, metrics=("frobenius",)
        )[n_joint]
        predicted = gaussian_curves.predict(model, n_joint, frames, reused, draws=100)
        row = {
            "case": what.strip(),
            "indent": what.startswith(" "),
            "n_joint": n_joint,
            "frames": frames,
            "reused": reused,
            **{key: np.asarray(v).tolist() for key, v in settings.items()},
            "mu_1": float(model.mu[0]),
            "joint_threshold": float(np.sqrt(model.p / n_joint) / model.mu[0]),
            "block_threshold": float(np.sqrt(model.d / frames)),
        }
        for e in ESTIMATORS:
            mean, half = interval(measured[e]["frobenius"])
            row[e] = {"mean": mean, "half_width": half, "predicted": predicted[e]["frobenius"]}
        best = min(SPIKED, key=lambda e: row[e]["mean"])
        row["best"], row["best_predicted"] = best, min(SPIKED, key=lambda e: row[e]["predicted"])
        rows.append(row)
    return rows


def print_failures(rows):
    print(
        "\nWhen to expect what: squared Frobenius error, measured (predicted); thresholds are the theta that joint and block can see"
    )
    print(f"{'case':54}{'theta':>6}{'joint':>7}{'block':>7}" + "".join(f"{e:>16}" for e in SPIKED) + "  best")
    for row in rows:
        print(
            f"{('  ' if row['indent'] else '') + row['case']:54}{row['theta']:6.2f}{row['joint_threshold']:7.2f}{row['block_threshold']:7.2f}"
            + "".join(f"{row[e]['mean']:8.3f} ({row[e]['predicted']:.2f})".rjust(16) for e in SPIKED)
            + f"  {row['best']}"
        )


def crossing(a, rng):
    """The first case again, against the number of marginal frames: where the hierarchy overtakes the joint estimate."""
    n_joint = 200
    lines = {"own W": False, "shared W": True}
    grid = np.unique(np.geomspace(100, 10000, 9 if a.quick else 17).astype(int))
    found = {"n_joint": n_joint, "model": dict(SPREAD, rho=0.95), "lines": {}}
    for name, shared in lines.items():
        model = BlockModel(**SPREAD, rho=0.95, shared=shared, seed=a.seed)
        curve = {int(n): gaussian_curves.predict(model, n_joint, int(n), draws=40 if a.quick else 150) for n in grid}
        dots = {
            n: gaussian.measure(model, [n_joint], n, 6 if a.quick else 30, rng, joint=False, metrics=("frobenius",))[
                n_joint
            ]
            for n in (200, 600, 1600, 4000)
        }
        dictionaries = 1 if shared else model.k  # each has the frames of its own
        found["lines"][name] = {
            e: {
                "frames": [int(n) * dictionaries for n in grid],
                "predicted": [curve[int(n)][e]["frobenius"] for n in grid],
                "measured": [
                    dict(
                        frames=n * dictionaries,
                        mean=interval(d[e]["frobenius"])[0],
                        half_width=interval(d[e]["frobenius"])[1],
                    )
                    for n, d in dots.items()
                ],
            }
            for e in ("H-full", "H-par")
        }
        found["J1"] = curve[int(grid[0])]["J1"]["frobenius"]
        found["lines"][name]["threshold"] = SPREAD["d"] / SPREAD["theta"] ** 2 * dictionaries
    return found


def draw_failures(path, rows, cross):
    figure, ((left, right),) = canvas(1, 2, 5.6, 4.6, top=0.8, bottom=1.1, between=(2.6, 0))
    left.axhline(cross["J1"], color=COLOUR["J1"], label=f"J1, {cross['n_joint']} joint samples")
    for (name, line), style in zip(cross["lines"].items(), ("-", "--")):
        for e in ("H-full", "H-par"):
            q = line[e]
            left.plot(q["frames"], q["predicted"], style, color=COLOUR[e], label=f"{e}, {name}")
            x, y, half = np.array([(m["frames"], m["mean"], m["half_width"]) for m in q["measured"]]).T
            left.errorbar(
                x,
                y,
                half,
                fmt=MARK[e],
                color=COLOUR[e],
                markersize=5,
                linewidth=0.8,
                markerfacecolor="white" if style == "--" else COLOUR[e],
            )
        left.axvline(line["threshold"], color="black", linestyle=":", linewidth=1)
        left.text(line["threshold"] * 0.95, 0.1, f"threshold, {name}", rotation=90, fontsize=8, ha="right", va="bottom")
    model = cross["model"]
    left.set(
        xscale="log",
        xlabel="marginal frames in all",
        ylabel="squared Frobenius error",
        ylim=(0, 7.3),
        title=f"A signal spread over {model['k']} blocks (theta = {model['theta']}, rho = {model['rho']})",
    )
    left.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False)
    height = 0.2
    at = np.arange(len(rows))[::-1]
    for j, e in enumerate(SPIKED):
        y = at + (1.5 - j) * height
        right.barh(
            y,
            [row[e]["mean"] for row in rows],
            height,
            color=COLOUR[e],
            alpha=0.75,
            label=f"{e}  {MEANING[e]}",
            xerr=[row[e]["half_width"] for row in rows],
            error_kw={"linewidth": 0.8},
        )
        right.plot([row[e]["predicted"] for row in rows], y, "k|", markersize=7)
    right.set_yticks(at, ["\n".join(row["case"].split(", ")) for row in rows], fontsize=7)
    right.set(
        xscale="log", xlabel="squared Frobenius error (bars: measured, ticks: predicted)", title="When to expect what"
    )
    right.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.3, -0.12), ncols=2, frameon=False)
    figure.suptitle("Where the sentence of Section 3.2 holds, and where it fails", fontsize=11)
    save(figure, path)


# ------------------------------------------------------------------ the same, trained


def train_networks(a, settings, rng):
    """LDF and a joint GAN, linear and trained by this library, on the data of the strongest dependence."""
    name, model = max(settings.items(), key=lambda s: s[1].mu[0])
    if not model.shared:
        return []
    truth, unit = model.covariance(), model.sigma
    frames, objects = model.frames(a.frames, rng), model.joint_samples(max(a.n_joint), rng)
    blocks = gaussian.learn_blocks(frames, model.r, model.sigma)
    scaled = lambda c: gaussian.errors(gaussian.Covariance(c.basis, c.core * unit**2, c.tail * unit**2), truth)
    steps = {"frames": 300, "top": 300, "joint": 320} if a.quick else {"frames": 500, "top": 500, "joint": 600}
    begin = time.perf_counter()
    ali = linear_ldf.linear_ali(model.d, model.r, a.seed)
    linear_ldf.fit_frames(ali, (frames[0] / unit).astype(np.float32), steps["frames"])
    bottom, rows = time.perf_counter() - begin, []
    ns = sorted(a.n_joint)
    for n in ns[-2:-1] or ns if a.quick else ns:
        x = (objects[:n] / unit).astype(np.float32)
        begin = time.perf_counter()
        ldf = linear_ldf.linear_ldf(ali, model.k, model.r, a.seed)
        linear_ldf.fit_top(ldf, x, steps["top"])
        middle = time.perf_counter()
        joint = linear_ldf.linear_joint_gan(model.p, model.k * model.r, a.seed)
        path = {}

        def watch(history):
            if history.steps % 20 == 0:
                path[history.steps] = scaled(linear_ldf.gan_covariance(joint))

        joint.fit(x.reshape(n, -1), steps=steps["joint"], batch_size=min(128, n), callback=watch)
        best = min(path, key=lambda step: path[step]["frobenius"])
        analytic = {
            **gaussian.joint_estimates(objects[:n], model.sigma),
            **gaussian.hierarchical_estimates(objects[:n], blocks, model.sigma),
        }
        predicted = gaussian_curves.predict(model, n, a.frames, draws=60)
        rows.append(
            {
                "setting": name,
                "n_joint": n,
                "steps": steps,
                "LDF": scaled(linear_ldf.ldf_covariance(ldf)),
                "joint GAN": path[best],
                "joint GAN best step": best,
                "joint GAN at the end": path[max(path)],
                **{e: gaussian.errors(analytic[e], truth) for e in ("H-full", "J1")},
                **{f"{e} predicted": predicted[e]["frobenius"] for e in ("H-full", "J1")},
                "seconds": {
                    "frames": round(bottom, 2),
                    "top": round(middle - begin, 2),
                    "joint": round(time.perf_counter() - middle, 2),
                },
            }
        )
    return rows


def print_trained(rows):
    if not rows:
        print("\nThe networks share one W over blocks: with --unshared they are left out")
        return
    print(
        f"\nTrained by gradients, {rows[0]['setting']}, squared Frobenius error; the covariances are read off the weights"
    )
    print(
        f"{'n_joint':>8}{'LDF':>9}{'H-full, same data (predicted)':>32}{'ratio':>7}{'joint GAN, best moment':>25}{'at the end':>12}{'J1, same data (predicted)':>28}"
    )
    for q in rows:
        full, j1 = q["H-full"]["frobenius"], q["J1"]["frobenius"]
        print(
            f"{q['n_joint']:8}{q['LDF']['frobenius']:9.3f}"
            + f"{full:.3f} ({q['H-full predicted']:.3f})".rjust(32)
            + f"{q['LDF']['frobenius'] / full:7.2f}"
            + f"{q['joint GAN']['frobenius']:.2f} (step {q['joint GAN best step']})".rjust(25)
            + f"{q['joint GAN at the end']['frobenius']:12.2f}"
            + f"{j1:.2f} ({q['J1 predicted']:.2f})".rjust(28)
        )


# ------------------------------------------------------------------ 4. pictures of matrices


def draw_covariances(path, a, settings, rng):
    name, model = max(settings.items(), key=lambda s: s[1].mu[0])
    n_joint = sorted(a.n_joint)[min(1, len(a.n_joint) - 1)]
    truth = model.covariance()
    fitted = gaussian.all_estimates(model, n_joint, a.frames, rng)
    order = np.concatenate([i * model.d + np.argsort(model.W[i, :, 0]) for i in range(model.k)])
    panels = [("truth", truth)] + [
        (f"{e}: {MEANING[e].split(': ')[-1]}", fitted[e]) for e in ("J0", "J1", "H0", "H-full", "H-par")
    ]
    figure, axes = canvas(2, 3, 3.5, 3.5, top=1.2, bottom=0.3, left=0.3, right=1.3, between=(0.3, 0.7))
    off = truth.dense() - model.sigma**2 * np.eye(model.p)
    limit = float(np.abs(off).max()) * 0.6
    for ax, (title, covariance) in zip(np.ravel(axes), panels):
        matrix = covariance.dense()[np.ix_(order, order)] - model.sigma**2 * np.eye(model.p)
        image = ax.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        error = "" if title == "truth" else f"\nsquared error {gaussian.errors(covariance, truth)['frobenius']:.3g}"
        ax.set_title(title + error, fontsize=10)
        ax.set_xticks(
            np.arange(model.k) * model.d + model.d / 2, [f"block {i + 1}" for i in range(model.k)], fontsize=7
        )
        ax.set_yticks(np.arange(model.k) * model.d + model.d / 2, [str(i + 1) for i in range(model.k)], fontsize=7)
        for i in range(1, model.k):
            ax.axhline(i * model.d - 0.5, color="black", linewidth=0.3)
            ax.axvline(i * model.d - 0.5, color="black", linewidth=0.3)
    figure.colorbar(image, cax=figure.add_axes((0.915, 0.25, 0.015, 0.5)), label="covariance, less the noise sigma^2 I")
    figure.suptitle(
        f"Covariances learned from {n_joint} joint samples (joint) or these and {a.frames} frames (blocks), {name}\n"
        "rows and columns sorted within each block by the true direction, to make it visible",
        fontsize=11,
    )
    save(figure, path)


def canvas(rows, columns, width, height, top=0.6, bottom=0.5, left=0.65, right=0.15, between=(0.5, 0.6), **options):
    """A grid of axes; sizes and margins in inches (Matplotlib's own layout engine takes longer than the drawing)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    across, down = (
        columns * width + (columns - 1) * between[0] + left + right,
        rows * height + (rows - 1) * between[1] + top + bottom,
    )
    place = dict(
        left=left / across,
        right=1 - right / across,
        bottom=bottom / down,
        top=1 - top / down,
        wspace=between[0] / width,
        hspace=between[1] / height,
    )
    return pyplot.subplots(rows, columns, figsize=(across, down), squeeze=False, gridspec_kw=place, **options)


def save(figure, path):
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png")


def jsonable(value):
    """JSON has no infinity: "inf" as text."""
    if isinstance(value, dict):
        return {k: jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value


def main(argv=None):
    a = arguments(argv)
    try:
        settings = models(a)
    except (ValueError, OSError) as error:
        print(f"gaussian_blocks.py: {error}", file=sys.stderr)
        return 2
    start = time.perf_counter()
    rng = np.random.default_rng(a.seed)
    seconds = {}

    def timed(name, function, *args):
        begin = time.perf_counter()
        result = function(*args)
        seconds[name] = round(time.perf_counter() - begin, 2)
        return result

    print(
        f"{a.k} blocks of {a.d}, r = {a.r}, theta = {a.theta:g}, sigma = {a.sigma:g}, {a.frames} marginal frames, {a.repeats} repeats, seed {a.seed}"
    )
    curves = timed("error curves", error_curves, a, settings, rng)
    print_errors(curves)
    fit = agreement(curves)
    print(
        f"\nOf {fit['points']} measured means (all four errors) {fit['inside']} have their prediction inside the 95% interval; "
        f"the worst lies {fit['worst_beyond_interval']:.1%} beyond it"
    )
    phase = timed("transition", transition, a, settings, rng)
    print_transition(phase)
    cases = timed("cases", failures, a, rng)
    print_failures(cases)
    cross = timed("crossing", crossing, a, rng)
    trained = [] if a.no_train else timed("networks", train_networks, a, settings, rng)
    if not a.no_train:
        print_trained(trained)
    at = lambda name: os.path.join(a.out, name)
    begin = time.perf_counter()
    draw_errors(at("errors.png"), curves, trained, a)
    draw_transition(at("transition.png"), phase, settings, a)
    draw_failures(at("where_it_fails.png"), cases, cross)
    draw_covariances(at("covariances.png"), a, settings, rng)
    seconds["pictures"] = round(time.perf_counter() - begin, 2)
    seconds["total"] = round(time.perf_counter() - start, 2)
    results = {
        "settings": vars(a),
        "seed": a.seed,
        "seconds": seconds,
        "errors": curves,
        "agreement": fit,
        "transition": phase,
        "cases": cases,
        "crossing": cross,
        "trained": trained,
        "versions": {
            "ldf_np": ldf_np.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
        "machine": {"system": platform.system(), "architecture": platform.machine(), "cores": os.cpu_count()},
    }
    with replacing(at("results.json")) as temporary, open(temporary, "w") as file:
        json.dump(jsonable(results), file, indent=1)
    print(f"\n{seconds['total']:.1f} s; pictures and results.json in {a.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
