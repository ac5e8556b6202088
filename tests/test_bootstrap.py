"""The bootstrap: R's, closed forms, weights, matching, and what it refuses."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.mixture import GaussianMixture

from emgmm import (
    BootstrapDisplay,
    DegenerateComponentWarning,
    GaussianMixtureEM,
    GaussianMixtureIC,
    bootstrap,
)
from emgmm._after.matching import matched
from emgmm._after.replicates import RESAMPLING
from emgmm._data.arrays import ArrayBlocks
from emgmm._data.missing import blocks_of
from emgmm._em.lockstep import run_in_lockstep, run_on_own_rows
from emgmm._estep.estep import expectation
from emgmm._estep.own_rows import expectation_of_own_rows
from emgmm._model.parameters import Parameters
from emgmm.datasets import make_three_components

DATA = Path(__file__).parent / "data"
METHODS = sorted(RESAMPLING)
NAMES_IN_R = {"weighted": "wlbs", "nonparametric": "bs", "parametric": "pb"}
FIELDS = ("weights", "means", "covariances")
X = make_blobs(0, n_samples=120, n_features=2, n_components=3)


@cache
def load(name):
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def fitted(rows=X, n_components=3, sample_weight=None, **parameters):
    gmm = GaussianMixtureEM(n_components, **{"tol": 1e-8, **parameters})
    return gmm.fit(rows, sample_weight=sample_weight)


def with_gaps(rows=X):
    rows = rows.copy()
    rows[::7, 0], rows[3::11, 1] = np.nan, np.nan
    return rows


def sd_error(values):
    """Standard errors of the standard deviations of replicates, as skewed as they
    are."""
    deviations = values - values.mean(axis=0)
    fourth = (deviations**4).mean(axis=0) / (deviations**2).mean(axis=0) ** 2
    return values.std(axis=0, ddof=1) * np.sqrt((fourth - 1) / (4 * len(values)))


# Against R


def in_r(array, components):
    """Values by component as R has them: the first index is the fastest."""
    return np.moveaxis(array[components], 0, -1).ravel(order="F")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", ["VVV2", "EEE3"])
def test_standard_errors_are_those_of_mclust_within_monte_carlo_error(case, method):
    faithful, reference = load("me_faithful")["data"], load("bootstrap_faithful")
    own = reference["bootstrap"][case]
    gmm = fitted(np.array(faithful), int(case[3]), covariance_type=case[:3])
    order = np.abs(gmm.weights_ - np.array(own["weights"])[:, None]).argmin(axis=1)
    assert_allclose(gmm.weights_[order], own["weights"], rtol=1e-2)
    result = bootstrap(gmm, faithful, 1999, method, random_state=0)
    for field in FIELDS:
        theirs = own[NAMES_IN_R[method]][field]
        values = getattr(result.replicates, field)
        error = np.sqrt(1 + 1999 / 999) * in_r(sd_error(values), order)
        sd = in_r(getattr(result.standard_error, field), order)
        assert (np.abs(sd - theirs["sd"]) <= 4 * error).all()
        mean = in_r(values.mean(axis=0), order)
        of_means = sd * np.sqrt(1 / 999 + 1 / 1999)
        assert (np.abs(mean - theirs["mean"]) <= 4 * of_means).all()


# Closed forms


@pytest.mark.parametrize("method", METHODS)
def test_of_one_component_errors_of_the_mean_are_those_of_a_mean(method):
    rows = np.random.default_rng(1).normal(size=(80, 2)) * [1.0, 30.0]
    gmm = fitted(rows, 1)
    result = bootstrap(gmm, rows, 3000, method, random_state=0)
    expected = rows.std(axis=0) / np.sqrt(80)
    if method == "weighted":  # the variance of Dirichlet weights is 1 / (n (n + 1))
        expected = rows.std(axis=0) / np.sqrt(81)
    error = sd_error(result.replicates.means)[0]
    assert (np.abs(result.standard_error.means[0] - expected) < 4 * error).all()
    low, high = result.confidence_interval
    assert_allclose(high.means - low.means, 2 * 1.96 * expected[None], rtol=0.1)
    assert_array_equal(result.standard_error.weights, [0.0])


@pytest.mark.parametrize("method", METHODS)
def test_a_weight_is_a_repetition_in_distribution(method):
    weights = np.arange(len(X)) % 3 + 1.0
    repeated = np.repeat(X, weights.astype(int), axis=0)
    gmm = fitted(sample_weight=weights)
    one = bootstrap(gmm, X, 1500, method, sample_weight=weights, random_state=0)
    two = bootstrap(fitted(repeated), repeated, 1500, method, random_state=1)
    for field in FIELDS:
        a, b = getattr(one.replicates, field), getattr(two.replicates, field)
        error = np.hypot(sd_error(a), sd_error(b))
        assert (np.abs(a.std(axis=0) - b.std(axis=0)) <= 4.5 * error).all()


def test_weights_of_any_unit_count_as_rows():
    weights = np.full(len(X), 1 / len(X))
    one = bootstrap(
        fitted(sample_weight=weights), X, 50, sample_weight=weights, random_state=0
    )
    other = bootstrap(fitted(), X, 50, random_state=0)
    assert_allclose(one.standard_error.means, other.standard_error.means, rtol=1e-3)


# How replicates are fitted


@pytest.mark.parametrize("noise", [None, "uniform"])
@pytest.mark.parametrize("model", ["full", "tied", "diag", "spherical", "VEV", "EEI"])
def test_rows_of_its_own_give_a_mixture_the_statistics_of_a_pass(model, noise):
    gmm = fitted(covariance_type=model, noise=noise)
    mixture = gmm._mixture()
    rng = np.random.RandomState(0)
    samples = np.stack([gmm.sample(50, rng)[0].T for _ in range(3)])
    stack = Parameters.joined([mixture, fitted_like(mixture), mixture])
    found = expectation_of_own_rows(samples, stack)
    for b, sample in enumerate(samples):
        alone = stack.mixture(b)
        rows = ArrayBlocks(np.ascontiguousarray(sample.T))
        (expected,) = expectation(rows, [alone])
        own = found.take(np.array([b]))
        assert_allclose(own.counts, expected.counts, rtol=1e-9)
        assert_allclose(own.means, expected.means, rtol=1e-9)
        assert_allclose(own.scatter, expected.scatter, rtol=1e-8, atol=1e-8)
        assert_allclose(own.log_likelihood, expected.log_likelihood, rtol=1e-10)


def fitted_like(mixture):
    """The mixture with its means elsewhere."""
    return Parameters(
        mixture.weights, mixture.means + 0.3, mixture.covariances, mixture.noise
    )


def test_runs_on_rows_of_their_own_end_where_single_runs_do():
    gmm = fitted()
    problem = gmm._problem(ArrayBlocks(X)).with_options(tol=1e-10)
    samples = np.stack([gmm.sample(100, np.random.RandomState(i))[0] for i in range(5)])
    start = gmm._mixture()
    found = run_on_own_rows(
        problem, Parameters.joined([start] * 5), samples.transpose(0, 2, 1)
    )
    for b, sample in enumerate(samples):
        alone = problem.with_rows(ArrayBlocks(sample))
        (expected,) = run_in_lockstep([alone], [start])
        assert_allclose(found.lower_bound[b], expected.lower_bound[0], rtol=1e-8)
        means = found.mixtures.mixture(b).means
        assert_allclose(means, expected.mixtures.means, atol=1e-3)


@pytest.mark.parametrize("rows", [X, with_gaps()], ids=["complete", "missing"])
def test_replicates_are_at_maxima_of_their_weighted_likelihoods(rows, monkeypatch):
    drawn = []

    def recording(problems, starts, shares=None, watch=None):
        drawn.extend(shares or [])
        return run_in_lockstep(problems, starts, shares, watch)

    monkeypatch.setattr("emgmm._after.replicates.run_in_lockstep", recording)
    gmm = fitted(rows)
    found = bootstrap(gmm, rows, 5, random_state=0).replicates
    blocks = blocks_of(rows, None, bool(np.isnan(rows).any()))
    shares = blocks.to_input_order(drawn[0])
    for b in range(5):
        again = GaussianMixtureEM(
            3,
            tol=1e-10,
            weights_init=found.weights[b],
            means_init=found.means[b],
            precisions_init=np.linalg.inv(found.covariances[b]),
        ).fit(rows, sample_weight=shares[:, b])
        start = GaussianMixtureEM.from_parameters(
            found.weights[b], found.means[b], found.covariances[b]
        ).score(rows, sample_weight=shares[:, b])
        assert -1e-8 < (again.lower_bound_ - start) * len(rows) < 2e-3
        assert_allclose(again.means_, found.means[b], atol=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_missing_values_are_resampled_as_they_are(method):
    rows = with_gaps()
    result = bootstrap(fitted(rows), rows, 20, method, random_state=0)
    complete = bootstrap(fitted(), X, 20, method, random_state=0)
    assert np.isfinite(result.standard_error.means).all()
    ratio = result.standard_error.means / complete.standard_error.means
    assert (ratio > 0.4).all()
    assert (ratio < 4).all()


def test_with_missing_values_a_mean_is_as_precise_as_what_is_observed():
    rows = with_gaps()
    one = fitted(rows, 1)
    of_mean = bootstrap(one, rows, 2000, random_state=0).standard_error.means[0]
    observed = np.isfinite(rows).sum(axis=0)
    # At least as precise as the observed values alone, and less than all would be.
    assert (of_mean < 1.1 * np.nanstd(rows, axis=0) / np.sqrt(observed)).all()
    assert (of_mean > 0.9 * np.nanstd(rows, axis=0) / np.sqrt(len(rows))).all()


@pytest.mark.parametrize(
    "parameters",
    [
        {"noise": "uniform"},
        {"prior": "conjugate"},
        {"covariance_type": "tied"},
        {"covariance_type": "spherical"},
        {"covariance_type": "VVE"},
        {"reg_covar": 1e-6},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", METHODS)
def test_every_model_can_be_resampled(method, parameters):
    gmm = fitted(**parameters)
    result = bootstrap(gmm, X, 10, method, random_state=0)
    assert_allclose(result.estimate.means, gmm.means_)
    assert_allclose(result.estimate.weights, gmm.weights_)
    assert result.replicates.covariances.shape == (10, 3, 2, 2)
    assert np.isfinite(result.standard_error.means).all()


def test_what_is_fixed_has_no_error():
    gmm = GaussianMixtureEM(
        2, tol=1e-8, means_init=[[0, 0], [9, 0]], fixed={"means": [True, False]}
    ).fit(X)
    result = bootstrap(gmm, X, 10, random_state=0)
    assert_array_equal(result.standard_error.means[0], 0.0)
    assert (result.standard_error.means[1] > 0).all()


def test_float32_rows_and_units_far_from_one():
    plain = bootstrap(fitted(), X, 30, random_state=0)
    narrow = X.astype(np.float32)
    gmm = fitted(narrow, tol=1e-5)
    single = bootstrap(gmm, narrow, 30, random_state=0)
    order = matching_order(gmm.means_, plain.estimate.means)
    own = single.standard_error.means[order]
    assert_allclose(own, plain.standard_error.means, rtol=0.05)
    large = X * 2.0**240
    of_large = bootstrap(fitted(large), large, 30, random_state=0)
    own = of_large.standard_error.means / 2.0**240
    assert_allclose(own, plain.standard_error.means, rtol=0.01)


def matching_order(means, others):
    return np.abs(means - others[:, None]).sum(axis=2).argmin(axis=1)


# Matching


def test_the_order_of_components_does_not_matter():
    fit = fitted()._mixture()
    orders = ([2, 0, 1], [1, 0, 2], [0, 1, 2])
    moved = [
        Parameters(
            fit.weights[order], fit.means[order] + 0.01, fit.covariances.ordered(order)
        )
        for order in map(np.array, orders)
    ]
    found = matched(Parameters.joined(moved), fit)
    assert_allclose(found.means.reshape(3, 3, 2), np.tile(fit.means + 0.01, (3, 1, 1)))
    assert_array_equal(found.weights.reshape(3, 3), np.tile(fit.weights, (3, 1)))
    own = fit.covariances.dense()
    assert_array_equal(found.covariances.dense().reshape(3, 3, 2, 2), [own] * 3)


def test_one_component_that_has_moved_far_leaves_the_others_in_place():
    identity = np.ones((3, 1, 1))
    before = mixture_of([[0.0], [10.0], [20.0]], identity)
    after = mixture_of([[10.0], [20.0], [30.0]], identity)
    assert_array_equal(matched(after, before).means.ravel(), [30.0, 10.0, 20.0])


def test_components_about_one_mean_are_told_apart_by_their_covariances():
    wide = np.array([[[1.0]], [[25.0]]])
    fit = mixture_of([[0.0], [0.0]], wide)
    found = matched(mixture_of([[0.1], [-0.1]], wide[::-1]), fit)
    assert_array_equal(found.means.ravel(), [-0.1, 0.1])


def mixture_of(means, covariances):
    weights = np.full(len(means), 1 / len(means))
    return GaussianMixtureEM.from_parameters(weights, means, covariances)._mixture()


# Results


def test_results_do_not_depend_on_jobs_and_batches_are_reproducible(monkeypatch):
    gmm = fitted()
    for method in METHODS:
        monkeypatch.setitem(RESAMPLING, method, (RESAMPLING[method][0], 4 * X.size))
        results = [
            bootstrap(gmm, X, 25, method, random_state=3, n_jobs=n).replicates
            for n in (None, 1, 2)
        ]
        for other in results[1:]:
            assert_array_equal(other.means, results[0].means)
        assert len(np.unique(results[0].means[:, 0, 0])) == 25


def test_a_statistic_has_the_errors_of_what_it_computes():
    result = bootstrap(
        fitted(), X, 60, statistic=lambda mixture: mixture.means[:, 0], random_state=0
    )
    for each in (result.replicates, result.standard_error, result.estimate):
        assert_allclose(each.statistic, each.means[..., 0])
    total = bootstrap(
        fitted(), X, 60, statistic=lambda mixture: mixture.mean, random_state=0
    )
    expected = np.einsum("bk,bkd->bd", total.replicates.weights, total.replicates.means)
    assert_allclose(total.replicates.statistic, expected)
    assert total.bias.statistic.shape == (2,)


def test_intervals_are_quantiles_and_can_be_widened():
    result = bootstrap(fitted(), X, 99, confidence_level=0.5, random_state=0)
    low, high = result.confidence_interval
    within = (result.replicates.means >= low.means) & (
        result.replicates.means <= high.means
    )
    assert_allclose(within.mean(axis=0), 0.5, atol=0.02)
    wider = result.with_confidence_level(0.9).confidence_interval
    assert (wider.high.means > high.means).all()
    with pytest.raises(ValueError, match="confidence_level=2 is not a number between"):
        result.with_confidence_level(2)


def test_the_table_has_every_number_and_the_text_names_features():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["length", "width"])
    result = bootstrap(
        fitted(frame), frame, 20, statistic=lambda m: m.n_features, random_state=0
    )
    table = result.to_frame()
    assert len(table) == 3 + 6 + 9 + 1
    row = table[(table.quantity == "covariance") & (table.component == 2)].iloc[0]
    assert row.feature == "length, width"
    assert row.standard_error == result.standard_error.covariances[2, 0, 1]
    assert row.low == result.confidence_interval.low.covariances[2, 0, 1]
    assert "width" in repr(result)
    assert repr(result).startswith("Bootstrap (weighted) of 20 resamples; intervals")


def test_of_a_search_the_best_mixture_is_resampled():
    search = GaussianMixtureIC([1, 3], covariance_type=["full", "tied"]).fit(X)
    result = bootstrap(search, X, 10, random_state=0)
    assert_array_equal(result.estimate.means, search.means_)


def test_the_estimator_is_left_as_it_was():
    gmm = fitted()
    before = dict(vars(gmm))
    bootstrap(gmm, X, 5, random_state=0)
    assert vars(gmm) == before


def test_displays_draw_every_kind():
    result = bootstrap(fitted(), X, 30, statistic=lambda m: m.mean, random_state=0)
    for kind, n_panels in [("means", 2), ("variances", 2), ("weights", 1)]:
        display = BootstrapDisplay.from_result(result, kind=kind)
        assert len(display.axes_) == n_panels
        plt.close(display.figure_)
    figure, ax = plt.subplots()
    display = BootstrapDisplay(result).plot(ax, kind="statistic", capsize=1)
    assert display.figure_ is figure
    (bar,) = display.intervals_[1].lines[2]
    ends = np.sort(bar.get_segments()[0][:, 0])
    interval = result.confidence_interval
    assert_allclose(ends, [interval.low.statistic[1], interval.high.statistic[1]])
    plt.close(figure)
    with pytest.raises(ValueError, match="kind='mean' is unknown: use one of 'means'"):
        BootstrapDisplay.from_result(result, kind="mean")
    with pytest.raises(TypeError, match="is not what bootstrap returns"):
        BootstrapDisplay.from_result(X)
    plain = bootstrap(fitted(), X, 5, random_state=0)
    with pytest.raises(ValueError, match="pass a function of the mixture"):
        BootstrapDisplay.from_result(plain, kind="statistic")
    plt.close("all")


# What is refused, and what is warned of


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_resamples": 1}, "n_resamples=1 is not a whole number from 2 to"),
        ({"n_resamples": 10.5}, "n_resamples=10.5 is not a whole number"),
        ({"method": "jackknife"}, "method='jackknife' is unknown: use one of 'weight"),
        ({"method": "Parametric"}, "Did you mean 'parametric'"),
        ({"confidence_level": 95}, "confidence_level=95 is not a number between 0"),
        ({"statistic": "mean"}, "statistic='mean' is not a function"),
        ({"sample_weight": np.ones(3)}, "sample_weight.shape"),
        ({"sample_weight": np.arange(120.0) / 59.5}, "X has the mean log-likelihood"),
    ],
    ids=str,
)
def test_invalid_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        bootstrap(fitted(), X, **arguments)


def test_other_rows_than_those_of_the_fit_are_refused():
    gmm = fitted()
    for rows in (X[:-1], X + 0.1, np.flip(X, axis=1)):
        with pytest.raises(ValueError, match="pass the rows and the sample_weight"):
            bootstrap(gmm, rows, 5)
    with pytest.raises(ValueError, match="features"):
        bootstrap(gmm, X[:, :1], 5)
    with pytest.raises(ValueError, match="resampling needs rows in memory"):
        bootstrap(gmm, iter([X]), 5)
    shuffled = np.random.default_rng(0).permutation(X)
    assert bootstrap(gmm, shuffled, 5).n_degenerate == 0


def test_repeated_rows_and_other_units_of_weights_are_refused():
    for rows, weights in [(np.tile(X, (2, 1)), None), (X, np.full(len(X), 2.0))]:
        with pytest.raises(ValueError, match="240 rows, .* not the 120 of the fit"):
            bootstrap(fitted(), rows, 9, sample_weight=weights)


def test_other_estimators_are_refused():
    with pytest.raises(NotFittedError):
        bootstrap(GaussianMixtureEM(), X)
    with pytest.raises(NotFittedError):
        bootstrap(GaussianMixtureIC(), X)
    with pytest.raises(TypeError, match="is not a mixture of this package"):
        bootstrap(GaussianMixture().fit(X), X)


def test_a_statistic_must_keep_its_shape():
    sizes = iter(range(1, 100))
    with pytest.raises(ValueError, match="returned arrays of the shapes"):
        bootstrap(
            fitted(), X, 5, statistic=lambda m: np.zeros(next(sizes)), random_state=0
        )


@pytest.mark.parametrize("value", [None, 1j, "a", [], [[1.0], [2.0, 3.0]]])
def test_a_statistic_must_be_real_numbers_and_is_checked_first(value):
    calls = []
    with pytest.raises(ValueError, match="statistic=.* returned .*: return a real"):
        bootstrap(fitted(), X, 9, statistic=lambda own: calls.append(own) or value)
    assert len(calls) == 1


def test_parameters_of_no_fit_can_be_resampled():
    gmm = GaussianMixtureEM.from_parameters([1.0], [[0.0]], [[[1.0]]])
    result = bootstrap(gmm, np.random.default_rng(0).normal(size=(50, 1)), 20)
    assert result.estimate.means.item() == 0.0


def few_rows():
    """A cluster, and three rows that a nonparametric replicate may have once."""
    rng = np.random.default_rng(0)
    far = [[50.0, 50.0], [51.0, 50.3], [50.2, 51.4], [50.9, 51.1]]
    return np.concatenate([rng.normal(size=(30, 2)), far])


def test_replicates_that_degenerate_are_counted_and_left_out():
    rows = few_rows()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateComponentWarning)
        gmm = fitted(rows, 2)
    with pytest.warns(DegenerateComponentWarning, match="of 200 replicates"):
        result = bootstrap(gmm, rows, 200, "nonparametric", random_state=0)
    assert 0 < result.n_degenerate < 198
    assert len(result.replicates.means) + result.n_degenerate == 200
    assert result.n_resamples == 200
    assert "of them degenerate" in repr(result)
    assert (np.linalg.eigvalsh(result.replicates.covariances) > 0).all()


def test_singular_covariances_of_a_fit_are_an_error_with_a_remedy():
    rows, _ = make_three_components(n_samples=200, random_state=0)
    rows = np.concatenate([rows, np.random.RandomState(0).uniform(-20, 20, (30, 2))])
    with pytest.warns(DegenerateComponentWarning):
        gmm = GaussianMixtureEM(3, noise=1.0).fit(rows)
    with pytest.raises(ValueError, match="collapsed.*reduce n_components"):
        bootstrap(gmm, rows, 20, "parametric", random_state=0)


def test_replicates_that_do_not_converge_are_counted():
    gmm = fitted(tol=1e-5)
    gmm.max_iter = 1
    with pytest.warns(ConvergenceWarning, match="increase max_iter of the estimator"):
        result = bootstrap(gmm, X, 10, random_state=0)
    assert 0 < result.n_unconverged <= 10
