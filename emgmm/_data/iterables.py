"""Rows of iterables of blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import validate_data

from .arrays import RowBlocks
from .base import RAISED
from .chunks import Chunk, chunk_length, joined
from .out_of_core import ChunkedRows, sum_over_chunks
from .validation import (
    check_chunk,
    check_map,
    check_n_features,
    check_same_weight,
    check_sample_weight,
    named,
)

# X with one of these attributes is a table, not an iterable of blocks.
ARRAY_LIKE = ("__array__", "__array_interface__", "__dataframe__", "shape")

END = object()  # of blocks

Blocks = Callable[[], Iterable[Any]]
"""Returns an iterable of blocks of rows, or of pairs (block, weights)."""


@dataclass(frozen=True, eq=False)
class IterableRows(ChunkedRows):
    """Rows in blocks of any lengths, of which every pass makes chunks of equal ones."""

    blocks: Blocks
    estimator: Any
    """Its feature names and number of features are those of every block."""
    reset: bool
    """Whether the first block sets them."""
    errors: Any = field(default_factory=np.geterr)
    """NumPy's treatment of floating-point errors where the user's code runs."""

    def visit(self, function: Callable[..., Any], *each: Sequence[Any]) -> Any:
        return sum_over_chunks(function, self._chunks(), *each)

    def predict_rows(
        self, function: Callable[[RowBlocks], NDArray]
    ) -> Iterator[NDArray]:
        """An iterator of what function(RowBlocks) returns for each block."""
        for chunk in self._checked():
            yield function(chunk.blocks)

    def _chunks(self) -> Iterator[Chunk]:
        """Chunks of equal lengths, except the last."""
        parts: list[Chunk] = []
        missing = 0
        for chunk in self._checked():
            length = chunk_length(chunk.X.shape[1])
            start = 0
            while start < len(chunk.X):
                missing = missing or length
                part = chunk.rows(slice(start, start + missing))
                start += len(part.X)
                missing -= len(part.X)
                if missing:
                    # The user may write the next block into the same array.
                    parts.append(part.copy())
                    continue
                yield joined([*parts, part])
                parts = []
        if parts:
            yield joined(parts)

    def _checked(self) -> Iterator[Chunk]:
        """The user's blocks, which must be those of the first pass."""
        n_rows, weight = 0, 0.0
        first = self.summary if self.sums_so_far else None
        for number, block in enumerate(_noted_blocks(self.blocks, self.errors)):
            with named(number, n_rows):
                chunk = self._check(number, *_pair(block))
            n_rows += len(chunk.X)
            weight += chunk.weight
            if first and n_rows > first.n_samples:
                break
            yield chunk
        if first and n_rows != first.n_samples:
            more = "more" if n_rows > first.n_samples else n_rows
            raise ValueError(
                f"X gave {first.n_samples} rows when it was first iterated over, and "
                f"{more} later: give an iterable (or a callable that returns an "
                "iterator) of the same rows each time, or call partial_fit on each "
                "block."
            )
        if first:
            check_same_weight("X", weight, first.weight)

    def _check(self, number: int, block: Any, sample_weight: Any) -> Chunk:
        """A block as floating-point numbers, with weights."""
        check_map(block)
        seen = self.sums_so_far
        finite = "allow-nan" if seen is None or seen.incomplete else True
        X = check_chunk(block, finite, seen.dtype if seen else None, self.estimator)
        if seen:
            check_n_features(X, len(seen.center))
        reset = self.reset and number == 0 and seen is None
        validate_data(self.estimator, block, reset=reset, skip_check_array=True)
        return Chunk(X, check_sample_weight(sample_weight, len(X), whole=False))


def _pair(block: Any) -> tuple[Any, Any]:
    """A block of rows, and its weights or None."""
    return block if _is_pair(block) else (block, None)


def _is_pair(block: Any) -> bool:
    """Whether a block is a pair of rows and weights."""
    return isinstance(block, tuple) and len(block) == 2 and np.ndim(block[0]) == 2


def _noted_blocks(blocks: Blocks, errors: Any) -> Iterator[Any]:
    """The blocks; exceptions from the user's code get a note that says where."""
    with np.errstate(**errors), _noted("a pass over it was to begin"):
        iterable = blocks()
        iterator = iter(iterable) if isinstance(iterable, Iterable) else None
    if iterator is None:
        raise ValueError(
            f"X() returned {iterable!r:.60}: give a callable that returns an iterator "
            "of blocks of rows."
        )
    for number in count():
        with np.errstate(**errors), _noted(f"its block {number} was asked for"):
            block = next(iterator, END)
        if block is END:
            return
        yield block


@contextmanager
def _noted(where: str) -> Iterator[None]:
    """A context whose exceptions get a note that says where they were raised."""
    try:
        yield
    except Exception as error:
        note = f"{RAISED} where {where}."
        if note not in getattr(error, "__notes__", ()):  # the same may come again
            error.add_note(note)
        raise


def rows_of_iterable(
    estimator: Any, X: Any, sample_weight: ArrayLike | None, reset: bool
) -> IterableRows:
    """The rows of an iterable of blocks, which a fit (``reset``) must be able to
    iterate over again."""
    if sample_weight is not None:
        raise ValueError(
            "sample_weight cannot be combined with an iterable of blocks: let it yield "
            "pairs (block, weights) instead."
        )
    if reset and is_used_up(X):
        raise ValueError(
            f"X is an iterator, {X!r:.60}, which can be used only once, and fit passes "
            "over the rows many times: give a callable that returns it anew, or call "
            "partial_fit on each block."
        )
    return IterableRows(X if callable(X) else partial(iter, X), estimator, reset)


def is_iterable_of_blocks(X: Any) -> bool:
    """Whether X yields blocks of rows, or is a callable that returns such an iterable;
    arrays, dataframes and lists of rows are not."""
    if callable(X) or isinstance(X, Iterator):
        return True
    if any(hasattr(X, name) for name in ARRAY_LIKE) or isinstance(X, str | bytes):
        return False
    if not isinstance(X, Iterable):
        return False
    if not isinstance(X, list | tuple):
        return not hasattr(X, "keys")
    return len(X) > 0 and (_is_pair(X[0]) or len(getattr(X[0], "shape", ())) == 2)


def is_used_up(X: Any) -> bool:
    """Whether X can be iterated over only once."""
    return not callable(X) and (isinstance(X, Iterator) or iter(X) is iter(X))
