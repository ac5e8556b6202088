"""What a checkout is asked to do: the program that `benchmarks.checkouts` runs.

Its package is the one that comes first on PYTHONPATH, so nothing else of this folder is
imported. For each line, a task in JSON, it answers with a line: processor and wall
seconds, and what was found. Rows come from a file.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import warnings

import numpy as np

EVERY = 0.02  # seconds from one look at the memory to the next
SIZES = range(1, 10)
SKLEARN_MODELS = ("full", "tied", "diag", "spherical")


# Each returns what tells of the result, a function that is called after the time.


def search(X, **settings):
    """The selected mixture, and the candidate of the most work."""
    from emgmm import GaussianMixtureIC

    found = GaussianMixtureIC(**settings).fit(X)

    def result():
        best, table = found.best_estimator_, found.results_
        slowest = np.argmax(table["n_iter"] * table["n_components"])
        slow = [table[name][slowest] for name in ("covariance_type", "n_components")]
        bic = float(table["bic"][found.best_index_])
        chosen = selected(bic, best.covariance_type, best.n_components)
        fits = len(found.criterion_)
        return {**chosen, "fits": fits, "slowest": [str(slow[0]), int(slow[1])]}

    return result


def sklearn_search(X):
    """The least BIC of scikit-learn's models with 1 to 9 components."""
    from sklearn.mixture import GaussianMixture

    found = []
    for model in SKLEARN_MODELS:
        for size in SIZES:
            gmm = GaussianMixture(size, covariance_type=model, random_state=0).fit(X)
            found.append((float(gmm.bic(X)), model, size))
    return lambda: {**selected(*min(found)), "fits": len(found)}


def selected(bic, model, n_components):
    return {"model": str(model), "K": int(n_components), "bic": bic}


def fits(X, library, n_components, seeds=1, **settings):
    """Mean log-likelihoods of a row, one for each seed."""
    kind = kind_of(library)
    models = [
        kind(n_components, random_state=seed, **settings).fit(X)
        for seed in range(seeds)
    ]
    return lambda: {"log_likelihoods": [float(model.score(X)) for model in models]}


def fit(X, library, n_components, **settings):
    """A fit's mean log-likelihood of a row, its parameters and labels."""
    model = kind_of(library)(n_components, **settings).fit(X)
    return lambda: {
        "log_likelihood": float(model.score(X)),
        "weights_": model.weights_.tolist(),
        "covariances_": model.covariances_.tolist(),
        "reg_covar": model.reg_covar,
        "labels": model.predict(X).tolist(),
    }


def iterations(X, n_components, model, max_iter):
    """Plain EM from a start that is passed, always as many iterations."""
    from emgmm import GaussianMixtureEM

    d = X.shape[1]
    precisions = {
        "full": lambda: np.tile(np.eye(d), (n_components, 1, 1)),
        "tied": lambda: np.eye(d),
        "diag": lambda: np.ones((n_components, d)),
    }[model]()
    gmm = GaussianMixtureEM(
        n_components,
        covariance_type=model,
        weights_init=np.full(n_components, 1 / n_components),
        means_init=X[:n_components],
        precisions_init=precisions,
        acceleration=None,
        tol=0,
        max_iter=max_iter,
    ).fit(X)
    return lambda: {"iterations": gmm.n_iter_, "found": float(gmm.score(X))}


def predictions(X, n_components):
    """What a mixture that is known predicts of all rows."""
    from emgmm import GaussianMixtureEM

    d = X.shape[1]
    weights = np.full(n_components, 1 / n_components)
    covariances = np.tile(np.eye(d), (n_components, 1, 1))
    gmm = GaussianMixtureEM.from_parameters(weights, X[:n_components], covariances)
    labels, densities = gmm.predict(X), gmm.score_samples(X)
    return lambda: {"found": float(densities.mean()), "labels": int(labels.sum())}


def kind_of(library):
    import sklearn.mixture

    import emgmm

    return {
        "emgmm": emgmm.GaussianMixtureEM,
        "scikit-learn": sklearn.mixture.GaussianMixture,
    }[library]


TASKS = {
    "search": search,
    "sklearn_search": sklearn_search,
    "fits": fits,
    "fit": fit,
    "iterations": iterations,
    "predictions": predictions,
}


def answer(task):
    """Seconds of a task, and what was found; with ``memory`` megabytes it added."""
    X = np.load(task["rows"], mmap_mode="r" if task.get("map") else None)
    run = TASKS[task["task"]]
    looking = Memory() if task.get("memory") else None
    processor, wall = time.process_time(), time.perf_counter()
    result = run(X, **task.get("settings", {}))
    times = {
        "cpu": time.process_time() - processor,
        "wall": time.perf_counter() - wall,
    }
    added = {"megabytes": looking.end()} if looking else {}
    return {**times, **added, **result()}


class Memory:
    """The most anonymous memory from now on, beyond that of now."""

    def __init__(self):
        self._before = self._most = anonymous()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self):
        while not self._ended.wait(EVERY):
            self._most = max(self._most, anonymous())

    def end(self):
        self._ended.set()
        self._thread.join()
        return (self._most - self._before) / 1024


def anonymous():
    """Kilobytes of memory that no file backs: pages of a memory map do not count."""
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if "RssAnon" in line)


def main():
    import sklearn.mixture  # noqa: F401  (imports are not timed)

    import emgmm  # noqa: F401

    warnings.simplefilter("ignore")
    for line in sys.stdin:
        try:
            found = answer(json.loads(line))
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
