"""Rows that are far from one another, as centers of k-means.

Greedy k-means++ (Arthur & Vassilvitskii 2007; Grunau et al. 2023,
doi:10.1137/1.9781611977554.ch53) draws rows with probabilities proportional to their
weights and their squared distances from those chosen before. Here what it draws is
read off a Weyl sequence, along the principal axis of the rows: so the centers depend
only on the weighted distribution of the rows, and a weight is as good as repetitions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgmm._data.arrays import ArrayBlocks
from emgmm._utils.ties import PREFERENCE, TIE, ranks

from .principal_axes import Moments, middle

GOLDEN = 0.5 * (5**0.5 - 1)  # irrational, and far from all simple fractions
SMALLEST = np.finfo(np.float64).tiny
AWAY = 2**0.5  # what the sequences of several starts are apart


def spread_rows(blocks: ArrayBlocks, n_components: int, number: int) -> list[NDArray]:
    """So many sets of centers (K, d): of each as many rows as components.

    There are none if so many rows do not differ.
    """
    order = _along_principal_axis(blocks)
    X, weights = blocks.X[order].astype(np.float64), blocks.weights[order]
    X -= blocks.summary.center
    squares, starts = np.vecdot(X, X), np.arange(number)
    n_trials, steps = 2 + int(np.log(n_components)), iter(range(2**31))

    def drawn(chances: NDArray) -> NDArray:
        """Indices of a row for each set, by chances (number, n)."""
        totals = np.cumsum(chances, axis=1)
        shares = np.modf((0.5 + next(steps)) * GOLDEN + starts * AWAY)[0]
        found = [
            np.searchsorted(total, share * total[-1])
            for total, share in zip(totals, shares, strict=True)
        ]
        return np.minimum(found, len(X) - 1)

    def distances(rows: NDArray) -> NDArray:
        """Squared distances (..., n) of all rows from some."""
        cross = X[rows] @ X.T
        cross *= -2
        cross += squares
        cross += squares[rows][..., None]
        return np.maximum(cross, 0.0, out=cross)

    chosen = [drawn(np.broadcast_to(weights, (number, len(X))))]
    near = distances(chosen[0])
    for _ in range(1, n_components):
        chances = near * weights
        trials = np.stack([drawn(chances) for _ in range(n_trials)], axis=1)
        nearer = np.minimum(distances(trials), near[:, None])
        sums = nearer @ weights
        least = sums.min(axis=1, keepdims=True)
        best = (sums <= (1 + TIE) * least).argmax(axis=1)
        near = nearer[starts, best]
        chosen.append(trials[starts, best])
    centers = X[np.stack(chosen, axis=1)] + blocks.summary.center
    differ = [len(np.unique(own, axis=0)) == n_components for own in centers]
    return [own for own, usable in zip(centers, differ, strict=True) if usable]


def _along_principal_axis(blocks: ArrayBlocks) -> NDArray:
    """Indices of the rows (n,) in the order of their places along the principal axis;
    rows at the same place, but for rounding, by their features."""
    rows = blocks.summary
    plane = middle(Moments(rows.weight, rows.center, rows.scatter))
    places, width = (blocks.X - plane.point) @ plane.normal, plane.margin / TIE
    # From the end with the shorter tail, so that a reflection changes nothing.
    skewness = blocks.weights @ (places / max(width, SMALLEST)) ** 3 / rows.weight
    if skewness < -PREFERENCE:
        places = -places
    keys = [*blocks.X.T[::-1], places]
    return np.lexsort([ranks(each, plane.margin) for each in keys])
