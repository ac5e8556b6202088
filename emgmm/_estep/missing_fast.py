"""Fast kernels of rows with missing values: all patterns of a block at once.

``choose_incomplete`` takes one of them where it is accurate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._data.patterns import bounds_of_patterns
from emgmm._model.conditioning import Conditioned, from_precisions
from emgmm._model.moment_kinds import FULL
from emgmm._model.parameters import LOG_2_PI, Parameters
from emgmm._utils.cached import cached_property
from emgmm._utils.matmul import contract, multiply
from emgmm._utils.threads import Workspace

from .complete import MAX_BLOCK_LENGTH, QUADRATIC_SIZE
from .features import SECOND_ORDER
from .kernel import DOUBLE
from .missing_exact import (
    ExactDiagonalKernel,
    ExactMissingKernel,
    MissingKernel,
    rounding,
)

PATTERNS_SIZE = 2**22  # most numbers in the matrices for the patterns of a block
MIN_PATTERN_LENGTH = 64
# Rows for each pattern, and features, up to which matrices for each pattern are fast.
MANY_ROWS, MANY_FEATURES = 64, 32
PRODUCTS = SECOND_ORDER[FULL]


class _AboutCenter(MissingKernel):
    """Base of kernels that are linear in features of rows about a center, from which
    the rounding error grows."""

    def __init__(
        self, mixture: Parameters, workspace: Workspace, center: NDArray
    ) -> None:
        origin = np.broadcast_to(center, mixture.means.shape)
        super().__init__(mixture, workspace, origin)
        self.center = center

    @property
    def max_cancellation(self) -> float:
        return DOUBLE.max_rounding / DOUBLE.eps

    @property
    def is_accurate(self) -> NDArray | bool:
        """Where its rounding error is accepted."""
        covariances = self.mixture.covariances
        return rounding(covariances, self.shifts) < DOUBLE.max_rounding


class Patterns(NamedTuple):
    """Quadratic features of a block, and the mixture conditioned on its patterns."""

    features: NDArray
    """[1, z, z_i z_j] with z = x - c, or 0 where x is missing, shape (F, n)."""
    rows: list[slice]
    """The rows of each pattern."""
    missing: NDArray
    """Which features are missing in each pattern, (S, d)."""
    conditioned: Conditioned


class PatternKernel(_AboutCenter):
    """Quadratic features, with a Theta of its own for each pattern.

    Of precisions P = [[P_oo, P_om], [P_mo, P_mm]], o observed and m missing, one has
    P_oo - P_om P_mm^-1 P_mo, the precisions of what is observed; the slopes
    -P_mm^-1 P_mo of the regressions of x_m on x_o; and P_mm^-1, the conditional
    covariances of x_m.

    Cost: per row that of ``Quadratic``; per pattern and component m^3 / 3 + 2 m d^2
    multiplications, and d^3 in a product of matrices of all patterns.
    """

    def fallback_kernel(
        self, mixture: Parameters, origin: NDArray | None = None
    ) -> ExactMissingKernel:
        return ExactMissingKernel(mixture, self.workspace, origin)

    @property
    def block_length(self) -> int:
        n_components, d = self.mixture.means.shape
        size = 1 + d + PRODUCTS.size(d) + 2 * n_components
        most = PATTERNS_SIZE // (n_components * (1 + d) ** 2)
        return max(
            min(QUADRATIC_SIZE // size, most, MAX_BLOCK_LENGTH), MIN_PATTERN_LENGTH
        )

    def features(self, X: NDArray) -> Patterns:
        d = X.shape[1]
        shape = (1 + d + PRODUCTS.size(d), len(X))
        features = self.workspace.array("features", shape, self.dtype)
        features[0] = 1.0
        z = features[1 : 1 + d]
        np.subtract(X.T, self.center[:, None], out=z)
        absent = np.isnan(z)
        np.copyto(z, 0.0, where=absent)
        PRODUCTS.fill(features, d)
        bounds = bounds_of_patterns(absent)
        missing = absent[:, bounds[:-1]].T
        rows = list(map(slice, bounds[:-1], bounds[1:]))
        conditioned = from_precisions(self.precisions, missing)
        return Patterns(features, rows, missing, conditioned)

    def log_joint(self, features: Patterns) -> NDArray:
        shape = (len(self.constants), features.features.shape[1])
        out = self.workspace.array("log_joint", shape, self.dtype)
        theta = self._theta(features)
        first = self._own_features
        for s, rows in enumerate(features.rows):
            multiply(theta[:, s, :first], features.features[:first, rows], out[:, rows])
            if first < theta.shape[-1]:
                out[:, rows] += theta[0, s, first:] @ features.features[first:, rows]
        return out

    @property
    def _own_features(self) -> int:
        """Number of features with coefficients that differ between components: without
        the products if components share their precisions."""
        d = len(self.center)
        products = PRODUCTS.size(d) if len(self.precisions) > 1 else 0
        return 1 + d + products

    def _theta(self, patterns: Patterns) -> NDArray:
        """Coefficients of the features, for each pattern, shape (K, S, F)."""
        d, conditioned = len(self.center), patterns.conditioned
        shifts = self.shifts[:, None] * ~patterns.missing
        linear = (conditioned.marginal @ shifts[..., None])[..., 0]
        constants = conditioned.log_det - LOG_2_PI * (~patterns.missing).sum(axis=1)
        theta = np.empty((*linear.shape[:2], 1 + d + PRODUCTS.size(d)))
        theta[..., 0] = 0.5 * (constants - np.vecdot(linear, shifts))
        theta[..., 0] += self.log_weights[:, None]
        theta[..., 1 : 1 + d] = linear
        theta[..., 1 + d :] = PRODUCTS.coefficients(conditioned.marginal)
        return theta

    def moments(self, features: Patterns, responsibilities: NDArray) -> NDArray:
        """Shape (K, 1 + d, 1 + d)."""
        n_components, d = self.shifts.shape
        shape = (n_components, len(features.rows), len(features.features))
        sums, first = np.zeros(shape), self._own_features
        for s, rows in enumerate(features.rows):
            own, block = responsibilities[:, rows], features.features[:, rows]
            sums[:, s, :first] = contract(block[:first], own).T
            if first < shape[-1]:  # pooled products: stored as the first component's
                sums[0, s, first:] = block[first:] @ own.sum(axis=0)
        observed = np.empty((*shape[:2], 1 + d, 1 + d))
        observed[..., 0, :] = observed[..., 0] = sums[..., : 1 + d]
        observed[..., 1:, 1:] = PRODUCTS.products(sums[..., 1 + d :], d)
        return self.completed_moments(observed, features.missing, features.conditioned)


class DiagonalKernel(_AboutCenter):
    """For diagonal covariances: features [1, 1 or 0, z, z^2], whatever the pattern.

    Cost per row: 6 d K multiplications with additions in two products of matrices.
    """

    def fallback_kernel(
        self, mixture: Parameters, origin: NDArray | None = None
    ) -> ExactDiagonalKernel:
        return ExactDiagonalKernel(mixture, self.workspace, origin)

    @property
    def block_length(self) -> int:
        n_components, d = self.mixture.means.shape
        rows = QUADRATIC_SIZE // (1 + 3 * d + 2 * n_components)
        return min(max(rows, MIN_PATTERN_LENGTH), MAX_BLOCK_LENGTH)

    @cached_property
    def theta(self) -> NDArray:
        precisions = self.mixture.covariances.factors**2
        linear = self.shifts * precisions
        alone = 0.5 * (np.log(precisions) - LOG_2_PI - linear * self.shifts)
        return np.hstack([self.log_weights[:, None], alone, linear, -0.5 * precisions])

    def features(self, X: NDArray) -> NDArray:
        return observed_features(X, self.center, self.workspace)

    def log_joint(self, features: NDArray) -> NDArray:
        shape = (len(self.theta), features.shape[1])
        out = self.workspace.array("log_joint", shape, self.dtype)
        return multiply(self.theta, features, out)

    def moments(self, features: NDArray, responsibilities: NDArray) -> NDArray:
        """Shape (K, 2, 1 + d)."""
        sums = contract(features, responsibilities).T
        return self.completed_squares(*split_sums(sums))


def observed_features(X: NDArray, origin: NDArray, workspace: Workspace) -> NDArray:
    """[1, 1 or 0 if missing, z, z^2] with z = x - origin or 0, shape (1 + 3 d, n)."""
    n, d = X.shape
    features = workspace.array("features", (1 + 3 * d, n), np.float64)
    features[0] = 1.0
    _, present, z, squares = features[:1], *np.split(features[1:], 3)
    np.subtract(X.T, origin[:, None], out=z)
    np.equal(z, z, out=present)
    np.copyto(z, 0.0, where=present == 0)
    np.multiply(z, z, out=squares)
    return features


def split_sums(sums: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Counts of rows (K, 1) and of observed values (K, d), sums of the values and of
    their squares (K, d), from sums (K, 1 + 3 d) of ``observed_features``."""
    present, first, second = np.split(sums[:, 1:], 3, axis=1)
    return sums[:, :1], present, first, second
