"""Acceleration: Newton's steps on quadratics, and EM that climbs to the same place."""

from __future__ import annotations

import tracemalloc
from typing import NamedTuple

import numpy as np
import pytest
from conftest import MODEL_NAMES, m_step, make_blobs
from numpy.testing import assert_allclose, assert_array_equal

from emgmm import GaussianMixtureEM
from emgmm._data.arrays import ArrayBlocks
from emgmm._em.acceleration import MEMORY, AndersonAcceleration
from emgmm._estep.estep import expectation, statistics_of_start
from emgmm._model.families import MODELS
from emgmm._utils.threads import BLAS


class Quadratic(NamedTuple):
    """f(x) = -(x - x*)'M(x - x*) / 2, whose gradient is the step of an iteration."""

    curvature: np.ndarray
    maximum: np.ndarray

    @classmethod
    def of(cls, eigenvalues, n_features=20):
        rng = np.random.default_rng(0)
        axes = np.linalg.qr(rng.standard_normal((n_features, n_features)))[0]
        scaled = axes * np.resize(eigenvalues, n_features)
        return cls(scaled @ axes.T, 0.05 * rng.standard_normal(n_features))

    def step(self, x):
        return self.curvature @ (self.maximum - x)

    def to_gain(self, x):
        return 0.5 * (self.maximum - x) @ self.step(x)


class Acceleration(AndersonAcceleration):
    """That of a single iteration."""

    def __init__(self, n_features=20):
        super().__init__(np.array([n_features]))

    def learn(self, residual):
        steps, longer = super().learn(residual[None])
        return steps[0] if longer[0] else None

    def accepted(self, step):
        super().accepted(step[None], np.array([True]), np.array([True]))

    def rejected(self, step):
        super().rejected(step[None], np.array([True]))


class Plain:
    """What is asked of ``AndersonAcceleration``, without acceleration."""

    gain = np.inf

    def learn(self, residual):
        return None

    def accepted(self, step):
        pass


def iterate(problem, secants, most=5000):
    """Points from zero to where the step is next to nothing, and estimated gains."""
    points, gains = [np.zeros(len(problem.maximum))], []
    while np.linalg.norm(problem.step(points[-1])) > 1e-10 and len(gains) < most:
        residual = problem.step(points[-1])
        longer = secants.learn(residual)
        step = residual if longer is None else longer
        gains.append(secants.gain)
        before, after = (problem.to_gain(x) for x in (points[-1], points[-1] + step))
        assert after <= before
        secants.accepted(step)
        points.append(points[-1] + step)
    return points, np.ravel(gains)


SPECTRA = [
    [1.0],
    [1, 0.3],
    [0.8, 0.5, 0.1],
    [1, 0.5, 0.1, 0.05],
    [1, 0.5, 0.2, 0.1, 0.04],
]


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_quadratics_take_about_a_step_for_each_distinct_eigenvalue(spectrum):
    problem = Quadratic.of(spectrum)
    assert len(spectrum) <= MEMORY
    points, _ = iterate(problem, Acceleration())
    assert_allclose(points[-1], problem.maximum, atol=1e-8)
    assert len(points) - 1 <= len(spectrum) + 3
    plain, _ = iterate(problem, Plain())
    assert len(plain) >= min(1.0, 0.5 / min(spectrum)) * len(points)
    if min(spectrum) <= 0.1:
        assert len(plain) > 15 * len(points)


@pytest.mark.parametrize(
    "spectrum", [*SPECTRA, [0.9, 0.5, 0.01], np.geomspace(0.02, 1, 7)]
)
def test_the_estimate_bounds_the_gain_to_come(spectrum):
    problem = Quadratic.of(spectrum)
    points, gains = iterate(problem, Acceleration())
    true = [problem.to_gain(x) for x in points[:-1]]
    known = slice(len(spectrum), None)  # once every direction may have been met
    seen = gains[known] > 0
    assert np.all(gains[known][seen] >= np.array(true)[known][seen])
    # What rounding hides in a mean log-likelihood is nothing.
    assert np.all(np.array(true)[gains == 0] < 1e-13)


def test_steps_lead_away_from_a_saddle():
    problem = Quadratic.of([1.0, 0.5, -0.1])
    downhill = np.linalg.eigh(problem.curvature)[1][:, 0]
    start = problem.maximum + 1e-3 * downhill
    distances = []
    for secants in (Acceleration(), Plain()):
        x = start
        for _ in range(12):
            residual = problem.step(x)
            longer = secants.learn(residual)
            step = residual if longer is None else longer
            assert step @ residual > 0
            assert problem.to_gain(x + step) < problem.to_gain(x)
            secants.accepted(step)
            x = x + step
        assert secants.gain == np.inf
        distances.append(abs(downhill @ (x - problem.maximum)))
    assert distances[0] > 10 * distances[1]


def test_a_rejected_step_is_forgotten_and_narrows_what_is_trusted():
    problem, secants, x = Quadratic.of([1.0, 0.02]), Acceleration(), np.zeros(20)
    for turn in range(4):
        residual = problem.step(x)
        longer = secants.learn(residual)
        if turn == 3:
            break
        secants.accepted(residual)
        x = x + residual
    secants.rejected(longer)
    assert secants.learn(residual) is None
    secants.accepted(residual)
    again = secants.learn(problem.step(x + residual))
    widest = max(0.5 * np.linalg.norm(longer), 1.5 * np.linalg.norm(residual))
    assert again is None or np.linalg.norm(again) <= widest * (1 + 1e-12)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -np.inf])
def test_steps_of_nothing_and_of_no_number_do_no_harm(bad):
    problem = Quadratic.of([1, 0.3, 0.1])
    secants, x = Acceleration(), np.zeros(20)
    with np.errstate(all="raise"):
        for turn in range(20):
            residual = np.full(20, bad) if turn % 5 == 4 else problem.step(x)
            longer = secants.learn(residual)
            if turn % 5 == 4:
                assert longer is None
                assert secants.gain == (0.0 if bad == 0 else np.inf)
                secants.accepted(residual)
                continue
            step = residual if longer is None else longer
            secants.accepted(step)
            x = x + step
    assert_allclose(x, problem.maximum, atol=1e-8)


def memory_of(function):
    """What a function returns, and the bytes that are in use for it afterwards."""
    tracemalloc.start()
    try:
        result = function()
        return result, tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_long_vectors_are_kept_fewer(monkeypatch):
    n_features = 500
    problem = Quadratic.of([1, 0.5, 0.1, 0.05], n_features)

    def learnt():
        secants = Acceleration(n_features)
        points, _ = iterate(problem, secants)
        assert_allclose(points[-1], problem.maximum, atol=1e-7)
        return secants, len(points)

    vectors, lengths = [], []
    for numbers in [1, 6 * n_features, 10**6]:
        monkeypatch.setattr("emgmm._em.acceleration.MAX_NUMBERS", numbers)
        (_, length), in_use = memory_of(learnt)
        lengths.append(length)
        vectors.append(in_use / 8 / n_features)
    least, some, most = vectors
    assert least < some < most and most - least > 4
    assert lengths[0] > lengths[2]


def fit(X, name, start, **parameters):
    settings = {"tol": 1e-9, "max_iter": 5000, **parameters}
    n_components = start.max() + 1
    gmm = GaussianMixtureEM(
        n_components, covariance_type=name, init_params=start, **settings
    )
    return gmm.fit(X)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_em_ends_at_the_same_optimum_in_fewer_passes(name):
    passes = []
    for seed in range(4):
        X = make_blobs(seed, n_samples=200, n_features=2, n_components=2)
        start = (X[:, 0] > np.median(X[:, 0])).astype(int)
        fast, plain = (fit(X, name, start, acceleration=a) for a in ("anderson", None))
        assert fast.converged_ and plain.converged_
        assert_allclose(fast.lower_bound_, plain.lower_bound_, rtol=0, atol=1e-8)
        assert np.all(np.diff(fast.lower_bounds_) > -1e-13)
        passes.append([fast.n_iter_, plain.n_iter_])
    fast, plain = np.sum(passes, axis=0)
    assert fast < plain


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_without_acceleration_iterations_are_ems(name):
    X = make_blobs(1, n_samples=150, n_features=3, n_components=3)
    start, family = np.arange(150) % 3, MODELS[name]
    blocks, bounds = ArrayBlocks(X), []
    with BLAS.single_threaded():
        stats = statistics_of_start(blocks, start, 3, family.storage.moment_kind)
        mixture, _ = m_step(stats, family, 0.0)
        for _ in range(12):
            (stats,) = expectation(blocks, [mixture])
            bounds.extend(stats.mean_log_likelihood)
            mixture, _ = m_step(stats, family, 0.0, mixture)
    settings = {"reg_covar": 0.0, "tol": 0.0, "max_iter": 12, "acceleration": None}
    with pytest.warns(UserWarning, match="did not converge"):
        gmm = fit(X, name, start, **settings)
    assert_array_equal(gmm.lower_bounds_[:-1], bounds[1:])
    assert_array_equal(gmm.weights_, mixture.weights)
    assert_array_equal(gmm.means_, mixture.means)
    covariances = mixture.covariances
    published = covariances.as_published(covariances.values)
    assert_array_equal(gmm.covariances_, published)


@pytest.mark.parametrize("name", ["VII", "EEI", "EEE", "VEV", "VVV"])
def test_a_rejected_step_costs_a_pass_and_the_next_is_ems(name, monkeypatch):
    seen = []

    def spy(blocks, stacks, shares, memberships):
        found = expectation(blocks, stacks, shares, memberships)
        seen.append((stacks[0], found[0]))
        return found

    monkeypatch.setattr("emgmm._em.driver.expectation", spy)
    monkeypatch.setattr(
        "emgmm._em.acceleration.FIRST_RADIUS", 1e3
    )  # trusts what it should not
    rejections = 0
    for seed in range(6):
        seen.clear()
        X = make_blobs(seed, n_samples=120, n_features=2, n_components=4)
        gmm = fit(X, name, np.arange(120) % 4, tol=1e-6)
        assert len(seen) == gmm.n_iter_ + 1
        bounds = [stats.mean_log_likelihood[0] for _, stats in seen]
        kept = 0
        for turn in range(1, len(seen) - 1):
            if bounds[turn] >= bounds[kept] or turn == kept + 2:
                kept = turn
                continue
            rejections += 1
            assert gmm.lower_bounds_[turn - 1] == bounds[kept]
            assert_array_equal(seen[turn + 1][0].means, seen[kept][1].means)
    assert rejections
