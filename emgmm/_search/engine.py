"""Temporary: what the engine will do for stacks of several families."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emgmm._em.lockstep import run_in_lockstep
from emgmm._em.result import EMResults
from emgmm._model.parameters import Parameters


def _single(problem, b):
    families = problem.mstep.family
    family = families.distinct[0 if families.which is None else families.which[b]]
    return replace(problem, mstep=replace(problem.mstep, family=family))


def estimated(problem, statistics, near):
    parts, failed = [], []
    for b in range(len(statistics.segments)):
        one = _single(problem, b)
        index = np.array([b])
        previous = near.take(index) if near is not None else None
        mstep = one.mstep.inexact if near is not None else one.mstep
        try:
            parts.append(mstep.estimate(statistics.take(index), previous))
            failed.append(False)
        except np.linalg.LinAlgError:
            parts.append(None)
            failed.append(True)
    return parts, np.array(failed, dtype=bool)


def degenerate(problem, mixtures):
    return np.array(
        [
            _single(problem, b).degenerate(mixtures.mixture(b)).any()
            for b in range(len(mixtures.segments))
        ],
        dtype=bool,
    )


def lockstep(problems, stacks):
    found = []
    for problem, stack in zip(problems, stacks, strict=True):
        parts = [
            run_in_lockstep([_single(problem, b)], [stack.mixture(b)])[0]
            for b in range(len(stack.segments))
        ]
        found.append(EMResults.joined(parts))
    return found
