"""Tables of rows in files: CSV and NPY read and checked, labels written."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from shutil import copyfileobj
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from ._csv import (
    SAMPLE,
    Form,
    TableError,
    checked_value,
    checked_weight,
    form_of,
    holds_numbers,
    values_of,
)
from ._files import replacing

BLOCK = 10_000  # rows written at a time


@dataclass(frozen=True, eq=False)
class Table:
    """Rows (n, d), the names of their columns, and weights (n,) if a column has them.

    Values that are missing are NaN.
    ``named`` says whether the file has the names, or they are numbers from 0;
    ``left_out`` names the columns that are not numbers.
    """

    X: NDArray
    names: list[str]
    weights: NDArray | None
    named: bool
    left_out: list[str]


def read_table(
    path: str, columns: list[str] | None = None, weights: str | None = None
) -> Table:
    """The rows of a file, of all columns of numbers or of those that are named."""
    try:
        with _lasting(path) as file:
            with open(file, "rb") as opened:
                magic = opened.read(6)
            if magic == b"\x93NUMPY":
                return _read_npy(path, file, columns, weights)
            return _read_text(form_of(path, file), columns, weights)
    except UnicodeDecodeError as error:
        raise TableError(
            f"{path!r} is neither a CSV file in UTF-8 nor a NPY file: convert it."
        ) from error
    except csv.Error as error:
        raise TableError(f"{path!r} is no CSV file: {error}.") from error


def write_labels(path: str, labels: NDArray, probabilities: NDArray) -> None:
    """A CSV file of the label and the probabilities of each row, exact to the bit."""
    names = ["label", *(f"p{k}" for k in range(probabilities.shape[1]))]
    _write(path, names, (labels[:, None], probabilities))


def write_rows(path: str, names: list[str] | None, X: NDArray) -> None:
    """A CSV file of rows, under the names of their columns, exact to the bit."""
    _write(path, names, (X,))


def _write(path: str, names: list[str] | None, parts: tuple[NDArray, ...]) -> None:
    """Numbers (n, ...) side by side, under names if there are any."""
    with replacing(path) as file:
        text = TextIOWrapper(file, "utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        if names is not None:
            writer.writerow(names)
        for start in range(0, len(parts[0]), BLOCK):
            rows = (part[start : start + BLOCK].tolist() for part in parts)
            writer.writerows(sum(row, []) for row in zip(*rows, strict=True))
        text.detach()


@contextmanager
def _lasting(path: str) -> Iterator[str]:
    """A file that can be read more than once: what comes from a pipe is copied."""
    if os.path.isfile(path) or os.path.isdir(path) or not os.path.exists(path):
        yield path
        return
    with TemporaryDirectory() as folder:
        file = os.path.join(folder, "rows")
        with open(path, "rb") as source, open(file, "wb") as copy:
            copyfileobj(source, copy)
        yield file


def _read_npy(
    path: str, file: str, columns: list[str] | None, weights: str | None
) -> Table:
    """Columns of an array, which stays on disk if all of it is wanted."""
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise TableError(f"{path!r} cannot be read as NPY: {error}.") from error
    if array.dtype.kind not in "biuf" or array.ndim not in (1, 2) or not array.size:
        raise TableError(
            f"{path!r} holds {array.dtype} of shape {array.shape}: give a table of "
            "numbers, with a row for each observation."
        )
    array = array.reshape(len(array), -1)
    names = [str(i) for i in range(array.shape[1])]
    chosen, weighted = _choose(path, names, names, columns, weights)
    used = [*chosen, *weighted]
    values = array if used == list(range(len(names))) else array[:, used]
    if values.dtype not in (np.float64, np.float32):
        values = values.astype(np.float64)
    for bad, check in (
        (np.isinf(values), checked_value),
        (np.isnan(values[:, len(chosen) :]), checked_weight),
    ):
        if bad.any():
            row, i = np.argwhere(bad)[0] + [0, values.shape[1] - bad.shape[1]]
            check(str(values[row, i]), f"{path!r}, row {row}", names[used[i]])
    return _table(values, [names[i] for i in chosen], [])


def _table(
    values: NDArray, names: list[str], left_out: list[str], named: bool = False
) -> Table:
    """Columns of features, and of weights if there is one more."""
    if values.shape[1] == len(names):
        return Table(values, names, None, named, left_out)
    X, weights = np.ascontiguousarray(values[:, :-1]), values[:, -1].copy()
    return Table(X, names, weights, named, left_out)


def _read_text(form: Form, columns: list[str] | None, weights: str | None) -> Table:
    """Columns of a CSV file."""
    sample = [form.fields(*line) for line in islice(form.body(), SAMPLE)]
    usable = [
        name
        for name, fields in zip(form.names, zip(*sample, strict=True), strict=True)
        if name and holds_numbers(fields)
    ]
    chosen, weighted = _choose(form.path, form.names, usable, columns, weights)
    values = values_of(form, chosen, weighted)
    left_out = [
        name or f"column {i} (it has no name)"
        for i, name in enumerate(form.names)
        if columns is None and i not in (*chosen, *weighted)
    ]
    names = [form.names[i] for i in chosen]
    return _table(values, names, left_out, bool(form.header))


def _choose(
    path: str,
    names: list[str],
    usable: list[str],
    columns: list[str] | None,
    weights: str | None,
) -> tuple[list[int], list[int]]:
    """Indices of the columns of features, and of that of weights if there is one."""
    wanted = usable if columns is None else columns
    asked = [*(columns or []), *([weights] if weights is not None else [])]
    for name in asked:
        if name not in names or not name:
            raise TableError(
                f"{path!r} has no column {name!r}: it has "
                f"{', '.join(map(repr, filter(None, names)))}."
            )
        if name not in usable:
            raise TableError(
                f"{path!r}, column {name!r} does not hold numbers: choose others."
            )
        if asked.count(name) > 1:
            raise TableError(f"column {name!r} is named twice: name it once.")
    features = [name for name in wanted if name != weights]
    if not features:
        raise TableError(f"{path!r} has no column of numbers to fit: add one.")
    indices = [names.index(name) for name in features]
    return indices, [] if weights is None else [names.index(weights)]


def same_file(path: str, other: str) -> bool:
    """Whether two paths name one file, whether or not it is there."""
    return os.path.realpath(path) == os.path.realpath(other)
