"""The gradient check: a rule is compared with central differences, to any order."""

import numpy as np

from ..runtime.checks import checked, finite_array, function, instance, integer, real, several
from . import ops
from .engine import Tensor, enable_grad, grad


def _array(name, argument):
    """A rule: a Tensor or an array of finite numbers. Returns a NumPy array."""
    data = argument.data if isinstance(argument, Tensor) else argument
    return finite_array()(name, np.asarray(data))


@checked(f=function, order=integer(1), eps=real(0), rtol=real(0), atol=real(0), seed=integer(0),
         args=several(_array, what="array or Tensor"))
def check_grads(f, args, order=2, eps=1e-6, rtol=1e-5, atol=1e-7, seed=0):
    """Compare the gradients of ``f`` with central differences along random directions.

    At each order the vector-Jacobian product of f is compared with

        (f(x + eps u) - f(x - eps u)) / 2 eps

    one argument at a time. Then the map from (arguments, cotangent) to all gradients of f takes the
    place of f. So at order two and above the cotangent is an argument like any other, and a rule
    that ignores it cannot pass.

    Parameters
    ----------
    f : callable
        Tensors in, one Tensor out. Must be smooth within ``eps`` of ``args`` and free of hidden
        randomness.
    args : sequence of arrays or Tensors
        Cast to float64.
    order : int
        The highest derivative to check, at least 1.

    Raises
    ------
    AssertionError
        Naming the argument, the order and both values.
    TypeError, ValueError
        For arguments that are not finite real numbers, none at all, or an order below 1.
    """
    arrays = [_array("args", a).astype(np.float64) for a in args]
    names = [f"argument {k}" for k in range(len(arrays))]
    with enable_grad():
        _compare(f, arrays, names, 1, order, eps, rtol, atol, np.random.default_rng(seed))


def _compare(f, arrays, names, level, order, eps, rtol, atol, rng):
    args = [Tensor(a) for a in arrays]
    y = instance(Tensor)("check_grads: the result of f", f(*args))
    cotangent = rng.standard_normal(y.shape)
    grads = grad(y, args, Tensor(cotangent), allow_unused=True)

    for k, (array, g) in enumerate(zip(arrays, grads)):
        u = rng.standard_normal(array.shape)

        def along(step):
            moved = [Tensor(a + step * u) if j == k else Tensor(a) for j, a in enumerate(arrays)]
            return np.vdot(f(*moved).data, cotangent)

        expected = (along(eps) - along(-eps)) / (2 * eps)
        got = np.vdot(g.data, u)
        scale = max(abs(expected), abs(got), np.linalg.norm(g.data))
        if not abs(got - expected) <= atol + rtol * scale:      # no assert: python -O drops it
            raise AssertionError(f"check_grads: {names[k]}, order {level}: the rule gives "
                                 f"{got:.12g}, central differences {expected:.12g}")

    if level < order:
        def gradients(*args_and_cotangent):
            *inner, v = args_and_cotangent
            gs = grad(f(*inner), inner, v, create_graph=True, allow_unused=True)
            return ops.concatenate([ops.reshape(g, -1) for g in gs])

        _compare(gradients, [*arrays, cotangent], [*names, f"the cotangent of order {level}"],
                 level + 1, order, eps, rtol, atol, rng)
