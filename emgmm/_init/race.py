"""A race of starts: iterations of EM that tell which of them leads to the best."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np

from emgmm._em.problem import EMProblem
from emgmm._em.progress import Progress
from emgmm._em.result import EMResult

RACE_NUMBERS = 2**22  # densities of rows that a start computes at most in a race, ...
RACE_ITER = 200  # ... in so many iterations at most, ...
RACE_TOL = 1e-3  # ... until so little is to be gained
# Differences in the log-likelihood of a row of a sample that may be others in all rows:
# less plays no part, more is no chance.
IN_DOUBT = 1e-3, 0.05


def best_of_race(
    sample: EMProblem, problem: EMProblem, results: list[EMResult]
) -> EMResult:
    """The best of results of a sample, and where that is in doubt, of all rows."""
    results = _raced(sample, results)
    best = sample.best(results)
    least, most = IN_DOUBT
    close = [
        other
        for other in results
        if other is best or least < abs(best.lower_bound - other.lower_bound) < most
    ]
    if len(close) == 1 or sample.rows is problem.rows:
        return best
    scored = [*_gone_on(problem, close, 0)]
    return problem.best(scored) if scored else best


def _raced(problem: EMProblem, results: list[EMResult]) -> list[EMResult]:
    """Results that have gone on to where EM ends, if that costs little: before, a
    plateau looks like an end, and one that is behind may come to be ahead."""
    densities = problem.rows.summary.n_samples * len(results[0].mixture.weights)
    n_iter = min(RACE_NUMBERS // densities, RACE_ITER)
    if len(results) == 1 or not n_iter:
        return results
    return [*_gone_on(problem, results, n_iter)] or results


def _gone_on(
    problem: EMProblem, results: list[EMResult], n_iter: int
) -> Iterator[EMResult]:
    """Where so many iterations lead to from results, unless that is singular."""
    tol = max(problem.options.tol, RACE_TOL)
    options = replace(problem.options, max_iter=n_iter, tol=tol)
    further = replace(problem, options=options)
    for result in results:
        with suppress(np.linalg.LinAlgError):
            yield further.run(result.mixture, Progress(0, 1))
