"""Coordinates of near mixtures, in which information is the identity."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import MODEL_NAMES, m_step, make_blobs
from numpy.testing import assert_allclose, assert_array_equal

from emgmm._data.arrays import ArrayBlocks
from emgmm._em import coordinates as _coordinates
from emgmm._estep.estep import statistics_of_start
from emgmm._model.families import MODELS
from emgmm._model.parameters import Parameters
from emgmm._model.validation import FAMILY_TOL, _belongs

# Families that hold whatever their storage holds.
FREE = ["VII", "VVI", "EEE", "VVV"]
# Linear maps (d = 2) that take the mixtures of a family to one another.
MAPS = {
    **dict.fromkeys(FREE[2:] + ["VEE", "EVV"], [[2.0, -1.0], [0.5, 3.0]]),
    **dict.fromkeys(["EEI", "VEI", "EVI", "VVI"], [[1e-3, 0.0], [0.0, 50.0]]),
    **dict.fromkeys(
        ["EII", "VII", "EVE", "VVE", "EEV", "VEV"], [[1.8, -2.4], [2.4, 1.8]]
    ),
}
X = make_blobs(seed=0, n_samples=200, n_features=2, n_components=3)


def mixture_of(name, seed, X=X):
    """Some mixture of the family, of soft responsibilities."""
    shares = np.random.default_rng(seed).dirichlet(np.full(3, 0.3), len(X))
    family, blocks = MODELS[name], ArrayBlocks(X, np.ones(len(X)))
    stats = statistics_of_start(blocks, shares, 3, family.storage.moment_kind)
    return m_step(stats, family, 0.0)[0]


def coordinates(at, to):
    """The vector of coordinates of a mixture at another."""
    return _coordinates.coordinates(at, to)[0]


def retract(at, vector, family):
    """The mixture with such coordinates at another."""
    mixture, failed = _coordinates.retract(at, vector[None], family)
    assert not failed.any()
    return mixture


def direction(name, seed=1):
    """Coordinates of length one that lead to another mixture of the family."""
    vector = coordinates(mixture_of(name, 0), mixture_of(name, seed))
    return vector / np.linalg.norm(vector)


def distance(one, other):
    """Greatest difference of parameters."""
    return max(
        np.abs(one.weights - other.weights).max(),
        np.abs(one.means - other.means).max(),
        np.abs(one.covariances.values - other.covariances.values).max(),
    )


def divergence(one: Parameters, other: Parameters) -> float:
    """Kullback-Leibler divergence of complete rows: component and values."""
    first, second = one.covariances.dense(), other.covariances.dense()
    shifts = other.means - one.means
    spread = first + shifts[:, :, None] * shifts[:, None, :]
    relative = np.linalg.solve(second, spread)
    terms = np.trace(relative, axis1=1, axis2=2) - first.shape[-1]
    terms += np.linalg.slogdet(second)[1] - np.linalg.slogdet(first)[1]
    return one.weights @ (0.5 * terms + np.log(one.weights / other.weights))


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_a_mixture_is_at_the_origin_of_its_chart(name):
    at = mixture_of(name, 0)
    origin = coordinates(at, at)
    assert_allclose(origin, 0, atol=1e-13)
    assert distance(retract(at, np.zeros_like(origin), MODELS[name]), at) < 1e-12


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_displaced_mixtures_are_of_the_family(name):
    at, family = mixture_of(name, 0), MODELS[name]
    for size in [0.01, 0.3, 1.0]:
        for vector in (direction(name), np.random.default_rng(0).normal(size=99)):
            vector = vector[: len(direction(name))]
            moved = retract(at, size * vector / np.linalg.norm(vector), family)
            assert _belongs(moved.covariances, family, FAMILY_TOL)
            assert_allclose(moved.weights.sum(), 1)
            assert (moved.weights > 0).all()


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_coordinates_lead_back_to_first_order(name):
    at, family = mixture_of(name, 0), MODELS[name]
    errors = []
    for size in [0.02, 0.01]:
        to = retract(at, size * direction(name), family)
        errors.append(distance(retract(at, coordinates(at, to), family), to) / size)
    assert errors[0] < 0.1
    assert errors[1] < 0.6 * errors[0] or errors[1] < 1e-9


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_the_squared_length_is_twice_the_divergence_of_complete_rows(name):
    at, family = mixture_of(name, 0), MODELS[name]
    for seed in range(1, 5):
        near = retract(at, 1e-3 * direction(name, seed), family)
        vector = coordinates(at, near)
        assert_allclose(2 * divergence(at, near), vector @ vector, rtol=5e-3)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_units_play_no_part(name):
    """A map of the rows turns coordinates at most, and moves what they stand for."""
    matrix, shift = np.array(MAPS[name]), np.array([30.0, -4.0])
    mapped, family = X @ matrix.T + shift, MODELS[name]
    at, to = (mixture_of(name, seed) for seed in (0, 1))
    there, beyond = (mixture_of(name, seed, mapped) for seed in (0, 1))
    vector = 0.1 * coordinates(at, to)
    image = 0.1 * coordinates(there, beyond)
    assert_allclose(np.linalg.norm(image), np.linalg.norm(vector), rtol=1e-9)
    moved = retract(at, vector, family)
    expected = retract(there, image, family)
    assert_allclose(expected.weights, moved.weights, rtol=1e-9)
    roots = np.sqrt(there.covariances.variances)
    difference = expected.means - shift - moved.means @ matrix.T
    assert_allclose(difference / roots, 0, atol=1e-9)
    image = matrix @ moved.covariances.dense() @ matrix.T
    scales = roots[:, :, None] * roots[:, None, :]
    assert_allclose((expected.covariances.dense() - image) / scales, 0, atol=1e-8)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_what_has_no_mixture_is_refused(name):
    at, family = mixture_of(name, 0), MODELS[name]
    empty = Parameters(np.array([0.5, 0.5, 1e-300]), at.means, at.covariances)
    for one, vector in [(empty, direction(name)), (at, np.nan * direction(name))]:
        with np.errstate(all="ignore"):
            _, failed = _coordinates.retract(one, np.abs(vector)[None], family)
        assert_array_equal(failed, [True])


def test_coordinates_of_components_without_weight_are_finite():
    at = mixture_of("VVV", 0)
    empty = Parameters(np.array([0.5, 0.5, 0.0]), at.means, at.covariances)
    for one, other in [(at, empty), (empty, at), (empty, empty)]:
        assert np.isfinite(coordinates(one, other)).all()
