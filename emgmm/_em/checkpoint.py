"""Checkpoints: where a run of EM has ended, for another to go on as if it had not.

A checkpoint is made of plain values, so that pickles of it need no module of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgmm._estep.estep import expectation
from emgmm._model.parameters import equal_components
from emgmm._model.published import published_arrays
from emgmm._utils.threads import BLAS

from .problem import EMProblem
from .regularization import RidgeRegularization
from .result import EMResult
from .state import EMState

VERSION = 1  # of what a checkpoint holds: others are ignored

Checkpoint = dict[str, Any]


def checkpoint_of(problem: EMProblem, result: EMResult) -> Checkpoint:
    """From where another fit may go on, of a result that holds its state."""
    summary = _summary(problem, len(result.mixture.weights))
    order = {"order_is_given": problem.order_is_given}
    return {"problem": summary, **order, **(result.state or {})}


def resumed(
    problem: EMProblem,
    n_components: int,
    checkpoint: Checkpoint,
    published: Mapping[str, Any],
) -> tuple[EMProblem, EMState] | None:
    """The problem and the state of its run, if a checkpoint is one of this problem.

    None if something has changed that EM's course depends on: the model, what is added
    to variances, the rows, or the arrays that are ``published`` of the mixture. Whether
    rows are the same is seen by their summary, and then by a pass over them.
    """
    before, now = checkpoint.get("problem", {}), _summary(problem, n_components)
    if not all(_equal(before.get(name), value) for name, value in now.items()):
        return None
    problem = replace(problem, order_is_given=checkpoint["order_is_given"])
    single = problem.rows.summary.compute_dtype == np.float32
    state = EMState.from_values(checkpoint, problem.mstep, problem.options, single)
    mixture = problem.to_be_published(state.result).mixture
    arrays = published_arrays(mixture, problem.rows.summary.dtype)
    if not all(_equal(published.get(name), array) for name, array in arrays.items()):
        return None
    at = state.propose()
    if problem.options.max_iter and equal_components(at):
        return None  # they are to be moved apart
    with BLAS.held():
        same = state.resumes(expectation(problem.rows, at))
    return (problem, state) if same else None


def _summary(problem: EMProblem, n_components: int) -> dict[str, Any]:
    """What the course of EM depends on, but for the start, ``tol`` and the rows."""
    rows, covar = problem.rows.summary, problem.mstep.regularization
    ridge = covar.amounts if isinstance(covar, RidgeRegularization) else None
    return {
        "version": VERSION,
        "model": problem.family.name,
        "n_components": n_components,
        "accelerated": problem.options.accelerated,
        "ridge": ridge,
        "units": problem.units,
        "n_samples": rows.n_samples,
        "weight": rows.weight,
        "center": rows.center,
        "variances": rows.variances,
    }


def _equal(one: NDArray | Any, other: NDArray | Any) -> bool:
    """Whether two values are the same, with all their elements."""
    return one is other or np.array_equal(one, other)
