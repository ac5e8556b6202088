"""Runs of EM in lockstep: one pass over the rows serves them all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emgmm._model.parameters import Parameters

from .problem import EMProblem
from .progress import Progress
from .result import EMResult, EMResults


def run_in_lockstep(
    problems: Sequence[EMProblem],
    starts: Sequence[Parameters],
    shares: Sequence[NDArray] | None = None,
) -> list[EMResults]:
    """The results of EM for each problem, from all the mixtures of its stack.

    The problems have the same rows. Where there are ``shares``, mixture b of a problem
    sees the rows with their weights times column b of its shares (n, B).
    """
    found = []
    for number, (problem, stack) in enumerate(zip(problems, starts, strict=True)):
        mixtures, results = [], []
        for b in range(len(stack.segments)):
            one = problem
            if shares is not None:
                rows = problem.sample
                weights = rows.weights * shares[number][:, b]
                one = problem.with_rows(rows._with(rows.X, weights))
            try:
                results.append(one.run(stack.mixture(b), Progress(0, 1)))
                mixtures.append(results[-1].mixture)
            except np.linalg.LinAlgError:
                results.append(EMResult(stack.mixture(b), [-np.inf], False))
        found.append(
            EMResults(
                Parameters.joined([result.mixture for result in results]),
                np.array([result.lower_bounds == [-np.inf] for result in results]),
                np.array([result.converged for result in results]),
                [result.lower_bounds for result in results],
            )
        )
    return found
