"""How many lines of a Python file hold code: no docstrings, comments and blanks.

    python tests/tools/code_lines.py ldf_np/nn ldf_np/models
"""

import ast
import sys
import tokenize
from pathlib import Path

NO_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
           tokenize.ENDMARKER, tokenize.ENCODING)


def numbers(path):
    """The numbers of the code lines of a file."""
    with open(path, "rb") as file:
        lines = {line for token in tokenize.tokenize(file.readline) if token.type not in NO_CODE
                 for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
        documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        if documented and ast.get_docstring(node):
            first = node.body[0]
            lines -= set(range(first.lineno, first.end_lineno + 1))
    return lines


def code_lines(path):
    """How many code lines a file has."""
    return len(numbers(path))


if __name__ == "__main__":
    total = 0
    for folder in map(Path, sys.argv[1:]):
        for path in sorted(folder.rglob("*.py")) if folder.is_dir() else [folder]:
            total += code_lines(path)
            print(f"{code_lines(path):6} {path}")
    print(f"{total:6} in all")
