"""Matching: which component of a start becomes which of those that are known."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from emgmm._model.parameters import Parameters


def matched(start: Parameters, known: Parameters, names: Collection[str]) -> Parameters:
    """The start with its components in the order of those that are known, by the
    expected log-likelihood of the rows of the one in the other.

    ``known`` has the parameters that are among the ``names``; others are a component's
    own, whichever it becomes.
    """
    costs = _costs(start, known, names)
    _, order = linear_sum_assignment(costs)
    covariances = start.covariances.ordered(order)
    weights, means = start.weights[order], start.means[order]
    return Parameters(weights, means, covariances, start.noise)


def _costs(start: Parameters, known: Parameters, names: Collection[str]) -> NDArray:
    """Minus twice the expected log-likelihoods (K, K) of the rows of each component of
    the start (columns), if it becomes a component that is known (rows)."""
    n_components, n_features = start.means.shape
    matrices, logs = start.covariances.dense(), np.zeros((n_components, n_components))
    target = known if "covariances" in names else start
    factors = target.covariances.factors
    if factors.ndim == 2:
        factors = factors[:, :, None] * np.eye(n_features)
    precisions = factors @ factors.mT
    log_dets, deviations = target.covariances.log_det, np.zeros((1, 1, n_features))
    if "means" in names:
        deviations = known.means[:, None] - start.means
    if "weights" in names:
        logs = -2 * np.log(np.maximum(known.weights, np.finfo(float).tiny))[:, None]
    if "covariances" in names:
        spread = np.einsum("kab,jab->kj", precisions, matrices) + log_dets[:, None]
        precisions = precisions[:, None]
    else:
        spread = n_features + log_dets
    distances = np.einsum("...a,...ab,...b", deviations, precisions, deviations)
    return start.weights * (logs + spread + distances)
