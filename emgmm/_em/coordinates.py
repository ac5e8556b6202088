"""Charts: coordinates of mixtures that are near to one another.

At a mixture every other has coordinates in which the information of complete rows (in
the mean of a row) is the identity: logarithms of weights, means in the component's own
standard deviations, and covariances relative to its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgmm._model.families import CovarianceFamily
from emgmm._model.parameters import Parameters

TINY = np.finfo(np.float64).tiny  # for weights of zero


def coordinates(
    at: Parameters, to: Parameters, counted: NDArray | bool = True
) -> NDArray:
    """Coordinates of a mixture in the chart of another, as one vector.

    Zeros stand for those of means and covariances of components that do not count.
    """
    weights = np.maximum(at.weights, TINY)
    logs = np.sqrt(weights) * np.log(np.maximum(to.weights, TINY) / weights)
    weights = weights * counted
    means = at.covariances.whiten(to.means - at.means) * np.sqrt(weights)[:, None]
    shapes = np.zeros_like(at.covariances.values)
    if np.any(counted):  # else what takes longest is for nothing
        shapes = at.covariances.to_tangent(to.covariances)
        shapes *= np.sqrt(at.covariances.information(weights))
    return np.concatenate([logs, means.ravel(), shapes.ravel()])


def retract(at: Parameters, vector: NDArray, family: CovarianceFamily) -> Parameters:
    """The mixture of the family that has such coordinates, to first order.

    LinAlgError where there is none.
    """
    (n_components, n_features), covariances = at.means.shape, at.covariances
    bounds = [n_components, n_components * (1 + n_features)]
    logs, means, shapes = np.split(vector, bounds)
    roots = np.sqrt(np.maximum(at.weights, TINY))
    weights = at.weights * np.exp(logs / roots)
    weights /= weights.sum()
    moves = covariances.color(means.reshape(at.means.shape) / roots[:, None])
    shapes = shapes.reshape(covariances.values.shape)
    shapes = shapes / np.sqrt(covariances.information(np.maximum(at.weights, TINY)))
    values = covariances.from_tangent(shapes)
    scatter = covariances.scatter(values, weights, n_features)
    if not np.isfinite(scatter).all():  # of which LAPACK would complain aloud
        raise np.linalg.LinAlgError("the step is too long")
    values = family.estimate(weights, scatter, covariances)
    moved = family.storage.from_values(values, n_components, n_features)
    return Parameters(weights, at.means + moves, moved)
