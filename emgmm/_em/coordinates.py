"""Coordinates of mixtures near a mixture: a chart of the manifold, and its retraction.

The Fisher information of complete data (per row) is the identity in them: logarithms of
weights, means in standard deviations of the component, and covariances relative to its
own. The vectors of a stack have those of components side by side, after that of the
noise, if there is any, and those of a matrix that all components share; they end with
zeros where others are longer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgmm._model.covariances import Covariances
from emgmm._model.families import CovarianceFamily, Families
from emgmm._model.parameters import Parameters

TINY = np.finfo(np.float64).tiny  # for weights of zero


def n_coordinates(at: Parameters) -> NDArray:
    """Numbers of coordinates (B,) of the mixtures of a stack."""
    covariances, sizes = at.covariances, at.segments.sizes
    size = int(np.prod(covariances.values.shape[1:]))
    of_noise = int(at.noise is not None)
    if covariances.of_mixtures:
        return sizes * (1 + at.means.shape[1]) + size + of_noise
    return sizes * (1 + at.means.shape[1] + size) + of_noise


def coordinates(
    at: Parameters, to: Parameters, included: NDArray | None = None
) -> NDArray:
    """The vectors (B, P) of coordinates of the mixtures ``to`` in the charts at others.

    Those of means and covariances are zero for components (M,) that are not
    ``included``; None if all are.
    """
    segments, covariances = at.segments, at.covariances
    weights = np.maximum(at.weights, TINY)
    roots = np.sqrt(weights)
    logs = _log_ratios(at.weights, to.weights)
    if included is not None:
        weights, roots = weights * included, roots * included
    means = covariances.whiten(to.means - at.means) * roots[:, None]
    if included is None or included.any():  # the expensive part
        shapes = covariances.to_tangent(to.covariances)
        shapes *= np.sqrt(covariances.information(weights))
    else:
        shapes = np.zeros_like(covariances.values)
    if included is not None:
        entries = segments.any(included) if covariances.of_mixtures else included
        shapes[~entries] = 0.0
    shapes = shapes.reshape(len(shapes), -1)
    if covariances.of_mixtures:
        blocks = segments.padded(np.concatenate([logs[:, None], means], axis=1))
        parts = [shapes, blocks.reshape(len(segments), -1)]
    else:
        blocks = np.concatenate([logs[:, None], means, shapes], axis=1)
        parts = [segments.padded(blocks).reshape(len(segments), -1)]
    if at.noise:
        ratios = _log_ratios(at.noise_weights, to.noise_weights)
        parts.insert(0, ratios[:, None])
    return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]


def _log_ratios(at: NDArray, to: NDArray) -> NDArray:
    """Coordinates of weights in the chart at others."""
    weights = np.maximum(at, TINY)
    ratios = np.log(np.maximum(to, TINY) / weights)
    return np.multiply(np.sqrt(weights), ratios, out=ratios)


def retract(
    at: Parameters, vectors: NDArray, families: Families | CovarianceFamily
) -> tuple[Parameters, NDArray]:
    """The mixtures of their families with such coordinates at others, to first order,
    and for which mixtures (B,) there is none."""
    n_features, segments, covariances = at.means.shape[1], at.segments, at.covariances
    n_shared = covariances.values[0].size if covariances.of_mixtures else 0
    total: NDArray | float = 0.0
    if at.noise:
        positive = np.maximum(at.noise_weights, TINY)
        total = positive * np.exp(vectors[:, 0] / np.sqrt(positive))
        vectors = vectors[:, 1:]
    blocks = vectors[:, n_shared:].reshape(len(segments), segments.longest, -1)
    blocks = segments.unpadded(blocks)
    logs, means, shapes = blocks[:, 0], blocks[:, 1 : 1 + n_features], vectors
    shapes = vectors[:, :n_shared] if n_shared else blocks[:, 1 + n_features :]
    positive = np.maximum(at.weights, TINY)
    roots = np.sqrt(positive)
    weights = at.weights * np.exp(logs / roots)
    weights /= segments.spread(segments.sum(weights) + total)
    moves = covariances.color(means / roots[:, None])
    shapes = shapes.reshape(covariances.values.shape)
    shapes = shapes / np.sqrt(covariances.information(positive))
    values = covariances.from_tangent(shapes)
    scatter = covariances.scatter(segments, values, weights, n_features)
    lost = _lost(covariances, scatter)
    if np.count_nonzero(lost):  # LAPACK would print a message
        entries = lost if n_shared else segments.spread(lost)
        weights = np.where(segments.spread(lost), at.weights, weights)
        own = covariances.scatter(segments, covariances.values, weights, n_features)
        scatter[entries] = own[entries]
    values = families.estimate(segments, weights, scatter, covariances)
    moved, singular = families.storage.estimated(values, segments, n_features)
    return Parameters(weights, at.means + moves, moved, at.noise), lost | singular


def _lost(covariances: Covariances, scatter: NDArray) -> NDArray:
    """In which mixtures (B,) a scatter is not finite."""
    finite = np.isfinite(scatter)
    if np.count_nonzero(finite) == finite.size:
        return np.zeros(len(covariances.segments), dtype=bool)
    lost = ~finite.reshape(len(scatter), -1).all(axis=1)
    return lost if covariances.of_mixtures else covariances.segments.any(lost)
