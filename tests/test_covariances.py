"""Storages against dense matrices, and against mpmath where doubles are short."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from conftest import log_joint
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal

from emgmm._model.covariances import Covariances, Diagonal, Full, Spherical, Tied
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments

STORAGES = [Spherical, Diagonal, Tied, Full]


def random_values(storage, n_components, n_features, seed=0):
    rng = np.random.default_rng(seed)
    if storage.algebra is Full.algebra:
        shape = storage.shape(n_components, n_features)
        roots = rng.standard_normal((*shape[:-1], n_features + 3))
        return roots @ roots.mT
    return rng.uniform(0.5, 2.0, storage.shape(n_components, n_features))


def covariances_of(storage, n_components, n_features):
    values = random_values(storage, n_components, n_features)
    return storage.from_values(values, Segments.one(n_components), n_features)


# With K == d shapes are ambiguous; K = 1 and d = 1 are the borders.
SIZES = [(3, 2), (2, 2), (1, 3), (4, 1), (1, 1)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("storage", STORAGES)
def test_geometry_equals_that_of_dense_matrices(storage, sizes):
    covariances = covariances_of(storage, *sizes)
    dense = covariances.dense()
    rng = np.random.default_rng(1)
    means = rng.standard_normal(sizes)
    X = rng.standard_normal((20, sizes[1]))
    assert dense.shape == (sizes[0], sizes[1], sizes[1])
    assert_allclose(covariances.log_det, np.linalg.slogdet(dense)[1], atol=1e-12)
    assert_allclose(covariances.variances, np.diagonal(dense, axis1=1, axis2=2))
    log_densities = log_joint(Parameters(np.ones(sizes[0]), means, covariances), X).T
    for k, log_density in enumerate(log_densities):
        expected = multivariate_normal(means[k], dense[k]).logpdf(X)
        assert_allclose(log_density, expected, rtol=1e-10, atol=1e-10)
        colored = covariances.colorize(np.eye(sizes[1]), k)
        assert_allclose(colored.T @ colored, dense[k], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("storage", STORAGES)
def test_values_precisions_and_factors_name_the_same_matrices(storage):
    original, segments = covariances_of(storage, 3, 2), Segments.one(3)
    for twin in (
        storage.from_precisions(original.precisions, segments, 2),
        storage.from_factors(original.precisions_cholesky, segments, 2),
    ):
        for name in ["values", "precisions_cholesky", "precisions"]:
            assert_allclose(
                getattr(twin, name), getattr(original, name), rtol=1e-12, atol=1e-13
            )


@pytest.mark.parametrize("storage", [Tied, Full])
def test_factors_are_upper_triangles(storage):
    covariances = covariances_of(storage, 3, 4)
    factors = covariances.precisions_cholesky
    assert_array_equal(factors, np.triu(factors))
    inverse = np.linalg.inv(covariances.dense())
    gram = covariances.factors @ covariances.factors.mT
    assert_allclose(gram, inverse, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("storage", STORAGES)
def test_values_that_are_not_positive_definite_are_refused(storage, bad):
    values = random_values(storage, 3, 2)
    values[(0,) * values.ndim] = bad
    with pytest.raises(np.linalg.LinAlgError):
        storage.from_values(values, Segments.one(3), 2)


def exact_log_density(x, mean, covariance):
    """log N(x; mean, covariance) in 80 digits, by elimination."""
    with mpmath.workdps(80):
        matrix = mpmath.matrix(covariance.tolist())
        pairs = zip(x.tolist(), mean.tolist(), strict=True)
        deviation = mpmath.matrix([mpmath.mpf(a) - mpmath.mpf(b) for a, b in pairs])
        distance = (deviation.T * mpmath.lu_solve(matrix, deviation))[0]
        log_det = mpmath.log(mpmath.det(matrix))
        return float(-(len(x) * mpmath.log(2 * mpmath.pi) + log_det + distance) / 2)


def hard_covariance(condition, graded, n_features, seed):
    """Condition from graded axes (scales differ) or from rotated ones."""
    rng = np.random.default_rng(seed)
    variances = np.geomspace(1.0, 1.0 / condition, n_features)
    if graded:
        correlations = 0.5 * (np.eye(n_features) + 1)
        return correlations * np.sqrt(np.outer(variances, variances))
    rotation = np.linalg.qr(rng.standard_normal((n_features, n_features)))[0]
    matrix = (rotation * variances) @ rotation.T
    return (matrix + matrix.T) / 2


@pytest.mark.parametrize("distance", [1.0, 1e3, 1e6])
@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8, 1e12])
@pytest.mark.parametrize("graded", [True, False])
def test_log_densities_at_hard_parameters(condition, graded, distance):
    n_features = 4
    covariance = hard_covariance(condition, graded, n_features, seed=5)
    rng = np.random.default_rng(6)
    mean = rng.standard_normal(n_features)
    directions = rng.standard_normal((5, n_features))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    X = mean + distance * directions @ np.linalg.cholesky(covariance).T
    full = Full.from_values(covariance[None], Segments.one(1), n_features)
    ours = log_joint(Parameters(np.ones(1), mean[None], full), X)[:, 0]
    exact = [exact_log_density(x, mean, covariance) for x in X]
    # Rounding the entries of a matrix moves its smallest eigenvalue by eps times the
    # largest: nobody can do better than eps * condition. Graded axes do not suffer.
    eps = np.finfo(np.float64).eps
    bound = 8 * n_features * eps * (1 if graded else condition)
    assert_allclose(ours, exact, rtol=bound, atol=bound)


def test_diagonal_storages_keep_extreme_variances():
    variances = np.array([[1e-12, 1.0, 1e12]])
    mean = np.array([1.0, 2.0, 3.0])
    X = mean + np.sqrt(variances) * np.array([[1e6, -1e3, 1.0], [0.0, 2.0, -1e6]])
    diagonal = Diagonal.from_values(variances, Segments.one(1), 3)
    ours = log_joint(Parameters(np.ones(1), mean[None], diagonal), X)[:, 0]
    exact = [exact_log_density(x, mean, np.diag(variances[0])) for x in X]
    assert_allclose(ours, exact, rtol=1e-14)


def test_storages_are_final():
    for storage in STORAGES:
        assert storage.__bases__ == (Covariances,)
