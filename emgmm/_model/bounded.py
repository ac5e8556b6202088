"""EstimateFunctions of covariances with variances that are bounded from below."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .covariances import Covariances
from .linalg import WIDE, matrices_reach
from .segments import Segments

LEAST_SHARE = 1e-9  # of a least variance that is added before the bound is applied
# Iterations of what is added. Orientations may turn in circles, so that in the last
# iterations it only grows.
MAX_ADDITIONS = 40
MAX_GROWTH = 20
ENOUGH = 1e-6  # relative change of a variance at which the iteration ends

EstimateFunction = Callable[
    [Segments, NDArray, NDArray, Covariances | None], NDArray
]
"""Segments, counts (M,), scatter in the layout of the storage's products, and start to
values, which are NaN for a mixture whose scatter is singular.

The values minimise sum_k n_k log|S_k| + tr(S_k^-1 W_k) within the family. Families with
a common orientation begin at ``start``: from the previous covariances the likelihood
cannot fall.
"""


def bounded(
    storage: type[Covariances], estimate: EstimateFunction, least: NDArray
) -> EstimateFunction:
    """The estimate subject to least variances (d,), see ``Covariances.are_bounded``.

    By duality it is the unbounded estimate for more scatter in the directions where
    the bound is active: what is added are the Lagrange multipliers, found by a
    fixed-point iteration. For a free matrix or variance the first step is exact; more
    are taken where components share volume, shape or orientation. Where features are
    many, the bound itself is added to the matrices that violate it.
    """
    return partial(_bounded, storage, estimate, least)


def _bounded(
    storage: type[Covariances],
    estimate: EstimateFunction,
    least: NDArray,
    segments: Segments,
    counts: NDArray,
    scatter: NDArray,
    start: Covariances | None,
) -> NDArray:
    """The values of the estimate if they meet the bound, else the bounded ones."""
    with suppress(np.linalg.LinAlgError):
        values = estimate(segments, counts, scatter, start)
        if storage.are_bounded(values, least):
            return values
    kind = storage.moment_kind
    sizes = kind.pool(segments, counts).reshape(-1, *[1] * (scatter.ndim - 1))
    # Without any scatter of their own, shares of a volume or shape are undefined.
    own = scatter / sizes + kind.from_variances(LEAST_SHARE * least)
    if not kind.of_squares and len(least) > WIDE:
        return estimate(
            segments, counts, sizes * (own + _bound_of_narrow(own, least)), start
        )
    added = np.zeros_like(own)
    for kept in [0.0] * MAX_ADDITIONS + [1.0] * MAX_GROWTH:
        values = estimate(segments, counts, sizes * (own + added), start)
        if kept and storage.are_bounded(values, least):
            break
        added, change = storage.addition(values, least, own, added, kept)
        if not change > ENOUGH:
            break
    return values


def _bound_of_narrow(own: NDArray, least: NDArray) -> NDArray:
    """Diagonal matrices of the least variances for the scatters of a row (K, d, d), or
    (1, d, d), that are below them in some direction, and zeros for the others."""
    narrow = [not matrices_reach(matrix, least) for matrix in own]
    return np.reshape(narrow, (-1, 1, 1)) * np.diag(least)
