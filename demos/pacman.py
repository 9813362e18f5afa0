"""Learn to generate five-frame clips of Ms. Pac-Man: LDF (Figs. 4, 5 and 7 of the paper) beside its joint baseline.

    python demos/pacman.py                          both models, 8 minutes each
    python demos/pacman.py --model ldf --minutes 4
    python demos/pacman.py --train-clips 256        Fig. 6: few clips, but all single frames for the bottom level

Each model gets the same wall-clock time; LDF's includes its bottom level. Ctrl-C ends the training of a model and
writes what it has learned.
"""

import argparse
import os
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")      # before NumPy loads: the library runs two threads of its own

import numpy as np
from scipy.stats import wasserstein_distance

import ldf_np as ldf
from ldf_np import metrics, nets, plots
from ldf_np.data import load_pacman, read_clips, to_float, to_uint8
from ldf_np.files import replacing
from ldf_np.losses import colour_metric
from ldf_np.report import environment, save_json

SHARED, LOCAL = 96, 64      # components of the codes: of what the frames share, and of how each departs from it
BOTTOM_SHARE = 0.7         # of the training time
SAMPLES = 1000


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8, help="training time of each model (default 8)")
    parser.add_argument("--data", default="ale", metavar="ale|FOLDER",
                        help="the game itself (default), or a folder of PNG episodes or of .npz clips")
    parser.add_argument("--clips", type=int, default=20000, help="clips to make or read (default 20000)")
    parser.add_argument("--train-clips", type=int, metavar="N",
                        help="train on only N whole clips; the bottom level still sees all single frames")
    parser.add_argument("--model", choices=("ldf", "joint", "both"), default="both")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out/pacman", help="folder for what it writes (default out/pacman)")
    options = parser.parse_args(arguments)
    if not options.minutes > 0:
        parser.error(f"--minutes: expected a positive number, got {options.minutes}")
    least = 1024
    if options.clips < least:
        parser.error(f"--clips: expected at least {least}, got {options.clips}")
    if options.train_clips is not None and not 64 <= options.train_clips <= options.clips:
        parser.error(f"--train-clips: expected 64 to {options.clips} (the number of clips), got {options.train_clips}")
    if options.seed < 0:
        parser.error(f"--seed: expected a non-negative integer, got {options.seed}")
    return options


def build_ldf(seed, clips):
    """LDF on five frames: small ALI networks shared by all frames, and an MLP GAN over their whitened codes."""
    bottom = nets.small_ali(seed=seed, colour_metric=colour_metric(clips[:200]))
    shared, local = min(SHARED, len(clips) // 4), min(LOCAL, len(clips) // 4)
    top = nets.mlp_gan(shared + local, seed=seed + 10)
    whitening = ldf.SharedAndLocal((5, *nets.CODE), shared, local)
    return ldf.LDF([ldf.Level(bottom, ldf.Frames(5))], top, whitening, seed=seed + 20)


def train_ldf(options, data, clips):
    model = build_ldf(options.seed, clips)
    frames = data.train.reshape(-1, *data.train.shape[2:])
    histories = model.fit(clips, factors=frames, minutes=options.minutes, bottom_share=BOTTOM_SHARE, progress=True)
    bottom = model.models[0]
    real = data.test[:8]
    held_out = data.test[:200, 0]       # one frame of a clip: the frames of one clip are hardly different
    errors = {code: float(np.mean((bottom.reconstruct(held_out, code) - to_float(held_out)) ** 2)) for code in "hz"}
    pairs = np.stack([real, to_uint8(model.reconstruct(real))], axis=1).reshape(-1, *real.shape[1:])
    plots.save_clips(os.path.join(options.out, "reconstructions.png"), pairs)
    numbers = {"reconstruction_mse": errors, "code_variance_kept": {
        part: float(getattr(model.whitening, part).explained.data[0]) for part in ("shared", "local")}}
    return model, {"LDF bottom": histories["level 0"], "LDF top": histories["top"]}, numbers


def train_joint(options, data, clips):
    model = nets.joint_gan(seed=options.seed)
    history = model.fit(clips, minutes=options.minutes, progress=True)
    return model, {"joint GAN": history}, {}


def scores(clips, real):
    """What clips look like beside held-out real ones: numbers by name, the first two with an interval (value, low, high)."""
    frames = [metrics.features(metrics.one_frame(x)) for x in (clips, real)]
    motions = [metrics.motion(x) for x in (clips, real)]
    return {"frames KID": metrics.interval(metrics.kid, *frames, repeats=30),
            "motion W1": metrics.interval(wasserstein_distance, *motions, repeats=30),
            "motion median": float(np.median(motions[0])),
            "background drift": metrics.background_drift(clips),
            "deviation over clips": float(clips.std(axis=0).mean())}


def table(rows):
    """The scores of several sets of clips, {name: scores}, as text."""
    def cell(value):
        return f"{value:.4g}" if isinstance(value, float) else f"{value[0]:.4g} ({value[1]:.4g} to {value[2]:.4g})"

    names = list(next(iter(rows.values())))
    lines = [["", *names], *([name, *(cell(row[k]) for k in names)] for name, row in rows.items())]
    widths = [max(len(line[k]) for line in lines) for k in range(len(names) + 1)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines)


def run(options):
    ldf.use(options.device)
    os.makedirs(options.out, exist_ok=True)
    if options.data == "ale":
        data = load_pacman(options.clips, seed=options.seed, progress=True)
    else:
        data = read_clips(options.data, clips=options.clips, seed=options.seed, progress=True)
    clips = data.train[:options.train_clips]
    print(f"{len(clips):,} clips to train on, {len(data.test):,} from other episodes to look at")
    plots.save_clips(os.path.join(options.out, "real.png"), data.test[:16], columns=2)

    results = {"options": vars(options), "device": ldf.device()} | environment()
    samples, curves = {}, {}
    for name, train in (("ldf", train_ldf), ("joint", train_joint)):
        if options.model not in (name, "both"):
            continue
        start = time.perf_counter()
        model, histories, numbers = train(options, data, clips)
        generated = to_uint8(model.sample(SAMPLES, ldf.Generator(options.seed + 100)))
        with replacing(os.path.join(options.out, f"samples_{name}.npz")) as temporary:
            np.savez_compressed(temporary, clips=generated)
        model.save(os.path.join(options.out, f"{name}.safetensors"))
        curves |= histories
        samples[name] = generated
        results[name] = numbers | {
            "parameters": sum(p.size for p in model.parameters()),
            "seconds": time.perf_counter() - start,
            "training": {title: {"steps": h.steps, "seconds": h.seconds[-1] if h.steps else 0.0,
                                 "interrupted": h.interrupted,
                                 "losses": {k: float(np.mean(v[-100:])) for k, v in h.losses.items()}}
                         for title, h in histories.items()}}
        for title, h in histories.items():
            last = "  ".join(f"{k} {np.mean(v[-100:]):.3g}" for k, v in h.losses.items())
            print(f"{title}: {h.steps:,} steps; losses over the last 100: {last}")
        if numbers:
            print(f"{name}: mean squared error of held-out frames, through the shortcut "
                  f"{numbers['reconstruction_mse']['h']:.4f}, through z {numbers['reconstruction_mse']['z']:.4f}")

    sheets = [generated[:16] for generated in samples.values()]
    columns = 2 if len(sheets) == 1 else len(sheets)
    mixed = np.stack(sheets, axis=1).reshape(-1, *sheets[0].shape[1:])
    plots.save_clips(os.path.join(options.out, "samples.png"), mixed, columns)
    plots.save_animation(os.path.join(options.out, "samples.gif"), np.concatenate([g[:32] for g in samples.values()]))
    plots.save_curves(os.path.join(options.out, "curves.png"), curves)
    path = os.path.join(options.out, "results.json")
    save_json(path, results)            # before the scores, which take a while
    half = min(SAMPLES, len(data.test) // 2)        # real clips on either side: what the scores are compared with
    if half < 8:
        print(f"{len(data.test)} held-out clips are too few to score samples by")
    else:
        anchors = metrics.anchors(data.test[:2 * half], clips, options.seed)
        compared = samples | {"real clips, others": anchors["real"], "real clips, frames independent": anchors["independent"],
                              "real clips, frozen": anchors["frozen"]}
        results["scores"] = {name: scores(some[:half], data.test[:half]) for name, some in compared.items()}
        print(table(results["scores"]))
        save_json(path, results)
    print(f"pictures, samples, weights and results.json are in {options.out}")


def main():
    options = parse()
    try:
        run(options)
    except KeyboardInterrupt:
        sys.exit("interrupted before there was anything to write")
    except (ValueError, OSError, ImportError, RuntimeError, FloatingPointError) as error:
        sys.exit(f"pacman.py: {error}")


if __name__ == "__main__":
    main()
