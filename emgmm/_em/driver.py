"""The driver of EM: E-steps over the rows, until all runs have ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from emgmm._data.base import RowSource
from emgmm._estep.estep import expectation
from emgmm._estep.memberships import Memberships

from .result import EMResults
from .state import EMState


class Watch(Protocol):
    """What is called before and after every iteration."""

    def iterating(self) -> None:
        """An iteration begins."""

    def iterated(self, states: Sequence[EMState]) -> None:
        """An iteration of these states ends. May end some of their runs."""


def run_em(
    rows: RowSource,
    states: Sequence[EMState],
    watch: Watch | None = None,
    memberships: Memberships | None = None,
) -> list[EMResults]:
    """The results of EM of all runs (Dempster, Laird & Rubin 1977).

    There is one pass over the rows per iteration, as the E-step that ends it scores the
    mixtures, and one before, unless the states have been scored already.
    """
    unscored = (state for state in states if not state.is_scored)
    _score(rows, [state for state in unscored if len(state.runs)], memberships)
    while live := _going_on(states):
        if watch:
            watch.iterating()
        _score(rows, live, memberships)
        if watch:
            watch.iterated(live)
    return [state.results for state in states]


@np.errstate(all="ignore")
def _going_on(states: Sequence[EMState]) -> list[EMState]:
    """The states that go on, with steps that they propose."""
    return [state for state in states if state.goes_on()]


@np.errstate(all="ignore")
def _score(
    rows: RowSource, states: Sequence[EMState], memberships: Memberships | None
) -> None:
    """Bring the statistics of the rows to the states that have proposed mixtures."""
    if not states:
        return
    stacks = [state.propose() for state in states]
    shares = [state.shares for state in states if state.shares is not None] or None
    found = expectation(rows, stacks, shares, memberships)
    for state, statistics in zip(states, found, strict=True):
        state.accept(statistics)
