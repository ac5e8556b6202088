"""Rows with missing values: fits beside imputation before a fit, and the cost of NaN.

Values are removed completely at random from the rows to fit. What a fit is worth is
measured by the log-likelihood of other rows, which are complete.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_iris,
    load_wine,
)

from .cases import make_problem
from .clock import (
    ENOUGH,
    MOST_ITERATIONS,
    fit_once,
    in_turn,
    message_of,
    seconds_per_iteration,
    summary,
)
from .peers import EMGMM
from .pool import run_all
from .problems import digits, stored

SIZES = range(1, 11)  # numbers of components of which BIC selects
HELD_OUT = 1 / 3
SETTINGS = ({}, {"reg_covar": 0.01})  # in squared deviations: features have one
FEWEST = 2  # iterations that are timed
CELLS = 0.2  # missing where the cost of patterns is measured


def missing(one):
    return {"quality": quality, "cost": cost}[one["what"]](one)


# Quality


def diabetes():
    """Without sex and the fourth measurement of serum, which have few values."""
    return np.delete(load_diabetes().data, [1, 7], axis=1)


ROWS = {
    "iris": lambda: load_iris().data,
    "faithful": lambda: stored(0, "faithful")[0],
    "wine": lambda: load_wine().data,
    "diabetes": diabetes,
    "breast cancer": lambda: load_breast_cancer().data[:, :10],  # the means
    "digits": lambda: digits(0)[0][:, :8],
}


@dataclass(frozen=True)
class Split:
    """Rows to fit, the same with cells removed, and complete rows to score."""

    complete: np.ndarray
    incomplete: np.ndarray
    others: np.ndarray

    @classmethod
    def of(cls, X, share, seed):
        """The same rows for every share, and with a greater one more cells removed."""
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(X))
        count = round(HELD_OUT * len(X))
        rows = X[order[count:]]
        removed = rng.random(rows.shape) < share
        return cls(rows, np.where(removed, np.nan, rows), X[order[:count]])

    def error(self, filled):
        """Root mean square over the removed cells."""
        removed = np.isnan(self.incomplete)
        return float(np.sqrt(np.mean((filled - self.complete)[removed] ** 2)))


def quality(one):
    """Every way's figures, of standardised features."""
    X = standardised(one["data"])
    K = selected(X)
    tasks = [
        {"data": one["data"], "K": K, "share": share, "seed": seed, **more}
        for share in one["shares"]
        for seed in range(one["seeds"])
        for more in SETTINGS
    ]
    runs = [run for group in run_all(runs_of, tasks) for run in group]
    return {"n": len(X), "d": X.shape[1], "K": K, "runs": runs}


def standardised(name):
    X = ROWS[name]()
    return (X - X.mean(axis=0)) / X.std(axis=0)


def selected(X):
    """The number of components that BIC selects of the complete rows."""
    from emgmm import GaussianMixtureIC

    search = GaussianMixtureIC(SIZES, covariance_type="full").fit(X)
    return int(search.best_params_["n_components"])


def runs_of(task):
    """Of every way, on the same rows; what they import is not timed."""
    import sklearn.mixture  # noqa: F401
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401

    import emgmm  # noqa: F401

    split = Split.of(standardised(task["data"]), task["share"], task["seed"])
    given = {"reg_covar": task["reg_covar"]} if "reg_covar" in task else {}
    settings = {"n_components": task["K"], "random_state": task["seed"], **given}
    return [{**task, "way": way, **run(way, split, settings)} for way in WAYS]


def run(way, split, settings):
    """Log-likelihood of the other rows, error of the imputed cells, and seconds."""
    began = time.perf_counter()
    try:
        gmm, filled = WAYS[way](split, settings)
    except Exception as error:
        return {"failed": message_of(error)}
    return {
        "seconds": time.perf_counter() - began,
        "log_likelihood": float(gmm.score(split.others)),
        "error": None if filled is None else split.error(filled),
    }


def emgmm(split, settings):
    from emgmm import GaussianMixtureEM

    gmm = GaussianMixtureEM(**settings).fit(split.incomplete)
    return gmm, gmm.impute(split.incomplete)


def one_gaussian(split, settings):
    return emgmm(split, {**settings, "n_components": 1})


def imputed_first(imputer, split, settings):
    from sklearn.mixture import GaussianMixture

    filled = imputer(settings["random_state"]).fit_transform(split.incomplete)
    return GaussianMixture(**settings).fit(filled), filled


def mean_imputer(seed):
    from sklearn.impute import SimpleImputer

    return SimpleImputer()


def neighbours_imputer(seed):
    from sklearn.impute import KNNImputer

    return KNNImputer()


def iterative_imputer(seed):
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    return IterativeImputer(random_state=seed)


def emgmm_complete(split, settings):
    from emgmm import GaussianMixtureEM

    gmm = GaussianMixtureEM(**settings).fit(split.complete)
    return gmm, gmm.impute(split.incomplete)


def sklearn_complete(split, settings):
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(**settings).fit(split.complete), None


WAYS = {
    "emgmm": emgmm,
    "emgmm, K = 1": one_gaussian,
    "mean": partial(imputed_first, mean_imputer),
    "KNN": partial(imputed_first, neighbours_imputer),
    "iterative": partial(imputed_first, iterative_imputer),
    "emgmm, all cells": emgmm_complete,
    "scikit-learn, all cells": sklearn_complete,
}


# Cost


def cost(one):
    """Seconds of an iteration, for rows without NaN and with patterns of it."""
    problem, peer = make_problem(one), EMGMM()
    removed = {count: cells(problem.X.shape, count) for count in one["patterns"]}
    problems = {name_of(None): problem}
    for count, mask in removed.items():
        rows = np.where(mask, np.nan, problem.X)
        problems[name_of(count)] = replace(problem, X=rows)
    iterations = {name: enough(peer, each) for name, each in problems.items()}
    functions = {
        name: partial(seconds_per_iteration, peer, each, iterations[name])
        for name, each in problems.items()
    }
    times, failed = in_turn(functions, one["repeats"])
    return {
        "seconds": {
            name: summary(values, iterations=iterations[name])
            for name, values in times.items()
        },
        "patterns": {
            name_of(count): len(np.unique(mask, axis=0))
            for count, mask in removed.items()
        },
        "failed": failed,
    }


def enough(peer, problem):
    """How many iterations to time, by a few of them."""
    fit_once(peer, problem, 1)
    each = seconds_per_iteration(peer, problem, FEWEST)
    return max(FEWEST, round(ENOUGH / max(each, ENOUGH / MOST_ITERATIONS)))


def name_of(count):
    """Of rows without NaN, with some patterns of it, or (0) with all that occur."""
    return {None: "complete", 0: "cells at random"}.get(count, f"{count} patterns")


def cells(shape, count):
    """Which cells are missing: a share of them, in so many patterns (0: any number).

    No row lacks everything, where patterns are few.
    """
    rng = np.random.default_rng(1)
    n_samples, n_features = shape
    if not count:
        return rng.random(shape) < CELLS
    patterns = np.empty((0, n_features), dtype=bool)
    while len(patterns) < count:
        more = rng.random((1, n_features)) < CELLS
        if more.any() and not more.all():
            patterns = np.unique(np.vstack([patterns, more]), axis=0)
    return patterns[rng.integers(count, size=n_samples)]
