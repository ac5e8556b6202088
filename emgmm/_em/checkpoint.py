"""Checkpoints: the state at the end of a run of EM, from which another continues it.

They consist of plain values, so that their pickles do not depend on our modules.
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

CHECKPOINT_VERSION = 3  # of the contents of a checkpoint: others are ignored

Checkpoint = dict[str, Any]


def checkpoint_of(problem: EMProblem, result: EMResult) -> Checkpoint:
    """The checkpoint of a resumable result."""
    summary = _conditions(problem, len(result.mixture.weights))
    order = {"order_is_fixed": problem.order_is_fixed}
    return {"problem": summary, **order, **(result.state or {})}


def resumed(
    problem: EMProblem,
    n_components: int,
    checkpoint: Checkpoint,
    published: Mapping[str, Any],
) -> tuple[EMProblem, EMState] | None:
    """The problem and the state of its run at a checkpoint, if it can be continued.

    None if something has changed that the iterations depend on: the model, what is
    added to variances, the rows, or the ``published`` arrays of the mixture. Rows are
    compared by their summary, and then by the statistics of a pass over them.
    """
    before, now = checkpoint.get("problem", {}), _conditions(problem, n_components)
    if not all(_equal(before.get(name), value) for name, value in now.items()):
        return None
    problem = replace(problem, order_is_fixed=checkpoint["order_is_fixed"])
    state = EMState.from_values(
        checkpoint, problem.mstep, problem.options, problem.in_float32
    )
    mixture = problem.mixture_of_the_user(state.mixtures)
    arrays = published_arrays(mixture, problem.rows.summary.dtype)
    if not all(_equal(published.get(name), array) for name, array in arrays.items()):
        return None
    with np.errstate(all="ignore"):
        at = state.propose()
    if problem.options.max_iter and equal_components(at):
        return None  # equal components are moved apart first
    with BLAS.single_threaded():
        (statistics,) = expectation(problem.rows, [at], None, problem.memberships)
        same = state.resumes(statistics)
    return (problem, state) if same else None


def _conditions(problem: EMProblem, n_components: int) -> dict[str, Any]:
    """What the iterations depend on, apart from the start and ``tol``."""
    rows, covar = problem.rows.summary, problem.mstep.regularization
    ridge = covar.amounts if isinstance(covar, RidgeRegularization) else None
    return {
        "version": CHECKPOINT_VERSION,
        "model": problem.family.name,
        "n_components": n_components,
        "accelerated": problem.options.accelerated,
        "ridge": ridge,
        "noise": problem.mstep.noise and problem.mstep.noise.log_lengths,
        **problem.mstep.knowledge,
        "units": problem.units,
        "n_samples": rows.n_samples,
        "weight": rows.weight,
        "center": rows.center,
        "variances": rows.variances,
    }


def _equal(one: NDArray | Any, other: NDArray | Any) -> bool:
    """Whether two values or arrays are equal."""
    return one is other or np.array_equal(one, other)
