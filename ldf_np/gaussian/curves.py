"""Predicted error of every covariance estimator in `estimators.py`: the curves through the demo's
measured points.

One idea serves all: in the limit an estimated direction is u^ = c u + s v, with a known cosine c
and v orthogonal to everything.  So a spiked estimate is, up to rotation, a covariance in 2 k r
dimensions (`_turned`), and all four errors are read off that small matrix.  An error splits into
[directions] + [their coefficients];  in squared Frobenius norm

    J1      sum_j (l_j - 1)^2 (1 - c_j^4), in units of sigma^4
            c_j at gamma = p / n_joint
    H0      r theta^2 (||R||_F^2 - k c^4)
            c, here and below, at gamma = d / n_frames
    H-full  r theta^2 ||R||_F^2 (1 - c^4) + (tr C^2 + (tr C)^2) / n_joint
            C = (theta c^2 R + sigma^2 I) (x) I_r
    H-par   r theta^2 ||R||_F^2 (1 - c^4) + r theta^2 c^4 ||R'||_F^2 / I(rho)
            I(rho) = (r n_joint / 2) tr[(G^-1 G')^2],  G = theta c^2 R + sigma^2 I,
            G' = theta c^2 R'

H-full, derivation.  Given W^ (independent of the joint samples) the codes are Gaussian with
covariance C = theta R (x) M'M + sigma^2 I, M = W'W^, and their sample covariance C^ is unbiased.
So
    Sigma^ - Sigma = W^ (C^ - C) W^' + [W^ (C - sigma^2) W^' - theta W (R (x) I) W'],
the cross term has mean zero, the first part is `wishart_frobenius` exactly, the second is the
directions' part.  The same split holds for both KLs: the Wishart part is that of q = k r
dimensions, as KL is affine invariant.  All is exact given M; only M'M -> c^2 I is asymptotic (in d
and n_frames).  At small n_joint the error is skewed: its mean, which is predicted here, exceeds its
median.

H-par, derivation.  The model is theta c^2 R(rho^) in the directions W^, so d Sigma^/d rho = theta
c^2 R' there: the delta method gives theta^2 c^4 r ||R'||^2 Var(rho^), and Var -> 1/I.  Asymptotic
in n_joint too: `predict`, which averages over a normal rho^, cut off at -1 and 1, to have all four
errors, is somewhat low for few joint samples and weak dependence.  With own W the blocks' axes must
be found again (`align_codes`), which is not predicted: for r > 1 it always costs something, for r =
1 only where a sign may be mistaken.
"""

import numpy as np
from scipy.stats import norm

from ..runtime.checks import checked, instance, integer
from . import theory
from .estimators import enough_frames, fit_rho
from .model import METRICS, BlockModel, autoregressive, autoregressive_slope

ESTIMATORS = ("J0", "LW", "J1", "H0", "H-full", "H-par")
DRAWS = 400  # of the small random matrices whose mean has no closed form

# ------------------------------------------------------ in small: q true directions, q to leak into


def _turned(along, away, core):
    """Models with basis columns (along, away) in coordinates (q true directions, q orthogonal
    ones): (..., 2q, 2q)."""
    basis = np.concatenate([along, away], axis=-2)
    eye = np.eye(core.shape[-1])
    return basis @ (core - eye) @ np.swapaxes(basis, -1, -2) + np.eye(2 * len(eye))


def _by_metric(*values):
    """{metric: value}, in the order of METRICS."""
    return dict(zip(METRICS, map(float, values), strict=True))


def _mean_errors(models, core_truth):
    """Mean errors of a stack of small models (..., 2q, 2q) against the truth, which leaks
    nowhere."""
    m, q = models.shape[-1], len(core_truth)
    truth = np.eye(m)
    truth[:q, :q] = core_truth
    gap = models - truth
    logdet = np.linalg.slogdet(models)[1] - np.linalg.slogdet(truth)[1]

    def trace(a, b):  # tr a^-1 b
        return np.trace(np.linalg.solve(a, b), axis1=-2, axis2=-1)

    kl_forward = (trace(models, np.broadcast_to(truth, models.shape)) - m + logdet) / 2
    kl_reverse = (trace(truth, models) - m - logdet) / 2
    return _by_metric(np.mean(np.sum(gap**2, axis=(-2, -1))),
                      np.mean(np.abs(np.linalg.eigvalsh(gap)).max(axis=-1)),
                      np.mean(kl_forward), np.mean(kl_reverse))


# ----------------------------------------------------------- estimators that see only joint samples


def _spectrum(model):
    return 1 + np.concatenate([model.strengths, np.zeros(model.p - model.k * model.r)])


def _predict_sample(model, n):
    """J0: Frobenius and KL exact, operator norm asymptotic."""
    spectrum = _spectrum(model)
    return _by_metric((np.sum(spectrum**2) + spectrum.sum() ** 2) / n,
                      theory.linear_shrinkage_operator(model.strengths, model.p / n, 0.0, 0.0),
                      *theory.wishart_kl(n, model.p))


def _predict_ledoit_wolf(model, n):
    """LW: the loss at its mean weight, which is not the oracle's: see `ledoit_wolf_weight`.
    Asymptotic."""
    spectrum = _spectrum(model)
    b, loss = theory.ledoit_wolf_weight(spectrum, n)
    m = spectrum.mean()
    return _by_metric(loss,
                      theory.linear_shrinkage_operator(model.strengths, model.p / n, b, m),
                      *theory.linear_shrinkage_kl(spectrum, n, b, m))


def noisy_spikes(strength, noise, n, gamma, draws=DRAWS, seed=0):
    """Spikes seen in n samples with `noise` dimensions of noise: (along (m, q, q), away (m, q),
    strength used (m, q)).

    The limit is along = diag(c), away = s, strength theta c^2.  To order n^(-1/2) a sample
    covariance acts on spikes as if their block of the population were
        L^(1/2) (1 + n^(-1/2) tau G) L^(1/2),
    G from the Gaussian orthogonal ensemble, tau^2 = 1/(1 - gamma/theta^2): the noise of the form
    x_1' (resolvent) x_1, which for a simple spike is the spread of [BBP].  So equal or close spikes
    repel and mix, which the limit leaves out.  `gamma` is the estimator's own.  A first-order
    heuristic: the cosine's own noise is left out.
    """
    strength = np.asarray(strength, float)
    q, true_gamma = len(strength), noise / n
    seen = strength > theory.bbp_threshold(true_gamma)
    floor = n ** (-1 / 3)  # BBP's own scale
    tau = np.where(seen, np.maximum(1 - true_gamma / strength**2, floor) ** -0.5, 0.0)
    G = np.random.default_rng(seed).standard_normal((draws, q, q))
    G = (G + np.swapaxes(G, 1, 2)) / np.sqrt(2)
    root = np.sqrt(1 + strength)
    noisy = np.outer(root, root) * (np.eye(q) + np.sqrt(np.outer(tau, tau) / n) * G)
    value, rotation = np.linalg.eigh(noisy)
    value, rotation = np.maximum(value[:, ::-1] - 1, 0), rotation[:, :, ::-1]
    kept = np.arange(q) < seen.sum()
    c2 = theory.spike_cosine2(value, true_gamma) * kept
    used = theory.shrunk_strength(theory.spike_eigenvalue(value, true_gamma), gamma) * kept
    return rotation * np.sqrt(c2)[:, None, :], np.sqrt(1 - c2), used


def pca_limit(model, n):
    """J1's squared Frobenius error in the limit, sum_j theta_j^2 (1 - c_j^4): p, n to infinity,
    spikes well apart."""
    c2 = theory.spike_cosine2(model.strengths, model.p / n)
    return float(np.sum(model.strengths**2 * (1 - c2**2))) * model.sigma**4


def _predict_pca(model, n, draws):
    """J1 at finite n: the limit, averaged over the first-order noise of its spikes.  Asymptotic,
    error o(1/n)."""
    strength = model.strengths
    along, away, used = noisy_spikes(strength, model.p - len(strength), n, model.p / n, draws)
    eye = np.eye(len(strength))
    return _mean_errors(_turned(along, eye * away[:, None], eye * (1 + used)[:, None]),
                        np.diag(1 + strength))


# ----------------------------------------------------------------- estimators that split the object


def fisher_information(rho, k, a, n, r=1):
    """I(rho) = (r n / 2) tr[(G^-1 G')^2] of codes with covariance G (x) I_r, G = a R(rho) + I.
    Exact."""
    slope = np.linalg.solve(a * autoregressive(rho, k) + np.eye(k),
                            a * autoregressive_slope(rho, k))
    return r * n / 2 * np.trace(slope @ slope)


def rho_limit(R, a, n, r=1):
    """(rho*, its standard deviation): where the maximum-likelihood rho goes for codes of covariance
    a R (x) I_r + I.

    If R is autoregressive, rho* is its rho and the variance is 1 / I(rho).  Otherwise rho* is the
    closest member of the family (in KL), the variance is White's sandwich, and that member's
    distance stays however large n.  Asymptotic.
    """
    k = len(R)
    truth = a * R + np.eye(k)
    rho = fit_rho(truth, a)

    def score(rho):  # mean derivative of the log-likelihood, and the matrix of its quadratic form
        G = a * autoregressive(rho, k) + np.eye(k)
        inverse = np.linalg.inv(G)
        form = inverse @ (a * autoregressive_slope(rho, k)) @ inverse
        return r * n / 2 * np.sum(form * (truth - G)), form

    h = 1e-4 * (1 - rho**2)
    curvature = (score(rho - h)[0] - score(rho + h)[0]) / (2 * h)
    noise = score(rho)[1] @ truth
    return rho, float(np.sqrt(r * n / 2 * np.trace(noise @ noise)) / curvature)


def block_limit(model, n_joint, n_frames):
    """Squared Frobenius errors of H0, H-full and H-par by the three closed forms at the head of
    this file."""
    theta, R = model.theta / model.sigma**2, model.R
    c2 = float(theory.spike_cosine2(theta, model.d / n_frames))
    directions = model.r * theta**2 * np.sum(R**2) * (1 - c2**2)
    codes = np.kron(theta * c2 * R, np.eye(model.r)) + np.eye(model.k * model.r)
    found = {"H0": model.r * theta**2 * (np.sum(R**2) - model.k * c2**2),
             "H-full": directions + theory.wishart_frobenius(codes, n_joint)}
    if model.rho is not None and c2 > 0:
        slope = model.r * theta**2 * c2**2 * np.sum(autoregressive_slope(model.rho, model.k) ** 2)
        found["H-par"] = directions + slope / fisher_information(
            model.rho, model.k, theta * c2, n_joint, model.r)
    return {name: float(value) * model.sigma**4 for name, value in found.items()}


def _block_directions(model, n_frames, draws):
    """Every block's `noisy_spikes`, side by side: along (m, kr, kr), away and strength (m, kr)."""
    k, r = model.k, model.r
    theta = np.full(r, model.theta / model.sigma**2)
    blocks = [noisy_spikes(theta, model.d - r, n_frames, model.d / n_frames, draws,
                           seed=0 if model.shared else i) for i in range(k)]
    along = np.zeros((draws, k * r, k * r))
    for i, (M, _, _) in enumerate(blocks):
        along[:, i * r : (i + 1) * r, i * r : (i + 1) * r] = M
    away, used = (np.concatenate([b[part] for b in blocks], axis=1) for part in (1, 2))
    return along, away, used


def _aligned(model, used, n_joint):
    """Whether blocks with a W of their own are turned rightly to their neighbours, by
    `align_codes`: of one direction, whether its sign is mistaken in less than one of twenty data
    sets; of several it never is exact."""
    if model.shared:
        return True
    strength = used.mean()
    beside = np.abs(np.diag(model.R, 1)) * strength / (1 + strength)       # correlations of codes
    mistaken = norm.sf(beside * np.sqrt(n_joint / (1 + beside**2)))
    return model.r == 1 and mistaken.sum() < 0.05


def _predict_blocks(model, n_joint, n_frames, reused, deflate, draws):
    """H0, H-full and H-par in units of the noise: exact given the blocks' directions, which are
    `noisy_spikes`."""
    k, r = model.k, model.r
    theta, R, eye = model.theta / model.sigma**2, model.R, np.eye(k * r)
    truth = np.kron(theta * R, np.eye(r)) + eye
    along, away, used = _block_directions(model, n_frames, draws)
    leak = eye * away[:, None]
    independent = _mean_errors(_turned(along, leak, eye * (1 + used)[:, None]), truth)

    codes = np.swapaxes(along, 1, 2) @ (truth - eye) @ along + eye
    if reused and not deflate:  # see `hierarchical_estimates`
        gamma = model.d / n_frames
        codes *= float(theory.spike_eigenvalue(theta, gamma)
                       / (1 + theta * theory.spike_cosine2(theta, gamma)))
    full = _mean_errors(_turned(along, leak, codes), truth)
    forward, reverse = theory.wishart_kl(n_joint, k * r)
    full["frobenius"] += float(np.mean([theory.wishart_frobenius(C, n_joint) for C in codes]))
    full["kl_forward"] += forward
    full["kl_reverse"] += reverse
    # the operator norm has no closed form, but averages well
    root = np.swapaxes(np.linalg.cholesky(codes), 1, 2)
    z = np.random.default_rng(k).standard_normal((draws, n_joint, k * r)) @ root
    sample = np.swapaxes(z, 1, 2) @ z / n_joint
    full["operator"] = _mean_errors(_turned(along, leak, sample + 1e-9 * eye), truth)["operator"]

    if not used.any():  # the blocks see nothing: neither does their model
        return {"H0": independent, "H-full": full, "H-par": independent}
    # maximum likelihood on swollen codes, or on axes that may be turned wrongly: not derived
    if reused and not deflate or not _aligned(model, used, n_joint):
        par = dict.fromkeys(METRICS, float("nan"))
        return {"H0": independent, "H-full": full, "H-par": par}
    strong = np.sum(used**2) / np.sum(used)  # theta c^2, where it matters
    rho, sd = rho_limit(R, strong, n_joint, r)  # rho^ is about normal, and in [-1, 1]
    # latent axes turned back
    back = np.swapaxes(along, 1, 2) / np.maximum(np.sqrt(1 - away**2), 1e-12)[..., None]
    along, leak = along @ back, leak @ back
    strength = used.mean(axis=1)[:, None, None]
    node, weight = np.polynomial.hermite_e.hermegauss(7)
    found = []
    for at in np.clip(rho + node * sd, -1, 1):
        core = strength * np.kron(autoregressive(at, k), np.eye(r)) + eye
        found.append(_mean_errors(_turned(along, leak, core), truth))
    par = {m: float(np.dot(weight, [f[m] for f in found]) / weight.sum()) for m in METRICS}
    return {"H0": independent, "H-full": full, "H-par": par}


@checked(enough_frames, model=instance(BlockModel), n_joint=integer(2), draws=integer())
def predict(model, n_joint, n_frames, reused=False, deflate=True, draws=DRAWS):
    """{estimator: {metric: predicted mean}} for one experiment of `all_estimates`; inf where the
    mean does not exist.

    With `reused` the frames are the joint samples' own blocks, so n_frames is k n_joint (shared W)
    or n_joint.
    """
    if reused:
        n_frames = n_joint * (model.k if model.shared else 1)
    found = {
        "J0": _predict_sample(model, n_joint),
        "LW": _predict_ledoit_wolf(model, n_joint),
        "J1": _predict_pca(model, n_joint, draws),
        **_predict_blocks(model, n_joint, n_frames, reused, deflate, draws),
    }
    unit = _by_metric(model.sigma**4, model.sigma**2, 1, 1)
    return {name: {m: float(row[m]) * unit[m] for m in METRICS} for name, row in found.items()}
