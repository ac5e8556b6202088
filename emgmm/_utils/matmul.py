"""Products of matrices with very many columns, in pieces that BLAS multiplies best.

OpenBLAS has kernels for small products, which copy nothing. They reach the rate of
large square ones, where its general kernel reaches two thirds or one half of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PIECE = 512  # columns
# The most multiplications of a small product, ...
SMALL = 1_000_000
# ... and the most numbers in its result, where the columns are summed over.
MOST_IN_RESULT = 512
LEAST_PIECE = 64
LEAST_GROUP = 8
STEP = 16
# A triangle is multiplied in slabs of rows, each without its zeros on the right.
SLAB = 12
MAX_SLABS = 4


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
    bounds = np.linspace(0, d, min(-(-d // SLAB), MAX_SLABS) + 1).astype(int)
    for low, high in zip(bounds[:-1], bounds[1:], strict=True):
        np.matmul(lower[:, low:high, :high], wide[:, :high], out=out[:, low:high])
    return out


def contract(wide: NDArray, other: NDArray) -> NDArray:
    """wide @ other.T, of shapes (a, n) and (b, n), with pieces added in float64."""
    group = MOST_IN_RESULT // len(other)
    many = group < LEAST_GROUP
    if wide.shape[1] <= PIECE or (many and wide.dtype == np.float64):
        return _dot(wide, other)
    group = len(wide) if many else group
    whole, piece = _divide(wide.shape[1], PIECE)
    total = np.empty((len(wide), len(other)))
    others = _pieces(other, whole, piece).mT
    rows = len(wide) - len(wide) % group
    if rows:
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


def _divide(n_columns: int, most: int) -> tuple[int, int]:
    """More columns than ``most``, in pieces of equal size, and that size.

    The columns in pieces are all but a few, and the size is a multiple of ``STEP``.
    """
    piece = n_columns // -(-n_columns // most)
    piece -= piece % STEP
    return n_columns - n_columns % piece, piece


def _pieces(wide: NDArray, whole: int, piece: int) -> NDArray:
    """A view of the first columns, shape (pieces, a, piece)."""
    return wide[:, :whole].reshape(len(wide), -1, piece).transpose(1, 0, 2)
