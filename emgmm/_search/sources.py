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
        storage = problem.mstep.family.storage
        statistics = in_kind(self.statistics, storage.moment_kind).take(source)
        near = None
        if storage is Full and self.near is not None:
            near = self.near.take(source)
        parts, failed = estimated(problem, statistics, near)
        good = [part for part in parts if part is not None]
        filler = good[0] if good else None
        if filler is None:
            raise ValueError
        # singular placeholders
        mixtures = []
        for b, part in enumerate(parts):
            if part is None:
                k = statistics.segments.sizes[b]
                d = statistics.sums.shape[1]
                from emgmm._model.segments import Segments

                seg = Segments.one(int(k))
                vals = storage.algebra.identity(storage.layout(seg, d)[1:])
                shape = storage.layout(seg, d)
                v = np.broadcast_to(vals, shape).copy()
                part = Parameters(np.full(k, 1 / k), np.zeros((k, d)), storage(v, v, seg, d))
            mixtures.append(part)
        return EMResults(
            Parameters.joined(mixtures), failed, np.zeros(len(failed), bool), [[] for _ in failed]
        )


def in_kind(statistics, kind):
    if statistics.kind is kind:
        return statistics
    from dataclasses import replace

    if kind.pooled:
        products = statistics.segments.sum(statistics.products)
    else:
        products = statistics.products.diagonal(axis1=1, axis2=2).copy()
    return replace(statistics, kind=kind, products=products)
