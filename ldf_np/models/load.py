"""A model from one file: its architecture and its weights."""

import json
import os

from ..runtime.architecture import (
    architecture_of,
    described_class,
    loaded_classes,
    name_of,
    rebuild,
    restore_generators,
    set_again,
)
from ..runtime.checks import checked, path_like, several
from ..runtime.files import load_tensors

# here, so that their classes are known
from . import ali, baselines, classifier, gan, image_nets, ldf, vae, whitening  # noqa: F401


@checked(path=path_like, classes=several(described_class, 0, "classes"))
def load(path, classes=()):
    """The model that ``model.save(path)`` wrote: it samples, encodes and goes on training as the
    saved one would (its optimisers begin anew).

    Parameters
    ----------
    path : path of a safetensors file
    classes : list of classes
        Those of your own that the model is made of. A file names classes, but only those of this
        package and these are used: it decides nothing that is imported. An object is made by its
        class from the arguments that it was made with, and then has the layers and settings that
        were assigned. Arguments called ``init`` are initialisers, which are left out.

    Notes
    -----
    Raises FileNotFoundError, or ValueError naming the file and what is wrong with it, also where it
    is hostile: weights without an architecture (of version 0.1: make the model and call
    ``model.load``), a class that is not known, an argument that no file can hold (a function), or
    weights that do not fit.
    """
    state, metadata = load_tensors(path)
    where, written = os.fspath(path), architecture_of(path, metadata)
    known = loaded_classes() | {name_of(kind): kind for kind in classes}
    try:
        made = json.loads(written)
        model = rebuild(made["objects"], known, sum(array.size for array in state.values()))
        set_again(model, made.get("settings", {}))
        for name, held in model.parts_of_state().items():
            if name in state and held.data.dtype.kind == state[name].dtype.kind == "f":
                held.data = held.data.astype(state[name].dtype, copy=False)
        model.load_state_dict(state)
        restore_generators(dict(model.named_generators()), made["generators"])
        for name, module in model.named_modules():
            module.training = name not in made["evaluating"]
        model.restore_counts(made.get("counts"))
    except Exception as error:      # whatever a file can do to a constructor
        said = error.args[0] if type(error) is KeyError else error
        raise ValueError(f"{where}: no model can be made of this file: {said!s:.400}") from error
    return model
