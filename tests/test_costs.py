"""What fits of extreme shapes cost: numbers in memory, rounds of a start; and that the
cheap ways lead where the others do."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from conftest import make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import adjusted_rand_score

import emgmm._init.cuts as _cuts
import emgmm._init.split as _split
from emgmm import GaussianMixtureEM, GaussianMixtureIC
from emgmm._data.arrays import ArrayBlocks
from emgmm._data.validation import check_batch
from emgmm._em.progress import Progress
from emgmm._em.result import EMResults
from emgmm._init.kmeans import kmeans_from_axes
from emgmm._init.race import race
from emgmm._init.short_runs import run_from
from emgmm._init.starts import STARTS
from emgmm._model.algebra import MATRICES
from emgmm._model.linalg import WIDE, principal
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments

N, D = 60, 3000
OF_SQUARES = ["EII", "VII", "EEI", "VEI", "EVI", "VVI"]
QUIET = Progress(0, 1)


def wide_rows(n=N, d=D):
    """Two clusters that many features separate, each of them only a little."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    return rng.standard_normal((n, d)) + 0.5 * y[:, None], y


def peak_of(function):
    """Bytes that a call has at a time."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def fit_of(model, **parameters):
    X, _ = wide_rows()
    GaussianMixtureEM(2, covariance_type=model, random_state=0, **parameters).fit(X)


def fit_of_holes():
    X, _ = wide_rows()
    X[::3, ::7] = np.nan
    GaussianMixtureEM(2, covariance_type="diag").fit(X)


def search():
    GaussianMixtureIC([1, 2], covariance_type=OF_SQUARES).fit(wide_rows()[0])


def stream():
    X, _ = wide_rows()
    gmm = GaussianMixtureEM(2, covariance_type="diag")
    for _ in range(4):
        gmm.partial_fit(X)


def chunks():
    GaussianMixtureEM(2, covariance_type="diag").fit(np.split(wide_rows()[0], 3))


WAYS = {
    **{model: lambda model=model: fit_of(model) for model in OF_SQUARES},
    **{
        start: lambda start=start: fit_of("diag", init_params=start)
        for start in sorted(STARTS)
    },
    "labels": lambda: fit_of("diag", init_params=np.arange(N) % 2),
    "more starts": lambda: fit_of("diag", n_init=3),
    "missing": fit_of_holes,
    "search": search,
    "stream": stream,
    "chunks": chunks,
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("way", WAYS)
def test_models_without_products_have_no_matrix_of_all_features_in_memory(way):
    assert peak_of(WAYS[way]) < D * D * 8


@pytest.mark.parametrize("model", OF_SQUARES)
@pytest.mark.parametrize("start", ["split", "kmeans"])
def test_clusters_that_only_many_features_separate_are_found(model, start):
    X, y = wide_rows()
    gmm = GaussianMixtureEM(2, covariance_type=model, init_params=start).fit(X)
    assert adjusted_rand_score(y, gmm.labels_) == 1


@pytest.mark.parametrize("weighted", [False, True])
def test_axes_of_wide_rows_cut_as_those_of_their_products(weighted, monkeypatch):
    X = make_blobs(5, n_samples=400, n_features=6, n_components=5)
    weights = np.random.default_rng(0).uniform(0, 2, 400) if weighted else None
    blocks = ArrayBlocks(X, weights)
    labels = kmeans_from_axes(blocks, 7, None)
    monkeypatch.setattr("emgmm._init.principal_axes.WIDE", 1)
    assert_array_equal(kmeans_from_axes(blocks, 7, None), labels)


def test_halves_by_features_are_those_by_matrices_where_features_are_independent(
    monkeypatch,
):
    X = np.random.default_rng(0).uniform(-1, 1, (4096, 1))
    rounding = np.zeros(1)
    blocks = ArrayBlocks(X)
    of_matrices = {tuple(cut.labels) for cut in _cuts.halves(blocks, rounding, True)}
    monkeypatch.setattr("emgmm._init.cuts.WIDE", 0)
    of_variances = {tuple(cut.labels) for cut in _cuts.halves(blocks, rounding, True)}
    assert of_variances == of_matrices


@pytest.mark.parametrize("shape", [(300, 400), (400, 300)])
def test_the_principal_axis_of_a_large_matrix_is_the_first_singular_vector(shape):
    A = np.random.default_rng(0).standard_normal(shape)
    A[:, 0] *= 3
    assert min(shape) > WIDE
    length, axis = principal(A, 1e-10)
    _, lengths, axes = np.linalg.svd(A)
    assert_allclose(length, lengths[0], rtol=1e-8)
    assert_allclose(np.abs(axis @ axes[0]), 1, rtol=1e-8)


def test_the_greatest_eigenvalues_of_large_matrices_are_their_norms_squared():
    factors = np.triu(np.random.default_rng(0).standard_normal((2, 300, 300)))
    norms = np.linalg.norm(factors, 2, axis=(1, 2))
    assert_allclose(MATRICES.greatest(factors), norms**2, rtol=1e-12)


def problem_of(X, n_components, model="diag"):
    gmm = GaussianMixtureEM(n_components, covariance_type=model)
    return gmm._problem(check_batch(gmm, X, None))


def test_growth_by_many_splits_has_few_rounds(monkeypatch):
    """Each costs iterations with all components, which one by one would be K^2."""
    X = make_blobs(40, n_samples=4000, n_features=2, n_components=40)
    monkeypatch.setattr("emgmm._init.split.CHEAP", 0)
    sizes = []

    def counted(problem, assignment, n_components, n_iter):
        sizes.append(n_components)
        return run_from(problem, assignment, n_components, n_iter)

    monkeypatch.setattr("emgmm._init.split.run_from", counted)
    grown = [shares.shape[1] for shares in _split.growth(problem_of(X, 48), 48)]
    assert grown == list(range(2, 49))
    rounds = [size for size in sizes if size > 2]
    one_by_one = 48 * 49 / 2
    assert sum(rounds) < one_by_one / 2


@pytest.mark.parametrize(
    "n_components, n_features, model",
    [(12, 8, "spherical"), (20, 8, "diag"), (36, 8, "spherical"), (64, 20, "diag")],
)
@pytest.mark.parametrize("cheap", [2**26, 0], ids=["one by one", "many at once"])
def test_many_clear_clusters_are_found(
    n_components, n_features, model, cheap, monkeypatch
):
    monkeypatch.setattr("emgmm._init.split.CHEAP", cheap)
    rng = np.random.default_rng(0)
    centers = rng.uniform(-10, 10, (n_components, n_features))
    y = rng.integers(0, n_components, 50 * n_components)
    X = centers[y] + rng.standard_normal((len(y), n_features))
    labels = GaussianMixtureEM(n_components, covariance_type=model).fit_predict(X)
    assert adjusted_rand_score(y, labels) > 0.97


def test_a_component_without_rows_is_no_reason_against_a_start():
    X = make_blobs(3, n_samples=300, n_features=2, n_components=3)
    problem = problem_of(X, 4)
    three = problem.start(np.arange(300) % 3, 3)
    fit = problem.run(three, QUIET)
    weights = np.append(fit.mixture.weights, 0.0)
    means = np.vstack([fit.mixture.means, fit.mixture.means[:1]])
    values = np.concatenate(
        [fit.mixture.covariances.values, fit.mixture.covariances.values[:1] * 1e-20]
    )
    storage = type(fit.mixture.covariances)
    covariances = storage.from_values(values, Segments.one(4), 2)
    empty = replace(fit.mixture, weights=weights, means=means, covariances=covariances)
    assert not problem.degenerate(empty).any()
    few = replace(empty, weights=np.append(fit.mixture.weights * 0.99, 0.01))
    assert problem.degenerate(few).tolist() == [False, False, False, True]


def test_of_nine_components_each_is_split_by_itself(monkeypatch):
    X = make_blobs(9, n_samples=2000, n_features=2, n_components=9)
    problem = problem_of(X, 9)
    shares = [share.copy() for share in _split.growth(problem, 9)]
    monkeypatch.setattr("emgmm._init.split.SHARE_AT_ONCE", 100)
    for share, alone in zip(shares, _split.growth(problem, 9), strict=True):
        assert_array_equal(share, alone)


def colours(seed, side=64):
    """Pixels of a smooth picture with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    image = np.zeros((side, side, 3))
    for channel in range(3):
        for a, b, phase in rng.uniform([-6, -6, 0], [6, 6, 6.3], size=(6, 3)):
            image[..., channel] += np.sin(a * x + b * y + phase)
    image = 255 * (image - image.min()) / np.ptp(image)
    image += 4 * rng.standard_normal(image.shape)
    return np.clip(image, 0, 255).round().reshape(-1, 3)


@pytest.mark.parametrize("seed", range(4))
def test_a_fit_does_not_end_below_where_its_candidates_would(seed):
    X = colours(seed)
    problem = problem_of(X, 5, "full")
    rows = _cuts.standardized(problem.rows, problem.mstep.scale.rounding)
    labels = kmeans_from_axes(rows, 5, None)
    *_, grown = _split.growth(problem, 5)
    ends = [
        problem.run(problem.start(start, 5), QUIET).lower_bound
        for start in (labels, grown)
    ]
    assert GaussianMixtureEM(5).fit(X).lower_bound_ > max(ends) - 2e-3


def test_all_rows_decide_where_a_sample_leaves_it_in_doubt(monkeypatch):
    """What looks a little better on the sample is far from where the others are."""
    X = make_blobs(3, n_samples=3000, n_features=2, n_components=3)
    problem, sample = problem_of(X, 3), problem_of(X[:200], 3)
    labels = kmeans_from_axes(sample.rows, 3, None)
    right = sample.run(sample.start(labels, 3), QUIET).mixture
    fooled = replace(right, means=right.means + 0.3)
    both = Parameters.joined([fooled, right])
    no, yes = np.zeros(2, bool), np.ones(2, bool)
    ended = EMResults(both, no, yes, [[-1.0], [-1.01]], [None] * 2)
    monkeypatch.setattr("emgmm._init.race._raced", lambda *arguments: ended)
    assert_array_equal(race(sample, both, sample).best.mixture.means, fooled.means)
    outcome = race(sample, both, problem)
    assert_array_equal(outcome.best.mixture.means, right.means)
    assert outcome.best.lower_bound == -1.01  # on the sample, on which moves are judged
    assert outcome.number == 1


def test_a_start_says_how_far_it_has_come(capsys):
    X = make_blobs(5, n_samples=500, n_features=2, n_components=5)
    gmm = GaussianMixtureEM(5, verbose=1, max_iter=30).fit(X)
    said = capsys.readouterr().out
    bounds = [float(line.split()[-1]) for line in said.splitlines() if "Start:" in line]
    assert bounds == sorted(bounds)
    assert -1e-5 < gmm.lower_bound_ - bounds[-1] < 1e-3
