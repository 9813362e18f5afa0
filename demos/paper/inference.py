"""How far up does inference reach? Q(z_0 | x) of Section 2.2 on clips of Ms. Pac-Man, from each
level; and what the codes can be used for.

    python demos/paper/inference.py             three tops, 5 minutes each
    python demos/paper/inference.py --quick     one top, a minute
    python demos/paper/inference.py --steps 4000 --seeds 0

The bottom is that of the model that comes with the package (`pacman-ldf`), so seeds differ in their
tops: each trains an ALI over the whitened codes (`nets.local_ali_top`), whose encoder infers the
topmost z of a whole clip, 128 numbers for 15,360. Its games are of seed 0, so those here, to train
on and to hold out, are of seed 1. All is measured on clips of held-out games:

    reconstruction   from the frames' h, from the frames' z, and from the topmost z: the squared
                     error, whether the nearest of --held-out clips is its own, and what is left of
                     the motion
    probes           ridge regressions of the row and the column of the crop and of the logarithm of
                     the motion from the topmost z, from all h, from pixels, and from as many
                     principal components of the pixels as z has numbers: R^2 on held-out games
    walks            between two real clips along great circles in z; the clips half way beside
                     those on straight lines and beside blended pixels (KID)
    swapping         h is split into its mean over the frames and the rest: with the first of clip A
                     and the second of clip B, is the maze that of A, and does what moves move where
                     it does in B? Beside the same with pixels
"""

import functools
import os
from functools import partial

import numpy as np

import ldf_np as ldf
from ldf_np.data import load_pacman, to_float, to_uint8
from ldf_np.data.clips import motion
from ldf_np.experiments import cli, metrics, plots, report
from ldf_np.experiments.clip_experiment import KID_MARGIN, clip_features
from ldf_np.experiments.runs import cached_runs, count_parameters, finished
from ldf_np.experiments.statistics import limits, over_seeds
from ldf_np.models import nets, pretrained

BOTTOM = "pacman-ldf"
CLIPS = {False: 8000, True: 2000}       # to train the top on; with --quick
PROBED = 2000                           # clips to fit the probes to
WAYS = ("h of the frames", "z of the frames", "topmost z")
TARGETS = ("row", "column", "log motion")
SHOWN, WALK = 6, 8                      # in the pictures: clips; steps of a walk
INFERENCE = ("Consider the joint distribution specified by the inference process Q(z_0, ..., "
             "z_{n-1}, x) = Q(x) Q(z_{n-1} | x) prod Q(z_{i-1} | z_i) (Section 2.2)")
FEATURES = ("such that the latent variables capture the salient features of the data, which could "
            "then be used for other upstream tasks (Section 1)")


def parse(arguments=None):
    parser = cli.parser(__doc__, out="out/inference", minutes=5.0, of="training time of each top",
                        steps="steps of each top, in place of --minutes")
    parser.add_argument("--top", choices=("local-ali", "mlp-ali"), default="local-ali",
                        help="small convolutions (default), or the paper's dense networks")
    parser.add_argument("--held-out", type=cli.integer_from(64), default=1000, metavar="N",
                        help="held-out clips that all is measured on (default 1000)")
    parser.add_argument("--quick", action="store_true",
                        help="one seed, a minute of training on fewer clips: two minutes in all")
    cli.add_checkpoints(parser)
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds, options.minutes = options.seeds[:1], min(options.minutes, 1.0)
    if options.steps is not None:
        options.minutes = None
    return options


# ------------------------------------------------------------------------------------ measurements


def own_nearest(made, real):
    """For how many rows of ``made`` (n, d) the nearest row of ``real`` (n, d) is the one of the
    same number: a number in [0, 1], 1 / n by chance."""
    squares = (real ** 2).sum(axis=1) - 2 * made @ real.T
    return float((squares.argmin(axis=1) == np.arange(len(made))).mean())


def flat(clips):
    """Clips as rows of numbers in [-1, 1]."""
    clips = to_float(clips) if clips.dtype == np.uint8 else clips
    return clips.reshape(len(clips), -1)


def reconstructions(model, clips):
    """{way: uint8 clips that come back of real ones}."""
    bottom, frames = model.models[0], clips.reshape(-1, *clips.shape[2:])
    through = (model.reconstruct(clips), bottom.reconstruct(frames, "z").reshape(clips.shape),
               model.reconstruct(clips, "top"))
    return {way: to_uint8(made) for way, made in zip(WAYS, through, strict=True)}


def likeness(made, real):
    """{score: number} of uint8 reconstructions beside the clips that they are of."""
    return {"MSE": float(np.mean((flat(made) - flat(real)) ** 2)),
            "own is nearest": own_nearest(flat(made), flat(real)),
            "moving: own is nearest": own_nearest(moving(made), moving(real)),
            "motion kept": float(np.median(motion(made) / motion(real)))}


def moving(clips):
    """What moves: the differences of neighbouring frames as rows, all of length 1."""
    x = np.diff(to_float(clips), axis=1).reshape(len(clips), -1)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)


def probe(train, test, fit_to, wanted):
    """R^2 on ``test`` (m, d) of the best ridge regression from ``train`` (n, d), its strength
    chosen by leaving one out, for each column of the targets."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    ridge = make_pipeline(StandardScaler(), RidgeCV(10.0 ** np.arange(-1, 7)))
    found = ridge.fit(train, fit_to).predict(test)
    error = ((found - wanted) ** 2).sum(axis=0) / ((wanted - wanted.mean(axis=0)) ** 2).sum(axis=0)
    return dict(zip(TARGETS, (1 - error).tolist(), strict=True))


def probes(model, data, clips, places):
    """{from what: {target: R^2}}, fitted to training clips, tested on held-out ``clips``."""
    train, sizes = data.train[:PROBED], model.top.latent_size
    targets = [np.column_stack([place[:, 1:], np.log(motion(some))])
               for some, place in ((train, data.train_place[:PROBED]), (clips, places))]
    principal = metrics.PrincipalFeatures(as_image(train), min(sizes, len(train) - 1))
    views = {"topmost z": model.infer, "all h": lambda x: flat(model.codes(x)), "pixels": flat,
             f"pixels, {sizes} components": lambda x: principal(as_image(x))}
    found = {name: probe(view(train), view(clips), *targets) for name, view in views.items()}
    shuffled = [np.random.default_rng(0).permutation(some) for some in targets]
    return found | {"topmost z, targets shuffled": probe(model.infer(train), model.infer(clips),
                                                         *shuffled)}


def as_image(clips):
    """A clip as one image of rows of frames."""
    return clips.reshape(len(clips), -1, *clips.shape[3:])


def walks(model, a, b):
    """A picture's walks (SHOWN, WALK, h, w, 3), the middle frames, and {path: KID x 1000 of the
    clips half way to ``a``}."""
    z = [model.infer(x) for x in (a, b)]
    half = {"great circle": model.interpolate(a, b, 3)[:, 1],
            "straight line": model.decode(model.top.decode((z[0] + z[1]) / 2, "z")),
            "blended pixels": (to_float(a) + to_float(b)) / 2,
            "the end, for comparison": model.reconstruct(b, "top")}
    real = clip_features(a)
    found = {path: 1000 * metrics.kid(clip_features(to_uint8(made)), real)
             for path, made in half.items()}
    steps = model.interpolate(a[:SHOWN], b[:SHOWN], WALK)
    return to_uint8(steps[:, :, steps.shape[2] // 2]), found


def swapped(x, y):
    """The mean over the frames of x (n, t, ...) with the rest of y."""
    return x.mean(axis=1, keepdims=True) + y - y.mean(axis=1, keepdims=True)


def swaps(model, a, b):
    """Clips with the maze of ``a`` and the motion of ``b``, by codes and by pixels, and their
    scores."""
    made = {"codes": model.levels[0].decode(swapped(model.codes(a), model.codes(b))),
            "pixels": np.clip(swapped(to_float(a), to_float(b)), -1, 1)}
    made = {name: to_uint8(clips) for name, clips in made.items()}
    still = np.median(to_float(a), axis=1).reshape(len(a), -1)
    real, scores = clip_features(a), {}
    for name, clips in {**made, "A itself": a, "B itself": b}.items():
        middle = np.median(to_float(clips), axis=1).reshape(len(a), -1)
        scores[name] = {"maze: A's is nearest": own_nearest(middle, still),
                        "motion: B's is nearest": own_nearest(moving(clips), moving(b)),
                        "KID clips": 1000 * metrics.kid(clip_features(clips), real)}
    return made, scores


# -------------------------------------------------------------------------------------------- runs


def train(options, seed, data, white, checkpoints):
    """Train one top over the codes of the model that comes with the package, and measure all."""
    model = ldf.load_pretrained(BOTTOM)
    model.top = nets.TOPS[options.top](model.whitening.shape, seed=seed + 10)
    history = finished(model.top.fit(white(), **cli.budget(options), progress=True,
                                     checkpoints=checkpoints))
    order = ldf.Generator(seed + 50).permutation(len(data.test))[:options.held_out]
    clips, places = data.test[order], data.test_place[order]
    made = reconstructions(model, clips)
    others = np.roll(clips, 1, axis=0)          # which are of other moments, for the most part
    walked, paths = walks(model, clips, others)
    exchanged, exchange = swaps(model, clips, others)
    model.save(os.path.join(options.out, f"model_seed{seed}.safetensors"))
    shown = {f"clips {name}": some[:SHOWN] for name, some in
             {"A": clips, "B": others, **made, **exchanged}.items()}
    return shown | {"walks": walked, "steps": history.steps, "parameters": count_parameters(model),
                    "reconstruction": {way: likeness(some, clips) for way, some in made.items()},
                    "probes": probes(model, data, clips, places), "paths": paths,
                    "swapping": exchange,
                    "samples": 1000 * metrics.kid(clip_features(to_uint8(model.sample(
                        len(clips), ldf.Generator(seed + 100)))), clip_features(clips))}


def whitened(clips):
    """Whitened codes of clips by the model that comes with the package."""
    return ldf.load_pretrained(BOTTOM).encode(clips)


# ----------------------------------------------------------------------------------------- results


def over(runs, *keys):
    """The interval over seeds of one number of each run."""
    return over_seeds([functools.reduce(lambda found, key: found[key], keys, run) for run in runs],
                      within=limits(keys[-1]))


def table(runs, group):
    """A group of scores, a row for each thing scored."""
    names = runs[0][group]
    columns = list(next(iter(names.values())))
    return {"columns": columns, "rows": {
        name: [over(runs, group, name, column) for column in columns] for name in names}}


def tables(runs):
    return {"Reconstructions of held-out clips": table(runs, "reconstruction"),
            "R^2 of linear probes on held-out games": table(runs, "probes"),
            "KID of clips half way, x 1000": {"columns": ["KID clips"], "rows": {
                path: [over(runs, "paths", path)] for path in runs[0]["paths"]}},
            "Swapping: the maze of A, the motion of B": table(runs, "swapping"),
            "Training": {"columns": ["parameters", "steps of the top", "KID of samples"], "rows": {
                "LDF": [runs[0]["parameters"], over(runs, "steps"), over(runs, "samples")]}}}


def claims(runs, held_out):
    def difference(*keys, than):
        return over_seeds([functools.reduce(lambda found, key: found[key], keys, run)
                           - functools.reduce(lambda found, key: found[key], than, run)
                           for run in runs])

    components = next(name for name in runs[0]["probes"] if name.endswith("components"))

    def probed(target):
        return difference("probes", "topmost z", target, than=("probes", components, target))

    def half_way(other):
        return difference("paths", "great circle", than=("paths", other))

    return [
        report.claim("From the topmost z a clip comes back that is nearer to its own than to any "
                     f"of {held_out - 1} others, for more than half of the clips", INFERENCE,
                     f"part whose own is nearest; chance is {1 / held_out:g}",
                     over(runs, "reconstruction", "topmost z", "own is nearest"), "above", 0.5,
                     0.05),
        report.claim("The topmost z says more of how much moves than as many principal components "
                     "of the pixels", FEATURES, "R^2 of the logarithm of the motion on held-out "
                     "games, topmost z minus components", probed("log motion"), "above",
                     margin=0.02),
        report.claim("Half way between two clips the great circle is nearer to real clips than "
                     "blended pixels", FEATURES, "KID of whole clips, great circle minus blended",
                     half_way("blended pixels"), "below", margin=KID_MARGIN),
        *(report.described(f"The same of the {target} of the crop", f"R^2, {target}, topmost z "
                           "minus components", probed(target)) for target in TARGETS[:2]),
        report.described("The great circle beside the straight line in z", "KID of whole clips, "
                         "great circle minus straight line", half_way("straight line")),
        report.described("What a level more loses", "squared error, topmost z minus h", difference(
            "reconstruction", "topmost z", "MSE",
            than=("reconstruction", "h of the frames", "MSE"))),
        report.described("The maze of A with the motion of B, in codes beside in pixels",
                         "KID of whole clips, codes minus pixels", difference(
                             "swapping", "codes", "KID clips",
                             than=("swapping", "pixels", "KID clips")))]


def pictures(out, runs):
    """Write the three pictures; returns what the report needs to know of them."""
    first = runs[0]
    plots.save_clips(os.path.join(out, "reconstructions.png"), {
        "held out": first["clips A"], **{f"from {way}": first[f"clips {way}"] for way in WAYS}})
    middle = first["clips A"].shape[1] // 2
    ends = [first[f"clips {name}"][:, middle:middle + 1] for name in "AB"]
    plots.save_clips(os.path.join(out, "walks.png"), {
        "real": ends[0], "from its topmost z on a great circle to that of another": first["walks"],
        "real ": ends[1]})
    plots.save_clips(os.path.join(out, "swaps.png"), {
        "maze: A": first["clips A"], "motion: B": first["clips B"],
        "swapped in codes": first["clips codes"], "swapped in pixels": first["clips pixels"]})
    return [("reconstructions.png", "Held-out clips, and what comes back of them from each level.",
             "Real clips beside three reconstructions"),
            ("walks.png", "Walks between two held-out clips on great circles of the topmost z, a "
                          "row for each; the middle frames, between the real ones.",
             "Frames that change from one piece of the maze to another"),
            ("swaps.png", "The mean over the frames of A's codes with the rest of B's; the same "
                          "with pixels.", "Clips with one maze and another motion")]


def run(options):
    ldf.use(options.device)
    data = load_pacman(20000, seed=1, progress=True, places=True)
    if options.held_out > len(data.test):
        raise ValueError(f"--held-out: expected at most {len(data.test)}, the held-out clips there "
                         f"are, got {options.held_out}")
    cached = cached_runs(options, cli.settings(options) | {"bottom": pretrained.card(BOTTOM)},
                         len(options.seeds))
    white = functools.cache(lambda: whitened(data.train[:CLIPS[options.quick]]))
    runs = [*cached.each({f"seed {seed}": partial(train, options, seed, data, white)
                          for seed in options.seeds}).values()]
    cached.close()
    report.conclude(options, title="Inference all the way up (Section 2.2)",
                    claims=claims(runs, options.held_out), tables=tables(runs),
                    figures=pictures(options.out, runs), seconds=cached.seconds,
                    device=ldf.device())
    print(f"Open {options.out}/walks.png: mazes that change from one clip to another, and "
          "swaps.png.")


if __name__ == "__main__":
    cli.main(run, parse())
