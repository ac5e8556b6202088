"""What all tests share: small data sets and the names of the models."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris

from emgmm._families import FAMILIES, MODELS

COVARIANCE_TYPES = sorted(FAMILIES)
MODEL_NAMES = list(MODELS)
SCIKIT_LEARN_TYPES = ["full", "tied", "diag", "spherical"]


@pytest.fixture(scope="session")
def iris() -> np.ndarray:
    X = load_iris().data
    X.flags.writeable = False
    return X


@pytest.fixture(scope="session")
def blobs() -> np.ndarray:
    """Three overlapping, unequal clusters in three dimensions."""
    return make_blobs(seed=0, n_samples=300, n_features=3, n_components=3)


def make_blobs(
    seed: int, n_samples: int, n_features: int, n_components: int
) -> np.ndarray:
    """Rows of random clusters, overlapping and of random covariances."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n_samples) % n_components
    means = 2.5 * rng.standard_normal((n_components, n_features))
    roots = rng.standard_normal((n_components, n_features, n_features))
    normals = rng.standard_normal((n_samples, n_features))
    return means[labels] + np.einsum("ijk,ik->ij", roots[labels], normals)


# scikit-learn's tests, run on this class, ask for these two fixtures.


@pytest.fixture(params=[np.float32, np.float64])
def global_dtype(request: pytest.FixtureRequest) -> type:
    return request.param


@pytest.fixture(params=[0, 42])
def global_random_seed(request: pytest.FixtureRequest) -> int:
    return request.param
