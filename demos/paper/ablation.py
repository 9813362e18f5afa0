"""Which of LDF's choices matter? Variants that differ from the shipped LDF in one thing each, on
clips of Ms. Pac-Man.

    python demos/paper/ablation.py          eleven variants, three seeds each, 2 minutes a training
    python demos/paper/ablation.py --minutes 8 --variants default "no penalty"

The paper (Sections 3.1 and 5.3) regularizes every discriminator as Roth et al. do, adds shortcut
reconstructions through the encoder's last hidden layer h, and trains the bottom level first or both
levels at once; it shows no run without any of these.

    default                 codes h of 8x8 places, whitened by channel, under a locally connected
                            top; penalties that are not weighted; shortcut weight 1000; bottom first
    code z                  z in place of h is what the top level models
    bottom 4x4x32           codes of as many numbers at half the resolution, by the same game, but
                            with no mapping network
    MLP top                 dense networks in place of the local ones
    160 components          the MLP top on the leading components of all codes of a clip
    roth, r1                another kind of penalty at both levels. Roth's weights are 1/4 where D
                            is undecided, and R1 sees the real half only, so gamma is 4 and 2 times
                            the default's at either level: equally strong there
    no penalty              at neither level
    shortcut 0, 100         the weight of the reconstruction through h
    together                both levels at once

All have the same training time, which holds the encoding of the whole clips between the levels, the
same seeds, batches of 32 and Adam; networks are the same where the variant is not about them.
Scores are ``ClipScores`` beside held-out clips, the lower the better, and the squared errors of
held-out frames decoded from h and from z. A variant that diverges has no scores: the tables count
the seeds that finished. Differences are those to the default with the same seed.
"""

import math
import os
from functools import partial

import numpy as np

import ldf_np as ldf
from ldf_np.data import load_pacman, to_float, to_uint8
from ldf_np.experiments import cli, clip_scores, plots, report
from ldf_np.experiments.clip_experiment import whole_clips
from ldf_np.experiments.runs import cached_runs, count_parameters, finished
from ldf_np.experiments.statistics import limits, over_seeds
from ldf_np.models import nets

SAMPLES = 500


def penalties(kind, factor):
    """Settings with one kind of penalty at both levels, ``factor`` times as strong as the
    default's."""
    return {"penalty": kind, "gamma": nets.PLACE_ALI["gamma"] * factor, "top": partial(
        nets.local_gan, penalty=kind, gamma=nets.LOCAL_GAN["gamma"] * factor)}


# {name: (settings of nets.clip_ldf, settings of fit)}
VARIANTS = {
    "default": ({}, {}),
    "code z": ({"code": "z"}, {}),
    "bottom 4x4x32": ({"bottom": "small"} | nets.PLACE_ALI, {}),
    "160 components": ({"top": "mlp", "components": 160}, {}),
    "MLP top": ({"top": "mlp"}, {}),
    "roth": (penalties("roth", 4.0), {}),       # its weights are at most 1/4 where D cannot tell
    "r1": (penalties("r1", 2.0), {}),           # of one side only
    "no penalty": (penalties("none", 0.0), {}),
    "shortcut 0": ({"shortcut_weight": 0.0}, {}),
    "shortcut 100": ({"shortcut_weight": 100.0}, {}),
    "together": ({}, {"schedule": "together"}),
}
SCORES = ("KID clips", "KID frames", "KID differences", "motion W1", "background drift", "MSE h",
          "MSE z", "D bottom", "D top")
REGULARIZED = ('"In all cases we used the stabilizing regularization objective for all GAN '
               'discriminators (both higher and lower levels)" (Section 3.1)')
LOCAL = "ldf exploits local connectivity (Section 3)"
SHORTCUT = ('"“shortcut reconstructions” which go through the final hidden layer before the latent '
            'variables" (Section 3.1)')
BOTH = ('"ldf with a pre-trained lower level (red) and ldf with training starting from scratch all '
        'train faster than the baseline GAN" (Section 5.3, Fig. 3)')


def discriminator_loss(histories, level):
    """The mean of the last tenth of a level's discriminator losses: "bottom" or "top"."""
    if "together" in histories:
        losses = histories["together"].losses["level 0 D" if level == "bottom" else "top D"]
    else:
        losses = histories["level 0" if level == "bottom" else "top"].losses["D"]
    return float(np.mean(losses[-max(1, len(losses) // 10):]))


def train(data, options, variant, seed, checkpoints):
    """Train one variant with one seed, and score it: {"parameters", "scores", "clips"}; scores is
    None where it diverged."""
    settings, how = VARIANTS[variant]
    clips = data.train[:whole_clips(options.minutes)]
    model = nets.clip_ldf(clips, clips.shape[1], seed=seed, **settings)
    found = {"parameters": count_parameters(model), "scores": None}
    try:
        histories = finished(model.fit(clips, factors=data.train.reshape(-1, *clips.shape[2:]),
                                       minutes=options.minutes, progress=True,
                                       checkpoints=checkpoints, **how))
        samples = model.sample(SAMPLES, ldf.Generator(seed + 100))
        errors = reconstruction_errors(model.models[0], clip_scores.one_frame(data.test[:SAMPLES]))
        if not np.isfinite(samples).all() or not np.isfinite(list(errors.values())).all():
            raise FloatingPointError("what it makes is not finite")
    except FloatingPointError as error:
        return found | {"diverged": str(error)}
    samples = to_uint8(samples)
    found["scores"] = clip_scores.ClipScores(data.test[:SAMPLES])(samples) | errors | {
        f"D {level}": discriminator_loss(histories, level) for level in ("bottom", "top")}
    found["steps"] = {level: history.steps for level, history in histories.items()}
    return found | {"clips": samples[:4]}


def reconstruction_errors(model, frames):
    """Mean squared errors of frames (n, h, w, c), uint8, decoded from either code; values in [-1,
    1]."""
    return {f"MSE {code}": float(np.mean((model.reconstruct(frames, code)
                                          - to_float(frames)) ** 2)) for code in "hz"}


# ----------------------------------------------------------------------------------------- results


def values(runs, score):
    """A score over the seeds that finished."""
    return [run["scores"][score] for run in runs if run["scores"] is not None]


def differences(runs, base, score):
    """Of a score to that of another variant, over the seeds with which both finished."""
    return [run["scores"][score] - other["scores"][score]
            for run, other in zip(runs, base, strict=True) if run["scores"] and other["scores"]]


def interval(numbers, within=(-math.inf, math.inf)):
    """``over_seeds``, or None where there is nothing."""
    return over_seeds(numbers, within=within) if len(numbers) else None


def tables(runs, anchors):
    """The scores of all variants, and beside them those of real clips; and paired differences to
    the default."""
    rows = {name: [f"{len(values(found, SCORES[0]))} of {len(found)}", found[0]["parameters"],
                   *(interval(values(found, score), limits(score)) for score in SCORES)]
            for name, found in runs.items()}
    rows |= {name: [None, None, *(scores.get(score) for score in SCORES)]
             for name, scores in anchors.items()}
    shown = {"scores": {"columns": ["finished", "parameters", *SCORES], "rows": rows}}
    if "default" in runs:
        shown["difference to the default"] = {"columns": list(SCORES), "rows": {
            name: [interval(differences(found, runs["default"], score)) for score in SCORES]
            for name, found in runs.items() if name != "default"}}
    return shown


CLAIMS = (      # claim, paper, the better variant, the worse, score, margin (None: described)
    ("The regularized discriminators give better clips than none", REGULARIZED,
     "default", "no penalty", "KID clips", 0.2),
    ("Roth's own penalty at both levels gives better clips than none", REGULARIZED,
     "roth", "no penalty", "KID clips", None),
    ("A locally connected top gives better clips than a dense one", LOCAL,
     "default", "MLP top", "KID clips", None),
    ("Codes that keep their places give better clips", LOCAL,
     "default", "bottom 4x4x32", "KID clips", None),
    ("Shortcut reconstructions give better clips", SHORTCUT, "default", "shortcut 0", "KID clips",
     None),
    ("Shortcut reconstructions are what makes frames come back from h", SHORTCUT,
     "default", "shortcut 0", "MSE h", None),
    ("h is a better code for the level above than z (the paper leaves open which it used)",
     SHORTCUT, "default", "code z", "KID clips", None),
    ("Bottom first gives better clips than both levels at once", BOTH,
     "default", "together", "KID clips", 0.2),
)


def claims(runs):
    """Those of CLAIMS whose variants were run, each with a margin or described. Seeds with which
    one of the two diverged are left out, and counted."""
    entries = []
    for text, paper, better, worse, score, margin in CLAIMS:
        if better not in runs or worse not in runs:
            continue
        paired = differences(runs[better], runs[worse], score)
        quantity = f"{score}, {better} minus {worse}; expected below 0"
        for name in (better, worse):
            lost = sum(run["scores"] is None for run in runs[name])
            quantity += f"; {name} diverged with {lost} of {len(runs[name])} seeds" if lost else ""
        found = interval(paired) or [None, None, None]
        entries.append(report.claim(text, paper, quantity, found, "below", margin=margin) if margin
                       else report.described(text, quantity, found))
    return entries


def pictures(out, runs, anchors, real):
    """Write the scores and the samples of the variants that finished; returns what the report needs
    to know of them."""
    runs = {name: found for name, found in runs.items() if values(found, SCORES[0])}
    if not runs:
        return []
    panels = {score: {name: values(found, score) for name, found in runs.items()}
              for score in ("KID clips", "KID frames", "motion W1", "MSE h", "MSE z")}
    marks = {score: {"other real clips": anchors["real clips, others"][score]}
             for score in ("KID clips", "KID frames", "motion W1")}
    plots.save_intervals(os.path.join(out, "scores.png"), panels, marks)
    plots.save_rows(os.path.join(out, "samples.png"), {"real": real[:4]} | {
        name: next(run["clips"] for run in found if run["scores"])
        for name, found in runs.items()})
    return [("samples.png", "Four clips of each variant, and real ones: mazes should be sharp and "
             "stand still, and figures should move.", "Rows of generated Ms. Pac-Man clips"),
            ("scores.png", "Scores of the variants that finished, the lower the better: a variant "
             "worse than the default shows what the choice is worth.",
             "Five scores for each variant of LDF")]


def parse(arguments=None):
    parser = cli.parser(__doc__, out="out/ablation", minutes=2.0,
                        of="training time of each variant")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS),
                        metavar="NAME", help=f"only these of {', '.join(VARIANTS)}")
    cli.add_checkpoints(parser)
    return parser.parse_args(arguments)


def run(options):
    ldf.use(options.device)
    data = load_pacman(20000, seed=0, progress=True)
    cached = cached_runs(options, cli.settings(options, "variants"),
                         len(options.seeds) * len(options.variants))
    runs = cached.by_seed([name for name in VARIANTS if name in options.variants], options.seeds,
                          partial(train, data, options))
    cached.close()

    others = clip_scores.anchors(data.test[SAMPLES:3 * SAMPLES], data.train)
    score = clip_scores.ClipScores(data.test[:SAMPLES])
    anchors = {"real clips, others": score(others["real"]),
               "real clips, frames independent": score(others["independent"])}
    report.conclude(options, title="Ablation: what LDF's choices are worth (Sections 3.1 and 5.3)",
                    claims=claims(runs), tables=tables(runs, anchors),
                    figures=pictures(options.out, runs, anchors, data.test),
                    seconds=cached.seconds, pieces={
                        name: [{k: run.get(k) for k in ("scores", "steps", "diverged")}
                               for run in found] for name, found in runs.items()})


if __name__ == "__main__":
    cli.main(run, parse())
