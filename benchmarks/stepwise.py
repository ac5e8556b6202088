"""Stepwise EM (`partial_fit`) over epochs of shuffled batches, beside `fit`.

A stream is judged by the maximum that EM goes on to from where it ended, and by `fit`:
its start sees few rows, and may lie in the basin of another maximum.
"""

from __future__ import annotations

import time

import numpy as np

from .cases import MODELS, QUALITY, make_problem
from .clock import message_of
from .pool import run_all
from .problems import PROBLEMS

EPOCHS = (1, 2, 5, 10)
LIMIT = {"tol": 1e-7, "max_iter": 2000}


def stepwise(one):
    """Runs over batch sizes and seeds of all data sets of a kind."""
    tasks = [
        {**data, "size": size, "seed": seed}
        for data in KINDS[one["what"]]()
        for size in one["sizes"]
        for seed in range(one["seeds"])
    ]
    return {"runs": run_all(run, tasks)}


def suite():
    """Every problem of the starts, with full covariances."""
    return [{"data": name, "model": "VVV"} for name in PROBLEMS]


def models():
    """Every model on some."""
    names = ("iris 3", "faithful 3", "wine", "random 3-d", "units")
    return [{"data": name, "model": model} for name in names for model in MODELS]


def large():
    """Blobs of more rows: a tenth of those of the group quality."""
    return [
        {
            "data": f"{one['d']}-d blobs",
            "model": "VVV",
            "made": {**one, "n": one["n"] // 10},
        }
        for one in QUALITY
    ]


KINDS = {"suite": suite, "models": models, "large": large}


def rows_of(task):
    """The rows, and the number of components."""
    if "made" in task:
        problem = make_problem(task["made"])
        return problem.X, problem.n_components
    problem = PROBLEMS[task["data"]]
    X = problem.make(task["seed"])[0]
    return np.ascontiguousarray(X, dtype=np.float64), problem.n_components


def run(task):
    try:
        return {**task, **measured(task)}
    except Exception as error:
        return {**task, "failed": message_of(error)}


def measured(task):
    """Log-likelihoods after some epochs, where EM goes from there, and of a fit."""
    from emgmm import GaussianMixtureEM

    X, K = rows_of(task)
    size = task["size"] or max(1, round(0.05 * len(X)))
    gmm = GaussianMixtureEM(K, covariance_type=task["model"])
    fitted, fit_seconds = timed(lambda: GaussianMixtureEM(**gmm.get_params()).fit(X))
    rng = np.random.default_rng(task["seed"])
    reached, seconds, spent = {}, {}, 0.0
    for epoch in range(1, EPOCHS[-1] + 1):
        order = rng.permutation(len(X))
        spent += timed(lambda order=order: one_epoch(gmm, X[order], size))[1]
        if epoch in EPOCHS:
            reached[epoch] = float(gmm.score(X)) if hasattr(gmm, "weights_") else None
            seconds[epoch] = spent
    gmm.set_params(warm_start=True, **LIMIT).fit(X)
    return {
        "n": len(X),
        "d": X.shape[1],
        "K": K,
        "reached": reached,
        "seconds": seconds,
        "own_maximum": float(gmm.score(X)),
        "fit": float(fitted.score(X)),
        "fit_seconds": fit_seconds,
    }


def one_epoch(gmm, X, size):
    for first in range(0, len(X), size):
        gmm.partial_fit(X[first : first + size])


def timed(function):
    began = time.perf_counter()
    result = function()
    return result, time.perf_counter() - began
