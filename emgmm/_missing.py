"""Fast kernels of rows in which values are missing: all patterns of a block at once.

``choose_incomplete`` takes one of them where it is safe, else the accurate one.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._algebra import Schur, schur
from ._blocks import Blocks
from ._by_pattern import Incomplete
from ._features import SECOND_ORDER, pairs_of
from ._kernels import MAX_ROWS, QUADRATIC_SIZE
from ._parameters import LOG_2_PI, Parameters
from ._patterns import bounds_of_patterns
from ._posterior import DOUBLE, Kernel
from ._products import contract, multiply
from ._threads import Scratch

PATTERNS_SIZE = 2**18  # numbers in what belongs to the patterns of a block
UNEVEN = 16  # times as many, at most
MIN_ROWS = 64
# Whitening is cheaper with more features, unless patterns have few rows each.
MANY_FEATURES, MANY_ROWS = 32, 256


class _Fast(Incomplete):
    """Linear in features of the rows; its rounding grows with distance."""

    @property
    def max_cancellation(self) -> float:
        return DOUBLE.max_rounding / DOUBLE.eps

    @property
    def suits(self) -> bool:
        """Whether its rounding is within the bound, whatever the pattern.

        Precisions of marginals have smaller diagonals, which bound the rest of them.
        """
        covariances = self.mixture.covariances
        offsets = np.abs(self.shifts) + np.sqrt(covariances.variances)
        roots = np.sqrt((covariances.factors**2).reshape(*offsets.shape, -1).sum(-1))
        kappa = ((offsets * roots).sum(axis=1) ** 2).max()
        return bool(DOUBLE.eps * kappa < DOUBLE.max_rounding)


class Lacking(NamedTuple):
    """Patterns of a block that lack as many features, and what is known of these."""

    patterns: NDArray
    """Which of the block's they are, (s,)."""
    features: NDArray
    """What they lack, (s, m)."""
    precisions: Schur
    """Of the mixture, without these features."""


class Patterns(NamedTuple):
    """A block in quadratic features, and what its patterns make of the mixture."""

    features: NDArray
    """[1, z, z_i z_j] with z = x - c, or 0 where x is missing, shape (F, n)."""
    rows: list[slice]
    """Of each pattern."""
    missing: NDArray
    """Which features they lack, (S, d)."""
    lacking: list[Lacking]
    """By the number of them, if there are any."""


class Swept(_Fast):
    """Quadratic features, with a Theta of its own for each pattern.

    Of precisions P = [[P_oo, P_om], [P_mo, P_mm]], o observed and m missing, one has
    P_oo - P_om P_mm^-1 P_mo, the precisions of what is observed; the slopes
    -P_mm^-1 P_mo of the regressions of x_m on x_o; and P_mm^-1, the covariances left.

    Cost: per row that of ``Quadratic``; per pattern and component m^3 / 3 + 2 m d^2
    multiplications, and d^3 in a product of matrices of all patterns.
    """

    def __init__(self, mixture: Parameters, blocks: Blocks, center: NDArray) -> None:
        origin = np.broadcast_to(center, mixture.means.shape)
        super().__init__(mixture, blocks.scratch, origin)
        self.center = center
        self.rows_per_pattern = blocks.n_samples / blocks.n_patterns

    @cached_property
    def precisions(self) -> NDArray:
        """Shape (K, d, d), or (1, d, d) if they are the same."""
        precisions = self.mixture.covariances.precisions
        return precisions.reshape(-1, *precisions.shape[-2:])

    @property
    def rows(self) -> int:
        n_components, d = self.mixture.means.shape
        size = 1 + d + SECOND_ORDER["full"].size(d) + 2 * n_components
        patterns = PATTERNS_SIZE // (n_components * (1 + d) ** 2)
        # Some blocks have more patterns than others.
        most = patterns * int(min(self.rows_per_pattern, UNEVEN))
        return max(min(QUADRATIC_SIZE // size, most, MAX_ROWS), MIN_ROWS)

    def features(self, X: NDArray) -> Patterns:
        d, second = X.shape[1], SECOND_ORDER["full"]
        shape = (1 + d + second.size(d), len(X))
        features = self.scratch.array("features", shape, self.dtype)
        features[0] = 1.0
        z = features[1 : 1 + d]
        np.subtract(X.T, self.center[:, None], out=z)
        absent = np.isnan(z)
        np.copyto(z, 0.0, where=absent)
        second.fill(features, self)
        bounds = bounds_of_patterns(absent)
        missing = absent[:, bounds[:-1]].T
        rows = list(map(slice, bounds[:-1], bounds[1:]))
        return Patterns(features, rows, missing, self._lacking(missing))

    def _lacking(self, missing: NDArray) -> list[Lacking]:
        """Patterns by how many features they lack."""
        numbers = missing.sum(axis=1)
        found = []
        for number in np.unique(numbers[numbers > 0]):
            patterns = np.flatnonzero(numbers == number)
            lacked = np.nonzero(missing[patterns])[1].reshape(-1, number)
            found.append(Lacking(patterns, lacked, schur(self.precisions, lacked)))
        return found

    def log_joint(self, features: Patterns) -> NDArray:
        shape = (len(self.constants), features.features.shape[1])
        out = self.scratch.array("log_joint", shape, self.dtype)
        theta = self._theta(features)
        for s, rows in enumerate(features.rows):
            multiply(theta[:, s], features.features[:, rows], out[:, rows])
        return out

    def _theta(self, patterns: Patterns) -> NDArray:
        """Coefficients of the features, for each pattern, shape (K, S, F)."""
        d, pairs = len(self.center), pairs_of(len(self.center))
        n_patterns, present = len(patterns.missing), ~patterns.missing
        precisions = np.empty((len(self.precisions), n_patterns, d, d))
        log_det = np.empty((len(self.constants), n_patterns))
        precisions[:] = self.precisions[:, None]
        log_det[:] = -self.mixture.covariances.log_det[:, None]
        for lacking in patterns.lacking:
            precisions[:, lacking.patterns] = lacking.precisions.rest
            log_det[:, lacking.patterns] -= lacking.precisions.log_det
        shifts = self.shifts[:, None] * present
        linear = (precisions @ shifts[..., None])[..., 0]
        constants = np.log(self.mixture.weights) - self.reference
        log_det -= LOG_2_PI * present.sum(axis=1)
        theta = np.empty((*linear.shape[:2], 1 + d + len(pairs.entry)))
        theta[..., 0] = 0.5 * (log_det - np.vecdot(linear, shifts))
        theta[..., 0] += constants[:, None]
        theta[..., 1 : 1 + d] = linear
        flat = precisions.reshape(*precisions.shape[:2], -1)
        theta[..., 1 + d :] = flat.take(pairs.entry, axis=-1) * pairs.share
        return theta

    def moments(self, features: Patterns, responsibilities: NDArray) -> NDArray:
        """Shape (K, 1 + d, 1 + d)."""
        n_components, d = self.shifts.shape
        shape = (n_components, len(features.rows), len(features.features))
        sums = np.empty(shape)
        for s, rows in enumerate(features.rows):
            sums[:, s] = contract(
                features.features[:, rows], responsibilities[:, rows]
            ).T
        observed = np.empty((*shape[:2], 1 + d, 1 + d))
        observed[..., 0, :] = observed[..., 0] = sums[..., : 1 + d]
        products = sums[..., 1 + d :].take(pairs_of(d).product, axis=-1)
        observed[..., 1:, 1:] = products.reshape(*shape[:2], d, d)
        total = self._completed(features.lacking, observed)
        return 0.5 * (total + total.mT)  # rounding knows no symmetry

    def _completed(self, lacking: list[Lacking], observed: NDArray) -> NDArray:
        """Expected sums (K, 1 + d, 1 + d) of complete rows, from those observed.

        Given the others, deviations from c that are missing have the mean T [1, z], and
        T S T' is to be added up, with sums S of each pattern.
        """
        size = observed.shape[-1]
        maps = np.empty(observed.shape)  # transposes of T
        maps[:] = np.eye(size)
        for patterns, lacked, precisions in lacking:
            own, slopes = observed[:, patterns], precisions.slopes
            shifts = np.take(self.shifts, lacked, axis=1)  # (K, s, m)
            shifts = shifts - (slopes @ self.shifts[:, None, :, None])[..., 0]
            means = np.empty((*shifts.shape, size))
            means[..., 0], means[..., 1:] = shifts, slopes
            columns = (own @ means.mT).transpose(1, 3, 0, 2)
            at, to = patterns[:, None], 1 + lacked
            observed[:, at, :, to] = columns
            maps[:, at, :, to] = means.transpose(1, 2, 0, 3)
            # A column of S that is missing is zero: there is room for what is left.
            left = precisions.inverse * own[..., :1, :1]
            observed[:, at[:, :, None], to[:, :, None], to[:, None]] = left
            maps[:, at, to, to] = 1.0
        shape = (len(observed), -1, size)
        return maps.reshape(shape).mT @ observed.reshape(shape)


class Coordinates(_Fast):
    """For diagonal covariances: features [1, 1 or 0, z, z^2], and no pattern matters.

    Cost per row: 6 d K multiplications with additions in two products of matrices.
    """

    @property
    def rows(self) -> int:
        n_components, d = self.mixture.means.shape
        rows = QUADRATIC_SIZE // (1 + 3 * d + 2 * n_components)
        return min(max(rows, MIN_ROWS), MAX_ROWS)

    @cached_property
    def theta(self) -> NDArray:
        precisions = self.mixture.covariances.factors**2
        linear = self.shifts * precisions
        alone = 0.5 * (np.log(precisions) - LOG_2_PI - linear * self.shifts)
        constants = np.log(self.mixture.weights) - self.reference
        return np.hstack([constants[:, None], alone, linear, -0.5 * precisions])

    def features(self, X: NDArray) -> NDArray:
        return observed_features(X, self.origin[0], self.scratch)

    def log_joint(self, features: NDArray) -> NDArray:
        shape = (len(self.theta), features.shape[1])
        out = self.scratch.array("log_joint", shape, self.dtype)
        return multiply(self.theta, features, out)

    def moments(self, features: NDArray, responsibilities: NDArray) -> NDArray:
        """Shape (K, 2, 1 + d)."""
        sums = contract(features, responsibilities).T
        counts, present, first, second = divided(sums)
        absent = counts - present
        total = np.zeros((len(sums), 2, 1 + first.shape[1]))
        total[:, 0, :1] = counts
        total[:, 0, 1:] = first + absent * self.shifts
        squares = self.mixture.covariances.variances + self.shifts**2
        total[:, 1, 1:] = second + absent * squares
        return total


def observed_features(X: NDArray, origin: NDArray, scratch: Scratch) -> NDArray:
    """[1, 1 or 0 if missing, z, z^2] with z = x - origin or 0, shape (1 + 3 d, n)."""
    n, d = X.shape
    features = scratch.array("features", (1 + 3 * d, n), np.float64)
    features[0] = 1.0
    _, present, z, squares = features[:1], *np.split(features[1:], 3)
    np.subtract(X.T, origin[:, None], out=z)
    np.equal(z, z, out=present)
    np.copyto(z, 0.0, where=present == 0)
    np.multiply(z, z, out=squares)
    return features


def divided(sums: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Sums (K, 1 + 3 d) of those features: counts of rows and of values, the values'
    sums, and those of their squares."""
    present, first, second = np.split(sums[:, 1:], 3, axis=1)
    return sums[:, :1], present, first, second


def choose_incomplete(mixture: Parameters, blocks: Blocks, center: NDArray) -> Kernel:
    """The fastest kernel that is accurate for the mixture, near a center (d,)."""
    if mixture.covariances.products == "diagonal":
        origin = np.broadcast_to(center, mixture.means.shape)
        fast: _Fast = Coordinates(mixture, blocks.scratch, origin)
    else:
        fast = Swept(mixture, blocks, center)
        if len(center) > MANY_FEATURES and fast.rows_per_pattern > MANY_ROWS:
            return fast.exact()
    return fast if fast.suits else fast.exact()
