"""Options of a run of EM, and its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emgmm._model.parameters import Parameters


@dataclass(frozen=True)
class EMOptions:
    """When EM stops, and whether it is accelerated."""

    tol: float
    max_iter: int
    accelerated: bool = True
    resumable: bool = False
    """Whether results contain the state that another run can continue from."""
    n_plain: int = 0
    """The number of the first iterations, which are plain EM, and in which no run
    converges."""


@dataclass(frozen=True, eq=False)
class EMResult:
    """The result of a run of EM.

    ``lower_bounds`` are mean log-likelihoods, or log-posteriors if there is a prior, of
    the start and after each iteration: of the best mixture so far, or of the last if
    ``reg_covar`` is a number. The last entry is that of ``mixture``.
    """

    mixture: Parameters
    lower_bounds: list[float]
    converged: bool
    state: dict[str, Any] | None = None
    """Values for ``EMState.from_values``, if the run is resumable."""
    log_prior: float = 0.0
    """Share of a row in the logarithm of the prior density, part of the bounds."""

    @property
    def lower_bound(self) -> float:
        """Mean log-likelihood of the mixture, or log-posterior if there is a prior."""
        return self.lower_bounds[-1]

    @property
    def mean_log_likelihood(self) -> float:
        """Mean log-likelihood of the mixture."""
        return self.lower_bound - self.log_prior

    @property
    def n_iter(self) -> int:
        """Number of iterations."""
        return len(self.lower_bounds) - 1


@dataclass(frozen=True, eq=False)
class EMResults:
    """The results of a stack of B runs of EM.

    mixtures       the stack of the mixtures that were reached; those of runs that
                   failed mean nothing
    failed (B,)    in which runs a covariance became singular
    converged (B,)
    histories      ``lower_bounds`` of each run
    states         ``state`` of each run
    """

    mixtures: Parameters
    failed: NDArray
    converged: NDArray
    histories: Sequence[list[float]]
    states: Sequence[dict[str, Any] | None]

    def __len__(self) -> int:
        """The number of runs."""
        return len(self.failed)

    @property
    def lower_bound(self) -> NDArray:
        """Mean log-likelihoods of the mixtures (B,); minus infinity of failed runs."""
        last = [history[-1] if history else -np.inf for history in self.histories]
        return np.where(self.failed, -np.inf, last)

    def gains_of_last(self, n_iter: int) -> NDArray:
        """Mean gains of the last iterations (B,); infinite of runs without any."""
        ends = [each[-1 - n_iter :] for each in self.histories]
        gains = [(end[-1] - end[0]) / (len(end) - 1) for end in ends if len(end) > 1]
        found = np.full(len(self), np.inf)
        found[[len(end) > 1 for end in ends]] = gains
        return found

    def result(self, index: int) -> EMResult:
        """One of the results. LinAlgError if the run has failed."""
        if self.failed[index]:
            raise np.linalg.LinAlgError("a covariance became singular")
        return EMResult(
            self.mixtures.mixture(index),
            self.histories[index],
            bool(self.converged[index]),
            self.states[index],
        )

    @classmethod
    def not_run(cls, mixtures: Parameters) -> Self:
        """The results of runs that have not begun."""
        none, n_runs = np.zeros(len(mixtures.segments), bool), len(mixtures.segments)
        histories: list[list[float]] = [[] for _ in range(n_runs)]
        return cls(mixtures, none, none, histories, [None] * n_runs)

    def take(self, runs: NDArray) -> EMResults:
        """Some of the results, by indices."""
        return EMResults(
            self.mixtures.take(runs),
            self.failed[runs],
            self.converged[runs],
            [self.histories[run] for run in runs],
            [self.states[run] for run in runs],
        )

    @classmethod
    def ordered(cls, parts: Sequence[tuple[NDArray, EMResults]]) -> EMResults:
        """Results of runs of such numbers as those of one stack, in their order."""
        results = cls.joined([part for _, part in parts])
        order = np.concatenate([runs for runs, _ in parts]).argsort()
        return (
            results if (order == np.arange(len(order))).all() else results.take(order)
        )

    @staticmethod
    def joined(parts: Sequence[EMResults]) -> EMResults:
        """The results of several stacks as those of one."""
        if len(parts) == 1:
            return parts[0]
        return EMResults(
            Parameters.joined([part.mixtures for part in parts]),
            np.concatenate([part.failed for part in parts]),
            np.concatenate([part.converged for part in parts]),
            [history for part in parts for history in part.histories],
            [state for part in parts for state in part.states],
        )
