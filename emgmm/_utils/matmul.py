"""Products of matrices with very many columns, in pieces that BLAS multiplies best.

OpenBLAS has kernels for small products, which copy nothing. They reach the rate of
large square ones, where its general kernel reaches two thirds or one half of it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

PIECE = 512  # columns
# The most multiplications of a small product, ...
SMALL = 1_000_000
# ... and the most numbers in its result, where the columns are summed over.
MOST_IN_RESULT = 960
LEAST_PIECE = 64
LEAST_GROUP = 16
STEP = 16
# A triangle is multiplied in slabs of rows, each without its zeros on the right.
SLAB = 12
MAX_SLABS = 4
# Rows up to which slabs are faster than BLAS's product of a matrix with its transpose.
MOST_IN_SLABS = 96
FEW = 50_000  # multiplications, which take less time than the calls for slabs


def multiply(left: NDArray, wide: NDArray, out: NDArray) -> NDArray:
    """left @ wide, of shapes (a, b) and (b, n)."""
    piece = min(PIECE, SMALL // left.size)
    if piece < LEAST_PIECE or wide.shape[1] <= piece:
        return np.matmul(left, wide, out=out)
    whole, piece = _divide(wide.shape[1], piece)
    np.matmul(left, _pieces(wide, whole, piece), out=_pieces(out, whole, piece))
    if whole < wide.shape[1]:
        np.matmul(left, wide[:, whole:], out=out[:, whole:])
    return out


def multiply_triangles(lower: NDArray, wide: NDArray, out: NDArray) -> NDArray:
    """Lower triangles @ wide, of shapes (K, d, d) and (K, d, n)."""
    d = lower.shape[-1]
    for low, high in _slabs(d, min(-(-d // SLAB), MAX_SLABS)):
        np.matmul(lower[:, low:high, :high], wide[:, :high], out=out[:, low:high])
    return out


def contract(wide: NDArray, other: NDArray) -> NDArray:
    """wide @ other.T, of shapes (a, n) and (b, n), with pieces added in float64."""
    if len(other) > len(wide):  # groups are made of the longer
        return contract(other, wide).T
    group = min(MOST_IN_RESULT // len(other), len(wide))
    many = group < LEAST_GROUP and group < len(wide)
    fits = wide.shape[1] <= PIECE or wide.dtype == np.float64
    small = group == len(wide) and wide.size * len(other) <= SMALL
    if fits and (many or small):
        return _dot(wide, other)
    group = len(wide) if many else group
    whole, piece = _divide(wide.shape[1], PIECE)
    total = np.empty((len(wide), len(other)))
    others = _pieces(other, whole, piece).mT
    rows = len(wide) - len(wide) % group
    groups = wide[:rows, :whole].reshape(-1, group, whole // piece, piece)
    products = groups.swapaxes(1, 2) @ others
    out = total[:rows].reshape(-1, group, len(other))
    np.add.reduce(products, axis=1, dtype=np.float64, out=out)
    if rows < len(wide):
        products = _pieces(wide[rows:], whole, piece) @ others
        np.add.reduce(products, axis=0, dtype=np.float64, out=total[rows:])
    if whole < wide.shape[1]:
        total += _dot(wide[:, whole:], other[:, whole:])
    return total


def gram_matrices(vectors: NDArray) -> NDArray:
    """vectors @ vectors.mT, of shape (..., a, n) to (..., a, a).

    Pieces are added in float64. Only lower triangles are computed, in slabs of rows. A
    slab is never square: for equal operands NumPy would call BLAS's routine for a
    product with its own transpose, which is slow where a matrix has few rows.
    """
    size, n = vectors.shape[-2:]
    if size > MOST_IN_SLABS or vectors.size * size < FEW:
        return vectors @ vectors.mT
    number = max(-(-size // SLAB), 2)
    piece = SMALL // (-(-size // number) * size)
    total = np.zeros((*vectors.shape[:-2], size, size))
    for start in range(0, n, piece):
        part = vectors[..., start : start + piece]
        for low, high in _slabs(size, number):
            width = min(high + 1, size)
            product = part[..., low:high, :] @ part[..., :width, :].mT
            total[..., low:high, :width] += product
    np.copyto(total, total.mT.copy(), where=_upper(size))
    return total


def squares(vectors: NDArray, weights: NDArray) -> NDArray:
    """Weighted sum of [1, v][1, v]' over rows v, (n, d) to (1 + d, 1 + d)."""
    weighted = np.ones((len(vectors), 1 + vectors.shape[1]))
    weighted[:, 1:] = vectors
    weighted *= np.sqrt(weights)[:, None]
    return np.dot(weighted.T, weighted)


def diagonal_squares(vectors: NDArray, weights: NDArray) -> NDArray:
    """Weighted sums of [1, v] and [1, v^2] over rows v, (n, d) to (2, 1 + d)."""
    roots = np.sqrt(weights)
    weighted = vectors * roots[:, None]  # rows without weight may lie anywhere
    sums = np.empty((2, 1 + vectors.shape[1]))
    sums[:, 0] = weights.sum()
    np.matmul(roots, weighted, out=sums[0, 1:])
    np.einsum("nd,nd->d", weighted, weighted, out=sums[1, 1:])
    return sums


def _dot(wide: NDArray, other: NDArray) -> NDArray:
    """wide @ other.T in float64, in whichever order OpenBLAS is faster.

    Unlike matmul, dot lets other threads run however small the result is.
    """
    if wide.dtype == np.float64:
        return np.dot(other, wide.T).T
    return np.dot(wide, other.T).astype(np.float64)


@lru_cache(maxsize=32)
def _slabs(size: int, number: int) -> list[tuple[int, int]]:
    """Bounds of slabs of about equally many rows."""
    bounds = np.linspace(0, size, number + 1).astype(int).tolist()
    return list(zip(bounds[:-1], bounds[1:], strict=True))


@lru_cache(maxsize=8)
def _upper(size: int) -> NDArray:
    """Which entries of a square matrix are above its diagonal."""
    return np.triu(np.ones((size, size), dtype=bool), 1)


def _divide(n_columns: int, most: int) -> tuple[int, int]:
    """Columns in pieces of equal size, and that size.

    Where there are more than ``most``, the columns in pieces are all but a few, and the
    size is a multiple of ``STEP``.
    """
    if n_columns <= most:
        return n_columns, n_columns
    piece = n_columns // -(-n_columns // most)
    piece -= piece % STEP
    return n_columns - n_columns % piece, piece


def _pieces(wide: NDArray, whole: int, piece: int) -> NDArray:
    """A view of the first columns, shape (pieces, a, piece)."""
    return wide[:, :whole].reshape(len(wide), -1, piece).transpose(1, 0, 2)
