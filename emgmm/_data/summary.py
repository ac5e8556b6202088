"""What one pass tells of rows that are visited chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .base import RowBlocks
from .missing import blocks_of
from .resolution import rows_to_look_at
from .weights import are_ones, ones

ROWS_OF_CHUNK = 2**8  # that are kept to see to what values are rounded
WIDE = 64  # rows that are compared side by side, because short loops take long


class Chunk(NamedTuple):
    """Some rows (n, d) in memory, and their weights (n,)."""

    X: NDArray
    sample_weight: NDArray

    @property
    def incomplete(self) -> bool:
        """Whether a value is missing (NaN)."""
        return bool(np.isnan(self.X.min(initial=np.inf)))

    @property
    def blocks(self) -> RowBlocks:
        """The rows, those together that lack the same values."""
        return blocks_of(self.X, self.sample_weight, self.incomplete)

    @property
    def _weighted(self) -> bool:
        return not are_ones(self.sample_weight)

    @property
    def weight(self) -> float:
        """Sum of the weights."""
        return float(self.sample_weight.sum() if self._weighted else len(self.X))

    def rows(self, rows: slice) -> Chunk:
        """Some of them."""
        return Chunk(self.X[rows], self.sample_weight[rows])

    def copy(self) -> Chunk:
        """The same, whatever happens to the arrays; ones are not stored."""
        weights = self.sample_weight.copy() if self._weighted else self.sample_weight
        return Chunk(self.X.copy(), weights)


def joined(parts: list[Chunk]) -> Chunk:
    """One chunk of consecutive rows."""
    if len(parts) == 1:
        return parts[0]
    X = np.concatenate([part.X for part in parts])
    if not any(part._weighted for part in parts):
        return Chunk(X, ones(len(X)))
    return Chunk(X, np.concatenate([part.sample_weight for part in parts]))


@dataclass(frozen=True, eq=False)
class Summary:
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
    """Weights (d,) of the rows in which there is a value."""
    center: NDArray
    """Weighted means (d,) of what is there."""
    squares: NDArray
    """Weighted squares (d,) about them."""
    rows: NDArray
    """A few rows of each chunk, of many chunks of some, for ``steps_of``."""
    least: NDArray
    greatest: NDArray
    weights: tuple[float, float]
    """The least that is positive, and the greatest."""
    equally_weighted: bool
    incomplete: bool
    single: bool
    """Whether all rows are float32."""

    def __add__(self, other: Summary) -> Summary:
        counts = self.counts + other.counts
        share = other.counts / np.where(counts > 0, counts, 1.0)
        with np.errstate(all="ignore"):  # what overflows, ``in_units`` mends
            shift = other.center - self.center
            between = np.sqrt(self.counts * share) * shift
            center = self.center + share * shift
            squares = self.squares + other.squares + between**2
        return Summary(
            self.n_rows + other.n_rows,
            self.totals + other.totals,
            self.n_weighted + other.n_weighted,
            self.n_complete + other.n_complete,
            self.n_patterns + other.n_patterns,
            counts,
            center,
            squares,
            _some(np.concatenate([self.rows, other.rows])),
            np.fmin(self.least, other.least),
            np.fmax(self.greatest, other.greatest),
            (
                min(self.weights[0], other.weights[0]),
                max(self.weights[1], other.weights[1]),
            ),
            self.equally_weighted and other.equally_weighted,
            self.incomplete or other.incomplete,
            self.single and other.single,
        )


def _some(rows: NDArray) -> NDArray:
    """The rows, or every second of them if they are too many."""
    return rows if len(rows) <= rows_to_look_at(rows.shape[1]) else rows[::2]


def summary_of(chunk: Chunk) -> Summary:
    """Of one chunk, which may have no row."""
    X, weights = chunk
    blocks = chunk.blocks
    positive = weights[weights > 0] if chunk._weighted else weights[:1]
    zeros = np.zeros(X.shape[1])
    counts, center, squares = zeros, zeros, zeros
    if positive.size:
        with np.errstate(all="ignore"):
            counts, center, squares = blocks.counts, blocks.center, blocks.squares
    return Summary(
        (len(X),),
        (blocks.weight,),
        blocks.n_weighted,
        blocks.n_complete,
        blocks.n_patterns,
        counts,
        center,
        squares,
        blocks.sample(ROWS_OF_CHUNK).X,
        _over_rows(np.fmin, X),
        _over_rows(np.fmax, X),
        (positive.min(initial=np.inf), positive.max(initial=0.0)),
        blocks.equally_weighted,
        blocks.incomplete,
        X.dtype == np.float32,
    )


def _over_rows(extreme: np.ufunc, X: NDArray) -> NDArray:
    """The least or the greatest value (d,) of each feature that is not missing."""
    n_rows, n_features = X.shape
    even = n_rows - n_rows % WIDE
    wide = X[:even].reshape(-1, WIDE * n_features)
    best = extreme.reduce(wide, axis=0, initial=np.nan).reshape(WIDE, n_features)
    return extreme.reduce(np.concatenate([best, X[even:]]), axis=0)
