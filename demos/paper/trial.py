"""One trial of the recipe: LDF's bottom and top, or the joint GAN, with other settings, scored
beside training clips.

    python demos/paper/trial.py                                    the recipe, 3600 + 11200 steps
    python demos/paper/trial.py --top local gamma=50 betas=0.5,0.99 --steps 12000
    python demos/paper/trial.py --bottom small penalty=roth gamma=0.5 --top mlp components=160
    python demos/paper/trial.py --refiner local --refiner-steps 4000 --passes 1
    python demos/paper/trial.py --joint gamma=300 --steps 3000     the joint GAN
    python demos/paper/trial.py --batch-size 64 --bottom-steps 1600 --steps 6000   an older one

Settings are arguments of the functions in ``ldf_np.models.nets`` (``place_ali``, ``small_ali``,
``local_gan``, ``mlp_gan``, ``map_denoiser``) and ``baselines.joint_gan``. Scores are ``ClipScores``
of 1000 samples beside 1000 clips that were trained on, so that a choice made by them has not seen
the held-out clips. A trained bottom is kept in OUT by its settings and used again. Each trial adds
a line to OUT/trials.jsonl and prints it as a row of the table in docs/recipe.md.
"""

import hashlib
import json
import os
import re

import numpy as np

import ldf_np as ldf
from ldf_np.data import load_pacman, to_float, to_uint8
from ldf_np.experiments import cli
from ldf_np.experiments.clip_scores import ClipScores, motion
from ldf_np.experiments.runs import finished
from ldf_np.models import baselines, nets
from ldf_np.nn.losses import colour_metric

CLIPS = 1000        # on either side of a score
JOINT = {"joint": baselines.joint_gan}
SCORES = ("KID frames", "KID clips", "KID differences", "motion W1", "background drift")


def parse(arguments=None):
    parser = cli.parser(__doc__, out="out/trials", seeds=(0,))
    parser.add_argument("--bottom", nargs="+", default=["places"], metavar="KIND NAME=VALUE")
    parser.add_argument("--top", nargs="+", default=["local"], metavar="KIND NAME=VALUE")
    parser.add_argument("--refiner", nargs="+", metavar="KIND NAME=VALUE", help="(default none)")
    parser.add_argument("--refiner-steps", type=cli.integer_from(1), default=4000)
    parser.add_argument("--passes", type=cli.integer_from(0), default=0, help="through z")
    parser.add_argument("--joint", nargs="*", metavar="NAME=VALUE", help="the joint GAN instead")
    parser.add_argument("--bottom-steps", type=cli.integer_from(1), default=3600)
    parser.add_argument("--steps", type=cli.integer_from(1), default=11200, help="of the top")
    parser.add_argument("--batch-size", type=cli.integer_from(2), default=32, metavar="N",
                        help="of every network (default 32)")
    parser.add_argument("--clips", type=cli.integer_from(2 * CLIPS), default=20000)
    options = parser.parse_args(arguments)
    cli.expect_alone(parser, options, "joint", "steps", "batch_size", "clips", "seeds", "device",
                     "out")
    plain = [word for word in options.top if not word.startswith("components=")]
    components = [word for word in options.top if word not in plain]
    cli.expect_network(parser, "--top", plain, nets.TOPS, nets.CLIP_MAP)
    if components and (not re.fullmatch("components=[1-9][0-9]*", components[-1])
                       or plain[0] not in ("mlp", "mlp-ali") or options.refiner):
        parser.error("--top: components: expected a whole number of at least 1, for a dense top "
                     f"(mlp, mlp-ali) without a refiner, got {' '.join(options.top)}")
    options.top = " ".join(plain + components[-1:])
    options.bottom = cli.expect_network(parser, "--bottom", options.bottom, nets.BOTTOMS)
    options.refiner = cli.expect_network(parser, "--refiner", options.refiner, nets.REFINERS,
                                         nets.CLIP_MAP)
    joint = None if options.joint is None else ["joint", *options.joint]
    options.joint = cli.expect_network(parser, "--joint", joint, JOINT)
    return options


def trained_bottom(model, options, seed, frames):
    """The bottom, trained or read from OUT."""
    about = json.dumps([options.bottom.split(), options.bottom_steps, seed, options.clips,
                        options.batch_size])
    name = f"bottom_{hashlib.sha256(about.encode()).hexdigest()[:12]}.safetensors"
    path = os.path.join(options.out, name)
    if os.path.exists(path):
        return model.load(path)
    finished(model.fit(frames, steps=options.bottom_steps, batch_size=options.batch_size,
                       progress=True))
    os.makedirs(options.out, exist_ok=True)
    model.save(path)
    return model


def hierarchy(options, seed, clips):
    """An LDF with these settings, trained: the model and the History of its top."""
    bottom = cli.network(options.bottom, nets.BOTTOMS)(
        seed=seed, colour_metric=colour_metric(clips[:200]))
    trained_bottom(bottom, options, seed, clips.reshape(-1, *clips.shape[2:]))
    top = cli.network(options.top, nets.TOPS)
    components = top.keywords.pop("components", None)
    refiner = cli.network(options.refiner, nets.REFINERS)
    model = nets.frames_ldf(bottom, clips, seed=seed, components=components, top=top,
                            passes=options.passes, refiner=refiner)
    codes = model.codes(clips)
    white = model.whitening.fit(codes).apply(codes)
    how = {"batch_size": options.batch_size, "progress": True}
    history = finished(model.top.fit(white, steps=options.steps, **how))
    if refiner:
        finished(model.refiner.fit(white, steps=options.refiner_steps, **how))
    return model, history


def joint(options, seed, clips):
    """A joint GAN with these settings, trained, and its History."""
    model = cli.network(options.joint, JOINT)(seed=seed)
    return model, finished(model.fit(
        clips, steps=options.steps, batch_size=options.batch_size, progress=True))


def measured(model, history, clips):
    """{score: number} of the model's samples beside training clips, and D's last loss."""
    made = to_uint8(model.sample(CLIPS, ldf.Generator(5)))
    found = ClipScores(clips[:CLIPS])(made)
    found["median motion"] = float(np.median(motion(made)) / np.median(motion(clips[:CLIPS])))
    found["D"] = float(np.mean(history.losses["D"][-200:]))
    if isinstance(model, ldf.LDF):
        frames = clips[CLIPS:2 * CLIPS, 0]
        found |= {f"MSE {code}": float(np.mean(
            (model.models[0].reconstruct(frames, code) - to_float(frames)) ** 2)) for code in "hz"}
    return found


def run(options):
    ldf.use(options.device)
    clips = load_pacman(options.clips, progress=True).train
    for seed in options.seeds:
        make = hierarchy if options.joint is None else joint
        model, history = make(options, seed, clips)
        found = measured(model, history, clips)
        refined = (f" --refiner {options.refiner} --refiner-steps {options.refiner_steps}"
                   if options.refiner else "")
        what = (f"--bottom {options.bottom} --top {options.top}{refined} --passes {options.passes}"
                if options.joint is None else f"--{options.joint}")
        os.makedirs(options.out, exist_ok=True)
        with open(os.path.join(options.out, "trials.jsonl"), "a", encoding="utf-8") as file:
            file.write(json.dumps({"trial": what, "seed": seed, "steps": options.steps,
                                   "bottom steps": options.bottom_steps,
                                   "batch size": options.batch_size, "scores": found}) + "\n")
        print(f"| `{what}` | {seed} | {options.steps} | "
              + " | ".join(f"{value:.3g}" for value in found.values()) + " |")


if __name__ == "__main__":
    cli.main(run, parse())
