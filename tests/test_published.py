"""Mixtures that users make or edit by hand: every method follows the attributes."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from conftest import COVARIANCE_TYPES, make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import solve_triangular
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from emgmm import GaussianMixtureEM

SK_TYPES = ["full", "tied", "diag", "spherical"]
MATRIX = {"full": lambda C: C, "tied": lambda C: C[0]}
VARIANCES = {
    "diag": lambda C: np.diagonal(C, axis1=1, axis2=2),
    "spherical": lambda C: C[:, 0, 0],
}
ONLY_OURS = {
    "mixture_": lambda gmm: gmm.mixture_,
    "impute": lambda gmm: gmm.impute([[np.nan, 1.0, 2.0]]),
    "conditional_mean": lambda gmm: gmm.conditional_mean([[1.0]], given=0),
    "partial_fit": lambda gmm: gmm.partial_fit(make_blobs(1, 20, 3, 2)),
}


def covariances_of(covariance_type, rng):
    """Random ones of two components of three features, in the layout of the model."""
    A = rng.normal(size=(2, 3, 3))
    return (MATRIX | VARIANCES)[covariance_type](A @ A.mT + 0.1 * np.eye(3))


def made_of(covariance_type, covariances, factors=None):
    """A mixture of which only attributes have been assigned."""
    gmm = GaussianMixtureEM(2, covariance_type=covariance_type)
    gmm.weights_ = np.array([0.3, 0.7])
    gmm.means_ = np.array([[0.0, 1.0, 2.0], [3.0, -1.0, 0.5]])
    if covariances is not None:
        gmm.covariances_ = covariances
    if factors is not None:
        gmm.precisions_cholesky_ = factors
    return gmm


def lower(C, rng):
    return np.linalg.cholesky(np.linalg.inv(C))


def negative(C, rng):
    return -lower(C, rng)


def rotated(C, rng):
    return lower(C, rng) @ np.linalg.qr(rng.normal(size=(3, 3)))[0]


def of_inverse(C, rng):
    """Upper triangular with signs of its own."""
    return np.linalg.inv(np.linalg.cholesky(C)).mT * [1.0, -1.0, 1.0]


def symmetric(C, rng):
    values, vectors = np.linalg.eigh(C)
    return vectors / np.sqrt(values)[..., None, :] @ vectors.mT


FACTORS = [lower, negative, rotated, of_inverse, symmetric]


def assert_same_mixture(gmm, other, path):
    """All public methods return the same, except for rounding."""
    X = make_blobs(0, 50, 3, 2)
    incomplete = np.where(np.random.default_rng(1).random(X.shape) < 0.3, np.nan, X)
    for rows in (X, incomplete):
        for method in ["predict_proba", "score_samples", "score", "bic", "icl"]:
            ours, theirs = getattr(gmm, method)(rows), getattr(other, method)(rows)
            assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)
    ours, theirs = (
        gmm.sample(20, random_state=0)[0],
        other.sample(20, random_state=0)[0],
    )
    assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)
    assert_allclose(gmm.mixture_.covariances, other.mixture_.covariances, rtol=1e-6)
    assert_allclose(gmm.impute(incomplete), other.impute(incomplete), rtol=1e-6)
    for ours, theirs in zip(
        gmm.conditional_mean(X[:, :1], 0, return_cov=True),
        other.conditional_mean(X[:, :1], 0, return_cov=True),
        strict=True,
    ):
        assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)
    gmm.save(path)
    loaded = GaussianMixtureEM.load(path)
    assert_array_equal(loaded.score_samples(X), gmm.score_samples(X))


@pytest.mark.parametrize("factorize", FACTORS)
@pytest.mark.parametrize("covariance_type", MATRIX)
def test_any_factor_of_the_precisions_works(covariance_type, factorize, tmp_path):
    rng = np.random.default_rng(0)
    C = covariances_of(covariance_type, rng)
    gmm = made_of(covariance_type, C, factorize(C, rng))
    other = GaussianMixtureEM.from_parameters(
        gmm.weights_, gmm.means_, C, covariance_type
    )
    assert_same_mixture(gmm, other, tmp_path / "model")


@pytest.mark.parametrize("covariance_type", VARIANCES)
def test_the_sign_of_a_factor_plays_no_part(covariance_type, tmp_path):
    C = covariances_of(covariance_type, np.random.default_rng(0))
    gmm = made_of(covariance_type, C, -1 / np.sqrt(C))
    other = GaussianMixtureEM.from_parameters(
        gmm.weights_, gmm.means_, C, covariance_type
    )
    assert_same_mixture(gmm, other, tmp_path / "model")


def test_densities_of_a_lower_factor_are_those_of_scipy():
    C = covariances_of("full", np.random.default_rng(2))
    gmm = made_of("full", C, lower(C, None))
    X = make_blobs(0, 20, 3, 2)
    expected = sum(
        weight * multivariate_normal(mean, matrix).pdf(X)
        for weight, mean, matrix in zip(gmm.weights_, gmm.means_, C, strict=True)
    )
    assert_allclose(np.exp(gmm.score_samples(X)), expected, rtol=1e-9)


def test_draws_have_the_covariance_whatever_the_factor():
    C = np.array([[[4.0, 1.9], [1.9, 1.0]]])
    gmm = GaussianMixtureEM.from_parameters([1.0], [[0.0, 0.0]], C)
    gmm.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(C))
    X, _ = gmm.sample(100_000, random_state=0)
    assert_allclose(np.cov(X.T), C[0], rtol=0.03)


@pytest.mark.parametrize("covariance_type", SK_TYPES)
@pytest.mark.parametrize("kept", ["covariances_", "precisions_cholesky_"])
def test_what_is_missing_is_derived(covariance_type, kept, tmp_path):
    gmm = GaussianMixtureEM(2, covariance_type=covariance_type)
    gmm.fit(make_blobs(0, 60, 3, 2))
    gmm.precisions_ = None
    made = made_of(covariance_type, None)
    for name in ["weights_", "means_", kept]:
        setattr(made, name, getattr(gmm, name))
    assert_same_mixture(made, gmm, tmp_path / "model")
    loaded = GaussianMixtureEM.load(tmp_path / "model")
    assert_allclose(loaded.covariances_, gmm.covariances_, rtol=1e-9)
    with pytest.raises(ValueError, match="X has 2 features"):
        made.predict([[1.0, 2.0]])


@pytest.mark.parametrize("covariance_type", SK_TYPES)
def test_edited_covariances_are_sampled_from_as_in_scikit_learn(covariance_type):
    X = make_blobs(0, 200, 3, 1)
    ours = GaussianMixtureEM(1, covariance_type=covariance_type).fit(X)
    theirs = GaussianMixture(1, covariance_type=covariance_type).fit(X)
    before = ours.predict_proba(X), ours.score_samples(X)
    for gmm in (ours, theirs):
        gmm.covariances_ = gmm.covariances_ * 100
    assert_array_equal(ours.predict_proba(X), before[0])
    assert_array_equal(ours.score_samples(X), before[1])
    drawn = [np.cov(gmm.sample(50_000)[0].T) for gmm in (ours, theirs)]
    scale = np.sqrt(np.outer(*[np.diagonal(drawn[1])] * 2))
    assert_allclose(drawn[0] / scale, drawn[1] / scale, atol=0.03)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("factor", [100, 1.01, 0.0625])
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_covariances_and_factors_that_disagree(
    covariance_type, factor, dtype, tmp_path
):
    X = make_blobs(0, 100, 3, 2).astype(dtype)
    gmm = GaussianMixtureEM(2, covariance_type=covariance_type).fit(X)
    gmm.covariances_ = gmm.covariances_ * dtype(factor)
    for call in [*ONLY_OURS.values(), lambda gmm: gmm.save(tmp_path / "model")]:
        with pytest.raises(
            ValueError, match="covariances_ and precisions_cho"
        ) as error:
            call(gmm)
        assert "assign precisions_cholesky_ = " in str(error.value)
    assert not list(tmp_path.iterdir())
    # The remedies are code.
    message = str(error.value)
    formula = message.split("precisions_cholesky_ = ")[1].split(", or cov")[0]
    names = {"np": np, "covariances_": gmm.covariances_.astype(np.float64)}
    gmm.precisions_cholesky_ = eval(formula, names)
    gmm.save(tmp_path / "model")
    assert gmm.mixture_.covariances.shape == (2, 3, 3)


@pytest.mark.parametrize("covariance_type", SK_TYPES)
def test_the_other_remedy_is_code_too(covariance_type):
    gmm = GaussianMixtureEM(2, covariance_type=covariance_type)
    gmm.fit(make_blobs(0, 100, 3, 2))
    expected, gmm.covariances_ = gmm.covariances_, gmm.covariances_ * 2
    with pytest.raises(ValueError) as error:
        _ = gmm.mixture_
    formula = str(error.value).split("or covariances_ = ")[1].removesuffix(".")
    formula = formula.replace(" with U = precisions_cholesky_", "")
    U = gmm.precisions_cholesky_
    found = eval(formula, {"np": np, "U": U, "precisions_cholesky_": U})
    assert_allclose(found, expected, rtol=1e-9)


def nearly_singular(kind, rng):
    """Rows with covariances that are badly conditioned, or not even definite."""
    X = rng.normal(size=(60, 5))
    X[:30] += 4
    t = rng.uniform(size=60)
    return {
        "collinear": np.c_[X[:, :4], X[:, :4].sum(axis=1)],
        "nearly": np.c_[X[:, :4], X[:, :4].sum(axis=1) + 1e-6 * X[:, 4]],
        "powers": np.vander(t, 8),
        "few": X[:6],
        "repeated": np.repeat(X[:6], 10, axis=0),
        "units": X * 10.0 ** np.array([-9, 9, 0, -3, 5]),
        "far": X + 1e6,
    }[kind]


KINDS = ["collinear", "nearly", "powers", "few", "repeated", "units", "far"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("covariance_type", ["full", "tied", "VEE", "EVE", "diag"])
def test_no_fitted_model_is_refused(covariance_type, kind, dtype, tmp_path):
    X = nearly_singular(kind, np.random.default_rng(3)).astype(dtype)
    gmm = GaussianMixtureEM(2, covariance_type=covariance_type).fit(X)
    assert gmm.mixture_.n_components == 2
    gmm.save(tmp_path / "model")
    assert_array_equal(
        GaussianMixtureEM.load(tmp_path / "model").predict(X), gmm.labels_
    )
    gmm.covariances_ = 100 * gmm.covariances_
    with pytest.raises(ValueError, match="disagree"):
        _ = gmm.mixture_


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", ["nearly", "repeated", "units", "far"])
@pytest.mark.parametrize("covariance_type", SK_TYPES)
def test_models_of_scikit_learn_are_taken_over(covariance_type, kind, dtype):
    X = nearly_singular(kind, np.random.default_rng(4)).astype(dtype)
    X -= X.mean(axis=0) if dtype == np.float32 else 0
    fitted = GaussianMixture(2, covariance_type=covariance_type, reg_covar=1e-3).fit(X)
    gmm = GaussianMixtureEM(2, covariance_type=covariance_type)
    for name in ["weights_", "means_", "covariances_", "precisions_cholesky_"]:
        setattr(gmm, name, getattr(fitted, name))
    assert gmm.mixture_.n_features == X.shape[1]
    assert_array_equal(gmm.predict(X), fitted.predict(X))


# Shapes ----------------------------------------------------------------------------


@pytest.mark.parametrize("fitted", SK_TYPES)
@pytest.mark.parametrize("edited", SK_TYPES)
@pytest.mark.parametrize("n_components", [2, 3])  # three: as many as features
def test_another_model_is_followed_where_the_shapes_fit(
    fitted, edited, n_components, tmp_path
):
    X = make_blobs(0, 90, 3, n_components)
    gmm = GaussianMixtureEM(n_components, covariance_type=fitted).fit(X)
    other = GaussianMixtureEM(n_components, covariance_type=edited).fit(X)
    gmm.set_params(covariance_type=edited)
    for name in ["weights_", "means_", "covariances_", "precisions_cholesky_"]:
        setattr(gmm, name, getattr(other, name))
    assert_same_mixture(gmm, other, tmp_path / "model")


@pytest.mark.parametrize("name", ["covariances_", "precisions_cholesky_"])
def test_shapes_that_do_not_fit_are_named(name, tmp_path):
    gmm = GaussianMixtureEM(2).fit(make_blobs(0, 60, 3, 2))
    setattr(gmm, name, np.ones((2, 3)))
    method = gmm.sample if name == "covariances_" else gmm.score_samples
    arguments = [] if name == "covariances_" else [np.zeros((1, 3))]
    with pytest.raises(ValueError, match=name) as error:
        method(*arguments)
    assert "(2, 3)" in str(error.value) and "(2, 3, 3)" in str(error.value)
    with pytest.raises(ValueError, match=name):
        gmm.save(tmp_path / "model")


@pytest.mark.parametrize(
    "name, value, match",
    [
        ("means_", [[0.0], [1.0]], "n_features_in_ is 3"),
        ("weights_", [0.5, 0.25, 0.25], "weights_"),
        ("weights_", [1.5, -0.5], "non-negative"),
        ("means_", [[0.0, np.nan, 0.0]] * 2, "nan"),
        ("precisions_cholesky_", np.zeros((2, 3, 3)), "singular"),
        ("precisions_cholesky_", np.full((2, 3, 3), np.inf), "inf"),
    ],
)
def test_attributes_that_are_no_mixture_are_named(name, value, match):
    gmm = GaussianMixtureEM(2).fit(make_blobs(0, 60, 3, 2))
    setattr(gmm, name, value)
    with pytest.raises(ValueError, match=match):
        gmm.predict(np.zeros((1, 3)))


def test_what_is_missing_altogether_is_named():
    gmm = GaussianMixtureEM(2).fit(make_blobs(0, 60, 3, 2))
    del gmm.covariances_, gmm.precisions_cholesky_
    with pytest.raises(ValueError, match="precisions_cholesky_ is missing"):
        gmm.sample()
    del gmm.means_
    with pytest.raises(ValueError, match="means_ is missing"):
        gmm.sample()
    made = made_of("round", np.ones((2, 3)))
    with pytest.raises(ValueError, match="covariance_type"):
        made.sample()


def test_covariances_that_are_not_definite_are_not_sampled_from():
    gmm = GaussianMixtureEM(2).fit(make_blobs(0, 60, 3, 2))
    gmm.covariances_ = -gmm.covariances_
    with pytest.raises(ValueError, match="covariances_ is not positive definite"):
        gmm.sample()


def test_lists_of_numbers_will_do():
    made = made_of("diag", [[1, 2, 3], [2, 1, 1]])
    made.weights_, made.means_ = [0.5, 0.5], made.means_.tolist()
    other = GaussianMixtureEM.from_parameters(
        made.weights_, made.means_, made.covariances_, "diag"
    )
    X = make_blobs(0, 20, 3, 2)
    assert_array_equal(made.score_samples(X), other.score_samples(X))
    assert made.bic(X) == other.bic(X)
    assert made.partial_fit(X).means_.dtype == np.float64


def test_a_warm_start_begins_with_what_was_assigned():
    X = make_blobs(0, 100, 3, 2)
    gmm = GaussianMixtureEM(2, warm_start=True, max_iter=0).fit(X)
    gmm.means_ = gmm.means_ + 1.0
    expected = gmm.means_.copy()
    assert_array_equal(gmm.fit(X).means_, expected)


# Scales ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype, scale", [(np.float32, 1e-20), (np.float64, 1e-160), (np.float32, 1e-22)]
)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_rows_too_small_for_their_type_are_refused(covariance_type, dtype, scale):
    X = (make_blobs(0, 100, 3, 2) * scale).astype(dtype)
    gmm = GaussianMixtureEM(2, covariance_type=covariance_type)
    with pytest.raises(ValueError, match=f"too small for {np.dtype(dtype)}: scale X"):
        gmm.fit(X)
    assert not hasattr(gmm, "weights_")
    if dtype == np.float32:
        assert np.isfinite(gmm.fit(X.astype(np.float64)).precisions_).all()


@pytest.mark.parametrize("dtype, scale", [(np.float32, 1e-17), (np.float64, 1e-150)])
@pytest.mark.parametrize("covariance_type", SK_TYPES)
def test_small_rows_that_are_fitted_are_saved(covariance_type, dtype, scale, tmp_path):
    X = (make_blobs(0, 100, 3, 2) * scale).astype(dtype)
    gmm = GaussianMixtureEM(2, covariance_type=covariance_type).fit(X)
    gmm.save(tmp_path / "model")
    loaded = GaussianMixtureEM.load(tmp_path / "model")
    assert_array_equal(loaded.predict(X), gmm.labels_)


@pytest.mark.parametrize("covariance_type", SK_TYPES)
@pytest.mark.parametrize("distance", [1e160, 1e200, 1e307])
def test_rows_however_far_away_are_assigned_as_those_before_them(
    covariance_type, distance
):
    rng = np.random.default_rng(5)
    C = covariances_of(covariance_type, rng)
    gmm = made_of(covariance_type, C)
    directions = rng.normal(size=(40, 3))
    directions /= np.abs(directions).max(axis=1, keepdims=True)
    directions[rng.random((40, 3)) < 0.2] = np.nan
    directions = directions[~np.isnan(directions).all(axis=1)]
    far, limits = gmm.predict_proba(directions * distance), []
    for row in directions:  # by the limit of the difference of log-densities
        has = ~np.isnan(row)
        marginal = np.linalg.inv(gmm.mixture_.covariances[:, has][:, :, has])
        x = row[has]
        squares = np.einsum("i,kij,j->k", x, marginal, x)
        linear = np.einsum("i,kij,kj->k", x, marginal, gmm.means_[:, has])
        same = np.ptp(squares) < 1e-12 * squares.max()
        limits.append(linear.argmax() if same else squares.argmin())
    assert_allclose(far, np.eye(2)[limits], atol=1e-15)
    assert_array_equal(gmm.predict(directions * distance), limits)
    row = directions[~np.isnan(directions).any(axis=1)][:1]
    known = GaussianMixtureEM.from_parameters(
        gmm.weights_,
        gmm.means_[:, :2],
        gmm.mixture_.marginal([0, 1]).covariances,
    )
    nearest = known.predict(row[:, :2] * distance)[0]
    share = gmm.mixture_.conditional([0, 1], row[0, :2] * distance).weights
    assert share.argmax() == nearest and share.max() > 0.99


def exact_log_density(row, factors, mean):
    """Of what a row has, with 200 digits."""
    has = [j for j, value in enumerate(row) if not np.isnan(value)]
    with mpmath.workdps(200):
        U = mpmath.matrix(factors.tolist())
        C = mpmath.inverse(U * U.T)
        own = mpmath.matrix(len(has))
        for i, j in np.ndindex(own.rows, own.cols):
            own[i, j] = C[has[i], has[j]]
        z = mpmath.matrix([row[j] - mean[j] for j in has])
        square = (z.T * mpmath.inverse(own) * z)[0]
        log_det = mpmath.log(mpmath.det(own) * (2 * mpmath.pi) ** len(has))
        return float(-(square + log_det) / 2)


@pytest.mark.parametrize("missing", [[0], [3], [1, 2], [0, 3]])
def test_rows_are_scored_where_rounding_leaves_no_definite_matrix(missing):
    """Covariances of the factors have no Cholesky factor in float64."""
    rng = np.random.default_rng(0)
    L = np.tril(rng.normal(size=(4, 4)), -1) + np.diag([1.0, 1.0, 1e-9, 1e-9])
    U = solve_triangular(L, np.eye(4), lower=True).T[None]
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.cholesky(L @ L.T)
    gmm = GaussianMixtureEM(1)
    gmm.weights_, gmm.means_ = np.array([1.0]), np.zeros((1, 4))
    gmm.precisions_cholesky_ = U
    row = L @ rng.normal(size=4)
    row[missing] = np.nan
    expected = exact_log_density(row, U[0], np.zeros(4))
    assert_allclose(gmm.score_samples([row]), expected, rtol=1e-5)
    assert np.isfinite(gmm.impute([row])).all()
    assert gmm.mixture_.marginal([0, 1, 2]).n_features == 3
