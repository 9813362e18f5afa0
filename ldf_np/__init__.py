"""Locally Disentangled Factors on NumPy and CuPy, from scratch: the public names.

``ldf_np.gaussian`` and ``ldf_np.plots`` load SciPy and Pillow: import them by name where they are needed.
"""

__version__ = "0.1.0"

from . import checkpoint, data, layers, losses, nets, optim, parallel, penalty, random, training
from .ali import ALI
from .backend import asarray, device, get_float32_matmul_precision, set_float32_matmul_precision, to_numpy, use
from .check import check_grads
from .conv import conv2d, conv2d_weight, conv_transpose2d
from .engine import Tensor, enable_grad, grad, no_grad
from .gan import GAN, JointGAN
from .hierarchy import LDF, Frames, Groups, Level, Patches, SharedAndLocal, Whitening
from .ops import (
                  abs,
                  clip,
                  concatenate,
                  exp,
                  leaky_relu,
                  log,
                  matmul,
                  max,
                  maximum,
                  maxout,
                  mean,
                  min,
                  minimum,
                  pad,
                  relu,
                  reshape,
                  sigmoid,
                  softplus,
                  split,
                  sqrt,
                  square,
                  stack,
                  sum,
                  tanh,
                  transpose,
                  where,
)
from .penalty import roth_penalty
from .random import Generator
from .threads import set_num_threads
