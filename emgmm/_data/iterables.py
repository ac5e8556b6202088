"""Rows from iterables of blocks, and from memory maps too large to keep much of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, count
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from emgmm._utils.inputs import validated

from .arrays import RowBlocks
from .base import RAISED
from .chunks import Chunk, joined
from .out_of_core import ChunkedRows
from .validation import check_map, check_same_weight, check_sample_weight, named

# Bytes of a memory map from which on only a chunk of it is looked at at a time.
MAPPED = 2**26
CHUNK_SIZE = 2**22  # numbers in a chunk

# What has one of these is rows, not blocks of them.
ARRAY_LIKE = ("__array__", "__array_interface__", "__dataframe__", "shape")

END = object()  # of blocks

Begin = Callable[[], Iterable[Any]]
"""Begins a pass over blocks of rows, or pairs of a block and its weights."""


@dataclass(frozen=True, eq=False)
class IterableRows(ChunkedRows):
    """Rows in blocks of any sizes, of which every pass makes chunks of equal ones."""

    begin: Begin
    estimator: Any
    """By whose names and number of features the first blocks are checked."""
    reset: bool
    """Whether they are those of the first block."""
    mapped: int | None = None
    """Number of the rows of a map, of which one look at the numbers is enough."""
    errors: Any = field(default_factory=np.geterr)
    """How NumPy treats them where the blocks are made: as when they were given."""

    def visit(self, function: Callable[..., Any], *each: Sequence[Any]) -> Any:
        total = None
        for number, chunk in enumerate(self._chunks()):
            value = function(chunk, *(values[number] for values in each))
            total = value if total is None else total + value
        return total

    def predict_rows(self, function: Callable[[RowBlocks], NDArray]) -> Any:
        """What is told of the rows of a map; or of every block, one after the other."""
        parts = self._told_of_blocks(function)
        if self.mapped is None:
            return parts
        first = next(parts)
        out = np.empty((self.mapped, *first.shape[1:]), first.dtype)
        start = 0
        for part in chain([first], parts):
            out[start : start + len(part)] = part
            start += len(part)
        return out

    def _told_of_blocks(
        self, function: Callable[[RowBlocks], NDArray]
    ) -> Iterator[NDArray]:
        for chunk in self._checked():
            yield function(chunk.blocks)

    def _chunks(self) -> Iterator[Chunk]:
        """Chunks of as many rows each, but for the last."""
        begun: list[Chunk] = []
        lacking = 0
        for chunk in self._checked():
            size = max(CHUNK_SIZE // chunk.X.shape[1], 1)
            start = 0
            while start < len(chunk.X):
                lacking = lacking or size
                part = chunk.rows(slice(start, start + lacking))
                start += len(part.X)
                lacking -= len(part.X)
                if lacking:
                    # What the user may write the next block into is not to be kept.
                    begun.append(part.copy())
                    continue
                yield joined([*begun, part])
                begun = []
        if begun:
            yield joined(begun)

    def _checked(self) -> Iterator[Chunk]:
        """The user's blocks."""
        n_rows, weight = 0, 0.0
        expected = self.summary.n_samples if self.sums_so_far else None
        for number, block in enumerate(_told_where(self.begin, self.errors)):
            with named(number, n_rows):
                chunk = self._check(number, *_pair(block))
            n_rows += len(chunk.X)
            weight += chunk.weight
            if expected is not None and n_rows > expected:
                break
            yield chunk
        if expected is not None and n_rows != expected:
            more = "more" if n_rows > expected else n_rows
            raise ValueError(
                f"X gave {expected} rows when it was first iterated over, and "
                f"{more} later: give an iterable (or a callable that returns an "
                "iterator) of the same rows each time, or call partial_fit on each "
                "block."
            )
        if expected is not None:
            check_same_weight("X", weight, self.summary.weight)

    def _check(self, number: int, block: Any, sample_weight: Any) -> Chunk:
        """A block as floating-point numbers, with weights."""
        check_map(block)
        known = self.sums_so_far
        finite: Any = "allow-nan" if known is None or known.incomplete else True
        X = validated(
            check_array,
            block,
            dtype=known.dtype if known else [np.float64, np.float32],
            ensure_min_samples=0,
            ensure_all_finite=False if known and self.mapped else finite,
            estimator=self.estimator,
        )
        if known and X.shape[1] != len(known.center):
            raise ValueError(f"{X.shape[1]} features instead of {len(known.center)}.")
        first = self.reset and number == 0 and not known
        validate_data(self.estimator, block, reset=first, skip_check_array=True)
        return Chunk(X, check_sample_weight(sample_weight, len(X), whole=False))


def _pair(block: Any) -> tuple[Any, Any]:
    """A block of rows and its weights."""
    return block if _is_pair(block) else (block, None)


def _is_pair(block: Any) -> bool:
    return isinstance(block, tuple) and len(block) == 2 and np.ndim(block[0]) == 2


def _told_where(begin: Begin, errors: Any) -> Iterator[Any]:
    """The blocks; what is raised in between goes on, with a note where."""
    with np.errstate(**errors), _noted("a pass over it was to begin"):
        blocks = begin()
        iterator = iter(blocks) if isinstance(blocks, Iterable) else None
    if iterator is None:
        raise ValueError(
            f"X() returned {blocks!r:.60}: give a callable that returns an iterator of "
            "blocks of rows."
        )
    for number in count():
        with np.errstate(**errors), _noted(f"its block {number} was asked for"):
            block = next(iterator, END)
        if block is END:
            return
        yield block


@contextmanager
def _noted(where: str) -> Iterator[None]:
    """Add to what the user's code raises where it did."""
    try:
        yield
    except Exception as error:
        note = f"{RAISED} where {where}."
        if note not in getattr(error, "__notes__", ()):  # the same may come again
            error.add_note(note)
        raise


def iterated(
    estimator: Any, X: Any, sample_weight: ArrayLike | None, reset: bool
) -> IterableRows | None:
    """The rows of an iterable of blocks, or of a large memory map; None if X is none.

    To be fitted to (``reset``), it must be possible to iterate over it again.
    """
    if check_map(X) and X.ndim == 2 and X.nbytes > MAPPED:
        weights = None
        if sample_weight is not None:
            weights = check_sample_weight(sample_weight, len(X))
        return IterableRows(partial(_slices, X, weights), estimator, reset, len(X))
    if not is_iterable_of_blocks(X):
        return None
    if sample_weight is not None:
        raise ValueError(
            "sample_weight is given beside an iterable of blocks: let it yield pairs "
            "(block, weights) instead."
        )
    if reset and _is_used_up(X):
        raise ValueError(
            f"X is an iterator, {X!r:.60}, which can be used only once, and fit passes "
            "over the rows many times: give a callable that returns it anew, or call "
            "partial_fit on each block."
        )
    return IterableRows(X if callable(X) else partial(iter, X), estimator, reset)


def is_iterable_of_blocks(X: Any) -> bool:
    """Whether it yields blocks of rows, or returns what does; arrays do not."""
    if callable(X) or isinstance(X, Iterator):
        return True
    if any(hasattr(X, name) for name in ARRAY_LIKE) or isinstance(X, str | bytes):
        return False
    if not isinstance(X, Iterable):
        return False
    if not isinstance(X, list | tuple):
        return not hasattr(X, "keys")
    return len(X) > 0 and (_is_pair(X[0]) or len(getattr(X[0], "shape", ())) == 2)


def _is_used_up(X: Any) -> bool:
    """Whether it would be after a pass."""
    return not callable(X) and (isinstance(X, Iterator) or iter(X) is iter(X))


def _slices(X: NDArray, sample_weight: NDArray | None) -> Iterator[Any]:
    """Chunks of a memory map."""
    size = max(CHUNK_SIZE // X.shape[1], 1)
    for start in range(0, len(X), size):
        rows = slice(start, start + size)
        yield X[rows] if sample_weight is None else (X[rows], sample_weight[rows])
