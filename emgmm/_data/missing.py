"""Rows in memory in which values are missing, sorted by missing pattern."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.cached import cached_property
from emgmm._utils.matmul import diagonal_squares

from .arrays import ArrayBlocks, ArraySummary, RowBlocks
from .patterns import bounds_of_patterns, order_by_pattern


@dataclass(frozen=True, eq=False)
class IncompleteSummary(ArraySummary):
    """Summary of rows in memory in which values are missing."""

    incomplete = True

    @cached_property
    def n_patterns(self) -> int:
        return len(bounds_of_patterns(np.isnan(self.rows.X).T)) - 1

    @cached_property
    def n_complete(self) -> int:
        complete = ~np.isnan(self.rows.X).any(axis=1)
        return int(np.count_nonzero(self.rows.weights[complete]))

    @cached_property
    def counts(self) -> NDArray:
        return self.rows.sum(lambda X, weights: weights @ ~np.isnan(X))

    @cached_property
    def center(self) -> NDArray:
        X, counts = self.rows.X, self.counts
        observed = ~np.isnan(X) & (self.rows.weights > 0)[:, None]
        first = X[observed.argmax(axis=0), np.arange(X.shape[1])]
        first = np.nan_to_num(first.astype(np.float64))
        with np.errstate(all="ignore"):  # what overflows, ``in_units`` mends
            total = self.rows.sum(lambda X, weights: weights @ _or_zero(X - first))
            return first + total / np.where(counts > 0, counts, 1.0)

    @cached_property
    def squares(self) -> NDArray:
        center = self.center
        with np.errstate(all="ignore"):  # what overflows, ``in_units`` mends
            sums = self.rows.sum(
                lambda X, weights: diagonal_squares(_or_zero(X - center), weights)
            )
        return sums[1, 1:]


@dataclass(frozen=True, eq=False)
class IncompleteBlocks(RowBlocks):
    """Blocks of rows in which values are missing (NaN) at random.

    Rows of the same missing pattern are consecutive: what depends on the pattern is
    computed once for all of them.
    """

    order: NDArray | None = None
    """Indices (n,) of the rows among the user's; None for parts of the rows."""

    summary_class = IncompleteSummary

    @classmethod
    def of(cls, X: NDArray, sample_weight: NDArray | None = None) -> Self:
        """Blocks of the user's rows, which may come in any order."""
        order = order_by_pattern(np.isnan(X))
        weights = None if sample_weight is None else sample_weight[order]
        return cls(X[order], weights, order=order)

    def to_block_order(self, values: NDArray) -> NDArray:
        return values if self.order is None else values[self.order]

    def to_input_order(self, values: NDArray) -> NDArray:
        if self.order is None:
            return values
        out = np.empty_like(values)
        out[self.order] = values
        return out

    def chosen(self, rows: NDArray, sample_weight: NDArray | None) -> Self:
        places = np.arange(len(self.X))
        return self.of(self.X[self.to_input_order(places)[rows]], sample_weight)

    def take(self, rows: NDArray, sample_weight: NDArray | None) -> Self:
        return replace(super().take(rows, sample_weight), order=None)


def blocks_of(X: NDArray, sample_weight: NDArray | None, incomplete: bool) -> RowBlocks:
    """Blocks of rows in memory, in which values may be missing."""
    if incomplete:
        return IncompleteBlocks.of(X, sample_weight)
    return ArrayBlocks(X, sample_weight)


def _or_zero(values: NDArray) -> NDArray:
    """The values, changed in place: zero where one is missing."""
    values[np.isnan(values)] = 0.0
    return values
