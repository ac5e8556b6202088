"""Tables of rows in files: CSV and NPY, read and checked."""

from __future__ import annotations

import csv
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from shutil import copyfileobj
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from .csv import (
    CsvFormat,
    TableError,
    checked_value,
    checked_weight,
    detect_format,
    is_numeric,
    sample_lines,
    values_of,
)
from .messages import LONGEST_NAME, errors_named, listed

BLOCK = 10_000  # rows of an array that are written as text at a time
STDIN = "-"
RANGE = re.compile(r"(\d+)-(\d+)")
"""Columns by their numbers, both ends included."""


@dataclass(frozen=True, eq=False)
class TextTable:
    """All columns of a file as text, to be written next to results."""

    names: list[str]
    records: Callable[[], Iterator[list[str]]]
    delimiter: str | None = ","
    decimal: str = "."
    encoding: str | None = None


@dataclass(frozen=True, eq=False)
class Table:
    """Rows (n, d) of numbers, NaN where missing, and what is known of their columns."""

    X: NDArray
    weights: NDArray | None
    """From a column of weights, if there is one."""
    names: list[str]
    named: bool
    """Whether the names come from the file; otherwise they are numbers from 0."""
    left_out: list[str]
    """Columns that do not contain numbers."""
    source: TextTable
    used: list[int]
    """Indices of the columns of X among those of the source."""


@contextmanager
def rereadable(path: str) -> Iterator[str]:
    """The path of a file that can be read twice: a copy of what comes from a pipe."""
    ordinary = os.path.isfile(path) or os.path.isdir(path) or not os.path.exists(path)
    if path != STDIN and ordinary:
        yield path
        return
    with TemporaryDirectory() as folder:
        file = os.path.join(folder, "rows")
        with errors_named("the copy of what comes from a pipe"):
            _copy(path, file)
        yield file


def _copy(path: str, file: str) -> None:
    """Copy standard input, or the file at a path, into another file."""
    with open(file, "wb") as copy:
        if path != STDIN:
            with open(path, "rb") as source:
                copyfileobj(source, copy)
        elif sys.stdin is None:
            raise TableError(
                "standard input is closed: name a file, or pipe rows into it."
            )
        else:
            copyfileobj(sys.stdin.buffer, copy)


def read_table(
    path: str,
    columns: list[str] | None = None,
    weights: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    file: str | None = None,
) -> Table:
    """The rows of a file, from the chosen columns or from all that contain numbers.

    ``file`` is where they are, if not at ``path``, its name for messages.
    """
    file = file or path
    try:
        with open(file, "rb") as opened:
            magic = opened.read(6)
        if magic == b"\x93NUMPY":
            return _read_npy(path, file, columns, weights)
        return _read_text(
            detect_format(path, file, decimal, encoding), columns, weights
        )
    except UnicodeError as error:
        raise TableError(
            f"{path!r} is neither a CSV file in {encoding or 'UTF-8'} nor an NPY file: "
            "name its encoding with --encoding (that of Excel is often cp1252), or "
            "convert the file."
        ) from error
    except csv.Error as error:
        raise TableError(f"{path!r} is not a valid CSV file: {error}.") from error


def _read_npy(
    path: str, file: str, columns: list[str] | None, weights: str | None
) -> Table:
    """Columns of an array, which stays on disk if all of them are used."""
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise TableError(f"{path!r} cannot be read as an NPY file: {error}.") from error
    if array.dtype.kind not in "biuf" or array.ndim not in (1, 2) or not array.size:
        raise TableError(
            f"{path!r} contains {array.dtype} of shape {array.shape}: save a table of "
            "numbers, with one row for each observation."
        )
    array = array.reshape(len(array), -1)
    names = [str(i) for i in range(array.shape[1])]
    indices = list(range(len(names)))
    chosen, weighted = _choose(path, names, indices, columns, weights)
    used = [*chosen, *weighted]
    values = array if used == indices else array[:, used]
    if values.dtype not in (np.float64, np.float32):
        values = values.astype(np.float64)
    for bad, check in (
        (np.isinf(values), checked_value),
        (np.isnan(values[:, len(chosen) :]), checked_weight),
    ):
        if bad.any():
            row, i = np.argwhere(bad)[0] + [0, values.shape[1] - bad.shape[1]]
            check(str(values[row, i]), f"{path!r}, row {row}", names[used[i]])
    X, rows_weights = _divided(values, len(chosen))
    source = TextTable(names, partial(_texts, array))
    features = [names[i] for i in chosen]
    return Table(X, rows_weights, features, False, [], source, chosen)


def table_of(X: NDArray) -> Table:
    """Rows that do not come from a file."""
    names = [str(i) for i in range(X.shape[1])]
    source = TextTable(names, partial(_texts, X))
    return Table(X, None, names, False, [], source, list(range(len(names))))


def _texts(array: NDArray) -> Iterator[list[str]]:
    """The rows of an array as text, empty where a value is missing."""
    numbers = array.view(np.uint8) if array.dtype == bool else array
    for start in range(0, len(array), BLOCK):
        for row in numbers[start : start + BLOCK].tolist():
            yield ["" if value != value else repr(value) for value in row]


def _divided(values: NDArray, n_features: int) -> tuple[NDArray, NDArray | None]:
    """The columns of features, and the one of weights if there is one more."""
    if values.shape[1] == n_features:
        return values, None
    return np.ascontiguousarray(values[:, :-1]), values[:, -1].copy()


def _read_text(
    form: CsvFormat, columns: list[str] | None, weights: str | None
) -> Table:
    """Columns of a CSV file."""
    sample = [form.fields(*line) for line in sample_lines(form.body())]
    usable = [i for i, f in enumerate(zip(*sample, strict=True)) if is_numeric(f)]
    chosen, weighted = _choose(form.path, form.names, usable, columns, weights)
    X, rows_weights = _divided(values_of(form, chosen, weighted), len(chosen))
    features = [form.names[i] or f"column {i}" for i in chosen]
    others = set(range(len(form.names))) - {*chosen, *weighted}
    left_out = [
        form.names[i] or f"column {i} (it has no name)"
        for i in sorted(others)
        if columns is None
    ]
    source = TextTable(
        form.names, form.records, form.delimiter, form.decimal, form.encoding
    )
    named = bool(form.header)
    return Table(X, rows_weights, features, named, left_out, source, chosen)


def _choose(
    path: str,
    names: list[str],
    usable: list[int],
    columns: list[str] | None,
    weights: str | None,
) -> tuple[list[int], list[int]]:
    """Indices of the columns of features, and of one of weights if there is one."""
    find = partial(_found, path, names, {name: i for i, name in enumerate(names)})
    weighted = [] if weights is None else find(weights)
    if len(weighted) > 1:
        raise TableError(f"--weights {weights!r} names more than one column: name one.")
    asked = [i for each in columns or [] for i in find(each)]
    numbers = set(usable)
    for i, times in Counter(asked + weighted).items():
        name = f"column {(names[i] or str(i))!r:.{LONGEST_NAME}}"
        if i not in numbers:
            raise TableError(
                f"{path!r}, {name} does not contain numbers: choose another column."
            )
        if times > 1:
            raise TableError(f"{name} is named twice: name it once.")
    wanted = [i for i in usable if names[i]] if columns is None else asked
    chosen = [i for i in wanted if i not in weighted]
    if not chosen:
        raise TableError(f"{path!r} has no column of numbers to fit: add one.")
    return chosen, weighted


def _found(path: str, names: list[str], known: dict[str, int], text: str) -> list[int]:
    """Indices of columns from a name, a number, or a range of numbers."""
    if text and text in known:
        return [known[text]]
    ends = RANGE.fullmatch(f"{text}-{text}") or RANGE.fullmatch(text)
    first, last = map(int, ends.groups()) if ends else (0, -1)
    if not first <= last < len(names):
        close = get_close_matches(text, names, 1, cutoff=0.7)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise TableError(
            f"{path!r} has no column {text!r:.{LONGEST_NAME}}{hint}: choose from "
            f"{listed(filter(None, names))}, or the numbers 0 to {len(names) - 1}."
        )
    return list(range(first, last + 1))
