"""Optimisers and the moving average of weights, each one operation over a network's flat parameters."""

from contextlib import contextmanager

import numpy as np

from .backend import array_module
from .layers import Buffer, Module

BLOCK = 1 << 15     # elements updated at a time: the five arrays of a block stay in the cache


class Optimizer:
    """Steps down the gradient of the parameters of ``network`` (a Module)."""

    def __init__(self, network, lr):
        if not lr > 0:
            raise ValueError(f"{type(self).__name__}: lr: expected a positive number, got {lr}")
        self.network, self.lr, self.steps = network, lr, 0

    def step(self, grads, share=1.0):
        """Take one step. ``grads``: the gradient of each of ``network.parameters()``, in that order; ``share``: of
        the learning rate, for a schedule."""
        expected, got = [p.shape for p in self.network.parameters()], [g.shape for g in grads]
        if got != expected:
            raise ValueError(f"grads: expected one for each parameter, of shapes {expected}, got {got}")
        flat = self.network.flat()
        xp = array_module(flat)
        gradient = xp.concatenate([g.data.reshape(-1) for g in grads])
        self.steps += 1
        self._update(xp, flat, gradient, self.lr * share)


class SGD(Optimizer):
    """Stochastic gradient descent with momentum: v = momentum * v + g; p -= lr * v."""

    def __init__(self, network, lr, momentum=0.0):
        super().__init__(network, lr)
        if not 0 <= momentum < 1:
            raise ValueError(f"SGD: momentum: expected a number in [0, 1), got {momentum}")
        self.momentum = momentum
        flat = network.flat()
        self.velocity = array_module(flat).zeros_like(flat)

    def _update(self, xp, flat, gradient, lr):
        self.velocity *= self.momentum
        self.velocity += gradient
        flat -= lr * self.velocity


class Adam(Optimizer):
    """Adam with bias correction (Kingma and Ba 2015, Algorithm 1).

    m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
    """

    def __init__(self, network, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(network, lr)
        if not all(0 <= b < 1 for b in betas):
            raise ValueError(f"Adam: betas: expected two numbers in [0, 1), got {betas}")
        if not eps > 0:
            raise ValueError(f"Adam: eps: expected a positive number, got {eps}")
        self.betas, self.eps = betas, eps
        flat = network.flat()
        xp = array_module(flat)
        self.m, self.v = xp.zeros_like(flat), xp.zeros_like(flat)

    def _update(self, xp, flat, gradient, lr):
        b1, b2 = self.betas
        rate = lr / (1 - b1 ** self.steps)
        scale = (1 - b2 ** self.steps) ** -0.5
        size = BLOCK if xp is np else flat.size
        for start in range(0, flat.size, size):
            block = slice(start, start + size)
            g, m, v = gradient[block], self.m[block], self.v[block]
            m *= b1
            m += (1 - b1) * g
            g *= g                      # the gradient is this step's own copy
            v *= b2
            g *= 1 - b2
            v += g
            xp.sqrt(v, out=g)
            g *= scale
            g += self.eps
            xp.divide(m, g, out=g)
            g *= rate
            flat[block] -= g


def falling(share, final):
    """A learning rate's schedule: 1 in the first half of the training, then linearly to ``final`` at its end."""
    return 1 - (1 - final) * max(0.0, 2 * share - 1)


class EMA(Module):
    """An exponential moving average of a network's parameters and buffers: a = decay * a + (1 - decay) * p.

    Early on the decay is at most (1 + t) / (10 + t), so that the random start is soon forgotten. The average is
    one flat Buffer, parameters first, so a model that holds an EMA saves it with its weights.
    """

    def __init__(self, network, decay=0.998):
        if not 0 <= decay < 1:
            raise ValueError(f"EMA: decay: expected a number in [0, 1), got {decay}")
        self.decay, self.steps = decay, 0
        self._of = {"network": network}     # in a dict: no child, for its parameters are its owner's
        live = self._live()
        self.average = Buffer(array_module(live[0]).concatenate([data.reshape(-1) for data in live]))

    def _live(self):
        network = self._of["network"]
        return [network.flat(), *(b.data for _, b in network.named_buffers())]

    def _averages(self):
        """(the live array, its average as a view of the same shape), for the parameters and each buffer."""
        end = 0
        for data in self._live():
            start, end = end, end + data.size
            yield data, self.average.data[start:end].reshape(data.shape)

    def update(self):
        """Move the average towards the present weights."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        for data, average in self._averages():
            average += (1 - decay) * (data - average)

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
