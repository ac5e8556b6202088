"""Differences of fits by where the rows are: ``python -m benchmarks.sources``.

The same rows in a memory map, in uneven blocks, in a Dask array on threads and on
worker processes; each fit beside that of the rows in memory. Parameters are compared in
standard deviations (weights as they are), log-likelihoods in nats a row.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

from emgmm import GaussianMixtureEM

N, D, K = 2_000_000, 10, 5  # more numbers than what is copied of a map, and sampled
WORKERS = 2


def blobs():
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((K, D))
    return centers[rng.integers(K, size=N)] + rng.standard_normal((N, D))


def with_gaps(X):
    missing = np.random.default_rng(1).integers(20, size=len(X))
    holes = X.copy()
    for feature in range(2):
        holes[missing == feature, feature] = np.nan
    return holes


def blocks_of(X, path):
    cuts = np.sort(np.random.default_rng(2).integers(len(X), size=50))
    return np.split(X, cuts)


def map_of(X, path):
    np.save(path / "rows.npy", X)
    return np.load(path / "rows.npy", mmap_mode="r")


def dask_of(X, path):
    return da.from_array(X, chunks=(300_000, D))


def fit(X):
    return GaussianMixtureEM(K).fit(X)


def on_threads(X):
    with dask.config.set(scheduler="threads"):
        return fit(X)


def on_workers(X):
    with (
        LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster),
    ):
        return fit(X)


WAYS = {
    "memory map": (map_of, fit),
    "51 uneven blocks": (blocks_of, fit),
    "Dask, threads": (dask_of, on_threads),
    f"Dask, {WORKERS} processes": (dask_of, on_workers),
}
ROWS = {
    "float64": lambda X: X,
    "float32": lambda X: X.astype(np.float32),
    "a tenth of the rows with a gap": with_gaps,
}


def difference(gmm, other):
    """Greatest of the parameters, in standard deviations."""
    deviations = np.sqrt(np.diagonal(other.covariances_, axis1=1, axis2=2))
    spread = deviations[:, :, None] * deviations[:, None, :]
    return max(
        np.abs(gmm.weights_ - other.weights_).max(),
        np.abs((gmm.means_ - other.means_) / deviations).max(),
        np.abs((gmm.covariances_ - other.covariances_) / spread).max(),
    )


def main():
    print("| rows | where | iterations | parameters | log-likelihood |")
    print("|---|---|---|---|---|")
    for kind, prepare in ROWS.items():
        X = prepare(blobs())
        expected = fit(X)
        for name, (source, fitted) in WAYS.items():
            with tempfile.TemporaryDirectory() as folder:
                gmm = fitted(source(X, Path(folder)))
            iterations = f"{gmm.n_iter_} and {expected.n_iter_}"
            of_likelihood = abs(gmm.lower_bound_ - expected.lower_bound_)
            found = f"{difference(gmm, expected):.0e} | {of_likelihood:.0e}"
            print(f"| {kind} | {name} | {iterations} | {found} |", flush=True)


if __name__ == "__main__":
    main()
