"""A race among runs of the same candidate: those that fall behind end early."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.ties import in_order

from .state import EMState

HOPE = 5.0  # factor of its last gain that a run may still be expected to gain


class Race:
    """Ends runs that are behind another of their candidate by more than they may gain.

    ``candidates`` are numbers (B,) of those of each stack, the same for the same one.
    All are also behind where they will not exceed the bound ``least``. If ``sound`` is
    not None, it says which mixtures (B,) of a state have no component that has
    collapsed, and the others do not lead. In the first ``n_free`` iterations no run
    ends for being behind; but after as many as ``kept`` names, only so many of each
    stack go on: of those that are sound the best. Runs that are behind by less than
    ``margin`` are as good as those that lead.
    """

    def __init__(
        self,
        candidates: Sequence[NDArray],
        least: float = -np.inf,
        sound: Callable[[EMState], NDArray] | None = None,
        n_free: int = 0,
        kept: Mapping[int, int] | None = None,
        margin: float = 0.0,
    ) -> None:
        """A race that has not begun."""
        self._lanes = [np.unique(each, return_inverse=True)[1] for each in candidates]
        self._bounds = [np.full(len(each), -np.inf) for each in candidates]
        self._leading = [
            np.full(lanes.max(initial=-1) + 1, least) for lanes in self._lanes
        ]
        self._sound, self._n_free, self._kept = sound, n_free, kept or {}
        self._margin, self._n_iter = margin, 0

    def iterating(self) -> None:
        """An iteration begins."""
        self._n_iter += 1

    def iterated(self, states: Sequence[EMState]) -> None:
        """An iteration of these states ends."""
        for state in states:
            if self._n_iter > self._n_free:
                self._end_hopeless(state)
                continue
            self._bounds[state.number][state.runs] = state.lower_bounds
            if self._n_iter in self._kept:
                self._end_all_but(state, self._kept[self._n_iter])

    def _end_hopeless(self, state: EMState) -> None:
        """End the runs of a state that are too far behind."""
        bounds, runs = self._bounds[state.number], state.runs
        reached = state.lower_bounds
        hopes = reached + HOPE * (reached - bounds[runs])
        bounds[runs] = reached
        lanes = self._lanes[state.number][runs]
        leading = self._leading[state.number]
        ahead = reached > leading[lanes]
        if self._sound and ahead.any():
            ahead &= self._sound(state)
        np.maximum.at(leading, lanes[ahead], reached[ahead])
        state.end(hopes < leading[lanes] - self._margin)

    def _end_all_but(self, state: EMState, kept: int) -> None:
        """End all runs of a state but the best, and those that are not sound."""
        sound = self._sound(state) if self._sound else np.ones(len(state.runs), bool)
        bounds = np.where(sound & state.running, state.lower_bounds, -np.inf)
        ends = np.ones(len(bounds), dtype=bool)
        ends[in_order(-bounds, kept)] = False
        state.end(ends)
