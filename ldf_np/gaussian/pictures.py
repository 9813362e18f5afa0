"""The pictures of the Gaussian experiments: measured beside predicted. Matplotlib is loaded on
first use."""

import textwrap

import numpy as np

from ..experiments.plots import COLOURS, save_figure
from .curves import ESTIMATORS
from .experiments import COMPARED
from .model import METRIC_NAMES, METRICS, errors
from .theory import crossover_strength

BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK, GREY = COLOURS
STYLE = {   # estimator: (colour, marker, what it is)
    "J0": (GREY, "s", "joint: sample covariance"),
    "LW": (SKY, "D", "joint: Ledoit-Wolf shrinkage"),
    "J1": (RED, "o", "joint: PCA, optimal shrinkage"),
    "H0": (PINK, "v", "blocks, held independent"),
    "H-full": (BLUE, "^", "blocks + free code covariance"),
    "H-par": (GREEN, "P", "blocks + one parameter rho"),
    "LDF": (BLACK, "*", "trained networks"),
    "joint GAN": (ORANGE, "X", "trained, at its best moment"),
}
FIGURES = [  # of results.json: (file, caption, alternative text)
    ("errors.png", "Error against the number of joint samples: markers measured, lines predicted. "
     "The markers should lie on their lines, and the blocks' below the joint ones' where joint "
     "samples are few.",
     "Error curves of all estimators"),
    ("transition.png", "From which signal on it is seen: measured (dots) should follow predicted "
     "(lines) up from each threshold (dotted).",
     "Detection, direction, crossover and ROC"),
    ("where_it_fails.png", "Where the sentence holds and where it fails.",
     "Errors of four estimators in eight cases"),
    ("covariances.png", "The true covariance and five learned ones.", "Six covariance matrices")]


def _canvas(rows, columns, width, height, top=0.6, bottom=0.5, left=0.65, right=0.15,
            between=(0.5, 0.6), **options):
    """A figure and its grid of axes, all in inches (Matplotlib's own layout engines take longer
    than the drawing)."""
    from matplotlib.figure import Figure

    across = columns * width + (columns - 1) * between[0] + left + right
    down = rows * height + (rows - 1) * between[1] + top + bottom
    place = {"left": left / across, "right": 1 - right / across, "bottom": bottom / down,
             "top": 1 - top / down, "wspace": between[0] / width, "hspace": between[1] / height}
    figure = Figure(figsize=(across, down))
    return figure, figure.subplots(rows, columns, squeeze=False, gridspec_kw=place, **options)


# -------------------------------------------------------- error against the number of joint samples


def draw_errors(path, curves, trained, model, n_frames, repeats):
    """Every error of every estimator against the number of joint samples.

    curves : what `error_curves` returns
    trained : {setting: what `networks.compare` returns}, empty where nothing was trained
    model : a BlockModel with the blocks' number and size
    """
    columns = 2 if len(curves) > 1 else 1
    rows = -(-(len(ESTIMATORS) + (2 if any(trained.values()) else 0)) // columns)
    figure, axes = _canvas(len(METRICS), len(curves), 2.9 if len(curves) > 1 else 5.0, 2.4,
                           top=1.25, bottom=0.65 + 0.24 * rows, between=(0.12, 0.12), sharex=True,
                           sharey="row")
    legend = {}
    for column, (name, part) in enumerate(curves.items()):
        ns = sorted({q["n_joint"] for q in part["points"]})
        for ax, metric in zip(axes[:, column], METRICS):
            for estimator in ESTIMATORS:
                _draw_estimator(ax, part, estimator, metric)
            for network in ("LDF", "joint GAN"):
                _draw_network(ax, trained.get(name, []), network, metric)
            ax.set(xscale="log", yscale="log")
            shown = apart(ns)
            ax.set_xticks(shown, [str(n) for n in shown])
            ax.minorticks_off()
            ax.grid(alpha=0.25)
            if metric.startswith("kl"):
                where = "up to n_J = p + 1" if metric == "kl_forward" else "below n_J = p"
                ax.text(0.03, 0.95, f"J0 is infinite {where}", transform=ax.transAxes, va="top",
                        fontsize=8, color=STYLE["J0"][0])
            if column == 0:
                ax.set_ylabel(METRIC_NAMES[metric])
            handles, labels = ax.get_legend_handles_labels()
            legend |= dict(zip(labels, handles, strict=True))
        axes[0][column].set_title(name)
        axes[-1][column].set_xlabel("joint samples n_J")
    figure.legend(legend.values(), legend, loc="lower center", ncols=columns, frameon=False)
    each = "" if model.shared else " of each block"
    wide = int(figure.get_figwidth() * 13)      # letters of this size
    figure.suptitle("\n".join(textwrap.fill(text, wide) for text in (
        f"Learning a covariance of {model.k} blocks of {model.d} from n_J joint samples and "
        f"{n_frames} marginal frames{each}", f"markers: mean of {repeats} repeats, shaded: 95% "
        "confidence, lines: predicted (no fit)")), fontsize=11)
    save_figure(path, figure, dpi=100)


def apart(ns, least=1.35):
    """Those of the ascending numbers whose labels do not lie on one another, on a log axis."""
    found = []
    for n in ns:
        if not found or n >= least * found[-1]:
            found.append(n)
    return found


def _draw_estimator(ax, part, estimator, metric):
    colour, mark, meaning = STYLE[estimator]
    curve = [(q["n_joint"], q[metric]) for q in part["curve"]
             if q["estimator"] == estimator and np.isfinite(q[metric])]
    if curve:
        ax.plot(*np.array(curve).T, color=colour, linewidth=1.2)
    points = [(q["n_joint"], q["mean"], q["half_width"]) for q in part["points"]
              if q["metric"] == metric and q["estimator"] == estimator and np.isfinite(q["mean"])]
    if points:
        x, y, half = np.array(points).T
        ax.fill_between(x, np.maximum(y - half, y / 50), y + half, color=colour, alpha=0.2,
                        linewidth=0)
        ax.plot(x, y, mark, color=colour, markersize=5, label=f"{estimator}, {meaning}")


def _draw_network(ax, rows, network, metric):
    if rows:
        colour, mark, meaning = STYLE[network]
        ax.plot([q["n_joint"] for q in rows], [q[network][metric] for q in rows], mark,
                color=colour, markersize=12, markeredgecolor="white", zorder=5,
                label=f"{network}, {meaning}")


# ----------------------------------------------------------------------------- the phase transition


def draw_transition(path, found, k):
    """Detection, direction, the crossover and the ROC: what `transition` returns, for k blocks."""
    figure, axes = _canvas(2, 2, 4.1, 3.3, top=0.8, between=(0.8, 0.9))
    power, cosine, plane, roc = axes.ravel()
    theta, fine = found["theta"], found["theta_predicted"]
    for (view, v), colour in zip(found["views"].items(), (RED, BLUE, ORANGE)):
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
    _draw_crossover(plane, found["crossover"], k)
    figure.suptitle(
        f"The phase transition, {found['setting']}: dots and steps measured, {found['repeats']} "
        "data sets; lines predicted, dotted: thresholds", fontsize=11)
    save_figure(path, figure, dpi=100)


def _draw_crossover(ax, dots, k):
    ratios = [q["frames"] / q["n_joint"] for q in dots]
    x = np.geomspace(min(0.2, *ratios) / 1.3, max(300, *ratios) * 1.3, 200)
    edge = np.clip(crossover_strength(k, x, 1), 1, k)
    ax.fill_between(x, edge, k, color=RED, alpha=0.15, linewidth=0)
    ax.fill_between(x, 1, edge, color=BLUE, alpha=0.15, linewidth=0)
    ax.plot(x, edge, color="black", linewidth=1)
    ax.plot(ratios, [q["mu_1"] for q in dots], "k.", markersize=6)
    for name in {q["setting"]: None for q in dots}:
        ratio, mu = min((ratio, q["mu_1"]) for ratio, q in zip(ratios, dots)
                        if q["setting"] == name)
        ax.annotate(name, (ratio, mu), textcoords="offset points", xytext=(0, 5), fontsize=8)
    ax.text(0.03, 0.93, "joint sees the signal first", transform=ax.transAxes, va="top",
            fontsize=9, color=RED)
    ax.text(0.97, 0.12, "blocks see it first", transform=ax.transAxes, ha="right", fontsize=9,
            color=BLUE)
    ax.set(xscale="log", xlabel="marginal frames per joint sample, N_M / n_J",
           ylabel="mu_1, largest eigenvalue of R", ylim=(1 - 0.05 * (k - 1), k),
           title="Crossover: mu_1 = sqrt(k N_M / n_J); dots: this run")


# --------------------------------------------------------------- where the sentence holds and fails


def draw_cases(path, rows, cross):
    """What `crossing` returns, against the marginal frames, and what `cases` returns."""
    figure, ((above,), (below,)) = _canvas(2, 1, 6.4, 4.2, top=0.8, bottom=1.2, left=2.3,
                                           between=(0, 1.7))
    _draw_crossing(above, cross)
    _draw_points(below, rows)
    figure.suptitle("Where the sentence of Section 3.2 holds, and where it fails", fontsize=11)
    save_figure(path, figure, dpi=100)


def _draw_crossing(ax, cross):
    ax.axhline(cross["J1"], color=STYLE["J1"][0], label=f"J1, {cross['n_joint']} joint samples")
    for (name, line), style in zip(cross["lines"].items(), ("-", "--"), strict=True):
        for estimator in ("H-full", "H-par"):
            colour, mark, _ = STYLE[estimator]
            q = line[estimator]
            ax.plot(q["frames"], q["predicted"], style, color=colour, label=f"{estimator}, {name}")
            x, y, half = np.array([(m["frames"], m["mean"], m["half_width"])
                                   for m in q["measured"]]).T
            ax.errorbar(x, y, half, fmt=mark, color=colour, markersize=5, linewidth=0.8,
                        markerfacecolor="white" if style == "--" else colour)
        ax.axvline(line["threshold"], color="black", linestyle=":", linewidth=1)
        ax.text(line["threshold"] * 0.95, 0.1, f"threshold, {name}", rotation=90, fontsize=8,
                ha="right", va="bottom")
    m = cross["model"]
    ax.set(xscale="log", xlabel="marginal frames in all", ylabel="squared Frobenius error",
           ylim=(0, None),
           title=f"A signal spread over {m['k']} blocks (theta = {m['theta']}, rho = {m['rho']})")
    ax.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False)


def _draw_points(ax, rows):
    at = np.arange(len(rows))[::-1]
    for j, estimator in enumerate(COMPARED):
        colour, mark, meaning = STYLE[estimator]
        y, cells = at + 0.2 * (1.5 - j), [row[estimator] for row in rows]
        mean, half = np.array([(c["mean"], c["half_width"]) for c in cells]).T
        ax.errorbar(mean, y, xerr=[np.minimum(half, 0.98 * mean), half], fmt=mark, color=colour,
                    markersize=5, linewidth=1, label=f"{estimator}, {meaning}")
        ax.plot([c["predicted"] for c in cells], y, "k|", markersize=8)
    ax.set_yticks(at, [textwrap.fill(row["case"], 30) for row in rows], fontsize=9)
    ax.set(xscale="log", xlabel="squared Frobenius error (points: measured, ticks: predicted)",
           title="When to expect what")
    ax.grid(axis="x", alpha=0.3)
    ax.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.3, -0.12), ncols=2, frameon=False)


# ---------------------------------------------------------------------------------- the covariances


def draw_covariances(path, name, model, fitted, n_joint, n_frames):
    """The true covariance and five learned ones, side by side.

    name, model : the setting and its BlockModel
    fitted : {estimator: Covariance}, what `all_estimates` returns
    """
    truth, k, d = model.covariance(), model.k, model.d
    order = np.concatenate([i * d + np.argsort(model.W[i, :, 0]) for i in range(k)])
    noise = model.sigma**2 * np.eye(model.p)
    limit = 0.6 * np.abs(truth.dense() - noise).max()
    middle = np.arange(k) * d + d / 2 - 0.5
    figure, axes = _canvas(2, 3, 2.7, 2.7, top=1.2, bottom=0.3, left=0.3, right=1.2,
                           between=(0.3, 0.7))
    panels = {"truth": truth} | {e: fitted[e] for e in ("J0", *COMPARED)}
    for ax, (label, covariance) in zip(axes.ravel(), panels.items(), strict=True):
        matrix = covariance.dense()[np.ix_(order, order)] - noise
        image = ax.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        if label != "truth":
            error = errors(covariance, truth, ("frobenius",))["frobenius"]
            label = f"{label}: {STYLE[label][2].removeprefix('joint: ')}\nsquared error {error:.3g}"
        ax.set_title(label, fontsize=9)
        ax.set_xticks(middle, [f"block {i + 1}" if k <= 6 else str(i + 1) for i in range(k)],
                      fontsize=8)
        ax.set_yticks(middle, [str(i + 1) for i in range(k)], fontsize=8)
        for edge in np.arange(1, k) * d - 0.5:
            ax.axhline(edge, color="black", linewidth=0.3)
            ax.axvline(edge, color="black", linewidth=0.3)
    bar = figure.add_axes((0.915, 0.25, 0.015, 0.5))
    figure.colorbar(image, cax=bar, label="covariance, less the noise sigma^2 I")
    figure.suptitle(
        f"Covariances learned from {n_joint} joint samples (J0, J1), or from these and {n_frames} "
        f"frames (H0, H-full, H-par), {name}\nrows and columns sorted in each block by the true "
        "direction", fontsize=11)
    save_figure(path, figure, dpi=100)
