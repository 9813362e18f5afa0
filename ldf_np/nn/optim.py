"""Optimisers and the moving average of weights, each one operation over a network's flat
parameters."""

from contextlib import contextmanager

import numpy as np

from ..autodiff.engine import Tensor
from ..kernels import optim as kernel
from ..runtime.checks import is_number, number, one_of_type, positive
from ..runtime.device import array_module, concatenate, to_numpy
from ..runtime.distributed import world
from .module import Buffer, Module, seen


class Optimizer:
    """Steps down the gradient of the parameters of ``network`` (a Module): where several ranks
    train, the mean of theirs.

    ``scale``, an array (1,) where the parameters are, multiplies the learning rate ``lr``: 1, or
    less once a training has backed off. ``kept`` names the arrays of which its state consists.
    """

    kept = ("scale",)

    def __init__(self, network, lr):
        kind = type(self).__name__
        self.network, self.lr = one_of_type(f"{kind}: network", network,
                                            Module), positive(f"{kind}: lr", lr)
        self.scale = array_module(network.flat()).ones(1, np.float64)

    def step(self, grads, share=1.0):
        """Take one step. ``grads``: the gradient of each of ``network.parameters()``, in that
        order; ``share``: of the learning rate, for a schedule (a number, or an array (1,) on the
        device).

        Raises FloatingPointError, and changes nothing, where a gradient is not finite. (Not on a
        CUDA device, which the host would have to wait for: there the next loss tells.)
        """
        if not isinstance(grads, (list, tuple)) or not all(isinstance(g, Tensor) for g in grads):
            raise TypeError("grads: expected a list of Tensors, one for each parameter")
        expected, got = [p.shape for p in self.network.parameters()], [g.shape for g in grads]
        if got != expected:
            raise ValueError(
                f"grads: expected one for each parameter, of shapes {expected}, got {got}")
        if seen(self, grads):
            return
        flat = self.network.flat()
        gradient = concatenate([g.data.reshape(-1) for g in grads])
        if world().size > 1:
            gradient = world().sum(gradient, "gradients")
            gradient /= world().size
        if isinstance(gradient, np.ndarray):
            with np.errstate(all="ignore"):
                total = gradient.sum()          # one pass; NaN and infinity survive it
            if not np.isfinite(total):
                raise FloatingPointError("a gradient is not finite")
        self._update(flat, gradient, self.scale
                     * (share if hasattr(share, "shape") else number("share", share)))

    @property
    def state(self):
        """Everything but the parameters that the next step depends on; assign it to go back to that
        point."""
        return {name: to_numpy(getattr(self, name)).copy() for name in self.kept}

    @state.setter
    def state(self, state):
        for name in self.kept:
            array = getattr(self, name)
            # in place: a captured step reads this array
            array[...] = array_module(array).asarray(state[name])


class SGD(Optimizer):
    """Stochastic gradient descent with momentum: v = momentum * v + g; p -= lr * v."""

    kept = ("scale", "velocity")

    def __init__(self, network, lr, momentum=0.0):
        super().__init__(network, lr)
        if not 0 <= number("SGD: momentum", momentum) < 1:
            raise ValueError(f"SGD: momentum: expected a number in [0, 1), got {momentum}")
        self.momentum = momentum
        flat = network.flat()
        self.velocity = array_module(flat).zeros_like(flat)

    def _update(self, flat, gradient, share):
        self.velocity *= self.momentum
        self.velocity += gradient
        flat -= (self.lr * share).astype(flat.dtype) * self.velocity


class Adam(Optimizer):
    """Adam with bias correction (Kingma and Ba 2015, Algorithm 1).

    m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= lr * (m / (1 - b1^t)) / (sqrt(v / (1 -
    b2^t)) + eps)
    """

    kept = ("scale", "m", "v", "steps")

    def __init__(self, network, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(network, lr)
        if not isinstance(
            betas, (list, tuple)) or len(
                betas) != 2 or not all(is_number(b) and 0 <= b < 1 for b in betas):
            raise ValueError(f"Adam: betas: expected two numbers in [0, 1), got {betas}")
        positive("Adam: eps", eps)
        self.betas, self.eps = betas, eps
        flat = network.flat()
        xp = array_module(flat)
        self.m, self.v, self.steps = xp.zeros_like(flat), xp.zeros_like(flat), xp.zeros(1, np.int32)

    def _update(self, flat, gradient, share):
        kernel.adam(flat, gradient, self.m, self.v, self.steps, share, self.lr, self.betas,
                    self.eps)


def falling(share, final):
    """A learning rate's schedule: 1 in the first half of the training, then linearly to ``final``
    at its end."""
    number("final", final)
    if getattr(share, "shape", ()):     # on the device
        return 1 - (1 - final) * array_module(share).maximum(0, 2 * share - 1)
    return 1 - (1 - final) * max(0.0, 2 * number("share", share) - 1)


class EMA(Module):
    """An exponential moving average of a network's parameters and buffers: a = decay * a + (1 -
    decay) * p.

    Early on the decay is at most (1 + t) / (10 + t), so that the random start is soon forgotten.
    The average is one flat Buffer, parameters first, so a model that holds an EMA saves it with its
    weights.
    """

    def __init__(self, network, decay=0.998):
        if not 0 <= number("EMA: decay", decay) < 1:
            raise ValueError(f"EMA: decay: expected a number in [0, 1), got {decay}")
        self.decay = decay
        one_of_type("EMA: network", network, Module)
        # in a dict: no child, for its parameters are its owner's
        self._of = {"network": network}
        live = self._live()
        xp = array_module(live[0])
        self.average = Buffer(xp.concatenate([data.reshape(-1) for data in live]))
        self.steps = xp.zeros(1, np.int32)

    @property
    def state(self):
        """What ``average``, a Buffer, does not hold; assign it to go back to that point."""
        return {"steps": to_numpy(self.steps).copy()}

    @state.setter
    def state(self, state):
        self.steps[...] = array_module(self.steps).asarray(state["steps"])

    def _live(self):
        network = self._of["network"]
        return [network.flat(), *(b.data for _, b in network.named_buffers())]

    def _averages(self):
        """(the live array, its average as a view of the same shape), for the parameters and each
        buffer."""
        end = 0
        for data in self._live():
            start, end = end, end + data.size
            yield data, self.average.data[start:end].reshape(data.shape)

    def update(self):
        """Move the average towards the present weights."""
        kernel.moving_average([(average, data) for data, average in self._averages()], self.steps,
                              self.decay)

    @contextmanager
    def applied(self):
        """A context in which the network has the averaged weights."""
        kept = [data.copy() for data in self._live()]
        try:
            for data, average in self._averages():
                data[...] = average
            yield
        finally:
            for data, own in zip(self._live(), kept):
                data[...] = own
