"""NumPy and CUDA agree: every operation and its derivatives, whole training steps, and one seed's
noise. On the emulator everywhere, and on a card where there is one (pytest -m cuda)."""

import sys
import types
import warnings

import numpy as np
import pytest
from devices import DEVICES, Device, close
from emulator import Replay, kernel_names
from helpers import load_program, tiny_ali, values, weights

import ldf_np as ldf
from ldf_np import nn
from ldf_np.autodiff.conv import conv2d, conv2d_weight, conv_transpose2d
from ldf_np.autodiff.engine import Tensor, grad
from ldf_np.autodiff.norm import normalize
from ldf_np.kernels import cuda
from ldf_np.models import baselines, nets
from ldf_np.models.ali import ALI, Decoder, Discriminator, Encoder
from ldf_np.nn.penalty import KINDS, row_dots, row_squares, scale_rows, weighted_norms
from ldf_np.training import step as graph

OPERATIONS = load_program("tests/autodiff/test_ops.py")     # its cases: (name, function, _, args)
pytestmark = pytest.mark.parametrize("device", DEVICES, indirect=True)


@pytest.fixture
def device(request):
    return Device(request.param)


# -------------------------------------------------------------------------------------- operations

def derivatives(function, arguments):
    """The result, the first derivatives along a direction, and the derivatives of those along
    another."""
    tensors = [Tensor(a) for a in arguments]
    y = function(*tensors)
    outputs = [y]
    first = grad((ldf.tanh(y) * 2.0).sum(), tensors, create_graph=True, allow_unused=True)
    outputs += first
    total = sum(((ldf.tanh(g) * 3.0).sum() for g in first[1:]), (ldf.tanh(first[0]) * 3.0).sum())
    if total.node is not None:
        outputs += grad(total, tensors, allow_unused=True)
    return outputs


def agree(device, function, *arguments, bound=1e-10):
    expected = [t.data for t in derivatives(function, arguments)]
    actual = device.run(lambda *moved: derivatives(function, moved), *arguments)
    for one, other in zip(actual, expected, strict=True):
        close(one, other, bound)


@pytest.mark.parametrize("name, function, _, args", OPERATIONS.CASES, ids=OPERATIONS.IDS)
def test_every_operation(device, name, function, _, args):
    agree(device, function, *args)


OTHERS = {
    "conv2d": (lambda x, w, b: conv2d(x, w, 2, 1, b, 0.1),
               [values(2, 5, 4, 3), values(3, 3, 3, 4, seed=1), values(4, seed=2)]),
    "conv2d, no bias": (lambda x, w: conv2d(x, w, (1, 2)),
                        [values(2, 5, 4, 3), values(3, 2, 3, 4, seed=1)]),
    "conv_transpose2d": (lambda y, w, b: conv_transpose2d(y, w, 2, 1, (6, 5), b, 0.1),
                         [values(2, 3, 3, 4), values(4, 3, 3, 4, seed=1), values(3, seed=2)]),
    "conv2d_weight": (lambda x, y: conv2d_weight(x, y, 3, 1, 1),
                      [values(2, 4, 4, 3), values(2, 4, 4, 2, seed=1)]),
    "normalize": (lambda x: normalize(x)[0], [values(6, 3)]),
    "row_dots": (row_dots, [values(3, 4, 2), values(3, 4, 2, seed=1)]),
    "row_squares": (row_squares, [values(3, 4, 2)]),
    "scale_rows": (scale_rows, [values(3, 4, 2), values(3, seed=1)]),
    "weighted_norms": (lambda l, a, b: weighted_norms(l, a, b,
                                                      signs=ldf.asarray(np.array([1.0, -1, 1]))),
                       [values(3), values(3, 4, 2), values(3, 5, seed=1)]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_convolutions_normalisation_and_the_penaltys_forms(device, name):
    agree(device, OTHERS[name][0], *OTHERS[name][1], bound=1e-9)


def test_a_difference_is_noticed(device):
    """Negative control: a kernel that computes something else, where it can be edited."""
    if device.emulator is None:
        pytest.skip("only the emulator edits a kernel")
    device.emulator.edit = "penalty.cu", "x[i] * s[i / columns]", "x[i] * s[i / columns] * 1.001"
    with pytest.raises(AssertionError):
        agree(device, scale_rows, values(3, 4, 2), values(3, seed=1))


# ---------------------------------------------------------------------------------- training steps

def image_ali(dtype=np.float32, penalty="roth"):
    """ALI on images of 8 x 8 that uses every kernel a training step can: convolutions both ways,
    normalisation with and without scale, statistics for each way into the decoder, dropout, tanh,
    leaky ReLU, stochastic codes."""
    rng = ldf.Generator(0)
    encoder = Encoder(nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1, bias=False, rng=rng), nn.BatchNorm(4),
                                    nn.LeakyReLU(0.1)),
                      nn.Sequential(nn.Flatten(), nn.Linear(64, 6, rng=rng)), stochastic=True)
    decoder = Decoder(nn.Sequential(nn.Linear(3, 64, rng=rng), nn.Reshape(4, 4, 4),
                                    nn.BatchNorm(4, affine=False)),
                      nn.Sequential(nn.Tanh(), nn.BatchNorm(4),
                                    nn.ConvTranspose2d(4, 3, 4, 2, 1, rng=rng), nn.Sigmoid()))
    discriminator = Discriminator(
        nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1, rng=rng), nn.LeakyReLU(0.1), nn.Flatten(),
                      nn.Dropout(0.2, rng=ldf.Generator(9))),
        nn.Sequential(nn.Linear(3, 8, rng=rng), nn.LeakyReLU(0.1)),
        nn.Sequential(nn.Linear(72, 80, rng=rng), nn.LeakyReLU(0.1), nn.Linear(80, 1, rng=rng)))
    model = ALI(encoder, decoder, discriminator, 3, seed=1, penalty=penalty, own_statistics=True)
    for _, holder in [*model.named_parameters(), *model.named_buffers()]:
        holder.data = holder.data.astype(dtype)
    for optimizer in (model.generator_optimizer, model.discriminator_optimizer):
        flat = optimizer.network.flat()
        optimizer.m, optimizer.v = optimizer.m.astype(flat.dtype), optimizer.v.astype(flat.dtype)
    return model


def trained(make, x, steps, dtype=np.float32, start=None):
    model = make()
    if start is not None:
        model.load_state_dict(start)
    for k in range(steps):
        model.step(ldf.asarray(np.roll(x, k, axis=0)[:6].astype(dtype)), k / steps)
    return weights(model), model.sample(4, ldf.Generator(7))


@pytest.mark.parametrize("dtype, bound", [(np.float64, 1e-10), (np.float32, 1e-4)])
def test_twenty_steps_of_ali(device, dtype, bound):
    x = np.tanh(values(12, 8, 8, 3))
    # drawn in float32, in which the two agree to rounding
    start = image_ali(dtype).state_dict()
    expected = trained(lambda: image_ali(dtype), x, 20, dtype, start)
    with device.active():
        actual = trained(lambda: image_ali(dtype), x, 20, dtype, start)
    close(actual[0], expected[0], bound)
    close(actual[1], expected[1], max(bound, 1e-6))         # samples are drawn from float32 noise


@pytest.mark.parametrize("penalty", KINDS)
def test_every_penalty(device, penalty):
    x = np.tanh(values(12, 8, 8, 3))
    expected = trained(lambda: image_ali(penalty=penalty), x, 2)
    with device.active():
        close(trained(lambda: image_ali(penalty=penalty), x, 2)[0], expected[0], 1e-4)


def test_a_whole_step_runs_through_the_kernels(device):
    """ALI and a GAN, a step each: all kernels but the one that only a second derivative of a
    normalisation needs."""
    if device.emulator is None:
        pytest.skip("launches are counted by the emulator")
    with device.active():
        trained(image_ali, np.tanh(values(12, 8, 8, 3)), 1)
        nets.mlp_gan(5, 4, hidden=8).step(values(300, 5, dtype=np.float32))
    everything = {name for path in cuda.FOLDER.glob("*.cu")
                  for name in kernel_names(path.read_text())}
    assert everything - set(device.emulator.launched) == {"normalize_vjp_x"}


@pytest.mark.parametrize("make", [
    lambda **s: nets.mlp_gan(4, 3, hidden=8, **s),
    lambda **s: baselines.joint_gan(frames=2, size=8, latent_size=4, hidden=16, **s)],
    ids=["top", "joint"])
def test_the_gans(device, make):
    x = np.tanh(values(12, 4) if make().sample(1).ndim == 2
                else values(12, 2, 8, 8, 3)).astype(np.float32)

    def fit():
        model = make()
        history = model.fit(x, steps=4, batch_size=6)
        return (weights(model), model.sample(3, ldf.Generator(3)),
                np.array([v for v in history.losses.values()]))

    expected = fit()
    with device.active():
        for one, other in zip(fit(), expected, strict=True):
            close(one, other, 2e-4)


def test_the_denoiser(device):
    x = values(12, 4, 4, 3, dtype=np.float32)

    def fit():
        model = nets.map_denoiser((4, 4, 3), 8, 8)
        history = model.fit(x, steps=4, batch_size=6)
        return (weights(model), model.refine(x, ldf.Generator(3)),
                np.array(history.losses["denoising"]))

    expected = fit()
    with device.active():
        for one, other in zip(fit(), expected, strict=True):
            close(one, other, 2e-4)


# --------------------------------------------------------------------------------------- one graph

@pytest.mark.parametrize("make, shape", [
    (image_ali, (12, 8, 8, 3)), (lambda: nets.mlp_gan(4, 3, hidden=8), (12, 4)),
    (lambda: baselines.joint_gan(frames=2, size=8, latent_size=4, hidden=16), (12, 2, 8, 8, 3)),
    (lambda: nets.map_denoiser((4, 4, 3), 8, 8), (12, 4, 4, 3))],
    ids=["ALI", "top", "joint", "denoiser"])
def test_a_recorded_step_is_the_step(device, make, shape):
    """Trained by replays and trained without: the same weights, losses and noise to the last bit,
    over epochs (whose order the host draws from the same stream)."""
    x = np.abs(np.tanh(values(*shape))).astype(np.float32)

    def fit(model, **options):
        history = model.fit(x, steps=9, batch_size=6, **options)
        return weights(model), history.losses, model.rng.state

    with device.active():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(graph, "WARM_UP", 10 ** 9)
            expected = fit(make())
        made, new_graph = [], cuda.new_graph
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cuda, "new_graph", lambda: made.append(new_graph()) or made[0])
            patch.setattr(type(new_graph()), "replay", counting(type(new_graph()).replay, made))
            actual = fit(make())
        # one graph, replayed in each step after the warm-up
        assert len(made) == 1 + 9 - graph.WARM_UP
    np.testing.assert_array_equal(actual[0], expected[0])
    assert actual[1] == expected[1] and actual[2] == expected[2]


def counting(method, calls):
    """The method, noting each call."""
    return lambda self: calls.append("replay") or method(self)


def test_what_cannot_be_recorded_runs_without_a_graph(device):
    """A model that looks at its numbers on the host while it computes: one warning, and the same
    result."""
    class Looking(nn.Module):
        def forward(self, x):
            assert float(x.data.sum()) < 1e9
            return x

    class Refusing(Replay):
        def capture(self, work):
            raise RuntimeError("operation not permitted when stream is capturing")

    def fit():
        model = tiny_ali()
        model.decoder.body.layers.append(Looking())
        model.fit(values(12, 4, dtype=np.float32), steps=6, batch_size=6)
        return weights(model)

    expected = fit()
    with device.active(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if device.emulator is not None:
            device.emulator.new_graph = Refusing
        # biases before a normalisation: Adam steps along the rounding of a gradient of 0
        close(fit(), expected, 5e-3)
    said = [str(w.message) for w in caught if issubclass(w.category, RuntimeWarning)]
    assert len(said) == 1 and "cannot be recorded as a CUDA graph and runs without one" in said[0]


# --------------------------------------------------------------------------------- what goes wrong

def test_a_mixture_of_arrays(device):
    here = np.ones((2, 2), np.float32)
    with device.active():
        if device.emulator is None:
            other = ldf.asarray(here)
        else:
            other = type("ndarray", (), {"__module__": "cupy", "ndim": 2, "dtype": here.dtype,
                                         "shape": here.shape})()
        with pytest.MonkeyPatch.context() as patch:
            if device.emulator is not None:
                patch.setitem(sys.modules, "cupy", types.ModuleType("cupy"))
            with pytest.raises(TypeError,
                               match=r"expected arrays on one device, got numpy float32\[2, 2\], "
                                     r"cupy float32"):
                cuda.on_device(here, other)
