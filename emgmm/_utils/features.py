"""Features chosen by index or by name: one look-up for all that take such an argument.

Indices are NumPy's: integers, negative ones from the end. Booleans are refused, since
they could be meant as a mask or as the indices 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

Features = int | str | Iterable[int | str]
MOST_NAMES = 10  # in a message


def check_features(
    features: Features, n_features: int, names: Sequence[str] | None, argument: str
) -> NDArray:
    """Indices from 0 of the chosen features, in the order in which they are chosen."""
    chosen = _as_list(features)
    if not chosen:
        raise ValueError(f"{argument} is empty: choose at least one feature.")
    known = [] if names is None else list(names)
    indices = [_index(feature, n_features, known, argument) for feature in chosen]
    if len(set(indices)) < len(indices):
        raise ValueError(
            f"{argument}={features!r} chooses a feature more than once: list each "
            "feature only once."
        )
    return np.array(indices)


def split_features(
    features: Features, n_features: int, names: Sequence[str] | None, argument: str
) -> tuple[NDArray, NDArray]:
    """Indices of the chosen features, and of all others in ascending order."""
    chosen = check_features(features, n_features, names, argument)
    others = np.setdiff1d(np.arange(n_features), chosen)
    if not others.size:
        raise ValueError(
            f"{argument}={features!r} chooses all the features: leave out those that "
            "are to be predicted from the others."
        )
    return chosen, others


def check_columns(X: Any, names: Sequence[str] | None) -> None:
    """Raise if the columns of X have names, but not those of the features in order."""
    columns = getattr(X, "columns", None)
    if names is None or columns is None:
        return
    found = list(columns)
    if all(isinstance(name, str) for name in found) and found != list(names):
        raise ValueError(
            f"X has the columns {found}, but {list(names)} are expected: select these "
            "columns, in this order."
        )


def check_names(names: Iterable[str] | None, n_features: int) -> tuple[str, ...] | None:
    """The names as a tuple, one for each feature, or None if there are none."""
    if names is None:
        return None
    several = isinstance(names, Iterable) and not isinstance(names, str)
    listed = tuple(names) if several else ()
    strings = all(isinstance(name, str) for name in listed)
    if not strings or len(set(listed)) != n_features or len(listed) != n_features:
        raise ValueError(
            f"feature_names={list(listed) or names!r}: pass a list of {n_features} "
            "different strings, or None."
        )
    return tuple(map(str, listed))


def _as_list(features: Features) -> list[Any]:
    """The chosen features as a list, also if there is only one."""
    if isinstance(features, str) or not isinstance(features, Iterable):
        return [features]
    return list(
        np.atleast_1d(features) if isinstance(features, np.ndarray) else features
    )


def _index(feature: Any, n_features: int, names: list[str], argument: str) -> int:
    """The index from 0 of one feature."""
    if isinstance(feature, str) and names.count(feature) == 1:
        return names.index(feature)
    whole = isinstance(feature, Integral) and not isinstance(feature, bool)
    if whole and -n_features <= feature < n_features:
        return int(feature) % n_features
    raise ValueError(
        f"{argument} contains {feature!r}, which is not a feature: use an index from "
        f"{-n_features} to {n_features - 1}{_or_a_name(names)}."
    )


def _or_a_name(names: list[str]) -> str:
    """The part of a message that lists the names, empty where there are none."""
    if not names:
        return ""
    more = ", ..." if len(names) > MOST_NAMES else ""
    return f", or a name ({', '.join(map(repr, names[:MOST_NAMES]))}{more})"
