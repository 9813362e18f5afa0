"""The losses of a training for TensorBoard, through tensorboardX (the extra "tensorboard")."""

import math
import time
from weakref import WeakKeyDictionary, finalize

from ..runtime.checks import checked, instance
from .loop import History


class TensorBoard:
    """A callback that writes each loss into a folder of TensorBoard's, step by step:

        model.fit(x, minutes=4, callback=ldf.training.TensorBoard("runs/first"))
        # and then, or meanwhile: tensorboard --logdir runs

    Called with a History it writes the steps that it has not written yet, so that
    ``TensorBoard(folder)(history)`` writes a training that is over. The steps of a model's levels
    follow one another. Raises ImportError where tensorboardX is missing.
    """

    def __init__(self, folder):
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ImportError(f"TensorBoard needs tensorboardX ({error}): in the checkout, pip "
                              'install -e ".[tensorboard]"') from error
        self._writer, self._written = SummaryWriter(str(folder), flush_secs=5), WeakKeyDictionary()
        finalize(self, self._writer.close)      # the last of it is written when nobody needs this

    @checked(history=instance(History))
    def __call__(self, history):
        start = time.time() - history.spent
        for step in range(self._written.get(history, 0), history.steps):
            for name, values in history.losses.items():
                if math.isnan(values[step]):        # there was none at this step
                    continue
                self._writer.add_scalar(name, values[step], history.before["steps"] + step + 1,
                                        start + history.seconds[step])
        self._written[history] = history.steps
