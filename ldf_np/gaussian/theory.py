"""The laws behind Section 3.2: what random matrix theory says a covariance estimate must cost,
before any data.

Everything here is a number computed from numbers. The model and the data are in `model.py`, the
estimators in `estimators.py`.

Units.  Functions below measure variances in units of the noise, sigma^2 = 1; `curves.predict` puts
sigma back.  A *spike* is a population eigenvalue l > 1 above the noise; theta = l - 1 is its
strength; gamma = dimension / samples.

Sources
  [P]   Locally Disentangled Factors, Section 3.2.
  [J]   Johnstone, On the distribution of the largest eigenvalue in principal components analysis,
        Ann. Stat. 2001.
  [BBP] Baik, Ben Arous, Peche, Phase transition of the largest eigenvalue..., Ann. Prob. 2005;
        with Paul, Statistica Sinica 2007, for the angles and the spread.
  [DGJ] Donoho, Gavish, Johnstone, Optimal shrinkage of eigenvalues in the spiked covariance model,
        Ann. Stat. 2018.
  [LW]  Ledoit, Wolf, A well-conditioned estimator for large-dimensional covariance matrices,
        J. Multivar. Anal. 2004.
  [FS]  Ferrari, Spohn, A determinantal formula for the GOE Tracy-Widom distribution,
        J. Phys. A 2005;
        Bornemann, On the numerical evaluation of Fredholm determinants, Math. Comp. 2010.
  [Ma]  Accuracy of the Tracy-Widom limits for the extreme eigenvalues in white Wishart matrices,
        Bernoulli 2012.
"""

from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import airy, digamma
from scipy.stats import norm

from ..runtime.checks import between, checked, integer, positive, real


def _not_negative(name, value):
    """A rule: a finite number of at least 0, or an array of them."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or not np.all(np.isfinite(array)) or np.any(array < 0):
        raise ValueError(f"{name}: expected finite numbers of at least 0, got {value!r:.80}")


def _positive(name, value):
    """A rule: a finite number above 0, or an array of them."""
    _not_negative(name, value)
    if np.any(np.equal(value, 0)):
        raise ValueError(f"{name}: expected numbers above 0, got {value!r:.80}")


def _row(numbers):
    """A rule: a row of what the rule ``numbers`` allows, at least one of them above 0."""
    def rule(name, value):
        numbers(name, value)
        if np.ndim(value) != 1 or not np.any(value):
            raise ValueError(f"{name}: expected a row with a number above 0, got {value!r:.80}")

    return rule


# --------------------------------------------------- one spike: where it goes, and how far it turns


@checked(gamma=_not_negative)
def bbp_threshold(gamma):
    """The weakest strength theta = l - 1 that a sample covariance can see: sqrt(gamma) [BBP].
    Asymptotic."""
    return np.sqrt(np.asarray(gamma, float))


def bulk_edge(gamma):
    """The right edge (1 + sqrt(gamma))^2 of the Marchenko-Pastur law: where pure noise ends.
    Asymptotic."""
    return (1 + bbp_threshold(gamma)) ** 2


@checked(theta=_not_negative)
def spike_eigenvalue(theta, gamma):
    """Limit of a spike's sample eigenvalue, l = 1 + theta: l (1 + gamma/theta) above the threshold,
    else the edge."""
    theta = np.asarray(theta, float)
    seen = theta > bbp_threshold(gamma)
    safe = np.where(seen, theta, 1.0)
    return np.where(seen, (1 + safe) * (1 + gamma / safe), bulk_edge(gamma))


@checked(theta=_not_negative)
def spike_cosine2(theta, gamma):
    """Limit c^2 of the squared cosine between a sample eigenvector and its spike (Paul 2007).

    c^2 = (1 - gamma/theta^2) / (1 + gamma/theta) above the threshold, 0 at and below it.
    Asymptotic; at finite n the mean differs by O(1/n), and near the threshold by O(n^(-1/3)).
    """
    theta = np.asarray(theta, float)
    seen = theta > bbp_threshold(gamma)
    safe = np.where(seen, theta, 1.0)
    return np.where(seen, (1 - gamma / safe**2) / (1 + gamma / safe), 0.0)


@checked(theta=_positive, gamma=_not_negative, n=_positive)
def spike_spread(theta, gamma, n):
    """Standard deviation of a simple spike's sample eigenvalue: l sqrt(2 (1 - gamma/theta^2) / n).
    Asymptotic."""
    return (1 + theta) * np.sqrt(2 * np.maximum(1 - gamma / theta**2, 0) / n)


@checked(eigenvalue=_not_negative)
def unshifted_spike(eigenvalue, gamma):
    """The strength theta that a sample eigenvalue came from: `spike_eigenvalue` solved for theta; 0
    inside the bulk."""
    eigenvalue = np.asarray(eigenvalue, float)
    b = eigenvalue - 1 - gamma  # theta^2 - b theta + gamma = 0
    root = np.sqrt(np.maximum(b * b - 4 * gamma, 0))
    return np.where(eigenvalue > bulk_edge(gamma), (b + root) / 2, 0.0)


def shrunk_strength(eigenvalue, gamma):
    """The strength to *use* for a sample eigenvector, theta c^2: it minimises the Frobenius error
    [DGJ].

    With u^ = c u + s v the loss of a u^u^' against theta uu' is theta^2 - 2 a theta c^2 + a^2,
    least at a = theta c^2, where it is theta^2 (1 - c^4).
    """
    theta = unshifted_spike(eigenvalue, gamma)
    return theta * spike_cosine2(theta, gamma)


# ------------------------------------------------------------------ pure noise: the Tracy-Widom law


@cache
def _quadrature(points=32, length=16.0):
    node, weight = np.polynomial.legendre.leggauss(points)
    return (node + 1) * length / 2, weight * length / 2


def tracy_widom_cdf(s):
    """F_1(s), the law of the largest eigenvalue of real noise [FS]: the Fredholm determinant
    det(1 - Ai(x + y + s)) on L^2(0, inf).

    SciPy has no Tracy-Widom law.  By Gauss-Legendre quadrature it is exact to about 1e-12.
    """
    x, w = _quadrature()
    root = np.sqrt(w)

    def one(s):
        if s < -10 or s > 14:  # F_1(-10) < 1e-20, 1 - F_1(14) < 1e-16
            return float(s > 0)
        kernel = airy(x[:, None] + x[None, :] + s)[0]
        return float(np.linalg.det(np.eye(len(x)) - root[:, None] * kernel * root[None, :]))

    return np.vectorize(one, otypes=[float])(s)


@cache
@checked(probability=real())
def tracy_widom_quantile(probability):
    """The s at which F_1(s) = probability."""
    if not 1e-12 < probability < 1 - 1e-12:
        raise ValueError(f"probability: expected a number in (0, 1), got {probability}")
    return brentq(lambda s: float(tracy_widom_cdf(s)) - probability, -9.0, 12.0, xtol=1e-10)


@checked(n=integer(), p=integer())
def tracy_widom_scale(n, p):
    """(mu, s) such that (n lambda_max - mu) / s follows F_1 for n samples of white noise in p
    dimensions.  Asymptotic.

    With a = sqrt(n - 1/2), b = sqrt(p - 1/2):  mu = (a + b)^2,  s = (a + b)(1/a + 1/b)^(1/3) [Ma].
    Johnstone's choice, a = sqrt(n - 1) and b = sqrt(p), has an error of the order min(n, p)^(-1/3)
    instead of ^(-2/3) [J].
    """
    a, b = np.sqrt(n - 0.5), np.sqrt(p - 0.5)
    return (a + b) ** 2, (a + b) * (1 / a + 1 / b) ** (1 / 3)


@checked(level=between(0, 1))
def critical_eigenvalue(n, p, level=0.05):
    """Reject "only noise" at this level when the largest sample eigenvalue exceeds it.
    Asymptotic."""
    mu, s = tracy_widom_scale(n, p)
    return (mu + s * tracy_widom_quantile(1 - level)) / n


@checked(theta=_not_negative)
def detection_power(theta, n, p, level=0.05):
    """P(the top-eigenvalue test sees a spike): the spike's normal law past the critical value, and
    `level` below BBP.

    Asymptotic, and worst within O(n^(-1/3)) of the threshold, where neither law holds.
    """
    critical, gamma = critical_eigenvalue(n, p, level), p / n
    theta = np.asarray(theta, float)
    seen = theta > bbp_threshold(gamma)
    safe = np.where(seen, theta, 1 + gamma)  # a strength above the threshold
    z = (spike_eigenvalue(safe, gamma) - critical) / spike_spread(safe, gamma, n)
    return np.where(seen, np.maximum(level, norm.cdf(z)), level)


@checked(k=_positive, frames=_positive, n_joint=_positive)
def crossover_strength(k, frames, n_joint):
    """The mu_1 (largest eigenvalue of R) above which the joint threshold is the lower one:
    sqrt(k frames / n_joint).

    Joint sees theta mu_1 > sqrt(k d / n_joint); a block sees theta > sqrt(d / frames).
    d and theta cancel.
    """
    return np.sqrt(k * frames / n_joint)


# ---------------------------------------------------------------------------- exact Wishart moments


@checked(n=_positive)
def wishart_frobenius(cov, n):
    """E||S - cov||_F^2 = (tr cov^2 + (tr cov)^2) / n for n zero-mean Gaussian samples.  Exact.

    Var S_ij = (cov_ii cov_jj + cov_ij^2) / n, summed over i and j.
    """
    return (np.sum(cov * cov) + np.trace(cov) ** 2) / n


@checked(n=integer(), p=integer())
def wishart_logdet(n, p):
    """E[ln det S - ln det cov] = sum_i psi((n - i + 1)/2) + p ln(2/n), i = 1..p.  Exact for n >= p;
    -inf below."""
    if n < p:
        return -np.inf
    return float(digamma((n - np.arange(p)) / 2).sum() + p * np.log(2 / n))


def wishart_kl(n, p):
    """(E KL(cov || S), E KL(S || cov)) for n samples in p dimensions; neither depends on cov.
    Exact, zero mean known.

    E S^-1 = n/(n-p-1) cov^-1 gives the first, finite for n > p + 1;
    E S = cov gives the second, finite for n >= p.
    """
    logdet = wishart_logdet(n, p)
    forward = (n * p / (n - p - 1) - p + logdet) / 2 if n > p + 1 else np.inf
    return forward, -logdet / 2


# ------------------------------------------------------------- linear shrinkage: J0 and Ledoit-Wolf


@checked(eigenvalues=_row(_not_negative), n=_positive)
def linear_shrinkage_weight(eigenvalues, n):
    """(b, loss) of the best (1-b) S + b m I, m = tr Sigma / p: b = beta^2 / (alpha^2 + beta^2)
    [LW].  Exact.

    beta^2 = E||S - Sigma||^2 and alpha^2 = ||Sigma - m I||^2;
    the least loss is alpha^2 beta^2 / (alpha^2 + beta^2).
    """
    l = np.asarray(eigenvalues, float)
    beta2 = (np.sum(l**2) + l.sum() ** 2) / n
    alpha2 = np.sum((l - l.mean()) ** 2)
    return beta2 / (alpha2 + beta2), alpha2 * beta2 / (alpha2 + beta2)


@checked(eigenvalues=_row(_not_negative), n=_positive)
def ledoit_wolf_weight(eigenvalues, n):
    """(b, loss) of Ledoit-Wolf itself, whose estimate of beta^2 has the mean (1 - 1/n) beta^2.

    It averages ||x x' - S||^2, and S contains x.  The loss exceeds the oracle's by
    (beta^2/n)^2 / (alpha^2 + beta^2), a fifth of it at n = 30, p = 300.  Asymptotic: the spread of
    the estimated weight is left out.
    """
    l = np.asarray(eigenvalues, float)
    beta2 = (np.sum(l**2) + l.sum() ** 2) / n
    best, loss = linear_shrinkage_weight(l, n)
    return best * (1 - 1 / n), loss + (best * beta2 / n) / n


@checked(thetas=_not_negative, gamma=_positive, b=between(0, 1, "["), m=real())
def linear_shrinkage_operator(thetas, gamma, b, m):
    """Limit of ||(1-b) S + b m I - Sigma||_op for spikes 1 + theta on unit noise (b = 0: the sample
    covariance).

    Derivation.  Split off the spike's coordinate, S = [[l, s'], [s, S_2]].  An outlier y of the
    difference solves
        (1-b) l + b m - l - y = (1-b) s' (S_2 - zeta)^-1 s,    y = (1-b) zeta + b m - 1.
    Write zeta = (1 + a)(1 + gamma/a), |a| > sqrt(gamma), outside the bulk of S_2; there
    s'(S_2 - zeta)^-1 s -> -l gamma/a, and what is left is a quadratic,
        a^2 + (1 + gamma + (b l - 1)/(1-b)) a - gamma theta = 0.
    Without an outlier the edge of the bulk (a = +-sqrt(gamma)) is the norm.  So S itself has an
    outlier only for theta > 1 + sqrt(gamma), a threshold of its own beside BBP's.  Asymptotic.
    """
    root = np.sqrt(gamma)

    def eigenvalue(a):
        return (1 - b) * (1 + a) * (1 + gamma / a) + b * m - 1

    candidates = [eigenvalue(root), eigenvalue(-root), b * m - 1 if gamma > 1 else 0.0]
    for theta in np.atleast_1d(thetas):
        half = (1 + gamma + (b * (1 + theta) - 1) / (1 - b)) / 2
        disc = np.sqrt(half**2 + gamma * theta)
        candidates += [eigenvalue(a) for a in (disc - half, -disc - half) if abs(a) > root]
    return float(np.max(np.abs(candidates)))


@checked(eigenvalues=_row(_positive), n=_positive, b=between(0, 1), m=positive)
def linear_shrinkage_kl(eigenvalues, n, b, m):
    """(E KL(Sigma || .), E KL(. || Sigma)) for (1-b) S + b m I, 0 < b < 1, by deterministic
    equivalents.  Asymptotic.

    With w = b m / (1-b) and v the root of 1/v = w + (1/n) tr Sigma (1 + v Sigma)^-1 (Silverstein
    1995):  (S + w)^-1 ~ (1 + v Sigma)^-1 / w  and
        ln det(S + w) ~ p ln w + ln det(1 + v Sigma) + n (w v - 1 - ln w v).
    """
    l = np.asarray(eigenvalues, float)
    p, w = len(l), b * m / (1 - b)
    least = (1 - 1e-12) / (w + l.sum() / n)     # of v, for l / (1 + v l) < l
    v = brentq(lambda v: 1 / v - w - np.sum(l / (1 + v * l)) / n, least, 1 / w * (1 + 1e-12),
               xtol=1e-12 * least)
    trace = np.sum(l / (1 + v * l)) / w / (1 - b)
    logdet = (p * np.log((1 - b) * w) + np.log1p(v * l).sum() + n * (w * v - 1 - np.log(w * v))
              - np.log(l).sum())
    back = (1 - b) * p + b * m * np.sum(1 / l)
    return (trace - p + logdet) / 2, (back - p - logdet) / 2
