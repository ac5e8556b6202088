"""Numbers: units in which they are moderate, and what their type resolves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MODERATE = 1e-60, 1e60  # sizes of numbers that any formula may take
# Weights in this range and their sums are far from the ends of float32.
FLOAT32_WEIGHTS = 2.0**-40, 2.0**40


def are_moderate(sizes: NDArray) -> bool:
    """Whether squares of squares of such numbers neither over- nor underflow."""
    least, most = MODERATE
    return bool(np.all((sizes == 0) | (least < sizes) & (sizes < most)))


def units_of(least: NDArray, greatest: NDArray, by_feature: bool) -> NDArray:
    """Powers of two (d,) near the greatest of numbers between these bounds (d,)."""
    sizes = np.fmax(np.abs(least), np.abs(greatest))
    if not by_feature:
        sizes[:] = np.fmax.reduce(sizes)
    return 2.0 ** np.round(np.log2(np.where(sizes > 0, sizes, 1.0)))


def resolution_of(float_type: np.dtype) -> float:
    """Parameters are published in the type of the rows."""
    return float(max(np.finfo(float_type).eps / 4, 16 * np.finfo(float).eps))


def type_of_sums(float_type: np.dtype, least: float, greatest: float) -> np.dtype:
    """In which sums over few rows may be taken, with positive weights between these."""
    lowest, highest = FLOAT32_WEIGHTS
    moderate = lowest <= least and greatest < highest
    return float_type if moderate else np.dtype(np.float64)
