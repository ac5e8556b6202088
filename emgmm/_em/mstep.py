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
    """A family, with what is added to its variances.

    ``scale`` has the least variances, by which components are found to be degenerate;
    it is the regularisation itself unless ``reg_covar`` is a number. ``added`` is what
    the M-step before has added to the variances (K, d), None where that was nothing.
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
        """The M-step of a family, with variances bounded as rows ask for."""
        return cls(regularization.bounded(family), regularization, scale)

    def of_family(self, family: CovarianceFamily) -> MStep:
        """The M-step of another family, with the same regularisation."""
        return self.of(family, self.regularization, self.scale)

    @property
    def inexact(self) -> MStep:
        """The M-step with short estimates: generalised EM."""
        return replace(self, family=self.family.inexact)

    @property
    def raises_likelihood(self) -> bool:
        """Whether steps raise the likelihood itself: nothing is added by default."""
        return self.regularization is self.scale

    def estimate(
        self, statistics: Statistics, previous: Parameters | None = None
    ) -> Parameters:
        """The mixture of the statistics. LinAlgError where a covariance is singular.

        Estimates that take iterations begin at the covariances of ``previous``.
        """
        return self.step(statistics, previous)[0]

    def step(
        self, statistics: Statistics, previous: Parameters | None
    ) -> tuple[Parameters, MStep]:
        """The mixture, and the M-step that comes after: it adds no more than this."""
        mixture, added = self.regularization.step(
            statistics, self.family, previous, self.added
        )
        return mixture, replace(self, added=added)

    def retract(self, at: Parameters, vector: NDArray) -> Parameters:
        """The mixture with such coordinates at another, to first order.

        LinAlgError where there is none, or a component of it has collapsed.
        """
        mixture = retract(at, vector, self.family)
        if self.scale.collapsed(mixture).any():
            raise np.linalg.LinAlgError("the step leads to a collapsed component")
        return mixture
