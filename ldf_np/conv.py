"""The convolution trio: three faces of one trilinear form, and one rule for all of them, to every order.

    T(x, w, y) = sum over n,i,j,u,v,c,o of x[n, i*s+u-p, j*s+v-p, c] * w[u,v,c,o] * y[n,i,j,o]

conv2d = dT/dy, conv_transpose2d = dT/dx, conv2d_weight = dT/dw. Since T is linear in each argument, the rule is:
put the cotangent in the hole; each wanted input becomes the next hole.

What the kernel made of an array on the way (its lowering) is kept on the Tensor, for the next face reads the same
array again: x and w meet in the forward pass, x and the cotangent in the weight's gradient, and so on.
"""

from .engine import Tensor, operation
from .kernels import conv as kernel


def conv2d(x, w, stride=1, padding=0):
    """Cross-correlation: (n, h, w, c) * (kh, kw, c, o) -> (n, i, j, o).

    ``stride`` and ``padding`` are ints or (rows, columns). Raises ValueError where the shapes do not fit.
    """
    return _conv2d(x, w, stride=stride, padding=padding, cache=_caches(x, w))


def conv_transpose2d(y, w, stride=1, padding=0, output_size=None):
    """The adjoint of conv2d in x, with the same w: (n, i, j, o) * (kh, kw, c, o) -> (n, h, w, c).

    ``output_size`` (h, w) says which of the sizes that conv2d maps to (i, j) is meant; by default the smallest.
    """
    return _conv_transpose2d(y, w, stride=stride, padding=padding, output_size=output_size, cache=_caches(y, w))


def conv2d_weight(x, y, kernel_size, stride=1, padding=0):
    """The adjoint of conv2d in w: (n, h, w, c) * (n, i, j, o) -> (kh, kw, c, o)."""
    return _conv2d_weight(x, y, kernel_size=kernel_size, stride=stride, padding=padding, cache=_caches(x, y))


def _caches(*arguments):
    """The dict on each Tensor in which its lowerings are kept; none for what may change in place."""
    return tuple(a.cache if isinstance(a, Tensor) else None for a in arguments)


_conv2d = operation(kernel.conv2d)
_conv_transpose2d = operation(kernel.conv_transpose2d)
_conv2d_weight = operation(kernel.conv2d_weight)


_conv2d.defvjp(
    lambda g, y, x, w, stride, padding, cache: conv_transpose2d(g, w, stride, padding, x.shape[1:3]),
    lambda g, y, x, w, stride, padding, cache: conv2d_weight(x, g, w.shape[:2], stride, padding))
_conv_transpose2d.defvjp(
    lambda g, x, y, w, stride, padding, output_size, cache: conv2d(g, w, stride, padding),
    lambda g, x, y, w, stride, padding, output_size, cache: conv2d_weight(g, y, w.shape[:2], stride, padding))
_conv2d_weight.defvjp(
    lambda g, w, x, y, kernel_size, stride, padding, cache: conv_transpose2d(y, g, stride, padding, x.shape[1:3]),
    lambda g, w, x, y, kernel_size, stride, padding, cache: conv2d(x, g, stride, padding))
