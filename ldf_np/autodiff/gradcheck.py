"""The one gradient check: every rule of the library is compared with central differences, to any
order."""

import numpy as np

from ..runtime.checks import finite, function, number, numbers, one_of_type, whole
from . import ops
from .engine import Tensor, grad


def check_grads(f, args, order=2, eps=1e-6, rtol=1e-5, atol=1e-7, seed=0):
    """Compare the gradients of ``f`` with central differences along random directions.

    At each order the vector-Jacobian product of f is checked against (f(x + eps u) - f(x - eps u))
    / 2 eps, one argument at a time; then the map from (arguments, cotangent) to all of f's
    gradients takes f's place. So at order two and above the cotangent is an argument like any
    other: a rule that ignores it cannot pass.

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
    ValueError
        For an order below 1 or no arguments.
    """
    whole("check_grads: order", order), whole("check_grads: seed", seed,
                                              0), function("check_grads: f", f)
    for name, value in (("eps", eps), ("rtol", rtol), ("atol", atol)):
        number(f"check_grads: {name}", value, 0)
    if not isinstance(args, (list, tuple)) or not args:
        raise ValueError(
            f"check_grads: args: expected at least one argument, in a list, got {args!r:.80}")
    arrays = [np.asarray(a.data if isinstance(a, Tensor) else a) for a in args]
    for k, array in enumerate(arrays):
        finite(f"check_grads: args[{k}]", numbers(f"check_grads: args[{k}]", array))
    arrays = [array.astype(np.float64) for array in arrays]
    names = [f"argument {k}" for k in range(len(arrays))]
    _check(f, arrays, names, 1, order, eps, rtol, atol, np.random.default_rng(seed))


def _check(f, arrays, names, level, order, eps, rtol, atol, rng):
    args = [Tensor(a) for a in arrays]
    y = one_of_type("check_grads: the result of f", f(*args), Tensor)
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
        assert abs(got - expected) <= atol + rtol * scale, (
            f"check_grads: {names[k]}, order {level}: the rule gives {got:.12g}, central "
            f"differences {expected:.12g}")

    if level < order:
        def gradients(*args_and_cotangent):
            *inner, v = args_and_cotangent
            gs = grad(f(*inner), inner, v, create_graph=True, allow_unused=True)
            return ops.concatenate([ops.reshape(g, -1) for g in gs])

        _check(gradients, [*arrays, cotangent], [*names, f"the cotangent of order {level}"],
               level + 1, order, eps, rtol, atol, rng)
