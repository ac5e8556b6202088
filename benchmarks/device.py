"""Rows on a GPU: ``python -m benchmarks.device --device=cuda --out=device.json``.

One run of less than five minutes, without a network: the device's own rates, iterations
of EM in float64 and float32 beside those of other libraries on the same rows, default
fits, searches and predictions, and how far all of it is from NumPy's. What is not
installed, fails, or comes after the budget of seconds is spent, is reported so. The
results go to ``benchmarks/results/device.json``, unless another file is named, and
their tables are printed. `benchmarks.device_tables` says what is counted.

``--device=cpu`` runs the same on the processor: by default with fewer rows, there read
by NumPy's kernels, as emgmm reads tensors in host memory; ``--kernels=array-api`` runs
the kernels of the array API instead, those that a GPU gets.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .cases import case, make_problem
from .clock import (
    LEAST_ITERATIONS,
    MOST_ITERATIONS,
    fit_once,
    in_turn,
    message_of,
    seconds,
    seconds_per_iteration,
    summary,
)
from .device_peers import (
    DEVICE_PEERS,
    DeviceProblem,
    device_description,
    device_rates,
    missing,
    on_host,
    peak_megabytes,
)
from .device_tables import DEVICE_TABLES
from .machine import description
from .peers import EMGMM, mean_log_likelihood, version_of

DEFAULT_OUT = Path(__file__).parent / "results" / "device.json"
BUDGET = 240  # seconds, after which nothing new begins
ENOUGH = 0.3  # seconds that need no more iterations
ROWS = {"cuda": 1.0, "mps": 1.0, "cpu": 0.1}  # share of the rows of the cases
QUICK = {"n": 2000, "d": 12, "K": 4}  # at most
REPEATS = 3
DTYPES = ("float64", "float32")
KERNELS = {"array-api": False, "numpy": True}  # whether NumPy reads host memory

# Of 100 iterations PyCave, now torchgmm, reports 7.7 s on a GTX 1080 Ti, and 730 s of
# scikit-learn.
LONG = case("device", 1_000_000, 64, 64, "diag")
ITERATED = [
    case("device", 1_000_000, 10, 20),
    case("device", 1_000_000, 30, 10),
    LONG,
    case("device", 200_000, 100, 10),
]
DEFAULT = case("device", 1_000_000, 10, 5, what="default fit", spread=1.0)
SEARCHED = case("device", 100_000, 5, 4, what="search", spread=2.0)
SEARCH = {"n_components": (2, 3, 4, 5), "covariance_type": ["full", "tied", "diag"]}
QUICK_SEARCH = {"n_components": (2, 3), "covariance_type": ["full", "diag"]}
LONG_ITERATIONS, QUICK_LONG = 100, 5


@dataclass
class Run:
    """What is asked of a run, and what it has found."""

    device: str
    rows: float
    quick: bool
    budget: float
    peers: list
    save: Callable  # what has been found so far: a run that is stopped leaves that
    began: float = field(default_factory=time.perf_counter)
    results: list = field(default_factory=list)

    @property
    def repeats(self):
        return 1 if self.quick else REPEATS

    @property
    def skipped(self):
        """Why nothing new begins; None while there is time."""
        spent = time.perf_counter() - self.began > self.budget
        return f"skipped: {self.budget:g} s were spent" if spent else None

    def do(self, what, function, **more):
        """Add the results of a function, or why there are none."""
        began, reason = time.perf_counter(), self.skipped
        try:
            found = {"error": reason} if reason else function()
        except Exception as error:
            found = {"error": message_of(error)}
        taken = time.perf_counter() - began
        self.results.append({"what": what, **more, "taken": taken, **found})
        self.save(self)
        sizes = [str(more["case"].get(key, "")) for key in ("n", "d", "K", "model")]
        label = " ".join([what, *sizes, more.get("dtype", "")])
        print(f"{label}: {found.get('error', f'{taken:.1f} s')}", flush=True)

    @property
    def dtypes(self):
        """Types of numbers on the device, the most precise first."""
        return DTYPES[1:] if self.device == "mps" else DTYPES

    @property
    def long(self):
        """Iterations of a long fit."""
        return QUICK_LONG if self.quick else LONG_ITERATIONS

    @property
    def first(self):
        """Iterations after which libraries are compared."""
        return 3 if self.quick else 11

    def number(self, seconds):
        """Iterations to time, where the first ones took so long."""
        if self.quick:
            return LEAST_ITERATIONS
        enough = round(ENOUGH * self.first / seconds)
        return min(MOST_ITERATIONS, max(LEAST_ITERATIONS, enough))

    def scaled(self, one):
        """A case of so many rows; in a quick run smaller in every way."""
        sizes = {"n": round(self.rows * one["n"])}
        if self.quick:
            sizes |= {key: min(one[key], most) for key, most in QUICK.items()}
        return {**one, **sizes}


def measure(run):
    """All results."""
    rates = {"group": "device"}
    run.do("rates", lambda: device_rates(run.device, run.quick), case=rates)
    of_fits(run)  # in a process in which other libraries have left nothing behind
    cases = [run.scaled(one) for one in ITERATED]
    made = {}  # problems, with the parameters that NumPy finds
    for dtype in run.dtypes:
        for one in cases[: 2 if run.quick else None]:
            run.do(
                "iterations",
                lambda one=one, dtype=dtype: iterations(run, one, dtype, made),
                case=one,
                dtype=dtype,
            )


def of_fits(run):
    """Results of whole fits, in the most precise type of the device."""
    for name, one, function in (
        ("default fit", DEFAULT, default_fit),
        ("search", SEARCHED, search),
        ("long fit", LONG, long_fit),
    ):
        scaled = run.scaled(one)
        dtypes = run.dtypes if name == "long fit" else run.dtypes[:1]
        for dtype in dtypes:
            run.do(
                name,
                lambda of=function, one=scaled, dtype=dtype: of(run, one, dtype),
                case=scaled,
                dtype=dtype,
            )


def blobs(one):
    """A problem that starts at a row of each blob, so that no component collapses: rows
    far from a narrow component are for kernels that are more accurate, and slower."""
    return make_problem({**one, "group": "quality"})


# Iterations ----------------------------------------------------------------------


def iterations(run, one, dtype, made):
    """Seconds of an iteration of each library, memory, and differences from NumPy."""
    key = json.dumps(one)
    if key not in made:
        problem = blobs(one)
        fitted = EMGMM().prepare(problem, run.first)()
        made[key] = problem, EMGMM().parameters(fitted)
    host, reference = made[key]
    problem = DeviceProblem(host.X, host.means, host.model, dtype, run.device)
    found = {"log_likelihood": {}, "difference": {}, "megabytes": {}}
    numbers, failed = {}, {}
    for peer in run.peers:
        reason = missing(peer, one["model"]) or run.skipped
        try:
            if reason is None:
                taken = first_fits(run, peer, problem, found, reference)
                numbers[peer] = run.number(taken)
            else:
                failed[peer.name] = reason
        except Exception as error:
            failed[peer.name] = message_of(error)
    times = in_turns(run, problem, numbers, failed)
    return {"seconds": times, **found, "failed": failed}


def first_fits(run, peer, problem, found, reference):
    """Seconds of the first iterations; what they lead to, and memory, are added."""
    fit_once(peer, problem, 1)  # warms up
    taken, fitted = fit_once(peer, problem, run.first)
    found["log_likelihood"][peer.name] = mean_log_likelihood(peer, fitted, problem)
    if not getattr(peer, "own_start", False):
        found["difference"][peer.name] = difference(peer.parameters(fitted), reference)
    del fitted
    if peer.name != "emgmm, NumPy" or run.device == "cpu":
        fit = peer.prepare(problem, 1)
        found["megabytes"][peer.name] = peak_megabytes(fit, run.device)
    return taken


def in_turns(run, problem, numbers, failed):
    """Seconds of an iteration of each library, as often as there is time for."""
    functions = {
        peer.name: lambda peer=peer: seconds_per_iteration(peer, problem, numbers[peer])
        for peer in numbers
    }
    times = {name: [] for name in functions}
    for repeat in range(run.repeats):
        if repeat and run.skipped:
            break
        found, failed_now = in_turn(functions, 1)
        failed |= failed_now
        for name, values in found.items():
            times[name] += values
    iterated = {peer.name: number for peer, number in numbers.items()}
    return {
        name: summary(values, iterations=iterated[name])
        for name, values in times.items()
        if values
    }


def difference(found, reference):
    """Greatest of weights, of means in standard deviations, and of covariances in
    products of these."""
    weights, means, covariances = (np.asarray(value, float) for value in reference)
    if covariances.ndim == 3:
        deviations = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
        spread = deviations[:, :, None] * deviations[:, None, :]
    else:
        deviations, spread = np.sqrt(covariances), covariances
    return float(
        max(
            np.abs(found[0] - weights).max(),
            np.abs((found[1] - means) / deviations).max(),
            np.abs((found[2] - covariances) / spread).max(),
        )
    )


# Whole fits ----------------------------------------------------------------------


def default_fit(run, one, dtype):
    from emgmm import GaussianMixtureEM

    return compared(run, one, dtype, lambda problem: GaussianMixtureEM(one["K"]))


def search(run, one, dtype):
    from emgmm import GaussianMixtureIC

    candidates = QUICK_SEARCH if run.quick else SEARCH
    return compared(run, one, dtype, lambda problem: GaussianMixtureIC(**candidates))


def long_fit(run, one, dtype):
    return compared(
        run, one, dtype, lambda problem: EMGMM().estimator(problem, run.long), 1
    )


def compared(run, one, dtype, estimator_of, repeats=None):
    """Seconds to fit and to predict on the device, and with rows of NumPy; how far the
    results are apart."""
    host = blobs(one)
    problem = DeviceProblem(host.X, host.means, host.model, dtype, run.device)
    ours, numpy = estimator_of(problem), estimator_of(problem)
    labels = {}

    def predict(name, estimator, X):
        labels[name] = on_host(estimator.predict(X))

    fits = {
        "fit": problem.waiting(lambda: ours.fit(problem.tensor)),
        "fit, NumPy": lambda: numpy.fit(problem.rows),
        "predict": lambda: predict("device", ours, problem.tensor),
        "predict, NumPy": lambda: predict("NumPy", numpy, problem.rows),
    }
    megabytes = peak_megabytes(fits["fit"], run.device) if repeats is None else None
    times, failed = in_turn(
        {name: lambda of=function: seconds(of) for name, function in fits.items()},
        repeats or run.repeats,
    )
    found = {name: summary(values) for name, values in times.items()}
    apart = {} if failed else distances(ours, numpy, labels)
    return {"seconds": found, "failed": failed, "megabytes": megabytes, **apart}


def distances(ours, numpy, labels):
    """Of the parameters, the log-likelihood and the labels from NumPy's."""
    apart = {
        "iterations": [int(ours.n_iter_), int(numpy.n_iter_)],
        "labels": int(np.sum(labels["device"] != labels["NumPy"])),
        "log_likelihood": abs(float(ours.lower_bound_) - float(numpy.lower_bound_)),
    }
    own, reference = (
        [on_host(getattr(fitted, name)) for name in PARAMETERS]
        for fitted in (ours, numpy)
    )
    shapes = [[np.shape(value) for value in each] for each in (own, reference)]
    comparable = shapes[0] == shapes[1] and ours.means_.shape[0] == len(own[2])
    return {**apart, "difference": difference(own, reference) if comparable else None}


PARAMETERS = ("weights_", "means_", "covariances_")


# The command ---------------------------------------------------------------------


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=sorted(ROWS), help="default: what is there")
    parser.add_argument("--quick", action="store_true", help="few rows, one repeat")
    parser.add_argument("--no-peers", action="store_true", help="emgmm alone")
    parser.add_argument("--rows", type=float, help="share of the rows of the cases")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds")
    parser.add_argument("--kernels", choices=sorted(KERNELS), help="of host memory")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    return parser.parse_args()


def available():
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def prepare(device, kernels):
    """Dispatch on arrays, and the kernels that are asked for."""
    import sklearn

    from emgmm._utils.device import Device

    warnings.simplefilter("ignore")  # a fixed number of iterations does not converge
    sklearn.set_config(array_api_dispatch=True)
    if kernels and device == "cpu":
        Device.is_host = property(lambda self: KERNELS[kernels])


def about(device, kernels):
    """Machine, device and versions."""
    import emgmm

    found = description()
    found["versions"] |= {name: version_of(name) for name in ("torch", "torchgmm")}
    found["versions"]["emgmm"] = emgmm.__version__  # the one that was imported
    found["notes"] = {peer.name: peer.note for peer in DEVICE_PEERS if peer.note}
    found["device"] = {**device_description(device), "kernels": kernels}
    return found


def report_of(run, about):
    return {
        "group": "device",
        "quick": run.quick,
        **about,
        "rows": run.rows,
        "budget": run.budget,
        "seconds": time.perf_counter() - run.began,
        "results": run.results,
    }


def main():
    os.environ.setdefault("SCIPY_ARRAY_API", "1")  # before SciPy is imported
    options = arguments()
    device = options.device or available()
    prepare(device, options.kernels)
    known = about(device, options.kernels)
    options.out.parent.mkdir(parents=True, exist_ok=True)

    def save(run):
        text = json.dumps(report_of(run, known), indent=1)
        options.out.write_text(text + "\n", encoding="utf-8")

    rows = options.rows or ROWS[device]
    peers = [p for p in DEVICE_PEERS if not options.no_peers or not p.requires]
    run = Run(device, rows, options.quick, options.budget, peers, save)
    measure(run)
    report = report_of(run, known)
    for name, (_, table) in DEVICE_TABLES.items():
        print(f"\n## {name}\n\n{table(report)}")
    print(f"\n{report['seconds']:.0f} s; {options.out}")


if __name__ == "__main__":
    main()
