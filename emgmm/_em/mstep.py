"""The M-step of a fit: the only place that knows what is added, bounded or tied."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emgmm._estep.statistics import Statistics
from emgmm._model.bounded import Limits
from emgmm._model.families import CovarianceFamily, Families
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments

from .coordinates import retract
from .regularization import Regularization, ScaleRegularization


@dataclass(frozen=True, eq=False)
class MStep:
    """The covariance families of the mixtures of a stack, and their regularisation.

    ``scale`` has the least variances by which components are found to be degenerate; it
    is the regularisation itself unless ``reg_covar`` is a number. ``added`` (M, d) is
    what the M-step before has added to variances, infinite in the components of
    mixtures to which nothing was added; None if that are all.
    """

    families: Families
    regularization: Regularization
    scale: ScaleRegularization
    added: NDArray | None = None

    @classmethod
    def of(
        cls,
        families: Families | CovarianceFamily,
        regularization: Regularization,
        scale: ScaleRegularization,
    ) -> MStep:
        """The M-step of families, or one family, with bounded variances."""
        if isinstance(families, CovarianceFamily):
            families = Families.one(families)
        return cls(regularization.bounded(families), regularization, scale)

    @property
    def family(self) -> CovarianceFamily:
        """The family of all mixtures, where they have the same."""
        return self.families.distinct[0]

    def with_families(self, families: Families | CovarianceFamily) -> MStep:
        """The M-step of other families, with the same regularisation."""
        return self.of(families, self.regularization, self.scale)

    @property
    def inexact(self) -> MStep:
        """The M-step of generalised EM: estimates raise the likelihood, no more."""
        return replace(self, families=self.families.inexact)

    def with_limits(self, limits: Limits) -> MStep:
        """The M-step of generalised EM, with such limits of what meets the bounds."""
        return replace(self, families=self.families.with_limits(limits))

    @property
    def raises_likelihood(self) -> bool:
        """Whether steps raise the likelihood itself, as nothing is added by default."""
        return self.regularization is self.scale

    def take(self, segments: Segments, mixtures: NDArray) -> MStep:
        """The M-step of some of the mixtures, by indices or a mask (B,)."""
        added = self.added
        if added is not None:
            added = added[segments.components(mixtures)]
        return replace(self, families=self.families.take(mixtures), added=added)

    def followed_by(
        self, following: MStep, segments: Segments, mixtures: NDArray
    ) -> MStep:
        """This M-step, and another for some of the mixtures (by indices)."""
        if following is self:
            return self
        added = np.full((segments.n_components, len(self.scale.least)), np.inf)
        if self.added is not None:
            added[:] = self.added
        if following.added is not None:
            components = segments.components(mixtures)
            added[components] = following.added[components]
        return replace(self, added=added)

    def estimate(
        self, statistics: Statistics, previous: Parameters | None = None
    ) -> tuple[Parameters, NDArray]:
        """The mixtures of the statistics, and which (B,) have a singular covariance.

        Iterative estimates begin at the covariances of ``previous``.
        """
        return self.step(statistics, previous)[:2]

    def estimate_one(
        self, statistics: Statistics, previous: Parameters | None = None
    ) -> Parameters:
        """The mixture of statistics. LinAlgError if a covariance is singular."""
        mixture, failed = self.estimate(statistics, previous)
        if failed.any():
            raise np.linalg.LinAlgError("a covariance is singular")
        return mixture

    def step(
        self, statistics: Statistics, previous: Parameters | None
    ) -> tuple[Parameters, NDArray, MStep]:
        """The mixtures of the statistics, which (B,) have a singular covariance, and
        the next M-step: it adds no more."""
        mixtures, failed, added = self.regularization.step(
            statistics, self.families, previous, self.added
        )
        same = added is self.added
        return mixtures, failed, self if same else replace(self, added=added)

    def retract(self, at: Parameters, vectors: NDArray) -> tuple[Parameters, NDArray]:
        """The mixtures with such coordinates at others, to first order, and for which
        (B,) there is none, or a component has collapsed."""
        mixtures, failed = retract(at, vectors, self.families)
        return mixtures, failed | at.segments.any(self.scale.collapsed(mixtures))
