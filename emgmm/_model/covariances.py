"""Storages of covariance matrices: Spherical, Diagonal, Tied and Full.

A storage lays out the covariances of all components in one array (what users see as
``covariances_``) and computes the geometry that the E-step needs. How the values are
estimated is the rule of a family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.cached import cached_property

from .algebra import MATRICES, VARIANCES, Algebra
from .moment_kinds import DIAGONAL, FULL, POOLED, MomentKind

EXACT_FROM = 0.02  # ratio of variances from which on it is computed, not bounded


@dataclass(frozen=True, eq=False)
class Covariances(ABC):
    """Covariances of K components and the Cholesky factors of their precisions.

    ``precisions_cholesky`` holds U with precision = U U', upper triangular, in the
    layout of ``values``. Multiplying by U is as accurate as solving with the
    Cholesky factor of the covariance (both are bounded by its condition number,
    and measured alike up to condition 1e12), and is one matrix product.
    """

    values: NDArray
    precisions_cholesky: NDArray
    n_components: int
    n_features: int
    _last_nearness: list[NDArray] = field(
        default_factory=lambda: [np.empty(0), np.empty(0)], init=False, repr=False
    )

    algebra: ClassVar[Algebra]
    moment_kind: ClassVar[MomentKind]
    """Which second moments the E-step must sum."""
    has_variances_of_features: ClassVar[bool] = True
    """Whether each feature has a variance of its own."""

    @staticmethod
    @abstractmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        """Shape of ``values``."""

    @property
    @abstractmethod
    def log_det(self) -> NDArray:
        """Logarithms of the determinants of the covariances, shape (K,)."""

    @abstractmethod
    def dense(self) -> NDArray:
        """The matrices themselves, shape (K, d, d)."""

    @property
    @abstractmethod
    def factors(self) -> NDArray:
        """U of every component: its diagonals (K, d), or matrices (K, d, d)."""

    @property
    @abstractmethod
    def variances(self) -> NDArray:
        """The diagonals of the covariances, shape (K, d)."""

    @property
    def scale(self) -> NDArray:
        """Products of standard deviations of features, in the layout of ``values``."""
        return self.algebra.scale_of(self.values)

    @classmethod
    def from_values(cls, values: NDArray, n_components: int, n_features: int) -> Self:
        factors = cls.algebra.factorize(values)
        return cls(values, factors, n_components, n_features)

    @classmethod
    def from_precisions(
        cls, precisions: NDArray, n_components: int, n_features: int
    ) -> Self:
        factors = cls.algebra.factorize_precisions(precisions)
        return cls.from_factors(factors, n_components, n_features)

    @classmethod
    def from_factors(cls, factors: NDArray, n_components: int, n_features: int) -> Self:
        return cls(cls.algebra.invert(factors), factors, n_components, n_features)

    @staticmethod
    @abstractmethod
    def scatter(values: NDArray, counts: NDArray, n_features: int) -> NDArray:
        """Scatter of components with counts (K,) and these values, laid out as
        products."""

    @staticmethod
    def along_rows(values: NDArray, least: NDArray) -> tuple[NDArray, NDArray]:
        """Values with one entry for each of the products, and their least variances."""
        return values, least

    @classmethod
    def are_bounded(cls, values: NDArray, least: NDArray) -> bool:
        """Whether the variance in no direction is less than that of independent
        features with the least variances (d,)."""
        return cls.algebra.reach(*cls.along_rows(values, least))

    @classmethod
    def addition(
        cls,
        values: NDArray,
        least: NDArray,
        own: NDArray,
        added: NDArray,
        kept: float,
    ) -> tuple[NDArray, float]:
        """Scatter to add to a row's own so that the bound is met, and its relative
        change, where values are the estimate with the scatter ``added`` so far.

        Scatter is laid out as products. Where nothing has to be added, the share
        ``kept`` of what was added so far remains.
        """
        each = cls.along_rows(values, least)
        return cls.algebra.addition(*each, own, added, kept)

    @abstractmethod
    def information(self, weights: NDArray) -> NDArray:
        """Fisher information of the coordinates of ``to_tangent``, for weights (K,)."""

    def in_units(self, units: NDArray) -> Self:
        """The covariances of rows that are divided by units (d,)."""
        with np.errstate(over="ignore"):  # refused where they are published
            values = self.algebra.in_units(self.values, units)
            factors = self.algebra.scale(self.precisions_cholesky, units)
        return replace(self, values=values, precisions_cholesky=factors)

    def regularization_ratio(self, variances: NDArray) -> NDArray:
        """Greatest ratio (K,) over all directions of independent variances, (d,) or
        (K, d), to the variances of the components; small ones are bounded by the trace.
        """
        last, ratios = self._last_nearness
        if np.array_equal(last, variances):  # as several times in every iteration
            return ratios
        scaled = self.algebra.scale(self.factors, np.sqrt(variances))
        ratios = (scaled * scaled).reshape(len(scaled), -1).sum(axis=1)
        if ratios.max() > EXACT_FROM:
            ratios = self.algebra.greatest(scaled)
        self._last_nearness[:] = variances, ratios
        return ratios

    def ordered(self, components: NDArray) -> Self:
        """The covariances of the components in another order."""
        values, factors = self.values[components], self.precisions_cholesky[components]
        return replace(self, values=values, precisions_cholesky=factors)

    def marginal(self, features: NDArray) -> Self:
        """The covariances of some of the features, by their indices."""
        values = self.algebra.take(self.values, features)
        try:
            return self.from_values(values, self.n_components, len(features))
        except np.linalg.LinAlgError:  # what rounding has left of them
            factors = self.algebra.of_roots(self.inverse_factors[..., features])
            return type(self)(values, factors, self.n_components, len(features))

    def conditional(self, given: NDArray, others: NDArray) -> tuple[NDArray, Self]:
        """Slopes (K, others, given) of the regressions of other features on the given
        ones, or (K, others, 0) where none depends on another; and the conditional
        covariances of the others."""
        slopes, values, factors = self.algebra.condition(
            self.values, self.inverse_factors, given, others
        )
        left = type(self)(values, factors, self.n_components, len(others))
        return np.broadcast_to(slopes, (self.n_components, *slopes.shape[-2:])), left

    def halfway(self, component: int) -> Self:
        """Means of each component's covariance and that of one component."""
        values = self.values / 2 + self.values[component] / 2
        return self.from_values(values, self.n_components, self.n_features)

    def whiten(self, deviations: NDArray) -> NDArray:
        """Deviations (K, d), one of each component, times U: of unit covariance."""
        return self.algebra.apply_factor(deviations, self.precisions_cholesky)

    def color(self, deviations: NDArray) -> NDArray:
        """The inverse of ``whiten``."""
        return self.algebra.apply_factor(deviations, self.inverse_factors)

    def to_tangent(self, other: Covariances) -> NDArray:
        """Coordinates of other covariances, zero for these, in the layout of
        ``values``."""
        return self.algebra.to_tangent(self.precisions_cholesky, other.values)

    def from_tangent(self, coordinates: NDArray) -> NDArray:
        """Values of the covariances with these coordinates, to first order."""
        return self.algebra.from_tangent(self.values, self.inverse_factors, coordinates)

    @property
    @abstractmethod
    def precisions_by_component(self) -> NDArray:
        """Precisions as vectors of components are multiplied by them: diagonals (K, d),
        or matrices (K, d, d), or (1, d, d) if they are the same."""

    @cached_property
    def inverse_factors(self) -> NDArray:
        """L' of covariance = L L', in the layout of ``values``."""
        return self.algebra.invert_factors(self.precisions_cholesky)

    @cached_property
    def precisions(self) -> NDArray:
        """Inverses of the covariances, in the layout of ``values``."""
        return self.algebra.square(self.precisions_cholesky)

    def colorize(self, normals: NDArray, component: int) -> NDArray:
        """Standard normals (n, d) to rows with the covariance of the component."""
        return self.algebra.divide(normals, self.factors[component])


class Spherical(Covariances):
    """One variance per component, shape (K,)."""

    algebra = VARIANCES
    moment_kind = DIAGONAL
    has_variances_of_features = False

    @staticmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components,)

    def in_units(self, units: NDArray) -> Self:
        return super().in_units(units[:1])

    def marginal(self, features: NDArray) -> Self:
        return replace(self, n_features=len(features))

    def conditional(self, given: NDArray, others: NDArray) -> tuple[NDArray, Self]:
        return np.zeros((self.n_components, len(others), 0)), self.marginal(others)

    @property
    def factors(self) -> NDArray:
        return np.broadcast_to(
            self.precisions_cholesky[:, None], (self.n_components, self.n_features)
        )

    @property
    def precisions_by_component(self) -> NDArray:
        return self.factors**2

    @property
    def variances(self) -> NDArray:
        return np.broadcast_to(
            self.values[:, None], (self.n_components, self.n_features)
        )

    @property
    def log_det(self) -> NDArray:
        return -2 * self.n_features * np.log(self.precisions_cholesky)

    @staticmethod
    def scatter(values: NDArray, counts: NDArray, n_features: int) -> NDArray:
        return np.repeat((counts * values)[:, None], n_features, axis=1)

    @staticmethod
    def along_rows(values: NDArray, least: NDArray) -> tuple[NDArray, NDArray]:
        # All features share the variance: it is at least the mean of theirs.
        return values[:, None], least.mean(keepdims=True)

    def information(self, weights: NDArray) -> NDArray:
        return 0.5 * self.n_features * weights

    def dense(self) -> NDArray:
        return self.values[:, None, None] * np.eye(self.n_features)


class Diagonal(Covariances):
    """One variance per component and feature, shape (K, d)."""

    algebra = VARIANCES
    moment_kind = DIAGONAL

    @staticmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components, n_features)

    @property
    def factors(self) -> NDArray:
        return self.precisions_cholesky

    @property
    def precisions_by_component(self) -> NDArray:
        return self.factors**2

    @property
    def variances(self) -> NDArray:
        return self.values

    @property
    def log_det(self) -> NDArray:
        return -2 * np.log(self.precisions_cholesky).sum(axis=1)

    @staticmethod
    def scatter(values: NDArray, counts: NDArray, n_features: int) -> NDArray:
        return counts[:, None] * values

    def information(self, weights: NDArray) -> NDArray:
        return 0.5 * weights[:, None]

    def dense(self) -> NDArray:
        return self.values[:, :, None] * np.eye(self.n_features)


class Tied(Covariances):
    """One matrix shared by all components, shape (d, d)."""

    algebra = MATRICES
    moment_kind = POOLED

    @staticmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_features, n_features)

    def ordered(self, components: NDArray) -> Self:
        return self

    @property
    def factors(self) -> NDArray:
        shape = (self.n_components, self.n_features, self.n_features)
        return np.broadcast_to(self.precisions_cholesky, shape)

    @property
    def precisions_by_component(self) -> NDArray:
        return self.precisions[None]

    @property
    def variances(self) -> NDArray:
        shape = (self.n_components, self.n_features)
        return np.broadcast_to(self.values.diagonal(), shape)

    @property
    def log_det(self) -> NDArray:
        log_det = -2 * np.log(self.precisions_cholesky.diagonal()).sum()
        return np.full(self.n_components, log_det)

    @staticmethod
    def scatter(values: NDArray, counts: NDArray, n_features: int) -> NDArray:
        return counts.sum() * values[None]

    @staticmethod
    def along_rows(values: NDArray, least: NDArray) -> tuple[NDArray, NDArray]:
        return values[None], least

    def information(self, weights: NDArray) -> NDArray:
        return 0.5 * weights.sum(keepdims=True)

    def halfway(self, component: int) -> Self:
        return self

    def dense(self) -> NDArray:
        return np.tile(self.values, (self.n_components, 1, 1))


class Full(Covariances):
    """One matrix per component, shape (K, d, d)."""

    algebra = MATRICES
    moment_kind = FULL

    @staticmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components, n_features, n_features)

    @property
    def factors(self) -> NDArray:
        return self.precisions_cholesky

    @property
    def precisions_by_component(self) -> NDArray:
        return self.precisions

    @property
    def variances(self) -> NDArray:
        return self.values.diagonal(axis1=1, axis2=2)

    @property
    def log_det(self) -> NDArray:
        diagonals = self.precisions_cholesky.diagonal(axis1=1, axis2=2)
        return -2 * np.log(diagonals).sum(axis=1)

    @staticmethod
    def scatter(values: NDArray, counts: NDArray, n_features: int) -> NDArray:
        return counts[:, None, None] * values

    def information(self, weights: NDArray) -> NDArray:
        return 0.5 * weights[:, None, None]

    def dense(self) -> NDArray:
        return self.values.copy()
