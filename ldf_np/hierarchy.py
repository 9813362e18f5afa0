"""Locally Disentangled Factors: an object split into local factors, a model of each level, no gradient between them.

    object --split--> factors --level 0--> codes --split--> factors --level 1--> codes ... --whitening--> top GAN

All factors of a level share one ALI model. The codes of one level, as arrays without history, are the data of the
next; the top is a GAN over all codes of an object, whitened. Sampling runs the same chain from right to left.
"""

import math
import time

import numpy as np

from .ali import check_code
from .backend import to_numpy
from .expect import channels_last, check_size, finite, number, numbers, one_of_type, whole
from .layers import Buffer, Module
from .parallel import over_ranks, share, world
from .random import Generator
from .training import Batches, as_batch, train

LAST_MOMENT = {"steps": None, "minutes": 2 / 60}      # what an interrupted run still gives each level


class Frames:
    """A video as its frames: (n, t, ...) <-> (n, t, ...). The factors of a clip are its ``t`` frames."""

    def __init__(self, count):
        self.count = whole("count", count)

    def split(self, x):
        """(n, t, ...) -> (n, t, ...), checked."""
        if numbers("x", x).ndim < 3 or x.shape[1] != self.count:
            raise ValueError(f"x: expected clips (n, {self.count}, ...), got shape {x.shape}")
        return x

    def merge(self, factors):
        """The inverse of ``split``."""
        return factors


class Patches:
    """An image as a grid of patches: (n, h, w, c) <-> (n, rows * columns, h / rows, w / columns, c), row by row."""

    def __init__(self, rows, columns):
        self.rows, self.columns, self.count = whole("rows", rows), whole("columns", columns), rows * columns

    def split(self, x):
        """(n, h, w, c) -> (n, rows * columns, h / rows, w / columns, c)."""
        if numbers("x", x).ndim != 4 or x.shape[1] % self.rows or x.shape[2] % self.columns:
            raise ValueError(f"x: expected images (n, h, w, c) that divide into {self.rows} x {self.columns} patches, "
                             f"got shape {x.shape}")
        n, h, w, c = channels_last("x", x, "n, h, w, c").shape
        grid = x.reshape(n, self.rows, h // self.rows, self.columns, w // self.columns, c)
        return grid.transpose(0, 1, 3, 2, 4, 5).reshape(n, self.count, h // self.rows, w // self.columns, c)

    def merge(self, factors):
        """The inverse of ``split``."""
        if numbers("factors", factors, "n, k, h, w, c").shape[1] != self.count:
            raise ValueError(f"factors: expected {self.count} patches (n, {self.count}, h, w, c), got shape {factors.shape}")
        n, _, h, w, c = factors.shape
        grid = factors.reshape(n, self.rows, self.columns, h, w, c).transpose(0, 1, 3, 2, 4, 5)
        return grid.reshape(n, self.rows * h, self.columns * w, c)


class Groups:
    """Codes of the level below in groups of ``size`` neighbours: (n, k, ...) <-> (n, k / size, size * code)."""

    def __init__(self, size, below, code_shape):
        if whole("below", below) % whole("size", size):
            raise ValueError(f"size: {below} factors do not divide into groups of {size}")
        self.size, self.count, self.code_shape = size, below // size, tuple(code_shape)

    def split(self, x):
        """(n, k, ...) -> (n, k / size, size * code)."""
        if numbers("x", x).shape[1:2] != (self.count * self.size,) or x.shape[2:] != self.code_shape:
            raise ValueError(f"x: expected codes (n, {self.count * self.size}, {self.code_shape}), got shape {x.shape}")
        return x.reshape(len(x), self.count, -1)

    def merge(self, factors):
        """The inverse of ``split``."""
        return factors.reshape(len(factors), self.count * self.size, *self.code_shape)


class Level:
    """One level: an ALI ``model`` shared by all factors into which ``split`` cuts the level's data.

    ``code``: "h" (the encoder's last hidden layer, decoded through the shortcut; the default and the reading that
    works) or "z": what is handed to the level above.
    """

    def __init__(self, model, split, code="h"):
        check_code(code)
        one_of_type("model", model, Module)
        if not all(hasattr(split, name) for name in ("split", "merge", "count")):
            raise TypeError(f"split: expected Frames, Patches, Groups or their like, got {type(split).__name__}")
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
            raise ValueError(f"codes: expected (n, {self.split.count}, ...), got shape {codes.shape}")
        factors = self.model.decode(codes.reshape(-1, *codes.shape[2:]), self.code)
        return self.split.merge(factors.reshape(-1, self.split.count, *factors.shape[1:]))


def _checked_shape(code_shape):
    if not isinstance(code_shape, (list, tuple)):
        raise TypeError(f"code_shape: expected a tuple of whole numbers, got {code_shape!r:.80}")
    return tuple(whole("code_shape", n) for n in code_shape)


def _codes(codes, shape, least=1):
    """Codes (n, *shape), at least ``least``, checked."""
    if numbers("codes", codes, least=least).shape[1:] != shape:
        raise ValueError(f"codes: expected (n, {', '.join(map(str, shape))}), got shape {codes.shape}")
    return codes


class Whitening(Module):
    """Principal components of the codes, brought closer to one scale: codes (n, *code_shape) <-> (n, components).

    A GAN over raw codes loses to its discriminator, for most of their directions hold almost nothing. A component of
    standard deviation s is divided by s^strength: 1 whitens fully, so that the last component counts as much as the
    first; at 1/2 (the default) its share falls with the root of s, and mazes come out sharper. The result has a mean
    square of one.
    """

    def __init__(self, code_shape, components, strength=0.5):
        self.code_shape = _checked_shape(code_shape)
        size = math.prod(self.code_shape)
        whole("components", components, 1, size)
        number("strength", strength, 0, 1)
        check_size("code_shape, components", (size, components))
        self.components, self.strength = components, strength
        self.mean = Buffer(np.zeros(size, np.float32))
        self.basis = Buffer(np.zeros((size, components), np.float32))
        self.scale = Buffer(np.ones(components, np.float32))
        self.explained = Buffer(np.zeros(1, np.float32))        # the share of the variance that is kept

    def fit(self, codes):
        """Learn from codes (n, *code_shape)."""
        from scipy.linalg import eigh  # here, for SciPy takes longer to load than all of this library

        codes = finite("codes", _codes(codes, self.code_shape, 2)).reshape(len(codes), -1)
        mean = codes.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = codes - mean
        covariance = (centred.T @ centred) / len(codes)
        size = len(mean)
        if not np.trace(covariance) > 0:
            raise ValueError(f"codes: expected to vary, but all {len(codes)} are the same")
        values, vectors = eigh(covariance, subset_by_index=[size - self.components, size - 1])
        values, vectors = np.maximum(values[::-1], 1e-8), vectors[:, ::-1]
        flipped = (vectors * self.basis.data).sum(axis=0) < 0       # an eigenvector's sign is free: keep the old one
        scale = values ** (self.strength / 2)
        self.mean.data[...] = mean
        self.basis.data[...] = np.where(flipped, -vectors, vectors)
        self.scale.data[...] = scale * np.sqrt(np.mean(values / scale ** 2))
        self.explained.data[...] = values.sum() / np.trace(covariance)
        return self

    @property
    def fitted(self):
        """Whether ``fit`` has been called."""
        return bool(self.explained.data[0] > 0)

    def apply(self, codes):
        """(n, *code_shape) -> (n, components)."""
        codes = _codes(codes, self.code_shape)
        return (codes.reshape(len(codes), -1) - self.mean.data) @ self.basis.data / self.scale.data

    def invert(self, white):
        """(n, components) -> (n, *code_shape)."""
        if numbers("white", white, "n, components").shape[1] != self.components:
            raise ValueError(f"white: expected (n, {self.components}), got shape {white.shape}")
        codes = (white * self.scale.data) @ self.basis.data.T + self.mean.data
        return codes.reshape(-1, *self.code_shape)


class SharedAndLocal(Module):
    """Whitens the codes of an object in two parts: what its factors share, and how each departs from that.

        mean_t h_t  ->  ``shared`` components        h_t - mean_t h_t, all t together  ->  ``local`` components

    What moves in a clip is a small part of its codes' variance, so the leading components of the plain codes hold the
    maze and little else; with a part of its own it is kept. Codes (n, count, ...) <-> (n, shared + local).
    """

    def __init__(self, code_shape, shared, local, strength=0.5):
        self.code_shape = _checked_shape(code_shape)
        if len(self.code_shape) < 2:
            raise ValueError(f"code_shape: expected (count, ...), got {self.code_shape}")
        self.shared = Whitening(self.code_shape[1:], shared, strength)
        self.local = Whitening(self.code_shape, local, strength)
        self.components = shared + local

    def fit(self, codes):
        """Learn from codes (n, count, ...)."""
        mean = _codes(codes, self.code_shape, 2).mean(axis=1, keepdims=True)
        self.shared.fit(mean[:, 0])
        self.local.fit(codes - mean)
        return self

    @property
    def fitted(self):
        """Whether ``fit`` has been called."""
        return self.shared.fitted and self.local.fitted

    def apply(self, codes):
        """(n, count, ...) -> (n, components)."""
        mean = _codes(codes, self.code_shape).mean(axis=1, keepdims=True)
        return np.concatenate([self.shared.apply(mean[:, 0]), self.local.apply(codes - mean)], axis=1)

    def invert(self, white):
        """(n, components) -> (n, count, ...)."""
        if numbers("white", white, "n, components").shape[1] != self.components:
            raise ValueError(f"white: expected (n, {self.components}), got shape {white.shape}")
        shared, local = np.split(white, [self.shared.components], axis=1)
        return self.shared.invert(shared)[:, None] + self.local.invert(local)


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
        self.levels, self.top = [one_of_type("levels", level, Level) for level in levels], one_of_type("top", top, Module)
        one_of_type("whitening", whitening, Module)
        self.models = [level.model for level in levels]
        self.whitening = whitening
        self.rng = Generator(seed)

    def fit(self, x, *, factors=None, schedule="bottom-first", steps=None, minutes=None, bottom_share=0.6,
            batch_size=64, progress=False, callback=None, checkpoints=None):
        """Train all levels.

        Parameters
        ----------
        x : array (N, ...), float32 or uint8
            Whole objects: samples of the joint distribution.
        factors : array (M, ...), optional
            More local factors for the bottom level, which need not come from whole objects (paper, Section 3.2).
            By default those of ``x``.
        schedule : "bottom-first" trains each level, freezes it, encodes the data once and goes on to the next;
            "together" takes one step of every level in turn (Fig. 3, "no pretraining").
        steps, minutes : the budget of all levels together; in "bottom-first" the levels below the top get
            ``bottom_share`` of it, equally.
        callback : callable, optional
            ``callback(history)`` after each step.
        checkpoints : checkpoint.Checkpoints, optional
            In a folder for each level, from which a training that was ended goes on: finished levels are not trained
            again. Codes are computed again, the whitening is kept.

        Returns
        -------
        {name of the level: History}. Ctrl-C ends the level being trained; those above it still get two seconds
        each, so that the model can be sampled (of which no checkpoint is kept).
        """
        if schedule not in ("bottom-first", "together"):
            raise ValueError(f'schedule: expected "bottom-first" or "together", got {schedule!r}')
        if not 0 < bottom_share < 1:
            raise ValueError(f"bottom_share: expected a number in (0, 1), got {bottom_share}")
        self._check_shapes(x)
        if schedule == "together":
            return self._fit_together(x, factors, steps, minutes, batch_size, progress, callback, checkpoints)
        return self._fit_bottom_first(x, factors, steps, minutes, bottom_share, batch_size,
                                      progress, callback, checkpoints)

    def _fit_bottom_first(self, x, factors, steps, minutes, bottom_share, batch_size, progress, callback, checkpoints):
        used, histories, interrupted = 0.0, {}, False         # seconds, without those of the callback
        part = bottom_share / len(self.levels)

        def placed(history):
            history.before = {"seconds": used, "steps": sum(h.steps for h in histories.values())}
            return history

        def kept(name, below):
            return {"checkpoints": checkpoints.inside(name, self.models[:below])} if checkpoints and not interrupted else {}

        watch = callback and (lambda history: callback(placed(history)))
        for k, level in enumerate(self.levels):
            data = level.factors(x) if factors is None or k > 0 else factors
            history = placed(level.model.fit(data, batch_size=batch_size, progress=progress, callback=watch,
                                             **kept(f"level {k}", k),
                                             **(LAST_MOMENT if interrupted else _budget(steps, minutes, part))))
            histories[f"level {k}"] = history
            interrupted |= history.interrupted
            start = time.perf_counter()
            few = x[:max(batch_size, 4 * self.whitening.components)]
            try:
                x = over_ranks(level.encode, few if interrupted else x)         # once: this level is frozen now
            except KeyboardInterrupt:
                if world().size > 1:
                    world().abort("interrupted while it encoded")
                interrupted, x = True, over_ranks(level.encode, few)
            used += history.spent + time.perf_counter() - start
        start = time.perf_counter()
        top = kept("top", len(self.levels))
        if top:
            checkpoints.inside("whitening", self.models).once(lambda: self.whiten(x), whitening=self.whitening)
        else:
            self.whiten(x)
        white = self.whitening.apply(x)
        used += time.perf_counter() - start
        budget = _budget(steps, minutes, 1 - bottom_share)
        if minutes is not None:         # encoding and whitening are part of the budget
            budget["minutes"] = max(0.01, minutes - world().first(used) / 60)
        histories["top"] = placed(self.top.fit(white, batch_size=min(batch_size, len(white)), progress=progress,
                                               callback=watch, **top, **(LAST_MOMENT if interrupted else budget)))
        return histories

    def _fit_together(self, x, factors, steps, minutes, batch_size, progress, callback, checkpoints):
        objects = Batches(x, batch_size, self.rng)
        local = None if factors is None else Batches(factors, batch_size, self.rng)
        steps_of = [level.model.stepper() for level in self.levels]
        top_step = self.top.stepper()

        own = share(batch_size)

        def step(done):
            losses = {}
            data = to_numpy(objects.take(objects.all_indices()))
            for k, level in enumerate(self.levels):
                batch = next(local) if k == 0 and local else as_batch(
                    _some(level.factors(data), batch_size, self.rng))
                losses |= _named(f"level {k}", steps_of[k], batch, done)
                data = over_ranks(level.encode, data)
            # The basis follows the codes while they move: refitted at steps 0, 1, 3, 7, 15, ... ever more rarely.
            if objects.taken & (objects.taken - 1) == 0:
                self.whiten(over_ranks(self.codes, x[self.rng.permutation(len(x))[:4 * self.whitening.components]]))
            white = self.whitening.apply(data)
            return losses | _named("top", top_step, as_batch(white[own]), done)

        history = train(step, steps=steps, minutes=minutes, progress=progress, label="LDF", callback=callback,
                        checkpoints=checkpoints and checkpoints.inside("together"),
                        state={"model": self, "objects": objects, "factors": local})
        return {"together": history}

    def whiten(self, codes):
        """Fit the whitening, on rank 0: an eigenvector's last bits depend on the machine, and all must have the same."""
        def fitted():
            self.whitening.fit(codes)
            return self.whitening.state_dict()

        self.whitening.load_state_dict(world().from_first(fitted))

    def _check_shapes(self, x):
        """Whether the levels fit the data and the top fits the codes, before any time is spent on training."""
        codes = x[:2]
        for level in self.levels:
            codes = level.encode(codes)
        if codes.shape[1:] != self.whitening.code_shape:
            raise ValueError(f"whitening: expected a code_shape of {codes.shape[1:]}, the codes of these levels, "
                             f"got {self.whitening.code_shape}")
        made, components = self.top.sample(2, Generator(0)).shape[1:], self.whitening.components
        if made != (components,):
            raise ValueError(f"top: expected a GAN on vectors of {components} components, but it makes {made}")

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
        """Objects encoded to the codes of the last level and decoded again (the whitening left out)."""
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
    return rows[rng.permutation(len(rows))[:count][share(count)]]
