"""The default start: the better of split components and of k-means.

Both use a subsample of the rows if there are many, always the same one, and no random
numbers. If there are very many rows, EM goes on with a larger subsample before it
visits all of them. Starts are compared by short runs of EM, as by Biernacki, Celeux &
Govaert 2003 (doi:10.1016/S0167-9473(02)00163-9).
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from emgmm._data.arrays import ArrayBlocks
from emgmm._em.problem import EMProblem
from emgmm._em.progress import Progress
from emgmm._model.parameters import Parameters
from emgmm._utils.threads import BLAS

from .cuts import standardized
from .kmeans import kmeans, kmeans_from_axes
from .race import best_of_race
from .short_runs import mixtures_of, short_run, short_runs
from .split import growth
from .subsample import SPLIT_FAMILIES, completed, with_large_subsample, with_subsample

LAST_ITER = 5  # iterations before the better start is chosen
VERY_MANY = 2**24  # numbers in rows beyond which EM goes on with a larger sample, ...
MORE_ITER = 100  # ... for so many iterations at most


def best_of_split_and_kmeans(
    problem: EMProblem,
    n_components: int,
    rng: np.random.RandomState,
    progress: Progress,
) -> Parameters:
    """The better of split components and of k-means, after some iterations of EM.

    LinAlgError if both are singular.
    """
    many = _not_very_many(problem, n_components)
    with BLAS.single_threaded(), np.errstate(all="ignore"):
        sample = with_subsample(many, n_components)
        if n_components == 1:
            return sample.start(np.zeros(len(sample.sample.X), dtype=np.intp), 1)
        labels = kmeans_from_axes(_standardized(sample), n_components, rng)
        grown = _grown(sample, n_components, progress)
        starts = mixtures_of(sample, [labels, *grown], n_components)
        # A single start has no other to be compared with.
        results = short_runs(sample, starts, LAST_ITER if grown else 0)
        if not results:
            raise np.linalg.LinAlgError("every start is singular")
        best = best_of_race(sample, many, results).mixture
    return best if many is problem else _continued(many, best)


def kmeans_of_standardized(
    problem: EMProblem, n_components: int, rng: np.random.RandomState, number: int
) -> list[Parameters | np.linalg.LinAlgError]:
    """Starts from k-means of standardised features, seeded by k-means++."""
    many = _not_very_many(problem, n_components)
    with BLAS.single_threaded(), np.errstate(all="ignore"):
        sample = with_subsample(many, n_components)
        rows = _standardized(sample)
        found = kmeans.several(rows, n_components, rng, number)
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


def _standardized(problem: EMProblem) -> ArrayBlocks:
    """The rows, completed, with standardised features."""
    return standardized(completed(problem), problem.mstep.scale.rounding)


def _grown(problem: EMProblem, n_components: int, progress: Progress) -> list[NDArray]:
    """Responsibilities (n, K) of components that were split; none if none can be."""
    free = problem.with_family(SPLIT_FAMILIES[problem.family.storage])
    with suppress(np.linalg.LinAlgError):
        *_, responsibilities = growth(free, n_components, progress)
        return [responsibilities]
    return []
