"""Clusterings of rows, by k-means and by chance, that EM begins with.

Every clustering has labels (n,), in as few bytes as they need, or responsibilities
(n, K). None copies the rows as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import kmeans_plusplus

from emgmm._data.arrays import ArrayBlocks
from emgmm._data.weights import unit_weights
from emgmm._model.segments import Segments
from emgmm._utils.matmul import contract, multiply

from .principal_axes import BLOCK_NUMBERS, centers_along_axes, growing_centers

MAX_LLOYD_ITER = 300
LLOYD_TOL = 1e-4  # squared shift of the centers, in units of the mean variance
HALF_WAY = 1e-12  # share of squared distances that rounding may make
SEED_SAMPLE = 2**20  # numbers that k-means++ chooses from, at most

Seeds = Callable[[ArrayBlocks, int, np.random.RandomState], NDArray]
"""Rows, n_components, rng -> centers (K, d)."""


@dataclass(frozen=True)
class Clustering:
    """Assignments of rows to the nearest centers: of seeds, or of k-means from them."""

    seeds: Seeds
    iterated: bool

    def __call__(
        self, blocks: ArrayBlocks, n_components: int, rng: np.random.RandomState
    ) -> NDArray:
        """Labels (n,) of one clustering."""
        return self.several(blocks, n_components, rng, 1)[0]

    def several(
        self,
        blocks: ArrayBlocks,
        n_components: int,
        rng: np.random.RandomState,
        number: int,
    ) -> list[NDArray]:
        """Labels (n,) of so many clusterings."""
        centers = [self.seeds(blocks, n_components, rng) for _ in range(number)]
        return list((lloyd if self.iterated else _nearest)(blocks, centers).T)


class RandomResponsibilities:
    """Uniform random numbers, normalised by row."""

    def several(
        self,
        blocks: ArrayBlocks,
        n_components: int,
        rng: np.random.RandomState,
        number: int,
    ) -> list[NDArray]:
        """Responsibilities (n, K) of so many starts."""
        return [self(blocks, n_components, rng) for _ in range(number)]

    def __call__(
        self, blocks: ArrayBlocks, n_components: int, rng: np.random.RandomState
    ) -> NDArray:
        """Responsibilities (n, K) of one start."""
        responsibilities = rng.uniform(size=(len(blocks.X), n_components))
        responsibilities /= responsibilities.sum(axis=1, keepdims=True)
        return responsibilities


def _axes(
    blocks: ArrayBlocks, n_components: int, rng: np.random.RandomState
) -> NDArray:
    """Centers by cuts across principal axes, not at random."""
    return centers_along_axes(blocks, n_components)


def _random_rows(
    blocks: ArrayBlocks, n_components: int, rng: np.random.RandomState
) -> NDArray:
    """Rows drawn with probabilities by weight."""
    X, probabilities = blocks.X, blocks.weights / blocks.summary.weight
    chosen = rng.choice(len(X), n_components, replace=False, p=probabilities)
    return X[chosen].astype(np.float64)


def lloyd(
    blocks: ArrayBlocks, centers: Sequence[NDArray], tol: float = LLOYD_TOL
) -> NDArray:
    """Labels (n, B) of weighted k-means from each of several sets of centers (K, d), by
    Lloyd's algorithm; one pass over the rows serves all that go on.

    They end where the squared shift of the centers, in units of the mean variance, is
    at most ``tol``.
    """
    labels = _no_labels(blocks, centers)
    limit = tol * blocks.summary.variances.mean()
    going, centers = list(range(len(centers))), list(centers)
    for _ in range(MAX_LLOYD_ITER):
        nearest = _Nearest(blocks, [centers[run] for run in going])
        own = labels[:, going] if len(going) < len(centers) else labels
        sums = blocks.sum(nearest.sum, own, block_length=nearest.rows)
        if own is not labels:
            labels[:, going] = own
        left = []
        for run, moved in zip(going, nearest.means(sums), strict=True):
            if ((moved - centers[run]) ** 2).sum() > limit:
                left.append(run)
                centers[run] = moved
        going = left
        if not going:
            break
    return labels


def kmeans_of_all_sizes(blocks: ArrayBlocks, n_components: int) -> list[NDArray]:
    """Labels (n,) of ``kmeans_from_axes`` for K = 1, 2, ..., n_components."""
    return list(lloyd(blocks, list(growing_centers(blocks, n_components))).T)


def _nearest(blocks: ArrayBlocks, centers: Sequence[NDArray]) -> NDArray:
    """Labels (n, B) of the nearest centers, for each of several sets of them."""
    labels = _no_labels(blocks, centers)
    nearest = _Nearest(blocks, centers)
    blocks.sum(nearest.label, labels, block_length=nearest.rows)
    return labels


def _no_labels(blocks: ArrayBlocks, centers: Sequence[NDArray]) -> NDArray:
    """Labels (n, B) of zero, in the smallest integers that hold -1 too."""
    dtype = np.min_scalar_type(-max(map(len, centers)))
    return np.zeros((len(blocks.X), len(centers)), dtype=dtype)


class _Nearest:
    """Nearest centers of rows, and sums of the rows that each is nearest to, for each
    of several sets of centers.

    The nearest center has the greatest c'z - |c|^2 / 2, with rows and centers taken
    about the mean of all rows.
    """

    def __init__(self, blocks: ArrayBlocks, centers: Sequence[NDArray]) -> None:
        """The nearest among each of several sets of centers (K, d)."""
        self.origin = blocks.summary.center
        self.sets = Segments.of([len(each) for each in centers]).slices()
        self.shifted = np.concatenate(centers) - self.origin
        n_centers, n_features = self.shifted.shape
        self.theta = np.empty((n_centers, 1 + n_features))
        self.theta[:, 0] = -0.5 * np.vecdot(self.shifted, self.shifted)
        self.theta[:, 1:] = self.shifted
        # A row half-way between two centers belongs to the first.
        variance = blocks.summary.variances.sum()
        farthest = np.array([self.theta[own, 0].min() for own in self.sets])
        self.margins = HALF_WAY * (variance - 2 * farthest)
        self.rows = max(BLOCK_NUMBERS // (2 * n_centers + n_features), n_centers)
        self.array = blocks.workspace.array

    def label(self, X: NDArray, weights: NDArray, labels: NDArray) -> int:
        """Zero; the labels of a block are written."""
        self._write(X, labels)
        return 0

    def sum(self, X: NDArray, weights: NDArray, labels: NDArray) -> NDArray:
        """Write labels; weights and weighted sums of the rows, shape (1 + d, M)."""
        features = self._write(X, labels)
        members = self.array("responsibilities", (len(self.theta), len(X)), np.float64)
        for own, column in zip(self.sets, labels.T, strict=True):
            numbers = np.arange(own.stop - own.start, dtype=labels.dtype)
            np.multiply(column == numbers[:, None], weights, out=members[own])
        return contract(features, members)

    def means(self, sums: NDArray) -> list[NDArray]:
        """Means (K, d) of the rows; a center that is nearest to no row stays."""
        counts = sums[0, :, None]
        means = self.shifted.copy()
        np.divide(sums[1:].T, counts, out=means, where=counts > 0)
        means += self.origin
        return [means[own] for own in self.sets]

    def _write(self, X: NDArray, labels: NDArray) -> NDArray:
        """Features [1, x - origin] of a block, whose labels are written."""
        features = self.array("features", (1 + X.shape[1], len(X)), np.float64)
        features[0] = 1.0
        np.subtract(X.T, self.origin[:, None], out=features[1:])
        scores = self.array("log_joint", (len(self.theta), len(X)), np.float64)
        multiply(self.theta, features, scores)
        for b, (own, margin) in enumerate(zip(self.sets, self.margins, strict=True)):
            score = scores[own]
            labels[:, b] = (score >= score.max(axis=0) - margin).argmax(axis=0)
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


kmeans_from_axes = Clustering(_axes, iterated=True)
"""k-means seeded by cuts across principal axes, not at random."""
kmeans = Clustering(_plus_plus, iterated=True)
"""k-means seeded by k-means++."""
nearest_to_plus_plus = Clustering(_plus_plus, iterated=False)
"""The nearest among rows chosen by k-means++."""
nearest_to_random_rows = Clustering(_random_rows, iterated=False)
"""The nearest among rows drawn with probabilities by weight."""
random_responsibilities = RandomResponsibilities()
"""Responsibilities at random."""
