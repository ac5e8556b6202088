"""Short runs of EM, by which starts are found and compared."""

from __future__ import annotations

from numpy.typing import NDArray

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
