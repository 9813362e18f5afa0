"""Batch normalisation as one differentiable operation, to every order. The batch is that of all
ranks of a training."""

from ..kernels import norm as kernel
from ..kernels.elementwise import scale_shift
from ..runtime.distributed import world
from .elementwise import activated, square
from .engine import enable_grad, grad, operation, wide
from .products import scaled
from .shapes import mean


def normalize(x, eps=1e-5):
    """Bring each channel to mean 0 and variance 1 over the batch (Ioffe and Szegedy 2015, without
    scale and shift).

    x (..., c) -> y (..., c), a Tensor, and the arrays mean (c,) and biased variance (c,), which are
    constants.
    """
    y, mu, var = kernel.normalize(x.data, eps, _over_ranks())
    return _normalize(x, y=y, r=(var + eps) ** -0.5, eps=eps), mu, var


def batch_norm(x, scale, shift, eps=1e-5, slope=1.0):
    """``normalize``, and then times scale (c,), plus shift (c,) and a leaky ReLU of ``slope`` (1
    for none): one operation, whose cotangents have the sums over the batch in common."""
    y, mu, var = kernel.normalize(x.data, eps, _over_ranks())
    result = _batch_norm(x, scale, shift, slope=slope, y=y, r=(var + eps) ** -0.5, eps=eps)
    return activated(result, slope), mu, var


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


@operation(vjp=(
    lambda g, _, x, scale, shift, slope, **saved: _batch_norm_vjp(g, x, scale, kept=g.cache,
                                                                  **saved),
    lambda g, _, x, scale, shift, slope, **saved: _product_sum(g, x, kept=g.cache, **saved),
    lambda g, *_, **__: g))
def _batch_norm(x, scale, shift, slope, y, r, eps):
    return scale_shift(y, scale, shift, slope)


@operation(vjp=(
    lambda h, _, g, x, scale, kept, **saved: _batch_norm_vjp(h, x, scale, kept=None, **saved),
    lambda h, _, g, x, scale, kept, **saved: _normalize_vjp_x(h, scaled(g, scale), x, **saved),
    lambda h, _, g, x, scale, kept, **saved: g * _normalize_vjp(h, x, **saved)))
def _batch_norm_vjp(g, x, scale, kept, y, r, eps):
    """That of ``normalize`` of g scale, which is scale times that of g."""
    return kernel.normalize_vjp(g, y, r * scale, _over_ranks(), _kept_sum(g, y, kept))


@operation(vjp=(
    lambda h, _, g, x, kept, **saved: scaled(_normalize(x, **saved), h),
    lambda h, _, g, x, kept, **saved: _normalize_vjp(scaled(g, h), x, **saved)))
def _product_sum(g, x, kept, y, r, eps):
    return _kept_sum(g, y, kept)


def _kept_sum(g, y, kept):
    """``kernel.product_sum(g, y)``, from ``kept`` (the cache of g) where it is there: two rules ask
    for it."""
    kept = {} if kept is None else kept
    if ("with", id(y)) not in kept:
        kept["with", id(y)] = kernel.product_sum(g, y), y       # y too, for its id
    return kept["with", id(y)][0]


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
