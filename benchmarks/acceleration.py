"""Accelerated EM beside plain EM, from the same starts: passes, optima, and the stop.

A pass visits all rows once; the one that scores the start is not counted. The limit of
a run is where it ends when it goes on with a tiny tolerance.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np

from .clock import message_of
from .pool import run_all

LONG = {"tol": 1e-13, "max_iter": 20_000}
NEAR_LIMIT = 1e-8  # nats per row from the limit that count as having reached it
WAYS = {"plain": {"acceleration": None}, "accelerated": {}}
SHARED = {"VVV": "full", "EEE": "tied", "VVI": "diag", "VII": "spherical"}


def acceleration(one):
    """Results of every problem and seed."""
    from .overlap import PROBLEMS

    seeds = range(one["seeds"])
    tasks = [(name, seed, one["repeats"]) for name in PROBLEMS for seed in seeds]
    return {"runs": run_all(run, tasks)}


def run(task):
    """What both ways of EM did on some rows, and what scikit-learn did."""
    from .overlap import PROBLEMS

    name, seed, repeats = task
    problem = PROBLEMS[name]
    described = {"problem": name, "kind": problem.kind, "seed": seed}
    described["model"] = problem.covariance_type
    try:
        return {**described, **measured(problem, seed, repeats)}
    except Exception as error:
        return {**described, "failed": message_of(error)}


def measured(problem, seed, repeats):
    """Figures of each way, and where scikit-learn stopped if it has the model."""
    from emgmm import GaussianMixtureEM

    X = problem.make(seed)
    known = {"covariance_type": problem.covariance_type}
    known["init_params"] = problem.start(seed)
    make = partial(GaussianMixtureEM, problem.n_components, **known)
    fits, times = default_fits(make, X, repeats)
    found = {}
    for way, settings in WAYS.items():
        long = to_the_limit(make(**settings, **LONG).fit(X))
        stop = stopped(fits[way], X, long["limit"])
        found[way] = {**long, "stop": stop, "seconds": times[way]}
    if problem.covariance_type in SHARED:
        fit = sklearn_fit(make(max_iter=0).fit(X), X)
        found["scikit-learn"] = {"stop": stopped(fit, X, found["plain"]["limit"])}
    return found


def default_fits(make, X, repeats):
    """Fits with the default tolerance, and the least seconds, the ways in turn."""
    fits, times = {}, {way: [] for way in WAYS}
    for _ in range(repeats):
        for way, settings in WAYS.items():
            began = time.perf_counter()
            fits[way] = make(**settings).fit(X)
            times[way].append(time.perf_counter() - began)
    return fits, {way: min(values) for way, values in times.items()}


def to_the_limit(fit):
    """The limit, the passes until near it, and how many of them changed nothing."""
    bounds = fit.lower_bounds_
    passes = int(np.argmax(bounds >= bounds[-1] - NEAR_LIMIT)) + 1
    return {
        "limit": float(bounds[-1]),
        "converged": bool(fit.converged_),
        "passes": passes,
        "rejected": int((np.diff(bounds[:passes]) == 0).sum()),
    }


def stopped(fit, X, limit):
    """Where a fit with default settings stopped."""
    return {
        "passes": fit.n_iter_,
        "converged": bool(fit.converged_),
        "distance": limit - float(fit.score(X)),
    }


def sklearn_fit(start, X):
    """scikit-learn's fit with its default settings, from the parameters of another."""
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(
        start.n_components,
        covariance_type=SHARED[start.covariance_type],
        weights_init=start.weights_,
        means_init=start.means_,
        precisions_init=start.precisions_,
        random_state=0,
    ).fit(X)
