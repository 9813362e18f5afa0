"""How an object was made, as plain data, and the object made of it again.

A description is a list of objects, each after those that it is made of:

    {"class": name, "arguments": {argument: value}}

The last is the whole. A value is what JSON holds, or one of {"object": index in the list},
{"generator": number}, {"array": numbers, "dtype": name}, {"tuple": values}, {"dict": {key: value}}
and {"unknown": what it was}. Nothing in it is imported or called but the constructors of known
classes.
"""

import inspect
import math

import numpy as np

from ..kernels.size import is_whole
from .checks import expect, integer
from .device import to_numpy, xp
from .random import Generator

PACKAGE = __package__.partition(".")[0]
LIMIT = 10_000      # numbers in an array, values in a list, objects: more are not described
LENGTHS = {"n_in", "n_out", "c_in", "c_out", "channels", "size"}    # of our classes: of arrays
OWN = "own "        # before the name of a class that is not of this package


class Described:
    """Something that remembers the arguments that it was made with, to be described by them."""

    def __new__(cls, *args, **kwargs):
        self = super().__new__(cls)
        self._made_with = _Arguments(args, kwargs)
        return self

    def __init__(self):     # without arguments, unless a subclass takes some
        pass


class _Arguments:
    """The arguments of a constructor. What a Module holds in here is no part of it."""

    def __init__(self, args, kwargs):
        self.args, self.kwargs = _kept(args), _kept(kwargs)


class _Unknown:
    """Stands for an argument that cannot be described. ``what``: what it was."""

    def __init__(self, value):
        self.what = f"a {type(value).__name__}"
        if name := getattr(value, "__qualname__", None):
            self.what += f" ({name})"


def _kept(value):
    """The value as it is now, or an ``_Unknown``."""
    if value is None or isinstance(value, (bool, int, float, str, Described, Generator)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (list, tuple, dict) and len(value) <= LIMIT:
        if not isinstance(value, dict):
            return type(value)(map(_kept, value))
        if all(isinstance(key, str) for key in value):
            return {key: _kept(item) for key, item in value.items()}
    if hasattr(value, "dtype") and hasattr(value, "tolist") and value.size <= LIMIT:
        return np.array(to_numpy(value))
    return _Unknown(value)


def describe(thing):
    """(the description of a Described thing, {name: class} of what is in it). One that is held
    twice is described once."""
    objects, places, generators, classes = [], {}, {}, {}

    def place(thing):
        if id(thing) not in places:
            arguments = {name: told(value) for name, value in _bound(thing).items()}
            places[id(thing)] = len(objects)
            objects.append({"class": name_of(type(thing)), "arguments": arguments})
            classes[name_of(type(thing))] = type(thing)
        return places[id(thing)]

    def told(value):
        if isinstance(value, Described):
            return {"object": place(value)}
        if isinstance(value, Generator):
            return {"generator": generators.setdefault(id(value), len(generators))}
        if isinstance(value, np.ndarray):
            return {"array": value.tolist(), "dtype": value.dtype.name}
        if isinstance(value, _Unknown):
            return {"unknown": value.what}
        if isinstance(value, dict):
            return {"dict": {key: told(item) for key, item in value.items()}}
        if isinstance(value, (list, tuple)):
            items = [told(item) for item in value]
            return items if isinstance(value, list) else {"tuple": items}
        return value

    place(thing)
    return objects, classes


def described(module):
    """(the description of a Module, {name of a module in it: {setting: value}} of what was assigned
    since they were made, ""); where no such module can be made of that, whoever loads it is told,
    and the last says why."""
    objects, classes = describe(module)
    try:
        made = rebuild(objects, classes, math.inf)
    except Exception as error:      # whatever a constructor has against it
        return objects, {}, f"{error!s:.300}"
    if why := _other(_parts(module), _parts(made)):
        return {"unknown": why}, {}, why
    theirs = dict(made.named_modules())
    changed = {name: _changed(_settings(one), _settings(theirs[name]))
               for name, one in module.named_modules()}
    return objects, {name: found for name, found in changed.items() if found}, ""


def _parts(module):
    """{name: the class of a module in it, or the shape of a parameter or buffer}."""
    return {name or "itself": type(one).__name__ for name, one in module.named_modules()} | {
        name: f"shape {held.data.shape}" for name, held in module.parts_of_state().items()}


def _other(now, made):
    """Where ``_parts`` differ from those of what was made anew, "" where they do not."""
    name = next((name for name in [*now, *made] if now.get(name) != made.get(name)), None)
    return name and (f"{name} is {now.get(name, 'absent')}, and {made.get(name, 'absent')} where "
                     "it is made anew")


def _changed(now, made):
    """Those settings of now that had another value where it was made."""
    return {key: value for key, value in now.items() if made.get(key, value) != value}


def _settings(module):
    """The plain values among the public attributes of a module."""
    return {name: value for name, value in vars(module).items()
            if name[0] != "_" and name != "training" and _plain(value)}


def _plain(value):
    return value is None or isinstance(value, (bool, int, float, str)) or (
        type(value) is tuple and all(map(_plain, value)))


def _tuples(value):
    """JSON's lists as the tuples that they were."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def set_again(module, changed):
    """Assign the settings, {name of a module in it: {setting: value}}, of a file that is not
    trusted: plain values, of those that the module has."""
    modules = dict(module.named_modules())
    for name, values in changed.items():
        for key, value in values.items():
            value = _tuples(value)
            expect(key in _settings(modules[name]) and _plain(value), f"{name}: settings",
                   f"some of {', '.join(_settings(modules[name]))}", f"{key!r:.80}")
            setattr(modules[name], key, value)


def _signature(kind):
    """Of a class's constructor, without self."""
    made = inspect.signature(kind.__init__)
    return made.replace(parameters=list(made.parameters.values())[1:])


def _bound(thing):
    """{argument: value} that a thing was made with, but for initialisers; of Described things those
    that it has now."""
    try:
        made = thing._made_with
        found = _signature(type(thing)).bind(*made.args, **made.kwargs).arguments
        return {name: _now(vars(thing).get(name), value) for name, value in found.items()
                if name != "init" or not isinstance(value, _Unknown)}
    except (AttributeError, TypeError):     # an unpickled one of an older version
        return {"arguments": _Unknown(thing)}


def _now(held, value):
    """``value``, an argument; where it is of Described things what is ``held`` under its name."""
    if isinstance(value, Described) and isinstance(held, Described):
        return held
    both = isinstance(value, (list, tuple)) and isinstance(held, (list, tuple))
    return (type(value)(held) if both and value and all(
        isinstance(part, Described) for part in (*value, *held)) else value)


def name_of(kind):
    """A class's name in a description: of one that is not of this package, with a word before."""
    ours = kind.__module__.partition(".")[0] == PACKAGE
    return kind.__name__ if ours else OWN + kind.__name__


def loaded_classes():
    """{name: class} of all Described classes of this package that are loaded."""
    found, left = {}, [Described]
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        found[name_of(kind)] = kind
    return {name: kind for name, kind in found.items() if not name.startswith(OWN)}


def rebuild(objects, classes, numbers):
    """The thing of a description that is not trusted, with parameters that are all zeros.

    classes : {name: class} that it may be made of
    numbers : int or inf
        How many numbers its parameters and buffers may have.

    Raises an error of any kind where that is not possible.
    """
    expect(not isinstance(objects, dict), "architecture", "one that a file can hold (make it as "
           "before, and call its load)", isinstance(objects, dict) and objects.get("unknown"))
    expect(isinstance(objects, list) and 0 < len(objects) <= LIMIT, "architecture",
           f"a list of 1 to {LIMIT:,} objects", f"{objects!r:.80}")
    made, generators, left = [], {}, numbers

    def read(value, where):
        if isinstance(value, list):
            return [read(item, where) for item in value]
        if not isinstance(value, dict):
            return value
        if value.keys() == {"object"}:
            return made[integer(0, len(made) - 1)(where, value["object"])]
        if value.keys() == {"generator"}:
            number = integer(0)(where, value["generator"])
            return generators.setdefault(number, Generator(0))
        if value.keys() == {"tuple"}:
            return tuple(read(value["tuple"], where))
        if value.keys() == {"dict"}:
            return {key: read(item, where) for key, item in value["dict"].items()}
        if value.keys() == {"array", "dtype"}:
            expect(value["dtype"] in ("bool", "int32", "int64", "uint8", "float32", "float64"),
                   where, "an array of numbers", f"{value['dtype']!r:.80}")
            return np.array(value["array"], value["dtype"])
        expect(value.keys() != {"unknown"}, where, "what a file can hold, so that the model can be "
               "made of it (or make it as before, and call its load)", value.get("unknown"))
        raise ValueError(f"{where}: expected a value, got {value!r:.80}")

    for entry in objects:
        name, given = entry["class"], dict(entry["arguments"])
        expect(isinstance(name, str) and name in classes, "class",
               "one of ldf_np, or of your own that are handed in, load(path, classes=[...])",
               str(name)[:80].removeprefix(OWN))
        signature = _signature(classes[name])
        more = next((p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD), "")
        expect(more or given.keys() <= signature.parameters.keys(), f"{name}: arguments",
               f"some of {', '.join(signature.parameters) or 'none'}", f"{list(given)!r:.200}")
        kind, ours, name = classes[name], not name.startswith(OWN), name.removeprefix(OWN)
        for key in LENGTHS & given.keys() if ours else ():
            expect(not is_whole(given[key]) or given[key] <= numbers, f"{name}: {key}",
                   f"at most the {numbers:,} numbers of the file", given[key])
        arguments = {key: read(value, f"{name}: {key}") for key, value in given.items()}
        if more:        # of a class that once had a name of its own for each of them
            named = {key: arguments.pop(key) for key in given if key not in signature.parameters}
            arguments[more] = arguments.get(more, {}) | named
        init = signature.parameters.get("init")
        if init is not None and (ours or init.default is init.empty) and "init" not in given:
            arguments["init"] = _zeros
        bound = inspect.BoundArguments(signature, arguments)
        made.append(kind(*bound.args, **bound.kwargs))
        for held in vars(made[-1]).values():
            left -= getattr(getattr(held, "data", None), "size", 0)
        expect(left >= 0, name, f"as many parameters as the file has numbers, {numbers:,}", "more")
    whole = made[-1]
    expect(hasattr(whole, "load_state_dict"), "architecture", "a Module", type(whole).__name__)
    return whole


def architecture_of(path, metadata):
    """The text in a file's metadata; ValueError where it has weights alone."""
    expect("architecture" in metadata, path, "a model that model.save wrote, with its architecture",
           "weights alone; make the model as it was made, and call model.load(path)")
    return metadata["architecture"]


def restore_generators(own, states):
    """Put Generators, {name: Generator}, where those of a file stood, {name: state}."""
    expect(states.keys() == own.keys(), "generators", [*own], [*states])
    for name, rng in own.items():
        rng.state = states[name]


def described_class(name, value):
    """A rule: a class whose objects a file describes."""
    if not (isinstance(value, type) and issubclass(value, Described)):
        raise TypeError(f"{name}: expected a subclass of Module, Level or Split, got {value!r:.80}")


def _zeros(rng, shape, fan_in, fan_out):
    """An initialiser for weights that are read from a file."""
    return xp().zeros(shape, np.float32)
