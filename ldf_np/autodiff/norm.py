"""Batch normalisation as one differentiable operation, to every order. The batch is that of all
ranks of a training."""

from ..kernels import norm as kernel
from ..runtime.distributed import world
from .elementwise import square
from .engine import enable_grad, grad, operation, wide
from .shapes import mean


def normalize(x, eps=1e-5):
    """Bring each channel to mean 0 and variance 1 over the batch (Ioffe and Szegedy 2015, without
    scale and shift).

    x (..., c) -> y (..., c), a Tensor, and the arrays mean (c,) and biased variance (c,), which are
    constants.
    """
    y, mu, var = kernel.normalize(x.data, eps, _over_ranks())
    return _normalize(x, y=y, r=(var + eps) ** -0.5, eps=eps), mu, var


def _over_ranks():
    """The function from means of a rank's rows to means of all rows (each rank has as many); None
    for one rank."""
    ranks = world()
    return None if ranks.size == 1 else lambda means: ranks.sum(means, "statistics") / ranks.size


@operation(vjp=lambda g, _, x, **saved: _normalize_vjp(g, x, **saved))
def _normalize(x, y, r, eps):
    return y


@operation(vjp=(lambda h, _, g, x, **saved: _normalize_vjp(h, x, **saved),
                lambda h, _, g, x, **saved: _normalize_vjp_x(h, g, x, **saved)))
def _normalize_vjp(g, x, y, r, eps):
    return kernel.normalize_vjp(g, y, r, _over_ranks())


def _third(k, c, _, h, g, x, eps, **saved):
    with enable_grad():
        # h and g may depend on x, but one partial derivative is wanted: aliases separate them.
        arguments = [_alias(a) for a in (h, g, x)]
        value = _formula(*map(wide, arguments), eps)
        part = grad(value, arguments[k], c, create_graph=True)
    return _alias(part)         # outside: it has a history only where the caller records one


@operation(vjp_all=_third)
def _normalize_vjp_x(h, g, x, y, r, eps):
    return kernel.normalize_vjp_x(h, g, y, r, _over_ranks())


@operation(vjp=lambda g, y, x: g)
def _alias(x):
    return x


def _formula(h, g, x, eps):
    """kernel.normalize_vjp_x as a formula of operations, to be differentiated in turn."""
    def average(a):
        return mean_over_ranks(mean(a, tuple(range(x.ndim - 1))))

    centred = x - average(x)
    r = (average(square(centred)) + eps) ** -0.5
    y = centred * r
    mean_h, mean_g, mean_hy, mean_gy = average(h), average(g), average(h * y), average(g * y)
    return -square(r) * ((h - mean_h) * mean_gy + (g - mean_g) * mean_hy
                         + y * (average(h * g) - mean_h * mean_g - 3 * mean_hy * mean_gy))


def mean_over_ranks(x):
    """The mean over the ranks of a training (``distributed.World``), each with its own ``x``."""
    return x if world().size == 1 else _mean_over_ranks(x)


# Each rank's x is in the result of every rank, and their losses are added. So the adjoint of a sum
# over ranks is a sum over ranks.
@operation(vjp=lambda g, y, x: mean_over_ranks(g))
def _mean_over_ranks(x):
    return world().sum(x) / world().size
