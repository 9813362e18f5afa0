"""Bad input to Section 3.2: each call gets an error that says the argument, what came and
what was expected."""

import numpy as np
import pytest
from bad_input import refused

from ldf_np.gaussian import curves, estimators, model, networks, theory

# name: (call, error, a part of its message)
CASES = {
    "linear_ali": (lambda: networks.linear_ali(None, 1), TypeError, "d: expected a whole number"),
    "model rho": (lambda: model.BlockModel(rho="a"), TypeError, "rho: expected a number"),
    "model theta": (lambda: model.BlockModel(theta=None),
                    TypeError, "theta: expected a number"),
    "model R": (lambda: model.BlockModel(k=2, R=np.eye(2) * 1j),
                ValueError, "R: expected real numbers"),
    "model rng": (lambda: model.BlockModel().frames(4, None),
                  TypeError, "rng: expected a numpy.random.Generator"),
    "measure": (lambda: estimators.measure(None, [8], 8, 1, None),
                TypeError, "model: expected a BlockModel"),
    "measure few": (lambda: estimators.measure(model.BlockModel(), [], 8, 1, None),
                    TypeError, "n_joints: expected a list"),
    "predict": (lambda: curves.predict(None, 8, 8), TypeError, "model: expected a BlockModel"),
    "model size": (lambda: model.BlockModel(k=10 ** 6, d=1), ValueError,
                   "BlockModel: k: an array of shape 1000000x1000000 would take"),
    "model sigma": (lambda: model.BlockModel(sigma=1e200), ValueError,
                    "BlockModel: sigma: expected a number in [1e-75, 1e+75]"),
    "model ratio": (lambda: model.BlockModel(theta=1e100), ValueError,
                    "BlockModel: theta / sigma^2: expected a number in [1e-150, 2.34624e+09]"),
    "lw nan": (lambda: theory.linear_shrinkage_weight([float("nan"), 1], 3), ValueError,
               "eigenvalues: expected finite numbers"),
    "lw none": (lambda: theory.linear_shrinkage_weight([], 3), ValueError,
                "eigenvalues: expected a row with a number above 0"),
    "lw b": (lambda: theory.linear_shrinkage_operator([1.0], 0.5, 1, 1), ValueError,
             "b: expected a number in [0, 1)"),
    "lw kl b": (lambda: theory.linear_shrinkage_kl([1.0, 2.0], 8, 0, 1), ValueError,
                "b: expected a number in (0, 1)"),
    "lw kl m": (lambda: theory.linear_shrinkage_kl([1.0, 2.0], 8, 0.5, 0), ValueError,
                "m: expected a positive number, got 0"),
    "gamma": (lambda: theory.bbp_threshold(-1.0),
              ValueError, "gamma: expected finite numbers of at least 0"),
    "theta nan": (lambda: theory.spike_cosine2([1.0, float("nan")], 0.5),
                  ValueError, "theta: expected finite numbers"),
    "wishart": (lambda: theory.wishart_kl(10, 2.5), TypeError, "p: expected a whole number"),
    "quantile": (lambda: theory.tracy_widom_quantile(1.5),
                 ValueError, "probability: expected a number in (0, 1)"),
    "autoregressive": (lambda: model.autoregressive(0.5, 2.5),
                       TypeError, "k: expected a whole number"),
    "power p": (lambda: theory.detection_power(1.0, 20, None),
                TypeError, "p: expected a whole number"),
    "power theta": (lambda: theory.detection_power(-1.0, 20, 10),
                    ValueError, "theta: expected finite numbers"),
    "spread theta": (lambda: theory.spike_spread(0, 0.5, 10),
                     ValueError, "theta: expected numbers above 0, got 0"),
    "spread n": (lambda: theory.spike_spread(1.0, 0.5, 0), ValueError, "n: expected numbers above"),
    "crossover": (lambda: theory.crossover_strength(-1, 2, 3),
                  ValueError, "k: expected finite numbers of at least 0, got -1"),
    "frobenius": (lambda: theory.wishart_frobenius(np.eye(2), 0),
                  ValueError, "n: expected numbers above 0, got 0"),
    "ledoit": (lambda: theory.ledoit_wolf_weight(np.ones(3), 0),
               ValueError, "n: expected numbers above 0, got 0"),
    "level none": (lambda: theory.critical_eigenvalue(20, 10, None),
                   TypeError, "level: expected a number"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_named(name):
    assert refused(*CASES[name]) is True
