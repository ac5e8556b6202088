"""Rows in which values are missing: what the E-step expects, pattern by pattern.

Values are missing at random. Of a row the E-step then needs, for each component, the
expectations of x and xx' given what the row has (Ghahramani & Jordan 1994, "Supervised
learning from incomplete data via an EM approach", NIPS 6). These follow from sums over
the observed features alone: with regressions on those, which all rows have in common
that lack the same features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._blocks import Blocks
from ._deviations import Deviations
from ._kernels import Whitened
from ._parameters import Parameters
from ._patterns import each_pattern
from ._posterior import DOUBLE, Kernel, Sums
from ._statistics import MAX_CANCELLATION, Statistics
from ._threads import Scratch


class Incomplete(Kernel):
    """Of rows with missing values; sums are expected ones of complete rows."""

    def __init__(
        self, mixture: Parameters, scratch: Scratch, origin: NDArray | None = None
    ) -> None:
        """With sums about an origin (K, d), by default the means."""
        super().__init__(mixture, DOUBLE, scratch)
        self.origin = mixture.means if origin is None else origin
        self.shifts = mixture.means - self.origin

    def exact(self, origin: NDArray | None = None) -> ByPattern:
        return ByPattern(self.mixture, self.scratch, origin)

    def statistics(self, sums: Sums, blocks: Blocks) -> Statistics:
        kind = self.mixture.covariances.products
        # The sums of an empty component are zero about any origin: its mean stays.
        occupied = sums.moments[:, :1, 0] > 0
        origin = np.where(occupied, self.origin, self.mixture.means)
        deviations = Deviations(kind, origin, origin[0], DOUBLE.dtype, self.scratch)
        return deviations.statistics(sums, blocks.weight)


class Part(NamedTuple):
    """The rows of one pattern, and what it makes of the mixture."""

    rows: NDArray
    """What they have, (n, given)."""
    where: slice
    given: NDArray
    others: NDArray
    kernel: Whitened | None
    """Of the features given; None if there are none."""


class ByPattern(Incomplete):
    """One pattern after the other, each with the accurate kernel of complete rows."""

    @property
    def max_cancellation(self) -> float:
        return MAX_CANCELLATION

    @property
    def unlimited(self) -> bool:
        return True

    @property
    def rows(self) -> int:
        d = self.mixture.means.shape[1]
        whole = np.zeros(d)
        kind = self.mixture.covariances.products
        return Deviations(kind, self.origin, whole, self.dtype, self.scratch).rows

    def features(self, X: NDArray) -> list[Part]:
        return [
            self._part(X[where], where, present)
            for where, present in each_pattern(np.isnan(X))
        ]

    def _part(self, X: NDArray, where: slice, present: NDArray) -> Part:
        given, others = np.flatnonzero(present), np.flatnonzero(~present)
        kernel = None
        if given.size:
            marginal, origin = self.mixture.marginal(given), self.origin[:, given]
            kernel = Whitened(marginal, DOUBLE, self.scratch, origin)
        return Part(X[:, given], where, given, others, kernel)

    def log_joint(self, features: list[Part]) -> NDArray:
        out = np.empty((len(self.constants), features[-1].where.stop))
        out[:] = (np.log(self.mixture.weights) - self.reference)[:, None]
        for part in features:
            if kernel := part.kernel:
                log_joint = kernel.log_joint(kernel.features(part.rows))
                difference = kernel.reference - self.reference
                np.add(log_joint, difference, out=out[:, part.where])
        return out

    def moments(self, features: list[Part], responsibilities: NDArray) -> NDArray:
        """Shape (K, 1 + d, 1 + d), or (K, 2, 1 + d) for diagonal products."""
        diagonal = self.mixture.covariances.products == "diagonal"
        complete = self._complete_squares if diagonal else self._complete_products
        total: NDArray | float = 0.0
        for part in features:
            own = np.ascontiguousarray(responsibilities[:, part.where])
            total = total + complete(part, self._observed(part, own))
        return np.asarray(total)

    def _observed(self, part: Part, responsibilities: NDArray) -> NDArray:
        """Sums over what is given, in the shape of those of its kernel."""
        if kernel := part.kernel:
            return kernel.moments(kernel.features(part.rows), responsibilities)
        return responsibilities.sum(axis=1)[:, None, None]

    def _complete_products(self, part: Part, observed: NDArray) -> NDArray:
        """Expected sums (K, 1 + d, 1 + d) of complete rows, from those of what they
        have: given that, a missing deviation from its origin has the mean b + B v."""
        given, others = part.given, part.others
        if not others.size:
            return observed
        shape = (len(self.shifts), 1 + self.shifts.shape[1])
        maps = np.zeros((*shape, 1 + len(given)))
        maps[:, 0, 0] = 1.0
        maps[:, 1 + given, 1 + np.arange(len(given))] = 1.0
        slopes, left = self.mixture.covariances.conditional(given, others)
        shifts = self.shifts[:, others]
        shifts = shifts - (slopes @ self.shifts[:, given, None])[..., 0]
        maps[:, 1 + others, 0] = shifts
        maps[:, 1 + others, 1:] = slopes
        total = maps @ observed @ maps.mT
        total[:, 1 + others[:, None], 1 + others] += observed[:, :1, :1] * left.dense()
        return 0.5 * (total + total.mT)  # rounding knows no symmetry

    def _complete_squares(self, part: Part, observed: NDArray) -> NDArray:
        """Expected sums (K, 2, 1 + d), where what is missing depends on nothing."""
        shifts, counts = self.shifts, observed[:, 0, :1]
        total = np.zeros((len(shifts), 2, 1 + shifts.shape[1]))
        total[:, 0, :1] = counts
        total[:, 0, 1:] = counts * shifts
        total[:, 1, 1:] = counts * (self.mixture.covariances.variances + shifts**2)
        if part.given.size:
            total[:, :, 1 + part.given] = observed[:, :, 1:]
        return total
