"""The convolution trio: three faces of one trilinear form, and one rule for all of them, to every order.

    T(x, w, y) = sum over n,i,j,u,v,c,o of x[n, i*s+u-p, j*s+v-p, c] * w[u,v,c,o] * y[n,i,j,o]

conv2d = dT/dy, conv_transpose2d = dT/dx, conv2d_weight = dT/dw. Since T is linear in each argument, the rule is:
put the cotangent in the hole; each wanted input becomes the next hole.
"""

from .engine import operation
from .kernels import conv as kernel


@operation
def conv2d(x, w, stride=1, padding=0):
    """Cross-correlation: (n, h, w, c) * (kh, kw, c, o) -> (n, i, j, o)."""
    return kernel.conv2d(x, w, stride, padding)


@operation
def conv_transpose2d(y, w, stride=1, padding=0, output_size=None):
    """The adjoint of conv2d in x, with the same w: (n, i, j, o) * (kh, kw, c, o) -> (n, h, w, c).

    ``output_size`` (h, w) says which of the sizes that conv2d maps to (i, j) is meant; by default the smallest.
    """
    return kernel.conv_transpose2d(y, w, stride, padding, output_size)


@operation
def conv2d_weight(x, y, kernel_size, stride=1, padding=0):
    """The adjoint of conv2d in w: (n, h, w, c) * (n, i, j, o) -> (kh, kw, c, o)."""
    return kernel.conv2d_weight(x, y, kernel_size, stride, padding)


conv2d.defvjp(
    lambda g, y, x, w, stride=1, padding=0: conv_transpose2d(g, w, stride=stride, padding=padding, output_size=x.shape[1:3]),
    lambda g, y, x, w, stride=1, padding=0: conv2d_weight(x, g, kernel_size=w.shape[:2], stride=stride, padding=padding))
conv_transpose2d.defvjp(
    lambda g, x, y, w, stride=1, padding=0, output_size=None: conv2d(g, w, stride=stride, padding=padding),
    lambda g, x, y, w, stride=1, padding=0, output_size=None: conv2d_weight(g, y, kernel_size=w.shape[:2], stride=stride, padding=padding))
conv2d_weight.defvjp(
    lambda g, w, x, y, kernel_size, stride=1, padding=0: conv_transpose2d(y, g, stride=stride, padding=padding, output_size=x.shape[1:3]),
    lambda g, w, x, y, kernel_size, stride=1, padding=0: conv2d(x, g, stride=stride, padding=padding))
