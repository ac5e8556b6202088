"""The measurements: one function a group, from a case to its results."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import warnings
from importlib import import_module

from .cases import make_problem
from .clock import (
    SETTLE,
    in_turn,
    iteration_times,
    seconds,
    summary,
)
from .machine import limit, peak_added, status
from .peers import MAIN, peers_for, rows, thread_limit
from .quality import quality


def iterations(one):
    """Seconds per iteration of every library, beside the machine's limit."""
    problem = make_problem(one)
    found = iteration_times(peers_for(one), problem, one["repeats"])
    return found if "libraries" in one else {**found, "limit": limit(one)}


def scaling(one):
    """As `iterations`, of the two libraries; scikit-learn not beyond its most rows."""
    problem = make_problem(one)
    names = MAIN if one["n"] <= one["sklearn_most"] else ("emgmm",)
    found = iteration_times(peers_for(one, names), problem, min(3, one["repeats"]))
    return {**found, "limit": limit(one)}


def predict(one):
    """Seconds of a method on all rows, and its memory beyond what it returns."""
    problem, method = make_problem(one), one["method"]
    functions, added = {}, {}
    for peer in peers_for(one, MAIN):
        call = fitted_method(peer, problem, method)
        result, megabytes = peak_added(call)
        own = result.nbytes / 2**20
        added[peer.name] = None if megabytes is None else megabytes - own
        del result
        functions[peer.name] = call
    times, failed = in_turn(
        {name: lambda call=call: seconds(call) for name, call in functions.items()},
        one["repeats"],
    )
    return {
        "seconds": {name: summary(values) for name, values in times.items()},
        "megabytes": added,
        "failed": failed,
    }


def fitted_method(peer, problem, method):
    """The method after two iterations on some rows, called once to warm it up."""
    some = rows(problem, peer.dtype)[:20_000]
    estimator = peer.estimator(problem, 2).fit(some)

    def call():
        with thread_limit(peer):
            return getattr(estimator, method)(problem.X)

    getattr(estimator, method)(some)
    return call


def small(one):
    return {"fit": small_fit, "import": import_time}[one["what"]](one)


def small_fit(one):
    """A default fit of the iris rows, and whether it started a thread."""
    from sklearn.datasets import load_iris

    X = load_iris().data
    functions, started = {}, {}
    for peer in peers_for({"model": "full"}, MAIN):
        function = default_fit(peer, X, one["start"])
        started[peer.name] = threads_started(function)
        functions[peer.name] = function
    times, failed = in_turn(
        {name: lambda run=run: warm_seconds(run) for name, run in functions.items()},
        10 * one["repeats"],
    )
    return {
        "seconds": {name: summary(values) for name, values in times.items()},
        "threads_started": started,
        "failed": failed,
    }


def warm_seconds(function):
    """After a call that is not timed: a pause leaves the caches cold."""
    time.sleep(SETTLE)
    function()
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def default_fit(peer, X, start):
    """Of three components; scikit-learn's k-means start needs a seed to repeat."""
    from sklearn.mixture import GaussianMixture

    from emgmm import GaussianMixtureEM

    estimator = GaussianMixture(3, random_state=0)
    if peer.name == "emgmm":
        estimator = GaussianMixtureEM(3, init_params=start)

    def fit():
        with thread_limit(peer):
            estimator.fit(X)

    return fit


def threads_started(function):
    """Threads that are there afterwards and were not before: Python's, and all."""
    python, system = threading.active_count(), status("Threads")
    function()
    return {
        "python": threading.active_count() - python,
        "all": None if system is None else status("Threads") - system,
    }


IMPORT = """
import sys, time
import sklearn.mixture
began = time.perf_counter()
import emgmm
print(time.perf_counter() - began, "matplotlib" in sys.modules, "dask" in sys.modules)
"""


def import_time(one):
    """Seconds that importing emgmm adds to scikit-learn's, each in a fresh process."""
    times, unwanted = [], set()
    for _ in range(max(7, one["repeats"]) + 1):
        command = [sys.executable, "-c", IMPORT]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        taken, matplotlib, dask = done.stdout.split()
        times.append(float(taken))
        unwanted |= {"matplotlib"} if matplotlib == "True" else set()
        unwanted |= {"dask"} if dask == "True" else set()
    # The first may have had to compile the modules.
    return {"seconds": {"emgmm": summary(times[1:])}, "imported": sorted(unwanted)}


def memory(one):
    """Megabytes that a fit of three iterations from the default start adds."""
    problem = make_problem({**one, "model": "full"})
    estimator = default_estimator(one)
    estimator.fit(problem.X[:2000])
    fitted, megabytes = peak_added(lambda: estimator.fit(problem.X))
    return {"megabytes": megabytes, "iterations": fitted.n_iter_}


def default_estimator(one):
    from sklearn.mixture import GaussianMixture

    from emgmm import GaussianMixtureEM

    libraries = {"emgmm": GaussianMixtureEM, "scikit-learn": GaussianMixture}
    return libraries[one["library"]](
        one["K"], covariance_type=one["model"], max_iter=3, tol=0.0, random_state=0
    )


def oversubscription(one):
    from .crowding import search

    return search(one)


def of_module(one):
    """What the module of the group's name measures, by a function of that name."""
    name = one["group"]
    return getattr(import_module(f".{name}", __package__), name)(one)


MEASURES = {
    "iterations": iterations,
    "quality": quality,
    "predict": predict,
    "small": small,
    "memory": memory,
    "scaling": scaling,
    "oversubscription": oversubscription,
}
"""Groups measured here; every other has a module of its own."""


def measure(one):
    warnings.simplefilter("ignore")  # a fixed number of iterations does not converge
    return {"case": one, **MEASURES.get(one["group"], of_module)(one)}
