"""A race among runs of the same candidate: those that fall behind end early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emgmm._em.problem import EMProblem
from emgmm._em.state import EMState

COLLAPSED_ITER = 50  # of runs in which a component has collapsed
HOPE = 5.0  # factor of its last gain that a run may still be expected to gain


class Race:
    """Ends runs that are behind another of their candidate by more than they may gain.

    ``candidates`` are numbers (B,) of those of each stack, the same for the same one.
    """

    def __init__(self, candidates: Sequence[NDArray]) -> None:
        """A race that has not begun."""
        self._lanes = [np.unique(each, return_inverse=True)[1] for each in candidates]
        self._bounds = [np.full(len(each), -np.inf) for each in candidates]

    def iterating(self) -> None:
        """An iteration begins."""

    def iterated(self, states: Sequence[EMState]) -> None:
        """An iteration of these states ends."""
        for state in states:
            lanes, bounds = self._lanes[state.number], self._bounds[state.number]
            reached, runs = state.lower_bounds, state.runs
            gains = reached - bounds[runs]
            bounds[runs] = reached
            leading = np.full(lanes.max() + 1, -np.inf)
            np.maximum.at(leading, lanes, bounds)
            state.end(reached + HOPE * gains < leading[lanes[runs]])


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
