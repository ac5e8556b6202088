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
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from .bounded import EXACT, Limits, meeting
from .covariances import Covariances, Diagonal, Full, Spherical, Tied
from .estimation import Estimation, Solver, VarianceRules
from .linalg import inverse_cholesky
from .newton import ENOUGH, ENOUGH_INEXACT, CommonMatrix, newton
from .orientation import (
    common_orientation,
    common_orientation_inexact,
    own_orientations,
    unrotated,
)
from .segments import Segments
from .volume_shape import (
    Rule,
    Rules,
    equal,
    equal_shape,
    equal_spheres,
    equal_volume,
    free,
    spheres,
)

ENOUGH_ROWS = 6  # of a component with variances of its own


Count = Callable[[int], int]
"""Number of features to a number of free parameters."""


@dataclass(frozen=True, eq=False)
class CovarianceFamily:
    """A named model: how it is stored, how it is estimated, and what is free in it.

    Where an estimate is iterative, ``inexact`` takes a few of its iterations: with it
    EM is a generalised EM, which raises the likelihood in every iteration and
    has the same limits, in about as many iterations.
    """

    name: str
    storage: type[Covariances]
    solver: Solver
    """Estimates from the scatter, by the rule."""
    rule: Rule
    """Estimates variances from the scatter along axes, if the solver has axes."""
    shared: Count
    """Free parameters that all covariances have in common."""
    own: Count
    """Free parameters that each covariance has of its own."""
    scale_equivariant: bool = True
    """Whether fits follow the data where a single feature is multiplied by a number."""
    free_matrices: bool = False
    """Whether correlations and the ratios of variances are a component's own."""
    inexact_solver: Solver | None = None
    inexact_rule: Rule | None = None
    least: NDArray | None = None
    """Least variances (d,): variances are bounded from below, in every direction by
    that of independent features with these."""
    limits: Limits = EXACT
    """Of what is done to meet these bounds."""

    @property
    def inexact(self) -> CovarianceFamily:
        """The family with short M-steps."""
        return replace(
            self,
            solver=self.inexact_solver or self.solver,
            rule=self.inexact_rule or self.rule,
        )

    def bounded(self, least: NDArray) -> CovarianceFamily:
        """The family with least variances (d,)."""
        return replace(self, least=least) if least.any() else self

    def estimate(
        self,
        segments: Segments,
        counts: NDArray,
        scatter: NDArray,
        start: Covariances | None,
    ) -> NDArray:
        """Values of the covariances of a stack, NaN for a mixture whose scatter is
        singular."""
        return _one(self).estimate(segments, counts, scatter, start)

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


def _matrices(estimation: Estimation) -> NDArray:
    """VVV: W_k / n_k."""
    return estimation.scatter / estimation.counts[:, None, None]


def _equal_volume_matrices(estimation: Estimation) -> NDArray:
    """EVV: W_k at determinant 1, times what was divided out, summed, / n."""
    segments, scatter = estimation.segments, estimation.scatter
    volumes = np.exp(np.linalg.slogdet(scatter)[1] / scatter.shape[-1])
    common = segments.sum(volumes) / segments.sum(estimation.counts)
    return scatter * (segments.spread(common) / volumes)[:, None, None]


def _equal_matrix(estimation: Estimation) -> NDArray:
    """EEE: W / n."""
    totals = estimation.segments.sum(estimation.counts)
    return estimation.scatter / totals[:, None, None]


def _equal_matrix_of_any_volume(
    estimation: Estimation, enough: float = ENOUGH
) -> NDArray:
    """VEE: lambda_k C, by Newton's method on log lambda."""
    segments, counts = estimation.segments, estimation.counts
    function = CommonMatrix.of(segments, counts, estimation.scatter)
    common = newton(function, estimation.log_volumes, enough)
    factors = inverse_cholesky(common)
    volumes = np.exp(-2 * np.log(np.einsum("bii->bi", factors)).mean(axis=1))
    axes = segments.spread(factors * np.sqrt(volumes)[:, None, None])
    relative = np.einsum("kii->ki", axes.mT @ estimation.scatter @ axes)
    common = segments.spread(common / volumes[:, None, None])
    return spheres(segments, counts, relative)[:, None, None] * common


# The table -----------------------------------------------------------------------


_equal_shape_inexact = partial(equal_shape, enough=ENOUGH_INEXACT)
_equal_matrix_inexact = partial(_equal_matrix_of_any_volume, enough=ENOUGH_INEXACT)


def _table() -> Iterator[CovarianceFamily]:
    """The fourteen models."""
    of_axes = partial(CovarianceFamily, scale_equivariant=False)
    common = partial(of_axes, inexact_solver=common_orientation_inexact)
    iterated = partial(CovarianceFamily, inexact_rule=_equal_shape_inexact)
    own = partial(iterated, scale_equivariant=False)
    alike = partial(CovarianceFamily, inexact_solver=_equal_matrix_inexact)
    matrices = partial(CovarianceFamily, free_matrices=True)
    angles, both = _orientation, _volume_and_orientation
    yield of_axes("EII", Spherical, unrotated, equal_spheres, _volume, _none)
    yield of_axes("VII", Spherical, unrotated, spheres, _none, _volume)
    yield CovarianceFamily("EEI", Diagonal, unrotated, equal, _variances, _none)
    yield iterated("VEI", Diagonal, unrotated, equal_shape, _shape, _volume)
    yield CovarianceFamily("EVI", Diagonal, unrotated, equal_volume, _volume, _shape)
    yield CovarianceFamily("VVI", Diagonal, unrotated, free, _none, _variances)
    yield CovarianceFamily("EEE", Tied, _equal_matrix, equal, _matrix, _none)
    yield alike("VEE", Full, _equal_matrix_of_any_volume, free, _unit_matrix, _volume)
    yield common("EVE", Full, common_orientation, equal_volume, both, _shape)
    yield common("VVE", Full, common_orientation, free, angles, _variances)
    yield of_axes("EEV", Full, own_orientations, equal, _variances, angles)
    yield own("VEV", Full, own_orientations, equal_shape, _shape, both)
    yield matrices("EVV", Full, _equal_volume_matrices, free, _volume, _unit_matrix)
    yield matrices("VVV", Full, _matrices, free, _none, _matrix)


MODELS: dict[str, CovarianceFamily] = {family.name: family for family in _table()}
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

    def with_limits(self, limits: Limits) -> Families:
        """The families with short M-steps, and such limits of what meets the bounds."""
        short = tuple(replace(each.inexact, limits=limits) for each in self.distinct)
        return replace(self, distinct=short)

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

    @np.errstate(all="ignore")  # of members that are singular
    def estimate(
        self,
        segments: Segments,
        counts: NDArray,
        scatter: NDArray,
        start: Covariances | None,
    ) -> NDArray:
        """Values of the covariances, each mixture's by its family; NaN for a mixture
        whose scatter is singular."""
        groups, out = _groups(self, segments), np.empty(0)
        for group in groups:
            values = group.estimate(counts, scatter, start)
            if len(groups) == 1:
                return values
            if not out.size:
                entries = len(segments) if self.storage.of_mixtures else len(counts)
                out = np.empty((entries, *values.shape[1:]))
            out[group.entries] = values
        return out


@lru_cache(maxsize=64)
def _one(family: CovarianceFamily) -> Families:
    """One family for all mixtures, made once."""
    return Families.one(family)


@dataclass(frozen=True, eq=False)
class _Group:
    """The mixtures of a stack whose families share a solver, and differ by the rule."""

    solver: Solver
    rules: VarianceRules
    segments: Segments
    storage: type[Covariances]
    mixtures: NDArray | None = None
    """Their indices; None for all."""
    components: NDArray | None = None
    entries: NDArray | None = None
    """Indices of the scatter, and of the values."""

    def estimate(
        self, counts: NDArray, scatter: NDArray, start: Covariances | None
    ) -> NDArray:
        """Values of the group's covariances, from the scatter of the whole stack."""
        if self.mixtures is not None:
            counts, scatter = counts[self.components], scatter[self.entries]
            start = start.take(self.mixtures) if start else None
        return self.solver(
            Estimation(self.segments, counts, scatter, start, self.rules, self.storage)
        )


@lru_cache(maxsize=64)
def _groups(families: Families, segments: Segments) -> list[_Group]:
    """The groups of a stack, found once for all its M-steps."""
    distinct, storage = families.distinct, families.storage
    rules = Rules(tuple(each.rule for each in distinct), families.which)
    which = families.of_each([*range(len(distinct))], len(segments))
    present = [distinct[index] for index in np.unique(which)]
    least_of = {family.solver: (family.least, family.limits) for family in present}
    groups = []
    for solver, (least, limits) in least_of.items():
        own = np.array([each.solver == solver for each in distinct])[which]
        mixtures = np.flatnonzero(own)
        of_own = rules if own.all() else rules.take(mixtures)
        bounding: tuple[Solver, VarianceRules] = solver, of_own
        if least is not None:
            bounding = meeting(solver, of_own, least, limits)
        if own.all():
            return [_Group(*bounding, segments, storage)]
        groups.append(
            _Group(
                *bounding,
                segments.take(mixtures),
                storage,
                mixtures,
                segments.components(mixtures),
                storage.moment_kind.entries(segments, mixtures),
            )
        )
    return groups
