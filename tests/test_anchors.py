"""Where scikit-learn's GaussianMixture breaks: the same check for it and for ours.

scikit-learn may mend what it likes: that it fails (as 1.9.1 does) is not asserted.
"""

from __future__ import annotations

import numpy as np
import pytest
from conftest import SCIKIT_LEARN_TYPES
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from emgmm import GaussianMixtureEM

LIBRARIES = [
    pytest.param(GaussianMixtureEM, id="emgmm"),
    pytest.param(GaussianMixture, id="sklearn", marks=pytest.mark.xfail(strict=False)),
]
in_both = pytest.mark.parametrize("library", LIBRARIES)


def two_blobs(seed=0, n_samples=400, distance=6.0):
    """Rows on a grid of 2^-10 of two unit clusters side by side."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, 2))
    X[:, 0] += distance * (np.arange(n_samples) % 2)
    return np.round(X * 2.0**10) / 2.0**10


# Offsets, precision and units -----------------------------------------------------


@in_both
@pytest.mark.parametrize("offset", [1e5, 1e6, 1e8])
@pytest.mark.parametrize("covariance_type", ["tied", "diag", "spherical"])
def test_an_offset_costs_no_iterations(covariance_type, offset, library):
    """The rows are exact at every offset here, so that the fits are the same."""
    X = two_blobs()
    assert_array_equal(X + offset - offset, X)
    settings = {"covariance_type": covariance_type, "tol": 1e-8, "random_state": 0}
    near = library(2, **settings).fit(X)
    far = library(2, **settings).fit(X + offset)
    assert far.converged_
    assert abs(far.n_iter_ - near.n_iter_) <= 1
    assert_allclose(far.score(X + offset), near.score(X), atol=1e-7)
    assert_allclose(far.covariances_, near.covariances_, rtol=1e-6, atol=1e-7)


@in_both
@pytest.mark.parametrize("offset", [1e3, 1e4])
@pytest.mark.parametrize("covariance_type", ["tied", "diag", "spherical"])
def test_float32_rows_at_an_offset_keep_their_likelihood(
    covariance_type, offset, library
):
    rows = (two_blobs() + offset).astype(np.float32)
    settings = {"covariance_type": covariance_type, "random_state": 0}
    single = library(2, **settings).fit(rows)
    double = GaussianMixtureEM(2, **settings).fit(rows.astype(np.float64))
    assert_allclose(single.score(rows), double.score(rows), atol=2e-3)
    assert_allclose(single.covariances_, double.covariances_, rtol=1e-2, atol=1e-2)


@in_both
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_float32_rows_of_great_values_give_the_variances_of_float64(library):
    """scikit-learn's issue 30382: two components of one row each."""
    X = np.array([[9999.0], [0.0]], dtype=np.float32)
    gmm = library(2, covariance_type="spherical", reg_covar=0.1, random_state=0).fit(X)
    assert_allclose(gmm.covariances_, 0.1, rtol=1e-6)


@in_both
@pytest.mark.parametrize("unit", [1e-3, 1e-4])
@pytest.mark.parametrize("covariance_type", SCIKIT_LEARN_TYPES)
def test_small_units_inflate_no_variance(covariance_type, unit, library):
    X = two_blobs()
    settings = {"covariance_type": covariance_type, "random_state": 0}
    one = library(2, **settings).fit(X)
    other = library(2, **settings).fit(unit * X)
    assert_allclose(other.covariances_ / unit**2, one.covariances_, rtol=1e-6)


# Starts and stopping --------------------------------------------------------------


def parallel_cigars(seed):
    """Two long thin clusters side by side, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(400) % 2
    X = rng.standard_normal((400, 2)) * [20.0, 0.5]
    X[:, 1] += 4.0 * labels
    return X, labels


@in_both
@pytest.mark.parametrize("seed", range(10))
def test_parallel_cigars_are_told_apart_by_the_default_start(seed, library):
    X, labels = parallel_cigars(seed)
    for rows in [X / X.std(axis=0), X]:
        found = library(2, random_state=0).fit(rows).predict(rows)
        assert adjusted_rand_score(labels, found) > 0.98


def overlapping(separation, seed):
    """Three clusters of unequal shapes, whose means are so far from each other."""
    rng = np.random.default_rng(seed)
    labels = np.arange(1500) % 3
    means = separation / np.sqrt(2) * np.linalg.qr(rng.standard_normal((3, 3)))[0]
    roots = np.eye(3) + 0.3 * rng.standard_normal((3, 3, 3))
    normals = rng.standard_normal((1500, 3))
    return means[labels] + np.einsum("ijk,ik->ij", roots[labels], normals)


@in_both
@pytest.mark.parametrize("separation", [4.0, 2.5, 1.5])
def test_the_default_tol_stops_close_to_the_maximum(separation, library):
    settings = {"n_components": 3, "random_state": 0, "max_iter": 20_000}
    for seed in [3, 2, 1, 0]:  # the slowest first
        X = overlapping(separation, seed)
        stopped = library(**settings).fit(X)
        limit = library(**settings, tol=1e-10).fit(X)
        assert limit.converged_
        assert limit.score(X) - stopped.score(X) < 1e-3


@in_both
def test_max_iter_0_publishes_the_three_given_parameters(library):
    X = two_blobs()
    known = {
        "weights_init": [0.25, 0.75],
        "means_init": [[0.0, 0.0], [6.0, 0.0]],
        "precisions_init": [np.eye(2), 0.5 * np.eye(2)],
    }
    gmm = library(2, max_iter=0, **known).fit(X)
    assert_allclose(gmm.weights_, known["weights_init"])
    assert_allclose(gmm.means_, known["means_init"])
    assert_allclose(gmm.precisions_, known["precisions_init"])
    assert gmm.n_iter_ == 0


@in_both
@pytest.mark.parametrize("n_components", [1, 3])
def test_warm_start_after_a_change_of_n_components_has_the_new_number(
    n_components, library
):
    X = two_blobs()
    gmm = library(2, warm_start=True, tol=1e-2, random_state=0).fit(X)
    gmm.set_params(n_components=n_components).fit(X)
    assert gmm.means_.shape == (n_components, 2)
    assert gmm.predict_proba(X).shape == (400, n_components)


# What is published ----------------------------------------------------------------


@in_both
@pytest.mark.parametrize("covariance_type", SCIKIT_LEARN_TYPES)
def test_lower_bound_is_the_score_of_the_published_mixture(covariance_type, library):
    X = two_blobs(distance=2.0)
    settings = {"covariance_type": covariance_type, "tol": 1e-2, "random_state": 0}
    gmm = library(2, **settings).fit(X)
    assert_allclose(gmm.lower_bound_, gmm.score(X), rtol=1e-12)


@in_both
def test_samples_of_a_seeded_estimator_differ_from_call_to_call(library):
    gmm = library(2, random_state=0).fit(two_blobs())
    assert not np.array_equal(gmm.sample(5)[0], gmm.sample(5)[0])


@in_both
@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_no_more_rows_than_features_are_told_of(covariance_type, library):
    X = np.random.default_rng(0).standard_normal((20, 30))
    gmm = library(2, covariance_type=covariance_type, random_state=0)
    with pytest.warns(ConvergenceWarning):
        gmm.fit(X)
