"""What all models share: one ``fit``, and encoding and decoding batch by batch."""

import warnings

from ..autodiff.engine import Tensor
from ..nn.layers import generators
from ..nn.module import Module, evaluation
from ..runtime import checks
from ..runtime.checks import of_shape
from ..runtime.device import concatenate
from ..runtime.random import Generator
from ..runtime.relations import budget, data_given
from ..runtime.rules import checked, in_range, of_its_scale
from ..runtime.threads import one_blas_thread
from ..training.batches import Batches, apply_batched
from ..training.loop import train
from ..training.step import CompiledStep


class Model(Module):
    """Something that is trained. A subclass has a Generator ``rng`` and says what one step is:

    ``_step(x, progress)`` takes it on the batch x, an array (n, ...), and returns {name: loss}.
    ``progress``, the part of the training that is done, anneals penalties and learning rates.
    """

    # what a batch may be, say those who make it
    @checks.checked(data_given, budget, steps=checks.integer(), minutes=checks.positive)
    def fit(self, x, *more, steps=None, minutes=None, batch_size=32, progress=False, callback=None,
            checkpoints=None):
        """Train on x (N, ...), float32 or uint8 images.

        Parameters
        ----------
        steps, minutes, progress, callback, checkpoints : the budget and what goes with it
            See ``training.loop.train``.
        batch_size : int

        Returns
        -------
        History

        Raises
        ------
        ValueError, TypeError
            For data that cannot be trained on.
        FloatingPointError
            Naming the step, the loss and the layer where something is not finite.
        """
        if not self.training:
            warnings.warn(f"{type(self).__name__}.fit: the model is in evaluation mode, in which "
                          "its batch normalisations learn nothing: model.train() ends that",
                          RuntimeWarning, stacklevel=3)
        before = self.rng.state
        try:
            batches = self._batches(batch_size, x, *more)
            self.expect_range(x)
        except (TypeError, ValueError):
            self.rng.state = before
            raise
        step = self.compiled_step()

        def next_step(progress):
            parts = [next(some) for some in batches.values()]
            with of_shape(f"{type(self).__name__}.fit: x", x):
                return step(parts[0] if len(parts) == 1 else concatenate(parts, axis=-1), progress)

        history = train(next_step, steps=steps, minutes=minutes, progress=progress,
                        label=type(self).__name__, callback=callback, checkpoints=checkpoints,
                        state={"model": self} | batches)
        self.finish()
        return history

    def finish(self):
        """What a training ends with: here nothing."""

    def adapt(self, x):
        """Learn from data x what a step has to know beforehand: here nothing."""

    def _batches(self, batch_size, x):
        """{name: Batches}. A step takes one array: several go into it as further channels."""
        return {"batches": Batches(x, batch_size, self.rng)}

    def expect_range(self, x, name="x", rule=in_range):
        """ValueError where what makes x, by its last layer, can never make such values."""
        network = getattr(self, "generator", None) or getattr(self, "decoder", None)
        rule(f"{type(self).__name__}: {name}", x, network)

    @one_blas_thread()
    def step(self, x, progress=0.0):
        """One step on the batch x (n, ...). Returns {name: loss}."""
        with of_shape(f"{type(self).__name__}.step: x", x):
            return self.compiled_step().eager_step(x, progress)

    def compiled_step(self):
        """A ``CompiledStep``, which records such steps, on a CUDA device as a graph."""
        return CompiledStep(self._step, [], self)

    stepper = compiled_step         # its name in version 0.1

    @property
    def _ordered(self):
        """Whether networks draw by themselves: then nothing is done side by side, for noise has to
        come in order."""
        return bool(generators(*(module for _, module in self.children())))

    def _apply(self, function, x):
        """``function`` over the rows of x in evaluation mode: a NumPy array (n, ...)."""
        with evaluation(self), of_shape(f"{type(self).__name__}: input", x):
            return apply_batched(function, x)


class LatentModel(Model):
    """A model that makes x of z ~ N(0, I), (n, latent_size), by ``_generate(z, rng)``."""

    @checked()
    def sample(self, n, rng=None):
        """n samples, drawn with ``rng`` (by default the model's own): a NumPy array (n, ...)."""
        rng = self.rng if rng is None else rng
        return self._generate(rng.standard_normal((n, self.latent_size)), rng)

    def _draws(self, batches):
        """So many batches of z, the same each time, of which batch statistics are found."""
        rng = Generator(0)
        return (Tensor(rng.standard_normal((256, self.latent_size))) for _ in range(batches))


class Coder(Model):
    """A model that encodes and decodes: ``_codes()`` gives {code: (x to code, code to x)}.

    The code named first is the default.
    """

    @property
    def code(self):
        """The name of the default code."""
        return next(iter(self._codes()))

    def encode(self, x, code=None):
        """The codes of x (n, ...), float32 or uint8 images: a NumPy array (n, ...)."""
        found = self._apply(self._code(code)[0], x)
        self.expect_range(x, rule=of_its_scale)
        return found

    def decode(self, codes, code=None):
        """x from codes: a NumPy array (n, ...)."""
        return self._apply(self._code(code)[1], codes)

    def reconstruct(self, x, code=None):
        """x encoded and decoded again."""
        return self.decode(self.encode(x, code), code)

    def _code(self, code):
        codes, code = self._codes(), self.code if code is None else code
        if not isinstance(code, str) or code not in codes:
            known = " or ".join(f'"{name}"' for name in codes)
            only = f", the only code of this {type(self).__name__}" if len(codes) == 1 else ""
            raise ValueError(f"code: expected {known}{only}, got {code!r}")
        return codes[code]
