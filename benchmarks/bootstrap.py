"""The bootstrap and the test of the number of components, beside R's mclust.

Both resample the same rows in the same run: `MclustBootstrap` from the fit of `Mclust`,
at mclust's tolerance. "level" is a simulation of the test alone: how often one cluster
is rejected, and how often two are found, of 100 rows each.
"""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import numpy as np

from .checkouts import Mclust, file_of, without_mclust
from .problems import iris, stored

METHODS = {"weighted": "wlbs", "nonparametric": "bs", "parametric": "pb"}
N_RESAMPLES, N_SAMPLES = 999, 99  # of a bootstrap, and of a test beside R's
N_SETS, N_OF_SET, N_ROWS, LEVEL = 200, 39, 100, 0.05
DISTANCES = (0.0, 3.0)


def simulated(seed, distance=3.5, n_rows=200):
    """Two clusters in one feature, at so many standard deviations."""
    rows = np.random.default_rng(seed).normal(size=(n_rows, 1))
    rows[: n_rows // 2] += distance
    return rows, None


ROWS = {
    "faithful": lambda seed: stored(seed, "faithful"),
    "iris": iris,
    "simulated": simulated,
}


class MclustResampling(Mclust):
    """mclust's resampling."""

    def __init__(self, threads=None):
        super().__init__(threads, "bootstrap.R")

    def do(self, task):
        path = Path(task["rows"]).with_suffix(".csv")
        words = [task[name] for name in ("what", "model", "K", "n_resamples")]
        return self.ask(" ".join(map(str, [*words, path])))


def bootstrap(one):
    """Standard errors or tests beside R's, or the level and the power of the test."""
    return {"errors": errors, "tests": tests, "level": level}[one["what"]](one)


def asked(X, tasks):
    """What R answers to tasks on the rows, None where it has no result."""
    found, without = [], without_mclust()
    if without:
        return [None] * len(tasks)
    with closing(MclustResampling(1)) as program, file_of(X, text=True) as path:
        for task in tasks:
            try:
                found.append(program.do({"rows": path, **task}))
            except RuntimeError:
                found.append(None)
    return found


def errors(one):
    """Standard errors and seconds by each method."""
    from emgmm import GaussianMixtureEM, bootstrap

    X, _ = ROWS[one["data"]](0)
    gmm = GaussianMixtureEM(one["K"], covariance_type=one["model"], tol=1e-8).fit(X)
    bootstrap(gmm, X, 20)  # what is imported or compiled at first
    ours = {}
    for method in METHODS:
        began = time.perf_counter()
        result = bootstrap(gmm, X, N_RESAMPLES, method, random_state=0)
        ours[method] = {
            "seconds": time.perf_counter() - began,
            "weights": result.standard_error.weights.tolist(),
            "means": result.standard_error.means.ravel().tolist(),
            "left_out": result.n_degenerate,
        }
    known = {"model": one["model"], "K": one["K"], "n_resamples": N_RESAMPLES}
    theirs = asked(X, [{"what": name, **known} for name in METHODS.values()])
    return {
        "n": len(X),
        "emgmm": ours,
        "mclust": dict(zip(METHODS, theirs, strict=True)),
    }


def tests(one):
    """Statistics and p-values of the sequence, all of which R computes."""
    from emgmm import GaussianMixtureEM, likelihood_ratio_test

    X, _ = ROWS[one["data"]](0)
    gmm = GaussianMixtureEM(covariance_type=one["model"])
    began = time.perf_counter()
    result = likelihood_ratio_test(
        gmm, X, one["K"] + 1, N_SAMPLES, alpha=1 - 1e-9, random_state=0, n_jobs=2
    )
    seconds = time.perf_counter() - began
    in_r = {"E": "E", "V": "V"}.get(one["model"][0]) if X.shape[1] == 1 else None
    known = {"model": in_r or one["model"], "K": one["K"], "n_resamples": N_SAMPLES}
    (theirs,) = asked(X, [{"what": "lrt", **known}])
    ours = {
        "seconds": seconds,
        "statistics": [test.statistic for test in result.tests],
        "p_values": [test.p_value for test in result.tests],
    }
    return {"n": len(X), "emgmm": ours, "mclust": theirs}


def level(one):
    """How often one component is rejected, by the distance of two clusters."""
    rejected = {}
    for distance in DISTANCES:
        sets = (simulated(seed, distance, N_ROWS)[0] for seed in range(N_SETS))
        values = [p_value(X, one["model"], seed) for seed, X in enumerate(sets)]
        rejected[f"{distance:g}"] = float(np.mean(np.array(values) <= LEVEL))
    return {"rejected": rejected}


def p_value(X, model, seed):
    """The p-value of one component against two."""
    from emgmm import GaussianMixtureEM, likelihood_ratio_test

    gmm = GaussianMixtureEM(covariance_type=model)
    result = likelihood_ratio_test(gmm, X, 2, N_OF_SET, random_state=seed)
    return result.tests[0].p_value
