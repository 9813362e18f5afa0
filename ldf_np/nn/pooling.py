"""The layers that pool: the mean or the largest of each window of an image."""

from ..autodiff import ops
from ..kernels.conv import pair
from ..runtime.checks import expect
from .module import Module


class AvgPool2d(Module):
    """The mean of each window: (n, h, w, c) -> (n, i, j, c), zeros around the image included.

    ``kernel_size``, ``stride`` (by default the kernel's size) and ``padding`` (at most half of it)
    are ints or (rows, columns), as in PyTorch.
    """

    pool = staticmethod(ops.avg_pool2d)

    def __init__(self, kernel_size, stride=None, padding=0):
        name = type(self).__name__
        self.kernel_size = pair(kernel_size, f"{name}: kernel_size", 1)
        self.stride = self.kernel_size if stride is None else pair(stride, f"{name}: stride", 1)
        self.padding = pair(padding, f"{name}: padding", 0)
        expect(all(2 * p <= k for p, k in zip(self.padding, self.kernel_size)), f"{name}: padding",
               f"at most half of the kernel's size {self.kernel_size}", self.padding)

    def forward(self, x):
        return self.pool(x, self.kernel_size, self.stride, self.padding)


class MaxPool2d(AvgPool2d):
    """The largest of each window: (n, h, w, c) -> (n, i, j, c). Arguments as of ``AvgPool2d``; the
    padding is never the largest."""

    pool = staticmethod(ops.max_pool2d)
