"""Ties: what rounding must not decide, in the starts above all."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import PCA

from benchmarks.more_problems import MORE_PROBLEMS
from benchmarks.problems import PROBLEMS
from emgmm import GaussianMixtureEM, GaussianMixtureIC
from emgmm._utils.ties import first_of_greatest, ranks, settled

NOISE = 1e-13  # that of other sums


def two_measurements():
    """After scaling, principal axes are the diagonals: no coordinate is greater."""
    return load_wine().data[:, [0, 6]]


def uncorrelated():
    """Principal components: after scaling, any axis is principal."""
    return PCA(3).fit_transform(load_iris().data)


def lattice():
    """Rows at the mean, at equal distances from it, and half-way between centers."""
    steps = np.arange(14.0)
    return np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)


def mirrored():
    half = np.random.default_rng(0).standard_normal((100, 2)) + [2.0, 0.5]
    return np.vstack([half, -half, half[:, ::-1], -half[:, ::-1]])


SETS = [two_measurements, uncorrelated, lattice, mirrored]


def test_the_first_of_the_greatest_is_taken():
    assert first_of_greatest([1.0, 3.0, 3.0 + 1e-12, 2.0]) == 1
    assert first_of_greatest([-3.0 - 1e-12, -3.0]) == 0
    assert first_of_greatest([1.0, 3.0, 3.0 + 1e-6]) == 2
    assert first_of_greatest([-np.inf, -np.inf]) == 0
    assert first_of_greatest([-np.inf, 0.0]) == 1


def test_ranks_are_shared_within_the_tolerance():
    keys = np.array([[2.0, np.inf], [1.0, 0.0], [2.0 - 1e-9, np.inf], [3.0, 1.0]])
    assert_array_equal(ranks(keys, 1e-6), [[1, 2], [0, 0], [1, 2], [2, 1]])


@pytest.mark.parametrize("seed", range(5))
def test_any_basis_of_an_eigenspace_becomes_the_same_one(seed):
    rng = np.random.default_rng(seed)
    eigenvalues = np.array([0.5, 1.0, 1.0, 1.0, 2.0, 3.0, 3.0])
    axes = np.linalg.qr(rng.standard_normal((7, 7)))[0]
    turn = np.eye(7)
    turn[1:4, 1:4] = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    turn[5:, 5:] = np.linalg.qr(rng.standard_normal((2, 2)))[0]
    turn[0, 0] = -1.0
    expected = settled(eigenvalues, axes)
    assert_allclose(settled(eigenvalues, axes @ turn), expected, atol=1e-12)
    matrix = (axes * eigenvalues) @ axes.T
    assert_allclose(matrix @ expected, expected * eigenvalues, atol=1e-12)
    assert_allclose(expected.T @ expected, np.eye(7), atol=1e-12)
    greatest = np.abs(expected).max(axis=0)
    assert_allclose(expected.max(axis=0), greatest)


def test_where_all_eigenvalues_are_equal_axes_are_those_of_the_coordinates():
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    assert_allclose(settled(np.ones(4), turn), np.eye(4)[:, ::-1], atol=1e-12)


@pytest.mark.parametrize("init_params", ["split", "kmeans"])
@pytest.mark.parametrize("covariance_type", ["full", "diag"])
@pytest.mark.parametrize("rows", SETS, ids=lambda rows: rows.__name__)
def test_rounding_chooses_no_start(rows, covariance_type, init_params):
    X = rows()
    settings = {"covariance_type": covariance_type, "init_params": init_params}
    start = GaussianMixtureEM(3, max_iter=0, **settings)
    expected = start.fit(X).means_
    rng = np.random.default_rng(1)
    for _ in range(4):
        order = rng.permutation(len(X))
        near = X[order] * (1 + NOISE * rng.uniform(-1, 1, X.shape))
        assert_allclose(start.fit(near).means_, expected, rtol=1e-6, atol=1e-8)
    assert_allclose(start.fit(X / 4).means_ * 4, expected, rtol=1e-9, atol=1e-9)


def test_rounding_chooses_no_model():
    X = uncorrelated()
    rng = np.random.default_rng(1)
    sizes = [2, 3]
    expected = GaussianMixtureIC(sizes).fit(X)
    near = X * (1 + NOISE * rng.uniform(-1, 1, X.shape))
    search = GaussianMixtureIC(sizes).fit(near)
    assert search.best_params_ == expected.best_params_
    assert_array_equal(search.labels_, expected.labels_)
    assert_allclose(search.criterion_, expected.criterion_, rtol=1e-6)


SCRIPT = """
import json, sys
import numpy as np
from threadpoolctl import threadpool_info
from emgmm import GaussianMixtureEM
sets, numbers = np.load(sys.argv[1]), json.loads(sys.argv[2])
labels = {
    name: GaussianMixtureEM(K).fit_predict(sets[name]).tolist()
    for name, K in numbers.items()
}
kernels = {library.get("architecture") for library in threadpool_info()}
print(json.dumps([labels, sorted(map(str, kernels))]))
"""


def fitted_by(kernel, *arguments):
    """Labels of the sets, found by such a kernel of BLAS, and which there were."""
    environment = dict(os.environ, OPENBLAS_CORETYPE=kernel)
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    return json.loads(done.stdout)


def test_other_kernels_of_blas_find_the_same_clusters(tmp_path):
    """Of sets with ties, of digits, and of small sets of all kinds."""
    sets, numbers = {rows.__name__: rows() for rows in SETS}, {}
    numbers |= dict.fromkeys(sets, 3)
    for problem in [*PROBLEMS.values(), *MORE_PROBLEMS.values()]:
        X, _ = problem.make(0)
        if X.size <= 4000 or problem.name == "digits":
            sets[problem.name], numbers[problem.name] = X, problem.n_components
    np.savez(tmp_path / "sets.npz", **sets)
    arguments = str(tmp_path / "sets.npz"), json.dumps(numbers)
    labels, kernels = fitted_by("Haswell", *arguments)
    others, other_kernels = fitted_by("Nehalem", *arguments)
    if kernels == other_kernels:
        pytest.skip(f"this BLAS has no other kernels than {kernels}")
    assert len(labels) > 90
    assert [name for name in labels if labels[name] != others[name]] == []
