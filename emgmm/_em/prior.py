"""The conjugate prior of means and covariances, as rows that are added to the rows.

Given its covariance S, a component's mean is normal about m0 with covariance S / kappa;
S itself is inverse Wishart, or its variances inverse gamma (Fraley & Raftery 2007,
doi:10.1007/s00357-007-0004-5). The maximum of the log-posterior is that of the
log-likelihood with more rows and more scatter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from emgmm._data.summary import Summary
from emgmm._estep.statistics import Statistics
from emgmm._model.covariances import Covariances, Diagonal, Full, Spherical, Tied
from emgmm._model.families import CovarianceFamily, Families
from emgmm._model.moment_kinds import MomentKind
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments
from emgmm._utils.validation import as_numbers, did_you_mean, shaped

PRIORS: dict[str, dict[str, Any]] = {"conjugate": {}}
"""Names of ``prior``, and the options that differ from the defaults."""
OPTIONS = ("mean", "shrinkage", "dof", "scale")
SHRINKAGE = 0.01


class RowMoments(NamedTuple):
    """The mean (d,) and the covariance (d, d), divided by n - 1, of all rows."""

    mean: NDArray
    covariance: NDArray

    @classmethod
    def of(cls, rows: Summary) -> Self:
        """Those of the rows; if values are missing, without correlations."""
        n_rows = max(rows.weight, float(rows.n_weighted))
        covariance = np.diag(rows.variances)
        if not rows.incomplete:
            covariance = rows.scatter / rows.weight
        return cls.of_population(rows.center, covariance, n_rows)

    @classmethod
    def of_population(cls, mean: NDArray, covariance: NDArray, n_rows: float) -> Self:
        """Those of so many rows with a covariance that is divided by n."""
        return cls(mean, covariance * (n_rows / max(n_rows - 1, 1.0)))


@dataclass(frozen=True, eq=False)
class ConjugatePrior:
    """The prior of the components of mixtures.

    mean (d,)       m0
    shrinkage       kappa, the number of pseudo-rows at m0
    count           pseudo-rows of a covariance
    scale           their scatter, as products of one component of a kind
    of_components   whether the scatter is divided by K^(2 / d)
    strength        factor of all pseudo-rows
    """

    mean: NDArray
    shrinkage: float
    count: float
    scale: NDArray
    of_components: bool
    strength: float = 1.0

    def times(self, factor: float) -> ConjugatePrior:
        """The prior with all its pseudo-rows weighted by a factor."""
        return replace(self, strength=self.strength * factor)

    def to_values(self) -> NDArray:
        """All of it in one array."""
        numbers = self.shrinkage, self.count, self.of_components, self.strength
        return np.concatenate([self.mean, self.scale.ravel(), numbers])

    def means(self, counts: NDArray, means: NDArray) -> NDArray:
        """The most probable means (M, d), from counts (M,) and the means of rows."""
        kappa = self.strength * self.shrinkage
        return means + (kappa / (counts + kappa))[:, None] * (self.mean - means)

    def shares(self, families: Families, segments: Segments) -> NDArray:
        """The shares (M,) of the prior of a covariance: ones, but if a mixture has a
        single covariance, this has it only once."""
        n_features = len(self.mean)
        own = [each.own(n_features) > 0 for each in families.distinct]
        shares = np.where(families.of_each(own, len(segments)), 1.0, 1 / segments.sizes)
        return segments.spread(shares)

    def counts(self, shares: NDArray) -> NDArray:
        """Pseudo-rows (M,) of covariances and means."""
        return self.strength * (self.count * shares + (self.shrinkage > 0))

    def scatter(
        self, segments: Segments, shares: NDArray, means: NDArray, kind: MomentKind
    ) -> NDArray:
        """The scatter of the pseudo-rows about means (M, d), as products."""
        kappa = np.full(len(means), self.strength * self.shrinkage)
        about = kind.outer(segments, kappa, means - self.mean)
        return about + self.strength * kind.pool(
            segments, self._scales(segments, shares)
        )

    def removed_from(self, stats: Statistics, families: Families) -> Statistics:
        """The statistics of rows of which the most probable mixture has the means and
        the scatter of these; the same if there are no such rows."""
        segments, kind, counts = stats.segments, stats.kind, stats.counts
        shares, means = self.shares(families, segments), stats.means
        kappa = self.strength * self.shrinkage
        factors = kind.pool(segments, counts + self.counts(shares))
        factors = factors / kind.pool(segments, counts)
        products = stats.scatter * factors.reshape(-1, *(stats.scatter.ndim - 1) * (1,))
        products = products - self.scatter(segments, shares, means, kind)
        sums = kappa * (means - self.mean)
        found = replace(stats, origin=means, sums=sums, products=products)
        least = found.scatter if kind.of_squares else np.linalg.eigvalsh(found.scatter)
        return found if least.min() > 0 else stats

    def log_density(self, families: Families, mixtures: Parameters) -> NDArray:
        """Logarithms (B,) of the prior density of mixtures, up to a constant that does
        not depend on the units of features."""
        segments, covariances = mixtures.segments, mixtures.covariances
        shares = self.shares(families, segments)
        variances = covariances.moment_kind.diagonals(self.scale[None])[0]
        units = np.log(variances[variances > 0]).sum()
        distances = covariances.whiten(mixtures.means - self.mean) ** 2
        terms = (self.counts(shares) / self.strength) * (covariances.log_det - units)
        terms += _traces(covariances.factors, self._scales(segments, shares))
        terms += self.shrinkage * distances.sum(axis=1)
        return -0.5 * self.strength * segments.sum(terms)

    def _scales(self, segments: Segments, shares: NDArray) -> NDArray:
        """The scatter (M, ...) of the pseudo-rows of each component's covariance."""
        if self.of_components:
            sizes = segments.spread(segments.sizes.astype(float))
            shares = shares * sizes ** (-2 / len(self.mean))
        return shares.reshape(-1, *self.scale.ndim * (1,)) * self.scale


def _traces(factors: NDArray, scales: NDArray) -> NDArray:
    """Traces (M,) of S^-1 = U U' times scales, all diagonals or all matrices."""
    products = factors * scales if scales.ndim == 2 else scales @ factors
    return (factors * products).reshape(len(factors), -1).sum(axis=1)


# By storage ----------------------------------------------------------------------


Shape = Callable[[float, NDArray, NDArray], tuple[float, NDArray]]
"""Degrees of freedom, scale matrix (d, d), and ratios (d, d) of the units of features
by which its variances are averaged, to the count and scatter of the pseudo-rows."""


def _of_matrices(dof: float, scale: NDArray, ratios: NDArray) -> tuple[float, NDArray]:
    """Inverse Wishart."""
    return dof + len(scale) + 1, scale


def _of_variances(dof: float, scale: NDArray, ratios: NDArray) -> tuple[float, NDArray]:
    """Inverse gamma of each variance."""
    return dof + 2, ratios**2 @ scale.diagonal()


def _of_one_variance(
    dof: float, scale: NDArray, ratios: NDArray
) -> tuple[float, NDArray]:
    """Inverse gamma of the variance that all features have."""
    n_features, own = len(scale), scale.diagonal()
    return (dof + 2) / n_features, np.full_like(own, own.mean() / n_features)


SHAPES: dict[type[Covariances], Shape] = {
    Full: _of_matrices,
    Tied: _of_matrices,
    Diagonal: _of_variances,
    Spherical: _of_one_variance,
}


# From the argument ---------------------------------------------------------------


def prior_of(
    options: Mapping[str, Any],
    family: CovarianceFamily,
    units: NDArray,
    moments: Callable[[], RowMoments],
) -> ConjugatePrior:
    """The prior with such options, checked, for rows that are divided by units (d,)
    and have these moments."""
    n_features, default = len(units), "scale" not in options
    with np.errstate(all="ignore"):
        if default:  # variances have their mean, in the units of the user
            scale = moments().covariance
            ratios = units / units[:, None] / n_features**0.5
        else:
            scale = options["scale"] / units / units[:, None]
            ratios = np.eye(n_features)
        dof = float(options.get("dof", n_features + 2))
        count, scatter = SHAPES[family.storage](dof, scale, ratios)
    if not np.isfinite(scatter).all():
        raise ValueError(
            f"prior={dict(options)!r:.60}: the variances of features are too different "
            "for one scale: scale X, or give a scale that suits them."
        )
    mean = options["mean"] / units if "mean" in options else moments().mean
    shrinkage = float(options.get("shrinkage", SHRINKAGE))
    return ConjugatePrior(mean, shrinkage, count, scatter, default)


def check_prior(prior: Any, n_features: int) -> dict[str, Any]:
    """The options of the argument ``prior``, a name or a dict of them, checked."""
    options = dict(PRIORS[prior] if isinstance(prior, str) else prior)
    unknown = [name for name in options if name not in OPTIONS]
    if unknown:
        raise ValueError(
            f"prior has {unknown[0]!r}: give options among {', '.join(OPTIONS)}."
            + did_you_mean(str(unknown[0]), OPTIONS)
        )
    known = {name: value for name, value in options.items() if value is not None}
    _check_number(known, "shrinkage", 0)
    _check_number(known, "dof", n_features)
    if "mean" in known:
        known["mean"] = shaped(
            known["mean"], "prior['mean']", "mean", (n_features,), ""
        )
    if "scale" in known:
        known["scale"] = _matrix(known["scale"], n_features)
    return known


def _check_number(options: Mapping[str, Any], name: str, least: float) -> None:
    """ValueError unless an option is a finite number of at least so much."""
    value = options.get(name, least)
    valid = np.isscalar(value) and not isinstance(value, (str, bytes, bool))
    if not (valid and least <= value < np.inf):
        meaning = "the number of features" if name == "dof" else "no shrinkage"
        raise ValueError(
            f"prior has {name}={value!r:.60}: give a finite number of {least} "
            f"({meaning}) or more."
        )


def _matrix(scale: Any, n_features: int) -> NDArray:
    """The scale matrix (d, d), of a number, variances (d,) or a matrix."""
    numbers = as_numbers(scale, "prior['scale']")
    if not numbers.ndim:
        numbers = np.full(n_features, numbers)
    if numbers.ndim == 1:
        numbers = np.diag(numbers)
    numbers = shaped(numbers, "prior['scale']", "scale", (n_features, n_features), "")
    try:
        if not np.allclose(numbers, numbers.T, 1e-5, 0):
            raise np.linalg.LinAlgError
        np.linalg.cholesky(numbers)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"prior has scale={scale!r:.60}, which is not symmetric and positive "
            "definite: give a positive number, variances of the features, or a "
            "covariance matrix."
        ) from error
    return numbers
