"""A training: the loop, its batches and budget, the compiled step, checkpoints and the log of the
losses."""

from .batches import Batches, apply_batched, as_batch
from .loop import Clock, History, train
from .tensorboard import TensorBoard
