"""Clusterings of rows, by k-means and by chance, that EM begins with.

Every clustering is a function (blocks, n_components, rng) that returns labels (n,), in
as few bytes as they need, or responsibilities (n, K). None copies the rows as a whole.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import kmeans_plusplus

from emgmm._data.arrays import ArrayBlocks
from emgmm._data.weights import unit_weights
from emgmm._utils.matmul import contract, multiply

from .principal_axes import BLOCK_NUMBERS, centers_along_axes, no_labels

MAX_LLOYD_ITER = 300
LLOYD_TOL = 1e-4  # squared shift of the centers, in units of the mean variance
HALF_WAY = 1e-12  # share of squared distances that rounding may make
SEED_SAMPLE = 2**20  # numbers that k-means++ chooses from, at most

Clustering = Callable[[ArrayBlocks, int, np.random.RandomState], NDArray]
"""Rows, n_components, rng -> labels (n,) or responsibilities (n, K)."""


def kmeans_from_axes(
    blocks: ArrayBlocks, n_components: int, rng: np.random.RandomState
) -> NDArray:
    """Labels of k-means seeded by cuts across principal axes, not at random."""
    return _lloyd(blocks, centers_along_axes(blocks, n_components))


def kmeans(
    blocks: ArrayBlocks, n_components: int, rng: np.random.RandomState
) -> NDArray:
    """Labels of k-means seeded by k-means++."""
    return _lloyd(blocks, _plus_plus(blocks, n_components, rng))


def nearest_to_plus_plus(
    blocks: ArrayBlocks, n_components: int, rng: np.random.RandomState
) -> NDArray:
    """Labels of the nearest among rows chosen by k-means++."""
    return _assign(blocks, _plus_plus(blocks, n_components, rng))


def nearest_to_random_rows(
    blocks: ArrayBlocks, n_components: int, rng: np.random.RandomState
) -> NDArray:
    """Labels of the nearest among rows drawn with probabilities by weight."""
    X, probabilities = blocks.X, blocks.weights / blocks.summary.weight
    chosen = rng.choice(len(X), n_components, replace=False, p=probabilities)
    return _assign(blocks, X[chosen].astype(np.float64))


def random_responsibilities(
    blocks: ArrayBlocks, n_components: int, rng: np.random.RandomState
) -> NDArray:
    """Uniform random numbers, normalised by row."""
    responsibilities = rng.uniform(size=(len(blocks.X), n_components))
    responsibilities /= responsibilities.sum(axis=1, keepdims=True)
    return responsibilities


def _assign(blocks: ArrayBlocks, centers: NDArray) -> NDArray:
    """Index of the nearest center for each row."""
    labels = no_labels(blocks, len(centers))
    nearest = _Nearest(blocks, centers)
    blocks.sum(nearest.label, labels, block_length=nearest.rows)
    return labels


def _lloyd(blocks: ArrayBlocks, centers: NDArray) -> NDArray:
    """Labels of weighted k-means from centers: Lloyd's algorithm."""
    labels = no_labels(blocks, len(centers))
    limit = LLOYD_TOL * blocks.summary.variances.mean()
    for _ in range(MAX_LLOYD_ITER):
        nearest = _Nearest(blocks, centers)
        sums = blocks.sum(nearest.sum, labels, block_length=nearest.rows)
        moved = nearest.means(sums)
        if ((moved - centers) ** 2).sum() <= limit:
            break
        centers = moved
    return labels


class _Nearest:
    """Nearest centers of rows, and sums of the rows that each is nearest to.

    The nearest center has the greatest c'z - |c|^2 / 2, with rows and centers taken
    about the mean of all rows.
    """

    def __init__(self, blocks: ArrayBlocks, centers: NDArray) -> None:
        """The nearest among centers (K, d)."""
        self.origin = blocks.summary.center
        self.shifted = centers - self.origin
        self.theta = np.empty((len(centers), 1 + centers.shape[1]))
        self.theta[:, 0] = -0.5 * np.vecdot(self.shifted, self.shifted)
        self.theta[:, 1:] = self.shifted
        # A row half-way between two centers belongs to the first.
        variance = blocks.summary.variances.sum()
        self.margin = HALF_WAY * (variance - 2 * self.theta[:, 0].min())
        self.rows = BLOCK_NUMBERS // (2 * len(centers) + centers.shape[1])
        self.rows = max(self.rows, len(centers))
        self.array = blocks.workspace.array

    def label(self, X: NDArray, weights: NDArray, labels: NDArray) -> int:
        """Zero; the labels of a block are written."""
        self._write(X, labels)
        return 0

    def sum(self, X: NDArray, weights: NDArray, labels: NDArray) -> NDArray:
        """Write labels; weights and weighted sums of their rows, shape (1 + d, K)."""
        features = self._write(X, labels)
        shape = (len(self.theta), len(X))
        members = self.array("responsibilities", shape, np.float64)
        components = np.arange(len(self.theta), dtype=labels.dtype)
        np.multiply(labels == components[:, None], weights, out=members)
        return contract(features, members)

    def means(self, sums: NDArray) -> NDArray:
        """Means (K, d) of the rows; a center that is nearest to no row stays."""
        counts = sums[0, :, None]
        means = self.shifted.copy()
        np.divide(sums[1:].T, counts, out=means, where=counts > 0)
        return self.origin + means

    def _write(self, X: NDArray, labels: NDArray) -> NDArray:
        """Features [1, x - origin] of a block, whose labels are written."""
        features = self.array("features", (1 + X.shape[1], len(X)), np.float64)
        features[0] = 1.0
        np.subtract(X.T, self.origin[:, None], out=features[1:])
        scores = self.array("log_joint", (len(self.theta), len(X)), np.float64)
        multiply(self.theta, features, scores)
        labels[:] = (scores >= scores.max(axis=0) - self.margin).argmax(axis=0)
        return features


def _plus_plus(
    blocks: ArrayBlocks, n_components: int, rng: np.random.RandomState
) -> NDArray:
    """Centers chosen by greedy k-means++ from the rows, or from a sample of them."""
    X, sample_weight = blocks.X, blocks.weights
    usable = np.flatnonzero(sample_weight > 0)
    limit = max(SEED_SAMPLE // X.shape[1], 2 * n_components)
    if len(usable) > limit:
        share = sample_weight[usable] / sample_weight[usable].sum()
        usable = rng.choice(usable, limit, replace=True, p=share)
        sample_weight = unit_weights(len(X))
    origin = X[usable[0]].astype(np.float64)
    centers, _ = kmeans_plusplus(
        X[usable] - origin,
        n_components,
        sample_weight=sample_weight[usable],
        random_state=rng,
    )
    return centers + origin
