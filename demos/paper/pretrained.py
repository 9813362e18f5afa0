"""The models that come with the package, made from a finished run of demos/pacman.py.

    python demos/pacman.py --model ldf --steps 64000 --seeds 0 --out out/long
    python demos/paper/pretrained.py out/long --model ldf --machine "two cores of an AMD EPYC"

Writes ldf_np/models/pretrained/pacman-ldf.safetensors (float16, what draws samples alone) and its
card, pacman-ldf.json, with the scores of the run; and says what float16 changes in them.
"""

import json
import os

import ldf_np as ldf
from ldf_np.data import load_pacman, to_uint8
from ldf_np.experiments import cli
from ldf_np.experiments.clip_scores import ClipScores
from ldf_np.models import baselines, nets, pretrained
from ldf_np.runtime.checks import expect

NAMES = {"ldf": "LDF", "joint": "joint GAN"}


def parse(arguments=None):
    parser = cli.parser(__doc__, out=str(pretrained.FOLDER), seeds=(0,))
    parser.add_argument("run", help="the folder of the finished run")
    parser.add_argument("--model", choices=NAMES, default="ldf")
    parser.add_argument("--machine", required=True, help="on which it was trained")
    options = parser.parse_args(arguments)
    if len(options.seeds) > 1:
        parser.error("--seeds: expected one, that of the model")
    return options


def sized_joint(parameters):
    """A joint GAN of so many parameters, and how wide its dense layers are."""
    model = baselines.matched(lambda hidden: baselines.joint_gan(hidden=hidden), parameters)
    return model, model.discriminator.layers[-1].weight.shape[0]


def of_ldf(chosen):
    """Of the command of a run, what is LDF's alone."""
    passed = f" --passes {chosen['passes']} --bottom-share {chosen['bottom_share']:g}"
    if chosen["refiner"] is None:
        return passed
    return f" --refiner {chosen['refiner']} --refiner-share {chosen['refiner_share']:g}{passed}"


def kind_and_settings(text, known):
    """(KIND, {NAME: VALUE}) of the words KIND NAME=VALUE ..."""
    return text.split()[0], cli.network(text, known).keywords


def finished_run(options, seed):
    """What the run found of the model, and the options that it had. ValueError where it has no such
    model, or one that its card would be wrong about."""
    path = os.path.join(options.run, "results.json")
    try:
        with open(path, encoding="utf-8") as file:
            results = json.load(file)
        chosen = results.get("options")
        found = results.get("models", {}).get(NAMES[options.model], {}).get(str(seed))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path}: expected what demos/pacman.py wrote: {error}") from error
    expect(found and chosen, options.run,
           f"a run of demos/pacman.py with {NAMES[options.model]}, seed {seed}", "one without")
    expect(not results.get("interrupted"), f"{options.run}: results.json", "a run that came to its "
           "end", "one that was interrupted")
    expect((chosen["data"], chosen["train_clips"]) == ("ale", None), f"{options.run}: data",
           "all clips of the game", f"--data {chosen['data']} --train-clips "
           f"{chosen['train_clips']}")
    return found, chosen


def run(options):
    ldf.use(options.device)
    seed, = options.seeds
    found, chosen = finished_run(options, seed)
    unit = "steps" if chosen["steps"] else "minutes"
    about = {"data": f"{chosen['clips']:,} clips of Ms. Pac-Man, five frames of 32 x 32, made with "
                     "ale-py",
             "command": f"python demos/pacman.py --model {options.model} --seeds {seed} "
                        f"--{unit} {chosen[unit]:g} --batch-size {chosen['batch_size']} "
                        f"--clips {chosen['clips']} --top {chosen['top']}"
                        + (of_ldf(chosen) if options.model == "ldf" else ""),
             "machine": options.machine, "seed": seed, "scores": found["scores"],
             "budget": ", ".join(f"{level}: {part['steps']:,} steps" for level, part in
                                 found["training"].items()),
             "licence": "MIT, as the package; the pictures it makes resemble Ms. Pac-Man, whose "
                        "rights are its owners'"}
    if options.model == "ldf":
        about |= {"passes": chosen["passes"], "top": kind_and_settings(chosen["top"], nets.TOPS)}
        if chosen["refiner"]:
            about["refiner"] = kind_and_settings(chosen["refiner"], nets.REFINERS)
        model = pretrained.MAKE["LDF"](about)
    else:
        model, about["hidden"] = sized_joint(found["parameters"])
    model.load(os.path.join(options.run, f"{options.model}_seed{seed}.safetensors"))
    name = f"pacman-{options.model}"
    pretrained.save_pretrained(model, os.path.join(options.out, name), **about)
    scores = ClipScores(load_pacman(chosen["clips"]).test[:1000])
    written = pretrained.load_pretrained(name, options.out)
    for what, some in (("float32", model), ("float16", written)):
        made = to_uint8(some.sample(1000, ldf.Generator(seed + 100)))
        print(what, {score: round(value, 4) for score, value in scores(made).items()})


if __name__ == "__main__":
    cli.main(run, parse())
