"""The sources of rows: what users may pass as X, and how its rows are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike, NDArray

from emgmm._utils.device import like

from .arrays import RowBlocks
from .base import RowSource
from .dask import is_dask, rows_of_dask
from .device import is_on_device, rows_of_device
from .iterables import is_iterable_of_blocks, rows_of_iterable
from .maps import is_large_map, rows_of_map
from .out_of_core import ChunkedRows
from .validation import check_first_pass, check_rows


@dataclass(frozen=True)
class Source:
    """A kind of X, and how its rows are read."""

    kind: str
    """What to call such an X in messages."""
    accepts: Callable[[Any], bool]
    read: Callable[[Any, Any, Any, bool], RowBlocks | ChunkedRows]
    """The rows of (estimator, X, sample_weight, reset), to be fitted to (reset) or to
    be scored."""
    is_array: bool
    """Whether X can also be read as one array."""


SOURCES = (
    Source("a Dask collection", is_dask, rows_of_dask, False),
    Source("a large memory map", is_large_map, rows_of_map, True),
    Source("an iterable of blocks", is_iterable_of_blocks, rows_of_iterable, False),
    Source("an array on a device", is_on_device, rows_of_device, True),
    Source("an array", lambda X: True, check_rows, True),
)
"""The first that accepts X reads it."""


def source_of(X: Any) -> Source:
    """The source of rows for X."""
    return next(source for source in SOURCES if source.accepts(X))


def check_blocks(
    estimator: Any, X: Any, sample_weight: ArrayLike | None, reset: bool
) -> RowSource:
    """The rows of X, in memory or wherever they are; to be fitted to, or scored."""
    rows = source_of(X).read(estimator, X, sample_weight, reset)
    if reset and not isinstance(rows, RowBlocks):
        check_first_pass(estimator, rows)
    return rows


def for_rows(estimator: Any, X: Any, function: Callable[[RowBlocks], NDArray]) -> Any:
    """What function(RowBlocks) returns for the rows of X, as their source returns it:
    an array, an iterator of arrays for blocks, or a Dask array. Where X is on a device
    the array is there too, whether the function reads rows there or on the host."""
    rows = source_of(X).read(estimator, X, None, False)
    if not isinstance(rows, RowBlocks):
        return rows.predict_rows(function)
    on_device = getattr(function, "on_device", False)
    return like(X, function(rows if on_device else rows.on_host))


def refuse_blocks(X: Any, what: str, part: str = "one block at a time") -> None:
    """ValueError if X cannot be read as one array, which the caller needs."""
    source = source_of(X)
    if not source.is_array:
        raise ValueError(
            f"{what} needs rows in memory, but X is {source.kind}, {X!r:.60}: pass an "
            f"array, such as {part}."
        )
