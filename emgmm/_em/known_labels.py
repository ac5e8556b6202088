"""Checks of ``known_labels``: what users know of the components of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emgmm._data.arrays import RowBlocks
from emgmm._data.base import RowSource
from emgmm._data.labels import UNKNOWN
from emgmm._estep.memberships import Memberships, PriorTable
from emgmm._utils.validation import as_numbers


def memberships_of(
    known_labels: ArrayLike | None,
    rows: RowSource,
    n_components: int | None,
    whole: bool = True,
) -> Memberships | None:
    """What labels (n,), or allowed memberships or prior probabilities (n, K), say of
    the rows; None if that is nothing.

    Without ``n_components`` there may be more components than the labels name. Those of
    a part of the rows (not ``whole``) may leave components without any.
    """
    if known_labels is None:
        return None
    n_samples = rows.summary.n_samples
    numbers = as_numbers(_in_memory(known_labels), "known_labels")
    if numbers.shape == (n_samples,):
        kinds, table = _of_labels(numbers, n_components)
    elif numbers.ndim == 2 and len(numbers) == n_samples:
        kinds, table = _of_priors(numbers, n_components)
    else:
        raise ValueError(_wrong_shape(numbers.shape, n_samples, n_components))
    if not (table.log_prior[np.unique(kinds)] != 0).any():
        return None
    weighted = _weighted(rows, n_samples)
    if n_components is not None and whole:
        _check_none_empty(table.log_prior[np.unique(kinds[weighted])])
    if isinstance(rows, RowBlocks):
        kinds = rows.to_block_order(kinds)
    return Memberships(kinds, table)


def _in_memory(known_labels: Any) -> Any:
    """The labels, or those of a Dask collection computed."""
    is_lazy = hasattr(known_labels, "__dask_graph__")
    return known_labels.compute() if is_lazy else known_labels


def _weighted(rows: RowSource, n_samples: int) -> NDArray:
    """Which rows (n,) have a positive weight, in the user's order; all, of rows that
    are not in memory."""
    if isinstance(rows, RowBlocks):
        return rows.to_input_order(rows.weights) > 0
    return np.ones(n_samples, dtype=bool)


def _of_labels(
    numbers: NDArray, n_components: int | None
) -> tuple[NDArray, PriorTable]:
    """Kinds (n,) and their table, from labels (n,)."""
    size = int(max(numbers.max(), 0)) + 1 if n_components is None else n_components
    bad = (np.rint(numbers) != numbers) | (numbers < UNKNOWN) | (numbers >= size)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"known_labels contains {numbers[row]:g} in row {row}: labels are integers "
            f"from 0 to {size - 1}, the numbers of the components, or -1 where none is "
            "known."
        )
    # One label for each component, and -1 at the end, where it is found by its number.
    log_prior = np.full((size + 1, size), -np.inf)
    np.fill_diagonal(log_prior, 0.0)
    log_prior[-1] = 0.0
    of_others = np.where(np.arange(size + 1) < size, -np.inf, 0.0)
    kinds = numbers.astype(np.intp) % (size + 1)
    return kinds, PriorTable(log_prior, of_others)


def _of_priors(
    numbers: NDArray, n_components: int | None
) -> tuple[NDArray, PriorTable]:
    """The same, from allowed memberships or prior probabilities (n, K)."""
    if n_components is not None and numbers.shape[1] != n_components:
        raise ValueError(_wrong_shape(numbers.shape, len(numbers), n_components))
    bad = ~((numbers >= 0) & (numbers <= 1)).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"known_labels contains {numbers[row]} in row {row}: give 0 and 1, or "
            "False and True, for components that are not allowed and allowed, or "
            "prior probabilities from 0 to 1."
        )
    nowhere = ~(numbers > 0).any(axis=1)
    if nowhere.any():
        row = int(np.argmax(nowhere))
        raise ValueError(
            f"known_labels allows row {row} in no component: give each row at least "
            "one value above 0, or ones where nothing is known."
        )
    different, kinds = np.unique(numbers, axis=0, return_inverse=True)
    with np.errstate(divide="ignore"):
        log_prior = np.log(different)
    # What is known of nothing is not known of further components either.
    of_others = np.where((log_prior == 0).all(axis=1), 0.0, -np.inf)
    return kinds.reshape(-1), PriorTable(log_prior, of_others)


def _check_none_empty(log_prior: NDArray) -> None:
    """ValueError if a component is allowed for no kind of rows."""
    empty = np.isneginf(log_prior).all(axis=0)
    if empty.any():
        raise ValueError(
            f"known_labels leaves component {int(np.argmax(empty))} without any row: "
            "label some rows -1 (unknown) or with its number, or lower n_components to "
            f"{int(np.count_nonzero(~empty))}."
        )


def _wrong_shape(
    shape: tuple[int, ...], n_samples: int, n_components: int | None
) -> str:
    """The error message for labels of another shape."""
    size = "n_components" if n_components is None else n_components
    return (
        f"known_labels has the shape {shape}: pass labels of shape {(n_samples,)}, -1 "
        f"where none is known, or allowed memberships of shape ({n_samples}, {size})."
    )
