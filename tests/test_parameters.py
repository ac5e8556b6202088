"""The mixture as a distribution: what it samples."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from emgmm._model.covariances import Full
from emgmm._model.parameters import SAMPLE_BLOCK_SIZE, Parameters
from emgmm._model.segments import Segments


@pytest.fixture
def mixture():
    rng = np.random.default_rng(0)
    roots = rng.standard_normal((3, 2, 4))
    covariances = Full.from_values(roots @ roots.mT, Segments.one(3), 2)
    return Parameters(
        np.array([0.2, 0.3, 0.5]), rng.standard_normal((3, 2)), covariances
    )


def test_samples_have_the_moments_of_the_mixture(mixture):
    n_samples = 400_000
    X, labels = mixture.sample(n_samples, np.random.RandomState(0))
    mean = mixture.weights @ mixture.means
    deviations = mixture.means - mean
    between = np.einsum("k,ki,kj->ij", mixture.weights, deviations, deviations)
    within = np.tensordot(mixture.weights, mixture.covariances.values, axes=1)
    error = np.sqrt(np.diag(between + within) / n_samples)
    assert np.all(np.abs(X.mean(axis=0) - mean) < 5 * error)
    assert_allclose(np.cov(X.T), between + within, rtol=0.02, atol=0.02)
    assert_allclose(np.bincount(labels) / n_samples, mixture.weights, atol=0.004)
    assert_array_equal(labels, np.sort(labels))


def two_components(n_features):
    rng = np.random.default_rng(1)
    roots = rng.standard_normal((2, n_features, 2 * n_features))
    covariances = Full.from_values(roots @ roots.mT, Segments.one(2), n_features)
    means = rng.standard_normal((2, n_features))
    return Parameters(np.array([0.3, 0.7]), means, covariances)


def test_samples_take_little_memory_beside_their_own():
    mixture = two_components(8)
    tracemalloc.start()
    drawn = mixture.sample(400_000, np.random.RandomState(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * sum(array.nbytes for array in drawn) + 8 * SAMPLE_BLOCK_SIZE


def test_samples_do_not_depend_on_how_many_are_drawn_at_a_time(monkeypatch):
    mixture = two_components(3)
    expected, labels = mixture.sample(1000, np.random.RandomState(0))
    rng = np.random.RandomState(0)
    counts = rng.multinomial(1000, mixture.weights)
    normals = rng.standard_normal((1000, 3))
    assert_array_equal(labels, np.repeat([0, 1], counts))
    for k in (0, 1):
        colored = mixture.covariances.colorize(normals[labels == k], k)
        assert_allclose(expected[labels == k], mixture.means[k] + colored, rtol=1e-12)
    monkeypatch.setattr("emgmm._model.parameters.SAMPLE_BLOCK_SIZE", 20)
    rows, _ = mixture.sample(1000, np.random.RandomState(0))
    assert_allclose(rows, expected, rtol=1e-12)
