"""The table of starts of EM.

A new start is a function from rows to labels or responsibilities (or from a problem to
a mixture), and a row of STARTS.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from emgmm._em.problem import EMProblem
from emgmm._em.progress import Progress
from emgmm._model.parameters import Parameters
from emgmm._utils.threads import BLAS

from .default import best_of_clusterings, kmeans_of_standardized
from .kmeans import (
    Clustering,
    RandomResponsibilities,
    kmeans,
    kmeans_from_axes,
    nearest_to_plus_plus,
    nearest_to_random_rows,
    random_responsibilities,
)
from .known import all_agreeing
from .subsample import completed, with_large_subsample

Start = Callable[[EMProblem, int, np.random.RandomState, Progress], Parameters]
"""Problem, n_components, rng, progress -> mixture; LinAlgError where it is singular."""
Further = Callable[
    [EMProblem, int, np.random.RandomState, int],
    list[Parameters | np.linalg.LinAlgError],
]
"""Problem, n_components, rng, number -> so many mixtures, or how they fail."""


class Starts(NamedTuple):
    """The start of the first run of EM, and those of further ones."""

    first: Start
    further: Further


def _from_clustering(
    clustering: Clustering | RandomResponsibilities,
    problem: EMProblem,
    n_components: int,
    rng: np.random.RandomState,
    number: int,
) -> list[Parameters | np.linalg.LinAlgError]:
    """The mixtures of clusterings of all rows, or of a large subsample."""
    with BLAS.single_threaded(), np.errstate(all="ignore"):
        sample = with_large_subsample(problem, n_components)
        rows, known = completed(sample), sample.memberships
        found = clustering.several(rows, n_components, rng, number)
        found = all_agreeing(found, known, rows.weights, n_components)
        return sample.starts(found, n_components)


def _from_one_clustering(
    clustering: Clustering | RandomResponsibilities,
    problem: EMProblem,
    n_components: int,
    rng: np.random.RandomState,
    progress: Progress,
) -> Parameters:
    """The mixture of a clustering. LinAlgError if it is singular."""
    (start,) = _from_clustering(clustering, problem, n_components, rng, 1)
    if isinstance(start, Parameters):
        return start
    raise start


def _clustered(
    first: Clustering | RandomResponsibilities, further: Clustering | None = None
) -> Starts:
    """Starts from a clustering, or from another in further runs."""
    again = partial(_from_clustering, further or first)
    return Starts(partial(_from_one_clustering, first), again)


STARTS: dict[str, Starts] = {
    "split": Starts(best_of_clusterings, kmeans_of_standardized),
    "kmeans": _clustered(kmeans_from_axes, kmeans),
    "k-means++": _clustered(nearest_to_plus_plus),
    "random": _clustered(random_responsibilities),
    "random_from_data": _clustered(nearest_to_random_rows),
}
"""Names of ``init_params``. The first starts of "split" and "kmeans" draw no random
numbers and see only the weighted distribution of the rows: weights mean repetition."""
