"""Few whole clips, but all single frames: is LDF the better way to use them (Fig. 6 and Section 5.3
of the paper)?

    python demos/paper/limited_data.py      nearly 3 hours: 9 arms, 4 numbers of clips, 3 seeds
    python demos/paper/limited_data.py --minutes 0.2 --joint-clips 256      a quick look
    python demos/paper/limited_data.py --minutes 10 --joint-clips 256 --arms LDF "joint GAN"

N clips of Ms. Pac-Man are drawn by the seed, the same for all arms; the frames of all clips may be
used, but only the arms marked * can. All are scored against clips of games that none has seen.

    joint GAN                   the paper's baseline: a clip as one image of 15 channels
    joint GAN + frame critic *  with a second discriminator, of single frames: the extra data
                                without the hierarchy
    joint ALI                   the paper's other candidate for a joint model, on the same images
    LDF *                       the bottom level on all frames, the top on the N clips
    LDF, bottom on N clips      the hierarchy without the extra data
    autoencoder + Gaussian *    LDF's networks without a discriminator; a full-covariance Gaussian
                                over the whitened codes
    latent GAN *                LDF's top over an autoencoder's codes: is it ALI, or only an
                                autoencoder?
    two-level VAE *             variational at both levels: its frames' codes z, whitened, are the
                                data of the upper one
    independent top *           LDF's own clips with their frames exchanged between clips: no model
                                of what goes together

Each arm gets --minutes of training, batches of 32 and Adam. The arms with discriminators have LDF's
number of parameters to 10% and a gradient penalty, of the strength that suits LDF and the joint GAN
on all clips; the discriminator of frames takes the joint GAN's and joint ALI the bottom's, neither
of which was tuned for it. The autoencoder and the VAEs are LDF's networks less the discriminators,
and so smaller. A bottom level on all frames does not depend on N: it is trained once for each seed,
and its time counts in full for every arm that stands on it (half of --minutes; under the Gaussian
90%, for that is no work). With N all clips, LDF is also "LDF, bottom on N clips".
"""

import math
import os
import time
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np

import ldf_np as ldf
from ldf_np.data import load_pacman, to_uint8
from ldf_np.experiments import cli, clip_scores, metrics, plots, report
from ldf_np.experiments.clip_experiment import clip_features
from ldf_np.experiments.runs import cached_runs, count_parameters, finished
from ldf_np.experiments.statistics import limits, over_seeds
from ldf_np.models import baselines, nets
from ldf_np.models.vae import GaussianTop
from ldf_np.nn.losses import colour_metric
from ldf_np.training.checkpoint import Checkpoints

SAMPLES = 1000          # generated clips, at most, to score
SHOWN = 12              # of them to look at
BOTTOM_SHARE = 0.5      # of LDF's training time
COMPONENTS = 160        # of all codes of a clip: the data of tops that are no GANs
LEAST = 0.01            # minutes that a top level gets where reading the codes has used up its time
PAPER_CLIPS = 256       # of Fig. 6
LDF, OWN, INDEPENDENT = "LDF", "LDF, bottom on N clips", "independent top"


@dataclass
class Task:
    """What an arm is given: N ``clips`` (N, 5, 32, 32, 3) and all ``frames`` (M, 32, 32, 3), uint8;
    how many ``parameters`` LDF has; ``bottoms``, {kind: (weights' path, steps)}, trained on all
    frames."""

    seed: int
    clips: np.ndarray
    frames: np.ndarray
    minutes: float
    parameters: int
    bottoms: dict
    checkpoints: Checkpoints | None = None      # of the arm that is trained now

    @cached_property
    def features(self):
        return clip_features(self.clips)

    @property
    def budget(self):
        return {"minutes": self.minutes, "progress": True, "checkpoints": self.checkpoints}


# -------------------------------------------------------------------------------------------- arms
# Each trains on a Task and returns (model, n and a Generator -> clips, the modules that sampling
# uses, {level: steps}).


def joint(task, make):
    """The joint model ``make(hidden)``, with as many parameters as LDF."""
    return baselines.matched(lambda hidden: make(hidden=hidden, seed=task.seed), task.parameters)


def joint_gan(task):
    model = joint(task, baselines.joint_gan)
    history = finished(model.fit(task.clips, **task.budget))
    return model, model.sample, [model.generator], {"joint": history.steps}


def framed_joint_gan(task):
    model = joint(task, baselines.framed_joint_gan)
    history = finished(model.fit(task.clips, task.frames, **task.budget))
    return model, model.sample, [model.generator], {"joint": history.steps}


def joint_ali(task):
    # the same for each frame's three channels
    metric = np.kron(np.eye(5), colour_metric(task.clips[:200]))
    model = joint(task, partial(baselines.joint_ali, colour_metric=metric))
    history = finished(model.fit(clip_scores.as_channels(task.clips), **task.budget))

    def sample(n, rng):
        return model.sample(n, rng).reshape(n, 32, 32, 5, 3).transpose(0, 3, 1, 2, 4)

    return model, sample, [model.decoder], {"joint": history.steps}


def hierarchical_gan(task):
    model = nets.clip_ldf(task.clips, seed=task.seed)
    return on_bottom(task, "ALI", model, [model.models[0].decoder.body, model.top.generator])


def own_bottom(task):
    model = nets.clip_ldf(task.clips, seed=task.seed)
    histories = finished(model.fit(task.clips, bottom_share=BOTTOMS["ALI"][1], **task.budget))
    return (model, model.sample, [model.models[0].decoder.body, model.top.generator],
            {"bottom": histories["level 0"].steps, "top": histories["top"].steps})


def autoencoder(task):
    bottom = baselines.frame_autoencoder(seed=task.seed)
    model = nets.frames_ldf(bottom, task.clips, bottom.code, task.seed, GaussianTop, COMPONENTS)
    return on_bottom(task, "autoencoder", model, [model.models[0].decoder, model.top])


def latent_gan(task):
    bottom = baselines.frame_autoencoder(seed=task.seed)
    model = nets.frames_ldf(bottom, task.clips, bottom.code, task.seed)
    return on_bottom(task, "shorter autoencoder", model,
                     [model.models[0].decoder, model.top.generator])


def two_level_vae(task):
    bottom = baselines.frame_vae(seed=task.seed)
    model = nets.frames_ldf(bottom, task.clips, bottom.code, task.seed,
                            partial(baselines.mlp_vae, noisy=True), COMPONENTS)
    return on_bottom(task, "VAE", model, [model.models[0].decoder, model.top.decoder])


def on_bottom(task, kind, model, sampling):
    """Read the trained bottom of this kind and fit the top on it in the time that is left."""
    path, steps = task.bottoms[kind]
    model.models[0].load(path)
    start = time.perf_counter()
    codes = model.codes(task.clips)
    white = model.whitening.fit(codes).apply(codes)
    left = task.minutes * (1 - BOTTOMS[kind][1]) - (time.perf_counter() - start) / 60
    history = finished(model.top.fit(white, **task.budget | {"minutes": max(LEAST, left)}))
    return model, model.sample, sampling, {"bottom": steps, "top": history.steps}


BOTTOMS = {"ALI": (nets.place_ali, BOTTOM_SHARE), "VAE": (baselines.frame_vae, BOTTOM_SHARE),
           "shorter autoencoder": (baselines.frame_autoencoder, BOTTOM_SHARE),
           "autoencoder": (baselines.frame_autoencoder, 0.9)}   # and their part of the time
TRAINED = {"joint GAN": joint_gan, "joint GAN + frame critic": framed_joint_gan,
           "joint ALI": joint_ali, LDF: hierarchical_gan, OWN: own_bottom,
           "autoencoder + Gaussian": autoencoder, "latent GAN": latent_gan,
           "two-level VAE": two_level_vae}
ARMS = [*TRAINED, INDEPENDENT]
STANDS_ON = {LDF: "ALI", "autoencoder + Gaussian": "autoencoder",
             "latent GAN": "shorter autoencoder", "two-level VAE": "VAE"}      # its bottom level


def train_bottom(kind, seed, frames, minutes, path, checkpoints):
    """Train a bottom of this kind on all frames and write its weights."""
    make, part = BOTTOMS[kind]
    model = make(seed=seed, colour_metric=colour_metric(frames[:1000]))
    history = finished(model.fit(frames, minutes=minutes * part, progress=True,
                                 checkpoints=checkpoints))
    model.save(path)
    return {"steps": history.steps}


def train(arm, seed, n, task_of, scores, checkpoints):
    """The run of one arm on ``task_of(seed, n)``: {arm: its scores and sizes} and, as arrays, some
    clips; LDF's also holds the independent top's."""
    task = task_of(seed, n)
    task.checkpoints = checkpoints
    model, sample, sampling, steps = TRAINED[arm](task)
    rng = ldf.Generator(task.seed + 100)
    made = {arm: to_uint8(sample(scores.count, rng))}
    if arm == LDF:
        made[INDEPENDENT] = np.stack([made[arm][rng.permutation(scores.count), k]
                                      for k in range(5)], axis=1)
    found = {name: {"scores": scores(clips, task.features), "parameters": count_parameters(model),
                    "sampling": count_parameters(*sampling), "steps": steps}
             for name, clips in made.items()}
    return found | {f"{name} clips": clips[:SHOWN] for name, clips in made.items()}


class Scores(clip_scores.ClipScores):
    """Scores of clips beside held-out ones, and how much closer than those they come to the
    training clips (1: not at all)."""

    def __init__(self, real):
        super().__init__(real)
        self.count = len(real)

    def __call__(self, clips, train):
        return super().__call__(clips) | {"memorisation": metrics.memorisation(
            clip_features(clips), train, self.real["clips"])}


# ----------------------------------------------------------------------------------------- results


def values(found, n, arm, key="KID clips"):
    """A score of an arm with n whole clips, a number for each seed."""
    return [seed[n][arm]["scores"][key] for seed in found.values()]


def arms_of(found):
    """The arms that were trained, and the independent top."""
    return [arm for arm in ARMS if arm in next(iter(next(iter(found.values())).values()))]


def gap(found, n, arm):
    """LDF minus this arm in KID of whole clips, over paired seeds."""
    return over_seeds(np.subtract(values(found, n, LDF), values(found, n, arm)))


def tables(found, anchors, at):
    """Scores of every arm with ``at`` clips and of the anchors, KID and memorisation against N,
    LDF's lead, sizes."""
    seeds, numbers = list(found.values()), list(next(iter(found.values())))
    keys, arms = list(anchors["real"]), arms_of(found)

    def against(cell, arms=arms):
        return {"columns": [f"N = {n:,}" for n in numbers],
                "rows": {arm: [cell(n, arm) for n in numbers] for arm in arms}}

    def over(key):
        return against(lambda n, arm: over_seeds(values(found, n, arm, key), within=limits(key)))

    rows, sizes = {}, {}
    for arm in arms:
        rows[arm] = [*(over_seeds(values(found, at, arm, key), within=limits(key))
                       for key in keys), over_seeds([
            clip_scores.relative(value, anchors["real"]["KID clips"],
                                 anchors["independent"]["KID clips"])
            for value in values(found, at, arm)])]
        sizes[arm] = [seeds[0][at][arm]["parameters"], seeds[0][at][arm]["sampling"],
                      report.steps_text([seed[at][arm]["steps"] for seed in seeds])]
    rows |= {f"real clips, {kind}": [*(scores[key] for key in keys), None]
             for kind, scores in anchors.items()}
    return {f"Scores with {at:,} whole clips":
            {"columns": [*keys, "KID clips, 0 real to 1 independent"], "rows": rows},
            "KID of whole clips": over("KID clips"),
            "LDF minus the arm in KID of whole clips, paired seeds (below 0: LDF is better)":
            against(lambda n, arm: gap(found, n, arm), [arm for arm in arms if arm != LDF]),
            "Distance to training clips over that of held-out clips": over("memorisation"),
            f"Sizes and steps with {at:,} whole clips":
            {"columns": ["parameters", "of them to sample", "steps, one number a seed"],
             "rows": sizes}}


SECTION_53 = ("in the case where all of the lower level samples are available (i.e. all of the "
              "frames in the video dataset) but only a few full samples are available (actual "
              "video sequences), training with ldf is more successful (Section 5.3)")
SECTION_32 = ("learning the marginal distribution for the frames of video sequences only requires "
              "data on individual frames. Importantly, those samples do not have to be drawn from "
              "the joint distribution (Section 3.2)")
CLAIMS = {
    "joint GAN": (
        "With few whole clips LDF is more successful than the joint baseline", SECTION_53),
    "joint GAN + frame critic": (
        "It is the hierarchy, not only the extra frames: LDF is better than a joint GAN that "
        "learns from all frames too", SECTION_53),
    OWN: ("Single frames beyond those of the few clips make LDF better", SECTION_32),
}
MARGIN = 0.2        # of KID x 1000: less counts as no difference


def claims(found, at):
    """LDF's lead over each of CLAIMS that was trained, and over the other arms described."""
    quantity = "KID of whole clips x 1000, LDF minus {arm}, N = {at:,}, paired seeds"
    return [report.claim(text, paper, quantity.format(arm=arm, at=at), gap(found, at, arm), "below",
                         margin=MARGIN) for arm, (text, paper) in CLAIMS.items()
            if arm in arms_of(found)] + [
        report.described(f"LDF beside {arm}", quantity.format(arm=arm, at=at), gap(found, at, arm))
        for arm in arms_of(found) if arm not in (LDF, *CLAIMS)]


def curves(path, found, marks):
    """Four scores against the number of whole clips: means and intervals over seeds."""
    numbers, arms = list(next(iter(found.values()))), arms_of(found)
    keys = ("KID clips", "KID frames", "KID differences", "memorisation")
    figure, panels = plots.subplots(2, 2, (9.5, 8.5))
    for axes, key in zip(panels, keys, strict=True):
        for k, arm in enumerate(arms):
            over = [over_seeds(values(found, n, arm, key), within=limits(key)) for n in numbers]
            middle, low, high = np.array(over, float).T         # no interval: NaN
            places = np.array(numbers) * 1.05 ** (k - (len(arms) - 1) / 2)      # side by side
            axes.errorbar(places, middle, None if np.isnan(low).any()
                          else [middle - low, high - middle], **plots.style(k), capsize=2,
                          markersize=4, linewidth=1, elinewidth=0.8, label=arm)
        for (name, mark), style in zip(marks.items(), (":", "--"), strict=True):
            axes.axhline(mark[key], color="grey", linestyle=style, linewidth=1, label=name)
        axes.set(title=key, xscale="log", xlabel="N, whole clips to train on")
        axes.set_xticks(numbers, [f"{n:,}" for n in numbers], minor=False)
        axes.minorticks_off()
        if key != "memorisation":
            # the arms' scores lie orders of magnitude apart
            axes.set_yscale("symlog", linthresh=1)
            # and none is much below 0, whatever an interval of few seeds says
            axes.set_ylim(bottom=-0.5)
        axes.grid(alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3,
                  frameon=False)
    plots.save_figure(path, figure)


def pictures(out, found, anchors, at, clips, real):
    """Write the figures; returns what the report needs to know of them. ``clips``: {arm: some of
    its samples at N = ``at``}."""
    marks = {"other real clips": anchors["real"],
             "real clips, frames independent": anchors["independent"]}
    keys = ("KID clips", "KID frames", "KID differences")
    curves(os.path.join(out, "scores.png"), found, marks)
    plots.save_intervals(os.path.join(out, "intervals.png"),
                         {key: {arm: values(found, at, arm, key) for arm in arms_of(found)}
                          for key in keys},
                         {key: {name: scores[key] for name, scores in marks.items()}
                          for key in keys})
    sheets = {"real clips, held out": real[:SHOWN]} | clips
    plots.save_sheets(os.path.join(out, "samples.png"), sheets, (4, 2.86), across=2)
    plots.save_animation(os.path.join(out, "samples.gif"),
                         np.concatenate([some[:8] for some in sheets.values()]))
    return [("samples.png",
             f"Clips of every arm, trained on {at:,} whole clips (Fig. 6), first seed: they should "
             "look like the real ones.", "Sheets of clips"),
            ("scores.png",
             "Scores against the number of whole clips, means and 95% intervals over seeds (lower "
             "is better, and LDF should be lowest where N is small; memorisation: 1 is as far from "
             "the training clips as held-out clips are).",
             "Four panels of curves, one for each arm"),
            ("intervals.png", f"Scores with {at:,} whole clips.",
             "Intervals of three scores for each arm"),
            ("samples.gif", f"The same in motion, a row each: {', '.join(sheets)}.",
             "Generated clips, animated")]


def parse(arguments=None):
    parser = cli.parser(__doc__, out="out/limited_data", minutes=2)
    parser.add_argument("--joint-clips", type=cli.integer_from(64), nargs="+", metavar="N",
                        help="how many whole clips to train on (default 64 256 1024 and all)")
    parser.add_argument("--clips", type=cli.integer_from(256), default=20000,
                        help="clips in all (default 20000)")
    parser.add_argument("--arms", nargs="+", choices=TRAINED, default=list(TRAINED), metavar="ARM",
                        help="those to train, LDF among them (default all)")
    cli.add_checkpoints(parser)
    options = parser.parse_args(arguments)
    if LDF not in options.arms:
        parser.error(f"--arms: expected LDF, which the others are compared with, and any of "
                     f"{', '.join(TRAINED)}, got {', '.join(options.arms)}")
    if options.joint_clips is None:
        options.joint_clips = [n for n in (64, 256, 1024) if n < options.clips] + [options.clips]
    given = options.joint_clips
    if sorted(set(given)) != given or given[-1] > options.clips:
        parser.error(f"--joint-clips: expected growing numbers from 64 to {options.clips} (the "
                     f"number of clips), got {' '.join(map(str, given))}")
    return options


def run(options):
    ldf.use(options.device)
    data = load_pacman(options.clips, seed=0, progress=True)
    frames = data.train.reshape(-1, *data.train.shape[2:])
    half = min(SAMPLES, len(data.test) // 2)
    scores = Scores(data.test[:half])
    arms = [arm for arm in TRAINED if arm in options.arms]
    kinds = [STANDS_ON[arm] for arm in arms if arm in STANDS_ON]
    everything = OWN in arms and options.clips in options.joint_clips
    per_seed = len(kinds) + len(arms) * len(options.joint_clips) - everything
    cached = cached_runs(options, cli.settings(options, "joint_clips", "arms"),
                         1 + per_seed * len(options.seeds))
    at = min(options.joint_clips, key=lambda n: abs(math.log(n / PAPER_CLIPS)))
    few = data.train[:at]
    anchors = cached(f"anchors n {at}", lambda _: {
        kind: scores(some, clip_features(few))
        for kind, some in clip_scores.anchors(data.test[:2 * half], few).items()})

    def weights(kind, seed):
        return os.path.join(cached.folder, f"bottom {kind} seed {seed}.safetensors")

    bottoms = cached.each({f"bottom {kind} seed {seed}": partial(
        train_bottom, kind, seed, frames, options.minutes, weights(kind, seed))
        for seed in options.seeds for kind in kinds})

    @lru_cache(maxsize=1)       # the arms of a task follow one another
    def task_of(seed, n):
        some = data.train[ldf.Generator(seed).permutation(len(data.train))[:n]]
        return Task(seed, some, frames, options.minutes, count_parameters(nets.clip_ldf(some)),
                    {kind: (weights(kind, seed), bottoms[f"bottom {kind} seed {seed}"]["steps"])
                     for kind in kinds})

    tasks = [(seed, n) for seed in options.seeds for n in options.joint_clips]
    made = cached.each({f"{arm} n {n} seed {seed}": partial(train, arm, seed, n, task_of, scores)
                        for seed, n in tasks for arm in arms
                        if (arm, n) != (OWN, options.clips)})
    cached.close()
    found, clips = {seed: {} for seed in options.seeds}, {}
    for seed, n in tasks:
        merged = {}
        for arm in arms:
            merged |= made.get(f"{arm} n {n} seed {seed}", {})
        if OWN in arms and OWN not in merged:
            merged |= {OWN: merged[LDF], f"{OWN} clips": merged[f"{LDF} clips"]}
        found[seed][n] = {arm: merged[arm] for arm in ARMS if arm in merged}
        if n == at:
            clips = clips or {arm: merged[f"{arm} clips"] for arm in found[seed][n]}

    report.conclude(options,
                    title="Few whole clips, all single frames: LDF beside its baselines (Fig. 6)",
                    claims=claims(found, at), tables=tables(found, anchors, at),
                    figures=pictures(options.out, found, anchors, at, clips, data.test),
                    seconds=cached.seconds, device=ldf.device(), arms=found)


if __name__ == "__main__":
    cli.main(run, parse())
