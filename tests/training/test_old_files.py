"""Files of version 0.1 still load: a checkpoint goes on from there, and weights are those that were
saved.

version_0_1/ holds a GAN and an ALI stopped after 4 of 10 steps, and the weights that each had after
all 10.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_ali, values
from safetensors.numpy import load_file

from ldf_np.models.base import Model
from ldf_np.models.gan import GAN
from ldf_np.models.nets import mlp_gan
from ldf_np.training import checkpoint
from ldf_np.training.checkpoint import Checkpoints

FOLDER = Path(__file__).with_name("version_0_1")
MODELS = {"gan": (lambda: mlp_gan(3, 2, 4), 3), "ali": (tiny_ali, 4)}


def gone_on(name, folder):
    """The model that the old checkpoint became."""
    make, size = MODELS[name]
    shutil.copytree(FOLDER / name, folder)
    model = make()
    history = model.fit(values(20, size, dtype=np.float32), steps=10, batch_size=8,
                        checkpoints=Checkpoints(folder))
    assert history.steps == 10
    return model.state_dict()


@pytest.mark.parametrize("name", MODELS)
def test_a_training_goes_on(name, tmp_path, monkeypatch):
    # version 0.1 averaged the batch statistics, too
    monkeypatch.setattr(GAN, "finish", Model.finish)
    wanted, got = load_file(FOLDER / f"{name}.safetensors"), gone_on(name, tmp_path / "run")
    assert wanted.keys() == got.keys()
    for key, array in wanted.items():
        np.testing.assert_allclose(got[key], array, rtol=1e-4, atol=1e-6)


def test_without_the_state_of_its_optimisers_it_ends_elsewhere(tmp_path, monkeypatch):
    """Negative control: the names of old optimisers matter."""
    monkeypatch.setattr(checkpoint, "OLD_OPTIMIZERS", {})
    with pytest.raises(ValueError, match="a checkpoint of another model"):
        gone_on("gan", tmp_path / "run")


@pytest.mark.parametrize("name", MODELS)
def test_weights_load(name):
    model = MODELS[name][0]().load(FOLDER / f"{name}.safetensors")
    for key, array in load_file(FOLDER / f"{name}.safetensors").items():
        np.testing.assert_array_equal(model.state_dict()[key], array)
