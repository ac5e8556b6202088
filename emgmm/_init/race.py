"""A race among starts: short runs of EM, and the best of their results."""

from __future__ import annotations

from collections.abc import Iterator

from emgmm._em.problem import EMProblem
from emgmm._em.result import EMResult
from emgmm._model.parameters import Parameters

from .short_runs import short_runs

RACE_NUMBERS = 2**22  # greatest number of densities that a start computes in a race
RACE_ITER = 200  # greatest number of its iterations
RACE_TOL = 1e-3  # gain to come at which it ends
# Differences of mean log-likelihoods on a sample that may be due to chance: smaller
# ones do not matter, and greater ones are real.
IN_DOUBT = 1e-3, 0.05


def best_of_race(
    sample: EMProblem, problem: EMProblem, results: list[EMResult]
) -> EMResult:
    """The best of the results on a sample; if in doubt, the best on all rows."""
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
    """The results where EM converges, if that costs little: until then a plateau looks
    like an end, and a result that is behind may come to be ahead."""
    densities = problem.rows.summary.n_samples * len(results[0].mixture.weights)
    n_iter = min(RACE_NUMBERS // densities, RACE_ITER)
    if len(results) == 1 or not n_iter:
        return results
    tol = max(problem.options.tol, RACE_TOL)
    return short_runs(problem, _mixtures(results), n_iter, tol) or results


def _mixtures(results: list[EMResult]) -> Iterator[Parameters]:
    """The mixtures of results."""
    return (result.mixture for result in results)
