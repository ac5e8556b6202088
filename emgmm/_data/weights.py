"""Weights of rows, and systematic samples of rows by weight."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .summary import Summary


@lru_cache(maxsize=16)  # every pass needs them
def unit_weights(n_rows: int) -> NDArray:
    """Weights of one (n,), which take no memory."""
    return np.broadcast_to(np.float64(1.0), n_rows)


def weights_or_ones(weights: NDArray | None, n_rows: int) -> NDArray:
    """Weights (n,) of rows: ones, not stored, where none were passed."""
    return unit_weights(n_rows) if weights is None else weights


def positions(summary: Summary, size: int) -> NDArray | None:
    """Positions of a systematic sample within the cumulative weight, ascending: one in
    each of ``size`` equal parts; None if there are no more rows than that."""
    if summary.n_weighted <= size:
        return None
    parts = np.arange(size) + np.random.RandomState(0).uniform(size=size)
    return parts * (summary.weight / size)


def systematic_sample(
    n_rows: int, weights: NDArray | None, positions: NDArray | None
) -> tuple[NDArray, NDArray]:
    """Indices and weights of sampled rows: those in whose part of the cumulative weight
    positions fall, and how many; without positions, all rows of positive weight."""
    if positions is None:
        weights = weights_or_ones(weights, n_rows)
        rows = np.flatnonzero(weights)
        return rows, weights[rows]
    if weights is None:
        chosen = positions.astype(np.intp)
    else:
        chosen = np.searchsorted(np.cumsum(weights), positions, side="right")
    rows, times = np.unique(np.minimum(chosen, n_rows - 1), return_counts=True)
    return rows, times.astype(np.float64)
