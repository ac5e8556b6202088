"""Files that the command writes: all of them are put in place at the end, or none."""

from __future__ import annotations

import csv
import sys
from codecs import getincrementalencoder
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import zip_longest
from types import SimpleNamespace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.files import replacing

from .csv import SWAPPED, TableError, is_number
from .messages import errors_named
from .tables import BLOCK, Table, TextTable

STDOUT = "-"
FORMULA_STARTS = "=+-@"  # of text that a spreadsheet runs


@contextmanager
def all_or_nothing() -> Iterator[Callable[[str], IO[bytes]]]:
    """A function that opens files, all of which replace existing ones at the end."""
    with ExitStack() as stack:
        yield lambda path: stack.enter_context(_output(path))


@contextmanager
def _output(path: str) -> Iterator[IO[bytes]]:
    """One such file, or standard output, which is written at once."""
    if path == STDOUT:
        if sys.stdout is None:
            raise ValueError("standard output is closed: name a file to write.")
        with errors_named("standard output"):
            sys.stdout.flush()
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    with errors_named(path), replacing(path) as file:
        yield file


def write_labels(
    file: IO[bytes], source: TextTable, labels: NDArray, probabilities: NDArray
) -> None:
    """Write the columns of the source, then the label and probabilities of each row."""
    names = ["label", *(f"p{k}" for k in range(probabilities.shape[1]))]
    values = _texts((labels[:, None], probabilities), source.decimal)
    rows = (record + value for record, value in _beside(source, values))
    _write(file, source, names, rows)


def write_rows(file: IO[bytes], table: Table, filled: NDArray) -> None:
    """Write the columns of the source, with missing values filled in."""
    rows = (
        _filled(record, table.used, *values)
        for record, values in _beside(table.source, _imputed(table, filled))
    )
    _write(file, table.source, [], rows)


def _imputed(table: Table, filled: NDArray) -> Iterator[tuple[NDArray, list[str]]]:
    """The features that each row has no values of, and imputed values as text."""
    for x, row in zip(table.X, filled, strict=True):
        missing = np.flatnonzero(np.isnan(x))
        yield missing, [_text(v, table.source.decimal) for v in row[missing].tolist()]


def _filled(
    record: list[str], used: list[int], missing: NDArray, values: list[str]
) -> list[str]:
    """The record with values for its missing features."""
    for j, value in zip(missing, values, strict=True):
        record[used[j]] = value
    return record


def _texts(parts: tuple[NDArray, ...], decimal: str) -> Iterator[list[str]]:
    """The rows of arrays (n, ...) side by side, as text that keeps every bit."""
    for start in range(0, len(parts[0]), BLOCK):
        rows = (part[start : start + BLOCK].tolist() for part in parts)
        for row in zip(*rows, strict=True):
            yield [_text(value, decimal) for values in row for value in values]


def _text(value: float, decimal: str) -> str:
    """A number as the shortest text that keeps every bit."""
    text = repr(value)
    return text.translate(SWAPPED) if decimal == "," else text


def _beside(
    source: TextTable, values: Iterable[Any]
) -> Iterator[tuple[list[str], Any]]:
    """The records of the source, each with its value."""
    for record, value in zip_longest(source.records(), values):
        if record is None or value is None:
            raise TableError(
                "the input file changed while it was being read: try again."
            )
        yield [_without_formula(field) for field in record], value


def _write(
    file: IO[bytes], source: TextTable, names: list[str], rows: Iterable[list[str]]
) -> None:
    """Write a header and rows, numbered from 0, in the format of the source."""
    # An empty field between spaces would be lost.
    delimiter = source.delimiter or {".": ",", ",": ";"}[source.decimal]
    taken = set(source.names)
    row, *own = [_unused(name, taken) for name in ("row", *names)]
    encode = getincrementalencoder(source.encoding or "utf-8")().encode
    text = SimpleNamespace(write=lambda line: file.write(encode(line)))
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow([row, *map(_without_formula, source.names), *own])
    writer.writerows([str(i), *fields] for i, fields in enumerate(rows))
    file.flush()


def _unused(name: str, taken: set[str]) -> str:
    """The name, with a prefix if a column of the source already has it."""
    while name in taken:
        name = f"emgmm_{name}"
    return name


def _without_formula(text: str) -> str:
    """The text, after an apostrophe if a spreadsheet would run it as a formula."""
    runs = text[:1] in FORMULA_STARTS and len(text) > 1 and not is_number(text)
    return f"'{text}" if runs else text
