"""Starts: rows to the labels or responsibilities that EM begins with.

Every start is a function (X, n_components, sample_weight, rng) that returns labels
(n,) or responsibilities (n, K). None copies the rows as a whole or alters them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import kmeans_plusplus
from sklearn.metrics import pairwise_distances_argmin
from sklearn.utils import gen_batches

MAX_LLOYD_ITER = 300
LLOYD_TOL = 1e-4  # squared shift of the centers, in units of the mean variance
BATCH_SIZE = 2**16  # numbers looked at together (rows x features)
SEED_SAMPLE = 2**20  # numbers that k-means++ chooses from, at most

Start = Callable[[NDArray, int, NDArray, np.random.RandomState], NDArray]


class Moments(NamedTuple):
    """Weight, mean (d,) and scatter (d, d) of some rows."""

    weight: float
    mean: NDArray
    scatter: NDArray


def kmeans_from_axes(
    X: NDArray, n_components: int, sample_weight: NDArray, rng: np.random.RandomState
) -> NDArray:
    """Labels of k-means seeded by splitting along principal axes; draws nothing."""
    return _lloyd(X, sample_weight, _split_along_axes(X, n_components, sample_weight))


def kmeans(
    X: NDArray, n_components: int, sample_weight: NDArray, rng: np.random.RandomState
) -> NDArray:
    """Labels of k-means seeded by k-means++."""
    return _lloyd(X, sample_weight, _plus_plus(X, n_components, sample_weight, rng))


def nearest_to_plus_plus(
    X: NDArray, n_components: int, sample_weight: NDArray, rng: np.random.RandomState
) -> NDArray:
    """Labels of the nearest among rows chosen by k-means++."""
    return _assign(X, _plus_plus(X, n_components, sample_weight, rng))


def nearest_to_random_rows(
    X: NDArray, n_components: int, sample_weight: NDArray, rng: np.random.RandomState
) -> NDArray:
    """Labels of the nearest among rows drawn with probabilities by weight."""
    probabilities = sample_weight / sample_weight.sum()
    chosen = rng.choice(len(X), n_components, replace=False, p=probabilities)
    return _assign(X, X[chosen].astype(np.float64))


def random_responsibilities(
    X: NDArray, n_components: int, sample_weight: NDArray, rng: np.random.RandomState
) -> NDArray:
    """Uniform random numbers, normalised by row."""
    responsibilities = rng.uniform(size=(len(X), n_components))
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


def _batches(X: NDArray) -> Iterator[slice]:
    return gen_batches(len(X), max(BATCH_SIZE // X.shape[1], 1))


def _assign(X: NDArray, centers: NDArray) -> NDArray:
    """Index of the nearest center for each row."""
    return _lloyd_step(X, np.broadcast_to(1.0, len(X)), centers)[0]


def _lloyd(X: NDArray, sample_weight: NDArray, centers: NDArray) -> NDArray:
    """Labels of weighted k-means from given centers (Lloyd's algorithm)."""
    everything = np.broadcast_to(np.intp(0), len(X))
    spread = _moments(X, sample_weight, everything, 0)
    limit = LLOYD_TOL * np.trace(spread.scatter) / (spread.weight * X.shape[1])
    for _ in range(MAX_LLOYD_ITER):
        labels, moved = _lloyd_step(X, sample_weight, centers)
        if np.sum((moved - centers) ** 2) <= limit:
            break
        centers = moved
    return labels


def _lloyd_step(
    X: NDArray, sample_weight: NDArray, centers: NDArray
) -> tuple[NDArray, NDArray]:
    """Labels of the nearest centers, and the weighted means of the rows they name.

    Distances and sums are taken about an origin among the centers. A center that
    is nearest to no row stays.
    """
    labels = np.empty(len(X), dtype=np.intp)
    origin = centers.mean(axis=0)
    counts, sums = np.zeros((len(centers), 1)), np.zeros_like(centers)
    for batch in _batches(X):
        rows = X[batch] - origin
        labels[batch] = pairwise_distances_argmin(rows, centers - origin)
        members = labels[batch] == np.arange(len(centers))[:, None]
        weighted = members * sample_weight[batch]
        counts += weighted.sum(axis=1, keepdims=True)
        sums += weighted @ rows
    means = np.divide(sums, counts, out=centers - origin, where=counts > 0)
    return labels, origin + means


def _split_along_axes(X: NDArray, n_components: int, sample_weight: NDArray) -> NDArray:
    """Centers by dividing the widest cluster at its mean, across its principal axis.

    Su & Dy 2007, doi:10.3233/IDA-2007-11402.
    """
    labels = np.zeros(len(X), dtype=np.intp)
    clusters = [_moments(X, sample_weight, labels, 0)]
    while len(clusters) < n_components:
        widest = int(np.argmax([np.trace(cluster.scatter) for cluster in clusters]))
        _divide(X, labels, widest, len(clusters), clusters[widest])
        clusters.append(_moments(X, sample_weight, labels, len(clusters)))
        clusters[widest] = _moments(X, sample_weight, labels, widest)
    return np.stack([cluster.mean for cluster in clusters])


def _divide(
    X: NDArray, labels: NDArray, label: int, new_label: int, cluster: Moments
) -> None:
    """Relabel the rows beyond the mean along the cluster's principal axis."""
    eigenvalues, axes = np.linalg.eigh(cluster.scatter)
    axis = axes[:, -1] * np.sign(axes[np.argmax(np.abs(axes[:, -1])), -1])
    # Rows at the mean stay, whatever the order in which its sum was rounded.
    margin = 1e-9 * np.sqrt(max(eigenvalues[-1], 0.0) / max(cluster.weight, 1e-300))
    for batch in _batches(X):
        rows = np.flatnonzero(labels[batch] == label) + batch.start
        beyond = (X[rows] - cluster.mean) @ axis > margin
        labels[rows[beyond]] = new_label


def _moments(
    X: NDArray, sample_weight: NDArray, labels: NDArray, label: int
) -> Moments:
    """Moments of the rows with a label, summed about one of them."""
    members = labels == label
    counted = members & (sample_weight > 0)
    if not counted.any():
        counted = members = np.arange(len(X)) == np.argmax(sample_weight > 0)
    origin = X[np.argmax(counted)].astype(np.float64)
    sums, scatter, weight = np.zeros_like(origin), np.zeros((len(origin),) * 2), 0.0
    for batch in _batches(X):
        rows = np.flatnonzero(members[batch]) + batch.start
        deviations = X[rows] - origin
        weighted = sample_weight[rows, None] * deviations
        weight += sample_weight[rows].sum()
        sums += weighted.sum(axis=0)
        scatter += weighted.T @ deviations
    shift = sums / weight
    return Moments(weight, origin + shift, scatter - weight * np.outer(shift, shift))


def _plus_plus(
    X: NDArray, n_components: int, sample_weight: NDArray, rng: np.random.RandomState
) -> NDArray:
    """Centers chosen by greedy k-means++ from the rows, or from a sample of them."""
    usable = np.flatnonzero(sample_weight > 0)
    limit = max(SEED_SAMPLE // X.shape[1], 2 * n_components)
    if len(usable) > limit:
        share = sample_weight[usable] / sample_weight[usable].sum()
        usable = rng.choice(usable, limit, replace=True, p=share)
        sample_weight = np.broadcast_to(np.float64(1.0), len(X))
    origin = X[usable[0]].astype(np.float64)
    centers, _ = kmeans_plusplus(
        X[usable] - origin,
        n_components,
        sample_weight=sample_weight[usable],
        random_state=rng,
    )
    return centers + origin
