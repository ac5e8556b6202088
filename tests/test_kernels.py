"""The kernels: against each other, dense twins, and mpmath where doubles are short."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from conftest import log_joint, quadratic, statistics_of, whitened
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp, softmax
from scipy.stats import multivariate_normal
from sklearn.exceptions import ConvergenceWarning

from emgmm import GaussianMixtureEM
from emgmm._data.arrays import ArrayBlocks
from emgmm._estep.complete import Quadratic, Whitened, _rounding
from emgmm._estep.dispatch import choose_kernels
from emgmm._estep.estep import e_step, expectation
from emgmm._estep.kernel import DOUBLE, SINGLE
from emgmm._estep.moments import _members
from emgmm._model.covariances import Diagonal, Full, Spherical, Tied
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments
from emgmm._utils.threads import Workspace

STORAGES = [Spherical, Diagonal, Tied, Full]
# With K == d shapes are ambiguous; K = 1 and d = 1 are the borders; 30 has slabs.
SIZES = [(3, 2), (2, 2), (1, 3), (4, 1), (1, 1), (2, 30)]
FLOAT64, FLOAT32 = DOUBLE.dtype, SINGLE.dtype


def random_mixture(storage, n_components, n_features, seed=0):
    rng = np.random.default_rng(seed)
    shape = storage.shape(n_components, n_features)
    if storage in (Tied, Full):
        roots = rng.standard_normal((*shape[:-1], 2 * n_features + 3)) / n_features**0.5
        values = roots @ roots.mT
    else:
        values = rng.uniform(0.5, 2.0, shape)
    return Parameters(
        rng.dirichlet(np.ones(n_components)),
        2 * rng.standard_normal((n_components, n_features)),
        storage.from_values(values, Segments.one(n_components), n_features),
    )


def random_rows(mixture, n_samples=200, seed=1):
    return mixture.sample(n_samples, np.random.RandomState(seed))[0]


def both(mixture, origin, numbers=DOUBLE):
    base = {} if numbers is DOUBLE else {"base": origin}
    return {
        "quadratic": quadratic(mixture, origin, numbers),
        "whitened": whitened(mixture, numbers, **base),
    }


def statistics_by(kernel, X, weights, rows=None):
    blocks = ArrayBlocks(X, weights)
    length = rows or kernel.block_length
    sums = blocks.sum(lambda X, w: e_step(X, w, kernel), block_length=length)
    return kernel.statistics(sums, blocks)


def assert_same_statistics(ours, expected, tolerance):
    """Means and scatter in units of the components' own standard deviations."""
    assert_allclose(ours.log_likelihood, expected.log_likelihood, rtol=tolerance)
    assert_allclose(ours.counts, expected.counts, rtol=tolerance)
    scatter = expected.scatter
    if scatter.ndim == 3:
        scatter = np.diagonal(scatter, axis1=1, axis2=2)
        counts = expected.counts if len(scatter) > 1 else expected.counts.sum()
    else:
        counts = expected.counts
    spread = np.sqrt(scatter / np.reshape(counts, (-1, 1)))
    assert_allclose(
        ours.means / spread,
        expected.means / spread,
        rtol=0,
        atol=tolerance * (1 + np.abs(expected.means / spread).max()),
    )
    unit = np.sqrt(scatter)
    if expected.scatter.ndim == 3:
        unit = unit[:, :, None] * unit[:, None, :]
    else:
        unit = unit**2
    assert np.max(np.abs(ours.scatter - expected.scatter) / unit) < tolerance


@pytest.mark.parametrize("name", ["quadratic", "whitened"])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("storage", STORAGES)
def test_kernels_equal_the_densities_and_sums_written_out(storage, sizes, name):
    mixture = random_mixture(storage, *sizes)
    X = random_rows(mixture)
    weights = np.random.default_rng(2).uniform(size=len(X))
    center = np.average(X, axis=0, weights=weights)
    kernel = both(mixture, center)[name]
    densities = [
        np.log(weight) + multivariate_normal(mean, covariance).logpdf(X)
        for weight, mean, covariance in zip(
            mixture.weights, mixture.means, mixture.covariances.dense(), strict=True
        )
    ]
    expected = np.transpose(densities)
    assert_allclose(log_joint(mixture, X, kernel), expected, rtol=1e-11, atol=1e-11)
    joint = kernel.joint(kernel.features(X), X)
    (log_density,), responsibilities = kernel.posterior(joint)
    assert_allclose(log_density, logsumexp(expected, axis=1), rtol=1e-11, atol=1e-11)
    assert_allclose(responsibilities.T, softmax(expected, axis=1), atol=1e-11)
    assert_array_equal(kernel.labels(joint), expected.argmax(axis=1))
    twin = statistics_of(
        X,
        softmax(expected, axis=1) * weights[:, None],
        np.tile(center, (sizes[0], 1)),
        mixture.covariances.moment_kind,
        weights @ logsumexp(expected, axis=1),
        weights.sum(),
    )
    for rows in (len(X), 7):
        assert_same_statistics(statistics_by(kernel, X, weights, rows), twin, 1e-11)


def sums_written_out(kernel, X, weights):
    """Statistics from the kernel's own log-densities, about their means."""
    joint = log_joint(kernel.mixture, X, kernel)
    responsibilities = softmax(joint, axis=1) * weights[:, None]
    means = [np.average(X, axis=0, weights=r) for r in responsibilities.T]
    kind = kernel.mixture.covariances.moment_kind
    log_likelihood = weights @ logsumexp(joint, axis=1)
    return statistics_of(
        X, responsibilities, np.array(means), kind, log_likelihood, weights.sum()
    )


@pytest.mark.parametrize("numbers", [DOUBLE, SINGLE])
@pytest.mark.parametrize("storage", [Tied, Full])
def test_rows_that_count_for_few_components_are_summed_for_those(
    storage, numbers, monkeypatch
):
    mixture = random_mixture(storage, 5, 9)
    apart = Parameters(mixture.weights, 20 * mixture.means, mixture.covariances)
    X, weights = random_rows(apart, 700), np.random.default_rng(2).uniform(size=700)
    weights[::9] = 0.0
    kernel = whitened(apart, numbers, base=X.mean(axis=0))
    responsibilities = kernel.posterior(kernel.joint(kernel.features(X), X))[1]
    assert np.mean(_members(responsibilities)) < 0.3
    few = statistics_by(kernel, X, weights)
    monkeypatch.setattr("emgmm._estep.moments._members", np.ones_like)
    every = statistics_by(kernel, X, weights)
    # They are multiplied in another order.
    assert_same_statistics(few, every, 20 * numbers.eps)
    if numbers is DOUBLE:
        assert_same_statistics(few, sums_written_out(kernel, X, weights), 1e-11)


@pytest.mark.parametrize("n_samples", [300, 3000])
def test_a_component_far_from_all_rows_has_the_mean_of_those_nearest_to_it(n_samples):
    """Its parts of them are tiny, but it has no others."""
    d = 20
    means = np.zeros((3, d))
    means[1, 0], means[2, 1] = 14.0, 17.0
    unit = Full.from_values(np.tile(np.eye(d), (3, 1, 1)), Segments.one(3), d)
    kernel = whitened(Parameters(np.full(3, 1 / 3), means, unit))
    X = np.random.default_rng(0).standard_normal((n_samples, d))
    ours = statistics_by(kernel, X, np.ones(n_samples))
    expected = sums_written_out(kernel, X, np.ones(n_samples))
    assert expected.counts[2] < 1e-20
    assert_allclose(ours.means, expected.means, rtol=0, atol=1e-11)


def test_rows_of_little_weight_make_the_mean_of_their_component():
    d, rng = 20, np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 400)
    means = 20 * rng.standard_normal((3, d))
    X = means[labels] + rng.standard_normal((1200, d))
    weights = np.where(labels == 1, 1e-60, 1.0)
    unit = Full.from_values(np.tile(np.eye(d), (3, 1, 1)), Segments.one(3), d)
    kernel = whitened(Parameters(np.full(3, 1 / 3), means, unit))
    ours = statistics_by(kernel, X, weights)
    assert_allclose(ours.means[1], X[labels == 1].mean(axis=0), rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64])
@pytest.mark.parametrize("storage", STORAGES)
def test_features_are_taken_again_only_while_they_are_those_of_the_rows(storage, dtype):
    numbers = DOUBLE if dtype == FLOAT64 else SINGLE
    mixture = random_mixture(storage, 3, 4)
    X, center = random_rows(mixture).astype(dtype), np.zeros(4)
    kernel = quadratic(mixture, center, numbers)
    expected = kernel.features(X).copy()
    assert_array_equal(kernel.features(X), expected)
    assert not np.array_equal(kernel.features(X[::-1]), expected)
    assert_array_equal(kernel.features(X), expected)
    kernel.workspace.array("features", expected.shape, dtype)[:] = 0.0
    assert_array_equal(kernel.features(X), expected)
    # What tied features are depends on the mixture.
    other = random_mixture(storage, 3, 4, seed=5)
    follower = Quadratic(other, numbers, kernel.workspace, kernel.origin)
    anew = quadratic(other, center, numbers)
    assert_array_equal(follower.features(X), anew.features(X))
    elsewhere = Quadratic(mixture, numbers, kernel.workspace, kernel.origin + 1)
    assert not np.array_equal(elsewhere.features(X), expected)


def test_what_is_not_a_number_counts_for_its_component():
    """So that it is not left out silently."""
    responsibilities = np.array([[0.0, np.nan, 1.0], [1.0, 0.5, 1e-40]])
    expected = [[True, True, True], [True, True, False]]
    assert_array_equal(_members(responsibilities), expected)


# Rounding --------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", [DOUBLE, SINGLE])
@pytest.mark.parametrize("storage", STORAGES)
def test_the_quadratic_kernel_suits_where_its_rounding_is_within_the_bound(
    storage, numbers
):
    """Which is bounded before it is computed."""
    found = set()
    for seed in range(200):
        rng = np.random.default_rng(seed)
        mixture = random_mixture(storage, *rng.integers(1, 5, 2), seed=seed)
        origin = 10 ** rng.uniform(-1, 5) * rng.standard_normal(mixture.means.shape[1])
        kernel = quadratic(mixture, origin, numbers)
        rounding = _rounding(mixture.covariances, kernel.shifts, numbers)
        assert kernel.is_accurate == (rounding < numbers.max_rounding)
        found.add(bool(kernel.is_accurate))
    assert found == {True, False}


def exact_statistics(X, mixture):
    """Statistics in 60 digits about the exact means: of full matrices, in doubles."""
    weights, means = mixture.weights.tolist(), mixture.means.tolist()
    with mpmath.workdps(60):
        rows = [mpmath.matrix(row) for row in X.tolist()]
        joints = []
        for w, mean, covariance in zip(
            weights, means, mixture.covariances.dense().tolist(), strict=True
        ):
            inverse = mpmath.matrix(covariance) ** -1
            constant = mpmath.log(w) + mpmath.log(mpmath.det(inverse)) / 2
            constant -= len(mean) * mpmath.log(2 * mpmath.pi) / 2
            deviations = [row - mpmath.matrix(mean) for row in rows]
            joints.append([constant - (v.T * inverse * v)[0] / 2 for v in deviations])
        densities = [
            [mpmath.exp(joint) for joint in row] for row in zip(*joints, strict=True)
        ]
        totals = [mpmath.fsum(row) for row in densities]
        shares = [
            [p / t for p in row] for row, t in zip(densities, totals, strict=True)
        ]
        log_likelihood = mpmath.fsum(mpmath.log(t) for t in totals)
        found = []
        for k in range(len(weights)):
            share = [row[k] for row in shares]
            count = mpmath.fsum(share)
            mean = (
                sum((r * x for r, x in zip(share, rows, strict=True)), 0 * rows[0])
                / count
            )
            scatter = sum(
                (
                    r * (x - mean) * (x - mean).T
                    for r, x in zip(share, rows, strict=True)
                ),
                0 * (rows[0] * rows[0].T),
            )
            found.append((count, mean, scatter))
    to_array = np.vectorize(float)
    return (
        float(log_likelihood),
        np.array([float(count) for count, _, _ in found]),
        np.array([to_array(mean.tolist())[:, 0] for _, mean, _ in found]),
        np.array([to_array(scatter.tolist()) for _, _, scatter in found]),
    )


def pairs_apart(kappa, n_samples=60, correlation=0.5):
    """Two pairs of overlapping components, so far apart as kappa says, and rows."""
    rng = np.random.default_rng(3)
    covariance = np.array([[1.0, correlation], [correlation, 1.0]])
    direction = np.array([1.0, 0.3])
    direction /= np.sqrt(direction @ np.linalg.solve(covariance, direction))
    centers = np.outer([-1.0, -1.0, 1.0, 1.0], np.sqrt(kappa) * direction)
    means = centers + np.array([[0, 0], [1, 1.5], [0, 0], [-1, 1.2]])
    scales = np.array([1.0, 0.7, 1.3, 1.0])[:, None, None]
    values = scales * covariance
    mixture = Parameters(
        np.full(4, 0.25), means, Full.from_values(values, Segments.one(4), 2)
    )
    labels = np.arange(n_samples) % 4
    normals = rng.standard_normal((n_samples, 2))
    roots = np.linalg.cholesky(values)
    return mixture, means[labels] + np.einsum("nij,nj->ni", roots[labels], normals)


@pytest.mark.parametrize("kappa", 10.0 ** np.arange(0, 15))
def test_statistics_are_exact_on_either_side_of_the_switch(kappa):
    mixture, X = pairs_apart(kappa)
    blocks = ArrayBlocks(X, np.ones(len(X)))
    ((_, chosen),) = choose_kernels(
        mixture, blocks.summary.center, FLOAT64, Workspace()
    )
    if kappa <= 1e4:
        assert isinstance(chosen, Quadratic)
    if kappa >= 1e6:
        assert isinstance(chosen, Whitened)
    log_likelihood, counts, means, scatter = exact_statistics(X, mixture)
    stats = expectation(blocks, [mixture])[0]
    assert_allclose(stats.log_likelihood, log_likelihood, rtol=1e-9)
    assert_allclose(stats.counts, counts, rtol=1e-9)
    # In units of the standard deviation, but for what doubles so far out can hold.
    sd = np.sqrt(np.diagonal(scatter, axis1=1, axis2=2) / counts[:, None])
    assert np.all(np.abs(stats.means - means) < 1e-9 * sd + 4e-16 * np.abs(means))
    unit = counts[:, None, None] * sd[:, :, None] * sd[:, None, :]
    # Means that doubles hold to eps |mean| move a scatter by the square of that.
    held = (4e-16 * np.sqrt(kappa)) ** 2
    assert np.max(np.abs(stats.scatter - scatter) / unit) < 1e-9 + held


@pytest.mark.parametrize("distance", 10.0 ** -np.arange(1, 15))
def test_strong_correlation_counts_as_distance(distance):
    """|z|'|P||z| is large where features nearly coincide, wherever the means are."""
    mixture, X = pairs_apart(4.0, correlation=1 - distance)
    blocks = ArrayBlocks(X, np.ones(len(X)))
    ((_, chosen),) = choose_kernels(
        mixture, blocks.summary.center, FLOAT64, Workspace()
    )
    if distance > 1e-3:
        assert isinstance(chosen, Quadratic)
    if distance < 1e-7:
        assert isinstance(chosen, Whitened)
    log_likelihood, counts, means, scatter = exact_statistics(X, mixture)
    stats = expectation(blocks, [mixture])[0]
    # No kernel is more exact than the entries of the matrices, rounded to eps.
    tolerance = 1e-9 + 100 * DOUBLE.eps / distance
    assert_allclose(stats.log_likelihood, log_likelihood, rtol=tolerance)
    assert_allclose(stats.counts, counts, rtol=tolerance)
    unit = np.sqrt(np.diagonal(scatter, axis1=1, axis2=2))
    error = np.abs(stats.scatter - scatter) / (unit[:, :, None] * unit[:, None, :])
    assert error.max() < tolerance


def test_the_quadratic_kernel_is_wrong_where_it_does_not_suit():
    """What the bound is for."""
    mixture, X = pairs_apart(1e10)
    blocks = ArrayBlocks(X, np.ones(len(X)))
    exact = exact_statistics(X, mixture)
    kernel = quadratic(mixture, blocks.summary.center)
    assert not kernel.is_accurate
    stats = statistics_by(kernel, X, np.ones(len(X)))
    assert np.max(np.abs(stats.counts / exact[1] - 1)) > 1e-9


@pytest.mark.parametrize(
    "storage, sizes, kernel",
    [
        (Full, (1, 10), Quadratic),
        (Full, (2, 30), Whitened),
        (Full, (10, 30), Quadratic),
        (Full, (30, 80), Whitened),
        (Tied, (2, 80), Quadratic),
        (Diagonal, (2, 80), Quadratic),
    ],
)
def test_many_features_for_few_components_are_whitened(storage, sizes, kernel):
    mixture = random_mixture(storage, *sizes)
    center = mixture.means.mean(axis=0)
    ((_, chosen),) = choose_kernels(mixture, center, FLOAT64, Workspace())
    assert type(chosen) is kernel


# float32 ---------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("name", ["quadratic", "whitened"])
@pytest.mark.parametrize("sizes", [(3, 2), (5, 8), (2, 30)])
@pytest.mark.parametrize("storage", STORAGES)
def test_float32_is_near_float64(storage, sizes, name, offset):
    mixture = random_mixture(storage, *sizes)
    shifted = Parameters(mixture.weights, mixture.means + offset, mixture.covariances)
    X = (random_rows(mixture, 2000) + offset).astype(np.float32)
    center = X.mean(axis=0, dtype=float)
    ones = np.ones(len(X))
    single = statistics_by(both(shifted, center, SINGLE)[name], X, ones)
    double = statistics_by(both(shifted, center)[name], X, ones)
    for values in (single.counts, single.sums, single.products):
        assert values.dtype == np.float64
    assert_allclose(single.log_likelihood, double.log_likelihood, rtol=1e-5)
    assert_allclose(single.counts, double.counts, rtol=1e-3)
    sd = np.sqrt(shifted.covariances.variances)
    assert np.max(np.abs(single.means - double.means) / sd) < 1e-3


@pytest.mark.parametrize("scale", [1e-17, 1e-12, 1e12, 1e17])
def test_float32_rows_of_any_scale_are_fitted_as_well_as_float64_ones(scale):
    mixture = random_mixture(Diagonal, 2, 2)
    X = (scale * random_rows(mixture, 500)).astype(np.float32)
    settings = {"covariance_type": "diag", "reg_covar": 0.0, "tol": 1e-4}
    single = GaussianMixtureEM(2, **settings).fit(X)
    double = GaussianMixtureEM(2, **settings).fit(X.astype(float))
    assert single.means_.dtype == np.float32
    assert_allclose(single.lower_bound_, double.lower_bound_, rtol=1e-5)
    assert_allclose(single.means_ / scale, double.means_ / scale, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("separation", [2.0, 10.0, 20.0])
@pytest.mark.parametrize("n_features", [1, 2])
def test_the_log_likelihood_of_float32_rows_is_that_of_float64_ones(
    n_features, separation
):
    """Also where it is near zero, and the rounding of the precisions a bias."""
    rng = np.random.default_rng(0)
    sides = separation * rng.choice([-0.5, 0.5], 20_000)
    X = rng.standard_normal((20_000, n_features)) * np.array([0.4, 0.02])[:n_features]
    X = (X + sides[:, None]).astype(np.float32)
    settings = {"max_iter": 5, "tol": 0.0, "init_params": (sides > 0).astype(int)}
    with pytest.warns(ConvergenceWarning):
        single = GaussianMixtureEM(2, **settings).fit(X)
        double = GaussianMixtureEM(2, **settings).fit(X.astype(float))
    for ours, expected in [
        (single.lower_bounds_, double.lower_bounds_),
        (single.score(X), double.score(X.astype(float))),
    ]:
        assert_allclose(ours, expected, rtol=1e-5)


def test_float32_rows_far_along_a_narrow_ridge_have_finite_scores():
    """Their cross terms overflow before their squares do."""
    narrow = np.array([[1.0, 0.999], [0.999, 1.0]])
    gmm = GaussianMixtureEM.from_parameters(
        [0.5, 0.5], [[0, 0], [1, 1]], [narrow, narrow]
    )
    for place in np.geomspace(1e17, 1e19, 41, dtype=np.float32):
        row = np.full((1, 2), place, np.float32)
        assert gmm.score_samples(row)[0] < -1e30
        assert_allclose(gmm.predict_proba(row).sum(), 1)


def test_float32_sums_that_cancel_are_taken_again():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(-20, 0.05, 2000), rng.normal(20, 0.05, 2000)])
    X = X[:, None].astype(np.float32)
    means, values = np.array([[-20.0], [20.0]]), np.ones((2, 1, 1))
    mixture = Parameters(
        np.full(2, 0.5), means, Full.from_values(values, Segments.one(2), 1)
    )
    ones = np.ones(len(X))
    single = expectation(ArrayBlocks(X, ones), [mixture])[0]
    double = expectation(ArrayBlocks(X.astype(float), ones), [mixture])[0]
    assert_allclose(single.scatter, double.scatter, rtol=1e-3)


def test_float32_falls_back_where_its_rounding_would_show():
    for kappa, kernel, numbers in [
        (10.0, Quadratic, SINGLE),
        (1e6, Whitened, SINGLE),
        (1e10, Whitened, DOUBLE),
    ]:
        mixture, _ = pairs_apart(kappa)
        ((_, chosen),) = choose_kernels(mixture, np.zeros(2), FLOAT32, Workspace())
        assert type(chosen) is kernel and chosen.float_format is numbers


# Rows far away ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["quadratic", "whitened"])
def test_rows_far_from_all_components_belong_to_the_nearest(name):
    """Their densities underflow as numbers, though not as logarithms."""
    means = np.array([[0.0, 0.0], [1.0, 0.0]])
    covariances = Spherical.from_values(np.array([1.0, 1.0]), Segments.one(2), 2)
    mixture = Parameters(np.array([0.5, 0.5]), means, covariances)
    X = np.array([[0.0, 0.0], [-1e3, 0.0], [1e3, 0.0], [1e5, 1e5], [0.5, 1e4]])
    kernel = both(mixture, means.mean(axis=0))[name]
    joint = kernel.joint(kernel.features(X), X)
    (log_density,), responsibilities = kernel.posterior(joint)
    expected = log_joint(mixture, X)
    assert_allclose(log_density, logsumexp(expected, axis=1), rtol=1e-12)
    assert_allclose(responsibilities.T[1:4], [[1, 0], [0, 1], [0, 1]], atol=1e-12)
    assert_allclose(responsibilities[:, 4], 0.5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_beyond_all_numbers_are_shared_and_warn_of_nothing(dtype):
    mixture = random_mixture(Full, 3, 2)
    gmm = GaussianMixtureEM.from_parameters(
        mixture.weights, mixture.means, mixture.covariances.values
    )
    largest = np.finfo(dtype).max
    X = np.array([[0.0, 0.0], [largest / 2, -largest / 3]], dtype)
    expected = gmm.predict_proba(X[:1].astype(float))
    responsibilities = gmm.predict_proba(X)
    assert_allclose(responsibilities[0], expected[0], rtol=1e-5)
    assert_allclose(responsibilities[1].sum(), 1)
    assert gmm.predict(X)[0] == expected.argmax()
    scores = gmm.score_samples(X)
    assert np.isfinite(scores[0]) and scores[1] < -1e30
    assert gmm.icl(X[:1]) < np.inf and gmm.icl(X) > 1e30


@pytest.mark.parametrize("out", [9.0, 20.0, 25.0, 33.0, 37.0])
@pytest.mark.parametrize("weight", [1e-280, 1e100, 1e280])
def test_weights_of_any_size_may_meet_rows_far_away(weight, out):
    X = np.vstack([np.random.default_rng(0).standard_normal((500, 2)), [[out, 0.0]]])
    start = {
        "weights_init": [0.5, 0.5],
        "means_init": [[0, 0], [1, 0]],
        "precisions_init": [np.eye(2)] * 2,
        "max_iter": 3,
        "tol": 0.0,
    }
    with pytest.warns(ConvergenceWarning):
        one = GaussianMixtureEM(2, **start).fit(X)
        other = GaussianMixtureEM(2, **start)
        other.fit(X, sample_weight=np.full(len(X), weight))
    assert_allclose(other.means_, one.means_, rtol=1e-9, atol=1e-12)


def test_float32_rows_far_away_may_have_large_weights():
    rows = np.random.default_rng(0).standard_normal((20_000, 1))
    X = np.vstack([rows, [[11.7], [-11.4]]]).astype(np.float32)
    one = GaussianMixtureEM(1).fit(X)
    other = GaussianMixtureEM(1).fit(X, sample_weight=np.full(len(X), 2.0**39))
    assert_allclose(other.means_, one.means_, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_accurate", [True, False], ids=["quadratic", "whitened"])
@pytest.mark.parametrize("storage", STORAGES)
def test_a_start_far_from_the_data_costs_no_accuracy(storage, is_accurate, monkeypatch):
    """Sums about means a million standard deviations away would be noise."""
    monkeypatch.setattr(Quadratic, "is_accurate", is_accurate)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 2)) * 1e-3
    wide = random_mixture(storage, 2, 2)
    values = wide.covariances.values * 1e18
    far = Parameters(
        wide.weights, wide.means + 1e6, storage.from_values(values, Segments.one(2), 2)
    )
    stats = expectation(ArrayBlocks(X, np.ones(300)), [far])[0]
    exact = (X - X.mean(0)).T @ (X - X.mean(0))
    shares = stats.counts / 300
    expected = shares[:, None, None] * exact
    if stats.kind.name == "pooled":
        expected = exact[None]
    if stats.kind.name == "diagonal":
        expected = np.diagonal(expected, axis1=1, axis2=2)
    # Rows so near to each other have equal shares of so wide a component.
    assert_allclose(stats.scatter, expected, rtol=0, atol=1e-12 * exact.max())


def test_tied_rows_of_enormous_scale_warn_of_nothing():
    X = np.random.default_rng(0).standard_normal((200, 2))
    settings = {"covariance_type": "tied", "max_iter": 500, "reg_covar": 0.0}
    one = GaussianMixtureEM(2, **settings).fit(X)
    other = GaussianMixtureEM(2, **settings).fit(1e150 * X)
    assert_allclose(other.means_ / 1e150, one.means_, rtol=1e-6)


@pytest.mark.parametrize("name", ["full", "tied", "diag"])
def test_rows_of_weight_zero_may_lie_anywhere(name):
    X = random_rows(random_mixture(Full, 2, 2), 100)
    far = np.vstack([X, [[1e200, -1e200]]])
    weights = np.append(np.ones(100), 0.0)
    one = GaussianMixtureEM(2, covariance_type=name, max_iter=300).fit(X)
    other = GaussianMixtureEM(2, covariance_type=name, max_iter=300)
    other.fit(far, sample_weight=weights)
    assert_allclose(other.means_, one.means_, rtol=1e-9)
    assert_allclose(other.lower_bound_, one.lower_bound_, rtol=1e-9)


@pytest.mark.parametrize("name", ["quadratic", "whitened"])
@pytest.mark.parametrize("storage", STORAGES)
def test_a_component_of_weight_zero_takes_no_rows_and_stays(storage, name):
    mixture = random_mixture(storage, 3, 2)
    silent = Parameters(np.array([0.0, 0.5, 0.5]), mixture.means, mixture.covariances)
    X = random_rows(silent)
    with np.errstate(divide="ignore"):
        stats = statistics_by(both(silent, X.mean(axis=0))[name], X, np.ones(len(X)))
    assert stats.counts[0] == 0
    assert_allclose(stats.counts.sum(), len(X))
    assert_array_equal(stats.means[0], silent.means[0])


def test_constants_of_the_numbers_are_those_of_numpy():
    for numbers in (DOUBLE, SINGLE):
        finfo = np.finfo(numbers.dtype)
        assert numbers.eps == finfo.eps
        assert numbers.smallest_total * numbers.eps == finfo.tiny
        assert 2 * numbers.span < np.log(finfo.max)
