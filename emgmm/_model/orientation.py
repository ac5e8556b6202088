"""Orientations of matrices: each its own, or one that is common to all."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgejsv

from emgmm._utils.ties import first_of_greatest

from .covariances import Covariances
from .volume_shape import Rule

ANGLE_TOL = 1e-10  # rotation at which a common orientation has settled
MAX_ROUNDS = 5000  # of rotations of disjoint pairs of axes, without a start
MAX_ROUNDS_ON = 500  # from a start: the next M-step continues from there
MAX_ROUNDS_INEXACT = 6  # in generalised EM
TRIAL_SWEEPS = 10  # from each of several starts, before the best is chosen
TIE_TOL = 1e-14  # share of the largest eigenvalue within which others are equal, ...
TIE_RATIO = 1e-3  # ... if they differ by no more than this share of themselves


# Orientations --------------------------------------------------------------------


def unrotated(
    rule: Rule, counts: NDArray, scatter: NDArray, start: Covariances | None
) -> NDArray:
    """Variances along the axes of the features (I); ``scatter`` holds diagonals."""
    return rule(counts, scatter)


def own_orientations(
    rule: Rule, counts: NDArray, scatter: NDArray, start: Covariances | None
) -> NDArray:
    """Matrices with the eigenvectors of each component's scatter (V), whose eigenvalues
    are in ascending order in all components."""
    eigenvalues, orientations = _eigen(scatter)
    return _compose(orientations, rule(counts, eigenvalues))


def common_orientation(
    rule: Rule,
    counts: NDArray,
    scatter: NDArray,
    start: Covariances | None,
    max_rounds_on: int = MAX_ROUNDS_ON,
) -> NDArray:
    """Matrices with one orientation (E), optimised in turn with the variances.

    The orientation is found by rotations of pairs of axes (Flury & Gautschi). The
    objective is not convex in D: without a start, several are tried for some sweeps,
    and the best is continued.
    """
    if start is None:
        trials = [
            _settle(counts, scatter, rule, orientation, TRIAL_SWEEPS)
            for orientation in _orientations(scatter)
        ]
        gains = [-counts @ np.log(trial[1]).sum(axis=1) for trial in trials]
        orientation, _ = trials[first_of_greatest(gains)]
        sweeps = MAX_ROUNDS // len(orientation)
    else:
        orientation = _orientation_of(start)
        sweeps = max_rounds_on // len(orientation)
    return _compose(*_settle(counts, scatter, rule, orientation, sweeps + 1))


def _settle(
    counts: NDArray, scatter: NDArray, rule: Rule, orientation: NDArray, sweeps: int
) -> tuple[NDArray, NDArray]:
    """Common orientation (d, d) and variances (K, d), from a starting orientation."""

    def along(orientation: NDArray) -> tuple[NDArray, NDArray]:
        rotated = orientation.T @ scatter @ orientation
        return rotated, rule(counts, np.diagonal(rotated, axis1=1, axis2=2))

    rotated, variances = along(orientation)
    for _ in range(sweeps):
        turned, largest_angle = _sweep(orientation, rotated, 1 / variances)
        if not largest_angle > ANGLE_TOL:
            break
        orientation = turned
        rotated, variances = along(orientation)
    return orientation, variances


def _sweep(
    orientation: NDArray, rotated: NDArray, precisions: NDArray
) -> tuple[NDArray, float]:
    """Orientation after one sweep of Flury-Gautschi rotations, and the largest angle.

    Every pair of axes is rotated once to lower sum_kj p_kj (D' W_k D)_jj. In the plane
    of axes i and j the objective is a cos(2t) + b sin(2t) + constant in the angle t, so
    each rotation is exact; and since every axis adds a term of its own, disjoint pairs
    are rotated at once. For a single matrix this is Jacobi's eigenvalue method. Flury &
    Gautschi 1986 (doi:10.1137/0907013) have the variances profiled out.
    """
    orientation, rotated = orientation.copy(), rotated.copy()
    largest_angle = 0.0
    for i, j in _rounds(len(orientation)):
        excess = precisions[:, i] - precisions[:, j]
        difference = rotated[:, i, i] - rotated[:, j, j]
        a = 0.5 * (excess * difference).sum(axis=0)
        b = (excess * rotated[:, i, j]).sum(axis=0)
        roots = np.sqrt(np.diagonal(rotated, axis1=1, axis2=2))
        size = np.abs(excess) * roots[:, i] * roots[:, j]
        settled = np.abs(b) <= np.finfo(np.float64).eps * size.sum(axis=0)
        angle = np.where(settled & (a <= 0), 0.0, 0.5 * np.arctan2(-b, -a))
        _rotate(orientation, i, j, angle)
        _rotate(rotated, i, j, angle)
        _rotate(rotated.mT, i, j, angle)
        largest_angle = max(largest_angle, float(np.max(np.abs(angle), initial=0.0)))
    return orientation, largest_angle


def _rotate(matrices: NDArray, i: NDArray, j: NDArray, angle: NDArray) -> None:
    """Rotate columns i towards columns j, in the buffer itself."""
    cosine, sine = np.cos(angle), np.sin(angle)
    left, right = matrices[..., i], matrices[..., j]
    matrices[..., i] = cosine * left + sine * right
    matrices[..., j] = cosine * right - sine * left


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


def _orientations(scatter: NDArray) -> list[NDArray]:
    """Starting orientations: eigenvectors of the pooled scatter and of each scatter,
    and the axes of the features."""
    candidates = np.concatenate([scatter.sum(axis=0, keepdims=True), scatter])
    return [*_eigen(candidates)[1], np.eye(scatter.shape[-1])]


def _eigen(matrices: NDArray) -> tuple[NDArray, NDArray]:
    """Ascending eigenvalues (K, d) and eigenvectors (K, d, d), whatever the order of K.

    Where eigenvalues of a matrix are equal, as in the null space of few rows, any
    basis of their eigenvectors would do, and rounding would choose it. The basis that
    diagonalises the sum of all matrices is taken.
    """
    pairs = [_accurate_eigen(matrix) for matrix in matrices]
    eigenvalues = np.stack([values for values, _ in pairs])
    vectors = np.stack([vectors for _, vectors in pairs])
    tied = np.minimum(TIE_TOL * eigenvalues[:, -1:], TIE_RATIO * eigenvalues[:, 1:])
    distinct = np.diff(eigenvalues) > tied
    for k in np.flatnonzero(~distinct.all(axis=1)):
        groups = np.split(vectors[k], np.flatnonzero(distinct[k]) + 1, axis=1)
        total = matrices.sum(axis=0)
        vectors[k] = np.hstack(
            [group @ np.linalg.eigh(group.T @ total @ group)[1] for group in groups]
        )
    return eigenvalues, vectors


def _accurate_eigen(matrix: NDArray) -> tuple[NDArray, NDArray]:
    """Ascending eigenvalues and eigenvectors, small eigenvalues as accurate as large.

    One-sided Jacobi rotations of the Cholesky factor keep the digits that ``eigh``
    loses where features differ in scale (Demmel & Veselic 1992, doi:10.1137/0613074).
    """
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(matrix)
        rounding = len(matrix) * np.finfo(np.float64).eps * values[-1]
        return np.where(values > rounding, values, 0.0), vectors
    # joba "C", jobu "U", jobv "N" of LAPACK; the singular values come in descending
    # order, and scaled where they would overflow.
    values, vectors, _, work, _, _ = dgejsv(factor, joba=0, jobu=0, jobv=3)
    return (work[0] / work[1] * values[::-1]) ** 2, vectors[:, ::-1]


def _orientation_of(covariances: Covariances) -> NDArray:
    """Common eigenvectors of matrices that have them.

    They are those of any weighted mean of the matrices with distinct eigenvalues, such
    as one whose weights have no simple ratio (here fractions of the golden ratio).
    """
    matrices = covariances.dense()
    scaled = matrices / np.trace(matrices, axis1=1, axis2=2)[:, None, None]
    weights = 1 + np.modf(np.arange(len(matrices)) * 0.5 * (1 + 5**0.5))[0]
    return np.linalg.eigh(np.tensordot(weights, scaled, axes=1))[1]


def _compose(orientations: NDArray, variances: NDArray) -> NDArray:
    """D_k diag(v_k) D_k', exactly symmetric, for one D or one for each component."""
    roots = orientations * np.sqrt(variances)[:, None, :]
    return roots @ roots.mT
