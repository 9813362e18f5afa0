"""Which of LDF's choices matter? Variants that differ from the shipped LDF in one thing each, on
clips of Ms. Pac-Man.

    python demos/ablation.py                                nine variants with each of three seeds,
    2 minutes each python demos/ablation.py --minutes 8 --variants default "no penalty"

The paper (Sections 3.1 and 5.3) regularizes every discriminator as Roth et al. do, adds shortcut
reconstructions through the encoder's last hidden layer h, and trains the bottom level first or both
levels at once; it shows no run without any of these.

    default                 h as the code; Roth's penalty at the bottom (gamma 0.5), the unweighted
    one at the top (20);
                            shortcut weight 1000; bottom first
    code z                  z in place of h is what the top level models
    roth, unweighted, r1    one kind of penalty at both levels. Roth's weights are 1/4 where D is
    undecided, and R1 sees the
                            real half only, so gamma is 1, 1/4 and 1/2 times Roth's at either level:
                            equally strong there
    no penalty              at neither level
    shortcut 0, 100         the weight of the reconstruction through h
    together                both levels at once

All have the same training time, which holds the encoding of the whole clips between the levels, the
same seeds, batches of 64, Adam and, but for the top's width under "code z" (128 numbers, not 160),
the same networks. Scores are ``metrics.ClipScores`` beside held-out clips, the lower the better,
and the squared errors of held-out frames decoded from h and from z. A variant that diverges has no
scores: the tables count the seeds that finished. Differences are those to the default with the same
seed.
"""

import os
import sys
from functools import partial

# before NumPy loads: the library runs two threads of its own
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from matplotlib.figure import Figure

import ldf_np as ldf
from ldf_np.data import load_pacman, to_float, to_uint8
from ldf_np.experiments import cli as experiment
from ldf_np.experiments import clip_scores, plots, report, runs
from ldf_np.experiments.runs import finished
from ldf_np.experiments.statistics import over_seeds, verdict
from ldf_np.models import nets

SAMPLES = 500


def penalties(kind, share):
    """Settings with one kind of penalty at both levels, ``share`` times as strong as Roth's: 0.5 at
    the bottom, 80 at the top (four times the shipped 20, which are not weighted)."""
    return {"penalty": kind, "gamma": 0.5 * share, "top":
            partial(nets.mlp_gan, penalty=kind, gamma=80.0 * share)}


# {name: (settings of nets.clip_ldf, settings of fit)}
VARIANTS = {
    "default": ({}, {}),
    "code z": ({"code": "z"}, {}),
    "roth": (penalties("roth", 1.0), {}),
    "unweighted": (penalties("unweighted", 0.25), {}),
    "r1": (penalties("r1", 0.5), {}),
    "no penalty": (penalties("none", 0.0), {}),
    "shortcut 0": ({"shortcut_weight": 0.0}, {}),
    "shortcut 100": ({"shortcut_weight": 100.0}, {}),
    "together": ({}, {"schedule": "together"}),
}
SCORES = ("KID clips", "KID frames", "KID differences", "motion W1", "background drift", "MSE h",
          "MSE z", "D bottom",
          "D top")
REGULARIZED = (
    '"In all cases we used the stabilizing regularization objective for all GAN discriminators '
    '(both higher and '
               'lower levels)" (Section 3.1)')
SHORTCUT = '"“shortcut reconstructions” which go through the final hidden layer before the latent variables" (Section 3.1)'
BOTH = (
    '"ldf with a pre-trained lower level (red) and ldf with training starting from scratch all '
    'train faster than the '
        'baseline GAN" (Section 5.3, Fig. 3)')


def whole_clips(minutes):
    """How many whole clips a model sees beside all frames: encoding them takes about the same share
    of any budget."""
    return int(min(5000, max(640, 2500 * minutes)))


def discriminator_loss(histories, level):
    """The mean of the last tenth of a level's discriminator losses: "bottom" or "top"."""
    if "together" in histories:
        losses = histories["together"].losses["level 0 D" if level == "bottom" else "top D"]
    else:
        losses = histories["level 0" if level == "bottom" else "top"].losses["D"]
    return float(np.mean(losses[-max(1, len(losses) // 10):]))


def piece(data, options, variant, seed, checkpoints):
    """Train one variant with one seed, and score it: {"parameters", "scores", "clips"}; scores is
    None where it diverged."""
    settings, how = VARIANTS[variant]
    count = whole_clips(options.minutes)
    model = nets.clip_ldf(data.train[:count], data.train.shape[1], seed=seed, **settings)
    made = {"parameters": sum(p.size for p in model.parameters()), "scores": None}
    try:
        histories = finished(model.fit(data.train[:count],
                                       factors=data.train.reshape(-1, *data.train.shape[2:]),
                                       minutes=options.minutes, progress=sys.stderr.isatty(),
                                       checkpoints=checkpoints, **how))
        clips = model.sample(SAMPLES, ldf.Generator(seed + 100))
        errors = reconstruction_errors(model.models[0], clip_scores.one_frame(data.test[:SAMPLES]))
        if not np.isfinite(clips).all() or not np.isfinite(list(errors.values())).all():
            raise FloatingPointError("what it makes is not finite")
    except FloatingPointError as error:
        return made | {"diverged": str(error)}
    clips = to_uint8(clips)
    made["scores"] = clip_scores.ClipScores(data.test[:SAMPLES])(clips) | errors | {
        f"D {level}": discriminator_loss(histories, level) for level in ("bottom", "top")}
    made["steps"] = {level: history.steps for level, history in histories.items()}
    return made | {"clips": clips[:4]}


def reconstruction_errors(model, frames):
    """Mean squared errors of frames (n, h, w, c), uint8, decoded from either code; values in [-1,
    1]."""
    return {f"MSE {code}": float(np.mean((model.reconstruct(frames, code)
                                          - to_float(frames)) ** 2)) for code in "hz"}


# ----------------------------------------------------------------------------------------- results


def values(found, score):
    """A score over the seeds that finished."""
    return [p["scores"][score] for p in found if p["scores"] is not None]


def differences(found, base, score):
    """Of a score to that of another variant, over the seeds with which both finished."""
    return [p["scores"][score] - q["scores"][score] for p,
            q in zip(found, base, strict=True) if p["scores"] and q["scores"]]


def spread(numbers):
    """``over_seeds``, or None where there is nothing."""
    return over_seeds(numbers) if len(numbers) else None


def tables(made, anchors):
    """The scores of all variants, and beside them those of real clips; and paired differences to
    the default."""
    rows = {}
    for name, found in made.items():
        done = sum(p["scores"] is not None for p in found)
        rows[name] = [f"{done} of {len(found)}", found[0]["parameters"],
                      *(spread(values(found, score)) for score in SCORES)]
    for name, scores in anchors.items():
        rows[name] = [None, None, *(scores.get(score) for score in SCORES)]
    shown = {"scores": {"columns": ["finished", "parameters", *SCORES], "rows": rows}}
    if "default" in made:
        shown["difference to the default"] = {"columns": list(SCORES), "rows": {
            name: [spread(differences(found, made["default"], score)) for score in SCORES]
            for name, found in made.items() if name != "default"}}
    return shown


CLAIMS = (      # claim, paper, the better variant, the worse, score
    ("The regularized discriminators give better clips than none", REGULARIZED, "default", "no penalty", "KID clips"),
    ("Roth's own penalty at both levels gives better clips than none", REGULARIZED, "roth", "no penalty", "KID clips"),
    ("Shortcut reconstructions give better clips", SHORTCUT, "default", "shortcut 0", "KID clips"),
    ("Shortcut reconstructions are what makes frames come back from h", SHORTCUT, "default", "shortcut 0", "MSE h"),
    ("h is a better code for the level above than z (the paper leaves open which it used)", SHORTCUT,
     "default", "code z", "KID clips"),
    ("Bottom first gives better clips than both levels at once", BOTH, "default", "together", "KID clips"),
)


def claims(made):
    """Those of CLAIMS whose variants were run. Seeds with which one of the two diverged are left
    out, and counted."""
    entries = []
    for text, paper, better, worse, score in CLAIMS:
        if better not in made or worse not in made:
            continue
        paired = differences(made[better], made[worse], score)
        interval = spread(paired) or [None, None, None]
        quantity = f"{score}, {better} minus {worse}; expected below 0"
        for name in (better, worse):
            lost = sum(p["scores"] is None for p in made[name])
            quantity += f"; {name} diverged with {lost} of {len(made[name])} seeds" if lost else ""
        entries.append({"claim": text, "paper": paper, "quantity": quantity, "interval": interval,
                        "verdict": verdict(interval, "below")})
    return entries


def samples(path, made, real):
    """Four clips of each variant, from the first seed that finished (there is one), under four real
    ones."""
    rows = {"real": real[:4]} | {name: next(p["clips"] for p in found if p["scores"]) for name,
                                 found in made.items()}
    sheet = plots.clip_sheet(np.concatenate(list(rows.values())), columns=4, scale=2)
    figure = Figure(figsize=(1.2 + 0.008 * sheet.shape[1], 0.2 + 0.008 * sheet.shape[0]),
                    layout="constrained")
    axes = figure.subplots()
    axes.imshow(sheet)
    axes.set_xticks([])
    # a row is 2 * 33 pixels high
    axes.set_yticks(66 * (0.5 + np.arange(len(rows))), rows, fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    plots.save_figure(path, figure)


def parse(arguments=None):
    parser = experiment.parser(__doc__, out="out/ablation", minutes=2.0,
                               of="training time of each variant")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS),
                        metavar="NAME", help=f"only these of {', '.join(VARIANTS)}")
    experiment.add_checkpoints(parser)
    return parser.parse_args(arguments)


def run(options):
    ldf.use(options.device)
    os.makedirs(options.out, exist_ok=True)
    data = load_pacman(20000, seed=0, progress=sys.stderr.isatty())
    pieces = runs.pieces(options, experiment.settings(options, "variants"),
                         len(options.seeds) * len(options.variants))
    made = {name: [] for name in VARIANTS if name in options.variants}
    for seed in options.seeds:
        for name in made:
            made[name].append(pieces(f"{name.replace(' ', '-')}-seed{seed}",
                                     partial(piece, data, options, name, seed)))
    pieces.close()

    real = data.test[:SAMPLES]
    others = clip_scores.anchors(data.test[SAMPLES:3 * SAMPLES], data.train)
    score = clip_scores.ClipScores(real)
    anchors = {f"real clips, {name}": score(others[kind])
               for name, kind in (("others", "real"), ("frames independent", "independent"))}
    found, shown = claims(made), tables(made, anchors)
    finished_ones = {name: some for name, some in made.items() if values(some, SCORES[0])}
    figures = []
    if finished_ones:
        panels = {score: {name: values(some, score) for name, some in finished_ones.items()}
                  for score in ("KID clips", "KID frames", "motion W1", "MSE h", "MSE z")}
        marks = {score: {"other real clips": anchors["real clips, others"][score]}
                 for score in list(panels)[:3]}
        plots.save_intervals(os.path.join(options.out, "scores.png"), panels, marks)
        samples(os.path.join(options.out, "samples.png"), finished_ones, real)
        figures = [("scores.png", "Scores of the variants that finished, one dot for each seed",
                    "Dots and intervals of five scores for each variant of LDF"),
                   ("samples.png", "Four clips of each variant, and real ones",
                    "Rows of generated Ms. Pac-Man clips")]
    report.conclude(options, title="Ablation: what LDF's choices are worth (Sections 3.1 and 5.3)",
                    claims=found,
                        tables=shown, figures=figures, seconds=pieces.seconds, pieces={
                            name: [{k: p.get(k) for k in ("scores", "steps", "diverged")}
                                   for p in some]
                            for name, some in made.items()})


if __name__ == "__main__":
    experiment.main(run, parse())
