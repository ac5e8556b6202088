"""Sources: statistics of rows that have been assigned, from which models begin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgmm._em.problem import EMProblem
from emgmm._em.result import EMResults
from emgmm._estep.statistics import Statistics
from emgmm._model.covariances import Full
from emgmm._model.parameters import Parameters

from .engine import estimated


@dataclass(frozen=True, eq=False)
class Sources:
    """Statistics of many assignments of the rows; and mixtures with axes near to theirs.

    ``entropy`` (S,) is what a mixture's expected log-likelihood of the complete rows
    lacks of a bound of its mean log-likelihood.
    """

    statistics: Statistics
    near: Parameters | None
    entropy: NDArray | None = None

    def start(self, problem: EMProblem, source: NDArray) -> EMResults:
        """The mixtures of the statistics of such indices."""
        storage = problem.families.storage
        statistics = in_kind(self.statistics, storage.moment_kind).take(source)
        near = None
        if storage is Full and self.near is not None:
            near = self.near.take(source)
        mixtures, failed = estimated(problem, statistics, near)
        none = [[] for _ in failed]
        return EMResults(mixtures, failed, np.zeros(len(failed), bool), none, none)


def in_kind(statistics, kind):
    if statistics.kind is kind:
        return statistics
    from dataclasses import replace

    if kind.pooled:
        products = statistics.segments.sum(statistics.products)
    else:
        products = statistics.products.diagonal(axis1=1, axis2=2).copy()
    return replace(statistics, kind=kind, products=products)
