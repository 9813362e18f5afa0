"""Batch normalisation as one differentiable operation, to every order."""

import numpy as np

from .backend import array_module, concatenate
from .engine import enable_grad, grad, operation
from .kernels import norm as kernel
from .ops import mean, mean_over_ranks, square
from .parallel import world


def normalize(x, eps=1e-5):
    """Each channel brought to mean 0 and variance 1 over the batch (Ioffe and Szegedy 2015, without scale and shift).

    (..., c) -> y (..., c) as a Tensor, and the arrays mean (c,) and biased variance (c,), constants. Where several ranks train,
    the batch is that of all of them.
    """
    if world().size > 1:
        return _over_ranks(x, eps)
    y, mu, var = kernel.normalize(x.data, eps)
    return _normalize(x, y=y, r=(var + eps) ** -0.5, eps=eps), mu, var


@operation
def _normalize(x, y, r, eps):
    return y


@operation
def _normalize_vjp(g, x, y, r, eps):
    return kernel.normalize_vjp(g, y, r)


@operation
def _normalize_vjp_x(h, g, x, y, r, eps):
    return kernel.normalize_vjp_x(h, g, y, r)


def _formula(h, g, x, eps):
    """kernel.normalize_vjp_x written out, to be differentiated in turn."""
    axes = tuple(range(x.ndim - 1))
    centred = x - mean(x, axes)
    r = (mean(square(centred), axes) + eps) ** -0.5
    y = centred * r
    mean_h, mean_g, mean_hy, mean_gy = mean(h, axes), mean(g, axes), mean(h * y, axes), mean(g * y, axes)
    return -square(r) * ((h - mean_h) * mean_gy + (g - mean_g) * mean_hy
                         + y * (mean(h * g, axes) - mean_h * mean_g - 3 * mean_hy * mean_gy))


@operation
def _alias(x):
    return x


def _third(k, c, _, h, g, x, eps, **saved):
    with enable_grad():
        # h and g may themselves depend on x, but what is wanted is one partial derivative: aliases part them.
        arguments = [_alias(a) for a in (h, g, x)]
        part = grad(_formula(*arguments, eps), arguments[k], c, create_graph=True)
    return _alias(part)         # outside: it has a history only where the caller records one


_alias.defvjp(lambda g, y, x: g)
_normalize.defvjp(lambda g, _, x, **saved: _normalize_vjp(g, x, **saved))
_normalize_vjp.defvjp(lambda h, _, g, x, **saved: _normalize_vjp(h, x, **saved),
                      lambda h, _, g, x, **saved: _normalize_vjp_x(h, g, x, **saved))
_normalize_vjp_x.defvjp_all(_third)


# ------------------------------------------------------------------------------ the batch of all ranks

def _over_ranks(x, eps):
    own, mu, var = kernel.normalize(x.data, eps)
    moments = concatenate([mu, var + mu * mu]).astype(np.float64)       # float64: their difference loses nothing that counts
    mean_, second = array_module(moments).split(world().sum(moments, "statistics") / world().size, 2)
    variance = (second - mean_ * mean_).clip(0)
    r = (variance + eps) ** -0.5
    scale, shift = (a.astype(x.dtype) for a in (r * (var + eps) ** 0.5, (mu - mean_) * r))
    y = kernel.scale_shift(own, scale, shift)
    return _normalize_all(x, y=y, r=r.astype(x.dtype), eps=eps), mean_.astype(x.dtype), variance.astype(x.dtype)


@operation
def _normalize_all(x, y, r, eps):
    return y


@operation
def _normalize_all_vjp(g, x, y, r, eps):
    """kernel.normalize_vjp with the means over all ranks."""
    rows = g.size // g.shape[-1] * world().size
    sums = concatenate([kernel.channel_sum(g), kernel.channel_sum(g * y)])
    mean_g, mean_gy = array_module(g).split(world().sum(sums, "statistics") / rows, 2)
    return (g - mean_g - y * mean_gy) * r


def _formula_all(x, eps):
    """The normalisation written out, to be differentiated beyond the first order."""
    axes = tuple(range(x.ndim - 1))
    centred = x - mean_over_ranks(mean(x, axes))
    return centred * (mean_over_ranks(mean(square(centred), axes)) + eps) ** -0.5


def _second_all(k, h, _, g, x, y, r, eps):
    if k == 0:
        return _normalize_all_vjp(h, x, y=y, r=r, eps=eps)      # self-adjoint
    with enable_grad():
        g, x = _alias(g), _alias(x)
        first = grad(_formula_all(x, eps), x, g, create_graph=True)
        part = grad(first, x, h, create_graph=True)
    return _alias(part)


_normalize_all.defvjp(lambda g, _, x, **saved: _normalize_all_vjp(g, x, **saved))
_normalize_all_vjp.defvjp_all(_second_all)
