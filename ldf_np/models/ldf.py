"""Locally Disentangled Factors: an object split into local factors, a model of each level, no
gradient between them.

    object --split--> factors --level 0--> codes --split--> factors --level 1--> codes ...
    --whitening--> top GAN

All factors of a level share one ALI model. The codes of one level, as arrays without history, are
the data of the next; the top is a GAN over all codes of an object, whitened. Sampling runs the same
chain from right to left.
"""

import time

from ..nn.module import Module
from ..runtime.checks import numbers, one_of_type
from ..runtime.device import to_numpy
from ..runtime.distributed import over_ranks, shard, world
from ..runtime.random import Generator
from ..training.batches import Batches, as_batch
from ..training.loop import train
from .ali import check_code

# what an interrupted run still gives each level
AFTER_INTERRUPT = {"steps": None, "minutes": 2 / 60}


class Level:
    """One level: an ALI ``model`` shared by all factors into which ``split`` cuts the level's data.

    ``code``: "h" (the encoder's last hidden layer, decoded through the shortcut; the default and
    the reading that works) or "z": what is handed to the level above.
    """

    def __init__(self, model, split, code="h"):
        check_code(code)
        one_of_type("model", model, Module)
        if not all(hasattr(split, name) for name in ("split", "merge", "count")):
            raise TypeError(
                f"split: expected Frames, Patches, Groups or their like, got {type(split).__name__}")
        self.model, self.split, self.code = model, split, code

    def factors(self, x):
        """The data of this level as one batch of factors: (n, ...) -> (n * count, ...)."""
        parts = self.split.split(x)
        return parts.reshape(-1, *parts.shape[2:])

    def encode(self, x):
        """(n, ...) -> codes (n, count, ...)."""
        codes = self.model.encode(self.factors(x), self.code)
        return codes.reshape(-1, self.split.count, *codes.shape[1:])

    def decode(self, codes):
        """The inverse of ``encode``, approximately: codes (n, count, ...) -> (n, ...)."""
        if numbers("codes", codes).shape[1:2] != (self.split.count,):
            raise ValueError(
                f"codes: expected (n, {self.split.count}, ...), got shape {codes.shape}")
        factors = self.model.decode(codes.reshape(-1, *codes.shape[2:]), self.code)
        return self.split.merge(factors.reshape(-1, self.split.count, *factors.shape[1:]))


class LDF(Module):
    """A hierarchy of levels and the GAN at its top.

    Parameters
    ----------
    levels : sequence of Level, bottom first
    top : GAN on vectors (n, whitening.components)
    whitening : Whitening or SharedAndLocal
        Between all codes of an object at the last level, (count, ...), and the top's vectors.
    seed : int
        Of the order of the batches.
    """

    def __init__(self, levels, top, whitening, seed=0):
        if not isinstance(levels, (list, tuple)) or not levels:
            raise TypeError(f"levels: expected a list of at least one Level, got {levels!r:.80}")
        self.levels, self.top = [one_of_type("levels", level, Level)
                                 for level in levels], one_of_type("top", top, Module)
        one_of_type("whitening", whitening, Module)
        self.models = [level.model for level in levels]
        self.whitening = whitening
        self.rng = Generator(seed)

    def fit(self, x, *, factors=None, schedule="bottom-first", steps=None, minutes=None,
            bottom_share=0.6, batch_size=64, progress=False, callback=None, checkpoints=None):
        """Train all levels.

        Parameters
        ----------
        x : array (N, ...), float32 or uint8
            Whole objects: samples of the joint distribution.
        factors : array (M, ...), optional
            More local factors for the bottom level, which need not come from whole objects (paper,
            Section 3.2). By default those of ``x``.
        schedule : "bottom-first" trains each level, freezes it, encodes the data once and goes on
            to the next;
            "together" takes one step of every level in turn (Fig. 3, "no pretraining").
        steps, minutes : the budget of all levels together; in "bottom-first" the levels below the
            top get
            ``bottom_share`` of it, equally.
        callback : callable, optional
            ``callback(history)`` after each step.
        checkpoints : checkpoint.Checkpoints, optional
            In a folder for each level, from which a training that was ended goes on: finished
            levels are not trained again. Codes are computed again, the whitening is kept.

        Returns
        -------
        {name of the level: History}. Ctrl-C ends the level being trained; those above it still get
        two seconds each, so that the model can be sampled (of which no checkpoint is kept).
        """
        if schedule not in ("bottom-first", "together"):
            raise ValueError(f'schedule: expected "bottom-first" or "together", got {schedule!r}')
        if not 0 < bottom_share < 1:
            raise ValueError(f"bottom_share: expected a number in (0, 1), got {bottom_share}")
        self._check_shapes(x)
        if schedule == "together":
            return self._fit_together(x, factors, steps, minutes, batch_size, progress, callback,
                                      checkpoints)
        return self._fit_bottom_first(x, factors, steps, minutes, bottom_share, batch_size,
                                      progress, callback, checkpoints)

    def _fit_bottom_first(self, x, factors, steps, minutes, bottom_share, batch_size, progress,
                          callback, checkpoints):
        # seconds, without those of the callback
        used, histories, interrupted = 0.0, {}, False
        part = bottom_share / len(self.levels)

        def placed(history):
            history.before = {"seconds": used, "steps": sum(h.steps for h in histories.values())}
            return history

        def kept(name, below):
            return {"checkpoints": checkpoints.inside(name,
                                                      self.models[
                                                          :below])} if checkpoints and not interrupted else {}

        watch = callback and (lambda history: callback(placed(history)))
        for k, level in enumerate(self.levels):
            data = level.factors(x) if factors is None or k > 0 else factors
            history = placed(level.model.fit(data, batch_size=batch_size, progress=progress,
                                             callback=watch, **kept(f"level {k}", k),
                                             **(AFTER_INTERRUPT if interrupted
                                                else _budget(steps, minutes, part))))
            histories[f"level {k}"] = history
            interrupted |= history.interrupted
            start = time.perf_counter()
            few = x[:max(batch_size, 4 * self.whitening.components)]
            try:
                # once: this level is frozen now
                x = over_ranks(level.encode, few if interrupted else x)
            except KeyboardInterrupt:
                if world().size > 1:
                    world().abort("interrupted while it encoded")
                interrupted, x = True, over_ranks(level.encode, few)
            used += history.spent + time.perf_counter() - start
        start = time.perf_counter()
        top = kept("top", len(self.levels))
        if top:
            checkpoints.inside(
                "whitening", self.models).once(lambda: self.whiten(x), whitening=self.whitening)
        else:
            self.whiten(x)
        white = self.whitening.apply(x)
        used += time.perf_counter() - start
        budget = _budget(steps, minutes, 1 - bottom_share)
        if minutes is not None:         # encoding and whitening are part of the budget
            budget["minutes"] = max(0.01, minutes - world().first(used) / 60)
        histories["top"] = placed(self.top.fit(white, batch_size=min(batch_size, len(white)),
                                               progress=progress, callback=watch, **top,
                                               **(AFTER_INTERRUPT if interrupted else budget)))
        return histories

    def _fit_together(self, x, factors, steps, minutes, batch_size, progress, callback,
                      checkpoints):
        objects = Batches(x, batch_size, self.rng)
        local = None if factors is None else Batches(factors, batch_size, self.rng)
        steps_of = [level.model.compiled_step() for level in self.levels]
        top_step = self.top.compiled_step()

        own = shard(batch_size)

        def step(done):
            losses = {}
            data = to_numpy(objects.take(objects.all_indices()))
            for k, level in enumerate(self.levels):
                batch = next(local) if k == 0 and local else as_batch(
                    _some(level.factors(data), batch_size, self.rng))
                losses |= _named(f"level {k}", steps_of[k], batch, done)
                data = over_ranks(level.encode, data)
            # The basis follows the codes while they move: refitted at steps 0, 1, 3, 7, 15, ...
            # ever more rarely.
            if objects.taken & (objects.taken - 1) == 0:
                self.whiten(over_ranks(self.codes,
                                       x[self.rng.permutation(
                                           len(x))[:4 * self.whitening.components]]))
            white = self.whitening.apply(data)
            return losses | _named("top", top_step, as_batch(white[own]), done)

        history = train(step, steps=steps, minutes=minutes, progress=progress, label="LDF",
                        callback=callback, checkpoints=checkpoints
                        and checkpoints.inside("together"),
                        state={"model": self, "objects": objects, "factors": local})
        return {"together": history}

    def whiten(self, codes):
        """Fit the whitening, on rank 0: an eigenvector's last bits depend on the machine, and all
        must have the same."""
        def fitted():
            self.whitening.fit(codes)
            return self.whitening.state_dict()

        self.whitening.load_state_dict(world().from_first(fitted))

    def _check_shapes(self, x):
        """Whether the levels fit the data and the top fits the codes, before any time is spent on
        training."""
        codes = x[:2]
        for level in self.levels:
            codes = level.encode(codes)
        if codes.shape[1:] != self.whitening.code_shape:
            raise ValueError(
                f"whitening: expected a code_shape of {codes.shape[1:]}, the codes of these "
                "levels, "
                             f"got {self.whitening.code_shape}")
        made, components = self.top.sample(2, Generator(0)).shape[1:], self.whitening.components
        if made != (components,):
            raise ValueError(
                f"top: expected a GAN on vectors of {components} components, but it makes {made}")

    @property
    def ready(self):
        """Whether the whitening has been learned: before that, samples are nothing."""
        return self.whitening.fitted

    def codes(self, x):
        """All codes of each object, bottom-up and not whitened: (n, ...) -> (n, count, ...)."""
        for level in self.levels:
            x = level.encode(x)
        return x

    def encode(self, x):
        """The whitened codes of whole objects, bottom-up: (n, ...) -> (n, components)."""
        return self.whitening.apply(self.codes(x))

    def decode(self, white):
        """Objects from whitened codes, top-down: (n, components) -> (n, ...)."""
        return self._expand(self.whitening.invert(white))

    def sample(self, n, rng=None):
        """n objects, top-down: a NumPy array (n, ...)."""
        return self.decode(self.top.sample(n, rng))

    def reconstruct(self, x):
        """Objects encoded to the codes of the last level and decoded again (the whitening left
        out)."""
        return self._expand(self.codes(x))

    def _expand(self, x):
        """The codes of the last level, decoded level by level."""
        for level in reversed(self.levels):
            x = level.decode(x)
        return x


def _budget(steps, minutes, share):
    return {"steps": None if steps is None else max(1, round(steps * share)),
            "minutes": None if minutes is None else minutes * share}


def _named(name, step, batch, share):
    """The losses of a level's step under its name."""
    try:
        return {f"{name} {loss}": value for loss, value in step(batch, share).items()}
    except FloatingPointError as error:
        raise FloatingPointError(f"{name}: {error}") from error


def _some(rows, count, rng):
    """This rank's share of ``count`` rows."""
    return rows[rng.permutation(len(rows))[:count][shard(count)]]
