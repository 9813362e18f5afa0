"""Optimisers and the moving average of weights, against textbook loops written out number by
number."""

import math

import numpy as np
import pytest
from safetensors.numpy import save_file

import ldf_np as ldf
from ldf_np import nn
from ldf_np.autodiff.engine import Tensor, grad
from ldf_np.kernels import optim as kernel
from ldf_np.nn import optim
from ldf_np.nn.optim import EMA, SGD, Adam, falling


def net(dtype=np.float64, seed=0):
    """Two layers whose parameters have the given dtype."""
    rng = ldf.Generator(seed)
    network = nn.Sequential(nn.Linear(3, 2, rng=rng), nn.BatchNorm(2), nn.Linear(2, 1, rng=rng))
    for p in network.parameters():
        p.data = p.data.astype(dtype)
    return network


def gradients(network, step):
    """Made-up gradients, different at each step, of very different sizes."""
    rng = np.random.default_rng(step)
    return [Tensor(rng.standard_normal(p.shape).astype(p.dtype) * 10.0 ** rng.integers(-4, 3))
            for p in network.parameters()]


def numbers(tensors):
    return [float(v) for t in tensors for v in t.data.ravel()]


def textbook_adam(p, grads, lr, b1, b2, eps):
    """Kingma and Ba 2015, Algorithm 1, for one number."""
    m = v = 0.0
    for t, g in enumerate(grads, 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        p -= lr * (m / (1 - b1 ** t)) / (math.sqrt(v / (1 - b2 ** t)) + eps)
    return p


def textbook_sgd(p, grads, lr, momentum):
    v = 0.0
    for g in grads:
        v = momentum * v + g
        p -= lr * v
    return p


def check(optimizer, textbook, steps=7, **tolerance):
    """The parameters after some steps of the optimiser, each against its own loop over numbers."""
    network = optimizer.network
    start, all_grads = numbers(network.parameters()), []
    for step in range(steps):
        grads = gradients(network, step)
        all_grads.append(numbers(grads))
        kept = [g.data.copy() for g in grads]
        optimizer.step(grads)
        for g, before in zip(grads, kept, strict=True):
            # the gradients stay as they were
            np.testing.assert_array_equal(g.data, before)
    want = [textbook(p, g) for p, g in zip(start, zip(*all_grads, strict=True), strict=True)]
    np.testing.assert_allclose(numbers(network.parameters()), want, **tolerance)


@pytest.mark.parametrize("lr, betas, eps", [
    (1e-3, (0.9, 0.999), 1e-8), (0.1, (0.5, 0.99), 1e-3), (1e-2, (0.0, 0.0), 1e-8)])
def test_adam(lr, betas, eps):
    check(Adam(net(), lr, betas, eps), lambda p, g: textbook_adam(p, g, lr, *betas, eps),
          rtol=1e-10)


def test_adam_in_blocks(monkeypatch):
    """A network larger than a block is updated block by block to the same end."""
    monkeypatch.setattr(kernel, "BLOCK", 3)
    check(Adam(net(), 0.1), lambda p, g: textbook_adam(p, g, 0.1, 0.9, 0.999, 1e-8), rtol=1e-10)


def test_adam_in_single_precision():
    check(Adam(net(np.float32), 0.01), lambda p, g: textbook_adam(p, g, 0.01, 0.9, 0.999, 1e-8),
          rtol=2e-4)


def test_adam_without_bias_correction_is_found():
    """Negative control of the check."""
    optimizer = Adam(net(), 0.1)
    update = optimizer._update
    optimizer._update = lambda *args: (optimizer.steps.fill(10 ** 6), update(*args))
    with pytest.raises(AssertionError):
        check(optimizer, lambda p, g: textbook_adam(p, g, 0.1, 0.9, 0.999, 1e-8), rtol=1e-2)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd(momentum):
    check(SGD(net(), 0.1, momentum), lambda p, g: textbook_sgd(p, g, 0.1, momentum), rtol=1e-10)


@pytest.mark.parametrize("make", [lambda n: Adam(n, 0.05), lambda n: SGD(n, 0.1, 0.9)])
def test_they_find_a_minimum(make):
    network = nn.Linear(3, 1, rng=ldf.Generator(0))
    x = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    y = x @ np.array([[1.0], [-2.0], [3.0]], np.float32) + 0.5
    optimizer = make(network)
    for _ in range(500):
        loss = ldf.square(network(Tensor(x)) - y).mean()
        optimizer.step(grad(loss, network.parameters()))
    np.testing.assert_allclose(network.weight.data.ravel(), [1, -2, 3], atol=1e-3)
    np.testing.assert_allclose(network.bias.data, 0.5, atol=1e-3)


def test_an_optimiser_follows_weights_that_move():
    """A parent that lays its parameters out anew takes nothing from the child's optimiser."""
    network = net()
    optimizer = SGD(network[0], 0.1)
    network.flat()
    before = network[0].bias.data.copy()
    optimizer.step([Tensor(np.ones(p.shape)) for p in network[0].parameters()])
    np.testing.assert_allclose(network[0].bias.data, before - 0.1)
    np.testing.assert_allclose(network.flat()[6:8], before - 0.1)


@pytest.mark.parametrize("wrong, message", [
    (lambda n: Adam(n, lr=0), "Adam: lr: expected a positive number, got 0"),
    (lambda n: Adam(n, lr=math.nan), "Adam: lr: expected a positive number, got nan"),
    (lambda n: Adam(n, betas=(0.9, 1.0)), r"betas\[1\]: expected a number in \[0, 1\), got 1.0"),
    (lambda n: Adam(n, betas=(0.9, 0.9, 0.9)), "betas: expected two"),
    (lambda n: Adam(n, eps=0), "eps: expected a positive number"),
    (lambda n: SGD(n, -1), "SGD: lr: expected a positive number, got -1"),
    (lambda n: SGD(n, 0.1, momentum=1), "momentum: expected a number"),
    (lambda n: EMA(n, 1.0), "EMA: decay: expected a number"),
    (lambda n: SGD(n, 0.1).step(gradients(n, 0)[:-1]), "grads: expected"),
    (lambda n: SGD(n, 0.1).step(gradients(n, 0)[::-1]), "grads: expected"),
    (lambda n: Adam(nn.Tanh()), "Tanh: expected parameters"),
])
def test_wrong_arguments(wrong, message):
    network = net()
    before = network.state_dict()
    with pytest.raises(ValueError, match=message):
        wrong(network)
    for name, array in network.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


# ---------------------------------------------------------------------------------- moving average

def test_ema_against_a_loop():
    network, decay = net(np.float32), 0.8
    ema = EMA(network, decay)
    want = network.state_dict()
    rng = np.random.default_rng(0)
    for t in range(20):
        for p in network.parameters():
            p.data += rng.standard_normal(p.shape)
        # moves the running statistics
        network[1](Tensor(rng.standard_normal((5, 2)).astype(np.float32)))
        ema.update()
        d = min(decay, (1 + t) / (10 + t))
        want = {n: d * want[n] + (1 - d) * a for n, a in network.state_dict().items()}
    own = network.state_dict()
    with ema.applied():
        for name, array in network.state_dict().items():
            np.testing.assert_allclose(array, want[name], rtol=1e-4, atol=1e-5)
            # negative control: the average is not the weights
            assert np.abs(array - own[name]).max() > 1e-4
    for name, array in network.state_dict().items():
        np.testing.assert_array_equal(array, own[name])


def test_ema_finds_batch_statistics_of_its_own():
    """Weights that move about vary their outputs more than their mean does."""
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Linear(6, 4, rng=ldf.Generator(0)), nn.BatchNorm(4, affine=False))
    base, ema = network[0].weight.data.copy(), EMA(network, 0.98)
    for _ in range(200):
        network[0].weight.data[...] = base + rng.standard_normal(base.shape) * 0.6
        network(Tensor(rng.standard_normal((64, 6)).astype(np.float32)))
        ema.update()

    def variance():
        with ema.applied(), nn.evaluation(network):
            return network(Tensor(rng.standard_normal((4096, 6)).astype(np.float32))).data.var(0)

    assert variance().max() < 0.8           # negative control: of those of other weights
    own = network.state_dict()
    ema.update_statistics(Tensor(rng.standard_normal((256, 6)).astype(np.float32))
                          for _ in range(16))
    np.testing.assert_allclose(variance(), 1, atol=0.1)
    for name, array in network.state_dict().items():
        np.testing.assert_array_equal(array, own[name])
    ema.update_statistics(iter([Tensor(np.zeros((4, 6)))]))         # once for the updates before
    np.testing.assert_allclose(variance(), 1, atol=0.1)


def test_ema_gives_the_weights_back_after_an_error():
    network = net(np.float32)
    ema = EMA(network, 0.9)
    network.flat()[...] = 1.0
    with pytest.raises(ZeroDivisionError), ema.applied():
        assert not (network.flat() == 1).all()
        raise ZeroDivisionError
    assert (network.flat() == 1).all()


def test_ema_follows_weights_that_move():
    """A parent that lays its parameters out anew takes nothing from the average either."""
    network = net(np.float32)
    ema = EMA(network[0], 0.5)
    network.flat()
    network[0].flat()[...] = 3.0
    for _ in range(60):
        ema.update()
    with ema.applied():
        np.testing.assert_allclose(network[0].weight.data, 3.0, rtol=1e-5)


# ---------------------------------------------------------------------------------------- schedule

def test_the_rates_fall_in_the_second_half():
    assert [falling(progress, 0.2) for progress in (0, 0.3, 0.5)] == [1, 1, 1]
    np.testing.assert_allclose([falling(0.75, 0.2), falling(1.0, 0.2), falling(1.0, 0.0)],
                               [0.6, 0.2, 0.0], atol=1e-12)
    assert falling(0.9, 1.0) == 1
    for progress in (0.3, 0.75):                # on the device the progress is an array
        np.testing.assert_array_equal(falling(np.array([progress]), 0.2), falling(progress, 0.2))


@pytest.mark.parametrize("make", [lambda n: SGD(n, 0.1), lambda n: Adam(n, 0.1)])
def test_a_scaled_rate_takes_a_scaled_step(make):
    steps = []
    for lr_scale in (1.0, 0.25):
        network = net()
        before = network.flat().copy()
        make(network).step(gradients(network, 0), lr_scale)
        steps.append(network.flat() - before)
    np.testing.assert_allclose(steps[1], 0.25 * steps[0], rtol=1e-7, atol=1e-14)


@pytest.mark.parametrize("make", [SGD, Adam])
def test_finite_gradients_whose_sum_is_not(make):
    """Of float32: 3e38 + 3e38 is infinite, 3e38 is not."""
    network = nn.Linear(2, 1, bias=False, rng=ldf.Generator(0))
    optimizer, before = make(network, lr := 1e-39 if make is SGD else 0.1), network.flat().copy()
    optimizer.step([Tensor(np.full((2, 1), 3e38, np.float32))])
    # SGD by lr * g; Adam's first step by lr, however large the gradient
    np.testing.assert_allclose(before - network.flat(), 0.3 if make is SGD else lr, rtol=1e-5)
    optimizer.step([Tensor(np.full((2, 1), -3e38, np.float32))])
    if make is SGD:
        np.testing.assert_allclose(network.flat(), before, rtol=1e-5)
    else:
        assert (network.flat() > before - lr).all()     # it still moves
    for wrong in (np.inf, -np.inf, np.nan):
        before = network.flat().copy()
        with pytest.raises(FloatingPointError, match="a gradient is not finite"):
            optimizer.step([Tensor(np.array([[wrong], [3e38]], np.float32))])
        assert (network.flat() == before).all()


@pytest.mark.parametrize("make", [lambda n, c: SGD(n, c(0.1), c(0.9)),
                                  lambda n, c: Adam(n, c(0.1), (c(0.9), c(0.99)), c(1e-8))])
def test_numbers_of_numpy_are_numbers(make):
    """They do not promote float32 on the way: the same bits."""
    def trained(number):
        network = net(np.float32)
        optimizer, average = make(network, number), EMA(network, number(0.9))
        for step in range(3):
            optimizer.step(gradients(network, step))
            average.update()
        return np.concatenate([network.flat(), average.average.data])

    assert (trained(float) == trained(np.float64)).all()
    # negative control
    assert (trained(float) != trained(lambda number: number * 1.001)).any()


def test_what_is_ready_has_been_looked_at_and_nothing_has_changed():
    one, other = net(), net(seed=1)
    first, second = Adam(one), SGD(other, 0.1)
    before = numbers(one.parameters()) + numbers(other.parameters())
    take = first.ready(gradients(one, 0))
    bad = gradients(other, 1)
    bad[0].data[0, 0] = np.inf
    with pytest.raises(FloatingPointError, match="a gradient is not finite"):
        second.ready(bad)
    assert numbers(one.parameters()) + numbers(other.parameters()) == before
    take()
    twin = net()
    Adam(twin).step(gradients(twin, 0))
    # negative control: it was the step after all
    assert numbers(one.parameters()) == numbers(twin.parameters()) != before[:len(before) // 2]


def test_a_state_is_taken_over_whole_or_not_at_all():
    network = nn.Linear(2, 2, rng=ldf.Generator(0))
    adam = Adam(network)
    before = adam.state
    for name, wrong in (("v", np.ones(5)), ("v", np.float32(3)), ("steps", np.array(["a"]))):
        state = {key: array + 1 for key, array in before.items()} | {name: wrong}
        with pytest.raises(ValueError, match=f"Adam: state: {name}: expected real numbers"):
            adam.state = state
    with pytest.raises(KeyError, match=r"Adam: state: missing \['v'\]"):
        adam.state = {key: array + 1 for key, array in before.items() if key != "v"}
    assert all((adam.state[key] == array).all() for key, array in before.items())
    adam.state = {key: array + 1 for key, array in before.items()}      # control
    assert (adam.m == 1).all()


def test_an_average_of_a_file_that_tells_no_counts_is_not_young(tmp_path):
    class Whole(nn.Module):
        def __init__(self, seed):
            self.net = net(np.float32, seed)
            self.ema = EMA(self.net)

    one, other, same = Whole(0), Whole(1), Whole(1)
    for _ in range(3):
        one.ema.update()
    save_file(one.state_dict(), tmp_path / "old.safetensors")       # of another program
    save_file(one.state_dict(), tmp_path / "odd.safetensors", {"architecture": "resnet50"})
    one.save(tmp_path / "new.safetensors")
    for name, steps in (("old", optim.MATURE), ("odd", optim.MATURE), ("new", 3)):
        other.load(tmp_path / f"{name}.safetensors")
        assert other.ema.saved_counts == (steps, -1 if steps > 3 else 0), name
    same.load_state_dict(one.state_dict())          # which tells nothing of how it came to be
    assert same.ema.saved_counts == (0, -1)
