"""What several test files share: made-up numbers, and networks in float64 as functions of their parameters."""

import numpy as np

from ldf_np.layers import Parameter


def values(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def doubled(module):
    """The module with float64 parameters and buffers, for gradient checks."""
    for _, holder in [*module.named_parameters(), *module.named_buffers()]:
        holder.data = holder.data.astype(np.float64)
    return module


def of_parameters(module, compute):
    """``compute(*inputs)``, which uses the module, as a function f(*inputs, *parameters) for check_grads."""
    places = [(m, n, p) for _, m in module.named_modules() for n, p in vars(m).items() if isinstance(p, Parameter)]

    def function(*tensors):
        inputs, stand_ins = tensors[:len(tensors) - len(places)], tensors[len(tensors) - len(places):]
        try:
            for (owner, name, _), stand_in in zip(places, stand_ins, strict=True):
                setattr(owner, name, stand_in)
            return compute(*inputs)
        finally:
            for owner, name, parameter in places:
                setattr(owner, name, parameter)

    return function
