"""The E-step: statistics of rows under a mixture, or under starting labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import RowSource
from emgmm._model.moment_kinds import DIAGONAL, FULL, MomentKind
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments
from emgmm._utils.matmul import contract

from .complete import length_of_blocks
from .dispatch import Part, parts_of
from .features import SECOND_ORDER, unpack_products
from .kernel import DOUBLE, Kernel, Several, Sums
from .memberships import Memberships, PriorTable, RowPrior
from .missing_fast import observed_features, split_sums
from .moments import Deviations
from .statistics import Statistics

# Squares about the center of the rows may be this many times those about the means of
# a start, which costs as many units of rounding.
START_CANCELLATION = 100.0


def e_step(
    X: NDArray, sample_weight: NDArray, kernel: Kernel, prior: RowPrior | None = None
) -> Sums:
    """Sums over one block of rows, with weights (n,), or (B, n) for each mixture, and
    what is known of the rows, if anything is."""
    features = kernel.features(X)
    joint = kernel.joint(features, X, prior)
    log_density, responsibilities = kernel.posterior(joint, sample_weight)
    moments = kernel.moments(features, responsibilities)
    log_likelihood = kernel.weighted_sums(sample_weight, log_density)
    weight = sample_weight.sum(axis=1) if sample_weight.ndim > 1 else None
    return Sums(log_likelihood, moments, weight)


@np.errstate(all="ignore")
def expectation(
    rows: RowSource,
    stacks: Sequence[Parameters],
    shares: Sequence[NDArray] | None = None,
    memberships: Memberships | None = None,
) -> list[Statistics]:
    """Expected statistics of all rows under the mixtures of each stack, about an origin
    near enough to the means, in one pass over the rows.

    Mixture b of a stack sees the rows with their weights times ``shares[stack][:, b]``.
    ``memberships`` say to which components rows may belong.
    Overflow and underflow are ignored, in helper threads too: results are checked.
    """
    if shares is not None:
        rows = rows.on_host
    near, dtype = rows.summary.center, rows.summary.compute_dtype
    parts = parts_of(stacks, rows, near, dtype, shares is not None)
    found: list[tuple[Part, Statistics]] = []
    while parts:
        sums = _sums_of(parts, rows, shares or (), memberships)
        again: list[Part] = []
        for part, own in zip(parts, sums, strict=True):
            stats = part.kernel.statistics(own, rows)
            found.append((part, stats))
            again += _again(part, stats)
        parts = again  # rare
    return [_of_stack(number, found) for number in range(len(stacks))]


def _again(part: Part, stats: Statistics) -> list[Part]:
    """Mixtures that need another kernel: because rows are too far away, or a mean moved
    by many standard deviations of its component."""
    kernel = part.kernel
    if stats.are_near(kernel.max_cancellation):
        return []
    moved = stats.cancels(kernel.max_cancellation)
    lost = np.isnan(kernel.segments.sum(stats.counts)) & (not kernel.unlimited)
    moved &= ~lost & (not part.final)
    parts = [part.fallback(lost)] if lost.any() else []
    if moved.any():
        parts.append(part.fallback(moved, stats.means, final=True))
    return parts


def _sums_of(
    parts: Sequence[Part],
    rows: RowSource,
    shares: Sequence[NDArray],
    memberships: Memberships | None,
) -> list[Sums]:
    """Sums over all rows for each part, in one pass."""
    length = min(part.kernel.block_length for part in parts)
    aligned, table = list(shares), None
    if memberships is not None:
        aligned, table = [*aligned, memberships.kinds], memberships.table
    function = partial(_sums_of_block, parts, table)
    return rows.sum(function, *aligned, block_length=length).values


def _sums_of_block(
    parts: Sequence[Part],
    table: PriorTable | None,
    X: NDArray,
    sample_weight: NDArray,
    *aligned: NDArray,
) -> Several:
    """Sums over one block of rows for each part."""
    found, prior, shares = [], None, aligned
    if table is not None:
        prior, shares = RowPrior(table, aligned[-1]), aligned[:-1]
    for part in parts:
        weights = sample_weight
        if shares:
            own = shares[part.stack].T[part.mixtures]
            weights = np.multiply(own, sample_weight, order="C")
        found.append(e_step(X, weights, part.kernel, prior))
    return Several(found)


def _of_stack(number: int, found: Sequence[tuple[Part, Statistics]]) -> Statistics:
    """The statistics of a stack, in its order, from those of its parts; of mixtures in
    several parts the last count."""
    own = [(part.mixtures, stats) for part, stats in found if part.stack == number]
    if len(own[0][0]) == len(own) == 1:
        return own[0][1]
    mixtures = np.concatenate([indices for indices, _ in own])
    joined = Statistics.joined([stats for _, stats in own])
    if (mixtures[:-1] < mixtures[1:]).all():
        return joined
    latest = np.empty(mixtures.max() + 1, dtype=np.intp)
    latest[mixtures] = np.arange(len(mixtures))
    return joined.take(latest)


def statistics_of_start(
    blocks: RowSource, start: NDArray, n_components: int, kind: MomentKind
) -> Statistics:
    """Statistics of starting labels (n,), -1 unassigned, or responsibilities (n, K).

    Without covariances, missing values are taken to be independent of observed ones,
    with the component's mean and variance of the observed values of the feature.
    """
    return statistics_of_starts(blocks, [start], [n_components], [kind])[0]


def statistics_of_starts(
    blocks: RowSource,
    starts: Sequence[NDArray],
    sizes: Sequence[int] | NDArray,
    kinds: Sequence[MomentKind],
) -> list[Statistics]:
    """Statistics of several starts of so many components, as one stack for each kind
    of moments, in one pass over the rows, or in two."""
    wide = DIAGONAL if all(kind.of_squares for kind in kinds) else FULL
    blocks = blocks.on_host
    segments = Segments.of(sizes)
    with np.errstate(all="ignore"):
        if blocks.summary.incomplete:
            stats = _of_incomplete(blocks, starts, segments, wide)
        else:
            stats = _about_center(blocks, starts, segments, wide)
            # What overflows may come from rows without weight.
            lost = np.isnan(stats.squares).any(axis=1)
            far = stats.cancels(START_CANCELLATION) | segments.any(lost)
            if far.any():
                own = list(compress(starts, far))
                origin = stats.take(far).means
                again = _about(blocks, own, segments.take(far), origin, wide)
                both = Statistics.joined([stats.take(~far), again])
                stats = both.take(np.argsort(np.argsort(far, kind="stable")))
    return [_of_kind(stats, kind) for kind in kinds]


def _of_kind(stats: Statistics, kind: MomentKind) -> Statistics:
    """Statistics with moments of a kind, from those of components."""
    products = stats.products
    if kind.of_squares and not stats.kind.of_squares:
        products = stats.kind.diagonals(products).copy()
    return replace(stats, kind=kind, products=kind.pool(stats.segments, products))


def _about_center(
    blocks: RowSource, starts: Sequence[NDArray], segments: Segments, kind: MomentKind
) -> Statistics:
    """Statistics about the center, from products of all features and components."""
    rows, second, workspace = blocks.summary, SECOND_ORDER[kind], blocks.workspace
    center, d = rows.center, rows.n_features
    width = 1 + d + second.size(d)

    def features(X: NDArray) -> NDArray:
        out = workspace.array("features", (width, len(X)), np.dtype(np.float64))
        out[0] = 1.0
        np.subtract(X.T, center[:, None], out=out[1 : 1 + d])
        second.fill(out, d)
        return out

    length = length_of_blocks(width, segments.n_components)
    sums = _sums_of_features(blocks, starts, segments, features, length)
    origin, products = np.tile(center, (len(sums), 1)), sums[:, 1 + d :]
    if not kind.of_squares:
        products = unpack_products(products, d)
    return _from_sums(blocks, kind, segments, origin, sums[:, : 1 + d], products)


def _from_sums(
    blocks: RowSource,
    kind: MomentKind,
    segments: Segments,
    origin: NDArray,
    first: NDArray,
    products: NDArray,
) -> Statistics:
    """Statistics without likelihoods, from counts and sums (M, 1 + d)."""
    nothing = np.zeros(len(segments))
    weight = nothing + blocks.summary.weight
    counts, sums = first[:, 0], first[:, 1:]
    return Statistics(kind, segments, origin, counts, sums, products, nothing, weight)


def _of_incomplete(
    blocks: RowSource, starts: Sequence[NDArray], segments: Segments, kind: MomentKind
) -> Statistics:
    """Statistics of rows with missing values, about the means of observed values."""
    center = blocks.summary.center
    features = partial(observed_features, origin=center, workspace=blocks.workspace)
    length = length_of_blocks(1 + 3 * len(center), segments.n_components)
    sums = _sums_of_features(blocks, starts, segments, features, length)
    counts, present, first, second = split_sums(sums)
    seen, number = present > 0, np.where(present > 0, present, 1.0)
    shifts = np.where(seen, first / number, 0.0)
    variances = np.where(seen, second / number - shifts**2, blocks.summary.variances)
    missing = (counts - present) * np.maximum(variances, 0.0)
    stats = _about(blocks, starts, segments, center + shifts, kind)
    kind.add_to_diagonals(stats.products, missing)
    return stats


def _sums_of_features(
    blocks: RowSource,
    starts: Sequence[NDArray],
    segments: Segments,
    features: Callable[[NDArray], NDArray],
    block_length: int,
) -> NDArray:
    """Weighted sums (M, F) of features (F, n) of the rows."""

    def of_block(X: NDArray, sample_weight: NDArray, *starts: NDArray) -> NDArray:
        shape = segments.n_components, len(X)
        weights = blocks.workspace.array("responsibilities", shape, np.float64)
        for start, own in zip(starts, segments.slices(), strict=True):
            weights[own] = _weighted(start, own.stop - own.start, sample_weight)
        return contract(features(X), weights)

    return blocks.sum(of_block, *starts, block_length=block_length).T


def _about(
    blocks: RowSource,
    starts: Sequence[NDArray],
    segments: Segments,
    origin: NDArray,
    kind: MomentKind,
) -> Statistics:
    """Statistics about an origin (M, d): of deviations of the rows from it."""
    base, workspace = np.zeros_like(blocks.summary.center), blocks.workspace
    slices = segments.slices()
    each = [
        Deviations(kind, Segments.one(size), origin[own], base, DOUBLE.dtype, workspace)
        for size, own in zip(segments.sizes.tolist(), slices, strict=True)
    ]
    incomplete = blocks.summary.incomplete

    def of_block(X: NDArray, sample_weight: NDArray, *starts: NDArray) -> NDArray:
        moments = []
        for start, own in zip(starts, each, strict=True):
            weighted = _weighted(start, len(own.origin), sample_weight)
            # Few rows belong to a component by labels.
            if start.ndim == 1 or incomplete:
                moments.append(_moments_of_members(kind, own.origin, X, weighted))
            else:
                moments.append(own.moments(own.features(X), weighted))
        return np.concatenate(moments)

    length = min(own.block_length for own in each)
    moments = blocks.sum(of_block, *starts, block_length=length)
    first, products = moments[:, 0], kind.second(moments)
    return _from_sums(blocks, kind, segments, origin, first, products)


def _moments_of_members(
    kind: MomentKind, origin: NDArray, X: NDArray, weighted: NDArray
) -> NDArray:
    """Moments of one block, taken over the rows with weight in each component; missing
    values count as the origin."""
    moments = []
    for mean, weights in zip(origin, weighted, strict=True):
        rows = np.flatnonzero(weights)
        vectors = X[rows] - mean
        np.copyto(vectors, 0.0, where=np.isnan(vectors))
        moments.append(kind.moments(vectors, weights[rows]))
    return np.stack(moments)


def _weighted(start: NDArray, n_components: int, sample_weight: NDArray) -> NDArray:
    """Starting labels or responsibilities, times the weights of the rows, (K, n)."""
    if start.ndim == 1:
        components = np.arange(n_components, dtype=start.dtype)
        return (start == components[:, None]) * sample_weight
    return start.T * sample_weight
