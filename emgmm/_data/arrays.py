"""Rows in memory, and sums over them in blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from operator import add
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from emgmm._utils.cached import cached_property
from emgmm._utils.matmul import diagonal_squares
from emgmm._utils.threads import OrderedSum, Workspace, run_all

from .resolution import known_steps, rows_to_look_at, steps_of
from .scaling import are_moderate, units_of
from .summary import Summary, scatter_about
from .weights import positions, systematic_sample, weights_or_ones

# Numbers in a block (rows x features) where a function does not say how many rows.
BLOCK_SIZE = 2**16
# Sums of blocks are added within groups of consecutive blocks, and those in order;
# so many groups, whatever the number of threads, that no sum depends on it.
MAX_GROUPS = 32


@dataclass(frozen=True, eq=False)
class RowBlocks(ABC):
    """Blocks of rows in memory: of an array, a view or a memory map, in its dtype."""

    X: NDArray
    sample_weight: NDArray | None = None
    """Weights (n,); None where the user passed none."""
    block_size: int = BLOCK_SIZE
    workspace: Workspace = field(default_factory=Workspace)

    summary_class: ClassVar[type[ArraySummary]]

    @cached_property
    def summary(self) -> ArraySummary:
        # Of a copy, lest the summary and the rows keep one another in memory.
        return self.summary_class(replace(self))

    @property
    def weights(self) -> NDArray:
        """Weights (n,) of the rows: ones, not stored, where none were passed."""
        return weights_or_ones(self.sample_weight, len(self.X))

    @property
    def on_host(self) -> RowBlocks:
        """The rows where NumPy can read them."""
        return self

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
        """An array with values of such a shape for each row, of undefined content."""
        return np.empty((len(self.X), *shape), dtype)

    @abstractmethod
    def to_block_order(self, values: NDArray) -> NDArray:
        """Values that belong to the user's rows, in the order of the rows here."""

    @abstractmethod
    def to_input_order(self, values: NDArray) -> NDArray:
        """Values that belong to the rows here, in the order of the user's rows."""

    @abstractmethod
    def chosen(self, rows: NDArray, sample_weight: NDArray | None) -> Self:
        """Some of the rows, by ascending indices in the user's order, with weights."""

    def take(self, rows: NDArray, sample_weight: NDArray | None) -> Self:
        """Some of the rows, by ascending indices, with weights."""
        return self._with(self.X[rows], sample_weight)

    def accumulate(self, function: Callable[..., Any], *aligned: NDArray) -> Any:
        return function(self, *aligned)

    def sample(self, size: int) -> RowBlocks:
        chosen = self._sampled(size)
        return self if chosen is None else self.chosen(*chosen)

    def sample_values(self, size: int, values: NDArray) -> NDArray:
        chosen = self._sampled(size)
        if chosen is None:
            return values
        return self.sample(size).to_block_order(self.to_input_order(values)[chosen[0]])

    def _sampled(self, size: int) -> tuple[NDArray, NDArray] | None:
        """Indices, in the user's order, and weights of the rows of a sample; None if it
        has all rows."""
        summary = self.summary
        if summary.n_weighted == summary.n_samples <= size:
            return None
        weights = self.sample_weight
        weights = None if weights is None else self.to_input_order(weights)
        within = positions(summary, size)
        return systematic_sample(summary.n_samples, weights, within)

    def _with(self, X: NDArray, sample_weight: NDArray | None) -> Self:
        """Other rows, in blocks of the same size."""
        return replace(self, X=X, sample_weight=sample_weight, workspace=Workspace())

    def in_units(self, by_feature: bool) -> tuple[Self, NDArray]:
        units = units_for(self.summary, by_feature)
        if units is None:
            return self, np.ones(self.summary.n_features)
        return self.divided_by(units), units

    def divided_by(self, units: NDArray) -> Self:
        """The rows in units (d,), copied."""
        return self._with(self.X / units, self.sample_weight)

    def slices(self, block_length: int | None = None) -> list[slice]:
        """Blocks of at most so many rows and of about equal length.

        Beyond one they are a multiple of four, so that two or four threads end
        together.
        """
        n_samples, n_features = self.X.shape
        block_length = block_length or max(self.block_size // n_features, 1)
        if n_samples <= block_length:
            return [slice(0, n_samples)] if n_samples else []
        number = 4 * -(-n_samples // (4 * block_length))
        bounds = np.linspace(0, n_samples, min(number, n_samples) + 1).astype(int)
        return [slice(*pair) for pair in zip(bounds[:-1], bounds[1:], strict=True)]

    def sum(
        self,
        function: Callable[..., Any],
        *aligned: NDArray,
        block_length: int | None = None,
    ) -> Any:
        blocks, weights = self.slices(block_length), self.weights
        if len(blocks) == 1:
            return function(self.X, weights, *aligned)
        total = OrderedSum()

        def add_group(index: int, group: list[slice]) -> None:
            values = (
                function(
                    self.X[block],
                    weights[block],
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
        block_length: int | None = None,
    ) -> NDArray:
        """``out``, with function(rows) of each block written to its rows."""

        def write_group(group: list[slice]) -> None:
            for block in group:
                out[block] = function(self.X[block])

        groups = _groups(self.slices(block_length))
        run_all([partial(write_group, group) for group in groups])
        return out


@dataclass(frozen=True, eq=False)
class ArraySummary(Summary):
    """Summary of rows in memory in which no value is missing."""

    rows: RowBlocks

    incomplete = False

    @property
    def n_samples(self) -> int:
        return len(self.rows.X)

    @property
    def n_features(self) -> int:
        return self.rows.X.shape[1]

    @property
    def dtype(self) -> np.dtype:
        return self.rows.X.dtype

    @property
    def equally_weighted(self) -> bool:
        return self.rows.sample_weight is None

    @cached_property
    def n_weighted(self) -> int:
        if self.equally_weighted:
            return self.n_samples
        return int(np.count_nonzero(self.rows.weights))

    @property
    def n_complete(self) -> int:
        return self.n_weighted

    @property
    def n_patterns(self) -> int:
        return 1

    @cached_property
    def weight(self) -> float:
        if self.equally_weighted:
            return float(self.n_samples)
        return float(self.rows.weights.sum())

    @cached_property
    def weight_range(self) -> tuple[float, float]:
        if self.equally_weighted:
            return (1.0, 1.0) if self.n_samples else (np.inf, 0.0)
        positive = self.rows.weights[self.rows.weights > 0]
        return positive.min(initial=np.inf), positive.max(initial=0.0)

    @property
    def counts(self) -> NDArray:
        return np.full(self.n_features, self.weight)

    @cached_property
    def center(self) -> NDArray:
        rows = self.rows
        first = rows.X[np.argmax(rows.weights > 0)].astype(np.float64)
        with np.errstate(all="ignore"):  # what overflows, ``in_units`` mends
            total = rows.sum(
                lambda X, weights: np.append(weights @ (X - first), weights.sum())
            )
            return first + total[:-1] / total[-1]

    @cached_property
    def squares(self) -> NDArray:
        center = self.center
        with np.errstate(all="ignore"):  # what overflows, ``in_units`` mends
            sums = self.rows.sum(
                lambda X, weights: diagonal_squares(X - center, weights)
            )
        return sums[1, 1:]

    @cached_property
    def scatter(self) -> NDArray:
        return scatter_about(self.center, self.rows.sum)

    @cached_property
    def extremes(self) -> tuple[NDArray, NDArray]:
        X = self.rows.X
        if self.n_weighted < self.n_samples:
            X = X[self.rows.weights > 0]
        return np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)

    @cached_property
    def steps(self) -> NDArray:
        sample = self.rows.sample(rows_to_look_at(self.n_features))
        steps = steps_of(sample.X)
        if sample is self.rows or not np.isnan(steps).any():
            return steps
        return known_steps(steps, *self.extremes)


@dataclass(frozen=True, eq=False)
class ArrayBlocks(RowBlocks):
    """Blocks of rows in which no value is missing."""

    summary_class = ArraySummary

    def to_block_order(self, values: NDArray) -> NDArray:
        return values

    def to_input_order(self, values: NDArray) -> NDArray:
        return values

    def chosen(self, rows: NDArray, sample_weight: NDArray | None) -> Self:
        return self.take(rows, sample_weight)


def units_for(summary: Summary, by_feature: bool) -> NDArray | None:
    """Units (d,) in which fourth powers of rows are moderate; None if they are."""
    varying = ~np.isnan(summary.steps)  # what is constant has no scale
    if are_moderate(summary.scales[varying], summary.weight):
        return None
    scales = varying * np.fmax.reduce(np.abs(summary.extremes))
    return units_of(scales, by_feature, summary.weight)


def _groups(blocks: list[slice]) -> list[list[slice]]:
    """Consecutive blocks in groups of equal numbers, at most ``MAX_GROUPS``."""
    size = max(-(-len(blocks) // MAX_GROUPS), 1)
    return [blocks[start : start + size] for start in range(0, len(blocks), size)]
