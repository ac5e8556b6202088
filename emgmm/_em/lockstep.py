"""Runs of EM in lockstep: one pass over the rows serves them all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emgmm._estep.own_rows import expectation_of_own_rows
from emgmm._model.parameters import Parameters
from emgmm._utils.threads import BLAS

from .driver import Watch, run_em
from .problem import EMProblem
from .result import EMResults
from .state import EMState


def run_in_lockstep(
    problems: Sequence[EMProblem],
    starts: Sequence[Parameters],
    shares: Sequence[NDArray] | None = None,
    watch: Watch | None = None,
) -> list[EMResults]:
    """The results of EM for each problem, from all the mixtures of its stack.

    The problems have the same rows and memberships. Where there are ``shares``, mixture
    b of a problem sees the rows with their weights times column b of its shares (n, B).
    ``watch`` may end runs early.
    """
    states = [
        EMState(start, problem.mstep, problem.options, problem.in_float32)
        for problem, start in zip(problems, starts, strict=True)
    ]
    for number, state in enumerate(states):
        state.number = number
    if shares is not None:
        for state, each in zip(states, shares, strict=True):
            state.shares = each
    with BLAS.single_threaded():
        return run_em(problems[0].rows, states, watch, problems[0].memberships)


@np.errstate(all="ignore")
def run_on_own_rows(
    problem: EMProblem, start: Parameters, samples: NDArray
) -> EMResults:
    """The results of EM from a stack of B mixtures of as many components each, of which
    each has rows of its own, all complete: samples[b] of (B, d, n)."""
    state = EMState(start, problem.mstep, problem.options)
    with BLAS.single_threaded():
        seen = samples
        while True:
            if len(state.runs) < len(seen):
                seen = samples[state.runs]
            state.accept(expectation_of_own_rows(seen, state.propose()))
            if not state.goes_on():
                return state.results
