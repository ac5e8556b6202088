"""The default start: clusters of any form, found from the distribution of the rows."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import MODEL_NAMES, make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from emgmm import GaussianMixtureEM
from emgmm._data.arrays import ArrayBlocks
from emgmm._init.default import _continued
from emgmm._init.subsample import SUBSAMPLE_ROWS
from emgmm._model.families import FAMILIES
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments


def cigars(rng, n_samples=600):
    """Long and parallel: k-means cuts across them."""
    y = np.arange(n_samples) % 3
    X = rng.standard_normal((n_samples, 2)) * [12.0, 0.5]
    X[:, 1] += 4 * y
    return X, y


def unlike_units(rng, n_samples=600):
    """Clusters that only a feature of little variance separates."""
    y = np.arange(n_samples) % 3
    X = 0.5 * rng.standard_normal((n_samples, 2))
    X += np.array([[0, 0], [0, 4], [4, 0]])[y]
    return X * [1e3, 1e-4], y


def nested(rng, n_samples=600):
    """A narrow cluster in a wide one, with the same mean."""
    y = np.arange(n_samples) % 2
    return rng.standard_normal((n_samples, 2)) * np.where(y, 12, 1)[:, None], y


def crossed(rng, n_samples=600):
    """An X."""
    y = np.arange(n_samples) % 2
    scales = np.where(y[:, None], [8, 0.4], [0.4, 8])
    return (rng.standard_normal((n_samples, 2)) * scales) @ [[1, 1], [-1, 1]], y


def with_outliers(rng, n_samples=600):
    """Three clusters, and a fourth of a few rows far out."""
    y = np.arange(n_samples) % 3
    X = rng.standard_normal((n_samples, 2)) + np.array([[0, 0], [8, 0], [0, 8]])[y]
    X[:12] = 300 * rng.standard_normal((12, 2))
    y[:12] = 3
    return X, y


SHAPES = {
    cigars: 0.97,
    unlike_units: 0.97,
    nested: 0.8,
    crossed: 0.75,
    with_outliers: 0.97,
}


def default(n_components, **parameters):
    return GaussianMixtureEM(n_components, **parameters)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_clusters_of_any_form_are_found(shape, seed):
    X, y = shape(np.random.default_rng(seed))
    gmm = default(y.max() + 1).fit(X)
    assert adjusted_rand_score(gmm.labels_, y) > SHAPES[shape]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_the_likelihood_is_that_of_a_fit_from_the_truth(shape):
    X, y = shape(np.random.default_rng(0))
    found, from_labels = default(y.max() + 1), default(y.max() + 1, init_params=y)
    assert found.fit(X).lower_bound_ > from_labels.fit(X).lower_bound_ - 1e-3


@pytest.mark.parametrize("shape", [cigars, nested], ids=lambda shape: shape.__name__)
def test_a_sample_of_many_rows_will_do(shape):
    X, y = shape(np.random.default_rng(0), 5 * SUBSAMPLE_ROWS)
    gmm = default(y.max() + 1).fit(X)
    assert adjusted_rand_score(gmm.labels_, y) > SHAPES[shape]
    assert_array_equal(default(y.max() + 1).fit(X).means_, gmm.means_)


def test_rows_of_weight_zero_are_not_sampled():
    X, y = cigars(np.random.default_rng(0), 3 * SUBSAMPLE_ROWS)
    weights = (np.arange(len(X)) < 300) * 1.0
    gmm = default(3).fit(X, sample_weight=weights)
    assert adjusted_rand_score(gmm.labels_, y) > 0.97
    for rows in (len(X), 1000):
        gmm = default(3, max_iter=0).fit(X[:rows], sample_weight=weights[:rows])
        assert_same_start(default(3, max_iter=0).fit(X[:300]), gmm)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_no_random_numbers_are_drawn(name):
    X = make_blobs(0, n_samples=200, n_features=3, n_components=3)
    means = [
        default(3, covariance_type=name, random_state=seed, max_iter=0).fit(X).means_
        for seed in (0, 1, None, 0)
    ]
    for other in means[1:]:
        assert_array_equal(other, means[0])


def test_the_stream_of_a_generator_is_unchanged():
    X = make_blobs(0, n_samples=200, n_features=3, n_components=3)
    rng = np.random.RandomState(0)
    default(3, random_state=rng).fit(X)
    assert rng.uniform() == np.random.RandomState(0).uniform()


def assert_same_start(one, other, atol=1e-8):
    """The same components, in the same order."""
    assert_allclose(other.weights_, one.weights_, rtol=0, atol=atol)
    roots = np.sqrt(one._mixture().covariances.variances)
    assert_allclose(other.means_ / roots, one.means_ / roots, rtol=0, atol=1e3 * atol)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_the_order_of_rows_plays_no_part(name):
    X = make_blobs(1, n_samples=300, n_features=3, n_components=3)
    order = np.random.default_rng(0).permutation(len(X))
    settings = {"covariance_type": name, "max_iter": 0}
    one, other = (default(3, **settings).fit(rows) for rows in (X, X[order]))
    assert_same_start(one, other)


@pytest.mark.parametrize(
    "name", ["EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVV", "VVV"]
)
def test_the_unit_of_a_feature_plays_no_part(name):
    X = make_blobs(1, n_samples=300, n_features=3, n_components=3)
    units = np.array([1e-5, 1.0, 3e4])
    settings = {"covariance_type": name, "max_iter": 0}
    one, other = (default(3, **settings).fit(rows) for rows in (X, X * units))
    other.means_ = other.means_ / units
    assert_same_start(one, other)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_one_component_is_all_rows(name):
    X = make_blobs(1, n_samples=100, n_features=2, n_components=2)
    gmm = default(1, covariance_type=name).fit(X)
    assert_allclose(gmm.means_[0], X.mean(axis=0))
    assert gmm.converged_


@pytest.mark.filterwarnings("ignore::emgmm.DegenerateComponentWarning")
@pytest.mark.parametrize("name", MODEL_NAMES)
@pytest.mark.parametrize("n_features", [1, 3])
def test_rows_too_few_or_alike_to_be_split_start_from_kmeans(name, n_features):
    rng = np.random.default_rng(0)
    few = rng.standard_normal((5, n_features))
    constant = np.ones((30, n_features))
    partly = np.column_stack([rng.standard_normal(30), constant[:, 1:]])
    copied = np.repeat(few[:3], 10, axis=0)
    weights = np.r_[np.ones(4), np.zeros(26)]
    weighted = rng.standard_normal((30, n_features))
    cases = [(few, None), (constant, None), (partly, None), (copied, None)]
    for X, sample_weight in [*cases, (weighted, weights)]:
        gmm = default(3, covariance_type=name, max_iter=2000, tol=1e-2)
        gmm.fit(X, sample_weight=sample_weight)
        assert np.isfinite(gmm.means_).all() and np.isfinite(gmm.lower_bound_)
        assert_allclose(gmm.weights_.sum(), 1)


def test_few_heavy_rows_among_many_are_sampled_by_weight():
    rng = np.random.default_rng(0)
    few = (
        0.2 * rng.standard_normal((40, 2))
        + np.where(np.arange(40) < 20, 8, -8)[:, None]
    )
    X = np.r_[rng.standard_normal((5 * SUBSAMPLE_ROWS, 2)), few]
    weights = np.r_[np.ones(5 * SUBSAMPLE_ROWS), np.full(40, 1000.0)]
    gmm = default(3).fit(X, sample_weight=weights)
    repeated = default(3).fit(np.repeat(X, weights.astype(int), axis=0))
    assert_allclose(gmm.lower_bound_, repeated.lower_bound_, atol=1e-3)
    assert len(np.unique(gmm.labels_[-40:])) == 2


def overlapping(n_samples=40_000, dtype=np.float64, gap=0.8):
    rng = np.random.default_rng(0)
    centers = gap * rng.standard_normal((3, 4))
    X = rng.standard_normal((n_samples, 4))
    return (X + centers[rng.integers(3, size=n_samples)]).astype(dtype)


@pytest.fixture
def few_count_as_very_many(monkeypatch):
    """A sample of 6000 rows with four features, of more than 12,000."""
    monkeypatch.setattr("emgmm._init.default.VERY_MANY", 48_000)
    monkeypatch.setattr("emgmm._init.subsample.SUBSAMPLE_NUMBERS", 24_000)


@pytest.mark.parametrize("name", ["full", "tied", "VEV"])
def test_very_many_rows_are_passed_over_less_often(name, monkeypatch):
    """Of clusters so far apart that a sample has nearly the maximum of all rows."""
    X = overlapping(2**18, gap=1.5)
    monkeypatch.setattr("emgmm._init.subsample.SUBSAMPLE_NUMBERS", 2**17)
    passed = default(3, covariance_type=name).fit(X)
    monkeypatch.setattr("emgmm._init.default.VERY_MANY", X.size - 1)
    spared = default(3, covariance_type=name).fit(X)
    assert spared.n_iter_ < 0.7 * passed.n_iter_
    assert spared.lower_bound_ > passed.lower_bound_ - 1e-4


def test_a_start_of_very_many_rows_is_near_the_maximum(few_count_as_very_many):
    X = overlapping()
    start = default(3, max_iter=0).fit(X)
    reached = default(3, tol=1e-6).fit(X)
    # Half the number of parameters over that of rows of the sample, in the mean.
    assert 0 < reached.lower_bound_ - start.lower_bound_ < 44 / 6000


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("share", [0.0, 0.1], ids=["complete", "with gaps"])
def test_very_many_rows_start_alike_wherever_they_are(
    share, dtype, few_count_as_very_many
):
    X = overlapping(dtype=dtype)
    X[np.random.default_rng(1).uniform(size=X.shape) < share] = np.nan
    weights = 1.0 + np.arange(len(X)) % 3
    inside = default(3, max_iter=0).fit(X, sample_weight=weights)
    blocks = list(zip(np.split(X, 8), np.split(weights, 8), strict=True))
    outside = default(3, max_iter=0).fit(blocks)
    assert_same_start(inside, outside, 1e-10 if dtype == np.float64 else 1e-6)


@pytest.mark.parametrize("reg_covar", ["scale", 0.0])
def test_a_start_from_which_a_component_collapses_is_unchanged(reg_covar):
    X = np.r_[np.random.default_rng(0).standard_normal((100, 2)), np.full((5, 2), 50.0)]
    blocks = ArrayBlocks(X, np.ones(len(X)))
    start = Parameters(
        np.full(2, 0.5),
        np.array([[0.0, 0.0], [50.0, 50.0]]),
        FAMILIES["full"].storage.from_values(
            np.array([np.eye(2)] * 2), Segments.one(2), 2
        ),
    )
    problem = default(2, reg_covar=reg_covar)._problem(blocks)
    assert _continued(problem, start) is start


def test_starts_of_the_user_are_used_unchanged(few_count_as_very_many):
    X = overlapping()
    means = X[:3]
    gmm = default(3, means_init=means, max_iter=0).fit(X)
    assert_array_equal(gmm.means_, means)


def test_fewer_than_very_many_rows_do_not_change_by_a_bit(monkeypatch):
    X = overlapping()
    before = default(3).fit(X)
    monkeypatch.setattr("emgmm._init.default.VERY_MANY", X.size)
    assert_array_equal(default(3).fit(X).means_, before.means_)


def two_blobs():
    """Rows in two clusters, apart along a direction that no axis is parallel to."""
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    return rng.normal(size=(400, 3)) + np.outer(labels, [5.0, -5.0, 5.0]), labels


ALL_EQUAL = {
    "responsibilities": {"init_params": np.full((400, 2), 0.5)},
    "shares": {"init_params": np.tile([0.3, 0.7], (400, 1))},
    "callable": {"init_params": lambda X, K, w, rng: np.full((len(X), K), 1 / K)},
    "everything": {
        "weights_init": [0.5, 0.5],
        "means_init": np.zeros((2, 3)),
        "precisions_init": np.ones((2, 3)),
    },
}


IN_BLOCKS = ["callable", "everything"]  # arrays are for rows in memory


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "name, iterate",
    [*((name, False) for name in ALL_EQUAL), *((name, True) for name in IN_BLOCKS)],
)
def test_components_that_start_equal_come_apart(name, dtype, iterate):
    X, labels = two_blobs()
    X = X.astype(dtype)
    gmm = GaussianMixtureEM(2, covariance_type="diag", **ALL_EQUAL[name])
    gmm.fit((lambda: [X[:150], X[150:]]) if iterate else X)
    assert adjusted_rand_score(labels, gmm.predict(X)) == 1
    again = clone(gmm).fit((lambda: [X[:150], X[150:]]) if iterate else X)
    assert_array_equal(again.means_, gmm.means_)


@pytest.mark.parametrize("model", FAMILIES)
def test_equal_means_come_apart_where_covariances_are_equal_too(model):
    X, labels = two_blobs()
    start = {"init_params": np.full((400, 2), 0.5)}
    gmm = GaussianMixtureEM(2, covariance_type=model, **start).fit(X)
    assert adjusted_rand_score(labels, gmm.predict(X)) == 1


def test_some_components_that_start_equal_come_apart_and_the_others_stay():
    X, labels = two_blobs()
    X = np.vstack([X, X[:100] + 100.0])
    shares = np.zeros((500, 3))
    shares[:400, [0, 2]], shares[400:, 1] = 0.5, 1.0
    gmm = GaussianMixtureEM(3, init_params=shares).fit(X)
    found = gmm.predict(X)
    assert_array_equal(np.unique(found[400:]), [1])
    assert adjusted_rand_score(labels, found[:400]) == 1


def test_a_published_start_is_the_user_s():
    X, _ = two_blobs()
    gmm = GaussianMixtureEM(2, max_iter=0, **ALL_EQUAL["everything"])
    gmm.set_params(covariance_type="diag").fit(X)
    assert_array_equal(gmm.means_, np.zeros((2, 3)))


def test_components_of_one_mean_but_other_covariances_stay_where_they_are():
    rng = np.random.default_rng(1)
    X = np.concatenate([rng.normal(size=300), 10 * rng.normal(size=300)])[:, None]
    start = {"weights_init": [0.5, 0.5], "means_init": [[0.0], [0.0]]}
    start["precisions_init"] = [[[1.0]], [[0.01]]]
    first = GaussianMixtureEM(2, max_iter=1, acceleration=None, tol=0, **start)
    with pytest.warns(ConvergenceWarning):
        first.fit(X)
    shares = np.exp(-0.5 * X**2 * [1, 0.01]) * [1, 0.1]
    shares /= shares.sum(axis=1, keepdims=True)
    means = (shares * X).sum(axis=0) / shares.sum(axis=0)
    assert_allclose(first.means_[:, 0], means, rtol=1e-10)
