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
MAX_STRETCH = 20.0  # of the change of what is added, by extrapolation
SHRINKING = 0.9  # factor of squared steps that can be extrapolated
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
FEW, AT_ONCE = Limits(4, 4), Limits(1, 2, True)  # the bound is met nearly


def meeting(
    solver: Solver, rules: Rules, least: NDArray, limits: Limits
) -> tuple[Solver, VarianceRules]:
    """The solver and the rules subject to least variances (d,).

    Where these are the same in all directions, they bound variances along any axes.
    """
    greatest = least.max()
    if solver in ALONG_AXES and (least >= (1 - BOUND_TOL) * greatest).all():
        bounding = BoundedRules(rules, np.full_like(least, greatest), limits)
        return partial(_along_axes, solver, least), bounding
    return partial(bounded, solver, least, limits), rules


def _along_axes(solver: Solver, least: NDArray, estimation: Estimation) -> NDArray:
    """The values of a solver with bounded rules, with a little more scatter where there
    are none without."""
    values = solver(estimation)
    lost = estimation.any(np.isnan(values).any(axis=(1, 2)))
    if lost.any():
        rest, values = estimation.take(lost), np.array(values)
        more = rest.counts[:, None, None] * np.diag(LEAST_SHARE * least)
        solved = solver(rest.with_scatter(rest.scatter + more))
        values[estimation.entries(lost)] = solved
    return values


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
    last: tuple[NDArray, NDArray] | None = None
    for kept in [0.0] * limits.n_additions + [1.0] * limits.n_growth:
        values = solver(estimation.with_scatter(sizes * (own + added)))
        if not out.size:
            out = np.array(values)
        out[whole.entries(left)] = values
        each = storage.along_rows(values, least)
        wanted, changes = storage.algebra.addition(*each, own, added, kept)
        step, added = wanted - added, wanted
        if last is not None and not kept:
            added = _extrapolated(estimation, own, wanted, step, *last)
        going = estimation.any(changes > ENOUGH)
        if kept:
            going &= estimation.any(~_reach(estimation, values, least))
        if not going.any():
            break
        if not going.all():
            entries, left = estimation.entries(going), left[going]
            sizes, own, added = sizes[entries], own[entries], added[entries]
            wanted, step = wanted[entries], step[entries]
            estimation = estimation.take(going)
        last = wanted, step
    return out


def _extrapolated(
    estimation: Estimation,
    own: NDArray,
    wanted: NDArray,
    step: NDArray,
    before: NDArray,
    step_before: NDArray,
) -> NDArray:
    """What is to be added by Anderson's method from the last two steps of a fixed-point
    iteration; where that is not valid, what these want."""
    scales = estimation.storage.algebra.scale_of(own + wanted)
    now, then = step / scales, step_before / scales
    pairs = [(now - then, now - then), (now - then, now), (now, now), (then, then)]
    dots = np.stack([(a * b).reshape(len(a), -1).sum(axis=1) for a, b in pairs], axis=1)
    squares, along, size, size_before = estimation.per_mixture(dots).T
    shrinking = (squares > 0) & (size < SHRINKING * size_before)
    shares = np.where(shrinking, np.clip(along / squares, -MAX_STRETCH, 0.0), 0.0)
    shares = shares.reshape(-1, *[1] * (own.ndim - 1))
    further = wanted - shares * (wanted - before)
    lost = np.isnan(estimation.storage.algebra.factorize(own + further))
    lost = (
        estimation.per_mixture(lost.reshape(len(lost), -1).any(axis=1).astype(float))
        > 0
    )
    further[lost] = wanted[lost]
    return further


def _reach(estimation: Estimation, values: NDArray, least: NDArray) -> NDArray:
    """Which values, of components or of mixtures, meet the bound."""
    storage = estimation.storage
    return storage.algebra.reach(*storage.along_rows(values, least))


def _bound_of_narrow(own: NDArray, least: NDArray) -> NDArray:
    """Diagonal matrices of the least variances for the scatters of a row (M, d, d) that
    are below them in some direction, and zeros for the others."""
    return ~matrices_reach(own, least)[:, None, None] * np.diag(least)
