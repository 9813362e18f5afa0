"""Files that mean harm or are not what they say: small files that would become large ones, pickles
that blow up, false names.

Found by tests/tools/fuzz_readers.py and by reading the formats; each must be refused quickly, in
little memory, by a ValueError with the file's name.
"""

import gzip
import io
import lzma
import math
import os
import pickle
import struct
import tarfile
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from helpers import attempt
from PIL import Image

from ldf_np.data import cache, cifar, load_cifar10
from ldf_np.data.recorded import LARGEST, read_npz, read_png

MEMORY = 24 * 2**20  # bytes that a refusal may take


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npy_header(shape, descr="<f4", version=b"\x01\x00"):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode().ljust(
        117) + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text


def write_zip(path, method=zipfile.ZIP_DEFLATED, **members):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)


CLIP = npy(np.zeros((32, 32, 15), np.float32))


def zip_bomb(path):
    write_zip(path, arr_0=npy_header((32, 32, 15)) + bytes(2**25))


def zip_that_lies_about_its_size(path):
    write_zip(path, arr_0=CLIP + bytes(2**22))
    data = bytearray(path.read_bytes())
    true = (len(CLIP) + 2**22).to_bytes(4, "little")
    assert data.count(true) == 2
    path.write_bytes(bytes(data).replace(true, len(CLIP).to_bytes(4, "little")))


def twice(path):
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "w") as file:
        file.writestr("arr_0.npy", CLIP)
        file.writestr("arr_0.npy", CLIP)


def pickled_objects(path):
    np.savez(path, np.array([{}] * 4, dtype=object))


NPZ = {
    "bomb": (zip_bomb, "over the limit of 1,048,576"),
    "false size": (zip_that_lies_about_its_size, "cannot be read"),
    "lzma": (lambda path: write_zip(path, zipfile.ZIP_LZMA, arr_0=CLIP),
             "method 14, not by deflate"),
    "huge shape": (lambda path: write_zip(path, arr_0=npy_header((2**40, 2**40))),
                   "but holds 0 bytes"),
    "shape beyond 64 bits": (lambda path: write_zip(path, arr_0=npy_header((2**70,))),
                             "cannot be read"),
    "negative shape": (lambda path: write_zip(path, arr_0=npy_header((-1, 32))),
                       "but holds 0 bytes"),
    "unknown version": (lambda path: write_zip(path, arr_0=npy_header((1,), version=b"\x09\x00")),
                        "version"),
    "no dtype": (lambda path: write_zip(path, arr_0=npy_header((1,), "banana")), "cannot be read"),
    "an early end": (lambda path: write_zip(path, arr_0=CLIP[:60].replace(b",", b"(") + CLIP[60:]),
                     "cannot be read"),
    "a long name": (lambda path: write_zip(path, **{"x" * 30000: CLIP}),
                    "cannot be read (it holds ['xxx"),
    "bytes without an array": (lambda path: write_zip(path, arr_0=b"arr_0" * 9), "cannot be read"),
    "objects": (pickled_objects, "Object arrays cannot be loaded"),
    "twice": (twice, "it holds"),
    "a folder's name": (lambda path: write_zip(path, **{"../arr_0": CLIP}), "it holds"),
    "a PNG": (lambda path: Image.new("RGB", (160, 210)).save(path, format="PNG"), "cannot be read"),
}


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def ihdr(size=(160, 210), depth=8, colour=2, interlaced=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlaced))


def png(*chunks, **header):
    return b"\x89PNG\r\n\x1a\n" + ihdr(**header) + b"".join(chunks) + chunk(b"IEND", b"")


def idat(size, cut=0):
    """So many bytes of pixels, of 255 and with no filter, compressed; without the last ``cut``
    bytes of that."""
    data = zlib.compress(((b"\0" + b"\xff" * 480) * (size // 481 + 1))[:size])
    return chunk(b"IDAT", data[: len(data) - cut])


PIXELS = 210 * (1 + 3 * 160)  # bytes, with one a row for its filter
GREY = chunk(b"PLTE", bytes(k // 3 for k in range(768)))


def passes(bits):
    """The bytes of an interlaced screen, by counting the pixels of each pass: those of a row fill
    bytes, and one more."""
    grid = np.array([[1, 6, 4, 6, 2, 6, 4, 6], [7] * 8, [5, 6] * 4, [7] * 8, [3, 6, 4, 6] * 2,
                     [7] * 8, [5, 6] * 4, [7] * 8])
    screen = np.tile(grid, (27, 20))[:210, :160]
    rows = [np.count_nonzero(row == k) for k in range(1, 8) for row in screen]
    return sum(1 + math.ceil(n * bits / 8) for n in rows if n)


PNG = {
    "bomb by size": (lambda: png(size=(2**31 - 1, 2**31 - 1)), "announces 2147483647 rows"),
    "warned of by Pillow": (lambda: png(size=(10000, 10000)), "announces 10000 rows"),
    "bomb in a text": (lambda: png(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26), 9))),
                       "cannot be read"),
    "bomb in a profile": (lambda: png(chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**26), 9))),
                          "cannot be read"),
    "bomb by a chunk's length": (lambda: png()[:33] + struct.pack(">I", 2**32 - 2**24) + b"IDAT"
                                 + zlib.compress(
        (b"\0" + bytes(480)) * 210)[:40], "cannot be read"),
    "too long": (lambda: png() + bytes(2**22), "more than 4,194,304 bytes"),
    "no picture": (lambda: png(), "cannot be read"),
    "rows missing": (lambda: png(idat(PIXELS - 481 * 10)),
                     "its pixels unpack to 96,200 bytes, not to 101,010"),
    "one byte missing": (lambda: png(idat(PIXELS - 1)),
                         "its pixels unpack to 101,009 bytes, not to 101,010"),
    "one byte more": (lambda: png(idat(PIXELS + 1)),
                      "its pixels unpack to 101,011 bytes, not to 101,010"),
    "many more":
    (lambda: png(idat(2**27)), "its pixels unpack to 101,011 bytes or more, not to 101,010"),
    "a stream cut in its checksum": (lambda: png(idat(PIXELS, 1)),
                                     "its pixels unpack to 101,010 bytes or more"),
    "a wrong checksum of the stream": (lambda: png(chunk(b"IDAT",
                                                         zlib.compress(bytes(PIXELS))[:-1]
                                                         + b"x")), "data check"),
    "a wrong checksum of a chunk": (lambda: png(idat(PIXELS)).replace(idat(PIXELS)[-4:], b"abcd"),
                                    "broken PNG file (bad header checksum in b'IDAT')"),
    "no end": (lambda: png(idat(PIXELS))[:-12], "truncated PNG file"),
    "an end cut short": (lambda: png(idat(PIXELS))[:-9], "cannot be read"),
    "pixels cut short": (lambda: png(idat(PIXELS))[:-30], "cannot be read"),
    "rows missing, with colours 4 bits wide":
    (lambda: png(GREY, idat(210 * 81 - 1), depth=4, colour=3), "not to 17,010"),
    "rows missing, with 16 bits": (lambda: png(idat(210 * 1281 - 1), depth=16, colour=6),
                                   "not to 269,010"),
    "rows missing, interlaced": (lambda: png(idat(passes(24) - 1), interlaced=1),
                                 f"not to {passes(24):,}"),
    "two headers": (lambda: png(ihdr(), GREY, idat(210 * 161), colour=3),
                    "its header is not its first chunk alone"),
    "an archive": (lambda: gzip.compress(b"x" * 1000), "cannot be read"),
}


def header(name, size, kind=tarfile.REGTYPE):
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def zeros_after(start, count, compress=gzip.open):
    def make(path):
        with compress(path, "wb") as file:
            file.write(start)
            for _ in range(count >> 24):
                file.write(bytes(2**24))
    return make


def archive_of(data, name="data_batch_1"):
    def make(path):
        with tarfile.open(path, "w:gz") as archive:
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
            for k in (*(f"data_batch_{k}" for k in range(2, 6)), "test_batch", "batches.meta"):
                archive.addfile(tarfile.TarInfo(f"cifar-10-batches-py/{k}"))
    return make


def laughs():
    """A pickle of {b'labels': ...} that would take 10^12 characters to print."""
    found = []
    for _ in range(12):
        found = [found] * 10
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntR(I1\n(I1\nI3072\n"
    array += b"tcnumpy\ndtype\n(Vu1\nI0\nI1\ntRI00\nB"
    array += (3072).to_bytes(4, "little") + bytes(3072) + b"tb"
    labels = pickle.dumps([found], protocol=2)[2:-1]
    return b"\x80\x03}(U\x04data" + array + b"U\x06labels" + labels + b"u."


CIFAR = {
    "a header of 70 MB": (zeros_after(header("x", 70 * 2**20, tarfile.XHDTYPE), 2**24),
                          "a header of 73,400,320 bytes"),
    "zeros after the end": (zeros_after(bytes(1024), 2**28), "would unpack to more than"),
    "the same in xz": (zeros_after(bytes(1024), 2**24, lzma.open), "holds no file of CIFAR-10"),
    "a large place in the memo": (archive_of(b"\x80\x02}r\xff\xff\xff\x7f."),
                                  "beyond its own length"),
    "labels beyond printing": (archive_of(laughs()), "label 0 is"),
    "an archive within": (archive_of(gzip.compress(b"x")), "cannot be read"),
    "an absolute member": (lambda path: tar_of(path, "/cifar-10-batches-py/data_batch_1"),
                           "holds no file of CIFAR-10"),
    "a member above": (lambda path: tar_of(path, "../cifar-10-batches-py/data_batch_1"),
                       "holds no file of CIFAR-10"),
    "a screen": (lambda path: path.write_bytes(png()), "not a tar archive"),
}


def tar_of(path, name):
    path.write_bytes(gzip.compress(header(name, 0) + bytes(1024)))


def refusal(read, path, complaint):
    """True where ``read`` refuses a file in a ValueError that names it and has the complaint, in
    little memory; else a text."""
    error, came, taken = attempt(lambda: read(path))
    said = str(error)
    named = isinstance(error, ValueError) and str(path) in said and complaint in said
    return named and len(said) < 2000 and taken < MEMORY or came


@pytest.mark.parametrize("kind", NPZ)
def test_npz(kind, tmp_path):
    make, complaint = NPZ[kind]
    make(tmp_path / "0.npz")
    assert refusal(read_npz, tmp_path / "0.npz", complaint) is True


@pytest.mark.parametrize("kind", PNG)
def test_png(kind, tmp_path):
    make, complaint = PNG[kind]
    (tmp_path / "0.png").write_bytes(make())
    assert refusal(read_png, tmp_path / "0.png", complaint) is True


@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize("depth, colour, bits", [
    (8, 2, 24), (16, 2, 48), (8, 6, 32), (16, 6, 64), (8, 3, 8), (4, 3, 4), (2, 3, 2), (1, 3, 1)])
def test_a_whole_png_of_any_depth_is_read(depth, colour, bits, interlaced, tmp_path):
    size = passes(bits) if interlaced else 210 * (1 + math.ceil(160 * bits / 8))
    stream = zlib.compress(bytes(size))
    parts = [chunk(b"IDAT", stream[k : k + 50]) for k in range(0, len(stream), 50)]
    (tmp_path / "0.png").write_bytes(png(*[GREY] * (colour == 3), *parts, depth=depth,
                                         colour=colour, interlaced=interlaced))
    assert not read_png(tmp_path / "0.png").any()


def test_control_pillow_fills_up_with_black():
    with Image.open(io.BytesIO(png(idat(PIXELS - 481 * 10)))) as image:
        pixels = np.asarray(image)
    assert pixels[:200].min() == 255 and pixels[200:].max() == 0


@pytest.mark.parametrize("kind", CIFAR)
def test_cifar(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "LARGEST_ARCHIVE", 2**27)  # from 2^30: not so long to unpack
    make, complaint = CIFAR[kind]
    make(tmp_path / "a.tar.gz")
    assert refusal(load_cifar10, tmp_path / "a.tar.gz", complaint) is True


def test_a_cache_that_is_a_bomb_is_not_unpacked(tmp_path):
    cache.save_arrays(tmp_path / "a.npz", {"x": np.zeros(2**25, np.uint8)}, {})
    assert os.path.getsize(tmp_path / "a.npz") < 2**19
    tracemalloc.start()
    with pytest.warns(UserWarning, match="it would unpack to 33,.* expected at most 1,049,576"):
        assert cache.load_arrays(tmp_path / "a.npz", ["x"], {}, lambda arrays: None, 1000) is None
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 2**20


def test_a_planted_reader_is_noticed(tmp_path):
    """Readers that unpack everything, let a wrong shape through, or raise an error of their own."""
    zip_bomb(tmp_path / "0.npz")
    assert LARGEST < 2**25

    def unpacks(path):
        with np.load(path) as file:
            size = file["arr_0"].size + len(file.zip.read("arr_0.npy"))
        raise ValueError(f"{path}: over the limit of 1,048,576 {size}")

    for planted in (unpacks, lambda path: np.zeros(3), lambda path: {}[path]):
        assert refusal(planted, tmp_path / "0.npz", "over the limit of 1,048,576") is not True
