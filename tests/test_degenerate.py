"""Degenerate data and the default `reg_covar`: every fit ends, in any units.

The default adds a pseudo-scatter so small beside the variances of the data that
regular fits are at the maximum likelihood, and that the units play no part.
"""

from __future__ import annotations

import json
import re
import warnings
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import MODEL_NAMES, SCIKIT_LEARN_TYPES, make_blobs
from numpy.testing import assert_allclose, assert_array_equal, assert_equal
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.utils.validation import check_is_fitted

import emgmm
from emgmm import GaussianMixtureEM
from emgmm._model.families import FAMILIES, MODELS
from emgmm._model.segments import Segments

DATA = Path(__file__).parent / "data"

ALL = frozenset(MODEL_NAMES)
NONE = frozenset()
FULL = frozenset(m for m in ALL if not MODELS[m].storage.moment_kind.of_squares)
SPHERICAL = frozenset({"EII", "VII"})
EQUAL = frozenset({"EII", "EEI", "EEE"})  # no width of their own
# Models whose fits follow the data when the unit of one feature changes.
BY_FEATURE = ["EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVV", "VVV"]

RELATIVE = {"reg_covar": "scale"}

unconverged = pytest.mark.filterwarnings("ignore:.*did not converge")


class Fit(NamedTuple):
    """An estimator, and what was said of degenerate components."""

    gmm: GaussianMixtureEM
    warned: list[warnings.WarningMessage]


def fit(X, name, n_components, **parameters) -> Fit:
    """A fit in which only warnings about convergence are no errors."""
    gmm = GaussianMixtureEM(n_components, covariance_type=name, **parameters)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("error")
        warnings.simplefilter("always", ConvergenceWarning)
        gmm.fit(X)
    kind = emgmm.DegenerateComponentWarning
    return Fit(gmm, [each for each in record if issubclass(each.category, kind)])


def stored(gmm):
    """The covariances of a fit, as the package stores them."""
    storage, (K, d) = FAMILIES[gmm.covariance_type].storage, gmm.means_.shape
    layout = storage.layout(Segments.one(K), d)
    arrays = gmm.covariances_.reshape(layout), gmm.precisions_cholesky_.reshape(layout)
    return storage(*arrays, Segments.one(K), d)


def dense(gmm):
    """The covariances of a fit, shape (K, d, d)."""
    return stored(gmm).dense()


def assert_sound(gmm, X):
    """Everything that is published is finite, and consistent."""
    for name in ["weights_", "means_", "covariances_", "precisions_"]:
        assert np.isfinite(getattr(gmm, name)).all()
    assert np.isfinite(gmm.precisions_cholesky_).all()
    assert gmm.weights_.min() >= 0
    assert_allclose(gmm.weights_.sum(), 1, rtol=1e-12)
    for covariance in dense(gmm):
        deviations = np.sqrt(covariance.diagonal())
        np.linalg.cholesky(covariance / deviations / deviations[:, None])
    assert np.isfinite(gmm.score_samples(X)).all()
    assert np.isfinite(gmm.lower_bounds_).all()
    assert_allclose(gmm.lower_bound_, gmm.score(X), rtol=1e-9)
    assert_allclose(gmm.predict_proba(X).sum(axis=1), 1, rtol=1e-9)
    assert_array_equal(gmm.labels_, gmm.predict(X))


# Data that break mixtures ---------------------------------------------------------


class Case(NamedTuple):
    """Rows, and the models that must warn of them and that must not."""

    X: np.ndarray
    n_components: int
    warned: frozenset[str]
    silent: frozenset[str] = NONE


def clusters(*spreads, distance=1.0, n_samples=100, n_features=2, seed=0):
    """Clusters of given standard deviations, each so far from the one before."""
    rng = np.random.default_rng(seed)
    rows = [
        spread * rng.standard_normal((n_samples, n_features)) + k * distance
        for k, spread in enumerate(spreads)
    ]
    return np.concatenate(rows)


def cases():
    rng = np.random.default_rng(0)
    blobs = make_blobs(0, 120, 2, 2)
    binary = np.repeat([0.0, 1.0], 60)
    outlier, far = [[1e3, -1e3]], [[1e8, -1e8]]
    return {
        "many duplicates": Case(
            np.repeat(rng.standard_normal((6, 3)), 10, axis=0), 6, NONE, ALL
        ),
        "duplicates": Case(
            np.r_[blobs, np.repeat([[50.0, 0.0]], 2, axis=0)], 3, ALL - EQUAL, NONE
        ),
        "constant feature": Case(np.c_[blobs, np.full(120, 0.1)], 2, NONE, ALL),
        "collinear features": Case(
            np.c_[blobs, blobs.sum(axis=1)], 2, FULL, ALL - FULL
        ),
        "a row by itself": Case(np.r_[blobs, outlier], 3, ALL),
        "all rows equal": Case(np.full((20, 3), 0.1), 2, ALL),
        "all rows zero": Case(np.zeros((20, 3)), 2, ALL),
        "more features than rows": Case(rng.standard_normal((8, 10)), 2, FULL),
        "as many components as rows": Case(rng.standard_normal((6, 3)), 6, ALL),
        "one feature": Case(clusters(1, 1, n_features=1, distance=8), 2, NONE, ALL),
        "one feature, constant": Case(np.ones((20, 1)), 2, ALL),
        "rounded": Case(np.round(0.7 * rng.standard_normal((150, 3))), 4, NONE),
        "rounded, one feature": Case(np.round(rng.standard_normal((90, 1))), 4, NONE),
        "a far outlier": Case(np.r_[blobs, far], 3, ALL),
        "tight clusters": Case(clusters(1e-6, 1e-6), 2, NONE, ALL),
        "a binary feature": Case(
            np.c_[0.1 * rng.standard_normal((120, 2)), binary],
            2,
            NONE,
            ALL,
        ),
        "regular": Case(make_blobs(0, 300, 3, 3), 3, NONE, ALL),
    }


CASES = cases()
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
each_model = pytest.mark.parametrize("name", MODEL_NAMES)


@each_case
@each_model
def test_every_fit_is_valid_and_warns_of_degenerate_components(name, case):
    gmm, warned = fit(case.X, name, case.n_components)
    assert_sound(gmm, case.X)
    if name in case.silent:
        assert not warned
    elif name in case.warned:
        assert len(warned) == 1
    else:
        assert len(warned) <= 1


@each_case
@pytest.mark.parametrize("name", SCIKIT_LEARN_TYPES)
def test_float32_rows_end_in_finite_parameters_too(name, case):
    X = case.X.astype(np.float32)
    gmm, _ = fit(X, name, case.n_components)
    for attribute in ["weights_", "means_", "covariances_", "precisions_cholesky_"]:
        assert np.isfinite(getattr(gmm, attribute)).all()
    assert np.isfinite(gmm.score_samples(X)).all()
    assert_allclose(gmm.predict_proba(X).sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("init_params", ["k-means++", "random", "random_from_data"])
@each_case
def test_other_starts_end_sound_too(case, init_params):
    settings = {"init_params": init_params, "n_init": 2, "random_state": 0}
    gmm, warned = fit(case.X, "VVV", case.n_components, **settings)
    assert_sound(gmm, case.X)
    assert len(warned) <= 1


@each_model
def test_a_component_that_vanishes_is_warned_of(name):
    X = make_blobs(0, 120, 2, 2)
    gmm, warned = fit(X, name, 2, means_init=[X.mean(axis=0), [1e6, 1e6]])
    assert_sound(gmm, X)
    assert_array_equal(gmm.labels_, 0)
    assert len(warned) == 1


def test_the_warning_is_one_of_convergence():
    assert issubclass(emgmm.DegenerateComponentWarning, ConvergenceWarning)
    assert "DegenerateComponentWarning" in emgmm.__all__


@pytest.mark.parametrize("lonely", [0, 2])
def test_the_warning_names_the_components_and_a_remedy(lonely):
    X = np.r_[make_blobs(0, 120, 2, 2), [[1e3, -1e3]]]
    labels = np.r_[np.setdiff1d(range(3), lonely)[np.arange(120) % 2], lonely]
    gmm = GaussianMixtureEM(3, init_params=labels)
    with pytest.warns(emgmm.DegenerateComponentWarning) as record:
        gmm.fit(X)
    assert gmm.labels_[-1] == lonely
    message = str(record[0].message)
    assert re.search(rf"\b{lonely}\b", message)
    assert "n_components" in message or "reg_covar" in message
    assert record[0].filename == __file__


@each_model
def test_weights_decide_whether_a_component_has_rows_enough(name):
    """Rows are counted relative to their weights, whose unit plays no part."""
    X = make_blobs(0, 120, 2, 2)
    for scale in [2.0**-300, 1.0, 2.0**300]:
        gmm = GaussianMixtureEM(2, covariance_type=name)
        gmm.fit(X, sample_weight=np.full(120, scale))
    lonely = np.r_[X, [[1e3, -1e3]]]
    gmm = GaussianMixtureEM(3, covariance_type=name)
    with pytest.warns(emgmm.DegenerateComponentWarning):
        gmm.fit(lonely, sample_weight=np.full(121, 2.0**-300))


@pytest.mark.parametrize("name", ["VII", "VVI", "VVV"])
def test_an_outlier_by_itself_leaves_the_others_as_they_are(name):
    X = clusters(1, 1, distance=20)
    labels = np.repeat([0, 1], 100)
    expected = fit(X, name, 2, init_params=labels).gmm
    rows, labels = np.r_[X, [[1e8, -1e8]]], np.r_[labels, 2]
    gmm = fit(rows, name, 3, init_params=labels).gmm
    assert_allclose(gmm.covariances_[:2], expected.covariances_, rtol=1e-6, atol=1e-7)
    assert_allclose(gmm.means_[:2], expected.means_, rtol=1e-9)


# The units of the data ------------------------------------------------------------

UNITS = [2.0**-498, 1e-9, 1e9, 2.0**498]


def assert_scaled(one, other, X, units):
    """The other fit is the first one in other units: a number, or one by feature."""
    units = np.broadcast_to(units, X.shape[1])
    tolerance = {"rtol": 1e-9, "atol": 1e-10}
    assert_array_equal(other.labels_, one.labels_)
    assert other.n_iter_ == one.n_iter_
    assert_allclose(other.weights_, one.weights_, **tolerance)
    assert_allclose(other.means_ / units, one.means_, **tolerance)
    matrices = dense(other) / units / units[:, None]
    assert_allclose(matrices, dense(one), **tolerance)
    shift = np.log(units).sum()
    spread = 1e-13 * np.abs(np.log(units)).sum()
    for log_likelihood in [
        lambda gmm, rows: gmm.lower_bounds_,
        lambda gmm, rows: gmm.lower_bound_,
        lambda gmm, rows: gmm.score_samples(rows),
    ]:
        expected = log_likelihood(one, X) - shift
        scaled = log_likelihood(other, X * units)
        assert_allclose(scaled, expected, rtol=1e-10, atol=1e-10 + spread)
    assert_allclose(other.predict_proba(X * units), one.predict_proba(X), atol=1e-9)


@each_model
def test_the_unit_of_the_data_plays_no_part(name):
    X = make_blobs(3, 150, 3, 3)
    settings = {"covariance_type": name, "init_params": np.arange(150) % 3}
    one = GaussianMixtureEM(3, **settings).fit(X)
    for unit in UNITS:
        other = GaussianMixtureEM(3, **settings).fit(unit * X)
        assert_scaled(one, other, X, unit)


@pytest.mark.parametrize("name", BY_FEATURE)
def test_the_unit_of_a_feature_plays_no_part(name):
    X = make_blobs(3, 150, 3, 3)
    settings = {"covariance_type": name, "init_params": np.arange(150) % 3}
    one = GaussianMixtureEM(3, max_iter=1000, **settings).fit(X)
    for unit in UNITS:
        row = np.array([1.0, unit, 1.0])
        other = GaussianMixtureEM(3, max_iter=1000, **settings).fit(row * X)
        assert_scaled(one, other, X, row)


@each_model
def test_units_play_no_part_in_the_default_start(name):
    """But for its last steps, whose length rounding decides."""
    X = make_blobs(3, 150, 3, 3)
    one = GaussianMixtureEM(3, covariance_type=name).fit(X)
    rows = [np.full(3, unit) for unit in UNITS]
    if name in BY_FEATURE:
        rows += [np.array([1.0, unit, 1.0]) for unit in UNITS]
    for row in rows:
        other = GaussianMixtureEM(3, covariance_type=name).fit(row * X)
        assert_allclose(other.means_ / row, one.means_, rtol=1e-5, atol=1e-5)
        assert_array_equal(other.labels_, one.labels_)


@pytest.mark.parametrize("name, seed", [("VVV", 3), ("EVV", 0), ("VEE", 1)])
def test_no_step_is_decided_by_the_rounding_of_a_likelihood(name, seed):
    """The start is a maximum, nearly; and the likelihood is near zero in some units."""
    X = make_blobs(seed, 150, 3, 3)
    labels = GaussianMixtureEM(3, covariance_type=name).fit(X).labels_
    settings = {"covariance_type": name, "init_params": labels}
    one = GaussianMixtureEM(3, **settings).fit(X)
    for power in range(-12, 13):
        row = np.array([1.0, 2.0**power, 1.0])
        other = GaussianMixtureEM(3, **settings).fit(row * X)
        assert_scaled(one, other, X, row)


@pytest.mark.parametrize("case", ["a binary feature", "a row by itself", "duplicates"])
@each_model
def test_units_play_no_part_where_components_are_degenerate(name, case):
    X, n_components, *_ = CASES[case]
    one, *others = (fit(c * X, name, n_components) for c in [1, 2.0**-40, 2.0**40])
    for other in others:
        # Where a direction has no width, rounding decides on single rows.
        assert adjusted_rand_score(other.gmm.labels_, one.gmm.labels_) > 0.95
        assert len(other.warned) == len(one.warned)


@each_model
def test_a_shift_plays_no_part_but_for_the_rounding_of_the_rows(name):
    X = make_blobs(3, 150, 3, 3)
    one, other = (
        GaussianMixtureEM(3, covariance_type=name).fit(rows) for rows in (X, X + 1e6)
    )
    # Rows at 1e6 are rounded to 1e-10.
    assert_array_equal(other.labels_, one.labels_)
    assert_allclose(other.lower_bound_, one.lower_bound_, atol=1e-8)


# Regular fits are what they were without it ---------------------------------------


@pytest.mark.parametrize("n_features", [1, 2])
@pytest.mark.parametrize(
    "spreads, distance",
    [((1e-6, 1e-6), 1), ((1e-5, 1), 50), ((1, 1e-5), 50)],
    ids=["both tight", "tight and wide", "wide and tight"],
)
@each_model
def test_tight_clusters_far_apart_are_not_blurred(name, spreads, distance, n_features):
    X = clusters(*spreads, distance=distance, n_features=n_features)
    gmm, warned = fit(X, name, 2)
    assert not warned
    ends = gmm.labels_[[0, -1]]
    assert set(ends) == {0, 1}
    assert_array_equal(gmm.labels_, np.repeat(ends, 100))
    groups = np.stack([X[gmm.labels_ == k] for k in range(2)])
    deviations = groups - groups.mean(axis=1, keepdims=True)
    scatter = deviations.mT @ deviations
    # What the model makes of the scatter of the rows; common orientations are local
    # optima, and those of the fit are to be one.
    family = MODELS[name]
    kind = family.storage.moment_kind.name
    if kind == "diagonal":
        scatter = np.diagonal(scatter, axis1=1, axis2=2)
    elif kind == "pooled":
        scatter = scatter.sum(axis=0, keepdims=True)
    segments, counts = Segments.one(2), np.array([100.0, 100.0])
    values = family.estimate(segments, counts, scatter, stored(gmm))
    expected = family.storage.from_values(values, Segments.one(2), n_features).dense()
    for found, matrix in zip(dense(gmm), expected, strict=True):
        deviations = np.sqrt(matrix.diagonal())
        units = deviations * deviations[:, None]
        assert_allclose(found / units, matrix / units, rtol=0, atol=1e-6)


def load(dataset):
    if dataset == "simulated":
        return make_blobs(2, 300, 3, 3)
    return np.array(json.loads((DATA / f"me_{dataset}.json").read_text())["data"])


@unconverged
@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("dataset", ["iris", "faithful", "simulated"])
@each_model
def test_regular_fits_are_at_the_maximum_likelihood(name, dataset, n_components):
    X = load(dataset)
    labels = X[:, -1].argsort().argsort() * n_components // len(X)
    settings = {"covariance_type": name, "init_params": labels, "max_iter": 200}
    default = GaussianMixtureEM(n_components, **settings).fit(X)
    exact = GaussianMixtureEM(n_components, reg_covar=0, **settings).fit(X)
    assert abs(default.lower_bound_ - exact.lower_bound_) < 1e-9


@each_model
def test_one_component_is_the_empirical_covariance(name):
    X = make_blobs(2, 300, 3, 3)
    gmm = GaussianMixtureEM(1, covariance_type=name).fit(X)
    expected = np.cov(X.T, bias=True)
    if MODELS[name].storage.moment_kind.of_squares:
        expected = np.diag(expected.diagonal())
    if name in SPHERICAL:
        expected = expected.trace() / 3 * np.eye(3)
    assert_allclose(dense(gmm)[0], expected, rtol=1e-9, atol=1e-9)


@unconverged
@pytest.mark.parametrize("seed", range(2))
@each_model
def test_the_likelihood_never_falls_by_default(name, seed):
    X = make_blobs(seed, 150, 3, 3)
    settings = {"covariance_type": name, "tol": 0.0, "max_iter": 60}
    bounds = GaussianMixtureEM(3, **settings).fit(X).lower_bounds_
    assert np.all(np.diff(bounds) >= -1e-12 * np.abs(bounds[0]))


# A number in reg_covar ------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FULL))
def test_the_default_is_relative_to_the_data(name):
    """What keeps a direction without width is in the unit of the rows, by squares."""
    X = make_blobs(0, 120, 2, 2)
    X = np.c_[X, X.sum(axis=1)]
    kmeans = {"init_params": "kmeans", **RELATIVE}
    widths = [
        1 / np.linalg.eigvalsh(fit(unit * X, name, 2, **kmeans).gmm.precisions_).max()
        for unit in (1.0, 2.0**10)
    ]
    assert widths[0] > 0
    # So thin, it is known to some percent; a number would be the same in any unit.
    assert_allclose(np.log2(widths[1] / widths[0]), 20, atol=0.2)
    default, named = (fit(X, name, 2, **known).gmm for known in ({}, RELATIVE))
    assert_array_equal(default.covariances_, named.covariances_)


@unconverged
@pytest.mark.parametrize("reg_covar", [1e-6, 1e-2])
@pytest.mark.parametrize("covariance_type", SCIKIT_LEARN_TYPES)
def test_a_number_is_added_to_every_variance_as_in_scikit_learn(
    covariance_type, reg_covar
):
    X = make_blobs(4, 200, 2, 2)
    start = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(X)
    settings = {
        "n_components": 2,
        "covariance_type": covariance_type,
        "weights_init": [0.4, 0.6],
        "means_init": X[[0, 1]],
        "precisions_init": start.precisions_,
        "reg_covar": reg_covar,
        "tol": 0.0,
        "max_iter": 10,
    }
    ours = GaussianMixtureEM(**settings, acceleration=None).fit(X)
    theirs = GaussianMixture(**settings).fit(X)
    for attribute in ["weights_", "means_", "covariances_"]:
        assert_allclose(
            getattr(ours, attribute), getattr(theirs, attribute), rtol=1e-9, atol=1e-10
        )


@each_model
def test_zero_is_exact_and_refuses_singular_data(name):
    gmm = GaussianMixtureEM(2, covariance_type=name, reg_covar=0)
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        gmm.fit(np.full((20, 2), 0.1))
    if name not in SPHERICAL:
        with pytest.raises(ValueError, match="ill-defined empirical covariance"):
            gmm.fit(np.c_[make_blobs(0, 120, 2, 2), np.ones(120)])


@pytest.mark.parametrize("reg_covar", [-1e-6, "Scale", "auto", None, np.nan, [1e-6]])
def test_other_values_are_refused(reg_covar):
    gmm = GaussianMixtureEM(2, reg_covar=reg_covar)
    with pytest.raises(ValueError, match="reg_covar"):
        gmm.fit(make_blobs(0, 120, 2, 2))


# Starts that fail -----------------------------------------------------------------

GOOD = np.arange(120) % 2
LONELY = (np.arange(120) == 0) * 1


def starting_from(*starts):
    """A callable start that gives these labels in turn."""
    labels = iter(starts)
    return lambda X, n_components, sample_weight, rng: next(labels)


@pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical"])
@pytest.mark.parametrize("order", [[LONELY, GOOD], [GOOD, LONELY]])
def test_a_start_that_fails_is_skipped(covariance_type, order):
    X = make_blobs(0, 120, 2, 2)
    settings = {"covariance_type": covariance_type, "reg_covar": 0}
    expected = GaussianMixtureEM(2, init_params=GOOD, **settings).fit(X)
    gmm = GaussianMixtureEM(2, init_params=starting_from(*order), n_init=2, **settings)
    gmm.fit(X)
    assert_array_equal(gmm.means_, expected.means_)
    assert gmm.lower_bound_ == expected.lower_bound_
    assert gmm.n_iter_ == expected.n_iter_


@pytest.mark.parametrize("good_first", [False, True])
def test_a_start_that_fails_on_the_way_is_skipped(good_first):
    """A component of copies of a point is regular until two other rows leave it."""
    X = make_blobs(0, 120, 2, 2)
    X[:10] = [1.0, 1.0]
    collapsing = (np.arange(120) < 12) * 1
    settings = {"reg_covar": 0, "n_init": 2}
    expected = GaussianMixtureEM(2, init_params=GOOD, reg_covar=0).fit(X)
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        GaussianMixtureEM(2, init_params=collapsing, reg_covar=0).fit(X)
    at_first = GaussianMixtureEM(2, init_params=collapsing, reg_covar=0, max_iter=0)
    assert_allclose(at_first.fit(X).weights_, [0.9, 0.1])
    order = [GOOD, collapsing] if good_first else [collapsing, GOOD]
    gmm = GaussianMixtureEM(2, init_params=starting_from(*order), **settings).fit(X)
    assert gmm.lower_bound_ == pytest.approx(expected.lower_bound_, rel=1e-12)


@pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical"])
def test_starts_that_all_fail_raise_and_change_nothing(covariance_type):
    X = make_blobs(0, 120, 2, 2)
    settings = {"covariance_type": covariance_type, "reg_covar": 0, "n_init": 3}
    gmm = GaussianMixtureEM(2, init_params=starting_from(*[LONELY] * 3), **settings)
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        gmm.fit(X)
    with pytest.raises(NotFittedError):
        check_is_fitted(gmm)


# Interruptions --------------------------------------------------------------------


def interrupt_a_start(monkeypatch, gmm):
    def start(X, n_components, sample_weight, rng):
        raise KeyboardInterrupt

    gmm.set_params(init_params=start)


def interrupt_an_iteration(monkeypatch, gmm):
    """Ctrl-C where the second iteration is printed."""

    def record(line):
        if "Iteration 2" in line:
            raise KeyboardInterrupt

    monkeypatch.setattr("builtins.print", record)
    gmm.set_params(verbose=1, verbose_interval=1, tol=0.0)


@pytest.mark.parametrize("interrupt", [interrupt_a_start, interrupt_an_iteration])
@pytest.mark.parametrize("fitted", [False, True], ids=["unfitted", "fitted"])
def test_an_interrupted_fit_changes_nothing(monkeypatch, fitted, interrupt):
    X = make_blobs(0, 300, 3, 3)
    gmm = GaussianMixtureEM(3)
    if fitted:
        gmm.fit(X[:, :2])
    interrupt(monkeypatch, gmm)
    before = deepcopy(vars(gmm))
    with pytest.raises(KeyboardInterrupt):
        gmm.fit(X)
    after = dict(vars(gmm))
    after.pop("_reached", None)  # from where another fit may go on
    assert_equal(after, before)
    if fitted:
        assert gmm.predict(X[:, :2]).shape == (300,)
    else:
        with pytest.raises(NotFittedError):
            check_is_fitted(gmm)


# What is added, and only where it must be -----------------------------------------


@pytest.mark.parametrize("narrow", [1e-4, 1e-5])
def test_nothing_is_added_to_correlated_features_that_are_regular(narrow):
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((20, 20)))[0]
    X = rng.standard_normal((300, 20)) * np.append(np.ones(19), narrow) @ turn
    expected = GaussianMixtureEM(1, reg_covar=0).fit(X).lower_bound_
    assert GaussianMixtureEM(1).fit(X).lower_bound_ == expected


@pytest.mark.filterwarnings("ignore::emgmm.DegenerateComponentWarning")
@pytest.mark.parametrize("seed", range(3))
@each_model
def test_the_likelihood_of_degenerate_fits_never_falls_either(name, seed):
    rng = np.random.default_rng(seed)
    rows = np.r_[rng.standard_normal((60, 2)), rng.standard_normal((60, 2)) + 6]
    for X in (np.c_[rows, rows.sum(axis=1)], rows.round(), (rows > 3) * 1.0):
        gmm = GaussianMixtureEM(3, covariance_type=name).fit(X)
        bounds = gmm.lower_bounds_[:-1]
        assert np.all(np.diff(bounds) >= -1e-12 * np.abs(bounds).max(initial=1.0))
        assert gmm.converged_


@unconverged
@pytest.mark.filterwarnings("ignore::emgmm.DegenerateComponentWarning")
@each_model
def test_the_best_mixture_met_is_published_where_em_goes_on_to_worse(name):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3)) + np.repeat(
        [[0, 0, 0], [6, 0, 0], [0, 6, 0]], 20, 0
    )
    settings = {"tol": 0.0, "max_iter": 40, "random_state": 0}
    for rows in (X.round(), np.c_[X, rng.integers(0, 2, 60)], X[::6], X):
        gmm = GaussianMixtureEM(
            4, covariance_type=name, init_params="random_from_data", **settings
        ).fit(rows)
        bounds = gmm.lower_bounds_
        assert len(bounds) == 40
        assert np.all(np.diff(bounds) >= -1e-10 * np.abs(bounds).max(initial=1.0))
        assert_allclose(gmm.score(rows), bounds.max(), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("seed", range(6))
@each_model
def test_one_component_ends_at_once_whatever_its_condition(name, seed):
    rng = np.random.default_rng(seed)
    X = np.r_[rng.standard_normal((100, 2)), [[1e6, 1e6]]]
    assert GaussianMixtureEM(1, covariance_type=name).fit(X).n_iter_ <= 10


def test_light_rows_are_rows_too():
    """No warning, though a component holds next to no weight."""
    rng = np.random.default_rng(0)
    X = np.r_[rng.standard_normal((500, 2)), rng.standard_normal((500, 2)) + 20]
    far = np.arange(1000) >= 500
    for light in (5e-3, 1e-4):
        gmm = GaussianMixtureEM(2, init_params=far.astype(int))
        gmm.fit(X, sample_weight=np.where(far, light, 1.0))
        assert_array_equal(gmm.labels_, far)


def test_a_component_as_wide_as_the_number_in_reg_covar_is_warned_of():
    rng = np.random.default_rng(0)
    X = np.r_[rng.standard_normal((100, 2)), np.full((8, 2), 50.0)]
    with pytest.warns(emgmm.DegenerateComponentWarning, match="collapsed onto") as got:
        GaussianMixtureEM(2, reg_covar=1e-6).fit(X)
    assert "reg_covar" not in str(got[0].message)  # which is a number already


@pytest.mark.parametrize("reg_covar", [0.01, 0.3, 1.0])
def test_tol_holds_where_a_number_shapes_the_fit(reg_covar):
    X = make_blobs(2, 200, 3, 2)
    settings = {"reg_covar": reg_covar, "init_params": "kmeans"}
    gmm = GaussianMixtureEM(2, **settings).fit(X)
    limit = GaussianMixtureEM(2, **settings, tol=1e-10, max_iter=20_000).fit(X)
    assert gmm.converged_
    assert abs(gmm.lower_bound_ - limit.lower_bound_) < 1e-3


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("start", ["random", "random_from_data", "k-means++"])
def test_no_start_raises_by_default_where_components_collapse_at_once(start):
    rng = np.random.default_rng(0)
    blobs = rng.standard_normal((300, 2)) + 6 * rng.integers(0, 3, (300, 1))
    X = np.r_[blobs, 1e3 * rng.standard_normal((4, 2)), np.full((5, 2), 40.0)]
    for seed in range(10):
        settings = {"init_params": start, "random_state": seed, "tol": 1e-6}
        gmm = GaussianMixtureEM(8, **settings).fit(X)
        assert np.isfinite(gmm.score_samples(X)).all()
