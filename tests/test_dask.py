"""Dask arrays and dataframes: the fit of the rows in memory, wherever chunks are."""

from __future__ import annotations

import gc
import os
import pickle
import tracemalloc
import weakref
from contextlib import contextmanager
from functools import partial

import cloudpickle
import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from conftest import FITTED_ARRAYS, assert_same_fit, make_blobs
from distributed import Client, LocalCluster, wait
from numpy.testing import assert_allclose, assert_array_equal

from emgmm import GaussianMixtureEM
from emgmm._data.dask import DaskRows

N, D, K = 600, 3, 3
CHUNKS = [30, N, (0, 1, 0, 250, 2, 347, 0)]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(autouse=True)
def one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module")
def rows():
    return make_blobs(0, N, D, K)


@pytest.fixture(scope="module")
def weights():
    weights = np.random.default_rng(1).uniform(0, 3, N)
    weights[::9] = 0
    return weights


@pytest.fixture(scope="module")
def gaps(rows):
    return np.where(np.random.default_rng(2).random(rows.shape) < 0.2, np.nan, rows)


def array(X, chunks=100):
    return da.from_array(X, chunks=(chunks, *X.shape[1:]))


def unknown(X, chunks=100):
    """Chunks of which nobody knows the sizes, nor that there are empty ones."""
    X = array(X, chunks)
    return X[da.ones(len(X), chunks=X.chunks[0], dtype=bool)]


def fit(X, sample_weight=None, **parameters):
    settings = {"n_components": K, "max_iter": 20, **parameters}
    return GaussianMixtureEM(**settings).fit(X, sample_weight=sample_weight)


def assert_same(gmm, expected, rtol=1e-10):
    assert_same_fit(gmm, expected, rtol)
    assert not hasattr(gmm, "labels_")


# Fits.


@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_chunks_of_any_sizes_give_the_fit_in_memory(rows, covariance_type, chunks):
    gmm = fit(array(rows, chunks), covariance_type=covariance_type)
    expected = fit(rows, covariance_type=covariance_type)
    assert_same(gmm, expected)
    for score in ("score", "bic", "aic", "icl"):
        value = getattr(gmm, score)(array(rows, chunks))
        assert_allclose(value, getattr(expected, score)(rows), rtol=1e-10)


def test_chunks_of_one_row_give_the_fit_in_memory(rows):
    assert_same(fit(array(rows[:60], 1), max_iter=3), fit(rows[:60], max_iter=3))


def test_a_start_from_labels_or_responsibilities_or_a_callable(rows, gaps):
    labels = np.arange(N) % K
    for start in (
        labels,
        np.eye(K)[labels],
        lambda X, *_: np.searchsorted([0, 1], X[:, 0]),
    ):
        gmm = fit(array(rows, CHUNKS[-1]), init_params=start)
        assert_same(gmm, fit(rows, init_params=start))
    assert_same(fit(array(gaps), init_params=labels), fit(gaps, init_params=labels))


def test_a_sample_of_many_rows_is_that_of_rows_in_memory():
    X = make_blobs(3, 6000, 2, 2)
    assert_same(fit(array(X, 1111), n_components=2), fit(X, n_components=2))


def test_rounding_does_not_choose_between_starts_that_lead_to_the_same_mixture():
    rng = np.random.default_rng(0)
    means = 4 * rng.standard_normal((K, 5))
    X = means[rng.integers(K, size=2000)] + rng.standard_normal((2000, 5))
    settings = {"max_iter": 5, "tol": 0}
    expected = fit(X, **settings)
    for chunks in (200, 300, 2000):
        assert_same(fit(array(X, chunks), **settings), expected)


def test_whole_numbers_are_converted_chunk_by_chunk(rows):
    X = np.rint(10 * rows).astype(int)
    assert_same(fit(array(X)), fit(X))


def test_chunks_of_unknown_sizes(rows, weights):
    X = unknown(rows)
    assert np.isnan(X.shape[0])
    assert_same(fit(X), fit(rows))
    for own in (weights, unknown(weights)):
        assert_same(fit(X, own), fit(rows, weights))
    assert np.isnan(X.shape[0])  # nothing was written into what is the user's
    assert_allclose(fit(X).predict_proba(X), fit(rows).predict_proba(rows), atol=1e-10)


def test_weights_in_any_chunks(rows, weights):
    expected = fit(rows, weights)
    for own in (weights, list(weights), array(weights, 100), array(weights, 77)):
        gmm = fit(array(rows), own)
        assert_same(gmm, expected)
        assert_allclose(gmm.bic(array(rows), own), expected.bic(rows, weights))


def test_chunks_along_columns_are_brought_together_with_a_warning(rows):
    X = da.from_array(rows, chunks=(100, 2))
    with pytest.warns(UserWarning, match=r"2 chunks along its columns.*rechunk"):
        gmm = fit(X)
    assert_same(gmm, fit(rows))


def test_threads_give_the_same_bits(rows):
    X = array(rows, 30) + 0.0
    expected = fit(X)
    with dask.config.set(scheduler="threads", num_workers=3):
        gmm = fit(X)
    for name in FITTED_ARRAYS:
        assert_array_equal(getattr(gmm, name), getattr(expected, name))


# Predictions.


@pytest.mark.parametrize("name", ["predict", "predict_proba", "score_samples"])
def test_predictions_of_rows_are_lazy_arrays(gaps, name):
    gmm = fit(gaps)
    expected = getattr(gmm, name)(gaps)
    loaded = []
    for X in (array(gaps, 200), unknown(gaps, 200)):
        predicted = getattr(gmm, name)(
            X.map_blocks(partial(_loaded, loaded), meta=X._meta)
        )
        assert not loaded
        assert predicted.dtype == predicted._meta.dtype == expected.dtype
        assert predicted.shape[1:] == expected.shape[1:]
        assert_array_equal(predicted.chunks[0], X.chunks[0])
        assert_allclose(predicted.blocks[1], expected[200:400], atol=1e-10)
        assert len(loaded) == 1
        assert_allclose(predicted, expected, atol=1e-10)
        loaded.clear()


def test_predictions_are_lazy_without_the_estimator(rows):
    gmm = fit(rows)
    expected = gmm.predict_proba(rows)
    lazy, estimator = gmm.predict_proba(array(rows) + 0.0), weakref.ref(gmm)
    del gmm
    gc.collect()
    assert estimator() is None
    assert_allclose(pickle.loads(pickle.dumps(lazy)), expected, atol=1e-10)


def test_fit_predict_gives_labels_lazily(rows):
    labels = GaussianMixtureEM(K).fit_predict(array(rows))
    assert labels.chunks == array(rows).chunks[:1]
    assert_array_equal(labels, GaussianMixtureEM(K).fit_predict(rows))


# Dataframes.


@pytest.fixture(scope="module")
def frame(rows):
    frame = pd.DataFrame(rows, columns=["a", "b", "c"])
    return frame.assign(d=np.arange(N) % 7)


def test_dataframes_are_fitted_with_names(frame, weights):
    X, expected = dd.from_pandas(frame, npartitions=4), fit(frame)
    gmm = fit(X)
    assert_same(gmm, expected)
    assert list(gmm.feature_names_in_) == list("abcd")
    assert_allclose(gmm.bic(X), expected.bic(frame))
    predicted = gmm.predict_proba(X)
    assert isinstance(predicted, da.Array)
    assert_allclose(predicted, expected.predict_proba(frame), atol=1e-10)
    weighted = dd.from_pandas(frame.assign(w=weights), npartitions=4)
    for own in (weighted["w"], weights):
        assert_same(fit(weighted[list("abcd")], own), fit(frame, weights))
    some = frame[frame.a > 0]
    assert_same(fit(X[X.a > 0]), fit(some))


def test_dataframes_of_other_types(frame):
    single = frame[["a", "b"]].astype(np.float32)
    assert fit(dd.from_pandas(single, npartitions=2)).means_.dtype == np.float32
    missing = frame[["a", "d"]].astype({"d": "Int64"}).mask(frame.a > 2)
    X = dd.from_pandas(missing, npartitions=3)
    assert_same(fit(X), fit(missing), rtol=1e-9)


# What is refused.


def never():
    return da.map_blocks(_failing, chunks=((10, 10), (D,)), dtype=float, meta=_EMPTY)


def test_columns_are_compared_with_the_fit_before_anything_is_computed(rows, frame):
    with pytest.raises(ValueError, match="3 features, but .* expecting 2 features"):
        fit(rows[:, :2]).predict(never())
    gmm = fit(frame[["a", "b"]])
    with pytest.raises(ValueError, match="same order as they were in fit"):
        gmm.score(dd.from_pandas(frame[["b", "a"]], npartitions=2))


def test_an_exception_reaches_the_user_as_it_is():
    with pytest.raises(RuntimeError, match="the disk is gone"):
        fit(never())


@pytest.mark.parametrize(
    ("value", "match"),
    [(np.inf, "contains infinity"), ("x", "could not convert string")],
)
def test_bad_values_are_refused_with_their_chunk(rows, value, match):
    X = rows.astype(type(value) if value == np.inf else object)
    X[250, 1] = value
    match = "Block 2 of X, from row 200 on: .*" + match
    with pytest.raises(ValueError, match=match):
        fit(array(X))
    with pytest.raises(ValueError, match=match):
        fit(rows).predict(array(X)).compute()
    frame = dd.from_pandas(pd.DataFrame(X), npartitions=6)
    with pytest.raises(ValueError, match=match.replace(", from row 200 on", "")):
        fit(frame)


def test_types_without_numbers_are_refused_before_anything_is_computed():
    with pytest.raises(ValueError, match="Complex data not supported"):
        fit(never().astype(complex))
    with pytest.raises(ValueError, match="0 feature"):
        fit(never()[:, :0])


def test_what_is_no_table_is_refused(rows):
    X = array(rows)
    frame = dd.from_pandas(pd.DataFrame(rows), npartitions=2)
    two = da.from_array(rows, chunks=(100, 2))
    for other in (X[:, 0], X[None], frame[0], dask.delayed(rows), two[:, two[0] > -99]):
        with pytest.raises(ValueError, match="not a table"):
            fit(other)
    with pytest.raises(ValueError, match="no row of positive weight"):
        fit(X[:0])
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        fit(X[:1])


def test_chunks_of_other_columns_than_they_are_said_to_have_are_refused(rows, frame):
    def turned(first):
        part = frame.iloc[first : first + 100]
        return part[list("dcba")] if first == 200 else part

    def narrow(x):
        return x[:, :2] if x[0, 0] == rows[200, 0] else x

    X = dd.from_map(turned, range(0, N, 100), meta=frame.iloc[:0])
    match = r"A partition .* columns \['d', .*\] instead of \['a', .* same order"
    with pytest.raises(ValueError, match=match):
        fit(X)
    with pytest.raises(ValueError, match=match):
        fit(frame).predict(X).compute()
    X = array(rows).map_blocks(narrow, meta=_EMPTY)
    for call in (fit, lambda X: fit(rows).predict(X).compute()):
        with pytest.raises(ValueError, match="Block 2 .*: 2 features instead of 3"):
            call(X)


def test_weights_that_do_not_belong_to_the_rows_are_refused(rows, weights):
    X = array(rows)
    for own in (weights[:-1], array(weights[:-1]), array(rows), X[:, :1]):
        with pytest.raises(ValueError, match=r"sample_weight\.shape|expected 1-d|must"):
            fit(X, own)
    for own in (dask.delayed(weights), X.sum()):
        with pytest.raises(ValueError, match="without rows.*give a Dask array"):
            fit(X, own)
    with pytest.raises(ValueError, match="Block 2 of X, from row 200 on: Negative"):
        fit(X, array(np.where(np.arange(N) == 250, -1, weights)))
    with pytest.raises(ValueError, match="in 2 chunks and X in 6, of unknown sizes"):
        fit(X, unknown(weights, 300))
    with pytest.raises(ValueError, match=r"Block [01] of X.*expected \(100,\)"):
        fit(X, unknown(weights, (90, 110, *[100] * 4)))
    with pytest.raises(ValueError, match="no row of positive weight"):
        fit(X, array(0 * weights))


def test_chunks_that_change_between_passes_are_detected(rows):
    seen = []

    def growing(x):
        seen.append(len(x))
        return x if len(seen) <= 6 else np.concatenate([x, x])

    X = unknown(rows).map_blocks(growing, meta=_EMPTY)
    with pytest.raises(ValueError, match="200 rows, but 100 when it was first"):
        fit(X)


def test_weights_that_change_between_passes_are_detected(rows, weights):
    seen = []

    def vanishing(x):
        seen.append(len(x))
        return x if len(seen) <= 6 else 0 * x

    own = array(weights).map_blocks(vanishing, meta=np.empty(0))
    with pytest.raises(ValueError, match="has a total weight of 0, but had"):
        fit(array(rows), own)


def test_a_fit_goes_on_from_where_its_chunks_failed(rows):
    loads = []

    def failing_once(x):
        loads.append(len(x))
        if len(loads) == 6 * 6:  # in the third iteration
            raise OSError("the disk was away")
        return x

    X = array(rows).map_blocks(failing_once, meta=_EMPTY)
    settings = {"max_iter": 4, "tol": 0, "acceleration": None}
    gmm = GaussianMixtureEM(K, warm_start=True, **settings)
    with pytest.raises(OSError, match="the disk was away"):
        gmm.fit(X)
    expected = fit(rows, **{**settings, "max_iter": 6}).lower_bounds_
    assert_allclose(gmm.fit(X).lower_bounds_, expected[2:], rtol=1e-10)


# Graphs, and workers.


def test_a_pass_loads_every_chunk_once_and_keeps_few():
    def make(block_info):
        made.append(block_info[None]["chunk-location"][0])
        return np.ones((10_000, D))

    made = []
    chunks = ((10_000,) * 100, (D,))
    X = da.map_blocks(make, chunks=chunks, dtype=float, meta=_EMPTY)
    rows = DaskRows(X)
    tracemalloc.start()
    assert rows.visit(lambda chunk: chunk.X.sum()) == 1_000_000 * D
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sorted(made) == list(range(100))
    assert peak < 1_000_000 * D * 8 / 10


def test_the_function_of_a_pass_over_many_chunks_is_sent_once():
    def get(graph, keys, **kwargs):
        lower = getattr(graph, "__dask_graph__", lambda: graph)
        sizes.append(len(cloudpickle.dumps(dict(lower()))))
        return dask.get(graph, keys, **kwargs)

    sizes, shared = [], np.zeros(100_000)
    rows = DaskRows(da.ones((200, D), chunks=(2, D)))
    with dask.config.set(scheduler=get):
        assert rows.visit(lambda chunk: chunk.X.sum() + shared[0]) == 200 * D
    assert sizes[0] < 2 * shared.nbytes


@pytest.fixture(scope="module")
def client():
    before = dict(os.environ)  # to which Dask adds numbers of threads
    with (
        LocalCluster(
            n_workers=3,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)


@contextmanager
def on(client):
    with client.as_current(), dask.config.set(scheduler="distributed"):
        yield


def made(n_chunks, n_rows):
    """Rows that are made where they are needed; workers need not import this file."""

    def make(block_info):
        rng = np.random.default_rng(block_info[None]["chunk-location"][0])
        means = 3 * np.eye(K, D)[rng.integers(K, size=n_rows)]
        return means + rng.standard_normal((n_rows, D))

    chunks = ((n_rows,) * n_chunks, (D,))
    return da.map_blocks(make, chunks=chunks, dtype=float, meta=_EMPTY)


def killing(marker, function):
    """Ends the first process that calls it, at once."""

    def kill(chunk, *own):
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return function(chunk, *own)
        os._exit(1)  # as SIGKILL would, which Windows has not

    return kill


def test_processes_of_a_cluster_give_the_bits_of_one(client, weights):
    X, own = made(7, 200), np.resize(weights, 1400)
    expected, memory = fit(X), X.compute()
    in_memory, weighted = fit(memory), fit(memory, own)
    assert_same(expected, in_memory)
    with on(client):
        for rows in (X, X.persist()):
            gmm = fit(rows)
            for name in FITTED_ARRAYS:
                assert_array_equal(getattr(gmm, name), getattr(expected, name))
            predicted = gmm.predict_proba(rows).compute()
            assert_allclose(predicted, in_memory.predict_proba(memory), atol=1e-10)
        for rows in (X, X.persist(), array(memory, 200)):
            assert_same(fit(rows, own), weighted)


def test_what_moves_does_not_depend_on_the_number_of_rows(client):
    begin = {
        "weights_init": np.full(K, 1 / K),
        "means_init": np.eye(K, D),
        "precisions_init": np.stack([np.eye(D)] * K),
    }

    name = "transfer_outgoing_bytes_total"

    def sent():
        of_workers = client.run(lambda dask_worker: vars(dask_worker)[name])
        return sum(of_workers.values())

    for n_rows in (1000, 100_000):
        before = sent()
        with on(client):
            fit(made(8, n_rows), max_iter=2, tol=0, **begin)
        assert sent() - before < 20_000  # a chunk has 2.4 MB


@pytest.mark.parametrize("persisted", [False, True], ids=["lazy", "persisted"])
def test_a_killed_worker_changes_no_bit(client, monkeypatch, tmp_path, persisted):
    X = made(7, 200)
    expected = fit(X, max_iter=4, tol=0)
    visit, marker, passes = DaskRows.visit, str(tmp_path / "killed"), []

    def visited(self, function, *each):
        passes.append(function)
        if len(passes) == 4:
            function = killing(marker, function)
        return visit(self, function, *each)

    monkeypatch.setattr(DaskRows, "visit", visited)
    with on(client):
        if persisted:
            X = X.persist()
            wait(X)
        gmm = fit(X, max_iter=4, tol=0)
    assert os.path.exists(marker) and len(passes) > 4
    for name in FITTED_ARRAYS:
        assert_array_equal(getattr(gmm, name), getattr(expected, name))


# What tasks call.

_EMPTY = np.empty((0, 0))


def _failing():
    raise RuntimeError("the disk is gone")


def _loaded(numbers, X):
    numbers.append(len(X))
    return X
