"""Where rows come from, and sums over them in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import gen_batches

# Numbers in a block (rows x features), 512 KiB: it and what is made of it for one
# component at a time stay in a core's cache.
BLOCK_SIZE = 2**16


class Blocks(Protocol):
    """A source of weighted rows that can be visited again and again."""

    def sum(self, function: Callable[..., Any], *aligned: NDArray) -> Any:
        """Add function(rows, weights, *aligned rows) over the blocks, in order."""

    @property
    def center(self) -> NDArray:
        """Weighted mean of the rows, shape (d,)."""


@dataclass(frozen=True, eq=False)
class ArrayBlocks:
    """Blocks of an array, a view or a memory map; rows reach functions as float64."""

    X: NDArray
    sample_weight: NDArray
    block_size: int = BLOCK_SIZE

    def slices(self) -> Iterator[slice]:
        """The rows of each block."""
        n_samples, n_features = self.X.shape
        return gen_batches(n_samples, max(self.block_size // n_features, 1))

    def rows(self, block: slice) -> NDArray:
        return np.ascontiguousarray(self.X[block], dtype=np.float64)

    def sum(self, function: Callable[..., Any], *aligned: NDArray) -> Any:
        return reduce(
            add,
            (
                function(
                    self.rows(block),
                    self.sample_weight[block],
                    *(rows[block] for rows in aligned),
                )
                for block in self.slices()
            ),
        )

    def map(self, function: Callable[[NDArray], NDArray], out: NDArray) -> NDArray:
        """Write function(rows) of each block into the rows of ``out``."""
        for block in self.slices():
            out[block] = function(self.rows(block))
        return out

    @property
    def center(self) -> NDArray:
        first = self.X[np.argmax(self.sample_weight > 0)].astype(np.float64)
        total = self.sum(
            lambda rows, weights: np.append(weights @ (rows - first), weights.sum())
        )
        return first + total[:-1] / total[-1]
