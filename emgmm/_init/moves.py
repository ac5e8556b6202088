"""Moves of a component to where it gains more: one is split, and another one goes.

The split and merge EM of Ueda et al. 2000 (doi:10.1162/089976600300015088), with all
that is tried run in lockstep; a component may also be deleted, and its rows go to the
others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._em.lockstep import run_in_lockstep
from emgmm._em.problem import EMProblem
from emgmm._em.progress import Progress
from emgmm._em.race import Race
from emgmm._em.result import EMResult, EMResults
from emgmm._estep.estep import statistics_of_start, statistics_of_starts
from emgmm._estep.predict import kurtosis_of_components, responsibilities_of
from emgmm._model.moment_kinds import of_components
from emgmm._model.parameters import Parameters
from emgmm._utils.ties import in_order

from .clusters import Clusters, have_rows
from .cuts import Cut
from .known import in_known_order
from .race import affordable
from .split import PartOfRows, part_of
from .subsample import SPLIT_FAMILIES

MOST_MOVES = 8
GAIN = 1e-4  # mean log-likelihood that a move must gain
SPLIT, MERGED, DELETED = 6, 3, 1  # of each most promising move as many are tried
LEAST_SPLIT = 3  # splits that are tried where a pass over the rows takes long, ...
CHEAP_PASS = 2**24  # ... which is that of more products in its sums
TRIED = 10  # components whose splits are tried, at most
PLAIN_ITER = 6  # iterations before moves race
KEPT = {1: 12, 3: 6, PLAIN_ITER: 4}  # how many go on after so many iterations
LEAST_ITER = 12  # of moves; where so many cost too much, nothing is moved
NO_SHARE = 1e-10  # least share of a row that the other components have


class ComponentCut(NamedTuple):
    """A cut of a component, and the rows that it has."""

    component: int
    part: PartOfRows
    cut: Cut

    @property
    def gain(self) -> float:
        """What is gained, in log-likelihood, if the halves are two clusters."""
        return self.part.problem.rows.summary.weight * self.cut.gain

    def halves(self, clusters: Clusters) -> Clusters:
        """The halves, of one of the clusters; or one, if the other has no rows."""
        rows, labels = self.part.problem.rows, self.cut.labels
        statistics = statistics_of_start(rows, labels, 2, clusters.kind)
        found = Clusters.of(statistics, clusters.counts[self.component])
        return replace(found, ridge=clusters.ridge)


def moved(
    problem: EMProblem, result: EMResult, tol: float, progress: Progress
) -> EMResult:
    """The result after the moves that raise its likelihood, one after the other, as
    long as there are any; none that leaves a component without enough rows."""
    if affordable(problem, len(result.mixture.weights)) < LEAST_ITER:
        return result
    for _ in range(MOST_MOVES):
        try:
            better = _best_move(problem, result, tol)
        except np.linalg.LinAlgError:
            break
        if better is None:
            break
        result = better
        progress.improved(result)
    return result


def _best_move(problem: EMProblem, result: EMResult, tol: float) -> EMResult | None:
    """The result of EM after the best move, if that is better."""
    tried = in_known_order(problem, _moves(problem, result.mixture))
    if not len(tried.segments):
        return None
    level = result.lower_bound + GAIN
    lanes = [np.zeros(len(tried.segments), dtype=np.intp)]
    race = Race(
        lanes,
        level,
        lambda state: problem.supported(state.mixtures),
        PLAIN_ITER,
        KEPT,
    )
    n_iter = affordable(problem, len(result.mixture.weights))
    long = problem.with_options(max_iter=n_iter, tol=tol, n_plain=PLAIN_ITER)
    (found,) = run_in_lockstep([long], [tried], watch=race)
    bounds = _supported_bounds(problem, found)
    best = in_order(-bounds, 1)
    if not best.size or not bounds[best[0]] > level:
        return None
    return found.result(int(best[0]))


def _supported_bounds(problem: EMProblem, results: EMResults) -> NDArray:
    """Mean log-likelihoods (B,); minus infinity of those whose components have not
    enough rows."""
    supported = ~results.failed & problem.supported(results.mixtures)
    return np.where(supported, results.lower_bound, -np.inf)


def _moves(problem: EMProblem, mixture: Parameters) -> Parameters:
    """The most promising moves from a mixture."""
    storage, size = problem.family.storage, len(mixture.weights)
    kind = of_components(storage.moment_kind)
    responsibilities = np.asfortranarray(responsibilities_of(problem.sample, mixture))
    assignments = [responsibilities]
    (statistics,) = statistics_of_starts(problem.rows, assignments, [size], [kind])
    occupied = have_rows(statistics)
    if not occupied.any():  # all rows are noise
        return mixture.take(np.zeros(0, dtype=np.intp))
    clusters = Clusters.of(statistics, problem.n_rows)
    shares = responsibilities[:, occupied]
    splits = _splits(problem, mixture, shares, occupied)
    if len(clusters) == size:
        losses = _losses_without(problem, shares)
        tried = [c for each in splits for c in _after_split(clusters, each, losses)]
    else:
        tried = _in_place_of_empty(clusters, splits, size)
    if not tried:
        return mixture.take(np.zeros(0, dtype=np.intp))
    statistics = Clusters.joined(tried).statistics([size] * len(tried))
    mixtures, failed = problem.mstep.estimate(statistics.of_kind(storage.moment_kind))
    return mixtures.take(np.flatnonzero(~failed))


def _splits(
    problem: EMProblem, mixture: Parameters, shares: NDArray, occupied: NDArray
) -> list[ComponentCut]:
    """The most promising splits of the components that have rows, with such shares in
    these (n, K), of those that are least Gaussian."""
    size = shares.shape[1]
    components = np.arange(size)
    if size > TRIED:
        found = kurtosis_of_components(problem.rows, mixture, problem.n_rows)
        components = np.sort(in_order(-np.abs(found[occupied]), TRIED))
    free = problem.with_family(SPLIT_FAMILIES[problem.family.storage])
    splits = [
        ComponentCut(k, part, cut)
        for k in components.tolist()
        if (part := part_of(free, shares[:, k]))
        for cut in part.cuts
    ]
    gains = np.array([each.gain for each in splits])
    products = problem.n_rows * size * problem.n_numbers_of_component
    most = int(CHEAP_PASS / (products * (MERGED + DELETED)))
    most = min(max(most, LEAST_SPLIT), SPLIT)
    return [splits[best] for best in in_order(-gains, most)]


def _losses_without(problem: EMProblem, responsibilities: NDArray) -> NDArray:
    """What is lost (K,) if a component is deleted and the others stay as they are."""
    left = np.maximum(1 - responsibilities, NO_SHARE)
    return -(problem.sample.weights @ np.log(left))


def _in_place_of_empty(
    clusters: Clusters, splits: list[ComponentCut], size: int
) -> list[Clusters]:
    """The clusters with as many of them split as are lacking, beginning with each of
    the splits in turn."""
    found = []
    for first in range(len(splits)):
        by_component: dict[int, ComponentCut] = {}
        for split in [*splits[first:], *splits[:first]]:
            by_component.setdefault(split.component, split)
        chosen = list(by_component.values())[: size - len(clusters)]
        rest = np.setdiff1d(np.arange(len(clusters)), [s.component for s in chosen])
        halves = [each.halves(clusters) for each in chosen]
        full = Clusters.joined([clusters.among(rest), *halves])
        if len(full) == size:
            found.append(full)
    return found


def _after_split(
    clusters: Clusters, split: ComponentCut, losses: NDArray
) -> list[Clusters]:
    """The clusters with one of them split, and two others merged or one deleted."""
    size = len(clusters)
    rest = np.delete(np.arange(size), split.component)
    apart = Clusters.joined([clusters.among(rest), split.halves(clusters)])
    if len(apart) == size:
        return []
    first, second = np.triu_indices(size + 1, 1)
    some = first < size - 1  # all pairs but that of the halves
    first, second = first[some], second[some]
    found = []
    for pair in in_order(apart.costs(first, second), MERGED):
        a, b = first[pair], second[pair]
        union = apart.unions(np.array([a]), np.array([b]))
        others = np.delete(np.arange(size + 1), [a, b])
        found.append(Clusters.joined([apart.among(others), union]))
    for deleted in in_order(losses[rest], DELETED):
        found.append(apart.among(np.delete(np.arange(size + 1), deleted)))
    return found
