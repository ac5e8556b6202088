"""Checks of the classes of rows, of which some may not be known."""

from __future__ import annotations

from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from emgmm._utils.device import to_host
from emgmm._utils.inputs import MISSING_NAMES

UNKNOWN = -1  # the class, or component, of a row of which none is known


def check_labels(y: Any, semi_supervised: bool) -> tuple[NDArray, NDArray]:
    """The classes (C,) in ascending order, and that of each row (n,) as an index.

    If rows may have no label, the index of those that are -1, NaN or None is -1.
    """
    if y is None:
        raise ValueError(
            "GaussianMixtureClassifier requires y to be passed, but the target y is "
            "None: pass the class of each row."
        )
    labels = column_or_1d(_as_array(y), warn=True)
    missing = _are_missing(labels)
    if semi_supervised:
        missing |= _are_minus_one(labels)
    elif missing.any():
        raise ValueError(
            f"Input y contains NaN or None, in row {np.argmax(missing)}: set "
            "semi_supervised=True for rows without a label to take part by their "
            "probabilities, or leave them out."
        )
    known = _of_own_type(labels[~missing])
    if not len(known):
        raise ValueError(
            "y has no label of a class: with semi_supervised=True, -1, NaN and None "
            "are rows without one. Label some rows of each class."
        )
    assert_all_finite(known, input_name="y")
    classes, indices = _distinct(known)
    check_classification_targets(known)
    found = np.full(len(labels), UNKNOWN)
    found[~missing] = indices
    return classes, found


def _distinct(labels: NDArray) -> tuple[NDArray, NDArray]:
    """The different labels in ascending order, and the index of each (n,)."""
    try:
        return np.unique(labels, return_inverse=True)
    except TypeError as error:
        kinds = ", ".join(sorted({type(label).__name__ for label in labels}))
        raise ValueError(
            f"y has labels of types that have no common order, {kinds}: make all of "
            "them strings, or numbers."
        ) from error


def _as_array(y: Any) -> NDArray:
    """Labels as an array: objects, where a list has strings and something else."""
    array = np.asarray(to_host(y))
    if isinstance(y, list | tuple) and array.dtype.kind in "US":
        return np.asarray(y, dtype=object) if not all(map(_is_text, y)) else array
    return array


def _is_text(value: Any) -> bool:
    """Whether a label is a string."""
    return isinstance(value, str | bytes)


def _are_missing(labels: NDArray) -> NDArray:
    """Which labels (n,) are NaN, None or another library's missing value."""
    if labels.dtype.kind == "f":
        return np.isnan(labels)
    if labels.dtype.kind != "O":
        return np.zeros(len(labels), dtype=bool)
    return np.array([_is_missing(value) for value in labels], dtype=bool)


def _is_missing(value: Any) -> bool:
    """Whether a label is None, NaN or pandas' missing value."""
    if value is None or type(value).__name__ in MISSING_NAMES:
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _are_minus_one(labels: NDArray) -> NDArray:
    """Which labels (n,) are the number -1."""
    if labels.dtype.kind in "if":
        return labels == UNKNOWN
    if labels.dtype.kind != "O":
        return np.zeros(len(labels), dtype=bool)
    return np.array([isinstance(v, Number) and v == UNKNOWN for v in labels], bool)


def _of_own_type(labels: NDArray) -> NDArray:
    """Labels that are objects as numbers, if they are."""
    if labels.dtype.kind == "O" and not any(map(_is_text, labels)):
        return np.array(labels.tolist())
    return labels
