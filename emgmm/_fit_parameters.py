"""What the parameters of GaussianMixtureEM ask for: problem, M-step and starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._data.base import RowSource
from ._em.fixed import Fixed, FixedParts
from ._em.mstep import MStep
from ._em.noise import noise_of
from ._em.prior import ConjugatePrior, RowMoments, check_prior, prior_of
from ._em.problem import Begin, EMProblem
from ._em.regularization import (
    Regularization,
    RidgeRegularization,
    ScaleRegularization,
)
from ._em.result import EMOptions
from ._init.start_options import StartOptions
from ._mixture_methods import MixtureMethods
from ._model.families import FAMILIES, CovarianceFamily
from ._model.noise import Noise
from ._model.parameters import Parameters
from ._model.validation import check_given


class FitParameters(MixtureMethods):
    """The part of GaussianMixtureEM that translates its parameters into objects."""

    def _problem(self, rows: RowSource) -> EMProblem:
        """The problem of fitting the mixture to rows."""
        family = FAMILIES[self.covariance_type]
        rows, units = rows.in_units(family.scale_equivariant)
        return self._problem_in_units(rows, units, noise_of(rows, self.noise, units))

    def _problem_in_units(
        self, rows: RowSource, units: NDArray, noise: Noise | None
    ) -> EMProblem:
        """The problem for rows that have been divided by the units (d,)."""
        scale = ScaleRegularization.to(rows)
        mstep = self._mstep(scale, units, lambda: RowMoments.of(rows.summary))
        mstep = replace(mstep, noise=noise)
        options = EMOptions(
            self.tol, self.max_iter, self.acceleration is not None, self.warm_start
        )
        return EMProblem(rows, units, mstep, options)

    def _mstep(
        self,
        scale: ScaleRegularization,
        units: NDArray,
        moments: Callable[[], RowMoments],
    ) -> MStep:
        """The M-step of the model, for rows with such moments, divided by the units
        (d,)."""
        family, n_features = FAMILIES[self.covariance_type], len(units)
        covar: Regularization = scale
        if not isinstance(self.reg_covar, str):
            covar = RidgeRegularization(self.reg_covar / units / units)
        mstep = MStep.of(family, covar, scale)
        parts = FixedParts.of(self.fixed, family, self.n_components)
        if parts and parts.weights.any() and self.noise is not None:
            raise ValueError(
                f"fixed has 'weights' and noise={self.noise!r}, whose weight is "
                "estimated with those of the components: leave out one of the two."
            )
        if parts:
            known, previous = self._known(family, n_features)
            fixed = Fixed.of(parts, known, previous, family, n_features)
            mstep = replace(mstep, fixed=fixed.in_units(units))
        return replace(mstep, prior=self._prior(units, moments))

    def _prior(
        self, units: NDArray, moments: Callable[[], RowMoments]
    ) -> ConjugatePrior | None:
        """The prior, if there is one, for such rows."""
        if self.prior is None:
            return None
        options, family = check_prior(self.prior, len(units)), self.covariance_type
        return prior_of(options, FAMILIES[family], units, moments)

    def _with_starts(
        self, problem: EMProblem, rows: RowSource
    ) -> tuple[EMProblem, Iterator[Begin]]:
        """The problem, and functions that make the mixtures EM starts from."""
        options = self._start_options(problem.family, rows.summary.n_features)
        fixed = options.order_is_fixed or problem.memberships is not None
        problem = replace(problem, order_is_fixed=fixed)
        return problem, options.starts(problem, rows)

    def _start_options(self, family: CovarianceFamily, n_features: int) -> StartOptions:
        """What the parameters say about where EM starts."""
        return StartOptions(
            self.n_components,
            self.init_params,
            self.n_init,
            self.random_state,
            *self._known(family, n_features),
        )

    def _known(
        self, family: CovarianceFamily, n_features: int
    ) -> tuple[dict[str, Any], Parameters | None]:
        """Parameters that the user passes, and the mixture that the fit continues."""
        known = check_given(
            (self.weights_init, self.means_init, self.precisions_init),
            self.covariance_type,
            (self.n_components, n_features),
        )
        return known, self._previous_mixture(family, n_features)

    def _previous_mixture(
        self, family: CovarianceFamily, n_features: int
    ) -> Parameters | None:
        """The mixture that `warm_start` continues from, or None."""
        if not self.warm_start:
            return None
        shape = (self.n_components, n_features)
        model, reached = getattr(self, "_reached", ("", None))
        if reached is not None:
            fits = reached.means.shape == shape and FAMILIES[model].name == family.name
            return reached if fits else None
        if not hasattr(self, "weights_") or np.shape(self.means_) != shape:
            return None
        fits = self._published().family.name == family.name
        return self._mixture() if fits else None
