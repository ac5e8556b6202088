"""Fits of many rows with and without EM on a sample of them first, by default calls."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path

from .cases import make_problem
from .clock import in_turn, seconds, summary

REPEATS = 3
NEVER = 2**62  # numbers beyond which EM goes on with a sample, where it is not to


def large(one):
    """Seconds, passes over all rows and score of each way to fit."""
    with rows_of(one) as X:
        fits, found = ways(one, X), {}

        def run(name):
            def timed():
                found[name] = fits[name]()

            return seconds(timed)

        functions = {name: lambda name=name: run(name) for name in fits}
        times, failed = in_turn(functions, min(one["repeats"], REPEATS))
        return {
            "seconds": {name: summary(values) for name, values in times.items()},
            "passes": {name: int(fit.n_iter_) for name, fit in found.items()},
            "log_likelihood": {name: score(fit, X) for name, fit in found.items()},
            "failed": failed,
        }


def score(fit, X):
    """In parts: scikit-learn holds an array of rows times components."""
    size = 100_000
    parts = [X[start : start + size] for start in range(0, len(X), size)]
    return float(sum(len(part) * fit.score(part) for part in parts) / len(X))


@contextmanager
def rows_of(one):
    """The rows in memory, or in a map of a file."""
    import numpy as np

    problem = make_problem(one)
    X = problem.X if one["rows"] == "float64" else problem.float32
    if one["rows"] != "map":
        yield X
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        np.save(path, X)
        yield np.load(path, mmap_mode="r")


def ways(one, X):
    """Functions that fit: as it is by default, without the sample, and scikit-learn."""
    from sklearn.mixture import GaussianMixture

    import emgmm._init.default as _default
    from emgmm import GaussianMixtureEM

    known = {"covariance_type": one["model"], "tol": one["tol"]}
    usual = _default.VERY_MANY

    def ours(very_many):
        _default.VERY_MANY = very_many
        try:
            return GaussianMixtureEM(one["K"], **known).fit(X)
        finally:
            _default.VERY_MANY = usual

    def theirs():
        return GaussianMixture(one["K"], random_state=0, **known).fit(X)

    found = {"emgmm": lambda: ours(usual), "emgmm, no sample": lambda: ours(NEVER)}
    return {**found, "scikit-learn": theirs} if one["sklearn"] else found
