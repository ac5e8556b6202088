"""Linear algebra that covariances, families and kernels share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dtrtri
from scipy.sparse.linalg import ArpackError, svds

BOUND_TOL = 1e-9  # share by which a variance may be below the least
WIDE = 256  # features beyond which decompositions cost more than passes over the rows
MANY, SMALL = 12, 16  # matrices, of so many features, that are inverted all at once
MAX_RESTARTS = 20  # of Lanczos's method, of some twenty products each


def finite(matrices: NDArray) -> NDArray:
    """The matrices, or LinAlgError: LAPACK lets NaN and infinity pass."""
    if not np.isfinite(matrices).all():
        raise np.linalg.LinAlgError("a covariance matrix is not finite")
    return matrices


def separately(
    function: Callable[..., NDArray], matrices: NDArray, *others: NDArray
) -> NDArray:
    """A function of stacks of matrices (M, ...), NaN where LAPACK fails for a matrix.

    It raises for all where it fails for one, which is found by halving.
    """
    try:
        return function(matrices, *others)
    except np.linalg.LinAlgError:
        if len(matrices) == 1:
            return np.full_like(others[-1] if others else matrices, np.nan)
    halves = slice(len(matrices) // 2), slice(len(matrices) // 2, None)
    parts = [[each[half] for each in (matrices, *others)] for half in halves]
    return np.concatenate([separately(function, *part) for part in parts])


def solve(matrices: NDArray, right: NDArray) -> NDArray:
    """Solutions of linear systems (M, d, d) and (M, d, m), NaN of singular ones."""
    return separately(np.linalg.solve, matrices, right)


def regular(matrices: NDArray) -> tuple[NDArray, NDArray]:
    """Matrices (M, d, d) with identities for those that are not finite, which LAPACK
    does not expect, and which these are (M,)."""
    bad = ~np.isfinite(matrices).all(axis=(1, 2))
    if bad.any():
        one = np.eye(matrices.shape[-1])
        matrices = np.where(bad[:, None, None], one, matrices)
    return matrices, bad


def cholesky(matrices: NDArray) -> NDArray:
    """Lower Cholesky factors of matrices (M, d, d), NaN where there is none."""
    matrices, bad = regular(matrices)
    try:
        factors = np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        bad = bad | _indefinite(matrices)
        one = np.eye(matrices.shape[-1])
        matrices = np.where(bad[:, None, None], one, matrices)
        factors = separately(np.linalg.cholesky, matrices)
    factors[bad] = np.nan
    return factors


def _indefinite(matrices: NDArray) -> NDArray:
    """Which matrices (M, d, d) have no Cholesky factor, but for rounding: it is found
    for all at once, column by column."""
    left, bad = matrices.copy(), np.zeros(len(matrices), dtype=bool)
    for column in range(matrices.shape[-1]):
        pivots = left[:, column, column]
        bad |= ~(pivots > 0)
        below = (
            left[:, column + 1 :, column] / np.sqrt(np.where(bad, 1.0, pivots))[:, None]
        )
        left[:, column + 1 :, column + 1 :] -= below[:, :, None] * below[:, None]
    return bad


def eigh(matrices: NDArray) -> tuple[NDArray, NDArray]:
    """Ascending eigenvalues (M, d) and eigenvectors, NaN where there are none."""
    matrices, bad = regular(matrices)
    values, vectors = np.linalg.eigh(matrices)
    values[bad] = vectors[bad] = np.nan
    return values, vectors


def inverse_cholesky(matrices: NDArray) -> NDArray:
    """U with U U' the inverse, from the Cholesky factors; NaN where there is none."""
    if len(matrices) >= MANY and matrices.shape[-1] <= SMALL and matrices.ndim == 3:
        return np.ascontiguousarray(_inverses(cholesky(matrices)).mT)
    inverses = np.empty(matrices.shape)
    flat = inverses.reshape(-1, *matrices.shape[-2:])
    for k, matrix in enumerate(matrices.reshape(flat.shape)):
        # The transpose of a symmetric matrix is itself, in the order of Fortran.
        lower, info = dpotrf(matrix.T, lower=1, clean=1)
        if info or not np.isfinite(matrix).all():
            flat[k] = np.nan
        else:
            flat[k] = dtrtri(lower, lower=1, overwrite_c=1)[0].T
    return inverses


def _inverses(lower: NDArray) -> NDArray:
    """L^-1 of many small lower triangular matrices, row by row of all at once."""
    inverses = np.zeros(lower.shape)
    for row in range(lower.shape[-1]):
        pivots = lower[:, row, row, None]
        others = lower[:, row, None, :row] @ inverses[:, :row, :row]
        inverses[:, row, :row] = -others[:, 0] / pivots
        inverses[:, row, row] = 1 / pivots[:, 0]
    return inverses


def lower_cholesky(matrices: NDArray, roots: NDArray) -> NDArray:
    """L of matrices L L' = R'R, computed from R where rounding made them indefinite."""
    try:
        return np.linalg.cholesky(finite(matrices))
    except np.linalg.LinAlgError:
        return upper_triangles(finite(roots)).mT


def upper_triangles(matrices: NDArray) -> NDArray:
    """R with R'R = A'A, upper triangular with a non-negative diagonal."""
    triangles = np.asarray(np.linalg.qr(matrices, mode="r"))
    signs = np.copysign(1.0, np.einsum("...ii->...i", triangles))
    return signs[..., None] * triangles


def inverse_triangles(lower: NDArray) -> NDArray:
    """L^-1 of lower triangular matrices, which may have no rows."""
    if not lower.size:
        return lower
    if len(lower) >= MANY and lower.shape[-1] <= SMALL and lower.ndim == 3:
        return _inverses(lower)
    triangles = lower.reshape(-1, *lower.shape[-2:])
    return np.reshape([dtrtri(each, lower=1)[0] for each in triangles], lower.shape)


def gram(matrices: NDArray) -> NDArray:
    """A'A, exactly symmetric."""
    return matrices.mT @ matrices


def principal(rows: NDArray, tol: float) -> tuple[float, NDArray]:
    """Greatest singular value of a matrix, and its right singular vector (d,).

    By the Lanczos method, to a tolerance, where both sides are long: that takes some
    products with vectors instead of a decomposition. The sign of the vector is
    arbitrary.
    """
    if min(rows.shape) > WIDE and np.isfinite(rows).all():
        start = np.random.RandomState(0).standard_normal(min(rows.shape))
        with suppress(ArpackError):
            found = svds(rows, 1, v0=start, tol=tol, maxiter=MAX_RESTARTS)
            return float(found[1][0]), found[2][0]
    _, values, vectors = np.linalg.svd(rows, full_matrices=False)
    return float(values[0]), vectors[0]


def matrices_reach(matrices: NDArray, least: NDArray) -> NDArray:
    """Whether S - diag(least) is nowhere negative, but for a tolerance, of each of the
    matrices (M, d, d)."""
    factors = cholesky(matrices - np.diag((1 - BOUND_TOL) * least))
    return ~np.isnan(factors[:, 0, 0])
