"""Starts that all models of a search begin from."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from emgmm._data.arrays import ArrayBlocks
from emgmm._em.problem import EMProblem
from emgmm._init.clutter import clean_rows
from emgmm._init.kmeans import kmeans_of_all_sizes
from emgmm._init.known import all_agreeing
from emgmm._init.split import growth
from emgmm._init.subsample import rows_to_cluster
from emgmm._model.families import MODELS


def common_starts(
    problem: EMProblem, numbers: list[int], names: list[str]
) -> dict[int, list[NDArray]]:
    """Lists of labels or responsibilities, by their numbers of components.

    Components split one after the other, by models of such names; k-means of
    standardised features, and, where matrices are compared, of whitened rows. With
    noise the same without clutter too; and all agree with what is known of the rows.
    """
    free, weights = problem.with_family(problem.family), problem.sample.weights
    sets: list[ArrayBlocks] = []
    with suppress(np.linalg.LinAlgError):
        sets = rows_to_cluster(free, "VVV" in names)
    starts = _starts_of(free, sets, numbers, names)
    if problem.mstep.noise and sets and (clean := clean_rows(sets, 2 * max(numbers))):
        rows = free.sample.take(clean.rows, weights[clean.rows])
        found = _starts_of(free.with_rows(rows), clean.sets, numbers, names)
        for number, each in found.items():
            starts[number] += [clean.spread(assignment) for assignment in each]
    if (known := problem.memberships) is not None:
        starts = {
            number: all_agreeing(each, known, weights, number)
            for number, each in starts.items()
            if number in numbers
        }
    return starts


def _starts_of(
    problem: EMProblem, sets: list[ArrayBlocks], numbers: list[int], names: list[str]
) -> dict[int, list[NDArray]]:
    """The same of all rows, which have nothing known of them, and no noise."""
    several = [number for number in numbers if number > 1]
    starts: dict[int, list[NDArray]] = {number: [] for number in several}
    starts[1] = [np.zeros(len(problem.sample.X), dtype=np.intp)]
    for name in names:
        with suppress(np.linalg.LinAlgError):
            grown = growth(problem.with_family(MODELS[name]), max(numbers))
            for number, responsibilities in enumerate(grown, start=2):
                if number in several:
                    starts[number].append(responsibilities.copy())
    for rows in sets:
        clustered = kmeans_of_all_sizes(rows, max(numbers))
        for number, labels in enumerate(clustered, start=1):
            if number in several:
                starts[number].append(labels)
    return starts
