"""A race among starts: EM from all of them in lockstep, and the best of the results."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from emgmm._em.lockstep import run_in_lockstep
from emgmm._em.problem import EMProblem
from emgmm._em.race import Race
from emgmm._em.result import EMResult, EMResults
from emgmm._model.parameters import Parameters

PLAIN_ITER = 5  # plain iterations of all starts
RACE_NUMBERS = 2**24  # greatest number of densities that a start computes in a race
RACE_ITER = 200  # greatest number of its iterations
RACE_TOL = 1e-3  # gain to come at which it ends
# Differences of mean log-likelihoods on a sample that may be due to chance: smaller
# ones do not matter, and greater ones are real.
IN_DOUBT = 1e-3, 0.05
SAME_MAXIMUM = 1e-4  # difference of mean log-likelihoods of runs that have met
EQUAL = 1e-6  # difference of those between which the order of the starts decides


class Outcome(NamedTuple):
    """The best result of a race, and how many runs have come as far."""

    best: EMResult
    number: int


def race(sample: EMProblem, starts: Parameters, problem: EMProblem) -> Outcome:
    """The outcome of a race on a sample; in doubt the result is best on all rows.

    Results come last if a component has collapsed. Where one has fewer rows than its
    covariance needs, it must gain what BIC asks. LinAlgError if all are singular.
    """
    n_iter = max(affordable(sample, starts.segments.longest), PLAIN_ITER)
    results = _raced(sample, starts, n_iter)
    if not len(results):
        raise np.linalg.LinAlgError("every start is singular")
    sound, bounds = sample.sound(results.mixtures), results.lower_bound
    keys = np.where(sound == sound.max(), bounds, -np.inf)
    keys -= sample.penalties(results.mixtures)
    best = int(np.argmax(keys >= keys.max() - EQUAL))
    if sample.rows.summary.n_weighted < problem.rows.summary.n_weighted:
        best = _best_on_all_rows(problem, results, best)
    met = np.abs(keys - keys[best]) < SAME_MAXIMUM
    return Outcome(results.result(best), int(np.count_nonzero(met)))


def _best_on_all_rows(problem: EMProblem, results: EMResults, best: int) -> int:
    """The number of the result that is best on all rows, among those of which the best
    on a sample leaves it in doubt."""
    behind = np.abs(results.lower_bound - results.lower_bound[best])
    close = (behind > IN_DOUBT[0]) & (behind < IN_DOUBT[1])
    close[best] = True
    numbers = np.flatnonzero(close)
    if len(numbers) == 1:
        return best
    short = problem.with_options(max_iter=0, tol=0.0)
    (scored,) = run_in_lockstep([short], [results.mixtures.take(numbers)])
    usable = np.flatnonzero(~scored.failed)
    found = [scored.result(run) for run in usable.tolist()]
    if not found:
        return best
    return int(numbers[usable[found.index(problem.best(found))]])


def affordable(problem: EMProblem, n_components: int) -> int:
    """The number of iterations with so many components that cost little."""
    densities = problem.rows.summary.n_samples * n_components
    return min(RACE_NUMBERS // densities, RACE_ITER)


def _raced(problem: EMProblem, stack: Parameters, n_iter: int) -> EMResults:
    """The results of EM from the starts, but for those that are singular.

    Until EM converges a plateau looks like an end, and a result that is behind may come
    to be ahead: runs go on until then, unless they have fallen behind. Where a mixture
    has won in which a component has collapsed, the sound ones go on without it.
    """
    tol = max(problem.options.tol, RACE_TOL)
    long = problem.with_options(max_iter=n_iter, tol=tol, n_plain=PLAIN_ITER)
    lanes = [np.zeros(len(stack.segments), dtype=np.intp)]
    watch = Race(lanes, n_free=PLAIN_ITER, margin=EQUAL)
    (ended,) = run_in_lockstep([long], [stack], watch=watch)
    ended = ended.take(np.flatnonzero(~ended.failed))
    sound = problem.sound(ended.mixtures) if len(ended) else np.zeros(0, dtype=bool)
    if not sound.any() or sound[ended.lower_bound.argmax()]:
        return ended
    again = _raced(problem, ended.mixtures.take(np.flatnonzero(sound)), n_iter)
    return again if len(again) else ended
