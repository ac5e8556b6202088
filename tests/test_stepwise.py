"""partial_fit: stepwise EM beside EM, streams that end, drift, and begin again."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sklearn
from conftest import MODEL_NAMES, make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from emgmm import ConvergenceDisplay, GaussianMixtureEM
from emgmm._data.arrays import ArrayBlocks
from emgmm._em.stepwise import rows_to_start, share_of
from emgmm._model.families import MODELS
from emgmm.datasets import make_three_components

PARAMETERS = ["weights_", "means_", "covariances_"]
each_model = pytest.mark.parametrize("name", MODEL_NAMES)


def batches_of(X, size, rng):
    """Rows in random order, in batches."""
    order = rng.permutation(len(X))
    return [X[order[i : i + size]] for i in range(0, len(X), size)]


def epochs(gmm, X, size, n_epochs=5, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(n_epochs):
        for batch in batches_of(X, size, rng):
            gmm.partial_fit(batch)
    return gmm


def from_there(gmm, X):
    """A fit that begins where the estimator has come to."""
    return copy.deepcopy(gmm).set_params(warm_start=True, tol=1e-7).fit(X)


def assert_same_mixture(one, other, rtol=1e-9, atol=1e-10):
    for name in PARAMETERS:
        expected = getattr(other, name)
        assert_allclose(getattr(one, name), expected, rtol, atol, err_msg=name)


@pytest.fixture(scope="module")
def begun():
    """A stream of which a start was made, with rows that are to come."""
    X = make_blobs(5, 1000, 3, 3)
    return GaussianMixtureEM(3).partial_fit(X[:400]), X[400:]


# Steps ------------------------------------------------------------------------------


@each_model
def test_a_batch_that_replaces_all_is_one_iteration_of_em(name, blobs):
    start = GaussianMixtureEM(3, covariance_type=name, max_iter=0).fit(blobs)
    one = clone(start).set_params(warm_start=True, acceleration=None, tol=0)
    vars(one).update({k: v for k, v in vars(start).items() if k.endswith("_")})
    with pytest.warns(sklearn.exceptions.ConvergenceWarning):
        one.set_params(max_iter=1).fit(blobs)
    stepped = copy.deepcopy(start).set_params(step=1.0).partial_fit(blobs)
    # With a common orientation, steps of EM find it only nearly; and volumes nearly.
    rtol = {"EVE": 1e-3, "VVE": 1e-3, "VEE": 1e-6}.get(name, 1e-9)
    assert_same_mixture(stepped, one, rtol, rtol / 10)
    assert_allclose(stepped.lower_bound_, start.score(blobs), rtol=1e-12)


@each_model
@pytest.mark.parametrize("reg_covar", ["scale", 0.1])
def test_a_fit_that_has_converged_stays_where_its_own_rows_come(name, reg_covar, blobs):
    settings = {"covariance_type": name, "reg_covar": reg_covar}
    fitted = GaussianMixtureEM(2, tol=1e-12, **settings).fit(blobs)
    stepped = copy.deepcopy(fitted).partial_fit(blobs)
    assert_same_mixture(stepped, fitted, rtol=1e-4, atol=1e-4)
    assert stepped.n_samples_seen_ == 2 * len(blobs)


@each_model
def test_statistics_of_a_mixture_give_it_back(name, blobs):
    fitted = GaussianMixtureEM(3, covariance_type=name, reg_covar=0.1).fit(blobs)
    again = copy.deepcopy(fitted).set_params(step=1e-300).partial_fit(blobs[:7])
    assert_same_mixture(again, fitted, rtol=1e-7, atol=1e-8)


def test_statistics_are_blended_as_written(begun):
    """Of one component, where responsibilities are one."""
    X = begun[1]
    gmm = GaussianMixtureEM(1, step=0.25).fit(X[:100]).partial_fit(X[100:140])
    first, second = X[:100], X[100:140]
    moment = sum(
        share * np.c_[np.ones(len(rows)), rows].T @ np.c_[np.ones(len(rows)), rows]
        for share, rows in [(0.75 / 100, first), (0.25 / 40, second)]
    )
    mean = moment[0, 1:]
    assert_allclose(gmm.means_[0], mean, rtol=1e-12)
    expected = moment[1:, 1:] - np.outer(mean, mean)
    assert_allclose(gmm.covariances_[0], expected, rtol=1e-10, atol=1e-12)


def test_rows_count_in_proportion_to_how_many_came_before():
    """And as much in two batches as in one."""
    whole = share_of("decreasing", 100.0, 20.0, 1)
    parts = [share_of("decreasing", 100.0 + w, 5.0, 1) for w in (0, 5, 10, 15)]
    assert_allclose(1 - whole, np.prod(1 - np.array(parts)), rtol=1e-14)
    assert_allclose(1 - whole, (100 / 120) ** 2, rtol=1e-14)
    assert_allclose(share_of("decreasing", 1e12, 1.0, 1), 2e-12, rtol=1e-9)


def test_shares_may_be_a_function_of_the_number_of_the_batch(begun):
    gmm, X = begun
    asked = []

    def step(number):
        asked.append(number)
        return 0.5 / number

    one = copy.deepcopy(gmm).set_params(step=step)
    other = copy.deepcopy(gmm).set_params(step=0.5)
    assert_same_mixture(one.partial_fit(X[:9]), other.partial_fit(X[:9]), 0, 0)
    other.set_params(step=0.25)
    assert_same_mixture(one.partial_fit(X[9:20]), other.partial_fit(X[9:20]), 0, 0)
    assert asked == [1, 2] and one.n_steps_ == 2


@pytest.mark.parametrize("share", [0, 1.5, -0.1, np.nan, None, "half"])
def test_what_is_no_share_is_refused(begun, share):
    gmm, X = copy.deepcopy(begun[0]), begun[1]
    gmm.set_params(step=lambda number: share)
    with pytest.raises(ValueError, match="for batch 1: it must give the share"):
        gmm.partial_fit(X)


# Where streams lead to --------------------------------------------------------------


@pytest.mark.parametrize("size", [20, 100])
@each_model
def test_some_epochs_come_near_the_maximum(name, size, iris):
    gmm = epochs(GaussianMixtureEM(2, covariance_type=name), iris, size)
    assert gmm.score(iris) > from_there(gmm, iris).score(iris) - 0.01


def test_many_rows_seen_once_are_as_informative_as_a_fit():
    X, _ = make_three_components(n_samples=20_000, random_state=0)
    gmm = epochs(GaussianMixtureEM(3), X, 100, n_epochs=1)
    assert gmm.score(X) > GaussianMixtureEM(3, tol=1e-7).fit(X).score(X) - 1e-3
    assert gmm.n_samples_seen_ == 20_000 and gmm.n_steps_ == 198
    assert abs(gmm.lower_bound_ - gmm.score(X)) < 0.02


def test_a_constant_step_follows_a_drift_that_a_decreasing_one_lags_behind():
    rng = np.random.default_rng(0)
    drift = np.linspace(0, 10, 200)
    followers = {"decreasing": 0.0, 0.2: 0.0}
    for step in followers:
        gmm = GaussianMixtureEM(2, step=step)
        for shift in drift:
            centers = rng.choice([-20.0, 20.0], size=(50, 1)) + shift
            gmm.partial_fit(centers + rng.standard_normal((50, 1)))
        followers[step] = np.abs(np.sort(gmm.means_.ravel()) - [-10, 30]).max()
    assert followers[0.2] < 1 < 2 < followers["decreasing"]


@each_model
def test_missing_values(name, blobs):
    rng = np.random.default_rng(0)
    X = np.where(rng.random(blobs.shape) < 0.1, np.nan, blobs)
    X[7] = np.nan
    gmm = epochs(GaussianMixtureEM(2, covariance_type=name), X, 40)
    assert gmm.score(X) > from_there(gmm, X).score(X) - 0.01


@each_model
def test_float32_rows_give_float32_parameters_as_near(name, blobs):
    X = blobs.astype(np.float32)
    gmm = epochs(GaussianMixtureEM(2, covariance_type=name), X, 50)
    assert {getattr(gmm, each).dtype for each in PARAMETERS} == {np.dtype(np.float32)}
    twin = epochs(GaussianMixtureEM(2, covariance_type=name), X.astype(np.float64), 50)
    assert abs(gmm.score(X) - twin.score(X)) < 1e-4
    assert gmm.partial_fit(blobs).means_.dtype == np.float32


@pytest.mark.parametrize("unit, offset", [(1e-150, 0), (1e150, 0), (1, 1e8), (1e3, 0)])
def test_neither_unit_nor_offset_of_the_data_matter(unit, offset, blobs):
    one = epochs(GaussianMixtureEM(2), blobs, 50)
    other = epochs(GaussianMixtureEM(2), unit * blobs + offset, 50)
    assert_allclose((other.means_ - offset) / unit, one.means_, rtol=1e-6, atol=1e-6)
    covariances = other.covariances_ / unit / unit
    assert_allclose(covariances, one.covariances_, rtol=1e-6, atol=1e-6)
    shift = 3 * np.log(unit)
    assert_allclose(other.lower_bound_, one.lower_bound_ - shift, rtol=1e-7)
    fitted = GaussianMixtureEM(2).fit(unit * blobs + offset)
    assert_allclose(fitted.partial_fit(unit * blobs + offset).weights_.sum(), 1)


@each_model
def test_batches_of_a_row_and_of_few_components(name, blobs):
    gmm = GaussianMixtureEM(3, covariance_type=name).partial_fit(blobs[:240])
    before = gmm.score(blobs)
    nearest = blobs[gmm.predict(blobs) == 0]
    for row in blobs[240:]:
        gmm.partial_fit(row[None])
    assert abs(gmm.score(blobs) - before) < 0.1
    gmm.set_params(step=0.99).partial_fit(nearest[:1])
    assert np.isfinite(gmm.score(blobs)) and (gmm.weights_ > 0).all()


def test_what_is_kept_does_not_grow(begun):
    gmm, X = copy.deepcopy(begun[0]), np.tile(begun[1], (20, 1))
    gmm.partial_fit(X)
    tracemalloc.start()
    for _ in range(5):
        gmm.partial_fit(X + 0.0)
    in_use = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert in_use < X.nbytes / 4


def test_rows_without_weight_are_left_out_of_a_first_batch(blobs):
    weights = np.r_[np.zeros(50), np.ones(250)]
    one = GaussianMixtureEM(2).partial_fit(blobs, sample_weight=weights)
    assert_same_mixture(one, GaussianMixtureEM(2).partial_fit(blobs[50:]), 1e-7, 1e-8)


def test_a_stream_of_equal_rows_keeps_some_width():
    gmm = GaussianMixtureEM(2, step=0.3).fit(make_blobs(0, 200, 2, 2))
    for _ in range(200):
        gmm.partial_fit(np.ones((10, 2)))
    assert (np.linalg.eigvalsh(gmm.covariances_) > 0).all()
    assert np.isfinite(gmm.score_samples(np.ones((1, 2)))).all()


# Beginnings ---------------------------------------------------------------------


def test_rows_gather_until_they_are_enough_for_a_start(blobs):
    gmm, X = GaussianMixtureEM(2, random_state=0), blobs[:165].copy()
    needed = rows_to_start(MODELS["VVV"], 2, 3, "split")
    assert needed == 160
    for i in range(0, 150, 15):
        gmm.partial_fit(X[i : i + 15])
    for use in [gmm.predict, gmm.sample, lambda X: gmm.save("nowhere")]:
        with pytest.raises(NotFittedError, match="gathered 150 of the 160 rows"):
            use(1 if use == gmm.sample else X)
    X[:150] = np.inf  # of which the estimator has copies
    gmm.partial_fit(X[150:])
    whole = GaussianMixtureEM(2, random_state=0).partial_fit(blobs[:165])
    assert_same_mixture(gmm, whole, 0, 0)
    assert (gmm.n_steps_, gmm.n_samples_seen_) == (0, 165)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_fit_forgets_what_was_gathered(dtype, blobs):
    gmm = GaussianMixtureEM(2).partial_fit(blobs[:100])
    gmm.fit(blobs.astype(dtype))
    assert gmm.means_.dtype == dtype and not hasattr(gmm, "_gathered")


@each_model
def test_a_start_is_a_fit_of_some_iterations_and_a_step(name, blobs):
    gmm = GaussianMixtureEM(2, covariance_type=name).partial_fit(blobs)
    assert_allclose(gmm.score(blobs), from_there(gmm, blobs).score(blobs), atol=0.01)


def test_rows_to_start_with_are_bounded_by_memory_but_enough_for_matrices():
    few = rows_to_start(MODELS["VVI"], 50, 1000, "split")
    many = rows_to_start(MODELS["VVV"], 50, 1000, "split")
    assert few == 2**20 // 1000 and many == 50 * 2 * 1001
    assert rows_to_start(MODELS["EEE"], 3000, 10**6, "kmeans") == 6000


def test_a_row_without_weight_does_not_count(blobs):
    weights = np.arange(300) % 2
    gmm = GaussianMixtureEM(2)
    gmm.partial_fit(blobs, sample_weight=weights)
    with pytest.raises(NotFittedError, match="150 of the 160"):
        gmm.predict(blobs)
    gmm.partial_fit(blobs[1:40:2])
    rows = np.r_[blobs[1::2], blobs[1:40:2]]
    assert_same_mixture(gmm, GaussianMixtureEM(2).partial_fit(rows), 1e-7, 1e-8)


def test_a_batch_without_weight_changes_nothing(begun):
    gmm, X = copy.deepcopy(begun[0]), begun[1]
    before = dict(vars(gmm))
    gmm.partial_fit(X[:5], sample_weight=np.zeros(5))
    assert vars(gmm) == before
    with pytest.raises(ValueError, match="sample_weight"):
        gmm.partial_fit(X[:5], sample_weight=np.zeros(4))
    unfitted = GaussianMixtureEM(3).partial_fit(X[:5], sample_weight=np.zeros(5))
    assert vars(unfitted) == vars(GaussianMixtureEM(3))
    named = pd.DataFrame(X[:5, :2], columns=["a", "b"])
    unfitted.partial_fit(named, sample_weight=np.zeros(5))
    assert_same_mixture(unfitted.partial_fit(X), GaussianMixtureEM(3).partial_fit(X))


def test_a_batch_is_one_array(blobs):
    for given in ([blobs, blobs], iter([blobs]), lambda: iter([blobs])):
        for gmm in (GaussianMixtureEM(3), GaussianMixtureEM(3).fit(blobs)):
            with pytest.raises(ValueError, match="partial_fit needs rows in memory"):
                gmm.partial_fit(given)


def test_labels_are_for_as_many_first_rows(blobs):
    labels = np.arange(300) % 3
    gmm = GaussianMixtureEM(3, init_params=labels)
    gmm.partial_fit(blobs[:200])
    assert not hasattr(gmm, "weights_")
    gmm.partial_fit(blobs[200:])
    whole = GaussianMixtureEM(3, init_params=labels, tol=1e-9).fit(blobs)
    assert_allclose(gmm.score(blobs), whole.score(blobs), atol=1e-3)
    with pytest.raises(ValueError, match="init_params has the shape"):
        GaussianMixtureEM(3, init_params=labels[:250]).partial_fit(blobs)


def test_own_starts_see_the_rows_that_were_gathered(blobs):
    seen = []

    def own(X, n_components, sample_weight, rng):
        seen.append((X.shape, sample_weight.sum()))
        return np.arange(len(X)) % n_components

    gmm = GaussianMixtureEM(2, init_params=own)
    gmm.partial_fit(blobs[:100]).partial_fit(blobs[100:], sample_weight=np.full(200, 2))
    assert seen == [((300, 3), 500.0)] and gmm.n_samples_seen_ == 500


def test_a_feature_without_values_waits_for_some(blobs):
    X = blobs.copy()
    X[:250, 1] = np.nan
    gmm = GaussianMixtureEM(2).partial_fit(X[:100])
    with pytest.raises(ValueError, match="no value of feature 1"):
        gmm.partial_fit(X[100:200])
    gmm.partial_fit(X[200:])
    assert gmm.n_samples_seen_ == 200


# What it goes on from ---------------------------------------------------------------


def test_streams_go_on_from_fits_and_fits_start_afresh(blobs):
    gmm = GaussianMixtureEM(2).fit(blobs)
    gmm.partial_fit(blobs[:30])
    assert (gmm.n_samples_seen_, gmm.n_steps_) == (330, 1)
    lacking = ["labels_", "converged_", "n_iter_", "lower_bounds_"]
    assert not any(hasattr(gmm, name) for name in lacking)
    with pytest.raises(TypeError, match="partial_fit"):
        ConvergenceDisplay.from_estimator(gmm)
    again = gmm.fit(blobs)
    assert_same_mixture(again, GaussianMixtureEM(2).fit(blobs), 0, 0)
    assert again.n_samples_seen_ == 300 and not hasattr(again, "n_steps_")
    assert vars(again).keys() == vars(GaussianMixtureEM(2).fit(blobs)).keys()


def test_a_stream_goes_on_from_known_parameters(begun):
    gmm, X = begun
    known = GaussianMixtureEM.from_parameters(
        gmm.weights_, gmm.means_, gmm.covariances_
    )
    known.partial_fit(X[:100])
    assert known.n_samples_seen_ == 240 + 100
    assert_allclose(known.lower_bound_, gmm.score(X[:100]), rtol=1e-9)


def test_what_was_changed_to_no_purpose_is_refused(begun):
    gmm, X = copy.deepcopy(begun[0]), begun[1]
    with pytest.raises(ValueError, match="start afresh"):
        copy.deepcopy(gmm).set_params(covariance_type="round").partial_fit(X)
    with pytest.raises(ValueError, match="step='slow' gives 'slow'"):
        copy.deepcopy(gmm).set_params(step="slow").partial_fit(X)
    for change in [{"n_components": 2}, {"covariance_type": "tied"}]:
        changed = copy.deepcopy(gmm).set_params(**change)
        with pytest.raises(ValueError, match="start afresh"):
            changed.partial_fit(X)
        assert changed.fit(X).means_.shape[0] == changed.n_components
    gmm.set_params(covariance_type="VVV").partial_fit(X)


@pytest.mark.parametrize("gathering", [True, False])
def test_failures_leave_everything_unchanged(gathering, blobs, monkeypatch):
    gmm = GaussianMixtureEM(3).partial_fit(blobs[: 100 if gathering else 300])
    before = dict(vars(gmm))
    X = blobs.copy()
    X[3, 1] = np.inf
    for bad in [X, X[:, :2], X[:0]]:
        with pytest.raises(ValueError):
            gmm.partial_fit(bad)
    with pytest.raises(ValueError, match="Negative"):
        gmm.partial_fit(blobs, sample_weight=-np.ones(300))
    if not gathering:
        with pytest.raises(ValueError, match="too large to be added"):
            gmm.partial_fit(blobs[:5] * 1e300)

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(ArrayBlocks, "sum", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gmm.partial_fit(blobs)
    assert vars(gmm) == before


def test_singular_covariances_are_refused_with_the_remedy():
    X = make_blobs(0, 200, 2, 2)
    gmm = GaussianMixtureEM(1, reg_covar=0.0).fit(X).set_params(step=1.0)
    with pytest.raises(ValueError, match="increase reg_covar"):
        gmm.partial_fit(np.ones((3, 2)))


# Copies -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@each_model
def test_files_pickles_and_copies_go_on_bit_for_bit(name, dtype, blobs, tmp_path):
    X = (1e-120 * blobs if dtype == np.float64 else blobs).astype(dtype)
    X[5, 1] = np.nan
    gmm = epochs(GaussianMixtureEM(2, covariance_type=name), X, 50, n_epochs=1)
    gmm.save(tmp_path / "model.npz")
    loaded = GaussianMixtureEM.load(tmp_path / "model.npz")
    twins = [loaded, pickle.loads(pickle.dumps(gmm)), copy.deepcopy(gmm)]
    gmm.partial_fit(X[:40])
    for twin in twins:
        twin.partial_fit(X[:40])
        for attribute in [*PARAMETERS, "lower_bound_", "n_samples_seen_", "n_steps_"]:
            assert_array_equal(getattr(twin, attribute), getattr(gmm, attribute))
    assert not hasattr(clone(gmm), "n_steps_")


def test_what_was_gathered_is_pickled_too(blobs):
    gmm = GaussianMixtureEM(2).partial_fit(blobs[:100])
    thawed = pickle.loads(pickle.dumps(gmm)).partial_fit(blobs[100:])
    assert_same_mixture(thawed, gmm.partial_fit(blobs[100:]), 0, 0)
    assert not hasattr(clone(gmm), "_gathered")


def test_a_loaded_fit_goes_on_as_the_fit_would(blobs, tmp_path):
    gmm = GaussianMixtureEM(2).fit(blobs)
    gmm.save(tmp_path / "model.npz")
    loaded = GaussianMixtureEM.load(tmp_path / "model.npz")
    assert_same_mixture(loaded.partial_fit(blobs), gmm.partial_fit(blobs), 0, 0)


@pytest.mark.parametrize(
    "name, array",
    [
        ("running_counts", np.ones(3)),
        ("running_counts", -np.ones(2)),
        ("running_products", np.full((2, 3, 3), np.nan)),
        ("running_units", np.zeros(3)),
        ("running_sums", np.zeros((2, 3), dtype=np.float32)),
    ],
)
def test_statistics_that_are_none_are_not_loaded(name, array, blobs, tmp_path):
    path = tmp_path / "model.npz"
    epochs(GaussianMixtureEM(2), blobs, 50, n_epochs=1).save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    with open(path, "wb") as file:
        np.savez(file, **{**arrays, name: array})
    with pytest.raises(ValueError, match=name[:8]):
        GaussianMixtureEM.load(path)


def test_an_infinite_weight_is_not_saved(blobs, tmp_path):
    gmm = epochs(GaussianMixtureEM(2), blobs, 50, n_epochs=1)
    gmm._running = replace(gmm._running, weight=np.inf)
    gmm.n_samples_seen_ = np.inf
    with pytest.raises(ValueError, match="n_samples_seen_, n_steps_ or .* is invalid"):
        gmm.save(tmp_path / "model.npz")


def test_gaps_and_rows_without_any_are_counted_over_batches(blobs):
    gaps = blobs.copy()
    gaps[:30, 0] = np.nan
    gmm = GaussianMixtureEM(2).partial_fit(blobs)
    gmm.partial_fit(gaps).partial_fit(blobs[:50])
    assert gmm._running.incomplete and gmm._running.n_complete == 300 + 270 + 50


def test_likelihoods_of_missing_values_are_right_in_any_unit(blobs):
    X, power = blobs.copy(), -300
    X[::3, 0] = np.nan
    one = GaussianMixtureEM(2).partial_fit(X).partial_fit(X)
    tiny = np.ldexp(X, power)
    other = GaussianMixtureEM(2).partial_fit(tiny).partial_fit(tiny)
    shift = np.mean(~np.isnan(X)) * X.shape[1] * power * np.log(2)
    assert other.lower_bound_ == pytest.approx(one.lower_bound_ - shift, rel=1e-9)


# scikit-learn -----------------------------------------------------------------------


def test_weights_are_routed_and_names_are_checked(blobs):
    data = pd.DataFrame(blobs, columns=list("abc"))
    weight = np.arange(300) % 3 + 0.5
    with sklearn.config_context(enable_metadata_routing=True):
        gmm = GaussianMixtureEM(2).set_partial_fit_request(sample_weight=True)
        request = gmm.get_metadata_routing().partial_fit.requests
    assert request == {"sample_weight": True, "known_labels": None}
    gmm = GaussianMixtureEM(2).partial_fit(data, sample_weight=weight)
    assert list(gmm.feature_names_in_) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="feature names"):
        gmm.partial_fit(data[["b", "a", "c"]])
    scaled = make_pipeline(StandardScaler(), GaussianMixtureEM(2)).fit(blobs)
    scaled[-1].partial_fit(scaled[:-1].transform(blobs))


@pytest.mark.parametrize("step", [0.0, 1.1, "fast", None])
def test_steps_are_checked_before_a_start(step, blobs):
    with pytest.raises(ValueError, match="step"):
        GaussianMixtureEM(2, step=step).partial_fit(blobs)
