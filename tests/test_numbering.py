"""Numbers of components: by weight, unless the start says which is which."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import MODEL_NAMES, make_blobs
from numpy.testing import assert_allclose, assert_array_equal

from emgmm import DegenerateComponentWarning, GaussianMixtureEM, GaussianMixtureIC
from emgmm._init.starts import STARTS
from emgmm._model.covariances import Diagonal, Full, Spherical, Tied
from emgmm._model.families import FAMILIES
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments

BY_WEIGHT = np.array([2, 0, 1])


@pytest.fixture(scope="module")
def unequal():
    """Clusters of 60, 300 and 140 rows, at 0, 10 and 20."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [60, 300, 140])
    X = rng.standard_normal((500, 2)) + np.array([[0, 0], [10, 3], [20, 0]])[labels]
    return X, labels


def values_of(storage, variances):
    return {
        Spherical: variances[:, 0],
        Diagonal: variances,
        Tied: np.diag(variances[0]),
        Full: variances[:, :, None] * np.eye(variances.shape[1]),
    }[storage]


@pytest.mark.parametrize("storage", [Spherical, Diagonal, Tied, Full])
def test_components_in_any_order_are_numbered_alike(storage):
    """Two share all but their variances, two a weight and a first mean."""
    weights = np.array([0.3, 0.2, 0.2, 0.1, 0.1, 0.1])
    means = np.array([[5, 0], [1, 3], [1, 4], [-2, 0], [7, 7], [7, 7]], float)
    variances = 1.0 + np.arange(12.0).reshape(6, 2)
    if storage is Tied:
        weights, means, variances = weights[:5], means[:5], variances[:5]
        weights = weights / weights.sum()
    rng = np.random.default_rng(0)
    for _ in range(10):
        order = rng.permutation(len(weights))
        noise = 1 + 1e-9 * rng.uniform(-1, 1, (len(weights), 1))
        values = values_of(storage, variances[order])
        covariances = storage.from_values(values, Segments.one(len(weights)), 2)
        mixture = Parameters(
            weights[order] * noise[:, 0], means[order] * noise, covariances
        )
        numbered = mixture.in_canonical_order()
        assert_allclose(numbered.means, means, rtol=1e-8)
        assert_allclose(numbered.weights, weights, rtol=1e-8)
        if storage is not Tied:
            expected = values_of(storage, variances)
            assert_allclose(numbered.covariances.values, expected)
            factors = storage.from_values(
                expected, Segments.one(6), 2
            ).precisions_cholesky
            assert_allclose(numbered.covariances.precisions_cholesky, factors)


def test_a_component_without_weight_is_the_last():
    covariances = Spherical.from_values(np.ones(3), Segments.one(3), 1)
    mixture = Parameters(np.array([0.0, 0.4, 0.6]), np.zeros((3, 1)), covariances)
    assert_array_equal(mixture.in_canonical_order().weights, [0.6, 0.4, 0.0])


@pytest.mark.parametrize("init_params", STARTS)
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_starts_by_name_number_components_by_weight(name, init_params, unequal):
    X, _ = unequal
    gmm = GaussianMixtureEM(3, covariance_type=name, init_params=init_params)
    gmm.set_params(random_state=0, n_init=2).fit(X)
    assert np.all(np.diff(gmm.weights_) < 0)
    assert_array_equal(gmm.labels_, gmm.predict(X))
    assert_array_equal(gmm.labels_, gmm.predict_proba(X).argmax(axis=1))
    assert gmm.score(X) == pytest.approx(gmm.lower_bound_, rel=1e-12)
    shares = gmm.predict_proba(X)
    assert_allclose(shares.mean(axis=0), gmm.weights_, atol=0.01)
    assert_allclose(shares.T @ X / shares.sum(axis=0)[:, None], gmm.means_, atol=0.1)
    storage = FAMILIES[name].storage
    again = storage.from_values(gmm.covariances_, Segments.one(3), 2)
    factors = again.as_published(again.precisions_cholesky)
    assert_allclose(gmm.precisions_cholesky_, factors, atol=1e-12)
    assert_allclose(gmm.precisions_, again.as_published(again.precisions), atol=1e-12)


def test_blocks_are_numbered_by_weight(unequal):
    X, _ = unequal
    gmm = GaussianMixtureEM(3).fit(np.split(X, [100, 250]))
    assert_allclose(gmm.weights_, [0.6, 0.28, 0.12], atol=0.01)


@pytest.mark.parametrize(
    "start",
    [
        lambda labels: {"init_params": labels},
        lambda labels: {"init_params": np.eye(3)[labels]},
        lambda labels: {"init_params": lambda X, n, weights, rng: labels},
        lambda labels: {"means_init": [[0, 0], [10, 3], [20, 0]]},
        lambda labels: {"init_params": labels, "weights_init": [0.3, 0.3, 0.4]},
        lambda labels: {
            "means_init": [[0, 0], [10, 3], [20, 0]],
            "weights_init": [0.3, 0.3, 0.4],
            "precisions_init": [np.eye(2)] * 3,
        },
    ],
    ids=["labels", "responsibilities", "callable", "means", "weights", "all"],
)
def test_starts_that_say_which_is_which_keep_their_numbers(start, unequal):
    X, labels = unequal
    gmm = GaussianMixtureEM(3, **start(labels)).fit(X)
    assert_array_equal(gmm.labels_, labels)
    assert_allclose(gmm.weights_, [0.12, 0.6, 0.28], atol=0.01)


def test_a_warm_start_keeps_the_numbers_of_the_fit_before(unequal):
    X, labels = unequal
    gmm = GaussianMixtureEM(3, warm_start=True).fit(X)
    means = gmm.means_
    gmm.fit(X, sample_weight=np.array([9.0, 1.0, 1.0])[labels])
    assert gmm.weights_.argmax() == 2
    assert_allclose(gmm.means_, means, atol=0.01)


def test_a_warm_start_without_a_fit_before_numbers_by_weight(unequal):
    gmm = GaussianMixtureEM(3, warm_start=True).fit(unequal[0])
    assert np.all(np.diff(gmm.weights_) < 0)


def test_a_stream_is_numbered_where_it_starts_and_keeps_its_numbers(unequal):
    X, labels = unequal
    shuffled = np.random.default_rng(0).permutation(len(X))
    gmm = GaussianMixtureEM(3).partial_fit(X[shuffled])
    assert np.all(np.diff(gmm.weights_) < 0)
    means = gmm.means_
    for _ in range(20):
        gmm.partial_fit(X[labels == 0])
    assert gmm.weights_.argmax() == 2
    assert_allclose(gmm.means_, means, atol=0.2)


def test_what_a_search_selects_is_numbered_by_weight(unequal):
    X, labels = unequal
    search = GaussianMixtureIC([2, 3, 4]).fit(X)
    weights = search.best_estimator_.weights_
    assert np.all(np.diff(weights) < 0) and len(weights) == 3
    assert_array_equal(search.labels_, BY_WEIGHT[labels])
    assert_array_equal(search.predict(X), search.labels_)


def test_warnings_name_components_by_their_numbers():
    X = make_blobs(0, n_samples=200, n_features=2, n_components=2)
    line = np.linspace([30.0, 30.0], [31.0, 31.0], 8)  # few rows, no width across
    with pytest.warns(DegenerateComponentWarning) as caught:
        gmm = GaussianMixtureEM(2).fit(np.vstack([X, line]))
    narrow = np.linalg.eigvalsh(gmm.covariances_)[:, 0].argmin()
    assert f"component {narrow} has collapsed onto a few rows" in str(caught[0].message)
