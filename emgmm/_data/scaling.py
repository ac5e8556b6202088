"""Scales of features, units that keep numbers moderate, and floating-point types."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MODERATE = 1e-60, 1e60  # scales of numbers that any formula may take
MOST_EXPONENT = 1022  # of two, so that units and their inverses are numbers
BESIDE_WEIGHTS = 1e-2, 1e2  # where sums of weights are not moderate
# Weights in this range and their sums are far from the ends of float32.
FLOAT32_WEIGHTS = 2.0**-40, 2.0**40
FLOAT32_SCALES = 2.0**-30, 2.0**30


def are_moderate(scales: NDArray, weight: float = 1.0) -> bool:
    """Whether fourth powers of such numbers neither overflow nor underflow, nor sums of
    squares of that total weight."""
    moderate = MODERATE[0] < weight < MODERATE[1]
    least, most = MODERATE if moderate else BESIDE_WEIGHTS
    return bool(np.all((scales == 0) | (least < scales) & (scales < most)))


def are_moderate_in_float32(scales: NDArray) -> bool:
    """Whether squares of such numbers, and their inverses, are far from the ends of
    float32."""
    least, most = FLOAT32_SCALES
    return bool(np.all((least < scales) & (scales < most)))


def units_of(scales: NDArray, by_feature: bool, weight: float = 1.0) -> NDArray:
    """Powers of two (d,) nearest to the scales (d,), or all to the largest of them;
    ones where the scales are moderate."""
    if are_moderate(scales, weight):
        return np.ones(len(scales))
    largest = scales if by_feature else np.full_like(scales, np.fmax.reduce(scales))
    exponents = np.round(np.log2(np.where(largest > 0, largest, 1.0)))
    return 2.0 ** np.clip(exponents, -MOST_EXPONENT, MOST_EXPONENT)


def variances_of(squares: NDArray, counts: NDArray) -> NDArray:
    """Variances (d,) from sums of squares (d,) and weights (d,); 1 without weight."""
    seen = counts > 0
    with np.errstate(all="ignore"):  # what overflows, ``in_units`` mends
        variances = squares / np.where(seen, counts, 1.0)
    return np.where(seen, variances, 1.0)


def scales_of(center: NDArray, variances: NDArray) -> NDArray:
    """Scales (d,) of features: absolute mean plus standard deviation."""
    with np.errstate(all="ignore"):
        return np.abs(center) + np.sqrt(variances)


def resolution_of(float_type: np.dtype) -> float:
    """Relative error of parameters that are published in the type of the rows."""
    return float(max(np.finfo(float_type).eps / 4, 16 * np.finfo(float).eps))


def type_of_sums(float_type: np.dtype, least: float, greatest: float) -> np.dtype:
    """The type for sums over few rows, of positive weights in this range: that of the
    rows, or float64 where the weights are extreme."""
    lowest, highest = FLOAT32_WEIGHTS
    moderate = lowest <= least and greatest < highest
    return float_type if moderate else np.dtype(np.float64)
