"""The driver of EM: passes over the rows, until a run has converged."""

from __future__ import annotations

from emgmm._data.base import RowSource
from emgmm._estep.estep import expectation

from .progress import Progress
from .result import EMResult
from .state import EMState


def run_em(
    rows: RowSource, state: EMState, max_iter: int, progress: Progress
) -> EMResult:
    """Where EM comes to within so many iterations (Dempster, Laird & Rubin 1977).

    One pass over the rows per iteration, and one to begin with unless the state knows
    its outcome: the E-step that ends an iteration scores its mixture.
    """
    if not state.is_scored:
        state.accept(expectation(rows, state.propose()))
    for _ in range(max_iter):
        proposed = state.propose()
        if state.converged:
            return state.result
        progress.iterating()
        state.accept(expectation(rows, proposed))
        if progress.iterated(state.result):
            return state.result
    return state.conclude()
