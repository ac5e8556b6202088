"""Centers for k-means: clusters cut in two across their principal axes.

Su & Dy 2007 (doi:10.3233/IDA-2007-11402): nothing is drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._data.arrays import ArrayBlocks
from emgmm._model.linalg import WIDE, principal
from emgmm._utils.matmul import squares
from emgmm._utils.ties import TIE, first_of_greatest, settled

AXIS_TOL = 1e-4  # relative, of the length of a principal axis that cuts a wide cluster
BLOCK_NUMBERS = 2**18  # numbers in the arrays of a block


class Moments(NamedTuple):
    """Weight, mean (d,) and scatter (d, d) of some rows."""

    weight: float
    mean: NDArray
    scatter: NDArray


def centers_along_axes(blocks: ArrayBlocks, n_components: int) -> NDArray:
    """Centers by dividing the widest cluster at its mean, across its principal axis."""
    *_, centers = growing_centers(blocks, n_components)
    return centers


def growing_centers(blocks: ArrayBlocks, n_components: int) -> Iterator[NDArray]:
    """The same centers (K, d) for K = 1, 2, ..., n_components."""
    wide = blocks.summary.n_features > WIDE
    clusters = (_clusters_of_wide if wide else _clusters)(blocks, n_components)
    for found in clusters:
        yield np.stack([cluster.mean for cluster in found])


def _clusters(blocks: ArrayBlocks, n_components: int) -> Iterator[list[Moments]]:
    """The clusters after each division, by their moments."""
    labels = np.zeros(len(blocks.X), dtype=np.min_scalar_type(-n_components))
    rows = blocks.summary
    clusters = [Moments(rows.weight, rows.center, rows.scatter)]
    length = max(BLOCK_NUMBERS // rows.n_features, 1)
    yield clusters
    while len(clusters) < n_components:
        widths = [cluster.scatter.trace() for cluster in clusters]
        widest = first_of_greatest(widths)
        cluster, plane = clusters[widest], middle(clusters[widest])
        divide = partial(_divide, plane=plane, names=(widest, len(clusters)))
        beyond = blocks.sum(divide, labels, block_length=length)
        whole = np.zeros_like(beyond)
        whole[0, 0], whole[1:, 1:] = cluster.weight, cluster.scatter
        clusters[widest] = _moments(cluster.mean, whole - beyond)
        clusters.append(_moments(cluster.mean, beyond))
        yield clusters


def _clusters_of_wide(
    blocks: ArrayBlocks, n_components: int
) -> Iterator[list[_Cluster]]:
    """The same of many features, without their products: by products with vectors."""
    clusters = [_Cluster.of(blocks, np.arange(len(blocks.X)))]
    yield clusters
    while len(clusters) < n_components:
        widths = [cluster.width for cluster in clusters]
        widest = widths.index(max(widths))
        rows, deviations = clusters[widest].rows, clusters[widest].deviations(blocks)
        roots = np.sqrt(blocks.weights[rows])[:, None]
        length, axis = principal(deviations * roots, AXIS_TOL)
        margin = TIE * length / max(clusters[widest].weight, 1e-300) ** 0.5
        beyond = deviations @ settled(np.ones(1), axis[:, None])[:, 0] > margin
        clusters[widest] = _Cluster.of(blocks, rows[~beyond], clusters[widest].mean)
        clusters.append(_Cluster.of(blocks, rows[beyond], clusters[widest].mean))
        yield clusters


class _Cluster(NamedTuple):
    """Some rows, by their indices; their weight, mean (d,), and squares about it."""

    rows: NDArray
    weight: float
    mean: NDArray
    width: float

    @classmethod
    def of(
        cls, blocks: ArrayBlocks, rows: NDArray, otherwise: NDArray | None = None
    ) -> _Cluster:
        """The cluster of some rows, with another mean if these have no weight."""
        weights, point = blocks.weights[rows], blocks.summary.center
        weight = float(weights.sum())
        if not weight > 0:
            return cls(rows, 0.0, point if otherwise is None else otherwise, 0.0)
        deviations = blocks.X[rows] - point
        shift = weights @ deviations / weight
        deviations -= shift
        width = float(weights @ np.vecdot(deviations, deviations))
        return cls(rows, weight, point + shift, width)

    def deviations(self, blocks: ArrayBlocks) -> NDArray:
        """Deviations of the rows from their mean."""
        return blocks.X[self.rows] - self.mean


class Plane(NamedTuple):
    """A plane: rows are beyond it where (x - point)'normal exceeds the margin."""

    point: NDArray
    normal: NDArray
    margin: float


def middle(cluster: Moments) -> Plane:
    """The plane through the mean, across the principal axis."""
    eigenvalues, axes = np.linalg.eigh(cluster.scatter)
    widest = eigenvalues >= (1 - TIE) * eigenvalues[-1]
    axis = settled(eigenvalues[widest], axes[:, widest])[:, -1]
    # Rows at the mean stay, whatever the order in which its sum was rounded.
    margin = TIE * np.sqrt(max(eigenvalues[-1], 0.0) / max(cluster.weight, 1e-300))
    return Plane(cluster.mean, axis, margin)


def _divide(
    X: NDArray, weights: NDArray, labels: NDArray, plane: Plane, names: tuple[int, int]
) -> NDArray:
    """Relabel the rows beyond a plane; their sums of [1, v][1, v]', v = x - point."""
    rows = np.flatnonzero(labels == names[0])
    deviations = X[rows] - plane.point
    beyond = np.flatnonzero(np.dot(deviations, plane.normal) > plane.margin)
    rows = rows[beyond]
    labels[rows] = names[1]
    return squares(deviations[beyond], weights[rows])


def _moments(point: NDArray, sums: NDArray) -> Moments:
    """Moments of sums about a point; those of no rows are at the point."""
    weight, first = sums[0, 0], sums[0, 1:]
    shift = first / weight if weight > 0 else first
    scatter = sums[1:, 1:] - weight * (shift[:, None] * shift)
    return Moments(weight, point + shift, scatter)
