"""The CUDA path with a double of CuPy: no array of NumPy's meets one of the device, no step waits
for the host while it is recorded, and all comes to the CPU's numbers."""

import copy
import sys

import cupy_double
import numpy as np
import pytest
from devices import EMULATED, close
from helpers import ctrl_c, load_program, tiny_ali, weights
from test_backends import OPERATIONS, derivatives

import ldf_np as ldf
from ldf_np import nn
from ldf_np.autodiff.engine import Tensor
from ldf_np.experiments import clip_scores, metrics
from ldf_np.models import baselines, nets
from ldf_np.models.sequence_nets import sequence_gan, sequence_ldf, text_ali
from ldf_np.runtime.device import from_dlpack
from ldf_np.runtime.rules import LOSSES, PENALTIES
from ldf_np.training.checkpoint import Checkpoints
from ldf_np.training.step import WARM_UP, CompiledStep

pytestmark = EMULATED
LOADED = load_program("tests/models/test_load.py")      # its models: {name: (function, data)}
CLIPS, VECTORS = LOADED.CLIPS, LOADED.VECTORS
MAPS = np.random.default_rng(2).standard_normal((16, 4, 4, 2)).astype(np.float32)
SEQUENCES = np.random.default_rng(3).standard_normal((16, 3, 4, 4, 2)).astype(np.float32)
STEPS = WARM_UP + 3         # the first is recorded after the warm-up, and the others are replayed


def on_device(function):
    """What the function returns with the double in use, and how often a graph was launched."""
    with cupy_double.double(), pytest.MonkeyPatch.context() as patch:
        launched, launch = [], cupy_double.Graph.launch
        patch.setattr(cupy_double.Graph, "launch",
                      lambda graph, stream: launched.append(1) or launch(graph, stream))
        return function(), len(launched)


# ------------------------------------------------------------------------------------------ models

def small_gan(**settings):
    return nets.mlp_gan(4, 3, 8, **settings)


def small_top(kind):
    return lambda: nets.TOPS[kind]((4, 4, 2), 3, 4, 8) if kind.startswith("local") else (
        nets.TOPS[kind]((4, 4, 2), 3, 8))


MODELS = {name: made for name, made in LOADED.MODELS.items() if name != "LDF"} | {   # but refined
    f"GAN, {loss}": (lambda loss=loss: small_gan(loss=loss), [VECTORS]) for loss in LOSSES} | {
    f"GAN, {kind}": (lambda kind=kind: small_gan(penalty=kind), [VECTORS]) for kind in PENALTIES
} | {f"top, {kind}": (small_top(kind), [MAPS]) for kind in nets.TOPS} | {
    "places, stochastic": (lambda: nets.place_ali(8, latent_size=4, stochastic=True,
                                                  colour_metric=np.eye(3) * 0.7), [CLIPS[:, 0]]),
    "joint GAN, plain": (lambda: baselines.joint_gan(2, 8, hidden=8), [CLIPS]),
    "joint ALI": (lambda: baselines.joint_ali(2, 8, latent_size=4, hidden=8),
                  [np.concatenate([CLIPS[:, 0], CLIPS[:, 1]], -1)]),
    "denoiser": (lambda: nets.map_denoiser((4, 4, 2), 4, 8), [MAPS]),
    "autoencoder": (lambda: LOADED.over_an_autoencoder().models[0], [CLIPS[:, 0]]),
    "sequence GAN": (lambda: sequence_gan((4, 4, 2), (2, 3), 1, 4, 2, 4, 8), [SEQUENCES]),
    "sequence LDF": (lambda: sequence_ldf(tiny_ali(4), (2,), windows=(2,), p=1, code="z", width=4,
                                          hidden=8), [SEQUENCES[:, :, 0, :2].reshape(16, 3, 4)]),
    "text": (lambda: text_ali(5, 8, 4, 8, 8), [np.eye(5, dtype=np.float32)[
        np.random.default_rng(4).integers(0, 5, (16, 8))]]),
}


def histories(model, data, steps):
    """{level: History} of so many steps for each of the model's levels, the bottom first."""
    levels = 1 + len(getattr(model, "levels", ())) + bool(getattr(model, "refiner", None))
    found = model.fit(*data, steps=levels * steps, batch_size=4)
    model.data = data[0]
    return found if isinstance(found, dict) else {"": found}


def first_losses(found):
    """Of the first step of the bottom."""
    return [values[0] for values in next(iter(found.values())).losses.values()]


@pytest.mark.parametrize("make, data", MODELS.values(), ids=MODELS)
def test_a_model(make, data):
    """It begins as on the CPU, and what it has learned is the same there."""
    expected = first_losses(histories(make(), data, 2)) if data else []

    def work():
        model = make()
        found = histories(model, data, STEPS) if data else {}
        model.save("model.safetensors")
        said, loaded = LOADED.said(model), ldf.load("model.safetensors")
        loaded.data = getattr(model, "data", None)
        for one, other in zip(said, LOADED.said(loaded), strict=True):
            np.testing.assert_array_equal(one, other)
        return said, found, getattr(model, "data", None)

    (said, found, seen), launched = on_device(work)
    # a Gaussian's one pass is no step of a network
    assert launched >= sum(history.steps - WARM_UP for history in found.values()
                           if "square" not in history.losses)
    if data:
        close(first_losses(found), expected, 1e-4)
    loaded = ldf.load("model.safetensors")
    loaded.data = seen
    for one, other in zip(said, LOADED.said(loaded), strict=True):
        close(one, other, 1e-3)


def fit(steps=STEPS + 3, **settings):
    model = tiny_ali(stochastic=True, seed=3)
    model.fit(VECTORS, steps=steps, batch_size=4, **settings)
    return model


def test_replayed_steps_are_those_taken_one_by_one(monkeypatch):
    """To the bit on the device, and to rounding those of the CPU."""
    replayed, launched = on_device(lambda: weights(fit()))
    close(replayed, weights(fit()), 1e-4)
    monkeypatch.setattr(CompiledStep, "_capture", lambda self: setattr(self, "_failed", True))
    plain, launched_then = on_device(lambda: weights(fit()))
    assert launched == STEPS + 3 - WARM_UP and not launched_then
    np.testing.assert_array_equal(replayed, plain)


def test_a_training_goes_on_from_its_checkpoint():
    def broken_off():
        with ctrl_c(STEPS + 1):
            fit(checkpoints=Checkpoints("kept", every=0))
        return weights(fit(checkpoints=Checkpoints("kept", every=0)))

    np.testing.assert_array_equal(on_device(broken_off)[0], on_device(lambda: weights(fit()))[0])


def test_scores():
    def work():
        kinds = clip_scores.anchors(CLIPS[:8], CLIPS[8:])
        score = clip_scores.ClipScores(CLIPS[:8])
        return kinds, {name: score(some) for name, some in kinds.items()}, metrics.features(
            CLIPS[:, 0])

    (kinds, scores, found), _ = on_device(work)
    expected = work()
    for name, clips in kinds.items():
        assert np.abs(clips.astype(int) - expected[0][name]).max() <= 1
        assert scores[name] == pytest.approx(expected[1][name], rel=1e-2, abs=1e-2)
    close(found, expected[2], 1e-5)


# -------------------------------------------------------------------------- operations and devices

@pytest.mark.parametrize("name, function, _, args", OPERATIONS.CASES, ids=OPERATIONS.IDS)
def test_an_operation(name, function, _, args):
    """Its values and its derivatives of two orders."""
    expected = [tensor.data for tensor in derivatives(function, args)]
    found, _ = on_device(lambda: [
        tensor.numpy() for tensor in derivatives(function, [ldf.asarray(a) for a in args])])
    for one, other in zip(found, expected, strict=True):
        close(one, other, 1e-10)


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("a", [0.0, np.float32(0), VECTORS * 2])
def test_masks_of_either_kind(there, a):
    mask = VECTORS > 0

    def work():
        where = ldf.asarray(mask) if there else mask
        return ldf.where(where, ldf.asarray(a) if np.ndim(a) else a, ldf.asarray(VECTORS)).numpy()

    np.testing.assert_array_equal(on_device(work)[0], np.where(mask, a, VECTORS))


def test_products_on_the_emulator():
    """What runs on NumPy elsewhere, here as the kernel that it is."""
    def work():
        ali = nets.small_ali(8, latent_size=2)
        return ali.sample(2, ldf.Generator(0)), ali.encode(CLIPS[:2, 0])

    with cupy_double.double(emulated=True):
        found = work()
    for one, other in zip(found, work(), strict=True):
        close(one, other, 1e-4)
    assert cupy_double.RawModule.emulator.launched["conv_transpose2d"]


def test_arrays_move_between_devices():
    def work():
        assert ldf.use("auto") == ldf.device() == "cuda"
        x = Tensor(ldf.asarray(VECTORS))
        assert type(x.data).__module__ == "cupy" and x.numpy().dtype == np.float32
        np.testing.assert_array_equal(ldf.to_numpy(copy.deepcopy(x).data), VECTORS)
        np.testing.assert_array_equal(ldf.to_numpy(from_dlpack(x.data)), VECTORS)
        assert "float32" in repr(x) and float((x * 0).sum().data) == 0
        held = x.data
        ldf.use("cpu")
        np.testing.assert_array_equal(ldf.asarray(held), VECTORS)
        assert nn.Embedding(5, 3, rng=ldf.Generator(0))(np.array([0, 1])).shape == (2, 3)

    on_device(work)
    assert "cupy" not in sys.modules and ldf.device() == "cpu"


# --------------------------------------------------------------------------------- what it notices

HOST, SCALAR = np.ones(3, np.float32), np.ones((), np.float32)
REFUSED = {
    "an operand": (lambda cupy, x: x + HOST, "Unsupported type"),
    "an operand of no axes": (lambda cupy, x: cupy.maximum(x, SCALAR), "Unsupported type"),
    "the other way round": (lambda cupy, x: HOST * x, "Unsupported type"),
    "a mask": (lambda cupy, x: cupy.where(HOST > 0, x, x), "Unsupported type"),
    "out=": (lambda cupy, x: np.add(x, x, out=HOST), "Unsupported type"),
    "fill": (lambda cupy, x: x.__setitem__(slice(2), HOST[:2]), "non-scalar numpy.ndarray"),
    "conversion": (lambda cupy, x: np.asarray(x), "Implicit conversion"),
    "a function": (lambda cupy, x: cupy.nanargpartition(x), "has no attribute"),
    "a method": (lambda cupy, x: x.cumulative(), "has no attribute"),
    "a parameter": (lambda cupy, x: cupy.sum(x, initial=0), "unexpected arguments"),
    "a parameter of a method": (lambda cupy, x: x.sum(where=x > 0), "unexpected arguments"),
    "too many": (lambda cupy, x: x.sum(0, None, None, False, 0), "unexpected arguments"),
}
READ = {
    "a number": lambda cupy, x: float(x[0]), "a truth": lambda cupy, x: bool((x > 0).all()),
    "an item": lambda cupy, x: x[0].item(), "a copy": lambda cupy, x: x.get(),
    "from the host": lambda cupy, x: cupy.asarray(HOST), "an index": lambda cupy, x: x[[0, 1]],
    "a mask": lambda cupy, x: x[x > 0], "a list": lambda cupy, x: cupy.stack([x, x]),
    "cuBLAS": lambda cupy, x: x @ x, "where": lambda cupy, x: cupy.where(x > 0),
    "to wait": lambda cupy, x: cupy.cuda.get_current_stream().synchronize(),
}


@pytest.mark.parametrize("function, sentence", REFUSED.values(), ids=REFUSED)
def test_what_cupy_refuses(function, sentence):
    with cupy_double.double() as cupy:
        with pytest.raises((TypeError, ValueError, AttributeError), match=sentence):
            function(cupy, cupy.ones(3, np.float32))


@pytest.mark.parametrize("function", READ.values(), ids=READ)
def test_what_cuda_refuses_while_it_records(function):
    with cupy_double.double() as cupy:
        x, stream = cupy.ones(3, np.float32), cupy.cuda.Stream(non_blocking=True)
        function(cupy, x)
        with stream:
            stream.begin_capture()
            with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="CaptureUnsupported"):
                function(cupy, x)
            with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="CaptureInvalidated"):
                stream.end_capture()


def test_what_is_recorded_is_done_later():
    with cupy_double.double() as cupy:
        x, stream = cupy.ones(3, np.float32), cupy.cuda.Stream(non_blocking=True)
        with stream:
            stream.begin_capture()
            y = x[1:] * 2 + np.float32(1)
            x += 1
            graph = stream.end_capture()
        assert np.isnan(y.get()).all() and float(x.sum()) == 3
        for expected in (3, 5):
            graph.launch(stream)
            assert (y.get() == expected).all()


@pytest.mark.parametrize("planted", [lambda x: float(x.data.sum()), lambda x: x + np.ones(4)])
def test_a_mistake_in_a_step_is_noticed(planted, monkeypatch):
    """Negative control: a model that waits for the host, or brings an array of NumPy's along."""
    step = type(tiny_ali())._step
    monkeypatch.setattr(type(tiny_ali()), "_step", lambda self, x, progress: [
        planted(Tensor(x)), step(self, x, progress)][1])
    with pytest.raises((RuntimeWarning, TypeError, ValueError),
                       match="recorded|Unsupported type|one device"):
        on_device(fit)
