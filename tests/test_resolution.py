"""Atoms and rounding: steps that are found, variances that are bounded by them."""

import warnings

import numpy as np
import pytest
from conftest import MODEL_NAMES
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import NonlinearConstraint, minimize
from sklearn.metrics import adjusted_rand_score

from emgmm import GaussianMixtureEM, GaussianMixtureIC
from emgmm._data.resolution import steps_of
from emgmm._em.regularization import VARIANCE_OF_ROUNDING
from emgmm._model.families import MODELS
from emgmm._model.segments import Segments

RNG = np.random.default_rng(0)
NORMAL = RNG.standard_normal(1000)
MULTIPLES = {
    "integers": (np.round(5 * NORMAL), 1.0),
    "tenths": (NORMAL.round(1), 0.1),
    "thousandths": (NORMAL.round(3), 0.001),
    "years": (RNG.integers(1950, 2020, 500), 1.0),
    "thirds": (np.round(3 * NORMAL) / 3, 1 / 3),
    "bytes as shares": (RNG.integers(0, 256, 1000) / 255, 1 / 255),
    "standardised": ((NORMAL.round(1) - 0.0312) / 0.97, 0.1 / 0.97),
    "far from zero": (1e4 + NORMAL.round(2), 0.01),
    "single precision": (NORMAL.round(1).astype(np.float32), 0.1),
    "a flag": (RNG.integers(0, 2, 100), 1.0),
    "a few that are not rounded": (np.r_[NORMAL.round(1), NORMAL[:10]], 0.1),
    "missing values": (np.r_[NORMAL.round(1), np.full(50, np.nan)], 0.1),
}
CONTINUOUS = {
    "normal": NORMAL,
    "three rows": NORMAL[:3],
    "two rows": NORMAL[:2],
    "far from zero": 1e8 + NORMAL,
    "single precision": (1e3 + NORMAL).astype(np.float32),
    "heavy tails": RNG.standard_cauchy(5000),
    "an atom": np.where(RNG.random(1000) < 0.2, 0.0, NORMAL + 10),
    "next to nothing but an atom": np.where(RNG.random(1000) < 0.95, 0.0, NORMAL + 10),
    "drawn with replacement": NORMAL[RNG.integers(0, 1000, 1000)],
}


def step_of(values):
    """The step of a feature beside another, by which no two rows are equal."""
    other = np.random.default_rng(1).standard_normal(len(values))
    return steps_of(np.c_[values, other.astype(values.dtype)])[:1]


@pytest.mark.parametrize("values, step", MULTIPLES.values(), ids=MULTIPLES)
def test_the_step_of_rounded_values_is_found(values, step):
    if values.dtype.kind == "i":
        values = values.astype(float)
    assert_allclose(step_of(values), step, rtol=1e-5)


@pytest.mark.parametrize("values", CONTINUOUS.values(), ids=CONTINUOUS)
def test_continuous_values_have_no_step(values):
    assert_array_equal(step_of(values), 0.0)


def test_equal_rows_are_no_sign_of_a_step():
    X = np.random.default_rng(0).standard_normal((15, 3))
    assert_array_equal(steps_of(X.repeat(4, axis=0)), 0.0)
    assert np.isnan(steps_of(X[:1].repeat(4, axis=0))).all()


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e-300, -7e10])
def test_a_constant_is_known_as_one(constant):
    assert np.isnan(step_of(np.full(30, constant))).all()


def test_levels_that_are_no_multiples_have_the_distance_of_neighbours():
    counts = RNG.poisson(5, 1000)
    levels = np.unique(np.log1p(counts))
    (step,) = step_of(np.log1p(counts))
    assert np.diff(levels).min() <= step <= np.diff(levels).max()


@pytest.mark.parametrize("unit, shift", [(2.0**-30, 0.0), (1e6, 0.0), (1.0, 1e3)])
def test_steps_follow_unit_and_shift(unit, shift):
    values = NORMAL.round(2)
    assert_allclose(step_of(unit * values + shift), unit * 0.01, rtol=1e-6)


def test_steps_of_chunks_are_those_of_all_rows():
    """Even where a feature is constant in every chunk."""
    X = np.c_[NORMAL.round(1), np.repeat([0.0, 1.0], 500), NORMAL, np.ones(1000)]
    gmm = GaussianMixtureEM(2).fit(X)
    blocks = [X[i : i + 250] for i in range(0, 1000, 250)]
    assert_allclose(
        GaussianMixtureEM(2).fit(blocks).covariances_,
        gmm.covariances_,
        rtol=1e-6,
        atol=1e-9,
    )


# The bounded M-step ----------------------------------------------------------------


def lattice_problem(n_features):
    """Counts, and scatters of which two are as good as flat in some directions."""
    rng = np.random.default_rng(3)
    counts = np.array([30.0, 50.0, 20.0])
    roots = rng.standard_normal((3, n_features, n_features))
    scatter = counts[:, None, None] * (roots @ roots.mT)
    flat = np.eye(n_features)
    flat[0, 0] = 0.0
    scatter[1] = flat @ scatter[1] @ flat
    scatter[2] *= 1e-8
    return counts, scatter


def of_storage(family, scatter):
    kind = family.storage.moment_kind.name
    if kind == "diagonal":
        return np.diagonal(scatter, axis1=1, axis2=2)
    return scatter.sum(axis=0, keepdims=True) if kind == "pooled" else scatter


@np.errstate(all="ignore")  # as the M-step has it
def estimate(family, counts, scatter):
    return family.estimate(Segments.one(len(counts)), counts, scatter, None)


def dense(family, values, n_features):
    return family.storage.from_values(values, Segments.one(3), n_features).dense()


def loss(counts, scatter, matrices):
    """Minus twice the expected log-likelihood, up to a constant."""
    _, log_dets = np.linalg.slogdet(matrices)
    solved = np.linalg.solve(matrices, scatter)
    return counts @ log_dets + np.trace(solved, axis1=1, axis2=2).sum()


@pytest.mark.parametrize("least", [(0.3, 0.2, 0.1), (0.2, 0.2, 0.2)], ids=str)
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_variances_are_at_the_bound_or_above(name, least):
    counts, scatter = lattice_problem(3)
    least = np.array(least)
    family = MODELS[name].bounded(least)
    values = estimate(family, counts, of_storage(family, scatter))
    if family.storage.has_variances_of_features:
        excess = dense(family, values, 3) - np.diag(least)
        assert np.linalg.eigvalsh(excess).min() >= -1e-5 * least.max()
    else:
        assert values.min() >= (1 - 1e-5) * least.mean()


@pytest.mark.parametrize("name", ["VVV", "EEE"])
def test_matrices_of_many_features_are_at_the_bound_or_above(name):
    rng = np.random.default_rng(0)
    rows = np.eye(300)[rng.integers(0, 300, (3, 60))]
    deviations = rows - rows.mean(axis=1, keepdims=True)
    least = rng.uniform(0.1, 0.2, 300)
    family = MODELS[name].bounded(least)
    scatter = of_storage(family, deviations.mT @ deviations)
    values = estimate(family, np.full(3, 60.0), scatter)
    excess = dense(family, values, 300) - np.diag(least)
    assert np.linalg.eigvalsh(excess).min() >= -1e-7


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_a_bound_below_all_variances_changes_no_bit(name):
    counts, scatter = lattice_problem(3)
    scatter += 50 * np.eye(3)
    family = MODELS[name]
    rows = of_storage(family, scatter)
    bounded = estimate(family.bounded(np.full(3, 1e-3)), counts, rows)
    assert_array_equal(bounded, estimate(family, counts, rows))


def factor_of(parameters, n_features):
    lower = np.zeros((n_features, n_features))
    lower[np.tril_indices(n_features)] = parameters
    return lower


@pytest.mark.parametrize("name", ["VVV", "EEE"])
def test_matrices_are_the_most_likely_ones_within_the_bound(name):
    """Beside a general optimiser, over S = diag(least) + L L'."""
    counts, scatter = lattice_problem(2)
    least = np.array([0.3, 0.2])
    family = MODELS[name].bounded(least)
    values = estimate(family, counts, of_storage(family, scatter))
    found = dense(family, values, 2)
    groups = [slice(k, k + 1) for k in range(3)] if name == "VVV" else [slice(0, 3)]
    for group in groups:

        def objective(parameters, group=group):
            lower = factor_of(parameters, 2)
            matrix = np.diag(least) + lower @ lower.T
            matrices = np.broadcast_to(matrix, scatter[group].shape)
            return loss(counts[group], scatter[group], matrices)

        best = min(
            minimize(objective, start, method="BFGS").fun
            for start in ([1.0, 0.0, 1.0], [0.1, 0.2, 2.0], [2.0, -1.0, 0.1])
        )
        own = loss(counts[group], scatter[group], found[group])
        assert own == pytest.approx(best, rel=1e-5)


@pytest.mark.filterwarnings("ignore:delta_grad")
@pytest.mark.parametrize("name", ["VEI", "EVI"])
def test_variances_with_shared_parts_are_the_most_likely_ones_within_the_bound(name):
    """A convex problem in logarithms; beside a general optimiser with a penalty."""
    counts, scatter = lattice_problem(3)
    least = np.array([0.3, 0.2, 0.1])
    family = MODELS[name].bounded(least)
    rows = of_storage(family, scatter)
    found = estimate(family, counts, rows)

    def variances(parameters):
        if name == "VEI":
            volumes, shape = np.exp(parameters[:3]), np.exp(parameters[3:])
            return volumes[:, None] * shape
        shapes = parameters[1:].reshape(3, 3)
        return np.exp(parameters[0] + shapes - shapes.mean(axis=1, keepdims=True))

    def objective(parameters):
        v = variances(parameters)
        return float((counts[:, None] * np.log(v) + rows / v).sum())

    size = 6 if name == "VEI" else 10
    result = minimize(
        objective,
        np.ones(size),
        method="trust-constr",
        constraints=NonlinearConstraint(
            lambda p: (np.log(variances(p)) - np.log(least)).ravel(), 0, np.inf
        ),
        options={"maxiter": 3000, "gtol": 1e-8},
    )
    own = float((counts[:, None] * np.log(found) + rows / found).sum())
    assert own == pytest.approx(result.fun, rel=1e-3)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_the_likelihood_never_falls_where_the_bound_is_met(name):
    rng = np.random.default_rng(1)
    X = np.r_[rng.normal(0, 0.6, (150, 2)), rng.normal(3, 0.6, (150, 2))].round()
    gmm = GaussianMixtureEM(4, covariance_type=name, tol=0, max_iter=60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gmm.fit(X)
    # Where components share parts the bound is met to a millionth of it or less.
    exact = name in ("EII", "VII", "EEI", "VVI", "EEE", "VVV")
    assert np.diff(gmm.lower_bounds_).min() >= (-1e-12 if exact else -1e-7)


# What users see ---------------------------------------------------------------------


def blobs_and_zeros(seed):
    rng = np.random.default_rng(seed)
    X = np.repeat([[0.0, 0], [10, 0], [0, 10], [10, 10]], [400, 600, 600, 400], axis=0)
    X[400:] += rng.standard_normal((1600, 2))
    return X, np.repeat(range(4), [400, 600, 600, 400])


@pytest.mark.parametrize("jitter", [0.0, 1e-12, 1e-9, 1e-8, 1e-7, 1e-6, 1e-3])
def test_a_point_with_many_rows_is_a_cluster(jitter):
    X, classes = blobs_and_zeros(0)
    X[:400] += jitter * np.random.default_rng(1).standard_normal((400, 2))
    gmm = GaussianMixtureEM(4).fit(X)  # a warning would be an error
    assert adjusted_rand_score(classes, gmm.labels_) > 0.99


def test_rows_in_any_order_and_counts_as_weights_do_the_same():
    rng = np.random.default_rng(0)
    colors = np.array([[0.0, 0, 0], [200, 40, 60], [80, 190, 70], [60, 90, 210]])
    classes = rng.integers(0, 4, 2000)
    X = colors[classes] + 9 * rng.standard_normal((2000, 3)) * (classes > 0)[:, None]
    X = np.clip(X, 0, 255).round()
    first = GaussianMixtureEM(4).fit(X)
    assert adjusted_rand_score(classes, first.labels_) > 0.95
    order = rng.permutation(2000)
    shuffled = GaussianMixtureEM(4).fit(X[order])
    distinct, inverse, counts = np.unique(
        X, axis=0, return_inverse=True, return_counts=True
    )
    weighted = GaussianMixtureEM(4).fit(distinct, sample_weight=counts)
    assert_allclose(shuffled.score(X), first.score(X), rtol=1e-8)
    assert_allclose(weighted.score(X), first.score(X), rtol=1e-8)
    assert_array_equal(weighted.labels_[inverse.ravel()], first.labels_)


def test_components_do_not_follow_the_levels_of_one_hot_columns():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 2))
    X[300:, 0] += 6
    X = np.c_[X, np.eye(4)[rng.integers(0, 4, 600)]]
    labels = GaussianMixtureEM(2).fit_predict(X)
    assert adjusted_rand_score(np.repeat([0, 1], 300), labels) > 0.95


@pytest.mark.parametrize("constant", [1e200, -1e300, 1.7e308])
@pytest.mark.parametrize("name", ["full", "tied", "diag", "spherical"])
def test_constants_of_any_size_warn_of_nothing(name, constant):
    X, classes = blobs_and_zeros(2)
    rows = np.c_[X[400:], np.full(1600, constant)]
    gmm = GaussianMixtureEM(3, covariance_type=name).fit(rows)
    assert adjusted_rand_score(classes[400:], gmm.predict(rows)) > 0.99


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e-300, 7e10])
@pytest.mark.parametrize("name", ["full", "tied", "diag", "EEV", "EVE", "EVI"])
def test_a_constant_column_plays_no_part(name, constant):
    X, _ = blobs_and_zeros(2)
    X = X[400:]
    classes = np.repeat(range(3), [600, 600, 400])
    start = {"covariance_type": name, "init_params": classes}
    alone = GaussianMixtureEM(3, **start).fit(X)
    rows = np.c_[X, np.full(1600, constant)]
    beside = GaussianMixtureEM(3, **start).fit(rows)
    assert_array_equal(beside.labels_, alone.labels_)
    assert_allclose(beside.weights_, alone.weights_, rtol=1e-6)
    others = np.c_[X[:20], constant + np.linspace(-2, 2, 20)]
    assert_allclose(
        beside.predict_proba(others), alone.predict_proba(X[:20]), atol=1e-6
    )


def test_a_search_finds_clusters_not_lattice_lines():
    rng = np.random.default_rng(100)
    X = np.vstack(
        [
            rng.multivariate_normal([0, 0], np.eye(2), size=200),
            rng.multivariate_normal([3, 3], [[1, 0.6], [0.6, 1]], size=150),
            rng.multivariate_normal([0, 5], [[0.6, 0], [0, 1.5]], size=150),
        ]
    )
    classes = np.repeat(range(3), [200, 150, 150])
    models = ["EEI", "VVI", "EEE", "EVV", "VVV"]
    exact = GaussianMixtureIC(covariance_type=models).fit(X)
    target = adjusted_rand_score(classes, exact.labels_)
    for step in [0.25, 1.0]:
        rows = np.round(X / step) * step
        search = GaussianMixtureIC(covariance_type=models).fit(rows)
        assert search.best_params_["n_components"] == 3
        assert adjusted_rand_score(classes, search.labels_) > target - 0.05


def test_no_density_exceeds_what_the_rounding_allows():
    """A component on a single value has the density 1 / step there, and no more."""
    X = np.repeat([0.0, 1.0, 5.0], [50, 30, 20])[:, None]
    gmm = GaussianMixtureEM(3, covariance_type="diag").fit(X)
    assert_allclose(gmm.covariances_, VARIANCE_OF_ROUNDING, rtol=1e-6)
    single = GaussianMixtureEM.from_parameters(
        weights=[1.0],
        means=[[5.0]],
        covariances=[[VARIANCE_OF_ROUNDING]],
        covariance_type="diag",
    )
    assert_allclose(single.score_samples([[5.0]]), 0.0, atol=1e-12)


def test_the_warning_says_which_features_take_few_values():
    X = np.r_[np.random.default_rng(0).normal(0, 5, (60, 2)).round(), [[40, 40]] * 4]
    labels = np.r_[np.arange(60) % 2, [2] * 4]
    with pytest.warns(UserWarning, match="feature 0 takes values in steps of 1") as got:
        GaussianMixtureEM(3, init_params=labels).fit(X)
    assert "component 2" in str(got[0].message)
    assert "set reg_covar to a number" in str(got[0].message)
