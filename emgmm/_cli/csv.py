"""Lines of a CSV file: how they are split, what they are named, what is wrong."""

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

SAMPLE = 100  # lines from which the form of a file is found, ...
SAMPLE_SIZE = 2**22  # ... unless so many characters are enough for it
LONGEST = 2**24  # characters of a line
DELIMITERS = ("\t", ";", ",", None)
"""What may stand between fields, in the order of preference; None: spaces."""
DELIMITERS_BESIDE_COMMAS = ("\t", ";", None)
"""The same where commas are decimal marks."""
MISSING = {"", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "?", "."}
"""What stands for a value that is missing, in any case of letters."""
UNCLEAR = {"-"}
"""What may stand for that, or for zero."""
COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")
"""A number with a decimal comma, ..."""
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
"""... or one in which a comma separates the thousands."""
SWAPPED = str.maketrans(",.", ".,")
"""Decimal commas to points. What had a point is no number then."""


class TableError(ValueError):
    """What is wrong with a table, and where."""


@dataclass(frozen=True)
class Form:
    """How the lines of a file are to be read."""

    path: str
    file: str
    """Where the lines are: not in ``path``, as it is called, if that is a pipe."""
    delimiter: str | None
    names: list[str]
    header: int
    """Number of the line of names; 0 if there is none."""
    decimal: str
    encoding: str | None = None
    """How characters are bytes; None: UTF-8."""

    def body(self) -> Iterator[tuple[int, str]]:
        """Lines of rows, numbered from 1, each with as many fields as there are names.

        A line is split only where quotation marks may hide a delimiter.
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
                    f"field{'s' * (n_fields != 1)}, and others have {width}: give "
                    "every row as many."
                )
            yield number, line

    def records(self) -> Iterator[list[str]]:
        """The fields of every row."""
        return (self.fields(*numbered) for numbered in self.body())

    def fields(self, number: int, line: str) -> list[str]:
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
                    "give every row a line of its own."
                )
            if line.strip(" \r\n"):
                yield number, line


def sample_lines(lines: Iterator[tuple[int, str]]) -> list[tuple[int, str]]:
    """The first lines: two or more, if there are, and no more than are needed."""
    sample: list[tuple[int, str]] = []
    size = 0
    for numbered in lines:
        sample.append(numbered)
        size += len(numbered[1])
        if len(sample) == SAMPLE or (len(sample) > 1 and size > SAMPLE_SIZE):
            break
    return sample


def form_of(
    path: str, file: str, decimal: str | None = None, encoding: str | None = None
) -> Form:
    """The form of a file, from its first lines, and its decimal mark if it is known."""
    numbered = sample_lines(_lines(path, file, encoding))
    if not numbered:
        raise TableError(f"{path!r} is empty: give a file with rows.")
    if "\0" in numbered[0][1]:
        raise TableError(f"{path!r} is no text: give a CSV or NPY file.")
    lines = [line for _, line in numbered]
    delimiter = _delimiter(lines, decimal)
    if delimiter == "," and decimal is None:
        _check_commas_split(path, numbered[0][0], lines)
    first, *others = [_fields(line, delimiter) for line in lines]
    has_names = _has_names(first, others)
    if has_names and not others:
        raise TableError(f"{path!r} has a header, but no rows: add them.")
    names = first if has_names else [str(i) for i in range(len(first))]
    twice = sorted(name for name, n in Counter(names).items() if name and n > 1)
    if twice:
        raise TableError(
            f"{path!r} has more than one column named {listed(twice)}: "
            "give each a name of its own."
        )
    found = decimal or _decimal(delimiter, others if has_names else [first, *others])
    header = numbered[0][0] if has_names else 0
    return Form(path, file, delimiter, names, header, found, encoding)


def _has_names(first: list[str], others: list[list[str]]) -> bool:
    """Whether the first line names the columns: text stands there above a number."""
    if not others:
        return not any(map(is_number, first))
    return any(
        _is_text(top) and any(map(is_number, rest))
        for top, *rest in zip(first, *others, strict=False)
    )


def _delimiter(lines: list[str], decimal: str | None) -> str | None:
    """What splits all lines into equally many fields, or else into most.

    If commas are decimal marks, they split fields only in quotation marks.
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
    """The decimal mark: a comma only if nothing else can be meant."""
    fields = [field for row in rows for field in row]
    commas = [field for field in fields if COMMA.fullmatch(field)]
    if delimiter is None or all(map(THOUSANDS.fullmatch, commas)):
        return "."
    points = ("." in field and _number(field) is not None for field in fields)
    return "." if any(points) else ","


def _check_commas_split(path: str, number: int, lines: list[str]) -> None:
    """Commas that split fields must not be decimal commas of fields between spaces."""
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
            f"{path!r}, line {number} has {' '.join(rows[0])!r:.60}, which commas or "
            "spaces may split: add --decimal , if its commas are decimal marks, or "
            "--decimal . if they are not."
        )


def _fields(line: str, delimiter: str | None) -> list[str]:
    """The fields of a line, without spaces around them and without their quotes."""
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
    """The value of a field, or None."""
    plain = field.translate(SWAPPED) if decimal == "," else field
    try:
        return None if "_" in plain else float(plain)
    except ValueError:
        return None


def is_number(field: str) -> bool:
    """Whether a field holds a number, with either decimal mark."""
    value = _number(field.replace(",", ".", 1))
    return value is not None and not _is_missing(field)


def _is_missing(field: str) -> bool:
    return field.lower() in MISSING


def _is_text(field: str) -> bool:
    return field.lower() not in MISSING | UNCLEAR and not is_number(field)


def holds_numbers(fields: Sequence[str]) -> bool:
    """Whether some of the fields are numbers, or none are text."""
    return any(map(is_number, fields)) or not any(map(_is_text, fields))


def values_of(form: Form, columns: list[int], weights: list[int]) -> NDArray:
    """The numbers of columns of features, NaN where one is missing, and of weights."""
    for read in (_quickly, partial(_quickly, value=_value)):
        try:
            values = read(form, [*columns, *weights])
        except TableError:
            raise
        except ValueError:
            continue
        n_features = len(columns)
        if not (np.isinf(values).any() or np.isnan(values[:, n_features:]).any()):
            return values
    return _slowly(form, columns, weights)


def _quickly(
    form: Form,
    columns: list[int],
    value: Callable[..., float] | None = None,
) -> NDArray:
    """The numbers of columns as NumPy reads them, or as a function of the fields."""
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
    """The value of a field, its decimal mark a point, that has a number or lacks it."""
    plain = field.strip()
    mark = plain.translate(SWAPPED) if decimal == "," else plain
    value = np.nan if mark.lower() in MISSING else _number(plain)
    if value is None:
        raise ValueError(f"{field!r:.60} is no number")
    return value


def _slowly(form: Form, columns: list[int], weights: list[int]) -> NDArray:
    """The same field by field, which finds the one that is wrong."""
    rows = []
    for number, line in form.body():
        fields, place = form.fields(number, line), f"{form.path!r}, line {number}"
        where = [(fields[i], place, form.names[i], form.decimal) for i in columns]
        row = [checked_value(*each) for each in where]
        where = [(fields[i], place, form.names[i], form.decimal) for i in weights]
        rows.append(row + [checked_weight(*each) for each in where])
    return np.array(rows)


def checked_value(field: str, place: str, name: str, decimal: str = ".") -> float:
    """The finite number that a field holds, or NaN if it is missing."""
    where, value = f"{place}, column {name!r:.60}", _number(field, decimal)
    if field.lower() in MISSING:
        return np.nan
    if field in UNCLEAR:
        raise TableError(
            f"{where} has {field!r}: write 0 if that is meant, or leave it empty if "
            "the value is missing."
        )
    if value is None:
        raise TableError(
            f"{where} has {field!r:.60}, which is no number{_remedy(field, decimal)}."
        )
    if np.isinf(value):
        raise TableError(f"{where} has {field!r:.60}: give a finite number.")
    return value


def _remedy(field: str, decimal: str) -> str:
    """How a field could become a number."""
    if not is_number(field):
        return ": correct it, or choose other columns with --columns"
    other = {".": ",", ",": "."}[decimal]
    return (
        f" where {decimal!r} is the decimal mark: add --decimal {other} if {other!r} "
        f"is, or write decimals with {decimal!r}, and thousands without a mark"
    )


def checked_weight(field: str, place: str, name: str, decimal: str = ".") -> float:
    """The finite number that a field holds."""
    value = checked_value(field, place, name, decimal)
    if np.isnan(value):
        raise TableError(
            f"{place}, column {name!r:.60} has no value ({field!r}), and weights "
            "may not be missing: fill it in, or leave out the row."
        )
    return value
