"""One budget for several trainings in a row, such as the levels of a hierarchy: each has its part
of it and checkpoints of its own, and an interruption is carried on to the end."""

import time

from ..runtime.distributed import over_ranks, world

AFTER_INTERRUPT = {"steps": None, "minutes": 2 / 60}    # what each training after Ctrl-C still has


class Phases:
    """Trainings in a row under one budget of ``steps`` or ``minutes``.

    ``histories`` {name: History} has what was trained so far. Ctrl-C ends the training that gets
    it, or the encoding after it; those that come then still get two seconds each, without
    checkpoints, so that the whole model can be used, and are ``interrupted``, too.

    Parameters
    ----------
    steps, minutes : the budget of all of them
    checkpoints : checkpoint.Checkpoints or None
        Each training has a folder in it. It holds only on top of the models trained before.
    callback : callable or None
        ``callback(history)`` after each step; ``history.before`` says what came before.
    settings : what every ``fit`` is given besides
    """

    def __init__(self, steps, minutes, checkpoints, callback, **settings):
        self._budget = steps, minutes
        self._checkpoints, self._callback, self._settings = checkpoints, callback, settings
        self._models, self.histories, self.interrupted = [], {}, False
        self._seconds = 0.0             # of trainings and of ``timed``, without those of callbacks

    def fit(self, name, model, data, part, last=False, **settings):
        """Train ``model`` on ``data`` with this ``part`` of the budget, a step at least; the
        ``last`` one has what is left."""
        before = {"seconds": self._seconds, "steps": sum(h.steps for h in self.histories.values())}

        def placed(history):
            history.before = before
            return history

        watch = self._callback and (lambda history: self._callback(placed(history)))
        budget = AFTER_INTERRUPT if self.interrupted else self._part(part, last)
        history = placed(model.fit(data, callback=watch, checkpoints=self._inside(name),
                                   **self._settings | settings | budget))
        self._seconds += history.spent
        self._models.append(model)
        self.histories[name] = history
        self.interrupted = history.interrupted = self.interrupted or history.interrupted

    def _part(self, part, last):
        steps, minutes = self._budget
        if steps is not None:
            left = steps - sum(h.steps for h in self.histories.values())
            steps = max(1, left if last else round(steps * part))
        if minutes is not None:
            left = minutes - world().first(self._seconds) / 60
            minutes = max(0.01, left) if last else minutes * part
        return {"steps": steps, "minutes": minutes}

    def timed(self, function, *arguments, **named):
        """``function(*arguments, **named)``, whose time counts."""
        start = time.perf_counter()
        result = function(*arguments, **named)
        self._seconds += time.perf_counter() - start
        return result

    def encode(self, encode, x, few):
        """``encode(x)``, shared among the ranks; after Ctrl-C, then or before, of ``few`` rows."""
        try:
            return self.timed(over_ranks, encode, x[:few] if self.interrupted else x)
        except KeyboardInterrupt:
            if world().size > 1:
                world().abort("interrupted while it encoded")
            self.interrupted = True
            return self.timed(over_ranks, encode, x[:few])

    def once(self, name, make, **state):
        """``make()``, which changes the things in ``state``; or those as a checkpoint has them."""
        inside = self._inside(name)
        if inside is None:
            self.timed(make)
        else:
            self.timed(inside.once, make, **state)

    def _inside(self, name):
        if self._checkpoints is None or self.interrupted:
            return None
        inside = self._checkpoints.inside(name, self._models)
        inside.under = self._checkpoints.standing_on(len(self._models))
        return inside
