"""Normalisation over all axes but the last, its vector-Jacobian product, and channel sums.

    mean_c = sum_m x_mc / M,   var_c = sum_m (x_mc - mean_c)^2 / M,   y_mc = (x_mc - mean_c) / sqrt(var_c + eps)

where m runs over every axis but the last.
"""

from .cuda import array_module


def channel_sum(x):
    """(..., c) -> (c,): the sum over all axes but the last.

    Wherever the channels lie in memory, dense axes before and after them are one axis each: (a, c, b). Both sums are
    matrix-vector products with ones, which BLAS streams several times faster than NumPy reduces over leading axes.
    """
    xp, channel = array_module(x), x.ndim - 1
    order = sorted(range(x.ndim), key=lambda k: -x.strides[k])
    before, after = order[:order.index(channel)], order[order.index(channel) + 1:]
    inner = 1
    for k in after:
        inner *= x.shape[k]
    sums = x.transpose(order).reshape(-1, inner)                        # (a * c, b)
    sums = sums @ xp.ones(inner, x.dtype) if after else sums
    return xp.ones(sums.size // x.shape[-1], x.dtype) @ sums.reshape(-1, x.shape[-1]) if before else sums.reshape(-1)


def normalize(x, eps):
    """(..., c) -> y (..., c), mean (c,), var (c,)."""
    count = x.size // x.shape[-1]
    mean = channel_sum(x) / count
    y = x - mean
    var = channel_sum(y * y) / count
    y *= (var + eps) ** -0.5
    return y, mean, var


def normalize_vjp(g, y, inverse_std):
    """The cotangent of x: (g - mean(g) - y * mean(g * y)) / std. Linear and self-adjoint in g."""
    count = g.size // g.shape[-1]
    out = g * y
    mean_gy = channel_sum(out) / count
    array_module(g).multiply(y, -mean_gy, out=out)
    out += g
    out -= channel_sum(g) / count
    out *= inverse_std
    return out
