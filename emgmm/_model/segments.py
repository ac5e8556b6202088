"""Segments: which components of a stack belong to which of its mixtures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.cached import cached_property


class Run(NamedTuple):
    """Consecutive mixtures of the same number of components."""

    components: slice
    mixtures: slice
    size: int
    """The number of components of each."""

    def of_components(self, values: NDArray) -> NDArray:
        """Their part (mixtures, size, n) of values of all components (M, n)."""
        return values[self.components].reshape(-1, self.size, values.shape[1])


@dataclass(frozen=True, eq=False)
class Segments:
    """The numbers of components (B,) of the mixtures of a stack.

    The M components of all mixtures lie one after the other, mixture by mixture. Where
    a rule sums over "the components of a mixture", that is ``sum``; what it returns
    goes back to the components by ``spread``.
    """

    sizes: NDArray

    @staticmethod
    def one(n_components: int) -> Segments:
        """The segments of a single mixture."""
        return _one(n_components)

    @classmethod
    def of(cls, sizes: Sequence[int] | NDArray) -> Self:
        """The segments of mixtures of so many components."""
        return cls(np.asarray(sizes, dtype=np.intp))

    def __len__(self) -> int:
        """The number of mixtures B."""
        return len(self.sizes)

    @cached_property
    def are_one(self) -> bool:
        """Whether there is a single mixture."""
        return len(self.sizes) == 1

    @cached_property
    def n_components(self) -> int:
        """The number of components M of all mixtures."""
        return int(self.sizes.sum())

    @cached_property
    def offsets(self) -> NDArray:
        """Indices of the first components of the mixtures (B,)."""
        return np.cumsum(self.sizes) - self.sizes

    @cached_property
    def mixture(self) -> NDArray:
        """The mixture of each component (M,)."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @cached_property
    def runs(self) -> list[Run]:
        """All the mixtures, divided where the number of components changes."""
        bounds = np.flatnonzero(np.diff(self.sizes, prepend=-1, append=-1)).tolist()
        offsets = [*self.offsets.tolist(), self.n_components]
        return [
            Run(slice(offsets[a], offsets[b]), slice(a, b), int(self.sizes[a]))
            for a, b in zip(bounds[:-1], bounds[1:], strict=True)
        ]

    @cached_property
    def longest(self) -> int:
        """The greatest number of components of a mixture."""
        return int(self.sizes.max(initial=0))

    @cached_property
    def by_size(self) -> NDArray:
        """Indices of the mixtures (B,), those of equally many components together."""
        return np.argsort(self.sizes, kind="stable")

    def slices(self) -> list[slice]:
        """The components of each mixture."""
        return list(map(slice, self.offsets, self.offsets + self.sizes))

    def sum(self, values: NDArray) -> NDArray:
        """Sums over the components of each mixture, (M, ...) to (B, ...)."""
        return self._reduce(np.add, values)

    def max(self, values: NDArray) -> NDArray:
        """Maxima over the components of each mixture, (M, ...) to (B, ...)."""
        return self._reduce(np.maximum, values)

    def min(self, values: NDArray) -> NDArray:
        """Minima over the components of each mixture, (M, ...) to (B, ...)."""
        return self._reduce(np.minimum, values)

    def any(self, values: NDArray) -> NDArray:
        """Whether a value is true of some component of each mixture, (M,) to (B,)."""
        return self._reduce(np.logical_or, values)

    def spread(self, values: NDArray) -> NDArray:
        """The value of its mixture for each component, (B, ...) to (M, ...)."""
        if self.are_one:  # four times as fast as a view by np.broadcast_to
            return values.repeat(self.n_components, axis=0)
        return values[self.mixture]

    @cached_property
    def places(self) -> NDArray:
        """The place of each component (M,) within its mixture."""
        return np.arange(self.n_components) - self.spread(self.offsets)

    @cached_property
    def places_lacking(self) -> NDArray:
        """Which places (B, L) a mixture lacks of the most L that one has."""
        return np.arange(self.sizes.max(initial=0)) >= self.sizes[:, None]

    def padded(self, values: NDArray) -> NDArray:
        """Values of components (M, ...) by mixture and place (B, L, ...), with zeros
        for the components that a mixture has less than L, the most."""
        shape = len(self.sizes), self.longest, *values.shape[1:]
        if shape[0] * shape[1] == len(values):
            return values.reshape(shape)
        padded = np.zeros((shape[0] * shape[1], *shape[2:]), values.dtype)
        padded[self._in_padded] = values
        return padded.reshape(shape)

    def unpadded(self, padded: NDArray) -> NDArray:
        """The inverse of ``padded``."""
        flat = padded.reshape(-1, *padded.shape[2:])
        return flat if len(flat) == self.n_components else flat[self._in_padded]

    def reduce_rows(self, function: np.ufunc, values: NDArray, out: NDArray) -> None:
        """Reduce the rows of each mixture in long arrays, (M, n) into ``out`` (B, n).

        Mixtures of equally many components are a view of one more axis, which is
        several times as fast as other ways.
        """
        if self.are_one:
            function.reduce(values, axis=0, out=out[0])
            return
        for run in self.runs:
            own = run.of_components(values)
            function.reduce(own, axis=1, out=out[run.mixtures])

    def combine_rows(
        self, function: np.ufunc, values: NDArray, others: NDArray
    ) -> None:
        """Combine the rows of long arrays (M, n), in place, with the row of their
        mixture, (B, n)."""
        if self.are_one:
            function(values, others, out=values)
            return
        for run in self.runs:
            own = run.of_components(values)
            function(own, others[run.mixtures, None], out=own)

    def take(self, mixtures: NDArray) -> Segments:
        """The segments of some of the mixtures, by indices or a mask (B,)."""
        return Segments(self.sizes[mixtures])

    def components(self, mixtures: NDArray) -> NDArray:
        """Indices of the components of some mixtures, by indices or a mask (B,)."""
        sizes, offsets = self.sizes[mixtures], self.offsets[mixtures]
        begin = np.cumsum(sizes) - sizes
        return np.arange(sizes.sum()) + np.repeat(offsets - begin, sizes)

    @cached_property
    def _in_padded(self) -> NDArray:
        """Indices of the components (M,) among the places of all mixtures."""
        return self.mixture * self.longest + self.places

    def _reduce(self, function: np.ufunc, values: NDArray) -> NDArray:
        """The reduction of each segment along the first axis."""
        if self.are_one:
            reduced: NDArray = function.reduce(values, axis=0, keepdims=True)
        else:
            reduced = function.reduceat(values, self.offsets, axis=0)
        return reduced


@lru_cache(maxsize=64)
def _one(n_components: int) -> Segments:
    """The segments of a single mixture, made once."""
    return Segments.of([n_components])


def joined(segments: Sequence[Segments]) -> Segments:
    """The segments of several stacks, one after the other."""
    if len(segments) == 1:
        return segments[0]
    return Segments(np.concatenate([each.sizes for each in segments]))
