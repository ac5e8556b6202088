"""Segments: which components of a stack belong to which of its mixtures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.cached import cached_property


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
        if len(self.sizes) == 1:
            return np.broadcast_to(values, (self.n_components, *values.shape[1:]))
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
        for those that are lacking."""
        if len(self.sizes) == 1:
            return values[None]
        padded = np.zeros((*self.places_lacking.shape, *values.shape[1:]), values.dtype)
        padded[self.mixture, self.places] = values
        return padded

    def unpadded(self, values: NDArray) -> NDArray:
        """The inverse of ``padded``."""
        one = len(self.sizes) == 1
        return values[0] if one else values[self.mixture, self.places]

    def take(self, mixtures: NDArray) -> Segments:
        """The segments of some of the mixtures, by indices or a mask (B,)."""
        return Segments(self.sizes[mixtures])

    def components(self, mixtures: NDArray) -> NDArray:
        """Indices of the components of some mixtures, by indices or a mask (B,)."""
        sizes, offsets = self.sizes[mixtures], self.offsets[mixtures]
        begin = np.cumsum(sizes) - sizes
        return np.arange(sizes.sum()) + np.repeat(offsets - begin, sizes)

    def _reduce(self, function: np.ufunc, values: NDArray) -> NDArray:
        """The reduction of each segment along the first axis."""
        if len(self.sizes) == 1:
            return np.asarray(function.reduce(values, axis=0, keepdims=True))
        return np.asarray(function.reduceat(values, self.offsets, axis=0))


@lru_cache(maxsize=64)
def _one(n_components: int) -> Segments:
    """The segments of a single mixture, made once."""
    return Segments.of([n_components])


def joined(segments: Sequence[Segments]) -> Segments:
    """The segments of several stacks, one after the other."""
    if len(segments) == 1:
        return segments[0]
    return Segments(np.concatenate([each.sizes for each in segments]))
