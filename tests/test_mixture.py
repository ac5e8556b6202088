"""A mixture as a distribution: marginals, conditionals, densities, and errors."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError
from functools import cache

import numpy as np
import pytest
from conftest import COVARIANCE_TYPES, make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal

from emgmm import GaussianMixtureEM, GaussianMixtureIC, Mixture

FEATURES = 4
NAMES = ["a", "b", "c", "d"]


@cache
def fitted(name="full"):
    rows = make_blobs(0, 120, FEATURES, 3)
    gmm = GaussianMixtureEM(3, covariance_type=name, max_iter=5, tol=0)
    with pytest.warns(match="did not converge"):
        return gmm.fit(rows)


@pytest.fixture(scope="module")
def mixture():
    own = fitted().mixture_
    return Mixture(own.weights, own.means, own.covariances, NAMES)


@pytest.fixture(scope="module")
def rows():
    return make_blobs(1, 50, FEATURES, 3)


@pytest.mark.parametrize("name", COVARIANCE_TYPES)
def test_it_is_what_was_fitted(name, rows):
    gmm = fitted(name)
    mixture = gmm.mixture_
    assert_allclose(mixture.log_density(rows), gmm.score_samples(rows), rtol=1e-14)
    assert_array_equal(mixture.means, gmm.means_)
    assert_allclose(mixture.covariances, gmm._mixture().covariances.dense(), rtol=1e-12)
    assert (mixture.n_components, mixture.n_features) == (3, FEATURES)


def test_the_density_is_that_of_scipy_s_components(mixture, rows):
    components = zip(mixture.means, mixture.covariances, strict=True)
    densities = [multivariate_normal(*each).pdf(rows) for each in components]
    expected = np.log(mixture.weights @ densities)
    assert_allclose(mixture.log_density(rows), expected, rtol=1e-10)


@pytest.mark.parametrize("name", COVARIANCE_TYPES)
@pytest.mark.parametrize("given", [[0], [3, 1], [-1, 0, 1]])
def test_joint_is_marginal_times_conditional(name, given, rows):
    mixture = fitted(name).mixture_
    others = np.setdiff1d(np.arange(FEATURES), np.arange(FEATURES)[given])
    rows = rows[:12]
    marginal = mixture.marginal(given).log_density(rows[:, given])
    conditional = [
        mixture.conditional(given, row[given]).log_density(row[None, others])[0]
        for row in rows
    ]
    joint = mixture.log_density(rows)
    assert_allclose(marginal + conditional, joint, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", COVARIANCE_TYPES)
def test_conditional_of_conditional_is_conditional_at_once(name):
    mixture = fitted(name).mixture_
    at_once = mixture.conditional([1, 3], [0.5, -1.0])
    one_by_one = mixture.conditional(3, -1.0).conditional(1, 0.5)
    for attribute in ["weights", "means", "covariances"]:
        expected = getattr(at_once, attribute)
        assert_allclose(getattr(one_by_one, attribute), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", COVARIANCE_TYPES)
def test_parts_of_a_mixture_are_stored_as_the_whole(name):
    mixture = fitted(name).mixture_
    storage = type(mixture._parameters.covariances)
    for part in [mixture.marginal([2, 0]), mixture.conditional(1, 0.0)]:
        assert type(part._parameters.covariances) is storage


def test_marginal_of_conditional_is_conditional_of_marginal(mixture, rows):
    one = mixture.conditional("a", 0.3).marginal("c")
    other = mixture.marginal(["c", "a"]).conditional("a", 0.3)
    assert one.feature_names == other.feature_names == ("c",)
    x = rows[:, :1]
    assert_allclose(one.log_density(x), other.log_density(x), rtol=1e-12)


def test_far_from_everything_conditionals_hold():
    """Every density underflows: only their logarithms differ between components."""
    mixture = Mixture([0.5, 0.5], [[0, 1], [1, 2]], np.tile(np.eye(2), (2, 1, 1)))
    far = mixture.conditional(0, 1000.0)
    assert_allclose(far.weights[0], 0.0, atol=1e-300)
    assert_allclose(far.mean, 2.0)
    again = Mixture([0.0, 1.0], far.means, far.covariances)
    assert_allclose(again.log_density([[0.0]]), far.log_density([[0.0]]))


def test_moments_are_those_of_samples(mixture):
    n_samples = 200_000
    X, labels = mixture.sample(n_samples, random_state=0)
    apart = X - mixture.mean
    assert np.all(np.abs(apart.mean(axis=0)) < 5 * apart.std(axis=0) / n_samples**0.5)
    products = apart[:, :, None] * apart[:, None, :]
    error = products.std(axis=0) / n_samples**0.5
    assert np.all(np.abs(products.mean(axis=0) - mixture.covariance) < 5 * error)
    shares = np.bincount(labels) / n_samples
    assert np.all(np.abs(shares - mixture.weights) < 5 * 0.5 / n_samples**0.5)


def test_features_have_indices_and_names(mixture):
    for features in ["c", 2, -2, ["c"], [2], np.array([2]), np.int64(2)]:
        part = mixture.marginal(features)
        assert_array_equal(part.means[:, 0], mixture.means[:, 2])
        assert part.feature_names == ("c",)
    assert mixture.marginal(["d", 0]).feature_names == ("d", "a")
    assert mixture.conditional("b", 1.0).feature_names == ("a", "c", "d")


def test_names_are_unknown_where_there_are_none(mixture):
    nameless = Mixture(mixture.weights, mixture.means, mixture.covariances)
    assert nameless.feature_names is None
    assert nameless.marginal(0).feature_names is None
    with pytest.raises(ValueError, match="'a', which is not a feature"):
        nameless.marginal("a")


def test_conditions_leave_a_feature_and_have_values(mixture):
    with pytest.raises(ValueError, match="chooses all the features"):
        mixture.conditional(NAMES, np.zeros(4))
    with pytest.raises(ValueError, match="one value for each"):
        mixture.conditional(["a", "b"], 1.0)
    with pytest.raises(ValueError, match="values contains nan"):
        mixture.conditional("a", np.nan)


@pytest.mark.parametrize(
    "names", [["a"], ["a", "a", "b", "c"], [1, 2, 3, 4], "abcd", 4]
)
def test_names_are_one_for_each_feature(mixture, names):
    with pytest.raises(ValueError, match="pass a list of 4 different strings"):
        Mixture(mixture.weights, mixture.means, mixture.covariances, names)


def test_parameters_are_checked(mixture):
    weights, means, covariances = mixture.weights, mixture.means, mixture.covariances
    for wrong, message in [
        ((2 * weights, means, covariances), "normalized"),
        ((weights[:2], means, covariances), "weights"),
        ((weights, means[0], covariances), "means has the shape"),
        ((weights, means, -covariances), "positive-definite"),
    ]:
        with pytest.raises(ValueError, match=message):
            Mixture(*wrong)


def test_rows_are_checked(mixture):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.zeros((2, 4)), columns=NAMES)
    assert mixture.log_density(frame).shape == (2,)
    with pytest.raises(ValueError, match="in this order"):
        mixture.log_density(frame[NAMES[::-1]])
    with pytest.raises(ValueError, match="3 features, but 4 are expected"):
        mixture.log_density(np.zeros((2, 3)))


def test_it_cannot_be_altered(mixture):
    with pytest.raises(FrozenInstanceError):
        mixture.feature_names = None
    for copied in [
        mixture,
        copy.deepcopy(mixture),
        pickle.loads(pickle.dumps(mixture)),
    ]:
        for name in ["weights", "means", "covariances", "mean", "covariance"]:
            with pytest.raises(ValueError, match="read-only"):
                getattr(copied, name)[...] = 0.0
            assert_array_equal(getattr(copied, name), getattr(mixture, name))
        assert repr(copied) == repr(mixture)
    assert repr(mixture) == (
        "Mixture(n_components=3, n_features=4, feature_names=['a', 'b', 'c', 'd'])"
    )


def test_nothing_that_can_be_reached_alters_it(mixture, rows):
    """Not even arrays that are made writeable."""
    one = Mixture(mixture.weights, mixture.means, mixture.covariances, NAMES)
    parts = [one, one.marginal([0, 2]), one.conditional("b", 0.3), fitted().mixture_]
    for part in parts:
        X = rows[:, : part.n_features]
        before = part.log_density(X)
        for name in [name for name in dir(part) if not name.startswith("_")]:
            value = getattr(part, name)
            if isinstance(value, np.ndarray):
                while isinstance(value.base, np.ndarray):
                    value = value.base
                value.flags.writeable = True
                value[...] = 7.0
        assert_array_equal(part.log_density(X), before)


def test_arrays_that_it_was_made_of_are_not_its_own(rows):
    given = [np.array([1.0]), np.zeros((1, FEATURES)), np.eye(FEATURES)[None].copy()]
    mixture = Mixture(*given)
    before = mixture.log_density(rows)
    for array in given:
        array *= 2.0
    assert_array_equal(mixture.log_density(rows), before)


def test_it_stays_as_it_was_when_the_estimator_changes(rows):
    gmm = copy.deepcopy(fitted())
    mixture = gmm.mixture_
    before = mixture.log_density(rows)
    gmm.means_ += 1.0
    gmm.precisions_cholesky_ *= 2.0
    assert_array_equal(mixture.log_density(rows), before)


@pytest.mark.parametrize("estimator", [GaussianMixtureEM(2), GaussianMixtureIC([1, 2])])
def test_estimators_have_one_when_they_are_fitted(estimator, rows):
    pandas = pytest.importorskip("pandas")
    assert not hasattr(estimator, "mixture_")
    frame = pandas.DataFrame(rows, columns=NAMES)
    mixture = estimator.fit(frame).mixture_
    assert mixture.feature_names == tuple(NAMES)
    expected = estimator.score_samples(frame)
    assert_allclose(mixture.log_density(frame), expected, rtol=1e-14)


def test_float32_parameters_give_a_distribution_too(rows):
    gmm = GaussianMixtureEM(2).fit(rows.astype(np.float32))
    mixture = gmm.mixture_
    assert mixture.weights.sum() == pytest.approx(1.0, abs=1e-15)
    assert mixture.log_density(rows).dtype == np.float64
    assert_allclose(mixture.log_density(rows), gmm.score_samples(rows), rtol=1e-6)


@pytest.mark.parametrize("name", ["spherical", "diag", "tied", "full"])
def test_a_row_with_holes_has_the_density_of_what_it_has(name, rows):
    mixture = fitted(name).mixture_
    X = rows.copy()
    X[np.random.default_rng(0).random(X.shape) < 0.4] = np.nan
    X[0] = np.nan
    log_density = mixture.log_density(X)
    assert_allclose(log_density[0], 0, atol=1e-13)
    for row, value in zip(X[1:], log_density[1:], strict=True):
        has = np.flatnonzero(~np.isnan(row))
        if has.size:
            expected = mixture.marginal(has).log_density(row[None, has])
            assert_allclose(value, expected[0], rtol=1e-10)
