"""Learn to generate five-frame clips of Ms. Pac-Man: LDF (Figs. 4, 5 and 7 of the paper) beside its
joint baseline.

    python demos/pacman.py                                    both models, 8 minutes each, with
    three seeds python demos/pacman.py --model ldf --minutes 4 --seeds 0 python demos/pacman.py
    --train-clips 256                  few clips, but all single frames for the bottom level python
    demos/pacman.py --steps 3000                       3000 steps each: whatever ends it on its way,
    the same weights mpirun -n 2 python demos/pacman.py                        two processes train
    as one, each on half of every batch

Each model gets the same wall-clock time; LDF's includes its bottom level, and the time that scoring
takes counts for neither. While a model trains, its samples are compared with training clips (KID of
whole clips), and it ends with the weights that were best then; the held-out clips are looked at
once, afterwards. Every minute a training writes a checkpoint with all of its state into
OUT/checkpoints. Ctrl-C, like SIGTERM, ends the training of a model and writes what it has learned;
the same command goes on from there, as it does after any other end. With --steps the weights are
then the same to the last bit; with --minutes the annealing follows the clock. Once a model is
finished, only the log of its losses stays there.
"""

import os
from functools import partial

# before NumPy loads: the library runs two threads of its own
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import ldf_np as ldf
from ldf_np.data import load_pacman, read_clips, to_float, to_uint8
from ldf_np.experiments import cli as experiment
from ldf_np.experiments import clip_scores, metrics, plots, report, runs, statistics
from ldf_np.experiments.statistics import over_seeds, verdict
from ldf_np.models import baselines, nets
from ldf_np.runtime.distributed import first_before_others, world
from ldf_np.training.best_weights import BestWeights

BOTTOM_SHARE = 0.7          # of LDF's training time
SAMPLES = 1000
PICK = 256                  # samples, and training clips, by whose distance the weights are picked
# of that of independent frames: what still counts as a constant background
DRIFT = 0.1
PAPER = {
    "speed": "using ldf trains faster than a joint training baseline (Section 5.3)",
    "background":
    "because the background never changes, the ability of the model to keep a constant background "
    "is a test of "
                  "the ability of ldf to learn the relationship between different steps (Section "
                  "5.2)",
    "reconstruction":
    "the reconstructions (formed by running the inference network on real data points and then the "
                      "generation network on the inferred latent states) should be exactly "
                      "identical (Section 3.1)"}


def parse(arguments=None):
    parser = experiment.parser(__doc__, out="out/pacman", minutes=8,
                               steps="steps of each model, in place of --minutes; "
                                     f"{BOTTOM_SHARE:g} of LDF's are its bottom's")
    parser.add_argument("--data", default="ale", metavar="ale|FOLDER",
                        help="the game itself (default), or a folder of PNG episodes or of .npz "
                             "clips")
    parser.add_argument("--clips", type=experiment.whole(1024), default=20000,
                        help="clips to make or read (default 20000)")
    parser.add_argument("--train-clips", type=experiment.whole(64), metavar="N",
                        help="train on only N whole clips; the bottom level still sees all single "
                             "frames")
    parser.add_argument("--model", choices=("ldf", "joint", "both"), default="both")
    experiment.add_checkpoints(parser)
    options = parser.parse_args(arguments)
    if options.steps is not None:
        options.minutes = None
    if options.train_clips is not None and options.train_clips > options.clips:
        parser.error(
            f"--train-clips: expected 64 to {options.clips} (the number of clips), got "
            f"{options.train_clips}")
    return options


# ------------------------------------------------------------------------------------------ models


def train(name, options, seed, data, clips, scores, checkpoints):
    """The piece of one model and seed: its scores, samples and what there is to say of its
    training. Of several processes that train it together, the first scores it and writes."""
    model = nets.clip_ldf(clips, seed=seed)
    size = sum(p.size for p in model.parameters())
    if name == "joint GAN":
        model = baselines.matched(lambda hidden: baselines.joint_gan(hidden=hidden, seed=seed),
                                  size)
    tracker = None
    if world().rank == 0:
        wanted = metrics.features(clip_scores.as_channels(clips[:PICK]))
        amount, unit = (options.minutes * 60,
                        "seconds") if options.steps is None else (options.steps, "steps")
        tracker = BestWeights(model, partial(distance, wanted, seed), np.arange(1, 8) / 8 * amount,
                              unit)
        checkpoints.also["tracker"] = tracker
    how = experiment.budget(options) | {"progress": True, "callback": tracker, "checkpoints":
                                        checkpoints}
    if name == "LDF":
        how |= {"factors": data.train.reshape(-1, *data.train.shape[2:]), "bottom_share":
                BOTTOM_SHARE}
    histories = model.fit(clips, **how)
    histories = histories if isinstance(histories, dict) else {name: histories}
    interrupted = any(h.interrupted for h in histories.values())
    if tracker is None:
        return {"interrupted": interrupted}
    last = list(histories.values())[-1]
    curve = tracker.finish(last)
    stem = os.path.join(options.out, f"{'ldf' if name == 'LDF' else 'joint'}_seed{seed}")
    model.save(f"{stem}.safetensors")
    plots.save_curves(f"{stem}_losses.png", histories)
    made = to_uint8(model.sample(SAMPLES, ldf.Generator(seed + 100)))
    piece = {"clips": made, "curve": curve, "scores": scores(made), "over samples":
             scores.over_samples(made), "parameters": sum(p.size for p in model.parameters()),
             "interrupted": interrupted,
             "training": {title: {"steps": h.steps, "seconds": h.spent,
                                  "losses": {k: float(np.mean(v[-100:])) for k,
                                             v in h.losses.items()}}
                          for title, h in histories.items()}}
    return piece | (reconstructions(model, data) if name == "LDF" else {})


def distance(wanted, seed, model):
    """KID of whole clips, samples to the features ``wanted`` of training clips: what the weights
    are picked by."""
    made = to_uint8(model.sample(PICK, ldf.Generator(seed + 200)))
    return 1000 * metrics.kid(metrics.features(clip_scores.as_channels(made)), wanted)


def reconstructions(model, data):
    """Of held-out clips: eight to look at, and the bottom's errors through h and z on one frame of
    each of 200 clips."""
    # the frames of one clip are hardly different
    bottom, frames = model.models[0], data.test[:200, 0]
    errors = {code: float(np.mean((bottom.reconstruct(frames, code) - to_float(frames)) ** 2))
              for code in "hz"}
    pairs = np.stack([data.test[:8], to_uint8(model.reconstruct(data.test[:8]))], axis=1)
    return {"reconstructions": pairs.reshape(-1, *pairs.shape[2:]), "mse": errors,
            "variance_kept": 1 - errors["h"] / float(to_float(frames).var(axis=0).mean())}


class Scores(clip_scores.ClipScores):
    """Everything ``ldf_np.metrics`` has to say of clips beside held-out ones and the training
    clips: {name: number}."""

    def __init__(self, real, clips):
        super().__init__(real)
        self.train = metrics.features(clip_scores.as_channels(clips[:2 * len(real)]))
        self.principal = metrics.PrincipalFeatures(clip_scores.as_channels(clips[:SAMPLES]),
                                                   min(64, len(clips) // 4))
        self.principal_real = self.principal(clip_scores.as_channels(real))

    def __call__(self, made):
        made = made[:len(self.real["clips"])]
        whole, frames = metrics.features(clip_scores.as_channels(made)), metrics.features(
            clip_scores.one_frame(made))
        generated, real = metrics.nearest_neighbour_two_sample(whole, self.real["clips"])
        precision, recall = metrics.precision_recall(self.real["frames"], frames)
        return super().__call__(made) | {
            "KID clips, PCA": 1000 * metrics.kid(self.principal(clip_scores.as_channels(made)),
                                                 self.principal_real),
            "Frechet clips": metrics.frechet_unbiased(whole, self.real["clips"]),
            "two-sample clips": metrics.classifier_two_sample(whole, self.real["clips"]),
            "1-NN of generated": generated, "1-NN of real": real, "precision frames": precision,
            "recall frames": recall,
            "memorisation": metrics.memorisation(whole, self.train, self.real["clips"]),
            "motion median": float(np.median(clip_scores.motion(made)))}

    def over_samples(self, made):
        """[value, low, high] of KID of whole clips x 1000: the interval that comes from the
        samples, not from the seeds."""
        whole = metrics.features(clip_scores.as_channels(made[:len(self.real["clips"])]))
        return [1000 * x for x in statistics.interval(metrics.kid, whole, self.real["clips"],
                                                      repeats=30)]


# ----------------------------------------------------------------------------------------- results


def tables(pieces, anchors):
    """Scores of models (intervals over seeds) and anchors; the same placed between the anchors;
    sizes and steps."""
    names = list(anchors["real"])
    rows = {name: [over_seeds([p["scores"][k] for p in some.values()]) for k in names] for name,
            some in pieces.items()}
    rows |= {f"real clips, {kind}": list(found.values()) for kind, found in anchors.items()}
    placed = [k for k in names if k.startswith(("KID clips", "KID differences", "motion W1",
                                                "background"))]
    between = {name: [over_seeds([clip_scores.relative(p["scores"][k], anchors["real"][k],
                                                       anchors["independent"][k])
                                  for p in some.values()]) for k in placed] for name,
                                  some in pieces.items()}
    work = {name: [next(iter(some.values()))["parameters"],
                   ", ".join(
                       f"{title} "
                       f"{'/'.join(str(p['training'][title]['steps']) for p in some.values())}"
                             for title in next(iter(some.values()))["training"])] for name,
                             some in pieces.items()}
    seeds = sorted({seed for some in pieces.values() for seed in some})
    samples = {name: [some[seed]["over samples"] if seed in some else None for seed in seeds]
               for name, some in pieces.items()}
    return {"Scores beside held-out clips": {"columns": names, "rows": rows},
            "Placed between other real clips (0) and independent frames (1)":
            {"columns": placed, "rows": between}, "KID of whole clips, intervals over samples": {
                "columns": [f"seed {seed}" for seed in seeds], "rows": samples},
            "Training": {"columns": ["parameters", "steps, one number a seed"], "rows": work}}


def claims(pieces, anchors, budget):
    """From {model: {seed: its piece}}, the scores of real clips, and what {"minutes" or "steps":
    number} each model had."""
    found, ((unit, amount),) = [], budget.items()

    def add(claim, paper, quantity, interval, expected, than=0.0):
        found.append({"claim": claim, "paper": PAPER[paper], "quantity": quantity, "interval":
                      interval, "verdict": verdict(interval, expected, than)})

    ldf_pieces, joint = pieces.get("LDF", {}), pieces.get("joint GAN", {})
    both = [seed for seed in ldf_pieces if seed in joint]
    for key in ("KID clips", "KID frames", "motion W1") if both else ():
        gap = over_seeds([ldf_pieces[s]["scores"][key] - joint[s]["scores"][key] for s in both])
        add(f"After {amount:g} {unit} of training LDF's clips are nearer to real ones than the "
            f"joint GAN's ({key})", "speed",
            f"{key}, LDF minus joint GAN, paired seeds", gap, "below")
    if ldf_pieces:
        drift = [clip_scores.relative(p["scores"]["background drift"],
                                      anchors["real"]["background drift"],
                                  anchors["independent"]["background drift"])
                                  for p in ldf_pieces.values()]
        add(f"LDF keeps the background constant: its drift is below {DRIFT:g} of that of "
            "independent frames", "background",
            "background drift, 0 real clips, 1 independent frames", over_seeds(drift), "below",
            DRIFT)
        kept = over_seeds([p["variance_kept"] for p in ldf_pieces.values()])
        add("The bottom's reconstructions of held-out frames keep 90% of their variance (through "
            "the shortcut)",
            "reconstruction", "share of the pixels' variance that is kept", kept, "above", 0.9)
    return found


def pictures(out, pieces, data, unit):
    """Write the sheets, the animation and the two plots; returns what the report needs to know of
    them. ``unit``: that of the curves, "seconds" or "steps"."""
    first = {name: next(iter(some.values())) for name, some in pieces.items()}
    plots.save_clips(os.path.join(out, "real.png"), data.test[:16], columns=2)
    sheets = np.stack([p["clips"][:16] for p in first.values()], axis=1)
    plots.save_clips(os.path.join(out, "samples.png"), sheets.reshape(-1, *sheets.shape[2:]),
                     max(2, len(first)))
    plots.save_animation(os.path.join(out, "samples.gif"),
                         np.concatenate([p["clips"][:32] for p in first.values()]))
    plots.save_lines(os.path.join(out, "curves.png"),
                     {name: [p["curve"] for p in some.values()] for name, some in pieces.items()},
                     f"{unit} of training", "KID of whole clips to training clips (x 1000)")
    plots.save_intervals(os.path.join(out, "scores.png"),
                         {key: {name: [p["scores"][key] for p in some.values()] for name,
                                some in pieces.items()}
                          for key in ("KID frames", "KID clips", "KID differences", "motion W1")})
    who = " left, ".join(first) + (" right" if len(first) > 1 else "")
    shown = [("samples.png", f"Generated clips, five frames each: {who}.",
              f"Sheet of generated clips: {who}"),
             ("samples.gif", f"Generated clips in motion: {' above '.join(first)}.",
              "Generated clips, animated"),
             ("real.png", "Held-out clips (Fig. 5).", "Sheet of real clips"),
             ("curves.png", "Distance to training clips while training, a line a seed.",
              "Score against training time"),
             ("scores.png", "Scores beside held-out clips.",
              "Intervals of four scores for each model")]
    if "LDF" in first:
        plots.save_clips(os.path.join(out, "reconstructions.png"), first["LDF"]["reconstructions"])
        shown.append(("reconstructions.png",
                      "Held-out clips and, below each, LDF's reconstruction.",
                      "Real and reconstructed clips"))
    return shown


def run(options):
    ldf.use(options.device)
    os.makedirs(options.out, exist_ok=True)
    first = world().rank == 0
    load = load_pacman if options.data == "ale" else partial(read_clips, options.data)
    data = first_before_others(partial(load, clips=options.clips, seed=0, progress=first))
    clips = data.train[:options.train_clips]
    if len(data.test) < 16 or len(clips) < 64:
        raise ValueError("--data: expected at least 64 clips to train on and 16 to hold out, "
                         f"got {len(clips)} and {len(data.test)}")
    if first:
        print(
            f"{len(clips):,} clips to train on, {len(data.test):,} from other episodes to look at")
    names = {"ldf": ["LDF"], "joint": ["joint GAN"], "both": ["LDF", "joint GAN"]}[options.model]
    budget = experiment.budget(options)
    kept = runs.pieces(options, experiment.settings(options, "model", "minutes", "steps") | budget,
                             1 + len(names) * len(options.seeds))
    half = min(SAMPLES, len(data.test) // 2)
    scores = Scores(data.test[:half], clips) if first else None
    anchors = kept("anchors", lambda _: {kind: scores(some) for kind, some in
                                         clip_scores.anchors(data.test[:2 * half], clips).items()
                                         if first})
    pieces, interrupted = {name: {} for name in names}, False
    for seed in options.seeds:
        for name in names:
            if not interrupted:
                piece = kept(f"{name} seed {seed}",
                             partial(train, name, options, seed, data, clips, scores))
                pieces[name][seed], interrupted = piece, piece.get("interrupted", False)
    kept.close()
    if not first:
        return
    pieces = {name: some for name, some in pieces.items() if some}

    shown = pictures(options.out, pieces, data, "seconds" if options.steps is None else "steps")
    found, tested = tables(pieces, anchors), claims(pieces, anchors, budget)
    for name, some in pieces.items():
        for seed, p in some.items():
            if "mse" in p:
                print(
                    f"{name}, seed {seed}: mean squared error of held-out frames, through the "
                    f"shortcut {p['mse']['h']:.4f}, "
                      f"through z {p['mse']['z']:.4f}")
    report.conclude(options, title="Ms. Pac-Man: LDF beside its joint baseline (Figs. 4, 5, 7)",
                    claims=tested,
                        tables=found, figures=shown, seconds=kept.seconds, device=ldf.device(),
                        interrupted=interrupted, processes=world().size,
                        models={name: {seed:
                                       {k: v for k, v in p.items() if not isinstance(v, np.ndarray)}
                                       for seed, p in some.items()} for name,
                                       some in pieces.items()})
    if interrupted:
        print("interrupted: the same command goes on from the checkpoint")


if __name__ == "__main__":
    experiment.main(run, parse(), ranks=True)
