"""Resolution of features: the step to which their values are rounded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE_NUMBERS = 2**21  # in the rows that are looked at, but at least ...
SORTED_SIZE = 2**17  # numbers that are sorted at a time
SAMPLE_ROWS = 2**8, 2**14  # ... and at most so many rows
ROUNDING = 8.0  # times the precision of a number: values closer than that are equal
LEAST_STEP = 512.0  # times that: a smaller step may be chance
ALIKE = 1 / 64  # share of a step by which multiples of it may be off
SHARE_OF_EXTREMES = 1e-3  # of the typical size of values most of which are zero
ENOUGH_TIED = 2 / 3  # share of rows whose values recur, of a scale with few levels
MAX_REMAINDERS = 64  # of Euclid's algorithm


def rows_to_look_at(n_features: int) -> int:
    """Number of rows in which the steps of so many features are looked for."""
    return int(np.clip(SAMPLE_NUMBERS // n_features, *SAMPLE_ROWS))


def steps_of(X: NDArray) -> NDArray:
    """Rounding steps (d,) of features: 0 where there is none, NaN of a constant.

    Where most rows share their values with other rows, it is the median distance of
    neighbouring values that do, as of a scale with few levels; rows that are equal in
    all features count once, as they would with a weight. Otherwise it is the greatest
    number of which all distances are multiples, as of decimals, by Euclid's algorithm.
    """
    rows, close = _distinct(X), ROUNDING * float(np.finfo(X.dtype).eps)
    if len(rows) < 2:
        return np.full(X.shape[1], np.nan)
    width = max(SORTED_SIZE // len(rows), 1)
    begins = range(0, X.shape[1], width)
    parts = [_steps_of(rows[:, at : at + width], close) for at in begins]
    return np.concatenate(parts)


@np.errstate(over="ignore", invalid="ignore")  # distances of the largest numbers
def _steps_of(rows: NDArray, close: float) -> NDArray:
    """Steps (d,) of features of distinct rows; ``close`` is the relative distance of
    numbers that are equal but for rounding."""
    values = np.sort(rows.astype(np.float64), axis=0)  # NaN come last
    gaps = np.diff(values, axis=0)
    closest = close * np.abs(values[:-1]) + close * _typical(values)
    gaps = np.where(gaps > closest, gaps, 0.0)
    steps = np.zeros(rows.shape[1])
    steps[gaps.max(axis=0, initial=0.0) == 0] = np.nan
    tied = _tied(values, gaps)
    levels = _median_of_levels(gaps, tied)
    scale = (levels > 0) & (_share_tied(values, tied) >= ENOUGH_TIED)
    steps[scale] = levels[scale]
    others = np.flatnonzero(steps == 0)
    some_tied = np.count_nonzero(tied, axis=0) > 0
    steps[others] = _common_divisors(
        gaps[:, others], closest[:, others], some_tied[others]
    )
    return steps


def _distinct(X: NDArray) -> NDArray:
    """The distinct rows, sorted."""
    return X[np.unique(as_keys(X), return_index=True)[1]]


def as_keys(X: NDArray) -> NDArray:
    """A key (n,) for each row, which equal rows share."""
    rows = np.ascontiguousarray(X + X.dtype.type(0))  # there is one zero
    return rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()


def known_steps(steps: NDArray, least: NDArray, greatest: NDArray) -> NDArray:
    """Steps (d,) of all rows, from those seen in a sample and the extremes of all.

    A feature that is constant in the sample, but not in all rows, has few values.
    """
    with np.errstate(all="ignore"):
        spread = greatest.astype(np.float64) - least
        rounding = ROUNDING * float(np.finfo(least.dtype).eps)
        equal = ~(spread > rounding * np.fmax(np.abs(least), np.abs(greatest)))
    return np.where(np.isnan(steps) & ~equal, spread, steps)


def _typical(values: NDArray) -> NDArray:
    """Typical size (d,) of sorted values: the greater of their outer quartiles."""
    columns = np.arange(values.shape[1])
    last = np.maximum(np.count_nonzero(~np.isnan(values), axis=0) - 1, 0)
    quartiles = values[[last // 4, 3 * last // 4], columns]
    extremes = SHARE_OF_EXTREMES * values[[np.zeros_like(last), last], columns]
    return np.nan_to_num(np.abs([*quartiles, *extremes]).max(axis=0))


def _tied(values: NDArray, gaps: NDArray) -> NDArray:
    """Which sorted values (n, d) are equal to one beside them."""
    equal = (gaps == 0) & ~np.isnan(values[1:])
    tied = np.zeros(values.shape, dtype=bool)
    tied[:-1] |= equal
    tied[1:] |= equal
    return tied


def _share_tied(values: NDArray, tied: NDArray) -> NDArray:
    """Share (d,) of the values that are tied."""
    counts = np.count_nonzero(~np.isnan(values), axis=0)
    return np.count_nonzero(tied, axis=0) / np.maximum(counts, 1)


def _median_of_levels(gaps: NDArray, tied: NDArray) -> NDArray:
    """Median distance (d,) of neighbouring values that are both tied; 0 if none are."""
    between = np.where((gaps > 0) & tied[:-1] & tied[1:], gaps, np.inf)
    between.sort(axis=0)
    number = np.count_nonzero(np.isfinite(between), axis=0)
    middle = between[np.maximum(number - 1, 0) // 2, np.arange(gaps.shape[1])]
    return np.where(number > 0, middle, 0.0)


def _common_divisors(gaps: NDArray, closest: NDArray, tied: NDArray) -> NDArray:
    """Greatest common divisors (d,) of gaps, up to rounding; 0 where there is none.

    A single distance is a multiple of itself: that is evidence only if values recur.
    """
    n_gaps = np.count_nonzero(gaps > 0, axis=0)
    divisors = np.where(gaps > 0, gaps, np.inf).min(axis=0, initial=np.inf)
    divisors[(n_gaps < 2) & ~tied] = 0.0
    least = LEAST_STEP * np.median(closest, axis=0)
    active = np.flatnonzero((divisors > least) & np.isfinite(divisors))
    divisors[(divisors <= least) | ~np.isfinite(divisors)] = 0.0
    for _ in range(MAX_REMAINDERS):
        if not active.size:
            break
        chosen, divisor = gaps[:, active], divisors[active]
        remainders = np.abs(chosen - divisor * np.round(chosen / divisor))
        # Of a multiple, what is off in the divisor is off as many times.
        slack = closest[:, active] * np.maximum(chosen / divisor, 1.0)
        remainders[remainders <= np.minimum(slack, ALIKE * divisor)] = np.inf
        smallest = remainders.min(axis=0)
        going_on = np.isfinite(smallest)
        found = np.where(going_on, smallest, divisor)
        divisors[active] = np.where(found > least[active], found, 0.0)
        active = active[going_on & (found > least[active])]
    divisors[active] = 0.0
    return divisors
