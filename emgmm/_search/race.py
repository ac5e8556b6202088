"""A race among the starts of a model: short runs of EM, of which the best go on."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from time import perf_counter
from typing import NamedTuple

import numpy as np

from emgmm._em.problem import EMProblem
from emgmm._em.progress import Progress
from emgmm._em.result import EMResult
from emgmm._estep.estep import statistics_of_start
from emgmm._estep.predict import responsibilities_of
from emgmm._init.short_runs import short_runs
from emgmm._model.parameters import Parameters, are_near
from emgmm._utils.threads import BLAS

from .start import CommonStart, begin_all

SAME_START = 1e-5  # difference of mean log-likelihoods, below which starts are the same
SAME_FIT = 1e-7  # difference below which fits are at the same maximum
HOPE = 10.0  # factor of its last gain that a start may still be expected to gain
LESS_ONE = 2  # mixtures of one component less that take part in a race
FAINT = 1e-9  # least responsibilities of the other components for rows of a removed one


class RaceSchedule(NamedTuple):
    """Iterations of all starts; how many are kept, and for how many further iterations;
    and how many are run to the end."""

    first: int
    kept: int
    further: int
    finishing: int


AMONG_STARTS = RaceSchedule(first=2, kept=4, further=5, finishing=3)
AMONG_MODELS = RaceSchedule(first=0, kept=3, further=5, finishing=2)


class Fit(NamedTuple):
    """The best result of a model, if there is one, and the seconds it took."""

    result: EMResult | None
    seconds: float


class Entries(NamedTuple):
    """Entries of a race: starts, the fit of one component more, and the fit so far."""

    starts: list[CommonStart]
    larger: Fit | None = None
    so_far: Fit | None = None


def race(problem: EMProblem, schedule: RaceSchedule, entries: Entries) -> Fit:
    """The best of the fit so far and of the fits from the starts."""
    began = perf_counter()
    best, before = entries.so_far or Fit(None, 0.0)
    with BLAS.single_threaded(), np.errstate(all="ignore"):
        starts = begin_all(problem, entries.starts)
        short = _iterated(problem, starts, schedule.first)
        if entries.larger is not None and entries.larger.result is not None:
            less = _less_one(problem, entries.larger.result.mixture)
            short += _iterated(problem, less, schedule.first)
        kept = [result.mixture for result in _distinct(problem, short)[: schedule.kept]]
        short = _distinct(problem, _iterated(problem, kept, schedule.further))
        for number, result in enumerate(short):
            if number >= schedule.finishing and best and problem.ranking_key(best)[0]:
                break  # the best has no degenerate component
            if best is None or _hopeful(problem, result, best):
                best = _better(problem, best, result)
    return Fit(best, before + perf_counter() - began)


def _less_one(problem: EMProblem, mixture: Parameters) -> list[Parameters]:
    """The best mixtures without one of the components, whose rows go to the others."""
    responsibilities = responsibilities_of(problem.sample, mixture)
    n_components = len(mixture.weights) - 1
    starts = []
    for k in range(len(mixture.weights)):
        others = np.delete(responsibilities, k, axis=1) + FAINT
        others /= others.sum(axis=1, keepdims=True)
        kind = problem.family.storage.moment_kind
        stats = statistics_of_start(problem.rows, others, n_components, kind)
        with suppress(np.linalg.LinAlgError):
            starts.append(problem.begin(stats, mixture))
    best = _distinct(problem, _iterated(problem, starts, 0))[:LESS_ONE]
    return [result.mixture for result in best]


def _iterated(
    problem: EMProblem, mixtures: Iterable[Parameters], n_iter: int
) -> list[EMResult]:
    """Results of some iterations of plain EM from each mixture."""
    plain = replace(problem, mstep=problem.mstep.inexact)
    return short_runs(plain.with_options(accelerated=False), mixtures, n_iter)


def _distinct(problem: EMProblem, results: Iterable[EMResult]) -> list[EMResult]:
    """Different results, the best first; of those that are the same, the first."""
    distinct: list[tuple[tuple[bool, float], EMResult]] = []
    for result in results:
        sound, bound = key = problem.ranking_key(result)
        if not any(
            sound == other_sound and abs(bound - other_bound) <= SAME_START
            for (other_sound, other_bound), _ in distinct
        ):
            distinct.append((key, result))
    distinct.sort(key=lambda pair: pair[0], reverse=True)
    return [result for _, result in distinct]


def _hopeful(problem: EMProblem, result: EMResult, best: EMResult) -> bool:
    """Whether a result may become better than the best, which has converged."""
    sound, best_sound = problem.ranking_key(result)[0], problem.ranking_key(best)[0]
    if sound != best_sound:
        return sound
    ahead = result.lower_bound - best.lower_bound
    gain = result.lower_bounds[-1] - result.lower_bounds[-2]
    if abs(ahead) <= SAME_START or ahead + HOPE * gain <= 0:
        return False
    return ahead > 0 or not are_near(result.mixture, best.mixture)


def _better(
    problem: EMProblem, best: EMResult | None, start: EMResult
) -> EMResult | None:
    """The better of the best result and of the one that a start leads to."""
    try:
        result = problem.run(start.mixture, Progress(0, 1))
    except np.linalg.LinAlgError:
        return best
    if best is None:
        return result
    sound, best_sound = problem.ranking_key(result)[0], problem.ranking_key(best)[0]
    if sound == best_sound:
        return result if result.lower_bound > best.lower_bound + SAME_FIT else best
    return result if sound else best


def fit_to_all_rows(problem: EMProblem, fit: Fit) -> Fit:
    """The fit to all rows, from a fit to a sample."""
    if fit.result is None:
        return fit
    began = perf_counter()
    with BLAS.single_threaded(), np.errstate(all="ignore"):
        result = _better(problem, None, fit.result)
    return Fit(result, fit.seconds + perf_counter() - began)
