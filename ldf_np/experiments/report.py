"""What an experiment writes beside its pictures: claims and tables as results.json, with the
machine and the versions that made them."""

import json
import os
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

from ..runtime.files import replacing
from .statistics import verdict


def environment():
    """The machine and the versions of what ran: a dict for results.json."""
    versions = {name: version(name) for name in ("ldf_np", "numpy", "scipy")}
    return {"machine": {"system": platform.platform(), "processor": _processor(),
                        "cpus": os.cpu_count()},
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


# ------------------------------------------------------------------------------- tables and claims


def cell(value):
    """One cell of a table as text: a number, [value, low, high], a text, or None for nothing."""
    triple = isinstance(value, (list, tuple)) and len(value) == 3
    if not triple and not isinstance(value, (str, int, float, type(None))):
        raise TypeError(
            f"value: expected a number, [value, low, high], a text or None, got {value!r:.80}")
    if isinstance(value, str):
        return value
    middle, low, high = value if triple else (value, None, None)
    if middle is None:
        return "-"
    bounds = "" if low is None else f" ({_number(low)} to {_number(high)})"
    return _number(middle) + bounds


def _number(x):
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}"


def text_table(table, title=""):
    """A table, {"columns": names, "rows": {name: cells}}, as aligned text."""
    if not isinstance(table, dict) or not isinstance(title, str):
        raise TypeError("table, title: expected a dict and a text, got "
                        f"{type(table).__name__} and {type(title).__name__}")
    lines = [[title, *table["columns"]],
             *([name, *map(cell, cells)] for name, cells in table["rows"].items())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip()
                     for line in lines)


def steps_text(runs):
    """The steps of {level: steps} of each seed as a table's cell: "level 0 70/71, top 30/30". A
    training that was interrupted has none of the levels that it did not reach."""
    levels = dict.fromkeys(level for steps in runs for level in steps)
    return ", ".join(f"{level} {'/'.join(str(steps.get(level, 0)) for steps in runs)}"
                     for level in levels)


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
    rows = {e["claim"]: [e["quantity"], e["interval"]] for e in entries if "verdict" not in e}
    more = {DESCRIBED: {"columns": ["quantity", "measured"], "rows": rows}} if rows else {}
    return [e for e in entries if "verdict" in e], tables | more


def print_claims(claims):
    """Print each claim with its number and verdict."""
    for entry in sort_out(claims, {})[0]:
        print(f"{entry['verdict'].upper()}: {entry['claim']}\n"
              f"    {entry['quantity']}: {cell(entry['interval'])}")


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
    save_json(os.path.join(options.out, "results.json"),
              {"title": title, "command": line, "options": vars(options), "seconds": seconds,
               "claims": full, "tables": tables,
               "figures": [dict(zip(("file", "caption", "alt"), figure, strict=True))
                           for figure in figures],
               **more} | environment())


def conclude(options, *, claims, tables, **settings):
    """``save_results``, and print the tables, the claims, and where it all is."""
    save_results(options, claims=claims, tables=tables, **settings)
    claims, tables = sort_out(claims, tables)
    for title, table in tables.items():
        print(f"{text_table(table, title)}\n")
    print_claims(claims)
    print(f"\nresults.json and what goes with it are in {options.out}")
