"""Families of covariance matrices: the rules of the M-step, and their table.

Every matrix is Sigma_k = lambda_k D_k A_k D_k' with volume lambda_k, shape A_k
(diagonal, determinant 1) and orientation D_k, and a family's name says in that
order whether each is Equal in all components, Variable, or the Identity (Celeux &
Govaert 1995, doi:10.1016/0031-3203(94)00125-6). So a family is made of two
functions: its orientation finds coordinates in which the scatter is as good as
diagonal, and its rule turns that diagonal into variances lambda_k A_k. Where shape and
orientation have the same letter, D_k A_k D_k' is a matrix as free as any, and a formula
for it does without either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgejsv

from ._bounded import Estimate, bounded
from ._covariances import Covariances, Diagonal, Full, Spherical, Tied
from ._rules import (
    Rule,
    equal,
    equal_shape,
    equal_spheres,
    equal_volume,
    free,
    newton,
    spheres,
)
from ._ties import first_of_greatest

ANGLE_TOL = 1e-10  # rotation at which a common orientation has settled
MAX_ROUNDS = 5000  # of rotations of disjoint pairs of axes, without a start
MAX_ROUNDS_ON = 500  # from a start, which the next M-step improves on again
MAX_ROUNDS_BRIEF = 6  # where EM need not be exact
ENOUGH_ROWS = 6  # of a component with variances of its own
TRIAL_SWEEPS = 10  # before the best of several starts is chosen
TIE_TOL = 1e-14  # share of the largest eigenvalue within which others are equal, ...
TIE_RATIO = 1e-3  # ... if they differ by no more than this share of themselves


@dataclass(frozen=True)
class CovarianceFamily:
    """A named model: how it is stored and how it is estimated.

    Where an estimate takes iterations, ``approach`` goes only some of the way from its
    start. It raises the likelihood as long as there is something to be gained: EM
    comes to the same limit, in about as many iterations.
    """

    name: str
    storage: type[Covariances]
    estimate: Estimate
    approach: Estimate | None = None

    @property
    def brief(self) -> CovarianceFamily:
        """The family with short M-steps."""
        return replace(self, estimate=self.approach or self.estimate)

    def bounded(self, least: NDArray) -> CovarianceFamily:
        """The family where variances are bounded from below, in every direction by
        that of independent features with the least variances (d,)."""
        if not least.any():
            return self
        estimate = bounded(self.storage, self.estimate, least)
        approach = self.approach and bounded(self.storage, self.approach, least)
        return replace(self, estimate=estimate, approach=approach)

    @property
    def by_feature(self) -> bool:
        """Whether fits follow the data where a single feature is multiplied."""
        shape, orientation = self.name[1], self.name[2]
        return shape != "I" and orientation in ("I", shape)

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Free parameters of the covariances."""
        copies = {"E": 1, "V": n_components, "I": 0}
        volume, shape, orientation = (copies[letter] for letter in self.name)
        rotations = n_features * (n_features - 1) // 2
        return volume + shape * (n_features - 1) + orientation * rotations

    def rows_needed(self, n_features: int) -> int:
        """Rows that a component must hold for its likelihood to be more than chance.

        None where its covariance has no parameter of its own. Otherwise 6 (in one
        dimension 3; in two 5 for one parameter), or for a free matrix twice those that
        make it regular: measured on samples of one Gaussian.
        """
        own = self.n_parameters(2, n_features) - self.n_parameters(1, n_features)
        free = self.name[1] == self.name[2] == "V"
        enough = max(ENOUGH_ROWS, 2 * (n_features + 1) if free else 0)
        return min(1 + n_features * (1 + own), enough) if own else 0

    def rows_regular(self, n_features: int) -> int:
        """Rows, two or more, with which a component and its covariance are regular; at
        most as many as its likelihood needs to be more than chance, if it needs any."""
        return max(min(self.rows_needed(n_features), n_features + 1), 2)

    def n_parameters_of_mixture(self, n_components: int, n_features: int) -> int:
        """Free parameters of weights, means and covariances."""
        means = n_components * n_features
        return n_components - 1 + means + self.n_parameters(n_components, n_features)


# Orientations --------------------------------------------------------------------


def _axes(
    rule: Rule, counts: NDArray, scatter: NDArray, start: Covariances | None
) -> NDArray:
    """I: the coordinates as they are; ``scatter`` holds diagonals already."""
    return rule(counts, scatter)


def _own(
    rule: Rule, counts: NDArray, scatter: NDArray, start: Covariances | None
) -> NDArray:
    """V: the eigenvectors of each component's scatter, eigenvalues in one order."""
    eigenvalues, orientations = _eigen(scatter)
    return _compose(orientations, rule(counts, eigenvalues))


def _common(
    rule: Rule,
    counts: NDArray,
    scatter: NDArray,
    start: Covariances | None,
    max_rounds_on: int = MAX_ROUNDS_ON,
) -> NDArray:
    """E: orientation and variances in turn, each optimal given the other.

    Without a start, the most promising of several goes on: other orientations are
    local optima of the objective, which is not convex in D.
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
    """Rotate every pair of axes once to lower sum_kj p_kj (D' W_k D)_jj.

    In the plane of axes i and j the objective is a cos(2t) + b sin(2t) + constant
    in the angle t, so each rotation is exact; and since every axis adds a term of
    its own, disjoint pairs are rotated at once. For a single matrix this is Jacobi's
    method for eigenvectors; Flury & Gautschi 1986 (doi:10.1137/0907013) do the like
    with variances profiled out.
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
    """All pairs of axes as rounds of disjoint pairs: a round-robin tournament."""
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
    """Starts: eigenvectors of the pooled scatter and of each, and the axes."""
    candidates = np.concatenate([scatter.sum(axis=0, keepdims=True), scatter])
    return [*_eigen(candidates)[1], np.eye(scatter.shape[-1])]


def _eigen(matrices: NDArray) -> tuple[NDArray, NDArray]:
    """Ascending eigenvalues (K, d) and eigenvectors (K, d, d), the same in any order.

    Where eigenvalues of a matrix are equal, as in the null space of few rows, any
    basis of their eigenvectors would do, and rounding would choose it. Here those
    that diagonalise the sum of all matrices are taken.
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
    """Ascending eigenvalues and eigenvectors, small ones as exact as large ones.

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

    They are those of any mean of the matrices in which no two eigenvalues meet, as
    in one with weights of no simple ratio (here multiples of the golden ratio).
    """
    matrices = covariances.dense()
    scaled = matrices / np.trace(matrices, axis1=1, axis2=2)[:, None, None]
    weights = 1 + np.modf(np.arange(len(matrices)) * 0.5 * (1 + 5**0.5))[0]
    return np.linalg.eigh(np.tensordot(weights, scaled, axes=1))[1]


def _compose(orientations: NDArray, variances: NDArray) -> NDArray:
    """D_k diag(v_k) D_k', exactly symmetric, for one D or one for each component."""
    roots = orientations * np.sqrt(variances)[:, None, :]
    return roots @ roots.mT


# Shape and orientation alike: whole matrices, which need no eigenvectors ----------


def _matrices(counts: NDArray, scatter: NDArray, start: Covariances | None) -> NDArray:
    """VVV: W_k / n_k."""
    return scatter / counts[:, None, None]


def _matrices_of_equal_volume(
    counts: NDArray, scatter: NDArray, start: Covariances | None
) -> NDArray:
    """EVV: W_k at determinant 1, times what was divided out, summed, / n."""
    volumes = _volumes(scatter)
    return scatter * (volumes.sum() / counts.sum() / volumes)[:, None, None]


def _equal_matrix(
    counts: NDArray, scatter: NDArray, start: Covariances | None
) -> NDArray:
    """EEE: W / n."""
    return scatter[0] / counts.sum()


def _equal_matrix_of_any_volume(
    counts: NDArray, scatter: NDArray, start: Covariances | None
) -> NDArray:
    """VEE: lambda_k C, by Newton's method on log lambda.

    With the best C for every lambda the objective is, up to constants,
    f = d sum_k n_k log lambda_k + n log|sum_k W_k / lambda_k|, convex in log lambda.
    """
    n, d = counts.sum(), scatter.shape[-1]

    def matrix(log_volumes: NDArray) -> NDArray:
        return (scatter * np.exp(-log_volumes)[:, None, None]).sum(axis=0)

    def objective(log_volumes: NDArray) -> float:
        log_det = np.linalg.slogdet(matrix(log_volumes))[1]
        return float(d * counts @ log_volumes + n * log_det)

    def derivatives(log_volumes: NDArray) -> tuple[NDArray, NDArray]:
        scaled = scatter * np.exp(-log_volumes)[:, None, None]
        shares = np.linalg.solve(scaled.sum(axis=0), scaled)
        traces = np.trace(shares, axis1=1, axis2=2)
        products = np.tensordot(shares, shares, axes=([1, 2], [2, 1]))
        return d * counts - n * traces, n * (np.diag(traces) - products)

    volumes = spheres(counts, np.diagonal(scatter, axis1=1, axis2=2))
    log_volumes = newton(objective, derivatives, np.log(volumes), n * d)
    common = matrix(log_volumes)
    common /= _volumes(common)
    relative = np.diagonal(np.linalg.solve(common, scatter), axis1=1, axis2=2)
    return spheres(counts, relative)[:, None, None] * common


def _volumes(matrices: NDArray) -> NDArray:
    """Determinants to the power 1/d."""
    return np.exp(np.linalg.slogdet(matrices)[1] / matrices.shape[-1])


# The table -----------------------------------------------------------------------


def _table() -> Iterator[CovarianceFamily]:
    yield CovarianceFamily("EII", Spherical, partial(_axes, equal_spheres))
    yield CovarianceFamily("VII", Spherical, partial(_axes, spheres))
    yield CovarianceFamily("EEI", Diagonal, partial(_axes, equal))
    yield CovarianceFamily("VEI", Diagonal, partial(_axes, equal_shape))
    yield CovarianceFamily("EVI", Diagonal, partial(_axes, equal_volume))
    yield CovarianceFamily("VVI", Diagonal, partial(_axes, free))
    yield CovarianceFamily("EEE", Tied, _equal_matrix)
    yield CovarianceFamily("VEE", Full, _equal_matrix_of_any_volume)
    yield _of_common_orientation("EVE", equal_volume)
    yield _of_common_orientation("VVE", free)
    yield CovarianceFamily("EEV", Full, partial(_own, equal))
    yield CovarianceFamily("VEV", Full, partial(_own, equal_shape))
    yield CovarianceFamily("EVV", Full, _matrices_of_equal_volume)
    yield CovarianceFamily("VVV", Full, _matrices)


def _of_common_orientation(name: str, rule: Rule) -> CovarianceFamily:
    estimate = partial(_common, rule)
    brief = partial(estimate, max_rounds_on=MAX_ROUNDS_BRIEF)
    return CovarianceFamily(name, Full, estimate, brief)


MODELS: dict[str, CovarianceFamily] = {family.name: family for family in _table()}
FAMILIES: dict[str, CovarianceFamily] = {
    "full": MODELS["VVV"],
    "tied": MODELS["EEE"],
    "diag": MODELS["VVI"],
    "spherical": MODELS["VII"],
    **MODELS,
}
"""Every name that ``covariance_type`` takes."""
