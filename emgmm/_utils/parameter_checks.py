"""Checks of parameters as scikit-learn makes them, for where it has them no more.

They take its constraints and raise its errors, word for word; only the constraints that
this package uses are here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn import config_context, get_config
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

NUMBERS: dict[type, str] = {Integral: "an int", Real: "a float"}


class InvalidParameterError(ValueError, TypeError):
    """A parameter has a type or a value that it cannot have."""


class Check(NamedTuple):
    """A constraint: whether a value satisfies it, and how errors describe it."""

    is_satisfied_by: Callable[[Any], bool]
    text: str

    def __str__(self) -> str:
        return self.text


class StrOptions:
    """One of some strings."""

    def __init__(self, options: set[str]) -> None:
        self.options: Any = options

    def is_satisfied_by(self, value: Any) -> bool:
        """Whether the value is one of the strings."""
        return isinstance(value, str) and value in self.options

    def __str__(self) -> str:
        return f"a str among {{{', '.join(map(repr, self.options))}}}"


class HasMethods:
    """Objects that have a method."""

    def __init__(self, method: str) -> None:
        self.method = method

    def is_satisfied_by(self, value: Any) -> bool:
        """Whether the value has the method."""
        return callable(getattr(value, self.method, None))

    def __str__(self) -> str:
        return f"an object implementing {self.method!r}"


class Interval:
    """Numbers of a kind between bounds, of which None is infinite."""

    def __init__(self, kind: type, left: Any, right: Any, *, closed: str) -> None:
        self.kind = kind
        self.left = -np.inf if left is None else left
        self.right = np.inf if right is None else right
        self.closed_left = closed in ("left", "both")
        self.closed_right = closed in ("right", "both")

    def is_satisfied_by(self, value: Any) -> bool:
        """Whether the value is such a number; NaN is none."""
        return isinstance(value, self.kind) and self._contains(value)

    def _contains(self, value: Any) -> bool:
        """Whether a number lies between the bounds."""
        above = value >= self.left if self.closed_left else value > self.left
        below = value <= self.right if self.closed_right else value < self.right
        return bool(above and below)

    def __str__(self) -> str:
        cast = float if self.kind is Real else lambda bound: bound
        opening = "[" if self.closed_left else "("
        closing = "]" if self.closed_right else ")"
        bounds = f"{cast(self.left)}, {cast(self.right)}"
        return f"{NUMBERS[self.kind]} in the range {opening}{bounds}{closing}"


def _is_array_like(value: Any) -> bool:
    """Whether the value is an array or a sequence, and no scalar or string."""
    sized = any(hasattr(value, name) for name in ("__len__", "shape", "__array__"))
    return sized and not (np.isscalar(value) or issparse(value))


def _is_random_state(value: Any) -> bool:
    """Whether the value seeds random numbers, or draws them."""
    known = value is None or isinstance(value, np.random.RandomState)
    return known or SEEDS.is_satisfied_by(value)


def _type_name(kind: type) -> str:
    """The name of a type in errors."""
    numbers: dict[type, str] = {Integral: "int", Real: "float"}
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return numbers.get(kind, f"{kind.__module__}.{kind.__qualname__}")


SEEDS = Interval(Integral, 0, 2**32 - 1, closed="both")
LEVELS = Interval(Integral, 0, None, closed="left")
BOOLEAN = Check(
    lambda value: isinstance(value, (bool, np.bool_)),
    "an instance of 'bool' or an instance of 'numpy.bool'",
)
CHECKS: dict[Any, Check] = {
    None: Check(lambda value: value is None, "None"),
    callable: Check(callable, "a callable"),
    "array-like": Check(_is_array_like, "an array-like"),
    "boolean": BOOLEAN,
    "random_state": Check(
        _is_random_state,
        f"{SEEDS}, an instance of 'numpy.random.mtrand.RandomState' or None",
    ),
    "verbose": Check(
        lambda value: BOOLEAN.is_satisfied_by(value) or LEVELS.is_satisfied_by(value),
        f"{LEVELS}, {BOOLEAN}",
    ),
}
"""Constraints by the names that scikit-learn gives them."""


def check_of(constraint: Any) -> Any:
    """The object that checks a constraint, which may be a name or a type."""
    if isinstance(constraint, type):
        text = f"an instance of {_type_name(constraint)!r}"
        return Check(lambda value: isinstance(value, constraint), text)
    try:
        return CHECKS[constraint]
    except (KeyError, TypeError):
        return constraint


def validate_parameter_constraints(
    constraints: dict[str, list[Any]], parameters: dict[str, Any], caller_name: str
) -> None:
    """InvalidParameterError if a parameter satisfies none of its constraints."""
    for name, value in parameters.items():
        checks = [check_of(constraint) for constraint in constraints.get(name, ())]
        if checks and not any(check.is_satisfied_by(value) for check in checks):
            *first, last = map(str, checks)
            allowed = f"{', '.join(first)} or {last}" if first else last
            raise InvalidParameterError(
                f"The {name!r} parameter of {caller_name} must be {allowed}. "
                f"Got {value!r} instead."
            )


def validate_before(fit: Any, skip_nested: bool) -> Any:
    """The method that fits, with the parameters validated before."""

    @wraps(fit)
    def fit_validated(estimator: Any, *args: Any, **kwargs: Any) -> Any:
        skip = get_config()["skip_parameter_validation"]
        goes_on = fit.__name__ == "partial_fit" and _is_fitted(estimator)
        if not (skip or goes_on):
            estimator._validate_params()
        with config_context(skip_parameter_validation=skip or skip_nested):
            return fit(estimator, *args, **kwargs)

    return fit_validated


def _is_fitted(estimator: Any) -> bool:
    """Whether the estimator has been fitted."""
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True
