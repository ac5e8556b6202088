"""Weights of rows: ones that are not stored, and rows chosen evenly by them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ones(n_rows: int) -> NDArray:
    """Weights of rows (n,) that were given none, not stored."""
    return np.broadcast_to(np.float64(1.0), n_rows)


def are_ones(weights: NDArray) -> bool:
    """Whether they are those."""
    return weights.strides == (0,)


def positions(weight: float, size: int) -> NDArray:
    """One position in each of so many equal parts of the weight, ascending."""
    parts = np.arange(size) + np.random.RandomState(0).uniform(size=size)
    return parts * (weight / size)


def systematic_sample(
    weights: NDArray, within: NDArray | None
) -> tuple[NDArray, NDArray]:
    """Indices of rows at positions within their weights, and how often each was met; or
    of all that have a weight, and these."""
    if within is None:
        rows = np.flatnonzero(weights)
        return rows, weights[rows]
    if are_ones(weights):
        chosen = within.astype(np.intp)
    else:
        chosen = np.searchsorted(np.cumsum(weights), within, side="right")
    rows, times = np.unique(np.minimum(chosen, len(weights) - 1), return_counts=True)
    return rows, times.astype(np.float64)
