"""Cuts: ways to divide rows in two, of which a component may be split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from emgmm._data.arrays import ArrayBlocks
from emgmm._data.resolution import as_keys
from emgmm._em.regularization import ENOUGH_EQUAL
from emgmm._model.linalg import WIDE, principal
from emgmm._utils.matmul import diagonal_squares, squares
from emgmm._utils.ties import TIE, ranks, settled

from .principal_axes import AXIS_TOL

CUTS = 2  # of several ways to cut a component, those that are tried by EM
MOSTLY = 2.0  # times the variance of rounding, of which that is more than half
RIDGE = 1e-6  # share of variances added where halves of rows are compared


def standardized(blocks: ArrayBlocks, rounding: NDArray) -> ArrayBlocks:
    """The rows with every feature at mean 0 and variance 1, or 0 if it is constant.

    So are features of which ``rounding`` (d,) makes most of the variance, as flags,
    unless all are: they say little of where clusters are.
    """
    variances = blocks.summary.variances
    informative = (variances > 0) & (variances > MOSTLY * rounding)
    if not informative.any():
        informative = variances > 0
    scales = np.where(informative, np.sqrt(variances), np.inf)
    X = (blocks.X - blocks.summary.center) / scales
    return ArrayBlocks(X, blocks.sample_weight)


def halves(
    blocks: ArrayBlocks, rounding: NDArray, of_squares: bool
) -> Iterator[NDArray]:
    """Labels of two halves of the rows, several times; those of many features without
    products of them where the model does without, too.

    ``rounding`` (d,) are variances that halves have at least.
    """
    wide = blocks.summary.n_features > WIDE and of_squares
    ways = _halves_of_variances if wide else _halves_of_matrices
    return ways(blocks, rounding)


def _halves_of_matrices(blocks: ArrayBlocks, rounding: NDArray) -> Iterator[NDArray]:
    """Labels of two halves of the rows: the most promising of several ways to cut them.

    Across the principal axis; across the directions of least and of greatest kurtosis
    (eigenvectors of fourth moments: Cardoso 1989, doi:10.1109/ICASSP.1989.266878),
    which separate clusters that are not where variance is; the inner from the outer
    half; and rows that are equal from others.
    """
    weights, white, axes = whitened(blocks, rounding)
    if not white.size:  # all rows are equal
        return
    roots = np.sqrt(_share_of(rounding, blocks))[:, None] * axes
    ridge = RIDGE * np.eye(len(roots.T)) + roots.T @ roots
    radii = np.vecdot(white, white)
    fourth = white.T @ (white * (weights * radii)[:, None])
    directions = np.column_stack([white[:, -1], white @ _extremes(fourth)])
    ways = [*(directions > TIE).T, _inner(radii, weights), *_atoms(blocks)]
    yield from _most_promising(ways, partial(_gain_of_halves, white, weights, ridge))


def _extremes(matrix: NDArray) -> NDArray:
    """Eigenvectors (d, 2) of the least and of the greatest eigenvalue."""
    eigenvalues, axes = np.linalg.eigh(matrix)
    margin = TIE * eigenvalues[-1]
    least = eigenvalues <= eigenvalues[0] + margin
    greatest = eigenvalues >= eigenvalues[-1] - margin
    ends = [settled(eigenvalues[end], axes[:, end]) for end in (least, greatest)]
    return np.column_stack([end[:, -1] for end in ends])


def _halves_of_variances(blocks: ArrayBlocks, rounding: NDArray) -> Iterator[NDArray]:
    """The like for variances of many features, in time and memory of the rows' own.

    Across the principal axis; across the features of least and of greatest kurtosis,
    weighted as directions are; the inner from the outer half; equal rows from others.
    """
    weights = blocks.weights / blocks.summary.weight
    X = standardized(blocks, rounding).X
    roots, radii = np.sqrt(weights)[:, None], np.vecdot(X, X)
    if not radii.any():  # all rows are equal
        return
    axis = principal(X * roots, AXIS_TOL)[1]
    fourth = (weights * radii) @ X**2
    ridge = RIDGE + _share_of(rounding, blocks)
    extremes = [int(fourth.argmin()), int(fourth.argmax())]
    axis = settled(np.ones(1), axis[:, None])[:, 0]
    ways = [X @ axis > TIE, *(X[:, extremes] > TIE).T, _inner(radii, weights)]
    ways += _atoms(blocks)
    yield from _most_promising(ways, partial(_gain_by_features, X, weights, ridge))


def _atoms(blocks: ArrayBlocks) -> list[NDArray]:
    """Which rows are equal to the row that has most weight, if so many are that they
    are a cluster."""
    _, first, which = np.unique(
        as_keys(blocks.X), return_index=True, return_inverse=True
    )
    if len(first) == len(which):
        return []
    shares = np.bincount(which, blocks.weights) / blocks.summary.weight
    # The first of the rows, of equal shares, in whatever order the keys are.
    greatest = np.flatnonzero(shares >= (1 - TIE) * shares.max())
    atom = greatest[first[greatest].argmin()]
    several = shares[atom] * blocks.summary.n_samples >= ENOUGH_EQUAL
    return [which == atom] if several else []


def _inner(radii: NDArray, weights: NDArray) -> NDArray:
    """Which rows are nearer than the median."""
    order = np.argsort(radii)
    middle = int(np.searchsorted(np.cumsum(weights[order]), 0.5 - TIE))
    return radii < (1 - TIE) * radii[order[min(middle, len(order) - 1)]]


def _most_promising(
    halves: list[NDArray], gain: Callable[[NDArray], float]
) -> Iterator[NDArray]:
    """Labels of those of some halves of which there is most to be gained."""
    gains = [gain(half) for half in halves]
    losses = np.array([-gain if np.isfinite(gain) else np.inf for gain in gains])
    for best in np.argsort(ranks(losses, TIE), kind="stable")[:CUTS]:
        if np.isfinite(losses[best]):
            yield halves[best].astype(np.intp)


def _share_of(rounding: NDArray, blocks: ArrayBlocks) -> NDArray:
    """The share (d,) of rounding in the variances of the features."""
    variances = blocks.summary.variances
    return rounding / np.where(variances > 0, variances, 1.0)


def whitened(
    blocks: ArrayBlocks, rounding: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Shares of the rows (n,), and the rows at covariance I, principal axis last; the
    map (d, r) to them from rows that are standardised."""
    weights = blocks.weights / blocks.summary.weight
    standard = standardized(blocks, rounding).X.astype(np.float64)
    correlations = standard.T @ (standard * weights[:, None])
    eigenvalues, axes = np.linalg.eigh(correlations)
    kept = eigenvalues > RIDGE * eigenvalues[-1]
    axes = settled(eigenvalues[kept], axes[:, kept]) / np.sqrt(eigenvalues[kept])
    return weights, standard @ axes, axes


def _gain_of_halves(
    white: NDArray, weights: NDArray, ridge: NDArray, half: NDArray
) -> float:
    """Log-likelihood per row of two Gaussians, each for its half, less that of one;
    minus infinity if a half has not rows enough for a covariance of its own."""
    if not white.shape[1] < np.count_nonzero(half) < len(half) - white.shape[1]:
        return -np.inf
    whole = squares(white, weights)
    first = squares(white[half], weights[half])
    gain = 0.0
    for sums in (first, whole - first):
        share, mean = sums[0, 0], sums[0, 1:] / sums[0, 0]
        covariance = sums[1:, 1:] / share - mean[:, None] * mean
        covariance += ridge
        gain += share * (np.log(share) - 0.5 * np.linalg.slogdet(covariance)[1])
    return gain


def _gain_by_features(
    X: NDArray, weights: NDArray, ridge: NDArray, half: NDArray
) -> float:
    """The like of two Gaussians of uncorrelated features."""
    whole = diagonal_squares(X, weights)
    first = diagonal_squares(X[half], weights[half])
    gain = 0.0
    for sums in (first, whole - first):
        share, means = sums[0, 0], sums[0, 1:] / sums[0, 0]
        variances = sums[1, 1:] / share - means**2 + ridge
        gain += share * (np.log(share) - 0.5 * np.log(variances).sum())
    return gain
