"""Columns that users choose by index or by name, and the names that they have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

Features = int | str | Iterable[int | str]


def check_features(
    features: Features, n_features: int, names: Sequence[str] | None, argument: str
) -> NDArray:
    """Indices of one or several features, each once, in the order given."""
    single = isinstance(features, str) or np.ndim(features) == 0  # type: ignore[arg-type]
    chosen: list[Any] = [features] if single else list(features)  # type: ignore[arg-type]
    if not chosen:
        raise ValueError(f"{argument} is empty: give one feature or more.")
    known = list(names) if names is not None else None
    indices = [_index(feature, n_features, known, argument) for feature in chosen]
    if len(set(indices)) < len(indices):
        raise ValueError(f"{argument}={features!r}: give each feature once.")
    return np.array(indices)


def split_features(
    features: Features, n_features: int, names: Sequence[str] | None, argument: str
) -> tuple[NDArray, NDArray]:
    """Indices of features that are given, and of the others in their own order."""
    given = check_features(features, n_features, names, argument)
    others = np.setdiff1d(np.arange(n_features), given)
    if not others.size:
        raise ValueError(
            f"{argument}={features!r} are all the features: leave out those that are "
            "to be told from them."
        )
    return given, others


def check_columns(X: Any, names: Sequence[str] | None) -> None:
    """Columns that have names must have those of the features, in their order."""
    columns = getattr(X, "columns", None)
    if names is None or columns is None:
        return
    found = list(columns)
    if all(isinstance(name, str) for name in found) and found != list(names):
        raise ValueError(
            f"X has the columns {found}, expected {list(names)}: give these, in this "
            "order."
        )


def check_names(names: Iterable[str] | None, n_features: int) -> tuple[str, ...] | None:
    """One name for each feature, as a tuple."""
    if names is None:
        return None
    several = isinstance(names, Iterable) and not isinstance(names, str)
    given = tuple(names) if several else ()
    strings = all(isinstance(name, str) for name in given)
    if not strings or len(set(given)) != n_features or len(given) != n_features:
        raise ValueError(
            f"feature_names={list(given) or names!r}: give {n_features} different "
            "strings in a list, or None."
        )
    return tuple(map(str, given))


def _index(
    feature: Any, n_features: int, names: list[str] | None, argument: str
) -> int:
    """Of one feature, from 0."""
    if isinstance(feature, str) and names is not None and names.count(feature) == 1:
        return names.index(feature)
    whole = isinstance(feature, Integral) and not isinstance(feature, bool)
    if whole and -n_features <= feature < n_features:
        return int(feature) % n_features
    known = "" if names is None else f", or names from {', '.join(names)}"
    raise ValueError(
        f"{argument} has the feature {feature!r}: give indices from {-n_features} to "
        f"{n_features - 1}{known}."
    )
