"""Many models with many numbers of components, fitted together: they share starts.

One growth of components, split one after the other, and one k-means serve every model.
Numbers of components are visited from one more than the greatest on downwards. At each,
a model begins from the common starts and from its own mixture of one component more,
less any of them; and then from what the other models have found. Starts race: some
iterations of plain EM each, and only the best go on. Where rows are many, all of that
sees a sample of them.

Starts from mixtures of one component more or less are those of Baudry & Celeux 2015
(doi:10.1007/s11222-015-9561-x).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.parallel import delayed

from emgmm._data.base import RowBlocks
from emgmm._em.problem import EMProblem
from emgmm._em.progress import Progress
from emgmm._em.result import EMResult
from emgmm._estep.estep import statistics_of_start
from emgmm._estep.predict import responsibilities_of
from emgmm._estep.statistics import Statistics
from emgmm._init.split import common_starts
from emgmm._init.subsample import subsample
from emgmm._model.families import MODELS
from emgmm._model.linalg import WIDE
from emgmm._model.moment_kinds import MomentKind
from emgmm._model.parameters import Parameters, are_near
from emgmm._utils.callbacks import Stage, silent
from emgmm._utils.threads import BLAS

SAMPLE_ROWS = 2**14  # of the sample on which fits are compared, at least
BEYOND = 1  # components more than the greatest number, which begins from those
LESS_ONE = 2  # mixtures of one component less that take part in a race
EQUAL = 1e-5  # difference of log-likelihoods of a row that tells starts apart
SAME = 1e-7  # difference below which fits have come to the same maximum
HOPE = 10.0  # times its last gain: what a start may be expected to gain
FAINT = 1e-9  # responsibilities of the others for rows of a component taken away


class RaceSchedule(NamedTuple):
    """Of a race: iterations of all; how many go on, how far; how many to the end."""

    first: int
    kept: int
    further: int
    finishing: int


AMONG_STARTS = RaceSchedule(first=2, kept=4, further=5, finishing=3)
AMONG_MODELS = RaceSchedule(first=0, kept=3, further=5, finishing=2)

View = tuple[bool, MomentKind]
"""Which units rows are in, and which products statistics have."""


class Start(NamedTuple):
    """Statistics to begin from, in every view, and a mixture whose axes are near."""

    statistics: dict[View, Statistics]
    like: Parameters | None


class Fit(NamedTuple):
    """The best result of a model, if there is one, and the seconds it took."""

    result: EMResult | None
    seconds: float


@dataclass(frozen=True)
class ModelSearch:
    """Problems by the names of their models, to be fitted together.

    `reference_model` is the problem of free matrices; `parallel` runs tasks as joblib
    does; every part of the search runs within a `stage`.
    """

    problems: dict[str, EMProblem]
    reference_model: EMProblem
    parallel: Callable[[Iterable[Any]], Any]
    stage: Stage = silent

    def fits(self, sizes: list[int]) -> dict[tuple[str, int], Fit]:
        """Of every model with every number of components, for which there are rows."""
        weighted = self.reference_model.rows.summary.n_weighted
        most: int = min(max(sizes) + BEYOND, weighted)
        steps = sorted({*sizes, most}, reverse=True)
        n_stages = len(steps) + 2
        with self.stage("starts", 1 / n_stages):
            level = self._on_a_sample(most)
        found: dict[tuple[str, int], Fit] = {}
        larger: dict[str, Fit] = {}
        for number, size in enumerate(steps, start=2):
            if size + 1 not in steps:
                larger = {}
            with self.stage(f"n_components={size}", number / n_stages):
                larger = level.fitted(size, larger, exchanging=size in sizes)
            if size in sizes:
                found |= {(name, size): fit for name, fit in larger.items()}
        with self.stage("all rows", 1.0):
            return self._on_all_rows(found, level)

    def _on_a_sample(self, n_components: int) -> _Levels:
        samples: dict[int, RowBlocks] = {}

        def of_sample(problem: EMProblem) -> EMProblem:
            blocks = problem.rows
            if id(blocks) not in samples:
                samples[id(blocks)] = subsample(blocks, n_components, SAMPLE_ROWS)
            return problem.of(samples[id(blocks)])

        problems = {name: of_sample(problem) for name, problem in self.problems.items()}
        reference_model = of_sample(self.reference_model)
        with BLAS.held(), np.errstate(all="ignore"):
            grown = self._grown(reference_model.rows.summary.n_features)
            starts = common_starts(reference_model, n_components, grown)
        return _Levels(problems, reference_model, starts, self.parallel)

    def _grown(self, n_features: int) -> list[str]:
        """Models by which components are split: matrices of many features only where
        some model has them."""
        if n_features > WIDE and _of_squares(self.problems):
            return ["VVI"]
        return ["VVV", "VVI"] if n_features > 1 else ["VVV"]

    def _on_all_rows(
        self, found: dict[tuple[str, int], Fit], level: _Levels
    ) -> dict[tuple[str, int], Fit]:
        if level.reference_model.rows is self.reference_model.rows:
            return found
        tasks = [
            delayed(_go_on)(self.problems[key[0]], fit) for key, fit in found.items()
        ]
        return dict(zip(found, self.parallel(tasks), strict=True))


@dataclass(frozen=True)
class _Levels:
    """All models with a number of components, on a sample of the rows."""

    problems: dict[str, EMProblem]
    reference_model: EMProblem
    starts: dict[int, list[NDArray]]
    parallel: Callable[[Iterable[Any]], Any]

    def fitted(
        self, size: int, larger: dict[str, Fit], exchanging: bool
    ) -> dict[str, Fit]:
        """Fits from the common starts and from those of one component more; and then
        from those of the other models."""
        with BLAS.held(), np.errstate(all="ignore"):
            common = [self._begun(rows, size) for rows in self.starts[size]]
        entries: dict[str, Any]
        entries = {name: (common, larger.get(name), None) for name in self.problems}
        fits = self._raced(entries, AMONG_STARTS)
        if size == 1 or not exchanging:
            return fits
        with BLAS.held(), np.errstate(all="ignore"):
            ends = {name: self._end(name, fit) for name, fit in fits.items()}
            entries = {
                name: (_elsewhere(ends[name], ends.values()), None, fit)
                for name, fit in fits.items()
            }
        return self._raced(entries, AMONG_MODELS)

    def _raced(self, entries: dict[str, Any], rules: RaceSchedule) -> dict[str, Fit]:
        tasks = [
            delayed(_race)(self.problems[name], rules, *entry)
            for name, entry in entries.items()
        ]
        return dict(zip(entries, self.parallel(tasks), strict=True))

    def _begun(self, rows: NDArray, size: int) -> Start:
        """From labels or responsibilities; their pooled covariance has the axes."""
        if _of_squares(self.problems):  # which have those of the coordinates
            return Start(self._statistics(rows, size), None)
        reference_model, like = self.reference_model.of_family(MODELS["EEE"]), None
        with suppress(np.linalg.LinAlgError):
            like = reference_model.start(rows, size).in_units(1 / reference_model.units)
        return Start(self._statistics(rows, size), like)

    def _end(self, name: str, fit: Fit) -> Start | None:
        """From where another model's fit has ended."""
        if fit.result is None:
            return None
        problem, mixture = self.problems[name], fit.result.mixture
        rows = responsibilities_of(problem.sample, mixture)
        statistics = self._statistics(rows, rows.shape[1])
        return Start(statistics, mixture.in_units(1 / problem.units))

    def _statistics(self, rows: NDArray, size: int) -> dict[View, Statistics]:
        views = {_view(problem): problem.rows for problem in self.problems.values()}
        return {
            view: statistics_of_start(blocks, rows, size, view[1])
            for view, blocks in views.items()
        }


def _of_squares(problems: dict[str, EMProblem]) -> bool:
    """Whether no model needs products of features."""
    return all(
        problem.family.storage.moment_kind.of_squares for problem in problems.values()
    )


def _view(problem: EMProblem) -> View:
    return problem.family.by_feature, problem.family.storage.moment_kind


def _race(
    problem: EMProblem,
    rules: RaceSchedule,
    starts: list[Start],
    larger: Fit | None,
    held: Fit | None,
) -> Fit:
    """The best of what is held, and of the mixtures that starts lead to."""
    began = perf_counter()
    best, before = held or Fit(None, 0.0)
    with BLAS.held(), np.errstate(all="ignore"):
        short = list(_iterated(problem, _begin(problem, starts), rules.first))
        if larger is not None and larger.result is not None:
            less = _less_one(problem, larger.result.mixture)
            short += _iterated(problem, less, rules.first)
        kept = [result.mixture for result in _distinct(problem, short)[: rules.kept]]
        short = _distinct(problem, _iterated(problem, kept, rules.further))
        for number, result in enumerate(short):
            if number >= rules.finishing and best and problem.ranking_key(best)[0]:
                break  # what is degenerate does not count
            if best is None or _hopeful(problem, result, best):
                best = _better(problem, best, result)
    return Fit(best, before + perf_counter() - began)


def _begin(problem: EMProblem, starts: list[Start]) -> Iterator[Parameters]:
    view = _view(problem)
    for start in starts:
        like = start.like and start.like.in_units(problem.units)
        with suppress(np.linalg.LinAlgError):
            yield problem.begin(start.statistics[view], like)


def _less_one(problem: EMProblem, mixture: Parameters) -> list[Parameters]:
    """Mixtures of a component less, whose rows go to the others: the best of them."""
    responsibilities = responsibilities_of(problem.sample, mixture)
    n_components = len(mixture.weights) - 1
    begun = []
    for k in range(len(mixture.weights)):
        others = np.delete(responsibilities, k, axis=1) + FAINT
        others /= others.sum(axis=1, keepdims=True)
        kind = problem.family.storage.moment_kind
        stats = statistics_of_start(problem.rows, others, n_components, kind)
        with suppress(np.linalg.LinAlgError):
            begun.append(problem.begin(stats, mixture))
    best = _distinct(problem, _iterated(problem, begun, 0))[:LESS_ONE]
    return [result.mixture for result in best]


def _iterated(
    problem: EMProblem, mixtures: Iterable[Parameters], n_iter: int
) -> Iterator[EMResult]:
    """Some iterations of plain EM from each mixture."""
    options = replace(problem.options, max_iter=n_iter, tol=0.0, accelerated=False)
    short = replace(problem, mstep=problem.mstep.inexact, options=options)
    for mixture in mixtures:
        with suppress(np.linalg.LinAlgError):
            yield short.run(mixture, Progress(0, 1))


def _distinct(problem: EMProblem, results: Iterable[EMResult]) -> list[EMResult]:
    """The best first; of those that have come to the same, the first."""
    distinct: list[tuple[tuple[bool, float], EMResult]] = []
    for result in results:
        sound, bound = ranking_key = problem.ranking_key(result)
        if not any(
            sound == other_sound and abs(bound - other_bound) <= EQUAL
            for (other_sound, other_bound), _ in distinct
        ):
            distinct.append((ranking_key, result))
    distinct.sort(key=lambda pair: pair[0], reverse=True)
    return [result for _, result in distinct]


def _hopeful(problem: EMProblem, result: EMResult, best: EMResult) -> bool:
    """Whether a result may become better than the best, which is at its end."""
    sound, best_sound = problem.ranking_key(result)[0], problem.ranking_key(best)[0]
    if sound != best_sound:
        return sound
    ahead = result.lower_bound - best.lower_bound
    gain = result.lower_bounds[-1] - result.lower_bounds[-2]
    if abs(ahead) <= EQUAL or ahead + HOPE * gain <= 0:
        return False
    return ahead > 0 or not are_near(result.mixture, best.mixture)


def _elsewhere(own: Start | None, ends: Iterable[Start | None]) -> list[Start]:
    """Ends of other models that are not near the own one, nor near each other."""
    seen = [own.like] if own and own.like else []
    chosen = []
    for end in ends:
        if end and end.like and not any(are_near(end.like, other) for other in seen):
            chosen.append(end)
            seen.append(end.like)
    return chosen


def _better(
    problem: EMProblem, best: EMResult | None, start: EMResult
) -> EMResult | None:
    """What a start leads to, if that is better by more than where fits stop."""
    try:
        result = problem.run(start.mixture, Progress(0, 1))
    except np.linalg.LinAlgError:
        return best
    if best is None:
        return result
    sound, best_sound = problem.ranking_key(result)[0], problem.ranking_key(best)[0]
    if sound == best_sound:
        return result if result.lower_bound > best.lower_bound + SAME else best
    return result if sound else best


def _go_on(problem: EMProblem, fit: Fit) -> Fit:
    """A fit of a sample, fitted to all rows."""
    if fit.result is None:
        return fit
    began = perf_counter()
    with BLAS.held(), np.errstate(all="ignore"):
        result = _better(problem, None, fit.result)
    return Fit(result, fit.seconds + perf_counter() - began)
