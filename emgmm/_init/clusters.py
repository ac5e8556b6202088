"""Clusters of rows by their moments: what merging two costs, and agglomeration.

The cost is what the classification likelihood loses (Scott & Symons 1971,
doi:10.2307/2529003): clusters are Gaussian, each with a covariance of its own. Merged
one pair after the other, they are those of model-based agglomeration (Banfield &
Raftery 1993, doi:10.2307/2532201).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emgmm._estep.statistics import Statistics
from emgmm._model.moment_kinds import DIAGONAL, FULL, MomentKind
from emgmm._model.segments import Segments
from emgmm._utils.ties import TIE

# What is added to variances where clusters are compared: a share of those within all
# clusters, of a cluster of one row as much as they are.
RIDGE = 1e-6
ROWS_OF_RIDGE = 0.5
LEAST_SHARE = 1e-6  # of the rows, below which a cluster has none
PAIRS_NUMBERS = 2**20  # in the scatters of pairs that are compared at once
GREAT = 1e300  # loss of clusters that have no likelihood

LOG_DETERMINANTS: dict[MomentKind, Callable[[NDArray], NDArray]] = {
    DIAGONAL: lambda variances: np.log(variances).sum(axis=1),
    FULL: lambda matrices: np.linalg.slogdet(matrices)[1],
}
"""Of covariances, (M, d) or (M, d, d), by the kind of moments that they are made of."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Weights (M,), means (M, d) and scatters of clusters of rows.

    ``ridge``, laid out as one scatter, is the covariance that a cluster of one row has;
    ``n_rows`` is the number of all rows, some of which may be in no cluster.
    """

    kind: MomentKind
    counts: NDArray
    means: NDArray
    scatter: NDArray
    ridge: NDArray
    n_rows: float

    @classmethod
    def of(cls, statistics: Statistics, n_rows: float) -> Self:
        """The components of a mixture, but for those without rows; their weights are
        numbers of rows, of ``n_rows`` in all."""
        kind, some = statistics.kind, have_rows(statistics)
        factor = n_rows / float(statistics.weight.sum())
        counts, scatter = statistics.counts[some], statistics.scatter[some]
        within = kind.diagonals(scatter).sum(axis=0) / statistics.counts.sum()
        ridge = kind.from_variances(np.where(within > 0, within, 1.0))
        means = statistics.means[some]
        return cls(kind, factor * counts, means, factor * scatter, ridge, n_rows)

    def __len__(self) -> int:
        """The number of clusters M."""
        return len(self.counts)

    def among(self, kept: NDArray) -> Clusters:
        """Some of the clusters, by indices or a mask (M,)."""
        return self._with(self.counts[kept], self.means[kept], self.scatter[kept])

    @staticmethod
    def joined(parts: Sequence[Clusters]) -> Clusters:
        """The clusters of several, one after the other."""
        counts = np.concatenate([part.counts for part in parts])
        means = np.concatenate([part.means for part in parts])
        scatter = np.concatenate([part.scatter for part in parts])
        return parts[0]._with(counts, means, scatter)

    def unions(self, first: NDArray, second: NDArray) -> Clusters:
        """The unions (P,) of pairs of clusters, by their indices."""
        a, b = self.counts[first], self.counts[second]
        total, gaps = a + b, self.means[second] - self.means[first]
        segments = Segments.one(len(total))  # one component is as another
        between = self.kind.outer(segments, a * b / total, gaps)
        means = self.means[first] + gaps * (b / total)[:, None]
        scatter = self.scatter[first] + self.scatter[second] + between
        return self._with(total, means, scatter)

    @property
    def log_likelihood(self) -> NDArray:
        """Greatest classification log-likelihoods (M,) of their rows, up to a constant
        for each row."""
        rows = np.maximum(self.counts, ROWS_OF_RIDGE)
        shares = RIDGE + ROWS_OF_RIDGE / rows
        extent = (-1,) + (1,) * (self.scatter.ndim - 1)
        covariances = self.scatter / rows.reshape(extent)
        covariances += shares.reshape(extent) * self.ridge
        log_det = LOG_DETERMINANTS[self.kind](covariances)
        return self.counts * (np.log(self.counts) - 0.5 * log_det)

    def costs(self, first: NDArray, second: NDArray) -> NDArray:
        """What pairs of clusters (P,) lose in likelihood if each is merged."""
        return self._costs(first, second, self.log_likelihood)

    def statistics(self, sizes: Sequence[int]) -> Statistics:
        """Statistics of mixtures of so many of the clusters, one after the other."""
        segments = Segments.of(sizes)
        return Statistics(
            self.kind,
            segments,
            self.means,
            self.counts,
            np.zeros_like(self.means),
            self.scatter,
            np.zeros(len(segments)),
            np.full(len(segments), self.n_rows),
        )

    def agglomerated(self, n_clusters: int) -> Clusters:
        """So many clusters, after merges of the pair that loses least, time and again.

        Of pairs that lose as much, but for rounding, it is the first.
        """
        size, tol = len(self), TIE * self.counts.sum()
        clusters = self.among(np.arange(size))  # written over: a union is the first
        first, second = np.triu_indices(size, 1)
        own, left = self.log_likelihood, np.ones(size, dtype=bool)
        losses = _finite(self.costs(first, second))
        for _ in range(size - n_clusters):
            least = int(np.argmax(losses <= losses.min() + tol))
            pair = slice(least, least + 1)
            union = clusters.unions(first[pair], second[pair])
            a, b = first[least], second[least]
            clusters.counts[a], clusters.means[a] = union.counts[0], union.means[0]
            clusters.scatter[a], own[a] = union.scatter[0], union.log_likelihood[0]
            left[b] = False
            losses[(first == b) | (second == b)] = np.inf
            new = np.flatnonzero(
                (first == a) & left[second] | (second == a) & left[first]
            )
            losses[new] = _finite(clusters._costs(first[new], second[new], own))
        return clusters.among(left)

    def _costs(self, first: NDArray, second: NDArray, own: NDArray) -> NDArray:
        """The costs of pairs (P,), where the clusters' log-likelihoods (M,) are known;
        not of all at once, if their scatters would fill the memory."""
        found = np.empty(len(first))
        most = max(PAIRS_NUMBERS // self.scatter[0].size, 1)
        for begin in range(0, len(first), most):
            part = slice(begin, begin + most)
            unions = self.unions(first[part], second[part]).log_likelihood
            found[part] = own[first[part]] + own[second[part]] - unions
        return found

    def _with(self, counts: NDArray, means: NDArray, scatter: NDArray) -> Clusters:
        """Other clusters of the same rows."""
        return replace(self, counts=counts, means=means, scatter=scatter)


def have_rows(statistics: Statistics) -> NDArray:
    """Which components (M,) of a mixture have a share of the rows."""
    least = LEAST_SHARE * statistics.counts.sum()
    some: NDArray = statistics.counts > least
    return some


def _finite(losses: NDArray) -> NDArray:
    """The losses, with a great number for those that are not finite."""
    return np.where(np.isfinite(losses), losses, GREAT)
