"""Lines of a CSV file: how they are split, what they are named, what is wrong."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE = 100  # lines from which the form of a file is found
DELIMITERS = ("\t", ";", ",", None)
"""What may stand between fields, in the order of preference; None: spaces."""
MISSING = {"", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "?", "."}
"""What stands for a value that is missing, in any case of letters."""
UNCLEAR = {"-"}
"""What may stand for that, or for zero."""


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

    def body(self) -> Iterator[tuple[int, str]]:
        """Lines of rows, numbered from 1, each with as many fields as there are names.

        A line is split only where quotation marks may hide a delimiter.
        """
        width, delimiter = len(self.names), self.delimiter
        for number, line in _lines(self.file):
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

    def fields(self, number: int, line: str) -> list[str]:
        if line.count('"') % 2:
            raise TableError(
                f"{self.path!r}, line {number} has a quotation mark that is not "
                "closed: close it on the same line."
            )
        return _fields(line, self.delimiter)


def _lines(file: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers."""
    with open(file, encoding="utf-8-sig") as opened:
        for number, line in enumerate(opened, start=1):
            if line.strip(" \r\n"):
                yield number, line


def form_of(path: str, file: str) -> Form:
    """The form of a file, from its first lines."""
    numbered = list(islice(_lines(file), SAMPLE))
    if not numbered:
        raise TableError(f"{path!r} is empty: give a file with rows.")
    if "\0" in numbered[0][1]:
        raise TableError(f"{path!r} is no text: give a CSV or NPY file.")
    delimiter = _delimiter([line for _, line in numbered])
    first, *others = [_fields(line, delimiter) for _, line in numbered]
    columns = zip(first, *others, strict=False)
    if others:
        has_names = any(
            _is_text(top) and any(map(_is_number, rest)) for top, *rest in columns
        )
    else:
        has_names = not any(map(_is_number, first))
    if has_names and not others:
        raise TableError(f"{path!r} has a header, but no rows: add them.")
    names = first if has_names else [str(i) for i in range(len(first))]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise TableError(
            f"{path!r} has more than one column named {', '.join(map(repr, twice))}: "
            "give each a name of its own."
        )
    return Form(path, file, delimiter, names, numbered[0][0] if has_names else 0)


def _delimiter(lines: list[str]) -> str | None:
    """What splits all lines into equally many fields, or else into most."""
    counts = {d: [len(_fields(line, d)) for line in lines] for d in DELIMITERS}
    for delimiter, widths in counts.items():
        if min(widths) == max(widths) > 1:
            return delimiter
    return max(counts, key=lambda delimiter: sum(counts[delimiter][1:]))


def _fields(line: str, delimiter: str | None) -> list[str]:
    """The fields of a line, without spaces around them and without their quotes."""
    if delimiter is None and '"' not in line:
        return line.split()
    reader = csv.reader(
        [line.strip(" \r\n")], delimiter=delimiter or " ", skipinitialspace=True
    )
    return [field.strip() for field in next(reader)]


def _number(field: str) -> float | None:
    """The value of a field, or None."""
    try:
        return None if "_" in field else float(field)
    except ValueError:
        return None


def _is_number(field: str) -> bool:
    """Whether a field holds a number, be it with a decimal comma, told of later."""
    value = _number(field.replace(",", ".", 1))
    return value is not None and field.lower() not in MISSING


def _is_text(field: str) -> bool:
    return field.lower() not in MISSING | UNCLEAR and not _is_number(field)


def holds_numbers(fields: Sequence[str]) -> bool:
    """Whether some of the fields are numbers, or none are text."""
    return any(map(_is_number, fields)) or not any(map(_is_text, fields))


def values_of(form: Form, columns: list[int], weights: list[int]) -> NDArray:
    """The numbers of columns of features, NaN where one is missing, and of weights."""
    for read in (_quickly, partial(_quickly, converters=_value)):
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


def _quickly(form: Form, columns: list[int], **kwargs: Any) -> NDArray:
    return np.loadtxt(
        (line for _, line in form.body()),
        delimiter=form.delimiter,
        usecols=columns,
        quotechar='"',
        comments=None,
        ndmin=2,
        **kwargs,
    )


def _value(field: str) -> float:
    """The value of a field that holds a number or lacks it."""
    field = field.strip()
    value = np.nan if field.lower() in MISSING else _number(field)
    if value is None:
        raise ValueError(f"{field!r:.60} is no number")
    return value


def _slowly(form: Form, columns: list[int], weights: list[int]) -> NDArray:
    """The same field by field, which finds the one that is wrong."""
    rows = []
    for number, line in form.body():
        fields, place = form.fields(number, line), f"{form.path!r}, line {number}"
        where = [(fields[i], place, form.names[i]) for i in (*columns, *weights)]
        row = [checked_value(*each) for each in where[: len(columns)]]
        rows.append(row + [checked_weight(*each) for each in where[len(columns) :]])
    return np.array(rows)


def checked_value(field: str, place: str, name: str) -> float:
    """The finite number that a field holds, or NaN if it is missing."""
    where, value = f"{place}, column {name!r}", _number(field)
    if field.lower() in MISSING:
        return np.nan
    if field in UNCLEAR:
        raise TableError(
            f"{where} has {field!r}: write 0 if that is meant, or leave it empty if "
            "the value is missing."
        )
    if value is None:
        remedy = "write decimals with a point" if _is_number(field) else "correct it"
        raise TableError(f"{where} has {field!r:.60}, which is no number: {remedy}.")
    if np.isinf(value):
        raise TableError(f"{where} has {field!r:.60}: give a finite number.")
    return value


def checked_weight(field: str, place: str, name: str) -> float:
    """The finite number that a field holds."""
    value = checked_value(field, place, name)
    if np.isnan(value):
        raise TableError(
            f"{place}, column {name!r} has no value ({field!r}), and weights may not "
            "be missing: fill it in, or leave out the row."
        )
    return value
