"""Algebra of covariances: what is done with variances, and with matrices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh, solve_triangular

from emgmm._utils.matmul import multiply_triangles
from emgmm._utils.threads import Workspace

from .linalg import (
    BOUND_TOL,
    WIDE,
    cholesky,
    eigh,
    finite,
    gram,
    inverse_cholesky,
    inverse_triangles,
    lower_cholesky,
    matrices_reach,
    regular,
    upper_triangles,
)


@dataclass(frozen=True)
class Algebra:
    """Functions of covariances, and of U with precision = U U', in one representation:
    as variances, or as matrices.

    All functions but ``divide`` take any number of leading axes.
    """

    factorize: Callable[[NDArray], NDArray]
    """Covariances to U, which is NaN where one is not positive definite."""
    factorize_precisions: Callable[[NDArray], NDArray]
    """Precisions to U. LinAlgError if they are not positive definite."""
    invert: Callable[[NDArray], NDArray]
    """U to covariances."""
    square: Callable[[NDArray], NDArray]
    """U to precisions."""
    identity: Callable[[tuple[int, ...]], NDArray]
    """Shape of one covariance to that of unit variances."""
    divide: Callable[[NDArray, NDArray], NDArray]
    """Rows (n, d) and one U to the rows times the inverse of U."""
    invert_factors: Callable[[NDArray], NDArray]
    """U to its inverse L', where covariance = L L'."""
    in_units: Callable[[NDArray, NDArray], NDArray]
    """Covariances to those of rows divided by units (d,)."""
    scale: Callable[[NDArray, NDArray], NDArray]
    """U to that of rows divided by units, (d,) or (K, d)."""
    greatest: Callable[[NDArray], NDArray]
    """U of every component to the greatest eigenvalues of the precisions (K,)."""
    apply_factor: Callable[[NDArray, NDArray], NDArray]
    """One vector of each component (K, d) times its U, or the inverse of U."""
    to_tangent: Callable[[NDArray, NDArray], NDArray]
    """U and other covariances to coordinates, which are zero where they are its own."""
    from_tangent: Callable[[NDArray, NDArray, NDArray], NDArray]
    """Covariances, L' and coordinates to covariances: to first order the inverse of
    ``to_tangent``, and positive definite whatever the coordinates."""
    scale_of: Callable[[NDArray], NDArray]
    """Covariances to the products of the standard deviations of two features."""
    take: Callable[[NDArray, NDArray], NDArray]
    """Covariances to those of some features, by their indices."""
    reach: Callable[[NDArray, NDArray], NDArray]
    """Whether no variance in any direction is below that of independent features with
    the least variances (d,)."""
    addition: Callable[
        [NDArray, NDArray, NDArray, NDArray, float], tuple[NDArray, NDArray]
    ]
    """Covariances, least variances, mean scatter of a row, the scatter added to it so
    far and the share of that to keep, to the scatter to be added and its relative
    changes."""
    of_roots: Callable[[NDArray], NDArray]
    """Columns of L' of some features (not square), where covariance = L L', to U."""
    transpose: Callable[[NDArray], NDArray]
    """U to U', as ``whiten_blocks`` multiplies by it."""
    whiten_blocks: Callable[[NDArray, NDArray, Workspace], NDArray]
    """U' of each component and blocks of rows (K, d, n), which may be overwritten, to
    U' times the blocks."""
    apply_to_rows: Callable[[NDArray, NDArray], NDArray]
    """Rows (n, d) and U of every component to the rows times U, (K, n, d)."""
    to_upper: Callable[[NDArray], NDArray]
    """Any factors A with precision = A A' to U."""
    is_upper: Callable[[NDArray], bool]
    """Whether factors are U: upper triangular with a positive diagonal."""
    conditions: Callable[[NDArray, NDArray], NDArray]
    """U of every component and units (K, d) to condition numbers (K,) of U for rows
    divided by the units."""
    inverts_exactly: bool
    """Whether what is inverted twice has lost no more than its last digit."""
    form: str
    """What covariances have to be, in words."""
    least_name: str
    """What ``least`` is, in words."""
    least: Callable[[NDArray], float]
    """Covariances to the least of their eigenvalues, by which they are positive."""
    are_symmetric: Callable[[NDArray, float], bool]
    """Whether covariances are, but for a share of ``scale_of``."""
    condition: Callable[
        [NDArray, NDArray, NDArray, NDArray], tuple[NDArray, NDArray, NDArray]
    ]
    """Covariances, their L', indices of the features conditioned on and of the others,
    to the slopes (..., others, given) of the regressions, or (..., others, 0) if no
    feature depends on another, and to the conditional covariances and their U."""


def _positive(values: NDArray) -> NDArray:
    """The values, or LinAlgError where one is not positive and finite."""
    if not ((values > 0).all() and np.isfinite(values).all()):
        raise np.linalg.LinAlgError("a variance is not positive and finite")
    return values


def _inverse_roots(variances: NDArray) -> NDArray:
    """1 / sqrt(v), or NaN where a variance is not positive and finite."""
    with np.errstate(all="ignore"):
        roots = 1 / np.sqrt(variances)
    return np.where((roots > 0) & np.isfinite(roots), roots, np.nan)


def _greatest_of_matrices(factors: NDArray) -> NDArray:
    """Greatest eigenvalues (K,) of U U'; of large matrices without all the others."""
    size = factors.shape[-1]
    if size <= WIDE or not np.isfinite(factors).all():
        precisions, bad = regular(factors.mT @ factors)
        greatest: NDArray = np.linalg.eigvalsh(precisions)[:, -1]
        greatest[bad] = np.nan
        return greatest
    last = (size - 1, size - 1)
    return np.array([eigvalsh(u.T @ u, subset_by_index=last)[0] for u in factors])


def _relate_matrices(factors: NDArray, matrices: NDArray) -> NDArray:
    """U' S U - I."""
    related = factors.mT @ matrices @ factors
    diagonals = np.einsum("...ii->...i", related)
    diagonals -= 1.0
    return related


def _displace_matrices(matrices: NDArray, inverses: NDArray, moves: NDArray) -> NDArray:
    """L (I + A + A^2 / 2) L', for symmetric A, as (S + (L + L A)(L + L A)') / 2."""
    return 0.5 * (matrices + gram(inverses + moves @ inverses))


def _scale_of_matrices(matrices: NDArray) -> NDArray:
    """Products of the square roots of diagonals."""
    deviations = np.sqrt(np.abs(np.einsum("...ii->...i", matrices)))
    return deviations[..., :, None] * deviations[..., None, :]


def _take_matrices(matrices: NDArray, features: NDArray) -> NDArray:
    """Rows and columns of some features."""
    return matrices[..., features[:, None], features]


def _condition_matrices(
    matrices: NDArray, roots: NDArray, given: NDArray, others: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """S_og S_gg^-1, S_oo - S_og S_gg^-1 S_go and its U, from one Cholesky factor.

    What is left is a product with its own transpose: no difference that cancels.
    """
    order, n_given = np.concatenate([given, others]), len(given)
    lower = lower_cholesky(_take_matrices(matrices, order), roots[..., order])
    inverse = inverse_triangles(lower[..., :n_given, :n_given])
    left = lower[..., n_given:, n_given:]
    slopes = lower[..., n_given:, :n_given] @ inverse
    return slopes, gram(left.mT), inverse_triangles(left).mT


def _upper_cholesky(matrices: NDArray) -> NDArray:
    """U with P = U U': the lower Cholesky factor of P in reversed coordinates."""
    reversed_factors = np.linalg.cholesky(finite(matrices)[..., ::-1, ::-1])
    return reversed_factors[..., ::-1, ::-1].copy()


def _reach(variances: NDArray, least: NDArray) -> NDArray:
    """Which variances (M, d) are not less than the least (d,), but for a tolerance."""
    return np.asarray((variances >= (1 - BOUND_TOL) * least).all(axis=1))


def _addition(
    variances: NDArray, least: NDArray, own: NDArray, added: NDArray, kept: float
) -> tuple[NDArray, NDArray]:
    """Of variances (M, d), which grow with the scatter at most in proportion."""
    wanted = np.maximum((own + added) * (least / variances) - own, kept * added)
    return wanted, (np.abs(wanted - added) / variances).max(axis=1)


def _addition_to_matrices(
    matrices: NDArray, least: NDArray, own: NDArray, added: NDArray, kept: float
) -> tuple[NDArray, NDArray]:
    """Of matrices, in coordinates in which each of them is the identity."""
    lower = cholesky(matrices)
    inverse = inverse_triangles(lower)
    bound = inverse * np.sqrt(least)
    ratios, axes = eigh(bound @ bound.mT)
    root = axes * np.sqrt(np.maximum(ratios, 0.0))[:, None, :] @ axes.mT
    own, added = inverse @ own @ inverse.mT, inverse @ added @ inverse.mT
    missing = root @ (own + added) @ root - own - kept * added
    excess, axes = eigh(missing)
    axes *= np.sqrt(np.maximum(excess, 0.0))[:, None, :]
    wanted = kept * added + gram(axes.mT)
    return lower @ wanted @ lower.mT, np.abs(wanted - added).max(axis=(1, 2))


def _whiten_blocks(
    transposes: NDArray, blocks: NDArray, workspace: Workspace
) -> NDArray:
    """U' of each component times a block (K, d, n), in an array of the workspace."""
    out = workspace.array("whitened", blocks.shape, blocks.dtype)
    return multiply_triangles(transposes, blocks, out)


def _to_upper(factors: NDArray) -> NDArray:
    """Upper triangles R with R R' = A A', of A (..., d, d)."""
    if _is_upper(factors):
        return factors
    triangles = upper_triangles(factors[..., ::-1, :].mT).mT
    return np.ascontiguousarray(triangles[..., ::-1, ::-1])


def _is_upper(factors: NDArray) -> bool:
    """Whether matrices are upper triangular with a positive diagonal."""
    positive = (np.diagonal(factors, axis1=-2, axis2=-1) > 0).all()
    return bool(positive and not np.tril(factors, -1).any())


def _are_symmetric(matrices: NDArray, tol: float) -> bool:
    """Whether matrices equal their transposes, but for a share of their scale."""
    scale = _scale_of_matrices(matrices)
    return not (np.abs(matrices - matrices.mT) > tol * scale).any()


VARIANCES = Algebra(
    factorize=_inverse_roots,
    factorize_precisions=lambda precisions: np.sqrt(_positive(precisions)),
    invert=lambda factors: 1 / factors**2,
    square=lambda factors: factors**2,
    identity=np.ones,
    divide=lambda rows, factor: rows / factor,
    invert_factors=lambda factors: 1 / factors,
    in_units=lambda variances, units: variances / units / units,
    scale=lambda factors, units: factors * units,
    greatest=lambda factors: (factors**2).max(axis=1),
    apply_factor=lambda vectors, factors: vectors * factors.reshape(len(vectors), -1),
    to_tangent=lambda factors, variances: np.log(variances * factors**2),
    from_tangent=lambda variances, inverses, moves: variances * np.exp(moves),
    scale_of=lambda variances: variances,
    take=lambda variances, features: variances[:, features],
    reach=_reach,
    addition=_addition,
    transpose=lambda factors: factors,
    whiten_blocks=lambda factors, blocks, workspace: np.multiply(
        factors[:, :, None], blocks, out=blocks
    ),
    apply_to_rows=lambda rows, factors: rows * factors[:, None],
    to_upper=np.abs,
    is_upper=lambda factors: bool((factors > 0).all()),
    conditions=lambda factors, units: np.ones(len(factors)),
    inverts_exactly=True,
    form="positive",
    least_name="value",
    least=np.min,
    are_symmetric=lambda variances, tol: True,
    of_roots=lambda roots: 1 / roots,
    condition=lambda variances, roots, given, others: (
        np.zeros((1, len(others), 0)),
        variances[:, others],
        1 / roots[:, others],
    ),
)
MATRICES = Algebra(
    factorize=inverse_cholesky,
    factorize_precisions=_upper_cholesky,
    invert=lambda factors: gram(inverse_triangles(factors.mT).mT),
    square=lambda factors: gram(factors.mT),
    identity=lambda shape: np.eye(shape[0]),
    divide=lambda rows, factor: solve_triangular(factor.T, rows.T, lower=True).T,
    invert_factors=lambda factors: inverse_triangles(factors.mT).mT,
    in_units=lambda matrices, units: matrices / units / units[:, None],
    scale=lambda factors, units: factors * units[..., None],
    greatest=_greatest_of_matrices,
    apply_factor=lambda vectors, factors: (vectors[:, None, :] @ factors)[:, 0],
    to_tangent=_relate_matrices,
    from_tangent=_displace_matrices,
    scale_of=_scale_of_matrices,
    reach=matrices_reach,
    addition=_addition_to_matrices,
    take=_take_matrices,
    transpose=lambda factors: factors.mT,
    whiten_blocks=_whiten_blocks,
    apply_to_rows=lambda rows, factors: rows @ factors,
    to_upper=_to_upper,
    is_upper=_is_upper,
    conditions=lambda factors, units: np.linalg.cond(factors * units[:, :, None]),
    inverts_exactly=False,
    form="symmetric, positive-definite",
    least_name="eigenvalue",
    least=lambda matrices: float(np.linalg.eigvalsh(matrices).min()),
    are_symmetric=_are_symmetric,
    of_roots=lambda roots: inverse_triangles(upper_triangles(roots).mT).mT,
    condition=_condition_matrices,
)
