"""The default start: the best of several clusterings, after EM and some moves.

k-means of standardised and of whitened rows, and small clusters that are merged, are
run to their maxima in lockstep. Unless two have met at the best one, components are
moved as long as that raises the likelihood. All of that uses a subsample of the rows
if there are many, always the same one, and no random numbers. If there are very many
rows, EM goes on with a larger subsample before it visits all of them. Starts are
compared by runs of EM, as by Biernacki, Celeux & Govaert 2003
(doi:10.1016/S0167-9473(02)00163-9).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from emgmm._data.arrays import ArrayBlocks
from emgmm._em.problem import EMProblem
from emgmm._em.progress import Progress
from emgmm._estep.estep import statistics_of_starts
from emgmm._estep.memberships import Memberships
from emgmm._estep.statistics import Statistics
from emgmm._model.linalg import WIDE
from emgmm._model.moment_kinds import MomentKind, of_components
from emgmm._model.parameters import Parameters
from emgmm._utils.threads import BLAS

from .clusters import Clusters
from .clutter import clean_rows
from .kmeans import kmeans, lloyd
from .known import all_agreeing, constrained_kmeans, of_known_rows
from .moves import moved
from .principal_axes import growing_centers
from .race import RACE_TOL, race
from .short_runs import short_run
from .split import part_of
from .spread_rows import spread_rows
from .subsample import (
    SPLIT_FAMILIES,
    rows_to_cluster,
    with_large_subsample,
    with_subsample,
)

SMALLER = 4  # clusters for each component, before they are merged, ...
MOST_SMALLER, PAIRS_NUMBERS = 512, 2**24  # ... at most; and numbers in all their pairs
# Sets of rows that seed k-means, of standardised and, if there are any, whitened rows.
SPREAD = {1: (2,), 2: (1, 0)}
ROUGH_TOL = 1e-2  # of k-means, after which EM goes on
ENOUGH_RUNS = 2  # that have met, so that no move is tried
VERY_MANY = 2**24  # numbers in rows beyond which EM goes on with a larger sample, ...
MORE_ITER = 100  # ... for so many iterations at most


def best_of_clusterings(
    problem: EMProblem,
    n_components: int,
    rng: np.random.RandomState,
    progress: Progress,
) -> Parameters:
    """The best of several clusterings, after EM and moves of components.

    LinAlgError if all are singular.
    """
    many = _not_very_many(problem, n_components)
    with BLAS.single_threaded(), np.errstate(all="ignore"):
        sample = with_subsample(many, n_components)
        if n_components == 1 and not problem.mstep.noise:
            return sample.start(np.zeros(len(sample.sample.X), dtype=np.intp), 1)
        outcome = race(sample, _clustered(sample, n_components), many)
        best = outcome.best
        progress.improved(best)
        if outcome.number < ENOUGH_RUNS:
            tol = max(problem.options.tol, RACE_TOL)
            best = moved(sample, best, tol, progress)
    start = best.mixture
    return start if many is problem else _continued(many, start)


def _clustered(problem: EMProblem, n_components: int) -> Parameters:
    """The mixtures of several clusterings. LinAlgError if all are singular."""
    storage = problem.family.storage
    kind = of_components(storage.moment_kind)
    known = problem.memberships
    smaller = 0 if known else _number_of_smaller(problem, n_components, kind)
    sets = rows_to_cluster(problem, not kind.of_squares)
    labels, sizes = _of_sets(sets, n_components, smaller)
    if problem.mstep.noise:
        clean = clean_rows(sets, max(2 * n_components, smaller))
        found, counts = (
            _of_sets(clean.sets, n_components, smaller) if clean else ([], [])
        )
        labels += [clean.spread(each) for each in found] if clean else []
        sizes += counts
    if n_components == 2:
        free = problem.with_family(SPLIT_FAMILIES[storage])
        whole = part_of(free, np.ones(len(problem.sample.X)))
        labels += [cut.labels for cut in whole.cuts] if whole else []
    if known:
        needed = 2 * problem.family.rows_needed(len(problem.units))
        labels = _agreeing(labels, known, sets[0], n_components, needed)
    sizes += [n_components] * (len(labels) - len(sizes))
    (statistics,) = statistics_of_starts(problem.rows, labels, sizes, [kind])
    statistics = _merged(statistics, n_components, problem.n_rows)
    mixtures, failed = problem.mstep.estimate(statistics.of_kind(storage.moment_kind))
    if failed.all():
        raise np.linalg.LinAlgError("every start is singular")
    return mixtures.take(np.flatnonzero(~failed))


def _of_sets(
    sets: Sequence[ArrayBlocks], n_components: int, smaller: int
) -> tuple[list[NDArray], list[int]]:
    """Labels of k-means of the same rows, standardised and whitened, and of smaller
    clusters, if there are to be any; and how many each has."""
    labels: list[NDArray] = []
    sizes: list[int] = []
    for number, own in enumerate(sets, start=1):
        last = number == len(sets)
        n_spread = SPREAD[len(sets)][number - 1]
        found, counts = _kmeans(own, n_components, n_spread, smaller if last else 0)
        labels, sizes = labels + found, sizes + counts
    return labels, sizes


def _agreeing(
    labels: Sequence[NDArray],
    known: Memberships,
    rows: ArrayBlocks,
    n_components: int,
    needed: int,
) -> list[NDArray]:
    """The clusterings as they agree with what is known of the rows, that of constrained
    k-means, and the rows alone of which something is known, if every component has as
    many as are ``needed``."""
    found = all_agreeing(labels, known, rows.weights, n_components)
    found.append(constrained_kmeans(rows, known, found, n_components))
    alone = of_known_rows(known, n_components)
    if (alone.sum(axis=0) >= needed).all():
        found.append(np.asfortranarray(alone))
    return found


def _number_of_smaller(problem: EMProblem, n_components: int, kind: MomentKind) -> int:
    """How many clusters are to be merged; zero if there are to be none, because rows
    are too few or pairs of clusters too many."""
    n_features = len(problem.units)
    extent = kind.moments_shape(n_features)
    rows = int(min(problem.n_rows, 2**31)) // (2 * extent[0])
    pairs = int((2 * PAIRS_NUMBERS / (extent[0] * extent[1])) ** 0.5)
    number = min(SMALLER * n_components, MOST_SMALLER, rows, pairs)
    return number if n_components < number and n_features <= WIDE else 0


def _kmeans(
    rows: ArrayBlocks, n_components: int, n_spread: int, smaller: int
) -> tuple[list[NDArray], list[int]]:
    """Labels of k-means, seeded along axes and by rows that are spread, and of smaller
    clusters, if there are to be any; and how many each has."""
    growing = list(growing_centers(rows, max(n_components, smaller)))
    centers = [growing[n_components - 1]]
    if n_spread and rows.summary.n_features <= WIDE:
        centers += spread_rows(rows, n_components, n_spread)
    if smaller:
        centers.append(growing[-1])
    return list(lloyd(rows, centers, ROUGH_TOL).T), [len(each) for each in centers]


def _merged(statistics: Statistics, n_components: int, n_rows: float) -> Statistics:
    """The statistics with the clusters of each mixture merged until they are so many;
    without those of which there are too few."""
    sizes = statistics.segments.sizes
    parts = [statistics.take(sizes == n_components)]
    for number in np.flatnonzero(sizes > n_components):
        clusters = Clusters.of(statistics.take(np.array([number])), n_rows)
        if len(clusters) >= n_components:
            merged = clusters.agglomerated(n_components)
            parts.append(merged.statistics([n_components]))
    return Statistics.joined(parts)


def kmeans_of_standardized(
    problem: EMProblem, n_components: int, rng: np.random.RandomState, number: int
) -> list[Parameters | np.linalg.LinAlgError]:
    """Starts from k-means of standardised features, seeded by k-means++."""
    many = _not_very_many(problem, n_components)
    with BLAS.single_threaded(), np.errstate(all="ignore"):
        sample = with_subsample(many, n_components)
        (rows,) = rows_to_cluster(sample, of_matrices=False)
        found, known = (
            kmeans.several(rows, n_components, rng, number),
            sample.memberships,
        )
        found = all_agreeing(found, known, rows.weights, n_components)
        starts = sample.starts(found, n_components)
    if many is problem:
        return starts
    return [
        _continued(many, each) if isinstance(each, Parameters) else each
        for each in starts
    ]


def _not_very_many(problem: EMProblem, n_components: int) -> EMProblem:
    """The problem itself, or with a large subsample of very many rows."""
    rows = problem.rows.summary
    if rows.n_weighted * rows.n_features <= VERY_MANY:
        return problem
    return with_large_subsample(problem, n_components)


def _continued(problem: EMProblem, start: Parameters) -> Parameters:
    """The mixture after some iterations, or the start if a component collapses."""
    with suppress(np.linalg.LinAlgError):
        reached = short_run(problem, start, MORE_ITER, problem.options.tol).mixture
        if not problem.degenerate(reached).any():
            return reached
    return start
