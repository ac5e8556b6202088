"""Tests of the number of components: R's, properties, and what they refuse."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture

from emgmm import (
    GaussianMixtureEM,
    GaussianMixtureIC,
    LikelihoodRatioDisplay,
    likelihood_ratio_test,
)

DATA = Path(__file__).parent / "data"
CERTAIN = 1 - 1e-9  # a level at which every test is done


@cache
def load(name):
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def two_clusters(n_samples=60, distance=6.0, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n_samples, 1))
    rows[: n_samples // 2] += distance
    return rows


def ratio_tests(X, most=2, n=9, model="tied", **options):
    gmm = GaussianMixtureEM(covariance_type=model)
    return likelihood_ratio_test(gmm, X, most, n, **{"random_state": 0, **options})


# Against R


def reference(model):
    return next(
        each for each in load("bootstrap_faithful")["lrt"] if each["model"] == model
    )


@pytest.mark.parametrize("model", ["VVV", "EEE"])
def test_statistics_of_mclust_are_reached_or_exceeded(model):
    """mclust's starts end at lower maxima of VVV with 3 components, and of EEE with 4:
    statistics are differences of neighbours."""
    faithful, own = load("me_faithful")["data"], reference(model)
    result = ratio_tests(faithful, 4, 2, model, alpha=CERTAIN)
    ours = np.cumsum([test.statistic for test in result.tests])
    assert (ours >= np.cumsum(own["LRTS"]) - 0.02).all()
    assert_allclose(result.tests[0].statistic, own["LRTS"][0], atol=1e-2)


def test_p_values_are_those_of_mclust_where_both_reach_the_same_maxima():
    """VVV: 1 against 2, and EEE: 1 against 2 and 2 against 3."""
    faithful = load("me_faithful")["data"]
    for model, most in (("VVV", 2), ("EEE", 3)):
        result = ratio_tests(faithful, most, 39, model)
        for test, p_value in zip(
            result.tests, reference(model)["p_value"], strict=False
        ):
            assert p_value == 0.001
            assert test.p_value == 1 / 40


def test_statistics_are_those_of_scikit_learn():
    X = two_clusters(distance=3.0)
    fits = [
        GaussianMixture(k, covariance_type="tied", n_init=20, tol=1e-9, random_state=0)
        .fit(X)
        .score(X)
        for k in (1, 2)
    ]
    (test,) = ratio_tests(X).tests
    assert_allclose(test.statistic, 2 * len(X) * (fits[1] - fits[0]), atol=5e-3)


def test_the_median_of_replicates_of_one_component_is_that_of_mclust():
    """Fits from several starts find higher maxima than EM from one, of which mclust's
    quantiles are lower bounds."""
    faithful = load("me_faithful")["data"]
    (test,) = ratio_tests(faithful, 2, 39, "EEE").tests
    quantiles = reference("EEE")["boot_quantiles"]
    lower = quantiles["values"][0][quantiles["probs"].index(0.5)]
    assert np.median(test.replicates) > lower


# Properties


def test_two_clusters_are_found_and_one_is_not_divided():
    found = ratio_tests(two_clusters(), 4, 39)
    assert found.n_components == 2
    assert [test.n_components for test in found.tests] == [1, 2]
    assert found.tests[0].p_value == 1 / 40
    assert found.tests[1].p_value > 0.05
    one = ratio_tests(two_clusters(distance=0.0, seed=3), 4, 39)
    assert one.n_components == 1


def test_a_p_value_is_the_share_of_replicates_as_great():
    for distance in (0.0, 2.5):
        (test,) = ratio_tests(two_clusters(distance=distance), n=29).tests
        greater = np.sum(test.replicates >= test.statistic)
        assert test.p_value == (1 + greater) / 30
        assert len(test.replicates) == 29
        assert (test.replicates >= 0).all()


def test_if_all_are_rejected_the_greatest_number_is_chosen():
    result = ratio_tests(two_clusters(), 2, 19)
    assert result.tests[-1].p_value <= 0.05
    assert result.n_components == 2


def test_p_values_of_one_cluster_are_uniform():
    """Of 40 sets of one cluster few are rejected at 20%, and not all p-values are
    great."""
    values = [
        ratio_tests(np.random.default_rng(seed).normal(size=(40, 1)), n=9)
        .tests[0]
        .p_value
        for seed in range(40)
    ]
    assert 1 <= np.sum(np.array(values) <= 0.2) <= 16  # binomial: 2.4e-4 in all
    assert 10 <= np.sum(np.array(values) <= 0.5) <= 30


def test_a_weight_is_a_repetition():
    X = two_clusters(30, 2.0)
    weights = np.arange(30) % 3 + 1
    (one,) = ratio_tests(X, sample_weight=weights).tests
    (two,) = ratio_tests(np.repeat(X, weights, axis=0)).tests
    assert_allclose(one.statistic, two.statistic, atol=1e-3)
    assert_allclose(one.replicates, two.replicates, atol=0.02)


def test_missing_values_are_those_of_the_rows():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(40, 2)), rng.normal(size=(40, 2)) + 5])
    X[::5, 0] = np.nan
    result = ratio_tests(X, 2, 19)
    assert result.n_components == 2
    assert result.tests[0].n_failed == 0


def test_results_do_not_depend_on_jobs():
    X = two_clusters(distance=2.0)
    one, two = (ratio_tests(X, n=12, n_jobs=n).tests[0] for n in (1, 2))
    assert_array_equal(one.replicates, two.replicates)
    other = ratio_tests(X, n=12, random_state=1).tests[0]
    assert not np.array_equal(one.replicates, other.replicates)


def test_of_a_search_the_model_is_used():
    search = GaussianMixtureIC([1, 2], covariance_type=["VVI"]).fit(two_clusters())
    result = likelihood_ratio_test(search, two_clusters(), 2, 5, random_state=0)
    assert result.covariance_type == search.best_estimator_.covariance_type


def test_the_table_and_the_text():
    pytest.importorskip("pandas")
    result = ratio_tests(two_clusters(), 3, 19)
    table = result.to_frame()
    assert list(table.null) == [1, 2]
    assert list(table.p_value) == [test.p_value for test in result.tests]
    lines = repr(result).splitlines()
    assert lines[0] == "Likelihood-ratio tests of components, tied, 19 resamples"
    assert lines[-1] == "2 components (alpha=0.05)"


def test_the_display_draws_the_replicates_and_the_statistic():
    result = ratio_tests(two_clusters(), 3, 19)
    display = LikelihoodRatioDisplay.from_result(result, bins=5)
    for line, panel, test in zip(
        display.lines_, display.axes_, result.tests, strict=True
    ):
        assert line.get_xdata()[0] == test.statistic
        assert panel.get_title().startswith(f"{test.n_components} against")
    plt.close(display.figure_)
    figure, ax = plt.subplots()
    assert LikelihoodRatioDisplay(result).plot(ax).figure_ is figure
    plt.close(figure)
    with pytest.raises(TypeError, match="is not what likelihood_ratio_test returns"):
        LikelihoodRatioDisplay.from_result(None)


# What is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_components": 1}, "max_components=1 is not a whole number from 2"),
        ({"max_components": True}, "max_components=True is not a whole number"),
        ({"n_resamples": 1}, "n_resamples=1 is not a whole number from 2"),
        ({"alpha": 0}, "alpha=0 is not a number between 0 and 1"),
        ({"alpha": "5%"}, "alpha='5%' is not a number"),
    ],
    ids=str,
)
def test_invalid_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        likelihood_ratio_test(
            GaussianMixtureEM(),
            **{"X": two_clusters(), "max_components": 2, "n_resamples": 5, **arguments},
        )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"prior": "conjugate"}, "prior='conjugate' cannot be used"),
        ({"means_init": [[0.0]]}, "set means_init=None"),
        ({"init_params": np.zeros(60, int)}, "init_params is an array"),
    ],
    ids=["prior", "means", "labels"],
)
def test_parameters_of_one_number_of_components_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        likelihood_ratio_test(GaussianMixtureEM(1, **parameters), two_clusters(), 2, 5)


def test_other_estimators_and_rows_are_refused():
    with pytest.raises(TypeError, match="is not a mixture of this package"):
        likelihood_ratio_test(GaussianMixture(), two_clusters(), 2)
    with pytest.raises(NotFittedError):
        likelihood_ratio_test(GaussianMixtureIC(), two_clusters(), 2)
    with pytest.raises(ValueError, match="resampling needs rows in memory"):
        likelihood_ratio_test(GaussianMixtureEM(), iter([two_clusters()]), 2)
    with pytest.raises(ValueError, match="n_samples"):
        likelihood_ratio_test(GaussianMixtureEM(), [[0.0], [1.0]], 3, 2)


def test_random_starts_are_reproducible_without_a_seed_of_the_estimator():
    gmm = GaussianMixtureEM(covariance_type="tied", init_params="random")
    rows = np.random.default_rng(0).normal(size=(40, 2))
    first, second = (
        likelihood_ratio_test(gmm, rows, 2, 5, random_state=0) for _ in range(2)
    )
    assert_array_equal(first.tests[0].replicates, second.tests[0].replicates)
    assert first.tests[0].statistic == second.tests[0].statistic
    assert gmm.random_state is None
