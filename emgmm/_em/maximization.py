"""The M-step proper: the maximum of the expected log-likelihood within a family."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgmm._estep.statistics import Statistics
from emgmm._model.families import CovarianceFamily, Families
from emgmm._model.parameters import Parameters

EPS = float(np.finfo(np.float64).eps)
# Least share of the rows of a component, so that nothing is divided by zero: the mean
# of an empty one stays, and its covariance is the regularisation.
MIN_SHARE = 10 * EPS


def m_step(
    stats: Statistics,
    families: Families | CovarianceFamily,
    added: NDArray | float,
    previous: Parameters | None = None,
) -> tuple[Parameters, NDArray]:
    """The mixtures of their families that maximise the expected log-likelihood, and
    which of them (B,) are singular, whose covariances mean nothing.

    ``added``, (M, d) or what broadcasts to it, is added to the variances as pseudo-
    scatter, n_k times as much, before the rule of the family is applied: what is equal
    in all components stays so.
    """
    segments, n_features = stats.segments, stats.sums.shape[1]
    counts = np.maximum(stats.counts, MIN_SHARE * segments.spread(stats.weight))
    near, scatter = previous.covariances if previous else None, stats.scatter
    if np.count_nonzero(added):
        scatter = stats.with_diagonals(counts[:, None] * added)
    # Non-finite values of degenerate scatters are caught by ``estimated``.
    values = families.estimate(segments, counts, scatter, near)
    covariances, singular = families.storage.estimated(values, segments, n_features)
    weights = counts / segments.spread(segments.sum(counts))
    return Parameters(weights, stats.means, covariances), singular
