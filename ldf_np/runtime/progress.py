"""Progress of long work: a bar on a terminal, and a plain line every few seconds in a file or a
pipe."""

import sys
import time

from tqdm import tqdm

EVERY = 5.0     # seconds, at least, between two lines


def progress_bar(total, label, unit="", initial=0, show=True):
    """A bar on stderr where that is a terminal, else ``ProgressLines``: both have the methods of
    the latter and its ``n``.

    Parameters
    ----------
    total : the number of ``unit``; or 1.0 without a unit, for a part of the work in [0, 1]
    label : str, what is done
    initial : how much of it was done before
    show : bool, False for no output
    """
    if show and _is_terminal(sys.stderr):
        bar = {"unit": unit} if unit else {
            "bar_format": "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"}
        return tqdm(total=total, initial=initial, desc=label, mininterval=0.5, **bar)
    return ProgressLines(sys.stderr if show else None, total, label, unit, initial)


def _is_terminal(stream):
    try:
        return stream.isatty()
    except (AttributeError, ValueError):        # no stream (None), or one that is closed
        return False


def note(text):
    """Print a line on stderr; a bar there is not disturbed."""
    tqdm.write(text, file=sys.stderr)


class ProgressLines:
    """Progress as lines of text on ``stream``, at most one in ``EVERY`` seconds and one at the end;
    nothing where it is None.

    It has the methods of ``tqdm`` that are used here. Without control characters, so a log stays
    readable.
    """

    def __init__(self, stream, total, label, unit="", initial=0):
        self._stream, self._total, self._label, self._unit = stream, total, label, unit
        self.n, self._initial, self._postfix, self._written = initial, initial, "", None
        self._start = self._last = time.monotonic()

    def update(self, n=1):
        """``n`` more are done."""
        self.n += n
        self._refresh()

    def set_postfix(self, values, refresh=True):
        """Show {name: value} beside the progress."""
        self.set_postfix_str(", ".join(f"{name}={value}" for name, value in values.items()),
                             refresh)

    def set_postfix_str(self, text, refresh=True):
        """Show ``text`` beside the progress."""
        self._postfix = text
        if refresh:
            self._refresh()

    def close(self):
        """Write the last line, unless it says what the one before said."""
        if self._written != (self.n, self._postfix):
            self._write()
        self._stream = None

    @staticmethod
    def write(text):
        """Print ``text`` on stdout; a bar on a terminal is not disturbed by it."""
        print(text)

    def _refresh(self):
        if time.monotonic() - self._last >= EVERY:
            self._write()

    def _write(self):
        if self._stream is None:
            return
        self._last, self._written = time.monotonic(), (self.n, self._postfix)
        spent, done = self._last - self._start, self.n - self._initial
        left = tqdm.format_interval(spent * (self._total - self.n) / done) if done else "?"
        amount = (f"{self.n:,} of {self._total:,} {self._unit}s" if self._unit
                  else f"{self.n / self._total:.0%}")
        postfix = f", {self._postfix}" if self._postfix else ""
        try:
            print(f"{self._label}: {amount}, {tqdm.format_interval(spent)} (left: {left}){postfix}",
                  file=self._stream, flush=True)
        except (OSError, ValueError):       # nobody reads it any more: the work goes on
            self._stream = None
