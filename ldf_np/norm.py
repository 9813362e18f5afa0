"""Batch normalisation as one differentiable operation, to every order."""

from .engine import enable_grad, grad, operation
from .kernels import norm as kernel
from .ops import mean, square


def normalize(x, eps=1e-5):
    """Each channel brought to mean 0 and variance 1 over the batch (Ioffe and Szegedy 2015, without scale and shift).

    (..., c) -> y (..., c) as a Tensor, and the arrays mean (c,) and biased variance (c,), constants.
    """
    y, mu, var = kernel.normalize(x.data, eps)
    return _normalize(x, y=y, inverse_std=(var + eps) ** -0.5, eps=eps), mu, var


@operation
def _normalize(x, y, inverse_std, eps):
    return y


@operation
def _normalize_vjp(g, x, y, inverse_std, eps):
    return kernel.normalize_vjp(g, y, inverse_std)


def _formula(g, x, eps):
    """The vector-Jacobian product written out, to be differentiated in x."""
    axes = tuple(range(x.ndim - 1))
    centred = x - mean(x, axes)
    inverse_std = (mean(square(centred), axes) + eps) ** -0.5
    y = centred * inverse_std
    return (g - mean(g, axes) - y * mean(g * y, axes)) * inverse_std


@operation
def _alias(x):
    return x


def _second(h, _, g, x, y, inverse_std, eps):
    with enable_grad():
        # g may itself depend on x, but what is wanted is the derivative in x alone: aliases part the two.
        g, x = _alias(g), _alias(x)
        part = grad(_formula(g, x, eps), x, h, create_graph=True)
    return _alias(part)         # outside: it has a history only where the caller records one


_alias.defvjp(lambda g, y, x: g)
_normalize.defvjp(lambda g, _, x, **saved: _normalize_vjp(g, x, **saved))
_normalize_vjp.defvjp(lambda h, _, g, x, **saved: _normalize_vjp(h, x, **saved), _second)
