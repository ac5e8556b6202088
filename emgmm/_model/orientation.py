"""Orientations of matrices: each its own, or one that is common to a mixture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.ties import first_of_greatest

from .covariances import Covariances
from .eigen import eigen
from .estimation import Estimation
from .rotations import descend, settle
from .segments import Segments

MAX_ROUNDS = 5000  # of rotations of disjoint pairs of axes, without a start
MAX_STEPS_ON = 100  # of conjugate gradients from a start: EM continues from there
TRIAL_SWEEPS = 10  # from each of several starts, before the best is chosen
MAX_ROUNDS_INEXACT = 6  # from a start, in generalised EM
SHORT_SWEEPS, SHORT_STEPS = 3, 20  # from each of several starts, likewise
TRIAL_NUMBERS = 2**22  # of matrices that are tried at a time


def unrotated(estimation: Estimation) -> NDArray:
    """Variances along the axes of the features (I); the scatter is diagonals."""
    return estimation.variances(estimation.scatter)


def own_orientations(estimation: Estimation) -> NDArray:
    """Matrices with the eigenvectors of each component's scatter (V), whose eigenvalues
    are in ascending order in all components."""
    eigenvalues, orientations = eigen(estimation.segments, estimation.scatter)
    return _compose(orientations, estimation.variances(eigenvalues))


def common_orientation(estimation: Estimation) -> NDArray:
    """Matrices with one orientation (E), optimised in turn with the variances.

    The objective is not convex in D: without a start, several are tried for some
    sweeps, and the best is continued.
    """
    if estimation.start:
        start = orientations_of(estimation.start)
        return _along(estimation, *descend(estimation, start, MAX_STEPS_ON))
    best = best_orientations(estimation, TRIAL_SWEEPS, 0)
    sweeps = MAX_ROUNDS // best.shape[-1] + 1
    return _along(estimation, *settle(estimation, best, sweeps))


def common_orientation_inexact(estimation: Estimation) -> NDArray:
    """Matrices with one orientation that is not optimal, but better than at the start:
    enough for generalised EM."""
    if estimation.start:
        start = orientations_of(estimation.start)
    else:
        start = best_orientations(estimation, SHORT_SWEEPS, SHORT_STEPS)
    sweeps = MAX_ROUNDS_INEXACT // start.shape[-1] + 1
    return _along(estimation, *settle(estimation, start, sweeps))


def orientations_of(covariances: Covariances) -> NDArray:
    """Common eigenvectors (B, d, d) of the matrices of each mixture, which have them.

    They are those of any weighted mean of the matrices with distinct eigenvalues, such
    as one whose weights have no simple ratio (here fractions of the golden ratio).
    """
    matrices, segments = covariances.dense(), covariances.segments
    weights = 1 + np.modf(segments.places * 0.5 * (1 + 5**0.5))[0]
    weights /= np.einsum("kii->k", matrices)
    return np.linalg.eigh(segments.sum(weights[:, None, None] * matrices))[1]


def best_orientations(estimation: Estimation, sweeps: int, steps: int) -> NDArray:
    """Of several starting orientations of each mixture the best (B, d, d), after some
    sweeps and steps."""
    starts, mixture = starting_orientations(estimation)
    sizes = estimation.segments.sizes[mixture] * estimation.scatter[0].size
    gains = np.empty(len(mixture))
    breaks = np.flatnonzero(np.diff(np.cumsum(sizes) // TRIAL_NUMBERS)) + 1
    for own in np.split(np.arange(len(mixture)), breaks):
        trials = estimation.take(mixture[own])
        swept, _ = settle(trials, starts[own], sweeps)
        starts[own], variances = descend(trials, swept, steps)
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


def _along(
    estimation: Estimation, orientations: NDArray, variances: NDArray
) -> NDArray:
    """Matrices with variances (M, d) along common axes (B, d, d)."""
    return _compose(estimation.segments.spread(orientations), variances)


def _compose(orientations: NDArray, variances: NDArray) -> NDArray:
    """D_k diag(v_k) D_k', exactly symmetric, of orientations (M, d, d)."""
    roots = orientations * np.sqrt(variances)[:, None, :]
    return roots @ roots.mT
