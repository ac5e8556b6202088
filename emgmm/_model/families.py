"""Families of covariance matrices: the rules of the M-step, and their table.

Every matrix is Sigma_k = lambda_k D_k A_k D_k' with volume lambda_k, shape A_k
(diagonal, determinant 1) and orientation D_k, and a family's name says in that
order whether each is Equal in all components, Variable, or the Identity (Celeux &
Govaert 1995, doi:10.1016/0031-3203(94)00125-6). So a family is made of two
functions: its orientation finds axes along which the scatter is summed up, and its rule
turns the sums into variances lambda_k A_k. Where shape and orientation have the same
letter, D_k A_k D_k' is any matrix of determinant 1, for which there is a formula
without axes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .bounded import EstimateFunction, bounded
from .covariances import Covariances, Diagonal, Full, Spherical, Tied
from .one_by_one import one_by_one
from .orientation import (
    MAX_ROUNDS_INEXACT,
    common_orientation,
    own_orientations,
    unrotated,
)
from .segments import Segments
from .volume_shape import (
    Rule,
    equal,
    equal_shape,
    equal_spheres,
    equal_volume,
    free,
    newton,
    spheres,
)

ENOUGH_ROWS = 6  # of a component with variances of its own


Count = Callable[[int], int]
"""Number of features to a number of free parameters."""


@dataclass(frozen=True)
class CovarianceFamily:
    """A named model: how it is stored, how it is estimated, and what is free in it.

    Where an estimate is iterative, ``estimate_inexact`` takes a few of its iterations:
    with it EM is a generalised EM, which raises the likelihood in every iteration and
    has the same limits, in about as many iterations.
    """

    name: str
    storage: type[Covariances]
    estimate: EstimateFunction
    shared: Count
    """Free parameters that all covariances have in common."""
    own: Count
    """Free parameters that each covariance has of its own."""
    scale_equivariant: bool = True
    """Whether fits follow the data where a single feature is multiplied by a number."""
    free_matrices: bool = False
    """Whether correlations and the ratios of variances are a component's own."""
    estimate_inexact: EstimateFunction | None = None

    @property
    def inexact(self) -> CovarianceFamily:
        """The family with short M-steps."""
        return replace(self, estimate=self.estimate_inexact or self.estimate)

    def bounded(self, least: NDArray) -> CovarianceFamily:
        """The family where variances are bounded from below, in every direction by
        that of independent features with the least variances (d,)."""
        if not least.any():
            return self
        estimate = bounded(self.storage, self.estimate, least)
        estimate_inexact = self.estimate_inexact and bounded(
            self.storage, self.estimate_inexact, least
        )
        return replace(self, estimate=estimate, estimate_inexact=estimate_inexact)

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Number of free parameters of the covariances."""
        return self.shared(n_features) + n_components * self.own(n_features)

    def rows_needed(self, n_features: int) -> int:
        """Number of rows with which a component's likelihood is more than chance.

        None where its covariance has no parameter of its own. Otherwise 6 (in one
        dimension 3; in two 5 for one parameter), or for a free matrix twice those that
        make it regular: measured on samples of one Gaussian.
        """
        own = self.own(n_features)
        enough = 2 * (n_features + 1) if self.free_matrices else 0
        least = min(1 + n_features * (1 + own), max(ENOUGH_ROWS, enough))
        return least if own else 0

    def rows_regular(self, n_features: int) -> int:
        """Number of rows, two or more, with which a component's covariance is regular;
        at most ``rows_needed``, if that is not zero."""
        return max(min(self.rows_needed(n_features), n_features + 1), 2)

    def n_parameters_of_mixture(self, n_components: int, n_features: int) -> int:
        """Number of free parameters of weights, means and covariances."""
        means = n_components * n_features
        return n_components - 1 + means + self.n_parameters(n_components, n_features)


# Numbers of free parameters ------------------------------------------------------


def _none(n_features: int) -> int:
    """No parameter."""
    return 0


def _volume(n_features: int) -> int:
    """That of lambda."""
    return 1


def _shape(n_features: int) -> int:
    """Those of A, whose determinant is 1."""
    return n_features - 1


def _orientation(n_features: int) -> int:
    """Those of D: angles of rotations in the planes of two axes."""
    return n_features * (n_features - 1) // 2


def _variances(n_features: int) -> int:
    """Those of lambda A."""
    return n_features


def _matrix(n_features: int) -> int:
    """Those of lambda D A D'."""
    return n_features * (n_features + 1) // 2


def _unit_matrix(n_features: int) -> int:
    """Those of D A D', of determinant 1."""
    return _matrix(n_features) - 1


def _volume_and_orientation(n_features: int) -> int:
    """Those of lambda and D."""
    return 1 + _orientation(n_features)


# Shape and orientation alike: whole matrices, which need no eigenvectors ----------


def _matrices(counts: NDArray, scatter: NDArray, start: Covariances | None) -> NDArray:
    """VVV: W_k / n_k."""
    return scatter / counts[:, None, None]


def _matrices_of_equal_volume(
    counts: NDArray, scatter: NDArray, start: Covariances | None
) -> NDArray:
    """EVV: W_k at determinant 1, times what was divided out, summed, / n."""
    volumes = _volumes(scatter)
    return scatter * (volumes.sum() / counts.sum() / volumes)[:, None, None]


def _equal_matrix(
    counts: NDArray, scatter: NDArray, start: Covariances | None
) -> NDArray:
    """EEE: W / n."""
    return scatter / counts.sum()


def _equal_matrix_of_any_volume(
    counts: NDArray, scatter: NDArray, start: Covariances | None
) -> NDArray:
    """VEE: lambda_k C, by Newton's method on log lambda.

    With the best C for every lambda the objective is, up to constants,
    f = d sum_k n_k log lambda_k + n log|sum_k W_k / lambda_k|, convex in log lambda.
    """
    n, d = counts.sum(), scatter.shape[-1]

    def matrix(log_volumes: NDArray) -> NDArray:
        return (scatter * np.exp(-log_volumes)[:, None, None]).sum(axis=0)

    def objective(log_volumes: NDArray) -> float:
        log_det = np.linalg.slogdet(matrix(log_volumes))[1]
        return float(d * counts @ log_volumes + n * log_det)

    def derivatives(log_volumes: NDArray) -> tuple[NDArray, NDArray]:
        scaled = scatter * np.exp(-log_volumes)[:, None, None]
        shares = np.linalg.solve(scaled.sum(axis=0), scaled)
        traces = np.trace(shares, axis1=1, axis2=2)
        products = np.tensordot(shares, shares, axes=([1, 2], [2, 1]))
        return d * counts - n * traces, n * (np.diag(traces) - products)

    volumes = spheres(counts, np.diagonal(scatter, axis1=1, axis2=2))
    log_volumes = newton(objective, derivatives, np.log(volumes), n * d)
    common = matrix(log_volumes)
    common /= _volumes(common)
    relative = np.diagonal(np.linalg.solve(common, scatter), axis1=1, axis2=2)
    return spheres(counts, relative)[:, None, None] * common


def _volumes(matrices: NDArray) -> NDArray:
    """Determinants to the power 1/d."""
    return np.exp(np.linalg.slogdet(matrices)[1] / matrices.shape[-1])


# The table -----------------------------------------------------------------------


def _table() -> Iterator[CovarianceFamily]:
    """The fourteen models."""
    mixed = partial(CovarianceFamily, scale_equivariant=False)
    yield mixed("EII", Spherical, partial(unrotated, equal_spheres), _volume, _none)
    yield mixed("VII", Spherical, partial(unrotated, spheres), _none, _volume)
    yield CovarianceFamily(
        "EEI", Diagonal, partial(unrotated, equal), _variances, _none
    )
    yield CovarianceFamily(
        "VEI", Diagonal, partial(unrotated, equal_shape), _shape, _volume
    )
    yield CovarianceFamily(
        "EVI", Diagonal, partial(unrotated, equal_volume), _volume, _shape
    )
    yield CovarianceFamily("VVI", Diagonal, partial(unrotated, free), _none, _variances)
    yield CovarianceFamily("EEE", Tied, _equal_matrix, _matrix, _none)
    yield CovarianceFamily(
        "VEE", Full, _equal_matrix_of_any_volume, _unit_matrix, _volume
    )
    yield _of_common_orientation("EVE", equal_volume, _volume_and_orientation, _shape)
    yield _of_common_orientation("VVE", free, _orientation, _variances)
    yield mixed("EEV", Full, partial(own_orientations, equal), _variances, _orientation)
    yield mixed(
        "VEV",
        Full,
        partial(own_orientations, equal_shape),
        _shape,
        _volume_and_orientation,
    )
    yield CovarianceFamily(
        "EVV",
        Full,
        _matrices_of_equal_volume,
        _volume,
        _unit_matrix,
        free_matrices=True,
    )
    yield CovarianceFamily("VVV", Full, _matrices, _none, _matrix, free_matrices=True)


def _of_common_orientation(
    name: str, rule: Rule, shared: Count, own: Count
) -> CovarianceFamily:
    """A family whose orientation is found by rotations of pairs of axes."""
    estimate = partial(common_orientation, rule)
    return CovarianceFamily(
        name,
        Full,
        estimate,
        shared,
        own,
        scale_equivariant=False,
        estimate_inexact=partial(estimate, max_rounds_on=MAX_ROUNDS_INEXACT),
    )


def _stacked(family: CovarianceFamily) -> CovarianceFamily:
    """The family with estimates of stacks."""
    inexact = family.estimate_inexact and partial(one_by_one, family.estimate_inexact)
    return replace(
        family, estimate=partial(one_by_one, family.estimate), estimate_inexact=inexact
    )


MODELS: dict[str, CovarianceFamily] = {
    family.name: _stacked(family) for family in _table()
}
FAMILIES: dict[str, CovarianceFamily] = {
    "full": MODELS["VVV"],
    "tied": MODELS["EEE"],
    "diag": MODELS["VVI"],
    "spherical": MODELS["VII"],
    **MODELS,
}
"""Every name that ``covariance_type`` takes."""


@dataclass(frozen=True, eq=False)
class Families:
    """The covariance models of the mixtures of a stack, all of one storage.

    ``which`` (B,) is the index of each mixture's family; None where there is only one,
    which then serves any number of mixtures.
    """

    distinct: tuple[CovarianceFamily, ...]
    which: NDArray | None = None

    @classmethod
    def one(cls, family: CovarianceFamily) -> Families:
        """One family for all mixtures."""
        return cls((family,))

    @property
    def storage(self) -> type[Covariances]:
        """How the covariances are stored."""
        return self.distinct[0].storage

    @property
    def inexact(self) -> Families:
        """The families with short M-steps."""
        return replace(self, distinct=tuple(each.inexact for each in self.distinct))

    def bounded(self, least: NDArray) -> Families:
        """The families with variances bounded from below by least variances (d,)."""
        bounded = tuple(each.bounded(least) for each in self.distinct)
        return replace(self, distinct=bounded)

    def take(self, mixtures: NDArray) -> Families:
        """The families of some of the mixtures, by indices or a mask (B,)."""
        return self if self.which is None else replace(self, which=self.which[mixtures])

    def of_each(self, values: Sequence[float], n_mixtures: int) -> NDArray:
        """The value of its family for each mixture (B,)."""
        which = np.zeros(n_mixtures, np.intp) if self.which is None else self.which
        return np.array(values)[which]

    def rows_needed(self, n_features: int, n_mixtures: int) -> NDArray:
        """``rows_needed`` of the family of each mixture (B,)."""
        needed = [each.rows_needed(n_features) for each in self.distinct]
        return self.of_each(needed, n_mixtures)

    def estimate(
        self,
        segments: Segments,
        counts: NDArray,
        scatter: NDArray,
        start: Covariances | None,
    ) -> NDArray:
        """Values of the covariances, each mixture's by its family."""
        if self.which is None:
            return self.distinct[0].estimate(segments, counts, scatter, start)
        kind, out = self.storage.moment_kind, np.full(0, np.nan)
        for index, family in enumerate(self.distinct):
            own = np.flatnonzero(self.which == index)
            if not own.size:
                continue
            components = segments.components(own)
            values = family.estimate(
                segments.take(own),
                counts[components],
                scatter[kind.entries(segments, own)],
                start.take(own) if start else None,
            )
            if not out.size:
                entries = len(segments) if self.storage.of_mixtures else len(counts)
                out = np.empty((entries, *values.shape[1:]))
            out[own if self.storage.of_mixtures else components] = values
        return out
