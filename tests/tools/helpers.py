"""What several test files share: programs as modules, random numbers, networks as functions of
their parameters, a tiny ALI."""

import importlib.util
import signal
import tracemalloc
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np

import ldf_np as ldf
from ldf_np import nn
from ldf_np.models.ali import ALI, Decoder, Discriminator, Encoder
from ldf_np.training import checkpoint

CHECKOUT = Path(__file__).resolve().parents[2]


def load_program(path):
    """A program of the checkout ("demos/memory.py") as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, CHECKOUT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def verdicts(entries):
    """Those of the claims among ``entries``; the others are described."""
    return [entry["verdict"] for entry in entries if "verdict" in entry]


def attempt(call):
    """(the error that a call raises or None, what came of it as a text, the bytes that it took
    until then)."""
    tracemalloc.start()
    try:
        return None, f"returned {call()!r:.200}", tracemalloc.get_traced_memory()[1]
    except Exception as error:
        taken = tracemalloc.get_traced_memory()[1]
        return error, f"{type(error).__name__}: {error} ({taken:,} bytes)", taken
    finally:
        tracemalloc.stop()


@contextmanager
def ctrl_c(step):
    """A context in which Ctrl-C comes to the training that takes this step, of all that keep
    checkpoints."""
    taken, before = [], signal.signal(signal.SIGINT, signal.default_int_handler)
    after_step = checkpoint.CheckpointWriter.after_step

    def interrupted(writer):
        taken.append(1)
        if len(taken) == step:
            signal.raise_signal(signal.SIGINT)
        after_step(writer)

    with patch.object(checkpoint.CheckpointWriter, "after_step", interrupted):
        yield
    signal.signal(signal.SIGINT, before)


def values(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def in_parts(function, parts, *arrays):
    """What ``function(*arrays, over_ranks)`` makes of each of ``parts`` equal shards of the arrays'
    rows, with one exchange of means between them: a list."""
    shards = list(zip(*(np.split(a, parts) for a in arrays), strict=True))
    own = []
    for shard in shards:
        function(*shard, lambda means: own.append(means) or means)
    return [function(*shard, lambda _: sum(own) / parts) for shard in shards]


def doubled(module):
    """The module with float64 parameters and buffers, for gradient checks."""
    for _, holder in [*module.named_parameters(), *module.named_buffers()]:
        holder.data = holder.data.astype(np.float64)
    return module


def of_parameters(module, compute):
    """``compute(*inputs)``, which uses the module, as a function f(*inputs, *parameters) for
    check_grads."""
    places = [(owner, name, value) for _, owner in module.named_modules()
              for name, value in vars(owner).items() if isinstance(value, nn.Parameter)]

    def function(*tensors):
        count = len(tensors) - len(places)
        inputs, stand_ins = tensors[:count], tensors[count:]
        try:
            for (owner, name, _), stand_in in zip(places, stand_ins, strict=True):
                setattr(owner, name, stand_in)
            return compute(*inputs)
        finally:
            for owner, name, parameter in places:
                setattr(owner, name, parameter)

    return function


def tiny_ali(size=4, hidden=6, latent=2, stochastic=False, seed=0, **settings):
    """ALI on vectors of ``size`` numbers."""
    rng = ldf.Generator(seed)
    numbers = 2 * latent if stochastic else latent
    encoder = Encoder(
        nn.Sequential(nn.Linear(size, hidden, bias=False, rng=rng), nn.BatchNorm(hidden)),
        nn.Sequential(nn.LeakyReLU(0.1), nn.Linear(hidden, numbers, rng=rng)), stochastic)
    decoder = Decoder(
        nn.Sequential(nn.Linear(latent, hidden, bias=False, rng=rng), nn.BatchNorm(hidden)),
        nn.Sequential(nn.LeakyReLU(0.1), nn.Linear(hidden, size, rng=rng)))
    discriminator = Discriminator(
        nn.Sequential(nn.Linear(size, 8, rng=rng), nn.LeakyReLU(0.1)),
        nn.Linear(latent, 8, rng=rng),
        nn.Sequential(nn.Linear(16, 8, rng=rng), nn.LeakyReLU(0.1), nn.Linear(8, 1, rng=rng)))
    return ALI(encoder, decoder, discriminator, latent, seed=seed + 1, **settings)


def weights(model):
    """All parameters and buffers of a model in one array."""
    return np.concatenate([array.ravel() for array in model.state_dict().values()])
