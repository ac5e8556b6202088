"""Numbers: units in which they are moderate, and what their type resolves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MODERATE = 1e-60, 1e60  # sizes of numbers that any formula may take
MOST_EXPONENT = 1022  # of two, so that units and their inverses are numbers
BESIDE_WEIGHTS = 1e-2, 1e2  # where sums of weights are not moderate
# Weights in this range and their sums are far from the ends of float32.
FLOAT32_WEIGHTS = 2.0**-40, 2.0**40


def are_moderate(sizes: NDArray, weight: float = 1.0) -> bool:
    """Whether squares of squares of such numbers neither over- nor underflow, nor sums
    of so much weight of squares."""
    moderate = MODERATE[0] < weight < MODERATE[1]
    least, most = MODERATE if moderate else BESIDE_WEIGHTS
    return bool(np.all((sizes == 0) | (least < sizes) & (sizes < most)))


def units_of(sizes: NDArray, by_feature: bool, weight: float = 1.0) -> NDArray:
    """Powers of two (d,) nearest to sizes (d,), or all to the largest of them; ones
    where the sizes are moderate."""
    if are_moderate(sizes, weight):
        return np.ones(len(sizes))
    largest = sizes if by_feature else np.full_like(sizes, np.fmax.reduce(sizes))
    exponents = np.round(np.log2(np.where(largest > 0, largest, 1.0)))
    return 2.0 ** np.clip(exponents, -MOST_EXPONENT, MOST_EXPONENT)


def variances_of(squares: NDArray, counts: NDArray) -> NDArray:
    """Variances (d,) from squares (d,) of so much weight; 1 where there is none."""
    seen = counts > 0
    with np.errstate(all="ignore"):  # what overflows, ``in_units`` mends
        variances = squares / np.where(seen, counts, 1.0)
    return np.where(seen, variances, 1.0)


def sizes_of(center: NDArray, variances: NDArray) -> NDArray:
    """Sizes (d,) of features: absolute mean and standard deviation."""
    with np.errstate(all="ignore"):
        return np.abs(center) + np.sqrt(variances)


def resolution_of(float_type: np.dtype) -> float:
    """Parameters are published in the type of the rows."""
    return float(max(np.finfo(float_type).eps / 4, 16 * np.finfo(float).eps))


def type_of_sums(float_type: np.dtype, least: float, greatest: float) -> np.dtype:
    """In which sums over few rows may be taken, with positive weights between these."""
    lowest, highest = FLOAT32_WEIGHTS
    moderate = lowest <= least and greatest < highest
    return float_type if moderate else np.dtype(np.float64)
