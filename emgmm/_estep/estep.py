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

from .dispatch import kernel_for, weighted_sum, with_fallback
from .kernel import DOUBLE, Kernel, Sums
from .missing_fast import observed_features, split_sums
from .moments import Deviations
from .statistics import Statistics


def e_step(X: NDArray, sample_weight: NDArray, kernel: Kernel) -> Sums:
    """Sums over one block of rows."""
    features = kernel.features(X)
    log_joint = kernel.log_joint(features)
    log_density, responsibilities = kernel.posterior(log_joint, sample_weight)
    moments = kernel.moments(features, responsibilities)
    log_likelihood = weighted_sum(sample_weight, log_density, kernel.workspace)
    return Sums(log_likelihood, moments)


def expectation(
    rows: RowSource,
    stacks: Sequence[Parameters],
    shares: Sequence[NDArray] | None = None,
) -> list[Statistics]:
    """Expected statistics of all rows under the mixtures of each stack.

    Mixture b of a stack sees the rows with their weights times ``shares[stack][:, b]``.
    """
    found = []
    for number, stack in enumerate(stacks):
        parts = []
        for b in range(len(stack.segments)):
            own = rows
            if shares is not None:
                own = rows._with(rows.X, rows.weights * shares[number][:, b])
            parts.append(_expectation_of_one(own, stack.mixture(b)))
        found.append(Statistics.joined(parts))
    return found


def _expectation_of_one(blocks: RowSource, mixture: Parameters) -> Statistics:
    """Expected statistics of all rows, about an origin near enough to the means.

    Overflow and underflow are ignored, in helper threads too: kernels check results.
    """

    def visit(kernel: Kernel) -> tuple[Statistics, bool]:
        sums = blocks.sum(
            partial(e_step, kernel=kernel), block_length=kernel.block_length
        )
        stats = kernel.statistics(sums, blocks)
        return stats, bool(stats.cancels(kernel.max_cancellation).any())

    with np.errstate(all="ignore"):
        rows = blocks.summary
        kernel = kernel_for(mixture, blocks, rows.center, rows.compute_dtype)
        stats, cancels = with_fallback(visit, kernel)
        if not cancels:
            return stats
        # Rare: a mean moved by many standard deviations of its component.
        return visit(kernel.fallback_kernel(stats.means))[0]


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
    return deviations.statistics(sums, blocks.summary.weight)


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
    return Sums(0.0, deviations.moments(deviations.features(X), weighted))


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
    return Sums(0.0, np.stack(moments))


def _weighted(start: NDArray, n_components: int, sample_weight: NDArray) -> NDArray:
    """Starting labels or responsibilities, times the weights of the rows, (K, n)."""
    if start.ndim == 1:
        components = np.arange(n_components, dtype=start.dtype)
        return (start == components[:, None]) * sample_weight
    return start.T * sample_weight
