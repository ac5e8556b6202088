"""The state of a run of EM: it proposes mixtures and accepts their statistics."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from emgmm._estep.statistics import Statistics
from emgmm._model.covariances import Covariances
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments

from .acceleration import EPS, AndersonAcceleration
from .coordinates import coordinates
from .mstep import MStep
from .regularization import DEGENERATE
from .result import EMOptions, EMResult

# Relative rounding of a log-likelihood: a fall by more is a fall.
ROUNDING_OF_BOUND, ROUNDING_OF_BOUND_FLOAT32 = 64 * EPS, 1e-7
WORSE = 10.0  # factor of the rounding from which a mixture is worse than the best
NOISE_OF_FLOAT32 = 4e-5  # rounding in a step of EM
SAME_COUNTS = 1e-9  # share of the rows by which counts of the same rows may differ
NEGLIGIBLE = 1e-3  # greatest share of a variance that is added to accelerated steps


class Proposal(NamedTuple):
    """A mixture, and its coordinates in the chart at the one before."""

    mixture: Parameters
    vector: NDArray


class EMState:
    """The current mixture of a run of EM, and the one that it tries next.

    An iteration takes EM's step, or a longer one if that raises the likelihood; if it
    does not, the mixture stays, and the next iteration takes EM's. The state sees only
    statistics of the rows; ``single`` is whether they were summed in float32.
    """

    def __init__(
        self, start: Parameters, mstep: MStep, options: EMOptions, single: bool = False
    ) -> None:
        """The state before the first pass over the rows."""
        self._options, self._single = options, single
        self._mstep = mstep.inexact if options.accelerated else mstep
        self._mixture = self._best = start
        self._statistics: Statistics | None = None
        self._counts = np.zeros(0)
        self._reached = -np.inf
        self._bounds: list[float] = []
        self._anderson = AndersonAcceleration()
        self._own: Proposal | None = None
        self._following = self._mstep
        self._longer: NDArray | None = None
        self._proposed: Proposal | None = None
        self._at_rest = False
        self._n_iter = 0  # with those of the runs that this one continues

    @property
    def is_scored(self) -> bool:
        """Whether the statistics under the current mixture are known."""
        return self._statistics is not None

    @property
    def converged(self) -> bool:
        """Whether the gain to come was less than ``tol`` by the step proposed last."""
        if self._at_rest:
            return True
        return self._n_iter > 0 and self._anderson.gain < self._options.tol

    @property
    def result(self) -> EMResult:
        """The result so far."""
        return EMResult(self._best, self._bounds, self.converged)

    @property
    def final_result(self) -> EMResult:
        """The result, with the state that another run can continue from if wanted."""
        state = self.to_values() if self._options.resumable else None
        return replace(self.result, state=state)

    @np.errstate(all="ignore")
    def propose_step(self) -> None:
        """Find EM's step and estimate the gain to come. LinAlgError if singular."""
        if self._own or self._at_rest or self._statistics is None:
            return
        before, options = self._mixture, self._options
        mixture, self._following = self._mstep.step(self._statistics, before)
        self._longer, vector = None, np.zeros(0)
        if options.accelerated or options.tol > 0:
            ratios = self._mstep.scale.regularization_ratio(before)
            regular = ratios < DEGENERATE
            vector = coordinates(before, mixture, regular)
            self._longer = self._anderson.learn(vector, self._noise(ratios[regular]))
            if not self._mstep.raises_likelihood:
                ratios = self._mstep.regularization.regularization_ratio(before)
            if not (options.accelerated and ratios.max() < NEGLIGIBLE):
                # What is added is no part of the likelihood by which steps are judged.
                self._longer = None
        self._own = Proposal(mixture, vector)

    def propose(self) -> Parameters:
        """The mixture to be scored next: the start, EM's step, or a longer one.

        It is the current mixture if EM has ``converged``. LinAlgError if EM's step is
        singular.
        """
        self.propose_step()
        if self._own is None or self.converged:
            return self._mixture
        self._proposed = self._own
        if self._longer is not None:
            self._proposed = self._lengthened(self._longer) or self._own
        return self._proposed.mixture

    @np.errstate(all="ignore")
    def accept(self, statistics: Statistics) -> None:
        """End an iteration with the statistics under the mixture that was proposed."""
        reached, step = float(statistics.mean_log_likelihood[0]), self._proposed
        if step is None:
            self._take_in(statistics, reached)
            self._bounds = [reached]
            return
        falls = self._below(reached, self._reached)
        if falls and step is not self._own:
            self._anderson.rejected(step.vector)
            self._longer = None
        elif falls and self._rests(reached):
            self._at_rest = True
        else:
            self._anderson.accepted(step.vector, longer=step is not self._own)
            self._mixture, self._mstep, self._own = step.mixture, self._following, None
            self._take_in(statistics, reached)
        self._keep_best()

    def check_convergence(self) -> None:
        """See by the next step, which is not taken, whether EM has converged."""
        if self._n_iter and self._options.tol > 0:
            with suppress(np.linalg.LinAlgError):
                self.propose_step()

    def resumes(self, statistics: Statistics) -> bool:
        """Whether the current mixture has the statistics that a run before ended with.

        If so they are stored; otherwise the rows are not those of that run.
        """
        reached = float(statistics.mean_log_likelihood[0])
        is_same = not (
            self._below(reached, self._reached) or self._below(self._reached, reached)
        ) and np.allclose(
            statistics.counts, self._counts, 0, SAME_COUNTS * statistics.weight[0]
        )
        if is_same:
            self._statistics = statistics
        return is_same

    def to_values(self) -> dict[str, Any]:
        """The state as plain values, without the statistics."""
        best = None if self._best is self._mixture else _to_values(self._best)
        return {
            "mixture": _to_values(self._mixture),
            "best": best,
            "counts": self._counts,
            "reached": self._reached,
            "bound": self._bounds[-1],
            "n_iter": self._n_iter,
            "at_rest": self._at_rest,
            "added": self._mstep.added,
            "acceleration": self._anderson.to_values(),
        }

    @classmethod
    def from_values(
        cls, values: dict[str, Any], mstep: MStep, options: EMOptions, single: bool
    ) -> Self:
        """The state with such values; ``resumes`` adds the statistics."""
        storage, best = mstep.family.storage, values["best"]
        mixture = _from_values(values["mixture"], storage)
        state = cls(mixture, replace(mstep, added=values["added"]), options, single)
        state._best = mixture if best is None else _from_values(best, storage)
        state._counts, state._reached = values["counts"], values["reached"]
        state._bounds, state._n_iter = [values["bound"]], values["n_iter"]
        state._at_rest = values["at_rest"] and options.tol > 0
        state._anderson = AndersonAcceleration.from_values(values["acceleration"])
        return state

    @np.errstate(all="ignore")
    def _lengthened(self, vector: NDArray) -> Proposal | None:
        """A step longer than EM's, if it ends at a valid mixture."""
        try:
            return Proposal(self._mstep.retract(self._mixture, vector), vector)
        except np.linalg.LinAlgError:
            return None

    def _noise(self, ratios: NDArray) -> float:
        """Length of the rounding error in a step, in relative standard deviations."""
        amplified = ratios.max(initial=0.0) / (16.0 * self._mixture.means.shape[1])
        return max(amplified, NOISE_OF_FLOAT32 if self._single else EPS**0.5)

    def _below(self, bound: float, other: float, margin: float = 1.0) -> bool:
        """Whether a bound is less than another by more than rounding, or is NaN."""
        rounding = ROUNDING_OF_BOUND_FLOAT32 if self._single else ROUNDING_OF_BOUND
        return not bound >= other - margin * rounding * max(abs(other), 1.0)

    def _take_in(self, statistics: Statistics, reached: float) -> None:
        """Store the statistics under the current mixture."""
        self._statistics, self._reached = statistics, reached
        self._counts = statistics.counts

    def _rests(self, reached: float) -> bool:
        """Whether EM ends because its own step has lowered the likelihood to this.

        Only rounding, or what is added to a collapsed component, can do that.
        """
        ends = self._options.tol > 0 or not np.isfinite(reached)
        return self._mstep.raises_likelihood and ends

    def _keep_best(self) -> None:
        """Store the best mixture so far and its likelihood.

        With a number in reg_covar EM does not maximise the likelihood itself, and the
        last mixture counts, as in scikit-learn.
        """
        self._n_iter += 1
        raises = self._mstep.raises_likelihood
        if raises and self._below(self._reached, self._bounds[-1], WORSE):
            self._bounds.append(self._bounds[-1])
        else:
            self._best = self._mixture
            self._bounds.append(self._reached)


def _to_values(mixture: Parameters) -> tuple[NDArray, ...]:
    """The arrays of a mixture: weights, means, covariances and their factors."""
    covariances = mixture.covariances
    factors = covariances.precisions_cholesky
    return mixture.weights, mixture.means, covariances.values, factors


def _from_values(values: tuple[NDArray, ...], storage: type[Covariances]) -> Parameters:
    """The mixture of such arrays."""
    weights, means, covariances, factors = values
    segments = Segments.one(len(weights))
    return Parameters(
        weights, means, storage(covariances, factors, segments, means.shape[1])
    )
