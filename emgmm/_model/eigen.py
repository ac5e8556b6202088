"""Eigenvectors of the matrices of a stack, accurate whatever the scales of features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgejsv

from .linalg import cholesky, eigh, gram
from .segments import Segments

EPS = float(np.finfo(np.float64).eps)
TIE_TOL = 1e-14  # share of the largest eigenvalue within which others are equal, ...
TIE_RATIO = 1e-3  # ... if they differ by no more than this share of themselves
WELL_CONDITIONED = 1e-3  # ratio of eigenvalues above which few digits are lost
SETTLED = 4 * EPS  # cosine, by features, at which Jacobi's method ends
SMALL_ANGLE = 1e-8  # whose square is rounding


def eigen(segments: Segments, matrices: NDArray) -> tuple[NDArray, NDArray]:
    """Ascending eigenvalues (M, d) and eigenvectors (M, d, d), whatever the order of
    the components; NaN of matrices that are not finite.

    Where eigenvalues of a matrix are equal, as in the null space of few rows, any
    basis of their eigenvectors would do, and rounding would choose it. The basis that
    diagonalises the sum of the matrices of its mixture is taken.
    """
    eigenvalues, vectors = accurate_eigen(matrices)
    tied = np.minimum(TIE_TOL * eigenvalues[:, -1:], TIE_RATIO * eigenvalues[:, 1:])
    equal = np.diff(eigenvalues) <= tied
    if equal.any():
        totals = segments.sum(matrices)
        for k in np.flatnonzero(equal.any(axis=1)):
            total, ends = totals[segments.mixture[k]], np.flatnonzero(~equal[k]) + 1
            if np.isfinite(total).all():
                vectors[k] = _basis_by(total, np.split(vectors[k], ends, axis=1))
    return eigenvalues, vectors


def _basis_by(matrix: NDArray, groups: list[NDArray]) -> NDArray:
    """The basis, each group of columns turned so that it diagonalises the matrix."""
    turns = [np.linalg.eigh(group.T @ matrix @ group)[1] for group in groups]
    return np.hstack([group @ turn for group, turn in zip(groups, turns, strict=True)])


def accurate_eigen(matrices: NDArray) -> tuple[NDArray, NDArray]:
    """Ascending eigenvalues and eigenvectors, small eigenvalues as accurate as large.

    ``eigh`` loses digits of small ones where features differ in scale. One step of the
    one-sided Jacobi method, for all pairs of columns of L' times the eigenvectors at
    once (L the Cholesky factor), brings them back; matrices for which it does not
    suffice take LAPACK's (Demmel & Veselic 1992, doi:10.1137/0613074).
    """
    values, vectors = eigh(matrices)
    hard = np.flatnonzero(~(values[:, 0] > WELL_CONDITIONED * values[:, -1]))
    if hard.size:
        refined = _refined(matrices[hard], values[hard], vectors[hard])
        values[hard], vectors[hard] = refined
    return values, vectors


def _refined(
    matrices: NDArray, values: NDArray, vectors: NDArray
) -> tuple[NDArray, NDArray]:
    """Eigenvalues and eigenvectors from those of ``eigh``; of singular matrices these,
    with zeros for eigenvalues that are rounding."""
    lower = cholesky(matrices)
    singular = np.isnan(lower[:, 0, 0])
    values[values <= matrices.shape[-1] * EPS * values[:, -1:]] = 0.0
    accurate, better, settled = _jacobi_step(lower, vectors)
    values[settled], vectors[settled] = accurate[settled], better[settled]
    for k in np.flatnonzero(~(settled | singular)):
        values[k], vectors[k] = _jacobi(lower[k])
    return values, vectors


def _jacobi_step(lower: NDArray, vectors: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Eigenvalues and eigenvectors of L L' from nearby ones, and whether (M,) Jacobi's
    method would end there."""
    tol = lower.shape[-1] * SETTLED
    sides = lower.mT @ vectors
    products = gram(sides)
    values = np.einsum("kii->ki", products)
    scales = np.sqrt(values)
    skewed = np.abs(products) > tol * scales[:, :, None] * scales[:, None]
    gaps = values[:, None] - values[:, :, None]
    turned = skewed & (gaps != 0)
    angles = np.divide(products, gaps, out=np.zeros_like(products), where=turned)
    products = gram(sides + sides @ angles)
    values = np.einsum("kii->ki", products).copy()
    scales = np.sqrt(values)
    skewed = np.abs(products) > tol * scales[:, :, None] * scales[:, None]
    np.einsum("kii->ki", skewed)[:] = np.diff(values, prepend=0) < -tol * values
    settled = (np.abs(angles) <= SMALL_ANGLE) & ~skewed
    return values, vectors + vectors @ angles, settled.all(axis=(1, 2))


def _jacobi(lower: NDArray) -> tuple[NDArray, NDArray]:
    """Ascending eigenvalues and eigenvectors of L L', by Jacobi's method."""
    # joba "C", jobu "U", jobv "N" of LAPACK; the singular values come in descending
    # order, and scaled where they would overflow.
    values, vectors, _, work, _, _ = dgejsv(lower, joba=0, jobu=0, jobv=3)
    return (work[0] / work[1] * values[::-1]) ** 2, vectors[:, ::-1]
