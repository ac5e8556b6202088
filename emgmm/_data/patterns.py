"""Patterns of missing values: rows brought together that lack the same features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def order_by_pattern(missing: NDArray) -> NDArray:
    """Order (n,) that brings rows of the same pattern together, of missing (n, d)."""
    return np.lexsort(np.packbits(missing, axis=1).T)


def bounds_of_patterns(missing: NDArray) -> NDArray:
    """Where patterns begin, and where the last ends, of missing (d, n) by columns."""
    changes = np.not_equal(missing[:, 1:], missing[:, :-1]).any(axis=0)
    return np.concatenate([[0], np.flatnonzero(changes) + 1, [missing.shape[1]]])


def each_pattern(missing: NDArray) -> Iterator[tuple[slice, NDArray]]:
    """Consecutive rows (n, d) of the same pattern, and which features they have."""
    bounds = bounds_of_patterns(missing.T)
    for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
        yield slice(start, stop), ~missing[start]
