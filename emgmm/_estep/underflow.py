"""Rows so far away that all their log-densities are minus infinity.

Far out in the direction of a row x the component with the least x'P x is the most
probable, and among ties the one with the greatest x'P mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgmm._data.patterns import each_pattern, order_by_pattern
from emgmm._model.parameters import Parameters


def settle(log_joint: NDArray, X: NDArray, mixture: Parameters) -> NDArray:
    """Joint log-densities (K, n), with columns that are all minus infinity replaced by
    their limits, in place."""
    lost = np.flatnonzero(~(log_joint.max(axis=0) > -np.inf))  # NaN: infinities cancel
    if lost.size:
        log_joint[:, lost] = _limits(X[lost].astype(np.float64), mixture)
    return log_joint


def _limits(X: NDArray, mixture: Parameters) -> NDArray:
    """Limits (K, n) of joint log-densities far out, up to a constant for each row."""
    missing = np.isnan(X)
    order = order_by_pattern(missing)
    out = np.empty((len(mixture.weights), len(X)))
    for rows, has in each_pattern(missing[order]):
        own = mixture if has.all() else mixture.marginal(np.flatnonzero(has))
        out[:, order[rows]] = _limits_of_complete(X[order[rows]][:, has], own)
    return out


def _limits_of_complete(X: NDArray, mixture: Parameters) -> NDArray:
    """The limits for complete rows."""
    factors, log_det = mixture.covariances.factors, mixture.covariances.log_det
    factors = factors / np.abs(factors).max()
    directions = X / np.abs(X).max(axis=1, keepdims=True)
    algebra = mixture.covariances.algebra
    whitened = algebra.apply_to_rows(directions, factors)
    means = algebra.apply_factor(mixture.means, factors)
    distances = np.vecdot(whitened, whitened)
    nearest = distances == distances.min(axis=0)
    along = np.where(nearest, (whitened @ means[:, :, None])[..., 0], -np.inf)
    nearest = along == along.max(axis=0)
    constants = np.log(mixture.weights) - 0.5 * log_det
    return np.where(nearest, constants[:, None] - constants.max(), -np.inf)
