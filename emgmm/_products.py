"""Products of matrices with very many columns, in pieces that BLAS multiplies best.

OpenBLAS has kernels for small products, which copy nothing. They reach the rate of
large square ones, where its general kernel reaches two thirds or one half of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PIECE = 512  # columns
# Numbers in the result beyond which the general kernel is as good, and below which
# the call costs more than the product.
MOST_IN_RESULT = 512
LEAST_IN_RESULT = 32


def multiply(left: NDArray, wide: NDArray, out: NDArray) -> NDArray:
    """left @ wide, of shapes (a, b) and (b, n)."""
    whole = wide.shape[1] - wide.shape[1] % PIECE
    if whole:
        np.matmul(left, _pieces(wide, whole), out=_pieces(out, whole))
    np.matmul(left, wide[:, whole:], out=out[:, whole:])
    return out


def contract(wide: NDArray, other: NDArray) -> NDArray:
    """wide @ other.T, of shapes (a, n) and (b, n), with pieces added in float64."""
    size = len(wide) * len(other)
    whole = wide.shape[1] - wide.shape[1] % PIECE
    if not LEAST_IN_RESULT < size < MOST_IN_RESULT:
        whole = 0
    rest = _dot(wide[:, whole:], other[:, whole:])
    if whole:
        products = _pieces(wide, whole) @ _pieces(other, whole).mT
        rest += products.sum(axis=0, dtype=np.float64)
    return rest


def squares(vectors: NDArray, weights: NDArray) -> NDArray:
    """Weighted sum of [1, v][1, v]' over rows v, (n, d) to (1 + d, 1 + d)."""
    weighted = np.ones((len(vectors), 1 + vectors.shape[1]))
    weighted[:, 1:] = vectors
    weighted *= np.sqrt(weights)[:, None]
    return np.dot(weighted.T, weighted)


def _dot(wide: NDArray, other: NDArray) -> NDArray:
    """wide @ other.T in float64, in whichever order OpenBLAS is faster.

    Unlike matmul, dot lets other threads run however small the result is.
    """
    if wide.dtype == np.float64:
        return np.dot(other, wide.T).T
    return np.dot(wide, other.T).astype(np.float64)


def _pieces(wide: NDArray, whole: int) -> NDArray:
    """A view of the first columns, shape (pieces, a, PIECE)."""
    return wide[:, :whole].reshape(len(wide), -1, PIECE).transpose(1, 0, 2)
