"""Statistics against sums written out, and their algebra."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from conftest import statistics_of
from numpy.testing import assert_allclose, assert_array_equal

from emgmm._model.moment_kinds import MOMENT_KINDS
from emgmm._model.segments import Segments


def random_statistics(kind, seed=0, n_samples=40, n_components=3, n_features=3):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features)) + 5.0
    responsibilities = rng.uniform(size=(n_samples, n_components))
    origin = rng.standard_normal((n_components, n_features)) + 5.0
    stats = statistics_of(X, responsibilities, origin, kind, 1.5, 2.5)
    return X, responsibilities, stats


def direct_scatter(X, responsibilities, kind):
    scatters = []
    for weights in responsibilities.T:
        mean = np.average(X, axis=0, weights=weights)
        scatters.append((weights[:, None] * (X - mean)).T @ (X - mean))
    return of_kind(np.stack(scatters), kind)


def of_kind(full, kind):
    """What a kind of second moments has of those of each component (K, d, d)."""
    return {
        "full": full,
        "pooled": full.sum(axis=0, keepdims=True),
        "diagonal": np.diagonal(full, axis1=1, axis2=2),
    }[kind.name]


@pytest.mark.parametrize("kind", MOMENT_KINDS, ids=str)
def test_means_and_scatter_are_those_written_out(kind):
    X, responsibilities, stats = random_statistics(kind)
    means = responsibilities.T @ X / responsibilities.sum(axis=0)[:, None]
    assert_allclose(stats.counts, responsibilities.sum(axis=0))
    assert_allclose(stats.means, means)
    assert_allclose(
        stats.scatter, direct_scatter(X, responsibilities, kind), atol=1e-11
    )


@pytest.mark.parametrize("kind", MOMENT_KINDS, ids=str)
def test_parts_add_to_the_whole_also_about_other_origins(kind):
    X, responsibilities, whole = random_statistics(kind)
    left = statistics_of(X[:7], responsibilities[:7], whole.origin, kind, 1.0)
    other_origin = whole.origin + 1.0
    right = statistics_of(X[7:], responsibilities[7:], other_origin, kind, 0.5)
    total = left + right
    assert total.log_likelihood == 1.5
    for name in ["counts", "sums", "products", "scatter"]:
        assert_allclose(getattr(total, name), getattr(whole, name), atol=1e-10)


@pytest.mark.parametrize("kind", MOMENT_KINDS, ids=str)
def test_moving_the_origin_changes_no_mean_or_scatter(kind):
    X, responsibilities, stats = random_statistics(kind)
    moved = stats.about(stats.origin - 3.0)
    direct = statistics_of(X, responsibilities, stats.origin - 3.0, kind)
    assert_allclose(moved.products, direct.products, rtol=1e-11, atol=1e-10)
    assert_allclose(moved.means, stats.means)
    assert_allclose(moved.scatter, stats.scatter, atol=1e-10)


@pytest.mark.parametrize("kind", MOMENT_KINDS, ids=str)
def test_a_far_origin_is_noticed_and_a_near_one_is_not(kind):
    X, responsibilities, stats = random_statistics(kind)
    deviation = X.std(axis=0)
    for distance, cancels in [(2.0, False), (5.0, True), (1e5, True), (1e9, True)]:
        origin = stats.means + distance * deviation
        moved = statistics_of(X, responsibilities, origin, kind)
        assert moved.cancels() == cancels
    near = statistics_of(X, responsibilities, moved.means, kind)
    assert not near.cancels()


@pytest.mark.parametrize("kind", MOMENT_KINDS, ids=str)
def test_a_constant_feature_does_not_ask_for_another_origin_forever(kind):
    X = np.full((10, 2), 0.1)
    responsibilities = np.full((10, 2), 0.5)
    first = statistics_of(X, responsibilities, np.zeros((2, 2)), kind)
    assert first.cancels()
    assert not statistics_of(X, responsibilities, first.means, kind).cancels()


@pytest.mark.parametrize("kind", MOMENT_KINDS, ids=str)
def test_an_empty_component_stays_at_its_origin(kind):
    X, responsibilities, _ = random_statistics(kind)
    responsibilities[:, 1] = 0.0
    origin = np.arange(9.0).reshape(3, 3)
    stats = statistics_of(X, responsibilities, origin, kind)
    assert_allclose(stats.means[1], origin[1])
    assert np.isfinite(stats.scatter).all()


def direct_products(X, weights, kind):
    """Sums of w v v' of the rows of two components."""
    return of_kind(np.einsum("kn,kni,knj->kij", weights, X, X), kind)


@pytest.mark.parametrize("kind", MOMENT_KINDS, ids=str)
def test_moments_of_a_kind_are_those_written_out(kind):
    rng = np.random.default_rng(0)
    X, weights = rng.standard_normal((2, 9, 3)), rng.uniform(size=(2, 9))
    expected = direct_products(X, weights, kind)
    one_by_one = np.stack(list(map(kind.moments, X, weights)))
    roots = np.sqrt(weights)[:, None]
    vectors = np.concatenate([np.ones((2, 1, 9)), X.mT], axis=1) * roots
    for moments in (one_by_one, kind.stacked_moments(vectors, roots)):
        assert moments.shape == (2, *kind.moments_shape(3))
        assert_allclose(kind.products(Segments.one(2), moments), expected, rtol=1e-12)
        assert_allclose(moments[:, 0, 0], weights.sum(axis=1))
        assert_allclose(moments[:, 0, 1:], (weights[..., None] * X).sum(axis=1))
    assert expected.shape == kind.shape(Segments.one(2), 3)
    single = kind.outer(Segments.one(2), weights[:, 0], X[:, 0])
    assert_allclose(single, direct_products(X[:, :1], weights[:, :1], kind))


@pytest.mark.parametrize("kind", MOMENT_KINDS, ids=str)
def test_variances_are_added_to_diagonals_only(kind):
    rng = np.random.default_rng(0)
    X, weights = rng.standard_normal((2, 9, 3)), rng.uniform(size=(2, 9))
    products, variances = direct_products(X, weights, kind), rng.uniform(size=(2, 3))
    before = products.copy()
    root = np.sqrt(variances)[:, None] * np.eye(3)
    rows, ones = np.concatenate([X, root], axis=1), np.ones((2, 3))
    expected = direct_products(rows, np.concatenate([weights, ones], axis=1), kind)
    assert_allclose(
        kind.plus_diagonals(Segments.one(2), products, variances), expected, rtol=1e-12
    )
    assert_array_equal(products, before)
    own = kind.from_variances(variances[0])
    added = kind.plus_diagonals(
        Segments.one(1), np.zeros(kind.shape(Segments.one(1), 3)), variances[:1]
    )
    assert_array_equal(own, added[0])


@pytest.mark.parametrize("kind", MOMENT_KINDS, ids=str)
def test_a_copy_of_a_kind_is_the_kind_itself(kind):
    assert pickle.loads(pickle.dumps(kind)) is kind
    assert copy.deepcopy(kind) is kind
