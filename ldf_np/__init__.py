"""Locally Disentangled Factors on NumPy and CuPy, from scratch: the public names.

The rooms, each of which imports only from those before it:

    runtime      where it runs: device, noise, threads, processes, files, checks of arguments
    data         data sets
    autodiff     the tape: Tensor, grad, and the operations with their rules
    nn           networks: layers, losses, penalties, optimisers
    training     a training: loop, batches, budget, checkpoints
    models       what is trained: ALI, GAN, LDF and what it is compared with
    gaussian     Section 3.2 of the paper
    experiments  claims as numbers: scores, statistics, reports, pictures

``gaussian`` and ``experiments`` load SciPy and Pillow: import them where they are needed.
"""

from importlib import import_module as _import
from importlib.util import find_spec as _find

__version__ = "0.1.0"

if not all(map(_find, ("numpy", "safetensors", "tqdm", "ldf_np.kernels"))):
    raise ImportError(
        "ldf_np is not installed: run `pip install -e .` in the folder that holds setup.py")

from . import autodiff, data, models, nn, runtime, training
from .autodiff.conv import conv2d, conv2d_weight, conv_transpose2d
from .autodiff.drawing import draw
from .autodiff.engine import Tensor, enable_grad, grad, no_grad, operation
from .autodiff.gradcheck import check_grads
from .autodiff.ops import (
    abs,
    avg_pool2d,
    clip,
    concatenate,
    cos,
    einsum,
    exp,
    expm1,
    leaky_relu,
    log,
    log1p,
    log_softmax,
    logsumexp,
    matmul,
    max,
    max_pool2d,
    maximum,
    maxout,
    mean,
    min,
    minimum,
    pad,
    relu,
    reshape,
    sigmoid,
    sin,
    softmax,
    softplus,
    split,
    sqrt,
    square,
    stack,
    std,
    sum,
    tanh,
    transpose,
    var,
    where,
)
from .models.ali import ALI
from .models.factors import Assembled, Frames, Groups, Nested, Patches, Segments, Split
from .models.gan import GAN, JointGAN
from .models.ldf import LDF, Level
from .models.load import load
from .models.pretrained import load_pretrained
from .models.sequence import SequenceGAN, SequenceGenerator
from .models.whitening import ChannelWhitening, SequenceWhitening, Whitening
from .nn import (
    EMA,
    SGD,
    Adam,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    LeakyReLU,
    Linear,
    Maxout,
    MaxPool2d,
    Module,
    Parameter,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)
from .nn.penalty import roth_penalty
from .runtime.device import (
    asarray,
    device,
    get_float32_matmul_precision,
    set_float32_matmul_precision,
    to_numpy,
    use,
)
from .runtime.old_names import MODULES as _OLD
from .runtime.random import Generator
from .runtime.threads import set_num_threads


def __getattr__(name):
    """Rooms that are loaded on first use, and the modules of version 0.1."""
    if name in _OLD or name in ("experiments", "gaussian"):
        return _import(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
