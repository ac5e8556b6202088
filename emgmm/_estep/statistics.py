"""Statistics: the additive sufficient statistics that EM iterates on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emgmm._model.moment_kinds import MomentKind
from emgmm._model.segments import Segments, joined
from emgmm._utils.cached import cached_property

# Squares about the origin may be this many times those about the mean (a shift of
# three standard deviations); beyond it the origin must move.
MAX_CANCELLATION = 10.0


@dataclass(frozen=True, eq=False)
class Statistics:
    """Sums over rows x, weighted by responsibilities r, about an origin o_k, for the M
    components of B mixtures.

    counts (M,)    sum r_k
    sums (M, d)    sum r_k (x - o_k)
    products       sum r_k (x - o_k)(x - o_k)', as the kind of moments has them: their
                   diagonals (M, d), in full (M, d, d), or pooled over the components
                   of each mixture (B, d, d)
    log_likelihood, weight   sum w log f(x) and sum w over the rows, (B,)

    Squares are summed about an origin near the mean, one for each component,
    because their relative error grows as (distance of mean and origin)^2 in units
    of the variance. Statistics about the same origin add.
    """

    kind: MomentKind
    segments: Segments
    origin: NDArray
    counts: NDArray
    sums: NDArray
    products: NDArray
    log_likelihood: NDArray
    weight: NDArray

    def __add__(self, other: Statistics) -> Statistics:
        if not np.array_equal(self.origin, other.origin):
            other = other.about(self.origin)
        return replace(
            self,
            counts=self.counts + other.counts,
            sums=self.sums + other.sums,
            products=self.products + other.products,
            log_likelihood=self.log_likelihood + other.log_likelihood,
            weight=self.weight + other.weight,
        )

    def __mul__(self, factor: float) -> Statistics:
        """Statistics of the same rows with weights times a factor."""
        return replace(
            self,
            counts=self.counts * factor,
            sums=self.sums * factor,
            products=self.products * factor,
            log_likelihood=self.log_likelihood * factor,
            weight=self.weight * factor,
        )

    @property
    def mean_log_likelihood(self) -> NDArray:
        """Log-likelihoods of a row (B,)."""
        return self.log_likelihood / self.weight

    def take(self, mixtures: NDArray) -> Statistics:
        """The statistics of some of the mixtures, by indices or a mask (B,)."""
        components = self.segments.components(mixtures)
        return Statistics(
            self.kind,
            self.segments.take(mixtures),
            self.origin[components],
            self.counts[components],
            self.sums[components],
            self.products[self.kind.entries(self.segments, mixtures)],
            self.log_likelihood[mixtures],
            self.weight[mixtures],
        )

    def replaced(self, mixtures: NDArray, others: Statistics) -> Statistics:
        """The statistics with those of some mixtures, by indices, replaced."""
        components = self.segments.components(mixtures)
        at = {"products": self.kind.entries(self.segments, mixtures)}
        at |= dict.fromkeys(("origin", "counts", "sums"), components)
        at |= dict.fromkeys(("log_likelihood", "weight"), mixtures)
        arrays = {name: getattr(self, name).copy() for name in at}
        for name, entries in at.items():
            arrays[name][entries] = getattr(others, name)
        return Statistics(self.kind, self.segments, **arrays)

    @staticmethod
    def joined(parts: Sequence[Statistics]) -> Statistics:
        """The statistics of several stacks as those of one."""
        if len(parts) == 1:
            return parts[0]
        names = "origin counts sums products log_likelihood weight".split()
        arrays = [np.concatenate([getattr(p, name) for p in parts]) for name in names]
        segments = joined([part.segments for part in parts])
        return Statistics(parts[0].kind, segments, *arrays)

    @cached_property
    def shifts(self) -> NDArray:
        """Means relative to the origin (M, d); zero where a component is empty."""
        # Sums over no rows are zero, and stay so.
        return self.sums / np.where(self.counts > 0, self.counts, 1.0)[:, None]

    @property
    def means(self) -> NDArray:
        """Weighted means of the components (M, d); the origin where one is empty."""
        return self.origin + self.shifts

    @cached_property
    def scatter(self) -> NDArray:
        """Products about the means, in the layout of ``products``."""
        return self.products - self.kind.outer(self.segments, self.counts, self.shifts)

    @property
    def squares(self) -> NDArray:
        """Diagonals of the scatter, (M, d), or (B, d) if it is pooled."""
        return self.kind.diagonals(self.scatter)

    @property
    def scatter_counts(self) -> NDArray:
        """Counts (M,) behind the scatter, or their sums (B,) if it is pooled."""
        return self.kind.pool(self.segments, self.counts)

    def with_diagonals(self, squares: NDArray) -> NDArray:
        """Scatter plus squares (M, d), or (M, 1) for all features, on its diagonals."""
        return self.kind.plus_diagonals(self.segments, self.scatter, squares)

    def of_kind(self, kind: MomentKind) -> Statistics:
        """The same statistics with products of another kind, from those of all pairs of
        features, or from the same kind."""
        if kind is self.kind:
            return self
        products = kind.from_full(self.segments, self.products)
        return replace(self, kind=kind, products=products)

    def about(self, origin: NDArray) -> Statistics:
        """The same statistics about another origin (M, d)."""
        shifts = self.means - origin
        return replace(
            self,
            origin=origin,
            sums=self.counts[:, None] * shifts,
            products=self.scatter + self.kind.outer(self.segments, self.counts, shifts),
        )

    def are_near(self, limit: float) -> bool:
        """Whether squares about the origin exceed those about the means by no more than
        ``limit`` times, and none is NaN."""
        near = self.kind.diagonals(self.products) <= (1 + limit) * self.squares
        return np.count_nonzero(near) == near.size

    def cancels(self, limit: float = MAX_CANCELLATION) -> NDArray:
        """In which mixtures (B,) squares about the origin exceed those about the means
        by more than ``limit`` times.

        Rounding errors are proportional to squares about the origin, and should be to
        squares about the mean. A shift within the rounding of the mean itself cannot be
        reduced.
        """
        if self.are_near(limit):
            return np.zeros(len(self.segments), dtype=bool)
        far = self.kind.diagonals(self.products) > (1 + limit) * self.squares
        rounding = 8 * np.finfo(np.float64).eps * np.abs(self.means)
        moved = np.abs(self.shifts) > rounding
        if self.kind.pooled:
            moved &= self.segments.spread(far)
        else:
            moved &= far
        return self.segments.any(moved.any(axis=1))
