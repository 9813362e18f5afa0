"""Section 3.2 made exact: a Gaussian object of k correlated blocks, and the ways to learn its covariance from samples.

The model, in the paper's words "splits its p variables into k blocks": block i is
    x_i = sqrt(theta) W_i z_i + eps_i,    W_i (d, r) orthonormal,  eps ~ N(0, sigma^2 I),  Cov(z) = R (x) I_r,
so  Sigma = theta W (R (x) I_r) W' + sigma^2 I  with W = blockdiag(W_1 .. W_k).  Its spikes are sigma^2 + theta mu_j,
each r times, mu_j the eigenvalues of R.  The mean (zero) is known to every estimator, sigma to those that use spikes.

Axis letters: n sample, i j block, a b coordinate within a block, m latent coordinate.
What each estimator must cost is predicted in `ldf_np/gaussian_curves.py` from the laws in `ldf_np/gaussian_theory.py`.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal

from .gaussian_theory import real_number, shrunk_strength, whole_number

METRICS = ("frobenius", "operator", "kl_forward", "kl_reverse")
METRIC_NAMES = {
    "frobenius": "squared Frobenius error",
    "operator": "operator-norm error",
    "kl_forward": "KL(truth || model)",
    "kl_reverse": "KL(model || truth)",
}

# ------------------------------------------------------------------ covariances, kept in their structure


@dataclass(frozen=True)
class Covariance:
    """basis @ core @ basis' + tail (I - basis basis'): an orthonormal basis (p, q), a core (q, q) or its diagonal."""

    basis: np.ndarray
    core: np.ndarray
    tail: float

    @property
    def p(self):
        return len(self.basis)

    @property
    def outside(self):
        """How many directions the basis leaves to the tail."""
        return self.basis.shape[0] - self.basis.shape[1]

    def trace(self):
        return (self.core.sum() if self.core.ndim == 1 else np.trace(self.core)) + self.outside * self.tail

    def square(self):
        """tr Sigma^2."""
        return np.sum(self.core**2) + self.outside * self.tail**2

    def logdet(self):
        """ln det Sigma, -inf where it is singular."""
        value = self.core if self.core.ndim == 1 else np.linalg.eigvalsh(self.core)
        value = np.append(value, np.full(self.outside, self.tail))
        return np.log(value).sum() if value.min() > 1e-12 * value.max() else -np.inf

    def within(self, frame):
        """frame' Sigma frame for orthonormal columns."""
        inner = frame.T @ self.basis
        above = self.core - self.tail if self.core.ndim == 1 else self.core - self.tail * np.eye(len(self.core))
        weighted = inner * above if above.ndim == 1 else inner @ above
        return weighted @ inner.T + self.tail * np.eye(frame.shape[1])

    def dense(self):
        return self.within(np.eye(self.p))

    def trace_with(self, other):
        """tr(self other) = tr(core B' other B) + tail (tr other - tr B' other B)."""
        inner = other.within(self.basis)
        return np.sum(np.diag(inner) * self.core if self.core.ndim == 1 else inner * self.core) + (
            self.tail * (other.trace() - np.trace(inner))
        )

    def inverse(self):
        core = 1 / self.core if self.core.ndim == 1 else np.linalg.inv(self.core)
        return Covariance(self.basis, core, 1 / self.tail if self.outside else 0.0)


def _operator_norm(one, two):
    """The largest |eigenvalue| of one - two; outside the two bases' span the difference is a multiple of I."""
    width = one.basis.shape[1] + two.basis.shape[1]
    if width > one.p // 2:
        return np.abs(np.linalg.eigvalsh(one.dense() - two.dense())[[0, -1]]).max()
    frame = np.linalg.qr(np.concatenate([one.basis, two.basis], axis=1))[0]
    inside = np.linalg.eigvalsh(one.within(frame) - two.within(frame))
    return max(np.abs(inside).max(initial=0.0), abs(one.tail - two.tail))


def kl_divergence(one, two):
    """KL(N(0, one) || N(0, two)) = (tr two^-1 one - p + ln det two - ln det one) / 2; infinite if one is singular."""
    logdet = two.logdet() - one.logdet()
    if not np.isfinite(logdet):
        return np.inf
    return (two.inverse().trace_with(one) - one.p + logdet) / 2


def errors(model, truth, metrics=METRICS):
    """How far a model's covariance is from the truth: squared Frobenius, operator norm, and KL both ways."""
    rules = {
        "frobenius": lambda: model.square() + truth.square() - 2 * truth.trace_with(model),
        "operator": lambda: _operator_norm(model, truth),
        "kl_forward": lambda: kl_divergence(truth, model),
        "kl_reverse": lambda: kl_divergence(model, truth),
    }
    return {metric: float(rules[metric]()) for metric in metrics}


# ------------------------------------------------------------------ the model


def autoregressive(rho, k):
    """R_ij = rho^|i-j|, the paper's "dependencies described by a few parameters" with one parameter."""
    lag = np.abs(np.subtract.outer(np.arange(whole_number("k", k, 1)), np.arange(k)))
    return np.asarray(real_number("rho", rho), float) ** lag if rho else np.eye(k)


def autoregressive_slope(rho, k):
    """dR/drho = |i-j| rho^(|i-j|-1)."""
    lag = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    return lag * np.asarray(rho, float) ** np.maximum(lag - 1, 0)


def _check_correlation(R, k):
    R = np.array(R)
    if R.shape != (k, k) or R.dtype.kind not in "fiu":
        raise ValueError(f"R: expected real numbers of shape (k, k) = ({k}, {k}), got {R.dtype} of shape {R.shape}")
    R = R.astype(float)
    if not np.all(np.isfinite(R)) or not np.allclose(R, R.T, atol=1e-10):
        raise ValueError("R: expected a finite and symmetric matrix")
    if not np.allclose(np.diag(R), 1, atol=1e-10):
        raise ValueError("R: expected a unit diagonal (theta carries the scale)")
    least = np.linalg.eigvalsh(R)[0]
    if least <= 1e-12:
        raise ValueError(f"R: expected a positive definite matrix, but its least eigenvalue is {least:.3g}")
    return (R + R.T) / 2


def _check_draws(n, rng):
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng: expected a numpy.random.Generator, got {type(rng).__name__}")
    return whole_number("n", n, 2)


@dataclass(frozen=True, eq=False)
class BlockModel:
    """The population of Section 3.2: k blocks of d numbers, r latent directions each, correlated over blocks by R."""

    k: int = 5
    d: int = 60
    r: int = 1
    theta: float = 1.0
    sigma: float = 1.0
    rho: float = 0.9
    R: np.ndarray = None  # a correlation matrix of the user's own; it replaces rho
    shared: bool = True  # one W for all blocks, as frames of one video share a network
    seed: int = 0  # draws W
    W: np.ndarray = field(init=False, repr=False)

    def __post_init__(self):
        def put(name, value):
            object.__setattr__(self, name, value)

        put("k", whole_number("k", self.k, 2))
        put("d", whole_number("d", self.d, 1))
        put("r", whole_number("r", self.r, 1))
        if self.r > self.d:
            raise ValueError(f"r: expected at most d = {self.d}, got {self.r}")
        for name in ("theta", "sigma"):
            if not real_number(name, getattr(self, name)) > 0:
                raise ValueError(f"{name}: expected a positive number, got {getattr(self, name)!r}")
            put(name, float(getattr(self, name)))
        if self.R is None:
            if not -1 < real_number("rho", self.rho) < 1:
                raise ValueError(f"rho: expected a number in (-1, 1), got {self.rho!r}")
            put("rho", float(self.rho))
            put("R", autoregressive(self.rho, self.k))
        else:
            put("R", _check_correlation(self.R, self.k))
            put("rho", None)
        rng = np.random.default_rng(whole_number("seed", self.seed, 0))
        draws = 1 if self.shared else self.k
        W = np.linalg.qr(rng.standard_normal((draws, self.d, self.r)))[0]
        put("W", np.broadcast_to(W, (self.k, self.d, self.r)))

    @property
    def p(self):
        return self.k * self.d

    @property
    def mu(self):
        """Eigenvalues of R, largest first: how a dependence over blocks concentrates the signal."""
        return np.linalg.eigvalsh(self.R)[::-1]

    @property
    def strengths(self):
        """Spike strengths theta mu_j / sigma^2 of the joint covariance, each r times, largest first."""
        return np.repeat(self.theta * self.mu / self.sigma**2, self.r)

    def covariance(self):
        core = self.theta * np.kron(self.R, np.eye(self.r)) + self.sigma**2 * np.eye(self.k * self.r)
        return Covariance(block_diagonal(self.W), core, self.sigma**2)

    def joint_samples(self, n, rng):
        """(n, k, d): whole objects, all blocks together."""
        n = _check_draws(n, rng)
        root = np.linalg.cholesky(self.R)
        z = np.einsum("ij,njm->nim", root, rng.standard_normal((n, self.k, self.r)))
        x = self.sigma * rng.standard_normal((n, self.k, self.d))
        return x + np.sqrt(self.theta) * np.einsum("iam,nim->nia", self.W, z)

    def frames(self, n, rng):
        """(1, n, d) frames if W is shared, else (k, n, d), n of each block: marginals, no two from one object."""
        n = _check_draws(n, rng)
        W = self.W[:1] if self.shared else self.W
        z = rng.standard_normal((len(W), n, self.r))
        x = self.sigma * rng.standard_normal((len(W), n, self.d))
        return x + np.sqrt(self.theta) * np.einsum("iam,inm->ina", W, z)

    def frames_of(self, x):
        """The blocks of joint samples (n, k, d), laid out as `frames` are: all there is without extra marginals."""
        return x.reshape(1, -1, self.d) if self.shared else x.transpose(1, 0, 2)


def block_diagonal(W):
    """(k, d, r) -> (k d, k r) with W_i on the diagonal."""
    k, d, r = W.shape
    out = np.zeros((k, d, k, r))
    out[np.arange(k), :, np.arange(k), :] = W
    return out.reshape(k * d, k * r)


# ------------------------------------------------------------------ estimators that see only joint samples


def _spectrum(x):
    """Eigenvectors and eigenvalues of the sample covariance of x (n, p), at most min(n, p) of them, largest first."""
    n, p = x.shape
    if n < p:  # the n x n Gram matrix has the same eigenvalues
        value, left = np.linalg.eigh(x @ x.T / n)
        value, left = value[::-1], left[:, ::-1]
        return x.T @ left / np.sqrt(np.maximum(value, 1e-300) * n), value
    value, vector = np.linalg.eigh(x.T @ x / n)
    return vector[:, ::-1], value[::-1]


def joint_estimates(x, sigma):
    """{"J0", "J1", "LW"}: three covariances from joint samples x (n, k, d), sharing one eigendecomposition.

    J0  the sample covariance.
    J1  PCA: keep what exceeds the noise's edge, at the Frobenius-optimal strength (Donoho-Gavish-Johnstone 2018).
    LW  Ledoit-Wolf 2004 with the mean known: (1-b) S + b m I, b estimated; what a practitioner would reach for.
    """
    x = x.reshape(len(x), -1)
    n, p = x.shape
    vector, value = _spectrum(x)
    gamma = p / n
    strength = shrunk_strength(value / sigma**2, gamma)
    keep = strength > 0
    mean = value.sum() / p
    spread = np.sum(value**2) - p * mean**2  # ||S - m I||_F^2
    noise = (np.mean(np.sum(x**2, axis=1) ** 2) - np.sum(value**2)) / n  # (1/n^2) sum_n ||x x' - S||_F^2
    b = min(noise / spread, 1.0)
    return {
        "J0": Covariance(vector, value, 0.0),
        "J1": Covariance(vector[:, keep], sigma**2 * (1 + strength[keep]), sigma**2),
        "LW": Covariance(vector, (1 - b) * value + b * mean, b * mean),
    }


# ------------------------------------------------------------------ estimators that split the object


def learn_blocks(frames, r, sigma):
    """The bottom level: W^ (b, d, r), shrunk strengths theta c^2, sample eigenvalues (b, r); b = 1 if W is shared."""
    n, d = frames.shape[1:]
    S = frames.transpose(0, 2, 1) @ frames / n
    value, vector = np.linalg.eigh(S)
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


def fit_rho(T, a, noise=1.0):
    """Maximum likelihood of rho for codes of covariance a R(rho) + noise I, given their mean square T (k, k)."""
    k = len(T)
    lag = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))

    def loss(u):  # -2/n log-likelihood on Fisher's scale u = atanh(rho)
        C = a * np.tanh(u)[:, None, None] ** lag + noise * np.eye(k)
        return np.linalg.slogdet(C)[1] + np.sum(np.linalg.inv(C) * T, axis=(1, 2))

    centre, half = 0.0, 4.0  # the loss may have two minima: look everywhere, then closer
    for _ in range(3):
        u = centre + half * np.linspace(-1, 1, 33)
        value = loss(u)
        best = int(np.clip(np.argmin(value), 1, 31))
        centre, half = u[best], u[1] - u[0]
    left, middle, right = value[best - 1 : best + 2]  # and the vertex of the parabola through the last three
    bend = left - 2 * middle + right
    return float(np.tanh(centre + (half * (left - right) / (2 * bend) if bend > 0 else 0.0)))


def hierarchical_estimates(x, blocks, sigma, reused=False, deflate=True):
    """{"H0", "H-full", "H-par"}: blocks as `learn_blocks` found them, their dependence from joint samples x (n, k, d).

    H0      blocks independent: the marginals alone.
    H-full  a free (k r) x (k r) code covariance, from the joint samples' codes: the paper's "trainable upper level".
    H-par   code covariance theta c^2 R(rho) + sigma^2, rho by maximum likelihood: its "approximate parametric model".

    `reused` says that the blocks were learned from x itself.  Then W^ has fitted their noise and the codes come out too
    large, variances and covariances alike, by (1 + gamma/theta)^2 (asymptotic): in sample a direction has variance
    lambda = (1+theta)(1+gamma/theta), out of sample 1 + theta c^2 = (1+theta)/(1+gamma/theta); and across blocks, with
    the left cosine c_L^2 = (1-gamma/theta^2)/(1+1/theta), lambda c_L^2 R_ij against theta c^2 R_ij.  `deflate` divides
    the factor out.
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
    found["H-par"] = Covariance(basis, np.kron(a * R, np.eye(r)) + sigma**2 * np.eye(k * r), sigma**2)
    return found


# ------------------------------------------------------------------ experiments


def _check_model(model):
    if not isinstance(model, BlockModel):
        raise TypeError(f"model: expected a BlockModel, got {type(model).__name__}")


def all_estimates(model, n_joint, n_frames, rng, reused=False, deflate=True):
    """One experiment: draw n_joint objects and n_frames marginal frames (or reuse the objects' own), fit everything."""
    _check_model(model)
    x = model.joint_samples(whole_number("n_joint", n_joint, 2), rng)
    frames = model.frames_of(x) if reused else model.frames(n_frames, rng)
    blocks = learn_blocks(frames, model.r, model.sigma)
    return {**joint_estimates(x, model.sigma), **hierarchical_estimates(x, blocks, model.sigma, reused, deflate)}


def measure(model, n_joints, n_frames, repeats, rng, reused=False, deflate=True, joint=True, metrics=METRICS):
    """{n_joint: {estimator: {metric: array of `repeats` errors}}}.

    Within a repeat the frames serve every n_joint, and a smaller set of objects is the head of a larger one: points at
    different n_joint share their noise, repeats do not.
    """
    _check_model(model)
    if not isinstance(n_joints, (list, tuple)) or not n_joints:
        raise TypeError(f"n_joints: expected a list of at least one whole number, got {n_joints!r:.80}")
    for n in n_joints:
        whole_number("n_joint", n, 2)
    whole_number("n_frames", n_frames, 2)
    whole_number("repeats", repeats, 1)
    truth = model.covariance()
    found = {n: {} for n in n_joints}
    for _ in range(repeats):
        x = model.joint_samples(max(n_joints), rng)
        blocks = None if reused else learn_blocks(model.frames(n_frames, rng), model.r, model.sigma)
        for n in n_joints:
            here = learn_blocks(model.frames_of(x[:n]), model.r, model.sigma) if reused else blocks
            fitted = hierarchical_estimates(x[:n], here, model.sigma, reused, deflate)
            if joint:
                fitted = {**joint_estimates(x[:n], model.sigma), **fitted}
            for name, covariance in fitted.items():
                for metric, value in errors(covariance, truth, metrics).items():
                    found[n].setdefault(name, {}).setdefault(metric, []).append(value)
    return {
        n: {name: {m: np.array(v) for m, v in row.items()} for name, row in table.items()} for n, table in found.items()
    }


def top_eigenvalues(strengths, n, p, rng):
    """Largest eigenvalue of a sample covariance, and its squared cosine with the first spike, for a grid of strengths.

    strengths (t, q) at unit noise.  One white Wishart matrix [[A, B], [B', C]] serves the whole grid (so a curve is
    smooth in theta): with D = diag(sqrt(1 + strengths)) the top eigenvalue is the y above C's own with
    lambda_max(D (A + B (y - C)^-1 B') D) = y,  found by bisection; its vector is (w, (y - C)^-1 B' D w).
    """
    q = strengths.shape[1]
    z = rng.standard_normal((n, p))
    S = z.T @ z / n
    pole, turn = np.linalg.eigh(S[q:, q:])
    A, B = S[:q, :q], S[:q, q:] @ turn
    D = np.sqrt(1 + strengths)

    def schur(y):  # (t,) -> (t, q, q)
        inner = A + np.einsum("aj,tj,bj->tab", B, 1 / (y[:, None] - pole), B)
        return D[:, :, None] * inner * D[:, None, :]

    low = np.full(len(D), pole.max(initial=0.0) * (1 + 1e-12))
    high = np.full(len(D), np.trace(S)) * (1 + strengths.max())
    for _ in range(44):
        y = (low + high) / 2
        above = np.linalg.eigvalsh(schur(y))[:, -1] > y
        low, high = np.where(above, y, low), np.where(above, high, y)
    w = np.linalg.eigh(schur(high))[1][:, :, -1]
    rest = np.einsum("tj,aj,ta->tj", 1 / (high[:, None] - pole), B, D * w)
    return high, w[:, 0] ** 2 / (1 + np.sum(rest**2, axis=1))


def white_top_eigenvalues(n, p, draws, rng):
    """Largest eigenvalues of pure noise, by Dumitriu and Edelman's bidiagonal model (2002): the same law."""
    m, most = min(n, p), max(n, p)
    a = np.sqrt(rng.chisquare(np.arange(most, most - m, -1), (draws, m)))  # diagonal
    b = np.sqrt(rng.chisquare(np.arange(m - 1, 0, -1), (draws, m - 1)))  # beside it
    diagonal = a**2 + np.concatenate([np.zeros((draws, 1)), b**2], axis=1)
    beside = a[:, :-1] * b
    last = {"select": "i", "select_range": (m - 1, m - 1)}
    return np.array([eigvalsh_tridiagonal(*pair, **last)[0] for pair in zip(diagonal, beside, strict=True)]) / n
