"""Kinds of second moments: what the E-step sums for the covariances of a storage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.matmul import diagonal_squares, gram_matrices, squares

from .segments import Segments


@dataclass(frozen=True, eq=False)
class MomentKind:
    """One kind of second moments of the M components of B mixtures.

    Of rows v a component has moments, which hold its weight, its sum and its second
    moments: either [1, v][1, v]' summed, (1 + d, 1 + d), or [1, v] and [1, v^2] summed,
    (2, 1 + d). The *products* are the second moments alone, each component's own, or
    pooled over the components of a mixture. A kind is pickled by its name.
    """

    name: str
    """That of the constant below, in lower case."""
    of_squares: bool
    """Whether they are squares of features, without products of two features."""
    shape: Callable[[Segments, int], tuple[int, ...]]
    """Segments and number of features to the shape of the products."""
    outer: Callable[[Segments, NDArray, NDArray], NDArray]
    """Segments, weights (M,) and one vector of each component (M, d) to weighted
    products."""
    pool: Callable[[Segments, NDArray], NDArray]
    """Segments and values of components (M, ...) to those behind each of the products:
    the values themselves, or their sums (B, ...)."""
    diagonals: Callable[[NDArray], NDArray]
    """Products to a view of their diagonals, (M, d) or (B, d)."""
    from_full: Callable[[Segments, NDArray], NDArray]
    """Segments and products of all pairs of features, of M components (M, d, d), to
    products of this kind."""
    from_variances: Callable[[NDArray], NDArray]
    """Variances (d,) to the products of one component, (d,) or (d, d)."""
    moments_shape: Callable[[int], tuple[int, int]]
    """Number of features to the shape of one component's moments."""
    moments: Callable[[NDArray, NDArray], NDArray]
    """Rows (n, d) and weights (n,) to the moments of one component."""
    stacked_moments: Callable[[NDArray, NDArray], NDArray]
    """Rows [1, v] (M, 1 + d, n) and roots of their weights (M, 1, n), by which they are
    multiplied already, to the moments of M components."""
    second: Callable[[NDArray], NDArray]
    """Moments of M components to a view of their second moments."""
    pooled: bool = False
    """Whether products are pooled over the components of a mixture."""

    def __reduce__(self) -> str:
        return self.name.upper()

    def __repr__(self) -> str:
        return self.name

    def products(self, segments: Segments, moments: NDArray) -> NDArray:
        """The products of M components, from their moments."""
        return self.pool(segments, self.second(moments))

    def sum(self, segments: Segments, values: NDArray) -> NDArray:
        """Sums over the components of each mixture (B, ...) of what products are made
        of."""
        return values if self.pooled else segments.sum(values)

    def spread(self, segments: Segments, values: NDArray) -> NDArray:
        """Values of products for each component (M, ...)."""
        return segments.spread(values) if self.pooled else values

    def plus_diagonals(
        self, segments: Segments, products: NDArray, variances: NDArray
    ) -> NDArray:
        """Products with values (M, d), or (M, 1) for all features, on the diagonals."""
        products = products.copy()
        self.add_to_diagonals(products, self.pool(segments, variances))
        return products

    def entries(self, segments: Segments, mixtures: NDArray) -> NDArray:
        """Indices of the products of some mixtures, by indices or a mask (B,)."""
        return mixtures if self.pooled else segments.components(mixtures)

    def add_to_diagonals(self, products: NDArray, values: NDArray | float) -> None:
        """Add values to the diagonals of products, in place."""
        diagonals = self.diagonals(products)
        diagonals.flags.writeable = True  # NumPy's view of a diagonal is read-only
        diagonals += values


def _as_they_are(values: NDArray) -> NDArray:
    """The values."""
    return values


def _of_components(segments: Segments, values: NDArray) -> NDArray:
    """The values."""
    return values


def _of_mixtures(segments: Segments, values: NDArray) -> NDArray:
    """Sums over the components of each mixture, shape (B, ...)."""
    return segments.sum(values)


def _squares_outer(segments: Segments, counts: NDArray, vectors: NDArray) -> NDArray:
    """n_k v_kj^2, shape (M, d)."""
    return counts[:, None] * vectors**2


def _full_outer(segments: Segments, counts: NDArray, vectors: NDArray) -> NDArray:
    """n_k v_k v_k', shape (M, d, d)."""
    return counts[:, None, None] * (vectors[:, :, None] * vectors[:, None, :])


def _pooled_outer(segments: Segments, counts: NDArray, vectors: NDArray) -> NDArray:
    """sum_k n_k v_k v_k', shape (B, d, d)."""
    if len(segments) == 1:
        weighted = np.sqrt(counts)[:, None] * vectors
        return (weighted.T @ weighted)[None]
    return segments.sum(_full_outer(segments, counts, vectors))


def _stacked_squares(vectors: NDArray, roots: NDArray) -> NDArray:
    """Sums of [1, v] and [1, v^2], shape (K, 2, 1 + d)."""
    first = (vectors @ roots.mT)[..., 0]
    return np.stack([first, np.einsum("kdn,kdn->kd", vectors, vectors)], axis=1)


def _stacked_products(vectors: NDArray, roots: NDArray) -> NDArray:
    """Sums of [1, v][1, v]', shape (K, 1 + d, 1 + d)."""
    return gram_matrices(vectors)


DIAGONAL = MomentKind(
    name="diagonal",
    of_squares=True,
    shape=lambda segments, n_features: (segments.n_components, n_features),
    outer=_squares_outer,
    pool=_of_components,
    diagonals=_as_they_are,
    from_full=lambda segments, products: products.diagonal(axis1=1, axis2=2),
    from_variances=_as_they_are,
    moments_shape=lambda n_features: (2, 1 + n_features),
    moments=diagonal_squares,
    stacked_moments=_stacked_squares,
    second=lambda moments: moments[:, 1, 1:],
)
FULL = MomentKind(
    name="full",
    of_squares=False,
    shape=lambda segments, n_features: (segments.n_components, *2 * (n_features,)),
    outer=_full_outer,
    pool=_of_components,
    diagonals=lambda products: products.diagonal(axis1=1, axis2=2),
    from_full=_of_components,
    from_variances=np.diag,
    moments_shape=lambda n_features: (1 + n_features, 1 + n_features),
    moments=squares,
    stacked_moments=_stacked_products,
    second=lambda moments: moments[:, 1:, 1:],
)
POOLED = replace(
    FULL,
    name="pooled",
    shape=lambda segments, n_features: (len(segments), n_features, n_features),
    outer=_pooled_outer,
    pool=_of_mixtures,
    from_full=_of_mixtures,
    pooled=True,
)
MOMENT_KINDS = (DIAGONAL, FULL, POOLED)


def of_components(kind: MomentKind) -> MomentKind:
    """The kind of the same moments that are not pooled."""
    return DIAGONAL if kind.of_squares else FULL
