"""scikit-learn's callbacks (from 1.9 on): when fits call them, and when they stop."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
from conftest import make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from emgmm import (
    GaussianMixtureEM,
    GaussianMixtureIC,
    bootstrap,
    likelihood_ratio_test,
)
from emgmm._search.search import ROUNDS

try:
    from sklearn import callback
except ImportError:
    callback = None

needs_callbacks = pytest.mark.skipif(
    callback is None, reason="scikit-learn has no callbacks"
)
X, Y = make_blobs(3, n_samples=400, n_features=2, n_components=3), np.arange(400) % 3


def gmm_of(n_components=3, **parameters):
    settings = {"init_params": "random_from_data", "random_state": 0, **parameters}
    return GaussianMixtureEM(n_components, **settings)


def likelihood(estimator, X, y, sample_weight=None):
    return {"likelihood": estimator.score(X, y, sample_weight)}


class Recorder:
    """Records its calls; asks to stop after some tasks, or fails at some."""

    def __init__(self, stop=(), fail=None, error=ValueError):
        self.events, self.stop, self.fail, self.error = [], stop, fail, error

    def record(self, event, context):
        self.events.append((event, context.task_name, context.task_id))
        if (event, context.task_name) == self.fail:
            raise self.error("meant to fail")

    def setup(self, estimator, context):
        self.record("setup", context)

    def teardown(self, estimator, context):
        self.record("teardown", context)

    def on_fit_task_begin(self, estimator, context):
        self.record("begin", context)

    def on_fit_task_end(self, estimator, context):
        self.record("end", context)
        return context.task_name in self.stop

    def names(self, event):
        return [name for known, name, _ in self.events if known == event]


class Propagated(Recorder):
    max_propagation_depth = None


class Keeper(Recorder):
    """Keeps the estimators that it is shown."""

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.kept = getattr(self, "kept", [])
        self.kept.append((context.task_name, (X, y, metadata), fitted_estimator))


@pytest.mark.skipif(callback is not None, reason="scikit-learn has callbacks")
def test_without_callbacks_in_scikit_learn_there_are_none_here():
    assert not hasattr(GaussianMixtureEM, "set_callbacks")
    assert gmm_of().fit(X).converged_


@needs_callbacks
@pytest.mark.parametrize("method", ["fit", "fit_predict"])
def test_a_fit_holds_starts_and_these_hold_iterations(method):
    recorder = Recorder()
    gmm = gmm_of(n_init=2).set_callbacks(recorder)
    getattr(gmm, method)(X)
    assert recorder.events[0] == ("setup", "fit", 0)
    assert recorder.events[-1] == ("teardown", "fit", 0)
    begun, depth = [], 0
    for event, name, _ in recorder.events[1:-1]:
        depth -= event == "end"
        assert name == ["fit", "init", "iter"][depth]
        depth += event == "begin"
        begun += [name] * (event == "begin")
    assert depth == 0
    assert begun.count("init") == 2
    assert begun.count("iter") >= gmm.n_iter_
    assert not [name for name in vars(gmm) if "context" in name or "ctx" in name]


@needs_callbacks
@pytest.mark.parametrize("n_init, rtol", [(1, 0.0), (3, 1e-10)])
def test_callbacks_change_nothing_of_a_fit(n_init, rtol):
    """Of several starts, that run in turn and not together, but for rounding."""
    plain = gmm_of(n_init=n_init).fit(X)
    monitor = callback.ScoringMonitor(scoring=likelihood)
    gmm = gmm_of(n_init=n_init).set_callbacks(monitor).fit(X, Y)
    assert_allclose(gmm.means_, plain.means_, rtol=rtol)
    assert_allclose(gmm.lower_bounds_, plain.lower_bounds_, rtol=rtol)
    assert set(vars(gmm)) - set(vars(plain)) == {"_skl_callbacks"}
    assert set(vars(gmm.set_callbacks())) == set(vars(plain))


@needs_callbacks
@pytest.mark.parametrize("weighted", [False, True])
def test_scores_of_iterations_are_the_lower_bounds(weighted):
    weights = np.random.default_rng(0).uniform(0.5, 2, len(X)) if weighted else None
    monitor = callback.ScoringMonitor(scoring=likelihood)
    gmm = gmm_of().set_callbacks(monitor).fit(X, Y, sample_weight=weights)
    log = monitor.get_logs().data
    scores = [row["likelihood"] for row in log if row["task_name"] == "iter"]
    assert_allclose(scores, gmm.lower_bounds_, rtol=1e-12)
    assert len(log) == gmm.n_iter_ + 2


@needs_callbacks
@pytest.mark.parametrize("acceleration", ["anderson", None])
def test_estimators_that_are_shown_are_as_if_the_fit_had_ended_there(acceleration):
    settings = {"tol": 0.0, "acceleration": acceleration}
    keeper = Keeper()
    with pytest.warns(ConvergenceWarning):
        gmm_of(max_iter=5, **settings).set_callbacks(keeper).fit(X, Y)
    shown = [estimator for name, _, estimator in keeper.kept if name == "iter"]
    assert len(shown) == 5
    for n_iter, estimator in enumerate(shown, 1):
        with pytest.warns(ConvergenceWarning):
            short = gmm_of(max_iter=n_iter, **settings).fit(X)
        for name in ["weights_", "means_", "covariances_", "labels_", "lower_bounds_"]:
            assert_array_equal(getattr(estimator, name), getattr(short, name))
        assert estimator.n_iter_ == n_iter
    for _, (rows, y, metadata), _ in keeper.kept:
        assert rows is X and y is Y and metadata is None


@needs_callbacks
def test_callbacks_may_end_a_run_or_the_fit(recwarn):
    recorder = Recorder(stop=["iter"])
    gmm = gmm_of(n_init=3, tol=0.0).set_callbacks(recorder).fit(X)
    assert gmm.n_iter_ == 1 and recorder.names("begin").count("iter") == 3
    recorder = Recorder(stop=["init"])
    gmm_of(n_init=3).set_callbacks(recorder).fit(X)
    assert recorder.names("begin").count("init") == 1
    assert not recwarn.list


TASKS = [("setup", "fit"), ("begin", "fit"), ("end", "iter"), ("end", "init")]


@needs_callbacks
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("fail", [*TASKS, ("end", "fit")], ids="-".join)
def test_callbacks_that_fail_are_torn_down_and_the_estimator_is_unchanged(fail, error):
    recorder = Recorder(fail=fail, error=error)
    gmm = gmm_of().set_callbacks(recorder)
    before = set(vars(gmm))
    with pytest.raises(error, match="meant to fail"):
        gmm.fit(X)
    assert recorder.events[-1] == ("teardown", "fit", 0)
    assert set(vars(gmm)) - {"_reached"} == before
    assert gmm.set_callbacks().fit(X).converged_


@needs_callbacks
@pytest.mark.parametrize("good_first", [False, True])
@pytest.mark.parametrize("n_bad", [1, 12], ids=["at once", "on the way"])
def test_a_start_that_fails_does_not_disturb_callbacks(n_bad, good_first):
    rows = make_blobs(0, 120, 2, 2)
    rows[:10] = [1.0, 1.0]
    good, bad = np.arange(120) % 2, (np.arange(120) < n_bad) * 1
    order = [good, bad, good] if good_first else [bad, good, good]
    starts = iter(order)
    settings = {"n_init": 3, "reg_covar": 0, "init_params": lambda *_: next(starts)}
    recorder = Recorder()
    gmm = gmm_of(2, **settings).set_callbacks(recorder).fit(rows)
    assert (
        gmm.lower_bound_
        == gmm_of(2, init_params=good, reg_covar=0).fit(rows).lower_bound_
    )
    assert recorder.names("end").count("init") == 2
    assert recorder.names("end").count("iter") >= 2 * gmm.n_iter_
    assert recorder.events[-2:] == [("end", "fit", 0), ("teardown", "fit", 0)]


@needs_callbacks
def test_callbacks_survive_cloning_and_pickling():
    monitor = callback.ScoringMonitor(scoring="adjusted_rand_score")
    gmm = gmm_of().set_callbacks(monitor)
    assert clone(gmm)._skl_callbacks[0] is monitor
    again = pickle.loads(pickle.dumps(gmm.fit(X, Y))).fit(X, Y)
    assert_array_equal(again.means_, gmm.means_)


@needs_callbacks
@pytest.mark.parametrize("method", ["fit", "fit_predict"])
def test_callbacks_of_a_pipeline_are_called_at_iterations(method):
    recorder = Propagated()
    pipe = make_pipeline(StandardScaler(), gmm_of()).set_callbacks(recorder)
    getattr(pipe, method)(X)
    assert recorder.names("begin").count("iter") == pipe[-1].n_iter_
    assert recorder.names("setup") == recorder.names("teardown")
    assert not [name for name in vars(pipe[-1]) if "call" in name]


@needs_callbacks
def test_callbacks_are_called_at_every_fit_of_a_search():
    monitor = callback.ScoringMonitor(scoring="adjusted_rand_score")
    gmm = gmm_of().set_callbacks(monitor)
    search = GridSearchCV(gmm, {"n_components": [2, 3]}, cv=2).fit(X, Y)
    tasks = [row["task_name"] for row in monitor.get_logs().data]
    assert tasks.count("iter") > search.best_estimator_.n_iter_


@needs_callbacks
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("depth", [0, 1, None])
def test_the_progress_bar_shows_starts(n_jobs, depth, capsys):
    pytest.importorskip("rich")
    bar = callback.ProgressBar(max_propagation_depth=depth)
    grid = {"gaussianmixtureem__max_iter": [600, 700]}
    pipe = make_pipeline(StandardScaler(), gmm_of(n_init=2))
    GridSearchCV(pipe, grid, cv=2, n_jobs=n_jobs).set_callbacks(bar).fit(X)
    out = capsys.readouterr().out
    assert ("init" in out) == (depth is None) and "100%" in out
    gmm_of(n_init=2).set_callbacks(callback.ProgressBar()).fit(X)
    assert "init #1" in capsys.readouterr().out
    with pytest.raises(ValueError, match="NaN"):
        gmm_of().set_callbacks(callback.ProgressBar()).fit([[np.nan]])
    kinds = [type(thread).__name__ for thread in threading.enumerate()]
    assert "RichProgressMonitor" not in kinds


@needs_callbacks
def test_rows_that_are_refused_tear_callbacks_down():
    recorder = Recorder()
    with pytest.raises(ValueError, match="NaN"):
        gmm_of().set_callbacks(recorder).fit([[np.nan, 1.0]] * 5)
    assert recorder.events[-1] == ("teardown", "fit", 0)


@needs_callbacks
def test_without_iterations_no_callback_is_called_at_one():
    recorder = Recorder()
    gmm_of(max_iter=0).set_callbacks(recorder).fit(X)
    assert recorder.names("begin") == ["fit", "init"]


def search_of(**parameters):
    models = ["EEE", "VVV"]
    return GaussianMixtureIC([1, 2], covariance_type=models, **parameters)


@needs_callbacks
@pytest.mark.parametrize("method", ["fit", "fit_predict"])
def test_callbacks_are_called_at_the_parts_of_a_search(method):
    recorder = Recorder()
    search = search_of().set_callbacks(recorder)
    getattr(search, method)(X)
    rounds = [f"round {number}" for number in range(1, ROUNDS + 1)]
    parts = ["starts", *rounds, "all rows"]
    assert recorder.names("begin") == ["fit", *parts]
    assert recorder.names("end") == [*parts, "fit"]
    assert recorder.names("setup") == recorder.names("teardown") == ["fit"]
    assert not [name for name in vars(search) if "context" in name or "ctx" in name]
    assert_array_equal(search.criterion_, search_of().fit(X).criterion_)


@needs_callbacks
def test_what_a_search_shows_at_its_end_is_fitted():
    keeper = Keeper()
    search = search_of().set_callbacks(keeper).fit(X, Y)
    assert [name for name, _, fitted in keeper.kept if fitted is not None] == ["fit"]
    _, (rows, y, metadata), fitted = keeper.kept[-1]
    assert rows is X and y is Y and metadata is None
    assert_array_equal(fitted.labels_, search.labels_)


@needs_callbacks
@pytest.mark.parametrize("fail", [("begin", "starts"), ("end", "round 2")])
def test_a_search_whose_callback_fails_is_unchanged(fail):
    recorder = Recorder(fail=fail)
    search = search_of().set_callbacks(recorder)
    before = set(vars(search))
    with pytest.raises(ValueError, match="meant to fail"):
        search.fit(X)
    assert recorder.events[-1] == ("teardown", "fit", 0)
    assert set(vars(search)) == before


@needs_callbacks
def test_callbacks_of_a_pipeline_are_called_at_a_search():
    recorder = Propagated()
    make_pipeline(StandardScaler(), search_of()).set_callbacks(recorder).fit(X)
    assert "round 2" in recorder.names("begin")


@needs_callbacks
def test_resampling_reports_its_progress_and_leaves_the_estimator_as_it_was():
    for task, n_subtasks, run in [
        ("bootstrap", 1, lambda gmm: bootstrap(gmm, X, 5, random_state=0)),
        (
            "likelihood-ratio tests",
            10,
            lambda gmm: likelihood_ratio_test(gmm, X, 2, 2, random_state=0),
        ),
    ]:
        gmm = gmm_of().fit(X)
        recorder = Recorder()
        gmm.set_callbacks(recorder)
        before = dict(vars(gmm))
        run(gmm)
        assert vars(gmm) == before
        names = recorder.names("end")
        assert names[-1] == task
        assert len(names) == n_subtasks + 1
        assert recorder.names("begin")[0] == task
        assert recorder.names("teardown")
