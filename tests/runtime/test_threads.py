"""Two computations side by side: both results, both errors, and the same bits on one thread and on
two."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import threadpoolctl
from helpers import tiny_ali, values, weights

import ldf_np as ldf
from ldf_np.models.ali import ALI
from ldf_np.runtime import threads as side_threads
from ldf_np.runtime.threads import set_num_threads, side_by_side
from ldf_np.training.batches import apply_batched


@pytest.fixture(params=[1, 2], autouse=True)
def count(request):
    set_num_threads(request.param)
    yield request.param
    set_num_threads(min(2, side_threads.cores()))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are not chosen here")
def test_a_process_that_may_use_one_core_uses_one_thread():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); " \
           "from ldf_np.runtime import threads; print(threads.num_threads())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "1"
    assert side_threads.cores() == len(os.sched_getaffinity(0))


def test_both_results_in_order(count):
    names = side_by_side(threading.get_ident, threading.get_ident)
    assert len(set(names)) == count
    assert len(set(side_by_side(threading.get_ident, threading.get_ident, ordered=True))) == 1
    assert side_by_side(lambda: "first", lambda: "second") == ("first", "second")


def test_an_error_in_either_comes_through_and_nothing_runs_on():
    done = []
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda: 1 / 0, lambda: done.append(time.sleep(0.02)))
    with pytest.raises(KeyError):
        side_by_side(lambda: None, lambda: {}["absent"])
    assert side_by_side(lambda: 1, lambda: 2) == (1, 2) and len(done) <= 1


@pytest.mark.parametrize("nested", [
    lambda: side_by_side(lambda: 1, lambda: side_by_side(lambda: 2, lambda: 3)),
    lambda: side_by_side(lambda: side_by_side(lambda: 1, lambda: 2), lambda: 3),
    lambda: side_by_side(lambda: 1, lambda: side_by_side(
        lambda: side_by_side(lambda: 2, lambda: 3), lambda: 4))])
def test_nested_calls_end(nested):
    """In a thread of its own, so that one that waits for ever fails and does not hang the suite."""
    found = []
    caller = threading.Thread(target=lambda: found.append(nested()), daemon=True)
    caller.start()
    caller.join(20)
    flat = str(found).replace("(", "").replace(")", "")
    assert flat in ("[1, 2, 3]", "[1, 2, 3, 4]")


def test_inner_calls_are_computed_by_their_caller():
    idents = side_by_side(lambda: (threading.get_ident(),
                                   *side_by_side(*[threading.get_ident] * 2)),
                          lambda: (threading.get_ident(),
                                   *side_by_side(*[threading.get_ident] * 2)))
    assert all(len(set(some)) == 1 for some in idents)


def test_a_discriminator_may_encode_in_batches():
    """What runs in one of the two may itself go through data in batches."""
    model = tiny_ali()
    forward, x = model.discriminator.forward, values(600, 4, dtype=np.float32)

    def looking(*inputs):
        assert len(model.encode(x)) == 600
        model.train()
        return forward(*inputs)

    model.discriminator.forward = looking
    assert model.fit(values(64, 4, dtype=np.float32), steps=2, batch_size=16).steps == 2


def test_no_grad_reaches_both_threads():
    x = ldf.Tensor(values(3))
    with ldf.no_grad():
        assert [y.node for y in side_by_side(lambda: x * 2, lambda: x * 2)] == [None, None]
    assert all(y.node for y in side_by_side(lambda: x * 2, lambda: x * 2))


def test_the_number_of_threads_is_one_or_two():
    for wrong in (0, 3, "two"):
        with pytest.raises(ValueError, match="expected 1 or 2 threads"):
            set_num_threads(wrong)


@pytest.mark.parametrize("penalty", ["roth", "wgan-gp"])
def test_one_thread_or_two_give_the_same_bits(penalty):
    x = values(64, 4, dtype=np.float32)

    def trained(seed=0):
        model = tiny_ali(penalty=penalty, stochastic=True, seed=seed)
        history = model.fit(x, steps=10, batch_size=16)
        return weights(model), history.losses

    here = trained()
    set_num_threads(1)
    alone = trained()
    np.testing.assert_array_equal(here[0], alone[0])
    assert here[1] == alone[1]
    # negative control: the comparison can fail
    assert not np.array_equal(here[0], trained(1)[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_process_has_a_thread_of_its_own():
    side_by_side(lambda: 1, lambda: 2)
    with warnings.catch_warnings():
        # that there are threads is the point
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        # were it to wait for a thread that it does not have, this ends it
        signal.alarm(10)
        os._exit(0 if side_by_side(lambda: 1, lambda: 2) == (1, 2) else 1)
    assert os.waitpid(child, 0)[1] == 0


def blas_threads():
    return {pool["num_threads"] for pool in threadpoolctl.threadpool_info()
            if pool["user_api"] == "blas"}


@pytest.mark.parametrize("act", [
    lambda note: tiny_ali().fit(values(8, 4, dtype=np.float32), steps=1, batch_size=4,
                                callback=lambda history: note()),
    lambda note: note.within(tiny_ali().step, values(8, 4, dtype=np.float32)),
    lambda note: apply_batched(lambda x: note() or x, np.ones((2, 3), np.float32))],
    ids=["fit", "step", "apply"])
def test_blas_does_not_fight_with_the_librarys_own_threads(act, monkeypatch):
    seen = []

    class Note:
        def __call__(self):
            seen.append(blas_threads())

        def within(self, step, x):
            monkeypatch.setattr(ALI, "_encoded", lambda self, x, own=ALI._encoded: (
                note(), own(self, x))[1])
            step(x)

    note = Note()
    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        if blas_threads() != {2}:
            pytest.skip("this BLAS has one thread only")
        act(note)
        assert seen and all(threads == {1} for threads in seen)
        assert blas_threads() == {2}        # what the caller had set


def test_what_computes_products_is_named(monkeypatch):
    found = [{"user_api": "openmp", "internal_api": "libgomp", "version": "1"},
             *[{"user_api": "blas", "internal_api": "openblas", "version": "0.3",
                "architecture": "Haswell"}] * 2,
             {"user_api": "blas", "internal_api": "mkl", "version": "2024"}]
    monkeypatch.setattr(side_threads, "threadpool_info", lambda: found)
    assert side_threads.blas() == "openblas 0.3 (Haswell)"
    monkeypatch.setattr(side_threads, "threadpool_info", list)
    assert side_threads.blas() == "unknown"


def test_a_blas_that_is_loaded_later_has_one_thread_too():
    """SciPy brings one of its own. In a process in which it is not loaded yet."""
    program = """
import sys
from threadpoolctl import threadpool_info, threadpool_limits
from ldf_np.runtime.threads import one_blas_thread

def counts():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

with one_blas_thread():
    pass
assert "scipy" not in sys.modules
import scipy.linalg
threadpool_limits(limits=2, user_api="blas")
print(counts())
with one_blas_thread():
    print(counts())
print(counts())
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    before, inside, after = map(json.loads, found.stdout.splitlines())
    assert set(inside) == {1} and before == after


def test_blas_has_its_threads_again_after_two_trainings_at_once():
    """Of two threads: the first to begin is the first to end."""
    begun, ended, counts = threading.Event(), threading.Event(), []

    def second():
        begun.wait(10)
        with side_threads.one_blas_thread():
            counts.append(blas_threads())
            begun.clear()
            ended.wait(10)

    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        before, other = blas_threads(), threading.Thread(target=second)
        other.start()
        with side_threads.one_blas_thread():
            begun.set()
            while begun.is_set():
                time.sleep(0.001)
        ended.set()
        other.join()
        assert counts == [{1}] and blas_threads() == before
