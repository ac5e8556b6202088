"""What users pass, checked: each error names the argument, the value, the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import InvalidParameterError, StrOptions

from ._algebra import MATRICES, VARIANCES
from ._covariances import Covariances
from ._families import FAMILIES, CovarianceFamily
from ._inputs import holds_dates

# What the rounding of float32 parameters must pass.
WEIGHT_SUM_TOL = 1e-6
SYMMETRY_TOL = 1e-5
FAMILY_TOL = 1e-4
ASYMMETRIC = "it differs from its transpose"
# Arguments that hold matrices: what one is called, and how a storage is made of it.
MATRICES_OF = {
    "covariances": ("covariance", "from_values"),
    "precisions_init": ("precision", "from_precisions"),
}


@contextmanager
def unchanged_on_failure(estimator: Any, but: str = "") -> Iterator[None]:
    """Give the estimator its attributes back, but for one, if the block raises."""
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
    """Strings that errors list in this order; a set has another in each process."""

    def __init__(self, options: Iterable[str]) -> None:
        super().__init__(set(options))
        self.options = tuple(options)


class Suggesting:
    """Validates parameters as scikit-learn does, and suggests names that are near."""

    def _validate_params(self) -> None:
        try:
            super()._validate_params()  # type: ignore[misc]
        except InvalidParameterError as error:
            own: Any = self
            near = [
                did_you_mean(value, constraint.options)
                for name, value in own.get_params(deep=False).items()
                for constraint in own._parameter_constraints.get(name, ())
                if isinstance(constraint, StrOptions) and f"{name!r}" in str(error)
            ]
            raise InvalidParameterError(f"{error}{''.join(near)}") from None


def did_you_mean(value: Any, options: Iterable[str]) -> str:
    """A question that ends an error: the option nearest to a value, if one is near."""
    folded = {option.lower(): option for option in options}
    wanted = value.lower() if isinstance(value, str) else ""
    near = get_close_matches(wanted, folded, n=1)
    return f" Did you mean {folded[near[0]]!r}?" if near else ""


def check_models(names: Iterable[Any]) -> list[str]:
    """Names of covariance models to be compared, each once."""
    chosen = list(dict.fromkeys(map(str, names)))
    unknown = [name for name in chosen if name not in FAMILIES]
    if unknown or not chosen:
        raise ValueError(
            f"covariance_type={names!r}: give 'all', or names from "
            f"{', '.join(FAMILIES)}." + "".join(map(_nearest_model, unknown))
        )
    return chosen


def _nearest_model(name: str) -> str:
    return did_you_mean(name, FAMILIES)


def check_criterion(criterion: Any, values: NDArray, failure: Exception | None) -> None:
    """Whether a callable has failed for every candidate that it was asked of."""
    if failure is not None and not np.isfinite(values).any():
        raise ValueError(
            f"criterion={criterion!r:.60} raised {failure!r:.200}, and gave no "
            "candidate a finite number: correct it."
        ) from failure


def check_start(start: ArrayLike, sample_weight: NDArray, n_components: int) -> NDArray:
    """Starting labels (n,) or responsibilities (n, K) given as ``init_params``."""
    numbers, n_samples = as_numbers(start, "init_params"), len(sample_weight)
    if numbers.shape == (n_samples,):
        labels = _check_labels(numbers, n_components)
        _check_none_empty(np.bincount(labels + 1, sample_weight, n_components + 1)[1:])
        return labels
    if numbers.shape == (n_samples, n_components):
        responsibilities = _check_responsibilities(numbers)
        _check_none_empty(sample_weight @ responsibilities)
        return responsibilities
    raise ValueError(
        f"init_params has the shape {numbers.shape}: give labels of shape "
        f"{(n_samples,)} or responsibilities of shape {(n_samples, n_components)}."
    )


def check_given(
    parameters: tuple[ArrayLike | None, ArrayLike | None, ArrayLike | None],
    covariance_type: str,
    sizes: tuple[int, int],
) -> dict[str, Any]:
    """The fields of a mixture that weights, means and precisions ``*_init`` give."""
    weights, means, precisions = parameters
    given: dict[str, Any] = {}
    if weights is not None:
        given["weights"] = check_weights(weights, sizes[0], "weights_init")
    if means is not None:
        given["means"] = check_means(means, sizes, "means_init")
    if precisions is not None:
        given["covariances"] = check_covariances(
            precisions, "precisions_init", covariance_type, sizes
        )
    return given


def check_weights(
    weights: ArrayLike, n_components: int, argument: str = "weights"
) -> NDArray:
    """Component weights (K,), not negative, with a sum of one."""
    numbers = shaped(weights, argument, "weights", (n_components,))
    if (numbers < 0).any() or (numbers > 1).any():
        raise ValueError(
            f"The parameter 'weights' should be in the range [0, 1], but got values "
            f"from {numbers.min():.5f} to {numbers.max():.5f}: give {argument} the "
            "shares of the components."
        )
    total = numbers.sum()
    if abs(total - 1) > WEIGHT_SUM_TOL:
        raise ValueError(
            f"The parameter 'weights' should be normalized, but got sum(weights) = "
            f"{total:.5f}: divide {argument} by its sum."
        )
    return numbers / total


def check_means(
    means: ArrayLike, sizes: tuple[int, int], argument: str = "means"
) -> NDArray:
    """Component means (K, d)."""
    return shaped(means, argument, "means", sizes)


def shape_of_means(means: ArrayLike, argument: str = "means") -> tuple[int, int]:
    """Numbers of components and features that given means have."""
    numbers = as_numbers(means, argument)
    if numbers.ndim != 2 or not numbers.size:
        raise ValueError(
            f"{argument} has the shape {numbers.shape}: give one row for each "
            "component and one column for each feature."
        )
    return numbers.shape[0], numbers.shape[1]


def check_covariances(
    given: ArrayLike, argument: str, covariance_type: str, sizes: tuple[int, int]
) -> Covariances:
    """Covariances or precisions: positive definite, and of the family's form."""
    family = FAMILIES[covariance_type]
    noun, build = MATRICES_OF[argument]
    label = f"{covariance_type} {noun}"
    numbers = shaped(given, argument, label, family.storage.shape(*sizes))
    if family.storage.algebra is VARIANCES:
        wanted, lacking = "positive", f"its smallest value is {numbers.min():.6g}"
    else:
        wanted, lacking = "symmetric, positive-definite", _what_is_lacking(numbers)
    try:
        if lacking == ASYMMETRIC:
            raise np.linalg.LinAlgError(ASYMMETRIC)
        covariances = getattr(family.storage, build)(numbers, *sizes)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"The parameter '{label}' should be {wanted}, but {lacking}: correct "
            f"{argument}."
        ) from error
    check_form(covariances, argument, covariance_type, FAMILY_TOL)
    return covariances


def check_form(
    covariances: Covariances, argument: str, covariance_type: str, tol: NDArray | float
) -> None:
    """Whether covariances are of the form that the model allows."""
    if not _belongs(covariances, FAMILIES[covariance_type], tol):
        raise ValueError(
            f"{argument} is not of the form that covariance_type={covariance_type!r} "
            "stands for (volume, shape, orientation: Equal, Variable or Identity): "
            "correct it, or give a more general covariance_type, such as 'full'."
        )


def _what_is_lacking(matrices: NDArray) -> str:
    """Why matrices are not symmetric and positive definite, if they are not."""
    scale = MATRICES.scale_of(matrices)
    if (np.abs(matrices - matrices.mT) > SYMMETRY_TOL * scale).any():
        return ASYMMETRIC
    return f"its smallest eigenvalue is {np.linalg.eigvalsh(matrices).min():.6g}"


def _belongs(
    covariances: Covariances, family: CovarianceFamily, tol: NDArray | float
) -> bool:
    """Whether the family, asked to estimate the covariances, returns them."""
    counts = np.ones(covariances.n_components)
    values = covariances.values
    scatter = covariances.scatter(values, counts, covariances.n_features)
    estimate = family.estimate(counts, scatter, covariances)
    return not (np.abs(estimate - values) > tol * covariances.scale).any()


def _check_labels(numbers: NDArray, n_components: int) -> NDArray:
    """Labels (n,) as integers."""
    bad = (np.rint(numbers) != numbers) | (numbers < -1) | (numbers >= n_components)
    if bad.any():
        raise ValueError(
            f"init_params holds the label {numbers[np.argmax(bad)]:g}: give labels "
            f"from 0 to {n_components - 1}, or -1 for rows not assigned."
        )
    return numbers.astype(np.intp)


def _check_responsibilities(numbers: NDArray) -> NDArray:
    """Responsibilities (n, K): no negative ones, rows with a sum of one or zero."""
    totals = numbers.sum(axis=1)
    bad = (numbers < 0).any(axis=1)
    bad |= (np.abs(totals - 1) > WEIGHT_SUM_TOL) & (totals != 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"init_params holds the responsibilities {numbers[row]} at row {row}: "
            "give numbers of 0 or more that sum to one, or zeros for rows not assigned."
        )
    return numbers


def _check_none_empty(counts: NDArray) -> None:
    """Every component must start from some row."""
    if (counts <= 0).any():
        raise ValueError(
            f"init_params gives no row to component {int(np.argmin(counts))}: assign "
            "at least one row of positive weight to each of the n_components."
        )


def shaped(
    given: ArrayLike, argument: str, label: str, shape: tuple[int, ...]
) -> NDArray:
    """Finite numbers of the wanted shape."""
    numbers = as_numbers(given, argument)
    if numbers.shape != shape:
        raise ValueError(
            f"The parameter '{label}' should have the shape of {shape}, but got "
            f"{numbers.shape}: reshape {argument}, or change n_components or "
            "covariance_type to fit it."
        )
    return numbers


def as_numbers(given: ArrayLike, argument: str, copy: bool = True) -> NDArray:
    """The argument as an array of finite float64 numbers, its own if not copied."""
    if np.ma.is_masked(given):
        raise ValueError(
            f"{argument} has masked values, and needs numbers: replace them, with "
            "numpy.ma.filled, or leave out what they belong to."
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
    """A number of rows to draw, of so many features."""
    most = np.iinfo(np.intp).max // (np.dtype(np.float64).itemsize * n_features)
    if not isinstance(n_samples, Integral) or not 1 <= n_samples <= most:
        raise ValueError(
            f"Invalid value for 'n_samples': {n_samples!r}. Give a whole number from 1 "
            f"to {most}, as many rows as an array can have."
        )
    return int(n_samples)
