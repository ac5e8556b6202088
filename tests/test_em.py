"""EM as a whole, over every family: monotone, equivariant, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import MODEL_NAMES, m_step, make_blobs
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning

from emgmm import GaussianMixtureEM
from emgmm._data.arrays import ArrayBlocks
from emgmm._em.mstep import MStep
from emgmm._em.problem import EMProblem
from emgmm._em.progress import Progress
from emgmm._em.regularization import RidgeRegularization, ScaleRegularization
from emgmm._em.result import EMOptions
from emgmm._estep.estep import expectation, statistics_of_start
from emgmm._model.families import MODELS
from emgmm._model.segments import Segments

# Linear maps under which a family's fits follow the data: any, those of each feature
# by itself, or rotations with one scale.
ANY = {"EEE", "VEE", "EVV", "VVV"}
BY_FEATURE = {"EEI", "VEI", "EVI", "VVI"}


def fit(X, name, max_iter=25, n_components=3, **parameters):
    gmm = GaussianMixtureEM(
        n_components,
        covariance_type=name,
        reg_covar=0.0,
        tol=0.0,
        max_iter=max_iter,
        **parameters,
    )
    with pytest.warns(ConvergenceWarning):
        return gmm.fit(X)


def labels_of(X, n_components=3):
    """A start that depends on the place of a row only."""
    return np.arange(len(X)) % n_components


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_the_likelihood_never_falls(name):
    for seed in range(3):
        X = make_blobs(seed, n_samples=150, n_features=3, n_components=3)
        bounds = fit(X, name, max_iter=60).lower_bounds_
        assert np.all(np.diff(bounds) > -1e-12 * np.abs(bounds[0]))


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_all_weights_may_be_scaled(name):
    X = make_blobs(seed=1, n_samples=100, n_features=2, n_components=2)
    weights = np.random.default_rng(0).uniform(size=100)
    fits = [
        GaussianMixtureEM(2, covariance_type=name).fit(X, sample_weight=c * weights)
        for c in (1.0, 2.0**-300, 2.0**300)
    ]
    for other in fits[1:]:
        assert_allclose(other.means_, fits[0].means_, rtol=1e-9)
        assert_allclose(other.covariances_, fits[0].covariances_, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_the_order_of_rows_and_components_is_irrelevant(name):
    X = make_blobs(seed=2, n_samples=150, n_features=3, n_components=3)
    labels = labels_of(X)
    order = np.random.default_rng(0).permutation(len(X))
    turn = np.array([1, 2, 0])
    one = fit(X, name, init_params=labels)
    other = fit(X[order], name, init_params=turn[labels][order])
    assert_allclose(other.lower_bound_, one.lower_bound_, rtol=1e-10)
    assert_allclose(other.weights_[turn], one.weights_, rtol=1e-7)
    assert_allclose(other.means_[turn], one.means_, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_fits_follow_the_data_through_the_maps_that_the_family_has(name):
    X = make_blobs(seed=3, n_samples=150, n_features=3, n_components=3)
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    if name in ANY:
        matrix = rng.standard_normal((3, 3)) + 2 * np.eye(3)
    elif name in BY_FEATURE:
        matrix = np.diag([1e-3, 1.0, 50.0])
    else:
        matrix = 3.0 * rotation
    shift = np.array([1.0, -20.0, 300.0])
    settings = {"max_iter": 12, "init_params": labels_of(X), "acceleration": None}
    one = fit(X, name, **settings)
    other = fit(X @ matrix.T + shift, name, **settings)
    jacobian = np.linalg.slogdet(matrix)[1]
    assert_allclose(other.lower_bounds_ + jacobian, one.lower_bounds_, rtol=1e-8)
    spread = np.abs(X @ matrix.T).max(axis=0)
    assert_allclose(
        (other.means_ - shift) / spread, one.means_ @ matrix.T / spread, atol=1e-7
    )


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_the_size_of_blocks_is_irrelevant(name):
    X = make_blobs(seed=4, n_samples=200, n_features=3, n_components=3)
    weights = np.random.default_rng(0).uniform(size=200)
    covar, scale = (
        RidgeRegularization(np.full(3, 1e-6)),
        ScaleRegularization(*np.zeros((3, 3))),
    )
    family, options = MODELS[name], EMOptions(0.0, 10)
    mstep = MStep.of(family, covar, scale)
    results = []
    for block_size in [1, 50, 10**6]:
        blocks = ArrayBlocks(X, weights, block_size)
        stats = statistics_of_start(blocks, labels_of(X), 3, family.storage.moment_kind)
        start = m_step(stats, family, 1e-6)[0]
        problem = EMProblem(blocks, np.ones(3), mstep, options)
        results.append(problem.run(start, Progress(0, 1)))
    for other in results[1:]:
        assert_allclose(other.lower_bounds, results[0].lower_bounds, rtol=1e-11)
        assert_allclose(other.mixture.means, results[0].mixture.means, rtol=1e-8)


@pytest.mark.parametrize("n_features, n_components", [(1, 3), (3, 1), (3, 3), (1, 1)])
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_borders_of_the_sizes(name, n_features, n_components):
    X = make_blobs(5, 90, n_features, n_components)
    settings = {"n_components": n_components, "max_iter": 500, "tol": 1e-10}
    gmm = GaussianMixtureEM(covariance_type=name, **settings).fit(X)
    family = MODELS[name]
    assert gmm.covariances_.shape == family.storage.shape(n_components, n_features)
    assert np.all(np.diff(gmm.lower_bounds_) > -1e-6)
    if n_features == 1:
        twin = "VII" if name.startswith("V") else "EII"
        expected = GaussianMixtureEM(covariance_type=twin, **settings).fit(X)
        assert_allclose(gmm.lower_bound_, expected.lower_bound_, rtol=1e-9)
    if n_components == 1 and name[1:] in ("EE", "VE", "EV", "VV"):
        assert_allclose(gmm.means_[0], X.mean(axis=0))
        covariance = np.reshape(gmm.covariances_, (n_features, n_features))
        expected = np.cov(X.T, bias=True)
        assert_allclose(covariance, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_an_offset_changes_only_what_the_rounding_of_the_data_changes(name):
    # Rows on a grid of 2^-20 survive an offset of 2^27 (1.3e8) without rounding.
    X = np.round(make_blobs(6, 300, 2, 2) * 2.0**20) / 2.0**20
    offset = 2.0**27
    near = fit(X, name, n_components=2)
    far = fit(X + offset, name, n_components=2)
    assert_allclose(far.lower_bounds_, near.lower_bounds_, rtol=1e-7)
    assert_allclose(far.covariances_, near.covariances_, rtol=1e-6, atol=1e-7)
    assert_allclose(far.means_ - offset, near.means_, atol=1e-6)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_a_start_far_from_the_data_costs_no_accuracy(name):
    """Squares about means that lie 1e9 standard deviations away would be noise."""
    X = make_blobs(7, 200, 2, 2)
    family = MODELS[name]
    blocks = ArrayBlocks(X, np.ones(len(X)))
    stats = statistics_of_start(blocks, labels_of(X, 2), 2, family.storage.moment_kind)
    near = m_step(stats, family, 0.0)[0]
    # A start so wide that its responsibilities are even, from anywhere.
    values = near.covariances.values * 1e30
    wide = family.storage.from_values(values, Segments.one(2), 2)
    results = []
    for means in [near.means, near.means + 1e9]:
        start = type(near)(np.array([0.5, 0.5]), means, wide)
        results.append(expectation(blocks, [start])[0])
    assert_allclose(results[1].means, results[0].means, rtol=1e-6)
    assert_allclose(results[1].scatter, results[0].scatter, rtol=1e-6)
