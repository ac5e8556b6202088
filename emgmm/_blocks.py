"""Where rows come from, and sums over them in blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial, reduce
from operator import add
from threading import Lock
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ._patterns import bounds_of_patterns, order_by_pattern
from ._products import squares
from ._threads import Scratch, run_all

# Numbers in a block (rows x features) where a function does not say how many rows.
BLOCK_SIZE = 2**16
# Sums of blocks are added within groups of consecutive blocks, and those in order;
# so many groups, whatever the number of threads, that no sum depends on it.
MAX_GROUPS = 32
MODERATE = 1e-60, 1e60  # sizes of numbers that any formula may take
# Weights in this range and their sums are far from the ends of float32.
FLOAT32_WEIGHTS = 2.0**-40, 2.0**40


class Blocks(Protocol):
    """A source of weighted rows that can be visited again and again."""

    @property
    def scratch(self) -> Scratch:
        """Arrays for functions of blocks to write in."""

    def sum(
        self, function: Callable[..., Any], *aligned: NDArray, rows: int | None = None
    ) -> Any:
        """Add function(rows, weights, *aligned rows) over the blocks, in order."""

    @property
    def incomplete(self) -> bool:
        """Whether values may be missing (NaN)."""

    @property
    def n_samples(self) -> int:
        """Number of rows."""

    @property
    def n_patterns(self) -> int:
        """Number of patterns of missing values; 1 if there are none."""

    @property
    def n_complete(self) -> int:
        """Number of rows that have a weight and in which nothing is missing."""

    @property
    def dtype(self) -> np.dtype:
        """float32 where sums within a block may be taken in it, else float64."""

    @property
    def resolution(self) -> float:
        """Relative size of what rounding does to deviations of rows from parameters."""

    @property
    def weight(self) -> float:
        """Sum of the weights."""

    @property
    def center(self) -> NDArray:
        """Weighted mean of the rows, or of what is there of them, shape (d,)."""

    @property
    def scatter(self) -> NDArray:
        """Weighted products about the center (d, d), where missing values are."""

    @property
    def variances(self) -> NDArray:
        """Weighted variances of the features, shape (d,)."""

    @property
    def sizes(self) -> NDArray:
        """Sizes (d,) of the features: absolute mean and standard deviation."""


@dataclass(frozen=True, eq=False)
class RowBlocks(ABC):
    """Blocks of an array, a view or a memory map, in its own type of numbers."""

    X: NDArray
    sample_weight: NDArray
    block_size: int = BLOCK_SIZE
    scratch: Scratch = field(default_factory=Scratch)

    incomplete: ClassVar[bool]

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return len(self.X)

    @property
    @abstractmethod
    def n_patterns(self) -> int:
        """Number of patterns of missing values; 1 if there are none."""

    @property
    @abstractmethod
    def counts(self) -> NDArray:
        """Weights (d,) of the rows in which there is a value."""

    @property
    @abstractmethod
    def n_complete(self) -> int:
        """Number of rows that have a weight and in which nothing is missing."""

    @property
    @abstractmethod
    def center(self) -> NDArray:
        """Weighted mean of the rows, or of what is there of them, shape (d,)."""

    @property
    @abstractmethod
    def variances(self) -> NDArray:
        """Weighted variances of the features, shape (d,)."""

    @property
    @abstractmethod
    def scatter(self) -> NDArray:
        """Weighted products about the center (d, d), where missing values are."""

    @abstractmethod
    def arranged(self, values: NDArray) -> NDArray:
        """What belongs to the user's rows, in the order of the rows here."""

    @abstractmethod
    def restored(self, values: NDArray) -> NDArray:
        """What belongs to the rows here, in the order of the user's."""

    def take(self, rows: NDArray, sample_weight: NDArray) -> Self:
        """Some of the rows, by ascending indices, with weights."""
        return self._with(self.X[rows], sample_weight)

    def _with(self, X: NDArray, sample_weight: NDArray) -> Self:
        return replace(self, X=X, sample_weight=sample_weight, scratch=Scratch())

    def in_units(self, by_feature: bool) -> tuple[Self, NDArray]:
        """The rows in units (d,) in which squares of squares neither over- nor
        underflow: powers of two, and 1 unless that is needed, which copies the rows.
        """
        sizes = self.sizes
        least, most = MODERATE
        if np.all((sizes == 0) | (least < sizes) & (sizes < most)):
            return self, np.ones(len(sizes))
        sizes = np.fmax(
            np.abs(np.fmin.reduce(self.X, axis=0)),
            np.abs(np.fmax.reduce(self.X, axis=0)),
        )
        if not by_feature:
            sizes[:] = np.fmax.reduce(sizes)
        units = 2.0 ** np.round(np.log2(np.where(sizes > 0, sizes, 1.0)))
        return self._with(self.X / units, self.sample_weight), units

    def slices(self, rows: int | None = None) -> list[slice]:
        """Blocks of at most so many rows and of about equal size.

        Beyond one they are a multiple of four, so that two or four threads end
        together.
        """
        n_samples, n_features = self.X.shape
        rows = rows or max(self.block_size // n_features, 1)
        if n_samples <= rows:
            return [slice(0, n_samples)]
        number = 4 * -(-n_samples // (4 * rows))
        bounds = np.linspace(0, n_samples, min(number, n_samples) + 1).astype(int)
        return [slice(*pair) for pair in zip(bounds[:-1], bounds[1:], strict=True)]

    def sum(
        self, function: Callable[..., Any], *aligned: NDArray, rows: int | None = None
    ) -> Any:
        blocks = self.slices(rows)
        if len(blocks) == 1:
            return function(self.X, self.sample_weight, *aligned)
        total = _OrderedSum()

        def add_group(index: int, group: list[slice]) -> None:
            values = (
                function(
                    self.X[block],
                    self.sample_weight[block],
                    *(array[block] for array in aligned),
                )
                for block in group
            )
            total.add(index, reduce(add, values))

        groups = enumerate(_groups(blocks))
        run_all([partial(add_group, index, group) for index, group in groups])
        return total.value

    def map(
        self,
        function: Callable[[NDArray], NDArray],
        out: NDArray,
        rows: int | None = None,
    ) -> NDArray:
        """Write function(rows) of each block into the rows of ``out``."""

        def write_group(group: list[slice]) -> None:
            for block in group:
                out[block] = function(self.X[block])

        groups = _groups(self.slices(rows))
        run_all([partial(write_group, group) for group in groups])
        return out

    @cached_property
    def dtype(self) -> np.dtype:
        if self.X.dtype == np.float32:
            weights, (least, most) = self.sample_weight, FLOAT32_WEIGHTS
            if weights.max() < most and not np.any((weights > 0) & (weights < least)):
                return np.dtype(np.float32)
        return np.dtype(np.float64)

    @property
    def resolution(self) -> float:
        # Parameters are published in the type of the rows.
        return float(max(np.finfo(self.X.dtype).eps / 4, 16 * np.finfo(float).eps))

    @cached_property
    def weight(self) -> float:
        return float(self.sample_weight.sum())

    @property
    def sizes(self) -> NDArray:
        with np.errstate(all="ignore"):
            return np.abs(self.center) + np.sqrt(self.variances)


@dataclass(frozen=True, eq=False)
class ArrayBlocks(RowBlocks):
    """Of rows in which no value is missing."""

    incomplete = False
    n_patterns = 1

    def arranged(self, values: NDArray) -> NDArray:
        return values

    def restored(self, values: NDArray) -> NDArray:
        return values

    @property
    def n_complete(self) -> int:
        return int(np.count_nonzero(self.sample_weight))

    @property
    def counts(self) -> NDArray:
        return np.full(self.X.shape[1], self.weight)

    @cached_property
    def center(self) -> NDArray:
        first = self.X[np.argmax(self.sample_weight > 0)].astype(np.float64)
        total = self.sum(
            lambda rows, weights: np.append(weights @ (rows - first), weights.sum())
        )
        return first + total[:-1] / total[-1]

    @property
    def variances(self) -> NDArray:
        return np.diagonal(self.scatter) / self.weight

    @cached_property
    def scatter(self) -> NDArray:
        center = self.center
        with np.errstate(all="ignore"):  # what overflows, ``in_units`` mends
            sums = self.sum(lambda rows, weights: squares(rows - center, weights))
        return sums[1:, 1:]


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
        equal = sample_weight.strides == (0,)  # ones that are not stored
        weights = sample_weight if equal else sample_weight[order]
        return cls(X[order], weights, order=order)

    def arranged(self, values: NDArray) -> NDArray:
        return values if self.order is None else values[self.order]

    def restored(self, values: NDArray) -> NDArray:
        if self.order is None:
            return values
        out = np.empty_like(values)
        out[self.order] = values
        return out

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
        total = self.sum(lambda rows, weights: weights @ _or_zero(rows - first))
        return first + total / np.where(self.counts > 0, self.counts, 1.0)

    @property
    def variances(self) -> NDArray:
        """Where there is no value of a feature, 1."""
        seen = self.counts > 0
        counts = np.where(seen, self.counts, 1.0)
        return np.where(seen, np.diagonal(self.scatter) / counts, 1.0)

    @cached_property
    def scatter(self) -> NDArray:
        center = self.center
        with np.errstate(all="ignore"):  # what overflows, ``in_units`` mends
            sums = self.sum(
                lambda rows, weights: squares(_or_zero(rows - center), weights)
            )
        return sums[1:, 1:]


def _or_zero(values: NDArray) -> NDArray:
    """The values, in place, with zero where one is missing."""
    values[np.isnan(values)] = 0.0
    return values


class _OrderedSum:
    """A sum of values that come in any order, added in that of their numbers.

    Few have to wait at a time, so that few are in memory.
    """

    def __init__(self) -> None:
        self.value: Any = None
        self._added = 0
        self._waiting: dict[int, Any] = {}
        self._lock = Lock()

    def add(self, index: int, value: Any) -> None:
        with self._lock:
            self._waiting[index] = value
            while self._added in self._waiting:
                value = self._waiting.pop(self._added)
                self.value = value if self._added == 0 else self.value + value
                self._added += 1


def _groups(blocks: list[slice]) -> list[list[slice]]:
    """Consecutive blocks in groups of equal numbers, at most ``MAX_GROUPS``."""
    size = -(-len(blocks) // MAX_GROUPS)
    return [blocks[start : start + size] for start in range(0, len(blocks), size)]
