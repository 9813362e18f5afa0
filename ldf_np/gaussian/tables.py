"""The tables and claims of the Gaussian experiments, printed and for results.json."""

import numpy as np

from ..experiments import report
from .curves import ESTIMATORS
from .experiments import COMPARED

PAPER = ("assuming that the dependencies between the factors can be described by a few parameters, "
         "one would only need a handful of samples from the joint to learn them (Section 3.2)")


# ---------------------------------------------------------------------------------------- on screen


def print_agreement(fit):
    """Print what `agreement` returns."""
    print(f"Of {fit['points']} measured means (all four errors) {fit['inside']} have their "
          "prediction inside the\n95% interval; the worst lies "
          f"{fit['worst_beyond_interval']:.1%} beyond it")


def print_transition(found):
    """Print what `transition` returns."""
    print(f"\nThe weakest theta that can be seen ({found['setting']}), and false alarms of the "
          f"Tracy-Widom test at {found['level']:.0%}")
    for view, v in found["views"].items():
        print(f"  {view:26} theta > {v['threshold_theta']:.3f}   {v['false_alarms']:.3f} in "
              f"{v['null_draws']} draws")


# --------------------------------------------------------------------------------- for results.json


def claims(points, setting, rows):
    """Where the paper's sentence holds (few joint samples, one parameter of dependence), the claim,
    and where it should not, described: for `save_results`, of the points of a setting and of all
    cases. Differences under 5% of joint PCA's error count as none."""
    few, (n, *_) = _frobenius({"points": points})
    tested = [(f"With {n} joint samples ({setting}) blocks with one parameter of dependence beat "
               "joint PCA", "H-par", few["H-par", n], few["J1", n])]
    for case, estimator, claim in (
            ("dependence outside the one-parameter family", "H-par",
             "The same where the dependence lies outside the one-parameter family: above 0 "
             "blocks lose"),
            ("spread signal, own W, no extra marginals", "H-full",
             "Blocks beside joint PCA without marginal frames beyond those of the joint samples: "
             "above 0 they lose")):
        tested += [(claim, estimator, row[estimator], row["J1"]) for row in rows
                   if row["case"] == case]
    found = []
    for text, estimator, blocks, joint in tested:
        # the difference of two independent means, each with half of its 95% interval
        half = float(np.hypot(blocks["half_width"], joint["half_width"]))
        gap = _interval({"mean": blocks["mean"] - joint["mean"], "half_width": half})
        quantity = f"squared Frobenius error of the covariance, {estimator} minus J1"
        found.append(report.described(text, quantity, gap) if found else report.claim(
            text, PAPER, quantity, gap, "below", margin=0.05 * joint["mean"]))
    return found


def report_tables(curves, rows, trained):
    """Squared Frobenius errors by joint samples and by case, measured +- half the 95% interval
    (predicted); and those of ``trained`` networks, {setting: what `networks.compare` returns}."""
    found = {}
    for name, part in curves.items():
        points, ns = _frobenius(part)
        found[f"Squared Frobenius error, {name}: measured +- half its 95% interval (predicted)"] = {
            "columns": [f"{n} joint samples" for n in ns],
            "rows": {e: [_measured(points[e, n]) for n in ns] for e in ESTIMATORS}}
    found["When to expect what: squared Frobenius error, measured +- half its 95% interval "
          "(predicted), and the theta that joint samples and blocks see"] = {
        "columns": ["theta", "joint sees", "blocks see", *COMPARED, "best"],
        "rows": {row["case"]: [row["theta"], row["joint_threshold"], row["block_threshold"],
                               *(_measured(row[e]) for e in COMPARED), row["best"]]
                 for row in rows}}
    for setting, some in trained.items():
        if some:
            found[f"Trained by gradients, {setting}: squared Frobenius error of the covariance "
                  "read off the weights (predicted)"] = _of_networks(some)
    return found


def _of_networks(rows):
    """The table of what `networks.compare` returns."""
    table = {"columns": ["LDF", "H-full, same data", "LDF / H-full", "joint GAN, best moment",
                         "joint GAN, at the end", "J1, same data"], "rows": {}}
    for row in rows:
        error = {name: value["frobenius"] for name, value in row.items()
                 if isinstance(value, dict) and "frobenius" in value}
        table["rows"][f"{row['n_joint']} joint samples"] = [
            error["LDF"], f"{error['H-full']:.3g} ({error['H-full predicted']:.3g})",
            error["LDF"] / error["H-full"],
            f"{error['joint GAN']:.3g} (step {row['joint GAN best step']})",
            error["joint GAN at the end"], f"{error['J1']:.3g} ({error['J1 predicted']:.3g})"]
    return table


def _measured(point):
    """One point as text."""
    return f"{point['mean']:.3g} +- {point['half_width']:.2g} ({point['predicted']:.3g})"


def _frobenius(part):
    """({(estimator, n_joint): point}, all n_joint) of the squared Frobenius errors."""
    points = {(q["estimator"], q["n_joint"]): q for q in part["points"]
              if q["metric"] == "frobenius"}
    return points, sorted({n for _, n in points})


def _interval(point):
    """[mean, low, high]."""
    mean, half = point["mean"], point["half_width"]
    return [mean, mean - half, mean + half]
