"""Storages of covariance matrices: Spherical, Diagonal, Tied and Full.

A storage knows how the covariances of all components are laid out in one array
(what users see as ``covariances_``) and answers the geometry of the E-step. How
the values were estimated is no concern of it; that is a family's rule.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ._algebra import MATRICES, VARIANCES, Algebra, gram, inverse_triangles
from ._cached import cached_property

BOUND_TOL = 1e-6  # share of a least variance that may be lacking
NEAR = 0.02  # ratio of variances above which it is computed, not bounded


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
    products: ClassVar[str]
    """Which second moments the E-step must sum: a key of ``OUTER``."""
    of_squares: ClassVar[bool] = False
    """Whether these are squares of features, without their products."""
    by_feature: ClassVar[bool] = True
    """Whether features have variances of their own."""

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
        """Scatter of so many rows (K,) with such covariances, laid out as products."""

    @staticmethod
    @abstractmethod
    def deficit(values: NDArray, least: NDArray) -> NDArray | None:
        """What values lack, laid out as products, so that the variance in no direction
        is less than that of independent features with the least variances (d,).

        None if they lack nothing; LinAlgError if they are not positive definite.
        """

    @abstractmethod
    def information(self, weights: NDArray) -> NDArray:
        """Fisher information of the coordinates ``relate`` gives, for shares (K,)."""

    def in_units(self, units: NDArray) -> Self:
        """The covariances of rows that are divided by units (d,)."""
        with np.errstate(over="ignore"):  # refused where they are published
            values = self.algebra.in_units(self.values, units)
        return replace(
            self,
            values=values,
            precisions_cholesky=self.algebra.scale(self.precisions_cholesky, units),
        )

    def nearness(self, variances: NDArray) -> NDArray:
        """Greatest ratio (K,), over all directions, of such variances to these.

        Bounded from above by its trace where that is small.
        """
        last, ratios = self._last_nearness
        if np.array_equal(last, variances):  # every iteration asks more than once
            return ratios
        scaled = self.algebra.scale(self.factors, np.sqrt(variances))
        ratios = (scaled * scaled).reshape(len(scaled), -1).sum(axis=1)
        if ratios.max() > NEAR:
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
        return self.from_values(values, self.n_components, len(features))

    def conditional(self, given: NDArray, others: NDArray) -> tuple[NDArray, Self]:
        """Slopes (K, others, given) of some features' regressions on those given, or
        (K, others, 0) where none depends on another; and the covariances that are left
        to them."""
        slopes, values = self.algebra.condition(self.values, given, others)
        left = self.from_values(values, self.n_components, len(others))
        return np.broadcast_to(slopes, (self.n_components, *slopes.shape[-2:])), left

    def halfway(self, component: int) -> Self:
        """The mean of each covariance with that of one component."""
        values = self.values / 2 + self.values[component] / 2
        return self.from_values(values, self.n_components, self.n_features)

    def whiten(self, deviations: NDArray) -> NDArray:
        """One deviation of each component (K, d) to its own standard deviations."""
        return self.algebra.carry(deviations, self.precisions_cholesky)

    def color(self, deviations: NDArray) -> NDArray:
        """The inverse of ``whiten``."""
        return self.algebra.carry(deviations, self.inverse_factors)

    def relate(self, other: Covariances) -> NDArray:
        """Coordinates of other covariances of the kind, in the layout of ``values``."""
        return self.algebra.relate(self.precisions_cholesky, other.values)

    def displace(self, coordinates: NDArray) -> NDArray:
        """Values of the covariances that have such coordinates, to first order."""
        return self.algebra.displace(self.values, self.inverse_factors, coordinates)

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
    products = "diagonal"
    of_squares = True
    by_feature = False

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
    def deficit(values: NDArray, least: NDArray) -> NDArray | None:
        # All features share the variance: it is at least the mean of theirs.
        lacking = _lacking(values[:, None], least.mean(keepdims=True))
        return lacking if lacking is None else np.tile(lacking, len(least))

    def information(self, weights: NDArray) -> NDArray:
        return 0.5 * self.n_features * weights

    def dense(self) -> NDArray:
        return self.values[:, None, None] * np.eye(self.n_features)


class Diagonal(Covariances):
    """One variance per component and feature, shape (K, d)."""

    algebra = VARIANCES
    products = "diagonal"
    of_squares = True

    @staticmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components, n_features)

    @property
    def factors(self) -> NDArray:
        return self.precisions_cholesky

    @property
    def variances(self) -> NDArray:
        return self.values

    @property
    def log_det(self) -> NDArray:
        return -2 * np.log(self.precisions_cholesky).sum(axis=1)

    @staticmethod
    def scatter(values: NDArray, counts: NDArray, n_features: int) -> NDArray:
        return counts[:, None] * values

    @staticmethod
    def deficit(values: NDArray, least: NDArray) -> NDArray | None:
        return _lacking(values, least)

    def information(self, weights: NDArray) -> NDArray:
        return 0.5 * weights[:, None]

    def dense(self) -> NDArray:
        return self.values[:, :, None] * np.eye(self.n_features)


class Tied(Covariances):
    """One matrix shared by all components, shape (d, d)."""

    algebra = MATRICES
    products = "pooled"

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
    def deficit(values: NDArray, least: NDArray) -> NDArray | None:
        return _lacking_matrices(values[None], least)

    def information(self, weights: NDArray) -> NDArray:
        return 0.5 * weights.sum(keepdims=True)

    def halfway(self, component: int) -> Self:
        return self

    def dense(self) -> NDArray:
        return np.tile(self.values, (self.n_components, 1, 1))


class Full(Covariances):
    """One matrix per component, shape (K, d, d)."""

    algebra = MATRICES
    products = "full"

    @staticmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components, n_features, n_features)

    @property
    def factors(self) -> NDArray:
        return self.precisions_cholesky

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

    @staticmethod
    def deficit(values: NDArray, least: NDArray) -> NDArray | None:
        return _lacking_matrices(values, least)

    def information(self, weights: NDArray) -> NDArray:
        return 0.5 * weights[:, None, None]

    def dense(self) -> NDArray:
        return self.values.copy()


def _lacking(variances: NDArray, least: NDArray) -> NDArray | None:
    """What variances (K, d) lack to the least (d,), if they lack any of it."""
    lacking = least - variances
    if (lacking <= BOUND_TOL * least).all():
        return None
    return np.where(lacking > 0, lacking, 0.0)


def _lacking_matrices(matrices: NDArray, least: NDArray) -> NDArray | None:
    """What matrices S (K, d, d) lack so that S - diag(least) is nowhere negative.

    In the coordinates in which S is the identity and the bound is diagonal, variances
    less than the bound are raised to it. For a single free matrix that maximises the
    likelihood of the bounded model.
    """
    diagonal = np.diag((1 - BOUND_TOL) * least)
    with suppress(np.linalg.LinAlgError):
        np.linalg.cholesky(matrices - diagonal)
        return None
    lower = np.linalg.cholesky(matrices)
    scaled = inverse_triangles(lower) * np.sqrt(least)
    ratios, axes = np.linalg.eigh(scaled @ scaled.mT)
    excess = np.sqrt(np.maximum(ratios - 1, 0.0))
    if not (excess**2 > BOUND_TOL).any():
        return None
    return gram(((lower @ axes) * excess[:, None, :]).mT)
