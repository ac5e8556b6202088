"""Files that the command writes: all take their places at the end, or none does."""

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
from .messages import named_error
from .tables import BLOCK, Source, Table

STDOUT = "-"
RUN = "=+-@"  # with which begins what a spreadsheet runs


@contextmanager
def together() -> Iterator[Callable[[str], IO[bytes]]]:
    """A function that opens files, which replace what is there all at the end."""
    with ExitStack() as stack:
        yield lambda path: stack.enter_context(_output(path))


@contextmanager
def _output(path: str) -> Iterator[IO[bytes]]:
    """One such file, or standard output, which gets what is written as it comes."""
    if path == STDOUT:
        if sys.stdout is None:
            raise ValueError("standard output is closed: name a file to write.")
        with named_error("standard output"):
            sys.stdout.flush()
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    with named_error(path), replacing(path) as file:
        yield file


def write_labels(
    file: IO[bytes], source: Source, labels: NDArray, probabilities: NDArray
) -> None:
    """Write the columns of the source, and the label and probabilities of each row."""
    names = ["label", *(f"p{k}" for k in range(probabilities.shape[1]))]
    values = _texts((labels[:, None], probabilities), source.decimal)
    rows = (record + value for record, value in _beside(source, values))
    _write(file, source, names, rows)


def write_rows(file: IO[bytes], table: Table, filled: NDArray) -> None:
    """Write the columns of the source, with values in the place of missing ones."""
    rows = (
        _filled(record, table.used, *values)
        for record, values in _beside(table.source, _gaps(table, filled))
    )
    _write(file, table.source, [], rows)


def _gaps(table: Table, filled: NDArray) -> Iterator[tuple[NDArray, list[str]]]:
    """The features that each row lacks, and values for them."""
    for x, row in zip(table.X, filled, strict=True):
        lacking = np.flatnonzero(np.isnan(x))
        yield lacking, [_text(v, table.source.decimal) for v in row[lacking].tolist()]


def _filled(
    record: list[str], used: list[int], lacking: NDArray, values: list[str]
) -> list[str]:
    """A record with values of features that it lacks."""
    for j, value in zip(lacking, values, strict=True):
        record[used[j]] = value
    return record


def _texts(parts: tuple[NDArray, ...], decimal: str) -> Iterator[list[str]]:
    """The rows of arrays (n, ...) side by side, as text that is exact to the bit."""
    for start in range(0, len(parts[0]), BLOCK):
        rows = (part[start : start + BLOCK].tolist() for part in parts)
        for row in zip(*rows, strict=True):
            yield [_text(value, decimal) for values in row for value in values]


def _text(value: float, decimal: str) -> str:
    text = repr(value)
    return text.translate(SWAPPED) if decimal == "," else text


def _beside(source: Source, values: Iterable[Any]) -> Iterator[tuple[list[str], Any]]:
    """The records of the source, each with what belongs to it."""
    for record, value in zip_longest(source.records(), values):
        if record is None or value is None:
            raise TableError("the file of rows changed while it was read: try again.")
        yield [_harmless(field) for field in record], value


def _write(
    file: IO[bytes], source: Source, names: list[str], rows: Iterable[list[str]]
) -> None:
    """Write rows under a header, with their numbers from 0, in the source's form."""
    # Between spaces an empty field would be lost.
    delimiter = source.delimiter or {".": ",", ",": ";"}[source.decimal]
    taken = set(source.names)
    row, *own = [_unused(name, taken) for name in ("row", *names)]
    encode = getincrementalencoder(source.encoding or "utf-8")().encode
    text = SimpleNamespace(write=lambda line: file.write(encode(line)))
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow([row, *map(_harmless, source.names), *own])
    writer.writerows([str(i), *fields] for i, fields in enumerate(rows))
    file.flush()


def _unused(name: str, taken: set[str]) -> str:
    """A name that no column of the source has."""
    while name in taken:
        name = f"emgmm_{name}"
    return name


def _harmless(text: str) -> str:
    """The text, after an apostrophe if a spreadsheet would take it for a formula."""
    runs = text[:1] in RUN and len(text) > 1 and not is_number(text)
    return f"'{text}" if runs else text
