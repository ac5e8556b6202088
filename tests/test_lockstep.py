"""Runs of EM in lockstep: each as by itself, whatever its company and its end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import MODEL_NAMES, make_blobs
from numpy.testing import assert_allclose, assert_array_equal

from emgmm import GaussianMixtureEM
from emgmm._data.arrays import ArrayBlocks
from emgmm._em.acceleration import AndersonAcceleration
from emgmm._em.coordinates import coordinates, n_coordinates, retract
from emgmm._em.lockstep import run_in_lockstep
from emgmm._em.mstep import MStep
from emgmm._em.problem import EMProblem
from emgmm._em.progress import Progress
from emgmm._em.regularization import RidgeRegularization, ScaleRegularization
from emgmm._em.result import EMOptions
from emgmm._model.families import MODELS, Families
from emgmm._model.parameters import Parameters

X = make_blobs(0, n_samples=150, n_features=3, n_components=3)
SIZES = [1, 2, 3, 5]
STORAGES = {family.storage: [] for family in MODELS.values()}
for name, family in MODELS.items():
    STORAGES[family.storage].append(name)


def problem_of(families, rows=X, ridge=None, **options):
    blocks = rows if isinstance(rows, ArrayBlocks) else ArrayBlocks(rows)
    scale = ScaleRegularization.to(blocks)
    covar = scale if ridge is None else RidgeRegularization(np.full(3, ridge))
    settings = {"tol": 1e-3, "max_iter": 60, **options}
    mstep = MStep.of(families, covar, scale)
    return EMProblem(blocks, np.ones(3), mstep, EMOptions(**settings))


def labels_of(n_components, seed=0, rows=X):
    """Labels by the order of the rows in some direction."""
    direction = np.random.default_rng(seed).standard_normal(rows.shape[1])
    return (rows @ direction).argsort().argsort() * n_components // len(rows)


def assert_same_runs(results, problem, names, starts):
    """Results of a stack are those of its mixtures by themselves.

    Where components have collapsed, rounding decides on their likelihood.
    """
    for b, (name, start) in enumerate(zip(names, starts, strict=True)):
        alone = problem.with_family(MODELS[name])
        try:
            expected = alone.run(start, Progress(0, 1))
        except np.linalg.LinAlgError:
            assert results.failed[b]
            continue
        found = results.result(b)
        sound = alone.sound(expected.mixture)
        assert_array_equal(alone.sound(found.mixture), sound)
        if not sound.all():
            continue
        assert found.n_iter == expected.n_iter
        assert found.converged == expected.converged
        assert_allclose(found.lower_bounds, expected.lower_bounds, rtol=0, atol=1e-10)


@pytest.mark.parametrize("ridge", [None, 0.1])
@pytest.mark.parametrize("accelerated", [True, False])
def test_members_of_every_family_run_as_they_do_alone(accelerated, ridge):
    """They have different sizes, and end in different iterations."""
    problems, stacks, members = [], [], []
    for number, names in enumerate(STORAGES.values()):
        which = np.tile(np.arange(len(names)), len(SIZES))
        families = Families(tuple(MODELS[name] for name in names), which)
        options = {"accelerated": accelerated, "max_iter": 12 + number}
        problems.append(problem_of(families, ridge=ridge, **options))
        each = [names[index] for index in which]
        starts = [
            problems[-1].with_family(MODELS[name]).start(labels_of(size), size)
            for name, size in zip(each, np.repeat(SIZES, len(names)), strict=True)
        ]
        stacks.append(Parameters.joined(starts))
        members.append((each, starts))
    found = run_in_lockstep(problems, stacks)
    for results, problem, (names, starts) in zip(found, problems, members, strict=True):
        assert len({len(history) for history in results.histories}) > 1
        assert_same_runs(results, problem, names, starts)


@pytest.mark.parametrize("tol", [0.0, 1e-3])
@pytest.mark.parametrize("ridge", [None, 0.0])
@pytest.mark.parametrize("name", ["VII", "VVI", "EEE", "VEV", "VVV"])
def test_members_that_collapse_or_fail_leave_the_others_alone(name, ridge, tol):
    rows = X.copy()
    rows[:8] = 60.0  # a component of these alone is singular
    problem = problem_of(MODELS[name], rows, ridge, tol=tol)
    others = labels_of(2, 0, rows[20:])
    labels = [
        labels_of(2, 0, rows),
        (np.arange(150) >= 20) * 1,
        labels_of(3, 1, rows),
        np.r_[np.zeros(20, int), others + 1],
        np.r_[np.full(20, 2), others],
        labels_of(1),
    ]
    starts = [problem.start(each, each.max() + 1) for each in labels]
    (results,) = run_in_lockstep([problem], [Parameters.joined(starts)])
    assert_same_runs(results, problem, [name] * len(starts), starts)
    sound = problem.sound(results.mixtures)
    if ridge is None:
        assert not results.failed.any()
        singles = [problem.sound(results.mixtures.mixture(b))[0] for b in range(6)]
        assert_array_equal(sound, singles)
        assert sound.all() == (name == "EEE") and sound.any()
    else:
        assert results.failed.any() == (name != "EEE") and not results.failed.all()


def test_shares_follow_the_members_that_go_on():
    rng = np.random.default_rng(0)
    shares = rng.multinomial(150, np.full(150, 1 / 150), size=6).T.astype(float)
    problem = problem_of(MODELS["VVV"])
    sizes = [1, 3, 1, 2, 1, 3]
    starts = [problem.start(labels_of(size), size) for size in sizes]
    (results,) = run_in_lockstep([problem], [Parameters.joined(starts)], [shares])
    assert len({len(history) for history in results.histories}) > 2
    for b, start in enumerate(starts):
        alone = replace(problem, rows=ArrayBlocks(X, shares[:, b]))
        expected = alone.run(start, Progress(0, 1))
        assert results.result(b).n_iter == expected.n_iter
        assert_allclose(results.lower_bound[b], expected.lower_bound, atol=1e-10)


class Ends:
    """Ends a run after some iterations."""

    def __init__(self, run, after):
        self.run, self.left, self.seen = run, after, []

    def iterating(self):
        self.left -= 1

    def iterated(self, states):
        (state,) = states
        self.seen.append(state.lower_bounds[state.running])
        if not self.left:
            state.end(state.runs == self.run)


def test_a_run_that_is_ended_keeps_what_it_has_reached():
    problem = problem_of(MODELS["VVV"], accelerated=False, tol=1e-6)
    starts = [problem.start(labels_of(3, seed), 3) for seed in range(4)]
    stack, watch = Parameters.joined(starts), Ends(2, after=5)
    (whole,) = run_in_lockstep([problem], [stack])
    (results,) = run_in_lockstep([problem], [stack], watch=watch)
    assert min(len(history) for history in whole.histories) > 7
    assert results.histories[2] == whole.histories[2][:6]
    assert not results.converged[2] and not results.failed[2]
    for b in (0, 1, 3):
        assert_allclose(results.histories[b], whole.histories[b], rtol=1e-10)
    assert [len(bounds) for bounds in watch.seen[:6]] == [4] * 5 + [3]


def test_there_may_be_no_runs_or_no_iterations():
    problem = problem_of(MODELS["VVI"], max_iter=0)
    stack = Parameters.joined([problem.start(labels_of(k), k) for k in (2, 3)])
    none = stack.take(np.zeros(2, dtype=bool))
    empty, start = run_in_lockstep([problem, problem], [none, stack])
    assert len(empty) == 0 and empty.lower_bound.shape == (0,)
    assert [len(history) for history in start.histories] == [1, 1]
    assert_array_equal(start.mixtures.means, stack.means)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_coordinates_of_stacks_are_those_of_their_mixtures(name):
    problem = problem_of(MODELS[name])
    at, to = (
        [problem.start(labels_of(k, seed + k), k) for k in (3, 1, 4)] for seed in (0, 9)
    )
    stack = Parameters.joined(at)
    vectors = coordinates(stack, Parameters.joined(to))
    moved, failed = retract(stack, 0.1 * vectors, problem.mstep.families)
    assert not failed.any()
    for b, length in enumerate(n_coordinates(stack)):
        alone = coordinates(at[b], to[b])
        assert alone.shape == (1, length)
        assert_allclose(vectors[b, :length], alone[0], atol=1e-12)
        assert_array_equal(vectors[b, length:], 0)
        expected, _ = retract(at[b], 0.1 * alone, problem.mstep.families)
        found = moved.mixture(b)
        assert_allclose(found.means, expected.means, atol=1e-10)
        assert_allclose(found.covariances.values, expected.covariances.values, 1e-8)
    broken = 0.1 * vectors
    broken[1, 0] = np.nan
    with np.errstate(all="ignore"):
        again, failed = retract(stack, broken, problem.mstep.families)
    assert_array_equal(failed, [False, True, False])
    assert_allclose(again.mixture(2).means, moved.mixture(2).means, atol=1e-12)


def test_accelerations_are_each_as_by_itself():
    """Of quadratics of several lengths, one of which meets what is no number, and one
    whose steps are rejected."""
    rng = np.random.default_rng(0)
    lengths = np.array([4, 9, 6])
    curvatures = [np.geomspace(0.05, 1, length) for length in lengths]
    points = [0.1 * rng.standard_normal(length) for length in lengths]
    together = AndersonAcceleration(lengths)
    alone = [AndersonAcceleration(lengths[[b]]) for b in range(3)]
    true = np.array([True])
    for turn in range(12):
        residuals = np.zeros((3, 9))
        for b, length in enumerate(lengths):
            residuals[b, :length] = -curvatures[b] * points[b]
        if turn == 5:
            residuals[1, 0] = np.nan
        steps, longer = together.learn(residuals)
        rejects = turn == 7
        which = np.array([True, True, not rejects])
        together.accepted(steps, which, longer)
        if rejects:
            together.rejected(steps, ~which)
        for b, length in enumerate(lengths):
            step, further = alone[b].learn(residuals[b : b + 1, :length])
            assert further[0] == longer[b]
            if further[0]:
                assert_allclose(steps[b, :length], step[0], atol=1e-12)
            assert_allclose(together.gain[b], alone[b].gain[0], rtol=1e-6)
            if which[b]:
                alone[b].accepted(step, true, further)
                points[b] = points[b] + (0 if np.isnan(step).any() else step[0])
            else:
                alone[b].rejected(step, true)


@pytest.mark.parametrize("name", ["EII", "VVI", "EEE", "VVV"])
def test_starts_that_run_together_end_where_they_do_in_turn(name, capsys):
    settings = {"covariance_type": name, "n_init": 5, "random_state": 0}
    settings |= {"init_params": "random_from_data", "reg_covar": 1e-6}
    together = GaussianMixtureEM(3, **settings).fit(X)
    in_turn = GaussianMixtureEM(3, verbose=1, **settings).fit(X)
    assert capsys.readouterr().out.count("converged") == 5
    assert_allclose(together.lower_bound_, in_turn.lower_bound_, rtol=1e-10)
    pairs = zip(
        together.lower_bounds_of_starts_, in_turn.lower_bounds_of_starts_, strict=True
    )
    for one, other in pairs:
        assert_allclose(one, other, rtol=1e-10)
