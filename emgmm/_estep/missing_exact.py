"""Kernels of rows with missing values, accurate for any mixture.

Values are missing at random. The E-step then needs, for each row and component, the
expectations of x and xx' conditional on the observed values (Ghahramani & Jordan 1994,
"Supervised learning from incomplete data via an EM approach", NIPS 6). They follow from
sums over the observed features and from regressions on these, which are the same for
all rows with the same pattern of missing values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import RowSource
from emgmm._data.patterns import bounds_of_patterns
from emgmm._model.conditioning import Conditioned, from_factors
from emgmm._model.covariances import Covariances
from emgmm._model.noise import Noise
from emgmm._model.parameters import LOG_2_PI, Parameters
from emgmm._utils.cached import cached_property
from emgmm._utils.threads import Workspace

from .kernel import DOUBLE, Kernel, Sums
from .moments import WHITENED_SIZE, Deviations, least_length
from .statistics import MAX_CANCELLATION, Statistics

CONDITIONED_SIZE = 2**19  # numbers in the matrices conditioned at a time


class MissingKernel(Kernel):
    """Base of kernels of rows with missing values: sums are those expected of complete
    rows."""

    def __init__(
        self, mixture: Parameters, workspace: Workspace, origin: NDArray | None = None
    ) -> None:
        """With sums about an origin (K, d), by default the means."""
        super().__init__(mixture, DOUBLE, workspace)
        self.origin = mixture.means if origin is None else origin
        self.shifts = mixture.means - self.origin

    @cached_property
    def log_weights(self) -> NDArray:
        """log w_k - ``reference``."""
        return np.log(self.mixture.weights) - self.segments.spread(self.reference)

    @cached_property
    def precisions(self) -> NDArray:
        """Matrices (M, d, d), or (1, d, d) if all are the same."""
        return self.mixture.covariances.precisions_by_component

    def _of_noise(self, noise: Noise, X: NDArray) -> NDArray:
        """Joint log-densities (B, n) of rows and the noise, by what they observe."""
        return self.log_noise[:, None] + noise.log_densities(X)

    def statistics(self, sums: Sums, blocks: RowSource) -> Statistics:
        kind = self.mixture.covariances.moment_kind
        # The sums of an empty component are zero about any origin: it keeps its mean.
        occupied = sums.moments[:, :1, 0] > 0
        origin = np.where(occupied, self.origin, self.mixture.means)
        deviations = Deviations(
            kind, self.segments, origin, origin[0], DOUBLE.dtype, self.workspace
        )
        return deviations.statistics(sums, self.weight(sums, blocks))

    def completed_moments(
        self, observed: NDArray, missing: NDArray, conditioned: Conditioned
    ) -> NDArray:
        """Expected moments of complete rows (K, 1 + d, 1 + d), from those of observed
        features for each pattern (K, S, 1 + d, 1 + d), padded with zeros.

        Conditional on the observed deviations v from the origin, complete ones have the
        mean T [1, v]: the moments are sums of T O T' and of conditional covariances.
        """
        shifts, slopes = self.shifts[:, None], conditioned.slopes
        maps = np.empty(observed.shape)  # transposes of T
        maps[:] = np.eye(observed.shape[-1])
        maps[..., 1:, 1:] += slopes.mT
        maps[..., 0, 1:] = shifts * missing - (slopes @ shifts[..., None])[..., 0]
        observed = observed @ maps
        # Its rows of missing features are zero: conditional covariances go there.
        observed[..., 1:, 1:] += observed[..., :1, :1] * conditioned.covariances
        shape = (len(observed), -1, observed.shape[-1])
        total = maps.reshape(shape).mT @ observed.reshape(shape)
        return 0.5 * (total + total.mT)  # rounding breaks the symmetry

    def completed_squares(
        self, counts: NDArray, present: NDArray, first: NDArray, second: NDArray
    ) -> NDArray:
        """Expected moments (K, 2, 1 + d) of complete rows of independent features, from
        the counts of rows (K, 1) and of observed values (K, d), and the sums of these
        values and of their squares."""
        absent = counts - present
        total = np.zeros((len(first), 2, 1 + first.shape[1]))
        total[:, 0, :1] = counts
        total[:, 0, 1:] = first + absent * self.shifts
        squares = self.mixture.covariances.variances + self.shifts**2
        total[:, 1, 1:] = second + absent * squares
        return total


def rounding(covariances: Covariances, shifts: NDArray | float) -> NDArray:
    """Bounds (B,) on the rounding error of log-densities computed from precisions, for
    means at ``shifts`` (M, d) from the origin.

    The bound for complete rows holds for every pattern: precisions of marginals have
    smaller diagonals, which bound their other entries.
    """
    offsets = np.abs(shifts) + np.sqrt(covariances.variances)
    roots = np.sqrt((covariances.factors**2).reshape(*offsets.shape, -1).sum(axis=-1))
    return DOUBLE.eps * covariances.segments.max((offsets * roots).sum(axis=1) ** 2)


class ObservedRows(NamedTuple):
    """Rows of a block, and which of their values are missing."""

    values: NDArray
    """The rows themselves, transposed, (d, n)."""
    missing: NDArray
    """Which values are missing, (d, n)."""

    def minus(self, origins: NDArray, out: NDArray) -> NDArray:
        """x - o_k, or 0 where x is missing, written into ``out`` (K, d, n)."""
        np.subtract(self.values, origins[:, :, None], out=out)
        np.copyto(out, 0.0, where=self.missing)
        return out


class AboutMeans(MissingKernel):
    """Base of kernels that take deviations of the rows from every mean."""

    @property
    def max_cancellation(self) -> float:
        return MAX_CANCELLATION

    @property
    def block_length(self) -> int:
        size = self.origin.size
        return max(WHITENED_SIZE // size, least_length(-(-size // 4)))

    def values(self, X: NDArray) -> ObservedRows:
        """The rows of a block with their missing values marked."""
        values = self.workspace.array("rows", X.shape[::-1], self.dtype)
        values[:] = X.T
        return ObservedRows(values, np.isnan(values))

    def deviations(self, rows: ObservedRows, origins: NDArray) -> NDArray:
        """x - o_k, or 0 where x is missing, (K, d, n)."""
        shape = (len(origins), *rows.values.shape)
        return rows.minus(origins, self.workspace.array("vectors", shape, self.dtype))


class _Exact(AboutMeans):
    """Base of kernels that are accurate for any mixture and any rows."""

    @property
    def unlimited(self) -> bool:
        return True

    def fallback_kernel(
        self, mixture: Parameters, origin: NDArray | None = None
    ) -> Self:
        return type(self)(mixture, self.workspace, origin)


class ExactDiagonalKernel(_Exact):
    """For diagonal covariances."""

    def features(self, X: NDArray) -> ObservedRows:
        return self.values(X)

    def log_joint(self, features: ObservedRows) -> NDArray:
        factors = self.mixture.covariances.factors
        scaled = self.deviations(features, self.mixture.means)
        scaled *= factors[:, :, None]
        alone = np.log(factors) - 0.5 * LOG_2_PI
        out = alone @ ~features.missing + self.log_weights[:, None]
        out -= 0.5 * (scaled * scaled).sum(axis=1)
        return out

    def moments(self, features: ObservedRows, responsibilities: NDArray) -> NDArray:
        """Shape (K, 2, 1 + d)."""
        present = responsibilities @ ~features.missing.T
        vectors = self.deviations(features, self.origin)
        shares = responsibilities[:, :, None]
        first = (vectors @ shares)[..., 0]
        np.multiply(vectors, vectors, out=vectors)
        second = (vectors @ shares)[..., 0]
        counts = responsibilities.sum(axis=1, keepdims=True)
        return self.completed_squares(counts, present, first, second)


class Patterned(NamedTuple):
    """Rows of a block, and their patterns of missing values."""

    rows: ObservedRows
    bounds: NDArray
    """Indices of the first row of each pattern, and the number of rows, (S + 1,)."""
    missing: NDArray
    """Which features are missing in each pattern, (S, d)."""

    def slices(self, patterns: slice) -> list[slice]:
        """The rows of each pattern in a slice of the patterns."""
        starts, stops = self.bounds[:-1][patterns], self.bounds[1:][patterns]
        return list(map(slice, starts, stops))


class ExactMissingKernel(_Exact):
    """For matrices: observed values are whitened by the factor of their pattern."""

    def features(self, X: NDArray) -> Patterned:
        rows = self.values(X)
        bounds = bounds_of_patterns(rows.missing)
        return Patterned(rows, bounds, rows.missing[:, bounds[:-1]].T)

    def _conditioned(self, missing: NDArray) -> Iterator[tuple[slice, Conditioned]]:
        """Slices of the patterns, and the matrices conditioned on what these observe:
        few patterns at a time, although they are computed again for the moments."""
        covariances = self.mixture.covariances
        factors = covariances.precisions_cholesky
        if len(self.segments) > 1:
            factors = covariances.factors
        size = max(CONDITIONED_SIZE // factors.size, 1)
        for start in range(0, len(missing), size):
            patterns = slice(start, start + size)
            yield patterns, from_factors(factors, missing[patterns])

    def log_joint(self, features: Patterned) -> NDArray:
        vectors = self.deviations(features.rows, self.mixture.means)
        out = np.empty((len(vectors), vectors.shape[2]))
        for patterns, conditioned in self._conditioned(features.missing):
            observed = (~features.missing[patterns]).sum(axis=1)
            constants = 0.5 * (conditioned.log_det - LOG_2_PI * observed)
            constants = constants + self.log_weights[:, None]
            for s, rows in enumerate(features.slices(patterns)):
                whitened = conditioned.marginal[:, s] @ vectors[:, :, rows]
                np.multiply(whitened, whitened, out=whitened)
                squares = whitened.sum(axis=1)
                out[:, rows] = constants[:, s, None] - 0.5 * squares
        return out

    def moments(self, features: Patterned, responsibilities: NDArray) -> NDArray:
        """Shape (K, 1 + d, 1 + d)."""
        n_components, d = self.origin.shape
        shape = (n_components, 1 + d, features.rows.values.shape[1])
        vectors = self.workspace.array("vectors", shape, self.dtype)
        vectors[:, 0] = 1.0
        features.rows.minus(self.origin, vectors[:, 1:])
        vectors *= np.sqrt(responsibilities)[:, None]
        total = np.zeros((n_components, 1 + d, 1 + d))
        for patterns, conditioned in self._conditioned(features.missing):
            slices = features.slices(patterns)
            observed = np.empty((n_components, len(slices), 1 + d, 1 + d))
            for s, rows in enumerate(slices):
                own = vectors[:, :, rows]
                observed[:, s] = own @ own.mT
            total += self.completed_moments(
                observed, features.missing[patterns], conditioned
            )
        return total
