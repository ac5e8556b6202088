"""Warm starts: fits of a few iterations each are one course of EM."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from conftest import MODEL_NAMES, make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from emgmm import GaussianMixtureEM

pytestmark = pytest.mark.filterwarnings(
    "ignore:Best performing:sklearn.exceptions.ConvergenceWarning"
)
EXACT = {"rtol": 1e-12, "atol": 1e-12}
PARAMETERS = ["weights_", "means_", "covariances_", "precisions_"]
X = make_blobs(3, n_samples=200, n_features=3, n_components=3)
WEIGHTS = np.random.default_rng(0).uniform(size=200)
HOLES = np.where(np.random.default_rng(1).uniform(size=X.shape) < 0.1, np.nan, X)
ROWS = {
    "complete": (X, None),
    "weighted": (X, WEIGHTS),
    "missing": (HOLES, None),
    "missing-weighted": (HOLES, WEIGHTS),
    "float32": (X.astype(np.float32), None),
    "blocks": (np.split(X, 4), None),
}


def gmm_of(name="VVV", **parameters):
    """From k-means: the default start leaves few iterations to be taken."""
    settings = {"init_params": "kmeans", "tol": 1e-9, **parameters}
    return GaussianMixtureEM(3, covariance_type=name, **settings)


def assert_same(one, other):
    for name in PARAMETERS:
        assert_allclose(getattr(one, name), getattr(other, name), **EXACT)
    assert one.converged_ == other.converged_


def one_by_one(gmm, rows, weights=None, times=10, between=lambda gmm: gmm):
    """Iterations in all, and the estimator after so many fits of one iteration."""
    gmm, n_iter = gmm.set_params(warm_start=True, max_iter=1), 0
    for _ in range(times):
        gmm = between(gmm.fit(rows, sample_weight=weights))
        n_iter += gmm.n_iter_
    return n_iter, gmm


@pytest.mark.parametrize("acceleration", ["anderson", None])
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_ten_fits_of_one_iteration_are_one_fit_of_ten(name, rows, acceleration):
    whole = gmm_of(name, acceleration=acceleration, max_iter=10)
    whole.fit(ROWS[rows][0], sample_weight=ROWS[rows][1])
    n_iter, gmm = one_by_one(gmm_of(name, acceleration=acceleration), *ROWS[rows])
    assert_same(gmm, whole)
    assert n_iter == whole.n_iter_ > 1
    assert_allclose(gmm.lower_bound_, whole.lower_bound_, **EXACT)


@pytest.mark.parametrize("reg_covar", [0.0, 1e-6, 0.1])
@pytest.mark.parametrize("name", ["EII", "VVI", "EEE", "VVV"])
def test_a_number_in_reg_covar_changes_nothing_of_that(name, reg_covar):
    whole = gmm_of(name, reg_covar=reg_covar, max_iter=10, tol=0.0).fit(X)
    _, gmm = one_by_one(gmm_of(name, reg_covar=reg_covar, tol=0.0), X)
    assert_same(gmm, whole)


@pytest.mark.parametrize("name", ["VII", "EEE", "VEV", "VVV"])
def test_rejected_steps_are_remembered(name, monkeypatch):
    monkeypatch.setattr("emgmm._em.acceleration.FIRST_RADIUS", 1e3)
    settings = {"init_params": np.arange(200) * 3 // 200, "tol": 0.0}
    whole = gmm_of(name, max_iter=25, **settings).fit(X)
    n_iter, gmm = one_by_one(gmm_of(name, **settings), X, times=25)
    assert np.any(np.diff(whole.lower_bounds_) == 0)  # a step was taken back
    assert n_iter == 25
    assert_same(gmm, whole)


@pytest.mark.filterwarnings("ignore::emgmm.DegenerateComponentWarning")
def test_what_was_added_to_the_variances_is_remembered():
    rows = np.vstack([X, X[0] + np.linspace(0, 1e-9, 3)[:, None]])
    settings = {"init_params": np.r_[np.arange(200) % 2, 2, 2, 2], "tol": 0.0}
    whole = gmm_of(max_iter=15, **settings).fit(rows)
    _, gmm = one_by_one(gmm_of(**settings), rows, times=15)
    assert np.linalg.eigvalsh(whole.covariances_).min() < 1e-12  # it has collapsed
    assert_same(gmm, whole)


def test_the_demonstration_sees_the_course_of_a_single_fit():
    start = {"weights_init": [0.2, 0.3, 0.5], "means_init": X[:3]}
    start["precisions_init"] = [0.1 * np.eye(3)] * 3
    gmm = gmm_of(warm_start=True, tol=0, reg_covar=0, max_iter=0, **start)
    bounds = []
    for _ in range(31):
        bounds.append(gmm.fit(X).set_params(max_iter=1).lower_bound_)
    whole = gmm_of(tol=0, reg_covar=0, max_iter=30, **start).fit(X)
    assert_allclose(bounds[1:], whole.lower_bounds_, **EXACT)


@pytest.mark.parametrize(
    "between",
    [copy.deepcopy, lambda gmm: pickle.loads(pickle.dumps(gmm))],
    ids=["copied", "pickled"],
)
def test_copies_go_on_too(between):
    whole = gmm_of(max_iter=10).fit(X)
    _, gmm = one_by_one(gmm_of(), X, between=between)
    assert_same(gmm, whole)


def test_a_clone_starts_afresh():
    gmm = gmm_of(max_iter=2, warm_start=True).fit(X)
    first = gmm.means_
    assert_array_equal(clone(gmm.fit(X)).fit(X).means_, first)


def test_tol_may_be_lowered_where_a_fit_has_converged():
    gmm = gmm_of(tol=1e-2, warm_start=True).fit(X)
    assert gmm.converged_
    reached = gmm.n_iter_
    again = gmm.fit(X)
    assert again.converged_ and again.n_iter_ == 0
    gmm.set_params(tol=1e-9).fit(X)
    whole = gmm_of(tol=1e-9).fit(X)
    assert_same(gmm, whole)
    assert reached + gmm.n_iter_ == whole.n_iter_ > reached


def test_components_are_numbered_as_in_a_single_fit():
    """Of a start by name by weight, though the order of the weights changes."""
    settings = {"init_params": "random", "random_state": 0, "tol": 0.0}
    whole = gmm_of(max_iter=40, **settings).fit(X)
    first = gmm_of(max_iter=1, **settings).fit(X)
    kept = without_memory(first, max_iter=39, warm_start=True).fit(X)
    assert not np.all(np.diff(kept.weights_) < 0)  # of a start of one's own
    _, gmm = one_by_one(gmm_of(**settings), X, times=40)
    assert_same(gmm, whole)


def without_memory(gmm, **parameters):
    """The same mixture in an estimator that knows of no earlier fit."""
    arrays = gmm.weights_, gmm.means_, gmm.covariances_
    other = GaussianMixtureEM.from_parameters(*arrays, gmm.covariance_type)
    return other.set_params(**{**gmm.get_params(), **parameters})


def other_rows(rows):
    """Rows with the means and variances of these, to the bit."""
    flipped = rows.copy()
    flipped[:, 0] = rows[::-1, 0]
    return flipped


@pytest.mark.parametrize("rows", [X[:150], X + 0.5, other_rows(X)])
def test_other_rows_start_a_course_of_their_own(rows):
    gmm = gmm_of(max_iter=3, warm_start=True).fit(X)
    before, fresh = gmm.score(rows), without_memory(gmm).fit(rows)
    gmm.fit(rows)
    assert_allclose(gmm.means_, fresh.means_, **EXACT)
    assert_allclose(gmm.lower_bounds_, fresh.lower_bounds_, **EXACT)
    assert np.all(np.diff([before, *gmm.lower_bounds_]) > -1e-12)


@pytest.mark.parametrize(
    "change",
    [{"acceleration": None}, {"reg_covar": 0.0}, {"reg_covar": 0.3}],
    ids=lambda change: "-".join(map(str, *change.items())),
)
def test_other_parameters_start_a_course_of_their_own(change):
    gmm = gmm_of(max_iter=3, warm_start=True).fit(X)
    fresh = without_memory(gmm, **change).fit(X)
    assert_allclose(gmm.set_params(**change).fit(X).means_, fresh.means_, **EXACT)


@pytest.mark.parametrize("name", ["weights_", "means_"])
def test_what_is_assigned_or_altered_in_place_is_where_the_next_fit_starts(name):
    gmm = gmm_of(max_iter=3, warm_start=True, tol=0).fit(X)
    getattr(gmm, name)[:2] = getattr(gmm, name)[1::-1].copy()
    fresh = without_memory(gmm).fit(X)
    assert_allclose(gmm.fit(X).lower_bounds_, fresh.lower_bounds_, **EXACT)


def test_a_batch_of_a_stream_ends_the_course():
    gmm = gmm_of(max_iter=3, warm_start=True, tol=0).fit(X).partial_fit(X[:50])
    fresh = without_memory(gmm).fit(X)
    assert_allclose(gmm.fit(X).lower_bounds_, fresh.lower_bounds_, **EXACT)


def test_nothing_is_kept_unless_it_is_asked_for():
    gmm, warm = (gmm_of(max_iter=3, warm_start=on).fit(X) for on in (False, True))
    assert set(vars(warm)) - set(vars(gmm)) == {"_checkpoint"}
    assert set(vars(warm.set_params(warm_start=False).fit(X))) == set(vars(gmm))


def test_the_best_of_several_starts_goes_on():
    settings = {"init_params": "random", "random_state": 0, "tol": 0.0}
    gmm = gmm_of(n_init=4, max_iter=8, warm_start=True, **settings).fit(X)
    bounds = [each[-1] for each in gmm.lower_bounds_of_starts_]
    seed = int(np.argmax(bounds))
    assert seed > 0  # so that it is not the first that goes on
    starts = []

    def start(rows, n_components, sample_weight, rng):
        starts.append(rng.uniform(size=(len(rows), n_components)))
        return starts[-1] / starts[-1].sum(axis=1, keepdims=True)

    settings["init_params"] = start
    gmm_of(n_init=4, max_iter=0, **settings).fit(X)
    best = starts[seed] / starts[seed].sum(axis=1, keepdims=True)
    whole = gmm_of(init_params=best, tol=0.0, max_iter=12).fit(X)
    gmm.set_params(max_iter=4).fit(X)
    order = np.argsort(-whole.weights_)
    assert_allclose(gmm.means_, whole.means_[order], **EXACT)
