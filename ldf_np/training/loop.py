"""The training loop: steps until a budget is spent, a progress bar, and a calm stop on Ctrl-C."""

import math
import signal
import threading
import time
from contextlib import contextmanager

import numpy as np

from ..runtime.checks import function
from ..runtime.distributed import world
from ..runtime.progress import note, progress_bar
from ..runtime.relations import budget
from ..runtime.rules import checked, numbers
from ..runtime.threads import one_blas_thread
from .log import say_once
from .step import not_finite


class History:
    """What a training did.

    ``losses`` {name: one number a step, NaN where a step had none}; ``seconds`` since its start, at
    each step; whether it, or what comes before it in one budget, was ``interrupted``; and
    {"seconds", "steps"} of the same model's training ``before`` it (that of the levels below, say).
    """

    def __init__(self):
        self.losses, self.seconds, self.interrupted = {}, [], False
        self.before = {"seconds": 0.0, "steps": 0}

    def __repr__(self):
        ended = ", interrupted" * self.interrupted
        return f"History({self.steps} steps in {self.spent:.1f} s{ended}; {', '.join(self.losses)})"

    @property
    def steps(self):
        return len(self.seconds)

    @property
    def spent(self):
        """Seconds so far."""
        return self.seconds[-1] if self.seconds else 0.0

    def passed(self, unit):
        """"seconds" or "steps" of the model's training so far, with those ``before`` this one."""
        return self.before[unit] + {"seconds": self.spent, "steps": self.steps}[unit]

    @property
    def state(self):
        """The losses and seconds as arrays; assign it to go back to that point."""
        losses = {f"loss {name}": np.array(values) for name, values in self.losses.items()}
        return {"seconds": np.array(self.seconds)} | losses

    @state.setter
    def state(self, state):
        self.seconds = state["seconds"].tolist()
        self.losses = {name.removeprefix("loss "): values.tolist()
                       for name, values in state.items() if name != "seconds"}

    def append(self, losses, seconds):
        for name in dict.fromkeys([*self.losses, *losses]):
            self.losses.setdefault(name, [math.nan] * self.steps).append(losses.get(name, math.nan))
        self.seconds.append(seconds)


@checked(budget, step=function)
@one_blas_thread()
def train(step, *, steps=None, minutes=None, progress=False, label="training", callback=None,
          checkpoints=None, state=None):
    """Call ``step(t)`` until the budget is spent; t in [0, 1] is the progress, for annealing.

    Parameters
    ----------
    step : callable
        Takes one training step and returns {name: loss}. It returns None where it took none,
        because the training is to end as by Ctrl-C.
    steps, minutes : the budget; at least one, and the first to run out ends the training.
    progress : bool
        Show a bar with the losses and the time left.
    callback : callable, optional
        ``callback(history)`` after every step; its own time is not counted.
    checkpoints : checkpoint.Checkpoints, optional
        Where to keep the training's state, and from where to go on; the time that takes is not
        counted either. With a budget in steps, a training that goes on gives the same bits as one
        that was never ended. With one in minutes the time spent counts, but the annealing follows
        the clock, which is never the same twice.
    state : dict, for ``checkpoints``: {name: model, batches or whatever else has a ``state``}

    Returns
    -------
    History
        Ctrl-C ends the training after its step, and everything that was learned is still there. A
        second one ends it at once, within the step; then the last checkpoint stays as it was.
        SIGTERM is the same where a program takes it as Ctrl-C.

    Raises
    ------
    ValueError
        For a missing budget, or one that is not positive.
    FloatingPointError
        Naming the step and the loss that is not finite.
    """
    limit = math.inf if minutes is None else minutes * 60
    history, ranks = History(), world()
    writer = None if checkpoints is None else checkpoints.begin(history, **(state or {}))
    clock = Clock(history.spent)

    def done():
        return max(history.steps / steps if steps else 0.0, history.spent / limit)

    if writer is not None and done() < 1:
        writer.may_go_on()
    bar = progress_bar(1.0, label, initial=min(1.0, done()), show=progress and ranks.rank == 0)
    try:
        with _whole_steps() as stop:
            while done() < 1 and not ranks.any(stop):
                try:
                    losses = step(done())
                    if losses is None:
                        history.interrupted = True
                        break
                    numbers("step", losses)
                    if wrong := not_finite(losses):
                        raise FloatingPointError(wrong)
                except FloatingPointError as error:
                    said = (f"{label}: step {history.steps + 1}: {error}; a lower learning rate or "
                            "a stronger penalty may help")
                    if writer is None or not writer.back_off(said):
                        raise FloatingPointError(said) from error
                    clock = Clock(history.spent)
                    continue
                history.append(losses, ranks.first(clock.seconds()))
                if progress and ranks.rank == 0:
                    say_once(losses, note)
                bar.set_postfix({"step": history.steps}
                                | {k: f"{v:.3g}" for k, v in losses.items()}, refresh=False)
                bar.update(min(1.0, done()) - bar.n)
                with clock.stopped():
                    if callback is not None:
                        callback(history)
                    if writer is not None:
                        writer.after_step()
            if writer is not None:
                writer.write()
            history.interrupted |= ranks.any(stop)
    except KeyboardInterrupt:
        history.interrupted = True
        if ranks.size > 1:
            ranks.abort("interrupted within a step")
    finally:
        bar.close()
    return history


class Clock:
    """Seconds of training: those ``spent`` before it was made, and those since then in which it was
    not stopped."""

    def __init__(self, spent):
        self._start = time.perf_counter() - spent

    def seconds(self):
        return time.perf_counter() - self._start

    @contextmanager
    def stopped(self):
        before = time.perf_counter()
        yield
        self._start += time.perf_counter() - before


@contextmanager
def _whole_steps():
    """A context in which a signal that would raise KeyboardInterrupt goes into a list instead, the
    first time."""
    asked, handlers = [], {}

    def ask(number, frame):
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    if threading.current_thread() is threading.main_thread():       # no other may set handlers
        handlers = {s: h for s in (signal.SIGINT, signal.SIGTERM)
                    if (h := signal.getsignal(s)) is signal.default_int_handler}
    for number in handlers:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
