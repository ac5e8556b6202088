"""Rows as users pass them: masked values become NaN, dates and the like are refused.

scikit-learn reads the values under a mask, and dates as nanoseconds.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .device import device_of, to_host

NO_NUMBERS = {
    "M": (
        "dates or times",
        "make numbers of them, such as days since a date "
        "(`(X - X.min()) / np.timedelta64(1, 'D')`), or leave them out",
    ),
    "m": (
        "durations",
        "make numbers of them, such as days (`X / np.timedelta64(1, 'D')`), or leave "
        "them out",
    ),
    "V": (
        "records",
        "make columns of their fields, with "
        "`numpy.lib.recfunctions.structured_to_unstructured(X)`",
    ),
}
"""What arrays of such kinds hold, and the remedy."""
NOT_ROWS: tuple[tuple[Callable[[Any], bool], str, str], ...] = (
    (lambda X: X is None, "", "give an array or a dataframe"),
    (
        lambda X: isinstance(X, str | bytes),
        "a",
        "if it names a file, read that first, for instance with `pandas.read_csv`",
    ),
    (
        # SciPy keeps a kind of sparse matrix in a dict.
        lambda X: isinstance(X, Mapping) and not hasattr(X, "shape"),
        "a",
        "give a dataframe, such as `pandas.DataFrame(X)`",
    ),
    (lambda X: _is_lazy(X), "a", "its rows are not computed yet: call .collect()"),
    (lambda X: _is_empty(X), "an empty", "give at least one row of numbers"),
)
"""Tests for what is not a table, with an article for its name and the remedy."""
MISSING = (type(None), float)
MISSING_NAMES = ("NAType", "NaTType")  # of pandas, which need not be installed
MOST_NAMED = 5  # columns in a message


def as_rows(X: Any, argument: str = "X") -> Any:
    """X with NaN where it is masked; ValueError if it cannot be rows of numbers."""
    if device_of(X) is not None:
        X = to_host(X)
    _refuse_what_is_no_table(X, argument)
    if not isinstance(X, list | tuple):
        return unmasked(X, argument)
    _refuse_what_is_no_table(X[0], f"{argument} is a list, and its first row")
    array = _array_of(X)
    if array is None:  # rows of unequal lengths, which scikit-learn refuses
        return X
    # Lists are numbers of Python, whatever precision those within them have.
    rows: NDArray = unmasked(array, argument)
    return rows.astype(np.float64, copy=False) if rows.dtype.kind == "f" else rows


def validated(check: Callable[..., NDArray], X: Any, **settings: Any) -> NDArray:
    """Rows checked by scikit-learn; its errors name the columns that are to blame."""
    X = as_rows(X)
    with columns_named(X):
        return check(X, **settings)


def unmasked(X: Any, argument: str) -> Any:
    """X with NaN where it is masked; ValueError where it holds dates or durations."""
    for kind, columns in _kinds(X).items():
        if kind in NO_NUMBERS:
            what, remedy = NO_NUMBERS[kind]
            where = f" in {_named(columns)}" if columns else ""
            raise ValueError(f"{argument} holds {what}{where}: {remedy}.")
    if not isinstance(X, np.ma.MaskedArray):
        return X
    if X.dtype.kind in "biu":
        X = X.astype(np.float64)
    return (X if X.dtype.kind == "f" else X.astype(object)).filled(np.nan)


def holds_dates(array: NDArray) -> bool:
    """Whether objects are dates or durations, of which NumPy's would become numbers;
    pandas' missing one is known by its name, without pandas."""
    dates = np.datetime64 | np.timedelta64 | datetime.date | datetime.timedelta
    return array.dtype == object and any(
        isinstance(v, dates) or type(v).__name__ == "NaTType" for v in array.flat
    )


@contextmanager
def columns_named(X: Any) -> Iterator[None]:
    """A context whose errors name the columns of X that have other values than
    numbers."""
    try:
        yield
    except (TypeError, ValueError) as error:
        found = _columns_without_numbers(X)
        if not found:
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        value = next(iter(found.values()))
        raise kind(
            f"{error}. X has values that are not numbers in {_named(list(found))}, "
            f"such as {value!r:.60}: encode them as numbers, or drop them."
        ) from error


def _refuse_what_is_no_table(X: Any, argument: str) -> None:
    """ValueError if X is none of the tables that can be rows of numbers."""
    for is_one, article, remedy in NOT_ROWS:
        if is_one(X):
            described = "None" if X is None else f"{article} {type(X).__name__}"
            raise ValueError(
                f"Expected rows of numbers, but {argument} is {described}: {remedy}."
            )


def _is_lazy(X: Any) -> bool:
    """Whether X is a table that is not computed yet, as polars' LazyFrame."""
    return hasattr(type(X), "collect") and not hasattr(type(X), "__array__")


def _is_empty(X: Any) -> bool:
    """Whether X is a list without rows, or a dataframe without columns."""
    if isinstance(X, list | tuple):
        return not X
    return hasattr(X, "columns") and not len(X.columns)


def _array_of(rows: list[Any] | tuple[Any, ...]) -> NDArray | None:
    """Rows in a list as one array, masked if one of them is; None if uneven."""
    masked = any(isinstance(row, np.ma.MaskedArray) for row in rows)
    try:
        return np.ma.asarray(rows) if masked else np.asarray(rows)
    except ValueError:
        return None


def _kinds(X: Any) -> dict[str, list[Any]]:
    """Kinds of NumPy's types in X, and where it is a dataframe the columns of each."""
    if isinstance(X, np.ndarray):
        return {"M" if holds_dates(X) else X.dtype.kind: []}
    kinds: dict[str, list[Any]] = {}
    for name, dtype in _columns(X):
        kinds.setdefault(_kind(dtype), []).append(name)
    return kinds or {getattr(getattr(X, "dtype", None), "kind", ""): []}


def _columns(X: Any) -> list[tuple[Any, Any]]:
    """Names and types of the columns of a dataframe, of pandas, polars or Arrow."""
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        return list(zip(X.columns, X.dtypes, strict=True))
    schema = getattr(X, "schema", None)
    types = getattr(schema, "types", [])
    return list(zip(getattr(schema, "names", []), types, strict=False))


def _kind(dtype: Any) -> str:
    """The kind of NumPy's type that is nearest to a dataframe's."""
    if hasattr(dtype, "to_pandas_dtype"):  # of Arrow
        return np.dtype(dtype.to_pandas_dtype()).kind
    temporal = getattr(dtype, "is_temporal", bool)()  # of polars
    return "M" if temporal else getattr(dtype, "kind", "O")


def _columns_without_numbers(X: Any) -> dict[Any, Any]:
    """Columns in which something is no number, and the first such value of each."""
    table = isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "OUS"
    if not table and not hasattr(X, "columns"):
        return {}
    columns = _columns(X) or [(j, X.dtype) for j in range(X.shape[1])]
    where = getattr(X, "iloc", X)
    found: dict[Any, Any] = {}
    for j, (name, dtype) in enumerate(columns):
        if _kind(dtype) in "OUST":
            bad = [value for value in where[:, j] if not _is_number(value)]
            if bad:
                found[name] = bad[0]
    return found


def _is_number(value: Any) -> bool:
    """Whether a value can be converted to a number, or is missing."""
    if isinstance(value, MISSING) or type(value).__name__ in MISSING_NAMES:
        return True
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _named(columns: list[Any]) -> str:
    """Names of columns, for a message."""
    names = ", ".join(map(repr, columns[:MOST_NAMED]))
    more = ", ..." if len(columns) > MOST_NAMED else ""
    return f"column{'s' if len(columns) > 1 else ''} {names}{more}"
