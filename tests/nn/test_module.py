"""Modules: what they hold, how their parameters lie in memory, copies of them. The right
values are written out by hand."""

import copy
import multiprocessing
import pickle
import re

import numpy as np
import pytest
from helpers import tiny_ali

import ldf_np as ldf
from ldf_np import nn
from ldf_np.autodiff.engine import Tensor, grad
from ldf_np.models import nets
from ldf_np.models.gan import GAN
from ldf_np.nn.module import Buffer, Module, Parameter
from ldf_np.nn.optim import EMA, SGD, Adam
from ldf_np.runtime.threads import one_blas_thread

F4 = np.float32


def linear(seed=0):
    return nn.Linear(3, 2, rng=ldf.Generator(seed))


def array(*values):
    return np.array(values, F4)


class Holder(Module):
    """What is to be held, in every way."""

    def __init__(self):
        self.scales = [Parameter(array(1, 2)), Parameter(array(3))]
        self.by_name = {"b": Parameter(array(4)), "a": [(Parameter(array(5)),)]}
        self.parts = {"left": linear(1), "right": [linear(2)]}
        self.kept = [Buffer(array(6)), {"x": Buffer(array(7))}]
        self.last = Parameter(array(8))

    def forward(self, x):
        return x * self.last


# ------------------------------------------------------------------------------ what a module holds

def test_lists_tuples_and_dicts_however_nested():
    held = Holder()
    assert [n for n, _ in held.named_parameters()] == [
        "scales.0", "scales.1", "by_name.b", "by_name.a.0.0", "last", "parts.left.weight",
        "parts.left.bias", "parts.right.0.weight", "parts.right.0.bias"]
    assert [n for n, _ in held.named_buffers()] == ["kept.0", "kept.1.x"]
    assert [n for n, _ in held.children()] == ["parts.left", "parts.right.0"]
    assert held.flat()[:5].tolist() == [1, 2, 3, 4, 5]
    assert not held.eval().parts["right"][0].training


def test_what_is_held_is_trained_and_saved(tmp_path):
    held = Holder()
    before = [p.numpy().copy() for p in held.parameters()]
    SGD(held, 0.5).step([Tensor(np.ones_like(p.data)) for p in held.parameters()])
    for old, p in zip(before, held.parameters()):
        np.testing.assert_array_equal(p.data, old - F4(0.5))
    held.kept[1]["x"].data[0] = 70
    held.save(tmp_path / "w")
    assert Holder().load(tmp_path / "w").flat().tolist() == held.flat().tolist()
    assert Holder().load(tmp_path / "w").kept[1]["x"].data.tolist() == [70]


def test_a_parameter_that_is_held_twice_comes_once():
    tied = Holder()
    tied.again = tied.scales[0]
    assert len(tied.parameters()) == 9
    tied.flat()[0] = 20
    assert tied.again.data.tolist() == [20, 2]


class Counts(Module):
    def __init__(self):
        self.i, self.t = Buffer(np.arange(2)), Buffer(np.array([True, False]))
        self.u, self.w = Buffer(np.zeros(2, np.uint8)), Parameter(array(2))


@pytest.mark.parametrize("name, values, what", [
    ("i", [1.7, 2.0], "numbers that int64 has, got float64"), ("i", [1.0, np.nan], "numbers that"),
    ("t", [0.3, 0.0], "numbers that bool has"), ("u", [300, -1], "numbers that uint8 has")])
def test_numbers_that_a_buffer_cannot_hold(name, values, what):
    module = Counts()
    before = module.state_dict()
    with pytest.raises(ValueError, match=f"state: {name}: expected {what}"):
        module.load_state_dict({**before, "w": array(2) + 1, name: np.array(values)})
    assert all((before[key] == a).all() for key, a in module.state_dict().items())
    module.load_state_dict({**before, "i": np.array([1.0, 2.0])})       # these it can
    assert module.i.data.tolist() == [1, 2] and module.i.data.dtype == np.int64


def test_an_array_that_is_read_only():
    module = Counts()
    before = module.state_dict()
    module.u.data.flags.writeable = False
    with pytest.raises(ValueError, match="state: u: expected an array to write into, got a read-"):
        module.load_state_dict({key: a * 0 + 1 for key, a in before.items()})
    assert all((before[key] == a).all() for key, a in module.state_dict().items())
    with pytest.raises(TypeError, match="expected a NumPy or CuPy array, got int"):
        Buffer(5)


def test_names_that_differ():
    twice = Holder()
    twice.by_name = {1: Parameter(array(1)), "1": Parameter(array(2))}
    with pytest.raises(ValueError, match=r"Holder: expected names that differ, got "
                                         r"\['by_name.1'\] more than once"):
        twice.state_dict()


def test_a_set_has_no_order():
    module = Holder()
    module.names = {"a", "b"}       # negative control
    assert len(module.parameters()) == 9
    module.more = {Parameter(array(1))}
    with pytest.raises(ValueError, match="more: expected a list, tuple or dict .*, got a set"):
        module.parameters()


def test_an_average_is_no_parent_of_its_network():
    network = linear()
    assert [*EMA(network).named_modules()][1:] == [] and EMA(network).parameters() == []


# ------------------------------------------------------------------------------ the flat parameters

BASE = np.arange(8, dtype=F4)
# name: the data of a weight (2, 3) and of a bias (2,)
VIEWS = {
    "transposed": lambda b: (b[:6].reshape(3, 2).T, b[6:]),
    "strided": lambda b: (b[:6].reshape(2, 3), b[6::-4]),
    "reversed": lambda b: (b[5::-1].reshape(2, 3), b[6:]),
    "of both orders": lambda b: (np.asfortranarray(b[:6].reshape(2, 3)), b[6:]),
    "overlapping": lambda b: (b[:6].reshape(2, 3), b[4:6]),
    "exchanged": lambda b: (b[2:].reshape(2, 3), b[:2]),
    "all of one": lambda b: (np.broadcast_to(b[1:2], (2, 3)), b[:2]),
    "of another dtype": lambda b: (b[:6].reshape(2, 3), b[6:].view(np.int32).view(F4)),
    "bytes": lambda b: (np.frombuffer(b[:6].tobytes(), F4).reshape(2, 3),
                        np.frombuffer(b[6:].tobytes(), F4)),
    "read-only": lambda b: (lambda c: (c.setflags(write=False), (c[:6].reshape(2, 3), c[6:]))[1])(
        b.copy()),
    "in order": lambda b: (b[:6].reshape(2, 3), b[6:]),
}


class Pair(Module):
    def __init__(self, weight, bias):
        self.weight, self.bias = Parameter(weight), Parameter(bias)


@pytest.mark.parametrize("kind", VIEWS)
def test_a_step_lands_on_the_right_elements(kind):
    weight, bias = VIEWS[kind](BASE.copy())
    wanted = (weight - 0.5 * np.arange(6).reshape(2, 3)).tolist(), (bias - array(5, 10)).tolist()
    pair = Pair(weight, bias)
    SGD(pair, 0.5).step([Tensor(np.arange(6, dtype=F4).reshape(2, 3)), Tensor(array(10, 20))])
    assert (pair.weight.data.tolist(), pair.bias.data.tolist()) == wanted
    flat = pair.flat()
    assert flat.tolist() == sum(wanted[0], []) + wanted[1]
    flat += 1       # and they are views of it
    assert pair.weight.data[1, 2] == wanted[0][1][2] + 1 and pair.bias.data[1] == wanted[1][1] + 1
    assert pair.flat() is not None and np.shares_memory(pair.flat(), flat)


def test_what_lies_flat_is_not_moved():
    pair = Pair(*VIEWS["in order"](base := BASE.copy()))
    assert np.shares_memory(pair.flat(), base)
    # negative control
    pair.bias.data = pair.bias.data.copy()
    assert not np.shares_memory(pair.flat(), base)


# ------------------------------------------------------------------------------------------- copies

def copies(thing):
    """{how: a copy}."""
    protocols = range(pickle.HIGHEST_PROTOCOL + 1)
    return {p: pickle.loads(pickle.dumps(thing, p)) for p in protocols} | {
        "deepcopy": copy.deepcopy(thing), "in place": pickle.loads(
            pickle.dumps(thing, 5, buffer_callback=(buffers := []).append), buffers=buffers)}


def trained(model, data):
    model.fit(data, steps=3, batch_size=8)
    return model


def same_training(model, other, data):
    """Whether the two go on in the same way."""
    for m in (model, other):
        m.fit(data, steps=3, batch_size=8)
    a, b = model.state_dict(), other.state_dict()
    assert a.keys() == b.keys()
    return all((a[name] == b[name]).all() for name in a)


def rows(size):
    return np.random.default_rng(0).standard_normal((40, size)).astype(F4)


@pytest.mark.parametrize("make, size", [(lambda: nets.mlp_gan(64), 64), (tiny_ali, 4)])
@pytest.mark.parametrize("steps", [0, 3])
def test_a_copy_samples_and_trains_like_the_model(make, size, steps):
    model = trained(make(), rows(size)) if steps else make()
    for how, other in copies(model).items():
        original = copy.deepcopy(model)
        for network in (other.generator_optimizer.network, other.discriminator):
            base = network.flat()
            assert all(np.shares_memory(p.data, base) for p in network.parameters()), how
        assert (original.sample(5) == other.sample(5)).all(), how
        assert same_training(original, other, rows(size)), how


def test_a_copy_is_independent():
    model = tiny_ali()
    before, other = model.state_dict(), copy.deepcopy(model)
    trained(other, rows(4))
    assert all((before[n] == a).all() for n, a in model.state_dict().items())
    # negative control
    assert any((before[n] != a).any() for n, a in other.state_dict().items())


@one_blas_thread()      # in both processes: this one has no more than one, a new one has all
def _sampled(model):
    return trained(model, rows(16)).sample(3)


def test_a_pool_of_processes():
    model = nets.mlp_gan(16)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there, = pool.map(_sampled, [model])
    np.testing.assert_array_equal(there, _sampled(model))


def test_an_unpickled_parameter_can_be_differentiated():
    p = pickle.loads(pickle.dumps(Parameter(np.arange(3.0))))
    assert type(p) is Parameter and grad((p * p).sum(), p).data.tolist() == [0, 2, 4]
    with pytest.raises(TypeError, match="history"):
        pickle.dumps(p * p)


# ------------------------------------------------------------------- networks that change after all

def test_a_layer_that_comes_after_its_optimiser():
    for make in (SGD, Adam):
        network = nn.Sequential(linear())
        optimizer = make(network, 0.1)
        network.layers.append(nn.Linear(2, 2, rng=ldf.Generator(0)))
        before, kept = network.flat().copy(), optimizer.state
        with pytest.raises(ValueError, match=f"{make.__name__}: network: expected the parameters "
                                             "that it had when this was made"):
            optimizer.step([Tensor(np.ones_like(p.data)) for p in network.parameters()])
        assert (network.flat() == before).all()
        assert all((kept[name] == a).all() for name, a in optimizer.state.items())


def test_a_layer_that_comes_after_the_average():
    network = nn.Sequential(linear())
    average = EMA(network)
    network.layers.append(nn.BatchNorm(2))
    with pytest.raises(ValueError, match="EMA: network: expected the parameters and buffers that "
                                         "it had when this was made, as number 2 shape none, got"):
        average.update()
    with pytest.raises(ValueError, match="EMA: network"), average.applied():
        pass
    assert average.state["steps"] == 0


def test_layers_that_change_places_under_the_average():
    network = nn.Sequential(nn.Linear(2, 3, rng=ldf.Generator(0)),
                            nn.Linear(3, 2, rng=ldf.Generator(0)))
    average = EMA(network)
    network.layers.reverse()            # as many numbers as before
    with pytest.raises(ValueError, match=r"EMA: network: .* as number 0 shape \(2, 3\), got \(3"):
        average.update()


# --------------------------------------------------------------------------------------- gradients

@pytest.mark.parametrize("change, message", [
    ("layer.weight -= 0.1 * g", "is changed in place by p.data -= rate * g.data"),
    ("layer.weight += g", "is changed in place by p.data"),
    ("layer.weight *= 2", "is changed in place by p.data"),
    ("layer.weight /= 2.0", "is changed in place by p.data"),
    ("p = layer.weight; p -= g", "is changed in place by p.data"),
    ("layer.weight = g.data", "Linear: weight: expected a Tensor or NoneType, got numpy.ndarray"),
    ("layer.weight = 0.0", "Linear: weight: expected a Tensor or NoneType, got float"),
    ("layer.weight.data -= 0.1 * g; layer(x)", "a Tensor's data was set to a Tensor, expected"),
    ("layer.weight.data -= 0.1 * g; layer.weight + 1", "a Tensor's data was set to a Tensor"),
    ("layer.weight.data -= 0.1 * g; layer.flat()", "a Tensor's data was set to a Tensor")])
def test_a_parameter_is_not_lost_unseen(change, message):
    """Written as for other libraries, each of these would train nothing, or lose the parameter."""
    layer, x = nn.Linear(3, 2, rng=ldf.Generator(0)), Tensor(np.ones((4, 3), np.float32))
    g = ldf.grad((layer(x) ** 2).sum(), layer.weight)
    with pytest.raises(TypeError, match=re.escape(message)):
        exec(change, {"layer": layer, "x": x, "g": g})


def test_a_loop_of_ones_own():
    """The way to change parameters by hand, and what may take a parameter's place."""
    layer, x = nn.Linear(3, 2, rng=ldf.Generator(0)), Tensor(np.ones((4, 3), np.float32))
    losses = []
    for _ in range(3):
        loss = (layer(x) ** 2).mean()
        for p, g in zip(layer.parameters(), layer.gradients(loss)):
            p.data -= 0.1 * g.data
        losses.append(float(loss.data))
    assert losses[0] > losses[1] > losses[2]
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    layer.weight = nn.Parameter(np.ones((3, 2), np.float32))
    assert layer.parameters()[0].data.sum() == 6


def test_the_gradients_of_a_loss():
    network, x = linear(), np.array([[1, 2, 3]], F4)
    weight, bias = network.gradients(network(Tensor(x)).sum())
    assert weight.data.tolist() == [[1, 1], [2, 2], [3, 3]] and bias.data.tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"Holder: expected a loss that depends on all parameters, "
                                         r"got one that does not on scales.0, scales.1, by_name.b"):
        Holder().gradients(Holder()(Tensor(x)).sum())


def test_a_network_that_does_not_use_a_parameter():
    """The advice must be one that can be followed where a model is trained."""
    discriminator = nets.mlp_gan(4).discriminator
    discriminator.spare = [Parameter(array(1))]
    model = GAN(nets.mlp_gan(4).generator, discriminator, 128)
    with pytest.raises(ValueError, match="all parameters, got one that does not on .*spare.0"):
        model.fit(rows(4), steps=1, batch_size=8)
