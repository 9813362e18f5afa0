"""The short form of tests/tools/oracles.py: 300 random cases of convolution, normalisation and
penalty against plain loops, to the second order; and mistakes that it must notice."""

import numpy as np
import oracles
import pytest

from ldf_np.autodiff import conv as conv_rules
from ldf_np.kernels import conv, lowering, norm
from ldf_np.nn import penalty

CASES = 60      # of each kind


@pytest.mark.parametrize("number", range(CASES))
@pytest.mark.parametrize("kind", oracles.KINDS)
def test_against_plain_loops(kind, number):
    oracles.check_case(kind, number)


def test_what_the_cases_are_made_of(monkeypatch):
    """Every layout and dtype for every kind, and arrays without elements: no images, no rows, no
    channels."""
    monkeypatch.setattr(oracles.Arrays, "check_unchanged", lambda arrays: seen.extend(arrays.made))
    shapes = []
    for kind in oracles.KINDS:
        seen = []
        for number in range(CASES):
            oracles.check_case(kind, number)
        assert {layout for _, layout, *_ in seen} == set(oracles.LAYOUTS)
        assert {array.dtype.str for *_, array, _ in seen} == {
            np.dtype(dtype).str for dtype in oracles.DTYPES}
        shapes += [array.shape for *_, array, _ in seen if array.ndim == 4]
    assert all(any(shape[axis] == 0 for shape in shapes) for axis in range(4))


def test_layouts_are_what_they_are_called():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((3, 4, 2))
    made = {name: [layout(a, rng) for _ in range(9)] for name, layout in oracles.LAYOUTS.items()}
    for name, arrays in made.items():
        if name != "broadcast":
            assert all((array == a).all() for array in arrays), name
    assert all(array.flags.f_contiguous for array in made["Fortran"])
    assert any(min(array.strides) < 0 for array in made["reversed"])
    assert all(0 in array.strides for array in made["broadcast"])
    assert not any(array.flags.c_contiguous for array in made["strided"])
    assert not any(array.flags.writeable for array in made["read-only"])
    assert not any(array.flags.aligned for array in made["unaligned"])
    assert len({array.strides for array in made["transposed"]}) > 2


@pytest.mark.parametrize("kind", ["roth", "unweighted", "r1", "wgan-gp"])
def test_the_penaltys_gradient_as_it_is_written_out(kind):
    """By complex steps of its value."""
    rng = np.random.default_rng(0)
    W, a, *data = map(rng.standard_normal, [(3, 2), 2, (4, 3), (4, 3), 4])
    _, of_W, of_a = oracles.penalty(kind, W, a, *data)
    for k, step in enumerate(1e-30j * np.eye(8)):
        value = oracles.penalty(kind, W + step[:6].reshape(3, 2), a + step[6:], *data)[0]
        np.testing.assert_allclose([*of_W.ravel(), *of_a][k], value.imag / 1e-30, rtol=1e-12)


# -------------------------------------------------------------------------------- negative controls

def fails(kind, words):
    """Whether one of the cases of a kind fails, and says these words."""
    with pytest.raises(AssertionError, match=words):
        for number in range(CASES):
            oracles.check_case(kind, number)


def plant(monkeypatch, owner, name, wrong):
    """``owner.name`` with a mistake: wrong(right, *arguments)."""
    right = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *args, **kwargs: wrong(right, *args, **kwargs))


@pytest.mark.parametrize("kind, name, words", [
    ("conv2d", "conv2d", "value"), ("conv2d", "conv_transpose2d", "first 0"),
    ("conv2d", "conv2d_weight", "first 1"), ("conv_transpose2d", "conv_transpose2d", "value"),
    ("conv2d_weight", "conv2d_weight", "value")])
def test_a_face_off_by_a_hundredth(monkeypatch, kind, name, words):
    plant(monkeypatch, conv, name, lambda right, *args, **kwargs: right(*args, **kwargs) * 1.01)
    fails(kind, words)


@pytest.mark.parametrize("kind", ["conv2d", "conv_transpose2d", "conv2d_weight"])
def test_a_layout_that_is_read_as_it_lies_in_memory(monkeypatch, kind):
    plant(monkeypatch, lowering.Windows, "lower", lambda right, plan, role, array: right(
        plan, role, array.ravel(order="K").reshape(array.shape)))
    fails(kind, "value|first")


def test_an_array_changed_in_place(monkeypatch):
    def wrong(right, x, y, *args, **kwargs):
        result = right(x, y, *args, **kwargs)
        if x.flags.writeable:
            x *= 2
        return result
    plant(monkeypatch, conv, "conv2d_weight", wrong)
    fails("conv2d_weight", "changed in place")


def test_a_rule_that_holds_to_the_first_order_alone(monkeypatch):
    """The cotangent of w is right, but taken for a constant."""
    plant(monkeypatch, conv_rules, "conv2d_weight",
          lambda right, *args, **kwargs: right(*args, **kwargs).detach())
    fails("conv2d", "does not depend|second")


@pytest.mark.parametrize("name, words", [
    ("normalize", "y, channel"), ("normalize_vjp", "first"), ("normalize_vjp_x", "second of x")])
def test_normalisation_off_by_a_hundredth(monkeypatch, name, words):
    def wrong(right, *args):
        result = right(*args)
        return (result[0] * 1.01, *result[1:]) if name == "normalize" else result * 1.01
    plant(monkeypatch, norm, name, wrong)
    fails("normalize", words)


@pytest.mark.parametrize("name, words", [
    ("_gradients", "does not depend|first of"), ("sqrt", "wgan-gp.*does not depend"),
    ("sigmoid", "roth.*second of")])
def test_a_penalty_with_a_constant_where_there_is_none(monkeypatch, name, words):
    plant(monkeypatch, penalty, name, lambda right, *args: (
        [g.detach() for g in right(*args)] if name == "_gradients" else right(*args).detach()))
    fails("penalty", words)


def test_the_program(monkeypatch, capsys):
    assert oracles.main(["--cases", "10", "--seed", "5"]) == 0
    assert "10 cases of seed 5: 0 wrong" in capsys.readouterr().out
    plant(monkeypatch, norm, "normalize_vjp", lambda right, *args: right(*args) * 2)
    assert oracles.main(["--cases", "20"]) == 1
    assert "normalize 0, seed 0: " in capsys.readouterr().out
    with pytest.raises(SystemExit):
        oracles.main(["--cases", "0"])
