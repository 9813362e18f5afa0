"""Reverse-mode differentiation to any order: Tensor, grad and no_grad. The tape, and nothing else.

An operation's forward takes arrays; its rules (vector-Jacobian products) take and return Tensors
and are written with the same operations. So a gradient is itself differentiable, and double
backpropagation needs no second code path. Gradients are returned, never stored: a graph refers only
from results to inputs, has no cycles, and is freed by reference counting as soon as its result is
dropped.
"""

import functools
import inspect
import math
from contextlib import ContextDecorator
from contextvars import ContextVar

import numpy as np

from ..kernels.norm import LONGEST, channel_sum
from ..runtime.checks import checked, expect, full_name, instance, unmasked
from ..runtime.device import array_module, from_dlpack, to_numpy, xp
from ..runtime.recording import Recorded
from .messages import CUT, ELSEWHERE, named

# Why nothing is recorded now, a key of CUT; None where operations record
_frozen = ContextVar("frozen", default=None)


class Tensor:
    """An array and the operation that made it.

    Parameters
    ----------
    data : array_like
        Floating-point arrays are kept as they are, without a copy, and so are those of other
        libraries that support DLPack (PyTorch's tensors, say). Arrays of integers and booleans,
        lists and Python numbers become float32.

    Notes
    -----
    Operations copy nothing: an array that one has read, an index or a mask too, is not to change
    before its gradient is taken.

    Raises
    ------
    TypeError
        For data that is not real numbers, and for a Tensor.
    """

    __slots__ = ("data", "node", "cache", "cut", "__weakref__")

    def __init__(self, data, node=None):
        is_float = type(data) in (np.ndarray, Recorded) and data.dtype.kind == "f"
        self.data = data if is_float else _as_float_array(data)
        self.node = node
        # What an operation keeps for the next one that reads the same data: see immutable().
        self.cache = None
        self.cut = None     # a key of CUT

    shape = property(lambda self: self.data.shape)
    dtype = property(lambda self: self.data.dtype)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)

    def detach(self):
        """The same data without its history."""
        tensor = Tensor(self.data)
        tensor.cut = self.cut or "detach"
        return tensor

    def item(self):
        """The value of a one-element Tensor as a Python float, as ``float(tensor)`` is."""
        expect(self.size == 1, "item", "a Tensor of one element", self)
        return float(self.data.item())

    __float__ = item

    def __int__(self):
        return int(self.item())

    def __format__(self, spec):
        """``f"{loss:.3f}"``: the value of a Tensor of one element."""
        return format(self.item(), spec) if spec or not self.ndim else str(self)

    def numpy(self):
        """The data as a NumPy array (no copy where it is one)."""
        return to_numpy(self.data)

    def __array__(self, *_, **__):
        raise TypeError("a Tensor does not turn into an array silently, for its gradient would be "
                        "lost: use the functions of ldf_np, or tensor.data")

    def __dlpack__(self, **options):
        """The data for another library, without a copy: ``torch.from_dlpack(tensor)``, say.
        Raises TypeError for a Tensor with a history."""
        if self.node is not None:
            raise TypeError("a Tensor with a history is not given away, for its gradient would be "
                            "lost: use tensor.detach()")
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()

    # ops.py has the operators.
    def __contains__(self, value):
        return bool((self == value).any())

    def __len__(self):
        if not self.ndim:
            raise TypeError("a Tensor without axes has no length and nothing to iterate over: "
                            "float(tensor) is its value")
        return len(self.data)

    def __iter__(self):
        return (self[k] for k in range(len(self)))

    def __bool__(self):
        expect(self.size == 1, "bool", "a Tensor of one element, for the truth of several is "
               "ambiguous (a comparison is an array: take its .any() or .all())", self)
        return bool(self.data)

    def __setitem__(self, index, value):
        raise TypeError("a Tensor's elements are not assigned, for its history would be wrong: "
                        "ldf_np.where(mask, a, b) makes a new one (tensor.data[...] = changes a "
                        "parameter between two steps)")

    def __getattr__(self, name):
        """Names that other libraries have, and what is in their place."""
        hint = f": {ELSEWHERE[name]}" if name in ELSEWHERE else ""
        raise AttributeError(f"a Tensor has no attribute {name!r}{hint}", name=name, obj=self)

    def __reduce__(self):
        """For pickle and copy.deepcopy: the data, not the history."""
        if self.node is not None:
            raise TypeError("a Tensor with a history is neither pickled nor copied: use "
                            "tensor.detach()")
        return _restored, (type(self), self.data, self.cache is not None)

    def __repr__(self):
        made = f", by {self.node.operation.__name__.lstrip('_')}" if self.node else ""
        data = np.array2string(self.numpy(), precision=4, threshold=20)
        return f"Tensor({data}, {self.dtype}{made})"


def _restored(kind, data, kept):
    tensor = kind(data)
    tensor.cache = {} if kept else None
    return tensor


def _as_float_array(data):
    if isinstance(data, Tensor):
        raise TypeError("data: expected an array, got a Tensor; use tensor.detach() for a copy "
                        "without history")
    unmasked("data", data)
    try:
        array_module(data)
    except TypeError:
        if hasattr(data, "__dlpack__"):
            try:
                return _as_float_array(from_dlpack(data))
            except (BufferError, RuntimeError, ValueError) as error:
                # of a number format that NumPy lacks, or one that its library does not give away
                raise TypeError(f"data: expected real numbers, got {type(data).__name__} of "
                                f"{getattr(data, 'dtype', 'unknown dtype')}: {error}") from error
        data = xp().asarray(data)
        data = data.astype(np.float32) if data.dtype.kind == "f" else data
    data = array_module(data).asarray(data)         # a NumPy scalar becomes an array of no axes
    if data.dtype.kind in "iub":
        return data.astype(np.float32)
    if data.dtype.kind != "f":
        raise TypeError(f"data: expected real numbers, got dtype {data.dtype}")
    return data


def immutable(data, node=None):
    """A Tensor whose data is never changed in place, so that operations may keep what they compute
    from it."""
    tensor = Tensor(data, node)
    tensor.cache = {}
    return tensor


class Node:
    """How a Tensor was made: by which operation, from which inputs, with which parameters."""

    __slots__ = ("operation", "inputs", "params")

    def __init__(self, operation, inputs, params):
        self.operation, self.inputs, self.params = operation, inputs, params


class _frozen_by(ContextDecorator):
    """A context, or a decorator, in which nothing is recorded for this reason, a key of CUT; or,
    for None, again."""

    def __init__(self, reason):
        self.reason, self._before = reason, []

    def _recreate_cm(self):         # of a decorator: one for each call
        return type(self)(self.reason)

    def __enter__(self):
        self._before.append(_frozen.set(self.reason))

    def __exit__(self, *error):
        _frozen.reset(self._before.pop())


def no_grad():
    """A context in which operations on this thread record nothing."""
    return _frozen_by("no_grad")


def enable_grad():
    """A context in which operations on this thread record again, inside no_grad()."""
    return _frozen_by(None)


def operation(forward=None, *, vjp=None, vjp_all=None):
    """Make a differentiable operation of ``forward(*arrays, **params) -> array``.

        @operation(vjp=(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a))
        def multiply(a, b):
            return a * b

    Arguments that have a rule may be Tensors, arrays or numbers, given by place or by name. The
    others are never differentiated: a Tensor among them is an error, at the call where it is given
    by name, in ``grad`` where by place.

    Parameters
    ----------
    vjp : one rule for each positional argument, in a tuple (or the only one as it is)
        ``rule(g, y, *inputs, **params)``: from the cotangent g of the result y to the cotangent of
        that argument. A rule may leave un-broadcasting and dtypes to the engine.
    vjp_all : one rule for all arguments, in place of ``vjp``
        ``rule(k, g, y, *inputs, **params)`` gives the cotangent of argument k.

    Notes
    -----
    A rule can also be given afterwards: ``op.defvjp(rule_0, ...)``, ``op.defvjp_all(rule)``.
    """
    if forward is None:
        return functools.partial(operation, vjp=vjp, vjp_all=vjp_all)

    arguments = list(inspect.signature(forward).parameters.values())
    operands, constants = [], set()     # the arguments that have a rule each; those whose is None

    @functools.wraps(forward)
    def apply(*inputs, **params):
        if len(inputs) < len(operands):     # as rules take their arguments by place
            inputs = [*inputs, *_rest(operands[len(inputs):], params)]
        differentiable = any(isinstance(i, Tensor) for i in inputs)
        inputs = [i if isinstance(i, (Tensor, Recorded)) else
                  _operand(forward, i, differentiable, inputs if k not in constants else ())
                  for k, i in enumerate(inputs)]
        if differentiable:
            params = {name: _parameter(forward, name, value) for name, value in params.items()}
        arrays = [i.data if isinstance(i, Tensor) else i for i in inputs]
        try:
            data = forward(*arrays, **params)
        except Exception:
            expect_arrays(inputs)
            with named(forward, inputs):       # entered only here, because it takes time
                raise
        if isinstance(data, Tensor):
            expect_arrays(inputs)
            raise TypeError(f"{forward.__name__}: its forward returned a Tensor, expected an array:"
                            " a forward works on arrays, and its rule (vjp) on Tensors")
        cut = _frozen.get()
        result = immutable(data, Node(apply, inputs, params) if differentiable and not cut else
                           None)
        result.cut = cut if differentiable else None
        if _changes_with(result.data, inputs):
            result.cache = None
        return result

    def defvjp(*rules):
        def vjp(k, *args, **params):
            if k >= len(rules) or rules[k] is None:
                raise TypeError(f"{forward.__name__.lstrip('_')}: argument {k} has no rule (vjp): "
                                "nothing can be differentiated with respect to it, unless one is "
                                "given, @operation(vjp=lambda g, y, *inputs: ...)")
            return rules[k](*args, **params)

        operands[:], apply.vjp = arguments[:len(rules)], vjp
        constants.clear()
        constants.update(k for k, rule in enumerate(rules) if rule is None)

    def defvjp_all(rule):
        apply.vjp = rule

    apply.defvjp, apply.defvjp_all = defvjp, defvjp_all
    if vjp_all is not None:
        defvjp_all(vjp_all)
    else:
        defvjp(*(vjp if isinstance(vjp, tuple) else (vjp,)))
    return apply


def _rest(operands, params):
    """The operands that are given by name, or have a default, taken out of ``params``."""
    for operand in operands:
        if operand.name in params:
            yield params.pop(operand.name)
        elif operand.default is not operand.empty:
            yield operand.default
        else:
            return      # the call will say which is missing


def _parameter(forward, name, value):
    if isinstance(value, Tensor) and not forward.__name__.startswith("_"):
        raise TypeError(f"{forward.__name__}: {name}: expected no Tensor, for nothing is "
                        "differentiated with respect to it")
    return _number(value)


def _operand(forward, value, beside_tensor, inputs):
    """An argument that is no Tensor, and must not be another library's. Where a rule says that they
    are numbers, arrays of integers and booleans become floats like those of the other ``inputs``,
    float32 where there are none. Beside a Tensor NumPy's numbers are numbers like Python's: they
    never promote."""
    if isinstance(value, np.ndarray) and value.ndim:
        return value.astype(_floats_of(inputs)) if inputs and value.dtype.kind in "iub" else value
    name, foreign = forward.__name__.lstrip("_"), hasattr(value, "__dlpack__")
    if foreign and full_name(type(value)).partition(".")[0] not in ("numpy", "cupy"):
        raise TypeError(f"{name}: expected Tensors, arrays of NumPy or CuPy, or numbers, got "
                        f"{full_name(type(value))}: ldf_np.Tensor(x) takes it over, without a copy")
    return _number(value) if beside_tensor else value


def expect_arrays(tensors):
    """TypeError where somebody has set a Tensor's data to a Tensor."""
    if any(isinstance(t, Tensor) and isinstance(t.data, Tensor) for t in tensors):
        raise TypeError("a Tensor's data was set to a Tensor, expected an array: a parameter is "
                        "changed by p.data -= rate * g.data, or by an optimiser")


def _floats_of(inputs):
    """The widest dtype of floats among Tensors and arrays; float32 where there are none."""
    kinds = {i.dtype for i in inputs if isinstance(i, Tensor)
             or isinstance(i, np.ndarray) and i.ndim and i.dtype.kind == "f"}
    return np.result_type(*kinds) if kinds else np.dtype(np.float32)


def _number(value):
    number = isinstance(value, np.generic) or type(value) is np.ndarray and not value.ndim
    return value.item() if number and value.dtype.kind in "fiu" else value


def _changes_with(data, inputs):
    """Whether an operation's result lies in the memory of an input whose data may change in place:
    a leaf, a view of one, or an array."""
    if getattr(data, "base", None) is None and all(data is not getattr(i, "data", i)
                                                   for i in inputs):
        return False
    changeable = (i.data if isinstance(i, Tensor) else i for i in inputs
                  if (i.cache is None if isinstance(i, Tensor) else hasattr(i, "dtype")))
    return any(array_module(data).may_share_memory(data, array) for array in changeable)


@checked(output=instance(Tensor))
def grad(output, inputs, grad_output=None, create_graph=False, allow_unused=False):
    """The gradient of ``output`` with respect to each of ``inputs``.

    Parameters
    ----------
    output : Tensor
        A scalar, unless ``grad_output`` is given.
    inputs : Tensor or sequence of Tensors
    grad_output : Tensor or array, optional
        The cotangent, of the output's shape.
    create_graph : bool
        Whether the gradients are themselves differentiable.
    allow_unused : bool
        Zeros, instead of a ValueError, for an input on which the output does not depend.

    Returns
    -------
    list of Tensor
        Each with its input's shape and dtype (one Tensor where ``inputs`` is one). Two may be one
        array, or ``grad_output`` itself: copy one that is to be changed.

    Raises
    ------
    TypeError
        For an output or input that is not a Tensor.
    ValueError
        For an output that is not a scalar where ``grad_output`` is not given, for a
        ``grad_output`` of another shape, and for an unused input.
    """
    single = isinstance(inputs, Tensor) or not hasattr(inputs, "__iter__")
    wanted = [inputs] if single else list(inputs)
    for k, tensor in enumerate(wanted):
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"grad: inputs[{k}]: expected a Tensor, got {full_name(type(tensor))}")
    results = gradients_or_none(output, wanted, grad_output, create_graph)
    for k, (tensor, g) in enumerate(zip(wanted, results)):
        if g is None and not allow_unused:
            why = why_cut(output) or "allow_unused=True gives zeros"
            raise ValueError(f"grad: the output does not depend on inputs[{k}] of shape "
                             f"{tensor.shape} ({why})")
        if g is None:
            results[k] = Tensor(array_module(tensor.data).zeros_like(tensor.data))
    return results[0] if single else results


def why_cut(output):
    """Why a history that leads to ``output`` ends sooner than it might, in words; "" where it does
    not."""
    cuts = {tensor.cut for tensor in tensors_before(output)}
    return "; ".join(words for cut, words in CUT.items() if cut in cuts)


def gradients_or_none(output, inputs, grad_output=None, create_graph=False):
    """What ``grad`` returns for Tensors, with None for an input on which the output does not
    depend."""
    if grad_output is None:
        expect(output.size == 1, "grad without grad_output: output", "a scalar", output)
        grad_output = array_module(output.data).ones_like(output.data)
    if not isinstance(grad_output, Tensor):
        grad_output = Tensor(grad_output)
    expect(grad_output.shape == output.shape, "grad: grad_output", output.shape, grad_output)
    keep = {id(tensor) for tensor in inputs}
    order, reaching = _between(output, keep)
    # an infinite derivative is a value, and a mask may yet close over it
    frozen = None if create_graph else "grad"
    with _frozen_by(frozen), np.errstate(divide="ignore", invalid="ignore"):
        cotangents = {id(output): _fit(grad_output, output)}
        _accumulate(order, reaching, keep, cotangents)
        found = [_fit(cotangents[id(tensor)], tensor)        # a sum has lost a foreign byte order
                 if id(tensor) in reaching else None for tensor in inputs]
    for g in found:     # one that no operation made is the cotangent itself
        if not create_graph and g is not None and g is not grad_output:
            g.cut = "grad"
    return found


def tensors_before(output):
    """All Tensors from which ``output`` was made, inputs before results, itself last."""
    return _between(output, None)[0]


def _between(output, wanted):
    """The Tensors on a path to ``output`` from those whose ids are ``wanted`` (None: from
    anywhere), inputs before results, and the set of their ids.

    A depth-first walk with its own stack: a recursive one would overflow on long chains, and a
    recursive closure is itself a reference cycle.
    """
    order, reaching, seen = [], set(), set()
    stack = [(output, False)]
    while stack:
        tensor, inputs_done = stack.pop()
        inputs = tensor.node.inputs if tensor.node else ()
        if inputs_done:
            if wanted is None or id(tensor) in wanted or any(id(i) in reaching for i in inputs):
                reaching.add(id(tensor))
                order.append(tensor)
        elif id(tensor) not in seen:
            seen.add(id(tensor))
            stack.append((tensor, True))
            stack.extend((i, False) for i in inputs if isinstance(i, Tensor))
    return order, reaching


def _accumulate(order, reaching, keep, cotangents):
    """Walk back from the output, asking each operation only for the cotangents that are needed."""
    sums = set()        # ids of arguments whose cotangent is a sum that was made here
    while order:
        tensor = order.pop()
        g = cotangents[id(tensor)] if id(tensor) in keep else cotangents.pop(id(tensor))
        if tensor.node is None:
            continue
        for k, argument in enumerate(tensor.node.inputs):
            if not isinstance(argument, Tensor) or id(argument) not in reaching:
                continue
            part = tensor.node.operation.vjp(k, g, tensor, *tensor.node.inputs,
                                             **tensor.node.params)
            if not isinstance(part, Tensor):
                raise TypeError(f"{tensor.node.operation.__name__.lstrip('_')}: the rule (vjp) of "
                                f"argument {k} gave {full_name(type(part))}, expected a Tensor: "
                                "rules are written with the functions of ldf_np")
            if not _broadcasts(argument.shape, part.shape):
                raise ValueError(f"{tensor.node.operation.__name__.lstrip('_')}: the rule (vjp) of "
                                 f"argument {k} gave shape {part.shape}, expected "
                                 f"{argument.shape}, or what that is broadcast to")
            part = _fit(part, argument)
            known = cotangents.get(id(argument))
            if known is None:
                cotangents[id(argument)] = part
            elif id(argument) in sums and known.node is None:
                known.data += part.data         # nothing else has seen this array yet
            else:                               # what a rule gave may be an array of another's
                cotangents[id(argument)] = add(known, part)
                sums.add(id(argument))


def _broadcasts(shape, to):
    """Whether an array of ``shape`` can be broadcast to the shape ``to``."""
    return shape == to or len(shape) <= len(to) and all(
        n in (1, length) for n, length in zip(reversed(shape), reversed(to)))


def _fit(g, like):
    """The one place where cotangents are un-broadcast and cast: each gets its argument's shape and
    dtype."""
    if g.shape != like.shape:
        g = sum_to(g, shape=like.shape)
    return g if g.dtype == like.dtype else astype(g, dtype=like.dtype)


# The linear operations the walk itself needs. Each states its adjoint.

@operation(vjp=(lambda g, y, a, b: g, lambda g, y, a, b: g))
def add(a, b):
    """a + b, with broadcasting."""
    return a + b


@operation(vjp=lambda g, y, x, shape: broadcast_to(g, shape=x.shape))
def sum_to(x, shape):
    """Sum ``x`` over the axes along which an array of ``shape`` was broadcast to it."""
    expect(_broadcasts(shape, x.shape), "shape", f"one that is broadcast to {x.shape}", shape)
    extra = x.ndim - len(shape)
    if len(shape) == 1 and x.ndim > 1 and x.shape[-1] == shape[0] and x.size:
        return channel_sum(x)
    axes = tuple(k for k in range(x.ndim)
                 if k < extra or shape[k - extra] == 1 and x.shape[k] != 1)
    return wide_sum(x, axes, True).reshape(shape).astype(x.dtype, copy=False)


def wide_sum(x, axes, keepdims):
    """The sum of an array over axes, in ``sum_dtype``."""
    return x.sum(axis=axes, keepdims=keepdims, dtype=sum_dtype(x, axes))


def sum_dtype(x, axes):
    """In which dtype an array is summed over axes, None for its own. Of float16 in float32, where
    65,504 is not the end. NumPy adds one row after the other along all axes but the innermost,
    where float32 would lose digits."""
    if x.dtype == np.float16:
        return np.float32
    rows = math.prod(x.shape[k] for k in axes if k != x.ndim - 1)
    return (np.float64 if x.dtype == np.float32 and rows > LONGEST and len(axes) < x.ndim
            and isinstance(x, np.ndarray) else None)


@operation(vjp=lambda g, y, x, shape: g)        # the engine sums
def broadcast_to(x, shape):
    """Repeat ``x`` along new axes and axes of length one, as a read-only view."""
    return array_module(x).broadcast_to(x, shape)


@operation(vjp=lambda g, y, x, dtype: g)        # the engine casts
def astype(x, dtype):
    """``x`` in another floating-point dtype."""
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"dtype: expected a floating-point one, got {dtype}")
    return x.astype(dtype)


def wide(x):
    """A Tensor in float32 where it is float16: for what would overflow, or round, on the way to a
    sum."""
    return astype(x, dtype=np.float32) if x.dtype == np.float16 else x
