"""Learn to generate clips of Ms. Pac-Man: LDF beside its joint baseline (Figs. 4, 5 and 7).

    python demos/pacman.py                     both models, 8 minutes each, with three seeds
    python demos/pacman.py --model ldf --minutes 4 --seeds 0
    python demos/pacman.py --train-clips 256   few clips, but all single frames for LDF's bottom
    python demos/pacman.py --steps 3000        3000 steps each: the same weights, whatever ends it
    python demos/pacman.py --pretrained        draw from the models that come with the package
    mpirun -n 2 python demos/pacman.py         two processes train as one, each on half a batch

Each model gets the same time; LDF's includes its bottom level, scoring counts for neither. A model
ends with the weights whose samples were nearest to training clips (KID); held-out clips are looked
at once, afterwards. Every minute a checkpoint goes into OUT/checkpoints. Ctrl-C, like SIGTERM, ends
it and writes what it has learned; the same command goes on (with --steps to the same bits).
"""

import os
from functools import partial

import ldf_np as ldf
from ldf_np.data import load_pacman, read_clips, to_uint8
from ldf_np.experiments import cli, plots, report
from ldf_np.experiments import clip_experiment as experiment
from ldf_np.experiments.clip_scores import anchors
from ldf_np.experiments.runs import by_level, cached_runs, count_parameters, without_arrays
from ldf_np.models import baselines, nets
from ldf_np.runtime.distributed import first_before_others, world

BOTTOM_SHARE = {"minutes": 0.5, "steps": 0.25}       # of LDF's training, whose bottom is slower
SAMPLES = 1000
FILES = {"LDF": "ldf", "joint GAN": "joint"}


def parse(arguments=None, doc=__doc__, out="out/pacman"):
    parser = cli.parser(doc, out=out, minutes=8, steps="steps of each model, not --minutes")
    parser.add_argument("--data", default="ale", metavar="ale|FOLDER",
                        help="the game itself (default), or a folder of PNG episodes or .npz clips")
    parser.add_argument("--clips", type=cli.integer_from(1024), default=20000,
                        help="clips to make or read (default 20000)")
    parser.add_argument("--train-clips", type=cli.integer_from(64), metavar="N",
                        help="train on only N whole clips; the bottom level sees all single frames")
    parser.add_argument("--model", choices=("ldf", "joint", "both"), default="both")
    parser.add_argument("--top", nargs="+", default=["local"], metavar=("KIND", "NAME=VALUE"),
                        help=f"LDF's top, {', '.join(nets.TOPS)} (default local), and its settings")
    parser.add_argument("--passes", type=cli.integer_from(0), default=1, metavar="N",
                        help="of LDF's samples through z (default 1; 0 for less than four minutes)")
    parser.add_argument("--refiner", nargs="+", metavar=("KIND", "NAME=VALUE"),
                        help=f"of what the top makes, {', '.join(nets.REFINERS)} (default none)")
    parser.add_argument("--refiner-share", type=cli.part, default=0.25, metavar="PART",
                        help="of LDF's training, the refiner's (default 0.25)")
    parser.add_argument("--batch-size", type=cli.integer_from(2), default=32, metavar="N",
                        help="of frames, codes or clips in a step of any network (default 32)")
    parser.add_argument("--bottom-share", type=cli.part, metavar="PART",
                        help="of LDF's training, the bottom's (default {minutes:g} of the minutes, "
                             "{steps:g} of the steps)".format(**BOTTOM_SHARE))
    parser.add_argument("--pretrained", action="store_true",
                        help="train nothing: draw from the models that come with the package")
    cli.add_checkpoints(parser)
    options = parser.parse_args(arguments)
    cli.expect_alone(parser, options, "pretrained", "model", "seeds", "device", "out")
    options.minutes = options.minutes if options.steps is None else None
    options.top = cli.expect_network(parser, "--top", options.top, nets.TOPS, nets.CLIP_MAP)
    options.refiner = cli.expect_network(parser, "--refiner", options.refiner, nets.REFINERS,
                                         nets.CLIP_MAP)
    options.bottom_share = options.bottom_share or BOTTOM_SHARE[next(iter(cli.budget(options)))]
    if (train := options.train_clips or 0) > (clips := options.clips):
        parser.error(f"--train-clips: expected 64 to {clips} (the number of clips), got {train}")
    return options


def new_model(name, options, clips, seed):
    """LDF, or the joint GAN, which sees all five frames at once, with as many parameters."""
    top, refiner = cli.network(options.top, nets.TOPS), cli.network(options.refiner, nets.REFINERS)
    model = nets.clip_ldf(clips, seed=seed, top=top, passes=options.passes, refiner=refiner)
    return model if name == "LDF" else baselines.matched(
        lambda hidden: baselines.joint_gan(hidden=hidden, seed=seed), count_parameters(model))


def train(options, data, clips, scores, name, seed, checkpoints):
    """Train one model with one seed, save it, and score it. Of several processes that train it
    together, the first does the rest."""
    model, budget, best = new_model(name, options, clips, seed), cli.budget(options), None
    if world().rank == 0:
        best = checkpoints.also["tracker"] = experiment.best_weights(model, clips, seed, budget)
    how = budget | {"progress": True, "callback": best, "checkpoints": checkpoints,
                    "batch_size": options.batch_size}
    if name == "LDF":           # its bottom level learns from the single frames of all clips
        frames = data.train.reshape(-1, *data.train.shape[2:])
        how |= {"factors": frames, "bottom_share": options.bottom_share,
                "refiner_share": options.refiner_share}
    histories = by_level(model.fit(clips, **how), name)
    interrupted = any(h.interrupted for h in histories.values())
    if best is None:
        return {"interrupted": interrupted}
    curve = best.finish(list(histories.values())[-1])
    stem = os.path.join(options.out, f"{FILES[name]}_seed{seed}")
    model.save(f"{stem}.safetensors")
    plots.save_curves(f"{stem}_losses.png", histories)
    made = to_uint8(model.sample(SAMPLES, ldf.Generator(seed + 100)))
    return {"clips": made, "curve": curve, "interrupted": interrupted} | experiment.findings(
        model, made, histories, scores, data.test)


def run(options):
    ldf.use(options.device)
    names = [name for name, file in FILES.items() if options.model in (file, "both")]
    if options.pretrained:
        return experiment.draw_pretrained(options, {n: f"pacman-{FILES[n]}" for n in names})
    first = world().rank == 0
    load = load_pacman if options.data == "ale" else partial(read_clips, options.data)
    data = first_before_others(partial(load, clips=options.clips, seed=0, progress=first))
    clips, half = data.train[:options.train_clips], min(SAMPLES, len(data.test) // 2)
    if len(data.test) < 16 or len(clips) < 64:
        raise ValueError("--data: expected at least 64 clips to train on and 16 to hold out, "
                         f"got {len(clips)} and {len(data.test)}")
    if first:
        print(f"{len(clips):,} clips to train on, {len(data.test):,} of other episodes held out")
    budget = cli.budget(options)
    cached = cached_runs(options, cli.settings(options, "model", "minutes", "steps") | budget,
                         1 + len(names) * len(options.seeds), data)
    scores = experiment.AllClipScores(data.test[:half], clips) if first else None
    beside = cached("anchors", lambda _: {kind: scores(some) for kind, some in anchors(
        data.test[:2 * half], clips).items()} if first else {})
    found = cached.by_seed(names, options.seeds, partial(train, options, data, clips, scores))
    cached.close()
    if first:
        runs = {name: dict(zip(options.seeds, some)) for name, some in found.items() if some}
        conclude(options, runs, data, beside, budget, seconds=cached.seconds, interrupted=any(
            run["interrupted"] for some in found.values() for run in some))


def conclude(options, runs, data, beside, budget, **more):
    """Write and print the results; ``beside``: the scores of sets of real clips."""
    for name, some in runs.items():
        experiment.save_samples(options.out, FILES[name], some)
    for seed, found in runs.get("LDF", {}).items():
        print(f"LDF, seed {seed}: mean squared error of held-out frames, through the shortcut "
              f"{found['mse']['h']:.4f}, through z {found['mse']['z']:.4f}")
    report.conclude(
        options, title="Ms. Pac-Man: LDF beside its joint baseline (Figs. 4, 5, 7)",
        claims=experiment.claims(runs, beside, budget), tables=experiment.tables(runs, beside),
        figures=experiment.pictures(options.out, runs, data.test,
                                    "seconds" if options.steps is None else "steps"),
        device=ldf.device(), processes=world().size, models=without_arrays(runs), **more)
    if more["interrupted"]:
        print("interrupted: the same command goes on from the checkpoint")


if __name__ == "__main__":
    cli.main(run, parse(), ranks=True)
