"""All operations by name, and the operators and methods of Tensor, which are these functions."""

from .elementwise import (
    _data,
    abs,
    clip,
    divide,
    exp,
    leaky_relu,
    log,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    relu,
    sigmoid,
    softplus,
    sqrt,
    square,
    subtract,
    tanh,
    where,
)
from .engine import Tensor, add, astype, broadcast_to, sum_to
from .products import linear, matmul, scale_shift
from .shapes import (
    concatenate,
    getitem,
    max,
    maxout,
    mean,
    min,
    pad,
    reshape,
    split,
    stack,
    sum,
    swapaxes,
    transpose,
)

__all__ = ["abs", "add", "astype", "broadcast_to", "clip", "concatenate", "divide", "exp",
           "getitem", "leaky_relu", "linear", "log", "matmul", "max", "maximum", "maxout", "mean",
           "min", "minimum", "multiply", "negative", "pad", "power", "relu", "reshape",
           "scale_shift", "sigmoid", "softplus", "split", "sqrt", "square", "stack", "subtract",
           "sum", "sum_to", "swapaxes", "tanh", "transpose", "where"]


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
        "__lt__": lambda a, b: a.data < _data(b), "__le__": lambda a, b: a.data <= _data(b),
        "__gt__": lambda a, b: a.data > _data(b), "__ge__": lambda a, b: a.data >= _data(b),
}.items():
    setattr(Tensor, _name, _function)
Tensor.T = property(lambda self: transpose(self))
