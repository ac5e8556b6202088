"""What users of the estimator rely on: input, errors, starts, attributes."""

from __future__ import annotations

import re
import tracemalloc
import warnings
from copy import deepcopy
from functools import cache

import numpy as np
import pytest
from conftest import COVARIANCE_TYPES, MODEL_NAMES, make_blobs
from numpy.testing import assert_allclose, assert_array_equal, assert_equal
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from emgmm import DegenerateComponentWarning, GaussianMixtureEM, GaussianMixtureIC
from emgmm._model.families import FAMILIES


@pytest.fixture(scope="module")
def fitted():
    return GaussianMixtureEM(3, random_state=0).fit(make_blobs(0, 300, 2, 3))


# Input of many kinds --------------------------------------------------------------


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_float32_rows_give_float32_parameters_close_to_float64s(covariance_type):
    X = make_blobs(0, 300, 3, 2)
    double = GaussianMixtureEM(2, covariance_type=covariance_type).fit(X)
    X = X.astype(np.float32)
    single = GaussianMixtureEM(2, covariance_type=covariance_type).fit(X)
    for name in ["weights_", "means_", "covariances_", "precisions_cholesky_"]:
        assert getattr(single, name).dtype == np.float32
        assert getattr(double, name).dtype == np.float64
        assert_allclose(
            getattr(single, name), getattr(double, name), rtol=2e-3, atol=1e-3
        )
    assert_allclose(single.score(X), double.score(X), rtol=1e-5)
    assert single.score(X) == single.lower_bound_
    assert single.predict_proba(X).dtype == single.score_samples(X).dtype == np.float32
    assert single.predict_proba(X.astype(np.float64)).dtype == np.float64


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_float32_rows_keep_their_likelihood_at_an_offset(covariance_type):
    # Rows on a grid of 1/64 are exact in float32 up to an offset of 2^17.
    X = np.round(64 * make_blobs(0, 400, 2, 2)) / 64
    settings = {"covariance_type": covariance_type, "init_params": "kmeans"}
    # Longer steps would make more of the rounding in float32.
    settings |= {"acceleration": None, "max_iter": 500, "tol": 1e-8}
    near = GaussianMixtureEM(2, **settings).fit(X.astype(np.float32))
    far = GaussianMixtureEM(2, **settings).fit((X + 2.0**16).astype(np.float32))
    # The published means are rounded to the grid of float32 at the offset.
    assert_allclose(far.lower_bound_, near.lower_bound_, rtol=1e-4)
    assert_allclose(far.covariances_, near.covariances_, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "convert",
    [
        np.ndarray.tolist,
        np.asfortranarray,
        lambda X: X[::-1][::-1],
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    ],
    ids=["list", "fortran", "reversed", "strided"],
)
def test_other_layouts_give_the_same_fit(iris, convert):
    expected = GaussianMixtureEM(3).fit(iris)
    other = GaussianMixtureEM(3).fit(convert(iris))
    assert_array_equal(other.means_, expected.means_)
    assert_array_equal(other.predict(convert(iris)), expected.labels_)


def test_float32_weights_that_do_not_sum_to_one_exactly_can_be_sampled():
    X = make_blobs(0, 300, 2, 7).astype(np.float32)
    weights = np.full(7, np.float32(1 / 7))  # a sum of 1 + 1.5e-8 in float64
    gmm = GaussianMixtureEM(7, covariance_type="diag", max_iter=0).fit(X)
    gmm.weights_ = weights
    assert weights.astype(np.float64).sum() > 1 + 1e-12
    assert gmm.sample(10, random_state=0)[0].shape == (10, 2)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_rows_of_weight_zero_do_not_count_whatever_they_hold(covariance_type):
    X = make_blobs(0, 120, 2, 2)
    outlying = np.r_[[[-1e200, 1e200]], X, [[1e200, 0.0]]]
    weights = np.r_[0.0, np.ones(120), 0.0]
    settings = {"n_components": 2, "covariance_type": covariance_type}
    expected = GaussianMixtureEM(**settings).fit(X)
    gmm = GaussianMixtureEM(**settings).fit(outlying, sample_weight=weights)
    assert_allclose(gmm.means_, expected.means_, rtol=1e-9)
    for method in ["score", "bic", "icl"]:
        value = getattr(gmm, method)(outlying, sample_weight=weights)
        assert_allclose(value, getattr(expected, method)(X), rtol=1e-9)


def test_integer_rows_are_taken_as_float64():
    X = np.random.default_rng(0).integers(0, 50, (100, 2))
    gmm = GaussianMixtureEM(2).fit(X)
    assert gmm.means_.dtype == np.float64
    assert_array_equal(gmm.means_, GaussianMixtureEM(2).fit(X.astype(float)).means_)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_mapped_rows_are_neither_altered_nor_copied(tmp_path, dtype, order):
    path = tmp_path / "rows.dat"
    shape = (600_000, 8)
    rows = make_blobs(0, shape[0], shape[1], 2)
    np.memmap(path, dtype, "w+", shape=shape, order=order)[:] = rows
    X = np.memmap(path, dtype, "r", shape=shape, order=order)
    tracemalloc.start()
    with warnings.catch_warnings(), threadpool_limits(2):
        warnings.simplefilter("ignore", ConvergenceWarning)
        GaussianMixtureEM(2, max_iter=2).fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Labels of all rows and the blocks of two threads; a copy would be 19 MB or more.
    assert peak < 9 * len(rows) + 25e6
    assert_array_equal(X, rows.astype(dtype))


# Bad input ------------------------------------------------------------------------

GOOD = np.random.default_rng(0).standard_normal((30, 2))


def with_value(value):
    X = GOOD.copy()
    X[3, 1] = value
    return X


def weights_with(value):
    weights = np.ones(30)
    weights[4] = value
    return weights


BAD_ROWS = {
    "inf": (with_value(np.inf), "infinity"),
    "1-D": (GOOD[:, 0], "1D array|Expected 2D"),
    "3-D": (GOOD[None], "dim 3|found array with dim|Expected 2D"),
    "no rows": (GOOD[:0], "0 sample"),
    "one row": (GOOD[:1], "1 sample|n_samples = 1"),
    "no columns": (GOOD[:, :0], "0 feature"),
    "text": ([["a", "b"], ["c", "d"]], "could not convert|numeric"),
    "complex": (GOOD + 1j, "[Cc]omplex"),
}
BAD_WEIGHTS = {
    "negative": (weights_with(-1.0), "sample_weight.*-1.0 at row 4"),
    "nan": (weights_with(np.nan), "sample_weight contains nan"),
    "inf": (weights_with(np.inf), "sample_weight contains inf"),
    "zero": (np.zeros(30), "sample_weight is zero"),
    "short": (np.ones(29), r"sample_weight.shape == \(29,\), expected \(30,\)"),
    "2-D": (np.ones((30, 1)), r"sample_weight.shape == \(30, 1\)"),
    "text": (["a"] * 30, "sample_weight must hold real numbers"),
    "digits": (["1"] * 30, "sample_weight must hold real numbers"),
    "complex": (np.ones(30) + 1j, "sample_weight must hold real numbers"),
    "dates": (np.full(30, "2020-01-01", "M8[D]"), "must hold real numbers"),
    "scalar": (2.0, r"sample_weight.shape == \(\)"),
    "huge": (np.full(30, 1e308), "sample_weight has a sum of inf"),
    "tiny": (np.full(30, 5e-324), "sample_weight has a sum of 1.48e-322"),
    "huge sum": (np.full(30, 1e289), "sample_weight has a sum of 3e\\+290"),
    "few": (np.eye(30)[0], "sample_weight is positive for 1 of the 30 rows"),
}
EYE = np.eye(2)
BAD_PARAMETERS = {
    "n_components 0": ({"n_components": 0}, "'n_components'.* 0"),
    "n_components 2.5": ({"n_components": 2.5}, "'n_components'.*2.5"),
    "K > n": ({"n_components": 31}, "n_components = 31, n_samples = 30"),
    "unknown model": ({"covariance_type": "VVX"}, "'covariance_type'.*'VVX'"),
    "unknown start": ({"init_params": "best"}, "'init_params'.*'best'"),
    "negative tol": ({"tol": -1.0}, "'tol'.*-1.0"),
    "nan tol": ({"tol": np.nan}, "'tol'.*nan"),
    "negative reg_covar": ({"reg_covar": -1e-6}, "'reg_covar'.*-1e-06"),
    "negative max_iter": ({"max_iter": -1}, "'max_iter'.*-1"),
    "n_init 0": ({"n_init": 0}, "'n_init'.* 0"),
    "bad random_state": ({"random_state": "x"}, "'random_state'.*'x'"),
    "weights shape": ({"weights_init": [1.0]}, r"weights.*\(1,\).*weights_init"),
    "weights sum": ({"weights_init": [0.5, 0.6]}, "sum.*1.1.*weights_init"),
    "weights negative": ({"weights_init": [-0.5, 1.5]}, "-0.50000.*weights_init"),
    "weights nan": ({"weights_init": [np.nan, 1.0]}, "weights_init contains nan"),
    "weights text": (
        {"weights_init": ["a", "b"]},
        "weights_init must hold real numbers",
    ),
    "means shape": ({"means_init": [[0.0], [1.0]]}, r"means.*\(2, 1\).*means_init"),
    "means inf": ({"means_init": [[0, np.inf], [0, 1]]}, "means_init contains inf"),
    "means ragged": (
        {"means_init": [[0.0], [0, 1]]},
        "means_init must hold real numbers",
    ),
    "precisions shape": ({"precisions_init": EYE}, r"\(2, 2\).*precisions_init"),
    "precisions sign": ({"precisions_init": [EYE, -EYE]}, "-1.*precisions_init"),
    "precisions lopsided": (
        {"precisions_init": [EYE, [[1, 0.5], [0, 1]]]},
        "transpose.*precisions_init",
    ),
    "precisions zero": (
        {"precisions_init": [1.0, 0.0], "covariance_type": "spherical"},
        "positive.* 0.*precisions_init",
    ),
    "means complex": (
        {"means_init": np.ones((2, 2)) + 1j},
        "means_init must hold real",
    ),
    "precisions lopsided beside large ones": (
        {"precisions_init": [1e8 * EYE, [[1, 0.5], [0, 1]]]},
        "transpose.*precisions_init",
    ),
    "precisions of another form": (
        {"precisions_init": [1.0, 4.0], "covariance_type": "EII"},
        "precisions_init is not of the form.*'EII'",
    ),
    "start shape": ({"init_params": np.zeros(29)}, r"init_params.*\(29,\)"),
    "start label": ({"init_params": [0, 2] * 15}, "init_params contains the label 2"),
    "start fraction": ({"init_params": [0, 0.5] * 15}, "the label 0.5"),
    "start huge label": ({"init_params": [0, 1e300] * 15}, "the label 1e.300"),
    "start empty": ({"init_params": [0, -1] * 15}, "no row to component 1"),
    "start nan": ({"init_params": [0, np.nan] * 15}, "init_params contains nan"),
    "start sums": ({"init_params": np.ones((30, 2))}, "sum to one"),
    "start negative": ({"init_params": [[2.0, -1.0]] * 30}, "init_params.*row 0"),
    "callable": (
        {"init_params": lambda X, n_components, sample_weight, rng: "?"},
        "init_params must hold real numbers",
    ),
    "callable without a result": (
        {"init_params": lambda X, n_components, sample_weight, rng: None},
        "init_params must hold real numbers, got None",
    ),
    "callable that writes": (
        {"init_params": lambda X, n_components, sample_weight, rng: X.fill(0)},
        "read-only",
    ),
}


def assert_unchanged_by(error, match, gmm, *args, **kwargs):
    """The call fails as expected, and the estimator is what it was before."""
    before = deepcopy(vars(gmm))
    with pytest.raises(error, match=f"(?s){match}"):
        gmm.fit(*args, **kwargs)
    assert_equal(vars(gmm), before)


@pytest.mark.parametrize("rows, match", BAD_ROWS.values(), ids=BAD_ROWS)
def test_bad_rows_are_refused(rows, match):
    assert_unchanged_by(ValueError, match, GaussianMixtureEM(2), rows)
    assert_unchanged_by(ValueError, match, GaussianMixtureEM(2).fit(GOOD), rows)


@pytest.mark.parametrize("weights, match", BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
def test_bad_weights_are_refused(weights, match):
    gmm = GaussianMixtureEM(2).fit(GOOD)
    assert_unchanged_by(ValueError, match, gmm, GOOD, sample_weight=weights)
    if "few" not in match and "positive for" not in match:
        for method in [gmm.score, gmm.bic, gmm.aic, gmm.icl]:
            with pytest.raises(ValueError, match=match):
                method(GOOD, sample_weight=weights)


@pytest.mark.parametrize(
    "parameters, match", BAD_PARAMETERS.values(), ids=BAD_PARAMETERS
)
def test_bad_parameters_are_refused(parameters, match):
    parameters = {"n_components": 2, **parameters}
    assert_unchanged_by(ValueError, match, GaussianMixtureEM(**parameters), GOOD)
    gmm = GaussianMixtureEM(2).fit(GOOD).set_params(**parameters)
    assert_unchanged_by(ValueError, match, gmm, GOOD)


def test_a_start_on_rows_of_weight_zero_is_refused():
    weights = (np.arange(30) < 15) * 1.0
    for start in [np.arange(30) // 15, np.eye(2)[np.arange(30) // 15]]:
        gmm = GaussianMixtureEM(2, init_params=start)
        match = "no row to component 1.*positive weight"
        assert_unchanged_by(ValueError, match, gmm, GOOD, sample_weight=weights)


def test_covariances_beyond_float32_are_refused():
    rows = (1e25 * GOOD).astype(np.float32)
    gmm = GaussianMixtureEM(2).fit(GOOD)
    assert_unchanged_by(ValueError, "too large for float32.*float64", gmm, rows)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("name", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("reg_covar", ["scale", 1e-6])
def test_covariances_beyond_float64_are_refused_and_of_that_nothing_warns(
    name, reg_covar, missing
):
    rows = 1e300 * GOOD
    rows[::5, 1] = np.nan if missing else rows[::5, 1]
    gmm = GaussianMixtureEM(2, covariance_type=name, reg_covar=reg_covar)
    assert_unchanged_by(ValueError, "too large for float64: scale X", gmm, rows)


@pytest.mark.parametrize("name", ["full", "tied", "diag", "spherical"])
def test_small_variances_change_no_label_and_those_that_underflow_are_refused(name):
    gmm = GaussianMixtureEM(2, covariance_type=name)
    labels = gmm.fit(GOOD).labels_
    assert_array_equal(gmm.fit(2.0**-500 * GOOD).labels_, labels)
    match = "too small for float64: scale X"
    assert_unchanged_by(ValueError, match, gmm, 2.0**-560 * GOOD)


def test_no_more_rows_than_features_warn_where_matrices_are_full():
    wide = np.random.default_rng(0).standard_normal((20, 30))
    for name in ["full", "tied", "VEV"]:
        match = "or there are no more rows than features.*drop features"
        with pytest.warns(DegenerateComponentWarning, match=match) as record:
            GaussianMixtureEM(2, covariance_type=name).fit(wide)
        assert [warning.filename for warning in record] == [__file__]
    GaussianMixtureEM(2, covariance_type="diag").fit(wide)


def test_sparse_rows_are_refused():
    rows = sparse.csr_array(GOOD)
    assert_unchanged_by(TypeError, "[Ss]parse.*dense", GaussianMixtureEM(2), rows)


def test_methods_of_an_unfitted_estimator_say_so():
    gmm = GaussianMixtureEM()
    for method in [
        gmm.predict,
        gmm.predict_proba,
        gmm.score_samples,
        gmm.score,
        gmm.bic,
        gmm.aic,
        gmm.icl,
    ]:
        with pytest.raises(NotFittedError, match="not fitted"):
            method(GOOD)
    with pytest.raises(NotFittedError, match="not fitted"):
        gmm.sample()


def test_another_number_of_columns_is_refused(fitted):
    with pytest.raises(ValueError, match="3 features.*2 features"):
        fitted.predict(np.zeros((4, 3)))


def test_a_singular_fit_leaves_the_estimator_unchanged():
    gmm = GaussianMixtureEM(2, reg_covar=0.0).fit(GOOD)
    flat = np.c_[GOOD[:, 0], np.ones(30)]
    assert_unchanged_by(ValueError, "ill-defined.*reg_covar", gmm, flat)


def test_an_interrupted_fit_leaves_the_estimator_unchanged():
    def interrupt(X, n_components, sample_weight, rng):
        raise KeyboardInterrupt

    gmm = GaussianMixtureEM(2).fit(GOOD).set_params(init_params=interrupt)
    assert_unchanged_by(KeyboardInterrupt, "", gmm, GOOD[:20])


# Starts ---------------------------------------------------------------------------


def test_labels_responsibilities_and_callables_start_alike(iris):
    labels = np.arange(150) // 50
    one_hot = np.eye(3)[labels]
    starts = [
        labels,
        labels.tolist(),
        labels.astype(np.float32),
        one_hot,
        lambda X, n_components, sample_weight, rng: labels,
        lambda X, n_components, sample_weight, rng: np.eye(n_components)[labels],
    ]
    fits = [GaussianMixtureEM(3, init_params=start).fit(iris) for start in starts]
    for other in fits[1:]:
        assert_allclose(other.means_, fits[0].means_, rtol=1e-10)
        assert other.n_iter_ == fits[0].n_iter_


def test_rows_labelled_minus_one_only_join_at_the_first_iteration(iris):
    labels = np.full(150, -1)
    labels[:20], labels[60:80], labels[120:140] = 0, 1, 2
    start = GaussianMixtureEM(3, init_params=labels, max_iter=0).fit(iris)
    assert_allclose(start.means_[1], iris[60:80].mean(axis=0))
    assert_allclose(start.weights_, 1 / 3)
    zeros = np.where(labels[:, None] == np.arange(3), 1.0, 0.0)
    same = GaussianMixtureEM(3, init_params=zeros, max_iter=0).fit(iris)
    assert_allclose(same.means_, start.means_)
    full = GaussianMixtureEM(3, init_params=labels).fit(iris)
    assert full.lower_bound_ > start.lower_bound_
    assert len(full.labels_) == 150


def test_callables_receive_the_rows_weights_and_random_numbers(iris):
    seen = []

    def start(X, n_components, sample_weight, rng):
        seen.append((X, n_components, sample_weight, rng.uniform()))
        return np.arange(len(X)) % n_components

    weights = np.linspace(1, 2, 150)
    gmm = GaussianMixtureEM(2, init_params=start, n_init=2, random_state=3, tol=0.1)
    gmm.fit(iris, sample_weight=weights)
    assert_array_equal(seen[0][0], iris)
    assert seen[0][1] == 2
    assert_array_equal(seen[0][2], weights)
    assert seen[0][3] == np.random.RandomState(3).uniform() != seen[1][3]


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_max_iter_0_publishes_the_start(covariance_type):
    source = GaussianMixtureEM(2, covariance_type=covariance_type).fit(GOOD)
    given = GaussianMixtureEM(
        2,
        covariance_type=covariance_type,
        weights_init=source.weights_,
        means_init=source.means_,
        precisions_init=source.precisions_,
        max_iter=0,
    ).fit(GOOD)
    assert_allclose(given.means_, source.means_)
    assert_allclose(given.covariances_, source.covariances_, rtol=1e-8, atol=1e-10)
    assert_allclose(given.lower_bound_, source.lower_bound_, rtol=1e-10)
    assert given.n_iter_ == len(given.lower_bounds_) == 0
    assert not given.converged_


def test_initial_means_replace_those_of_the_start():
    means = [[0.0, 0.0], [1.0, 1.0]]
    gmm = GaussianMixtureEM(2, means_init=means, max_iter=0).fit(GOOD)
    start = GaussianMixtureEM(2, max_iter=0).fit(GOOD)
    assert_array_equal(gmm.means_, means)
    # The order of given means is kept; that of the start is by weight.
    same = [covariance in start.covariances_ for covariance in gmm.covariances_]
    assert same == [True, True]
    assert_array_equal(np.sort(gmm.weights_), np.sort(start.weights_))


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random"])
def test_more_starts_are_never_worse_and_do_differ(init_params):
    X = make_blobs(8, 200, 2, 6)
    settings = {"n_components": 6, "init_params": init_params, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        one = GaussianMixtureEM(**settings).fit(X)
        ten = GaussianMixtureEM(**settings, n_init=10).fit(X)
    assert ten.lower_bound_ > one.lower_bound_


def test_the_default_start_needs_no_seed(iris):
    fits = [GaussianMixtureEM(3).fit(iris) for _ in range(2)]
    assert_array_equal(fits[0].means_, fits[1].means_)


# What users rely on ---------------------------------------------------------------


def test_lower_bound_is_the_score_of_the_published_parameters(iris):
    gmm = GaussianMixtureEM(3, tol=1e-2).fit(iris)
    assert gmm.lower_bound_ == gmm.score(iris) == gmm.lower_bounds_[-1]
    assert len(gmm.lower_bounds_) == gmm.n_iter_
    weights = np.linspace(0, 1, 150)
    gmm.fit(iris, sample_weight=weights)
    assert gmm.lower_bound_ == gmm.score(iris, sample_weight=weights)


def test_warm_start_goes_on_or_starts_afresh():
    X = make_blobs(9, 300, 2, 3)
    settings = {"random_state": 0, "tol": 0.0, "acceleration": None}
    warm = GaussianMixtureEM(3, warm_start=True, max_iter=3, **settings)
    with pytest.warns(ConvergenceWarning):
        warm.fit(X).fit(X)
        whole = GaussianMixtureEM(3, max_iter=6, **settings).fit(X)
        assert_allclose(warm.means_, whole.means_, rtol=1e-10)
        for change in [{"n_components": 4}, {"covariance_type": "tied"}]:
            changed = warm.set_params(**change).fit(X)
            fresh = GaussianMixtureEM(**changed.get_params()).fit(X)
            assert_array_equal(changed.means_, fresh.means_)
        wider = np.c_[X, X[:, 0] ** 2]
        assert warm.fit(wider).means_.shape == (4, 3)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_warm_starts_one_iteration_at_a_time_never_fall(name):
    X = make_blobs(10, 150, 3, 3)
    gmm = GaussianMixtureEM(
        3, covariance_type=name, warm_start=True, max_iter=1, tol=0.0, reg_covar=0.0
    )
    scores = []
    with pytest.warns(ConvergenceWarning):
        for _ in range(15):
            scores.append(gmm.fit(X).score(X))
    assert np.all(np.diff(scores) > -1e-10)


def test_samples_of_a_seeded_estimator_go_on_and_repeat_as_a_whole():
    def draws():
        gmm = GaussianMixtureEM(2, random_state=7).fit(GOOD)
        return [gmm.sample(5)[0] for _ in range(3)]

    one, other = draws(), draws()
    assert_array_equal(one, other)
    assert not np.array_equal(one[0], one[1])


def test_seeding_after_the_fit_begins_a_stream_too():
    known = GaussianMixtureEM.from_parameters([1.0], [[0.0]], [[[1.0]]])
    for gmm in [known, GaussianMixtureEM(1).fit(GOOD[:, :1])]:
        gmm.set_params(random_state=5)
        first, second = gmm.sample(4)[0], gmm.sample(4)[0]
        assert not np.array_equal(first, second)
        gmm.set_params(random_state=6).sample(4)
        assert_array_equal(gmm.set_params(random_state=5).sample(4)[0], first)


def test_samples_with_a_seed_of_their_own_repeat(fitted):
    X, labels = fitted.sample(50, random_state=1)
    again, _ = fitted.sample(50, random_state=1)
    assert_array_equal(X, again)
    assert X.shape == (50, 2) and labels.shape == (50,)
    assert fitted.sample()[0].shape == (1, 2)
    for n_samples in [0, -1, 1.5, np.nan, None, "5"]:
        with pytest.raises(ValueError, match=f"'n_samples': {n_samples!r}"):
            fitted.sample(n_samples)


def test_labels_predictions_and_fit_predict_agree(iris):
    gmm = GaussianMixtureEM(3)
    labels = gmm.fit_predict(iris)
    assert labels.dtype == np.int64
    assert_array_equal(labels, gmm.labels_)
    assert_array_equal(labels, gmm.predict(iris))
    assert_array_equal(labels, gmm.predict_proba(iris).argmax(axis=1))


def test_criteria_count_the_parameters(iris):
    gmm = GaussianMixtureEM(3, covariance_type="VEV").fit(iris)
    log_likelihood = gmm.score_samples(iris).sum()
    n_parameters = 2 + 3 * 4 + (3 + 3 + 3 * 6)
    assert_allclose(gmm.aic(iris), -2 * log_likelihood + 2 * n_parameters)
    assert_allclose(gmm.bic(iris), -2 * log_likelihood + n_parameters * np.log(150))
    ambiguity = np.log(gmm.predict_proba(iris).max(axis=1)).sum()
    assert_allclose(gmm.icl(iris), gmm.bic(iris) - 2 * ambiguity)
    assert gmm.icl(iris) >= gmm.bic(iris)


def test_predictions_follow_the_published_parameters(fitted):
    """As in scikit-learn, where users reorder components by hand."""
    X = make_blobs(0, 300, 2, 3)
    expected = fitted.predict_proba(X)
    order = np.argsort(fitted.means_[:, 0])[::-1]
    names = [
        "weights_",
        "means_",
        "covariances_",
        "precisions_",
        "precisions_cholesky_",
    ]
    turned = GaussianMixtureEM(3)
    for name in names:
        setattr(turned, name, getattr(fitted, name)[order])
    assert_allclose(turned.predict_proba(X), expected[:, order], rtol=1e-12)


def test_progress_is_printed_when_asked_for(capsys):
    X = make_blobs(8, 200, 2, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for verbose in [0, 1, 2]:
            GaussianMixtureEM(
                6, verbose=verbose, verbose_interval=2, max_iter=4, tol=0.0
            ).fit(X)
            printed = capsys.readouterr().out
            assert printed.count("Initialization 0") == (verbose > 0)
            assert printed.count("Iteration") == (2 if verbose else 0)
            assert ("ll change" in printed) == (verbose == 2)


def test_unconverged_fits_warn_where_the_user_called():
    with pytest.warns(ConvergenceWarning, match="did not converge") as record:
        GaussianMixtureEM(2, max_iter=1, tol=0.0).fit(GOOD)
    assert record[0].filename == __file__


# From known parameters ------------------------------------------------------------


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_a_mixture_from_parameters_is_the_fitted_one(covariance_type):
    X = make_blobs(0, 300, 3, 2)
    fit = GaussianMixtureEM(2, covariance_type=covariance_type).fit(X)
    gmm = GaussianMixtureEM.from_parameters(
        fit.weights_, fit.means_, fit.covariances_, covariance_type
    )
    assert_allclose(gmm.score_samples(X), fit.score_samples(X), rtol=1e-9)
    assert_allclose(gmm.predict_proba(X), fit.predict_proba(X), atol=1e-9)
    assert_allclose(gmm.precisions_, fit.precisions_, rtol=1e-7, atol=1e-8)
    assert_allclose(gmm.bic(X), fit.bic(X), rtol=1e-10)
    assert gmm.sample(20, random_state=0)[0].shape == (20, 3)
    assert gmm.n_components == 2 and gmm.n_features_in_ == 3
    shape = FAMILIES[covariance_type].storage.shape(2, 3)
    assert gmm.covariances_.shape == shape


@pytest.mark.parametrize(
    "arguments, match",
    [
        (([0.5, 0.6], [[0.0], [1.0]], [[[1.0]], [[1.0]]]), "sum.*1.1"),
        (([1.0], [0.0], [[[1.0]]]), r"means has the shape \(1,\)"),
        (([1.0], [[0.0]], [[1.0]]), r"\(1, 1\).*covariances"),
        (([1.0], [[0.0]], [[[-1.0]]]), "-1.*covariances"),
        (([0.5, 0.5], [[0.0], [1.0]], [1.0, 2.0], "EII"), "not of the form.*EII"),
        (([1.0], [[0.0]], [1.0], "round"), "'covariance_type'.*'round'"),
    ],
)
def test_bad_known_parameters_are_refused(arguments, match):
    with pytest.raises(ValueError, match=f"(?s){match}"):
        GaussianMixtureEM.from_parameters(*arguments)


def test_known_weights_are_made_to_sum_to_one():
    weights = np.array([0.3, 0.7]) * (1 + 5e-7)
    gmm = GaussianMixtureEM.from_parameters(weights, [[0], [1]], [1, 1], "spherical")
    assert gmm.weights_.sum() == pytest.approx(1, abs=1e-15)


def test_parameters_can_be_fitted_on_from(iris):
    gmm = GaussianMixtureEM.from_parameters(
        [0.5, 0.5], iris[[0, 100]], np.ones(2), "spherical"
    )
    assert gmm.fit(iris).converged_


@pytest.mark.parametrize(
    "estimator, name, value, meant",
    [
        (GaussianMixtureEM(), "covariance_type", "Full", "full"),
        (GaussianMixtureEM(), "covariance_type", "diagonal", "diag"),
        (GaussianMixtureEM(), "covariance_type", "vvv", "VVV"),
        (GaussianMixtureEM(), "init_params", "k-means", "kmeans"),
        (GaussianMixtureEM(), "reg_covar", "scaled", "scale"),
        (GaussianMixtureIC(), "covariance_type", "spheric", "spherical"),
        (GaussianMixtureIC(), "covariance_type", ["VVV", "tie"], "tied"),
        (GaussianMixtureIC(), "criterion", "BIC", "bic"),
    ],
)
def test_a_name_that_is_near_is_suggested(estimator, name, value, meant):
    expected = re.escape(f"Did you mean {meant!r}?") + "$"
    with pytest.raises(ValueError, match=f"{name}.*{expected}"):
        estimator.set_params(**{name: value}).fit([[0.0], [1.0]])


@pytest.mark.parametrize("value", ["xyz", 3, None])
def test_where_no_name_is_near_none_is_suggested(value):
    with pytest.raises(ValueError, match=r"covariance_type.* instead\.$"):
        GaussianMixtureEM(covariance_type=value).fit([[0.0], [1.0]])


@pytest.mark.parametrize(
    "estimator, names",
    [
        (GaussianMixtureEM(), FAMILIES),
        (GaussianMixtureIC(), ["all", *FAMILIES]),
    ],
)
def test_names_of_models_are_listed_in_the_order_of_the_documentation(estimator, names):
    listed = re.escape("{" + ", ".join(map(repr, names)) + "}")
    with pytest.raises(ValueError, match=listed):
        estimator.set_params(covariance_type="xyz").fit([[0.0], [1.0]])


def test_a_subclass_may_have_parameters_without_constraints():
    class Further(GaussianMixtureEM):
        def __init__(self, covariance_type="full", colour="red"):
            super().__init__(covariance_type=covariance_type)
            self.colour = colour

    with pytest.raises(ValueError, match="Did you mean 'full'"):
        Further(covariance_type="fulll").fit([[0.0], [1.0]])


@pytest.mark.filterwarnings("ignore::emgmm.DegenerateComponentWarning")  # few rows
@pytest.mark.parametrize("weight", [1e-288, 1e100, 1e285])
@pytest.mark.parametrize("scale", [1e-59, 1e50, 1e100])
@pytest.mark.parametrize("gaps", [False, True])
def test_weights_and_scales_at_the_ends_of_numbers_change_no_fit(weight, scale, gaps):
    X, bounds, labels = three_clusters(gaps)
    weights, change = np.full(len(X), weight), 2 * np.isfinite(X).mean() * np.log(scale)
    for init_params, expected in bounds.items():
        gmm = GaussianMixtureEM(3, init_params=init_params, random_state=0)
        gmm.fit(X * scale, sample_weight=weights)
        assert_allclose(gmm.lower_bound_, expected - change, rtol=1e-9)
    search = GaussianMixtureIC([3], covariance_type=THREE_MODELS)
    search.fit(X * scale, sample_weight=weights)
    assert adjusted_rand_score(labels, search.labels_) == 1


THREE_MODELS = ["VVV", "VVI", "EVE"]


@cache
def three_clusters(gaps):
    """Rows, log-likelihoods of their fits by start, and labels that a search finds."""
    centers = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    X = np.random.default_rng(0).normal(np.repeat(centers, 20, axis=0))
    if gaps:
        X[::7, 0] = np.nan
    bounds = {
        start: GaussianMixtureEM(3, init_params=start, random_state=0)
        .fit(X)
        .lower_bound_
        for start in ("split", "kmeans", "k-means++", "random_from_data")
    }
    labels = GaussianMixtureIC([3], covariance_type=THREE_MODELS).fit(X).labels_
    return X, bounds, labels
