"""Pickles of numbers, texts, lists, dicts and NumPy arrays, read by a machine that runs nothing of
what they ask for.

pickle.Unpickler calls what it is told to. Even where its find_class allows nothing, a small file
holds it up: to hash a key that is a tuple of one tuple twice, which is another one twice, takes
2^depth steps; one that is only nested overflows the C stack and ends the process; and integers can
be chosen so that all their hashes collide. (tests/data/test_pickles.py shows each of these.)
"""

import pickletools
import reprlib

OPCODES = 2**18  # in one pickle; one of CIFAR-10 has 120,000 in protocol 0, and fewer in others
VALUES = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "BINFLOAT", "UNICODE",
          "SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINBYTES", "BINBYTES", "BYTEARRAY8"}
STRINGS = {"STRING", "SHORT_BINSTRING", "BINSTRING"}  # of Python 2: bytes
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
# How many things an opcode takes from the stack; None for all above the last mark.
TAKEN = {"EMPTY_LIST": 0, "EMPTY_DICT": 0, "EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3,
         "TUPLE": None, "LIST": None, "DICT": None, "APPEND": 1, "APPENDS": None, "SETITEM": 2,
         "SETITEMS": None, "STACK_GLOBAL": 2, "REDUCE": 2, "BUILD": 1}


class Repr(reprlib.Repr):
    """Shows little of anything, however large or nested; bytes, too, are cut before they are
    shown."""

    repr_bytes = repr_bytearray = reprlib.Repr.repr_str


def shown(value):
    """A value as a text of at most 200 characters."""
    return f"{Repr().repr(value):.200}"


class PickledArray:
    """What stands for a NumPy array: its state (version, shape, dtype, column-major, bytes), which
    has yet to be checked."""

    def __init__(self, state=None):
        self.state = state


class PickledType(PickledArray):
    """What stands for a NumPy dtype."""

    def __init__(self, name):
        super().__init__()
        self.name = name


def encode(text, encoding):
    """How Python 3 writes bytes in the old protocols."""
    if encoding != "latin1":
        raise ValueError(f"bytes in the encoding {shown(encoding)}, expected 'latin1'")
    return text.encode("latin1")


# What a pickle may ask for, and what it gets.
GLOBALS = {
    "numpy ndarray": None,
    "numpy dtype": lambda name, align, copy: PickledType(name),
    "_codecs encode": encode,
}
for _core in ("core", "_core"):
    GLOBALS[f"numpy.{_core}.multiarray _reconstruct"] = lambda kind, shape, dtype: PickledArray()
    # Protocol 5, of an array whose elements follow one another.
    GLOBALS[f"numpy.{_core}.numeric _frombuffer"] = lambda raw, dtype, shape, order: PickledArray(
        (1, shape, dtype, order == "F", raw))


def read_pickle(data):
    """What a pickle of protocol 0 to 5 holds, with a PickledArray for an array. A damaged one
    raises almost anything.

    It takes time and memory in proportion to its length, whatever it holds: texts alone can be
    keys, so nothing else is hashed, and nothing is compared or copied that is held twice.
    """
    stack, marks, memo, encoded = [], [], {}, 0
    for count, (opcode, value, _) in enumerate(pickletools.genops(data)):
        name = opcode.name
        if count == OPCODES:
            raise ValueError(f"it has more than {OPCODES:,} opcodes")
        if name in TAKEN:
            start = marks.pop() if TAKEN[name] is None else len(stack) - TAKEN[name]
            if start < 0:
                raise ValueError(f"there is nothing for its opcode {name}")
            taken = stack[start:]
            del stack[start:]
        if name in VALUES:
            stack.append(value)
        elif name in STRINGS:
            stack.append(value.encode("latin1"))
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name == "MARK":
            marks.append(len(stack))
        elif "TUPLE" in name:
            stack.append(tuple(taken))
        elif name in ("EMPTY_LIST", "LIST"):
            stack.append(taken)
        elif name in ("EMPTY_DICT", "DICT"):
            stack.append(items(taken))
        elif name in ("APPEND", "APPENDS"):
            top(stack, list).extend(taken)
        elif name in ("SETITEM", "SETITEMS"):
            top(stack, dict).update(items(taken))
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            wanted = value if name == "GLOBAL" else " ".join(taken)
            if wanted not in GLOBALS:
                raise ValueError(
                    f"it asks for {wanted.replace(' ', '.')}, refused: it could run any code")
            stack.append(GLOBALS[wanted])
        elif name == "REDUCE":
            function, arguments = taken
            if not isinstance(arguments, tuple):
                raise ValueError(f"it calls with a {type(arguments).__name__}, expected a tuple")
            stack.append(function(*arguments))      # nothing but what GLOBALS has can be called
            encoded += len(stack[-1]) if function is encode else 0
            if encoded > len(data):
                raise ValueError("its bytes are longer than itself")
        elif name == "BUILD":
            top(stack, PickledArray).state = taken[0]
        elif "PUT" in name or name == "MEMOIZE":
            place = len(memo) if name == "MEMOIZE" else value
            if not 0 <= place <= len(data):
                raise ValueError("it numbers an object beyond its own length")
            memo[place] = stack[-1]
        elif "GET" in name:
            stack.append(memo[value])
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise ValueError(f"its opcode {name} is none that an array, a list or a dict needs")
    return stack[-1]


def top(stack, kind):
    """The top of the stack, which has to be a ``kind``."""
    if not isinstance(stack[-1], kind):
        raise ValueError(f"it fills a {type(stack[-1]).__name__} as if it were a {kind.__name__}")
    return stack[-1]


def items(flat):
    """The dict of keys and values that take turns."""
    keys, values = flat[::2], flat[1::2]
    for key in keys:
        if not isinstance(key, (bytes, str)):
            raise ValueError(f"a key is a {type(key).__name__}, expected a text")
    return dict(zip(keys, values, strict=True))
