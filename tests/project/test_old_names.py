"""Every public name of version 0.1, when all files of the library lay in one folder, is still
found where it was.

tests/tools/old_names.txt lists them: a module, and the names defined in it (for a package, those it
offers). How arguments are checked was never meant for callers, and has changed.
"""

import re
import subprocess
import sys
from importlib import import_module

import pytest
from helpers import CHECKOUT

import ldf_np as ldf

NAMES = {module: names.split() for module, names in re.findall(
    r"^(\S+):((?: .*\n)+)", (CHECKOUT / "tests/tools/old_names.txt").read_text(), re.MULTILINE)}
CHECKS = re.compile(r"ldf_np\.expect\..*|.*\.(check_(?!grads)\w+|real_number|whole_number)")


def missing(module, names):
    """Those of the names that a module lacks, or has from elsewhere than this library."""
    found = import_module(module)
    return [name for name in names if not CHECKS.fullmatch(f"{module}.{name}") and not (
        hasattr(found, name)
        and getattr(getattr(found, name), "__module__", module).startswith("ldf_np"))]


def test_the_table_is_whole():
    assert len(NAMES) == 49 and sum(map(len, NAMES.values())) == 537
    assert NAMES["ldf_np.gan"] == ["GAN", "JointGAN"] and "wishart_logdet" in NAMES[
        "ldf_np.gaussian_theory"]


@pytest.mark.parametrize("module", NAMES)
def test_every_name_is_found(module):
    assert missing(module, NAMES[module]) == []


def test_a_name_that_is_lost_is_noticed():              # negative control
    assert missing("ldf_np.gan", ["GAN", "Gone", "JointGAN"]) == ["Gone"]
    assert missing("ldf_np.files", ["Path"]) == ["Path"]


@pytest.mark.parametrize("line", [
    "from ldf_np.hierarchy import Frames, LDF", "import ldf_np.nets as nets; nets.mlp_gan",
    "from ldf_np import nets, layers as L; L.Linear, nets.mlp_gan",
    "from ldf_np.checkpoint import Checkpoints", "import ldf_np.data.files; "
    "ldf_np.data.files.read_clips", "from ldf_np.data import shapes; shapes.make_shapes",
    "from ldf_np import metrics, plots; metrics.kid, plots.save_clips",
    "import ldf_np as ldf; ldf.checkpoint.Checkpoints, ldf.nets.mlp_gan, ldf.plots, ldf.layers",
    "from ldf_np.gaussian_theory import bbp_threshold", "from ldf_np.gaussian import BlockModel",
])
def test_imports_as_they_were_written(line):
    """In a fresh interpreter: no other import has found the modules before."""
    subprocess.run([sys.executable, "-c", line], check=True, timeout=60)


def test_old_and_new_are_one_object():
    assert ldf.hierarchy.Frames is ldf.Frames is ldf.models.factors.Frames
    assert ldf.checkpoint.Checkpoints is ldf.training.checkpoint.Checkpoints
    assert ldf.nets.joint_gan is ldf.models.baselines.joint_gan
