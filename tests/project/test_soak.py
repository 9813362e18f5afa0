"""The short form of tests/tools/soak.py: over some hundred steps nothing that a step makes stays
alive. No times."""

import gc
import tracemalloc

import pytest
from soak import BYTES_A_STEP, SLACK, SLOWER, WINDOWS, judged, models, soak

import ldf_np as ldf
from ldf_np.autodiff.engine import Node, Tensor

STEPS = 100


@pytest.fixture(autouse=True)
def small_and_alone():
    """One thread, and a garbage collector that does not look again at what was there before the
    test."""
    ldf.set_num_threads(1)
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    ldf.set_num_threads(2)


def alive():
    """Tensors and nodes that the program still reaches."""
    gc.collect()
    return sum(isinstance(o, (Tensor, Node)) for o in gc.get_objects())


def traced():
    """Bytes in use; what Python keeps of freed tuples and the like for the next ones is given back
    before."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def check_flat(model, x):
    counts, _ = soak(model, x, STEPS, alive)
    assert len(set(counts[1:])) == 1, f"live Tensors and nodes, window by window: {counts}"
    tracemalloc.start()
    try:
        sizes, _ = soak(model, x, STEPS, traced)
    finally:
        tracemalloc.stop()
    growth = (sizes[-1] - sizes[1]) / (STEPS * (WINDOWS - 2) / WINDOWS)
    assert growth < BYTES_A_STEP, f"{growth:.0f} bytes a step"


@pytest.mark.parametrize("name", models(0))
def test_nothing_stays(name):
    check_flat(*models(0)[name])


def leaking(name, what):
    """A model whose steps keep ``what(batch)`` of each batch, and its data."""
    model, x = models(0)[name]
    kept, step = [], model._step

    def leak(batch, progress):
        kept.append(what(batch))
        return step(batch, progress)

    model._step = leak
    return model, x


@pytest.mark.parametrize("name", models(0))
def test_a_tensor_that_stays_is_noticed(name):          # negative control
    with pytest.raises(AssertionError, match="live Tensors"):
        check_flat(*leaking(name, Tensor))


def test_bytes_that_stay_are_noticed():                 # negative control: no Tensor, only memory
    with pytest.raises(AssertionError, match="bytes a step"):
        check_flat(*leaking("GAN", lambda batch: bytes(2 * BYTES_A_STEP)))


def test_the_verdict_of_a_long_soak():
    memory, seconds = [100 << 20] * WINDOWS, [1e-3] * WINDOWS
    assert judged(memory, seconds, 1000)[1] == []
    grown = [*memory[:-1], memory[0] + 1000 * BYTES_A_STEP + SLACK + 1]
    assert "memory grew" in judged(grown, seconds, 1000)[1][0]
    slower = [*seconds[:-2], 1.1e-3 * SLOWER, 1.1e-3 * SLOWER]
    result, faults = judged(memory, slower, 1000)
    assert "1.65 times as long" in faults[0] and result["growth_bytes"] == 0
