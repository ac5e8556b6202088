"""A race among starts: EM from all of them in lockstep, and the best of the results."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from emgmm._em.lockstep import run_in_lockstep
from emgmm._em.problem import EMProblem
from emgmm._em.race import Race
from emgmm._em.result import EMResult, EMResults
from emgmm._model.parameters import Parameters

from .short_runs import short_runs

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
    results = _run(sample, starts)
    if not len(results):
        raise np.linalg.LinAlgError("every start is singular")
    bounds = results.lower_bound
    sound = sample.sound(results.mixtures)
    first = np.flatnonzero(sound == sound.max())
    keys = bounds[first] - sample.penalties(results.mixtures)[first]
    best = first[np.argmax(keys >= keys.max() - EQUAL)]
    met = np.abs(bounds[first] - bounds[best]) < SAME_MAXIMUM
    outcome = Outcome(results.result(int(best)), int(np.count_nonzero(met)))
    if sample.rows is problem.rows:
        return outcome
    behind = np.abs(bounds - bounds[best])
    close = (behind > IN_DOUBT[0]) & (behind < IN_DOUBT[1])
    close[best] = True
    if np.count_nonzero(close) == 1:
        return outcome
    mixtures = [results.mixtures.mixture(b) for b in np.flatnonzero(close).tolist()]
    scored = short_runs(problem, mixtures, 0)
    return outcome._replace(best=problem.best(scored)) if scored else outcome


def _run(problem: EMProblem, starts: Parameters) -> EMResults:
    """The results of EM from the starts, but for those that are singular.

    Until EM converges a plateau looks like an end, and a result that is behind may come
    to be ahead: runs go on until then, if that costs little, unless they have fallen
    behind.
    """
    single = len(starts.segments) == 1  # with no other to be compared with
    n_iter = affordable(problem, starts.segments.longest)
    return _raced(problem, starts, 0 if single else max(n_iter, PLAIN_ITER))


def affordable(problem: EMProblem, n_components: int) -> int:
    """The number of iterations with so many components that cost little."""
    densities = problem.rows.summary.n_samples * n_components
    return min(RACE_NUMBERS // densities, RACE_ITER)


def _raced(problem: EMProblem, stack: Parameters, n_iter: int) -> EMResults:
    """The results of a race, but for those that are singular. Where a mixture has won
    in which a component has collapsed, the sound ones go on without it."""
    tol = max(problem.options.tol, RACE_TOL)
    long = problem.with_options(max_iter=n_iter, tol=tol, n_plain=PLAIN_ITER)
    watch = Race([np.zeros(len(stack.segments), dtype=np.intp)], n_free=PLAIN_ITER)
    (ended,) = run_in_lockstep([long], [stack], watch=watch)
    ended = ended.take(np.flatnonzero(~ended.failed))
    sound = problem.sound(ended.mixtures) if len(ended) else np.zeros(0, dtype=bool)
    if not sound.any() or sound[ended.lower_bound.argmax()]:
        return ended
    return _raced(problem, ended.mixtures.take(np.flatnonzero(sound)), n_iter)
