"""The M-step proper: the maximum of the expected log-likelihood within a family."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgmm._estep.statistics import Statistics
from emgmm._model.families import CovarianceFamily
from emgmm._model.parameters import Parameters

EPS = float(np.finfo(np.float64).eps)
# Least share of the rows of a component, so that nothing is divided by zero: the mean
# of an empty one stays, and its covariance is the regularisation.
MIN_SHARE = 10 * EPS


def m_step(
    stats: Statistics,
    family: CovarianceFamily,
    added: NDArray | float,
    previous: Parameters | None = None,
) -> Parameters:
    """The mixture of the family that maximises the expected log-likelihood.

    ``added``, (K, d) or what broadcasts to it, is added to the variances as pseudo-
    scatter, n_k times as much, before the rule of the family is applied: what is equal
    in all components stays so. LinAlgError if a covariance is not positive definite.
    """
    n_components, n_features = stats.sums.shape
    counts = np.maximum(stats.counts, MIN_SHARE * stats.weight)
    with np.errstate(all="ignore"):
        # Non-finite values of degenerate scatters are caught by ``from_values``.
        values = family.estimate(
            stats.segments,
            counts,
            stats.with_diagonals(counts[:, None] * added),
            previous.covariances if previous else None,
        )
    covariances = family.storage.from_values(values, stats.segments, n_features)
    return Parameters(counts / counts.sum(), stats.means, covariances)
