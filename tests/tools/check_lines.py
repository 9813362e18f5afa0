"""How many code lines check arguments.

    python tests/tools/check_lines.py ldf_np/models ldf_np/nn ldf_np/training

Counted are decorators ``@checked(...)``; statements that call ``expect`` or another name of
runtime/checks.py, rules.py or relations.py; ``if ...: raise`` of an error about a value; and what
serves only these, as tables of rules do.
"""

import ast
import sys
from collections import Counter
from pathlib import Path

from code_lines import code_lines, numbers

ERRORS = {"TypeError", "ValueError", "KeyError"}
DEFINITIONS = (ast.FunctionDef, ast.ClassDef)
SIMPLE = (ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return)


def names(node):
    """The names and attributes that are read in a node, each as often as it is."""
    return Counter(n.id if isinstance(n, ast.Name) else n.attr for n in ast.walk(node)
                   if isinstance(n, (ast.Name, ast.Attribute)) and isinstance(n.ctx, ast.Load))


def is_check(node, rules):
    """Whether a statement or decorator calls one of the rules, or only raises an error."""
    if isinstance(node, ast.If):
        only = node.body[0]
        return not node.orelse and isinstance(only, ast.Raise) and bool(names(only).keys() & ERRORS)
    return isinstance(node, (*SIMPLE, ast.Call)) and any(
        isinstance(call, ast.Call) and names(call.func).keys() & rules for call in ast.walk(node))


def inside(node, rules):
    """The statements and decorators below a node that check. An argument named like a rule is none
    in its function."""
    if isinstance(node, ast.FunctionDef):
        rules = rules - {argument.arg for argument in ast.walk(node.args)
                         if isinstance(argument, ast.arg)}
    for decorator in getattr(node, "decorator_list", ()):
        if is_check(decorator, rules | {"checked"}):
            yield decorator
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt) and is_check(child, rules):
            yield child
        elif not isinstance(child, ast.expr):
            yield from inside(child, rules)


def imported(tree):
    """The names that a file has from checks.py, rules.py and relations.py."""
    return {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
            and (node.module or "").endswith((".checks", ".rules", ".relations"))
            for alias in node.names} | {"checks", "rules", "relations"}


def defined(node):
    """The names that a statement of a module defines."""
    if isinstance(node, DEFINITIONS):
        return [node.name]
    return [n.id for target in getattr(node, "targets", ()) for n in ast.walk(target)
            if isinstance(n, ast.Name)]


def checks_of(trees):
    """[the nodes that check arguments] for each of the syntax trees."""
    found = [list(inside(tree, imported(tree))) for tree in trees]
    used = sum(map(names, trees), Counter())
    for _ in range(3):      # what only checks use, and what only that uses
        serving = sum((names(node) for nodes in found for node in nodes
                       if not isinstance(node, (ast.Assign, ast.Return))), Counter())
        for tree, nodes in zip(trees, found):
            nodes += [node for node in tree.body if node not in nodes and defined(node)
                      and all(0 < used[name] <= serving[name] for name in defined(node))]
    return found


def check_lines(folders):
    """{path: the numbers of its code lines that check arguments} of the files in the folders."""
    paths = [path for folder in folders for path in sorted(Path(folder).rglob("*.py"))]
    found = checks_of([ast.parse(path.read_text(encoding="utf-8")) for path in paths])
    return {path: numbers(path) & {line for node in nodes
                                   for line in range(node.lineno, node.end_lineno + 1)}
            for path, nodes in zip(paths, found)}


def share(folders):
    """The part of the code lines of the folders that check arguments."""
    found = check_lines(folders)
    return sum(map(len, found.values())) / sum(map(code_lines, found))


if __name__ == "__main__":
    for path, lines in check_lines(sys.argv[1:]).items():
        print(f"{len(lines):5} of {code_lines(path):5} {path}", *sorted(lines))
    print(f"{share(sys.argv[1:]):.1%}")
