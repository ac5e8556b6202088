"""Rows in which values are missing, those together that lack the same ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.cached import cached_property
from emgmm._utils.matmul import diagonal_squares

from .arrays import ArrayBlocks
from .base import RowBlocks
from .patterns import bounds_of_patterns, order_by_pattern
from .scaling import variances_of
from .weights import are_ones


@dataclass(frozen=True, eq=False)
class IncompleteBlocks(RowBlocks):
    """Of rows in which values are missing (NaN), at random.

    Those that lack the same features lie together: what depends on the pattern is
    computed once for all of them.
    """

    order: NDArray | None = None
    """Indices (n,) of the rows among the user's, for whole arrays only."""

    incomplete = True

    @classmethod
    def of(cls, X: NDArray, sample_weight: NDArray) -> Self:
        """Of the user's rows, in whatever order."""
        order = order_by_pattern(np.isnan(X))
        weights = sample_weight if are_ones(sample_weight) else sample_weight[order]
        return cls(X[order], weights, order=order)

    def to_block_order(self, values: NDArray) -> NDArray:
        return values if self.order is None else values[self.order]

    def to_input_order(self, values: NDArray) -> NDArray:
        if self.order is None:
            return values
        out = np.empty_like(values)
        out[self.order] = values
        return out

    def chosen(self, rows: NDArray, sample_weight: NDArray) -> Self:
        places = np.arange(len(self.X))
        return self.of(self.X[self.to_input_order(places)[rows]], sample_weight)

    def take(self, rows: NDArray, sample_weight: NDArray) -> Self:
        return replace(super().take(rows, sample_weight), order=None)

    @cached_property
    def n_patterns(self) -> int:
        return len(bounds_of_patterns(np.isnan(self.X).T)) - 1

    @cached_property
    def n_complete(self) -> int:
        complete = ~np.isnan(self.X).any(axis=1)
        return int(np.count_nonzero(self.sample_weight[complete]))

    @cached_property
    def counts(self) -> NDArray:
        return self.sum(lambda rows, weights: weights @ ~np.isnan(rows))

    @cached_property
    def center(self) -> NDArray:
        seen = ~np.isnan(self.X) & (self.sample_weight > 0)[:, None]
        first = self.X[seen.argmax(axis=0), np.arange(self.X.shape[1])]
        first = np.nan_to_num(first.astype(np.float64))
        with np.errstate(all="ignore"):  # what overflows, ``in_units`` mends
            total = self.sum(lambda rows, weights: weights @ _or_zero(rows - first))
            return first + total / np.where(self.counts > 0, self.counts, 1.0)

    @property
    def variances(self) -> NDArray:
        return variances_of(self.squares, self.counts)

    @cached_property
    def squares(self) -> NDArray:
        center = self.center
        with np.errstate(all="ignore"):  # what overflows, ``in_units`` mends
            sums = self.sum(
                lambda rows, weights: diagonal_squares(_or_zero(rows - center), weights)
            )
        return sums[1, 1:]


def blocks_of(X: NDArray, sample_weight: NDArray, incomplete: bool) -> RowBlocks:
    """Blocks of rows in memory."""
    if incomplete:
        return IncompleteBlocks.of(X, sample_weight)
    return ArrayBlocks(X, sample_weight)


def _or_zero(values: NDArray) -> NDArray:
    """The values, in place, with zero where one is missing."""
    values[np.isnan(values)] = 0.0
    return values
