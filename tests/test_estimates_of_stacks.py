"""Estimates of stacks: what a mixture gets alone, and in any company."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from conftest import MODEL_NAMES
from numpy.testing import assert_allclose

from emgmm._model.covariances import Full
from emgmm._model.eigen import accurate_eigen
from emgmm._model.estimation import Estimation
from emgmm._model.families import MODELS, Families
from emgmm._model.linalg import inverse_cholesky, inverse_triangles
from emgmm._model.orientation import orientations_of
from emgmm._model.rotations import settle
from emgmm._model.segments import Segments
from emgmm._model.volume_shape import Rules

SIZES = [2, 1, 5, 3, 3, 1, 7]
LEAST = np.array([0.5, 2.0, 0.1, 4.0])  # some of the variances are less


def random_mixtures(seed=0, sizes=SIZES, n_features=4):
    """Counts and scatters of components for each of several mixtures."""
    rng = np.random.default_rng(seed)
    mixtures = []
    for size in sizes:
        counts = rng.uniform(20, 60, size)
        roots = rng.standard_normal((size, n_features, n_features + 2))
        scale = counts * rng.uniform(0.5, 4.0, size) / n_features
        scatter = scale[:, None, None] * (roots @ roots.mT)
        mixtures.append((counts, (scatter + scatter.mT) / 2))
    return mixtures


def in_layout(scatter, storage):
    return {
        "diagonal": np.diagonal(scatter, axis1=1, axis2=2),
        "full": scatter,
        "pooled": scatter.sum(axis=0, keepdims=True),
    }[storage.moment_kind.name]


def stacked(mixtures, storage):
    """Segments, counts and scatter of a stack of mixtures."""
    counts = [each for each, _ in mixtures]
    scatter = [in_layout(each, storage) for _, each in mixtures]
    segments = Segments.of([len(each) for each in counts])
    return segments, np.concatenate(counts), np.concatenate(scatter)


def alone(family, mixtures, starts):
    """Values of each mixture, estimated by itself."""
    return [
        family.estimate(*stacked([mixture], family.storage), start)
        for mixture, start in zip(mixtures, starts, strict=True)
    ]


def versions(name):
    """A family, its bounded version, and both with short M-steps."""
    family = MODELS[name]
    exact = [family, family.bounded(LEAST)]
    return [*exact, *(each.inexact for each in exact)]


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_a_stack_is_estimated_as_each_mixture_alone(name):
    mixtures, following = random_mixtures(0), random_mixtures(1)
    n_none = [None] * len(mixtures)
    storage = MODELS[name].storage
    first = alone(MODELS[name], mixtures, n_none)
    starts = [
        storage.from_values(values, stacked([mixture], storage)[0], 4)
        for values, mixture in zip(first, mixtures, strict=True)
    ]
    segments, counts, scatter = stacked(following, storage)
    start = storage.joined(starts)
    for family in versions(name):
        for one, every in [(n_none, None), (starts, start)]:
            expected = np.concatenate(alone(family, following, one))
            found = family.estimate(segments, counts, scatter, every)
            assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("names", [MODEL_NAMES[2:6], MODEL_NAMES[7:]])
def test_families_of_a_stack_are_estimated_as_each_by_itself(names, bounded):
    """Whether they share the search for axes or not."""
    mixtures = random_mixtures(2, [3, 1, 2, 5] * len(names))
    distinct = tuple(MODELS[name] for name in names)
    which = np.arange(len(mixtures)) % len(names)
    families = Families(distinct, which)
    if bounded:
        families = families.bounded(LEAST)
    for version in (families, families.inexact):
        found = version.estimate(*stacked(mixtures, families.storage), None)
        expected = [
            version.distinct[index].estimate(
                *stacked([mixture], families.storage), None
            )
            for index, mixture in zip(which, mixtures, strict=True)
        ]
        assert_allclose(found, np.concatenate(expected), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan])
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_a_singular_mixture_does_not_matter_to_the_others(name, bad):
    storage = MODELS[name].storage
    mixtures = random_mixtures(3)
    broken = [(counts, scatter.copy()) for counts, scatter in mixtures]
    broken[2][1][:] = bad
    broken[4][1][1] = bad
    sound = np.array([0, 1, 3, 5, 6])
    for family in versions(name)[:: 3 if bad else 2]:
        segments, counts, scatter = stacked(broken, storage)
        expected = family.estimate(*stacked(mixtures, storage), None)
        found = family.estimate(segments, counts, scatter, None)
        entries = storage.moment_kind.entries(segments, sound)
        assert_allclose(found[entries], expected[entries], rtol=1e-9, atol=1e-10)
        covariances, singular = storage.estimated(found, segments, 4)
        assert not singular[sound].any()
        assert np.isfinite(covariances.log_det).all()
        if not (family.least is not None and bad == 0.0):
            assert singular[2]


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_covariances_of_fewer_components_are_a_start_too(name):
    family = MODELS[name]
    few, many = random_mixtures(6, [2, 3]), random_mixtures(7, [4, 2])
    segments, counts, scatter = stacked(few, family.storage)
    values = family.estimate(segments, counts, scatter, None)
    start = family.storage.from_values(values, segments, 4)
    for version in (family, family.inexact):
        found = version.estimate(*stacked(many, family.storage), start)
        expected = alone(version, many, [start.take(np.array([b])) for b in (0, 1)])
        assert_allclose(found, np.concatenate(expected), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("n_features", [3, 6])
@pytest.mark.parametrize("name", ["EVE", "VVE"])
def test_a_common_orientation_is_as_good_as_after_500_sweeps(name, n_features):
    """From a start: whichever method finds it."""
    family, n = MODELS[name], n_features
    segments, counts, scatter = stacked(random_mixtures(4, SIZES, n), Full)
    start = family.estimate(segments, counts, scatter, None)
    start = Full.from_values(start, segments, n)
    _, counts, scatter = stacked(random_mixtures(5, SIZES, n), Full)
    scatter = 0.9 * counts[:, None, None] * start.values + 0.1 * scatter
    estimation = Estimation(
        segments, counts, scatter, start, Rules((family.rule,)), Full
    )
    _, variances = settle(estimation, orientations_of(start), 500)
    found = family.estimate(segments, counts, scatter, start)
    log_dets = np.log(variances).sum(axis=1) - np.linalg.slogdet(found)[1]
    assert segments.sum(counts * log_dets).min() > -1e-9


@pytest.mark.parametrize("spread", [0, 2, 5, 8])
def test_eigenvalues_of_features_of_any_scales_have_their_digits(spread):
    """Against 60 digits, for matrices that are well-conditioned but for the scales."""
    rng = np.random.default_rng(spread)
    roots = rng.standard_normal((5, 4, 12)) / np.sqrt(12)
    roots *= np.geomspace(1, 10.0**-spread, 4)[:, None]
    matrices = roots @ roots.mT
    values, vectors = accurate_eigen(matrices)
    with mpmath.workdps(60):
        exact = [mpmath.eigsy(mpmath.matrix(each.tolist()))[0] for each in matrices]
    assert_allclose(values, [[float(v) for v in each] for each in exact], rtol=1e-11)
    assert_allclose(vectors.mT @ vectors, np.tile(np.eye(4), (5, 1, 1)), atol=1e-14)


def test_inverses_of_many_triangles_are_those_of_each():
    rng = np.random.default_rng(0)
    roots = rng.standard_normal((60, 5, 8)) * np.geomspace(1e-6, 1e6, 5)[:, None]
    matrices = roots @ roots.mT
    matrices[7, 2, 2] = np.nan
    matrices[11] -= 2 * np.diag(np.diag(matrices[11]))
    many = inverse_cholesky(matrices)
    assert np.isnan(many[[7, 11]]).any(axis=(1, 2)).all()
    for k in set(range(60)) - {7, 11}:
        one = inverse_cholesky(matrices[k : k + 1])[0]
        assert_allclose(many[k], one, rtol=1e-9, atol=0)
        lower = np.linalg.cholesky(matrices[k])
        assert_allclose(inverse_triangles(lower) @ lower, np.eye(5), atol=1e-9)
