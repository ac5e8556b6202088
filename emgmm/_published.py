"""What an estimator publishes of its mixture, read and checked.

Users assign these attributes too. Densities are computed from the factors of the
precisions, samples from the covariances, as in scikit-learn; what needs both asks
whether they agree but for rounding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._algebra import MATRICES as OF_MATRICES
from ._algebra import VARIANCES, inverse_triangles
from ._covariances import Covariances
from ._families import FAMILIES, CovarianceFamily
from ._parameters import Parameters
from ._threads import BLAS
from ._validation import (
    FAMILY_TOL,
    SYMMETRY_TOL,
    as_numbers,
    check_form,
    check_means,
    check_weights,
    shape_of_means,
    shaped,
)

MATRICES = ("covariances_", "precisions_", "precisions_cholesky_")
MIXTURE = ("weights_", "means_", *MATRICES)
SOURCES = {"precisions_cholesky_": "from_factors", "covariances_": "from_values"}
"""What covariances are made of, the first that is there, and how."""
ROUNDING = 16  # units in the last place, for each feature, that a product may lose
MOST_UNEVEN = 0.01  # of a covariance, on one side of the diagonal and the other
MOST_ROUNDING = 0.5  # of a covariance that may be lost where it is inverted by users
REMEDIES = {
    VARIANCES: ("1 / np.sqrt(covariances_)", "1 / precisions_cholesky_**2"),
    OF_MATRICES: (
        "np.linalg.inv(np.linalg.cholesky(covariances_)).mT",
        "np.linalg.inv(U @ U.mT) with U = precisions_cholesky_",
    ),
}
"""How factors are made of covariances, and the reverse."""


@dataclass(frozen=True, eq=False)
class Published:
    """The parameters of a mixture as an estimator has them.

    ``arrays`` are those that there are, by name; ``models`` the names of the covariance
    models whose layout they have, the one to be taken first.
    """

    arrays: dict[str, NDArray]
    sizes: tuple[int, int]
    models: list[str]

    @classmethod
    def of(cls, estimator: Any, models: Iterable[str]) -> Published:
        """Those of an estimator, of the first of such models that fits."""
        has = {name: getattr(estimator, name, None) for name in MIXTURE}
        arrays = {k: np.asarray(v) for k, v in has.items() if v is not None}
        missing = [name for name in MIXTURE[:2] if name not in arrays]
        if missing or not any(name in arrays for name in SOURCES):
            raise ValueError(
                f"{missing[0] if missing else 'precisions_cholesky_'} is missing: "
                "assign weights_, means_ and precisions_cholesky_ or covariances_, or "
                "use from_parameters or fit."
            )
        sizes = shape_of_means(arrays["means_"], "means_")
        expected = getattr(estimator, "n_features_in_", sizes[1])
        if expected != sizes[1]:
            raise ValueError(
                f"means_ has {sizes[1]} features, but n_features_in_ is {expected}: "
                "assign n_features_in_ too."
            )
        return cls(arrays, sizes, _models_that_fit(arrays, sizes, models))

    @property
    def family(self) -> CovarianceFamily:
        """The covariance model."""
        return FAMILIES[self.models[0]]

    @cached_property
    def parameters(self) -> Parameters:
        """The mixture that densities are computed with, in float64."""
        with BLAS.held():
            return self._with(self._covariances(self._source))

    @property
    def agreed(self) -> Parameters:
        """The same; ValueError if the covariances are others."""
        if not self.agrees:
            of_covariances, of_factors = REMEDIES[self.family.storage.algebra]
            raise ValueError(
                "covariances_ and precisions_cholesky_ disagree by more than rounding: "
                f"assign precisions_cholesky_ = {of_covariances}, or covariances_ = "
                f"{of_factors}."
            )
        return self.parameters

    @property
    def sampled(self) -> Parameters:
        """The mixture that samples are drawn from: with the published covariances."""
        if self.agrees:
            return self.parameters
        with BLAS.held():
            return self._with(self._covariances("covariances_"))

    def to_arrays(self) -> dict[str, NDArray]:
        """All arrays of the mixture, what is missing derived; all of one type."""
        mixture, whole = self.agreed, dict(self.arrays)
        covariances = mixture.covariances
        factors = covariances.precisions_cholesky
        if not np.array_equal(whole.get("precisions_cholesky_", 0), factors):
            whole["precisions_cholesky_"] = factors
        whole.setdefault("covariances_", covariances.values)
        precisions = whole.get("precisions_")
        if precisions is None or not _are_inverse(covariances, precisions):
            whole["precisions_"] = covariances.precisions
        single = all(array.dtype == np.float32 for array in whole.values())
        dtype = np.float32 if single else np.float64
        return {name: array.astype(dtype) for name, array in whole.items()}

    @property
    def _source(self) -> str:
        return next(name for name in SOURCES if name in self.arrays)

    @property
    def agrees(self) -> bool:
        """Whether covariances are, but for rounding, what the factors stand for."""
        if not all(name in self.arrays for name in SOURCES):
            return True
        values = self._numbers("covariances_")
        eps = max(_eps(self.arrays[name].dtype) for name in SOURCES)
        with BLAS.held():
            return agree(self.parameters.covariances, values, eps)

    def _with(self, covariances: Covariances) -> Parameters:
        """The mixture with such covariances."""
        weights = shaped(self.arrays["weights_"], "weights_", "weights", self.sizes[:1])
        if (weights < 0).any() or not weights.any():
            raise ValueError(
                f"weights_ are {weights.min():g} to {weights.max():g}: assign shares "
                "of the components, not negative, with a sum of one."
            )
        means = as_numbers(self.arrays["means_"], "means_", copy=False)
        # As float32 they sum to one only nearly.
        return Parameters(weights / weights.sum(), means, covariances)

    def _covariances(self, name: str) -> Covariances:
        """Those that an attribute stands for."""
        storage, numbers = self.family.storage, self._numbers(name)
        if name == "precisions_cholesky_":
            return storage.from_factors(upper(numbers, storage), *self.sizes)
        try:
            return storage.from_values(numbers, *self.sizes)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                f"{name} is not positive definite: correct it, or assign covariances "
                "as fit publishes them."
            ) from error

    def _numbers(self, name: str) -> NDArray:
        """An attribute in float64, in the layout of the model."""
        shape = self.family.storage.shape(*self.sizes)
        return shaped(self.arrays[name], name, name, shape)


def published_arrays(mixture: Parameters, dtype: np.dtype) -> dict[str, NDArray]:
    """What an estimator publishes of a mixture, in such numbers.

    ValueError where its variances or their inverses are out of their range.
    """
    covariances = mixture.covariances
    values = (
        mixture.weights,
        mixture.means,
        covariances.values,
        covariances.precisions,
        covariances.precisions_cholesky,
    )
    with np.errstate(over="ignore", under="ignore"):
        arrays = [array.astype(dtype, order="C") for array in values]
        _check_range(covariances, arrays[-2], np.dtype(dtype))
    return dict(zip(MIXTURE, arrays, strict=True))


def _check_range(
    covariances: Covariances, precisions: NDArray, dtype: np.dtype
) -> None:
    """Whether variances and precisions are neither infinite nor without digits."""
    variances, limits = covariances.variances, np.finfo(dtype)
    remedy = "" if dtype == np.float64 else ", or pass X as float64"
    if not np.abs(covariances.values).max() <= limits.max:
        raise ValueError(
            f"X has covariances up to {variances.max():.3g}, too large for {dtype}: "
            f"scale X{remedy}."
        )
    if variances.min() < limits.tiny or not np.isfinite(precisions).all():
        raise ValueError(
            f"X has covariances down to {variances.min():.3g} within components, too "
            f"small for {dtype}: scale X{remedy}."
        )


def _models_that_fit(
    arrays: dict[str, NDArray], sizes: tuple[int, int], models: Iterable[str]
) -> list[str]:
    """Names of the models whose layout the matrices have; ValueError if there is none.

    As many components as features: the layout of variances is that of one matrix.
    Then models come first with which factors and covariances agree.
    """
    name = next(name for name in SOURCES if name in arrays)
    known = [model for model in dict.fromkeys(models) if model in FAMILIES]
    shapes = {model: FAMILIES[model].storage.shape(*sizes) for model in known}
    fitting = [model for model in known if shapes[model] == arrays[name].shape]
    if not fitting:
        wanted = " or ".join(f"{shape} ({model!r})" for model, shape in shapes.items())
        raise ValueError(
            f"{name} has the shape {arrays[name].shape}, but the covariance_type of "
            f"this estimator asks for {wanted or 'another'}: assign arrays of that "
            f"shape, or set covariance_type to one of {', '.join(FAMILIES)}."
        )
    if len({FAMILIES[model].storage for model in fitting}) == 1:
        return fitting
    return sorted(fitting, key=lambda model: not _is_sound(arrays, sizes, model))


def _is_sound(arrays: dict[str, NDArray], sizes: tuple[int, int], model: str) -> bool:
    """Whether the matrices are those of the model."""
    try:
        return Published(arrays, sizes, [model]).agrees
    except ValueError:
        return False


def _eps(dtype: np.dtype) -> float:
    """Unit of rounding of a type of numbers."""
    return float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0


def upper(factors: NDArray, storage: type[Covariances]) -> NDArray:
    """U of any factors A with precision = A A': upper triangular, of positive diagonal.

    Factors that are of this form already are returned as they are.
    """
    if storage.algebra is VARIANCES:
        triangles = diagonals = np.abs(factors)
    else:
        triangles = _triangles(factors)
        diagonals = np.diagonal(triangles, axis1=-2, axis2=-1)
    if not diagonals.all():
        raise ValueError(
            "precisions_cholesky_ is singular: assign factors that can be inverted, "
            "such as np.linalg.cholesky of precisions."
        )
    return triangles


def _triangles(factors: NDArray) -> NDArray:
    """Upper triangles R with R R' = A A', of A (..., d, d)."""
    if _is_upper(factors):
        return factors
    lower = np.swapaxes(np.linalg.qr(factors[..., ::-1, :].mT, mode="r"), -2, -1)
    triangles = lower[..., ::-1, ::-1]
    signs = np.copysign(1.0, np.diagonal(triangles, axis1=-2, axis2=-1))
    return np.ascontiguousarray(triangles * signs[..., None, :])


def _is_upper(factors: NDArray) -> bool:
    """Whether matrices are upper triangular with a positive diagonal."""
    positive = (np.diagonal(factors, axis1=-2, axis2=-1) > 0).all()
    return bool(positive and not np.tril(factors, -1).any())


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
        eps = _eps(kinds.pop())
        if not agree(covariances, values, eps):
            raise ValueError("covariances_ does not agree with precisions_cholesky_")
        if not _are_inverse(covariances, precisions):
            raise ValueError("precisions_ does not agree with precisions_cholesky_")
        check_form(
            covariances, "covariances_", model, _slack_of_form(covariances, model, eps)
        )


def _covariances(factors: NDArray, model: str, sizes: tuple[int, int]) -> Covariances:
    """The covariances that predictions are computed with."""
    storage = FAMILIES[model].storage
    of_variances = storage.algebra is VARIANCES
    if not ((factors > 0).all() if of_variances else _is_upper(factors)):
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
    if covariances.algebra is VARIANCES:
        return False
    uneven = float((np.abs(values - values.mT) / scale).max())  # rounding, as it shows
    if not uneven <= MOST_UNEVEN:
        return False
    eps = max(eps, uneven, _eps(np.dtype(np.float64)))
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


def _are_inverse(covariances: Covariances, precisions: NDArray) -> bool:
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
