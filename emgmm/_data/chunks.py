"""Rows that are not all in memory, visited chunk by chunk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.cached import cached_property
from emgmm._utils.threads import Workspace

from .base import NO_ROWS, RowBlocks, scatter_of
from .missing import blocks_of
from .resolution import known_steps, steps_of
from .scaling import (
    are_moderate,
    resolution_of,
    sizes_of,
    type_of_sums,
    units_of,
    variances_of,
)
from .summary import Chunk, Summary, summary_of
from .weights import positions, systematic_sample


@dataclass(frozen=True, eq=False)
class ChunkedRows(ABC):
    """Rows of which only a chunk is in memory at a time.

    A first pass summarises them; further ones see the same rows in the same order.
    """

    units: NDArray | None = field(default=None, kw_only=True)
    workspace: Workspace = field(default_factory=Workspace, kw_only=True)
    _samples: dict[int, RowBlocks] = field(
        default_factory=dict, kw_only=True, init=False
    )

    @abstractmethod
    def visit(self, function: Callable[..., Any], *each: Sequence[Any]) -> Any:
        """Add function(chunk, *what each holds for it) over the chunks, in order; None
        if there are none. Where nothing is given for each, before the first pass too.
        """

    @abstractmethod
    def predict_rows(self, function: Callable[[RowBlocks], NDArray]) -> Any:
        """What a function tells of each row, in their order."""

    def _visit(self, function: Callable[..., Any], *each: Sequence[Any]) -> Any:
        if self.units is None:
            return self.visit(function, *each)
        return self.visit(partial(_in_units, function, self.units), *each)

    @cached_property
    def summary(self) -> Summary:
        """What a first pass tells. ValueError where there is no row with a weight."""
        summary = self._visit(summary_of)
        if summary is None or not summary.n_weighted:
            raise ValueError(NO_ROWS)
        return summary

    def sum(
        self, function: Callable[..., Any], *aligned: NDArray, rows: int | None = None
    ) -> Any:
        of_chunk = partial(_sum_of_chunk, function, rows, self.incomplete)
        return self._visit(of_chunk, *map(self._by_chunk, aligned))

    def accumulate(self, function: Callable[..., Any], *aligned: NDArray) -> Any:
        total = self._visit(partial(_of_chunk, function), *map(self._by_chunk, aligned))
        if total is None:
            raise ValueError(NO_ROWS)
        return total

    def _by_chunk(self, aligned: NDArray) -> list[NDArray]:
        """The parts of an array that belong to the rows of each chunk."""
        return np.split(aligned, np.cumsum(self.summary.n_rows)[:-1])

    def sample(self, size: int) -> RowBlocks:
        if size not in self._samples:  # further starts see the same
            self._samples[size] = self._sampled(size)
        return self._samples[size]

    def _sampled(self, size: int) -> RowBlocks:
        chosen: list[NDArray | None]
        if self.n_weighted > size:
            within = positions(self.weight, size)
            until = np.cumsum(self.summary.totals)
            parts = np.split(within, np.searchsorted(within, until[:-1]))
            begins = np.concatenate([[0.0], until[:-1]])
            chosen = [part - begin for part, begin in zip(parts, begins, strict=True)]
        else:
            chosen = [None] * len(self.summary.n_rows)
        taken = self._visit(_taken, chosen)
        X, weights = (np.concatenate(parts) for parts in zip(*taken, strict=True))
        return blocks_of(X, weights, self.incomplete)

    def in_units(self, by_feature: bool) -> tuple[Self, NDArray]:
        varying = ~np.isnan(self.steps)  # what is constant has no size
        if are_moderate(self.sizes[varying], self.weight):
            return self, np.ones(self.n_features)
        extremes = np.abs([self.summary.least, self.summary.greatest])
        units = units_of(varying * np.fmax.reduce(extremes), by_feature, self.weight)
        return replace(self, units=units, workspace=Workspace()), units

    @property
    def n_samples(self) -> int:
        return sum(self.summary.n_rows)

    @property
    def n_weighted(self) -> int:
        return self.summary.n_weighted

    @property
    def n_features(self) -> int:
        return len(self.summary.center)

    @property
    def n_patterns(self) -> int:
        return self.summary.n_patterns

    @property
    def n_complete(self) -> int:
        return self.summary.n_complete

    @property
    def incomplete(self) -> bool:
        return self.summary.incomplete

    @property
    def equally_weighted(self) -> bool:
        return self.summary.equally_weighted

    @property
    def greatest_weight(self) -> float:
        return self.summary.weights[1]

    @property
    def counts(self) -> NDArray:
        return self.summary.counts

    @property
    def float_type(self) -> np.dtype:
        return np.dtype(np.float32 if self.summary.single else np.float64)

    @property
    def dtype(self) -> np.dtype:
        return type_of_sums(self.float_type, *self.summary.weights)

    @property
    def resolution(self) -> float:
        return resolution_of(self.float_type)

    @cached_property
    def steps(self) -> NDArray:
        summary = self.summary
        return known_steps(steps_of(summary.rows), summary.least, summary.greatest)

    @property
    def weight(self) -> float:
        return float(np.sum(self.summary.totals))

    @property
    def center(self) -> NDArray:
        return self.summary.center

    @cached_property
    def scatter(self) -> NDArray:
        return scatter_of(self)

    @property
    def variances(self) -> NDArray:
        return variances_of(self.summary.squares, self.counts)

    @property
    def sizes(self) -> NDArray:
        return sizes_of(self.center, self.variances)


def _in_units(
    function: Callable[..., Any], units: NDArray, chunk: Chunk, *own: Any
) -> Any:
    return function(Chunk(chunk.X / units, chunk.sample_weight), *own)


def _sum_of_chunk(
    function: Callable[..., Any],
    rows: int | None,
    incomplete: bool,
    chunk: Chunk,
    *own: NDArray,
) -> Any:
    blocks = blocks_of(*chunk, incomplete)
    return blocks.sum(function, *map(blocks.to_block_order, own), rows=rows)


def _of_chunk(function: Callable[..., Any], chunk: Chunk, *own: NDArray) -> Any:
    blocks = chunk.blocks
    return function(blocks, *map(blocks.to_block_order, own))


def _taken(chunk: Chunk, within: NDArray | None) -> list[tuple[NDArray, NDArray]]:
    """Rows at positions within the weights of a chunk, and how often each was met."""
    rows, times = systematic_sample(chunk.sample_weight, within)
    return [(chunk.X[rows], times)]
