"""All operations by name, and the operators and methods of Tensor, which are these functions."""

from . import elementwise, products, shapes
from .elementwise import *
from .elementwise import _data
from .engine import Tensor, add, astype, broadcast_to, sum_to
from .products import *
from .shapes import *

__all__ = [*elementwise.__all__, *shapes.__all__, *products.__all__,
           "add", "astype", "broadcast_to", "sum_to"]


def _method_reshape(self, *shape):
    return reshape(self, shape[0] if len(shape) == 1 else shape)


def _method_transpose(self, *axes):
    axes = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
    return transpose(self, axes=tuple(axes) if axes else None)


# They are set here because the engine, which comes before them, cannot know them.
for _name, _function in {
        "__add__": add, "__radd__": lambda a, b: add(b, a),
        "__sub__": subtract, "__rsub__": lambda a, b: subtract(b, a),
        "__mul__": multiply, "__rmul__": lambda a, b: multiply(b, a),
        "__truediv__": divide, "__rtruediv__": lambda a, b: divide(b, a),
        "__pow__": power, "__rpow__": lambda a, b: power(b, a),
        "__matmul__": matmul, "__rmatmul__": lambda a, b: matmul(b, a),
        "__neg__": negative, "__abs__": abs,
        "__getitem__": lambda x, index: getitem(x, index=index),
        "sum": sum, "mean": mean, "max": max, "min": min,
        "reshape": _method_reshape, "transpose": _method_transpose,
        # Comparisons give boolean arrays and have no gradient. A Tensor is a key of a dict by what
        # it is, not by what is in it: it keeps its own hash.
        "__eq__": lambda a, b: a.data == _data(b), "__ne__": lambda a, b: a.data != _data(b),
        "__lt__": lambda a, b: a.data < _data(b), "__le__": lambda a, b: a.data <= _data(b),
        "__gt__": lambda a, b: a.data > _data(b), "__ge__": lambda a, b: a.data >= _data(b),
}.items():
    setattr(Tensor, _name, _function)
Tensor.T = property(lambda self: transpose(self))
