"""Fits of shapes whose costs might explode: very wide rows, many components, a photo.

Default fits of both libraries by turns, and the memory that each adds in a process of
its own.
"""

from __future__ import annotations

import multiprocessing

import numpy as np

from .clock import in_turn, seconds, summary
from .machine import peak_added

SIDE = 512  # pixels of a photo


def extremes(one):
    """Seconds, megabytes and log-likelihoods of default fits of both libraries."""
    X = rows_of(one)
    fitted = {}

    def fit(library):
        fitted[library] = estimator_of(one, library).fit(X)

    for library in LIBRARIES:  # what is imported on the way counts for neither
        estimator_of({**one, "K": 1}, library).fit(X[: 2 * one["K"], :2])
    times, failed = in_turn(
        {name: lambda name=name: seconds(lambda: fit(name)) for name in LIBRARIES},
        min(one["repeats"], 3),
    )
    spawned = multiprocessing.get_context("spawn")
    with spawned.Pool(1, maxtasksperchild=1) as pool:
        tasks = [(one, library) for library in LIBRARIES]
        megabytes = dict(zip(LIBRARIES, pool.starmap(added, tasks, 1), strict=True))
    return {
        "seconds": {name: summary(values) for name, values in times.items()},
        "megabytes": megabytes,
        "log_likelihood": {name: float(fitted[name].score(X)) for name in times},
        "iterations": {name: fitted[name].n_iter_ for name in times},
        "failed": failed,
    }


def added(one, library):
    """Megabytes that a fit adds to those of the rows."""
    X = rows_of(one)
    estimator_of({**one, "K": 1}, library).fit(X[: 2 * one["K"], :2])
    return peak_added(lambda: estimator_of(one, library).fit(X))[1]


def _emgmm(one):
    from emgmm import GaussianMixtureEM

    return GaussianMixtureEM(one["K"], covariance_type=one["model"])


def _sklearn(one):
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(one["K"], covariance_type=one["model"], random_state=0)


LIBRARIES = {"scikit-learn": _sklearn, "emgmm": _emgmm}


def estimator_of(one, library):
    """With the defaults of the library."""
    return LIBRARIES[library](one)


def rows_of(one):
    """The rows in float64: scikit-learn misreads integers where it predicts."""
    return ROWS[one["what"]](one, np.random.default_rng(0))


def blobs(one, rng):
    """Of unit variance, around centres that are near to one another in each feature."""
    centers = (0.3 if one["d"] > 100 else 1.0) * rng.normal(size=(one["K"], one["d"]))
    return (
        rng.normal(size=(one["n"], one["d"]))
        + centers[rng.integers(one["K"], size=one["n"])]
    )


def one_hot(one, rng):
    """A number, and the levels of categories, each a column of zeros and ones."""
    levels = one["d"] - 1
    per_category = 12
    labels = rng.integers(per_category, size=(one["n"], levels // per_category))
    hot = (labels[:, :, None] == np.arange(per_category)).reshape(one["n"], -1)
    return np.column_stack([rng.normal(size=one["n"]), hot.astype(float)])


def photo(one, rng):
    """Smooth colours, some discs, and noise, rounded to bytes."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    image = np.zeros((SIDE, SIDE, 3))
    for channel in range(3):
        for a, b, phase in rng.uniform([-6, -6, 0], [6, 6, 6.3], size=(6, 3)):
            image[..., channel] += np.sin(a * x + b * y + phase)
    for across, down, size in rng.uniform(size=(8, 3)):
        disc = (x - across) ** 2 + (y - down) ** 2 < (0.05 + 0.15 * size) ** 2
        image[disc] += 2 * rng.normal(size=3)
    image = 255 * (image - image.min()) / np.ptp(image)
    image += 4 * rng.normal(size=image.shape)
    return np.clip(image, 0, 255).astype(np.uint8).reshape(-1, 3).astype(float)


ROWS = {"blobs": blobs, "one-hot": one_hot, "photo": photo}
