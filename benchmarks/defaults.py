"""Default fits on both suites of problems, beside the best fits that are known.

The best known log-likelihood of some rows is the highest over the default fits, fits
from many starts, and EM from the true labels; fits with a degenerate component do not
count. Here a component of many equal rows is not degenerate.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np

from .checkouts import BEFORE, checkouts, file_of
from .checkouts import compared as timed
from .holdout import holdout
from .more_problems import MORE_PROBLEMS
from .pool import run_all
from .problems import PROBLEMS
from .restarts import SKLEARN
from .starts import (
    NEAR,
    TRUTH,
    agreement,
    by,
    compared,
    degenerate_components,
    estimator,
    fitted,
    from_truth,
    mean_ari,
    mean_over_problems,
    shortfall,
    sound,
    with_labels,
)

SUITES = {"first": PROBLEMS, "second": MORE_PROBLEMS}
NEARER = 1e-3  # nats per row
ATOM = 10  # equal rows that may have a component to themselves
SEVERAL = 2  # times d + 1 rows, which a component should have
STARTS = {
    "k-means++": {"init_params": "k-means++", "n_init": 20, "tol": 1e-5},
    "random_from_data": {"init_params": "random_from_data", "n_init": 20, "tol": 1e-5},
    "split": {"init_params": "split", "n_init": 20},
}


def defaults(one):
    """Default fits of a suite, or what they say of rows that are held out."""
    problems = SUITES[one["suite"]].values()
    if one["what"] == "holdout":
        return holdout(one, [problem for problem in problems if is_real(problem)])
    tasks = [
        (one["suite"], problem.name, seed)
        for problem in list(problems)[:: one.get("every", 1)]
        for seed in range(1 if problem.fixed else one["seeds"])
    ]
    with checkouts(1) as programs:
        fits = [default_fits(task, programs, one["repeats"]) for task in tasks]
    fits += run_all(references, tasks)
    results = [result for found in fits for result in found]
    results = compared(results, lambda one: (one["problem"], one["seed"]))
    methods = [*programs, SKLEARN]
    groups = by(results, "method")
    return {
        "summary": {name: figures(groups[name], groups) for name in methods},
        "real": real(results, one["suite"], methods),
    }


def is_real(problem):
    return problem.hard_for == "real"


# Fits


def default_fits(task, programs, repeats):
    """Results of every default call, in turn and in one thread."""
    X, labels, about = rows_of(task)
    K = SUITES[task[0]][task[1]].n_components
    with file_of(X) as path:
        ways = {
            name: (program, default_fit(path, "emgmm", K))
            for name, program in programs.items()
        }
        scikit = default_fit(path, SKLEARN, K, random_state=0)
        ways[SKLEARN] = programs["emgmm"], scikit
        found = timed(ways, repeats)
    results = {way: {"failed": why} for way, why in found["failed"].items()}
    for way, fit in found["found"].items():
        seconds = found["seconds"][way]["least"]
        results[way] = {"seconds": seconds, **judged(fit, X, labels)}
    return [{"method": way, **about, **result} for way, result in results.items()]


def rows_of(task):
    """Rows and labels of a task, and what the results say of them."""
    suite, name, seed = task
    X, labels = SUITES[suite][name].make(seed)
    return X, labels, {"problem": name, "seed": seed, "n": len(X)}


def default_fit(path, library, n_components, **settings):
    """The task of a fit."""
    settings = {"library": library, "n_components": n_components, **settings}
    return {"task": "fit", "rows": path, "settings": settings}


def judged(fit, X, labels):
    """Figures of a fit that another process made."""
    found = np.array(fit["labels"])
    model = SimpleNamespace(
        weights_=np.array(fit["weights_"]),
        covariances_=np.array(fit["covariances_"]),
        reg_covar=fit["reg_covar"],
        predict=lambda X: found,
    )
    few = len(X) * model.weights_.min() < SEVERAL * (X.shape[1] + 1)
    return {
        "log_likelihood": fit["log_likelihood"],
        "ari": agreement(labels, found),
        "degenerate": collapsed(model, X),
        "few": bool(few),
    }


def references(task):
    """Results of fits from many starts, and of EM from the true labels."""
    suite, name, seed = task
    problem = SUITES[suite][name]
    X, labels, about = rows_of(task)
    models = [
        (start, estimator("emgmm", problem.n_components, 0, settings))
        for start, settings in STARTS.items()
    ]
    models += [(TRUTH, model) for model in from_truth(problem, seed, labels)]
    return [
        {"method": method, **about, **fitted(model, X, labels, collapsed)}
        for method, model in models
    ]


def collapsed(model, X):
    """Whether a component is degenerate without being a point mass."""
    masses = point_masses(model.predict(X), X, len(model.weights_))
    return bool((degenerate_components(model, X) & ~masses).any())


def point_masses(labels, X, n_components):
    """Which components have equal rows only, and at least ten of them.

    Such a component is found in the data, as where a value means that nothing was
    measured: its likelihood is without bound, but it is no accident of EM.
    """
    members = [X[labels == k] for k in range(n_components)]
    return np.array(
        [len(rows) >= ATOM and bool((rows == rows[0]).all()) for rows in members]
    )


# Figures


def figures(group, groups):
    """Of one method over the problems of a suite."""
    return {
        "problems": len(by(group, "problem")),
        "nearer": mean_over_problems(group, lambda one: shortfall(one) <= NEARER),
        "near": mean_over_problems(group, lambda one: shortfall(one) <= NEAR),
        "mean_shortfall": mean_over_problems(list(filter(sound, group)), shortfall),
        "ari": mean_ari(with_labels(group)),
        "degenerate": sum(one.get("degenerate", False) for one in group),
        "few": sum(one.get("few", False) for one in group),
        "failed": sum("failed" in one for one in group),
        "fits": len(group),
        "time": relative_time(group, groups.get(BEFORE, [])),
    }


def relative_time(group, others):
    """Geometric mean over the problems of the time beside another method's."""
    theirs = {(one["problem"], one["seed"]): one.get("seconds") for one in others}
    logarithms = [
        {**one, "log": math.log(one["seconds"] / other)}
        for one in group
        if "seconds" in one and (other := theirs.get((one["problem"], one["seed"])))
    ]
    mean = mean_over_problems(logarithms, lambda one: one["log"])
    return None if mean is None else math.exp(mean)


def real(results, suite, methods):
    """Log-likelihoods of all rows of each real set, by method, and the best known."""
    problems = SUITES[suite]
    found = [one for one in results if is_real(problems[one["problem"]])]
    return [
        {
            "problem": name,
            "n": group[0]["n"],
            "K": problems[name].n_components,
            **{method: total(group, method) for method in methods},
            "best": best_total(group),
        }
        for name, group in by(found, "problem").items()
    ]


def total(group, method):
    """Log-likelihood of all rows, and whether a component is degenerate."""
    (one,) = (one for one in group if one["method"] == method)
    if "failed" in one:
        return None
    return [one["n"] * one["log_likelihood"], one["degenerate"]]


def best_total(group):
    best = max((one["log_likelihood"] for one in filter(sound, group)), default=None)
    return None if best is None else [group[0]["n"] * best, False]
