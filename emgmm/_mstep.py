"""The M-step: statistics and a family to a mixture."""

from __future__ import annotations

import numpy as np

from ._families import CovarianceFamily
from ._mixture import Mixture
from ._statistics import Statistics

# Least share of the rows that a component is taken to hold, so that an empty one
# divides by something: its mean stays, and its covariance is the regularisation.
MIN_SHARE = 10 * np.finfo(np.float64).eps


def m_step(
    stats: Statistics,
    family: CovarianceFamily,
    reg_covar: float,
    previous: Mixture | None = None,
) -> Mixture:
    """The mixture of the family that maximises the expected log-likelihood.

    ``reg_covar`` is added to every variance by way of pseudo-scatter, n_k times
    ``reg_covar``, before the family's rule is applied: what the family holds equal
    stays equal. LinAlgError where a covariance is not positive definite.
    """
    n_components, n_features = stats.sums.shape
    counts = np.maximum(stats.counts, MIN_SHARE * stats.weight)
    with np.errstate(all="ignore"):
        # Non-finite values of degenerate scatters are caught by ``from_values``.
        values = family.estimate(
            counts,
            _regularized(stats, counts, reg_covar),
            previous.covariances if previous else None,
        )
    covariances = family.storage.from_values(values, n_components, n_features)
    return Mixture(counts / counts.sum(), stats.means, covariances)


def _regularized(stats: Statistics, counts: np.ndarray, reg_covar: float) -> np.ndarray:
    """Scatter plus n_k reg_covar on its diagonal."""
    pseudo = counts * reg_covar
    scatter = stats.scatter
    if stats.kind == "diagonal":
        return scatter + pseudo[:, None]
    if stats.kind == "pooled":
        pseudo = pseudo.sum(keepdims=True)
    regularized = scatter.copy()
    diagonals = regularized.reshape(len(scatter), -1)[:, :: scatter.shape[1] + 1]
    diagonals += pseudo[:, None]  # of a view
    return regularized
