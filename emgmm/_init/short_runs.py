"""Short runs of EM, by which starts are found and compared."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from emgmm._em.lockstep import run_in_lockstep
from emgmm._em.problem import EMProblem
from emgmm._em.progress import Progress
from emgmm._em.result import EMResult
from emgmm._model.parameters import Parameters


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
    """Results of some iterations of EM from each mixture, but for those that become
    singular; one pass over the rows serves all."""
    mixtures = list(starts)
    if not mixtures:
        return []
    short = problem.with_options(max_iter=n_iter, tol=tol)
    (results,) = run_in_lockstep([short], [Parameters.joined(mixtures)])
    return [results.result(run) for run in np.flatnonzero(~results.failed).tolist()]


def mixtures_of(
    problem: EMProblem, assignments: Iterable[NDArray], n_components: int
) -> list[Parameters]:
    """The mixtures of labels or responsibilities, but for those that are singular."""
    wanted = list(assignments)
    made = problem.starts(wanted, n_components) if wanted else []
    return [each for each in made if isinstance(each, Parameters)]
