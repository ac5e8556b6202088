"""Starts that models share: the same labels, as the statistics that each needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._em.problem import EMProblem
from emgmm._estep.estep import statistics_of_start
from emgmm._estep.statistics import Statistics
from emgmm._model.moment_kinds import MomentKind
from emgmm._model.parameters import Parameters, are_near

StatisticsKind = tuple[bool, MomentKind]
"""Whether rows are in units of each feature, and the kind of second moments."""


class CommonStart(NamedTuple):
    """Statistics of all kinds to begin from, and a mixture with axes near to theirs."""

    statistics: dict[StatisticsKind, Statistics]
    near: Parameters | None


def statistics_kind(problem: EMProblem) -> StatisticsKind:
    """The kind of statistics that a problem needs."""
    return problem.family.scale_equivariant, problem.family.storage.moment_kind


def statistics_of_all_kinds(
    problems: Iterable[EMProblem], assignment: NDArray, n_components: int
) -> dict[StatisticsKind, Statistics]:
    """Statistics of labels or responsibilities, for all problems."""
    rows = {statistics_kind(problem): problem.rows for problem in problems}
    return {
        kind: statistics_of_start(blocks, assignment, n_components, kind[1])
        for kind, blocks in rows.items()
    }


def begin_all(
    problem: EMProblem, starts: Iterable[CommonStart]
) -> Iterator[Parameters]:
    """The mixtures of the starts, but for those that are singular."""
    kind = statistics_kind(problem)
    for start in starts:
        near = start.near and start.near.in_units(problem.units)
        with suppress(np.linalg.LinAlgError):
            yield problem.begin(start.statistics[kind], near)


def distinct_from(
    own: CommonStart | None, ends: Iterable[CommonStart | None]
) -> list[CommonStart]:
    """Starts that are not near one's own, nor near each other."""
    seen = [own.near] if own and own.near else []
    chosen = []
    for end in ends:
        if end and end.near and not any(are_near(end.near, other) for other in seen):
            chosen.append(end)
            seen.append(end.near)
    return chosen
