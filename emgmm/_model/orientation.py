"""Orientations of matrices: each its own, or one that is common to a mixture."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.ties import first_of_greatest

from .covariances import Covariances
from .eigen import eigen
from .estimation import Estimation
from .segments import Segments

EPS = float(np.finfo(np.float64).eps)
ANGLE_TOL = 1e-10  # rotation at which a common orientation has settled
MAX_ROUNDS = 5000  # of rotations of disjoint pairs of axes, without a start
MAX_ROUNDS_ON = 500  # from a start: the next M-step continues from there
MAX_ROUNDS_INEXACT = 6  # in generalised EM
TRIAL_SWEEPS = 10  # from each of several starts, before the best is chosen
TRIAL_NUMBERS = 2**22  # of matrices that are tried at a time


def unrotated(estimation: Estimation) -> NDArray:
    """Variances along the axes of the features (I); the scatter is diagonals."""
    return estimation.variances(estimation.scatter)


def own_orientations(estimation: Estimation) -> NDArray:
    """Matrices with the eigenvectors of each component's scatter (V), whose eigenvalues
    are in ascending order in all components."""
    eigenvalues, orientations = eigen(estimation.segments, estimation.scatter)
    return _compose(orientations, estimation.variances(eigenvalues))


def common_orientation(
    estimation: Estimation, max_rounds_on: int = MAX_ROUNDS_ON
) -> NDArray:
    """Matrices with one orientation (E), optimised in turn with the variances.

    The orientation is found by rotations of pairs of axes (Flury & Gautschi). The
    objective is not convex in D: without a start, several are tried for some sweeps,
    and the best is continued.
    """
    if estimation.start:
        orientations = orientations_of(estimation.start)
        max_rounds = max_rounds_on
    else:
        orientations = best_orientations(estimation)
        max_rounds = MAX_ROUNDS
    sweeps = max_rounds // orientations.shape[-1] + 1
    orientations, variances = settle(estimation, orientations, sweeps)
    return _compose(estimation.segments.spread(orientations), variances)


def orientations_of(covariances: Covariances) -> NDArray:
    """Common eigenvectors (B, d, d) of the matrices of each mixture, which have them.

    They are those of any weighted mean of the matrices with distinct eigenvalues, such
    as one whose weights have no simple ratio (here fractions of the golden ratio).
    """
    matrices, segments = covariances.dense(), covariances.segments
    weights = 1 + np.modf(segments.places * 0.5 * (1 + 5**0.5))[0]
    weights /= np.einsum("kii->k", matrices)
    return np.linalg.eigh(segments.sum(weights[:, None, None] * matrices))[1]


def best_orientations(estimation: Estimation) -> NDArray:
    """Of several starting orientations of each mixture the best (B, d, d), after some
    sweeps."""
    starts, mixture = starting_orientations(estimation)
    sizes = estimation.segments.sizes[mixture] * estimation.scatter[0].size
    gains = np.empty(len(mixture))
    breaks = np.flatnonzero(np.diff(np.cumsum(sizes) // TRIAL_NUMBERS)) + 1
    for own in np.split(np.arange(len(mixture)), breaks):
        trials = estimation.take(mixture[own])
        starts[own], variances = settle(trials, starts[own], TRIAL_SWEEPS)
        logs = np.log(variances).sum(axis=1)
        gains[own] = -trials.segments.sum(trials.counts * logs)
    begin = np.searchsorted(mixture, np.arange(len(estimation.segments)))
    best = [first_of_greatest(each) for each in np.split(gains, begin[1:])]
    return starts[begin + best]


def starting_orientations(estimation: Estimation) -> tuple[NDArray, NDArray]:
    """Starting orientations (T, d, d), and the mixture (T,) of each: eigenvectors of
    the pooled scatter and of each scatter, and the axes of the features."""
    segments, scatter = estimation.segments, estimation.scatter
    tried, trials = Segments.of(segments.sizes + 1), Segments.of(segments.sizes + 2)
    matrices = np.empty((tried.n_components, *scatter.shape[1:]))
    matrices[tried.places == 0] = segments.sum(scatter)
    matrices[tried.places > 0] = scatter
    starts = np.empty((trials.n_components, *scatter.shape[1:]))
    last = trials.places > trials.spread(segments.sizes)
    starts[~last] = eigen(tried, matrices)[1]
    starts[last] = np.eye(scatter.shape[-1])
    return starts, trials.mixture


def settle(
    estimation: Estimation, orientations: NDArray, sweeps: int
) -> tuple[NDArray, NDArray]:
    """Common orientations (B, d, d) and variances (M, d), from starting orientations.

    Each mixture ends by itself.
    """
    segments, left = estimation.segments, np.arange(len(orientations))
    orientations = orientations.copy()
    rotated, variances = _along(estimation, orientations)
    turned, out = orientations, variances.copy()
    for _ in range(sweeps):
        turned, angles = _sweep(estimation.segments, turned, rotated, 1 / variances)
        going = angles > ANGLE_TOL
        if not going.any():
            break
        if not going.all():
            left, turned = left[going], turned[going]
            estimation = estimation.take(going)
        rotated, variances = _along(estimation, turned)
        orientations[left], out[segments.components(left)] = turned, variances
    return orientations, out


def _along(estimation: Estimation, orientations: NDArray) -> tuple[NDArray, NDArray]:
    """The scatter in the orientations, D' W_k D, and the variances along the axes."""
    axes = estimation.segments.spread(orientations)
    rotated = axes.mT @ estimation.scatter @ axes
    return rotated, estimation.variances(np.einsum("kii->ki", rotated))


def _sweep(
    segments: Segments, orientations: NDArray, rotated: NDArray, precisions: NDArray
) -> tuple[NDArray, NDArray]:
    """Orientations after one sweep of Flury-Gautschi rotations, and the largest angles
    (B,).

    Every pair of axes is rotated once to lower sum_kj p_kj (D' W_k D)_jj. In the plane
    of axes i and j the objective is a cos(2t) + b sin(2t) + constant in the angle t, so
    each rotation is exact; and since every axis adds a term of its own, disjoint pairs
    are rotated at once. For a single matrix this is Jacobi's eigenvalue method. Flury &
    Gautschi 1986 (doi:10.1137/0907013) have the variances profiled out.
    """
    orientations, rotated = orientations.copy(), rotated.copy()
    largest = np.zeros(len(orientations))
    for i, j in _rounds(rotated.shape[-1]):
        left, right = rotated[:, i, i], rotated[:, j, j]
        excess = precisions[:, i] - precisions[:, j]
        b = segments.sum(excess * rotated[:, i, j])
        a = 0.5 * segments.sum(excess * (left - right))
        size = segments.sum(np.abs(excess) * np.sqrt(left) * np.sqrt(right))
        settled = (np.abs(b) <= EPS * size) & (a <= 0)
        angles = np.where(settled, 0.0, 0.5 * np.arctan2(-b, -a))
        cosines, sines = np.cos(angles)[:, None], np.sin(angles)[:, None]
        _rotate(orientations, i, j, cosines, sines)
        cosines, sines = segments.spread(cosines), segments.spread(sines)
        _rotate(rotated, i, j, cosines, sines)
        _rotate(rotated.mT, i, j, cosines, sines)
        largest = np.maximum(largest, np.abs(angles).max(axis=1, initial=0.0))
    return orientations, largest


def _rotate(
    matrices: NDArray, i: NDArray, j: NDArray, cosines: NDArray, sines: NDArray
) -> None:
    """Rotate columns i towards columns j, in the buffer itself."""
    left, right = matrices[..., i], matrices[..., j]
    matrices[..., i] = cosines * left + sines * right
    matrices[..., j] = cosines * right - sines * left


@lru_cache(maxsize=8)
def _rounds(n_features: int) -> tuple[tuple[NDArray, NDArray], ...]:
    """All pairs of axes in rounds of disjoint pairs, as in a round-robin tournament."""
    players = n_features + n_features % 2
    circle = np.arange(1, players)
    rounds = []
    for turn in range(players - 1):
        table = np.append(0, np.roll(circle, turn))
        i, j = table[: players // 2], table[: players // 2 - 1 : -1]
        playing = (i < n_features) & (j < n_features)
        rounds.append((i[playing], j[playing]))
    return tuple(rounds)


def _compose(orientations: NDArray, variances: NDArray) -> NDArray:
    """D_k diag(v_k) D_k', exactly symmetric, of orientations (M, d, d)."""
    roots = orientations * np.sqrt(variances)[:, None, :]
    return roots @ roots.mT
