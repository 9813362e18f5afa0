"""What an experiment writes beside its pictures: claims and tables as results.json, with the
machine and the versions that made them."""

import json
import math
import os
import platform
import shlex
import sys
import textwrap
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ..runtime.checks import expect
from ..runtime.files import replacing
from ..runtime.threads import blas, cores
from .page import write_page
from .statistics import ONE_SEED, verdict
from .tables import WIDTH, cell, steps_text, text_table  # noqa: F401

NO_VERDICT = "With one seed nothing is held or failed: a verdict needs more (--seeds 0 1 2)."


def environment():
    """The machine and the versions of what ran: a dict for results.json."""
    versions = {name: version(name) for name in ("ldf_np", "numpy", "scipy")}
    return {"machine": {"system": platform.platform(), "processor": _processor(),
                        "cpus": cores(), "blas": blas()},
            "versions": {"python": platform.python_version()} | versions}


def _processor():
    """The processor's name: from /proc/cpuinfo where there is one, else what Python knows."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file
                        if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def command():
    """The command line of this program, as one would type it in the checkout."""
    program = Path(sys.argv[0]).resolve()
    parts = program.parts
    # demos/paper/memory.py, wherever the checkout lies; a program elsewhere with its own folder
    first = len(parts) - 1 - parts[::-1].index("demos") if "demos" in parts else -2
    return shlex.join(["python", "/".join(parts[first:]), *sys.argv[1:]])


def save_json(path, results):
    """Write ``results`` as JSON (to a temporary name, then renamed)."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=2)
        file.write("\n")


# ------------------------------------------------------------------------------------------ claims


def claim(text, paper, quantity, interval, expected, than=0.0, margin=None):
    """A claim for ``save_results``: what was tested, the paper's sentence (with its section), what
    ``interval`` ([value, low, high]) is an interval of, and the verdict on its lying ``expected``
    ("below" or "above") ``than``, or within ``margin`` of it.

    An experiment has one to three, each with a quantity and a margin that were chosen before it
    ran. All else that it measures is ``described``.
    """
    return {"claim": text, "paper": paper, "quantity": quantity, "interval": interval,
            "expected": expected, "than": than, "margin": margin,
            "verdict": verdict(interval, expected, than, margin)}


def described(text, quantity, interval):
    """What was measured beside the claims: an entry for ``save_results`` without a verdict."""
    return {"claim": text, "quantity": quantity, "interval": interval}


DESCRIBED = "Also measured: description, no verdict"


def sort_out(entries, tables):
    """(the claims among ``entries``, ``tables`` with one more of those that are only
    ``described``)."""
    described = [e for e in entries if "verdict" not in e]
    rows = {e["claim"]: [e["quantity"], e["interval"]] for e in described}
    expect(len(rows) == len(described), "claims", "described entries of different texts",
           f"{len(described)} of {len(rows)} texts")
    more = {DESCRIBED: {"columns": ["quantity", "measured"], "rows": rows}} if rows else {}
    return [e for e in entries if "verdict" in e], tables | more


def print_claims(entries):
    """Print each claim with its number and verdict, or that one seed gives none, and then what is
    only ``described``."""
    claims, tables = sort_out(entries, {})
    for entry in claims:
        known = entry["verdict"] != ONE_SEED
        _print_number(f"{entry['verdict'].upper()}: {entry['claim']}" if known else entry["claim"],
                      entry["quantity"], entry["interval"])
    if any(entry["verdict"] == ONE_SEED for entry in claims):
        print(NO_VERDICT)
    for title, table in tables.items():
        print(f"{title}:")
        for name, (quantity, interval) in table["rows"].items():
            _print_number(name, quantity, interval)


def _print_number(name, quantity, interval):
    """Lines that fit, the later ones further in."""
    print(textwrap.fill(name, WIDTH, subsequent_indent="    "))
    print(textwrap.fill(f"{quantity}: {cell(interval)}", WIDTH, initial_indent="    ",
                        subsequent_indent="    "))


# ----------------------------------------------------------------------------------------- results


def save_results(options, *, title, claims, tables, figures, seconds, **more):
    """Write results.json into ``options.out``: what the report shows, and the machine, versions and
    settings it came from.

    claims : list of ``claim``, one to three, and of ``described``
    tables : {title: {"columns": names, "rows": {name: cells}}}; a cell is a number, [value, low,
        high] or a text
    figures : [(file in the folder, caption, alternative text), ...]
    seconds : float, the time that all of it took
    """
    line, (claims, tables) = command(), sort_out(claims, tables)
    full = [entry | dict(zip(("value", "low", "high"), entry["interval"], strict=True))
            | {"command": line, "seconds": seconds} for entry in claims]
    save_json(os.path.join(options.out, "results.json"), jsonable(
        {"title": title, "command": line, "options": vars(options), "seconds": seconds,
         "claims": full, "tables": tables,
         "figures": [dict(zip(("file", "caption", "alt"), figure, strict=True))
                     for figure in figures],
         **more} | environment()))


def jsonable(value):
    """``value`` with Python's numbers in place of NumPy's. JSON knows no infinity and no NaN: they
    become the texts "inf" and "nan"."""
    if isinstance(value, dict):
        return {key: jsonable(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    value = value.item() if isinstance(value, np.generic) else value
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def conclude(options, *, title, claims, tables, figures, seconds, **more):
    """``save_results`` and its page, index.html; print the tables and claims, and which three files
    to open: the page and the first two figures, whose captions say what to see in them."""
    save_results(options, title=title, claims=claims, tables=tables, figures=figures,
                 seconds=seconds, **more)
    write_page(options.out)
    for name, table in tables.items():
        print(f"\n{text_table(table, name)}")
    if claims:
        print()
        print_claims(claims)
    print(f"\nOpen in {options.out}:")
    files = {"index.html": "all of it on one page: pictures, numbers, and what was claimed."} | {
        file: caption for file, caption, _ in figures[:2]}
    if len(files) < 3:
        files["results.json"] = "the same numbers as data, with the machine and the versions."
    wide = max(map(len, files)) + 4
    for file, what in files.items():
        print(textwrap.fill(what, WIDTH, initial_indent=f"  {file:{wide - 2}}",
                            subsequent_indent=" " * wide))
