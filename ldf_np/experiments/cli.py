"""The command line of an experiment: the options that all of them take, and a main that ends with
a sentence instead of a traceback."""

import argparse
import json
import math
import os
import signal
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from ..runtime.checks import expect
from ..runtime.distributed import start, world
from ..runtime.threads import one_blas_thread
from .runs import FOLDERS


def positive_float(text):
    """An argparse type: a finite number above 0."""
    value = _float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return value


def non_negative_float(text):
    """An argparse type: a finite number of at least 0."""
    value = _float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, got {text}")
    return value


def part(text):
    """An argparse type: a number between 0 and 1."""
    value = _float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text}")
    return value


def _float(text):
    try:
        return float(text)
    except ValueError:
        return math.nan


def integer_from(least):
    """An argparse type: an integer of at least ``least``."""
    def of(text):
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            wanted = "a non-negative integer" if least == 0 else f"an integer of at least {least}"
            raise argparse.ArgumentTypeError(f"expected {wanted}, got {text}")
        return value

    return of


def parser(doc, *, out, minutes=None, of="training time of each model", seeds=(0, 1, 2),
           steps=None):
    """An ArgumentParser with what every experiment takes: --seeds, --device, --out, --minutes where
    that has a default; and, where ``steps`` says what they are, --steps in place of --minutes."""
    made = argparse.ArgumentParser(description=doc,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    if minutes is not None:
        budgets = made.add_mutually_exclusive_group()
        budgets.add_argument("--minutes", type=positive_float, default=minutes,
                             help=f"{of} (default {minutes:g})")
        if steps is not None:
            budgets.add_argument("--steps", type=integer_from(2), metavar="N", help=steps)
    made.add_argument("--seeds", type=integer_from(0), nargs="+", default=list(seeds),
                      metavar="SEED", help="the experiment is run once with each (default "
                                           f"{' '.join(map(str, seeds))})")
    made.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    made.add_argument("--out", default=out, help=f"folder for what it writes (default {out})")
    return made


def budget(options):
    """{"minutes": number} or {"steps": number}, by the options of ``parser``."""
    return {"minutes": options.minutes} if options.steps is None else {"steps": options.steps}


def add_checkpoints(parser):
    """Add to an ArgumentParser the options of trainings with checkpoints: --resume, --no-resume and
    --on-nan."""
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction,
                        help="go on with trainings that were ended (so it is anyway, but with "
                             "--resume it is an error where none was begun), or begin them anew "
                             "(--no-resume)")
    parser.add_argument("--on-nan", choices=("stop", "back-off"), default="stop",
                        help="where a loss or gradient is not finite: end with what it was "
                             "(default), or go back to the last checkpoint with half the learning "
                             "rates")


def expect_alone(parser, options, name, *beside):
    """Where the option of this name is given, end the program if others than those ``beside`` it
    are given, too: it leaves them unused."""
    given = [k for k, value in vars(options).items() if value != parser.get_default(k)]
    unused = [f"--{k.replace('_', '-')}" for k in given if k not in (name, *beside)]
    if name in given and unused:
        parser.error(f"--{name}: expected none of the options that it leaves unused, got "
                     f"{' '.join(unused)}")


def network(text, known):
    """``known[KIND]`` with the arguments that a text, KIND NAME=VALUE ..., gives it: numbers,
    tuples of numbers with commas, else text; None for None. ValueError where it says others."""
    if text is None:
        return None
    kind, _, rest = text.partition(" ")
    if kind not in known:
        raise ValueError(f"expected one of {', '.join(known)} first, got {kind}")
    arguments = {}
    for word in rest.split():
        name, equals, text = word.partition("=")
        if not equals or "=" in text:
            raise ValueError(f"expected settings NAME=VALUE, got {word}")
        if name == "seed":
            raise ValueError(f"seed: expected to be left to --seeds, got {word}")
        try:
            values = json.loads(f"[{text}]")
            arguments[name] = values[0] if len(values) == 1 else tuple(values)
        except json.JSONDecodeError:
            arguments[name] = text
    return partial(known[kind], **arguments)


def expect_network(parser, option, words, known, *data):
    """The words as one text, for ``network``, None for None. Ends the program where that makes
    nothing of ``data``, saying why."""
    if words is None:
        return None
    try:
        network(text := " ".join(words), known)(*data)
        return text
    except (TypeError, ValueError) as error:
        parser.error(f"{option}: {error}")


def settings(options, *less):
    """{name: value} of all options on which the results of an experiment depend, without those in
    ``less``."""
    return {k: v for k, v in vars(options).items()
            if k not in ("out", "seeds", "resume", "on_nan", *less)}


def expect_folder(option, path):
    """ValueError where this path is no folder that can be written into, and none can be made of
    it: before work is done for it."""
    there = Path(path).absolute()
    while not there.exists():
        there = there.parent
    expect(path and there.is_dir(), option, "the path of a folder",
           f"{path!r}" + (f", and {there} is a file" if path else ""))
    try:
        TemporaryDirectory(dir=there).cleanup()
    except OSError as error:
        raise ValueError(f"{option}: {path!r}: nothing can be written into {there}: "
                         f"{error.strerror}") from error


def main(run, options, ranks=False):
    """``run(options)``, with one sentence in place of a traceback for every error that a user can
    cause. SIGTERM is taken as Ctrl-C.

    ``ranks``: whether mpirun may start it as several processes; then an error in any of them ends
    all.
    """
    name, seeds = os.path.basename(sys.argv[0]), getattr(options, "seeds", [])
    begun = [os.path.join(options.out, folder) for folder in FOLDERS]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if len(set(seeds)) < len(seeds):
        sys.exit(f"{name}: --seeds: expected different seeds, got {' '.join(map(str, seeds))}")
    if getattr(options, "resume", None) and not any(map(os.path.isdir, begun)):
        sys.exit(f"{name}: --resume: nothing was begun in {options.out}")
    end = sys.exit
    try:
        if start().size > 1:
            end = world().abort
            if not ranks:
                raise ValueError("this experiment runs in one process: start it without mpirun")
        expect_folder("--out", options.out)
        with one_blas_thread():
            run(options)
    except KeyboardInterrupt:
        kept = any(map(os.path.isdir, begun))
        end(f"{name}: interrupted; " + (f"what there is so far is kept in {options.out}, and the "
            "same command goes on from there" if kept else "what was not finished begins anew"))
    except (ValueError, OSError, ImportError, RuntimeError, FloatingPointError,
            MemoryError) as error:
        end(f"{name}: {error}")
