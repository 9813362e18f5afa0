"""More than two levels (Section 3.1: "conceptually ldf could work with more than two levels"):
clips of Ms. Pac-Man of 64 x 64 pixels, cut into patches of 16 x 16.

    python demos/paper/three_levels.py              three models, 2 minutes each, three seeds
    python demos/paper/three_levels.py --quick      one seed, twenty seconds each
    python demos/paper/three_levels.py --steps 3000 --seeds 0

    three levels   one ALI for all patches of all frames, one for all frames over the codes of their
                   patches, and a local GAN over the codes of a clip's frames (`nets.patch_ldf`)
    two levels     one ALI for all frames, and the local GAN (`nets.clip_ldf`)
    joint GAN      one GAN over all pixels of a clip

All have the same number of parameters (within 10%) and the same time. Scores are those of
``ClipScores`` beside clips of held-out games. Then the memory and the time of one step of each
level, at frames of 32, 64 and 128 pixels: the peak of what a step allocates beyond the model, as in
memory.py, at a batch of eight (clips, frames or patches).
"""

import os
import sys
from functools import partial

import numpy as np

import ldf_np as ldf
from ldf_np.data import load_pacman, to_float, to_uint8
from ldf_np.experiments import cli, plots, report
from ldf_np.experiments.clip_experiment import KID_MARGIN
from ldf_np.experiments.clip_scores import ClipScores
from ldf_np.experiments.runs import by_level, cached_runs, count_parameters, finished, scores_of
from ldf_np.experiments.statistics import POSITIVE, limits, over_seeds
from ldf_np.models import baselines, nets

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from memory import measure, slopes

SIZE, PATCH, BATCH = 64, 16, 8
SIZES = 32, 64, 128
SAMPLES, SHOWN = 500, 5
BOTTOM_SHARE = {"three levels": 0.45, "two levels": 0.3}    # of the budget: all below the top
LEVELS = ("For simplicity, we only considered hierarchies with two levels, although conceptually "
          "ldf could work with more than two levels. (Section 3.1)")
MEMORY = ("Vastly reduced memory consumption which allows training generative models on large "
          "objects, such as videos (Section 1)")


def parse(arguments=None):
    parser = cli.parser(__doc__, out="out/three_levels", minutes=2.0, steps=(
        "steps of each model, in place of --minutes; of LDF's, those of all levels together"))
    parser.add_argument("--clips", type=cli.integer_from(640), default=1500,
                        help="clips to train on (default 1500)")
    parser.add_argument("--quick", action="store_true",
                        help="one seed, twenty seconds a model, few clips: two minutes in all")
    cli.add_checkpoints(parser)
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds, options.clips = options.seeds[:1], min(options.clips, 640)
        options.minutes = min(options.minutes, 1 / 3)
    if options.steps is not None:
        options.minutes = None
    return options


# ------------------------------------------------------------------------------------------ models


def three(clips, seed, hidden=1500):
    return nets.patch_ldf(clips, PATCH, seed=seed, top=partial(nets.local_gan, hidden=hidden))


def two(clips, seed):
    return nets.clip_ldf(clips, size=clips.shape[2], seed=seed)


def joint(clips, seed):
    return baselines.joint_gan(size=clips.shape[2], seed=seed)


MODELS = {"three levels": three, "two levels": two, "joint GAN": joint}


def train(options, data, score, name, seed, checkpoints):
    """Train one model with one seed, and score it."""
    model = MODELS[name](data.train, seed)
    how = {"bottom_share": BOTTOM_SHARE[name]} if name in BOTTOM_SHARE else {}
    histories = by_level(finished(model.fit(data.train, **cli.budget(options), **how, progress=True,
                                            checkpoints=checkpoints)), name)
    made = to_uint8(model.sample(SAMPLES, ldf.Generator(seed + 100)))
    found = {"clips": made[:SHOWN], "scores": score(made), "parameters": count_parameters(model),
             "steps": {level: h.steps for level, h in histories.items()}}
    for level in range(len(getattr(model, "levels", ()))):
        back = model.reconstruct(data.test[:100], level)
        found[f"from level {level}"] = to_uint8(back[:SHOWN])
        found["scores"][f"MSE from level {level}"] = float(
            np.mean((back - to_float(data.test[:100])) ** 2))
    return found


# ---------------------------------------------------------------------- memory and time of a step


def steps_of(size):
    """{level: a function (frames, batch, seed) -> (model, one step)} at frames of this size."""
    clips = np.zeros((8, 5, size, size, 3), np.uint8)

    def level(make, k):
        def made(frames, batch, seed):
            model = make(clips, seed)
            part, data = model.models[k], clips
            for below in model.levels[:k]:
                data = below.encode(data)
            shape = model.levels[k].factors(data).shape[1:]
            x = ldf.Generator(seed).standard_normal((batch, *shape))
            return part, lambda: part.step(x)
        return made

    def top(make):
        def made(frames, batch, seed):
            model = make(clips, seed)
            gan, whitening = model.top, model.whitening
            codes = np.random.default_rng(seed).standard_normal((batch, *whitening.code_shape),
                                                               np.float32)
            whitening.basis.data[...] = 1 / np.sqrt(whitening.components)       # any will do
            return (gan, whitening), lambda: gan.step(ldf.asarray(whitening.apply(codes)))
        return made

    def whole(frames, batch, seed):
        model = baselines.joint_gan(size=size, seed=seed)
        x = ldf.Generator(seed).standard_normal((batch, size, size, 3 * frames))
        return model, lambda: model.step(x)

    return {"three levels: patches": level(three, 0), "three levels: frames": level(three, 1),
            "three levels: top": top(three), "two levels: frames": level(two, 0),
            "two levels: top": top(two), "joint GAN": whole}


def measured(sizes, seed, checkpoints):
    """{level: {"step_mb": [a number a size], "seconds": [...]}} of models of this seed."""
    found = {}
    for size in sizes:
        for name, make in steps_of(size).items():
            one = measure(make, 5, BATCH, 3, seed)
            for key in ("step_mb", "seconds"):
                found.setdefault(name, {}).setdefault(key, []).append(one[key])
    return found


def largest(steps, model, key="step_mb"):
    """The largest level of a model, by size."""
    return np.max([some[key] for name, some in steps.items() if name.startswith(model)], axis=0)


# ----------------------------------------------------------------------------------------- results


def claims(runs, steps, sizes):
    """``steps``: what was ``measured``, with each seed."""
    found, last = [], f"at {sizes[-1]} pixels"
    for other in ("two levels", "joint GAN"):
        for key in ("KID clips", "KID frames", "motion W1"):
            gap = over_seeds([a["scores"][key] - b["scores"][key]
                              for a, b in zip(runs["three levels"], runs[other], strict=True)])
            quantity = f"{key}, three levels minus {other}, paired seeds"
            found.append(report.claim(
                "At equal time and parameters, clips of three levels are nearer to real ones than "
                f"those of the {other}", LEVELS, quantity, gap, "below", margin=KID_MARGIN)
                if key == "KID clips" else
                report.described(f"Three levels beside the {other}, {key}", quantity, gap))
    gap = [a["scores"]["MSE from level 1"] - b["scores"]["MSE from level 0"]
           for a, b in zip(runs["three levels"], runs["two levels"], strict=True)]
    found.append(report.described(
        "What comes back from the codes below the top", "squared error of held-out clips, three "
        "levels minus two, paired seeds", over_seeds(gap)))
    ratios = {other: over_seeds([largest(some, other)[-1] / largest(some, "three levels")[-1]
                                 for some in steps]) for other in ("two levels", "joint GAN")}
    found.append(report.claim(
        f"The largest step of three levels takes less memory than that of two {last}", MEMORY,
        "memory of a step, two levels over three", ratios["two levels"], "above", 1.0, 0.1))
    patches = [some["three levels: patches"]["step_mb"] for some in steps]
    growth = [slopes([sizes[0], sizes[-1]], [mb[0], mb[-1]])[0] for mb in patches]
    return [*found,
            report.described(f"The same beside the joint GAN {last}", "memory of a step, joint GAN "
                             "over three levels", ratios["joint GAN"]),
            report.described("The bottom of three levels, whatever the frame", "slope of "
                             "log(memory of a step) over log(pixels), "
                             f"{sizes[0]} to {sizes[-1]} pixels", over_seeds(growth))]


def tables(runs, anchors, steps, sizes):
    names = list(runs["three levels"][0]["scores"])
    rows = {name: [over_seeds([run["scores"][k] for run in some], within=limits(k))
                   if k in some[0]["scores"] else None for k in names]
            for name, some in runs.items()}
    rows |= {f"real clips, {kind}": [scores.get(k) for k in names]
             for kind, scores in anchors.items()}
    work = {name: [some[0]["parameters"], report.steps_text([run["steps"] for run in some])]
            for name, some in runs.items()}
    found = {"Scores beside held-out clips": {"columns": names, "rows": rows},
             "Training": {"columns": ["parameters", "steps, one number a seed"], "rows": work}}
    for key, title in (("step_mb", "A step's memory (MB)"), ("seconds", "A step (s)")):
        found[title] = {"columns": [f"{size} pixels" for size in sizes],
                        "rows": {name: [over_seeds(values, within=POSITIVE) for values in zip(
                            *(some[name][key] for some in steps))] for name in steps[0]}}
    return found


def pictures(out, runs, steps, sizes, real):
    first = {name: some[0] for name, some in runs.items()}
    plots.save_clips(os.path.join(out, "samples.png"), {"real": real[:SHOWN]} | {
        name: run["clips"] for name, run in first.items()}, scale=2)
    plots.save_clips(os.path.join(out, "reconstructions.png"), {"real": real[:SHOWN]} | {
        f"{name}, from level {k}": run[f"from level {k}"] for name, run in first.items()
        for k in (0, 1) if f"from level {k}" in run}, scale=2)
    figure, panels = plots.subplots(1, 2, (10, 4))
    for axes, (key, label) in zip(panels, {"step_mb": "memory of a step (MB)",
                                           "seconds": "time of a step (s)"}.items(), strict=True):
        for name in steps[0]:
            axes.loglog(sizes, np.mean([some[name][key] for some in steps], axis=0),
                        "o--" if name.startswith("two") else "o-", label=name)
        axes.set(xlabel="rows and columns of a frame", title=label)
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.set_xticks([], minor=True)
        axes.grid(alpha=0.3)
    panels[0].legend(fontsize=8)
    plots.save_figure(os.path.join(out, "steps.png"), figure)
    plots.save_intervals(os.path.join(out, "scores.png"), {key: scores_of(
        {name: dict(enumerate(some)) for name, some in runs.items()}, key) for key in (
            "KID frames", "KID clips", "KID differences", "motion W1")})
    return [("samples.png", "Held-out clips of 64 x 64 pixels, and samples of each model.",
             "Clips of three models beside real ones"),
            ("reconstructions.png", "What comes back of held-out clips from each level.",
             "Real clips beside reconstructions from two levels and one"),
            ("scores.png", "Scores beside held-out clips.", "Intervals of four scores"),
            ("steps.png", "Memory and time of one step of each level, at a batch of eight.",
             "Two plots against the size of a frame")]


def run(options):
    ldf.use(options.device)
    sizes = SIZES[:2] if options.quick else SIZES
    data = load_pacman(options.clips, max(options.clips // 10, 2 * SAMPLES), size=SIZE,
                       progress=True)
    score = ClipScores(data.test[:SAMPLES])
    cached = cached_runs(options, cli.settings(options),
                         1 + len(options.seeds) * (len(MODELS) + 1))
    runs = cached.by_seed(MODELS, options.seeds, partial(train, options, data, score))
    steps = [*cached.each({f"steps seed {seed}": partial(measured, sizes, seed)
                           for seed in options.seeds}).values()]
    anchors = cached("anchors", lambda _: {"others": score(data.test[SAMPLES:2 * SAMPLES])})
    cached.close()
    report.conclude(options, title="Three levels beside two and one (Section 3.1)",
                    claims=claims(runs, steps, sizes), tables=tables(runs, anchors, steps, sizes),
                    figures=pictures(options.out, runs, steps, sizes, data.test),
                    seconds=cached.seconds, device=ldf.device())


if __name__ == "__main__":
    cli.main(run, parse())
