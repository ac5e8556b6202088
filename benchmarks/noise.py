"""Clusters in uniform noise: the search with a noise component beside R's mclust.

To the rows of clusters come rows that are uniform in their box, made a little wider.
mclust's noise component begins from a guess which rows are noise: here those that are,
its best case, or as many at random. How well clusters are found is measured on their
rows alone, beside a search on these without noise.
"""

from __future__ import annotations

import time
from contextlib import closing

import numpy as np
from sklearn.metrics import adjusted_rand_score

from emgmm import GaussianMixtureEM, GaussianMixtureIC

from .checkouts import MclustNoise, file_of, without_mclust
from .pool import run_all
from .problems import draw, equidistant, spheres

SIZES = range(1, 9)  # the same in noise.R
WIDER = 0.1  # of the box, at each side
ALONE = "emgmm, cluster rows alone"
OURS = "emgmm"
OF_MCLUST = (
    "mclust, no noise component",
    "mclust, true noise rows",
    "mclust, random noise rows",
)
WAYS = (OURS, *OF_MCLUST)
TRUTH, DEFAULT = "truth", "default"
STARTS = {  # with a noise component, of the true number of components
    "k-means++": {"init_params": "k-means++", "n_init": 20, "tol": 1e-5},
    "random_from_data": {"init_params": "random_from_data", "n_init": 20, "tol": 1e-5},
}


def correlated(rng):
    """Long clusters in several directions."""
    means = [[0, 0], [7, 2], [1, 7], [8, 9]]
    angles = np.deg2rad([20, 100, -40, 70])
    axes = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return draw(rng, 400, means, 0.4 * np.eye(2) + 3 * axes[:, :, None] * axes[:, None])


def unequal(rng):
    """Clusters of unequal weights and spreads."""
    means = [[0, 0], [6, 0], [2, 5]]
    return draw(rng, 500, means, spheres([1.6, 0.8, 0.5], 2), [0.55, 0.3, 0.15])


def five_features(rng):
    """Clusters of unequal shapes in five features."""
    factors = rng.standard_normal((3, 5, 10)) / np.sqrt(10)
    scales = np.array([0.7, 1.0, 1.3])[:, None, None]
    means = 4 * np.eye(3, 5)
    return draw(rng, 450, means, (scales * factors) @ (scales * factors).mT)


def six(rng):
    """Six clusters near one another, of two shapes."""
    means = 5 * np.array([[0, 0], [1, 0.2], [2, 0], [0, 1], [1, 1.2], [2, 1]])
    round_or_long = [np.eye(2), [[2.2, 1.2], [1.2, 1.0]]]
    return draw(rng, 600, means, np.tile(round_or_long, (3, 1, 1)))


CLUSTERS = {
    "correlated": correlated,
    "unequal": unequal,
    "spheres": lambda rng: equidistant(rng, 400, 3, 4, 4.5),
    "five features": five_features,
    "six": six,
}


def noise(one):
    """Figures of every way, for each share of noise and each seed."""
    without = without_mclust()
    known = one["data"], one["shares"], without is None
    tasks = [(seed, *known) for seed in range(one["seeds"])]
    runs = [run for found in run_all(runs_of, tasks) for run in found]
    clusters, labels = CLUSTERS[one["data"]](np.random.default_rng(0))
    return {
        **{"n": len(clusters), "d": clusters.shape[1], "K": len(set(labels.tolist()))},
        "runs": runs,
        "failed": {"mclust": without} if without else {},
    }


def runs_of(task):
    """Figures of one seed, each beside the search on the clusters' rows alone."""
    seed, name, shares, with_mclust = task
    rng = np.random.default_rng(seed)
    clusters, labels = CLUSTERS[name](rng)
    alone = {"way": ALONE, "share": 0, "seed": seed}
    runs = [alone | searched(clusters, labels, None)]
    for share in shares:
        X = np.concatenate([clusters, uniform(rng, clusters, share)])
        known = {"share": share, "seed": seed}
        runs.append(known | {"way": OURS} | searched(X, labels, "uniform"))
        runs.append(known | {"way": DEFAULT} | default_start(X, labels))
        if with_mclust:
            runs += [known | run for run in of_mclust(rng, X, labels)]
    return runs


def uniform(rng, clusters, share):
    """Rows of noise that are such a share of all."""
    low, high = clusters.min(axis=0), clusters.max(axis=0)
    margin = WIDER * (high - low)
    number = round(share / (1 - share) * len(clusters))
    return rng.uniform(low - margin, high + margin, (number, len(low)))


def searched(X, labels, kind):
    """Figures of a search over all models."""
    began = time.perf_counter()
    search = GaussianMixtureIC(SIZES, covariance_type="all", noise=kind).fit(X)
    seconds = time.perf_counter() - began
    nearest = search.predict_proba(X).argmax(axis=1)
    weight = search.noise_weight_ if kind else 0.0
    return figures(labels, search.labels_, nearest) | {
        "K": int(search.best_params_["n_components"]),
        "model": search.best_params_["covariance_type"],
        "noise_weight": float(weight),
        "seconds": seconds,
    }


def figures(labels, found, nearest):
    """Agreement of the rows of clusters, which come first, with their true labels:
    those of noise a cluster of their own, or in their most probable component."""
    return {
        "ari": adjusted_rand_score(labels, found[: len(labels)]),
        "ari_of_nearest": adjusted_rand_score(labels, nearest[: len(labels)]),
    }


def of_mclust(rng, X, labels):
    """Figures of mclust's searches."""
    true = np.arange(len(labels), len(X))
    starts = [[], true, np.sort(rng.choice(len(X), len(true), replace=False))]
    with closing(MclustNoise(1)) as program, file_of(X, text=True) as path:
        for way, rows in zip(OF_MCLUST, starts, strict=True):
            if way == OF_MCLUST[0] or len(rows):
                task = {"rows": path, "noise": [int(row) for row in rows]}
                yield {"way": way} | mclust_figures(program, task, labels)


def mclust_figures(program, task, labels):
    """Figures of one search of mclust, or how it failed."""
    try:
        found = program.do(task)
    except RuntimeError as error:
        return {"error": str(error)}
    own = figures(labels, found.pop("labels"), found.pop("nearest"))
    return own | found


def default_start(X, labels):
    """Mean log-likelihoods of a fit with the true number of components from the default
    start, of fits from the truth, and of the best of many starts."""
    size = labels.max() + 1
    truth = np.concatenate([labels, np.full(len(X) - len(labels), -1)])
    gmm = GaussianMixtureEM(size, noise="uniform", random_state=0)
    began = time.perf_counter()
    found = {DEFAULT: gmm.fit(X).lower_bound_}
    seconds = time.perf_counter() - began
    settings = {**STARTS, TRUTH: {"init_params": truth, "tol": 1e-5}}
    for name, each in settings.items():
        fit = GaussianMixtureEM(size, noise="uniform", random_state=0, **each).fit(X)
        found[name] = float(fit.lower_bound_)
    return {"log_likelihoods": found, "seconds": seconds}
