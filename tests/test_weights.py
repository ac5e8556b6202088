"""A weight is a repetition: whatever the model, the rows, the start and the way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from conftest import MODEL_NAMES, SCIKIT_LEARN_TYPES, make_blobs
from numpy.testing import assert_allclose, assert_array_equal

from emgmm import GaussianMixtureEM, GaussianMixtureIC, MixtureDisplay
from emgmm._init.starts import STARTS

PARAMETERS = ["weights_", "means_", "covariances_"]
KINDS = ["complete", "missing"]
each_kind = pytest.mark.parametrize("kind", KINDS)
each_model = pytest.mark.parametrize("name", MODEL_NAMES)
narrow = pytest.mark.filterwarnings("ignore::emgmm.DegenerateComponentWarning")


class Counted(NamedTuple):
    """Rows, how many times each of them counts, and the rows written out."""

    X: np.ndarray
    times: np.ndarray
    repeated: np.ndarray


def counted(kind, most=3, n_samples=150, n_features=3, n_components=3):
    """Rows of some clusters that count up to so many times, or not at all."""
    X = make_blobs(1, n_samples, n_features, n_components)
    rng = np.random.default_rng(0)
    times = rng.integers(0, most + 1, len(X))
    if kind == "missing":
        X[rng.random(X.shape) < 0.2] = np.nan
    return Counted(X, times, np.repeat(X, times, axis=0))


def assert_same_mixture(one, other, rtol=1e-6, atol=1e-7):
    for name in PARAMETERS:
        expected = getattr(other, name)
        assert_allclose(getattr(one, name), expected, rtol, atol, err_msg=name)


@narrow
@each_kind
@each_model
def test_fits(name, kind):
    X, times, repeated = counted(kind)
    order = np.random.default_rng(1).permutation(len(repeated))
    settings = {"covariance_type": name, "tol": 1e-6, "max_iter": 500}
    weighted = GaussianMixtureEM(3, **settings).fit(X, sample_weight=times)
    other = GaussianMixtureEM(3, **settings).fit(repeated[order])
    assert abs(weighted.n_iter_ - other.n_iter_) <= 1
    assert_same_mixture(weighted, other)
    assert_array_equal(np.repeat(weighted.labels_, times)[order], other.labels_)
    assert_allclose(weighted.lower_bound_, other.lower_bound_, rtol=1e-10)
    for method in ["score", "bic", "aic", "icl"]:
        value = getattr(weighted, method)(X, sample_weight=times)
        assert_allclose(value, getattr(other, method)(repeated), rtol=1e-9)


@each_kind
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("name", SCIKIT_LEARN_TYPES)
def test_starts(name, start, kind):
    """Those that draw rows at random draw others where there are more of them; rows
    that do not count at all are not there for any."""
    drawn = start not in ("split", "kmeans")
    X, times, repeated = counted(kind, most=1 if drawn else 3)
    settings = {"covariance_type": name, "init_params": start, "max_iter": 0}
    one, other = (GaussianMixtureEM(3, **settings, random_state=0) for _ in "ab")
    one.fit(X, sample_weight=times)
    assert_same_mixture(one, other.fit(repeated), rtol=1e-8, atol=1e-9)


@each_kind
@pytest.mark.parametrize("lonely", [1, 2])
def test_searches(lonely, kind):
    """Four rows by themselves make an eligible component where each counts twice."""
    X, times, _ = counted(kind, n_samples=100, n_features=2, n_components=2)
    apart = [40.0, 0.0] + 0.3 * np.random.default_rng(0).standard_normal((4, 2))
    X, times = np.vstack([X, apart]), np.append(times, [lonely] * 4)
    repeated = np.repeat(X, times, axis=0)
    search = GaussianMixtureIC([1, 2, 3], covariance_type=["VII", "EEE", "VEV", "VVV"])
    weighted = search.fit(X, sample_weight=times)
    criterion, results, best = search.criterion_, search.results_, search.best_params_
    for method in ["score", "bic", "aic", "icl"]:
        value = getattr(weighted, method)(X, sample_weight=times)
        assert_allclose(value, getattr(weighted, method)(repeated), rtol=1e-9)
    search.fit(repeated)
    assert_allclose(search.criterion_, criterion, rtol=1e-6)
    for name in ("eligible", "failure", "n_parameters"):
        assert_array_equal(search.results_[name], results[name])
    assert search.best_params_ == best
    assert results["eligible"].all() == (lonely == 2)


@narrow
@each_kind
@each_model
def test_streams(name, kind):
    """A start of the rows gathered, and a step with later ones."""
    X, times, repeated = counted(kind, n_samples=500)
    first = 400  # rows that are enough for a start even where each is counted once
    split = times[:first].sum()
    weighted = GaussianMixtureEM(3, covariance_type=name)
    weighted.partial_fit(X[:first], sample_weight=times[:first])
    other = GaussianMixtureEM(3, covariance_type=name).partial_fit(repeated[:split])
    assert_same_mixture(weighted, other)
    weighted.partial_fit(X[first:], sample_weight=times[first:])
    other.partial_fit(repeated[split:])
    assert_same_mixture(weighted, other)
    assert weighted.n_samples_seen_ == other.n_samples_seen_ == times.sum()
    assert weighted.n_steps_ == other.n_steps_ == 1


@each_kind
def test_histograms(kind):
    X, times, repeated = counted(kind, n_samples=60, n_features=1, n_components=2)
    gmm = GaussianMixtureEM(2).fit(X, sample_weight=times)
    displays = [
        MixtureDisplay.from_estimator(gmm, X, sample_weight=times),
        MixtureDisplay.from_estimator(gmm, repeated),
    ]
    (weighted,), (plain,) = (display.bars_[0, 0] for display in displays)
    assert len(weighted) == len(plain)
    for bar, other in zip(weighted, plain, strict=True):
        assert_allclose(bar.get_bbox().get_points(), other.get_bbox().get_points())
    assert_allclose(sum(b.get_width() * b.get_height() for b in weighted), 1)
