"""Section 3.2 made exact: a Gaussian object of k correlated blocks, and the ways to learn its
covariance from samples.

The model, in the paper's words "splits its p variables into k blocks": block i is
    x_i = sqrt(theta) W_i z_i + eps_i,    W_i (d, r) orthonormal,  eps ~ N(0, sigma^2 I),  Cov(z) =
    R (x) I_r,
so  Sigma = theta W (R (x) I_r) W' + sigma^2 I  with W = blockdiag(W_1 .. W_k).  Its spikes are
sigma^2 + theta mu_j, each r times, mu_j the eigenvalues of R.  The mean (zero) is known to every
estimator, sigma to those that use spikes.

Axis letters: n sample, i j block, a b coordinate within a block, m latent coordinate.
What each estimator must cost is predicted in `ldf_np/gaussian_curves.py` from the laws in
`ldf_np/gaussian_theory.py`.
"""

from dataclasses import dataclass, field

import numpy as np

from ..runtime.checks import real_number, whole_number

METRICS = ("frobenius", "operator", "kl_forward", "kl_reverse")
METRIC_NAMES = {
    "frobenius": "squared Frobenius error",
    "operator": "operator-norm error",
    "kl_forward": "KL(truth || model)",
    "kl_reverse": "KL(model || truth)",
}

# ------------------------------------------------------------ covariances, kept in their structure


@dataclass(frozen=True)
class Covariance:
    """basis @ core @ basis' + tail (I - basis basis'): an orthonormal basis (p, q), a core (q, q)
    or its diagonal."""

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
        return (self.core.sum() if self.core.ndim == 1
                else np.trace(self.core)) + self.outside * self.tail

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
        above = self.core - self.tail if self.core.ndim == 1 else self.core - self.tail * np.eye(
            len(self.core))
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
    """The largest |eigenvalue| of one - two; outside the two bases' span the difference is a
    multiple of I."""
    width = one.basis.shape[1] + two.basis.shape[1]
    if width > one.p // 2:
        return np.abs(np.linalg.eigvalsh(one.dense() - two.dense())[[0, -1]]).max()
    frame = np.linalg.qr(np.concatenate([one.basis, two.basis], axis=1))[0]
    inside = np.linalg.eigvalsh(one.within(frame) - two.within(frame))
    return max(np.abs(inside).max(initial=0.0), abs(one.tail - two.tail))


def kl_divergence(one, two):
    """KL(N(0, one) || N(0, two)) = (tr two^-1 one - p + ln det two - ln det one) / 2; infinite if
    one is singular."""
    logdet = two.logdet() - one.logdet()
    if not np.isfinite(logdet):
        return np.inf
    return (two.inverse().trace_with(one) - one.p + logdet) / 2


def errors(model, truth, metrics=METRICS):
    """How far a model's covariance is from the truth: squared Frobenius, operator norm, and KL both
    ways."""
    rules = {
        "frobenius": lambda: model.square() + truth.square() - 2 * truth.trace_with(model),
        "operator": lambda: _operator_norm(model, truth),
        "kl_forward": lambda: kl_divergence(truth, model),
        "kl_reverse": lambda: kl_divergence(model, truth),
    }
    return {metric: float(rules[metric]()) for metric in metrics}


# ------------------------------------------------------------------ the model


def autoregressive(rho, k):
    """R_ij = rho^|i-j|, the paper's "dependencies described by a few parameters" with one
    parameter."""
    lag = np.abs(np.subtract.outer(np.arange(whole_number("k", k, 1)), np.arange(k)))
    return np.asarray(real_number("rho", rho), float) ** lag if rho else np.eye(k)


def autoregressive_slope(rho, k):
    """dR/drho = |i-j| rho^(|i-j|-1)."""
    lag = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    return lag * np.asarray(rho, float) ** np.maximum(lag - 1, 0)


def _check_correlation(R, k):
    R = np.array(R)
    if R.shape != (k, k) or R.dtype.kind not in "fiu":
        raise ValueError(
            f"R: expected real numbers of shape (k, k) = ({k}, {k}), got {R.dtype} of shape "
            f"{R.shape}")
    R = R.astype(float)
    if not np.all(np.isfinite(R)) or not np.allclose(R, R.T, atol=1e-10):
        raise ValueError("R: expected a finite and symmetric matrix")
    if not np.allclose(np.diag(R), 1, atol=1e-10):
        raise ValueError("R: expected a unit diagonal (theta carries the scale)")
    least = np.linalg.eigvalsh(R)[0]
    if least <= 1e-12:
        raise ValueError(
            f"R: expected a positive definite matrix, but its least eigenvalue is {least:.3g}")
    return (R + R.T) / 2


def _check_draws(n, rng):
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng: expected a numpy.random.Generator, got {type(rng).__name__}")
    return whole_number("n", n, 2)


@dataclass(frozen=True, eq=False)
class BlockModel:
    """The population of Section 3.2: k blocks of d numbers, r latent directions each, correlated
    over blocks by R."""

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
        """Spike strengths theta mu_j / sigma^2 of the joint covariance, each r times, largest
        first."""
        return np.repeat(self.theta * self.mu / self.sigma**2, self.r)

    def covariance(self):
        core = self.theta * np.kron(
            self.R, np.eye(self.r)) + self.sigma**2 * np.eye(self.k * self.r)
        return Covariance(block_diagonal(self.W), core, self.sigma**2)

    def joint_samples(self, n, rng):
        """(n, k, d): whole objects, all blocks together."""
        n = _check_draws(n, rng)
        root = np.linalg.cholesky(self.R)
        z = np.einsum("ij,njm->nim", root, rng.standard_normal((n, self.k, self.r)))
        x = self.sigma * rng.standard_normal((n, self.k, self.d))
        return x + np.sqrt(self.theta) * np.einsum("iam,nim->nia", self.W, z)

    def frames(self, n, rng):
        """(1, n, d) frames if W is shared, else (k, n, d), n of each block: marginals, no two from
        one object."""
        n = _check_draws(n, rng)
        W = self.W[:1] if self.shared else self.W
        z = rng.standard_normal((len(W), n, self.r))
        x = self.sigma * rng.standard_normal((len(W), n, self.d))
        return x + np.sqrt(self.theta) * np.einsum("iam,inm->ina", W, z)

    def frames_of(self, x):
        """The blocks of joint samples (n, k, d), laid out as `frames` are: all there is without
        extra marginals."""
        return x.reshape(1, -1, self.d) if self.shared else x.transpose(1, 0, 2)


def block_diagonal(W):
    """(k, d, r) -> (k d, k r) with W_i on the diagonal."""
    k, d, r = W.shape
    out = np.zeros((k, d, k, r))
    out[np.arange(k), :, np.arange(k), :] = W
    return out.reshape(k * d, k * r)


# ---------------------------------------------------------- estimators that see only joint samples


# ---------------------------------------------------------------- estimators that split the object


# ------------------------------------------------------------------ experiments


