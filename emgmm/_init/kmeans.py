"""Starts: rows to the labels or responsibilities that EM begins with.

Every start is a function (blocks, n_components, rng) that returns labels (n,), in as
few bytes as they need, or responsibilities (n, K). None copies the rows as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import kmeans_plusplus

from emgmm._data.arrays import ArrayBlocks
from emgmm._data.weights import unit_weights
from emgmm._model.linalg import WIDE, principal
from emgmm._utils.matmul import contract, multiply, squares
from emgmm._utils.ties import TIE, first_of_greatest, settled

MAX_LLOYD_ITER = 300
LLOYD_TOL = 1e-4  # squared shift of the centers, in units of the mean variance
AXIS_TOL = 1e-4  # relative, of the length of a principal axis that cuts a wide cluster
LLOYD_SIZE = 2**18  # numbers in the arrays of a block
HALF_WAY = 1e-12  # share of squared distances that rounding may make
SEED_SAMPLE = 2**20  # numbers that k-means++ chooses from, at most

Start = Callable[[ArrayBlocks, int, np.random.RandomState], NDArray]


def kmeans_from_axes(
    blocks: ArrayBlocks, n_components: int, rng: np.random.RandomState
) -> NDArray:
    """Labels of k-means seeded by splitting along principal axes; draws nothing."""
    return _lloyd(blocks, _split_along_axes(blocks, n_components))


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


class Initializer(NamedTuple):
    """The start of the first run of EM, and that of every further one."""

    first: Start
    again: Start


INITIALIZERS: dict[str, Initializer] = {
    "kmeans": Initializer(kmeans_from_axes, kmeans),
    "k-means++": Initializer(nearest_to_plus_plus, nearest_to_plus_plus),
    "random": Initializer(random_responsibilities, random_responsibilities),
    "random_from_data": Initializer(nearest_to_random_rows, nearest_to_random_rows),
}
"""Names of ``init_params``. The first k-means draws no random numbers and sees only
the weighted distribution of the rows, so that weights mean repetition."""


def _no_labels(blocks: ArrayBlocks, n_components: int) -> NDArray:
    """Labels of zero, in the smallest integers that hold -1 too."""
    return np.zeros(len(blocks.X), dtype=np.min_scalar_type(-n_components))


def _assign(blocks: ArrayBlocks, centers: NDArray) -> NDArray:
    """Index of the nearest center for each row."""
    labels = _no_labels(blocks, len(centers))
    nearest = _Nearest(blocks, centers)
    blocks.sum(nearest.label, labels, block_length=nearest.rows)
    return labels


def _lloyd(blocks: ArrayBlocks, centers: NDArray) -> NDArray:
    """Labels of weighted k-means from given centers (Lloyd's algorithm)."""
    labels = _no_labels(blocks, len(centers))
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
        self.origin = blocks.summary.center
        self.shifted = centers - self.origin
        self.theta = np.empty((len(centers), 1 + centers.shape[1]))
        self.theta[:, 0] = -0.5 * np.vecdot(self.shifted, self.shifted)
        self.theta[:, 1:] = self.shifted
        # A row half-way between two centers belongs to the first.
        variance = blocks.summary.variances.sum()
        self.margin = HALF_WAY * (variance - 2 * self.theta[:, 0].min())
        self.rows = LLOYD_SIZE // (2 * len(centers) + centers.shape[1])
        self.rows = max(self.rows, len(centers))
        self.array = blocks.workspace.array

    def label(self, X: NDArray, weights: NDArray, labels: NDArray) -> int:
        """Write the labels of a block."""
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
        """Means of the rows; a center that is nearest to no row stays."""
        counts = sums[0, :, None]
        means = self.shifted.copy()
        np.divide(sums[1:].T, counts, out=means, where=counts > 0)
        return self.origin + means

    def _write(self, X: NDArray, labels: NDArray) -> NDArray:
        features = self.array("features", (1 + X.shape[1], len(X)), np.float64)
        features[0] = 1.0
        np.subtract(X.T, self.origin[:, None], out=features[1:])
        scores = self.array("log_joint", (len(self.theta), len(X)), np.float64)
        multiply(self.theta, features, scores)
        labels[:] = (scores >= scores.max(axis=0) - self.margin).argmax(axis=0)
        return features


class Moments(NamedTuple):
    """Weight, mean (d,) and scatter (d, d) of some rows."""

    weight: float
    mean: NDArray
    scatter: NDArray


def _split_along_axes(blocks: ArrayBlocks, n_components: int) -> NDArray:
    """Centers by dividing the widest cluster at its mean, across its principal axis.

    Su & Dy 2007, doi:10.3233/IDA-2007-11402.
    """
    if blocks.summary.n_features > WIDE:
        return _split_wide(blocks, n_components)
    labels = _no_labels(blocks, n_components)
    whole = blocks.summary
    clusters = [Moments(whole.weight, whole.center, whole.scatter)]
    rows = max(LLOYD_SIZE // whole.n_features, 1)
    while len(clusters) < n_components:
        widths = [cluster.scatter.trace() for cluster in clusters]
        widest = first_of_greatest(widths)
        cluster, cut = clusters[widest], _cut(clusters[widest])
        divide = partial(_divide, cut=cut, names=(widest, len(clusters)))
        beyond = blocks.sum(divide, labels, block_length=rows)
        whole = np.zeros_like(beyond)
        whole[0, 0], whole[1:, 1:] = cluster.weight, cluster.scatter
        clusters[widest] = _moments(cluster.mean, whole - beyond)
        clusters.append(_moments(cluster.mean, beyond))
    return np.stack([cluster.mean for cluster in clusters])


def _split_wide(blocks: ArrayBlocks, n_components: int) -> NDArray:
    """The like, without products of the features: axes by products with vectors."""
    clusters = [_Cluster.of(blocks, np.arange(len(blocks.X)))]
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
    return np.stack([cluster.mean for cluster in clusters])


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
        """Where the rows have no weight, their mean is another."""
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
        return blocks.X[self.rows] - self.mean


class Cut(NamedTuple):
    """A plane: rows are beyond it where (x - point)'normal exceeds the margin."""

    point: NDArray
    normal: NDArray
    margin: float


def _cut(cluster: Moments) -> Cut:
    """The plane through the mean, across the principal axis."""
    eigenvalues, axes = np.linalg.eigh(cluster.scatter)
    widest = eigenvalues >= (1 - TIE) * eigenvalues[-1]
    axis = settled(eigenvalues[widest], axes[:, widest])[:, -1]
    # Rows at the mean stay, whatever the order in which its sum was rounded.
    margin = TIE * np.sqrt(max(eigenvalues[-1], 0.0) / max(cluster.weight, 1e-300))
    return Cut(cluster.mean, axis, margin)


def _divide(
    X: NDArray, weights: NDArray, labels: NDArray, cut: Cut, names: tuple[int, int]
) -> NDArray:
    """Relabel the rows beyond a plane; their sums of [1, v][1, v]', v = x - point."""
    rows = np.flatnonzero(labels == names[0])
    deviations = X[rows] - cut.point
    beyond = np.flatnonzero(np.dot(deviations, cut.normal) > cut.margin)
    rows = rows[beyond]
    labels[rows] = names[1]
    return squares(deviations[beyond], weights[rows])


def _moments(point: NDArray, sums: NDArray) -> Moments:
    """From sums about a point; those of no rows are at the point."""
    weight, first = sums[0, 0], sums[0, 1:]
    shift = first / weight if weight > 0 else first
    scatter = sums[1:, 1:] - weight * (shift[:, None] * shift)
    return Moments(weight, point + shift, scatter)


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
