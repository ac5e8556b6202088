"""The M-step: regularisation inside the family, and components without rows."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import MODEL_NAMES, log_joint, m_step, make_blobs
from numpy.testing import assert_allclose, assert_array_equal

from emgmm._data.arrays import ArrayBlocks
from emgmm._estep.estep import statistics_of_start
from emgmm._model.families import FAMILIES, MODELS


def statistics(family, responsibilities, X):
    blocks = ArrayBlocks(X, np.ones(len(X)))
    n_components = responsibilities.shape[1]
    return statistics_of_start(
        blocks, responsibilities, n_components, family.storage.moment_kind
    )


@pytest.fixture(scope="module")
def soft():
    X = make_blobs(seed=1, n_samples=120, n_features=3, n_components=3)
    responsibilities = np.random.default_rng(0).dirichlet(np.ones(3), len(X))
    return X, responsibilities


def blurred(X, responsibilities, variance):
    """Each row as the six about it that have the mean of it, and a variance added."""
    shifts = np.sqrt(3 * variance) * np.vstack([np.eye(3), -np.eye(3)])
    rows = (X[:, None] + shifts).reshape(-1, 3)
    return rows, np.repeat(responsibilities, 6, axis=0)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_reg_covar_is_what_noise_of_that_variance_would_make_of_the_rows(soft, name):
    X, responsibilities = soft
    family = MODELS[name]
    stats = statistics(family, responsibilities, X)
    found = m_step(stats, family, 0.7)[0].covariances.dense()
    rows, shares = blurred(X, responsibilities, 0.7)
    expected, _ = m_step(statistics(family, shares, rows), family, 0.0)
    expected = expected.covariances.dense()
    assert_allclose(found, expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["EII", "VII", "EEI", "VVI", "EEE", "VVV"])
def test_reg_covar_is_added_to_the_variances_of_linear_rules(soft, name):
    X, responsibilities = soft
    family = MODELS[name]
    stats = statistics(family, responsibilities, X)
    added = m_step(stats, family, 0.7)[0].covariances.dense()
    plain = m_step(stats, family, 0.0)[0].covariances.dense()
    assert_allclose(added - plain, 0.7 * np.tile(np.eye(3), (3, 1, 1)), atol=1e-12)


@pytest.mark.parametrize("inexact", [True, False])
@pytest.mark.parametrize("bound", [0.0, 1.0])
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_statistics_are_left_as_they_are(soft, name, bound, inexact):
    X, responsibilities = soft
    family = MODELS[name].bounded(np.full(3, bound))
    family = family.inexact if inexact else family
    stats = statistics(family, responsibilities, X)
    start, _ = m_step(stats, family, 0.0)
    before = stats.scatter.copy()
    m_step(stats, family, 0.0, start)
    assert_array_equal(stats.scatter, before)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_a_component_without_rows_keeps_a_finite_place(soft, name):
    X, responsibilities = soft
    responsibilities = responsibilities.copy()
    responsibilities[:, 2] = 0.0
    family = MODELS[name]
    mixture, _ = m_step(statistics(family, responsibilities, X), family, 1e-6)
    assert mixture.weights[2] < 1e-14
    assert_allclose(mixture.weights.sum(), 1)
    assert np.isfinite(mixture.means).all()
    assert np.isfinite(log_joint(mixture, X)).all()


@pytest.mark.parametrize("name", ["full", "tied"])
def test_far_clusters_of_thin_shape_start_from_exact_covariances(name):
    """Squares about the mean of all rows would leave nothing of the thin axis."""
    rng = np.random.default_rng(0)
    correlation = 1 - 1e-10
    root = np.linalg.cholesky([[1, correlation], [correlation, 1]])
    labels = np.arange(400) % 2
    X = rng.standard_normal((400, 2)) @ root.T + 80.0 * labels[:, None]
    family = FAMILIES[name]
    one_hot = np.eye(2)[labels]
    covariances = m_step(statistics(family, one_hot, X), family, 0.0)[0].covariances
    within = [np.cov(X[labels == k].T, bias=True) for k in (0, 1)]
    expected = (
        np.stack(within) if name == "full" else np.tile(sum(within) / 2, (2, 1, 1))
    )
    thin = np.linalg.eigvalsh(covariances.dense())[:, 0]
    assert_allclose(thin, np.linalg.eigvalsh(expected)[:, 0], rtol=1e-4)
