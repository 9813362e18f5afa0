"""The alterations that tests/tools/mutation.py makes: of the derivative rules, of the kernels'
NumPy twins and of the .cu files.

A mutant replaces one piece of a file's text. In Python the pieces are nodes of its syntax tree
(``ast``), in a .cu file operators and numbers outside of comments, strings, assembly and
declarations. A mutant is named by its file, the function it is in and the altered statement (of a
rule, the altered lambda), so that the name survives a line that moves or is wrapped otherwise.
"""

import ast
import bisect
import re
from typing import NamedTuple

# What is altered in a file beside its rules and the private functions they call; "*": every
# function.
FUNCTIONS = {
    "ldf_np/autodiff/engine.py": ["grad", "_between", "_accumulate", "_fit", "sum_to",
                                  "broadcast_to"],
    "ldf_np/autodiff/elementwise.py": ["leaky_relu", "activated"],
    "ldf_np/autodiff/shapes.py": ["mean", "maxout", "reshape", "swapaxes", "stack", "split"],
    "ldf_np/autodiff/reductions.py": ["std"],
    "ldf_np/autodiff/pooling.py": ["avg_pool2d", "max_pool2d"],
    "ldf_np/autodiff/contraction.py": ["*"],
    "ldf_np/autodiff/products.py": ["matmul", "linear", "scale_shift"],
    "ldf_np/autodiff/conv.py": ["conv2d", "conv_transpose2d", "conv2d_weight"],
    "ldf_np/autodiff/norm.py": ["normalize", "batch_norm", "mean_over_ranks"],
    "ldf_np/nn/penalty.py": ["squared_gradient_norms", "roth_penalty", "penalized_logits",
                             "_wgan_penalty", "annealed"],
    "ldf_np/nn/losses.py": ["*"],
    **{f"kernels/{name}.py": ["*"]
       for name in ("channels", "conv", "elementwise", "lowering", "matmul", "norm", "optim",
                    "penalty", "random", "tile")},
}
CUDA = [f"kernels/{name}.cu" for name in ("conv", "elementwise", "matmul", "norm", "optim",
                                          "penalty", "random", "tile")]
FILES = [*FUNCTIONS, *CUDA]

OPERATORS = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.Pow: "*",
             ast.FloorDiv: "*", ast.Mod: "//"}
COMPARISONS = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=",
               ast.NotEq: "=="}
MOVES = {"swapaxes", "transpose"}
COTANGENTS = {"g", "h", "c"}
WHERE = {"on_device", "array_module", "xp_of"}
# How functions that only refuse something begin; tests/project/test_bad_input.py has what they
# refuse.
CHECK = ("_check", "expect")
# Functions in which an exchange of arguments is no slip that anybody makes.
SYMMETRIC = {"zip", "isinstance", "hasattr", "getattr", "max", "min", "maximum", "minimum",
             "row_dots", "result_type", "promote_types", "add", "multiply", "clip", "scaled",
             "product_sum"}


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
    function: str = ""
    unit: tuple = ()        # where the statement, or the rule, begins and ends

    def applied(self, text):
        """The file's text with the mistake in it."""
        return text[:self.start] + self.after + text[self.end:]

    def statement(self, text):
        """The statement, or rule, without the mistake."""
        return on_one_line(self.file, text[slice(*self.unit)])

    def place(self, text):
        """(file, function, altered statement): what names a mutant."""
        (start, end), longer = self.unit, len(self.after) - len(self.before)
        altered = self.applied(text)[start:end + longer]
        return self.file, self.function, on_one_line(self.file, altered)


def mutants_of(file, text):
    """All mutants of a file's text, in the order of its lines."""
    found = cuda_mutants(file, text) if file.endswith(".cu") else python_mutants(
        file, text, FUNCTIONS.get(file, ()))
    return sorted(set(found), key=lambda m: (m.start, m.end, m.after))


def on_one_line(file, text):
    """A statement, the head of one ("if x:") or an expression, however it is wrapped, on one line
    and without comments."""
    if file.endswith(".cu"):
        return " ".join(re.sub(r"//[^\n]*", "", text).split())
    text = text.strip().removeprefix("el" if text.startswith("elif ") else "")
    try:
        return ast.unparse(ast.parse(f"({text}\n)", mode="eval"))
    except SyntaxError:             # no expression
        is_head = re.sub(r"#[^\n]*$", "", text).rstrip().endswith(":")
        return ast.unparse(ast.parse(text + "\n    pass" * is_head)).partition("\n")[0]


# ------------------------------------------------------------------------------------------ Python

def python_mutants(file, text, names=()):
    """Of the rules, of the private functions they call, and of the functions named."""
    tree = ast.parse(text)
    functions = dict(_functions(tree))
    rules = list(_rules(tree, functions))
    found = {}
    queue = [*rules, *((name, node) for name, node in functions.items()
                       if name in names or "*" in names)]
    for name, function in queue:        # grows: a function brings the private ones that it calls
        if function not in found:
            found[function] = name
            called = {n.id for part in _body(function) for n in ast.walk(part)
                      if isinstance(n, ast.Name)}
            queue += [(n, functions[n]) for n in called if n.startswith("_") and n in functions]
    writer = _Writer(file, text)
    are_rules = {function for _, function in rules}
    for function, name in found.items():
        parameters = [a.arg for a in function.args.args]
        cotangent = next((p for p in parameters[:2] if p in COTANGENTS), None)
        body = _body(function)
        if function in are_rules:
            values = body if isinstance(function, ast.Lambda) else [
                n.value for n in ast.walk(function) if isinstance(n, ast.Return)]
            for value in values:
                writer.function, writer.unit = name, _unit_of(value, function)
                writer.write(value, "sign flipped", f"-({writer.source(value)})")
        for node in body:
            writer.function, writer.unit = name, function
            _alter(node, writer, cotangent)
    return writer.found


def _body(function):
    """The statements of a function, or a lambda's expression: not the decorators, for what stands
    in them only refuses something."""
    return [function.body] if isinstance(function, ast.Lambda) else function.body


def _functions(tree, prefix=""):
    """Yield (name, node) of the functions and methods, "Class.method", but for checks."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith(CHECK):
            yield prefix + node.name, node


def _rules(tree, functions):
    """Yield (operation or function, node) of the rules: those in a decorator,
    ``@operation(vjp=...)``, and those given later, ``op.defvjp(...)``."""
    given = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            given += [(node.name, keyword.value) for call in node.decorator_list
                      if isinstance(call, ast.Call) and ast.unparse(call.func) == "operation"
                      for keyword in call.keywords]
        elif isinstance(node, ast.Call) and isinstance(
                node.func, ast.Attribute) and node.func.attr in ("defvjp", "defvjp_all"):
            given += [(ast.unparse(node.func.value), argument) for argument in node.args]
    for operation, rules in given:
        for rule in rules.elts if isinstance(rules, ast.Tuple) else [rules]:
            if isinstance(rule, ast.Name):
                yield rule.id, functions[rule.id]
            elif not isinstance(rule, ast.Constant):        # None: no rule
                yield operation, rule


def _unit_of(value, function):
    """The statement of a function that returns this value; a lambda itself."""
    return next((n for n in ast.walk(function) if isinstance(n, ast.Return) and n.value is value),
                function)


class _Writer:
    """Collects mutants that replace a node's text. ``function`` and ``unit`` say where that is."""

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
        (start, end), unit = self.place(node), self.place(self.unit)
        if isinstance(getattr(self.unit, "body", None), list):          # its head alone
            unit = unit[0], self.place(self.unit.body[0])[0]
        assert unit[0] <= start and end <= unit[1], (self.source(self.unit), self.source(node))
        self.found.append(Mutant(self.file, node.lineno, what, self.text[start:end], after, start,
                                 end, self.function, unit))


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
    outside = writer.function, writer.unit
    if isinstance(node, ast.stmt):
        writer.unit = node
    if isinstance(node, ast.FunctionDef):
        writer.function += f".{node.name}"
    for what, after in _changes(node, writer.source, cotangent):
        writer.write(node, what, after)
    # The shape of a dropped cotangent is what it was.
    if not (isinstance(node, ast.Attribute) and node.attr in ("shape", "dtype", "ndim")):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr | ast.stmt | ast.comprehension | ast.keyword):
                _alter(child, writer, cotangent)
    writer.function, writer.unit = outside


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
        left, right = source(node.left), source(node.comparators[0])
        yield "comparison", f"({left} {COMPARISONS[type(node.ops[0])]} {right})"
    elif isinstance(node, ast.IfExp):
        test, yes, no = source(node.test), source(node.body), source(node.orelse)
        yield "branches swapped", f"({no} if {test} else {yes})"
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

# Not code: comments, preprocessor lines, strings and the card's side of #ifdef __CUDA_ARCH__ (the
# emulator has the other).
SILENT = r'//[^\n]*|#ifdef __CUDA_ARCH__.*?#else|^\s*#[^\n]*|"[^"\n]*"'
# Not arithmetic: those, templates, and the heads of kernels.
QUIET = (SILENT + r"|template <[^>]*>|__launch_bounds__\(\w+\)|__align__\(\d+\)|<\w+(?: - \d)?>\("
         r"|(?<=\w)\[\d\](?=[;,)]|\[)")
SWAPS = {" + ": " - ", " - ": " + ", " * ": " + ", " / ": " * ", " % ": " / ", " < ": " <= ",
         " <= ": " < ", " > ": " >= ", " >= ": " > ", " == ": " != ", " != ": " == ",
         " && ": " || ", " || ": " && ", " += ": " -= ", " -= ": " += ", " ^ ": " & ",
         " >> ": " << ", " << ": " >> "}
PATTERNS = [("operator",
             re.compile("|".join(re.escape(s) for s in sorted(SWAPS, key=len, reverse=True))),
             SWAPS.get),
            ("sign flipped", re.compile(r"(?<=[=(:,] )-(?=\w)|(?<=\()-(?=\w)"), lambda text: ""),
            ("constant", re.compile(r"(?<![\w.])\d+(?![\w.])"), lambda text: str(int(text) + 1)),
            ("index", re.compile(r"(?<=\w)\.[xyzw]\b"),
             {".x": ".y", ".y": ".z", ".z": ".y", ".w": ".z"}.get)]


def _without(pattern, text):
    """The text with what matches blanked; the rest stays in its place."""
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", "\0", m.group()), text,
                  flags=re.DOTALL | re.MULTILINE)


def cuda_mutants(file, text):
    """Of every operator, sign, number and component in the kernels' code."""
    code, statements = _without(QUIET, text), list(_statements(_without(SILENT, text)))
    found = []
    for what, pattern, new in PATTERNS:
        for match in pattern.finditer(code):
            start, end = match.span()
            *unit, function = statements[bisect.bisect([s for s, *_ in statements], start) - 1]
            found.append(Mutant(file, text.count("\n", 0, start) + 1, what, text[start:end],
                                new(match.group()), start, end, function, tuple(unit)))
    return found


def _statements(code):
    """Yield (start, end, function) of each statement, or head of one, of CUDA code."""
    start, depth, names = 0, 0, []
    for k, letter in enumerate(code):
        depth += (letter == "(") - (letter == ")")
        if depth or letter not in ";{}":
            continue
        yield start, k, ".".join(filter(None, names))
        if letter == "{":
            names.append(_name_of(code[start:k]))
        elif letter == "}":
            names.pop()
        start = k + 1


def _name_of(head):
    """Of a function or struct whose body follows; None for a loop, a branch and the like."""
    struct = re.search(r"struct (\w+)\s*$", head)
    if struct:
        return struct.group(1)
    depth = 0
    for k in range(len(head) - 1, -1, -1):
        depth += (head[k] == ")") - (head[k] == "(")
        if head[k] == "(" and depth == 0:
            name = re.search(r"\w*\s*$", head[:k]).group().strip()
            return None if name in ("if", "for", "while", "switch", "") else name
    return None
