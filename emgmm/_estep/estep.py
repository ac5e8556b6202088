"""The E-step: statistics of rows under a mixture, or under starting labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import RowSource
from emgmm._model.moment_kinds import MomentKind
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments
from emgmm._utils.matmul import contract

from .dispatch import Part, parts_of
from .kernel import DOUBLE, Kernel, Several, Sums, weighted_sums
from .missing_fast import observed_features, split_sums
from .moments import Deviations
from .statistics import Statistics


def e_step(X: NDArray, sample_weight: NDArray, kernel: Kernel) -> Sums:
    """Sums over one block of rows, with weights (n,), or (B, n) for each mixture."""
    features = kernel.features(X)
    log_joint = kernel.log_joint(features)
    log_density, responsibilities = kernel.posterior(log_joint, sample_weight)
    moments = kernel.moments(features, responsibilities)
    log_likelihood = weighted_sums(sample_weight, log_density, kernel.workspace)
    weight = sample_weight.sum(axis=1) if sample_weight.ndim > 1 else None
    return Sums(log_likelihood, moments, weight)


def expectation(
    rows: RowSource,
    stacks: Sequence[Parameters],
    shares: Sequence[NDArray] | None = None,
) -> list[Statistics]:
    """Expected statistics of all rows under the mixtures of each stack, about an origin
    near enough to the means, in one pass over the rows.

    Mixture b of a stack sees the rows with their weights times ``shares[stack][:, b]``.
    Overflow and underflow are ignored, in helper threads too: results are checked.
    """
    with np.errstate(all="ignore"):
        near, dtype = rows.summary.center, rows.summary.compute_dtype
        parts = parts_of(stacks, rows, near, dtype, shares is not None)
        found: list[tuple[Part, Statistics]] = []
        while parts:
            sums = _sums_of(parts, rows, shares or ())
            again: list[Part] = []
            for part, own in zip(parts, sums, strict=True):
                stats = part.kernel.statistics(own, rows)
                good, others = _checked(part, stats)
                found += good
                again += others
            parts = again  # rare
    return [_of_stack(number, found) for number in range(len(stacks))]


def _checked(
    part: Part, stats: Statistics
) -> tuple[list[tuple[Part, Statistics]], list[Part]]:
    """Mixtures with their statistics, and those that need another kernel: because rows
    are too far away, or a mean moved by many standard deviations of its component."""
    kernel = part.kernel
    lost = np.zeros(len(kernel.segments), dtype=bool)
    if not kernel.unlimited:
        lost = np.isnan(stats.log_likelihood)
        lost |= kernel.segments.any(np.isnan(stats.counts))
    moved = stats.cancels(kernel.max_cancellation) & ~lost
    moved &= not part.final
    again = lost | moved
    if not again.any():
        return [(part, stats)], []
    parts = [part.fallback(lost)] if lost.any() else []
    if moved.any():
        parts.append(part.fallback(moved, stats.means, final=True))
    return [(part.among(~again), stats.take(~again))], parts


def _sums_of(
    parts: Sequence[Part], rows: RowSource, shares: Sequence[NDArray]
) -> list[Sums]:
    """Sums over all rows for each part, in one pass."""
    length = min(part.kernel.block_length for part in parts)
    function = partial(_sums_of_block, parts)
    return rows.sum(function, *shares, block_length=length).values


def _sums_of_block(
    parts: Sequence[Part], X: NDArray, sample_weight: NDArray, *shares: NDArray
) -> Several:
    """Sums over one block of rows for each part."""
    found = []
    for part in parts:
        weights = sample_weight
        if shares:
            own = shares[part.stack].T[part.mixtures]
            weights = np.multiply(own, sample_weight, order="C")
        found.append(e_step(X, weights, part.kernel))
    return Several(found)


def _of_stack(number: int, found: Sequence[tuple[Part, Statistics]]) -> Statistics:
    """The statistics of a stack, in its order, from those of its parts."""
    own = [(part.mixtures, stats) for part, stats in found if part.stack == number]
    mixtures = np.concatenate([indices for indices, _ in own])
    joined = Statistics.joined([stats for _, stats in own])
    if (mixtures[:-1] < mixtures[1:]).all():
        return joined
    return joined.take(np.argsort(mixtures))


def statistics_of_start(
    blocks: RowSource, start: NDArray, n_components: int, kind: MomentKind
) -> Statistics:
    """Statistics of starting labels (n,), -1 unassigned, or responsibilities (n, K).

    Without covariances, missing values are taken to be independent of observed ones,
    with the component's mean and variance of the observed values of the feature.
    """
    means = _means_of_incomplete if blocks.summary.incomplete else _means_of_complete
    origin, missing = means(blocks, start, n_components)
    base, workspace = np.zeros_like(blocks.summary.center), blocks.workspace
    segments = Segments.one(n_components)
    deviations = Deviations(kind, segments, origin, base, DOUBLE.dtype, workspace)
    # Few rows belong to a component by labels; deviations are taken of these alone.
    if start.ndim == 1 or blocks.summary.incomplete:
        sums = blocks.sum(partial(_moments_of_members, kind, origin), start)
    else:
        moments = partial(_moments_of_all, deviations)
        sums = blocks.sum(moments, start, block_length=deviations.block_length)
    kind.add_to_diagonals(kind.second(sums.moments), missing)
    return deviations.statistics(sums, np.array([blocks.summary.weight]))


def _means_of_complete(
    blocks: RowSource, start: NDArray, n_components: int
) -> tuple[NDArray, NDArray | float]:
    """Means (K, d), and sums of squares of missing values about them: zero."""
    features = partial(_centered, center=blocks.summary.center)
    sums = _sums_of_features(blocks, start, n_components, features)
    counts, first = sums[:, :1], sums[:, 1:]
    return blocks.summary.center + first / np.where(counts > 0, counts, 1.0), 0.0


def _means_of_incomplete(
    blocks: RowSource, start: NDArray, n_components: int
) -> tuple[NDArray, NDArray | float]:
    """Means (K, d) of observed values, and expected sums of squares of missing values
    about them (K, d)."""
    features = partial(
        observed_features, origin=blocks.summary.center, workspace=blocks.workspace
    )
    sums = _sums_of_features(blocks, start, n_components, features)
    counts, present, first, second = split_sums(sums)
    seen, number = present > 0, np.where(present > 0, present, 1.0)
    shifts = np.where(seen, first / number, 0.0)
    variances = np.where(seen, second / number - shifts**2, blocks.summary.variances)
    return blocks.summary.center + shifts, (counts - present) * np.maximum(
        variances, 0.0
    )


def _sums_of_features(
    blocks: RowSource,
    start: NDArray,
    n_components: int,
    features: Callable[[NDArray], NDArray],
) -> NDArray:
    """Weighted sums (K, F) of features (F, n) of the rows."""

    def of_block(X: NDArray, sample_weight: NDArray, start: NDArray) -> NDArray:
        return contract(features(X), _weighted(start, n_components, sample_weight))

    return blocks.sum(of_block, start).T


def _centered(X: NDArray, center: NDArray) -> NDArray:
    """[1, x - center], shape (1 + d, n)."""
    features = np.ones((1 + X.shape[1], len(X)))
    np.subtract(X.T, center[:, None], out=features[1:])
    return features


def _moments_of_all(
    deviations: Deviations, X: NDArray, sample_weight: NDArray, start: NDArray
) -> Sums:
    """Sums over one block of complete rows with responsibilities."""
    weighted = _weighted(start, len(deviations.origin), sample_weight)
    return Sums(np.zeros(1), deviations.moments(deviations.features(X), weighted))


def _moments_of_members(
    kind: MomentKind,
    origin: NDArray,
    X: NDArray,
    sample_weight: NDArray,
    start: NDArray,
) -> Sums:
    """Sums over one block, taken over the rows with weight in each component; missing
    values count as the origin."""
    moments = []
    for mean, weights in zip(
        origin, _weighted(start, len(origin), sample_weight), strict=True
    ):
        rows = np.flatnonzero(weights)
        vectors = X[rows] - mean
        np.copyto(vectors, 0.0, where=np.isnan(vectors))
        moments.append(kind.moments(vectors, weights[rows]))
    return Sums(np.zeros(1), np.stack(moments))


def _weighted(start: NDArray, n_components: int, sample_weight: NDArray) -> NDArray:
    """Starting labels or responsibilities, times the weights of the rows, (K, n)."""
    if start.ndim == 1:
        components = np.arange(n_components, dtype=start.dtype)
        return (start == components[:, None]) * sample_weight
    return start.T * sample_weight
