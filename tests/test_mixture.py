"""The mixture as a distribution, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp, softmax
from scipy.stats import multivariate_normal

from emgmm._covariances import Full
from emgmm._mixture import Mixture, posterior


@pytest.fixture
def mixture():
    rng = np.random.default_rng(0)
    roots = rng.standard_normal((3, 2, 4))
    covariances = Full.from_values(roots @ roots.mT, 3, 2)
    return Mixture(np.array([0.2, 0.3, 0.5]), rng.standard_normal((3, 2)), covariances)


def test_log_joint_is_weight_times_density(mixture):
    X = np.random.default_rng(1).standard_normal((10, 2))
    expected = [
        np.log(weight) + multivariate_normal(mean, covariance).logpdf(X)
        for weight, mean, covariance in zip(
            mixture.weights, mixture.means, mixture.covariances.values, strict=True
        )
    ]
    assert_allclose(mixture.log_joint(X), np.transpose(expected), rtol=1e-12)


def test_posterior_normalises_whatever_the_scale():
    log_joint = np.random.default_rng(0).normal(size=(6, 4)) * 5
    log_joint += np.array([0, 1e4, -1e4, 700, -745, -1e15])[:, None]
    log_joint[0, 1] = -np.inf
    expected = logsumexp(log_joint, axis=1)
    log_density, responsibilities = posterior(log_joint.copy())
    assert_allclose(log_density, expected, rtol=1e-15, atol=1e-13)
    assert_allclose(responsibilities.sum(axis=1), 1, rtol=1e-15)
    assert_allclose(responsibilities, softmax(log_joint, axis=1), rtol=1e-12)


def test_a_row_beyond_all_densities_is_shared(mixture):
    log_density, responsibilities = posterior(np.full((1, 4), -np.inf))
    assert_array_equal(log_density, [-np.inf])
    assert_array_equal(responsibilities, np.full((1, 4), 0.25))


def test_a_component_of_weight_zero_takes_no_rows(mixture):
    silent = Mixture(np.array([0.0, 0.5, 0.5]), mixture.means, mixture.covariances)
    _, responsibilities = posterior(silent.log_joint(mixture.means))
    assert_array_equal(responsibilities[:, 0], 0)
    assert_allclose(responsibilities.sum(axis=1), 1)


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
