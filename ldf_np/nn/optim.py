"""Optimisers and the moving average of weights, each one operation over a network's flat
parameters."""

from contextlib import contextmanager
from itertools import accumulate

import numpy as np

from ..kernels import optim as kernel
from ..runtime.checks import between, instance, number_or_array, real
from ..runtime.device import array_module, concatenate, on_device, to_numpy
from ..runtime.distributed import world
from ..runtime.recording import again
from ..runtime.relations import as_it_was, gradients_fit, same_arrays
from ..runtime.rules import checked, two_decays, whole_network
from .layers import update_bn
from .module import Buffer, Module, restored, seen


class Stateful:
    """Something with a state that a checkpoint keeps: the arrays that ``kept`` names."""

    @property
    def state(self):
        """All that the next step depends on but the network's parameters and buffers, NumPy arrays;
        assign it to go back to that point."""
        return {name: to_numpy(getattr(self, name)).copy() for name in self.kept}

    @state.setter
    def state(self, state):
        own = {name: getattr(self, name) for name in self.kept}
        same_arrays(f"{type(self).__name__}: state", own, state)
        for name, array in own.items():         # in place: a captured step reads this array
            array[...] = array_module(array).asarray(state[name])


class Optimizer(Stateful):
    """Steps down the gradient of the parameters of ``network`` (a Module): where several ranks
    train, the mean of theirs.

    ``scale``, an array (1,) where the parameters are, multiplies the learning rate ``lr``: 1, or
    less once a training has backed off. What it remembers belongs to the places in the network:
    a parameter of the same shape that is put in another's place goes on with that.
    """

    kept = ("scale",)

    def __init__(self, network, lr):
        self.network, self.lr = network, float(lr)      # NumPy's numbers promote
        self.scale = array_module(network.flat()).ones(1, np.float64)
        self._shapes = [p.shape for p in network.parameters()]
        self._large = False     # whether squares of the next gradient are infinite

    @checked(gradients_fit, grads=instance(list, tuple), lr_scale=number_or_array)
    def step(self, grads, lr_scale=1.0):
        """Take one step. ``grads``: the gradient of each of ``network.parameters()``, in that
        order; ``lr_scale``: a factor for the learning rate, of a schedule (a number, or an array
        (1,) on the device).

        Raises FloatingPointError, and changes nothing, where a gradient is not finite (not on a
        CUDA device, which the host would have to wait for: there the next loss tells), and
        ValueError where the network has got or lost a layer since.
        """
        self._ready(grads, lr_scale)()

    @checked(gradients_fit, grads=instance(list, tuple), lr_scale=number_or_array)
    def ready(self, grads, lr_scale=1.0):
        """``step`` as a function without arguments, once all that it raises errors for has been
        looked at: then several optimisers can take theirs side by side."""
        return self._ready(grads, lr_scale)

    def _ready(self, grads, lr_scale):
        if seen(self, grads):
            return lambda: None
        flat, gradients = self.network.flat(), [g.data.reshape(-1) for g in grads]
        if world().size > 1:
            gradients = [world().sum(concatenate(gradients), "gradients") / world().size]
        if isinstance(flat, np.ndarray):
            self._look(gradients)
        return lambda: self._take(flat, gradients, lr_scale)

    @again
    def _look(self, gradients):
        with np.errstate(all="ignore"):     # one pass; NaN and infinity survive it
            self._large = not np.isfinite(sum(gradient @ gradient for gradient in gradients))
        if self._large and not all(np.isfinite(gradient).all() for gradient in gradients):
            raise FloatingPointError("a gradient is not finite")

    @again
    def _take(self, flat, gradients, lr_scale):
        if self._large:
            gradients = [self._squarable(gradient) for gradient in gradients]
        if on_device():     # where one kernel does all
            gradients = [concatenate(gradients)]
        self._update(flat, gradients, self.scale * lr_scale)

    def _squarable(self, gradient):
        """A finite gradient as the update can have it; some of its squares are infinite."""
        return gradient


class SGD(Optimizer):
    """Stochastic gradient descent with momentum: v = momentum * v + g; p -= lr * v."""

    kept = ("scale", "velocity")

    @checked(network=whole_network, momentum=between(0, 1, "["))
    def __init__(self, network, lr, momentum=0.0):
        super().__init__(network, lr)
        self.momentum = float(momentum)
        self.velocity = array_module(network.flat()).zeros_like(network.flat())

    def _update(self, flat, gradients, scale):
        self.velocity *= self.momentum
        self.velocity += concatenate(gradients)
        flat -= (self.lr * scale).astype(flat.dtype) * self.velocity


class Adam(Optimizer):
    """Adam with bias correction (Kingma and Ba 2015, Algorithm 1).

    m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
    p -= lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    A gradient whose square is infinite (beyond 1.8e19 in float32) counts as the largest that has
    one, since otherwise its parameter would never move again (not on a CUDA device).
    """

    kept = ("scale", "m", "v", "steps")

    @checked(network=whole_network, betas=two_decays)
    def __init__(self, network, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(network, lr)
        self.betas, self.eps = tuple(map(float, betas)), float(eps)
        flat, xp = network.flat(), array_module(network.flat())
        self.m, self.v, self.steps = xp.zeros_like(flat), xp.zeros_like(flat), xp.zeros(1, np.int32)

    def _squarable(self, gradient):
        largest = 0.999 * np.finfo(gradient.dtype).max ** 0.5
        return gradient.clip(-largest, largest)

    def _update(self, flat, gradients, scale):
        kernel.adam(flat, gradients, self.m, self.v, self.steps, scale, self.lr, self.betas,
                    self.eps)


@checked(progress=number_or_array, final=real())
@again
def falling(progress, final):
    """A learning rate's schedule: 1 in the first half of the training, then linearly to ``final``
    at its end.

    ``progress`` in [0, 1]: how much of the training is done, a number, or an array (1,) on the
    device.
    """
    # not max() of an array on the device, for which the host would have to wait
    maximum = array_module(progress).maximum if getattr(progress, "shape", ()) else max
    return 1 - (1 - final) * maximum(0.0, 2 * progress - 1)


MATURE = 100_000        # updates: their average forgets no faster for being young


class _NoChild:
    """Holds a module whose parameters belong to another: it is no child of the one that holds
    this."""

    def __init__(self, module):
        self.module = module


class EMA(Stateful, Module):
    """An exponential moving average of a network's parameters and buffers: a = decay * a + (1 -
    decay) * p.

    Early on the decay is at most (1 + t) / (10 + t), so that the random start is soon forgotten.
    The average is one flat Buffer, parameters first, so a model that holds an EMA saves it with its
    weights. Batch statistics are better found anew (``update_statistics``) than averaged.
    """

    kept = ("steps",)       # beside ``average``, a Buffer
    unknown_counts = MATURE, -1

    @checked(network=whole_network)
    def __init__(self, network, decay=0.998):
        self.decay = float(decay)
        self._network = _NoChild(network)
        live = self._live()
        self._shapes = self._shapes_of(live)
        xp = array_module(live[0])
        self.average = Buffer(xp.concatenate([data.reshape(-1) for data in live]))
        self.steps, self._settled = xp.zeros(1, np.int32), xp.zeros(1, np.int32)

    @property
    def saved_counts(self):
        """How many updates there were, and after how many of them its batch statistics were found;
        assign them to go on from there."""
        return int(self.steps[0]), int(self._settled[0])

    @saved_counts.setter
    def saved_counts(self, counts):
        self.steps[...], self._settled[...] = counts

    def after_loading(self):
        """The batch statistics of an average that was loaded are to be found."""
        self._settled[...] = -1

    def _live(self):
        network = self._network.module
        return [network.flat(), *(b.data for _, b in network.named_buffers())]

    def _shapes_of(self, live):
        return [a.shape for a in (*self._network.module.parameters(), *live[1:])]

    def _pairs(self):
        """[(its average as a view of the same shape, the live array), ...] for the parameters and
        each buffer."""
        live, average = self._live(), self.average.data
        ends = [*accumulate(data.size for data in live)]
        as_it_was(self._shapes_of(live), self._shapes)
        return [(average[end - data.size:end].reshape(data.shape), data)
                for data, end in zip(live, ends)]

    def update(self):
        """Move the average towards the present weights."""
        self._move(self._pairs())

    @again
    def _move(self, pairs):
        kernel.moving_average(pairs, self.steps, self.decay)

    def update_statistics(self, batches):
        """Find the batch statistics of the averaged weights (``update_bn``), once after the updates
        that there were since: with those averaged from other weights, what a generator makes varies
        too little."""
        if self.steps[0] != self._settled[0]:
            with self.applied():
                update_bn(batches, self._network.module)
                for average, data in self._pairs()[1:]:
                    average[...] = data
            self._settled[...] = self.steps

    def copy_to_network(self):
        """Give the network the averaged weights, for good."""
        for average, data in self._pairs():
            data[...] = average

    @contextmanager
    def applied(self):
        """A context in which the network has the averaged weights."""
        with restored(self._live()):
            self.copy_to_network()
            yield
