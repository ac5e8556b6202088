"""Tables as plain text and as HTML, and names that are safe to print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

WIDTH = 79
MIN_NAME = 14  # letters of a name that are always shown
MIN_NUMBER = 11  # characters of a column of numbers


def escaped(text: str) -> str:
    """The text with characters that could control a terminal written as escapes."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1]
        for letter in text
    )


def shortened(names: Sequence[str], width: int) -> list[str]:
    """Names with escapes, shortened if a table of all of them would be too wide.

    They are cut before their last letters, in which names often differ.
    """
    whole = [escaped(name).replace("\n", "\\n") for name in names]
    longest = max(map(len, whole))
    fitting = (
        limit
        for limit in range(min(longest, width), MIN_NAME, -1)
        if 9 + sum(max(MIN_NUMBER, min(len(n), limit)) + 2 for n in whole) <= width
    )
    limit = next(fitting, MIN_NAME)
    return [
        name if len(name) <= limit else f"{name[: limit - 5]}..{name[-3:]}"
        for name in whole
    ]


def columns_of_lines(names: list[str], width: int, first: int = 9) -> Iterator[slice]:
    """Columns that fit into a table side by side, after a first one of some width."""
    start, used = 0, first
    for stop, name in enumerate(names):
        needed = max(MIN_NUMBER, len(name)) + 2
        if used + needed > width and stop > start:
            yield slice(start, stop)
            start, used = stop, first
        used += needed
    yield slice(start, len(names))


def number_table(
    first: str, names: Sequence[str], rows: Iterable[tuple[Any, Iterable[float]]]
) -> Iterator[str]:
    """Lines of a table of numbers, with five digits."""
    lines = [(label, *map("{:.5g}".format, row)) for label, row in rows]
    yield from text_table([first, *names], lines, least=MIN_NUMBER)


def text_table(
    header: Sequence[str], rows: Iterable[Sequence[Any]], least: int = 0
) -> Iterator[str]:
    """Lines of a table, its columns aligned on the right."""
    lines = [[*map(str, line)] for line in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    widths[1:] = [max(width, least) for width in widths[1:]]
    for line in lines:
        fields = zip(line, widths, strict=True)
        yield "  ".join(field.rjust(width) for field, width in fields)


def html_table(
    caption: str, header: Sequence[Any], rows: Iterable[Sequence[Any]]
) -> str:
    """A table in HTML, with the first cell of each row as its header."""
    head = "".join(f"<th>{as_html(each)}</th>" for each in header)
    body = "".join(
        f"<tr><th>{as_html(first)}</th>"
        + "".join(f"<td>{as_html(each)}</td>" for each in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f"<table><caption>{as_html(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def as_html(value: Any) -> str:
    """A value as text in HTML, with markup and control characters escaped."""
    return escape(escaped(str(value))).replace("\n", "<br/>")
