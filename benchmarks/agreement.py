"""Largest differences from R by model: ``python -m benchmarks.agreement``.

The comparisons are those of ``tests/test_r.py``, which only asks that differences be
small; here they are printed. Log-likelihoods are relative, parameters in standard
deviations (weights as they are). VVE is compared with an exact EM instead of mclust's.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

from emgmm._model.families import MODELS

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import test_r as comparisons


def relative(value, expected):
    return abs(value / expected - 1)


def trajectory_difference():
    """Of the log-likelihoods of the script's 50 iterations, start included."""
    begun, n_samples = comparisons.demonstration(0)
    gmm, _ = comparisons.demonstration(50)
    path = n_samples * np.append(begun.lower_bound_, gmm.lower_bounds_)
    expected = comparisons.load("seed_gist")["corrected"]["loglik_after_iteration"]
    return np.max(np.abs(path / expected - 1))


def m_step_differences(model):
    """Of log-likelihood and parameters of one M-step, over the data sets."""
    steps = [
        comparisons.m_step_from_mclusts_responsibilities(dataset, model)
        for dataset in comparisons.DATASETS
    ]
    return (
        max(relative(step.log_likelihood, step.record["loglik"]) for step in steps),
        max(
            comparisons.distance(
                step.weights, step.means, step.covariances, step.record
            )
            for step in steps
        ),
    )


def fit_differences(model):
    """Of log-likelihood and parameters of converged fits, and their number."""
    records = [
        (dataset, record)
        for dataset in comparisons.DATASETS
        for record in comparisons.load(f"me_{dataset}")["me_tight"]
    ]
    if model == "VVE":
        exact = comparisons.load("vve_eve_exact")["fits"]
        records = [(record["data"], record) for record in exact]
    differences = []
    for dataset, record in records:
        if record["model"] == model and comparisons.is_truth(record):
            gmm = comparisons.fit_like(dataset, record)
            found = gmm.lower_bound_ * len(comparisons.rows(dataset))
            distance = comparisons.distance_of_fit(gmm, record)
            differences.append((relative(found, record["loglik"]), distance))
    return *np.max(differences, axis=0), len(differences)


def main():
    warnings.simplefilter("ignore")  # fits of as many iterations as the reference's
    print(f"script's 50 iterations, log-likelihood: {trajectory_difference():.0e}\n")
    print(
        "| model | M-step, log-likelihood | parameters | fits | log-l. | parameters |"
    )
    print("|---|---|---|---|---|---|")
    for model in MODELS:
        step = ("-", "-")
        if model != "VVE":
            step = [f"{difference:.0e}" for difference in m_step_differences(model)]
        *fits, count = fit_differences(model)
        fits = [f"{difference:.0e}" for difference in fits]
        print(f"| {model} | {' | '.join(step)} | {count} | {' | '.join(fits)} |")


if __name__ == "__main__":
    main()
