"""Where rows come from, and sums over them in blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.cached import cached_property
from emgmm._utils.matmul import diagonal_squares

from .base import RowBlocks


@dataclass(frozen=True, eq=False)
class ArrayBlocks(RowBlocks):
    """Of rows in which no value is missing."""

    incomplete = False
    n_patterns = 1

    def to_block_order(self, values: NDArray) -> NDArray:
        return values

    def to_input_order(self, values: NDArray) -> NDArray:
        return values

    def chosen(self, rows: NDArray, sample_weight: NDArray) -> Self:
        return self.take(rows, sample_weight)

    @property
    def n_complete(self) -> int:
        return int(np.count_nonzero(self.sample_weight))

    @property
    def counts(self) -> NDArray:
        return np.full(self.X.shape[1], self.weight)

    @cached_property
    def center(self) -> NDArray:
        first = self.X[np.argmax(self.sample_weight > 0)].astype(np.float64)
        with np.errstate(all="ignore"):  # what overflows, ``in_units`` mends
            total = self.sum(
                lambda rows, weights: np.append(weights @ (rows - first), weights.sum())
            )
            return first + total[:-1] / total[-1]

    @cached_property
    def squares(self) -> NDArray:
        center = self.center
        with np.errstate(all="ignore"):  # what overflows, ``in_units`` mends
            sums = self.sum(
                lambda rows, weights: diagonal_squares(rows - center, weights)
            )
        return sums[1, 1:]

    @property
    def variances(self) -> NDArray:
        return self.squares / self.weight
