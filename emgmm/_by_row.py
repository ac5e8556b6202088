"""The kernel of rows most of which lack something else than the others."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._incomplete import FromMeans, precisions_of, rounding
from ._parameters import LOG_2_PI
from ._patterns import bounds_of_patterns
from ._posterior import DOUBLE


class Lacking(NamedTuple):
    """Patterns of a block that lack as many features, and what is left of these."""

    patterns: NDArray
    """Which of the block's they are, (s,)."""
    features: NDArray
    """What they lack, (s, m)."""
    left: NDArray
    """Covariances of it, given the rest: P_mm^-1, (K or 1, s, m, m)."""


class Filled(NamedTuple):
    """Rows of a block with what is missing where each component expects it."""

    deviations: NDArray
    """From the means, (K, d, n)."""
    log_joint: NDArray
    bounds: NDArray
    """Where patterns begin, and where the last ends, (S + 1,)."""
    lacking: list[Lacking]


class ByRow(FromMeans):
    """What is missing is solved for, row by row.

    With deviations v from a mean, zero where they are missing, and y = P v for all rows
    together, the missing ones are expected at -P_mm^-1 y_m; and v'y - y_m'P_mm^-1 y_m
    is the squared distance of what is observed.

    Cost: per row and component 2 d^2 multiplications in products of matrices of the
    block, and m^2; per pattern and component m^3. Rounding: eps times the condition
    of P, wherever the rows are.
    """

    @property
    def suits(self) -> bool:
        """Whether its rounding is within the bound."""
        return rounding(self.mixture.covariances, 0.0) < DOUBLE.max_rounding

    @cached_property
    def precisions(self) -> NDArray:
        """Shape (K, d, d), or (1, d, d) if they are the same."""
        return precisions_of(self.mixture.covariances)

    def features(self, X: NDArray) -> Filled:
        rows = self.values(X)
        deviations = self.deviations(rows, self.mixture.means)
        solved = self.scratch.array("whitened", deviations.shape, self.dtype)
        np.matmul(self.precisions, deviations, out=solved)
        squares = np.vecdot(deviations.swapaxes(1, 2), solved.swapaxes(1, 2))
        bounds = bounds_of_patterns(rows.absent)
        missing = rows.absent[:, bounds[:-1]].T
        numbers, of_rows = missing.sum(axis=1), np.diff(bounds)
        log_det = np.repeat(-self.mixture.covariances.log_det[:, None], len(missing), 1)
        log_det -= LOG_2_PI * (~missing).sum(axis=1)
        lacking = []
        for number in np.unique(numbers[numbers > 0]):
            patterns = np.flatnonzero(numbers == number)
            lacked = np.nonzero(missing[patterns])[1].reshape(-1, number)
            left, of_part = self._left(lacked)
            log_det[:, patterns] -= of_part
            lacking.append(Lacking(patterns, lacked, left))
            # The rows of these patterns, and which of them each has.
            which = np.repeat(np.arange(len(patterns)), of_rows[patterns])
            chosen = np.flatnonzero(np.repeat(numbers == number, of_rows))[:, None]
            at = lacked[which]
            own = solved[:, at, chosen]
            expected = -(left[:, which] @ own[..., None])[..., 0]
            deviations[:, at, chosen] = expected
            squares[:, chosen[:, 0]] += np.vecdot(expected, own)
        log_joint = np.repeat(0.5 * log_det + self.log_weights[:, None], of_rows, 1)
        log_joint -= 0.5 * squares
        return Filled(deviations, log_joint, bounds, lacking)

    def _left(self, lacked: NDArray) -> tuple[NDArray, NDArray]:
        """P_mm^-1 of some patterns (s, m), and the logarithms of det P_mm."""
        part = self.precisions[:, lacked[:, :, None], lacked[:, None]]
        lower = np.linalg.cholesky(part)
        # Small triangles, many at a time: no routine of LAPACK takes them together.
        inverse = np.linalg.inv(lower)
        log_det = 2 * np.log(np.einsum("...ii->...i", lower)).sum(axis=-1)
        return inverse.mT @ inverse, log_det

    def log_joint(self, features: Filled) -> NDArray:
        return features.log_joint

    def moments(self, features: Filled, responsibilities: NDArray) -> NDArray:
        """Shape (K, 1 + d, 1 + d)."""
        deviations, _, bounds, lacking = features
        n_components, d, n = deviations.shape
        vectors = self.scratch.array("filled", (n_components, 1 + d, n), self.dtype)
        vectors[:, 0] = 1.0
        np.add(deviations, self.shifts[:, :, None], out=vectors[:, 1:])
        vectors *= np.sqrt(responsibilities)[:, None]
        total = vectors @ vectors.mT
        counts = np.add.reduceat(responsibilities, bounds[:-1], axis=1)
        for patterns, lacked, left in lacking:
            entries = (lacked[:, :, None] * d + lacked[:, None]).ravel()
            weighted = left * counts[:, patterns, None, None]
            for k, own in enumerate(weighted):
                added = np.bincount(entries, own.ravel(), d * d)
                total[k, 1:, 1:] += added.reshape(d, d)
        return total
