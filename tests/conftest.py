"""What all tests share: small data sets, the names of the models, and processes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest
from joblib import cpu_count
from numpy.testing import assert_allclose
from sklearn.datasets import load_iris
from threadpoolctl import threadpool_limits

from emgmm import Mixture
from emgmm._em.maximization import Maximization
from emgmm._estep.complete import Quadratic, Whitened
from emgmm._estep.kernel import DOUBLE, FloatFormat, Kernel
from emgmm._estep.statistics import Statistics
from emgmm._model.families import FAMILIES, MODELS, CovarianceFamily, Families
from emgmm._model.moment_kinds import MomentKind
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments
from emgmm._utils.threads import Workspace

COVARIANCE_TYPES = sorted(FAMILIES)
MODEL_NAMES = list(MODELS)
SCIKIT_LEARN_TYPES = ["full", "tied", "diag", "spherical"]


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Share the modules out among as many processes as there are cores, up to eight.

    More would wait for the module that takes longest. The processes are pytest-xdist's,
    where it is installed. ``-n 0`` or ``-p no:xdist`` keeps all tests in one process,
    as does naming some of them, which then start sooner.
    """
    option = config.option
    shares = hasattr(option, "numprocesses") and not hasattr(config, "workerinput")
    if not shares or option.usepdb:
        return
    if option.numprocesses is None and all(map(os.path.isdir, config.args)):
        option.numprocesses = min(cpu_count(), 8)
    if option.numprocesses and option.dist == "no":
        option.dist, option.loadscopereorder = "loadfile", False


def pytest_configure(config: pytest.Config) -> None:
    """One thread of BLAS in each of several processes; tests of threads ask for more.

    Not by the environment, which programs that tests start would inherit.
    """
    if hasattr(config, "workerinput"):
        threadpool_limits(1)


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


@pytest.fixture(scope="module", params=["quadratic", "whitened"])
def forced_kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    """Either kernel alone, whatever the data: for tests that must pass with both."""
    with pytest.MonkeyPatch.context() as patch:
        is_accurate = request.param == "quadratic"
        patch.setattr(Quadratic, "is_accurate", is_accurate)
        yield request.param


def whitened(
    mixture: Parameters, float_format: FloatFormat = DOUBLE, **about: object
) -> Whitened:
    """The kernel that is accurate for every mixture."""
    return Whitened(mixture, float_format, Workspace(), **about)


def quadratic(
    mixture: Parameters, origin: np.ndarray, float_format: FloatFormat = DOUBLE
) -> Quadratic:
    """The fast kernel, whether or not it suits the mixture."""
    return Quadratic(
        mixture, float_format, Workspace(), origin.astype(float_format.dtype)
    )


def log_joint(mixture: Parameters, X: np.ndarray, kernel: Kernel | None = None):
    """log w_k + log N(x; mean_k, covariance_k), shape (n, K)."""
    kernel = kernel or whitened(mixture)
    return kernel.log_joint(kernel.features(X)).T + kernel.reference


def statistics_of(
    X: np.ndarray,
    responsibilities: np.ndarray,
    origin: np.ndarray,
    kind: MomentKind,
    log_likelihood: float = 0.0,
    weight: float = 0.0,
) -> Statistics:
    """Statistics of rows (n, d) with responsibilities (n, K), written out."""
    deviations = X[:, None] - origin
    sums = np.einsum("nk,nki->ki", responsibilities, deviations)
    full = np.einsum("nk,nki,nkj->kij", responsibilities, deviations, deviations)
    products = {
        "full": full,
        "pooled": full.sum(axis=0, keepdims=True),
        "diagonal": np.diagonal(full, axis1=1, axis2=2),
    }[kind.name]
    return Statistics(
        kind,
        Segments.one(responsibilities.shape[1]),
        origin,
        responsibilities.sum(axis=0),
        sums,
        products,
        np.array([log_likelihood]),
        np.array([weight]),
    )


def m_step(
    statistics: Statistics,
    family: CovarianceFamily,
    added: float,
    previous: Parameters | None = None,
) -> tuple[Parameters, np.ndarray]:
    """The mixtures of a family that maximise the expected log-likelihood."""
    return Maximization(Families.one(family))(statistics, added, previous)


def rounding_in_float32(gmm, X: np.ndarray) -> float:
    """How far a pass in float32 may move a log-density: eps kappa (``Quadratic``)."""
    covariances = gmm._mixture().covariances
    reach = np.abs(gmm.means_ - X.mean(axis=0)) + np.sqrt(covariances.variances)
    precisions = np.abs(np.linalg.inv(covariances.dense()))
    kappa = np.einsum("ki,kij,kj->k", reach, precisions, reach).max()
    return float(np.finfo(np.float32).eps * kappa)


FITTED_ARRAYS = ["weights_", "means_", "covariances_", "precisions_", "lower_bounds_"]


def assert_same_fit(gmm, expected, rtol: float = 1e-10) -> None:
    """Whether fits are equal but for rounding, iteration by iteration."""
    assert (gmm.n_iter_, gmm.converged_) == (expected.n_iter_, expected.converged_)
    assert gmm.lower_bound_ == pytest.approx(expected.lower_bound_, rel=rtol)
    for name in FITTED_ARRAYS:
        value, other = getattr(gmm, name), getattr(expected, name)
        assert value.dtype == other.dtype
        assert_allclose(value, other, rtol=rtol, atol=rtol, err_msg=name)


def assert_same_but_for_float32(gmm, expected, X: np.ndarray) -> None:
    """Whether fits differ by no more than what passes in float32 may, all added up: in
    logarithms of weights, in means and standard deviations relative to the latter."""
    bound = rounding_in_float32(expected, X) * (1 + expected.n_iter_)
    one, other = gmm._mixture().covariances, expected._mixture().covariances
    sd = np.sqrt(other.variances)
    scales = 2 * sd[:, :, None] * sd[:, None, :]
    differences = {
        "weights_": np.log(gmm.weights_ / expected.weights_),
        "means_": (gmm.means_ - expected.means_) / sd,
        "covariances_": (one.dense() - other.dense()) / scales,
        "lower_bounds_": gmm.lower_bounds_ - expected.lower_bounds_,
    }
    for name, difference in differences.items():
        assert np.abs(difference).max() <= bound, name


# scikit-learn's tests, run on this class, ask for these two fixtures.


@pytest.fixture(params=[np.float32, np.float64])
def global_dtype(request: pytest.FixtureRequest) -> type:
    return request.param


@pytest.fixture(params=[0, 42])
def global_random_seed(request: pytest.FixtureRequest) -> int:
    return request.param


def drawn_mixture(rng):
    """Of one feature: of components that coincide, or that hardly overlap."""
    n_components = rng.integers(1, 7)
    weights = rng.dirichlet(np.full(n_components, rng.choice([0.1, 0.5, 1, 10])))
    weights = np.maximum(weights, 1e-12)
    means = rng.normal(size=(n_components, 1)) * rng.choice([0.5, 2, 10])
    deviations = np.exp(rng.normal(size=n_components) * rng.choice([0.2, 1, 2]))
    return Mixture(weights / weights.sum(), means, deviations[:, None, None] ** 2)
