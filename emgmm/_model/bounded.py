"""Solvers of covariances with variances that are bounded from below."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .covariances import Diagonal
from .estimation import Estimation, Solver, VarianceRules
from .linalg import BOUND_TOL, WIDE, matrices_reach
from .orientation import (
    common_orientation,
    common_orientation_inexact,
    own_orientations,
    unrotated,
)
from .segments import Segments
from .volume_shape import Rules

LEAST_SHARE = 1e-9  # of a least variance that is added before the bound is applied
ENOUGH = 1e-6  # relative change of a variance at which the iteration ends


class Limits(NamedTuple):
    """Iterations of what is added, in order to meet a bound. Orientations may turn in
    circles, so that in the last ones it only grows."""

    n_additions: int
    n_growth: int
    at_once: bool = False
    """Whether the bound itself is added to matrices that violate it."""


ALONG_AXES = common_orientation, common_orientation_inexact, own_orientations
EXACT = Limits(40, 20)
AT_ONCE = Limits(1, 2, True)  # the bound is met nearly


def meeting(
    solver: Solver, rules: Rules, least: NDArray, limits: Limits
) -> tuple[Solver, VarianceRules]:
    """The solver and the rules subject to least variances (d,).

    Where these are the same in all directions, they bound variances along any axes.
    """
    greatest = least.max()
    if solver in ALONG_AXES and (least >= (1 - BOUND_TOL) * greatest).all():
        return solver, BoundedRules(rules, np.full_like(least, greatest), limits)
    return partial(bounded, solver, least, limits), rules


def bounded(
    solver: Solver, least: NDArray, limits: Limits, estimation: Estimation
) -> NDArray:
    """The values of a solver subject to least variances (d,): in no direction is the
    variance less than that of independent features with these.

    By duality it is the unbounded estimate for more scatter in the directions where
    the bound is active: what is added are the Lagrange multipliers, found by a
    fixed-point iteration. For a free matrix or variance the first step is exact; more
    are taken where components share volume, shape or orientation. Where features are
    many, the bound itself is added to the matrices that violate it.
    """
    values = solver(estimation)
    reach = _reach(estimation, values, least)
    if np.count_nonzero(reach) == len(reach):
        return values
    below = estimation.any(~reach)
    if below.all():
        return _with_additions(solver, least, limits, estimation)
    values = np.array(values)
    values[estimation.entries(below)] = _with_additions(
        solver, least, limits, estimation.take(below)
    )
    return values


@dataclass(frozen=True, eq=False)
class BoundedRules:
    """Rules of volume and shape, subject to least variances (d,) along the axes."""

    rules: Rules
    least: NDArray
    limits: Limits

    def take(self, mixtures: NDArray) -> BoundedRules:
        """The rules of some of the mixtures, by indices or a mask (B,)."""
        return replace(self, rules=self.rules.take(mixtures))

    def __call__(
        self,
        segments: Segments,
        counts: NDArray,
        diagonals: NDArray,
        start: NDArray | None = None,
    ) -> NDArray:
        """Variances, each mixture's by its rule."""
        values, least = self.rules(segments, counts, diagonals, start), self.least[0]
        reach = segments.min(values.min(axis=1)) >= least
        if np.count_nonzero(reach) == len(reach):
            return values
        values = np.maximum(values, least)
        below = np.flatnonzero(~(reach | self.rules.are_separable))
        if not below.size:
            return values
        along = Estimation(segments, counts, diagonals, None, self.rules, Diagonal)
        values[segments.components(below)] = _with_additions(
            unrotated, self.least, self.limits, along.take(below)
        )
        return values


def _with_additions(
    solver: Solver, least: NDArray, limits: Limits, estimation: Estimation
) -> NDArray:
    """The bounded values of mixtures, each of which ends by itself."""
    whole, storage, kind = estimation, estimation.storage, estimation.kind
    sizes = kind.pool(estimation.segments, estimation.counts)
    sizes = sizes.reshape(-1, *[1] * (estimation.scatter.ndim - 1))
    # Without any scatter of their own, shares of a volume or shape are undefined.
    own = estimation.scatter / sizes + kind.from_variances(LEAST_SHARE * least)
    if not kind.of_squares and (limits.at_once or len(least) > WIDE):
        own += _bound_of_narrow(own, least)
        return solver(estimation.with_scatter(sizes * own))
    added, left, out = np.zeros_like(own), np.arange(len(estimation.segments)), own[:0]
    for kept in [0.0] * limits.n_additions + [1.0] * limits.n_growth:
        values = solver(estimation.with_scatter(sizes * (own + added)))
        if not out.size:
            out = np.array(values)
        out[whole.entries(left)] = values
        each = storage.along_rows(values, least)
        added, changes = storage.algebra.addition(*each, own, added, kept)
        going = estimation.any(changes > ENOUGH)
        if kept:
            going &= estimation.any(~_reach(estimation, values, least))
        if not going.any():
            break
        if not going.all():
            entries, left = estimation.entries(going), left[going]
            sizes, own, added = sizes[entries], own[entries], added[entries]
            estimation = estimation.take(going)
    return out


def _reach(estimation: Estimation, values: NDArray, least: NDArray) -> NDArray:
    """Which values, of components or of mixtures, meet the bound."""
    storage = estimation.storage
    return storage.algebra.reach(*storage.along_rows(values, least))


def _bound_of_narrow(own: NDArray, least: NDArray) -> NDArray:
    """Diagonal matrices of the least variances for the scatters of a row (M, d, d) that
    are below them in some direction, and zeros for the others."""
    return ~matrices_reach(own, least)[:, None, None] * np.diag(least)
