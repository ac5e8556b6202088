"""Chunks of rows, and the sums of one pass over them that make a summary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.cached import cached_property

from .arrays import RowBlocks
from .missing import blocks_of
from .resolution import known_steps, rows_to_look_at, steps_of
from .summary import Summary, scatter_about
from .weights import weights_or_ones

CHUNK_SIZE = 2**22  # numbers
ROWS_OF_CHUNK = 2**8  # that are kept to see to what values are rounded
# Rows that are compared side by side, because short loops take long.
ROWS_SIDE_BY_SIDE = 64


def chunk_length(n_features: int) -> int:
    """Rows in a chunk, where that is not the user's choice."""
    return max(CHUNK_SIZE // n_features, 1)


class Chunk(NamedTuple):
    """Some rows (n, d) in memory, and their weights (n,) if they have any."""

    X: NDArray
    sample_weight: NDArray | None = None

    @property
    def incomplete(self) -> bool:
        """Whether a value is missing (NaN)."""
        return bool(np.isnan(self.X.min(initial=np.inf)))

    @property
    def weights(self) -> NDArray:
        """Weights (n,) of the rows: ones, not stored, where none were passed."""
        return weights_or_ones(self.sample_weight, len(self.X))

    @property
    def blocks(self) -> RowBlocks:
        """The rows in blocks, sorted by missing pattern."""
        return blocks_of(self.X, self.sample_weight, self.incomplete)

    @property
    def weight(self) -> float:
        """Sum of the weights."""
        if self.sample_weight is None:
            return float(len(self.X))
        return float(self.sample_weight.sum())

    def rows(self, rows: slice) -> Chunk:
        """Some of the rows."""
        weights = self.sample_weight
        return Chunk(self.X[rows], None if weights is None else weights[rows])

    def copy(self) -> Chunk:
        """A copy that does not change with the arrays."""
        weights = self.sample_weight
        return Chunk(self.X.copy(), None if weights is None else weights.copy())


def joined(parts: list[Chunk]) -> Chunk:
    """One chunk of consecutive rows."""
    if len(parts) == 1:
        return parts[0]
    X = np.concatenate([part.X for part in parts])
    if all(part.sample_weight is None for part in parts):
        return Chunk(X)
    return Chunk(X, np.concatenate([part.weights for part in parts]))


@dataclass(frozen=True, eq=False)
class ChunkSums:
    """Sums, extremes and moments of chunks; those of more chunks add.

    Moments are merged without cancellation: Chan, Golub & LeVeque 1983,
    doi:10.1080/00031305.1983.10483115.
    """

    n_rows: tuple[int, ...]
    """Of each chunk."""
    totals: tuple[float, ...]
    """Sums of the weights of each chunk."""
    n_weighted: int
    n_complete: int
    n_patterns: int
    counts: NDArray
    center: NDArray
    squares: NDArray
    kept: NDArray
    """A few rows of each chunk, of many chunks of some, for ``steps_of``."""
    least: NDArray
    greatest: NDArray
    weight_range: tuple[float, float]
    equally_weighted: bool
    incomplete: bool
    dtype: np.dtype

    def __add__(self, other: ChunkSums) -> ChunkSums:
        counts = self.counts + other.counts
        share = other.counts / np.where(counts > 0, counts, 1.0)
        with np.errstate(all="ignore"):  # what overflows, ``in_units`` mends
            shift = other.center - self.center
            between = np.sqrt(self.counts * share) * shift
            center = self.center + share * shift
            squares = self.squares + other.squares + between**2
        least, greatest = zip(self.weight_range, other.weight_range, strict=True)
        return ChunkSums(
            self.n_rows + other.n_rows,
            self.totals + other.totals,
            self.n_weighted + other.n_weighted,
            self.n_complete + other.n_complete,
            self.n_patterns + other.n_patterns,
            counts,
            center,
            squares,
            _some(np.concatenate([self.kept, other.kept])),
            np.fmin(self.least, other.least),
            np.fmax(self.greatest, other.greatest),
            (min(least), max(greatest)),
            self.equally_weighted and other.equally_weighted,
            self.incomplete or other.incomplete,
            np.promote_types(self.dtype, other.dtype),
        )


@dataclass(frozen=True, eq=False)
class ChunkSummary(Summary):
    """Summary of rows in chunks, from the sums of a first pass."""

    sums: ChunkSums
    sum_rows: Callable[..., Any]
    """Another pass: the sum of function(rows, weights) over all blocks."""

    @property
    def n_samples(self) -> int:
        return sum(self.sums.n_rows)

    @property
    def n_features(self) -> int:
        return len(self.sums.center)

    @property
    def n_weighted(self) -> int:
        return self.sums.n_weighted

    @property
    def n_complete(self) -> int:
        return self.sums.n_complete

    @property
    def n_patterns(self) -> int:
        return self.sums.n_patterns

    @property
    def incomplete(self) -> bool:
        return self.sums.incomplete

    @property
    def equally_weighted(self) -> bool:
        return self.sums.equally_weighted

    @cached_property
    def weight(self) -> float:
        return float(np.sum(self.sums.totals))

    @property
    def weight_range(self) -> tuple[float, float]:
        return self.sums.weight_range

    @property
    def dtype(self) -> np.dtype:
        return self.sums.dtype

    @property
    def counts(self) -> NDArray:
        return self.sums.counts

    @property
    def center(self) -> NDArray:
        return self.sums.center

    @property
    def squares(self) -> NDArray:
        return self.sums.squares

    @cached_property
    def scatter(self) -> NDArray:
        return scatter_about(self.center, self.sum_rows)

    @property
    def extremes(self) -> tuple[NDArray, NDArray]:
        return self.sums.least, self.sums.greatest

    @cached_property
    def steps(self) -> NDArray:
        return known_steps(steps_of(self.sums.kept), *self.extremes)


def sums_of_chunk(chunk: Chunk) -> ChunkSums:
    """The sums of one chunk, which may have no rows."""
    X, blocks = chunk.X, chunk.blocks
    summary = blocks.summary
    weighted = X if summary.n_weighted == len(X) else X[chunk.weights > 0]
    counts = center = squares = np.zeros(X.shape[1])
    if summary.n_weighted:
        with np.errstate(all="ignore"):
            counts, center, squares = summary.counts, summary.center, summary.squares
    return ChunkSums(
        (len(X),),
        (summary.weight,),
        summary.n_weighted,
        summary.n_complete,
        summary.n_patterns,
        counts,
        center,
        squares,
        blocks.sample(ROWS_OF_CHUNK).X,
        _over_rows(np.fmin, weighted),
        _over_rows(np.fmax, weighted),
        summary.weight_range,
        summary.equally_weighted,
        summary.incomplete,
        summary.dtype,
    )


def _some(rows: NDArray) -> NDArray:
    """The rows, or every second of them if they are too many."""
    return rows if len(rows) <= rows_to_look_at(rows.shape[1]) else rows[::2]


def _over_rows(extreme: np.ufunc, X: NDArray) -> NDArray:
    """The least or the greatest value (d,) of each feature that is not missing."""
    n_rows, n_features = X.shape
    even = n_rows - n_rows % ROWS_SIDE_BY_SIDE
    wide = X[:even].reshape(-1, ROWS_SIDE_BY_SIDE * n_features)
    best = extreme.reduce(wide, axis=0, initial=np.nan)
    best = best.reshape(ROWS_SIDE_BY_SIDE, n_features)
    return extreme.reduce(np.concatenate([best, X[even:]]), axis=0)
