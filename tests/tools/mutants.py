"""The alterations that tests/tools/mutation.py makes: of the derivative rules, of the kernels'
NumPy twins and of the .cu files.

A mutant replaces one piece of a file's text. In Python the pieces are nodes of its syntax tree
(``ast``), in a .cu file operators and numbers outside of comments, strings, assembly and
declarations.
"""

import ast
import re
from typing import NamedTuple

# What is altered in a file beside its rules and the private functions they call; "*": every
# function.
FUNCTIONS = {
    "ldf_np/engine.py": ["grad", "_between", "_accumulate", "_fit", "sum_to", "broadcast_to"],
    "ldf_np/ops.py": ["mean", "maxout", "swapaxes", "stack", "split", "linear", "scale_shift"],
    "ldf_np/conv.py": ["conv2d", "conv_transpose2d", "conv2d_weight"],
    "ldf_np/norm.py": ["normalize"],
    "ldf_np/penalty.py": ["squared_gradient_norms", "roth_penalty", "penalized_logits",
                          "_wgan_penalty", "annealed"],
    "ldf_np/losses.py": ["*"],
    **{f"kernels/{name}.py": ["*"]
       for name in ("conv", "elementwise", "lowering", "matmul", "norm", "optim", "penalty",
                    "random", "tile")},
}
CUDA = [f"kernels/{name}.cu" for name in ("conv", "elementwise", "matmul", "norm", "optim",
                                          "penalty", "random", "tile")]
FILES = [*FUNCTIONS, *CUDA]

OPERATORS = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.Pow: "*", ast.FloorDiv:
             "*", ast.Mod: "//"}
COMPARISONS = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq:
               "=="}
MOVES = {"swapaxes", "transpose"}
COTANGENTS = {"g", "h", "c"}
WHERE = {"on_device", "array_module", "_module"}
# how functions that only refuse something begin; tests/test_bad_input.py has what they refuse
CHECK = "_check"
# or where an exchange is no slip that anybody makes
SYMMETRIC = {"zip", "isinstance", "hasattr", "getattr", "max", "min", "maximum", "minimum",
             "row_dots",
             "result_type", "add", "multiply", "clip"}


class Mutant(NamedTuple):
    """The text from ``start`` to ``end`` of a file replaced by ``after``; ``what`` says which kind
    of mistake that is."""

    file: str
    line: int
    what: str
    before: str
    after: str
    start: int
    end: int

    def applied(self, text):
        """The file's text with the mistake in it."""
        return text[:self.start] + self.after + text[self.end:]

    def altered_line(self, text):
        """The first of the lines with the mistake in it, stripped: what names a mutant when line
        numbers have moved."""
        return self.applied(text).splitlines()[self.line - 1].strip()


def mutants_of(file, text):
    """All mutants of a file's text, in the order of its lines."""
    found = cuda_mutants(
        file, text) if file.endswith(".cu") else python_mutants(file, text, FUNCTIONS.get(file, ()))
    return sorted(set(found), key=lambda m: (m.start, m.end, m.after))


# ------------------------------------------------------------------------------------------ Python


def python_mutants(file, text, names=()):
    """Of the rules (what ``defvjp`` is given), of the private functions they call, and of the
    functions named."""
    tree = ast.parse(text)
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
                 and not node.name.startswith(CHECK)}
    rules, chosen = [], [functions[name] for name in functions if name in names or "*" in names]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func,
                                                     ast.Attribute) and node.func.attr in (
                                                         "defvjp", "defvjp_all"):
            rules += [functions.get(a.id) if isinstance(a, ast.Name) else a for a in node.args
                      if not isinstance(a, ast.Constant)]
    seen = []
    # grows: a function brings the private ones it calls
    for function in [*rules, *chosen]:
        if function not in seen:
            seen.append(function)
            called = {n.id for n in ast.walk(function) if isinstance(n, ast.Name)}
            chosen += [functions[n] for n in called if n.startswith("_") and n in functions]
    seen += [function for function in chosen if function not in seen]
    writer = _Writer(file, text)
    for function in seen:
        parameters = [a.arg for a in function.args.args]
        cotangent = next((p for p in parameters[:2] if p in COTANGENTS), None)
        if function in rules:
            for value in [function.body] if isinstance(function, ast.Lambda) else \
                    [n.value for n in ast.walk(function) if isinstance(n, ast.Return)]:
                writer.write(value, "sign flipped", f"-({writer.source(value)})")
        for node in function.body if isinstance(function.body, list) else [function.body]:
            _alter(node, writer, cotangent)
    return writer.found


class _Writer:
    """Collects mutants that replace a node's text."""

    def __init__(self, file, text):
        self.file, self.text, self.found = file, text, []
        self.lines = [0, *(m.end() for m in re.finditer("\n", text))]

    def place(self, node):
        # Columns count bytes, and these files are ASCII; a file that is not would be cut in the
        # wrong place.
        assert self.text.isascii(), f"{self.file} is not ASCII"
        return (self.lines[node.lineno - 1] + node.col_offset,
                self.lines[node.end_lineno - 1] + node.end_col_offset)

    def source(self, node):
        start, end = self.place(node)
        return self.text[start:end]

    def write(self, node, what, after):
        start, end = self.place(node)
        self.found.append(Mutant(self.file, node.lineno, what, self.text[start:end], after, start,
                                 end))


def _alter(node, writer, cotangent):
    """Every mutant of one statement or expression and of what is in it."""
    if isinstance(node, ast.Raise | ast.Assert) or isinstance(
        node, ast.Expr) and isinstance(node.value, ast.Constant):
        return                                      # messages and docstrings
    if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise) and not node.orelse:
        return                                      # what is refused is no arithmetic
    if isinstance(node, ast.Expr) and isinstance(
        node.value, ast.Call) and getattr(node.value.func, "id", "").startswith(CHECK):
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in WHERE:
        return                                      # nor is where an array lies
    for what, after in _changes(node, writer.source, cotangent):
        writer.write(node, what, after)
    if isinstance(node, ast.Attribute) and node.attr in ("shape", "dtype", "ndim"):
        return                                      # which a dropped cotangent would leave as it is
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr | ast.stmt | ast.comprehension | ast.keyword):
            _alter(child, writer, cotangent)


def _changes(node, source, cotangent):
    """Yield (what, new text) for one node."""
    if isinstance(node, ast.BinOp):
        left, right = f"({source(node.left)})", f"({source(node.right)})"
        if type(node.op) in OPERATORS:
            yield "operator", f"({left} {OPERATORS[type(node.op)]} {right})"
        if isinstance(node.op, ast.Sub | ast.Div | ast.Pow | ast.MatMult):
            sign = {ast.Sub: "-", ast.Div: "/", ast.Pow: "**", ast.MatMult: "@"}[type(node.op)]
            yield "operands swapped", f"({right} {sign} {left})"
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
        yield "sign flipped", f"({source(node.operand)})"
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS and len(node.ops) == 1:
        yield "comparison", f"({source(node.left)} {COMPARISONS[type(node.ops[0])]} {source(node.comparators[0])})"
    elif isinstance(node, ast.IfExp):
        yield "branches swapped", f"({source(node.orelse)} if {source(node.test)} else {source(node.body)})"
    elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add | ast.Sub | ast.Mult):
        sign = {ast.Add: "-=", ast.Sub: "+=", ast.Mult: "/="}[type(node.op)]
        yield "operator", f"{source(node.target)} {sign} {source(node.value)}"
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield "constant", str(node.value + 1)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id == cotangent:
        yield "cotangent dropped", f"({cotangent} * 0 + 1)"
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield "transposition left out", source(node.value)
    elif isinstance(node, ast.Call):
        yield from _call_changes(node, source)


def _call_changes(node, source):
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in MOVES:
        method = isinstance(node.func, ast.Attribute)
        yield "transposition left out", source(node.func.value if method else node.args[0])
    if name == "range":
        yield "range", f"{source(node)}[:-1]"
    if name in SYMMETRIC or name in MOVES or any(isinstance(a, ast.Starred) for a in node.args):
        return
    for k in range(len(node.args) - 1):
        arguments = [source(a) for a in node.args]
        if arguments[k] == arguments[k + 1]:
            continue
        arguments[k], arguments[k + 1] = arguments[k + 1], arguments[k]
        keywords = [f"{w.arg}={source(w.value)}" if w.arg else f"**{source(w.value)}"
                    for w in node.keywords]
        yield "operands swapped", f"{source(node.func)}({', '.join(arguments + keywords)})"


# -------------------------------------------------------------------------------------------- CUDA

# Not arithmetic: comments, preprocessor lines, the card's side of #ifdef __CUDA_ARCH__ (the
# emulator has the other), strings, templates, and the heads of kernels.
QUIET = re.compile(
    r'//[^\n]*|#ifdef __CUDA_ARCH__.*?#else|^\s*#[^\n]*|"[^"\n]*"|template '
    r'<[^>]*>|__launch_bounds__\(\w+\)'
                   r"|__align__\(\d+\)|<\w+(?: - \d)?>\(|(?<=\w)\[\d\](?=[;,)]|\[)",
                   re.DOTALL | re.MULTILINE)
SWAPS = {" + ": " - ", " - ": " + ", " * ": " + ", " / ": " * ", " % ": " / ", " < ": " <= ",
         " <= ": " < ", " > ": " >= ",
         " >= ": " > ", " == ": " != ", " != ": " == ", " && ": " || ", " || ": " && ", " += ":
         " -= ", " -= ": " += ",
         " ^ ": " & ", " >> ": " << ", " << ": " >> "}
PATTERNS = [("operator", re.compile("|".join(re.escape(s)
                                             for s in sorted(SWAPS, key=len, reverse=True))),
                                             SWAPS.get),
            ("sign flipped", re.compile(r"(?<=[=(:,] )-(?=\w)|(?<=\()-(?=\w)"), lambda text: ""),
            ("constant", re.compile(r"(?<![\w.])\d+(?![\w.])"), lambda text: str(int(text) + 1)),
            ("index", re.compile(r"(?<=\w)\.[xyzw]\b"),
             {".x": ".y", ".y": ".z", ".z": ".y", ".w": ".z"}.get)]


def cuda_mutants(file, text):
    """Of every operator, sign, number and component in the kernels' code."""
    code = QUIET.sub(lambda m: re.sub(r"[^\n]", "\0", m.group()), text)
    found = []
    for what, pattern, new in PATTERNS:
        for match in pattern.finditer(code):
            start, end = match.span()
            found.append(Mutant(file, text.count("\n", 0, start) + 1, what, text[start:end],
                                new(match.group()), start, end))
    return found
