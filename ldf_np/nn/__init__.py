"""Networks: modules and layers, their initialisers, losses, penalties and optimisers."""

from . import init, layers, losses, module, optim, penalty
from .init import glorot, he, log_odds, normal
from .layers import (
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    LayerNorm,
    LeakyReLU,
    Linear,
    Maxout,
    Reshape,
    Sequential,
    Sigmoid,
    Tanh,
    generators,
)
from .module import Buffer, Module, Parameter, evaluation
