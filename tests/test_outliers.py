"""The outlier detector: dense p-values, what it promises, and other software."""

from __future__ import annotations

import pickle

import dask.array as da
import mpmath
import numpy as np
import pandas as pd
import pytest
import sklearn
from conftest import SCIKIT_LEARN_TYPES
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chi2, kstest, multivariate_normal, norm
from sklearn.base import clone
from sklearn.covariance import EllipticEnvelope
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from emgmm import (
    GaussianMixtureEM,
    GaussianMixtureIC,
    GaussianMixtureOutlierDetector,
)
from emgmm._estep.p_values import MEASURES, log_chi2_sf
from emgmm._model.families import FAMILIES
from emgmm._outliers import threshold

METHODS = tuple(MEASURES)
each_method = pytest.mark.parametrize("method", METHODS)


def detector_of(gmm, X=None, **parameters):
    """A detector that takes a mixture as it is; of d features without rows."""
    X = gmm.sample(2, random_state=0)[0] if X is None else X
    return GaussianMixtureOutlierDetector(FrozenEstimator(gmm), **parameters).fit(X)


def random_mixture(seed=0, n_components=3, n_features=4, spread=3.0):
    rng = np.random.default_rng(seed)
    shape = n_components, n_features, 2 * n_features
    factors = rng.standard_normal(shape) / np.sqrt(n_features)
    weights = rng.dirichlet(np.full(n_components, 5.0))
    means = spread * rng.standard_normal((n_components, n_features))
    return GaussianMixtureEM.from_parameters(weights, means, factors @ factors.mT)


def holed(X, share=0.25, seed=1):
    X = np.where(np.random.default_rng(seed).random(X.shape) < share, np.nan, X)
    X[0] = np.nan
    return X


def dense_p_values(gmm, x, method):
    """P-values of one row, from dense matrices of the features that it has."""
    has = ~np.isnan(x)
    if not has.any():
        return 1.0
    components = [
        multivariate_normal(mean[has], covariance[np.ix_(has, has)])
        for mean, covariance in zip(gmm.means_, gmm.covariances_, strict=True)
    ]
    log_joint = np.log(gmm.weights_) + [each.logpdf(x[has]) for each in components]
    if method == "mahalanobis":
        k = np.argmax(log_joint)
        deviation = x[has] - gmm.means_[k][has]
        precision = np.linalg.inv(gmm.covariances_[k][np.ix_(has, has)])
        return chi2.sf(deviation @ precision @ deviation, has.sum())
    peaks = np.log(gmm.weights_) + [each.logpdf(each.mean) for each in components]
    log_f = np.logaddexp.reduce(log_joint)
    return gmm.weights_ @ chi2.sf(2 * (peaks - log_f), has.sum())


# P-values --------------------------------------------------------------------------


@each_method
def test_p_values_are_those_of_dense_matrices(method):
    gmm = random_mixture()
    rows = holed(gmm.sample(200, random_state=0)[0])
    rows[1:20] *= 3
    detector = detector_of(gmm, method=method)
    expected = np.array([dense_p_values(gmm, x, method) for x in rows])
    assert expected.min() < 1e-6 and expected[0] == 1
    assert_allclose(detector.p_values(rows), expected, rtol=1e-8)
    assert_allclose(detector.score_samples(rows), np.log(expected), atol=1e-8)


@pytest.mark.parametrize("degrees", [1, 2, 3, 10, 51, 1000])
def test_tails_are_mpmaths(degrees):
    x = degrees * np.array([0.5, 1.0, 2.0]), 1100 + degrees * np.array([0.5, 2, 1e4])
    x = np.concatenate(x)
    with mpmath.workdps(30):
        expected = [
            float(mpmath.log(mpmath.gammainc(degrees / 2, v / 2, regularized=True)))
            for v in x
        ]
    assert_allclose(log_chi2_sf(x, degrees), expected, rtol=1e-12)
    assert_array_equal(log_chi2_sf(np.array([-np.inf, 0, np.inf]), 3), [0, 0, -np.inf])


@each_method
def test_one_component_has_the_p_values_of_its_normal_distribution(method):
    gmm = GaussianMixtureEM.from_parameters([1.0], [[2.0]], [[[9.0]]])
    x = np.array([-1e150, -4.0, 2.0, 5.0, 300.0])
    expected = np.log(2) + norm.logsf(np.abs(x - 2) / 3)
    scores = detector_of(gmm, method=method).score_samples(x[:, None])
    assert_allclose(scores, expected, rtol=1e-9, atol=1e-9)


@each_method
def test_rows_beyond_the_largest_numbers_are_outliers(method):
    detector = detector_of(random_mixture(n_features=2), method=method)
    rows = np.array([[1e200, 0.0], [-1e300, 1e300], [1e155, np.nan]])
    assert_array_equal(detector.score_samples(rows), -np.inf)
    assert_array_equal(detector.predict(rows), -1)


@each_method
def test_p_values_of_rows_of_the_mixture_are_uniform(method):
    """Of components that do not overlap, with values missing at random."""
    gmm = random_mixture(n_features=3, spread=100.0)
    rows = holed(gmm.sample(4000, random_state=1)[0], share=0.1)
    detector = detector_of(gmm, method=method)
    p_values = detector.p_values(rows[~np.isnan(rows).all(axis=1)])
    assert kstest(p_values, "uniform").pvalue > 0.01
    # The default threshold, within three standard errors.
    assert abs(np.mean(detector.predict(rows) == -1) - 0.01) < 0.005


@pytest.mark.parametrize("seed", range(5))
def test_a_low_density_is_at_most_as_probable_as_its_p_value(seed):
    gmm = random_mixture(seed, n_components=4, n_features=2, spread=1.0)
    densities = np.sort(gmm.score_samples(gmm.sample(100_000, random_state=seed)[0]))
    rows = gmm.sample(200, random_state=seed + 1)[0]
    share = np.searchsorted(densities, gmm.score_samples(rows)) / len(densities)
    p_values = detector_of(gmm).p_values(rows)
    assert np.all(p_values > share - 0.005)
    assert np.mean(p_values - share) < 0.3


@each_method
def test_scores_are_in_the_order_of_density_or_of_distance(method):
    gmm = random_mixture(n_components=1 if method == "mahalanobis" else 3)
    rows = 2 * gmm.sample(300, random_state=0)[0]
    order = np.argsort(detector_of(gmm, method=method).score_samples(rows))
    assert_array_equal(order, np.argsort(gmm.score_samples(rows)))


def test_one_component_ranks_rows_as_a_classical_envelope_does():
    X = random_mixture(n_components=1).sample(300, random_state=0)[0]
    whole = EllipticEnvelope(support_fraction=1.0, contamination=0.1).fit(X)
    detector = GaussianMixtureOutlierDetector(
        GaussianMixtureEM(1), contamination=0.1, method="mahalanobis"
    ).fit(X)
    # The envelope's distances are corrected by one factor after a step of reweighting.
    centred = X - X.mean(axis=0)
    squares = np.vecdot(centred @ np.linalg.inv(np.cov(X.T, bias=True)), centred)
    assert_allclose(detector.p_values(X), chi2.sf(squares, 4), rtol=1e-8)
    assert np.mean(detector.predict(X) != whole.predict(X)) < 0.02


# What it finds ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated():
    """Three clusters of 400 rows, and 60 rows that are uniform in their box."""
    gmm = random_mixture(n_features=4, spread=6.0)
    usual = gmm.sample(1200, random_state=0)[0]
    low, high = usual.min(axis=0), usual.max(axis=0)
    outliers = np.random.default_rng(0).uniform(low, high, (60, 4))
    return np.concatenate([usual, outliers]), np.repeat([1, -1], [1200, 60])


def test_it_finds_simulated_outliers(simulated):
    X, y = simulated
    detector = GaussianMixtureOutlierDetector(contamination=60 / 1260).fit(X)
    assert np.sum(detector.predict(X) == -1) == 60
    assert roc_auc_score(y, detector.decision_function(X)) > 0.97
    clean = GaussianMixtureOutlierDetector().fit(X[y == 1])
    assert np.mean(clean.predict(X[y == -1]) == -1) > 0.9
    assert np.mean(clean.predict(X[y == 1]) == -1) < 0.02


def test_a_search_selects_the_mixture(simulated):
    X, y = simulated
    search = GaussianMixtureIC((1, 3), covariance_type=["VVV", "EII"])
    detector = GaussianMixtureOutlierDetector(search).fit(X[y == 1])
    assert detector.estimator_.best_params_["n_components"] == 3
    assert roc_auc_score(y, detector.decision_function(X)) > 0.97
    assert not hasattr(search, "best_params_")
    default = GaussianMixtureOutlierDetector().fit(X[::4]).estimator_
    assert isinstance(default, GaussianMixtureIC)
    assert set(default.results_["covariance_type"]) == set(SCIKIT_LEARN_TYPES)


@each_method
def test_it_is_equivariant_under_affine_maps(simulated, method):
    X, _ = simulated
    A = np.random.default_rng(3).standard_normal((4, 4))
    detector = GaussianMixtureOutlierDetector(
        GaussianMixtureEM(
            init_params=np.argsort(X[:, 0]) % 3, max_iter=20, tol=0, acceleration=None
        ),
        contamination=0.05,
        method=method,
    )
    with pytest.warns(UserWarning, match="converge"):
        here = detector.fit(X).score_samples(X)
        there = detector.fit(X @ A + 7).score_samples(X @ A + 7)
    assert_allclose(there, here, rtol=1e-6, atol=1e-6)


def test_missing_values_make_no_row_unusual(iris):
    """In units in which densities are large, where one feature less lowers them."""
    X = 1e-3 * iris
    detector = GaussianMixtureOutlierDetector(GaussianMixtureEM(2)).fit(X)
    rows = np.where(np.eye(4, dtype=bool)[np.arange(150) % 4], np.nan, X)
    usual = detector.p_values(X) > 0.1
    assert np.all(detector.predict(rows[usual]) == 1)
    assert_array_equal(detector.predict(np.full((1, 4), np.nan)), [1])
    rows[0, 1] = 1e-3 * 40
    assert detector.predict(rows)[0] == -1


# The threshold ---------------------------------------------------------------------


@each_method
@pytest.mark.parametrize("contamination", [0.004, 0.1, 1 / 3, 0.5])
def test_the_share_of_outliers_is_as_asked(iris, contamination, method):
    for X in (iris + np.linspace(0, 0.1, 150)[:, None], holed(iris, 0.1)):
        detector = GaussianMixtureOutlierDetector(
            GaussianMixtureEM(2), contamination=contamination, method=method
        )
        found = np.sum(detector.fit_predict(X) == -1)
        assert found == np.ceil(contamination * 150 - 1e-9)
        assert_array_equal(detector.decision_function(X) < 0, detector.predict(X) < 0)


def test_weights_are_repetition(iris):
    weight = np.arange(150) % 4
    gmm = GaussianMixtureEM(2).fit(iris)
    for contamination in (0.03, 0.2, 0.37):
        weighted = GaussianMixtureOutlierDetector(
            FrozenEstimator(gmm), contamination=contamination
        ).fit(iris, sample_weight=weight)
        repeated = clone(weighted).fit(np.repeat(iris, weight, axis=0))
        assert weighted.offset_ == repeated.offset_
        scores, flagged = weighted.score_samples(iris), weighted.predict(iris) == -1
        assert flagged @ weight >= contamination * weight.sum()
        less = flagged & (scores < scores[flagged & (weight > 0)].max())
        assert less @ weight < contamination * weight.sum()


def test_weights_reach_the_mixture(iris):
    weight = np.where(np.arange(150) < 50, 1.0, 0.0)
    detector = GaussianMixtureOutlierDetector(GaussianMixtureEM(1), contamination=0.1)
    detector.fit(iris, sample_weight=weight)
    assert_allclose(detector.estimator_.means_[0], iris[:50].mean(axis=0))
    assert np.sum(detector.predict(iris[:50]) == -1) == 5
    assert np.all(detector.predict(iris[50:]) == -1)


def test_a_threshold_between_equal_rows_keeps_them():
    X = np.ones((20, 1))
    gmm = GaussianMixtureEM.from_parameters([1.0], [[0.0]], [[[1.0]]])
    assert np.all(detector_of(gmm, X, contamination=0.1).predict(X) == 1)


def test_thresholds_of_scores_that_are_infinite_or_neighbours():
    scores = np.array([-np.inf, -np.inf, -3.0, np.nextafter(-3.0, 0), -1.0])
    found = [threshold(scores, np.ones(5), share) for share in (0.4, 0.6, 0.8)]
    assert [np.sum(scores < offset) for offset in found] == [2, 3, 4]
    assert threshold(scores, np.array([0, 0, 1, 3, 0]), 0.25) == scores[3]


def test_a_frozen_mixture_is_not_fitted_again(iris):
    gmm = GaussianMixtureEM(2).fit(iris[::2])
    means = gmm.means_.copy()
    detector = detector_of(gmm, iris[1::2], contamination=0.2)
    assert np.sum(detector.predict(iris[1::2]) == -1) == 15
    assert_array_equal(detector.estimator_.means_, means)


# scikit-learn ----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::emgmm.DegenerateComponentWarning")
@pytest.mark.parametrize(
    "detector",
    [
        # The default, with fewer numbers of components and models.
        GaussianMixtureOutlierDetector(
            GaussianMixtureIC((1, 3), covariance_type=["full", "diag"])
        ),
        # One check fits 30 features to 15 rows: without the addition to variances,
        # rows outside of their span have scores of -1e14, with as large a rounding.
        GaussianMixtureOutlierDetector(
            GaussianMixtureEM(reg_covar=0.01), method="mahalanobis"
        ),
    ],
    ids=["search", "mahalanobis"],
)
def test_check_estimator_passes(detector):
    results = check_estimator(detector, on_skip=None)
    skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
    assert {r["status"] for r in results} <= {"passed", "skipped"}
    assert skipped <= {"check_array_api_input"}
    assert len(results) - len(skipped) >= 50


@pytest.mark.parametrize("covariance_type", FAMILIES)
def test_every_model_serves(simulated, covariance_type):
    X, y = simulated
    gmm = GaussianMixtureEM(covariance_type=covariance_type)
    X = holed(X, 0.02)
    detector = GaussianMixtureOutlierDetector(gmm).fit(X[y == 1])
    assert roc_auc_score(y, detector.decision_function(X)) > 0.9


def test_pipelines_searches_copies_and_pickles(simulated):
    X, y = simulated
    pipeline = make_pipeline(
        StandardScaler(), GaussianMixtureOutlierDetector(contamination=0.05)
    )
    grid = {
        "gaussianmixtureoutlierdetector__estimator": [
            GaussianMixtureEM(k) for k in (1, 3)
        ]
    }
    folds = [(np.arange(0, 1260, 2), np.arange(1, 1260, 2))]
    search = GridSearchCV(pipeline, grid, scoring="roc_auc", cv=folds).fit(X, y)
    assert search.best_estimator_[-1].estimator_.n_components == 3
    detector = search.best_estimator_[-1]
    rows = search.best_estimator_[0].transform(X)
    thawed = pickle.loads(pickle.dumps(detector))
    assert_array_equal(thawed.decision_function(rows), detector.decision_function(rows))
    assert not hasattr(clone(detector), "offset_")
    assert (
        clone(detector).set_params(estimator__n_components=4).estimator.n_components
        == 4
    )


def test_sample_weight_is_routed_through_a_pipeline(iris):
    weight = np.arange(150) % 3 + 0.5
    with sklearn.config_context(enable_metadata_routing=True):
        detector = GaussianMixtureOutlierDetector(
            GaussianMixtureEM(2), contamination=0.1
        ).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, detector).fit(iris, sample_weight=weight)
    scaled = pipeline[0].transform(iris)
    alone = clone(detector).fit(scaled, sample_weight=weight)
    assert pipeline[-1].offset_ == alone.offset_ != clone(detector).fit(scaled).offset_


def test_frames_keep_their_names(iris):
    frame = pd.DataFrame(iris, columns=list("abcd"))
    detector = GaussianMixtureOutlierDetector(contamination=0.1).fit(frame)
    assert list(detector.feature_names_in_) == list("abcd")
    assert_array_equal(detector.predict(frame), clone(detector).fit_predict(iris))
    with pytest.raises(ValueError, match="feature names"):
        detector.predict(frame[list("dcba")])
    assert not hasattr(detector.fit(iris), "feature_names_in_")


def test_float32_rows_have_the_same_scores(iris):
    rows = iris.astype(np.float32)
    detector = detector_of(GaussianMixtureEM(2).fit(iris), rows, contamination=0.1)
    scores = detector.score_samples(rows)
    assert scores.dtype == np.float64
    assert_array_equal(scores, detector.score_samples(rows.astype(np.float64)))
    assert np.sum(detector.predict(rows) == -1) == 15


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_blocks_and_dask_arrays_have_the_same_predictions(simulated, share):
    X = holed(simulated[0], share)
    blocks = np.array_split(X, 7)
    detector = GaussianMixtureOutlierDetector().fit(blocks)
    whole, lazy = detector.predict(X), detector.predict(da.from_array(X, (200, 4)))
    assert 0 < np.sum(whole == -1) < 100
    assert_array_equal(np.concatenate(list(detector.predict(blocks))), whole)
    assert_array_equal(lazy.compute(), whole)
    scores = np.concatenate(list(detector.score_samples(iter(blocks))))
    assert_allclose(scores, detector.score_samples(X), rtol=1e-9)


def test_the_mixture_is_cloned_and_keeps_its_parameters(iris):
    gmm = GaussianMixtureEM(2, covariance_type="VVI", tol=1e-5)
    detector = GaussianMixtureOutlierDetector(gmm).fit(iris)
    assert detector.estimator_.get_params() == gmm.get_params()
    assert detector.estimator is gmm and not hasattr(gmm, "means_")


# Bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"contamination": 0.0}, r"contamination.*\(0.0, 0.5\].*0.0"),
        ({"contamination": 0.6}, r"contamination.*\(0.0, 0.5\].*0.6"),
        ({"contamination": "aut"}, "contamination.*Did you mean 'auto'"),
        ({"method": "log_density"}, "method.*'density'"),
        ({"estimator": 3}, "estimator.*'fit'.*3"),
        ({"estimator": GaussianMixtureEM(0)}, "n_components.*0"),
    ],
)
def test_bad_parameters_are_refused_by_name(iris, parameters, message):
    detector = GaussianMixtureOutlierDetector(GaussianMixtureEM(2)).fit(iris)
    before = dict(vars(detector.set_params(**parameters)))
    with pytest.raises(ValueError, match=message):
        detector.fit(iris[::2])
    assert vars(detector) == before


def test_another_kind_of_estimator_is_refused(iris):
    with pytest.raises(TypeError, match=r"StandardScaler\(\).*GaussianMixtureEM"):
        GaussianMixtureOutlierDetector(StandardScaler()).fit(iris)


def test_bad_rows_are_refused_and_leave_the_detector_as_it_was(iris):
    detector = GaussianMixtureOutlierDetector(contamination=0.1).fit(iris)
    before = dict(vars(detector))
    unseen = iris.copy()
    unseen[:, 2] = np.nan
    for X, weight in [(unseen, None), (iris * np.inf, None), (iris, -np.ones(150))]:
        with pytest.raises(ValueError):
            detector.fit(X, sample_weight=weight)
    frozen = clone(detector).set_params(estimator=FrozenEstimator(detector.estimator_))
    with pytest.raises(ValueError, match="3 features"):
        frozen.fit(iris[:, :3])
    assert vars(detector) == before
    assert not hasattr(frozen, "offset_") and not hasattr(frozen, "estimator_")


def test_a_share_of_blocks_is_refused(iris):
    blocks = np.array_split(iris, 3)
    detector = GaussianMixtureOutlierDetector(contamination=0.1)
    with pytest.raises(
        ValueError, match=r"(?s)contamination=0.1.*contamination='auto'"
    ):
        detector.fit(blocks)
    assert not hasattr(detector, "estimator_")


def test_predictions_need_a_fit(iris):
    detector = GaussianMixtureOutlierDetector()
    for name in ("predict", "decision_function", "score_samples", "p_values"):
        with pytest.raises(NotFittedError):
            getattr(detector, name)(iris)
