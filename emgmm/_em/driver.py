"""The driver of EM: E-steps over the rows, until a run has converged."""

from __future__ import annotations

from emgmm._data.base import RowSource
from emgmm._estep.estep import expectation

from .progress import Progress
from .result import EMResult
from .state import EMState


def run_em(
    rows: RowSource, state: EMState, max_iter: int, progress: Progress
) -> EMResult:
    """The result of at most ``max_iter`` iterations (Dempster, Laird & Rubin 1977).

    There is one pass over the rows per iteration, as the E-step that ends it scores its
    mixture, and one before, unless the state has been scored already.
    """
    if not state.is_scored:
        state.accept(expectation(rows, [state.propose()])[0])
    for _ in range(max_iter):
        proposed = state.propose()
        if state.converged:
            break
        progress.iterating()
        state.accept(expectation(rows, [proposed])[0])
        if progress.iterated(state.result):
            break
    else:
        state.check_convergence()
    return state.final_result
