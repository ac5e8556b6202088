"""A race among runs of the same candidate: those that fall behind end early."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .state import EMState

HOPE = 5.0  # factor of its last gain that a run may still be expected to gain


class Race:
    """Ends runs that are behind another of their candidate by more than they may gain.

    ``candidates`` are numbers (B,) of those of each stack, the same for the same one.
    All are also behind where they will not exceed the bound ``least``. If ``sound`` is
    not None, it says which mixtures (B,) of a state have no component that has
    collapsed, and the others do not lead.
    """

    def __init__(
        self,
        candidates: Sequence[NDArray],
        least: float = -np.inf,
        sound: Callable[[EMState], NDArray] | None = None,
    ) -> None:
        """A race that has not begun."""
        self._lanes = [np.unique(each, return_inverse=True)[1] for each in candidates]
        self._bounds = [np.full(len(each), -np.inf) for each in candidates]
        self._leading = [
            np.full(lanes.max(initial=-1) + 1, least) for lanes in self._lanes
        ]
        self._sound = sound

    def iterating(self) -> None:
        """An iteration begins."""

    def iterated(self, states: Sequence[EMState]) -> None:
        """An iteration of these states ends."""
        for state in states:
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
            state.end(hopes < leading[lanes])
