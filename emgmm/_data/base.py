"""Where rows come from: the protocol that every source of rows follows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from operator import add
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.cached import cached_property
from emgmm._utils.matmul import squares
from emgmm._utils.threads import OrderedSum, Workspace, run_all

from .resolution import known_steps, rows_to_look_at, steps_of
from .scaling import are_moderate, resolution_of, sizes_of, type_of_sums, units_of
from .weights import are_ones, positions, systematic_sample

# Numbers in a block (rows x features) where a function does not say how many rows.
BLOCK_SIZE = 2**16
# Sums of blocks are added within groups of consecutive blocks, and those in order;
# so many groups, whatever the number of threads, that no sum depends on it.
MAX_GROUPS = 32

RAISED = "Raised by X"  # begins a note to what the user's own code raised


class RowSource(Protocol):
    """A source of weighted rows that can be visited again and again."""

    @property
    def workspace(self) -> Workspace:
        """Arrays for functions of blocks to write in."""

    def sum(
        self, function: Callable[..., Any], *aligned: NDArray, rows: int | None = None
    ) -> Any:
        """Add function(rows, weights, *aligned rows) over the blocks, in order."""

    def accumulate(self, function: Callable[..., Any], *aligned: NDArray) -> Any:
        """Add function(RowBlocks, *aligned rows) over the parts that are in memory at
        a time, in order."""

    def sample(self, size: int) -> RowBlocks:
        """All rows that have a weight, or of more one from each of so many equal parts
        of the weight: always the same ones, in any order of their numbers."""

    def in_units(self, by_feature: bool) -> tuple[Self, NDArray]:
        """The rows in units (d,) in which squares of squares neither over- nor
        underflow: powers of two, and 1 unless that is needed."""

    @property
    def incomplete(self) -> bool:
        """Whether values may be missing (NaN)."""

    @property
    def n_samples(self) -> int:
        """Number of rows."""

    @property
    def n_weighted(self) -> int:
        """Number of rows that have a weight."""

    @property
    def n_features(self) -> int:
        """Number of features."""

    @property
    def equally_weighted(self) -> bool:
        """Whether no weights were given."""

    @property
    def greatest_weight(self) -> float:
        """Of any row."""

    @property
    def counts(self) -> NDArray:
        """Weights (d,) of the rows in which there is a value."""

    @property
    def float_type(self) -> np.dtype:
        """float32 or float64: that of the rows, and of what is published."""

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
    def steps(self) -> NDArray:
        """Steps (d,) to which features are rounded, as far as rows show: 0 where they
        are not, NaN of features that are constant."""

    @property
    def weight(self) -> float:
        """Sum of the weights."""

    @property
    def center(self) -> NDArray:
        """Weighted mean of the rows, or of what is there of them, shape (d,)."""

    @property
    def scatter(self) -> NDArray:
        """Weighted products about the center (d, d), where no value is missing: only
        for those who need them, as there are d^2."""

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
    workspace: Workspace = field(default_factory=Workspace)

    incomplete: ClassVar[bool]

    @property
    def n_samples(self) -> int:
        return len(self.X)

    @property
    def n_weighted(self) -> int:
        if self.equally_weighted:
            return self.n_samples
        return int(np.count_nonzero(self.sample_weight))

    @property
    def n_features(self) -> int:
        return self.X.shape[1]

    @property
    def equally_weighted(self) -> bool:
        return are_ones(self.sample_weight)

    @property
    def greatest_weight(self) -> float:
        return float(self.sample_weight.max())

    @property
    def float_type(self) -> np.dtype:
        return self.X.dtype

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
    def squares(self) -> NDArray:
        """Weighted squares (d,) about the center of what is there."""

    @property
    @abstractmethod
    def variances(self) -> NDArray:
        """Weighted variances of the features, shape (d,)."""

    @abstractmethod
    def to_block_order(self, values: NDArray) -> NDArray:
        """What belongs to the user's rows, in the order of the rows here."""

    @abstractmethod
    def to_input_order(self, values: NDArray) -> NDArray:
        """What belongs to the rows here, in the order of the user's."""

    @abstractmethod
    def chosen(self, rows: NDArray, sample_weight: NDArray) -> Self:
        """Some of the rows, by ascending indices in the user's order, with weights."""

    def take(self, rows: NDArray, sample_weight: NDArray) -> Self:
        """Some of the rows, by ascending indices, with weights."""
        return self._with(self.X[rows], sample_weight)

    def accumulate(self, function: Callable[..., Any], *aligned: NDArray) -> Any:
        return function(self, *aligned)

    def sample(self, size: int) -> RowBlocks:
        if self.n_weighted == self.n_samples <= size:
            return self
        weights = self.sample_weight
        weights = weights if self.equally_weighted else self.to_input_order(weights)
        within = positions(self.weight, size) if self.n_weighted > size else None
        return self.chosen(*systematic_sample(weights, within))

    def _with(self, X: NDArray, sample_weight: NDArray) -> Self:
        return replace(self, X=X, sample_weight=sample_weight, workspace=Workspace())

    def in_units(self, by_feature: bool) -> tuple[Self, NDArray]:
        """The rows in units (d,) in which squares of squares neither over- nor
        underflow: powers of two, and 1 unless that is needed, which copies the rows.
        """
        varying = ~np.isnan(self.steps)  # what is constant has no size
        if are_moderate(self.sizes[varying], self.weight):
            return self, np.ones(self.n_features)
        sizes = varying * np.fmax.reduce(np.abs(self.extremes))
        units = units_of(sizes, by_feature, self.weight)
        return self.divided_by(units), units

    def divided_by(self, units: NDArray) -> Self:
        """The rows in units (d,), copied."""
        return self._with(self.X / units, self.sample_weight)

    def slices(self, rows: int | None = None) -> list[slice]:
        """Blocks of at most so many rows and of about equal size.

        Beyond one they are a multiple of four, so that two or four threads end
        together.
        """
        n_samples, n_features = self.X.shape
        rows = rows or max(self.block_size // n_features, 1)
        if n_samples <= rows:
            return [slice(0, n_samples)] if n_samples else []
        number = 4 * -(-n_samples // (4 * rows))
        bounds = np.linspace(0, n_samples, min(number, n_samples) + 1).astype(int)
        return [slice(*pair) for pair in zip(bounds[:-1], bounds[1:], strict=True)]

    def sum(
        self, function: Callable[..., Any], *aligned: NDArray, rows: int | None = None
    ) -> Any:
        blocks = self.slices(rows)
        if len(blocks) == 1:
            return function(self.X, self.sample_weight, *aligned)
        total = OrderedSum()

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
        if self.X.dtype == np.float64 or self.equally_weighted:
            return self.X.dtype
        positive = self.sample_weight[self.sample_weight > 0]
        return type_of_sums(self.X.dtype, positive.min(), positive.max())

    @property
    def resolution(self) -> float:
        return resolution_of(self.X.dtype)

    @cached_property
    def steps(self) -> NDArray:
        sample = self.sample(rows_to_look_at(self.n_features))
        steps = steps_of(sample.X)
        if sample is self or not np.isnan(steps).any():
            return steps
        return known_steps(steps, *self.extremes)

    @property
    def extremes(self) -> tuple[NDArray, NDArray]:
        """Least and greatest value (d,) of each feature, in rows that have a weight."""
        X = (
            self.X
            if self.n_weighted == self.n_samples
            else self.X[self.sample_weight > 0]
        )
        return np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)

    @cached_property
    def weight(self) -> float:
        return float(self.sample_weight.sum())

    @property
    def sizes(self) -> NDArray:
        return sizes_of(self.center, self.variances)

    @cached_property
    def scatter(self) -> NDArray:
        return scatter_of(self)


def scatter_of(blocks: RowSource) -> NDArray:
    """Weighted products (d, d) of complete rows about their center."""
    center = blocks.center
    return blocks.sum(partial(_products_about, center=center))[1:, 1:]


def _products_about(X: NDArray, weights: NDArray, center: NDArray) -> NDArray:
    return squares(X - center, weights)


def raised_by_rows(error: Exception) -> bool:
    """Whether rows could not be had, and not what was computed of them."""
    return any(note.startswith(RAISED) for note in getattr(error, "__notes__", ()))


def _groups(blocks: list[slice]) -> list[list[slice]]:
    """Consecutive blocks in groups of equal numbers, at most ``MAX_GROUPS``."""
    size = max(-(-len(blocks) // MAX_GROUPS), 1)
    return [blocks[start : start + size] for start in range(0, len(blocks), size)]


NO_ROWS = "X has no row of positive weight: give blocks with rows."
