"""Messages of the command on standard error, and text without terminal escapes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from emgmm._utils.text import escaped

MOST_NAMES = 10  # in one line
LONGEST_NAME = 60  # characters of each


def listed(names: Iterable[str]) -> str:
    """The first names in quotation marks, and how many more there are."""
    shown = [f"{name!r:.{LONGEST_NAME}}" for name in names]
    more = len(shown) - MOST_NAMES
    return ", ".join(shown[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def say(kind: str, message: str) -> None:
    """Write one line to standard error, if that is open."""
    line = escaped(f"emgmm: {kind}: {' '.join(message.split())}")
    if sys.stderr is not None:
        with suppress(OSError):
            print(line, file=sys.stderr)


@contextmanager
def errors_named(name: str) -> Iterator[None]:
    """Add the name of a file to system errors that have none."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = name
        raise
