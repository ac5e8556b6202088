"""Checks that do not depend on mixtures, and errors that suggest a remedy."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .device import to_host
from .inputs import holds_dates
from .sklearn_private import (
    InvalidParameterError,
    StrOptions,
    validate_parameter_constraints,
)


@contextmanager
def restore_on_error(estimator: Any, but: str = "") -> Iterator[None]:
    """A context that restores the attributes of the estimator, except one, on error."""
    attributes = vars(estimator).copy()
    try:
        yield
    except BaseException:
        if but in vars(estimator):
            attributes[but] = vars(estimator)[but]
        vars(estimator).clear()
        vars(estimator).update(attributes)
        raise


class Names(StrOptions):
    """Names that errors list in this order, which a set does not keep."""

    def __init__(self, options: Iterable[str]) -> None:
        super().__init__(set(options))
        self.options = tuple(options)


class Suggesting:
    """Validates parameters as scikit-learn does, and suggests similar names."""

    def _validate_params(self) -> None:
        own: Any = self
        constraints, parameters = own._parameter_constraints, own.get_params(deep=False)
        try:
            validate_parameter_constraints(constraints, parameters, type(self).__name__)
        except InvalidParameterError as error:
            near = [
                did_you_mean(value, constraint.options)
                for name, value in parameters.items()
                for constraint in constraints.get(name, ())
                if isinstance(constraint, StrOptions) and f"{name!r}" in str(error)
            ]
            raise InvalidParameterError(f"{error}{''.join(near)}") from None


def did_you_mean(value: Any, options: Iterable[str]) -> str:
    """A question that ends an error: the option most similar to the value, if any."""
    folded = {option.lower(): option for option in options}
    wanted = value.lower() if isinstance(value, str) else ""
    near = get_close_matches(wanted, folded, n=1)
    return f" Did you mean {folded[near[0]]!r}?" if near else ""


def pandas_for_frames(otherwise: str = "") -> Any:
    """The module pandas. ImportError says what else there is."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            f"to_frame needs pandas: install it with pip install pandas{otherwise}."
        ) from error
    return pandas


def check_choice(argument: str, value: Any, allowed: Collection[str]) -> None:
    """ValueError if the value is not one of the allowed names."""
    if not isinstance(value, str) or value not in allowed:
        names = ", ".join(map(repr, allowed))
        raise ValueError(
            f"{argument}={value!r:.60} is unknown: use one of {names}."
            f"{did_you_mean(value, allowed)}"
        )


def check_criterion(criterion: Any, values: NDArray, failure: Exception | None) -> None:
    """ValueError if a callable criterion has failed for every candidate."""
    if failure is not None and not np.isfinite(values).any():
        raise ValueError(
            f"criterion={criterion!r:.60} raised {failure!r:.200}, and returned a "
            "finite number for no candidate: correct it."
        ) from failure


def shaped(
    given: ArrayLike,
    argument: str,
    label: str,
    shape: tuple[int, ...],
    otherwise: str = ", or change n_components or covariance_type to fit it",
) -> NDArray:
    """The argument as finite numbers; ValueError if it has another shape, which says
    what can be done otherwise."""
    numbers = as_numbers(given, argument)
    if numbers.shape != shape:
        raise ValueError(
            f"The parameter '{label}' should have the shape of {shape}, but got "
            f"{numbers.shape}: reshape {argument}{otherwise}."
        )
    return numbers


def as_numbers(given: ArrayLike, argument: str, copy: bool = True) -> NDArray:
    """The argument as finite float64 numbers: a new array, unless not copied."""
    given = to_host(given)
    if np.ma.is_masked(given):
        raise ValueError(
            f"{argument} has masked values: replace them by numbers, for instance with "
            "numpy.ma.filled."
        )
    try:
        raw = np.asarray(given)
        if given is None or raw.dtype.kind not in "biufO" or holds_dates(raw):
            raise TypeError("not real numbers")
        numbers = np.array(raw, dtype=np.float64, copy=copy or None)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{argument} must hold real numbers, got {given!r:.60}: give a "
            "rectangular array of them."
        ) from error
    if not np.isfinite(numbers).all():
        bad = numbers[~np.isfinite(numbers)].flat[0]
        raise ValueError(f"{argument} contains {bad}: replace it by a finite number.")
    return numbers


def check_n_samples(n_samples: int, n_features: int) -> int:
    """The number of rows to draw, which must fit into an array of so many features."""
    most = np.iinfo(np.intp).max // (np.dtype(np.float64).itemsize * n_features)
    if not isinstance(n_samples, Integral) or not 1 <= n_samples <= most:
        raise ValueError(
            f"Invalid value for 'n_samples': {n_samples!r}. Give a whole number from 1 "
            f"to {most}, as many rows as an array can have."
        )
    return int(n_samples)
