"""Fuzz the three readers: python tests/tools/fuzz_readers.py --seconds 20 --reader
npz|png|cifar|all

Valid small files are mutated as bytes and, so that checksums fit, inside their container: the
members of a zip or a tar, the chunks of a PNG. Where atheris is installed its coverage guides the
mutation; elsewhere it is blind. Whatever a reader does with a file but return what its
documentation says, or raise a ValueError with the file's name, is a finding: so is running out of
memory (limited) or time. Exit status 1 where there are any; the inputs are kept in --out.
"""

import argparse
import functools
import gzip
import io
import json
import pickle
import random
import re
import resource
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
import zlib
from pathlib import Path

try:
    import atheris
except ImportError:
    atheris = None

import numpy as np

SECONDS_PER_INPUT = 10
MEMORY = 2 * 2**30      # bytes of address space beyond what the program begins with


# -------------------------------------------------------------------------------------- containers


def zip_parts(data):
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return [(m.filename.encode(), file.read(m)) for m in file.infolist() if m.file_size < 2**20]


def make_zip(parts, rng):
    buffer = io.BytesIO()
    method = rng.choice([zipfile.ZIP_STORED] * 9 + [zipfile.ZIP_DEFLATED] * 9 + [zipfile.ZIP_LZMA])
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in parts:
            file.writestr(zipfile.ZipInfo(name.decode("latin1")), content, compress_type=method)
    return buffer.getvalue()


def tar_parts(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [(m.name.encode(), archive.extractfile(m).read() if m.isfile() else b"")
                for m in archive if m.size < 2**20]


def make_tar(parts, rng):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w",
                      format=rng.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])) as archive:
        for name, content in parts:
            member = tarfile.TarInfo(name.decode("latin1").replace("\0", ""))
            member.size = len(content)
            if rng.random() < 0.02:
                member.type = bytes([rng.choice(b"0123456789gxLKSA")])
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), 1) if rng.random() < 0.3 else buffer.getvalue()


def png_parts(data):
    parts, at = [], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at:at + 4], "big")
        kind, content = data[at + 4:at + 8], data[at + 8:at + 8 + size]
        if kind == b"IDAT":
            content = zlib.decompressobj().decompress(content, 2**18)
        parts.append((kind, content))
        at += 12 + size
    return parts


def make_png(parts, rng):
    out = [b"\x89PNG\r\n\x1a\n"]
    for kind, content in parts:
        kind = kind[:4].ljust(4, b"a")
        content = zlib.compress(content, 1) if kind == b"IDAT" else content
        out.append(struct.pack(">I", len(content)) + kind + content
                   + struct.pack(">I", zlib.crc32(kind + content)))
    return b"".join(out)


# ------------------------------------------------------------------------------------- valid files


def npz_files():
    found = []
    for dtype in (np.float32, np.float64):
        for save in (np.savez, np.savez_compressed):
            buffer = io.BytesIO()
            save(buffer, np.linspace(-1, 1, 32 * 32 * 15).reshape(32, 32, 15).astype(dtype))
            found.append(buffer.getvalue())
    return found


def png_files():
    from PIL import Image

    found, pixels = [], np.arange(210 * 160 * 3).reshape(210, 160, 3).astype(np.uint8) // 64 * 64
    for mode in ("RGB", "RGBA", "P"):
        for more in ({}, {"transparency": b"\x00\x80"} if mode == "P"
                     else {"dpi": (72, 72), "icc_profile": b"x" * 200}):
            buffer = io.BytesIO()
            Image.fromarray(pixels).convert(mode).save(buffer, "PNG", **more)
            found.append(buffer.getvalue())
    return found


def cifar_files():
    rows = np.arange(3072, dtype=np.uint8)[None]
    names = [b"class %d" % k for k in range(10)]
    from ldf_np.data.cifar import BATCHES

    def protocol(found):
        return pickle.dumps(found, protocol=2)

    python = [(f"cifar-10-batches-py/{b}".encode(), protocol({b"data": rows, b"labels": [3]}))
              for b in BATCHES]
    python.append((b"cifar-10-batches-py/batches.meta", protocol({b"label_names": names})))
    binary = [(f"cifar-10-batches-bin/{b}.bin".encode(), b"\x03" + rows.tobytes()) for b in BATCHES]
    binary.append((b"cifar-10-batches-bin/batches.meta.txt",
                   b"\n".join(n.replace(b" ", b"") for n in names)))
    return [make_tar(files, random.Random(seed)) for files in (python, binary) for seed in range(2)]


# ----------------------------------------------------------------------------------------- judging


def good_clip(x):
    return x.dtype == np.uint8 and x.shape == (5, 32, 32, 3)


def good_screen(x):
    return x.dtype == np.uint8 and x.shape == (210, 160, 3)


def good_images(x):
    return len(x.classes) == 10 and all(
        images.dtype == np.uint8 and images.shape == (len(labels), 32, 32, 3)
        and labels.dtype == np.int64 and len(labels) and 0 <= labels.min() <= labels.max() < 10
        for images, labels in ((x.train, x.train_labels), (x.test, x.test_labels)))


# reader: (module, function, result check, files, take apart, put together)
READERS = {
    "npz": ("ldf_np.data.recorded", "read_npz", good_clip, npz_files, zip_parts, make_zip),
    "png": ("ldf_np.data.recorded", "read_png", good_screen, png_files, png_parts, make_png),
    "cifar": ("ldf_np.data.cifar", "load_cifar10", good_images, cifar_files, tar_parts, make_tar),
}


def judge(read, good, path):
    """What is wrong with what the reader does with the file: a text, or None."""
    try:
        found = read(path)
    except (ValueError, FileNotFoundError) as error:
        cause, seen = error, set()
        while cause is not None and id(cause) not in seen:
            if isinstance(cause, MemoryError):
                return "ran out of memory"
            seen.add(id(cause))
            cause = cause.__cause__ or cause.__context__
        if str(path) not in str(error):
            return f"does not name the file: {error!r:.200}"
        return f"a message of {len(str(error))} characters" if len(str(error)) > 2000 else None
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return (f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: "
                f"{str(error):.200}")
    return None if good(found) else "returned what it does not promise"


# ---------------------------------------------------------------------------------------- mutation

NUMBERS = [0, 1, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1]


def damaged(rng, data, others):
    """Bytes flipped, cut, spliced, repeated or replaced by numbers that overflow."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        at = rng.randrange(min(len(data), len(data) if rng.random() < 0.5 else 200) + 1)
        kind = rng.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 2:
            del data[at:at + rng.choice([1, 4, 64, len(data)])]
        elif kind == 3:
            data[at:at + 4] = struct.pack(rng.choice("<>") + "I", rng.choice(NUMBERS))
        elif kind == 4:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            data[at:at] = other[start:start + rng.randrange(1, 300)]
        else:
            digits = list(re.finditer(rb"[0-9]+", bytes(data[:400])))
            if digits:
                here = rng.choice(digits)
                number = rng.choice([*NUMBERS, 2**63, 2**70, -1])
                data[here.start():here.end()] = str(number).encode()
    return bytes(data)


def mutated(data, rng, corpus, take_apart, put_together):
    """One more input: the bytes damaged, or a part of the container, put together again with
    fitting checksums."""
    if rng.random() < 0.3:
        return damaged(rng, data, corpus)
    try:
        parts = take_apart(data)
    except Exception:
        parts = take_apart(rng.choice(corpus))
    if not parts:
        parts = take_apart(rng.choice(corpus))
    k = rng.randrange(len(parts))
    name, content = parts[k]
    kind = rng.randrange(8)
    if kind == 0:
        parts[k] = damaged(rng, name, corpus)[:100], content
    elif kind == 1:
        parts.insert(rng.randrange(len(parts) + 1), parts[k])
    elif kind == 2:
        del parts[k]
    elif kind == 3 and atheris:
        parts[k] = name, atheris.Mutate(content, len(content) + 200)
    else:
        parts[k] = name, damaged(rng, content, [c for _, c in parts])
    try:
        return put_together(parts, rng)
    except Exception:       # a name or a size that the container cannot hold
        return damaged(rng, data, corpus)


def blind(one, corpus, mutate, seconds=None, inputs=None, seed=0):
    """Mutate without coverage until the time or the number of inputs is spent; how many were
    tried."""
    rng, start, tried = random.Random(seed), time.monotonic(), 0
    while (seconds is None or time.monotonic() - start < seconds) and (
        inputs is None or tried < inputs):
        data = rng.choice(corpus)
        for _ in range(rng.choice([1, 1, 2, 3])):
            data = mutate(data, rng)
        one(data)
        tried += 1
    return tried


# ---------------------------------------------------------------------------------------- programs


def fuzz(name, seconds, out):
    """In a process of its own: fuzz one reader; findings go to OUT/NAME.json as they come, the
    number of inputs last."""
    import importlib

    module, function, good, files, take_apart, put_together = READERS[name]
    if atheris:
        with atheris.instrument_imports(include=["ldf_np.data", "zipfile", "tarfile",
                                                 "PIL.PngImagePlugin", "PIL.ImageFile",
                                                 "numpy.lib._format_impl", "pickletools"]):
            read = getattr(importlib.import_module(module), function)
    else:
        read = getattr(importlib.import_module(module), function)
    corpus, findings = files(), {}
    folder = Path(tempfile.mkdtemp(prefix="fuzz_"))
    path = folder / f"input.{name}"
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))

    def one(data):
        path.write_bytes(data)
        found = judge(read, good, path)
        if found and found not in findings:
            kept = out / f"{name}-{len(findings)}.bin"
            kept.write_bytes(data)
            findings[found] = str(kept)
            (out / f"{name}.json").write_text(json.dumps(findings))

    for data in corpus:
        one(data)
    mutate = functools.partial(mutated, corpus=corpus, take_apart=take_apart,
                               put_together=put_together)
    if atheris is None:
        import faulthandler

        faulthandler.dump_traceback_later(seconds + SECONDS_PER_INPUT, exit=True)
        print(f"Done {blind(one, corpus, mutate, seconds)} runs", file=sys.stderr)
        return
    seeds = folder / "corpus"
    seeds.mkdir()
    for k, data in enumerate(corpus):
        (seeds / str(k)).write_bytes(data)
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", f"-timeout={SECONDS_PER_INPUT}",
                   "-max_len=300000",
                   "-rss_limit_mb=0", "-print_final_stats=0", f"-artifact_prefix={out}/{name}-",
                   str(seeds)], one,
                  custom_mutator=lambda data, most, seed: mutate(data, random.Random(seed))[:most])
    atheris.Fuzz()


def run(name, seconds, out):
    """Fuzz one reader in a child: (inputs tried, findings {what: file})."""
    (out / f"{name}.json").unlink(missing_ok=True)
    command = [sys.executable, __file__, "--child", "--reader", name, "--seconds", str(seconds),
               "--out", str(out)]
    child = subprocess.run(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                           errors="replace", timeout=3 * seconds + 120)
    path = out / f"{name}.json"
    findings = json.loads(path.read_text()) if path.exists() else {}
    done = re.search(r"Done (\d+) runs", child.stderr)
    if child.returncode or not done:
        findings[f"the process ended with {child.returncode}: {child.stderr[-1500:]}"] = str(out)
    return int(done[1]) if done else 0, findings


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20, help="for each reader (default 20)")
    parser.add_argument("--reader", choices=[*READERS, "all"], default="all")
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"),
                        help="where inputs that are findings are kept")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.child:
        return fuzz(options.reader, options.seconds, options.out.resolve())
    bad = 0
    for name in READERS if options.reader == "all" else [options.reader]:
        tried, findings = run(name, options.seconds, options.out.resolve())
        guided = "guided by coverage" if atheris else "blind: atheris is not installed"
        print(
            f"{name}: {tried} inputs in {options.seconds} s ({guided}), {len(findings)} findings",
            flush=True)
        for what, where in findings.items():
            print(f"    {what}\n        {where}", flush=True)
        bad += len(findings)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
