"""Fixed parameters, and the conjugate prior."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import MODEL_NAMES, make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.optimize import minimize
from sklearn.base import clone

from emgmm import (
    DegenerateComponentWarning,
    GaussianMixtureEM,
    GaussianMixtureIC,
)
from emgmm._em.fixed import GIVEN_BY, FixedParts
from emgmm._model.families import MODELS

DATA = Path(__file__).parent / "data"
MODELS_OF_STORAGES = ["VVV", "EEE", "VVI", "VII", "VEV"]
WEIGHTS = [0.3, 0.7]
MEANS = np.array([[-1.0, 0.5], [2.0, 1.0]])
ROTATION = np.array([[0.8, -0.6], [0.6, 0.8]])
START = {
    "I": [np.eye(2), np.eye(2)],
    "E": [ROTATION, ROTATION],
    "V": [ROTATION, ROTATION.T],
}
SHAPES = {"I": [1.0, 1.0], "E": [2.0, 2.0], "V": [2.0, 1.2]}
VOLUMES = {"E": [1.0, 1.0], "V": [0.8, 1.3]}


@pytest.fixture(scope="module")
def rows():
    """Two clusters that overlap, in two dimensions."""
    rng = np.random.default_rng(3)
    first = [-1.2, 0.0] + rng.standard_normal((60, 2)) @ [[1.0, 0.6], [0.0, 0.7]]
    second = [1.8, 1.5] + rng.standard_normal((100, 2)) @ [[0.8, 0.0], [-0.4, 1.1]]
    return np.concatenate([first, second])


@pytest.fixture(scope="module")
def incomplete(rows):
    missing = np.random.default_rng(0).random(rows.shape) < 0.15
    missing[missing.all(axis=1)] = False
    return np.where(missing, np.nan, rows)


def start_of(model):
    """Matrices of the form of a model, by its letters: volume, shape, orientation."""
    parts = VOLUMES[model[0]], SHAPES[model[1]], START[model[2]]
    return np.array(
        [v * D @ np.diag([a, 1 / a]) @ D.T for v, a, D in zip(*parts, strict=True)]
    )


def published(model, matrices):
    """Matrices in the layout of the attributes of the model."""
    storage = MODELS[model].storage.__name__
    return {
        "Spherical": matrices[:, 0, 0],
        "Diagonal": np.diagonal(matrices, axis1=1, axis2=2),
        "Tied": matrices[0],
        "Full": matrices,
    }[storage]


def dense(gmm):
    return gmm._mixture().covariances.dense()


def arguments(model):
    """The arguments that give all parameters of a start."""
    inverse = published(model, np.linalg.inv(start_of(model)))
    return {
        "weights_init": WEIGHTS,
        "means_init": MEANS,
        "precisions_init": inverse,
        "covariance_type": model,
        "reg_covar": 0,
        "tol": 1e-13,
        "max_iter": 5000,
    }


class Coordinates:
    """Unconstrained coordinates of two components in two dimensions: the logit of the
    weight, the means, and by the letters of the model log-volumes, logarithms of
    shapes and angles."""

    def __init__(self, model, weights, means, matrices):
        self.model, roots = model, []
        axes = {"I": [np.eye(2)] * 2, "E": [np.linalg.eigh(matrices[0])[1]] * 2}
        axes["V"] = [np.linalg.eigh(matrix)[1] for matrix in matrices]
        for matrix, D in zip(matrices, axes[model[2]], strict=True):
            variances = np.diag(D.T @ matrix @ D)
            volume = np.log(variances).mean()
            angle = np.arctan2(D[1, 0], D[0, 0])
            roots.append([volume, np.log(variances[0]) - volume, angle])
        self.blocks = [np.array([np.log(weights[0] / weights[1])]), np.ravel(means)]
        for letter, values in zip(model, np.array(roots).T, strict=True):
            self.blocks.append({"I": values[:0], "E": values[:1], "V": values}[letter])
        self.free = np.ones(len(np.concatenate(self.blocks)), dtype=bool)

    def fix(self, *blocks):
        """Fix whole blocks, or some entries of one, by pairs."""
        ends = np.cumsum([len(each) for each in self.blocks])
        for block in blocks:
            number, entries = (
                block if isinstance(block, tuple) else (block, slice(None))
            )
            own = self.free[ends[number] - len(self.blocks[number]) : ends[number]]
            own[entries] = False
        return self

    @property
    def vector(self):
        return np.concatenate(self.blocks)[self.free]

    def mixture(self, free):
        whole = np.concatenate(self.blocks)
        whole[self.free] = free
        parts = np.split(whole, np.cumsum([len(each) for each in self.blocks])[:-1])
        weight = 1 / (1 + np.exp(-parts[0][0]))
        volumes, shapes, angles = (
            np.zeros(2) if not len(each) else np.broadcast_to(each, 2)
            for each in parts[2:]
        )
        cos, sin = np.cos(angles), np.sin(angles)
        axes = np.array([[cos, -sin], [sin, cos]]).transpose(2, 0, 1)
        variances = np.exp(volumes[:, None] + np.stack([shapes, -shapes], axis=1))
        matrices = (axes * variances[:, None]) @ axes.mT
        return np.array([weight, 1 - weight]), parts[1].reshape(2, 2), matrices


def log_likelihood(X, weights, means, matrices):
    """Of the observed values of each row."""
    total, seen = 0.0, ~np.isnan(X)
    for pattern in np.unique(seen, axis=0):
        own = X[(seen == pattern).all(axis=1)][:, pattern]
        joint = [
            np.log(w)
            + stats.multivariate_normal(m[pattern], S[np.ix_(pattern, pattern)]).logpdf(
                own
            )
            for w, m, S in zip(weights, means, matrices, strict=True)
        ]
        total += np.logaddexp(*np.reshape(joint, (2, -1))).sum()
    return total


def assert_is_maximum(objective, reached, start):
    """Whether no point that an optimiser finds is better than what was reached, and the
    gradient is zero there. The points are coordinates."""

    def cost(vector, at):
        return -objective(*at.mixture(vector))

    best = objective(*reached.mixture(reached.vector))
    size = max(abs(best), 1.0)
    if not len(start.vector):
        return
    for at in (start, reached):
        found = minimize(cost, at.vector, args=(at,), method="BFGS")
        assert best >= -found.fun - 1e-6 * size
    steps = 1e-4 * np.eye(len(reached.vector))
    gradient = [
        cost(reached.vector + e, reached) - cost(reached.vector - e, reached)
        for e in steps
    ]
    assert np.abs(gradient).max() / 2e-4 < 1e-4 * size


KINDS = {
    "weights": ("weights", [0]),
    "means": ("means", [1]),
    "covariances": ("covariances", [2, 3, 4]),
    "one mean": ({"means": [True, False]}, [(1, slice(0, 2))]),
    "weights and one mean": (
        {"weights": [False, True], "means": [False, True]},
        [0, (1, slice(2, 4))],
    ),
    "means and covariances": (["means", "covariances"], [1, 2, 3, 4]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_what_is_not_fixed_maximises_the_likelihood(rows, model, kind):
    fixed, blocks = KINDS[kind]
    gmm = GaussianMixtureEM(2, **arguments(model), fixed=fixed).fit(rows)
    start = Coordinates(model, WEIGHTS, MEANS, start_of(model)).fix(*blocks)
    reached = Coordinates(model, gmm.weights_, gmm.means_, dense(gmm)).fix(*blocks)
    assert_is_maximum(lambda *at: log_likelihood(rows, *at), reached, start)


@pytest.mark.parametrize("model", ["VVV", "EEE", "VVI", "VEV", "EII"])
def test_the_same_of_what_is_observed(incomplete, model):
    fixed, blocks = KINDS["weights and one mean"]
    gmm = GaussianMixtureEM(2, **arguments(model), fixed=fixed).fit(incomplete)
    start = Coordinates(model, WEIGHTS, MEANS, start_of(model)).fix(*blocks)
    reached = Coordinates(model, gmm.weights_, gmm.means_, dense(gmm)).fix(*blocks)
    assert_is_maximum(lambda *at: log_likelihood(incomplete, *at), reached, start)


@pytest.mark.parametrize("model", ["VVV", "VVI", "VII"])
def test_the_covariances_of_some_components_may_be_fixed(rows, model):
    fixed = {"covariances": [True, False]}
    gmm = GaussianMixtureEM(2, **arguments(model), fixed=fixed).fit(rows)
    blocks = [(2, 0)] + [(b, 0) for b in (3, 4) if model[b - 2] != "I"]
    start = Coordinates(model, WEIGHTS, MEANS, start_of(model)).fix(*blocks)
    reached = Coordinates(model, gmm.weights_, gmm.means_, dense(gmm)).fix(*blocks)
    assert_is_maximum(lambda *at: log_likelihood(rows, *at), reached, start)


@pytest.mark.parametrize("acceleration", ["anderson", None])
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_fixed_parameters_stay_exactly_as_they_are(rows, model, acceleration):
    given = arguments(model) | {"tol": 1e-6, "acceleration": acceleration}
    start = GaussianMixtureEM(2, **given | {"max_iter": 0}).fit(rows)
    names = ["weights", "means", "covariances"]
    for name in names:
        gmm = GaussianMixtureEM(2, **given, fixed=[name]).fit(rows)
        assert gmm.n_iter_ > 2
        for other in names:
            same = np.array_equal(
                getattr(gmm, f"{other}_"), getattr(start, f"{other}_")
            )
            assert same == (other == name)
        assert (np.diff(gmm.lower_bounds_) > -1e-12).all()
    gmm = GaussianMixtureEM(2, **given, fixed="means").fit(rows)
    assert_array_equal(gmm.means_, MEANS)


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_where_everything_is_fixed_nothing_is_estimated(rows, model):
    start = GaussianMixtureEM(2, **arguments(model) | {"max_iter": 0}).fit(rows)
    fixed = ["weights", "means", "covariances"]
    gmm = GaussianMixtureEM(2, **arguments(model), fixed=fixed).fit(rows)
    assert gmm.converged_ and gmm.n_iter_ <= 2
    for name in fixed:
        assert_array_equal(getattr(gmm, f"{name}_"), getattr(start, f"{name}_"))
    assert gmm.lower_bound_ == pytest.approx(start.lower_bound_, rel=1e-13)
    assert gmm.bic(rows) == pytest.approx(-2 * len(rows) * gmm.score(rows))


@pytest.mark.parametrize("model", MODELS_OF_STORAGES)
def test_fixed_parameters_are_those_of_every_start(rows, model):
    given = {"precisions_init": arguments(model)["precisions_init"]}
    given |= {"covariance_type": model, "means_init": MEANS}
    start = GaussianMixtureEM(2, **given, max_iter=0).fit(rows)
    options = {"init_params": "random", "random_state": 0, "n_init": 5, "tol": 1e-9}
    for name in ("means", "covariances"):
        gmm = GaussianMixtureEM(2, **given, **options, fixed=name).fit(rows)
        for other in ("means", "covariances"):
            same = np.array_equal(
                getattr(gmm, f"{other}_"), getattr(start, f"{other}_")
            )
            assert same == (other == name)
        ends = [bounds[-1] for bounds in gmm.lower_bounds_of_starts_]
        assert gmm.lower_bound_ == pytest.approx(max(ends), abs=1e-9)


def test_fixed_means_that_are_equal_stay_so(rows):
    given = {"means_init": [[0.5, 0.5]] * 2, "weights_init": [0.5, 0.5]}
    given["precisions_init"] = [np.eye(2)] * 2
    gmm = GaussianMixtureEM(2, **given, fixed=list(GIVEN_BY)).fit(rows)
    assert_array_equal(gmm.means_, given["means_init"])
    one = {"means": [True, False]}
    gmm = GaussianMixtureEM(2, **given, fixed=one).fit(rows)
    assert_array_equal(gmm.means_[0], [0.5, 0.5])
    assert not np.array_equal(gmm.means_[1], [0.5, 0.5])


@pytest.mark.parametrize("scale", [1e-150, 1e90])
def test_fixed_values_are_exact_in_any_units(rows, scale):
    given = {
        "means_init": MEANS * scale,
        "precisions_init": [[2.0 / scale**2, 1.0 / scale**2]] * 2,
        "covariance_type": "diag",
    }
    gmm = GaussianMixtureEM(2, **given, fixed=["means"]).fit(rows * scale)
    assert_array_equal(gmm.means_, given["means_init"])
    gmm = GaussianMixtureEM(2, **given, fixed=["covariances"]).fit(rows * scale)
    start = GaussianMixtureEM(2, **given, max_iter=0).fit(rows * scale)
    assert_array_equal(gmm.covariances_, start.covariances_)


def test_weights_that_are_not_fixed_share_the_rest_in_proportion_to_rows(blobs):
    given = {
        "weights_init": [0.5, 0.25, 0.25],
        "fixed": {"weights": [True, False, False]},
    }
    gmm = GaussianMixtureEM(3, **given, tol=1e-10).fit(blobs)
    shares = gmm.predict_proba(blobs).mean(axis=0)
    assert gmm.weights_[0] == 0.5
    assert_allclose(gmm.weights_[1:] / 0.5, shares[1:] / shares[1:].sum(), atol=1e-4)


@pytest.mark.parametrize("start", ["split", "kmeans", "random"])
def test_components_of_a_start_are_matched_to_those_that_are_fixed(start):
    rng = np.random.default_rng(0)
    centers = np.array([[0.0, 0], [8, 0], [0, 8], [8, 8]])
    X = np.repeat(centers, 40, axis=0) + rng.standard_normal((160, 2))
    for order in ([2, 0, 3, 1], [3, 2, 1, 0]):
        means = centers[order] + 0.1
        options = {"init_params": start, "random_state": 0, "n_init": 3}
        gmm = GaussianMixtureEM(4, **options, means_init=means, fixed="means").fit(X)
        assert_allclose(gmm.weights_, 0.25, atol=0.01)
        assert_allclose(dense(gmm), np.broadcast_to(np.eye(2), (4, 2, 2)), atol=0.5)


def test_fixed_weights_are_those_of_the_clusters_that_they_suit():
    rng = np.random.default_rng(1)
    sizes = np.array([20, 60, 120])
    X = np.repeat([0.0, 10.0, 20.0], sizes)[:, None] + rng.standard_normal((200, 1))
    gmm = GaussianMixtureEM(3, weights_init=[0.3, 0.1, 0.6], fixed="weights").fit(X)
    assert_allclose(gmm.means_.ravel(), [10, 0, 20], atol=0.7)


def test_a_fit_continues_with_fixed_parameters_of_the_one_before(rows):
    gmm = GaussianMixtureEM(2, warm_start=True, random_state=0).fit(rows)
    means = gmm.means_.copy()
    gmm.set_params(fixed="means").fit(rows[:100])
    assert_array_equal(gmm.means_, means)
    assert not np.array_equal(gmm.weights_, GaussianMixtureEM(2).fit(rows).weights_)
    with pytest.raises(ValueError, match="means_init is None"):
        gmm.set_params(warm_start=False).fit(rows)


def test_criteria_count_what_is_free(blobs):
    free = GaussianMixtureEM(3).fit(blobs)
    K, d = free.means_.shape
    for name, number in (("weights", K - 1), ("means", K * d), ("covariances", K * 6)):
        given = {
            "weights_init": free.weights_,
            "means_init": free.means_,
            "precisions_init": free.precisions_,
        }
        gmm = GaussianMixtureEM(K, **given, fixed=[name]).fit(blobs)
        deviance = -2 * gmm.score(blobs) * len(blobs)
        free_ones = free._n_parameters() - number
        assert gmm.aic(blobs) == pytest.approx(deviance + 2 * free_ones)
        gmm.set_params(fixed=None)
        assert gmm.aic(blobs) == pytest.approx(deviance + 2 * free_ones)
        assert gmm.fit(blobs)._n_parameters() == free._n_parameters()


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_everything_fixed_leaves_no_parameter(model):
    family = MODELS[model]
    parts = FixedParts.of(["weights", "means", "covariances"], family, 3)
    assert parts.n_parameters(family, 4) == family.n_parameters_of_mixture(3, 4)


def test_fixed_covariances_give_no_warning_of_few_rows():
    X = np.concatenate([np.zeros((1, 2)), 5 + np.random.default_rng(0).random((30, 2))])
    given = {"means_init": [[0.0, 0], [5.5, 5.5]], "precisions_init": [np.eye(2)] * 2}
    gmm = GaussianMixtureEM(2, **given, fixed={"covariances": [True, False]}).fit(X)
    assert gmm.weights_[0] * len(X) == pytest.approx(1, abs=0.1)


# The prior ------------------------------------------------------------------------


def prior_density(model, mixture, X, n_components=2):
    """The logarithm of the default prior, by SciPy."""
    _, means, matrices = mixture
    d, kappa, dof = X.shape[1], 0.01, X.shape[1] + 2
    scale = np.cov(X.T) / n_components ** (2 / d)
    center, isotropic = X.mean(axis=0), np.diag(scale).mean()
    total = sum(
        stats.multivariate_normal(center, S / kappa).logpdf(m)
        for m, S in zip(means, matrices, strict=True)
    )
    storage = MODELS[model].storage.__name__
    once = MODELS[model].own(d) == 0
    for S in matrices[:1] if once else matrices:
        if storage in ("Full", "Tied"):
            total += stats.invwishart(dof, scale).logpdf(S)
            continue
        variances = np.diag(S)[: d if storage == "Diagonal" else 1]
        total += stats.invgamma(dof / 2, scale=isotropic / 2).logpdf(variances).sum()
    return total


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_the_posterior_is_maximised(rows, model):
    gmm = GaussianMixtureEM(2, **arguments(model), prior="conjugate").fit(rows)
    start = Coordinates(model, WEIGHTS, MEANS, start_of(model))
    reached = Coordinates(model, gmm.weights_, gmm.means_, dense(gmm))

    def posterior(*at):
        return log_likelihood(rows, *at) + prior_density(model, at, rows)

    assert_is_maximum(posterior, reached, start)
    given = arguments(model) | {"max_iter": 0}
    first = GaussianMixtureEM(2, **given, prior="conjugate").fit(rows)
    gain = posterior(*reached.mixture(reached.vector)) - posterior(
        *start.mixture(start.vector)
    )
    assert len(rows) * (gmm.lower_bound_ - first.lower_bound_) == pytest.approx(gain)


@pytest.mark.parametrize("model", ["VVV", "EEE", "VVI", "VEE"])
def test_a_prior_and_fixed_means_go_together(rows, model):
    options = {"prior": "conjugate", "fixed": {"means": [True, False]}}
    gmm = GaussianMixtureEM(2, **arguments(model), **options).fit(rows)
    blocks = [(1, slice(0, 2))]
    start = Coordinates(model, WEIGHTS, MEANS, start_of(model)).fix(*blocks)
    reached = Coordinates(model, gmm.weights_, gmm.means_, dense(gmm)).fix(*blocks)

    def posterior(*at):
        return log_likelihood(rows, *at) + prior_density(model, at, rows)

    assert_is_maximum(posterior, reached, start)
    assert_array_equal(gmm.means_[0], MEANS[0])


@pytest.mark.parametrize("acceleration", ["anderson", None])
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_the_posterior_never_falls(model, acceleration):
    X = make_blobs(seed=5, n_samples=40, n_features=4, n_components=3)
    options = {"init_params": "random_from_data", "random_state": 0, "tol": 1e-7}
    gmm = GaussianMixtureEM(
        3,
        covariance_type=model,
        acceleration=acceleration,
        prior="conjugate",
        **options,
    ).fit(X)
    assert (np.diff(gmm.lower_bounds_) > -1e-12).all()
    assert gmm.lower_bound_ > gmm.lower_bounds_[0]
    assert gmm.converged_


@cache
def load(name):
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def records(kind):
    return [
        pytest.param(record, id=f"{record['model']}-{record['G']}")
        for record in load("prior_iris")[kind]
    ]


def with_r(record, start, **options):
    """A fit of R's data with R's default prior, from R's start."""
    gmm = GaussianMixtureEM(
        record["G"],
        covariance_type=record["model"],
        init_params=start,
        reg_covar=0,
        prior="conjugate",
        **options,
    )
    return gmm.fit(load("me_iris")["data"])


@pytest.mark.parametrize("record", records("mstep_prior"))
def test_m_steps_with_a_prior_are_those_of_mclust(record):
    gmm = with_r(record, load("mstep_iris")["z"], max_iter=0)
    for name, found in (
        ("weights", gmm.weights_),
        ("means", gmm.means_),
        ("covariances", dense(gmm)),
    ):
        assert_allclose(found, record[name], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("record", records("me_prior"))
def test_fits_with_a_prior_are_those_of_mclust(record):
    labels = load("me_iris")["labels"][str(record["G"])]
    gmm = with_r(record, labels, tol=1e-14, max_iter=5000)
    X = load("me_iris")["data"]
    assert gmm.score(X) * len(X) == pytest.approx(record["loglik"], rel=1e-8)
    assert gmm.bic(X) == pytest.approx(-record["bic"], rel=1e-8)
    assert_allclose(gmm.means_, record["means"], atol=1e-6)
    assert_allclose(dense(gmm), record["covariances"], atol=1e-6)


@pytest.mark.parametrize("model", load("prior_iris")["bic_of_one_component"])
def test_a_search_with_a_prior_has_the_criterion_of_mclust(model, iris):
    search = GaussianMixtureIC(
        [1, 2], covariance_type=model, prior="conjugate", reg_covar=0
    ).fit(iris)
    expected = load("prior_iris")["bic_of_one_component"][model]
    assert search.criterion_[0] == pytest.approx(-expected, rel=1e-10)
    assert_allclose(search.bic(iris), search.results_["bic"].min(), rtol=1e-12)
    best = search.best_estimator_
    assert best.prior == "conjugate"
    alone = GaussianMixtureEM(
        best.n_components, covariance_type=model, prior="conjugate", reg_covar=0
    ).fit(iris)
    assert best.lower_bound_ == pytest.approx(alone.lower_bound_, abs=1e-3)
    assert best.lower_bound_ != pytest.approx(best.score(iris), abs=1e-4)


def test_options_of_the_prior_that_are_its_defaults_change_nothing(iris):
    d, n_components = 4, 3
    scale = np.cov(iris.T) / n_components ** (2 / d)
    own = {"mean": iris.mean(axis=0), "shrinkage": 0.01, "dof": d + 2, "scale": scale}
    labels = np.arange(150) // 50
    options = {"init_params": labels, "tol": 1e-8}
    default = GaussianMixtureEM(3, prior="conjugate", **options).fit(iris)
    for prior in (own, {}, {"dof": d + 2}, {"scale": scale, "mean": None}):
        gmm = GaussianMixtureEM(3, prior=prior, **options).fit(iris)
        assert_allclose(gmm.covariances_, default.covariances_, rtol=1e-9)
        assert gmm.lower_bound_ - gmm.lower_bounds_[0] == pytest.approx(
            default.lower_bound_ - default.lower_bounds_[0]
        )


@pytest.mark.parametrize(
    ("scale", "same"), [(2.0, [2.0, 2.0]), ([1.0, 3.0], [[1.0, 0.0], [0.0, 3.0]])]
)
@pytest.mark.parametrize("model", ["VVV", "VVI", "VII", "EEE"])
def test_a_scale_may_be_a_number_or_variances(rows, model, scale, same):
    one, other = (
        GaussianMixtureEM(2, covariance_type=model, prior={"scale": each}).fit(rows)
        for each in (scale, same)
    )
    assert_array_equal(one.covariances_, other.covariances_)


def test_a_strong_prior_has_its_way(rows):
    prior = {"mean": [7.0, -7.0], "shrinkage": 1e9, "dof": 1e9, "scale": 5e9}
    gmm = GaussianMixtureEM(1, prior=prior).fit(rows)
    assert_allclose(gmm.means_, [[7, -7]], atol=1e-5)
    assert_allclose(gmm.covariances_, [5 * np.eye(2)], atol=1e-4)


def test_with_a_prior_few_rows_are_enough():
    X = make_blobs(seed=1, n_samples=9, n_features=5, n_components=3)
    gmm = GaussianMixtureEM(3, prior="conjugate").fit(X)
    assert np.linalg.eigvalsh(gmm.covariances_).min() > 1e-3
    gmm = GaussianMixtureEM(2, prior={"scale": 1.0}).fit(np.repeat(X[:2], 4, axis=0))
    assert np.linalg.eigvalsh(gmm.covariances_).min() > 0.05
    with pytest.warns(DegenerateComponentWarning, match="no variance in some direct"):
        GaussianMixtureEM(2, prior="conjugate").fit(np.repeat(X[:2], 4, axis=0))


@pytest.mark.parametrize("missing", [False, True])
def test_a_prior_is_the_same_in_any_units(rows, incomplete, missing):
    X = incomplete if missing else rows
    options = {"prior": "conjugate", "init_params": np.arange(len(X)) // 60 > 0}
    options["init_params"] = options["init_params"].astype(int)
    plain = GaussianMixtureEM(2, **options, tol=1e-9).fit(X)
    scale = 2.0**-400
    scaled = GaussianMixtureEM(2, **options, tol=1e-9).fit(X * scale)
    assert_allclose(scaled.means_, plain.means_ * scale, rtol=1e-9)
    assert_allclose(scaled.covariances_, plain.covariances_ * scale**2, rtol=1e-9)
    gains = [np.diff(gmm.lower_bounds_) for gmm in (plain, scaled)]
    assert_allclose(*gains, atol=1e-9)
    assert scaled.lower_bound_ == pytest.approx(scaled.lower_bounds_[-2], abs=1e-6)


# Both, with all kinds of rows ---------------------------------------------------------


KNOWLEDGE = {
    "fixed means": {"fixed": "means", "means_init": MEANS},
    "prior": {"prior": "conjugate"},
    "both": {
        "fixed": {"means": [True, False]},
        "means_init": MEANS,
        "prior": {"shrinkage": 2, "dof": 9},
    },
}


def fitted(X, model, knowledge, sample_weight=None, **options):
    options = {"tol": 1e-10, "covariance_type": model} | options
    gmm = GaussianMixtureEM(2, **KNOWLEDGE[knowledge], **options)
    return gmm.fit(X, sample_weight=sample_weight)


def assert_alike(gmm, expected, rtol=1e-7):
    for name in ("weights_", "means_", "covariances_", "lower_bound_"):
        one, other = getattr(gmm, name), getattr(expected, name)
        assert_allclose(one, other, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("knowledge", KNOWLEDGE)
@pytest.mark.parametrize("model", MODELS_OF_STORAGES)
def test_weights_are_repetitions(rows, model, knowledge):
    weights = np.random.default_rng(0).integers(0, 4, len(rows))
    weighted = fitted(rows, model, knowledge, weights)
    assert_alike(weighted, fitted(np.repeat(rows, weights, axis=0), model, knowledge))


@pytest.mark.parametrize("knowledge", KNOWLEDGE)
@pytest.mark.parametrize("model", MODELS_OF_STORAGES)
def test_blocks_and_maps_are_fitted_as_arrays(incomplete, model, knowledge, tmp_path):
    start = {"init_params": "random_from_data", "random_state": 0}
    for X in (incomplete, incomplete[~np.isnan(incomplete).any(axis=1)]):
        whole = fitted(X, model, knowledge, **start)
        assert_alike(fitted([X[:50], X[50:]], model, knowledge, **start), whole)
        np.save(tmp_path / "rows.npy", X)
        mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
        assert_alike(fitted(mapped, model, knowledge, **start), whole)


@pytest.mark.parametrize("knowledge", KNOWLEDGE)
def test_dask_arrays_are_fitted_as_arrays(rows, knowledge):
    array = pytest.importorskip("dask.array")
    whole = fitted(rows, "VVV", knowledge)
    chunks = array.from_array(rows, chunks=(40, 2))
    assert_alike(fitted(chunks, "VVV", knowledge), whole)


@pytest.mark.parametrize("knowledge", KNOWLEDGE)
def test_float32_rows_give_nearly_the_same(rows, knowledge):
    single = fitted(rows.astype(np.float32), "VVV", knowledge, tol=1e-6)
    assert single.means_.dtype == np.float32
    assert_alike(single, fitted(rows, "VVV", knowledge, tol=1e-6), rtol=2e-3)


@pytest.mark.parametrize("knowledge", KNOWLEDGE)
@pytest.mark.parametrize("model", MODELS_OF_STORAGES)
def test_streams_approach_the_fit(rows, model, knowledge):
    rng = np.random.default_rng(0)
    X = np.repeat(rows, 20, axis=0) + 0.1 * rng.standard_normal((20 * len(rows), 2))
    rng.shuffle(X)
    options = {"covariance_type": model, "init_params": "kmeans", "random_state": 0}
    stream = GaussianMixtureEM(2, **KNOWLEDGE[knowledge], **options)
    for batch in np.array_split(X, 10):
        stream.partial_fit(batch)
    whole = clone(stream).fit(X)
    assert stream.score(X) == pytest.approx(whole.score(X), abs=0.01)
    fixed = FixedParts.of(stream.fixed, MODELS[model], 2)
    if fixed:
        assert_array_equal(stream.means_[fixed.means], MEANS[fixed.means])
    assert stream._n_parameters() == whole._n_parameters()


def test_a_prior_fades_as_a_stream_goes_on(rows):
    prior = {"mean": [50.0, 50.0], "shrinkage": 20.0}
    gmm = GaussianMixtureEM(1, prior=prior)
    for number in range(1, 4):
        gmm.partial_fit(rows)
        n = number * len(rows)
        expected = (rows.mean(axis=0) * n + 20 * 50) / (n + 20)
        assert_allclose(gmm.means_[0], expected, rtol=1e-10)


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_a_stream_after_a_fit_applies_the_prior_once(rows, model):
    prior = {"mean": [1.0, 2.0], "shrinkage": 5.0, "dof": 30.0, "scale": 20.0}
    options = {"covariance_type": model, "tol": 1e-12, "reg_covar": 0}
    gmm = GaussianMixtureEM(2, prior=prior, **options).fit(rows)
    before = gmm._mixture()
    gmm.partial_fit(rows, sample_weight=np.full(len(rows), 1e-9))
    assert_allclose(gmm.means_, before.means, rtol=1e-5)
    assert_allclose(dense(gmm), before.covariances.dense(), rtol=1e-4, atol=1e-6)
    known = GaussianMixtureEM.from_parameters([1.0], [[0.0, 0.0]], [1e-3 * np.eye(2)])
    known.set_params(prior="conjugate").partial_fit(rows)
    assert np.linalg.eigvalsh(known.covariances_).min() > 0


@pytest.mark.parametrize("knowledge", KNOWLEDGE)
def test_files_and_clones_keep_what_is_known(rows, knowledge, tmp_path):
    gmm = fitted(rows, "VVV", knowledge)
    gmm.save(tmp_path / "model.npz")
    loaded = GaussianMixtureEM.load(tmp_path / "model.npz")
    assert loaded.bic(rows) == gmm.bic(rows)
    assert loaded.lower_bound_ == gmm.lower_bound_
    for again in (loaded, clone(gmm)):
        assert_array_equal(again.fit(rows).means_, gmm.means_)
        assert again.bic(rows) == gmm.bic(rows)
    with_set = GaussianMixtureEM(2, fixed={"means"}, means_init=MEANS).fit(rows)
    with_set.save(tmp_path / "set.npz")
    assert GaussianMixtureEM.load(tmp_path / "set.npz").fixed == ["means"]
    arrays = {
        "prior": {"scale": np.eye(2)},
        "fixed": {"means": np.array([True, False])},
    }
    gmm.set_params(**arrays, means_init=MEANS).fit(rows).save(tmp_path / "arrays.npz")
    loaded = GaussianMixtureEM.load(tmp_path / "arrays.npz")
    assert loaded.fit(rows).lower_bound_ == gmm.lower_bound_


@pytest.mark.parametrize("change", [{"prior": None}, {"prior": {"dof": 20}}])
def test_a_fit_with_another_prior_is_not_the_last_one_continued(rows, change):
    options = {"warm_start": True, "max_iter": 3, "tol": 0, "acceleration": None}
    options |= {"init_params": "random", "random_state": 0}
    gmm = GaussianMixtureEM(2, prior="conjugate", **options)
    with pytest.warns(match="did not converge"):
        gmm.fit(rows)
        before = gmm._mixture()
        gmm.set_params(**change).fit(rows)
    means = gmm.means_.copy()
    afresh = GaussianMixtureEM(
        2,
        weights_init=before.weights,
        means_init=before.means,
        precisions_init=np.linalg.inv(before.covariances.values),
        **options | change,
    )
    with pytest.warns(match="did not converge"):
        afresh.fit(rows)
    assert_allclose(means, afresh.means_, rtol=1e-9)


def test_a_fit_that_is_continued_is_one_fit(rows):
    options = {"acceleration": "anderson", "tol": 0, **KNOWLEDGE["both"]}
    start = {"init_params": "random", "random_state": 0}
    whole = GaussianMixtureEM(2, max_iter=8, **options, **start)
    parts = GaussianMixtureEM(2, max_iter=4, warm_start=True, **options, **start)
    with pytest.warns(match="did not converge"):
        whole.fit(rows)
        parts.fit(rows).fit(rows)
    assert_array_equal(parts.means_, whole.means_)
    assert parts.lower_bound_ == whole.lower_bound_


def test_several_starts_are_ranked_by_the_posterior(rows):
    prior = {"mean": [3.0, 3.0], "shrinkage": 5.0}
    options = {"init_params": "random_from_data", "random_state": 0, "prior": prior}
    gmm = GaussianMixtureEM(2, n_init=8, **options).fit(rows)
    ends = [bounds[-1] for bounds in gmm.lower_bounds_of_starts_]
    assert gmm.lower_bound_ == pytest.approx(max(ends), abs=1e-9)


# Bad input --------------------------------------------------------------------------


BAD = {
    "unknown name": ({"fixed": ["meens"]}, "fixed has 'meens'.* Did you mean 'means'"),
    "not given": (
        {"fixed": "weights"},
        "weights_init is None: pass .* or set warm_star",
    ),
    "no precisions": ({"fixed": ["covariances"]}, "precisions_init is None"),
    "shape": ({"fixed": {"means": [True]}}, r"fixed\['means'\] is \[True\]: pass True"),
    "numbers": ({"fixed": {"means": [1, 0]}}, "one boolean for each of the 2"),
    "tied": (
        {
            "fixed": {"covariances": [True, False]},
            "covariance_type": "tied",
            "precisions_init": np.eye(2),
        },
        "model EEE have parameters in common: fix all",
    ),
    "no weight left": (
        {"fixed": {"weights": [True, False]}, "weights_init": [1.0, 0.0]},
        "nothing is left",
    ),
    "shape of means": ({"fixed": "means", "means_init": [[1.0]]}, "shape of"),
    "option": ({"prior": {"doff": 5}}, "prior has 'doff'.* Did you mean 'dof'"),
    "few degrees": ({"prior": {"dof": 1}}, "dof=1: give a finite number of 2 "),
    "no degrees": ({"prior": {"dof": "many"}}, "dof='many'"),
    "negative": ({"prior": {"shrinkage": -0.1}}, "shrinkage=-0.1: give .* 0"),
    "indefinite": ({"prior": {"scale": [[1, 2], [2, 1]]}}, "positive definite"),
    "no variance": ({"prior": {"scale": 0}}, "positive definite"),
    "variances": ({"prior": {"scale": [1, 2, 3]}}, "shape of"),
    "mean": ({"prior": {"mean": [1, np.nan]}}, "contains nan"),
    "name of prior": ({"prior": "conjugated"}, "Did you mean 'conjugate'"),
}


@pytest.mark.parametrize("problem", BAD)
def test_bad_input_is_refused_and_changes_nothing(rows, problem):
    options, message = BAD[problem]
    gmm = GaussianMixtureEM(2).fit(rows).set_params(**options)
    before = vars(gmm).copy()
    with pytest.raises(ValueError, match=message):
        gmm.fit(rows)
    assert vars(gmm) == before
