"""Adam and the moving average of weights, over all parameters of a network at once.

What changes from step to step is held in arrays where the parameters are, because the numbers of a
captured CUDA graph are constants: ``steps`` (1,), int32, is counted here; ``lr_scale`` (1,),
float64, multiplies the learning rate.
"""

import numpy as np

from . import cuda
from .cuda import array_module, on_device

BLOCK = 1 << 16     # elements updated at a time: the arrays of a block stay in the cache


def adam(parameters, gradients, m, v, steps, lr_scale, lr, betas, eps):
    """One step of Adam with bias correction (Kingma and Ba 2015, Algorithm 1) on flat arrays, in
    place. ``gradients``: that of all parameters in pieces, flat arrays (one on a device).

        m = b1 m + (1 - b1) g
        v = b2 v + (1 - b2) g^2
        p -= lr lr_scale (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
    """
    b1, b2 = betas
    if on_device(parameters, *gradients):
        gradient, = gradients
        rates = array_module(parameters).empty(2, np.float64)
        cuda.launch("optim.cu", "begin_adam", (1,), (1,),
                    (steps, lr_scale, rates, *map(np.float64, (lr, b1, b2))),
                    REAL=cuda.real(parameters))
        cuda.launch("optim.cu", "adam", (cuda.blocks(parameters.size, 256),), (256,),
                    (parameters, gradient, m, v, rates, np.int32(parameters.size),
                     *map(np.float64, (b1, b2, eps))),
                    REAL=cuda.real(parameters))
        return
    steps += 1
    t = int(steps[0])
    scale = (1 - b2 ** t) ** -0.5       # taken out of the root, and of the division
    rate, eps = lr * float(lr_scale[0]) / (1 - b1 ** t) / scale, eps / scale
    buffer, end = np.empty(min(BLOCK, parameters.size), parameters.dtype), 0
    for g in (gradient[block] for gradient in gradients for block in _blocks(gradient)):
        block, end = slice(end, end + g.size), end + g.size
        first, second = m[block], v[block]
        change = np.multiply(g, 1 - b1, out=buffer[:g.size])
        first *= b1
        first += change
        np.multiply(g, g, out=change)
        change *= 1 - b2
        second *= b2
        second += change
        np.sqrt(second, out=change)
        change += eps
        np.divide(first, change, out=change)
        change *= rate
        parameters[block] -= change


def _blocks(array):
    return (slice(start, start + BLOCK) for start in range(0, array.size, BLOCK))


def moving_average(pairs, steps, decay):
    """average += (1 - d) (live - average) for each pair (average, live), in place.

    d is the smaller of ``decay`` and (1 + t) / (10 + t), where t, the number of updates so far, is
    counted in ``steps``.
    """
    if on_device(*pairs[0]):
        rates = array_module(pairs[0][0]).empty(1, np.float64)
        real = cuda.real(pairs[0][0])
        cuda.launch("optim.cu", "begin_average", (1,), (1,), (steps, rates, np.float64(decay)),
                    REAL=real)
        for average, live in pairs:
            cuda.launch("optim.cu", "moving_average", (cuda.blocks(average.size, 256),), (256,),
                        (average, live, rates, np.int32(average.size)), REAL=real)
        return
    t = int(steps[0])
    rate = 1 - min(decay, (1 + t) / (10 + t))
    steps += 1
    for average, live in pairs:
        for block in _blocks(average):
            change = live[block] - average[block]
            change *= rate
            average[block] += change
