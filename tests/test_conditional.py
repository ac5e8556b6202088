"""Conditional means, imputation and draws of features that a row lacks."""

from __future__ import annotations

import tracemalloc
from functools import cache

import numpy as np
import pytest
from conftest import COVARIANCE_TYPES, make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.exceptions import NotFittedError

import emgmm._estep.conditional as _conditional
from emgmm import GaussianMixtureEM, GaussianMixtureIC
from emgmm._estep.conditional import Regression, conditional_moments, imputed
from emgmm._model.covariances import Full
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments

FEATURES = 4


@cache
def mixture_of(name, seed=0):
    """A mixture of three components, fitted to few rows of four features."""
    rows = make_blobs(seed, 120, FEATURES, 3)
    gmm = GaussianMixtureEM(3, covariance_type=name, max_iter=5, tol=0)
    with pytest.warns(match="did not converge"):
        gmm.fit(rows)
    return gmm._mixture()


def dense_moments(mixture, row):
    """Mean and covariance of what a row lacks, by the textbook and in SciPy."""
    given, others = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
    log_shares, means, covariances = [], [], []
    dense = mixture.covariances.dense()
    for weight, mean, S in zip(mixture.weights, mixture.means, dense, strict=True):
        deviation, inner = row[given] - mean[given], S[np.ix_(given, given)]
        slopes = np.linalg.solve(inner, S[np.ix_(given, others)]).T
        normal = multivariate_normal(mean[given], inner) if len(given) else None
        log_shares.append(np.log(weight) + (normal.logpdf(row[given]) if normal else 0))
        means.append(mean[others] + slopes @ deviation)
        covariances.append(
            S[np.ix_(others, others)] - slopes @ S[np.ix_(given, others)]
        )
    shares = np.exp(log_shares - logsumexp(log_shares))
    mean = shares @ np.array(means)
    apart = np.array(means) - mean
    between = np.einsum("k,ki,kj->ij", shares, apart, apart)
    return mean, np.tensordot(shares, covariances, axes=1) + between


def with_holes(n_samples, seed=1, share=0.5):
    """Rows that lack some features, one of them all."""
    rng = np.random.default_rng(seed)
    X = make_blobs(0, n_samples, FEATURES, 3)
    X[rng.random(X.shape) < share] = np.nan
    X[0] = np.nan
    return X


@pytest.mark.parametrize(("few", "part"), [(0, 9), (_conditional.FEW_NUMBERS, 2**18)])
@pytest.mark.parametrize("name", COVARIANCE_TYPES)
def test_what_is_missing_becomes_its_conditional_mean(name, few, part, monkeypatch):
    monkeypatch.setattr("emgmm._estep.conditional.FEW_NUMBERS", few)
    monkeypatch.setattr("emgmm._estep.conditional.PART_SIZE", part)
    mixture, X = mixture_of(name), with_holes(40)
    filled, missing = imputed(X, mixture), np.isnan(X)
    assert_array_equal(filled[~missing], X[~missing])
    for row, completed in zip(X, filled, strict=True):
        mean, _ = dense_moments(mixture, row)
        assert_allclose(completed[np.isnan(row)], mean, rtol=1e-9, atol=1e-9)


def test_nothing_missing_is_nothing_done_but_a_copy():
    X = make_blobs(0, 20, FEATURES, 3)
    filled = imputed(X, mixture_of("full"))
    assert_array_equal(filled, X)
    assert filled is not X and not np.shares_memory(filled, X)


@pytest.mark.parametrize("draws", [False, True])
def test_types_and_values_of_rows_are_kept_bit_for_bit(draws):
    X = with_holes(50).astype(np.float32)
    before, rng = X.copy(), np.random.RandomState(0) if draws else None
    filled = imputed(X, mixture_of("full"), rng)
    assert filled.dtype == np.float32
    assert np.isfinite(filled).all()
    assert_array_equal(X, before)
    has = ~np.isnan(X)
    assert_array_equal(filled[has], X[has])


@pytest.mark.parametrize("name", ["EII", "VVI", "EEE", "VVV"])
@pytest.mark.parametrize("given", [[], [2], [3, 0]])
def test_draws_have_the_moments_of_the_conditional_distribution(name, given):
    n_samples = 100_000
    row = np.full(FEATURES, np.nan)
    row[given] = [0.5, -1.0][: len(given)]
    mixture, others = mixture_of(name), np.isnan(row)
    mean, covariance = dense_moments(mixture, row)
    X = np.tile(row, (n_samples, 1))
    drawn = imputed(X, mixture, np.random.RandomState(0))[:, others]
    apart = drawn - mean
    assert np.all(np.abs(apart.mean(axis=0)) < 5 * apart.std(axis=0) / n_samples**0.5)
    products = apart[:, :, None] * apart[:, None, :]
    error = products.std(axis=0) / n_samples**0.5
    assert np.all(np.abs(products.mean(axis=0) - covariance) < 5 * error)


def test_moments_are_those_within_components_and_between_them():
    mixture, row = mixture_of("full"), np.array([np.nan, 0.3, np.nan, -0.8])
    given, others = np.array([1, 3]), np.array([0, 2])
    mean, covariance = dense_moments(mixture, row)
    regression, rows = Regression.of(mixture, given, others), row[None, given]
    for got, expected in [
        (regression.covariances(rows), covariance),
        (regression.deviations(rows), np.sqrt(np.diag(covariance))),
    ]:
        assert_allclose(got[0][0], mean, rtol=1e-12)
        assert_allclose(got[1][0], expected, rtol=1e-12)


def test_far_from_the_origin_and_from_all_components_nothing_is_lost():
    mixture, offset = mixture_of("full"), 2.0**27
    X = with_holes(60)
    # Rounded to the precision that rows so far away allow.
    X = (X + offset) - offset
    means = (mixture.means + offset) - offset
    near = Parameters(mixture.weights, means, mixture.covariances)
    far = Parameters(mixture.weights, means + offset, mixture.covariances)
    assert_allclose(imputed(X + offset, far) - offset, imputed(X, near), atol=1e-6)
    tail = np.array([[1e6, np.nan, np.nan, -1e6]])
    assert_allclose(
        imputed(tail, mixture)[0, 1:3], dense_moments(mixture, tail[0])[0], rtol=1e-9
    )


def test_a_component_without_weight_says_nothing():
    mixture, X = mixture_of("full"), with_holes(30)
    weights = np.array([0.4, 0.6, 0.0])
    two = Full.from_values(mixture.covariances.values[:2], Segments.one(2), FEATURES)
    without = Parameters(weights[:2], mixture.means[:2], two)
    with_it = Parameters(weights, mixture.means, mixture.covariances)
    assert_allclose(imputed(X, with_it), imputed(X, without), rtol=1e-12)


@pytest.mark.parametrize("part", [9, _conditional.PART_SIZE])
def test_moments_come_back_in_the_order_of_the_rows(part, monkeypatch):
    monkeypatch.setattr("emgmm._estep.conditional.PART_SIZE", part)
    mixture, X = mixture_of("full"), with_holes(30)
    given, others = np.array([3, 0, 2]), np.array([1])
    mean, spread = conditional_moments(
        X[:, given], mixture, given, others, Regression.covariances
    )
    for i, row in enumerate(X):
        known = np.array([row[0], np.nan, row[2], row[3]])
        expected, covariance = dense_moments(mixture, known)
        at = np.flatnonzero(np.isnan(known)) == 1
        assert_allclose(mean[i], expected[at], rtol=1e-9, atol=1e-12)
        assert_allclose(spread[i], covariance[np.ix_(at, at)], rtol=1e-9)


@pytest.fixture
def gmm():
    return GaussianMixtureEM(3).fit(make_blobs(0, 120, FEATURES, 3))


@pytest.mark.parametrize("spread", ["return_std", "return_cov"])
def test_a_regression_is_the_integral_of_the_density(spread):
    """Moments of y given x by quadrature, of a mixture of two lines."""
    X = make_blobs(2, 200, 2, 3)
    gmm = GaussianMixtureEM(3).fit(X)
    y = np.linspace(-60, 60, 20_001)
    for x in [-2.0, 0.0, 1.5]:
        weights = np.exp(gmm.score_samples(np.c_[np.full_like(y, x), y]))
        expected = np.average(y, weights=weights)
        variance = np.average((y - expected) ** 2, weights=weights)
        mean, width = gmm.conditional_mean([[x]], given=0, **{spread: True})
        assert_allclose(mean, [[expected]], rtol=1e-9)
        got = width[0, 0] ** 2 if spread == "return_std" else width[0, 0, 0]
        assert_allclose(got, variance, rtol=1e-9)


def test_a_regression_is_the_conditional_distribution_row_by_row(gmm):
    X, given = make_blobs(1, 20, FEATURES, 3), [3, 1]
    mean, std = gmm.conditional_mean(X[:, given], given, return_std=True)
    again, covariances = gmm.conditional_mean(X[:, given], given, return_cov=True)
    assert_array_equal(gmm.conditional_mean(X[:, given], given), mean)
    assert_array_equal(again, mean)
    for i, row in enumerate(X):
        conditional = gmm.mixture_.conditional(given, row[given])
        assert_allclose(mean[i], conditional.mean, rtol=1e-9)
        assert_allclose(covariances[i], conditional.covariance, rtol=1e-9)
        assert_allclose(std[i] ** 2, np.diag(covariances[i]), rtol=1e-9)


def test_known_features_may_be_missing_in_a_row(gmm):
    X = with_holes(20)
    whole = X.copy()
    whole[:, 1] = np.nan
    given = [0, 2, 3]
    mean = gmm.conditional_mean(X[:, given], given)
    assert_allclose(mean[:, 0], gmm.impute(whole)[:, 1], rtol=1e-9)
    assert_allclose(mean[0], gmm.mixture_.mean[1], rtol=1e-12)


def test_imputed_rows_are_as_probable_as_draws_of_the_mixture(gmm):
    """Masked draws, drawn again where they were masked, have the same distribution."""
    n_samples = 100_000
    X, _ = gmm.sample(n_samples, random_state=0)
    X[np.random.default_rng(0).random(X.shape) < 0.3] = np.nan
    again = gmm.impute(X, draw=True, random_state=1)
    scores = gmm.score_samples(again)
    value, error = gmm.mixture_.entropy(random_state=0)
    error = np.hypot(error, scores.std() / n_samples**0.5)
    assert abs(scores.mean() + value) < 5 * error


@pytest.mark.parametrize("task", ["conditional_mean", "impute", "draw"])
def test_many_rows_are_taken_in_parts(gmm, task, monkeypatch):
    """Beyond the result: masks and orders of the rows, not copies of the rows."""
    monkeypatch.setattr("emgmm._estep.conditional.PART_SIZE", 2**14)
    X = np.tile(make_blobs(1, 200, FEATURES, 3), (1000, 1))
    if task != "conditional_mean":
        X[:, 1] = np.nan
    given = [0, 2, 3]
    values = np.ascontiguousarray(X[:, given])
    call = {
        "conditional_mean": lambda: gmm.conditional_mean(values, given),
        "impute": lambda: gmm.impute(X),
        "draw": lambda: gmm.impute(X, draw=True, random_state=0),
    }[task]
    tracemalloc.start()
    result = call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Two bytes for each number, five indices for each row, and ten copies of a part.
    extra = peak - result.nbytes
    assert extra < 2 * X.size + 5 * 8 * len(X) + 10 * 8 * 2**14
    few = gmm.conditional_mean(values[:200], given)
    if task != "draw":
        filled = result[:, [1]] if task == "impute" else result
        assert_allclose(filled, np.tile(few, (1000, 1)), rtol=1e-12, atol=1e-12)


def test_draws_follow_their_seed(gmm):
    X, own = with_holes(20), GaussianMixtureEM(3, random_state=0)
    one, other = (gmm.impute(X, draw=True, random_state=seed) for seed in (0, 1))
    assert_array_equal(gmm.impute(X, draw=True, random_state=0), one)
    missing = np.isnan(X)
    assert np.all(one[missing] != other[missing])
    own.fit(make_blobs(0, 120, FEATURES, 3))
    first, second = own.impute(X, draw=True), own.impute(X, draw=True)
    assert np.all(first[missing] != second[missing])
    with pytest.raises(ValueError, match="random_state=0 has no effect"):
        gmm.impute(X, random_state=0)


@pytest.mark.parametrize("search", [False, True])
def test_features_may_have_names_and_types(search):
    pandas = pytest.importorskip("pandas")
    names = ["a", "b", "c", "d"]
    rows = make_blobs(0, 120, FEATURES, 3).astype(np.float32)
    frame = pandas.DataFrame(rows, columns=names)
    gmm = GaussianMixtureIC([2]) if search else GaussianMixtureEM(2)
    assert not hasattr(gmm, "mixture_")
    gmm.fit(frame)
    by_name = gmm.conditional_mean(frame[["d", "b"]], ["d", "b"])
    assert by_name.dtype == np.float32
    assert_array_equal(by_name, gmm.conditional_mean(rows[:, [3, 1]], [-1, 1]))
    with pytest.raises(ValueError, match="in this order"):
        gmm.conditional_mean(frame[["b", "d"]], ["d", "b"])
    frame.loc[3, "c"] = np.nan
    imputed = gmm.impute(frame)
    assert imputed.dtype == np.float32
    at = gmm.conditional_mean(rows[3:4, [0, 1, 3]], ["a", "b", "d"])
    assert_allclose(imputed[3, 2], at[0, 0], rtol=1e-5)
    with pytest.raises(ValueError, match="feature names should match"):
        gmm.impute(frame[names[::-1]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0.0]], [0, 1]), "X has 1 features, but 2 are expected"),
        ((np.zeros((1, 4)), [0, 1, 2, 3]), "chooses all the features"),
        (([[np.inf]], 0), "infinity"),
    ],
)
def test_arguments_of_conditional_means_are_checked(gmm, arguments, message):
    with pytest.raises(ValueError, match=message):
        gmm.conditional_mean(*arguments)


def test_only_one_kind_of_spread_is_returned_at_a_time(gmm):
    with pytest.raises(RuntimeError, match="At most one of"):
        gmm.conditional_mean([[0.0]], 0, return_std=True, return_cov=True)


def test_nothing_is_predicted_before_a_fit():
    for gmm in [GaussianMixtureEM(), GaussianMixtureIC([1])]:
        assert not hasattr(gmm, "mixture_")
        for call in [gmm.impute, lambda X, gmm=gmm: gmm.conditional_mean(X, 0)]:
            with pytest.raises(NotFittedError):
                call([[0.0]])
