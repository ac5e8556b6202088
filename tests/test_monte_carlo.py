"""Entropy and divergence by sampling: right within their own errors."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from conftest import drawn_mixture, make_blobs
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.stats import multivariate_normal

from emgmm import GaussianMixtureEM, Mixture


def one_feature(weights, means, deviations):
    variances = np.square(deviations)[:, None, None]
    return Mixture(weights, np.array(means)[:, None], variances)


P = one_feature([0.3, 0.7], [0.0, 2.0], [1.0, 0.5])
Q = one_feature([0.5, 0.2, 0.3], [1.0, 3.0, -1.0], [0.7, 1.0, 2.0])
WIDE = one_feature([1.0], [1.0], [9.0])
COVARIANCE = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 1.5]])


def integral(function, mixture):
    """Expectation of a function of a mixture's log-density at x."""

    def integrand(x):
        log_density = mixture.log_density([[x]])[0]
        return np.exp(log_density) * function(x, log_density)

    pieces = [-60, -3, -1, 0, 1, 2, 3, 5, 60]
    return sum(
        quad(integrand, *ends, epsabs=1e-11)[0]
        for ends in zip(pieces[:-1], pieces[1:], strict=True)
    )


@pytest.mark.parametrize("mixture", [P, Q, WIDE])
def test_entropy_is_the_integral(mixture):
    expected = integral(lambda _, log_density: -log_density, mixture)
    value, error = mixture.entropy(random_state=0)
    assert error < 0.01
    assert abs(value - expected) < 5 * error + 1e-9


def test_the_entropy_of_one_component_is_exact():
    normal = multivariate_normal(np.ones(3), COVARIANCE)
    value, error = Mixture([1.0], np.ones((1, 3)), [COVARIANCE]).entropy(10)
    assert_allclose(value, normal.entropy(), rtol=1e-12)
    assert error < 1e-12


def test_the_entropy_of_components_far_apart_is_that_of_labels_and_components():
    means = np.outer([0.0, 100.0], np.ones(3))
    mixture = Mixture([0.25, 0.75], means, [COVARIANCE, COVARIANCE])
    labels = -0.25 * np.log(0.25) - 0.75 * np.log(0.75)
    own = multivariate_normal(np.zeros(3), COVARIANCE).entropy()
    assert_allclose(mixture.entropy(100)[0], labels + own, rtol=1e-12)


@pytest.mark.parametrize(("p", "q"), [(P, Q), (Q, P), (P, WIDE), (WIDE, P)])
def test_divergence_is_the_integral(p, q):
    expected = integral(lambda x, own: own - q.log_density([[x]])[0], p)
    value, error = p.kl_divergence(q, 40_000, random_state=0)
    assert error < 0.02 * expected
    assert abs(value - expected) < 5 * error


def test_the_divergence_of_gaussians_is_the_closed_form():
    a, b = multivariate_normal(np.zeros(3), COVARIANCE), np.diag([3.0, 1.0, 1.0])
    shift = np.array([0.5, -0.2, 0.1])
    inverse = np.linalg.inv(b)
    expected = 0.5 * (
        np.trace(inverse @ a.cov)
        + shift @ inverse @ shift
        - 3
        + np.log(np.linalg.det(b) / np.linalg.det(a.cov))
    )
    p, q = Mixture([1.0], [np.zeros(3)], [a.cov]), Mixture([1.0], [shift], [b])
    value, error = p.kl_divergence(q, random_state=0)
    assert error < 0.02 * expected
    assert abs(value - expected) < 5 * error


def test_errors_are_those_of_repeated_estimates():
    for estimate in [P.entropy, lambda *args: P.kl_divergence(Q, *args)]:
        estimates = np.array([estimate(500, seed) for seed in range(200)])
        assert_allclose(estimates[:, 0].std(), estimates[:, 1].mean(), rtol=0.2)


def test_equal_mixtures_do_not_diverge():
    X = make_blobs(0, 200, 3, 3)
    mixture = GaussianMixtureEM(3).fit(X).mixture_
    again = Mixture(mixture.weights, mixture.means, mixture.covariances)
    assert mixture.kl_divergence(mixture) == (0.0, 0.0)
    assert 0 <= mixture.kl_divergence(again).value < 1e-20


def test_divergence_is_nowhere_negative_and_finite_however_far():
    near, far = Q, one_feature([1.0], [1e6], [1e-3])
    for p, q in [(near, far), (far, near)]:
        value, error = p.kl_divergence(q, 1000, random_state=0)
        assert np.isfinite([value, error]).all()
        assert value > 100
    for seed in range(20):
        assert P.kl_divergence(Q, 1, seed).value >= 0


def test_components_without_weight_are_not_drawn():
    with_it = one_feature([0.3, 0.7, 0.0], [0.0, 2.0, 1e9], [1.0, 0.5, 1.0])
    assert_allclose(with_it.entropy(random_state=0), P.entropy(random_state=0))


def test_only_mixtures_of_the_same_features_are_compared():
    with pytest.raises(TypeError, match="other is a GaussianMixtureEM: pass a Mixture"):
        P.kl_divergence(GaussianMixtureEM())
    with pytest.raises(ValueError, match="does not have the features of"):
        P.kl_divergence(Mixture([1.0], np.ones((1, 3)), [COVARIANCE]))
    x, y = (Mixture([1.0], [[0.0]], [[[1.0]]], [name]) for name in "xy")
    with pytest.raises(ValueError, match="does not have the features of"):
        x.kl_divergence(y)
    with pytest.raises(ValueError, match="n_samples"):
        P.entropy(0)


@cache
def drawn_with_entropies():
    """Mixtures, and their entropies by sums."""
    rng = np.random.default_rng(0)
    mixtures = [drawn_mixture(rng) for _ in range(60)]
    return [(mixture, summed_entropy(mixture)) for mixture in mixtures]


def summed_entropy(mixture):
    """By sums over fine grids, each about a component."""
    z, step = np.linspace(-9, 9, 20_001, retstep=True)
    density, entropy = np.exp(-z * z / 2) / np.sqrt(2 * np.pi), 0.0
    components = mixture.weights, mixture.means[:, 0], mixture.covariances[:, 0, 0]
    for weight, mean, variance in zip(*components, strict=True):
        rows = mean + np.sqrt(variance) * z[:, None]
        entropy -= weight * step * (density @ mixture.log_density(rows))
    return entropy


@pytest.mark.parametrize("n_samples", [300, 10_000])
def test_entropies_are_off_by_few_of_their_errors(n_samples):
    # Rows where components hardly overlap are rare, and may not be drawn at all.
    for seed, (mixture, expected) in enumerate(drawn_with_entropies()):
        value, error = mixture.entropy(n_samples, random_state=seed)
        assert abs(value - expected) < 4 * error + 1e-9


def test_the_error_of_what_is_not_drawn_is_within_the_overlap():
    # The only rows that show the overlap are seven deviations from either mean.
    value, error = one_feature([0.5, 0.5], [0.0, 14.0], [1.0, 1.0]).entropy(1000, 0)
    assert 1e-12 < error < 1e-9


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_the_entropy_of_every_storage_is_that_of_matrices(covariance_type):
    X = make_blobs(1, 300, 3, 3)
    mixture = GaussianMixtureEM(3, covariance_type=covariance_type).fit(X).mixture_
    dense = Mixture(mixture.weights, mixture.means, mixture.covariances)
    estimates = [m.entropy(1000, random_state=0) for m in (mixture, dense)]
    assert_allclose(*estimates, rtol=1e-6)


@pytest.mark.parametrize("n_samples", [2**63, 10**30])
def test_more_rows_than_an_array_can_have_are_refused(n_samples):
    for method in (P.sample, P.entropy, lambda n: P.kl_divergence(Q, n)):
        with pytest.raises(ValueError, match=f"'n_samples': {n_samples}. Give a whole"):
            method(n_samples)
