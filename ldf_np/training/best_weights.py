"""The weights with the best score of a training, which need not be its last."""

import math

import numpy as np

from ..runtime.checks import checked, function, one_of
from ..runtime.device import to_numpy
from ..runtime.rules import scores, some_numbers


class BestWeights:
    """A callback that scores a model while it trains and keeps its best weights. Its own time does
    not count as training.

    Of trainings in a row (``Phases``) those of the last that it has looked at count: what a later
    one has learned is not given up for an earlier score.

    Where the budget is in steps it should look by steps, too. Then nothing that it picks depends on
    the clock.

    Parameters
    ----------
    model : Module with ``sample``; LDF is passed over until its whitening is there
    score : callable, model -> number, the lower the better
        Or a tuple of it and others, which the curve holds too. For a fair pick it must not look at
        the test set.
    times : sequence of float
        How far the training is when to look, in ``unit``, "seconds" or "steps".
    """

    @checked(score=function, times=some_numbers, unit=one_of("seconds", "steps"))
    def __init__(self, model, score, times, unit="seconds"):
        self.model, self.score, self.times, self.unit = model, score, sorted(times), unit
        self.curve, self.best, self._weights, self._before = [], math.inf, None, -1

    def __call__(self, history):
        elapsed = history.passed(self.unit)
        if self.times and elapsed >= self.times[0] and getattr(self.model, "ready", True):
            self.times = [t for t in self.times if t > elapsed]
            self._look(history, elapsed)

    def _look(self, history, elapsed):
        before = history.before["steps"]        # those of the trainings before this one
        if self._before not in (-1, before):
            self.best, self._weights = math.inf, None
        self._before = before
        value, *others = scores("BestWeights: score", self.score(self.model))
        self.curve.append([elapsed, value, *others])
        if value < self.best:
            state = self.model.state_dict()
            self.best, self._weights = value, {k: np.array(to_numpy(a)) for k, a in state.items()}

    @property
    def state(self):
        """Where it stands, for a checkpoint of the training; assign it to go back to that point."""
        weights = {f"best {name}": array for name, array in (self._weights or {}).items()}
        return {"times": self.times, "curve": self.curve, "least": self.best,
                "before": self._before} | weights

    @state.setter
    def state(self, state):
        self.times, self.curve = list(state["times"]), list(state["curve"])
        self.best, self._before = state["least"], state.get("before", -1)
        self._weights = {name.removeprefix("best "): array for name, array in state.items()
                         if name.startswith("best ")} or None

    def finish(self, history):
        """Look once more, at the end, and give the model the best weights seen. Returns the curve,
        [[time, score], ...]."""
        self._look(history, history.passed(self.unit))
        if self._weights is not None:           # None where every score was NaN
            self.model.load_state_dict(self._weights)
        return self.curve
