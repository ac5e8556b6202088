"""Stacks in the E-step: each mixture as by itself, whatever its company."""

from __future__ import annotations

import tracemalloc

import dask
import dask.array as da
import numpy as np
import pytest
from conftest import make_blobs
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import threadpool_limits

from emgmm import GaussianMixtureEM
from emgmm._data.arrays import ArrayBlocks
from emgmm._data.missing import IncompleteBlocks
from emgmm._data.sources import check_blocks
from emgmm._estep.complete import Quadratic, Whitened
from emgmm._estep.dispatch import parts_of
from emgmm._estep.estep import (
    expectation,
    statistics_of_start,
    statistics_of_starts,
)
from emgmm._estep.kernel import DOUBLE, SINGLE
from emgmm._estep.missing_exact import ExactMissingKernel
from emgmm._estep.missing_fast import DiagonalKernel, PatternKernel
from emgmm._estep.missing_rowwise import RowwiseKernel
from emgmm._estep.predict import (
    classification_score,
    effective_rows,
    log_density,
    scores_of_stacks,
    sum_over_rows,
    weight_of_components,
)
from emgmm._estep.statistics import Statistics
from emgmm._model.covariances import Diagonal, Full, Spherical, Tied
from emgmm._model.moment_kinds import MOMENT_KINDS
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments

STORAGES = [Spherical, Diagonal, Tied, Full]
SIZES = [3, 1, 2, 3, 5, 1]
D = 3


def stack_of(storage, sizes=SIZES, d=D, seed=0):
    rng, segments = np.random.default_rng(seed), Segments.of(sizes)
    shape = storage.layout(segments, d)
    if storage in (Tied, Full):
        roots = rng.standard_normal((*shape[:-1], 2 * d + 3)) / d**0.5
        values = roots @ roots.mT
    else:
        values = rng.uniform(0.5, 2.0, shape)
    return Parameters(
        np.concatenate([rng.dirichlet(np.full(size, 3.0)) for size in sizes]),
        2 * rng.standard_normal((segments.n_components, d)),
        storage.from_values(values, segments, d),
    )


def in_other_units(stack, units, shift):
    covariances = stack.covariances.in_units(np.full(stack.means.shape[1], units))
    return Parameters(stack.weights, (stack.means + shift) / units, covariances)


def rows_of(n_samples=400, share=0.0, seed=1):
    """Rows, some of which are far from every mixture; with values missing at random."""
    X = make_blobs(seed, n_samples, D, 3)
    X[:5] += 60.0
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    return X


def blocks_of(X, weights=None):
    make = IncompleteBlocks.of if np.isnan(X).any() else ArrayBlocks
    return make(X, weights)


def one_by_one(rows, stack, shares=None):
    """The statistics of each mixture by itself, from a pass of its own."""
    parts = []
    for b in range(len(stack.segments)):
        own = rows
        if shares is not None:
            own = rows._with(rows.X, rows.weights * shares[:, b])
        parts += expectation(own, [stack.mixture(b)])
    return Statistics.joined(parts)


def assert_same(ours, expected, rtol=1e-10):
    """Whether statistics are equal, in units of those of each mixture and feature."""
    assert ours.kind is expected.kind
    assert_array_equal(ours.segments.sizes, expected.segments.sizes)
    for name in ["log_likelihood", "weight"]:
        assert_allclose(getattr(ours, name), getattr(expected, name), rtol=rtol)
    least = rtol * expected.weight.max()
    assert_allclose(ours.counts, expected.counts, rtol=rtol, atol=least)
    unit = np.sqrt(expected.squares.max(axis=0))
    assert_allclose(
        ours.counts[:, None] * (ours.means - expected.means) / unit, 0.0, atol=least
    )
    units = unit**2 if expected.kind.of_squares else np.outer(unit, unit)
    # Of components that share tiny parts of rows, differences are of no account.
    assert_allclose(
        ours.scatter / units, expected.scatter / units, rtol=10 * rtol, atol=10 * rtol
    )


STACKS = [stack_of(storage, seed=seed) for seed, storage in enumerate(STORAGES)]


@pytest.mark.parametrize("forced", [None, True, False], ids=["", "quadratic", "white"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_samples", [60, 3000])
def test_stacks_have_the_statistics_of_each_mixture_by_itself(
    n_samples, weighted, forced, monkeypatch
):
    if forced is not None:
        monkeypatch.setattr(Quadratic, "is_accurate", forced)
    monkeypatch.setattr("emgmm._estep.complete.MAX_BLOCK_LENGTH", 700)
    weights = np.random.default_rng(2).random(n_samples) if weighted else None
    rows = blocks_of(rows_of(n_samples), weights)
    for ours, stack in zip(expectation(rows, STACKS), STACKS, strict=True):
        assert_same(ours, one_by_one(rows, stack))


@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_shares_are_the_weights_of_a_fit_of_their_own(weighted, share):
    rng, n_samples = np.random.default_rng(3), 900
    weights = rng.random(n_samples) if weighted else None
    rows = blocks_of(rows_of(n_samples, share), weights)
    shares = [rng.poisson(1.0, (n_samples, 6)).astype(float) for _ in STACKS]
    found = expectation(rows, STACKS, shares)
    for ours, stack, own in zip(found, STACKS, shares, strict=True):
        assert_same(ours, one_by_one(rows, stack, own))


KERNELS = {
    Spherical: [DiagonalKernel],
    Diagonal: [DiagonalKernel],
    Tied: [PatternKernel, RowwiseKernel, ExactMissingKernel],
    Full: [PatternKernel, RowwiseKernel, ExactMissingKernel],
}


@pytest.mark.parametrize(
    ("stack", "refused"),
    [
        (stack, kernels[:number])
        for stack in STACKS
        for kernels in [KERNELS[type(stack.covariances)]]
        for number in range(len(kernels) + (len(kernels) == 1))
    ],
)
def test_every_kernel_of_missing_values_takes_stacks(stack, refused, monkeypatch):
    for kernel in refused:
        if kernel is not ExactMissingKernel:
            monkeypatch.setattr(kernel, "is_accurate", False)
    rows = blocks_of(rows_of(1500, 0.25))
    center = rows.summary.center
    (part,) = parts_of([stack], rows, center, DOUBLE.dtype)
    assert type(part.kernel) not in refused
    assert_same(expectation(rows, [stack])[0], one_by_one(rows, stack))


FORMS = {
    "map": lambda X, folder: np.load(folder, mmap_mode="r"),
    "iterable": lambda X, folder: np.array_split(X, [0, 7, 150, 150, 401]),
    "dask": lambda X, folder: da.from_array(X, chunks=(130, -1)),
}


@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize("form", FORMS)
def test_from_every_source_a_pass_serves_all_stacks(form, share, tmp_path, monkeypatch):
    monkeypatch.setattr("emgmm._data.chunks.CHUNK_SIZE", 100 * D)
    monkeypatch.setattr("emgmm._data.maps.LARGE", 0)
    X = rows_of(500, share)
    np.save(tmp_path / "X.npy", X)
    shares = [np.random.default_rng(4).poisson(1.0, (500, 6)) * 1.0 for _ in STACKS]
    whole = blocks_of(X)
    sorted_shares = [whole.to_block_order(own) for own in shares]
    with dask.config.set(scheduler="synchronous"):
        rows = check_blocks(
            GaussianMixtureEM(), FORMS[form](X, tmp_path / "X.npy"), None, True
        )
        center, visit, passes = rows.summary.center, type(rows).visit, []

        def spy(self, function, *each):
            passes.append(function)
            return visit(self, function, *each)

        assert_allclose(rows.summary.scatter, whole.summary.scatter)
        monkeypatch.setattr(type(rows), "visit", spy)
        for own, expected in [(None, None), (shares, sorted_shares)]:
            del passes[:]
            found = expectation(rows, STACKS, own)
            assert len(passes) == 1
            for ours, other in zip(
                found, expectation(whole, STACKS, expected), strict=True
            ):
                assert_same(ours, other)
        scores = scores_of_stacks(rows, STACKS)
        assert len(passes) == 2
    assert_allclose(center, whole.summary.center)
    assert_allclose(scores, scores_of_stacks(whole, STACKS), rtol=1e-11)


@pytest.mark.parametrize("separation", [1.0, 1e3])
def test_float32_is_chosen_for_each_mixture(separation):
    """Of means that are far apart the rounding in float32 would show."""
    X = rows_of(2000).astype(np.float32)
    near, far = STACKS[3], in_other_units(STACKS[3], 1.0, 0.0)
    far = Parameters(far.weights, far.means * separation, far.covariances)
    rows, both = ArrayBlocks(X), Parameters.joined([near, far])
    parts = parts_of([both], rows, rows.summary.center, SINGLE.dtype)
    formats = {part.kernel.float_format for part in parts}
    assert formats == ({SINGLE} if separation == 1 else {SINGLE, DOUBLE})
    # Sums in float32 are rounded differently in other orders.
    assert_same(expectation(rows, [both])[0], one_by_one(rows, both), 1e-5)


@pytest.mark.parametrize("units, shift", [(1.0, 1e8), (1e150, 0.0), (1e-150, 0.0)])
@pytest.mark.parametrize("stack", STACKS)
def test_stacks_lie_anywhere_in_any_units(stack, units, shift):
    X = np.round(rows_of(300) * 2.0**20) / 2.0**20
    rows, moved = ArrayBlocks((X + shift) / units), in_other_units(stack, units, shift)
    with np.errstate(all="ignore"):
        (ours,) = expectation(rows, [moved])
        assert_same(ours, one_by_one(rows, moved))
        (near,) = expectation(ArrayBlocks(X), [stack])
    assert_allclose(ours.counts, near.counts, rtol=1e-5, atol=1e-5)
    assert np.isfinite(ours.scatter).all()


def kernels_used(monkeypatch):
    """The numbers of mixtures and kernels whose statistics are made from now on."""
    used = []
    for kernel in (Quadratic, Whitened):
        statistics = kernel.statistics

        def spy(self, sums, blocks, statistics=statistics):
            used.append((type(self), len(self.segments)))
            return statistics(self, sums, blocks)

        monkeypatch.setattr(kernel, "statistics", spy)
    return used


@pytest.mark.parametrize("storage", STORAGES)
def test_a_mixture_whose_sums_cancel_is_taken_again_by_itself(storage, monkeypatch):
    """Of components that turn out to be much narrower than they are far apart."""
    rng, labels = np.random.default_rng(0), np.arange(300) % 2
    X = 1e-4 * rng.standard_normal((300, D)) + np.where(labels, 1.0, -1.0)[:, None]
    rows, sizes = ArrayBlocks(X), [2, 1, 2]
    segments = Segments.of(sizes)
    values = np.full(storage.layout(segments, D), 0.01)
    if storage in (Tied, Full):
        values = values * 0 + 0.01 * np.eye(D)
    means = np.array([[1.0], [-1.0], [0.0], [0.1], [-0.1]]) + np.zeros(D)
    values[-1 if storage is Tied else slice(-2, None)] *= 400  # shares of all rows
    mixtures = Parameters(
        np.array([0.5, 0.5, 1.0, 0.5, 0.5]),
        means,
        storage.from_values(values, segments, D),
    )
    alone = one_by_one(rows, mixtures)
    used = kernels_used(monkeypatch)
    (ours,) = expectation(rows, [mixtures])
    assert_same(ours, alone)
    assert used == [(Quadratic, 3), (Whitened, 1)]
    means = np.array([X[labels == k].mean(axis=0) for k in (1, 0)])
    assert_allclose(ours.means[:2], means, rtol=1e-14)
    spread = ours.squares[0] / (300 if storage is Tied else 150)
    assert_allclose(spread, 1e-8, rtol=0.3)


@pytest.mark.parametrize("stack", STACKS)
def test_rows_beyond_a_mixture_leave_the_others_alone(stack, monkeypatch):
    """A row that one mixture cannot tell from minus infinity."""
    X = rows_of(200)
    X[7] = 1e6
    rows = ArrayBlocks(X)
    # So narrow that squares in units of its variances overflow.
    narrow = in_other_units(stack.mixture(2), 1e150, 0.0)
    company = Parameters.joined([stack, narrow])
    monkeypatch.setattr(Quadratic, "is_accurate", True)
    used = kernels_used(monkeypatch)
    with np.errstate(all="ignore"):
        (ours,) = expectation(rows, [company])
    lost = [number for kernel, number in used if kernel is Whitened]
    assert 1 in lost
    others = np.arange(len(SIZES))
    assert_same(ours.take(others), one_by_one(rows, stack))
    assert_allclose(ours.counts[company.segments.slices()[-1]].sum(), 200)


@pytest.mark.parametrize("far", [1e3, 1e200])
@pytest.mark.parametrize("stack", STACKS)
def test_rows_without_weight_for_a_mixture_do_not_count_in_it(stack, far):
    X, shares = rows_of(200), np.ones((200, 6))
    X[-1], shares[-1, :3] = far, 0.0
    rows = ArrayBlocks(X)
    with np.errstate(all="ignore"):
        (ours,) = expectation(rows, [stack], [shares])
    (expected,) = expectation(ArrayBlocks(X[:-1]), [stack])
    few = np.arange(3)
    assert_same(ours.take(few), expected.take(few))


def test_no_pass_holds_responsibilities_of_all_rows():
    n_samples, sizes = 100_000, [5] * 60
    rows = ArrayBlocks(make_blobs(0, n_samples, D, 3))
    stacks = [stack_of(storage, sizes) for storage in STORAGES]
    labels = [np.arange(n_samples) % 5] * 60
    assert rows.summary.scatter.shape == (D, D)
    with threadpool_limits(1):
        tracemalloc.start()
        expectation(rows, stacks)
        scores_of_stacks(rows, stacks)
        statistics_of_starts(rows, labels, sizes, MOMENT_KINDS)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < n_samples * sum(sizes) * 8 / 8


@pytest.mark.parametrize("stack", STACKS)
def test_empty_components_stay_where_they_are(stack):
    weights = stack.weights.copy()
    weights[0] = 0.0
    silent = Parameters(weights, stack.means, stack.covariances)
    with np.errstate(divide="ignore"):
        (ours,) = expectation(ArrayBlocks(rows_of()), [silent])
    assert ours.counts[0] == 0
    assert_array_equal(ours.means[0], stack.means[0])


# Exponentials ----------------------------------------------------------------------


@pytest.mark.parametrize("numbers", [DOUBLE, SINGLE])
def test_exponentials_are_those_of_numpy_or_zero_where_they_underflow(numbers):
    values = np.linspace(-2000.0, 5.0, 40_001).astype(numbers.dtype)
    found = np.empty_like(values)
    numbers.exp(values, found)
    expected = np.exp(values)
    smallest = numbers.smallest_total * numbers.eps
    assert_allclose(found, expected, rtol=2 * numbers.eps, atol=8 * smallest)
    assert_array_equal(found[expected == 0], 0.0)
    numbers.exp(np.array([np.nan, -np.inf], numbers.dtype), found[:2])
    assert np.isnan(found[0]) and found[1] == 0


# Starts ----------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_starts_share_passes(offset, share):
    """Of which some lie so far from the center that deviations are taken again."""
    rng, n_samples = np.random.default_rng(0), 600
    X = rng.standard_normal((n_samples, D)) + offset
    halves = (np.arange(n_samples) % 2).astype(int)
    X[halves == 1] += 1e4
    X[rng.random(X.shape) < share] = np.nan
    rows = blocks_of(X, rng.random(n_samples))
    starts = [
        rng.integers(-1, 3, n_samples),
        rows.to_block_order(halves),
        rng.dirichlet(np.ones(4), n_samples),
        np.zeros(n_samples, int),
    ]
    sizes = [3, 2, 4, 2]
    found = statistics_of_starts(rows, starts, sizes, MOMENT_KINDS)
    for kind, ours in zip(MOMENT_KINDS, found, strict=True):
        parts = [
            statistics_of_start(rows, start, size, kind)
            for start, size in zip(starts, sizes, strict=True)
        ]
        assert_same(ours, Statistics.joined(parts))
        assert ours.counts[-1] == 0


def test_starts_are_as_accurate_far_from_the_center_as_near_it():
    rng = np.random.default_rng(0)
    X = 1e-3 * rng.standard_normal((400, D))
    labels = np.arange(400) % 2
    far = X + 2.0**20 * labels[:, None]  # so that what is added is exact
    far -= far - X - 2.0**20 * labels[:, None]
    exact = far - 2.0**20 * labels[:, None]
    (stats,) = statistics_of_starts(ArrayBlocks(far), [labels], [2], [MOMENT_KINDS[1]])
    for k in range(2):
        own = exact[labels == k]
        expected = (own - own.mean(axis=0)).T @ (own - own.mean(axis=0))
        assert_allclose(stats.scatter[k], expected, rtol=1e-9, atol=1e-12)


# Sums of predictions ---------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_scores_of_stacks_are_those_of_each_mixture(share):
    X = rows_of(700, share)
    X[3, 0] = 1e200  # beyond the fast kernels
    rows = blocks_of(X, np.random.default_rng(5).random(700))
    with np.errstate(all="ignore"):
        found = scores_of_stacks(rows, STACKS)
    for stack, (likelihood, classified) in zip(STACKS, found, strict=True):
        for b in range(len(SIZES)):
            one = stack.mixture(b)
            for score, ours in [
                (log_density, likelihood[b]),
                (classification_score, classified[b]),
            ]:
                assert_allclose(ours, sum_over_rows(rows, one, score)[0], rtol=1e-10)


@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("stack", STACKS)
def test_numbers_of_rows_are_those_of_each_mixture(stack, weighted, share):
    weights = np.random.default_rng(5).random(300) if weighted else None
    rows = blocks_of(rows_of(300, share), weights)
    for function in (effective_rows, weight_of_components):
        each = [function(rows, stack.mixture(b)) for b in range(len(SIZES))]
        assert_allclose(function(rows, stack), np.concatenate(each), rtol=1e-10)
