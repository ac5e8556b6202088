"""Coordinates of mixtures near a mixture: a chart of the manifold, and its retraction.

The Fisher information of complete data (per row) is the identity in them: logarithms of
weights, means in standard deviations of the component, and covariances relative to its
own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgmm._model.families import CovarianceFamily
from emgmm._model.parameters import Parameters

TINY = np.finfo(np.float64).tiny  # for weights of zero


def coordinates(
    at: Parameters, to: Parameters, included: NDArray | bool = True
) -> NDArray:
    """The vector of coordinates of the mixture ``to`` in the chart at another.

    Those of means and covariances are zero for components that are not ``included``.
    """
    weights = np.maximum(at.weights, TINY)
    logs = np.sqrt(weights) * np.log(np.maximum(to.weights, TINY) / weights)
    weights = weights * included
    means = at.covariances.whiten(to.means - at.means) * np.sqrt(weights)[:, None]
    shapes = np.zeros_like(at.covariances.values)
    if np.any(included):  # the expensive part
        shapes = at.covariances.to_tangent(to.covariances)
        shapes *= np.sqrt(at.covariances.information(weights))
    return np.concatenate([logs, means.ravel(), shapes.ravel()])


def retract(at: Parameters, vector: NDArray, family: CovarianceFamily) -> Parameters:
    """The mixture of the family with such coordinates at another, to first order.

    LinAlgError if there is none.
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
    segments = covariances.segments
    scatter = covariances.scatter(segments, values, weights, n_features)
    if not np.isfinite(scatter).all():  # LAPACK would print a message
        raise np.linalg.LinAlgError("the step is too long")
    values = family.estimate(segments, weights, scatter, covariances)
    moved = family.storage.from_values(values, segments, n_features)
    return Parameters(weights, at.means + moves, moved)
