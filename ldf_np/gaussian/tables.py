"""The tables and claims of the Gaussian experiments, printed and for results.json."""

import numpy as np

from ..experiments import report
from .curves import ESTIMATORS
from .experiments import COMPARED
from .model import METRIC_NAMES

PAPER = ("assuming that the dependencies between the factors can be described by a few parameters, "
         "one would only need a handful of samples from the joint to learn them (Section 3.2)")


# ---------------------------------------------------------------------------------------- on screen


def print_errors(curves, fit):
    """Print what `error_curves` and `agreement` return."""
    for name, part in curves.items():
        points, ns = _frobenius(part)
        print(f"\n{METRIC_NAMES['frobenius']}, {name}: measured mean +- half its 95% interval "
              "(predicted)")
        print(" " * 8 + "".join(f"{f'n_joint = {n}':>26}" for n in ns))
        for estimator in ESTIMATORS:
            row = [points[estimator, n] for n in ns]
            cells = [f"{q['mean']:.4g} +-{q['half_width']:6.2g} ({q['predicted']:6.4g})"
                     for q in row]
            print(f"{estimator:8}" + "".join(f"{cell:>26}" for cell in cells))
    print(f"\nOf {fit['points']} measured means (all four errors) {fit['inside']} have their "
          "prediction inside the 95% interval; the worst lies "
          f"{fit['worst_beyond_interval']:.1%} beyond it")


def print_transition(found):
    """Print what `transition` returns."""
    print(f"\nThe weakest theta that can be seen ({found['setting']}), and false alarms of the "
          f"Tracy-Widom test at {found['level']:.0%}")
    for view, v in found["views"].items():
        print(f"  {view:26} theta > {v['threshold_theta']:.3f}   {v['false_alarms']:.3f} in "
              f"{v['null_draws']} draws")


def print_cases(rows):
    """Print what `cases` returns."""
    print("\nWhen to expect what: squared Frobenius error, measured (predicted), and the theta "
          "joint and block see")
    names = "".join(f"{e:>15}" for e in COMPARED)
    print(f"{'case':54}{'theta':>6}{'joint':>7}{'block':>7}{names}  best")
    for row in rows:
        cells = [f"{row[e]['mean']:.3f} ({row[e]['predicted']:.2f})" for e in COMPARED]
        print(f"{'  ' * row['indent'] + row['case']:54}{row['theta']:6.2f}"
              f"{row['joint_threshold']:7.2f}{row['block_threshold']:7.2f}"
              + "".join(f"{cell:>15}" for cell in cells) + f"  {row['best']}")


def print_trained(setting, rows):
    """Print what `networks.compare` returns."""
    print(f"\nTrained by gradients, {setting}: squared Frobenius error of the covariance read off "
          "the weights")
    columns = {"n_joint": 8, "LDF": 9, "H-full, same data (predicted)": 32, "ratio": 7,
               "joint GAN, best moment": 25, "at the end": 12, "J1, same data (predicted)": 28}
    print("".join(title.rjust(width) for title, width in columns.items()))
    for row in rows:
        error = {name: value["frobenius"] for name, value in row.items()
                 if isinstance(value, dict) and "frobenius" in value}
        cells = (str(row["n_joint"]), f"{error['LDF']:.3f}",
                 f"{error['H-full']:.3f} ({error['H-full predicted']:.3f})",
                 f"{error['LDF'] / error['H-full']:.2f}",
                 f"{error['joint GAN']:.2f} (step {row['joint GAN best step']})",
                 f"{error['joint GAN at the end']:.2f}",
                 f"{error['J1']:.2f} ({error['J1 predicted']:.2f})")
        print("".join(text.rjust(width) for text, width in zip(cells, columns.values())))


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
             "They beat it also where the dependence lies outside the one-parameter family"),
            ("spread signal, own W, no extra marginals", "H-full",
             "Blocks beat it also without marginal frames beyond those of the joint samples")):
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


def report_tables(curves, rows):
    """Measured errors, [mean, low, high], by joint samples and by case."""
    found = {}
    for name, part in curves.items():
        points, ns = _frobenius(part)
        found[f"Squared Frobenius error, {name}"] = {
            "columns": [f"{n} joint samples" for n in ns],
            "rows": {e: [_interval(points[e, n]) for n in ns] for e in ESTIMATORS}}
    found["When to expect what"] = {
        "columns": list(COMPARED),
        "rows": {row["case"]: [_interval(row[e]) for e in COMPARED] for row in rows}}
    return found


def jsonable(value):
    """JSON knows no infinity: it becomes the text "inf"."""
    if isinstance(value, dict):
        return {key: jsonable(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def _frobenius(part):
    """({(estimator, n_joint): point}, all n_joint) of the squared Frobenius errors."""
    points = {(q["estimator"], q["n_joint"]): q for q in part["points"]
              if q["metric"] == "frobenius"}
    return points, sorted({n for _, n in points})


def _interval(point):
    """[mean, low, high]."""
    mean, half = point["mean"], point["half_width"]
    return [mean, mean - half, mean + half]
