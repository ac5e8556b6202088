"""Starts: weighted, repeatable, at any offset, and without a copy of the rows."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from conftest import make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from emgmm._data.arrays import ArrayBlocks
from emgmm._init.kmeans import (
    _plus_plus,
    kmeans,
    kmeans_from_axes,
    nearest_to_plus_plus,
    nearest_to_random_rows,
    random_responsibilities,
)
from emgmm._init.principal_axes import centers_along_axes

STARTS = [
    kmeans,
    kmeans_from_axes,
    nearest_to_plus_plus,
    nearest_to_random_rows,
    random_responsibilities,
]


def run(start, X, n_components=3, weights=None, seed=0):
    blocks = ArrayBlocks(X, np.ones(len(X)) if weights is None else weights)
    return start(blocks, n_components, np.random.RandomState(seed))


@pytest.mark.parametrize("start", STARTS)
def test_every_start_gives_each_component_rows(start):
    X = make_blobs(seed=2, n_samples=200, n_features=3, n_components=3)
    rows = run(start, X)
    if rows.ndim == 2:
        assert rows.shape == (200, 3)
        assert_allclose(rows.sum(axis=1), 1)
    else:
        assert_array_equal(np.unique(rows), [0, 1, 2])
    assert_array_equal(run(start, X), rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("start", STARTS)
def test_rows_are_not_altered(start, dtype):
    X = make_blobs(seed=2, n_samples=100, n_features=2, n_components=2).astype(dtype)
    before = X.copy()
    X.flags.writeable = False
    run(start, X)
    assert_array_equal(X, before)


@pytest.mark.parametrize("start", STARTS)
def test_an_offset_changes_no_label(start):
    # Multiples of 2^-12 survive an offset of 2^40 exactly, and leave no ties.
    X = np.round(2.0**12 * make_blobs(3, 300, 2, 3)) / 2.0**12
    assert_array_equal(run(start, X + 2.0**40), run(start, X))


def test_the_first_kmeans_draws_nothing():
    X = make_blobs(seed=5, n_samples=150, n_features=3, n_components=4)
    assert_array_equal(run(kmeans_from_axes, X, 4, seed=1), run(kmeans_from_axes, X, 4))


@pytest.mark.parametrize("start", [kmeans_from_axes, kmeans])
def test_kmeans_is_as_good_as_scikit_learns(start):
    """Within a fifth of its sum of squares, on blobs that overlap."""
    for seed in range(5):
        X = make_blobs(seed=seed, n_samples=500, n_features=2, n_components=4)
        labels = run(start, X, 4)
        centers = np.stack([X[labels == k].mean(axis=0) for k in range(4)])
        inertia = np.sum((X - centers[labels]) ** 2)
        reference = min(
            KMeans(4, n_init=1, random_state=i).fit(X).inertia_ for i in range(3)
        )
        assert inertia <= 1.2 * reference


def test_kmeans_goes_on_until_its_centers_hardly_move():
    X = make_blobs(seed=7, n_samples=2000, n_features=2, n_components=6)
    weights = np.random.default_rng(0).uniform(0.5, 2.0, 2000)
    labels = run(kmeans_from_axes, X, 6, weights)

    def inertia(labels):
        centers = [
            np.average(X[labels == k], axis=0, weights=weights[labels == k])
            for k in range(6)
        ]
        return weights @ np.sum((X - np.stack(centers)[labels]) ** 2, axis=1), centers

    reached, centers = inertia(labels)
    exact = KMeans(6, init=np.stack(centers), n_init=1, tol=0, max_iter=10_000)
    exact.fit(X, sample_weight=weights)
    assert reached <= 1.01 * exact.inertia_


def test_the_widest_cluster_is_split_not_the_heaviest():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [1000, 20, 20])
    X = np.array([0.0, 100.0, 110.0])[truth, None] + rng.standard_normal((1040, 1))
    centers = np.sort(centers_along_axes(ArrayBlocks(X, np.ones(1040)), 3)[:, 0])
    assert_allclose(centers, [0, 100, 110], atol=1)


def test_rows_at_the_mean_do_not_hang_on_the_order_of_the_rows():
    X = np.repeat(0.1 * np.arange(-3.0, 4.0), 9)[:, None] + 0.7
    expected = run(kmeans_from_axes, X, 2)
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(X))
        labels = run(kmeans_from_axes, X[order], 2)
        assert_array_equal(labels, expected[order])


def test_a_sample_to_seed_from_is_drawn_by_weight(monkeypatch):
    monkeypatch.setattr("emgmm._init.kmeans.SEED_SAMPLE", 200)
    X = np.random.default_rng(0).standard_normal((5000, 2))
    weights = np.where(np.arange(5000) < 50, 1e9, 1.0)
    for seed in range(5):
        centers = _plus_plus(ArrayBlocks(X, weights), 3, np.random.RandomState(seed))
        for center in centers:
            assert np.min(np.abs(X[:50] - center).sum(axis=1)) < 1e-12


def test_separated_clusters_are_found_at_once():
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), 50)
    X = 20 * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])[truth]
    X = X + rng.standard_normal((200, 2))
    assert adjusted_rand_score(truth, run(kmeans_from_axes, X, 4)) == 1.0


def test_more_components_than_small_integers_can_number_are_distinguished():
    X = np.repeat(np.arange(200.0), 3)[:, None]
    for start in (kmeans_from_axes, nearest_to_plus_plus):
        labels = run(start, X, 200)
        assert labels.min() >= 0 and len(np.unique(labels)) > 128


@pytest.mark.parametrize("start", STARTS)
def test_fewer_distinct_rows_than_components_do_no_harm(start):
    X = np.repeat([[0.0, 0.0], [1.0, 1.0]], 10, axis=0)
    rows = run(start, X, 5)
    assert len(rows) == 20
    assert np.isfinite(rows).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "start", [start for start in STARTS if start is not random_responsibilities]
)
def test_memory_stays_far_below_that_of_the_rows(start):
    X = make_blobs(seed=0, n_samples=150_000, n_features=30, n_components=3)
    weights = np.broadcast_to(1.0, len(X))
    tracemalloc.start()
    start(ArrayBlocks(X, weights), 3, np.random.RandomState(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.75 * X.nbytes
