"""Regularisation of covariances: what is added to variances, and their bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import RowSource
from emgmm._estep.statistics import Statistics
from emgmm._model.families import Families
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments

from .maximization import EPS, MIN_SHARE, Maximization

# Least variances: shares of the variance within components, and of the component's own
# variance (and so of eigenvalues of correlations; times the number of features, as
# rounding grows).
SHARE_OF_POOLED = 1e-16
SHARE_OF_OWN = 64 * EPS
# The latter of components with less than so many complete rows for each of them that a
# matrix needs: a variance in a direction that few rows have altogether shrinks slowly,
# by nearly the same share in every iteration, and there is no maximum to be found.
SHARE_OF_INCOMPLETE = 1e-8
ENOUGH_COMPLETE = 4
ALL_COMPLETE = float(np.finfo(np.float64).max)
RAISE, MAX_RAISES = 100.0, 8  # of what is added, until matrices are positive definite
# Least variance of numbers that are rounded to a step of 1. With less, a component on
# one value would have a density there of more than 1, as if it were known to less than
# the step, and components on single values would be likelier than what was rounded;
# rounding alone has the variance 1/12, which leaves them 0.3 nats a row.
VARIANCE_OF_ROUNDING = 1 / (2 * np.pi)
AT_BOUND = 0.99  # share of the variance of rounding in a variance that is bounded
# So many rows of a collapsed component are a cluster of equal rows: among rows drawn
# with replacement hardly ever so many are the same.
ENOUGH_EQUAL = 10
VANISHED = 0.5  # rows below which a component is taken to have none
DEGENERATE = 0.1  # share of the least variance in a variance that is too small
# A step into the region where it is added may lower the likelihood: runs stop before.
SUSPECT = 0.25 * DEGENERATE


class Regularization(Protocol):
    """How covariances are kept positive definite."""

    def step(
        self,
        stats: Statistics,
        m_step: Maximization,
        previous: Parameters | None,
        added: NDArray | None,
    ) -> tuple[Parameters, NDArray, NDArray | None]:
        """The mixtures, which (B,) are singular, and what was added to the variances;
        ``added`` was before. See ``MStep``."""

    def regularization_ratio(self, mixture: Parameters) -> NDArray:
        """Greatest ratios (M,) of what may be added to a variance, in any direction."""

    def bounded(self, families: Families) -> Families:
        """The families with variances bounded by the rounding of the rows."""


@dataclass(frozen=True, eq=False)
class RidgeRegularization:
    """Amounts (d,) that are added to all variances, as scikit-learn does."""

    amounts: NDArray

    def step(
        self,
        stats: Statistics,
        m_step: Maximization,
        previous: Parameters | None,
        added: NDArray | None,
    ) -> tuple[Parameters, NDArray, NDArray | None]:
        """The mixtures with the amounts added to their variances."""
        return *m_step(stats, self.amounts, previous), added

    def regularization_ratio(self, mixture: Parameters) -> NDArray:
        """Greatest ratios (M,) of the amounts to a variance, in any direction."""
        return _once(self, mixture, lambda: self.amounts)

    def bounded(self, families: Families) -> Families:
        """The families: a number in ``reg_covar`` is all that is added."""
        return families


@dataclass(frozen=True, eq=False)
class ScaleRegularization:
    """Nothing is added, unless a component has next to no width in some direction.

    The likelihood of a mixture has no bound unless variances are bounded. Variances of
    rounded features are bounded by that of the rounding; a constant feature has
    variance 1 in every component, so that it does not matter. Beyond that variances are
    bounded relative to one another (Hathaway 1985): once one comes near the least
    variance, that is added; it follows the variances of components downwards, and never
    rises.
    """

    least: NDArray
    """Least variances (d,) from the resolution of the numbers."""
    rounding: NDArray
    """Variances (d,) of the rounding of the rows, 0 where none is seen."""
    constant: NDArray
    """Variances (d,) of features that are constant; 0 of others."""
    n_complete: float = ALL_COMPLETE
    """Number of complete rows, if others have missing values."""
    suspect: float = DEGENERATE
    """Share of the least variance above which a component counts as degenerate."""

    @classmethod
    def to(cls, blocks: RowSource) -> ScaleRegularization:
        """The regularisation for rows, from their scales and their resolution."""
        rows = blocks.summary
        n_complete = rows.n_complete if rows.incomplete else None
        return cls.of(rows.scales, rows.steps, rows.resolution, n_complete)

    @classmethod
    def of(
        cls,
        scales: NDArray,
        steps: NDArray,
        resolution: float,
        n_complete: float | None = None,
    ) -> ScaleRegularization:
        """The regularisation for features of such scales (d,) and rounding steps (d,),
        NaN of constant ones; ``n_complete`` if values are missing."""
        # A constant feature has no scale, however large it is.
        least = (resolution * np.where(np.isnan(steps), 0.0, scales)) ** 2
        rounding = VARIANCE_OF_ROUNDING * np.nan_to_num(steps) ** 2
        rounding = np.where(rounding > least, rounding, 0.0)
        constant = np.where(np.isnan(steps), 1.0, 0.0)
        if n_complete is None:
            return cls(least, rounding, constant)
        return cls(least, rounding, constant, n_complete, SUSPECT)

    def bounded(self, families: Families) -> Families:
        """The families with variances of at least those of the rounding."""
        return families.bounded(self.rounding)

    def step(
        self,
        stats: Statistics,
        m_step: Maximization,
        previous: Parameters | None,
        added: NDArray | None,
    ) -> tuple[Parameters, NDArray, NDArray | None]:
        """The mixtures, which (B,) are singular, and the least variances (M, d) of
        those to which they were added."""
        segments, constant = stats.segments, self._constant(m_step.families)
        least, adds = added, np.zeros(len(segments), dtype=bool)
        amounts = constant
        if added is not None:
            least = np.where(
                np.isfinite(added), np.minimum(added, self._least_of(stats)), np.inf
            )
            adds = np.isfinite(least[segments.offsets, 0])
            amounts = np.where(np.isfinite(least), least + constant, constant)
        mixtures, singular = m_step(stats, amounts, previous)
        collapsed = self.collapsed(mixtures)
        if not np.count_nonzero(singular) + np.count_nonzero(collapsed):
            return mixtures, singular, least
        again = singular | ~adds & segments.any(collapsed)
        if not again.any():
            return mixtures, singular, least
        again = np.flatnonzero(again)
        least = np.full(stats.sums.shape, np.inf) if least is None else least.copy()
        components = segments.components(again)
        stacks = stats.take(again), m_step.take(again)
        near = previous and previous.take(again)
        fixed, singular[again], least[components] = self._regularized(
            *stacks, near, least[components]
        )
        return mixtures.replaced(again, fixed), singular, least

    def _regularized(
        self,
        stats: Statistics,
        m_step: Maximization,
        previous: Parameters | None,
        added: NDArray,
    ) -> tuple[Parameters, NDArray, NDArray]:
        """The mixtures with least variances added, which (B,) are singular even so, and
        these variances: more of those that were ``added`` in vain."""
        constant = self._constant(m_step.families)
        fresh = self._least_of(stats)
        raised = RAISE * np.maximum(added, fresh)
        least = np.where(np.isfinite(added), raised, fresh)
        for _ in range(MAX_RAISES):
            mixtures, singular = m_step(stats, least + constant, previous)
            if not singular.any():
                return mixtures, singular, least
            # A component that collapsed at once has more rounding than width.
            lost = stats.segments.spread(singular)[:, None]
            least = np.where(lost, RAISE * np.maximum(least, fresh), least)
        return *m_step(stats, least + constant, previous), least

    def _constant(self, families: Families) -> NDArray:
        """Variances of constant features, (d,), or (1,) of all features together."""
        if families.storage.has_variances_of_features or self.constant.all():
            return self.constant
        return np.zeros(1)  # of the variance that features share

    def regularization_ratio(self, mixture: Parameters) -> NDArray:
        """Greatest ratios (M,) of least variances to variances, in any direction."""
        return _once(self, mixture, lambda: self._least_within(mixture))

    def collapsed(self, mixture: Parameters) -> NDArray:
        """Which components (M,) have collapsed: the least variance is added to them."""
        return self.regularization_ratio(mixture) > DEGENERATE

    def degenerate(
        self, mixture: Parameters, n_rows: float, n_needed: NDArray
    ) -> NDArray:
        """Which components (M,) have next to no width in some direction, and so few of
        the rows that this may be due to chance; mixtures need ``n_needed`` (B,)."""
        rows, needed = mixture.weights * n_rows, mixture.segments.spread(n_needed)
        flat = self.regularization_ratio(mixture) > self.suspect
        few = self._few_complete(mixture.weights, mixture.means.shape[1])
        chance = few | (rows < np.maximum(needed, ENOUGH_EQUAL))
        collapsed = flat & chance | self.at_rounding(mixture) & (rows < needed)
        return collapsed & (rows >= VANISHED)  # one without rows does not matter

    def at_rounding(self, mixture: Parameters) -> NDArray:
        """Which components (M,) are as narrow as the rounding, in some direction."""
        if not self.rounding.any():
            return np.zeros(len(mixture.weights), dtype=bool)
        return mixture.covariances.regularization_ratio(self.rounding) > AT_BOUND

    def _few_complete(self, shares: NDArray, n_features: int) -> NDArray:
        """Which shares (M,) of the rows have too few complete rows."""
        return shares * self.n_complete < ENOUGH_COMPLETE * (1 + n_features)

    def _least_of(self, stats: Statistics) -> NDArray:
        """Least variances (M, d) of components with such statistics."""
        segments, kind = stats.segments, stats.kind
        weights = segments.spread(stats.weight)
        counts = kind.spread(segments, stats.scatter_counts)
        counts = np.maximum(counts, MIN_SHARE * weights)
        within = kind.sum(segments, stats.squares) / stats.weight[:, None]
        own = kind.spread(segments, stats.squares) / counts[:, None]
        return self._least(segments, own, within, counts / weights)

    def _least_within(self, mixture: Parameters) -> NDArray:
        """Least variances (M, d) of the components of mixtures."""
        segments, weights = mixture.segments, mixture.weights
        kind, variances = mixture.covariances.moment_kind, mixture.covariances.variances
        within = segments.sum(weights[:, None] * variances)
        if kind.pooled:
            weights = np.minimum(segments.spread(segments.sum(weights)), 1.0)
        return self._least(segments, variances, within, weights)

    def _least(
        self, segments: Segments, own: NDArray, within: NDArray, shares: NDArray
    ) -> NDArray:
        """Least variances (M, d), from those of components (M, d), those within all
        components (B, d), and shares (M,) of the rows."""
        n_features = own.shape[1]
        share_of_own: NDArray | float = SHARE_OF_OWN
        if self.n_complete < ALL_COMPLETE:
            few = self._few_complete(shares, n_features)
            share_of_own = np.where(few, SHARE_OF_INCOMPLETE, SHARE_OF_OWN)[:, None]
        pooled = np.maximum(SHARE_OF_POOLED * within, self.least)
        return np.maximum(share_of_own * n_features * own, segments.spread(pooled))


def _once(
    regularization: Regularization, mixture: Parameters, least: Callable[[], NDArray]
) -> NDArray:
    """Greatest ratios (M,) of least variances to those of a mixture, computed once."""
    known = mixture.ratios.get(regularization)
    if known is None:
        known = mixture.covariances.regularization_ratio(least())
        mixture.ratios[regularization] = known
    return known
