"""Matrices conditioned on the observed features, for each pattern of missing values.

Of covariances S = [[S_oo, S_om], [S_mo, S_mm]], o observed and m missing: the slopes
S_mo S_oo^-1 of the regressions of x_m on x_o, and the covariances S_mm - S_mo S_oo^-1
S_om of x_m given x_o. From precisions P these are -P_mm^-1 P_mo and P_mm^-1, and the
precisions of x_o alone are P_oo - P_om P_mm^-1 P_mo: little work where little is
missing, but rounding grows with the condition of P.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .algebra import MATRICES
from .linalg import gram, inverse_triangles, lower_cholesky


class Conditioned(NamedTuple):
    """K Gaussians given what each of S patterns observes, with zeros elsewhere."""

    marginal: NDArray
    """Precisions of what is observed, or what whitens it, (K, S, d, d)."""
    slopes: NDArray
    """Of the regressions of what is missing on what is observed, (K, S, d, d)."""
    covariances: NDArray
    """Conditional covariances of what is missing, (K, S, d, d)."""
    log_det: NDArray
    """Log-determinants of the precisions of what is observed, (K, S)."""


def from_factors(factors: NDArray, missing: NDArray) -> Conditioned:
    """Conditioned matrices with whitening matrices W, W'W = S_oo^-1; nothing cancels.

    From U (K, d, d) with precision U U' and the missing features of each pattern
    (S, d): everything follows from the Cholesky factor of the covariance with the
    missing features last, and from its inverse. LinAlgError where covariances are
    infinite.
    """
    units = 2.0 ** -np.round(np.log2(np.abs(factors).max(axis=-1)))
    # Whatever the user's units.
    roots = MATRICES.invert_factors(factors * units[..., None])
    order = np.argsort(missing, axis=1, kind="stable")
    permuted = np.moveaxis(roots[..., order], -2, 1)
    lower = lower_cholesky(gram(roots)[:, order[:, :, None], order[:, None]], permuted)
    inverse = inverse_triangles(lower)
    last = np.take_along_axis(missing, order, axis=1)
    own = lower * (last[:, :, None] & last[:, None])
    slopes = -(own @ (inverse * (last[:, :, None] & ~last[:, None])))
    # Back into the order of the features, and into the user's units.
    ways, back = np.arange(len(order))[:, None, None], np.argsort(order, axis=1)
    i, j = back[:, :, None], back[:, None]
    rows, columns = units[:, None, :, None], units[:, None, None]
    whiteners = np.take_along_axis(inverse * ~last[:, :, None], j[None], axis=-1)
    log_det = (np.log(np.einsum("...ii->...i", lower)) * ~last).sum(axis=-1)
    log_units = (np.log(units)[:, None] * ~missing).sum(axis=-1)
    return Conditioned(
        marginal=whiteners / columns,
        slopes=slopes[:, ways, i, j] * (rows / columns),
        covariances=gram(own.mT)[:, ways, i, j] * rows * columns,
        log_det=-2 * (log_det + log_units),
    )


def from_precisions(matrices: NDArray, missing: NDArray) -> Conditioned:
    """Conditioned matrices with the precisions of what is observed, from (K, d, d).

    Rows and columns of the precisions of missing features (S, d) hold rounding errors.
    """
    shape = (len(matrices), *missing.shape, missing.shape[1])
    marginal, slopes, left = np.empty(shape), np.zeros(shape), np.zeros(shape)
    marginal[:] = matrices[:, None]
    log_det = np.empty(shape[:2])
    log_det[:] = np.linalg.slogdet(matrices)[1][:, None]
    numbers = missing.sum(axis=1)
    for number in np.unique(numbers[numbers > 0]):
        ways = np.flatnonzero(numbers == number)
        lacked = np.nonzero(missing[ways])[1].reshape(-1, number)
        rows = matrices[:, lacked]
        lower = np.linalg.cholesky(matrices[:, lacked[:, :, None], lacked[:, None]])
        # Small triangles, many at a time: no routine of LAPACK takes them together.
        inverse = np.linalg.inv(lower)
        half = inverse @ rows
        marginal[:, ways] -= gram(half)
        slopes[:, ways[:, None], lacked] = -(inverse.mT @ half)
        at, i, j = ways[:, None, None], lacked[:, :, None], lacked[:, None]
        left[:, at, i, j] = gram(inverse)
        log_det[:, ways] -= 2 * np.log(np.einsum("...ii->...i", lower)).sum(axis=-1)
    slopes *= ~missing[:, None]
    return Conditioned(marginal, slopes, left, log_det)
