"""Models that were trained before and come with the package: NAME.safetensors, float16, what
samples are drawn with alone, and NAME.json, a card that says how it was made and what it scores."""

import json
from functools import partial
from pathlib import Path

import numpy as np

from ...nn.optim import EMA, MATURE
from ...runtime.checks import one_of, path_like
from ...runtime.files import load_tensors, replacing, save_tensors
from ...runtime.rules import checked
from .. import baselines, nets

FOLDER = Path(__file__).parent
NAMES = "pacman-ldf", "pacman-joint"


def _ldf(card):
    kind, settings = card.get("top", ("local", {}))
    refiner = card.get("refiner") and partial(nets.REFINERS[card["refiner"][0]],
                                              **card["refiner"][1])
    return nets.clip_ldf(np.zeros((8, 5, 32, 32, 3), np.uint8), colour_metric=None,
                         top=partial(nets.TOPS[kind], **settings), passes=card.get("passes", 0),
                         refiner=refiner)


def _joint(card):
    return baselines.joint_gan(hidden=card["hidden"])


MAKE = {"LDF": _ldf, "JointGAN": _joint}


@checked(name=one_of(*NAMES), folder=path_like)
def load_pretrained(name, folder=FOLDER):
    """A trained model, ready to sample and, LDF, to encode: "pacman-ldf" or "pacman-joint".

    Its discriminators are new, and have to learn before it can be trained further; its generator
    has the averaged weights. ``card(name)`` says how it was made. ``folder``: that of files that
    ``save_pretrained`` wrote, by default the package's. Raises ValueError for another name.
    Its data were ``load_pacman(60000, seed=0)``: smaller sets of this seed hold out clips that it
    has seen, those of seed 1 are all new to it.
    """
    about = card(name, folder)
    model = MAKE[about["model"]](about)
    state, _ = load_tensors(Path(folder, f"{name}.safetensors"))
    model.load_state_dict({k: a for k, a in model.state_dict().items() if _left_out(k)} | state)
    for _, module in model.named_modules():
        if isinstance(module, EMA):
            module.copy_to_network()
            module.saved_counts = MATURE, MATURE      # with batch statistics that were found
    return model


@checked(name=one_of(*NAMES), folder=path_like)
def card(name, folder=FOLDER):
    """What is known of a model: {"model", "data", "command", "budget", "machine", "seed", "scores",
    "licence"}; of LDF also its top and refiner ("top", "refiner": the kind in ``nets.TOPS`` or
    ``REFINERS``, and its settings) and how often samples pass through z ("passes"), and of the
    joint GAN how wide it is ("hidden")."""
    return json.loads(Path(folder, f"{name}.json").read_text(encoding="utf-8"))


@checked()
def save_pretrained(model, path, **about):
    """Write a model as such files: PATH.safetensors and PATH.json with what ``about`` says."""
    kept = {name: a.astype(np.float16) if a.dtype == np.float32 else a
            for name, a in model.state_dict().items() if not _left_out(name)}
    save_tensors(f"{path}.safetensors", kept, {"model": type(model).__name__})
    with replacing(f"{path}.json") as temporary:
        Path(temporary).write_text(json.dumps({"model": type(model).__name__} | about, indent=2)
                                   + "\n", encoding="utf-8")


def _left_out(name):
    """Discriminators; and generators and a refiner's network, of which there are averages."""
    return "discriminator" in name or not {"generator", "network"}.isdisjoint(name.split("."))
