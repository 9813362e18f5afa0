"""Locally Disentangled Factors: an object split into local factors, a model of each level, no
gradient between them.

    object --split--> factors --level 0--> codes --split--> factors --level 1--> codes ...
                                                             ... codes --whitening--> top GAN

All factors of a level share one ALI model. The codes of one level, as arrays without history, are
the data of the next; the top is a GAN over all codes of an object, whitened. Sampling runs the same
chain from right to left.
"""

from ..nn.module import Module
from ..runtime.architecture import Described
from ..runtime.checks import shaped
from ..runtime.device import to_numpy
from ..runtime.distributed import over_ranks, shard
from ..runtime.random import Generator
from ..runtime.rules import checked, is_ready, parts_fit
from ..training.batches import Batches, as_batch
from ..training.budget import Phases
from ..training.loop import train


@checked(shaped("codes", "n", "split.count", "..."))
class Level(Described):
    """One level: a ``model`` shared by all factors into which ``split`` cuts the level's data.

    ``code`` is what is handed to the level above: "h" (the encoder's last hidden layer, decoded
    through the shortcut; the default and the reading that works) or "z".
    """

    def __init__(self, model, split, code="h"):
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
        factors = self.model.decode(codes.reshape(-1, *codes.shape[2:]), self.code)
        return self.split.merge(factors.reshape(-1, self.split.count, *factors.shape[1:]))


@checked(parts_fit)
class LDF(Module):
    """A hierarchy of levels and the GAN at its top.

    Parameters
    ----------
    levels : sequence of Level, bottom first
    top : GAN on arrays (n, *whitening.shape)
    whitening : ChannelWhitening or Whitening
        Between all codes of an object at the last level, (count, ...), and the top's data.
    seed : int
        Of the order of the batches.
    """

    def __init__(self, levels, top, whitening, seed=0):
        self.levels, self.top = list(levels), top
        self.models = [level.model for level in levels]
        self.whitening = whitening
        self.rng = Generator(seed)

    def fit(self, x, *, factors=None, schedule="bottom-first", steps=None, minutes=None,
            bottom_share=0.3, batch_size=64, progress=False, callback=None, checkpoints=None):
        """Train all levels.

        Parameters
        ----------
        x : array (N, ...), float32 or uint8
            Whole objects: samples of the joint distribution.
        factors : array (M, ...), optional
            More local factors for the bottom level, which need not come from whole objects (paper,
            Section 3.2). By default those of ``x``.
        schedule : "bottom-first" or "together"
            "bottom-first" trains each level, freezes it, encodes the data once and goes on to the
            next. "together" takes one step of every level in turn (Fig. 3, "no pretraining").
        steps, minutes : the budget of all levels together
            In "bottom-first" the levels below the top have ``bottom_share`` of it, in equal parts.
        callback : callable, optional
            ``callback(history)`` after each step.
        checkpoints : checkpoint.Checkpoints, optional
            In a folder for each level, from which a training that was ended goes on: finished
            levels are not trained again. Codes are computed again, the whitening is kept.

        Returns
        -------
        dict
            {name of the level: History}. Ctrl-C ends the level being trained; those above it still
            get two seconds each, so that the model can be sampled (of which no checkpoint is kept).
        """
        if schedule == "together":
            return self._fit_together(x, factors, batch_size, checkpoints, steps=steps,
                                      minutes=minutes, progress=progress, callback=callback)
        run = Phases(steps, minutes, checkpoints, callback, progress=progress)
        for k, level in enumerate(self.levels):
            own = level.factors(x) if factors is None or k > 0 else factors
            run.fit(f"level {k}", level.model, own, bottom_share / len(self.levels),
                    batch_size=batch_size)
            x = run.encode(level.encode, x, few=max(batch_size, self.whitening.few))
        run.once("whitening", lambda: self.whitening.fit_once_for_all(x),
                 whitening=self.whitening)
        white = run.timed(self.whitening.apply, x)
        run.fit("top", self.top, white, 1 - bottom_share, last=True,
                batch_size=min(batch_size, len(white)))
        return run.histories

    def _fit_together(self, x, factors, batch_size, checkpoints, **training):
        objects = Batches(x, batch_size, self.rng)
        self.levels[0].model.expect_range(x)
        local = None if factors is None else Batches(factors, batch_size, self.rng)
        level_steps = [level.model.compiled_step() for level in self.levels]
        top_step, own = self.top.compiled_step(), shard(batch_size)

        def step(done):
            losses = {}
            data = to_numpy(objects.take(objects.all_indices()))
            for k, level in enumerate(self.levels):
                batch = next(local) if k == 0 and local else as_batch(
                    _some(level.factors(data), batch_size, self.rng))
                losses |= _named(f"level {k}", level_steps[k], batch, done)
                data = over_ranks(level.encode, data)
            # The whitening follows the codes while they move, ever more rarely: 0, 1, 3, 7 ...
            if objects.taken & (objects.taken - 1) == 0:
                few = self.rng.permutation(len(x))[:self.whitening.few]
                self.whitening.fit_once_for_all(over_ranks(self.codes, x[few]))
            white = self.whitening.apply(data)
            return losses | _named("top", top_step, as_batch(white[own]), done)

        inside = checkpoints and checkpoints.inside("together")
        state = {"model": self, "objects": objects, "factors": local}
        return {"together": train(step, label="LDF", checkpoints=inside, state=state, **training)}

    @property
    def ready(self):
        """Whether the whitening has been learned: before that, samples are nothing."""
        return self.whitening.fitted

    def codes(self, x):
        """All codes of each object, bottom-up and not whitened: (n, ...) -> (n, count, ...)."""
        for level in self.levels:
            x = level.encode(x)
        return x

    @checked(is_ready)
    def encode(self, x):
        """The whitened codes of whole objects, bottom-up: (n, ...) -> (n, *whitening.shape)."""
        return self.whitening.apply(self.codes(x))

    @checked(is_ready)
    def decode(self, white):
        """Objects from whitened codes, top-down: (n, *whitening.shape) -> (n, ...)."""
        return self._expand(self.whitening.invert(white))

    @checked(is_ready)
    def sample(self, n, rng=None):
        """n objects, top-down: a NumPy array (n, ...). Raises ValueError before ``fit``."""
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


def _named(name, step, batch, progress):
    """The losses of a level's step under its name."""
    try:
        return {f"{name} {loss}": value for loss, value in step(batch, progress).items()}
    except FloatingPointError as error:
        raise FloatingPointError(f"{name}: {error}") from error


def _some(rows, count, rng):
    """This rank's shard of ``count`` rows."""
    return rows[rng.permutation(len(rows))[:count][shard(count)]]
