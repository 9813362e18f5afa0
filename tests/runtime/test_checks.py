"""``checked``: which arguments it looks at, and whose name its sentences begin with."""

import pytest

from ldf_np.runtime.checks import checked, expect, integer, named, several


def even(name, n, k=2, **others):
    expect(n % k == 0, f"{name}: n", f"a multiple of {k}", n)


@checked(even, n=integer(), k=integer(), some=several(integer(), 0))
def count(n, k=None, *some, of=0, **more):
    return n, k, some, of, more


@checked(width=integer())
class Layer:
    def __init__(self, width=None):
        self.width = width

    def forward(self, width):
        return width

    def of(self, width):
        return width


class Wide(Layer):
    """Of another name."""


def test_what_is_right_is_let_through():
    assert count(4, 2, 1, 1, of="x", more=3) == (4, 2, (1, 1), "x", {"more": 3})
    assert Layer(None).width is None and Layer(3).of(2) == 2


@pytest.mark.parametrize("call, sentence", [
    (lambda: count("a"), "count: n: expected a whole number, got 'a'"),
    (lambda: count(4, 2, 1, 0.5), "count: some[1]: expected a whole number, got 0.5"),
    (lambda: count(3, 2), "count: n: expected a multiple of 2, got 3"),
    (lambda: count(k=2), "missing 1 required positional argument: 'n'"),
    (lambda: Layer(0), "Layer: width: expected at least 1, got 0"),
    (lambda: Wide(0), "Wide: width: expected at least 1, got 0"),
    (lambda: Wide().forward(0), "Wide: width: expected at least 1, got 0"),
    (lambda: Wide().of(0), "Layer.of: width: expected at least 1, got 0"),
    (lambda: Wide().of(None), "Layer.of: width: expected a whole number, got None"),
])
def test_a_sentence_begins_with_what_was_called(call, sentence):
    with pytest.raises((TypeError, ValueError)) as error:
        call()
    assert sentence in str(error.value)


def test_none_where_it_is_the_default_alone():
    """And not where it is none."""
    with pytest.raises(TypeError, match="count: n: expected a whole number, got None"):
        count(None)
    with pytest.raises(TypeError):      # the relation has k = None: it has to look by itself
        count(4)


def test_a_class_of_another_library_is_none_of_ours():
    foreign = type("Tensor", (), {"__module__": "torch"})
    ours = type("Tensor", (), {"__module__": "ldf_np.autodiff.engine"})
    named("Tensor")("x", type("Kept", (ours,), {})())
    with pytest.raises(TypeError, match="x: expected a Tensor, got torch.Tensor"):
        named("Tensor")("x", foreign())


def test_a_rule_for_no_argument_is_noticed():          # negative control
    with pytest.raises(TypeError, match="f has no {'width'}"):
        @checked(width=integer())
        def f(height):
            return height
