"""The graph by which a Tensor was made, as a picture or as text: what a gradient, and a gradient's
gradient, consist of."""

import json
import os
import warnings
from itertools import count

from ..runtime.checks import checked, expect, full_name, instance
from ..runtime.files import replacing
from .engine import Tensor, tensors_before
from .messages import CUT

PICTURES, TEXTS = ("svg", "png", "pdf"), ("txt", "dot", "gv")
COLOURS = ("#9fd3f0", "#f5c75d", "#8fd6b5", "#eab3d0")      # told apart by the colour-blind, too
PARTS = {"grad": "no history: a gradient without create_graph=True",
         "no_grad": "no history: made inside no_grad()", "detach": "no history: detached"}


def _outputs(name, output):
    """A rule: a Tensor, or several, named in a dict or in a list. Returns {name: Tensor}."""
    if isinstance(output, Tensor):
        return {"output": output}
    named = output if isinstance(output, dict) else dict(
        (f"output {k}", tensor) for k, tensor in enumerate(output)) if isinstance(
            output, (list, tuple)) else {}
    if not named or not all(isinstance(tensor, Tensor) for tensor in named.values()):
        raise TypeError(f"{name}: expected a Tensor, or a list or dict of at least one, got "
                        f"{full_name(type(output))}")
    return named


@checked(output=_outputs, path=instance(str, os.PathLike), names=instance(dict))
def draw(output, path=None, names=None):
    """Draw the graph of operations by which ``output`` was made, named Tensors and shapes on it.

        slope = ldf.grad(y, x, create_graph=True)
        ldf.draw({"y": y, "slope": slope}, "graph.svg", {"x": x})

    Parameters
    ----------
    output : Tensor, or several in a list or a dict {name: Tensor}
        Operations have the colour of the first output that they lead to, so that what each adds to
        those before it is seen.
    path : str, optional
        Its suffix says what is written: .svg, .png or .pdf, for which Graphviz is needed, both the
        package and the program ``dot`` (where one is missing, a warning says so, and a .txt is
        written in its place); .dot, its source; .txt, an operation a line.
    names : dict {name: Tensor}, optional
        ``dict(model.named_parameters())``, say.

    Returns
    -------
    The path that was written; without ``path`` the text.
    """
    outputs = _outputs("output", output)
    known = {id(t): str(name) for some in (names or {}, outputs) for name, t in some.items()}
    kind = "txt" if path is None else os.path.splitext(path)[1][1:].lower()
    expect(kind in PICTURES + TEXTS, "draw: path",
           f"a name that ends in .{', .'.join(PICTURES + TEXTS)}", path)
    if path is None:
        return _text(outputs, known)
    if kind in PICTURES:
        try:
            return _write(path, _rendered(_dot(outputs, known), kind))
        except RuntimeError as error:
            name, path = path, os.path.splitext(path)[0] + ".txt"
            warnings.warn(f"{os.fspath(name)}: {error}; {os.path.basename(path)} beside it has the "
                          "graph as text", RuntimeWarning, stacklevel=3)
    text = (_dot if kind in ("dot", "gv") else _text)(outputs, known)
    return _write(path, f"{text}\n".encode())


def _write(path, data):
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(data)
    return path


def _rendered(source, kind):
    """A picture of a graph in Graphviz's language; RuntimeError where something is missing."""
    try:
        import graphviz
    except ImportError as error:
        raise RuntimeError(f"pictures need the package graphviz ({error}): in the checkout, pip "
                           'install -e ".[graphviz]"') from error
    try:
        return graphviz.Source(source).pipe(format=kind)
    except graphviz.ExecutableNotFound as error:
        raise RuntimeError("pictures need Graphviz's program dot, which was not found (Debian and "
                           "Ubuntu: apt install graphviz)") from error


def _steps(outputs):
    """(number of the output, Tensor), inputs before results, each Tensor once."""
    seen = set()
    for k, output in enumerate(outputs.values()):
        for tensor in tensors_before(output):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield k, tensor


def _operation(tensor):
    """The name of the operation that made it, and its settings that can be said in short."""
    node = tensor.node
    settings = [f"{name}={value!r}" for name, value in node.params.items()
                if isinstance(value, (bool, int, float, str, slice, tuple)) and name != "cache"
                and len(repr(value)) < 40]
    return node.operation.__name__.lstrip("_"), settings


def _number_of(value):
    """A constant beside Tensors in short: a number, or the shape of an array."""
    return f"array {tuple(value.shape)}" if hasattr(value, "shape") else f"{value!r:.20}"


def _leaf(tensor):
    cut = f", {PARTS[tensor.cut]}" if tensor.cut in CUT else ""
    value = f" {tensor.item():.4g}" if not tensor.ndim else ""
    return f"{tensor.dtype} {tensor.shape}{value}{cut}"


def _free(kind, taken):
    """kind1, kind2 and so on, but for names that are taken."""
    return (name for k in count(1) if (name := f"{kind}{k}") not in taken)


def _text(outputs, known):
    """A line for each Tensor, under the name of the output that it leads to."""
    lines, names, part = [], dict(known), None
    free = {kind: _free(kind, {*known.values()}) for kind in ("input", "t")}
    for k, tensor in _steps(outputs):
        if k != part and len(outputs) > 1:
            lines.append(f"-- {[*outputs][k]}")
        part = k
        if id(tensor) not in names:
            names[id(tensor)] = next(free["t" if tensor.node else "input"])
        name = names[id(tensor)]
        if tensor.node is None:
            lines.append(f"{name}: {_leaf(tensor)}")
            continue
        operation, settings = _operation(tensor)
        inputs = [names[id(i)] if isinstance(i, Tensor) else _number_of(i)
                  for i in tensor.node.inputs]
        lines.append(f"{name} {tensor.shape} = {operation}({', '.join(inputs + settings)})")
    return "\n".join(lines)


def _dot(outputs, known):
    """In Graphviz's language: operations are ellipses, leaves and outputs boxes, and each edge has
    the name and the shape of its Tensor."""
    def node(name, *lines, **style):
        style |= {"label": "\n".join(lines)}
        text.append(f"  {name} [{', '.join(f'{k}={_quoted(v)}' for k, v in style.items())}]")

    def edge(tensor, to):
        label = f"{known.get(id(tensor), '')} {tensor.shape}".strip() if tensor.node else ""
        text.append(f"  {places[id(tensor)]} -> {to} [label={_quoted(label)}]")

    text, places = [], {}
    for k, tensor in _steps(outputs):
        place = places[id(tensor)] = f"n{len(places)}"
        if tensor.node is None:
            node(place, known.get(id(tensor), "Tensor"), _leaf(tensor), shape="box")
            continue
        operation, settings = _operation(tensor)
        numbers = [_number_of(i) for i in tensor.node.inputs if not isinstance(i, Tensor)]
        details = ", ".join(numbers + settings)
        node(place, operation, *[details] * bool(details), style="filled",
             fillcolor=COLOURS[k % len(COLOURS)])
        for i in tensor.node.inputs:
            if isinstance(i, Tensor):
                edge(i, place)
    for k, (name, tensor) in enumerate(outputs.items()):
        node(f"out{k}", str(name), str(tensor.shape), shape="box", style="filled",
             fillcolor=COLOURS[k % len(COLOURS)])
        edge(tensor, f"out{k}")
    font = 'fontname="Helvetica"'
    return "\n".join(["digraph {", f"  node [{font}, fontsize=11]", f"  edge [{font}, fontsize=9]",
                      *text, "}"])


def _quoted(text):
    return json.dumps(text, ensure_ascii=False)
