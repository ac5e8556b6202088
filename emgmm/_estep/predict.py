"""What is predicted of each row, or summed over all of them."""

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
    """What is told of each row by a mixture, in the user's order of the rows."""

    mixture: Parameters
    function: Callable[[Kernel, NDArray], NDArray]
    dtype: type | None = None
    """Of the results, by default that of the rows."""
    shape: tuple[int, ...] = ()
    """Of what is told of one row."""

    def __call__(self, blocks: RowBlocks) -> NDArray:
        dtype = blocks.X.dtype if self.dtype is None else self.dtype
        out = np.empty((len(blocks.X), *self.shape), dtype=dtype)
        return blocks.to_input_order(
            for_each_row(blocks, self.mixture, self.function, out)
        )


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


def weight_of_components(blocks: RowSource, mixture: Parameters) -> NDArray:
    """Weights (K,) of the rows that components hold; of those with a value of the
    feature of which fewest have one."""
    rows = blocks.summary
    if not rows.incomplete:
        return mixture.weights * rows.weight
    return rows.greatest_weight * _shares(blocks, mixture)[0].min(axis=1)


def effective_rows(blocks: RowSource, mixture: Parameters) -> NDArray:
    """Rows (K,) of equal weight that tell as much of the components: Kish's number.

    (sum w r)^2 / sum w^2 r, whatever the scale of the weights; of the rows with a value
    of the feature of which fewest have one.
    """
    rows = blocks.summary
    if rows.equally_weighted and not rows.incomplete:
        return mixture.weights * rows.n_samples
    total, squares = _shares(blocks, mixture)
    return (total**2 / np.where(squares > 0, squares, 1.0)).min(axis=1)


def _shares(blocks: RowSource, mixture: Parameters) -> NDArray:
    """Sums of w r and w^2 r (2, K, d or 1) over the rows with a value of a feature, for
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
    """Visit rows that the mixture was perhaps not fitted to; in float64, each alone.

    In sums over many rows what float32 rounds averages out, or is made good.
    """
    with BLAS.held(), np.errstate(all="ignore"):
        mean = mixture.weights @ mixture.means
        kernel = kernel_for(mixture, blocks, mean, DOUBLE.dtype)
        return with_fallback(visit, kernel)
