"""Starts of EM compared, and what a call with default settings gives.

Every method fits full covariances to the rows of every problem and seed. To compare
starts, scikit-learn's are followed by its own EM, ours by ours, with the same settings.
The best known log-likelihood of some rows is the highest over all methods, and EM from
the true labels; fits with a degenerate component do not count.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from .clock import message_of
from .pool import run_all
from .problems import PROBLEMS

SETTINGS = {"tol": 1e-6, "max_iter": 500}
NEAR = 0.01  # nats per row from the best known that count as having reached it
LEAST_ROWS = 2  # effective rows of a component
LEAST_EIGENVALUE = 1e-8  # of a covariance, in units of the features' variances
DRAW_NOTHING = ("split", "kmeans")  # of emgmm's starts
SKLEARN_STARTS = ("kmeans", "k-means++", "random", "random_from_data")
REFERENCE = "sklearn kmeans"  # whose time is one
DEFAULTS = {"scikit-learn": "sklearn", "emgmm": "emgmm"}  # called without settings
TRUTH = "truth"


def starts(one):
    """Figures of the methods over all problems, of default calls, and of real rows."""
    tasks = [
        (name, seed)
        for name, problem in PROBLEMS.items()
        for seed in range(one["seeds"])[: problem.most_seeds]
    ]
    began = time.perf_counter()
    results = compared([result for found in run_all(run, tasks) for result in found])
    of_starts = [result for result in results if result["method"] not in DEFAULTS]
    return {
        "taken": time.perf_counter() - began,
        "summary": summarised(of_starts),
        "defaults": defaults(results),
        "real": real(results),
    }


# Runs


def methods():
    """The library and settings of each method, and whether it draws nothing."""
    from emgmm._init.starts import STARTS

    found = {
        f"sklearn {init}": ("sklearn", {"init_params": init, **SETTINGS}, False)
        for init in SKLEARN_STARTS
    }
    for init in STARTS:
        settings = {"init_params": init, **SETTINGS}
        found[f"emgmm {init}"] = ("emgmm", settings, init in DRAW_NOTHING)
    found["scikit-learn"] = ("sklearn", {}, False)
    found["emgmm"] = ("emgmm", {}, False)  # a seed is a time more
    return found


def estimator(library, n_components, seed, settings):
    from sklearn.mixture import GaussianMixture

    from emgmm import GaussianMixtureEM

    kind = {"emgmm": GaussianMixtureEM, "sklearn": GaussianMixture}[library]
    return kind(n_components, random_state=seed, **settings)


def run(task):
    """Results of the methods on the rows of one problem and seed."""
    name, seed = task
    problem = PROBLEMS[name]
    X, labels = problem.make(seed)
    results = []
    for method, (library, settings, deterministic) in methods().items():
        if deterministic and problem.fixed and seed > 0:
            continue
        model = estimator(library, problem.n_components, seed, settings)
        results.append({"method": method, **fitted(model, X, labels)})
    if not (problem.fixed and seed > 0):
        results += [
            {"method": TRUTH, **fitted(model, X, labels)}
            for model in from_truth(problem, seed, labels)
        ]
    return [{"problem": name, "seed": seed, "n": len(X), **one} for one in results]


def from_truth(problem, seed, labels):
    """EM from the true labels, if these have as many classes as components."""
    known = np.unique(labels[labels >= 0]) if labels is not None else []
    if len(known) != problem.n_components:
        return []
    settings = {"init_params": labels, **SETTINGS}
    return [estimator("emgmm", problem.n_components, seed, settings)]


def fitted(model, X, labels, collapsed=None):
    """What a fit reached, and in what time; or how it failed.

    Another function than `degenerate` may say what has collapsed.
    """
    began = time.perf_counter()
    try:
        model.fit(X)
    except Exception as error:
        return {"failed": message_of(error), "seconds": time.perf_counter() - began}
    return {
        "seconds": time.perf_counter() - began,
        "log_likelihood": float(model.score(X)),
        "ari": agreement(labels, model.predict(X)),
        "degenerate": (collapsed or degenerate)(model, X),
    }


def agreement(labels, found):
    """Adjusted Rand index over the rows that have a label; None without labels."""
    from sklearn.metrics import adjusted_rand_score

    if labels is None:
        return None
    return float(adjusted_rand_score(labels[labels >= 0], found[labels >= 0]))


def degenerate(model, X):
    """Whether a component is degenerate."""
    return bool(degenerate_components(model, X).any())


def degenerate_components(model, X):
    """Which components have few rows, or no volume but for ``reg_covar``."""
    added = (0 if model.reg_covar == "scale" else model.reg_covar) * np.eye(X.shape[1])
    scales = X.std(axis=0)
    covariances = (model.covariances_ - added) / np.outer(scales, scales)
    least = np.linalg.eigvalsh(covariances)[:, 0]
    return (len(X) * model.weights_ < LEAST_ROWS) | (least < LEAST_EIGENVALUE)


# Comparison


def sound(one):
    return "failed" not in one and not one["degenerate"]


def rows_of(one):
    """Which rows a result is of: those of fixed problems are the same in all seeds."""
    return one["problem"], 0 if PROBLEMS[one["problem"]].fixed else one["seed"]


def compared(results, rows_of=rows_of):
    """The results, each with its shortfall in nats per row; None if not sound."""
    best = {}
    for one in filter(sound, results):
        best[rows_of(one)] = max(one["log_likelihood"], best.get(rows_of(one), -np.inf))
    return [
        {**one, "shortfall": below(best[rows_of(one)], one) if sound(one) else None}
        for one in results
    ]


def below(best, one):
    return best - one["log_likelihood"]


def shortfall(one):
    """Infinite where the fit is not sound."""
    return np.inf if one["shortfall"] is None else one["shortfall"]


def by(results, *keys):
    """Lists of results by the values of keys, in their order."""
    groups = {}
    for one in results:
        values = tuple(one[key] for key in keys)
        groups.setdefault(values[0] if len(keys) == 1 else values, []).append(one)
    return groups


def mean_over_problems(results, value):
    """Of the problems' means, so that all count alike however many runs they have."""
    groups = by(results, "problem").values()
    means = [statistics.fmean(map(value, group)) for group in groups]
    return statistics.fmean(means) if means else None


def with_labels(results, hard_for=None):
    """The results that have an adjusted Rand index, or failed where others have."""
    labelled = {one["problem"] for one in results if one.get("ari") is not None}
    return [
        one
        for one in results
        if one["problem"] in labelled
        and (hard_for is None or hard_for == PROBLEMS[one["problem"]].hard_for)
    ]


def mean_ari(results):
    """Failures as zero, as good as any labels at random."""
    return mean_over_problems(results, lambda one: one.get("ari") or 0.0)


def relative_times(results):
    """Seconds of each method's runs, divided by the reference's on the same task."""
    times = {}
    for task in by(results, "problem", "seed").values():
        done = [one for one in task if "failed" not in one]
        seconds = {one["method"]: one["seconds"] for one in done}
        for method in seconds.keys() if REFERENCE in seconds else ():
            relative = seconds[method] / seconds[REFERENCE]
            times.setdefault(method, []).append(relative)
    return {method: statistics.median(values) for method, values in times.items()}


def summarised(results):
    """Figures of each method over all problems."""
    times, summary = relative_times(results), {}
    for method, group in by(results, "method").items():
        usable = [one for one in group if sound(one)]
        worst = max(usable, key=shortfall, default={})
        summary[method] = {
            "reached": mean_over_problems(group, lambda one: shortfall(one) <= NEAR),
            "mean_shortfall": mean_over_problems(usable, shortfall),
            "worst_shortfall": worst.get("shortfall"),
            "worst_problem": worst.get("problem"),
            "ari": mean_ari(with_labels(group)),
            "ari_cigars": mean_ari(with_labels(group, "cigars")),
            "degenerate": sum(one.get("degenerate", False) for one in group),
            "failed": sum("failed" in one for one in group),
            "runs": len(group),
            "time": times.get(method),
        }
    return summary


# Default calls


def defaults(results):
    """Figures of the libraries' default calls, on real and on simulated rows."""
    return {
        kind: {name: default_figures(group, name) for name in DEFAULTS}
        for kind, group in by_kind(results).items()
    }


def by_kind(results):
    kinds = {"real": [], "simulated": []}
    for one in results:
        is_real = PROBLEMS[one["problem"]].hard_for == "real"
        kinds["real" if is_real else "simulated"].append(one)
    return kinds


def default_figures(results, name):
    """Of one library; times beside those of scikit-learn on the same problem."""
    group = [one for one in results if one["method"] == name]
    usable = [one for one in group if sound(one)]
    own, theirs = median_times(results, name), median_times(results, "scikit-learn")
    relative = [seconds / theirs[key] for key, seconds in own.items() if key in theirs]
    return {
        "problems": len(by(group, "problem")),
        "reached": mean_over_problems(group, lambda one: shortfall(one) <= NEAR),
        "mean_shortfall": mean_over_problems(usable, shortfall),
        "ari": mean_ari(with_labels(group)),
        "degenerate": mean_over_problems(group, lambda one: not sound(one)),
        "seconds": statistics.median(own.values()),
        "relative": statistics.median(relative),
    }


def median_times(results, name):
    """Of a method, by problem."""
    done = [one for one in results if one["method"] == name and "failed" not in one]
    groups = by(done, "problem").items()
    return {
        problem: statistics.median(one["seconds"] for one in group)
        for problem, group in groups
    }


# Real rows


def real(results):
    """Log-likelihoods of all rows, of the problems whose rows are stored."""
    groups = by([one for one in results if PROBLEMS[one["problem"]].fixed], "problem")
    return [real_figures(PROBLEMS[name], group) for name, group in groups.items()]


def real_figures(problem, group):
    """The best of scikit-learn's fits, and the median fit of the default calls."""
    theirs = [f"sklearn {init}" for init in SKLEARN_STARTS]
    done = [one for one in group if "failed" not in one]
    four = [one for one in done if one["method"] in theirs]
    figures = {
        "problem": problem.name,
        "n": group[0]["n"],
        "K": problem.n_components,
        "mclust": problem.mclust,
        "best": total(max(four, key=ranking_key, default=None)),
    }
    for name in DEFAULTS:
        runs = sorted((one for one in done if one["method"] == name), key=ranking_key)
        figures[name] = total(runs[(len(runs) - 1) // 2] if runs else None)
    return figures


def ranking_key(one):
    """What makes a fit better: no degenerate component, and likelihood."""
    return sound(one), one["log_likelihood"]


def total(one):
    """Log-likelihood of all rows, and whether a component is degenerate."""
    return one and [one["log_likelihood"] * one["n"], one["degenerate"]]
