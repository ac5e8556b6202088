"""Estimates of stacks, mixture by mixture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .covariances import Covariances
from .segments import Segments


def one_by_one(
    estimate: Callable[[NDArray, NDArray, Covariances | None], NDArray],
    segments: Segments,
    counts: NDArray,
    scatter: NDArray,
    start: Covariances | None,
) -> NDArray:
    """The values of an estimate that takes one mixture, for each mixture of a stack."""
    if len(segments) == 1:
        try:
            return estimate(counts, scatter, start)
        except np.linalg.LinAlgError:
            values = scatter if start is None else start.values
            return np.full(values.shape, np.nan)
    values = []
    pooled = len(scatter) == len(segments) != segments.n_components
    for b, own in enumerate(segments.slices()):
        scatters = scatter[b : b + 1] if pooled else scatter[own]
        one = start.take(np.array([b])) if start else None
        try:
            values.append(estimate(counts[own], scatters, one))
        except np.linalg.LinAlgError:
            values.append(np.full(scatters.shape, np.nan))
    return np.concatenate(values)
