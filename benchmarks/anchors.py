"""What users rely on, asked of both libraries: offsets, units, precision, stopping.

Each check is asked of default fits in a number of settings; a library meets it where
its value is within the limit, and an exception or no value does not meet it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

TYPES = ("full", "tied", "diag", "spherical")


def anchors(one):
    """Values of a check in all its settings, of both libraries."""
    from sklearn.mixture import GaussianMixture

    from emgmm import GaussianMixtureEM

    check = CHECKS[one["what"]]
    libraries = {"emgmm": GaussianMixtureEM, "scikit-learn": GaussianMixture}
    found = {name: values_of(check, kind) for name, kind in libraries.items()}
    return {"limit": check.limit, "values": found}


def values_of(check, library):
    """A value for each setting; None where the library raised an exception."""
    return [attempted(check.measure, library, setting) for setting in check.settings]


def attempted(measure, library, setting):
    try:
        value = float(measure(library, *setting))
    except (ValueError, AttributeError):  # the latter where nothing was published
        return None
    return value if np.isfinite(value) else None


@dataclass(frozen=True)
class Check:
    """A measure of a library in some settings, and the most that it may be."""

    measure: Any
    settings: list
    limit: float


def two_blobs(seed=0, n_samples=400, distance=6.0):
    """Rows on a grid of 2^-10 of two unit clusters side by side."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, 2))
    X[:, 0] += distance * (np.arange(n_samples) % 2)
    return np.round(X * 2.0**10) / 2.0**10


def at_an_offset(library, covariance_type, offset):
    """Fits of the same rows, which are exact there, at zero and at the offset."""
    X = two_blobs()
    settings = {"covariance_type": covariance_type, "tol": 1e-8, "random_state": 0}
    near = library(2, **settings).fit(X)
    return near, library(2, **settings).fit(X + offset), X


def iterations_at_an_offset(library, covariance_type, offset):
    near, far, _ = at_an_offset(library, covariance_type, offset)
    return abs(far.n_iter_ - near.n_iter_)


def score_at_an_offset(library, covariance_type, offset):
    near, far, X = at_an_offset(library, covariance_type, offset)
    return abs(far.score(X + offset) - near.score(X))


def float32_at_an_offset(library, covariance_type, offset):
    """Nats a row between float32 rows and the same in float64."""
    from emgmm import GaussianMixtureEM

    rows = (two_blobs() + offset).astype(np.float32)
    settings = {"covariance_type": covariance_type, "random_state": 0}
    single = library(2, **settings).fit(rows)
    double = GaussianMixtureEM(2, **settings).fit(rows.astype(np.float64))
    return abs(single.score(rows) - double.score(rows.astype(np.float64)))


def float32_of_great_values(library):
    """Two components of a row each, whose variance is reg_covar."""
    X = np.array([[9999.0], [0.0]], dtype=np.float32)
    gmm = library(2, covariance_type="spherical", reg_covar=0.1, random_state=0).fit(X)
    return np.abs(gmm.covariances_ / 0.1 - 1).max()


def variances_in_small_units(library, covariance_type, unit):
    X = two_blobs()
    settings = {"covariance_type": covariance_type, "random_state": 0}
    one, other = (library(2, **settings).fit(rows) for rows in (X, unit * X))
    scale = np.abs(one.covariances_).max()
    return np.abs(other.covariances_ / unit**2 - one.covariances_).max() / scale


def parallel_cigars(seed):
    """Two long thin clusters side by side, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(400) % 2
    X = rng.standard_normal((400, 2)) * [20.0, 0.5]
    X[:, 1] += 4.0 * labels
    return X, labels


def cigars_not_found(library, seed):
    """One less the adjusted Rand index of two long clusters, in the worse unit."""
    from sklearn.metrics import adjusted_rand_score

    X, labels = parallel_cigars(seed)
    return 1 - min(
        adjusted_rand_score(labels, library(2, random_state=0).fit_predict(rows))
        for rows in (X / X.std(axis=0), X)
    )


def overlapping(separation, seed):
    """Three clusters of unequal shapes, whose means are so far from each other."""
    rng = np.random.default_rng(seed)
    labels = np.arange(1500) % 3
    means = separation / np.sqrt(2) * np.linalg.qr(rng.standard_normal((3, 3)))[0]
    roots = np.eye(3) + 0.3 * rng.standard_normal((3, 3, 3))
    normals = rng.standard_normal((1500, 3))
    return means[labels] + np.einsum("ijk,ik->ij", roots[labels], normals)


def short_of_the_limit(library, separation, seed):
    """Nats a row that iterations gain beyond where the default tol stops."""
    settings = {"n_components": 3, "random_state": 0, "max_iter": 20_000}
    X = overlapping(separation, seed)
    stopped = library(**settings).fit(X)
    return library(**settings, tol=1e-10).fit(X).score(X) - stopped.score(X)


def start_that_is_changed(library):
    """Greatest change of parameters that are given, where no iteration is asked for."""
    known = {
        "weights_init": np.array([0.25, 0.75]),
        "means_init": np.array([[0.0, 0.0], [6.0, 0.0]]),
        "precisions_init": np.array([np.eye(2), 0.5 * np.eye(2)]),
    }
    gmm = library(2, max_iter=0, **known).fit(two_blobs())
    published = (gmm.weights_, gmm.means_, gmm.precisions_)
    pairs = zip(published, known.values(), strict=True)
    return max(np.abs(found - expected).max() for found, expected in pairs)


def components_after_a_change(library, n_components):
    """How many components too many or too few a warm start has."""
    gmm = library(2, warm_start=True, tol=1e-2, random_state=0).fit(two_blobs())
    gmm.set_params(n_components=n_components).fit(two_blobs())
    return abs(len(gmm.means_) - n_components)


def lower_bound_off_the_score(library, covariance_type):
    X = two_blobs(distance=2.0)
    settings = {"covariance_type": covariance_type, "tol": 1e-2, "random_state": 0}
    gmm = library(2, **settings).fit(X)
    return abs(gmm.lower_bound_ / gmm.score(X) - 1)


def rows_drawn_again(library):
    """The share of rows that a second sample of a seeded estimator repeats."""
    gmm = library(2, random_state=0).fit(two_blobs())
    return np.mean(gmm.sample(5)[0] == gmm.sample(5)[0])


def silent_about_few_rows(library, covariance_type):
    """One where a fit of fewer rows than features warns of nothing."""
    import warnings

    X = np.random.default_rng(0).standard_normal((20, 30))
    gmm = library(2, covariance_type=covariance_type, random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gmm.fit(X)
    return 0 if caught else 1


def pairs(first, second):
    """Every combination of two lists."""
    return [(one, other) for one in first for other in second]


OFFSETS = pairs(TYPES[1:], [1e5, 1e6, 1e8])
CHECKS = {
    "iterations more or less at an offset": Check(iterations_at_an_offset, OFFSETS, 1),
    "score at an offset, nats a row": Check(score_at_an_offset, OFFSETS, 1e-7),
    "float32 at an offset, nats a row": Check(
        float32_at_an_offset, pairs(TYPES[1:], [1e3, 1e4]), 2e-3
    ),
    "float32 of great values, variances": Check(float32_of_great_values, [()], 1e-6),
    "variances in small units": Check(
        variances_in_small_units, pairs(TYPES, [1e-3, 1e-4]), 1e-6
    ),
    "parallel cigars, 1 - ARI": Check(
        cigars_not_found, [(seed,) for seed in range(10)], 0.02
    ),
    "stopped short of the limit, nats a row": Check(
        short_of_the_limit, pairs([4.0, 2.5, 1.5], range(4)), 1e-3
    ),
    "change of a start with max_iter=0": Check(start_that_is_changed, [()], 1e-7),
    "components after a change of their number": Check(
        components_after_a_change, [(1,), (3,)], 0
    ),
    "lower_bound_ and score": Check(
        lower_bound_off_the_score, [(name,) for name in TYPES], 1e-12
    ),
    "rows that a second sample repeats": Check(rows_drawn_again, [()], 0),
    "no warning of fewer rows than features": Check(
        silent_about_few_rows, [("full",), ("tied",)], 0
    ),
}
