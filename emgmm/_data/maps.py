"""Rows of memory maps that are too large to keep much of them in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import validate_data

from .arrays import RowBlocks
from .chunks import Chunk, chunk_length
from .out_of_core import ChunkedRows, sum_over_chunks
from .validation import check_chunk, check_map, check_sample_weight, named

# Bytes of a memory map beyond which it is read chunk by chunk.
LARGE = 2**26


@dataclass(frozen=True, eq=False)
class MappedRows(ChunkedRows):
    """Rows of a memory map, read chunk by chunk."""

    X: NDArray
    sample_weight: NDArray | None = None

    def visit(self, function: Callable[..., Any], *each: Sequence[Any]) -> Any:
        return sum_over_chunks(function, self._chunks(), *each)

    def predict_rows(self, function: Callable[[RowBlocks], NDArray]) -> NDArray:
        """An array of what function(RowBlocks) returns for all rows."""
        out, start = np.empty(0), 0
        for chunk in self._chunks():
            part = function(chunk.blocks)
            if start == 0:
                out = np.empty((len(self.X), *part.shape[1:]), part.dtype)
            out[start : start + len(part)] = part
            start += len(part)
        return out

    def _chunks(self) -> Iterator[Chunk]:
        """The chunks, whose numbers are looked at in the first pass only."""
        finite = False if self.sums_so_far else "allow-nan"
        length = chunk_length(self.X.shape[1])
        for number, start in enumerate(range(0, len(self.X), length)):
            rows = slice(start, start + length)
            with named(number, start):
                check_map(self.X)
                X = check_chunk(self.X[rows], finite)
            weights = self.sample_weight
            yield Chunk(X, None if weights is None else weights[rows])


def is_large_map(X: Any) -> bool:
    """Whether X is a memory map of a table that is to be read chunk by chunk."""
    return check_map(X) and X.ndim == 2 and X.nbytes > LARGE


def rows_of_map(
    estimator: Any, X: NDArray, sample_weight: ArrayLike | None, reset: bool
) -> MappedRows:
    """The rows of a memory map."""
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    return MappedRows(X, check_sample_weight(sample_weight, len(X)))
