"""Videos of any length (Section 1): a top that is trained on five frames makes a hundred, or ten
thousand.

    python demos/paper/long_video.py                  tops of 4 minutes each, films of 100 frames
    python demos/paper/long_video.py --quick          in two minutes, to see that it runs
    python demos/paper/long_video.py --frames 40 --seeds 0 1 2

Section 3's local connectivity, in time: the code of frame t is made of the noise at t - p ... t + p
and of one draw for the whole film, by the same weights for every t (``ldf.SequenceGAN``). Below it
is the model of single frames that comes with the package, which knows nothing of length; its games
are of seed 0, those here of seed 1. --minutes or --steps are for each top.

    local, p = 4    trained on clips of five frames
    refined         the films of that top, refined; the refiner has half as much time again
    local, p = 0    the same without neighbours: frames that are independent given the film's draw
    long clips      p = 4, trained on the game's clips of ``--clip-frames`` frames with two
                    discriminators, of windows of 5 frames and of WIDE
    stitched        clips of five frames of the package's LDF, one after the other

Scores are read beside held-out clips of the game. "KID" of windows of five frames at the
beginning, in the middle and at the end of the films, in whole clips and in differences of frames,
x 1000; the drift of the background between the first frame and a later one (0 in the game);
"slow": KID of every fourth frame beside that of the game's longer clips. Films of the game stand
beside them; in many of their windows nothing moves, while clips are chosen because something does.
The speed and the peak memory are those of films that are drawn a few frames at a time and not kept
(``LDF.stream``).
"""

import os
import time
import tracemalloc
from functools import partial

import numpy as np

import ldf_np as ldf
from ldf_np.data import load_pacman, to_uint8
from ldf_np.experiments import cli, plots, report
from ldf_np.experiments.clip_experiment import KID_MARGIN
from ldf_np.experiments.clip_scores import ClipScores, background_drift, motion
from ldf_np.experiments.metrics import kid
from ldf_np.experiments.runs import cached_runs, finished
from ldf_np.experiments.statistics import POSITIVE, interval, over_seeds
from ldf_np.models import nets, pretrained, sequence_nets
from ldf_np.models.ldf import LDF

CODE = 8, 8, 8              # a frame's code
WIDE, SLOW = 13, 4          # the wider window; of a slow clip every fourth frame
LOCAL = "local, p = 4"
ARMS = {LOCAL: {"p": 4}, "local, p = 0": {"p": 0}, "long clips": {"p": 4, "windows": (5, WIDE)}}
REFINED, STITCHED = "refined", "stitched"
FLAT, EVEN = 1.0, 0.1       # what still is flat: by how much KID rises, and the slope of memory
SHOWN = 6                   # films of each model in the pictures
ANY_LENGTH = "Applicable to variable-length objects, such as videos and text. (Section 1)"
NEAR = "P(z_{i+1,j} | z_i) = P(z_{i+1,j} | z_{i,j-p:j+p}) (Section 3)"


def parse(arguments=None):
    parser = cli.parser(__doc__, out="out/long_video", minutes=4, seeds=(0,),
                        steps="steps of each top, in place of --minutes")
    parser.add_argument("--frames", type=cli.integer_from(15), default=100,
                        help="frames of a film (default 100)")
    parser.add_argument("--clip-frames", type=cli.integer_from(4 * SLOW + 1), default=20,
                        help="frames of the game's longer clips (default 20)")
    parser.add_argument("--clips", type=cli.integer_from(128), default=8000,
                        help="clips of five frames to train on, and half as many longer ones "
                             "(default 8000)")
    parser.add_argument("--films", type=cli.integer_from(16), default=300,
                        help="films of each model that are scored (default 300)")
    parser.add_argument("--quick", action="store_true",
                        help="at most 120 steps, 1000 clips and 60 films of 40 frames")
    cli.add_checkpoints(parser)
    options = parser.parse_args(arguments)
    if options.quick:
        options.steps = min(120, options.steps or 120)
        options.clips, options.films = min(options.clips, 1000), min(options.films, 60)
        options.frames = min(options.frames, 40)
    if options.steps is not None:
        options.minutes = None
    return options


# ---------------------------------------------------------------------------------------- measures


def starts(frames):
    """{where: the first frame of a window of five} of a film; at none of them does a stitched clip
    begin."""
    middle = (frames - 5) // 2
    return {"beginning": 2, "middle": middle + (middle % 5 == 0),
            "end": frames - 5 - (frames % 5 == 0)}


class FilmScores:
    """Scores of films (n, t, 32, 32, 3) beside held-out ``clips`` of five frames and longer
    ones."""

    def __init__(self, clips, longer):
        self.real, self.slow = ClipScores(clips), ClipScores(longer[:, :4 * SLOW + 1:SLOW])

    def __call__(self, films):
        found = {}
        for where, k in starts(films.shape[1]).items():
            window = self.real(films[:, k:k + 5])
            found |= {f"{name}, {where}": window[name] for name in ("KID clips", "KID differences",
                                                                    "motion W1")}
        found["KID slow"] = self.slow(films[:, :4 * SLOW + 1:SLOW])["KID clips"]
        found["drift"] = [background_drift(films[:, [0, k]]) for k in range(1, films.shape[1])]
        return found

    def rise(self, films):
        """[value, low, high] of KID of whole clips at the end, less that at the beginning: the
        interval that comes from the films."""
        at = starts(films.shape[1])
        first, last = (self._features(films[:, at[k]:at[k] + 5]) for k in ("beginning", "end"))
        real = self.real.real["clips"]
        pairs = np.concatenate([first, last], axis=1)       # a film's windows stay together
        half = first.shape[1]
        return [1000 * x for x in interval(
            lambda some: kid(some[:, half:], real) - kid(some[:, :half], real), pairs, repeats=30)]

    def _features(self, clips):
        n, t, h, w, c = clips.shape
        return self.real.features(clips.transpose(0, 2, 3, 1, 4).reshape(n, h, w, t * c))


def cost(model, frames):
    """Of films that are drawn and not kept: {"speed": frames a second, "memory": the peak of what
    is allocated, in MB}; four films at once."""
    def draw(count):
        for _ in model.stream(4, count, ldf.Generator(0)):
            pass

    draw(8)
    begin = time.perf_counter()
    draw(frames)
    speed = 4 * frames / (time.perf_counter() - begin)
    tracemalloc.start()
    draw(frames)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return {"speed": speed, "memory": peak}


# -------------------------------------------------------------------------------------------- runs


def weights_of(options, name, seed):
    name = name.replace(", p = ", "_p").replace(" ", "_")
    return os.path.join(options.out, f"{name}_seed{seed}.safetensors")


def scored(model, options, score, seed, history):
    films = to_uint8(model.sample(options.films, ldf.Generator(seed + 100), frames=options.frames))
    lengths = sorted({5, 20, options.frames, 4 * options.frames})
    return {"scores": score(films), "rise": score.rise(films), "films": films[:SHOWN],
            "steps": history.steps, "motion": float(np.median(motion(films[:, :5]))),
            "cost": {str(t): cost(model, t) for t in lengths}}


def train(options, data, longer, score, name, seed, checkpoints):
    """Train the top of one arm, and score its films."""
    bottom = ldf.load_pretrained("pacman-ldf").models[0]
    model = sequence_nets.sequence_ldf(bottom, CODE, seed=seed, **ARMS[name])
    clips = longer.train if "windows" in ARMS[name] else data.train
    codes = model.codes(clips[:options.clips])
    white = model.whitening.fit(codes).apply(codes)
    history = finished(model.top.fit(white, **cli.budget(options), progress=True,
                                     checkpoints=checkpoints))
    model.save(weights_of(options, name, seed))
    return scored(model, options, score, seed, history)


def refine(options, data, score, seed, checkpoints):
    """Train a refiner above the top of p = 4, with half of its budget, and score the films."""
    plain = ldf.load(weights_of(options, LOCAL, seed))
    model = LDF(plain.levels, plain.top, plain.whitening, refiner=nets.map_denoiser(
        plain.top.whitenings[0].shape, seed=seed + 30))
    white = model.encode(data.train[:options.clips])
    half = ({"minutes": options.minutes / 2} if options.steps is None else
            {"steps": -(-options.steps // 2)})
    history = finished(model.refiner.fit(model.refiner_data(white), **half, progress=True,
                                         checkpoints=checkpoints))
    model.save(weights_of(options, REFINED, seed))
    return scored(model, options, score, seed, history)


def stitched(options, score, seed, _):
    """Films of the package's clips of five frames, one after the other."""
    model = ldf.load_pretrained("pacman-ldf")
    count = -(-options.frames // 5)
    clips = to_uint8(model.sample(options.films * count, ldf.Generator(seed + 100)))
    films = clips.reshape(options.films, 5 * count, *clips.shape[2:])[:, :options.frames]
    return {"scores": score(films), "rise": score.rise(films), "films": films[:SHOWN],
            "motion": float(np.median(motion(films[:, :5])))}


def real(films, score, _):
    """Films of the game."""
    return {"scores": score(films), "rise": score.rise(films), "films": films[:SHOWN],
            "motion": float(np.median(motion(films[:, :5])))}


# ----------------------------------------------------------------------------------------- results


def over(runs, name, key):
    return [run["scores"][key] for run in runs[name]]


def claims(runs, frames):
    """Three claims, and what is described beside them."""
    independent = "local, p = 0"
    motion_of = {name: over(runs, name, "KID differences, middle") for name in runs}
    rises = [run["rise"] for run in runs[LOCAL]]
    rise = "KID x 1000 of windows of five frames, end minus beginning"
    return [
        report.claim(f"Trained on five frames, the end of {frames} frames is as good as the "
                     "beginning", ANY_LENGTH,
                     rise, over_seeds([middle for middle, _, _ in rises]), "below", FLAT),
        report.claim("Noise that neighbouring frames share is what makes things move as they do in "
                     "the game", NEAR, f"KID x 1000 of differences in the middle, {independent} "
                     f"minus {LOCAL}",
                     over_seeds(np.subtract(motion_of[independent], motion_of[LOCAL])), "above",
                     margin=KID_MARGIN),
        report.claim("The memory of drawing a film does not grow with its length",
                     "Vastly reduced memory consumption (Section 1)",
                     "slope of log(peak memory) over log(frames), from 20 frames on",
                     over_seeds([slope(run["cost"]) for run in runs[LOCAL]]), "below", EVEN),
        report.described("The same over films, of the first seed", rise, rises[0]),
        report.described("What a seam costs: clips one after the other beside a film",
                         f"KID x 1000 of differences in the middle, {STITCHED} minus {LOCAL}",
                         over_seeds(np.subtract(motion_of[STITCHED], motion_of[LOCAL]))),
        *(report.described(f"What a refiner does: {key}", f"{key} in the middle, {REFINED} minus "
                           f"{LOCAL}", over_seeds(np.subtract(*(
                               over(runs, name, f"{key}, middle") for name in (REFINED, LOCAL)))))
          for key in ("KID clips", "KID differences", "motion W1"))]


def slope(cost):
    """Of log(memory) against log(frames), from 20 frames to the longest film."""
    lengths = sorted(int(t) for t in cost if int(t) >= 20)
    memory = [cost[str(t)]["memory"] for t in lengths]
    return float(np.log(memory[-1] / memory[0]) / np.log(lengths[-1] / lengths[0]))


def tables(runs, frames):
    where = list(starts(frames))
    later = [k for k in (1, 5, 20, 50, 99) if k < frames]
    return {
        "windows": {"columns": [*(f"KID clips, {w}" for w in where),
                                *(f"KID differences, {w}" for w in where), "motion W1, end",
                                "KID slow", "median motion"], "rows": {
            name: [*(over_seeds(over(runs, name, f"{score}, {w}"))
                     for score in ("KID clips", "KID differences") for w in where),
                   over_seeds(over(runs, name, "motion W1, end"), within=POSITIVE),
                   over_seeds(over(runs, name, "KID slow")),
                   over_seeds([run["motion"] for run in runs[name]], within=POSITIVE)]
            for name in runs}},
        "drift of the background from the first frame": {
            "columns": [f"to frame {k}" for k in later], "rows": {
                name: [over_seeds([d[k - 1] for d in over(runs, name, "drift")], within=POSITIVE)
                       for k in later] for name in runs}},
        "drawing four films": {
            "columns": ["frames", "frames a second", "peak memory (MB)"], "rows": {
                f"{name}, {t} frames": [int(t), *(over_seeds(
                    [run["cost"][t][what] for run in runs[name]], within=POSITIVE)
                    for what in ("speed", "memory"))]
                for name in (*ARMS, REFINED) for t in runs[name][0]["cost"]}}}


def pictures(out, runs, frames):
    """Strips of films, a film of films, and the drift."""
    films = {name: found[0]["films"] for name, found in runs.items()}
    shown = np.linspace(0, frames - 1, 12).astype(int)
    plots.save_sheets(os.path.join(out, "strips.png"),
                      {f"{name}: frames {shown[0]} to {shown[-1]}": some[:4, shown]
                       for name, some in films.items()}, (8, 3), columns=1)
    plots.save_sheets(os.path.join(out, "neighbours.png"),
                      {f"{name}: ten frames in a row": some[:4, 3:13]
                       for name, some in films.items()}, (8, 3.4), columns=1)
    plots.save_animation(os.path.join(out, "films.gif"),
                         {name: some[:4, :60] for name, some in films.items()}, 2, 2, 120)
    plots.save_lines(os.path.join(out, "drift.png"),
                     {name: [[(k + 1, d) for k, d in enumerate(line)] for line in
                             over(runs, name, "drift")] for name in films},
                     "frame", "drift of the background from the first frame")
    return [("films.gif", "Films, playing: the maze should stay, and figures move through it "
             "without a jump; in stitched films everything changes every fifth frame",
             "Grids of playing Ms. Pac-Man films"),
            ("strips.png", "The films, a row each, twelve frames from the first to the last",
             "Rows of Ms. Pac-Man frames; the maze of a row stays the same, but for stitched ones"),
            ("neighbours.png", "Ten frames in a row of the same films, with a stitched seam",
             "Rows of ten neighbouring Ms. Pac-Man frames for each model"),
            ("drift.png", "How far the background departs from the first frame",
             "Curves of drift against the frame for each model")]


def run(options):
    ldf.use(options.device)
    unseen = partial(load_pacman, seed=1, progress=True)
    data = unseen(max(20000, options.clips))
    longer = unseen(options.clips // 2, max(64, options.clips // 20), frames=options.clip_frames)
    films = unseen(1, max(32, options.films // 4), frames=options.frames).test
    score = FilmScores(data.test[:1000], longer.test)
    depends = cli.settings(options, "quick") | {"bottom": pretrained.card("pacman-ldf")}
    cached = cached_runs(options, depends, 1 + len(options.seeds) * (len(ARMS) + 2))
    beside = [cached("the game", partial(real, films, score))]
    runs = cached.by_seed(ARMS, options.seeds, partial(train, options, data, longer, score))
    runs[REFINED] = [*cached.each({f"{REFINED} seed {seed}": partial(
        refine, options, data, score, seed) for seed in options.seeds}).values()]
    runs[STITCHED] = [*cached.each({f"{STITCHED} seed {seed}": partial(
        stitched, options, score, seed) for seed in options.seeds}).values()]
    cached.close()
    entries = claims(runs, options.frames)
    runs["the game"] = beside
    report.conclude(options, title="Films of any length (Sections 1 and 3)", claims=entries,
                    tables=tables(runs, options.frames),
                    figures=pictures(options.out, runs, options.frames), seconds=cached.seconds)


if __name__ == "__main__":
    cli.main(run, parse())
