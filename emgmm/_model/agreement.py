"""Whether covariances, precisions and their Cholesky factors are consistent.

Predictions are computed from the factors of the precisions, which are the most accurate
where a matrix is nearly singular: the others are compared with these.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.validation import shaped

from .covariances import Covariances
from .families import FAMILIES
from .linalg import inverse_triangles
from .segments import Segments
from .validation import (
    FAMILY_TOL,
    SYMMETRY_TOL,
    check_form,
    check_means,
    check_weights,
    shape_of_means,
)

MATRIX_NAMES = ("covariances_", "precisions_", "precisions_cholesky_")
OF_NOISE = NOISE_WEIGHT, NOISE_BOX = "noise_weight_", "noise_box_"
"""Attributes of a mixture with noise: its weight, and the center and the lengths of the
box in which it is uniform."""
MIXTURE = ("weights_", "means_", *MATRIX_NAMES)
LOST_UNITS = 16  # units in the last place, for each feature, that a product may lose
MAX_ASYMMETRY = 0.01  # in units of the standard deviations of both features
MAX_LOSS = 0.5  # in these units, of the covariances where users invert them


def eps_of(dtype: np.dtype) -> float:
    """Machine epsilon of a floating-point type; 0 of others."""
    return float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0


def upper(factors: NDArray, storage: type[Covariances]) -> NDArray:
    """U of any factors A with precision = A A': upper triangular, positive diagonal.

    Factors of this form are returned as they are.
    """
    triangles = storage.algebra.to_upper(factors)
    if not storage.algebra.is_upper(triangles):
        raise ValueError(
            "precisions_cholesky_ is singular: assign factors that can be inverted, "
            "such as np.linalg.cholesky of precisions."
        )
    return triangles


def check_mixture(published: dict[str, Any], model: str) -> None:
    """Raise ValueError unless the arrays, all float64 or all float32, are consistent
    parameters of a mixture."""
    kinds = {published[name].dtype for name in MIXTURE}
    if kinds not in ({np.dtype(np.float64)}, {np.dtype(np.float32)}):
        raise ValueError(f"its parameters are {kinds}, not all float64 or all float32")
    sizes = shape_of_means(published["means_"], "means_")
    weights, n_weights = published["weights_"], sizes[0]
    if NOISE_BOX in published:
        weights = np.append(weights, _checked_noise_weight(published, sizes[1]))
        n_weights += 1
    check_weights(weights, n_weights, "weights_")
    check_means(published["means_"], sizes, "means_")
    storage = FAMILIES[model].storage
    shape, layout = (
        storage.shape(*sizes),
        storage.layout(Segments.one(sizes[0]), sizes[1]),
    )
    values, precisions, factors = (
        shaped(published[name], name, name, shape).reshape(layout)
        for name in MATRIX_NAMES
    )
    # Numbers far out of range become infinite or NaN, and are refused.
    with np.errstate(all="ignore"):
        covariances = _covariances_of_factors(factors, model, sizes)
        eps = eps_of(kinds.pop())
        if not agree(covariances, values, eps):
            raise ValueError("covariances_ is inconsistent with precisions_cholesky_")
        if not are_inverse(covariances, precisions):
            raise ValueError("precisions_ is inconsistent with precisions_cholesky_")
        slack = _slack_of_form(covariances, model, eps)
        if slack < 1:  # else rounding hides the form
            check_form(covariances, "covariances_", model, slack)


def _checked_noise_weight(published: dict[str, Any], n_features: int) -> float:
    """The weight of the noise, whose box is checked."""
    box, weight = published[NOISE_BOX], published.get(NOISE_WEIGHT)
    if box.shape != (2, n_features) or not (
        np.isfinite(box).all() and (box[1] > 0).all()
    ):
        raise ValueError(f"{NOISE_BOX} is not a center and lengths of {n_features}")
    if type(weight) is not float or not 0 <= weight <= 1:
        raise ValueError(f"{NOISE_WEIGHT} is {weight!r:.60}, not a weight")
    return weight


def _covariances_of_factors(
    factors: NDArray, model: str, sizes: tuple[int, int]
) -> Covariances:
    """The covariances with these factors, checked."""
    storage = FAMILIES[model].storage
    if not storage.algebra.is_upper(factors):
        raise ValueError(
            "precisions_cholesky_ is not upper triangular with a positive diagonal"
        )
    covariances = storage.from_factors(factors, Segments.one(sizes[0]), sizes[1])
    numbers = covariances.values, covariances.precisions, 1 / covariances.variances
    if not all(np.isfinite(array).all() for array in numbers):
        raise ValueError("precisions_cholesky_ gives infinite covariances")
    return covariances


def agree(covariances: Covariances, values: NDArray, eps: float) -> bool:
    """Whether values are the covariances up to rounding in units of ``eps``.

    Both may come from the same matrices and have been rounded separately; five equal
    digits always suffice.
    """
    scale = covariances.scale
    off = np.abs(values - covariances.values) / scale
    if (off <= SYMMETRY_TOL).all():
        return True
    if covariances.algebra.inverts_exactly:
        return False
    # Where rounding is larger than it should be, the asymmetry shows it.
    asymmetry = float((np.abs(values - values.mT) / scale).max())
    if not asymmetry <= MAX_ASYMMETRY:
        return False
    eps = max(eps, asymmetry, eps_of(np.dtype(np.float64)))
    tol = LOST_UNITS * covariances.n_features * eps
    bound = tol + _spread_of_inverses(covariances, tol)
    bound = SYMMETRY_TOL + bound[..., None, None] + _spread(covariances, tol) / scale
    return not (off > bound).any()  # NaN is no bound


def _spread(covariances: Covariances, tol: float) -> NDArray:
    """Bounds on the errors of covariances from relative errors ``tol`` of U.

    An error E of U, entry by entry, causes one of at most (I - |W||E|)^-1 |W||E||W| in
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
    """Bounds on the relative errors of covariances whose factors were computed from
    their inverses."""
    deviations = np.sqrt(np.einsum("...ii->...i", covariances.values))
    scaled = covariances.algebra.scale(covariances.precisions_cholesky, deviations)
    with np.errstate(all="ignore"):
        return np.minimum(tol * np.linalg.cond(scaled) ** 2, MAX_LOSS)


def are_inverse(covariances: Covariances, precisions: NDArray) -> bool:
    """Whether precisions are those of the factors, up to rounding."""
    inverse = replace(covariances, values=covariances.precisions)
    if precisions.shape != inverse.values.shape:
        return False
    off = np.abs(precisions - inverse.values)
    return bool((off <= SYMMETRY_TOL * inverse.scale).all())


def _slack_of_form(covariances: Covariances, model: str, eps: float) -> float:
    """Relative error within which covariances are of the form of the model.

    What components share carries the error of the worst. Models that are not
    equivariant to the units of features see the condition in the units of the data.
    """
    units = np.sqrt(covariances.variances)
    if not FAMILIES[model].scale_equivariant:
        units = np.ones_like(units)
    condition = covariances.algebra.conditions(covariances.factors, units).max()
    relative = (eps + np.finfo(np.float64).eps * condition) * condition
    return FAMILY_TOL + LOST_UNITS * covariances.n_features * float(relative)
