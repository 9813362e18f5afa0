"""Layers: what they compute, their parameters by name and order, flat weights, and files that other
tools read."""

import inspect
import json
import os
import struct
from itertools import permutations

import numpy as np
import pytest
from helpers import doubled, of_parameters, values
from safetensors.numpy import load_file, save_file

import ldf_np as ldf
from ldf_np import nn
from ldf_np.autodiff.engine import Tensor, grad
from ldf_np.kernels.norm import channel_sum
from ldf_np.nn import layers
from ldf_np.runtime.recording import Recorded, Recording


def small_net(seed=0):
    rng = ldf.Generator(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1, bias=False, rng=rng), nn.BatchNorm(4),
                         nn.LeakyReLU(0.1), nn.Flatten(),
                        nn.Linear(64, 6, rng=rng), nn.LayerNorm(6), nn.Maxout(2),
                        nn.Linear(3, 48, rng=rng), nn.Reshape(4, 4, 3),
                        nn.ConvTranspose2d(3, 2, 4, 2, 1, rng=rng), nn.Tanh())


# (layer, input shape, output shape, {parameter: shape} in order); all draw from one fresh
# generator.
LAYERS = {
    "Linear": (lambda r: nn.Linear(3, 5, rng=r), (4, 3), (4, 5), {"weight": (3, 5), "bias": (5,)}),
    "Linear without bias": (lambda r: nn.Linear(3, 5, bias=False, rng=r), (4, 2, 3), (4, 2, 5),
                            {"weight": (3, 5)}),
    "Conv2d": (lambda r: nn.Conv2d(2, 3, (3, 2), 2, 1, rng=r), (2, 5, 4, 2), (2, 3, 3, 3),
               {"weight": (3, 2, 2, 3), "bias": (3,)}),
    "ConvTranspose2d": (lambda r: nn.ConvTranspose2d(2, 3, 4, 2, 1, rng=r), (2, 2, 3, 2),
                        (2, 4, 6, 3), {"weight": (4, 4, 3, 2), "bias": (3,)}),
    "ConvTranspose2d sized": (lambda r: nn.ConvTranspose2d(1, 1, 3, 2, output_size=(6, 5),
                                                           bias=False, rng=r),
                              (1, 2, 2, 1), (1, 6, 5, 1), {"weight": (3, 3, 1, 1)}),
    "BatchNorm": (lambda r: nn.BatchNorm(3), (4, 2, 3), (4, 2, 3), {"weight": (3,), "bias": (3,)}),
    "BatchNorm plain": (lambda r: nn.BatchNorm(3, affine=False), (5, 3), (5, 3), {}),
    "LayerNorm": (lambda r: nn.LayerNorm(4), (3, 4), (3, 4), {"weight": (4,), "bias": (4,)}),
    "LeakyReLU": (lambda r: nn.LeakyReLU(0.3), (3, 4), (3, 4), {}),
    "ReLU": (lambda r: nn.ReLU(), (3, 4), (3, 4), {}),
    "AvgPool2d": (lambda r: nn.AvgPool2d(2), (2, 4, 5, 3), (2, 2, 2, 3), {}),
    "MaxPool2d": (lambda r: nn.MaxPool2d((3, 2), 1, (1, 0)), (2, 4, 5, 3), (2, 4, 4, 3), {}),
    "Tanh": (lambda r: nn.Tanh(), (3, 4), (3, 4), {}),
    "Sigmoid": (lambda r: nn.Sigmoid(), (3, 4), (3, 4), {}),
    "Maxout": (lambda r: nn.Maxout(3), (2, 6), (2, 2), {}),
    "Dropout": (lambda r: nn.Dropout(0.5, rng=r), (3, 4), (3, 4), {}),
    "Flatten": (lambda r: nn.Flatten(), (2, 3, 4), (2, 12), {}),
    "Reshape": (lambda r: nn.Reshape(2, 2, -1), (3, 8), (3, 2, 2, 2), {}),
    "Sequential": (lambda r: nn.Sequential(nn.Linear(3, 2, rng=r), nn.Tanh(),
                                           nn.Linear(2, 1, rng=r)), (4, 3), (4, 1),
                   {"layers.0.weight": (3, 2), "layers.0.bias": (2,),
                    "layers.2.weight": (2, 1), "layers.2.bias": (1,)}),
}


@pytest.mark.parametrize("name", LAYERS)
def test_shapes_names_and_order(name):
    make, x, y, parameters = LAYERS[name]
    layer = make(ldf.Generator(0))
    assert layer(Tensor(values(*x, dtype=np.float32))).shape == y
    assert {n: p.shape for n, p in layer.named_parameters()} == parameters
    assert [n for n, _ in layer.named_parameters()] == list(parameters)
    assert all(p.dtype == np.float32 for p in layer.parameters())


@pytest.mark.parametrize("name", [n for n in LAYERS if n != "Dropout"])
@pytest.mark.parametrize("training", [True, False])
def test_gradients_to_the_second_order(name, training):
    make, x, _, _ = LAYERS[name]
    layer = doubled(make(ldf.Generator(0))).train(training)
    for _, buffer in layer.named_buffers():
        buffer.data += 0.5
    # + 0.2: scales and shifts that are not 1 and 0
    ldf.check_grads(of_parameters(layer, lambda x: ldf.square(layer(x))),
                    [values(*x), *(p.data + 0.2 for p in layer.parameters())], order=2)


def test_a_leaky_relu_is_done_by_the_layer_before_it_and_once():
    """In that layer's own pass over memory; and the same module a second time is applied again."""
    linear, leaky = nn.Linear(3, 5, rng=ldf.Generator(0)), nn.LeakyReLU(0.1)
    x = Tensor(values(4, 3))
    expected = leaky(linear(x)).data
    assert (expected < 0).any()
    np.testing.assert_allclose(nn.Sequential(linear, leaky)(x).data, expected)
    np.testing.assert_allclose(nn.Sequential(linear, leaky, leaky)(x).data,
                               leaky(Tensor(expected)).data)


def test_a_module_without_forward():
    with pytest.raises(TypeError, match="Bare defines no forward"):
        type("Bare", (nn.Module,), {})()(Tensor(1.0))


# ----------------------------------------------------------------------------------- normalisation

@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_sums_of_channels_wherever_they_lie_in_memory(order):
    # (2, 3, 4, 5)
    x = values(*(np.array([2, 3, 4, 5])[list(order)])).transpose(np.argsort(order))
    np.testing.assert_allclose(channel_sum(x), x.sum(axis=(0, 1, 2)), rtol=1e-12)


def plain_batch_norm(x, eps=1e-5):
    rows = x.reshape(-1, x.shape[-1])
    return (x - rows.mean(0)) / np.sqrt(rows.var(0) + eps), rows.mean(0), rows.var(0, ddof=1)


def check_batch_norm(layer, x):
    """One step of training against the formula, running statistics included."""
    want, mean, var = plain_batch_norm(x)
    np.testing.assert_allclose(layer(Tensor(x)).data, want * layer.weight.data + layer.bias.data,
                               atol=1e-6)
    np.testing.assert_allclose(layer.running_mean.data, 0.1 * mean, atol=1e-6)
    np.testing.assert_allclose(layer.running_var.data, 0.9 + 0.1 * var, atol=1e-6)


def test_batch_norm_in_training():
    layer = nn.BatchNorm(3)
    layer.weight.data[...], layer.bias.data[...] = [1, 2, 3], [3, 2, 1]
    check_batch_norm(layer, values(6, 2, 4, 3) * 2 + 1)


def test_a_batch_norm_that_forgets_its_statistics():
    """Negative control of the check above."""
    layer = nn.BatchNorm(3)
    layer._move = lambda running, value: None
    with pytest.raises(AssertionError):
        check_batch_norm(layer, values(6, 3) * 2 + 1)


def test_batch_norm_in_evaluation():
    layer = nn.BatchNorm(2, affine=False)
    layer.running_mean.data[...], layer.running_var.data[...] = [1, -1], [4, 9]
    x = values(5, 2, dtype=np.float32)
    y = layer.eval()(Tensor(x))
    np.testing.assert_allclose(y.data, (x - [1, -1]) / np.sqrt(np.array([4, 9]) + 1e-5), rtol=1e-5)
    # one sample knows nothing of the others
    np.testing.assert_array_equal(layer(Tensor(x[:1])).data, y.data[:1])
    np.testing.assert_array_equal(layer.running_mean.data, [1, -1])


def test_update_bn_finds_the_statistics_of_the_weights():
    rng = ldf.Generator(0)
    network = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.BatchNorm(4), nn.Dropout(0.5, rng=rng),
                            nn.BatchNorm(4, affine=False))
    network.eval()
    batches = [values(8, 3, seed=k) for k in range(5)]
    state, drawn = network.state_dict(), rng.state
    layers.update_bn(map(Tensor, batches), network)
    # in order: Linear, its BatchNorm, then, for nothing is dropped, the other one
    x = [b @ network[0].weight.data + network[0].bias.data for b in batches]
    np.testing.assert_allclose(network[1].running_mean.data, np.mean([b.mean(0) for b in x], 0),
                               rtol=1e-5)
    np.testing.assert_allclose(network[1].running_var.data,
                               np.mean([b.var(0, ddof=1) for b in x], 0), rtol=1e-5)
    np.testing.assert_allclose(network[3].running_mean.data, 0, atol=1e-6)
    # negative control: it had others before
    assert not np.allclose(state["layers.1.running_mean"], network[1].running_mean.data)
    assert rng.state == drawn and network[1].momentum == 0.1
    assert not any(m.training for _, m in network.named_modules())


def test_update_bn_gives_the_settings_back_after_an_error():
    network = nn.Sequential(nn.Linear(3, 4, rng=ldf.Generator(0)), nn.BatchNorm(4))
    with pytest.raises(ValueError, match="matmul|linear"):
        layers.update_bn([Tensor(values(8, 5))], network)
    assert network[1].momentum == 0.1 and network[1].training


def test_statistics_of_hold_inside_the_context_only():
    network = nn.Sequential(nn.Linear(3, 4, rng=ldf.Generator(0)), nn.BatchNorm(4)).eval()
    before, x = network.state_dict(), Tensor(values(8, 3))
    plain = network(x).data
    with layers.statistics_of([x], network):
        np.testing.assert_allclose(network(x).data.mean(axis=0), 0, atol=1e-6)
        assert np.abs(plain.mean(axis=0)).max() > 0.01              # negative control
    np.testing.assert_equal(network.state_dict(), before)
    with pytest.raises(KeyError), layers.statistics_of([x], network):
        raise KeyError
    np.testing.assert_equal(network.state_dict(), before)


def test_exchanged_statistics_move_in_place_of_the_networks_own():
    network = nn.Sequential(nn.Linear(3, 4, rng=ldf.Generator(0)), nn.BatchNorm(4))
    others = [nn.Buffer(buffer.data.copy()) for _, buffer in network.named_buffers()]
    before, x = network.state_dict(), Tensor(values(8, 3) + 3)
    with pytest.raises(KeyError), layers.exchanged(network, others):
        network(x)
        raise KeyError                          # put back whatever happens
    np.testing.assert_equal(network.state_dict(), before)
    mean = (x.data @ network[0].weight.data).mean(axis=0)
    np.testing.assert_allclose(others[0].data, 0.1 * mean, rtol=1e-5)
    assert np.abs(mean).max() > 0.1
    with layers.exchanged(network, []):         # none: the network's own move
        network(x)
    np.testing.assert_array_equal(network[1].running_mean.data, others[0].data)
    with pytest.raises(ValueError, match="others: expected 2 Buffers, got 1"):
        with layers.exchanged(network, others[:1]):
            pass


def test_statistics_of_a_users_own_layer_are_exchanged():
    class Own(nn.Module):
        def __init__(self):
            self.count = nn.Buffer(np.zeros(1, np.float32))

        def forward(self, x):
            self.count.data += 1
            return x

    network = nn.Sequential(nn.BatchNorm(3), Own())
    others = [nn.Buffer(buffer.data.copy()) for _, buffer in network.named_buffers()]
    with layers.exchanged(network, others):
        network(Tensor(values(8, 3)))
    assert network[1].count.data == 0 and others[2].data == 1


def test_exchanged_statistics_stay_so_around_what_a_played_step_calls_anew():
    """A sum over ranks, say, for which a recording puts plain arrays in their places."""
    network = nn.Sequential(nn.Linear(3, 4, rng=ldf.Generator(0)), nn.BatchNorm(4))
    others = [nn.Buffer(buffer.data.copy()) for _, buffer in network.named_buffers()]
    before, recording = network.state_dict(), Recording()
    holders = [*network.parameters(), *(b for _, b in network.named_buffers()), *others]
    with recording.of(holders), layers.exchanged(network, others):
        recording.again(lambda: None, (), {})
        network(Tensor(values(8, 3).view(Recorded)))
    np.testing.assert_equal(network.state_dict(), before)
    assert np.abs(others[0].data).max() > 1e-3


def test_what_batch_norm_refuses():
    with pytest.raises(ValueError, match=r"at least 2 values a channel.*got shape \(1, 3\)"):
        nn.BatchNorm(3)(Tensor(values(1, 3)))
    with pytest.raises(ValueError, match=r"expected 3 channels, got shape \(4, 1\)"):
        nn.BatchNorm(3, affine=False)(Tensor(values(4, 1)))


def test_batch_norm_after_a_function_of_itself_to_the_third_order():
    """The cotangent of a normalisation depends on its input too; that path must not be counted
    twice."""
    layer = doubled(nn.BatchNorm(2, affine=False))
    ldf.check_grads(lambda x: ldf.square(layer(x)) * ldf.tanh(x), [values(4, 2)], order=3)
    ldf.check_grads(lambda x: layer(ldf.tanh(layer(x) * 2)), [values(4, 2)], order=3)


def test_batch_norm_to_the_fourth_order():
    """From here on the formula of the second derivative is differentiated as it stands, and its
    rule is not linear."""
    ldf.check_grads(doubled(nn.BatchNorm(1, affine=False)), [values(3, 1)], order=4, rtol=1e-4)


def test_layer_norm():
    layer, x = nn.LayerNorm(4), values(3, 4)
    want = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(layer(Tensor(x)).data, want, atol=1e-7)


def test_modes_reach_every_module_and_come_back():
    net = small_net()
    net[1].eval()
    with nn.evaluation(net):
        assert not any(m.training for _, m in net.named_modules())
    assert net.training and not net[1].training and net[2].training
    with pytest.raises(ZeroDivisionError), nn.evaluation(net):
        raise ZeroDivisionError
    assert net.training
    assert all(m.training for _, m in net.train().named_modules())


# ----------------------------------------------------------------------------------------- dropout

def test_dropout():
    x = Tensor(np.ones((200, 100), np.float32))
    a, b = (nn.Dropout(0.3, rng=ldf.Generator(5))(x).data for _ in range(2))
    np.testing.assert_array_equal(a, b)                                         # one seed, one mask
    assert a.dtype == np.float32
    assert set(np.unique(a)) == {np.float32(0), np.float32(1) / np.float32(0.7)}
    assert abs((a == 0).mean() - 0.3) < 0.01 and abs(a.mean() - 1) < 0.02
    layer = nn.Dropout(0.3, rng=ldf.Generator(5))
    # a new mask each time
    assert (layer(x).data != layer(x).data).any()
    assert layer.eval()(x) is x and nn.Dropout(0.0, rng=ldf.Generator(0))(x) is x
    for p in (1.0, -0.1):
        with pytest.raises(ValueError, match="p: expected a number in"):
            nn.Dropout(p, rng=ldf.Generator(0))


def test_dropout_lets_the_gradient_through_where_it_let_the_value_through():
    x = Tensor(values(6, 5))
    y = nn.Dropout(0.5, rng=ldf.Generator(0))(x)
    np.testing.assert_array_equal(grad(y.sum(), x).data * x.data, y.data)


# ------------------------------------------------------------------------------------ initialisers

@pytest.mark.parametrize("init, variance", [
    (nn.normal(0.05), 0.05 ** 2), (nn.he(), 2 / 300), (nn.he(0.1), 2 / (1.01 * 300)),
    (nn.glorot(), 2 / 500)])
def test_initialisers(init, variance):
    weight = nn.Linear(300, 200, init=init, rng=ldf.Generator(1)).weight.data
    assert weight.dtype == np.float32
    np.testing.assert_allclose(weight.var(), variance, rtol=0.02)
    assert abs(weight.mean()) < 4 * np.sqrt(variance / weight.size)


def test_how_layers_begin_is_seen_in_their_signatures():
    assert [repr(init) for init in (nn.normal(0.05), nn.he(0.2), nn.glorot())] == [
        "normal(0.05)", "he(0.2)", "glorot()"]
    for kind in (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding):
        assert " at 0x" not in str(inspect.signature(kind)), kind


@pytest.mark.parametrize("stride, kernel", [(1, 3), (2, 4)])
def test_he_keeps_the_variance_through_convolutions(stride, kernel):
    x = Tensor(values(4, 16, 16, 32, dtype=np.float32))
    for kind in (nn.Conv2d, nn.ConvTranspose2d):
        y = kind(32, 32, kernel, stride, 1, rng=ldf.Generator(0))(x).data[:, 2:-2, 2:-2]
        assert 1.7 < (y ** 2).mean() < 2.3          # 2: what a ReLU will halve


def test_log_odds():
    """A sigmoid with this bias starts at the mean colour."""
    images = np.random.default_rng(0).random((10, 4, 4, 3)) * [1, 0.5, 0]
    bias = nn.log_odds(images)
    assert bias.shape == (3,) and bias.dtype == np.float32
    np.testing.assert_allclose(ldf.sigmoid(Tensor(bias)).data, [*images.mean((0, 1, 2))[:2], 1e-3],
                               rtol=1e-5)


# --------------------------------------------------------------------------------- flat parameters

def shares(flat, module):
    """Whether the parameters are views of ``flat``, one after another, in order."""
    ramp = np.arange(flat.size, dtype=flat.dtype)
    kept = flat.copy()
    flat[...] = ramp
    same = np.array_equal(np.concatenate([p.data.ravel() for p in module.parameters()]), ramp)
    flat[...] = kept
    return same


def test_flat_is_the_parameters_in_order():
    net = small_net()
    before = net.state_dict()
    flat = net.flat()
    assert flat.shape == (sum(p.size for p in net.parameters()),) and shares(flat, net)
    # the first call laid them out for good
    assert net.flat().ctypes.data == flat.ctypes.data
    for name, p in net.named_parameters():
        np.testing.assert_array_equal(p.data, before[name])
    assert not shares(flat.copy(), net)             # negative control: a copy is not the parameters


def test_flat_of_a_child_before_and_after_its_parent():
    net = small_net()
    child = net[4].flat()
    parent = net.flat()                             # lays all out anew, the child's too
    assert shares(parent, net) and not shares(child, net[4])
    inner = net[4].flat()
    assert shares(inner, net[4]) and np.shares_memory(inner, parent)
    assert shares(net.flat(), net) and np.shares_memory(net.flat(), parent)
    middle = net[4:8].flat()                        # a Sequential of the same modules
    assert np.shares_memory(middle, parent) and shares(middle, net[4:8])


def test_flat_of_one_parameter_and_of_none():
    layer = nn.Linear(2, 3, bias=False, rng=ldf.Generator(0))
    assert shares(layer.flat(), layer) and np.shares_memory(layer.flat(), layer.flat())
    with pytest.raises(ValueError, match="Tanh: expected parameters"):
        nn.Tanh().flat()


def test_weights_survive_loading_as_views():
    net, other = small_net(0), small_net(1)
    flat = net.flat()
    net.load_state_dict(other.state_dict())
    assert shares(flat, net)
    np.testing.assert_array_equal(flat, other.flat())


# --------------------------------------------------------------------------------- state and files

def test_state_dict_is_all_in_order_and_a_copy():
    net = small_net()
    state = net.state_dict()
    assert list(state) == ["layers.0.weight", "layers.1.weight", "layers.1.bias",
                           "layers.4.weight", "layers.4.bias",
                           "layers.5.weight", "layers.5.bias", "layers.7.weight", "layers.7.bias",
                           "layers.9.weight",
                           "layers.9.bias", "layers.1.running_mean", "layers.1.running_var"]
    state["layers.4.bias"][...] = 7
    assert not (net[4].bias.data == 7).any()


@pytest.mark.parametrize("spoil, error, message", [
    (lambda s: s.pop("layers.4.bias"), KeyError, "missing .*layers.4.bias"),
    (lambda s: s.update(extra=np.zeros(1)), KeyError, "unexpected .*extra"),
    (lambda s: s.update({"layers.9.bias": np.zeros(5)}), ValueError,
     r"layers.9.bias: expected real numbers of shape \(2,\), got .*\(5,\)"),
    (lambda s: s.update({"layers.1.running_var": np.array(list("abcd"))}), ValueError,
     "expected real numbers"),
])
def test_an_error_in_loading_changes_nothing(spoil, error, message):
    net, state = small_net(0), small_net(1).state_dict()
    before = net.state_dict()
    spoil(state)
    with pytest.raises(error, match=message):
        net.load_state_dict(state)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_save_and_load(tmp_path):
    net, other = small_net(0), small_net(1)
    x = Tensor(values(4, 8, 8, 3, dtype=np.float32))
    net(x)                                                      # moves the running statistics
    path = tmp_path / "new folder" / "net.safetensors"
    net.save(path)
    assert other.load(path) is other
    np.testing.assert_array_equal(net.eval()(x).data, other.eval()(x).data)
    assert os.listdir(path.parent) == ["net.safetensors"]       # nothing temporary is left
    read = load_file(path)                                      # as another tool would
    assert {n: a.tolist() for n, a in read.items()} == {n: a.tolist() for n,
                                                        a in net.state_dict().items()}
    path.write_bytes(b"old")
    net.save(path)                                              # takes the place of what was there
    other.load(path)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path, net = tmp_path / "net.safetensors", small_net()
    net.save(path)
    before = path.read_bytes()

    def fail(file):
        os.truncate(file, 4)
        raise OSError("disk full")

    monkeypatch.setattr("ldf_np.runtime.files.os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        net.save(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


def bf16(path):
    """A whole safetensors file of a number format that NumPy does not have."""
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))


@pytest.mark.parametrize("spoil", [
    lambda p: p.write_bytes(p.read_bytes()[:-10]), lambda p: p.write_bytes(p.read_bytes()[:4]),
    lambda p: p.write_bytes(b""),
    lambda p: p.write_bytes(os.urandom(1000)), lambda p: p.write_text("not weights at all"), bf16,
    lambda p: save_file({"other": np.zeros(3)}, p),
    lambda p: nn.Linear(2, 2, rng=ldf.Generator(0)).save(p),
], ids=["truncated", "cut in its header", "empty", "noise", "text", "bf16", "other names",
        "another model"])
def test_a_spoilt_file_is_named_and_changes_nothing(tmp_path, spoil):
    path, net = tmp_path / "net.safetensors", small_net()
    net.save(path)
    before = net.state_dict()
    spoil(path)
    with pytest.raises(ValueError, match="net.safetensors: "):
        net.load(path)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent.safetensors: no such file"):
        small_net().load(tmp_path / "absent.safetensors")


# -------------------------------------------------------------------------------------- row lookup

def test_rows_by_their_numbers():
    table = nn.Embedding(5, 3, rng=ldf.Generator(0))
    rows = np.array([[1, 4], [1, 0]])
    for given in (rows, rows.tolist(), rows.astype(np.uint8), Tensor(rows.astype(np.float32))):
        np.testing.assert_array_equal(table(given).data, table.weight.data[rows])
    assert table(2).shape == (3,) and table(np.zeros((0, 2), int)).shape == (0, 2, 3)
    # the adjoint adds up what a row was read for
    g = grad(table(rows).sum(), table.weight)
    np.testing.assert_array_equal(g.data[:, 0], [1, 2, 0, 0, 1])
    # drawn from N(0, 1)
    assert abs(nn.Embedding(200, 50, rng=ldf.Generator(0)).weight.data.std() - 1) < 0.02


def test_derivatives_of_a_lookup():
    table = doubled(nn.Embedding(4, 2, rng=ldf.Generator(0)))
    look = of_parameters(table, lambda: ldf.sigmoid(table(np.array([3, 1, 3]))))
    ldf.check_grads(look, [values(4, 2)], order=3)


def test_words_are_told_apart():
    """A model of an Embedding and a sum learns which of eight words say yes."""
    rng = ldf.Generator(0)
    net = nn.Sequential(nn.Embedding(8, 4, rng=rng), nn.Flatten(), nn.Linear(12, 1, rng=rng))
    words = rng.integers(0, 8, (200, 3))
    yes = Tensor(np.where((words == 5).any(1), 1.0, -1.0).astype(np.float32)[:, None])
    adam = nn.Adam(net, 0.05)
    for _ in range(60):
        adam.step(net.gradients(ldf.softplus(-yes * net(words)).mean()))
    assert ((net(words).data > 0) == (yes.data > 0)).mean() > 0.97


# ------------------------------------------------------------------------------------------ pooling

def test_a_relu_is_fused_like_a_leaky_one():
    rng = ldf.Generator(0)
    layers = nn.Conv2d(3, 4, 3, rng=rng), nn.ReLU(), nn.MaxPool2d(2)
    x = Tensor(values(2, 6, 6, 3, dtype=np.float32))
    np.testing.assert_array_equal(nn.Sequential(*layers)(x).data,
                                  layers[2](layers[1](layers[0](x))).data)
    assert (nn.Sequential(*layers[:2])(x).data >= 0).all()


# ----------------------------------------------------------------------------------------- summary

class Nested(nn.Module):
    """A parameter of its own beside layers, one layer that is called twice, one that is not called,
    and one parameter that is held twice."""

    def __init__(self):
        rng = ldf.Generator(0)
        self.scale = nn.Parameter(np.ones(3, np.float32))
        self.twice = nn.Linear(3, 3, rng=rng)
        self.a_layer_with_a_long_name = nn.Sequential(nn.Linear(3, 2, rng=rng), nn.ReLU())
        self.spare = nn.Linear(2, 2, rng=rng)
        self.tied, self.again = self.spare.weight, self.twice
        self.steps = (1, 2)

    def forward(self, x):
        return self.a_layer_with_a_long_name(self.twice(self.twice(x * self.scale)))


def test_a_summary_adds_up():
    net = Nested()
    lines = net.summary((3,)).splitlines()
    assert len({len(line) for line in lines}) == 1                      # columns are straight
    rows = {line.split()[0]: line for line in lines}
    counts = [int(line.split()[-1].replace(",", "")) for line in lines[1:]]
    assert sum(counts[:-1]) == counts[-1] == sum(p.size for p in net.parameters()) == 29
    assert rows["itself"].split() == ["itself", "Nested", "(2,)", "7"]
    assert "(3,)" in rows["twice"] and rows["spare"].split() == ["spare", "Linear", "2"]
    assert "a_layer_with_a_long_name.layers.0" in rows


def test_a_module_is_shown_as_a_tree():
    assert repr(Nested()).splitlines() == [
        "Nested(scale (3,), tied (2, 2), steps=(1, 2)): 29 parameters",
        "  twice: Linear(weight (3, 3), bias (3,)): 12 parameters",
        "  a_layer_with_a_long_name: Sequential: 8 parameters",
        "    layers.0: Linear(weight (3, 2), bias (2,)): 8 parameters",
        "    layers.1: ReLU(slope=0.0)",
        "  spare: Linear(weight (2, 2), bias (2,)): 6 parameters",
        "  again: Linear, as above"]
    assert repr(nn.Conv2d(1, 2, 3, rng=ldf.Generator(0))) == (
        "Conv2d(weight (3, 3, 1, 2), bias (2,), stride=(1, 1), padding=(0, 0)): 20 parameters")
    assert repr(nn.Tanh()) == "Tanh"


def test_summary():
    net = small_net()
    text = net.summary((8, 8, 3))
    lines = text.splitlines()
    assert "Conv2d" in lines[1] and "(4, 4, 4)" in lines[1] and "192" in lines[1]
    assert len(lines) == 1 + 11 + 1
    total = sum(p.size for p in net.parameters())
    assert lines[-1].split() == ["total", f"{total:,}"]
    # without shapes, without a run
    assert "192" in net.summary().splitlines()[1]
    np.testing.assert_array_equal(net[1].running_mean.data, 0)          # looking changes nothing
    assert net.training


# -------------------------------------------------------------------------------- single precision

def test_float32_through_a_whole_net():
    net, x = small_net(), Tensor(values(4, 8, 8, 3, dtype=np.float32))
    y = net(x)
    loss = ldf.softplus(y).mean() + (y * 0.5 - 1 / 3).sum() ** 2 / 7
    grads = grad(loss, [x, *net.parameters()], create_graph=True)
    again = grad(sum(ldf.square(g).sum() for g in grads), [x, *net.parameters()], allow_unused=True)
    assert {t.dtype for t in (y, loss, *grads, *again)} == {np.dtype(np.float32)}
    assert {a.dtype for a in net.state_dict().values()} == {np.dtype(np.float32)}


def test_softmax_makes_probabilities():
    x = values(3, 4, 5)
    y = nn.Softmax()(Tensor(x)).data
    np.testing.assert_allclose(y, np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(nn.Softmax()(Tensor(x + 900)).data, y, rtol=1e-9)    # no overflow
    ldf.check_grads(nn.Softmax(), [values(3, 5)])
    ldf.check_grads(lambda x: ldf.square(nn.Softmax()(x * 3)), [values(2, 4)], order=3)
    assert not np.allclose(y.sum(axis=0), 1)        # control: not over other axes


class Capped(nn.ReLU):
    def forward(self, x):
        return ldf.minimum(super().forward(x), 6.0)


class Twice(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 2


def test_what_a_subclass_does_is_done_in_a_sequential():
    linear, x = nn.Linear(2, 2, bias=False, rng=ldf.Generator(0)), Tensor(values(4, 2) * 9)
    for first in (linear, Twice(2, 2, rng=ldf.Generator(0))):
        for second in (Capped(), nn.ReLU()):
            np.testing.assert_array_equal(nn.Sequential(first, second)(x).data,
                                          second(first(x)).data)


def test_all_generators_that_a_network_holds_are_found():
    class Noise(nn.Module):
        def __init__(self, *, rng):
            self.rng = rng

    one, other = ldf.Generator(1), ldf.Generator(2)
    network = nn.Sequential(Noise(rng=one), nn.Dropout(rng=other), nn.Dropout(rng=one))
    assert layers.generators(network, network) == [one, other]
    assert layers.generators(nn.Tanh()) == []


def test_parameters_of_two_dtypes_are_not_laid_out_in_one():
    class Two(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(2, 2, rng=ldf.Generator(0)), nn.Parameter(np.ones(2))

    with pytest.raises(ValueError, match="Two: parameters: expected one dtype, float64 as that of "
                                         "b, got float32 for a.weight"):
        nn.Adam(Two())


def test_statistics_that_are_found_again_are_the_same():
    network = nn.Sequential(nn.BatchNorm(3))
    batches = [Tensor(values(8, 3, seed=k).astype(np.float32)) for k in range(3)]
    found = []
    for start in (0.0, 1e3, -7.0):
        for _, buffer in network.named_buffers():
            buffer.data[...] = start
        nn.update_bn(batches, network)
        found.append(network.state_dict())
    for other in found[1:]:
        assert all((other[name] == found[0][name]).all() for name in other)
    nn.update_bn([], network)           # control: without batches they stay
    assert all((found[0][name] == array).all() for name, array in network.state_dict().items())
