"""Graphs as text and as pictures: every operation, name and shape is there, and nothing of it needs
Graphviz but the pictures themselves."""

import shutil
import sys

import numpy as np
import pytest
from bad_input import refused

import ldf_np as ldf
from ldf_np.autodiff.engine import Tensor

X = Tensor(np.array([1.0, 2.0, 3.0]))
Y = (X ** 3).sum()
SLOPE = ldf.grad(Y, X, create_graph=True)
BEND = ldf.grad((SLOPE * SLOPE).sum(), X, create_graph=True)
TEXT = """\
-- y
x: float64 (3,)
t1 (3,) = power(x, 3)
y () = sum(t1)
-- slope
t2 (3,) = power(x, 2)
input1: float64 () 1
t3 (1,) = reshape(input1, shape=(1,))
t4 (3,) = broadcast_to(t3, shape=(3,))
t5 (3,) = multiply(t4, 3)
slope (3,) = multiply(t5, t2)
"""


def test_a_value_and_its_gradient_as_text():
    assert ldf.draw({"y": Y, "slope": SLOPE}, names={"x": X}) == TEXT[:-1]
    assert "bend (3,) = " in ldf.draw({"y": Y, "slope": SLOPE, "bend": BEND}, names={"x": X})
    assert ldf.draw(Y) == "input1: float64 (3,)\nt1 (3,) = power(input1, 3)\noutput () = sum(t1)"


@pytest.mark.parametrize("make", [lambda x: x, lambda x: ldf.exp(x) * np.ones(3), lambda x: x[1:],
                                  lambda x: ldf.where(x.data > 1, x, 0.0)])
def test_every_kind_of_input(make):
    text = ldf.draw(make(X), names={"x": X})
    assert text.splitlines()[0] == f"{'x' if make(X) is not X else 'output'}: float64 (3,)"
    assert "array (3,)" in ldf.draw(ldf.exp(X) * np.ones(3))


def test_a_history_that_was_cut_is_seen():
    g = ldf.grad(Y, X)
    assert "input1: float64 (3,), no history: a gradient without create_graph=True\n" in ldf.draw(
        g * g)
    assert "no history: detached" in ldf.draw(X.detach() * 2)


def test_names_of_a_networks_parameters():
    net = ldf.Sequential(ldf.Linear(2, 3, rng=ldf.Generator(0)), ldf.Tanh())
    text = ldf.draw(net(np.ones((4, 2), np.float32)), names=dict(net.named_parameters()))
    assert "t1 (4, 3) = matmul(array (4, 2), layers.0.weight, layers.0.bias, slope=1.0)" in text


def test_files_by_suffix(tmp_path):
    assert ldf.draw({"y": Y, "slope": SLOPE}, tmp_path / "g.txt", {"x": X}) == tmp_path / "g.txt"
    assert (tmp_path / "g.txt").read_text() == TEXT
    ldf.draw({'"y"\n': Y, "slope": SLOPE}, tmp_path / "sub" / "g.dot", {"x": X})
    dot = (tmp_path / "sub" / "g.dot").read_text()
    assert dot.startswith("digraph {") and dot.endswith("]\n}\n") and dot.count("fillcolor") == 9
    assert r'label="x\nfloat64 (3,)"' in dot and r'label="power\n3"' in dot
    assert r'n0 -> n1 [label=""]' in dot and r'n1 -> n2 [label="(3,)"]' in dot
    assert r'label="\"y\"\n ()"' in dot         # quotes and ends of lines are no way out


needs_graphviz = pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz's dot")


@needs_graphviz
@pytest.mark.parametrize("suffix, magic", [
    ("svg", b"<?xml"), ("PNG", b"\x89PNG"), ("pdf", b"%PDF")])
def test_pictures(tmp_path, suffix, magic):
    pytest.importorskip("graphviz")
    path = tmp_path / f"graph.{suffix}"
    assert ldf.draw({"a <b> & \"c\"": BEND}, path, {"x": X}) == path
    data = path.read_bytes()
    assert data.startswith(magic)
    if suffix == "svg":
        assert b"power" in data and b"a &lt;b&gt; &amp; &quot;c&quot;" in data


@pytest.mark.parametrize("missing", ["package", "program"])
def test_without_graphviz_there_is_text(tmp_path, monkeypatch, missing):
    if missing == "package":
        monkeypatch.setitem(sys.modules, "graphviz", None)
    else:
        pytest.importorskip("graphviz")
        monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.warns(RuntimeWarning, match="g.svg: pictures need .* g.txt beside it has"):
        path = ldf.draw({"y": Y, "slope": SLOPE}, tmp_path / "g.svg", {"x": X})
    assert str(path) == str(tmp_path / "g.txt") and (tmp_path / "g.txt").read_text() == TEXT
    assert not (tmp_path / "g.svg").exists()


# name: (call, error, a part of its message)
CASES = {
    "array": (lambda: ldf.draw(np.ones(3)), TypeError,
              "draw: output: expected a Tensor, or a list or dict of at least one, got numpy.nd"),
    "nothing": (lambda: ldf.draw([]), TypeError, "draw: output: expected a Tensor, or a list"),
    "mixed": (lambda: ldf.draw({"y": Y, "x": 3.0}), TypeError, "draw: output: expected a Tensor"),
    "path": (lambda: ldf.draw(Y, 3), TypeError, "draw: path: expected a str or PathLike, got int"),
    "suffix": (lambda: ldf.draw(Y, "graph.jpg"), ValueError,
               "draw: path: expected a name that ends in .svg, .png, .pdf, .txt, .dot, .gv, got"),
    "names": (lambda: ldf.draw(Y, names=[X]), TypeError, "draw: names: expected a dict, got list"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_named(name):
    assert refused(*CASES[name]) is True


def test_a_long_graph_is_no_deep_recursion():
    x = Tensor(1.0)
    y = x
    for _ in range(5000):
        y = y * 1.0
    assert ldf.draw(y).count("\n") == 5000
