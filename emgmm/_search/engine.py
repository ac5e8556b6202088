"""Temporary adapters."""

from __future__ import annotations

import numpy as np

from emgmm._em.lockstep import run_in_lockstep as lockstep  # noqa


def estimated(problem, statistics, near):
    mstep = problem.mstep.inexact if near is not None else problem.mstep
    return mstep.estimate(statistics, near)


def degenerate(problem, mixtures):
    if not len(mixtures.segments):
        return np.zeros(0, dtype=bool)
    return mixtures.segments.any(problem.degenerate(mixtures))
