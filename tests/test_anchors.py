"""Anchors: what holds whatever the offset, unit or precision of the rows.

``python -m benchmarks.run anchors`` asks the same of scikit-learn's GaussianMixture.
"""

from __future__ import annotations

import numpy as np
import pytest
from conftest import SCIKIT_LEARN_TYPES
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import adjusted_rand_score

from benchmarks.anchors import overlapping, parallel_cigars, two_blobs
from emgmm import GaussianMixtureEM

# Offsets, precision and units -----------------------------------------------------


@pytest.mark.parametrize("offset", [1e5, 1e6, 1e8])
@pytest.mark.parametrize("covariance_type", ["tied", "diag", "spherical"])
def test_an_offset_costs_no_iterations(covariance_type, offset):
    """The rows are exact at every offset here, so that the fits are the same."""
    X = two_blobs()
    assert_array_equal(X + offset - offset, X)
    settings = {"covariance_type": covariance_type, "tol": 1e-8, "random_state": 0}
    near = GaussianMixtureEM(2, **settings).fit(X)
    far = GaussianMixtureEM(2, **settings).fit(X + offset)
    assert far.converged_
    assert abs(far.n_iter_ - near.n_iter_) <= 1
    assert_allclose(far.score(X + offset), near.score(X), atol=1e-7)
    assert_allclose(far.covariances_, near.covariances_, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("offset", [1e3, 1e4])
@pytest.mark.parametrize("covariance_type", ["tied", "diag", "spherical"])
def test_float32_rows_at_an_offset_keep_their_likelihood(covariance_type, offset):
    rows = (two_blobs() + offset).astype(np.float32)
    settings = {"covariance_type": covariance_type, "random_state": 0}
    single = GaussianMixtureEM(2, **settings).fit(rows)
    double = GaussianMixtureEM(2, **settings).fit(rows.astype(np.float64))
    assert_allclose(single.score(rows), double.score(rows), atol=1e-5)
    assert_allclose(single.covariances_, double.covariances_, rtol=1e-2, atol=1e-2)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_float32_rows_of_great_values_give_the_variances_of_float64():
    """scikit-learn's issue 30382: two components of one row each."""
    X = np.array([[9999.0], [0.0]], dtype=np.float32)
    gmm = GaussianMixtureEM(
        2, covariance_type="spherical", reg_covar=0.1, random_state=0
    ).fit(X)
    assert_allclose(gmm.covariances_, 0.1, rtol=1e-6)


@pytest.mark.parametrize("unit", [1e-3, 1e-4])
@pytest.mark.parametrize("covariance_type", SCIKIT_LEARN_TYPES)
def test_small_units_inflate_no_variance(covariance_type, unit):
    X = two_blobs()
    settings = {"covariance_type": covariance_type, "random_state": 0}
    one = GaussianMixtureEM(2, **settings).fit(X)
    other = GaussianMixtureEM(2, **settings).fit(unit * X)
    assert_allclose(other.covariances_ / unit**2, one.covariances_, rtol=1e-6)


# Starts and stopping --------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_parallel_cigars_are_separated_by_the_default_start(seed):
    X, labels = parallel_cigars(seed)
    for rows in [X / X.std(axis=0), X]:
        found = GaussianMixtureEM(2, random_state=0).fit(rows).predict(rows)
        assert adjusted_rand_score(labels, found) > 0.98


@pytest.mark.parametrize("separation", [4.0, 2.5, 1.5])
def test_the_default_tol_stops_close_to_the_maximum(separation):
    settings = {"n_components": 3, "random_state": 0, "max_iter": 20_000}
    for seed in [3, 2, 1, 0]:  # the slowest first
        X = overlapping(separation, seed)
        stopped = GaussianMixtureEM(**settings).fit(X)
        limit = GaussianMixtureEM(**settings, tol=1e-10).fit(X)
        assert limit.converged_
        assert limit.score(X) - stopped.score(X) < 1e-3


@pytest.mark.parametrize("n_components", [1, 3])
def test_warm_start_after_a_change_of_n_components_has_the_new_number(n_components):
    X = two_blobs()
    gmm = GaussianMixtureEM(2, warm_start=True, tol=1e-2, random_state=0).fit(X)
    gmm.set_params(n_components=n_components).fit(X)
    assert gmm.means_.shape == (n_components, 2)
    assert gmm.predict_proba(X).shape == (400, n_components)
