"""Starts that all models of a search begin from."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from emgmm._em.problem import EMProblem
from emgmm._init.kmeans import kmeans_of_all_sizes
from emgmm._init.split import growth
from emgmm._init.subsample import rows_to_cluster
from emgmm._model.families import MODELS


def common_starts(
    problem: EMProblem, numbers: list[int], names: list[str]
) -> dict[int, list[NDArray]]:
    """Lists of labels or responsibilities, by their numbers of components.

    Components split one after the other, by models of such names; k-means of
    standardised features, and, where matrices are compared, of whitened rows.
    """
    starts: dict[int, list[NDArray]]
    several = [number for number in numbers if number > 1]
    starts = {number: [] for number in several}
    starts[1] = [np.zeros(len(problem.sample.X), dtype=np.intp)]
    for name in names:
        with suppress(np.linalg.LinAlgError):
            grown = growth(problem.with_family(MODELS[name]), max(numbers))
            for number, responsibilities in enumerate(grown, start=2):
                if number in several:
                    starts[number].append(responsibilities.copy())
    with suppress(np.linalg.LinAlgError):
        for rows in rows_to_cluster(problem, "VVV" in names):
            clustered = kmeans_of_all_sizes(rows, max(numbers))
            for number, labels in enumerate(clustered, start=1):
                if number in several:
                    starts[number].append(labels)
    return starts
