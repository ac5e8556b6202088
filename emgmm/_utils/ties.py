"""Ties: which of several values comes first that differ only by rounding.

Rounding differs between processors, builds of BLAS and orders of the rows. Where data
are symmetric it would choose: the sign of an eigenvector, a basis where eigenvalues are
equal, the greater of two equal gains, the order of components that weigh the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

TIE = 1e-9  # relative difference of values that are equal but for rounding
PREFERENCE = 1e-6  # share by which a coordinate is preferred to a later one


def first_of_greatest(values: Sequence[float] | NDArray, tol: float = TIE) -> int:
    """Index of the first value that is the greatest up to a relative tolerance."""
    greatest = np.max(values)
    return int(np.argmax(values >= greatest - tol * abs(greatest)))


def ranks(keys: NDArray, tol: float) -> NDArray:
    """Ascending ranks along the first axis; the same where a gap is within tol."""
    order = keys.argsort(axis=0)
    with np.errstate(invalid="ignore"):  # two infinite values have no gap
        gaps = np.diff(np.take_along_axis(keys, order, axis=0), axis=0) > tol
    ranks = np.zeros(keys.shape, dtype=np.intp)
    np.put_along_axis(ranks, order[1:], gaps.cumsum(axis=0), axis=0)
    return ranks


def in_order(costs: NDArray, most: int) -> NDArray:
    """Indices of the least costs, at most so many; of those that are equal, but for
    rounding, the first come first."""
    finite = np.flatnonzero(np.isfinite(costs))
    scale = np.abs(costs[finite]).max(initial=0.0)
    order = np.argsort(ranks(costs[finite], TIE * scale), kind="stable")
    return finite[order[:most]]


def settled(eigenvalues: NDArray, axes: NDArray) -> NDArray:
    """Eigenvectors (d, m), independent of rounding, of ascending eigenvalues (m,).

    Of each the first of the greatest coordinates is positive. Those of equal
    eigenvalues are as near to axes of coordinates as can be, the last to the first.
    """
    if len(eigenvalues) > 1:
        distinct = np.diff(eigenvalues) > TIE * np.abs(eigenvalues).max()
        if not distinct.all():
            groups = np.split(axes, np.flatnonzero(distinct) + 1, axis=1)
            axes = np.hstack([_near_coordinates(group) for group in groups])
    sizes = np.abs(axes)
    first = (sizes >= (1 - PREFERENCE) * sizes.max(axis=0)).argmax(axis=0)
    return axes * np.sign(axes[first, np.arange(axes.shape[1])])


def _near_coordinates(axes: NDArray) -> NDArray:
    """An orthonormal basis of the span of the columns, by QR with column pivoting: the
    projection of the nearest coordinate axis comes last, and so on backwards."""
    preferred = np.exp(-PREFERENCE * np.arange(len(axes)))
    turn, _, _ = qr(axes.T * preferred, mode="economic", pivoting=True)
    return (axes @ turn)[:, ::-1]
