"""The M-step: regularisation inside the family, and components without rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import MODEL_NAMES, log_joint, make_blobs
from numpy.testing import assert_allclose

from emgmm._data.arrays import ArrayBlocks
from emgmm._em.maximization import m_step
from emgmm._em.mstep import MStep
from emgmm._em.problem import EMProblem
from emgmm._em.progress import Progress
from emgmm._em.regularization import RidgeRegularization, ScaleRegularization
from emgmm._em.result import EMOptions
from emgmm._estep.estep import statistics_of_start
from emgmm._model.families import FAMILIES, MODELS


def statistics(family, responsibilities, X):
    blocks = ArrayBlocks(X, np.ones(len(X)))
    n_components = responsibilities.shape[1]
    return statistics_of_start(
        blocks, responsibilities, n_components, family.storage.products
    )


@pytest.fixture(scope="module")
def soft():
    X = make_blobs(seed=1, n_samples=120, n_features=3, n_components=3)
    responsibilities = np.random.default_rng(0).dirichlet(np.ones(3), len(X))
    return X, responsibilities


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_reg_covar_keeps_equal_what_the_family_holds_equal(soft, name):
    X, responsibilities = soft
    family = MODELS[name]
    stats = statistics(family, responsibilities, X)
    dense = m_step(stats, family, 0.7).covariances.dense()
    again = m_step(stats, family, 0.0).covariances.dense()
    log_det = np.linalg.slogdet(dense)[1]
    if name[0] == "E":
        assert_allclose(log_det, log_det[0], rtol=1e-10)
    # Every variance is larger by the amount, on the average over the components.
    shares = responsibilities.mean(axis=0)
    grown = np.tensordot(shares, dense - again, axes=1)
    assert_allclose(np.trace(grown) / 3, 0.7, rtol=0.5)


@pytest.mark.parametrize("name", ["EII", "VII", "EEI", "VVI", "EEE", "VVV"])
def test_reg_covar_is_added_to_the_variances_of_linear_rules(soft, name):
    X, responsibilities = soft
    family = MODELS[name]
    stats = statistics(family, responsibilities, X)
    added = m_step(stats, family, 0.7).covariances.dense()
    plain = m_step(stats, family, 0.0).covariances.dense()
    assert_allclose(added - plain, 0.7 * np.tile(np.eye(3), (3, 1, 1)), atol=1e-12)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_a_component_without_rows_keeps_a_finite_place(soft, name):
    X, responsibilities = soft
    responsibilities = responsibilities.copy()
    responsibilities[:, 2] = 0.0
    family = MODELS[name]
    mixture = m_step(statistics(family, responsibilities, X), family, 1e-6)
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
    covariances = m_step(statistics(family, one_hot, X), family, 0.0).covariances
    within = [np.cov(X[labels == k].T, bias=True) for k in (0, 1)]
    expected = (
        np.stack(within) if name == "full" else np.tile(sum(within) / 2, (2, 1, 1))
    )
    thin = np.linalg.eigvalsh(covariances.dense())[:, 0]
    assert_allclose(thin, np.linalg.eigvalsh(expected)[:, 0], rtol=1e-4)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_families_are_given_the_covariances_before(soft, name):
    X, responsibilities = soft
    seen = []

    def spy(counts, scatter, start):
        seen.append(start)
        return MODELS[name].estimate(counts, scatter, start)

    family = replace(MODELS[name], estimate=spy, estimate_inexact=None)
    blocks = ArrayBlocks(X, np.ones(len(X)))
    first = m_step(statistics(family, responsibilities, X), family, 1e-6)
    mstep = MStep.of(
        family,
        RidgeRegularization(np.full(3, 1e-6)),
        ScaleRegularization(*np.zeros((3, 3))),
    )
    problem = EMProblem(blocks, np.ones(3), mstep, EMOptions(0.0, 3))
    problem.run(first, Progress(0, 1))
    assert seen[0] is None
    assert seen[1] is first.covariances
    assert len(seen) >= 4 and None not in seen[1:]
