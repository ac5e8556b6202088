"""Rows that users pass, wherever they are: what is summed and told of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike, NDArray

from .arrays import RowBlocks
from .base import RowSource
from .dask import of_dask
from .iterables import is_iterable_of_blocks, iterated
from .out_of_core import ChunkedRows
from .validation import check_rows, check_something_observed, check_total_weight


def check_blocks(
    estimator: Any, X: Any, sample_weight: ArrayLike | None, reset: bool
) -> RowSource:
    """Rows in memory, or visited where they are; to be fitted to, or else scored."""
    outside = out_of_core(estimator, X, sample_weight, reset)
    if outside is None:
        return check_rows(estimator, X, sample_weight, reset)
    if reset:
        if outside.summary.n_samples < 2:
            raise ValueError(
                "Found array with 1 sample(s) while a minimum of 2 is required: give X "
                "more rows."
            )
        check_total_weight(outside.summary.weight)
        check_something_observed(estimator, outside)
    return outside


def out_of_core(
    estimator: Any, X: Any, sample_weight: ArrayLike | None, reset: bool
) -> ChunkedRows | None:
    """Rows that are not all in memory; None if they are."""
    rows = of_dask(estimator, X, sample_weight, reset)
    return rows or iterated(estimator, X, sample_weight, reset)


def for_rows(estimator: Any, X: Any, function: Callable[[RowBlocks], NDArray]) -> Any:
    """An array of what is told of each row; for blocks, an iterator of such arrays."""
    outside = out_of_core(estimator, X, None, False)
    if outside is None:
        return function(check_rows(estimator, X, None, reset=False))
    return outside.predict_rows(function)


def check_in_memory(
    estimator: Any, X: Any, sample_weight: ArrayLike | None = None
) -> RowBlocks:
    """Rows to be fitted to that must be in memory."""
    refuse_blocks(X, f"{type(estimator).__name__}.fit")
    return check_rows(estimator, X, sample_weight, reset=True)


def refuse_blocks(X: Any, what: str) -> None:
    """Refuse blocks and collections where whole arrays are needed."""
    if is_iterable_of_blocks(X) or hasattr(X, "__dask_graph__"):
        raise ValueError(
            f"{what} takes rows in memory, got {X!r:.60}: give it an array, one block "
            "after the other or a sample."
        )
