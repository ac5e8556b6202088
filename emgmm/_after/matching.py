"""Which component of a replicate is which of a fit, by optimal assignment.

A replicate may end with its components in another order than the fit, or with one of
them elsewhere (label switching).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from emgmm._model.parameters import Parameters


def matched(mixtures: Parameters, fit: Parameters) -> Parameters:
    """A stack of mixtures of K components, with those of each in the order of the fit's
    that they match best.

    The cost of a match is log(1 + D), with the Bhattacharyya distance D of the two
    normal distributions: it does not depend on units, and one component that has moved
    far costs less than many that have moved a little.
    """
    costs = np.log1p(_distances(mixtures, fit))
    order = costs.argmin(axis=2)
    unclear = (np.sort(order, axis=1) != np.arange(order.shape[1])).any(axis=1)
    for index in np.flatnonzero(unclear):
        order[index] = linear_sum_assignment(costs[index])[1]
    if (order == np.arange(order.shape[1])).all():
        return mixtures
    chosen = (order + mixtures.segments.offsets[:, None]).ravel()
    return Parameters(
        mixtures.weights[chosen],
        mixtures.means[chosen],
        mixtures.covariances.ordered(chosen),
        mixtures.noise,
    )


def _distances(mixtures: Parameters, fit: Parameters) -> NDArray:
    """Bhattacharyya distances (B, K, K) of the fit's components (rows) and those of
    each mixture (columns)."""
    n_components, n_features = fit.means.shape
    shape = (-1, 1, n_components, n_features)
    shifts = mixtures.means.reshape(shape) - fit.means[:, None]
    own, others = fit.covariances, mixtures.covariances
    halves = 0.5 * (others.dense().reshape(*shape, n_features) + own.dense()[:, None])
    roots = np.linalg.cholesky(halves)
    white = np.linalg.solve(roots, shifts[..., None])[..., 0]
    logs = np.log(np.diagonal(roots, axis1=-2, axis2=-1)).sum(axis=-1)
    mean = 0.25 * (others.log_det.reshape(shape[:3]) + own.log_det[:, None])
    return np.maximum(0.125 * (white**2).sum(axis=-1) + logs - mean, 0.0)
