"""Tables of results, {"columns": names, "rows": {name: cells}}, as text."""

import textwrap

import numpy as np

WIDTH = 100         # columns of a terminal, at most, that tables and texts take


def cell(value):
    """One cell of a table as text: a number, [value, low, high], a text, or None for nothing."""
    triple = isinstance(value, (list, tuple)) and len(value) == 3 and (
        (value[1] is None) == (value[2] is None))
    if not triple and not isinstance(
            value, (str, int, float, np.integer, np.floating, type(None))):
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
    return f"{x:,.0f}" if 999.5 <= abs(x) < 1e9 else f"{x:.3g}"


def text_table(table, title=""):
    """A table, {"columns": names, "rows": {name: cells}}, as aligned text under its title: where
    its columns do not fit into WIDTH, in blocks of as many as do."""
    if not isinstance(table, dict) or not isinstance(title, str):
        raise TypeError("table, title: expected a dict and a text, got "
                        f"{type(table).__name__} and {type(title).__name__}")
    names, *columns = zip(["", *table["columns"]], *(
        [name, *map(cell, cells)] for name, cells in table["rows"].items()), strict=True)
    blocks, left = [[]], 0
    for column in columns:
        width = 2 + max(map(len, column))
        if blocks[-1] and left < width:
            blocks.append([])
        if not blocks[-1]:
            left = WIDTH - max(map(len, names))
        blocks[-1].append(column)
        left -= width
    parts = [textwrap.fill(title, WIDTH)] * bool(title)
    for block in blocks:
        widths = [max(map(len, column)) for column in (names, *block)]
        parts.append("\n".join("  ".join(map(str.ljust, line, widths)).rstrip()
                               for line in zip(names, *block)))
    return "\n".join(parts)


def steps_text(runs):
    """The steps of {level: steps} of each seed as a table's cell: "level 0 70/71, top 30/30". A
    training that was interrupted has none of the levels that it did not reach."""
    levels = dict.fromkeys(level for steps in runs for level in steps)
    return ", ".join(f"{level} {'/'.join(str(steps.get(level, 0)) for steps in runs)}"
                     for level in levels)
