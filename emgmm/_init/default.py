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

from emgmm._em.problem import EMProblem
from emgmm._em.progress import Progress
from emgmm._model.parameters import Parameters
from emgmm._utils.threads import BLAS

from .cuts import standardized
from .kmeans import Clustering, kmeans, kmeans_from_axes
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
    """The better of split components and of k-means, after some iterations of EM."""
    return _best(problem, n_components, rng, kmeans_from_axes, progress)


def kmeans_of_standardized(
    problem: EMProblem,
    n_components: int,
    rng: np.random.RandomState,
    progress: Progress,
) -> Parameters:
    """A start from k-means of standardised features, seeded by k-means++."""
    return _best(problem, n_components, rng, kmeans, None)


def _best(
    problem: EMProblem,
    n_components: int,
    rng: np.random.RandomState,
    clustering: Clustering,
    growing: Progress | None,
) -> Parameters:
    """The better of a clustering of standardised features and of split components.

    Components are split only if there is a ``growing``, which their progress goes to.
    """
    rows = problem.rows.summary
    if rows.n_weighted * rows.n_features <= VERY_MANY:
        return _best_of_sample(problem, n_components, rng, clustering, growing)
    many = with_large_subsample(problem, n_components)
    start = _best_of_sample(many, n_components, rng, clustering, growing)
    return _continued(many, start)


def _continued(problem: EMProblem, start: Parameters) -> Parameters:
    """The mixture after some iterations, or the start if a component collapses."""
    with suppress(np.linalg.LinAlgError):
        reached = short_run(problem, start, MORE_ITER, problem.options.tol).mixture
        if not problem.degenerate(reached).any():
            return reached
    return start


def _best_of_sample(
    problem: EMProblem,
    n_components: int,
    rng: np.random.RandomState,
    clustering: Clustering,
    growing: Progress | None,
) -> Parameters:
    """The best start on a subsample. LinAlgError if all starts are singular."""
    with BLAS.single_threaded(), np.errstate(all="ignore"):
        sample = with_subsample(problem, n_components)
        if n_components == 1:
            return sample.start(np.zeros(len(sample.sample.X), dtype=np.intp), 1)
        rows = standardized(completed(sample), problem.mstep.scale.rounding)
        labels = clustering(rows, n_components, rng)
        grown = _grown(sample, n_components, growing) if growing else []
        # A single start has no other to be compared with.
        n_iter = LAST_ITER if grown or not growing else 0
        starts = mixtures_of(sample, [labels, *grown], n_components)
        results = short_runs(sample, starts, n_iter)
        if not results:
            raise np.linalg.LinAlgError("every start is singular")
        return best_of_race(sample, problem, results).mixture


def _grown(problem: EMProblem, n_components: int, progress: Progress) -> list[NDArray]:
    """Responsibilities (n, K) of components that were split; none if none can be."""
    free = problem.with_family(SPLIT_FAMILIES[problem.family.storage])
    with suppress(np.linalg.LinAlgError):
        *_, responsibilities = growth(free, n_components, progress)
        return [responsibilities]
    return []
