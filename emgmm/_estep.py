"""The E-step: rows and a mixture to statistics, or to what is told of each row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ._blocks import Blocks, RowBlocks, raised_by_rows
from ._deviations import Deviations
from ._far import settle
from ._kernels import choose_kernel
from ._missing import choose_incomplete, divided, observed_features
from ._parameters import Parameters
from ._posterior import DOUBLE, Kernel, Sums
from ._products import contract, diagonal_squares, squares
from ._statistics import Statistics
from ._threads import BLAS, Scratch

Result = TypeVar("Result")


def e_step(X: NDArray, sample_weight: NDArray, kernel: Kernel) -> Sums:
    """What one block of rows adds to the statistics."""
    features = kernel.features(X)
    log_joint = kernel.log_joint(features)
    log_density, responsibilities = kernel.posterior(log_joint, sample_weight)
    moments = kernel.moments(features, responsibilities)
    log_likelihood = weighted_sum(sample_weight, log_density, kernel.scratch)
    return Sums(log_likelihood, moments)


def expectation(blocks: Blocks, mixture: Parameters) -> Statistics:
    """Expected statistics of all rows, about an origin near enough to the means.

    Numbers may overflow or underflow, in helping threads too: kernels look at what
    comes of it.
    """

    def visit(kernel: Kernel) -> tuple[Statistics, bool]:
        sums = blocks.sum(partial(e_step, kernel=kernel), rows=kernel.rows)
        stats = kernel.statistics(sums, blocks)
        return stats, stats.cancels(kernel.max_cancellation)

    with np.errstate(all="ignore"):
        kernel = _kernel(mixture, blocks, blocks.center, blocks.dtype)
        stats, cancels = _within_reach(visit, kernel)
        if not cancels:
            return stats
        # Rare: a mean jumped by many of the component's own standard deviations.
        return visit(kernel.exact(stats.means))[0]


def _kernel(
    mixture: Parameters, blocks: Blocks, near: NDArray, dtype: np.dtype
) -> Kernel:
    """The fastest kernel for such rows that is accurate, where they are near (d,)."""
    if blocks.incomplete:
        return choose_incomplete(mixture, blocks, near)
    return choose_kernel(mixture, near, dtype, blocks.scratch)


def statistics_of_start(
    blocks: Blocks, start: NDArray, n_components: int, products: str
) -> Statistics:
    """Statistics of starting labels (n,), -1 unassigned, or responsibilities (n, K)."""
    if blocks.incomplete:
        return _statistics_of_incomplete_start(blocks, start, n_components, products)
    center = blocks.center
    first = blocks.sum(
        partial(_first_moments, n_components=n_components, center=center), start
    )
    origin = center + (first[1:] / np.where(first[0] > 0, first[0], 1.0)).T
    base = np.zeros_like(center)
    deviations = Deviations(products, origin, base, DOUBLE.dtype, blocks.scratch)
    rows = deviations.rows if start.ndim == 2 else None
    sums = blocks.sum(partial(_second_moments, deviations=deviations), start, rows=rows)
    return deviations.statistics(sums, blocks.weight)


def _statistics_of_incomplete_start(
    blocks: Blocks, start: NDArray, n_components: int, products: str
) -> Statistics:
    """Of rows with missing values, which are expected where the component's are.

    No covariances are known yet: what is missing is taken to be independent of the
    rest, with mean and variance of what the component has of that feature.
    """
    center, scratch = blocks.center, blocks.scratch

    def of_features(X: NDArray, sample_weight: NDArray, start: NDArray) -> NDArray:
        features = observed_features(X, center, scratch)
        return contract(features, _weighted(start, n_components, sample_weight))

    sums = blocks.sum(of_features, start).T
    counts, present, first, second = divided(sums)
    seen, number = present > 0, np.where(present > 0, present, 1.0)
    shifts = np.where(seen, first / number, 0.0)
    variances = np.where(seen, second / number - shifts**2, blocks.variances)

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
    deviations = Deviations(products, origin, center, DOUBLE.dtype, scratch)
    return deviations.statistics(Sums(0.0, moments), blocks.weight)


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


def for_each_row(
    blocks: RowBlocks,
    mixture: Parameters,
    function: Callable[[Kernel, NDArray], NDArray],
    out: NDArray,
) -> NDArray:
    """Write function(kernel, log_joint) of every row into ``out``, block by block."""

    def visit(kernel: Kernel) -> NDArray:
        def of_block(X: NDArray) -> NDArray:
            log_joint = kernel.log_joint(kernel.features(X))
            if kernel.unlimited and function in BETWEEN_COMPONENTS:
                log_joint = settle(log_joint, X, mixture)
            values = function(kernel, log_joint)
            return values.astype(out.dtype, copy=False)

        return blocks.map(of_block, out, rows=kernel.rows)

    return _visit_with_any(mixture, blocks, visit)


@dataclass(frozen=True, eq=False)
class Telling:
    """What is told of each row by a mixture, in the user's order of the rows."""

    mixture: Parameters
    function: Callable[[Kernel, NDArray], NDArray]
    dtype: type | None = None
    """Of the results, by default that of the rows."""
    shape: tuple[int, ...] = ()
    """Of what is told of one row."""

    def __call__(self, blocks: RowBlocks) -> NDArray:
        dtype = blocks.float_type if self.dtype is None else self.dtype
        out = np.empty((blocks.n_samples, *self.shape), dtype=dtype)
        return blocks.restored(for_each_row(blocks, self.mixture, self.function, out))


def log_density(
    kernel: Kernel, log_joint: NDArray, labels: NDArray | None = None
) -> NDArray:
    """Log-densities of a block of rows; their most probable components too."""
    if labels is not None:
        labels[:] = kernel.labels(log_joint)
    return kernel.posterior(log_joint)[0]


def responsibilities(kernel: Kernel, log_joint: NDArray) -> NDArray:
    """Probabilities of the components, shape (n, K), for a block of rows."""
    return kernel.posterior(log_joint)[1].T


BETWEEN_COMPONENTS = (Kernel.labels, responsibilities)
"""Functions of log-joint densities to which one added to all makes no difference."""


def classification_score(kernel: Kernel, log_joint: NDArray) -> NDArray:
    """Joint log-densities of rows and their most probable components."""
    return kernel.peak(log_joint) + kernel.reference


def responsibilities_of(blocks: RowBlocks, mixture: Parameters) -> NDArray:
    """Probabilities of the components, shape (n, K)."""
    out = np.empty((len(blocks.X), len(mixture.weights)))
    return for_each_row(blocks, mixture, responsibilities, out)


def weight_of_components(blocks: Blocks, mixture: Parameters) -> NDArray:
    """Weights (K,) of the rows that components hold; of those with a value of the
    feature of which fewest have one."""
    if not blocks.incomplete:
        return mixture.weights * blocks.weight
    return blocks.greatest_weight * _shares(blocks, mixture)[0].min(axis=1)


def effective_rows(blocks: Blocks, mixture: Parameters) -> NDArray:
    """Rows (K,) of equal weight that tell as much of the components: Kish's number.

    (sum w r)^2 / sum w^2 r, whatever the scale of the weights; of the rows with a value
    of the feature of which fewest have one.
    """
    if blocks.equally_weighted and not blocks.incomplete:
        return mixture.weights * blocks.n_samples
    total, squares = _shares(blocks, mixture)
    return (total**2 / np.where(squares > 0, squares, 1.0)).min(axis=1)


def _shares(blocks: Blocks, mixture: Parameters) -> NDArray:
    """Sums of w r and w^2 r (2, K, d or 1) over the rows with a value of a feature, for
    weights w relative to the greatest."""
    greatest, incomplete = blocks.greatest_weight, blocks.incomplete

    def of_block(kernel: Kernel, X: NDArray, weights: NDArray) -> NDArray:
        log_joint = kernel.log_joint(kernel.features(X))
        relative = weights / greatest
        shares = kernel.posterior(log_joint)[1] * relative
        present = ~np.isnan(X) if incomplete else np.ones((len(X), 1))
        return np.stack([shares @ present, shares * relative @ present])

    return blocks.accumulate(partial(_sum_with_any, mixture, of_block))


def sum_over_rows(
    blocks: Blocks,
    mixture: Parameters,
    function: Callable[..., NDArray],
    *aligned: NDArray,
) -> NDArray:
    """Sum of function(kernel, log_joint, *aligned rows), times weights, and weight."""

    def of_block(
        kernel: Kernel, X: NDArray, weights: NDArray, *aligned: NDArray
    ) -> NDArray:
        log_joint = kernel.log_joint(kernel.features(X))
        values = function(kernel, log_joint, *aligned)
        total = weighted_sum(weights, values, kernel.scratch)
        return np.array([total, weights.sum()])

    return blocks.accumulate(partial(_sum_with_any, mixture, of_block), *aligned)


def _sum_with_any(
    mixture: Parameters,
    function: Callable[..., NDArray],
    blocks: RowBlocks,
    *aligned: NDArray,
) -> NDArray:
    """Sum of function(kernel, rows, weights, *aligned rows)."""

    def visit(kernel: Kernel) -> NDArray:
        return blocks.sum(partial(function, kernel), *aligned, rows=kernel.rows)

    return _visit_with_any(mixture, blocks, visit)


def _visit_with_any(
    mixture: Parameters, blocks: RowBlocks, visit: Callable[[Kernel], Result]
) -> Result:
    """Visit rows that the mixture was perhaps not fitted to; in float64, each alone.

    In sums over many rows what float32 rounds averages out, or is made good.
    """
    with BLAS.held(), np.errstate(all="ignore"):
        mean = mixture.weights @ mixture.means
        kernel = _kernel(mixture, blocks, mean, DOUBLE.dtype)
        return _within_reach(visit, kernel)


def _within_reach(visit: Callable[[Kernel], Result], kernel: Kernel) -> Result:
    """Visit the rows with a kernel, or with one that reaches rows however far."""
    try:
        return visit(kernel)
    except FloatingPointError as error:
        if raised_by_rows(error):
            raise
        return visit(kernel.exact())


def weighted_sum(weights: NDArray, values: NDArray, scratch: Scratch) -> float:
    """Sum of weights times values in float64, where 0 times infinity is 0."""
    terms = scratch.array("terms", values.shape, DOUBLE.dtype)
    np.multiply(weights, values, out=terms)
    total = float(terms.sum())
    return total if isfinite(total) else float(terms[weights > 0].sum())
