"""Checks of rows that users pass, of their weights and of numbers of components."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from emgmm._utils.features import check_columns
from emgmm._utils.inputs import as_rows, columns_named, validated
from emgmm._utils.validation import as_numbers

from .arrays import ArrayBlocks, RowBlocks
from .base import RowSource
from .missing import IncompleteBlocks

# Numbers of components, and how many of them can be compared.
MOST_COMPONENTS, MOST_SIZES = 2**31 - 1, 10_000
# Relative difference of sums of the same weights, in another order.
SAME_WEIGHT = 1e-9
# Sums of weights outside this range make shares or weighted squares overflow.
MIN_TOTAL_WEIGHT, MAX_TOTAL_WEIGHT = 1e-290, 1e290


def check_rows(
    estimator: Any,
    X: ArrayLike,
    sample_weight: ArrayLike | None,
    reset: bool,
    whole: bool = True,
) -> RowBlocks:
    """Rows in memory: for a fit (``reset``) two or more, otherwise with the features of
    the fit.

    A batch of a stream (not ``whole``) may be one row, and lack values of a feature.
    """
    check_map(X)
    X = as_rows(X)
    validate = partial(
        validate_data,
        estimator,
        X,
        dtype=[np.float64, np.float32],
        reset=reset,
        ensure_min_samples=2 if reset and whole else 1,
    )
    try:
        rows: NDArray = validate()
    except (TypeError, ValueError):
        # Only now are missing values looked for: complete rows need not pay for them.
        with columns_named(X):
            rows = validate(ensure_all_finite="allow-nan")
        weights = check_sample_weight(sample_weight, len(rows), whole)
        blocks = IncompleteBlocks.of(rows, weights)
        if reset and whole:
            check_something_observed(estimator, blocks)
        return blocks
    return ArrayBlocks(rows, check_sample_weight(sample_weight, len(rows), whole))


def check_batch(
    estimator: Any, X: ArrayLike, sample_weight: ArrayLike | None
) -> RowBlocks | None:
    """A batch of the rows of a stream; None if no row has a positive weight."""
    first = not hasattr(estimator, "n_features_in_")
    rows = check_rows(estimator, X, sample_weight, reset=first, whole=False)
    if rows.summary.n_weighted:
        return rows
    for name in ("n_features_in_", "feature_names_in_") if first else ():
        vars(estimator).pop(name, None)
    return None


def check_map(X: Any) -> bool:
    """Whether X is a memory map. ValueError if its file has become too short: reading
    beyond the end of a file kills the process."""
    if not isinstance(X, np.ndarray):
        return False
    whole, base = X, X.base
    while isinstance(base, np.ndarray):
        whole, base = base, base.base
    if not isinstance(base, mmap.mmap) or not isinstance(whole, np.memmap):
        return False
    if base.size() < whole.offset + whole.nbytes:
        raise ValueError(
            f"X is a memory map of {whole.offset + whole.nbytes} bytes of a file that "
            f"has {base.size()} now: it has been truncated. Write the file again."
        )
    return True


def check_something_observed(estimator: Any, blocks: RowSource) -> None:
    """ValueError if a feature has no value in any row of positive weight."""
    empty = np.flatnonzero(blocks.summary.counts == 0)
    if empty.size:
        names = getattr(estimator, "feature_names_in_", None)
        named = [repr(str(names[j])) if names is not None else str(j) for j in empty]
        which = ", ".join(named[:10]) + (", ..." if len(named) > 10 else "")
        raise ValueError(
            f"X has no value of feature {which}: all are NaN in the rows of positive "
            "weight. Drop such features."
        )


def check_sample_weight(
    sample_weight: ArrayLike | None, n_samples: int, whole: bool = True
) -> NDArray | None:
    """Weights of the rows (n,) as float64; None where none are passed.

    Weights of a part of the rows (not ``whole``) may all be zero.
    """
    if sample_weight is None:
        return None
    weights = weights_of_rows(sample_weight, n_samples)
    if not whole and not weights.any():
        return weights
    if not (weights > 0).any():
        raise ValueError(
            "sample_weight is zero for every row: give at least one row a positive "
            "weight, or leave sample_weight out."
        )
    with np.errstate(over="ignore"):
        check_total_weight(float(weights.sum()))
    return weights


def weights_of_rows(sample_weight: ArrayLike, n_samples: int) -> NDArray:
    """Weights (n,) of the rows as float64, none negative."""
    weights = as_numbers(sample_weight, "sample_weight", copy=False)
    if weights.shape != (n_samples,):
        raise ValueError(
            f"sample_weight.shape == {weights.shape}, expected {(n_samples,)}: give "
            "one weight for each row of X."
        )
    if (weights < 0).any():
        index = int(np.argmin(weights))
        raise ValueError(
            f"Negative values in data passed to `sample_weight`: {weights[index]} at "
            f"row {index}. Give weights of 0 or more."
        )
    return weights


def check_chunk(
    X: Any, finite: bool | str, dtype: np.dtype | None = None, estimator: Any = None
) -> NDArray:
    """Rows of a chunk, which may be none, as floating-point numbers."""
    return validated(
        check_array,
        X,
        dtype=dtype or [np.float64, np.float32],
        ensure_min_samples=0,
        ensure_all_finite=finite,
        estimator=estimator,
    )


def check_n_features(X: NDArray, n_features: int) -> None:
    """ValueError if a chunk has another number of features than the first."""
    if X.shape[1] != n_features:
        raise ValueError(f"{X.shape[1]} features instead of {n_features}.")


def check_first_pass(estimator: Any, rows: RowSource) -> None:
    """ValueError unless rows outside memory, here first read, are enough for a fit."""
    if rows.summary.n_samples < 2:
        raise ValueError(
            "Found array with 1 sample(s) while a minimum of 2 is required: give X "
            "more rows."
        )
    check_total_weight(rows.summary.weight)
    check_something_observed(estimator, rows)


@contextmanager
def named(number: int, n_rows: int | None) -> Iterator[None]:
    """A context whose errors name the block, and its first row if that is known."""
    try:
        yield
    except (TypeError, ValueError) as error:
        begin = "" if n_rows is None else f", from row {n_rows} on"
        raise ValueError(f"Block {number} of X{begin}: {error}") from error


def check_same_weight(what: str, weight: float, before: float) -> None:
    """ValueError if weights in a later pass are not those of the first."""
    if not abs(weight - before) <= SAME_WEIGHT * before:
        raise ValueError(
            f"{what} has a total weight of {weight:.6g}, but had {before:.6g} in the "
            "first pass over the rows: give the same weights in every pass."
        )


def check_total_weight(total: float) -> None:
    """ValueError if shares of a sum of weights may overflow or underflow."""
    if not MIN_TOTAL_WEIGHT < total < MAX_TOTAL_WEIGHT:
        raise ValueError(
            f"sample_weight has a sum of {total:.3g}, which is too extreme to divide "
            "by: rescale the weights, which does not change the fit."
        )


def check_enough_rows(blocks: RowSource, n_components: int) -> None:
    """ValueError if fewer rows have a positive weight than there are components."""
    n_samples, n_weighted = blocks.summary.n_samples, blocks.summary.n_weighted
    if n_samples < n_components:
        raise ValueError(
            f"Expected n_samples >= n_components but got n_components = "
            f"{n_components}, n_samples = {n_samples}: lower n_components or fit more "
            "rows."
        )
    if n_weighted < n_components:
        raise ValueError(
            f"n_components = {n_components}, but sample_weight is positive for "
            f"{n_weighted} of the {n_samples} rows: lower n_components or weight more "
            "rows."
        )


def check_X(X: ArrayLike, names: Sequence[str] | None, n_features: int) -> NDArray:
    """Valid rows (n, d) as float64 or float32, NaN where a value is missing."""
    check_columns(X, names)
    kinds = [np.float64, np.float32]
    rows = validated(
        check_array, X, dtype=kinds, ensure_all_finite="allow-nan", input_name="X"
    )
    if rows.shape[1] != n_features:
        raise ValueError(
            f"X has {rows.shape[1]} features, but {n_features} are expected: pass one "
            "column for each feature."
        )
    return rows


def check_numbers(n_components: Any) -> list[int]:
    """Numbers of components to be compared, in ascending order."""
    check_how_many_numbers(n_components)
    given = np.unique(as_numbers(n_components, "n_components"))
    whole = given.size and given[0] >= 1 and (np.rint(given) == given).all()
    if not whole or given[-1] > MOST_COMPONENTS:
        raise ValueError(
            f"n_components={n_components!r}: give whole numbers of 1 or more that are "
            f"to be compared, up to {MOST_COMPONENTS}, such as [1, 2, 3]."
        )
    return given.astype(int).tolist()


def numbers_refused(numbers: list[int], rows: RowSource) -> dict[int, str]:
    """Error messages by number of components, where there are too few rows."""
    refused = {}
    for number in numbers:
        try:
            check_enough_rows(rows, number)
        except ValueError as error:
            refused[number] = str(error)
    return refused


def check_how_many_numbers(n_components: Any) -> None:
    """ValueError if there are too many numbers of components to compare."""
    try:
        number = len(n_components) if hasattr(n_components, "__len__") else 1
    except OverflowError:  # of a range
        number = MOST_COMPONENTS
    if number > MOST_SIZES:
        raise ValueError(
            f"n_components={n_components!r:.60} are {number} numbers or more: give at "
            f"most {MOST_SIZES} that are to be compared, none above the number of rows."
        )
