"""Time and log-likelihood of EM beside scikit-learn: ``python -m benchmarks.run``.

Every case runs in a process of its own. There both libraries iterate equally often
from the same start, in turn, and the medians count: machines are noisy, and only
figures of one run compare. The results, with machine and versions, go to a JSON file;
the table printed is made of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "iterations.json"
REPEATS = 5
ITERATIONS = 5

# n_samples, n_features, n_components, covariance_type
CASES = [
    (200_000, 2, 3, "full"),
    (100_000, 10, 20, "full"),
    (50_000, 30, 10, "full"),
    (20_000, 100, 10, "full"),
    (100_000, 10, 20, "tied"),
    (100_000, 10, 20, "diag"),
    (100_000, 10, 20, "spherical"),
]


def make_problem(n_samples, n_features, n_components, covariance_type):
    """Rows of overlapping blobs, and a start of unit covariances at some of them."""
    import numpy as np

    rng = np.random.default_rng(0)
    centers = 3 * rng.standard_normal((n_components, n_features))
    labels = rng.integers(n_components, size=n_samples)
    X = centers[labels] + rng.standard_normal((n_samples, n_features))
    precisions = {
        "full": np.tile(np.eye(n_features), (n_components, 1, 1)),
        "tied": np.eye(n_features),
        "diag": np.ones((n_components, n_features)),
        "spherical": np.ones(n_components),
    }
    return X, {
        "n_components": n_components,
        "covariance_type": covariance_type,
        "weights_init": np.full(n_components, 1 / n_components),
        "means_init": X[:n_components],
        "precisions_init": precisions[covariance_type],
        "tol": 0.0,
    }


def seconds_per_iteration(estimator, X):
    """Difference of two fits, so that what is not iterated cancels."""
    times = []
    for max_iter in (1, 1 + ITERATIONS):
        began = time.perf_counter()
        estimator.set_params(max_iter=max_iter).fit(X)
        times.append(time.perf_counter() - began)
    return (times[1] - times[0]) / ITERATIONS


def run_case(case):
    """Medians and spread of both libraries in one case."""
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    from emgmm import GaussianMixtureEM

    warnings.simplefilter("ignore")  # a fixed number of iterations does not converge
    X, parameters = make_problem(*case)
    ours, theirs = GaussianMixtureEM(**parameters), GaussianMixture(**parameters)
    times = {"emgmm": [], "scikit-learn": [], "scikit-learn, one thread": []}
    for _ in range(REPEATS):
        times["emgmm"].append(seconds_per_iteration(ours, X))
        times["scikit-learn"].append(seconds_per_iteration(theirs, X))
        with threadpool_limits(1):
            one_thread = seconds_per_iteration(theirs, X)
        times["scikit-learn, one thread"].append(one_thread)
    return {
        "case": dict(zip(("n", "d", "K", "model"), case, strict=True)),
        "seconds": {
            name: {
                "median": statistics.median(values),
                "least": min(values),
                "most": max(values),
            }
            for name, values in times.items()
        },
        "log_likelihood": {"emgmm": ours.score(X), "scikit-learn": theirs.score(X)},
    }


def run_all():
    """Results of all cases, with machine and versions."""
    import numpy
    import scipy
    import sklearn

    import emgmm

    results = []
    for index in range(len(CASES)):
        command = [sys.executable, "-m", "benchmarks.run", "--case", str(index)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        results.append(json.loads(done.stdout))
    modules = (emgmm, numpy, scipy, sklearn)
    return {
        "machine": {
            "processor": platform.machine(),
            "cpus": os.cpu_count(),
            "system": platform.system(),
        },
        "python": platform.python_version(),
        "versions": {module.__name__: module.__version__ for module in modules},
        "repeats": REPEATS,
        "results": results,
    }


def table(report):
    """Markdown of the report: milliseconds per iteration, and their ratio."""
    lines = [
        "| n | d | K | model | emgmm, ms | scikit-learn, ms | ratio | scores |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for result in report["results"]:
        medians = {k: v["median"] * 1e3 for k, v in result["seconds"].items()}
        ours = medians.pop("emgmm")
        theirs = min(medians.values())
        difference = abs(
            result["log_likelihood"]["emgmm"] - result["log_likelihood"]["scikit-learn"]
        )
        case = " | ".join(str(value) for value in result["case"].values())
        lines.append(
            f"| {case} | {ours:.1f} | {theirs:.1f} | {theirs / ours:.2f} | "
            f"differ by {difference:.0e} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", type=int, help="run this case alone, print its JSON")
    arguments = parser.parse_args()
    if arguments.case is not None:
        print(json.dumps(run_case(CASES[arguments.case])))
        return
    report = run_all()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=1))
    print(table(report))


if __name__ == "__main__":
    main()
