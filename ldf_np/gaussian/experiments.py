"""The experiments of `demos/gaussian_blocks.py`: what is measured, beside what is predicted, as
plain numbers."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal
from scipy.stats import norm

from ..experiments.statistics import half_width
from ..runtime.checks import checked
from ..runtime.random import numpy_generator
from . import theory
from .curves import ESTIMATORS, block_limit, pca_limit, predict
from .estimators import measure
from .model import BlockModel

# the estimators between which there is a choice to make
COMPARED = ("J1", "H0", "H-full", "H-par")


@dataclass(frozen=True)
class Effort:
    """How much of everything."""

    repeats: int                # of the error curves
    curve_points: int           # of a predicted curve
    draws: int                  # behind a predicted point
    transition_repeats: int
    null_draws: int
    case_repeats: int
    crossing_points: int
    crossing_repeats: int
    steps: dict                 # of the networks


FULL = Effort(30, 14, 150, 120, 3000, 20, 17, 30, {"frames": 500, "top": 500, "joint": 600})
QUICK = Effort(5, 4, 30, 16, 300, 3, 5, 4, {"frames": 200, "top": 200, "joint": 200})


def interval(values):
    """Mean and half-width of its 95% confidence interval (Student's t over repeats); both inf for
    an infinite error."""
    values = np.asarray(values)
    if not np.all(np.isfinite(values)):
        return float("inf"), float("inf")
    return float(values.mean()), half_width(values)


# ----------------------------------------------------- 1. error against the number of joint samples


def error_curves(models, n_joints, n_frames, effort, rng):
    """{setting: {"points" (measured and predicted), "curve" (predicted), "closed_form"}} for
    {setting: model}."""
    spaced = np.geomspace(min(n_joints), max(n_joints), effort.curve_points).astype(int)
    grid = sorted({int(n) for n in spaced} | set(n_joints))
    found = {}
    for name, model in models.items():
        measured = measure(model, n_joints, n_frames, effort.repeats, rng)
        curve = {n: predict(model, n, n_frames, draws=effort.draws) for n in grid}
        points = []
        for n, table in measured.items():
            for estimator, row in table.items():
                for metric, values in row.items():
                    mean, half = interval(values)
                    points.append({"n_joint": n, "estimator": estimator, "metric": metric,
                                   "mean": mean, "half_width": half,
                                   "median": float(np.median(values)),
                                   "predicted": curve[n][estimator][metric]})
        found[name] = {
            "points": points,
            "curve": [{"n_joint": n, "estimator": estimator, **row} for n, table in curve.items()
                      for estimator, row in table.items()],
            "closed_form": [{"n_joint": n, "J1": pca_limit(model, n),
                             **block_limit(model, n, n_frames)} for n in n_joints],
        }
    return found


def agreement(curves):
    """How many predictions lie in the 95% interval of what was measured, and how far beyond it the
    worst one is."""
    points = [{**point, "setting": name} for name, part in curves.items()
              for point in part["points"]
              if np.isfinite(point["mean"]) and np.isfinite(point["predicted"])]

    def beyond(point):
        distance = abs(point["mean"] - point["predicted"])
        return max(distance - point["half_width"], 0) / point["predicted"]

    worst = max(points, key=beyond)
    return {"points": len(points), "inside": sum(beyond(point) == 0 for point in points),
            "worst_beyond_interval": beyond(worst), "worst": worst}


# -------------------------------------------------------------------------- 2. the phase transition


def transition(models, n_joints, n_frames, effort, rng, level=0.05):
    """Is the top spike seen, and how well, against theta: jointly, in a block with the frames, in
    one without extra."""
    name, model = strongest(models)
    n_joint = n_joints[-2:][0]
    views = {  # name: (strength of each spike for theta / sigma^2 = 1, samples, dimensions)
        f"joint, {n_joint} samples": (np.repeat(model.mu, model.r), n_joint, model.p),
        f"one block, {n_frames} frames": (np.ones(model.r), n_frames, model.d),
        f"one block, {n_joint} frames": (np.ones(model.r), n_joint, model.d),
    }
    unit = model.sigma**2
    thresholds = {view: float(unit * np.sqrt(p / n) / shape[0])
                  for view, (shape, n, p) in views.items()}
    theta = np.linspace(0, 1.6 * max(thresholds.values()), 25)[1:]
    fine = np.linspace(0, theta[-1], 241)[1:]  # for the predicted lines
    false = np.linspace(0.01, 0.99, 25)
    repeats = effort.transition_repeats
    found = {"setting": name, "level": level, "theta": theta.tolist(),
             "theta_predicted": fine.tolist(), "repeats": repeats, "views": {}}
    for view, (shape, n, p) in views.items():
        chosen = 1.5 * thresholds[view]  # the theta of the ROC
        grid = np.append(theta, chosen) / unit
        runs = [top_eigenvalues(np.outer(grid, shape), n, p, rng) for _ in range(repeats)]
        value, cosine2 = (np.array(part) for part in zip(*runs, strict=True))
        null = white_top_eigenvalues(n, p, effort.null_draws, rng)
        critical = theory.critical_eigenvalue(n, p, level)
        strength, gamma, top = fine / unit * shape[0], p / n, chosen / unit * shape[0]
        # of several spikes as strong the largest is seen more often, how often is not known
        known = 1.0 if np.isclose(shape, shape[0]).sum() == 1 else np.nan
        roc_power = known * norm.sf([theory.critical_eigenvalue(n, p, alarms) for alarms in false],
                                    theory.spike_eigenvalue(top, gamma),
                                    theory.spike_spread(top, gamma, n))
        found["views"][view] = {
            "n": n, "p": p, "threshold_theta": thresholds[view], "critical_eigenvalue": critical,
            "false_alarms": float(np.mean(null > critical)), "null_draws": effort.null_draws,
            "power": np.mean(value > critical, axis=0)[:-1].tolist(),
            "power_predicted": (known * theory.detection_power(strength, n, p, level)).tolist(),
            "cosine2": cosine2.mean(axis=0)[:-1].tolist(),
            "cosine2_half_width": [interval(c)[1] for c in cosine2.T[:-1]],
            "cosine2_predicted": theory.spike_cosine2(strength, gamma).tolist(),
            "roc": {"theta": chosen, "false": false.tolist(),
                    "power": [float(np.mean(value[:, -1] > cut))
                              for cut in np.quantile(null, 1 - false)],
                    "power_predicted": roc_power.tolist()},
        }
    found["crossover"] = []
    for setting, m in models.items():
        for n in n_joints:
            edge = float(theory.crossover_strength(m.k, n_frames, n))
            found["crossover"].append({"setting": setting, "mu_1": float(m.mu[0]), "n_joint": n,
                                       "frames": n_frames, "crossover": edge,
                                       "first": "blocks" if m.mu[0] < edge else "joint"})
    return found


def strongest(models):
    """(setting, model) of the strongest dependence."""
    return max(models.items(), key=lambda item: item[1].mu[0])


# -------------------------------------------------------------- 3. where the paper's sentence fails

# one signal spread over all blocks, weak in each
SPREAD = {"k": 8, "d": 50, "theta": 0.35, "rho": 0.95}
OWN = SPREAD | {"shared": False}
STRONG, INDEPENDENT = ({"k": 5, "d": 60, "rho": rho} for rho in (0.9, 0.0))
PAIRS = {"k": 4, "d": 60, "R": [[1, 0, 0, 0.8], [0, 1, 0.8, 0], [0, 0.8, 1, 0], [0.8, 0, 0, 1]]}
CASES = (  # what, model, joint samples, marginal frames, whether these are cut from the samples
    ("spread signal, own W, no extra marginals", OWN, 200, 200, False),
    ("  the same, frames cut from the joint samples", OWN, 200, 200, True),
    ("  own W, 20 times the marginals", OWN, 200, 4000, False),
    ("  shared W, as many fresh frames as the samples hold", SPREAD, 200, 1600, False),
    ("  shared W, frames cut from the joint samples", SPREAD, 200, 1600, True),
    ("strong dependence, shared W, many marginals", STRONG, 100, 4000, False),
    ("no dependence, shared W, many marginals", INDEPENDENT, 100, 4000, False),
    ("dependence outside the one-parameter family", PAIRS, 1000, 4000, False),
)


def cases(effort, rng, seed=0):
    """One row a case: squared Frobenius errors, measured and predicted, the two thresholds, and the
    best estimator."""
    rows = []
    for what, settings, n_joint, frames, reused in CASES:
        model = BlockModel(seed=seed, **settings)
        measured = measure(model, [n_joint], frames, effort.case_repeats, rng, reused=reused,
                           metrics=("frobenius",))
        predicted = predict(model, n_joint, frames, reused, draws=effort.draws)
        row = {"case": what.strip(), "indent": what.startswith(" "),
               "n_joint": n_joint, "frames": frames, "reused": reused,
               "k": model.k, "d": model.d, "theta": model.theta, "R": model.R.tolist(),
               "shared": model.shared, "mu_1": float(model.mu[0]),
               "joint_threshold": float(np.sqrt(model.p / n_joint) / model.mu[0]),
               "block_threshold": float(np.sqrt(model.d / frames))}
        for e in ESTIMATORS:
            mean, half = interval(measured[n_joint][e]["frobenius"])
            row[e] = {"mean": mean, "half_width": half, "predicted": predicted[e]["frobenius"]}
        row["best"] = min(COMPARED, key=lambda e: row[e]["mean"])
        row["best_predicted"] = min(COMPARED, key=lambda e: np.nan_to_num(row[e]["predicted"],
                                                                          nan=np.inf))
        rows.append(row)
    return rows


def crossing(effort, rng, seed=0, n_joint=200):
    """The spread signal against the number of marginal frames: where the hierarchy overtakes the
    joint estimate."""
    found = {"n_joint": n_joint, "model": SPREAD, "lines": {}}
    for name, shared in (("own W", False), ("shared W", True)):
        model = BlockModel(shared=shared, seed=seed, **SPREAD)
        dictionaries = 1 if shared else model.k  # each is learned from frames of its own
        grid = np.unique(np.geomspace(100, 10_000, effort.crossing_points).astype(int))
        curve = {int(n): predict(model, n_joint, int(n), draws=effort.draws)
                 for n in grid}
        found["J1"] = curve[100]["J1"]["frobenius"]
        line = {"threshold": float(model.d * (model.sigma**2 / model.theta) ** 2 * dictionaries)}
        for e in ("H-full", "H-par"):
            line[e] = {"frames": [n * dictionaries for n in curve],
                       "predicted": [row[e]["frobenius"] for row in curve.values()], "measured": []}
        for frames in (200, 600, 1600, 4000):
            measured = measure(model, [n_joint], frames, effort.crossing_repeats, rng, joint=False,
                               metrics=("frobenius",))
            for e in ("H-full", "H-par"):
                mean, half = interval(measured[n_joint][e]["frobenius"])
                line[e]["measured"].append({"frames": frames * dictionaries, "mean": mean,
                                            "half_width": half})
        found["lines"][name] = line
    return found


@checked(rng=numpy_generator)
def top_eigenvalues(strengths, n, p, rng):
    """Largest eigenvalue of a sample covariance, and its squared cosine with the space of the first
    spike and those as strong, for a grid of strengths.

    strengths (t, q) at unit noise.  One white Wishart matrix [[A, B], [B', C]] serves the whole
    grid (so a curve is smooth in theta): with D = diag(sqrt(1 + strengths)) the top eigenvalue is
    the y above C's own with lambda_max(D (A + B (y - C)^-1 B') D) = y,  found by bisection; its
    vector is (w, (y - C)^-1 B' D w).
    """
    q = strengths.shape[1]
    z = rng.standard_normal((n, p))
    S = z.T @ z / n
    pole, turn = np.linalg.eigh(S[q:, q:])
    A, B = S[:q, :q], S[:q, q:] @ turn
    D = np.sqrt(1 + strengths)

    def schur(y):  # (t,) -> (t, q, q)
        inner = A + np.einsum("aj,tj,bj->tab", B, 1 / (y[:, None] - pole), B)
        return D[:, :, None] * inner * D[:, None, :]

    low = np.full(len(D), pole.max(initial=0.0) * (1 + 1e-12))
    high = np.full(len(D), np.trace(S)) * (1 + strengths.max())
    for _ in range(44):
        y = (low + high) / 2
        above = np.linalg.eigvalsh(schur(y))[:, -1] > y
        low, high = np.where(above, y, low), np.where(above, high, y)
    w = np.linalg.eigh(schur(high))[1][:, :, -1]
    rest = np.einsum("tj,aj,ta->tj", 1 / (high[:, None] - pole), B, D * w)
    tied = np.isclose(strengths, strengths[:, :1])
    return high, np.sum(w**2 * tied, axis=1) / (1 + np.sum(rest**2, axis=1))


@checked(rng=numpy_generator)
def white_top_eigenvalues(n, p, draws, rng):
    """Largest eigenvalues of pure noise, by Dumitriu and Edelman's bidiagonal model (2002): the
    same law."""
    m, most = min(n, p), max(n, p)
    a = np.sqrt(rng.chisquare(np.arange(most, most - m, -1), (draws, m)))  # diagonal
    b = np.sqrt(rng.chisquare(np.arange(m - 1, 0, -1), (draws, m - 1)))  # beside it
    diagonal = a**2 + np.concatenate([np.zeros((draws, 1)), b**2], axis=1)
    beside = a[:, :-1] * b
    last = {"select": "i", "select_range": (m - 1, m - 1)}
    return np.array([eigvalsh_tridiagonal(*pair, **last)[0]
                     for pair in zip(diagonal, beside, strict=True)]) / n
