"""The convolution trio: three faces of one trilinear form, and one rule for all, to every order.

    T(x, w, y) = sum over n,i,j,u,v,c,o of x[n, i*s+u-p, j*s+v-p, c] * w[u,v,c,o] * y[n,i,j,o]

conv2d = dT/dy, conv_transpose2d = dT/dx, conv2d_weight = dT/dw. Since T is linear in each argument,
the rule is: put the cotangent in the hole; each wanted input becomes the next hole.

What the kernel makes of an array on the way (its lowering) is kept on the Tensor, because the next
face reads the same array: x and w meet in the forward pass, x and the cotangent in the gradient of
w, and so on.
"""

from ..kernels import conv as kernel
from .elementwise import activated
from .engine import Tensor, operation


def conv2d(x, w, stride=1, padding=0, bias=None, slope=1.0):
    """Cross-correlation: (n, h, w, c) * (kh, kw, c, o) -> (n, i, j, o).

    ``stride`` and ``padding`` are ints or (rows, columns). ``bias`` (o,) is added and a leaky ReLU
    of ``slope`` (1 for none) applied in the same pass. Raises ValueError where the shapes do not
    fit.
    """
    y = _conv2d(*_given(x, w, bias), stride=stride, padding=padding, slope=slope,
                cache=_caches(x, w))
    return activated(y, slope)


def conv_transpose2d(y, w, stride=1, padding=0, output_size=None, bias=None, slope=1.0):
    """The adjoint of conv2d in x, with the same w: (n, i, j, o) * (kh, kw, c, o) -> (n, h, w, c).

    ``bias`` (c,) and ``slope`` work as there. Several sizes (h, w) are mapped to (i, j) by conv2d:
    ``output_size`` says which is meant, by default the smallest.
    """
    x = _conv_transpose2d(*_given(y, w, bias), stride=stride, padding=padding,
                          output_size=output_size, slope=slope, cache=_caches(y, w))
    return activated(x, slope)


def conv2d_weight(x, y, kernel_size, stride=1, padding=0):
    """The adjoint of conv2d in w: (n, h, w, c) * (n, i, j, o) -> (kh, kw, c, o)."""
    return _conv2d_weight(x, y, kernel_size=kernel_size, stride=stride, padding=padding,
                          cache=_caches(x, y))


def _given(*arguments):
    """The arguments without a bias of None."""
    return arguments if arguments[-1] is not None else arguments[:-1]


def _caches(*arguments):
    """The dict on each Tensor in which its lowerings are kept; None for what may change in
    place."""
    return tuple(a.cache if isinstance(a, Tensor) else None for a in arguments)


# With a slope the rule is still that of the linear part: `activated` comes after it. The bias's
# cotangent is g itself, for the engine sums.

@operation(vjp=(
    lambda g, y, x, w, *_, stride, padding, **__: conv_transpose2d(
        g, w, stride, padding, x.shape[1:3]),
    lambda g, y, x, w, *_, stride, padding, **__: conv2d_weight(x, g, w.shape[:2], stride, padding),
    lambda g, *_, **__: g))
def _conv2d(x, w, *bias, **geometry):
    return kernel.conv2d(x, w, bias=bias[0] if bias else None, **geometry)


@operation(vjp=(
    lambda g, x, y, w, *_, stride, padding, **__: conv2d(g, w, stride, padding),
    lambda g, x, y, w, *_, stride, padding, **__: conv2d_weight(g, y, w.shape[:2], stride, padding),
    lambda g, *_, **__: g))
def _conv_transpose2d(y, w, *bias, **geometry):
    return kernel.conv_transpose2d(y, w, bias=bias[0] if bias else None, **geometry)


@operation(vjp=(
    lambda g, w, x, y, kernel_size, stride, padding, cache: conv_transpose2d(
        y, g, stride, padding, x.shape[1:3]),
    lambda g, w, x, y, kernel_size, stride, padding, cache: conv2d(x, g, stride, padding)))
def _conv2d_weight(x, y, **geometry):
    return kernel.conv2d_weight(x, y, **geometry)
