"""Cuts: ways to divide rows in two, of which a component may be split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ._algebra import WIDE, principal, turned
from ._blocks import ArrayBlocks
from ._initialize import AXIS_TOL, MARGIN
from ._products import diagonal_squares, squares

CUTS = 2  # of four ways to cut a component, those that are tried by EM
RIDGE = 1e-6  # share of variances added where halves of rows are compared


def standardized(blocks: ArrayBlocks) -> ArrayBlocks:
    """The rows with every feature at mean 0 and variance 1, or 0 if it is constant."""
    deviations = np.sqrt(blocks.variances)
    scales = np.where(deviations > 0, deviations, 1.0)
    return ArrayBlocks((blocks.X - blocks.center) / scales, blocks.sample_weight)


def halves(blocks: ArrayBlocks, of_squares: bool) -> Iterator[NDArray]:
    """Labels of two halves of the rows, several times; those of many features without
    products of them where the model does without, too."""
    wide = blocks.n_features > WIDE and of_squares
    return _halves_of_variances(blocks) if wide else _halves_of_matrices(blocks)


def _halves_of_matrices(blocks: ArrayBlocks) -> Iterator[NDArray]:
    """Labels of two halves of the rows: the most promising of four ways to cut them.

    Across the principal axis; across the directions of least and of greatest kurtosis
    (eigenvectors of fourth moments: Cardoso 1989, doi:10.1109/ICASSP.1989.266878),
    which tell clusters apart that are not where variance is; and the inner from the
    outer half.
    """
    weights, white = whitened(blocks)
    if not white.size:  # all rows are equal
        return
    radii = np.vecdot(white, white)
    fourth = white.T @ (white * (weights * radii)[:, None])
    extremes = turned(np.linalg.eigh(fourth)[1][:, [0, -1]])
    inner = _inner(radii, weights)
    ways = [white[:, -1] > MARGIN, *(white @ extremes > MARGIN).T, inner]
    yield from _most_promising(ways, partial(_gain_of_halves, white, weights))


def _halves_of_variances(blocks: ArrayBlocks) -> Iterator[NDArray]:
    """The like for variances of many features, in time and memory of the rows' own.

    Across the principal axis; across the features of least and of greatest kurtosis,
    weighted as directions are; and the inner from the outer half.
    """
    weights, X = blocks.sample_weight / blocks.weight, standardized(blocks).X
    roots, radii = np.sqrt(weights)[:, None], np.vecdot(X, X)
    if not radii.any():  # all rows are equal
        return
    axis = turned(principal(X * roots, AXIS_TOL)[1][:, None])[:, 0]
    fourth = (weights * radii) @ X**2
    extremes = [int(fourth.argmin()), int(fourth.argmax())]
    ways = [X @ axis > MARGIN, *(X[:, extremes] > MARGIN).T, _inner(radii, weights)]
    yield from _most_promising(ways, partial(_gain_by_features, X, weights))


def _inner(radii: NDArray, weights: NDArray) -> NDArray:
    """Which rows are nearer than the median."""
    order = np.argsort(radii)
    middle = int(np.searchsorted(np.cumsum(weights[order]), 0.5))
    return radii < radii[order[min(middle, len(order) - 1)]]


def _most_promising(
    halves: list[NDArray], gain: Callable[[NDArray], float]
) -> Iterator[NDArray]:
    """Labels of those of some halves of which there is most to be gained."""
    gains = [gain(half) for half in halves]
    for best in np.argsort(gains)[::-1][:CUTS]:
        if np.isfinite(gains[best]):
            yield halves[best].astype(np.intp)


def whitened(blocks: ArrayBlocks) -> tuple[NDArray, NDArray]:
    """Shares of the rows (n,), and the rows at covariance I, principal axis last."""
    weights = blocks.sample_weight / blocks.weight
    standard = standardized(blocks).X.astype(np.float64)
    correlations = standard.T @ (standard * weights[:, None])
    eigenvalues, axes = np.linalg.eigh(correlations)
    kept = eigenvalues > RIDGE * eigenvalues[-1]
    axes = turned(axes[:, kept])
    return weights, standard @ (axes / np.sqrt(eigenvalues[kept]))


def _gain_of_halves(white: NDArray, weights: NDArray, half: NDArray) -> float:
    """Log-likelihood per row of two Gaussians, each for its half, less that of one."""
    whole = squares(white, weights)
    first = squares(white[half], weights[half])
    gain = 0.0
    for sums in (first, whole - first):
        share, mean = sums[0, 0], sums[0, 1:] / sums[0, 0]
        covariance = sums[1:, 1:] / share - mean[:, None] * mean
        covariance += RIDGE * np.eye(len(mean))
        gain += share * (np.log(share) - 0.5 * np.linalg.slogdet(covariance)[1])
    return gain


def _gain_by_features(X: NDArray, weights: NDArray, half: NDArray) -> float:
    """The like of two Gaussians of uncorrelated features."""
    whole = diagonal_squares(X, weights)
    first = diagonal_squares(X[half], weights[half])
    gain = 0.0
    for sums in (first, whole - first):
        share, means = sums[0, 0], sums[0, 1:] / sums[0, 0]
        variances = sums[1, 1:] / share - means**2 + RIDGE
        gain += share * (np.log(share) - 0.5 * np.log(variances).sum())
    return gain
