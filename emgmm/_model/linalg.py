"""Linear algebra that covariances, families and kernels share."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dtrtri
from scipy.sparse.linalg import ArpackError, svds

BOUND_TOL = 1e-9  # share by which a variance may be below the least
WIDE = 256  # features beyond which decompositions cost more than passes over the rows
MAX_RESTARTS = 20  # of Lanczos's method, of some twenty products each


def finite(matrices: NDArray) -> NDArray:
    """The matrices, or LinAlgError: LAPACK lets NaN and infinity pass."""
    if not np.isfinite(matrices).all():
        raise np.linalg.LinAlgError("a covariance matrix is not finite")
    return matrices


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


def matrices_reach(matrices: NDArray, least: NDArray) -> bool:
    """Whether S - diag(least) is nowhere negative, but for a tolerance."""
    try:
        np.linalg.cholesky(matrices - np.diag((1 - BOUND_TOL) * least))
    except np.linalg.LinAlgError:
        return False
    return True
