"""Whether covariances, precisions and their factors agree but for rounding.

Predictions are computed from the factors of the precisions, which say most where a
matrix is nearly singular: by them the others are judged.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.validation import shaped

from .covariances import Covariances
from .families import FAMILIES
from .linalg import inverse_triangles
from .validation import (
    FAMILY_TOL,
    SYMMETRY_TOL,
    check_form,
    check_means,
    check_weights,
    shape_of_means,
)

MATRICES = ("covariances_", "precisions_", "precisions_cholesky_")
MIXTURE = ("weights_", "means_", *MATRICES)
ROUNDING = 16  # units in the last place, for each feature, that a product may lose
MOST_UNEVEN = 0.01  # of a covariance, on one side of the diagonal and the other
MOST_ROUNDING = 0.5  # of a covariance that may be lost where it is inverted by users


def eps_of(dtype: np.dtype) -> float:
    """Unit of rounding of a type of numbers."""
    return float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0


def upper(factors: NDArray, storage: type[Covariances]) -> NDArray:
    """U of any factors A with precision = A A': upper triangular, of positive diagonal.

    Factors that are of this form already are returned as they are.
    """
    triangles = storage.algebra.to_upper(factors)
    if not storage.algebra.is_upper(triangles):
        raise ValueError(
            "precisions_cholesky_ is singular: assign factors that can be inverted, "
            "such as np.linalg.cholesky of precisions."
        )
    return triangles


def check_mixture(published: dict[str, NDArray], model: str) -> None:
    """Whether arrays, in float64 or all in float32, are the parameters of a mixture."""
    kinds = {published[name].dtype for name in MIXTURE}
    if kinds not in ({np.dtype(np.float64)}, {np.dtype(np.float32)}):
        raise ValueError(f"its parameters are {kinds}, not all float64 or all float32")
    sizes = shape_of_means(published["means_"], "means_")
    check_weights(published["weights_"], sizes[0], "weights_")
    check_means(published["means_"], sizes, "means_")
    shape = FAMILIES[model].storage.shape(*sizes)
    values, precisions, factors = (
        shaped(published[name], name, name, shape) for name in MATRICES
    )
    # Numbers that are far out of range show as infinite or NaN, and are refused.
    with np.errstate(all="ignore"):
        covariances = _covariances(factors, model, sizes)
        eps = eps_of(kinds.pop())
        if not agree(covariances, values, eps):
            raise ValueError("covariances_ does not agree with precisions_cholesky_")
        if not are_inverse(covariances, precisions):
            raise ValueError("precisions_ does not agree with precisions_cholesky_")
        slack = _slack_of_form(covariances, model, eps)
        if slack < 1:  # or rounding has left nothing of the form
            check_form(covariances, "covariances_", model, slack)


def _covariances(factors: NDArray, model: str, sizes: tuple[int, int]) -> Covariances:
    """The covariances that predictions are computed with."""
    storage = FAMILIES[model].storage
    if not storage.algebra.is_upper(factors):
        raise ValueError(
            "precisions_cholesky_ is not upper triangular with a positive diagonal"
        )
    covariances = storage.from_factors(factors, *sizes)
    numbers = covariances.values, covariances.precisions, 1 / covariances.variances
    if not all(np.isfinite(array).all() for array in numbers):
        raise ValueError("precisions_cholesky_ stands for infinite covariances")
    return covariances


def agree(covariances: Covariances, values: NDArray, eps: float) -> bool:
    """Whether values are the covariances but for rounding, in units of ``eps``.

    Both may come from the same matrices, and be rounded apart from one another; five
    digits suffice in any case.
    """
    scale = covariances.scale
    off = np.abs(values - covariances.values) / scale
    if (off <= SYMMETRY_TOL).all():
        return True
    if covariances.algebra.inverts_exactly:
        return False
    uneven = float((np.abs(values - values.mT) / scale).max())  # rounding, as it shows
    if not uneven <= MOST_UNEVEN:
        return False
    eps = max(eps, uneven, eps_of(np.dtype(np.float64)))
    tol = ROUNDING * covariances.n_features * eps
    bound = tol + _spread_of_inverses(covariances, tol)
    bound = SYMMETRY_TOL + bound[..., None, None] + _spread(covariances, tol) / scale
    return not (off > bound).any()  # NaN is no bound


def _spread(covariances: Covariances, tol: float) -> NDArray:
    """How far errors of the factors, and of their computation, move covariances.

    A relative error E of U, entry by entry, is one of (I - |W||E U|)^-1 |W||E U||W| in
    its inverse W: far less than condition numbers allow, since U is triangular.
    """
    factors = np.abs(covariances.precisions_cholesky)
    inverses = np.abs(covariances.inverse_factors)
    with np.errstate(all="ignore"):
        growth = inverses @ factors
        errors = tol * (growth + growth @ growth)
        rest = np.eye(covariances.n_features) - errors
        if (np.einsum("...ii->...i", rest) <= 0).any():
            return np.full_like(covariances.values, np.inf)
        moved = inverse_triangles(rest.mT).mT @ errors @ inverses
        return moved.mT @ (inverses + moved) + inverses.mT @ moved


def _spread_of_inverses(covariances: Covariances, tol: float) -> NDArray:
    """How far covariances are moved, in units of themselves, where factors are made
    of their inverses."""
    deviations = np.sqrt(np.einsum("...ii->...i", covariances.values))
    scaled = covariances.algebra.scale(covariances.precisions_cholesky, deviations)
    with np.errstate(all="ignore"):
        return np.minimum(tol * np.linalg.cond(scaled) ** 2, MOST_ROUNDING)


def are_inverse(covariances: Covariances, precisions: NDArray) -> bool:
    """Whether precisions are those of the factors."""
    inverse = replace(covariances, values=covariances.precisions)
    if precisions.shape != inverse.values.shape:
        return False
    off = np.abs(precisions - inverse.values)
    return bool((off <= SYMMETRY_TOL * inverse.scale).all())


def _slack_of_form(covariances: Covariances, model: str, eps: float) -> float:
    """Relative error that may keep covariances from the model's form.

    What components have in common spreads the error of the worst. Where the features
    have units of their own, but the model mixes them, it sees the condition as it is.
    """
    units = np.sqrt(covariances.variances)
    if not FAMILIES[model].scale_equivariant:
        units = np.ones_like(units)
    condition = covariances.algebra.conditions(covariances.factors, units).max()
    relative = (eps + np.finfo(np.float64).eps * condition) * condition
    return FAMILY_TOL + ROUNDING * covariances.n_features * float(relative)
