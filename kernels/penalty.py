"""The sums of a gradient penalty: one number a sample over all other axes, and the forms that
differentiate it.

    T(s, a, b) = sum over n, m of s[n] a[n, m] b[n, m]

    row_dots = dT/ds        scale_rows = dT/da = dT/db
"""

import numpy as np

from . import cuda
from .cuda import on_device
from .elementwise import in_float32, sigmoid

THREADS = 256       # of a block in penalty.cu: one row


@in_float32
def row_dots(a, b, logits=None, signs=None, before=None):
    """before[n] + weight[n] * sum over all but the first axis of a b: (n,).

    ``logits`` and ``signs`` (n,): the weight is sigma(sign * logit)^2 (Roth et al. 2017), else 1.
    ``before`` (n,), else 0.
    """
    if on_device(a, b):
        return _launch_row_dots(a, b, logits, signs, before)
    sums = np.einsum("nm,nm->n", *(x.reshape(len(x), x.size // max(1, len(x))) for x in (a, b)))
    if logits is not None:
        sums *= sigmoid(logits * signs) ** 2
    return sums if before is None else before + sums


def scale_rows(x, s):
    """(n, ...) times s (n,)."""
    if on_device(x, s):
        x, s = cuda.same_dtype(x, s)
        columns = x.size // max(1, len(x))
        return cuda.over_elements("penalty.cu", "scale_rows", x, (x, s), np.int32(columns))
    return x * s.reshape(-1, *[1] * (x.ndim - 1))


def _launch_row_dots(a, b, logits, signs, before):
    a, b, logits, signs, before = cuda.same_dtype(a, b, logits, signs, before)
    out = cuda.empty((len(a),), a)
    if len(a):
        cuda.launch("penalty.cu", "row_dots", (len(a),), (THREADS,),
                    (a, b, logits, signs, before, out, np.int32(a.size // len(a))),
                    THREADS * a.dtype.itemsize, REAL=cuda.real(a))
    return out
