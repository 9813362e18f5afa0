"""Learn to generate 32 x 32 images (Fig. 3 of the paper): LDF over the quadrants of an image beside
models of whole images.

    python demos/paper/images.py            ten Atari games, 2 minutes a model, three seeds
    python demos/paper/images.py --data cifar-10-python.tar.gz --minutes 60

    joint GAN          the baseline: its discriminator sees all pixels
    LDF, bottom first  ALI on single quadrants (16 x 16), then a GAN over the codes of an image's
                       four
    LDF, together      the same networks, both levels trained from scratch at once
    ALI                one level, on whole images
    patch GAN          the joint GAN's generator; its discriminator sees the quadrants, each for
                       itself

All have the same number of parameters (within 10%), batches of 32, and the same wall-clock time of
training; scoring takes none of it, LDF's bottom level does. Six times during training, and at its
end, samples get an Inception Score and a distance to training images; each model ends with the
weights for which that distance was least. The held-out images are looked at once, afterwards. The
score's classifier is trained here, on the labels of the training images, so scores compare within
this program only. Ctrl-C ends the run; the same command goes on from there.
"""

import os
from functools import partial

import numpy as np

import ldf_np as ldf
from ldf_np.data import load_cifar10, load_games, to_uint8
from ldf_np.experiments import cli, metrics, plots, report
from ldf_np.experiments.runs import (
    by_level,
    cached_runs,
    count_parameters,
    finished,
    scores_of,
    without_arrays,
)
from ldf_np.experiments.statistics import limits, over_seeds
from ldf_np.models.classifier import small_classifier
from ldf_np.models.image_nets import GRID, image_ali, image_gan, image_ldf, patch_gan
from ldf_np.training.best_weights import BestWeights

MODELS = {"joint GAN": image_gan, "LDF, bottom first": image_ldf, "LDF, together": image_ldf,
          "ALI": image_ali, "patch GAN": patch_gan}
FIT = {"LDF, bottom first": {"schedule": "bottom-first", "bottom_share": 0.3},
       "LDF, together": {"schedule": "together"}}
LOOKS = 6                   # during training, evenly spaced
LOOK, SAMPLES = 500, 1000   # samples scored while training and at the end
# samples in a split of the Inception Score: its bias depends on this number
PART = 500
TEST = 2000                 # held-out images of games: half to compare with, half as the anchor
FIRST = "LDF, bottom first"
# {score: (what is claimed, its side, what counts as no difference; None: described)}
COMPARED = {"Inception Score over time":
            ("its mean Inception Score over the training time is higher", "above", 0.1),
            "Inception Score": ("its Inception Score at the end is higher", "above", None),
            "KID": ("its images at the end are nearer to real ones", "below", None)}
SPEED = ("ldf with a pre-trained lower level (red) and ldf with training starting from scratch all "
         "train faster than the baseline GAN (Fig. 3)")
GLOBAL = ("ldf is able to successfully learn the dependencies in the data, even though the "
          "training is localized: no discriminator covers all of the variables (Section 5)")


def parse(arguments=None):
    parser = cli.parser(__doc__, out="out/images", minutes=2)
    parser.add_argument("--data", metavar="PATH",
                        help="CIFAR-10: its archive or folder (default: images of ten games)")
    parser.add_argument("--images", type=cli.integer_from(1024), default=10000,
                        help="of games, to train on (default 10000)")
    parser.add_argument("--classifier-minutes", type=cli.positive_float, default=0.5,
                        help="training time of the classifier behind the score (default 0.5)")
    cli.add_checkpoints(parser)
    return parser.parse_args(arguments)


# ----------------------------------------------------------------------------- training and scores


def shuffled(images, seed=0):
    """Images whose quadrants are each from another one: what is left without what the quadrants
    have to do with each other."""
    rng, parts = ldf.Generator(seed), GRID.split(images)
    return GRID.merge(np.stack([parts[rng.permutation(len(parts)), k] for k in range(GRID.count)],
                               axis=1))


def inception_score(judge, images):
    return metrics.inception_score(judge.predict, images, splits=max(1, len(images) // PART))[0]


def scores(made, real, judge):
    """Everything that is said of images beside held-out ones: {name: number}."""
    seen = [judge.features(x) for x in (made, real)]
    unit = np.sqrt(np.mean(np.square(seen[1])))         # KID's kernel is for features of about 1
    seen = [x / unit for x in seen]
    precision, recall = metrics.precision_recall(seen[1], seen[0])
    return {"Inception Score": inception_score(judge, made), "KID": 1000 * metrics.kid(*seen),
            "KID, random filters": 1000 * metrics.kid(*(metrics.features(x) for x in (made, real))),
            "precision": precision, "recall": recall}


def mean_over_time(curve, seconds):
    """The mean over a whole training of a score with points [[seconds, score], ...]: linear between
    them, and 1, the least Inception Score, before the first, while there is nothing to sample."""
    t, score = np.array(curve).T
    t = np.minimum([*t, seconds], seconds)
    score = np.append(score, score[-1])
    return float((t[0] + np.sum(np.diff(t) * (score[1:] + score[:-1]) / 2)) / seconds)


def train_classifier(options, data, checkpoints):
    """The classifier behind the score: its weights and its accuracy on held-out images."""
    judge = small_classifier(len(data.classes))
    finished(judge.fit(data.train, data.train_labels, minutes=options.classifier_minutes,
                       progress=True, checkpoints=checkpoints))
    weights = {name: ldf.to_numpy(a) for name, a in judge.state_dict().items()}
    return weights | {"accuracy": judge.accuracy(data.test, data.test_labels)}


def train(options, data, judge, name, seed, checkpoints):
    """Train one model with one seed: its samples, their scores, and both scores while it
    trained."""
    model, seconds = MODELS[name](data.train, seed), 60 * options.minutes
    goal = metrics.features(data.train[:LOOK])

    def look(model):
        made = to_uint8(model.sample(LOOK, ldf.Generator(seed + 200)))
        return 1000 * metrics.kid(metrics.features(made), goal), inception_score(judge, made)

    best = checkpoints.also["tracker"] = BestWeights(model, look,
                                                     np.arange(LOOKS) / LOOKS * seconds)
    histories = by_level(finished(model.fit(
        data.train, minutes=options.minutes, callback=best, progress=True,
        checkpoints=checkpoints, **FIT.get(name, {}))), name)
    curve = best.finish(list(histories.values())[-1])
    half = min(SAMPLES, len(data.test) // 2)
    made, real = to_uint8(model.sample(half, ldf.Generator(seed + 100))), data.test[:half]
    curves = {"Inception Score": [[t, s] for t, _, s in curve],
              "KID, random filters": [[t, kid] for t, kid, _ in curve]}
    found = {"images": made, "scores": scores(made, real, judge) | {
                 "Inception Score over time": mean_over_time(curves["Inception Score"], seconds)},
             "curves": curves, "parameters": count_parameters(model),
             "steps": {level: h.steps for level, h in histories.items()}}
    if isinstance(model, ldf.LDF):
        found["shuffled"] = scores(shuffled(made), real, judge)
    return found


# ----------------------------------------------------------------------------------------- results


def claims(runs, seeds):
    """LDF, bottom first, beside the joint GAN over the training time (the curves of Fig. 3), and
    beside its own quadrants shuffled; the rest described."""
    found = []
    for name in FIT:
        own, joint = ([runs[model][s] for s in seeds] for model in (name, "joint GAN"))
        for key, (what, expected, margin) in COMPARED.items():
            gap = over_seeds([a["scores"][key] - b["scores"][key] for a, b in zip(own, joint)])
            text = f"{name}: {what} than the joint GAN's"
            quantity = f"{key}, LDF minus joint GAN, paired seeds"
            found.append(report.claim(text, SPEED, quantity, gap, expected, margin=margin)
                         if margin and name == FIRST else
                         report.described(f"{name}: {key} beside the joint GAN's", quantity, gap))
        gap = over_seeds([run["scores"]["KID"] - run["shuffled"]["KID"] for run in own])
        quantity = "KID, samples minus samples with shuffled quadrants"
        found.append(report.claim(
            f"{name}: its images are nearer to real ones than the same quadrants shuffled between "
            "images", GLOBAL, quantity, gap, "below", margin=1.0) if name == FIRST else
            report.described(f"{name}: beside its quadrants shuffled", quantity, gap))
    return found


def tables(runs, anchors):
    """Scores of models (intervals over seeds) and anchors; sizes and steps."""
    names = list(next(iter(anchors.values())))
    rows, more, work = {}, {}, {}
    for name, some in runs.items():
        found = list(some.values())
        rows[name] = [over_seeds([run["scores"][k] for run in found], within=limits(k))
                      for k in (*names, "Inception Score over time")]
        if name in FIT:
            more[f"{name}, quadrants shuffled"] = [
                *(over_seeds([run["shuffled"][k] for run in found], within=limits(k))
                  for k in names), None]
        work[name] = [found[0]["parameters"],
                      over_seeds([run["curves"]["Inception Score"][-1][0] for run in found]),
                      report.steps_text([run["steps"] for run in found])]
    more |= {f"real images, {kind}": [*some.values(), None] for kind, some in anchors.items()}
    return {"Scores beside held-out images":
            {"columns": [*names, "Inception Score over time"], "rows": rows | more},
            "Training":
            {"columns": ["parameters", "seconds", "steps, one number a seed"], "rows": work}}


def curves_picture(path, runs):
    """Both scores against training time: a thin line for each seed, a thick one for their mean
    where all seeds have a score."""
    panels = {"Inception Score": "higher", "KID, random filters": "lower"}
    figure, shown = plots.subplots(1, 2, (9, 4.2))
    for axes, (key, better) in zip(shown, panels.items(), strict=True):
        for colour, (name, some) in zip(plots.COLOURS, runs.items()):
            lines = [np.array(run["curves"][key]).T for run in some.values()]
            for line in lines:
                axes.plot(*line, color=colour, linewidth=0.6, alpha=0.6)
            times = np.linspace(max(t[0] for t, _ in lines), min(t[-1] for t, _ in lines), 60)
            mean = np.mean([np.interp(times, *line) for line in lines], axis=0)
            axes.plot(times, mean, color=colour, linewidth=2, label=name)
        axes.set(xlabel="seconds of training", ylabel=f"{key} ({better} is better)")
        axes.grid(alpha=0.3)
    axes.set_yscale("symlog", linthresh=1)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3,
                  frameon=False)
    plots.save_figure(path, figure)


def pictures(out, runs, anchors, data):
    """Write the three pictures; returns what the report needs to know of them."""
    curves_picture(os.path.join(out, "curves.png"), runs)
    groups = {"held-out real images": data.test} | {
        name: next(iter(some.values()))["images"] for name, some in runs.items()}
    plots.save_sheets(os.path.join(out, "samples.png"),
                      {name: images[:60, None] for name, images in groups.items()},
                      (9, 1.65), columns=20, scale=3)
    keys = ("Inception Score", "KID", "precision", "recall")
    plots.save_intervals(os.path.join(out, "scores.png"),
                         {key: scores_of(runs, key) for key in keys},
                         {key: {kind: some[key] for kind, some in anchors.items()} for key in keys},
                         better="KID: lower is better, the others: higher")
    return [("samples.png", "Held-out images, and samples of each model (its first seed): they "
             "should look like the held-out ones.", "Rows of images of each model"),
            ("curves.png",
             "Scores of samples against training time; LDF, bottom first, has none until its "
             "bottom is trained. LDF trains faster where its lines are ahead of the joint GAN's.",
             "Two scores against training time for five models"),
            ("scores.png", "Scores at the end, beside held-out images.",
             "Intervals of four scores for each model")]


def run(options):
    ldf.use(options.device)
    data = (load_cifar10(options.data) if options.data
            else load_games(options.images, TEST, progress=True))
    if len(data.test) < 4 or len(data.train) < 64:
        raise ValueError("--data: expected at least 64 images to train on and 4 to hold out, got "
                         f"{len(data.train)} and {len(data.test)}")
    print(f"{len(data.train):,} images of {len(data.classes)} classes to train on, "
          f"{len(data.test):,} held out")
    cached = cached_runs(options, cli.settings(options), 2 + len(MODELS) * len(options.seeds),
                         data)
    weights = cached("classifier", partial(train_classifier, options, data))
    accuracy = weights.pop("accuracy")
    judge = small_classifier(len(data.classes))
    judge.load_state_dict(weights)
    print(f"the classifier behind the score: {accuracy:.1%} of the held-out images right")
    half = min(SAMPLES, len(data.test) // 2)
    real, other = data.test[:half], data.test[half:2 * half]
    anchors = cached("anchors", lambda _: {
        "others": scores(other, real, judge),
        "quadrants shuffled": scores(shuffled(other), real, judge)})
    found = cached.by_seed(MODELS, options.seeds, partial(train, options, data, judge))
    runs = {name: dict(zip(options.seeds, some)) for name, some in found.items()}
    cached.close()

    source = "CIFAR-10" if options.data else "ten Atari games"
    report.conclude(
        options, title=f"Images of {source}: LDF over quadrants beside models of whole images "
                       "(Fig. 3)",
        claims=claims(runs, options.seeds), tables=tables(runs, anchors),
        figures=pictures(options.out, runs, anchors, data), seconds=cached.seconds,
        device=ldf.device(), classifier_accuracy=accuracy, data=data.settings,
        samples_per_split=min(PART, half), models=without_arrays(runs))


if __name__ == "__main__":
    cli.main(run, parse())
