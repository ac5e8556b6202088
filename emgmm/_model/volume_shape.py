"""Rules of volume and shape: diagonals of the scatter to variances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.cached import cached_property

from .newton import ENOUGH, CommonShape, newton
from .segments import Segments

Rule = Callable[[Segments, NDArray, NDArray, NDArray | None], NDArray]
"""(segments, counts (M,), diagonals of the scatter (M, d), logarithms of volumes (M,)
from which iterations start) -> variances, (M,) or (M, d)."""


def equal_spheres(
    segments: Segments,
    counts: NDArray,
    diagonals: NDArray,
    start: NDArray | None = None,
) -> NDArray:
    """EI: lambda = tr W / (n d)."""
    traces = segments.sum(diagonals.mean(axis=1))
    return segments.spread(traces / segments.sum(counts))


def spheres(
    segments: Segments,
    counts: NDArray,
    diagonals: NDArray,
    start: NDArray | None = None,
) -> NDArray:
    """VI: lambda_k = tr W_k / (n_k d)."""
    return diagonals.mean(axis=1) / counts


def equal(
    segments: Segments,
    counts: NDArray,
    diagonals: NDArray,
    start: NDArray | None = None,
) -> NDArray:
    """EE: lambda A = W / n."""
    totals = segments.sum(counts)
    return segments.spread(segments.sum(diagonals) / totals[:, None])


def equal_shape(
    segments: Segments,
    counts: NDArray,
    diagonals: NDArray,
    start: NDArray | None = None,
    enough: float = ENOUGH,
) -> NDArray:
    """VE: lambda_k A, by Newton's method on log lambda."""
    function = CommonShape.of(segments, counts, diagonals)
    log_shape = np.log(newton(function, start, enough))
    shape = np.exp(log_shape - log_shape.mean(axis=1, keepdims=True))
    shape = segments.spread(shape)
    return spheres(segments, counts, diagonals / shape)[:, None] * shape


def equal_volume(
    segments: Segments,
    counts: NDArray,
    diagonals: NDArray,
    start: NDArray | None = None,
) -> NDArray:
    """EV: A_k is W_k at determinant 1, lambda the sum of what was divided out / n."""
    volumes = geometric_mean(diagonals)
    common = segments.sum(volumes) / segments.sum(counts)
    return diagonals * (segments.spread(common) / volumes)[:, None]


def free(
    segments: Segments,
    counts: NDArray,
    diagonals: NDArray,
    start: NDArray | None = None,
) -> NDArray:
    """VV: lambda_k A_k = W_k / n_k."""
    return diagonals / counts[:, None]


SEPARABLE = equal_spheres, spheres, equal, free
"""Rules of which a variance that is bounded does not change the others."""


def geometric_mean(values: NDArray) -> NDArray:
    """Geometric mean along the last axis."""
    return np.exp(np.log(values).mean(axis=-1))


@dataclass(frozen=True, eq=False)
class Rules:
    """The rules of the mixtures of a stack: itself a rule.

    ``which`` (B,) is the index of each mixture's rule; None where there is only one.
    """

    distinct: tuple[Rule, ...]
    which: NDArray | None = None

    def take(self, mixtures: NDArray) -> Rules:
        """The rules of some of the mixtures, by indices or a mask (B,)."""
        return self if self.which is None else replace(self, which=self.which[mixtures])

    @cached_property
    def are_separable(self) -> NDArray:
        """Whether each mixture's rule is (B,), or that of all mixtures (1,)."""
        separable = np.array([rule in SEPARABLE for rule in self.distinct])
        return separable[:1] if self.which is None else separable[self.which]

    def __call__(
        self,
        segments: Segments,
        counts: NDArray,
        diagonals: NDArray,
        start: NDArray | None = None,
    ) -> NDArray:
        """Variances, each mixture's by its rule."""
        pieces, out = _pieces(self, segments), np.empty(0)
        if len(pieces) == 1:
            return pieces[0][0](segments, counts, diagonals, start)
        for rule, own, components in pieces:
            begin = None if start is None else start[components]
            values = rule(own, counts[components], diagonals[components], begin)
            if not out.size:
                out = np.empty((len(counts), *values.shape[1:]))
            out[components] = values
        return out


@lru_cache(maxsize=64)
def _pieces(rules: Rules, segments: Segments) -> list[tuple[Rule, Segments, NDArray]]:
    """Each rule of a stack, with the segments and the components of its mixtures."""
    if rules.which is None:
        return [(rules.distinct[0], segments, np.empty(0))]
    pieces = []
    for index in np.unique(rules.which):
        own = np.flatnonzero(rules.which == index)
        components = segments.components(own)
        pieces.append((rules.distinct[index], segments.take(own), components))
    return pieces
