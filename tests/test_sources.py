"""Every source of rows: what is fitted and computed is that of the rows in memory."""

from __future__ import annotations

from itertools import cycle

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from conftest import (
    COVARIANCE_TYPES,
    FITTED_ARRAYS,
    assert_same_but_for_float32,
    assert_same_fit,
    make_blobs,
)
from numpy.testing import assert_allclose, assert_array_equal

from emgmm import GaussianMixtureEM, GaussianMixtureIC
from emgmm._data.sources import SOURCES, check_blocks, source_of

N, D, K = 500, 3, 3
CUTS = [0, 0, 1, 7, 150, 151, 151, 400]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """A hundred rows in a chunk, in one thread; every memory map is a large one."""
    monkeypatch.setattr("emgmm._data.chunks.CHUNK_SIZE", 100 * D)
    monkeypatch.setattr("emgmm._data.maps.LARGE", 0)
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture
def small_samples(monkeypatch):
    """Starts see two hundred of the rows."""
    monkeypatch.setattr("emgmm._init.subsample.SUBSAMPLE_NUMBERS", 200 * D)


# ---- how rows are passed: functions of (rows, weights or None, a folder), which return
# X and sample_weight


def as_array(X, weights, folder):
    return X, weights


def as_map(X, weights, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r"), weights


def as_blocks(X, weights, folder):
    blocks = np.split(X, CUTS)
    if weights is not None:
        blocks = list(zip(blocks, np.split(weights, CUTS), strict=True))
    return blocks, None


def as_callable(X, weights, folder):
    blocks, _ = as_blocks(X, weights, folder)
    return lambda: iter(blocks), None


def as_dask_array(X, weights, folder):
    chunks = tuple(np.diff([0, *CUTS, len(X)]).tolist())
    return da.from_array(X, chunks=(chunks, -1)), weights


def as_dask_dataframe(X, weights, folder):
    frame = pd.DataFrame(X, columns=list("abc"))
    if weights is None:
        return dd.from_pandas(frame, npartitions=4), None
    weighted = dd.from_pandas(frame.assign(w=weights), npartitions=4)
    return weighted[list("abc")], weighted["w"]


FORMS = {
    as_array: "an array",
    as_map: "a large memory map",
    as_blocks: "an iterable of blocks",
    as_callable: "an iterable of blocks",
    as_dask_array: "a Dask collection",
    as_dask_dataframe: "a Dask collection",
}
every_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
other_forms = pytest.mark.parametrize(
    "form", list(FORMS)[1:], ids=lambda form: form.__name__
)
# Models differ in what they sum of blocks, sources in where blocks come from: every
# model is fitted from one source, and every source serves several models.
every_model = pytest.mark.parametrize(
    ("covariance_type", "form"),
    [*zip(COVARIANCE_TYPES, cycle(list(FORMS)[1:]), strict=False)],
)


@pytest.fixture(scope="module")
def rows():
    X = make_blobs(1, N, D, K)
    X.flags.writeable = False
    return X


@pytest.fixture(params=["complete", "missing"])
def X(request, rows):
    if request.param == "complete":
        return rows
    gaps = np.random.default_rng(0).uniform(size=rows.shape) < 0.1
    return np.where(gaps, np.nan, rows)


@pytest.fixture(params=["weighted", "not weighted"])
def weights(request):
    if request.param == "not weighted":
        return None
    return np.random.default_rng(1).integers(0, 4, N).astype(float)


def fit(X, sample_weight=None, **parameters):
    gmm = GaussianMixtureEM(K, **{"max_iter": 6, **parameters})
    return gmm.fit(X, sample_weight=sample_weight)


def in_memory(values):
    """An array of what is an array, an iterator of arrays, or a Dask array."""
    if isinstance(values, da.Array):
        return values.compute()
    return values if isinstance(values, np.ndarray) else np.concatenate(list(values))


def test_every_source_is_tested(rows, tmp_path):
    elsewhere = {"an array on a device"}  # in test_device.py
    assert {source.kind for source in SOURCES} == {*FORMS.values(), *elsewhere}
    for form, kind in FORMS.items():
        assert source_of(form(rows, None, tmp_path)[0]).kind == kind


@other_forms
def test_fits_and_scores_are_those_of_rows_in_memory(form, X, weights, tmp_path):
    passed, own = form(X, weights, tmp_path)
    gmm, expected = fit(passed, own), fit(X, weights)
    assert_same_fit(gmm, expected)
    assert not hasattr(gmm, "labels_")
    assert gmm.n_samples_seen_ == pytest.approx(N if weights is None else weights.sum())
    for score in ("score", "bic", "icl"):
        value = getattr(gmm, score)(passed, sample_weight=own)
        of_memory = getattr(expected, score)(X, sample_weight=weights)
        assert value == pytest.approx(of_memory, rel=1e-10)


@other_forms
def test_predictions_are_those_for_rows_in_memory(form, X, tmp_path):
    passed, _ = form(X, None, tmp_path)
    gmm, expected = fit(passed, max_iter=3), fit(X, max_iter=3)
    for name in ("predict", "predict_proba", "score_samples"):
        values = in_memory(getattr(gmm, name)(passed))
        of_memory = getattr(expected, name)(X)
        assert values.dtype == of_memory.dtype
        assert_allclose(values, of_memory, rtol=1e-9, atol=1e-10)
    labels = GaussianMixtureEM(K, max_iter=3).fit_predict(passed)
    assert_array_equal(in_memory(labels), expected.predict(X))


@every_model
@pytest.mark.parametrize("weights", ["weighted"], indirect=True)
@pytest.mark.parametrize("X", ["missing"], indirect=True)
def test_every_model_with_weights_and_gaps(form, covariance_type, X, weights, tmp_path):
    settings = {"covariance_type": covariance_type, "max_iter": 6}
    gmm = fit(*form(X, weights, tmp_path), **settings)
    assert_same_fit(gmm, fit(X, weights, **settings))


@every_model
def test_float32_stays_float32(form, covariance_type, rows, tmp_path):
    X = rows.astype(np.float32)
    settings = {"covariance_type": covariance_type, "max_iter": 3, "tol": 0}
    passed, _ = form(X, None, tmp_path)
    gmm = fit(passed, acceleration=None, **settings)
    expected = fit(X, acceleration=None, **settings)
    assert_same_but_for_float32(gmm, expected, X)
    assert gmm.n_iter_ == expected.n_iter_
    assert all(getattr(gmm, name).dtype == np.float32 for name in FITTED_ARRAYS[:3])
    assert in_memory(gmm.predict_proba(passed)).dtype == np.float32


@other_forms
@pytest.mark.parametrize("X", ["missing"], indirect=True)
def test_float32_rows_with_gaps_are_summed_in_float64(form, X, tmp_path):
    X = X.astype(np.float32)
    passed, _ = form(X, None, tmp_path)
    gmm, expected = fit(passed, max_iter=5), fit(X, max_iter=5)
    assert gmm.means_.dtype == np.float32
    for name in ("weights_", "means_", "covariances_", "lower_bounds_"):
        rtol = 2 * np.finfo(np.float32).eps  # parameters are rounded
        assert_allclose(getattr(gmm, name), getattr(expected, name), rtol, rtol)


@pytest.mark.parametrize(
    ("init_params", "form"),
    [
        ("split", as_map),
        ("kmeans", as_blocks),
        ("k-means++", as_callable),
        ("random_from_data", as_dask_array),
        ("random", as_dask_dataframe),
    ],
)
@pytest.mark.parametrize("weights", ["weighted"], indirect=True)
@pytest.mark.parametrize("X", ["complete"], indirect=True)
def test_every_start_is_that_of_rows_in_memory(
    init_params, form, X, weights, small_samples, tmp_path
):
    kept = weights > 0  # starts are of the rows of positive weight
    settings = {"init_params": init_params, "random_state": 0, "n_init": 2}
    gmm = fit(*form(X, weights, tmp_path), **settings)
    expected = fit(X[kept], weights[kept], **settings)
    for one, other in zip(
        gmm.lower_bounds_of_starts_, expected.lower_bounds_of_starts_, strict=True
    ):
        assert_allclose(one, other, rtol=1e-10)


@other_forms
@pytest.mark.parametrize("X", ["missing"], indirect=True)
def test_labels_and_responsibilities_belong_to_the_rows(form, X, tmp_path):
    labels = (X[:, 0] > 0).astype(int) + (np.arange(N) % 5 == 0)
    passed, _ = form(X, None, tmp_path)
    for start in (labels, np.eye(K)[labels]):
        gmm = fit(passed, init_params=start)
        assert_same_fit(gmm, fit(X, init_params=start))


@every_form
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_summary_is_that_of_rows_in_memory(form, dtype, X, weights, tmp_path):
    X, gmm = X.astype(dtype), GaussianMixtureEM()
    summary = check_blocks(gmm, *form(X, weights, tmp_path), reset=True).summary
    counted = np.ones(N) if weights is None else weights
    masked = np.ma.array(X, float, mask=np.isnan(X))
    center = np.ma.average(masked, axis=0, weights=counted).data
    assert summary.weight == pytest.approx(counted.sum())
    assert summary.weight_range == (counted[counted > 0].min(), counted.max())
    assert_allclose(summary.counts, counted @ ~np.isnan(X), rtol=1e-12)
    assert_allclose(summary.center, center, rtol=1e-5, atol=1e-6)
    variances = np.ma.average((masked - center) ** 2, axis=0, weights=counted)
    assert_allclose(summary.variances, variances, rtol=1e-5)
    observed = masked[counted > 0]
    assert_array_equal(summary.extremes[0], observed.min(axis=0))
    assert_array_equal(summary.extremes[1], observed.max(axis=0))
    assert (summary.n_samples, summary.n_features) == (N, D)
    complete = ~np.isnan(X).any(axis=1)
    assert summary.n_weighted == np.count_nonzero(counted)
    assert summary.n_complete == np.count_nonzero(counted[complete])
    assert summary.incomplete == np.isnan(X).any()
    assert summary.equally_weighted == (weights is None)
    assert summary.dtype == summary.compute_dtype == dtype
    if complete.all():
        deviations = X - center
        scatter = deviations.T @ (deviations * counted[:, None])
        assert_allclose(summary.scatter, scatter, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("form", [as_array, as_blocks, as_dask_array])
@pytest.mark.parametrize(
    ("unit", "covariance_type"),
    [(2.0**-500, "full"), (2.0**500, "diag"), (2.0**-500, "spherical")],
)
def test_rows_in_any_unit_are_fitted(form, unit, covariance_type, rows, tmp_path):
    settings = {"covariance_type": covariance_type, "max_iter": 5}
    with np.errstate(over="ignore"):
        gmm = fit(*form(unit * rows, None, tmp_path), **settings)
    expected = fit(rows, **settings)
    assert_allclose(gmm.means_ / unit, expected.means_, rtol=1e-9)


@every_form
def test_too_few_rows_are_refused(form, rows, tmp_path):
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        fit(*form(rows[:1], None, tmp_path))
    with pytest.raises(ValueError, match="n_components = 3, n_samples = 2"):
        fit(*form(rows[:2], None, tmp_path))
    with pytest.raises(ValueError, match="n_components = 3, .* positive for 2 of the"):
        fit(*form(rows, 1.0 * (np.arange(N) < 2), tmp_path))
    with pytest.raises(ValueError, match="sample_weight|no row of positive weight"):
        fit(*form(rows, np.zeros(N), tmp_path))
    gap = np.where([False, True, False], np.nan, rows)
    with pytest.raises(ValueError, match="no value of feature ('b'|1)"):
        fit(*form(gap, None, tmp_path))


@every_form
def test_infinite_values_are_refused(form, rows, tmp_path):
    X = rows.copy()
    X[250, 1] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        fit(*form(X, None, tmp_path))


@every_form
def test_what_needs_an_array_names_what_it_got(form, rows, tmp_path):
    passed, _ = form(rows, None, tmp_path)
    gmm, source = GaussianMixtureEM(2, max_iter=2).fit(rows), source_of(passed)
    search = GaussianMixtureIC([1, 2], covariance_type=["full"])
    search.set_params(criterion=lambda gmm, X, sample_weight: gmm.bic(X))
    calls = {
        "impute": gmm.impute,
        "partial_fit": gmm.partial_fit,
        "criterion=.*": search.fit,
    }
    for name, call in calls.items():
        if source.is_array:
            call(passed)
        else:
            with pytest.raises(ValueError, match=f"{name} needs .* X is {source.kind}"):
                call(passed)
