"""What public functions ask of their arguments, declared above them.

    @checked(n=integer(1), code=one_of("h", "z"), rng=instance(Generator))
    def sample(self, n, code="h", rng=None): ...

A *rule* is a function ``rule(name, value)`` that raises TypeError or ValueError with one sentence:
the argument, what was expected and what came. It returns the value, so it can be called by itself,
too: ``integer(1)("n", n)``. What arguments have to be to one another, or to their object, is a
*relation*, ``relation(name, **arguments)``, given to ``checked`` before the rules.
"""

import functools
import inspect
import math
import operator
import os
from contextlib import contextmanager

import numpy as np

from ..kernels.size import check_size as check_size
from ..kernels.size import is_whole as is_whole


def checked(*relations, **rules):
    """A decorator of functions: each rule is applied to the argument of its name where that is
    given and is not the default (so None is allowed where it is that), then each relation to all
    arguments. The sentence begins with the name of the function, or of the class where it is a
    constructor or ``forward``.

    Of a class it decorates the constructor and those public methods that are not decorated by
    themselves, each with the rules and relations for whose names it has arguments. So it is with a
    dict of rules among the relations, which several functions share.
    """
    shared = [some for some in relations if isinstance(some, dict)]
    between = [some for some in relations if not isinstance(some, dict)]
    table = functools.reduce(operator.or_, shared, {})

    def decorate(target):
        if not isinstance(target, type):
            return _checked(target, table, rules, between)
        for name, method in [*vars(target).items()]:
            public = inspect.isfunction(method) and (name == "__init__" or name[0] != "_")
            if public and not hasattr(method, "__wrapped__"):
                own = [some for some in between if _needs(some) <= _arguments(method).keys()]
                setattr(target, name, _checked(method, table | rules, {}, own))
        return target

    return decorate


def _arguments(function):
    return inspect.signature(function).parameters


def _needs(relation):
    """The names of the arguments without which a relation says nothing."""
    _, *arguments = _arguments(relation).values()
    return getattr(relation, "needs", None) or {
        p.name for p in arguments if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD}


def _checked(function, shared, rules, relations):
    known = _arguments(function)
    names = [p.name for p in known.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    rest = next((p.name for p in known.values() if p.kind is p.VAR_POSITIONAL), None)
    defaults = {p.name: p.default for p in known.values() if p.default is not p.empty}
    needed = {*names} - defaults.keys()
    for named in (rules.keys(), *map(_needs, relations)):
        if not named <= known.keys():
            raise TypeError(f"{function.__qualname__} has no {named - known.keys()}")
    found = shared | rules
    found = {name: found[name] for name in known if name in found}      # in the order of the call
    where = function.__qualname__.rpartition("<locals>.")[2]
    of_object = function.__name__ in ("__init__", "forward")        # called by the class's name
    if not found and not relations:
        return function

    @functools.wraps(function)
    def call(*args, **kwargs):
        caller = type(args[0]).__name__ if of_object else where
        given = dict(zip(names, args))
        given.update(kwargs)
        if rest is not None:
            given[rest] = args[len(names):]
        for name, rule in found.items():
            if name in given and not (name in defaults and given[name] is defaults[name]):
                rule(f"{caller}: {name}", given[name])
        if needed <= given.keys():          # or else Python says what is missing
            for relation in relations:
                relation(caller, **{**defaults, **given})
        return function(*args, **kwargs)

    return call


def integer(low=1, high=math.inf):
    """A whole number in [low, high], Python's or NumPy's; True and False are none."""
    def rule(name, value):
        if not is_whole(value):
            raise TypeError(f"{name}: expected a whole number, got {value!r:.80}")
        if not low <= value <= high:
            wanted = f"{low} to {high}" if high < math.inf else f"at least {low}"
            raise ValueError(f"{name}: expected {wanted}, got {value!r:.80}")
        return int(value)

    return rule


def is_number(value):
    """Whether it is a real number, Python's or NumPy's: True and False are none, and neither are
    arrays."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def real(low=-math.inf, high=math.inf):
    """A finite number in [low, high]."""
    def rule(name, value):
        if not is_number(value):
            raise TypeError(f"{name}: expected a number, got {value!r:.80}")
        if not (low <= value <= high and abs(value) < math.inf):
            least = f" of at least {low:g}" if low > -math.inf else ""
            wanted = (f"a number in [{low:g}, {high:g}]" if high < math.inf
                      else f"a finite number{least}")
            raise ValueError(f"{name}: expected {wanted}, got {value!r:.80}")
        return value

    return rule


def between(low, high, closed=""):
    """A number in (low, high); ``closed``: "[" or "]" where one of the bounds belongs to it."""
    def rule(name, value):
        real()(name, value)
        left, right = "[" if "[" in closed else "(", "]" if "]" in closed else ")"
        if not (low < value < high or value == low and left == "["
                or value == high and right == "]"):
            raise ValueError(
                f"{name}: expected a number in {left}{low:g}, {high:g}{right}, got {value!r:.80}")
        return value

    return rule


def positive(name, value):
    """A finite number above 0."""
    if is_number(value) and not 0 < value < math.inf:
        raise ValueError(f"{name}: expected a positive number, got {value!r:.80}")
    return real()(name, value)


def number_or_array(name, value):
    """A finite number, or an array (1,), which is not looked into: the host would wait for the
    device."""
    return value if getattr(value, "shape", None) == (1,) else real()(name, value)


def one_of(*texts):
    """One of the texts."""
    def rule(name, value):
        if not isinstance(value, str) or value not in texts:
            wanted = " or ".join(f'"{text}"' for text in texts) if len(texts) < 3 else (
                f"one of {', '.join(texts)}")
            raise ValueError(f"{name}: expected {wanted}, got {value!r:.80}")
        return value

    return rule


def function(name, value):
    """Something that can be called."""
    if not callable(value):
        raise TypeError(f"{name}: expected a function, got {type(value).__name__}")
    return value


def path_like(name, value):
    """The path of a file or folder."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name}: expected a path, got {value!r:.80}")
    return value


def instance(*kinds):
    """Of one of these classes."""
    def rule(name, value):
        if not isinstance(value, kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise TypeError(f"{name}: expected a {wanted}, got {full_name(type(value))}")
        return value

    return rule


def named(kind):
    """Of our class of this name, or of one made from it: for classes of the rooms above."""
    def rule(name, value):
        if not any(made_from.__name__ == kind == full_name(made_from)
                   for made_from in type(value).__mro__):
            raise TypeError(f"{name}: expected a {kind}, got {full_name(type(value))}")
        return value

    return rule


def full_name(kind):
    """The name of a class with its package, "torch.Tensor" say; without it for Python's own and
    ours."""
    parts = [part for part in kind.__module__.split(".") if not part.startswith("_")]
    own = kind.__module__ == "builtins" or parts[:1] in (["ldf_np"], [])
    return kind.__qualname__ if own else ".".join([*parts, kind.__qualname__])


def optional(rule):
    """None, or what ``rule`` allows."""
    return lambda name, value: None if value is None else rule(name, value)


def several(rule, least=1, what=""):
    """A list or tuple of at least ``least`` things that ``rule`` allows; ``what``: their name."""
    def every(name, values):
        if not isinstance(values, (list, tuple)) or len(values) < least:
            wanted = f"a list of at least {'one' if least == 1 else least} {what}".rstrip()
            raise TypeError(f"{name}: expected {wanted}, got {values!r:.80}")
        for k, value in enumerate(values):
            rule(f"{name}[{k}]", value)
        return values

    return every


def unmasked(name, x):
    """No masked array of NumPy's."""
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected an array without a mask, got a masked array, whose mask "
                        "would be lost: use array.filled(value)")
    return x


def real_array(axes=None, least=0):
    """An array of real numbers (and no Tensor) with these axes ("n, h, w, c", say) and at least
    ``least`` rows."""
    def rule(name, x):
        kind = getattr(getattr(x, "dtype", None), "kind", None)
        unmasked(name, x)
        if kind not in ("f", "i", "u", "b") or not hasattr(x, "shape") or hasattr(x, "detach"):
            array = hasattr(x, "dtype") and not hasattr(x, "detach")
            came = f"dtype {x.dtype}" if array else full_name(type(x))
            raise TypeError(f"{name}: expected an array of real numbers, got {came}")
        if axes is not None and len(x.shape) != axes.count(",") + 1:
            raise ValueError(f"{name}: expected shape ({axes}), got {x.shape}")
        if least and (not x.shape or len(x) < least or 0 in x.shape):
            raise ValueError(
                f"{name}: expected at least {least} of them and no empty axis, got shape {x.shape}")
        return x

    return rule


def finite_array(axes=None, least=0):
    """``real_array`` without NaN and infinity."""
    def rule(name, x):
        real_array(axes, least)(name, x)
        # NaN is the least and the largest of everything; and neither makes a second array.
        if x.dtype.kind == "f" and x.size and not (
                math.isfinite(x.min()) and math.isfinite(x.max())):
            raise ValueError(
                f"{name}: expected finite numbers, got NaN or infinity in an array of shape "
                f"{x.shape}")
        return x

    return rule


def channels_last_array(axes=None, least=1):
    """Images (..., h, w, c): no axes that look like (..., c, h, w) or, of clips, like (n, h, w, c,
    t)."""
    def rule(name, x):
        shape = real_array(axes, least)(name, x).shape
        first = shape[-3] in (1, 3) and min(shape[-2:]) > 4
        before_time = (len(shape) == 5 and shape[-2] in (1, 3) and shape[-1] > 3
                       and min(shape[1:3]) > 4)
        if first or before_time:
            order = "(..., c, h, w)" if first else "(n, h, w, c, t)"
            raise ValueError(
                f"{name}: expected channels in the last axis, ({axes}), but shape {shape} looks "
                f"like {order}")
        return x

    return rule


def shaped(argument, *axes, what=""):
    """A relation: the argument is an array of real numbers with these axes, ``what`` in one word.

    An axis is a letter (any length of at least 1), the name of an attribute of the object, "*name"
    for one that is a tuple of lengths, or, at the end, "..." for at least one further axis. A
    length of None in an attribute is any length.
    """
    def relation(name, **arguments):
        wanted = []
        for axis in axes:
            if len(axis) == 1 or axis == "...":
                wanted.append(axis)
            else:
                found = functools.reduce(getattr, axis.lstrip("*").split("."), arguments["self"])
                lengths = found if axis[0] == "*" else [found]
                wanted += ["t" if n is None else n for n in lengths]
        shape = real_array(least=1)(f"{name}: {argument}", arguments[argument]).shape
        fits = len(shape) >= len(wanted) if wanted[-1] == "..." else len(shape) == len(wanted)
        if not fits or any(w != length for w, length in zip(wanted, shape) if isinstance(w, int)):
            expected = f"{what} ({', '.join(map(str, wanted))})".lstrip()
            raise ValueError(f"{name}: {argument}: expected {expected}, got shape {shape}")

    relation.needs = {argument}
    return relation


def same_shape(*names):
    """A relation: these arguments are arrays or Tensors of one shape, or lists of them that have
    the same shapes."""
    def shape(x):
        return [shape(part) for part in x] if isinstance(x, (list, tuple)) else tuple(x.shape)

    def relation(name, **arguments):
        first, *others = shapes = [shape(arguments[n]) for n in names]
        expect(all(other == first for other in others), f"{name}: {', '.join(names)}",
               "one shape", " and ".join(map(str, shapes)))

    relation.needs = {*names}
    return relation


def expect(condition, name, wanted, got):
    """Raise ValueError unless the condition holds: for what no rule or relation says. ``got``: what
    came; of an array or Tensor the shape is named."""
    if not condition:
        got = f"shape {tuple(got.shape)}" if hasattr(got, "shape") else got
        raise ValueError(f"{name}: expected {wanted}, got {got!s:.300}")


@contextmanager
def of_shape(name, x):
    """A context whose ValueErrors say of which shape x was: where networks and data do not fit, an
    operation within them is the first to notice."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name} of shape {np.shape(x)}: {error}") from error


def multiple(of):
    """A whole number that ``of`` divides, ``of`` or larger."""
    def rule(name, value):
        integer(-math.inf)(name, value)
        expect(value >= of and value % of == 0, name, f"a multiple of {of}", value)
        return value

    return rule


def having(what, *attributes):
    """A thing with these attributes; ``what``: its class, in words."""
    def rule(name, value):
        if not all(hasattr(value, attribute) for attribute in attributes):
            raise TypeError(f"{name}: expected {what}, got {value!r:.80}")
        return value

    return rule


def images_or_vectors(name, x):
    """Images (n, h, w, c), or an array with other axes and at least one row."""
    return (channels_last_array("n, h, w, c") if np.ndim(x) == 4 else real_array(least=1))(name, x)


def check_labels(labels, n, classes):
    """The labels as a NumPy array; ValueError unless they are n integers from 0 to classes - 1."""
    labels = np.asarray(labels)
    expect(labels.dtype.kind in "iu" and labels.shape == (n,), "labels",
           f"{n} integers, one for each image", f"{labels.dtype} of shape {labels.shape}")
    if n and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"labels: expected integers from 0 to {classes - 1}, got {labels.min()} "
                         f"to {labels.max()}")
    return labels
