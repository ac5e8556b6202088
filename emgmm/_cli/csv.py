"""CSV files: their format is detected, their lines are split, their numbers read."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .messages import listed

SAMPLE = 100  # lines from which the format of a file is detected, ...
SAMPLE_SIZE = 2**22  # ... or fewer, if they have this many characters
LONGEST = 2**24  # characters of a line
DELIMITERS = ("\t", ";", ",", None)
"""Delimiters in order of preference; None: spaces."""
DELIMITERS_BESIDE_COMMAS = ("\t", ";", None)
"""The same where commas are decimal marks."""
MISSING = {"", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "?", "."}
"""Missing values, in lower case."""
AMBIGUOUS = {"-"}
"""May be a missing value, or zero."""
COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")
"""A number with a decimal comma, ..."""
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
"""... or one in which a comma separates the thousands."""
SWAPPED = str.maketrans(",.", ".,")
"""Exchanges commas and points; what had a point is then not a number."""


class TableError(ValueError):
    """A table cannot be read; the message says what is wrong, and where."""


@dataclass(frozen=True)
class CsvFormat:
    """How the lines of a file are read."""

    path: str
    file: str
    """Where the lines are; not ``path``, its name for messages, if that is a pipe."""
    delimiter: str | None
    names: list[str]
    header: int
    """Number of the line with the names; 0 if there is none."""
    decimal: str
    encoding: str | None = None
    """None: UTF-8."""

    def body(self) -> Iterator[tuple[int, str]]:
        """Lines after the header with their numbers from 1, their fields counted.

        A line is split only if quotation marks could hide a delimiter.
        """
        width, delimiter = len(self.names), self.delimiter
        for number, line in _lines(self.path, self.file, self.encoding):
            if number <= self.header:
                continue
            if delimiter is None or '"' in line:
                n_fields = len(self.fields(number, line))
            else:
                n_fields = line.count(delimiter) + 1
            if n_fields != width:
                raise TableError(
                    f"{self.path!r}, line {number} has {n_fields} "
                    f"field{'s' * (n_fields != 1)}, but other lines have {width}: give "
                    "every row the same number of fields."
                )
            yield number, line

    def records(self) -> Iterator[list[str]]:
        """The fields of every row."""
        return (self.fields(*numbered) for numbered in self.body())

    def fields(self, number: int, line: str) -> list[str]:
        """The fields of a line."""
        if line.count('"') % 2:
            raise TableError(
                f"{self.path!r}, line {number} has a quotation mark that is not "
                "closed: close it on the same line."
            )
        return _fields(line, self.delimiter)


def _lines(path: str, file: str, encoding: str | None) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers."""
    with open(file, encoding=encoding or "utf-8-sig") as opened:
        lines = iter(partial(opened.readline, LONGEST + 1), "")
        for number, line in enumerate(lines, start=1):
            if len(line) > LONGEST:
                raise TableError(
                    f"{path!r}, line {number} has more than {LONGEST} characters: "
                    "write every row on a line of its own."
                )
            if line.strip(" \r\n"):
                yield number, line


def sample_lines(lines: Iterator[tuple[int, str]]) -> list[tuple[int, str]]:
    """The first lines, from which the format is detected; two at least if there are."""
    sample: list[tuple[int, str]] = []
    size = 0
    for numbered in lines:
        sample.append(numbered)
        size += len(numbered[1])
        if len(sample) == SAMPLE or (len(sample) > 1 and size > SAMPLE_SIZE):
            break
    return sample


def detect_format(
    path: str, file: str, decimal: str | None = None, encoding: str | None = None
) -> CsvFormat:
    """The format of a file, detected from its first lines."""
    numbered = sample_lines(_lines(path, file, encoding))
    if not numbered:
        raise TableError(f"{path!r} is empty: choose a file that contains rows.")
    if "\0" in numbered[0][1]:
        raise TableError(f"{path!r} is not text: choose a CSV or NPY file.")
    lines = [line for _, line in numbered]
    delimiter = _delimiter(lines, decimal)
    if delimiter == "," and decimal is None:
        _check_commas_split(path, numbered[0][0], lines)
    first, *others = [_fields(line, delimiter) for line in lines]
    has_names = _has_names(first, others)
    if has_names and not others:
        raise TableError(f"{path!r} has a header but no rows: add some.")
    names = first if has_names else [str(i) for i in range(len(first))]
    twice = sorted(name for name, n in Counter(names).items() if name and n > 1)
    if twice:
        raise TableError(
            f"{path!r} has more than one column named {listed(twice)}: "
            "give each column a different name."
        )
    found = decimal or _decimal(delimiter, others if has_names else [first, *others])
    header = numbered[0][0] if has_names else 0
    return CsvFormat(path, file, delimiter, names, header, found, encoding)


def _has_names(first: list[str], others: list[list[str]]) -> bool:
    """Whether the first line is a header: it has text above a number in some column."""
    if not others:
        return not any(map(is_number, first))
    return any(
        _is_text(top) and any(map(is_number, rest))
        for top, *rest in zip(first, *others, strict=False)
    )


def _delimiter(lines: list[str], decimal: str | None) -> str | None:
    """The delimiter that splits all lines into equally many fields, or else into most.

    If commas are decimal marks, they are delimiters only if fields are quoted.
    """
    delimiters: tuple[str | None, ...] = DELIMITERS
    if decimal == ",":
        quoted = any('"' in line for line in lines[1:])
        delimiters = (*DELIMITERS_BESIDE_COMMAS, *([","] if quoted else []))
    counts = {d: [len(_fields(line, d)) for line in lines] for d in delimiters}
    for delimiter, widths in counts.items():
        if min(widths) == max(widths) > 1:
            return delimiter
    return max(counts, key=lambda delimiter: sum(counts[delimiter][1:]))


def _decimal(delimiter: str | None, rows: list[list[str]]) -> str:
    """The decimal mark: a comma only if that is unambiguous."""
    fields = [field for row in rows for field in row]
    commas = [field for field in fields if COMMA.fullmatch(field)]
    if delimiter is None or all(map(THOUSANDS.fullmatch, commas)):
        return "."
    points = ("." in field and _number(field) is not None for field in fields)
    return "." if any(points) else ","


def _check_commas_split(path: str, number: int, lines: list[str]) -> None:
    """Raise if commas could be delimiters, or decimal commas between spaces."""
    rows = [line.split() for line in lines]
    if len(set(map(len, rows))) > 1 or len(rows[0]) < 2:
        return
    columns = [
        [f for f in column if not _is_missing(f)] for column in zip(*rows, strict=True)
    ]
    if not any(column and all(map(COMMA.fullmatch, column)) for column in columns):
        return
    if any(_is_text(field) for line in lines for field in _fields(line, ",")):
        raise TableError(
            f"{path!r}, line {number} has {' '.join(rows[0])!r:.60}, in which either "
            "commas or spaces may be the delimiters: add --decimal , if the commas are "
            "decimal marks, or --decimal . if they are not."
        )


def _fields(line: str, delimiter: str | None) -> list[str]:
    """The fields of a line, without surrounding spaces and quotation marks."""
    line = line.strip(" \r\n")
    if '"' not in line:
        return [field.strip() for field in line.split(delimiter)]
    limit = csv.field_size_limit(LONGEST)
    try:
        reader = csv.reader([line], delimiter=delimiter or " ", skipinitialspace=True)
        return [field.strip() for field in next(reader)]
    finally:
        csv.field_size_limit(limit)


def _number(field: str, decimal: str = ".") -> float | None:
    """The value of a field, or None if it is not a number."""
    text = field.translate(SWAPPED) if decimal == "," else field
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def is_number(field: str) -> bool:
    """Whether a field is a number, with either decimal mark."""
    value = _number(field.replace(",", ".", 1))
    return value is not None and not _is_missing(field)


def _is_missing(field: str) -> bool:
    """Whether a field stands for a missing value."""
    return field.lower() in MISSING


def _is_text(field: str) -> bool:
    """Whether a field is neither a number nor a missing value."""
    return field.lower() not in MISSING | AMBIGUOUS and not is_number(field)


def is_numeric(fields: Sequence[str]) -> bool:
    """Whether some fields of a column are numbers, or none are text."""
    return any(map(is_number, fields)) or not any(map(_is_text, fields))


def values_of(form: CsvFormat, columns: list[int], weights: list[int]) -> NDArray:
    """The numbers in columns of features, NaN where missing, and of weights."""
    for read in (_read_at_once, partial(_read_at_once, value=_value)):
        try:
            values = read(form, [*columns, *weights])
        except TableError:
            raise
        except ValueError:
            continue
        n_features = len(columns)
        if not (np.isinf(values).any() or np.isnan(values[:, n_features:]).any()):
            return values
    return _read_by_field(form, columns, weights)


def _read_at_once(
    form: CsvFormat,
    columns: list[int],
    value: Callable[..., float] | None = None,
) -> NDArray:
    """The numbers in columns, read by NumPy, which may call a function for fields."""
    lines, delimiter = (line for _, line in form.body()), form.delimiter
    if form.decimal == ",":
        lines = (line.translate(SWAPPED) for line in lines)
        delimiter = delimiter and delimiter.translate(SWAPPED)
    return np.loadtxt(
        lines,
        delimiter=delimiter,
        usecols=columns,
        quotechar='"',
        comments=None,
        ndmin=2,
        converters=value and partial(value, decimal=form.decimal),
    )


def _value(field: str, decimal: str) -> float:
    """The value of a field whose decimal mark is a point, NaN if it is missing."""
    text = field.strip()
    mark = text.translate(SWAPPED) if decimal == "," else text
    value = np.nan if mark.lower() in MISSING else _number(text)
    if value is None:
        raise ValueError(f"{field!r:.60} is not a number")
    return value


def _read_by_field(form: CsvFormat, columns: list[int], weights: list[int]) -> NDArray:
    """The numbers in columns, read field by field to find the one that is wrong."""
    rows = []
    for number, line in form.body():
        fields, place = form.fields(number, line), f"{form.path!r}, line {number}"
        where = [(fields[i], place, form.names[i], form.decimal) for i in columns]
        row = [checked_value(*each) for each in where]
        where = [(fields[i], place, form.names[i], form.decimal) for i in weights]
        rows.append(row + [checked_weight(*each) for each in where])
    return np.array(rows)


def checked_value(field: str, place: str, name: str, decimal: str = ".") -> float:
    """The finite number in a field, NaN if it is missing; raise if it is neither."""
    where, value = f"{place}, column {name!r:.60}", _number(field, decimal)
    if field.lower() in MISSING:
        return np.nan
    if field in AMBIGUOUS:
        raise TableError(
            f"{where} has {field!r}: write 0 if it means zero, or leave the cell empty "
            "if the value is missing."
        )
    if value is None:
        raise TableError(
            f"{where} has {field!r:.60}, which is not a number"
            f"{_remedy(field, decimal)}."
        )
    if np.isinf(value):
        raise TableError(f"{where} has {field!r:.60}: write a finite number.")
    return value


def _remedy(field: str, decimal: str) -> str:
    """The end of a message about a field: how it could become a number."""
    if not is_number(field):
        return ": correct it, or choose other columns with --columns"
    other = {".": ",", ",": "."}[decimal]
    return (
        f" with the decimal mark {decimal!r}: add --decimal {other} if {other!r} is "
        f"the decimal mark, or else write {decimal!r}, and no mark between thousands"
    )


def checked_weight(field: str, place: str, name: str, decimal: str = ".") -> float:
    """The finite number in a field; raise if there is none."""
    value = checked_value(field, place, name, decimal)
    if np.isnan(value):
        raise TableError(
            f"{place}, column {name!r:.60} has no value ({field!r}), but weights must "
            "not be missing: fill it in, or remove the row."
        )
    return value
