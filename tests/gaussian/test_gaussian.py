"""Section 3.2 in closed form: every prediction against simulation, and for every formula an altered
one that must fail.

A check is `agrees`: the prediction lies within Z standard errors of the measured mean, plus, where
the law is only asymptotic, the stated allowance.  Seeds are fixed; Z = 3.5 would fail one right
prediction in two thousand.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad, simpson, solve_ivp
from scipy.special import airy

import ldf_np as ldf
from ldf_np.gaussian import curves, estimators, experiments, networks, pictures, theory
from ldf_np.gaussian.model import (
    METRICS,
    BlockModel,
    Covariance,
    autoregressive,
    autoregressive_slope,
    block_diagonal,
    errors,
    kl_divergence,
)

Z = 3.5


def agrees(values, predicted, allowance=0.0):
    values = np.asarray(values)
    error = values.std(ddof=1) / np.sqrt(len(values))
    return abs(values.mean() - predicted) <= Z * error + allowance * abs(predicted)


def squared_errors(model, n_joint, n_frames, repeats, seed=0, **options):
    rng = np.random.default_rng(seed)
    found = estimators.measure(model, [n_joint], n_frames, repeats, rng, metrics=("frobenius",),
                               **options)[n_joint]
    return {name: row["frobenius"] for name, row in found.items()}


def joint_errors(name, model, n, repeats, seed, metrics=METRICS):
    """{metric: `repeats` errors of an estimator that sees n joint samples}."""
    rng, truth = np.random.default_rng(seed), model.covariance()
    runs = [errors(estimators.joint_estimates(model.joint_samples(n, rng), model.sigma)[name],
                   truth, metrics) for _ in range(repeats)]
    return {metric: np.array([run[metric] for run in runs]) for metric in metrics}


def full_errors(model, n, blocks, repeats, rng, metrics=METRICS):
    """{metric: `repeats` errors of H-full} for blocks that were learned before."""
    truth = model.covariance()
    runs = [errors(estimators.hierarchical_estimates(model.joint_samples(n, rng), blocks,
                                                     1.0)["H-full"], truth, metrics)
            for _ in range(repeats)]
    return {metric: np.array([run[metric] for run in runs]) for metric in metrics}


def top_of_one_spike(theta, n, p, repeats, seed):
    """Largest eigenvalues and squared cosines of a spike in `repeats` data sets."""
    rng = np.random.default_rng(seed)
    return np.array([[part[0] for part in experiments.top_eigenvalues(np.array([[theta]]), n, p,
                                                                      rng)]
                     for _ in range(repeats)]).T


# ---------------------------------------------------------------------------- errors and estimators


def dense_errors(model, truth):
    def kl(a, b):
        return (np.trace(np.linalg.solve(b, a)) - len(a) + np.linalg.slogdet(b)[1]
                - np.linalg.slogdet(a)[1]) / 2

    return {
        "frobenius": np.sum((model - truth) ** 2),
        "operator": np.linalg.norm(model - truth, 2),
        "kl_forward": kl(truth, model),
        "kl_reverse": kl(model, truth),
    }


@given(seed=st.integers(0, 10**6), p=st.integers(2, 12), data=st.data())
def test_errors_of_structured_covariances_are_those_of_dense_ones(seed, p, data):
    rng = np.random.default_rng(seed)

    def draw():
        q = data.draw(st.integers(0, p))
        basis = np.linalg.qr(rng.standard_normal((p, q)))[0].reshape(p, q)
        if data.draw(st.booleans()):
            return Covariance(basis, rng.uniform(0.5, 3, q), rng.uniform(0.5, 2))
        root = rng.standard_normal((q, q))
        return Covariance(basis, root @ root.T + 0.3 * np.eye(q), rng.uniform(0.5, 2))

    one, two = draw(), draw()
    found, expected = errors(one, two), dense_errors(one.dense(), two.dense())
    assert found == pytest.approx(expected, rel=1e-7, abs=1e-8)


def test_estimators_are_what_they_are_called():
    model = BlockModel(k=3, d=6, r=2, rho=0.6, seed=4)
    rng = np.random.default_rng(5)
    x, frames = model.joint_samples(40, rng), model.frames(80, rng)
    flat = x.reshape(40, -1)
    S = flat.T @ flat / 40
    joint = estimators.joint_estimates(x, 1.0)
    np.testing.assert_allclose(joint["J0"].dense(), S, atol=1e-12)
    m = np.trace(S) / 18  # Ledoit-Wolf, as printed in their paper
    b2 = sum(np.sum((np.outer(row, row) - S) ** 2) for row in flat) / 40**2
    d2 = np.sum((S - m * np.eye(18)) ** 2)
    np.testing.assert_allclose(joint["LW"].dense(), b2 / d2 * m * np.eye(18) + (1 - b2 / d2) * S,
                               atol=1e-12)
    W, strength, _ = estimators.learn_blocks(frames, 2, 1.0)
    found = estimators.hierarchical_estimates(x, (W, strength, _), 1.0)
    basis = np.kron(np.eye(3), W[0])
    P = basis @ basis.T
    np.testing.assert_allclose(found["H-full"].dense(), P @ S @ P + np.eye(18) - P, atol=1e-12)
    independent = np.kron(np.eye(3), W[0] * strength[0] @ W[0].T) + np.eye(18)
    np.testing.assert_allclose(found["H0"].dense(), independent, atol=1e-12)


def test_the_model_has_the_covariance_it_states():
    model = BlockModel(k=3, d=4, r=2, theta=1.5, sigma=0.7, rho=-0.6, shared=False, seed=3)
    x = model.joint_samples(60_000, np.random.default_rng(0)).reshape(-1, 12)
    stated = model.covariance().dense()
    np.testing.assert_allclose(x.T @ x / len(x), stated, atol=0.05)
    np.testing.assert_allclose(np.linalg.eigvalsh(stated)[::-1][:6],
                               0.49 * (1 + model.strengths), atol=1e-12)
    for i, part in enumerate(model.frames(40_000, np.random.default_rng(1))):
        block = slice(4 * i, 4 * i + 4)
        np.testing.assert_allclose(part.T @ part / 4e4, stated[block, block], atol=0.08)


# ----------------------------------------------------------------------------------- exact: Wishart


@pytest.mark.parametrize("k, d, rho, theta, n",
                         [(2, 4, 0.5, 1.0, 20), (3, 5, 0.9, 2.0, 40), (2, 3, -0.7, 0.5, 12)])
def test_sample_covariance_exactly(k, d, rho, theta, n):
    model = BlockModel(k=k, d=d, rho=rho, theta=theta, sigma=1.3)
    predicted = curves.predict(model, n, 50, draws=2)["J0"]
    measured = joint_errors("J0", model, n, 600, seed=1)
    for metric in ("frobenius", "kl_forward", "kl_reverse"):
        assert agrees(measured[metric], predicted[metric]), metric
    dense, p = model.covariance().dense(), k * d
    assert not agrees(measured["frobenius"], np.trace(dense) ** 2 / n)  # without tr Sigma^2
    # n - p for n - p - 1
    assert not agrees(measured["kl_forward"],
                      (n * p / (n - p) - p + theory.wishart_logdet(n, p)) / 2)
    # as if the mean were estimated
    assert not agrees(measured["kl_reverse"], -theory.wishart_logdet(n - 1, p) / 2)


def test_sample_covariance_has_no_finite_kl_with_too_few_samples():
    model = BlockModel(k=2, d=5, seed=1)
    for n, finite in ((9, (False, False)), (10, (False, True)), (11, (False, True)),
                      (12, (True, True))):
        predicted = curves.predict(model, n, 50, draws=2)["J0"]
        assert (np.isfinite(predicted["kl_forward"]),
                np.isfinite(predicted["kl_reverse"])) == finite
    few = estimators.joint_estimates(model.joint_samples(9, np.random.default_rng(0)), 1.0)["J0"]
    assert errors(few, model.covariance())["kl_forward"] == np.inf


def test_full_code_covariance_exactly_given_the_directions():
    """H-full splits into directions + Wishart exactly, whatever the directions: here they are fixed
    and bad."""
    model = BlockModel(k=4, d=6, r=2, theta=2.0, rho=0.7, seed=2)
    truth, rng, n, q = model.covariance(), np.random.default_rng(3), 25, 8
    blocks = estimators.learn_blocks(model.frames(12, rng), 2, 1.0)
    basis = block_diagonal(np.broadcast_to(blocks[0], (4, 6, 2)))
    codes = truth.within(basis)
    at_best = errors(Covariance(basis, codes, 1.0), truth)
    measured = full_errors(model, n, blocks, 400, rng)
    forward, reverse = theory.wishart_kl(n, q)
    assert agrees(measured["frobenius"],
                  at_best["frobenius"] + theory.wishart_frobenius(codes, n))
    assert agrees(measured["kl_forward"], at_best["kl_forward"] + forward)
    assert agrees(measured["kl_reverse"], at_best["kl_reverse"] + reverse)
    assert not agrees(measured["frobenius"],
                      at_best["frobenius"] + theory.wishart_frobenius(codes - np.eye(q), n))
    assert not agrees(measured["kl_forward"], forward)
    assert not agrees(measured["kl_reverse"], reverse)


def test_full_code_covariance_at_thirty_samples_is_skewed_not_mispredicted():
    """The median is far below the predicted mean, 5.4, and so are means of few repeats."""
    model = BlockModel(k=5, d=60, rho=0.9)
    predicted = curves.block_limit(model, 30, 4000)["H-full"]
    assert predicted == pytest.approx(5.4, abs=0.05)
    rng, values = np.random.default_rng(0), []
    for _ in range(35):  # directions matter little here: ten data sets share them
        blocks = estimators.learn_blocks(model.frames(4000, rng), 1, 1.0)
        values.append(full_errors(model, 30, blocks, 10, rng, ("frobenius",))["frobenius"])
    assert agrees(np.mean(values, axis=1), predicted)
    assert not agrees(np.mean(values, axis=1), 4.4)
    assert np.median(values) < 0.9 * predicted


# ------------------------------------------------------------------------------- asymptotic: spikes


@pytest.mark.parametrize("theta, n, p", [(2.0, 150, 150), (3.0, 100, 200), (0.6, 1500, 60)])
def test_a_spike_moves_turns_and_spreads_as_predicted(theta, n, p):
    gamma = p / n
    value, cosine2 = top_of_one_spike(theta, n, p, 100, seed=7)
    assert agrees(value, theory.spike_eigenvalue(theta, gamma), allowance=0.01)
    assert agrees(cosine2, theory.spike_cosine2(theta, gamma), allowance=0.02)
    noise = Z / np.sqrt(2 * 100)
    assert value.std(ddof=1) == pytest.approx(theory.spike_spread(theta, gamma, n), rel=noise)
    assert not agrees(value, 1 + theta, allowance=0.01)  # unshifted
    assert not agrees(cosine2, 1 - gamma / theta**2, allowance=0.02)  # without the denominator
    # without the 2
    assert value.std(ddof=1) != pytest.approx(theory.spike_spread(theta, gamma, 2 * n), rel=noise)


def test_a_spike_below_the_threshold_is_lost():
    """Below BBP the top eigenvalue stays at the edge and its vector knows nothing of the spike (n =
    400, p = 400)."""
    value, cosine2 = top_of_one_spike(0.5, 400, 400, 20, seed=8)
    assert agrees(value, theory.bulk_edge(1.0), allowance=0.02)
    assert cosine2.mean() < 0.05
    assert theory.spike_cosine2(0.5, 1.0) == 0
    assert theory.shrunk_strength(theory.bulk_edge(1.0), 1.0) == 0


@given(theta=st.floats(0.01, 50), gamma=st.floats(0.001, 20))
def test_shrinkage_undoes_the_shift(theta, gamma):
    value = theory.spike_eigenvalue(theta, gamma)
    found = theory.unshifted_spike(value, gamma)
    if theta > 1.001 * theory.bbp_threshold(gamma):
        assert found == pytest.approx(theta, rel=1e-4)
        a = np.linspace(0, theta, 2001)
        best = a[np.argmin(a * a - 2 * a * theta * theory.spike_cosine2(theta, gamma))]
        assert theory.shrunk_strength(value, gamma) == pytest.approx(best, abs=theta / 900)
    elif theta < theory.bbp_threshold(gamma):
        assert found == 0


@pytest.mark.parametrize("p", [30, 3])
def test_top_eigenvalues_are_those_of_the_whole_matrix(p):
    grid = np.outer([0.3, 1.0, 4.0], BlockModel(k=3, d=10, rho=0.8).mu)
    value, cosine2 = experiments.top_eigenvalues(grid, 25, p, np.random.default_rng(11))
    z = np.random.default_rng(11).standard_normal((25, p))
    for strengths, v, c in zip(grid, value, cosine2, strict=True):
        x = z * np.sqrt(1 + np.append(strengths, np.zeros(p - 3)))
        values, vectors = np.linalg.eigh(x.T @ x / 25)
        assert v == pytest.approx(values[-1], rel=1e-9)
        assert c == pytest.approx(vectors[0, -1] ** 2, rel=1e-5)


@pytest.mark.parametrize(
    "settings, n, allowance",
    [
        (dict(k=5, d=30, rho=0.9), 128, 0.03),
        # four equal spikes: the limit alone is 10% off
        (dict(k=4, d=30, rho=0.0, theta=1.5), 400, 0.03),
        (dict(k=3, d=40, r=2, rho=0.7, theta=2.0, sigma=1.4), 300, 0.04),
        (dict(k=6, d=25, rho=-0.5, theta=1.2, shared=False), 500, 0.03),
    ],
)
def test_joint_pca(settings, n, allowance):
    model = BlockModel(**settings, seed=1)
    measured = joint_errors("J1", model, n, 50, seed=2)
    predicted = curves.predict(model, n, 100)["J1"]
    for metric in METRICS:
        assert agrees(measured[metric], predicted[metric], allowance), metric
    strength, gamma = model.strengths, model.p / n
    c2 = theory.spike_cosine2(strength, gamma)
    values = measured["frobenius"]
    # c^2 for c^4
    assert not agrees(values, model.sigma**4 * np.sum(strength**2 * (1 - c2)), allowance)
    # l for l - 1
    assert not agrees(values, model.sigma**4 * np.sum(((1 + strength) ** 2) * (1 - c2**2)),
                      allowance)


def test_equal_spikes_need_the_noise_that_the_limit_leaves_out():
    model = BlockModel(k=5, d=60, rho=0.0)
    values = [joint_errors("J1", model, 1000, 1, seed, ("frobenius",))["frobenius"][0]
              for seed in range(25)]
    assert agrees(values, curves.predict(model, 1000, 100)["J1"]["frobenius"])
    assert not agrees(values, curves.pca_limit(model, 1000))


# --------------------------------------------------------------------- asymptotic: linear shrinkage


@pytest.mark.parametrize(
    "settings, n",
    [(dict(k=5, d=40, rho=0.9), 25), (dict(k=4, d=40, rho=0.5, theta=2.0), 120),
     (dict(k=2, d=50, rho=0.3), 300)],
)
def test_ledoit_wolf(settings, n):
    model = BlockModel(**settings, sigma=0.8)
    measured = joint_errors("LW", model, n, 60, seed=3)
    predicted = curves.predict(model, n, 100, draws=2)["LW"]
    for metric in METRICS:
        assert agrees(measured[metric], predicted[metric], 0.04), metric
    spectrum = 1 + np.append(model.strengths, np.zeros(model.p - model.k))
    b, m = theory.linear_shrinkage_weight(spectrum, n)[0], spectrum.mean()
    assert not agrees(measured["kl_forward"],
                      theory.linear_shrinkage_kl(spectrum, 2 * n, b, m)[0], 0.04)
    if n == 25:  # the oracle's loss is not what the estimate attains
        assert not agrees(measured["frobenius"],
                          theory.linear_shrinkage_weight(spectrum, n)[1] * 0.8**4, 0.04)


@pytest.mark.parametrize(
    "settings, n",
    [
        (dict(k=5, d=40, rho=0.9), 60),
        (dict(k=4, d=50, rho=0.9, theta=2.0), 400),
        (dict(k=2, d=60, rho=0.1, theta=0.3), 240),
    ],
)
def test_operator_norm_of_the_sample_covariance(settings, n):
    model = BlockModel(**settings)
    values = joint_errors("J0", model, n, 40, 4, ("operator",))["operator"]
    gamma = model.p / n
    assert agrees(values, theory.linear_shrinkage_operator(model.strengths, gamma, 0.0, 0.0), 0.04)
    assert not agrees(values, theory.bulk_edge(gamma), 0.04)  # the norm of S, not of S - Sigma


# ------------------------------------------------------------------------ asymptotic: the hierarchy


@pytest.mark.parametrize(
    "settings, n, frames",
    [
        (dict(k=5, d=60, rho=0.9), 256, 1000),
        (dict(k=3, d=20, r=2, theta=2.0, sigma=1.5, rho=0.5), 100, 400),
        (dict(k=4, d=30, rho=-0.6, shared=False), 80, 300),
        (dict(k=8, d=50, theta=0.35, rho=0.95), 200, 1600),
    ],
)
def test_hierarchy(settings, n, frames):
    model = BlockModel(**settings, seed=5)
    values = squared_errors(model, n, frames, 90, joint=False)
    predicted = curves.predict(model, n, frames)
    for name in ("H0", "H-full", "H-par"):
        assert agrees(values[name], predicted[name]["frobenius"], 0.05), name
    theta, R, r = model.theta, model.R, model.r
    c2 = float(theory.spike_cosine2(theta / model.sigma**2, model.d / frames))
    codes = np.kron(theta * c2 * R, np.eye(r)) + model.sigma**2 * np.eye(model.k * r)
    noise, norm2 = theory.wishart_frobenius(codes, n), r * theta**2 * np.sum(R**2)
    assert not agrees(values["H0"], norm2 * (1 - c2**2), 0.05)  # as if R were known
    assert not agrees(values["H-full"], noise, 0.05)  # directions for free
    assert not agrees(values["H-par"], norm2 * (1 - c2), 0.05)  # c^2 for c^4


def test_hierarchy_in_every_metric():
    model = BlockModel(k=5, d=30, rho=0.8)
    found = estimators.measure(model, [60], 1000, 100, np.random.default_rng(6), joint=False)[60]
    predicted = curves.predict(model, 60, 1000)
    for metric in METRICS:
        for name in ("H0", "H-full", "H-par"):
            assert agrees(found[name][metric], predicted[name][metric], 0.03), (name, metric)
        assert not agrees(found["H-full"][metric], predicted["H-par"][metric], 0.03)
        assert not agrees(found["H-par"][metric], predicted["H0"][metric], 0.03)


def test_closed_forms_are_the_limit_of_the_predictions():
    model = BlockModel(k=4, d=300, r=2, rho=0.6, theta=1.3, sigma=1.1)
    predicted = curves.predict(model, 5000, 60_000, draws=100)
    for name, value in curves.block_limit(model, 5000, 60_000).items():
        assert predicted[name]["frobenius"] == pytest.approx(value, rel=0.02), name


@pytest.mark.parametrize("k, rho, a, r, n", [(5, 0.9, 0.5, 1, 400), (4, 0.5, 0.4, 2, 400),
                                             (6, -0.4, 0.6, 1, 600)])
def test_one_parameter_costs_what_fisher_says(k, rho, a, r, n):
    """With theta = 1, a = c^2: the slope term of H-par carries c^4, not c^2."""
    rng = np.random.default_rng(9)
    R = autoregressive(rho, k)
    root = np.linalg.cholesky(a * R + np.eye(k))
    found = []
    for _ in range(300):
        y = rng.standard_normal((n * r, k)) @ root.T
        found.append(estimators.fit_rho(y.T @ y / (n * r), a))
    information = curves.fisher_information(rho, k, a, n, r)
    assert np.var(found) == pytest.approx(1 / information, rel=0.25)
    without_the_noise_of_W = curves.fisher_information(rho, k, 1.0, n, r)
    assert np.var(found) != pytest.approx(1 / without_the_noise_of_W, rel=0.25)
    cost = [a**2 * np.sum((autoregressive(q, k) - R) ** 2) for q in found]
    slope2 = np.sum(autoregressive_slope(rho, k) ** 2)
    assert agrees(cost, a**2 * slope2 / information, 0.08)
    assert not agrees(cost, a * slope2 / information, 0.08)
    limit, spread = curves.rho_limit(R, a, n, r)
    assert limit == pytest.approx(rho, abs=1e-5)
    assert spread == pytest.approx(information**-0.5, rel=1e-3)


def test_the_wrong_family_keeps_a_distance_that_no_number_of_samples_removes():
    R = np.array([[1, 0.2, 0.6], [0.2, 1, 0.2], [0.6, 0.2, 1]])
    model = BlockModel(k=3, d=40, R=R)
    values = squared_errors(model, 300, 1000, 100, joint=False)
    predicted = curves.predict(model, 300, 1000)["H-par"]["frobenius"]
    assert agrees(values["H-par"], predicted, 0.02)
    many = curves.predict(model, 20_000, 20_000, draws=50)
    assert many["H-full"]["frobenius"] < 0.05 < 0.2 < many["H-par"]["frobenius"]
    rho, sd = curves.rho_limit(R, 1.0, 300)
    rng = np.random.default_rng(1)
    root = np.linalg.cholesky(R + np.eye(3))
    found = []
    for _ in range(300):
        y = rng.standard_normal((300, 3)) @ root.T
        found.append(estimators.fit_rho(y.T @ y / 300, 1.0))
    assert agrees(found, rho, 0.02) and np.std(found) == pytest.approx(sd, rel=0.2)


@pytest.mark.parametrize("shared", [True, False])
def test_frames_cut_from_the_joint_samples_swell_their_codes(shared):
    """In-sample codes are too large by (1 + gamma/theta)^2; deflated, reused frames do as well as
    fresh ones."""
    model = BlockModel(k=4, d=50, theta=1.0, rho=0.7, shared=shared)
    n = 150
    gamma = model.d / (n * (4 if shared else 1))
    rng, found = np.random.default_rng(2), []
    for _ in range(60):
        x = model.joint_samples(n, rng)
        W = estimators.learn_blocks(model.frames_of(x), 1, 1.0)[0]
        y = estimators.encode(x, W)[..., 0]
        y *= np.sign(np.einsum("kd,kd->k", np.broadcast_to(W, (4, 50, 1))[..., 0], model.W[..., 0]))
        found.append(y.T @ y / n)
    found, c2 = np.array(found), float(theory.spike_cosine2(1.0, gamma))
    swollen = (1 + gamma) ** 2
    diagonal = found[:, range(4), range(4)].mean(axis=1)
    beside = found[:, range(3), range(1, 4)].mean(axis=1)
    assert agrees(diagonal, swollen * (1 + c2), 0.02) and agrees(beside, swollen * 0.7 * c2, 0.02)
    assert not agrees(diagonal, 1 + c2, 0.02)
    for deflate in (True, False):
        values = squared_errors(model, n, n, 50, reused=True, deflate=deflate,
                                joint=False)["H-full"]
        right, wrong = (curves.predict(model, n, n, reused=True, deflate=d)["H-full"]["frobenius"]
                        for d in (deflate, not deflate))
        assert agrees(values, right, 0.04)
        assert not agrees(values, wrong, 0.04)


def test_blocks_with_their_own_axes_are_aligned():
    rng = np.random.default_rng(3)
    y = rng.standard_normal((500, 3, 2))
    y[:, 1], y[:, 2] = 0.8 * y[:, 0] + 0.6 * y[:, 1], 0.5 * y[:, 0] + 0.8 * y[:, 2]
    turns = [np.linalg.qr(rng.standard_normal((2, 2)))[0] for _ in range(3)]
    turned = np.stack([y[:, i] @ turns[i] for i in range(3)], axis=1)
    W = np.stack([np.eye(4)[:, :2] @ turns[i] for i in range(3)])
    found, axes = estimators.align_codes(turned, W)
    for i in (1, 2):
        cross = found[:, i].T @ found[:, i - 1]
        np.testing.assert_allclose(cross, cross.T, atol=1e-9)
        assert np.linalg.eigvalsh(cross)[0] > 0
    np.testing.assert_allclose(np.einsum("kdr,nkr->nkd", axes, found),
                               np.einsum("kdr,nkr->nkd", W, turned), atol=1e-9)


# ---------------------------------------------------------------------------------------- detection


def painleve_tracy_widom(points):
    """F_1 the other way, by Painleve II: q'' = s q + 2 q^3, q ~ Ai;
    F_1(s)^2 = exp(-int_s^inf q + (x - s) q^2)."""
    start = 6.0
    ai, slope = airy(start)[:2]
    tail = quad(lambda x: airy(x)[0], start, 20)[0]

    def step(s, y):  # y = q, q', int q, int q^2, int (x - s) q^2, the integrals from s on
        q, slope, _, square, _ = y
        return [slope, s * q + 2 * q**3, -q, -q * q, -square]

    found = solve_ivp(step, (start, min(points)), [ai, slope, tail, 0.0, 0.0],
                      t_eval=np.sort(points)[::-1], rtol=1e-11, atol=1e-14)
    return np.exp(-(found.y[2] + found.y[4]) / 2)[::-1]


def test_tracy_widom_law():
    """Against the Hastings-McLeod solution; the usual critical values; mean and variance as in
    Bornemann (2010)."""
    s = np.array([-5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
    np.testing.assert_allclose(theory.tracy_widom_cdf(s), painleve_tracy_widom(s), rtol=1e-5)
    # a normal law is not enough
    normal = stats.norm.cdf(s, -1.2065, 1.2680)
    assert np.abs(theory.tracy_widom_cdf(s) - normal).max() > 0.005
    for probability, quantile in ((0.9, 0.4501), (0.95, 0.9793), (0.99, 2.0234)):
        assert theory.tracy_widom_quantile(probability) == pytest.approx(quantile, abs=1e-4)
    s = np.linspace(-8, 8, 161)
    F = theory.tracy_widom_cdf(s)
    mean, square = 8 - simpson(F, x=s), 64 - 2 * simpson(s * F, x=s)             # by parts
    assert mean == pytest.approx(-1.2065335746, abs=1e-5)
    assert square - mean**2 == pytest.approx(1.6077810346, abs=1e-5)


@pytest.mark.parametrize("n, p", [(300, 100), (4000, 60)])
def test_pure_noise_follows_tracy_widom(n, p):
    rng = np.random.default_rng(10)
    tops = n * experiments.white_top_eigenvalues(n, p, 3000, rng)
    grid = np.linspace(-7, 7, 141)
    cdf = theory.tracy_widom_cdf(grid)

    def distance(mu, s):
        return stats.kstest(np.interp((tops - mu) / s, grid, cdf), "uniform").statistic

    bound = 1.63 / np.sqrt(3000)  # Kolmogorov's 1% point, and 0.01 for the asymptotics
    mu, s = theory.tracy_widom_scale(n, p)
    assert distance(mu, s) < bound + 0.01
    assert distance(mu, 1.25 * s) > bound + 0.01
    for level in (0.1, 0.05):
        alarms = np.mean(tops > n * theory.critical_eigenvalue(n, p, level))
        assert alarms == pytest.approx(level, abs=Z * np.sqrt(level / 3000))
    if n == 4000:  # Johnstone's centring, of a lower order
        a, b = np.sqrt(n - 1), np.sqrt(p)
        assert distance((a + b) ** 2, (a + b) * (1 / a + 1 / b) ** (1 / 3)) > bound + 0.01


def test_the_bidiagonal_model_has_the_law_of_a_whole_matrix():
    rng = np.random.default_rng(13)
    for n, p in ((30, 60), (50, 20)):
        direct = np.linalg.norm(rng.standard_normal((1500, n, p)), 2, axis=(1, 2)) ** 2 / n
        assert stats.ks_2samp(experiments.white_top_eigenvalues(n, p, 1500, rng),
                              direct).pvalue > 0.001
        assert stats.ks_2samp(experiments.white_top_eigenvalues(n + 5, p, 1500, rng),
                              direct).pvalue < 0.001


def test_detection_power():
    n, p, rng = 200, 100, np.random.default_rng(12)
    theta = np.array([0.2, 1.2, 1.6])
    values = np.array([experiments.top_eigenvalues(theta[:, None], n, p, rng)[0]
                       for _ in range(120)])
    power = np.mean(values > theory.critical_eigenvalue(n, p), axis=0)
    predicted = theory.detection_power(theta, n, p)
    assert predicted[0] == 0.05 and np.all(np.abs(power - predicted) < Z * np.sqrt(0.25 / 120))
    assert abs(power[1] - theory.detection_power(1.2, n // 4, p)) > Z * np.sqrt(0.25 / 120)


def test_thresholds_cross_where_predicted():
    k, d, n_joint = 5, 60, 256
    for frames in (64, 256, 4000):
        crossover = theory.crossover_strength(k, frames, n_joint)
        joint = np.sqrt(k * d / n_joint) / crossover
        assert joint == pytest.approx(theory.bbp_threshold(d / frames))
    # k frames a sample: mu_1 <= k
    assert theory.crossover_strength(5, 1280, 256) == pytest.approx(5)


# --------------------------------------------------------------------------------- reference values


def test_reference_values():
    """Numbers from outside this code: rho = 0.9, 256 joint samples, 4000 frames; and a spread
    signal."""
    predicted = curves.predict(BlockModel(rho=0.9), 256, 4000, draws=150)
    for name, seen, allowance in (("J0", 363, 0.01), ("J1", 9.0, 0.05), ("H-full", 1.7, 0.1),
                                  ("H-par", 1.26, 0.12), ("H0", 13.7, 0.01)):
        assert predicted[name]["frobenius"] == pytest.approx(seen, rel=allowance), name
    for name, shared, frames, seen, allowance in (
            ("J1", False, 200, 5.4, 0.05), ("H-par", False, 200, 6.2, 0.05),
            ("H-par", True, 1600, 3.2, 0.08), ("H-par", False, 4000, 1.6, 0.05)):
        model = BlockModel(k=8, d=50, theta=0.35, rho=0.95, shared=shared)
        found = curves.predict(model, 200, frames)[name]["frobenius"]
        assert found == pytest.approx(seen, rel=allowance), (name, shared, frames)


# ----------------------------------------------------------------------------------- bad parameters


@pytest.mark.parametrize(
    "settings, name",
    [
        (dict(rho=1.0), "rho"),
        (dict(rho=-1.5), "rho"),
        (dict(rho=float("nan")), "rho"),
        (dict(r=61), "r: "),
        (dict(r=0), "r: "),
        (dict(k=1), "k: "),
        (dict(d=0), "d: "),
        (dict(d=2.5), "d: "),
        (dict(theta=0.0), "theta"),
        (dict(theta=float("nan")), "theta"),
        (dict(sigma=-1.0), "sigma"),
        (dict(k=2, R=[[1, 2], [2, 1]]), "R: expected a positive definite"),
        (dict(k=3, R=np.eye(2)), "R: expected real numbers of shape"),
        (dict(k=2, R=[[1, 0.5], [0.4, 1]]), "R: expected a finite and symmetric"),
        (dict(k=2, R=[[2, 0], [0, 1]]), "R: expected a unit diagonal"),
        (dict(seed=-1), "seed"),
    ],
)
def test_bad_models_are_named(settings, name):
    with pytest.raises((TypeError, ValueError), match=f"^BlockModel: {name}"):
        BlockModel(**settings)


@pytest.mark.parametrize("settings", [dict(theta=3.6e9), dict(theta=1e-150),
                                      dict(sigma=1e-30, theta=3.6e-51),
                                      dict(sigma=1e75, theta=1e150)])
def test_the_outermost_models_have_finite_errors(settings):
    model = BlockModel(k=3, d=10, **settings)
    found = curves.predict(model, 40, 100, draws=2)
    assert all(np.isfinite(value) for part in found.values() for value in part.values())
    measured = estimators.measure(model, [40], 100, 2, np.random.default_rng(0))[40]
    assert all(np.isfinite(values).all() for part in measured.values() for values in part.values())
    truth = model.covariance()
    assert abs(kl_divergence(truth, truth)) < 1e-3


def test_a_model_with_something_replaced():
    """R is made anew of another rho, and rho is kept where R was made of it."""
    model = BlockModel(k=2, d=3, rho=0.7)
    other = dataclasses.replace(model, theta=2.0)
    assert other.rho == 0.7 and "H-par" in curves.block_limit(other, 30, 100)
    other = dataclasses.replace(model, rho=0.5, R=None)
    assert (other.rho, other.R[0, 1]) == (0.5, 0.5)
    with pytest.raises(ValueError, match="BlockModel: rho, R: expected one of them alone"):
        dataclasses.replace(model, rho=0.5)
    own = BlockModel(k=2, d=3, R=[[1, 0.2], [0.2, 1]])
    assert own.rho is None and dataclasses.replace(own, theta=2.0).rho is None
    assert BlockModel(k=2, d=3).rho == 0.9
    with pytest.raises(ValueError, match="read-only"):
        model.R[0, 1] = 0
    with pytest.raises(TypeError, match="BlockModel: rho: expected a number, got 'x'"):
        BlockModel(k=2, R=np.eye(2), rho="x")


@pytest.mark.parametrize("shape, expected", [([1.0], 1), ([1.0, 1.0], 1), ([1.0, 0.999], 0)])
def test_the_direction_of_spikes_that_are_as_strong(shape, expected):
    """With a spike as strong the first eigenvector lies anywhere in both their plane."""
    rng, n, p, theta = np.random.default_rng(0), 400, 20, 3.0
    found = [experiments.top_eigenvalues(theta * np.array([shape]), n, p, rng)[1][0]
             for _ in range(60)]
    predicted = theory.spike_cosine2(theta, p / n)
    close = abs(np.mean(found) - predicted) < 0.02
    assert close == bool(expected)      # one nearly as strong is another direction: the control


def test_powers_of_spikes_that_are_as_strong_are_not_predicted():
    effort = dataclasses.replace(experiments.FULL, transition_repeats=3, null_draws=50)
    found = experiments.transition({"two": BlockModel(k=2, d=10, r=2)}, [20, 40], 200, effort,
                                   np.random.default_rng(0))
    for view in found["views"].values():
        assert np.isnan(view["power_predicted"]).all() and np.isfinite(view["power"]).all()
        assert np.isnan(view["roc"]["power_predicted"]).all()
    found = experiments.transition({"one": BlockModel(k=2, d=10)}, [20, 40], 200, effort,
                                   np.random.default_rng(0))
    assert all(np.isfinite(view["power_predicted"]).all() for view in found["views"].values())


@pytest.mark.parametrize("settings, n, known", [
    ({"rho": 0.95}, 200, True), ({"rho": 0.95, "r": 2}, 200, False), ({"rho": 0.3}, 10, False),
    ({"rho": 0.95, "r": 2, "shared": True}, 200, True)])
def test_axes_that_may_be_turned_wrongly_are_not_predicted(settings, n, known):
    model = BlockModel(**{"k": 4, "d": 20, "shared": False} | settings)
    found = curves.predict(model, n, 400, draws=2)
    assert np.isfinite([*found["H-par"].values()]).all() == known
    assert np.isfinite([*found["H-full"].values(), *found["H0"].values()]).all()


def test_labels_that_would_lie_on_one_another_are_left_out():
    assert pictures.apart([20, 25, 30, 35, 100, 1000]) == [20, 30, 100, 1000]
    assert pictures.apart([30]) == [30]


def test_integers_are_numbers():
    """Products of int8 would overflow."""
    x = np.random.default_rng(0).integers(-100, 100, (30, 3, 4)).astype(np.int8)
    for name, found in estimators.joint_estimates(x, 1.0).items():
        np.testing.assert_allclose(found.dense(),
                                   estimators.joint_estimates(x.astype(float), 1.0)[name].dense())
    frames = x.transpose(1, 0, 2)
    np.testing.assert_allclose(estimators.learn_blocks(frames, 1, 1.0)[2],
                               estimators.learn_blocks(frames.astype(float), 1, 1.0)[2])


def test_a_number_of_samples_given_twice_is_measured_once():
    found = estimators.measure(BlockModel(k=2, d=3), [20, 20], 10, 4, np.random.default_rng(0))
    assert {len(values) for part in found[20].values() for values in part.values()} == {4}


@pytest.mark.parametrize("rho", [0.9999, -0.99, 0.999999])
def test_a_rho_near_one(rho):
    """Beside the best of 4,000 values of atanh(rho)."""
    rng, k, a = np.random.default_rng(0), 3, 1e5
    C = a * autoregressive(rho, k) + np.eye(k)
    z = rng.standard_normal((50, k)) @ np.linalg.cholesky(C).T
    T = z.T @ z / len(z)

    def loss(rho):
        C = a * autoregressive(rho, k) + np.eye(k)
        return np.linalg.slogdet(C)[1] + np.sum(np.linalg.inv(C) * T)

    best = min(loss(np.tanh(u)) for u in np.linspace(-8.9, 8.9, 4000))
    assert loss(estimators.fit_rho(T, a)) < best + 1e-3


def test_a_model_is_immutable_and_its_numbers_are_plain():
    model = BlockModel(k=np.int64(3), theta=1, sigma=np.float32(2))
    assert type(model.k) is int and type(model.theta) is float and type(model.sigma) is float
    with pytest.raises(AttributeError):
        model.k = 4


def test_bad_numbers_of_samples_are_named():
    model, rng = BlockModel(k=2, d=3), np.random.default_rng(0)
    for call, name in (
        (lambda: model.joint_samples(1, rng), "BlockModel.joint_samples: n: "),
        (lambda: model.frames(1, rng), "BlockModel.frames: n: "),
        (lambda: curves.predict(model, 1, 10), "predict: n_joint: "),
        (lambda: curves.predict(model, 10, 1), "predict: n_frames: "),
        (lambda: estimators.measure(model, [1, 10], 10, 2, rng), r"measure: n_joints\[0\]: "),
        (lambda: estimators.measure(model, [10], 1, 2, rng), "measure: n_frames: "),
        (lambda: estimators.all_estimates(model, 1, 10, rng), "all_estimates: n_joint: "),
        (lambda: estimators.all_estimates(model, 10, 1, rng), "all_estimates: n_frames: "),
        (lambda: estimators.measure(model, [10], 10, 0, rng), "measure: repeats: "),
    ):
        with pytest.raises(ValueError, match=f"^{name}expected at least"):
            call()
    # of no account where the joint samples' own are used
    assert estimators.all_estimates(model, 10, None, rng, reused=True)
    assert curves.predict(model, 10, None, reused=True, draws=2)


# -------------------------------------------------------------------------------- the same, trained


def test_trained_ldf_comes_near_its_formula_and_joint_does_not_beat_its_own():
    model = BlockModel(k=3, d=20, theta=1.0, rho=0.8, seed=1)
    rng, truth, n = np.random.default_rng(1), model.covariance(), 80
    frames, x = model.frames(1500, rng), model.joint_samples(n, rng)
    blocks = estimators.learn_blocks(frames, 1, 1.0)
    fitted = {**estimators.joint_estimates(x, 1.0),
              **estimators.hierarchical_estimates(x, blocks, 1.0)}
    full, best = (errors(fitted[name], truth)["frobenius"] for name in ("H-full", "J1"))
    x = x.astype(np.float32)
    ali = networks.linear_ali(20, 1, seed=1)
    ali.fit(frames[0].astype(np.float32), steps=250, batch_size=128)
    ldf_ = networks.linear_ldf(ali, 3, 1, seed=1)
    untrained = networks.linear_ldf(networks.linear_ali(20, 1, seed=1), 3, 1, seed=1)
    networks.fit_top(ldf_, x, 200)
    learned = networks.ldf_covariance(ldf_)
    assert errors(learned, truth)["frobenius"] < 2 * full
    networks.fit_top(untrained, x, 1)  # it is the training that did it
    assert errors(networks.ldf_covariance(untrained), truth)["frobenius"] > 2 * full
    gan, path = networks.linear_joint_gan(60, 3, seed=1), []

    def watch(history):
        if history.steps % 25 == 0:
            path.append(errors(networks.gan_covariance(gan), truth)["frobenius"])

    gan.fit(x.reshape(n, -1), steps=200, batch_size=80, callback=watch)
    assert min(path) > best

    # the covariance read off is that of what is sampled
    codes = ldf_.top.sample(40_000, ldf.Generator(5))
    h = ldf_.whitening.invert(codes).reshape(-1, 1) - ldf_.whitening.mean.data.mean()
    G = ali.decoder.body.weight.data
    noise = np.random.default_rng(6).standard_normal((len(h), 20))
    Q = np.linalg.qr(G.T)[0]
    drawn = (h @ G + noise - noise @ Q @ Q.T).reshape(40_000, 60)
    np.testing.assert_allclose(np.cov(drawn.T), learned.dense(), atol=0.06)


@pytest.mark.parametrize("rho", [0.9, 0.98, 0.999])
def test_the_model_of_one_parameter_is_predicted_where_the_dependence_is_strong(rho):
    model = BlockModel(k=5, d=60, rho=rho)
    predicted = curves.predict(model, 30, 4000)["H-par"]["frobenius"]
    measured = estimators.measure(model, [30], 4000, 20, np.random.default_rng(0), joint=False)
    assert predicted == pytest.approx(measured[30]["H-par"]["frobenius"].mean(), rel=0.2)


def test_rounding_below_zero_is_zero():
    x = np.random.default_rng(0).standard_normal((1, 2, 4)).repeat(30, axis=0)      # of one rank
    estimates = estimators.joint_estimates(x, 1.0)
    assert {"J0", "J1", "LW"} <= set(estimates)
