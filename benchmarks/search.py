"""Searches beside R's mclust and beside a loop over scikit-learn's four models."""

from __future__ import annotations

from contextlib import closing

import numpy as np
from sklearn.datasets import load_breast_cancer, load_wine

from .checkouts import Mclust, checkouts, compared, file_of, without_mclust
from .problems import stored


def simulated(n, d=3, K=5):
    """Rows of components that differ in all respects, always the same."""
    rng = np.random.default_rng(0)
    means = rng.normal(scale=3.0, size=(K, d))
    labels = rng.integers(K, size=n)
    factors = 0.5 * rng.normal(size=(K, d, d)) + np.eye(d)
    normals = rng.normal(size=(n, d))
    return means[labels] + np.einsum("nij,nj->ni", factors[labels], normals)


ROWS = {
    "iris": lambda: stored(0, "iris")[0],
    "wine": lambda: load_wine().data,
    "1000 x 3": lambda: simulated(1_000),
    "10000 x 3": lambda: simulated(10_000),
    "breast cancer": lambda: load_breast_cancer().data,
}


def search(one):
    """Seconds of each way to select among 1 to 9 components, and what it selects."""
    X, threads = ROWS[one["data"]](), one["threads"]
    without = without_mclust() if one["mclust"] else "it takes too long here"
    with file_of(X, text=not without) as path, checkouts(threads) as programs:
        ways = {
            name: (program, {"task": "search", "rows": path})
            for name, program in programs.items()
        }
        scikit = {"task": "sklearn_search", "rows": path}
        ways["scikit-learn"] = (programs["emgmm"], scikit)
        if without:
            found = compared(ways, one["repeats"], one["clock"])
        else:
            with closing(Mclust(threads)) as program:
                ways["mclust"] = (program, {"rows": path})
                found = compared(ways, one["repeats"], one["clock"])
    if without:
        found["failed"]["mclust"] = without
    return {"n": len(X), "d": X.shape[1], **found}
