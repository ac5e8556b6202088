"""Quadratic features of rows: in these log-densities are linear."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from emgmm._model.moment_kinds import DIAGONAL, FULL, POOLED, MomentKind
from emgmm._utils.matmul import multiply

from .kernel import Kernel

# Forming d^2 / 2 features pays where d is small, or enough components share them and
# they fit into a cache.
FEW_FEATURES, MOST_FEATURES = 16, 60
MAX_FEATURES_PER_COMPONENT = 8


class SecondOrder(NamedTuple):
    """The features of second order for one kind of second moments."""

    size: Callable[[int], int]
    """Their number for d features."""
    fill: Callable[[NDArray, int], object]
    """Write those of rows alone into an array that has [1, z] of d features already."""
    coefficients: Callable[[NDArray], NDArray | float]
    """Precisions to the coefficients of -0.5 z'Pz, shape (..., size) or ()."""
    products: Callable[[NDArray, int], NDArray | None]
    """Their sums (..., size) to products of the kind, or None if these are the scatter
    of all rows."""
    most: Callable[[int], float]
    """Number of components to the number of features up to which this is fast."""
    of_rows_alone: bool = True
    """Whether they depend on the rows and the origin, but not on the mixture; else each
    mixture has its own, and the products do not depend on responsibilities."""


def _fill_products(features: NDArray, d: int) -> None:
    """Write z_i z_j with j = i + s modulo d, for every shift s: few, long products."""
    n = features.shape[1]
    whole, out = (d - 1) // 2, features[1 + d :]
    # The first rows again behind the last, until the squares are written over them.
    z = features[1 : 1 + d + whole]
    z[d:] = z[:whole]
    if whole:
        # One view of the rows for each shift, in a single call.
        shifted = as_strided(z[1:], (whole, d, n), z.strides[:1] + z.strides)
        products = out[d : d + whole * d].reshape(whole, d, n)
        np.multiply(z[:d], shifted, out=products)
    if d % 2 == 0:
        np.multiply(z[: d // 2], z[d // 2 : d], out=out[d + whole * d :])
    np.multiply(z[:d], z[:d], out=out[:d])


def _fill_squares(features: NDArray, d: int) -> None:
    """Write z_j^2."""
    np.multiply(features[1 : 1 + d], features[1 : 1 + d], out=features[1 + d :])


def fill_distances(features: NDArray, kernel: Kernel) -> None:
    """Write z'Pz / 2 of each mixture, from rows whitened for all its components."""
    d, n = kernel.mixture.means.shape[1], features.shape[1]
    z = features[1 : 1 + d]
    factors = np.sqrt(0.5) * kernel.mixture.covariances.precisions_cholesky.mT
    whitened = kernel.workspace.array("whitened", (len(factors) * d, n), z.dtype)
    multiply(factors.reshape(-1, d).astype(z.dtype), z, whitened)
    whitened = whitened.reshape(-1, d, n)
    np.einsum("bij,bij->bj", whitened, whitened, out=features[1 + d :])


class Pairs(NamedTuple):
    """Indices between the features z_i z_j and the entries of a flattened matrix."""

    entry: NDArray
    """The entry of the matrix for each product."""
    product: NDArray
    """The product for each entry of the matrix."""
    share: NDArray
    """Factors of P_ij z_i z_j in -z'Pz / 2: -1/2 for squares, else -1."""


@lru_cache(maxsize=8)
def _pairs(n_features: int) -> Pairs:
    """Indices of the products of ``n_features`` features."""
    numbers = np.arange(n_features * (n_features + 1) // 2)
    shift, i = np.divmod(numbers, n_features)
    j = (i + shift) % n_features
    product = np.empty((n_features, n_features), dtype=np.intp)
    product[i, j] = product[j, i] = numbers
    share = np.where(shift == 0, -0.5, -1.0)
    return Pairs(i * n_features + j, product.ravel(), share)


def _product_coefficients(precisions: NDArray) -> NDArray:
    """Coefficients of the products in -z'Pz / 2, from precisions (..., d, d)."""
    pairs = _pairs(precisions.shape[-1])
    flat = precisions.reshape(*precisions.shape[:-2], -1)
    return flat.take(pairs.entry, axis=-1) * pairs.share


def unpack_products(sums: NDArray, n_features: int) -> NDArray:
    """Symmetric matrices (..., d, d) from sums of the products."""
    flat = sums.take(_pairs(n_features).product, axis=-1)
    return flat.reshape(*sums.shape[:-1], n_features, n_features)


def _most_of_products(n_components: int) -> float:
    """Number of features up to which forming all products is fast."""
    shared = max(FEW_FEATURES, MAX_FEATURES_PER_COMPONENT * n_components)
    return min(shared, MOST_FEATURES)


SECOND_ORDER: dict[MomentKind, SecondOrder] = {
    DIAGONAL: SecondOrder(
        lambda d: d,
        _fill_squares,
        lambda precisions: -0.5 * precisions,
        lambda sums, d: sums,
        lambda n_components: np.inf,
    ),
    FULL: SecondOrder(
        lambda d: d * (d + 1) // 2,
        _fill_products,
        _product_coefficients,
        unpack_products,
        _most_of_products,
    ),
    POOLED: SecondOrder(
        lambda d: 1,
        lambda features, d: None,
        lambda precisions: -1.0,
        lambda sums, d: None,
        lambda n_components: np.inf,
        of_rows_alone=False,
    ),
}
