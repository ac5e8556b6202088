"""The fitted attributes of an estimator, read as a mixture and checked.

Users may assign these attributes. Densities are computed from the factors of the
precisions, samples from the covariances, as in scikit-learn; methods that need both
check that they are consistent up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.device import to_host
from emgmm._utils.threads import BLAS
from emgmm._utils.validation import as_numbers, shaped

from .agreement import (
    MIXTURE,
    NOISE_BOX,
    NOISE_WEIGHT,
    OF_NOISE,
    agree,
    are_inverse,
    eps_of,
    upper,
)
from .algebra import MATRICES, VARIANCES
from .covariances import Covariances
from .families import FAMILIES, CovarianceFamily
from .noise import Noise
from .parameters import Parameters
from .segments import Segments
from .validation import shape_of_means

N_FIXED = "_n_fixed"
"""The attribute that has the number of parameters that were not estimated."""
COVARIANCE_SOURCES = ("precisions_cholesky_", "covariances_")
"""Attributes that covariances are computed from, the preferred one first."""
REMEDIES = {
    VARIANCES: ("1 / np.sqrt(covariances_)", "1 / precisions_cholesky_**2"),
    MATRICES: (
        "np.linalg.inv(np.linalg.cholesky(covariances_)).mT",
        "np.linalg.inv(U @ U.mT) with U = precisions_cholesky_",
    ),
}
"""Expressions for the factors from the covariances, and the reverse."""


@dataclass(frozen=True, eq=False)
class Published:
    """The parameters of a mixture as attributes of an estimator.

    ``arrays`` are those that are set, by name; ``models`` the names of the covariance
    models whose layout they have, the preferred one first.
    """

    arrays: dict[str, NDArray]
    sizes: tuple[int, int]
    models: list[str]

    @classmethod
    def of(cls, estimator: Any, models: Iterable[str]) -> Published:
        """The parameters of an estimator, in the first of the models that fits them."""
        has = {name: getattr(estimator, name, None) for name in (*MIXTURE, *OF_NOISE)}
        arrays = {k: np.asarray(to_host(v)) for k, v in has.items() if v is not None}
        missing = [name for name in MIXTURE[:2] if name not in arrays]
        if missing or not any(name in arrays for name in COVARIANCE_SOURCES):
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

    @property
    def parameters(self) -> Parameters:
        """The mixture that densities are computed with, in float64."""
        with BLAS.single_threaded():
            return self._with(self._covariances(self._source))

    @property
    def agreed(self) -> Parameters:
        """The same mixture; ValueError if the covariances are not those of it."""
        mixture = self.parameters
        if not self.agree_with(mixture):
            of_covariances, of_factors = REMEDIES[self.family.storage.algebra]
            raise ValueError(
                "covariances_ and precisions_cholesky_ disagree by more than rounding: "
                f"assign precisions_cholesky_ = {of_covariances}, or covariances_ = "
                f"{of_factors}."
            )
        return mixture

    @property
    def sampled(self) -> Parameters:
        """The mixture that samples come from: with the covariances as published."""
        mixture = self.parameters
        if self.agree_with(mixture):
            return mixture
        with BLAS.single_threaded():
            return self._with(self._covariances("covariances_"))

    def to_arrays(self) -> dict[str, Any]:
        """All arrays of the mixture in one dtype, with missing ones computed."""
        mixture, whole = self.agreed, dict(self.arrays)
        covariances = mixture.covariances
        factors = covariances.as_published(covariances.precisions_cholesky)
        if not np.array_equal(whole.get("precisions_cholesky_", 0), factors):
            whole["precisions_cholesky_"] = factors
        whole.setdefault("covariances_", covariances.as_published(covariances.values))
        own = covariances.as_published(covariances.precisions)
        precisions = whole.get("precisions_", np.empty(0))
        if precisions.shape != own.shape or not are_inverse(
            covariances, precisions.reshape(covariances.values.shape)
        ):
            whole["precisions_"] = own
        of_noise: dict[str, Any] = {}
        if NOISE_BOX in whole:
            of_noise = {NOISE_BOX: whole.pop(NOISE_BOX)}
            of_noise[NOISE_WEIGHT] = float(whole.pop(NOISE_WEIGHT))
        single = all(array.dtype == np.float32 for array in whole.values())
        dtype = np.float32 if single else np.float64
        arrays = {name: array.astype(dtype) for name, array in whole.items()}
        return arrays | of_noise

    @property
    def _source(self) -> str:
        """The name of the attribute from which covariances are taken."""
        return next(name for name in COVARIANCE_SOURCES if name in self.arrays)

    def agree_with(self, mixture: Parameters) -> bool:
        """Whether the covariances are those of the mixture, up to rounding."""
        if not all(name in self.arrays for name in COVARIANCE_SOURCES):
            return True
        values = self._numbers("covariances_")
        eps = max(eps_of(self.arrays[name].dtype) for name in COVARIANCE_SOURCES)
        with BLAS.single_threaded():
            return agree(mixture.covariances, values, eps)

    def _with(self, covariances: Covariances) -> Parameters:
        """The mixture of the weights, the means and these covariances."""
        weights = shaped(self.arrays["weights_"], "weights_", "weights", self.sizes[:1])
        rest, noise = 0.0, None
        if NOISE_BOX in self.arrays:
            box = shaped(self.arrays[NOISE_BOX], NOISE_BOX, "box", (2, self.sizes[1]))
            rest, noise = (
                float(self.arrays[NOISE_WEIGHT]),
                Noise(box[0], np.log(box[1])),
            )
        if (weights < 0).any() or not weights.any():
            raise ValueError(
                f"weights_ are between {weights.min():g} and {weights.max():g}: assign "
                "non-negative weights that sum to one."
            )
        means = as_numbers(self.arrays["means_"], "means_", copy=False)
        # In float32 they sum to one only approximately.
        return Parameters(weights / (weights.sum() + rest), means, covariances, noise)

    def _covariances(self, name: str) -> Covariances:
        """The covariances that an attribute stands for."""
        storage, numbers = self.family.storage, self._numbers(name)
        if name == "precisions_cholesky_":
            numbers = upper(numbers, storage)
            return storage.from_factors(numbers, self._segments, self.sizes[1])
        try:
            return storage.from_values(numbers, self._segments, self.sizes[1])
        except np.linalg.LinAlgError as error:
            raise ValueError(
                f"{name} is not positive definite: correct it, or assign covariances "
                "as computed by fit."
            ) from error

    def _numbers(self, name: str) -> NDArray:
        """An attribute in float64, in the layout of the model."""
        storage = self.family.storage
        numbers = shaped(self.arrays[name], name, name, storage.shape(*self.sizes))
        return numbers.reshape(storage.layout(self._segments, self.sizes[1]))

    @property
    def _segments(self) -> Segments:
        """The segments of the mixture."""
        return Segments.one(self.sizes[0])


def published_arrays(mixture: Parameters, dtype: np.dtype) -> dict[str, Any]:
    """The fitted attributes of a mixture, by name, in a dtype.

    ValueError where variances or their inverses are out of its range.
    """
    covariances = mixture.covariances
    with np.errstate(all="ignore"):
        values = (
            mixture.weights,
            mixture.means,
            covariances.as_published(covariances.values),
            covariances.as_published(covariances.precisions),
            covariances.as_published(covariances.precisions_cholesky),
        )
        arrays = [array.astype(dtype, order="C") for array in values]
        _check_range(covariances, arrays[-2], np.dtype(dtype))
    of_noise = {}
    if mixture.noise:
        box = np.stack([mixture.noise.center, np.exp(mixture.noise.log_lengths)])
        of_noise = {NOISE_WEIGHT: float(mixture.noise_weights[0]), NOISE_BOX: box}
    return dict(zip(MIXTURE, arrays, strict=True)) | of_noise


def _check_range(
    covariances: Covariances, precisions: NDArray, dtype: np.dtype
) -> None:
    """Raise ValueError if variances or precisions are infinite or subnormal."""
    variances, limits = covariances.variances, np.finfo(dtype)
    remedy = "" if dtype == np.float64 else ", or pass X as float64"
    if not np.abs(covariances.values).max() <= limits.max:
        raise ValueError(
            f"X has variances up to {variances.max():.3g}, too large for {dtype}: "
            f"scale X{remedy}."
        )
    if variances.min() < limits.tiny or not np.isfinite(precisions).all():
        raise ValueError(
            f"X has variances down to {variances.min():.3g} within components, too "
            f"small for {dtype}: scale X{remedy}."
        )


def _models_that_fit(
    arrays: dict[str, NDArray], sizes: tuple[int, int], models: Iterable[str]
) -> list[str]:
    """Names of the models whose layout the matrices have; ValueError if there is none.

    With as many components as features, variances and one matrix have the same layout.
    Then models with consistent factors and covariances come first.
    """
    name = next(name for name in COVARIANCE_SOURCES if name in arrays)
    known = [model for model in dict.fromkeys(models) if model in FAMILIES]
    shapes = {model: FAMILIES[model].storage.shape(*sizes) for model in known}
    fitting = [model for model in known if shapes[model] == arrays[name].shape]
    if not fitting:
        wanted = " or ".join(f"{shape} ({model!r})" for model, shape in shapes.items())
        raise ValueError(
            f"{name} has the shape {arrays[name].shape}, but the covariance_type of "
            f"this estimator needs {wanted or 'another'}: assign arrays of that "
            f"shape, or set covariance_type to one of {', '.join(FAMILIES)}."
        )
    if len({FAMILIES[model].storage for model in fitting}) == 1:
        return fitting
    return sorted(fitting, key=lambda model: not _is_sound(arrays, sizes, model))


def _is_sound(arrays: dict[str, NDArray], sizes: tuple[int, int], model: str) -> bool:
    """Whether the matrices are consistent parameters of the model."""
    try:
        published = Published(arrays, sizes, [model])
        return published.agree_with(published.parameters)
    except ValueError:
        return False
