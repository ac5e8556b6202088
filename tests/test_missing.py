"""Missing values: against R, dense computations, optimisers, and closed forms."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import MODEL_NAMES, make_blobs, rounding_in_float32
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from emgmm import (
    DegenerateComponentWarning,
    GaussianMixtureEM,
    GaussianMixtureIC,
)
from emgmm._data.arrays import ArrayBlocks
from emgmm._data.missing import IncompleteBlocks
from emgmm._estep.dispatch import choose_incomplete
from emgmm._estep.estep import e_step, expectation
from emgmm._estep.kernel import DOUBLE
from emgmm._estep.missing_exact import ExactDiagonalKernel, ExactMissingKernel
from emgmm._estep.missing_fast import DiagonalKernel, PatternKernel
from emgmm._estep.missing_rowwise import RowwiseKernel
from emgmm._model.covariances import Diagonal, Full, Spherical, Tied
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments
from emgmm._utils.threads import Workspace

DATA = Path(__file__).parent / "data"
STORAGES = [Spherical, Diagonal, Tied, Full]


def load(name):
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def reference_rows(name):
    return np.array(load("missing_normal")["sets"][name]["data"], dtype=float)


def holes(X, share, seed=0):
    """A copy of rows with a share of the values missing at random."""
    X = np.array(X, dtype=float)
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    return X


def mixture_of(storage, n_components=3, n_features=4, seed=0):
    """A mixture with random parameters."""
    rng = np.random.default_rng(seed)
    roots = rng.standard_normal((n_components, n_features, 2 * n_features))
    full = roots @ roots.mT / n_features
    values = {
        Spherical: full[:, 0, 0],
        Diagonal: np.einsum("kii->ki", full).copy(),
        Tied: full[0],
        Full: full,
    }[storage]
    weights = np.arange(1.0, n_components + 1)
    means = 3 + 2 * rng.standard_normal((n_components, n_features))
    covariances = storage.from_values(values, Segments.one(n_components), n_features)
    return Parameters(weights / weights.sum(), means, covariances)


def rows_of(mixture, n_samples, share=0.4):
    """Rows of a mixture with values missing, all of them in some, and weights."""
    X, _ = mixture.sample(n_samples, np.random.RandomState(0))
    X = holes(X, share)
    X[:3] = np.nan
    return X, np.random.default_rng(2).random(n_samples)


def dense_log_joint(mixture, row):
    """log w_k + log N(x_o; mean_o, S_oo) of what a row has, by SciPy, (K,)."""
    given = ~np.isnan(row)
    joint = np.log(mixture.weights)
    if not given.any():
        return joint
    dense = mixture.covariances.dense()[:, given][:, :, given]
    normals = zip(mixture.means[:, given], dense, strict=True)
    return joint + [multivariate_normal(m, S).logpdf(row[given]) for m, S in normals]


def dense_log_density(mixture, X):
    """The like for rows, taken together by what they have, (n,)."""
    out = np.zeros(len(X))
    for given in np.unique(~np.isnan(X), axis=0):
        rows = (~np.isnan(X) == given).all(axis=1)
        dense = mixture.covariances.dense()[:, given][:, :, given]
        if given.any():
            joint = [
                np.log(weight) + multivariate_normal(m, S).logpdf(X[rows][:, given])
                for weight, m, S in zip(
                    mixture.weights, mixture.means[:, given], dense, strict=True
                )
            ]
            out[rows] = logsumexp(joint, axis=0)
    return out


def dense_statistics(mixture, X, sample_weight):
    """Log-likelihood and expected counts, sums, products about zero, row by row."""
    dense, (n_components, d) = mixture.covariances.dense(), mixture.means.shape
    total = 0.0
    sums = np.zeros((n_components, 1 + d, 1 + d))
    for row, weight in zip(X, sample_weight, strict=True):
        given, joint = ~np.isnan(row), dense_log_joint(mixture, row)
        log_density = logsumexp(joint)
        total += weight * log_density
        for k, share in enumerate(np.exp(joint - log_density)):
            expected, left = np.append(1.0, mixture.means[k]), np.zeros((1 + d, 1 + d))
            slopes = dense[k][:, given] @ np.linalg.inv(dense[k][given][:, given])
            deviation = row[given] - mixture.means[k][given]
            expected[1:] += slopes @ deviation
            left[1:, 1:] = dense[k] - slopes @ dense[k][given]
            sums[k] += weight * share * (np.outer(expected, expected) + left)
    return total, sums


def statistics_with(kernel, blocks):
    sums = blocks.sum(partial(e_step, kernel=kernel), block_length=kernel.block_length)
    return kernel.statistics(sums, blocks)


def of_kind(products, kind):
    return {
        "full": products,
        "pooled": products.sum(axis=0, keepdims=True),
        "diagonal": np.einsum("kii->ki", products),
    }[kind.name]


# The E-step -----------------------------------------------------------------------


def exact_kernel(mixture):
    of_squares = mixture.covariances.moment_kind.of_squares
    kernel = ExactDiagonalKernel if of_squares else ExactMissingKernel
    return kernel(mixture, Workspace())


def kernels_of(mixture, center):
    """Every kernel that there is for such a mixture."""
    made = [exact_kernel(mixture)]
    if mixture.covariances.moment_kind.of_squares:
        return [*made, DiagonalKernel(mixture, Workspace(), center)]
    return [
        *made,
        RowwiseKernel(mixture, Workspace()),
        PatternKernel(mixture, Workspace(), center),
    ]


@pytest.mark.parametrize("storage", STORAGES)
def test_expected_statistics_are_those_of_a_dense_computation(storage):
    mixture = mixture_of(storage)
    X, weights = rows_of(mixture, 300)
    blocks = IncompleteBlocks.of(X, weights)
    zero = np.zeros_like(mixture.means)
    log_likelihood, sums = dense_statistics(mixture, X, weights)
    for kernel in kernels_of(mixture, blocks.summary.center):
        stats = statistics_with(kernel, blocks).about(zero)
        assert_allclose(stats.log_likelihood, log_likelihood, rtol=1e-12)
        assert_allclose(stats.counts, sums[:, 0, 0], rtol=1e-11)
        assert_allclose(stats.sums, sums[:, 0, 1:], rtol=1e-11)
        products = of_kind(sums[:, 1:, 1:], stats.kind)
        assert_allclose(stats.products, products, rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize("storage", STORAGES)
def test_statistics_are_the_same_in_one_block_and_in_many(storage):
    mixture = mixture_of(storage)
    X, weights = rows_of(mixture, 9000)
    blocks = IncompleteBlocks.of(X, weights)
    for kernel in kernels_of(mixture, blocks.summary.center):
        whole = e_step(blocks.X, blocks.weights, kernel)
        parts = blocks.sum(partial(e_step, kernel=kernel), block_length=301)
        assert_allclose(parts.moments, whole.moments, rtol=1e-10, atol=1e-9)
        assert_allclose(parts.log_likelihood, whole.log_likelihood, rtol=1e-12)


@pytest.mark.parametrize("storage", STORAGES)
def test_of_complete_rows_the_statistics_are_the_usual_ones(storage):
    mixture = mixture_of(storage)
    X, _ = mixture.sample(5000, np.random.RandomState(0))
    weights = np.random.default_rng(0).random(len(X))
    usual = expectation(ArrayBlocks(X, weights), [mixture])[0]
    blocks = IncompleteBlocks.of(X, weights)
    for kernel in kernels_of(mixture, blocks.summary.center):
        stats = statistics_with(kernel, blocks).about(usual.origin)
        assert_allclose(stats.counts, usual.counts, rtol=1e-11)
        assert_allclose(stats.sums, usual.sums, rtol=1e-10, atol=1e-8)
        assert_allclose(stats.scatter, usual.scatter, rtol=1e-10, atol=1e-8)
        assert_allclose(stats.log_likelihood, usual.log_likelihood, rtol=1e-12)


@pytest.mark.parametrize(
    ("share", "n_features", "kind"),
    [(0.3, 3, PatternKernel), (0.3, 9, RowwiseKernel), (0.01, 40, RowwiseKernel)],
)
def test_the_kernel_follows_the_number_of_rows_for_a_pattern(share, n_features, kind):
    mixture = mixture_of(Full, n_features=n_features)
    X, _ = mixture.sample(2000, np.random.RandomState(0))
    blocks = IncompleteBlocks.of(holes(X, share), np.ones(len(X)))
    ((_, chosen),) = choose_incomplete(mixture, blocks, blocks.summary.center)
    assert type(chosen) is kind
    thin = mixture.covariances.values.copy()
    thin[:, 0, :] = thin[:, :, 0] = (1 - 1e-13) * thin[:, 1, :]
    thin[:, 0, 1] = thin[:, 1, 0] = (1 - 1e-13) * thin[:, 1, 1]
    thin[:, 0, 0] = thin[:, 1, 1]
    covariances = Full.from_values(thin, Segments.one(3), n_features)
    flat = Parameters(mixture.weights, mixture.means, covariances)
    ((_, chosen),) = choose_incomplete(flat, blocks, blocks.summary.center)
    assert chosen.unlimited


@pytest.mark.parametrize("storage", STORAGES)
def test_far_from_the_origin_and_in_other_units_the_statistics_stay_exact(storage):
    """Components 1e7 standard deviations apart; features in units of 1e-9 to 1e9."""
    mixture = mixture_of(storage)
    X, weights = rows_of(mixture, 200)
    shares = exact_kernel(mixture)
    near = statistics_with(shares, IncompleteBlocks.of(X, weights))
    shift = np.array([1e7, -3e7, 0.0, 2e6])
    units = np.full(4, 1e9) if storage is Spherical else 10.0 ** np.array([9, -9, 0, 3])
    moved = Parameters(
        mixture.weights,
        (mixture.means + shift) / units,
        mixture.covariances.in_units(units),
    )
    stats = expectation(IncompleteBlocks.of((X + shift) / units, weights), [moved])[0]
    assert_allclose(stats.counts, near.counts, rtol=1e-6)
    scales = np.outer(units, units)
    scatter = stats.scatter * (np.diag(scales) if stats.kind.of_squares else scales)
    assert_allclose(scatter, near.scatter, rtol=1e-6, atol=1e-5)


def test_rows_beyond_the_reach_of_the_fast_kernel_are_scored_by_the_other():
    mixture = mixture_of(Full)
    X, _ = rows_of(mixture, 5000, share=0.2)
    X[7] = [1e160, np.nan, 3.0, np.nan]
    X[8] = [1e3, np.nan, np.nan, -2e3]
    gmm = GaussianMixtureEM.from_parameters(
        mixture.weights, mixture.means, mixture.covariances.values
    )
    scores = gmm.score_samples(X)
    assert scores[7] < -1e300
    assert_allclose(scores[8], dense_log_density(mixture, X[8:9])[0], rtol=1e-10)
    assert_allclose(scores[100:200], dense_log_density(mixture, X[100:200]), rtol=1e-9)


# Predictions ------------------------------------------------------------------------


@pytest.mark.parametrize("storage", STORAGES)
def test_rows_are_scored_on_what_they_have_in_the_order_they_come(storage):
    mixture = mixture_of(storage)
    X, weights = rows_of(mixture, 200)
    names = {Spherical: "spherical", Diagonal: "diag", Tied: "tied", Full: "full"}
    covariances = mixture.covariances.as_published(mixture.covariances.values)
    gmm = GaussianMixtureEM.from_parameters(
        mixture.weights, mixture.means, covariances, names[storage]
    )
    joint = np.array([dense_log_joint(mixture, row) for row in X])
    log_density = logsumexp(joint, axis=1)
    assert_allclose(gmm.score_samples(X), log_density, rtol=1e-9, atol=1e-12)
    shares = np.exp(joint - log_density[:, None])
    assert_allclose(gmm.predict_proba(X), shares, rtol=1e-8, atol=1e-12)
    assert_array_equal(gmm.predict(X), joint.argmax(axis=1))
    mean = np.average(log_density, weights=weights)
    assert_allclose(gmm.score(X, sample_weight=weights), mean, rtol=1e-11)
    penalty = gmm._n_parameters() * np.log(len(X))
    assert_allclose(gmm.bic(X), penalty - 2 * log_density.sum(), rtol=1e-11)


@pytest.mark.parametrize("name", MODEL_NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_with_nothing_has_the_prior_and_the_log_density_zero(name, dtype, iris):
    gmm = GaussianMixtureEM(3, covariance_type=name, tol=0.1)
    gmm.fit(holes(iris, 0.2).astype(dtype))
    nothing = np.full((2, 4), np.nan)
    assert_allclose(gmm.score_samples(nothing), 0.0, atol=1e-14)
    shares = gmm.predict_proba(nothing)
    assert_allclose(shares, [gmm.weights_] * 2, rtol=64 * np.finfo(dtype).eps)


# Fits -------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ["iris_mcar20", "faithful_mcar25", "airquality"])
def test_one_component_is_what_r_packages_find(name):
    truth = load("missing_normal")["sets"][name]
    X = reference_rows(name)
    gmm = GaussianMixtureEM(1, tol=0, max_iter=400).fit(X)
    for reference in ["norm_em", "lavaan_em", "amelia"]:
        mean = np.array(truth[reference]["mean"])
        covariance = np.array(truth[reference]["covariance"])
        deviations = np.sqrt(np.diag(covariance))
        assert_allclose(gmm.means_[0] / deviations, mean / deviations, atol=1e-11)
        scale = np.outer(deviations, deviations)
        assert_allclose(gmm.covariances_[0] / scale, covariance / scale, atol=1e-11)
    # A quasi-Newton's, which stopped 2e-6 before the maximum.
    reached = truth["lavaan_fiml"]["loglik"]
    assert_allclose(gmm.score(X) * len(X), reached, rtol=1e-8)


@pytest.mark.parametrize("number", range(4))
def test_mixtures_are_what_mgmm_finds_from_the_same_start(number):
    truth = load("missing_mixture")["fits"][number]
    X, start = reference_rows(truth["data"]), truth["initial"]
    gmm = GaussianMixtureEM(
        truth["K"],
        weights_init=start["weights"],
        means_init=start["means"],
        precisions_init=np.linalg.inv(start["covariances"]),
        acceleration=None,
        tol=1e-14,
        max_iter=10_000,
    ).fit(X)
    deviations = np.nanstd(X, axis=0)
    assert_allclose(gmm.weights_, truth["weights"], atol=1e-6)
    means = np.array(truth["means"])
    assert_allclose(gmm.means_ / deviations, means / deviations, atol=2e-6)
    scale = np.outer(deviations, deviations)
    covariances = np.array(truth["covariances"])
    assert_allclose(gmm.covariances_ / scale, covariances / scale, atol=2e-6)
    completed = np.array(truth["completed"], dtype=float)
    imputed = ~np.isnan(completed)
    filled = gmm.impute(X) / deviations
    assert_allclose(filled[imputed], (completed / deviations)[imputed], atol=2e-6)


def test_the_maximum_is_what_an_optimiser_of_the_likelihood_finds():
    X = holes(make_blobs(1, 60, 2, 2), 0.3)
    gmm = GaussianMixtureEM(2, tol=1e-13, max_iter=5000).fit(X)

    def mixture(theta):
        roots = np.zeros((2, 2, 2))
        roots[:, [0, 1, 1], [0, 0, 1]] = theta[5:].reshape(2, 3)
        weights = np.exp([theta[0], 0.0])
        covariances = roots @ roots.mT + 1e-12 * np.eye(2)
        return Parameters(
            weights / weights.sum(),
            theta[1:5].reshape(2, 2),
            Full.from_values(covariances, Segments.one(2), 2),
        )

    def loss(theta):
        return -dense_log_density(mixture(theta), X).sum()

    lower = np.linalg.cholesky(gmm.covariances_)[:, [0, 1, 1], [0, 0, 1]]
    ratio = np.log(gmm.weights_[0] / gmm.weights_[1])
    end = np.concatenate([[ratio], gmm.means_.ravel(), lower.ravel()])
    away = end + 0.1 * np.random.default_rng(0).standard_normal(len(end))
    found = minimize(loss, away, method="BFGS", options={"gtol": 1e-6})
    assert_allclose(-found.fun, gmm.score(X) * len(X), rtol=1e-9)
    assert_allclose(found.x, end, atol=1e-3)
    # And the gradient is zero, by central differences.
    steps = 1e-5 * np.eye(len(end))
    gradient = [(loss(end + step) - loss(end - step)) / 2e-5 for step in steps]
    assert_allclose(gradient, 0.0, atol=1e-4)


def test_of_monotone_patterns_the_maximum_is_a_regression():
    """Anderson 1957, doi:10.1080/01621459.1957.10501379: the second feature is missing
    where the first is small, and its mean is that of the regression on the first."""
    rng = np.random.default_rng(0)
    first = rng.standard_normal(200)
    second = 2 + 0.5 * first + 0.3 * rng.standard_normal(200)
    X = np.column_stack([first, np.where(first < -0.2, np.nan, second)])
    seen = ~np.isnan(X[:, 1])
    inner = np.cov(X[seen].T, bias=True)
    slope = inner[0, 1] / inner[0, 0]
    mean = X[seen, 1].mean() + slope * (first.mean() - first[seen].mean())
    left = inner[1, 1] - slope * inner[0, 1]
    variance = first.var()
    gmm = GaussianMixtureEM(1, tol=1e-15, max_iter=5000).fit(X)
    assert_allclose(gmm.means_[0], [first.mean(), mean], rtol=1e-8)
    covariance = [
        [variance, slope * variance],
        [slope * variance, left + slope**2 * variance],
    ]
    assert_allclose(gmm.covariances_[0], covariance, rtol=1e-7)
    assert abs(np.nanmean(X[:, 1]) - mean) > 0.1  # of which the observed mean is wrong


@pytest.mark.parametrize(
    ("name", "share"), [*((name, 0.4) for name in MODEL_NAMES), ("VVV", 0.1)]
)
def test_the_likelihood_never_falls(name, share, iris):
    X = holes(iris, share)
    X[4] = np.nan
    plain = GaussianMixtureEM(3, covariance_type=name, acceleration=None, tol=1e-6)
    bounds = plain.fit(X).lower_bounds_
    assert len(bounds) > 1
    assert np.diff(bounds).min() > -1e-12
    faster = GaussianMixtureEM(3, covariance_type=name, tol=1e-6).fit(X)
    assert faster.lower_bound_ > plain.lower_bound_ - 1e-4
    assert faster.n_iter_ <= plain.n_iter_


@pytest.mark.parametrize("name", ["full", "tied", "diag", "spherical", "VEV"])
def test_rows_with_nothing_change_nothing(name, blobs):
    X = holes(blobs, 0.2)
    more = np.vstack([X, np.full((20, 3), np.nan)])
    before = GaussianMixtureEM(3, covariance_type=name, tol=1e-12).fit(X)
    after = GaussianMixtureEM(3, covariance_type=name, tol=1e-12).fit(more)
    means = [np.sort(gmm.means_, axis=0) for gmm in (before, after)]
    assert_allclose(*means, rtol=1e-3, atol=1e-3)
    assert_allclose(after.lower_bound_ * len(more), before.lower_bound_ * len(X), 1e-5)


def test_the_order_of_rows_and_of_features_does_not_matter(blobs):
    X = holes(blobs, 0.3)
    gmm = GaussianMixtureEM(3, tol=1e-10).fit(X)
    rows, features = np.random.default_rng(0).permutation(len(X)), [2, 0, 1]
    other = GaussianMixtureEM(3, tol=1e-10).fit(X[rows][:, features])
    order = np.argsort(gmm.means_[:, 0]), np.argsort(other.means_[:, 1])
    means = gmm.means_[order[0]][:, features]
    assert_allclose(other.means_[order[1]], means, rtol=1e-4)
    assert_allclose(other.lower_bound_, gmm.lower_bound_, rtol=1e-7)
    assert_array_equal(other.labels_, other.predict(X[rows][:, features]))


@pytest.mark.parametrize("unit", [1e-150, 1e6, 1e150])
def test_units_of_features_change_no_fit(unit, blobs):
    X = holes(blobs, 0.2)
    units = np.array([unit, 1.0, 0.01])
    one = GaussianMixtureEM(3).fit(X)
    other = GaussianMixtureEM(3).fit(X * units)
    assert_array_equal(other.labels_, one.labels_)
    assert_allclose(other.means_, one.means_ * units, rtol=1e-8)
    shift = (~np.isnan(X)).mean(axis=0) @ np.log(units)
    assert_allclose(other.lower_bounds_, one.lower_bounds_ - shift, rtol=1e-8)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_float32_rows_give_nearly_the_same_fit_in_float32(name, blobs):
    X = holes(blobs, 0.2)
    settings = {"covariance_type": name, "init_params": "kmeans"}
    double = GaussianMixtureEM(3, **settings).fit(X)
    single = GaussianMixtureEM(3, **settings).fit(X.astype(np.float32))
    assert single.means_.dtype == np.float32
    bound = rounding_in_float32(double, blobs) * (1 + double.n_iter_)
    sd = np.sqrt(double._mixture().covariances.variances)
    assert np.abs((single.means_ - double.means_) / sd).max() <= bound
    covariances = [gmm._mixture().covariances.dense() for gmm in (single, double)]
    shares = np.subtract(*covariances) / (2 * sd[:, :, None] * sd[:, None, :])
    assert np.abs(shares).max() <= bound
    assert_allclose(single.lower_bound_, double.lower_bound_, rtol=1e-6)
    assert_array_equal(single.labels_, double.labels_)


def test_a_component_that_lacks_a_feature_altogether_is_finite_and_warned_of(blobs):
    """Files with other columns, matched: of the third cluster a feature is unknown."""
    X = np.array(blobs)
    X[np.arange(len(X)) % 3 == 2, 1] = np.nan
    gmm = GaussianMixtureEM(3, covariance_type="tied", tol=1e-6)
    with pytest.warns(DegenerateComponentWarning, match="no value of some"):
        gmm.fit(X)
    assert np.isfinite(gmm.means_).all()
    assert (gmm.labels_ == gmm.predict(X)).all()


# Starts, searches, callers ------------------------------------------------------------


@pytest.fixture(scope="module")
def best_of_holes(blobs):
    """The best log-likelihood of several starts."""
    gmm = GaussianMixtureEM(3, n_init=5, random_state=1, tol=1e-6)
    return gmm.fit(holes(blobs, 0.2)).lower_bound_


@pytest.mark.parametrize(
    "init_params", ["split", "kmeans", "k-means++", "random_from_data", "random"]
)
def test_every_start_takes_missing_values(init_params, blobs, best_of_holes):
    X = holes(blobs, 0.2)
    gmm = GaussianMixtureEM(
        3, init_params=init_params, n_init=2, random_state=0, tol=1e-6
    ).fit(X)
    assert gmm.lower_bound_ > best_of_holes - 0.2
    assert gmm.lower_bound_ > GaussianMixtureEM(1).fit(X).lower_bound_


def test_the_start_of_the_user_belongs_to_the_rows_of_the_user(blobs):
    """Clusters are far apart: without EM, labels are those of the start."""
    truth = np.arange(len(blobs)) % 3
    X = holes(blobs + 40 * truth[:, None], 0.3)
    weights = np.random.default_rng(0).random(len(X)) + 0.1
    given = GaussianMixtureEM(3, init_params=truth, max_iter=0)
    given.fit(X, sample_weight=weights)
    assert (given.labels_ == truth)[~np.isnan(X).all(axis=1)].all()
    seen = {}

    def start(rows, n_components, sample_weight, rng):
        seen.update(rows=rows, sample_weight=sample_weight)
        return np.eye(3)[truth]

    asked = GaussianMixtureEM(3, init_params=start, max_iter=0)
    asked.fit(X, sample_weight=weights)
    assert_array_equal(seen["rows"], X)
    assert_array_equal(seen["sample_weight"], weights)
    assert_allclose(asked.means_, given.means_, rtol=1e-10)


def test_a_fit_goes_on_from_the_last(iris):
    X = holes(iris, 0.2)
    settings = {"init_params": "kmeans", "tol": 1e-9, "warm_start": True}
    gmm = GaussianMixtureEM(3, max_iter=3, **settings)
    with pytest.warns(match="did not converge"):
        first = gmm.fit(X).lower_bound_
    gmm.set_params(max_iter=1000).fit(X)
    assert gmm.lower_bound_ > first
    assert gmm.lower_bounds_[0] > first - 1e-9


def test_many_rows_are_fitted_from_a_sample_of_them():
    """Of which k-means is 0.1 from the best fit, and a random start 0.5."""
    truth = mixture_of(Full, n_features=3)
    X, labels = truth.sample(20_000, np.random.RandomState(0))
    X = holes(X, 0.2)
    best = GaussianMixtureEM(3, init_params=labels).fit(X).lower_bound_
    assert GaussianMixtureEM(3, max_iter=0).fit(X).lower_bound_ > best - 0.01
    assert GaussianMixtureEM(3).fit(X).lower_bound_ > best - 1e-5


def test_a_search_finds_the_model_of_incomplete_rows():
    truth = np.arange(240) % 2
    rng = np.random.default_rng(3)
    X = rng.standard_normal((240, 2)) * [1, 3] + 8 * truth[:, None]
    search = GaussianMixtureIC([1, 2, 3], covariance_type=["EEI", "VVV", "EII"])
    search.fit(holes(X, 0.25))
    assert search.best_params_ == {"n_components": 2, "covariance_type": "EEI"}
    gmm = GaussianMixtureEM(2, covariance_type="EEI", tol=1e-9).fit(holes(X, 0.25))
    reached = search.results_["log_likelihood"][search.best_index_]
    assert_allclose(reached, gmm.lower_bound_ * len(X), rtol=1e-6)


# What is refused ----------------------------------------------------------------------


def test_a_feature_without_any_value_is_refused_by_its_name(iris):
    X = holes(iris, 0.1)
    X[:, 2] = np.nan
    gmm = GaussianMixtureEM(2)
    with pytest.raises(ValueError, match="no value of feature 2: all are NaN"):
        gmm.fit(X)
    assert not hasattr(gmm, "n_features_in_")
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    with pytest.raises(ValueError, match="no value of feature 'c'"):
        gmm.fit(table)
    X[0, 2] = 1.0
    weights = np.ones(len(X))
    weights[0] = 0.0
    with pytest.raises(ValueError, match="no value of feature 2"):
        gmm.fit(X, sample_weight=weights)
    fitted = GaussianMixtureEM(2).fit(iris)
    assert np.isfinite(fitted.score_samples(X)).all()


def test_infinity_is_no_missing_value(iris):
    X = holes(iris, 0.1)
    X[3, 1] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        GaussianMixtureEM(2).fit(X)


def test_estimators_say_that_they_take_missing_values():
    for estimator in (GaussianMixtureEM(), GaussianMixtureIC()):
        assert estimator.__sklearn_tags__().input_tags.allow_nan


# Components that collapse, and rounding -----------------------------------------------


def few_rows_together(seed, n_samples=120, n_features=6):
    """Two clusters, of which hardly any row is complete."""
    rng = np.random.RandomState(seed)
    labels = np.arange(n_samples) % 2
    means = 2 * rng.standard_normal((2, n_features))
    roots = 0.4 * rng.standard_normal((2, n_features, n_features)) + np.eye(n_features)
    normals = rng.standard_normal((n_samples, n_features))
    X = means[labels] + np.einsum("nij,nj->ni", roots[labels], normals)
    X[rng.random_sample(X.shape) < 0.4] = np.nan
    return X


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_slow_collapse_is_warned_of_and_not_selected():
    X = few_rows_together(seed=0)
    with pytest.warns(
        DegenerateComponentWarning,
        match="collapsed onto a few rows in some direction",
    ):
        gmm = GaussianMixtureEM(2, max_iter=400).fit(X)
    assert np.linalg.eigvalsh(gmm.covariances_).min() < 1e-4
    search = GaussianMixtureIC([2], covariance_type=["VVV", "VVI"], max_iter=100)
    search.fit(X)
    results = search.results_
    full = results["covariance_type"] == "VVV"
    assert results["bic"][full] < results["bic"][search.best_index_]
    assert not results["eligible"][full]


@pytest.mark.parametrize("dependence", [1e-5, 1e-7])
def test_a_gap_in_rows_that_nearly_depend_on_each_other_changes_no_fit(dependence):
    rng = np.random.default_rng(0)
    normals = rng.standard_normal((500, 4))
    X = dependence**0.5 * normals + rng.standard_normal((500, 1))
    complete = GaussianMixtureEM(1, tol=1e-9).fit(X)
    X[17, 2] = np.nan
    gmm = GaussianMixtureEM(1, tol=1e-9).fit(X)
    scores = gmm.score_samples(X) - complete.score_samples(X)
    assert abs(np.delete(scores, 17)).max() < 0.5
    assert abs(gmm.lower_bound_ - complete.score(X)) < 1e-2


@pytest.mark.parametrize("share", [0.2, 0.5])
@pytest.mark.parametrize("noise", [1.0, 1e-3, 1e-5, 1e-8])
def test_rounding_is_bounded_whatever_the_kernel(noise, share):
    """A feature is the sum of the others, nearly: what `is_accurate` asks is kept."""
    rng = np.random.default_rng(1)
    roots = rng.standard_normal((2, 5, 8))
    roots[:, 4] = roots[:, :4].sum(axis=1)
    roots[:, 4, 0] += noise**0.5
    covariances = Full.from_values(roots @ roots.mT, Segments.one(2), 5)
    mixture = Parameters(np.array([0.4, 0.6]), rng.standard_normal((2, 5)), covariances)
    X, _ = mixture.sample(4000, np.random.RandomState(0))
    blocks = IncompleteBlocks.of(holes(X, share), np.ones(len(X)))
    exact = exact_kernel(mixture)
    truth = exact.log_joint(exact.features(blocks.X)) + exact.reference
    fast = kernels_of(mixture, blocks.summary.center)[1:]
    suited = [kernel for kernel in fast if kernel.is_accurate]
    assert suited == fast or noise < 1
    for kernel in suited:
        found = kernel.log_joint(kernel.features(blocks.X)) + kernel.reference
        assert np.abs(found - truth).max() < 30 * DOUBLE.max_rounding
    ((_, chosen),) = choose_incomplete(mixture, blocks, blocks.summary.center)
    found = chosen.log_joint(chosen.features(blocks.X)) + chosen.reference
    assert np.abs(found - truth).max() < 30 * DOUBLE.max_rounding
