"""Against scikit-learn: its contract, and its own mixture iteration by iteration."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from conftest import MODEL_NAMES, SCIKIT_LEARN_TYPES, make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, check_estimators_pickle

from emgmm import GaussianMixtureEM, GaussianMixtureIC

# One check fits 15 rows of 30 features, and is right to be warned.
few_rows = pytest.mark.filterwarnings("ignore::emgmm.DegenerateComponentWarning")

COMPARED = ["weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"]


@pytest.fixture(scope="module")
def pairs():
    """Ours and scikit-learn's of each shared type, after 20 equal iterations."""
    X = make_blobs(seed=3, n_samples=500, n_features=3, n_components=3)
    return X, {name: fit_pair(X, name, 20) for name in SCIKIT_LEARN_TYPES}


def fit_pair(X, covariance_type, max_iter, n_components=3):
    rng = np.random.default_rng(0)
    n_features = X.shape[1]
    shapes = {
        "full": np.tile(np.eye(n_features), (n_components, 1, 1)),
        "tied": np.eye(n_features),
        "diag": np.ones((n_components, n_features)),
        "spherical": np.ones(n_components),
    }
    parameters = {
        "n_components": n_components,
        "covariance_type": covariance_type,
        "weights_init": [0.2, 0.3, 0.5],
        "means_init": X[rng.choice(len(X), n_components, replace=False)],
        "precisions_init": 0.5 * shapes[covariance_type],
        "reg_covar": 1e-5,
        "tol": 0.0,
        "max_iter": max_iter,
    }
    with pytest.warns(ConvergenceWarning):
        ours = GaussianMixtureEM(**parameters, acceleration=None).fit(X)
    with pytest.warns(ConvergenceWarning):
        theirs = GaussianMixture(**parameters).fit(X)
    return ours, theirs


@few_rows
@pytest.mark.parametrize("covariance_type", ["full", *MODEL_NAMES])
def test_check_estimator_passes_for_every_model(covariance_type):
    """With all other parameters at their defaults: "full" is itself the default, and
    the other names of scikit-learn are those of three of the fourteen."""
    gmm = GaussianMixtureEM(covariance_type=covariance_type)
    results = check_estimator(gmm, on_skip=None)
    skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
    assert {r["status"] for r in results} <= {"passed", "skipped"}
    # Where an environment variable allows them, test_device.py runs them.
    assert all(name.startswith("check_array_api_") for name in skipped)
    assert len(results) - len(skipped) >= 50


# Of one component, models differ in how they store it and in whether they iterate.
@few_rows
@pytest.mark.parametrize("covariance_type", [*SCIKIT_LEARN_TYPES, "VEI", "VVE"])
def test_one_component_passes_except_for_separating_clusters(covariance_type):
    gmm = GaussianMixtureEM(1, covariance_type=covariance_type)
    results = check_estimator(gmm, on_skip=None, on_fail=None)
    failed = {r["check_name"] for r in results if r["status"] == "failed"}
    # One label for every row cannot agree with three clusters, as is asked there.
    assert failed == {"check_clustering"}
    assert sum(r["status"] == "passed" for r in results) >= 48


@pytest.mark.parametrize("covariance_type", SCIKIT_LEARN_TYPES)
@pytest.mark.parametrize("max_iter", range(1, 21))
def test_every_iteration_agrees(covariance_type, max_iter):
    X = make_blobs(seed=3, n_samples=500, n_features=3, n_components=3)
    ours, theirs = fit_pair(X, covariance_type, max_iter)
    for name in COMPARED:
        expected = getattr(theirs, name)
        scale = np.abs(expected).max()
        assert_allclose(
            getattr(ours, name), expected, rtol=1e-10, atol=1e-10 * scale, err_msg=name
        )


def test_methods_agree(pairs):
    X, fits = pairs
    for ours, theirs in fits.values():
        assert_allclose(ours.score_samples(X), theirs.score_samples(X), rtol=1e-10)
        assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-10)
        assert_array_equal(ours.predict(X), theirs.predict(X))
        assert_array_equal(ours.labels_, theirs.predict(X))
        for name in ["score", "bic", "aic"]:
            assert_allclose(
                getattr(ours, name)(X), getattr(theirs, name)(X), rtol=1e-12
            )
        assert ours.n_iter_ == theirs.n_iter_ == 20


@pytest.mark.parametrize("covariance_type", SCIKIT_LEARN_TYPES)
def test_samples_have_the_moments_of_scikit_learns(pairs, covariance_type):
    ours, theirs = pairs[1][covariance_type]
    ours_drawn, labels = ours.sample(200_000, random_state=0)
    theirs_drawn, _ = theirs.set_params(random_state=0).sample(200_000)
    deviation = theirs_drawn.std(axis=0) / np.sqrt(200_000)
    difference = ours_drawn.mean(axis=0) - theirs_drawn.mean(axis=0)
    # 5 standard errors of a difference.
    assert np.all(np.abs(difference) < 5 * np.sqrt(2) * deviation)
    assert_allclose(np.cov(ours_drawn.T), np.cov(theirs_drawn.T), rtol=0.05, atol=0.1)
    assert_allclose(np.bincount(labels) / 200_000, ours.weights_, atol=0.006)


def test_sample_weight_is_routed(iris):
    weight = np.arange(150) % 3 + 0.5
    with sklearn.config_context(enable_metadata_routing=True):
        gmm = GaussianMixtureEM(2).set_fit_request(sample_weight=True)
        gmm = gmm.set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, gmm)
        pipeline.fit(iris, sample_weight=weight)
        search = GridSearchCV(gmm, {"n_components": [1, 2]}, cv=3)
        search.fit(iris, sample_weight=weight)
    alone = GaussianMixtureEM(2).fit(
        StandardScaler().fit_transform(iris), sample_weight=weight
    )
    assert_array_equal(pipeline[-1].means_, alone.means_)
    folds = np.array_split(np.arange(150), 3)
    test = folds[0]
    train = np.setdiff1d(np.arange(150), test)
    fold = GaussianMixtureEM(1).fit(iris[train], sample_weight=weight[train])
    expected = fold.score(iris[test], sample_weight=weight[test])
    assert_allclose(search.cv_results_["split0_test_score"][0], expected, rtol=1e-12)


def test_grid_search_by_likelihood_and_by_bic(iris):
    def bic_score(estimator, X, y=None):
        return -estimator.bic(X)

    grid = {"n_components": [1, 2, 3], "covariance_type": ["full", "VVE"]}
    by_score = GridSearchCV(GaussianMixtureEM(), grid, cv=3, n_jobs=2).fit(iris)
    everything = [(np.arange(150), np.arange(150))]
    by_bic = GridSearchCV(
        GaussianMixtureEM(), grid, scoring=bic_score, cv=everything
    ).fit(iris)
    fits = [
        GaussianMixtureEM(k, covariance_type=name).fit(iris)
        for name in grid["covariance_type"]
        for k in grid["n_components"]
    ]
    assert_allclose(-by_bic.best_score_, min(fit.bic(iris) for fit in fits), rtol=1e-12)
    assert by_score.best_score_ == max(by_score.cv_results_["mean_test_score"])
    assert len(cross_val_score(GaussianMixtureEM(2), iris, cv=4)) == 4


def test_clone_and_pickle_keep_parameters_and_predictions(iris):
    gmm = GaussianMixtureEM(2, covariance_type="VEV", init_params=np.arange(150) % 2)
    twin = clone(gmm)
    assert_array_equal(twin.init_params, gmm.init_params)
    gmm.fit(iris)
    thawed = pickle.loads(pickle.dumps(gmm))
    assert_array_equal(thawed.predict_proba(iris), gmm.predict_proba(iris))
    assert not hasattr(clone(gmm), "means_")


@pytest.mark.filterwarnings("default:Support for the dataframe interchange protocol")
@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames_keep_their_names(iris, frame):
    names = ["sepal length", "sepal width", "petal length", "petal width"]
    data = frame({name: iris[:, j] for j, name in enumerate(names)})
    gmm = GaussianMixtureEM(2).fit(data)
    assert list(gmm.feature_names_in_) == names
    assert_array_equal(gmm.labels_, GaussianMixtureEM(2).fit(iris).labels_)
    assert_array_equal(gmm.predict(data), gmm.labels_)
    with pytest.raises(ValueError, match="feature names"):
        gmm.predict(data[names[::-1]])


# Missing values --------------------------------------------------------------------

TWO = {
    "EM": GaussianMixtureEM(2),
    "IC": GaussianMixtureIC((1, 2), covariance_type=("VVI", "EEE")),
}
both = pytest.mark.parametrize("estimator", TWO.values(), ids=TWO)


@pytest.fixture
def gaps(iris):
    """Iris that lacks a fifth of its values; the first row has nothing."""
    X = np.where(np.random.default_rng(0).random(iris.shape) < 0.2, np.nan, iris)
    X[0] = np.nan
    return X


@few_rows
@both
@pytest.mark.parametrize("readonly_memmap", [False, True])
def test_scikit_learns_own_check_fits_rows_with_missing_values(
    estimator, readonly_memmap, monkeypatch
):
    seen, kind = [], type(estimator)
    fit = kind.fit

    def spy(self, X, y=None, sample_weight=None):
        seen.append(np.isnan(X).sum())
        return fit(self, X, y, sample_weight)

    monkeypatch.setattr(kind, "fit", spy)
    check_estimators_pickle(kind.__name__, clone(estimator), readonly_memmap)
    assert seen == [10]


@both
def test_infinity_is_refused_with_missing_values_and_without(estimator, iris, gaps):
    estimator = clone(estimator).fit(gaps)
    for rows in (iris, gaps):
        X = rows.copy()
        X[7, 2] = np.inf
        methods = ["fit", "fit_predict", "predict", "predict_proba", "score_samples"]
        for method in [*methods, "score"]:
            with pytest.raises(ValueError, match="infinity"):
                getattr(estimator, method)(X)


@both
def test_a_pipeline_keeps_missing_values_missing(estimator, gaps):
    pipeline = make_pipeline(StandardScaler(), clone(estimator)).fit(gaps)
    scaler, last = pipeline[0], pipeline[-1]
    mixture = getattr(last, "best_estimator_", last)
    scales = np.multiply.outer(scaler.scale_, scaler.scale_)
    dense = mixture._mixture().covariances.dense()
    in_centimetres = GaussianMixtureEM.from_parameters(
        mixture.weights_, mixture.means_ * scaler.scale_ + scaler.mean_, dense * scales
    )
    # A density in other units, of only those features that a row has.
    observed = ~np.isnan(gaps)
    expected = in_centimetres.score_samples(gaps) + observed @ np.log(scaler.scale_)
    assert_allclose(pipeline.score_samples(gaps), expected, rtol=1e-10, atol=1e-10)
    assert abs(pipeline.score_samples(gaps)[0]) < 1e-14
    assert_allclose(pipeline.predict_proba(gaps)[0], mixture.weights_, rtol=1e-12)


def test_searches_and_cross_validation_take_missing_values(gaps):
    scores = cross_val_score(GaussianMixtureEM(2), gaps, cv=3)
    folds = np.array_split(np.arange(150), 3)
    fits = [GaussianMixtureEM(2).fit(np.delete(gaps, fold, axis=0)) for fold in folds]
    expected = [fit.score(gaps[fold]) for fit, fold in zip(fits, folds, strict=True)]
    assert_array_equal(scores, expected)
    grid = {"n_components": [1, 2], "covariance_type": ["full", "EEE"]}
    search = GridSearchCV(GaussianMixtureEM(), grid, cv=3).fit(gaps)
    tried = search.cv_results_["params"].index(
        {"n_components": 2, "covariance_type": "full"}
    )
    assert_allclose(search.cv_results_["mean_test_score"][tried], np.mean(expected))
    assert search.best_estimator_.predict(gaps).shape == (150,)


@both
def test_copies_and_pickles_predict_the_same_of_missing_values(estimator, gaps):
    fitted = clone(estimator).fit(gaps)
    thawed = pickle.loads(pickle.dumps(fitted))
    twin = clone(fitted).fit(gaps)
    for other in (thawed, twin):
        assert_array_equal(other.predict_proba(gaps), fitted.predict_proba(gaps))
        assert_array_equal(other.labels_, fitted.predict(gaps))


FRAMES = {
    "pandas": lambda X: pd.DataFrame(X, columns=list("abcd")),
    "pandas.NA": lambda X: pd.DataFrame(X, columns=list("abcd")).astype("Float64"),
    "polars": lambda X: pl.DataFrame(X, schema=list("abcd")),
    "polars null": lambda X: pl.DataFrame(X, schema=list("abcd")).fill_nan(None),
    "None": lambda X: np.where(np.isnan(X), None, X),
}


@pytest.mark.filterwarnings("default:Support for the dataframe interchange protocol")
@both
def test_missing_values_of_frames(estimator, gaps):
    fitted = clone(estimator).fit(gaps)
    for name, frame in FRAMES.items():
        data = frame(gaps)
        twin = clone(estimator).fit(data)
        assert_array_equal(twin.labels_, fitted.labels_, name)
        scores = fitted.score_samples(gaps)
        assert_array_equal(twin.score_samples(data), scores, name)


@pytest.mark.parametrize("named", [True, False])
@both
def test_a_feature_without_values_is_refused_by_name(estimator, gaps, named):
    X = gaps.copy()
    X[:, 2] = np.nan
    data = pd.DataFrame(X, columns=list("abcd")) if named else X
    with pytest.raises(ValueError, match="'c'" if named else "feature 2"):
        clone(estimator).fit(data)


# Private names ---------------------------------------------------------------------

READ = ["_estimate_log_prob", "_estimate_weighted_log_prob", "_estimate_log_prob_resp"]


@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-10), (np.float32, 1e-4)])
@pytest.mark.parametrize("covariance_type", SCIKIT_LEARN_TYPES)
def test_private_methods_that_others_read_give_the_same(
    pairs, covariance_type, dtype, rtol
):
    X, fitted = pairs
    ours, theirs = GaussianMixtureEM(3), fitted[covariance_type][1]
    ours.set_params(covariance_type=covariance_type)
    ours._set_parameters(theirs._get_parameters())
    for name in COMPARED:
        assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-12)
    for mine, other in zip(
        ours._get_parameters(), theirs._get_parameters(), strict=True
    ):
        assert_array_equal(mine, other)
    for name in READ:
        found, expected = (
            getattr(gmm, name)(X.astype(dtype)) for gmm in (ours, theirs)
        )
        pairs_of = zip(found, expected, strict=True)
        for mine, other in (
            pairs_of if isinstance(found, tuple) else [(found, expected)]
        ):
            assert_allclose(mine, other, rtol=rtol, atol=rtol)
    assert_array_equal(ours._estimate_log_weights(), theirs._estimate_log_weights())
    assert ours._n_parameters() == theirs._n_parameters()


@pytest.mark.parametrize("covariance_type", SCIKIT_LEARN_TYPES)
def test_responsibilities_are_published_as_a_mixture(pairs, covariance_type):
    X, fitted = pairs
    responsibilities = fitted[covariance_type][1].predict_proba(X)
    mixtures = [
        kind(3, covariance_type=covariance_type, reg_covar=1e-6)
        for kind in (GaussianMixtureEM, GaussianMixture)
    ]
    for gmm in mixtures:
        gmm._initialize(X, responsibilities)
    for name in ["weights_", "means_", "covariances_", "precisions_cholesky_"]:
        ours, theirs = (getattr(gmm, name) for gmm in mixtures)
        assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


def test_a_component_without_weight_has_log_densities():
    gmm = GaussianMixtureEM.from_parameters(
        [1.0, 0.0], [[0.0], [1.0]], [1.0, 1.0], "spherical"
    )
    constant = -0.5 * np.log(2 * np.pi)
    assert_allclose(gmm._estimate_log_prob([[0.0]]), [[constant, constant - 0.5]])
    assert_array_equal(gmm._estimate_log_weights(), [0.0, -np.inf])


def test_rows_far_away_have_log_densities():
    gmm = GaussianMixtureEM.from_parameters([1.0], [[0.0]], [1.0], "spherical")
    assert_allclose(gmm._estimate_log_prob([[1e150]]), [[-0.5e300]])
    assert gmm._estimate_weighted_log_prob([[1e160]]) == -np.inf


@pytest.mark.parametrize(
    "hook, remedy",
    [
        ("_initialize_parameters", "init_params"),
        ("_initialize", "init_params"),
        ("_m_step", "warm_start"),
        ("_e_step", "warm_start"),
        ("_estimate_log_prob", "warm_start"),
        ("_compute_lower_bound", "warm_start"),
        ("_check_parameters", "override fit"),
    ],
)
def test_subclasses_are_warned_of_hooks_that_are_never_called(hook, remedy):
    with pytest.warns(UserWarning, match=rf"Mine\.{hook} is never.*{remedy}") as caught:
        Mine = type("Mine", (GaussianMixtureEM,), {hook: lambda self, *args: None})
    assert len(caught) == 1
    type("Further", (Mine,), {"fit": lambda self, X: self})  # not again

    mixin = type("Mixin", (), {hook: lambda self, *args: None})
    with pytest.warns(UserWarning, match=hook):
        type("Mine", (mixin, GaussianMixtureEM), {})


def test_warnings_of_hooks_point_at_the_class():
    with pytest.warns(UserWarning) as caught:

        class Mine(GaussianMixtureEM):
            def _m_step(self, X, log_resp):
                """Never called."""

    assert caught[0].filename == __file__
    assert issubclass(Mine, GaussianMixtureEM)


def test_other_methods_are_overridden_without_a_warning():
    names = ["_more", "predict", "fit", "_n_parameters"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        type("Mine", (GaussianMixtureEM,), dict.fromkeys(names, lambda self: None))
    assert not caught


def test_it_can_be_registered_as_scikit_learns_mixture():
    """In a process of its own: a class that is registered stays so."""
    code = (
        "from sklearn.mixture import GaussianMixture\n"
        "from emgmm import GaussianMixtureEM\n"
        "assert not isinstance(GaussianMixtureEM(), GaussianMixture)\n"
        "GaussianMixture.register(GaussianMixtureEM)\n"
        "assert isinstance(GaussianMixtureEM(), GaussianMixture)\n"
        "X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]\n"
        "ours, theirs = GaussianMixtureEM(2).fit(X), GaussianMixture(2).fit(X)\n"
        "assert abs(ours.score(X) - theirs.score(X)) < 1e-3\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
