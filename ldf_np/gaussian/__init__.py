"""Section 3.2 made exact: a Gaussian object of correlated blocks, and what its covariance costs to
learn."""

from .estimators import (
    align_codes,
    all_estimates,
    encode,
    fit_rho,
    hierarchical_estimates,
    joint_estimates,
    learn_blocks,
    measure,
)
from .experiments import top_eigenvalues, white_top_eigenvalues
from .model import (
    METRIC_NAMES,
    METRICS,
    BlockModel,
    Covariance,
    autoregressive,
    autoregressive_slope,
    block_diagonal,
    errors,
    kl_divergence,
)
