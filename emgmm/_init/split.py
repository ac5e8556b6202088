"""The default start: components split where that raises the likelihood most.

From one component to as many as asked: the next to be split is the one whose rows are
described best by two instead. Beside that a k-means of standardised features; after
some iterations of EM the better of the two goes on. All of it on a sample of the rows
where there are many, always the same one, and without random numbers otherwise. Where
they are very many, EM goes on with a larger sample before it visits all of them.

Verbeek, Vlassis & Krose 2003 (doi:10.1162/089976603762553004) add components one by
one, too; Biernacki, Celeux & Govaert 2003 (doi:10.1016/S0167-9473(02)00163-9) compare
starts by short runs of EM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._data.arrays import ArrayBlocks
from emgmm._em.problem import EMProblem
from emgmm._em.progress import Progress
from emgmm._em.result import EMResult
from emgmm._estep.predict import responsibilities_of
from emgmm._model.families import MODELS
from emgmm._model.parameters import Parameters
from emgmm._utils.threads import BLAS
from emgmm._utils.ties import first_of_greatest

from .cuts import halves, standardized, whitened
from .kmeans import Start, kmeans, kmeans_from_axes
from .race import best_of_race
from .subsample import FREE, _short_run, completed, large_subsample, subsample

MEMBER = 1e-2  # least responsibility of rows that a split of a component looks at
SPLIT_ITER = 4  # iterations of EM with two components
SHARE_AT_ONCE = 4  # of so many components one is split in a round, one at least
CHEAP = 2**26  # rows times squared components up to which one is split at a time
COMPARABLE = 0.5  # share of the greatest gain of those that are split at once
GROW_ITER = 3  # iterations with all components after each split
LAST_ITER = 5  # iterations before the better start is chosen
VERY_MANY = 2**24  # numbers in rows beyond which EM goes on with a larger sample, ...
MORE_ITER = 100  # ... for so many iterations at most
EQUAL_GAINS = 1e-6  # share of a gain within which the first split is as good


def split(
    problem: EMProblem,
    n_components: int,
    rng: np.random.RandomState,
    progress: Progress,
) -> Parameters:
    """The better, after some iterations of EM, of splitting and of k-means."""
    grown = partial(_grown, progress=progress)
    return _best(problem, n_components, rng, kmeans_from_axes, grown)


def split_again(
    problem: EMProblem,
    n_components: int,
    rng: np.random.RandomState,
    progress: Progress,
) -> Parameters:
    """Another start: from k-means of standardised features, seeded by k-means++."""
    return _best(problem, n_components, rng, kmeans)


Run = Callable[[EMProblem, int], EMResult]


def _best(
    problem: EMProblem,
    n_components: int,
    rng: np.random.RandomState,
    clustering: Start,
    *others: Run,
) -> Parameters:
    """The best start of a clustering of standardised features and of others."""
    blocks = problem.rows
    if blocks.summary.n_weighted * blocks.summary.n_features <= VERY_MANY:
        return _best_of_sample(problem, n_components, rng, clustering, *others)
    many = problem.of(large_subsample(blocks, n_components))
    start = _best_of_sample(many, n_components, rng, clustering, *others)
    return _gone_on(many, start)


def _gone_on(problem: EMProblem, start: Parameters) -> Parameters:
    """Where EM leads to, unless a component loses its width there."""
    options = replace(problem.options, max_iter=MORE_ITER)
    with suppress(np.linalg.LinAlgError):
        problem = replace(problem, options=options)
        reached = problem.run(start, Progress(0, 1)).mixture
        if not problem.degenerate(reached).any():
            return reached
    return start


def _best_of_sample(
    problem: EMProblem,
    n_components: int,
    rng: np.random.RandomState,
    clustering: Start,
    *others: Run,
) -> Parameters:
    with BLAS.held(), np.errstate(all="ignore"):
        sample = problem.of(subsample(problem.rows, n_components))
        if n_components == 1:
            return sample.start(
                np.zeros(sample.rows.summary.n_samples, dtype=np.intp), 1
            )
        rows = standardized(completed(sample), problem.mstep.scale.rounding)
        labels = clustering(rows, n_components, rng)
        grown = [*_succeeding(others, sample, n_components)]
        # Alone, a start has nothing to be compared with.
        n_iter = LAST_ITER if grown or not others else 0
        clustered = partial(_clustered, labels, n_iter=n_iter)
        results = [*_succeeding([clustered], sample, n_components), *grown]
        if not results:
            raise np.linalg.LinAlgError("every start is singular")
        return best_of_race(sample, problem, results).mixture


def _succeeding(
    runs: Iterable[Run], problem: EMProblem, n_components: int
) -> Iterator[EMResult]:
    """Results of those that are not singular."""
    for run in runs:
        with suppress(np.linalg.LinAlgError):
            yield run(problem, n_components)


def _clustered(
    labels: NDArray, problem: EMProblem, n_components: int, n_iter: int
) -> EMResult:
    """Components that begin as clusters."""
    return _short_run(problem, labels, n_components, n_iter)


class Split(NamedTuple):
    """What a component gains in log-likelihood by a split, and the new one's share."""

    component: int
    gain: float
    share: NDArray


def _grown(problem: EMProblem, n_components: int, progress: Progress) -> EMResult:
    """Components split one after the other; LinAlgError if none can be."""
    free = problem.of_family(FREE[problem.family.storage])
    *_, responsibilities = growth(free, n_components, progress)
    return _short_run(problem, responsibilities, n_components, LAST_ITER)


def growth(
    problem: EMProblem, n_components: int, progress: Progress | None = None
) -> Iterator[NDArray]:
    """Responsibilities of 2 components, 3, ..., each until the next is asked for;
    LinAlgError if none can be split.

    One is split in each round where that is cheap, and else a share of them, so that
    all rounds together cost about as much as a fixed number of iterations with all.
    """
    shape = (problem.rows.summary.n_samples, n_components)
    responsibilities = np.zeros(shape, order="F")
    responsibilities[:, 0] = 1.0
    splits: dict[int, Split] = {}
    at_once = problem.rows.summary.n_samples * n_components**2 > CHEAP
    size = 1
    while size < n_components:
        # Only the parts of what was split last are new; others have hardly changed.
        for k in set(range(size)).difference(splits):
            splits[k] = _best_split(problem, k, responsibilities[:, k])
        most = max(size // SHARE_AT_ONCE, 1) if at_once else 1
        chosen = _chosen(splits, min(most, n_components - size))
        if not chosen:
            raise np.linalg.LinAlgError("no component has enough rows to be split")
        for split in chosen:
            part = split.share * responsibilities[:, split.component]
            responsibilities[:, split.component] -= part
            responsibilities[:, size] = part
            size += 1
            yield responsibilities[:, :size]
        if size < n_components:
            grown = _short_run(problem, responsibilities[:, :size], size, GROW_ITER)
            if progress:
                progress.grown(grown, n_components)
            found = responsibilities_of(problem.sample, grown.mixture)
            responsibilities[:, :size] = found


def _chosen(splits: dict[int, Split], most: int) -> list[Split]:
    """The best splits, at most so many, which are taken out; of further ones those
    that gain about as much as the first: others may halve what is one cluster."""
    chosen: list[Split] = []
    while splits and len(chosen) < most:
        candidates = [splits[k] for k in sorted(splits)]
        gains = [split.gain for split in candidates]
        best = candidates[first_of_greatest(gains, EQUAL_GAINS)]
        least = COMPARABLE * chosen[0].gain if chosen else -np.inf
        if not best.gain > least:
            break
        chosen.append(splits.pop(best.component))
    return chosen


def _best_split(problem: EMProblem, component: int, responsibilities: NDArray) -> Split:
    """The best of some splits in two; no gain where there are too few rows."""
    X, weights = problem.sample.X, problem.sample.weights * responsibilities
    members = np.flatnonzero(responsibilities > MEMBER)
    share = np.full(len(X), 0.5)
    best = Split(component, -np.inf, share)
    if len(members) < 2 * (X.shape[1] + 1):
        return best
    rows = problem.sample.take(members, weights[members])
    options = replace(problem.options, accelerated=False)
    part = replace(problem.of(rows), options=options)
    alone = _short_run(part, np.zeros(len(members), dtype=np.intp), 1, 0)
    rounding = part.mstep.scale.rounding
    for labels in halves(
        completed(part), rounding, problem.family.storage.moment_kind.of_squares
    ):
        with suppress(np.linalg.LinAlgError):
            result = _short_run(part, labels, 2, SPLIT_ITER)
            gain = rows.summary.weight * (result.lower_bound - alone.lower_bound)
            better = first_of_greatest([best.gain, gain], EQUAL_GAINS) == 1
            if better and not part.defects(result.mixture).components:
                share = share.copy()
                share[members] = responsibilities_of(rows, result.mixture)[:, 1]
                best = Split(component, gain, share)
    return best


def common_starts(
    reference_model: EMProblem, n_components: int, names: list[str]
) -> dict[int, list[NDArray]]:
    """Labels or responsibilities, for up to so many components.

    Components split, as models of such names; k-means of standardised features, and,
    where matrices are compared, of rows at covariance I.
    """
    starts: dict[int, list[NDArray]]
    starts = {size: [] for size in range(2, n_components + 1)}
    starts[1] = [np.zeros(reference_model.rows.summary.n_samples, dtype=np.intp)]
    for name in names:
        with suppress(np.linalg.LinAlgError):
            grown = growth(reference_model.of_family(MODELS[name]), n_components)
            for size, responsibilities in enumerate(grown, start=2):
                starts[size].append(responsibilities.copy())
    with suppress(np.linalg.LinAlgError):
        for view in _views_to_cluster(reference_model, "VVV" in names):
            for size in range(2, n_components + 1):
                labels = kmeans_from_axes(view, size, np.random.RandomState(0))
                starts[size].append(labels)
    return starts


def _views_to_cluster(problem: EMProblem, of_matrices: bool) -> list[ArrayBlocks]:
    """Rows with standardised features, and at covariance I."""
    rows, rounding = completed(problem), problem.mstep.scale.rounding
    views = [standardized(rows, rounding)]
    # Few rows at covariance I are all as far from each other: rounding would choose.
    if of_matrices and rows.X.shape[1] > 1:
        # There all axes are principal: the first to be cut across is the rows'.
        white = whitened(rows, rounding)[1][:, ::-1]
        if white.shape == rows.X.shape:
            views.append(ArrayBlocks(white, rows.sample_weight))
    return views
