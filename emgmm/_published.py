"""What a fit publishes of its mixture, checked: whether it is all of one mind.

Predictions are computed from the factors of the precisions, which tell most where a
matrix is nearly singular: of the others they must be right but for rounding.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ._algebra import VARIANCES
from ._covariances import Covariances
from ._families import FAMILIES
from ._validation import (
    FAMILY_TOL,
    SYMMETRY_TOL,
    check_form,
    check_means,
    check_weights,
    shape_of_means,
    shaped,
)

MATRICES = ("covariances_", "precisions_", "precisions_cholesky_")
MIXTURE = ("weights_", "means_", *MATRICES)
ROUNDING = 16  # units in the last place, for each feature, that a product may lose


def check_mixture(published: dict[str, NDArray], model: str) -> None:
    """Whether arrays, in float64 or all in float32, are the parameters of a mixture."""
    kinds = {published[name].dtype for name in MIXTURE}
    if kinds not in ({np.dtype(np.float64)}, {np.dtype(np.float32)}):
        raise ValueError(f"its parameters are {kinds}, not all float64 or all float32")
    sizes = shape_of_means(published["means_"])
    check_weights(published["weights_"], sizes[0], "weights_")
    check_means(published["means_"], sizes, "means_")
    shape = FAMILIES[model].storage.shape(*sizes)
    values, precisions, factors = (
        shaped(published[name], name, name, shape) for name in MATRICES
    )
    # Numbers that are far out of range show as infinite or NaN, and are refused.
    with np.errstate(all="ignore"):
        covariances = _covariances(factors, model, sizes)
        inverse = replace(covariances, values=covariances.precisions)
        eps = float(np.finfo(kinds.pop()).eps)
        _check_close("covariances_", covariances, values, _slack(covariances, eps))
        _check_close("precisions_", inverse, precisions, SYMMETRY_TOL)
        check_form(
            covariances, "covariances_", model, _slack_of_form(covariances, model, eps)
        )


def _covariances(factors: NDArray, model: str, sizes: tuple[int, int]) -> Covariances:
    """The covariances that predictions are computed with."""
    storage = FAMILIES[model].storage
    diagonals, below = factors, np.zeros(1)
    if storage.algebra is not VARIANCES:
        diagonals = np.diagonal(factors, axis1=-2, axis2=-1)
        below = np.tril(factors, -1)
    if (diagonals <= 0).any() or below.any():
        raise ValueError(
            "precisions_cholesky_ is not upper triangular with a positive diagonal"
        )
    covariances = storage.from_factors(factors, *sizes)
    numbers = covariances.values, covariances.precisions, 1 / covariances.variances
    if not all(np.isfinite(array).all() for array in numbers):
        raise ValueError("precisions_cholesky_ stands for infinite covariances")
    return covariances


def _slack(covariances: Covariances, eps: float) -> NDArray:
    """Relative errors (K, 1, 1) that published covariances may have.

    Rounding of the factors grows by their condition where they are inverted, that of
    the covariances themselves, which have been in float64, by its square.
    """
    condition = _conditions(covariances, np.sqrt(covariances.variances))
    relative = (eps + np.finfo(np.float64).eps * condition) * condition
    slack = np.minimum(ROUNDING * covariances.n_features * relative, 1.0)
    return SYMMETRY_TOL + slack[:, None, None]


def _slack_of_form(covariances: Covariances, model: str, eps: float) -> float:
    """Relative error that may keep covariances from the model's form.

    What components have in common spreads the error of the worst. Where the features
    have units of their own, but the model mixes them, it sees the condition as it is.
    """
    units = np.sqrt(covariances.variances)
    if not FAMILIES[model].by_feature:
        units = np.ones_like(units)
    condition = _conditions(covariances, units).max()
    relative = (eps + np.finfo(np.float64).eps * condition) * condition
    return FAMILY_TOL + ROUNDING * covariances.n_features * float(relative)


def _conditions(covariances: Covariances, units: NDArray) -> NDArray:
    """Conditions (K,) of the factors, for rows in such units (K, d)."""
    if covariances.algebra is VARIANCES:
        return np.ones(covariances.n_components)
    return np.linalg.cond(covariances.factors * units[:, :, None])


def _check_close(
    name: str, implied: Covariances, values: NDArray, tol: NDArray | float
) -> None:
    """Whether values are, but for rounding, what the published factors stand for."""
    deviations = np.sqrt(implied.variances)
    scale = deviations[:, :, None] * deviations[:, None, :]
    off = np.abs(replace(implied, values=values).dense() - implied.dense())
    if not (off <= tol * scale).all():
        raise ValueError(f"{name} does not agree with precisions_cholesky_")
