"""Fits of rows that stay in a file: memory, seconds of a pass, and of reading alone."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from .clock import seconds, summary
from .machine import status

PART = 100_000  # rows that are written, and of an iterable yielded, at a time
CHUNK = 2**22  # numbers that reading alone looks at at a time
PASSES = 5
EVERY = 0.02  # seconds from one look at the memory to the next
REPEATS = 3


def outofcore(one):
    """Figures of a source of rows, in a process that has fitted nothing before."""
    repeats = min(one["repeats"], REPEATS)
    with file_of_blobs(one) as path:
        X = SOURCES[one["source"]](path, one)
        fitted, taken, megabytes = fit_and_peak(X, one)
        times = {"fit": [taken]}
        times["pass"] = [seconds_of_pass(X, one, fitted) for _ in range(repeats)]
        if one["source"] == "map":
            times["read"] = [seconds(lambda: read(X)) for _ in range(repeats)]
            times["score"] = [seconds(lambda: fitted.score(X)) for _ in range(repeats)]
            del X
            cold = [cold_times(path, one, fitted) for _ in range(repeats)]
            times["cold read"], times["cold score"] = zip(*cold, strict=True)
        return {
            "seconds": {name: summary(values) for name, values in times.items()},
            "passes": int(fitted.n_iter_),
            "megabytes": megabytes,
        }


@contextmanager
def file_of_blobs(one):
    """The path of a file of rows around centres, as they are in memory."""
    import numpy as np

    rng = np.random.default_rng(0)
    centers = rng.standard_normal((one["K"], one["d"]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows"
        with path.open("wb") as file:
            for first in range(0, one["n"], PART):
                size = min(PART, one["n"] - first)
                rows = rng.standard_normal((size, one["d"]), dtype=np.float32)
                rows += centers[rng.integers(one["K"], size=size)]
                file.write(rows.astype(one["dtype"], copy=False).data)
        yield path


def map_of(path, one):
    import numpy as np

    shape = (one["n"], one["d"])
    return np.memmap(path, dtype=one["dtype"], mode="r", shape=shape)


def array_of(path, one):
    import numpy as np

    return np.fromfile(path, dtype=one["dtype"]).reshape(one["n"], one["d"])


def blocks_of(path, one):
    X = map_of(path, one)

    def blocks():
        return (X[first : first + PART] for first in range(0, len(X), PART))

    return blocks


SOURCES = {"map": map_of, "iterable": blocks_of, "array": array_of}


def fit_and_peak(X, one):
    """A default fit, its seconds, and the megabytes of anonymous memory it added."""
    from emgmm import GaussianMixtureEM

    estimator = GaussianMixtureEM(one["K"], covariance_type=one["model"])
    before, peak, ended = status("RssAnon"), [0], threading.Event()

    def look():
        while not ended.wait(EVERY):
            peak[0] = max(peak[0], status("RssAnon"))

    looking = threading.Thread(target=look, daemon=True)
    if before is not None:
        looking.start()
    began = time.perf_counter()
    estimator.fit(X)
    taken = time.perf_counter() - began
    ended.set()
    return estimator, taken, None if before is None else (peak[0] - before) / 1024


def seconds_of_pass(X, one, fitted):
    """Difference of two fits, so that what is not iterated cancels."""
    short, long = (seconds(fit_from(X, one, fitted, n)) for n in (1, 1 + PASSES))
    return (long - short) / PASSES


def fit_from(X, one, fitted, max_iter):
    """A fit of so many iterations from the parameters of another."""
    from emgmm import GaussianMixtureEM

    estimator = GaussianMixtureEM(
        one["K"],
        covariance_type=one["model"],
        weights_init=fitted.weights_,
        means_init=fitted.means_,
        precisions_init=fitted.precisions_,
        tol=0.0,
        max_iter=max_iter,
    )
    return lambda: estimator.fit(X)


def read(X):
    """Look at every number, and do next to nothing with it."""
    import numpy as np

    size = CHUNK // X.shape[1]
    for first in range(0, len(X), size):
        np.add.reduce(X[first : first + size], axis=None)


def cold_times(path, one, fitted):
    """Seconds of reading, and of a pass, each after the system has forgotten the file;
    unless the system cannot be asked to."""
    forget(path)
    X = map_of(path, one)
    reading = seconds(lambda: read(X))
    del X
    forget(path)
    X = map_of(path, one)
    return reading, seconds(lambda: fitted.score(X))


def forget(path):
    if not hasattr(os, "posix_fadvise"):
        return
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
