"""Storages of covariance matrices: Spherical, Diagonal, Tied and Full.

A storage knows how the covariances of all components are laid out in one array
(what users see as ``covariances_``) and answers the geometry of the E-step. How
the values were estimated is no concern of it; that is a family's rule.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf, dtrtri

NEAR = 0.1  # ratio of variances above which it is computed, not bounded


@dataclass(frozen=True)
class Algebra:
    """What storages do with U, where precision = U U', as variances or as matrices.

    Every function but ``divide`` takes any number of leading axes.
    """

    factorize: Callable[[NDArray], NDArray]
    """Covariances to U; LinAlgError unless they are positive definite."""
    factorize_precisions: Callable[[NDArray], NDArray]
    """Precisions to U; LinAlgError unless they are positive definite."""
    invert: Callable[[NDArray], NDArray]
    """U to covariances."""
    square: Callable[[NDArray], NDArray]
    """U to precisions."""
    divide: Callable[[NDArray, NDArray], NDArray]
    """Rows (n, d) and one U to the rows times the inverse of U."""
    invert_factors: Callable[[NDArray], NDArray]
    """U to its inverse L', where covariance = L L'."""
    in_units: Callable[[NDArray, NDArray], NDArray]
    """Covariances to those of rows divided by units (d,)."""
    scale: Callable[[NDArray, NDArray], NDArray]
    """U to that of rows divided by units, (d,) or (K, d)."""
    greatest: Callable[[NDArray], NDArray]
    """U of every component to the greatest eigenvalues of the precisions (K,)."""
    carry: Callable[[NDArray, NDArray], NDArray]
    """One vector of each component (K, d) times its U, or the inverse of U."""
    relate: Callable[[NDArray, NDArray], NDArray]
    """U and other covariances to coordinates, which are zero where they are its own."""
    displace: Callable[[NDArray, NDArray, NDArray], NDArray]
    """Covariances, L' and coordinates to covariances: to first order the inverse of
    ``relate``, and positive definite whatever the coordinates."""


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

    algebra: ClassVar[Algebra]
    products: ClassVar[str]
    """Which second moments the E-step must sum: a key of ``OUTER``."""

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

    @abstractmethod
    def information(self, weights: NDArray) -> NDArray:
        """Fisher information of the coordinates ``relate`` gives, for shares (K,)."""

    def in_units(self, units: NDArray) -> Self:
        """The covariances of rows that are divided by units (d,)."""
        return replace(
            self,
            values=self.algebra.in_units(self.values, units),
            precisions_cholesky=self.algebra.scale(self.precisions_cholesky, units),
        )

    def nearness(self, variances: NDArray) -> NDArray:
        """Greatest ratio (K,), over all directions, of such variances to these.

        Bounded from above by its trace where that is small.
        """
        scaled = self.algebra.scale(self.factors, np.sqrt(variances))
        traces = (scaled * scaled).reshape(len(scaled), -1).sum(axis=1)
        return self.algebra.greatest(scaled) if traces.max() > NEAR else traces

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


def _positive(values: NDArray) -> NDArray:
    """The values, or LinAlgError where one is not positive and finite."""
    if not ((values > 0).all() and np.isfinite(values).all()):
        raise np.linalg.LinAlgError("a variance is not positive and finite")
    return values


def _finite(matrices: NDArray) -> NDArray:
    """The matrices, or LinAlgError: LAPACK lets NaN and infinity pass."""
    if not np.isfinite(matrices).all():
        raise np.linalg.LinAlgError("a covariance matrix is not finite")
    return matrices


def _inverse_cholesky(matrices: NDArray) -> NDArray:
    """U with U U' the inverse, from the Cholesky factors, or LinAlgError."""
    inverses = np.empty(_finite(matrices).shape)
    flat = inverses.reshape(-1, *matrices.shape[-2:])
    for k, matrix in enumerate(matrices.reshape(flat.shape)):
        # The transpose of a symmetric matrix is itself, in the order of Fortran.
        lower, info = dpotrf(matrix.T, lower=1, clean=1)
        if info:
            raise np.linalg.LinAlgError("a covariance matrix is not positive definite")
        flat[k] = dtrtri(lower, lower=1, overwrite_c=1)[0].T
    return inverses


def _inverse_triangles(lower: NDArray) -> NDArray:
    """L^-1 of lower triangles."""
    triangles = lower.reshape(-1, *lower.shape[-2:])
    return np.reshape([dtrtri(each, lower=1)[0] for each in triangles], lower.shape)


def _gram(matrices: NDArray) -> NDArray:
    """A'A, exactly symmetric."""
    return matrices.mT @ matrices


def _relate_matrices(factors: NDArray, matrices: NDArray) -> NDArray:
    """U' S U - I."""
    related = factors.mT @ matrices @ factors
    diagonals = np.einsum("...ii->...i", related)
    diagonals -= 1.0
    return related


def _displace_matrices(matrices: NDArray, inverses: NDArray, moves: NDArray) -> NDArray:
    """L (I + A + A^2 / 2) L', for symmetric A, as (S + (L + L A)(L + L A)') / 2."""
    return 0.5 * (matrices + _gram(inverses + moves @ inverses))


def _upper_cholesky(matrices: NDArray) -> NDArray:
    """U with P = U U': the lower Cholesky factor of P in reversed coordinates."""
    reversed_factors = np.linalg.cholesky(_finite(matrices)[..., ::-1, ::-1])
    return reversed_factors[..., ::-1, ::-1].copy()


VARIANCES = Algebra(
    factorize=lambda values: 1 / np.sqrt(_positive(values)),
    factorize_precisions=lambda precisions: np.sqrt(_positive(precisions)),
    invert=lambda factors: 1 / factors**2,
    square=lambda factors: factors**2,
    divide=lambda rows, factor: rows / factor,
    invert_factors=lambda factors: 1 / factors,
    in_units=lambda variances, units: variances / units**2,
    scale=lambda factors, units: factors * units,
    greatest=lambda factors: (factors**2).max(axis=1),
    carry=lambda vectors, factors: vectors * factors.reshape(len(vectors), -1),
    relate=lambda factors, variances: np.log(variances * factors**2),
    displace=lambda variances, inverses, moves: variances * np.exp(moves),
)
MATRICES = Algebra(
    factorize=_inverse_cholesky,
    factorize_precisions=_upper_cholesky,
    invert=lambda factors: _gram(_inverse_triangles(factors.mT).mT),
    square=lambda factors: _gram(factors.mT),
    divide=lambda rows, factor: solve_triangular(factor.T, rows.T, lower=True).T,
    invert_factors=lambda factors: _inverse_triangles(factors.mT).mT,
    in_units=lambda matrices, units: matrices / units / units[:, None],
    scale=lambda factors, units: factors * units[..., None],
    greatest=lambda factors: np.linalg.norm(factors, 2, axis=(1, 2)) ** 2,
    carry=lambda vectors, factors: (vectors[:, None, :] @ factors)[:, 0],
    relate=_relate_matrices,
    displace=_displace_matrices,
)


class Spherical(Covariances):
    """One variance per component, shape (K,)."""

    algebra = VARIANCES
    products = "diagonal"

    @staticmethod
    def shape(n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components,)

    def in_units(self, units: NDArray) -> Self:
        return super().in_units(units[:1])

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

    def information(self, weights: NDArray) -> NDArray:
        return 0.5 * self.n_features * weights

    def dense(self) -> NDArray:
        return self.values[:, None, None] * np.eye(self.n_features)


class Diagonal(Covariances):
    """One variance per component and feature, shape (K, d)."""

    algebra = VARIANCES
    products = "diagonal"

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

    def information(self, weights: NDArray) -> NDArray:
        return 0.5 * weights.sum(keepdims=True)

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

    def information(self, weights: NDArray) -> NDArray:
        return 0.5 * weights[:, None, None]

    def dense(self) -> NDArray:
        return self.values.copy()
