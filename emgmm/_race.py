"""A race of starts: iterations of EM until it is clear which leads to the best."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np

from ._blocks import Blocks
from ._em import EMResult, Progress
from ._runs import Problem, ProblemOf

RACE_NUMBERS = 2**22  # densities of rows that a start computes at most in a race, ...
RACE_ITER = 10  # ... in rounds of so many iterations, twice as many, ...
EQUAL = 1e-5  # difference of log-likelihoods of a row that tells starts apart
HOPE = 10.0  # times its last gain: what a start may be expected to gain
# Differences in the log-likelihood of a row of a sample that may be others in all rows:
# less plays no part, more is no chance.
IN_DOUBT = 1e-3, 0.05


def best_of_race(
    sample: Problem, problem: ProblemOf[Blocks], results: list[EMResult]
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
    if len(close) == 1 or sample.blocks is problem.blocks:
        return best
    scored = [*_gone_on(problem, close, 0)]
    return problem.best(scored) if scored else best


def _raced(problem: Problem, results: list[EMResult]) -> list[EMResult]:
    """Results that have gone on while one that is behind might have come to be ahead,
    as long as that cost little."""
    densities = problem.blocks.n_samples * len(results[0].mixture.weights)
    passes, n_iter = RACE_NUMBERS // densities, RACE_ITER
    while n_iter <= passes:
        best = problem.best(results)
        rivals = [other for other in results if other is best or _may_gain(other, best)]
        if len(rivals) == 1:
            break
        others = [other for other in results if other not in rivals]
        results = [*_gone_on(problem, rivals, n_iter), *others]
        passes, n_iter = passes - n_iter, 2 * n_iter
    return results


def _may_gain(result: EMResult, best: EMResult) -> bool:
    """Whether a result that is behind may come to be ahead."""
    behind = abs(best.lower_bound - result.lower_bound)
    gained = result.lower_bounds[-1] - result.lower_bounds[-3:][0]
    return EQUAL < behind < HOPE * gained


def _gone_on(
    problem: ProblemOf[Blocks], results: list[EMResult], n_iter: int
) -> Iterator[EMResult]:
    """Where so many iterations lead to from results, unless that is singular."""
    further = replace(problem, options=replace(problem.options, max_iter=n_iter))
    for result in results:
        with suppress(np.linalg.LinAlgError):
            yield further.run(result.mixture, Progress(0, 1))
