"""The layers that pool: the mean or the largest of each window of an image."""

from ..autodiff import ops
from ..autodiff.pooling import geometry
from .module import Module


class AvgPool2d(Module):
    """The mean of each window: (n, h, w, c) -> (n, i, j, c), zeros around the image included.

    ``kernel_size``, ``stride`` (by default the kernel's size) and ``padding`` (at most half of it)
    are ints or (rows, columns), as in PyTorch.
    """

    pool = staticmethod(ops.avg_pool2d)

    def __init__(self, kernel_size, stride=None, padding=0):
        self.kernel_size, self.stride, self.padding = geometry(
            kernel_size, stride, padding, f"{type(self).__name__}: ").values()

    def forward(self, x):
        return self.pool(x, self.kernel_size, self.stride, self.padding)


class MaxPool2d(AvgPool2d):
    """The largest of each window: (n, h, w, c) -> (n, i, j, c). Arguments as of ``AvgPool2d``; the
    padding is never the largest."""

    pool = staticmethod(ops.max_pool2d)
