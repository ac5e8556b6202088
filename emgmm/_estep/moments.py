"""Sums of deviations from an origin of each component, accurate wherever data lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgmm._model.moment_kinds import MomentKind
from emgmm._model.segments import Segments
from emgmm._utils.matmul import gram_matrices
from emgmm._utils.threads import Workspace

from .kernel import Sums
from .statistics import Statistics

# Numbers in the arrays of a block: few enough for a cache, enough for long calls.
WHITENED_SIZE = 2**18
MIN_BLOCK_LENGTH, FEWEST_ROWS = 512, 64
MOST_IN_SHORT_BLOCKS = 2**19  # of the rows of all components, or features of these
MOST_NUMBERS = 2**22  # in an array of a block, however many features there are
# Rows whose responsibility is this share of a component's greatest are left out of its
# sums: one may lie 1e7 standard deviations away before that costs more than rounding.
NEGLIGIBLE_SHARE = 2.0**-100


@dataclass(frozen=True, eq=False)
class Deviations:
    """Sums of [1, v][1, v]', weighted, with deviations v = x - o_k from each origin.

    Cost per row and component: (d + 1)^2 / 2 multiplications with additions in a
    product of a matrix with its own transpose; for diagonal products 2 d. Where the
    components are far apart, only for rows that count in the sums of a component.

    Rounding: eps times the products themselves, whatever the data, while the means
    are near the origins. In float32 rows are taken about ``base`` first.
    """

    kind: MomentKind
    segments: Segments
    origin: NDArray
    base: NDArray
    dtype: np.dtype
    workspace: Workspace

    @property
    def block_length(self) -> int:
        rows = max(WHITENED_SIZE // self.origin.size, least_length(len(self.origin)))
        rows = min(rows, max(MOST_NUMBERS // self.origin.shape[1], 1))
        return rows * 8 // self.dtype.itemsize  # as many bytes of float32

    def features(self, X: NDArray) -> NDArray:
        """x - base, shape (d, n)."""
        z = self.workspace.array("rows", X.shape[::-1], self.dtype)
        return np.subtract(X.T, self.base.astype(self.dtype)[:, None], out=z)

    def groups(self, features: NDArray) -> Iterator[slice]:
        """Slices of components whose arrays are small enough for a cache."""
        size = max(WHITENED_SIZE // features.size, 1)
        # scikit-learn's gen_batches takes longer to check its arguments than a pass.
        for start in range(0, len(self.origin), size):
            yield slice(start, start + size)

    def write(self, features: NDArray, origin: NDArray, out: NDArray) -> None:
        """Write x - o_k of some components into ``out`` (components, d, n)."""
        shifts = (origin - self.base).astype(self.dtype)
        np.subtract(features, shifts[:, :, None], out=out)

    def moments(self, features: NDArray, responsibilities: NDArray) -> NDArray:
        """Shape (K, 1 + d, 1 + d), or (K, 2, 1 + d) for diagonal products."""
        d, n = features.shape
        if not self.kind.of_squares:
            members = _members(responsibilities)
            most = min(members.size // 2, max(WHITENED_SIZE // d, 2 * n))
            if np.count_nonzero(members) <= most:
                return self._moments_of(members, features, responsibilities)
        total = np.empty((len(self.origin), *self.kind.moments_shape(d)))
        for group in self.groups(features):
            weights = responsibilities[group, None]
            shape = (len(weights), 1 + d, n)
            vectors = self.workspace.array("vectors", shape, self.dtype)
            vectors[:, 0] = 1.0
            self.write(features, self.origin[group], vectors[:, 1:])
            roots = np.sqrt(weights)
            vectors *= roots
            total[group] = self.kind.stacked_moments(vectors, roots)
        return total

    def _moments_of(
        self, members: NDArray, features: NDArray, responsibilities: NDArray
    ) -> NDArray:
        """Moments (K, 1 + d, 1 + d) from the rows that count for each component."""
        rows = np.nonzero(members)[1]
        vectors = self.workspace.array(
            "vectors", (1 + len(features), len(rows)), self.dtype
        )
        vectors[0] = 1.0
        np.take(features, rows, axis=1, out=vectors[1:], mode="clip")
        roots = np.sqrt(responsibilities[members])
        shifts = (self.origin - self.base).astype(self.dtype)[:, :, None]
        total = np.empty((len(shifts), len(vectors), len(vectors)))
        stop = 0
        for k, number in enumerate(np.count_nonzero(members, axis=1)):
            start, stop = stop, stop + number
            own = vectors[:, start:stop]
            own[1:] -= shifts[k]
            own *= roots[start:stop]
            total[k] = gram_matrices(own)
        return total

    def statistics(self, sums: Sums, weight: NDArray) -> Statistics:
        counts, first = sums.moments[:, 0, 0], sums.moments[:, 0, 1:]
        return Statistics(
            self.kind,
            self.segments,
            self.origin,
            counts,
            first,
            self.kind.products(self.segments, sums.moments),
            sums.log_likelihood,
            weight,
        )


def least_length(n_rows: int) -> int:
    """The least number of columns of a block in arrays of so many rows: enough for long
    calls, or of very many rows fewer, lest they take much memory."""
    return max(min(MIN_BLOCK_LENGTH, MOST_IN_SHORT_BLOCKS // n_rows), FEWEST_ROWS)


def _members(responsibilities: NDArray) -> NDArray:
    """Which rows count in the sums of each component, shape (K, n); NaN counts.

    They are compared with the component's own greatest responsibility in the block,
    however small: the mean of a component far from all rows is that of the nearest.
    """
    greatest = responsibilities.max(axis=1, keepdims=True)
    return ~(responsibilities <= NEGLIGIBLE_SHARE * greatest)
