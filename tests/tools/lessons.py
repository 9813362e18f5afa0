"""Runs a page of the lessons as one program, and compares what it prints with what the page shows.

    python tests/tools/lessons.py docs/lessons/1-*.md       what does not agree, if anything

Every ```python block runs, one after the other, in one namespace. What a block prints stands in the
```text block that follows it.
"""

import contextlib
import difflib
import io
import sys
from pathlib import Path

from sybil import Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser


class Page:
    """The blocks of one page, and what has been printed and not yet been shown."""

    def __init__(self, path):
        self.printed, self.python = io.StringIO(), PythonEvaluator()
        parsers = [CodeBlockParser("python", self._run), CodeBlockParser("text", self._compare)]
        self.document = Sybil(parsers).parse(Path(path))

    def check(self):
        """Run the page. Raises an AssertionError where it prints anything but what it shows."""
        for example in self.document.examples():
            example.evaluate()
        assert not self.printed.getvalue(), f"prints what it does not show: {self._taken()}"

    def _run(self, example):
        assert not self.printed.getvalue(), (
            f"prints what it does not show, above line {example.line}: {self._taken()}")
        with contextlib.redirect_stdout(self.printed):
            self.python(example)

    def _compare(self, example):
        shown, printed = str(example.parsed), self._taken()
        if shown != printed:
            return "\n".join(difflib.unified_diff(shown.splitlines(), printed.splitlines(),
                                                  "shown", "printed", lineterm=""))

    def _taken(self):
        text = self.printed.getvalue()
        self.printed.seek(0)
        self.printed.truncate()
        return text


if __name__ == "__main__":
    for path in sys.argv[1:]:
        Page(path).check()
        print(f"{path} prints what it shows.")
