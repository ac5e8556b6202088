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
SMALL = 16  # features up to which LAPACK's calls cost more than what they compute
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
    finite = np.isfinite(matrices)
    if np.count_nonzero(finite) == finite.size:
        return matrices, np.zeros(len(matrices), dtype=bool)
    bad = ~finite.all(axis=(1, 2))
    one = np.eye(matrices.shape[-1])
    return np.where(bad[:, None, None], one, matrices), bad


def cholesky(matrices: NDArray) -> NDArray:
    """Lower Cholesky factors of matrices (M, d, d), NaN where there is none."""
    regulars, bad = regular(matrices)
    try:
        factors = np.linalg.cholesky(regulars)
    except np.linalg.LinAlgError:
        factors = np.empty(regulars.shape)
        for k, matrix in enumerate(regulars):
            lower, info = _lower(matrix)
            factors[k] = np.nan if info else lower
    if regulars is not matrices:
        factors[bad] = np.nan
    return factors


def _lower(matrix: NDArray) -> tuple[NDArray, int]:
    """The lower Cholesky factor, and 0 if there is one."""
    # The transpose of a symmetric matrix is itself, in the order of Fortran.
    lower, info = dpotrf(matrix.T, lower=1, clean=1)
    return lower, info


def eigh(matrices: NDArray) -> tuple[NDArray, NDArray]:
    """Ascending eigenvalues (M, d) and eigenvectors, NaN where there are none."""
    matrices, bad = regular(matrices)
    values, vectors = np.linalg.eigh(matrices)
    values[bad] = vectors[bad] = np.nan
    return values, vectors


def inverse_cholesky(matrices: NDArray) -> NDArray:
    """U with U U' the inverse, from the Cholesky factors; NaN where there is none."""
    flat = matrices.reshape(-1, *matrices.shape[-2:])
    if _are_many(flat):
        return inverse_triangles(cholesky(flat)).mT.reshape(matrices.shape)
    inverses, finite = np.empty(flat.shape), np.isfinite(flat)
    for k, matrix in enumerate(flat):
        lower, info = _lower(matrix)
        inverses[k] = np.nan if info else dtrtri(lower, lower=1, overwrite_c=1)[0].T
    if np.count_nonzero(finite) < finite.size:
        inverses[~finite.all(axis=(1, 2))] = np.nan
    return inverses.reshape(matrices.shape)


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
    triangles = lower.reshape(-1, *lower.shape[-2:])
    if _are_many(triangles):
        return _inverses_of_many(triangles).reshape(lower.shape)
    return np.reshape([dtrtri(each, lower=1)[0] for each in triangles], lower.shape)


def _are_many(matrices: NDArray) -> bool:
    """Whether to go through the rows of all matrices at once, and not through the
    matrices, takes less time."""
    size = matrices.shape[-1]
    return size <= SMALL and len(matrices) >= 3 * size


def _inverses_of_many(lower: NDArray) -> NDArray:
    """L^-1 of lower triangular matrices (M, d, d), row by row."""
    triangles = np.ascontiguousarray(lower.transpose(1, 2, 0))
    inverses = np.zeros_like(triangles)
    for i, row in enumerate(triangles):
        inverses[i, i] = pivot = 1 / row[i]
        products = np.einsum("jm,jkm->km", row[:i], inverses[:i, :i])
        inverses[i, :i] = -pivot * products
    return np.ascontiguousarray(inverses.transpose(2, 0, 1))


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
    excess = matrices.copy()
    np.einsum("kii->ki", excess)[:] -= (1 - BOUND_TOL) * least
    return ~np.isnan(cholesky(excess)[:, 0, 0])
