"""Rows with atoms, and rounded rows: what default fits and searches make of them.

Every set is made from a seed, with known classes. Beside the default fit are
scikit-learn's and the one from k-means; beside the search are that of the same rows
before they were rounded and, where R has it, mclust's of the rounded ones.
"""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from pathlib import Path
from shutil import which

import numpy as np

MODELS_OF_MCLUST = """
suppressMessages(library(mclust)); args <- commandArgs(TRUE)
fit <- Mclust(as.matrix(read.csv(args[1], header=FALSE)), verbose=FALSE)
cat(fit$modelName, fit$G, fit$classification)
"""


def atoms(one):
    """Default fits of sets of rows with atoms, or the search of a rounded set."""
    return rounded(one) if one["what"] == "rounded" else fits(one)


# Atoms


def fits(one):
    from sklearn.mixture import GaussianMixture

    from emgmm import GaussianMixtureEM

    make, n_components = SETS[one["what"]]
    rows = [make(np.random.default_rng(seed)) for seed in range(one["seeds"])]
    ways = {
        "emgmm": lambda seed: GaussianMixtureEM(n_components),
        "emgmm from k-means": lambda seed: GaussianMixtureEM(
            n_components, init_params="kmeans"
        ),
        "scikit-learn": lambda seed: GaussianMixture(n_components, random_state=seed),
    }
    return {name: scored(make_one, rows) for name, make_one in ways.items()}


def scored(make_one, rows):
    """Adjusted Rand indices of fits, how many failed, and of how many was warned."""
    from sklearn.metrics import adjusted_rand_score

    found, warned, failed = [], 0, 0
    for seed, (X, classes) in enumerate(rows):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                labels = make_one(seed).fit_predict(X)
            except ValueError:
                failed += 1
                continue
        warned += bool(caught)
        found.append(adjusted_rand_score(classes, labels))
    return {"ari": found, "warned": warned, "failed": failed}


def one_point(rng):
    """Blobs, and a fifth of the rows at a point."""
    n_features = int(rng.integers(2, 5))
    centers = 8 * rng.standard_normal((5, n_features))
    X = centers.repeat(200, axis=0)
    X[200:] += rng.standard_normal((800, n_features))
    return X, np.repeat(range(5), 200)


def zeros(rng):
    """400 rows of zeros, 1600 of three blobs."""
    X = np.repeat([[0.0, 0], [10, 0], [0, 10], [10, 10]], [400, 600, 600, 400], axis=0)
    X[400:] += rng.standard_normal((1600, 2))
    return X, np.repeat(range(4), [400, 600, 600, 400])


def black_pixels(rng, size=60):
    """Pixels of an image of four colours, one of them black."""
    colors = np.vstack([np.zeros(3), rng.integers(40, 220, (3, 3))])
    tiles = rng.integers(0, 4, (size // 6, size // 6)).repeat(6, 0).repeat(6, 1)
    classes = tiles.ravel()
    noise = 12 * rng.standard_normal((len(classes), 3)) * (classes > 0)[:, None]
    return np.clip(colors[classes] + noise, 0, 255).round(), classes


def constant_integers(rng):
    """Integers; in one cluster a feature is constant."""
    first = np.c_[np.full(200, 5.0), rng.normal(20, 4, (200, 2))]
    others = [rng.normal(m, 3.5, (200, 3)) for m in ([12, 5, 30], [25, 30, 5])]
    return np.vstack([first, *others]).round(), np.repeat(range(3), 200)


def one_hot(rng):
    """Two clear clusters, and four columns that have to do with neither."""
    X = rng.standard_normal((600, 2))
    X[300:, 0] += 6
    return np.c_[X, np.eye(4)[rng.integers(0, 4, 600)]], np.repeat(range(2), 300)


def zero_inflated(rng):
    """Three clusters; in one a feature is zero."""
    X = np.repeat([[0.0, 0], [5, 0], [5, 6]], 300, axis=0)
    X += rng.standard_normal(X.shape)
    X[:300, 0] = 0.0
    return X, np.repeat(range(3), 300)


def constant_column(rng):
    X, classes = one_point(rng)
    return np.c_[X, np.full(len(X), 0.1)], classes


SETS = {
    "zeros and blobs": (zeros, 4),
    "a fifth at one point": (one_point, 5),
    "black pixels": (black_pixels, 4),
    "a constant integer": (constant_integers, 3),
    "one-hot columns": (one_hot, 2),
    "zero-inflated": (zero_inflated, 3),
    "a constant column": (constant_column, 5),
}


# Rounded rows


def rounded(one):
    from sklearn.metrics import adjusted_rand_score

    from emgmm import GaussianMixtureIC

    exact, classes = mixture(one["mixture"])
    X = np.round(exact / one["step"]) * one["step"]
    found = {}
    for name, rows in (("not rounded", exact), ("emgmm", X)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            search = GaussianMixtureIC().fit(rows)
        found[name] = {
            "selected": "{covariance_type} {n_components}".format(
                **search.best_params_
            ),
            "K": search.best_params_["n_components"],
            "ari": adjusted_rand_score(classes, search.labels_),
            "warned": bool(caught),
        }
    if which("Rscript"):
        model, size, *labels = mclust(X)
        ari = adjusted_rand_score(classes, labels)
        found["mclust"] = {"selected": f"{model} {size}", "K": int(size), "ari": ari}
    return {"K": len(set(classes)), **found}


def mixture(number):
    """One of three mixtures of overlapping clusters, from a seed."""
    rng = np.random.default_rng(100 + number)
    sizes, means, covariances = MIXTURES[number]
    X = [
        rng.multivariate_normal(mean, covariance, size=size)
        for size, mean, covariance in zip(sizes, means, covariances, strict=True)
    ]
    return np.vstack(X), np.repeat(range(len(sizes)), sizes)


MIXTURES = [
    (
        (200, 150, 150),
        ([0, 0], [3, 3], [0, 5]),
        (np.eye(2), [[1, 0.6], [0.6, 1]], [[0.6, 0], [0, 1.5]]),
    ),
    (
        (300, 200, 150, 150),
        ([0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 4]),
        [np.eye(3)] * 4,
    ),
    (
        (250, 250),
        ([0, 0, 0, 0], [2, 2, 2, 0]),
        (np.eye(4), np.diag([1, 0.5, 1, 2])),
    ),
]


def mclust(X):
    """The model, the number of components and the labels that mclust selects."""
    with tempfile.TemporaryDirectory() as folder:
        rows, script = Path(folder) / "rows.csv", Path(folder) / "fit.R"
        np.savetxt(rows, X, delimiter=",")
        script.write_text(MODELS_OF_MCLUST, encoding="utf-8")
        command = ["Rscript", str(script), str(rows)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.split()
