"""Cuts of rows in two, from which a component may be split, and standardised rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._data.arrays import ArrayBlocks
from emgmm._data.resolution import as_keys
from emgmm._em.problem import HALF_A_ROW
from emgmm._em.regularization import ENOUGH_EQUAL
from emgmm._model.linalg import WIDE, principal
from emgmm._utils.matmul import diagonal_squares, squares
from emgmm._utils.ties import TIE, ranks, settled

from .principal_axes import AXIS_TOL

CUTS = 2  # number of cuts of a component that are tried by EM
MOSTLY = 2.0  # ratio of a variance to that of its rounding, below which it is noise
RIDGE = 1e-6  # share of the variances that is added where halves are compared


def standardized(blocks: ArrayBlocks, rounding: NDArray) -> ArrayBlocks:
    """The rows with every feature at mean 0 and variance 1, or 0 if it is constant.

    Features whose variance is mostly ``rounding`` (d,), such as flags, are 0 too unless
    all are so: they say little about where clusters are.
    """
    variances = blocks.summary.variances
    informative = (variances > 0) & (variances > MOSTLY * rounding)
    if not informative.any():
        informative = variances > 0
    scales = np.where(informative, np.sqrt(variances), np.inf)
    X = (blocks.X - blocks.summary.center) / scales
    return ArrayBlocks(X, blocks.sample_weight)


class Cut(NamedTuple):
    """Labels (n,) of the two halves of rows, and the log-likelihood per row of two
    Gaussians, each of its half, less that of one."""

    labels: NDArray
    gain: float


def halves(blocks: ArrayBlocks, rounding: NDArray, of_squares: bool) -> Iterator[Cut]:
    """The most promising cuts of the rows in two, the best first.

    ``rounding`` (d,) are the least variances of halves. Of many features products are
    not computed if the model does not use them (``of_squares``).
    """
    wide = blocks.summary.n_features > WIDE and of_squares
    ways = _halves_of_variances if wide else _halves_of_matrices
    return ways(blocks, rounding)


def _halves_of_matrices(blocks: ArrayBlocks, rounding: NDArray) -> Iterator[Cut]:
    """The most promising cuts.

    Cuts are across the principal axis; across the directions of least and of greatest
    kurtosis (eigenvectors of fourth moments: Cardoso 1989,
    doi:10.1109/ICASSP.1989.266878), which separate clusters along directions of little
    variance; the inner from the outer half; and equal rows from others.
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
    n_rows = blocks.summary.weight
    gain = partial(_gain_of_halves, white, weights, n_rows, ridge)
    yield from _most_promising(ways, gain)


def _extremes(matrix: NDArray) -> NDArray:
    """Eigenvectors (d, 2) of the least and of the greatest eigenvalue."""
    eigenvalues, axes = np.linalg.eigh(matrix)
    margin = TIE * eigenvalues[-1]
    least = eigenvalues <= eigenvalues[0] + margin
    greatest = eigenvalues >= eigenvalues[-1] - margin
    ends = [settled(eigenvalues[end], axes[:, end]) for end in (least, greatest)]
    return np.column_stack([end[:, -1] for end in ends])


def _halves_of_variances(blocks: ArrayBlocks, rounding: NDArray) -> Iterator[Cut]:
    """The most promising cuts, for models of variances.

    Cuts are across the principal axis; across the features of least and of greatest
    kurtosis; the inner from the outer half; and equal rows from others. Time and memory
    are proportional to the rows.
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
    """Which rows are equal to the most frequent one, if so many are that they are a
    cluster."""
    _, first, which = np.unique(
        as_keys(blocks.X), return_index=True, return_inverse=True
    )
    if len(first) == len(which):
        return []
    shares = np.bincount(which, blocks.weights) / blocks.summary.weight
    # Of equal shares the first in the order of the rows, whatever that of the keys.
    greatest = np.flatnonzero(shares >= (1 - TIE) * shares.max())
    atom = greatest[first[greatest].argmin()]
    several = shares[atom] * blocks.summary.n_samples >= ENOUGH_EQUAL
    return [which == atom] if several else []


def _inner(radii: NDArray, weights: NDArray) -> NDArray:
    """Which rows are nearer to the mean than the median distance."""
    order = np.argsort(radii)
    middle = int(np.searchsorted(np.cumsum(weights[order]), 0.5 - TIE))
    return radii < (1 - TIE) * radii[order[min(middle, len(order) - 1)]]


def _most_promising(
    halves: list[NDArray], gain: Callable[[NDArray], float]
) -> Iterator[Cut]:
    """The cuts with the greatest gains."""
    gains = [gain(half) for half in halves]
    losses = np.array([-gain if np.isfinite(gain) else np.inf for gain in gains])
    for best in np.argsort(ranks(losses, TIE), kind="stable")[:CUTS]:
        if np.isfinite(losses[best]):
            yield Cut(halves[best].astype(np.intp), gains[best])


def _share_of(rounding: NDArray, blocks: ArrayBlocks) -> NDArray:
    """The share (d,) of rounding in the variances of the features."""
    variances = blocks.summary.variances
    return rounding / np.where(variances > 0, variances, 1.0)


def whitened(
    blocks: ArrayBlocks, rounding: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Shares of the rows (n,); the whitened rows, with the principal axis last; and the
    map (d, r) from standardised rows to these."""
    weights = blocks.weights / blocks.summary.weight
    standard = standardized(blocks, rounding).X.astype(np.float64)
    correlations = standard.T @ (standard * weights[:, None])
    eigenvalues, axes = np.linalg.eigh(correlations)
    kept = eigenvalues > RIDGE * eigenvalues[-1]
    axes = settled(eigenvalues[kept], axes[:, kept]) / np.sqrt(eigenvalues[kept])
    return weights, standard @ axes, axes


def _gain_of_halves(
    white: NDArray, weights: NDArray, n_rows: float, ridge: NDArray, half: NDArray
) -> float:
    """Log-likelihood per row of two Gaussians, one for each half, less that of one;
    minus infinity if a half has too few of the rows for a covariance."""
    least = (white.shape[1] + HALF_A_ROW) / n_rows
    if not least < weights[half].sum() < 1 - least:
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
    """The same gain of two Gaussians of uncorrelated features."""
    whole = diagonal_squares(X, weights)
    first = diagonal_squares(X[half], weights[half])
    gain = 0.0
    for sums in (first, whole - first):
        share, means = sums[0, 0], sums[0, 1:] / sums[0, 0]
        variances = sums[1, 1:] / share - means**2 + ridge
        gain += share * (np.log(share) - 0.5 * np.log(variances).sum())
    return gain
