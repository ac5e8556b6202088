"""Clutter: rows that are so far from others that they are probably noise.

The distance of a row to its k-th neighbour has a known distribution where rows have a
uniform density. With two densities, one of clutter and one of clusters, these are found
by EM (Byers & Raftery 1998, doi:10.1080/01621459.1998.10473711).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.neighbors import NearestNeighbors

from emgmm._data.arrays import ArrayBlocks

NEIGHBORS = 10  # by the distance to the farthest of which clutter is found
ROWS_PER_NEIGHBOR = 5  # at least
MAX_ITER, TOL = 200, 1e-6
MOST_OF_POWER = 300.0  # greatest logarithm of a power of a distance


class CleanRows(NamedTuple):
    """Indices of the rows that are not clutter, of ``n_samples``, and these rows in
    several representations."""

    rows: NDArray
    n_samples: int
    sets: list[ArrayBlocks]

    def spread(self, assignment: NDArray) -> NDArray:
        """Labels or responsibilities of these rows as those of all: -1, or zeros, of
        clutter."""
        shape = self.n_samples, *assignment.shape[1:]
        fill = -1 if assignment.ndim == 1 else 0.0
        whole = np.full(shape, fill, dtype=assignment.dtype, order="F")
        whole[self.rows] = assignment
        return whole


def clean_rows(sets: Sequence[ArrayBlocks], n_needed: int) -> CleanRows | None:
    """The rows that are not clutter, of the same rows in several representations; None
    if all are, or not so many as are needed."""
    is_clutter = clutter(sets[0])
    rows = np.flatnonzero(~is_clutter)
    if len(rows) == len(is_clutter) or len(rows) < n_needed:
        return None
    clean = [each.take(rows, each.weights[rows]) for each in sets]
    return CleanRows(rows, len(is_clutter), clean)


def clutter(rows: ArrayBlocks) -> NDArray:
    """Which rows (n,) are clutter; none of too few rows."""
    n_samples, n_features = rows.X.shape
    n_neighbors = min(NEIGHBORS, n_samples // ROWS_PER_NEIGHBOR)
    if n_neighbors < 1:
        return np.zeros(n_samples, dtype=bool)
    found = NearestNeighbors(n_neighbors=n_neighbors).fit(rows.X).kneighbors()[0][:, -1]
    return _is_clutter(found, rows.weights, n_neighbors, n_features)


def _is_clutter(
    distances: NDArray, weights: NDArray, n_neighbors: int, n_features: int
) -> NDArray:
    """Which distances (n,) to the k-th neighbour are those of the smaller density."""
    middle = np.median(distances)
    scale = middle if middle > 0 else distances.max(initial=0.0)
    if not scale > 0:
        return np.zeros(len(distances), dtype=bool)
    with np.errstate(divide="ignore"):
        logs = n_features * np.log(distances / scale)
    powers = np.exp(np.minimum(logs, MOST_OF_POWER))
    shares = (distances > scale).astype(float)
    for _ in range(MAX_ITER):
        total = np.array([weights @ (1 - shares), weights @ shares])
        sums = np.array(
            [weights @ ((1 - shares) * powers), weights @ (shares * powers)]
        )
        if not (total > 0).all() or not (sums > 0).all():
            break
        rates = n_neighbors * total / sums
        odds = np.log(total[1] / total[0])
        odds += n_neighbors * np.log(rates[1] / rates[0])
        before, shares = shares, expit(odds - (rates[1] - rates[0]) * powers)
        if np.abs(shares - before).max() < TOL:
            break
    return shares > 0.5
