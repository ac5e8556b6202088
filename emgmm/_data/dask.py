"""Rows of Dask arrays and dataframes, summed over where their chunks are."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from itertools import repeat
from math import isnan
from operator import add
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from emgmm._utils.cached import cached_property
from emgmm._utils.inputs import as_rows

from .arrays import RowBlocks
from .chunks import Chunk
from .out_of_core import ChunkedRows
from .validation import (
    check_chunk,
    check_n_features,
    check_same_weight,
    check_sample_weight,
    named,
)

FAN_IN = 8  # sums that are added at a time
# Chunks up to which every task carries the function of a pass. More share it, and Dask
# then sends tasks to the workers that have it: with few, some workers would be idle.
FEW = 64


class Place(NamedTuple):
    """The position of a chunk among the others, and what it should contain."""

    number: int
    start: int | None
    """Its first row; None where the chunks before are of unknown lengths."""
    n_features: int
    n_rows: int | None = None
    """Its number of rows in the first pass; None before it."""
    weight: float | None = None
    """Its sum of weights in the first pass."""


@dataclass(frozen=True, eq=False)
class DaskRows(ChunkedRows):
    """Rows of a Dask array, summed over by whatever scheduler there is.

    A task sums over a chunk where it is, and sums are added in the order of the chunks.
    """

    X: Any
    """Dask array of one column of chunks: arrays, or pandas dataframes."""
    sample_weight: Any = None
    """Dask array of the same chunks of rows."""

    def visit(self, function: Callable[..., Any], *each: Sequence[Any]) -> Any:
        from dask import delayed

        add = delayed(_added, pure=False)
        few = len(self._chunks) <= FEW
        shared = function if few else delayed(function, traverse=False, pure=False)
        sums = [
            delayed(partial(_of_chunk, place, own), pure=False)(shared, *chunk)
            for place, chunk, *own in zip(
                self._places, self._chunks, *each, strict=True
            )
        ]
        while len(sums) > 1:
            begins = range(0, len(sums), FAN_IN)
            sums = [add(*sums[begin : begin + FAN_IN]) for begin in begins]
        return sums[0].compute()

    def predict_rows(self, function: Callable[[RowBlocks], NDArray]) -> Any:
        """A lazy Dask array of what function(RowBlocks) returns for each chunk."""
        import dask

        predict = partial(_predicted, self._places, function)
        like = predict(np.empty((0, self.X.shape[1]), self.X.dtype), 0)
        return self.X.map_blocks(
            _predicted_by_id,
            predict=dask.delayed(predict, traverse=False),
            chunks=(self.X.chunks[0], *((size,) for size in like.shape[1:])),
            drop_axis=[] if like.ndim > 1 else 1,
            meta=like,
            name=f"emgmm-predict-{uuid4().hex}",
        )

    @cached_property
    def _chunks(self) -> list[tuple[Any, ...]]:
        """Delayed chunks of the rows, and of the weights if there are any."""
        arrays = (
            [self.X] if self.sample_weight is None else [self.X, self.sample_weight]
        )
        return list(zip(*(array.to_delayed().flat for array in arrays), strict=True))

    @property
    def _places(self) -> list[Place]:
        """The place of each chunk among the rows."""
        starts, known = self._starts, self.sums_so_far
        n_features = repeat(self.X.shape[1])
        seen = (repeat(None),) * 2 if known is None else (known.n_rows, known.totals)
        return list(map(Place, range(len(starts)), starts, n_features, *seen))

    @property
    def _starts(self) -> list[int | None]:
        """First rows of the chunks, until one is of unknown size."""
        starts = np.cumsum([0, *self.X.chunks[0][:-1]]).tolist()
        return [None if isnan(start) else int(start) for start in starts]


def _of_chunk(
    place: Place,
    own: Sequence[Any],
    function: Callable[..., Any],
    X: Any,
    sample_weight: Any = None,
) -> Any:
    """function(chunk, *own values) of a checked chunk."""
    with np.errstate(all="ignore"):
        return function(_checked(place, X, sample_weight), *own)


def _checked(place: Place, X: Any, sample_weight: Any = None) -> Chunk:
    """A chunk as floating-point numbers, with weights; in later passes only its
    number of rows, features and sum of weights are checked."""
    seen = place.n_rows is not None
    with named(place.number, place.start):
        X = check_chunk(X, False if seen else "allow-nan")
        check_n_features(X, place.n_features)
        if seen and len(X) != place.n_rows:
            raise ValueError(
                f"{len(X)} rows, but {place.n_rows} when it was first computed: "
                "persist X, or make it from data that do not change."
            )
        chunk = Chunk(X, check_sample_weight(sample_weight, len(X), whole=False))
        if place.weight is not None and sample_weight is not None:
            check_same_weight("sample_weight", chunk.weight, place.weight)
        return chunk


def _added(*sums: Any) -> Any:
    """The total of the sums of chunks; None if there are none."""
    some = [value for value in sums if value is not None]
    return reduce(add, some) if some else None


def _predicted(
    places: list[Place],
    function: Callable[[RowBlocks], NDArray],
    X: Any,
    number: int,
) -> NDArray:
    """What function(RowBlocks) returns for a checked chunk."""
    return function(_checked(places[number], X).blocks)


def _predicted_by_id(X: Any, predict: Callable[..., NDArray], block_id: Any) -> NDArray:
    """The prediction for a chunk, by its position in the array."""
    return predict(X, block_id[0])


def is_dask(X: Any) -> bool:
    """Whether X is a Dask collection."""
    if not hasattr(X, "__dask_graph__"):  # so that Dask need not be imported
        return False
    from dask import is_dask_collection

    return is_dask_collection(X)


def rows_of_dask(estimator: Any, X: Any, sample_weight: Any, reset: bool) -> DaskRows:
    """The rows of a Dask array or dataframe."""
    like = _without_rows(X)
    if like is None:
        raise ValueError(
            f"X is a Dask collection but not a table, {X!r:.60}: pass a Dask array "
            "of shape (n_samples, n_features), or a Dask dataframe."
        )
    as_rows(like)
    validate_data(estimator, like, reset=reset, skip_check_array=True)
    columns = list(getattr(like, "columns", []))
    like = check_chunk(like, True)
    if not _is_array(X):  # its chunks stay dataframes until they are looked at
        X = X.map_partitions(_of_columns, columns, meta=like, enforce_metadata=False)
    X = _in_rows(X)
    return DaskRows(X, _weights(sample_weight, X))


def _is_array(X: Any) -> bool:
    """Whether X is a Dask array."""
    from dask.array import Array

    return isinstance(X, Array)


def _without_rows(X: Any) -> Any:
    """An empty table of the same columns; None if X is not a table."""
    if _is_array(X):
        known = X.ndim == 2 and not isnan(X.shape[1])
        return np.empty((0, X.shape[1]), X.dtype) if known else None
    like: Any = getattr(X, "_meta", None)
    return like if np.ndim(like) == 2 else None


def _of_columns(chunk: Any, columns: list[Any]) -> Any:
    """The partition, if its columns are those of the others: Dask does not check."""
    if list(chunk.columns) != columns:
        raise ValueError(
            f"A partition of X has the columns {list(chunk.columns)} instead of "
            f"{columns}: give all partitions the same columns, in the same order."
        )
    return chunk


def _in_rows(X: Any) -> Any:
    """The array, rechunked into whole rows if it is not yet."""
    if X.numblocks[1] == 1:
        return X
    warnings.warn(
        f"X has {X.numblocks[1]} chunks along its columns, which every pass over the "
        "rows has to join. Pass X.rechunk({1: -1}).persist(), or store X in chunks of "
        "whole rows.",
        UserWarning,
        stacklevel=2,
    )
    return X.rechunk({1: -1})


def _weights(sample_weight: Any, X: Any) -> Any:
    """Weights as a Dask array with the chunks of the rows, or None."""
    if sample_weight is None:
        return None
    from dask import is_dask_collection
    from dask.array import from_array

    if not is_dask_collection(sample_weight):
        if any(map(isnan, X.chunks[0])):
            X = X.copy().compute_chunk_sizes()
        weights = check_sample_weight(sample_weight, len(X))
        # On a cluster they are sent once, not in every pass.
        return from_array(weights, chunks=X.chunks[:1]).persist()
    convert = getattr(type(sample_weight), "to_dask_array", lambda weights: weights)
    weights = convert(sample_weight)
    if not _is_array(weights) or weights.ndim == 0:
        raise ValueError(
            f"sample_weight is a Dask collection without rows, {sample_weight!r:.60}: "
            "give a Dask array, a column of a Dask dataframe, or an array in memory."
        )
    known = not any(map(isnan, X.chunks[0] + weights.chunks[0]))
    if weights.ndim != 1 or (known and weights.shape != X.shape[:1]):
        raise ValueError(
            f"sample_weight.shape == {weights.shape}, expected {X.shape[:1]}: give one "
            "weight for each row of X."
        )
    if known:
        return weights.rechunk(X.chunks[:1])
    if weights.numblocks != X.numblocks[:1]:
        raise ValueError(
            f"sample_weight is in {weights.numblocks[0]} chunks and X in "
            f"{X.numblocks[0]}, of unknown sizes: take both from one dataframe, or "
            "give arrays that know them, by to_dask_array(lengths=True) or "
            "compute_chunk_sizes()."
        )
    return weights
