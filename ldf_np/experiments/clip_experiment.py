"""Models of clips compared: all scores of their samples, the best weights of a training, and the
tables, claims and pictures of {model: {seed: its run}}."""

import os
import time
from functools import partial

import numpy as np

from ..data.clips import to_float, to_uint8
from ..models.ldf import LDF
from ..models.pretrained import card, load_pretrained
from ..runtime.files import replacing
from ..runtime.random import Generator
from ..training.best_weights import BestWeights
from . import metrics, plots
from .clip_scores import (
    VIEWS,
    ClipScores,
    as_channels,
    background_colours,
    figure_squares,
    motion,
    one_frame,
    relative,
)
from .report import claim, conclude, described
from .runs import count_parameters, scores_of
from .statistics import interval, limits, over_seeds
from .tables import steps_text

PICK = 256      # samples, and training clips, by whose distance the best weights are picked
KID_MARGIN = 0.2        # of KID x 1000: less counts as no difference
DRIFT = 0.1     # of that of independent frames: what still counts as a constant background
SPEED = "using ldf trains faster than a joint training baseline (Section 5.3)"
BACKGROUND = ("because the background never changes, the ability of the model to keep a constant "
              "background is a test of the ability of ldf to learn the relationship between "
              "different steps (Section 5.2)")

# ------------------------------------------------------------------------- one model with one seed


def whole_clips(minutes):
    """How many whole clips to train on beside all frames, for so many ``minutes``: encoding them
    then takes about the same part of any budget."""
    return int(min(5000, max(640, 2500 * minutes)))


def clip_features(clips):
    """``metrics.features`` of whole clips."""
    return metrics.features(as_channels(clips))


class AllClipScores(ClipScores):
    """All scores of ``metrics`` and ``clip_scores`` for clips beside held-out ``real`` clips and
    the training ``clips``: {name: number}.

    "KID figures" (x 1000, the lower the better) is that of ``figure_squares``, one of each clip:
    figures are small and rare, and whole frames hardly tell them from stains.
    """

    def __init__(self, real, clips):
        background = background_colours(clips)
        super().__init__(real, views=VIEWS | {
            "figures": lambda clips: figure_squares(one_frame(clips), background)})
        self.train = clip_features(clips[:2 * len(real)])
        self.principal = metrics.PrincipalFeatures(as_channels(clips[:1000]),
                                                   min(64, len(clips) // 4))
        self.principal_real = self.principal(as_channels(real))

    def __call__(self, made):
        made = made[:len(self.real["clips"])]
        whole, frames = clip_features(made), metrics.features(one_frame(made))
        generated, real = metrics.nearest_neighbour_two_sample(whole, self.real["clips"])
        precision, recall = metrics.precision_recall(self.real["frames"], frames)
        return super().__call__(made) | {
            "KID clips, PCA": 1000 * metrics.kid(self.principal(as_channels(made)),
                                                 self.principal_real),
            "Frechet clips": metrics.frechet_unbiased(whole, self.real["clips"]),
            "two-sample clips": metrics.classifier_two_sample(whole, self.real["clips"]),
            "1-NN of generated": generated, "1-NN of real": real, "precision frames": precision,
            "recall frames": recall,
            "memorisation": metrics.memorisation(whole, self.train, self.real["clips"]),
            "motion median": float(np.median(motion(made)))}

    def over_samples(self, made):
        """[value, low, high] of KID of whole clips x 1000: the interval that comes from the
        samples, not from the seeds."""
        whole = clip_features(made[:len(self.real["clips"])])
        return [1000 * x for x in interval(metrics.kid, whole, self.real["clips"], repeats=30)]


def best_weights(model, clips, seed, budget):
    """BestWeights by KID of whole clips, samples to training ``clips``, at seven times of a
    training with this ``budget`` ({"minutes" or "steps": number})."""
    (unit, amount), = budget.items()
    if unit == "minutes":
        unit, amount = "seconds", amount * 60
    return BestWeights(model, partial(distance, clip_features(clips[:PICK]), seed),
                       np.arange(1, 8) / 8 * amount, unit)


def distance(wanted, seed, model):
    """KID x 1000 of whole clips, samples to the features ``wanted`` of training clips."""
    made = to_uint8(model.sample(PICK, Generator(seed + 200)))
    return 1000 * metrics.kid(clip_features(made), wanted)


LOOK = ("The maze should be sharp and the same in all five frames, and one figure or more should "
        "move a little from frame to frame, as in real clips.")


def draw_pretrained(options, names):
    """Clips of the models that come with the package, {title: name}, as pictures and results."""
    made, rows, seconds = {}, {}, time.perf_counter()
    for title, name in names.items():
        about = card(name)
        print(f"{title}: {name}, trained on {about['data']} by `{about['command']}` "
              f"({about['budget']})")
        made[title] = to_uint8(load_pretrained(name).sample(64, Generator(options.seeds[0])))
        rows[title] = about["scores"]
    shown, scores = write_samples(options.out, made), in_all(rows.values())
    conclude(options, title="Ms. Pac-Man: the models that come with the package", claims=[],
             tables={"Scores beside held-out clips, when they were trained": {
                 "columns": scores, "rows": {title: [found[score] for score in scores]
                                             for title, found in rows.items()}}},
             figures=shown, seconds=time.perf_counter() - seconds)


def save_samples(out, name, runs):
    """Write the clips of the first of a model's runs {seed: run} as OUT/samples_NAME.npz, key
    ``clips``."""
    with replacing(os.path.join(out, f"samples_{name}.npz")) as path:
        np.savez_compressed(path, clips=next(iter(runs.values()))["clips"])


def write_samples(out, clips):
    """Write clips {title: (n, t, h, w, c)} side by side under their titles: samples.gif, in which
    they play, and samples.png, whose rows are clips. Returns what results say of them."""
    plots.save_animation(os.path.join(out, "samples.gif"),
                         {title: some[:24] for title, some in clips.items()},
                         max(3, 12 // len(clips)), 2)
    plots.save_clips(os.path.join(out, "samples.png"),
                     {title: some[:16] for title, some in clips.items()})
    return [("samples.gif", f"Clips of five frames, playing: {', '.join(clips)}. {LOOK}",
             "Clips side by side, animated"),
            ("samples.png", "The same clips frame by frame: a row is a clip, its five frames from "
             "left to right (Fig. 5).", f"Sheets of clips: {', '.join(clips)}")]


def findings(model, made, histories, scores, held_out):
    """What is kept of a trained model: the scores of the clips ``made`` by it, its size, {level:
    its steps, seconds and last losses} of ``histories``, and of LDF its ``reconstructions``."""
    training = {level: {"steps": h.steps, "seconds": h.spent,
                        "losses": {k: float(np.mean(v[-100:])) for k, v in h.losses.items()}}
                for level, h in histories.items()}
    found = {"scores": scores(made), "over samples": scores.over_samples(made),
             "parameters": count_parameters(model), "training": training}
    return found | (reconstructions(model, held_out) if isinstance(model, LDF) else {})


def reconstructions(model, held_out):
    """Of an LDF and held-out clips: eight clips, what comes back of them through h and through z,
    and as many frames that the bottom level makes of noise by itself, as they are and through z
    and then h; the errors through h and z on one frame of each of 200 clips, and KID of the
    bottom's own frames, both ways."""
    # the frames of one clip are hardly different
    bottom, frames, shown = model.models[0], held_out[:1000, 0], held_out[:8]
    errors = {code: float(np.mean((bottom.reconstruct(frames[:200], code)
                                   - to_float(frames[:200])) ** 2)) for code in "hz"}
    all_shown = shown.reshape(-1, *shown.shape[2:])
    through = [to_uint8(bottom.reconstruct(all_shown, code)) for code in "hz"]
    made = bottom.sample(max(len(frames), len(all_shown)), Generator(0))
    again = bottom.reconstruct(bottom.reconstruct(made, "z"), "h")
    own = {"": to_uint8(made), " through z and h": to_uint8(again)}
    sheets = [shown, *through, *(some[:len(all_shown)] for some in own.values())]
    return {"reconstructions": np.stack([x.reshape(shown.shape) for x in sheets]),
            "mse": errors, "variance_kept": 1 - errors["h"] / float(
                to_float(frames[:200]).var(axis=0).mean()),
            **{f"KID of the bottom's own frames{way}": 1000 * metrics.kid(
                metrics.features(some), metrics.features(frames)) for way, some in own.items()}}


# -------------------------------------------------------------------------- all models, all seeds


def in_all(found):
    """The names of the scores that each of some {name: score} has: a kept run, or a model of the
    package, may be older than a score."""
    first, *others = found
    return [name for name in first if all(name in scores for scores in others)]


def tables(runs, anchors):
    """Scores of models (intervals over seeds) and anchors; the same placed between the anchors;
    sizes and steps."""
    names = in_all([anchors["real"], *(run["scores"] for some in runs.values()
                                       for run in some.values())])
    placed = [k for k in names if k.startswith(("KID clips", "KID differences", "motion W1",
                                                "background"))]
    seeds = sorted({seed for some in runs.values() for seed in some})
    rows, between, samples, work = {}, {}, {}, {}
    for name, some in runs.items():
        found = list(some.values())
        rows[name] = [over_seeds([run["scores"][k] for run in found], within=limits(k))
                      for k in names]
        between[name] = [over_seeds(between_anchors(found, anchors, k)) for k in placed]
        samples[name] = [some[seed]["over samples"] if seed in some else None for seed in seeds]
        work[name] = [found[0]["parameters"], steps_text(
            [{level: part["steps"] for level, part in run["training"].items()} for run in found])]
    rows |= {f"real clips, {kind}": [scores[k] for k in names] for kind, scores in anchors.items()}
    return {"Scores beside held-out clips": {"columns": names, "rows": rows},
            "Placed between other real clips (0) and independent frames (1)":
            {"columns": placed, "rows": between},
            "KID of whole clips, intervals over samples":
            {"columns": [f"seed {seed}" for seed in seeds], "rows": samples},
            "Training": {"columns": ["parameters", "steps, one number a seed"], "rows": work}}


def between_anchors(runs, anchors, key):
    """A score of each run, ``relative`` to those of real clips and of independent frames."""
    return [relative(run["scores"][key], anchors["real"][key], anchors["independent"][key])
            for run in runs]


def claims(runs, anchors, budget):
    """What is claimed of LDF beside the joint GAN, at equal ``budget``, of the trainings that came
    to their end."""
    found, ((unit, amount),) = [], budget.items()
    own, joint = ({seed: run for seed, run in runs.get(name, {}).items()
                   if not run.get("interrupted")} for name in ("LDF", "joint GAN"))
    both = [seed for seed in own if seed in joint]
    for key in ("KID clips", "KID frames", "motion W1") if both else ():
        gap = over_seeds([own[s]["scores"][key] - joint[s]["scores"][key] for s in both])
        quantity = f"{key}, LDF minus joint GAN, paired seeds"
        found.append(claim(
            f"After {amount:g} {unit} of training LDF's clips are nearer to real ones than the "
            f"joint GAN's ({key})", SPEED, quantity, gap, "below", margin=KID_MARGIN)
            if key == "KID clips" else described(f"LDF beside the joint GAN, {key}", quantity, gap))
    if own:
        drift = over_seeds(between_anchors(own.values(), anchors, "background drift"))
        kept = over_seeds([run["variance_kept"] for run in own.values()], within=limits("variance"))
        found += [
            claim(f"LDF keeps the background constant: its drift is below {DRIFT:g} of that of "
                  "independent frames", BACKGROUND,
                  "background drift, 0 real clips, 1 independent frames", drift, "below", DRIFT,
                  DRIFT / 10),
            described("The bottom's reconstructions of held-out frames, through the shortcut",
                      "share of the pixels' variance that is kept", kept)]
    return found


def pictures(out, runs, held_out, unit):
    """Write the sheets, the animation and the two plots; returns what the report needs to know of
    them. ``unit``: that of the curves, "seconds" or "steps"."""
    first = {name: next(iter(some.values())) for name, some in runs.items()}
    shown = write_samples(out, {name: run["clips"] for name, run in first.items()}
                          | {"real": held_out})
    plots.save_lines(os.path.join(out, "curves.png"),
                     {name: [run["curve"] for run in some.values()]
                      for name, some in runs.items()},
                     f"{unit} of training", "KID of whole clips to training clips (x 1000)")
    plots.save_intervals(os.path.join(out, "scores.png"),
                         {key: scores_of(runs, key) for key in (
                             "KID frames", "KID clips", "KID differences", "motion W1")})
    shown += [("curves.png", "Distance to training clips while training, a line a seed: it should "
               "fall.", "Score against training time"),
              ("scores.png", "Scores beside held-out clips.",
               "Four scores for each model")]
    if "LDF" in first:
        titles = "real", "through h", "through z", "the bottom's own, G(z)", "the same again"
        plots.save_clips(os.path.join(out, "reconstructions.png"),
                         dict(zip(titles, first["LDF"]["reconstructions"])), scale=2)
        shown.append(("reconstructions.png",
                      "Held-out clips, what comes back of them through h and through z, and single "
                      "frames that the bottom level makes of noise, as they are and encoded and "
                      "decoded once more.",
                      "Real clips, two reconstructions, and frames of the bottom level"))
    return shown
