"""Predictions for each row, and sums of functions of log-densities over rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from emgmm._data.arrays import RowBlocks
from emgmm._data.base import RowSource
from emgmm._model.parameters import Parameters
from emgmm._utils.threads import BLAS

from .dispatch import Result, kernel_for, weighted_sum, with_fallback
from .kernel import DOUBLE, Kernel
from .underflow import settle


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

        return blocks.map(of_block, out, block_length=kernel.block_length)

    return _visit_with_any(mixture, blocks, visit)


@dataclass(frozen=True, eq=False)
class RowwisePredictor:
    """A function of joint log-densities, predicted for the rows in the user's order."""

    mixture: Parameters
    function: Callable[[Kernel, NDArray], NDArray]
    dtype: type | None = None
    """Type of the predictions, by default that of the rows."""
    shape: tuple[int, ...] = ()
    """Shape of the prediction for one row."""

    def __call__(self, blocks: RowBlocks) -> NDArray:
        dtype = blocks.X.dtype if self.dtype is None else self.dtype
        out = np.empty((len(blocks.X), *self.shape), dtype=dtype)
        return blocks.to_input_order(
            for_each_row(blocks, self.mixture, self.function, out)
        )


def log_density(
    kernel: Kernel, log_joint: NDArray, labels: NDArray | None = None
) -> NDArray:
    """Log-densities of a block of rows; writes the most probable components into
    ``labels``."""
    if labels is not None:
        labels[:] = kernel.labels(log_joint)
    return kernel.posterior(log_joint)[0]


def responsibilities(kernel: Kernel, log_joint: NDArray) -> NDArray:
    """Responsibilities (n, K) for a block of rows."""
    return kernel.posterior(log_joint)[1].T


BETWEEN_COMPONENTS = (Kernel.labels, responsibilities)
"""Functions that do not change where a number is added to a row's log-densities."""


def classification_score(kernel: Kernel, log_joint: NDArray) -> NDArray:
    """Joint log-densities (n,) of rows and their most probable components."""
    return kernel.peak(log_joint) + kernel.reference


def responsibilities_of(blocks: RowBlocks, mixture: Parameters) -> NDArray:
    """Responsibilities (n, K) for all rows."""
    out = np.empty((len(blocks.X), len(mixture.weights)))
    return for_each_row(blocks, mixture, responsibilities, out)


def weight_of_components(blocks: RowSource, mixture: Parameters) -> NDArray:
    """Expected weights (K,) of the rows of each component; with missing values, of the
    rows that observe a feature, for the feature that is observed least."""
    rows = blocks.summary
    if not rows.incomplete:
        return mixture.weights * rows.weight
    return rows.greatest_weight * _shares(blocks, mixture)[0].min(axis=1)


def effective_rows(blocks: RowSource, mixture: Parameters) -> NDArray:
    """Kish's effective numbers of rows (K,) of the components.

    (sum w r)^2 / sum w^2 r, whatever the scale of the weights; with missing values, of
    the rows that observe a feature, for the feature that is observed least.
    """
    rows = blocks.summary
    if rows.equally_weighted and not rows.incomplete:
        return mixture.weights * rows.n_samples
    total, squares = _shares(blocks, mixture)
    return (total**2 / np.where(squares > 0, squares, 1.0)).min(axis=1)


def _shares(blocks: RowSource, mixture: Parameters) -> NDArray:
    """Sums of w r and w^2 r (2, K, d or 1) over the rows that observe each feature, for
    weights w relative to the greatest."""
    rows = blocks.summary
    greatest, incomplete = rows.greatest_weight, rows.incomplete

    def of_block(kernel: Kernel, X: NDArray, weights: NDArray) -> NDArray:
        log_joint = kernel.log_joint(kernel.features(X))
        relative = weights / greatest
        shares = kernel.posterior(log_joint)[1] * relative
        present = ~np.isnan(X) if incomplete else np.ones((len(X), 1))
        return np.stack([shares @ present, shares * relative @ present])

    return blocks.accumulate(partial(_sum_with_any, mixture, of_block))


def sum_over_rows(
    blocks: RowSource,
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
        total = weighted_sum(weights, values, kernel.workspace)
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
        return blocks.sum(
            partial(function, kernel), *aligned, block_length=kernel.block_length
        )

    return _visit_with_any(mixture, blocks, visit)


def _visit_with_any(
    mixture: Parameters, blocks: RowBlocks, visit: Callable[[Kernel], Result]
) -> Result:
    """Result of a pass over rows in float64, which may not be those of the fit.

    Rounding errors of float32 average out in sums, but not in predictions of rows.
    """
    with BLAS.single_threaded(), np.errstate(all="ignore"):
        mean = mixture.weights @ mixture.means
        kernel = kernel_for(mixture, blocks, mean, DOUBLE.dtype)
        return with_fallback(visit, kernel)
