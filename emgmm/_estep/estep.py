"""The E-step: rows and a mixture to statistics, or to what is told of each row."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import RowSource
from emgmm._model.parameters import Parameters
from emgmm._utils.matmul import contract, diagonal_squares, squares

from .dispatch import _kernel, _within_reach, weighted_sum
from .kernel import DOUBLE, Kernel, Sums
from .missing_fast import divided, observed_features
from .moments import Deviations
from .statistics import Statistics


def e_step(X: NDArray, sample_weight: NDArray, kernel: Kernel) -> Sums:
    """What one block of rows adds to the statistics."""
    features = kernel.features(X)
    log_joint = kernel.log_joint(features)
    log_density, responsibilities = kernel.posterior(log_joint, sample_weight)
    moments = kernel.moments(features, responsibilities)
    log_likelihood = weighted_sum(sample_weight, log_density, kernel.workspace)
    return Sums(log_likelihood, moments)


def expectation(blocks: RowSource, mixture: Parameters) -> Statistics:
    """Expected statistics of all rows, about an origin near enough to the means.

    Numbers may overflow or underflow, in helping threads too: kernels look at what
    comes of it.
    """

    def visit(kernel: Kernel) -> tuple[Statistics, bool]:
        sums = blocks.sum(partial(e_step, kernel=kernel), block_length=kernel.rows)
        stats = kernel.statistics(sums, blocks)
        return stats, stats.cancels(kernel.max_cancellation)

    with np.errstate(all="ignore"):
        rows = blocks.summary
        kernel = _kernel(mixture, blocks, rows.center, rows.compute_dtype)
        stats, cancels = _within_reach(visit, kernel)
        if not cancels:
            return stats
        # Rare: a mean jumped by many of the component's own standard deviations.
        return visit(kernel.fallback_kernel(stats.means))[0]


def statistics_of_start(
    blocks: RowSource, start: NDArray, n_components: int, products: str
) -> Statistics:
    """Statistics of starting labels (n,), -1 unassigned, or responsibilities (n, K)."""
    if blocks.summary.incomplete:
        return _statistics_of_incomplete_start(blocks, start, n_components, products)
    center = blocks.summary.center
    first = blocks.sum(
        partial(_first_moments, n_components=n_components, center=center), start
    )
    origin = center + (first[1:] / np.where(first[0] > 0, first[0], 1.0)).T
    base = np.zeros_like(center)
    deviations = Deviations(products, origin, base, DOUBLE.dtype, blocks.workspace)
    rows = deviations.rows if start.ndim == 2 else None
    sums = blocks.sum(
        partial(_second_moments, deviations=deviations), start, block_length=rows
    )
    return deviations.statistics(sums, blocks.summary.weight)


def _statistics_of_incomplete_start(
    blocks: RowSource, start: NDArray, n_components: int, products: str
) -> Statistics:
    """Of rows with missing values, which are expected where the component's are.

    No covariances are known yet: what is missing is taken to be independent of the
    rest, with mean and variance of what the component has of that feature.
    """
    center, workspace = blocks.summary.center, blocks.workspace

    def of_features(X: NDArray, sample_weight: NDArray, start: NDArray) -> NDArray:
        features = observed_features(X, center, workspace)
        return contract(features, _weighted(start, n_components, sample_weight))

    sums = blocks.sum(of_features, start).T
    counts, present, first, second = divided(sums)
    seen, number = present > 0, np.where(present > 0, present, 1.0)
    shifts = np.where(seen, first / number, 0.0)
    variances = np.where(seen, second / number - shifts**2, blocks.summary.variances)

    squares_of = _SQUARES[products]

    def of_squares(X: NDArray, sample_weight: NDArray, start: NDArray) -> Sums:
        weights = _weighted(start, n_components, sample_weight)
        moments = []
        for origin, weight in zip(center + shifts, weights, strict=True):
            rows = np.flatnonzero(weight)
            moments.append(squares_of(np.nan_to_num(X[rows] - origin), weight[rows]))
        return Sums(0.0, np.stack(moments))

    moments = blocks.sum(of_squares, start).moments
    diagonal = products == "diagonal"
    diagonals = moments[:, 1] if diagonal else np.einsum("kii->ki", moments)
    diagonals[:, 1:] += (counts - present) * np.maximum(variances, 0.0)  # of a view
    origin = center + shifts
    deviations = Deviations(products, origin, center, DOUBLE.dtype, workspace)
    return deviations.statistics(Sums(0.0, moments), blocks.summary.weight)


def _first_moments(
    X: NDArray,
    sample_weight: NDArray,
    start: NDArray,
    n_components: int,
    center: NDArray,
) -> NDArray:
    """Weights of the components, and weighted sums about the center, (1 + d, K)."""
    rows = np.ones((1 + X.shape[1], len(X)))
    np.subtract(X.T, center[:, None], out=rows[1:])
    return contract(rows, _weighted(start, n_components, sample_weight))


def _second_moments(
    X: NDArray, sample_weight: NDArray, start: NDArray, deviations: Deviations
) -> Sums:
    """What one block of rows and their starting labels or responsibilities add."""
    if start.ndim == 2:
        weighted = _weighted(start, len(deviations.origin), sample_weight)
        return Sums(0.0, deviations.moments(deviations.features(X), weighted))
    squares_of, moments = _SQUARES[deviations.kind], []
    for k, origin in enumerate(deviations.origin):
        rows = np.flatnonzero(start == k)
        moments.append(squares_of(X[rows] - origin, sample_weight[rows]))
    return Sums(0.0, np.stack(moments))


_SQUARES = {"diagonal": diagonal_squares, "full": squares, "pooled": squares}
"""Kinds of products: deviations and weights of rows to their moments."""


def _weighted(start: NDArray, n_components: int, sample_weight: NDArray) -> NDArray:
    """Starting labels or responsibilities, times the weights of the rows, (K, n)."""
    if start.ndim == 1:
        components = np.arange(n_components, dtype=start.dtype)
        return (start == components[:, None]) * sample_weight
    return start.T * sample_weight
