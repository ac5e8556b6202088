"""Storages of covariance matrices: Spherical, Diagonal, Tied and Full.

A storage lays out the covariances of all components of one or several mixtures in one
array (of one mixture, what users see as ``covariances_``) and computes the geometry
that the E-step needs. How the values are estimated is the rule of a family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.cached import cached_property

from .algebra import MATRICES, VARIANCES, Algebra
from .moment_kinds import DIAGONAL, FULL, POOLED, MomentKind
from .segments import Segments, joined

EXACT_FROM = 0.02  # ratio of variances from which on it is computed, not bounded


@dataclass(frozen=True, eq=False)
class Covariances(ABC):
    """Covariances of M components and the Cholesky factors of their precisions.

    The components are those of one mixture, or of a stack of several (``segments``).
    ``precisions_cholesky`` holds U with precision = U U', upper triangular, in the
    layout of ``values``. Multiplying by U is as accurate as solving with the
    Cholesky factor of the covariance (both are bounded by its condition number,
    and measured alike up to condition 1e12), and is one matrix product.
    """

    values: NDArray
    precisions_cholesky: NDArray
    segments: Segments
    n_features: int

    algebra: ClassVar[Algebra]
    moment_kind: ClassVar[MomentKind]
    """Which second moments the E-step must sum."""
    has_variances_of_features: ClassVar[bool] = True
    """Whether each feature has a variance of its own."""
    of_mixtures: ClassVar[bool] = False
    """Whether values belong to mixtures, and not to components."""

    @staticmethod
    @abstractmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        """Shape of the values of one mixture, as users see them."""

    @classmethod
    def layout(cls, segments: Segments, n_features: int) -> tuple[int, ...]:
        """Shape of ``values``."""
        return cls.shape(segments.n_components, n_features)

    def as_published(self, array: NDArray) -> NDArray:
        """An array in the layout of ``values``, of one mixture, as users see it."""
        return array.reshape(self.shape(self.n_components, self.n_features))

    @property
    def n_components(self) -> int:
        """The number of components M of all mixtures."""
        return self.segments.n_components

    @cached_property
    def log_det(self) -> NDArray:
        """Logarithms of the determinants of the covariances, shape (M,)."""
        return self._log_det()

    @abstractmethod
    def _log_det(self) -> NDArray:
        """``log_det``, computed."""

    @abstractmethod
    def dense(self) -> NDArray:
        """The matrices themselves, shape (M, d, d)."""

    @property
    @abstractmethod
    def factors(self) -> NDArray:
        """U of every component: its diagonals (M, d), or matrices (M, d, d)."""

    @property
    @abstractmethod
    def variances(self) -> NDArray:
        """The diagonals of the covariances, shape (M, d)."""

    @property
    def scale(self) -> NDArray:
        """Products of standard deviations of features, in the layout of ``values``."""
        return self.algebra.scale_of(self.values)

    @classmethod
    def from_values(cls, values: NDArray, segments: Segments, n_features: int) -> Self:
        """The covariances of values. LinAlgError if they are not positive definite."""
        values = values.reshape(cls.layout(segments, n_features))
        factors = cls.algebra.factorize(values)
        if np.isnan(factors).any():
            raise np.linalg.LinAlgError("a covariance is not positive definite")
        return cls(values, factors, segments, n_features)

    @classmethod
    def estimated(
        cls, values: NDArray, segments: Segments, n_features: int
    ) -> tuple[Self, NDArray]:
        """The covariances of values, and which mixtures (B,) are singular; the values
        of those are ones and identities instead."""
        factors = cls.algebra.factorize(values)
        lost = np.isnan(factors)
        if not np.count_nonzero(lost):
            none = np.zeros(len(segments), dtype=bool)
            return cls(values, factors, segments, n_features), none
        lost = lost.reshape(len(factors), -1).any(axis=1)
        singular = lost if cls.of_mixtures else segments.any(lost)
        entries = singular if cls.of_mixtures else segments.spread(singular)
        values, factors = values.copy(), factors.copy()
        values[entries] = factors[entries] = cls.algebra.identity(values.shape[1:])
        return cls(values, factors, segments, n_features), singular

    @classmethod
    def from_precisions(
        cls, precisions: NDArray, segments: Segments, n_features: int
    ) -> Self:
        """The covariances of precisions, laid out as values are."""
        factors = cls.algebra.factorize_precisions(precisions)
        return cls.from_factors(factors, segments, n_features)

    @classmethod
    def from_factors(
        cls, factors: NDArray, segments: Segments, n_features: int
    ) -> Self:
        """The covariances of Cholesky factors U of precisions, laid out as values."""
        factors = factors.reshape(cls.layout(segments, n_features))
        return cls(cls.algebra.invert(factors), factors, segments, n_features)

    @classmethod
    def joined(cls, stacks: Sequence[Covariances]) -> Self:
        """The covariances of several stacks, one after the other."""
        return cls(
            np.concatenate([each.values for each in stacks]),
            np.concatenate([each.precisions_cholesky for each in stacks]),
            joined([each.segments for each in stacks]),
            stacks[0].n_features,
        )

    def take(self, mixtures: NDArray) -> Self:
        """The covariances of some of the mixtures, by indices or a mask (B,)."""
        entries = mixtures if self.of_mixtures else self.segments.components(mixtures)
        return type(self)(
            self.values[entries],
            self.precisions_cholesky[entries],
            self.segments.take(mixtures),
            self.n_features,
        )

    def replaced(self, mixtures: NDArray, others: Covariances) -> Self:
        """The covariances with those of some mixtures (by indices) replaced."""
        entries = mixtures if self.of_mixtures else self.segments.components(mixtures)
        values, factors = self.values.copy(), self.precisions_cholesky.copy()
        values[entries], factors[entries] = others.values, others.precisions_cholesky
        return type(self)(values, factors, self.segments, self.n_features)

    @classmethod
    @abstractmethod
    def scatter(
        cls, segments: Segments, values: NDArray, counts: NDArray, n_features: int
    ) -> NDArray:
        """Scatter of components with counts (M,) and these values, laid out as
        products."""

    @staticmethod
    def along_rows(values: NDArray, least: NDArray) -> tuple[NDArray, NDArray]:
        """Values with one entry for each of the products, and their least variances."""
        return values, least

    @abstractmethod
    def information(self, weights: NDArray) -> NDArray:
        """Fisher information of the coordinates of ``to_tangent``, for weights (M,), in
        the layout of ``values`` or one that broadcasts to it."""

    def in_units(self, units: NDArray) -> Self:
        """The covariances of rows that are divided by units (d,)."""
        with np.errstate(over="ignore"):  # refused where they are published
            values = self.algebra.in_units(self.values, units)
            factors = self.algebra.scale(self.precisions_cholesky, units)
        return replace(self, values=values, precisions_cholesky=factors)

    def regularization_ratio(self, variances: NDArray) -> NDArray:
        """Greatest ratio (M,) over all directions of independent variances, (d,) or
        (M, d), to the variances of the components; small ones are bounded by the trace.
        """
        scaled = self.algebra.scale(self.factors, np.sqrt(variances))
        ratios = (scaled * scaled).reshape(len(scaled), -1).sum(axis=1)
        large = ratios > EXACT_FROM
        if np.count_nonzero(large):
            ratios[large] = self.algebra.greatest(scaled[large])
        return ratios

    def ordered(self, components: NDArray) -> Self:
        """The covariances of the components in another order."""
        values, factors = self.values[components], self.precisions_cholesky[components]
        return replace(self, values=values, precisions_cholesky=factors)

    def marginal(self, features: NDArray) -> Self:
        """The covariances of some of the features, by their indices."""
        values = self.algebra.take(self.values, features)
        try:
            return self.from_values(values, self.segments, len(features))
        except np.linalg.LinAlgError:  # what rounding has left of them
            factors = self.algebra.of_roots(self.inverse_factors[..., features])
            return type(self)(values, factors, self.segments, len(features))

    def conditional(self, given: NDArray, others: NDArray) -> tuple[NDArray, Self]:
        """Slopes (K, others, given) of the regressions of other features on the given
        ones, or (K, others, 0) where none depends on another; and the conditional
        covariances of the others."""
        slopes, values, factors = self.algebra.condition(
            self.values, self.inverse_factors, given, others
        )
        left = type(self)(values, factors, self.segments, len(others))
        return np.broadcast_to(slopes, (self.n_components, *slopes.shape[-2:])), left

    def halfway(self, component: int) -> Self:
        """Means of each component's covariance and that of one component."""
        values = self.values / 2 + self.values[component] / 2
        return self.from_values(values, self.segments, self.n_features)

    def whiten(self, deviations: NDArray) -> NDArray:
        """Deviations (M, d), one of each component, times U: of unit covariance."""
        return self.algebra.apply_factor(deviations, self.factors)

    def color(self, deviations: NDArray) -> NDArray:
        """The inverse of ``whiten``."""
        inverses = self.inverse_factors
        if self.of_mixtures:
            inverses = self.segments.spread(inverses)
        return self.algebra.apply_factor(deviations, inverses)

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
        """Precisions as vectors of components are multiplied by them: diagonals (M, d),
        or matrices (M, d, d), or (1, d, d) if all are the same."""

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
    """One variance per component, shape (M,)."""

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

    def _log_det(self) -> NDArray:
        return -2 * self.n_features * np.log(self.precisions_cholesky)

    @classmethod
    def scatter(
        cls, segments: Segments, values: NDArray, counts: NDArray, n_features: int
    ) -> NDArray:
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
    """One variance per component and feature, shape (M, d)."""

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

    def _log_det(self) -> NDArray:
        return -2 * np.log(self.precisions_cholesky).sum(axis=1)

    @classmethod
    def scatter(
        cls, segments: Segments, values: NDArray, counts: NDArray, n_features: int
    ) -> NDArray:
        return counts[:, None] * values

    def information(self, weights: NDArray) -> NDArray:
        return 0.5 * weights[:, None]

    def dense(self) -> NDArray:
        return self.values[:, :, None] * np.eye(self.n_features)


class Tied(Covariances):
    """One matrix shared by all components of a mixture, shape (B, d, d)."""

    algebra = MATRICES
    moment_kind = POOLED
    of_mixtures = True

    @staticmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_features, n_features)

    @classmethod
    def layout(cls, segments: Segments, n_features: int) -> tuple[int, ...]:
        return (len(segments), n_features, n_features)

    def ordered(self, components: NDArray) -> Self:
        return self

    @property
    def factors(self) -> NDArray:
        return self.segments.spread(self.precisions_cholesky)

    @property
    def precisions_by_component(self) -> NDArray:
        one = len(self.segments) == 1
        return self.precisions if one else self.segments.spread(self.precisions)

    @property
    def variances(self) -> NDArray:
        return self.segments.spread(self.values.diagonal(axis1=1, axis2=2))

    def _log_det(self) -> NDArray:
        diagonals = self.precisions_cholesky.diagonal(axis1=1, axis2=2)
        return self.segments.spread(-2 * np.log(diagonals).sum(axis=1))

    @classmethod
    def scatter(
        cls, segments: Segments, values: NDArray, counts: NDArray, n_features: int
    ) -> NDArray:
        return segments.sum(counts)[:, None, None] * values

    def information(self, weights: NDArray) -> NDArray:
        return 0.5 * self.segments.sum(weights)[:, None, None]

    def halfway(self, component: int) -> Self:
        return self

    def dense(self) -> NDArray:
        return self.segments.spread(self.values).copy()


class Full(Covariances):
    """One matrix per component, shape (M, d, d)."""

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

    def _log_det(self) -> NDArray:
        diagonals = self.precisions_cholesky.diagonal(axis1=1, axis2=2)
        return -2 * np.log(diagonals).sum(axis=1)

    @classmethod
    def scatter(
        cls, segments: Segments, values: NDArray, counts: NDArray, n_features: int
    ) -> NDArray:
        return counts[:, None, None] * values

    def information(self, weights: NDArray) -> NDArray:
        return 0.5 * weights[:, None, None]

    def dense(self) -> NDArray:
        return self.values.copy()
