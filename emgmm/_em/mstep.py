"""The M-step of a fit: the only place that knows what is added, bounded or tied."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emgmm._estep.statistics import Statistics
from emgmm._model.families import CovarianceFamily
from emgmm._model.parameters import Parameters

from .coordinates import retract
from .regularization import Regularization, ScaleRegularization


@dataclass(frozen=True, eq=False)
class MStep:
    """A covariance family and its regularisation.

    ``scale`` has the least variances by which components are found to be degenerate; it
    is the regularisation itself unless ``reg_covar`` is a number. ``added`` (K, d) is
    what the M-step before has added to the variances, or None.
    """

    family: CovarianceFamily
    regularization: Regularization
    scale: ScaleRegularization
    added: NDArray | None = None

    @classmethod
    def of(
        cls,
        family: CovarianceFamily,
        regularization: Regularization,
        scale: ScaleRegularization,
    ) -> MStep:
        """The M-step of a family with bounded variances."""
        return cls(regularization.bounded(family), regularization, scale)

    def with_family(self, family: CovarianceFamily) -> MStep:
        """The M-step of another family, with the same regularisation."""
        return self.of(family, self.regularization, self.scale)

    @property
    def inexact(self) -> MStep:
        """The M-step of generalised EM: estimates raise the likelihood, no more."""
        return replace(self, family=self.family.inexact)

    @property
    def raises_likelihood(self) -> bool:
        """Whether steps raise the likelihood itself, as nothing is added by default."""
        return self.regularization is self.scale

    def estimate(
        self, statistics: Statistics, previous: Parameters | None = None
    ) -> Parameters:
        """The mixture of the statistics. LinAlgError if a covariance is singular.

        Iterative estimates begin at the covariances of ``previous``.
        """
        return self.step(statistics, previous)[0]

    def step(
        self, statistics: Statistics, previous: Parameters | None
    ) -> tuple[Parameters, MStep]:
        """The mixture of the statistics, and the next M-step: it adds no more."""
        mixture, added = self.regularization.step(
            statistics, self.family, previous, self.added
        )
        same = added is self.added
        return mixture, self if same else replace(self, added=added)

    def retract(self, at: Parameters, vector: NDArray) -> Parameters:
        """The mixture with such coordinates at another, to first order.

        LinAlgError if there is none, or if one of its components has collapsed.
        """
        mixture = retract(at, vector, self.family)
        if self.scale.collapsed(mixture).any():
            raise np.linalg.LinAlgError("a component would collapse")
        return mixture
