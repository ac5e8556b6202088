"""Clusters that are merged, rows that are spread, and moves of components."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from conftest import make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal
from sklearn.metrics import adjusted_rand_score

from emgmm import GaussianMixtureEM
from emgmm._data.arrays import ArrayBlocks
from emgmm._data.validation import check_batch
from emgmm._em.progress import Progress
from emgmm._em.race import Race
from emgmm._estep.estep import statistics_of_start
from emgmm._estep.predict import kurtosis_of_components, responsibilities_of
from emgmm._init.clusters import Clusters
from emgmm._init.moves import moved
from emgmm._init.spread_rows import spread_rows
from emgmm._model.moment_kinds import DIAGONAL, FULL
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments
from emgmm._utils.ties import in_order

KINDS = [DIAGONAL, FULL]
QUIET = Progress(0, 1)


def problem_of(X, n_components, model="full", sample_weight=None):
    gmm = GaussianMixtureEM(n_components, covariance_type=model)
    return gmm._problem(check_batch(gmm, X, sample_weight))


def clusters_of(X, labels, kind):
    rows = ArrayBlocks(X)
    statistics = statistics_of_start(rows, labels, labels.max() + 1, kind)
    return Clusters.of(statistics, len(X))


def three_groups(n=240):
    """Clusters in a row, of which the last two are near each other."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    return rng.standard_normal((n, 2)) + 5.0 * np.array([0, 2, 3])[labels, None], labels


# ---- clusters


def classification_log_likelihood(rows, kind):
    """Of one cluster, by SciPy, with its share of all rows left out."""
    covariance = np.cov(rows.T, bias=True)
    if kind is DIAGONAL:
        covariance = np.diag(np.diag(covariance))
    density = multivariate_normal(rows.mean(axis=0), covariance).logpdf(rows)
    return density.sum() + len(rows) * np.log(len(rows))


@pytest.mark.parametrize("kind", KINDS)
def test_costs_are_those_of_the_classification_likelihood(kind):
    X, labels = three_groups()
    first, second = np.array([0, 0, 1]), np.array([1, 2, 2])
    found = clusters_of(X, labels, kind).costs(first, second)
    parts = [X[labels == k] for k in range(3)]
    expected = [
        classification_log_likelihood(parts[a], kind)
        + classification_log_likelihood(parts[b], kind)
        - classification_log_likelihood(np.r_[parts[a], parts[b]], kind)
        for a, b in combinations(range(3), 2)
    ]
    # The ridge is half a row's share of the scatter.
    assert_allclose(found, expected, atol=3.0)
    assert_array_equal(np.argsort(found), np.argsort(expected))


@pytest.mark.parametrize("kind", KINDS)
def test_unions_have_the_moments_of_their_rows(kind):
    X, labels = three_groups()
    merged = clusters_of(X, labels, kind).agglomerated(2)
    expected = clusters_of(X, np.minimum(labels, 1), kind)
    assert_allclose(merged.counts, expected.counts)
    assert_allclose(merged.means, expected.means)
    assert_allclose(merged.scatter, expected.scatter)


def test_pieces_of_long_clusters_are_put_together():
    """Which k-means would not leave whole."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((900, 2)) * [30.0, 1.0]
    X[::2, 1] += 8.0
    pieces = np.clip((X[:, 0] + 60) // 20, 0, 5).astype(np.intp)
    pieces[::2] += 6
    merged = clusters_of(X, pieces, FULL).agglomerated(2)
    expected = clusters_of(X, (pieces >= 6).astype(np.intp), FULL)
    assert_allclose(merged.means, expected.means)


def test_rows_that_are_all_equal_are_merged_too():
    X = np.ones((20, 3))
    merged = clusters_of(X, np.arange(20) % 5, FULL).agglomerated(2)
    assert merged.counts.sum() == pytest.approx(20)
    assert np.isfinite(merged.means).all()


def test_equal_costs_keep_their_order():
    costs = np.array([3.0, 1.0 + 1e-13, 1.0, np.inf, 2.0, np.nan])
    assert in_order(costs, 9).tolist() == [1, 2, 4, 0]
    assert in_order(costs, 2).tolist() == [1, 2]


# ---- rows that are spread


def test_a_weight_is_as_good_as_repetitions_and_any_order_as_another():
    X = make_blobs(1, 60, 3, 4)
    weights = np.random.default_rng(0).integers(0, 4, 60).astype(float)
    weighted = spread_rows(ArrayBlocks(X, weights), 5, 2)
    order = np.random.default_rng(1).permutation(int(weights.sum()))
    repeated = np.repeat(X, weights.astype(int), axis=0)[order]
    assert len(weighted) == 2
    assert_allclose(weighted, spread_rows(ArrayBlocks(repeated), 5, 2), rtol=1e-12)
    for centers in weighted:
        chosen = (X == centers[:, None].round(15)).all(axis=2)
        near = np.isclose(X, centers[:, None], rtol=1e-12).all(axis=2)
        assert (near | chosen).any(axis=1).all()
        assert weights[near.argmax(axis=1)].all()


def test_rows_of_clear_clusters_are_one_of_each():
    rng = np.random.default_rng(0)
    labels = np.arange(700) % 7
    X = rng.standard_normal((700, 2)) + 100.0 * rng.standard_normal((7, 2))[labels]
    for centers in spread_rows(ArrayBlocks(X), 7, 3):
        nearest = ((X[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)
        assert adjusted_rand_score(labels, nearest) == 1


def test_there_are_none_among_too_few_distinct_rows():
    X = np.repeat(np.arange(3.0)[:, None], 10, axis=0)
    assert spread_rows(ArrayBlocks(X), 4, 2) == []
    assert [
        sorted(own[:, 0].round(9)) for own in spread_rows(ArrayBlocks(X), 3, 1)
    ] == [[0.0, 1.0, 2.0]]


# ---- moves


def trapped(model):
    """A problem, and the result of EM from two components in one of three clusters."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 200)
    X = rng.standard_normal((600, 2)) + 9.0 * np.array([[0, 0], [1, 0], [4, 4]])[labels]
    problem = problem_of(X, 3, model).with_options(tol=1e-6, max_iter=500)
    wrong = np.where(labels < 2, 0, 1 + (X[:, 0] > 36))
    return problem, problem.run(problem.start(wrong, 3), QUIET), labels


@pytest.mark.parametrize("model", "EII VII EEI VVI EEE EVE VVE EEV VEV EVV VVV".split())
def test_a_component_moves_to_where_it_is_needed(model):
    problem, result, labels = trapped(model)
    assert adjusted_rand_score(labels, labels_of(problem, result)) < 0.8
    better = moved(problem, result, 1e-6, QUIET)
    assert better.lower_bound > result.lower_bound + 0.1
    assert adjusted_rand_score(labels, labels_of(problem, better)) > 0.99


def labels_of(problem, result):
    return responsibilities_of(problem.rows, result.mixture).argmax(axis=1)


def test_the_best_result_does_not_move():
    problem, result, labels = trapped("VVV")
    best = problem.run(problem.start(labels, 3), QUIET)
    assert moved(problem, best, 1e-6, QUIET) is best


def test_no_move_leaves_a_component_without_rows_enough():
    """Of so few rows a handful would be worth a component, by likelihood alone."""
    n_moved = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((40, 3)) * rng.choice([0.3, 1, 3], (40, 1))
        problem = problem_of(X, 3)
        result = problem.run(problem.start(rng.integers(3, size=40), 3), QUIET)
        if not problem.supported(result.mixture)[0]:
            continue
        found = moved(problem, result, 1e-6, QUIET)
        assert found.lower_bound >= result.lower_bound
        assert problem.supported(found.mixture)[0]
        n_moved += found is not result
    assert n_moved > 0


def test_kurtosis_is_that_of_the_rows():
    rng = np.random.default_rng(0)
    X = np.r_[rng.standard_normal((5000, 2)), 50 + rng.uniform(-1, 1, (5000, 2))]
    weights = rng.integers(1, 3, 10_000).astype(float)
    problem = problem_of(X, 2, sample_weight=weights)
    mixture = problem.start(np.arange(10_000) // 5000, 2)
    found = kurtosis_of_components(problem.rows, mixture, problem.n_rows)
    for k, own in enumerate([slice(0, 5000), slice(5000, None)]):
        rows, w = X[own], weights[own]
        mean = w @ rows / w.sum()
        covariance = (w[:, None] * (rows - mean)).T @ (rows - mean) / w.sum()
        radii = np.einsum(
            "ni,ij,nj->n", rows - mean, np.linalg.inv(covariance), rows - mean
        )
        expected = (w @ radii**2 / w.sum() - 8) / np.sqrt(64 / w.sum())
        assert_allclose(found[k], expected, rtol=1e-6, atol=1e-6)
    assert found[1] < -20 < -4 < found[0] < 4


class Ended:
    """A state whose runs have reached such bounds."""

    def __init__(self, bounds):
        self.number, self.runs = 0, np.arange(len(bounds))
        self.lower_bounds, self.ended = np.array(bounds), None

    def end(self, which):
        self.ended = which.tolist()


def step(race, states):
    race.iterating()
    race.iterated(states)


def test_runs_end_that_are_behind_by_more_than_they_may_gain():
    race = Race([np.array([0, 0, 0, 1])])
    step(race, [Ended([-9.0, -5.0, -5.5, -9.0])])
    later = Ended([-8.9, -4.5, -4.9, -8.9])
    step(race, [later])
    # -8.9 + 5 * 0.1 is less than -4.5; -4.9 + 5 * 0.6 is not; the last is alone.
    assert later.ended == [True, False, False, False]


def test_what_has_collapsed_does_not_lead():
    for sound, expected in [
        ([True, True], [True, False]),
        ([True, False], [False] * 2),
    ]:
        race = Race([np.zeros(2, int)], sound=lambda state, own=sound: np.array(own))
        step(race, [Ended([-3.0, 50.0])])
        later = Ended([-2.9, 60.0])
        step(race, [later])
        assert later.ended == expected


def test_all_runs_end_that_will_not_reach_the_least_bound():
    race = Race([np.zeros(2, int)], least=-1.0)
    step(race, [Ended([-3.0, -2.0])])
    later = Ended([-2.9, -1.5])
    step(race, [later])
    assert later.ended == [True, False]


# ---- default fits


def several_clusters(seed, n=400, K=12):
    rng = np.random.default_rng(seed)
    means = 3.0 * rng.standard_normal((K, 2))
    return means[rng.integers(K, size=n)] + rng.standard_normal((n, 2))


@pytest.mark.parametrize("unit", [2.0**-600, 0.3, 1e-3])
@pytest.mark.parametrize("seed", range(3))
def test_the_unit_of_equal_weights_changes_no_fit(seed, unit):
    X = several_clusters(seed)
    expected = GaussianMixtureEM(12).fit(X, sample_weight=np.ones(400)).lower_bound_
    found = GaussianMixtureEM(12).fit(X, sample_weight=np.full(400, unit)).lower_bound_
    assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_a_reflection_changes_no_fit(seed):
    X = several_clusters(seed, 300, 8)
    fits = [GaussianMixtureEM(8).fit(sign * X) for sign in (1, -1)]
    assert_allclose(fits[0].lower_bound_, fits[1].lower_bound_, rtol=1e-6)


def test_a_component_without_rows_gets_some():
    """One of the clusters is split instead, and none has to go."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 100)
    X = rng.standard_normal((300, 2)) + 9.0 * np.array([0, 0, 1])[labels, None]
    X[labels == 1, 1] += 9.0
    problem = problem_of(X, 3)
    two = problem.run(problem.start(labels // 2, 2), QUIET).mixture
    weights = np.append(two.weights, 1e-300)
    means = np.vstack([two.means, [[1e3, 1e3]]])
    values = np.concatenate([two.covariances.values, np.eye(2)[None]])
    covariances = type(two.covariances).from_values(values, Segments.one(3), 2)
    empty = Parameters(weights, means, covariances)
    result = problem.with_options(max_iter=1).run(empty, QUIET)
    found = moved(problem, result, 1e-6, QUIET)
    assert found.lower_bound > result.lower_bound + 0.1
    assert found.mixture.weights.min() > 0.2
