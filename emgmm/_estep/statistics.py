"""Statistics: the additive sufficient statistics that EM iterates on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emgmm._model.moment_kinds import MomentKind
from emgmm._utils.cached import cached_property

# Squares about the origin may be this many times those about the mean (a shift of
# three standard deviations); beyond it the origin must move.
MAX_CANCELLATION = 10.0


@dataclass(frozen=True, eq=False)
class Statistics:
    """Sums over rows x, weighted by responsibilities r, about an origin o_k.

    counts (K,)    sum r_k
    sums (K, d)    sum r_k (x - o_k)
    products       sum r_k (x - o_k)(x - o_k)', as the kind of moments has them: their
                   diagonals (K, d), in full (K, d, d), or pooled over k (1, d, d)
    log_likelihood, weight   sum w log f(x) and sum w over the rows

    Squares are summed about an origin near the mean, one for each component,
    because their relative error grows as (distance of mean and origin)^2 in units
    of the variance. Statistics about the same origin add.
    """

    kind: MomentKind
    origin: NDArray
    counts: NDArray
    sums: NDArray
    products: NDArray
    log_likelihood: float
    weight: float

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

    @cached_property
    def shifts(self) -> NDArray:
        """Means relative to the origin (K, d); zero where a component is empty."""
        # Sums over no rows are zero, and stay so.
        return self.sums / np.where(self.counts > 0, self.counts, 1.0)[:, None]

    @property
    def means(self) -> NDArray:
        """Weighted means of the components (K, d); the origin where one is empty."""
        return self.origin + self.shifts

    @cached_property
    def scatter(self) -> NDArray:
        """Products about the means, in the layout of ``products``."""
        return self.products - self.kind.outer(self.counts, self.shifts)

    @property
    def squares(self) -> NDArray:
        """Diagonals of the scatter, (K, d), or (1, d) if it is pooled."""
        return self.kind.diagonals(self.scatter)

    @property
    def scatter_counts(self) -> NDArray:
        """Counts (K,) behind the scatter, or their sum (1,) if it is pooled."""
        return self.kind.pool(self.counts)

    def with_diagonals(self, squares: NDArray) -> NDArray:
        """Scatter plus squares (K, d), or (K, 1) for all features, on its diagonals."""
        return self.kind.plus_diagonals(self.scatter, squares)

    def about(self, origin: NDArray) -> Statistics:
        """The same statistics about another origin (K, d)."""
        shifts = self.means - origin
        return replace(
            self,
            origin=origin,
            sums=self.counts[:, None] * shifts,
            products=self.scatter + self.kind.outer(self.counts, shifts),
        )

    def cancels(self, limit: float = MAX_CANCELLATION) -> bool:
        """Whether squares about the origin exceed those about the means by more than
        ``limit`` times.

        Rounding errors are proportional to squares about the origin, and should be to
        squares about the mean. A shift within the rounding of the mean itself cannot be
        reduced.
        """
        far = self.kind.diagonals(self.products) > (1 + limit) * self.squares
        if not far.any():
            return False
        rounding = 8 * np.finfo(np.float64).eps * np.abs(self.means)
        return bool(np.any(far & (np.abs(self.shifts) > rounding)))
