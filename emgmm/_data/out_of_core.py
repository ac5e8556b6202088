"""Rows that are not all in memory, visited chunk by chunk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.cached import cached_property
from emgmm._utils.threads import Workspace

from .arrays import RowBlocks, units_for
from .base import NO_ROWS
from .chunks import Chunk, ChunkSummary, ChunkSums, sums_of_chunk
from .missing import blocks_of
from .weights import positions, systematic_sample


@dataclass(frozen=True, eq=False)
class ChunkedRows(ABC):
    """Rows of which only a chunk is in memory at a time.

    A first pass summarises them; further ones see the same rows in the same order.
    """

    units: NDArray | None = field(default=None, kw_only=True)
    known: ChunkSums | None = field(default=None, kw_only=True)
    """The sums of a first pass over these rows, if another object made it."""
    workspace: Workspace = field(default_factory=Workspace, kw_only=True)
    _samples: dict[int, RowBlocks] = field(
        default_factory=dict, kw_only=True, init=False
    )

    @abstractmethod
    def visit(self, function: Callable[..., Any], *each: Sequence[Any]) -> Any:
        """Sum of function(chunk, *own values) over the chunks, in order; None if there
        are none. ``each`` has a value for each chunk, and is empty in the first pass.
        """

    @abstractmethod
    def predict_rows(self, function: Callable[[RowBlocks], NDArray]) -> Any:
        """What function(RowBlocks) returns for the rows of each chunk, in order."""

    def _visit(self, function: Callable[..., Any], *each: Sequence[Any]) -> Any:
        """As ``visit``, of the rows in units."""
        if self.units is None:
            return self.visit(function, *each)
        return self.visit(partial(_in_units, function, self.units), *each)

    @cached_property
    def sums(self) -> ChunkSums:
        """The sums of a first pass. ValueError without a row of positive weight."""
        sums = self.known or self._visit(sums_of_chunk)
        if sums is None or not sums.n_weighted:
            raise ValueError(NO_ROWS)
        return sums

    @property
    def sums_so_far(self) -> ChunkSums | None:
        """The sums of a first pass; None before it."""
        return self.known or vars(self).get("sums")

    @cached_property
    def summary(self) -> ChunkSummary:
        # Of a copy, lest the summary and the rows keep one another in memory.
        return ChunkSummary(self.sums, replace(self, known=self.sums).sum)

    def sum(
        self,
        function: Callable[..., Any],
        *aligned: NDArray,
        block_length: int | None = None,
    ) -> Any:
        of_chunk = partial(_sum_of_chunk, function, block_length, self.sums.incomplete)
        return self._visit(of_chunk, *map(self._by_chunk, aligned))

    def accumulate(self, function: Callable[..., Any], *aligned: NDArray) -> Any:
        total = self._visit(partial(_of_chunk, function), *map(self._by_chunk, aligned))
        if total is None:
            raise ValueError(NO_ROWS)
        return total

    def _by_chunk(self, aligned: NDArray) -> list[NDArray]:
        """The parts of an array that belong to the rows of each chunk."""
        return np.split(aligned, np.cumsum(self.sums.n_rows)[:-1])

    def sample(self, size: int) -> RowBlocks:
        if size not in self._samples:  # further starts see the same
            self._samples[size] = self._sampled(size)
        return self._samples[size]

    def _sampled(self, size: int) -> RowBlocks:
        """A sample of the rows, from another pass."""
        taken = self._visit(_taken, self._positions(size))
        X, weights = (np.concatenate(parts) for parts in zip(*taken, strict=True))
        return blocks_of(X, weights, self.sums.incomplete)

    def sample_values(self, size: int, values: NDArray) -> NDArray:
        by_chunk = self._by_chunk(values)
        taken = self._visit(_values_taken, self._positions(size), by_chunk)
        return self.sample(size).to_block_order(np.concatenate(taken))

    def _positions(self, size: int) -> list[NDArray | None]:
        """Positions of a sample within the cumulative weight of each chunk; None of a
        chunk of which all rows are taken."""
        within = positions(self.summary, size)
        if within is None:
            return [None] * len(self.sums.n_rows)
        until = np.cumsum(self.sums.totals)
        parts = np.split(within, np.searchsorted(within, until[:-1]))
        begins = np.concatenate([[0.0], until[:-1]])
        return [part - begin for part, begin in zip(parts, begins, strict=True)]

    @property
    def on_host(self) -> Self:
        return self

    def in_units(self, by_feature: bool) -> tuple[Self, NDArray]:
        units = units_for(self.summary, by_feature)
        if units is None:
            return self, np.ones(self.summary.n_features)
        return replace(self, units=units, known=None, workspace=Workspace()), units


def sum_over_chunks(
    function: Callable[..., Any], chunks: Iterable[Chunk], *each: Sequence[Any]
) -> Any:
    """Sum of function(chunk, *own values) over chunks, in order; None of none."""
    total = None
    for number, chunk in enumerate(chunks):
        value = function(chunk, *(values[number] for values in each))
        total = value if total is None else total + value
    return total


def _in_units(
    function: Callable[..., Any], units: NDArray, chunk: Chunk, *own: Any
) -> Any:
    """function(chunk, *own values) of a chunk in units."""
    return function(Chunk(chunk.X / units, chunk.sample_weight), *own)


def _sum_of_chunk(
    function: Callable[..., Any],
    block_length: int | None,
    incomplete: bool,
    chunk: Chunk,
    *own: NDArray,
) -> Any:
    """Sum of function(rows, weights, *own rows) over the blocks of a chunk."""
    blocks = blocks_of(*chunk, incomplete)
    own = tuple(map(blocks.to_block_order, own))
    return blocks.sum(function, *own, block_length=block_length)


def _of_chunk(function: Callable[..., Any], chunk: Chunk, *own: NDArray) -> Any:
    """function(RowBlocks, *own rows) of a chunk."""
    blocks = chunk.blocks
    return function(blocks, *map(blocks.to_block_order, own))


def _taken(chunk: Chunk, within: NDArray | None) -> list[tuple[NDArray, NDArray]]:
    """Rows sampled from a chunk, and their weights."""
    rows, weights = systematic_sample(len(chunk.X), chunk.sample_weight, within)
    return [(chunk.X[rows], weights)]


def _values_taken(
    chunk: Chunk, within: NDArray | None, values: NDArray
) -> list[NDArray]:
    """Values of the rows sampled from a chunk."""
    rows, _ = systematic_sample(len(chunk.X), chunk.sample_weight, within)
    return [values[rows]]
