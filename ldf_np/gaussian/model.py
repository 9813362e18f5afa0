"""Section 3.2 made exact: a Gaussian object of k correlated blocks, its covariance, and how far an
estimate is from it.

The model, in the paper's words "splits its p variables into k blocks": block i is
    x_i = sqrt(theta) W_i z_i + eps_i,
    W_i (d, r) orthonormal,  eps ~ N(0, sigma^2 I),  Cov(z) = R (x) I_r,
so  Sigma = theta W (R (x) I_r) W' + sigma^2 I  with W = blockdiag(W_1 .. W_k).  Its spikes are
sigma^2 + theta mu_j, each r times, mu_j the eigenvalues of R.  The mean (zero) is known to every
estimator, sigma to those that use spikes.

Axis letters: n sample, i j block, a b coordinate within a block, m latent coordinate.
The estimators are in `estimators.py`. What each must cost is predicted in `curves.py` from the laws
in `theory.py`.
"""

from dataclasses import dataclass, field

import numpy as np

from ..runtime.checks import (
    between,
    check_size,
    checked,
    expect,
    instance,
    integer,
    positive,
    real,
)
from ..runtime.random import numpy_generator

METRICS = ("frobenius", "operator", "kl_forward", "kl_reverse")
METRIC_NAMES = {
    "frobenius": "squared Frobenius error",
    "operator": "operator-norm error",
    "kl_forward": "KL(truth || model)",
    "kl_reverse": "KL(model || truth)",
}

# ------------------------------------------------------------- covariances, kept in their structure


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
        core = self.core.sum() if self.core.ndim == 1 else np.trace(self.core)
        return core + self.outside * self.tail

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
        if self.core.ndim == 1:
            weighted = inner * (self.core - self.tail)
        else:
            weighted = inner @ (self.core - self.tail * np.eye(len(self.core)))
        return weighted @ inner.T + self.tail * np.eye(frame.shape[1])

    def dense(self):
        return self.within(np.eye(self.p))

    def trace_with(self, other):
        """tr(self other) = tr(core B' other B) + tail (tr other - tr B' other B)."""
        inner = other.within(self.basis)
        core = np.sum(np.diag(inner) * self.core if self.core.ndim == 1 else inner * self.core)
        return core + self.tail * (other.trace() - np.trace(inner))

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


# ---------------------------------------------------------------------------------------- the model


def block_lags(k):
    """|i-j| for all pairs of k blocks: (k, k)."""
    return np.abs(np.subtract.outer(np.arange(k), np.arange(k)))


@checked(rho=real(), k=integer())
def autoregressive(rho, k):
    """R_ij = rho^|i-j|, the paper's dependencies that "can be described by a few parameters", with
    one."""
    return float(rho) ** block_lags(k)


def autoregressive_slope(rho, k):
    """dR/drho = |i-j| rho^(|i-j|-1)."""
    lag = block_lags(k)
    return lag * float(rho) ** np.maximum(lag - 1, 0)


def _correlation_matrix(R, k):
    """R as floats; ValueError unless it is a (k, k) correlation matrix."""
    try:
        R = np.array(R)
    except ValueError as error:
        raise ValueError(f"BlockModel: R: expected a matrix, got {R!r:.80} ({error})") from error
    if R.shape != (k, k) or R.dtype.kind not in "fiu":
        raise ValueError(f"BlockModel: R: expected real numbers of shape (k, k) = ({k}, {k}), "
                         f"got {R.dtype} of shape {R.shape}")
    R = R.astype(float)
    if not np.all(np.isfinite(R)) or not np.allclose(R, R.T, atol=1e-10):
        raise ValueError("BlockModel: R: expected a finite and symmetric matrix")
    if not np.allclose(np.diag(R), 1, atol=1e-10):
        raise ValueError("BlockModel: R: expected a unit diagonal (theta carries the scale)")
    least = np.linalg.eigvalsh(R)[0]
    if least <= 1e-12:
        raise ValueError("BlockModel: R: expected a positive definite matrix, but its least "
                         f"eigenvalue is {least:.3g}")
    return (R + R.T) / 2


LARGEST = 1e10      # of a signal's variance over the noise's: beyond it digits are lost
_RULES = {"k": integer(2), "d": integer(), "r": integer(), "theta": positive, "sigma": positive,
          "shared": instance(bool, np.bool_), "seed": integer(0)}


@dataclass(frozen=True, eq=False)
class BlockModel:
    """The population of Section 3.2: k blocks of d numbers, r latent directions each, correlated
    over blocks by R.

    Raises TypeError or ValueError that names the parameter.
    """

    k: int = 5
    d: int = 60
    r: int = 1
    theta: float = 1.0
    sigma: float = 1.0
    rho: float = None  # by default 0.9, or none where R is given and is not rho^|i-j|
    R: np.ndarray = None  # a correlation matrix of the user's own, in place of rho
    shared: bool = True  # one W for all blocks, as frames of one video share a network
    seed: int = 0  # draws W
    W: np.ndarray = field(init=False, repr=False)

    def __post_init__(self):
        given = {name: rule(f"BlockModel: {name}", getattr(self, name))
                 for name, rule in _RULES.items()}
        k, d, r = given["k"], given["d"], given["r"]
        if r > d:
            raise ValueError(f"BlockModel: r: expected at most d = {d}, got {r}")
        check_size("BlockModel: k", (k, k), 8)
        rho = 0.9 if self.rho is None and self.R is None else self.rho
        if rho is not None:
            rho = float(between(-1, 1)("BlockModel: rho", rho))
        R = autoregressive(rho, k) if self.R is None else _correlation_matrix(self.R, k)
        expect(rho is None or np.array_equal(R, autoregressive(rho, k)), "BlockModel: rho, R",
               "one of them alone, or an R of rho^|i-j|", f"{rho} and another R")
        R.setflags(write=False)
        # the errors are made of sigma^4, and of the inverse of the covariance
        real(1e-75, 1e75)("BlockModel: sigma", float(self.sigma))
        most = LARGEST / float(np.linalg.eigvalsh(R)[-1])
        real(1e-150, most)("BlockModel: theta / sigma^2", float(self.theta) / float(self.sigma)**2)
        rng = np.random.default_rng(given["seed"])
        W = np.linalg.qr(rng.standard_normal((1 if self.shared else k, d, r)))[0]
        # a frozen instance is filled through its dict
        self.__dict__.update(k=k, d=d, r=r, theta=float(self.theta), sigma=float(self.sigma),
                             rho=rho, R=R, W=np.broadcast_to(W, (k, d, r)))

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
        signal = self.theta * np.kron(self.R, np.eye(self.r))
        return Covariance(block_diagonal(self.W), signal + self.sigma**2 * np.eye(len(signal)),
                          self.sigma**2)

    @checked(n=integer(2), rng=numpy_generator)
    def joint_samples(self, n, rng):
        """(n, k, d): whole objects, all blocks together."""
        root = np.linalg.cholesky(self.R)
        z = np.einsum("ij,njm->nim", root, rng.standard_normal((n, self.k, self.r)))
        x = self.sigma * rng.standard_normal((n, self.k, self.d))
        return x + np.sqrt(self.theta) * np.einsum("iam,nim->nia", self.W, z)

    @checked(n=integer(2), rng=numpy_generator)
    def frames(self, n, rng):
        """(1, n, d) frames if W is shared, else (k, n, d), n of each block: marginals, no two from
        one object."""
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
