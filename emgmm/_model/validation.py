"""Checks of parameters: each error names the argument, the value and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emgmm._utils.validation import as_numbers, did_you_mean, shaped

from .covariances import Covariances
from .families import FAMILIES, CovarianceFamily
from .segments import Segments

# Tolerances that the rounding of float32 parameters stays within.
WEIGHT_SUM_TOL = 1e-6
SYMMETRY_TOL = 1e-5
FAMILY_TOL = 1e-4
ASYMMETRIC = "it differs from its transpose"
# Arguments with matrices: the name of one, and the constructor of a storage from them.
MATRICES_OF = {
    "covariances": ("covariance", "from_values"),
    "precisions_init": ("precision", "from_precisions"),
}


def check_models(names: Iterable[Any]) -> list[str]:
    """Names of covariance models to compare, without duplicates."""
    chosen = list(dict.fromkeys(map(str, names)))
    unknown = [name for name in chosen if name not in FAMILIES]
    if unknown or not chosen:
        raise ValueError(
            f"covariance_type={names!r}: give 'all', or names from "
            f"{', '.join(FAMILIES)}." + "".join(map(_nearest_model, unknown))
        )
    return chosen


def _nearest_model(name: str) -> str:
    """A suggestion for an unknown name, or nothing."""
    return did_you_mean(name, FAMILIES)


def check_given(
    parameters: tuple[ArrayLike | None, ArrayLike | None, ArrayLike | None],
    covariance_type: str,
    sizes: tuple[int, int],
) -> dict[str, Any]:
    """Fields of ``Parameters`` from ``weights_init``, ``means_init`` and
    ``precisions_init``, as far as they are not None."""
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
    """Component weights (K,), non-negative, normalised to a sum of one."""
    numbers = shaped(weights, argument, "weights", (n_components,))
    if (numbers < 0).any() or (numbers > 1).any():
        raise ValueError(
            f"The parameter 'weights' should be in the range [0, 1], but got values "
            f"from {numbers.min():.5f} to {numbers.max():.5f}: set {argument} to the "
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
    """Numbers of components and of features of the means."""
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
    """Covariances from matrices that are positive definite and of the family's form."""
    family = FAMILIES[covariance_type]
    noun, build = MATRICES_OF[argument]
    label = f"{covariance_type} {noun}"
    numbers = shaped(given, argument, label, family.storage.shape(*sizes))
    algebra = family.storage.algebra
    symmetric = algebra.are_symmetric(numbers, SYMMETRY_TOL)
    try:
        if not symmetric:
            raise np.linalg.LinAlgError(ASYMMETRIC)
        segments = Segments.one(sizes[0])
        numbers_of_stack = numbers.reshape(family.storage.layout(segments, sizes[1]))
        covariances = getattr(family.storage, build)(
            numbers_of_stack, segments, sizes[1]
        )
    except np.linalg.LinAlgError as error:
        smallest = f"its smallest {algebra.least_name} is {algebra.least(numbers):.6g}"
        raise ValueError(
            f"The parameter '{label}' should be {algebra.form}, but "
            f"{smallest if symmetric else ASYMMETRIC}: correct {argument}."
        ) from error
    check_form(covariances, argument, covariance_type, FAMILY_TOL)
    return covariances


def check_form(
    covariances: Covariances, argument: str, covariance_type: str, tol: NDArray | float
) -> None:
    """Raise ValueError unless covariances are of the form of the model."""
    if not _belongs(covariances, FAMILIES[covariance_type], tol):
        raise ValueError(
            f"{argument} is not of the form of covariance_type={covariance_type!r} "
            "(volume, shape and orientation are Equal, Variable or the Identity): "
            "correct it, or choose a more general covariance_type, such as 'full'."
        )


def _belongs(
    covariances: Covariances, family: CovarianceFamily, tol: NDArray | float
) -> bool:
    """Whether the family's estimate from rows with these covariances is the same."""
    counts = np.ones(covariances.n_components)
    values = covariances.values
    segments = covariances.segments
    scatter = covariances.scatter(segments, values, counts, covariances.n_features)
    estimate = family.estimate(segments, counts, scatter, covariances)
    return not (np.abs(estimate - values) > tol * covariances.scale).any()
