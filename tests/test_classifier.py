"""The classifier: against scikit-learn's and R's discriminant analysis, and EM."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from emgmm import (
    DegenerateComponentWarning,
    GaussianMixtureClassifier,
    GaussianMixtureEM,
    GaussianMixtureIC,
)
from emgmm._model.families import MODELS

SPECIES = np.repeat(np.arange(3), 50)
THEIRS = {
    "tied": LinearDiscriminantAnalysis(solver="lsqr"),
    "diag": GaussianNB(var_smoothing=0.0),
}


@pytest.fixture
def gaps(iris):
    """Iris that lacks a tenth of its values."""
    rng = np.random.default_rng(0)
    return np.where(rng.random(iris.shape) < 0.1, np.nan, iris)


def some_known(share, seed=0):
    """Species of a share of the rows of iris, -1 for the others."""
    return np.where(np.random.default_rng(seed).random(150) < share, SPECIES, -1)


# scikit-learn's contract -----------------------------------------------------------

FEW = "a class of the repeated rows has one row, and two components are asked for"
MINUS_ONE = "-1 is the label of rows without a class"


@pytest.mark.parametrize(
    "settings, failing",
    [
        ({}, {}),
        ({"covariance_type": "VEI"}, {}),
        ({"covariance_type": "full", "reg_covar": 1e-6}, {}),
        (
            {"n_components": 2, "covariance_type": "diag"},
            {"check_sample_weight_equivalence_on_dense_data": FEW},
        ),
        ({"semi_supervised": True}, {"check_classifiers_classes": MINUS_ONE}),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::emgmm.DegenerateComponentWarning")
def test_check_estimator_passes(settings, failing):
    classifier = GaussianMixtureClassifier(**settings)
    results = check_estimator(
        classifier, expected_failed_checks=failing, on_skip=None, on_fail="raise"
    )
    passed = [one for one in results if one["status"] == "passed"]
    assert len(passed) >= 55


def test_grids_pipelines_copies_and_pickles(iris):
    pipeline = make_pipeline(
        StandardScaler(), GaussianMixtureClassifier(covariance_type="diag")
    )
    grid = {"gaussianmixtureclassifier__n_components": [1, 2, {0: 1, 1: 2, 2: 1}]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(iris, SPECIES)
    assert search.best_score_ > 0.9
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    fitted = search.best_estimator_[-1]
    rows = search.best_estimator_[0].transform(iris)
    thawed = pickle.loads(pickle.dumps(fitted))
    twin = clone(fitted).fit(rows, SPECIES)
    for other in (thawed, twin):
        assert_array_equal(other.predict_proba(rows), fitted.predict_proba(rows))
    assert not hasattr(clone(fitted), "mixtures_")


def test_sample_weight_is_routed_and_means_repetition(iris):
    weight = np.arange(150) % 3 + 1
    with sklearn.config_context(enable_metadata_routing=True):
        classifier = GaussianMixtureClassifier(2, covariance_type="EEE")
        classifier.set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, classifier)
        pipeline.fit(iris, SPECIES, sample_weight=weight)
    rows = StandardScaler().fit_transform(iris)
    repeated = GaussianMixtureClassifier(2, covariance_type="EEE", tol=1e-10).fit(
        np.repeat(rows, weight, axis=0), np.repeat(SPECIES, weight)
    )
    assert_allclose(pipeline[-1].class_prior_, repeated.class_prior_)
    alone = clone(repeated).fit(rows, SPECIES, sample_weight=weight)
    assert_allclose(alone.score_samples(rows), repeated.score_samples(rows), atol=1e-4)
    expected = np.average(alone.predict(rows) == SPECIES, weights=weight)
    assert alone.score(rows, SPECIES, sample_weight=weight) == expected


# One component for each class ------------------------------------------------------


# Some rows are left out, for classes of unequal sizes.
KEPT = np.arange(150) % 7 != 3


@pytest.mark.parametrize("priors", [None, [0.5, 0.2, 0.3]])
@pytest.mark.parametrize("name", THEIRS)
def test_one_component_is_scikit_learns_classifier(iris, name, priors):
    """scikit-learn's LDA with `priors` also weights the common covariance by them."""
    X, y = iris[KEPT], np.array(["c", "a", "b"])[SPECIES[KEPT]]
    ours = GaussianMixtureClassifier(covariance_type=name, priors=priors).fit(X, y)
    theirs = clone(THEIRS[name]).fit(X, y)
    ratio = 1 if priors is None else priors / np.unique(y, return_counts=True)[1]
    expected = theirs.predict_proba(iris) * ratio
    expected /= expected.sum(axis=1, keepdims=True)
    assert_allclose(ours.predict_proba(iris), expected, atol=1e-9)
    assert_array_equal(ours.predict(iris), theirs.classes_[expected.argmax(axis=1)])


def test_full_covariances_are_quadratic_discriminant_analysis(iris):
    """By SciPy's densities: scikit-learn divides by n - 1, in some versions."""
    X, y = iris[KEPT], SPECIES[KEPT]
    ours = GaussianMixtureClassifier(covariance_type="full").fit(X, y)
    for c in range(3):
        own = X[y == c]
        expected = multivariate_normal(own.mean(axis=0), np.cov(own.T, ddof=0))
        log_joint = expected.logpdf(iris) + np.log(len(own) / len(X))
        assert_allclose(ours.decision_function(iris)[:, c], log_joint, rtol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_no_parameters_of_the_model_nearby_are_more_likely(iris, name):
    """Of the rows and their classes, which a common model is to maximise."""
    fitted = GaussianMixtureClassifier(covariance_type=name).fit(iris, SPECIES)
    joint, rng = joint_likelihood(fitted, iris), np.random.default_rng(0)
    for _ in range(5):
        weight = rng.uniform(0.7, 1.3, len(iris))
        moved = clone(fitted).fit(iris, SPECIES, sample_weight=weight)
        assert joint_likelihood(moved, iris) < joint
    assert {mixture.covariance_type for mixture in fitted.mixtures_} == {name}


def joint_likelihood(fitted, X):
    """Log-likelihood of rows and their species."""
    densities = [mixture.score_samples(X) for mixture in fitted.mixtures_]
    joint = np.stack(densities, axis=1) + np.log(fitted.class_prior_)
    return joint[np.arange(len(X)), SPECIES].sum()


def test_bic_chooses_the_common_model(iris):
    chosen = GaussianMixtureClassifier(covariance_type="all").fit(iris, SPECIES)
    criteria = {}
    for name in MODELS:
        fitted = GaussianMixtureClassifier(covariance_type=name).fit(iris, SPECIES)
        n_parameters = 2 + 12 + MODELS[name].n_parameters(3, 4)
        criteria[name] = n_parameters * np.log(150) - 2 * joint_likelihood(fitted, iris)
    best = min(criteria, key=criteria.get)
    assert {mixture.covariance_type for mixture in chosen.mixtures_} == {best}
    assert best == "VEV"  # as R's MclustDA(iris[-5], iris$Species, modelType = "EDDA")


def test_models_in_doubt_are_not_chosen(iris):
    """A class of three rows is too few for matrices of its own."""
    rows = np.r_[0:3, 50:150]
    fitted = GaussianMixtureClassifier().fit(iris[rows], SPECIES[rows])
    assert {mixture.covariance_type for mixture in fitted.mixtures_} == {"tied"}


def test_one_feature_and_one_class(iris):
    one = GaussianMixtureClassifier(covariance_type="all").fit(iris[:, 2:3], SPECIES)
    assert {mixture.covariance_type for mixture in one.mixtures_} == {"VII"}
    alone = GaussianMixtureClassifier(2, covariance_type="VVV").fit(iris, [7] * 150)
    expected = GaussianMixtureEM(2, tol=1e-5).fit(iris).score_samples(iris)
    assert_allclose(alone.score_samples(iris), expected, rtol=1e-9)
    assert set(alone.predict(iris)) == {7}
    assert_array_equal(alone.predict_proba(iris), np.ones((150, 1)))


# A mixture for each class ----------------------------------------------------------


def test_each_class_has_the_mixture_of_its_rows(iris):
    y = np.array(["a", "b", "c"])[SPECIES]
    numbers = {"c": 3, "a": 1, "b": [1, 2]}
    fitted = GaussianMixtureClassifier(numbers, covariance_type="VVI").fit(iris, y)
    own = [
        GaussianMixtureEM(1, covariance_type="VVI", tol=1e-5).fit(iris[:50]),
        GaussianMixtureIC([1, 2], covariance_type="VVI").fit(iris[50:100]),
        GaussianMixtureEM(3, covariance_type="VVI", tol=1e-5).fit(iris[100:]),
    ]
    log_joint = np.stack([each.score_samples(iris) for each in own], axis=1)
    log_joint -= np.log(3)
    assert_allclose(fitted.decision_function(iris), log_joint, rtol=1e-12)
    assert_allclose(fitted.score_samples(iris), logsumexp(log_joint, axis=1))
    proba = np.exp(log_joint - logsumexp(log_joint, axis=1, keepdims=True))
    assert_allclose(fitted.predict_proba(iris), proba, atol=1e-12)
    assert_array_equal(fitted.predict(iris), np.array(["a", "b", "c"])[proba.argmax(1)])
    assert fitted.n_iter_ == max(each.n_iter_ for each in own)
    parallel = clone(fitted).set_params(n_jobs=2).fit(iris, y)
    assert_array_equal(parallel.decision_function(iris), fitted.decision_function(iris))


def test_the_decision_of_two_classes_is_one_number(iris):
    X, y = iris[50:], SPECIES[50:]
    fitted = GaussianMixtureClassifier(2, covariance_type="full").fit(X, y)
    decision = fitted.decision_function(X)
    proba = fitted.predict_proba(X)
    assert decision.shape == (100,)
    assert_array_equal(decision > 0, fitted.predict(X) == 2)
    assert_allclose(1 / (1 + np.exp(-decision)), proba[:, 1], atol=1e-12)


def test_far_rows_have_finite_logarithms(iris):
    fitted = GaussianMixtureClassifier(covariance_type="full").fit(iris, SPECIES)
    far = np.array([[1e6] * 4, [-1e100] * 4, [1e300, 0, 0, 0]])
    assert np.isfinite(fitted.predict_log_proba(far[:2])).all()
    assert_allclose(fitted.predict_proba(far).sum(axis=1), 1)
    assert np.isin(fitted.predict(far), fitted.classes_).all()


def test_a_prior_may_be_zero(iris):
    fitted = GaussianMixtureClassifier(priors={2: 0.25, 1: 0.75, 0: 0}).fit(
        iris, SPECIES
    )
    assert_array_equal(fitted.class_prior_, [0, 0.75, 0.25])
    assert (fitted.predict_proba(iris)[:, 0] == 0).all()
    assert set(fitted.predict(iris)) == {1, 2}


def test_missing_values_float32_and_frames(iris, gaps):
    single = GaussianMixtureClassifier(2, covariance_type="diag")
    single.fit(iris.astype(np.float32), SPECIES)
    assert {each.means_.dtype for each in single.mixtures_} == {np.dtype(np.float32)}
    common = GaussianMixtureClassifier().fit(iris.astype(np.float32), SPECIES)
    assert {each.means_.dtype for each in common.mixtures_} == {np.dtype(np.float32)}
    frame = pd.DataFrame(gaps, columns=list("abcd"))
    y = pd.Series(SPECIES).map({0: "s", 1: "v", 2: "w"})
    fitted = GaussianMixtureClassifier(2, covariance_type="diag").fit(frame, y)
    assert list(fitted.feature_names_in_) == list("abcd")
    assert fitted.mixtures_[0].mixture_.feature_names == tuple("abcd")
    assert fitted.score(frame, y) > 0.9
    nothing = pd.DataFrame([[np.nan] * 4], columns=list("abcd"))
    assert_allclose(fitted.predict_proba(nothing)[0], fitted.class_prior_)
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(frame[list("dcba")])


def test_rows_in_blocks_are_classified_block_by_block(iris):
    fitted = GaussianMixtureClassifier().fit(iris, SPECIES)
    blocks = [iris[:40], iris[40:]]
    assert_array_equal(
        np.concatenate(list(fitted.predict(blocks))), fitted.predict(iris)
    )
    with pytest.raises(ValueError, match="needs rows in memory"):
        clone(fitted).fit(blocks, SPECIES)


def test_samples_have_the_classes_and_moments_of_the_mixtures(iris):
    fitted = GaussianMixtureClassifier(
        2, covariance_type="full", priors=[0.2, 0.3, 0.5]
    ).fit(iris, SPECIES)
    X, y = fitted.sample(60_000, random_state=0)
    assert_allclose(np.bincount(y) / 60_000, fitted.class_prior_, atol=0.01)
    for c, mixture in enumerate(fitted.mixtures_):
        assert_allclose(X[y == c].mean(axis=0), mixture.mixture_.mean, atol=0.03)
    again = fitted.sample(60_000, random_state=0)
    assert_array_equal(again[0], X)


# Rows without a label --------------------------------------------------------------


def test_two_gaussians_with_few_labels_have_the_greatest_likelihood():
    """Of all parameters of two Gaussians, found by minimising over them."""
    rng = np.random.default_rng(1)
    X = np.r_[rng.normal(0, 1, 60), rng.normal(2.5, 0.7, 40)][:, None]
    y = np.full(100, -1)
    y[[0, 1, 2, 3, 60, 61, 62]] = [0, 0, 0, 0, 1, 1, 1]
    fitted = GaussianMixtureClassifier(
        covariance_type="full", semi_supervised=True, tol=1e-12
    ).fit(X, y)

    def loss(parameters):
        logit, *means, first, second = parameters
        log_joint = norm.logpdf(X, means, np.exp([first, second]))
        log_joint += -np.logaddexp(0, [logit, -logit])
        known = y >= 0
        total = logsumexp(log_joint[~known], axis=1).sum()
        return -total - log_joint[known, y[known]].sum()

    found = minimize(loss, [0, 0, 2.5, 0, 0], method="BFGS", options={"gtol": 1e-7})
    logit, *means, first, second = found.x
    assert_allclose(fitted.class_prior_[1], 1 / (1 + np.exp(-logit)), atol=1e-5)
    assert_allclose([each.means_[0, 0] for each in fitted.mixtures_], means, atol=1e-5)
    deviations = [np.sqrt(each.covariances_.item()) for each in fitted.mixtures_]
    assert_allclose(deviations, np.exp([first, second]), atol=1e-5)


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("name", ["EEE", "VEI", "VVV"])
def test_missing_values_have_the_greatest_likelihood(iris, gaps, name, share):
    """EM on the mixture of the classes, from another start, ends where this does."""
    y = some_known(share)
    fitted = GaussianMixtureClassifier(
        covariance_type=name, semi_supervised=True, tol=1e-9
    ).fit(gaps, y)
    joint = GaussianMixtureEM(
        3, covariance_type=name, init_params=SPECIES, tol=1e-9, acceleration=None
    ).fit(gaps, known_labels=y)
    value = observed(fitted, gaps, y)
    assert_allclose(value, joint.lower_bound_ * 150, atol=1e-4)
    assert_allclose(fitted.class_prior_, joint.weights_, atol=1e-4)
    for c, mixture in enumerate(fitted.mixtures_):
        assert_allclose(mixture.means_[0], joint.means_[c], atol=1e-3)


def observed(fitted, X, y):
    """Log-likelihood of rows and of the classes that are known."""
    log_joint = np.stack([each.score_samples(X) for each in fitted.mixtures_], axis=1)
    log_joint += np.log(fitted.class_prior_)
    known = y >= 0
    total = logsumexp(log_joint[~known], axis=1).sum()
    return total + log_joint[known, y[known]].sum()


@pytest.mark.parametrize(
    "settings",
    [
        {"covariance_type": "EEE"},
        {"covariance_type": "VEV"},
        {"n_components": 2, "covariance_type": "EEI"},
        {"n_components": [1, 2], "covariance_type": ["EII", "VEI"]},
        {"covariance_type": "tied", "priors": [0.3, 0.3, 0.4]},
    ],
    ids=str,
)
def test_the_likelihood_of_what_is_observed_rises(iris, settings):
    y = some_known(0.3)
    before = -np.inf
    for max_iter in (1, 2, 3, 5, 8, 300):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = GaussianMixtureClassifier(**settings, semi_supervised=True)
            fitted.set_params(max_iter=max_iter).fit(iris, y)
        if max_iter == 1 and "n_components" in settings:
            continue  # its mixtures are those of one iteration on labelled rows
        value = observed(fitted, iris, y)
        if "n_components" not in settings:
            assert value > before - 1e-9
        before = value
    labelled = clone(fitted).fit(iris[y >= 0], y[y >= 0])
    assert value > observed(labelled, iris, y)
    assert fitted.n_iter_ < 300


def test_rows_without_labels_help_where_labels_are_few():
    errors = {True: [], False: []}
    for seed in range(10):
        X, labels = make_labelled(seed)
        y = np.where(np.arange(len(X)) % 40 == 0, labels, -1)
        for flag in errors:
            rows = slice(None) if flag else y >= 0
            fitted = GaussianMixtureClassifier(
                covariance_type="EEE", semi_supervised=flag
            ).fit(X[rows], y[rows])
            errors[flag].append(1 - fitted.score(X, labels))
    assert np.mean(errors[True]) < 0.7 * np.mean(errors[False])


def make_labelled(seed):
    """Three overlapping Gaussians, and the component of each of 600 rows."""
    rng = np.random.default_rng(seed)
    labels = np.arange(600) // 40 % 3
    centers = np.array([[0, 0, 0], [3, 0, 1], [0, 3, -1]])
    factor = np.array([[1, 0.8, 0], [0, 0.6, 0.3], [0, 0, 1]])
    return centers[labels] + rng.standard_normal((600, 3)) @ factor, labels


@pytest.mark.parametrize(
    "unknown",
    [
        lambda y: np.where(y < 0, -1.0, y),
        lambda y: np.where(y < 0, np.nan, y),
        lambda y: [None if each < 0 else int(each) for each in y],
        lambda y: pd.Series(y).astype("Int64").mask(y < 0),
        lambda y: np.array([None if v < 0 else "abc"[v] for v in y], dtype=object),
        lambda y: [np.nan if v < 0 else "abc"[v] for v in y],
        lambda y: pd.Series(["abc"[v] if v >= 0 else None for v in y]),
    ],
)
def test_labels_may_be_missing_in_every_way(iris, unknown):
    y = some_known(0.5)
    classifier = GaussianMixtureClassifier(semi_supervised=True)
    expected = clone(classifier).fit(iris, y)
    found = clone(classifier).fit(iris, unknown(y))
    assert len(found.classes_) == 3
    assert_array_equal(found.predict_proba(iris), expected.predict_proba(iris))


def test_by_default_minus_one_is_a_class_and_nothing_is_not(iris):
    y = np.where(SPECIES == 0, -1, SPECIES)
    assert_array_equal(GaussianMixtureClassifier().fit(iris, y).classes_, [-1, 1, 2])
    for labels in (
        np.where(y < 0, np.nan, y),
        [None if v < 0 else "ab"[v - 1] for v in y],
    ):
        with pytest.raises(ValueError, match=r"row 0: set semi_supervised=True"):
            GaussianMixtureClassifier().fit(iris, labels)


def test_all_labels_known_is_the_fit_without_em_over_classes(iris):
    settings = {"n_components": 2, "covariance_type": "VVI"}
    plain = GaussianMixtureClassifier(**settings).fit(iris, SPECIES)
    semi = GaussianMixtureClassifier(**settings, semi_supervised=True).fit(
        iris, SPECIES
    )
    assert_array_equal(semi.predict_proba(iris), plain.predict_proba(iris))


def test_em_over_classes_that_does_not_converge_warns(iris):
    with pytest.warns(ConvergenceWarning, match="EM over the classes did not converge"):
        GaussianMixtureClassifier(
            covariance_type="full", semi_supervised=True, max_iter=2
        ).fit(iris, some_known(0.2))


def test_warnings_are_of_the_mixtures_of_all_rows():
    """Two labelled rows of a class are too few; with those without a label, not."""
    X, labels = make_labelled(0)
    y = np.where(np.arange(len(X)) % 20 == 0, labels, -1)
    classifier = GaussianMixtureClassifier(covariance_type="VVI", semi_supervised=True)
    few = np.flatnonzero(y >= 0)[::5]
    with pytest.warns(DegenerateComponentWarning):
        classifier.fit(X[few], y[few])
    classifier.fit(X[few[0] :], np.where(np.isin(np.arange(600), few), y, -1)[few[0] :])


# Bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, y, message",
    [
        (
            {"n_components": 51},
            SPECIES,
            r"Class 0 has 50 rows .* 51: add rows",
        ),
        (
            {"n_components": {0: 1, 1: 2}},
            SPECIES,
            r"n_components has the keys \[0, 1\]",
        ),
        ({"n_components": [0, 1]}, SPECIES, "whole numbers of 1 or more"),
        ({"n_components": "two"}, SPECIES, "n_components"),
        ({"covariance_type": "fulll"}, SPECIES, "Did you mean 'full'"),
        ({"covariance_type": ["VVV", "VVX"]}, SPECIES, "VVX"),
        ({"priors": [0.5, 0.5]}, SPECIES, "priors"),
        ({"priors": [0.5, 0.2, 0.2]}, SPECIES, "divide priors by its sum"),
        ({"priors": {0: 1.0}}, SPECIES, r"priors has the keys \[0\]"),
        ({}, None, "requires y to be passed"),
        ({}, SPECIES[:-1], "inconsistent numbers of samples"),
        ({}, SPECIES + 0.5, "Unknown label type"),
        ({}, ["a", 1] * 75, "no common order, int, str"),
        ({"semi_supervised": True}, np.full(150, -1), "has no label of a class"),
    ],
)
def test_errors_say_what_is_wrong_and_leave_the_estimator_as_it_was(
    iris, settings, y, message
):
    classifier = GaussianMixtureClassifier().fit(iris, SPECIES)
    before = classifier.predict_proba(iris)
    attributes = {name for name in vars(classifier) if name.endswith("_")}
    classifier.set_params(**settings)
    with pytest.raises(ValueError, match=message):
        classifier.fit(iris, y)
    assert {name for name in vars(classifier) if name.endswith("_")} == attributes
    assert_array_equal(classifier.predict_proba(iris), before)


def test_errors_and_warnings_of_mixtures_name_the_class(iris):
    X = iris.copy()
    X[SPECIES == 1, 2] = np.nan
    two = GaussianMixtureClassifier(2, covariance_type="full")
    with pytest.raises(
        ValueError, match=r"Class 1, 50 rows: X has no value of feature 2"
    ):
        clone(two).fit(X, SPECIES)
    rows = np.r_[0:5, 50:150]
    with pytest.warns(DegenerateComponentWarning, match="Class 0, 5 rows: ") as caught:
        clone(two).fit(iris[rows], SPECIES[rows])
    assert {Path(each.filename) for each in caught} == {Path(__file__)}
    weight = np.where(SPECIES == 2, 0.0, 1.0)
    with pytest.raises(ValueError, match="Class 2 has 0 rows"):
        clone(two).fit(iris, SPECIES, weight)
    with pytest.raises(NotFittedError):
        two.predict(iris)
