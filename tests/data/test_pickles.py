"""Pickles that would hold up or crash whoever reads them: each is refused in seconds, by a process
that may be ended."""

import pickle
import struct
import subprocess
import sys
import time

import pytest

from ldf_np.data.pickles import OPCODES, PickledArray, read_pickle

SECONDS = 20        # most of it is the start of Python
READ = """
import resource, sys
from ldf_np.data import cifar
resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
try:
    getattr(cifar, sys.argv[1])("the file", sys.stdin.buffer.read())
except ValueError as error:
    print(error)
"""
# What the library's own machine is measured against: an Unpickler that finds only what arrays need.
ALLOW_LISTED = """
import _codecs, pickle, resource, sys
import numpy
from numpy._core.multiarray import _reconstruct
resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
FOUND = {("numpy.core.multiarray", "_reconstruct"): _reconstruct, ("numpy", "dtype"): numpy.dtype,
         ("numpy", "ndarray"): numpy.ndarray, ("_codecs", "encode"): _codecs.encode}

class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        return FOUND[module, name]

try:
    print("read a", type(Unpickler(sys.stdin.buffer, encoding="bytes").load()).__name__)
except Exception as error:
    print("refused:", type(error).__name__)
"""


def shared(depth, twice=b"q\0h\0"):
    """Opcodes of a tuple of one tuple twice, which is a tuple of another one twice, and so on; it
    is put in the memo and got, or duplicated."""
    return b")" + (twice + b"\x86") * depth


def dict_of(*items):
    """A pickle of the dict of these opcodes, a key and a value in turn."""
    return b"\x80\x04}(" + b"".join(items) + b"u."


def text(data):
    return b"T" + struct.pack("<I", len(data)) + data


def integer(number):
    data = number.to_bytes(number.bit_length() // 8 + 1, "little")
    return b"\x8a" + bytes([len(data)]) + data


def array(shape, dtype=b"cnumpy\ndtype\nVu1\nK\0K\1\x87R"):
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85Vb\n\x87R"
    return empty + b"(K\1" + shape + dtype + b"\x89" + text(b"") + b"tb"


SAME_HASH = [integer(k * (2**61 - 1)) for k in range(1, 60000)]
READER = "python_batch"
HARM = {
    "a shared tuple as a key": (READER, dict_of(shared(60), b"N"), "a key is a tuple"),
    "a pair of them": (READER, dict_of(shared(60) + b"q\1h\1\x86", b"N"), "a key is a tuple"),
    "by another opcode": (READER, dict_of(shared(60, b"2"), b"N"), "its opcode DUP is none that"),
    "an item of a dict": (READER, b"\x80\x02}" + shared(60) + b"Ns.", "a key is a tuple"),
    "a dict of protocol 0": (READER, b"(" + shared(60) + b"Nd.", "a key is a tuple"),
    "in a set": (READER, dict_of(text(b"labels"), b"\x8f(" + shared(60) + b"\x90"),
                 "its opcode EMPTY_SET is none that"),
    "in a frozen set": (READER, dict_of(text(b"labels"), b"(" + shared(60) + b"\x91"),
                        "its opcode FROZENSET is none that"),
    "a nested tuple as a key": (READER, dict_of(b")" + b"\x85" * 200000, b"N"), "a key is a tuple"),
    "an object as a key": (READER, dict_of(array(b"K\0\x85"), b"N"), "a key is a PickledArray"),
    "integers of one hash": (READER, dict_of(*(k + b"N" for k in SAME_HASH)), "a key is a int"),
    "places of one hash": (READER, b"N" + b"".join(b"p%d\n" % (k * (2**61 - 1))
                                                   for k in range(1, 60000)) + b".", "own length"),
    "as a name to look up": (READER, shared(60) + shared(60) + b"\x93.",
                             "expected str instance, tuple found"),
    "as an encoding": (READER, b"c_codecs\nencode\nVx\n" + shared(60) + b"\x86R.",
                       r"in the encoding (((((((...), (...)), ("),
    "as arguments": (READER, b"c_codecs\nencode\n" + shared(60) + b"R.", "cannot be read"),
    "a text as arguments": (READER, b"c_codecs\nencode\n" + text(bytes(2**25)) + b"R.",
                            "it calls with a bytes"),
    "an attribute of ours": (READER, b"c_codecs\nencode\nN}\x86b.", "it fills a function"),
    "as a state": (READER, dict_of(text(b"data"), array(b"K\0\x85") + shared(60) + b"b"),
                   "data: cannot be read"),
    "as a shape": (READER, dict_of(text(b"data"), array(shared(60))), "data: cannot be read"),
    "as a type": (READER, dict_of(text(b"data"), array(b"K\0\x85", shared(60))),
                  "data: cannot be read"),
    "as a type's name": (READER, dict_of(text(b"data"),
                                         array(b"K\0\x85",
                                               b"cnumpy\ndtype\n" + shared(60) + b"K\0K\1\x87R")),
                         "its type is (((((((...)"),
    "as data": (READER, dict_of(text(b"data"), shared(60)), "data is a tuple, expected an array"),
    "as names": ("python_names", dict_of(text(b"label_names"), b"](" + shared(60) + b"e"),
                 "are [((((((...)"),
    "lists as names": ("python_names", dict_of(text(b"label_names"),
                                               b"(" * 60 + b"]" + b"q\0h\0l" * 60), "are [[[[[["),
    "a name of 32 MB": ("python_names", dict_of(text(b"label_names"),
                                                b"]" + text(bytes(2**25)) + b"a"),
                                                r"are [b'\x00\x00"),
    "names of 32 MB": ("binary_names", b"a " * 2**24, "are [b'a', b'a'"),
    "a long number": (READER, b"\x8b" + struct.pack("<I", 2**20) + bytes(2**20 - 1) + b"\1.",
                      "its opcode LONG4 is none that"),
    "many empty dicts": (READER, b"(" + b"}" * 2**24 + b"l.", f"more than {OPCODES:,} opcodes"),
    "one text, encoded often": (READER, b"(c_codecs\nencode\nq\0X" + struct.pack("<I", 2**24)
                                + bytes(2**24)
                                + b"q\1\x8c\x06latin1q\x02" + b"h\0h\1h\2\x86R" * 9999 + b"l.",
                                "longer than itself"),
}


def said(program, data, seconds, *arguments):
    """What a program prints about a file, in its standard input; subprocess.TimeoutExpired where it
    takes longer."""
    ended = subprocess.run([sys.executable, "-c", program, *arguments], input=data,
                           capture_output=True, timeout=seconds)
    assert ended.returncode == 0, ended.stderr.decode()[-2000:]
    return ended.stdout.decode()


@pytest.mark.parametrize("kind", HARM)
def test_harm_is_refused_in_time(kind):
    reader, data, complaint = HARM[kind]
    message = said(READ, data, SECONDS, reader)
    assert message.startswith("the file: ") and complaint in message and len(message) < 1000


@pytest.mark.parametrize("kind", ["a shared tuple as a key", "integers of one hash"])
def test_an_allow_listed_unpickler_hangs(kind):
    """Why there is a machine at all: these files ask for nothing, so no list stops them. (They are
    of 308 bytes and of 760 kB.)"""
    with pytest.raises(subprocess.TimeoutExpired):
        said(ALLOW_LISTED, HARM[kind][1], 3)


def test_an_allow_listed_unpickler_crashes():
    """200 kB that are only nested take the process down: no exception, nothing to catch."""
    ended = subprocess.run([sys.executable, "-c", ALLOW_LISTED], capture_output=True,
                           input=HARM["a nested tuple as a key"][1], timeout=SECONDS)
    assert ended.returncode < 0 and not ended.stdout        # by a signal


def test_control_the_allow_listed_unpickler_reads_what_is_sound():
    assert said(ALLOW_LISTED, dict_of(shared(5), b"N"), SECONDS) == "read a dict\n"
    assert said(ALLOW_LISTED, pickle.dumps(sys.exit), SECONDS) == "refused: KeyError\n"


def test_control_its_time_doubles_with_each_level():
    def seconds(depth):
        begin = time.perf_counter()
        assert len(pickle.loads(dict_of(shared(depth), b"N"))) == 1
        return time.perf_counter() - begin

    short, long = (min(seconds(depth) for _ in range(3)) for depth in (14, 20))
    assert long > 8 * short         # 64 times, had they nothing else to do


def test_what_is_held_twice_is_read():
    """Sharing alone is no harm: picklers write what is held twice once."""
    names, row = [b"x", b"y"], [1, 2]
    found = {b"a": names, b"b": names, "c": [row, row, 2**70, -1.5, None, True, ()], b"d":
             {b"e": (1, (2, (3, 4, 5, 6)))}}
    for protocol in range(1, pickle.HIGHEST_PROTOCOL + 1):
        assert read_pickle(pickle.dumps(found, protocol=protocol)) == found
    assert isinstance(read_pickle(array(b"K\0\x85") + b"."), PickledArray)
