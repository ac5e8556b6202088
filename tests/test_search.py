"""The parts of a search: sources of starts, exchange among candidates, and ranking."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import MODEL_NAMES
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris

from benchmarks.atoms import mixture
from emgmm import GaussianMixtureEM, GaussianMixtureIC
from emgmm._data.arrays import ArrayBlocks
from emgmm._em.result import EMResults
from emgmm._estep.estep import expectation, statistics_of_start
from emgmm._model.covariances import Diagonal, Full
from emgmm._model.linalg import cholesky, inverse_cholesky
from emgmm._model.moment_kinds import FULL, MOMENT_KINDS
from emgmm._model.parameters import Parameters, are_near
from emgmm._search.exchange import starts_from
from emgmm._search.pool import Part, Pool, batches, groups_of
from emgmm._search.sources import Sources, View, stored_as

X = load_iris().data
ROWS = ArrayBlocks(X)
SIZES = [1, 2, 3]
LABELS = [(size, np.arange(len(X)) * size // len(X)) for size in SIZES]
PROBLEMS = [
    GaussianMixtureEM(covariance_type=name)._problem(ROWS) for name in MODEL_NAMES
]
GROUPS = groups_of(PROBLEMS)
VIEW = View(ROWS, np.ones(X.shape[1]), Full)


@pytest.fixture(scope="module")
def pool():
    """A run of every model from each of the labels."""
    source = np.repeat(np.arange(len(SIZES)), len(PROBLEMS))
    model = np.tile(np.arange(len(PROBLEMS)), len(SIZES))
    found, pairs = Pool.begin(GROUPS, [VIEW.sources(LABELS)], source, model)
    assert_array_equal(found.model, model[pairs])
    assert_array_equal(found.n_components, np.array(SIZES)[source[pairs]])
    return found.run(max_iter=5, tol=0.0)


def scored(pool):
    """The mean log-likelihoods of the mixtures of a pool."""
    return pool.run(max_iter=0, tol=0.0).bound


def test_a_start_has_a_lower_bound_of_its_likelihood(pool):
    size = np.flatnonzero(pool.n_components == 3)
    mixtures = [
        stored_as(part.results.mixtures, Full) for part in pool.take(size).parts
    ]
    sources = Sources.of_mixtures(VIEW, Parameters.joined(mixtures))
    source, model = (each.ravel() for each in np.indices((len(size), len(PROBLEMS))))
    starts, _ = Pool.begin(GROUPS, [sources], source, model)
    assert len(starts) == len(source)
    assert np.all(starts.bound <= scored(starts) + 1e-9)


def test_the_bound_is_that_of_em(pool):
    """Of a mixture's own responsibilities it is the likelihood, before EM's step."""
    for part in pool.parts:
        sources = Sources.of_mixtures(VIEW, stored_as(part.results.mixtures, Full))
        found = sources.begin(part.problem, np.arange(len(part.models)))
        before = np.array([history[-1] for history in part.results.histories])
        assert np.all(found.lower_bound >= before - 1e-9)
        again = replace(part, results=found)
        assert np.all(found.lower_bound <= scored(Pool([again])) + 1e-9)


@pytest.mark.parametrize("kind", MOMENT_KINDS, ids=str)
def test_statistics_of_all_pairs_give_those_of_every_kind(kind):
    full = statistics_of_start(ROWS, LABELS[2][1], 3, FULL).of_kind(kind)
    own = statistics_of_start(ROWS, LABELS[2][1], 3, kind)
    assert_allclose(full.scatter, own.scatter, rtol=1e-10, atol=1e-10)
    assert full.kind is kind


@pytest.mark.parametrize("storage", [Diagonal, Full])
def test_a_wider_storage_has_the_same_likelihood(pool, storage):
    for part in pool.parts[: 2 if storage is Diagonal else None]:
        wide = stored_as(part.results.mixtures, storage)
        own, other = expectation(ROWS, [part.results.mixtures, wide])
        assert_allclose(other.log_likelihood, own.log_likelihood, rtol=1e-12)


def test_candidates_begin_from_what_others_offer(pool):
    starts = starts_from(pool, pool, GROUPS, [VIEW])
    assert set(starts.candidate) <= set(pool.candidate)
    larger = np.isin(pool.candidate + 1, pool.candidate)
    less_one = starts.take(np.isin(starts.candidate, pool.candidate[larger]))
    assert {1, 2} <= set(less_one.n_components)
    assert not len(starts_from(pool.take(np.zeros(len(pool), bool)), pool, GROUPS, []))


def test_mixtures_without_a_component_keep_the_others():
    gmm = GaussianMixtureEM(3, covariance_type="tied").fit(X)
    mixture = gmm._mixture()
    less = mixture.among(np.array([True, False, True]))
    assert_allclose(less.weights, gmm.weights_[[0, 2]] / gmm.weights_[[0, 2]].sum())
    assert_array_equal(less.means, gmm.means_[[0, 2]])
    assert_array_equal(less.covariances.values, mixture.covariances.values)


def test_mixtures_are_near_in_any_order_of_their_components():
    mixture = GaussianMixtureEM(3).fit(X)._mixture()
    order = np.array([2, 0, 1])
    turned = Parameters(
        mixture.weights[order],
        mixture.means[order],
        mixture.covariances.ordered(order),
    )
    moved = replace(mixture, means=mixture.means + [2.0, 0, 0, 0])
    stack, others = Parameters.joined([turned, moved]), [mixture, mixture]
    assert are_near(stack, Parameters.joined(others)).tolist() == [True, False]


def test_the_best_runs_are_sound_likely_and_different(pool):
    part = pool.parts[0].take(np.array([4, 4, 4, 4]))
    bounds = [-3.0, -1.0, -1.0 + 1e-7, -2.0]
    results = part.results
    same = EMResults(
        results.mixtures,
        results.failed,
        results.converged,
        [[bound] for bound in bounds],
        results.states,
    )
    runs = Pool([Part(part.group, part.models, same)])
    assert runs.best(1).tolist() == [1]  # the first of those that are the same
    assert runs.best(2).tolist() == [1, 3]
    assert runs.best(9).tolist() == [0, 1, 3]


def test_factors_are_missing_of_indefinite_matrices_alone():
    rng = np.random.default_rng(0)
    roots = rng.standard_normal((40, 3, 5))
    singular = roots.mT @ roots
    matrices = singular + np.eye(5) * np.arange(40)[:, None, None]
    matrices[5] = -matrices[5]
    matrices[7, 0, 0] = np.nan
    bad = np.array([5, 7])
    factors = inverse_cholesky(matrices[1:])
    for found in (factors, cholesky(matrices[1:])):
        missing = np.isnan(found).any(axis=(1, 2))
        assert_array_equal(np.flatnonzero(missing), bad - 1)
    for k in np.setdiff1d(np.arange(1, 40), bad):
        alone = inverse_cholesky(matrices[k : k + 1])[0]
        assert_allclose(factors[k - 1], alone, rtol=1e-9, atol=1e-12)


def test_batches_divide_between_candidates_and_change_nothing(pool, monkeypatch):
    candidates = np.array([3, 1, 3, 2, 1])
    found = batches(candidates, np.array([20, 30, 40, 30, 30]), 100)
    assert [each.tolist() for each in found] == [[0, 1, 2, 4], [3]]
    monkeypatch.setattr("emgmm._search.pool.MOST_NUMBERS", 100)
    divided = starts_from(pool, pool, GROUPS, [VIEW])
    monkeypatch.undo()
    whole = starts_from(pool, pool, GROUPS, [VIEW])
    order, other = divided.candidate.argsort(), whole.candidate.argsort()
    assert_array_equal(divided.candidate[order], whole.candidate[other])
    assert_allclose(np.sort(divided.bound), np.sort(whole.bound), rtol=1e-9)


def test_no_selected_variance_is_below_that_of_the_rounding():
    """Components on the lines of a lattice would be likelier than clusters."""
    exact, classes = mixture(0)
    search = GaussianMixtureIC().fit(np.round(exact))
    variances = np.linalg.eigvalsh(search.best_estimator_.covariances_)
    assert variances.min() > 0.99 / (2 * np.pi)
    assert search.best_params_["n_components"] == len(set(classes))
