"""The M-step of a fit: what is added, bounded, tied, fixed or expected beforehand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emgmm._estep.statistics import Statistics
from emgmm._model.bounded import Limits
from emgmm._model.families import CovarianceFamily, Families
from emgmm._model.noise import Noise
from emgmm._model.parameters import Parameters, from_arrays
from emgmm._model.segments import Segments
from emgmm._utils.cached import cached_property

from .coordinates import retract
from .fixed import Fixed
from .maximization import MIN_SHARE, Maximization
from .prior import ConjugatePrior
from .regularization import Regularization, ScaleRegularization

NOISE_OF_START = 0.05  # share of the rows that are noise at a start, at least


@dataclass(frozen=True, eq=False)
class MStep:
    """The covariance families of the mixtures of a stack, and their regularisation.

    ``scale`` has the least variances by which components are found to be degenerate; it
    is the regularisation itself unless ``reg_covar`` is a number. ``added`` (M, d) is
    what the M-step before has added to variances, infinite in the components of
    mixtures to which nothing was added; None if that are all. What is ``fixed`` is not
    estimated; with a ``prior`` the posterior is maximised.
    """

    families: Families
    regularization: Regularization
    scale: ScaleRegularization
    added: NDArray | None = None
    fixed: Fixed | None = None
    prior: ConjugatePrior | None = None
    noise: Noise | None = None
    """The noise of all mixtures, if they have any."""

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
        bounded = regularization.bounded(families)
        return cls(bounded, regularization, scale)

    @property
    def family(self) -> CovarianceFamily:
        """The family of all mixtures, where they have the same."""
        return self.families.distinct[0]

    def with_families(self, families: Families | CovarianceFamily) -> MStep:
        """The M-step of other families, with the same regularisation; there nothing is
        fixed or expected beforehand, and there is no noise."""
        return self.of(families, self.regularization, self.scale)

    @property
    def inexact(self) -> MStep:
        """The M-step of generalised EM: estimates raise the likelihood, no more."""
        return replace(self, families=self.families.inexact)

    def with_prior_times(self, factor: float) -> MStep:
        """The M-step with the rows of the prior, if any, weighted by a factor."""
        return replace(self, prior=self.prior and self.prior.times(factor))

    @property
    def without_fixed(self) -> MStep:
        """The M-step of all parameters."""
        return replace(self, fixed=None)

    def with_limits(self, limits: Limits) -> MStep:
        """The M-step of generalised EM, with such limits of what meets the bounds."""
        return replace(self, families=self.families.with_limits(limits))

    @property
    def raises_likelihood(self) -> bool:
        """Whether steps raise the objective itself, as nothing is added by default."""
        return self.regularization is self.scale

    @cached_property
    def maximization(self) -> Maximization:
        """What the regularisation adds to, or leaves as it is."""
        return Maximization(self.families, self.fixed, self.prior)

    def imposed(self, mixtures: Parameters) -> Parameters:
        """The mixtures with what is fixed at its values."""
        return self.fixed.imposed(mixtures) if self.fixed else mixtures

    def objective(self, statistics: Statistics, mixtures: Parameters) -> NDArray:
        """What EM raises (B,), of a row: the log-likelihood of the mixtures that the
        statistics were computed with, or the log-posterior if there is a prior."""
        reached = statistics.mean_log_likelihood
        if self.prior is None:
            return reached
        return reached + self.log_prior(mixtures) / statistics.weight

    def log_prior(self, mixtures: Parameters) -> NDArray:
        """Logarithms (B,) of the prior density of mixtures; zeros without a prior."""
        if self.prior is None:
            return np.zeros(len(mixtures.segments))
        return self.prior.log_density(self.families, mixtures)

    @property
    def knowledge(self) -> dict[str, NDArray | None]:
        """What is fixed and expected beforehand, as plain values."""
        return {
            "fixed": self.fixed.to_values() if self.fixed else None,
            "prior": self.prior.to_values() if self.prior else None,
        }

    def estimates_covariances(self, segments: Segments) -> NDArray:
        """Which components (M,) have covariances that are estimated from rows alone:
        not fixed, and without a prior."""
        if self.fixed is None or self.prior is not None:
            return np.full(segments.n_components, self.prior is None)
        return ~self.fixed.covariances_are_fixed(segments)

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

    def mixture_of(self, arrays: tuple[NDArray, ...]) -> Parameters:
        """The mixture of arrays as ``to_arrays`` returns them."""
        return from_arrays(arrays, self.families.storage, self.noise)

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
            statistics, self.maximization, previous, self.added
        )
        if self.noise:
            begins = previous is None or not previous.noise
            mixtures = self._with_noise(mixtures, statistics, begins)
        same = added is self.added
        return mixtures, failed, self if same else replace(self, added=added)

    def with_noise_of_start(self, mixture: Parameters) -> Parameters:
        """A starting mixture with the noise of the fit, or none; its weight stays."""
        if not self.noise:
            return mixture.without_noise
        weights = mixture.weights
        if not mixture.noise:
            weights = weights * (1.0 - NOISE_OF_START)
        return replace(mixture, weights=weights, noise=self.noise)

    def _with_noise(
        self, mixtures: Parameters, statistics: Statistics, begins: bool
    ) -> Parameters:
        """The mixtures with the rest of the weight of the rows as noise, which they
        begin with some of, lest they never have any."""
        counts = statistics.segments.sum(statistics.counts)
        shares = np.clip(counts / statistics.weight, MIN_SHARE, 1.0)
        if begins:
            shares = np.minimum(shares, 1.0 - NOISE_OF_START)
        weights = mixtures.weights * statistics.segments.spread(shares)
        return replace(mixtures, weights=weights, noise=self.noise)

    def retract(self, at: Parameters, vectors: NDArray) -> tuple[Parameters, NDArray]:
        """The mixtures with such coordinates at others, to first order, and for which
        (B,) there is none, or a component has collapsed."""
        mixtures, failed = retract(at, vectors, self.families)
        mixtures = self.imposed(mixtures)
        return mixtures, failed | at.segments.any(self.scale.collapsed(mixtures))
