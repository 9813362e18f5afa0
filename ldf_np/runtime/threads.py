"""Two independent computations side by side: NumPy lets go of Python's lock inside its loops and
products.

BLAS's own threads gain little on matrices as small as these nets' and would fight with these two:
``one_blas_thread`` keeps BLAS to one, inside ``train``, ``step`` and ``apply_batched``.
"""

import contextvars
import functools
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController, threadpool_info

from .checks import is_whole
from .device import on_device
from .distributed import world
from .recording import recording


def cores():
    """The number of cores that this process may use (``taskset`` and containers may give it
    fewer than there are)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_count = min(2, cores())
_pool = None        # made when it is first needed
# of BLAS: its first limit, and how many there are, in all threads
_first, _limits, _lock = None, 0, threading.Lock()
_inside = contextvars.ContextVar("inside", default=False)   # whether both threads are in use


def _forget_pool():
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    # a forked process has the pool but not its thread
    os.register_at_fork(after_in_child=_forget_pool)


def set_num_threads(count):
    """Use one thread or two. Results do not depend on it, to the last bit."""
    global _count
    if not is_whole(count) or count not in (1, 2):
        raise ValueError(f"count: expected 1 or 2 threads, got {count!r}")
    _count = count


def num_threads():
    """How many threads are used, one or two."""
    return _count


def blas():
    """What computes products, and with which kernels: "openblas 0.3.31 (SkylakeX)", say. One that
    is told another processor (OPENBLAS_CORETYPE), or knows none like it, may take twice as long."""
    return ", ".join(sorted({f"{found['internal_api']} {found['version']} ({found['architecture']})"
                             for found in threadpool_info() if found["user_api"] == "blas"
                             and "architecture" in found})) or "unknown"


@functools.lru_cache(maxsize=1)
def _controller(modules):
    """Of the libraries that are loaded with so many modules."""
    return ThreadpoolController()


@contextmanager
def one_blas_thread():
    """A context, or a decorator, in which BLAS computes on the thread that calls it.

    Most of them have one setting for all threads: the last that is here puts back what the first
    has found. A library that is loaded later may bring a BLAS of its own, as SciPy does.
    """
    global _first, _limits
    with _lock:
        limit = _controller(len(sys.modules)).limit(limits=1, user_api="blas")
        _first, _limits = _first if _limits else limit, _limits + 1
    try:
        with limit:
            yield
    finally:
        with _lock:
            _limits -= 1
            if not _limits:
                _first.restore_original_limits()


@contextmanager
def in_turn():
    """A context in which ``side_by_side`` computes one after the other, on the caller's thread."""
    before = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(before)


def side_by_side(first, second, ordered=False):
    """(first(), second()): on two threads where two are in use, else, or where they must be
    ``ordered`` (both draw from one generator, say; or exchange something with other ranks), one
    after the other.

    The second thread sees the context of the caller: ``no_grad`` holds there, too. Inside of one of
    the two a further call computes one after the other, for both threads are in use.
    """
    global _pool
    if _count == 1 or ordered or _inside.get() or on_device() or world().size > 1:
        return first(), second()
    if recording():
        return recording().both(side_by_side, first, second)
    if _pool is None:
        _pool = ThreadPoolExecutor(1, thread_name_prefix="ldf_np")
    before = _inside.set(True)
    future = _pool.submit(contextvars.copy_context().run, second)
    try:
        result = first()
    finally:
        _inside.reset(before)
        future.exception()      # waits, also when first() fails: nothing runs on unseen
    return result, future.result()
