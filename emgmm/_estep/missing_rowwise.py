"""The kernel of rows with missing values whose patterns mostly differ."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._data.patterns import bounds_of_patterns
from emgmm._model.parameters import LOG_2_PI, Parameters

from .kernel import DOUBLE
from .missing_exact import AboutMeans, ExactMissingKernel, rounding

ROOTS_SIZE, FEWEST_ROWS = 2**22, 64  # of a block: numbers in factors; rows


class MissingPart(NamedTuple):
    """Patterns of a block with the same number of missing features."""

    patterns: NDArray
    """Their indices among the patterns of the block, (s,)."""
    features: NDArray
    """The missing features of each, (s, m)."""
    roots: NDArray
    """R with R'R = P_mm^-1, the conditional covariances, (K or 1, s, m, m)."""


class Filled(NamedTuple):
    """Rows of a block, with missing values at their means conditional on each component
    and the observed values."""

    deviations: NDArray
    """Deviations from the means, (K, d, n)."""
    log_joint: NDArray
    bounds: NDArray
    """Indices of the first row of each pattern, and the number of rows, (S + 1,)."""
    parts: list[MissingPart]


class RowwiseKernel(AboutMeans):
    """Conditional means of missing values are solved for row by row.

    With deviations v from a mean, zero where they are missing, and y = P v for all rows
    together, the missing ones have the conditional mean -P_mm^-1 y_m; and the squared
    distance of the observed ones is v'y - |R y_m|^2, where R'R = P_mm^-1.

    Cost: per row and component 2 d^2 multiplications in products of matrices of the
    block, and 2 m^2; per pattern and component m^3. Rounding: eps times the condition
    of P, wherever the rows are.
    """

    def fallback_kernel(
        self, mixture: Parameters, origin: NDArray | None = None
    ) -> ExactMissingKernel:
        return ExactMissingKernel(mixture, self.workspace, origin)

    @property
    def block_length(self) -> int:
        n_components, d = self.origin.shape
        most = ROOTS_SIZE // (n_components * d**2)
        return min(super().block_length, max(most, FEWEST_ROWS))

    @property
    def is_accurate(self) -> NDArray | bool:
        """Where its rounding error is accepted."""
        return rounding(self.mixture.covariances, 0.0) < DOUBLE.max_rounding

    def features(self, X: NDArray) -> Filled:
        rows = self.values(X)
        deviations = self.deviations(rows, self.mixture.means)
        solved = self.workspace.array("whitened", deviations.shape, self.dtype)
        np.matmul(self.precisions, deviations, out=solved)
        squares = np.vecdot(deviations.swapaxes(1, 2), solved.swapaxes(1, 2))
        bounds = bounds_of_patterns(rows.missing)
        missing = rows.missing[:, bounds[:-1]].T
        numbers, of_rows = missing.sum(axis=1), np.diff(bounds)
        log_det = np.repeat(-self.mixture.covariances.log_det[:, None], len(missing), 1)
        log_det -= LOG_2_PI * (~missing).sum(axis=1)
        parts = []
        for number in np.unique(numbers[numbers > 0]):
            patterns = np.flatnonzero(numbers == number)
            absent = np.nonzero(missing[patterns])[1].reshape(-1, number)
            roots, of_part = self._roots(absent)
            log_det[:, patterns] -= of_part
            parts.append(MissingPart(patterns, absent, roots))
            # The pattern of each row with this number of missing features.
            which = np.repeat(np.arange(len(patterns)), of_rows[patterns])
            chosen = np.flatnonzero(np.repeat(numbers == number, of_rows))[:, None]
            at = absent[which]
            own = roots[:, which]
            half = (own @ solved[:, at, chosen][..., None])[..., 0]
            deviations[:, at, chosen] = -(half[..., None, :] @ own)[..., 0, :]
            squares[:, chosen[:, 0]] -= np.vecdot(half, half)
        log_joint = np.repeat(0.5 * log_det + self.log_weights[:, None], of_rows, 1)
        log_joint -= 0.5 * squares
        return Filled(deviations, log_joint, bounds, parts)

    def _roots(self, absent: NDArray) -> tuple[NDArray, NDArray]:
        """Inverses of the Cholesky factors of P_mm, and log det P_mm, for patterns with
        missing features (s, m)."""
        part = self.precisions[:, absent[:, :, None], absent[:, None]]
        lower = np.linalg.cholesky(part)
        log_det = 2 * np.log(np.einsum("...ii->...i", lower)).sum(axis=-1)
        # Small triangles, many at a time: no routine of LAPACK takes them together.
        return np.linalg.inv(lower), log_det

    def log_joint(self, features: Filled) -> NDArray:
        return features.log_joint

    def moments(self, features: Filled, responsibilities: NDArray) -> NDArray:
        """Shape (K, 1 + d, 1 + d)."""
        deviations, _, bounds, parts = features
        n_components, d, n = deviations.shape
        vectors = self.workspace.array("filled", (n_components, 1 + d, n), self.dtype)
        vectors[:, 0] = 1.0
        np.add(deviations, self.shifts[:, :, None], out=vectors[:, 1:])
        vectors *= np.sqrt(responsibilities)[:, None]
        total = vectors @ vectors.mT
        counts = np.add.reduceat(responsibilities, bounds[:-1], axis=1)
        for patterns, absent, roots in parts:
            entries = (absent[:, :, None] * d + absent[:, None]).ravel()
            weighted = (roots.mT @ roots) * counts[:, patterns, None, None]
            for k, own in enumerate(weighted):
                added = np.bincount(entries, own.ravel(), d * d)
                total[k, 1:, 1:] += added.reshape(d, d)
        return 0.5 * (total + total.mT)  # rounding breaks the symmetry
