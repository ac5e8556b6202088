"""Sources: rows that have been assigned to components, as statistics to begin from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import RowSource
from emgmm._em.problem import EMProblem
from emgmm._em.result import EMResults
from emgmm._estep.estep import expectation, statistics_of_start
from emgmm._estep.memberships import Memberships
from emgmm._estep.statistics import Statistics
from emgmm._model.covariances import Covariances, Full
from emgmm._model.parameters import LOG_2_PI, Parameters

TINY = np.finfo(np.float64).tiny  # for weights of zero


class View(NamedTuple):
    """Rows divided by units (d,), the storage whose statistics serve all models, and
    what is known of the rows."""

    rows: RowSource
    units: NDArray
    storage: type[Covariances]
    memberships: Memberships | None = None

    @property
    def n_numbers_of_component(self) -> int:
        """The number of numbers in the moments of a component."""
        return int(np.prod(self.storage.moment_kind.moments_shape(len(self.units))))

    def sources(self, assignments: Sequence[tuple[int, NDArray]]) -> Sources:
        """Sources of numbers of components with labels or responsibilities."""
        return Sources.of_assignments(self.rows, assignments, self.storage)


@dataclass(frozen=True, eq=False)
class Sources:
    """Statistics of S assignments of the rows, from which mixtures begin.

    ``near`` are mixtures with covariances near to theirs. ``entropy`` (S,) is that of
    the assignments, per row: with it the expected log-likelihood of a mixture that
    begins there is a lower bound of its log-likelihood (Neal & Hinton 1998,
    doi:10.1007/978-94-011-5014-9_12).
    """

    statistics: Statistics
    near: Parameters
    entropy: NDArray

    @classmethod
    def of_assignments(
        cls,
        rows: RowSource,
        assignments: Sequence[tuple[int, NDArray]],
        storage: type[Covariances],
    ) -> Sources:
        """Those of numbers of components, each with labels or responsibilities."""
        statistics = Statistics.joined(
            [
                statistics_of_start(rows, each, number, storage.moment_kind)
                for number, each in assignments
            ]
        )
        segments, totals = statistics.segments, statistics.weight
        pooled = segments.sum(statistics.scatter)
        pooled /= totals.reshape(-1, *[1] * (pooled.ndim - 1))
        covariances, _ = storage.estimated(
            segments.spread(pooled), segments, statistics.sums.shape[1]
        )
        weights = statistics.counts / segments.spread(totals)
        near = Parameters(weights, statistics.means, covariances)
        return cls(statistics, near, np.zeros(len(totals)))

    @classmethod
    def of_mixtures(cls, view: View, mixtures: Parameters) -> Sources:
        """Those of the responsibilities of the mixtures of a stack."""
        (statistics,) = expectation(view.rows, [mixtures], None, view.memberships)
        expected = expected_log_likelihood(statistics, mixtures)
        return cls(statistics, mixtures, statistics.mean_log_likelihood - expected)

    def begin(self, problem: EMProblem, source: NDArray) -> EMResults:
        """The mixtures that begin from the sources of such indices, with lower bounds
        of their log-likelihoods."""
        storage = problem.families.storage
        statistics = self.statistics.of_kind(storage.moment_kind).take(source)
        alike = isinstance(self.near.covariances, storage)
        near = self.near.take(source) if alike else None
        mixtures, failed = problem.mstep.estimate(statistics, near)
        bounds = expected_log_likelihood(statistics, mixtures) + self.entropy[source]
        histories = [[bound] for bound in bounds.tolist()]
        none = np.zeros(len(failed), dtype=bool)
        return EMResults(mixtures, failed, none, histories, [None] * len(failed))


def expected_log_likelihood(statistics: Statistics, mixtures: Parameters) -> NDArray:
    """Expected mean log-likelihoods (B,) of rows with their components."""
    segments, covariances = mixtures.segments, mixtures.covariances
    squares = statistics.about(mixtures.means).products
    precisions = covariances.precisions
    if precisions.ndim < squares.ndim:  # one for all features
        precisions = precisions[:, None]
    traces = (precisions * squares).reshape(len(squares), -1).sum(axis=1)
    logs = np.log(np.maximum(mixtures.weights, TINY)) - 0.5 * covariances.log_det
    total = segments.sum(statistics.counts * logs)
    total -= 0.5 * statistics.kind.sum(segments, traces)
    constant = 0.5 * LOG_2_PI * mixtures.means.shape[1]
    if not mixtures.noise:
        return total / statistics.weight - constant
    counts = segments.sum(statistics.counts)
    logs = np.log(np.maximum(mixtures.noise_weights, TINY)) + mixtures.noise.log_density
    total += np.maximum(statistics.weight - counts, 0.0) * logs - constant * counts
    return total / statistics.weight


def stored_as(mixtures: Parameters, storage: type[Covariances]) -> Parameters:
    """The mixtures with their covariances in a wider storage."""
    covariances = mixtures.covariances
    if isinstance(covariances, storage):
        return mixtures
    values, factors = covariances.variances.copy(), covariances.factors
    if storage is Full:
        values = covariances.dense()
        if factors.ndim == 2:
            factors = factors[:, :, None] * np.eye(factors.shape[1])
    wide = storage(values, factors, covariances.segments, covariances.n_features)
    return Parameters(mixtures.weights, mixtures.means, wide, mixtures.noise)
