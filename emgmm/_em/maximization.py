"""The M-step proper: the maximum of the expected log-likelihood within a family."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emgmm._estep.statistics import Statistics
from emgmm._model.families import Families
from emgmm._model.parameters import Parameters

from .fixed import Fixed
from .prior import ConjugatePrior

EPS = float(np.finfo(np.float64).eps)
# Least share of the rows of a component, so that nothing is divided by zero: the mean
# of an empty one stays, and its covariance is the regularisation.
MIN_SHARE = 10 * EPS


@dataclass(frozen=True, eq=False)
class Maximization:
    """The maximum of the expected log-likelihood, or log-posterior if there is a prior,
    over what is not fixed of mixtures of some families."""

    families: Families
    fixed: Fixed | None = None
    prior: ConjugatePrior | None = None

    def take(self, mixtures: NDArray) -> Maximization:
        """That of some of the mixtures, by indices or a mask (B,)."""
        return replace(self, families=self.families.take(mixtures))

    def __call__(
        self,
        stats: Statistics,
        added: NDArray | float,
        previous: Parameters | None = None,
    ) -> tuple[Parameters, NDArray]:
        """The mixtures that maximise it, and which of them (B,) are singular, whose
        covariances mean nothing.

        ``added``, (M, d) or what broadcasts to it, is added to the variances as pseudo-
        scatter, n_k times as much, before the rule of the family is applied: what is
        equal in all components stays so.
        """
        segments, n_features = stats.segments, stats.sums.shape[1]
        counts = np.maximum(stats.counts, MIN_SHARE * segments.spread(stats.weight))
        near, scatter = previous.covariances if previous else None, stats.scatter
        if np.count_nonzero(added):
            scatter = stats.with_diagonals(counts[:, None] * added)
        means, rows, storage = stats.means, counts, self.families.storage
        if self.fixed or self.prior:
            means, rows, scatter = self._with_knowledge(stats, counts, scatter)
        # Non-finite values of degenerate scatters are caught by ``estimated``.
        values = self.families.estimate(segments, rows, scatter, near)
        covariances, singular = storage.estimated(values, segments, n_features)
        weights = counts / segments.spread(segments.sum(counts))
        mixture = Parameters(weights, means, covariances)
        return self.fixed.imposed(mixture) if self.fixed else mixture, singular

    def _with_knowledge(
        self, stats: Statistics, counts: NDArray, scatter: NDArray
    ) -> tuple[NDArray, NDArray, NDArray]:
        """Means (M, d), and the counts (M,) and the scatter about them from which
        covariances are estimated, with those of pseudo-rows of the prior."""
        segments, kind, means = stats.segments, stats.kind, stats.means
        if self.prior:
            means = self.prior.means(counts, means)
        if self.fixed:
            means = self.fixed.means_of(segments, means)
        scatter = scatter + kind.outer(segments, counts, stats.means - means)
        if self.prior:
            shares = self.prior.shares(self.families, segments)
            counts = counts + self.prior.counts(shares)
            scatter = scatter + self.prior.scatter(segments, shares, means, kind)
        if self.fixed:
            scatter = self.fixed.scatter_of(segments, counts, scatter)
        return means, counts, scatter
