"""Fits to rows of which the components are partly known."""

import numpy as np
import pytest
from conftest import assert_same_fit
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp, softmax
from scipy.stats import multivariate_normal
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import emgmm._data.maps
from emgmm import GaussianMixtureEM, GaussianMixtureIC
from emgmm._init.starts import STARTS
from emgmm._model.families import FAMILIES, MODELS

X, TARGET = load_iris(return_X_y=True)
# Of ten rows in each class the label is known; the classes are not in the order of the
# data, nor in that of their weights.
CLASSES = np.array([2, 0, 1])[TARGET]
LABELS = np.where(np.arange(150) % 5 == 0, CLASSES, -1)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def dense_log_joint(gmm, X):
    """log w_k + log N(x; ...) of observed values, written out."""
    dense = gmm._mixture().covariances.dense()
    out = np.empty((len(X), len(gmm.weights_)))
    for i, row in enumerate(X):
        has = ~np.isnan(row)
        for k, (weight, mean) in enumerate(zip(gmm.weights_, gmm.means_, strict=True)):
            own = multivariate_normal(mean[has], dense[k][np.ix_(has, has)])
            out[i, k] = np.log(weight) + own.logpdf(row[has])
    return out


def prior_of(labels, n_components):
    """What labels say, as booleans (n, K)."""
    allowed = np.eye(n_components, dtype=bool)[labels]
    allowed[labels == -1] = True
    return allowed


def log_likelihoods(gmm, X, prior):
    """Log-likelihoods of rows with prior weights (n, K), written out."""
    with np.errstate(divide="ignore"):
        return logsumexp(dense_log_joint(gmm, X) + np.log(prior), axis=1)


@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_the_maximum_of_the_observed_likelihood(name):
    gmm = GaussianMixtureEM(3, covariance_type=name, tol=1e-12)
    gmm.fit(X, known_labels=LABELS)
    prior = prior_of(LABELS, 3)
    assert gmm.lower_bound_ == pytest.approx(
        log_likelihoods(gmm, X, prior).mean(), rel=1e-12
    )
    known = LABELS >= 0
    assert_array_equal(gmm.labels_[known], LABELS[known])
    assert_array_equal(gmm.labels_[~known], gmm.predict(X[~known]))
    # A step of plain EM, written out, changes nothing.
    with np.errstate(divide="ignore"):
        shares = softmax(dense_log_joint(gmm, X) + np.log(prior), axis=1)
    assert_allclose(gmm.weights_, shares.mean(axis=0), atol=1e-5)
    means = shares.T @ X / shares.sum(axis=0)[:, None]
    assert_allclose(gmm.means_, means, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_plain_em_raises_the_likelihood_to_the_same_maximum(name):
    make = GaussianMixtureEM(
        3, covariance_type=name, tol=1e-11, init_params=CLASSES, max_iter=5000
    )
    fast = make.fit(X, known_labels=LABELS)
    plain = clone(make).set_params(acceleration=None).fit(X, known_labels=LABELS)
    assert (np.diff(plain.lower_bounds_) > -1e-12).all()
    assert fast.lower_bound_ == pytest.approx(plain.lower_bound_, abs=1e-8)


def test_with_all_labels_it_is_the_m_step():
    gmm = GaussianMixtureEM(3).fit(X, known_labels=CLASSES)
    for k in range(3):
        own = X[CLASSES == k]
        assert gmm.weights_[k] == pytest.approx(len(own) / 150)
        assert_allclose(gmm.means_[k], own.mean(axis=0), rtol=1e-10)
        assert_allclose(gmm.covariances_[k], np.cov(own.T, bias=True), rtol=1e-8)
    assert_array_equal(gmm.labels_, CLASSES)


@pytest.mark.parametrize("start", STARTS)
def test_starts_agree_with_the_labels(start):
    gmm = GaussianMixtureEM(3, init_params=start, random_state=0, max_iter=500)
    gmm.fit(X, known_labels=LABELS)
    known = LABELS >= 0
    assert_array_equal(gmm.labels_[known], LABELS[known])
    assert accuracy_score(CLASSES, gmm.labels_) > 0.94


def test_a_label_for_each_class_numbers_the_components():
    labels = np.full(150, -1)
    labels[[10, 60, 110]] = CLASSES[[10, 60, 110]]
    gmm = GaussianMixtureEM(3).fit(X, known_labels=labels)
    assert accuracy_score(CLASSES, gmm.labels_) > 0.9
    free = GaussianMixtureEM(3).fit(X)
    assert gmm.weights_.max() == pytest.approx(free.weights_.max(), abs=0.05)


def test_some_components_may_have_no_label():
    labels = np.where(CLASSES == 1, LABELS, -1)
    gmm = GaussianMixtureEM(3, tol=1e-6).fit(X, known_labels=labels)
    known = labels == 1
    assert (gmm.labels_[known] == 1).all()
    prior = prior_of(labels, 3)
    assert gmm.lower_bound_ == pytest.approx(log_likelihoods(gmm, X, prior).mean())


def test_masks_are_labels_and_may_allow_several_components():
    by_label = GaussianMixtureEM(3).fit(X, known_labels=LABELS)
    mask = prior_of(LABELS, 3)
    for known in mask, mask.astype(int), mask.tolist():
        found = GaussianMixtureEM(3).fit(X, known_labels=known)
        assert_same_fit(found, by_label)
    # The first class is known not to be component 0.
    some = np.ones((150, 3), dtype=bool)
    some[TARGET == 0, 0] = False
    gmm = GaussianMixtureEM(3).fit(X, known_labels=some)
    assert (gmm.labels_[TARGET == 0] != 0).all()
    assert gmm.lower_bound_ == pytest.approx(log_likelihoods(gmm, X, some).mean())


def test_prior_probabilities_multiply_densities():
    prior = np.random.default_rng(0).dirichlet(np.ones(3), 150)
    gmm = GaussianMixtureEM(3, tol=1e-12).fit(X, known_labels=prior)
    likelihoods = log_likelihoods(gmm, X, prior)
    assert gmm.lower_bound_ == pytest.approx(likelihoods.mean(), rel=1e-12)
    shares = softmax(dense_log_joint(gmm, X) + np.log(prior), axis=1)
    assert_allclose(gmm.weights_, shares.mean(axis=0), atol=1e-5)
    # Equal ones say nothing, but for a constant.
    equal = GaussianMixtureEM(3).fit(X, known_labels=np.full((150, 3), 0.25))
    free = GaussianMixtureEM(3).fit(X)
    assert equal.lower_bound_ == pytest.approx(
        free.lower_bound_ + np.log(0.25), abs=1e-3
    )


def test_labels_of_nothing_are_no_labels():
    nothing = GaussianMixtureEM(3).fit(X, known_labels=np.full(150, -1))
    assert_same_fit(nothing, GaussianMixtureEM(3).fit(X))


@pytest.mark.parametrize("name", ["full", "tied", "diag"])
def test_rows_may_come_from_any_source(name, tmp_path, monkeypatch):
    da = pytest.importorskip("dask.array")
    gmm = GaussianMixtureEM(3, covariance_type=name, init_params=CLASSES)
    expected = clone(gmm).fit(X, known_labels=LABELS)
    blocks = [X[:40], X[40:41], X[41:]]
    np.save(tmp_path / "rows.npy", X)
    monkeypatch.setattr(emgmm._data.maps, "LARGE", 100)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for rows in blocks, da.from_array(X, chunks=(60, 4)), mapped:
        found = clone(gmm).fit(rows, known_labels=LABELS)
        assert_same_fit(found, expected)
    lazy = da.from_array(LABELS, chunks=50)
    assert_same_fit(clone(gmm).fit(X, known_labels=lazy), expected)
    # The default start agrees too, on a sample of the rows.
    monkeypatch.setattr("emgmm._init.subsample.SUBSAMPLE_ROWS", 60)
    monkeypatch.setattr("emgmm._init.subsample.ROWS_PER_MEAN", 1)
    for rows in X, blocks:
        found = GaussianMixtureEM(3, covariance_type=name).fit(
            rows, known_labels=LABELS
        )
        labels = np.concatenate(list(found.predict(blocks)))
        assert accuracy_score(CLASSES, labels) > 0.9


@pytest.mark.parametrize("name", ["full", "tied", "VVI"])
def test_values_may_be_missing(name):
    rows = X.copy()
    holes = np.random.default_rng(0).random(X.shape) < 0.2
    holes[:, 2] &= ~holes.all(axis=1)
    rows[holes] = np.nan
    gmm = GaussianMixtureEM(3, covariance_type=name, tol=1e-10)
    gmm.fit(rows, known_labels=LABELS)
    prior = prior_of(LABELS, 3)
    assert gmm.lower_bound_ == pytest.approx(log_likelihoods(gmm, rows, prior).mean())
    known = LABELS >= 0
    assert_array_equal(gmm.labels_[known], LABELS[known])
    assert accuracy_score(CLASSES, gmm.labels_) > 0.88


def test_weights_are_repetitions():
    weights = np.random.default_rng(0).integers(0, 4, 150)
    gmm = GaussianMixtureEM(3, init_params="kmeans", tol=1e-10)
    weighted = clone(gmm).fit(X, sample_weight=weights, known_labels=LABELS)
    rows, labels = np.repeat(X, weights, axis=0), np.repeat(LABELS, weights)
    repeated = clone(gmm).fit(rows, known_labels=labels)
    assert weighted.lower_bound_ == pytest.approx(repeated.lower_bound_, rel=1e-8)
    assert_allclose(weighted.means_, repeated.means_, atol=1e-4)


def test_float32_rows():
    single = GaussianMixtureEM(3).fit(X.astype(np.float32), known_labels=LABELS)
    double = GaussianMixtureEM(3).fit(X, known_labels=LABELS)
    assert single.means_.dtype == np.float32
    assert single.lower_bound_ == pytest.approx(double.lower_bound_, rel=1e-3)


def test_rows_far_from_their_component_stay_there():
    rows = np.concatenate([X, [[1e5, 0.0, 0.0, 0.0]]])
    gmm = GaussianMixtureEM(3, reg_covar=1e-6)
    gmm.fit(rows, known_labels=np.append(LABELS, 1))
    assert gmm.labels_[-1] == 1
    assert np.isfinite(gmm.lower_bound_)


def test_known_rows_are_not_noise():
    labels = np.append(LABELS, [0, -1])
    rows = np.concatenate([X, [X.max(axis=0) + 4, X.min(axis=0) - 4]])
    gmm = GaussianMixtureEM(3, noise="uniform").fit(rows, known_labels=labels)
    assert_array_equal(gmm.labels_[-2:], [0, -1])
    assert (gmm.labels_[labels >= 0] == labels[labels >= 0]).all()


def test_a_search_begins_at_the_number_that_labels_name():
    search = GaussianMixtureIC([1, 2, 3, 4, 5], covariance_type=["VVV", "EEE", "VVI"])
    search.fit(X, known_labels=LABELS)
    table = search.results_
    few = table["n_components"] < 3
    assert np.isnan(table["bic"][few]).all()
    assert all("known_labels" in text for text in table["failure"][few])
    known = LABELS >= 0
    assert_array_equal(search.labels_[known], LABELS[known])
    best, rows = search.best_estimator_, np.arange(150)
    prior = np.ones((150, best.weights_.size))
    prior[known] = 0
    prior[rows[known], LABELS[known]] = 1
    assert best.lower_bound_ == pytest.approx(log_likelihoods(best, X, prior).mean())
    with np.errstate(divide="ignore"):
        joint = dense_log_joint(best, X) + np.log(prior)
    penalty = np.log(150) * table["n_parameters"][search.best_index_]
    icl = penalty - 2 * joint.max(axis=1).sum()
    assert table["icl"][search.best_index_] == pytest.approx(icl)
    with pytest.raises(ValueError, match="known_labels names 3"):
        clone(search).set_params(n_components=[1, 2]).fit(X, known_labels=LABELS)


def test_batches_may_have_labels():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 6000)
    rows = rng.normal(size=(6000, 2)) + np.array([[0, 0], [3, 0], [0, 3]])[classes]
    labels = np.where(rng.random(6000) < 0.2, classes, -1)
    gmm = GaussianMixtureEM(3)
    for begin in range(0, 6000, 150):
        own = slice(begin, begin + 150)
        gmm.partial_fit(rows[own], known_labels=labels[own] if begin else None)
    assert accuracy_score(classes, gmm.predict(rows)) > 0.9
    whole = GaussianMixtureEM(3).fit(rows, known_labels=labels)
    assert_allclose(gmm.means_, whole.means_, atol=0.15)


def test_metadata_are_routed():
    with config_context(enable_metadata_routing=True):
        gmm = GaussianMixtureEM(3).set_fit_request(known_labels=True)
        pipeline = make_pipeline(StandardScaler(), gmm).fit(X, known_labels=LABELS)
    known = LABELS >= 0
    assert_array_equal(pipeline[-1].labels_[known], LABELS[known])


def test_y_is_ignored():
    assert_same_fit(GaussianMixtureEM(3).fit(X, CLASSES), GaussianMixtureEM(3).fit(X))


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (np.full(150, 3), "known_labels contains 3 in row 0"),
        (np.full(150, -2), "known_labels contains -2 in row 0"),
        (np.full(150, 0.5), r"known_labels contains 0\.5 in row 0"),
        (np.zeros(149, int), r"known_labels has the shape \(149,\)"),
        (np.ones((150, 2)), r"known_labels has the shape \(150, 2\)"),
        (np.zeros((150, 3)), "known_labels allows row 0 in no component"),
        (np.full((150, 3), 1.5), r"known_labels contains \[1\.5"),
        (np.zeros(150, int), "known_labels leaves component 1 without any row"),
        (np.tile([1, 1, 0], (150, 1)), "known_labels leaves component 2"),
        (np.full(150, np.nan), "known_labels"),
    ],
)
def test_bad_labels_are_refused(known, message):
    gmm = GaussianMixtureEM(3).fit(X)
    before = dict(vars(gmm))
    with pytest.raises(ValueError, match=message):
        gmm.fit(X, known_labels=known)
    assert vars(gmm).keys() == before.keys()
    assert all(vars(gmm)[name] is value for name, value in before.items())


def test_labels_of_rows_without_weight_do_not_count():
    weights = np.where(CLASSES == 2, 0.0, 1.0)
    with pytest.raises(ValueError, match="known_labels leaves component 2"):
        GaussianMixtureEM(3).fit(X, sample_weight=weights, known_labels=CLASSES)
