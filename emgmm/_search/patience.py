"""The patience with runs of a search in which a component has collapsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from emgmm._em.problem import EMProblem
from emgmm._em.state import EMState

COLLAPSED_ITER = 50  # of runs in which a component has collapsed


class Patience:
    """Ends runs in which a component has collapsed, after some iterations: what they
    may still gain is due to chance."""

    def __init__(self, problems: Sequence[EMProblem]) -> None:
        """The runs of each problem that are not to go on for ever."""
        self._problems, self._n_iter = problems, 0

    def iterating(self) -> None:
        """An iteration begins."""

    def iterated(self, states: Sequence[EMState]) -> None:
        """An iteration of these states ends."""
        self._n_iter += 1
        if self._n_iter % COLLAPSED_ITER:
            return
        for state in states:
            problem = replace(self._problems[state.number], mstep=state.mstep)
            state.end(~problem.sound(state.mixtures))
