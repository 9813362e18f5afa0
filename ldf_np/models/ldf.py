"""Locally Disentangled Factors: an object split into local factors, a model of each level, no
gradient between them.

    object --split--> factors --level 0--> codes --split--> factors --level 1--> codes ...
                                                             ... codes --whitening--> top GAN

All factors of a level share one ALI model. The codes of one level, as arrays without history, are
the data of the next; the top is a GAN over all codes of an object, whitened. Sampling runs the same
chain from right to left.
"""

from contextlib import ExitStack
from functools import partial

import numpy as np

from ..nn.module import Module
from ..runtime import relations
from ..runtime.architecture import Described
from ..runtime.checks import integer, real_array, shaped
from ..runtime.device import to_numpy
from ..runtime.distributed import over_ranks, shard
from ..runtime.random import Generator
from ..runtime.rules import checked, coder
from ..training.batches import Batches, as_batch
from ..training.budget import Phases
from ..training.loop import train
from .ali import ALI
from .sequence import SequenceGAN, first_steps

CALIBRATED_BY = 256         # samples


@checked(shaped("codes", "n", "split.count", "..."), model=coder)
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

    def encode(self, x, code=None):
        """(n, ...) -> codes (n, count, ...), by default those that are handed on."""
        codes = self.model.encode(self.factors(x), code or self.code)
        return codes.reshape(len(x), -1, *codes.shape[1:])

    def decode(self, codes, code=None):
        """The inverse of ``encode``, approximately: codes (n, count, ...) -> (n, ...)."""
        factors = self.model.decode(codes.reshape(-1, *codes.shape[2:]), code or self.code)
        return self.split.merge(factors.reshape(*codes.shape[:2], *factors.shape[1:]))


@checked(relations.shares_fit, relations.factors_fit, relations.parts_fit)
class LDF(Module):
    """A hierarchy of levels and the GAN at its top.

    Parameters
    ----------
    levels : sequence of Level, bottom first
    top : GAN, or ALI (then z can be inferred), on arrays (n, *whitening.shape)
    whitening : ChannelWhitening or Whitening
        Between all codes of an object at the last level, (count, ...), and the top's data.
    seed : int
        Of the order of the batches.
    passes : int
        How often what the top makes passes through z of the levels before it is a sample
        (``sample``). Worth it where a bottom has learned z well, after some minutes of training.
    refiner : Denoiser, optional
        Of whitened codes, trained after the top: before each pass it refines a sample, all its
        factors together (``sample``). Under a ``SequenceGAN`` it is one of windows of the first
        width, as the top whitens them.
    """

    @checked(relations.has_z, relations.refiner_fits, passes=integer(0))
    def __init__(self, levels, top, whitening, seed=0, passes=0, refiner=None):
        self.levels, self.top, self.refiner = list(levels), top, refiner
        self.models = [level.model for level in levels]
        self.whitening, self.passes = whitening, passes
        self.rng = Generator(seed)

    def fit(self, x, *, factors=None, schedule="bottom-first", steps=None, minutes=None,
            bottom_share=0.5, batch_size=32, progress=False, callback=None, checkpoints=None,
            refiner_share=0.25):
        """Train all levels.

        Parameters
        ----------
        x : array (N, ...), float32 or uint8
            Whole objects: samples of the joint distribution.
        factors : array (M, ...), optional
            The local factors that the bottom level learns from, in place of those of ``x``: they
            need not come from whole objects (paper, Section 3.2).
        schedule : "bottom-first" or "together"
            "bottom-first" trains each level, freezes it, encodes the data once and goes on to the
            next. "together" takes one step of every level in turn (Fig. 3, "no pretraining").
        steps, minutes : the budget of all levels together
            In "bottom-first" the levels below the top have ``bottom_share`` of it, in equal parts,
            and a refiner has ``refiner_share``.
        callback : callable, optional
            ``callback(history)`` after each step.
        checkpoints : checkpoint.Checkpoints, optional
            In a folder for each level, from which a training that was ended goes on: finished
            levels are not trained again. Codes are computed again, the whitening is kept.

        Returns
        -------
        dict
            {"level 0": History, ..., "top": History}, and "refiner" where there is one; with
            "together" {"together": History}. Ctrl-C ends the level being trained; those above it
            still get two seconds each, so that the model can be sampled (of which no checkpoint is
            kept), and a refiner nothing: until it has learned it is left out.
        """
        if schedule == "together":
            return self._fit_together(x, factors, batch_size, checkpoints, steps=steps,
                                      minutes=minutes, progress=progress, callback=callback)
        run = Phases(steps, minutes, checkpoints, callback, progress=progress)
        for k, level in enumerate(self.levels):
            own = level.factors(x) if factors is None or k > 0 else factors
            run.fit(f"level {k}", level.model, own, bottom_share / len(self.levels),
                    batch_size=batch_size if k == 0 else min(batch_size, len(own)))
            x = run.encode(level.encode, x, few=max(batch_size, self.whitening.few))
        run.once("whitening", lambda: self.whitening.fit_once_for_all(x),
                 whitening=self.whitening)
        white = run.timed(self.whitening.apply, x)
        few, share = min(batch_size, len(white)), refiner_share if self.refiner else 0
        run.fit("top", self.top, white, 1 - bottom_share - share, last=not share, batch_size=few)
        if self.refiner and not run.interrupted:
            run.fit("refiner", self.refiner, self.refiner_data(white), share, last=True,
                    batch_size=few)
        return run.histories

    def refiner_data(self, white):
        """What a refiner learns from and refines of whitened codes: (n, *shape of the whitening) ->
        (m, *its shape)."""
        return self.top.windows_of(white) if self.any_length else white

    def _fit_together(self, x, factors, batch_size, checkpoints, **training):
        objects = Batches(x, batch_size, self.rng)
        for name, some in (("x", x), ("factors", factors)):
            if some is not None:
                self.levels[0].model.expect_range(some, name)
        local = None if factors is None else Batches(factors, batch_size, self.rng)
        level_steps = [level.model.compiled_step() for level in self.levels]
        top_step, own = self.top.compiled_step(), shard(batch_size)
        refiner_step = self.refiner and self.refiner.compiled_step()

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
                codes = over_ranks(self.codes, x[few])
                self.whitening.fit_once_for_all(codes)
                white = self.whitening.apply(codes)
                self.top.adapt(white)
                if self.refiner:
                    self.refiner.adapt(self.refiner_data(white))
            white = self.whitening.apply(data)[own]
            losses |= _named("top", top_step, as_batch(white), done)
            if self.refiner:
                losses |= _named("refiner", refiner_step, as_batch(self.refiner_data(white)), done)
            return losses

        inside = checkpoints and checkpoints.inside("together")
        state = {"model": self, "objects": objects, "factors": local}
        history = train(step, label="LDF", checkpoints=inside, state=state, **training)
        self.top.finish()
        return {"together": history}

    @property
    def any_length(self):
        """Whether the top makes objects of any length."""
        return isinstance(self.top, SequenceGAN)

    @property
    def ready(self):
        """Whether the whitening has been learned: before that, samples are nothing."""
        return self.whitening.fitted

    def codes(self, x, levels=None):
        """All codes of each object, bottom-up and not whitened: (n, ...) -> (n, count, ...), of the
        last of ``levels``, by default all."""
        for level in levels or self.levels:
            x = level.encode(x)
        return x

    @checked(relations.is_ready)
    def encode(self, x):
        """The whitened codes of whole objects, bottom-up: (n, ...) -> (n, *whitening.shape)."""
        return self.whitening.apply(self.codes(x))

    @checked(relations.is_ready)
    def decode(self, white):
        """Objects from whitened codes, top-down: (n, *whitening.shape) -> (n, ...)."""
        return self._expand(self.whitening.invert(white))

    @checked(relations.of_any_length, relations.is_ready)
    def sample(self, n, rng=None, frames=None):
        """n objects, top-down: a NumPy array (n, ...). Raises ValueError before ``fit``.

        What the top makes is refined, where there is a refiner, and decoded and encoded again, both
        of it ``passes`` times and then by way of z, which brings it to what codes can be; and
        calibrated: each component so that samples, encoded once more, vary as much as the codes
        that the whitening has learned from (docs/recipe.md). On that way ALI decodes h and z by
        common batch statistics, with which what is faint does not fade. Sequences, and what has a
        whitening of strength 0, are not calibrated, and without passes and a refiner decoded as the
        top makes them.

        ``frames``: how many frames of a clip (of a text: segments) each has, any number where the
        top is a ``SequenceGAN``; by default as many as it was trained on.
        """
        if self.any_length:
            frames = max(self.top.windows) if frames is None else frames
            return np.concatenate([*self.stream(n, frames, rng)], axis=1)
        return self.decode(self._as_codes(self.top.sample(n, rng), rng))

    def _as_codes(self, white, rng):
        """What the top has made, brought to what codes can be: refined, where there is a refiner,
        and encoded again, E(G(.)), which moves anything towards the codes of data (Alain and Bengio
        2014), the more the fewer numbers it leaves: z has fewer than h. What a GAN makes of small
        and rare components, such as what moves, is in part no code, and goes; so each component is
        then multiplied by what brings the variance of samples, encoded again, to that of the
        codes."""
        def brought(white, rng):
            for _ in range(max(1, self.passes)):
                if self._refines:
                    white = self.refiner.refine(white, rng)
                white = self._again(white, self._way)
            return white

        if self.whitening.strength == 0:        # which does not tell the codes' variances
            return brought(white, rng) if self.passes or self._refines else white
        own = Generator(0)
        some = self._again(brought(self.top.sample(CALIBRATED_BY, own), own))
        std = some.reshape(-1, some.shape[-1]).std(axis=0)
        ratio = np.sqrt(self.whitening.variances) / np.maximum(std, 1e-9)
        return brought(white, rng) * np.clip(ratio, 0.5, 2)

    @property
    def _refines(self):
        return self.refiner is not None and self.refiner.ready

    @property
    def _way(self):
        """The code through which samples pass, or None."""
        return "z" if self.passes else None

    def _again(self, white, through=None):
        """E(G(.)) of whitened codes, once more ``through`` another code."""
        with ExitStack() as common:
            for model in self.models:
                if isinstance(model, ALI):
                    common.enter_context(model.common_statistics())
            return self.encode(self._expand(self.whitening.invert(white), through=through))

    @checked(relations.of_any_length, relations.is_ready)
    def stream(self, n, frames, rng=None):
        """The objects of ``sample``, a few frames at a time: an iterator of arrays (n, t, ...). The
        memory does not depend on ``frames``."""
        rounds = self.passes or int(self._refines)
        drawn = self.top.before_refined(frames, rounds) if self._refines else frames
        blocks = self.top.stream(n, drawn, rng)
        for _ in range(rounds):
            if self._refines:
                blocks = self.top.refined(blocks, self.refiner, self.refiner.draw(n, rng))
            blocks = map(partial(self._again, through=self._way), blocks)
        return map(self.decode, first_steps(blocks, frames))

    @checked(relations.level_or_top)
    def reconstruct(self, x, level=None):
        """Objects encoded up to a level and decoded again: (n, ...) -> (n, ...).

        ``level``: the number of one, 0 the bottom; None: the last below the top (the whitening left
        out); "top": through the topmost z.
        """
        if level == "top":
            z = self.infer(x)
            return self.decode(self.top.decode(z, "z"))
        passed = self.levels if level is None else self.levels[:level + 1]
        return self._expand(self.codes(x, passed), passed)

    @checked(relations.infers, relations.is_ready)
    def infer(self, x):
        """The topmost z of objects, Q(z_0 | x) of Section 2.2 bottom-up: (n, ...) -> (n, latent).

        The top needs an encoder: ``nets.local_ali_top`` or ``nets.mlp_ali_top``.
        """
        return self.top.encode(self.encode(x), "z")

    @checked(relations.infers, relations.is_ready, relations.ends_fit, steps=integer(2))
    def interpolate(self, a, b, steps):
        """Walks from objects a (n, ...) to b (n, ...) in ``steps`` points of the topmost z, both
        ends with them: (n, steps, ...). See ``great_circle``."""
        z = great_circle(self.infer(a), self.infer(b), steps)
        made = self.decode(self.top.decode(z.reshape(-1, z.shape[-1]), "z"))
        return made.reshape(len(a), steps, *made.shape[1:])

    def _expand(self, x, levels=None, through=None):
        """The codes of the last of ``levels``, decoded level by level, at each once ``through``
        another code."""
        for level in reversed(levels or self.levels):
            x = level.decode(x)
            x = x if through is None else level.decode(level.encode(x, through), through)
        return x


@checked(relations.ends_fit, a=real_array("n, d"), steps=integer(2))
def great_circle(a, b, steps):
    """Points between the rows of a and of b, (n, d) -> (n, steps, d), along great circles: the
    direction turns evenly, and the length goes evenly from |a| to |b| (Shoemake 1985; White 2016).

    N(0, I) in d dimensions lies close to the sphere of radius sqrt(d). The middle of the straight
    line between two draws has 0.71 of that, which no draw has, so that the decoder never saw it.
    Between directions that are the same or opposite there is no one circle: there the line is
    straight.
    """
    t = np.linspace(0, 1, steps, dtype=a.dtype)[:, None]
    a, b = a[:, None], b[:, None]
    first, last = (np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b))
    both, dot = first * last, (a * b).sum(axis=-1, keepdims=True)
    angle = np.arccos(np.where(both > 0, np.clip(dot / np.where(both > 0, both, 1), -1, 1), 1))
    straight = np.sin(angle) < 1e-3
    sine, first, last = (np.where(straight, 1, x) for x in (np.sin(angle), first, last))
    turned = (np.sin((1 - t) * angle) * a / first + np.sin(t * angle) * b / last) / sine
    return np.where(straight, (1 - t) * a + t * b, ((1 - t) * first + t * last) * turned)


def _named(name, step, batch, progress):
    """The losses of a level's step under its name."""
    try:
        return {f"{name} {loss}": value for loss, value in step(batch, progress).items()}
    except FloatingPointError as error:
        raise FloatingPointError(f"{name}: {error}") from error


def _some(rows, count, rng):
    """This rank's shard of ``count`` rows."""
    return rows[rng.permutation(len(rows))[:count][shard(count)]]
