"""The ways to learn the covariance of a Gaussian object of blocks from samples (Section 3.2)."""

import numpy as np

from ..runtime.checks import checked, finite_array, instance, integer, positive, several
from ..runtime.random import numpy_generator
from .model import (
    METRICS,
    BlockModel,
    Covariance,
    autoregressive,
    block_diagonal,
    block_lags,
    errors,
)
from .theory import shrunk_strength


def _spectrum(x):
    """Eigenvectors and eigenvalues of the sample covariance of x (n, p), at most min(n, p) of them,
    largest first."""
    n, p = x.shape
    if n < p:  # the n x n Gram matrix has the same eigenvalues
        value, left = np.linalg.eigh(x @ x.T / n)
        value, left = value[::-1], left[:, ::-1]
        return x.T @ left / np.sqrt(np.maximum(value, 1e-300) * n), np.maximum(value, 0)
    value, vector = np.linalg.eigh(x.T @ x / n)
    return vector[:, ::-1], np.maximum(value[::-1], 0)     # 0 but for rounding


@checked(x=finite_array(least=2), sigma=positive)
def joint_estimates(x, sigma):
    """{"J0", "J1", "LW"}: three covariances from joint samples x (n, k, d), sharing one
    eigendecomposition.

    J0  the sample covariance.
    J1  PCA: keep what exceeds the noise's edge, at the Frobenius-optimal strength
        (Donoho-Gavish-Johnstone 2018).
    LW  Ledoit-Wolf 2004 with the mean known: (1-b) S + b m I, b estimated; the usual choice in
        practice.
    """
    x = np.asarray(x, float).reshape(len(x), -1)
    n, p = x.shape
    vector, value = _spectrum(x)
    gamma = p / n
    strength = shrunk_strength(value / sigma**2, gamma)
    keep = strength > 0
    mean = value.sum() / p
    spread = np.sum(value**2) - p * mean**2  # ||S - m I||_F^2
    # (1/n^2) sum_n ||x x' - S||_F^2
    noise = (np.mean(np.sum(x**2, axis=1) ** 2) - np.sum(value**2)) / n
    b = min(noise / spread, 1.0)
    return {
        "J0": Covariance(vector, value, 0.0),
        "J1": Covariance(vector[:, keep], sigma**2 * (1 + strength[keep]), sigma**2),
        "LW": Covariance(vector, (1 - b) * value + b * mean, b * mean),
    }


@checked(frames=finite_array("b, n, d"), r=integer(), sigma=positive)
def learn_blocks(frames, r, sigma):
    """The bottom level, of frames (b, n, d): W^ (b, d, r), shrunk strengths theta c^2, sample
    eigenvalues (b, r); b = 1 if W is shared."""
    n, d = frames.shape[1:]
    integer(1, d)("learn_blocks: r", r)
    frames = np.asarray(frames, float)
    S = frames.transpose(0, 2, 1) @ frames / n
    value, vector = np.linalg.eigh(S)
    value = np.maximum(value, 0)        # but for rounding
    value, vector = value[:, : -r - 1 : -1], vector[:, :, : -r - 1 : -1]
    return vector, sigma**2 * shrunk_strength(value / sigma**2, d / n), value


def encode(x, W):
    """Codes y_i = W_i' x_i of joint samples: (n, k, d) -> (n, k, r)."""
    return np.einsum("nia,iam->nim", x, np.broadcast_to(W, (x.shape[1],) + W.shape[1:]))


def align_codes(y, W):
    """Turn each block's latent axes to fit its left neighbour's (orthogonal Procrustes).

    Marginals fix the axes of a W of its own only up to a rotation; for r = 1 that is a sign.
    """
    y, W = y.copy(), W.copy()
    for i in range(1, y.shape[1]):
        left, _, right = np.linalg.svd(y[:, i].T @ y[:, i - 1])
        turn = left @ right
        y[:, i], W[i] = y[:, i] @ turn, W[i] @ turn
    return y, W


WIDEST = 9.0        # of atanh(rho) that is looked at: |rho| up to 1 - 3e-8


def fit_rho(T, a, noise=1.0):
    """Maximum likelihood of rho for codes of covariance a R(rho) + noise I, given their mean square
    T (k, k)."""
    k = len(T)
    lag = block_lags(k)

    def loss(u):  # -2/n log-likelihood on Fisher's scale u = atanh(rho)
        C = a * np.tanh(u)[:, None, None] ** lag + noise * np.eye(k)
        return np.linalg.slogdet(C)[1] + np.sum(np.linalg.inv(C) * T, axis=(1, 2))

    # the loss may have two minima: look everywhere, then closer
    centre, half, steps = 0.0, WIDEST, np.linspace(-1, 1, 73)
    for _ in range(3):
        u = centre + half * steps
        value = loss(u)
        best = int(np.clip(np.argmin(value), 1, len(u) - 2))
        centre, half, steps = u[best], u[1] - u[0], np.linspace(-1, 1, 33)
    left, middle, right = value[best - 1 : best + 2]
    bend = left - 2 * middle + right
    if bend > 0:  # the vertex of the parabola through the last three
        centre += np.clip(half * (left - right) / (2 * bend), -half, half)
    return float(np.tanh(centre))


def hierarchical_estimates(x, blocks, sigma, reused=False, deflate=True):
    """{"H0", "H-full", "H-par"}: blocks as `learn_blocks` found them, their dependence from joint
    samples x (n, k, d).

    H0      blocks independent: the marginals alone.
    H-full  a free (k r) x (k r) code covariance, from the joint samples' codes: the paper's
            "trainable upper level".
    H-par   code covariance theta c^2 R(rho) + sigma^2, rho by maximum likelihood: its "parametric
            model".

    `reused` says that the blocks were learned from x itself.  Then W^ has fitted their noise and
    the codes come out too large, variances and covariances alike, by (1 + gamma/theta)^2
    (asymptotic): in sample a direction has variance lambda = (1+theta)(1+gamma/theta), out of
    sample 1 + theta c^2 = (1+theta)/(1+gamma/theta); and across blocks, with the left cosine
    c_L^2 = (1-gamma/theta^2)/(1+1/theta), lambda c_L^2 R_ij against theta c^2 R_ij.  `deflate`
    divides the factor out.
    """
    n, k, d = x.shape
    W, strength, value = blocks
    r, unshared = W.shape[2], len(W) > 1
    scale = np.sqrt((strength + sigma**2) / value) if reused and deflate else np.ones_like(value)
    W, strength, scale = (np.broadcast_to(a, (k,) + a.shape[1:]) for a in (W, strength, scale))
    y = encode(x, W) * scale
    codes = y.reshape(n, k * r)
    basis = block_diagonal(W)
    found = {
        "H0": Covariance(basis, strength.ravel() + sigma**2, sigma**2),
        "H-full": Covariance(basis, codes.T @ codes / n, sigma**2),
    }
    if unshared:
        y, W = align_codes(y, W)
        basis = block_diagonal(W)
    a = float(strength.mean())
    T = np.einsum("nim,njm->ij", y, y) / (n * r)
    R = autoregressive(fit_rho(T, a, sigma**2), k) if a > 0 else np.eye(k)
    found["H-par"] = Covariance(basis, np.kron(a * R, np.eye(r)) + sigma**2 * np.eye(k * r),
                                sigma**2)
    return found


def enough_frames(name, n_frames, reused, **_):
    """A relation: n_frames is a number of samples unless the joint samples' own are reused."""
    if not reused:
        integer(2)(f"{name}: n_frames", n_frames)


@checked(enough_frames, model=instance(BlockModel), n_joint=integer(2), rng=numpy_generator)
def all_estimates(model, n_joint, n_frames, rng, reused=False, deflate=True):
    """One experiment: draw n_joint objects and n_frames marginal frames (or reuse the objects'
    own), fit everything."""
    x = model.joint_samples(n_joint, rng)
    frames = model.frames_of(x) if reused else model.frames(n_frames, rng)
    blocks = learn_blocks(frames, model.r, model.sigma)
    return {**joint_estimates(x, model.sigma),
            **hierarchical_estimates(x, blocks, model.sigma, reused, deflate)}


@checked(model=instance(BlockModel), n_joints=several(integer(2)), n_frames=integer(2),
         repeats=integer(), rng=numpy_generator)
def measure(model, n_joints, n_frames, repeats, rng, reused=False, deflate=True, joint=True,
            metrics=METRICS):
    """{n_joint: {estimator: {metric: array of `repeats` errors}}}.

    Within a repeat the frames serve every n_joint, and a smaller set of objects is the head of a
    larger one: points at different n_joint share their noise, repeats do not.
    """
    truth = model.covariance()
    found = {int(n): {} for n in n_joints}
    for _ in range(repeats):
        x = model.joint_samples(max(n_joints), rng)
        blocks = None if reused else learn_blocks(model.frames(n_frames, rng), model.r, model.sigma)
        for n in found:
            here = learn_blocks(model.frames_of(x[:n]), model.r, model.sigma) if reused else blocks
            fitted = hierarchical_estimates(x[:n], here, model.sigma, reused, deflate)
            if joint:
                fitted = {**joint_estimates(x[:n], model.sigma), **fitted}
            for name, covariance in fitted.items():
                for metric, value in errors(covariance, truth, metrics).items():
                    found[n].setdefault(name, {}).setdefault(metric, []).append(value)
    return {n: {name: {m: np.array(v) for m, v in row.items()} for name, row in table.items()}
            for n, table in found.items()}
