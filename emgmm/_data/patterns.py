"""Missing patterns: which features of a row are missing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def order_by_pattern(missing: NDArray) -> NDArray:
    """Indices (n,) that sort rows by missing pattern, of missing (n, d)."""
    return np.lexsort(np.packbits(missing, axis=1).T)


def bounds_of_patterns(missing: NDArray) -> NDArray:
    """First rows of the patterns and the end of the last, of missing (d, n)."""
    changes = np.not_equal(missing[:, 1:], missing[:, :-1]).any(axis=0)
    return np.concatenate([[0], np.flatnonzero(changes) + 1, [missing.shape[1]]])


def each_pattern(missing: NDArray) -> Iterator[tuple[slice, NDArray]]:
    """Slices of consecutive rows of one pattern, and the features (d,) observed there,
    of missing (n, d)."""
    bounds = bounds_of_patterns(missing.T)
    for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
        yield slice(start, stop), ~missing[start]
