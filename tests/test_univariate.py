"""Mixtures of one feature: probabilities below values, and quantiles."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import drawn_mixture
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad
from scipy.stats import norm

from emgmm import Mixture

CASES = {
    "one": ([1.0], [3.0], [2.0]),
    "overlapping": ([0.2, 0.3, 0.5], [0.0, 0.5, 9.0], [1.0, 0.1, 2.0]),
    "far apart": ([0.5, 0.5], [-1e3, 1e3], [1.0, 1.0]),
    "of all sizes": ([0.3, 0.7], [0.0, 1e8], [1e-6, 1e3]),
    "a small one": ([1e-12, 1 - 1e-12], [-50.0, 0.0], [1.0, 1.0]),
    "one without weight": ([0.0, 1.0], [1e9, 0.0], [1.0, 1.0]),
}
Q = np.array(
    [1e-300, 1e-100, 1e-30, 1e-13, 1e-8, 0.01, 0.2, 0.3, 0.5]
    + [0.5 + 1e-12, 0.7, 0.99, 1 - 1e-8, 1 - 1e-15, 1 - 2.0**-53]
)


@pytest.fixture(params=CASES)
def case(request):
    weights, means, deviations = map(np.array, CASES[request.param])
    covariances = (deviations**2)[:, None, None]
    return Mixture(weights, means[:, None], covariances), norm(means, deviations)


def test_cdf_is_the_integral_of_the_density():
    weights, means, deviations = map(np.array, CASES["overlapping"])
    mixture = Mixture(weights, means[:, None], (deviations**2)[:, None, None])
    for x in [-1.0, 0.45, 2.0, 10.0]:
        area, _ = quad(
            lambda u: np.exp(mixture.log_density([[u]])[0]),
            *(-12.0, x),
            points=[0.0, 0.3, 0.5, 0.7],
            limit=200,
        )
        assert_allclose(mixture.cdf(x), area, rtol=1e-8)


def test_cdf_of_a_quantile_is_what_was_asked_for_in_either_tail(case):
    mixture, components = case
    x = mixture.quantile(Q)
    below = components.cdf(x[:, None]) @ mixture.weights
    above = components.sf(x[:, None]) @ mixture.weights
    # As far as neighbouring numbers can be distinguished.
    slope = components.pdf(x[:, None]) @ mixture.weights
    tail = np.where(Q <= 0.5, Q, 1 - Q)
    error = np.abs(np.where(Q <= 0.5, below, above) - tail)
    assert np.all(error <= 1e-12 * tail + 2 * slope * np.spacing(np.abs(x)))
    assert_allclose(mixture.cdf(x), below, rtol=1e-12)


def test_quantile_of_cdf_is_where_one_was():
    weights, means, deviations = map(np.array, CASES["overlapping"])
    mixture = Mixture(weights, means[:, None], (deviations**2)[:, None, None])
    x = np.concatenate([np.linspace(-9, 1.0, 60), np.linspace(6, 12, 40)])
    assert_allclose(mixture.quantile(mixture.cdf(x)), x, rtol=1e-9, atol=1e-12)


def test_quantiles_rise_with_probability(case):
    q = np.random.default_rng(0).random(2000)
    q.sort()
    assert np.all(np.diff(case[0].quantile(q)) >= 0)


def test_a_single_component_has_scipy_s_quantiles():
    mixture = Mixture([1.0], [[3.0]], [[[4.0]]])
    assert_allclose(mixture.quantile(Q), norm(3, 2).ppf(Q), rtol=1e-13)


def test_ends_shapes_and_scalars(case):
    mixture, _ = case
    assert_array_equal(mixture.quantile([[0.0, 1.0]]), [[-np.inf, np.inf]])
    assert mixture.quantile(1.0) == np.inf
    assert np.ndim(mixture.quantile(0.5)) == np.ndim(mixture.cdf(0.5)) == 0
    assert mixture.quantile(np.full((2, 3), 0.4)).shape == (2, 3)
    assert mixture.cdf(np.zeros((2, 0))).shape == (2, 0)
    assert_array_equal(mixture.cdf([-np.inf, np.inf]), [0.0, 1.0])
    assert np.isnan(mixture.cdf(np.nan))


@pytest.mark.parametrize("q", [-0.1, 1.1, [0.5, 2.0], np.nan, "half"])
def test_what_is_no_probability_is_refused(q):
    with pytest.raises(ValueError, match="^q "):
        Mixture([1.0], [[3.0]], [[[4.0]]]).quantile(q)


@pytest.mark.parametrize("method", ["cdf", "quantile"])
def test_several_features_have_no_order(method):
    mixture = Mixture([1.0], [[3.0, 1.0]], [np.eye(2)])
    with pytest.raises(ValueError, match=rf"use marginal\(feature\).{method}"):
        getattr(mixture, method)(0.5)
    assert getattr(mixture.marginal(0), method)(0.5) <= 3


def test_rounding_leaves_both_functions_in_order():
    rng = np.random.default_rng(0)
    for _ in range(60):
        mixture = drawn_mixture(rng)
        assert mixture.cdf(np.inf) == 1
        assert mixture.cdf(-np.inf) == 0
        x = np.sort(np.append(10 * rng.normal(size=500), [50.0, 1e3, np.inf]))
        assert (np.diff(mixture.cdf(x)) >= 0).all()
        near = rng.uniform() + 1e-15 * rng.uniform(size=500)
        q = np.sort(np.concatenate([near, rng.uniform(size=500)]))
        assert (np.diff(mixture.quantile(q)) >= 0).all()


@pytest.mark.parametrize("means", [(0.0, 1e160), (-1e300, 1e300), (0.0, 0.0)])
@pytest.mark.parametrize("variances", [(1e-300, 1.0), (1e300, 1e-300), (1e-300,) * 2])
def test_numbers_of_any_size_leave_no_warning(means, variances):
    variances = np.array(variances)[:, None, None]
    mixture = Mixture([0.5, 0.5], np.array(means)[:, None], variances)
    probabilities = mixture.cdf([-np.inf, -1e308, 0.0, 1e308, np.inf])
    assert (np.diff(probabilities) >= 0).all()
    assert_array_equal(probabilities[[0, -1]], [0.0, 1.0])
    quantiles = mixture.quantile([1e-300, 0.1, 0.4, 0.9])
    assert np.isfinite(quantiles).all() and (np.diff(quantiles) >= 0).all()
    assert np.isfinite(mixture.entropy(100, random_state=0)).all()
    assert mixture.covariance.shape == (1, 1)
