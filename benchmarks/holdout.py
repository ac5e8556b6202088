"""Log-likelihoods of rows that default fits have not seen."""

from __future__ import annotations

import statistics
from contextlib import closing

import numpy as np

from .checkouts import MclustHoldout, file_of, without_mclust
from .pool import run_all
from .restarts import SKLEARN
from .starts import estimator

LEAST = 100  # rows of a set
LIBRARIES = {"emgmm": "emgmm", SKLEARN: "sklearn"}
MCLUST = "mclust"


def holdout(one, problems):
    """Means over splits, for each set with so many rows; None where a fit failed."""
    problems = [problem for problem in problems if len(problem.make(0)[0]) >= LEAST]
    tasks = [
        (problem, split)
        for problem in problems[:: one.get("every", 1)]
        for split in range(one["splits"])
    ]
    found = run_all(libraries, tasks)
    without = without_mclust()
    theirs = [None] * len(tasks) if without else mclust(tasks)
    sets = {}
    for (problem, _), scores, score in zip(tasks, found, theirs, strict=True):
        sets.setdefault(problem, []).append({**scores, MCLUST: score})
    failed = {MCLUST: without} if without else {}
    return {"sets": [means(*item) for item in sets.items()], "failed": failed}


def halves(problem, split):
    """The rows in another order for each split; the first half is to be fitted."""
    X, _ = problem.make(0)
    X = X[np.random.default_rng(split).permutation(len(X))]
    return X[: len(X) // 2], X[len(X) // 2 :]


def libraries(task):
    """Mean log-likelihoods of the second half by the libraries' default fits."""
    problem, split = task
    first, second = halves(problem, split)
    found = {}
    for name, library in LIBRARIES.items():
        try:
            model = estimator(library, problem.n_components, 0, {}).fit(first)
            found[name] = float(model.score(second))
        except Exception:
            found[name] = None
    return found


def mclust(tasks):
    """The same of mclust's full covariances."""
    with closing(MclustHoldout(1)) as program:
        return [mclust_score(program, *task) for task in tasks]


def mclust_score(program, problem, split):
    with file_of(np.vstack(halves(problem, split)), text=True) as path:
        try:
            task = {"rows": path, "n_components": problem.n_components}
            return program.do(task)["log_likelihood"]
        except RuntimeError:
            return None


def means(problem, scores):
    """Of each method over the splits; None where it has not fitted all."""
    size = len(problem.make(0)[0])
    found = {"problem": problem.name, "n": size, "K": problem.n_components}
    for name in scores[0]:
        values = [one[name] for one in scores]
        found[name] = None if None in values else statistics.fmean(values)
    return found
