"""The tape: what grad returns and refuses, dtypes, broadcasting, and graphs that are freed by
reference counting alone."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import values
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import ldf_np as ldf
from ldf_np.autodiff import engine, ops
from ldf_np.autodiff.engine import Tensor, grad, operation
from ldf_np.nn import layers
from ldf_np.nn.penalty import roth_penalty

# ------------------------------------------------------------------------------- what grad returns

def test_a_gradient_for_each_input_in_order():
    x, y = Tensor(values(3)), Tensor(values(3, seed=1))
    gx, gy = grad((x * x * y).sum(), [x, y])
    np.testing.assert_allclose(gx.data, 2 * x.data * y.data)
    np.testing.assert_allclose(gy.data, x.data ** 2)
    one = grad((x * y).sum(), x)            # one Tensor for one Tensor, a list for a list
    np.testing.assert_array_equal(one.data, y.data)
    assert isinstance(grad((x * y).sum(), (x,)), list)
    assert grad(x.sum(), []) == []


def test_any_order():
    x = Tensor(np.array([0.5, 2.0]))
    y = x ** 5
    for slope in (5 * x.data ** 4, 20 * x.data ** 3, 60 * x.data ** 2, 120 * x.data, 120):
        y = grad(y.sum(), x, create_graph=True)
        np.testing.assert_allclose(y.data, slope)


def test_a_constant_power_of_zero():
    """The derivatives of x^2 at 0 are 0, 2, 0: no infinite power of 0 may come up on the way."""
    y = x = Tensor(np.zeros(1))
    y = x ** 2
    for slope in (0, 2, 0, 0):
        y = grad(y.sum(), x, create_graph=True, allow_unused=True)
        assert y.item() == slope


def test_an_unused_input():
    x, unused = Tensor(values(3)), Tensor(values(2, 4, dtype=np.float32))
    with pytest.raises(ValueError, match=r"does not depend on inputs\[1\] of shape \(2, 4\)"):
        grad(x.sum(), [x, unused])
    zeros = grad(x.sum(), [x, unused], allow_unused=True)[1]
    assert zeros.shape == (2, 4) and zeros.dtype == np.float32 and not zeros.data.any()


def test_what_is_refused():
    x = Tensor(values(3))
    with pytest.raises(ValueError, match=r"expected a scalar, got shape \(3,\)"):
        grad(x * 2, x)
    with pytest.raises(ValueError, match=r"grad_output: expected \(3,\), got shape \(1, 3\)"):
        grad(x * 2, x, np.ones((1, 3)))
    with pytest.raises(TypeError, match="output: expected a Tensor, got numpy.ndarray"):
        grad(np.ones(1), x)
    with pytest.raises(TypeError, match=r"inputs\[1\]: expected a Tensor, got float"):
        grad(x.sum(), [x, 2.0])


@pytest.mark.parametrize("wrap", [Tensor, np.asarray])
def test_grad_output(wrap):
    x, v = Tensor(values(2, 3)), values(2, 3, seed=1)
    np.testing.assert_allclose(grad(x * x, x, wrap(v)).data, 2 * x.data * v)


def test_a_gradient_is_differentiable_in_the_cotangent():
    x, v = Tensor(values(3)), Tensor(values(3, seed=1))
    g = grad(x * x, x, v, create_graph=True)
    np.testing.assert_allclose(grad(g.sum(), v).data, 2 * x.data)


def test_intermediate_tensors_as_inputs():
    x = Tensor(values(3))
    y = x * x
    z = (y * x).sum()
    gz, gy, gx = grad(z, [z, y, x])
    np.testing.assert_array_equal(gz.data, 1.0)
    np.testing.assert_allclose(gy.data, x.data)
    # that y is wanted too takes nothing from x
    np.testing.assert_allclose(gx.data, 3 * x.data ** 2)


def test_one_tensor_used_many_times():
    x = Tensor(values(3))
    np.testing.assert_allclose(grad((x * x + x - x / 2 + x * x * x).sum(), x).data,
                               2 * x.data + 0.5 + 3 * x.data ** 2)
    np.testing.assert_allclose(grad((x @ x), x).data, 2 * x.data)
    np.testing.assert_allclose(grad(ops.concatenate([x, x]).sum(), [x, x])[1].data, 2)


def test_without_create_graph_a_gradient_has_no_history():
    x = Tensor(values(4, 2))
    norm = layers.BatchNorm(2)
    for output in ((x ** 3).sum(), ops.square(norm(x)).sum()):
        g = grad(output, x)
        assert g.node is None
        g = grad(grad(output, x, create_graph=True).sum(), x)
        assert g.node is None


def test_nothing_is_stored():
    data = values(3)
    x = Tensor(data)
    y = (x * x).sum()
    before = data.copy(), y.node
    first, second = (grad(y, x, create_graph=True) for _ in range(2))
    assert x.data is data and x.node is None and y.node is before[1] and not hasattr(x, "grad")
    np.testing.assert_array_equal(data, before[0])
    assert first is not second
    np.testing.assert_array_equal(first.data, second.data)      # nothing was added up anywhere


def test_gradients_are_not_accumulated_in_place():
    """x + x hands its own cotangent to both inputs: adding in place would spoil it."""
    x = Tensor(values(3))
    v = values(3, seed=1)
    kept = v.copy()
    np.testing.assert_allclose(grad(x + x + x, x, v).data, 3 * v)
    np.testing.assert_array_equal(v, kept)


# ------------------------------------------------------------------------------------------ dtypes

@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_python_scalars_never_promote(dtype):
    x = Tensor(np.array([0.25, 0.5], dtype))
    for y in (x + 1, 1 - x, 2.5 * x, x / 3, 1 / x, x ** 2, 2 ** x, 0.5 ** x, ops.maximum(x, 0.3),
              ops.minimum(0.3, x), ops.clip(x, 0.1, 0.9), ops.leaky_relu(x, 0.2), ops.mean(x),
              ops.softplus(x), ops.sigmoid(x), ops.where(x > 0.3, x, 1.0), ops.relu(x), abs(x), -x):
        assert y.dtype == dtype, y
        g = grad(y.sum(), x, create_graph=True)
        assert g.dtype == dtype, y
        assert grad(g.sum(), x, allow_unused=True).dtype == dtype, y


def test_each_gradient_has_its_inputs_dtype():
    x, w = Tensor(values(2, 3, dtype=np.float32)), Tensor(values(3, 4))
    y = x @ w
    assert y.dtype == np.float64
    gx, gw, gy = grad(y, [x, w, y], np.ones((2, 4), np.float32))
    assert (gx.dtype, gw.dtype, gy.dtype) == (np.float32, np.float64, np.float64)


def test_a_cast_cotangent_keeps_its_value():
    x = Tensor(values(3, dtype=np.float32))
    np.testing.assert_array_equal(grad(x * values(3, seed=1), x, values(3, seed=2)).data,
                                  (values(3, seed=1) * values(3, seed=2)).astype(np.float32))


def test_what_a_tensor_is_made_of():
    array = values(2, dtype=np.float64)
    assert Tensor(array).data is array                                  # kept as it is, not copied
    for data in (1, 2.5, True, [1.0, 2.0], [[1, 2]], np.arange(3), np.array([True])):
        assert Tensor(data).dtype == np.float32, data
    assert Tensor(np.float64(1.0)).dtype == np.float64
    for wrong in ("text", 1j, None, Tensor(1.0), [object()]):
        with pytest.raises(TypeError, match="data: expected"):
            Tensor(wrong)


# --------------------------------------------------------------------------- arrays beside Tensors

def test_a_tensor_never_turns_into_an_array():
    x = Tensor(values(3))
    for convert in (np.array, np.asarray, np.arctan, np.sum, lambda t: np.concatenate([t, t])):
        with pytest.raises(TypeError):
            convert(x)
    np.testing.assert_array_equal(x.numpy(), x.data)


def test_functions_of_numpy():
    """An operation of the same name is meant; a comparison gives a mask."""
    x, a = Tensor(values(3)), values(3, seed=1)
    for y, expected in ((np.exp(x), np.exp(x.data)), (np.multiply(a, x), a * x.data),
                        (np.abs(x), abs(x.data)), (np.matmul(a, x), a @ x.data)):
        assert isinstance(y, Tensor) and y.node is not None
        np.testing.assert_array_equal(y.data, expected)
    np.testing.assert_array_equal(grad(np.exp(x).sum(), x).data, np.exp(x.data))
    assert type(np.less(a, x)) is type(np.isfinite(x)) is type(a > x) is np.ndarray
    assert np.shape(x) == (3,) and np.ndim(x) == 1 and np.size(x) == 3
    total = np.zeros(3)
    total += x              # the name is the Tensor's from now on; the array stays as it was
    assert isinstance(total, Tensor)


def test_array_on_the_left():
    a, x = values(3), Tensor(values(3, seed=1))
    for y, expected in ((a * x, a * x.data), (a - x, a - x.data), (a @ x, a @ x.data),
                        (a / x, a / x.data), (a + x, a + x.data)):
        assert isinstance(y, Tensor)
        np.testing.assert_array_equal(y.data, expected)
    np.testing.assert_array_equal(grad((a * x).sum(), x).data, a)


def test_numbers_of_a_tensor():
    x = Tensor(np.array(2.71828))
    assert float(x) == 2.71828 and int(x) == 2 and int(-x) == -2
    assert f"{x:.2f}" == "2.72" and f"{x}" == "2.71828" and f"{x.reshape(1, 1):6.1f}" == "   2.7"
    assert f"{Tensor(np.ones(2))}" == "Tensor([1. 1.], float64)"


def test_small_things_of_a_tensor():
    x = Tensor(np.arange(6.0).reshape(2, 3))
    assert len(x) == 2 and x.ndim == 2 and x.size == 6 and x.shape == (2, 3)
    assert [row.shape for row in x] == [(3,), (3,)]
    assert x[1, 2].item() == 5.0 and isinstance(x[1, 2].item(), float)
    assert x.detach().node is None and x.detach().data is x.data
    assert "by multiply" in repr(x * 2) and "float64" in repr(x)
    assert not Tensor([0.0]) and Tensor([2.0])
    with pytest.raises(ValueError):
        bool(x)


# ------------------------------------------------------------------------------------ broadcasting

def un_broadcast(cotangent, shape):
    """The oracle: add each element of the cotangent to the element of the small array that it came
    from."""
    size = int(np.prod(shape))
    came_from = np.broadcast_to(np.arange(size).reshape(shape), cotangent.shape)
    return np.bincount(came_from.ravel(), cotangent.ravel(), minlength=size).reshape(shape)


def check_broadcasting(function, slope_a, slope_b, shapes):
    a, b = (values(*shape, seed=k) for k, shape in enumerate(shapes.input_shapes))
    v = values(*shapes.result_shape, seed=2)
    ta, tb = Tensor(a), Tensor(b)
    y = function(ta, tb)
    assert y.shape == shapes.result_shape
    ga, gb = grad(y, [ta, tb], v)
    np.testing.assert_allclose(ga.data, un_broadcast(v * slope_a(a, b), a.shape), atol=1e-12)
    np.testing.assert_allclose(gb.data, un_broadcast(v * slope_b(a, b), b.shape), atol=1e-12)


BROADCASTING = {
    "add": (ops.add, lambda a, b: 1, lambda a, b: 1),
    "subtract": (ops.subtract, lambda a, b: 1, lambda a, b: -1),
    "multiply": (ops.multiply, lambda a, b: b, lambda a, b: a),
    "divide": (ops.divide, lambda a, b: 1 / b, lambda a, b: -a / b ** 2),
    "maximum": (ops.maximum, lambda a, b: a > b, lambda a, b: b > a),
}


@pytest.mark.parametrize("name", BROADCASTING)
@given(shapes=mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=3, max_dims=4))
def test_every_broadcasting_pattern(name, shapes):
    check_broadcasting(*BROADCASTING[name], shapes)


@operation
def absent_minded(a, b):
    return a + b


# a mean for a sum
absent_minded.defvjp(lambda g, y, a, b: g, lambda g, y, a, b: ops.mean(g, axis=0, keepdims=True))


def test_a_wrong_adjoint_of_broadcasting_is_found():
    """Negative control of the check above."""
    shapes = type("", (), {"input_shapes": [(3, 2), (1, 2)], "result_shape": (3, 2)})
    check_broadcasting(*BROADCASTING["add"], shapes)
    with pytest.raises(AssertionError):
        check_broadcasting(absent_minded, lambda a, b: 1, lambda a, b: 1, shapes)


@given(shape=st.lists(st.integers(1, 3), max_size=3).map(tuple), data=st.data())
def test_broadcast_to_and_sum_to_are_adjoint(shape, data):
    wide = tuple(data.draw(st.lists(st.integers(1, 3), max_size=2))) + tuple(
        data.draw(st.integers(1, 3)) if n == 1 else n for n in shape)
    x, v = values(*shape), values(*wide, seed=1)
    left = np.vdot(ops.broadcast_to(Tensor(x), shape=wide).data, v)
    right = np.vdot(x, ops.sum_to(Tensor(v), shape=shape).data)
    np.testing.assert_allclose(left, right, atol=1e-12)


# ------------------------------------------------------------------------------------------ errors

@pytest.mark.parametrize("wrong, message", [
    (lambda a, b: a + b, r"add\(float64\[2, 3\], float32\[4\]\)"),
    (lambda a, b: a @ b, r"matmul\(float64\[2, 3\], float32\[4, 1\]\)"),
    (lambda a, b: a.reshape(7), r"reshape\(float64\[2, 3\]\)"),
    (lambda a, b: a[5], r"getitem\(float64\[2, 3\]\)"),
    (lambda a, b: a.sum(axis=2), r"sum\(float64\[2, 3\]\)"),
    (lambda a, b: a * "b", r"multiply\(float64\[2, 3\], 'b'\)"),
    (lambda a, b: ops.concatenate([a, b]), r"concatenate\(float64\[2, 3\], float32\[4\]\)"),
    (lambda a, b: ldf.conv2d(a, b), r"conv2d\(float64\[2, 3\], float32\[4\]\)"),
])
def test_an_error_names_the_operation_and_the_shapes(wrong, message):
    with pytest.raises((ValueError, TypeError, IndexError), match=message):
        wrong(Tensor(values(2, 3)), Tensor(values(4, dtype=np.float32)))


# -------------------------------------------------------------------------------- recording or not

def test_no_grad_and_enable_grad():
    x = Tensor(values(3))
    with ldf.no_grad():
        assert (x * x).node is None
        with ldf.enable_grad():
            y = (x * x).sum()
            with ldf.no_grad():
                assert (x * x).node is None
        assert (x * x).node is None
        np.testing.assert_allclose(grad(y, x).data, 2 * x.data)
        assert grad(y, x, create_graph=True).node is not None           # what is asked for by name
    with pytest.raises(ZeroDivisionError), ldf.no_grad():
        raise ZeroDivisionError
    assert (x * x).node is not None         # an error leaves the context too


def test_no_grad_is_of_one_thread():
    x, seen = Tensor(values(3)), []
    with ldf.no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * x).node))
        thread.start()
        thread.join()
    assert seen[0] is not None


# ------------------------------------------------------------------------------------------ memory

def left_behind(build):
    """How many Tensors and Nodes are still alive after build() returned, with the garbage collector
    off."""
    def alive():
        return sum(isinstance(o, (Tensor, engine.Node)) for o in gc.get_objects())

    build()                         # once before: what is made once and kept is no leak
    gc.collect()
    gc.disable()
    try:
        before = alive()
        build()
        return alive() - before
    finally:
        gc.enable()


def double_backpropagation():
    """Every kind of layer, a penalty differentiated twice, and gradients that are kept until the
    end."""
    rng = ldf.Generator(0)
    net = layers.Sequential(
        layers.Conv2d(2, 4, 3, 2, 1, rng=rng), layers.BatchNorm(4), layers.LeakyReLU(0.1),
        layers.ConvTranspose2d(4, 4, 2, rng=rng), layers.Maxout(2), layers.Dropout(0.2, rng=rng),
        layers.Flatten(), layers.Linear(50, 6, rng=rng), layers.LayerNorm(6), layers.Tanh(),
        layers.Linear(6, 1, rng=rng))
    x = Tensor(values(3, 8, 8, 2, dtype=np.float32))
    logits = net(x)
    penalty = roth_penalty(logits, x, np.array([True, False, True]))
    grads = grad(penalty + logits.mean(), net.parameters(), create_graph=True, allow_unused=True)
    again = grad(sum((g ** 2).sum() for g in grads), [x, *net.parameters()], allow_unused=True)
    assert len(again) == len(grads) + 1


def a_cycle():
    x = Tensor(values(3))
    y = x * x
    x.cache = {"result": y}         # the leak x -> gradient -> graph -> x


def test_a_graph_is_freed_by_reference_counting_alone():
    assert left_behind(double_backpropagation) == 0


def test_a_cycle_is_found():
    """Negative control: the same count sees a graph that only the collector can free."""
    assert left_behind(a_cycle) > 0
    gc.collect()


def test_errors_leave_no_graph_behind():
    def fail():
        x = Tensor(values(3))
        with pytest.raises(ValueError):
            grad((x * x) * x, x)

    fail()
    gc.collect()
    assert left_behind(fail) == 0


def test_a_chain_of_100_000_operations():
    """Walking and freeing it take no recursion."""
    x = Tensor(np.ones(1, np.float32))
    y = x
    for _ in range(100_000):
        y = y + 1.0
    g = grad(y, x, create_graph=True)
    assert y.item() == 100_001 and g.item() == 1.0
    z = x
    for _ in range(5_000):
        z = z * 1.0
    assert grad(grad(z * z, x, create_graph=True).sum(), x).item() == 2.0
    del y, z, g


def test_the_inputs_of_grad_may_be_any_iterable():
    x, w = Tensor(np.array([2.0])), Tensor(np.array([3.0]))
    gx, gw = grad((x * w).sum(), iter([x, w]))
    assert gx.item() == 3 and gw.item() == 2


# ------------------------------------------------------------------------------- errors that teach

def squared_without_history(x):
    g = grad((x ** 3).sum(), x)
    return (g * g).sum()


def through_no_grad(x):
    with ldf.no_grad():
        y = x * 2
    return (y * y).sum()


CUTS = {
    "create_graph": (squared_without_history, "taken without create_graph=True"),
    "create_graph, the cotangent itself": (
        lambda x: grad((x + 1).sum(), x).sum(), "taken without create_graph=True"),
    "no_grad": (through_no_grad, r"inside no_grad\(\)"),
    "no_grad at the end": (lambda x: grad_of_nothing(x), r"inside no_grad\(\)"),
    "detach": (lambda x: (x.detach() * 3).sum(), r"detached from its history by detach\(\)"),
    "both": (lambda x: squared_without_history(x) + through_no_grad(x),
             r"create_graph=True.*; .*no_grad"),
}


def grad_of_nothing(x):
    with ldf.no_grad():
        return (x * x).sum()


@pytest.mark.parametrize("name", CUTS)
def test_a_history_that_was_cut_says_why(name):
    f, words = CUTS[name]
    x = Tensor(values(3))
    with pytest.raises(ValueError, match=words) as caught:
        grad(f(x), x)
    assert "allow_unused" not in str(caught.value) and "\n" not in str(caught.value)
    assert grad(f(x), x, allow_unused=True).data.tolist() == [0, 0, 0]


def test_an_output_that_never_depended():
    x, y = Tensor(values(3)), Tensor(values(3))
    with pytest.raises(ValueError, match="allow_unused=True gives zeros"):
        grad((y * y).sum(), x)
    grad((y * y).sum(), y)                  # a gradient elsewhere cuts nothing here
    with pytest.raises(ValueError, match="allow_unused=True gives zeros"):
        grad((y * y).sum(), x)


def test_parameters_that_a_cut_leaves_out():
    layer = ldf.Linear(2, 1, rng=ldf.Generator(0))
    with ldf.no_grad():
        y = layer(Tensor(values(3, 2)))
    with pytest.raises(ValueError, match=r"not on weight, bias \(a Tensor on the way .* no_grad"):
        layer.gradients((y * y).sum())


class Foreign:
    """Stands for an array of another library, which turns into one of NumPy by itself."""

    def __init__(self, data):
        self.data, self.shape, self.dtype = data, data.shape, data.dtype

    def __array__(self, *_, **__):
        return self.data

    def __dlpack__(self, **options):
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()


Foreign.__module__, Foreign.__qualname__ = "torch", "Tensor"


@pytest.mark.parametrize("mix", [
    lambda x, t: x + t, lambda x, t: t + x, lambda x, t: x @ t, lambda x, t: t * x,
    lambda x, t: ldf.maximum(x, t), lambda x, t: ldf.concatenate([x, t])])
def test_a_tensor_of_another_library(mix):
    x, t = Tensor(values(3)), Foreign(values(3))
    with pytest.raises(TypeError, match=r"got torch.Tensor: ldf_np.Tensor\(x\) takes it over"):
        mix(x, t)
    assert isinstance(mix(x, Tensor(t)), Tensor)


def test_a_gradient_for_a_tensor_of_another_library():
    with pytest.raises(TypeError, match=r"inputs\[0\]: expected a Tensor, got torch.Tensor"):
        grad(Tensor(1.0), Foreign(values(3)))


def test_operations_that_are_not_whole():
    x = Tensor(values(3))

    @operation
    def without_a_rule(x):
        return x * 2

    with pytest.raises(TypeError, match=r"without_a_rule: argument 0 has no rule .*on\(vjp="):
        grad(without_a_rule(x).sum(), x)

    @operation(vjp=lambda g, y, x: g)
    def of_tensors(x):
        return Tensor(x * 2)

    with pytest.raises(TypeError, match="of_tensors: its forward returned a Tensor, expected"):
        of_tensors(x)

    for rule, came in ((lambda g, y, x: None, "None"), (lambda g, y, x: g.data, "numpy.ndarray")):
        @operation(vjp=rule)
        def half(x):
            return x * 2

        with pytest.raises(TypeError, match=rf"half: the rule \(vjp\) of argument 0 gave {came}"):
            grad(half(x).sum(), x)


# ----------------------------------------------------------------- what a rule and a context may do

def test_a_rule_of_another_shape_is_refused_whatever_its_size():
    @operation(vjp=lambda g, y, a: g)           # a transpose is missing
    def turned(a):
        return a.T * 1

    a = Tensor(values(2, 3))
    with pytest.raises(ValueError, match=r"turned: the rule \(vjp\) of argument 0 gave shape "
                                         r"\(3, 2\), expected \(2, 3\)"):
        grad(turned(a).sum(), a)
    with pytest.raises(ValueError, match="sum_to.*shape: expected one that is broadcast to"):
        ops.sum_to(a, shape=(3, 2))
    assert ops.sum_to(a, shape=(1, 3)).shape == (1, 3)         # control: what was broadcast


def test_one_context_may_be_entered_again_and_within_itself():
    x, frozen = Tensor(values(2)), ldf.no_grad()
    for _ in range(2):
        with frozen:
            with frozen:
                assert (x * 2).node is None
            assert (x * 2).node is None
        assert (x * 2).node is not None

    @ldf.no_grad()
    def doubled(x):
        return x * 2

    assert doubled(x).node is None and (x * 2).node is not None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_array_without_axes_is_a_number_on_either_side(dtype):
    x, two = Tensor(values(3).astype(np.float32)), np.array(2, dtype)
    for y in (x * two, two * x, x - two, two - x, ldf.maximum(x, two)):
        assert y.dtype == np.float32
    assert (x * np.full(1, 2, np.float64)).dtype == np.float64          # control: one with an axis


def test_the_slope_of_a_number_to_a_power_is_that_of_an_array():
    x = Tensor(np.array([2.0, 3.0]))
    for base in (0.0, -2.0, 1.5):
        with np.errstate(all="ignore"):
            number = grad((base ** x).sum(), x)
            array = grad((np.full(2, base) ** x).sum(), x)
        np.testing.assert_array_equal(number.data, array.data)


def test_the_check_of_gradients_records_whatever_is_around_it():
    with ldf.no_grad():
        ldf.check_grads(lambda x: x * x, [values(3)])
        with pytest.raises(AssertionError):
            ldf.check_grads(lambda x: x * x.detach(), [values(3)])      # a control


def test_a_decorated_function_may_run_on_several_threads():
    met = threading.Barrier(3)

    @ldf.no_grad()
    def frozen(x):
        met.wait(10)
        return (x * 2).node is None

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(frozen, [Tensor(values(2))] * 6))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
@pytest.mark.parametrize("name", ["mean", "var", "std", "softmax", "logsumexp", "exp", "sigmoid",
                                  "softplus", "sum", "max", "sqrt", "tanh"])
def test_integers_are_numbers_to_every_operation(name, dtype):
    x, operation = np.array([[1, 0], [4, 2]]).astype(dtype), getattr(ops, name)
    y, expected = operation(x), operation(x.astype(np.float32))
    assert y.dtype == np.float32 and (y.data == expected.data).all()


def test_integers_beside_a_tensor_do_not_promote_it():
    x, whole = Tensor(values(2, 2).astype(np.float32)), np.array([[1, 2], [3, 4]])
    for y in (x * whole, whole * x, x / whole, x @ whole, ldf.maximum(x, whole),
              ldf.concatenate([x, whole]), ldf.where(whole > 1, x, whole)):
        assert y.dtype == np.float32
    assert (x * whole.astype(float)).dtype == np.float64       # control: what is no integer does
    with pytest.raises(TypeError, match="condition: expected a boolean array"):
        ldf.where(whole, x, x)
