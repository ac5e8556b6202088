"""A race of starts: iterations of EM that show which of them leads to the best."""

from __future__ import annotations

from collections.abc import Iterator

from emgmm._em.problem import EMProblem
from emgmm._em.result import EMResult
from emgmm._model.parameters import Parameters

from .short_runs import short_runs

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
    results = _gone_on(sample, results)
    best = sample.best(results)
    least, most = IN_DOUBT
    close = [
        other
        for other in results
        if other is best or least < abs(best.lower_bound - other.lower_bound) < most
    ]
    if len(close) == 1 or sample.rows is problem.rows:
        return best
    scored = short_runs(problem, _mixtures(close), 0)
    return problem.best(scored) if scored else best


def _gone_on(problem: EMProblem, results: list[EMResult]) -> list[EMResult]:
    """Results that have gone on to where EM ends, if that costs little: before, a
    plateau looks like an end, and one that is behind may come to be ahead."""
    densities = problem.rows.summary.n_samples * len(results[0].mixture.weights)
    n_iter = min(RACE_NUMBERS // densities, RACE_ITER)
    if len(results) == 1 or not n_iter:
        return results
    tol = max(problem.options.tol, RACE_TOL)
    return short_runs(problem, _mixtures(results), n_iter, tol) or results


def _mixtures(results: list[EMResult]) -> Iterator[Parameters]:
    """The mixtures that results have come to."""
    return (result.mixture for result in results)
