"""The mixture as a distribution: what it samples."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from emgmm._covariances import Full
from emgmm._parameters import Parameters


@pytest.fixture
def mixture():
    rng = np.random.default_rng(0)
    roots = rng.standard_normal((3, 2, 4))
    covariances = Full.from_values(roots @ roots.mT, 3, 2)
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
