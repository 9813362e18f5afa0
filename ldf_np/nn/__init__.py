"""Networks: modules and layers, their initialisers, losses, penalties and optimisers."""

from . import init, layers, losses, module, optim, penalty
from .embedding import Embedding
from .init import glorot, he, log_odds, normal
from .layers import *
from .module import Buffer, Module, Parameter, evaluation
from .optim import EMA, SGD, Adam
from .pooling import AvgPool2d, MaxPool2d
