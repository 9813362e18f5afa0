"""All operations by name, and the operators and methods of Tensor, which are these functions."""

import numpy as np

from . import contraction, elementwise, pooling, products, reductions, shapes
from .contraction import *
from .elementwise import *
from .elementwise import _data
from .engine import Tensor, add, astype, broadcast_to, sum_to
from .messages import ELSEWHERE
from .pooling import *
from .products import *
from .reductions import *
from .shapes import *

__all__ = [*elementwise.__all__, *shapes.__all__, *products.__all__, *reductions.__all__,
           *pooling.__all__, *contraction.__all__, "add", "astype", "broadcast_to", "sum_to"]


def _method_reshape(self, *shape):
    return reshape(self, shape[0] if len(shape) == 1 else shape)


def _method_transpose(self, *axes):
    axes = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
    return transpose(self, axes=tuple(axes) if axes else None)


def _ufunc(self, ufunc, method, *inputs, out=None, **options):
    """NumPy's own functions of Tensors, ``array * tensor`` among them: the operation of the same
    name, or a comparison, which has no gradient."""
    name = "abs" if ufunc is np.absolute else ufunc.__name__
    in_place = out is not None and out[0] is inputs[0]      # array += tensor: a name for a Tensor
    if method == "__call__" and not options and (out is None or in_place):
        if name in __all__:
            # NumPy hands its numbers over as arrays without axes
            return globals()[name](*(i[()] if type(i) is np.ndarray else i for i in inputs))
        of_floats = [kinds for kinds in ufunc.types if kinds[0] in "fd"]
        if of_floats and all(kinds.endswith("->?") for kinds in of_floats):
            return ufunc(*map(_data, inputs))
    _refuse(f"numpy.{ufunc.__name__}")


def _array_function(self, function, types, arguments, options):
    if function in (np.shape, np.ndim, np.size) and len(arguments) == 1:
        return getattr(arguments[0], function.__name__)
    _refuse(f"numpy.{function.__name__}")


def _refuse(what):
    name = what.rpartition(".")[2]
    instead = f"ldf_np.{name}" if name in __all__ else "the functions of ldf_np"
    raise TypeError(f"{what}: expected arrays, got a Tensor, whose gradient would be lost: use "
                    f"{instead}, or tensor.numpy()")


for _name in {*__all__} - {"add", "astype", "broadcast_to", "sum_to"}:
    ELSEWHERE.setdefault(_name, f"ldf_np.{_name}(tensor)")

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
        "sum": sum, "mean": mean, "max": max, "min": min, "var": var, "std": std,
        "reshape": _method_reshape, "transpose": _method_transpose,
        # Comparisons give boolean arrays and have no gradient. A Tensor is a key of a dict by what
        # it is, not by what is in it: it keeps its own hash.
        "__eq__": lambda a, b: a.data == _data(b), "__ne__": lambda a, b: a.data != _data(b),
        "__array_ufunc__": _ufunc, "__array_function__": _array_function,
        "__lt__": lambda a, b: a.data < _data(b), "__le__": lambda a, b: a.data <= _data(b),
        "__gt__": lambda a, b: a.data > _data(b), "__ge__": lambda a, b: a.data >= _data(b),
}.items():
    setattr(Tensor, _name, _function)
Tensor.T = property(lambda self: transpose(self))
