"""Short runs of EM, by which starts are found and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial

import numpy as np
from numpy.typing import NDArray

from emgmm._em.problem import EMProblem
from emgmm._em.progress import Progress
from emgmm._em.result import EMResult
from emgmm._model.parameters import Parameters

Run = Callable[[], EMResult]


def short_run(
    problem: EMProblem, start: Parameters, n_iter: int, tol: float = 0.0
) -> EMResult:
    """The result of some iterations of EM from a mixture."""
    short = problem.with_options(max_iter=n_iter, tol=tol)
    return short.run(start, Progress(0, 1))


def run_from(
    problem: EMProblem, assignment: NDArray, n_components: int, n_iter: int
) -> EMResult:
    """The result of some iterations of EM from labels or responsibilities."""
    return short_run(problem, problem.start(assignment, n_components), n_iter)


def short_runs(
    problem: EMProblem, starts: Iterable[Parameters], n_iter: int, tol: float = 0.0
) -> list[EMResult]:
    """Results of some iterations of EM from each mixture that is not singular."""
    return [
        *succeeding(partial(short_run, problem, each, n_iter, tol) for each in starts)
    ]


def succeeding(runs: Iterable[Run]) -> Iterator[EMResult]:
    """Results of the runs that do not become singular."""
    for run in runs:
        with suppress(np.linalg.LinAlgError):
            yield run()
