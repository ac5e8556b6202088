"""The elbow of a curve: two straight lines that fit it best."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.ties import TIE


class TwoLines(NamedTuple):
    """Two straight lines through a curve, and where one ends and the other begins."""

    n_clusters: int
    """Number of clusters at the elbow."""
    x: NDArray
    y: NDArray
    before: NDArray
    """Heights of the first line at x; NaN beyond the elbow."""
    after: NDArray
    """Heights of the second line at x; NaN before the elbow."""


def best_two_lines(x: NDArray, y: NDArray) -> TwoLines:
    """The lines with the least sum of squares, each fitted by least squares, for values
    at 1, 2, ... clusters; both have the value at the elbow.

    Of elbows that are equally good, but for rounding, the first. Of two values, the
    elbow is the second.
    """
    found = [_fitted(x, y, elbow) for elbow in range(1, max(len(x) - 1, 2))]
    errors = np.array([_squares(y, before, after) for before, after in found])
    spread = ((y - y.mean()) ** 2).sum()
    first = int(np.argmax(errors <= errors.min() + TIE * spread))
    return TwoLines(first + 2, x, y, *found[first])


def _fitted(x: NDArray, y: NDArray, elbow: int) -> tuple[NDArray, NDArray]:
    """Heights of the lines up to a place, and from it on; NaN elsewhere."""
    before, after = np.full((2, len(x)), np.nan)
    before[: elbow + 1] = _line(x[: elbow + 1], y[: elbow + 1])
    after[elbow:] = _line(x[elbow:], y[elbow:])
    return before, after


def _line(x: NDArray, y: NDArray) -> NDArray:
    """Heights of the line fitted by least squares; level if all x are equal."""
    apart = x - x.mean()
    squares = apart @ apart
    slope = apart @ (y - y.mean()) / squares if squares > 0 else 0.0
    heights: NDArray = y.mean() + slope * apart
    return heights


def _squares(y: NDArray, *lines: NDArray) -> float:
    """Sum of squared distances from the lines."""
    return float(sum(np.nansum((line - y) ** 2) for line in lines))
