"""A race among starts: short runs of EM, and the best of their results."""

from __future__ import annotations

from emgmm._em.problem import EMProblem
from emgmm._em.result import EMResult

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
    scored = short_runs(problem, [each.mixture for each in close], 0)
    return problem.best(scored) if scored else best


def _gone_on(problem: EMProblem, results: list[EMResult]) -> list[EMResult]:
    """The results where EM converges, if that costs little: until then a plateau looks
    like an end, and a result that is behind may come to be ahead."""
    densities = problem.rows.summary.n_samples * len(results[0].mixture.weights)
    n_iter = min(RACE_NUMBERS // densities, RACE_ITER)
    if len(results) == 1 or not n_iter:
        return results
    tol = max(problem.options.tol, RACE_TOL)
    mixtures = [result.mixture for result in results]
    return short_runs(problem, mixtures, n_iter, tol) or results
