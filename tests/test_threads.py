"""Threads: the same bits from any number of them, and no more than are allowed."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from conftest import make_blobs
from joblib import parallel_backend
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from threadpoolctl import ThreadpoolController, threadpool_limits

import emgmm._utils.threads as _threads
from emgmm import GaussianMixtureEM
from emgmm._estep.complete import Quadratic
from emgmm._utils.threads import BLAS, Workspace, run_all

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ATTRIBUTES = ["weights_", "means_", "covariances_", "labels_", "lower_bounds_"]


@pytest.fixture(scope="module")
def rows():
    """More than four blocks of them."""
    return make_blobs(0, n_samples=60_000, n_features=6, n_components=4)


def blas_threads():
    """Of every BLAS that is loaded."""
    libraries = ThreadpoolController().select(user_api="blas").info()
    return {library["num_threads"] for library in libraries}


needs_blas = pytest.mark.skipif(
    not blas_threads(), reason="this BLAS does not report its number of threads"
)


def fit(X, **parameters):
    settings = {"n_components": 4, "max_iter": 4, "tol": 0.0}
    return GaussianMixtureEM(**(settings | parameters)).fit(X)


def names_of_threads_in(function):
    """Threads that an operation on rows ran in, besides its result."""
    seen = set()
    original = _threads._taken_from

    def spy(waiting):
        for item in original(waiting):
            seen.add(threading.current_thread().name)
            yield item

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emgmm._utils.threads._taken_from", spy)
        return function(), seen


@needs_blas
@pytest.mark.parametrize("is_accurate", [True, False], ids=["quadratic", "whitened"])
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *((name, np.float64) for name in ["full", "tied", "diag", "EVE"]),
        ("full", np.float32),
        ("tied", np.float32),
    ],
)
def test_the_number_of_threads_changes_no_bit(
    rows, monkeypatch, name, dtype, is_accurate
):
    monkeypatch.setattr(Quadratic, "is_accurate", is_accurate)
    X, results = rows.astype(dtype), []
    for n_threads in (1, 2, 4):
        with threadpool_limits(n_threads):
            gmm, used = names_of_threads_in(lambda: fit(X, covariance_type=name))
            results.append([getattr(gmm, attribute) for attribute in ATTRIBUTES])
            results[-1] += [gmm.predict_proba(X), gmm.score_samples(X), gmm.bic(X)]
        assert len(used) <= n_threads
        assert (len(used) > 0) == (n_threads > 1)
    for other in results[1:]:
        for value, expected in zip(other, results[0], strict=True):
            assert_array_equal(value, expected)


@needs_blas
def test_as_many_threads_run_as_blas_may_use():
    for n_threads in (2, 3):
        all_run = partial(threading.Barrier(n_threads).wait, timeout=30)
        with threadpool_limits(n_threads):
            assert sorted(run_all([all_run] * n_threads)) == list(range(n_threads))


@needs_blas
def test_blas_is_limited_to_one_thread_and_restored():
    with threadpool_limits(3):
        with ThreadPoolExecutor(1) as pool:
            elsewhere = pool.submit(run_all, [blas_threads] * 8).result()
        for seen in run_all([blas_threads] * 8) + elsewhere:
            assert seen == {1}
        assert blas_threads() == {3}
        with BLAS.single_threaded() as outer, BLAS.single_threaded() as inner:
            assert (outer, inner) == (3, 3)
        assert blas_threads() == {3}


@needs_blas
def test_an_exception_comes_out_and_restores_blas():
    begun = []

    def fail():
        begun.append(1)
        raise KeyError("one of the tasks")

    with threadpool_limits(2):
        with pytest.raises(KeyError, match="one of the tasks"):
            run_all([fail] * 1000)
        assert blas_threads() == {2}
        assert run_all([lambda: 1] * 3) == [1, 1, 1]
    assert len(begun) <= 2


@needs_blas
def test_an_exception_in_a_helper_comes_out_and_ends_the_rest():
    begun = []

    def task():
        begun.append(1)
        if threading.current_thread() is not threading.main_thread():
            raise KeyError("in a helper")
        time.sleep(0.01)

    with threadpool_limits(2), pytest.raises(KeyError, match="in a helper"):
        run_all([task] * 200)
    assert len(begun) < 100


@needs_blas
def test_a_helper_that_begins_late_leaves_blas_alone(monkeypatch):
    started = threading.Thread.run

    def late(thread):
        if thread.name.startswith("emgmm"):
            time.sleep(0.2)
        started(thread)

    monkeypatch.setattr(threading.Thread, "run", late)
    _threads._pool.cache_clear()
    with threadpool_limits(3):
        assert run_all([lambda: 1] * 3) == [1, 1, 1]
        time.sleep(0.5)
        assert blas_threads() == {3}


@needs_blas
def test_a_caller_does_not_wait_for_helpers_that_never_began():
    """The only helper is busy elsewhere for longer than the tasks take."""
    release = threading.Event()
    with threadpool_limits(2):
        busy = _threads._pool(1).submit(release.wait, 30)
        assert run_all([lambda: 1] * 4) == [1] * 4
        assert not busy.done()
        release.set()
        busy.result()


@needs_blas
def test_the_caller_works_alone_where_no_thread_can_be_started(monkeypatch):
    def refuse(*_):
        raise RuntimeError("cannot schedule new futures after shutdown")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    with threadpool_limits(2):
        assert run_all([lambda: 1] * 4) == [1] * 4


@needs_blas
def test_no_bit_depends_on_threads_where_matrices_are_large():
    X = np.random.default_rng(0).standard_normal((400, 160))
    results = []
    for n_threads in (1, 4):
        with threadpool_limits(n_threads):
            gmm = fit(X, n_components=2)
            results.append([gmm.precisions_, gmm.precisions_cholesky_, gmm.labels_])
    for value, expected in zip(*results, strict=True):
        assert_array_equal(value, expected)


@needs_blas
def test_a_start_of_the_users_own_has_all_threads_of_blas():
    seen = []

    def start(X, n_components, sample_weight, rng):
        seen.append(blas_threads())
        return np.arange(len(X)) % n_components

    with threadpool_limits(3):
        fit(np.random.default_rng(0).standard_normal((100, 2)), init_params=start)
    assert seen == [{3}]


def test_tasks_of_tasks_do_not_wait_for_one_another():
    with threadpool_limits(2):
        nested = run_all([lambda: run_all([lambda: 1] * 5)] * 5)
    assert nested == [[1] * 5] * 5


@needs_blas
def test_the_last_to_let_go_restores_blas_whichever_began():
    begun, ended = threading.Event(), threading.Event()

    def hold():
        with BLAS.single_threaded():
            begun.set()
            ended.wait(timeout=30)

    with threadpool_limits(2), ThreadPoolExecutor(1) as pool:
        other = pool.submit(hold)
        begun.wait(timeout=30)
        with BLAS.single_threaded():
            ended.set()
            other.result()
            assert blas_threads() == {1}
        assert blas_threads() == {2}


@needs_blas
@pytest.mark.parametrize("others", [0, 1], ids=["alone", "beside another holder"])
def test_a_limit_that_a_user_sets_meanwhile_stays(others):
    with threadpool_limits(4):
        with ThreadPoolExecutor(1) as pool, BLAS.single_threaded():
            threadpool_limits(2)
            for _ in range(others):
                assert pool.submit(run_all, [blas_threads] * 2).result() == [{1}] * 2
        assert blas_threads() == {2}


@needs_blas
def test_holders_at_once_share_the_threads():
    both_hold, done = threading.Barrier(2), threading.Barrier(2)

    def hold():
        with BLAS.single_threaded() as alone:
            both_hold.wait(timeout=30)
            with BLAS.single_threaded() as together:
                done.wait(timeout=30)
        return alone, together

    with threadpool_limits(2), ThreadPoolExecutor(2) as pool:
        results = [worker.result() for worker in [pool.submit(hold) for _ in range(2)]]
        assert [together for _, together in results] == [1, 1]
        assert blas_threads() == {2}


def test_fits_in_many_threads_at_once_are_those_of_one(rows):
    X = rows[:40_000]
    expected = fit(X).means_
    before = blas_threads()
    with ThreadPoolExecutor(6) as pool:
        fits = [pool.submit(fit, X) for _ in range(12)]
        for each in fits:
            assert_array_equal(each.result().means_, expected)
    assert blas_threads() == before


def test_every_thread_has_scratch_of_its_own():
    workspace = Workspace()
    mine = workspace.array("rows", (3, 4), np.float64)
    assert workspace.array("rows", (2, 2), np.float64).base is mine.base
    assert workspace.array("rows", (2, 2), np.float32).dtype == np.float32
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(workspace.array, "rows", (3, 4), np.float32).result()
    assert not np.shares_memory(theirs, workspace.array("rows", (3, 4), np.float32))


# Forks, other processes -------------------------------------------------------------

forks = pytest.mark.skipif(
    not (hasattr(os, "fork") and sys.platform == "linux"), reason="needs a safe fork"
)


def _means_and_blas(X, queue):
    queue.put((fit(X).means_, blas_threads()))


def in_a_fork(X):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_means_and_blas, args=(X, queue))
    child.start()
    result = queue.get(timeout=60)
    child.join()
    return result


@forks
@needs_blas
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_child_fits_as_its_parent_does(rows):
    X = rows[:40_000]
    with threadpool_limits(2):
        expected = fit(X).means_
        means, threads = in_a_fork(X)
        assert_array_equal(means, expected)
        assert threads == {2}
        with BLAS.single_threaded():  # as while another thread of the parent fits
            means, threads = in_a_fork(X)
        assert_array_equal(means, expected)
        assert threads == {2}


FIT_IN_A_FORK_WHILE_BLOCKS_COME = """
import os, threading, time
import numpy as np
from emgmm import GaussianMixtureEM

X = np.random.default_rng(0).standard_normal((300, 2))
passing, forked = threading.Event(), threading.Event()

def blocks():
    yield X
    passing.set()
    forked.wait(60)
    yield X

fit = GaussianMixtureEM(2).fit
thread = threading.Thread(target=fit, args=(blocks,))
thread.start()
passing.wait(60)
child = os.fork()
if child == 0:
    fit([X, X]).predict(X)
    os._exit(7)
end = time.monotonic() + 60
status = (0, 0)
while status[0] == 0 and time.monotonic() < end:
    status = os.waitpid(child, os.WNOHANG)
    time.sleep(0.01)
if status[0] == 0:
    os.kill(child, 9)
print("the child", "hangs" if status[0] == 0 else os.waitstatus_to_exitcode(status[1]))
forked.set()
thread.join()
"""


@forks
def test_a_child_that_is_forked_during_a_pass_fits():
    assert script(FIT_IN_A_FORK_WHILE_BLOCKS_COME) == [["the", "child", "7"]]


def meeting(barrier, X):
    """Waits in each first call for the other threads to get there."""
    first = True

    def rows(*args):
        nonlocal first
        if first:
            barrier.wait(timeout=30)
        first = False
        return X

    return rows


def meeting_iterables(barrier, X):
    rows = meeting(barrier, X)
    return lambda: iter([rows()])


def meeting_dask(barrier, X):
    array = pytest.importorskip("dask.array")
    rows = meeting(barrier, X)
    return array.from_array(X, chunks=(len(X), -1)).map_blocks(rows, meta=X[:0])


@pytest.mark.parametrize("kind", [meeting_iterables, meeting_dask])
def test_first_passes_of_independent_fits_do_not_wait_for_each_other(kind):
    X, barrier = make_blobs(0, 200, 2, 2), threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        fits = [pool.submit(fit, kind(barrier, X), n_components=2) for _ in range(2)]
        for each in fits:
            assert_array_equal(each.result().means_, fits[0].result().means_)


def test_one_estimator_serves_many_threads_at_once(rows):
    gmm = fit(rows)
    expected = gmm.predict_proba(rows)
    with ThreadPoolExecutor(6) as pool:
        for each in [pool.submit(gmm.predict_proba, rows) for _ in range(12)]:
            assert_array_equal(each.result(), expected)


def script(code, **environment):
    """Output of a Python process, with these of the variables that set threads."""
    inherited = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=inherited | environment,
    )
    return [line.split() for line in result.stdout.splitlines()]


FIT_AND_COUNT = """
import threading, warnings
import numpy as np
from emgmm import GaussianMixtureEM
warnings.simplefilter("ignore")
for n_samples in (150, 100_000):
    X = np.random.default_rng(0).standard_normal((n_samples, 4))
    GaussianMixtureEM(3, max_iter=3).fit(X).predict(X)
    print(*[thread.name for thread in threading.enumerate()])
"""


@needs_blas
@pytest.mark.parametrize("allowed", [1, 2])
def test_the_environment_is_obeyed_and_small_data_start_no_thread(allowed):
    few, many = script(FIT_AND_COUNT, OMP_NUM_THREADS=str(allowed))
    assert few == ["MainThread"]
    assert len(many) == allowed


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_grid_searches_in_parallel_find_what_others_find(rows, backend):
    X = rows[:20_000]
    grid = {"n_components": [2, 3], "covariance_type": ["full", "diag"]}
    results = []
    for n_jobs in (None, 2):
        gmm = GaussianMixtureEM(max_iter=3, tol=0.0)
        search = GridSearchCV(gmm, grid, cv=2, n_jobs=n_jobs)
        with parallel_backend(backend), pytest.warns(ConvergenceWarning):
            results.append(search.fit(X).cv_results_["mean_test_score"])
    np.testing.assert_allclose(results[1], results[0], rtol=1e-9)


def test_numbers_that_underflow_or_overflow_disturb_no_thread(rows):
    """Whatever the caller wants of them elsewhere."""
    X = np.vstack([rows, rows + 100.0, 1e80 * np.ones((1, 6))])
    with np.errstate(all="raise"), threadpool_limits(2):
        fitted = fit(X)
        fitted.predict_proba(X)
        fitted.score(X)
    assert np.isfinite(fitted.lower_bound_)
