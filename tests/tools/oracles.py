"""Convolutions, normalisation and penalties against plain loops in float64, to the second order.

    python tests/tools/oracles.py --cases 20000 --seed 1        two minutes on one core

A case is a random geometry, a random dtype (float16, float32, float64, of either byte order) and a
random layout in memory of each array. Value, first and second derivatives (those with respect to
the cotangent included) are compared with what is written out here, which calls nothing of ldf_np.
The exit status is 1 where one of them is wrong. The suite has a short form,
tests/autodiff/test_oracles.py.
"""

import argparse
import sys

import numpy as np

import ldf_np as ldf
from ldf_np.autodiff import conv, norm
from ldf_np.autodiff.engine import Tensor, grad
from ldf_np.nn.penalty import penalized_logits

DTYPES = ("f2", "f4", "f8", ">f2", ">f4", ">f8")
# Largest error, by the bytes of the coarsest dtype, in units of the scale of each result: the same
# sums of absolute values. That of the fast lowering of float32 is larger.
BOUNDS, FAST_BOUND = {2: 2e-3, 4: 1e-6, 8: 5e-15}, 1e-5
PENALTY_BOUNDS = {2: 1e-2, 4: 3e-6, 8: 1e-14}


# --------------------------------------------------------------------------------- arrays in memory

def _reversed(a, rng):
    index = tuple(slice(None, None, -1) if rng.random() < 0.6 else slice(None) for _ in a.shape)
    return np.ascontiguousarray(a[index])[index]


def _strided(a, rng):
    axis = rng.integers(a.ndim)
    return np.moveaxis(np.repeat(np.moveaxis(a, axis, 0), 3, 0)[1::3], 0, axis)


def _broadcast(a, rng):
    """Zero strides: the first of one axis stands for all. Only this layout changes the values."""
    axis = rng.integers(a.ndim)
    first = a[(slice(None),) * axis + (slice(0, 1),)]
    return np.broadcast_to(first, a.shape) if a.size else a


def _read_only(a, rng):
    a = a.copy()
    a.flags.writeable = False
    return a


def _transposed(a, rng):
    axes = rng.permutation(a.ndim)
    return np.ascontiguousarray(a.transpose(axes)).transpose(np.argsort(axes))


def _unaligned(a, rng):
    memory = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    memory[...] = a
    return memory


LAYOUTS = {"C": lambda a, rng: np.ascontiguousarray(a), "Fortran": lambda a, _: a.copy(order="F"),
           "reversed": _reversed, "strided": _strided, "broadcast": _broadcast,
           "read-only": _read_only, "transposed": _transposed, "unaligned": _unaligned}


class Arrays:
    """The random arrays of a case: their dtypes and layouts, and what they were before the case."""

    def __init__(self, rng):
        self.rng, self.made = rng, []
        self.common = rng.choice(DTYPES) if rng.random() < 0.75 else None

    def new(self, name, shape, dtype=None, grid=False):
        """N(0, 1) of this shape, in a random layout; with ``grid`` the multiples of 1/4 near
        that."""
        dtype = np.dtype(dtype or self.common or self.rng.choice(DTYPES))
        values = self.rng.standard_normal(shape)
        values = (np.round(4 * values) / 4 if grid else values).astype(dtype)
        layout = self.rng.choice(list(LAYOUTS)) if shape else "C"
        array = LAYOUTS[layout](values, self.rng) if shape else values
        self.made.append((name, layout, array, np.array(array, np.float64)))
        return array

    def coarsest(self):
        """The bytes of the coarsest dtype."""
        return min(array.itemsize for _, _, array, _ in self.made)

    def check_unchanged(self):
        for name, _, array, before in self.made:
            assert (array == before).all(), f"{name} was changed in place"

    def __str__(self):
        return "; ".join(f"{name} {array.dtype.str}{list(array.shape)} {layout}"
                         for name, layout, array, _ in self.made)


def exact(a):
    """An array of any layout as a new float64 array in C order."""
    return np.array(a, np.float64, order="C")


def compare(name, got, expected, scale, bound, like=None):
    """AssertionError unless ``got`` is ``expected`` up to ``bound`` times ``scale``, and has the
    dtype of ``like`` (in any byte order)."""
    assert got.shape == expected.shape, f"{name}: shape {got.shape}, expected {expected.shape}"
    if like is not None:
        assert got.dtype.name == like.dtype.name, f"{name}: {got.dtype}, expected {like.dtype}"
    if not expected.size:
        return
    error = np.abs(exact(got) - expected).max()
    allowed = bound * np.max(scale)
    assert error <= allowed, f"{name}: error {error:.2e}, allowed {allowed:.2e}"


def random_tensors(arrays, like):
    """Cotangents for results like these arrays or Tensors, of their dtypes and in random
    layouts."""
    return [arrays.new(f"cotangent {k}", a.shape, a.dtype) for k, a in enumerate(like)]


# ------------------------------------------------------------------------------------- convolutions

class Geometry:
    """T(x, w, y) = sum over n,i,j,u,v,c,o of x[n, i*s+u-p, j*s+v-p, c] w[u,v,c,o] y[n,i,j,o], and
    its derivatives in each argument by loops over i, j, u and v."""

    def __init__(self, rng):
        self.stride, self.padding = self._pair(rng, 1, 4), self._pair(rng, 0, 4)
        self.kernel = self._pair(rng, 1, 5)
        self.size = tuple(
            int(rng.integers(max(self.kernel[a] - 2 * self.padding[a], rng.random() > 0.1),
                             max(self.kernel[a] + 1, 8))) for a in (0, 1))
        self.out = tuple((self.size[a] + 2 * self.padding[a] - self.kernel[a]) // self.stride[a] + 1
                         for a in (0, 1))
        self.n = int(rng.choice([0, 1, 2, 3, 8, 9], p=[0.06, 0.2, 0.2, 0.14, 0.2, 0.2]))
        self.c, self.o = (int(rng.choice([0, 1, 2, 3, 8], p=[0.04, 0.26, 0.26, 0.24, 0.2]))
                          for _ in range(2))
        self.shapes = {"x": (self.n, *self.size, self.c), "w": (*self.kernel, self.c, self.o),
                       "y": (self.n, *self.out, self.o)}

    @staticmethod
    def _pair(rng, least, end):
        return tuple(map(int, rng.integers(least, end, 2)))

    def __str__(self):
        return (f"size {self.size}, kernel {self.kernel}, stride {self.stride}, padding "
                f"{self.padding}")

    def face(self, hole, **given):
        """dT/d(hole) at the two given arrays, float64."""
        out = np.zeros(self.shapes[hole])
        x, w, y = (given.get(name, out) for name in "xwy")
        for i in range(self.out[0]):
            for j in range(self.out[1]):
                for u in range(self.kernel[0]):
                    for v in range(self.kernel[1]):
                        h = i * self.stride[0] + u - self.padding[0]
                        k = j * self.stride[1] + v - self.padding[1]
                        if not (0 <= h < self.size[0] and 0 <= k < self.size[1]):
                            continue
                        if hole == "x":
                            out[:, h, k] += np.einsum("no,co->nc", y[:, i, j], w[u, v])
                        elif hole == "w":
                            out[u, v] += np.einsum("nc,no->co", x[:, h, k], y[:, i, j])
                        else:
                            out[:, i, j] += np.einsum("nc,co->no", x[:, h, k], w[u, v])
        return out


def check_convolution(rng, hole):
    """conv2d (hole y), conv_transpose2d (x) or conv2d_weight (w), with bias and slope at times."""
    form, arrays = Geometry(rng), Arrays(rng)
    a, b = {"y": "xw", "x": "yw", "w": "xy"}[hole]
    slope = float(rng.choice([0.25, 0.5])) if hole != "w" and rng.random() < 0.3 else 1.0
    fused = slope != 1 or hole != "w" and rng.random() < 0.3
    settings = {"stride": form.stride, "padding": form.padding}
    # On the grid no sum is rounded: the sign of each is known, and with this bias none is 0.
    inputs = [arrays.new(name, form.shapes[name], grid=slope != 1) for name in (a, b)]
    if fused:
        bias = arrays.new("bias", form.shapes[hole][-1:], grid=True)
        if slope != 1:
            bias = (exact(bias) + 1 / 32).astype(bias.dtype)
        inputs.append(bias)
        settings |= {"slope": slope}
    case = f"dT/d{hole}, {form}, slope {slope}: {arrays}"
    try:
        _check_convolution(form, arrays, hole, a, b, inputs, slope, settings)
    except Exception as error:
        raise AssertionError(f"{case}: {type(error).__name__}: {error}") from error


def _check_convolution(form, arrays, hole, a, b, inputs, slope, settings):
    tensors = [Tensor(i) for i in inputs]
    extra = {"bias": tensors[2]} if len(tensors) > 2 else {}
    if hole == "w":
        value = conv.conv2d_weight(*tensors, form.kernel, **settings)
    elif hole == "x":
        value = conv.conv_transpose2d(*tensors[:2], output_size=form.size, **settings, **extra)
    else:
        value = conv.conv2d(*tensors[:2], **settings, **extra)
    g = arrays.new("cotangent", value.shape, value.dtype)
    G = Tensor(g)
    first = grad(value, tensors, G, create_graph=True)
    p = random_tensors(arrays, first)
    inner = sum(((f * Tensor(q)).sum() for f, q in zip(first, p)), Tensor(np.zeros(())))
    second = grad(inner, [*tensors, G], allow_unused=True)
    arrays.check_unchanged()

    bound = BOUNDS[arrays.coarsest()]
    if form.n >= 8 and bound == BOUNDS[4]:
        bound = FAST_BOUND

    def derivatives(inputs, g, p, slopes=None):
        """Value, first and second derivatives of the written-out form."""
        A, B, *bias = inputs
        of_value = form.face(hole, **{a: A, b: B})
        if bias:
            of_value = of_value + bias[0]
        if slopes is None:
            slopes = np.where(of_value > 0, 1.0, slope)
        pulled = g * slopes
        of_first = [form.face(a, **{b: B, hole: pulled}), form.face(b, **{a: A, hole: pulled})]
        back = form.face(hole, **{a: p[0], b: B}) + form.face(hole, **{a: A, b: p[1]})
        of_second = [form.face(a, **{b: p[1], hole: pulled}),
                     form.face(b, **{a: p[0], hole: pulled})]
        if bias:
            of_first.append(pulled.sum((0, 1, 2)))
            of_second.append(np.zeros(bias[0].shape))
            back = back + p[2]
        return [of_value * slopes, *of_first, *of_second, back * slopes]

    inputs, g, p = [exact(i) for i in inputs], exact(g), [exact(q) for q in p]
    expected = derivatives(inputs, g, p)
    scales = derivatives([np.abs(i) for i in inputs], np.abs(g), [np.abs(q) for q in p], 1.0)
    names = ["value", *(f"first {k}" for k in range(len(tensors))),
             *(f"second {k}" for k in range(len(tensors))), "second of the cotangent"]
    likes = [None, *tensors, *tensors, G]
    for name, got, right, scale, like in zip(names, [value, *first, *second], expected, scales,
                                             likes, strict=True):
        compare(name, got.data, right, scale if scale.size else 0, bound, like)


# ------------------------------------------------------------------------------------ normalisation

def normalized(x, g, h, eps):
    """Batch normalisation of one channel x (m,) by its Jacobian J: y, mean, variance, g J, and the
    derivatives of g J h with respect to g and x."""
    m = len(x)
    mean = x.sum() / m
    var = ((x - mean) ** 2).sum() / m
    r = (var + eps) ** -0.5
    y = (x - mean) * r
    J = r * (np.eye(m) - 1 / m - np.outer(y, y) / m)            # dy_k / dx_l, symmetric
    # dr/dx_l = -r^2 y_l / m and dy_k/dx_l = J_kl in each place of r and y in J
    of_x = -r / m * (y * (g @ J @ h) + (g @ J) * (y @ h) + (J @ h) * (g @ y))
    return y, mean, var, g @ J, J @ h, of_x, r


def check_normalisation(rng):
    arrays = Arrays(rng)
    axes = int(rng.integers(1, 4))
    shape = *map(int, rng.integers(rng.random() > 0.1, (30, 7, 4)[axes - 1], axes)), int(
        rng.choice([0, 1, 2, 3, 5], p=[0.05, 0.25, 0.25, 0.25, 0.2]))
    eps = float(10 ** rng.uniform(-5, -1))
    x = arrays.new("x", shape)
    try:
        _check_normalisation(arrays, x, eps)
    except Exception as error:
        raise AssertionError(f"normalize, eps {eps:.2g}: {arrays}: {type(error).__name__}: "
                             f"{error}") from error


def _check_normalisation(arrays, x, eps):
    X = Tensor(x)
    y, mean, var = norm.normalize(X, eps)
    G = Tensor(arrays.new("cotangent", x.shape, y.dtype))
    first = grad(y, X, G, create_graph=True)
    h, = random_tensors(arrays, [first])
    of_x, of_g = grad((first * Tensor(h)).sum(), [X, G])
    arrays.check_unchanged()
    bound = BOUNDS[arrays.coarsest()]
    channels = [exact(a).reshape(-1, x.shape[-1] or 1).T if a.size else np.zeros((x.shape[-1], 0))
                for a in (x, G.data, h)]
    for c in range(x.shape[-1] if x.size else 0):
        rows, g, h = (a[c] for a in channels)
        right = normalized(rows, g, h, eps)
        r, size = right[-1], np.abs(right[0]).max() + 1
        wide = 1 + r * np.abs(rows).max()       # what a rounding of x does to y
        scale = r * np.abs(g).max() * size ** 2 * wide
        scales = [wide, np.abs(rows).max(), np.abs(rows).max() ** 2, scale,
                  r * np.abs(h).max() * size ** 2 * wide, r * np.abs(h).max() * size * scale]
        for name, got, expected, unit in zip(
                ("y", "mean", "var", "first", "second of the cotangent", "second of x"),
                (y, mean, var, first, of_g, of_x), right, scales):
            got = got.data if isinstance(got, Tensor) else got
            got = exact(got).reshape(-1, x.shape[-1])[:, c] if got.ndim > 1 else got[c]
            compare(f"{name}, channel {c}", got, np.asarray(expected), unit, bound)
    for got in (first, of_x):
        assert got.dtype == x.dtype and got.shape == x.shape
    assert mean.shape == var.shape == x.shape[-1:] and np.isfinite(mean).all()


# ---------------------------------------------------------------------------------------- penalties

def penalty(kind, W, a, real, fake, t, rounded=1.0):
    """The penalty of the logits a . tanh(x W), and its gradients with respect to real or complex W
    (m, k) and a (k,), all written out. tanh is multiplied by ``rounded``."""
    value, of_W, of_a = 0, 0, 0
    for x, sign in {"r1": [(real, -1)], "wgan-gp": [(fake + t[:, None] * (real - fake), 0)]}.get(
            kind, [(real, -1), (fake, 1)]):
        hidden = np.tanh(x @ W) * rounded
        bent = 1 - hidden ** 2
        gradients = (bent * a) @ W.T                    # d logit_n / d x_n
        norms = (gradients ** 2).sum(1)
        terms, by_norm, by_logit = norms, np.ones(len(x)), np.zeros(len(x))
        if kind == "roth":
            weight = 1 / (1 + np.exp(-sign * (hidden @ a)))
            terms, by_norm = weight ** 2 * norms, weight ** 2
            by_logit = 2 * sign * weight ** 2 * (1 - weight) * norms
        elif kind == "wgan-gp":
            root = np.sqrt(norms + 1e-12)
            terms, by_norm = (root - 1) ** 2, 1 - 1 / root
        by_norm, by_logit, back = by_norm[:, None], by_logit[:, None], gradients @ W
        value = value + terms.mean()
        of_a = of_a + (by_logit * hidden + 2 * by_norm * bent * back).mean(0)
        through = by_logit * bent * a - 4 * by_norm * back * a * hidden * bent
        of_W = of_W + (x.T @ through + 2 * gradients.T @ (by_norm * bent * a)) / len(x)
    return value, of_W, of_a


def check_penalty(rng):
    arrays, kind = Arrays(rng), str(rng.choice(["roth", "unweighted", "r1", "wgan-gp"]))
    n, k = (int(i) for i in rng.integers(1, (6, 5)))
    shape = tuple(map(int, rng.integers(1, 4, rng.integers(1, 4))))
    seed = int(rng.integers(100))
    real, fake = (arrays.new(name, (n, *shape)) for name in ("real", "fake"))
    W, a = arrays.new("W", (int(np.prod(shape)), k)), arrays.new("a", (k, 1))
    try:
        _check_penalty(arrays, kind, real, fake, W, a, seed)
    except Exception as error:
        raise AssertionError(f"{kind}: {arrays}: {type(error).__name__}: {error}") from error


def _check_penalty(arrays, kind, real, fake, W, a, seed):
    weights = [Tensor(W), Tensor(a)]

    def discriminator(x):
        return ldf.tanh(ldf.reshape(x, (len(x), -1)) @ weights[0]) @ weights[1]

    value = penalized_logits(discriminator, [real], [fake], kind, ldf.Generator(seed))[2]
    C = Tensor(arrays.new("cotangent", (), value.dtype))
    first = grad(value, weights, C, create_graph=True)
    p = random_tensors(arrays, first)
    second = grad(sum((f * Tensor(q)).sum() for f, q in zip(first, p)), [*weights, C])
    arrays.check_unchanged()

    t = exact(ldf.Generator(seed).random((len(real),)))
    given = [exact(i).reshape(len(i), -1) for i in (real, fake)]
    given += [exact(W), exact(a)[:, 0], exact(p[0]), exact(p[1])[:, 0], np.ones(len(a))]
    expected = penalty_results(kind, t, float(C.data), *given)
    # How far roundings of what is given and of tanh move the results says how far others may. (And
    # float16 counts small numbers by 6e-8.)
    noise, scales = np.random.default_rng(0), [np.array(np.abs(e) + 1e-4) for e in expected]
    for _ in range(3):
        moved = [i * (1 + 1e-3 * noise.uniform(-1, 1, i.shape)) for i in given]
        for scale, there, here in zip(
                scales, penalty_results(kind, t, float(C.data), *moved), expected, strict=True):
            scale += np.abs(there - here) / 1e-3
    names = "value", "first of W", "first of a", "second of W", "second of a", "of the cotangent"
    for name, got, right, scale, like in zip(names, [value, *first, *second], expected, scales,
                                             [C, *weights, *weights, C], strict=True):
        compare(name, got.data, right.reshape(like.shape), scale,
                PENALTY_BOUNDS[arrays.coarsest()], like)


def penalty_results(kind, t, c, real, fake, W, a, along_W, along_a, rounded):
    """The penalty, c times its gradients, the derivatives of these along a direction (by a complex
    step, exact to rounding), and what multiplies c in it."""
    value, *gradients = penalty(kind, W, a, real, fake, t, rounded)
    _, *stepped = penalty(kind, W + 1e-30j * along_W, a + 1e-30j * along_a, real, fake, t, rounded)
    return [np.array(value), *(c * g for g in gradients), *(c * g.imag / 1e-30 for g in stepped),
            np.vdot(gradients[0], along_W) + np.vdot(gradients[1], along_a)]


# -------------------------------------------------------------------------------------------- cases

KINDS = {"conv2d": lambda rng: check_convolution(rng, "y"),
         "conv_transpose2d": lambda rng: check_convolution(rng, "x"),
         "conv2d_weight": lambda rng: check_convolution(rng, "w"),
         "normalize": check_normalisation,
         "penalty": check_penalty}


def check_case(kind, number, seed=0):
    """One random case of a kind. Raises AssertionError with its geometry, dtypes and layouts."""
    KINDS[kind](np.random.default_rng([seed, list(KINDS).index(kind), number]))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=300, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.cases < 1:
        parser.error(f"--cases: expected at least 1, got {options.cases}")
    ldf.use("cpu")
    kinds, faults = list(KINDS), 0
    for number in range(options.cases):
        kind = kinds[number % len(kinds)]
        try:
            check_case(kind, number // len(kinds), options.seed)
        except AssertionError as error:
            faults += 1
            if faults <= 20:
                print(f"{kind} {number // len(kinds)}, seed {options.seed}: {error}", flush=True)
    print(f"{options.cases} cases of seed {options.seed}: {faults} wrong")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
