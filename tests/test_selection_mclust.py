"""The default search beside mclust's: likelihoods, parameters, and what is selected.

``data/README.md`` says how the references were made. mclust's likelihoods of VVE with
two or more components are below the maximum, so that they are no reference.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from emgmm import GaussianMixtureIC

DATA = Path(__file__).parent / "data"
DATASETS = ["iris", "faithful", "sim_d2_n5000_k8"]


@cache
def load(name):
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


@cache
def searched(dataset):
    """The default search, and its results by model and number of components."""
    search = GaussianMixtureIC().fit(np.array(load(f"me_{dataset}")["data"]))
    results = search.results_
    names = zip(results["covariance_type"], results["n_components"], strict=True)
    return search, {
        name: {key: column[row] for key, column in results.items()}
        for row, name in enumerate(names)
    }


def mclusts(dataset, name):
    """Values of mclust's table by model and number of components."""
    table = load(f"search_{dataset}")
    return {
        (model, size): value
        for size, row in zip(table["G"], table[name], strict=True)
        for model, value in zip(table["models"], row, strict=True)
    }


def allowed(dataset):
    """Nats between log-likelihoods of all rows that count as equal."""
    return max(1e-3, 1e-5 * len(load(f"me_{dataset}")["data"]))


def exact_fits():
    """EVE and VVE by an EM whose M-step is exact, as parameters of a test."""
    return [
        pytest.param(
            record["data"],
            record["model"],
            record["G"],
            record["loglik"],
            id=f"{record['data']}-{record['model']}-{record['G']}",
        )
        for record in load("vve_eve_exact")["fits"]
    ]


@pytest.mark.parametrize("dataset", DATASETS)
def test_next_to_no_likelihood_is_below_mclusts(dataset):
    _, found = searched(dataset)
    gained = {
        name: found[name]["log_likelihood"] - value
        for name, value in mclusts(dataset, "loglik").items()
        if value is not None and (name[0] != "VVE" or name[1] == 1)
    }
    worse = {
        name: gain for name, gain in gained.items() if not gain >= -allowed(dataset)
    }
    assert len(worse) < 0.02 * len(gained), worse


@pytest.mark.parametrize("dataset, model, size, log_likelihood", exact_fits())
def test_common_orientations_are_as_good_as_exact_ones(
    dataset, model, size, log_likelihood
):
    found = searched(dataset)[1][model, size]["log_likelihood"]
    assert found >= log_likelihood - allowed(dataset)


@pytest.mark.parametrize("dataset", DATASETS)
def test_one_component_has_mclusts_likelihood(dataset):
    _, found = searched(dataset)
    for name, value in mclusts(dataset, "loglik").items():
        if name[1] == 1:
            assert found[name]["log_likelihood"] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("dataset", DATASETS)
def test_parameters_are_counted_as_in_mclusts_table(dataset):
    _, found = searched(dataset)
    expected = mclusts(dataset, "npar")
    assert {name: one["n_parameters"] for name, one in found.items()} == expected


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_mixture_selected_is_at_least_as_good_as_mclusts(dataset):
    search, _ = searched(dataset)
    best = load(f"search_{dataset}")["best_bic"]
    X = np.array(load(f"me_{dataset}")["data"])
    assert search.best_params_ == {
        "n_components": best["G"],
        "covariance_type": best["model"],
    }
    assert search.best_estimator_.bic(X) <= -best["bic"] + 2 * allowed(dataset)


# Of faithful, mclust's is a VVE.
@pytest.mark.parametrize("dataset", ["iris", "sim_d2_n5000_k8"])
def test_least_icl_is_mclusts(dataset):
    _, found = searched(dataset)
    best = load(f"search_{dataset}")["best_icl"]
    name = min(found, key=lambda name: found[name]["icl"])
    assert name == (best["model"], best["G"])
    assert found[name]["icl"] == pytest.approx(-best["icl"], rel=1e-5)
