"""Checks of the labels and responsibilities that users pass as ``init_params``."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emgmm._model.validation import WEIGHT_SUM_TOL
from emgmm._utils.validation import as_numbers


def check_start(start: ArrayLike, sample_weight: NDArray, n_components: int) -> NDArray:
    """Starting labels (n,) or responsibilities (n, K) passed as ``init_params``."""
    numbers, n_samples = as_numbers(start, "init_params"), len(sample_weight)
    if numbers.shape == (n_samples,):
        labels = _check_labels(numbers, n_components)
        _check_none_empty(np.bincount(labels + 1, sample_weight, n_components + 1)[1:])
        return labels
    if numbers.shape == (n_samples, n_components):
        responsibilities = _check_responsibilities(numbers)
        _check_none_empty(sample_weight @ responsibilities)
        return responsibilities
    raise ValueError(
        f"init_params has the shape {numbers.shape}: pass labels of shape "
        f"{(n_samples,)} or responsibilities of shape {(n_samples, n_components)}."
    )


def _check_labels(numbers: NDArray, n_components: int) -> NDArray:
    """Labels (n,) as integers."""
    bad = (np.rint(numbers) != numbers) | (numbers < -1) | (numbers >= n_components)
    if bad.any():
        raise ValueError(
            f"init_params contains the label {numbers[np.argmax(bad)]:g}: labels are "
            f"integers from 0 to {n_components - 1}, or -1 for unassigned rows."
        )
    return numbers.astype(np.intp)


def _check_responsibilities(numbers: NDArray) -> NDArray:
    """Responsibilities (n, K): no negative ones, rows with a sum of one or zero."""
    totals = numbers.sum(axis=1)
    bad = (numbers < 0).any(axis=1)
    bad |= (np.abs(totals - 1) > WEIGHT_SUM_TOL) & (totals != 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"init_params contains the responsibilities {numbers[row]} in row {row}: "
            "they must be non-negative and sum to one, or be zero for unassigned rows."
        )
    return numbers


def _check_none_empty(counts: NDArray) -> None:
    """Every component must start from some row."""
    if (counts <= 0).any():
        raise ValueError(
            f"init_params assigns no row to component {int(np.argmin(counts))}: each "
            "of the n_components needs at least one row of positive weight."
        )
